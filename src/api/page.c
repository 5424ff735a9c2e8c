#include "api/page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cgi.h"

#define LIMIT_DEFAULT 1000
#define LIMIT_MAX 10000
#define CURSOR_SIZE (5 + PAGE_SCAN_MAX + 1 + USERID_MAX + 1)

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

/* Takes "P." off the front of the text; NULL when it is not there. */
static char *take_partition(char *text, struct page *page)
{
	char *dot = strchr(text, '.');

	if (dot == NULL)
		return NULL;
	*dot = '\0';
	if (!is_number(text) || strlen(text) > 4)
		return NULL;
	page->partition = (unsigned)strtoul(text, NULL, 10);
	return page->partition < page->partitions ? dot + 1 : NULL;
}

static bool parse_cursor(char *text, struct page *page)
{
	char *last;

	if (page->partitions > 1 && (text = take_partition(text, page)) == NULL)
		return false;
	last = strchr(text, ':');

	if (last != NULL) {
		*last++ = '\0';
		if (!userid_parse(last, strlen(last), &page->last))
			return false;
	}
	errno = 0;
	if (!is_number(text) || strlen(text) > PAGE_SCAN_MAX)
		return false;
	strtoull(text, NULL, 10); /* Redis refuses what does not fit */
	memcpy(page->scan, text, strlen(text) + 1);
	return errno == 0;
}

bool page_parse(const struct request *request, struct page *page)
{
	char limit[8], cursor[CURSOR_SIZE];
	enum cgi_query has_limit, has_cursor;

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

/* What SSCAN answers: [cursor, [member, ...]]. */
static bool is_scanned(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
	       reply->element[0]->type == REDIS_REPLY_STRING &&
	       reply->element[1]->type == REDIS_REPLY_ARRAY;
}

/* --- pieces ---------------------------------------------------------------------------------- */

void pieces_free(struct pieces *pieces)
{
	free(pieces->list);
	free(pieces->ids);
}

static struct piece *add_piece(struct pieces *pieces, unsigned partition, const char *scan,
			       const char *next, size_t ids)
{
	struct piece *piece;

	pieces->list = xrealloc(pieces->list, (pieces->count + 1) * sizeof *pieces->list);
	pieces->ids = xrealloc(pieces->ids, (pieces->id_count + ids + 1) * sizeof *pieces->ids);
	piece = &pieces->list[pieces->count++];
	memset(piece, 0, sizeof *piece);
	piece->partition = partition;
	strcpy(piece->scan, scan);
	strcpy(piece->next, next);
	piece->start = pieces->id_count;
	return piece;
}

static bool has_more(const struct piece *piece)
{
	return strcmp(piece->next, "0") != 0;
}

bool pieces_go_on(const struct pieces *pieces)
{
	return has_more(&pieces->list[pieces->count - 1]);
}

/* What somebody else put into the Set and is not an id is passed over. */
bool pieces_add_scan(struct pieces *pieces, unsigned partition, const char *scan,
		     const redisReply *reply)
{
	const redisReply *members;
	struct piece *piece;

	if (!is_scanned(reply) || reply->element[0]->len > PAGE_SCAN_MAX)
		return false;
	members = reply->element[1];
	piece = add_piece(pieces, partition, scan, reply->element[0]->str, members->elements);
	for (size_t i = 0; i < members->elements; i++) {
		const redisReply *member = members->element[i];
		struct userid *id = &pieces->ids[piece->start + piece->count];

		piece->count += member->type == REDIS_REPLY_STRING &&
				userid_parse(member->str, member->len, id);
	}
	pieces->id_count += piece->count;
	return true;
}

void pieces_add_list(struct pieces *pieces, const struct watched *list, size_t count)
{
	struct piece *piece = add_piece(pieces, 0, "0", "0", count);

	for (size_t i = 0; i < count; i++) {
		if (!list[i].hidden)
			pieces->ids[piece->start + piece->count++] = *list[i].id;
	}
	pieces->id_count += piece->count;
}

void pieces_drop_hidden(struct pieces *pieces, const struct watched *list)
{
	for (size_t i = 0; i < pieces->count; i++) {
		struct piece *piece = &pieces->list[i];
		size_t kept = 0;

		for (size_t j = 0; j < piece->count; j++) {
			if (!list[piece->start + j].hidden)
				pieces->ids[piece->start + kept++] = pieces->ids[piece->start + j];
		}
		piece->count = kept;
	}
}

/* --- the page -------------------------------------------------------------------------------- */

static void put_cursor(struct printbuf *out, const struct page *page, unsigned partition,
		       const char *scan, const char *last)
{
	buf_puts(out, "\"");
	if (page->partitions > 1)
		buf_putf(out, "%u.", partition);
	buf_putf(out, "%s%s%s\"}", scan, *last != '\0' ? ":" : "", last);
}

/* The ids of a piece after `last`, while there is room; returns the last one when it has more. */
static const char *put_piece(struct printbuf *out, const struct page *page, struct userid *ids,
			     size_t count, const char *last, size_t *put)
{
	size_t i = 0;

	qsort(ids, count, sizeof *ids, userid_compare);
	for (; i < count && *put < page->limit; i++) {
		if (strcmp(ids[i].text, last) <= 0)
			continue;
		buf_puts(out, (*put)++ == 0 ? "" : ",");
		userid_put_json(out, &ids[i]);
		last = ids[i].text;
	}
	return i < count ? last : NULL;
}

void page_put(struct printbuf *out, const struct page *page, struct pieces *pieces)
{
	const struct piece *piece = &pieces->list[0];
	const char *last = page->last.text, *cut;
	size_t put = 0;

	buf_puts(out, "{\"user_ids\":[");
	for (;; piece++) {
		cut = put_piece(out, page, pieces->ids + piece->start, piece->count, last, &put);
		last = "";
		if (cut != NULL || piece == &pieces->list[pieces->count - 1] || put == page->limit)
			break;
	}
	buf_puts(out, "],\"cursor\":");
	if (cut != NULL)
		put_cursor(out, page, piece->partition, piece->scan, cut);
	else if (has_more(piece))
		put_cursor(out, page, piece->partition, piece->next, "");
	else if (piece->partition + 1 < page->partitions)
		put_cursor(out, page, piece->partition + 1, "0", "");
	else
		buf_puts(out, "null}");
}
