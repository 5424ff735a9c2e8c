/* Redis by TLS: who is verified, what is told, and that everything works as without it. */
#include "base/buf.h"
#include "calls.h"
#include "certificates.h"
#include "fleet.h"
#include "process.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/layout.h"

#define HERE "DNS:localhost,IP:127.0.0.1,IP:::1"
#define MANY 900 /* users in one question: more than a TLS record of 16 KB holds */

/* A stack whose authority is ca.pem; nothing runs yet. */
static struct stack *stack_with_authority(void)
{
	struct stack *stack = stack_new(FAST);

	certificate_make_authority(stack, "ca");
	certificate_make(stack, "server", "ca", HERE);
	return stack;
}

/* Starts Redis with a TLS port and this certificate; the port. */
static int start_redis(struct stack *stack, const char *certificate, const char *more)
{
	int port = free_port();
	char *args;

	ck_assert(asprintf(&args,
			   "--tls-port %d --tls-cert-file %s/%s.pem --tls-key-file %s/%s.key "
			   "--tls-ca-cert-file %s/ca.pem %s",
			   port, stack->dir, certificate, stack->dir, certificate, stack->dir,
			   more) > 0);
	redis_start(stack, args);
	free(args);
	return port;
}

/* The configuration: `url` with %d for the port. `more` stands in its section redis. */
static void configure(struct stack *stack, const char *format, int port, const char *more)
{
	char *url, *conf;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	ck_assert(asprintf(&url, format, port) > 0);
#pragma GCC diagnostic pop
	ck_assert(asprintf(&conf, FAST "redis { url = \"%s\" tls_ca = \"%s/ca.pem\" %s }\n", url,
			   stack->dir, more) > 0);
	stack_write_conf(stack, conf);
	free(conf);
	free(url);
}

static void everything_works(struct stack *stack)
{
	const char *token = token_for(stack, "1"), *friend = token_for(stack, "2");
	struct sse *sse;

	streamd_start(stack, 0);
	lighttpd_start(stack);
	http_ok(stack, HEALTH, NULL, NULL);
	sse = sse_open(stack, token);
	sse_ready(sse);
	http_ok(stack, COUNT, friend, NULL);
	sse_wait_change(sse, "2", true, 5000);
	check_has(CTL(stack, "count"), "2");
	http_ok(stack, LOGOUT, friend, "");
	sse_wait_change(sse, "2", false, 5000);
	sse_close(sse);
}

START_TEST(presence_pushd_uses_it)
{
	struct stack *stack = stack_with_authority();
	int port = start_redis(stack, "server", "--tls-auth-clients no");
	const char *argv[] = {program("presence-pushd"), "-c", stack_path(stack, "presence.conf"),
			      NULL};
	char *more;
	pid_t pushd;

	ck_assert(asprintf(&more,
			   "} push { key_file = \"%s/push.pem\" subject = "
			   "\"mailto:push@example.com\"",
			   stack->dir) > 0);
	stack_write_secret(stack, "push.pem", CTL(stack, "push", "key"));
	configure(stack, "rediss://localhost:%d", port, more);
	pushd = process_start(stack, "pushd", argv, NULL, 0);
	WAIT_UNTIL(strstr(stack_file(stack, "pushd.log"), "Redis: connected") != NULL, 5000);
	/* It waits in XREADGROUP, whose answer comes without being asked for again. */
	WAIT_UNTIL(strstr(redis_text(stack, "CLIENT LIST"), "cmd=xreadgroup") != NULL, 5000);
	ck_assert_int_eq(process_end(&pushd, SIGTERM, "presence-pushd", 10000), 0);
	free(more);
	stack_stop(stack);
}
END_TEST

START_TEST(workers_streams_and_presencectl_use_it)
{
	static const struct {
		const char *url, *args;
	} rows[] = {
		{"rediss://localhost:%d", "--tls-auth-clients no --tls-protocols TLSv1.3"},
		{"rediss://127.0.0.1:%d/3", "--tls-auth-clients no --tls-protocols TLSv1.2"},
		{"rediss://:secret@127.0.0.1:%d", "--tls-auth-clients no --requirepass secret"},
	};
	struct stack *stack = stack_with_authority();
	int port = start_redis(stack, "server", rows[_i].args);

	configure(stack, rows[_i].url, port, "");
	everything_works(stack);
	stack_stop(stack);
}
END_TEST

/* What is no notification is thrown away, at whichever node it is queued. */
static void expect_push(struct cluster_stand *cluster)
{
	for (int i = 0; i < CLUSTER_PRIMARIES; i++) {
		unsigned partition = (unsigned)(i * CLUSTER_PARTITIONS / CLUSTER_PRIMARIES + 1),
			 tag = layout_tag(CLUSTER_PARTITIONS, partition);

		freeReplyObject(
			fleet_cmd(&cluster->servers[i], "XADD {%u}push:queue * job x", tag));
		WAIT_UNTIL(fleet_int(&cluster->servers[i], "XLEN {%u}push:queue", tag) == 0, 10000);
	}
}

/* The ports for TLS are what nodes tell of one another, to who asks by it. */
START_TEST(all_programs_use_a_cluster_by_it)
{
	struct stack *stack = stack_with_authority();
	const char *argv[] = {program("presence-pushd"), "-c", stack_path(stack, "presence.conf"),
			      NULL};
	struct cluster_stand *cluster;
	char *text;
	pid_t pushd;

	stack_write_secret(stack, "push.pem", CTL(stack, "push", "key"));
	ck_assert(asprintf(&text,
			   "--tls-port @TLS --tls-cluster yes --tls-replication yes "
			   "--tls-auth-clients no --tls-cert-file %s/server.pem "
			   "--tls-key-file %s/server.key --tls-ca-cert-file %s/ca.pem",
			   stack->dir, stack->dir, stack->dir) > 0);
	cluster = cluster_start(stack, text);
	free(text);
	ck_assert(asprintf(&text,
			   "partitions = %d } push { key_file = \"%s/push.pem\" "
			   "subject = \"mailto:push@example.com\"",
			   CLUSTER_PARTITIONS, stack->dir) > 0);
	configure(stack, "cluster+rediss://127.0.0.1:%d", cluster->tls[1], text);
	free(text);
	everything_works(stack);
	pushd = process_start(stack, "pushd", argv, NULL, 0);
	WAIT_UNTIL(strstr(stack_file(stack, "pushd.log"), "Redis: connected") != NULL, 5000);
	expect_push(cluster);
	ck_assert_int_eq(process_end(&pushd, SIGTERM, "presence-pushd", 10000), 0);
	ck_assert_int_eq(streamd_end(stack, 0, SIGTERM), 0);
	cluster_stop(cluster);
	stack_stop(stack);
}
END_TEST

START_TEST(a_certificate_of_ours_is_shown_where_redis_asks)
{
	struct stack *stack = stack_with_authority();
	int port = start_redis(stack, "server", "--tls-auth-clients yes");
	char *ours;

	certificate_make(stack, "ours", "ca", "DNS:presence");
	ck_assert(asprintf(&ours, "tls_cert = \"%s/ours.pem\" tls_key = \"%s/ours.key\"",
			   stack->dir, stack->dir) > 0);
	configure(stack, "rediss://localhost:%d", port, "");
	ck_assert_int_eq(CTL_STATUS(stack, NULL, "count"), 1);
	check_has(stack_file(stack, "run.log"), "the server asks for a certificate");
	configure(stack, "rediss://localhost:%d", port, ours);
	everything_works(stack);
	free(ours);
	stack_stop(stack);
}
END_TEST

/* More than a record or a read holds, both ways. */
START_TEST(long_questions_and_answers_pass)
{
	struct stack *stack = stack_with_authority();
	int port = start_redis(stack, "server", "--tls-auth-clients no");
	struct printbuf *body = buf_new();
	struct json_object *all;

	configure(stack, "rediss://localhost:%d", port, "");
	lighttpd_start(stack);
	buf_puts(body, "{\"user_ids\":[1");
	for (int i = 2; i <= MANY; i++)
		buf_putf(body, ",%d", i);
	buf_puts(body, "]}");
	for (int i = 0; i < 3; i++) {
		all = http_ok(stack, STATUS_USERS, token_for(stack, "1"), body->buf);
		ck_assert_int_eq(json_object_object_length(all), MANY);
	}
	printbuf_free(body);
	stack_stop(stack);
}
END_TEST

/* What each program says of a Redis it does not trust. */
static void expect_refused(struct stack *stack, const char *why, const char *streamd_why)
{
	char *log;

	ck_assert_int_eq(CTL_STATUS(stack, NULL, "count"), 1);
	log = stack_file(stack, "run.log");
	check_has(log, why);
	free(log);
	streamd_start(stack, 0);
	WAIT_UNTIL(strstr(stack_file(stack, "streamd0.log"), streamd_why) != NULL, 5000);
	check_has_not(stack_file(stack, "streamd0.log"), "redis: connected");
	streamd_end(stack, 0, SIGTERM);
	unlink(stack_path(stack, "streamd0.log"));
}

START_TEST(a_redis_that_is_not_the_one_is_refused)
{
	static const struct {
		const char *certificate, *url, *args, *why;
	} rows[] = {
		{"other-host", "rediss://localhost:%d", "", "hostname mismatch"},
		{"other-host", "rediss://127.0.0.1:%d", "", "IP address mismatch"},
		{"other-authority", "rediss://localhost:%d", "", "unable to get local issuer"},
		{"expired", "rediss://localhost:%d", "", "certificate has expired"},
		{"server", "rediss://localhost:%d", "--tls-protocols TLSv1.1", "TLS: "},
	};
	struct stack *stack = stack_with_authority();
	struct response *response;
	char *args, *out;
	int port;

	certificate_make(stack, "other-host", "ca", "DNS:elsewhere.example,IP:127.0.0.2");
	certificate_make_authority(stack, "ca2");
	certificate_make(stack, "other-authority", "ca2", HERE);
	certificate_make_expired(stack, "expired", "ca", HERE);
	ck_assert(asprintf(&args, "--tls-auth-clients no %s", rows[_i].args) > 0);
	port = start_redis(stack, rows[_i].certificate, args);
	configure(stack, rows[_i].url, port, "");
	ck_assert_int_eq(CTL_STATUS(stack, &out, "doctor"), 1);
	check_has(out, "redis.tls_ca");
	check_has(out, rows[_i].why);
	expect_refused(stack, rows[_i].why, rows[_i].why);
	lighttpd_start(stack);
	response = HTTP(stack, .path = COUNT, .token = token_for(stack, "1"));
	check_problem(response, 503, "redis_unavailable");
	free(args);
	stack_stop(stack);
}
END_TEST

START_TEST(tls_on_one_side_alone_is_told)
{
	struct stack *stack = stack_with_authority();
	int plain = free_port(), port;
	char *args;

	ck_assert(asprintf(&args, "--tls-auth-clients no --port %d", plain) > 0);
	port = start_redis(stack, "server", args);
	configure(stack, "rediss://localhost:%d", plain, "");
	expect_refused(stack, "TLS: no answer in time", "no answer in time");
	configure(stack, "redis://localhost:%d", port, "");
	expect_refused(stack, "Redis at localhost", "level=warning msg=\"redis: ");
	free(args);
	stack_stop(stack);
}
END_TEST

START_TEST(a_server_that_does_not_say_a_word_of_tls_is_given_up_in_time)
{
	struct stack *stack = stack_with_authority();
	struct sockaddr_in name = {.sin_family = AF_INET};
	socklen_t len = sizeof name;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int64_t start;

	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	configure(stack, "rediss://localhost:%d", ntohs(name.sin_port), "");
	start = now_ms();
	ck_assert_int_eq(CTL_STATUS(stack, NULL, "count"), 1);
	ck_assert_msg(now_ms() - start < 1000 + patience(1000), "only after %d ms",
		      (int)(now_ms() - start));
	streamd_start(stack, 0);
	WAIT_UNTIL(strstr(stack_file(stack, "streamd0.log"), "no answer in time") != NULL, 5000);
	check_has(stack_file(stack, "run.log"), "TLS: no answer in time");
	close(fd);
	stack_stop(stack);
}
END_TEST

/* A certificate that is renewed: the next connection shows the new one. */
START_TEST(renewed_certificates_take_effect_with_the_next_connection)
{
	struct stack *stack = stack_with_authority();
	int port = start_redis(stack, "server", "--tls-auth-clients yes");
	char *conf;
	struct sse *sse;

	certificate_make_expired(stack, "ours", "ca", "DNS:presence");
	ck_assert(asprintf(&conf, "tls_cert = \"%s/ours.pem\" tls_key = \"%s/ours.key\"",
			   stack->dir, stack->dir) > 0);
	configure(stack, "rediss://localhost:%d", port, conf);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	ck_assert_int_eq(HTTP(stack, .path = HEALTH)->status, 503);
	certificate_make(stack, "ours", "ca", "DNS:presence");
	WAIT_UNTIL(HTTP(stack, .path = HEALTH)->status == 200, 5000);
	sse = sse_open(stack, token_for(stack, "1"));
	sse_ready(sse);
	sse_close(sse);
	free(conf);
	stack_stop(stack);
}
END_TEST

static void expect_bad_start(struct stack *stack, const char *name, const char *why)
{
	const char *argv[] = {program(name), "-c", stack_path(stack, "presence.conf"), NULL};
	char *log;

	unlink(stack_path(stack, "run.log"));
	ck_assert_int_eq(run(stack, NULL, NULL, argv), 2);
	log = stack_file(stack, "run.log");
	check_has(log, why);
	free(log);
}

START_TEST(files_that_cannot_be_used_are_refused_at_start)
{
	static const struct {
		const char *more, *why;
	} rows[] = {
		{"tls_ca = \"@/absent.pem\"", "absent.pem: No such file"},
		{"tls_ca = \"@/key\"", "key: "},
		{"tls_cert = \"@/absent.pem\" tls_key = \"@/ours.key\"",
		 "absent.pem: No such file"},
		{"tls_cert = \"@/ours.pem\" tls_key = \"@/absent.key\"",
		 "absent.key: No such file"},
		{"tls_cert = \"@/ours.pem\" tls_key = \"@/server.key\"", "key values mismatch"},
		{"tls_cert = \"@/ours.pem\" tls_key = \"@/open.key\"", "chmod 0640"},
		{"tls_cert = \"@/ours.pem\"", "go together"},
		{"tls_key = \"@/ours.key\"", "go together"},
	};
	struct stack *stack = stack_with_authority();
	char *key;

	certificate_make(stack, "ours", "ca", "DNS:presence");
	key = stack_file(stack, "ours.key");
	stack_write(stack, "open.key", key);
	ck_assert_int_eq(chmod(stack_path(stack, "open.key"), 0644), 0);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct printbuf *more = buf_new();

		for (const char *c = rows[i].more; *c != '\0'; c++) {
			if (*c == '@')
				buf_puts(more, stack->dir);
			else
				buf_put(more, c, 1);
		}
		configure(stack, "rediss://localhost:%d", 1, more->buf);
		printbuf_free(more);
		expect_bad_start(stack, "presence-streamd", rows[i].why);
		expect_bad_start(stack, "presence-pushd", rows[i].why);
	}
	free(key);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("redis_tls");
	TCase *tcase = harness_case(suite, "works", 40);

	tcase_add_loop_test(tcase, workers_streams_and_presencectl_use_it, 0, 3);
	tcase_add_test(tcase, presence_pushd_uses_it);
	tcase_add_test(tcase, all_programs_use_a_cluster_by_it);
	tcase_add_test(tcase, a_certificate_of_ours_is_shown_where_redis_asks);
	tcase_add_test(tcase, long_questions_and_answers_pass);
	tcase_add_test(tcase, renewed_certificates_take_effect_with_the_next_connection);
	tcase = harness_case(suite, "refusals", 40);
	tcase_add_loop_test(tcase, a_redis_that_is_not_the_one_is_refused, 0, 5);
	tcase_add_test(tcase, tls_on_one_side_alone_is_told);
	tcase_add_test(tcase, a_server_that_does_not_say_a_word_of_tls_is_given_up_in_time);
	tcase_add_test(tcase, files_that_cannot_be_used_are_refused_at_start);
	return harness_main(suite);
}
