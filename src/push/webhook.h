/*
 * The webhook: the site's own server gets the same notification as JSON, signed,
 * and passes it on to FCM or APNs itself. Pure functions; docs/push.md tells how
 * it is verified.
 */
#ifndef PRESENCE_PUSH_WEBHOOK_H
#define PRESENCE_PUSH_WEBHOOK_H

#include <stdint.h>

#include "base/buf.h"
#include "store/push_job.h"

#define WEBHOOK_ID "webhook" /* stands for it among a job's subscriptions that are left */
#define WEBHOOK_KEY_MIN 32 /* bytes */
#define WEBHOOK_SIGNATURE_LEN 64 /* hex digits */

/* Reads the secret of [push] webhook_key_file; NULL with a sentence in err. The caller frees it. */
struct printbuf *webhook_read_key(const char *path, char *err, size_t errsize);

/* Appends the JSON: who is to be told, the notification, urgency, ttl (seconds that are left). */
void webhook_put_body(struct printbuf *out, const struct push_job *job, int64_t ttl);

/* HMAC-SHA256 of "TIMESTAMP.BODY" in hex; false when OpenSSL fails. */
int webhook_sign(const struct printbuf *key, int64_t timestamp, const struct printbuf *body,
		 char signature[WEBHOOK_SIGNATURE_LEN + 1]);

#endif
