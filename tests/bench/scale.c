/*
 * What users cost the Redis servers of a site, each of which has some of its partitions.
 *
 *     scale CONFIG FILL USERS PID…
 *
 * Brings FILL users online, each with a session of its token and one of a stream, as fast as it can;
 * then USERS others, as workers do it, a command at a time. PID: the servers, in redis.url's order.
 *
 * Prints one line, NAME=NUMBER …:
 *   bytes          of Redis for each user of the first kind, 0 without any
 *   login, renew   a user who comes online; another request of that user, a second later:
 *                  CPU time of all servers, us
 *   login.busiest, renew.busiest
 *                  of it, that of the server that had the most
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/config.h"
#include "bench.h"
#include "store/layout.h"
#include "store/nodes.h"
#include "store/partitions.h"
#include "store/reply.h"
#include "store/resp.h"

#define SERVERS_MAX 16
#define USERS_MAX 10000000
#define ROUNDS 10

struct stand {
	struct nodes *nodes;
	struct partitions *partitions;
	pid_t pids[SERVERS_MAX];
	unsigned servers;
};

/* Users, as many as one command has. */
struct batch {
	struct store_touch items[STORE_BATCH_MAX];
	struct userid ids[STORE_BATCH_MAX];
	char toks[STORE_BATCH_MAX][32], streams[STORE_BATCH_MAX][STORE_STREAM_LEN + 1];
	size_t count;
};

static void batch_add(struct batch *batch, const char *id, bool has_stream)
{
	size_t i = batch->count++;

	memset(&batch->ids[i], 0, sizeof batch->ids[i]);
	strcpy(batch->ids[i].text, id);
	/* As long as the sid that login makes, and as a stream's id. */
	snprintf(batch->toks[i], sizeof batch->toks[i], "AAAAAAAAAAAA%010lu",
		 strtoul(id, NULL, 10));
	snprintf(batch->streams[i], sizeof batch->streams[i], "BBBBBBBBBBBB%010lu",
		 strtoul(id, NULL, 10));
	batch->items[i] = (struct store_touch){.user = &batch->ids[i],
					       .tok = batch->toks[i],
					       .stream = has_stream ? batch->streams[i] : NULL,
					       .token = true,
					       .reason = "login"};
}

static void touch(struct stand *stand, const struct store *store, struct batch *batch)
{
	redisReply *reply;

	if (batch->count == 0)
		return;
	nodes_begin(stand->nodes);
	store_put_touch(nodes_to(stand->nodes, store), store, STORE_WORKER, batch->items,
			batch->count);
	if (!nodes_run(stand->nodes, 1, &reply))
		bench_die("touch: %s", nodes_error(stand->nodes));
	reply_free(reply);
	batch->count = 0;
}

/* --- what the servers say -------------------------------------------------------------------- */

static long long memory_of(struct stand *stand)
{
	long long sum = 0;

	for (unsigned i = 0; i < stand->servers; i++) {
		struct printbuf *out = buf_new();
		redisReply *reply;
		const char *at;

		resp_begin(out, 2);
		resp_text(out, "INFO");
		resp_text(out, "memory");
		if (!blocking_run(nodes_at(stand->nodes, i), out, 1, &reply))
			bench_die("INFO: %s", blocking_error(nodes_at(stand->nodes, i)));
		at = strstr(reply->str, "used_memory:");
		sum += at != NULL ? strtoll(at + sizeof "used_memory:" - 1, NULL, 10) : 0;
		reply_free(reply);
		printbuf_free(out);
	}
	return sum;
}

/* --- users ----------------------------------------------------------------------------------- */

/* A command has users of one partition. */
static void fill(struct stand *stand, long users)
{
	unsigned count = partitions_count(stand->partitions);
	struct batch batch = {.count = 0};
	char id[24];

	for (unsigned number = 0; number < count; number++) {
		const struct store *store = partitions_at(stand->partitions, number);

		for (long user = 1; user <= users; user++) {
			snprintf(id, sizeof id, "%ld", user);
			if (layout_partition(count, id) != number)
				continue;
			batch_add(&batch, id, true);
			if (batch.count == STORE_BATCH_MAX)
				touch(stand, store, &batch);
		}
		touch(stand, store, &batch);
	}
}

/* Of users first … first + count - 1 those of one server come, a command each. How many they are. */
static long touch_some(struct stand *stand, unsigned server, long first, long count)
{
	struct batch batch = {.count = 0};
	long done = 0;
	char id[24];

	for (long user = first; user < first + count; user++) {
		const struct store *store;

		snprintf(id, sizeof id, "%ld", user);
		batch_add(&batch, id, false);
		store = partitions_of(stand->partitions, &batch.ids[0]);
		if (nodes_number_of(stand->nodes, store) == server) {
			touch(stand, store, &batch);
			done++;
		}
		batch.count = 0;
	}
	return done;
}

/*
 * The servers come one after the other, for each would have a core of its own, and not be cold
 * because another one has just run on it. Of each the round counts in which a command took least.
 */
static void measure(struct stand *stand, const char *name, long first, long users)
{
	double sum = 0, most = 0;

	for (unsigned server = 0; server < stand->servers; server++) {
		double least = 0, all;
		long done = 0;

		for (int round = 0; round < ROUNDS; round++) {
			int64_t before = bench_cpu_ns(stand->pids[server]);
			long part = users / ROUNDS;
			long some = touch_some(stand, server, first + round * part, part);
			double each =
				(double)(bench_cpu_ns(stand->pids[server]) - before) / (double)some;

			done += some;
			least = round == 0 || each < least ? each : least;
		}
		all = least * (double)done;
		sum += all;
		most = all > most ? all : most;
	}
	printf(" %s=%.3f %s.busiest=%.3f", name, sum / 1000 / (double)users, name,
	       most / 1000 / (double)users);
}

int main(int argc, char **argv)
{
	static const struct timespec second = {.tv_sec = 1, .tv_nsec = 100000000};
	struct stand stand = {.servers = 0};
	char err[512];
	struct config *config;
	long filled, users;
	long long before;

	if (argc < 5 || argc > 4 + SERVERS_MAX)
		bench_die("usage: scale CONFIG FILL USERS PID...");
	filled = bench_number(argv[2], USERS_MAX);
	users = bench_number(argv[3], USERS_MAX);
	for (int i = 4; i < argc; i++)
		stand.pids[stand.servers++] = (pid_t)bench_number(argv[i], 1 << 30);
	config = config_load(argv[1], err, sizeof err);
	if (config == NULL)
		bench_die("%s", err);
	stand.nodes = nodes_new(config);
	stand.partitions = partitions_new(config);
	if (nodes_count(stand.nodes) != stand.servers)
		bench_die("redis.url names %u servers", nodes_count(stand.nodes));
	before = memory_of(&stand);
	fill(&stand, filled);
	printf("scale users=%ld bytes=%.0f", users,
	       filled > 0 ? (double)(memory_of(&stand) - before) / (double)filled : 0);
	measure(&stand, "login", filled + 1, users);
	nanosleep(&second, NULL);
	measure(&stand, "renew", filled + 1, users);
	putchar('\n');
	partitions_free(stand.partitions);
	nodes_free(stand.nodes);
	config_free(config);
	return 0;
}
