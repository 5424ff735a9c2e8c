#include "push/webhook.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/secret.h"
#include "push/payload.h"

struct printbuf *webhook_read_key(const char *path, char *err, size_t errsize)
{
	struct secret_file file;
	struct printbuf *key = NULL;

	if (!secret_file_read(&file, path, err, errsize))
		return NULL;
	/* An editor's newline at the end is not part of it. */
	if (file.len > 0 && file.data[file.len - 1] == '\n')
		file.len--;
	if (file.len < WEBHOOK_KEY_MIN) {
		snprintf(err, errsize,
			 "push.webhook_key_file: %s has %zu bytes instead of at least %d", path,
			 file.len, WEBHOOK_KEY_MIN);
	} else if (secret_file_is_private(&file, path, err, errsize)) {
		key = buf_new();
		buf_put(key, file.data, file.len);
	}
	secret_file_clear(&file);
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
