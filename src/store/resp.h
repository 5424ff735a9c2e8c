/*
 * Commands in the Redis protocol (RESP2, the form of an array of bulk strings),
 * appended one after the other: such a buffer is a pipeline, and either
 * transport (blocking.h, stream/link.h) sends it as it is.
 */
#ifndef PRESENCE_STORE_RESP_H
#define PRESENCE_STORE_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/redis_url.h"

/* Starts a command of `argc` arguments, the command's name being the first. */
void resp_begin(struct printbuf *out, unsigned argc);
void resp_arg(struct printbuf *out, const void *data, size_t len);
void resp_text(struct printbuf *out, const char *text);
void resp_number(struct printbuf *out, int64_t number);
void resp_flag(struct printbuf *out, bool flag); /* "1" or "0" */
/* One argument: prefix, then a name of keys.h, then what follows it ("" for nothing). */
void resp_key(struct printbuf *out, const char *prefix, const char *key, const char *rest);

/* How long the first command of the bytes is, which the functions above wrote; how many there are. */
size_t resp_length(const char *bytes);
size_t resp_count(const char *bytes, size_t len);

/* What a new connection says first: AUTH and SELECT, as the URL asks. Returns how many commands. */
#define RESP_GREETING_MAX 2
unsigned resp_greeting(struct printbuf *out, const struct redis_address *address);

#endif
