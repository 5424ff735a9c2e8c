#include "ctl/layouts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/config_options.h"
#include "base/random.h"
#include "base/redis_url.h"
#include "store/keys.h"
#include "store/layout_key.h"
#include "store/reply.h"
#include "store/resp.h"

#define MARK_TTL 60 /* seconds, should this process end before it takes it away */
#define MARK_SIZE (RANDOM_ID_LEN + 16)

/* --- opening --------------------------------------------------------------------------------- */

static enum ctl_exit check_config(const struct config *config)
{
	struct redis_url url;
	const char *why = redis_url_parse(config->redis.url, &url);

	if (why != NULL)
		return ctl_refuse("--to: %s", why);
	redis_url_free(&url);
	why = config_options_conflict(config);
	if (why != NULL)
		return ctl_refuse("with --to as redis.url and redis.partitions = %d: %s",
				  config->redis.partitions, why);
	return CTL_DONE;
}

enum ctl_exit layouts_open(struct layouts *layouts, struct ctl *ctl, const char *url,
			   int partitions)
{
	enum ctl_exit status;

	memset(layouts, 0, sizeof *layouts);
	layouts->from = ctl;
	layouts->to = *ctl;
	layouts->config = *ctl->config;
	layouts->config.redis.url = xstrdup(url);
	if (partitions != 0)
		layouts->config.redis.partitions = partitions;
	layouts->to.config = &layouts->config;
	layouts->to.nodes = NULL;
	layouts->to.partitions = NULL;
	status = check_config(&layouts->config);
	if (status != CTL_DONE)
		return status;
	layouts->to.nodes = nodes_new(&layouts->config);
	layouts->to.partitions = partitions_new(&layouts->config);
	/* What they hold is compared here, with more to be allowed than to a process that serves. */
	nodes_ignore_layout(layouts->to.nodes);
	layouts->from_servers = nodes_count_servers(ctl->config);
	layouts->to_servers = nodes_count_servers(&layouts->config);
	return CTL_DONE;
}

void layouts_close(struct layouts *layouts)
{
	partitions_free(layouts->to.partitions);
	nodes_free(layouts->to.nodes);
	free(layouts->config.redis.url);
	free(layouts->twins);
}

/* --- which servers are the same -------------------------------------------------------------- */

/* A partition that the server has, to address it. */
static const struct store *store_at(const struct ctl *ctl, unsigned server)
{
	return partitions_at(ctl->partitions, server);
}

/* The name under which each server of the other layout gets its mark. */
static void put_mark(struct printbuf *out, const struct layouts *layouts)
{
	resp_key(out, store_prefix(partitions_at(layouts->to.partitions, 0)), KEY_MOVING, "");
}

/* Each gets its number after a word that nobody else has. */
static bool set_marks(struct layouts *layouts, const char *word)
{
	nodes_begin(layouts->to.nodes);
	for (unsigned i = 0; i < layouts->to_servers; i++) {
		struct printbuf *out = nodes_to(layouts->to.nodes, store_at(&layouts->to, i));
		char mark[MARK_SIZE];

		snprintf(mark, sizeof mark, "%s%u", word, i);
		resp_begin(out, 5);
		resp_text(out, "SET");
		put_mark(out, layouts);
		resp_text(out, mark);
		resp_text(out, "EX");
		resp_number(out, MARK_TTL);
	}
	return ctl_do(&layouts->to, layouts->to_servers);
}

static bool remove_marks(struct layouts *layouts)
{
	nodes_begin(layouts->to.nodes);
	for (unsigned i = 0; i < layouts->to_servers; i++) {
		struct printbuf *out = nodes_to(layouts->to.nodes, store_at(&layouts->to, i));

		resp_begin(out, 2);
		resp_text(out, "DEL");
		put_mark(out, layouts);
	}
	return ctl_do(&layouts->to, layouts->to_servers);
}

/* Which mark each of the servers has: the number in it, or -1. */
static bool read_marks(struct layouts *layouts, struct ctl *ctl, unsigned count, const char *word,
		       redisReply **replies, int *found)
{
	size_t len = strlen(word);

	nodes_begin(ctl->nodes);
	for (unsigned i = 0; i < count; i++) {
		struct printbuf *out = nodes_to(ctl->nodes, store_at(ctl, i));

		resp_begin(out, 2);
		resp_text(out, "GET");
		put_mark(out, layouts);
	}
	if (!ctl_run(ctl, count, replies))
		return false;
	for (unsigned i = 0; i < count; i++) {
		const redisReply *mark = replies[i];

		found[i] = mark->type == REDIS_REPLY_STRING && strncmp(mark->str, word, len) == 0
				   ? (int)strtol(mark->str + len, NULL, 10)
				   : -1;
	}
	blocking_free_replies(replies, count);
	return true;
}

static bool check_names(const struct layouts *layouts, const int *own)
{
	for (unsigned i = 0; i < layouts->to_servers; i++) {
		if (own[i] == (int)i)
			continue;
		ctl_fail("--to: servers %u and %d of those it names are the same one", i + 1,
			 own[i] + 1);
		return false;
	}
	return true;
}

/* Finds the twins; by what is written to one and read from the other, since names tell little. */
static bool find_twins(struct layouts *layouts)
{
	unsigned most = layouts->to_servers > layouts->from_servers ? layouts->to_servers
								    : layouts->from_servers;
	redisReply **replies = xcalloc(most, sizeof *replies);
	int *own = xcalloc(layouts->to_servers, sizeof *own);
	char word[RANDOM_ID_LEN + 2];
	bool ok;

	random_id(word);
	strcat(word, " ");
	layouts->twins = xcalloc(layouts->from_servers, sizeof *layouts->twins);
	ok = set_marks(layouts, word) &&
	     read_marks(layouts, &layouts->to, layouts->to_servers, word, replies, own) &&
	     read_marks(layouts, layouts->from, layouts->from_servers, word, replies,
			layouts->twins) &&
	     remove_marks(layouts) && check_names(layouts, own);
	free(own);
	free(replies);
	return ok;
}

bool layouts_are_one(const struct layouts *layouts, const struct store *from,
		     const struct store *to)
{
	unsigned server = store_partition(from) % layouts->from_servers;

	return layouts->twins[server] == (int)(store_partition(to) % layouts->to_servers) &&
	       strcmp(store_prefix(from), store_prefix(to)) == 0;
}

bool layouts_share(const struct layouts *layouts)
{
	for (unsigned i = 0; i < layouts->from_servers; i++) {
		if (layouts->twins[i] >= 0)
			return true;
	}
	return false;
}

static bool are_the_same(const struct layouts *layouts)
{
	unsigned count = partitions_count(layouts->from->partitions);

	if (count != partitions_count(layouts->to.partitions))
		return false;
	for (unsigned i = 0; i < count; i++) {
		if (!layouts_are_one(layouts, partitions_at(layouts->from->partitions, i),
				     partitions_at(layouts->to.partitions, i)))
			return false;
	}
	return true;
}

/* --- what the other one holds ---------------------------------------------------------------- */

static bool is_shared(const struct layouts *layouts, unsigned server)
{
	for (unsigned i = 0; i < layouts->from_servers; i++) {
		if (layouts->twins[i] == (int)server)
			return true;
	}
	return false;
}

/* A server of the other layout; its replies to the look at the layout's keys. */
static bool check_server(const struct layouts *layouts, unsigned server, redisReply *const *replies)
{
	const struct config *from = layouts->from->config, *to = &layouts->config;

	for (unsigned i = 0; i < LAYOUT_LOOK_KEYS; i++) {
		const redisReply *reply = replies[i];

		if (reply->type == REDIS_REPLY_STRING &&
		    !layout_is_noted(reply, to, layouts->to_servers) &&
		    !(is_shared(layouts, server) &&
		      layout_is_noted(reply, from, layouts->from_servers))) {
			ctl_fail("--to: users are divided otherwise there: " KEY_LAYOUT
				 " says %.20s. Empty it, or name those partitions and servers",
				 reply->str);
			return false;
		}
		/* Users of a single partition. */
		if (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0 &&
		    to->redis.partitions > 1 &&
		    !(is_shared(layouts, server) && from->redis.partitions == 1)) {
			ctl_fail("--to: it holds users of redis.partitions = 1. Empty it");
			return false;
		}
	}
	return true;
}

static bool check_servers(struct layouts *layouts)
{
	size_t count = (size_t)layouts->to_servers * LAYOUT_LOOK_KEYS;
	redisReply **replies = xcalloc(count, sizeof *replies);
	bool ok;

	nodes_begin(layouts->to.nodes);
	for (unsigned i = 0; i < layouts->to_servers; i++) {
		struct printbuf *out = nodes_to(layouts->to.nodes, store_at(&layouts->to, i));

		for (unsigned k = 0; k < LAYOUT_LOOK_KEYS; k++) {
			char *key = layout_look_key(&layouts->config, k);

			layout_put_look_key(out, k, key);
			free(key);
		}
	}
	ok = ctl_run(&layouts->to, count, replies);
	if (ok) {
		for (unsigned i = 0; ok && i < layouts->to_servers; i++)
			ok = check_server(layouts, i, replies + (size_t)i * LAYOUT_LOOK_KEYS);
		blocking_free_replies(replies, count);
	}
	free(replies);
	return ok;
}

/* Whether a partition of the other layout has the names, and the server, of one of these. */
static bool is_old(const struct layouts *layouts, const struct store *to)
{
	for (unsigned i = 0; i < partitions_count(layouts->from->partitions); i++) {
		if (layouts_are_one(layouts, partitions_at(layouts->from->partitions, i), to))
			return true;
	}
	return false;
}

/* Whether a service has worked there: then what is there may be newer than what would come. */
static bool check_unused(struct layouts *layouts)
{
	unsigned count = partitions_count(layouts->to.partitions);
	redisReply **replies = xcalloc(count, sizeof *replies);
	bool ok;

	nodes_begin(layouts->to.nodes);
	for (unsigned i = 0; i < count; i++) {
		const struct store *store = partitions_at(layouts->to.partitions, i);
		struct printbuf *out = nodes_to(layouts->to.nodes, store);

		resp_begin(out, 3);
		resp_text(out, "EXISTS");
		resp_key(out, store_prefix(store), KEY_EPOCH, "");
		resp_key(out, store_prefix(store), KEY_DEADLINES, "");
	}
	ok = ctl_run(&layouts->to, count, replies);
	if (ok) {
		for (unsigned i = 0; ok && i < count; i++)
			ok = replies[i]->integer == 0 ||
			     is_old(layouts, partitions_at(layouts->to.partitions, i));
		if (!ok)
			ctl_fail("--to: a service has worked there, and what it left would be "
				 "overwritten. Empty it first");
		blocking_free_replies(replies, count);
	}
	free(replies);
	return ok;
}

enum ctl_exit layouts_compare(struct layouts *layouts)
{
	if (!find_twins(layouts))
		return CTL_FAILED;
	if (are_the_same(layouts))
		return ctl_refuse("--to: that is the layout of the configuration");
	return check_servers(layouts) && check_unused(layouts) ? CTL_DONE : CTL_FAILED;
}

bool layouts_note(struct layouts *layouts)
{
	if (layouts->config.redis.partitions == 1)
		return true;
	layout_put_note(ctl_begin(&layouts->to, partitions_at(layouts->to.partitions, 0)),
			&layouts->config, layouts->to_servers);
	return ctl_do(&layouts->to, 1);
}
