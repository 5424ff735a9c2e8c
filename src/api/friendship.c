#include "api/friendship.h"

const struct friend *friendship_find(const struct friends *friends, const struct userid *id)
{
	for (size_t i = 0; i < friends->count; i++) {
		if (userid_equal(&friends->list[i].user, id))
			return &friends->list[i];
	}
	return NULL;
}

struct problem friendship_is_mutual(struct request *request, const struct friends *own,
				    const struct userid *id, bool *is_mutual)
{
	const struct userid *caller = &request->token.user;
	bool is_listed = friendship_find(own, id) != NULL;
	struct friends theirs = {.count = 0};

	*is_mutual = false;
	if (directory_friends(request->service->directory, is_listed ? id : caller, &theirs) ==
	    DIRECTORY_UNAVAILABLE)
		return request_refuse(PROBLEM_DIRECTORY_UNAVAILABLE, NULL);
	*is_mutual = is_listed && friendship_find(&theirs, caller) != NULL;
	friends_free(&theirs);
	return request_done();
}
