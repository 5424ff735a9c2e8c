#include "api/snapshot.h"

#include <stdlib.h>

#include "api/settled.h"
#include "base/alloc.h"
#include "store/pause.h"
#include "store/status.h"

#define MGET_USERS 1000 /* users in one MGET: bounds how long Redis is busy with it */

/* --- the questions --------------------------------------------------------------------------- */

/* Up to MGET_USERS users of one partition: one MGET. */
struct part {
	const struct store *store;
	const unsigned *users; /* their indices in the list */
	unsigned count;
	size_t pause; /* the reply that tells whether the partition stood still; 0 = the touch */
};

/* All users of a list, divided so. */
struct parts {
	unsigned *users; /* indices in the list, by partition */
	struct part *list;
	size_t count;
};

static void parts_free(struct parts *parts)
{
	free(parts->users);
	free(parts->list);
}

/* The list's indices in the order of the partitions, which it notes in the list. */
static unsigned *sort_users(const struct request *request, struct watched *list, size_t count)
{
	const struct partitions *partitions = request->service->partitions;
	unsigned *next = xcalloc(partitions_count(partitions) + 1, sizeof *next);
	unsigned *users = xcalloc(count, sizeof *users);

	for (size_t i = 0; i < count; i++) {
		list[i].store = partitions_of(partitions, list[i].id);
		next[store_partition(list[i].store) + 1]++;
	}
	for (unsigned i = 1; i < partitions_count(partitions); i++)
		next[i] += next[i - 1];
	for (size_t i = 0; i < count; i++)
		users[next[store_partition(list[i].store)]++] = (unsigned)i;
	free(next);
	return users;
}

static void divide(const struct request *request, struct watched *list, size_t count,
		   struct parts *parts)
{
	size_t most = partitions_count(request->service->partitions) + count / MGET_USERS;

	parts->users = sort_users(request, list, count);
	parts->list = xcalloc(count < most ? count : most, sizeof *parts->list);
	parts->count = 0;
	for (size_t i = 0; i < count; i++) {
		struct watched *watched = &list[parts->users[i]];
		struct part *last = parts->count > 0 ? &parts->list[parts->count - 1] : NULL;

		if (last == NULL || last->store != watched->store || last->count == MGET_USERS) {
			last = &parts->list[parts->count++];
			*last = (struct part){watched->store, &parts->users[i], 0, 0};
		}
		watched->part = (unsigned)(parts->count - 1);
		watched->place = last->count++;
	}
}

/*
 * The keys of a user; instead of one's who is hidden, or is guessed to be, those of
 * a user who cannot exist: fetching what there is would take longer.
 */
static void put_keys(struct printbuf *out, const char *prefix, const struct watched *watched)
{
	struct userid id = *watched->id;

	if (watched->hidden || watched->guessed)
		id.text[0] = '?';
	status_put_keys(out, prefix, &id);
}

/* Replies 1 to parts->count. */
static void put_mgets(struct request *request, const struct parts *parts,
		      const struct watched *list)
{
	for (size_t i = 0; i < parts->count; i++) {
		const struct part *part = &parts->list[i];
		struct printbuf *out = request_to(request, part->store);

		status_put_mget(out, store_prefix(part->store), part->count);
		for (unsigned user = 0; user < part->count; user++)
			put_keys(out, store_prefix(part->store), &list[part->users[user]]);
	}
}

/*
 * Of the caller's own partition the touch tells whether it stood still; the others
 * are asked. Returns how many commands that are, whose replies begin at `first`.
 */
static size_t put_pauses(struct request *request, struct parts *parts, size_t first)
{
	size_t commands = 0;

	for (size_t i = 0; i < parts->count; i++) {
		struct part *part = &parts->list[i];

		if (part->store == request->store)
			continue;
		part->pause = first + commands;
		commands += pause_put(request_to(request, part->store), part->store);
	}
	return commands;
}

static bool is_unsettled(const struct request *request, const struct part *part)
{
	return part->pause == 0 ? pause_is_unsettled(request->replies[0])
				: pause_read(request->replies + part->pause, part->store);
}

/* --- the answer ------------------------------------------------------------------------------ */

/* Who only watches sees its user as others do. */
static bool is_self(const struct request *request, const struct userid *id)
{
	return !request->token.watch && userid_equal(id, &request->token.user);
}

static bool has_self(const struct request *request, const struct watched *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (is_self(request, list[i].id))
			return true;
	}
	return false;
}

/* One's own STATUS is the real one, and tells which session the token stands for. */
static bool put_own(struct request *request)
{
	struct store_self self;

	if (!store_read_self(request->replies[0], 0, &self))
		return false;
	status_put_own(request->answer, self.status, self.status_len, request->token.session_id);
	return true;
}

static enum last_seen rule(const struct request *request)
{
	return (enum last_seen)request->service->config->presence.last_seen;
}

bool snapshot_put_status(struct request *request, const struct watched *list, size_t index)
{
	const struct watched *watched = &list[index];
	const redisReply *reply = request->replies[1 + watched->part];
	struct status status;

	if (!status_read(reply, watched->place, rule(request), &status))
		return false;
	if (watched->hidden)
		status = (struct status){.online = false};
	if (is_self(request, watched->id))
		return put_own(request);
	status_put_json(request->answer, watched->id, &status);
	return true;
}

/* --- a second look --------------------------------------------------------------------------- */

/* Where in which reply a user is. */
struct place {
	redisReply *reply;
	size_t index;
	const struct userid *id;
	const struct store *store;
};

/*
 * Those who look offline to the caller, of partitions that stood still, by
 * partition; who calls this frees the array.
 */
static struct place *find_offline(const struct request *request, const struct parts *parts,
				  const struct watched *list, size_t count, size_t *found)
{
	struct place *places = xcalloc(count, sizeof *places);

	*found = 0;
	for (size_t i = 0; i < count; i++) {
		const struct watched *watched = &list[parts->users[i]];
		struct place place = {request->replies[1 + watched->part], watched->place,
				      watched->id, watched->store};
		struct status status;

		if (is_unsettled(request, &parts->list[watched->part]) &&
		    status_read(place.reply, place.index, LAST_SEEN_NOBODY, &status) &&
		    (watched->hidden || !status.online))
			places[(*found)++] = place;
	}
	return places;
}

/* How many of the places one question is about. */
static size_t batch_of(const struct place *places, size_t count)
{
	size_t batch = 1;

	while (batch < count && batch < STORE_BATCH_MAX && places[batch].store == places[0].store)
		batch++;
	return batch;
}

/* Asks about each of the places, and notes what those look like who are online all the same. */
static struct problem look_again(struct request *request, const struct place *places, size_t count)
{
	const struct userid *ids[STORE_BATCH_MAX];
	size_t commands = 0, batch;
	struct problem problem;

	request_pipeline(request);
	for (size_t done = 0; done < count; done += batch) {
		const struct store *store = places[done].store;

		batch = batch_of(places + done, count - done);
		for (size_t i = 0; i < batch; i++)
			ids[i] = places[done + i].id;
		pause_put_look(request_to(request, store), store, ids, batch);
		commands++;
	}
	problem = request_ask(request, commands);
	commands = 0;
	for (size_t done = 0; problem.kind == PROBLEM_NONE && done < count; done += batch) {
		batch = batch_of(places + done, count - done);
		for (size_t i = 0; i < batch; i++) {
			const struct place *place = &places[done + i];
			redisReply *look = pause_read_look(request->replies[commands], i);

			if (look != NULL)
				status_use_look(place->reply, place->index, look);
		}
		commands++;
	}
	return problem;
}

/* After a time in which everything stood still: a key that ran out tells nothing. */
static struct problem look_twice(struct request *request, const struct parts *parts,
				 const struct watched *list, size_t count)
{
	redisReply **replies = request->replies;
	size_t reply_count = request->reply_count, found;
	struct place *places = find_offline(request, parts, list, count, &found);
	struct problem problem = request_done();

	if (found > 0) {
		request->replies = NULL; /* a further call would free them */
		problem = look_again(request, places, found);
		request->looks = request->replies;
		request->look_count = request->reply_count;
		request->replies = replies;
		request->reply_count = reply_count;
	}
	free(places);
	return problem;
}

static struct problem check(struct request *request, const struct parts *parts,
			    struct watched *list, size_t count, size_t first_block)
{
	struct problem problem = request_done();
	bool unsettled = false;

	for (size_t i = 0; problem.kind == PROBLEM_NONE && i < parts->count; i++) {
		problem = settled_check(request, parts->list[i].store, request->replies[1 + i]);
		unsettled |= is_unsettled(request, &parts->list[i]);
	}
	if (problem.kind == PROBLEM_NONE &&
	    !visibility_read_blocks(request, first_block, list, count))
		problem = request_bad_reply(request);
	if (problem.kind == PROBLEM_NONE && unsettled)
		problem = look_twice(request, parts, list, count);
	return problem;
}

static struct problem ask(struct request *request, struct watched *list, size_t count)
{
	struct parts parts;
	struct problem problem;
	size_t first_block;

	divide(request, list, count, &parts);
	request_touch_for(request,
			  &(struct touch_wish){.wants_self = has_self(request, list, count)});
	put_mgets(request, &parts, list);
	first_block = 1 + parts.count;
	first_block += put_pauses(request, &parts, first_block);
	problem = request_ask_touched(request, first_block - 1 +
						       visibility_put_blocks(request, list, count));
	if (problem.kind == PROBLEM_NONE)
		problem = check(request, &parts, list, count, first_block);
	parts_free(&parts);
	return problem;
}

static void guess(const struct request *request, struct watched *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		list[i].guessed =
			guesses_has(&request->service->guesses, &request->token.user, list[i].id);
}

/* Notes who is hidden; whether one was guessed to be and is not. */
static bool learn(const struct request *request, const struct watched *list, size_t count)
{
	bool is_wrong = false;

	for (size_t i = 0; i < count; i++) {
		guesses_note(&request->service->guesses, &request->token.user, list[i].id,
			     list[i].hidden);
		is_wrong |= list[i].guessed && !list[i].hidden;
	}
	return is_wrong;
}

struct problem snapshot_ask(struct request *request, struct watched *list, size_t count)
{
	struct problem problem;

	guess(request, list, count);
	problem = ask(request, list, count);
	if (problem.kind != PROBLEM_NONE || !learn(request, list, count))
		return problem;
	guess(request, list, count);
	problem = ask(request, list, count);
	if (problem.kind == PROBLEM_NONE)
		learn(request, list, count);
	return problem;
}

struct problem snapshot_answer(struct request *request, struct watched *list, size_t count)
{
	struct problem problem = snapshot_ask(request, list, count);

	if (problem.kind != PROBLEM_NONE)
		return problem;
	buf_puts(request->answer, "{");
	for (size_t i = 0; i < count; i++) {
		buf_puts(request->answer, i > 0 ? "," : "");
		status_put_name(request->answer, list[i].id);
		if (!snapshot_put_status(request, list, i))
			return request_bad_reply(request);
	}
	buf_puts(request->answer, "}");
	return request_done();
}
