/* Where Redis is: the value of redis.url. */
#ifndef PRESENCE_BASE_REDIS_URL_H
#define PRESENCE_BASE_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define REDIS_URL_NODES_MAX 1024

/* All that one connection needs. */
struct redis_address {
	char *host; /* NULL for a Unix socket */
	int port;
	char *path; /* NULL for TCP */
	bool tls;
	char *user; /* NULL: none */
	char *password; /* NULL: none */
	int db;
};

enum redis_kind {
	REDIS_SERVERS, /* one, or several that know nothing of each other */
	REDIS_SENTINEL, /* the primary that Sentinels name */
	REDIS_CLUSTER,
};

struct redis_url {
	enum redis_kind kind;
	/* The servers, the Sentinels, or the nodes of the cluster that are asked for the others. */
	struct redis_address *nodes;
	size_t count; /* at least 1 */
	/* REDIS_SENTINEL alone: */
	char *name; /* of the primary */
	struct redis_address primary; /* how to connect to it; no host yet */
};

/*
 * Redis(s) itself:
 *   redis://[user:password@]host[:port][/db]
 *   unix://[user:password@]/path[?db=N]
 *   several of them, blanks between
 * By way of Sentinels, user, password and db being those of the primary:
 *   sentinel://[user:password@]host[:port],…/NAME[?db=N&sentinel_password=…]
 * A Redis Cluster:
 *   cluster://[user:password@]host[:port],…
 * With TLS, to Sentinels and nodes too: rediss://, sentinel+rediss://, cluster+rediss://.
 * Names and passwords are percent-decoded, an IPv6 host stands in brackets.
 * Returns NULL and fills *url (free with redis_url_free), or a sentence saying
 * what is wrong.
 */
const char *redis_url_parse(const char *text, struct redis_url *url);
void redis_url_free(struct redis_url *url);

/*
 * Whether two URLs, each of which can be parsed, differ in users and passwords at most; and has one that was parsed take
 * those of such another one. Its nodes stay where they are; who has a copy of one must take them from there again.
 */
bool redis_url_is_alike(const char *one, const char *other);
void redis_url_take_logins(struct redis_url *url, const char *other);

/* Appends where it is, "host:port" or a path, without the password. */
void redis_url_put_node(struct printbuf *out, const struct redis_address *address);
/* All of them, the way the URL has them. */
void redis_url_put(struct printbuf *out, const struct redis_url *url);

#endif
