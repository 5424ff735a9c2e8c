/* What Redis holds: who is online and why; kick and sweep. */
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/span.h"
#include "ctl/account.h"
#include "ctl/sessions.h"
#include "ctl/table.h"
#include "store/keys.h"
#include "store/reply.h"
#include "store/resp.h"
#include "store/status.h"
#include "store/store.h"

#define BATCH 300 /* users asked about at a time */
#define SCAN_COUNT 1000

/* --- status --- */

static void add_status(struct table *table, const struct userid *id, const struct status *status)
{
	const char *word = status->online ? "online" : "offline";
	char age[SPAN_SIZE];

	table_add(table, id->text);
	table_add_coloured(table, word, table_status_colour(word));
	if (status->seen[0] == '\0') {
		table_add(table, status->online ? "" : "never seen");
		return;
	}
	span_put(age, span_since(status->seen));
	table_addf(table, "%s %s ago (%s)", status->online ? "active" : "last seen", age,
		   status->seen);
}

/* One MGET for each user, to the partition that it is in. */
static bool ask_statuses(struct ctl *ctl, const struct userid *ids, int count,
			 redisReply *replies[BATCH])
{
	nodes_begin(ctl->nodes);
	for (int i = 0; i < count; i++) {
		const struct store *store = partitions_of(ctl->partitions, &ids[i]);
		struct printbuf *out = nodes_to(ctl->nodes, store);

		status_put_mget(out, store_prefix(store), 1);
		status_put_keys(out, store_prefix(store), &ids[i]);
	}
	return ctl_run(ctl, (size_t)count, replies);
}

/* Up to BATCH users: JSON is printed, others become rows of the table. */
static bool tell_statuses(struct ctl *ctl, const struct userid *ids, int count, struct table *table,
			  bool is_first)
{
	redisReply *replies[BATCH];
	struct printbuf *out;
	struct status status;
	bool ok = true;

	if (!ask_statuses(ctl, ids, count, replies))
		return false;
	out = buf_new();
	for (int i = 0; ok && i < count; i++) {
		ok = status_read(replies[i], 0, LAST_SEEN_EXACT, &status);
		if (ok && ctl->json) {
			buf_puts(out, is_first && i == 0 ? "[" : ",\n");
			status_put_json(out, &ids[i], &status);
		} else if (ok) {
			add_status(table, &ids[i], &status);
		}
	}
	ctl_print(out);
	printbuf_free(out);
	blocking_free_replies(replies, (size_t)count);
	if (!ok)
		ctl_fail("Redis gives no answer to MGET");
	return ok;
}

enum ctl_exit ctl_status(struct ctl *ctl, char **args, int count)
{
	static const char *const headers[] = {"USER", "STATUS", "LAST ACTIVE", NULL};
	struct userid *ids = ctl_read_ids(args, count);
	struct table *table;
	bool ok = true;

	if (ids == NULL)
		return CTL_USAGE;
	table = table_new(headers);
	for (int i = 0; ok && i < count; i += BATCH)
		ok = tell_statuses(ctl, ids + i, count - i < BATCH ? count - i : BATCH, table,
				   i == 0);
	table_print(table);
	if (ok && ctl->json)
		fputs("]\n", stdout);
	free(ids);
	return ok ? CTL_DONE : CTL_FAILED;
}

/* --- online, count --- */

static redisReply *scan_online(struct ctl *ctl, const struct store *store, const char *cursor)
{
	struct printbuf *command = ctl_begin(ctl, store);
	redisReply *reply;

	resp_begin(command, 5);
	resp_text(command, "SSCAN");
	resp_key(command, store_prefix(store), KEY_ONLINE_USERS, "");
	resp_text(command, cursor);
	resp_text(command, "COUNT");
	resp_number(command, SCAN_COUNT);
	reply = ctl_run_one(ctl);
	if (reply != NULL && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
			      reply->element[0]->type != REDIS_REPLY_STRING ||
			      reply->element[1]->type != REDIS_REPLY_ARRAY)) {
		ctl_fail("Redis gives no answer to SSCAN");
		reply_free(reply);
		reply = NULL;
	}
	return reply;
}

/* What is written, and whether something was before. */
struct online {
	struct printbuf *out;
	bool json, is_first;
};

/* What somebody else put into the Set and is not a user id is left out. */
static void put_members(struct online *online, const redisReply *members)
{
	for (size_t i = 0; i < members->elements; i++) {
		const redisReply *member = members->element[i];
		struct userid id;

		if (member->type != REDIS_REPLY_STRING ||
		    !userid_parse(member->str, member->len, &id))
			continue;
		if (online->json) {
			buf_puts(online->out, online->is_first ? "" : ",");
			userid_put_json(online->out, &id);
		} else {
			buf_putf(online->out, "%s\n", id.text);
		}
		online->is_first = false;
	}
}

static bool print_online(struct ctl *ctl, struct online *online, const struct store *store)
{
	char cursor[24] = "0";

	do {
		redisReply *reply = scan_online(ctl, store, cursor);

		if (reply == NULL)
			return false;
		snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
		put_members(online, reply->element[1]);
		ctl_print(online->out);
		reply_free(reply);
	} while (strcmp(cursor, "0") != 0);
	return true;
}

enum ctl_exit ctl_online(struct ctl *ctl, char **args, int count)
{
	struct online online = {.out = buf_new(), .json = ctl->json, .is_first = true};
	bool ok = true;

	(void)args, (void)count;
	buf_puts(online.out, ctl->json ? "[" : "");
	for (unsigned i = 0; ok && i < partitions_count(ctl->partitions); i++)
		ok = print_online(ctl, &online, partitions_at(ctl->partitions, i));
	if (ok) {
		buf_puts(online.out, ctl->json ? "]\n" : "");
		ctl_print(online.out);
	}
	printbuf_free(online.out);
	return ok ? CTL_DONE : CTL_FAILED;
}

enum ctl_exit ctl_count(struct ctl *ctl, char **args, int count)
{
	unsigned partitions = partitions_count(ctl->partitions);
	redisReply **replies = xcalloc(partitions, sizeof *replies);
	long long sum = 0;
	bool ok;

	(void)args, (void)count;
	nodes_begin(ctl->nodes);
	for (unsigned i = 0; i < partitions; i++) {
		const struct store *store = partitions_at(ctl->partitions, i);
		struct printbuf *out = nodes_to(ctl->nodes, store);

		resp_begin(out, 2);
		resp_text(out, "SCARD");
		resp_key(out, store_prefix(store), KEY_ONLINE_USERS, "");
	}
	ok = ctl_run(ctl, partitions, replies);
	for (unsigned i = 0; ok && i < partitions; i++)
		sum += replies[i]->integer;
	if (ok) {
		printf(ctl->json ? "{\"count\":%lld}\n" : "%lld\n", sum);
		blocking_free_replies(replies, partitions);
	}
	free(replies);
	return ok ? CTL_DONE : CTL_FAILED;
}

/* --- sessions --- */

/* Prints what session_list_put() asked for, and frees it. */
static enum ctl_exit print_sessions(const struct ctl *ctl,
				    redisReply *replies[SESSION_LIST_COMMANDS])
{
	struct session_list sessions;
	struct printbuf *out;
	int64_t now;
	bool ok = session_list_read(replies, &sessions, &now);

	if (ok) {
		out = buf_new();
		if (ctl->json)
			session_list_put_json(out, &sessions);
		else
			sessions_put_lines(out, &sessions, "");
		buf_puts(out, ctl->json ? "\n" : "");
		ctl_print(out);
		printbuf_free(out);
		free(sessions.list);
	}
	blocking_free_replies(replies, SESSION_LIST_COMMANDS);
	return ok ? CTL_DONE : ctl_fail("Redis gives no answer to ZRANGE or TIME");
}

enum ctl_exit ctl_sessions(struct ctl *ctl, char **args, int count)
{
	redisReply *replies[SESSION_LIST_COMMANDS];
	const struct store *store;
	struct userid id;

	(void)count;
	if (!ctl_read_id(args[0], &id))
		return CTL_USAGE;
	store = partitions_of(ctl->partitions, &id);
	session_list_put(ctl_begin(ctl, store), store_prefix(store), &id);
	return ctl_run(ctl, SESSION_LIST_COMMANDS, replies) ? print_sessions(ctl, replies)
							    : CTL_FAILED;
}

/* --- kick, sweep --- */

enum ctl_exit ctl_kick(struct ctl *ctl, char **args, int count)
{
	struct userid id;
	const struct store_end end = {.user = &id, .all = true, .reason = "kicked"};
	const struct store *store;
	redisReply *reply;
	bool ok;

	(void)count;
	if (!ctl_read_id(args[0], &id))
		return CTL_USAGE;
	store = partitions_of(ctl->partitions, &id);
	store_put_end(ctl_begin(ctl, store), store, &end);
	reply = ctl_run_one(ctl);
	if (reply == NULL)
		return CTL_FAILED;
	ok = store_read_end(reply) == STORE_DONE;
	reply_free(reply);
	if (!ok)
		return ctl_fail("Redis gives no answer to the kick");
	account_warn_unknown(ctl, &id);
	return CTL_DONE;
}

static bool sweep(struct ctl *ctl, const struct store *store)
{
	struct store_sweep swept = {.more = true};
	bool ok = true;

	while (ok && swept.more) {
		redisReply *reply;

		store_put_sweep(ctl_begin(ctl, store), store, false, "");
		reply = ctl_run_one(ctl);
		if (reply == NULL)
			return false;
		ok = store_read_sweep(reply, &swept);
		if (!ok)
			ctl_fail("Redis gives no answer to the sweep");
		reply_free(reply);
	}
	return ok;
}

enum ctl_exit ctl_sweep(struct ctl *ctl, char **args, int count)
{
	bool ok = true;

	(void)args, (void)count;
	for (unsigned i = 0; ok && i < partitions_count(ctl->partitions); i++)
		ok = sweep(ctl, partitions_at(ctl->partitions, i));
	return ok ? CTL_DONE : CTL_FAILED;
}
