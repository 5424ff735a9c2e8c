/*
 * Slots for streams, counted over all processes that share a file: a slot is
 * one byte of it, taken by a lock of an open file description (fcntl(2),
 * F_OFD_SETLK). A process that dies, however, releases its slots by that.
 */
#ifndef PRESENCE_STREAM_SLOTS_H
#define PRESENCE_STREAM_SLOTS_H

struct slots;

/*
 * Opens the file, which is made if it is missing (mode 0600) and stays empty.
 * NULL, with errno: it cannot be opened, or its file system has no such locks.
 */
struct slots *slots_open(const char *path);
void slots_close(struct slots *slots); /* releases all slots; NULL is allowed */

/* Acquires one of the slots 0 ... count - 1, or returns -1: others have them all. */
int slots_acquire(struct slots *slots, unsigned count);
void slots_release(struct slots *slots, int slot);

#endif
