#include "store/scripts.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "store/resp.h"

static const char time_source[] =
#include "store/scripts/time.lua.inc"
	;
static const char head_source[] =
#include "store/scripts/head.lua.inc"
	;
static const char common_source[] =
#include "store/scripts/common.lua.inc"
	;
static const char touch_quick_source[] =
#include "store/scripts/touch_quick.lua.inc"
	;
static const char counters_source[] =
#include "store/scripts/counters.lua.inc"
	;
static const char sessions_source[] =
#include "store/scripts/sessions.lua.inc"
	;
static const char touch_source[] =
#include "store/scripts/touch.lua.inc"
	;
static const char choose_source[] =
#include "store/scripts/choose.lua.inc"
	;
static const char settings_source[] =
#include "store/scripts/settings.lua.inc"
	;
static const char friends_source[] =
#include "store/scripts/friends.lua.inc"
	;
static const char place_source[] =
#include "store/scripts/place.lua.inc"
	;
static const char leave_source[] =
#include "store/scripts/leave.lua.inc"
	;
static const char near_source[] =
#include "store/scripts/near.lua.inc"
	;
static const char typing_source[] =
#include "store/scripts/typing.lua.inc"
	;
static const char close_source[] =
#include "store/scripts/close.lua.inc"
	;
static const char end_source[] =
#include "store/scripts/end.lua.inc"
	;
static const char sweep_source[] =
#include "store/scripts/sweep.lua.inc"
	;
static const char epoch_source[] =
#include "store/scripts/epoch.lua.inc"
	;
static const char look_source[] =
#include "store/scripts/look.lua.inc"
	;
static const char health_source[] =
#include "store/scripts/health.lua.inc"
	;
static const char websocket_source[] =
#include "store/scripts/websocket.lua.inc"
	;
static const char throttle_source[] =
#include "store/scripts/throttle.lua.inc"
	;
static const char drop_source[] =
#include "store/scripts/drop.lua.inc"
	;
static const char unthrottle_source[] =
#include "store/scripts/unthrottle.lua.inc"
	;
static const char may_block_source[] =
#include "store/scripts/may_block.lua.inc"
	;
static const char block_source[] =
#include "store/scripts/block.lua.inc"
	;

static const char push_let_in_source[] =
#include "store/scripts/push_let_in.lua.inc"
	;
static const char push_subscribe_source[] =
#include "store/scripts/push_subscribe.lua.inc"
	;
static const char push_enqueue_source[] =
#include "store/scripts/push_enqueue.lua.inc"
	;
static const char push_want_source[] =
#include "store/scripts/push_want.lua.inc"
	;
static const char push_wait_source[] =
#include "store/scripts/push_wait.lua.inc"
	;
static const char push_tick_source[] =
#include "store/scripts/push_tick.lua.inc"
	;
static const char push_count_source[] =
#include "store/scripts/push_count.lua.inc"
	;
static const char push_later_source[] =
#include "store/scripts/push_later.lua.inc"
	;
static const char push_done_source[] =
#include "store/scripts/push_done.lua.inc"
	;
static const char figures_add_source[] =
#include "store/scripts/figures_add.lua.inc"
	;
static const char figures_read_source[] =
#include "store/scripts/figures_read.lua.inc"
	;

/*
 * With a first line such as these Redis itself refuses, before it runs the
 * script, what it would refuse when that writes: so it does so also when there is
 * nothing to write.
 */
#define WRITES "#!lua\n"
#define READS "#!lua flags=no-writes\n"

#define COMMON time_source, head_source, common_source
#define USER counters_source, sessions_source /* for what a user does, after COMMON */
#define PIECES_MAX 8

/* What each is made of, in this order. */
static const char *const sources[SCRIPT_COUNT][PIECES_MAX] = {
	[SCRIPT_TOUCH] = {WRITES, time_source, touch_quick_source, head_source, common_source, USER,
			  touch_source},
	[SCRIPT_CHOOSE] = {WRITES, COMMON, USER, choose_source},
	[SCRIPT_SETTINGS] = {WRITES, COMMON, USER, settings_source},
	[SCRIPT_TYPING] = {WRITES, COMMON, friends_source, typing_source},
	[SCRIPT_PLACE] = {WRITES, COMMON, USER, place_source},
	[SCRIPT_LEAVE] = {WRITES, COMMON, USER, leave_source},
	[SCRIPT_NEAR] = {WRITES, COMMON, friends_source, near_source},
	[SCRIPT_CLOSE] = {WRITES, COMMON, close_source},
	[SCRIPT_END] = {WRITES, COMMON, end_source},
	[SCRIPT_SWEEP] = {WRITES, COMMON, sweep_source},
	[SCRIPT_EPOCH] = {WRITES, COMMON, epoch_source},
	[SCRIPT_LOOK] = {READS, COMMON, look_source},
	[SCRIPT_HEALTH] = {WRITES, COMMON, health_source},
	[SCRIPT_WEBSOCKET] = {WRITES, COMMON, USER, websocket_source},
	[SCRIPT_THROTTLE] = {WRITES, COMMON, counters_source, throttle_source},
	[SCRIPT_UNTHROTTLE] = {WRITES, COMMON, counters_source, unthrottle_source},
	[SCRIPT_MAY_BLOCK] = {WRITES, COMMON, USER, may_block_source},
	[SCRIPT_BLOCK] = {WRITES, COMMON, block_source},
	[SCRIPT_DROP] = {WRITES, COMMON, drop_source},
	[SCRIPT_PUSH_SUBSCRIBE] = {WRITES, push_let_in_source, push_subscribe_source},
	[SCRIPT_PUSH_ENQUEUE] = {WRITES, push_enqueue_source},
	[SCRIPT_PUSH_WANT] = {WRITES, push_let_in_source, push_want_source},
	[SCRIPT_PUSH_WAIT] = {WRITES, push_wait_source},
	[SCRIPT_PUSH_TICK] = {WRITES, push_tick_source},
	[SCRIPT_PUSH_COUNT] = {WRITES, push_count_source},
	[SCRIPT_PUSH_LATER] = {WRITES, push_later_source},
	[SCRIPT_PUSH_DONE] = {WRITES, push_done_source},
	[SCRIPT_FIGURES_ADD] = {WRITES, figures_add_source},
	[SCRIPT_FIGURES_READ] = {READS, figures_read_source},
};

static char *make_text(enum script script, size_t *len)
{
	struct printbuf *text = buf_new();

	for (size_t i = 0; i < PIECES_MAX && sources[script][i] != NULL; i++)
		buf_puts(text, sources[script][i]);
	return buf_take(text, len);
}

static void make_name(const char *text, size_t len, char name[SCRIPT_NAME_LEN + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (EVP_Digest(text, len, digest, NULL, EVP_sha1(), NULL) != 1) {
		fputs("presence: SHA-1 failed\n", stderr);
		abort();
	}
	for (size_t i = 0; i < SCRIPT_NAME_LEN / 2; i++)
		snprintf(name + 2 * i, 3, "%02x", digest[i]);
}

/* Worked out once; a program has one thread that asks. */
const char *scripts_name(enum script script)
{
	static char names[SCRIPT_COUNT][SCRIPT_NAME_LEN + 1];
	size_t len;
	char *text;

	if (names[script][0] == '\0') {
		text = make_text(script, &len);
		make_name(text, len, names[script]);
		free(text);
	}
	return names[script];
}

unsigned scripts_put_load(struct printbuf *out)
{
	for (enum script script = 0; script < SCRIPT_COUNT; script++) {
		size_t len;
		char *text = make_text(script, &len);

		resp_begin(out, 3);
		resp_text(out, "SCRIPT");
		resp_text(out, "LOAD");
		resp_arg(out, text, len);
		free(text);
	}
	return SCRIPT_COUNT;
}
