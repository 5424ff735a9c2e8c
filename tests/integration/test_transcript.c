/*
 * With one partition on one server Redis is asked exactly what it was asked
 * before there were partitions: every command, with every key and channel.
 */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "monitor.h"
#include "store/blocks.h"
#include "store/figures.h"
#include "store/store.h"
#include "store/throttle.h"
#include "store/whereabouts.h"

/* --- what is compared ----------------------------------------------------------------------- */

/* Scripts by their name in Redis, as the programs call them. */
static struct {
	const char *label;
	char *name;
} scripts[16];
static size_t script_count;

static void add_script(const char *label, struct printbuf *command)
{
	const char *at = strstr(command->buf, "\r\n$40\r\n");

	ck_assert_ptr_nonnull(at);
	scripts[script_count].label = label;
	scripts[script_count++].name = xstrndup(at + 7, 40);
	buf_reset(command);
}

static void find_scripts(struct stack *stack)
{
	char err[256];
	struct config *config = config_load(stack_path(stack, "presence.conf"), err, sizeof err);
	struct store *store = store_new(config, 0, "");
	struct printbuf *out = buf_new();
	struct figures *figures = figures_new("test");
	struct userid user = {"1"};
	const struct store_choose choose = {&user, "a", 1, NULL, 0};
	const struct store_end end = {.user = &user, .reason = "x"};

	store_put_touch(out, store, STORE_WORKER, NULL, 0);
	add_script("touch", out);
	store_put_close(out, store, NULL, 0);
	add_script("close", out);
	store_put_choose(out, store, &choose);
	add_script("choose", out);
	store_put_settings(out, store, &user, "a", 1, "");
	add_script("settings", out);
	store_put_end(out, store, &end);
	add_script("end", out);
	store_put_sweep(out, store, false, "");
	add_script("sweep", out);
	store_put_epoch(out, store, "", NULL);
	add_script("epoch", out);
	store_put_health(out, store, false);
	add_script("health", out);
	throttle_put(out, store, "", NULL);
	add_script("throttle", out);
	throttle_put_success(out, store, "", NULL);
	add_script("unthrottle", out);
	blocks_put_may(out, store, &user, "", 1, &user, true);
	add_script("may_block", out);
	whereabouts_put_leave(out, store, &user, "", 0);
	add_script("leave", out);
	blocks_put(out, store, &user, &user, true, 0);
	add_script("block", out);
	figures_put(out, store, figures, 0);
	add_script("figures", out);
	figures_free(figures);
}

static const char *label_of(const char *name)
{
	for (size_t i = 0; i < script_count; i++) {
		if (strcmp(scripts[i].name, name) == 0)
			return scripts[i].label;
	}
	return "?";
}

/* Names of keys and channels; what is random in them becomes "*". */
static void put_key(struct printbuf *out, const char *word)
{
	static const char *const begins[] = {"user:", "presence:", "push:", "online_users"};

	for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
		if (strncmp(word, begins[i], strlen(begins[i])) != 0)
			continue;
		if (strncmp(word, "presence:ticket:", 16) == 0)
			word = "presence:ticket:*";
		if (strncmp(word, "presence:streamd:", 17) == 0)
			word = "presence:streamd:*";
		buf_putf(out, " %s", word);
		return;
	}
}

/* One command of a client: its name, its keys, and of a script its label and how many keys it declares. */
static void put_command(struct printbuf *out, const char *line)
{
	char *command = monitor_word(line, 0), *word;
	unsigned first = 1;

	buf_puts(out, command);
	if (strcmp(command, "EVALSHA") == 0) {
		buf_putf(out, " %s %s", label_of(monitor_word(line, 1)), monitor_word(line, 2));
		first = 3;
	}
	for (unsigned i = first; *(word = monitor_word(line, i)) != '\0'; i++)
		put_key(out, word);
	buf_puts(out, "\n");
}

/* A word that begins with "{", a number and "}". */
static bool has_tag(const char *line)
{
	for (const char *at = line; (at = strstr(at, "\"{")) != NULL; at++) {
		size_t digits = strspn(at + 2, "0123456789");

		if (digits > 0 && at[2 + digits] == '}')
			return true;
	}
	return false;
}

/* A start's question whether users are divided there. */
static bool is_look(const char *line)
{
	return strncmp(line, "\"MGET\"", 6) == 0 && strstr(line, "}presence:layout\"") != NULL;
}

static void check_line(const char *line)
{
	if (strncmp(line, "\"SCRIPT\"", 8) == 0 || is_look(line))
		return;
	ck_assert_msg(strstr(line, "SPUBLISH") == NULL && !has_tag(line), "not as it was: %s",
		      line);
	/* Only in a cluster is it about all keys of a script. What refuses a token is one question. */
	if (strncasecmp(line, "  \"EXISTS\"", 10) == 0 && strstr(line, "presence:revoked:") == NULL)
		ck_assert_str_eq(monitor_word(line, 2), "");
}

/* What clients asked since; what scripts did is looked at, too. */
static char *read_transcript(struct monitor *monitor)
{
	struct printbuf *out = buf_new();
	char *rest = monitor_take(monitor);

	for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
		check_line(line);
		if (strncmp(line, "  ", 2) != 0)
			put_command(out, line);
	}
	return buf_take(out, NULL);
}

/* --- calls ---------------------------------------------------------------------------------- */

#define TOUCHED "EVALSHA touch 0\n"
#define MGET_1(id)                                                                      \
	"MGET presence:recovering presence:epoch user:online:" id " user:last_seen:" id \
	" presence:version:" id " user:settings:" id "\n"
#define BLOCKS_OF(id) "SMISMEMBER user:blocked:" id "\nSMISMEMBER user:blocked_by:" id "\n"

static const struct {
	const char *method, *path, *body;
	const char *expected;
} rows[] = {
	{NULL, HEALTH, NULL, "EVALSHA health 0\n"},
	{NULL, COUNT, NULL, TOUCHED "SCARD online_users\n"},
	{NULL, STATUS_USER "2", NULL, TOUCHED MGET_1("2") BLOCKS_OF("1")},
	{NULL, STATUS_USERS, "{\"user_ids\":[2,\"bob\"]}",
	 TOUCHED "MGET presence:recovering presence:epoch user:online:2 user:last_seen:2 "
		 "presence:version:2 user:settings:2 user:online:bob user:last_seen:bob "
		 "presence:version:bob user:settings:bob\n" BLOCKS_OF("1")},
	{NULL, ONLINE_LIST, NULL,
	 TOUCHED "SSCAN online_users\nMGET presence:recovering presence:epoch\n" BLOCKS_OF("1")},
	{"POST", HEARTBEAT, "{\"idle\":false}", TOUCHED},
	{"PUT", "/api/presence/status", "{\"status\":\"busy\"}", "EVALSHA choose 0\n"},
	{"PUT", "/api/presence/settings", "{\"typing\":false}",
	 TOUCHED "EVALSHA settings 0\nTIME\nEVALSHA leave 0\n"},
	{"PUT", "/api/presence/blocks/2", NULL,
	 TOUCHED "EVALSHA may_block 0\nEVALSHA block 0\nEVALSHA block 0\n"},
	{"GET", "/api/presence/blocks", NULL, TOUCHED "SMEMBERS user:blocked:1\n"},
	{"POST", TICKET, NULL, TOUCHED "SET presence:ticket:*\n"},
	{"POST", LOGOUT, NULL, "EVALSHA end 0\n"},
	{NULL, LOGIN, CREDENTIALS, "EVALSHA throttle 0\n" TOUCHED "EVALSHA unthrottle 0\n"},
};

/* What the programs do all the time, whatever they are asked. */
static bool is_rhythm(const char *line)
{
	return strncmp(line, "EVALSHA sweep", 13) == 0 ||
	       strncmp(line, "EVALSHA figures", 15) == 0 ||
	       strncmp(line, "PUBLISH presence:streamd", 24) == 0;
}

static char *without_rhythm(char *transcript)
{
	struct printbuf *out = buf_new();

	for (char *line; (line = strsep(&transcript, "\n")) != NULL && *line != '\0';) {
		if (!is_rhythm(line))
			buf_putf(out, "%s\n", line);
	}
	return buf_take(out, NULL);
}

START_TEST(calls_ask_redis_what_they_asked_before)
{
	struct stack *stack = stack_start_api("presence { visibility = everyone }");
	const char *token = token_for(stack, "1");
	struct monitor *monitor;

	find_scripts(stack);
	http_ok(stack, LOGIN, NULL, CREDENTIALS); /* the scripts are loaded */
	monitor = monitor_open(stack);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct response *response =
			HTTP(stack, .method = rows[i].method, .path = rows[i].path,
			     .body = rows[i].body, .token = token);

		ck_assert_msg(response->status / 100 == 2, "%s: %d", rows[i].path,
			      response->status);
		ck_assert_str_eq(without_rhythm(read_transcript(monitor)), rows[i].expected);
	}
	stack_stop(stack);
}
END_TEST

/* --- streams -------------------------------------------------------------------------------- */

#define HEAD "MGET presence:recovering presence:epoch"
#define STATUS_OF(id) \
	" user:online:" id " user:last_seen:" id " presence:version:" id " user:settings:" id
#define SNAPSHOT                                                         \
	HEAD STATUS_OF("2") STATUS_OF("3") STATUS_OF("4") STATUS_OF("5") \
		STATUS_OF("6") "\n" BLOCKS_OF("1") HEAD "\n"
#define STATUS_CHANNELS \
	"SUBSCRIBE user:status:2 user:status:3 user:status:4 user:status:5 user:status:6\n"

START_TEST(a_stream_asks_redis_what_it_asked_before)
{
	struct stack *stack = stack_start("presence { heartbeat = 30 }");
	struct monitor *monitor;
	struct sse *sse;
	char *seen;

	find_scripts(stack);
	monitor = monitor_open(stack);
	sse = sse_open_direct(stack, 0, token_for(stack, "1"));
	sse_ready(sse);
	seen = without_rhythm(read_transcript(monitor));
	/* Over two connections: which comes first is not the program's affair. */
	check_has(seen, "SUBSCRIBE user:inbox:1\n");
	check_has(seen, TOUCHED);
	check_has(seen, STATUS_CHANNELS);
	ck_assert_uint_eq(strlen(seen),
			  strlen("SUBSCRIBE user:inbox:1\n" TOUCHED STATUS_CHANNELS SNAPSHOT));
	check_has(seen, SNAPSHOT);
	sse_abort(sse);
	do
		seen = without_rhythm(read_transcript(monitor));
	while (*seen == '\0');
	ck_assert_str_eq(seen, "EVALSHA close 0\n");
	stack_stop(stack);
}
END_TEST

START_TEST(presence_streamd_greets_redis_as_before)
{
	struct stack *stack = stack_new("");
	struct monitor *monitor;
	char *seen, *look, *rest;

	redis_start(stack, NULL);
	find_scripts(stack);
	monitor = monitor_open(stack);
	streamd_start(stack, 0);
	seen = read_transcript(monitor);
	/* Before the loop, once. */
	look = strstr(seen, "MGET\n");
	ck_assert_msg(look != NULL && strstr(look + 1, "MGET") == NULL, "%s", seen);
	rest = strstr(seen, "INFO\n");
	ck_assert_msg(rest != NULL && look < rest, "%s", seen);
	check_has(rest, "SUBSCRIBE presence:streamd:*\n");
	rest = strstr(rest, "EVALSHA");
	ck_assert_msg(rest != NULL && strncmp(rest, "EVALSHA epoch 0\n", 16) == 0, "%s", seen);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("transcript");
	TCase *tcase = harness_case(suite, "one partition", 30);

	tcase_add_test(tcase, calls_ask_redis_what_they_asked_before);
	tcase_add_test(tcase, a_stream_asks_redis_what_it_asked_before);
	tcase_add_test(tcase, presence_streamd_greets_redis_as_before);
	return harness_main(suite);
}
