#include "api/router.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ID_SEGMENT "{id}"

/* Whether the path is the pattern's; tells where {id} is, if the pattern has one. */
static bool path_matches(const char *pattern, const char *path, const char **id, size_t *id_len)
{
	const char *segment = strstr(pattern, ID_SEGMENT);
	size_t head, len;

	*id = NULL;
	*id_len = 0;
	if (segment == NULL)
		return strcmp(pattern, path) == 0;
	head = (size_t)(segment - pattern);
	if (strncmp(pattern, path, head) != 0)
		return false;
	len = strcspn(path + head, "/");
	if (len == 0 || strcmp(segment + strlen(ID_SEGMENT), path + head + len) != 0)
		return false;
	*id = path + head;
	*id_len = len;
	return true;
}

static bool method_matches(const struct route *route, const char *method)
{
	return strcmp(route->method, method) == 0 ||
	       (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

/* Lists the methods of the path; false when it has none. */
static bool list_methods(const struct route *routes, size_t count, unsigned hidden,
			 const char *path, char allow[ROUTE_ALLOW_MAX])
{
	size_t used = 0, id_len;
	const char *id;

	for (const struct route *route = routes; route < routes + count; route++) {
		if ((route->flags & hidden) != 0 || !path_matches(route->path, path, &id, &id_len))
			continue;
		used += (size_t)snprintf(allow + used, ROUTE_ALLOW_MAX - used, "%s, ",
					 strcmp(route->method, "GET") == 0 ? "GET, HEAD"
									   : route->method);
	}
	if (used > 0)
		snprintf(allow + used, ROUTE_ALLOW_MAX - used, "OPTIONS");
	return used > 0;
}

enum route_result router_find(const struct route *routes, size_t count, unsigned hidden,
			      const char *base, const char *method, const char *path,
			      struct route_match *match)
{
	size_t base_len = strlen(base);

	memset(match, 0, sizeof *match);
	if (strncmp(path, base, base_len) != 0)
		return ROUTE_UNKNOWN_PATH;
	path += base_len;
	for (const struct route *route = routes; route < routes + count; route++) {
		if ((route->flags & hidden) == 0 && method_matches(route, method) &&
		    path_matches(route->path, path, &match->id, &match->id_len)) {
			match->route = route;
			return ROUTE_FOUND;
		}
	}
	return list_methods(routes, count, hidden, path, match->allow) ? ROUTE_OTHER_METHOD
								       : ROUTE_UNKNOWN_PATH;
}
