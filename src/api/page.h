/*
 * A page of a long list of users that Redis hands out in pieces (SSCAN): a small
 * Set at once, a large one in pieces of about COUNT. Either may be more than a
 * page may hold, so a cursor says where in a piece the next page starts:
 *
 *	N        the piece that SSCAN's cursor N leads to, from its beginning
 *	N:LAST   the same piece, its ids sorted as text, those after LAST
 *
 * Where there are several partitions each has its Set, one comes after the other,
 * and the number of the partition stands in front: P.N, P.N:LAST.
 */
#ifndef PRESENCE_API_PAGE_H
#define PRESENCE_API_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "api/visibility.h"

#define PAGE_SCAN_MAX 20 /* digits of 2^64 - 1 */

struct page {
	size_t limit;
	unsigned partitions; /* how many there are */
	unsigned partition;
	char scan[PAGE_SCAN_MAX + 1]; /* SSCAN's cursor */
	struct userid last; /* text "" = from the beginning */
};

/* Reads `limit` and `cursor` of a request; page->partitions is set. False: one is wrong. */
bool page_parse(const struct request *request, struct page *page);

/* What one SSCAN gave. */
struct piece {
	unsigned partition;
	char scan[PAGE_SCAN_MAX + 1], next[PAGE_SCAN_MAX + 1]; /* its cursor, the one after it */
	size_t start, count; /* of the ids */
};

/* Pieces in a row, of which a page is made. Starts as zeros; free with pieces_free(). */
struct pieces {
	struct piece *list;
	size_t count;
	struct userid *ids;
	size_t id_count;
};
void pieces_free(struct pieces *pieces);

/* Adds the answer to an SSCAN of a partition; false: it is not one. */
bool pieces_add_scan(struct pieces *pieces, unsigned partition, const char *scan,
		     const redisReply *reply);
/* Adds those of a list that are not hidden, as a piece that is a whole Set. */
void pieces_add_list(struct pieces *pieces, const struct watched *list, size_t count);
/* Takes out those that are hidden in a list of all ids. */
void pieces_drop_hidden(struct pieces *pieces, const struct watched *list);
/* Whether the last piece is not the last of its Set. */
bool pieces_go_on(const struct pieces *pieces);

/*
 * Appends the page as JSON: each piece sorted, up to the limit, from page->last
 * of the first one on. There is at least one piece.
 */
void page_put(struct printbuf *out, const struct page *page, struct pieces *pieces);

#endif
