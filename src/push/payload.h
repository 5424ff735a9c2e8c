/*
 * What a notification says: the declarative form, which a browser can show
 * without a script (Push API, "declarative push message"), so that no push is
 * silent. Pure functions.
 */
#ifndef PRESENCE_PUSH_PAYLOAD_H
#define PRESENCE_PUSH_PAYLOAD_H

#include <stddef.h>

#include "base/buf.h"
#include "store/push_job.h"

#define PAYLOAD_MAX 3000 /* bytes */
#define PAYLOAD_STEP 256 /* bytes: its padded length tells less of what it says */
#define PAYLOAD_SHORT 768 /* bytes, after a push service found it too large: no more than that */
#define PAYLOAD_TOPIC_LEN 32 /* RFC 8030 section 5.4: at most 32 characters of base64url */

/*
 * Appends {"web_push":8030,"notification":{…}} of at most PAYLOAD_MAX bytes, or
 * PAYLOAD_SHORT when job->shortened: where it would be longer, the body is cut
 * between two characters and ends with an ellipsis, or is left out, and then the
 * title is cut likewise.
 */
void payload_put(struct printbuf *out, const struct push_job *job);

/* Appends the notification alone, likewise of at most `max` bytes. */
void payload_put_notification(struct printbuf *out, const struct push_job *job, size_t max);

/* The length to encrypt: payload and delimiter, rounded up to steps of PAYLOAD_STEP. */
size_t payload_padded(size_t len);

/* The Topic: of two messages with the same one, the push service keeps the newer. */
void payload_topic(const struct push_job *job, char topic[PAYLOAD_TOPIC_LEN + 1]);

#endif
