#include "api/resources.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "store/store.h"

/* Asks each server about the first partition that it has; returns how many there are. */
static unsigned put_checks(struct request *request)
{
	struct service *service = request->service;
	bool *asked = xcalloc(nodes_count(service->nodes), sizeof *asked);
	unsigned servers = 0;

	for (unsigned i = 0; i < partitions_count(service->partitions); i++) {
		const struct store *store = partitions_at(service->partitions, i);
		unsigned number = nodes_number_of(service->nodes, store);

		if (asked[number])
			continue;
		asked[number] = true;
		servers++;
		store_put_health(request_to(request, store), store, false);
	}
	free(asked);
	return servers;
}

struct problem health_report(struct request *request)
{
	struct service *service = request->service;
	unsigned servers, well;

	request_pipeline(request);
	servers = put_checks(request);
	well = nodes_try(service->nodes, 1);
	if (well == 0)
		return request_no_redis(request);
	if (well < servers)
		service_log_redis_error(service, nodes_error(service->nodes));
	buf_putf(request->answer, "{\"status\":\"ok\",\"redis\":\"%s\"}",
		 well < servers ? "degraded" : "ok");
	return request_done();
}

/* The stream's path belongs to presence-streamd; a web server that has none sends it here. */
struct problem health_no_streams(struct request *request)
{
	(void)request;
	return request_refuse(PROBLEM_STREAMS_UNAVAILABLE,
			      "No stream server is configured here. Poll online-status/friends, or "
			      "online-status/users, instead.");
}
