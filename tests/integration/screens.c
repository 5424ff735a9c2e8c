#include "screens.h"

#include <stdio.h>
#include <string.h>

#include "calls.h"

static void see(struct screen *screen, struct json_object *status, const char *text)
{
	int id = json_object_get_int(json_at(status, "user_id"));
	bool online = json_object_get_boolean(json_at(status, "is_online"));

	ck_assert_int_le(id, USERS);
	screen->online[id] = online;
	screen->version[id] = json_object_get_int64(json_at(status, "version"));
	if (screen->truth[id] == (online ? OFFLINE_ALONE : ONLINE_ALONE) && screen->lie[0] == '\0')
		snprintf(screen->lie, sizeof screen->lie, "user %d saw: %s", screen->user, text);
}

static void see_all(struct screen *screen, struct event *initial)
{
	json_object_object_foreach(initial->json, id, status)
	{
		(void)id;
		see(screen, status, initial->data);
	}
}

static void set_current(struct screen *screen, bool is_current)
{
	int64_t now = now_ms();

	if (is_current && !screen->is_current && now - screen->since > screen->longest)
		screen->longest = now - screen->since;
	if (is_current != screen->is_current)
		screen->since = now;
	screen->is_current = is_current;
}

static void take_in(struct screen *screen)
{
	struct event *event;

	while ((event = sse_next(screen->sse, 1)) != NULL) {
		if (strcmp(event->name, "initial") == 0) {
			see_all(screen, event);
			set_current(screen, true);
		} else if (strcmp(event->name, "status_change") == 0) {
			see(screen, event->json, event->data);
		} else if (strcmp(event->name, "degraded") == 0) {
			set_current(screen, false);
		}
	}
	ck_assert_msg(!sse_ended(screen->sse), "the stream of user %d ended", screen->user);
}

void screen_look(struct screen *screen, const char *when)
{
	take_in(screen);
	ck_assert_msg(screen->lie[0] == '\0', "%s: %s", when, screen->lie);
}

void screens_look(struct screens *screens, const char *when)
{
	for (int i = 0; i < SCREENS; i++)
		screen_look(&screens->list[i], when);
}

bool screen_is_true(struct screen *screen)
{
	struct response *answer =
		HTTP(screen->stack, .path = STATUS_FRIENDS, .token = screen->token);
	bool same = answer->status == 200;

	take_in(screen);
	for (int id = 1; same && id <= USERS; id++) {
		struct json_object *status;
		char key[12];

		snprintf(key, sizeof key, "%d", id);
		if (id == screen->user)
			continue;
		status = json_at(answer->json, key);
		same = json_object_get_boolean(json_at(status, "is_online")) ==
			       screen->online[id] &&
		       json_object_get_int64(json_at(status, "version")) == screen->version[id];
	}
	return same && screen->is_current;
}

bool screens_are_true(struct screens *screens)
{
	for (int i = 0; i < SCREENS; i++) {
		if (!screen_is_true(&screens->list[i]))
			return false;
	}
	return true;
}

static void expect_all(struct screens *screens)
{
	for (int i = 0; i < SCREENS; i++) {
		for (int id = 1; id <= USERS; id++)
			screens->list[i].truth[id] = id == GONE ? OFFLINE_ALONE : ONLINE_ALONE;
	}
}

void screen_open(struct screen *screen, struct stack *stack, int user)
{
	char id[12];

	memset(screen, 0, sizeof *screen);
	screen->stack = stack;
	screen->user = user;
	screen->since = now_ms();
	snprintf(id, sizeof id, "%d", user);
	screen->token = token_for(stack, id);
	screen->sse = sse_open(stack, screen->token);
	ck_assert_int_eq(sse_status(screen->sse), 200);
}

void screens_open(struct screens *screens, struct stack *stack)
{
	memset(screens, 0, sizeof *screens);
	screens->stack = stack;
	for (int i = 0; i < SCREENS; i++)
		screen_open(&screens->list[i], stack, i + 1);
	WAIT_UNTIL(screens_are_true(screens), 10000); /* not all were online before */
	for (int i = 0; i < SCREENS; i++)
		screens->list[i].longest = 0;
	expect_all(screens);
}

void screens_close(struct screens *screens)
{
	for (int i = 0; i < SCREENS; i++)
		sse_close(screens->list[i].sse);
}

static void expect_of_gone(struct screens *screens, enum truth truth)
{
	for (int i = 0; i < SCREENS; i++)
		screens->list[i].truth[GONE] = truth;
}

static void wait_for_all(struct screens *screens, bool online, int within_ms)
{
	for (int i = 0; i < SCREENS; i++)
		WAIT_UNTIL((screen_look(&screens->list[i], "a change"),
			    screens->list[i].online[GONE] == online),
			   within_ms);
}

void screens_expect_live(struct screens *screens, int within_ms)
{
	struct stack *stack = screens->stack;
	const char *token;
	char id[12];

	snprintf(id, sizeof id, "%d", GONE);
	token = token_for(stack, id);
	screens_look(screens, "before a change");
	expect_of_gone(screens, EITHER);
	WAIT_UNTIL(HTTP(stack, .path = COUNT, .token = token)->status == 200, within_ms);
	wait_for_all(screens, true, within_ms);
	WAIT_UNTIL(HTTP(stack, .path = LOGOUT, .token = token, .body = "")->status == 200,
		   within_ms);
	wait_for_all(screens, false, within_ms);
	expect_of_gone(screens, OFFLINE_ALONE);
}
