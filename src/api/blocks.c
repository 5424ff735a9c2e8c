/* Whom the caller blocks: neither of the two sees the other (docs/api.md, "Blocks"). */
#include <stdlib.h>

#include "api/resources.h"
#include "api/settled.h"
#include "base/alloc.h"
#include "store/blocks.h"
#include "store/keys.h"
#include "store/resp.h"
#include "store/status.h"

#define NAME(text) #text
#define TEXT(number) NAME(number)

/* --- the list -------------------------------------------------------------------------------- */

static void put_list(struct printbuf *out, const redisReply *members)
{
	struct userid *ids = xcalloc(members->elements, sizeof *ids);
	size_t count = 0;

	for (size_t i = 0; i < members->elements; i++) {
		const redisReply *member = members->element[i];

		if (member->type == REDIS_REPLY_STRING &&
		    userid_parse(member->str, member->len, &ids[count]))
			count++;
	}
	qsort(ids, count, sizeof *ids, userid_compare);
	buf_puts(out, "{\"user_ids\":[");
	for (size_t i = 0; i < count; i++) {
		buf_puts(out, i == 0 ? "" : ",");
		userid_put_json(out, &ids[i]);
	}
	buf_puts(out, "]}");
	free(ids);
}

struct problem blocks_list(struct request *request)
{
	struct printbuf *pipeline = request_touch(request, "activity");
	struct problem problem;

	resp_begin(pipeline, 2);
	resp_text(pipeline, "SMEMBERS");
	resp_key(pipeline, store_prefix(request->store), KEY_BLOCKED, request->token.user.text);
	problem = request_ask_touched(request, 1);
	if (problem.kind == PROBLEM_NONE && request->replies[1]->type != REDIS_REPLY_ARRAY)
		problem = request_bad_reply(request);
	if (problem.kind == PROBLEM_NONE)
		put_list(request->answer, request->replies[1]);
	return problem;
}

/* --- changes --------------------------------------------------------------------------------- */

/*
 * Lets the token in before anything is written, and looks whether it may be. While a wiped Redis is filled
 * again no block ends: streams that have not heard of it would put it back.
 */
static struct problem check_change(struct request *request, bool adds)
{
	struct printbuf *pipeline = request_touch(request, "activity");
	struct problem problem;
	enum store_verdict verdict;
	int64_t wait;

	blocks_put_may(pipeline, request->store, &request->token.user, request->token.name,
		       request->token.issued, &request->id, adds);
	if (!adds)
		status_put_mget(pipeline, store_prefix(request->store), 0);
	problem = request_ask_touched(request, adds ? 1 : 2);
	if (problem.kind == PROBLEM_NONE && !adds)
		problem = settled_check(request, request->store, request->replies[2]);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	verdict = blocks_read_may(request->replies[1], &wait);
	if (verdict == STORE_TOO_MANY)
		return request_refuse(PROBLEM_TOO_MANY_BLOCKS,
				      "At most " TEXT(BLOCKS_MAX) " users may be blocked.");
	if (verdict != STORE_TOO_OFTEN)
		return request_check(request, verdict);
	problem = request_refuse(
		PROBLEM_TOO_OFTEN,
		"Blocks may be changed " TEXT(BLOCKS_CHANGES_MAX) " times in 30 seconds.");
	problem.retry_after = (int)wait;
	return problem;
}

static void put_step(struct request *request, bool adds, unsigned step)
{
	const struct userid *user = &request->token.user, *other = &request->id;
	const struct store *store =
		request_store_of(request, blocks_owner(user, other, adds, step));

	blocks_put(request_to(request, store), store, user, other, adds, step);
}

static struct problem change(struct request *request, bool adds)
{
	const struct store *own = request->store, *other = request_store_of(request, &request->id);
	/* Servers do not wait for each other: the side that hides first is asked for first. */
	unsigned together = nodes_are_one(request->service->nodes, own, other) ? BLOCKS_STEPS : 1;
	struct problem problem = check_change(request, adds);

	request->status = 204;
	for (unsigned step = 0; problem.kind == PROBLEM_NONE && step < BLOCKS_STEPS;
	     step += together) {
		request_pipeline(request);
		for (unsigned i = 0; i < together; i++)
			put_step(request, adds, step + i);
		problem = request_ask(request, together);
	}
	return problem;
}

struct problem blocks_add(struct request *request)
{
	if (userid_equal(&request->id, &request->token.user))
		return request_refuse(PROBLEM_BAD_VALUE,
				      "The path's id is one's own: nobody blocks oneself.");
	return change(request, true);
}

struct problem blocks_remove(struct request *request)
{
	return change(request, false);
}
