/*
 * What users see of each other. Of `screens` each of the accounts but the last has a stream, and is online. The last has
 * none: it is offline, but for screens_expect_live().
 */
#ifndef PRESENCE_TESTS_SCREENS_H
#define PRESENCE_TESTS_SCREENS_H

#include "harness.h"

/* Sessions outlive every fault, so that nothing else can end them. */
#define SCREENS_TIMES                                                                      \
	"presence { online_ttl = 60 heartbeat = 2 stream_ttl = 50 grace = 2 sweep = 1 }\n" \
	"stream { drain = 1 }\n"

#define SCREENS (USERS - 1)
#define GONE USERS /* the account without a stream */

/* What a screen may show of a user. */
enum truth { EITHER, ONLINE_ALONE, OFFLINE_ALONE };

struct screen {
	struct stack *stack;
	int user;
	const char *token;
	struct sse *sse;
	bool is_current; /* not degraded */
	int64_t since; /* when that changed */
	int64_t longest; /* degraded, ms */
	bool online[USERS + 1];
	int64_t version[USERS + 1];
	enum truth truth[USERS + 1];
	char lie[256]; /* the first */
};

struct screens {
	struct stack *stack;
	struct screen list[SCREENS]; /* of users 1 and on */
};

/* The stream of a user, which may show whatever it likes at first. */
void screen_open(struct screen *screen, struct stack *stack, int user);
/* Takes in what has come; fails the test when it has shown what never was. */
void screen_look(struct screen *screen, const char *when);
/* Whether it shows what a call says, and is not degraded. */
bool screen_is_true(struct screen *screen);

/* Waits until all show each other. */
void screens_open(struct screens *screens, struct stack *stack);
void screens_close(struct screens *screens);
void screens_look(struct screens *screens, const char *when);
bool screens_are_true(struct screens *screens);
/* The last account comes and goes, and each shows it. */
void screens_expect_live(struct screens *screens, int within_ms);

#endif
