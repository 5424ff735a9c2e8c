#include "api/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/credentials.h"
#include "base/alloc.h"
#include "base/cgi.h"
#include "base/cors.h"
#include "base/json.h"
#include "base/log.h"
#include "base/times.h"
#include "store/pause.h"

#define PATH_SIZE 1024
#define CHUNK 8192
#define LIST_BODY_LIMIT 163840 /* bytes: 1,000 ids of the longest kind fit */
#define PARAMETERS_MAX 65536 /* bytes of all of a request's variables */

size_t request_most(const struct config *config)
{
	size_t limit = (size_t)config->api.body_limit;

	/* A body in records that are as large as their headers is the worst that makes sense. */
	return PARAMETERS_MAX + 2 * (limit > LIST_BODY_LIMIT ? limit : LIST_BODY_LIMIT);
}

/* --- the way in ------------------------------------------------------------------------------ */

/* RFC 9110 section 8.3: type and subtype are case-insensitive, parameters may follow. */
static bool is_json_type(const char *type)
{
	static const char name[] = "application/json";
	size_t len = sizeof name - 1;

	return type != NULL && strncasecmp(type, name, len) == 0 &&
	       (type[len] == '\0' || strchr("; \t", type[len]) != NULL);
}

/* Bytes that a body may have on a route with these flags. */
static size_t body_limit(const struct request *request, unsigned flags)
{
	size_t limit = (size_t)request->service->config->api.body_limit;

	return (flags & ROUTE_LIST) != 0 && limit < LIST_BODY_LIMIT ? LIST_BODY_LIMIT : limit;
}

static struct problem too_large(struct request *request, size_t limit)
{
	snprintf(request->detail, sizeof request->detail, "A body has at most %zu bytes here.",
		 limit);
	return request_refuse(PROBLEM_BODY_TOO_LARGE, request->detail);
}

/* Reads at most `size` bytes into service->body; false when the body has fewer. */
static bool read_bytes(struct request *request, const struct transport *transport, size_t size)
{
	char chunk[CHUNK];

	while (size > 0) {
		size_t want = size < sizeof chunk ? size : sizeof chunk;
		size_t got = transport->read(transport->arg, chunk, want);

		buf_put(request->service->body, chunk, got);
		if (got < want)
			return false;
		size -= want;
	}
	return true;
}

/* Reads the whole body into service->body; nothing is read of one that is too large. */
static struct problem read_body(struct request *request, const struct transport *transport,
				size_t limit)
{
	const char *length = cgi_param(request->env, "CONTENT_LENGTH");
	size_t size;

	if (length == NULL || *length == '\0')
		return read_bytes(request, transport, limit + 1) ? too_large(request, limit)
								 : request_done();
	if (strspn(length, "0123456789") != strlen(length))
		return request_refuse(PROBLEM_BAD_REQUEST, "Content-Length is not a number.");
	errno = 0;
	size = strtoul(length, NULL, 10);
	if (errno != 0 || size > limit)
		return too_large(request, limit);
	if (!read_bytes(request, transport, size))
		return request_refuse(PROBLEM_BAD_REQUEST,
				      "The body is shorter than its Content-Length.");
	return request_done();
}

static struct problem parse_body(struct request *request, const struct transport *transport,
				 unsigned flags)
{
	const struct printbuf *body = request->service->body;
	struct problem problem = read_body(request, transport, body_limit(request, flags));
	char member[JSON_MEMBER_MAX + 1];
	const char *why;

	if (problem.kind != PROBLEM_NONE)
		return problem;
	if (buf_len(body) == 0)
		return (flags & ROUTE_BODY_OPTIONAL) != 0
			       ? request_done()
			       : request_refuse(PROBLEM_BAD_JSON, "This call needs a body.");
	if (!is_json_type(cgi_param(request->env, "CONTENT_TYPE")))
		return request_refuse(PROBLEM_MEDIA_TYPE, NULL);
	request->body = json_parse_object(body->buf, buf_len(body), &why);
	if (request->body != NULL)
		return request_done();
	if (json_refused_member(body->buf, buf_len(body), member))
		snprintf(request->detail, sizeof request->detail,
			 "The body cannot be read: %s, in \"%s\".", why, member);
	else
		snprintf(request->detail, sizeof request->detail, "The body cannot be read: %s.",
			 why);
	return request_refuse(PROBLEM_BAD_JSON, request->detail);
}

static bool parse_id(struct request *request, const struct route_match *match)
{
	char id[3 * USERID_MAX + 1]; /* every byte may come as %XX */

	if (match->id_len >= sizeof id)
		return false;
	memcpy(id, match->id, match->id_len);
	id[match->id_len] = '\0';
	return cgi_decode(id) && userid_parse(id, strlen(id), &request->id);
}

static struct problem authenticate(struct request *request)
{
	const char *why = NULL;
	enum problem_kind kind = credentials_verify(request->service->keys, request->env,
						    times_wall_ms(), &request->token, &why);

	if (kind == PROBLEM_NONE)
		request->store = request_store_of(request, &request->token.user);
	return request_refuse(kind, kind != PROBLEM_NONE ? why : NULL);
}

/* Whether the token that came may make this call. */
static struct problem authorize(const struct request *request, const struct route *route)
{
	static const struct {
		unsigned flag;
		const char *scope, *why;
	} scopes[] = {
		{ROUTE_SCOPE_PUSH, "push", "This call takes a token whose scope holds \"push\"."},
		{ROUTE_SCOPE_ADMIN, "admin",
		 "This call takes a token whose scope holds \"admin\"."},
	};
	bool watches = (route->flags & ROUTE_WATCH) != 0 || strcmp(route->method, "GET") == 0;

	if (request->token.watch && !watches)
		return request_refuse(PROBLEM_WATCH_ONLY, NULL);
	for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
		if ((route->flags & scopes[i].flag) != 0 &&
		    !token_has_scope(&request->token, scopes[i].scope))
			return request_refuse(PROBLEM_SCOPE_MISSING, scopes[i].why);
	}
	return request_done();
}

/* Everything between route and answer. */
static struct problem run_route(struct request *request, const struct route_match *match,
				const struct transport *transport)
{
	const struct route *route = match->route;
	struct problem problem = request_done();

	if ((route->flags & ROUTE_OPEN) == 0) {
		problem = authenticate(request);
		if (problem.kind == PROBLEM_NONE)
			problem = authorize(request, route);
	}
	if (problem.kind == PROBLEM_NONE && match->id != NULL && !parse_id(request, match))
		problem = request_refuse(PROBLEM_BAD_ID, "The path's last part is not a user id.");
	if (problem.kind == PROBLEM_NONE &&
	    (route->flags & (ROUTE_BODY | ROUTE_BODY_OPTIONAL)) != 0)
		problem = parse_body(request, transport, route->flags);
	return problem.kind == PROBLEM_NONE ? route->handler(request) : problem;
}

/* --- the way out ----------------------------------------------------------------------------- */

static const char *status_line(int status)
{
	switch (status) {
	case 201:
		return "201 Created";
	case 202:
		return "202 Accepted";
	case 204:
		return "204 No Content";
	default:
		return "200 OK";
	}
}

static void put_answer(struct printbuf *out, const struct request *request, const char *fields)
{
	const struct printbuf *text = request->answer;
	int status = request->status;
	char digits[24], *end = digits + sizeof digits, *length = buf_digits(end, buf_len(text));

	buf_puts(out, "Status: ");
	buf_puts(out, status_line(status));
	buf_puts(out, "\r\nCache-Control: no-store\r\n");
	if (status != 204) {
		buf_puts(out, "Content-Type: ");
		buf_puts(out, request->type != NULL ? request->type : "application/json");
		buf_puts(out, "\r\nContent-Length: ");
		buf_put(out, length, (size_t)(end - length));
		buf_puts(out, "\r\n");
	}
	buf_puts(out, fields);
	buf_puts(out, "\r\n");
	if (status != 204)
		buf_put(out, text->buf, buf_len(text));
}

/* The fields that every answer to this request carries: for CORS, and its name. */
static const char *answer_fields(const struct request *request)
{
	struct printbuf *fields = request->service->fields;

	buf_reset(fields);
	cors_put_fields(fields, request->service->config->cors.allow_origins,
			cgi_param(request->env, "HTTP_ORIGIN"));
	cgi_put_request_id(fields, request->request_id);
	return fields->buf;
}

static void drop(redisReply ***replies, size_t count)
{
	if (*replies != NULL)
		blocking_free_replies(*replies, count);
	free(*replies);
	*replies = NULL;
}

void request_drop_replies(struct request *request)
{
	drop(&request->replies, request->reply_count);
}

void request_keep_replies(struct request *request)
{
	request->looks = request->replies;
	request->look_count = request->reply_count;
	request->replies = NULL;
}

static void request_end(struct request *request)
{
	json_object_put(request->body);
	drop(&request->replies, request->reply_count);
	drop(&request->looks, request->look_count);
}

/* The flags of routes that this configuration does not have. */
static unsigned hidden_routes(const struct service *service)
{
	return (service->config->auth.login == LOGIN_EXTERNAL ? ROUTE_LOCAL_LOGIN : 0) |
	       (service->vapid == NULL ? ROUTE_PUSH : 0) |
	       (service->metrics_token.len == 0 ? ROUTE_METRICS : 0);
}

/* Finds the route and runs it. */
static struct problem answer(struct request *request, const struct route *routes, size_t count,
			     const struct transport *transport, struct route_match *match)
{
	const struct config *config = request->service->config;
	unsigned hidden = hidden_routes(request->service);
	char path[PATH_SIZE];

	if (*request->method == '\0' || !cgi_path(request->env, path, sizeof path))
		return request_refuse(PROBLEM_BAD_REQUEST,
				      "REQUEST_METHOD or REQUEST_URI is missing or malformed.");
	switch (router_find(routes, count, hidden, config->http.base, request->method, path,
			    match)) {
	case ROUTE_UNKNOWN_PATH:
		return request_refuse(PROBLEM_NOT_FOUND, NULL);
	case ROUTE_OTHER_METHOD:
		return (struct problem){.kind = PROBLEM_METHOD_NOT_ALLOWED, .allow = match->allow};
	default:
		return run_route(request, match, transport);
	}
}

static bool is_preflight(const struct request *request, const struct problem *problem)
{
	return problem->kind == PROBLEM_METHOD_NOT_ALLOWED &&
	       strcmp(request->method, "OPTIONS") == 0;
}

/* Writes the answer as a whole to service->out. */
static void put(struct request *request, struct problem *problem)
{
	struct service *service = request->service;
	struct printbuf *out = service->out;

	buf_reset(out);
	problem->request_id = request->request_id;
	if (is_preflight(request, problem))
		cors_put_options(out, service->config->cors.allow_origins,
				 cgi_param(request->env, "HTTP_ORIGIN"),
				 cgi_param(request->env, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS"),
				 problem->allow, answer_fields(request));
	else if (problem->kind != PROBLEM_NONE)
		problem_put(out, problem, answer_fields(request));
	else
		put_answer(out, request, answer_fields(request));
	if (strcmp(request->method, "HEAD") == 0)
		cgi_drop_body(out);
}

/* What was answered; a preflight is none of the route's calls. */
static int status_of(const struct request *request, const struct problem *problem)
{
	if (problem->kind == PROBLEM_NONE)
		return request->status != 0 ? request->status : 200;
	return is_preflight(request, problem) ? 204 : problem_status(problem->kind);
}

void request_serve(struct service *service, const struct route *routes, size_t count,
		   char *const *env, const struct transport *transport)
{
	const char *method = cgi_param(env, "REQUEST_METHOD");
	struct request request = {.service = service,
				  .env = env,
				  .method = method != NULL ? method : "",
				  .store = partitions_at(service->partitions, 0),
				  .answer = service->answer};
	int64_t start_us = times_mono_us();
	struct route_match match = {.route = NULL};
	struct problem problem;
	int status;

	cgi_request_id(env, request.request_id);
	log_set_request(request.request_id);
	buf_reset(service->body);
	buf_reset(service->answer);
	problem = answer(&request, routes, count, transport, &match);
	put(&request, &problem);
	status = status_of(&request, &problem);
	transport->write(transport->arg, service->out->buf,
			 buf_len(service->out)); /* env may be gone */
	if (service->tally != NULL)
		tally_count(service->tally, match.route, status, times_mono_us() - start_us);
	request_end(&request);
	log_set_request(NULL);
}

/* --- for handlers ---------------------------------------------------------------------------- */

const struct store *request_store_of(const struct request *request, const struct userid *user)
{
	return partitions_of(request->service->partitions, user);
}

const struct store *request_first_store(const struct request *request)
{
	return partitions_at(request->service->partitions, 0);
}

void request_set_user(struct request *request, const struct userid *user)
{
	request->token = (struct token){.user = *user};
	request->store = request_store_of(request, user);
}

struct printbuf *request_pipeline(struct request *request)
{
	nodes_begin(request->service->nodes);
	return request_to(request, request->store);
}

struct printbuf *request_to(struct request *request, const struct store *store)
{
	return nodes_to(request->service->nodes, store);
}

struct problem request_ask(struct request *request, size_t count)
{
	struct service *service = request->service;
	redisReply **replies = xcalloc(count, sizeof *replies);

	request_drop_replies(request);
	if (!nodes_run(service->nodes, count, replies)) {
		free(replies);
		return request_no_redis(request);
	}
	request->replies = replies;
	request->reply_count = count;
	return request_done();
}

static enum store_caller caller_of(const struct request *request)
{
	const struct known_partition *known = service_known(request->service, request->store);

	return known->has_epoch ? STORE_WORKER_KNOWING : STORE_WORKER;
}

static struct printbuf *put_touch(struct request *request, const char *reason,
				  const struct touch_wish *wish)
{
	struct printbuf *pipeline = request_pipeline(request);
	const struct store_touch touch = {
		.user = &request->token.user,
		.tok = request->token.name,
		.iat = request->token.issued,
		.token = !request->token.watch && !wish->only_looks,
		.reason = reason,
		.idle = wish->idle,
		.wants_self = wish->wants_self,
	};

	store_put_touch(pipeline, request->store, caller_of(request), &touch, 1);
	return pipeline;
}

struct printbuf *request_touch(struct request *request, const char *reason)
{
	return put_touch(request, reason, &(struct touch_wish){.wants_self = false});
}

struct printbuf *request_look(struct request *request)
{
	return put_touch(request, "activity", &(struct touch_wish){.only_looks = true});
}

struct printbuf *request_touch_for(struct request *request, const struct touch_wish *wish)
{
	return put_touch(request, "activity", wish);
}

/*
 * What was counted goes along with the last command, if the first partition is where this user is
 * anyway: the call waits for no other server.
 */
static bool put_tally(struct request *request)
{
	struct service *service = request->service;
	const struct store *first = request_first_store(request);
	int64_t now = times_mono_ms();

	if (service->tally == NULL || !tally_is_due(service->tally, now) ||
	    !nodes_are_one(service->nodes, first, request->store))
		return false;
	tally_put(service->tally, request_to(request, first), first, now, false);
	return true;
}

struct problem request_ask_touched(struct request *request, size_t count)
{
	bool tells = put_tally(request);
	struct problem problem = request_ask(request, 1 + count + tells);

	if (tells)
		tally_read(request->service->tally,
			   problem.kind == PROBLEM_NONE ? request->replies[1 + count] : NULL);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	service_has_lost_epoch(request->service, request->store,
			       pause_has_swept(request->replies[0]));
	return request_check(request, store_read_touch(request->replies[0], 0));
}

struct problem request_check(struct request *request, enum store_verdict verdict)
{
	switch (verdict) {
	case STORE_DONE:
		return request_done();
	case STORE_REVOKED:
		return request_refuse(PROBLEM_TOKEN_REVOKED, NULL);
	default:
		return request_bad_reply(request);
	}
}

struct problem request_no_redis(struct request *request)
{
	service_log_redis_error(request->service, nodes_error(request->service->nodes));
	return request_refuse(PROBLEM_REDIS_UNAVAILABLE,
			      "Redis did not do what this call needs; try again shortly.");
}

struct problem request_bad_reply(struct request *request)
{
	service_log_redis_error(request->service, "a reply is not of the kind that was expected");
	return request_refuse(PROBLEM_REDIS_UNAVAILABLE, "Redis answered something unexpected.");
}

struct problem request_friends(struct request *request, struct friends *friends)
{
	memset(friends, 0, sizeof *friends);
	if (directory_friends(request->service->directory, &request->token.user, friends) ==
	    DIRECTORY_UNAVAILABLE)
		return request_refuse(PROBLEM_DIRECTORY_UNAVAILABLE, NULL);
	return request_done();
}
