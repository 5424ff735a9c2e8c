#include "api/visibility.h"

#include <stdlib.h>
#include <string.h>

#include "store/blocks.h"
#include "store/resp.h"

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

/* --- blocks ---------------------------------------------------------------------------------- */

static size_t part_of(size_t count, size_t done)
{
	return count - done < BLOCKS_ASKED_MAX ? count - done : BLOCKS_ASKED_MAX;
}

size_t visibility_put_blocks(struct request *request, const struct watched *list, size_t count)
{
	struct printbuf *pipeline = request_to(request, request->store);
	const char *prefix = store_prefix(request->store);
	size_t commands = 0;

	for (size_t done = 0; done < count; done += BLOCKS_ASKED_MAX) {
		size_t part = part_of(count, done);

		for (enum blocks_side side = 0; side < BLOCKS_SIDES; side++) {
			blocks_put_ask(pipeline, prefix, side, &request->token.user, part);
			for (size_t i = 0; i < part; i++)
				resp_text(pipeline, list[done + i].id->text);
			commands++;
		}
	}
	return commands;
}

bool visibility_read_blocks(const struct request *request, size_t first, struct watched *list,
			    size_t count)
{
	for (size_t done = 0; done < count; done += BLOCKS_ASKED_MAX) {
		size_t part = part_of(count, done);
		redisReply *const *sides = request->replies + first;

		if (!blocks_is_answer(sides[BLOCKS_OWN], part) ||
		    !blocks_is_answer(sides[BLOCKS_BY], part))
			return false;
		for (size_t i = 0; i < part; i++) {
			struct watched *watched = &list[done + i];

			/* What somebody else wrote into the Sets hides nobody from the own eyes. */
			watched->hidden |= (blocks_has(sides[BLOCKS_OWN], i) ||
					    blocks_has(sides[BLOCKS_BY], i)) &&
					   !userid_equal(watched->id, &request->token.user);
		}
		first += BLOCKS_SIDES;
	}
	return true;
}
