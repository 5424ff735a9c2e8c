/* Whether a notification is sent now: the rules, as a pure function of what Redis said. */
#ifndef PRESENCE_PUSH_DECIDE_H
#define PRESENCE_PUSH_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "push/outcome.h"
#include "store/push.h"

#define DECIDE_DND_MS 60000 /* how often at least one that "do not disturb" holds is looked at */
#define DECIDE_TTL_LEAST 5 /* seconds that we try at least; a push service hears the true ttl */
#define DECIDE_RECOVERY_MS 1000 /* likewise while Redis recovers from a wipe */

enum decision_kind {
	DECIDE_SEND,
	DECIDE_LATER, /* after wait_ms */
	DECIDE_DROP, /* for the reason `outcome` */
	DECIDE_WAIT_AGAIN, /* the friend has left: its user waits for the next time */
};

struct decision {
	enum decision_kind kind;
	enum outcome outcome;
	int64_t wait_ms;
};

/*
 * `now_ms` and `created_ms` (when the job was queued; used at the first look)
 * are of Redis' clock. The first look sets job->expires_ms. `grace_ms`: who is
 * to be told when offline gets so long to come back first. `everybody`: there is
 * a webhook, so that a user without a subscription is told as well.
 */
struct decision decide(struct push_job *job, const struct push_look *look, int64_t now_ms,
		       int64_t created_ms, int64_t grace_ms, bool everybody);

/*
 * When an entry of the queue was made, ms: what its id ("1700000000123-0")
 * starts with; 0 when it is none.
 */
int64_t decide_created_ms(const char *entry_id);

#endif
