/*
 * The same site behind every way of serving it: docs/apache.md, cgi.md,
 * haproxy.md, lighttpd.md, nginx.md, shared-host.md and systemd.md promise what
 * is checked here, of the files in conf/.
 */
#include "calls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <fastcgi.h>

#include "base/address.h"
#include "base/buf.h"
#include "base/fcgi.h"
#include "process.h"
#include "servers.h"
#include "wire.h"

#define SILENT 30 /* s; longer than any test that does not look at heartbeats */
#define PROMPT 1000 /* ms in which what happens must be seen */

#define GRACE_MAX 20 /* s; longer than grace and shorter than stream_ttl of these: */
/* Heartbeats that come too late to help anything out of a buffer. */
#define RARE "presence { heartbeat = 20 stream_ttl = 60 }\nstream { drain = 1 }\n"
/* Frequent ones; and only a stream's end, not its time-out, can make a user offline. */
#define OFTEN                                                                              \
	"presence { heartbeat = 1 stream_ttl = 60 online_ttl = 60 grace = 1 sweep = 1 }\n" \
	"stream { drain = 1 }\n"

static bool serves_streams(const struct site *site)
{
	return (site->server->traits & STREAMS) != 0;
}

/* --- the REST calls ----------------------------------------------------------------------- */

static void check_calls(struct stack *stack)
{
	const char *token = json_text(http_ok(stack, LOGIN, NULL, CREDENTIALS), "access_token");

	touch(stack, token_for(stack, "2"));
	CHECK_JSON(http_ok(stack, "/api/health", NULL, NULL), "{'status':'ok','redis':'ok'}");
	ck_assert_str_eq(
		header_of(HTTP(stack, .path = "/api/health", .header = "X-Request-Id: a.1")->head,
			  "X-Request-Id"),
		"a.1");
	CHECK_JSON(http_ok(stack, "/api/friends/list", token_for(stack, "2"), NULL),
		   "[{'user_id':1,'name':'User 1'},{'user_id':3,'name':'User 3'},"
		   "{'user_id':4,'name':'User 4'},{'user_id':5,'name':'User 5'},"
		   "{'user_id':6,'name':'User 6'}]");
	CHECK_JSON(
		http_ok(stack, "/api/online-status/users", token, "{\"user_ids\":[2,\"x.y-z_\"]}"),
		"{'2':" ONLINE(2) ",'x.y-z_':" NEVER_SEEN('x.y-z_') "}");
	CHECK_JSON(http_ok(stack, "/api/online-status/user/2", token, NULL), ONLINE(2));
	CHECK_JSON(http_ok(stack, "/api/online-status/user/x%2Ey-z_", token, NULL),
		   NEVER_SEEN('x.y-z_'));
	CHECK_JSON(json_at(http_ok(stack, "/api/online-status/friends", token, NULL), "2"),
		   ONLINE(2));
	CHECK_JSON(http_ok(stack, "/api/online-status/heartbeat", token, ""),
		   "{'ok':true,'expires_in':'<int>'}");
	CHECK_JSON(http_ok(stack, "/api/online-status/heartbeat", token,
			   "{\"websocket_session\":\"w\"}"),
		   "{'ok':true,'expires_in':'<int>'}");
	CHECK_JSON(http_ok(stack, COUNT, token, NULL), "{'count':2}");
	CHECK_JSON(http_ok(stack, "/api/online-status/online?limit=1000&cursor=", token, NULL),
		   "{'user_ids':'<any>','cursor':null}");
	CHECK_JSON(http_ok(stack, "/api/presence/ticket", token, ""),
		   "{'ticket':'<string>','expires_in':30}");
	token = json_text(http_ok(stack, "/api/auth/refresh", token, ""), "access_token");
	CHECK_JSON(http_ok(stack, "/api/auth/logout", token, ""), "{'ok':true}");
	check_problem(HTTP(stack, .path = COUNT, .token = token), 401, "token_revoked");
}

/* Whether status, fields and body of a refusal pass through, and the way a token comes. */
static void check_refusals(struct stack *stack)
{
	const char *token = token_for(stack, "1");
	static char large[100000];
	struct response *options;

	memset(large, ' ', sizeof large - 1);
	check_problem(HTTP(stack, .path = COUNT), 401, "token_missing");
	check_problem(HTTP(stack, .path = COUNT, .token = "garbage"), 401, "token_invalid");
	http_ok(stack, text_of(COUNT "?token=%s", token), NULL, NULL);
	check_problem(HTTP(stack, .path = "/api/nothing", .token = token), 404, "not_found");
	check_problem(HTTP(stack, .path = "/api/online-status/user/%20", .token = token), 400,
		      "bad_id");
	check_problem(HTTP(stack, .method = "DELETE", .path = COUNT, .token = token), 405,
		      "method_not_allowed");
	check_problem(HTTP(stack, .path = LOGIN, .body = large), 413, "body_too_large");
	check_problem(HTTP(stack, .path = LOGIN, .body = "{}", .type = "text/plain"), 415,
		      "unsupported_media_type");
	options = HTTP(stack, .method = "OPTIONS", .path = COUNT);
	ck_assert_msg(options->status == 204, "OPTIONS: status %d", options->status);
	ck_assert_msg(header_of(options->head, "Allow") != NULL, "OPTIONS without Allow:\n%s",
		      options->head);
}

/* HEAD is what GET is without its body: nothing that a client would take for the next answer. */
static void check_head(struct stack *stack)
{
	const char *token = token_for(stack, "1");
	const struct request requests[] = {
		{.path = "/api/health"},
		{.path = COUNT, .token = token},
		{.path = "/api/friends/list", .token = token},
		{.path = COUNT},
		{.path = "/api/nothing", .token = token},
		{.path = "/api/online-status/user/%20", .token = token},
		{.path = "/api/online-status/user/2", .token = "garbage"},
	};

	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
		struct request head = requests[i];
		struct response *get = http_send(stack, &requests[i]), *seen;

		head.method = "HEAD";
		seen = http_send(stack, &head);
		ck_assert_msg(seen->status == get->status && seen->body_len == 0,
			      "HEAD %s: status %d with %zu bytes of body, GET has %d", head.path,
			      seen->status, seen->body_len, get->status);
		ck_assert_str_eq(header_of(seen->head, "Content-Type") ?: "none",
				 header_of(get->head, "Content-Type"));
	}
	ck_assert_int_eq(HTTP(stack, .method = "HEAD", .path = LOGIN)->status, 405);
}

/* The pages that one can look at, whatever types the site gives to files. */
static void check_pages(struct stack *stack)
{
	struct response *page = HTTP(stack, .path = "/presence/");
	struct response *script = HTTP(stack, .path = "/presence/presence.js");
	const char *policy = header_of(page->head, "Content-Security-Policy");

	ck_assert_msg(page->status == 200 && strstr(page->body, "showcase.js") != NULL,
		      "/presence/: status %d: %s", page->status, page->body);
	ck_assert_msg(policy != NULL && strstr(policy, "frame-ancestors 'none'") != NULL,
		      "/presence/ may be framed: %s", page->head);
	ck_assert_msg(script->status == 200 && strstr(header_of(script->head, "Content-Type") ?: "",
						      "/javascript") != NULL,
		      "no browser would run presence.js: %s", script->head);
	ck_assert_int_eq(HTTP(stack, .path = "/presence")->status, 301);
}

/* --- the stream --------------------------------------------------------------------------- */

/* Opens one whose client would take compressed events, and checks when its first ones come. */
static struct sse *open_promptly(struct site *site, const char *query, const char *token)
{
	int64_t start = now_ms();
	/* mod_fcgid takes a second before it starts one more process. */
	int limit = PROMPT + (site->server->traits & STARTS_STREAMD ? 1000 : 0);
	struct sse *sse = sse_request(
		site->stack, text_of("GET " STREAM "%s HTTP/1.1\r\nHost: localhost\r\n"
				     "Accept-Encoding: gzip, deflate, br\r\n%s%s%s\r\n",
				     query, token != NULL ? "Authorization: Bearer " : "",
				     token != NULL ? token : "", token != NULL ? "\r\n" : ""));

	if (sse_status(sse) != 200)
		sse_ready(sse); /* says why it is none */
	ck_assert_str_eq(sse_header(sse, "Content-Type"), "text/event-stream");
	ck_assert_msg(sse_header(sse, "Content-Encoding") == NULL, "the stream is compressed");
	sse_wait(sse, "connected", limit);
	sse_wait(sse, "initial", limit);
	ck_assert_msg(now_ms() - start < patience(limit), "the first events took %lld ms",
		      (long long)(now_ms() - start));
	return sse;
}

static void check_stream(struct site *site)
{
	struct stack *stack = site->stack;
	const char *token = token_for(stack, "3");
	const char *ticket = json_text(http_ok(stack, "/api/presence/ticket", token, ""), "ticket");
	struct sse *streams[] = {
		open_promptly(site, "", token_for(stack, "1")),
		open_promptly(site, text_of("?token=%s", token_for(stack, "1")), NULL),
		open_promptly(site, text_of("?ticket=%s", ticket), NULL)};

	/* Nothing else is sent on these streams for a long time, so nothing pushes this out. */
	touch(stack, token_for(stack, "4"));
	for (size_t i = 0; i < 3; i++)
		sse_wait_change(streams[i], "4", true, PROMPT);
	/* However the web server writes a request, and whenever it reads the answer. */
	for (int i = 0; i < 50; i++)
		check_problem(HTTP(stack, .path = STREAM), 401, "token_missing");
	check_problem(HTTP(stack, .method = "POST", .path = STREAM, .token = token, .body = "{}"),
		      405, "method_not_allowed");
	for (size_t i = 0; i < 3; i++)
		sse_close(streams[i]);
}

/* The stream of figures goes where the stream goes. */
static void check_figures(struct site *site)
{
	struct stack *stack = site->stack;
	struct sse *figures =
		sse_request(stack, text_of("GET " FIGURES " HTTP/1.1\r\nHost: localhost\r\n"
					   "Authorization: Bearer %s\r\n\r\n",
					   admin_token(stack)));

	ck_assert_int_eq(sse_status(figures), 200);
	ck_assert_str_eq(sse_header(figures, "Content-Type"), "text/event-stream");
	sse_wait(figures, "figures", 5000);
	sse_close(figures);
	check_problem(HTTP(stack, .path = FIGURES, .token = token_for(stack, "1")), 403,
		      "scope_missing");
}

/* --- logs --------------------------------------------------------------------------------- */

static void check_log(struct site *site, const char *name)
{
	char *text;

	/* The last request is this one. */
	HTTP(site->stack, .path = "/api/health?token=secret");
	WAIT_UNTIL(strstr(text = stack_file(site->stack, name), "/api/health") != NULL, 5000);
	ck_assert_msg(strstr(text, COUNT) != NULL, "no calls in %s:\n%s", name, text);
	ck_assert_msg(strstr(text, "token=") == NULL && strstr(text, "ticket=") == NULL,
		      "the access log %s holds query strings:\n%s", name, text);
}

START_TEST(every_call_and_the_stream_work_and_nothing_is_buffered)
{
	struct site *site = site_start(&servers[_i], RARE, SILENT);
	struct stack *stack = site->stack;

	check_calls(stack);
	check_refusals(stack);
	check_head(stack);
	if (serves_streams(site)) {
		check_stream(site);
		check_figures(site);
	} else {
		check_problem(HTTP(stack, .path = STREAM, .token = token_for(stack, "1")), 501,
			      "streams_unavailable");
	}
	if ((site->server->traits & NO_PAGES) == 0)
		check_pages(stack);
	check_log(site, strcmp(site->server->name, "HAProxy") == 0 ? "haproxy.log" : "access.log");
	site_stop(site);
}
END_TEST

/* --- idle streams, and clients that go away ----------------------------------------------- */

/* The user's streams that streamd takes for open: one that closed has but `grace` seconds left. */
static int open_streams(struct stack *stack, const char *id)
{
	long long soon = ((long long)time(NULL) + GRACE_MAX) * 1000;
	redisReply *reply = redis_cmd(stack, "ZRANGE user:sessions:%s %lld +inf BYSCORE", id, soon);
	int count = 0;

	for (size_t i = 0; i < reply->elements; i++)
		count += strncmp(reply->element[i]->str, "s:", 2) == 0;
	freeReplyObject(reply);
	return count;
}

/* A process that reads a stream to its end, as browsers do; returns when it is open. */
static pid_t start_client(struct stack *stack, const char *id)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct sse *sse = sse_open(stack, token_for(stack, id));

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (!sse_ended(sse))
			sse_next(sse, 1000);
		_exit(0);
	}
	WAIT_UNTIL(open_streams(stack, id) == 1, 5000);
	return pid;
}

static void kill_client(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

START_TEST(idle_streams_stay_and_gone_clients_are_noticed)
{
	int silence = patience(3000) / 1000;
	struct site *site = site_start(&servers[_i], OFTEN, silence);
	struct stack *stack = site->stack;
	struct sse *idle = sse_open(stack, token_for(stack, "1"));
	struct sse *fin = sse_open(stack, token_for(stack, "2"));
	struct sse *rst = sse_open(stack, token_for(stack, "3"));
	pid_t killed = start_client(stack, "4");
	static const char *const gone[] = {"2", "3", "4"};

	sse_ready(idle);
	sse_ready(fin);
	sse_ready(rst);
	/* Twice the silence that the web server would have cut, and more than two heartbeats. */
	for (int i = 0; i < 2 * silence + 1; i++)
		sse_wait(idle, "heartbeat", 3000);
	for (int i = 0; i < 3; i++)
		ck_assert_msg(open_streams(stack, gone[i]) == 1, "the stream of user %s was cut",
			      gone[i]);
	while (sse_next(rst, 0) != NULL)
		;
	sse_close(fin);
	sse_abort(rst);
	kill_client(killed);
	/* Two heartbeats, and half a second for all on the way. */
	for (int i = 0; i < 3; i++)
		WAIT_UNTIL(open_streams(stack, gone[i]) == 0, 2500);
	/* grace + 2 x sweep */
	for (int i = 0; i < 3; i++)
		WAIT_UNTIL(!redis_has(stack, text_of("user:online:%s", gone[i])), 3500);
	sse_wait_change(idle, "4", false, 1000);
	sse_wait(idle, "heartbeat", 3000);
	ck_assert(!sse_ended(idle));
	sse_close(idle);
	site_stop(site);
}
END_TEST

/* --- a streamd that stops ----------------------------------------------------------------- */

static void stop_streamds(struct site *site)
{
	pid_t list[16];
	int count = site_streamds(site, list, 16);

	ck_assert_int_gt(count, 0);
	for (int i = 0; i < count; i++)
		kill(list[i], SIGTERM);
}

/* What a client does until it has a stream again. */
static struct sse *open_again(struct stack *stack, const char *token)
{
	int64_t end = now_ms() + patience(10000);

	for (;;) {
		struct sse *sse = sse_open(stack, token);
		int status = sse_status(sse);

		if (status == 200)
			return sse;
		ck_assert_msg(now_ms() < end, "no stream again, but status %d", status);
		sse_close(sse);
		nap();
	}
}

START_TEST(a_stopping_streamd_says_goodbye)
{
	enum { CLIENTS = 3 };
	struct site *site = site_start(&servers[_i], RARE, SILENT);
	struct stack *stack = site->stack;
	struct sse *streams[CLIENTS], *sse;

	for (int i = 0; i < CLIENTS; i++) {
		streams[i] = sse_open(stack, token_for(stack, text_of("%d", i + 1)));
		sse_ready(streams[i]);
	}
	stop_streamds(site);
	for (int i = 0; i < CLIENTS; i++) {
		struct event *event = sse_wait(streams[i], "bye", 3000);

		ck_assert_str_eq(json_text(event->json, "reason"), "shutdown");
		ck_assert_msg(sse_wait_end(streams[i], 3000), "the stream goes on behind bye");
		sse_close(streams[i]);
		/* Its session is closed, not left to its time-out. */
		WAIT_UNTIL(open_streams(stack, text_of("%d", i + 1)) == 0, 2000);
	}
	if ((site->server->traits & STARTS_STREAMD) == 0) {
		ck_assert_int_eq(streamd_end(stack, 0, 0), 0);
		if ((site->server->traits & HOLDS_SOCKETS) == 0)
			ck_assert_int_ge(
				HTTP(stack, .path = STREAM, .token = token_for(stack, "1"))->status,
				500);
		site_start_streamd(site);
	}
	sse = open_again(stack, token_for(stack, "1"));
	sse_ready(sse);
	sse_close(sse);
	site_stop(site);
}
END_TEST

START_TEST(a_client_waits_in_the_socket_while_streamd_is_restarted)
{
	struct site *site = site_start(&servers[_i], RARE, SILENT);
	struct stack *stack = site->stack;
	struct sse *before = sse_open(stack, token_for(stack, "1")), *waiting;

	sse_ready(before);
	ck_assert_int_eq(streamd_end(stack, 0, SIGTERM), 0);
	sse_wait(before, "bye", 1000);
	waiting = sse_open(stack, token_for(stack, "1"));
	ck_assert_msg(!sse_wait_end(waiting, 200), "a client is refused while no streamd runs");
	site_start_streamd(site);
	sse_ready(waiting);
	sse_close(before);
	sse_close(waiting);
	site_stop(site);
}
END_TEST

/* --- a host that buffers ------------------------------------------------------------------ */

START_TEST(padding_takes_events_out_of_the_hosts_buffer)
{
	struct site *site = site_start(&servers[_i], RARE, SILENT);
	struct stack *stack = site->stack;
	int64_t start = now_ms();
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	ck_assert_msg(now_ms() - start < patience(PROMPT), "the first events took %lld ms",
		      (long long)(now_ms() - start));
	for (int i = 0; i < 3; i++) {
		const char *token = token_for(stack, "2");

		touch(stack, token);
		sse_wait_change(sse, "2", true, PROMPT);
		http_ok(stack, "/api/auth/logout", token, "");
		sse_wait_change(sse, "2", false, PROMPT);
	}
	sse_close(sse);
	site_stop(site);
}
END_TEST

/* What the test above is worth, and how docs/shared-host.md tells such a host. */
START_TEST(without_padding_events_stay_in_the_hosts_buffer)
{
	struct site *site = site_new(&servers[_i], RARE, SILENT);
	struct stack *stack = site->stack;
	struct sse *sse;

	site->padding = 0;
	site_run(site);
	sse = sse_open(stack, token_for(stack, "1"));
	WAIT_UNTIL(open_streams(stack, "1") == 1, 5000);
	touch(stack, token_for(stack, "2"));
	ck_assert_msg(sse_next(sse, PROMPT) == NULL, "an event came: the host does not buffer");
	stop_streamds(site);
	sse_wait(sse, "connected", 3000);
	sse_wait_change(sse, "2", true, 3000);
	sse_wait(sse, "bye", 3000);
	sse_close(sse);
	site_stop(site);
}
END_TEST

/* --- a process for each stream ------------------------------------------------------------ */

START_TEST(who_waits_gets_the_process_of_a_stream_that_ends)
{
	struct site *site = site_new(&servers[_i], RARE, SILENT);
	struct stack *stack = site->stack;
	struct sse *first, *second;

	site->slots = 1;
	site->lifetime = 3;
	site_run(site);
	first = sse_open(stack, token_for(stack, "1"));
	sse_ready(first);
	second = sse_open(stack, token_for(stack, "2"));
	ck_assert_str_eq(json_text(sse_wait(first, "bye", 5000)->json, "reason"), "lifetime");
	ck_assert_msg(sse_wait_end(first, 2000), "the stream goes on behind bye");
	sse_ready(second);
	sse_close(first);
	sse_close(second);
	site_stop(site);
}
END_TEST

START_TEST(one_stream_too_many_is_refused_at_once)
{
	struct site *site = site_new(&servers[_i], RARE, SILENT);
	struct stack *stack = site->stack;
	struct sse *first, *second, *third;
	struct response *refusal;
	pid_t list[16];

	site->slots = 3;
	site->streams = 2;
	site_run(site);
	first = sse_open(stack, token_for(stack, "1"));
	sse_ready(first);
	second = sse_open(stack, token_for(stack, "2"));
	sse_ready(second);
	for (int i = 0; i < 3; i++) {
		refusal = HTTP(stack, .path = STREAM, .token = token_for(stack, "3"));
		check_problem(refusal, 503, "server_full");
		ck_assert_int_gt(atoi(header_of(refusal->head, "Retry-After") ?: "0"), 0);
		/* The first one has its process started, for which mod_fcgid takes a second. */
		ck_assert_msg(refusal->ms < patience(PROMPT + (i == 0 ? 1000 : 0)),
			      "the refusal took %d ms", refusal->ms);
	}
	/* A place comes free when a stream ends, and when its process is killed. */
	http_ok(stack, "/api/auth/logout?all=true", token_for(stack, "1"), "");
	sse_wait(first, "bye", 3000);
	third = open_again(stack, token_for(stack, "3"));
	sse_ready(third);
	check_problem(HTTP(stack, .path = STREAM, .token = token_for(stack, "4")), 503,
		      "server_full");
	for (int i = site_streamds(site, list, 16) - 1; i >= 0; i--)
		kill(list[i], SIGKILL);
	sse_close(first);
	first = open_again(stack, token_for(stack, "4"));
	sse_ready(first);
	sse_close(first);
	sse_close(second);
	sse_close(third);
	site_stop(site);
}
END_TEST

START_TEST(who_gets_no_process_is_told_to_come_again)
{
	struct site *site = site_new(&servers[_i], RARE, 2 * SILENT);
	struct stack *stack = site->stack;
	struct sse *first, *second;

	site->slots = 1;
	site_run(site);
	first = sse_open(stack, token_for(stack, "1"));
	sse_ready(first);
	second = sse_open(stack, token_for(stack, "2"));
	/* For so long mod_fcgid looks for a process. */
	ck_assert_msg(sse_wait_end(second, 75000), "there is no answer");
	ck_assert_int_eq(sse_status(second), 503);
	ck_assert_str_eq(sse_header(second, "Content-Type"), "application/problem+json");
	ck_assert_int_gt(atoi(sse_header(second, "Retry-After") ?: "0"), 0);
	sse_close(first);
	sse_close(second);
	site_stop(site);
}
END_TEST

/* --- a reload of the web server ----------------------------------------------------------- */

#define LOADERS 4
/* What is tried is the web server: a machine that lets Redis wait for a second loses no request here. */
#define LOADED RARE "redis { timeout_ms = 20000 }\n"

/* Shared with the processes that make the requests. */
struct load {
	volatile int stop;
	struct {
		volatile int done, failed;
		char failure[200]; /* the first */
	} by[LOADERS];
};

static void request_on_and_on(struct stack *stack, struct load *load, int index)
{
	struct curl_slist *headers =
		curl_slist_append(NULL, text_of("Authorization: Bearer %s", token_for(stack, "1")));
	const char *url = text_of("http://127.0.0.1:%d" COUNT, stack->port);

	while (!load->stop) {
		CURL *curl = curl_easy_init();
		long status = 0;
		CURLcode code;
		char *body = NULL;
		size_t len;
		FILE *out = open_memstream(&body, &len);

		curl_easy_setopt(curl, CURLOPT_URL, url);
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)patience(10000));
		code = curl_easy_perform(curl);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_cleanup(curl);
		fclose(out);
		if (code == CURLE_OK && status == 200)
			load->by[index].done++;
		else if (load->by[index].failed++ == 0)
			snprintf(load->by[index].failure, sizeof load->by[index].failure,
				 "%s, status %ld: %s", curl_easy_strerror(code), status, body);
		free(body);
	}
	_exit(0);
}

static int load_done(const struct load *load)
{
	int done = 0;

	for (int i = 0; i < LOADERS; i++)
		done += load->by[i].done + load->by[i].failed;
	return done;
}

static struct load *load_start(struct site *site, pid_t *loaders)
{
	struct load *load =
		mmap(NULL, sizeof *load, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(load, MAP_FAILED);
	for (int i = 0; i < LOADERS; i++) {
		loaders[i] = fork();
		ck_assert_int_ge(loaders[i], 0);
		if (loaders[i] == 0)
			request_on_and_on(site->stack, load, i);
	}
	/* Each has been served: nobody waits for a process that is still to be started. */
	for (int i = 0; i < LOADERS; i++)
		WAIT_UNTIL(load->by[i].done >= 5, 20000);
	return load;
}

/* After what happened at `since`: no request may have been lost, before or behind it. */
static void load_end(struct site *site, struct load *load, pid_t *loaders, int64_t since)
{
	int before = load_done(load), allowed = site->server->traits & RELOAD_DROPS ? 1 : 0;

	/* Old processes are gone by then, also where they stay a second for their streams. */
	WAIT_UNTIL(load_done(load) >= before + 60 && now_ms() > since + 3000, 20000);
	load->stop = 1;
	for (int i = 0; i < LOADERS; i++)
		waitpid(loaders[i], NULL, 0);
	for (int i = 0; i < LOADERS; i++)
		ck_assert_msg(load->by[i].failed <= allowed,
			      "%d of %d requests were lost; the first: %s", load->by[i].failed,
			      load->by[i].failed + load->by[i].done, load->by[i].failure);
}

START_TEST(a_reload_loses_no_request)
{
	struct site *site = site_start(&servers[_i], LOADED, SILENT);
	pid_t loaders[LOADERS], client = 0;
	struct load *load;
	struct sse *sse;
	int64_t reloaded;

	if (serves_streams(site))
		client = start_client(site->stack, "1");
	load = load_start(site, loaders);
	reloaded = now_ms();
	kill(site->stack->lighttpd, site->server->reload);
	load_end(site, load, loaders, reloaded);
	if (client != 0) {
		kill_client(client);
		sse = open_again(site->stack, token_for(site->stack, "1"));
		sse_ready(sse);
		sse_close(sse);
	}
	site_stop(site);
}
END_TEST

/*
 * At a reload its old process writes an FCGI_ABORT_REQUEST behind each request, and takes a connection
 * that is closed by then for one without an answer. So a program must not close them: see the ABORT of
 * test_workers.c.
 */
START_TEST(haproxy_closes_its_connections_itself)
{
	static const char answer[] = "Status: 200\r\nContent-Length: 0\r\n\r\n";
	struct site *site = site_start(&servers[_i], RARE, SILENT);
	const char *path = stack_path(site->stack, "program.sock"), *why;
	struct listen_address address;
	struct printbuf *bytes = buf_new();
	struct sse *client;
	int listener, fd;

	ck_assert_ptr_null(listen_address_parse(text_of("unix:%s", path), &address));
	listener = listen_address_open(&address, 0666, &why);
	ck_assert_msg(listener >= 0, "%s", why);
	listen_address_free(&address);
	site_change(site, "haproxy.cfg", text_of("unix@%s", stack_path(site->stack, "api.sock")),
		    text_of("unix@%s", path));
	client = sse_request(site->stack, "GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n");
	fd = accept(listener, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert_msg(wire_read(fd, bytes, 2 * FCGI_HEADER_LEN, 5000), "there is no request");
	ck_assert_msg((bytes->buf[FCGI_HEADER_LEN + 2] & FCGI_KEEP_CONN) != 0,
		      "the program is asked to close the connection");
	buf_reset(bytes);
	fcgi_put_stdout(bytes, 1, answer, strlen(answer));
	fcgi_put_end(bytes, 1);
	wire_send(fd, bytes->buf, buf_len(bytes));
	ck_assert_int_eq(sse_status(client), 200);
	/* It is the client's alone, and goes with the client's at the latest. */
	sse_close(client);
	buf_reset(bytes);
	ck_assert_msg(wire_read(fd, bytes, 0, 5000), "HAProxy keeps the connection");
	close(fd);
	close(listener);
	printbuf_free(bytes);
	site_stop(site);
}
END_TEST

START_TEST(requests_wait_in_the_socket_while_presence_api_is_restarted)
{
	struct site *site = site_start(&servers[_i], LOADED, SILENT);
	pid_t loaders[LOADERS];
	struct load *load = load_start(site, loaders);

	ck_assert_int_eq(process_end(&site->api, SIGTERM, "presence-api", 15000), 0);
	site_start_api(site);
	load_end(site, load, loaders, now_ms());
	site_stop(site);
}
END_TEST

/* --- a presence-api that dies ------------------------------------------------------------- */

#define PROCESSES_MAX 64

static void kill_all(struct site *site, int signal)
{
	pid_t list[PROCESSES_MAX];
	int count = site_processes(site, "presence-api", list, PROCESSES_MAX);

	ck_assert_int_gt(count, 0);
	for (int i = 0; i < count; i++)
		kill(list[i], signal);
}

/* Those that have workers, or all when none has. */
static int find_parents(struct site *site, pid_t *parents)
{
	pid_t list[PROCESSES_MAX], child;
	int count = site_processes(site, "presence-api", list, PROCESSES_MAX), found = 0;

	for (int i = 0; i < count; i++) {
		if (children_of(list[i], &child, 1) > 0)
			parents[found++] = list[i];
	}
	if (found > 0)
		return found;
	memcpy(parents, list, (size_t)count * sizeof *list);
	return count;
}

static void check_heals(struct site *site, const char *token, const char *what)
{
	int64_t end = now_ms() + patience(10000);

	while (HTTP(site->stack, .path = COUNT, .token = token)->status != 200)
		ck_assert_msg(now_ms() < end, "no answer after %s", what);
	for (int i = 0; i < 30; i++)
		ck_assert_msg(HTTP(site->stack, .path = COUNT, .token = token)->status == 200,
			      "an answer is lost after %s", what);
}

START_TEST(a_presence_api_that_dies_is_started_again)
{
	static const int signals[] = {SIGKILL, SIGSEGV};
	struct site *site = site_start(&servers[_i], RARE, SILENT);
	const char *token = token_for(site->stack, "1");
	pid_t parents[PROCESSES_MAX];

	site->stack->expects_abort = true;
	check_heals(site, token, "the start");
	for (int i = 0; i < 2; i++) {
		int count = find_parents(site, parents);

		ck_assert_int_gt(count, 0);
		for (int j = 0; j < count; j++)
			kill(parents[j], signals[i]);
		check_heals(site, token, "the parent's death");
		/* The OOM killer's way when one kill was not enough. */
		kill_all(site, signals[i]);
		check_heals(site, token, "the death of all");
	}
	site_stop(site);
}
END_TEST

START_TEST(requests_wait_in_the_socket_until_a_presence_api_that_died_is_back)
{
	struct site *site = site_start(&servers[_i], RARE, SILENT);
	const char *token = token_for(site->stack, "1");
	int old = 0;
	pid_t list[PROCESSES_MAX];

	ck_assert_int_eq(process_end(&site->api, SIGKILL, "presence-api", 5000), 128 + SIGKILL);
	site_start_api(site);
	check_heals(site, token, "the parent's death");
	/* Its workers have ended, and the new one's serve. */
	WAIT_UNTIL((old = site_processes(site, "presence-api", list, PROCESSES_MAX)) ==
			   1 + children_of(site->api, list, PROCESSES_MAX),
		   5000);
	ck_assert_int_gt(old, 1);
	site_stop(site);
}
END_TEST

/* --- the suite ---------------------------------------------------------------------------- */

int main(void)
{
	Suite *suite = suite_create("servers");

	for (int i = 0; i < server_count; i++) {
		TCase *tcase = harness_case(suite, servers[i].name, 100);

		tcase_add_loop_test(tcase, every_call_and_the_stream_work_and_nothing_is_buffered,
				    i, i + 1);
		tcase_add_loop_test(tcase, a_reload_loses_no_request, i, i + 1);
		if (strcmp(servers[i].name, "HAProxy") == 0)
			tcase_add_loop_test(tcase, haproxy_closes_its_connections_itself, i, i + 1);
		if (servers[i].traits & STARTS_API)
			tcase_add_loop_test(tcase, a_presence_api_that_dies_is_started_again, i,
					    i + 1);
		if (servers[i].traits & HOLDS_SOCKETS)
			tcase_add_loop_test(
				tcase,
				requests_wait_in_the_socket_until_a_presence_api_that_died_is_back,
				i, i + 1);
		if ((servers[i].traits & STREAMS) == 0)
			continue;
		tcase_add_loop_test(tcase, idle_streams_stay_and_gone_clients_are_noticed, i,
				    i + 1);
		tcase_add_loop_test(tcase, a_stopping_streamd_says_goodbye, i, i + 1);
		if (servers[i].traits & STARTS_STREAMD) {
			tcase_add_loop_test(tcase, padding_takes_events_out_of_the_hosts_buffer, i,
					    i + 1);
			tcase_add_loop_test(tcase, without_padding_events_stay_in_the_hosts_buffer,
					    i, i + 1);
			tcase_add_loop_test(tcase, who_waits_gets_the_process_of_a_stream_that_ends,
					    i, i + 1);
			tcase_add_loop_test(tcase, one_stream_too_many_is_refused_at_once, i,
					    i + 1);
			tcase_add_loop_test(tcase, who_gets_no_process_is_told_to_come_again, i,
					    i + 1);
		}
		if ((servers[i].traits & HOLDS_SOCKETS) == 0)
			continue;
		tcase_add_loop_test(tcase, a_client_waits_in_the_socket_while_streamd_is_restarted,
				    i, i + 1);
		tcase_add_loop_test(tcase,
				    requests_wait_in_the_socket_while_presence_api_is_restarted, i,
				    i + 1);
	}
	return harness_main(suite);
}
