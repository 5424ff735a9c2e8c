/* The figures of the service: what is told, by whom, and that it is true. docs/monitoring.md */
#include "calls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/figure.h"
#include "store/layout.h"

#define TOKEN "metrics-0123456789abcdef"
#define OPENMETRICS "Accept: application/openmetrics-text; version=1.0.0"
/* Figures are told once a second; a worker looks again when it is idle. */
#define SOON 5000
#define FOUND 8000 /* ms in which a ghost is: every 5 s some are looked at */

/* The configuration with the token of the figures, which is made, in front; the caller frees it. */
static char *with_token(struct stack *stack, const char *conf)
{
	char *text;

	stack_write_secret(stack, "metrics.token", TOKEN "\n");
	ck_assert(asprintf(&text, "metrics { token_file = \"%s\" }\n%s",
			   stack_path(stack, "metrics.token"), conf) > 0);
	return text;
}

static void prepare(struct stack *stack, const char *conf)
{
	char *text = with_token(stack, conf);

	stack_write_conf(stack, text);
	free(text);
}

/* Redis and the web server with its workers, and with so many presence-streamd. */
static struct stack *start(const char *conf, int streamds)
{
	struct stack *stack = stack_new("");

	prepare(stack, conf);
	redis_start(stack, NULL);
	for (int i = 0; i < streamds; i++)
		streamd_start(stack, i);
	lighttpd_start(stack);
	return stack;
}

static const char *scrape(struct stack *stack)
{
	struct response *response = HTTP(stack, .path = METRICS, .token = TOKEN);

	ck_assert_msg(response->status == 200, "%d %s", response->status, response->body);
	return response->body;
}

/* The value of a sample, without "presence_", as it is written; -1: there is none. */
static double value_in(const char *text, const char *sample)
{
	size_t len = strlen(sample);

	for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, "presence_", 9) == 0 && strncmp(line + 9, sample, len) == 0 &&
		    line[9 + len] == ' ')
			return strtod(line + 9 + len, NULL);
	}
	return -1;
}

static double value(struct stack *stack, const char *sample)
{
	return value_in(scrape(stack), sample);
}

static void wait_value(struct stack *stack, const char *sample, double wanted)
{
	int64_t end = now_ms() + patience(SOON);
	double seen;

	while ((seen = value(stack, sample)) != wanted) {
		ck_assert_msg(now_ms() <= end, "%s: %g expected, seen %g:\n%.3000s", sample, wanted,
			      seen, scrape(stack));
		nap();
	}
}

/* How many processes of that program tell this gauge. */
static int tellers(struct stack *stack, const char *gauge, const char *program)
{
	char head[128];
	int count = 0;

	snprintf(head, sizeof head, "presence_%s{process=\"%s/", gauge, program);
	for (const char *at = scrape(stack); (at = strstr(at, head)) != NULL; at++)
		count++;
	return count;
}

/* --- who may ask -------------------------------------------------------------------------- */

START_TEST(a_scrape_takes_the_token_of_the_file)
{
	static const char *const wrong[] = {"metrics-0123456789abcdeX", "metrics-0123456789abcde",
					    "metrics-0123456789abcdef0", "x"};
	struct stack *stack = start("", 0);
	struct response *response = HTTP(stack, .path = METRICS, .token = TOKEN);

	ck_assert_int_eq(response->status, 200);
	ck_assert_str_eq(header_of(response->head, "Content-Type"),
			 "text/plain; version=0.0.4; charset=utf-8");
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		check_problem(HTTP(stack, .path = METRICS, .token = wrong[i]), 401,
			      "token_invalid");
	check_problem(HTTP(stack, .path = METRICS, .token = token_for(stack, "1")), 401,
		      "token_invalid");
	check_problem(HTTP(stack, .path = METRICS), 401, "token_missing");
	check_problem(HTTP(stack, .path = METRICS "?token=" TOKEN), 401, "token_missing");
	check_problem(HTTP(stack, .path = METRICS, .token = TOKEN, .body = "{}"), 405,
		      "method_not_allowed");
	/* Nor is it good for anything else. */
	check_problem(HTTP(stack, .path = COUNT, .token = TOKEN), 401, "token_invalid");
	stack_stop(stack);
}
END_TEST

START_TEST(without_the_option_there_is_no_such_call)
{
	struct stack *stack = stack_start_api("");

	check_problem(HTTP(stack, .path = METRICS, .token = TOKEN), 404, "not_found");
	stack_stop(stack);
}
END_TEST

/* With what is said on standard error. */
static int run_api(struct stack *stack, char **out)
{
	char *listen;

	ck_assert(asprintf(&listen, "PRESENCE_API_LISTEN=unix:%s", stack_path(stack, "api.sock")) >
		  0);
	return run(stack, out, NULL,
		   (const char *[]){"env", listen, "sh", "-c", "exec \"$0\" -c \"$1\" 2>&1",
				    program("presence-api"), stack_path(stack, "presence.conf"),
				    NULL});
}

START_TEST(a_token_file_that_is_none_is_refused_at_the_start)
{
	struct stack *stack = stack_new("");
	char *out;

	prepare(stack, "");
	chmod(stack_path(stack, "metrics.token"), 0644);
	ck_assert_int_eq(run_api(stack, &out), 2);
	check_has(out, "metrics.token: mode 0644 opens this secret");
	stack_write_secret(stack, "metrics.token", "short\n");
	ck_assert_int_eq(run_api(stack, &out), 2);
	check_has(out, "not one line of at least 16");
	stack_write_secret(stack, "metrics.token", TOKEN "\n" TOKEN "\n");
	ck_assert_int_eq(run_api(stack, &out), 2);
	check_has(out, "not one line of at least 16");
	stack_stop(stack);
}
END_TEST

/* --- how it is told ----------------------------------------------------------------------- */

/* Something of everything: calls that work and that do not, streams, changes. */
static void live_a_little(struct stack *stack)
{
	struct sse *friend = sse_open(stack, token_for(stack, "2"));

	sse_ready(friend);
	touch(stack, token_for(stack, "1"));
	sse_wait_change(friend, "1", true, 2000);
	HTTP(stack, .path = COUNT);
	HTTP(stack, .path = "/api/nonsense");
	sse_close(friend);
	wait_value(stack, "streams_closed_total{reason=\"client\"}", 1);
	/* The other one is lighttpd_start()'s. */
	wait_value(stack, "http_requests_total{route=\"other\",status=\"4xx\"}", 2);
}

START_TEST(promtool_finds_nothing_wrong_with_it)
{
	struct stack *stack = start("", 1);
	char *out;
	int status;

	live_a_little(stack);
	status = run(stack, &out, scrape(stack),
		     (const char *[]){"sh", "-c", "promtool check metrics 2>&1", NULL});
	ck_assert_msg(status == 0 && out[0] == '\0', "promtool: %s", out);
	stack_stop(stack);
}
END_TEST

START_TEST(openmetrics_is_read_by_its_own_parser)
{
	static const char parser[] =
		"import sys\n"
		"from prometheus_client.openmetrics.parser import text_string_to_metric_families\n"
		"print(sum(1 for family in text_string_to_metric_families(sys.stdin.read())))\n";
	struct stack *stack = start("", 1);
	struct response *response;
	char *out;
	int status;

	live_a_little(stack);
	response = HTTP(stack, .path = METRICS, .token = TOKEN, .header = OPENMETRICS);
	ck_assert_str_eq(header_of(response->head, "Content-Type"),
			 "application/openmetrics-text; version=1.0.0; charset=utf-8");
	check_has(response->body, "# TYPE presence_deliveries counter\npresence_deliveries_total");
	status = run(stack, &out, response->body,
		     (const char *[]){"sh", "-c", "/usr/bin/python3 -c \"$0\" 2>&1", parser, NULL});
	ck_assert_msg(status == 0, "the parser: %s", out);
	ck_assert_int_eq(atoi(out), FIGURE_COUNT);
	stack_stop(stack);
}
END_TEST

START_TEST(the_format_is_the_one_that_accept_prefers)
{
	static const struct {
		const char *accept;
		bool openmetrics;
	} rows[] = {
		{"Accept: application/openmetrics-text;version=1.0.0;q=0.5,"
		 "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,"
		 "*/*;q=0.2",
		 true},
		{"Accept: text/plain;version=0.0.4;q=0.5,*/*;q=0.1", false},
		{"Accept: application/openmetrics-text;q=0.2, text/plain;q=0.9", false},
		{"Accept: application/openmetrics-text;q=0, */*", false},
		{"Accept: application/openmetrics-textual", false},
		{"Accept: APPLICATION/OPENMETRICS-TEXT", true},
		{"Accept: */*", false},
	};
	struct stack *stack = start("", 0);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct response *response =
			HTTP(stack, .path = METRICS, .token = TOKEN, .header = rows[i].accept);

		ck_assert_msg((strstr(response->body, "# EOF\n") != NULL) == rows[i].openmetrics,
			      "%s: %s", rows[i].accept, header_of(response->head, "Content-Type"));
	}
	stack_stop(stack);
}
END_TEST

START_TEST(every_figure_is_told_and_documented)
{
	struct stack *stack = start("", 1);
	const char *page = source_file("docs/monitoring.md"), *text;
	char part[128];

	live_a_little(stack);
	text = scrape(stack);
	for (size_t i = 0; i < FIGURE_COUNT; i++) {
		snprintf(part, sizeof part, "# TYPE presence_%s ", figure_families[i].name);
		check_has(text, part);
		snprintf(part, sizeof part, "`%s`", figure_families[i].name);
		check_has(page, part);
	}
	stack_stop(stack);
}
END_TEST

/* Whether a name is that of a sample of the figure, which of a histogram has three. */
static bool is_sample_of(const struct figure_family *family, const char *name, size_t len)
{
	size_t own = strlen(family->name);

	if (len < own || strncmp(name, family->name, own) != 0)
		return false;
	if (family->kind != FIGURE_HISTOGRAM)
		return len == own;
	return (len == own + 7 && strncmp(name + own, "_bucket", 7) == 0) ||
	       (len == own + 6 && strncmp(name + own, "_count", 6) == 0) ||
	       (len == own + 4 && strncmp(name + own, "_sum", 4) == 0);
}

START_TEST(alerts_and_dashboard_name_figures_that_there_are)
{
	static const char *const files[] = {"conf/alerts.yml", "conf/grafana.json"};
	static const char prefix[] = "presence_";
	const char *at = source_file(files[_i]);
	size_t len, names = 0;

	for (; (at = strstr(at, prefix)) != NULL; at += len, names++) {
		size_t figure = 0;

		at += sizeof prefix - 1;
		len = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
		while (figure < FIGURE_COUNT && !is_sample_of(&figure_families[figure], at, len))
			figure++;
		ck_assert_msg(figure < FIGURE_COUNT, "%s: there is no presence_%.*s", files[_i],
			      (int)len, at);
	}
	ck_assert_msg(names > 10, "%s names %zu figures", files[_i], names);
}
END_TEST

START_TEST(promtool_takes_the_alerts)
{
	struct stack *stack = stack_new("");
	char *out;
	int status =
		run(stack, &out, source_file("conf/alerts.yml"),
		    (const char *[]){"sh", "-c", "cat > \"$0\" && promtool check rules \"$0\" 2>&1",
				     stack_path(stack, "alerts.yml"), NULL});

	ck_assert_msg(status == 0, "promtool: %s", out);
	check_has(out, "SUCCESS");
	parse_json(source_file("conf/grafana.json"));
	stack_stop(stack);
}
END_TEST

START_TEST(no_figure_tells_of_a_user)
{
	struct stack *stack = start("", 1);
	const char *token = token_for(stack, "auth0|somebody");
	struct sse *sse = sse_open(stack, token);

	sse_ready(sse);
	HTTP(stack, .path = STATUS_USER "auth0%7Csomebody", .token = token);
	HTTP(stack, .path = "/api/somebody", .token = token);
	wait_value(stack,
		   "http_requests_total{route=\"GET /online-status/user/{id}\",status=\"2xx\"}", 1);
	wait_value(stack, "streams_opened_total", 1);
	check_has_not(scrape(stack), "somebody");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* --- what is counted ---------------------------------------------------------------------- */

START_TEST(calls_are_counted_by_route_and_status)
{
	struct stack *stack = start("", 0);
	const char *token = token_for(stack, "1");

	for (int i = 0; i < 3; i++)
		http_ok(stack, COUNT, token, NULL);
	HTTP(stack, .method = "HEAD", .path = COUNT, .token = token);
	HTTP(stack, .path = COUNT);
	HTTP(stack, .path = STATUS_USERS, .token = token, .body = "[]");
	wait_value(stack, "http_requests_total{route=\"GET /online-status/count\",status=\"2xx\"}",
		   4);
	wait_value(stack, "http_requests_total{route=\"GET /online-status/count\",status=\"4xx\"}",
		   1);
	wait_value(stack, "http_requests_total{route=\"POST /online-status/users\",status=\"4xx\"}",
		   1);
	wait_value(stack, "http_request_seconds_count{route=\"GET /online-status/count\"}", 5);
	wait_value(stack,
		   "http_request_seconds_bucket{route=\"GET /online-status/count\",le=\"+Inf\"}",
		   5);
	wait_value(stack, "workers", 2);
	stack_stop(stack);
}
END_TEST

START_TEST(what_was_counted_outlives_who_counted_it)
{
	struct stack *stack = start("", 2);
	struct sse *sse = sse_open_direct(stack, 0, token_for(stack, "1"));
	pid_t workers[8];
	int count;

	sse_ready(sse);
	http_ok(stack, COUNT, token_for(stack, "1"), NULL);
	wait_value(stack, "streams_opened_total", 1);
	wait_value(stack, "http_requests_total{route=\"GET /online-status/count\",status=\"2xx\"}",
		   1);
	ck_assert_int_eq(tellers(stack, "streams", "streamd"), 2);
	streamd_end(stack, 0, SIGKILL);
	count = children_of(api_parent(stack), workers, 8);
	for (int i = 0; i < count; i++)
		kill(workers[i], SIGKILL);
	WAIT_UNTIL(tellers(stack, "streams", "streamd") == 1, SOON);
	ck_assert(value(stack, "streams_opened_total") == 1);
	ck_assert(value(stack,
			"http_requests_total{route=\"GET /online-status/count\",status=\"2xx\"}") ==
		  1);
	streamd_start(stack, 0);
	sse_ready(sse_open_direct(stack, 0, token_for(stack, "2")));
	wait_value(stack, "streams_opened_total", 2);
	stack_stop(stack);
}
END_TEST

START_TEST(a_process_that_ends_tells_the_last_it_counted)
{
	struct stack *stack = start("presence { sweep = 60 heartbeat = 30 stream_ttl = 150 }\n"
				    "stream { drain = 0 }\n",
				    1);
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	ck_assert_int_eq(streamd_end(stack, 0, SIGTERM), 0);
	wait_value(stack, "streams_opened_total", 1);
	wait_value(stack, "streams_closed_total{reason=\"shutdown\"}", 1);
	ck_assert_int_eq(tellers(stack, "streams", "streamd"), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(changes_are_counted_by_reason_and_deliveries_by_reader)
{
	struct stack *stack = start("", 1);
	struct sse *one = sse_open(stack, token_for(stack, "2"));
	struct sse *other = sse_open(stack, token_for(stack, "3"));
	const char *anna;

	sse_ready(one);
	sse_ready(other);
	wait_value(stack, "transitions_total{reason=\"stream_open\"}", 2);
	anna = login(stack, "user1@example.com");
	sse_wait_change(one, "1", true, 2000);
	sse_wait_change(other, "1", true, 2000);
	http_ok(stack, LOGOUT, anna, "");
	sse_wait_change(one, "1", false, 2000);
	sse_wait_change(other, "1", false, 2000);
	wait_value(stack, "transitions_total{reason=\"login\"}", 1);
	wait_value(stack, "transitions_total{reason=\"logout\"}", 1);
	/* 3 was told to 2 as well, unless 2 had no `initial` yet. */
	WAIT_UNTIL(value(stack, "deliveries_total") >= 4, SOON);
	WAIT_UNTIL(value(stack, "delivery_seconds_count") >= 4, SOON);
	ck_assert(value(stack, "initials_total") == 2 && value(stack, "resyncs_total") == 0);
	ck_assert(value(stack, "online_users") == 2);
	stack_stop(stack);
}
END_TEST

START_TEST(refusals_and_connections_to_redis_are_counted)
{
	struct stack *stack = start("stream { max_streams_per_user = 1 }\n", 1);
	const char *token = token_for(stack, "1");

	sse_ready(sse_open(stack, token));
	ck_assert_int_eq(sse_status(sse_open(stack, token)), 429);
	ck_assert_int_eq(sse_status(sse_open(stack, "nonsense")), 401);
	wait_value(stack, "streams_refused_total{code=\"too_many_streams\"}", 1);
	wait_value(stack, "streams_refused_total{code=\"token_invalid\"}", 1);
	wait_value(stack, "redis_connects_total{server=\"0\"}", 1);
	freeReplyObject(redis_cmd(stack, "CLIENT KILL TYPE pubsub"));
	wait_value(stack, "redis_losses_total{server=\"0\"}", 1);
	wait_value(stack, "redis_connects_total{server=\"0\"}", 2);
	WAIT_UNTIL(value(stack, "redis_echo_seconds_count") > 0, SOON);
	wait_value(stack, "resyncs_total", 1);
	stack_stop(stack);
}
END_TEST

START_TEST(how_late_offline_is_told_is_measured)
{
	struct stack *stack = start(FAST, 1);
	struct listener *listener = listener_open(stack, "user:status:1");

	touch_user(stack, "1");
	ck_assert_ptr_nonnull(listener_next(listener, patience(2000)));
	ck_assert_ptr_nonnull(listener_next(listener, patience(6000)));
	wait_value(stack, "offline_delay_seconds_count", 1);
	/* docs/api.md promises two sweeps. */
	ck_assert(value(stack, "offline_delay_seconds_bucket{le=\"2.5\"}") == 1);
	stack_stop(stack);
}
END_TEST

START_TEST(what_redis_says_to_be_decades_late_counts_as_a_day)
{
	struct stack *stack = start(FAST, 1);
	char *session;

	touch_user(stack, "1");
	session = redis_text(stack, "EVAL %s 0",
			     "return redis.call('ZRANGE', 'user:sessions:1', 0, 0)[1]");
	freeReplyObject(redis_cmd(stack, "ZADD user:sessions:1 1 %s", session));
	freeReplyObject(redis_cmd(stack, "ZADD presence:deadlines 1 1"));
	wait_value(stack, "offline_delay_seconds_count", 1);
	ck_assert(value(stack, "offline_delay_seconds_sum") == 86400);
	stack_stop(stack);
}
END_TEST

/* --- ghosts ------------------------------------------------------------------------------- */

START_TEST(a_ghost_is_found_told_once_and_counted)
{
	struct stack *stack = start("presence { sweep = 1 }\n", 1);
	struct sse *friend = sse_open(stack, token_for(stack, "2"));
	struct listener *listener;

	sse_ready(friend);
	touch_user(stack, "1");
	sse_wait_change(friend, "1", true, 2000);
	listener = listener_open(stack, "user:status:*");
	/* No session and no deadline: no sweep would ever look at this user. */
	freeReplyObject(redis_cmd(stack, "DEL user:sessions:1"));
	freeReplyObject(redis_cmd(stack, "ZREM presence:deadlines 1"));
	sse_wait_change(friend, "1", false, FOUND);
	ck_assert(!redis_has(stack, "user:online:1"));
	ck_assert_int_eq(redis_int(stack, "SISMEMBER online_users 1"), 0);
	wait_value(stack, "ghosts_repaired_total", 1);
	ck_assert(value(stack, "ghosts_checked_total") > 0);
	check_has(listener_next(listener, 0)->text, "\"reason\":\"expired\"");
	ck_assert_ptr_null(listener_next(listener, patience(1200)));
	ck_assert(value(stack, "ghosts_repaired_total") == 1);
	stack_stop(stack);
}
END_TEST

START_TEST(who_is_online_and_looks_offline_is_put_right)
{
	struct stack *stack = start("presence { sweep = 1 }\n", 1);

	touch_user(stack, "1");
	freeReplyObject(redis_cmd(stack, "DEL user:online:1"));
	WAIT_UNTIL(redis_has(stack, "user:online:1"), FOUND);
	freeReplyObject(redis_cmd(stack, "ZREM presence:deadlines 1"));
	WAIT_UNTIL(redis_text(stack, "ZSCORE presence:deadlines 1") != NULL, FOUND);
	wait_value(stack, "ghosts_repaired_total", 2);
	stack_stop(stack);
}
END_TEST

START_TEST(nobody_who_is_as_redis_says_is_taken_for_a_ghost)
{
	struct stack *stack = start(FAST, 1);
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	struct listener *listener;

	sse_ready(sse);
	touch_user(stack, "2");
	HTTP(stack, .method = "PUT", .path = STATE, .token = token_for(stack, "3"),
	     .body = "{\"status\":\"invisible\"}");
	listener = listener_open(stack, "user:status:2");
	/* Long enough for 2 to expire in the ordinary way, and for 1 to be looked at. */
	ck_assert_ptr_nonnull(listener_next(listener, patience(6000)));
	WAIT_UNTIL(value(stack, "ghosts_checked_total") > 0, FOUND);
	ck_assert(value(stack, "ghosts_repaired_total") == 0);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* --- the stream of figures, stats ------------------------------------------------------------ */

static struct sse *figures_open(struct stack *stack, const char *token)
{
	char *text;

	ck_assert(asprintf(&text,
			   "GET " FIGURES " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
			   "%s\r\n\r\n",
			   token) > 0);
	return sse_request(stack, text);
}

static int64_t figure_of(struct event *event, const char *name)
{
	return json_object_get_int64(json_at(json_at(event->json, "figures"), name));
}

START_TEST(figures_come_each_second_to_an_admin)
{
	struct stack *stack = start("", 1);
	struct sse *figures = figures_open(stack, admin_token(stack));
	struct event *event = sse_expect(figures, "figures", 3000);
	int64_t before, after;

	ck_assert_str_eq(sse_header(figures, "Content-Type"), "text/event-stream");
	for (size_t i = 0; i < FIGURE_COUNT; i++)
		json_at(json_at(event->json, "figures"), figure_families[i].name);
	ck_assert_int_eq(figure_of(event, "online_users"), 0);
	before = json_object_get_int64(json_at(event->json, "ms"));
	event = sse_expect(figures, "figures", 3000);
	after = json_object_get_int64(json_at(event->json, "ms"));
	ck_assert_msg(after - before >= 500, "a second event after %d ms", (int)(after - before));
	touch_user(stack, "1");
	do
		event = sse_expect(figures, "figures", 3000);
	while (figure_of(event, "online_users") == 0);
	/* Who looks is not there. */
	ck_assert_int_eq(figure_of(event, "online_users"), 1);
	ck_assert(!redis_has(stack, "user:sessions:9"));
	sse_close(figures);
	stack_stop(stack);
}
END_TEST

START_TEST(the_stream_of_figures_is_an_admins_alone)
{
	struct stack *stack = start("", 1);
	const char *admin = admin_token(stack);
	struct sse *figures = figures_open(stack, admin);
	char *path;

	sse_expect(figures, "figures", 3000);
	check_problem(HTTP(stack, .path = FIGURES), 401, "token_missing");
	check_problem(HTTP(stack, .path = FIGURES, .token = token_for(stack, "1")), 403,
		      "scope_missing");
	check_problem(HTTP(stack, .path = FIGURES, .token = scoped_token(stack, "push")), 403,
		      "scope_missing");
	check_problem(HTTP(stack, .path = FIGURES, .token = TOKEN), 401, "token_invalid");
	ck_assert(asprintf(&path, FIGURES "?ticket=%s", ticket_for(stack, token_for(stack, "1"))) >
		  0);
	check_problem(HTTP(stack, .path = path), 401, "token_missing");
	check_problem(HTTP(stack, .path = FIGURES "/more", .token = admin), 404, "not_found");
	/* Nor any longer once the token is no good. */
	http_ok(stack, LOGOUT, admin, "");
	sse_wait_bye(figures, "revoked", 5000);
	check_problem(HTTP(stack, .path = FIGURES, .token = admin), 401, "token_revoked");
	stack_stop(stack);
}
END_TEST

START_TEST(no_more_than_ten_look_at_a_time)
{
	struct stack *stack = start("stream { max_streams = 1 }\n", 1);
	const char *admin = admin_token(stack);
	struct sse *figures[10];

	for (int i = 0; i < 10; i++) {
		figures[i] = figures_open(stack, admin);
		sse_expect(figures[i], "figures", 5000);
	}
	check_problem(HTTP(stack, .path = FIGURES, .token = admin), 429, "too_many_streams");
	/* They are in no user's way. */
	sse_ready(sse_open(stack, token_for(stack, "1")));
	sse_close(figures[0]);
	WAIT_UNTIL(sse_status(figures_open(stack, admin)) == 200, SOON);
	streamd_end(stack, 0, SIGTERM);
	sse_wait(figures[1], "bye", 5000);
	stack_stop(stack);
}
END_TEST

START_TEST(who_looks_is_told_that_redis_is_away)
{
	struct stack *stack = start("", 1);
	struct sse *figures = figures_open(stack, admin_token(stack));

	sse_expect(figures, "figures", 3000);
	redis_kill(stack);
	sse_wait_degraded(figures);
	redis_start(stack, NULL);
	sse_wait(figures, "figures", 10000);
	stack_stop(stack);
}
END_TEST

START_TEST(stats_tells_the_same)
{
	struct stack *stack = start("", 1);
	struct json_object *figures;
	char *lines;

	live_a_little(stack);
	figures = json_at(parse_json(CTL(stack, "stats", "--json")), "figures");
	ck_assert_int_eq(json_object_get_int(json_at(figures, "streams_opened_total")), 1);
	ck_assert_int_eq(
		json_object_get_int(json_at(json_at(figures, "streams_closed_total"), "client")),
		1);
	ck_assert_int_eq(
		json_object_get_int(json_at(json_at(figures, "delivery_seconds"), "count")),
		json_object_get_int(json_at(figures, "deliveries_total")));
	lines = CTL(stack, "stats");
	check_has(lines, "streams_opened_total      1\n");
	check_has(lines, "streams_closed_total      client  1\n");
	check_has(lines, ", 99 % at most 0.");
	stack_stop(stack);
}
END_TEST

/* --- Redis away, or several --------------------------------------------------------------- */

START_TEST(without_redis_there_is_nothing_to_tell)
{
	struct stack *stack = start("", 0);

	redis_kill(stack);
	check_problem(HTTP(stack, .path = METRICS, .token = TOKEN), 503, "redis_unavailable");
	redis_start(stack, NULL);
	WAIT_UNTIL(HTTP(stack, .path = METRICS, .token = TOKEN)->status == 200, SOON);
	stack_stop(stack);
}
END_TEST

/* Somebody else's key under one of our names costs the figures, never a call. */
START_TEST(figures_that_cannot_be_kept_disturb_no_call)
{
	struct stack *stack = stack_new("");

	prepare(stack, "");
	redis_start(stack, NULL);
	freeReplyObject(redis_cmd(stack, "SET presence:figures x"));
	freeReplyObject(redis_cmd(stack, "SET presence:transitions x"));
	streamd_start(stack, 0);
	lighttpd_start(stack);
	sse_ready(sse_open(stack, token_for(stack, "2")));
	touch_user(stack, "1");
	ck_assert(value(stack, "online_users") == 2);
	freeReplyObject(redis_cmd(stack, "DEL presence:figures"));
	wait_value(stack, "streams_opened_total", 1);
	stack_stop(stack);
}
END_TEST

/* Users divided over two servers; presence-streamd and the web server. */
static struct stack *start_divided(int partitions)
{
	struct stack *stack = stack_new("");
	char *conf = with_token(stack, "");

	stack_divide(stack, 2, partitions, conf);
	free(conf);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	return stack;
}

START_TEST(one_scrape_shows_all_partitions)
{
	struct stack *stack = start_divided(8);

	for (int i = 1; i <= USERS; i++)
		touch_user(stack, (char[]){(char)('0' + i), '\0'});
	wait_value(stack, "online_users", USERS);
	wait_value(stack, "transitions_total{reason=\"activity\"}", USERS);
	wait_value(stack, "http_requests_total{route=\"GET /online-status/count\",status=\"2xx\"}",
		   USERS);
	wait_value(stack, "redis_connects_total{server=\"1\"}", 1);
	check_has(scrape(stack), "state=\"settled\"} 8\n");
	stack_stop(stack);
}
END_TEST

START_TEST(a_server_that_is_away_is_told_by_the_others)
{
	struct stack *stack = start_divided(2);
	const char *text;
	char sample[256];

	wait_value(stack, "online_users", 0);
	text = strstr(scrape(stack), "presence_redis_up{process=");
	ck_assert_ptr_nonnull(text);
	snprintf(sample, sizeof sample, "%.*s,server=\"1\"}",
		 (int)strcspn(text + sizeof "presence_" - 1, ","), text + sizeof "presence_" - 1);
	wait_value(stack, sample, 1);
	redis_kill_at(stack, 1);
	wait_value(stack, sample, 0);
	WAIT_UNTIL(strstr(scrape(stack), "state=\"away\"} 1\n") != NULL, SOON);
	/* Half of a sum is not told as the sum. */
	ck_assert(value(stack, "online_users") == -1);
	redis_start_at(stack, 1, NULL);
	wait_value(stack, sample, 1);
	wait_value(stack, "online_users", 0);
	redis_kill(stack);
	check_problem(HTTP(stack, .path = METRICS, .token = TOKEN), 503, "redis_unavailable");
	stack_stop(stack);
}
END_TEST

START_TEST(stats_names_the_server_that_is_away_and_shows_the_rest)
{
	struct stack *stack = start_divided(2);
	struct json_object *figures;
	char *out;

	sse_ready(sse_open(stack, token_for(stack, "1")));
	wait_value(stack, "streams_opened_total", 1);
	redis_kill_at(stack, 1);
	ck_assert_int_eq(CTL_STATUS(stack, &out, "stats"), 1);
	check_has(out, "streams_opened_total      1\n");
	check_has_not(out, "online_users");
	check_has(ctl_said(stack), "/redis1.sock is away");
	ck_assert_int_eq(CTL_STATUS(stack, &out, "stats", "--json"), 1);
	figures = json_at(parse_json(out), "figures");
	ck_assert_int_eq(json_object_get_int(json_at(figures, "streams_opened_total")), 1);
	ck_assert(!json_object_object_get_ex(figures, "online_users", NULL));
	redis_start_at(stack, 1, NULL);
	check_has(CTL(stack, "stats"), "online_users");
	check_has_not(ctl_said(stack), "/redis.sock");
	/* The figures of processes are there. */
	redis_kill(stack);
	ck_assert_int_eq(CTL_STATUS(stack, &out, "stats"), 1);
	ck_assert_str_eq(out, "");
	check_has(ctl_said(stack), "/redis.sock");
	stack_stop(stack);
}
END_TEST

/* A user whose partition is on that one of two servers. */
static const char *user_at(unsigned server, unsigned partitions)
{
	static const char *const users[] = {"1", "2", "3", "4", "5", "6", "7", "8"};
	size_t i = 0;

	while (i < 8 && layout_partition(partitions, users[i]) % 2 != server)
		i++;
	ck_assert_msg(i < 8, "no user is on server %u", server);
	return users[i];
}

/* A worker tells what it counted along with a call; where another server makes the call fail, no reply is read. */
START_TEST(a_call_that_another_server_fails_is_counted_once)
{
	struct stack *stack = start_divided(2);
	const char *token = token_for(stack, user_at(0, 2));
	int64_t end;
	char *body;
	int calls = 0;

	ck_assert(asprintf(&body, "{\"user_ids\":[%s,%s]}", user_at(0, 2), user_at(1, 2)) > 0);
	redis_kill_at(stack, 1);
	/* Long enough for each worker to tell several times. */
	for (end = now_ms() + 4000; now_ms() < end; calls++) {
		check_problem(HTTP(stack, .path = STATUS_USERS, .token = token, .body = body), 503,
			      "redis_unavailable");
		nap();
	}
	wait_value(stack, "http_requests_total{route=\"POST /online-status/users\",status=\"5xx\"}",
		   calls);
	wait_value(stack, "worker_starts_total", 2);
	stack_stop(stack);
}
END_TEST

START_TEST(a_counter_is_told_before_it_counts)
{
	struct stack *stack = start("", 1);

	/* So that Prometheus sees the first step. */
	wait_value(stack, "ghosts_repaired_total", 0);
	wait_value(stack, "slow_readers_total", 0);
	wait_value(stack, "redis_losses_total{server=\"0\"}", 0);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("metrics");
	TCase *asking = harness_case(suite, "asking", 30);
	TCase *telling = harness_case(suite, "telling", 30);
	TCase *counting = harness_case(suite, "counting", 30);
	TCase *ghosts = harness_case(suite, "ghosts", 30);
	TCase *looking = harness_case(suite, "looking", 30);
	TCase *redis = harness_case(suite, "redis", 30);

	tcase_add_test(asking, a_scrape_takes_the_token_of_the_file);
	tcase_add_test(asking, without_the_option_there_is_no_such_call);
	tcase_add_test(asking, a_token_file_that_is_none_is_refused_at_the_start);
	tcase_add_test(telling, promtool_finds_nothing_wrong_with_it);
	tcase_add_test(telling, openmetrics_is_read_by_its_own_parser);
	tcase_add_test(telling, the_format_is_the_one_that_accept_prefers);
	tcase_add_test(telling, every_figure_is_told_and_documented);
	tcase_add_loop_test(telling, alerts_and_dashboard_name_figures_that_there_are, 0, 2);
	tcase_add_test(telling, promtool_takes_the_alerts);
	tcase_add_test(telling, no_figure_tells_of_a_user);
	tcase_add_test(counting, calls_are_counted_by_route_and_status);
	tcase_add_test(counting, a_counter_is_told_before_it_counts);
	tcase_add_test(counting, what_was_counted_outlives_who_counted_it);
	tcase_add_test(counting, a_process_that_ends_tells_the_last_it_counted);
	tcase_add_test(counting, changes_are_counted_by_reason_and_deliveries_by_reader);
	tcase_add_test(counting, refusals_and_connections_to_redis_are_counted);
	tcase_add_test(counting, how_late_offline_is_told_is_measured);
	tcase_add_test(counting, what_redis_says_to_be_decades_late_counts_as_a_day);
	tcase_add_test(ghosts, a_ghost_is_found_told_once_and_counted);
	tcase_add_test(ghosts, who_is_online_and_looks_offline_is_put_right);
	tcase_add_test(ghosts, nobody_who_is_as_redis_says_is_taken_for_a_ghost);
	tcase_add_test(looking, figures_come_each_second_to_an_admin);
	tcase_add_test(looking, the_stream_of_figures_is_an_admins_alone);
	tcase_add_test(looking, no_more_than_ten_look_at_a_time);
	tcase_add_test(looking, who_looks_is_told_that_redis_is_away);
	tcase_add_test(looking, stats_tells_the_same);
	tcase_add_test(redis, without_redis_there_is_nothing_to_tell);
	tcase_add_test(redis, figures_that_cannot_be_kept_disturb_no_call);
	tcase_add_test(redis, one_scrape_shows_all_partitions);
	tcase_add_test(redis, a_server_that_is_away_is_told_by_the_others);
	tcase_add_test(redis, stats_names_the_server_that_is_away_and_shows_the_rest);
	tcase_add_test(redis, a_call_that_another_server_fails_is_counted_once);
	return harness_main(suite);
}
