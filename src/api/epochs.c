#include "api/epochs.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static size_t size_of(size_t count)
{
	return sizeof(struct epochs) + count * sizeof(struct known_partition);
}

struct epochs *epochs_new(const struct config *config)
{
	size_t count = (size_t)config->redis.partitions;
	/* All zeros: false, and 0. */
	struct epochs *epochs = mmap(NULL, size_of(count), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (epochs == MAP_FAILED) {
		fputs("presence: out of memory\n", stderr);
		abort();
	}
	epochs->count = count;
	return epochs;
}

void epochs_free(struct epochs *epochs)
{
	if (epochs != NULL)
		munmap(epochs, size_of(epochs->count));
}
