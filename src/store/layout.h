/*
 * Where a user is: user -> partition -> tag (docs/scale.md). A partition is a
 * whole small presence service, whose keys and channels all begin with its tag,
 * "{17}", so that a Redis Cluster keeps them in one slot. A single partition has
 * no tag. Pure functions.
 */
#ifndef PRESENCE_STORE_LAYOUT_H
#define PRESENCE_STORE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#define LAYOUT_PARTITIONS_MAX 1024
#define LAYOUT_SLOTS 16384 /* of a Redis Cluster */

/* CRC-16/XMODEM: modulo LAYOUT_SLOTS it is the slot of a key, or of its tag. */
uint16_t layout_crc16(const char *text, size_t len);

/* The partition of a user id; `count` is redis.partitions, a power of two. */
unsigned layout_partition(unsigned count, const char *id);

/* The tag of a partition: the smallest number whose slot lies in its part of all slots. */
unsigned layout_tag(unsigned count, unsigned partition);
void layout_find_tags(unsigned count, unsigned tags[]); /* of all partitions */

/* What stands before every key and channel of a partition: "{tag}prefix"; the caller frees it. */
char *layout_prefix(unsigned count, unsigned tag, const char *prefix);

/* The same in a pattern, as of SCAN and PSUBSCRIBE, for all partitions; the caller frees it. */
char *layout_pattern(unsigned count, const char *prefix);

/* `name` (of a key or channel) without what layout_prefix() put before it; NULL: that is not there. */
const char *layout_name(unsigned count, const char *prefix, const char *name);

/* Whose tag a name begins with, which has one: count > 1. A tag of another's is anybody's. */
unsigned layout_partition_of_name(unsigned count, const char *name);

#endif
