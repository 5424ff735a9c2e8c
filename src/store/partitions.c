#include "store/partitions.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "store/layout.h"

struct partitions {
	unsigned count;
	struct store *stores[];
};

struct partitions *partitions_new(const struct config *config)
{
	unsigned count = (unsigned)config->redis.partitions, tags[LAYOUT_PARTITIONS_MAX];
	struct partitions *partitions =
		xcalloc(1, sizeof *partitions + count * sizeof partitions->stores[0]);

	partitions->count = count;
	layout_find_tags(count, tags);
	for (unsigned number = 0; number < count; number++) {
		char *prefix = layout_prefix(count, tags[number], config->redis.prefix);

		partitions->stores[number] = store_new(config, number, prefix);
		free(prefix);
	}
	return partitions;
}

void partitions_free(struct partitions *partitions)
{
	if (partitions == NULL)
		return;
	for (unsigned number = 0; number < partitions->count; number++)
		store_free(partitions->stores[number]);
	free(partitions);
}

unsigned partitions_count(const struct partitions *partitions)
{
	return partitions->count;
}

const struct store *partitions_at(const struct partitions *partitions, unsigned number)
{
	return partitions->stores[number];
}

const struct store *partitions_of(const struct partitions *partitions, const struct userid *user)
{
	return partitions->stores[layout_partition(partitions->count, user->text)];
}
