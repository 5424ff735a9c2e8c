/* What a Redis server says of itself (INFO). Pure functions. */
#ifndef PRESENCE_STORE_INFO_H
#define PRESENCE_STORE_INFO_H

#include <stdbool.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"

#define INFO_VALUE_SIZE 64

/* The value of a line "name:value" of INFO; "" when there is none. */
void info_find(const char *info, const char *name, char value[INFO_VALUE_SIZE]);

/* Its part in replication. */
struct replication {
	bool is_primary;
	/*
	 * Of its data's history. Another one than before: another server is the
	 * primary, or it was started again; what was written last may be missing.
	 */
	char id[INFO_VALUE_SIZE];
};
void info_put_replication(struct printbuf *out);
/* False: it is not an answer. */
bool info_read_replication(const redisReply *reply, struct replication *replication);

#endif
