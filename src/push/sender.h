/*
 * Many HTTP requests at a time, over libcurl's multi interface: posts a body,
 * tells what came of it. No redirect is followed, no proxy asked, and no
 * connection made to an address that is not public, whatever a name resolves to.
 */
#ifndef PRESENCE_PUSH_SENDER_H
#define PRESENCE_PUSH_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "base/config.h"
#include "push/outcome.h"

struct sender;

/* NULL when libcurl cannot be set up. Free with sender_free(), which calls nobody back. */
struct sender *sender_new(const struct config *config);
void sender_free(struct sender *sender);

struct sender_request {
	const char *url;
	const char *const *headers; /* "Name: value", NULL behind the last */
	const void *body;
	size_t len;
	bool is_own; /* the site's own server: any address, http too */
};

/* What came of it: `status` of the answer (0: none), Retry-After in seconds (0: none). */
typedef void sender_done(void *arg, enum outcome outcome, int status, int64_t retry_after);

/* Starts a request; everything is copied. `done` is called from sender_run(), once. */
void sender_post(struct sender *sender, const struct sender_request *request, sender_done *done,
		 void *arg);

/* Does what can be done without waiting. */
void sender_run(struct sender *sender);

/* Waits for sockets of its own, for those of `extra`, or until `ms` have passed. */
void sender_wait(struct sender *sender, struct curl_waitfd *extra, unsigned count, int64_t ms);

#endif
