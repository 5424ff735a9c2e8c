#include "api/resources.h"

#include "store/store.h"

struct problem health_report(struct request *request)
{
	struct printbuf *pipeline = request_pipeline(request);
	struct problem problem;

	store_put_health(pipeline, request->service->store, false);
	problem = request_ask(request, 1);
	if (problem.kind == PROBLEM_NONE)
		buf_puts(request->answer, "{\"status\":\"ok\",\"redis\":\"ok\"}");
	return problem;
}

/* The stream's path belongs to presence-streamd; a web server that has none sends it here. */
struct problem health_no_streams(struct request *request)
{
	(void)request;
	return request_refuse(PROBLEM_STREAMS_UNAVAILABLE,
			      "No stream server is configured here. Poll online-status/friends, or "
			      "online-status/users, instead.");
}
