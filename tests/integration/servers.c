/* The ways of serving but for Apache's (servers_apache.c), and the table of all. */
#include "servers.h"

#include <signal.h>

/* --- lighttpd ----------------------------------------------------------------------------- */

#define HTTP2 1u
#define RUNNING_API 2u

static void write_lighttpd(struct site *site, unsigned how)
{
	struct stack *stack = site->stack;
	const char *const bin_path =
		"\"bin-path\" => var.presence_api + \" -c \" + var.presence_conf,";
	const struct change changes[] = {
		{"\"/usr/local/sbin/presence-api\"", text_of("\"%s\"", program("presence-api"))},
		{"\"/etc/presence/presence.conf\"",
		 text_of("\"%s\"", stack_path(stack, "presence.conf"))},
		{"\"/run/lighttpd/presence-api.sock\"",
		 text_of("\"%s\"", stack_path(stack, "api.sock"))},
		{"\"/run/presence/stream.sock\"", text_of("\"%s\"", streamd_socket(stack, 0))},
		{WEB_PLACE, site_web(site)},
		{"max-write-idle = 360", text_of("max-write-idle = %d", site->silence)},
		{bin_path, how & RUNNING_API ? "" : bin_path},
		{"\"max-procs\" => 1,", how & RUNNING_API ? "" : "\"max-procs\" => 1,"},
		{NULL, NULL},
	};

	stack_write(stack, "lighttpd.conf",
		    text_of("server.document-root = \"%s\"\n"
			    "server.bind = \"127.0.0.1\"\n"
			    "server.port = %d\n"
			    "accesslog.filename = \"%s\"\n"
			    "server.feature-flags += (\"server.graceful-shutdown-timeout\" => 1)\n"
			    "%s%s",
			    stack->dir, stack->port, stack_path(stack, "access.log"),
			    how & HTTP2 ? text_of("server.modules += (\"mod_openssl\")\n"
						  "ssl.engine = \"enable\"\nssl.pemfile = \"%s\"\n",
						  stack_path(stack, "tls.pem"))
					: "",
			    conf_with("lighttpd.conf", changes)));
}

static void write_lighttpd_bin(struct site *site)
{
	write_lighttpd(site, 0);
}

static void write_lighttpd_socket(struct site *site)
{
	write_lighttpd(site, RUNNING_API);
}

static void write_lighttpd_http2(struct site *site)
{
	write_lighttpd(site, HTTP2);
}

static void run_lighttpd(struct site *site, void (*write)(struct site *site))
{
	const char *argv[] = {"lighttpd", "-D", "-f", stack_path(site->stack, "lighttpd.conf"),
			      NULL};

	web_start(site, write, argv);
}

static void start_lighttpd_bin(struct site *site)
{
	run_lighttpd(site, write_lighttpd_bin);
}

static void start_lighttpd_socket(struct site *site)
{
	api_spawn(site);
	run_lighttpd(site, write_lighttpd_socket);
}

/*
 * HTTP/1.1 from the test's client, HTTP/2 over TLS to the web server. What the
 * server has not begun when it says goodbye (GOAWAY, RFC 9113 section 6.8) is
 * sent again, as browsers do.
 */
static void write_front(struct site *site)
{
	stack_write(site->stack, "front.cfg",
		    text_of("defaults\n mode http\n timeout connect 5s\n timeout client 1h\n"
			    " timeout server 1h\n option abortonclose\n"
			    " retry-on all-retryable-errors\n"
			    "frontend one\n bind 127.0.0.1:%d\n default_backend two\n"
			    "backend two\n server web 127.0.0.1:%s ssl verify none alpn h2\n",
			    site->stack->port, stack_file(site->stack, "port")));
}

static void start_lighttpd_http2(struct site *site)
{
	const char *certificate[] = {"openssl",	 "req",
				     "-x509",	 "-newkey",
				     "rsa:2048", "-nodes",
				     "-days",	 "2",
				     "-subj",	 "/CN=localhost",
				     "-keyout",	 stack_path(site->stack, "tls.pem"),
				     "-out",	 stack_path(site->stack, "tls.crt"),
				     NULL};
	const char *join[] = {
		"sh", "-c",
		text_of("cat %s/tls.crt >>%s/tls.pem", site->stack->dir, site->stack->dir), NULL};
	const char *front[] = {"haproxy", "-db", "-f", stack_path(site->stack, "front.cfg"), NULL};

	ck_assert_int_eq(run(site->stack, NULL, NULL, certificate), 0);
	ck_assert_int_eq(run(site->stack, NULL, NULL, join), 0);
	run_lighttpd(site, write_lighttpd_http2);
	stack_write(site->stack, "port", text_of("%d", site->stack->port));
	site->front = web_on_port(site, write_front, front);
}

/* --- nginx -------------------------------------------------------------------------------- */

static void write_nginx_conf(struct site *site, bool keep)
{
	struct stack *stack = site->stack;
	const char *dir = stack->dir;
	const struct change changes[] = {
		{"unix:/run/presence/api.sock", text_of("unix:%s", stack_path(stack, "api.sock"))},
		{"unix:/run/presence/stream.sock", text_of("unix:%s", streamd_socket(stack, 0))},
		{"listen 80;", text_of("listen 127.0.0.1:%d;", stack->port)},
		{"/var/www/html", dir},
		{WEB_PLACE, site_web(site)},
		{"/var/log/nginx", dir},
		{"fastcgi_read_timeout 75s", text_of("fastcgi_read_timeout %ds", site->silence)},
		{"send_timeout 75s", text_of("send_timeout %ds", site->silence)},
		{"#fastcgi_keep_conn on;", keep ? "fastcgi_keep_conn on;" : ""},
		{"#keepalive 1;", keep ? "keepalive 1;" : ""},
		{NULL, NULL},
	};

	stack_write(stack, "nginx.conf",
		    text_of("daemon off;\nworker_processes 2;\npid %s/nginx.pid;\n%s"
			    "events { worker_connections 1024; }\n"
			    "http {\n"
			    "client_body_temp_path %s/body;\nfastcgi_temp_path %s/fastcgi;\n"
			    "proxy_temp_path %s/proxy;\nuwsgi_temp_path %s/uwsgi;\n"
			    "scgi_temp_path %s/scgi;\n"
			    "gzip on;\ngzip_types *;\n" /* what the stream must not get */
			    "%s}\n",
			    dir, site_user() != NULL ? text_of("user %s;\n", site_user()) : "", dir,
			    dir, dir, dir, dir, conf_with("nginx.conf", changes)));
}

static void write_nginx(struct site *site)
{
	write_nginx_conf(site, false);
}

static void write_nginx_kept(struct site *site)
{
	write_nginx_conf(site, true);
}

static void run_nginx(struct site *site, void (*write)(struct site *site))
{
	const char *argv[] = {"nginx",
			      "-p",
			      site->stack->dir,
			      "-e",
			      stack_path(site->stack, "nginx.log"),
			      "-c",
			      stack_path(site->stack, "nginx.conf"),
			      NULL};

	web_start(site, write, argv);
}

static void start_nginx(struct site *site)
{
	api_spawn(site);
	run_nginx(site, write_nginx);
}

static void start_nginx_kept(struct site *site)
{
	api_spawn(site);
	run_nginx(site, write_nginx_kept);
}

/* systemd's way: the sockets are there before and after the programs. */
static void start_activated_nginx(struct site *site)
{
	site_start_api(site);
	run_nginx(site, write_nginx);
}

/* --- HAProxy ------------------------------------------------------------------------------ */

static void write_haproxy(struct site *site)
{
	struct stack *stack = site->stack;
	const struct change changes[] = {
		{"log /dev/log local0", "log stdout format raw local0"},
		{"maxconn 11000", "maxconn 1000"},
		{"hard-stop-after 30s", "hard-stop-after 2s"},
		{"bind :80", text_of("bind 127.0.0.1:%d", stack->port)},
		{"#use_backend presence-web", "use_backend presence-web"},
		{"#backend presence-web", "backend presence-web"},
		{"#    server web 127.0.0.1:8080",
		 text_of("    server web 127.0.0.1:%s", stack_file(stack, "port"))},
		{"timeout client 75s", text_of("timeout client %ds", site->silence)},
		{"timeout server 75s", text_of("timeout server %ds", site->silence)},
		{"unix@/run/presence/api.sock", text_of("unix@%s", stack_path(stack, "api.sock"))},
		{"unix@/run/presence/stream.sock", text_of("unix@%s", streamd_socket(stack, 0))},
		{NULL, NULL},
	};

	stack_write(stack, "haproxy.cfg", conf_with("haproxy.cfg", changes));
}

/* With a web server of its own for the pages. */
static void start_haproxy(struct site *site)
{
	const char *pages[] = {"lighttpd", "-D", "-f", stack_path(site->stack, "lighttpd.conf"),
			       NULL};
	const char *argv[] = {"haproxy", "-W", "-db", "-f", stack_path(site->stack, "haproxy.cfg"),
			      NULL};

	api_listen(site);
	site->front = web_on_port(site, write_lighttpd_socket, pages);
	stack_write(site->stack, "port", text_of("%d", site->stack->port));
	web_start(site, write_haproxy, argv);
}

/* --- the table ---------------------------------------------------------------------------- */

const struct server servers[] = {
	{"lighttpd, bin-path", start_lighttpd_bin, STREAMS | STARTS_API, SIGUSR1},
	{"lighttpd, a running socket", start_lighttpd_socket, STREAMS, SIGUSR1},
	{"lighttpd, HTTP/2", start_lighttpd_http2, STREAMS | STARTS_API, SIGUSR1},
	{"Apache, mod_fcgid and mod_proxy_fcgi", start_apache_fcgid, STREAMS | STARTS_API, SIGUSR1},
	{"Apache, mod_proxy_fcgi alone", start_apache_proxy, STREAMS, SIGUSR1},
	{"Apache, a shared host", start_apache_shared_host,
	 STREAMS | STARTS_STREAMD | STARTS_API | NO_PAGES, SIGUSR1},
	/* Apache ends the daemon that starts the programs, whatever that is doing. */
	{"Apache, mod_cgid", start_apache_cgid, RELOAD_DROPS, SIGUSR1},
	{"Apache, a shared host without mod_fcgid", start_apache_shared_cgi,
	 RELOAD_DROPS | NO_PAGES, SIGUSR1},
	{"nginx", start_nginx, STREAMS, SIGHUP},
	{"nginx, fastcgi_keep_conn", start_nginx_kept, STREAMS, SIGHUP},
	{"HAProxy", start_haproxy, STREAMS, SIGUSR2},
	{"nginx, systemd's sockets", start_activated_nginx, STREAMS | HOLDS_SOCKETS, SIGHUP},
};
const int server_count = sizeof servers / sizeof servers[0];
