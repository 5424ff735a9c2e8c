/*
 * The floor of a REST call: a libfcgi worker that sends the same Redis commands
 * as GET /online-status/user/{id} (touch, and MGET of one user), in one round
 * trip, and answers a constant. It looks at nothing in the request: no token,
 * no JSON, no routing. The commands are made beforehand. With `hello` it does not
 * ask Redis either: what libfcgi and the system take for themselves.
 *
 *     floor_rest CONFIG unix:/path WORKERS [hello]
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
#include "base/userid.h"
#include "bench.h"
#include "store/blocking.h"
#include "store/status.h"
#include "store/store.h"

#define USERS 200 /* as many as the driver has tokens */
#define COMMANDS 2

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

static _Noreturn void serve(const struct config *config, int listener, bool asks)
{
	struct store *store = store_new(config, 0, config->redis.prefix);
	struct blocking *redis = blocking_new(config, 0);
	struct printbuf *pipelines[USERS];
	FCGX_Request request;
	unsigned next = (unsigned)getpid() % USERS;

	for (unsigned i = 0; i < USERS; i++)
		pipelines[i] = make_pipeline(store, i + 1);
	FCGX_Init();
	FCGX_InitRequest(&request, listener, 0);
	while (FCGX_Accept_r(&request) == 0) {
		redisReply *replies[COMMANDS];

		if (asks && !blocking_run(redis, pipelines[next++ % USERS], COMMANDS, replies))
			bench_die("redis: %s", blocking_error(redis));
		if (asks)
			blocking_free_replies(replies, COMMANDS);
		FCGX_PutStr(answer, sizeof answer - 1, request.out);
		FCGX_Finish_r(&request);
	}
	exit(0);
}

int main(int argc, char **argv)
{
	char err[512];
	struct config *config;
	bool asks = argc == 4;
	int listener;

	if (!asks && (argc != 5 || strcmp(argv[4], "hello") != 0))
		bench_die("usage: floor_rest CONFIG unix:/path WORKERS [hello]");
	config = config_load(argv[1], err, sizeof err);
	if (config == NULL)
		bench_die("%s", err);
	listener = bench_listen(argv[2]);
	fcntl(listener, F_SETFL, 0); /* libfcgi blocks in accept() */
	for (long i = 0; i < bench_number(argv[3], 64); i++) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			serve(config, listener, asks);
		}
	}
	wait(NULL); /* none ends by itself */
	return 1;
}
