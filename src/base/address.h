/* Places to listen, and what all addresses in the configuration are made of. */
#ifndef PRESENCE_BASE_ADDRESS_H
#define PRESENCE_BASE_ADDRESS_H

#include <stdbool.h>

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

/*
 * Gives up a listening Unix socket of one's own: from now on a connection to it fails at once, so
 * that a web server asks elsewhere. Those made before can still be accepted, until accept() finds
 * none; closed with the socket, they would be reset.
 */
void listen_address_withdraw(int fd, const char *path);

/* Whether fd is a socket that listens (SO_ACCEPTCONN). */
bool fd_is_listening(int fd);

/* Splits "host:port" or "[v6]:port" in place; *port is NULL when there is none. False: it is neither. */
bool address_split(char *text, char **host, char **port);
/* Reads a decimal number of the whole text, 0..max. */
bool address_parse_number(const char *text, int max, int *number);

#endif
