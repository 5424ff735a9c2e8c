/* The parts of presence-pushd that only compute: payloads, jobs, outcomes, addresses. */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include <json-c/json.h>

#include "push/decide.h"
#include "push/outcome.h"
#include "push/payload.h"
#include "push/peer.h"
#include "push/webhook.h"

static struct push_job job_of(const char *title, const char *body)
{
	struct push_job job = {.id = "0123456789abcdefghijkl", .ttl = 60};

	ck_assert(userid_parse("7", 1, &job.user));
	strcpy(job.title, title);
	strcpy(job.body, body);
	return job;
}

/* --- payloads ----------------------------------------------------------------------------- */

static void check_payload(const struct push_job *job, const char *expected)
{
	struct printbuf *out = buf_new();

	payload_put(out, job);
	ck_assert_str_eq(out->buf, expected);
	printbuf_free(out);
}

START_TEST(a_payload_has_the_declarative_form)
{
	struct push_job job = job_of("Hello \"you\"", "a\nb");

	strcpy(job.url, "https://example.com/x");
	strcpy(job.tag, "mail");
	check_payload(&job, "{\"web_push\":8030,\"notification\":{\"title\":\"Hello \\\"you\\\"\","
			    "\"body\":\"a\\u000ab\",\"navigate\":\"https://example.com/x\","
			    "\"tag\":\"mail\"}}");
}
END_TEST

START_TEST(a_payload_leads_to_the_root_of_the_site_by_default)
{
	struct push_job job = job_of("Hello", "");

	check_payload(&job, "{\"web_push\":8030,\"notification\":{\"title\":\"Hello\","
			    "\"navigate\":\"/\"}}");
}
END_TEST

START_TEST(who_came_online_is_in_the_data)
{
	struct push_job job = job_of("Anna is online", "");

	job.is_online = true;
	ck_assert(userid_parse("anna", 4, &job.friend));
	check_payload(
		&job,
		"{\"web_push\":8030,\"notification\":{\"title\":\"Anna is online\","
		"\"navigate\":\"/"
		"\",\"tag\":\"online-anna\",\"data\":{\"type\":\"online\",\"user_id\":\"anna\"}}}");
}
END_TEST

/* The longest of everything, of bytes that JSON writes in so many others. */
static struct push_job longest(const char *piece)
{
	struct push_job job = job_of("", "");

	while (strlen(job.title) + strlen(piece) <= PUSH_TITLE_MAX)
		strcat(job.title, piece);
	while (strlen(job.body) + strlen(piece) <= PUSH_BODY_MAX)
		strcat(job.body, piece);
	memset(job.url, 'u', PUSH_URL_MAX);
	memset(job.tag, 't', PUSH_TAG_MAX);
	return job;
}

START_TEST(the_longest_payload_fits_and_stays_whole_characters)
{
	static const char *const pieces[] = {"a", "\"", "\n", "\xc3\xa9", "\xf0\x9f\x98\x80"};

	for (size_t i = 0; i < UNIT_COUNT(pieces); i++) {
		struct push_job job = longest(pieces[i]);
		struct json_tokener *tokener = json_tokener_new();
		struct printbuf *out = buf_new();
		struct json_object *object;

		payload_put(out, &job);
		ck_assert_msg(buf_len(out) <= PAYLOAD_MAX, "'%s' makes %zu bytes", pieces[i],
			      buf_len(out));
		json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
		object = json_tokener_parse_ex(tokener, out->buf, (int)buf_len(out));
		ck_assert_msg(object != NULL, "'%s': %s", pieces[i], out->buf);
		/* A body that would be but an ellipsis is left out. */
		ck_assert_msg((strstr(out->buf, "\xe2\x80\xa6\"") != NULL) ==
				      (strstr(out->buf, "\"body\"") != NULL),
			      "nothing marks the cut: %s", out->buf);
		json_object_put(object);
		json_tokener_free(tokener);
		printbuf_free(out);
	}
}
END_TEST

START_TEST(a_payload_is_cut_no_more_than_it_must_be)
{
	struct push_job job = longest("a");
	struct printbuf *out = buf_new();

	payload_put(out, &job);
	ck_assert_msg(buf_len(out) > PAYLOAD_MAX - 8, "%zu bytes", buf_len(out));
	printbuf_free(out);
}
END_TEST

START_TEST(a_payload_that_was_too_large_is_shortened)
{
	struct push_job job = longest("a");
	struct printbuf *out = buf_new();

	job.shortened = true;
	job.url[0] = '\0';
	payload_put(out, &job);
	ck_assert_msg(buf_len(out) <= PAYLOAD_SHORT, "%zu bytes", buf_len(out));
	printbuf_free(out);
}
END_TEST

START_TEST(padding_goes_in_steps_of_256)
{
	ck_assert_uint_eq(payload_padded(0), 256);
	ck_assert_uint_eq(payload_padded(255), 256);
	ck_assert_uint_eq(payload_padded(256), 512);
	ck_assert_uint_eq(payload_padded(511), 512);
	ck_assert_uint_eq(payload_padded(PAYLOAD_MAX), 3072);
}
END_TEST

START_TEST(the_topic_follows_from_the_tag_else_from_the_job)
{
	char one[PAYLOAD_TOPIC_LEN + 1], other[PAYLOAD_TOPIC_LEN + 1];
	struct push_job job = job_of("a", ""), second = job_of("b", "");

	second.id[0] = 'x';
	payload_topic(&job, one);
	payload_topic(&second, other);
	ck_assert_str_ne(one, other);
	strcpy(job.tag, "mail");
	strcpy(second.tag, "mail");
	payload_topic(&job, one);
	payload_topic(&second, other);
	ck_assert_str_eq(one, other);
	ck_assert_uint_eq(strlen(one), PAYLOAD_TOPIC_LEN);
	/* RFC 8030 section 5.4 */
	ck_assert_uint_eq(strspn(one, "0123456789abcdef"), PAYLOAD_TOPIC_LEN);
}
END_TEST

/* --- jobs --------------------------------------------------------------------------------- */

START_TEST(a_job_is_read_back_as_it_was_written)
{
	struct push_job job = job_of("T", "B \"q\"\n"), back;
	struct printbuf *text = buf_new();

	strcpy(job.url, "/x");
	strcpy(job.tag, "tag");
	job.urgency = PUSH_HIGH;
	job.only_if = PUSH_ALWAYS;
	job.expires_ms = 1700000000123;
	job.tries = 3;
	job.counted = job.shortened = true;
	strcpy(job.left[0], "s1");
	strcpy(job.left[1], "s2");
	job.left_count = 2;
	push_job_put(text, &job);
	ck_assert(push_job_read(text->buf, buf_len(text), &back));
	ck_assert_mem_eq(&job, &back, sizeof job);
	ck_assert(push_job_is_left(&back, "s2"));
	ck_assert(!push_job_is_left(&back, "s3"));
	printbuf_free(text);
}
END_TEST

START_TEST(a_job_of_a_friend_is_read_as_the_script_writes_it)
{
	static const char text[] =
		"{\"id\":\"o1700000000000000-1\",\"user\":\"7\",\"friend\":\"anna\","
		"\"tag\":\"online-anna\",\"ttl\":600}";
	struct push_job job;

	ck_assert(push_job_read(text, sizeof text - 1, &job));
	ck_assert(job.is_online);
	ck_assert_str_eq(job.friend.text, "anna");
	ck_assert_int_eq(job.urgency, PUSH_NORMAL);
	ck_assert_int_eq(job.only_if, PUSH_IF_OFFLINE);
	ck_assert(push_job_is_left(&job, "s3"));
}
END_TEST

START_TEST(what_is_no_job_is_refused)
{
	static const char *const texts[] = {
		"",
		"{}",
		"{\"id\":\"a\"}",
		"{\"id\":\"a\",\"user\":7}",
		"{\"id\":\"a\\r\\nX-Field: b\",\"user\":\"7\"}",
		"{\"id\":\"a\",\"user\":\"7\",\"tag\":\"a \\\"b\"}",
		"{\"id\":\"a\",\"user\":\"7\",\"left\":[\"a\\\"b\"]}",
		"{\"id\":\"a\",\"user\":\"no id!\"}",
		"{\"id\":\"a\",\"user\":\"7\",\"ttl\":\"x\"}",
		"{\"id\":\"a\",\"user\":\"7\",\"ttl\":99999999999}",
		"{\"id\":\"a\",\"user\":\"7\",\"urgency\":\"fast\"}",
		"{\"id\":\"a\",\"user\":\"7\",\"only_if\":1}",
		"{\"id\":\"a\",\"user\":\"7\",\"friend\":\"?\"}",
		"{\"id\":\"a\",\"user\":\"7\",\"left\":[1]}",
		"{\"id\":\"a\",\"user\":\"7\",\"left\":[1,2,3,4,5,6,7,8,9,10,11,12]}",
	};
	struct push_job job;

	for (size_t i = 0; i < UNIT_COUNT(texts); i++)
		ck_assert_msg(!push_job_read(texts[i], strlen(texts[i]), &job), "%s was read",
			      texts[i]);
}
END_TEST

/* --- outcomes ----------------------------------------------------------------------------- */

static const struct {
	int status;
	enum outcome outcome;
} statuses[] = {
	{200, OUTCOME_SENT},	  {201, OUTCOME_SENT},	  {202, OUTCOME_SENT},
	{204, OUTCOME_SENT},	  {301, OUTCOME_REFUSED}, {307, OUTCOME_REFUSED},
	{400, OUTCOME_REFUSED},	  {401, OUTCOME_REFUSED}, {403, OUTCOME_REFUSED},
	{404, OUTCOME_GONE},	  {410, OUTCOME_GONE},	  {413, OUTCOME_TOO_LARGE},
	{429, OUTCOME_SLOW_DOWN}, {500, OUTCOME_FAILED},  {503, OUTCOME_FAILED},
	{599, OUTCOME_FAILED},	  {600, OUTCOME_REFUSED}, {0, OUTCOME_REFUSED},
};

START_TEST(each_status_has_its_outcome)
{
	ck_assert_msg(outcome_of_status(statuses[_i].status) == statuses[_i].outcome,
		      "%d is %s instead of %s", statuses[_i].status,
		      outcome_names[outcome_of_status(statuses[_i].status)],
		      outcome_names[statuses[_i].outcome]);
}
END_TEST

START_TEST(only_what_may_pass_is_tried_again)
{
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		bool passes =
			i == OUTCOME_SLOW_DOWN || i == OUTCOME_FAILED || i == OUTCOME_UNREACHABLE;

		ck_assert_msg(outcome_names[i] != NULL, "outcome %d has no name", i);
		ck_assert_msg((outcome_is_retried((enum outcome)i) != 0) == passes, "%s",
			      outcome_names[i]);
	}
}
END_TEST

START_TEST(waits_double_up_to_an_hour)
{
	ck_assert_int_eq(outcome_wait_ms(1, 0, 0), 2000);
	ck_assert_int_eq(outcome_wait_ms(2, 0, 0), 4000);
	ck_assert_int_eq(outcome_wait_ms(11, 0, 0), 2048000);
	ck_assert_int_eq(outcome_wait_ms(12, 0, 0), 3600000);
	ck_assert_int_eq(outcome_wait_ms(1000000, 0, 0), 3600000);
}
END_TEST

START_TEST(retry_after_is_obeyed_and_jitter_only_adds)
{
	ck_assert_int_eq(outcome_wait_ms(1, 120, 0), 120000);
	ck_assert_int_eq(outcome_wait_ms(1, 1, 0), 2000);
	ck_assert_int_eq(outcome_wait_ms(1, 86400, 0), 86400000);
	ck_assert_int_eq(outcome_wait_ms(1, 120, 999), 179940);
}
END_TEST

/* --- decisions ---------------------------------------------------------------------------- */

#define CREATED INT64_C(1700000000000)
#define GRACE 10000

/* What Redis says of a user who is offline and has one subscription. */
static struct push_look look_of_offline(void)
{
	struct push_look look = {.count = 1};

	strcpy(look.subscriptions[0].id, "s1");
	return look;
}

static void check_decision(struct push_job *job, const struct push_look *look, int64_t age_ms,
			   enum decision_kind kind, int what)
{
	struct decision decision = decide(job, look, CREATED + age_ms, CREATED, GRACE, false);

	ck_assert_msg(decision.kind == kind, "decided %d instead of %d", (int)decision.kind,
		      (int)kind);
	if (kind == DECIDE_DROP)
		ck_assert_str_eq(outcome_names[decision.outcome], outcome_names[what]);
	if (kind == DECIDE_LATER)
		ck_assert_int_eq(decision.wait_ms, what);
}

START_TEST(who_is_offline_gets_it_after_the_grace)
{
	struct push_job job = job_of("a", "");
	struct push_look look = look_of_offline();

	check_decision(&job, &look, 1000, DECIDE_LATER, GRACE - 1000);
	ck_assert_int_eq(job.expires_ms, CREATED + GRACE + 60000);
	check_decision(&job, &look, GRACE, DECIDE_SEND, 0);
	job = job_of("a", "");
	job.only_if = PUSH_ALWAYS;
	check_decision(&job, &look, 0, DECIDE_SEND, 0);
}
END_TEST

/* Each with what others see of the user, for whom it is, and what becomes of it. */
static const struct {
	bool online, away, dnd;
	enum push_only only_if;
	enum push_urgency urgency;
	enum decision_kind kind;
} presences[] = {
	{false, false, false, PUSH_IF_OFFLINE, PUSH_NORMAL, DECIDE_SEND},
	{true, false, false, PUSH_IF_OFFLINE, PUSH_HIGH, DECIDE_DROP},
	{true, true, false, PUSH_IF_OFFLINE, PUSH_HIGH, DECIDE_DROP},
	{true, true, false, PUSH_IF_AWAY, PUSH_NORMAL, DECIDE_SEND},
	{true, false, false, PUSH_IF_AWAY, PUSH_NORMAL, DECIDE_DROP},
	{false, false, false, PUSH_IF_AWAY, PUSH_NORMAL, DECIDE_SEND},
	{true, false, false, PUSH_ALWAYS, PUSH_NORMAL, DECIDE_SEND},
	{true, false, true, PUSH_ALWAYS, PUSH_NORMAL, DECIDE_LATER},
	{true, false, true, PUSH_ALWAYS, PUSH_HIGH, DECIDE_SEND},
	{false, false, true, PUSH_IF_OFFLINE, PUSH_NORMAL, DECIDE_LATER},
	{false, false, true, PUSH_IF_OFFLINE, PUSH_HIGH, DECIDE_SEND},
	{true, false, true, PUSH_IF_OFFLINE, PUSH_NORMAL, DECIDE_DROP},
};

START_TEST(presence_at_the_moment_of_sending_decides)
{
	struct push_job job = job_of("a", "");
	struct push_look look = look_of_offline();

	look.online = presences[_i].online;
	look.away = presences[_i].away;
	look.dnd = presences[_i].dnd;
	job.only_if = presences[_i].only_if;
	job.urgency = presences[_i].urgency;
	check_decision(&job, &look, GRACE + 1, presences[_i].kind,
		       presences[_i].kind == DECIDE_LATER ? DECIDE_DND_MS : OUTCOME_ONLINE);
}
END_TEST

START_TEST(do_not_disturb_holds_it_until_it_ends)
{
	struct push_job job = job_of("a", "");
	struct push_look look = look_of_offline();
	int64_t now = CREATED + GRACE;

	look.dnd = true;
	check_decision(&job, &look, GRACE, DECIDE_LATER, DECIDE_DND_MS);
	look.dnd_ends_ms = now + 1500;
	check_decision(&job, &look, GRACE, DECIDE_LATER, 1500);
	/* It may also be ended before it says. */
	look.dnd_ends_ms = now + 86400000;
	check_decision(&job, &look, GRACE, DECIDE_LATER, DECIDE_DND_MS);
}
END_TEST

START_TEST(time_ends_what_could_not_be_sent)
{
	struct push_job job = job_of("a", "");
	struct push_look look = look_of_offline();

	check_decision(&job, &look, GRACE + 60001, DECIDE_DROP, OUTCOME_EXPIRED);
	/* A ttl of nothing leaves time for one try. */
	job = job_of("a", "");
	job.ttl = 0;
	check_decision(&job, &look, 0, DECIDE_LATER, GRACE);
	check_decision(&job, &look, GRACE + 1000, DECIDE_SEND, 0);
	check_decision(&job, &look, GRACE + 5001, DECIDE_DROP, OUTCOME_EXPIRED);
}
END_TEST

START_TEST(what_is_left_decides_who_gets_it_again)
{
	struct push_job job = job_of("a", "");
	struct push_look look = look_of_offline();

	job.left_count = 1;
	strcpy(job.left[0], "s2");
	check_decision(&job, &look, GRACE, DECIDE_DROP, OUTCOME_NOBODY);
	strcpy(job.left[0], "s1");
	check_decision(&job, &look, GRACE, DECIDE_SEND, 0);
	look.count = 0;
	check_decision(&job, &look, GRACE, DECIDE_DROP, OUTCOME_NOBODY);
	ck_assert_int_eq(decide(&job, &look, CREATED + GRACE, CREATED, GRACE, true).kind,
			 DECIDE_SEND);
}
END_TEST

START_TEST(a_newer_one_of_its_tag_and_a_wipe_come_first)
{
	struct push_job job = job_of("a", "");
	struct push_look look = look_of_offline();

	look.recovering = true;
	check_decision(&job, &look, GRACE, DECIDE_LATER, DECIDE_RECOVERY_MS);
	look.superseded = true;
	check_decision(&job, &look, GRACE, DECIDE_DROP, OUTCOME_SUPERSEDED);
}
END_TEST

START_TEST(a_friend_must_be_waited_for_and_online)
{
	struct push_job job = job_of("a", "");
	struct push_look look = look_of_offline();

	job.is_online = true;
	check_decision(&job, &look, GRACE, DECIDE_DROP, OUTCOME_WITHDRAWN);
	look.wanted = true;
	check_decision(&job, &look, GRACE, DECIDE_WAIT_AGAIN, 0);
	look.friend_online = true;
	check_decision(&job, &look, GRACE, DECIDE_SEND, 0);
	look.friend_hidden = true;
	check_decision(&job, &look, GRACE, DECIDE_DROP, OUTCOME_WITHDRAWN);
	look.friend_hidden = false;
	/* Some have been told: it is not said anew at the next time. */
	look.friend_online = false;
	job.left_count = 1;
	strcpy(job.left[0], "s1");
	check_decision(&job, &look, GRACE, DECIDE_DROP, OUTCOME_WITHDRAWN);
}
END_TEST

START_TEST(an_entry_tells_when_it_was_made)
{
	ck_assert_int_eq(decide_created_ms("1700000000123-7"), 1700000000123);
	ck_assert_int_eq(decide_created_ms("x"), 0);
	ck_assert_int_eq(decide_created_ms(""), 0);
}
END_TEST

/* --- the webhook -------------------------------------------------------------------------- */

START_TEST(a_signature_is_that_of_timestamp_and_body)
{
	struct printbuf *key = buf_new(), *body = buf_new();
	char signature[WEBHOOK_SIGNATURE_LEN + 1];

	buf_puts(key, "0123456789abcdef0123456789abcdef");
	buf_puts(body, "{\"a\":1}");
	ck_assert(webhook_sign(key, 1700000000, body, signature));
	/* printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef */
	ck_assert_str_eq(signature,
			 "f05f2539e3ae1c49aec5f8cfdad75ef6b06480b133973ffbb7ec9e18827af177");
	printbuf_free(key);
	printbuf_free(body);
}
END_TEST

/* --- addresses ---------------------------------------------------------------------------- */

static const struct {
	const char *text;
	bool is_public;
} addresses[] = {
	{"8.8.8.8", true},
	{"1.1.1.1", true},
	{"172.15.0.1", true},
	{"172.32.0.1", true},
	{"100.63.0.1", true},
	{"100.128.0.1", true},
	{"0.0.0.0", false},
	{"10.1.2.3", false},
	{"100.64.0.1", false},
	{"127.0.0.1", false},
	{"127.255.255.255", false},
	{"169.254.169.254", false},
	{"172.16.0.1", false},
	{"172.31.255.255", false},
	{"192.0.0.1", false},
	{"192.0.2.1", false},
	{"192.168.0.1", false},
	{"198.18.0.1", false},
	{"198.19.0.1", false},
	{"198.51.100.1", false},
	{"203.0.113.1", false},
	{"224.0.0.1", false},
	{"240.0.0.1", false},
	{"255.255.255.255", false},
	{"2a00:1450::1", true},
	{"2606:4700::1", true},
	{"::ffff:8.8.8.8", true},
	{"64:ff9b::808:808", true},
	{"::", false},
	{"::1", false},
	{"::ffff:127.0.0.1", false},
	{"::ffff:10.0.0.1", false},
	{"64:ff9b::a00:1", false},
	{"fe80::1", false},
	{"fc00::1", false},
	{"fd00::1", false},
	{"ff02::1", false},
	{"2001:db8::1", false},
	{"2001::1", false},
	{"2002:7f00:1::", false},
	{"3fff::1", false},
	{"4000::1", false},
};

static void read_address(const char *text, struct sockaddr_storage *storage)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)storage;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)storage;

	memset(storage, 0, sizeof *storage);
	storage->ss_family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	ck_assert_int_eq(inet_pton(storage->ss_family, text,
				   storage->ss_family == AF_INET ? (void *)&v4->sin_addr
								 : (void *)&v6->sin6_addr),
			 1);
}

START_TEST(an_address_is_public_or_not)
{
	struct sockaddr_storage address;

	read_address(addresses[_i].text, &address);
	ck_assert_msg(peer_is_public((struct sockaddr *)&address) == addresses[_i].is_public, "%s",
		      addresses[_i].text);
}
END_TEST

START_TEST(an_address_that_is_named_is_allowed)
{
	struct sockaddr_storage address;

	read_address("127.0.0.1", &address);
	ck_assert(!peer_is_allowed("", (struct sockaddr *)&address));
	ck_assert(peer_is_allowed("localhost:1, 127.0.0.1", (struct sockaddr *)&address));
	read_address("127.0.0.2", &address);
	ck_assert(!peer_is_allowed("localhost:1, 127.0.0.1", (struct sockaddr *)&address));
	read_address("8.8.8.8", &address);
	ck_assert(peer_is_allowed("localhost:1", (struct sockaddr *)&address));
}
END_TEST

START_TEST(an_address_of_another_family_is_not_public)
{
	struct sockaddr address = {.sa_family = AF_UNIX};

	ck_assert(!peer_is_public(&address));
	ck_assert(!peer_is_allowed("", &address));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("push");
	TCase *tcase = tcase_create("payload");

	tcase_add_test(tcase, a_payload_has_the_declarative_form);
	tcase_add_test(tcase, a_payload_leads_to_the_root_of_the_site_by_default);
	tcase_add_test(tcase, who_came_online_is_in_the_data);
	tcase_add_test(tcase, the_longest_payload_fits_and_stays_whole_characters);
	tcase_add_test(tcase, a_payload_is_cut_no_more_than_it_must_be);
	tcase_add_test(tcase, a_payload_that_was_too_large_is_shortened);
	tcase_add_test(tcase, padding_goes_in_steps_of_256);
	tcase_add_test(tcase, the_topic_follows_from_the_tag_else_from_the_job);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("jobs");
	tcase_add_test(tcase, a_job_is_read_back_as_it_was_written);
	tcase_add_test(tcase, a_job_of_a_friend_is_read_as_the_script_writes_it);
	tcase_add_test(tcase, what_is_no_job_is_refused);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("outcomes");
	tcase_add_loop_test(tcase, each_status_has_its_outcome, 0, (int)UNIT_COUNT(statuses));
	tcase_add_test(tcase, only_what_may_pass_is_tried_again);
	tcase_add_test(tcase, waits_double_up_to_an_hour);
	tcase_add_test(tcase, retry_after_is_obeyed_and_jitter_only_adds);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("decisions");
	tcase_add_test(tcase, who_is_offline_gets_it_after_the_grace);
	tcase_add_loop_test(tcase, presence_at_the_moment_of_sending_decides, 0,
			    (int)UNIT_COUNT(presences));
	tcase_add_test(tcase, do_not_disturb_holds_it_until_it_ends);
	tcase_add_test(tcase, time_ends_what_could_not_be_sent);
	tcase_add_test(tcase, what_is_left_decides_who_gets_it_again);
	tcase_add_test(tcase, a_newer_one_of_its_tag_and_a_wipe_come_first);
	tcase_add_test(tcase, a_friend_must_be_waited_for_and_online);
	tcase_add_test(tcase, an_entry_tells_when_it_was_made);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("webhook");
	tcase_add_test(tcase, a_signature_is_that_of_timestamp_and_body);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("addresses");
	tcase_add_loop_test(tcase, an_address_is_public_or_not, 0, (int)UNIT_COUNT(addresses));
	tcase_add_test(tcase, an_address_that_is_named_is_allowed);
	tcase_add_test(tcase, an_address_of_another_family_is_not_public);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
