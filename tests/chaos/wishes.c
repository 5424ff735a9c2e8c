/*
 * Who wants to be told when a friend comes online, and by which subscriptions; and what came of it.
 *
 * A wish is certain from its answer on, until the friend comes back, one of the two blocks the other, Redis
 * loses its data or the next call is sent. Of a friend who comes back for sure, to one who is gone for sure,
 * a notification must come.
 */
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "integration/push.h"

#define BY_THEN RECOVERY /* a notification was decided on no earlier than so long ago (stretched) */
#define REST 20000 /* who waits for somebody does nothing else for so long */
#define PUSHES_MAX 5 /* of one user, who gets one more in an hour */

enum wishing { WISH_NO, WISH_YES, WISH_MAYBE };

/* Of one user for another. */
struct wish {
	enum wishing state;
	int64_t since;
	bool pending; /* a call is under way */
	int64_t back_at; /* the other came back for sure, and nobody told of it; 0: no */
	int64_t told_at;
};

void wishes_init(struct chaos *chaos)
{
	chaos->wishes =
		xcalloc((chaos->user_count + 1) * (chaos->user_count + 1), sizeof *chaos->wishes);
}

static struct wish *wish_of(const struct chaos *chaos, unsigned id, unsigned other)
{
	return &chaos->wishes[id * (chaos->user_count + 1) + other];
}

static void set_state(struct wish *wish, enum wishing state)
{
	wish->state = state;
	wish->since = now_ms();
	wish->back_at = 0;
}

/* --- calls ----------------------------------------------------------------------------------- */

static void on_changed(struct call *call)
{
	struct chaos *chaos = call->conn.chaos;
	unsigned id = call->device->user->id;
	struct wish *wish = wish_of(chaos, id, call->other);
	bool wants = call->arg != NULL;

	model_answered(call);
	wish->pending = false;
	if (call->status != 204 || chaos->data_lost_at >= call->sent ||
	    chaos_in_trouble(chaos, call->sent) || blocks_may_hide(chaos, id, call->other))
		set_state(wish, WISH_MAYBE);
	else if (!wants)
		set_state(wish, WISH_NO);
	else if (friends_are(chaos, id, call->other))
		set_state(wish, WISH_YES);
	if (wants && call->status == 204) {
		actions_leave(chaos, call->device);
		call->device->user->rests_until = now_ms() + REST;
	}
}

void wishes_change(struct chaos *chaos, struct device *device, unsigned other, bool wants)
{
	struct wish *wish = wish_of(chaos, device->user->id, other);
	char path[48];
	struct call *call;

	if (chaos->stand.layout == LAYOUT_CLUSTER)
		return; /* nobody notifies */
	if (device->token == NULL || device->logging_out || device->user->id == other ||
	    wish->pending || (!wants && wish->state == WISH_NO))
		return;
	wish->pending = true;
	set_state(wish, WISH_MAYBE);
	model_activity_in_doubt(device);
	snprintf(path, sizeof path, "/push/when-online/%u", other);
	call = call_start_method(chaos, device, wants ? "POST" : "DELETE", path, wants ? "" : NULL,
				 on_changed);
	call->other = other;
	call->arg = wants ? wish : NULL;
	call->is_activity = true;
}

static void on_subscribed(struct call *call)
{
	struct device *device = call->device;

	model_answered(call);
	if (call->serial != device->serial || device->logging_out)
		return;
	if (call->status == 201 && call->conn.chaos->data_lost_at < call->sent)
		device->subscribed_at = now_ms();
}

/* A browser's subscription ends with the token: each token has one of its own. */
void wishes_subscribe(struct chaos *chaos, struct device *device)
{
	char body[600];
	struct call *call;

	if (device->token == NULL || device->logging_out)
		return;
	device->subscribed_at = 0;
	model_activity_in_doubt(device);
	snprintf(body, sizeof body,
		 "{\"endpoint\":\"https://localhost:%d/push/%u.%d.%u\"," PUSH_TEST_KEYS "}",
		 service_port(chaos), device->user->id, (int)(device - device->user->devices),
		 device->serial);
	call = call_start_method(chaos, device, "POST", "/push/subscriptions", body, on_subscribed);
	call->is_activity = true;
}

/* --- what happens ---------------------------------------------------------------------------- */

void wishes_doubt(struct chaos *chaos, unsigned a, unsigned b)
{
	struct wish *wishes[] = {wish_of(chaos, a, b), wish_of(chaos, b, a)};

	for (int i = 0; i < 2; i++) {
		if (wishes[i]->state != WISH_NO || wishes[i]->pending)
			set_state(wishes[i], WISH_MAYBE);
	}
}

void wishes_data_lost(struct chaos *chaos)
{
	size_t count = (chaos->user_count + 1) * (chaos->user_count + 1);

	for (size_t i = 0; i < count; i++) {
		if (chaos->wishes[i].state != WISH_NO)
			set_state(&chaos->wishes[i], WISH_MAYBE);
	}
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		for (int j = 0; j < DEVICES; j++)
			chaos->users[i].devices[j].subscribed_at = 0;
	}
}

void wishes_writes_lost(struct chaos *chaos, int64_t since)
{
	size_t count = (chaos->user_count + 1) * (chaos->user_count + 1);

	for (size_t i = 0; i < count; i++) {
		struct wish *wish = &chaos->wishes[i];

		if (wish->state != WISH_NO || (wish->since > 0 && wish->since >= since))
			set_state(wish, WISH_MAYBE);
	}
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		for (int j = 0; j < DEVICES; j++) {
			struct device *device = &chaos->users[i].devices[j];

			if (device->subscribed_at >= since)
				device->subscribed_at = 0;
		}
	}
}

/* Nothing keeps a notification from one who is gone. */
static bool must_be_told(const struct chaos *chaos, const struct user *user,
			 const struct change *change)
{
	return model_gone_at(chaos, user) < change->from && user->choice_doubt == 0 &&
	       !user->choosing && strcmp(user->chosen, "dnd") != 0 && user->pushes < PUSHES_MAX;
}

static bool is_return(const struct change *change)
{
	return change->online &&
	       (strcmp(change->reason, "login") == 0 || strcmp(change->reason, "activity") == 0 ||
		strcmp(change->reason, "stream_open") == 0);
}

/* A friend comes online: each wish for it is over. */
void wishes_published(struct chaos *chaos, struct user *friend, const struct change *change)
{
	bool was_offline = friend->told && !friend->told_online;

	for (unsigned i = 1; is_return(change) && i <= chaos->user_count; i++) {
		struct wish *wish = wish_of(chaos, i, friend->id);
		bool must = was_offline && wish->state == WISH_YES && wish->since < change->from &&
			    must_be_told(chaos, &chaos->users[i], change);

		if (wish->state == WISH_NO)
			continue;
		set_state(wish, WISH_MAYBE);
		wish->back_at = must ? change->from : 0;
		chaos->users[i].pushes++;
	}
}

/* --- a notification -------------------------------------------------------------------------- */

static void check_subscription(struct chaos *chaos, const struct notification *notification)
{
	const struct device *device =
		&chaos->users[notification->user].devices[notification->device % DEVICES];

	if (notification->subscription != device->serial &&
	    device->logged_out_at + patience(BY_THEN) < now_ms() &&
	    chaos->data_lost_at < device->logged_out_at)
		violated(chaos, notification->user,
			 "device %u of user %u, which was logged out %lld ms ago, is notified",
			 notification->device, notification->user,
			 (long long)(now_ms() - device->logged_out_at));
}

static void check_truth(struct chaos *chaos, unsigned id, unsigned other)
{
	struct user *user = &chaos->users[id], *friend = &chaos->users[other];
	const struct wish *wish = wish_of(chaos, id, other);
	int64_t now = now_ms(), then = now - patience(BY_THEN);

	if (wish->state == WISH_NO && !wish->pending && wish->since < then)
		violated(chaos, id, "user %u is told of user %u, and did not ask for it", id,
			 other);
	if (model_gone_at(chaos, friend) < then)
		violated(chaos, other, "user %u is told of user %u, who has been gone for %lld ms",
			 id, other, (long long)(now - model_gone_at(chaos, friend)));
	if (states_hide(friend) && friend->chosen_at < then)
		violated(chaos, other, "user %u is told of user %u, who is invisible", id, other);
	if (blocks_hide(chaos, id, other, then))
		violated(chaos, other, "user %u is told of user %u, and one blocks the other", id,
			 other);
	if (model_held(user, then, now))
		violated(chaos, id, "user %u, who is there, is told of user %u", id, other);
}

/* That it came is true also where this process stood still; when it was sent is not known then. */
void wishes_notified(struct chaos *chaos, const struct notification *notification)
{
	unsigned id = notification->user, friend = notification->friend;
	bool is_timely = now_ms() >= chaos->stalled_until;

	chaos->result->notified++;
	if (id < 1 || id > chaos->user_count)
		return;
	if (friend == 0) {
		chaos->users[id].devices[notification->device % DEVICES].pushed_at = now_ms();
		if (is_timely)
			check_subscription(chaos, notification);
		return;
	}
	chaos_note(&chaos->users[id], "is told that user %u is online", friend);
	wish_of(chaos, id, friend)->told_at = now_ms();
	if (is_timely)
		check_truth(chaos, id, friend);
}

int64_t wishes_told_at(const struct chaos *chaos, unsigned id, unsigned other)
{
	return wish_of(chaos, id, other)->told_at;
}

/* --- when all is quiet ----------------------------------------------------------------------- */

/* Both are where they were when the friend came back. */
static bool still_holds(const struct chaos *chaos, unsigned id, unsigned other,
			const struct wish *wish)
{
	return wish->back_at > 0 && !wish->pending && !blocks_may_hide(chaos, id, other) &&
	       model_held(&chaos->users[other], wish->back_at + GRACE, now_ms()) &&
	       model_gone_at(chaos, &chaos->users[id]) < wish->back_at;
}

static void check_told(struct chaos *chaos, unsigned id, unsigned other, struct wish *wish)
{
	if (wishes_told_at(chaos, id, other) < wish->back_at) {
		violated(chaos, id, "user %u was not told that user %u came back %lld ms ago", id,
			 other, (long long)(now_ms() - wish->back_at));
		return;
	}
	for (int i = 0; i < DEVICES; i++) {
		const struct device *device = &chaos->users[id].devices[i];

		if (device->subscribed_at > 0 && device->subscribed_at < wish->back_at &&
		    device->pushed_at < wish->back_at) {
			violated(chaos, id, "device %d of user %u was not notified", i, id);
			return;
		}
	}
	chaos->result->must_notify++;
	wish->back_at = 0;
}

void wishes_settled(struct chaos *chaos, const struct snapshot *snapshot)
{
	(void)snapshot;
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		for (unsigned j = 1; j <= chaos->user_count; j++) {
			struct wish *wish = wish_of(chaos, i, j);

			if (wish->back_at > 0 && still_holds(chaos, i, j, wish))
				check_told(chaos, i, j, wish);
		}
	}
}
