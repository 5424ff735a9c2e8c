/*
 * Properties of CGI variables. The input is REQUEST_URI, QUERY_STRING and a
 * parameter's name, a line each; a line that is missing leaves its variable out.
 * The second is also taken for HTTP_ACCEPT, and its parameter for a watch list.
 * Results are written into memory of their exact size, so that a byte too many shows.
 */
#include "fuzz.h"

#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cgi.h"
#include "base/userids.h"
#include "store/scrape_text.h"

#define WATCH_MAX 8

/* The next line as "PREFIX" + line, or NULL; a NUL ends it early, as in any variable. */
static char *next_line(const uint8_t **data, size_t *size, const char *prefix)
{
	struct printbuf *line;
	size_t len;

	if (*size == 0)
		return NULL;
	len = 0;
	while (len < *size && (*data)[len] != '\n')
		len++;
	line = buf_new();
	buf_puts(line, prefix);
	buf_put(line, *data, strnlen((const char *)*data, len));
	len += len < *size; /* the line's end */
	*data += len;
	*size -= len;
	return buf_take(line, NULL);
}

static void check_path(char *const *env)
{
	const char *uri = cgi_param(env, "REQUEST_URI");
	size_t room = (uri != NULL ? strlen(uri) : 0) + 2, len;
	char *path = xmalloc(room), *exact;

	if (cgi_path(env, path, room)) {
		len = strlen(path);
		REQUIRE(path[0] == '/' && path[strcspn(path, "?#")] == '\0' && len < room);
		exact = xmalloc(len + 1);
		REQUIRE(cgi_path(env, exact, len + 1) && strcmp(path, exact) == 0);
		REQUIRE(!cgi_path(env, exact, len));
		free(exact);
	}
	free(path);
}

static void put_encoded(struct printbuf *out, const char *text)
{
	for (; *text != '\0'; text++)
		buf_putf(out, "%%%02x", (unsigned char)*text);
}

/* A value that was read, written into a query again, is read again. */
static void check_query_again(const char *name, const char *value)
{
	struct printbuf *query = buf_new();
	char *again = xmalloc(strlen(value) + 1);
	char *env[2] = {NULL, NULL};

	buf_putf(query, "QUERY_STRING=&a&%s=", name);
	put_encoded(query, value);
	buf_puts(query, "&b=c#d");
	env[0] = query->buf;
	REQUIRE(cgi_query_get(env, name, again, strlen(value) + 1) == CGI_QUERY_FOUND);
	REQUIRE(strcmp(again, value) == 0);
	printbuf_free(query);
	free(again);
}

/* Sorted, each once, and none that the text does not have. */
static void check_watch_list(const char *text)
{
	struct userids *ids;
	const char *id;

	if (userids_parse(text, WATCH_MAX, &ids) != USERIDS_OK)
		return;
	REQUIRE(ids->count <= WATCH_MAX && (ids->count > 0) == (*text != '\0'));
	id = ids->texts;
	for (size_t i = 0; i < ids->count; i++, id = userids_next(id)) {
		REQUIRE(strstr(text, id) != NULL);
		REQUIRE(i + 1 == ids->count || strcmp(id, userids_next(id)) < 0);
	}
	free(ids);
}

static void check_query(char *const *env, const char *name, size_t room)
{
	char *value = xmalloc(room), *exact;
	size_t len;

	memset(value, 'x', room); /* a caller's stack holds anything */
	if (cgi_query_get(env, name, value, room) != CGI_QUERY_FOUND) {
		REQUIRE(*value == '\0');
	} else {
		len = strlen(value);
		REQUIRE(len < room);
		exact = xmalloc(len + 1);
		REQUIRE(cgi_query_get(env, name, exact, len + 1) == CGI_QUERY_FOUND);
		REQUIRE(strcmp(value, exact) == 0);
		if (len > 0)
			REQUIRE(cgi_query_get(env, name, exact, len) == CGI_QUERY_BAD);
		free(exact);
		check_query_again(name, value);
		check_watch_list(value);
	}
	free(value);
}

static void check_decode(const char *text)
{
	size_t len = strlen(text);
	struct printbuf *encoded = buf_new();
	char *decoded = xstrdup(text);

	put_encoded(encoded, text);
	REQUIRE(cgi_decode(encoded->buf) && strcmp(encoded->buf, text) == 0);
	if (cgi_decode(decoded))
		REQUIRE(strlen(decoded) <= len);
	if (strchr(text, '%') == NULL)
		REQUIRE(strcmp(decoded, text) == 0);
	printbuf_free(encoded);
	free(decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = size + 1;
	char *uri = next_line(&data, &size, "REQUEST_URI=");
	char *query = next_line(&data, &size, "QUERY_STRING=");
	char *name = next_line(&data, &size, "");
	char *env[3] = {uri, query, NULL};

	check_path(env);
	check_query(env, "ticket", room);
	if (name != NULL && name[strcspn(name, "&#=")] == '\0')
		check_query(env, name, room);
	if (uri != NULL)
		check_decode(uri);
	if (query != NULL)
		scrape_content_type(scrape_format_of(strchr(query, '=') + 1));
	free(uri);
	free(query);
	free(name);
	return 0;
}
