/* doctor: web servers by name, and the line to change in the configuration of each. */
#ifndef PRESENCE_CTL_DOCTOR_ADVICE_H
#define PRESENCE_CTL_DOCTOR_ADVICE_H

enum web_server { WEB_UNKNOWN, WEB_LIGHTTPD, WEB_APACHE, WEB_NGINX, WEB_HAPROXY, WEB_COUNT };

/* What is set wrong in a web server. */
enum mistake {
	MISTAKE_BUFFERING,
	MISTAKE_AUTHORIZATION,
	MISTAKE_COMPRESSION,
	MISTAKE_TIMEOUT,
	MISTAKE_CAPACITY,
	MISTAKE_DESCRIPTORS,
	MISTAKE_COUNT
};

/* The line to change; of every web server when this one is not known. */
const char *doctor_change(enum web_server server, enum mistake mistake);
/* The web server of this name, as a Server field or a process has it. */
enum web_server doctor_server_named(const char *name);
const char *doctor_server_name(enum web_server server);

#endif
