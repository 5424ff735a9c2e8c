/*
 * Who hides from whom, and why, cannot be told: everything that a viewer can get is the same, byte for
 * byte, whether somebody is invisible or gone; and whether somebody blocks the viewer, is blocked by it,
 * was never seen, or is, under visibility = friends, not a friend. docs/privacy.md
 *
 * Each role is played in a stack of its own by the same two users, a friend and a stranger. Versions,
 * times and random words are replaced by their kind; their lengths, and those of answers, are not.
 */
#include "calls.h"
#include "push.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "monitor.h"
#include "servers.h"
#include "store/scripts.h"

#define VIEWER "1"
#define FRIEND "2"
#define STRANGER "70"
#define SENTINEL "5" /* whose change is the last that is waited for */

static const char *const visibilities[] = {"", "presence { visibility = friends }\n"};

/* --- what the viewer gets ----------------------------------------------------------------- */

static size_t length_of_time(const char *text)
{
	static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
	size_t i = 0;

	while (form[i] != '\0' &&
	       (form[i] == 'd' ? isdigit((unsigned char)text[i]) != 0 : text[i] == form[i]))
		i++;
	return form[i] == '\0' ? i : 0;
}

/* A value that is random: a session's, a ticket's or a request's name. */
static size_t length_of_word(const char *text)
{
	static const char *const names[] = {"\"session_id\":\"", "\"ticket\":\"",
					    "\"request_id\":\"", "X-Request-Id: "};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		size_t len = strlen(names[i]);

		if (strncmp(text, names[i], len) == 0)
			return len + strcspn(text + len, "\"\r\n");
	}
	return 0;
}

/* With times, versions (which have many digits) and random words replaced by their kind. */
static void add_text(struct printbuf *out, const char *text)
{
	while (*text != '\0') {
		size_t len, digits = strspn(text, "0123456789");

		if ((len = length_of_time(text)) > 0)
			buf_puts(out, "<time>");
		else if ((len = length_of_word(text)) > 0)
			buf_puts(out, "<word>");
		else if (digits >= 9 && (len = digits) > 0)
			buf_puts(out, "<version>");
		else if (strncmp(text, "Date:", 5) == 0)
			len = strcspn(text, "\n");
		else
			buf_put(out, text, len = digits > 0 ? digits : 1);
		text += len;
	}
	buf_puts(out, "\n");
}

/* Everything that can be asked about a user, whose id stands for {id}. `counts`: not where the site's own
 * total is allowed to tell. */
static const struct ask {
	const char *method, *path, *body;
	bool counts, watches; /* watches: by a token that only watches, too */
} asks[] = {
	{"GET", STATUS_USER "{id}", NULL, false, true},
	{"HEAD", STATUS_USER "{id}", NULL, false, true},
	{"POST", STATUS_USERS, "{\"user_ids\":[{id}]}", false, true},
	{"POST", STATUS_USERS, "{\"user_ids\":[99,{id},98]}", false, true},
	{"GET", STATUS_FRIENDS, NULL, false, true},
	{"HEAD", STATUS_FRIENDS, NULL, false, true},
	{"GET", FRIENDS_LIST, NULL, false, true},
	{"GET", ONLINE_LIST, NULL, false, true},
	{"GET", ONLINE_LIST "?limit=1", NULL, false, true},
	{"GET", ONLINE_LIST "?limit=1&cursor=0:1", NULL, false, false},
	{"GET", COUNT, NULL, true, true},
	{"POST", HEARTBEAT, "{}", false, false},
	{"GET", STATE, NULL, false, false},
	{"POST", PUSH_WHEN_ONLINE "{id}", NULL, false, false},
	{"GET", PUSH_SUBSCRIPTIONS, NULL, false, false},
	{"DELETE", PUSH_WHEN_ONLINE "{id}", NULL, false, false},
	{"POST", TYPING, "{\"to\":{id},\"typing\":true}", false, false},
	{"POST", TYPING, "{\"to\":[98,{id}],\"typing\":false}", false, false},
	{"POST", TICKET, "{\"users\":[{id}]}", false, true},
	{"GET", NEARBY, NULL, false, true},
	{"PUT", LOCATION, "{\"lat\":37.5665,\"lon\":126.978}", false, false},
	/* Errors. */
	{"DELETE", STATUS_USER "{id}", NULL, false, true},
	{"GET", STATUS_USER "{id}/more", NULL, false, true},
	{"POST", STATUS_USERS, "{\"user_ids\":[{id},\"no id\"]}", false, true},
	{"GET", STREAM "?users={id}&friends=maybe", NULL, false, true},
	{"GET", STREAM "?users={id},", NULL, false, true},
	{"POST", BLOCKS "{id}", NULL, false, false},
};

static struct transcript {
	struct stack *stack;
	const char *token, *watcher;
	bool counts;
	struct printbuf *text;
} seen;

static const char *with_id(const char *text, const char *id)
{
	const char *at = text != NULL ? strstr(text, "{id}") : NULL;

	return at != NULL ? text_of("%.*s%s%s", (int)(at - text), text, id, at + 4) : text;
}

static void ask(const struct ask *ask, const char *token, const char *id)
{
	const char *path = with_id(ask->path, id);
	struct response *response;

	if (ask->counts && !seen.counts)
		return;
	response = HTTP(seen.stack, .method = ask->method, .path = path, .token = token,
			.body = with_id(ask->body, id), .header = "Origin: https://a.example");
	buf_putf(seen.text, "--- %s %s by %s\n", ask->method, path,
		 token == seen.watcher ? "a watcher" : "a user");
	add_text(seen.text, response->head);
	add_text(seen.text, response->body);
}

static void ask_everything(const char *id)
{
	for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
		ask(&asks[i], seen.token, id);
		if (asks[i].watches)
			ask(&asks[i], seen.watcher, id);
	}
}

/* --- streams and channels ----------------------------------------------------------------- */

static struct sse *open_stream(const char *query, const char *token)
{
	return sse_request(seen.stack,
			   text_of("GET " STREAM "%s HTTP/1.1\r\nHost: x\r\nOrigin: "
				   "https://a.example\r\nAuthorization: Bearer %s\r\n\r\n",
				   query, token));
}

static struct sse *open_with_ticket(const char *body)
{
	return sse_open_ticket(seen.stack,
			       json_text(http_ok(seen.stack, TICKET, seen.token, body), "ticket"));
}

#define STREAMS_OF_VIEWER 5
static void open_streams(struct sse *streams[STREAMS_OF_VIEWER])
{
	streams[0] = open_stream("", seen.token);
	streams[1] = open_stream("?users=" FRIEND "," STRANGER "," SENTINEL "&friends=false",
				 seen.token);
	streams[2] = open_stream("?users=" STRANGER, seen.token);
	streams[3] = open_with_ticket("{\"users\":[" FRIEND "," STRANGER ",77]}");
	streams[4] = open_stream("?users=" STRANGER, seen.watcher);
	for (int i = 0; i < STREAMS_OF_VIEWER; i++) {
		struct event *event;

		do {
			event = sse_next(streams[i], 5000);
			ck_assert_ptr_nonnull(event);
			buf_putf(seen.text, "--- stream %d: %s\n", i, event->name);
			add_text(seen.text, event->data);
		} while (strcmp(event->name, "initial") != 0);
	}
}

static bool is_of_sentinel(struct json_object *json)
{
	return json != NULL && json_object_object_get(json, "user_id") != NULL &&
	       strcmp(json_text(json, "user_id"), SENTINEL) == 0;
}

/* All events up to that of the sentinel, but for heartbeats. */
static void read_stream(struct sse *sse, int number)
{
	for (;;) {
		struct event *event = sse_next(sse, 5000);

		ck_assert_ptr_nonnull(event);
		if (strcmp(event->name, "heartbeat") == 0)
			continue;
		buf_putf(seen.text, "--- stream %d: %s\n", number, event->name);
		add_text(seen.text, event->data);
		if (strcmp(event->name, "status_change") == 0 && is_of_sentinel(event->json))
			return;
	}
}

/* What whoever reads the channels of others hears up to then. */
static void read_channel(struct listener *listener)
{
	struct message *message;

	do {
		message = listener_next(listener, 5000);
		ck_assert_ptr_nonnull(message);
		buf_putf(seen.text, "--- channel %s\n", message->channel);
		add_text(seen.text, message->text);
	} while (!is_of_sentinel(message->json));
}

static void read_after_redis_died(struct sse *sse)
{
	redis_kill(seen.stack);
	sse_wait_degraded(sse);
	for (size_t i = 0; i < 4; i++) {
		ask(&asks[i], seen.token, FRIEND);
		ask(&asks[i], seen.token, STRANGER);
	}
	sse = open_stream("?users=" STRANGER, seen.token);
	buf_putf(seen.text, "--- %s\n", sse_expect(sse, "connected", 3000)->name);
	add_text(seen.text, sse_wait_degraded(sse)->data);
}

/* --- roles -------------------------------------------------------------------------------- */

static void call(const char *method, const char *path, const char *token, const char *body)
{
	struct response *response =
		HTTP(seen.stack, .method = method, .path = path, .token = token, .body = body);

	ck_assert_msg(response->status < 300, "%s %s: %d %s", method, path, response->status,
		      response->body);
}

static void do_nothing(const char *id)
{
	(void)id;
}

/* Shares the place where the viewer is. */
static void be_near(const char *token)
{
	call("PUT", SETTINGS, token, "{\"nearby\":\"friends\"}");
	call("PUT", LOCATION, token, "{\"lat\":37.5665,\"lon\":126.978}");
}

static void type_to_viewer(const char *token)
{
	call("POST", TYPING, token, "{\"to\":" VIEWER ",\"typing\":true}");
	call("POST", TYPING, token, "{\"to\":" VIEWER ",\"typing\":false}");
}

static void be_online(const char *id)
{
	touch_user(seen.stack, id);
}

/* Was online, and is not any more. */
static void be_gone(const char *id)
{
	const char *token = token_for(seen.stack, id);

	be_near(token);
	http_ok(seen.stack, LOGOUT, token, "");
}

/* The same to all others. */
static void hide(const char *id)
{
	const char *token = token_for(seen.stack, id);

	be_near(token);
	call("PUT", STATE, token, "{\"status\":\"invisible\",\"text\":\"Not here\"}");
	sse_ready(sse_open(seen.stack, token));
}

/* Everything that a user can do who hides. */
static void act_hidden(const char *id)
{
	const char *phone = token_for(seen.stack, id), *desk = token_for(seen.stack, id);
	struct sse *sse = sse_open(seen.stack, phone);

	sse_ready(sse);
	touch(seen.stack, desk);
	call("POST", HEARTBEAT, desk, "{\"idle\":true}");
	call("POST", HEARTBEAT, desk, "{\"idle\":false,\"websocket_session\":\"w\"}");
	call("PUT", STATE, desk, "{\"status\":\"invisible\",\"emoji\":\"x\"}");
	call("POST", PUSH_WHEN_ONLINE VIEWER, desk, NULL);
	type_to_viewer(desk);
	freeReplyObject(
		redis_cmd(seen.stack, "DEL presence:rate:location:%s", id)); /* minutes later */
	be_near(desk);
	call("PUT", BLOCKS "4711", desk, NULL);
	http_ok(seen.stack, STATUS_USER VIEWER, desk, NULL);
	sse_close(sse);
	http_ok(seen.stack, LOGOUT, desk, "");
	if (strcmp(id, FRIEND) == 0)
		http_ok(seen.stack, LOGOUT, login(seen.stack, "user2@example.com"), "");
	/* Sessions run out by themselves as well, but for the stream that stays open. */
	WAIT_UNTIL(redis_int(seen.stack, "ZCARD user:sessions:%s", id) == 1, 10000);
}

static void block_viewer(const char *id)
{
	const char *token = token_for(seen.stack, id);

	be_near(token);
	call("PUT", BLOCKS VIEWER, token, NULL);
}

static void be_blocked(const char *id)
{
	touch_user(seen.stack, id);
	call("PUT", text_of(BLOCKS "%s", id), seen.token, NULL);
}

/* Changes that all others see. */
static void act_visibly(const char *id)
{
	const char *token = token_for(seen.stack, id);

	touch(seen.stack, token);
	call("PUT", STATE, token, "{\"status\":\"busy\",\"text\":\"Seen\"}");
	call("POST", HEARTBEAT, token, "{\"idle\":true}");
	type_to_viewer(token);
	be_near(token);
	call("DELETE", LOCATION, token, NULL);
	http_ok(seen.stack, LOGOUT "?all=true", token, "");
	touch_user(seen.stack, id);
}

struct role {
	const char *name;
	void (*prepare)(const char *id);
	void (*act)(const char *id); /* while the viewer's streams are open */
	void (*prepare_friend)(const char *id); /* NULL: as the stranger */
};

/* All that the viewer gets while the two users play this role. */
static char *play(const struct role *role, const char *conf, bool counts, bool with_channels)
{
	struct sse *streams[STREAMS_OF_VIEWER];
	struct listener *listeners[2] = {NULL};

	seen = (struct transcript){.text = buf_new(), .counts = counts};
	seen.stack = push_stack_new(
		text_of(FAST "cors { allow_origins = \"https://a.example\" }\n%s", conf));
	redis_start(seen.stack, NULL);
	streamd_start(seen.stack, 0);
	lighttpd_start(seen.stack);
	seen.token = token_for(seen.stack, VIEWER);
	seen.watcher = token_make("{'alg':'HS256'}",
				  "{'sub':'" VIEWER "','exp':4000000000,'presence':'watch'}",
				  KEY_HMAC, seen.stack->secret);

	be_near(seen.token);
	role->prepare(STRANGER);
	(role->prepare_friend != NULL ? role->prepare_friend : role->prepare)(FRIEND);
	if (with_channels)
		listeners[0] = listener_open(seen.stack, "user:status:*"),
		listeners[1] = listener_open(seen.stack, "presence:broadcast");
	open_streams(streams);
	ask_everything(FRIEND);
	ask_everything(STRANGER);
	role->act(STRANGER);
	if (role->prepare_friend == NULL)
		role->act(FRIEND);
	/* With a stream, for it stays until the end, however slow this goes. */
	sse_ready(sse_open(seen.stack, token_for(seen.stack, SENTINEL)));
	for (int i = 0; i < STREAMS_OF_VIEWER; i++)
		read_stream(streams[i], i);
	for (size_t i = 0; i < 2 && with_channels; i++)
		read_channel(listeners[i]);
	ask_everything(FRIEND);
	ask_everything(STRANGER);
	read_after_redis_died(streams[0]);
	stack_stop(seen.stack);
	return buf_take(seen.text, NULL);
}

/* The lines around the first difference. */
static void check_same(const char *one, const char *text, const char *other, const char *expected)
{
	size_t at = 0, from;

	while (text[at] != '\0' && text[at] == expected[at])
		at++;
	if (text[at] == expected[at])
		return;
	from = at > 600 ? at - 600 : 0;
	ck_abort_msg("%s differs from %s:\n%.1200s\ninstead of\n%.1200s", one, other, text + from,
		     expected + from);
}

static void check_alike(const struct role *roles, size_t count, const char *conf, bool counts,
			bool with_channels)
{
	char *expected = play(&roles[0], conf, counts, with_channels);

	for (size_t i = 1; i < count; i++)
		check_same(roles[i].name, play(&roles[i], conf, counts, with_channels),
			   roles[0].name, expected);
}

/* --- the groups --------------------------------------------------------------------------- */

static const struct role offline[] = {
	{"who is gone", be_gone, do_nothing, NULL},
	{"who is invisible", hide, act_hidden, NULL},
};

START_TEST(who_is_invisible_looks_like_who_is_gone)
{
	check_alike(offline, 2, visibilities[_i], true, true);
}
END_TEST

static const struct role hidden[] = {
	{"who was never seen", do_nothing, do_nothing, NULL},
	{"who blocks the viewer", block_viewer, act_visibly, NULL},
	{"whom the viewer blocks", be_blocked, act_visibly, NULL},
	/* Under visibility = friends alone; the friend was never seen. */
	{"who is not a friend", be_online, act_visibly, do_nothing},
};

START_TEST(who_blocks_is_blocked_or_a_stranger_looks_like_who_was_never_seen)
{
	check_alike(hidden, _i == 0 ? 3 : 4, visibilities[_i], false, false);
}
END_TEST

START_TEST(the_comparison_sees_what_there_is_to_see)
{
	static const struct role shown = {"who is online", be_online, act_visibly, NULL};
	static const char *const parts[] = {
		"--- stream 0: status_change\n{\"user_id\":" FRIEND,
		"--- stream 1: status_change\n{\"user_id\":" STRANGER,
		"--- stream 2: status_change\n{\"user_id\":" STRANGER,
		"--- stream 3: status_change\n{\"user_id\":" STRANGER,
		"--- stream 4: status_change\n{\"user_id\":" STRANGER,
		"{\"user_ids\":[1,2,70],",
		"--- stream 0: typing\n{\"user_id\":" FRIEND,
		"--- stream 0: nearby\n{\"user_id\":" FRIEND,
		"--- stream 4: nearby\n{\"user_id\":" FRIEND,
		"--- channel user:status:" STRANGER,
		"--- channel presence:broadcast",
	};
	char *text = play(&shown, "", true, true);

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		check_has(text, parts[i]);
}
END_TEST

/* --- what Redis does ------------------------------------------------------------------------ */

/* The id itself, or what is asked instead of one who is hidden (src/api/snapshot.c). */
static bool begins_with_id(const char *text, const char *id)
{
	size_t len = strlen(id);

	return (*text == *id || *text == '?') && strncmp(text + 1, id + 1, len - 1) == 0 &&
	       !isalnum((unsigned char)text[len]);
}

/* The text with the id, where it stands by itself, replaced, and the mark of push_want.lua's notes. */
static void add_without_id(struct printbuf *out, const char *text, const char *id)
{
	size_t len = strlen(id);
	bool in_word = false;

	for (; *text != '\0'; text++) {
		bool is_id = !in_word && begins_with_id(text, id);

		in_word = isalnum((unsigned char)*text) != 0;
		buf_put(out, is_id ? "#" : *text == '-' ? "+" : text, 1);
		text += is_id ? len - 1 : 0;
	}
}

/* And asks presence-api, and has no random words. */
static bool is_about_a_user(const struct ask *ask)
{
	return strncmp(ask->path, STREAM, strlen(STREAM)) != 0 && strcmp(ask->path, TICKET) != 0 &&
	       (strstr(ask->path, "{id}") != NULL ||
		(ask->body != NULL && strstr(ask->body, "{id}") != NULL));
}

/* What a worker has counted, which it tells now and then, whatever it was asked. */
static bool tells_figures(const char *command)
{
	return strstr(command, scripts_name(SCRIPT_FIGURES_ADD)) != NULL;
}

/*
 * What Redis is asked, and what its scripts do, in the calls about this user `but` for one, in every
 * byte; without figures, and without the touch of the caller's token, which comes first.
 */
static char *commands_about(struct monitor *monitor, const char *id, const char *but)
{
	struct printbuf *out = buf_new();

	for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
		bool is_of_figures = false;
		int commands = 0;
		char *rest;

		if (!is_about_a_user(&asks[i]) || strcmp(asks[i].path, but) == 0)
			continue;
		monitor_take(monitor);
		ask(&asks[i], seen.token, id);
		buf_putf(out, "--- %s %s\n", asks[i].method, asks[i].path);
		rest = monitor_take(monitor);
		for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
			if (*line != ' ' && *line != '\0') {
				is_of_figures = tells_figures(line);
				commands += !is_of_figures;
			}
			if (is_of_figures || commands < 2 || *line == '\0')
				continue;
			add_without_id(out, line, id);
			buf_puts(out, "\n");
		}
	}
	return buf_take(out, NULL);
}

static void check_same_commands(struct monitor *monitor, const char *const *ids, size_t count,
				const char *but)
{
	char *expected = commands_about(monitor, ids[0], but);

	check_has(expected, "SMISMEMBER");
	for (size_t i = 1; i < count; i++)
		check_same(ids[i], commands_about(monitor, ids[i], but), ids[0], expected);
}

START_TEST(redis_does_the_same_whoever_is_asked_about)
{
	static const char *const gone[][2] = {{"2", "3"}, {"72", "73"}};
	static const char *const never[][4] = {{"4", "5", "6"}, {"74", "75", "76", "77"}};
	struct monitor *monitor;

	seen = (struct transcript){.text = buf_new(), .stack = push_stack_new(visibilities[_i])};
	redis_start(seen.stack, NULL);
	streamd_start(seen.stack, 0);
	lighttpd_start(seen.stack);
	seen.token = token_for(seen.stack, VIEWER);
	for (size_t i = 0; i < 2; i++) {
		be_gone(gone[i][0]);
		hide(gone[i][1]);
		block_viewer(never[i][1]);
		be_blocked(never[i][2]);
	}
	be_online(never[1][3]);
	WAIT_UNTIL(redis_has(seen.stack, "presence:swept"), 5000);
	/* So that nothing is swept or renewed meanwhile. */
	signal_and_wait_stopped(seen.stack->streamd[0]);
	monitor = monitor_open(seen.stack);
	check_same_commands(monitor, gone[0], 2, "");
	check_same_commands(monitor, gone[1], 2, "");
	/* A friend who was never seen is told who types, which takes a message. */
	check_same_commands(monitor, never[0], 3, TYPING);
	/* 77 is seen, unless visibility = friends. */
	check_same_commands(monitor, never[1], _i == 0 ? 3 : 4, "");
	kill(seen.stack->streamd[0], SIGCONT);
	stack_stop(seen.stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("indistinguishable");
	TCase *tcase = harness_case(suite, "indistinguishable", 200);

	tcase_add_loop_test(tcase, who_is_invisible_looks_like_who_is_gone, 0, 2);
	tcase_add_loop_test(
		tcase, who_blocks_is_blocked_or_a_stranger_looks_like_who_was_never_seen, 0, 2);
	tcase_add_test(tcase, the_comparison_sees_what_there_is_to_see);
	tcase_add_loop_test(tcase, redis_does_the_same_whoever_is_asked_about, 0, 2);
	return harness_main(suite);
}
