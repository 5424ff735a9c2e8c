#include "store/chosen.h"

#include <string.h>

#include "base/json.h"
#include "base/number.h"
#include "base/times.h"
#include "store/keys.h"
#include "store/resp.h"

#define TEXT_MAX 400 /* bytes */

/* --- reading --- */

static void put_one(struct printbuf *out, const char *command, const char *prefix, const char *key,
		    const struct userid *id)
{
	resp_begin(out, 2);
	resp_text(out, command);
	resp_key(out, prefix, key, id->text);
}

void chosen_put(struct printbuf *out, const char *prefix, const struct userid *id)
{
	put_one(out, "GET", prefix, KEY_CHOSEN, id);
	put_one(out, "HGETALL", prefix, KEY_IDLE, id);
	put_one(out, "GET", prefix, KEY_SETTINGS, id);
}

static struct json_object *read_object(const redisReply *reply)
{
	const char *why;

	return reply->type == REDIS_REPLY_STRING ? json_parse_object(reply->str, reply->len, &why)
						 : NULL;
}

static const char *text_of(struct json_object *object, const char *name)
{
	const char *text = "";

	json_is_text(json_member(object, name), TEXT_MAX, &text);
	return text;
}

static void read_state(const redisReply *reply, int64_t now, struct chosen *chosen)
{
	struct json_object *object = read_object(reply);

	chosen->status = chosen->text = chosen->emoji = "";
	if (object == NULL)
		return;
	chosen->ends = json_object_get_int64(json_member(object, "ends"));
	if (chosen->ends > 0 && chosen->ends <= now) {
		json_object_put(object);
		return;
	}
	chosen->state = object;
	chosen->status = text_of(object, "status");
	chosen->text = text_of(object, "text");
	chosen->emoji = text_of(object, "emoji");
}

/* common.lua's says_idle(). */
static bool says_idle(const redisReply *mark, int64_t now)
{
	int64_t moment = mark->type == REDIS_REPLY_STRING ? (int64_t)number_read(mark->str) : 0;

	return moment >= 0 ? moment <= now : -moment > now;
}

/* Whether the token is idle; `marks` is a token, its mark, the next token, ... */
static bool is_idle(const redisReply *marks, const struct session *session, int64_t now)
{
	for (size_t i = 0; i + 1 < marks->elements; i += 2) {
		const redisReply *tok = marks->element[i];

		if (tok->type == REDIS_REPLY_STRING && tok->len == (size_t)session->tok_len &&
		    memcmp(tok->str, session->tok, tok->len) == 0)
			return says_idle(marks->element[i + 1], now);
	}
	return false;
}

static bool is_token_of(const struct session *session, const struct session *other)
{
	return session->tok_len == other->tok_len &&
	       memcmp(session->tok, other->tok, (size_t)session->tok_len) == 0;
}

/* Whether no session before it that is alive is of the same token. */
static bool is_first_of_token(const struct session_list *sessions, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (sessions->list[i].left > 0 &&
		    is_token_of(&sessions->list[i], &sessions->list[index]))
			return false;
	}
	return true;
}

void chosen_read(redisReply *const replies[CHOSEN_COMMANDS], const struct session_list *sessions,
		 int64_t now, struct chosen *chosen)
{
	memset(chosen, 0, sizeof *chosen);
	read_state(replies[0], now, chosen);
	chosen->settings = settings_read(replies[2]);
	for (size_t i = 0; i < sessions->count; i++) {
		if (sessions->list[i].left <= 0 || !is_first_of_token(sessions, i))
			continue;
		chosen->tokens++;
		chosen->idle_tokens += is_idle(replies[1], &sessions->list[i], now);
	}
}

void chosen_clear(struct chosen *chosen)
{
	json_object_put(chosen->state);
	memset(chosen, 0, sizeof *chosen);
}

bool chosen_is_invisible(const struct chosen *chosen)
{
	return chosen->state != NULL && strcmp(chosen->status, "invisible") == 0;
}

/* --- in JSON --- */

static void put_member(struct printbuf *out, const char *name, const char *text, const char *comma)
{
	if (*text == '\0')
		return;
	buf_putf(out, "%s\"%s\":", out->buf[out->bpos - 1] == '{' ? "" : comma, name);
	json_put_string(out, text, strlen(text));
}

void chosen_put_state_json(struct printbuf *out, const struct chosen *chosen)
{
	char time[TIMES_LEN + 1] = "";

	buf_puts(out, ",\"chosen\":");
	if (chosen->state == NULL) {
		buf_puts(out, "null");
	} else {
		if (chosen->ends > 0)
			times_format(chosen->ends / 1000, time);
		buf_puts(out, "{");
		put_member(out, "status", chosen->status, ",");
		put_member(out, "text", chosen->text, ",");
		put_member(out, "emoji", chosen->emoji, ",");
		put_member(out, "status_expires", time, ",");
		buf_puts(out, "}");
	}
	buf_putf(out, ",\"tokens\":%zu,\"idle_tokens\":%zu", chosen->tokens, chosen->idle_tokens);
}

void chosen_put_settings_json(struct printbuf *out, const struct chosen *chosen,
			      enum last_seen site)
{
	buf_puts(out, ",");
	settings_put_members(out, &chosen->settings, settings_rule(&chosen->settings, site));
}
