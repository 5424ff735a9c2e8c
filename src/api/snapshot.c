#include "api/snapshot.h"

#include <stdlib.h>

#include "api/settled.h"
#include "base/alloc.h"
#include "store/status.h"

#define MGET_USERS 1000 /* users in one MGET: bounds how long Redis is busy with it */

/* Appends MGETs for the list; returns how many commands that are. */
static size_t put_mgets(struct printbuf *out, const char *prefix, const struct watched *list,
			size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (i % MGET_USERS == 0)
			status_put_mget(out, prefix,
					count - i < MGET_USERS ? (unsigned)(count - i)
							       : MGET_USERS);
		status_put_keys(out, prefix, list[i].id);
	}
	return (count + MGET_USERS - 1) / MGET_USERS;
}

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
	const redisReply *reply = request->replies[1 + index / MGET_USERS];
	struct status status;

	if (!status_read(reply, index % MGET_USERS, rule(request), &status))
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
};

/* Those of the list who look offline to the caller; who calls this frees the array. */
static struct place *find_offline(redisReply *const *replies, const struct watched *list,
				  size_t count, size_t *found)
{
	struct place *places = xcalloc(count, sizeof *places);

	*found = 0;
	for (size_t i = 0; i < count; i++) {
		struct place place = {replies[i / MGET_USERS], i % MGET_USERS, list[i].id};
		struct status status;

		if (status_read(place.reply, place.index, LAST_SEEN_NOBODY, &status) &&
		    (list[i].hidden || !status.online))
			places[(*found)++] = place;
	}
	return places;
}

/* Asks about each of the places, and marks who is online all the same. */
static struct problem look_again(struct request *request, const struct place *places, size_t count)
{
	const struct userid *ids[STORE_BATCH_MAX];
	struct printbuf *pipeline = request_pipeline(request);
	size_t commands = 0;
	struct problem problem;

	for (size_t done = 0; done < count; done += STORE_BATCH_MAX) {
		size_t batch = count - done < STORE_BATCH_MAX ? count - done : STORE_BATCH_MAX;

		for (size_t i = 0; i < batch; i++)
			ids[i] = places[done + i].id;
		store_put_look(pipeline, request->service->store, ids, batch);
		commands++;
	}
	problem = request_ask(request, commands);
	for (size_t i = 0; problem.kind == PROBLEM_NONE && i < count; i++) {
		if (store_read_look(request->replies[i / STORE_BATCH_MAX], i % STORE_BATCH_MAX))
			status_mark_online(places[i].reply, places[i].index);
	}
	return problem;
}

/* After a time in which everything stood still: a key that ran out tells nothing. */
static struct problem look_twice(struct request *request, const struct watched *list, size_t count)
{
	redisReply **replies = request->replies;
	size_t reply_count = request->reply_count, found;
	struct place *places = find_offline(replies + 1, list, count, &found);
	struct problem problem = request_done();

	if (found > 0) {
		request->replies = NULL; /* a further call would free them */
		problem = look_again(request, places, found);
		request_drop_replies(request);
		request->replies = replies;
		request->reply_count = reply_count;
	}
	free(places);
	return problem;
}

struct problem snapshot_ask(struct request *request, struct watched *list, size_t count)
{
	struct printbuf *pipeline = request_touch_for(
		request, &(struct touch_wish){.wants_self = has_self(request, list, count)});
	size_t mgets = put_mgets(pipeline, store_prefix(request->service->store), list, count);
	size_t asks = visibility_put_blocks(request, pipeline, list, count);
	struct problem problem = request_ask_touched(request, mgets + asks);

	for (size_t i = 0; problem.kind == PROBLEM_NONE && i < mgets; i++)
		problem = settled_check(request, request->replies[1 + i]);
	if (problem.kind == PROBLEM_NONE &&
	    !visibility_read_blocks(request, 1 + mgets, list, count))
		problem = request_bad_reply(request);
	if (problem.kind == PROBLEM_NONE && store_read_unsettled(request->replies[0]))
		problem = look_twice(request, list, count);
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
