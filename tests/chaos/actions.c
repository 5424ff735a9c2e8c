/* What users do. A row: its name, how often, how many variants, what happens. */
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define LOGOUT_RETRY 400
#define NEIGHBOURS 8

/* --- calls that renew the token's session ---------------------------------------------------- */

static void on_activity(struct call *call)
{
	model_answered(call);
}

static void run_heartbeat(struct chaos *chaos, struct device *device, const struct step *step)
{
	(void)step;
	if (device->token != NULL && !device->logging_out)
		call_start(chaos, device, "/online-status/heartbeat", "{}", on_activity);
}

static void run_idle(struct chaos *chaos, struct device *device, const struct step *step)
{
	(void)step;
	states_say_idle(chaos, device, true);
}

static void run_active(struct chaos *chaos, struct device *device, const struct step *step)
{
	(void)step;
	states_say_idle(chaos, device, false);
}

static void run_choose(struct chaos *chaos, struct device *device, const struct step *step)
{
	static const char *const words[] = {"busy", "away", "dnd", ""};

	states_choose(chaos, device, words[step->arg]);
}

static void run_hide(struct chaos *chaos, struct device *device, const struct step *step)
{
	(void)step;
	states_choose(chaos, device, "invisible");
}

static void run_show(struct chaos *chaos, struct device *device, const struct step *step)
{
	(void)step;
	if (device->user->may_hide)
		states_choose(chaos, device, "");
}

/* Asks for one friend, or for whoever has the number. */
static void run_ask(struct chaos *chaos, struct device *device, const struct step *step)
{
	unsigned target = 1 + (device->user->id + step->arg) % chaos->user_count;
	char path[64];
	struct call *call;

	if (device->token == NULL || device->logging_out)
		return;
	snprintf(path, sizeof path, "/online-status/user/%u", target);
	call = call_start(chaos, device, path, NULL, on_activity);
	call->target = target;
}

/* To a friend, or to whoever has the number. */
static void run_type(struct chaos *chaos, struct device *device, const struct step *step)
{
	unsigned from = device->user->id, to = from;

	for (unsigned i = step->arg; i < chaos->user_count; i++) {
		to = 1 + (from + i) % chaos->user_count;
		if (step->arg == 0 || friends_are(chaos, from, to))
			break;
	}
	typing_say(chaos, device, to);
}

/* --- logging in and out ---------------------------------------------------------------------- */

static void on_login(struct call *call)
{
	struct device *device = call->device;
	struct json_object *answer, *token;

	device->login_pending = false;
	answer = json_tokener_parse(call->body);
	if (call->status == 200 && json_object_object_get_ex(answer, "access_token", &token)) {
		device->token = xstrdup(json_object_get_string(token));
		device->serial++;
		model_activity_taken(device, call->sent);
	} else {
		device->user->orphan_at = now_ms();
	}
	json_object_put(answer);
}

/* A token that is made while all are revoked may be among those. */
static bool is_leaving(const struct user *user)
{
	for (int i = 0; i < DEVICES; i++) {
		if (user->devices[i].logout_all)
			return true;
	}
	return false;
}

/* With the password; or with a token that the site's own server made. */
static void run_login(struct chaos *chaos, struct device *device, const struct step *step)
{
	char body[128];
	struct call *call;

	if (device->token != NULL || device->login_pending || is_leaving(device->user))
		return;
	if (step->arg > 0) {
		const char *token = token_for(chaos->stand.stack, device->user->text);

		device->token = (char *)token;
		device->serial++;
		return;
	}
	snprintf(body, sizeof body, "{\"email\":\"chaos%u@example.com\",\"password\":\"%s\"}",
		 device->user->id, PASSWORD);
	device->login_pending = true;
	call = call_start(chaos, device, "/auth/login/json", body, on_login);
	call->is_activity = false;
}

/* All of the user's devices, or this one. */
static void now_logged_out(struct device *device)
{
	struct user *user = device->user;
	bool all = device->logout_all;

	for (int i = 0; i < DEVICES; i++) {
		struct device *each = &user->devices[i];

		if ((each != device && !all) || each->token == NULL)
			continue;
		model_logged_out(each);
	}
}

static void on_logout(struct call *call)
{
	struct device *device = call->device;

	if (call->serial != device->serial)
		return;
	if (call->status == 200 || call->status == 401)
		now_logged_out(device);
	else
		device->logout_retry_at = now_ms() + LOGOUT_RETRY;
}

static void send_logout(struct chaos *chaos, struct device *device)
{
	struct call *call = call_start(
		chaos, device, device->logout_all ? "/auth/logout?all=true" : "/auth/logout", "",
		on_logout);

	call->is_activity = false;
	device->logout_retry_at = 0;
}

void actions_repeat(struct chaos *chaos)
{
	int64_t now = now_ms();

	for (unsigned i = 1; i <= chaos->user_count; i++) {
		for (int j = 0; j < DEVICES; j++) {
			struct device *device = &chaos->users[i].devices[j];

			if (device->logging_out && device->logout_retry_at > 0 &&
			    device->logout_retry_at <= now)
				send_logout(chaos, device);
		}
	}
}

/* A browser that logs out keeps its tabs: the server closes their streams. */
static void run_logout(struct chaos *chaos, struct device *device, const struct step *step)
{
	(void)step;
	if (device->token == NULL || device->logging_out)
		return;
	device->logging_out = true;
	model_logout_sent(device);
	send_logout(chaos, device);
}

void actions_leave(struct chaos *chaos, struct device *device)
{
	bool has_stream = device->tabs[0].state == TAB_READY || device->tabs[1].state == TAB_READY;

	for (int i = 0; i < DEVICES; i++) {
		struct device *each = &device->user->devices[i];

		/* A token without a stream would keep its user online for long. */
		if (each != device || !has_stream)
			run_logout(chaos, each, NULL);
	}
	for (int i = 0; i < TABS; i++) {
		if (device->tabs[i].state != TAB_CLOSED && !device->logging_out)
			tab_close(&device->tabs[i], false);
	}
}

static void run_logout_all(struct chaos *chaos, struct device *device, const struct step *step)
{
	struct user *user = device->user;

	(void)step;
	for (int i = 0; i < DEVICES; i++) {
		if (user->devices[i].logging_out || user->devices[i].login_pending)
			return;
	}
	if (device->token == NULL)
		return;
	device->logout_all = true;
	for (int i = 0; i < DEVICES; i++) {
		if (user->devices[i].token == NULL)
			continue;
		user->devices[i].logging_out = true;
		model_logout_sent(&user->devices[i]);
	}
	send_logout(chaos, device);
}

/* Nothing is under way that a kick may come before or after. */
static bool is_settled(const struct user *user)
{
	for (int i = 0; i < DEVICES; i++) {
		const struct device *device = &user->devices[i];

		if (device->logging_out || device->login_pending || device->token_doubt ||
		    (device->token != NULL && device->token_acked == 0))
			return false;
		for (int j = 0; j < TABS; j++) {
			if (device->tabs[j].state == TAB_OPENING ||
			    device->tabs[j].state == TAB_TICKET)
				return false;
		}
	}
	return true;
}

/* The operator ends all sessions. */
static void run_kick(struct chaos *chaos, struct device *device, const struct step *step)
{
	struct user *user = device->user;

	(void)step;
	if (!is_settled(user) || chaos_in_trouble(chaos, now_ms()))
		return;
	for (int i = 0; i < DEVICES; i++)
		model_logout_sent(&user->devices[i]);
	CTL(chaos->stand.stack, "kick", user->text);
	for (int i = 0; i < DEVICES; i++) {
		if (user->devices[i].token != NULL)
			model_logged_out(&user->devices[i]);
	}
}

/* --- tabs ------------------------------------------------------------------------------------ */

static void run_open(struct chaos *chaos, struct device *device, const struct step *step)
{
	struct tab *tab = &device->tabs[step->tab];

	if (device->token == NULL) {
		run_login(chaos, device, &(struct step){.arg = 1});
		if (device->token == NULL)
			return;
	}
	if (tab->state == TAB_CLOSED && tab->conn.fd < 0 && !device->logging_out)
		tab_open(tab, step->arg);
}

static void run_close(struct chaos *chaos, struct device *device, const struct step *step)
{
	struct tab *tab = &device->tabs[step->tab];

	(void)chaos;
	if (tab->state != TAB_CLOSED)
		tab_close(tab, step->arg == 1);
}

static void run_reload(struct chaos *chaos, struct device *device, const struct step *step)
{
	struct tab *tab = &device->tabs[step->tab];

	if (tab->state == TAB_CLOSED || device->token == NULL || device->logging_out)
		return;
	tab_close(tab, false);
	tab_open(tab, step->arg);
	(void)chaos;
}

/* The browser closed: all tabs at once. */
static void run_quit(struct chaos *chaos, struct device *device, const struct step *step)
{
	(void)chaos;
	for (int i = 0; i < TABS; i++) {
		if (device->tabs[i].state != TAB_CLOSED)
			tab_close(&device->tabs[i], step->arg == 1);
	}
}

/* A laptop asleep, or a reader that is too slow. */
static void run_stall(struct chaos *chaos, struct device *device, const struct step *step)
{
	struct tab *tab = &device->tabs[step->tab];

	(void)chaos;
	if (tab->state == TAB_READY && !tab->asleep)
		tab_sleep(tab);
	else if (tab->state == TAB_READY && tab->awake_at == 0)
		tab_wake(tab);
}

/* All tabs of all devices: one more than a user may have. */
static void run_crowd(struct chaos *chaos, struct device *device, const struct step *step)
{
	for (int i = 0; i < DEVICES; i++) {
		for (unsigned j = 0; j < TABS; j++)
			run_open(chaos, &device->user->devices[i],
				 &(struct step){.tab = j, .arg = step->arg});
	}
}

/* --- tokens ---------------------------------------------------------------------------------- */

static void on_dead(struct call *call)
{
	(void)call; /* the properties have looked at it */
}

/* Somebody kept a token that was logged out. */
static void run_revive(struct chaos *chaos, struct device *device, const struct step *step)
{
	(void)step;
	if (device->old_token != NULL)
		call_start_with(chaos, device, device->old_token, "/online-status/heartbeat", "{}",
				on_dead)
			->is_dead = true;
}

static void on_visit(struct call *call)
{
	model_crowded(call->device->user);
}

/* More tokens than a user may have sessions: a program that logs in for each call. */
static void run_visit(struct chaos *chaos, struct device *device, const struct step *step)
{
	(void)step;
	if (is_leaving(device->user))
		return;
	model_crowded(device->user);
	for (int i = 0; i < SESSIONS_MAX; i++) {
		char *token = (char *)token_for(chaos->stand.stack, device->user->text);

		call_start_with(chaos, device, token, "/online-status/heartbeat", "{}", on_visit);
		free(token);
	}
}

/* --- friends --------------------------------------------------------------------------------- */

static void run_befriend(struct chaos *chaos, struct device *device, const struct step *step)
{
	unsigned a = device->user->id, b = 1 + (a + step->arg) % chaos->user_count;

	if (a != b && !chaos->stand.directory_away)
		friends_set(chaos, a, b, !friends_are(chaos, a, b));
}

/* --- blocks, settings, wishes ---------------------------------------------------------------- */

/* A friend, most often: those who had the next numbers at first. */
static unsigned neighbour(const struct chaos *chaos, const struct user *user, unsigned arg)
{
	unsigned step = arg < 4 ? arg + 1 : chaos->user_count - (arg - 3);

	return 1 + (user->id - 1 + step) % chaos->user_count;
}

static void run_block(struct chaos *chaos, struct device *device, const struct step *step)
{
	blocks_change(chaos, device, neighbour(chaos, device->user, step->arg), true);
}

/* One of those that are blocked. */
static void run_unblock(struct chaos *chaos, struct device *device, const struct step *step)
{
	for (unsigned i = 0; i < NEIGHBOURS; i++)
		blocks_change(chaos, device,
			      neighbour(chaos, device->user, (step->arg + i) % NEIGHBOURS), false);
}

static void run_set(struct chaos *chaos, struct device *device, const struct step *step)
{
	settings_set(chaos, device, (enum rule)step->arg);
}

static void run_subscribe(struct chaos *chaos, struct device *device, const struct step *step)
{
	(void)step;
	wishes_subscribe(chaos, device);
}

/* One who is not there, if there is one. */
static void run_wait_for(struct chaos *chaos, struct device *device, const struct step *step)
{
	unsigned other = neighbour(chaos, device->user, step->arg);

	for (unsigned i = 0; i < NEIGHBOURS; i++) {
		unsigned next = neighbour(chaos, device->user, (step->arg + i) % NEIGHBOURS);

		if (!chaos->users[next].told_online &&
		    !blocks_may_hide(chaos, device->user->id, next)) {
			other = next;
			break;
		}
	}
	wishes_change(chaos, device, other, true);
}

static void run_wait_no_more(struct chaos *chaos, struct device *device, const struct step *step)
{
	wishes_change(chaos, device, neighbour(chaos, device->user, step->arg), false);
}

/* --- the table ------------------------------------------------------------------------------- */

const struct action actions[] = {
	{"open", 34, 3, run_open}, /* by header, query or ticket */
	{"close", 16, 2, run_close}, /* FIN or RST */
	{"quit", 4, 2, run_quit}, /* the browser: all tabs of the device */
	{"reload", 8, 3, run_reload},
	{"crowd", 1, 3, run_crowd}, /* a tab too many */
	{"stall", 3, 1, run_stall}, /* reads nothing, until it comes again */
	{"login", 6, 2, run_login}, /* by password; with a token that the site made */
	{"logout", 6, 1, run_logout},
	{"logout-all", 2, 1, run_logout_all},
	{"kick", 1, 1, run_kick}, /* by the operator */
	{"revive", 3, 1, run_revive}, /* with a token that was logged out */
	{"visit", 1, 1, run_visit}, /* with as many tokens as a user has sessions */
	{"heartbeat", 8, 1, run_heartbeat},
	{"ask", 10, 12, run_ask}, /* for whom */
	{"befriend", 3, 12, run_befriend}, /* whom, or no longer */
	{"choose", 5, 4, run_choose}, /* busy, away, dnd; automatic again */
	{"hide", 5, 1, run_hide},
	{"show", 6, 1, run_show},
	{"type", 24, 12, run_type}, /* to whom */
	{"block", 8, NEIGHBOURS, run_block},
	{"unblock", 9, NEIGHBOURS, run_unblock},
	{"set", 3, RULES, run_set}, /* when it was there, as others learn it */
	{"subscribe", 4, 1, run_subscribe},
	{"wait-for", 10, NEIGHBOURS, run_wait_for}, /* a friend, and goes */
	{"wait-no-more", 1, NEIGHBOURS, run_wait_no_more},
	{"idle", 6, 1, run_idle},
	{"active", 4, 1, run_active},
};
const size_t action_count = sizeof actions / sizeof actions[0];

const struct action *action_find(const char *name)
{
	for (size_t i = 0; i < action_count; i++) {
		if (strcmp(actions[i].name, name) == 0)
			return &actions[i];
	}
	return NULL;
}
