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
 * Under visibility = friends there is no scan: the caller and the friends,
 * sorted, are asked for one by one (SMISMEMBER), and N is always 0.
 */
#include "api/resources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/settled.h"
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

/* Reads what SSCAN answers: [cursor, [member, ...]]. */
static bool put_scanned(struct printbuf *out, const struct page *page, const redisReply *reply)
{
	const redisReply *members;
	struct userid *ids;
	size_t count = 0;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY)
		return false;
	members = reply->element[1];
	ids = xcalloc(members->elements, sizeof *ids);
	for (size_t i = 0; i < members->elements; i++) {
		const redisReply *member = members->element[i];

		/* What somebody else put into the Set and is not a user id is passed over. */
		if (member->type == REDIS_REPLY_STRING &&
		    userid_parse(member->str, member->len, &ids[count]))
			count++;
	}
	put_page(out, page, ids, count, reply->element[0]->str);
	free(ids);
	return true;
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
	if (problem.kind == PROBLEM_NONE &&
	    !put_scanned(request->answer, page, request->replies[1]))
		return request_bad_reply(request);
	return problem;
}

/* Keeps those ids of which SMISMEMBER says 1; returns how many. */
static size_t keep_members(struct userid *ids, size_t count, const redisReply *reply)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (reply->element[i]->type == REDIS_REPLY_INTEGER &&
		    reply->element[i]->integer == 1)
			ids[kept++] = ids[i];
	}
	return kept;
}

static struct problem answer_friends(struct request *request, const struct page *page)
{
	struct printbuf *pipeline;
	struct friends friends;
	struct userid *ids;
	size_t count = 0;
	struct problem problem = request_friends(request, &friends);

	if (problem.kind != PROBLEM_NONE)
		return problem;
	ids = xcalloc(friends.count + 1, sizeof *ids);
	ids[count++] = request->token.user;
	for (size_t i = 0; i < friends.count; i++)
		ids[count++] = friends.list[i].user;
	friends_free(&friends);

	pipeline = request_touch(request, "activity");
	resp_begin(pipeline, (unsigned)(2 + count));
	resp_text(pipeline, "SMISMEMBER");
	resp_key(pipeline, store_prefix(request->service->store), KEY_ONLINE_USERS, "");
	for (size_t i = 0; i < count; i++)
		resp_text(pipeline, ids[i].text);
	status_put_mget(pipeline, store_prefix(request->service->store), 0);
	problem = request_ask_touched(request, 2);
	if (problem.kind == PROBLEM_NONE)
		problem = settled_check(request, request->replies[2]);
	if (problem.kind == PROBLEM_NONE && (request->replies[1]->type != REDIS_REPLY_ARRAY ||
					     request->replies[1]->elements != count))
		problem = request_bad_reply(request);
	if (problem.kind == PROBLEM_NONE)
		put_page(request->answer, page, ids, keep_members(ids, count, request->replies[1]),
			 "0");
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
