#include "stream/snapshots.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/times.h"
#include "store/status.h"
#include "stream/subscriptions.h"

#define SNAPSHOTS_ASKED_MAX 64 /* MGETs under way at a time; snapshots in a turn of the loop */
#define SNAPSHOT_USERS 333 /* in one MGET: about 1,000 keys */
#define PART_SPARE 8 /* users beyond an even share */
#define STATUS_KNOWN_MS 1000 /* for so long an answer serves further streams */
#define STATUSES_KNOWN 4096 /* at a time; a newer one takes an older one's place */

const struct state_names view_states = {
	"view", 7, {"NONE", "MISSING", "QUEUED", "ASKED", "READY", "CURRENT", "OVERRUN"}};

/* Users of one partition that Redis is asked about for one view. */
struct part {
	struct snapshots *all;
	struct view *view; /* NULL: the question was withdrawn */
	LIST_ENTRY(part) link;
	const struct partition *partition; /* theirs */
	int64_t asked_ms;
	uint32_t count, capacity;
	uint32_t topics[]; /* by their index in the subscriber's list */
};

/*
 * What Redis said of a topic's user. Apart from the topics: there are more of those than
 * statuses that are asked for within STATUS_KNOWN_MS.
 */
struct known_status {
	uint32_t serial; /* of the topic; 0 = none */
	int64_t asked_ms;
	struct status status;
	char *members; /* that the status borrows, or NULL */
};

/*
 * Users' texts come as they become known, and stand in `initial` in the order of
 * the subscriber's list: else that would tell whom other streams have asked about.
 * Whom a block hides is known last, and replaced by an unknown user when `initial`
 * is shown.
 */
struct place {
	uint32_t start, len; /* in the texts; len 0: not a user */
};

struct view_draft {
	struct printbuf *texts; /* of the users so far, each "id":STATUS */
	struct place *places; /* by the index in the subscriber's list */
	uint32_t count; /* of places */
	struct outbox held; /* changes that came meanwhile */
	LIST_HEAD(part_list, part) parts; /* under way */
	unsigned parts_left;
};

void snapshots_init(struct snapshots *all, struct context *context)
{
	all->context = context;
	TAILQ_INIT(&all->queue);
	all->known = xcalloc(STATUSES_KNOWN, sizeof all->known[0]);
	all->parts = xcalloc(context->partition_count, sizeof all->parts[0]);
}

void snapshots_free(struct snapshots *all)
{
	for (size_t i = 0; all->known != NULL && i < STATUSES_KNOWN; i++)
		free(all->known[i].members);
	free(all->known);
	free(all->parts);
	all->known = NULL;
	all->parts = NULL;
}

void view_init(struct view *view, struct due *owner, const struct subscriber *subscriber)
{
	memset(view, 0, sizeof *view);
	view->owner = owner;
	view->subscriber = subscriber;
}

void snapshots_forget_cached(struct partition *partition)
{
	partition->gap_ms = times_mono_ms();
}

/* --- states ---------------------------------------------------------------------------------- */

static void draft_free(struct view *view)
{
	struct view_draft *draft = view->draft;
	struct part *part;

	while ((part = LIST_FIRST(&draft->parts)) != NULL) {
		LIST_REMOVE(part, link);
		part->view = NULL;
	}
	printbuf_free(draft->texts);
	free(draft->places);
	outbox_clear(&draft->held);
	free(draft);
	view->draft = NULL;
}

static void set_state(struct snapshots *all, struct view *view, enum view_state state)
{
	if (view->state == state)
		return;
	state_moved(&view_states, view->owner->number, view->state, state);
	if (view->state == VIEW_QUEUED)
		TAILQ_REMOVE(&all->queue, view, link);
	if (view->draft != NULL && state != VIEW_ASKED && state != VIEW_READY)
		draft_free(view);
	if (state == VIEW_QUEUED) {
		TAILQ_INSERT_TAIL(&all->queue, view, link);
		turn_schedule(&all->context->turn);
	}
	view->state = state;
	if (state == VIEW_MISSING || state == VIEW_ASKED || state == VIEW_READY)
		turn_mark(&all->context->turn, view->owner);
}

void view_open(struct snapshots *all, struct view *view)
{
	set_state(all, view, VIEW_MISSING);
}

void view_queue(struct snapshots *all, struct view *view)
{
	set_state(all, view, VIEW_QUEUED);
}

void view_follow(struct snapshots *all, struct view *view)
{
	set_state(all, view, VIEW_CURRENT);
}

void view_reset(struct snapshots *all, struct view *view)
{
	if (view->state != VIEW_NONE && view->state != VIEW_OVERRUN)
		set_state(all, view, VIEW_MISSING);
}

void view_lost(struct snapshots *all, struct view *view)
{
	if (view->state != VIEW_CURRENT)
		view_reset(all, view);
}

void view_overrun(struct snapshots *all, struct view *view, bool idle)
{
	all->overruns++;
	set_state(all, view, idle ? VIEW_MISSING : VIEW_OVERRUN);
}

void view_caught_up(struct snapshots *all, struct view *view)
{
	set_state(all, view, VIEW_MISSING);
}

void view_close(struct snapshots *all, struct view *view)
{
	set_state(all, view, VIEW_NONE);
	view->told_degraded = false;
}

void view_hold(struct view *view, struct frame *frame)
{
	outbox_push(&view->draft->held, frame);
}

size_t view_held(const struct view *view)
{
	return view->draft != NULL ? view->draft->held.bytes : 0;
}

static void put_user(struct printbuf *out, const char *id, const struct status *status)
{
	struct userid user;

	memcpy(user.text, id, strlen(id) + 1);
	status_put_name(out, &user);
	status_put_json(out, &user, status);
}

/* The object of all users; who is hidden looks like an unknown one. */
static void put_initial(struct printbuf *out, const struct hub *hub, const struct view *view)
{
	static const struct status unknown;
	const struct view_draft *draft = view->draft;

	buf_puts(out, "{");
	for (uint32_t index = 0; index < draft->count; index++) {
		const struct place *place = &draft->places[index];

		if (place->len == 0)
			continue;
		buf_puts(out, buf_len(out) > 1 ? "," : "");
		if (view->subscriber->topics.list[index].hidden == 0)
			buf_put(out, draft->texts->buf + place->start, place->len);
		else
			put_user(out, topic_watched_id(hub_topic_at(hub, view->subscriber, index)),
				 &unknown);
	}
	buf_puts(out, "}");
}

void view_show(struct snapshots *all, struct view *view, struct outbox *to)
{
	struct printbuf *initial = buf_new();
	struct frame *frame;

	put_initial(initial, &all->context->hub, view);
	frame = events_initial(initial);
	printbuf_free(initial);
	outbox_push(to, frame);
	frame_unref(frame);
	outbox_move(to, &view->draft->held);
	view->told_degraded = false;
	set_state(all, view, VIEW_CURRENT);
}

/* --- what is known --------------------------------------------------------------------------- */

static struct known_status *place_of(const struct snapshots *all, const struct topic *topic)
{
	return &all->known[topic->serial % STATUSES_KNOWN];
}

/*
 * An answer to what was asked then. A message since may be about a later change, and one before
 * the asking is in it.
 */
static void learn(struct snapshots *all, const struct topic *topic, const struct status *status,
		  int64_t asked_ms)
{
	struct known_status *known = place_of(all, topic);

	if (asked_ms <= topic->changed_ms)
		return;
	free(known->members);
	*known = (struct known_status){
		.serial = topic->serial, .asked_ms = asked_ms, .status = *status};
	if (status->members != NULL)
		known->members = xmemdup(status->members, status->members_len);
	known->status.members = known->members;
}

/*
 * What is known of a topic is as good as asking again: a change since would have
 * come as a message. Only the time of the last activity moves without one, hence
 * the age. NULL: Redis is to be asked.
 */
static const struct status *known_status(const struct snapshots *all, const struct topic *topic,
					 int64_t now_ms)
{
	const struct known_status *known = place_of(all, topic);
	bool is_known = known->serial == topic->serial && known->asked_ms > topic->changed_ms &&
			known->asked_ms > all->context->partitions[topic->partition].gap_ms &&
			now_ms - known->asked_ms <= STATUS_KNOWN_MS;

	return is_known ? &known->status : NULL;
}

/* --- answers --------------------------------------------------------------------------------- */

/* The user of the topic at the index. */
static void add_user(struct view *view, uint32_t index, const char *id, const struct status *status)
{
	struct printbuf *texts = view->draft->texts;
	struct place *place = &view->draft->places[index];

	place->start = (uint32_t)buf_len(texts);
	put_user(texts, id, status);
	place->len = (uint32_t)buf_len(texts) - place->start;
}

/* Appends the users of one part; false when the reply is not what was asked for. */
static bool add_part(const struct part *part, const redisReply *reply)
{
	struct view *view = part->view;
	const struct context *context = part->all->context;
	const struct hub *hub = &context->hub;
	enum last_seen rule = (enum last_seen)context->config->presence.last_seen;

	for (uint32_t i = 0; i < part->count; i++) {
		const struct topic *topic = hub_topic_at(hub, view->subscriber, part->topics[i]);
		struct status status;

		if (!status_read(reply, i, rule, &status))
			return false;
		add_user(view, part->topics[i], topic_watched_id(topic), &status);
		learn(part->all, topic, &status, part->asked_ms);
	}
	return true;
}

static void on_part(void *arg, const redisReply *reply)
{
	struct part *part = arg;
	struct snapshots *all = part->all;
	struct view *view = part->view;

	all->asked--;
	if (view != NULL)
		LIST_REMOVE(part, link);
	if (view != NULL && reply != NULL) {
		if (!add_part(part, reply))
			link_lost(part->partition->link, "a snapshot failed");
		else if (--view->draft->parts_left == 0)
			set_state(all, view, VIEW_READY);
	}
	free(part);
	turn_schedule(&all->context->turn);
}

/* --- asking ---------------------------------------------------------------------------------- */

/* A part for users of the partition, of about `users` that are left in all. */
static struct part *part_new(struct snapshots *all, struct view *view, unsigned partition,
			     uint32_t users, int64_t now_ms)
{
	uint32_t share = users / all->context->partition_count + PART_SPARE;
	uint32_t capacity = share < SNAPSHOT_USERS ? share : SNAPSHOT_USERS;
	struct part *part = xmalloc(sizeof *part + capacity * sizeof part->topics[0]);

	part->all = all;
	part->view = view;
	part->partition = &all->context->partitions[partition];
	part->asked_ms = now_ms;
	part->count = 0;
	part->capacity = capacity;
	return part;
}

/* The same part, with room for one more topic. */
static struct part *part_grown(struct part *part)
{
	if (part->count < part->capacity)
		return part;
	part->capacity = part->capacity * 2 < SNAPSHOT_USERS ? part->capacity * 2 : SNAPSHOT_USERS;
	return xrealloc(part, sizeof *part + part->capacity * sizeof part->topics[0]);
}

static void ask_part(struct part *part)
{
	struct view *view = part->view;
	struct context *context = part->all->context;
	const char *prefix = store_prefix(part->partition->store);
	struct userid user;

	buf_reset(context->scratch);
	status_put_mget(context->scratch, prefix, part->count);
	for (uint32_t i = 0; i < part->count; i++) {
		const char *id = topic_watched_id(
			hub_topic_at(&context->hub, view->subscriber, part->topics[i]));

		memcpy(user.text, id, strlen(id) + 1);
		status_put_keys(context->scratch, prefix, &user);
	}
	LIST_INSERT_HEAD(&view->draft->parts, part, link);
	view->draft->parts_left++;
	part->all->asked++;
	link_command(part->partition->link, context->scratch, on_part, part);
}

/* Puts a user's topic into the part of its partition, which is asked when it is full. */
static void add_question(struct snapshots *all, struct view *view, uint32_t index, int64_t now_ms)
{
	unsigned partition = hub_topic_at(&all->context->hub, view->subscriber, index)->partition;
	struct part **part = &all->parts[partition];

	if (*part == NULL)
		*part = part_new(all, view, partition, view->subscriber->topics.count - index,
				 now_ms);
	*part = part_grown(*part);
	(*part)->topics[(*part)->count++] = index;
	if ((*part)->count == SNAPSHOT_USERS) {
		ask_part(*part);
		*part = NULL;
	}
}

static void ask_rest(struct snapshots *all)
{
	for (unsigned i = 0; i < all->context->partition_count; i++) {
		if (all->parts[i] == NULL)
			continue;
		ask_part(all->parts[i]);
		all->parts[i] = NULL;
	}
}

/* Many streams watch the same users: Redis is asked only about those it was not asked just now. */
static void ask(struct snapshots *all, struct view *view, int64_t now_ms)
{
	const struct hub *hub = &all->context->hub;

	view->draft = xcalloc(1, sizeof *view->draft);
	view->draft->texts = buf_new();
	view->draft->count = view->subscriber->topics.count;
	view->draft->places = xcalloc(view->draft->count, sizeof(struct place));
	set_state(all, view, VIEW_ASKED);
	for (uint32_t index = 0; index < view->subscriber->topics.count; index++) {
		const struct topic *topic = hub_topic_at(hub, view->subscriber, index);
		const char *id = topic_watched_id(topic);
		const struct status *known;

		if (id == NULL)
			continue;
		known = known_status(all, topic, now_ms);
		if (known != NULL)
			add_user(view, index, id, known);
		else
			add_question(all, view, index, now_ms);
	}
	ask_rest(all);
	if (view->draft->parts_left == 0)
		set_state(all, view, VIEW_READY);
}

void snapshots_flush(struct snapshots *all)
{
	int64_t now_ms = times_mono_ms();

	for (unsigned i = 0; i < SNAPSHOTS_ASKED_MAX; i++) {
		struct view *view = TAILQ_FIRST(&all->queue);

		if (view == NULL || all->asked >= SNAPSHOTS_ASKED_MAX)
			return; /* an answer is what brings the next turn */
		ask(all, view, now_ms);
	}
	turn_schedule(&all->context->turn);
}
