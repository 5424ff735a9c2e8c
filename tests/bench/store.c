/*
 * How the store grows: fills an empty Redis with users who are online, asks it
 * for what streamd and workers ask for, and tells Redis' own time for that.
 *
 *     store CONFIG USERS
 *
 * Redis must let it use DEBUG (enable-debug-command local).
 *
 * Prints one line, NAME=NUMBER …, times in us:
 *   idle     one sweep when nobody's time is up
 *   expired  sweeping 200 users whose time is up, for each of them
 *   touch    renewing the session of one user
 *   count    how many are online (SCARD)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/config.h"
#include "bench.h"
#include "store/blocking.h"
#include "store/keys.h"
#include "store/resp.h"
#include "store/reply.h"
#include "store/store.h"

#define FILL_BATCH 1000 /* users a script call */
#define ROUNDS 10 /* the shortest counts: Redis' time is real time, in which others run too */
#define REPEAT 25 /* commands in a round */
#define USERS_MAX 10000000
#define SETTLE_LIMIT_NS 30000000000

/* What touch.lua leaves behind for a user with one token. ARGV: prefix, first, last. */
static const char fill_script[] =
	"local p, t = ARGV[1], redis.call('TIME') "
	"local till = string.format('%.0f', (t[1] + 3600) * 1000) "
	"local version = t[1] .. '000000' "
	"for id = tonumber(ARGV[2]), tonumber(ARGV[3]) do "
	"  redis.call('SET', p .. '" KEY_ONLINE "' .. id, '{\"user_id\":' .. id .. "
	"    ',\"is_online\":true,\"status\":\"online\",\"last_activity\":"
	"\"2024-01-21T10:30:00Z\",\"version\":' .. version .. '}', 'PXAT', till) "
	"  redis.call('SET', p .. '" KEY_LAST_SEEN "' .. id, '2024-01-21T10:30:00Z', 'EX', 604800) "
	"  redis.call('SET', p .. '" KEY_VERSION "' .. id, version, 'EX', 604800) "
	"  redis.call('ZADD', p .. '" KEY_SESSIONS "' .. id, till, 't:0123456789abcdef' .. id) "
	"  redis.call('ZADD', p .. '" KEY_DEADLINES "', till, id) "
	"  redis.call('SADD', p .. '" KEY_ONLINE_USERS "', id) "
	"end";

/* The time of users `first` … `last` was up a second after the epoch. */
static const char expire_script[] =
	"for id = tonumber(ARGV[2]), tonumber(ARGV[3]) do "
	"  redis.call('ZADD', ARGV[1] .. '" KEY_DEADLINES "', 1000, id) "
	"  redis.call('ZADD', ARGV[1] .. '" KEY_SESSIONS
	"' .. id, 1000, 't:0123456789abcdef' .. id) "
	"end";

struct stand {
	const struct store *store;
	struct blocking *redis;
	struct printbuf *out; /* the next command */
	long users; /* online */
};

static redisReply *ask(struct stand *stand)
{
	redisReply *reply;

	if (!blocking_run(stand->redis, stand->out, 1, &reply))
		bench_die("redis: %s", blocking_error(stand->redis));
	buf_reset(stand->out);
	return reply;
}

static redisReply *command(struct stand *stand, unsigned argc, const char *const *argv)
{
	resp_begin(stand->out, argc);
	for (unsigned i = 0; i < argc; i++)
		resp_text(stand->out, argv[i]);
	return ask(stand);
}

static void run_script(struct stand *stand, const char *text, long first, long last)
{
	for (; first <= last; first += FILL_BATCH) {
		resp_begin(stand->out, 6);
		resp_text(stand->out, "EVAL");
		resp_text(stand->out, text);
		resp_text(stand->out, "0");
		resp_text(stand->out, store_prefix(stand->store));
		resp_number(stand->out, first);
		resp_number(stand->out, last < first + FILL_BATCH ? last : first + FILL_BATCH - 1);
		reply_free(ask(stand));
	}
}

/*
 * Until Redis has moved its keys into the larger tables that filling asked for,
 * which costs each command a little; at rest it costs nothing.
 */
static void settle(struct stand *stand)
{
	static const struct timespec nap = {.tv_nsec = 100000000};
	int64_t limit = bench_now_ns() + SETTLE_LIMIT_NS;
	bool is_moving;

	do {
		redisReply *reply =
			command(stand, 3, (const char *const[]){"DEBUG", "HTSTATS", "0"});

		is_moving = strstr(reply->str, "rehashing") != NULL;
		reply_free(reply);
		if (is_moving)
			nanosleep(&nap, NULL);
	} while (is_moving && bench_now_ns() < limit);
}

/* --- Redis' own measure ---------------------------------------------------------------------- */

static void reset_times(struct stand *stand)
{
	reply_free(command(stand, 2, (const char *const[]){"CONFIG", "RESETSTAT"}));
}

/* Microseconds that Redis spent in a command since reset_times(). */
static double time_in(struct stand *stand, const char *name)
{
	redisReply *reply = command(stand, 2, (const char *const[]){"INFO", "commandstats"});
	char wanted[64];
	const char *at;
	double usec = 0;

	snprintf(wanted, sizeof wanted, "cmdstat_%s:", name);
	at = strstr(reply->str, wanted);
	if (at != NULL && (at = strstr(at, "usec=")) != NULL)
		usec = strtod(at + 5, NULL);
	reply_free(reply);
	return usec;
}

/* --- figures --------------------------------------------------------------------------------- */

static void sweep(struct stand *stand)
{
	struct store_sweep swept;
	redisReply *reply;

	store_put_sweep(stand->out, stand->store, true, "bench");
	reply = ask(stand);
	if (!store_read_sweep(reply, &swept))
		bench_die("sweep: unexpected answer");
	reply_free(reply);
}

static void sweep_once(struct stand *stand, long turn)
{
	(void)turn;
	sweep(stand);
}

static void touch_once(struct stand *stand, long turn)
{
	struct userid id;
	struct store_touch item = {.user = &id, .token = true, .reason = "activity"};
	char tok[40];
	long user = turn * 7919 % stand->users + 1;

	memset(&id, 0, sizeof id);
	item.tok = tok;
	snprintf(id.text, sizeof id.text, "%ld", user);
	snprintf(tok, sizeof tok, "0123456789abcdef%ld", user);
	store_put_touch(stand->out, stand->store, STORE_WORKER, &item, 1);
	reply_free(ask(stand));
}

static void count_once(struct stand *stand, long turn)
{
	redisReply *reply;

	(void)turn;
	resp_begin(stand->out, 2);
	resp_text(stand->out, "SCARD");
	resp_key(stand->out, store_prefix(stand->store), KEY_ONLINE_USERS, "");
	reply = ask(stand);
	if (reply->type != REDIS_REPLY_INTEGER || reply->integer != stand->users)
		bench_die("%ld users should be online", stand->users);
	reply_free(reply);
}

/* Microseconds of one `name` of those that `once` asks for. */
static double measure(struct stand *stand, const char *name,
		      void (*once)(struct stand *stand, long turn))
{
	double least = 0;

	once(stand, 0);
	for (int round = 0; round < ROUNDS; round++) {
		double time;

		reset_times(stand);
		for (int i = 0; i < REPEAT; i++)
			once(stand, round * REPEAT + i);
		time = time_in(stand, name) / REPEAT;
		if (round == 0 || time < least)
			least = time;
	}
	return least;
}

/* For one user of those whose time is up at once, a full sweep of them. */
static double measure_expired(struct stand *stand)
{
	double least = 0;

	for (long round = 0; round < ROUNDS; round++) {
		double time;

		run_script(stand, expire_script, round * STORE_SWEEP_MAX + 1,
			   (round + 1) * STORE_SWEEP_MAX);
		reset_times(stand);
		sweep(stand);
		time = time_in(stand, "evalsha") / STORE_SWEEP_MAX;
		if (round == 0 || time < least)
			least = time;
	}
	return least;
}

int main(int argc, char **argv)
{
	char err[512];
	struct config *config;
	struct store *store;
	struct stand stand;
	long users;

	if (argc != 3)
		bench_die("usage: store CONFIG USERS");
	users = bench_number(argv[2], USERS_MAX);
	if (users < ROUNDS * STORE_SWEEP_MAX)
		bench_die("at least %d users", ROUNDS * STORE_SWEEP_MAX);
	config = config_load(argv[1], err, sizeof err);
	if (config == NULL)
		bench_die("%s", err);
	store = store_new(config, 0, config->redis.prefix);
	stand = (struct stand){store, blocking_new(config, 0), buf_new(), users};
	run_script(&stand, fill_script, 1, users);
	settle(&stand);
	printf("store users=%ld idle=%.2f", users, measure(&stand, "evalsha", sweep_once));
	printf(" touch=%.2f", measure(&stand, "evalsha", touch_once));
	printf(" count=%.2f", measure(&stand, "scard", count_once));
	printf(" expired=%.2f\n", measure_expired(&stand));
	blocking_free(stand.redis);
	printbuf_free(stand.out);
	store_free(store);
	config_free(config);
	return 0;
}
