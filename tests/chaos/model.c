/*
 * What is certain about a user. Of each session two moments are known: until when it lives at the
 * least, and from when it is gone at the latest. A user is online for sure while one of the first lies
 * ahead, and offline for sure after the last of the second; in between either is right.
 *
 * The first come from what was answered: what was sent at `a` and answered at `b` was taken in between,
 * so a token's session lives until a + online_ttl at the least. A close has been taken when the stream's
 * end came to the server, at the earliest now.
 */
#include "chaos.h"

#include <stdlib.h>

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool has_stream(const struct device *device, const struct tab *but, bool ready_only)
{
	for (int i = 0; i < TABS; i++) {
		const struct tab *tab = &device->tabs[i];

		bool may_be_gone = tab->asleep || tab->cut_at != 0;

		if (tab != but && ((tab->state == TAB_READY && !(ready_only && may_be_gone)) ||
				   (!ready_only && tab->state == TAB_OPENING)))
			return true;
	}
	return false;
}

/* What could not be told while something was amiss is told when all is well again. */
int64_t model_told_by(const struct chaos *chaos, int64_t at)
{
	return later(at, chaos->calm_since) + patience(RECOVERY);
}

bool model_may_have_zombie(const struct device *device)
{
	const struct chaos *chaos = device->tabs[0].conn.chaos;
	int64_t lost_at = later(device->lost_at, device->ghost_until);

	return lost_at > 0 && model_told_by(chaos, lost_at) + STREAM_TTL + HOLD > now_ms();
}

/* --- what happens ---------------------------------------------------------------------------- */

/* A stream that knew what its user chose has ended, or cannot be heard. */
static void user_stream_lost(struct user *user)
{
	states_stream_lost(user);
	blocks_stream_lost(user->devices[0].tabs[0].conn.chaos, user);
}

void model_activity_in_doubt(struct device *device)
{
	device->token_acked = now_ms();
	device->token_doubt = true;
	device->lowered = 0;
}

/* Its stream may have been closed, or be at any time, and the token's session with it. */
static bool may_be_closed(const struct device *device)
{
	for (int i = 0; i < TABS; i++) {
		if (device->tabs[i].state == TAB_READY && device->tabs[i].asleep)
			return true;
	}
	return device->ghost_until > now_ms() || device->user->cuts > 0;
}

/* Whether the end of a stream at `at` was noticed before what was sent then came. */
static bool is_noticed(const struct chaos *chaos, int64_t at, int64_t sent)
{
	int64_t by = at + patience(NOTICE);

	return at == 0 ||
	       (by < sent && (by < chaos->trouble_since || !chaos_in_trouble(chaos, sent)));
}

/* A close that is noticed after the request was taken ends the token all the same, and so does a wipe. */
static void raise_token(struct device *device, int64_t sent)
{
	const struct chaos *chaos = device->tabs[0].conn.chaos;

	if (is_noticed(chaos, device->may_lower, sent) && chaos->data_lost_at < sent &&
	    !may_be_closed(device))
		device->token_lo = later(device->token_lo, sent + ONLINE_TTL);
	device->token_acked = now_ms();
	device->token_doubt = false;
	device->lowered = 0;
}

void model_activity_taken(struct device *device, int64_t sent)
{
	raise_token(device, sent);
	model_refresh(device->user);
}

void model_answered(const struct call *call)
{
	struct device *device = call->device;

	if (call->serial != device->serial || device->logging_out)
		return;
	if (call->status >= 200 && call->status < 300)
		model_activity_taken(device, call->sent);
	else if (call->status != 401)
		model_activity_in_doubt(device);
}

void model_stream_ready(struct tab *tab)
{
	raise_token(tab->device, tab->opened);
	model_refresh(tab->device->user);
}

/* The token's session goes with its last stream, if no other stands in Redis any more. */
static void lower_token(struct tab *tab, int64_t at, bool surely)
{
	struct device *device = tab->device;

	if (has_stream(device, tab, true))
		return;
	device->token_lo = earlier(device->token_lo, at + GRACE);
	device->may_lower = now_ms();
	if (surely && !has_stream(device, tab, false) && !device->token_doubt &&
	    !model_may_have_zombie(device))
		device->lowered = now_ms();
}

void model_stream_closed(struct tab *tab, bool was_ready)
{
	struct device *device = tab->device;
	int64_t now = now_ms();

	if (was_ready)
		device->closed_lo = later(device->closed_lo, now + GRACE);
	else
		model_activity_in_doubt(device); /* it may have been taken before it was closed */
	device->closed_at = now;
	lower_token(tab, now, was_ready);
	user_stream_lost(device->user);
}

void model_stream_lost(struct tab *tab, bool was_ready)
{
	struct device *device = tab->device;
	/* The server's grace begins when it closes, not when the client reads what came before. */
	int64_t open_until = tab->conn.last_read - patience(DELIVERY);

	if (was_ready)
		device->closed_lo = later(device->closed_lo, open_until + GRACE);
	else
		model_activity_in_doubt(device);
	device->lost_at = now_ms();
	lower_token(tab, was_ready ? open_until : now_ms(), false);
	user_stream_lost(device->user);
}

/* The other side may close it at any time, and nobody here sees it. */
void model_stream_asleep(struct tab *tab)
{
	struct device *device = tab->device;

	device->closed_lo = later(device->closed_lo, now_ms() + GRACE);
	device->lost_at = now_ms();
	lower_token(tab, now_ms(), false);
	user_stream_lost(device->user);
	model_refresh(device->user);
}

/* Until the end of its lifetime the server may hold it for open. */
void model_stream_vanished(struct tab *tab, bool was_ready, bool comes_back)
{
	struct device *device = tab->device;

	if (!was_ready)
		model_activity_in_doubt(device);
	if (!comes_back)
		device->ghost_until = now_ms() + LIFETIME * 6 / 5 + patience(RECOVERY);
	model_stream_asleep(tab);
}

void model_device_back(struct device *device)
{
	device->lost_at = device->may_lower = now_ms();
}

/* Its streams' sessions are not renewed, and others look. */
void model_host_cut(struct chaos *chaos, int host)
{
	int64_t now = now_ms();

	for (unsigned i = 1; i <= chaos->user_count; i++) {
		struct user *user = &chaos->users[i];

		for (int j = 0; j < DEVICES * TABS; j++) {
			struct device *device = &user->devices[j / TABS];
			struct tab *tab = &device->tabs[j % TABS];

			if (tab->state != TAB_READY || tab->host != host || tab->cut_at != 0)
				continue;
			tab->cut_at = now;
			device->lost_at = now;
			user_stream_lost(user);
		}
		model_refresh(user);
	}
}

void model_host_back(struct tab *tab)
{
	tab->cut_at = 0;
	tab->device->lost_at = now_ms();
	model_refresh(tab->device->user);
}

void model_logout_sent(struct device *device)
{
	device->token_lo = device->closed_lo = 0;
	model_refresh(device->user);
}

/* Its streams are the server's to end. */
static void leave_tabs(struct device *device)
{
	for (int i = 0; i < TABS; i++) {
		struct tab *tab = &device->tabs[i];

		if (tab->state == TAB_READY || tab->state == TAB_OPENING)
			tab->state = TAB_ENDING;
		else if (tab->state != TAB_ENDING)
			tab->state = TAB_CLOSED;
	}
}

void model_logged_out(struct device *device)
{
	/* One that Redis has never seen and that was issued in this very second is not refused. */
	bool was_used = device->token_acked > 0;

	device->logged_out_at = now_ms();
	device->subscribed_at = 0;
	leave_tabs(device);
	/* Just after a wipe they may not have put back yet what they knew. */
	user_stream_lost(device->user);
	device->token_lo = device->closed_lo = 0;
	device->token_acked = device->lowered = device->may_lower = 0;
	device->closed_at = device->lost_at = device->ghost_until = 0;
	device->token_doubt = false;
	device->idle = IDLE_NO;
	device->idle_doubt = 0;
	device->saying_idle = false;
	free(device->old_token);
	device->old_token = was_used ? device->token : NULL;
	if (!was_used)
		free(device->token);
	device->token = NULL;
	device->serial++;
	device->logging_out = device->logout_all = false;
	device->logout_retry_at = 0;
	model_refresh(device->user);
}

void model_crowded(struct user *user)
{
	for (int i = 0; i < DEVICES; i++)
		user->devices[i].token_lo = 0;
	user->orphan_at = now_ms();
	model_refresh(user);
}

/* Nobody knows any more that these were revoked. */
static void close_ending_tabs(struct device *device)
{
	for (int i = 0; i < TABS; i++) {
		struct tab *tab = &device->tabs[i];

		if (tab->state != TAB_ENDING)
			continue;
		conn_close(&tab->conn);
		tab->state = TAB_CLOSED;
		model_activity_in_doubt(device);
		device->lost_at = now_ms();
	}
}

void model_data_lost(struct chaos *chaos, int server)
{
	chaos->data_lost_at = now_ms();
	blocks_data_lost(chaos); /* while the streams are as they were */
	wishes_data_lost(chaos);
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		struct user *user = &chaos->users[i];

		if (!stand_may_hold(chaos, server, i))
			continue;
		for (int j = 0; j < DEVICES; j++) {
			struct device *device = &user->devices[j];

			device->token_lo = device->closed_lo = 0;
			free(device->old_token); /* nobody knows any more that it was */
			device->old_token = NULL;
			if (!has_stream(device, NULL, false))
				device->token_acked = 0;
			close_ending_tabs(device);
		}
		states_data_lost(user);
		settings_data_lost(user);
		user->told = false;
		model_refresh(user);
	}
}

/* A session may be missing that was made since, and one be back that was closed. */
static void device_writes_lost(struct device *device, int64_t since)
{
	if (device->token_acked >= since)
		device->token_lo = 0;
	device->closed_lo = 0;
	if (device->lowered >= since)
		device->lowered = 0;
	if (device->closed_at >= since)
		device->lost_at = now_ms();
	close_ending_tabs(device);
	if (device->logged_out_at < since)
		return;
	free(device->old_token); /* it may be good again */
	device->old_token = NULL;
	device->lost_at = device->user->orphan_at = now_ms();
}

void model_writes_lost(struct chaos *chaos, int64_t since)
{
	chaos->data_lost_at = now_ms(); /* of what was sent before the answer proves nothing */
	blocks_writes_lost(chaos, since);
	wishes_writes_lost(chaos, since);
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		struct user *user = &chaos->users[i];

		for (int j = 0; j < DEVICES; j++)
			device_writes_lost(&user->devices[j], since);
		states_writes_lost(user, since);
		settings_writes_lost(user, since);
		user->told = false;
		model_refresh(user);
	}
}

void model_streamd_died(struct chaos *chaos)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		for (int j = 0; j < DEVICES; j++) {
			struct device *device = &chaos->users[i].devices[j];

			/* What it had not told Redis is lost with it. */
			if (device->closed_at >
			    earlier(chaos->trouble_since, now_ms()) - patience(RECOVERY)) {
				device->lowered = 0;
				device->lost_at = now_ms();
			}
		}
	}
}

/* --- what is certain ------------------------------------------------------------------------- */

static int64_t device_held_until(const struct device *device)
{
	int64_t until = later(device->token_lo, device->closed_lo);

	if (device->logging_out)
		return 0;
	if (has_stream(device, NULL, true))
		return FOREVER;
	for (int i = 0; i < TABS; i++) {
		const struct tab *tab = &device->tabs[i];

		/* Until its session lapses, which is not renewed. */
		if (tab->state == TAB_READY && !tab->asleep)
			until = later(until, tab->cut_at + STREAM_TTL - HEARTBEAT - NOTICE);
	}
	return until;
}

void model_refresh(struct user *user)
{
	int64_t now = now_ms(), until = 0;

	for (int i = 0; i < DEVICES; i++) {
		struct device *device = &user->devices[i];

		/* The mark of a token ends with its sessions. */
		if (device->held_until < now && device->idle == IDLE_YES)
			device->idle = IDLE_MAYBE;
		device->held_until = device_held_until(device);
		until = later(until, device->held_until);
	}
	if (user->may_hide)
		until = 0;
	if (user->held_until < now)
		user->held_since = now;
	user->held_until = until;
}

bool model_held(const struct user *user, int64_t from, int64_t to)
{
	return user->held_since <= from && user->held_until >= to;
}

int64_t model_device_gone_at(const struct chaos *chaos, const struct device *device)
{
	int64_t gone = 0;

	if (device->login_pending)
		return FOREVER;
	for (int i = 0; i < TABS; i++) {
		if (device->tabs[i].state != TAB_CLOSED && device->tabs[i].state != TAB_ENDING)
			return FOREVER;
	}
	if (device->token_acked > 0 && device->lowered > 0)
		gone = model_told_by(chaos, device->lowered) + GRACE;
	else if (device->token_acked > 0)
		gone = (device->token_doubt ? model_told_by(chaos, device->token_acked)
					    : device->token_acked) +
		       ONLINE_TTL;
	if (device->closed_at > 0)
		gone = later(gone, model_told_by(chaos, device->closed_at) + GRACE);
	if (device->lost_at > 0 || device->ghost_until > 0)
		gone = later(gone,
			     model_told_by(chaos, later(device->lost_at, device->ghost_until)) +
				     STREAM_TTL + HOLD);
	return gone;
}

int64_t model_gone_at(const struct chaos *chaos, const struct user *user)
{
	int64_t gone = 0, left = 0;

	for (int i = 0; i < DEVICES; i++) {
		gone = later(gone, model_device_gone_at(chaos, &user->devices[i]));
		/* Told at once. It was there until then, of which nothing else is kept. */
		left = later(left, user->devices[i].logged_out_at);
	}
	if (user->orphan_at > 0)
		gone = later(gone, model_told_by(chaos, user->orphan_at) + ONLINE_TTL);
	return later(gone + 2 * SWEEP, left);
}

bool model_decides(const struct chaos *chaos, const struct user *user, int64_t now, bool *online)
{
	*online = user->held_until > now + 2 * SWEEP;
	return *online || states_hide(user) || model_gone_at(chaos, user) < now;
}
