/*
 * Who of the friends is near: what is shared, with whom, when it ends, and that nothing but "near" gets
 * out. When a place is taken is place.h's (unit/test_place). docs/api.md, docs/privacy.md
 */
#include "calls.h"
#include "monitor.h"
#include "servers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cell.h"

#define SEOUL 37.5665, 126.978
#define BUSAN 35.1796, 129.0756

static void call(struct stack *stack, const char *method, const char *path, const char *token,
		 const char *body)
{
	struct response *response =
		HTTP(stack, .method = method, .path = path, .token = token, .body = body);

	ck_assert_msg(response->status / 100 == 2, "%s %s: %d %s", method, path, response->status,
		      response->body);
}

static void share(struct stack *stack, const char *token)
{
	call(stack, "PUT", SETTINGS, token, "{\"nearby\":\"friends\"}");
}

static void put(struct stack *stack, const char *token, double latitude, double longitude)
{
	call(stack, "PUT", LOCATION, token,
	     text_of("{\"lat\":%.7f,\"lon\":%.7f}", latitude, longitude));
}

/* A new token of a user who shares a place. */
static const char *placed(struct stack *stack, const char *id, double latitude, double longitude)
{
	const char *token = token_for(stack, id);

	share(stack, token);
	put(stack, token, latitude, longitude);
	return token;
}

static void check_near(struct stack *stack, const char *token, const char *ids)
{
	CHECK_JSON(http_ok(stack, NEARBY, token, NULL), text_of("{'user_ids':[%s]}", ids));
}

/* --- near --------------------------------------------------------------------------------- */

START_TEST(friends_in_the_same_or_the_next_cell_are_near)
{
	struct stack *stack = stack_start_api("");
	const char *anna = placed(stack, "1", SEOUL), *bert = placed(stack, "2", SEOUL);
	const char *carl = placed(stack, "3", 37.5665 + 0.0108, 126.978);
	const char *dora = placed(stack, "4", 37.5665 + 0.0330, 126.978);
	const char *emil = placed(stack, "5", BUSAN);

	check_near(stack, anna, "2,3");
	check_near(stack, bert, "1,3");
	check_near(stack, carl, "1,2");
	check_near(stack, dora, "");
	check_near(stack, emil, "");
	stack_stop(stack);
}
END_TEST

START_TEST(both_are_told_when_it_begins_and_when_it_ends)
{
	struct stack *stack = stack_start("");
	const char *anna = token_for(stack, "1"), *bert = token_for(stack, "2");
	struct sse *one = sse_open(stack, anna), *two = sse_open(stack, bert);

	share(stack, anna);
	share(stack, bert);
	sse_ready(one);
	sse_ready(two);
	put(stack, anna, SEOUL);
	put(stack, bert, SEOUL);
	CHECK_JSON(sse_wait(one, "nearby", 2000)->json,
		   "{'user_id':2,'nearby':true,'expires_in':1800}");
	CHECK_JSON(sse_wait(two, "nearby", 2000)->json,
		   "{'user_id':1,'nearby':true,'expires_in':1800}");
	call(stack, "DELETE", LOCATION, anna, NULL);
	CHECK_JSON(sse_wait(one, "nearby", 2000)->json,
		   "{'user_id':2,'nearby':false,'expires_in':1800}");
	CHECK_JSON(sse_wait(two, "nearby", 2000)->json,
		   "{'user_id':1,'nearby':false,'expires_in':1800}");
	check_near(stack, anna, "");
	check_near(stack, bert, "");
	stack_stop(stack);
}
END_TEST

START_TEST(who_no_longer_shares_is_far_for_all)
{
	struct stack *stack = stack_start("");
	const char *anna = placed(stack, "1", SEOUL), *bert = token_for(stack, "2");
	struct sse *two = sse_open(stack, bert);

	share(stack, bert);
	sse_ready(two);
	put(stack, bert, SEOUL);
	sse_wait(two, "nearby", 2000);
	call(stack, "PUT", SETTINGS, anna, "{\"last_seen\":\"coarse\"}");
	ck_assert(!json_object_get_boolean(json_at(sse_wait(two, "nearby", 2000)->json, "nearby")));
	ck_assert(!redis_has(stack, "user:cell:1"));
	check_near(stack, bert, "");
	check_problem(HTTP(stack, .method = "PUT", .path = LOCATION, .token = anna,
			   .body = "{\"lat\":1,\"lon\":2}"),
		      403, "sharing_off");
	call(stack, "DELETE", LOCATION, anna, NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(the_antimeridian_and_the_poles_are_no_borders)
{
	struct stack *stack = stack_start_api("");
	const char *anna = placed(stack, "1", -17.1, 179.9999), *bert;

	placed(stack, "2", -17.1, -179.9999);
	placed(stack, "3", 90, 10);
	bert = placed(stack, "4", 89.999, -170);
	check_near(stack, anna, "2");
	check_near(stack, bert, "3");
	stack_stop(stack);
}
END_TEST

/* --- who is not --------------------------------------------------------------------------- */

static void nothing(struct stack *stack, const char *anna, const char *bert)
{
	(void)stack;
	(void)anna;
	(void)bert;
}

static void block_theirs(struct stack *stack, const char *anna, const char *bert)
{
	(void)anna;
	call(stack, "PUT", BLOCKS "1", bert, NULL);
}

static void block_own(struct stack *stack, const char *anna, const char *bert)
{
	(void)bert;
	call(stack, "PUT", BLOCKS "2", anna, NULL);
}

static void hide(struct stack *stack, const char *anna, const char *bert)
{
	(void)anna;
	call(stack, "PUT", STATE, bert, "{\"status\":\"invisible\"}");
}

static void hide_and_put(struct stack *stack, const char *anna, const char *bert)
{
	hide(stack, anna, bert);
	redis_cmd(stack, "DEL presence:rate:location:2");
	put(stack, bert, SEOUL);
}

static void log_out(struct stack *stack, const char *anna, const char *bert)
{
	(void)anna;
	touch_user(stack, "2"); /* another device: the user stays online */
	call(stack, "POST", LOGOUT, bert, NULL);
}

static void kick(struct stack *stack, const char *anna, const char *bert)
{
	(void)anna;
	(void)bert;
	CTL(stack, "kick", "2");
}

static void switch_off(struct stack *stack, const char *anna, const char *bert)
{
	(void)anna;
	call(stack, "PUT", SETTINGS, bert, "{}");
}

static void unlist_own(struct stack *stack, const char *anna, const char *bert)
{
	(void)anna;
	(void)bert;
	users_sql(stack, "DELETE FROM friends WHERE user_id = 1 AND friend_id = 2");
}

static void unlist_theirs(struct stack *stack, const char *anna, const char *bert)
{
	(void)anna;
	(void)bert;
	users_sql(stack, "DELETE FROM friends WHERE user_id = 2 AND friend_id = 1");
}

static void hide_oneself(struct stack *stack, const char *anna, const char *bert)
{
	(void)bert;
	call(stack, "PUT", STATE, anna, "{\"status\":\"invisible\"}");
}

static const struct {
	void (*prepare)(struct stack *stack, const char *anna, const char *bert);
	bool is_near;
} cases[] = {
	{nothing, true},       {block_theirs, false},  {block_own, false},    {hide, false},
	{hide_and_put, false}, {log_out, false},       {kick, false},	      {switch_off, false},
	{unlist_own, false},   {unlist_theirs, false}, {hide_oneself, false},
};

START_TEST(who_is_no_friend_hides_or_left_is_not_near)
{
	struct stack *stack = stack_start_api("");
	const char *anna = placed(stack, "1", SEOUL), *bert = placed(stack, "2", SEOUL);

	check_near(stack, anna, "2");
	cases[_i].prepare(stack, anna, bert);
	check_near(stack, anna, cases[_i].is_near ? "2" : "");
	check_near(stack, token_for(stack, "2"), cases[_i].is_near ? "1" : "");
	stack_stop(stack);
}
END_TEST

START_TEST(a_place_ends_with_the_last_session)
{
	struct stack *stack = stack_start(FAST);

	placed(stack, "1", SEOUL);
	ck_assert(redis_has(stack, "user:cell:1"));
	WAIT_UNTIL(!redis_has(stack, "user:online:1"), 6000);
	WAIT_UNTIL(!redis_has(stack, "user:cell:1"), 4000);
	stack_stop(stack);
}
END_TEST

START_TEST(a_place_that_comes_while_its_user_hides_is_not_kept)
{
	struct stack *stack = stack_start_api("");
	const char *anna = token_for(stack, "1");

	share(stack, anna);
	call(stack, "PUT", STATE, anna, "{\"status\":\"invisible\"}");
	put(stack, anna, SEOUL);
	ck_assert(!redis_has(stack, "user:cell:1"));
	ck_assert(!redis_has(stack, "presence:rate:location:1"));
	stack_stop(stack);
}
END_TEST

/* As if it came when the block had begun. */
START_TEST(a_stream_is_told_of_nobody_whom_it_hides)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "2"));
	const char *late = "{\"type\":\"nearby\",\"user_id\":3,\"nearby\":true}";

	sse_ready(sse);
	call(stack, "PUT", BLOCKS "2", token_for(stack, "3"), NULL);
	sse_wait(sse, "initial", 2000);
	redis_int(stack, "PUBLISH user:inbox:2 %s", late);
	redis_int(stack, "PUBLISH user:inbox:2 %s", "{\"type\":\"nearby\",\"user_id\":\"a b\"}");
	redis_int(stack, "PUBLISH user:inbox:2 %s",
		  "{\"type\":\"nearby\",\"user_id\":4,\"nearby\":1}");
	redis_int(stack, "PUBLISH user:inbox:2 %s",
		  "{\"type\":\"nearby\",\"user_id\":5,\"nearby\":true}");
	ck_assert_str_eq(json_text(sse_wait(sse, "nearby", 2000)->json, "user_id"), "5");
	stack_stop(stack);
}
END_TEST

/* --- what is taken ------------------------------------------------------------------------ */

START_TEST(a_second_place_is_ignored_and_so_is_one_after_leaving)
{
	struct stack *stack = stack_start_api("");
	const char *anna = placed(stack, "1", SEOUL), *bert = placed(stack, "2", SEOUL);
	char *before = redis_text(stack, "GET user:cell:1");

	put(stack, anna, BUSAN);
	ck_assert_str_eq(redis_text(stack, "GET user:cell:1"), before);
	check_near(stack, bert, "1");
	call(stack, "DELETE", LOCATION, anna, NULL);
	call(stack, "DELETE", LOCATION, anna, NULL);
	put(stack, anna, SEOUL);
	check_near(stack, bert, "");
	/* Ten minutes later it is the first again. */
	ck_assert_int_le(redis_int(stack, "PTTL presence:rate:location:1"), 600000);
	redis_cmd(stack, "DEL presence:rate:location:1");
	put(stack, anna, SEOUL);
	check_near(stack, bert, "1");
	ck_assert_int_le(redis_int(stack, "PTTL user:cell:1"), 1800000);
	stack_stop(stack);
}
END_TEST

START_TEST(what_nobody_of_ours_wrote_is_in_nobodys_way)
{
	struct stack *stack = stack_start_api("");
	const char *anna = token_for(stack, "1");

	share(stack, anna);
	redis_cmd(stack, "SET user:cell:1 garbage");
	redis_cmd(stack, "SET presence:rate:location:1 0");
	put(stack, anna, SEOUL);
	check_has_not(redis_text(stack, "GET user:cell:1"), "garbage");
	ck_assert_int_gt(redis_int(stack, "TTL user:cell:1"), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(a_wrong_caller_is_refused_and_changes_nothing)
{
	struct stack *stack = stack_start_api("");
	const char *anna = placed(stack, "1", SEOUL), *dead = token_for(stack, "1");
	const char *watcher =
		token_make("{'alg':'HS256'}", "{'sub':'1','exp':4000000000,'presence':'watch'}",
			   KEY_HMAC, stack->secret);
	const char *body = "{\"lat\":1,\"lon\":2}";

	check_problem(
		HTTP(stack, .method = "PUT", .path = LOCATION, .token = watcher, .body = body), 403,
		"watch_only");
	check_problem(HTTP(stack, .method = "DELETE", .path = LOCATION, .token = watcher), 403,
		      "watch_only");
	placed(stack, "2", SEOUL);
	check_near(stack, watcher, "2"); /* it sees what its user may see */
	touch(stack, dead);
	call(stack, "POST", LOGOUT, dead, NULL); /* takes the place with it */
	ck_assert(!redis_has(stack, "user:cell:1"));
	redis_cmd(stack, "DEL presence:rate:location:1");
	check_problem(HTTP(stack, .method = "PUT", .path = LOCATION, .token = dead, .body = body),
		      401, "token_revoked");
	put(stack, anna, SEOUL);
	check_problem(HTTP(stack, .method = "DELETE", .path = LOCATION, .token = dead), 401,
		      "token_revoked");
	ck_assert(redis_has(stack, "user:cell:1"));
	stack_stop(stack);
}
END_TEST

START_TEST(without_redis_or_a_right_it_is_503_and_nothing_is_half_done)
{
	struct stack *stack = stack_start_api("");
	const char *anna = token_for(stack, "1"), *bert = placed(stack, "2", SEOUL);
	const char *body = "{\"lat\":37.5665,\"lon\":126.978}";
	char *before;

	share(stack, anna);
	check_near(stack, bert, "");
	redis_make_user(stack, "of-the-test");
	stack_write_conf(stack, text_of("redis { url = \"unix://presence:of-the-test@%s\" }\n",
					stack_path(stack, "redis.sock")));
	lighttpd_change(stack, NULL, "");
	touch(stack, anna);
	freeReplyObject(redis_cmd(stack, "ACL SETUSER presence resetkeys %s %s", "~user:*",
				  "~presence:[a-qs-z]*"));
	before = redis_text(stack, "GET user:cell:1");
	check_problem(HTTP(stack, .method = "PUT", .path = LOCATION, .token = anna, .body = body),
		      503, "redis_unavailable");
	ck_assert_ptr_null(before);
	ck_assert(!redis_has(stack, "user:cell:1"));
	redis_kill(stack);
	check_problem(HTTP(stack, .method = "PUT", .path = LOCATION, .token = anna, .body = body),
		      503, "redis_unavailable");
	check_problem(HTTP(stack, .method = "DELETE", .path = LOCATION, .token = anna), 503,
		      "redis_unavailable");
	check_problem(HTTP(stack, .path = NEARBY, .token = anna), 503, "redis_unavailable");
	stack_stop(stack);
}
END_TEST

static long long reads(struct stack *stack)
{
	const char *name = "total_reads_processed:";

	return atoll(strstr(redis_text(stack, "INFO stats"), name) + strlen(name));
}

START_TEST(what_changes_nothing_takes_one_round_trip)
{
	struct stack *stack = stack_start_api("api { children = 1 }");
	const char *anna = placed(stack, "1", SEOUL);
	long long asking, before;

	check_near(stack, anna, "");
	before = reads(stack);
	asking = reads(stack) - before;
	before = reads(stack);
	put(stack, anna, SEOUL);
	ck_assert_int_eq(reads(stack) - before - asking, 1);
	before = reads(stack);
	check_near(stack, anna, "");
	ck_assert_int_eq(reads(stack) - before - asking, 1);
	stack_stop(stack);
}
END_TEST

static long long commands_of(struct stack *stack, const char *token)
{
	const char *name = "total_commands_processed:";
	long long before, after;

	before = atoll(strstr(redis_text(stack, "INFO stats"), name) + strlen(name));
	http_ok(stack, NEARBY, token, NULL);
	after = atoll(strstr(redis_text(stack, "INFO stats"), name) + strlen(name));
	return after - before;
}

START_TEST(redis_does_the_same_whoever_is_near)
{
	struct stack *stack = stack_start_api("");
	const char *anna = placed(stack, "1", SEOUL), *bert;
	long long nobody;

	check_near(stack, anna, "");
	nobody = commands_of(stack, anna);
	bert = placed(stack, "2", SEOUL);
	check_near(stack, anna, "2");
	ck_assert_int_eq(commands_of(stack, anna), nobody);
	call(stack, "PUT", BLOCKS "1", bert, NULL);
	ck_assert_int_eq(commands_of(stack, anna), nobody);
	call(stack, "PUT", STATE, bert, "{\"status\":\"invisible\"}");
	ck_assert_int_eq(commands_of(stack, anna), nobody);
	stack_stop(stack);
}
END_TEST

/* --- what gets out ------------------------------------------------------------------------ */

/* The same as the first 7 digits, of which no other number in a log is likely to begin. */
#define LATITUDE "48.3719482"
#define LONGITUDE "-123.7268153"

/* Every text that the run left: files of the stand, Redis, what was asked of it. */
static void check_nowhere(struct stack *stack, const char *asked, const char *text)
{
	const char *argv[] = {"/bin/grep", "-rlaF", "--exclude=users.db", "-e", text,
			      stack->dir,  NULL};
	char *found = NULL;

	run(stack, &found, NULL, argv);
	ck_assert_msg(*found == '\0', "%s is in %s", text, found);
	ck_assert_msg(strstr(redis_dump(stack), text) == NULL, "%s is in Redis", text);
	ck_assert_msg(strstr(asked, text) == NULL, "%s was told Redis", text);
}

START_TEST(no_point_is_in_a_log_a_key_or_a_command_at_the_level_debug)
{
	struct stack *stack = stack_start("log { level = debug }\n" FAST);
	struct monitor *monitor = monitor_open(stack);
	const char *anna = token_for(stack, "1"), *bert = token_for(stack, "2"), *out, *asked;
	const char *body = "{\"lat\":" LATITUDE ",\"lon\":" LONGITUDE "}";
	struct sse *sse = sse_open(stack, bert);
	struct cell cell;
	char name[CELL_TEXT_MAX];

	sse_ready(sse);
	share(stack, anna);
	share(stack, bert);
	call(stack, "PUT", LOCATION, anna, body);
	call(stack, "PUT", LOCATION, bert, body);
	sse_wait(sse, "nearby", 2000);
	check_near(stack, anna, "2");
	for (int i = 0; i < 3; i++) /* ignored, refused, and cut off */
		HTTP(stack, .method = "PUT", .path = LOCATION, .token = anna,
		     .body = i == 0   ? body
			     : i == 1 ? "{\"lat\":" LATITUDE ",\"lon\":\"" LONGITUDE "\"}"
				      : "{\"lat\":" LATITUDE ",\"lon\":" LONGITUDE);
	out = CTL(stack, "explain", "2", "1");
	check_has_not(out, "cell");
	ck_assert(cell_of(atof(LATITUDE), atof(LONGITUDE), &cell));
	cell_format(cell, name);
	check_has(redis_text(stack, "GET user:cell:1"), name);
	check_has_not(out, name);
	out = CTL(stack, "export", "1");
	check_has_not(out, name);
	check_has_not(out, "user:cell");
	check_has_not(out, "presence:rate:location");
	check_has_not(CTL(stack, "--json", "settings", "1"), name);
	asked = monitor_take(monitor);
	check_has(asked, name);
	redis_kill(stack);
	HTTP(stack, .method = "PUT", .path = LOCATION, .token = anna, .body = body);
	redis_start(stack, NULL);
	check_nowhere(stack, asked, "48.3719");
	check_nowhere(stack, asked, "123.7268");
	/* Logs and the web server's files do not have the cell either. */
	check_has_not(stack_file(stack, "lighttpd.log"), name);
	check_has_not(stack_file(stack, "streamd0.log"), name);
	stack_stop(stack);
}
END_TEST

/* --- an attack ---------------------------------------------------------------------------- */

/* What "near" or not, answered to one who pretends this place, leaves of the cells. */
static unsigned narrow(struct cell *cells, unsigned count, double latitude, double longitude,
		       bool near)
{
	unsigned kept = 0;
	struct cell probe;

	ck_assert(cell_of(latitude, longitude, &probe));
	for (unsigned i = 0; i < count; i++) {
		if (cell_is_near(cells[i], probe) == near)
			cells[kept++] = cells[i];
	}
	return kept;
}

static bool has_id(struct json_object *ids, int id)
{
	for (size_t i = 0; i < json_object_array_length(ids); i++) {
		if (json_object_get_int(json_object_array_get_idx(ids, i)) == id)
			return true;
	}
	return false;
}

/*
 * Accounts that have waited for ten minutes (their marks are gone) pretend places all around, through
 * the API: they find the cell, 1.44 km2, and no more. The thirty days are unit/test_place's and
 * long_nearby's.
 */
START_TEST(of_a_friend_who_is_searched_for_the_cell_is_found_and_no_more)
{
	enum { ROUNDS = 60, MOST = 400 };
	struct stack *stack = stack_start_api("");
	const char *victim = placed(stack, "1", 37.5731, 126.9912), *tokens[USERS + 1];
	static struct cell cells[MOST];
	unsigned count = 0;
	struct cell own;

	seed_from_environment();
	for (double north = -0.045; north <= 0.045; north += 0.003) {
		for (double east = -0.06; east <= 0.06; east += 0.003) {
			struct cell cell;
			unsigned i = 0;

			ck_assert(cell_of(37.5731 + north, 126.9912 + east, &cell));
			while (i < count && !cell_equal(cells[i], cell))
				i++;
			if (i == count)
				cells[count++] = cell;
		}
	}
	for (int i = 2; i <= USERS; i++) {
		tokens[i] = token_for(stack, text_of("%d", i));
		share(stack, tokens[i]);
	}
	for (int round = 0; round < ROUNDS && count > 1; round++) {
		for (int i = 2; i <= USERS; i++) {
			double latitude = 37.5281 + seeded_below(900) / 1e4;
			double longitude = 126.9312 + seeded_below(1200) / 1e4;
			struct json_object *ids;

			call(stack, "DELETE", LOCATION, tokens[i], NULL);
			redis_cmd(stack, "DEL presence:rate:location:%d", i);
			put(stack, tokens[i], latitude, longitude);
			ids = json_at(http_ok(stack, NEARBY, tokens[i], NULL), "user_ids");
			count = narrow(cells, count, latitude, longitude, has_id(ids, 1));
		}
	}
	ck_assert(cell_of(37.5731, 126.9912, &own));
	ck_assert_uint_eq(count, 1);
	ck_assert(cell_equal(cells[0], own));
	call(stack, "DELETE", LOCATION, victim, NULL);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("nearby");
	TCase *tcase = harness_case(suite, "near", 60);

	tcase_add_test(tcase, friends_in_the_same_or_the_next_cell_are_near);
	tcase_add_test(tcase, both_are_told_when_it_begins_and_when_it_ends);
	tcase_add_test(tcase, who_no_longer_shares_is_far_for_all);
	tcase_add_test(tcase, the_antimeridian_and_the_poles_are_no_borders);
	tcase = harness_case(suite, "not near", 60);
	tcase_add_loop_test(tcase, who_is_no_friend_hides_or_left_is_not_near, 0,
			    sizeof cases / sizeof cases[0]);
	tcase_add_test(tcase, a_place_ends_with_the_last_session);
	tcase_add_test(tcase, a_place_that_comes_while_its_user_hides_is_not_kept);
	tcase_add_test(tcase, a_stream_is_told_of_nobody_whom_it_hides);
	tcase = harness_case(suite, "taken", 60);
	tcase_add_test(tcase, a_second_place_is_ignored_and_so_is_one_after_leaving);
	tcase_add_test(tcase, what_nobody_of_ours_wrote_is_in_nobodys_way);
	tcase_add_test(tcase, a_wrong_caller_is_refused_and_changes_nothing);
	tcase_add_test(tcase, without_redis_or_a_right_it_is_503_and_nothing_is_half_done);
	tcase_add_test(tcase, what_changes_nothing_takes_one_round_trip);
	tcase_add_test(tcase, redis_does_the_same_whoever_is_near);
	tcase = harness_case(suite, "nothing else", 60);
	tcase_add_test(tcase, no_point_is_in_a_log_a_key_or_a_command_at_the_level_debug);
	tcase_add_test(tcase, of_a_friend_who_is_searched_for_the_cell_is_found_and_no_more);
	return harness_main(suite);
}
