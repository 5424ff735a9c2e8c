/* Web Push: the browsers' subscriptions, who waits for whom, and the site's own notifications. */
#include "api/resources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/friendship.h"
#include "base/alloc.h"
#include "base/json.h"
#include "base/times.h"
#include "store/push.h"

#define NOTIFY_MAX 1000 /* users in one call */

static struct problem answer_nothing(struct request *request)
{
	request->status = 204;
	return request_done();
}

struct problem push_key(struct request *request)
{
	buf_putf(request->answer, "{\"public_key\":\"%s\"}",
		 vapid_public_key(request->service->vapid));
	return request_done();
}

/* --- subscriptions --------------------------------------------------------------------------- */

/* What another user has subscribed with this browser ends: it would be shown to this one. */
static struct problem take_over(struct request *request, const char *id)
{
	const struct store *first = request_first_store(request);
	const redisReply *before;
	struct userid owner;
	struct problem problem;

	request_pipeline(request);
	push_put_owner(request_to(request, first), first, &request->token.user, id);
	problem = request_ask(request, 1);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	before = request->replies[0];
	if (before->type != REDIS_REPLY_STRING || !userid_parse(before->str, before->len, &owner) ||
	    userid_equal(&owner, &request->token.user))
		return problem;
	request_pipeline(request);
	push_put_unsubscribe(request_to(request, request_store_of(request, &owner)),
			     request_store_of(request, &owner), &owner, id);
	return request_ask(request, 1);
}

struct problem push_subscribe(struct request *request)
{
	const struct service *service = request->service;
	struct push_subscription subscription;
	const char *field,
		*why = push_subscription_parse(request->body, service->config->push.allow,
					       &subscription, &field);
	struct problem problem;

	if (why != NULL)
		return request_refuse(PROBLEM_BAD_VALUE, why);
	subscription.created = times_wall_ms() / 1000;
	snprintf(subscription.tok, sizeof subscription.tok, "%s", request->token.name);
	push_put_subscribe(request_touch(request, "activity"), request->store, &request->token.user,
			   request->token.name, request->token.issued, &subscription);
	problem = request_ask_touched(request, 1);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	/* The token was logged out between the two. */
	if (!push_read_subscribe(request->replies[1]))
		return request_refuse(PROBLEM_TOKEN_REVOKED, NULL);
	problem = take_over(request, subscription.id);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	buf_putf(request->answer, "{\"id\":\"%s\"}", subscription.id);
	request->status = 201;
	return request_done();
}

/* Everything but the keys and the path, which is a secret between browser and push service. */
static void put_subscription(struct printbuf *out, const struct push_subscription *subscription)
{
	struct push_endpoint endpoint = {.host = ""};
	char created[TIMES_LEN + 1];

	push_endpoint_parse(subscription->endpoint, &endpoint);
	times_format(subscription->created, created);
	buf_putf(out, "{\"id\":\"%s\",\"device\":", subscription->id);
	json_put_string(out, subscription->device, strlen(subscription->device));
	buf_putf(out, ",\"service\":\"%s\",\"created\":\"%s\"}", endpoint.host, created);
}

/* Oldest first. */
static int by_age(const void *a, const void *b)
{
	const struct push_subscription *one = a, *other = b;

	if (one->created != other->created)
		return one->created < other->created ? -1 : 1;
	return strcmp(one->id, other->id);
}

struct problem push_subscriptions(struct request *request)
{
	struct push_subscription *list = xcalloc(PUSH_SUBSCRIPTIONS_MAX, sizeof *list);
	struct problem problem;
	size_t count;

	push_put_subscriptions(request_touch(request, "activity"), request->store,
			       &request->token.user);
	problem = request_ask_touched(request, 1);
	if (problem.kind == PROBLEM_NONE) {
		count = push_read_subscriptions(request->replies[1], list, PUSH_SUBSCRIPTIONS_MAX);
		qsort(list, count, sizeof *list, by_age);
		buf_puts(request->answer, "{\"subscriptions\":[");
		for (size_t i = 0; i < count; i++) {
			buf_puts(request->answer, i > 0 ? "," : "");
			put_subscription(request->answer, &list[i]);
		}
		buf_puts(request->answer, "]}");
	}
	free(list);
	return problem;
}

/* A touch alone: what follows must not be done for a token that is revoked. */
static struct problem touch(struct request *request)
{
	request_touch(request, "activity");
	return request_ask_touched(request, 0);
}

struct problem push_unsubscribe(struct request *request)
{
	struct problem problem = touch(request);

	if (problem.kind != PROBLEM_NONE)
		return problem;
	push_put_unsubscribe(request_pipeline(request), request->store, &request->token.user,
			     request->id.text);
	problem = request_ask(request, 1);
	return problem.kind == PROBLEM_NONE ? answer_nothing(request) : problem;
}

/* --- when a friend comes online -------------------------------------------------------------- */

/* The first PUSH_NAME_MAX bytes of a name, less what would be half a character. */
static void copy_name(char name[PUSH_NAME_MAX + 1], const char *full)
{
	size_t len = strlen(full);

	if (len > PUSH_NAME_MAX) {
		len = PUSH_NAME_MAX;
		while (len > 0 && ((unsigned char)full[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(name, full, len);
	name[len] = '\0';
}

/*
 * The name of the path's user (its id, where the directory has none), if that and
 * the caller are friends of one another; else "".
 */
static struct problem find_name(struct request *request, char name[PUSH_NAME_MAX + 1])
{
	bool is_mutual;
	struct friends own;
	struct problem problem = request_friends(request, &own);

	name[0] = '\0';
	if (problem.kind != PROBLEM_NONE)
		return problem;
	problem = friendship_is_mutual(request, &own, &request->id, &is_mutual);
	if (is_mutual) {
		const char *full = friends_name(&own, friendship_find(&own, &request->id));

		copy_name(name, *full != '\0' ? full : request->id.text);
	}
	friends_free(&own);
	return problem;
}

/*
 * Two commands, each on the keys of one user; what only one of them did is
 * harmless. Whoever the path's user is, the same is asked: whether a block hides
 * a friend is the script's to ask, and again when something is to be sent.
 */
static struct problem want(struct request *request, const char *name)
{
	const struct store *theirs = request_store_of(request, &request->id);
	struct problem problem;
	bool is_noted;

	push_put_want(request_touch(request, "activity"), request->store, &request->token.user,
		      request->token.name, request->token.issued, &request->id, name);
	problem = request_ask_touched(request, 1);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	is_noted = request->replies[1]->integer == 1;
	request_pipeline(request);
	push_put_wait(request_to(request, theirs), theirs, &request->token.user, &request->id,
		      is_noted);
	return request_ask(request, 1);
}

/* 204 whether they are friends or not, so that nobody learns it here. */
struct problem push_when_online(struct request *request)
{
	char name[PUSH_NAME_MAX + 1];
	struct problem problem = find_name(request, name);

	if (problem.kind == PROBLEM_NONE)
		problem = want(request, name);
	return problem.kind == PROBLEM_NONE ? answer_nothing(request) : problem;
}

struct problem push_not_when_online(struct request *request)
{
	const struct store *theirs = request_store_of(request, &request->id);
	struct problem problem = touch(request);

	if (problem.kind != PROBLEM_NONE)
		return problem;
	request_pipeline(request);
	push_put_unwait(request_to(request, theirs), theirs, &request->token.user, &request->id);
	push_put_told(request_to(request, request->store), request->store, &request->token.user,
		      &request->id);
	problem = request_ask(request, 2);
	return problem.kind == PROBLEM_NONE ? answer_nothing(request) : problem;
}

/* --- the site's own notifications ------------------------------------------------------------ */

static struct problem bad_value(struct request *request, const char *field, const char *must)
{
	snprintf(request->detail, sizeof request->detail, "\"%s\" must be %s.", field, must);
	return request_refuse(PROBLEM_BAD_VALUE, request->detail);
}

/* Whether a text has no control characters; `lines`: but for ends of lines. */
static bool is_printable(const char *text, bool lines)
{
	for (; *text != '\0'; text++) {
		if (((unsigned char)*text < ' ' && !(lines && *text == '\n')) || *text == 0x7f)
			return false;
	}
	return true;
}

/* A path of this site, or an http(s) URL: nothing that a browser would run. */
static bool is_navigable(const char *url)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "-._~:/?#[]@!$&'()*+,;=%";

	return url[strspn(url, chars)] == '\0' &&
	       ((url[0] == '/' && url[1] != '/') || strncmp(url, "https://", 8) == 0 ||
		strncmp(url, "http://", 7) == 0);
}

/* A tag becomes part of a key in Redis. */
static bool is_tag(const char *tag)
{
	return *tag == '\0' || userid_is_word(tag, PUSH_TAG_MAX);
}

/* An optional member: a text of at most `max` bytes, copied; "" when it is missing or null. */
static bool copy_text(struct request *request, const char *name, char *text, size_t max)
{
	struct json_object *value = json_member(request->body, name);
	const char *found = "";

	if (value != NULL && !json_is_text(value, max, &found))
		return false;
	strcpy(text, found);
	return true;
}

static struct problem parse_texts(struct request *request, struct push_job *job)
{
	if (!copy_text(request, "title", job->title, PUSH_TITLE_MAX) || job->title[0] == '\0' ||
	    !is_printable(job->title, false))
		return bad_value(request, "title", "a text of 1 to 256 bytes on one line");
	if (!copy_text(request, "body", job->body, PUSH_BODY_MAX) || !is_printable(job->body, true))
		return bad_value(request, "body",
				 "a text of at most 2048 bytes without control characters");
	if (!copy_text(request, "url", job->url, PUSH_URL_MAX) ||
	    (job->url[0] != '\0' && !is_navigable(job->url)))
		return bad_value(request, "url",
				 "a path of this site or an http(s) URL, at most 1024 bytes");
	if (!copy_text(request, "tag", job->tag, PUSH_TAG_MAX) || !is_tag(job->tag))
		return bad_value(request, "tag", "1 to 64 of the characters of user ids");
	return request_done();
}

/* An optional member that is one of the names. */
static bool parse_name(struct request *request, const char *member, const char *const *names,
		       int count, int fallback, int *index)
{
	struct json_object *value = json_member(request->body, member);
	const char *word;

	*index = fallback;
	if (value != NULL)
		*index = json_is_text(value, 16, &word) ? push_name_index(names, count, word) : -1;
	return *index >= 0;
}

static struct problem parse_choices(struct request *request, struct push_job *job)
{
	struct json_object *ttl = json_member(request->body, "ttl");
	int urgency, only_if;

	job->ttl = PUSH_TTL_DEFAULT;
	if (ttl != NULL) {
		int64_t seconds = json_object_get_int64(ttl);

		if (!json_object_is_type(ttl, json_type_int) || seconds < 0 ||
		    seconds > PUSH_TTL_MAX)
			return bad_value(request, "ttl", "whole seconds from 0 to 2419200");
		job->ttl = (int)seconds;
	}
	if (!parse_name(request, "urgency", push_urgency_names, PUSH_URGENCY_COUNT, PUSH_NORMAL,
			&urgency))
		return bad_value(request, "urgency", "very-low, low, normal or high");
	if (!parse_name(request, "only_if", push_only_names, PUSH_ONLY_COUNT, PUSH_IF_OFFLINE,
			&only_if))
		return bad_value(request, "only_if", "offline, away or always");
	job->urgency = (enum push_urgency)urgency;
	job->only_if = (enum push_only)only_if;
	return request_done();
}

/* Reads the users, each once, into *ids, which the caller frees also after a refusal. */
static struct problem parse_users(struct request *request, struct userid **ids, size_t *count)
{
	struct json_object *list = json_member(request->body, "user_ids");

	*ids = NULL;
	*count = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	if (*count == 0 || *count > NOTIFY_MAX)
		return bad_value(request, "user_ids", "an array of 1 to 1000 user ids");
	*ids = xcalloc(*count, sizeof **ids);
	for (size_t i = 0; i < *count; i++) {
		if (!userid_from_json(json_object_array_get_idx(list, i), &(*ids)[i]))
			return bad_value(request, "user_ids", "an array of 1 to 1000 user ids");
	}
	*count = userid_distinct(*ids, *count);
	return request_done();
}

static struct problem enqueue(struct request *request, struct push_job *job,
			      const struct userid *ids, size_t count)
{
	bool always = request->service->config->push.webhook[0] != '\0';
	size_t queued = 0;
	struct problem problem;

	request_pipeline(request);
	for (size_t i = 0; i < count; i++) {
		const struct store *store = request_store_of(request, &ids[i]);

		job->user = ids[i];
		random_id(job->id);
		push_put_enqueue(request_to(request, store), store, job, always);
	}
	problem = request_ask(request, count);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	for (size_t i = 0; i < count; i++) {
		switch (push_read_enqueue(request->replies[i])) {
		case PUSH_QUEUED:
			queued++;
			break;
		case PUSH_NOT_SUBSCRIBED:
			break;
		case PUSH_FULL:
			return request_refuse(PROBLEM_QUEUE_FULL, NULL);
		default:
			return request_bad_reply(request);
		}
	}
	buf_putf(request->answer, "{\"queued\":%zu}", queued);
	request->status = 202;
	return request_done();
}

/* The site's server speaks here, not a user: its touch registers nothing, as that of one who watches. */
struct problem push_notify(struct request *request)
{
	struct push_job job = {.ttl = 0};
	struct userid *ids = NULL;
	size_t count;
	struct problem problem;

	request->token.watch = true;
	problem = touch(request);
	if (problem.kind == PROBLEM_NONE)
		problem = parse_texts(request, &job);
	if (problem.kind == PROBLEM_NONE)
		problem = parse_choices(request, &job);
	if (problem.kind == PROBLEM_NONE)
		problem = parse_users(request, &ids, &count);
	if (problem.kind == PROBLEM_NONE)
		problem = enqueue(request, &job, ids, count);
	free(ids);
	return problem;
}
