/* One request, from its CGI variables to its answer, over FastCGI or CGI. */
#ifndef PRESENCE_API_REQUEST_H
#define PRESENCE_API_REQUEST_H

#include <stddef.h>

#include <hiredis/hiredis.h>
#include <json-c/json.h>

#include "api/router.h"
#include "api/service.h"
#include "auth/token.h"
#include "base/buf.h"
#include "base/cgi.h"
#include "base/problem.h"
#include "base/userid.h"

/* Where the body comes from and the answer goes. */
struct transport {
	/* Reads up to `size` bytes of body; fewer only at its end, or when the peer fails. */
	size_t (*read)(void *arg, char *data, size_t size);
	void (*write)(void *arg, const char *data, size_t len); /* once: the whole answer */
	void *arg;
};

#define REQUEST_DETAIL_MAX 128

struct request {
	struct service *service;
	char *const *env; /* NULL-terminated "NAME=VALUE" */
	const char *method; /* REQUEST_METHOD, or "" */
	char request_id[CGI_REQUEST_ID_MAX + 1];
	struct token token; /* the caller's, unless the route is ROUTE_OPEN */
	const struct store *store; /* the caller's partition; without a caller the first one */
	struct userid id; /* the path's {id}, if the route has one */
	struct json_object *body; /* NULL when empty, or the route takes none */
	struct printbuf *answer; /* the JSON of an answer that is not a problem */
	const char *type; /* of it, where it is no JSON; else NULL */
	int status; /* of it: 201, 202, 204 (without JSON); 0 = 200 */
	redisReply **replies; /* of request_ask(), kept until the request is over */
	size_t reply_count;
	redisReply **looks; /* of another round trip (snapshot.c, admin.c), likewise */
	size_t look_count;
	char detail[REQUEST_DETAIL_MAX]; /* room for a problem's sentence */
};

/* Bytes that a request may have over FastCGI: parameters, the largest body, the records' headers. */
size_t request_most(const struct config *config);

/* Serves one request with the routes of the table and writes its answer. */
void request_serve(struct service *service, const struct route *routes, size_t count,
		   char *const *env, const struct transport *transport);

/* For handlers: nothing is wrong, or what is; `detail` is static or request->detail. */
static inline struct problem request_done(void)
{
	return (struct problem){.kind = PROBLEM_NONE};
}

static inline struct problem request_refuse(enum problem_kind kind, const char *detail)
{
	return (struct problem){.kind = kind, .detail = detail};
}

/*
 * An empty pipeline, to which the caller appends its commands, and the one
 * round trip for all `count` of them: once per request, but for a login, which
 * must be let in first. They are for request->store, until request_to() says
 * for which partition those are that follow; each goes to the server that has
 * its partition, all at the same time. PROBLEM_NONE: request->replies has
 * `count` of them, in the order of the commands, none of them an error; they
 * replace those of an earlier call.
 */
struct printbuf *request_pipeline(struct request *request);
struct printbuf *request_to(struct request *request, const struct store *store);
void request_drop_replies(struct request *request); /* early; else at the request's end */
void request_keep_replies(struct request *request); /* once: a further call leaves them alone */
struct problem request_ask(struct request *request, size_t count);

/*
 * The same for an authenticated request, which counts as activity (unless the token
 * only watches): the touch of the token's session is replies[0], `count` the commands after it. The
 * commands run also when the touch says that the token is revoked, so they may
 * only read, or must look themselves whether it is.
 */
struct printbuf *request_touch(struct request *request, const char *reason);
struct problem request_ask_touched(struct request *request, size_t count);
/* The refusal that a script's verdict on the token means; none: STORE_DONE. */
struct problem request_check(struct request *request, enum store_verdict verdict);

/* Instead of it for an operator's request, which is no activity: only looks whether the token is good. */
struct printbuf *request_look(struct request *request);

/* What a touch is to do besides. */
struct touch_wish {
	bool only_looks;
	enum store_idle idle;
	bool wants_self; /* store_read_self() of replies[0] */
};
struct printbuf *request_touch_for(struct request *request, const struct touch_wish *wish);

/* The partition of a user. */
const struct store *request_store_of(const struct request *request, const struct userid *user);
/* The first one, which has what is about no user, too. */
const struct store *request_first_store(const struct request *request);
/* Whose call it is, where no token told. */
void request_set_user(struct request *request, const struct userid *user);

/* Redis, or one of its servers, did not do what was asked of it: nodes_error(). */
struct problem request_no_redis(struct request *request);

/* A reply that is not what Redis answers to such a command. */
struct problem request_bad_reply(struct request *request);

/* The caller's friends; the caller of this function frees them with friends_free(). */
struct problem request_friends(struct request *request, struct friends *friends);

#endif
