/* Where a user is, as it is kept: what is decided about it is place.h's. */
#ifndef PRESENCE_STORE_WHEREABOUTS_H
#define PRESENCE_STORE_WHEREABOUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/place.h"
#include "store/store.h"

/*
 * Where a user is (place.h): kept, unless the text that was read `before` ("" =
 * none) is another one by now or the user looks offline. The marks are kept apart,
 * too, and outlive the place.
 */
struct whereabouts {
	const struct userid *user;
	const char *tok;
	int64_t iat; /* seconds, the token's `issued` */
	const char *before;
	const struct place *place;
};
void whereabouts_put(struct printbuf *out, const struct store *store,
		     const struct whereabouts *place);
enum store_verdict whereabouts_read(const redisReply *reply, bool *kept);
/* Forgets it, but for the marks; *before becomes what it was. */
void whereabouts_put_leave(struct printbuf *out, const struct store *store,
			   const struct userid *user, const char *tok, int64_t iat);
enum store_verdict whereabouts_read_leave(const redisReply *reply, struct place *before);

#endif
