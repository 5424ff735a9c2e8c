#include "ctl/places.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/cluster.h"
#include "store/keys.h"
#include "store/reply.h"
#include "store/resp.h"

/* Two keys that nobody has: a node whose slot is on its way answers for neither. */
static bool is_whole(struct nodes *nodes, const struct store *store)
{
	struct printbuf *out;
	redisReply *reply = NULL;
	bool ok;

	nodes_begin(nodes);
	out = nodes_to(nodes, store);
	resp_begin(out, 3);
	resp_text(out, "EXISTS");
	resp_key(out, store_prefix(store), KEY_HEALTH, ":1");
	resp_key(out, store_prefix(store), KEY_HEALTH, ":2");
	ok = nodes_run(nodes, 1, &reply);
	if (ok)
		reply_free(reply);
	return ok || strstr(nodes_error(nodes), NODES_MOVING) == NULL;
}

unsigned places_count_moving(struct ctl *ctl, unsigned *slot)
{
	unsigned between = 0;

	if (!nodes_are_cluster(ctl->nodes))
		return 0;
	for (unsigned i = 0; i < partitions_count(ctl->partitions); i++) {
		const struct store *store = partitions_at(ctl->partitions, i);

		if (is_whole(ctl->nodes, store))
			continue;
		between++;
		*slot = cluster_slot(store_prefix(store), strlen(store_prefix(store)));
	}
	return between;
}

/* The questions for moves told of what has moved since. */
static bool is_at_rest(struct ctl *ctl)
{
	unsigned slot;

	if (places_count_moving(ctl, &slot) == 0)
		return true;
	ctl_fail(
		"slot %u of the cluster is on its way to another node, and its keys may be missed: "
		"do it again when it is there. If nobody moves it any more: redis-cli --cluster "
		"fix HOST:PORT",
		slot);
	return false;
}

unsigned *places_note(struct ctl *ctl)
{
	unsigned count = partitions_count(ctl->partitions), *places;

	if (!is_at_rest(ctl))
		return NULL;
	places = xcalloc(count, sizeof *places);
	for (unsigned i = 0; i < count; i++)
		places[i] = nodes_number_of(ctl->nodes, partitions_at(ctl->partitions, i));
	return places;
}

bool places_check(struct ctl *ctl, const unsigned *places)
{
	if (!is_at_rest(ctl))
		return false;
	for (unsigned i = 0; i < partitions_count(ctl->partitions); i++) {
		const struct store *store = partitions_at(ctl->partitions, i);

		if (nodes_number_of(ctl->nodes, store) == places[i])
			continue;
		ctl_fail("partition %u of the cluster has moved to another node meanwhile, and its "
			 "keys may have been missed: do it again",
			 i);
		return false;
	}
	return true;
}
