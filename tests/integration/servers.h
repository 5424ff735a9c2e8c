/*
 * Every way of serving the site: a web server with the files of conf/, as a
 * site owner would use them but for their places and time-outs, in front of the
 * programs under test. One table of them drives the checks of test_servers.c.
 */
#ifndef PRESENCE_TESTS_SERVERS_H
#define PRESENCE_TESTS_SERVERS_H

#include "harness.h"

#define STREAMS 1u /* it serves the stream; others answer 501 */
#define STARTS_STREAMD 2u /* a streamd for each stream, started by the web server */
#define HOLDS_SOCKETS 4u /* the sockets outlive streamd and presence-api, as under systemd */
#define STARTS_API 16u /* and again when it has died */
#define NO_PAGES 32u /* no file of conf/ serves the pages there */
#define RELOAD_DROPS 8u /* what it has just begun when it is reloaded gets a 503 */

struct site {
	struct stack *stack;
	const struct server *server;
	int silence; /* seconds without a byte that the web server tolerates on a stream */
	int slots; /* on a shared host: the most processes of one program */
	int streams; /* on a shared host: [stream] max_streams, over all processes */
	int lifetime; /* on a shared host: [stream] max_lifetime, seconds */
	int padding; /* on a shared host: [stream] padding, bytes */
	pid_t api; /* presence-api where the web server does not start it, else 0 */
	pid_t front; /* what speaks HTTP/2 to the web server for us, or serves the pages beside it, else 0 */
	int api_socket, stream_socket; /* with HOLDS_SOCKETS; else -1 */
	const char *web[12]; /* the web server's command */
	int nofile; /* its limit of descriptors when it starts again; 0: as it is */
};

struct server {
	const char *name;
	/* Starts the web server, and presence-api if that has to run before. */
	void (*start)(struct site *site);
	unsigned traits;
	int reload; /* the signal for a graceful reload */
};

extern const struct server servers[];
extern const int server_count;

/* Starts nothing yet; slots, streams, lifetime and padding can be set. */
struct site *site_new(const struct server *server, const char *conf, int silence);
/* Redis, one streamd unless the web server starts it, presence-api and the web server. */
void site_run(struct site *site);
struct site *site_start(const struct server *server, const char *conf, int silence); /* both */
void site_stop(struct site *site);
/*
 * The web server again, with the first `from` in a file of its configuration replaced by `to`; or
 * (NULL) as it is.
 */
void site_change(struct site *site, const char *file, const char *from, const char *to);
/* streamd, or presence-api with HOLDS_SOCKETS, again after its end. */
void site_start_streamd(struct site *site);
void site_start_api(struct site *site);
/* The processes of a program under test, whoever started them; how many. */
int site_processes(struct site *site, const char *program, pid_t *list, int max);
/* presence-streamd's processes, those that the web server started too; how many. */
int site_streamds(struct site *site, pid_t *list, int max);

/* --- for those who start one (servers*.c) ------------------------------------------------- */

/* A text made like printf's; it lives as long as the test's process. */
const char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct change {
	const char *from, *to;
};
/*
 * The text of a file in conf/ with changes, each of which must apply; the last
 * one has `from` NULL.
 */
char *conf_with(const char *name, const struct change *changes);

/* The directory of the pages, as conf/ names it; and where the web server's user can read it. */
#define WEB_PLACE "/usr/local/share/presence/web"
const char *site_web(struct site *site);

/* A program under test, where the web server's user can run it. */
const char *site_program(struct site *site, const char *name);
/* The user that the web server's processes change to; NULL: they stay the test's, which is not
 * root. */
const char *site_user(void);
/* Makes a file or directory of the stand that user's own. */
void give(struct stack *stack, const char *name);

/*
 * Starts a server on a free port; `write` makes its configuration for
 * stack->port. web_start is for the web server itself and sets stack->lighttpd.
 */
pid_t web_on_port(struct site *site, void (*write)(struct site *site), const char *const argv[]);
void web_start(struct site *site, void (*write)(struct site *site), const char *const argv[]);
/* presence-api on DIR/api.sock: by spawn-fcgi, or by its own [api] listen. */
void api_spawn(struct site *site);
void api_listen(struct site *site);

void start_apache_fcgid(struct site *site);
void start_apache_proxy(struct site *site);
void start_apache_shared_host(struct site *site);
void start_apache_cgid(struct site *site);
void start_apache_shared_cgi(struct site *site);

#endif
