#include "push/mailer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/vapid.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/times.h"
#include "push/encrypt.h"
#include "push/payload.h"
#include "push/webhook.h"

#define FIELD_MAX 1024 /* bytes of a header field */

/* What the configuration names. */
struct keys {
	struct vapid *vapid;
	struct printbuf *webhook; /* NULL: no webhook */
};

struct mailer {
	const struct config *config;
	struct keys keys;
	struct encryptor *encryptor;
	struct sender *sender;
};

static void keys_free(struct keys *keys)
{
	vapid_free(keys->vapid);
	if (keys->webhook != NULL)
		printbuf_free(keys->webhook);
}

/* False with a sentence in err, and nothing to free. */
static bool keys_read(struct keys *keys, const struct config *config, char *err, size_t errsize)
{
	*keys = (struct keys){.vapid = NULL};
	if (config->push.key_file[0] == '\0') {
		snprintf(err, errsize, "push.key_file is not set, so there is nothing to do");
		return false;
	}
	keys->vapid = vapid_open(config->push.key_file, config->push.subject, err, errsize);
	if (keys->vapid == NULL || config->push.webhook[0] == '\0')
		return keys->vapid != NULL;
	keys->webhook = webhook_read_key(config->push.webhook_key_file, err, errsize);
	if (keys->webhook == NULL)
		vapid_free(keys->vapid);
	return keys->webhook != NULL;
}

struct mailer *mailer_new(const struct config *config, char *err, size_t errsize)
{
	struct mailer *mailer = xcalloc(1, sizeof *mailer);

	mailer->config = config;
	if (!keys_read(&mailer->keys, config, err, errsize)) {
		free(mailer);
		return NULL;
	}
	mailer->encryptor = encryptor_new();
	mailer->sender = sender_new(config);
	if (mailer->encryptor != NULL && mailer->sender != NULL)
		return mailer;
	snprintf(err, errsize, "OpenSSL or libcurl lacks what is needed");
	mailer_free(mailer);
	return NULL;
}

void mailer_free(struct mailer *mailer)
{
	if (mailer == NULL)
		return;
	sender_free(mailer->sender);
	encryptor_free(mailer->encryptor);
	keys_free(&mailer->keys);
	free(mailer);
}

bool mailer_reload(struct mailer *mailer, const struct config *fresh, char *err, size_t errsize)
{
	struct keys keys;

	if (!keys_read(&keys, fresh, err, errsize))
		return false;
	keys_free(&mailer->keys);
	mailer->keys = keys;
	return true;
}

bool mailer_has_webhook(const struct mailer *mailer)
{
	return mailer->keys.webhook != NULL;
}

struct sender *mailer_sender(struct mailer *mailer)
{
	return mailer->sender;
}

/* --- to a push service ----------------------------------------------------------------------- */

/* RFC 8030 section 5, RFC 8188, RFC 8292. */
static bool post_push(struct mailer *mailer, const struct push_job *job, int64_t ttl,
		      const struct push_subscription *subscription, const char *origin,
		      const struct printbuf *body, sender_done *done, void *arg)
{
	char authorization[FIELD_MAX], lifetime[32], urgency[32];
	char topic[PAYLOAD_TOPIC_LEN + 8] = "Topic: ";
	const char *headers[] = {authorization,
				 "Content-Type: application/octet-stream",
				 "Content-Encoding: aes128gcm",
				 lifetime,
				 urgency,
				 topic,
				 NULL};
	const struct sender_request request = {.url = subscription->endpoint,
					       .headers = headers,
					       .body = body->buf,
					       .len = buf_len(body)};
	const char *token = vapid_authorization(mailer->keys.vapid, origin, times_wall_ms() / 1000);

	if (token == NULL) {
		log_error("OpenSSL does not sign for %s", origin);
		return false;
	}
	snprintf(authorization, sizeof authorization, "Authorization: %s", token);
	snprintf(lifetime, sizeof lifetime, "TTL: %" PRId64, ttl);
	snprintf(urgency, sizeof urgency, "Urgency: %s", push_urgency_names[job->urgency]);
	payload_topic(job, topic + strlen(topic));
	sender_post(mailer->sender, &request, done, arg);
	return true;
}

bool mailer_push(struct mailer *mailer, const struct push_job *job, int64_t ttl, int64_t now,
		 const struct push_subscription *subscription, const struct printbuf *payload,
		 sender_done *done, void *arg, enum outcome *outcome)
{
	struct push_endpoint endpoint;
	struct printbuf *body;
	bool is_started;

	/* Whether the browser still has it, and the site still allows that push service. */
	*outcome = OUTCOME_GONE;
	if ((subscription->expires != 0 && subscription->expires <= now) ||
	    push_endpoint_parse(subscription->endpoint, &endpoint) != NULL ||
	    !push_endpoint_allowed(mailer->config->push.allow, &endpoint))
		return false;
	body = buf_new();
	*outcome = OUTCOME_BAD_KEYS;
	is_started = encrypt_message(mailer->encryptor, &subscription->keys, payload->buf,
				     buf_len(payload), payload_padded(buf_len(payload)), body);
	if (is_started) {
		*outcome = OUTCOME_REFUSED;
		is_started =
			post_push(mailer, job, ttl, subscription, endpoint.origin, body, done, arg);
	}
	printbuf_free(body);
	return is_started;
}

/* --- to the webhook -------------------------------------------------------------------------- */

bool mailer_webhook(struct mailer *mailer, const struct push_job *job, int64_t ttl,
		    sender_done *done, void *arg, enum outcome *outcome)
{
	struct printbuf *body = buf_new();
	char timestamp[64], signature[128], id[64], hex[WEBHOOK_SIGNATURE_LEN + 1];
	const char *headers[] = {"Content-Type: application/json", id, timestamp, signature, NULL};
	int64_t now = times_wall_ms() / 1000;
	bool is_signed;

	webhook_put_body(body, job, ttl);
	is_signed = webhook_sign(mailer->keys.webhook, now, body, hex);
	if (is_signed) {
		snprintf(id, sizeof id, "Presence-Id: %s", job->id);
		snprintf(timestamp, sizeof timestamp, "Presence-Timestamp: %" PRId64, now);
		snprintf(signature, sizeof signature, "Presence-Signature: v1=%s", hex);
		sender_post(mailer->sender,
			    &(struct sender_request){.url = mailer->config->push.webhook,
						     .headers = headers,
						     .body = body->buf,
						     .len = buf_len(body),
						     .is_own = true},
			    done, arg);
	}
	printbuf_free(body);
	*outcome = OUTCOME_REFUSED;
	return is_signed;
}
