#include "api/settled.h"

#include <string.h>

#include "base/times.h"
#include "store/status.h"
#include "store/store.h"

/*
 * Between a wipe and the first sweep after it nothing in Redis tells that it was
 * wiped; but this worker has seen an epoch before. Not for ever: where no
 * presence-streamd runs any more, nobody makes another.
 */
static bool has_lost_epoch(struct service *service, bool is_there)
{
	int64_t now = times_mono_ms();

	if (is_there) {
		service->knows_epoch = true;
		service->epoch_lost_ms = 0;
		return false;
	}
	if (!service->knows_epoch)
		return false;
	if (service->epoch_lost_ms == 0)
		service->epoch_lost_ms = now;
	service->knows_epoch = now - service->epoch_lost_ms < store_recovering_ms(service->config);
	return service->knows_epoch;
}

void settled_note(struct request *request)
{
	has_lost_epoch(request->service, store_read_swept(request->replies[0]));
}

struct problem settled_check(struct request *request, const redisReply *reply)
{
	if (has_lost_epoch(request->service, status_epoch(reply) != NULL) ||
	    status_is_recovering(reply))
		return request_refuse(
			PROBLEM_REDIS_UNAVAILABLE,
			"Redis lost what it held and is being filled again; try again "
			"shortly.");
	return request_done();
}
