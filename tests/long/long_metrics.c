/*
 * A real Prometheus reads the figures: what it holds is what presencectl stats says, every chart of
 * conf/grafana.json has something to show, an alert of conf/alerts.yml fires and is over. `make check-long`.
 */
#include "calls.h"
#include "process.h"
#include "push.h"
#include "servers.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECONDS 300
#define SCRAPED 20000 /* ms until what changed has been scraped: once a second */
#define RATE "10s" /* for Grafana's $__rate_interval */

static struct {
	struct stack *stack;
	pid_t pid;
	int port;
} prometheus;

/* --- Prometheus ------------------------------------------------------------------------------ */

/* The answer's "data" to a query, or to none (NULL). */
static struct json_object *ask(const char *path, const char *query)
{
	const char *url = text_of("http://127.0.0.1:%d/api/v1/%s", prometheus.port, path);
	const char *argument = text_of("query=%s", query != NULL ? query : "");
	const char *argv[] = {"curl", "-sS", "-G", "--data-urlencode", argument, url, NULL};
	struct json_object *answer;
	char *out;

	ck_assert_msg(run(prometheus.stack, &out, NULL, argv) == 0, "%s: no answer", url);
	answer = parse_json(out);
	ck_assert_msg(strcmp(json_text(answer, "status"), "success") == 0, "%s: %s",
		      query != NULL ? query : path, out);
	return json_at(answer, "data");
}

static struct json_object *series_of(const char *query)
{
	return json_at(ask("query", query), "result");
}

/* The value of a query that gives one; -1: it gives none. */
static double value_of(const char *query)
{
	struct json_object *series = series_of(query);

	if (json_object_array_length(series) == 0)
		return -1;
	ck_assert_uint_eq(json_object_array_length(series), 1);
	return strtod(json_object_get_string(json_object_array_get_idx(
			      json_at(json_object_array_get_idx(series, 0), "value"), 1)),
		      NULL);
}

static bool answers(void)
{
	const char *url = text_of("http://127.0.0.1:%d/-/ready", prometheus.port);

	return run(prometheus.stack, NULL, NULL,
		   (const char *[]){"curl", "-fsS", "-o", "/dev/null", url, NULL}) == 0;
}

/* As docs/monitoring.md configures it, but once a second, by the key of tokens; its data are the stack's. */
static void prometheus_start(struct stack *stack)
{
	const char *argv[5] = {"prometheus"};

	stack_write(stack, "alerts.yml", source_file("conf/alerts.yml"));
	stack_write(stack, "prometheus.yml",
		    text_of("global: { scrape_interval: 1s, evaluation_interval: 1s }\n"
			    "rule_files: [ alerts.yml ]\n"
			    "scrape_configs:\n"
			    "  - job_name: presence\n"
			    "    metrics_path: /api/metrics\n"
			    "    authorization: { credentials: %s }\n"
			    "    static_configs: [{ targets: [ \"127.0.0.1:%d\" ] }]\n",
			    stack->secret, stack->port));
	prometheus.stack = stack;
	prometheus.port = free_port();
	argv[1] = text_of("--config.file=%s", stack_path(stack, "prometheus.yml"));
	argv[2] = text_of("--storage.tsdb.path=%s", stack_path(stack, "prometheus"));
	argv[3] = text_of("--web.listen-address=127.0.0.1:%d", prometheus.port);
	prometheus.pid = process_start(stack, "prometheus", argv, NULL, 0);
	WAIT_UNTIL(!process_lives(prometheus.pid) || answers(), 60000);
	ck_assert_msg(process_lives(prometheus.pid),
		      "prometheus did not start (./bootstrap --tests):\n%s",
		      stack_file(stack, "prometheus.log"));
	WAIT_UNTIL(value_of("up{job=\"presence\"}") == 1, SCRAPED);
}

static void prometheus_end(void)
{
	ck_assert_int_eq(process_end(&prometheus.pid, SIGTERM, "prometheus", 30000), 0);
}

/* --- the same as presencectl stats says ------------------------------------------------------ */

/* The sum over all labels of a figure in stats --json; of a histogram the number of events. */
static int64_t sum_of(struct json_object *figure)
{
	struct json_object *count;
	int64_t sum = 0;

	if (!json_object_is_type(figure, json_type_object))
		return json_object_get_int64(figure);
	if (json_object_object_get_ex(figure, "buckets", &count) &&
	    json_object_object_get_ex(figure, "count", &count))
		return json_object_get_int64(count);
	json_object_object_foreach(figure, name, member)
	{
		(void)name;
		sum += sum_of(member);
	}
	return sum;
}

static struct json_object *stats(void)
{
	return json_at(parse_json(CTL(prometheus.stack, "stats", "--json")), "figures");
}

static bool ends_in(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len > end_len && strcmp(name + len - end_len, end) == 0;
}

/* 0 of a figure with labels that nothing has yet. */
static int64_t scraped_sum(const char *name)
{
	const char *part = ends_in(name, "_seconds") ? "_count" : "";
	double value = value_of(text_of("sum(presence_%s%s)", name, part));

	return value < 0 ? 0 : (int64_t)value;
}

static int64_t told_sum(const char *name)
{
	return sum_of(json_at(stats(), name));
}

/* Counters go on meanwhile: what is scraped is between what stats says before and after. */
static void check_counter(const char *name, int64_t before)
{
	int64_t seen, after;

	WAIT_UNTIL((seen = scraped_sum(name)) >= before, SCRAPED);
	after = told_sum(name);
	ck_assert_msg(seen <= after, "%s: Prometheus has %lld, stats says %lld", name,
		      (long long)seen, (long long)after);
}

static void check_same_figures(void)
{
	struct json_object *figures = stats();
	size_t above_0 = 0;

	json_object_object_foreach(figures, name, figure)
	{
		if (ends_in(name, "_total") || ends_in(name, "_seconds"))
			check_counter(name, sum_of(figure));
		else
			WAIT_UNTIL(scraped_sum(name) == told_sum(name), SCRAPED);
		above_0 += sum_of(figure) > 0;
	}
	ck_assert_msg(above_0 > 15, "%zu figures are not 0", above_0);
}

/* --- the charts of conf/grafana.json --------------------------------------------------------- */

/* The expression as Grafana would send it. */
static const char *expand(const char *expression)
{
	static const char variable[] = "$__rate_interval";
	const char *text = "", *at;

	while ((at = strstr(expression, variable)) != NULL) {
		text = text_of("%s%.*s" RATE, text, (int)(at - expression), expression);
		expression = at + sizeof variable - 1;
	}
	return text_of("%s%s", text, expression);
}

/* What Grafana's import asks of a panel and of a query of it. */
static const char *expression_of(struct json_object *panel, struct json_object *target)
{
	json_at(panel, "gridPos");
	ck_assert_str_eq(json_text(panel, "type"), "timeseries");
	ck_assert_str_eq(json_text(json_at(panel, "datasource"), "type"), "prometheus");
	ck_assert_uint_gt(strlen(json_text(panel, "title")), 0);
	ck_assert_uint_gt(strlen(json_text(target, "refId")), 0);
	return expand(json_text(target, "expr"));
}

static void check_charts(void)
{
	struct json_object *panels =
		json_at(parse_json(source_file("conf/grafana.json")), "panels");
	size_t checked = 0;

	for (size_t i = 0; i < json_object_array_length(panels); i++) {
		struct json_object *panel = json_object_array_get_idx(panels, i);
		struct json_object *targets = json_at(panel, "targets");

		for (size_t j = 0; j < json_object_array_length(targets); j++, checked++) {
			const char *query =
				expression_of(panel, json_object_array_get_idx(targets, j));
			int64_t end = now_ms() + patience(SCRAPED);

			while (json_object_array_length(series_of(query)) == 0) {
				ck_assert_msg(now_ms() < end, "'%s' shows nothing: %s",
					      json_text(panel, "title"), query);
				nap();
			}
		}
	}
	ck_assert_msg(checked > 20, "%zu queries", checked);
}

/* Something of everything that is counted. */
static void live(struct push_stand *stand)
{
	struct stack *stack = stand->stack;
	struct sse *friend = sse_open(stack, token_for(stack, "2"));

	sse_ready(friend);
	touch(stack, token_for(stack, "1"));
	sse_wait_change(friend, "1", true, 2000);
	ck_assert_int_eq(sse_status(sse_open(stack, "nonsense")), 401);
	HTTP(stack, .path = "/api/nonsense");
	push_offline_user(stand, "u1", stand->https, "/ok");
	push_notify(stand, "{'user_ids':['u1'],'title':'Hello','only_if':'offline'}");
	push_wait_until_idle(stand);
	sse_close(sse_open(stack, token_for(stack, "3")));
	sse_close(friend);
	/* Offline after `grace`. */
	WAIT_UNTIL(value_of("sum(presence_offline_delay_seconds_count)") >= 1, 30000);
}

START_TEST(prometheus_has_what_stats_says_and_every_chart_shows_something)
{
	struct push_stand *stand;
	struct stack *stack;

	stand = push_start_pushd(FAST "metrics { token_file = \"@DIR/key\" }\n");
	stack = stand->stack;
	streamd_start(stack, 0);
	prometheus_start(stack);
	live(stand);
	check_charts();
	check_same_figures();
	ck_assert_uint_eq(json_object_array_length(json_at(ask("alerts", NULL), "alerts")), 0);
	prometheus_end();
	push_stop(stand);
}
END_TEST

/* --- an alert -------------------------------------------------------------------------------- */

static bool is_alert(const char *name, const char *state)
{
	struct json_object *alerts = json_at(ask("alerts", NULL), "alerts");

	for (size_t i = 0; i < json_object_array_length(alerts); i++) {
		struct json_object *alert = json_object_array_get_idx(alerts, i);

		if (strcmp(json_text(json_at(alert, "labels"), "alertname"), name) == 0)
			return state == NULL || strcmp(json_text(alert, "state"), state) == 0;
	}
	return false;
}

START_TEST(an_alert_fires_when_its_cause_is_there_and_is_over_afterwards)
{
	struct stack *stack = stack_new("");

	stack_divide(stack, 2, 2,
		     text_of("metrics { token_file = \"%s\" }\n", stack_path(stack, "key")));
	streamd_start(stack, 0);
	lighttpd_start(stack);
	prometheus_start(stack);
	WAIT_UNTIL(value_of("sum(presence_redis_up)") == 2, SCRAPED);
	ck_assert(!is_alert("PresenceRedisLost", NULL));
	redis_kill_at(stack, 1);
	WAIT_UNTIL(is_alert("PresenceRedisLost", "firing"), 60000);
	ck_assert(value_of("up{job=\"presence\"}") == 1);
	redis_start_at(stack, 1, NULL);
	WAIT_UNTIL(!is_alert("PresenceRedisLost", NULL), 60000);
	prometheus_end();
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("long_metrics");
	TCase *tcase = harness_case(suite, "prometheus", SECONDS);

	tcase_add_test(tcase, prometheus_has_what_stats_says_and_every_chart_shows_something);
	tcase_add_test(tcase, an_alert_fires_when_its_cause_is_there_and_is_over_afterwards);
	return push_main(suite);
}
