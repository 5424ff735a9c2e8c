/*
 * Properties of what Redis answers, over any reply (RESP2): our reader of replies gives what hiredis' own
 * gives, and every function that takes one apart takes it or refuses it. Where one takes several, the
 * elements of an array are these. What was read is written as the JSON that it should be, and read again
 * as the same; numbers are bounded; a ticket's token is one that could have been verified.
 */
#include "replies.h"

#include <stdlib.h>

#include "auth/ticket.h"
#include "base/alloc.h"
#include "base/json.h"
#include "base/number.h"
#include "push/decide.h"
#include "store/blocks.h"
#include "store/explanation.h"
#include "store/figures.h"
#include "store/layout_key.h"
#include "store/pause.h"
#include "store/place.h"
#include "store/push.h"
#include "store/scrape_text.h"
#include "store/status.h"
#include "store/throttle.h"
#include "store/whereabouts.h"

#define USERS_MAX 8
#define TEXT_MAX (1 << 20)
#define TIME_LIMIT INT64_C(253402300799) /* the year 9999 */

static const struct userid anna = {"anna"};

static const struct config *config(void)
{
	static const char text[] = "auth { key_file = \"x\" }\n"
				   "directory { params = \"x\" }\nredis { partitions = 4 }\n";
	static const struct config *loaded;
	char path[FUZZ_PATH_SIZE], err[512] = "";
	int fd;

	if (loaded != NULL)
		return loaded;
	fd = fuzz_file(text, sizeof text - 1, path);
	loaded = config_load(path, err, sizeof err);
	REQUIRE(loaded != NULL);
	close(fd);
	return loaded;
}

static const struct partitions *partitions(void)
{
	static struct partitions *all;

	if (all == NULL)
		all = partitions_new(config());
	return all;
}

static struct json_object *read_json(const struct printbuf *text)
{
	const char *why;
	struct json_object *object = json_parse_object(text->buf, buf_len(text), &why);

	REQUIRE(object != NULL);
	return object;
}

static void check_json(const struct printbuf *text)
{
	json_object_put(read_json(text));
}

/* Of a number, or of the difference of two. */
static bool is_bounded(int64_t number)
{
	return number >= -2 * NUMBER_MAX && number <= 2 * NUMBER_MAX;
}

/* --- one user -------------------------------------------------------------------------------- */

static void check_status(const redisReply *reply, size_t index)
{
	struct printbuf *text = buf_new();
	struct json_object *object;
	struct status status;

	if (status_read(reply, index, LAST_SEEN_COARSE, &status)) {
		REQUIRE(status.seen[0] == '\0' || times_is_valid(status.seen, strlen(status.seen)));
		status_put_json(text, &anna, &status);
		REQUIRE(memchr(text->buf, '\n', buf_len(text)) == NULL);
		object = read_json(text);
		REQUIRE(json_object_is_type(json_member(object, "is_online"), json_type_boolean));
		REQUIRE(json_object_get_boolean(json_member(object, "is_online")) == status.online);
		REQUIRE(json_object_get_uint64(json_member(object, "version")) == status.version);
		json_object_put(object);
	}
	printbuf_free(text);
}

static void check_settings(const redisReply *reply)
{
	struct settings settings = settings_read(reply);
	struct printbuf *text = buf_new();

	buf_puts(text, "{");
	settings_put_members(text, &settings, settings_rule(&settings, LAST_SEEN_COARSE));
	buf_puts(text, "}");
	check_json(text);
	printbuf_free(text);
}

/* Whose tokens were revoked, from any reply: it is used again where it is too short. */
static void read_revoked(struct facts *facts, const redisReply *reply)
{
	size_t count = 1 + facts->sessions.count;
	redisReply **elements = xcalloc(count, sizeof *elements);
	redisReply answer = {.type = REDIS_REPLY_ARRAY, .elements = count, .element = elements};

	for (size_t i = 0; i < count; i++)
		elements[i] = (redisReply *)reply;
	REQUIRE(facts_read_revoked(facts, &answer));
	free(elements);
}

static void check_explanation(struct facts *facts)
{
	struct printbuf *text = buf_new();

	for (enum friendship friendship = FRIEND_NO; friendship <= FRIEND_UNKNOWN; friendship++) {
		facts->friendship = friendship;
		buf_reset(text);
		explanation_put_json(text, facts);
		check_json(text);
	}
	buf_reset(text);
	facts_put_revoked(text, facts);
	printbuf_free(text);
}

static void check_facts(redisReply *const *replies)
{
	const struct userid viewer = {"5"};
	struct facts facts;

	facts_init(&facts, config(), partitions(), &viewer, &anna);
	if (facts_read(&facts, replies)) {
		REQUIRE(facts.alive <= facts.sessions.count);
		REQUIRE(facts.chosen.idle_tokens <= facts.chosen.tokens);
		REQUIRE(facts.deadline_left == FACTS_UNKNOWN || is_bounded(facts.deadline_left));
		REQUIRE(facts.swept_ago == FACTS_UNKNOWN || is_bounded(facts.swept_ago));
		facts_is_swept(&facts);
		for (size_t i = 0; i < facts.sessions.count; i++)
			REQUIRE(is_bounded(facts.sessions.list[i].left));
		read_revoked(&facts, replies[0]);
		check_explanation(&facts);
	}
	facts_clear(&facts);
}

/* --- push ------------------------------------------------------------------------------------ */

static void check_subscription(const struct push_subscription *subscription)
{
	struct push_subscription again;
	struct printbuf *text = buf_new();

	push_subscription_put(text, subscription);
	REQUIRE(push_subscription_read(subscription->id, text->buf, buf_len(text), &again));
	REQUIRE(memcmp(subscription, &again, sizeof again) == 0);
	printbuf_free(text);
}

/* Whether a job was read; then it is written and read as the same. */
static bool check_job(bool is_read, struct push_job *job)
{
	struct printbuf *text = buf_new(), *second = buf_new();
	struct push_job again;

	if (is_read) {
		push_job_put(text, job);
		REQUIRE(push_job_read(text->buf, buf_len(text), &again));
		push_job_put(second, &again);
		REQUIRE(strcmp(text->buf, second->buf) == 0);
		REQUIRE(job->ttl >= 0 && job->ttl <= PUSH_TTL_MAX && job->tries >= 0);
	}
	printbuf_free(text);
	printbuf_free(second);
	return is_read;
}

static void check_entries(const redisReply *entries)
{
	struct push_entry entry;
	struct push_job job;

	for (size_t i = 0; i < entries->elements; i++) {
		if (!push_read_entry(entries, i, &entry))
			continue;
		REQUIRE(strlen(entry.id) <= PUSH_ENTRY_ID_MAX);
		REQUIRE(is_bounded(decide_created_ms(entry.id)));
		check_job(push_job_read(entry.job, entry.job_len, &job), &job);
	}
}

static void check_look(redisReply *const *replies, const redisReply *friend, const redisReply *text)
{
	struct push_job job;
	struct push_look look;
	struct decision decision;

	if (!check_job(push_read_waiting(text, &job), &job)) {
		memset(&job, 0, sizeof job);
		strcpy(job.id, "1");
		job.user = job.friend = anna;
		job.is_online = true;
	}
	if (!push_read_look(replies, friend, &job, &look))
		return;
	REQUIRE(look.count <= PUSH_SUBSCRIPTIONS_MAX && strlen(look.name) <= PUSH_NAME_MAX);
	REQUIRE(is_bounded(look.dnd_ends_ms));
	decision = decide(&job, &look, NUMBER_MAX, -NUMBER_MAX, 0, true);
	REQUIRE(decision.kind != DECIDE_LATER || decision.wait_ms > 0);
	job.expires_ms = 0;
	decision = decide(&job, &look, -NUMBER_MAX, NUMBER_MAX, 10000, false);
	REQUIRE(decision.kind != DECIDE_LATER || decision.wait_ms > 0);
	job.expires_ms = 0;
	decision = decide(&job, &look, NUMBER_MAX, NUMBER_MAX, 0, true);
	REQUIRE(decision.kind != DECIDE_LATER ||
		(decision.wait_ms > 0 && decision.wait_ms <= DECIDE_DND_MS));
}

static void check_push(const redisReply *reply)
{
	struct push_subscription list[PUSH_SUBSCRIPTIONS_MAX];
	size_t count = push_read_subscriptions(reply, list, PUSH_SUBSCRIPTIONS_MAX);
	const redisReply *entries = push_read_take(reply, partitions_of(partitions(), &anna));
	struct push_job job;
	int64_t now_ms;

	for (size_t i = 0; i < count; i++)
		check_subscription(&list[i]);
	if (entries != NULL)
		check_entries(entries);
	if (push_read_tick(reply, &now_ms, &entries)) {
		REQUIRE(is_bounded(now_ms));
		check_entries(entries);
	}
	if (reply->type == REDIS_REPLY_ARRAY)
		check_entries(reply);
	push_read_subscribe(reply);
	REQUIRE(push_read_enqueue(reply) <= PUSH_NOT_UNDERSTOOD);
	check_job(push_read_waiting(reply, &job), &job);
}

/* --- figures and layout ---------------------------------------------------------------------- */

/* Each line is a comment or a sample of ours. */
static void check_lines(const struct printbuf *text)
{
	for (const char *line = text->buf; *line != '\0'; line = strchr(line, '\n') + 1) {
		REQUIRE(strncmp(line, "# ", 2) == 0 || strncmp(line, "presence_", 9) == 0);
		REQUIRE(strchr(line, '\n') != NULL);
	}
}

static void check_figures(const redisReply *reply)
{
	struct printbuf *text = buf_new();
	struct scrape scrape;

	scrape_init(&scrape);
	if (scrape_read(&scrape, reply)) {
		scrape_read(&scrape, reply); /* as of another partition */
		scrape_sort(&scrape);
		for (size_t i = 0; i < scrape.count; i++)
			REQUIRE(is_bounded(scrape.samples[i].value));
		scrape_put_text(text, &scrape, SCRAPE_PROMETHEUS);
		check_lines(text);
		buf_reset(text);
		scrape_put_text(text, &scrape, SCRAPE_OPENMETRICS);
		check_lines(text);
		buf_reset(text);
		scrape_put_json(text, &scrape, 0);
		check_json(text);
		REQUIRE(memchr(text->buf, '\n', buf_len(text)) == NULL);
		scrape_put_lines(text, &scrape);
	}
	scrape_clear(&scrape);
	printbuf_free(text);
}

static void check_layout(const redisReply *reply)
{
	struct layout_look look = {.config = config(), .server = 1, .servers = 3};
	char why[LAYOUT_WHY_MAX] = "";
	bool is_noted = false;

	for (unsigned i = 0; i < LAYOUT_LOOK_MAX; i++) {
		if (!layout_read_look(&look, i, reply))
			REQUIRE(strlen(look.why) > 10 && strlen(look.why) < LAYOUT_WHY_MAX);
	}
	for (unsigned i = 0; i < LAYOUT_LOOK_KEYS; i++) {
		if (!layout_read_look_key(reply, i, config(), why, &is_noted))
			REQUIRE(strlen(why) > 10 && strlen(why) < LAYOUT_WHY_MAX);
	}
	if (layout_is_noted(reply, config(), 1))
		REQUIRE(strcmp(reply->str, "4") == 0);
}

/* --- tickets and places ---------------------------------------------------------------------- */

/* The value that a SET command in `command` gives its key. */
static const char *value_of(const struct printbuf *command, size_t *len)
{
	const char *at = command->buf;

	for (int skip = 0; skip < 3; skip++) { /* SET, the key, the value */
		at = strchr(at, '$') + 1;
		*len = strtoul(at, NULL, 10);
		at = strchr(at, '\n') + 1;
		at += skip < 2 ? *len : 0;
	}
	return at;
}

static void check_ticket(const redisReply *reply)
{
	struct printbuf *command = buf_new();
	struct ticket ticket, other;
	const struct token *token = &ticket.token, *again = &other.token;
	struct userid id;
	redisReply copy = {.type = REDIS_REPLY_STRING};

	if (ticket_read(reply, &ticket)) {
		REQUIRE(userid_parse(token->user.text, strlen(token->user.text), &id));
		REQUIRE(token->name[0] != '\0');
		for (const char *c = token->name; *c != '\0'; c++)
			REQUIRE(*c >= ' ' && *c <= '~');
		REQUIRE(token->exp >= 0 && token->exp <= TIME_LIMIT);
		REQUIRE(token->iat >= 0 && token->iat <= TIME_LIMIT);
		ticket_put_issue(command, "", "AAAAAAAAAAAAAAAAAAAAAA", &ticket);
		copy.str = (char *)value_of(command, &copy.len);
		REQUIRE(ticket_read(&copy, &other));
		REQUIRE(userid_equal(&token->user, &again->user) && token->exp == again->exp &&
			ticket.idle == other.idle && strcmp(token->name, again->name) == 0);
		free(ticket.users);
		free(other.users);
	}
	printbuf_free(command);
}

static void check_place(const redisReply *reply)
{
	struct printbuf *text = buf_new();
	struct place place, again;

	if (reply->type == REDIS_REPLY_STRING && place_parse(reply->str, reply->len, &place)) {
		REQUIRE(place.looked > 0 && place.phase >= 0 && place.phase < PLACE_MARK_MS);
		place_put(text, &place);
		REQUIRE(buf_len(text) < PLACE_TEXT_MAX);
		REQUIRE(place_parse(text->buf, buf_len(text), &again));
		REQUIRE(place_look(&place, 1, 2, place.looked, 0) == false);
		place_look(&again, 85, 179, again.looked + PLACE_MARK_MS, 0);
	}
	printbuf_free(text);
}

/* --- the store ------------------------------------------------------------------------------- */

static void check_self(const redisReply *reply)
{
	struct printbuf *text = buf_new();
	struct store_self self = {.status = NULL};
	int64_t wait = 0;

	for (size_t i = 0; i < USERS_MAX; i++) {
		if (!store_read_self(reply, i, &self))
			continue;
		status_put_own(text, self.status, self.status_len, "s");
		REQUIRE(buf_len(text) > self.status_len);
		REQUIRE(strlen(self.chosen) < TEXT_MAX);
	}
	REQUIRE(store_read_choose(reply, &self, &wait) <= STORE_TOO_OFTEN && is_bounded(wait));
	REQUIRE(blocks_read_may(reply, &wait) <= STORE_TOO_OFTEN && is_bounded(wait));
	printbuf_free(text);
}

static void check_sweep(const redisReply *reply)
{
	struct store_sweep swept;

	if (!store_read_sweep(reply, &swept))
		return;
	REQUIRE(swept.epoch != NULL && is_bounded(swept.hold));
	for (size_t i = 0; i < swept.offline; i++)
		REQUIRE(is_bounded(store_read_lateness(reply, i)));
}

static void check_store(const redisReply *reply)
{
	struct place place;
	const char *epoch;
	int64_t now_ms = 0, now;
	bool more;
	int wait;

	for (size_t i = 0; i < USERS_MAX; i++) {
		enum store_verdict verdict = store_read_touch(reply, i);

		REQUIRE(verdict >= STORE_DONE && verdict <= STORE_FAILED);
		verdict = store_read_close(reply, i);
		REQUIRE(verdict >= STORE_DONE && verdict <= STORE_FAILED);
		pause_read_look(reply, i);
	}
	pause_is_unsettled(reply);
	pause_has_swept(reply);
	store_is_outage(reply);
	store_is_no_primary(reply);
	REQUIRE(store_read_noted(reply) <= STORE_FAILED);
	if (blocks_is_answer(reply, USERS_MAX)) {
		for (size_t i = 0; i < USERS_MAX; i++)
			blocks_has(reply, i);
	}
	REQUIRE(store_read_end(reply) <= STORE_FAILED);
	REQUIRE(whereabouts_read_leave(reply, &place) <= STORE_FAILED);
	whereabouts_read(reply, &more);
	store_read_time(reply, &now_ms);
	REQUIRE(is_bounded(now_ms));
	check_sweep(reply);
	epoch = store_read_epoch(reply);
	REQUIRE(epoch == NULL || strlen(epoch) < TEXT_MAX);
	throttle_read(reply, &wait, &now);
	store_is_noscript(reply);
}

/* --- all of it ------------------------------------------------------------------------------- */

/* What takes several replies; none of them is an error then (blocking.h). */
static void check_several(redisReply *const *replies, size_t count)
{
	const struct store *store = partitions_of(partitions(), &anna);
	struct push_state state;

	for (size_t i = 0; i < count; i++) {
		if (replies[i]->type == REDIS_REPLY_ERROR)
			return;
	}
	if (count >= 2)
		pause_read(replies, store);
	if (count >= PUSH_STATE_COMMANDS && push_read_state(replies, &state)) {
		REQUIRE(is_bounded(state.ticked_ms));
		REQUIRE(state.outcomes->type == REDIS_REPLY_ARRAY);
	}
	if (count >= PUSH_LOOK_COMMANDS) {
		check_look(replies, NULL, replies[count - 1]);
		check_look(replies, replies[count - 1], replies[0]);
	}
	if (count >= FACTS_COMMANDS)
		check_facts(replies);
}

static void check_reply(redisReply *reply)
{
	const char *epoch = status_epoch(reply);
	redisReply *look = pause_read_look(reply, 0);
	struct status status;

	REQUIRE(epoch == NULL || strlen(epoch) < TEXT_MAX);
	REQUIRE(!status_is_whole(reply, "epoch") || !status_is_recovering(reply));
	REQUIRE(!status_is_whole(reply, "epoch") || !status_is_of_another(reply, "epoch"));
	for (size_t i = 0; i < USERS_MAX; i++)
		check_status(reply, i);
	check_settings(reply);
	check_ticket(reply);
	check_place(reply);
	check_store(reply);
	check_self(reply);
	check_push(reply);
	check_figures(reply);
	check_layout(reply);
	if (reply->type == REDIS_REPLY_ARRAY)
		check_several(reply->element, reply->elements);
	if (look != NULL && status_read(reply, 0, LAST_SEEN_EXACT, &status)) {
		status_use_look(reply, 0, look);
		REQUIRE(status_read(reply, 0, LAST_SEEN_EXACT, &status) && status.online);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	replies_each(data, size, check_reply);
	return 0;
}
