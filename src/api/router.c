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

enum route_result router_find(const struct route *routes, size_t count, unsigned hidden,
			      const char *base, const char *method, const char *path,
			      struct route_match *match)
{
	size_t base_len = strlen(base), used = 0, id_len;
	const char *id;
	bool is_get;

	memset(match, 0, sizeof *match);
	if (strncmp(path, base, base_len) != 0)
		return ROUTE_UNKNOWN_PATH;
	path += base_len;
	for (const struct route *route = routes; route < routes + count; route++) {
		if ((route->flags & hidden) != 0 || !path_matches(route->path, path, &id, &id_len))
			continue;
		is_get = strcmp(route->method, "GET") == 0;
		used += (size_t)snprintf(match->allow + used, sizeof match->allow - used, "%s, ",
					 is_get ? "GET, HEAD" : route->method);
		if (strcmp(route->method, method) == 0 || (is_get && strcmp(method, "HEAD") == 0)) {
			match->route = route;
			match->id = id;
			match->id_len = id_len;
		}
	}
	if (used == 0)
		return ROUTE_UNKNOWN_PATH;
	snprintf(match->allow + used, sizeof match->allow - used, "OPTIONS");
	return match->route != NULL ? ROUTE_FOUND : ROUTE_OTHER_METHOD;
}
