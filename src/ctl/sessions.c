#include "ctl/sessions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/times.h"
#include "ctl/table.h"
#include "store/keys.h"
#include "store/resp.h"

void span_put(char text[SPAN_SIZE], int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
	size_t unit = 0;
	int64_t number;

	while (unit < 3 && seconds < units[unit].seconds)
		unit++;
	number = seconds / units[unit].seconds;
	snprintf(text, SPAN_SIZE, "%" PRId64 " %s%s", number, units[unit].name,
		 number == 1 ? "" : "s");
}

int64_t span_since(const char *time_text)
{
	struct tm utc = {0};
	int64_t age;

	strptime(time_text, "%Y-%m-%dT%H:%M:%SZ", &utc);
	age = times_wall_ms() / 1000 - (int64_t)timegm(&utc);
	return age > 0 ? age : 0;
}

void sessions_put(struct printbuf *out, const char *prefix, const struct userid *id)
{
	resp_begin(out, 5);
	resp_text(out, "ZRANGE");
	resp_key(out, prefix, KEY_SESSIONS, id->text);
	resp_text(out, "0");
	resp_text(out, "-1");
	resp_text(out, "WITHSCORES");
	resp_begin(out, 1);
	resp_text(out, "TIME");
}

static bool read_session(const redisReply *member, const redisReply *score, int64_t now,
			 struct session *session)
{
	const char *colon;
	double deadline;

	if (member->type != REDIS_REPLY_STRING || score->type != REDIS_REPLY_STRING ||
	    member->len < 2 || member->str[1] != ':' || strchr("ts", member->str[0]) == NULL)
		return false;
	session->is_stream = member->str[0] == 's';
	session->tok = member->str + 2;
	colon = session->is_stream ? strrchr(session->tok, ':') : NULL;
	if (session->is_stream && colon == NULL)
		return false;
	session->random = colon != NULL ? colon + 1 : "";
	session->tok_len =
		(int)(colon != NULL ? (size_t)(colon - session->tok) : strlen(session->tok));
	deadline = strtod(score->str, NULL);
	session->left = (int64_t)deadline - now;
	session->is_closing = deadline - (double)(int64_t)deadline == 0.5; /* common.lua */
	return true;
}

bool sessions_read(redisReply *const replies[SESSIONS_COMMANDS], struct session_list *sessions,
		   int64_t *now)
{
	const redisReply *members = replies[0], *clock = replies[1];

	if (members->type != REDIS_REPLY_ARRAY || clock->type != REDIS_REPLY_ARRAY ||
	    clock->elements != 2)
		return false;
	*now = strtoll(clock->element[0]->str, NULL, 10) * 1000 +
	       strtoll(clock->element[1]->str, NULL, 10) / 1000;
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

void sessions_put_json(struct printbuf *out, const struct session_list *sessions)
{
	buf_puts(out, "[");
	for (size_t i = 0; i < sessions->count; i++) {
		buf_puts(out, i > 0 ? ",\n" : "");
		put_json(out, &sessions->list[i]);
	}
	buf_puts(out, "]");
}

void sessions_put_lines(struct printbuf *out, const struct session_list *sessions,
			const char *indent)
{
	static const char *const headers[] = {"KIND", "TOK", "STREAM", "LEFT", NULL};
	struct table *table = table_new(headers);

	for (size_t i = 0; i < sessions->count; i++) {
		const struct session *session = &sessions->list[i];
		char left[SPAN_SIZE] = "lapsed";

		if (session->left > 0)
			span_put(left, (session->left + 999) / 1000);
		table_add(table, session->is_stream ? "stream" : "token");
		table_addf(table, "%.*s", session->tok_len, session->tok);
		table_add(table, session->is_stream ? session->random : "-");
		table_addf(table, "%s%s", left, session->is_closing ? ", closing" : "");
	}
	table_put(table, out, indent);
	table_free(table);
}
