/*
 * Who is online, a page at a time.
 *
 * Redis hands the Set out in pieces (SSCAN): a small Set at once, a large one in
 * pieces of about COUNT. Either may be more than a page may hold, so a cursor
 * says where in a piece the next page starts:
 *
 *	N        the piece that SSCAN's cursor N leads to, from its beginning
 *	N:LAST   the same piece, its ids sorted as text, those after LAST
 *
 * A user who is online all the while is on some page, unless Redis shrinks the
 * Set's table between two pages of one piece.
 *
 * Hidden users are left out before the page is cut, so that no cursor names one.
 *
 * Under visibility = friends there is no scan: the caller and the friends,
 * sorted, are asked for one by one (SMISMEMBER), and N is always 0.
 */
#include "api/resources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/settled.h"
#include "api/visibility.h"
#include "base/alloc.h"
#include "base/cgi.h"
#include "store/keys.h"
#include "store/resp.h"
#include "store/status.h"

#define LIMIT_DEFAULT 1000
#define LIMIT_MAX 10000
#define SCAN_CURSOR_MAX 20 /* digits of 2^64 - 1 */
#define CURSOR_SIZE (SCAN_CURSOR_MAX + 1 + USERID_MAX + 1)

struct page {
	size_t limit;
	char scan[SCAN_CURSOR_MAX + 1]; /* SSCAN's cursor */
	struct userid last; /* text "" = from the beginning */
};

static bool is_number(const char *text)
{
	return *text != '\0' && strspn(text, "0123456789") == strlen(text);
}

static bool parse_limit(const char *text, size_t *limit)
{
	if (!is_number(text) || strlen(text) > 5)
		return false;
	*limit = strtoul(text, NULL, 10);
	return *limit >= 1 && *limit <= LIMIT_MAX;
}

static bool parse_cursor(char *text, struct page *page)
{
	char *last = strchr(text, ':');

	if (last != NULL) {
		*last++ = '\0';
		if (!userid_parse(last, strlen(last), &page->last))
			return false;
	}
	errno = 0;
	if (!is_number(text) || strlen(text) > SCAN_CURSOR_MAX)
		return false;
	strtoull(text, NULL, 10); /* Redis refuses what does not fit */
	memcpy(page->scan, text, strlen(text) + 1);
	return errno == 0;
}

static bool parse_page(struct request *request, struct page *page)
{
	char limit[8], cursor[CURSOR_SIZE];
	enum cgi_query has_limit, has_cursor;

	memset(page, 0, sizeof *page);
	page->limit = LIMIT_DEFAULT;
	page->scan[0] = '0';
	has_limit = cgi_query_get(request->env, "limit", limit, sizeof limit);
	has_cursor = cgi_query_get(request->env, "cursor", cursor, sizeof cursor);
	if (has_limit == CGI_QUERY_BAD || has_cursor == CGI_QUERY_BAD)
		return false;
	if (has_limit == CGI_QUERY_FOUND && !parse_limit(limit, &page->limit))
		return false;
	return has_cursor == CGI_QUERY_ABSENT || cursor[0] == '\0' || parse_cursor(cursor, page);
}

/*
 * Appends one page of `count` ids: sorts them and takes up to the limit after
 * page->last. `next` is SSCAN's cursor of the piece after this one.
 */
static void put_page(struct printbuf *out, const struct page *page, struct userid *ids,
		     size_t count, const char *next)
{
	const struct userid *last = &page->last;
	size_t put = 0, i = 0;

	qsort(ids, count, sizeof *ids, userid_compare);
	buf_puts(out, "{\"user_ids\":[");
	for (; i < count && put < page->limit; i++) {
		if (strcmp(ids[i].text, last->text) <= 0)
			continue;
		buf_puts(out, put++ == 0 ? "" : ",");
		userid_put_json(out, &ids[i]);
		last = &ids[i];
	}
	buf_puts(out, "],\"cursor\":");
	if (i < count)
		buf_putf(out, "\"%s:%s\"}", page->scan, last->text);
	else if (strcmp(next, "0") != 0)
		buf_putf(out, "\"%s\"}", next);
	else
		buf_puts(out, "null}");
}

/* What SSCAN answers: [cursor, [member, ...]]. */
static bool is_scanned(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
	       reply->element[0]->type == REDIS_REPLY_STRING &&
	       reply->element[1]->type == REDIS_REPLY_ARRAY;
}

/* The ids among the members, which the caller frees; what somebody else put into the Set and is
 * not one is passed over. */
static struct userid *read_ids(const redisReply *members, size_t *count)
{
	struct userid *ids = xcalloc(members->elements, sizeof *ids);

	*count = 0;
	for (size_t i = 0; i < members->elements; i++) {
		const redisReply *member = members->element[i];

		if (member->type == REDIS_REPLY_STRING &&
		    userid_parse(member->str, member->len, &ids[*count]))
			++*count;
	}
	return ids;
}

static struct watched *make_list(const struct userid *ids, size_t count)
{
	struct watched *list = xcalloc(count, sizeof *list);

	for (size_t i = 0; i < count; i++)
		list[i].id = &ids[i];
	return list;
}

/* Keeps the ids that are not hidden; returns how many. */
static size_t drop_hidden(struct userid *ids, const struct watched *list, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (!list[i].hidden)
			ids[kept++] = ids[i];
	}
	return kept;
}

/* Who is online is known only now, so blocks are asked for in a second round trip. */
static struct problem put_scanned(struct request *request, const struct page *page)
{
	const redisReply *reply = request->replies[1];
	char next[SCAN_CURSOR_MAX + 1];
	struct problem problem;
	struct userid *ids;
	struct watched *list;
	size_t count;

	if (!is_scanned(reply) || reply->element[0]->len >= sizeof next)
		return request_bad_reply(request);
	memcpy(next, reply->element[0]->str, reply->element[0]->len + 1);
	ids = read_ids(reply->element[1], &count);
	list = make_list(ids, count);
	problem = request_ask(
		request, visibility_put_blocks(request, request_pipeline(request), list, count));
	if (problem.kind == PROBLEM_NONE && !visibility_read_blocks(request, 0, list, count))
		problem = request_bad_reply(request);
	if (problem.kind == PROBLEM_NONE)
		put_page(request->answer, page, ids, drop_hidden(ids, list, count), next);
	free(list);
	free(ids);
	return problem;
}

static struct problem answer_everyone(struct request *request, const struct page *page)
{
	struct printbuf *pipeline = request_touch(request, "activity");
	struct problem problem;

	resp_begin(pipeline, 5);
	resp_text(pipeline, "SSCAN");
	resp_key(pipeline, store_prefix(request->service->store), KEY_ONLINE_USERS, "");
	resp_text(pipeline, page->scan);
	resp_text(pipeline, "COUNT");
	resp_number(pipeline, (int64_t)page->limit);
	status_put_mget(pipeline, store_prefix(request->service->store), 0);
	problem = request_ask_touched(request, 2);
	if (problem.kind == PROBLEM_NONE)
		problem = settled_check(request, request->replies[2]);
	return problem.kind == PROBLEM_NONE ? put_scanned(request, page) : problem;
}

/* Hides those of whom SMISMEMBER does not say 1. */
static void hide_offline(struct watched *list, size_t count, const redisReply *reply)
{
	for (size_t i = 0; i < count; i++)
		list[i].hidden |= reply->element[i]->type != REDIS_REPLY_INTEGER ||
				  reply->element[i]->integer != 1;
}

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

static struct problem put_circle(struct request *request, const struct page *page,
				 struct userid *ids, struct watched *list, size_t count)
{
	struct printbuf *pipeline = request_touch(request, "activity");
	const char *prefix = store_prefix(request->service->store);
	struct problem problem;
	const redisReply *online;

	resp_begin(pipeline, (unsigned)(2 + count));
	resp_text(pipeline, "SMISMEMBER");
	resp_key(pipeline, prefix, KEY_ONLINE_USERS, "");
	for (size_t i = 0; i < count; i++)
		resp_text(pipeline, ids[i].text);
	status_put_mget(pipeline, prefix, 0);
	problem = request_ask_touched(request,
				      2 + visibility_put_blocks(request, pipeline, list, count));
	if (problem.kind == PROBLEM_NONE)
		problem = settled_check(request, request->replies[2]);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	online = request->replies[1];
	if (online->type != REDIS_REPLY_ARRAY || online->elements != count ||
	    !visibility_read_blocks(request, 3, list, count))
		return request_bad_reply(request);
	hide_offline(list, count, online);
	put_page(request->answer, page, ids, drop_hidden(ids, list, count), "0");
	return problem;
}

static struct problem answer_friends(struct request *request, const struct page *page)
{
	struct userid *ids;
	size_t count;
	struct problem problem = load_circle(request, &ids, &count);

	if (problem.kind == PROBLEM_NONE) {
		struct watched *list = make_list(ids, count);

		problem = put_circle(request, page, ids, list, count);
		free(list);
	}
	free(ids);
	return problem;
}

struct problem online_page(struct request *request)
{
	struct page page;

	if (!parse_page(request, &page))
		return request_refuse(PROBLEM_BAD_PARAMETER,
				      "\"limit\" is a number from 1 to 10000, \"cursor\" what the "
				      "page before gave.");
	return request->service->config->presence.visibility == VISIBLE_TO_FRIENDS
		       ? answer_friends(request, &page)
		       : answer_everyone(request, &page);
}
