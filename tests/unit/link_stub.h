/*
 * A stand-in for streamd's link: it keeps the commands it is given, and the
 * test answers them. It defines all functions of stream/link.h, so a test that
 * uses it runs without Redis and without a loop.
 */
#ifndef PRESENCE_TESTS_LINK_STUB_H
#define PRESENCE_TESTS_LINK_STUB_H

#include "stream/context.h"

#define STUB_EPOCH "epoch" /* of every partition */

/* The link is up; everything else a part of streamd needs is there and empty. */
void stub_init(struct context *context);
/* The same for several partitions and links: partition p on link p mod links. */
void stub_init_divided(struct context *context, int partitions, unsigned links);
void stub_free(struct context *context); /* answers what is left with NULL */

/* Commands without an answer. */
unsigned stub_waiting(const struct context *context);
/* How often `text` stands in the newest command. */
unsigned stub_newest_has(const struct context *context, const char *text);
/* Arguments of the oldest command, its name among them. */
unsigned stub_oldest_argc(const struct context *context);
/* The oldest command gets this answer, as Redis writes it (RESP); NULL: lost with the link. */
void stub_answer(struct context *context, const char *resp);
/* Redis confirms every channel that was subscribed. */
void stub_confirm(struct context *context);
void stub_confirm_at(struct context *context, unsigned link);
/* The link is lost: NULL for every command. What hears of it is the test's affair. */
void stub_lose(struct context *context);
void stub_lose_at(struct context *context, unsigned link);
void stub_recover(struct context *context);
/* Why link_lost() was called; NULL: it was not. */
const char *stub_lost_why(const struct context *context);

#endif
