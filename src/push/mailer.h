/*
 * Sends one notification to one receiver: encrypted to a browser's push service,
 * or signed to the webhook.
 */
#ifndef PRESENCE_PUSH_MAILER_H
#define PRESENCE_PUSH_MAILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/config.h"
#include "push/outcome.h"
#include "push/sender.h"
#include "store/push_job.h"
#include "store/push_subscription.h"

struct mailer;

/* NULL with a sentence in err: a key cannot be read, ... The configuration must outlive it. */
struct mailer *mailer_new(const struct config *config, char *err, size_t errsize);
void mailer_free(struct mailer *mailer);

/*
 * Reads the keys that `fresh` names and uses them from now on. False with a
 * sentence in err: those that were read before stay.
 */
bool mailer_reload(struct mailer *mailer, const struct config *fresh, char *err, size_t errsize);

bool mailer_has_webhook(const struct mailer *mailer);
/* For the loop that waits. */
struct sender *mailer_sender(struct mailer *mailer);

/*
 * Each starts a request, of whose end `done` tells; or, when it comes to none,
 * returns false with *outcome (done is not called). `ttl`: seconds that the push
 * service may keep it. `now`: seconds of Redis' clock.
 */
bool mailer_push(struct mailer *mailer, const struct push_job *job, int64_t ttl, int64_t now,
		 const struct push_subscription *subscription, const struct printbuf *payload,
		 sender_done *done, void *arg, enum outcome *outcome);
bool mailer_webhook(struct mailer *mailer, const struct push_job *job, int64_t ttl,
		    sender_done *done, void *arg, enum outcome *outcome);

#endif
