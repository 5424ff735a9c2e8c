/*
 * Sessions and their ends: tickets that two want at once, refreshed tokens, logout from everywhere,
 * kick, throttled logins, limits over two streamds. docs/api.md, docs/redis-keys.md
 */
#include "calls.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TAKERS 20

static struct stack *start_two(const char *conf)
{
	struct stack *stack = stack_start(conf);

	streamd_start(stack, 1);
	return stack;
}

#define NO_IAT INT_MIN
/* A token of user `id` issued `age` seconds ago; a sid of its own. NO_IAT: without iat. */
static const char *token_aged(struct stack *stack, const char *id, int age)
{
	static int number;
	long long now = (long long)time(NULL);
	char payload[256], iat[64] = "";

	if (age != NO_IAT)
		snprintf(iat, sizeof iat, ",'iat':%lld", now - age);
	snprintf(payload, sizeof payload, "{'sub':'%s','sid':'aged%d'%s,'exp':%lld}", id, ++number,
		 iat, now + 1000);
	return token_make("{'alg':'HS256'}", payload, KEY_HMAC, stack->secret);
}

/* --- tickets ------------------------------------------------------------------------------ */

START_TEST(of_many_takers_of_a_ticket_one_gets_a_stream)
{
	struct stack *stack = stack_start("stream { max_streams_per_user = 100 }");
	const char *ticket = ticket_for(stack, token_for(stack, "1"));
	struct sse *takers[TAKERS];
	int streams = 0;

	for (int i = 0; i < TAKERS; i++)
		takers[i] = sse_open_ticket(stack, ticket);
	for (int i = 0; i < TAKERS; i++) {
		int status = sse_status(takers[i]);

		ck_assert_msg(status == 200 || status == 401, "a taker is answered %d", status);
		streams += status == 200;
	}
	ck_assert_msg(streams == 1, "%d streams came of one ticket", streams);
	stack_stop(stack);
}
END_TEST

START_TEST(a_ticket_is_kept_for_30_seconds_and_says_nothing_of_the_token)
{
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1"), *ticket = ticket_for(stack, token);
	char *value = redis_text(stack, "GET presence:ticket:%s", ticket);
	long long ttl = redis_int(stack, "PTTL presence:ticket:%s", ticket);

	CHECK_JSON(json_tokener_parse(value),
		   "{'sub':1,'tok':'<string>','iat':'<int>','exp':'<int>'}");
	ck_assert_msg(ttl > 20000 && ttl <= 30000, "a ticket lives %lld ms", ttl);
	ck_assert_msg(strstr(token, ticket) == NULL, "the ticket is part of the token");
	stack_stop(stack);
}
END_TEST

START_TEST(a_ticket_lasts_no_longer_than_its_token)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_until(stack, "1", 3), *ticket = ticket_for(stack, token);
	struct sse *sse = sse_open_ticket(stack, ticket);
	char path[256];

	sse_ready(sse);
	sse_wait_bye(sse, "token_expired", 5000);
	ticket = ticket_for(stack, token_for(stack, "2"));
	redis_cmd(stack, "SET presence:ticket:%s %s EX 30", ticket,
		  "{\"sub\":2,\"tok\":\"x\",\"iat\":1,\"exp\":1000}");
	snprintf(path, sizeof path, STREAM "?ticket=%s", ticket);
	check_problem(HTTP(stack, .path = path), 401, "token_expired");
	stack_stop(stack);
}
END_TEST

START_TEST(a_ticket_of_a_kicked_user_opens_nothing)
{
	struct stack *stack = stack_start("");
	const char *ticket = ticket_for(stack, token_for(stack, "1"));
	const char *kick[] = {program("presencectl"),
			      "-c",
			      stack_path(stack, "presence.conf"),
			      "kick",
			      "1",
			      NULL};
	char path[256];

	ck_assert_int_eq(run(stack, NULL, NULL, kick), 0);
	snprintf(path, sizeof path, STREAM "?ticket=%s", ticket);
	check_problem(HTTP(stack, .path = path), 401, "token_revoked");
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(a_ticket_while_redis_is_away_is_told_to_wait)
{
	struct stack *stack = stack_start("");
	const char *ticket = ticket_for(stack, token_for(stack, "1"));
	char path[256];

	snprintf(path, sizeof path, STREAM "?ticket=%s", ticket);
	redis_kill(stack);
	WAIT_UNTIL(strstr(stack_file(stack, "streamd0.log"), "redis: lost") != NULL ||
			   strstr(stack_file(stack, "streamd0.log"), "level=warning msg=\"redis") !=
				   NULL,
		   5000);
	check_problem(HTTP(stack, .path = path), 503, "redis_unavailable");
	stack_stop(stack);
}
END_TEST

/* --- refresh ------------------------------------------------------------------------------ */

START_TEST(streams_of_a_refreshed_token_are_of_one_session)
{
	struct stack *stack = stack_start("");
	const char *old = login(stack, "user1@example.com"), *new;
	struct sse *before = sse_open(stack, old), *after;

	sse_ready(before);
	new = json_text(http_ok(stack, REFRESH, old, ""), "access_token");
	after = sse_open(stack, new);
	sse_ready(after);
	/* One token session, two streams. */
	ck_assert_int_eq(redis_int(stack, "ZCARD user:sessions:1"), 3);
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 1);
	http_ok(stack, LOGOUT, new, "");
	sse_wait_bye(before, "revoked", 5000);
	sse_wait_bye(after, "revoked", 5000);
	check_problem(HTTP(stack, .path = COUNT, .token = old), 401, "token_revoked");
	ck_assert_int_eq(redis_int(stack, "EXISTS user:sessions:1 user:online:1"), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_refreshed_again_and_again_stays_one_session)
{
	struct stack *stack = stack_start("");
	const char *first = login(stack, "user1@example.com"), *token = first;

	for (int i = 0; i < 5; i++)
		token = json_text(http_ok(stack, REFRESH, token, ""), "access_token");
	ck_assert_int_eq(redis_int(stack, "ZCARD user:sessions:1"), 1);
	http_ok(stack, LOGOUT, first, "");
	check_problem(HTTP(stack, .path = COUNT, .token = token), 401, "token_revoked");
	/* The name is kept until the last of them would have expired. */
	ck_assert_int_gt(redis_int(stack, "TTL presence:revoked:1/%s",
				   json_text(token_payload(first), "sid")),
			 3600 - 60);
	stack_stop(stack);
}
END_TEST

/* --- revocation --------------------------------------------------------------------------- */

START_TEST(logout_from_everywhere_ends_the_streams_of_two_streamds)
{
	struct stack *stack = start_two("");
	const char *phone = token_for(stack, "1"), *laptop = token_for(stack, "1");
	struct sse *first = sse_open_direct(stack, 0, phone);
	struct sse *second = sse_open_direct(stack, 1, laptop);
	struct sse *friend = sse_open_direct(stack, 1, token_for(stack, "2"));

	sse_ready(first);
	sse_ready(second);
	sse_ready(friend);
	http_ok(stack, LOGOUT "?all=true", phone, "");
	sse_wait_bye(first, "revoked", 5000);
	sse_wait_bye(second, "revoked", 5000);
	ck_assert_str_eq(json_text(sse_wait_change(friend, "1", false, 5000)->json, "reason"),
			 "logout");
	check_problem(HTTP(stack, .path = COUNT, .token = laptop), 401, "token_revoked");
	ck_assert_int_eq(sse_status(sse_open_direct(stack, 1, laptop)), 401);
	ck_assert_int_eq(redis_int(stack, "EXISTS user:sessions:1"), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(logout_from_everywhere_holds_through_the_leeway)
{
	struct stack *stack = stack_start("auth { leeway = 3000 }");
	const char *used = token_for(stack, "1"), *expired = token_until(stack, "1", -100);
	const char *aged = token_aged(stack, "1", 10), *ageless = token_aged(stack, "1", NO_IAT);
	const char *other = token_aged(stack, "2", 10);

	touch(stack, used);
	touch(stack, expired); /* in its leeway */
	touch(stack, ageless);
	http_ok(stack, LOGOUT "?all=true", used, "");
	check_problem(HTTP(stack, .path = COUNT, .token = used), 401, "token_revoked");
	check_problem(HTTP(stack, .path = COUNT, .token = expired), 401, "token_revoked");
	check_problem(HTTP(stack, .path = COUNT, .token = aged), 401, "token_revoked");
	check_problem(HTTP(stack, .path = COUNT, .token = ageless), 401, "token_revoked");
	check_problem(HTTP(stack, .path = COUNT, .token = token_aged(stack, "1", NO_IAT)), 401,
		      "token_revoked");
	check_problem(HTTP(stack, .path = STREAM, .token = ageless), 401, "token_revoked");
	check_problem(HTTP(stack, .path = REFRESH, .method = "POST", .token = aged), 401,
		      "token_revoked");
	check_problem(HTTP(stack, .path = TICKET, .method = "POST", .token = aged), 401,
		      "token_revoked");
	check_problem(HTTP(stack, .path = LOGOUT, .method = "POST", .token = aged), 401,
		      "token_revoked");
	ck_assert_int_eq(redis_int(stack, "EXISTS user:online:1"), 0);
	touch(stack, other);
	touch(stack, token_aged(stack, "1", 0)); /* issued since */
	stack_stop(stack);
}
END_TEST

START_TEST(a_logout_holds_through_the_leeway)
{
	struct stack *stack = stack_start("auth { leeway = 3000 token_lifetime = 60 }");
	const char *token = token_until(stack, "1", -100);
	const char *sid = json_text(token_payload(token), "sid");

	touch(stack, token);
	http_ok(stack, LOGOUT, token, "");
	check_problem(HTTP(stack, .path = COUNT, .token = token), 401, "token_revoked");
	ck_assert_int_ge(redis_int(stack, "TTL presence:revoked:1/%s", sid), 3000);
	stack_stop(stack);
}
END_TEST

START_TEST(a_kick_ends_everything_until_the_next_login)
{
	struct stack *stack = start_two("");
	const char *token = login(stack, "user1@example.com"), *unused = token_aged(stack, "1", 5);
	const char *kick[] = {program("presencectl"),
			      "-c",
			      stack_path(stack, "presence.conf"),
			      "kick",
			      "1",
			      NULL};
	struct sse *first = sse_open_direct(stack, 0, token);
	struct sse *second = sse_open_direct(stack, 1, token);
	struct sse *friend = sse_open(stack, token_for(stack, "2"));
	long long ttl;

	sse_ready(first);
	sse_ready(second);
	sse_ready(friend);
	ck_assert_int_eq(run(stack, NULL, NULL, kick), 0);
	sse_wait_bye(first, "revoked", 5000);
	sse_wait_bye(second, "revoked", 5000);
	ck_assert_str_eq(json_text(sse_wait_change(friend, "1", false, 5000)->json, "reason"),
			 "kicked");
	check_problem(HTTP(stack, .path = COUNT, .token = token), 401, "token_revoked");
	check_problem(HTTP(stack, .path = COUNT, .token = unused), 401, "token_revoked");
	ttl = redis_int(stack, "TTL presence:not_before:1");
	ck_assert_msg(ttl > 604800 - 60 && ttl <= 604800, "not_before lives %lld s", ttl);
	touch(stack, login(stack, "user1@example.com"));
	sse_wait_change(friend, "1", true, 5000);
	stack_stop(stack);
}
END_TEST

START_TEST(an_issuer_whose_clock_is_late_or_early_is_no_obstacle_after_a_kick)
{
	struct stack *stack = stack_start("auth { login = external leeway = 30 }\n");
	const char *early = token_aged(stack, "1", -8), *old = token_aged(stack, "1", 40);
	const char *kick[] = {program("presencectl"),
			      "-c",
			      stack_path(stack, "presence.conf"),
			      "kick",
			      "1",
			      NULL};

	/* From a clock that is 8 s ahead; in use, so that it is known by name. */
	touch(stack, early);
	ck_assert_int_eq(run(stack, NULL, NULL, kick), 0);
	check_problem(HTTP(stack, .path = COUNT, .token = early), 401, "token_revoked");
	check_problem(HTTP(stack, .path = COUNT, .token = old), 401, "token_revoked");
	/* Issued after the kick by a clock that is 5 s late. */
	touch(stack, token_aged(stack, "1", 5));
	ck_assert_str_eq(
		json_text(http_ok(stack, STATUS_USER "1", token_for(stack, "2"), NULL), "status"),
		"online");
	stack_stop(stack);
}
END_TEST

/* --- failed logins ------------------------------------------------------------------------ */

static struct response *try(struct stack *stack, int user, const char *password)
{
	char body[128];

	snprintf(body, sizeof body, "{\"email\":\"user%d@example.com\",\"password\":\"%s\"}", user,
		 password);
	return HTTP(stack, .path = LOGIN, .body = body);
}

static void fail_logins(struct stack *stack, int user, int times)
{
	for (int i = 0; i < times; i++)
		check_problem(try(stack, user, "wrong"), 401, "bad_credentials");
}

/* Sets the count of this address back, as if the next came from elsewhere. */
static void forget_address(struct stack *stack)
{
	redisReply *keys = redis_cmd(stack, "KEYS presence:throttle:addr:*");

	ck_assert_uint_eq(keys->elements, 1);
	redis_cmd(stack, "DEL %s", keys->element[0]->str);
}

START_TEST(an_account_is_throttled_whatever_the_address)
{
	struct stack *stack = stack_start("");
	struct response *response;
	int wait;

	fail_logins(stack, 1, 9);
	forget_address(stack);
	fail_logins(stack, 1, 1);
	forget_address(stack);
	response = try(stack, 1, PASSWORD);
	check_problem(response, 429, "too_many_logins");
	wait = atoi(header_of(response->head, "Retry-After"));
	ck_assert_msg(wait > 0 && wait <= 300, "Retry-After: %d", wait);
	/* Another account of the same address is not concerned. */
	ck_assert_int_eq(try(stack, 2, PASSWORD)->status, 200);
	stack_stop(stack);
}
END_TEST

START_TEST(an_address_is_throttled_whatever_the_account)
{
	struct stack *stack = stack_start("");

	for (int user = 1; user <= 5; user++)
		fail_logins(stack, user, 2);
	check_problem(try(stack, 6, PASSWORD), 429, "too_many_logins");
	/* Refused ones do not make it longer. */
	for (int i = 0; i < 5; i++)
		check_problem(try(stack, 6, "wrong"), 429, "too_many_logins");
	forget_address(stack);
	ck_assert_int_eq(try(stack, 6, PASSWORD)->status, 200);
	stack_stop(stack);
}
END_TEST

START_TEST(a_success_resets_the_account_and_not_the_address)
{
	struct stack *stack = stack_start("");
	redisReply *keys;

	fail_logins(stack, 1, 8);
	ck_assert_int_eq(try(stack, 1, PASSWORD)->status, 200);
	keys = redis_cmd(stack, "KEYS presence:throttle:account:*");
	ck_assert_msg(keys->elements == 0, "the account is still counted");
	fail_logins(stack, 1, 2);
	check_problem(try(stack, 2, PASSWORD), 429, "too_many_logins");
	forget_address(stack);
	fail_logins(stack, 1, 7);
	ck_assert_int_eq(try(stack, 1, PASSWORD)->status, 200);
	stack_stop(stack);
}
END_TEST

START_TEST(a_throttle_ends_by_itself)
{
	struct stack *stack = stack_start("");
	redisReply *keys;

	fail_logins(stack, 1, 10);
	check_problem(try(stack, 1, PASSWORD), 429, "too_many_logins");
	keys = redis_cmd(stack, "KEYS presence:throttle:*");
	ck_assert_uint_eq(keys->elements, 2);
	for (size_t i = 0; i < 2; i++) {
		long long ttl = redis_int(stack, "TTL %s", keys->element[i]->str);

		ck_assert_msg(ttl > 240 && ttl <= 300, "%s lives %lld s", keys->element[i]->str,
			      ttl);
		redis_int(stack, "PEXPIRE %s 1", keys->element[i]->str);
	}
	WAIT_UNTIL(redis_int(stack, "EXISTS %s %s", keys->element[0]->str, keys->element[1]->str) ==
			   0,
		   5000);
	ck_assert_int_eq(try(stack, 1, PASSWORD)->status, 200);
	stack_stop(stack);
}
END_TEST

/* --- limits ------------------------------------------------------------------------------- */

START_TEST(streams_of_a_user_are_bounded_over_two_streamds)
{
	struct stack *stack = start_two(FAST "stream { max_streams_per_user = 3 }");
	struct sse *streams[3], *again;

	for (int i = 0; i < 3; i++) {
		streams[i] = sse_open_direct(stack, i % 2, token_for(stack, "1"));
		sse_ready(streams[i]);
	}
	for (int i = 0; i < 2; i++) {
		struct sse *one_more = sse_open_direct(stack, i, token_for(stack, "1"));

		ck_assert_int_eq(sse_status(one_more), 429);
		ck_assert_int_gt(atoi(sse_header(one_more, "Retry-After")), 0);
		sse_ready(sse_open_direct(stack, i, token_for(stack, "2")));
	}
	sse_close(streams[0]);
	WAIT_UNTIL((again = sse_open_direct(stack, 1, token_for(stack, "1")),
		    sse_status(again) == 200),
		   5000);
	sse_ready(again);
	stack_stop(stack);
}
END_TEST

START_TEST(a_session_too_many_pushes_out_the_one_nearest_to_its_end)
{
	struct stack *stack = stack_start("presence { max_sessions = 3 }");
	const char *tokens[4];
	struct sse *sse;

	tokens[0] = token_for(stack, "1");
	sse = sse_open(stack, tokens[0]); /* a token's session and a stream's */
	sse_ready(sse);
	for (int i = 1; i < 4; i++) {
		tokens[i] = token_for(stack, "1");
		touch(stack, tokens[i]);
		ck_assert_int_le(redis_int(stack, "ZCARD user:sessions:1"), 3);
	}
	ck_assert_int_eq(redis_int(stack, "ZCARD user:sessions:1"), 3);
	for (int i = 0; i < 4; i++)
		touch(stack, tokens[i]); /* pushed out is not revoked */
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 1);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sessions");
	TCase *tcase = harness_case(suite, "tickets", 30);

	tcase_add_test(tcase, of_many_takers_of_a_ticket_one_gets_a_stream);
	tcase_add_test(tcase, a_ticket_is_kept_for_30_seconds_and_says_nothing_of_the_token);
	tcase_add_test(tcase, a_ticket_lasts_no_longer_than_its_token);
	tcase_add_test(tcase, a_ticket_of_a_kicked_user_opens_nothing);
	tcase_add_test(tcase, a_ticket_while_redis_is_away_is_told_to_wait);

	tcase = harness_case(suite, "refresh", 30);
	tcase_add_test(tcase, streams_of_a_refreshed_token_are_of_one_session);
	tcase_add_test(tcase, a_token_refreshed_again_and_again_stays_one_session);

	tcase = harness_case(suite, "revocation", 30);
	tcase_add_test(tcase, logout_from_everywhere_ends_the_streams_of_two_streamds);
	tcase_add_test(tcase, logout_from_everywhere_holds_through_the_leeway);
	tcase_add_test(tcase, a_logout_holds_through_the_leeway);
	tcase_add_test(tcase, a_kick_ends_everything_until_the_next_login);
	tcase_add_test(tcase, an_issuer_whose_clock_is_late_or_early_is_no_obstacle_after_a_kick);

	tcase = harness_case(suite, "failed logins", 60);
	tcase_add_test(tcase, an_account_is_throttled_whatever_the_address);
	tcase_add_test(tcase, an_address_is_throttled_whatever_the_account);
	tcase_add_test(tcase, a_success_resets_the_account_and_not_the_address);
	tcase_add_test(tcase, a_throttle_ends_by_itself);

	tcase = harness_case(suite, "limits", 30);
	tcase_add_test(tcase, streams_of_a_user_are_bounded_over_two_streamds);
	tcase_add_test(tcase, a_session_too_many_pushes_out_the_one_nearest_to_its_end);
	return harness_main(suite);
}
