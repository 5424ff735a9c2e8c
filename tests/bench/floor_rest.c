/*
 * The floor of a REST call: a libfcgi worker that sends the same Redis commands
 * as GET /online-status/user/{id} (touch, and MGET of one user), in one round
 * trip, and answers a constant. It looks at nothing in the request: no token,
 * no JSON, no routing. The commands are made beforehand. With `hello` it does not
 * ask Redis either: what libfcgi and the system take for themselves. With `bare` it
 * sends what the touch of a renewal asks and writes as commands of their own, with
 * `empty` a script that does nothing, each with that MGET: what Redis takes at least.
 *
 *     floor_rest CONFIG unix:/path WORKERS [hello|bare|empty]
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcgiapp.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/times.h"
#include "base/userid.h"
#include "bench.h"
#include "store/blocking.h"
#include "store/keys.h"
#include "store/reply.h"
#include "store/resp.h"
#include "store/status.h"
#include "store/store.h"

#define USERS 200 /* as many as the driver has tokens */
#define MANY 12000 /* users who come in turn, each less than once a second */
#define COMMANDS_MAX 11

static const char answer[] =
	"Status: 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\r\n"
	"{\"user_id\":1,\"is_online\":true,\"status\":\"online\","
	"\"last_activity\":\"2024-01-21T10:30:00Z\",\"version\":1705833000000000}";

static struct printbuf *make_pipeline(const struct store *store, unsigned number)
{
	struct printbuf *out = buf_new();
	struct userid user, other;
	char tok[40];
	struct store_touch touch = {.user = &user, .tok = tok, .token = true, .reason = "activity"};

	memset(&user, 0, sizeof user);
	memset(&other, 0, sizeof other);
	snprintf(user.text, sizeof user.text, "%u", number);
	snprintf(other.text, sizeof other.text, "%u", number + 1);
	snprintf(tok, sizeof tok, "floor%017u", number); /* as long as a real one */
	store_put_touch(out, store, true, &touch, 1);
	status_put_mget(out, store_prefix(store), 1);
	status_put_keys(out, store_prefix(store), &other);
	return out;
}

static void put_status(struct printbuf *out, unsigned number)
{
	struct userid other;

	memset(&other, 0, sizeof other);
	snprintf(other.text, sizeof other.text, "%u", number + 1);
	status_put_mget(out, "", 1);
	status_put_keys(out, "", &other);
}

/* As touch_quick.lua, with the sessions that the load generator made. Returns how many commands. */
static unsigned put_bare(struct printbuf *out, unsigned number)
{
	int64_t now = times_wall_ms();
	char id[16], tok[16], latest[24], seen[TIMES_LEN + 1], command[1024];
	int len;

	snprintf(id, sizeof id, "%u", number);
	snprintf(tok, sizeof tok, "bench%u", number);
	snprintf(latest, sizeof latest, "%lld", (long long)now + 300000);
	times_format(now / 1000, seen);
	/* Redis takes such lines, too. */
	len = snprintf(command, sizeof command,
		       "EXISTS presence:revoked:%s/%s presence:not_before:%s "
		       "presence:hold\r\n"
		       "SISMEMBER online_users %s\r\nZSCORE user:sessions:%s t:%s\r\n"
		       "GET presence:swept\r\nTIME\r\nPEXPIREAT user:online:%s %s GT\r\n"
		       "ZADD user:sessions:%s %s t:%s\r\nSET user:last_seen:%s %s EX 604800\r\n"
		       "ZADD presence:deadlines GT %s %s\r\n",
		       id, tok, id, id, id, tok, id, latest, id, latest, tok, id, seen, latest, id);
	buf_put(out, command, (size_t)len);
	return 9;
}

/* A script with as many arguments as a touch has. */
static unsigned put_empty(struct printbuf *out, const char *script, unsigned number)
{
	buf_putf(out,
		 "EVALSHA %s 0 '' 300000 10000 604800 '90000 10000 1000 31000 3000 691200 100 10 "
		 "3600 1 exact' %u bench%u 1795737600\r\n",
		 script, number, number);
	return 1;
}

static char *load_empty(struct blocking *redis)
{
	struct printbuf *out = buf_new();
	redisReply *reply;
	char *name;

	buf_puts(out, "SCRIPT LOAD \"#!lua\\nreturn 2\"\r\n");
	if (!blocking_run(redis, out, 1, &reply) || reply->type != REDIS_REPLY_STRING)
		bench_die("redis: %s", blocking_error(redis));
	name = strdup(reply->str);
	reply_free(reply);
	printbuf_free(out);
	return name;
}

enum kind { KIND_SAME, KIND_HELLO, KIND_BARE, KIND_EMPTY, KIND_COUNT };
static const char *const kinds[KIND_COUNT] = {"same", "hello", "bare", "empty"};

/* One user's call; what it takes is in *out. */
static unsigned put_call(struct printbuf *out, enum kind kind, const char *script, unsigned number)
{
	unsigned count;

	buf_reset(out);
	count = kind == KIND_BARE ? put_bare(out, number) : put_empty(out, script, number);
	put_status(out, number);
	return count + 1;
}

static _Noreturn void serve(const struct config *config, int listener, enum kind kind)
{
	struct store *store = store_new(config, 0, config->redis.prefix);
	struct blocking *redis = blocking_new(config, 0);
	struct printbuf *pipelines[USERS], *own = buf_new();
	char *script = kind == KIND_EMPTY ? load_empty(redis) : NULL;
	FCGX_Request request;
	unsigned next = (unsigned)getpid() % USERS;

	for (unsigned i = 0; i < USERS; i++)
		pipelines[i] = make_pipeline(store, i + 1);
	FCGX_Init();
	FCGX_InitRequest(&request, listener, 0);
	while (FCGX_Accept_r(&request) == 0) {
		struct printbuf *pipeline = kind == KIND_SAME ? pipelines[next % USERS] : own;
		redisReply *replies[COMMANDS_MAX];
		unsigned count = 2;

		if (kind == KIND_BARE || kind == KIND_EMPTY)
			count = put_call(own, kind, script, 1 + next % MANY);
		next++;
		if (kind != KIND_HELLO && !blocking_run(redis, pipeline, count, replies))
			bench_die("redis: %s", blocking_error(redis));
		if (kind != KIND_HELLO)
			blocking_free_replies(replies, count);
		FCGX_PutStr(answer, sizeof answer - 1, request.out);
		FCGX_Finish_r(&request);
	}
	exit(0);
}

static enum kind read_kind(const char *word)
{
	for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
		if (strcmp(word, kinds[kind]) == 0)
			return kind;
	}
	bench_die("usage: floor_rest CONFIG unix:/path WORKERS [hello|bare|empty]");
}

int main(int argc, char **argv)
{
	char err[512];
	struct config *config;
	enum kind kind = read_kind(argc == 4 ? "same" : argc == 5 ? argv[4] : "");
	int listener;

	config = config_load(argv[1], err, sizeof err);
	if (config == NULL)
		bench_die("%s", err);
	listener = bench_listen(argv[2]);
	fcntl(listener, F_SETFL, 0); /* libfcgi blocks in accept() */
	for (long i = 0; i < bench_number(argv[3], 64); i++) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			serve(config, listener, kind);
		}
	}
	wait(NULL); /* none ends by itself */
	return 1;
}
