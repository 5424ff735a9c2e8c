/*
 * Whether time tells what answers do not: who is invisible from who is gone, who blocks the caller, or is
 * blocked by it, from who was never seen.
 *
 *     timing CONFIG PORT WORLD CALLS
 *
 *   PORT    of the web server on 127.0.0.1
 *   WORLD   invisible, blocking or blocked: what one half of the targets is
 *   CALLS   of each kind, for both halves together
 *
 * Each of VIEWERS users has a friend and a stranger of its own as targets, and in which half they are is
 * drawn by lot. Calls about the two halves alternate in an order that is drawn, too, over one connection,
 * so that whatever else the machine does meets both alike. It prints, for each kind of call, a line of
 * NAME=VALUE: the halves' medians in us, and p of a rank-sum test (Mann and Whitney, two-sided): how
 * often chance alone makes two samples of one kind as different as these. A kind whose p is 0.01 or less
 * is measured a second time: one in a hundred is so by chance.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "auth/issue.h"
#include "auth/token.h"
#include "auth/token_keys.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/config.h"
#include "base/random.h"
#include "bench.h"

#define VIEWERS 100
/* In the directory each user is a friend of those 25 before and after. */
#define VIEWER_ID(viewer) (1000 + 100 * (viewer))
#define FRIEND_ID(viewer) (VIEWER_ID(viewer) + 10)
#define STRANGER_ID(viewer) (VIEWER_ID(viewer) + 50)
#define P_MIN 0.01
#define KEPT_MAX 90 /* requests on one connection, after which a web server may close it */

struct viewer {
	char *token;
	unsigned half;
};

struct timing {
	const char *port;
	struct token_keys *keys;
	struct viewer viewers[VIEWERS];
	int connection; /* -1: none */
	unsigned asked; /* over it */
	struct printbuf *out, *in;
};

/* --- HTTP ------------------------------------------------------------------------------------ */

static char *make_token(const struct timing *timing, int id)
{
	int64_t now = time(NULL);
	struct token token = {.iat = now, .exp = now + 3600};

	snprintf(token.user.text, sizeof token.user.text, "%d", id);
	return issue_token(timing->keys, &token);
}

static void put_request(struct printbuf *out, const char *method, const char *path,
			const char *token, const char *body)
{
	buf_reset(out);
	buf_putf(out,
		 "%s /api%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
		 "Content-Length: %zu\r\n%s\r\n%s",
		 method, path, token, strlen(body),
		 *body != '\0' ? "Content-Type: application/json\r\n" : "", body);
}

static void send_all(int fd, const struct printbuf *out)
{
	if (send(fd, out->buf, buf_len(out), MSG_NOSIGNAL) != (ssize_t)buf_len(out))
		bench_die("cannot send: %s", strerror(errno));
}

static void receive(struct timing *timing, int fd)
{
	char piece[65536];
	ssize_t got = recv(fd, piece, sizeof piece, 0);

	if (got <= 0)
		bench_die("the web server has closed: %s", timing->in->buf);
	buf_put(timing->in, piece, (size_t)got);
}

/* Whether the whole answer is there. */
static bool is_complete(const struct printbuf *in)
{
	const char *end = strstr(in->buf, "\r\n\r\n"), *length;

	if (end == NULL)
		return false;
	length = strcasestr(in->buf, "\r\nContent-Length:");
	if (length == NULL || length > end)
		return true; /* 204 */
	return buf_len(in) >= (size_t)(end + 4 - in->buf) + strtoul(length + 17, NULL, 10);
}

static int connect_to(const char *port)
{
	struct pollfd ready = {.fd = bench_connect(port), .events = POLLOUT};

	if (ready.fd < 0 || poll(&ready, 1, 10000) != 1 || fcntl(ready.fd, F_SETFL, 0) != 0)
		bench_die("%s: %s", port, strerror(errno));
	return ready.fd;
}

/* Asks over the kept connection; the answer is in timing->in. ns. */
static int64_t ask(struct timing *timing)
{
	int64_t start;

	if (timing->connection >= 0 && timing->asked++ >= KEPT_MAX) {
		close(timing->connection);
		timing->connection = -1;
	}
	if (timing->connection < 0) {
		timing->connection = connect_to(timing->port);
		timing->asked = 0;
	}
	buf_reset(timing->in);
	start = bench_now_ns();
	send_all(timing->connection, timing->out);
	do
		receive(timing, timing->connection);
	while (!is_complete(timing->in));
	return bench_now_ns() - start;
}

/* Opens a stream; until the end of its `initial`, ns. */
static int64_t open_stream(struct timing *timing)
{
	int64_t start = bench_now_ns();
	int fd = connect_to(timing->port);
	const char *initial = NULL;

	buf_reset(timing->in);
	send_all(fd, timing->out);
	while (initial == NULL || strstr(initial, "\n\n") == NULL) {
		receive(timing, fd);
		initial = strstr(timing->in->buf, "event: initial\n");
	}
	start = bench_now_ns() - start;
	close(fd);
	return start;
}

/* --- the world ------------------------------------------------------------------------------- */

static void call(struct timing *timing, const char *method, const char *path, const char *token,
		 const char *body)
{
	put_request(timing->out, method, path, token, body);
	ask(timing);
	if (strncmp(timing->in->buf, "HTTP/1.1 20", 11) != 0)
		bench_die("%s %s: %s", method, path, timing->in->buf);
}

static void block(struct timing *timing, const char *token, int id)
{
	char path[64];

	snprintf(path, sizeof path, "/presence/blocks/%d", id);
	call(timing, "PUT", path, token, "");
}

/* Makes a target what its half of the world is. */
static void prepare(struct timing *timing, const char *world, const struct viewer *viewer,
		    int viewer_id, int id)
{
	char *token = make_token(timing, id);

	if (strcmp(world, "invisible") == 0) {
		call(timing, "GET", "/online-status/count", token, "");
		if (viewer->half == 0)
			call(timing, "POST", "/auth/logout", token, "");
		else
			call(timing, "PUT", "/presence/status", token,
			     "{\"status\":\"invisible\"}");
	} else if (viewer->half == 1) {
		call(timing, "GET", "/online-status/count", token, "");
		if (strcmp(world, "blocking") == 0)
			block(timing, token, viewer_id);
		else
			block(timing, viewer->token, id);
	}
	free(token);
}

/* So that each has the same in Redis besides its targets. */
static void block_others(struct timing *timing, const struct viewer *viewer, int index)
{
	char *token = make_token(timing, VIEWER_ID(index) + 60);

	block(timing, token, VIEWER_ID(index));
	block(timing, viewer->token, VIEWER_ID(index) + 61);
	free(token);
}

static void make_world(struct timing *timing, const char *world)
{
	for (int i = 0; i < VIEWERS; i++) {
		struct viewer *viewer = &timing->viewers[i];
		unsigned other = random_below((unsigned)i + 1);

		/* As many in each half, in any order. */
		viewer->half = timing->viewers[other].half;
		timing->viewers[other].half = (unsigned)i % 2;
	}
	for (int i = 0; i < VIEWERS; i++) {
		struct viewer *viewer = &timing->viewers[i];

		viewer->token = make_token(timing, VIEWER_ID(i));
		block_others(timing, viewer, i);
		prepare(timing, world, viewer, VIEWER_ID(i), FRIEND_ID(i));
		prepare(timing, world, viewer, VIEWER_ID(i), STRANGER_ID(i));
	}
}

/* --- what is measured ------------------------------------------------------------------------ */

/* F stands for the friend's id, S for the stranger's. */
static const struct kind {
	const char *name, *method, *path, *body;
	bool is_stream;
} kinds[] = {
	{"status_of_friend", "GET", "/online-status/user/F", "", false},
	{"status_of_stranger", "GET", "/online-status/user/S", "", false},
	{"batch", "POST", "/online-status/users", "{\"user_ids\":[F,S,1,2,3,4,5,6,7,8]}", false},
	{"friends", "GET", "/online-status/friends", "", false},
	{"when_online_friend", "POST", "/push/when-online/F", "", false},
	{"when_online_stranger", "POST", "/push/when-online/S", "", false},
	{"typing_to_friend", "POST", "/presence/typing", "{\"to\":F,\"typing\":true}", false},
	{"typing_to_stranger", "POST", "/presence/typing", "{\"to\":S,\"typing\":true}", false},
	{"stream", "GET", "/presence/stream", "", true},
	{"stream_watching", "GET", "/presence/stream?users=S&friends=false", "", true},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static void fill_in(char *text, size_t size, const char *form, int viewer)
{
	size_t len = 0;

	text[0] = '\0';
	for (; *form != '\0' && len + 12 < size; form++) {
		if (*form == 'F' || *form == 'S')
			len += (size_t)snprintf(text + len, size - len, "%d",
						*form == 'F' ? FRIEND_ID(viewer)
							     : STRANGER_ID(viewer));
		else
			len += (size_t)snprintf(text + len, size - len, "%c", *form);
	}
}

static int draw_viewer(const struct timing *timing, unsigned half)
{
	unsigned viewer;

	do
		viewer = random_below(VIEWERS);
	while (timing->viewers[viewer].half != half);
	return (int)viewer;
}

static int64_t measure(struct timing *timing, const struct kind *kind, unsigned half)
{
	int viewer = draw_viewer(timing, half);
	char path[128], body[128];
	int64_t ns;

	fill_in(path, sizeof path, kind->path, viewer);
	fill_in(body, sizeof body, kind->body, viewer);
	put_request(timing->out, kind->method, path, timing->viewers[viewer].token, body);
	ns = kind->is_stream ? open_stream(timing) : ask(timing);
	if (strncmp(timing->in->buf, "HTTP/1.1 20", 11) != 0)
		bench_die("%s: %s", kind->name, timing->in->buf);
	return ns;
}

/* --- the rank-sum test ----------------------------------------------------------------------- */

struct sample {
	int64_t ns;
	unsigned half;
};

static int by_time(const void *a, const void *b)
{
	const struct sample *one = a, *other = b;

	return one->ns < other->ns ? -1 : one->ns > other->ns;
}

/* Of samples that are sorted, half of them in each half: p, two-sided, by the normal approximation. */
static double rank_sum_p(const struct sample *samples, size_t count)
{
	double each = (double)count / 2, ranks = 0, ties = 0, variance, z;

	for (size_t i = 0, end; i < count; i = end) {
		double tied;

		for (end = i + 1; end < count && samples[end].ns == samples[i].ns;)
			end++;
		tied = (double)(end - i);
		ties += tied * tied * tied - tied;
		for (size_t j = i; j < end; j++)
			ranks += samples[j].half == 1 ? (double)(i + end + 1) / 2 : 0;
	}
	variance = each * each / 12 *
		   ((double)count + 1 - ties / ((double)count * ((double)count - 1)));
	z = (ranks - each * ((double)count + 1) / 2) / sqrt(variance);
	return erfc(fabs(z) / sqrt(2));
}

static double median_us(const struct sample *samples, size_t count, unsigned half)
{
	size_t seen = 0;

	for (size_t i = 0; i < count; i++) {
		if (samples[i].half == half && ++seen > count / 4)
			return (double)samples[i].ns / 1000;
	}
	return 0;
}

/* Measures `calls` times, and prints what is between name and p; p. */
static double compare(struct timing *timing, const struct kind *kind, size_t calls,
		      struct sample *samples)
{
	for (size_t i = 0; i < calls; i += 2) {
		unsigned first = random_below(2);

		for (unsigned j = 0; j < 2; j++) {
			samples[i + j].half = first ^ j;
			samples[i + j].ns = measure(timing, kind, first ^ j);
		}
	}
	qsort(samples, calls, sizeof *samples, by_time);
	printf(" a_us=%.1f b_us=%.1f", median_us(samples, calls, 0), median_us(samples, calls, 1));
	return rank_sum_p(samples, calls);
}

static void compare_all(struct timing *timing, const char *world, size_t calls)
{
	struct sample *samples = xcalloc(calls, sizeof *samples);

	for (size_t i = 0; i < KINDS; i++) {
		double p;

		for (int j = 0; j < 200; j++) /* to warm up */
			measure(timing, &kinds[i], (unsigned)j % 2);
		printf("timing world=%s call=%s", world, kinds[i].name);
		p = compare(timing, &kinds[i], calls, samples);
		if (p <= P_MIN) {
			printf(" first_p=%.4f", p);
			p = compare(timing, &kinds[i], calls, samples);
		}
		printf(" p=%.4f\n", p);
		fflush(stdout);
	}
	free(samples);
}

int main(int argc, char **argv)
{
	struct timing timing = {.connection = -1, .in = buf_new(), .out = buf_new()};
	struct config *config;
	char err[512];

	if (argc != 5)
		bench_die("usage: timing CONFIG PORT WORLD CALLS");
	config = config_load(argv[1], err, sizeof err);
	if (config == NULL)
		bench_die("%s", err);
	timing.keys = token_keys_open(config, err, sizeof err);
	if (timing.keys == NULL)
		bench_die("%s", err);
	timing.port = argv[2];
	make_world(&timing, argv[3]);
	compare_all(&timing, argv[3], (size_t)bench_number(argv[4], 1000000) / 4 * 4);
	close(timing.connection);
	for (int i = 0; i < VIEWERS; i++)
		free(timing.viewers[i].token);
	printbuf_free(timing.in);
	printbuf_free(timing.out);
	token_keys_free(timing.keys);
	config_free(config);
	return 0;
}
