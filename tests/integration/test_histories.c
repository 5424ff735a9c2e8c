/*
 * Random histories of sessions, run through the scripts and through a model that
 * says the same rules plainly: after each step the keys and what was published
 * must be what the model says. Time passes by moving every deadline back, so that
 * a history of an hour takes no time. A failure names its seed: TEST_SEED=... runs
 * it again.
 */
#include "operations.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ms */
#define ONLINE_TTL 100000
#define STREAM_TTL 50000
#define GRACE 10000
#define HOLD 21000 /* heartbeat and sweep */
#define PAUSE 10000 /* 10 sweeps */
#define MAX_SESSIONS 5
#define MAX_STREAMS 3
#define CONF                                                                               \
	"presence { online_ttl = 100 stream_ttl = 50 grace = 10 heartbeat = 20 sweep = 1 " \
	"max_sessions = 5 }\nstream { max_streams_per_user = 3 }\n"

#define PEOPLE 3
#define TOKENS 3
#define STREAMS 2 /* of a token */
#define STEPS 250
#define HISTORIES 8
#define TOLERANCE 1000 /* ms by which a deadline may differ */
#define EDGE 100 /* ms: no step is made so near to a moment at which something changes */

struct model_session {
	char name[24]; /* as in user:sessions:{id} */
	int64_t deadline; /* ms of Redis' clock, rounded down */
	bool is_closing;
	bool is_left; /* a token: a stream of it closed since its last request, others were open */
};

struct person {
	char id[8];
	struct model_session sessions[MAX_SESSIONS + 2];
	int count;
	bool revoked[TOKENS];
	int64_t key_until; /* user:online:{id}; 0 = none */
	bool is_member; /* of online_users */
	int64_t due; /* in presence:deadlines; 0 = not */
	/* What the step publishes: at most one change. */
	bool is_told, told_online;
	const char *told_reason;
};

static struct person people[PEOPLE];
static int64_t now, swept, hold_until, paused;
static unsigned random_state;
static char step_text[128];
static struct listener *changes;

static unsigned pick(unsigned below)
{
	random_state = random_state * 1103515245 + 12345;
	return (random_state >> 16) % below;
}

/* --- the rules ---------------------------------------------------------------------------- */

static bool is_stream(const struct model_session *session)
{
	return session->name[0] == 's';
}

static bool is_of(const struct model_session *session, const char *tok)
{
	return strncmp(session->name + 2, tok, strlen(tok)) == 0;
}

static bool is_swept(void)
{
	return swept > 0 && now - swept <= PAUSE;
}

static bool is_new_pause(void)
{
	return swept > 0 && !is_swept() && paused != swept;
}

static void notice_pause(void)
{
	if (!is_new_pause())
		return;
	hold_until = now + HOLD;
	paused = swept;
}

/* From when on the session may be taken for gone. */
static int64_t gone_at(const struct model_session *session)
{
	int64_t hold = is_new_pause() ? now + HOLD : hold_until > now ? hold_until : 0;
	int64_t end = session->deadline + (is_swept() ? 0 : STREAM_TTL);

	if (session->deadline > now || session->is_closing || !is_stream(session))
		return session->deadline;
	return hold > end ? hold : end;
}

static int64_t online_until(const struct person *person)
{
	int64_t until = 0;

	for (int i = 0; i < person->count; i++) {
		int64_t gone = gone_at(&person->sessions[i]);

		until = gone > until ? gone : until;
	}
	return until;
}

/* Redis' own order, in which what a deadline ends in counts, too. */
static int64_t order_of(const struct model_session *session)
{
	return 10 * session->deadline + (session->is_closing ? 5 : session->is_left ? 2 : 0);
}

static const struct model_session *last_session(const struct person *person)
{
	const struct model_session *last = NULL;

	for (int i = 0; i < person->count; i++) {
		const struct model_session *session = &person->sessions[i];

		if (last == NULL || order_of(session) > order_of(last))
			last = session;
	}
	return last;
}

static bool is_spared(const struct person *person)
{
	const struct model_session *last = last_session(person);

	return last != NULL && last->deadline <= now && online_until(person) > now;
}

static void tell(struct person *person, bool online, const char *reason)
{
	person->is_told = true;
	person->told_online = online;
	person->told_reason = reason;
}

/* What others see follows from the sessions; it is told if they were told otherwise. */
static void settle(struct person *person, const char *reason, bool was_spared)
{
	const struct model_session *last = last_session(person);
	int64_t until = online_until(person);
	bool has_key = person->key_until > now;

	if (until <= now) {
		if (has_key || person->is_member)
			tell(person, false,
			     reason != NULL			? reason
			     : last != NULL && last->is_closing ? "stream_closed"
								: "expired");
		person->count = 0;
		person->key_until = person->due = 0;
		person->is_member = false;
		return;
	}
	if (!person->is_member || (!has_key && !is_spared(person) && !was_spared))
		tell(person, true,
		     reason == NULL || strcmp(reason, "stream_open") != 0 ? "activity" : reason);
	person->is_member = true;
	person->key_until = person->due = until;
}

static int rank_of(const struct model_session *session, const char *added)
{
	int rank = session->is_closing ? 1 : is_stream(session) ? 5 : 3;

	return rank + (strcmp(session->name, added) == 0);
}

static void remove_session(struct person *person, int index)
{
	person->sessions[index] = person->sessions[--person->count];
}

static bool is_before(const struct model_session *a, const struct model_session *b)
{
	return order_of(a) != order_of(b) ? order_of(a) < order_of(b)
					  : strcmp(a->name, b->name) < 0;
}

static void push_one_out(struct person *person, const char *added)
{
	int victim = 0;

	for (int i = 1; i < person->count; i++) {
		const struct model_session *one = &person->sessions[i];
		const struct model_session *other = &person->sessions[victim];
		int difference = rank_of(one, added) - rank_of(other, added);

		if (difference < 0 || (difference == 0 && is_before(one, other)))
			victim = i;
	}
	remove_session(person, victim);
}

static struct model_session *find(struct person *person, const char *name)
{
	for (int i = 0; i < person->count; i++) {
		if (strcmp(person->sessions[i].name, name) == 0)
			return &person->sessions[i];
	}
	return NULL;
}

static void raise_session(struct person *person, const char *name, int64_t deadline)
{
	struct model_session *session = find(person, name);
	bool is_new = session == NULL;

	if (is_new) {
		session = &person->sessions[person->count++];
		memset(session, 0, sizeof *session);
		strcpy(session->name, name);
	}
	session->deadline = deadline;
	session->is_closing = session->is_left = false;
	if (!is_new && !is_stream(session))
		return;
	for (int i = person->count; i-- > 0;) {
		if (gone_at(&person->sessions[i]) <= now)
			remove_session(person, i);
	}
	if (is_new && person->count > MAX_SESSIONS)
		push_one_out(person, name);
}

static void sweep_people(void)
{
	bool any = false;

	for (int i = 0; i < PEOPLE; i++)
		any = any || (people[i].due > 0 && people[i].due <= now);
	if (any)
		notice_pause();
	for (int i = 0; i < PEOPLE; i++) {
		if (people[i].due > 0 && people[i].due <= now)
			settle(&people[i], NULL, false);
	}
}

/* --- the steps: each in the model, then in Redis ------------------------------------------ */

static void name_stream(char name[24], int tok, int stream)
{
	snprintf(name, 24, "s:tok%d:w%d", tok, stream);
}

static enum store_verdict model_touch(struct person *person, int tok, int stream, bool with_token,
				      const char *reason)
{
	char of_token[24], of_stream[24];
	int open = 0;
	bool is_online, was_spared;
	int64_t latest = 0;

	snprintf(of_token, sizeof of_token, "t:tok%d", tok);
	name_stream(of_stream, tok, stream);
	if (person->revoked[tok])
		return STORE_REVOKED;
	for (int i = 0; i < person->count; i++)
		open += is_stream(&person->sessions[i]) && !person->sessions[i].is_closing &&
			gone_at(&person->sessions[i]) > now;
	if (stream >= 0 && find(person, of_stream) == NULL && open >= MAX_STREAMS)
		return STORE_TOO_MANY;
	is_online = person->key_until > now && person->is_member;
	was_spared = !is_online && is_spared(person);
	if (with_token) {
		latest = now + ONLINE_TTL;
		raise_session(person, of_token, latest);
	}
	if (stream >= 0) {
		latest = with_token ? latest : now + STREAM_TTL; /* online_ttl is the longer */
		raise_session(person, of_stream, now + STREAM_TTL);
	}
	if (!is_online) {
		settle(person, reason, was_spared);
		return STORE_DONE;
	}
	person->due = latest > person->due ? latest : person->due;
	person->key_until = latest > person->key_until ? latest : person->key_until;
	return STORE_DONE;
}

static void step_touch(struct person *person)
{
	int tok = (int)pick(TOKENS), stream = (int)pick(2 * STREAMS) - STREAMS;
	bool worker = stream < 0, is_renewal = !worker && pick(2) == 0;
	const char *reason = worker || is_renewal ? "activity" : "stream_open";
	char tok_name[8], stream_name[8];
	struct userid who = call_user(person->id);
	struct store_touch item = {.user = &who,
				   .tok = tok_name,
				   .iat = 4000000000,
				   .stream = worker ? NULL : stream_name,
				   .token = !is_renewal,
				   .reason = reason};
	struct printbuf *out = buf_new();
	enum store_verdict expected;
	redisReply *reply;

	snprintf(tok_name, sizeof tok_name, "tok%d", tok);
	snprintf(stream_name, sizeof stream_name, "w%d", stream);
	snprintf(step_text, sizeof step_text, "touch %s %s %s%s%s", person->id, tok_name,
		 worker ? "-" : stream_name, is_renewal ? " renewal" : "", worker ? " worker" : "");
	if (worker)
		notice_pause();
	expected = model_touch(person, tok, stream, !is_renewal, reason);
	if (worker && !is_swept())
		sweep_people();

	redis_int(stack, "DEL presence:sweeping");
	store_put_touch(out, store, worker, &item, 1);
	reply = call_run(out);
	ck_assert_msg(store_read_touch(reply, 0) == expected, "%s: verdict %d instead of %d",
		      step_text, store_read_touch(reply, 0), expected);
	reply_free(reply);
}

static void lower(struct model_session *session, int64_t ending)
{
	if (session == NULL || (session->is_closing && session->deadline <= ending))
		return;
	session->deadline = session->deadline < ending ? session->deadline : ending;
	session->is_closing = true;
}

static void step_close(struct person *person)
{
	static const int64_t agos[] = {0, 0, 3000, 12000};
	int tok = (int)pick(TOKENS), stream = (int)pick(STREAMS);
	int64_t ago = agos[pick(4)];
	char tok_name[8], stream_name[8], of_token[24], of_stream[24];
	struct model_session *token, *own;
	bool has_others = false;

	snprintf(tok_name, sizeof tok_name, "tok%d", tok);
	snprintf(stream_name, sizeof stream_name, "w%d", stream);
	snprintf(of_token, sizeof of_token, "t:tok%d", tok);
	name_stream(of_stream, tok, stream);
	token = find(person, of_token);
	own = find(person, of_stream);
	if (token != NULL && llabs(token->deadline - ONLINE_TTL - (now - ago)) < TOLERANCE &&
	    ago > 0)
		return; /* whether it was used since then cannot be told from here */
	snprintf(step_text, sizeof step_text, "close %s %s %s %" PRId64 " ms ago", person->id,
		 tok_name, stream_name, ago);
	notice_pause();
	for (int i = 0; i < person->count; i++) {
		const struct model_session *other = &person->sessions[i];

		has_others =
			has_others || (other != own && is_stream(other) && !other->is_closing &&
				       is_of(other, tok_name) && gone_at(other) > now);
	}
	if (own != NULL || token != NULL) {
		lower(own, now - ago + GRACE);
		if (token != NULL && (token->is_left || token->is_closing ||
				      token->deadline - ONLINE_TTL <= now - ago)) {
			if (!has_others)
				lower(token, now - ago + GRACE);
			else if (!token->is_closing)
				token->is_left = true;
		}
		settle(person, "stream_closed", false);
	}
	call_close_ago(person->id, tok_name, stream_name, ago);
}

static void step_end(struct person *person)
{
	int tok = (int)pick(TOKENS);
	bool all = pick(3) == 0, kick = all && pick(2) == 0, was_revoked = person->revoked[tok];
	char tok_name[8];
	struct userid who = call_user(person->id);
	struct store_end end = {.user = &who,
				.tok = kick ? NULL : tok_name,
				.iat = 4000000000,
				.exp = 4000001000,
				.all = all,
				.reason = kick ? "kicked" : "logout"};
	struct printbuf *out = buf_new();
	redisReply *reply;

	snprintf(tok_name, sizeof tok_name, "tok%d", tok);
	snprintf(step_text, sizeof step_text, "end %s %s%s", person->id, kick ? "kick" : tok_name,
		 all ? " all" : "");
	if (kick || !was_revoked) {
		notice_pause();
		for (int i = person->count; i-- > 0;) {
			const struct model_session *session = &person->sessions[i];
			int of = session->name[strlen("t:tok")] - '0';

			if (!all && of != tok)
				continue;
			person->revoked[of] = true;
			remove_session(person, i);
		}
		if (!kick)
			person->revoked[tok] = true;
		settle(person, end.reason, false);
	}
	store_put_end(out, store, &end);
	reply = call_run(out);
	ck_assert_msg(store_read_end(reply) == (kick || !was_revoked ? STORE_DONE : STORE_REVOKED),
		      "%s: verdict %d", step_text, store_read_end(reply));
	reply_free(reply);
}

/* Everybody logs in again under the old names, or a history would soon stand still. */
static void step_forgive(struct person *person)
{
	snprintf(step_text, sizeof step_text, "forgive %s", person->id);
	for (int tok = 0; tok < TOKENS; tok++) {
		person->revoked[tok] = false;
		redis_int(stack, "DEL presence:revoked:%s/tok%d", person->id, tok);
	}
	redis_int(stack, "DEL presence:not_before:%s", person->id);
}

static void step_sweep(void)
{
	bool streamd = pick(4) != 0;

	snprintf(step_text, sizeof step_text, "sweep%s", streamd ? " streamd" : "");
	if (streamd) {
		if (swept > 0 && !is_swept()) {
			hold_until = now + HOLD;
			paused = swept;
		}
		swept = now;
	}
	sweep_people();
	call_sweep(streamd);
}

/* --- time --------------------------------------------------------------------------------- */

static const char shift_script[] =
	"local ms = tonumber(ARGV[1]) "
	"local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
	"for _, key in ipairs(redis.call('KEYS', 'user:sessions:*')) do "
	"  local all = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') "
	"  for i = 1, #all, 2 do "
	"    redis.call('ZADD', key, string.format('%.1f', all[i + 1] - ms), all[i]) end end "
	"local all = redis.call('ZRANGE', 'presence:deadlines', 0, -1, 'WITHSCORES') "
	"for i = 1, #all, 2 do redis.call('ZADD', 'presence:deadlines', "
	"  string.format('%.1f', all[i + 1] - ms), all[i]) end "
	"for _, key in ipairs(redis.call('KEYS', 'user:online:*')) do "
	"  redis.call('PEXPIREAT', key, string.format('%.0f', redis.call('PEXPIRETIME', key) - "
	"ms)) end "
	"for _, key in ipairs({'presence:swept', 'presence:paused', 'presence:hold'}) do "
	"  local value, left = redis.call('GET', key), redis.call('PTTL', key) "
	"  if value then redis.call('SET', key, string.format('%.0f', value - ms)) "
	"    if left > ms then redis.call('PEXPIRE', key, left - ms) "
	"    elseif left >= 0 then redis.call('DEL', key) end end end "
	"return 1";

static void pass(int64_t ms)
{
	int64_t *const moments[] = {&swept, &hold_until, &paused};

	redis_int(stack, "EVAL %s 0 %lld", shift_script, (long long)ms);
	for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++)
		*moments[i] -= *moments[i] > 0 ? ms : 0;
	for (int p = 0; p < PEOPLE; p++) {
		struct person *person = &people[p];

		person->key_until -= person->key_until > 0 ? ms : 0;
		person->due -= person->due > 0 ? ms : 0;
		for (int i = 0; i < person->count; i++)
			person->sessions[i].deadline -= ms;
	}
}

static bool is_near(int64_t moment)
{
	return moment > 0 && llabs(moment - now) < EDGE;
}

static bool is_at_an_edge(void)
{
	bool near = is_near(hold_until) || (swept > 0 && is_near(swept + PAUSE));

	for (int p = 0; p < PEOPLE; p++) {
		const struct person *person = &people[p];

		near = near || is_near(person->key_until) || is_near(person->due);
		for (int i = 0; i < person->count; i++)
			near = near || is_near(person->sessions[i].deadline) ||
			       is_near(person->sessions[i].deadline + STREAM_TTL);
	}
	return near;
}

static int64_t redis_now(void)
{
	redisReply *reply = redis_cmd(stack, "TIME");
	int64_t ms = atoll(reply->element[0]->str) * 1000 + atoll(reply->element[1]->str) / 1000;

	freeReplyObject(reply);
	return ms;
}

static void let_time_pass(void)
{
	static const int64_t spans[] = {0,    0,     0,	    500,   1500,  5000,
					9000, 12000, 30000, 60000, 130000};

	pass(spans[pick(sizeof spans / sizeof spans[0])]);
	now = redis_now();
	while (is_at_an_edge()) {
		pass(2 * EDGE);
		now = redis_now();
	}
	if (hold_until > 0 && hold_until <= now)
		hold_until = 0;
}

/* --- what is compared --------------------------------------------------------------------- */

static void check_near(const char *what, const char *id, int64_t is, int64_t should)
{
	ck_assert_msg(llabs(is - should) <= TOLERANCE,
		      "%s: %s of %s is %" PRId64 " ms from now instead of %" PRId64, step_text,
		      what, id, is - now, should - now);
}

/* Compares, and takes Redis' own deadline, which may differ a little. */
static void check_sessions(struct person *person)
{
	redisReply *reply = redis_cmd(stack, "ZRANGE user:sessions:%s 0 -1 WITHSCORES", person->id);

	ck_assert_msg(reply->elements == 2 * (size_t)person->count,
		      "%s: %zu sessions of %s, not %d", step_text, reply->elements / 2, person->id,
		      person->count);
	for (size_t i = 0; i < reply->elements; i += 2) {
		struct model_session *session = find(person, reply->element[i]->str);
		double deadline = strtod(reply->element[i + 1]->str, NULL);

		ck_assert_msg(session != NULL, "%s: %s has the session %s", step_text, person->id,
			      reply->element[i]->str);
		check_near(session->name, person->id, (int64_t)deadline, session->deadline);
		ck_assert_msg((deadline - (double)(int64_t)deadline == 0.5) == session->is_closing,
			      "%s: whether %s of %s is closing: %s", step_text, session->name,
			      person->id, reply->element[i + 1]->str);
		session->deadline = (int64_t)deadline;
	}
	freeReplyObject(reply);
}

static void check_keys(struct person *person)
{
	long long key = redis_int(stack, "PEXPIRETIME user:online:%s", person->id);
	char *due = redis_text(stack, "ZSCORE presence:deadlines %s", person->id);
	bool is_member = redis_int(stack, "SISMEMBER online_users %s", person->id) == 1;

	ck_assert_msg((key > 0) == (person->key_until > now), "%s: user:online:%s is %sthere",
		      step_text, person->id, key > 0 ? "" : "not ");
	if (key > 0) {
		check_near("user:online", person->id, key, person->key_until);
		person->key_until = key;
	}
	ck_assert_msg(is_member == person->is_member, "%s: %s is %sin online_users", step_text,
		      person->id, is_member ? "" : "not ");
	ck_assert_msg((due != NULL) == (person->due > 0), "%s: %s is %sin presence:deadlines",
		      step_text, person->id, due != NULL ? "" : "not ");
	if (due != NULL) {
		check_near("presence:deadlines", person->id, (int64_t)strtod(due, NULL),
			   person->due);
		person->due = (int64_t)strtod(due, NULL);
	}
	free(due);
}

static struct person *person_of(const char *id)
{
	for (int i = 0; i < PEOPLE; i++) {
		if (strcmp(people[i].id, id) == 0)
			return &people[i];
	}
	ck_abort_msg("%s: a change of %s", step_text, id);
	return NULL;
}

/* What the step published: exactly what the model told. */
static void check_told(void)
{
	struct message *message;

	freeReplyObject(redis_cmd(stack, "PUBLISH user:status:end end"));
	while ((message = listener_next(changes, 5000)) != NULL &&
	       strcmp(message->text, "end") != 0) {
		struct person *person = person_of(json_text(message->json, "user_id"));

		ck_assert_msg(person->is_told, "%s: published: %s", step_text, message->text);
		ck_assert_msg(json_object_get_boolean(json_at(message->json, "is_online")) ==
					      person->told_online &&
				      strcmp(json_text(message->json, "reason"),
					     person->told_reason) == 0,
			      "%s: instead of %s (%s): %s", step_text,
			      person->told_online ? "online" : "offline", person->told_reason,
			      message->text);
		person->is_told = false;
	}
	ck_assert(message != NULL);
	for (int i = 0; i < PEOPLE; i++)
		ck_assert_msg(!people[i].is_told, "%s: %s (%s) of %s was not published", step_text,
			      people[i].told_online ? "online" : "offline", people[i].told_reason,
			      people[i].id);
}

static void make_step(void)
{
	struct person *person = &people[pick(PEOPLE)];
	unsigned kind = pick(20);

	if (kind < 9)
		step_touch(person);
	else if (kind < 13)
		step_close(person);
	else if (kind < 14)
		step_end(person);
	else if (kind < 15)
		step_forgive(person);
	else
		step_sweep();
}

START_TEST(a_random_history_leaves_the_keys_that_the_model_says)
{
	const char *seed = getenv("TEST_SEED");
	unsigned first = seed != NULL ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)now_ms();

	random_state = first + (unsigned)_i * 7919;
	fprintf(stderr, "history %d: TEST_SEED=%u\n", _i, first);
	for (int i = 0; i < PEOPLE; i++)
		snprintf(people[i].id, sizeof people[i].id, "user%d", i);
	changes = listener_open(stack, "user:status:*");
	for (int step = 0; step < STEPS; step++) {
		let_time_pass();
		make_step();
		check_told();
		for (int i = 0; i < PEOPLE; i++) {
			check_sessions(&people[i]);
			check_keys(&people[i]);
		}
	}
}
END_TEST

static void setup(void)
{
	call_start(CONF);
}

int main(void)
{
	Suite *suite = suite_create("histories");
	TCase *tcase = harness_case(suite, "histories", 60);

	tcase_add_checked_fixture(tcase, setup, call_stop);
	tcase_add_loop_test(tcase, a_random_history_leaves_the_keys_that_the_model_says, 0,
			    HISTORIES);
	return harness_main(suite);
}
