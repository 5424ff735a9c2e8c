#include "ctl/copies.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ctl/values.h"
#include "store/reply.h"
#include "store/resp.h"
#include "store/traces.h"

#define TTL_TOLERANCE 10000 /* ms between two answers, or two clocks */
#define NO_TTL (-1)
#define QUESTIONS 2 /* DUMP, PTTL */

/* A key and the same one in the other layout. */
struct pair {
	const struct scan_key *key;
	const struct store *store; /* the partition of the other one */
	redisReply *dump, *copy; /* of either; nil: it is not there */
	long long ttl, copy_ttl; /* ms, or NO_TTL */
};

/* The same name in a partition of the other layout. */
static void put_name(struct printbuf *out, const struct pair *pair)
{
	struct printbuf *name = buf_new();

	buf_puts(name, store_prefix(pair->store));
	buf_put(name, pair->key->own, pair->key->own_len);
	resp_arg(out, name->buf, buf_len(name));
	printbuf_free(name);
}

static void put_own_name(struct printbuf *out, const struct pair *pair)
{
	resp_arg(out, pair->key->name, pair->key->len);
}

/* Where the key belongs in a layout; "" is nobody, of the first partition. */
static const struct store *store_of(const struct ctl *ctl, const struct userid *user)
{
	return user->text[0] != '\0' ? partitions_of(ctl->partitions, user)
				     : partitions_at(ctl->partitions, 0);
}

/* The keys that are to be in both layouts, of those that `at` has; how many. */
static size_t find_pairs(const struct ctl *at, const struct ctl *other, const struct scan_key *keys,
			 size_t count, struct pair *pairs)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		struct userid user;

		/* Where it does not belong nobody reads it. */
		if (trace_is_lasting(keys[i].own, keys[i].own_len, &user) &&
		    store_of(at, &user) == keys[i].store)
			pairs[found++] =
				(struct pair){.key = &keys[i], .store = store_of(other, &user)};
	}
	return found;
}

/* --- asking both ----------------------------------------------------------------------------- */

static void put_question(struct printbuf *out, const struct pair *pair,
			 void (*put)(struct printbuf *out, const struct pair *pair))
{
	resp_begin(out, 2);
	resp_text(out, "DUMP");
	put(out, pair);
	resp_begin(out, 2);
	resp_text(out, "PTTL");
	put(out, pair);
}

/* Takes the dump out of the replies, and the time. */
static redisReply *take_answer(redisReply **replies, long long *ttl)
{
	redisReply *dump = replies[0];

	*ttl = replies[1]->type == REDIS_REPLY_INTEGER && replies[1]->integer > 0
		       ? replies[1]->integer
		       : NO_TTL;
	reply_free(replies[1]);
	return dump;
}

static void free_pairs(struct pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		reply_free(pairs[i].dump);
		reply_free(pairs[i].copy);
	}
}

static bool ask(struct layouts *layouts, struct pair *pairs, size_t count)
{
	redisReply **replies = xcalloc(count * QUESTIONS + 1, sizeof *replies);
	struct ctl *from = layouts->from, *to = &layouts->to;
	bool ok;

	nodes_begin(from->nodes);
	for (size_t i = 0; i < count; i++)
		put_question(nodes_to(from->nodes, pairs[i].key->store), &pairs[i], put_own_name);
	ok = ctl_run(from, count * QUESTIONS, replies);
	for (size_t i = 0; ok && i < count; i++)
		pairs[i].dump = take_answer(replies + i * QUESTIONS, &pairs[i].ttl);
	nodes_begin(to->nodes);
	for (size_t i = 0; i < count; i++)
		put_question(nodes_to(to->nodes, pairs[i].store), &pairs[i], put_name);
	ok = ok && ctl_run(to, count * QUESTIONS, replies);
	for (size_t i = 0; ok && i < count; i++)
		pairs[i].copy = take_answer(replies + i * QUESTIONS, &pairs[i].copy_ttl);
	free(replies);
	return ok;
}

/* --- comparing ------------------------------------------------------------------------------- */

static bool has_value(const redisReply *dump)
{
	return dump->type == REDIS_REPLY_STRING;
}

static bool has_equal_dump(const struct pair *pair)
{
	return has_value(pair->copy) && pair->dump->len == pair->copy->len &&
	       memcmp(pair->dump->str, pair->copy->str, pair->dump->len) == 0;
}

static bool has_equal_ttl(const struct pair *pair)
{
	long long difference = pair->ttl - pair->copy_ttl;

	if (pair->ttl == NO_TTL || pair->copy_ttl == NO_TTL)
		return pair->ttl == pair->copy_ttl;
	return difference <= TTL_TOLERANCE && difference >= -TTL_TOLERANCE;
}

static redisReply *read_value(struct ctl *ctl, const struct store *store, const struct pair *pair,
			      const struct values_reader *reader, const char *prefix)
{
	struct printbuf *name = buf_new();
	redisReply *reply;

	buf_puts(name, prefix);
	buf_put(name, pair->key->own, pair->key->own_len);
	if (reader != NULL) {
		values_put(ctl_begin(ctl, store), reader, name->buf, buf_len(name));
	} else {
		struct printbuf *out = ctl_begin(ctl, store);

		resp_begin(out, 2);
		resp_text(out, "TYPE");
		resp_arg(out, name->buf, buf_len(name));
	}
	reply = ctl_run_one(ctl);
	printbuf_free(name);
	return reply;
}

/*
 * Dumps of one value may differ: a Set has its members in another order at each
 * server, and another version of Redis writes another dump.
 */
static bool ask_whether_equal(struct layouts *layouts, const struct pair *pair, bool *is_equal)
{
	struct ctl *from = layouts->from, *to = &layouts->to;
	const struct store *own = pair->key->store, *others = pair->store;
	redisReply *type = read_value(from, own, pair, NULL, store_prefix(own)), *one, *other;
	const struct values_reader *reader;
	bool ok = type != NULL;

	*is_equal = false;
	reader = ok ? values_find_reader(type->str) : NULL;
	reply_free(type);
	if (reader == NULL)
		return ok;
	type = read_value(to, others, pair, NULL, store_prefix(others));
	ok = type != NULL;
	if (!ok || strcmp(type->str, reader->type) != 0) {
		reply_free(type);
		return ok;
	}
	reply_free(type);
	one = read_value(from, own, pair, reader, store_prefix(own));
	other = one != NULL ? read_value(to, others, pair, reader, store_prefix(others)) : NULL;
	ok = other != NULL;
	*is_equal = ok && values_are_equal(reader, one, other);
	reply_free(one);
	reply_free(other);
	return ok;
}

static void tell(struct copies *copies, const struct pair *pair, const char *why)
{
	char *name = xstrndup(pair->key->own, pair->key->own_len);

	copies->differing++;
	copies->differs(copies->arg, name, why);
	free(name);
}

/* False: it could not be asked for, which was said. */
static bool compare(struct copies *copies, const struct pair *pair)
{
	bool is_equal = has_equal_dump(pair);

	if (!has_value(pair->dump))
		return true; /* it has ended since it was found */
	if (!has_value(pair->copy)) {
		if (pair->ttl == NO_TTL || pair->ttl > TTL_TOLERANCE)
			tell(copies, pair, "is missing");
		return true;
	}
	if (!is_equal && !ask_whether_equal(copies->layouts, pair, &is_equal))
		return false;
	if (!is_equal)
		tell(copies, pair, "has another value");
	else if (!has_equal_ttl(pair))
		tell(copies, pair, "lives for another time");
	else
		copies->equal++;
	return true;
}

/* --- copying --------------------------------------------------------------------------------- */

static void put_copy(struct printbuf *out, const struct pair *pair)
{
	resp_begin(out, 5);
	resp_text(out, "RESTORE");
	put_name(out, pair);
	resp_number(out, pair->ttl == NO_TTL ? 0 : pair->ttl);
	resp_arg(out, pair->dump->str, pair->dump->len);
	resp_text(out, "REPLACE");
}

static bool copy(struct copies *copies, const struct pair *pairs, size_t count)
{
	struct ctl *to = &copies->layouts->to;
	size_t commands = 0;

	nodes_begin(to->nodes);
	for (size_t i = 0; i < count; i++) {
		const struct pair *pair = &pairs[i];

		if (!has_value(pair->dump))
			continue;
		if (has_equal_dump(pair) && has_equal_ttl(pair)) {
			copies->equal++;
			continue;
		}
		put_copy(nodes_to(to->nodes, pair->store), pair);
		commands++;
	}
	copies->written += commands;
	return ctl_do(to, commands);
}

bool copies_visit_keys(struct ctl *ctl, void *arg, const struct scan_key *keys, size_t count)
{
	struct copies *copies = arg;
	struct pair *pairs = xcalloc(count + 1, sizeof *pairs);
	size_t found = find_pairs(ctl, &copies->layouts->to, keys, count, pairs);
	bool ok = ask(copies->layouts, pairs, found);

	if (ok && copies->writes)
		ok = copy(copies, pairs, found);
	for (size_t i = 0; ok && !copies->writes && i < found; i++)
		ok = compare(copies, &pairs[i]);
	free_pairs(pairs, found);
	free(pairs);
	return ok;
}

/* --- copies of what is gone ------------------------------------------------------------------ */

/* `pairs` are of the other layout, and their stores of the one that is copied. */
static bool remove_gone(struct copies *copies, const struct pair *pairs, size_t count,
			redisReply *const *exist)
{
	struct ctl *to = &copies->layouts->to;
	size_t commands = 0;

	nodes_begin(to->nodes);
	for (size_t i = 0; i < count; i++) {
		struct printbuf *out;

		if (exist[i]->integer != 0)
			continue;
		if (!copies->writes) {
			tell(copies, &pairs[i], "is there alone");
			continue;
		}
		out = nodes_to(to->nodes, pairs[i].key->store);
		resp_begin(out, 2);
		resp_text(out, "DEL");
		put_own_name(out, &pairs[i]);
		commands++;
	}
	copies->removed += commands;
	return ctl_do(to, commands);
}

bool copies_visit_copies(struct ctl *ctl, void *arg, const struct scan_key *keys, size_t count)
{
	struct copies *copies = arg;
	struct ctl *from = copies->layouts->from;
	struct pair *pairs = xcalloc(count + 1, sizeof *pairs);
	size_t found = find_pairs(ctl, from, keys, count, pairs);
	redisReply **exist = xcalloc(found + 1, sizeof *exist);
	bool ok;

	nodes_begin(from->nodes);
	for (size_t i = 0; i < found; i++) {
		struct printbuf *out = nodes_to(from->nodes, pairs[i].store);

		resp_begin(out, 2);
		resp_text(out, "EXISTS");
		put_name(out, &pairs[i]);
	}
	ok = ctl_run(from, found, exist);
	if (ok && found > 0) {
		ok = remove_gone(copies, pairs, found, exist);
		blocking_free_replies(exist, found);
	}
	free(exist);
	free(pairs);
	return ok;
}
