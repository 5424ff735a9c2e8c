#include "base/cors.h"

#include <stdbool.h>
#include <string.h>

#define PREFLIGHT_MAX_AGE 600 /* seconds that a browser may remember a preflight's answer */
#define REQUESTED_MAX 1024 /* bytes of field names that a preflight may ask for */
/* What every call takes; a path that lacks one answers 405, which a page can read. */
#define METHODS "GET, HEAD, POST, PUT, DELETE, OPTIONS"
#define FIELDS "Authorization, Content-Type"

enum match { MATCH_NONE, MATCH_EXACT, MATCH_ANY };

static enum match match_origin(const char *allowed, const char *origin)
{
	if (origin == NULL)
		return MATCH_NONE;
	if (strcmp(allowed, "*") == 0)
		return MATCH_ANY;
	while (*allowed != '\0') {
		size_t len;

		allowed += strspn(allowed, ", \t");
		len = strcspn(allowed, ", \t");
		if (len > 0 && strlen(origin) == len && memcmp(allowed, origin, len) == 0)
			return MATCH_EXACT;
		allowed += len;
	}
	return MATCH_NONE;
}

void cors_put_fields(struct printbuf *out, const char *allowed, const char *origin)
{
	enum match match = match_origin(allowed, origin);

	if (*allowed == '\0')
		return;
	if (match == MATCH_ANY) {
		buf_puts(out, "Access-Control-Allow-Origin: *\r\n");
	} else {
		/* Also to origins that are refused: caches must not mix the answers up. */
		buf_puts(out, "Vary: Origin\r\n");
		if (match == MATCH_EXACT)
			buf_putf(out,
				 "Access-Control-Allow-Origin: %s\r\n"
				 "Access-Control-Allow-Credentials: true\r\n",
				 origin);
	}
	if (match != MATCH_NONE)
		buf_puts(out, "Access-Control-Expose-Headers: Retry-After, WWW-Authenticate, "
			      "X-Request-Id\r\n");
}

/* RFC 9110 section 5.6.2. */
static bool is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Whether this is a list of field names and nothing else, so that it can be repeated. */
static bool is_list_of_names(const char *list)
{
	size_t len = 0;

	if (list == NULL || strlen(list) > REQUESTED_MAX)
		return false;
	for (; *list != '\0'; list++) {
		if (is_token(*list))
			len++;
		else if (strchr(", \t", *list) == NULL)
			return false;
	}
	return len > 0;
}

void cors_put_options(struct printbuf *out, const char *allowed, const char *origin,
		      const char *requested, const char *methods, const char *fields)
{
	buf_putf(out, "Status: 204 No Content\r\nAllow: %s\r\nCache-Control: no-store\r\n",
		 methods);
	buf_puts(out, fields);
	if (match_origin(allowed, origin) != MATCH_NONE)
		buf_putf(out,
			 "Vary: Access-Control-Request-Headers\r\n"
			 "Access-Control-Allow-Methods: " METHODS "\r\n"
			 "Access-Control-Allow-Headers: %s\r\n"
			 "Access-Control-Max-Age: %d\r\n",
			 is_list_of_names(requested) ? requested : FIELDS, PREFLIGHT_MAX_AGE);
	buf_puts(out, "\r\n");
}
