/*
 * The load generator: holds many event streams, publishes, and tells what the
 * servers paid for it.
 *
 *     streams -m MODE -t ADDRESS [-t ADDRESS] [-p ADDRESS] [-f FRIENDS] [-w NAME=PID] CONFIG
 *
 *   -m http   streams through a web server, each with its own user's token
 *      fcgi   the same on streamd's own socket
 *      floor  clients of floor_fanout
 *      bare   receivers of floor_send
 *      nchan  EventSource clients of nginx's nchan, one channel for each of FRIENDS friends
 *   -t        where: unix:/path or a port of 127.0.0.1; several are used in turn
 *   -p        nchan: the port that takes what is published; otherwise Redis does
 *   -w        a server process whose CPU time and memory are told; several may have one name
 *
 * It reads commands, one a line, and answers each with one line, NAME=NUMBER …:
 *
 *   touch N             users 1 … N are online (their tokens' sessions)
 *   open N              streams of users 1 … N; ends when all hold `initial`
 *   one ID TIMES        publishes a change of a user whom all know, waits until all have it
 *   change RATE SECONDS FIRST LAST
 *                       publishes changes of users FIRST … LAST in turn
 *   stir RATE SECONDS FIRST LAST
 *                       the same, for what it costs: changes need not come one by one
 *   typing RATE SECONDS every second user who has a stream types to the next one, in turn (http)
 *   idle SECONDS        reads what comes
 *   pss                 memory, kB
 *   close               closes the streams
 *   tokens N FILE       writes tokens of users 1 … N
 *
 * CPU times (cpu.NAME) and `seconds` are of the command, in ns and s.
 */
#include "streams.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bench.h"

#define EVENTS 512
#define OPENING_MAX 900 /* below the backlog of a web server */
#define OPEN_LIMIT_NS 60000000000 /* for one `open` */
#define ARRIVE_LIMIT_NS 10000000000 /* for what was published last */
#define MS 1000000 /* ns */

/* --- measuring ------------------------------------------------------------------------------- */

static void measure_start(struct load *load)
{
	load->started_ns = bench_now_ns();
	for (size_t i = 0; i < load->watch_count; i++)
		load->watches[i].cpu_ns = bench_cpu_ns(load->watches[i].pid);
}

/* Processes of one name are added up. */
static void print_watches(const struct load *load, const char *what,
			  int64_t (*value)(const struct watch *))
{
	for (size_t i = 0; i < load->watch_count; i++) {
		const char *name = load->watches[i].name;
		int64_t sum = 0;
		bool told = false;

		for (size_t j = 0; j < load->watch_count; j++) {
			if (strcmp(load->watches[j].name, name) != 0)
				continue;
			told = told || j < i;
			sum += value(&load->watches[j]);
		}
		if (!told)
			printf(" %s.%s=%lld", what, name, (long long)sum);
	}
}

static int64_t cpu_since(const struct watch *watch)
{
	return bench_cpu_ns(watch->pid) - watch->cpu_ns;
}

static int64_t pss_of(const struct watch *watch)
{
	return bench_pss_kb(watch->pid);
}

static void measure_print(const struct load *load)
{
	printf(" seconds=%.6f", (double)(bench_now_ns() - load->started_ns) / 1e9);
	print_watches(load, "cpu", cpu_since);
}

static int compare_samples(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Of the deliveries since measure_reset(). */
static void print_latency(struct load *load)
{
	size_t count = load->delivered;

	qsort(load->samples, count, sizeof load->samples[0], compare_samples);
	printf(" delivered=%zu p50_us=%u p99_us=%u", count,
	       count > 0 ? load->samples[count / 2] : 0,
	       count > 0 ? load->samples[count - 1 - count / 100] : 0);
}

static void on_delivery(struct load *load, int64_t sent_ns)
{
	if (load->delivered == load->sample_room) {
		load->sample_room = load->sample_room > 0 ? load->sample_room * 2 : 65536;
		load->samples =
			xrealloc(load->samples, load->sample_room * sizeof load->samples[0]);
	}
	load->samples[load->delivered++] = (uint32_t)((load->turn_ns - sent_ns) / 1000);
}

/* --- streams --------------------------------------------------------------------------------- */

static void set_ready(struct stream *stream)
{
	if (!stream->ready)
		stream->load->ready++;
	stream->ready = true;
}

/* When what a line tells was sent, ns, where make_message() or typing_make() put it; 0: it does not say. */
static int64_t time_in(const char *line, size_t len)
{
	static const char sent[] = "\"sent\":", conversation[] = "\"conversation\":\"";
	const char *tail = len > 80 ? line + len - 80 : line;
	const char *at = memmem(tail, (size_t)(line + len - tail), sent, sizeof sent - 1);

	if (at != NULL)
		return strtoll(at + sizeof sent - 1, NULL, 10);
	at = memmem(tail, (size_t)(line + len - tail), conversation, sizeof conversation - 1);
	return at != NULL ? strtoll(at + sizeof conversation - 1, NULL, 10) : 0;
}

static void on_line(void *arg, const char *line, size_t len)
{
	struct stream *stream = arg;
	int64_t sent;

	if (len < 6 || memcmp(line, "data: ", 6) != 0) {
		stream->in_initial = len == 14 && memcmp(line, "event: initial", 14) == 0;
		return;
	}
	if (stream->in_initial)
		set_ready(stream);
	stream->in_initial = false;
	sent = time_in(line, len);
	if (sent != 0)
		on_delivery(stream->load, sent);
}

static void stream_close(struct stream *stream)
{
	/* An RST: no 10,000 sockets in TIME_WAIT. */
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	if (stream->fd < 0)
		return;
	setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	close(stream->fd);
	stream->fd = -1;
	reader_clear(&stream->reader);
	if (stream->ready)
		stream->load->ready--;
	stream->ready = false;
}

static void stream_read(struct stream *stream)
{
	static char data[65536];
	ssize_t got = recv(stream->fd, data, sizeof data, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		stream->load->lost += stream->types_to == 0;
		stream_close(stream);
		return;
	}
	reader_feed(&stream->reader, data, (size_t)got, on_line, stream);
	if (stream->reader.in_head)
		return;
	if (stream->reader.status != (stream->types_to > 0 ? 204 : 200) &&
	    stream->reader.status != 0)
		bench_die("stream %u: status %d", stream->user, stream->reader.status);
	if (stream->load->mode == MODE_NCHAN)
		set_ready(stream); /* there is no `initial` */
}

static void stream_write(struct stream *stream)
{
	struct load *load = stream->load;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = stream};
	struct printbuf *request = stream->types_to > 0
					   ? typing_make(load, stream->user, stream->types_to)
					   : request_make(load, stream->user);
	ssize_t sent = send(stream->fd, request->buf, buf_len(request), MSG_NOSIGNAL);

	if (sent != (ssize_t)buf_len(request))
		bench_die("stream %u: cannot send the request: %s", stream->user, strerror(errno));
	printbuf_free(request);
	epoll_ctl(load->epoll, EPOLL_CTL_MOD, stream->fd, &event);
}

/* False when the server's backlog is full: try again a little later. */
static bool stream_start(struct load *load, struct stream *stream, unsigned user)
{
	bool is_bare = load->mode == MODE_BARE;
	struct epoll_event event = {.events = is_bare ? EPOLLIN : EPOLLOUT, .data.ptr = stream};
	int fd = bench_connect(load->targets[user % load->target_count]);

	if (fd < 0 && errno == EAGAIN)
		return false;
	if (fd < 0)
		bench_die("%s: %s", load->targets[user % load->target_count], strerror(errno));
	*stream = (struct stream){.load = load, .fd = fd, .user = user};
	stream->reader.in_head = !is_bare;
	stream->reader.framing = is_bare || load->mode == MODE_FCGI ? FRAMING_FCGI : FRAMING_PLAIN;
	epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event);
	if (is_bare)
		set_ready(stream);
	return true;
}

/* --- the loop -------------------------------------------------------------------------------- */

/* Handles what has come, waits at most until `until_ns`. */
static void turn(struct load *load, int64_t until_ns)
{
	struct epoll_event events[EVENTS];
	int64_t wait = until_ns - bench_now_ns();
	struct timespec limit = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};
	int count;

	if (wait < 0)
		limit = (struct timespec){0};
	count = epoll_pwait2(load->epoll, events, EVENTS, &limit, NULL);
	load->turn_ns = bench_now_ns();
	for (int i = 0; i < count; i++) {
		struct stream *stream = events[i].data.ptr;

		if (stream == NULL)
			load->has_command = true;
		else if (stream == &load->publisher)
			publisher_drain(load);
		else if (events[i].events & EPOLLOUT)
			stream_write(stream);
		else if (stream->fd >= 0)
			stream_read(stream);
		if ((i & 15) == 15) /* when a stream is read is when its event has come */
			load->turn_ns = bench_now_ns();
	}
}

static void run_until(struct load *load, int64_t until_ns)
{
	while (bench_now_ns() < until_ns)
		turn(load, until_ns);
}

static void wait_for_deliveries(struct load *load, size_t expected)
{
	int64_t limit = bench_now_ns() + ARRIVE_LIMIT_NS;

	while (load->delivered < expected && bench_now_ns() < limit)
		turn(load, limit);
}

/* --- commands -------------------------------------------------------------------------------- */

static void do_open(struct load *load, unsigned count)
{
	int64_t limit = bench_now_ns() + OPEN_LIMIT_NS;

	if (load->stream_count != 0)
		bench_die("open: close first");
	prepare(load, count); /* tokens are not part of what is measured */
	load->streams = xcalloc(count, sizeof load->streams[0]);
	measure_start(load);
	while (load->ready < count && bench_now_ns() < limit && load->lost == 0) {
		while (load->stream_count < count &&
		       load->stream_count - load->ready < OPENING_MAX &&
		       stream_start(load, &load->streams[load->stream_count],
				    load->stream_count + 1))
			load->stream_count++;
		turn(load, bench_now_ns() + MS);
	}
	printf("open streams=%u lost=%u", load->ready, load->lost);
	measure_print(load);
}

static void do_close(struct load *load)
{
	measure_start(load);
	for (unsigned i = 0; i < load->stream_count; i++)
		stream_close(&load->streams[i]);
	free(load->streams);
	load->streams = NULL;
	load->stream_count = load->lost = 0;
	printf("close");
	measure_print(load);
}

static void do_one(struct load *load, unsigned user, unsigned times)
{
	load->delivered = 0;
	measure_start(load);
	for (unsigned i = 0; i < times; i++) {
		publish(load, user);
		wait_for_deliveries(load, (size_t)(i + 1) * load->ready);
	}
	printf("one expected=%u", times * load->ready);
	measure_print(load);
	print_latency(load);
}

/* Changes at a steady rate, whether or not the servers keep up. */
static void do_change(struct load *load, unsigned rate, unsigned seconds, unsigned first,
		      unsigned last, bool is_each)
{
	unsigned count = rate * seconds, watchers = 0, range = last - first + 1;
	int64_t began;

	load->delivered = 0;
	measure_start(load);
	began = load->started_ns;
	for (unsigned i = 0; i < count; i++) {
		unsigned user = first + (unsigned)((uint64_t)i * 7919 % range);

		run_until(load, began + (int64_t)i * 1000000000 / rate);
		publish(load, user);
		/* User U is a friend of U - friends … U - 1; of these, those that have a stream. */
		watchers += (user - 1 < load->ready ? user - 1 : load->ready) -
			    (user - 1 > load->friends ? user - 1 - load->friends : 0);
	}
	run_until(load, began + (int64_t)seconds * 1000000000);
	if (is_each)
		wait_for_deliveries(load, watchers);
	printf("change published=%u expected=%u", count, watchers);
	measure_print(load);
	print_latency(load);
}

/* At a steady rate; the same two not more often than each gets through (every 2 s). */
static void do_typing(struct load *load, unsigned rate, unsigned seconds)
{
	unsigned count = rate * seconds;
	struct stream *calls = xcalloc(count, sizeof calls[0]);

	if (load->mode != MODE_HTTP || load->ready < 2 || load->ready / 2 < rate * 3)
		bench_die("typing: more streams are needed");
	load->delivered = 0;
	measure_start(load);
	for (unsigned i = 0; i < count; i++) {
		unsigned from = 1 + 2 * i % (load->ready / 2 * 2);

		run_until(load, load->started_ns + (int64_t)i * 1000000000 / rate);
		if (!stream_start(load, &calls[i], from))
			bench_die("typing: the web server accepts nobody");
		calls[i].types_to = from + 1;
	}
	wait_for_deliveries(load, count);
	printf("typing expected=%u", count);
	measure_print(load);
	print_latency(load);
	for (unsigned i = 0; i < count; i++)
		stream_close(&calls[i]);
	free(calls);
}

static void do_idle(struct load *load, unsigned seconds)
{
	measure_start(load);
	run_until(load, bench_now_ns() + (int64_t)seconds * 1000000000);
	printf("idle streams=%u lost=%u", load->ready, load->lost);
	measure_print(load);
}

static void do_pss(struct load *load)
{
	printf("pss streams=%u", load->ready);
	print_watches(load, "pss", pss_of);
}

static void run_command(struct load *load, const char *line)
{
	unsigned a, b, c, d;
	char path[256];

	if (sscanf(line, "touch %u", &a) == 1)
		touch(load, a);
	else if (sscanf(line, "open %u", &a) == 1)
		do_open(load, a);
	else if (sscanf(line, "one %u %u", &a, &b) == 2)
		do_one(load, a, b);
	else if (sscanf(line, "change %u %u %u %u", &a, &b, &c, &d) == 4 && a > 0 && c <= d)
		do_change(load, a, b, c, d, true);
	else if (sscanf(line, "stir %u %u %u %u", &a, &b, &c, &d) == 4 && a > 0 && c <= d)
		do_change(load, a, b, c, d, false);
	else if (sscanf(line, "typing %u %u", &a, &b) == 2 && a > 0)
		do_typing(load, a, b);
	else if (sscanf(line, "idle %u", &a) == 1)
		do_idle(load, a);
	else if (sscanf(line, "tokens %u %255s", &a, path) == 2)
		write_tokens(load, a, path);
	else if (strcmp(line, "pss\n") == 0)
		do_pss(load);
	else if (strcmp(line, "close\n") == 0)
		do_close(load);
	else
		bench_die("what is '%s'?", line);
	putchar('\n');
	fflush(stdout);
}

static void serve(struct load *load)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = NULL};
	char line[512];

	setvbuf(stdin, NULL, _IONBF, 0); /* what is buffered would not be seen by epoll */
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0)
		bench_die("commands come through a pipe");
	for (;;) {
		turn(load, bench_now_ns() + 1000000000);
		if (!load->has_command)
			continue;
		load->has_command = false;
		if (fgets(line, sizeof line, stdin) == NULL)
			return;
		run_command(load, line);
		epoll_ctl(load->epoll, EPOLL_CTL_MOD, STDIN_FILENO, &event);
	}
}

/* --- options --------------------------------------------------------------------------------- */

static void set_mode(struct load *load, const char *name)
{
	static const char *const names[] = {"http", "fcgi", "floor", "bare", "nchan"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(names[i], name) == 0) {
			load->mode = (enum mode)i;
			return;
		}
	}
	bench_die("no mode %s", name);
}

static void add_watch(struct load *load, char *text)
{
	char *pid = strchr(text, '=');

	if (pid == NULL || load->watch_count == WATCHES_MAX)
		bench_die("-w %s", text);
	*pid++ = '\0';
	load->watches[load->watch_count++] =
		(struct watch){.name = text, .pid = (pid_t)bench_number(pid, 1 << 30)};
}

static void read_options(struct load *load, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "m:t:p:f:w:")) != -1) {
		if (option == 'm')
			set_mode(load, optarg);
		else if (option == 't' && load->target_count < TARGETS_MAX)
			load->targets[load->target_count++] = optarg;
		else if (option == 'p')
			load->publish_to = optarg;
		else if (option == 'f')
			load->friends = (unsigned)bench_number(optarg, 5000);
		else if (option == 'w')
			add_watch(load, optarg);
		else
			exit(2);
	}
	if (argc - optind != 1 || load->target_count == 0)
		bench_die("usage: streams -m MODE -t ADDRESS CONFIG");
	load->config_file = argv[optind];
}

int main(int argc, char **argv)
{
	static struct load load;

	read_options(&load, argc, argv);
	bench_raise_descriptors();
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	load_setup(&load);
	serve(&load);
	return 0;
}
