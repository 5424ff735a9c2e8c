#include "api/resources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/snapshot.h"
#include "base/alloc.h"
#include "base/json.h"
#include "store/keys.h"
#include "store/resp.h"

#define WEBSOCKET_MAX 128 /* bytes of a websocket_session */

struct problem status_user(struct request *request)
{
	struct watched watched = {.id = &request->id};
	struct friends friends;
	struct problem problem = visibility_load(request, &friends);

	if (problem.kind != PROBLEM_NONE)
		return problem;
	watched.hidden = !visibility_allows(request, &friends, &request->id);
	friends_free(&friends);
	problem = snapshot_ask(request, &watched, 1);
	if (problem.kind == PROBLEM_NONE && !snapshot_put_status(request, &watched, 0))
		return request_bad_reply(request);
	return problem;
}

/* --- a list of users ------------------------------------------------------------------------- */

/* Reads {"user_ids":[...]} into *ids, which the caller frees also after a refusal. */
static struct problem parse_ids(struct request *request, struct userid **ids, size_t *count)
{
	struct json_object *list = json_member(request->body, "user_ids");
	size_t max = (size_t)request->service->config->presence.max_batch;

	if (!json_object_is_type(list, json_type_array))
		return request_refuse(PROBLEM_BAD_JSON, "\"user_ids\" must be an array.");
	*count = json_object_array_length(list);
	if (*count > max) {
		snprintf(request->detail, sizeof request->detail, "At most %zu ids in one request.",
			 max);
		return request_refuse(PROBLEM_TOO_MANY_IDS, request->detail);
	}
	*ids = xcalloc(*count, sizeof **ids);
	for (size_t i = 0; i < *count; i++) {
		if (userid_from_json(json_object_array_get_idx(list, i), &(*ids)[i]))
			continue;
		snprintf(request->detail, sizeof request->detail, "user_ids[%zu] is not a user id.",
			 i);
		return request_refuse(PROBLEM_BAD_ID, request->detail);
	}
	*count = userid_distinct(*ids, *count);
	return request_done();
}

static struct problem answer_users(struct request *request, const struct userid *ids, size_t count)
{
	struct watched *list;
	struct friends friends;
	struct problem problem = visibility_load(request, &friends);

	if (problem.kind != PROBLEM_NONE)
		return problem;
	list = xcalloc(count, sizeof *list);
	for (size_t i = 0; i < count; i++) {
		list[i].id = &ids[i];
		list[i].hidden = !visibility_allows(request, &friends, &ids[i]);
	}
	problem = snapshot_answer(request, list, count);
	free(list);
	friends_free(&friends);
	return problem;
}

struct problem status_users(struct request *request)
{
	struct userid *ids = NULL;
	size_t count;
	struct problem problem = parse_ids(request, &ids, &count);

	if (problem.kind == PROBLEM_NONE)
		problem = answer_users(request, ids, count);
	free(ids);
	return problem;
}

/* --- heartbeat and count --------------------------------------------------------------------- */

static bool is_websocket_session(struct json_object *value, const char **session)
{
	if (!json_is_text(value, WEBSOCKET_MAX, session) || **session == '\0')
		return false;
	for (const char *c = *session; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			return false;
	}
	return true;
}

/* What the body says of idleness; false when it is not a boolean. */
static bool parse_idle(struct json_object *body, enum store_idle *idle)
{
	struct json_object *value = body != NULL ? json_member(body, "idle") : NULL;

	*idle = STORE_IDLE_UNSAID;
	if (value == NULL)
		return true;
	if (!json_object_is_type(value, json_type_boolean))
		return false;
	*idle = json_object_get_boolean(value) ? STORE_IDLE : STORE_ACTIVE;
	return true;
}

struct problem status_heartbeat(struct request *request)
{
	struct touch_wish wish = {.wants_self = false};
	struct json_object *value;
	const char *session = NULL;
	struct printbuf *pipeline;
	struct problem problem;

	if (request->body != NULL &&
	    json_object_object_get_ex(request->body, "websocket_session", &value) &&
	    !is_websocket_session(value, &session))
		return request_refuse(PROBLEM_BAD_PARAMETER,
				      "\"websocket_session\" is a string of 1 to 128 printable "
				      "ASCII characters.");
	if (!parse_idle(request->body, &wish.idle))
		return request_refuse(PROBLEM_BAD_VALUE, "\"idle\" is true or false.");
	pipeline = request_touch_for(request, &wish);
	if (session != NULL)
		store_put_websocket(pipeline, request->store, &request->token.user,
				    request->token.name, request->token.issued, session);
	problem = request_ask_touched(request, session != NULL ? 1 : 0);
	if (problem.kind == PROBLEM_NONE && session != NULL)
		problem = request_check(request, store_read_noted(request->replies[1]));
	if (problem.kind == PROBLEM_NONE)
		buf_putf(request->answer, "{\"ok\":true,\"expires_in\":%d}",
			 request->service->config->presence.online_ttl);
	return problem;
}

struct problem status_count(struct request *request)
{
	const struct partitions *partitions = request->service->partitions;
	unsigned parts = partitions_count(partitions);
	struct problem problem;
	long long sum = 0;

	request_touch(request, "activity");
	for (unsigned i = 0; i < parts; i++) {
		const struct store *store = partitions_at(partitions, i);
		struct printbuf *pipeline = request_to(request, store);

		resp_begin(pipeline, 2);
		resp_text(pipeline, "SCARD");
		resp_key(pipeline, store_prefix(store), KEY_ONLINE_USERS, "");
	}
	problem = request_ask_touched(request, parts);
	for (unsigned i = 0; problem.kind == PROBLEM_NONE && i < parts; i++) {
		if (request->replies[1 + i]->type != REDIS_REPLY_INTEGER)
			return request_bad_reply(request);
		sum += request->replies[1 + i]->integer;
	}
	if (problem.kind == PROBLEM_NONE)
		buf_putf(request->answer, "{\"count\":%lld}", sum);
	return problem;
}
