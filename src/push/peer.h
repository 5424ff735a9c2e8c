/* Whose address may be connected to: not one of this network. Pure functions. */
#ifndef PRESENCE_PUSH_PEER_H
#define PRESENCE_PUSH_PEER_H

#include <stdbool.h>
#include <sys/socket.h>

/*
 * Whether an address is one of the public Internet: not private, loopback,
 * link-local, shared (RFC 6598), multicast, reserved or for documentation
 * (RFC 6890); an IPv6 address that carries an IPv4 one (mapped, NAT64) counts
 * as that one.
 */
bool peer_is_public(const struct sockaddr *address);

/* The same, or `allow` ([push] allow) names the address. */
bool peer_is_allowed(const char *allow, const struct sockaddr *address);

#endif
