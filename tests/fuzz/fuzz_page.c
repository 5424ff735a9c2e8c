/*
 * Properties of a list's pages: the first byte of the input says how many partitions there are, the rest
 * is a query. What is read of it is within its bounds; from there page after page shows every user that
 * is left once, and the cursor of each is one that is taken.
 */
#include "fuzz.h"

#include <json-c/json.h>
#include <string.h>

#include "api/page.h"
#include "base/alloc.h"
#include "base/json.h"

#define PARTITIONS_MAX 4

/* What the Set of each partition holds: SSCAN gives the first ids at cursor 0, the others at any other. */
static char *const first_ids[] = {"anna", "7", "b.c", "10"};
static char *const other_ids[] = {"zoe@x", "a|b:c"};
#define FIRST_COUNT (sizeof first_ids / sizeof *first_ids)
#define OTHER_COUNT (sizeof other_ids / sizeof *other_ids)

static bool is_first(const struct page *page)
{
	return strcmp(page->scan, "0") == 0;
}

/* --- what is read ---------------------------------------------------------------------------- */

static bool parse(const char *query, unsigned partitions, struct page *page)
{
	struct printbuf *variable = buf_new();
	struct request request = {.method = ""};
	bool good;

	buf_putf(variable, "QUERY_STRING=%s", query);
	request.env = (char *const[]){variable->buf, NULL};
	*page = (struct page){.partitions = partitions};
	good = page_parse(&request, page);
	printbuf_free(variable);
	return good;
}

static void check_bounds(const struct page *page)
{
	struct userid id;
	size_t digits = strspn(page->scan, "0123456789");

	REQUIRE(page->limit >= 1 && page->limit <= 10000);
	REQUIRE(page->partition < page->partitions);
	REQUIRE(digits >= 1 && digits <= PAGE_SCAN_MAX && page->scan[digits] == '\0');
	REQUIRE(page->last.text[0] == '\0' ||
		userid_parse(page->last.text, strlen(page->last.text), &id));
}

/* --- page after page ------------------------------------------------------------------------- */

static size_t count_after(char *const *ids, size_t count, const char *last)
{
	size_t after = 0;

	for (size_t i = 0; i < count; i++)
		after += strcmp(ids[i], last) > 0;
	return after;
}

/* How many are left from the beginning of this page on. */
static size_t count_left(const struct page *page)
{
	size_t here = is_first(page)
			      ? count_after(first_ids, FIRST_COUNT, page->last.text) + OTHER_COUNT
			      : count_after(other_ids, OTHER_COUNT, page->last.text);

	return here + (page->partitions - page->partition - 1) * (FIRST_COUNT + OTHER_COUNT);
}

/* What SSCAN answers where the page begins. */
static void add_scan(struct pieces *pieces, const struct page *page)
{
	char *const *ids = is_first(page) ? first_ids : other_ids;
	size_t count = is_first(page) ? FIRST_COUNT : OTHER_COUNT;
	redisReply members[FIRST_COUNT + OTHER_COUNT] = {{0}}, *list[FIRST_COUNT + OTHER_COUNT];
	redisReply next = {.type = REDIS_REPLY_STRING, .str = is_first(page) ? "9" : "0", .len = 1};
	redisReply ids_reply = {.type = REDIS_REPLY_ARRAY, .elements = count, .element = list};
	redisReply *pair[] = {&next, &ids_reply};
	redisReply reply = {.type = REDIS_REPLY_ARRAY, .elements = 2, .element = pair};

	for (size_t i = 0; i < count; i++) {
		members[i] = (redisReply){
			.type = REDIS_REPLY_STRING, .str = ids[i], .len = strlen(ids[i])};
		list[i] = &members[i];
	}
	REQUIRE(pieces_add_scan(pieces, page->partition, page->scan, &reply));
}

/* Shows one page; *page is the next one. Returns whether there is one. */
static bool turn_page(struct page *page, size_t *shown)
{
	struct printbuf *text = buf_new(), *query = buf_new();
	struct pieces pieces = {.count = 0};
	struct json_object *object, *cursor;
	struct page next = *page;
	size_t count;

	add_scan(&pieces, page);
	page_put(text, page, &pieces);
	object = json_tokener_parse(text->buf);
	REQUIRE(object != NULL && json_object_object_get_ex(object, "cursor", &cursor));
	count = json_object_array_length(json_member(object, "user_ids"));
	REQUIRE(count <= page->limit);
	*shown += count;
	if (cursor != NULL) {
		buf_putf(query, "limit=%zu&cursor=%s", page->limit, json_object_get_string(cursor));
		REQUIRE(parse(query->buf, page->partitions, &next));
	}
	*page = next;
	count = cursor != NULL;
	json_object_put(object);
	pieces_free(&pieces);
	printbuf_free(text);
	printbuf_free(query);
	return count > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *query;
	struct page page;
	size_t left, shown = 0;

	if (size == 0)
		return 0;
	query = xstrndup((const char *)data + 1, size - 1);
	if (parse(query, 1 + data[0] % PARTITIONS_MAX, &page)) {
		check_bounds(&page);
		left = count_left(&page);
		while (turn_page(&page, &shown))
			check_bounds(&page);
		REQUIRE(shown == left);
	}
	free(query);
	return 0;
}
