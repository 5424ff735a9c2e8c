/* presencectl: what each command prints, and its exit status; explain. */
#include "calls.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process.h"

/* --- what Redis holds --------------------------------------------------------------------- */

START_TEST(status_online_and_count_tell_who_is_online)
{
	struct stack *stack = stack_start_api("");
	char *out;

	ck_assert_str_eq(CTL(stack, "count"), "0\n");
	ck_assert_str_eq(CTL(stack, "online"), "");
	ck_assert_str_eq(CTL(stack, "online", "--json"), "[]\n");
	touch_user(stack, "2");
	touch_user(stack, "anna");
	ck_assert_str_eq(CTL(stack, "count"), "2\n");
	CHECK_JSON(parse_json(CTL(stack, "count", "--json")), "{'count':2}");
	out = CTL(stack, "online");
	ck_assert_uint_eq(strlen(out), strlen("2\nanna\n"));
	check_has(out, "2\n");
	check_has(out, "anna\n");
	ck_assert_int_eq(json_object_array_length(parse_json(CTL(stack, "--json", "online"))), 2);
	out = CTL(stack, "status", "2", "3");
	check_has(out, "2     online   active ");
	check_has(out, "3     offline  never seen\n");
	CHECK_JSON(
		parse_json(CTL(stack, "status", "anna", "3", "--json")),
		"[{'user_id':'anna','is_online':true,'status':'online',"
		"'last_activity':'<time>','version':'<version>'},"
		"{'user_id':3,'is_online':false,'status':'offline','last_seen':null,'version':0}]");
	stack_stop(stack);
}
END_TEST

START_TEST(sessions_are_listed_with_what_is_left_of_them)
{
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1");
	struct json_object *list;
	struct sse *sse;
	char *out;

	ck_assert_str_eq(CTL(stack, "sessions", "1"), "");
	CHECK_JSON(parse_json(CTL(stack, "sessions", "1", "--json")), "[]");
	http_ok(stack, COUNT, token, NULL);
	sse = sse_open(stack, token);
	sse_ready(sse);
	out = CTL(stack, "sessions", "1");
	check_has(out, "KIND");
	check_has(out, "\ntoken   sid");
	check_has(out, "\nstream  sid");
	check_has(out, "5 minutes");
	list = parse_json(CTL(stack, "sessions", "1", "--json"));
	CHECK_JSON(list,
		   "[{'kind':'stream','tok':'<string>','stream':'<string>','closing':false,"
		   "'expires_in_ms':'<int>'},"
		   "{'kind':'token','tok':'<string>','closing':false,'expires_in_ms':'<int>'}]");
	sse_close(sse);
	WAIT_UNTIL(strstr(CTL(stack, "sessions", "1"), "closing") != NULL, 5000);
	stack_stop(stack);
}
END_TEST

START_TEST(kick_ends_a_user_and_sweep_the_expired)
{
	struct stack *stack = stack_start_api(FAST);
	const char *token = token_for(stack, "1");

	http_ok(stack, COUNT, token, NULL);
	ck_assert_str_eq(CTL(stack, "kick", "1"), "");
	check_problem(HTTP(stack, .path = COUNT, .token = token), 401, "token_revoked");
	CHECK_JSON(parse_json(CTL(stack, "kick", "1", "--json")), "{'ok':true}");
	touch_user(stack, "2");
	WAIT_UNTIL(redis_int(stack, "EXISTS user:online:2") == 0, 5000);
	ck_assert_int_eq(redis_int(stack, "SISMEMBER online_users 2"), 1);
	ck_assert_str_eq(CTL(stack, "sweep"), "");
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 0);
	stack_stop(stack);
}
END_TEST

/* --- watch -------------------------------------------------------------------------------- */

/* Starts watch with its output in NAME.log and waits until it has subscribed. */
static pid_t start_watch(struct stack *stack, const char *name, const char *const argv[],
			 const char *pattern)
{
	pid_t pid = process_start(stack, name, argv, NULL, 0);

	if (*pattern == '\0')
		WAIT_UNTIL(redis_int(stack, "PUBSUB NUMPAT") > 0, 5000);
	else
		WAIT_UNTIL(redis_int(stack, "EVAL %s 0 %s",
				     "return redis.call('PUBSUB','NUMSUB',ARGV[1])[2]",
				     pattern) > 0,
			   5000);
	return pid;
}

START_TEST(watch_prints_each_change_as_it_happens)
{
	struct stack *stack = stack_start_api("");
	const char *conf = stack_path(stack, "presence.conf"), *ctl_path = program("presencectl");
	const char *all[] = {ctl_path, "-c", conf, "watch", NULL};
	const char *one[] = {ctl_path, "-c", conf, "watch", "2", "--json", NULL};
	pid_t first = start_watch(stack, "all", all, "");
	pid_t second = start_watch(stack, "one", one, "user:status:2");
	char *text;

	touch_user(stack, "1");
	touch_user(stack, "2");
	redis_int(stack, "PUBLISH user:status:3 {\"status\":\"\\u001b[5m\",\"reason\":\"x\"}");
	redis_int(stack, "PUBLISH user:status:4 rubbish");
	HTTP(stack, .method = "PUT", .path = STATE, .token = token_for(stack, "1"),
	     .body = "{\"status\":\"meeting\"}");
	http_ok(stack, "/api/auth/logout?all=true", token_for(stack, "1"), "");
	WAIT_UNTIL(strstr(stack_file(stack, "all.log"), "logout") != NULL, 5000);
	text = stack_file(stack, "all.log");
	check_has(text, "Z  1             online   activity\n");
	check_has(text, "Z  1             meeting  status\n");
	check_has(text, "Z  2             online   activity\n");
	check_has(text, "Z  3             ?        x\n");
	check_has(text, "Z  1             offline  logout\n");
	check_has_not(text, "\033");
	WAIT_UNTIL(*stack_file(stack, "one.log") != '\0', 5000);
	CHECK_JSON(parse_json(stack_file(stack, "one.log")),
		   "{'user_id':2,'is_online':true,'status':'online','last_activity':'<time>',"
		   "'version':'<version>','reason':'activity'}");
	ck_assert_int_eq(process_end(&first, SIGINT, "watch", 5000), 0);
	redis_kill(stack);
	ck_assert_int_eq(process_end(&second, 0, "watch", 5000), 1);
	check_has(stack_file(stack, "one.log"), "Redis is lost");
	stack_stop(stack);
}
END_TEST

START_TEST(watch_is_in_colour_on_a_terminal_only)
{
	struct stack *stack = stack_start_api("");
	char *command;
	const char *argv[] = {"script", "-qfec", NULL, "/dev/null", NULL};
	pid_t pid;

	ck_assert(asprintf(&command, "exec %s -c %s watch", program("presencectl"),
			   stack_path(stack, "presence.conf")) > 0);
	argv[2] = command;
	unsetenv("NO_COLOR");
	pid = start_watch(stack, "terminal", argv, "");
	touch_user(stack, "1");
	http_ok(stack, "/api/auth/logout?all=true", token_for(stack, "1"), "");
	WAIT_UNTIL(strstr(stack_file(stack, "terminal.log"), "logout") != NULL, 5000);
	check_has(stack_file(stack, "terminal.log"), "\033[32monline \033[0m");
	check_has(stack_file(stack, "terminal.log"), "\033[90moffline\033[0m");
	process_end(&pid, SIGTERM, "script", 5000);
	WAIT_UNTIL(redis_int(stack, "PUBSUB NUMPAT") == 0, 5000);

	setenv("NO_COLOR", "1", 1);
	pid = start_watch(stack, "plain", argv, "");
	touch_user(stack, "2");
	WAIT_UNTIL(strstr(stack_file(stack, "plain.log"), "activity") != NULL, 5000);
	check_has_not(stack_file(stack, "plain.log"), "\033[");
	process_end(&pid, SIGTERM, "script", 5000);
	WAIT_UNTIL(redis_int(stack, "PUBSUB NUMPAT") == 0, 5000);
	stack_stop(stack);
}
END_TEST

/* --- accounts ----------------------------------------------------------------------------- */

START_TEST(a_token_is_printed_and_works)
{
	struct stack *stack = stack_start_api("");
	char *token = CTL(stack, "token", "7", "--lifetime", "100");
	struct json_object *answer;

	token[strcspn(token, "\n")] = '\0';
	http_ok(stack, COUNT, token, NULL);
	answer = parse_json(CTL(stack, "token", "anna", "--json"));
	CHECK_JSON(answer, "{'access_token':'<string>','token_type':'bearer','expires_in':3600,"
			   "'user_id':'anna'}");
	http_ok(stack, COUNT, json_text(answer, "access_token"), NULL);
	ck_assert_str_eq(CTL(stack, "count"), "2\n");
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_has_the_scope_and_the_claim_that_were_asked_for)
{
	struct stack *stack = stack_new("");
	struct json_object *payload;
	char *token = CTL(stack, "token", "7", "--scope", "push admin", "--watch");

	token[strcspn(token, "\n")] = '\0';
	payload = token_payload(token);
	ck_assert_str_eq(json_text(payload, "scope"), "push admin");
	ck_assert_str_eq(json_text(payload, "presence"), "watch");
	stack_stop(stack);
}
END_TEST

START_TEST(accounts_and_friends_are_made_and_listed)
{
	struct stack *stack = stack_new("");
	const char *add[] = {program("presencectl"),
			     "-c",
			     stack_path(stack, "presence.conf"),
			     "user",
			     "add",
			     "--email",
			     "new@example.com",
			     "--name",
			     "N. \"Q\"",
			     "--json",
			     NULL};
	struct json_object *users;
	char *out;

	redis_start(stack, NULL);
	ck_assert_int_eq(run(stack, &out, "secret\n", add), 0);
	CHECK_JSON(parse_json(out), "{'user_id':7}");
	ck_assert_int_eq(run(stack, &out, "secret\n", add), 1); /* the address is taken */
	ck_assert_int_eq(run(stack, &out, "\n", add), 1); /* no password */
	check_has(CTL(stack, "user", "list"), "7   new@example.com    N. \"Q\"\n");
	users = parse_json(CTL(stack, "user", "list", "--json"));
	ck_assert_int_eq(json_object_array_length(users), 7);
	CHECK_JSON(json_object_array_get_idx(users, 6),
		   "{'user_id':7,'email':'new@example.com','name':'N. \\\"Q\\\"'}");

	CTL(stack, "friend", "add", "7", "1");
	CHECK_JSON(parse_json(CTL(stack, "friend", "add", "7", "1", "--json")), "{'ok':true}");
	check_has(CTL(stack, "explain", "7", "1"), "1 is a friend of 7 (User 1)");
	CTL(stack, "friend", "remove", "7", "1");
	check_has(CTL(stack, "explain", "7", "1"), "1 is not one of 7's 0 friends");
	ck_assert_int_eq(CTL_STATUS(stack, NULL, "friend", "add", "7", "99"), 1);
	check_has(stack_file(stack, "run.log"), "presencectl: there is no user 99\n");
	ck_assert_int_eq(CTL_STATUS(stack, NULL, "friend", "add", "7", "7"), 1);
	stack_stop(stack);
}
END_TEST

START_TEST(the_directorys_tables_are_made_once)
{
	struct stack *stack = stack_new("");
	char *conf;

	ck_assert(asprintf(&conf, "directory { params = \"%s\" }", stack_path(stack, "new.db")) >
		  0);
	stack_write_conf(stack, conf);
	ck_assert_int_eq(CTL_STATUS(stack, NULL, "user", "list"), 1);
	CTL(stack, "directory", "init");
	CTL(stack, "directory", "init");
	ck_assert_str_eq(CTL(stack, "user", "list"), "");
	CHECK_JSON(parse_json(CTL(stack, "user", "list", "--json")), "[]");
	stack_stop(stack);
}
END_TEST

/* --- exit status -------------------------------------------------------------------------- */

START_TEST(wrong_usage_is_exit_status_2)
{
	static const char *const wrong[][5] = {
		{NULL},
		{"nonsense"},
		{"status"},
		{"status", "a b"},
		{"status", "01"},
		{"status", "0"},
		{"count", "1"},
		{"user"},
		{"user", "remove"},
		{"user", "passwd"},
		{"friend", "list"},
		{"user", "add", "--name", "x"},
		{"friend", "add", "1"},
		{"token", "1", "--scope", "a\"b"},
		{"token", "1", "--lifetime", "0"},
		{"token", "1", "--lifetime", "1x"},
		{"count", "--lifetime", "1"},
		{"--unknown"},
		{"explain", "1"},
		{"explain", "1", "*"},
		{"kick"},
		{"watch", "*"},
		{"doctor", "--user", "1"},
		{"doctor", "--quick"},
		{"doctor", "--streams", "10"},
		{"doctor", "--url", "x", "--streams", "-1"},
		{"doctor", "--url"},
		{"help", "nonsense"},
		{"count", "--url", "x"},
		{"doctor", "--url", "x", "--user"},
	};
	struct stack *stack = stack_new("");

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		int status = CTL_STATUS(stack, NULL, wrong[i][0], wrong[i][1], wrong[i][2],
					wrong[i][3], wrong[i][4]);

		ck_assert_msg(status == 2, "presencectl %s %s: exit status %d instead of 2",
			      wrong[i][0] ?: "", wrong[i][1] ?: "", status);
	}
	check_has(CTL(stack, "--help"), "explain VIEWER ID [--json]");
	ck_assert_str_eq(CTL(stack, "-h"), CTL(stack, "help"));
	check_has(CTL(stack, "--version"), "presencectl ");
	stack_write(stack, "presence.conf", "redis { url = \"nonsense\" }\n");
	ck_assert_int_eq(CTL_STATUS(stack, NULL, "count"), 2);
	check_has(stack_file(stack, "run.log"), "presence.conf:1: ");
	stack_stop(stack);
}
END_TEST

START_TEST(without_redis_the_exit_status_is_1)
{
	static const char *const commands[][3] = {
		{"status", "1"},
		{"online"},
		{"count"},
		{"watch"},
		{"kick", "1"},
		{"sessions", "1"},
		{"explain", "1", "2"},
		{"sweep"},
		{"count", "--json"},
		{"kick", "1", "--json"},
	};
	struct stack *stack = stack_new("");
	char *out;

	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		int status =
			CTL_STATUS(stack, &out, commands[i][0], commands[i][1], commands[i][2]);

		ck_assert_msg(status == 1, "presencectl %s: exit status %d instead of 1",
			      commands[i][0], status);
	}
	check_has(stack_file(stack, "run.log"), "redis.sock: ");
	stack_stop(stack);
}
END_TEST

/* --- explain ------------------------------------------------------------------------------ */

START_TEST(explain_tells_why_a_user_is_online)
{
	struct stack *stack = stack_start("");
	struct json_object *json;
	struct sse *sse;
	char *out;

	sse = sse_open(stack, token_for(stack, "2"));
	sse_ready(sse);
	WAIT_UNTIL(redis_has(stack, "presence:swept"), 5000);
	out = CTL(stack, "explain", "1", "2");
	check_has(out, "friendship    2 is a friend of 1 (User 2)");
	check_has(out, "visibility    \"everyone\"");
	check_has(out, "sessions      2 alive of 2\n");
	check_has(out, "stream  sid");
	check_has(out, "key           user:online:2 lasts for 5 minutes\n");
	check_has(out, "set           online_users has 2\n");
	check_has(out, "deadline      lasts for 5 minutes\n");
	check_has(out, "sweeper       a presence-streamd swept ");
	check_has(out, "conclusion    1 sees 2 online, because 2 sessions of 2 are alive");
	json = parse_json(CTL(stack, "explain", "1", "2", "--json"));
	CHECK_JSON(json,
		   "{'viewer':1,'user_id':2,'is_friend':true,'visibility':'everyone',"
		   "'blocks':false,'blocked_by':false,"
		   "'status':{'user_id':2,'is_online':true,'status':'online',"
		   "'last_activity':'<time>','version':'<version>'},"
		   "'sees':{'user_id':2,'is_online':true,'status':'online',"
		   "'last_activity':'<time>','version':'<version>'},"
		   "'sessions':[{'kind':'stream','tok':'<string>','stream':'<string>',"
		   "'closing':false,'expires_in_ms':'<int>'},{'kind':'token','tok':'<string>',"
		   "'closing':false,'expires_in_ms':'<int>'}],'revoked':[],"
		   "'chosen':null,'tokens':1,'idle_tokens':0,"
		   "'last_seen':'exact','typing':true,'nearby':'off',"
		   "'key_expires_in_ms':'<int>','in_online_users':true,"
		   "'deadline_in_ms':'<int>','not_before':null,'swept_ms_ago':'<int>',"
		   "'conclusion':'<string>'}");
	check_has(CTL(stack, "explain", "2", "2"), "the viewer looks at itself");
	check_has(CTL(stack, "explain", "77", "2"),
		  "so changes come only on streams that watch it");
	check_has(
		CTL(stack, "explain", "77", "2"),
		"not one of 77's 0 friends: changes come only on streams that watch 2 (users=)\n");
	stack_stop(stack);
}
END_TEST

START_TEST(state_settings_and_explain_tell_what_a_user_chose)
{
	struct stack *stack = stack_start_api("presence { last_seen = coarse }");
	const char *token = token_for(stack, "2"), *other = token_for(stack, "2"), *out;

	touch(stack, other);
	http_ok(stack, HEARTBEAT, token, "{\"idle\":true}");
	check_has(CTL(stack, "state", "2"),
		  "chosen  nothing: the state is automatic\nidle    1 of 2 tokens");
	http_ok(stack, HEARTBEAT, other, "{\"idle\":true}");
	check_has(CTL(stack, "explain", "1", "2"),
		  "1 sees 2 away, because every token is idle and 2 sessions");
	check_has(CTL(stack, "settings", "2"),
		  "last_seen coarse (the site's is coarse), typing on, nearby off\n");
	HTTP(stack, .method = "PUT", .path = SETTINGS, .token = token,
	     .body = "{\"last_seen\":\"nobody\",\"typing\":false,\"nearby\":\"friends\"}");
	CHECK_JSON(parse_json(CTL(stack, "--json", "settings", "2")),
		   "{'user_id':2,'last_seen':'nobody','typing':false,'nearby':'friends'}");
	HTTP(stack, .method = "PUT", .path = STATE, .token = token,
	     .body = "{\"status\":\"busy\",\"text\":\"thinking\",\"emoji\":\"x\"}");
	CHECK_JSON(parse_json(CTL(stack, "--json", "state", "2")),
		   "{'user_id':2,'chosen':{'status':'busy','text':'thinking','emoji':'x',"
		   "'status_expires':'<time>'},'tokens':2,'idle_tokens':2}");
	out = CTL(stack, "explain", "1", "2");
	check_has(out, "chosen        busy, \"thinking\", x, until ");
	check_has(out, "idle          2 of 2 tokens with a live session: away");
	check_has(out, "settings      last_seen nobody (the site's is coarse), typing off, nearby "
		       "friends");
	check_has(out, "1 sees 2 busy, because that is chosen and 2 sessions");
	HTTP(stack, .method = "PUT", .path = STATE, .token = token,
	     .body = "{\"status\":\"invisible\"}");
	out = CTL(stack, "explain", "1", "2");
	check_has(out, "chosen        invisible: looks offline to all others");
	check_has(out, "1 sees 2 offline, because 2 chose to be invisible");
	stack_stop(stack);
}
END_TEST

START_TEST(explain_tells_why_a_user_is_offline)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "2");

	check_has(CTL(stack, "explain", "1", "2"),
		  "offline, because 2 was not seen in the last 7 days");
	http_ok(stack, COUNT, token, NULL);
	redis_int(stack, "DEL user:online:2");
	check_has(CTL(stack, "explain", "1", "2"),
		  "offline, because the key user:online:2 is gone though sessions are alive");
	redis_int(stack, "SREM online_users 2");
	http_ok(stack, COUNT, token, NULL);
	redis_int(stack, "SREM online_users 2");
	check_has(CTL(stack, "explain", "1", "2"), "but online_users lacks it");
	redis_cmd(stack, "SET presence:revoked:2/%s 1", json_text(token_payload(token), "sid"));
	check_has(CTL(stack, "explain", "1", "2"), " is revoked\n");
	CTL(stack, "kick", "2");
	check_has(CTL(stack, "explain", "1", "2"),
		  "offline, because no session of 2 is left; last");
	check_has(CTL(stack, "explain", "1", "2"), "revoked       every token issued before 20");
	check_has(CTL(stack, "explain", "1", "2"), " ago; tokens issued before 20");
	check_has(CTL(stack, "explain", "1", "2"),
		  "no presence-streamd has swept yet: until one does");
	stack_stop(stack);
}
END_TEST

START_TEST(explain_knows_visibility)
{
	struct stack *stack = stack_start_api("presence { visibility = friends }");
	struct json_object *json;

	touch_user(stack, "77");
	check_has(CTL(stack, "explain", "1", "77"),
		  "1 sees 77 as a user never seen, because visibility is \"friends\"");
	check_has(CTL(stack, "explain", "1", "77"), "friends: no changes on 1's streams\n");
	json = parse_json(CTL(stack, "explain", "1", "77", "--json"));
	CHECK_JSON(json_at(json, "sees"), "{'user_id':77,'is_online':false,'status':'offline',"
					  "'last_seen':null,'version':0}");
	ck_assert(json_object_get_boolean(json_at(json_at(json, "status"), "is_online")));
	check_has(CTL(stack, "explain", "77", "77"), "77 sees 77 online");
	stack_write_conf(stack, "presence { visibility = friends } directory { params = "
				"\"/nonexistent.db\" }");
	check_has(CTL(stack, "explain", "1", "77"), "503 directory_unavailable");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("presencectl");
	TCase *tcase = harness_case(suite, "Redis", 30);

	tcase_add_test(tcase, status_online_and_count_tell_who_is_online);
	tcase_add_test(tcase, sessions_are_listed_with_what_is_left_of_them);
	tcase_add_test(tcase, kick_ends_a_user_and_sweep_the_expired);
	tcase_add_test(tcase, watch_prints_each_change_as_it_happens);
	tcase_add_test(tcase, watch_is_in_colour_on_a_terminal_only);

	tcase = harness_case(suite, "accounts", 30);
	tcase_add_test(tcase, a_token_is_printed_and_works);
	tcase_add_test(tcase, a_token_has_the_scope_and_the_claim_that_were_asked_for);
	tcase_add_test(tcase, accounts_and_friends_are_made_and_listed);
	tcase_add_test(tcase, the_directorys_tables_are_made_once);

	tcase = harness_case(suite, "exit status", 30);
	tcase_add_test(tcase, wrong_usage_is_exit_status_2);
	tcase_add_test(tcase, without_redis_the_exit_status_is_1);

	tcase = harness_case(suite, "explain", 30);
	tcase_add_test(tcase, explain_tells_why_a_user_is_online);
	tcase_add_test(tcase, state_settings_and_explain_tell_what_a_user_chose);
	tcase_add_test(tcase, explain_tells_why_a_user_is_offline);
	tcase_add_test(tcase, explain_knows_visibility);
	return harness_main(suite);
}
