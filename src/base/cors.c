#include "base/cors.h"

#include <stdbool.h>
#include <string.h>

#define PREFLIGHT_MAX_AGE 600 /* seconds that a browser may remember a preflight's answer */

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
		buf_puts(out, "Access-Control-Expose-Headers: Retry-After, WWW-Authenticate\r\n");
}

void cors_put_options(struct printbuf *out, const char *allowed, const char *origin,
		      const char *methods)
{
	buf_putf(out, "Status: 204 No Content\r\nAllow: %s\r\nCache-Control: no-store\r\n",
		 methods);
	cors_put_fields(out, allowed, origin);
	if (match_origin(allowed, origin) != MATCH_NONE)
		buf_putf(out,
			 "Access-Control-Allow-Methods: %s\r\n"
			 "Access-Control-Allow-Headers: Authorization, Content-Type\r\n"
			 "Access-Control-Max-Age: %d\r\n",
			 methods, PREFLIGHT_MAX_AGE);
	buf_puts(out, "\r\n");
}
