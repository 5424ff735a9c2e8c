#include "stream/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"

#define TOUCHES_ASKED_MAX 8 /* batches of STORE_BATCH_MAX sessions under way at a time */

const struct state_names session_states = {
	"session", 4, {"ABSENT", "PENDING", "RECOVERING", "LIVE"}};
const struct state_names touch_states = {"touch", 4, {"IDLE", "QUEUED", "SENT", "SENT_AGAIN"}};
const struct state_names session_answers = {
	"answer", 5, {"NONE", "DONE", "REVOKED", "TOO_MANY", "FAILED"}};

struct touch_batch {
	struct sessions *all;
	unsigned count;
	struct session *items[STORE_BATCH_MAX]; /* NULL: closed meanwhile */
};

void sessions_init(struct sessions *all, struct partition *partition)
{
	all->partition = partition;
	all->context = partition->context;
	TAILQ_INIT(&all->queue);
}

void session_init(struct session *session, struct due *owner)
{
	memset(session, 0, sizeof *session);
	session->owner = owner;
}

void session_identify(struct session *session, const struct token *token)
{
	size_t user_size = strlen(token->user.text) + 1, tok_size = strlen(token->name) + 1;

	session->user = xmalloc(user_size + tok_size);
	session->tok = session->user + user_size;
	memcpy(session->user, token->user.text, user_size);
	memcpy(session->tok, token->name, tok_size);
	session->iat = token->issued;
	session->watch = token->watch;
	random_id(session->stream_id);
}

struct userid session_userid(const struct session *session)
{
	struct userid user;

	memcpy(user.text, session->user, strlen(session->user) + 1);
	return user;
}

/* --- states ---------------------------------------------------------------------------------- */

static void set_state(struct sessions *all, struct session *session, enum session_state state)
{
	if (session->state == state)
		return;
	state_moved(&session_states, session->owner, session->state, state);
	all->recovering -= session->state == SESSION_RECOVERING;
	all->recovering += state == SESSION_RECOVERING;
	if (session->state == SESSION_RECOVERING)
		partition_wake(all->partition); /* it may be settled now */
	session->state = state;
	turn_mark(&all->context->turn, session->owner);
}

static void set_touch(struct sessions *all, struct session *session, enum touch_state touch)
{
	if (session->touch == touch)
		return;
	state_moved(&touch_states, session->owner, session->touch, touch);
	if (session->touch == TOUCH_QUEUED)
		TAILQ_REMOVE(&all->queue, session, link);
	if (touch == TOUCH_QUEUED) {
		TAILQ_INSERT_TAIL(&all->queue, session, link);
		partition_wake(all->partition);
	}
	session->touch = touch;
}

static void set_answer(struct sessions *all, struct session *session, enum session_answer answer)
{
	if (session->answer == answer)
		return;
	state_moved(&session_answers, session->owner, session->answer, answer);
	session->answer = answer;
	turn_mark(&all->context->turn, session->owner);
}

/* The batch under way answers for it no longer. */
static void withdraw(struct session *session)
{
	if (session->batch != NULL)
		session->batch->items[session->item] = NULL;
	session->batch = NULL;
}

void session_touch(struct sessions *all, struct session *session)
{
	if (!partition_is_up(all->partition))
		return;
	if (session->touch == TOUCH_IDLE)
		set_touch(all, session, TOUCH_QUEUED);
	else if (session->touch == TOUCH_SENT)
		set_touch(all, session, TOUCH_SENT_AGAIN);
}

void session_lost(struct sessions *all, struct session *session)
{
	withdraw(session);
	set_touch(all, session, TOUCH_IDLE);
	if (session->state == SESSION_LIVE || session->state == SESSION_RECOVERING)
		set_state(all, session, SESSION_PENDING);
}

void session_gap(struct sessions *all, struct session *session)
{
	session->knows_self = false;
	set_state(all, session, SESSION_RECOVERING);
	session_touch(all, session);
}

void session_close(struct sessions *all, struct session *session)
{
	withdraw(session);
	set_touch(all, session, TOUCH_IDLE);
	set_state(all, session, SESSION_ABSENT);
	free(session->user);
	free(session->chosen);
	free(session->self);
	session_init(session, session->owner);
}

bool sessions_are_recovering(const struct sessions *all)
{
	return all->recovering > 0;
}

/* --- the own view ---------------------------------------------------------------------------- */

/* FNV-1a, 64 bits. */
static uint64_t hash_of(uint64_t hash, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
	return hash;
}

static uint64_t hash_self(const struct store_self *self)
{
	static const char name[] = "\"last_activity\":\"";
	const char *end = self->status + self->status_len;
	const char *at = memmem(self->status, self->status_len, name, sizeof name - 1);
	uint64_t hash = UINT64_C(14695981039346656037);

	if (at == NULL)
		return hash_of(hash, self->status, self->status_len);
	hash = hash_of(hash, self->status, (size_t)(at - self->status));
	at += sizeof name - 1;
	at = memchr(at, '"', (size_t)(end - at));
	return at != NULL ? hash_of(hash, at, (size_t)(end - at)) : hash;
}

static void learn_self(struct sessions *all, struct session *session, const struct store_self *self)
{
	uint64_t hash = hash_self(self);

	session->knows_self = session->knows_chosen = true;
	free(session->chosen);
	session->chosen = *self->chosen != '\0' ? xstrdup(self->chosen) : NULL;
	if (hash == session->self_hash)
		return;
	session->self_hash = hash;
	free(session->self);
	session->self = xstrndup(self->status, self->status_len);
	turn_mark(&all->context->turn, session->owner);
}

void session_hear_self(struct sessions *all, struct session *session, const struct store_self *self)
{
	session->heard_self = true;
	learn_self(all, session, self);
}

char *session_take_self(struct session *session)
{
	char *self = session->self;

	session->self = NULL;
	return self;
}

void session_forget_self(struct sessions *all, struct session *session)
{
	if (session->watch)
		return;
	session->knows_self = false;
	session->self_hash = 0;
	session_touch(all, session);
}

/* --- answers --------------------------------------------------------------------------------- */

static void on_done(struct sessions *all, struct session *session, bool again)
{
	/* This touch was sent before the gap and may not have registered the session: send
	 * another. But it may have, and a second opening would count this one as another stream. */
	if (session->state != SESSION_RECOVERING || !again) {
		session->renewal = true;
		set_state(all, session, SESSION_LIVE);
	}
	set_answer(all, session, ANSWER_DONE);
	if (again)
		session_touch(all, session);
}

static void on_refused(struct sessions *all, struct session *session, enum session_answer answer)
{
	set_state(all, session, SESSION_ABSENT);
	set_answer(all, session, answer);
}

static void on_failed(struct sessions *all, struct session *session, bool again)
{
	log_about(session->owner->request_id, LOG_LEVEL_WARN,
		  "redis: the session of user %s could not be renewed", session->user);
	if (session->state == SESSION_RECOVERING)
		set_state(all, session, SESSION_PENDING);
	set_answer(all, session, ANSWER_FAILED);
	if (again)
		session_touch(all, session);
}

static void on_verdict(struct sessions *all, struct session *session, enum store_verdict verdict)
{
	bool again = session->touch == TOUCH_SENT_AGAIN;

	session->batch = NULL;
	set_touch(all, session, TOUCH_IDLE);
	switch (verdict) {
	case STORE_DONE:
		on_done(all, session, again);
		return;
	case STORE_REVOKED:
		on_refused(all, session, ANSWER_REVOKED);
		return;
	case STORE_TOO_MANY:
		on_refused(all, session, ANSWER_TOO_MANY);
		return;
	case STORE_FAILED:
	case STORE_TOO_OFTEN:
		on_failed(all, session, again);
		return;
	}
}

static void on_touched(void *arg, const redisReply *reply)
{
	struct touch_batch *batch = arg;
	struct sessions *all = batch->all;

	all->asked--;
	for (unsigned i = 0; i < batch->count; i++) {
		struct session *session = batch->items[i];

		if (session == NULL)
			continue;
		if (reply != NULL) {
			struct store_self self;

			if (!session->heard_self && store_read_self(reply, i, &self))
				learn_self(all, session, &self);
			on_verdict(all, session, store_read_touch(reply, i));
		} else { /* lost with the link */
			session->batch = NULL;
			set_touch(all, session, TOUCH_IDLE);
		}
	}
	free(batch);
	partition_wake(all->partition);
}

/* --- touches --------------------------------------------------------------------------------- */

static struct store_touch touch_of(const struct session *session, const struct userid *user)
{
	/* The opening is a request, hence activity of the token, too; renewals are not. */
	struct store_touch touch = {
		.user = user,
		.tok = session->tok,
		.iat = session->iat,
		.reason = session->renewal ? "activity" : "stream_open",
	};

	if (session->watch)
		return touch;
	touch.stream = session->stream_id;
	touch.token = !session->renewal;
	touch.idle = session->born_idle && !session->renewal ? STORE_BORN_IDLE : STORE_IDLE_UNSAID;
	touch.wants_self = !session->knows_self;
	if (session->knows_chosen)
		touch.chosen = session->chosen != NULL ? session->chosen : "-";
	return touch;
}

static void send_batch(struct sessions *all)
{
	struct context *context = all->context;
	struct touch_batch *batch = xmalloc(sizeof *batch);
	struct store_touch items[STORE_BATCH_MAX];
	struct userid users[STORE_BATCH_MAX];
	struct session *session;

	batch->all = all;
	batch->count = 0;
	while (batch->count < STORE_BATCH_MAX && (session = TAILQ_FIRST(&all->queue)) != NULL) {
		users[batch->count] = session_userid(session);
		items[batch->count] = touch_of(session, &users[batch->count]);
		session->batch = batch;
		session->item = batch->count;
		session->heard_self = false;
		batch->items[batch->count++] = session;
		set_touch(all, session, TOUCH_SENT);
		if (session->state == SESSION_ABSENT)
			set_state(all, session, SESSION_PENDING);
	}
	buf_reset(context->scratch);
	store_put_touch(context->scratch, all->partition->store, STORE_STREAMD, items,
			batch->count);
	all->asked++;
	context->counts.registrations += batch->count;
	partition_command(all->partition, context->scratch, on_touched, batch);
}

void sessions_flush(struct sessions *all)
{
	while (!TAILQ_EMPTY(&all->queue) && all->asked < TOUCHES_ASKED_MAX)
		send_batch(all);
}
