/* One run of a plan: its episodes, each with its quiet time and its checks. */
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"

#define QUIET_MIN (GRACE + 2 * SWEEP)
#define QUIET_MAX 9000 /* whoever may take longer to be gone is left undecided */
#define QUIET_LONG 15000 /* the same, in each fourth episode */
#define SETTLE_LIMIT 12000 /* after that a difference is no delay (stretched) */
#define LOOK_AGAIN 200

void chaos_log(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void chaos_note(struct user *user, const char *format, ...)
{
	char **note = &user->notes[user->note_count++ % NOTES], text[300], *line;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	ck_assert(asprintf(&line, "%lld.%03d %s", (long long)now_ms() / 1000,
			   (int)(now_ms() % 1000), text) > 0);
	free(*note);
	*note = line;
}

void chaos_show_notes(const struct chaos *chaos, unsigned user)
{
	const struct user *blamed = &chaos->users[user];

	if (user == 0)
		return;
	chaos_log("The last of user %u, and it is %lld.%03d:", user, (long long)now_ms() / 1000,
		  (int)(now_ms() % 1000));
	for (unsigned i = 0; i < NOTES; i++) {
		const char *note = blamed->notes[(blamed->note_count + i) % NOTES];

		if (note != NULL)
			chaos_log("  %s", note);
	}
}

bool chaos_in_trouble(const struct chaos *chaos, int64_t since)
{
	if (chaos->stand.moving != 0 || chaos->stand.is_unsettled)
		return true;
	for (int i = 0; i < ACTIVE_MAX; i++) {
		if (chaos->active[i].step != NULL)
			return true;
	}
	return chaos->calm_since > 0 && since < chaos->calm_since + patience(RECOVERY);
}

static bool may_be_left_alone(const struct chaos *chaos, int64_t since)
{
	return (chaos->stand.layout == LAYOUT_PARTITIONS ||
		chaos->stand.layout == LAYOUT_CLUSTER) &&
	       chaos->calm_since > 0 && since < chaos->calm_since + patience(RECOVERY) + LEFT_ALONE;
}

bool chaos_excuses(const struct chaos *chaos, int status, int64_t since)
{
	if (status == 503)
		return chaos_in_trouble(chaos, since) || may_be_left_alone(chaos, since);
	return (status == 0 || status >= 500) && chaos->crashed_at > 0 &&
	       since < chaos->crashed_at + patience(RECOVERY);
}

/* --- faults ---------------------------------------------------------------------------------- */

static void note_gap(struct chaos *chaos, const struct step *step)
{
	if ((step->fault->traits & GAP) == 0)
		return;
	/* Behind Sentinels the screens may be right again before the server that was struck is back. */
	chaos->gap_at = chaos->stand.is_unsettled ? chaos->stand.struck_at : now_ms();
	chaos->gap_server = stand_server_for(chaos, step);
}

static void note_amiss(struct chaos *chaos, const struct step *step, int64_t until)
{
	if ((step->fault->traits & WIPES) == 0 && until > chaos->amiss_until)
		chaos->amiss_until = until;
}

static void ended(struct chaos *chaos, const struct step *step)
{
	chaos->calm_since = now_ms();
	note_gap(chaos, step);
	if (step->fault->traits & CRASHES)
		chaos->crashed_at = chaos->calm_since;
	note_amiss(chaos, step, chaos->calm_since);
}

static void begin_fault(struct chaos *chaos, const struct step *step)
{
	struct active *active = chaos->active;

	while (active < chaos->active + ACTIVE_MAX && active->step != NULL)
		active++;
	if (active == chaos->active + ACTIVE_MAX ||
	    ((step->fault->traits & NEEDS_REDIS) && !stand_redis_answers(chaos)))
		return;
	if (!chaos_in_trouble(chaos, now_ms()))
		chaos->trouble_since = now_ms();
	active->step = step; /* from now on there is trouble */
	if (!step->fault->begin(chaos, step)) {
		active->step = NULL;
		return;
	}
	chaos_log("  %d ms: %s %u for %d ms", step->at, step->fault->name, step->arg, step->lasts);
	active->end_at = now_ms() + step->lasts;
	if (step->fault->traits & CRASHES)
		chaos->crashed_at = FOREVER;
	note_gap(chaos, step);
	note_amiss(chaos, step, active->end_at);
	if (step->fault->end == NULL) {
		active->step = NULL;
		ended(chaos, step);
	}
}

static void end_faults(struct chaos *chaos)
{
	for (struct active *active = chaos->active; active < chaos->active + ACTIVE_MAX; active++) {
		const struct step *step = active->step;

		if (step == NULL || active->end_at > now_ms() ||
		    ((step->fault->traits & NEEDS_REDIS) && !stand_redis_answers(chaos)))
			continue;
		step->fault->end(chaos, step);
		active->step = NULL;
		ended(chaos, step);
	}
}

static bool any_fault(const struct chaos *chaos)
{
	for (int i = 0; i < ACTIVE_MAX; i++) {
		if (chaos->active[i].step != NULL)
			return true;
	}
	return chaos->stand.moving != 0 || chaos->stand.is_unsettled;
}

/* --- an episode ------------------------------------------------------------------------------ */

static void turn(struct chaos *chaos, int64_t until)
{
	conn_turn(chaos, until);
	end_faults(chaos);
	shards_turn(chaos);
	sentinels_turn(chaos);
	tabs_come_back(chaos);
	actions_repeat(chaos);
	calls_give_up_late(chaos);
	friends_announce(chaos);
	initials_watch(chaos);
	properties_peek(chaos);
	properties_passed(chaos);
}

static void take_step(struct chaos *chaos, const struct step *step)
{
	chaos->result->steps++;
	if (step->fault != NULL) {
		begin_fault(chaos, step);
		return;
	}
	/* Without a network nobody does anything, nor does one who waits. */
	if (chaos->users[step->user].cuts > 0 || chaos->users[step->user].rests_until > now_ms())
		return;
	chaos_note(&chaos->users[step->user], "%s device %u tab %u", step->action->name,
		   step->device, step->tab);
	step->action->run(chaos, &chaos->users[step->user].devices[step->device], step);
	model_refresh(&chaos->users[step->user]);
}

static void play(struct chaos *chaos, const struct step *steps, size_t count)
{
	int64_t base = now_ms();

	for (size_t i = 0; i < count && !chaos->over; i++) {
		while (now_ms() < base + steps[i].at && !chaos->over)
			turn(chaos, base + steps[i].at);
		if (!chaos->over)
			take_step(chaos, &steps[i]);
	}
	while (any_fault(chaos) && !chaos->over)
		turn(chaos, now_ms() + 10);
}

/* Who reads nothing reads again: what it missed must come. */
static void wake_readers(struct chaos *chaos)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		for (int j = 0; j < DEVICES; j++) {
			for (int k = 0; k < TABS; k++) {
				struct tab *tab = &chaos->users[i].devices[j].tabs[k];

				if (tab->asleep && tab->awake_at == 0)
					tab_wake(tab);
			}
		}
	}
}

static bool is_busy(const struct chaos *chaos)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		for (int j = 0; j < DEVICES; j++) {
			if (chaos->users[i].devices[j].logging_out ||
			    chaos->users[i].devices[j].login_pending)
				return true;
		}
	}
	return chaos->calls != NULL;
}

/* When everybody who goes has gone. */
static int64_t decided_at(const struct chaos *chaos)
{
	int64_t last = now_ms() + QUIET_MIN;
	int64_t limit = now_ms() + (chaos->result->episode % 4 == 3 ? QUIET_LONG : QUIET_MAX);

	for (unsigned i = 1; i <= chaos->user_count; i++) {
		int64_t gone = model_gone_at(chaos, &chaos->users[i]);

		if (gone > last && gone <= limit)
			last = gone;
	}
	return last;
}

/* Quiet, then the check: again and again until all holds or the time is over. */
static void settle(struct chaos *chaos)
{
	int64_t quiet = now_ms(), decided, limit = quiet + patience(SETTLE_LIMIT);

	wake_readers(chaos);
	while (is_busy(chaos) && now_ms() < limit && !chaos->over)
		turn(chaos, now_ms() + 10);
	decided = decided_at(chaos);
	while (now_ms() < decided && !chaos->over)
		turn(chaos, decided);
	limit = now_ms() + patience(SETTLE_LIMIT);
	while (!chaos->over && !properties_settled(chaos) && !chaos->over) {
		int64_t again = now_ms() + LOOK_AGAIN;

		if (now_ms() > limit) {
			properties_give_up(chaos);
			return;
		}
		while (now_ms() < again && !chaos->over)
			turn(chaos, again);
	}
	if (!chaos->over)
		chaos_log("  quiet for %lld ms, all is true", (long long)(now_ms() - quiet));
}

static void begin_count(struct chaos *chaos)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		for (int j = 0; j < DEVICES; j++) {
			for (int k = 0; k < TABS; k++)
				chaos->users[i].devices[j].tabs[k].degrades = 0;
		}
	}
}

static void run_episode(struct chaos *chaos, const struct step *steps, size_t count)
{
	unsigned episode = count > 0 ? steps[0].episode : 0;

	chaos_log("episode %u: %zu steps", episode, count);
	chaos->result->episode = episode;
	begin_count(chaos);
	play(chaos, steps, count);
	if (!chaos->over)
		settle(chaos);
	chaos->result->episodes += !chaos->over;
}

/* --- a run ----------------------------------------------------------------------------------- */

void chaos_make_users(struct chaos *chaos, unsigned count)
{
	chaos->user_count = count;
	chaos->users = xcalloc(count + 1, sizeof *chaos->users);
	chaos->friends = xcalloc((count + 1) * (count + 1), sizeof *chaos->friends);
	chaos->untold = xcalloc(count + 1, sizeof *chaos->untold);
	blocks_init(chaos);
	wishes_init(chaos);
	for (unsigned i = 1; i <= count; i++) {
		struct user *user = &chaos->users[i];

		user->id = i;
		user->told =
			true; /* of an empty Redis nobody has to be told that all are offline */
		snprintf(user->text, sizeof user->text, "%u", i);
		for (int j = 0; j < DEVICES; j++) {
			user->devices[j].user = user;
			for (int k = 0; k < TABS; k++) {
				struct tab *tab = &user->devices[j].tabs[k];

				tab->device = &user->devices[j];
				tab->conn = (struct conn){.chaos = chaos, .fd = -1};
				tab->view = xcalloc(count + 1, sizeof *tab->view);
			}
		}
	}
}

static size_t episode_length(const struct plan *plan, size_t first)
{
	size_t end = first;

	while (end < plan->count && plan->steps[end].episode == plan->steps[first].episode)
		end++;
	return end - first;
}

static void run_all(struct chaos *chaos)
{
	for (size_t at = 0; at < chaos->plan->count && !chaos->over;) {
		size_t count = episode_length(chaos->plan, at);

		run_episode(chaos, chaos->plan->steps + at, count);
		at += count;
	}
}

static void run_for(struct chaos *chaos, int seconds)
{
	int64_t end = now_ms() + (int64_t)seconds * 1000;

	for (unsigned episode = 0; now_ms() < end && !chaos->over; episode++) {
		struct plan plan = *chaos->plan;

		plan.steps = NULL;
		plan.count = plan.capacity = 0;
		plan_add_episode(&plan, episode);
		run_episode(chaos, plan.steps, plan.count);
		if (!chaos->over) /* else a fault may not be ended yet */
			plan_free(&plan);
	}
}

void chaos_run(const struct plan *plan, int seconds, struct result *result)
{
	struct chaos *chaos = xcalloc(1, sizeof *chaos);
	char observer[12];

	chaos->plan = plan;
	chaos->result = result;
	chaos->prng.state = plan->seed;
	chaos->epoll = epoll_create1(EPOLL_CLOEXEC);
	chaos->complaint = xcalloc(property_count, sizeof *chaos->complaint);
	chaos->accused = xcalloc(property_count, sizeof *chaos->accused);
	chaos->looks = xcalloc(property_count, sizeof *chaos->looks);
	chaos_make_users(chaos, plan->users);
	stand_start(chaos);
	snprintf(observer, sizeof observer, "%u", plan->users + 1);
	chaos->observer = (char *)token_until(chaos->stand.stack, observer, 360000);
	if (plan->count > 0)
		run_all(chaos);
	else
		run_for(chaos, seconds);
	if (chaos->over)
		chaos_show_notes(chaos, chaos->blamed);
	conns_come_back(chaos, true);
	stand_stop(chaos);
}
