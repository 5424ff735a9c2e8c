/* The stand for Web Push. */
#include "push.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "fleet.h"
#include "process.h"
#include "servers.h"
#include "store/push_subscription.h"

#define SKIPPED 77 /* exit status, for automake */

static const char *fill_in(const struct push_stand *stand, const char *text)
{
	const struct {
		const char *word, *value;
	} words[] = {{"@HTTPS", text_of("%d", stand->https)},
		     {"@H2", text_of("%d", stand->h2)},
		     {"@PLAIN", text_of("%d", stand->plain)},
		     {"@FOREIGN", text_of("%d", stand->foreign)},
		     {"@CLOSED", text_of("%d", stand->closed)},
		     {"@DIR", stand->stack->dir}};
	struct printbuf *out = buf_new();

	while (*text != '\0') {
		size_t i = 0, count = sizeof words / sizeof words[0];

		while (i < count && strncmp(text, words[i].word, strlen(words[i].word)) != 0)
			i++;
		if (i < count) {
			buf_puts(out, words[i].value);
			text += strlen(words[i].word);
		} else {
			buf_put(out, text++, 1);
		}
	}
	return buf_take(out, NULL);
}

int push_main(Suite *suite)
{
	if (access(SRCDIR "/tests/npm/node_modules/web-push-testing", R_OK) == 0)
		return harness_main(suite);
	fputs("SKIP: tests/npm/node_modules lacks web-push-testing (./bootstrap --tests)\n",
	      stderr);
	return SKIPPED;
}

void push_make_certificate(struct stack *stack)
{
	const char *argv[] = {"openssl",
			      "req",
			      "-x509",
			      "-newkey",
			      "ec",
			      "-pkeyopt",
			      "ec_paramgen_curve:P-256",
			      "-nodes",
			      "-keyout",
			      stack_path(stack, "tls.key"),
			      "-out",
			      stack_path(stack, "tls.pem"),
			      "-days",
			      "2",
			      "-subj",
			      "/CN=localhost",
			      "-addext",
			      "subjectAltName=DNS:localhost,DNS:push.test",
			      NULL};

	ck_assert_int_eq(run(stack, NULL, NULL, argv), 0);
}

static int port_of(struct json_object *ports, const char *name)
{
	return json_object_get_int(json_at(ports, name));
}

static void service_start(struct push_stand *stand)
{
	struct stack *stack = stand->stack;
	const char *argv[] = {"node",
			      SRCDIR "/tests/push/service.js",
			      stack_path(stack, "tls.key"),
			      stack_path(stack, "tls.pem"),
			      stack_path(stack, "ports.json"),
			      NULL};
	const char *env[] = {"NODE_PATH", SRCDIR "/tests/npm/node_modules", NULL};
	struct json_object *ports;

	push_make_certificate(stack);
	stand->service = process_start(stack, "service", argv, env, 0);
	WAIT_UNTIL(*stack_file(stack, "ports.json") != '\0' || !process_lives(stand->service),
		   20000);
	ck_assert_msg(process_lives(stand->service),
		      "tests/push/service.js did not start (./bootstrap --tests):\n%s",
		      stack_file(stack, "service.log"));
	ports = parse_json(stack_file(stack, "ports.json"));
	stand->https = port_of(ports, "https");
	stand->h2 = port_of(ports, "h2");
	stand->plain = port_of(ports, "plain");
	stand->foreign = port_of(ports, "foreign");
	stand->closed = port_of(ports, "closed");
}

static const char *sender_token(struct stack *stack)
{
	char payload[256];

	snprintf(payload, sizeof payload,
		 "{'sub':'site','sid':'site-server','iat':%lld,'exp':%lld,'scope':'read push'}",
		 (long long)time(NULL), (long long)time(NULL) + 3600);
	return token_make("{'alg':'HS256','typ':'JWT'}", payload, KEY_HMAC, stack->secret);
}

struct stack *push_stack_new(const char *conf)
{
	struct stack *stack = stack_new("");

	stack_write_secret(stack, "push.pem", CTL(stack, "push", "key"));
	stack_write_conf(stack,
			 text_of("push { key_file = \"%s\" subject = \"mailto:a@example.com\" }\n"
				 "%s",
				 stack_path(stack, "push.pem"), conf));
	return stack;
}

/* In `out`: the configuration, with [push]. */
static void put_conf(struct printbuf *out, struct push_stand *stand, const char *conf)
{
	buf_putf(out,
		 "push { key_file = \"%s\" subject = \"mailto:push@example.com\" ca_file = \"%s\" "
		 "%s}\n%s",
		 stack_path(stand->stack, "push.pem"), stack_path(stand->stack, "tls.pem"),
		 strstr(conf, "allow") != NULL ? ""
					       : "allow = \"127.0.0.1, localhost:@HTTPS, "
						 "localhost:@H2, localhost:@FOREIGN, "
						 "localhost:@CLOSED\"",
		 conf);
}

/* All but Redis and the web server. */
static struct push_stand *stand_new(void)
{
	struct push_stand *stand = xcalloc(1, sizeof *stand);

	stand->stack = stack_new("");
	service_start(stand);
	stack_write_secret(stand->stack, "push.pem", CTL(stand->stack, "push", "key"));
	return stand;
}

struct push_stand *push_start_cluster(int partitions, const char *conf)
{
	struct push_stand *stand = stand_new();
	struct stack *stack = stand->stack;
	struct printbuf *text = buf_new();

	stack->partitions = (unsigned)partitions;
	stack->cluster = cluster_start(stack, text_of("--aclfile %s/conf/redis-users.acl", SRCDIR));
	/* The file's own password. */
	buf_putf(text, "redis { url = \"cluster://presence:PASSWORD@%s\" partitions = %d }\n",
		 stack->cluster->url + strlen("cluster://"), partitions);
	put_conf(text, stand, conf);
	stack_write_conf(stack, fill_in(stand, text->buf));
	lighttpd_start(stack);
	stand->sender = sender_token(stack);
	return stand;
}

struct push_stand *push_start_divided(int count, int partitions, const char *conf)
{
	struct push_stand *stand = stand_new();
	struct printbuf *text = buf_new();

	put_conf(text, stand, conf);
	if (partitions > 1) {
		stack_divide(stand->stack, count, partitions, fill_in(stand, text->buf));
	} else {
		stack_write_conf(stand->stack, fill_in(stand, text->buf));
		redis_start(stand->stack, NULL);
	}
	lighttpd_start(stand->stack);
	stand->sender = sender_token(stand->stack);
	return stand;
}

struct push_stand *push_start(const char *conf)
{
	return push_start_divided(1, 1, conf);
}

void push_stop(struct push_stand *stand)
{
	for (int i = 0; i < PUSHD_MAX; i++) {
		if (stand->pushd[i] != 0)
			ck_assert_int_eq(pushd_end(stand, i, SIGTERM), 0);
	}
	process_end(&stand->service, SIGTERM, "the push service", 5000);
	if (stand->stack->cluster != NULL)
		cluster_stop(stand->stack->cluster);
	stack_stop(stand->stack);
}

void pushd_start(struct push_stand *stand, int index, const char *const env[])
{
	const char *argv[] = {program("presence-pushd"), "-c",
			      stack_path(stand->stack, "presence.conf"), NULL};
	const char *log = index == 0 ? "pushd0" : "pushd1",
		   *file = index == 0 ? "pushd0.log" : "pushd1.log";
	size_t before = strlen(stack_file(stand->stack, file));

	stand->pushd[index] = process_start(stand->stack, log, argv, env, 0);
	WAIT_UNTIL(strstr(stack_file(stand->stack, file) + before, "msg=\"Redis") != NULL ||
			   !process_lives(stand->pushd[index]),
		   10000);
	ck_assert_msg(process_lives(stand->pushd[index]), "presence-pushd did not start:\n%s",
		      stack_file(stand->stack, file));
}

int pushd_end(struct push_stand *stand, int index, int signal)
{
	int status = process_end(&stand->pushd[index], signal, "presence-pushd", 15000);
	const char *log = stack_file(stand->stack, index == 0 ? "pushd0.log" : "pushd1.log");

	check_has_not(log, "Sanitizer");
	check_has_not(log, "runtime error:");
	return status;
}

/* --- subscriptions ------------------------------------------------------------------------ */

const char *push_subscribe_url(struct push_stand *stand, const char *token, const char *url)
{
	struct response *response;
	char body[1024];

	snprintf(body, sizeof body, "{\"endpoint\":\"%s\"," PUSH_TEST_KEYS "}", url);
	response = HTTP(stand->stack, .path = PUSH_SUBSCRIPTIONS, .token = token, .body = body);
	ck_assert_msg(response->status == 201, "subscribing: %d %s", response->status,
		      response->body);
	return json_text(response->json, "id");
}

const char *push_subscribe(struct push_stand *stand, const char *token, int port, const char *path)
{
	char url[512];

	snprintf(url, sizeof url, "https://localhost:%d%s", port, path);
	return push_subscribe_url(stand, token, url);
}

void push_take_offline(struct push_stand *stand, const char *id)
{
	redis_int_of(stand->stack, id, "DEL user:sessions:%s", id);
	redis_int_of(stand->stack, id, "DEL user:online:%s", id);
	redis_int_of(stand->stack, id, "SREM online_users %s", id);
	redis_int_of(stand->stack, id, "ZREM presence:deadlines %s", id);
}

void push_offline_user(struct push_stand *stand, const char *id, int port, const char *path)
{
	push_subscribe(stand, token_for(stand->stack, id), port, path);
	push_take_offline(stand, id);
}

int push_notify(struct push_stand *stand, const char *json)
{
	char *body = xstrdup(json);
	struct response *response;

	for (char *c = body; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	response = HTTP(stand->stack, .path = PUSH_NOTIFY, .token = stand->sender, .body = body);
	ck_assert_msg(response->status == 202, "notify: %d %s", response->status, response->body);
	free(body);
	return json_object_get_int(json_at(response->json, "queued"));
}

/* --- what came of it ---------------------------------------------------------------------- */

long long push_count(struct push_stand *stand, const char *outcome)
{
	return redis_sum(stand->stack, "HGET push:outcomes %s", outcome);
}

static size_t on_bytes(char *data, size_t size, size_t count, void *arg)
{
	buf_put(arg, data, size * count);
	return size * count;
}

struct json_object *push_ask(struct push_stand *stand, const char *path)
{
	struct printbuf *body = buf_new();
	CURL *curl = curl_easy_init();
	struct json_object *log;
	char url[64];

	snprintf(url, sizeof url, "http://127.0.0.1:%d%s", stand->plain, path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)patience(10000));
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	ck_assert_int_eq(curl_easy_perform(curl), CURLE_OK);
	curl_easy_cleanup(curl);
	log = parse_json(body->buf);
	printbuf_free(body);
	return log;
}

struct json_object *push_log(struct push_stand *stand)
{
	return push_ask(stand, "/log");
}

/* The index-th request whose path starts so, or NULL; *count is how many there are. */
static struct json_object *find(struct json_object *log, const char *path, int index, int *count)
{
	struct json_object *found = NULL;

	*count = 0;
	for (size_t i = 0; i < json_object_array_length(log); i++) {
		struct json_object *one = json_object_array_get_idx(log, i);

		if (strncmp(json_text(one, "path"), path, strlen(path)) != 0)
			continue;
		if (*count == index)
			found = one;
		++*count;
	}
	return found;
}

int push_received(struct push_stand *stand, const char *path)
{
	struct json_object *log = push_log(stand);
	int count;

	find(log, path, 0, &count);
	json_object_put(log);
	return count;
}

struct json_object *push_request(struct push_stand *stand, const char *path, int index)
{
	int count;
	struct json_object *found = find(push_log(stand), path, index, &count);

	ck_assert_msg(found != NULL, "%d requests for %s, wanted is number %d", count, path, index);
	return found;
}

bool push_is_idle(struct push_stand *stand)
{
	return redis_sum(stand->stack, "XLEN push:queue") == 0 &&
	       redis_sum(stand->stack, "ZCARD push:later") == 0;
}

/* --- with presence-pushd ------------------------------------------------------------------ */

struct push_stand *push_start_pushd(const char *conf)
{
	struct push_stand *stand = push_start(conf);

	pushd_start(stand, 0, NULL);
	return stand;
}

void push_wait_for(struct push_stand *stand, const char *outcome, long long count)
{
	WAIT_UNTIL(push_count(stand, outcome) >= count, 10000);
	ck_assert_msg(push_count(stand, outcome) == count, "%s: %lld instead of %lld", outcome,
		      push_count(stand, outcome), count);
}

void push_wait_until_idle(struct push_stand *stand)
{
	WAIT_UNTIL(push_is_idle(stand), 15000);
}

/* --- many --------------------------------------------------------------------------------- */

/* The subscription of the user u`i`, as presence-api stores it. */
static void put_subscription(struct push_stand *stand, int i)
{
	struct push_subscription subscription = {.created = 1};
	struct printbuf *text = buf_new();
	struct json_object *keys = parse_json("{" PUSH_TEST_KEYS "}");
	const char *field;

	snprintf(subscription.endpoint, sizeof subscription.endpoint,
		 "https://localhost:%d/as/201/u%d.", stand->h2, i);
	json_object_object_add(keys, "endpoint", json_object_new_string(subscription.endpoint));
	ck_assert_ptr_null(push_subscription_parse(keys, text_of("localhost:%d", stand->h2),
						   &subscription, &field));
	push_subscription_put(text, &subscription);
	redis_int_of(stand->stack, text_of("u%d", i), "HSET push:subs:u%d %s %b", i,
		     subscription.id, text->buf, buf_len(text));
	json_object_put(keys);
	printbuf_free(text);
}

void push_queue_many(struct push_stand *stand, int first, int count)
{
	for (int i = first; i < first + count; i++) {
		put_subscription(stand, i);
		redis_int_of(stand->stack, text_of("u%d", i), "XADD push:queue * job %s",
			     text_of("{\"id\":\"j%d\",\"user\":\"u%d\",\"title\":\"a\","
				     "\"ttl\":600,\"only_if\":\"always\"}",
				     i, i));
	}
}

int push_count_repeated(struct push_stand *stand, int count)
{
	struct json_object *log = push_log(stand);
	const char **topics = xcalloc((size_t)count, sizeof *topics);
	int repeated = 0;

	for (size_t i = 0; i < json_object_array_length(log); i++) {
		struct json_object *one = json_object_array_get_idx(log, i);
		const char *topic = json_text(json_at(one, "headers"), "topic");
		int user = -1;

		ck_assert_int_eq(sscanf(json_text(one, "path"), "/as/201/u%d.", &user), 1);
		ck_assert(user >= 0 && user < count);
		if (topics[user] != NULL) {
			ck_assert_str_eq(topics[user], topic);
			repeated++;
		}
		topics[user] = topic;
	}
	for (int i = 0; i < count; i++)
		ck_assert_msg(topics[i] != NULL, "notification %d was never sent", i);
	free(topics);
	return repeated;
}

void push_check_kill(struct push_stand *stand, int count)
{
	int repeated;

	push_queue_many(stand, 0, count);
	pushd_start(stand, 0, NULL);
	WAIT_UNTIL(push_count(stand, "sent") > count / 4, 60000);
	ck_assert_int_eq(pushd_end(stand, 0, SIGKILL), 128 + SIGKILL);
	ck_assert_msg(redis_sum(stand->stack, "XLEN push:queue") > 0, "it was killed too late");
	pushd_start(stand, 1, NULL);
	WAIT_UNTIL(push_is_idle(stand), 120000);
	repeated = push_count_repeated(stand, count);
	ck_assert_msg(repeated <= PUSH_UNDER_WAY_MAX, "%d were sent again", repeated);
	push_stop(stand);
}
