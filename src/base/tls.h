/*
 * TLS as a client (RFC 8446; 1.2 at least) without a socket: what the peer sent goes in, what it is to
 * be sent comes out. Whoever has the socket reads and writes it in one way, with TLS or without it,
 * whether that blocks or not.
 *
 * The peer's certificate is verified: its authority, its dates, and that it is for the host that was
 * asked for.
 */
#ifndef PRESENCE_BASE_TLS_H
#define PRESENCE_BASE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

/* PEM files; "" for none. */
struct tls_files {
	const char *ca; /* certificates of the authorities; none: the system's */
	const char *cert, *key; /* ours, with its chain, and its private key; both or none */
};

struct tls;

/* Whether the files can be used; false: why says what is wrong. */
bool tls_check(const struct tls_files *files, char *why, size_t size);

/*
 * A connection to `host`, a name or an IP address. Reads the files, so that a renewed certificate
 * takes effect with the next connection. NULL: why says what is wrong.
 */
struct tls *tls_new(const struct tls_files *files, const char *host, char *why, size_t size);
void tls_free(struct tls *tls); /* NULL is allowed */

/* Takes what the peer sent. */
void tls_feed(struct tls *tls, const void *data, size_t len);

/*
 * Each of these appends what the peer is to be sent, if there is anything, to out; when one fails,
 * too: the alert. After a failure tls_error() says why and nothing else may be called.
 */
enum tls_progress { TLS_MORE, TLS_DONE, TLS_FAILED };
enum tls_progress tls_handshake(struct tls *tls, struct printbuf *out);
bool tls_write(struct tls *tls, const void *data, size_t len, struct printbuf *out);
/* What the peer said: how many bytes; 0: no more yet; -1: failed, or the peer has closed. */
ssize_t tls_read(struct tls *tls, void *data, size_t size, struct printbuf *out);
/* Says that we close. */
void tls_close(struct tls *tls, struct printbuf *out);

const char *tls_error(const struct tls *tls);
/*
 * Whether the peer asked for a certificate of ours and there is none. It may
 * well close then, and with TLS 1.3 that is after the handshake.
 */
bool tls_lacks_certificate(const struct tls *tls);

#endif
