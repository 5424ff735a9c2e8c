/*
 * What a user says of itself: chosen states, idle tabs, being invisible, settings; as friends see it
 * on streams, in calls and on the channels. docs/api.md
 */
#include "calls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "servers.h"

#define SEEN_BUSY(id)                                                                   \
	"{'user_id':" #id ",'is_online':true,'status':'busy','last_activity':'<time>'," \
	"'version':'<version>','text':'<string>','status_expires':'<time>'}"

static struct response *call(struct stack *stack, const char *method, const char *path,
			     const char *token, const char *body)
{
	return HTTP(stack, .method = method, .path = path, .token = token, .body = body);
}

static struct json_object *choose(struct stack *stack, const char *token, const char *body)
{
	struct response *response = call(stack, "PUT", STATE, token, body);

	ck_assert_msg(response->status == 200, "PUT %s %s: %d %s", STATE, body, response->status,
		      response->body);
	return response->json;
}

static void say_idle(struct stack *stack, const char *token, bool idle)
{
	http_ok(stack, HEARTBEAT, token, idle ? "{\"idle\":true}" : "{\"idle\":false}");
}

/* The next status_change, which must be about this user and say this. */
static struct json_object *expect_change(struct sse *sse, int id, const char *status,
					 const char *reason)
{
	struct event *event = sse_wait(sse, "status_change", 5000);

	ck_assert_msg(json_object_get_int(json_at(event->json, "user_id")) == id &&
			      strcmp(json_text(event->json, "status"), status) == 0 &&
			      strcmp(json_text(event->json, "reason"), reason) == 0,
		      "expected user %d to be %s (%s), but: %s", id, status, reason, event->data);
	return event->json;
}

/* Nothing about anybody within a moment in which the sweeper comes by twice. */
static void expect_no_change(struct sse *sse)
{
	int64_t end = now_ms() + 2500;

	while (now_ms() < end) {
		struct event *event = sse_next(sse, (int)(end - now_ms()));

		ck_assert_msg(event == NULL || strcmp(event->name, "status_change") != 0,
			      "a change was told: %s", event != NULL ? event->data : "");
	}
}

static struct json_object *seen_by(struct stack *stack, const char *viewer, const char *id)
{
	char path[64];

	snprintf(path, sizeof path, STATUS_USER "%s", id);
	return http_ok(stack, path, viewer, NULL);
}

static const char *status_of(struct stack *stack, const char *viewer, const char *id)
{
	return json_text(seen_by(stack, viewer, id), "status");
}

/* --- chosen states ------------------------------------------------------------------------ */

START_TEST(a_chosen_state_is_seen_everywhere_and_taken_back)
{
	struct stack *stack = stack_start("");
	const char *anna = token_for(stack, "1"), *bert = token_for(stack, "2");
	struct sse *sse = sse_open(stack, bert);

	sse_ready(sse);
	touch(stack, anna);
	expect_change(sse, 1, "online", "activity");
	choose(stack, anna, "{\"status\":\"busy\",\"text\":\"Writing\"}");
	expect_change(sse, 1, "busy", "status");
	CHECK_JSON(seen_by(stack, bert, "1"), SEEN_BUSY(1));
	CHECK_JSON(http_ok(stack, STATUS_USERS, bert, "{\"user_ids\":[1]}"),
		   "{'1':" SEEN_BUSY(1) "}");
	CHECK_JSON(json_at(http_ok(stack, STATUS_FRIENDS, bert, NULL), "1"), SEEN_BUSY(1));
	CHECK_JSON(http_ok(stack, STATE, anna, NULL),
		   "{'user_id':1,'is_online':true,'status':'busy','last_activity':'<time>',"
		   "'version':'<version>','text':'Writing','status_expires':'<time>',"
		   "'session_id':'<string>','chosen':{'status':'busy','text':'Writing',"
		   "'status_expires':'<time>'}}");
	ck_assert_int_eq(call(stack, "DELETE", STATE, anna, NULL)->status, 200);
	expect_change(sse, 1, "online", "status");
	ck_assert_ptr_null(redis_text(stack, "GET user:chosen:1"));
	ck_assert_ptr_null(json_at(http_ok(stack, STATE, anna, NULL), "chosen"));
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_chosen_state_makes_nobody_online_and_shows_from_the_first_moment)
{
	struct stack *stack = stack_start(FAST);
	const char *anna = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token_for(stack, "2"));

	sse_ready(sse);
	choose(stack, anna, "{\"status\":\"dnd\"}");
	/* The call itself is activity: nothing else showed in between. */
	expect_change(sse, 1, "dnd", "activity");
	http_ok(stack, LOGOUT, anna, "");
	expect_change(sse, 1, "offline", "logout");
	login(stack, "user1@example.com");
	expect_change(sse, 1, "dnd", "login");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_text_alone_leaves_the_state_automatic)
{
	struct stack *stack = stack_start("");
	const char *anna = token_for(stack, "1");

	choose(stack, anna, "{\"text\":\"Lunch\",\"emoji\":\"\xf0\x9f\x8d\xb2\"}");
	CHECK_JSON(seen_by(stack, token_for(stack, "2"), "1"),
		   "{'user_id':1,'is_online':true,'status':'online','last_activity':'<time>',"
		   "'version':'<version>','text':'Lunch','emoji':'\xf0\x9f\x8d\xb2',"
		   "'status_expires':'<time>'}");
	say_idle(stack, anna, true);
	ck_assert_str_eq(status_of(stack, token_for(stack, "2"), "1"), "away");
	stack_stop(stack);
}
END_TEST

START_TEST(a_state_ends_when_it_says_and_that_is_told_once)
{
	struct stack *stack = stack_start("presence { sweep = 1 }");
	const char *anna = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token_for(stack, "2"));
	struct json_object *busy, *after;

	sse_ready(sse);
	choose(stack, anna, "{\"status\":\"busy\",\"expires_in\":2}");
	busy = expect_change(sse, 1, "busy", "activity");
	after = expect_change(sse, 1, "online", "status_expired");
	ck_assert(json_object_get_int64(json_at(after, "version")) >
		  json_object_get_int64(json_at(busy, "version")));
	ck_assert(!json_object_object_get_ex(after, "status_expires", NULL));
	expect_no_change(sse);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_state_ends_also_across_a_restart_of_streamd)
{
	struct stack *stack = stack_start("presence { sweep = 1 }");
	struct listener *listener = listener_open(stack, "user:status:1");
	struct message *message;

	choose(stack, token_for(stack, "1"), "{\"status\":\"busy\",\"expires_in\":2}");
	ck_assert_ptr_nonnull(listener_next(listener, 3000));
	streamd_end(stack, 0, SIGKILL);
	streamd_start(stack, 0);
	message = listener_next(listener, 15000);
	ck_assert_ptr_nonnull(message);
	ck_assert_str_eq(json_text(message->json, "reason"), "status_expired");
	stack_stop(stack);
}
END_TEST

/* Every process, and Redis with its data, while nobody else is there to tell of it. */
START_TEST(a_state_ends_also_across_a_restart_of_everything)
{
	static const char durable[] = "--appendonly yes --appendfsync always";
	struct stack *stack = stack_new("presence { sweep = 1 }");
	const char *anna = token_for(stack, "1");
	struct listener *listener;
	struct message *message;

	redis_start(stack, durable);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	choose(stack, anna, "{\"status\":\"busy\",\"text\":\"Soon\",\"expires_in\":6}");
	streamd_end(stack, 0, SIGKILL);
	redis_kill(stack);
	redis_start(stack, durable);
	listener = listener_open(stack, "user:status:1");
	streamd_start(stack, 0);
	lighttpd_change(stack, NULL, "");
	ck_assert_str_eq(status_of(stack, token_for(stack, "2"), "1"), "busy");
	message = listener_next(listener, 15000);
	ck_assert_ptr_nonnull(message);
	ck_assert_str_eq(json_text(message->json, "status"), "online");
	ck_assert_str_eq(json_text(message->json, "reason"), "status_expired");
	CHECK_JSON(seen_by(stack, token_for(stack, "2"), "1"), ONLINE(1));
	/* Said once. */
	ck_assert_ptr_null(listener_next(listener, 2500));
	stack_stop(stack);
}
END_TEST

#define TEN                                                                                \
	"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80" \
	"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define TEN_LETTERS "abcdefghij"
#define HUNDRED_LETTERS                                                                     \
	TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS \
		TEN_LETTERS TEN_LETTERS TEN_LETTERS
/* A family of four: seven characters, of which three are zero width joiners. */
#define FAMILY                                                                     \
	"\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7" \
	"\xe2\x80\x8d\xf0\x9f\x91\xa6"

static const char *const texts[] = {
	"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d", /* Hebrew */
	"\xd8\xb3\xd9\x84\xd8\xa7\xd9\x85 Anna \xe2\x80\x8e!", /* Arabic, and a mark */
	HUNDRED_LETTERS,
	FAMILY " " FAMILY,
	"5\xeb\xb6\x84 \xec\xa0\x84",
	HUNDRED, /* of 4 bytes each */
	"<script>alert(1)</script> \\\" / \\\\",
	"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", /* with a zero width joiner */
};

START_TEST(texts_pass_through_unchanged)
{
	struct stack *stack = stack_start("");
	const char *anna = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token_for(stack, "2"));
	struct json_object *sent, *told;
	char body[1024];

	sse_ready(sse);
	snprintf(body, sizeof body,
		 "{\"status\":\"busy\",\"text\":\"%s\",\"emoji\":\"" FAMILY "\"}", texts[_i]);
	sent = json_tokener_parse(body);
	choose(stack, anna, body);
	told = expect_change(sse, 1, "busy", "activity");
	ck_assert_str_eq(json_text(told, "text"), json_text(sent, "text"));
	ck_assert_str_eq(json_text(told, "emoji"), FAMILY);
	ck_assert_str_eq(json_text(seen_by(stack, token_for(stack, "3"), "1"), "text"),
			 json_text(sent, "text"));
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

static struct sse *begin_put(struct stack *stack, const char *token, const char *text)
{
	return sse_request(stack,
			   text_of("PUT " STATE " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
				   "Content-Type: application/json\r\nContent-Length: %zu\r\n"
				   "Authorization: Bearer %s\r\n\r\n{\"text\":\"%s\"}",
				   strlen("{\"text\":\"\"}") + strlen(text), token, text));
}

/*
 * Reads until the stream has shown this text of user 1 and the next change of user 5, which was made
 * later: nothing else may be shown of user 1 after the one and before the other. An own STATUS may come
 * a little after a change that was published later. `round` ends every text of this round.
 */
static void check_ends_with(struct sse *sse, const char *event_name, const char *text, int round)
{
	const char *shown = "", *end = text_of(" %d", round);
	bool is_over = false;

	while (!is_over || strcmp(shown, text) != 0) {
		struct event *event = sse_next(sse, 5000);

		ck_assert_msg(event != NULL, "'%s' is shown instead of '%s'", shown, text);
		if (strcmp(event->name, event_name) == 0 &&
		    json_object_get_int(json_at(event->json, "user_id")) == 1) {
			shown = json_text(event->json, "text");
			ck_assert_msg(strlen(shown) > strlen(end) &&
					      strcmp(strchr(shown, ' '), end) == 0,
				      "'%s' came after '%s'", shown, text);
		} else if (strcmp(event->name, "status_change") == 0) {
			is_over |= json_object_get_int(json_at(event->json, "user_id")) == 5;
		}
	}
}

START_TEST(of_two_devices_that_choose_at_once_all_see_the_last)
{
	struct stack *stack = stack_start("");
	const char *phone = token_for(stack, "1"), *desk = token_for(stack, "1");
	struct sse *own[] = {sse_open(stack, phone), sse_open(stack, desk)};
	struct sse *viewer = sse_open(stack, token_for(stack, "2"));
	int first_won = 0;

	sse_ready(viewer);
	sse_ready(own[0]);
	sse_ready(own[1]);
	for (int i = 0; i < 20; i++) {
		const char *texts_of[] = {text_of("phone %d", i), text_of("desk %d", i)}, *last;
		struct sse *one = begin_put(stack, phone, texts_of[0]);
		struct sse *two = begin_put(stack, desk, texts_of[1]);

		ck_assert_int_eq(sse_status(one), 200);
		ck_assert_int_eq(sse_status(two), 200);
		sse_close(one);
		sse_close(two);
		last = json_text(seen_by(stack, token_for(stack, "2"), "1"), "text");
		ck_assert(strcmp(last, texts_of[0]) == 0 || strcmp(last, texts_of[1]) == 0);
		first_won += strcmp(last, texts_of[0]) == 0;
		ck_assert_str_eq(json_text(http_ok(stack, STATE, phone, NULL), "text"), last);
		if (i % 2 == 0)
			touch_user(stack, "5");
		else
			http_ok(stack, LOGOUT "?all=true", token_for(stack, "5"), "");
		check_ends_with(viewer, "status_change", last, i);
		check_ends_with(own[0], "self", last, i);
		check_ends_with(own[1], "self", last, i);
		redis_int(stack, "DEL presence:rate:status:1");
	}
	fprintf(stderr, "the first one's was the last %d times of 20\n", first_won);
	stack_stop(stack);
}
END_TEST

START_TEST(a_state_may_be_changed_five_times_in_half_a_minute)
{
	struct stack *stack = stack_start("");
	const char *anna = token_for(stack, "1");
	struct response *response;

	for (int i = 0; i < 5; i++)
		choose(stack, anna, i % 2 == 0 ? "{\"status\":\"busy\"}" : "{\"status\":\"away\"}");
	response = call(stack, "PUT", STATE, anna, "{\"status\":\"dnd\"}");
	check_problem(response, 429, "too_often");
	ck_assert_int_ge(atoi(header_of(response->head, "Retry-After")), 1);
	ck_assert_int_le(atoi(header_of(response->head, "Retry-After")), 30);
	ck_assert_str_eq(status_of(stack, token_for(stack, "2"), "1"), "busy");
	stack_stop(stack);
}
END_TEST

/* --- idle --------------------------------------------------------------------------------- */

START_TEST(away_only_when_every_device_is_idle)
{
	struct stack *stack = stack_start("");
	const char *phone = token_for(stack, "1"), *desk = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token_for(stack, "2"));

	sse_ready(sse);
	touch(stack, phone);
	expect_change(sse, 1, "online", "activity");
	touch(stack, desk);
	say_idle(stack, phone, true);
	expect_no_change(sse);
	say_idle(stack, desk, true);
	expect_change(sse, 1, "away", "idle");
	touch(stack, desk); /* no other call changes it */
	expect_no_change(sse);
	say_idle(stack, phone, false);
	expect_change(sse, 1, "online", "active");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(changes_of_idleness_past_the_limit_show_when_its_time_is_over)
{
	struct stack *stack = stack_start(FAST);
	const char *anna = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token_for(stack, "2")), *own;
	int64_t end;

	sse_ready(sse);
	touch(stack, anna);
	expect_change(sse, 1, "online", "activity");
	freeReplyObject(redis_cmd(stack, "SET presence:rate:idle:1 5 PX 4000"));
	end = now_ms() + 3500;
	say_idle(stack, anna, true);
	own = sse_open(stack, anna); /* a transition, which does not show it either */
	sse_ready(own);
	while (now_ms() < end) {
		struct event *event = sse_next(sse, 100);

		ck_assert_msg(event == NULL || strcmp(event->name, "status_change") != 0,
			      "told before its time: %s", event->data);
	}
	expect_change(sse, 1, "away", "idle");
	freeReplyObject(redis_cmd(stack, "SET presence:rate:idle:1 5 PX 2000"));
	say_idle(stack, anna, false);
	expect_change(sse, 1, "online", "active");
	ck_assert_int_eq(redis_int(stack, "EXISTS user:idle:1"), 0);
	freeReplyObject(redis_cmd(stack, "SET presence:rate:idle:1 5 PX 2000"));
	say_idle(stack, anna, true);
	say_idle(stack, anna, false);
	expect_no_change(sse);
	sse_close(own);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_new_device_is_not_idle_and_one_that_ends_counts_no_more)
{
	struct stack *stack = stack_start("");
	const char *phone = token_for(stack, "1"), *desk = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token_for(stack, "2"));

	sse_ready(sse);
	say_idle(stack, phone, true);
	expect_change(sse, 1, "away", "activity");
	touch(stack, desk);
	expect_change(sse, 1, "online", "active");
	http_ok(stack, LOGOUT, desk, "");
	expect_change(sse, 1, "away", "idle");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_reconnect_makes_nobody_look_active)
{
	struct stack *stack = stack_start("presence { grace = 2 sweep = 1 }");
	const char *anna = token_for(stack, "1");
	struct sse *viewer = sse_open(stack, token_for(stack, "2")), *sse;

	sse_ready(viewer);
	sse = sse_open(stack, anna);
	sse_ready(sse);
	expect_change(viewer, 1, "online", "stream_open");
	say_idle(stack, anna, true);
	expect_change(viewer, 1, "away", "idle");
	sse_close(sse);
	sse = sse_open(stack, anna);
	sse_ready(sse);
	expect_no_change(viewer);
	ck_assert_str_eq(status_of(stack, token_for(stack, "3"), "1"), "away");
	sse_close(sse);
	sse_close(viewer);
	stack_stop(stack);
}
END_TEST

START_TEST(three_tabs_and_a_phone_are_away_only_when_both_devices_are_idle)
{
	struct stack *stack = stack_start("presence { grace = 1 sweep = 1 }");
	const char *desk = token_for(stack, "1"), *phone = token_for(stack, "1");
	struct sse *viewer = sse_open(stack, token_for(stack, "2")), *tabs[3], *other;

	sse_ready(viewer);
	for (int i = 0; i < 3; i++)
		sse_ready(tabs[i] = sse_open(stack, desk));
	expect_change(viewer, 1, "online", "stream_open");
	sse_ready(other = sse_open(stack, phone));
	say_idle(stack, desk, true);
	expect_no_change(viewer);
	say_idle(stack, phone, true);
	expect_change(viewer, 1, "away", "idle");
	/* Tabs come and go; nobody is at any of them. */
	sse_close(tabs[0]);
	sse_ready(sse_open(stack, desk));
	sse_close(other);
	expect_no_change(viewer);
	say_idle(stack, desk, false);
	expect_change(viewer, 1, "online", "active");
	stack_stop(stack);
}
END_TEST

START_TEST(a_refreshed_token_makes_nobody_look_active)
{
	struct stack *stack = stack_start("presence { grace = 2 sweep = 1 }");
	struct sse *viewer = sse_open(stack, token_for(stack, "2")), *sse;
	const char *old, *fresh;

	sse_ready(viewer);
	old = login(stack, "user1@example.com");
	sse = sse_open(stack, old);
	sse_ready(sse);
	expect_change(viewer, 1, "online", "login");
	say_idle(stack, old, true);
	fresh = json_text(http_ok(stack, REFRESH, old, ""), "access_token");
	ck_assert_str_ne(old, fresh);
	expect_change(viewer, 1, "away", "idle");
	/* The new stream first, then the end of the old one, as clients do. */
	sse_ready(sse_open(stack, fresh));
	sse_close(sse);
	touch(stack, fresh);
	expect_no_change(viewer);
	say_idle(stack, fresh, false);
	expect_change(viewer, 1, "online", "active");
	stack_stop(stack);
}
END_TEST

/* While another one serves the viewer. */
START_TEST(a_restart_of_streamd_makes_nobody_look_active)
{
	static const int signals[] = {SIGTERM, SIGKILL};
	struct stack *stack = stack_start("presence { grace = 3 sweep = 1 }\nstream { drain = 1 }");
	const char *anna = token_for(stack, "1");
	struct sse *viewer, *sse;

	streamd_start(stack, 1);
	viewer = sse_open_direct(stack, 1, token_for(stack, "2"));
	sse_ready(viewer);
	sse = sse_open(stack, anna);
	sse_ready(sse);
	expect_change(viewer, 1, "online", "stream_open");
	say_idle(stack, anna, true);
	expect_change(viewer, 1, "away", "idle");
	streamd_end(stack, 0, signals[_i]);
	streamd_start(stack, 0);
	sse_ready(sse_open(stack, anna));
	expect_no_change(viewer);
	ck_assert_str_eq(status_of(stack, token_for(stack, "3"), "1"), "away");
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_may_be_born_idle)
{
	struct stack *stack = stack_start("");
	struct sse *viewer = sse_open(stack, token_for(stack, "2")), *sse;
	char text[2048];

	sse_ready(viewer);
	snprintf(text, sizeof text,
		 "GET " STREAM "?idle=true HTTP/1.1\r\nHost: localhost\r\n"
		 "Authorization: Bearer %s\r\n\r\n",
		 token_for(stack, "1"));
	sse = sse_request(stack, text);
	sse_ready(sse);
	expect_change(viewer, 1, "away", "stream_open");
	sse_close(sse);
	sse_close(viewer);
	stack_stop(stack);
}
END_TEST

/* --- invisible ---------------------------------------------------------------------------- */

START_TEST(who_hides_is_offline_for_all_but_oneself)
{
	struct stack *stack = stack_start("");
	const char *anna = token_for(stack, "1"), *bert = token_for(stack, "2");
	struct sse *viewer = sse_open(stack, bert), *own;
	struct event *event;

	sse_ready(viewer);
	own = sse_open(stack, anna);
	sse_ready(own);
	expect_change(viewer, 1, "online", "stream_open");
	CHECK_JSON(choose(stack, anna, "{\"status\":\"invisible\"}"),
		   "{'user_id':1,'is_online':true,'status':'online','last_activity':'<time>',"
		   "'version':'<version>','invisible':true,'session_id':'<string>'}");
	expect_change(viewer, 1, "offline", "stream_closed");
	event = sse_wait(own, "self", 3000);
	while (!json_object_object_get_ex(event->json, "invisible", NULL))
		event = sse_wait(own, "self", 3000);
	CHECK_JSON(seen_by(stack, bert, "1"), OFFLINE(1));
	ck_assert_int_eq(redis_int(stack, "EXISTS user:online:1"), 0);
	ck_assert_int_eq(redis_int(stack, "SISMEMBER online_users 1"), 0);
	CHECK_JSON(http_ok(stack, COUNT, bert, NULL), "{'count':1}");
	/* Whatever the hidden user does, nobody hears of it. */
	touch(stack, anna);
	say_idle(stack, anna, true);
	event = sse_wait(own, "self", 3000);
	ck_assert_msg(strcmp(json_text(event->json, "status"), "away") == 0,
		      "one's own view is not away: %s", event->data);
	say_idle(stack, anna, false);
	touch_user(stack, "1");
	expect_no_change(viewer);
	CHECK_JSON(seen_by(stack, bert, "1"), OFFLINE(1));
	choose(stack, anna, "{\"status\":\"busy\"}");
	expect_change(viewer, 1, "busy", "stream_open");
	sse_close(own);
	sse_close(viewer);
	stack_stop(stack);
}
END_TEST

static long long redis_second(struct stack *stack)
{
	return redis_int(stack, "EVAL %s 0", "return tonumber(redis.call('TIME')[1])");
}

START_TEST(hiding_moves_neither_version_nor_last_seen)
{
	struct stack *stack = stack_start(FAST);
	const char *anna = token_for(stack, "1");
	char *seen, *version;
	long long second;

	touch(stack, anna);
	seen = redis_text(stack, "GET user:last_seen:1");
	second = redis_second(stack);
	WAIT_UNTIL(redis_second(stack) > second + 1, 5000);
	choose(stack, anna, "{\"status\":\"invisible\"}");
	ck_assert_str_eq(redis_text(stack, "GET user:last_seen:1"), seen);
	version = redis_text(stack, "GET presence:version:1");
	touch(stack, anna);
	http_ok(stack, LOGOUT, anna, "");
	ck_assert_str_eq(redis_text(stack, "GET presence:version:1"), version);
	ck_assert_str_eq(redis_text(stack, "GET user:last_seen:1"), seen);
	stack_stop(stack);
}
END_TEST

START_TEST(who_hides_has_no_websocket_session_for_others)
{
	struct stack *stack = stack_start(FAST);
	const char *anna = token_for(stack, "1");

	http_ok(stack, HEARTBEAT, anna, "{\"websocket_session\":\"w1\"}");
	ck_assert_str_eq(redis_text(stack, "GET user:websocket:1"), "w1");
	choose(stack, anna, "{\"status\":\"invisible\"}");
	ck_assert_ptr_null(redis_text(stack, "GET user:websocket:1"));
	http_ok(stack, HEARTBEAT, anna, "{\"websocket_session\":\"w1\"}");
	ck_assert_ptr_null(redis_text(stack, "GET user:websocket:1"));
	choose(stack, anna, "{\"status\":\"online\"}");
	http_ok(stack, HEARTBEAT, anna, "{\"websocket_session\":\"w2\"}");
	ck_assert_str_eq(redis_text(stack, "GET user:websocket:1"), "w2");
	stack_stop(stack);
}
END_TEST

START_TEST(who_logs_in_hidden_is_never_seen)
{
	struct stack *stack = stack_start(FAST);
	struct sse *viewer = sse_open(stack, token_for(stack, "2"));
	struct listener *listener;
	const char *anna = token_for(stack, "1");

	sse_ready(viewer);
	choose(stack, anna, "{\"status\":\"invisible\"}");
	listener = listener_open(stack, "user:status:1");
	login(stack, "user1@example.com");
	touch(stack, anna);
	sse_ready(sse_open(stack, anna));
	expect_no_change(viewer);
	ck_assert_ptr_null(listener_next(listener, 100));
	CHECK_JSON(seen_by(stack, token_for(stack, "3"), "1"), NEVER_SEEN(1));
	stack_stop(stack);
}
END_TEST

START_TEST(a_wiped_redis_outs_nobody)
{
	struct stack *stack = stack_start(FAST);
	const char *anna = token_for(stack, "1");
	struct sse *viewer = sse_open(stack, token_for(stack, "2")), *own;
	int64_t end;

	sse_ready(viewer);
	own = sse_open(stack, anna);
	sse_ready(own);
	choose(stack, anna, "{\"status\":\"invisible\"}");
	expect_change(viewer, 1, "online", "stream_open");
	expect_change(viewer, 1, "offline", "stream_closed");
	for (int i = 0; i < 40; i++)
		touch(stack, anna); /* each worker has seen that presence-streamd sweeps */
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	/* Meanwhile another device calls, whose worker knows nothing of it. */
	for (end = now_ms() + patience(6000); now_ms() < end;) {
		struct event *event;

		call(stack, "POST", HEARTBEAT, token_for(stack, "1"), "");
		event = sse_next(viewer, 200);
		if (event == NULL || event->json == NULL)
			continue;
		if (strcmp(event->name, "initial") == 0)
			ck_assert_msg(!json_object_get_boolean(
					      json_at(json_at(event->json, "1"), "is_online")),
				      "shown in the snapshot: %s", event->data);
		ck_assert_msg(strcmp(event->name, "status_change") != 0, "told: %s", event->data);
	}
	ck_assert_ptr_nonnull(redis_text(stack, "GET user:chosen:1"));
	ck_assert_int_eq(redis_int(stack, "EXISTS user:online:1"), 0);
	sse_close(own);
	sse_close(viewer);
	stack_stop(stack);
}
END_TEST

/* User 1 hides and has a stream of the second presence-streamd; each worker has answered. */
static struct sse *hide_at_the_second_streamd(struct stack *stack)
{
	struct sse *own;

	streamd_start(stack, 1);
	freeReplyObject(redis_cmd(stack, "SET user:chosen:1 %s", "{\"status\":\"invisible\"}"));
	own = sse_open_direct(stack, 1, token_for(stack, "1"));
	sse_ready(own);
	for (int i = 0; i < 40; i++)
		touch(stack, token_for(stack, "2"));
	return own;
}

/* User 1 calls from a device that no worker has seen. */
static void check_nobody_is_shown(struct stack *stack, struct listener *listener)
{
	struct message *message;

	for (int i = 0; i < 10; i++)
		call(stack, "POST", HEARTBEAT, token_for(stack, "1"), "");
	message = listener_next(listener, 100);
	ck_assert_msg(message == NULL, "told: %s", message != NULL ? message->text : "");
}

START_TEST(a_wipe_that_nobody_has_noticed_outs_nobody)
{
	struct stack *stack = stack_start("presence { sweep = 5 heartbeat = 1 stream_ttl = 20 }\n");
	struct listener *listener;

	hide_at_the_second_streamd(stack);
	listener = listener_open(stack, "user:status:1");
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	check_nobody_is_shown(stack, listener);
	WAIT_UNTIL(redis_has(stack, "user:chosen:1"), 10000);
	check_nobody_is_shown(stack, listener);
	stack_stop(stack);
}
END_TEST

/* One that is back sooner cannot know who else is coming. */
START_TEST(a_redis_that_comes_back_empty_outs_nobody_whose_streamd_is_late)
{
	struct stack *stack = stack_start(FAST);
	struct listener *listener;

	hide_at_the_second_streamd(stack);
	kill(stack->streamd[1], SIGSTOP);
	redis_kill(stack);
	redis_start(stack, NULL);
	WAIT_UNTIL(redis_has(stack, "presence:epoch"), 5000); /* the first one is back */
	listener = listener_open(stack, "user:status:1");
	check_nobody_is_shown(stack, listener);
	kill(stack->streamd[1], SIGCONT);
	WAIT_UNTIL(redis_has(stack, "user:chosen:1"), 10000);
	check_nobody_is_shown(stack, listener);
	stack_stop(stack);
}
END_TEST

/* Its worker knows of the wipe, so that the call is not what brings the user online. */
START_TEST(who_is_idle_while_a_wiped_redis_recovers_is_away_afterwards)
{
	struct stack *stack = stack_start(FAST);
	const char *anna = token_for(stack, "1");
	struct sse *viewer = sse_open(stack, token_for(stack, "2"));

	sse_ready(viewer);
	for (int i = 0; i < 40; i++)
		touch(stack, anna);
	expect_change(viewer, 1, "online", "activity");
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	say_idle(stack, anna, true);
	WAIT_UNTIL(redis_text(stack, "GET user:online:1") != NULL, 6000);
	ck_assert_ptr_nonnull(strstr(redis_text(stack, "GET user:online:1"), "\"away\""));
	sse_close(viewer);
	stack_stop(stack);
}
END_TEST

/* Nobody knows yet what the user chose, and so nobody what to tell. */
START_TEST(self_comes_before_initial_while_a_wiped_redis_recovers_too)
{
	struct stack *stack = stack_start("");
	struct sse *sse;

	freeReplyObject(redis_cmd(stack, "SET presence:recovering 1 PX 3000"));
	sse = sse_open(stack, token_for(stack, "1"));
	ck_assert_str_eq(sse_next(sse, 5000)->name, "connected");
	ck_assert_str_eq(sse_next(sse, 8000)->name, "self");
	ck_assert_str_eq(sse_next(sse, 8000)->name, "initial");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(what_one_chose_is_not_told_while_a_wiped_redis_recovers)
{
	struct stack *stack = stack_start("");
	struct response *response;

	freeReplyObject(redis_cmd(stack, "SET presence:recovering 1 PX 3000"));
	response = call(stack, "GET", STATE, token_for(stack, "1"), NULL);
	check_problem(response, 503, "redis_unavailable");
	check_has(json_text(response->json, "detail"), "is being filled again");
	stack_stop(stack);
}
END_TEST

START_TEST(every_device_shows_the_same)
{
	struct stack *stack = stack_start("");
	const char *anna = token_for(stack, "1");
	struct sse *phone = sse_open(stack, anna), *desk = sse_open(stack, token_for(stack, "1"));
	struct event *one, *two;

	sse_ready(phone);
	sse_ready(desk);
	choose(stack, anna, "{\"status\":\"meeting\",\"text\":\"Room 4\"}");
	one = sse_wait(phone, "self", 3000);
	two = sse_wait(desk, "self", 3000);
	ck_assert_str_eq(json_text(one->json, "status"), "meeting");
	ck_assert_str_eq(json_text(two->json, "text"), "Room 4");
	ck_assert_str_ne(json_text(one->json, "session_id"), json_text(two->json, "session_id"));
	sse_close(phone);
	sse_close(desk);
	stack_stop(stack);
}
END_TEST

START_TEST(what_somebody_else_wrote_is_not_told_when_it_is_too_long)
{
	struct stack *stack = stack_start("");
	const char *anna = token_for(stack, "1"), *bert = token_for(stack, "2");
	struct sse *own = sse_open(stack, anna);
	struct event *event;

	sse_ready(own);
	freeReplyObject(
		redis_cmd(stack, "EVAL %s 0",
			  "local long = string.rep('x', 100000) "
			  "redis.call('SET', 'user:online:1', '{\"user_id\":1,\"is_online\":true,"
			  "\"status\":\"busy\",\"version\":7,\"text\":\"' .. long .. '\"}') "
			  "redis.call('PUBLISH', 'user:inbox:1', '{\"type\":\"self\",\"status\":"
			  "{\"text\":\"' .. long .. '\"}}') return 1"));
	CHECK_JSON(seen_by(stack, bert, "1"),
		   "{'user_id':1,'is_online':true,'status':'busy','last_activity':'<time>',"
		   "'version':7}");
	choose(stack, anna, "{\"status\":\"meeting\"}");
	do {
		event = sse_wait(own, "self", 3000);
		ck_assert_int_lt((int)strlen(event->data), 1000);
	} while (strcmp(json_text(event->json, "status"), "meeting") != 0);
	sse_close(own);
	stack_stop(stack);
}
END_TEST

START_TEST(who_only_watches_gets_no_self)
{
	struct stack *stack = stack_start("");
	const char *token;
	char payload[128];
	struct sse *sse;

	snprintf(payload, sizeof payload, "{'sub':'1','presence':'watch','exp':%lld}",
		 (long long)time(NULL) + 1000);
	token = token_make("{'alg':'HS256'}", payload, KEY_HMAC, stack->secret);
	sse = sse_open(stack, token);
	sse_expect(sse, "connected", 3000);
	sse_expect(sse, "initial", 3000);
	ck_assert_int_eq(redis_int(stack, "EXISTS user:sessions:1"), 0);
	CHECK_JSON(seen_by(stack, token_for(stack, "2"), "1"), NEVER_SEEN(1));
	choose(stack, token_for(stack, "1"), "{\"status\":\"invisible\"}");
	CHECK_JSON(http_ok(stack, STATE, token, NULL),
		   "{'user_id':1,'is_online':false,'status':'offline','last_seen':null,"
		   "'version':0,'chosen':null}");
	http_ok(stack, LOGOUT, token_for(stack, "1"), "");
	sse_close(sse);
	WAIT_UNTIL(redis_int(stack, "EXISTS user:sessions:1") == 0, 1000);
	stack_stop(stack);
}
END_TEST

/* --- settings ----------------------------------------------------------------------------- */

START_TEST(settings_are_kept_and_the_stricter_holds)
{
	struct stack *stack = stack_start("presence { last_seen = \"coarse\" }");
	const char *anna = token_for(stack, "1");

	CHECK_JSON(http_ok(stack, SETTINGS, anna, NULL),
		   "{'last_seen':'coarse','typing':true,'nearby':'off'}");
	CHECK_JSON(call(stack, "PUT", SETTINGS, anna,
			"{\"last_seen\":\"exact\",\"typing\":false,\"nearby\":\"friends\"}")
			   ->json,
		   "{'last_seen':'coarse','typing':false,'nearby':'friends'}");
	CHECK_JSON(call(stack, "PUT", SETTINGS, anna, "{\"last_seen\":\"nobody\"}")->json,
		   "{'last_seen':'nobody','typing':true,'nearby':'off'}");
	CHECK_JSON(http_ok(stack, SETTINGS, anna, NULL),
		   "{'last_seen':'nobody','typing':true,'nearby':'off'}");
	call(stack, "PUT", SETTINGS, anna, "{}");
	ck_assert_int_eq(redis_int(stack, "EXISTS user:settings:1"), 0);
	stack_stop(stack);
}
END_TEST

/* The token's own session is the first to be pushed out, which does not make it less of a token. */
START_TEST(settings_are_kept_however_many_streams_are_open)
{
	struct stack *stack = stack_start("presence { max_sessions = 2 }");
	const char *anna = token_for(stack, "1");
	struct sse *first = sse_open(stack, anna), *second = sse_open(stack, anna);

	sse_ready(first);
	sse_ready(second);
	ck_assert_int_eq(
		call(stack, "PUT", SETTINGS, token_for(stack, "1"), "{\"typing\":false}")->status,
		200);
	CHECK_JSON(http_ok(stack, SETTINGS, anna, NULL),
		   "{'last_seen':'exact','typing':false,'nearby':'off'}");
	sse_close(second);
	sse_close(first);
	stack_stop(stack);
}
END_TEST

START_TEST(when_one_was_there_can_be_hidden)
{
	struct stack *stack = stack_start(FAST);
	const char *anna = token_for(stack, "1"), *bert = token_for(stack, "2");
	struct sse *sse = sse_open(stack, bert);
	struct json_object *told;

	sse_ready(sse);
	call(stack, "PUT", SETTINGS, anna, "{\"last_seen\":\"nobody\"}");
	CHECK_JSON(seen_by(stack, bert, "1"),
		   "{'user_id':1,'is_online':true,'status':'online','last_activity':null,"
		   "'version':'<version>'}");
	expect_change(sse, 1, "online", "activity");
	http_ok(stack, LOGOUT, anna, "");
	told = expect_change(sse, 1, "offline", "logout");
	ck_assert_ptr_null(json_at(told, "last_seen"));
	CHECK_JSON(seen_by(stack, bert, "1"),
		   "{'user_id':1,'is_online':false,'status':'offline','last_seen':null,"
		   "'version':'<version>'}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* Scripts and programs read them in the same way, however the JSON is written. */
START_TEST(settings_that_somebody_else_wrote_hold_for_calls_and_messages_alike)
{
	struct stack *stack = stack_start(FAST);
	const char *anna = token_for(stack, "1"), *bert = token_for(stack, "2");
	struct sse *viewer = sse_open(stack, bert);

	sse_ready(viewer);
	freeReplyObject(redis_cmd(stack, "SET user:settings:1 %s",
				  "{ \"nearby\" : 7, \"last_seen\" : \"nobody\" }"));
	touch(stack, anna);
	ck_assert_ptr_null(
		json_at(expect_change(viewer, 1, "online", "activity"), "last_activity"));
	ck_assert_ptr_null(json_at(seen_by(stack, bert, "1"), "last_activity"));
	sse_close(viewer);
	stack_stop(stack);
}
END_TEST

START_TEST(when_one_was_there_can_be_told_roughly)
{
	struct stack *stack = stack_start(FAST);
	const char *anna = token_for(stack, "1"), *bert = token_for(stack, "2");
	struct sse *sse = sse_open(stack, bert);
	struct json_object *told;
	const char *seen;

	sse_ready(sse);
	call(stack, "PUT", SETTINGS, anna, "{\"last_seen\":\"coarse\"}");
	expect_change(sse, 1, "online", "activity");
	http_ok(stack, LOGOUT, anna, "");
	told = expect_change(sse, 1, "offline", "logout");
	ck_assert(json_object_get_boolean(json_at(told, "last_seen_coarse")));
	seen = json_text(told, "last_seen");
	ck_assert_msg((seen[15] == '0' || seen[15] == '5') && strcmp(seen + 16, ":00Z") == 0,
		      "expected a multiple of 5 minutes: %s", seen);
	CHECK_JSON(seen_by(stack, bert, "1"),
		   "{'user_id':1,'is_online':false,'status':'offline','last_seen':'<time>',"
		   "'version':'<version>','last_seen_coarse':true}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("states");
	TCase *tcase = harness_case(suite, "chosen states", 60);

	tcase_add_test(tcase, a_chosen_state_is_seen_everywhere_and_taken_back);
	tcase_add_test(tcase, a_chosen_state_makes_nobody_online_and_shows_from_the_first_moment);
	tcase_add_test(tcase, a_text_alone_leaves_the_state_automatic);
	tcase_add_test(tcase, a_state_ends_when_it_says_and_that_is_told_once);
	tcase_add_test(tcase, a_state_ends_also_across_a_restart_of_streamd);
	tcase_add_test(tcase, a_state_ends_also_across_a_restart_of_everything);
	tcase_add_loop_test(tcase, texts_pass_through_unchanged, 0, sizeof texts / sizeof texts[0]);
	tcase_add_test(tcase, of_two_devices_that_choose_at_once_all_see_the_last);
	tcase_add_test(tcase, a_state_may_be_changed_five_times_in_half_a_minute);

	tcase = harness_case(suite, "idle", 60);
	tcase_add_test(tcase, away_only_when_every_device_is_idle);
	tcase_add_test(tcase, changes_of_idleness_past_the_limit_show_when_its_time_is_over);
	tcase_add_test(tcase, a_new_device_is_not_idle_and_one_that_ends_counts_no_more);
	tcase_add_test(tcase, a_reconnect_makes_nobody_look_active);
	tcase_add_test(tcase, three_tabs_and_a_phone_are_away_only_when_both_devices_are_idle);
	tcase_add_test(tcase, a_refreshed_token_makes_nobody_look_active);
	tcase_add_loop_test(tcase, a_restart_of_streamd_makes_nobody_look_active, 0, 2);
	tcase_add_test(tcase, a_stream_may_be_born_idle);

	tcase = harness_case(suite, "invisible", 60);
	tcase_add_test(tcase, who_hides_is_offline_for_all_but_oneself);
	tcase_add_test(tcase, hiding_moves_neither_version_nor_last_seen);
	tcase_add_test(tcase, who_hides_has_no_websocket_session_for_others);
	tcase_add_test(tcase, who_logs_in_hidden_is_never_seen);
	tcase_add_test(tcase, a_wiped_redis_outs_nobody);
	tcase_add_test(tcase, a_wipe_that_nobody_has_noticed_outs_nobody);
	tcase_add_test(tcase, a_redis_that_comes_back_empty_outs_nobody_whose_streamd_is_late);
	tcase_add_test(tcase, who_is_idle_while_a_wiped_redis_recovers_is_away_afterwards);
	tcase_add_test(tcase, self_comes_before_initial_while_a_wiped_redis_recovers_too);
	tcase_add_test(tcase, what_one_chose_is_not_told_while_a_wiped_redis_recovers);
	tcase_add_test(tcase, every_device_shows_the_same);
	tcase_add_test(tcase, what_somebody_else_wrote_is_not_told_when_it_is_too_long);
	tcase_add_test(tcase, who_only_watches_gets_no_self);

	tcase = harness_case(suite, "settings", 60);
	tcase_add_test(tcase, settings_are_kept_and_the_stricter_holds);
	tcase_add_test(tcase, settings_are_kept_however_many_streams_are_open);
	tcase_add_test(tcase, when_one_was_there_can_be_hidden);
	tcase_add_test(tcase, settings_that_somebody_else_wrote_hold_for_calls_and_messages_alike);
	tcase_add_test(tcase, when_one_was_there_can_be_told_roughly);
	return harness_main(suite);
}
