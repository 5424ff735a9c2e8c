#include "push/webhook.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "push/payload.h"

#define KEY_MAX 4096 /* bytes */

struct printbuf *webhook_read_key(const char *file, char *err, size_t errsize)
{
	FILE *in = fopen(file, "re");
	struct printbuf *key;
	char text[KEY_MAX + 1];
	size_t len;

	if (in == NULL) {
		snprintf(err, errsize, "push.webhook_key_file: %s: %s", file, strerror(errno));
		return NULL;
	}
	len = fread(text, 1, sizeof text, in);
	fclose(in);
	/* An editor's newline at the end is not part of it. */
	if (len > 0 && text[len - 1] == '\n')
		len--;
	if (len < WEBHOOK_KEY_MIN || len > KEY_MAX) {
		snprintf(err, errsize,
			 "push.webhook_key_file: %s has %zu bytes instead of %d to %d", file, len,
			 WEBHOOK_KEY_MIN, KEY_MAX);
		return NULL;
	}
	key = buf_new();
	buf_put(key, text, len);
	return key;
}

void webhook_put_body(struct printbuf *out, const struct push_job *job, int64_t ttl)
{
	char topic[PAYLOAD_TOPIC_LEN + 1];

	payload_topic(job, topic);
	buf_puts(out, "{\"user_id\":");
	userid_put_json(out, &job->user);
	buf_puts(out, ",\"notification\":");
	payload_put_notification(out, job, PAYLOAD_MAX);
	buf_putf(out, ",\"urgency\":\"%s\",\"ttl\":%" PRId64 ",\"topic\":\"%s\"}",
		 push_urgency_names[job->urgency], ttl, topic);
}

int webhook_sign(const struct printbuf *key, int64_t timestamp, const struct printbuf *body,
		 char signature[WEBHOOK_SIGNATURE_LEN + 1])
{
	struct printbuf *text = buf_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	int ok;

	buf_putf(text, "%" PRId64 ".", timestamp);
	buf_put(text, body->buf, buf_len(body));
	ok = HMAC(EVP_sha256(), key->buf, key->bpos, (const unsigned char *)text->buf,
		  buf_len(text), digest, &len) != NULL;
	for (unsigned i = 0; ok && i < len; i++)
		snprintf(signature + (size_t)2 * i, 3, "%02x", digest[i]);
	printbuf_free(text);
	return ok;
}
