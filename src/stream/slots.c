#include "stream/slots.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

struct slots {
	int fd;
	bool *mine; /* by slot: locks of one description do not exclude each other */
	unsigned capacity; /* slots that `mine` tells of; the rest are not ours */
};

static int lock(const struct slots *slots, int command, short type, unsigned slot)
{
	struct flock range = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)slot, .l_len = 1};

	return fcntl(slots->fd, command, &range);
}

struct slots *slots_open(const char *path)
{
	struct slots *slots = xcalloc(1, sizeof *slots);

	slots->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (slots->fd < 0 || lock(slots, F_OFD_GETLK, F_WRLCK, 0) != 0) {
		slots_close(slots);
		return NULL;
	}
	return slots;
}

void slots_close(struct slots *slots)
{
	if (slots == NULL)
		return;
	if (slots->fd >= 0)
		close(slots->fd);
	free(slots->mine);
	free(slots);
}

static void grow(struct slots *slots, unsigned count)
{
	bool *mine;

	if (count <= slots->capacity)
		return;
	mine = xcalloc(count, sizeof *mine);
	if (slots->capacity > 0)
		memcpy(mine, slots->mine, slots->capacity * sizeof *mine);
	free(slots->mine);
	slots->mine = mine;
	slots->capacity = count;
}

int slots_acquire(struct slots *slots, unsigned count)
{
	grow(slots, count);
	for (unsigned slot = 0; slot < count; slot++) {
		if (!slots->mine[slot] && lock(slots, F_OFD_SETLK, F_WRLCK, slot) == 0) {
			slots->mine[slot] = true;
			return (int)slot;
		}
	}
	return -1;
}

void slots_release(struct slots *slots, int slot)
{
	lock(slots, F_OFD_SETLK, F_UNLCK, (unsigned)slot);
	slots->mine[slot] = false;
}
