/* presencectl doctor: each mistake is made on purpose, and it names the line to change. */
#include "harness.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"
#include "servers.h"

#define ARGS_MAX 24
#define WEB "--url" /* stands for --url and where the web server is */

/* --- running it --------------------------------------------------------------------------- */

/*
 * Runs doctor with a variable of the environment (or NULL) and further
 * arguments up to NULL; its output.
 */
static const char *mistake_made = ""; /* told when a test fails */
#define doctor(...) doctor_of(__LINE__, __VA_ARGS__, NULL)
static char *doctor_of(int line, struct stack *stack, const char *variable, int expected, ...)
{
	const char *argv[ARGS_MAX] = {
		"env", variable != NULL ? variable : "UNUSED=", program("presencectl"),
		"-c",  stack_path(stack, "presence.conf"),	"doctor"};
	int count = 6, status;
	const char *word;
	va_list args;
	char *out;

	va_start(args, expected);
	while (count < ARGS_MAX - 2 && (word = va_arg(args, const char *)) != NULL) {
		argv[count++] = word;
		if (strcmp(word, WEB) == 0)
			argv[count++] = text_of("http://127.0.0.1:%d/", stack->port);
	}
	va_end(args);
	status = run(stack, &out, NULL, argv);
	ck_assert_msg(status == expected, "line %d, %s: exit status %d instead of %d:\n%s%s", line,
		      mistake_made, status, expected, out, stack_file(stack, "run.log"));
	return out;
}

/* --- the programs and what they stand on -------------------------------------------------- */

START_TEST(doctor_finds_nothing_wrong_with_a_site_that_works)
{
	struct stack *stack = stack_start(FAST);
	struct json_object *list;
	char *out;

	WAIT_UNTIL(redis_has(stack, "presence:swept"), 5000);
	out = doctor(stack, NULL, 0, WEB, "--user", "1");
	check_has_not(out, "FAIL");
	check_has(out, "ok    keys: a token was signed and verified\n");
	check_has(out, "ok    directory: account_query is answered\n");
	check_has(out, "ok    directory: friends_query is answered\n");
	check_has(out, "ok    streamd: answers at unix:");
	check_has(out, "ok    redis: answers, version ");
	check_has(out, "ok    redis: keys can be written\n");
	check_has(out, "ok    redis: takes the scripts\n");
	check_has(out, "ok    sweeper: ");
	check_has(out, "ok    web: the Authorization field arrives\n");
	check_has(out, "ok    web: the stream starts within ");
	check_has(out, "ok    web: what is published arrives after ");
	check_has(out, "ok    web: a heartbeat came\n");
	check_has(out, "ok    web: with 200 streams open calls are answered\n");
	/* Whoever it asked as is not left online. */
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 0);

	out = doctor(stack, NULL, 0, WEB, "--quick", "--json");
	list = json_tokener_parse(out);
	ck_assert_msg(list != NULL, "no JSON: %s", out);
	ck_assert_int_gt(json_object_array_length(list), 8);
	CHECK_JSON(json_object_array_get_idx(list, 0),
		   "{'state':'ok','what':'<string>','change':null}");
	stack_stop(stack);
}
END_TEST

START_TEST(doctor_finds_programs_that_do_not_run)
{
	struct stack *stack = stack_new("");
	char *out = doctor(stack, NULL, 1);

	check_has(out, "FAIL  redis: ");
	check_has(out, "FAIL  streamd: nobody answers at unix:");
	redis_start(stack, NULL);
	stack->port = 1;
	out = doctor(stack, NULL, 1, WEB, "--quick");
	check_has(out, "ok    redis: answers");
	check_has(out, "warn  sweeper: no presence-streamd sweeps");
	check_has(out, "FAIL  web: /health: ");
	stack_stop(stack);
}
END_TEST

START_TEST(doctor_finds_mistakes_in_the_configuration)
{
	struct stack *stack = stack_start("");
	char *conf, *variable;

	WAIT_UNTIL(redis_has(stack, "presence:swept"), 5000);
	check_has(doctor(stack, "PRESENCE_AUTH_KEY_FILE=/nonexistent", 1), "FAIL  keys: ");
	stack_write_secret(stack, "short", "too short");
	ck_assert(asprintf(&variable, "PRESENCE_AUTH_KEY_FILE=%s/short", stack->dir) > 0);
	check_has(doctor(stack, variable, 1), "FAIL  keys: ");
	check_has(doctor(stack, "PRESENCE_DIRECTORY_PARAMS=/nonexistent/x.db", 1),
		  "FAIL  directory.params: ");
	check_has(doctor(stack,
			 "PRESENCE_DIRECTORY_FRIENDS_QUERY=SELECT x FROM nowhere WHERE y = %s", 1),
		  "FAIL  directory: friends_query is not answered");
	check_has(doctor(stack,
			 "PRESENCE_DIRECTORY_ACCOUNT_QUERY=SELECT id FROM users WHERE id = %s", 1),
		  "FAIL  directory: account_query is not answered");
	check_has(doctor(stack, "PRESENCE_REDIS_PREFIX=other:", 1),
		  "FAIL  sweeper: presence-streamd runs, but does not sweep here");
	check_has(doctor(stack, "PRESENCE_STREAM_MAX_STREAMS=1000000", 0),
		  "warn  descriptors: presence-streamd may open ");
	check_has(doctor(stack, "PRESENCE_HTTP_BASE=/elsewhere", 1, WEB, "--quick"),
		  "FAIL  web: /health is answered 404");

	/* A key of another site: the programs refuse the token. */
	stack_write_secret(stack, "other", "another secret of at least 32 bytes");
	ck_assert(asprintf(&variable, "PRESENCE_AUTH_KEY_FILE=%s/other", stack->dir) > 0);
	check_has(doctor(stack, variable, 1, WEB, "--quick"),
		  "FAIL  web: /online-status/count is answered 401 token_invalid - let the web");

	/* A key that every user of the machine may read. */
	stack_write(stack, "open", "a secret of at least 32 bytes, open to all");
	ck_assert(asprintf(&variable, "PRESENCE_AUTH_KEY_FILE=%s/open", stack->dir) > 0);
	check_has(doctor(stack, variable, 1), "/open: mode 0644 opens this secret to every user");

	/* Keys of two pairs. */
	make_key_pair(stack, "rsa", "a");
	make_key_pair(stack, "rsa", "b");
	ck_assert(asprintf(&conf,
			   "auth { algorithm = RS256 key_file = \"%s/a.pub\" signing_key_file = "
			   "\"%s/b.pem\" }",
			   stack->dir, stack->dir) > 0);
	stack_write_conf(stack, conf);
	check_has(doctor(stack, NULL, 1), "does not belong to a public key");
	stack_stop(stack);
}
END_TEST

START_TEST(doctor_finds_a_redis_that_forgets_or_refuses)
{
	struct stack *stack = stack_new("");
	char *out;

	redis_start(stack, "--maxmemory 100mb --maxmemory-policy allkeys-lru");
	streamd_start(stack, 0);
	WAIT_UNTIL(redis_has(stack, "presence:swept"), 5000);
	out = doctor(stack, NULL, 0);
	check_has(out, "warn  redis: when full it drops keys (allkeys-lru)");
	check_has(out, "warn  redis: keeps nothing over a restart");
	check_has(stack_file(stack, "streamd0.log"),
		  "Redis drops keys when it is full (allkeys-lru)");
	check_has(stack_file(stack, "streamd0.log"), "Redis keeps nothing over a restart");
	redis_cmd(stack, "CONFIG SET maxmemory-policy noeviction");
	redis_cmd(stack, "CONFIG SET save %s", "3600 1");
	out = doctor(stack, NULL, 0);
	check_has(out, "ok    redis: drops no keys of its own accord");
	check_has(out, "ok    redis: keeps its data over a restart");
	redis_cmd(stack, "CONFIG SET save %s", "");
	redis_cmd(stack, "CONFIG SET appendonly yes");
	check_has(doctor(stack, NULL, 0), "ok    redis: keeps its data over a restart");
	ck_assert(redis_cmd(stack, "CONFIG SET client-output-buffer-limit %s", "pubsub 1000 1000 1")
			  ->type == REDIS_REPLY_STATUS);
	check_has(doctor(stack, NULL, 0), "warn  redis: a subscriber that is 1000 bytes");
	redis_cmd(stack, "CONFIG SET min-replicas-to-write 1");
	check_has(doctor(stack, NULL, 1), "FAIL  redis: keys cannot be written: NOREPLICAS");
	redis_cmd(stack, "CONFIG SET min-replicas-to-write 0");
	redis_cmd(stack, "REPLICAOF 127.0.0.1 1");
	check_has(doctor(stack, NULL, 1), "FAIL  redis: this one is a replica");
	redis_cmd(stack, "REPLICAOF NO ONE");
	stack_stop(stack);
}
END_TEST

START_TEST(doctor_finds_too_few_descriptors_of_streamd)
{
	struct stack *stack = stack_new("stream { max_streams = 1000 }");

	redis_start(stack, NULL);
	stack->streamd_nofile = 200;
	streamd_start(stack, 0);
	WAIT_UNTIL(redis_has(stack, "presence:swept"), 5000);
	check_has(
		doctor(stack, NULL, 0),
		"warn  descriptors: presence-streamd may open 200, so at most 104 streams instead "
		"of max_streams = 1000 - LimitNOFILE= higher");
	ck_assert_int_eq(streamd_end(stack, 0, SIGTERM), 0);
	stack->streamd_nofile = 2000;
	streamd_start(stack, 0);
	check_has(doctor(stack, NULL, 0), "ok    descriptors: presence-streamd may open 2000, ");
	stack_stop(stack);
}
END_TEST

/* --- a web server's mistakes -------------------------------------------------------------- */

/* Time-outs of 30 s are longer than the heartbeat, those of 1 s are not. */
#define SILENCE 30
#define CONF                                                    \
	"presence { heartbeat = 4 stream_ttl = 9 grace = 1 }\n" \
	"stream { max_streams = 60 drain = 1 }\n"

#define STREAMS_TRIED "50"

struct mistake {
	const char *from, *to; /* in the web server's configuration */
	int expected; /* exit status */
	const char *found; /* what doctor says of it */
	bool takes_time; /* doctor without --quick */
};

static struct site *start_site(const char *name)
{
	struct site *site = NULL;

	for (int i = 0; i < server_count && site == NULL; i++) {
		if (strcmp(servers[i].name, name) == 0)
			site = site_start(&servers[i], CONF, SILENCE);
	}
	ck_assert_msg(site != NULL, "there is no server '%s'", name);
	WAIT_UNTIL(redis_has(site->stack, "presence:swept"), 5000);
	redis_cmd(site->stack, "CONFIG SET save %s", "3600 1");
	return site;
}

/* As conf/ has it, nothing is wrong, and nobody is left online. */
static void check_right(struct site *site)
{
	char *out = doctor(site->stack, NULL, 0, WEB, "--streams", STREAMS_TRIED);

	check_has_not(out, "FAIL");
	for (char *line = strstr(out, "warn  "); line != NULL; line = strstr(line + 1, "warn  "))
		/* Key and socket are open to all here, for the test's own sake. */
		ck_assert_msg(strstr(line, "every user of this machine may") < strchr(line, '\n') &&
				      strstr(line, "every user of this machine may") != NULL,
			      "a warning without a reason:\n%s", out);
	check_has(out, "ok    web: what is published arrives after ");
	check_has(out, "ok    web: a heartbeat came\n");
	check_has(out, "ok    web: with 50 streams open calls are answered\n");
	check_has(out, "enough for max_streams = 60\nok    web: the Auth");
	ck_assert_int_eq(redis_int(site->stack, "SCARD online_users"), 0);
}

static void make_mistakes(struct site *site, const char *file, const struct mistake *list,
			  int count)
{
	for (int i = 0; i < count; i++) {
		const struct mistake *mistake = &list[i];
		char *before = stack_file(site->stack, file), *out;

		mistake_made = mistake->to;
		site_change(site, file, mistake->from, mistake->to);
		out = doctor(site->stack, NULL, mistake->expected, WEB,
			     mistake->takes_time ? "--streams" : "--quick",
			     mistake->takes_time ? STREAMS_TRIED : NULL);
		check_has(out, mistake->found);
		stack_write(site->stack, file, before);
	}
	mistake_made = "";
	site_change(site, file, NULL, NULL);
}
#define MAKE_MISTAKES(site, file, list) \
	make_mistakes(site, file, list, (int)(sizeof(list) / sizeof(list)[0]))

/* The socket's rights: those of the web server's user, who is another one than root. */
static void make_socket_mistakes(struct site *site, const char *server)
{
	const char *socket = streamd_socket(site->stack, 0);

	if (site_user() == NULL) {
		/* All are one user: then it is doctor itself that may not connect. */
		ck_assert_int_eq(chmod(socket, 0), 0);
		check_has(
			doctor(site->stack, NULL, 1, WEB, "--quick"),
			"Permission denied - run this as a user of its group, or set stream.mode");
	} else {
		ck_assert_int_eq(chmod(socket, 0600), 0);
		check_has(
			doctor(site->stack, NULL, 1, WEB, "--quick"),
			text_of("%s's user %s may not connect to %s: %s is 0600 root:root - "
				"stream.mode (or SocketMode=) 0660, and a group in common with %s",
				server, site_user(), socket, socket, site_user()));
		ck_assert_int_eq(chmod(socket, 0660), 0);
		ck_assert_int_eq(chown(socket, 0, 1), 0);
		check_has(doctor(site->stack, NULL, 1, WEB, "--quick"),
			  text_of("is 0660 root:daemon - adduser %s daemon, and restart %s",
				  site_user(), server));
	}
	ck_assert_int_eq(chmod(socket, 0666), 0);
}

START_TEST(doctor_names_the_line_of_lighttpd)
{
	static const struct mistake list[] = {
		{"server.stream-response-body = 2", "server.stream-response-body = 0", 1,
		 "do not arrive within 2000 ms - lighttpd: server.stream-response-body = 2", false},
		{"server.modules += (",
		 "server.modules += (\"mod_setenv\")\n"
		 "setenv.set-request-header = (\"Authorization\" => \"\")\nserver.modules += (",
		 1,
		 "FAIL  web: /online-status/count is answered 401 token_missing - lighttpd: no "
		 "Authorization in setenv.set-request-header",
		 false},
		{"server.modules += (",
		 "server.modules += (\"mod_setenv\")\n"
		 "setenv.set-response-header = (\"Content-Encoding\" => \"gzip\")\nserver.modules "
		 "+= (",
		 1,
		 "FAIL  web: the stream is compressed (gzip), which holds events back - lighttpd: "
		 "no "
		 "Content-Encoding in setenv.set-response-header",
		 false},
		/* No mistake: lighttpd compresses complete answers only. */
		{"server.modules += (",
		 "server.modules += (\"mod_deflate\")\n"
		 "deflate.mimetypes = (\"text/event-stream\")\nserver.modules += (",
		 0, "ok    web: what is published arrives after ", false},
		{"server.max-write-idle = 30", "server.max-write-idle = 1", 1,
		 "a time-out is too short - longer than presence.heartbeat = 4, better twice as "
		 "long: "
		 "lighttpd: server.max-write-idle",
		 true},
		{"server.max-connections = 11000", "server.max-connections = 20", 1,
		 "and stream.max_streams = 60 - lighttpd: server.max-connections", true},
		{"server.max-fds         = 24000", "server.max-fds = 100", 0,
		 "may open 100, two for each stream, so at most 34 streams instead of max_streams "
		 "= 60 "
		 "- lighttpd: server.max-fds",
		 false},
		{"var.presence_base + \"presence/stream\" => (",
		 "var.presence_base + \"nowhere/stream\" => (", 1,
		 "FAIL  web: /presence/stream is answered 501 streams_unavailable - hand http.base",
		 false},
	};
	struct site *site = start_site("lighttpd, a running socket");

	give(site->stack, "access.log");
	if (site_user() != NULL)
		site_change(site, "lighttpd.conf", "server.port",
			    text_of("server.username = \"%s\"\nserver.port", site_user()));
	check_right(site);
	make_socket_mistakes(site, "lighttpd");
	MAKE_MISTAKES(site, "lighttpd.conf", list);
	check_right(site);
	site_stop(site);
}
END_TEST

START_TEST(doctor_names_the_line_of_apache)
{
	static const struct mistake list[] = {
		{"flushpackets=on timeout", "timeout", 1,
		 " - Apache: flushpackets=on at the stream's ProxyPass", false},
		{"CGIPassAuth On", "", 1,
		 "FAIL  web: /online-status/count is answered 401 token_missing - Apache: "
		 "CGIPassAuth "
		 "On in the <Location> of this path",
		 false},
		{"SetEnv no-gzip 1", "", 1,
		 "FAIL  web: the stream is compressed (gzip), which holds events back - Apache: "
		 "SetEnv "
		 "no-gzip 1",
		 false},
		{"on timeout=30", "on timeout=1", 1,
		 "a time-out is too short - longer than presence.heartbeat = 4, better twice as "
		 "long: "
		 "Apache: timeout= at the stream's ProxyPass",
		 true},
		{"ThreadsPerChild 64\nMaxRequestWorkers 128",
		 "ThreadsPerChild 20\nMaxRequestWorkers 20", 1,
		 "and stream.max_streams = 60 - Apache: MaxRequestWorkers", true},
	};
	struct site *site = start_site("Apache, mod_fcgid and mod_proxy_fcgi");

	check_right(site);
	make_socket_mistakes(site, "Apache");
	site->nofile = 100;
	site_change(site, NULL, NULL, NULL);
	site->nofile = 0;
	check_has(doctor(site->stack, NULL, 0, WEB, "--quick"),
		  "may open 100, two for each stream, so at most 34 streams instead of max_streams "
		  "= 60 - Apache: APACHE_ULIMIT_MAX_FILES");
	MAKE_MISTAKES(site, "apache.conf", list);
	check_right(site);
	site_stop(site);
}
END_TEST

START_TEST(doctor_names_the_line_of_nginx)
{
	static const struct mistake list[] = {
		{"fastcgi_buffering off;", "fastcgi_ignore_headers X-Accel-Buffering;", 1,
		 " - nginx: fastcgi_buffering off in the stream's location, and no "
		 "fastcgi_ignore_headers",
		 false},
		{"fastcgi_buffering off;",
		 "fastcgi_buffering off; fastcgi_pass_request_headers off;", 1,
		 "FAIL  web: /presence/stream is answered 401 token_missing - nginx: "
		 "fastcgi_pass_request_headers on",
		 false},
		{"gzip off;", "", 1,
		 "FAIL  web: the stream is compressed (gzip), which holds events back - nginx: "
		 "gzip "
		 "off",
		 false},
		{"fastcgi_read_timeout 30s;", "fastcgi_read_timeout 1s;", 1,
		 "a time-out is too short - longer than presence.heartbeat = 4, better twice as "
		 "long: "
		 "nginx: fastcgi_read_timeout",
		 true},
		{"worker_processes 2;\n", "worker_processes 1;\n", 0,
		 "ok    web: with 50 streams open", true},
		{"worker_connections 1024;", "worker_connections 32;", 1,
		 "and stream.max_streams = 60 - nginx: worker_connections", true},
		{"worker_processes 2;\n", "worker_processes 2;\nworker_rlimit_nofile 50;\n", 0,
		 "may open 50, two for each stream, so at most 18 streams instead of max_streams = "
		 "60 "
		 "- "
		 "nginx: worker_rlimit_nofile",
		 false},
	};
	struct site *site = start_site("nginx");

	check_right(site);
	make_socket_mistakes(site, "nginx");
	MAKE_MISTAKES(site, "nginx.conf", list);
	check_right(site);
	site_stop(site);
}
END_TEST

START_TEST(doctor_names_the_line_of_haproxy)
{
	static const struct mistake list[] = {
		{"\n    pass-header Authorization", "", 1,
		 "is answered 401 token_missing - HAProxy: pass-header Authorization in the "
		 "fcgi-app",
		 false},
		{"timeout server 30s", "timeout server 1s", 1,
		 "a time-out is too short - longer than presence.heartbeat = 4, better twice as "
		 "long: "
		 "HAProxy: timeout server",
		 true},
		{"maxconn 1000", "maxconn 20", 1, "and stream.max_streams = 60 - HAProxy: maxconn",
		 true},
	};
	struct site *site = start_site("HAProxy");

	check_right(site);
	MAKE_MISTAKES(site, "haproxy.cfg", list);
	check_right(site);
	site_stop(site);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("doctor");
	TCase *tcase = harness_case(suite, "programs", 60);

	tcase_add_test(tcase, doctor_finds_nothing_wrong_with_a_site_that_works);
	tcase_add_test(tcase, doctor_finds_programs_that_do_not_run);
	tcase_add_test(tcase, doctor_finds_mistakes_in_the_configuration);
	tcase_add_test(tcase, doctor_finds_a_redis_that_forgets_or_refuses);
	tcase_add_test(tcase, doctor_finds_too_few_descriptors_of_streamd);

	tcase = harness_case(suite, "web servers", 120);
	tcase_add_test(tcase, doctor_names_the_line_of_lighttpd);
	tcase_add_test(tcase, doctor_names_the_line_of_apache);
	tcase_add_test(tcase, doctor_names_the_line_of_nginx);
	tcase_add_test(tcase, doctor_names_the_line_of_haproxy);
	return harness_main(suite);
}
