#include "store/session_list.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/number.h"
#include "store/keys.h"
#include "store/resp.h"
#include "store/store.h"

void session_list_put(struct printbuf *out, const char *prefix, const struct userid *id)
{
	resp_begin(out, 5);
	resp_text(out, "ZRANGE");
	resp_key(out, prefix, KEY_SESSIONS, id->text);
	resp_text(out, "0");
	resp_text(out, "-1");
	resp_text(out, "WITHSCORES");
	store_put_time(out);
}

static bool read_session(const redisReply *member, const redisReply *score, int64_t now,
			 struct session *session)
{
	const char *colon;
	double deadline;

	if (member->type != REDIS_REPLY_STRING || score->type != REDIS_REPLY_STRING ||
	    (strncmp(member->str, "t:", 2) != 0 && strncmp(member->str, "s:", 2) != 0))
		return false;
	session->is_stream = member->str[0] == 's';
	session->tok = member->str + 2;
	colon = session->is_stream ? strrchr(session->tok, ':') : NULL;
	if (session->is_stream && colon == NULL)
		return false;
	session->random = colon != NULL ? colon + 1 : "";
	session->tok_len =
		(int)(colon != NULL ? (size_t)(colon - session->tok) : strlen(session->tok));
	deadline = number_read(score->str);
	session->left = (int64_t)deadline - now;
	session->is_closing = deadline - (double)(int64_t)deadline == 0.5; /* common.lua */
	return true;
}

bool session_list_read(redisReply *const replies[SESSION_LIST_COMMANDS],
		       struct session_list *sessions, int64_t *now)
{
	const redisReply *members = replies[0];

	if (members->type != REDIS_REPLY_ARRAY || !store_read_time(replies[1], now))
		return false;
	sessions->list = xcalloc(members->elements / 2 + 1, sizeof *sessions->list);
	sessions->count = 0;
	for (size_t i = 0; i + 1 < members->elements; i += 2)
		sessions->count += read_session(members->element[i], members->element[i + 1], *now,
						&sessions->list[sessions->count]);
	return true;
}

static void put_json(struct printbuf *out, const struct session *session)
{
	buf_putf(out, "{\"kind\":\"%s\",\"tok\":", session->is_stream ? "stream" : "token");
	json_put_string(out, session->tok, (size_t)session->tok_len);
	if (session->is_stream) {
		buf_puts(out, ",\"stream\":");
		json_put_string(out, session->random, strlen(session->random));
	}
	buf_putf(out, ",\"closing\":%s,\"expires_in_ms\":%" PRId64 "}",
		 session->is_closing ? "true" : "false", session->left);
}

void session_list_put_json(struct printbuf *out, const struct session_list *sessions)
{
	buf_puts(out, "[");
	for (size_t i = 0; i < sessions->count; i++) {
		buf_puts(out, i > 0 ? ",\n" : "");
		put_json(out, &sessions->list[i]);
	}
	buf_puts(out, "]");
}
