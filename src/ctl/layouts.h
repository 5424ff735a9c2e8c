/*
 * Two layouts at once: the configured one, and another one that users are moved
 * to. They may share servers: then a key may be in both of them.
 */
#ifndef PRESENCE_CTL_LAYOUTS_H
#define PRESENCE_CTL_LAYOUTS_H

#include "ctl/ctl.h"

struct layouts {
	struct ctl *from;
	struct ctl to; /* with a configuration, nodes and partitions of its own */
	struct config
		config; /* of `to`: the configured one with another redis.url and partitions */
	unsigned from_servers, to_servers;
	int *twins; /* of each server of `from`: the server of `to` that is the same one, or -1 */
};

/*
 * Opens the other layout; partitions 0: as many as there are. CTL_DONE, or what
 * is wrong was said. The layouts must not be copied; free with layouts_close().
 */
enum ctl_exit layouts_open(struct layouts *layouts, struct ctl *ctl, const char *url,
			   int partitions);
void layouts_close(struct layouts *layouts);

/*
 * Whether users may be moved: the two differ, no server has two names, and the
 * other one holds no users of a third layout and none that are online.
 */
enum ctl_exit layouts_compare(struct layouts *layouts);

/* Whether a key has the same name in these two partitions and is at the same server: it is one key. */
bool layouts_are_one(const struct layouts *layouts, const struct store *from,
		     const struct store *to);
/* Whether they have a server in common. */
bool layouts_share(const struct layouts *layouts);

/* Writes the other layout down, so that no process with a third one uses it. */
bool layouts_note(struct layouts *layouts);

#endif
