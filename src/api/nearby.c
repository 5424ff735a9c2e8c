/*
 * Who of the friends is near. Points become cells here and are gone with the request; of a cell nobody is
 * told anything but "near" or not (docs/privacy.md, "Nearby").
 */
#include "api/nearby.h"

#include <stdlib.h>
#include <string.h>

#include "api/friendship.h"
#include "api/resources.h"
#include "api/visibility.h"
#include "base/alloc.h"
#include "base/json.h"
#include "base/random.h"
#include "store/inbox.h"
#include "store/keys.h"
#include "store/place.h"
#include "store/resp.h"
#include "store/settings.h"
#include "store/whereabouts.h"

/* What is read of a user, in one MGET; of a friend all but the marks. */
enum { ONLINE, SETTINGS, CELL, MARKS, KEYS };

static void put_keys(struct printbuf *out, const struct store *store, const struct userid *user,
		     unsigned count)
{
	static const char *const names[KEYS] = {KEY_ONLINE, KEY_SETTINGS, KEY_CELL,
						KEY_RATE "location:"};

	resp_begin(out, 1 + count);
	resp_text(out, "MGET");
	for (unsigned i = 0; i < count; i++)
		resp_key(out, store_prefix(store), names[i], user->text);
}

static bool is_answer(const redisReply *reply, size_t count)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements == count;
}

static struct place read_place(const redisReply *value)
{
	struct place place = {.looked = 0};

	if (value->type == REDIS_REPLY_STRING)
		place_parse(value->str, value->len, &place);
	return place;
}

/* The cell by which others may find the user near: one who looks online and shares it. */
static bool read_shared(const redisReply *keys, int64_t now, struct cell *cell)
{
	struct place place = read_place(keys->element[CELL]);
	const struct cell *shown = place_shown(&place, now);

	if (shown == NULL || keys->element[ONLINE]->type != REDIS_REPLY_STRING ||
	    !settings_read(keys->element[SETTINGS]).nearby)
		return false;
	*cell = *shown;
	return true;
}

/* --- friends ---------------------------------------------------------------------------------- */

struct neighbour {
	const struct friend *friend;
	bool was, is; /* near */
};

/* The caller's friends, sorted by id, and what is found out about each. */
struct neighbours {
	struct friends friends;
	struct watched *watched; /* hidden by a block */
	struct neighbour *list; /* those who are near or were */
	size_t count;
};

static struct problem neighbours_load(struct request *request, struct neighbours *all)
{
	struct problem problem = request_friends(request, &all->friends);
	size_t count = all->friends.count;

	all->watched = NULL;
	all->list = NULL;
	all->count = 0;
	if (count == 0)
		return problem;
	all->watched = xcalloc(count, sizeof *all->watched);
	all->list = xcalloc(count, sizeof *all->list);
	qsort(all->friends.list, count, sizeof all->friends.list[0], userid_compare);
	for (size_t i = 0; i < count; i++)
		all->watched[i] = (struct watched){.id = &all->friends.list[i].user};
	return problem;
}

static void neighbours_free(struct neighbours *all)
{
	friends_free(&all->friends);
	free(all->watched);
	free(all->list);
}

/* Appends the questions about all friends; how many commands. */
static size_t put_questions(struct request *request, const struct neighbours *all)
{
	for (size_t i = 0; i < all->friends.count; i++) {
		const struct userid *friend = all->watched[i].id;
		const struct store *store = request_store_of(request, friend);

		put_keys(request_to(request, store), store, friend, MARKS);
	}
	return all->friends.count +
	       visibility_put_blocks(request, all->watched, all->friends.count);
}

/*
 * Finds those near a cell (NULL: nobody is) of before, of now, among friends of one another. The
 * answers begin at replies[first]. Whom a block hides is found like all others, and left out at the end.
 */
static struct problem find(struct request *request, size_t first, const struct cell *before,
			   const struct cell *after, int64_t now, struct neighbours *all)
{
	struct problem problem = request_done();

	if (!visibility_read_blocks(request, first + all->friends.count, all->watched,
				    all->friends.count))
		return request_bad_reply(request);
	for (size_t i = 0; i < all->friends.count && problem.kind == PROBLEM_NONE; i++) {
		struct neighbour one = {.friend = &all->friends.list[i]};
		const redisReply *keys = request->replies[first + i];
		struct cell cell;
		bool is_mutual;

		if (!is_answer(keys, MARKS))
			return request_bad_reply(request);
		if (!read_shared(keys, now, &cell))
			continue;
		one.was = before != NULL && cell_is_near(*before, cell);
		one.is = after != NULL && cell_is_near(*after, cell);
		if (!one.was && !one.is)
			continue;
		problem =
			friendship_is_mutual(request, &all->friends, &one.friend->user, &is_mutual);
		if (is_mutual && !all->watched[i].hidden)
			all->list[all->count++] = one;
	}
	return problem;
}

/* --- who is near ------------------------------------------------------------------------------ */

static void put_list(struct printbuf *out, const struct neighbours *all)
{
	buf_puts(out, "{\"user_ids\":[");
	for (size_t i = 0; i < all->count; i++) {
		buf_puts(out, i == 0 ? "" : ",");
		userid_put_json(out, &all->list[i].friend->user);
	}
	buf_puts(out, "]}");
}

/* The caller's own cell decides; without one nobody is near, after the same questions. */
static struct problem list(struct request *request, struct neighbours *all)
{
	struct printbuf *pipeline = request_touch(request, "activity");
	struct problem problem;
	struct cell own;
	int64_t now;
	bool is_shared;

	store_put_time(pipeline);
	put_keys(pipeline, request->store, &request->token.user, MARKS);
	problem = request_ask_touched(request, 2 + put_questions(request, all));
	if (problem.kind != PROBLEM_NONE)
		return problem;
	if (!store_read_time(request->replies[1], &now) || !is_answer(request->replies[2], MARKS))
		return request_bad_reply(request);
	is_shared = read_shared(request->replies[2], now, &own);
	problem = find(request, 3, NULL, is_shared ? &own : NULL, now, all);
	if (problem.kind == PROBLEM_NONE)
		put_list(request->answer, all);
	return problem;
}

struct problem nearby_list(struct request *request)
{
	struct neighbours all;
	struct problem problem = neighbours_load(request, &all);

	if (problem.kind == PROBLEM_NONE)
		problem = list(request, &all);
	neighbours_free(&all);
	return problem;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void put_near(struct request *request, const struct userid *user,
		     const struct userid *friend, bool near)
{
	const struct store *store = request_store_of(request, user);

	inbox_put_near(request_to(request, store), store, user, friend, near);
}

/* Both of each pair for whom it is another now, each by a call on its own keys. */
static struct problem tell_changed(struct request *request, const struct neighbours *all)
{
	const struct userid *caller = &request->token.user;
	size_t commands = 0;

	request_pipeline(request);
	for (size_t i = 0; i < all->count; i++) {
		const struct neighbour *one = &all->list[i];

		if (one->was == one->is)
			continue;
		put_near(request, &one->friend->user, caller, one->is);
		put_near(request, caller, &one->friend->user, one->is);
		commands += 2;
	}
	return commands > 0 ? request_ask(request, commands) : request_done();
}

/* After the caller's cell has changed; NULL: there is none. */
static struct problem announce(struct request *request, const struct cell *before,
			       const struct cell *after, int64_t now)
{
	struct neighbours all;
	struct problem problem = neighbours_load(request, &all);

	if (problem.kind == PROBLEM_NONE && all.friends.count > 0) {
		request_pipeline(request);
		problem = request_ask(request, put_questions(request, &all));
		if (problem.kind == PROBLEM_NONE)
			problem = find(request, 0, before, after, now, &all);
		if (problem.kind == PROBLEM_NONE)
			problem = tell_changed(request, &all);
	}
	neighbours_free(&all);
	return problem;
}

/* --- leaving ---------------------------------------------------------------------------------- */

void nearby_put_leave(struct request *request, struct printbuf *pipeline)
{
	store_put_time(pipeline);
	whereabouts_put_leave(pipeline, request->store, &request->token.user, request->token.name,
			      request->token.issued);
}

struct problem nearby_tell_left(struct request *request, size_t first)
{
	struct problem problem;
	struct place before;
	const struct cell *shown;
	int64_t now;

	problem = request_check(request,
				whereabouts_read_leave(request->replies[first + 1], &before));
	if (problem.kind != PROBLEM_NONE)
		return problem;
	if (!store_read_time(request->replies[first], &now))
		return request_bad_reply(request);
	shown = place_shown(&before, now);
	return shown != NULL ? announce(request, shown, NULL, now) : problem;
}

struct problem location_delete(struct request *request)
{
	struct problem problem;

	nearby_put_leave(request, request_touch(request, "activity"));
	problem = request_ask_touched(request, NEARBY_LEAVE);
	request->status = 204;
	return problem.kind == PROBLEM_NONE ? nearby_tell_left(request, 1) : problem;
}

/* --- a point ---------------------------------------------------------------------------------- */

struct point {
	double latitude, longitude;
};

/* A number of degrees, not farther from zero than `most`. */
static bool parse_degrees(struct json_object *value, double most, double *degrees)
{
	if (!json_object_is_type(value, json_type_double) &&
	    !json_object_is_type(value, json_type_int))
		return false;
	*degrees = json_object_get_double(value);
	return *degrees >= -most && *degrees <= most;
}

static struct problem parse(struct json_object *body, struct point *point)
{
	if (!parse_degrees(json_member(body, "lat"), 90, &point->latitude))
		return request_refuse(PROBLEM_BAD_VALUE,
				      "\"lat\" is a number of degrees from -90 to 90.");
	if (!parse_degrees(json_member(body, "lon"), 180, &point->longitude))
		return request_refuse(PROBLEM_BAD_VALUE,
				      "\"lon\" is a number of degrees from -180 to 180.");
	return request_done();
}

/* What is known of where the caller is. */
struct known {
	struct place place;
	char text[PLACE_TEXT_MAX]; /* as it was read; "" = none */
	int64_t now;
};

/* Also one that no program of ours wrote, unless it is longer. */
static void copy_text(char text[PLACE_TEXT_MAX], const redisReply *value)
{
	size_t len = value->type == REDIS_REPLY_STRING ? value->len : 0;

	text[0] = '\0';
	if (len > 0 && len < PLACE_TEXT_MAX)
		strcpy(text, value->str);
}

/* Without a place the marks may still hold. */
static struct problem ask_known(struct request *request, struct known *known)
{
	struct printbuf *pipeline = request_touch(request, "activity");
	const redisReply *keys;
	struct problem problem;

	store_put_time(pipeline);
	put_keys(pipeline, request->store, &request->token.user, KEYS);
	problem = request_ask_touched(request, 2);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	keys = request->replies[2];
	if (!store_read_time(request->replies[1], &known->now) || !is_answer(keys, KEYS))
		return request_bad_reply(request);
	if (!settings_read(keys->element[SETTINGS]).nearby)
		return request_refuse(PROBLEM_SHARING_OFF, NULL);
	known->place = read_place(keys->element[CELL]);
	if (known->place.looked == 0)
		known->place = read_place(keys->element[MARKS]);
	copy_text(known->text, keys->element[CELL]);
	return problem;
}

static struct problem keep(struct request *request, const struct known *before,
			   const struct place *after, bool *kept)
{
	struct problem problem;

	whereabouts_put(request_pipeline(request), request->store,
			&(struct whereabouts){
				.user = &request->token.user,
				.tok = request->token.name,
				.iat = request->token.issued,
				.before = before->text,
				.place = after,
			});
	problem = request_ask(request, 1);
	if (problem.kind == PROBLEM_NONE)
		problem = request_check(request, whereabouts_read(request->replies[0], kept));
	return problem;
}

/* Whether another cell is shown now, or none. */
static bool is_other(const struct cell *before, const struct cell *after)
{
	return (before != NULL) != (after != NULL) ||
	       (before != NULL && !cell_equal(*before, *after));
}

struct problem location_put(struct request *request)
{
	const struct cell *was, *is;
	struct point point;
	struct known known;
	struct place place;
	bool kept;
	struct problem problem = parse(request->body, &point);

	if (problem.kind == PROBLEM_NONE)
		problem = ask_known(request, &known);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	request->status = 204;
	place = known.place;
	if (!place_look(&place, point.latitude, point.longitude, known.now,
			(int32_t)random_below(PLACE_MARK_MS)))
		return problem;
	problem = keep(request, &known, &place, &kept);
	was = place_shown(&known.place, known.now);
	is = place_shown(&place, known.now);
	if (problem.kind == PROBLEM_NONE && kept && is_other(was, is))
		problem = announce(request, was, is, known.now);
	return problem;
}
