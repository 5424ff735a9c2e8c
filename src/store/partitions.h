/* Every partition's store, and whose is whose. */
#ifndef PRESENCE_STORE_PARTITIONS_H
#define PRESENCE_STORE_PARTITIONS_H

#include "store/store.h"

struct partitions;

/* redis.partitions of them. Free with partitions_free(). */
struct partitions *partitions_new(const struct config *config);
void partitions_free(struct partitions *partitions);

unsigned partitions_count(const struct partitions *partitions);
/* The one of that number, below the count. Partition 0 has what is about no user, too. */
const struct store *partitions_at(const struct partitions *partitions, unsigned number);
/* The one that has the user's keys and channels. */
const struct store *partitions_of(const struct partitions *partitions, const struct userid *user);

#endif
