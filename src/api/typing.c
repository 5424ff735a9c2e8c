/*
 * Who types to whom. Only friends of one another are told, and who calls learns neither from the
 * answer nor from its time whether anybody was (docs/api.md, "typing").
 */
#include "api/friendship.h"
#include "api/resources.h"
#include "api/visibility.h"
#include "base/json.h"
#include "store/inbox.h"
#include "store/keys.h"
#include "store/resp.h"
#include "store/settings.h"

#define TARGETS_MAX 5

struct typing {
	struct userid ids[TARGETS_MAX];
	struct watched targets[TARGETS_MAX]; /* hidden: is not told */
	size_t count;
	bool starts;
	const char *conversation; /* "" = none */
};

/* --- the body -------------------------------------------------------------------------------- */

/* An id, or an array of them. */
static bool parse_targets(struct json_object *value, struct typing *typing)
{
	bool is_list = json_object_is_type(value, json_type_array);

	typing->count = is_list ? json_object_array_length(value) : 1;
	if (typing->count < 1 || typing->count > TARGETS_MAX)
		return false;
	for (size_t i = 0; i < typing->count; i++) {
		struct json_object *id = is_list ? json_object_array_get_idx(value, i) : value;

		if (!userid_from_json(id, &typing->ids[i]))
			return false;
		typing->targets[i] = (struct watched){.id = &typing->ids[i]};
	}
	return true;
}

static bool parse_conversation(struct json_object *value, struct typing *typing)
{
	typing->conversation = "";
	return value == NULL ||
	       (json_is_text(value, INBOX_CONVERSATION_MAX, &typing->conversation) &&
		userid_is_word(typing->conversation, INBOX_CONVERSATION_MAX));
}

static struct problem parse(struct json_object *body, struct typing *typing)
{
	struct json_object *starts = json_member(body, "typing");

	if (!parse_targets(json_member(body, "to"), typing))
		return request_refuse(PROBLEM_BAD_VALUE,
				      "\"to\" is a user id or an array of 1 to 5.");
	if (!json_object_is_type(starts, json_type_boolean))
		return request_refuse(PROBLEM_BAD_VALUE, "\"typing\" is true or false.");
	if (!parse_conversation(json_member(body, "conversation"), typing))
		return request_refuse(PROBLEM_BAD_VALUE,
				      "\"conversation\" is 1 to 64 of the characters of user ids.");
	typing->starts = json_object_get_boolean(starts);
	return request_done();
}

/* --- who is told ----------------------------------------------------------------------------- */

/* Hides who is not a friend. */
static struct problem find_friends(struct request *request, struct typing *typing)
{
	struct friends own;
	struct problem problem = request_friends(request, &own);

	for (size_t i = 0; problem.kind == PROBLEM_NONE && i < typing->count; i++) {
		bool is_mutual;

		problem = friendship_is_mutual(request, &own, &typing->ids[i], &is_mutual);
		typing->targets[i].hidden = !is_mutual;
	}
	friends_free(&own);
	return problem;
}

/* Whether the caller lets others see it at all, and that it types. */
static bool is_shown(const redisReply *own)
{
	return own->element[0]->type == REDIS_REPLY_STRING && settings_read(own->element[1]).typing;
}

/* The caller's side: who looks offline, as one who is invisible does, is not seen to type. */
static struct problem ask_own_side(struct request *request, struct typing *typing)
{
	const char *prefix = store_prefix(request->store);
	struct printbuf *pipeline = request_touch(request, "activity");
	struct problem problem;
	const redisReply *own;
	size_t asks;

	resp_begin(pipeline, 3);
	resp_text(pipeline, "MGET");
	resp_key(pipeline, prefix, KEY_ONLINE, request->token.user.text);
	resp_key(pipeline, prefix, KEY_SETTINGS, request->token.user.text);
	asks = visibility_put_blocks(request, typing->targets, typing->count);
	problem = request_ask_touched(request, 1 + asks);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	own = request->replies[1];
	if (own->type != REDIS_REPLY_ARRAY || own->elements != 2 ||
	    !visibility_read_blocks(request, 2, typing->targets, typing->count))
		return request_bad_reply(request);
	for (size_t i = 0; i < typing->count; i++)
		typing->targets[i].hidden |= !is_shown(own);
	return problem;
}

/* The others' side, each a call of its own: two users may be on different servers. */
static struct problem tell(struct request *request, const struct typing *typing)
{
	request_pipeline(request);
	for (size_t i = 0; i < typing->count; i++) {
		const struct store *store = request_store_of(request, &typing->ids[i]);

		inbox_put_typing(request_to(request, store), store,
				 &(struct inbox_typing){
					 .to = &typing->ids[i],
					 .from = &request->token.user,
					 .starts = typing->starts,
					 .conversation = typing->conversation,
					 .passes = !typing->targets[i].hidden,
				 });
	}
	request->status = 204;
	return request_ask(request, typing->count);
}

struct problem typing_tell(struct request *request)
{
	struct typing typing;
	struct problem problem = parse(request->body, &typing);

	if (problem.kind == PROBLEM_NONE)
		problem = find_friends(request, &typing);
	if (problem.kind == PROBLEM_NONE)
		problem = ask_own_side(request, &typing);
	return problem.kind == PROBLEM_NONE ? tell(request, &typing) : problem;
}
