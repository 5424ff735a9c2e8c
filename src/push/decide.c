#include "push/decide.h"

#include "base/number.h"

static struct decision later(int64_t wait_ms)
{
	return (struct decision){.kind = DECIDE_LATER, .wait_ms = wait_ms};
}

static struct decision drop(enum outcome outcome)
{
	return (struct decision){.kind = DECIDE_DROP, .outcome = outcome};
}

int64_t decide_created_ms(const char *entry_id)
{
	return *entry_id >= '0' && *entry_id <= '9' ? (int64_t)number_read(entry_id) : 0;
}

/* Whether the user is there, so that there is nothing to send. */
static bool is_reached(const struct push_job *job, const struct push_look *look)
{
	switch (job->only_if) {
	case PUSH_ALWAYS:
		return false;
	case PUSH_IF_AWAY:
		return look->online && !look->away;
	default:
		return look->online;
	}
}

/* Whether one is left to whom it could go. */
static bool has_receiver(const struct push_job *job, const struct push_look *look)
{
	for (size_t i = 0; i < look->count; i++) {
		if (push_job_is_left(job, look->subscriptions[i].id))
			return true;
	}
	return false;
}

/* Until "do not disturb" ends; it may also be ended before. */
static int64_t dnd_wait_ms(const struct push_look *look, int64_t now_ms)
{
	int64_t left = look->dnd_ends_ms - now_ms;

	return left > 0 && left < DECIDE_DND_MS ? left : DECIDE_DND_MS;
}

struct decision decide(struct push_job *job, const struct push_look *look, int64_t now_ms,
		       int64_t created_ms, int64_t grace_ms, bool everybody)
{
	int64_t due = created_ms + (job->only_if == PUSH_ALWAYS ? 0 : grace_ms);
	bool is_first = job->expires_ms == 0;

	int64_t ttl = job->ttl > DECIDE_TTL_LEAST ? job->ttl : DECIDE_TTL_LEAST;

	if (is_first)
		job->expires_ms = due + ttl * 1000;
	if (now_ms > job->expires_ms)
		return drop(OUTCOME_EXPIRED);
	if (look->superseded)
		return drop(OUTCOME_SUPERSEDED);
	if (job->is_online && (!look->wanted || look->friend_hidden))
		return drop(OUTCOME_WITHDRAWN);
	if (!everybody && !has_receiver(job, look))
		return drop(OUTCOME_NOBODY);
	if (now_ms < due && is_first)
		return later(due - now_ms);
	if (look->recovering)
		return later(DECIDE_RECOVERY_MS);
	if (is_reached(job, look))
		return drop(OUTCOME_ONLINE);
	if (job->is_online && !look->friend_online)
		return job->left_count > 0 ? drop(OUTCOME_WITHDRAWN)
					   : (struct decision){.kind = DECIDE_WAIT_AGAIN};
	if (look->dnd && job->urgency != PUSH_HIGH)
		return later(dnd_wait_ms(look, now_ms));
	return (struct decision){.kind = DECIDE_SEND};
}
