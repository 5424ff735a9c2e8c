/*
 * Who is online, a page at a time (page.h). A page that is not full goes on with
 * the next partitions.
 *
 * A user who is online all the while is on some page, unless Redis shrinks the
 * Set's table between two pages of one piece.
 *
 * Hidden users are left out before the page is cut, so that no cursor names one.
 *
 * Under visibility = friends there is no scan: the caller and the friends,
 * sorted, are asked for one by one (SMISMEMBER), and the cursor is always 0 or
 * 0:LAST.
 */
#include "api/resources.h"

#include <stdlib.h>

#include "api/page.h"
#include "api/settled.h"
#include "base/alloc.h"
#include "store/keys.h"
#include "store/resp.h"
#include "store/status.h"

#define PARTITIONS_AHEAD 32 /* asked at a time, to fill a page */

static struct watched *make_list(const struct userid *ids, size_t count)
{
	struct watched *list = xcalloc(count, sizeof *list);

	for (size_t i = 0; i < count; i++)
		list[i].id = &ids[i];
	return list;
}

/* --- everyone -------------------------------------------------------------------------------- */

/* Two commands: the SSCAN, and what tells whether it can be believed. */
static void put_scan(struct request *request, const struct page *page, unsigned partition,
		     const char *scan)
{
	const struct store *store = partitions_at(request->service->partitions, partition);
	struct printbuf *pipeline = request_to(request, store);

	resp_begin(pipeline, 5);
	resp_text(pipeline, "SSCAN");
	resp_key(pipeline, store_prefix(store), KEY_ONLINE_USERS, "");
	resp_text(pipeline, scan);
	resp_text(pipeline, "COUNT");
	resp_number(pipeline, (int64_t)page->limit);
	status_put_mget(pipeline, store_prefix(store), 0);
}

static struct problem take_scan(struct request *request, struct pieces *pieces, unsigned partition,
				const char *scan, redisReply *const *replies)
{
	const struct store *store = partitions_at(request->service->partitions, partition);
	struct problem problem = settled_check(request, store, replies[1]);

	if (problem.kind == PROBLEM_NONE && !pieces_add_scan(pieces, partition, scan, replies[0]))
		problem = request_bad_reply(request);
	return problem;
}

/* Whether another partition would have room on the page. */
static bool wants_next(const struct page *page, const struct pieces *pieces)
{
	const struct piece *last = &pieces->list[pieces->count - 1];

	return !pieces_go_on(pieces) && last->partition + 1 < page->partitions &&
	       pieces->id_count < page->limit;
}

/* The next partitions, up to the first that has more than one piece. */
static struct problem scan_ahead(struct request *request, const struct page *page,
				 struct pieces *pieces)
{
	unsigned first = pieces->list[pieces->count - 1].partition + 1;
	unsigned left = page->partitions - first, count;
	struct problem problem;

	count = left < PARTITIONS_AHEAD ? left : PARTITIONS_AHEAD;
	request_pipeline(request);
	for (unsigned i = 0; i < count; i++)
		put_scan(request, page, first + i, "0");
	problem = request_ask(request, (size_t)2 * count);
	for (unsigned i = 0; problem.kind == PROBLEM_NONE && i < count; i++) {
		if (i > 0 && pieces_go_on(pieces))
			break;
		problem = take_scan(request, pieces, first + i, "0", request->replies + 2 * i);
	}
	return problem;
}

/* Who is online is known only now, so blocks are asked for in a further round trip. */
static struct problem hide_blocked(struct request *request, struct pieces *pieces)
{
	struct watched *list = make_list(pieces->ids, pieces->id_count);
	struct problem problem;

	request_pipeline(request);
	problem = request_ask(request, visibility_put_blocks(request, list, pieces->id_count));
	if (problem.kind == PROBLEM_NONE &&
	    !visibility_read_blocks(request, 0, list, pieces->id_count))
		problem = request_bad_reply(request);
	if (problem.kind == PROBLEM_NONE)
		pieces_drop_hidden(pieces, list);
	free(list);
	return problem;
}

static struct problem answer_everyone(struct request *request, const struct page *page)
{
	struct pieces pieces = {.count = 0};
	struct problem problem;

	request_touch(request, "activity");
	put_scan(request, page, page->partition, page->scan);
	problem = request_ask_touched(request, 2);
	if (problem.kind == PROBLEM_NONE)
		problem = take_scan(request, &pieces, page->partition, page->scan,
				    request->replies + 1);
	while (problem.kind == PROBLEM_NONE && wants_next(page, &pieces))
		problem = scan_ahead(request, page, &pieces);
	if (problem.kind == PROBLEM_NONE)
		problem = hide_blocked(request, &pieces);
	if (problem.kind == PROBLEM_NONE)
		page_put(request->answer, page, &pieces);
	pieces_free(&pieces);
	return problem;
}

/* --- friends --------------------------------------------------------------------------------- */

/* The caller and the friends, which who calls this frees. */
static struct problem load_circle(struct request *request, struct userid **ids, size_t *count)
{
	struct friends friends;
	struct problem problem = request_friends(request, &friends);

	*ids = xcalloc(friends.count + 1, sizeof **ids);
	(*ids)[0] = request->token.user;
	for (size_t i = 0; i < friends.count; i++)
		(*ids)[1 + i] = friends.list[i].user;
	*count = friends.count + 1;
	friends_free(&friends);
	return problem;
}

static int by_partition(const void *a, const void *b)
{
	unsigned one = store_partition(((const struct watched *)a)->store);
	unsigned other = store_partition(((const struct watched *)b)->store);

	return one < other ? -1 : one > other;
}

/* How many of the list, from `start` on, are in one partition. */
static size_t run_of(const struct watched *list, size_t start, size_t count)
{
	size_t end = start + 1;

	while (end < count && list[end].store == list[start].store)
		end++;
	return end - start;
}

/* Two commands: which of the users are online, and whether that can be believed. */
static void put_members(struct request *request, const struct watched *list, size_t count)
{
	const struct store *store = list[0].store;
	struct printbuf *pipeline = request_to(request, store);

	resp_begin(pipeline, (unsigned)(2 + count));
	resp_text(pipeline, "SMISMEMBER");
	resp_key(pipeline, store_prefix(store), KEY_ONLINE_USERS, "");
	for (size_t i = 0; i < count; i++)
		resp_text(pipeline, list[i].id->text);
	status_put_mget(pipeline, store_prefix(store), 0);
}

/* Hides those of whom SMISMEMBER does not say 1. */
static struct problem take_members(struct request *request, struct watched *list, size_t count,
				   redisReply *const *replies)
{
	const redisReply *online = replies[0];
	struct problem problem = settled_check(request, list[0].store, replies[1]);

	if (problem.kind != PROBLEM_NONE)
		return problem;
	if (online->type != REDIS_REPLY_ARRAY || online->elements != count)
		return request_bad_reply(request);
	for (size_t i = 0; i < count; i++)
		list[i].hidden |= online->element[i]->type != REDIS_REPLY_INTEGER ||
				  online->element[i]->integer != 1;
	return problem;
}

/* Hides who is offline and whom a block hides; the list is by partition. */
static struct problem ask_members(struct request *request, struct watched *list, size_t count)
{
	struct problem problem;
	size_t commands = 0, run;

	request_touch(request, "activity");
	for (size_t i = 0; i < count; i += run) {
		run = run_of(list, i, count);
		put_members(request, list + i, run);
		commands += 2;
	}
	problem = request_ask_touched(request,
				      commands + visibility_put_blocks(request, list, count));
	commands = 1;
	for (size_t i = 0; problem.kind == PROBLEM_NONE && i < count; i += run) {
		run = run_of(list, i, count);
		problem = take_members(request, list + i, run, request->replies + commands);
		commands += 2;
	}
	if (problem.kind == PROBLEM_NONE && !visibility_read_blocks(request, commands, list, count))
		problem = request_bad_reply(request);
	return problem;
}

static struct problem answer_friends(struct request *request, const struct page *page)
{
	struct pieces pieces = {.count = 0};
	struct userid *ids;
	size_t count;
	struct problem problem = load_circle(request, &ids, &count);

	if (problem.kind == PROBLEM_NONE) {
		struct watched *list = make_list(ids, count);

		for (size_t i = 0; i < count; i++)
			list[i].store = request_store_of(request, list[i].id);
		qsort(list, count, sizeof *list, by_partition);
		problem = ask_members(request, list, count);
		if (problem.kind == PROBLEM_NONE) {
			pieces_add_list(&pieces, list, count);
			page_put(request->answer, page, &pieces);
		}
		free(list);
	}
	pieces_free(&pieces);
	free(ids);
	return problem;
}

struct problem online_page(struct request *request)
{
	bool friends_alone = request->service->config->presence.visibility == VISIBLE_TO_FRIENDS;
	struct page page = {
		.partitions = friends_alone ? 1 : partitions_count(request->service->partitions)};

	if (!page_parse(request, &page))
		return request_refuse(PROBLEM_BAD_PARAMETER,
				      "\"limit\" is a number from 1 to 10000, \"cursor\" what the "
				      "page before gave.");
	return friends_alone ? answer_friends(request, &page) : answer_everyone(request, &page);
}
