/* Reading the whole of a key, whatever its type. */
#ifndef PRESENCE_CTL_VALUES_H
#define PRESENCE_CTL_VALUES_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"

/* The command that reads a whole key of that type, in so many arguments around the key. */
struct values_reader {
	const char *type, *command, *arguments[3];
	bool has_pairs; /* the reply is names, each with a value */
};

/* NULL: a type, as TYPE says it, that we do not use. */
const struct values_reader *values_find_reader(const char *type);
void values_put(struct printbuf *out, const struct values_reader *reader, const char *name,
		size_t len);

/* Whether two of its replies hold the same, of a Set or a Hash in whatever order. They are sorted for it. */
bool values_are_equal(const struct values_reader *reader, redisReply *one, redisReply *other);

#endif
