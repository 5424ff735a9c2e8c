/* What the load generator sends: requests for streams, what is published, touches. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include <fastcgi.h>

#include "auth/issue.h"
#include "base/redis_url.h"
#include "base/alloc.h"
#include "base/userid.h"
#include "bench.h"
#include "store/blocking.h"
#include "store/resp.h"
#include "store/reply.h"
#include "store/store.h"
#include "base/fcgi.h"
#include "stream/events.h"
#include "streams.h"

#define PATH "/api/presence/stream"

static struct userid make_id(unsigned user)
{
	struct userid id;

	memset(&id, 0, sizeof id);
	snprintf(id.text, sizeof id.text, "%u", user);
	return id;
}

/* --- tokens ---------------------------------------------------------------------------------- */

void prepare(struct load *load, unsigned count)
{
	char err[512];
	struct token_keys *keys = token_keys_open(load->config, err, sizeof err);
	int64_t now = time(NULL);

	if (keys == NULL)
		bench_die("%s", err);
	if (count > load->token_count)
		load->tokens = xrealloc(load->tokens, count * sizeof load->tokens[0]);
	while (load->token_count < count) {
		struct token token = {
			.user = make_id(load->token_count + 1), .iat = now, .exp = now + 3600};

		load->tokens[load->token_count++] = issue_token(keys, &token);
	}
	token_keys_free(keys);
}

void write_tokens(struct load *load, unsigned count, const char *path)
{
	FILE *file = fopen(path, "we");

	prepare(load, count);
	if (file == NULL)
		bench_die("%s: %s", path, strerror(errno));
	for (unsigned i = 0; i < count; i++)
		fprintf(file, "%s\n", load->tokens[i]);
	fclose(file);
	printf("tokens count=%u", count);
}

/* --- requests -------------------------------------------------------------------------------- */

static void put_record(struct printbuf *out, int type, const void *content, size_t len)
{
	FCGI_Header header = {.version = FCGI_VERSION_1,
			      .type = (unsigned char)type,
			      .requestIdB0 = 1,
			      .contentLengthB1 = (unsigned char)(len >> 8),
			      .contentLengthB0 = (unsigned char)len};

	buf_put(out, &header, sizeof header);
	buf_put(out, content, len);
}

/* FastCGI section 3.4; all are shorter than 65536 bytes. */
static void put_param(struct printbuf *out, const char *name, const char *value)
{
	size_t len = strlen(value);
	unsigned char lengths[5] = {(unsigned char)strlen(name), 0x80, 0, (unsigned char)(len >> 8),
				    (unsigned char)len};

	buf_put(out, lengths, sizeof lengths);
	buf_puts(out, name);
	buf_puts(out, value);
}

static void put_fcgi(struct printbuf *out, const char *token)
{
	static const FCGI_BeginRequestBody begin = {.roleB0 = FCGI_RESPONDER};
	struct printbuf *params = buf_new(), *bearer = buf_new();

	buf_puts(bearer, "Bearer ");
	buf_puts(bearer, token);
	put_param(params, "REQUEST_METHOD", "GET");
	put_param(params, "REQUEST_URI", PATH);
	put_param(params, "QUERY_STRING", "");
	put_param(params, "SCRIPT_NAME", PATH);
	put_param(params, "SERVER_PROTOCOL", "HTTP/1.1");
	put_param(params, "REMOTE_ADDR", "127.0.0.1");
	put_param(params, "HTTP_HOST", "localhost");
	put_param(params, "HTTP_ACCEPT", "text/event-stream");
	put_param(params, "HTTP_AUTHORIZATION", bearer->buf);
	put_record(out, FCGI_BEGIN_REQUEST, &begin, sizeof begin);
	put_record(out, FCGI_PARAMS, params->buf, buf_len(params));
	put_record(out, FCGI_PARAMS, "", 0);
	put_record(out, FCGI_STDIN, "", 0);
	printbuf_free(params);
	printbuf_free(bearer);
}

struct printbuf *request_make(const struct load *load, unsigned user)
{
	static const char end[] =
		" HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
	struct printbuf *out = buf_new();

	if (load->mode == MODE_HTTP) {
		buf_puts(out, "GET " PATH " HTTP/1.1\r\nHost: localhost\r\n"
			      "Accept: text/event-stream\r\nAuthorization: Bearer ");
		buf_puts(out, load->tokens[user - 1]);
		buf_puts(out, "\r\n\r\n");
	} else if (load->mode == MODE_FCGI) {
		put_fcgi(out, load->tokens[user - 1]);
	} else if (load->mode == MODE_FLOOR) {
		buf_putf(out, "GET /%u%s", user, end);
	} else {
		buf_puts(out, "GET /sub?ids=");
		for (unsigned i = 1; i <= load->friends; i++)
			buf_putf(out, i > 1 ? ",%u" : "%u", user + i);
		buf_puts(out, end);
	}
	return out;
}

/* The time is the name of the conversation. */
struct printbuf *typing_make(const struct load *load, unsigned user, unsigned to)
{
	struct printbuf *out = buf_new(), *body = buf_new();

	buf_putf(body, "{\"to\":%u,\"typing\":true,\"conversation\":\"%lld\"}", to,
		 (long long)bench_now_ns());
	buf_putf(out,
		 "POST /api/presence/typing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		 "Content-Type: application/json\r\nContent-Length: %zu\r\n"
		 "Authorization: Bearer %s\r\n\r\n%s",
		 buf_len(body), load->tokens[user - 1], body->buf);
	printbuf_free(body);
	return out;
}

/* --- publishing ------------------------------------------------------------------------------ */

/* A change as touch.lua makes it, and the time. */
static int make_message(char *text, size_t size, unsigned user)
{
	return snprintf(text, size,
			"{\"user_id\":%u,\"is_online\":true,\"status\":\"online\","
			"\"last_activity\":\"2024-01-21T10:30:00Z\",\"version\":1705833000000000,"
			"\"reason\":\"activity\",\"sent\":%lld}",
			user, (long long)bench_now_ns());
}

static void put_message(struct printbuf *out, const struct load *load, unsigned user)
{
	char text[512];
	int len = make_message(text, sizeof text, user);

	if (load->mode == MODE_NCHAN) {
		buf_putf(out,
			 "POST /pub?id=%u HTTP/1.1\r\nHost: localhost\r\n"
			 "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			 user, len, text);
	} else if (load->mode == MODE_BARE) {
		struct frame *frame = events_frame("status_change", text, (size_t)len);

		buf_put(out, frame->records, frame->len);
		frame_unref(frame);
	} else {
		char id[16];

		snprintf(id, sizeof id, "%u", user);
		resp_begin(out, 3);
		resp_text(out, "PUBLISH");
		resp_key(out, load->config->redis.prefix, "user:status:", id);
		resp_arg(out, text, (size_t)len);
	}
}

void publish(struct load *load, unsigned user)
{
	struct printbuf *out = buf_new();

	put_message(out, load, user);
	if (send(load->publisher.fd, out->buf, buf_len(out), MSG_NOSIGNAL) != (ssize_t)buf_len(out))
		bench_die("cannot publish: %s", strerror(errno));
	printbuf_free(out);
}

void publisher_drain(struct load *load)
{
	char data[16384];
	ssize_t got = recv(load->publisher.fd, data, sizeof data, 0);

	if (got == 0 || (got < 0 && errno != EAGAIN))
		bench_die("publishing: the server has closed");
	if (got > 0 && (data[0] == '-' || memmem(data, (size_t)got, "HTTP/1.1 4", 10) != NULL))
		bench_die("publishing: %.*s", (int)got, data);
}

static void connect_publisher(struct load *load)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &load->publisher};
	struct redis_url redis;
	char address[256];

	redis_url_parse(load->config->redis.url, &redis);
	if (redis.nodes[0].path == NULL)
		bench_die("redis.url: a Unix socket is needed");
	snprintf(address, sizeof address, "unix:%s", redis.nodes[0].path);
	if (load->mode == MODE_BARE) /* the first connection is the control */
		load->publish_to = load->targets[0];
	else if (load->mode != MODE_NCHAN || load->publish_to == NULL)
		load->publish_to = address;
	load->publisher.fd = bench_connect(load->publish_to);
	if (load->publisher.fd < 0)
		bench_die("%s: %s", load->publish_to, strerror(errno));
	epoll_ctl(load->epoll, EPOLL_CTL_ADD, load->publisher.fd, &event);
	redis_url_free(&redis);
}

void load_setup(struct load *load)
{
	char err[512];

	load->config = config_load(load->config_file, err, sizeof err);
	if (load->config == NULL)
		bench_die("%s", err);
	connect_publisher(load);
}

/* --- touching -------------------------------------------------------------------------------- */

static void touch_some(struct blocking *redis, const struct store *store, unsigned first,
		       unsigned count)
{
	struct store_touch items[STORE_BATCH_MAX];
	struct userid ids[STORE_BATCH_MAX];
	char toks[STORE_BATCH_MAX][16];
	struct printbuf *out = buf_new();
	redisReply *reply;

	for (unsigned i = 0; i < count; i++) {
		ids[i] = make_id(first + i);
		snprintf(toks[i], sizeof toks[i], "bench%u", first + i);
		items[i] = (struct store_touch){
			.user = &ids[i], .tok = toks[i], .token = true, .reason = "login"};
	}
	store_put_touch(out, store, STORE_WORKER, items, count);
	if (!blocking_run(redis, out, 1, &reply))
		bench_die("touch: %s", blocking_error(redis));
	reply_free(reply);
	printbuf_free(out);
}

void touch(struct load *load, unsigned count)
{
	struct store *store = store_new(load->config, 0, load->config->redis.prefix);
	struct blocking *redis = blocking_new(load->config, 0);

	for (unsigned done = 0; done < count; done += STORE_BATCH_MAX)
		touch_some(redis, store, done + 1,
			   count - done < STORE_BATCH_MAX ? count - done : STORE_BATCH_MAX);
	blocking_free(redis);
	store_free(store);
	printf("touch users=%u", count);
}
