#include "api/visibility.h"

#include <stdlib.h>
#include <string.h>

struct problem visibility_load(struct request *request, struct friends *sorted)
{
	struct problem problem = request_done();

	memset(sorted, 0, sizeof *sorted);
	if (request->service->config->presence.visibility == VISIBLE_TO_FRIENDS)
		problem = request_friends(request, sorted);
	if (sorted->count > 0)
		qsort(sorted->list, sorted->count, sizeof sorted->list[0], userid_compare);
	return problem;
}

bool visibility_allows(const struct request *request, const struct friends *sorted,
		       const struct userid *id)
{
	return request->service->config->presence.visibility == VISIBLE_TO_EVERYONE ||
	       userid_equal(id, &request->token.user) ||
	       (sorted->count > 0 && bsearch(id, sorted->list, sorted->count,
					     sizeof sorted->list[0], userid_compare) != NULL);
}
