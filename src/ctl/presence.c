/* What Redis holds: who is online and why; kick and sweep. */
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ctl/sessions.h"
#include "store/keys.h"
#include "store/reply.h"
#include "store/resp.h"
#include "store/status.h"
#include "store/store.h"

#define MGET_KEYS_MAX 1000
#define SCAN_COUNT 1000

/* Runs one command; the caller frees the reply with reply_free(). NULL: it was said. */
static redisReply *run_one(struct ctl *ctl, struct printbuf *command)
{
	redisReply *reply = NULL;

	if (!ctl_run(ctl, command, 1, &reply))
		reply = NULL;
	printbuf_free(command);
	return reply;
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
	char age[SPAN_SIZE];

	buf_putf(out, "%-*s  %-7s  ", width, id->text, status->online ? "online" : "offline");
	if (status->seen[0] == '\0') {
		buf_puts(out, status->online ? "\n" : "never seen\n");
		return;
	}
	span_put(age, span_since(status->seen));
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

	status_put_mget(buf, ctl->config->redis.prefix, (unsigned)count);
	for (int i = 0; i < count; i++)
		status_put_keys(buf, ctl->config->redis.prefix, &ids[i]);
	reply = run_one(ctl, buf);
	if (reply == NULL)
		return false;
	buf = buf_new();
	for (int i = 0; ok && i < count; i++) {
		ok = status_read(reply, (size_t)i, LAST_SEEN_EXACT, &status);
		if (ok && ctl->json) {
			buf_puts(buf, is_first && i == 0 ? "[" : ",\n");
			status_put_json(buf, &ids[i], &status);
		} else if (ok) {
			put_status_line(buf, width, &ids[i], &status);
		}
	}
	ctl_print(buf);
	printbuf_free(buf);
	reply_free(reply);
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
		reply_free(reply);
		reply = NULL;
	}
	return reply;
}

/* What somebody else put into the Set and is not a user id is left out. */
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
		reply_free(reply);
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
	reply_free(reply);
	return CTL_DONE;
}

/* --- sessions --- */

/* Prints what sessions_put() asked for, and frees it. */
static enum ctl_exit print_sessions(const struct ctl *ctl, redisReply *replies[SESSIONS_COMMANDS])
{
	struct session_list sessions;
	struct printbuf *out;
	int64_t now;
	bool ok = sessions_read(replies, &sessions, &now);

	if (ok) {
		out = buf_new();
		if (ctl->json)
			sessions_put_json(out, &sessions);
		else
			sessions_put_lines(out, &sessions, "");
		buf_puts(out, ctl->json ? "\n" : "");
		ctl_print(out);
		printbuf_free(out);
		free(sessions.list);
	}
	blocking_free_replies(replies, SESSIONS_COMMANDS);
	return ok ? CTL_DONE : ctl_fail("Redis gives no answer to ZRANGE or TIME");
}

enum ctl_exit ctl_sessions(struct ctl *ctl, char **args, int count)
{
	redisReply *replies[SESSIONS_COMMANDS];
	struct printbuf *pipeline;
	struct userid id;
	bool ok;

	(void)count;
	if (!ctl_read_id(args[0], &id))
		return CTL_USAGE;
	pipeline = buf_new();
	sessions_put(pipeline, ctl->config->redis.prefix, &id);
	ok = ctl_run(ctl, pipeline, SESSIONS_COMMANDS, replies);
	printbuf_free(pipeline);
	return ok ? print_sessions(ctl, replies) : CTL_FAILED;
}

/* --- kick, sweep --- */

enum ctl_exit ctl_kick(struct ctl *ctl, char **args, int count)
{
	struct userid id;
	const struct store_end end = {.user = &id, .all = true, .reason = "kicked"};
	struct printbuf *command;
	redisReply *reply;
	bool ok;

	(void)count;
	if (!ctl_read_id(args[0], &id))
		return CTL_USAGE;
	command = buf_new();
	store_put_end(command, partitions_of(ctl->partitions, &id), &end);
	reply = run_one(ctl, command);
	if (reply == NULL)
		return CTL_FAILED;
	ok = store_read_end(reply) == STORE_DONE;
	reply_free(reply);
	return ok ? CTL_DONE : ctl_fail("Redis gives no answer to the kick");
}

enum ctl_exit ctl_sweep(struct ctl *ctl, char **args, int count)
{
	const struct store *store = partitions_at(ctl->partitions, 0);
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
		reply_free(reply);
	}
	return ok ? CTL_DONE : CTL_FAILED;
}
