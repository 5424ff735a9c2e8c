/*
 * Places for streams, counted over all processes that share a file: a place is
 * one byte of it, taken by a lock of an open file description (fcntl(2),
 * F_OFD_SETLK). A process that dies, however, gives its places back by that.
 */
#ifndef PRESENCE_STREAM_SLOTS_H
#define PRESENCE_STREAM_SLOTS_H

struct slots;

/*
 * Opens the file, which is made if it is missing (mode 0600) and stays empty.
 * NULL, with errno: it cannot be opened, or its file system has no such locks.
 */
struct slots *slots_open(const char *path);
void slots_close(struct slots *slots); /* gives all places back; NULL is allowed */

/* Takes one of the places 0 ... count - 1, or returns -1: others have them all. */
int slots_take(struct slots *slots, unsigned count);
void slots_give(struct slots *slots, int slot);

#endif
