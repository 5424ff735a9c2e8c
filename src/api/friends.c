#include "api/resources.h"

#include <stdlib.h>
#include <string.h>

#include "api/snapshot.h"
#include "base/alloc.h"
#include "base/json.h"

static void put_friends(struct printbuf *out, const struct friends *friends)
{
	buf_puts(out, "[");
	for (size_t i = 0; i < friends->count; i++) {
		const struct friend *friend = &friends->list[i];
		const char *name = friends_name(friends, friend);

		buf_puts(out, i == 0 ? "{\"user_id\":" : ",{\"user_id\":");
		userid_put_json(out, &friend->user);
		buf_puts(out, ",\"name\":");
		json_put_string(out, name, strlen(name));
		buf_puts(out, "}");
	}
	buf_puts(out, "]");
}

struct problem friends_list(struct request *request)
{
	struct friends friends;
	struct problem problem = request_friends(request, &friends);

	if (problem.kind != PROBLEM_NONE)
		return problem;
	request_touch(request, "activity");
	problem = request_ask_touched(request, 0);
	if (problem.kind == PROBLEM_NONE)
		put_friends(request->answer, &friends);
	friends_free(&friends);
	return problem;
}

struct problem friends_status(struct request *request)
{
	struct friends friends;
	struct watched *list;
	struct problem problem = request_friends(request, &friends);

	if (problem.kind != PROBLEM_NONE)
		return problem;
	list = xcalloc(friends.count, sizeof *list);
	for (size_t i = 0; i < friends.count; i++)
		list[i].id = &friends.list[i].user;
	problem = snapshot_answer(request, list, friends.count);
	free(list);
	friends_free(&friends);
	return problem;
}
