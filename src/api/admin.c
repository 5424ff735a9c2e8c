/* For operators: how a user looks and why, and the end of its sessions. No activity of theirs. */
#include "api/resources.h"

#include <string.h>

#include "api/friendship.h"
#include "base/cgi.h"
#include "store/explanation.h"

/* Whose eyes are meant: without ?viewer= the user's own. */
static struct problem parse_viewer(struct request *request, struct userid *viewer)
{
	char text[USERID_MAX + 1];

	*viewer = request->id;
	switch (cgi_query_get(request->env, "viewer", text, sizeof text)) {
	case CGI_QUERY_ABSENT:
		return request_done();
	case CGI_QUERY_FOUND:
		if (userid_parse(text, strlen(text), viewer))
			return request_done();
		break;
	case CGI_QUERY_BAD:
		break;
	}
	return request_refuse(PROBLEM_BAD_ID, "\"viewer\" is not a user id.");
}

/* A directory that does not answer is one of the facts. */
static void find_friendship(struct request *request, struct facts *facts)
{
	struct friends friends = {.count = 0};

	if (facts->friendship == FRIEND_SELF)
		return;
	if (directory_friends(request->service->directory, &facts->viewer, &friends) ==
	    DIRECTORY_OK)
		facts->friendship =
			friendship_find(&friends, &facts->id) != NULL ? FRIEND_YES : FRIEND_NO;
	friends_free(&friends);
}

/* Lets the token in and asks what needs no answer first. */
static struct problem ask(struct request *request, struct facts *facts)
{
	struct problem problem;

	request_look(request);
	facts_put_user(request_to(request, facts->store), facts);
	facts_put_viewer(request_to(request, facts->home), facts);
	problem = request_ask_touched(request, FACTS_COMMANDS);
	if (problem.kind == PROBLEM_NONE && !facts_read(facts, request->replies + 1))
		return request_bad_reply(request);
	return problem;
}

static struct problem ask_revoked(struct request *request, struct facts *facts)
{
	struct problem problem;

	request_keep_replies(request);
	request_pipeline(request);
	facts_put_revoked(request_to(request, facts->store), facts);
	problem = request_ask(request, 1);
	if (problem.kind == PROBLEM_NONE && !facts_read_revoked(facts, request->replies[0]))
		return request_bad_reply(request);
	return problem;
}

struct problem admin_user(struct request *request)
{
	struct userid viewer;
	struct facts facts;
	struct problem problem = parse_viewer(request, &viewer);

	if (problem.kind != PROBLEM_NONE)
		return problem;
	facts_init(&facts, request->service->config, request->service->partitions, &viewer,
		   &request->id);
	find_friendship(request, &facts);
	problem = ask(request, &facts);
	if (problem.kind == PROBLEM_NONE)
		problem = ask_revoked(request, &facts);
	if (problem.kind == PROBLEM_NONE)
		explanation_put_json(request->answer, &facts);
	facts_clear(&facts);
	return problem;
}

/* The token is let in before anything ends, for the user may be in another partition. */
struct problem admin_kick(struct request *request)
{
	const struct store *store = request_store_of(request, &request->id);
	const struct store_end end = {
		.user = &request->id,
		.all = true,
		.reason = "kicked",
		.knows_epoch = service_known(request->service, store)->has_epoch,
	};
	struct problem problem;

	request_look(request);
	problem = request_ask_touched(request, 0);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	request_pipeline(request);
	store_put_end(request_to(request, store), store, &end);
	problem = request_ask(request, 1);
	if (problem.kind == PROBLEM_NONE)
		problem = request_check(request, store_read_end(request->replies[0]));
	if (problem.kind == PROBLEM_NONE)
		buf_puts(request->answer, "{\"ok\":true}");
	return problem;
}
