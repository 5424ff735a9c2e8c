/*
 * Sites and how they run: two of them on one Redis and one web server, plain CGI, SIGHUP, syslog.
 * docs/configuration.md
 */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "process.h"
#include "wire.h"

#define A_CONF "redis { prefix = \"a:\" }\n" FAST
#define B_BASE "/shop/api"
#define COUNT "/online-status/count"
#define KEY_B "the secret of the second site, 32 bytes or more"

/* --- a second site ------------------------------------------------------------------------ */

/* The second site's clients: its own secret, the first one's web server. */
static struct stack *second_of(struct stack *stack)
{
	struct stack *second = calloc(1, sizeof *second);

	*second = *stack;
	snprintf(second->secret, sizeof second->secret, "%s", KEY_B);
	return second;
}

static void write_second(struct stack *stack)
{
	struct printbuf *text = buf_new();

	stack_write_secret(stack, "keyb", KEY_B);
	buf_putf(text,
		 "redis { url = \"unix://%s/redis.sock\" prefix = \"b:\" }\n"
		 "http { base = \"" B_BASE "\" }\n"
		 "auth { key_file = \"%s/keyb\" }\n"
		 "directory { params = \"%s/users.db\" }\n"
		 "stream { listen = \"unix:%s/stream1.sock\" }\n"
		 "api { children = 1 }\nlog { level = debug }\n" FAST,
		 stack->dir, stack->dir, stack->dir, stack->dir);
	stack_write(stack, "b.conf", text->buf);
	printbuf_free(text);
}

static void start_second_streamd(struct stack *stack)
{
	const char *argv[] = {program("presence-streamd"), "-c", stack_path(stack, "b.conf"), NULL};

	stack->streamd[1] = process_start(stack, "streamd1", argv, NULL, 0);
	WAIT_UNTIL(wire_answers(streamd_socket(stack, 1)), 5000);
}

/* Both sites on one Redis and one lighttpd. */
static struct stack *start_both(void)
{
	struct stack *stack = stack_start(A_CONF);
	struct printbuf *text = buf_new();

	write_second(stack);
	start_second_streamd(stack);
	buf_putf(text,
		 "\nfastcgi.server += (\"" B_BASE "/presence/stream\" => ((\"socket\" => \"%s\",\n"
		 "\"check-local\" => \"disable\", \"tcp-fin-propagate\" => \"enable\")))\n"
		 "fastcgi.server += (\"" B_BASE "/\" => ((\"socket\" => \"%s/apib.sock\",\n"
		 "\"bin-path\" => \"%s -c %s/b.conf\", \"max-procs\" => 1,\n"
		 "\"check-local\" => \"disable\")))\n"
		 "$HTTP[\"url\"] =^ \"" B_BASE "/presence/stream\" "
		 "{ server.stream-response-body = 2 }\n",
		 streamd_socket(stack, 1), stack->dir, program("presence-api"), stack->dir);
	lighttpd_change(stack, NULL, text->buf);
	printbuf_free(text);
	return stack;
}

static struct sse *open_at(struct stack *stack, const char *path, const char *token)
{
	struct printbuf *text = buf_new();
	struct sse *sse;

	buf_putf(text, "GET %s HTTP/1.1\r\nHost: localhost\r\n", path);
	if (token != NULL)
		buf_putf(text, "Authorization: Bearer %s\r\n", token);
	buf_puts(text, "\r\n");
	sse = sse_request(stack, text->buf);
	printbuf_free(text);
	return sse;
}

START_TEST(tokens_of_one_site_are_none_of_the_other)
{
	struct stack *stack = start_both(), *second = second_of(stack);
	const char *a = token_for(stack, "1"), *b = token_for(second, "1");

	http_ok(stack, "/api" COUNT, a, NULL);
	http_ok(second, B_BASE COUNT, b, NULL);
	check_problem(HTTP(stack, .path = "/api" COUNT, .token = b), 401, "token_invalid");
	check_problem(HTTP(second, .path = B_BASE COUNT, .token = a), 401, "token_invalid");
	check_problem(HTTP(stack, .path = "/api/presence/stream", .token = b), 401,
		      "token_invalid");
	check_problem(HTTP(second, .path = B_BASE "/presence/stream", .token = a), 401,
		      "token_invalid");
	/* Behind its own socket a streamd serves its own base alone. */
	ck_assert_int_eq(sse_status(sse_open_direct(stack, 1, b)), 404);
	check_problem(HTTP(stack, .path = "/api" B_BASE COUNT, .token = a), 404, "not_found");
	stack_stop(stack);
}
END_TEST

START_TEST(keys_and_channels_of_two_sites_are_apart)
{
	struct stack *stack = start_both(), *second = second_of(stack);
	const char *b_token = token_for(second, "1");
	struct listener *a_listener = listener_open(stack, "a:*");
	struct listener *b_listener = listener_open(stack, "b:user:*");
	struct sse *a_friend = sse_open(stack, token_for(stack, "2"));
	struct sse *b_friend = open_at(second, B_BASE "/presence/stream", token_for(second, "2"));
	struct message *message;
	struct event *event;
	redisReply *keys;

	sse_ready(a_friend);
	sse_ready(b_friend);
	ck_assert_str_eq(listener_next(b_listener, patience(3000))->channel, "b:user:status:2");
	http_ok(second, B_BASE COUNT, b_token, NULL);
	ck_assert_str_eq(json_text(sse_wait(b_friend, "status_change", 5000)->json, "user_id"),
			 "1");
	CHECK_JSON(http_ok(stack, "/api/online-status/user/1", token_for(stack, "3"), NULL),
		   "{'user_id':1,'is_online':false,'status':'offline','last_seen':null,"
		   "'version':0}");
	CHECK_JSON(http_ok(second, B_BASE COUNT, b_token, NULL), "{'count':2}");
	http_ok(second, B_BASE "/auth/logout?all=true", b_token, "");
	sse_wait_change(b_friend, "1", false, 5000);
	/* All that the first site's friend hears of is user 3. */
	event = sse_wait(a_friend, "status_change", 5000);
	ck_assert_str_eq(json_text(event->json, "user_id"), "3");
	while ((message = listener_next(a_listener, 200)) != NULL)
		ck_assert_msg(strstr(message->channel, ":1") == NULL, "%s: %s", message->channel,
			      message->text);
	keys = redis_cmd(stack, "KEYS *");
	ck_assert_uint_gt(keys->elements, 10);
	for (size_t i = 0; i < keys->elements; i++)
		ck_assert_msg(strncmp(keys->element[i]->str, "a:", 2) == 0 ||
				      strncmp(keys->element[i]->str, "b:", 2) == 0,
			      "the key %s is of no site", keys->element[i]->str);
	ck_assert_int_eq(redis_int(stack, "EXISTS a:user:last_seen:1 a:presence:not_before:1"), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(tickets_of_one_site_open_nothing_at_the_other)
{
	struct stack *stack = start_both(), *second = second_of(stack);
	const char *ticket = json_text(
		http_ok(stack, "/api/presence/ticket", token_for(stack, "1"), ""), "ticket");
	char path[256];

	snprintf(path, sizeof path, B_BASE "/presence/stream?ticket=%s", ticket);
	check_problem(HTTP(second, .path = path), 401, "ticket_invalid");
	/* And it is not used up by that. */
	snprintf(path, sizeof path, "/api/presence/stream?ticket=%s", ticket);
	sse_ready(open_at(stack, path, NULL));
	stack_stop(stack);
}
END_TEST

START_TEST(each_site_sweeps_its_own)
{
	struct stack *stack = start_both(), *second = second_of(stack);
	struct listener *listener = listener_open(stack, "*:presence:broadcast");
	struct sse *friend;
	int a_changes = 0, b_changes = 0;
	struct message *message;

	WAIT_UNTIL(redis_int(stack, "EXISTS a:presence:swept b:presence:swept") == 2, 5000);
	/* Without its streamd the second site has nobody who sweeps but its workers. */
	ck_assert_int_eq(streamd_end(stack, 1, SIGKILL), 128 + SIGKILL);
	http_ok(stack, "/api" COUNT, token_for(stack, "1"), NULL);
	http_ok(second, B_BASE COUNT, token_for(second, "1"), NULL);
	friend = sse_open(stack, token_for(stack, "2"));
	sse_ready(friend);
	sse_wait_change(friend, "1", false, 8000);
	ck_assert_int_eq(redis_int(stack, "SISMEMBER a:online_users 1"), 0);
	ck_assert_int_eq(redis_int(stack, "SISMEMBER b:online_users 1"), 1);
	ck_assert_int_ge(redis_int(stack, "ZCARD b:presence:deadlines"), 1);
	start_second_streamd(stack);
	WAIT_UNTIL(redis_int(stack, "SISMEMBER b:online_users 1") == 0, 8000);
	while ((message = listener_next(listener, 300)) != NULL) {
		if (strstr(message->text, "\"user_id\":1,") == NULL)
			continue;
		a_changes += message->channel[0] == 'a';
		b_changes += message->channel[0] == 'b';
	}
	ck_assert_int_eq(a_changes, 2); /* each once online, once offline */
	ck_assert_int_eq(b_changes, 2);
	stack_stop(stack);
}
END_TEST

/* --- other origins ------------------------------------------------------------------------ */

START_TEST(an_open_stream_tells_which_origin_may_read_it)
{
	struct stack *stack = stack_start("cors { allow_origins = \"https://a.example\" }");
	const char *token = token_for(stack, "1");
	char text[1024];
	struct sse *sse;

	snprintf(text, sizeof text,
		 "GET /api/presence/stream?token=%s HTTP/1.1\r\nHost: localhost\r\n"
		 "Origin: https://a.example\r\n\r\n",
		 token);
	sse = sse_request(stack, text);
	sse_ready(sse);
	ck_assert_str_eq(sse_header(sse, "Access-Control-Allow-Origin"), "https://a.example");
	ck_assert_str_eq(sse_header(sse, "Access-Control-Allow-Credentials"), "true");
	ck_assert_str_eq(sse_header(sse, "Vary"), "Origin");
	snprintf(text, sizeof text,
		 "GET /api/presence/stream?token=%s HTTP/1.1\r\nHost: localhost\r\n"
		 "Origin: https://b.example\r\n\r\n",
		 token);
	sse = sse_request(stack, text);
	sse_ready(sse);
	ck_assert_ptr_null(sse_header(sse, "Access-Control-Allow-Origin"));
	ck_assert_str_eq(sse_header(sse, "Vary"), "Origin");
	stack_stop(stack);
}
END_TEST

/* --- CGI ---------------------------------------------------------------------------------- */

START_TEST(as_a_plain_cgi_program_it_answers_every_call)
{
	struct stack *stack = stack_new("http { base = \"/cgi/api\" }\n");
	struct json_object *answer;
	const char *token;
	char *text;

	redis_start(stack, NULL);
	ck_assert(asprintf(&text, "#!/bin/sh\nexec %s -c %s\n", program("presence-api"),
			   stack_path(stack, "presence.conf")) > 0);
	stack_write(stack, "api.cgi", text);
	ck_assert_int_eq(chmod(stack_path(stack, "api.cgi"), 0700), 0);
	lighttpd_start(stack);
	ck_assert(
		asprintf(&text,
			 "\nserver.modules += (\"mod_alias\", \"mod_cgi\")\n"
			 "alias.url += (\"/cgi/api\" => \"%s\")\ncgi.assign = (\".cgi\" => \"\")\n",
			 stack_path(stack, "api.cgi")) > 0);
	lighttpd_change(stack, NULL, text);

	CHECK_JSON(http_ok(stack, "/cgi/api/health", NULL, NULL), "{'status':'ok','redis':'ok'}");
	answer = http_ok(stack, "/cgi/api/auth/login/json", NULL,
			 "{\"email\":\"user1@example.com\",\"password\":\"" PASSWORD "\"}");
	answer = http_ok(stack, "/cgi/api/auth/refresh", json_text(answer, "access_token"), "");
	token = json_text(answer, "access_token");
	ck_assert_int_eq(
		json_object_array_length(http_ok(stack, "/cgi/api/friends/list", token, NULL)),
		USERS - 1);
	ck_assert_int_eq(json_object_object_length(http_ok(stack, "/cgi/api/online-status/users",
							   token, "{\"user_ids\":[1,2]}")),
			 2);
	ck_assert(json_object_get_boolean(json_at(
		http_ok(stack, "/cgi/api/online-status/user/1", token, NULL), "is_online")));
	ck_assert_int_eq(json_object_object_length(
				 http_ok(stack, "/cgi/api/online-status/friends", token, NULL)),
			 USERS - 1);
	CHECK_JSON(http_ok(stack, "/cgi/api/online-status/heartbeat", token, ""),
		   "{'ok':true,'expires_in':300}");
	CHECK_JSON(http_ok(stack, "/cgi/api/online-status/count", token, NULL), "{'count':1}");
	CHECK_JSON(http_ok(stack, "/cgi/api/online-status/online?limit=1", token, NULL),
		   "{'user_ids':[1],'cursor':null}");
	CHECK_JSON(http_ok(stack, "/cgi/api/presence/ticket", token, ""),
		   "{'ticket':'<string>','expires_in':30}");
	/* A page that is told so polls. */
	check_problem(HTTP(stack, .path = "/cgi/api/presence/stream", .token = token), 501,
		      "streams_unavailable");
	check_problem(HTTP(stack, .path = "/cgi/api/nothing", .token = token), 404, "not_found");
	check_problem(HTTP(stack, .path = "/cgi/api/auth/logout", .token = token), 405,
		      "method_not_allowed");
	CHECK_JSON(http_ok(stack, "/cgi/api/auth/logout", token, ""), "{'ok':true}");
	check_problem(HTTP(stack, .path = "/cgi/api" COUNT, .token = token), 401, "token_revoked");
	stack_stop(stack);
}
END_TEST

/* --- SIGHUP ------------------------------------------------------------------------------- */

static bool log_has(struct stack *stack, const char *name, const char *text)
{
	return strstr(stack_file(stack, name), text) != NULL;
}

static int count_reloads(struct stack *stack)
{
	const char *log = stack_file(stack, "streamd0.log");
	int count = 0;

	for (; (log = strstr(log, "configuration read again")) != NULL; log++)
		count++;
	return count;
}

static void reload_streamd(struct stack *stack, const char *conf)
{
	int before = count_reloads(stack);

	stack_write_conf(stack, conf);
	kill(stack->streamd[0], SIGHUP);
	WAIT_UNTIL(count_reloads(stack) > before, 5000);
}

START_TEST(streamd_takes_new_values_and_keeps_its_streams)
{
	struct stack *stack = stack_start("presence { heartbeat = 30 }"
					  "stream { max_streams_per_user = 1 }");
	struct sse *sse = sse_open(stack, token_for(stack, "1")), *another;

	sse_ready(sse);
	http_ok(stack, "/api" COUNT, token_for(stack, "2"), NULL); /* presence-api has started */
	ck_assert_int_eq(sse_status(sse_open(stack, token_for(stack, "1"))), 429);
	reload_streamd(stack, "presence { heartbeat = 1 } stream { max_streams_per_user = 2 }"
			      "redis { prefix = \"other:\" } directory { backend = none }"
			      "auth { login = external }");
	another = sse_open(stack, token_for(stack, "1"));
	sse_ready(another);
	sse_wait(another, "heartbeat", 5000);
	/* What connections stand on stays, and that is said. */
	ck_assert(log_has(stack, "streamd0.log", "redis.prefix changed: that takes a restart"));
	ck_assert(
		log_has(stack, "streamd0.log", "directory.backend changed: that takes a restart"));
	http_ok(stack, "/api" COUNT, token_for(stack, "3"), NULL);
	sse_wait_change(sse, "3", true, 5000);
	sse_wait_change(another, "3", true, 5000);
	stack_stop(stack);
}
END_TEST

START_TEST(a_new_key_is_taken_and_the_old_ones_streams_stay)
{
	struct stack *stack = stack_start("");
	const char *old = token_for(stack, "1");
	struct sse *sse = sse_open(stack, old);

	sse_ready(sse);
	http_ok(stack, "/api" COUNT, old, NULL);
	snprintf(stack->secret, sizeof stack->secret, "a new secret of 32 bytes at the least");
	stack_write_secret(stack, "key", stack->secret);
	reload_streamd(stack, "");
	kill(api_parent(stack), SIGHUP);
	check_problem(HTTP(stack, .path = "/api/presence/stream", .token = old), 401,
		      "token_invalid");
	sse_ready(sse_open(stack, token_for(stack, "3")));
	WAIT_UNTIL(HTTP(stack, .path = "/api" COUNT, .token = old)->status == 401 &&
			   HTTP(stack, .path = "/api" COUNT, .token = old)->status == 401,
		   5000);
	WAIT_UNTIL(HTTP(stack, .path = "/api" COUNT, .token = token_for(stack, "2"))->status == 200,
		   5000);
	sse_wait_change(sse, "2", true, 5000);

	/* A key that is none: the one before stays. */
	stack_write_secret(stack, "key", "short");
	kill(stack->streamd[0], SIGHUP);
	kill(api_parent(stack), SIGHUP);
	WAIT_UNTIL(log_has(stack, "streamd0.log", "the old configuration stays"), 5000);
	WAIT_UNTIL(log_has(stack, "lighttpd.log", "does not work; the old one stays"), 5000);
	http_ok(stack, "/api" COUNT, token_for(stack, "4"), NULL);
	sse_wait_change(sse, "4", true, 5000);
	stack_stop(stack);
}
END_TEST

/* The answers of both programs to a token. */
static bool is_taken(struct stack *stack, const char *token)
{
	struct sse *sse;

	if (HTTP(stack, .path = "/api" COUNT, .token = token)->status != 200)
		return false;
	sse = sse_open(stack, token);
	if (sse_status(sse) != 200)
		return false;
	sse_close(sse);
	return true;
}

START_TEST(a_key_is_changed_without_ending_the_old_ones_tokens)
{
	struct stack *stack = stack_start("");
	const char *old = token_for(stack, "1");
	char *conf;

	ck_assert(is_taken(stack, old));
	snprintf(stack->secret, sizeof stack->secret, "a new secret of 32 bytes at the least");
	stack_write_secret(stack, "key2", stack->secret);
	ck_assert(asprintf(&conf, "auth { key_file = \"%s/key2, %s/key\" leeway = 0 }\n",
			   stack->dir, stack->dir) > 0);
	reload_streamd(stack, conf);
	kill(api_parent(stack), SIGHUP);
	WAIT_UNTIL(is_taken(stack, token_for(stack, "2")), 5000);
	ck_assert(is_taken(stack, old));
	/* What login issues has the new one. */
	ck_assert(asprintf(&conf, "auth { key_file = \"%s/key2\" leeway = 0 }\n", stack->dir) > 0);
	reload_streamd(stack, conf);
	kill(api_parent(stack), SIGHUP);
	WAIT_UNTIL(HTTP(stack, .path = "/api" COUNT, .token = old)->status == 401, 5000);
	check_problem(HTTP(stack, .path = "/api/presence/stream", .token = old), 401,
		      "token_invalid");
	ck_assert(is_taken(stack, token_for(stack, "2")));
	stack_stop(stack);
}
END_TEST

START_TEST(a_set_of_keys_is_read_again)
{
	static const char form[] = "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"%s\",\"k\":\""
				   "YSBzZWNyZXQgb2YgMzIgYnl0ZXMgYXQgdGhlIGxlYXN0\"}]}";
	struct stack *stack = stack_start("");
	char *conf, *set, payload[128];
	const char *first, *second;

	snprintf(stack->secret, sizeof stack->secret, "a secret of 32 bytes at the least");
	snprintf(payload, sizeof payload, "{'sub':'1','exp':4102444800}");
	first = token_make("{'alg':'HS256','kid':'one'}", payload, KEY_HMAC, stack->secret);
	second = token_make("{'alg':'HS256','kid':'two'}", payload, KEY_HMAC, stack->secret);
	ck_assert(asprintf(&conf, "auth { key_file = \"%s/set.json\" leeway = 0 }\n", stack->dir) >
		  0);
	ck_assert(asprintf(&set, form, "one") > 0);
	stack_write_secret(stack, "set.json", set);
	reload_streamd(stack, conf);
	kill(api_parent(stack), SIGHUP);
	WAIT_UNTIL(is_taken(stack, first), 5000);
	check_has(HTTP(stack, .path = "/api" COUNT, .token = second)->body,
		  "kid is not that of a known key");
	ck_assert(asprintf(&set, form, "two") > 0);
	stack_write_secret(stack, "set.json", set);
	reload_streamd(stack, conf);
	kill(api_parent(stack), SIGHUP);
	WAIT_UNTIL(is_taken(stack, second), 5000);
	check_has(HTTP(stack, .path = "/api/presence/stream", .token = first)->body,
		  "kid is not that of a known key");
	stack_stop(stack);
}
END_TEST

/* --- syslog ------------------------------------------------------------------------------- */

START_TEST(a_log_that_goes_to_syslog_harms_nothing)
{
	struct stack *stack = stack_start("log { target = syslog }");
	const char *token = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token);
	char *before;

	sse_ready(sse);
	http_ok(stack, "/api" COUNT, token, NULL);
	redis_int(stack, "PUBLISH user:inbox:1 rubbish"); /* which is logged */
	redis_int(stack, "PUBLISH user:inbox:1 %s", "{\"type\":\"friends_changed\"}");
	sse_wait(sse, "initial", 5000);
	ck_assert_str_eq(stack_file(stack, "streamd0.log"), "");
	/* There and back again. */
	reload_streamd(stack, "");
	redis_int(stack, "PUBLISH user:inbox:1 rubbish");
	WAIT_UNTIL(log_has(stack, "streamd0.log", "dropped a message"), 5000);
	stack_write_conf(stack, "log { target = syslog }");
	kill(stack->streamd[0], SIGHUP);
	kill(api_parent(stack), SIGHUP);
	before = stack_file(stack, "streamd0.log");
	redis_int(stack, "PUBLISH user:inbox:1 %s", "{\"type\":\"friends_changed\"}");
	sse_wait(sse, "initial", 5000);
	http_ok(stack, "/api" COUNT, token, NULL);
	ck_assert_msg(strlen(stack_file(stack, "streamd0.log")) >= strlen(before),
		      "the log shrank");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sites");
	TCase *tcase = harness_case(suite, "two sites", 40);

	tcase_add_test(tcase, tokens_of_one_site_are_none_of_the_other);
	tcase_add_test(tcase, keys_and_channels_of_two_sites_are_apart);
	tcase_add_test(tcase, tickets_of_one_site_open_nothing_at_the_other);
	tcase_add_test(tcase, each_site_sweeps_its_own);

	tcase = harness_case(suite, "how they run", 40);
	tcase_add_test(tcase, an_open_stream_tells_which_origin_may_read_it);
	tcase_add_test(tcase, as_a_plain_cgi_program_it_answers_every_call);
	tcase_add_test(tcase, streamd_takes_new_values_and_keeps_its_streams);
	tcase_add_test(tcase, a_new_key_is_taken_and_the_old_ones_streams_stay);
	tcase_add_test(tcase, a_key_is_changed_without_ending_the_old_ones_tokens);
	tcase_add_test(tcase, a_set_of_keys_is_read_again);
	tcase_add_test(tcase, a_log_that_goes_to_syslog_harms_nothing);
	return harness_main(suite);
}
