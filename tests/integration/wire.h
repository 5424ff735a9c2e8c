/* A client's half of FastCGI 1.0: records for a responder, byte by byte as the test wants them. */
#ifndef PRESENCE_TESTS_WIRE_H
#define PRESENCE_TESTS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "harness.h"

void wire_record(struct printbuf *out, unsigned type, unsigned id, const void *content, size_t len);
void wire_begin(struct printbuf *out, unsigned id, unsigned role, unsigned flags);
/* Appends one name-value pair to the content of an FCGI_PARAMS record (FastCGI 3.4). */
void wire_pair(struct printbuf *out, const char *name, const char *value);
/* A whole request without a body: BEGIN, PARAMS, the ends of PARAMS and STDIN. */
void wire_request(struct printbuf *out, const char *method, const char *uri, const char *token);
/* A whole request for a stream: BEGIN, PARAMS, the ends of PARAMS and STDIN. */
void wire_stream_request(struct printbuf *out, const char *uri, const char *token);
/* Connects to a Unix socket; -1 with errno. Not blocking afterwards. */
int wire_connect(const char *path);
bool wire_answers(const char *path); /* whether that goes */
int wire_connect_streamd(struct stack *stack, int streamd); /* fails the test when it cannot */
/* Sends what goes, whatever the other side thinks of it. */
void wire_send(int fd, const void *data, size_t len);
/* Reads until `in` has `want` bytes (0: until the end), at most ms (stretched); false when they do not come. */
bool wire_read(int fd, struct printbuf *in, size_t want, int ms);

#endif
