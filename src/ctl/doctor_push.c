/* doctor: Web Push. */
#include "ctl/doctor_checks.h"

#include <inttypes.h>

#include "auth/vapid.h"
#include "base/times.h"
#include "store/push.h"

#define SENTENCE_SIZE 512
#define TICKS_MAX 10 /* of `sweep` seconds each: longer ago, and it does not run */

/* Signs as presence-pushd does; false when it could not. */
static bool check_key(struct doctor *doctor)
{
	const struct config *config = doctor->ctl->config;
	char err[SENTENCE_SIZE];
	struct vapid *vapid =
		vapid_open(config->push.key_file, config->push.subject, err, sizeof err);
	const char *token = NULL;

	if (vapid != NULL)
		token = vapid_authorization(vapid, "https://push.example.com",
					    times_wall_ms() / 1000);
	if (vapid == NULL)
		doctor_say(doctor, FINDING_FAIL, "make one: presencectl push key, mode 0640",
			   "push: %s", err);
	else if (token == NULL)
		doctor_say(doctor, FINDING_FAIL, "make another: presencectl push key",
			   "push: OpenSSL cannot sign with the key");
	else
		doctor_say(doctor, FINDING_OK, NULL, "push: the key signs");
	vapid_free(vapid);
	return token != NULL;
}

static void say_state(struct doctor *doctor, const struct push_state *state)
{
	int64_t limit = (int64_t)doctor->ctl->config->presence.sweep * 1000 * TICKS_MAX;

	if (state->ticked_ms >= 0 && state->ticked_ms <= limit)
		doctor_say(doctor, FINDING_OK, NULL,
			   "push: presence-pushd runs, %" PRId64
			   " notifications are to be sent, %" PRId64 " wait",
			   state->queue, state->later);
	else
		doctor_say(doctor, FINDING_WARN, "start presence-pushd",
			   "push: no presence-pushd runs, so nothing is sent (%" PRId64 " wait)",
			   state->queue + state->later);
	if (state->queue + state->later > PUSH_QUEUE_MAX / 2)
		doctor_say(doctor, FINDING_WARN,
			   "presencectl push state tells what becomes of them; start another "
			   "presence-pushd, or send less",
			   "push: the queue is more than half full");
}

void doctor_check_push(struct doctor *doctor)
{
	struct push_state state;
	redisReply **replies;

	if (doctor->ctl->config->push.key_file[0] == '\0') {
		doctor_say(doctor, FINDING_OK, NULL, "push: not set up, its calls answer 404");
		return;
	}
	if (!check_key(doctor))
		return;
	if (ctl_push_sum(doctor->ctl, &state, &replies)) {
		say_state(doctor, &state);
		ctl_free_push(doctor->ctl, replies);
	} else {
		doctor_say(doctor, FINDING_FAIL, "what an ACL lets this user do: ~push:*",
			   "push: Redis: %s", nodes_error(doctor->ctl->nodes));
	}
}
