#include "ctl/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ctl/places.h"
#include "store/layout.h"
#include "store/reply.h"
#include "store/resp.h"

redisReply *scan_run(struct ctl *ctl, char cursor[SCAN_CURSOR_SIZE])
{
	redisReply *reply = ctl_run_one(ctl);

	if (reply == NULL)
		return NULL;
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
	    reply->element[0]->type == REDIS_REPLY_STRING &&
	    reply->element[1]->type == REDIS_REPLY_ARRAY) {
		snprintf(cursor, SCAN_CURSOR_SIZE, "%s", reply->element[0]->str);
		return reply;
	}
	reply_free(reply);
	ctl_fail("Redis gives no answer to SCAN");
	return NULL;
}

struct pass {
	struct ctl *ctl;
	unsigned piece;
	char *pattern;
	struct progress *progress;
	scan_visit *visit;
	void *arg;
};

static void put_scan(struct printbuf *out, const struct pass *pass, const char *cursor)
{
	resp_begin(out, 6);
	resp_text(out, "SCAN");
	resp_text(out, cursor);
	resp_text(out, "MATCH");
	resp_key(out, pass->pattern, "*", "");
	resp_text(out, "COUNT");
	resp_number(out, pass->piece);
}

/* False: it is no key of ours. */
static bool read_key(const struct ctl *ctl, const redisReply *name, struct scan_key *key)
{
	unsigned count = partitions_count(ctl->partitions);
	const char *prefix;

	if (name->type != REDIS_REPLY_STRING)
		return false;
	key->store = partitions_at(ctl->partitions,
				   count > 1 ? layout_partition_of_name(count, name->str) : 0);
	prefix = store_prefix(key->store);
	if (strncmp(name->str, prefix, strlen(prefix)) != 0)
		return false;
	key->name = name->str;
	key->len = name->len;
	key->own = name->str + strlen(prefix);
	key->own_len = name->len - strlen(prefix);
	return true;
}

static bool visit_piece(const struct pass *pass, const redisReply *names)
{
	struct scan_key *keys = xcalloc(names->elements + 1, sizeof *keys);
	size_t count = 0;
	bool ok;

	for (size_t i = 0; i < names->elements; i++)
		count += read_key(pass->ctl, names->element[i], &keys[count]);
	ok = pass->visit(pass->ctl, pass->arg, keys, count);
	free(keys);
	progress_add(pass->progress, names->elements);
	return ok;
}

/* All keys of the server that has that partition. */
static bool scan_server(const struct pass *pass, const struct store *store)
{
	char cursor[SCAN_CURSOR_SIZE] = "0";
	bool ok;

	do {
		redisReply *reply;

		put_scan(ctl_begin(pass->ctl, store), pass, cursor);
		reply = scan_run(pass->ctl, cursor);
		if (reply == NULL)
			return false;
		ok = visit_piece(pass, reply->element[1]);
		reply_free(reply);
	} while (ok && strcmp(cursor, "0") != 0);
	return ok;
}

/* Whether one of the partitions before it is at the same server. */
static bool is_seen(const unsigned *places, unsigned partition)
{
	for (unsigned i = 0; i < partition; i++) {
		if (places[i] == places[partition])
			return true;
	}
	return false;
}

static bool scan_servers(const struct pass *pass, const unsigned *places)
{
	struct ctl *ctl = pass->ctl;
	bool ok = true;

	for (unsigned i = 0; ok && i < partitions_count(ctl->partitions); i++)
		ok = is_seen(places, i) || scan_server(pass, partitions_at(ctl->partitions, i));
	return ok;
}

bool scan_keys(struct ctl *ctl, unsigned piece, struct progress *progress, scan_visit *visit,
	       void *arg)
{
	struct pass pass = {ctl, piece, NULL, progress, visit, arg};
	unsigned *places;
	bool ok;

	nodes_begin(ctl->nodes); /* of a cluster, to learn who has what */
	places = places_note(ctl);
	if (places == NULL)
		return false;
	pass.pattern = layout_pattern(partitions_count(ctl->partitions), ctl->config->redis.prefix);
	ok = scan_servers(&pass, places) && places_check(ctl, places);
	free(pass.pattern);
	free(places);
	return ok;
}
