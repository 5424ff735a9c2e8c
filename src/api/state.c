/* The state that a user chooses to show (docs/api.md). */
#include "api/resources.h"

#include <stdio.h>
#include <string.h>

#include "api/settled.h"
#include "base/json.h"
#include "base/times.h"
#include "base/utf8.h"
#include "store/status.h"

#define TEXT_MAX 400 /* bytes */
#define TEXT_CHARACTERS_MAX 100
#define EMOJI_MAX 64 /* bytes */
#define DAY 86400
#define HOLDS_MAX (90 * DAY)
#define HOLDS_DEFAULT (7 * DAY) /* of a text alone, too */

static struct problem bad_value(const char *why)
{
	return request_refuse(PROBLEM_BAD_VALUE, why);
}

/* --- the chosen state ------------------------------------------------------------------------ */

static const struct state {
	const char *name;
	int64_t holds; /* seconds, unless the user says; 0 = until another one is chosen */
} states[] = {
	{"online", 7 * DAY}, {"away", 7 * DAY}, {"busy", DAY},
	{"meeting", 3600},   {"dnd", DAY},	{"invisible", 0},
};

struct choice {
	const struct state *state; /* NULL: automatic */
	const char *text, *emoji; /* "" = none */
	int64_t holds;
};

/* Whether one may show the text in a line: how many characters; -1 when not. */
static int count_characters(const char *text)
{
	const char *end = text + strlen(text);
	int count = 0;

	while (text < end) {
		size_t len = utf8_len(text, end);

		if (len == 0 || utf8_is_control(text, len) || utf8_is_bidi_override(text, len))
			return -1;
		text += len;
		count++;
	}
	return count;
}

static bool parse_name(struct json_object *value, struct choice *choice)
{
	const char *name;

	if (value == NULL)
		return true;
	if (!json_is_text(value, 16, &name))
		return false;
	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
		if (strcmp(name, states[i].name) == 0)
			choice->state = &states[i];
	}
	return choice->state != NULL;
}

/* A member that need not be there: *text stays "" without it. */
static bool parse_line(struct json_object *value, size_t max, int characters, const char **text)
{
	int count;

	if (value == NULL)
		return true;
	if (!json_is_text(value, max, text))
		return false;
	count = count_characters(*text);
	return count >= 0 && count <= characters;
}

static bool parse_holds(struct json_object *value, struct choice *choice)
{
	choice->holds = choice->state != NULL ? choice->state->holds : HOLDS_DEFAULT;
	if (value == NULL)
		return true;
	if (!json_object_is_type(value, json_type_int))
		return false;
	choice->holds = json_object_get_int64(value);
	return choice->holds >= 1 && choice->holds <= HOLDS_MAX;
}

static struct problem parse_choice(struct json_object *body, struct choice *choice)
{
	*choice = (struct choice){.text = "", .emoji = ""};
	if (!parse_name(json_member(body, "status"), choice))
		return bad_value("\"status\" is online, away, busy, meeting, dnd or invisible.");
	if (!parse_line(json_member(body, "text"), TEXT_MAX, TEXT_CHARACTERS_MAX, &choice->text))
		return bad_value("\"text\" is at most 100 characters and 400 bytes, without "
				 "controls, line ends and bidirectional overrides.");
	if (!parse_line(json_member(body, "emoji"), EMOJI_MAX, EMOJI_MAX, &choice->emoji))
		return bad_value("\"emoji\" is at most 64 bytes, without controls, line ends and "
				 "bidirectional overrides.");
	if (!parse_holds(json_member(body, "expires_in"), choice))
		return bad_value("\"expires_in\" is a number of seconds from 1 to 7776000.");
	if (choice->state == NULL && *choice->text == '\0' && *choice->emoji == '\0')
		return bad_value("\"status\", \"text\" or \"emoji\" must be there.");
	return request_done();
}

static void put_member(struct printbuf *out, const char *name, const char *text)
{
	if (*text == '\0')
		return;
	buf_putf(out, "%s\"%s\":", out->buf[out->bpos - 1] == '{' ? "" : ",", name);
	json_put_string(out, text, strlen(text));
}

static void put_state(struct printbuf *out, const struct choice *choice)
{
	buf_puts(out, "{");
	put_member(out, "status", choice->state != NULL ? choice->state->name : "");
	put_member(out, "text", choice->text);
	put_member(out, "emoji", choice->emoji);
}

static void put_own(struct request *request, const struct store_self *self)
{
	status_put_own(request->answer, self->status, self->status_len, request->token.session_id);
}

/* The state as Redis keeps it, which must be JSON; NULL: automatic again. */
static struct problem choose(struct request *request, const char *state, int64_t holds)
{
	const struct store_choose choice = {
		.user = &request->token.user,
		.tok = request->token.name,
		.iat = request->token.issued,
		.state = state,
		.holds = holds,
	};
	enum store_verdict verdict;
	struct problem problem;
	struct store_self self;
	int64_t wait;

	store_put_choose(request_pipeline(request), request->store, &choice);
	problem = request_ask(request, 1);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	verdict = store_read_choose(request->replies[0], &self, &wait);
	if (verdict == STORE_TOO_OFTEN) {
		problem = request_refuse(PROBLEM_TOO_OFTEN,
					 "A state may be changed 5 times in 30 seconds.");
		problem.retry_after = (int)wait;
		return problem;
	}
	problem = request_check(request, verdict);
	if (problem.kind == PROBLEM_NONE)
		put_own(request, &self);
	return problem;
}

struct problem state_put(struct request *request)
{
	struct choice choice;
	struct problem problem = parse_choice(request->body, &choice);
	struct printbuf *state;

	if (problem.kind != PROBLEM_NONE)
		return problem;
	state = buf_new();
	put_state(state, &choice);
	problem = choose(request, state->buf, choice.holds);
	printbuf_free(state);
	return problem;
}

struct problem state_delete(struct request *request)
{
	return choose(request, NULL, 0);
}

/* The chosen state for its user: the end is a time. */
static void put_chosen(struct printbuf *out, const char *stored)
{
	const char *why, *text;
	struct json_object *chosen = json_parse_object(stored, strlen(stored), &why);
	static const char *const names[] = {"status", "text", "emoji"};
	struct json_object *ends;
	char time[TIMES_LEN + 1];

	if (chosen == NULL) {
		buf_puts(out, "null");
		return;
	}
	buf_puts(out, "{");
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (json_is_text(json_member(chosen, names[i]), TEXT_MAX, &text))
			put_member(out, names[i], text);
	}
	ends = json_member(chosen, "ends");
	if (json_object_is_type(ends, json_type_int)) {
		times_format(json_object_get_int64(ends) / 1000, time);
		put_member(out, "status_expires", time);
	}
	buf_puts(out, "}");
	json_object_put(chosen);
}

/* Who only watches sees its user as others do. */
static struct problem get_as_others(struct request *request)
{
	struct problem problem;

	request->id = request->token.user;
	problem = status_user(request);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	request->answer->bpos--; /* the object's end */
	buf_puts(request->answer, ",\"chosen\":null}");
	return problem;
}

struct problem state_get(struct request *request)
{
	struct problem problem;
	struct store_self self;

	if (request->token.watch)
		return get_as_others(request);
	request_touch_for(request, &(struct touch_wish){.wants_self = true});
	problem = request_ask_touched(request, 0);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	if (!store_read_self(request->replies[0], 0, &self))
		return settled_refuse();
	put_own(request, &self);
	request->answer->bpos--; /* the object's end */
	buf_puts(request->answer, ",\"chosen\":");
	put_chosen(request->answer, self.chosen);
	buf_puts(request->answer, "}");
	return request_done();
}
