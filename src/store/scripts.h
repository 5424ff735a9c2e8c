/* The Lua scripts (scripts/), as Redis gets to know them. */
#ifndef PRESENCE_STORE_SCRIPTS_H
#define PRESENCE_STORE_SCRIPTS_H

#include "base/buf.h"

/* Of store.c, of push.c, of figures.c and scrape.c. */
enum script {
	SCRIPT_TOUCH,
	SCRIPT_CHOOSE,
	SCRIPT_SETTINGS,
	SCRIPT_TYPING,
	SCRIPT_PLACE,
	SCRIPT_LEAVE,
	SCRIPT_NEAR,
	SCRIPT_CLOSE,
	SCRIPT_END,
	SCRIPT_SWEEP,
	SCRIPT_EPOCH,
	SCRIPT_LOOK,
	SCRIPT_HEALTH,
	SCRIPT_WEBSOCKET,
	SCRIPT_THROTTLE,
	SCRIPT_UNTHROTTLE,
	SCRIPT_MAY_BLOCK,
	SCRIPT_BLOCK,
	SCRIPT_DROP,
	SCRIPT_PUSH_SUBSCRIBE,
	SCRIPT_PUSH_ENQUEUE,
	SCRIPT_PUSH_WANT,
	SCRIPT_PUSH_WAIT,
	SCRIPT_PUSH_TICK,
	SCRIPT_PUSH_COUNT,
	SCRIPT_PUSH_LATER,
	SCRIPT_PUSH_DONE,
	SCRIPT_FIGURES_ADD,
	SCRIPT_FIGURES_READ,
	SCRIPT_COUNT,
};

#define SCRIPT_NAME_LEN 40 /* SHA-1 in hex */

/* What EVALSHA calls it by. */
const char *scripts_name(enum script script);

/* Appends SCRIPT LOAD for each; returns how many commands that are. */
unsigned scripts_put_load(struct printbuf *out);

#endif
