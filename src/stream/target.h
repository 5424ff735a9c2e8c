/* Where a link goes: the server, its name, and what is there. */
#ifndef PRESENCE_STREAM_TARGET_H
#define PRESENCE_STREAM_TARGET_H

#include "base/config.h"
#include "base/redis_url.h"
#include "store/sentinel.h"

/* Borrowed for the call, but for the member. */
struct link_place {
	unsigned server; /* of those that redis.url names */
	const char *prefix; /* of one of its partitions: layout_prefix() */
	/*
	 * A node of a cluster, where partitions come and go; NULL: it is none. Channels are sharded there
	 * (SSUBSCRIBE), and an error that sends elsewhere (store/cluster.h) is an answer like others.
	 */
	const struct redis_address *member;
};

struct target {
	struct redis_url url;
	struct sentinel *sentinel; /* NULL: the URL names the server itself */
	const struct redis_address *member; /* of a cluster; NULL: it is none */
	unsigned server; /* of the URL's */
	char *name; /* for the log: "redis", and where it is if there are several */
	char *prefix; /* of a partition that is there; NULL: of a cluster */
};

/* The configuration must outlive it. */
void target_init(struct target *target, const struct config *config,
		 const struct link_place *place);
void target_clear(struct target *target);

/* The configuration has another user or password. */
void target_take_login(struct target *target, const struct config *config);

/* The server that is, or is to be, connected. */
const struct redis_address *target_address(const struct target *target);
/* Says in the log that it is connected; to which one, where the configuration does not say. */
void target_log_connected(const struct target *target);

#endif
