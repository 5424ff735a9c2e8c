/* doctor: the line to change in each web server's configuration. conf/ has them all as they should
 * be. */
#include "ctl/doctor_advice.h"

#include <string.h>
#include <strings.h>

static const struct {
	const char *name, *process; /* as its Server field begins, as its processes are called */
} servers[WEB_COUNT] = {
	[WEB_LIGHTTPD] = {"lighttpd", "lighttpd"},
	[WEB_APACHE] = {"Apache", "apache2"},
	[WEB_NGINX] = {"nginx", "nginx"},
	[WEB_HAPROXY] = {"HAProxy", "haproxy"},
};

#define BUFFERING_LIGHTTPD "lighttpd: server.stream-response-body = 2 for the stream's path"
#define BUFFERING_APACHE                                                                          \
	"Apache: flushpackets=on at the stream's ProxyPass (mod_fcgid: FcgidOutputBufferSize 0, " \
	"or [stream] padding = 66000)"
#define BUFFERING_NGINX                                                                         \
	"nginx: fastcgi_buffering off in the stream's location, and no fastcgi_ignore_headers " \
	"X-Accel-Buffering"
#define BUFFERING_HAPROXY "HAProxy: option http-no-delay in the stream's backend"

#define AUTHORIZATION_LIGHTTPD "lighttpd: no Authorization in setenv.set-request-header"
#define AUTHORIZATION_APACHE "Apache: CGIPassAuth On in the <Location> of this path"
#define AUTHORIZATION_NGINX \
	"nginx: fastcgi_pass_request_headers on, and no fastcgi_param HTTP_AUTHORIZATION"
#define AUTHORIZATION_HAPROXY "HAProxy: pass-header Authorization in the fcgi-app"

/* lighttpd compresses complete answers only, so it must be a field that it was told to set. */
#define COMPRESSION_LIGHTTPD                                                                   \
	"lighttpd: no Content-Encoding in setenv.set-response-header; else the server behind " \
	"proxy.server"
#define COMPRESSION_APACHE "Apache: SetEnv no-gzip 1 in the <Location> of the stream"
#define COMPRESSION_NGINX "nginx: gzip off in the stream's location"
/* HAProxy heeds the stream's Cache-Control: no-transform, if nothing takes it away. */
#define COMPRESSION_HAPROXY                                                                     \
	"HAProxy: compression type without text/event-stream, and no http-response set-header " \
	"Cache-Control"

#define TIMEOUT_LIGHTTPD "lighttpd: server.max-write-idle"
#define TIMEOUT_APACHE "Apache: timeout= at the stream's ProxyPass (mod_fcgid: FcgidIOTimeout)"
#define TIMEOUT_NGINX "nginx: fastcgi_read_timeout in the stream's location"
#define TIMEOUT_HAPROXY "HAProxy: timeout server and timeout client"

#define CAPACITY_LIGHTTPD "lighttpd: server.max-connections, and server.max-fds of twice that"
#define CAPACITY_APACHE                                                               \
	"Apache: MaxRequestWorkers (with ServerLimit) in mpm_event.conf (mod_fcgid: " \
	"FcgidMaxProcessesPerClass)"
#define CAPACITY_NGINX "nginx: worker_connections, two for each stream"
#define CAPACITY_HAPROXY "HAProxy: maxconn"

#define DESCRIPTORS_LIGHTTPD "lighttpd: server.max-fds, and LimitNOFILE= of its unit"
#define DESCRIPTORS_APACHE "Apache: APACHE_ULIMIT_MAX_FILES in envvars, or LimitNOFILE= of its unit"
#define DESCRIPTORS_NGINX "nginx: worker_rlimit_nofile"
#define DESCRIPTORS_HAPROXY "HAProxy: LimitNOFILE= of its unit, and maxconn"

#define LINES(mistake)                                                                        \
	{                                                                                     \
		[WEB_UNKNOWN] = mistake##_LIGHTTPD "; " mistake##_APACHE "; " mistake##_NGINX \
			"; " mistake##_HAPROXY,                                               \
		[WEB_LIGHTTPD] = mistake##_LIGHTTPD, [WEB_APACHE] = mistake##_APACHE,         \
		[WEB_NGINX] = mistake##_NGINX, [WEB_HAPROXY] = mistake##_HAPROXY,             \
	}

static const char *const lines[MISTAKE_COUNT][WEB_COUNT] = {
	[MISTAKE_BUFFERING] = LINES(BUFFERING),	    [MISTAKE_AUTHORIZATION] = LINES(AUTHORIZATION),
	[MISTAKE_COMPRESSION] = LINES(COMPRESSION), [MISTAKE_TIMEOUT] = LINES(TIMEOUT),
	[MISTAKE_CAPACITY] = LINES(CAPACITY),	    [MISTAKE_DESCRIPTORS] = LINES(DESCRIPTORS),
};

const char *doctor_change(enum web_server server, enum mistake mistake)
{
	return lines[mistake][server];
}

enum web_server doctor_server_named(const char *name)
{
	for (int i = WEB_UNKNOWN + 1; i < WEB_COUNT; i++) {
		if (strncasecmp(name, servers[i].name, strlen(servers[i].name)) == 0 ||
		    strcmp(name, servers[i].process) == 0)
			return (enum web_server)i;
	}
	return strcmp(name, "httpd") == 0 ? WEB_APACHE : WEB_UNKNOWN; /* Apache outside of Debian */
}

const char *doctor_server_name(enum web_server server)
{
	return server == WEB_UNKNOWN ? "the web server" : servers[server].name;
}
