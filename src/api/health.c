#include "api/resources.h"

#include "store/store.h"

struct problem health_report(struct request *request)
{
	struct service *service = request->service;
	unsigned servers = nodes_count(service->nodes), well;

	request_pipeline(request);
	/* The first partitions are on one server each. */
	for (unsigned i = 0; i < servers; i++) {
		const struct store *store = partitions_at(service->partitions, i);

		store_put_health(request_to(request, store), store, false);
	}
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
