/* Addresses in the configuration: Redis URLs and places to listen. */
#ifndef PRESENCE_BASE_ADDRESS_H
#define PRESENCE_BASE_ADDRESS_H

#include <stdbool.h>

struct redis_address {
	char *host; /* NULL for a Unix socket */
	int port;
	char *path; /* NULL for TCP */
	char *user; /* NULL: none */
	char *password; /* NULL: none */
	int db;
};

/*
 * redis://[user:password@]host[:port][/db] or unix://[user:password@]/path[?db=N];
 * user and password are percent-decoded, an IPv6 host stands in brackets.
 * Returns NULL and fills *address (free with redis_address_free), or a sentence
 * saying what is wrong.
 */
const char *redis_address_parse(const char *url, struct redis_address *address);
void redis_address_free(struct redis_address *address);

struct listen_address {
	char *path; /* NULL for TCP */
	char *host;
	char *port;
};

/* unix:/path or tcp:host:port (IPv6 in brackets; the host may not be empty). */
const char *listen_address_parse(const char *text, struct listen_address *address);
void listen_address_free(struct listen_address *address);

/*
 * Opens a listening socket there, close-on-exec. A Unix socket gets `mode`
 * whatever the umask; a socket file that nobody listens on any more is
 * replaced, one in use is not. Returns the descriptor, or -1 with *why set to
 * a static sentence and errno telling more.
 */
int listen_address_open(const struct listen_address *address, unsigned mode, const char **why);

/* Whether fd is a socket that listens (SO_ACCEPTCONN). */
bool fd_is_listening(int fd);

#endif
