#include "api/snapshot.h"

#include "store/status.h"

#define MGET_USERS 1000 /* users in one MGET: bounds how long Redis is busy with it */

/* Appends MGETs for those of the list who are not hidden; returns how many commands that are. */
static size_t put_mgets(struct printbuf *out, const char *prefix, const struct watched *list,
			size_t count)
{
	size_t visible = 0, done = 0;

	for (size_t i = 0; i < count; i++)
		visible += !list[i].hidden;
	for (size_t i = 0; i < count; i++) {
		if (list[i].hidden)
			continue;
		if (done % MGET_USERS == 0)
			status_put_mget(out, visible - done < MGET_USERS
						     ? (unsigned)(visible - done)
						     : MGET_USERS);
		status_put_keys(out, prefix, list[i].id);
		done++;
	}
	return (visible + MGET_USERS - 1) / MGET_USERS;
}

/* One's own STATUS tells which session the token stands for. */
static const char *own_session(const struct request *request, const struct userid *id)
{
	return userid_equal(id, &request->token.user) ? request->token.session_id : NULL;
}

bool snapshot_put_status(struct request *request, const struct watched *watched, size_t *visible)
{
	struct status status = {.online = false};

	if (!watched->hidden) {
		const redisReply *reply = request->replies[1 + *visible / MGET_USERS];

		if (!status_read(reply, *visible % MGET_USERS, &status))
			return false;
		++*visible;
	}
	status_put_json(request->answer, watched->id, &status, own_session(request, watched->id));
	return true;
}

struct problem snapshot_ask(struct request *request, const struct watched *list, size_t count)
{
	struct printbuf *pipeline = request_touch(request, "activity");
	size_t mgets = put_mgets(pipeline, store_prefix(request->service->store), list, count);

	return request_ask_touched(request, mgets);
}

struct problem snapshot_answer(struct request *request, const struct watched *list, size_t count)
{
	struct problem problem = snapshot_ask(request, list, count);
	size_t visible = 0;

	if (problem.kind != PROBLEM_NONE)
		return problem;
	buf_puts(request->answer, "{");
	for (size_t i = 0; i < count; i++) {
		status_put_name(request->answer, list[i].id);
		if (!snapshot_put_status(request, &list[i], &visible))
			return request_bad_reply(request);
	}
	buf_puts(request->answer, "}");
	return request_done();
}
