/*
 * A Redis that does not do everything: rights that its ACL lacks, no memory left,
 * a replica. A transition is done wholly or not at all, and who asks is told.
 */
#include "operations.h"
#include "store/blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMES "presence { online_ttl = 100 stream_ttl = 50 grace = 10 heartbeat = 20 sweep = 1 }\n"
#define PASSWORD_OF_REDIS "of-the-test"

static void change_user(const char *rule)
{
	freeReplyObject(redis_cmd(stack, "ACL SETUSER presence %s", rule));
}

static void setup(void)
{
	char *url;

	call_start(TIMES);
	redis_make_user(stack, PASSWORD_OF_REDIS);
	ck_assert(asprintf(&url, "unix://presence:" PASSWORD_OF_REDIS "@%s/redis.sock",
			   stack->dir) > 0);
	free(config->redis.url);
	config->redis.url = url;
	blocking_free(redis);
	redis = blocking_new(config, 0);
}

/* Runs the command, which must fail with this code as the error's first word, or after "ERR ...". */
static void check_refused(struct printbuf *command, const char *code)
{
	redisReply *reply;
	bool done = blocking_run(redis, command, 1, &reply);

	ck_assert_msg(!done, "it was done, although Redis should have refused it");
	ck_assert_msg(strncmp(blocking_error(redis), code, strlen(code)) == 0, "instead of %s: %s",
		      code, blocking_error(redis));
	printbuf_free(command);
}

static struct printbuf *touch_of(const char *id)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);
	struct store_touch item = {.user = &who,
				   .tok = "a",
				   .iat = 1000,
				   .stream = "w",
				   .token = true,
				   .reason = "stream_open"};

	store_put_touch(out, store, false, &item, 1);
	return out;
}

static struct printbuf *close_of(const char *id)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);
	struct store_close item = {&who, "a", "w", 20000};

	store_put_close(out, store, &item, 1);
	return out;
}

static struct printbuf *end_of(const char *id)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);
	struct store_end item = {.user = &who,
				 .tok = "a",
				 .iat = 1000,
				 .exp = 2000,
				 .all = true,
				 .reason = "logout"};

	store_put_end(out, store, &item);
	return out;
}

/* What users say of themselves, each of which is done wholly or not at all. */
static struct printbuf *choice_of(const char *id)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);
	struct store_choose choose = {.user = &who,
				      .tok = "a",
				      .iat = 1000,
				      .state = "{\"status\":\"busy\"",
				      .holds = 60};

	store_put_choose(out, store, &choose);
	return out;
}

static struct printbuf *settings_of(const char *id, const char *settings)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);

	store_put_settings(out, store, &who, "a", 1000, settings);
	return out;
}

static struct printbuf *leave_to_block_of(const char *id)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id), other = call_user("2");

	blocks_put_may(out, store, &who, "a", 1000, &other, true);
	return out;
}

static struct printbuf *block_of(const char *id)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id), other = call_user("2");

	blocks_put(out, store, &who, &other, true, 1);
	return out;
}

static struct printbuf *sweep_of(void)
{
	struct printbuf *out = buf_new();

	store_put_sweep(out, store, false, "word");
	return out;
}

static struct printbuf *health_of(bool all)
{
	struct printbuf *out = buf_new();

	store_put_health(out, store, all);
	return out;
}

/* What is missing, one a line. */
static char *lacking(void)
{
	struct printbuf *text = buf_new();
	redisReply *reply = call_run(health_of(true));

	ck_assert_int_eq(reply->type, REDIS_REPLY_ARRAY);
	for (size_t i = 0; i < reply->elements; i++)
		buf_putf(text, "%s\n", reply->element[i]->str);
	reply_free(reply);
	return buf_take(text, NULL);
}

START_TEST(the_example_has_every_right_that_the_scripts_need)
{
	ck_assert_str_eq(lacking(), "");
	ck_assert_int_eq(call_touch("1", "a", "w", "stream_open"), STORE_DONE);
	ck_assert_int_eq(call_renew("1", "a", "w"), STORE_DONE);
	call_touch_as_worker("1", "b");
	call_close("1", "a", "w");
	call_sweep(true);
	ck_assert_int_eq(call_end("1", "a", true, "logout"), STORE_DONE);
	ck_assert(!call_look("1"));
}
END_TEST

/* Every right of the example whose loss the scripts notice. */
static const char *const rights[] = {
	"-publish", "-get",  "-mget",	   "-set",	     "-getdel", "-del",	   "-exists",
	"-pttl",    "-sadd", "-pexpireat", "-zrangebyscore", "-srem",	"-scard",  "-sismember",
	"-sscan",   "-zadd", "-zrem",	   "-smismember",    "-zcard",	"-zscore", "-zrange",
	"-hset",    "-hget", "-hdel",	   "-hgetall",
};

START_TEST(a_command_that_is_missing_is_named)
{
	const char *text;
	char name[32];

	change_user(rights[_i]);
	text = lacking();
	snprintf(name, sizeof name, "%s", rights[_i] + 1);
	for (char *c = name; *c != '\0'; c++)
		*c = (char)(*c - 'a' + 'A');
	strcat(name, " ");
	ck_assert_msg(strncmp(text, name, strlen(name)) == 0, "without %s came: %s", name, text);
	check_refused(health_of(false), "NOPERM");
}
END_TEST

static const struct {
	const char *rules, *lacks;
} patterns[] = {
	{"resetchannels &presence:* &user:inbox:*", "PUBLISH user:status:{id}"},
	{"resetchannels &user:status:* &user:inbox:* &presence:streamd:*",
	 "PUBLISH presence:broadcast"},
	{"resetchannels &presence:* &user:status:*", "PUBLISH user:inbox:{id}"},
	{"resetkeys ~user:* ~presence:*", "SADD online_users"},
};

START_TEST(a_channel_or_key_that_is_missing_is_named)
{
	char *rules = strdup(patterns[_i].rules), *rest = rules;

	for (char *rule; (rule = strsep(&rest, " ")) != NULL;)
		change_user(rule);
	ck_assert_msg(strstr(lacking(), patterns[_i].lacks) != NULL, "instead of %s: %s",
		      patterns[_i].lacks, lacking());
}
END_TEST

/* Whatever is missing, nothing of a transition is done. */
static const char *const needed[] = {
	"resetchannels", "-publish", "-set", "-sadd",	 "-srem",
	"-zadd",	 "-zrem",    "-del", "-hgetall", "-pexpireat",
};

START_TEST(without_a_right_a_first_touch_does_nothing)
{
	char *before;

	call_run(sweep_of());
	before = redis_dump(stack);
	change_user(needed[_i]);
	check_refused(touch_of("1"), "NOPERM");
	ck_assert_str_eq(redis_dump(stack), before);
}
END_TEST

/* The everyday request of a worker, which has a script's quick way (touch_quick.lua). */
static struct printbuf *renewal_of(const char *id)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);
	struct store_touch item = {
		.user = &who, .tok = "a", .iat = 1000, .token = true, .reason = "activity"};

	store_put_touch(out, store, STORE_WORKER_KNOWING, &item, 1);
	return out;
}

static const char *const needed_to_renew[] = {"-set", "-zadd", "-pexpireat"};

START_TEST(without_a_right_nothing_of_a_renewal_is_done)
{
	char *before;

	call_sweep(true);
	call_touch_as_worker("1", "a");
	redis_int(stack, "ZINCRBY user:sessions:1 -20000 t:a"); /* renewed 20 s ago */
	before = redis_dump(stack);
	change_user(needed_to_renew[_i]);
	check_refused(renewal_of("1"), "NOPERM");
	ck_assert_str_eq(redis_dump(stack), before);
}
END_TEST

START_TEST(without_a_right_nobody_is_half_ended)
{
	char *before;

	call_touch("1", "a", "w", "stream_open");
	before = redis_dump(stack);
	change_user(needed[_i]);
	check_refused(close_of("1"), "NOPERM");
	ck_assert_str_eq(redis_dump(stack), before);
	check_refused(end_of("1"), "NOPERM");
	ck_assert_str_eq(redis_dump(stack), before);
	call_lapse("1", "s:a:w");
	call_lapse("1", "t:a");
	before = redis_dump(stack);
	check_refused(sweep_of(), "NOPERM");
	ck_assert_str_eq(redis_dump(stack), before);
}
END_TEST

/* Each with the script that needs it, and finds it missing before it writes. */
static const struct {
	const char *right;
	bool choice, settings, leave, block;
} needed_to_say[] = {
	{"resetchannels", true, false, false, true}, {"-publish", true, false, false, true},
	{"-set", true, true, true, false},	     {"-del", true, true, false, false},
	{"-sadd", true, false, false, true},	     {"-zadd", true, false, false, false},
	{"-pexpireat", true, false, false, false},
};

START_TEST(without_a_right_nothing_is_half_said)
{
	char *before;

	call_touch("1", "a", "w", "stream_open");
	before = redis_dump(stack);
	change_user(needed_to_say[_i].right);
	if (needed_to_say[_i].choice)
		check_refused(choice_of("1"), "NOPERM");
	if (needed_to_say[_i].settings)
		check_refused(settings_of("1", "{\"typing\":false}"), "NOPERM");
	if (needed_to_say[_i].leave)
		check_refused(leave_to_block_of("1"), "NOPERM");
	if (needed_to_say[_i].block)
		check_refused(block_of("1"), "NOPERM");
	ck_assert_str_eq(redis_dump(stack), before);
}
END_TEST

static bool is_outage(struct printbuf *command)
{
	redisReply *reply = NULL;
	bool is;

	freeReplyObject(redis_cmd(stack, "PING")); /* connected */
	ck_assert_int_eq(
		redisAppendFormattedCommand(stack->control, command->buf, buf_len(command)),
		REDIS_OK);
	ck_assert_int_eq(redisGetReply(stack->control, (void **)&reply), REDIS_OK);
	ck_assert_msg(reply->type == REDIS_REPLY_ERROR, "no error");
	is = store_is_outage(reply);
	ck_assert_msg(is, "not taken for an outage: %s", reply->str);
	freeReplyObject(reply);
	printbuf_free(command);
	return is;
}

/* Why Redis refuses to write, and how it is well again. */
static const struct {
	const char *begin, *end;
} refusals[] = {
	{"CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"},
	{"CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"},
	{"REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"},
};

static void check_all_refused(void)
{
	ck_assert(is_outage(touch_of("1")));
	ck_assert(is_outage(touch_of("2")));
	ck_assert(is_outage(close_of("1")));
	ck_assert(is_outage(end_of("1")));
	ck_assert(is_outage(choice_of("1")));
	ck_assert(is_outage(settings_of("1", "{}")));
	ck_assert(is_outage(leave_to_block_of("1")));
	ck_assert(is_outage(block_of("1")));
	ck_assert(is_outage(sweep_of()));
	ck_assert(is_outage(health_of(false)));
}

static void run_twice(struct printbuf *(*command_of)(const char *id), const char *id)
{
	reply_free(call_run(command_of(id)));
	reply_free(call_run(command_of(id)));
}

/* In a script PUBLISH itself would pass: what was refused would be told, and once more when it is done. */
START_TEST(what_redis_refuses_to_write_is_not_told_and_then_it_is_told_once)
{
	struct listener *listener;
	char *before;

	freeReplyObject(redis_cmd(stack, "CONFIG SET replica-serve-stale-data yes"));
	call_touch("1", "a", "w", "stream_open");
	call_touch("3", "a", NULL, "activity");
	call_lapse("3", "t:a");
	before = redis_dump(stack);
	listener = listener_open(stack, "user:status:*");
	freeReplyObject(redis_cmd(stack, refusals[_i].begin));
	check_all_refused();
	freeReplyObject(redis_cmd(stack, refusals[_i].end));
	ck_assert_str_eq(redis_dump(stack), before);
	call_check_silence(listener);
	call_sweep(true);
	call_sweep(true);
	call_check_change(listener, "3", false, "expired");
	run_twice(touch_of, "2");
	call_check_change(listener, "2", true, "stream_open");
	run_twice(choice_of, "1");
	call_check_change(listener, "1", true, "status");
	run_twice(end_of, "1");
	call_check_change(listener, "1", false, "logout");
	call_check_silence(listener);
}
END_TEST

static const struct {
	const char *text;
	bool is_outage;
} errors[] = {
	{"OOM command not allowed when used memory > 'maxmemory'.", true},
	{"READONLY You can't write against a read only replica.", true},
	{"ERR user_script:171: OOM command not allowed when used memory > 'maxmemory'. script: x",
	 true},
	{"ERR user_script:9: NOREPLICAS Not enough good replicas to write. script: x", true},
	{"LOADING Redis is loading the dataset in memory", true},
	{"NOSCRIPT No matching script. Please use EVAL.", true},
	{"NOPERM the ACL lacks PUBLISH user:status:1 script: x, on @user_script:9.", true},
	{"ERR user_script:9: WRONGTYPE Operation against a key", false},
	{"ERR unknown command 'OOM '", false},
	{"WRONGTYPE Operation against a key holding the wrong kind of value", false},
	{"OOMPH is another word", false},
	{"", false},
};

START_TEST(an_outage_is_told_by_its_code_wherever_that_stands)
{
	char text[128];
	redisReply reply = {.type = REDIS_REPLY_ERROR, .str = text};

	snprintf(text, sizeof text, "%s", errors[_i].text);
	reply.len = strlen(text);
	ck_assert_msg(store_is_outage(&reply) == errors[_i].is_outage, "\"%s\" is %san outage",
		      text, errors[_i].is_outage ? "" : "not ");
}
END_TEST

START_TEST(health_leaves_nothing)
{
	char *before;

	call_touch("1", "a", "w", "stream_open");
	before = redis_dump(stack);
	reply_free(call_run(health_of(false)));
	ck_assert_str_eq(redis_dump(stack), before);
	ck_assert(!redis_has(stack, "presence:health"));
}
END_TEST

/* --- the programs ------------------------------------------------------------------------- */

static struct stack *start_as_user(void)
{
	struct stack *own = stack_new(FAST);
	char *conf;

	redis_start(own, NULL);
	stack = own;
	redis_make_user(stack, PASSWORD_OF_REDIS);
	ck_assert(asprintf(&conf,
			   FAST "redis { url = \"unix://presence:" PASSWORD_OF_REDIS
				"@%s/redis.sock\" }\n",
			   own->dir) > 0);
	stack_write_conf(own, conf);
	streamd_start(own, 0);
	lighttpd_start(own);
	return own;
}

START_TEST(the_programs_work_with_the_example)
{
	struct stack *own = start_as_user();
	const char *token = token_for(own, "1");
	const char *argv[] = {
		program("presencectl"), "-c", stack_path(own, "presence.conf"), "kick", "1", NULL};
	struct sse *sse = sse_open(own, token);

	sse_ready(sse);
	CHECK_JSON(http_ok(own, "/api/health", NULL, NULL), "{'status':'ok','redis':'ok'}");
	http_ok(own, "/api/online-status/friends", token, NULL);
	http_ok(own, "/api/online-status/online", token, NULL);
	CHECK_JSON(http_ok(own, "/api/online-status/count", token, NULL), "{'count':1}");
	http_ok(own, "/api/presence/ticket", token, "");
	http_ok(own, "/api/online-status/heartbeat", token, "{\"websocket_session\":\"x\"}");
	ck_assert_int_eq(run(own, NULL, NULL, argv), 0);
	sse_wait(sse, "bye", 5000);
	sse_close(sse);
	stack_stop(own);
}
END_TEST

/* What doctor says; it must end with this exit status. */
static char *doctor(struct stack *own, int expected)
{
	const char *argv[] = {program("presencectl"), "-c", stack_path(own, "presence.conf"),
			      "doctor", NULL};
	char *out;
	int status = run(own, &out, NULL, argv);

	ck_assert_msg(status == expected, "exit status %d instead of %d: %s", status, expected,
		      out);
	return out;
}

static void check_says(const char *out, const char *text)
{
	ck_assert_msg(strstr(out, text) != NULL, "no \"%s\" in: %s", text, out);
}

START_TEST(doctor_finds_nothing_wrong_with_the_example)
{
	struct stack *own = start_as_user();
	char *out;

	WAIT_UNTIL(redis_has(own, "presence:swept"), 5000);
	out = doctor(own, 0);
	check_says(out, "ok    redis: answers, version 7");
	check_says(out, "ok    redis: keys can be written\n");
	check_says(out, "ok    redis: its ACL has every right that is needed\n");
	stack_stop(own);
}
END_TEST

START_TEST(doctor_names_the_right_that_is_missing)
{
	struct stack *own = start_as_user();
	char *out;

	change_user("resetchannels");
	change_user("&presence:*");
	change_user("-zadd");
	out = doctor(own, 1);
	check_says(out, "FAIL  redis: the ACL lacks PUBLISH user:status:{id}");
	check_says(out, "FAIL  redis: the ACL lacks PUBLISH user:inbox:{id}");
	check_says(out, "FAIL  redis: the ACL lacks ZADD user:sessions:{id}");
	check_says(out, "conf/redis-users.acl");
	change_user("-evalsha");
	check_says(doctor(own, 1), "FAIL  redis: keys cannot be written: NOPERM");
	change_user("-script|load");
	check_says(doctor(own, 1), "FAIL  redis: does not take the scripts: NOPERM");
	stack_stop(own);
}
END_TEST

static void check_unhealthy(struct stack *own)
{
	check_problem(HTTP(own, .path = "/api/health"), 503, "redis_unavailable");
}

START_TEST(health_is_503_when_redis_does_not_do_what_a_call_needs)
{
	struct stack *own = start_as_user();

	http_ok(own, "/api/health", NULL, NULL);
	freeReplyObject(redis_cmd(own, "CONFIG SET maxmemory 1"));
	check_unhealthy(own);
	freeReplyObject(redis_cmd(own, "CONFIG SET maxmemory 0"));
	http_ok(own, "/api/health", NULL, NULL);
	freeReplyObject(redis_cmd(own, "CONFIG SET min-replicas-to-write 1"));
	check_unhealthy(own);
	freeReplyObject(redis_cmd(own, "CONFIG SET min-replicas-to-write 0"));
	freeReplyObject(redis_cmd(own, "REPLICAOF 127.0.0.1 1"));
	check_unhealthy(own);
	freeReplyObject(redis_cmd(own, "REPLICAOF NO ONE"));
	http_ok(own, "/api/health", NULL, NULL);
	change_user("resetchannels");
	check_unhealthy(own);
	change_user("allchannels");
	http_ok(own, "/api/health", NULL, NULL);
	stack_stop(own);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rights");
	TCase *tcase = harness_case(suite, "rights", 20);

	tcase_add_checked_fixture(tcase, setup, call_stop);
	tcase_add_test(tcase, the_example_has_every_right_that_the_scripts_need);
	tcase_add_loop_test(tcase, a_command_that_is_missing_is_named, 0,
			    sizeof rights / sizeof rights[0]);
	tcase_add_loop_test(tcase, a_channel_or_key_that_is_missing_is_named, 0,
			    sizeof patterns / sizeof patterns[0]);
	tcase_add_loop_test(tcase, without_a_right_a_first_touch_does_nothing, 0,
			    sizeof needed / sizeof needed[0]);
	tcase_add_loop_test(tcase, without_a_right_nothing_of_a_renewal_is_done, 0,
			    sizeof needed_to_renew / sizeof needed_to_renew[0]);
	tcase_add_loop_test(tcase, without_a_right_nobody_is_half_ended, 0,
			    sizeof needed / sizeof needed[0]);
	tcase_add_loop_test(tcase, without_a_right_nothing_is_half_said, 0,
			    sizeof needed_to_say / sizeof needed_to_say[0]);
	tcase_add_loop_test(tcase, what_redis_refuses_to_write_is_not_told_and_then_it_is_told_once,
			    0, sizeof refusals / sizeof refusals[0]);
	tcase_add_test(tcase, health_leaves_nothing);

	tcase = harness_case(suite, "outages", 5);
	tcase_add_loop_test(tcase, an_outage_is_told_by_its_code_wherever_that_stands, 0,
			    sizeof errors / sizeof errors[0]);

	tcase = harness_case(suite, "programs", 30);
	tcase_add_test(tcase, the_programs_work_with_the_example);
	tcase_add_test(tcase, doctor_finds_nothing_wrong_with_the_example);
	tcase_add_test(tcase, doctor_names_the_right_that_is_missing);
	tcase_add_test(tcase, health_is_503_when_redis_does_not_do_what_a_call_needs);
	return harness_main(suite);
}
