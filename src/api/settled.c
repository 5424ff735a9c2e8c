#include "api/settled.h"

#include <string.h>

#include "store/status.h"
#include "store/store.h"

struct problem settled_refuse(void)
{
	return request_refuse(PROBLEM_REDIS_UNAVAILABLE,
			      "Redis lost what it held and is being filled again; try again "
			      "shortly.");
}

struct problem settled_check(struct request *request, const struct store *store,
			     const redisReply *reply)
{
	if (service_has_lost_epoch(request->service, store, status_epoch(reply) != NULL) ||
	    status_is_recovering(reply))
		return settled_refuse();
	return request_done();
}
