#include "stream/state.h"

#include "base/log.h"

const char *state_name(const struct state_names *names, unsigned state)
{
	return state < names->count ? names->names[state] : "?";
}

void state_moved(const struct state_names *names, const struct due *due, unsigned from, unsigned to)
{
	if (from != to && log_is_wanted(LOG_LEVEL_DEBUG))
		log_about(due->request_id, LOG_LEVEL_DEBUG, "stream %u: %s %s -> %s", due->number,
			  names->machine, state_name(names, from), state_name(names, to));
}
