/* Redis behind Sentinels: who is found, and what a failover leaves. */
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
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"

/* Sessions outlive a failover, so that nothing but the failover can end them. */
#define TIMES                                                                              \
	"presence { online_ttl = 40 heartbeat = 2 stream_ttl = 30 grace = 2 sweep = 1 }\n" \
	"stream { drain = 1 }\n"

static void configure(struct stack *stack, const char *url, const char *more)
{
	char *conf;

	ck_assert(asprintf(&conf, TIMES "redis { url = \"%s\" %s }\n", url, more) > 0);
	stack_write_conf(stack, conf);
	free(conf);
}

/* A stack behind Sentinels; nothing of ours runs yet. */
static struct sentinel_stand *stand_start(const char *args, const char *sentinel_args)
{
	struct stack *stack = stack_new(TIMES);
	struct sentinel_stand *stand = sentinels_start(stack, args, sentinel_args);

	configure(stack, stand->url, "");
	return stand;
}

static void stand_stop(struct sentinel_stand *stand)
{
	struct stack *stack = stand->stack;

	/* First ours, whose goodbyes Redis is to hear. */
	if (stack->streamd[0] != 0)
		ck_assert_int_eq(streamd_end(stack, 0, SIGTERM), 0);
	sentinels_stop(stand);
	stack_stop(stack);
}

static bool is_well(struct stack *stack)
{
	return HTTP(stack, .path = HEALTH)->status == 200;
}

static bool log_has(struct stack *stack, const char *name, const char *text)
{
	char *log = stack_file(stack, name);
	bool has = strstr(log, text) != NULL;

	free(log);
	return has;
}

/*
 * While streams register anew it is not told; and each worker that was connected to a primary which stands still
 * learns of that by a call.
 */
static struct json_object *ask(struct stack *stack, const char *path, const char *token,
			       const char *body)
{
	struct response *answer = NULL;

	WAIT_UNTIL((answer = HTTP(stack, .path = path, .token = token, .body = body))->status !=
			   503,
		   8000);
	ck_assert_msg(answer->status == 200, "%s: %d", path, answer->status);
	return answer->json;
}

/* Everyone's view, asked by a call, is the primary's. */
static void expect_online(struct stack *stack, const char *viewer, const char *id, bool online)
{
	struct json_object *status;
	char *path;

	ck_assert(asprintf(&path, STATUS_USER "%s", id) > 0);
	status = ask(stack, path, token_for(stack, viewer), NULL);
	ck_assert_msg(json_object_get_boolean(json_at(status, "is_online")) == online,
		      "%s is_online: %s", id, json_object_to_json_string(status));
	free(path);
}

/* A change reaches the stream: it is subscribed where things happen. */
static void expect_live(struct stack *stack, struct sse *sse, const char *id)
{
	const char *token = token_for(stack, id);

	ask(stack, COUNT, token, NULL);
	sse_wait_change(sse, id, true, 5000);
	ask(stack, LOGOUT, token, "");
	sse_wait_change(sse, id, false, 5000);
}

START_TEST(the_primary_is_found_and_used)
{
	struct sentinel_stand *stand = stand_start(NULL, NULL);
	struct stack *stack = stand->stack;
	struct sse *sse;
	char *place;

	streamd_start(stack, 0);
	lighttpd_start(stack);
	ck_assert(is_well(stack));
	sse = sse_open(stack, token_for(stack, "1"));
	sse_ready(sse);
	expect_live(stack, sse, "2");
	check_has(CTL(stack, "count"), "1");
	ck_assert_int_eq(fleet_int(&stand->servers[0], "SCARD online_users"), 1);
	ck_assert(asprintf(&place, "redis: connected to 127.0.0.1:%d", stand->servers[0].port) > 0);
	ck_assert(log_has(stack, "streamd0.log", place));
	sse_close(sse);
	free(place);
	stand_stop(stand);
}
END_TEST

static void lose_primary(struct sentinel_stand *stand, const char *how)
{
	if (strcmp(how, "killed") == 0)
		fleet_kill(&stand->servers[0]);
	else if (strcmp(how, "frozen") == 0)
		signal_and_wait_stopped(stand->servers[0].pid);
	else /* handed over: nothing is lost, and the epoch is the same */
		freeReplyObject(fleet_cmd(&stand->sentinels[0], "SENTINEL FAILOVER main"));
}

/* Who has a stream stays online, who went offline stays so, and the streams hear what happens next. */
START_TEST(after_a_failover_the_truth_holds)
{
	static const char *const ways[] = {"killed", "frozen", "handed over"};
	struct sentinel_stand *stand = stand_start(NULL, NULL);
	struct stack *stack = stand->stack;
	struct sse *one, *three;
	struct event *initial;
	char *epoch;

	streamd_start(stack, 0);
	lighttpd_start(stack);
	one = sse_open(stack, token_for(stack, "1"));
	three = sse_open(stack, token_for(stack, "3"));
	sse_ready(one);
	sse_ready(three);
	expect_live(stack, one, "2");
	epoch = fleet_text(&stand->servers[0], "GET presence:epoch");
	/* All of it has reached a replica: what is lost otherwise is not this test's. */
	fleet_int(&stand->servers[0], "WAIT 2 5000");
	lose_primary(stand, ways[_i]);
	sse_wait(one, "degraded", 30000);
	sentinels_wait_primary(stand, stand->servers[0].port);
	initial = sse_wait(one, "initial", 30000);
	check_has(initial->data, "\"user_id\":3,\"is_online\":true");
	check_has(initial->data, "\"user_id\":2,\"is_online\":false");
	sse_wait(three, "initial", 10000);
	WAIT_UNTIL(is_well(stack), 10000);
	ck_assert(log_has(stack, "streamd0.log", "redis: another primary, or started again"));
	expect_live(stack, one, "2");
	expect_live(stack, three, "4");
	expect_online(stack, "5", "1", true);
	expect_online(stack, "5", "3", true);
	if (strcmp(ways[_i], "killed") != 0) {
		struct fleet_server *now = sentinels_wait_primary(stand, stand->servers[0].port);

		ck_assert_str_eq(fleet_text(now, "GET presence:epoch"), epoch);
	}
	kill(stand->servers[0].pid != 0 ? stand->servers[0].pid : getpid(), SIGCONT);
	sse_close(one);
	sse_close(three);
	free(epoch);
	stand_stop(stand);
}
END_TEST

/*
 * The old primary wakes up and takes writes until Sentinels tell it what it is
 * now. What is written there is lost; it makes no ghosts.
 */
START_TEST(what_an_old_primary_still_takes_leaves_no_ghosts)
{
	struct sentinel_stand *stand = stand_start(NULL, NULL);
	struct fleet_server *old = &stand->servers[0], *now;
	struct stack *stack = stand->stack;
	struct sse *sse;

	streamd_start(stack, 0);
	lighttpd_start(stack);
	sse = sse_open(stack, token_for(stack, "1"));
	sse_ready(sse);
	for (int i = 0; i < 6; i++) /* each worker has a connection to it */
		http_ok(stack, COUNT, token_for(stack, "2"), NULL);
	fleet_int(old, "WAIT 2 5000");
	lose_primary(stand, "frozen");
	now = sentinels_wait_primary(stand, old->port);
	sse_wait(sse, "initial", 30000);
	kill(old->pid, SIGCONT);
	/* Who holds an old connection writes there, workers too: before any of it is told. */
	freeReplyObject(fleet_cmd(old, "SET user:online:6 {\"user_id\":6}"));
	freeReplyObject(fleet_cmd(old, "SADD online_users 6"));
	for (int i = 0; i < 6; i++)
		HTTP(stack, .path = COUNT, .token = token_for(stack, "5"));
	WAIT_UNTIL(strcmp(fleet_info(old, "role"), "slave") == 0, 30000);
	WAIT_UNTIL(strcmp(fleet_info(old, "master_link_status"), "up") == 0, 10000);
	/* The others may be online once more or offline: they say what they are. */
	expect_online(stack, "1", "6", false);
	expect_online(stack, "1", "1", true);
	ck_assert_int_eq(fleet_int(now, "SISMEMBER online_users 6"), 0);
	WAIT_UNTIL(is_well(stack), 5000);
	expect_live(stack, sse, "4");
	sse_close(sse);
	stand_stop(stand);
}
END_TEST

START_TEST(sentinels_that_are_away_stand_in_nobodys_way)
{
	struct sentinel_stand *stand = stand_start(NULL, NULL);
	struct stack *stack = stand->stack;
	int64_t start;

	/* The one that stands still costs a quarter of that, not all. */
	configure(stack, stand->url, "timeout_ms = 4000");
	fleet_kill(&stand->sentinels[0]);
	signal_and_wait_stopped(stand->sentinels[1].pid);
	for (int i = 0; i < 6; i++) {
		start = now_ms();
		CTL(stack, "count");
		ck_assert_msg(now_ms() - start < patience(3500), "after %d ms",
			      (int)(now_ms() - start));
	}
	for (int i = 0; i < 4; i++) {
		streamd_start(stack, 0);
		WAIT_UNTIL(log_has(stack, "streamd0.log", "redis: connected"), 3500);
		ck_assert(!log_has(stack, "streamd0.log", "level=warning msg=\"redis: Sentinel"));
		streamd_end(stack, 0, SIGTERM);
		unlink(stack_path(stack, "streamd0.log"));
	}
	kill(stand->sentinels[1].pid, SIGCONT);
	stand_stop(stand);
}
END_TEST

/* --- a Sentinel of our own ------------------------------------------------------------------- */

/* Answers everything with the content of that file; its process. */
static pid_t start_false_sentinel(struct stack *stack, int *port, const char *file)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	socklen_t len = sizeof name;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char asked[512];
	pid_t pid;

	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	*port = ntohs(name.sin_port);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	for (int peer; pid == 0 && (peer = accept(fd, NULL, NULL)) >= 0; close(peer)) {
		char *answer = stack_file(stack, file);

		if (read(peer, asked, sizeof asked) > 0)
			(void)!write(peer, answer, strlen(answer));
		(void)!read(peer, asked, sizeof asked);
		free(answer);
	}
	if (pid == 0)
		_exit(0);
	close(fd);
	return pid;
}

static void end_false_sentinel(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The answer that names this server. */
static void name_in_file(struct stack *stack, const char *file, const struct fleet_server *server)
{
	char *text;

	ck_assert(asprintf(&text, "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n%05d\r\n", server->port) > 0);
	stack_write(stack, file, text);
	free(text);
}

/* A primary and a replica of it. */
static void start_pair(struct stack *stack, struct fleet_server pair[2], const char *more)
{
	char *args;

	memset(pair, 0, 2 * sizeof *pair);
	fleet_start(stack, &pair[0], "redis0", more);
	ck_assert(asprintf(&args, "--replicaof 127.0.0.1 %d %s", pair[0].port, more) > 0);
	fleet_start(stack, &pair[1], "redis1", args);
	WAIT_UNTIL(strcmp(fleet_info(&pair[1], "master_link_status"), "up") == 0, 10000);
	free(args);
}

static void configure_ports(struct stack *stack, int one, int other)
{
	char *url;

	if (other != 0)
		ck_assert(asprintf(&url, "sentinel://127.0.0.1:%d,127.0.0.1:%d/main", one, other) >
			  0);
	else
		ck_assert(asprintf(&url, "sentinel://127.0.0.1:%d/main", one) > 0);
	configure(stack, url, "");
	free(url);
}

START_TEST(what_a_sentinel_says_is_checked)
{
	static const struct {
		const char *answer, *why;
	} rows[] = {
		{"*-1\r\n", "it knows no primary of this name"},
		{"-ERR No such master with that name\r\n", "No such master"},
		{"*2\r\n$9\r\n127.0.0.1\r\n$1\r\n0\r\n", "it knows no primary"},
		{"*2\r\n$0\r\n\r\n$1\r\n1\r\n", "it knows no primary"},
		{"*1\r\n$9\r\n127.0.0.1\r\n", "it knows no primary"},
		{"+OK\r\n", "it knows no primary"},
		{"HTTP/1.0 400 Bad Request\r\n\r\n", "Protocol error"},
		{"*2\r\n$9\r\n127.0.0.1\r\n$5\r\n", "no answer in time"},
	};
	struct stack *stack = stack_new(TIMES);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int port;
		pid_t pid = start_false_sentinel(stack, &port, "answer");

		stack_write(stack, "answer", rows[i].answer);
		configure_ports(stack, port, 0);
		ck_assert_int_eq(CTL_STATUS(stack, NULL, "count"), 1);
		check_has(stack_file(stack, "run.log"), rows[i].why);
		streamd_start(stack, 0);
		WAIT_UNTIL(log_has(stack, "streamd0.log", rows[i].why), 5000);
		streamd_end(stack, 0, SIGTERM);
		unlink(stack_path(stack, "streamd0.log"));
		unlink(stack_path(stack, "run.log"));
		end_false_sentinel(pid);
	}
	stack_stop(stack);
}
END_TEST

/* One names a replica, as one that was cut off from the others may; the next one knows better. */
START_TEST(a_server_that_is_not_the_primary_is_not_used)
{
	struct stack *stack = stack_new(TIMES);
	struct fleet_server pair[2];
	int wrong, right;
	pid_t wrong_pid, right_pid;

	start_pair(stack, pair, "");
	name_in_file(stack, "right", &pair[0]);
	name_in_file(stack, "wrong", &pair[1]);
	wrong_pid = start_false_sentinel(stack, &wrong, "wrong");
	right_pid = start_false_sentinel(stack, &right, "right");
	configure_ports(stack, wrong, 0);
	ck_assert_int_eq(CTL_STATUS(stack, NULL, "count"), 1);
	check_has(stack_file(stack, "run.log"), "not the primary");
	configure_ports(stack, wrong, right);
	streamd_start(stack, 0);
	WAIT_UNTIL(log_has(stack, "streamd0.log", "redis: connected to"), 5000);
	lighttpd_start(stack);
	WAIT_UNTIL(is_well(stack), 5000);
	end_false_sentinel(wrong_pid);
	end_false_sentinel(right_pid);
	streamd_end(stack, 0, SIGTERM);
	fleet_kill(&pair[1]);
	fleet_kill(&pair[0]);
	stack_stop(stack);
}
END_TEST

/* A request that meets a former primary is done by the new one. */
START_TEST(a_connection_to_a_former_primary_costs_no_request)
{
	struct stack *stack = stack_new(TIMES);
	struct fleet_server pair[2];
	int port;
	pid_t pid;

	start_pair(stack, pair, "");
	name_in_file(stack, "answer", &pair[0]);
	pid = start_false_sentinel(stack, &port, "answer");
	configure_ports(stack, port, 0);
	lighttpd_start(stack);
	for (int i = 0; i < 6; i++)
		http_ok(stack, COUNT, token_for(stack, "1"), NULL);
	freeReplyObject(fleet_cmd(&pair[1], "REPLICAOF NO ONE"));
	freeReplyObject(fleet_cmd(&pair[0], "REPLICAOF 127.0.0.1 %d", pair[1].port));
	name_in_file(stack, "answer", &pair[1]);
	for (int i = 0; i < 6; i++)
		http_ok(stack, COUNT, token_for(stack, "2"), NULL);
	ck_assert_int_eq(fleet_int(&pair[1], "SISMEMBER online_users 2"), 1);
	end_false_sentinel(pid);
	fleet_kill(&pair[1]);
	fleet_kill(&pair[0]);
	stack_stop(stack);
}
END_TEST

/* min-replicas-to-write: what only the primary would have is refused instead of lost later. */
START_TEST(a_primary_without_replicas_takes_nothing)
{
	struct stack *stack = stack_new(TIMES);
	struct fleet_server pair[2];
	struct response *response;
	char *args, *out;
	struct sse *sse;
	int port;
	pid_t pid;

	ck_assert(asprintf(&args, "--include %s/conf/redis-primary.conf --appendonly no",
			   getenv("ABS_SRCDIR")) > 0);
	start_pair(stack, pair, args);
	name_in_file(stack, "answer", &pair[0]);
	pid = start_false_sentinel(stack, &port, "answer");
	configure_ports(stack, port, 0);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	sse = sse_open(stack, token_for(stack, "1"));
	sse_ready(sse);
	CTL_STATUS(stack, &out, "doctor");
	check_has(out, "ok    redis: takes nothing without a replica");
	check_has_not(out, "goes on for");
	freeReplyObject(fleet_cmd(&pair[0], "CONFIG SET min-replicas-max-lag 30"));
	CTL_STATUS(stack, &out, "doctor");
	check_has(out, "warn  redis: a primary that was cut off goes on for 30 s, and sessions end "
		       "after 30");
	check_has(out, "min-replicas-max-lag 10\n");
	freeReplyObject(fleet_cmd(&pair[0], "CONFIG SET min-replicas-max-lag 10"));
	/* What is advised would do. */
	setenv("PRESENCE_PRESENCE_STREAM_TTL", "9", 1);
	CTL_STATUS(stack, &out, "doctor");
	check_has(out, "goes on for 10 s, and sessions end after 9");
	check_has(out, "min-replicas-max-lag 5\n");
	unsetenv("PRESENCE_PRESENCE_STREAM_TTL");
	freeReplyObject(fleet_cmd(&pair[0], "CONFIG SET min-replicas-to-write 0"));
	CTL_STATUS(stack, &out, "doctor");
	check_has(out, "warn  redis: a primary that was cut off goes on taking");
	freeReplyObject(fleet_cmd(&pair[0], "CONFIG SET min-replicas-to-write 1"));
	fleet_kill(&pair[1]);
	sse_wait(sse, "degraded", 10000);
	response = HTTP(stack, .path = COUNT, .token = token_for(stack, "2"));
	check_problem(response, 503, "redis_unavailable");
	ck_assert(!is_well(stack));
	ck_assert_int_eq(fleet_int(&pair[0], "SISMEMBER online_users 2"), 0);
	ck_assert(asprintf(&args, "--replicaof 127.0.0.1 %d", pair[0].port) > 0);
	fleet_start(stack, &pair[1], "redis1", args);
	sse_wait(sse, "initial", 15000);
	WAIT_UNTIL(is_well(stack), 5000);
	expect_live(stack, sse, "2");
	sse_close(sse);
	streamd_end(stack, 0, SIGTERM);
	end_false_sentinel(pid);
	fleet_kill(&pair[1]);
	fleet_kill(&pair[0]);
	free(args);
	stack_stop(stack);
}
END_TEST

START_TEST(the_example_of_a_sentinel_is_one)
{
	struct stack *stack = stack_new(TIMES);
	struct fleet_server sentinel = {.port = 0};
	redisReply *reply;
	char *text;

	ck_assert(asprintf(&text, "%s/conf/redis-sentinel.conf", getenv("ABS_SRCDIR")) > 0);
	ck_assert_int_eq(
		run(stack, NULL, NULL,
		    (const char *[]){"cp", text, stack_path(stack, "sentinel0.conf"), NULL}),
		0);
	fleet_start_sentinel(stack, &sentinel, "sentinel0", NULL);
	reply = fleet_cmd(&sentinel, "SENTINEL get-master-addr-by-name presence");
	ck_assert_int_eq(reply->elements, 2);
	freeReplyObject(reply);
	fleet_kill(&sentinel);
	free(text);
	stack_stop(stack);
}
END_TEST

/* One Redis and one Sentinel, both with a password, each its own, and with TLS between all. */
START_TEST(passwords_and_tls_hold_for_both)
{
	struct stack *stack = stack_new(TIMES);
	struct fleet_server redis = {.port = 0}, sentinel = {.port = 0};
	int redis_port = free_port(), sentinel_port;
	char *tls, *text;
	struct sse *sse;

	certificate_make_authority(stack, "ca");
	certificate_make(stack, "server", "ca", "IP:127.0.0.1");
	ck_assert(
		asprintf(&tls,
			 "--tls-cert-file %s/server.pem --tls-key-file %s/server.key "
			 "--tls-ca-cert-file %s/ca.pem --tls-replication yes --tls-auth-clients no",
			 stack->dir, stack->dir, stack->dir) > 0);
	ck_assert(asprintf(&text, "--requirepass of-redis --tls-port %d %s", redis_port, tls) > 0);
	fleet_start(stack, &redis, "redis0", text);
	ck_assert(asprintf(&text,
			   "sentinel monitor main 127.0.0.1 %d 1\n"
			   "sentinel auth-pass main of-redis\n",
			   redis_port) > 0);
	stack_write(stack, "sentinel0.conf", text);
	sentinel_port = free_port();
	ck_assert(asprintf(&text, "--requirepass of-sentinel --tls-port %d %s", sentinel_port,
			   tls) > 0);
	fleet_start_sentinel(stack, &sentinel, "sentinel0", text);

	ck_assert(asprintf(&text,
			   "sentinel+rediss://:of-redis@127.0.0.1:%d/"
			   "main?db=3&sentinel_password=of-sentinel",
			   sentinel_port) > 0);
	ck_assert(asprintf(&tls, "tls_ca = \"%s/ca.pem\"", stack->dir) > 0);
	configure(stack, text, tls);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	sse = sse_open(stack, token_for(stack, "1"));
	sse_ready(sse);
	expect_live(stack, sse, "2");
	check_has(CTL(stack, "count"), "1");
	sse_close(sse);
	streamd_end(stack, 0, SIGTERM);
	fleet_kill(&sentinel);
	fleet_kill(&redis);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sentinel");
	TCase *tcase = harness_case(suite, "search", 60);

	tcase_add_test(tcase, the_primary_is_found_and_used);
	tcase_add_test(tcase, sentinels_that_are_away_stand_in_nobodys_way);
	tcase_add_test(tcase, what_a_sentinel_says_is_checked);
	tcase_add_test(tcase, a_server_that_is_not_the_primary_is_not_used);
	tcase_add_test(tcase, a_connection_to_a_former_primary_costs_no_request);
	tcase_add_test(tcase, a_primary_without_replicas_takes_nothing);
	tcase_add_test(tcase, the_example_of_a_sentinel_is_one);
	tcase_add_test(tcase, passwords_and_tls_hold_for_both);
	tcase = harness_case(suite, "failover", 120);
	tcase_add_loop_test(tcase, after_a_failover_the_truth_holds, 0, 3);
	tcase_add_test(tcase, what_an_old_primary_still_takes_leaves_no_ghosts);
	return harness_main(suite);
}
