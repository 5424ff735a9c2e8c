#include "stream/statuses.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/times.h"
#include "store/status.h"
#include "stream/subscriptions.h"

#define QUESTION_USERS 333 /* in one MGET: about 1,300 keys */
#define KNOWN_MS 1000 /* for so long an answer serves further streams */
#define KNOWN_MAX 4096 /* users at a time; a newer one takes an older one's place */

/* `"id":STATUS`, shared by all in whose `initial` it stands. */
struct status_text {
	unsigned references;
	uint32_t len;
	char bytes[];
};

/* One MGET, about users of one partition. */
struct question {
	struct statuses *all;
	const struct partition *partition;
	int64_t asked_ms;
	struct share_list shares; /* of those who wait */
	struct printbuf *keys; /* until it is sent */
	uint32_t count; /* users */
	uint32_t serials[QUESTION_USERS]; /* of their topics */
};

/* What one who waits wants of one question. */
struct share {
	struct wishes *wishes;
	struct question *question;
	LIST_ENTRY(share) of_question, of_wishes;
	uint32_t count;
	struct {
		uint32_t index; /* in the subscriber's list */
		uint32_t position; /* in the question */
	} users[];
};

/* What is known of a topic's user, or asked. Apart from the topics: there are more of those. */
struct known {
	uint32_t serial; /* of the topic; 0 = none */
	uint32_t position;
	int64_t asked_ms;
	struct question *question; /* under way; NULL: answered */
	struct status_text *text; /* the answer */
};

void statuses_init(struct statuses *all, struct context *context,
		   void (*complete)(struct wishes *wishes))
{
	memset(all, 0, sizeof *all);
	all->context = context;
	all->complete = complete;
	all->known = xcalloc(KNOWN_MAX, sizeof all->known[0]);
	all->open = xcalloc(context->partition_count, sizeof all->open[0]);
}

static void unref(struct status_text *text)
{
	if (text != NULL && --text->references == 0)
		free(text);
}

void statuses_free(struct statuses *all)
{
	for (size_t i = 0; i < KNOWN_MAX; i++)
		unref(all->known[i].text);
	free(all->known);
	free(all->open);
}

void statuses_forget(struct partition *partition)
{
	partition->gap_ms = times_mono_ms();
}

/* --- texts ----------------------------------------------------------------------------------- */

static void put_text(struct printbuf *out, const char *id, const struct status *status)
{
	struct userid user;

	memcpy(user.text, id, strlen(id) + 1);
	status_put_name(out, &user);
	status_put_json(out, &user, status);
}

static struct status_text *text_new(struct printbuf *scratch, const char *id,
				    const struct status *status)
{
	struct status_text *text;

	buf_reset(scratch);
	put_text(scratch, id, status);
	text = xmalloc(sizeof *text + buf_len(scratch));
	text->references = 1;
	text->len = (uint32_t)buf_len(scratch);
	memcpy(text->bytes, scratch->buf, text->len);
	return text;
}

static struct status_text *ref(struct status_text *text)
{
	text->references++;
	return text;
}

void wishes_put(const struct wishes *wishes, struct printbuf *out)
{
	static const struct status unknown;
	const struct hub *hub = &wishes->all->context->hub;
	const char *separator = "{";

	for (uint32_t index = 0; index < wishes->count; index++) {
		const struct status_text *text = wishes->texts[index];

		if (text == NULL)
			continue;
		buf_put(out, separator, 1);
		separator = ",";
		if (wishes->subscriber->topics.list[index].hidden == 0)
			buf_put(out, text->bytes, text->len);
		else
			put_text(out,
				 topic_watched_id(hub_topic_at(hub, wishes->subscriber, index)),
				 &unknown);
	}
	buf_puts(out, *separator == '{' ? "{}" : "}");
}

/* --- what is known --------------------------------------------------------------------------- */

static struct known *slot_of(const struct statuses *all, uint32_t serial)
{
	return &all->known[serial % KNOWN_MAX];
}

/* A message since the question may be about a later change, and one before it is in the answer. */
static bool is_good(const struct statuses *all, const struct known *known,
		    const struct topic *topic, int64_t now_ms)
{
	return known->serial == topic->serial && known->asked_ms > topic->changed_ms &&
	       known->asked_ms > all->context->partitions[topic->partition].gap_ms &&
	       now_ms - known->asked_ms <= KNOWN_MS;
}

/* What the question asked for is known now, unless it was asked for again since. */
static void learn(const struct question *question, struct status_text *const *texts)
{
	for (uint32_t i = 0; i < question->count; i++) {
		struct known *known = slot_of(question->all, question->serials[i]);

		if (known->question != question || known->serial != question->serials[i])
			continue;
		known->question = NULL;
		if (texts[i] != NULL)
			known->text = ref(texts[i]);
		else
			known->serial = 0;
	}
}

/* --- answers --------------------------------------------------------------------------------- */

/* The text of the share's user `i`, made for the first who wants it; NULL: that is not an answer. */
static struct status_text *read_text(const struct share *share, uint32_t i, const redisReply *reply,
				     struct status_text **texts)
{
	const struct context *context = share->wishes->all->context;
	enum last_seen rule = (enum last_seen)context->config->presence.last_seen;
	uint32_t position = share->users[i].position;
	struct status status;

	if (texts[position] == NULL && status_read(reply, position, rule, &status))
		texts[position] = text_new(
			context->scratch,
			topic_watched_id(hub_topic_at(&context->hub, share->wishes->subscriber,
						      share->users[i].index)),
			&status);
	return texts[position];
}

static bool read_share(const struct share *share, const redisReply *reply,
		       struct status_text **texts)
{
	for (uint32_t i = 0; i < share->count; i++) {
		struct status_text *text = read_text(share, i, reply, texts);

		if (text == NULL)
			return false;
		share->wishes->texts[share->users[i].index] = ref(text);
	}
	return true;
}

static void remove_share(struct share *share)
{
	LIST_REMOVE(share, of_question);
	LIST_REMOVE(share, of_wishes);
	free(share);
}

/* Who waits is told what it wanted; false: that is not an answer. */
static bool read_shares(struct question *question, const redisReply *reply,
			struct status_text **texts)
{
	struct share *share;

	while ((share = LIST_FIRST(&question->shares)) != NULL) {
		struct wishes *wishes = share->wishes;

		if (!read_share(share, reply, texts))
			return false;
		remove_share(share);
		if (--wishes->shares_left == 0)
			question->all->complete(wishes);
	}
	return true;
}

static void on_answer(void *arg, const redisReply *reply)
{
	struct question *question = arg;
	struct statuses *all = question->all;
	const struct partition *partition = question->partition;
	struct status_text *texts[QUESTION_USERS] = {NULL};

	all->asked--;
	/* Wiped: the next sweep finds the other epoch, and that gap asks anew for whoever waits. */
	if (reply != NULL && !status_is_of_another(reply, partition->epoch) &&
	    !read_shares(question, reply, texts))
		link_lost(partition->link, "a snapshot failed");
	while (!LIST_EMPTY(&question->shares))
		remove_share(LIST_FIRST(&question->shares));
	learn(question, texts);
	for (uint32_t i = 0; i < question->count; i++)
		unref(texts[i]);
	free(question);
	turn_schedule(&all->context->turn);
}

/* --- asking ---------------------------------------------------------------------------------- */

static void question_send(struct question *question)
{
	struct context *context = question->all->context;

	question->all->asked++;
	buf_reset(context->scratch);
	status_put_mget(context->scratch, store_prefix(question->partition->store),
			question->count);
	buf_put(context->scratch, question->keys->buf, buf_len(question->keys));
	printbuf_free(question->keys);
	partition_command(question->partition, context->scratch, on_answer, question);
}

void statuses_flush(struct statuses *all)
{
	for (unsigned i = 0; i < all->context->partition_count; i++) {
		if (all->open[i] != NULL)
			question_send(all->open[i]);
		all->open[i] = NULL;
	}
}

static struct question *question_new(struct statuses *all, unsigned partition, int64_t now_ms)
{
	struct question *question = xmalloc(sizeof *question);

	question->all = all;
	question->partition = &all->context->partitions[partition];
	question->asked_ms = now_ms;
	LIST_INIT(&question->shares);
	question->keys = buf_new();
	question->count = 0;
	return question;
}

/* Asks for a user, along with others of the partition. */
static void ask(struct statuses *all, struct known *known, const struct topic *topic,
		int64_t now_ms)
{
	struct question **open = &all->open[topic->partition];
	const char *id = topic_watched_id(topic);
	struct userid user;

	if (*open != NULL && (*open)->count == QUESTION_USERS) {
		question_send(*open);
		*open = NULL;
	}
	if (*open == NULL)
		*open = question_new(all, topic->partition, now_ms);
	memcpy(user.text, id, strlen(id) + 1);
	status_put_keys((*open)->keys, store_prefix((*open)->partition->store), &user);
	unref(known->text);
	*known = (struct known){.serial = topic->serial,
				.position = (*open)->count,
				.asked_ms = now_ms,
				.question = *open};
	(*open)->serials[(*open)->count++] = topic->serial;
}

/* The wishes' share of a question; `more` users at most will be in it. */
static struct share *share_of(struct wishes *wishes, struct question *question, uint32_t more)
{
	struct share *share;

	LIST_FOREACH (share, &wishes->shares, of_wishes) {
		/* cppcheck-suppress uninitvar ; whoever is in the list has a question */
		if (share->question == question)
			return share;
	}
	share = xmalloc(sizeof *share +
			(more < QUESTION_USERS ? more : QUESTION_USERS) * sizeof share->users[0]);
	share->wishes = wishes;
	share->question = question;
	share->count = 0;
	LIST_INSERT_HEAD(&question->shares, share, of_question);
	LIST_INSERT_HEAD(&wishes->shares, share, of_wishes);
	wishes->shares_left++;
	return share;
}

static void wish(struct wishes *wishes, uint32_t index, int64_t now_ms)
{
	struct statuses *all = wishes->all;
	const struct topic *topic = hub_topic_at(&all->context->hub, wishes->subscriber, index);
	struct known *known = slot_of(all, topic->serial);
	struct share *share;

	if (topic_watched_id(topic) == NULL)
		return;
	if (!is_good(all, known, topic, now_ms))
		ask(all, known, topic, now_ms);
	if (known->text != NULL) {
		wishes->texts[index] = ref(known->text);
		return;
	}
	share = share_of(wishes, known->question, wishes->count - index);
	share->users[share->count].index = index;
	share->users[share->count++].position = known->position;
}

bool wishes_begin(struct wishes *wishes, struct statuses *all, const struct subscriber *subscriber,
		  int64_t now_ms)
{
	memset(wishes, 0, sizeof *wishes);
	wishes->all = all;
	wishes->subscriber = subscriber;
	wishes->count = subscriber->topics.count;
	wishes->texts = xcalloc(wishes->count, sizeof wishes->texts[0]);
	LIST_INIT(&wishes->shares);
	for (uint32_t index = 0; index < wishes->count; index++)
		wish(wishes, index, now_ms);
	return wishes->shares_left == 0;
}

void wishes_end(struct wishes *wishes)
{
	struct share *share;

	while ((share = LIST_FIRST(&wishes->shares)) != NULL)
		remove_share(share);
	for (uint32_t index = 0; index < wishes->count; index++)
		unref(wishes->texts[index]);
	free(wishes->texts);
}
