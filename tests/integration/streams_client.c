/*
 * Streams that come and go: speaks FastCGI to streamd's socket, without a web
 * server in between.
 *
 *   streams_client SOCKET TOTAL PARALLEL SECONDS < TOKENS
 *
 * Opens TOTAL streams, at most PARALLEL at a time, with the tokens (one a line)
 * in turn. Each is closed when its `initial` has come. Exit status 0 when all
 * had one within SECONDS.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "wire.h"

#define STREAM_PATH "/api/presence/stream"
#define TOKENS_MAX 64
#define TOKEN_SIZE 8192
#define PARALLEL_MAX 512
#define ANSWER_MAX (1 << 20) /* bytes before `initial`: more is not an answer */

struct client {
	const char *socket;
	char *tokens[TOKENS_MAX];
	int token_count;
	int total, started, done;
	struct pollfd fds[PARALLEL_MAX];
	struct printbuf *in[PARALLEL_MAX];
	int parallel, open;
};

static time_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void read_tokens(struct client *client)
{
	char line[TOKEN_SIZE];

	while (client->token_count < TOKENS_MAX && fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\r\n")] = '\0';
		if (*line != '\0')
			client->tokens[client->token_count++] = xstrdup(line);
	}
}

static bool open_one(struct client *client)
{
	const char *token = client->tokens[client->started % client->token_count];
	struct printbuf *request = buf_new();
	int fd = wire_connect(client->socket);
	bool sent = false;

	wire_stream_request(request, STREAM_PATH, token);
	if (fd >= 0)
		sent = send(fd, request->buf, buf_len(request), MSG_NOSIGNAL) ==
		       (ssize_t)buf_len(request);
	printbuf_free(request);
	if (!sent) {
		fprintf(stderr, "stream %d: %s\n", client->started, strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	client->fds[client->open] = (struct pollfd){.fd = fd, .events = POLLIN};
	client->in[client->open] = buf_new();
	client->open++;
	client->started++;
	return true;
}

static void close_one(struct client *client, int index)
{
	close(client->fds[index].fd);
	printbuf_free(client->in[index]);
	client->open--;
	client->fds[index] = client->fds[client->open];
	client->in[index] = client->in[client->open];
}

/* Reads what is there; false when the stream failed. */
static bool read_one(struct client *client, int index)
{
	struct printbuf *in = client->in[index];
	char piece[16384];
	ssize_t got = read(client->fds[index].fd, piece, sizeof piece);

	if (got < 0 && errno == EAGAIN)
		return true;
	if (got > 0)
		buf_put(in, piece, (size_t)got);
	if (memmem(in->buf, buf_len(in), "event: initial\n", 15) != NULL) {
		client->done++;
		close_one(client, index);
		return true;
	}
	if (got > 0 && buf_len(in) < ANSWER_MAX)
		return true;
	fprintf(stderr, "a stream ended without initial after %zu bytes: %.*s\n", buf_len(in),
		(int)(buf_len(in) < 400 ? buf_len(in) : 400), in->buf);
	return false;
}

static bool pump_all(struct client *client, time_t end)
{
	while (client->done < client->total) {
		while (client->open < client->parallel && client->started < client->total) {
			if (!open_one(client))
				return false;
		}
		if (seconds_now() > end) {
			fprintf(stderr, "time is up\n");
			return false;
		}
		if (poll(client->fds, (nfds_t)client->open, 1000) < 0 && errno != EINTR)
			return false;
		for (int i = client->open - 1; i >= 0; i--) {
			if (client->fds[i].revents != 0 && !read_one(client, i))
				return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	struct client client = {0};
	bool ok;

	if (argc != 5) {
		fprintf(stderr, "usage: %s SOCKET TOTAL PARALLEL SECONDS < TOKENS\n", argv[0]);
		return 2;
	}
	client.socket = argv[1];
	client.total = atoi(argv[2]);
	client.parallel = atoi(argv[3]);
	read_tokens(&client);
	if (client.token_count == 0 || client.total < 1 || client.parallel < 1 ||
	    client.parallel > PARALLEL_MAX) {
		fprintf(stderr, "%s: no tokens, or bad numbers\n", argv[0]);
		return 2;
	}
	ok = pump_all(&client, seconds_now() + atoi(argv[4]));
	printf("%d of %d streams had their initial\n", client.done, client.total);
	while (client.open > 0)
		close_one(&client, client.open - 1);
	for (int i = 0; i < client.token_count; i++)
		free(client.tokens[i]);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
