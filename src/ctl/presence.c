/* What Redis holds: who is online and why; kick and sweep. */
#include "ctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/times.h"
#include "store/keys.h"
#include "store/resp.h"
#include "store/status.h"
#include "store/store.h"

#define MGET_KEYS_MAX 1000
#define SCAN_COUNT 1000
#define AGE_SIZE 32

/* Runs one command; the caller frees the reply with freeReplyObject(). NULL: it was said. */
static redisReply *run_one(struct ctl *ctl, struct printbuf *command)
{
	redisReply *reply = NULL;

	if (!ctl_run(ctl, command, 1, &reply))
		reply = NULL;
	printbuf_free(command);
	return reply;
}

/* --- ages and durations --- */

/* "5 minutes": whole units, the largest one that fits. */
static void put_span(char text[AGE_SIZE], int64_t seconds)
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
	snprintf(text, AGE_SIZE, "%" PRId64 " %s%s", number, units[unit].name,
		 number == 1 ? "" : "s");
}

/* How long ago an RFC 3339 time was, by this host's clock. */
static int64_t age_of(const char *time_text)
{
	struct tm utc = {0};
	int64_t age;

	strptime(time_text, "%Y-%m-%dT%H:%M:%SZ", &utc);
	age = times_wall_ms() / 1000 - (int64_t)timegm(&utc);
	return age > 0 ? age : 0;
}

/* --- status --- */

static int widest(const struct userid *ids, int count)
{
	size_t width = 0;

	for (int i = 0; i < count; i++) {
		if (strlen(ids[i].text) > width)
			width = strlen(ids[i].text);
	}
	return (int)width;
}

static void put_status_line(struct printbuf *out, int width, const struct userid *id,
			    const struct status *status)
{
	char age[AGE_SIZE];

	buf_putf(out, "%-*s  %-7s  ", width, id->text, status->online ? "online" : "offline");
	if (status->seen[0] == '\0') {
		buf_puts(out, status->online ? "\n" : "never seen\n");
		return;
	}
	put_span(age, age_of(status->seen));
	buf_putf(out, "%s %s ago (%s)\n", status->online ? "active" : "last seen", age,
		 status->seen);
}

/* Prints up to MGET_KEYS_MAX / STATUS_KEYS users. */
static bool print_statuses(struct ctl *ctl, const struct userid *ids, int count, int width,
			   bool is_first)
{
	struct printbuf *buf = buf_new();
	struct status status;
	redisReply *reply;
	bool ok = true;

	status_put_mget(buf, (unsigned)count);
	for (int i = 0; i < count; i++)
		status_put_keys(buf, ctl->config->redis.prefix, &ids[i]);
	reply = run_one(ctl, buf);
	if (reply == NULL)
		return false;
	buf = buf_new();
	for (int i = 0; ok && i < count; i++) {
		ok = status_read(reply, (size_t)i, &status);
		if (ok && ctl->json) {
			buf_puts(buf, is_first && i == 0 ? "[" : ",\n");
			status_put_json(buf, &ids[i], &status, NULL);
		} else if (ok) {
			put_status_line(buf, width, &ids[i], &status);
		}
	}
	ctl_print(buf);
	printbuf_free(buf);
	freeReplyObject(reply);
	if (!ok)
		ctl_fail("Redis gives no answer to MGET");
	return ok;
}

enum ctl_exit ctl_status(struct ctl *ctl, char **args, int count)
{
	const int batch = MGET_KEYS_MAX / STATUS_KEYS;
	struct userid *ids = ctl_read_ids(args, count);
	int width;
	bool ok = true;

	if (ids == NULL)
		return CTL_USAGE;
	width = widest(ids, count);
	for (int i = 0; ok && i < count; i += batch)
		ok = print_statuses(ctl, ids + i, count - i < batch ? count - i : batch, width,
				    i == 0);
	if (ok && ctl->json)
		fputs("]\n", stdout);
	free(ids);
	return ok ? CTL_DONE : CTL_FAILED;
}

/* --- online, count --- */

static redisReply *scan_online(struct ctl *ctl, const char *cursor)
{
	struct printbuf *command = buf_new();
	redisReply *reply;

	resp_begin(command, 5);
	resp_text(command, "SSCAN");
	resp_key(command, ctl->config->redis.prefix, KEY_ONLINE_USERS, "");
	resp_text(command, cursor);
	resp_text(command, "COUNT");
	resp_number(command, SCAN_COUNT);
	reply = run_one(ctl, command);
	if (reply != NULL && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
			      reply->element[0]->type != REDIS_REPLY_STRING ||
			      reply->element[1]->type != REDIS_REPLY_ARRAY)) {
		ctl_fail("Redis gives no answer to SSCAN");
		freeReplyObject(reply);
		reply = NULL;
	}
	return reply;
}

/* What somebody else put into the Set and is no user id is left out. */
static void put_members(struct printbuf *out, const redisReply *members, bool json, bool *is_first)
{
	for (size_t i = 0; i < members->elements; i++) {
		const redisReply *member = members->element[i];
		struct userid id;

		if (member->type != REDIS_REPLY_STRING ||
		    !userid_parse(member->str, member->len, &id))
			continue;
		if (json) {
			buf_puts(out, *is_first ? "" : ",");
			userid_put_json(out, &id);
		} else {
			buf_putf(out, "%s\n", id.text);
		}
		*is_first = false;
	}
}

enum ctl_exit ctl_online(struct ctl *ctl, char **args, int count)
{
	struct printbuf *out = buf_new();
	char cursor[24] = "0";
	bool is_first = true, ok = true;

	(void)args, (void)count;
	buf_puts(out, ctl->json ? "[" : "");
	do {
		redisReply *reply = scan_online(ctl, cursor);

		ok = reply != NULL;
		if (!ok)
			break;
		snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
		put_members(out, reply->element[1], ctl->json, &is_first);
		ctl_print(out);
		freeReplyObject(reply);
	} while (strcmp(cursor, "0") != 0);
	if (ok) {
		buf_puts(out, ctl->json ? "]\n" : "");
		ctl_print(out);
	}
	printbuf_free(out);
	return ok ? CTL_DONE : CTL_FAILED;
}

enum ctl_exit ctl_count(struct ctl *ctl, char **args, int count)
{
	struct printbuf *command = buf_new();
	redisReply *reply;

	(void)args, (void)count;
	resp_begin(command, 2);
	resp_text(command, "SCARD");
	resp_key(command, ctl->config->redis.prefix, KEY_ONLINE_USERS, "");
	reply = run_one(ctl, command);
	if (reply == NULL)
		return CTL_FAILED;
	printf(ctl->json ? "{\"count\":%lld}\n" : "%lld\n", reply->integer);
	freeReplyObject(reply);
	return CTL_DONE;
}

/* --- sessions --- */

/* A member of user:sessions:{id}: t:{tok} or s:{tok}:{random}, with its deadline in ms. */
struct session {
	bool is_stream, is_closing;
	const char *tok;
	int tok_len;
	const char *random; /* "" for a token's */
	int64_t left; /* ms; below 0: it has lapsed and waits for the sweeper */
};

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
	session->tok_len = (int)(colon != NULL ? (size_t)(colon - session->tok)
					       : strlen(session->tok));
	deadline = strtod(score->str, NULL);
	session->left = (int64_t)deadline - now;
	session->is_closing = deadline != (double)(int64_t)deadline; /* ends in .5: common.lua */
	return true;
}

static void put_session_json(struct printbuf *out, const struct session *session)
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

static void put_session_line(struct printbuf *out, int width, const struct session *session)
{
	char left[AGE_SIZE] = "lapsed";

	if (session->left > 0)
		put_span(left, (session->left + 999) / 1000);
	buf_putf(out, "%-6s  %-*.*s  %-22s  %-10s  %s\n", session->is_stream ? "stream" : "token",
		 width, session->tok_len, session->tok,
		 session->is_stream ? session->random : "-", left,
		 session->is_closing ? "closing" : "");
}

/* ZRANGE with scores, and Redis' clock in ms. */
static bool fetch_sessions(struct ctl *ctl, const struct userid *id, redisReply *replies[2],
			   int64_t *now)
{
	struct printbuf *pipeline = buf_new();
	bool ok;

	resp_begin(pipeline, 5);
	resp_text(pipeline, "ZRANGE");
	resp_key(pipeline, ctl->config->redis.prefix, KEY_SESSIONS, id->text);
	resp_text(pipeline, "0");
	resp_text(pipeline, "-1");
	resp_text(pipeline, "WITHSCORES");
	resp_begin(pipeline, 1);
	resp_text(pipeline, "TIME");
	ok = ctl_run(ctl, pipeline, 2, replies);
	printbuf_free(pipeline);
	if (!ok)
		return false;
	if (replies[0]->type == REDIS_REPLY_ARRAY && replies[1]->type == REDIS_REPLY_ARRAY &&
	    replies[1]->elements == 2) {
		*now = strtoll(replies[1]->element[0]->str, NULL, 10) * 1000 +
		       strtoll(replies[1]->element[1]->str, NULL, 10) / 1000;
		return true;
	}
	ctl_fail("Redis gives no answer to ZRANGE or TIME");
	blocking_free_replies(replies, 2);
	return false;
}

static void put_sessions(struct printbuf *out, const struct session *sessions, size_t count,
			 bool json)
{
	int width = (int)strlen("TOK");

	for (size_t i = 0; i < count; i++) {
		if (sessions[i].tok_len > width)
			width = sessions[i].tok_len;
	}
	if (json)
		buf_puts(out, "[");
	else if (count > 0)
		buf_putf(out, "%-6s  %-*s  %-22s  %s\n", "KIND", width, "TOK", "STREAM", "LEFT");
	for (size_t i = 0; i < count; i++) {
		buf_puts(out, json && i > 0 ? ",\n" : "");
		if (json)
			put_session_json(out, &sessions[i]);
		else
			put_session_line(out, width, &sessions[i]);
	}
	buf_puts(out, json ? "]\n" : "");
}

enum ctl_exit ctl_sessions(struct ctl *ctl, char **args, int count)
{
	redisReply *replies[2];
	struct printbuf *out;
	struct session *sessions;
	struct userid id;
	size_t found = 0;
	int64_t now;

	(void)count;
	if (!ctl_read_id(args[0], &id))
		return CTL_USAGE;
	if (!fetch_sessions(ctl, &id, replies, &now))
		return CTL_FAILED;
	sessions = xcalloc(replies[0]->elements / 2, sizeof *sessions);
	for (size_t i = 0; i + 1 < replies[0]->elements; i += 2)
		found += read_session(replies[0]->element[i], replies[0]->element[i + 1], now,
				      &sessions[found]);
	out = buf_new();
	put_sessions(out, sessions, found, ctl->json);
	ctl_print(out);
	printbuf_free(out);
	free(sessions);
	blocking_free_replies(replies, 2);
	return CTL_DONE;
}

/* --- kick, sweep --- */

enum ctl_exit ctl_kick(struct ctl *ctl, char **args, int count)
{
	struct userid id;
	const struct store_end end = {.user = &id, .all = true, .reason = "kicked"};
	struct printbuf *command;
	struct store *store;
	redisReply *reply;
	bool ok;

	(void)count;
	if (!ctl_read_id(args[0], &id))
		return CTL_USAGE;
	store = store_new(ctl->config);
	command = buf_new();
	store_put_end(command, store, &end);
	reply = run_one(ctl, command);
	store_free(store);
	if (reply == NULL)
		return CTL_FAILED;
	ok = store_read_end(reply) == STORE_DONE;
	freeReplyObject(reply);
	return ok ? CTL_DONE : ctl_fail("Redis gives no answer to the kick");
}

enum ctl_exit ctl_sweep(struct ctl *ctl, char **args, int count)
{
	struct store *store = store_new(ctl->config);
	bool more = true, ok = true;
	const char *epoch;

	(void)args, (void)count;
	while (ok && more) {
		struct printbuf *command = buf_new();
		redisReply *reply;

		store_put_sweep(command, store, false, "");
		reply = run_one(ctl, command);
		ok = reply != NULL;
		if (!ok)
			break;
		if (!store_read_sweep(reply, &more, &epoch)) {
			ctl_fail("Redis gives no answer to the sweep");
			ok = false;
		}
		freeReplyObject(reply);
	}
	store_free(store);
	return ok ? CTL_DONE : CTL_FAILED;
}
