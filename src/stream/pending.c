#include "stream/pending.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/times.h"

#define CAPACITY_MIN 64
#define CAPACITY_KEPT 1024 /* by a ring that nobody waits in */

static void grow(struct pending_ring *ring)
{
	size_t capacity = ring->capacity > 0 ? ring->capacity * 2 : CAPACITY_MIN;
	struct pending *list = xmalloc(capacity * sizeof *list);

	for (size_t i = 0; i < ring->count; i++)
		list[i] = ring->list[(ring->first + i) % ring->capacity];
	free(ring->list);
	ring->list = list;
	ring->capacity = capacity;
	ring->first = 0;
}

void pending_push(struct pending_ring *ring, pending_reply *done, void *arg)
{
	if (ring->count == ring->capacity)
		grow(ring);
	ring->list[(ring->first + ring->count) % ring->capacity] =
		(struct pending){.done = done, .arg = arg, .asked_ms = times_mono_ms()};
	ring->count++;
}

struct pending pending_pop(struct pending_ring *ring)
{
	struct pending oldest = ring->list[ring->first];

	ring->first = (ring->first + 1) % ring->capacity;
	ring->count--;
	if (ring->count == 0 && ring->capacity > CAPACITY_KEPT) {
		pending_free(ring);
		*ring = (struct pending_ring){NULL};
	}
	return oldest;
}

void pending_drop(struct pending_ring *ring)
{
	while (ring->count > 0) {
		struct pending lost = pending_pop(ring);

		if (lost.done != NULL)
			lost.done(lost.arg, NULL);
	}
}

int64_t pending_oldest_ms(const struct pending_ring *ring)
{
	return ring->count > 0 ? ring->list[ring->first].asked_ms : INT64_MAX;
}

void pending_free(struct pending_ring *ring)
{
	free(ring->list);
}
