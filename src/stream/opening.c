#include "stream/opening.h"

#include <stdlib.h>
#include <string.h>

#include "auth/credentials.h"
#include "auth/ticket.h"
#include "base/alloc.h"
#include "base/cgi.h"
#include "base/cors.h"
#include "base/log.h"
#include "base/random.h"
#include "base/times.h"
#include "store/keys.h"
#include "stream/friends.h"
#include "stream/heartbeat.h"

#define PATH_MAX_LEN 2048
#define STREAM_PATH "/presence/stream"
#define FIGURES_PATH STREAM_PATH "/admin"
#define METHODS "GET, HEAD, OPTIONS"

/* --- answers that are not a stream ----------------------------------------------------------- */

/* What is asked for, borrowed from the parameters. */
struct request {
	char *const *env;
	const char *method, *origin; /* NULL: there is none */
};

static bool is_method(const struct request *request, const char *method)
{
	return request->method != NULL && strcmp(request->method, method) == 0;
}

/* The whole answer; of one to HEAD (RFC 9110 section 9.3.2) the header alone. */
static void answer(struct stream *stream, const struct request *request, struct printbuf *text)
{
	static const char blank_line[] = "\r\n\r\n";
	const char *end = strstr(text->buf, blank_line);

	if (is_method(request, "HEAD") && end != NULL)
		text->bpos = (int)(end - text->buf) + (int)sizeof blank_line - 1;
	stream_send_text(stream, text);
	stream_finish(stream);
}

static void refuse(struct stream *stream, const struct request *request, enum problem_kind kind,
		   const char *detail)
{
	struct problem problem = {
		.kind = kind, .detail = detail, .request_id = stream->due.request_id};
	struct printbuf *text = stream->all->context->scratch;

	if (kind == PROBLEM_METHOD_NOT_ALLOWED)
		problem.allow = METHODS;
	stream_count_refusal(stream, kind);
	buf_reset(text);
	problem_put(text, &problem, stream->fields);
	answer(stream, request, text);
}

static void answer_options(struct stream *stream, const struct request *request)
{
	struct context *context = stream->all->context;

	buf_reset(context->scratch);
	cors_put_options(context->scratch, context->config->cors.allow_origins, request->origin,
			 cgi_param(request->env, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS"), METHODS,
			 stream->fields);
	answer(stream, request, context->scratch);
}

static void answer_head(struct stream *stream, const struct request *request)
{
	struct printbuf *text = stream->all->context->scratch;

	buf_reset(text);
	events_put_head(text, stream->fields);
	answer(stream, request, text);
}

/* --- who it is ------------------------------------------------------------------------------- */

static void join_inbox(struct stream *stream)
{
	stream_set_phase(stream, PHASE_INBOX);
	stream_clear_deadline(stream); /* the link watches over the time */
	subscription_join(&stream->all->subscriptions, &stream->subscription, CHANNEL_INBOX,
			  stream->session.user);
}

static void set_ticket(struct stream *stream, enum ticket_answer ticket)
{
	state_moved(&ticket_states, &stream->due, stream->ticket.answer, ticket);
	stream->ticket.answer = ticket;
	turn_mark(&stream->all->context->turn, &stream->due);
}

static void on_ticket(void *arg, const redisReply *reply)
{
	struct ticket_call *call = arg;
	struct stream *stream = call->stream;
	struct ticket ticket;

	free(call);
	if (stream == NULL)
		return;
	stream->ticket.call = NULL;
	if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
		set_ticket(stream, TICKET_FAILED);
	} else if (!ticket_read(reply, &ticket)) {
		set_ticket(stream, TICKET_UNKNOWN);
	} else {
		stream_identify(stream, &ticket.token);
		stream->session.born_idle = ticket.idle;
		stream->friends.watched = ticket.users;
		stream->friends.without = ticket.without_friends;
		set_ticket(stream, TICKET_TAKEN);
	}
}

static void ask_ticket(struct stream *stream, const struct partition *partition, const char *ticket)
{
	struct context *context = stream->all->context;
	struct ticket_call *call = xmalloc(sizeof *call);

	call->stream = stream;
	stream->ticket.call = call;
	stream_set_phase(stream, PHASE_TICKET);
	stream_clear_deadline(stream); /* the link watches over the time */
	set_ticket(stream, TICKET_ASKED);
	buf_reset(context->scratch);
	ticket_put_redeem(context->scratch, store_prefix(partition->store), ticket);
	partition_command(partition, context->scratch, on_ticket, call);
}

void opening_admit(struct stream *stream)
{
	if (stream_ms_to_expiry(stream) <= 0)
		stream_refuse(stream, PROBLEM_TOKEN_EXPIRED, NULL);
	else
		join_inbox(stream);
}

/* A ticket in the place of a token. HEAD takes nothing: it looks whether this could be one. */
static void take_ticket(struct stream *stream, const struct request *request, const char *ticket)
{
	const struct context *context = stream->all->context;
	unsigned number;

	if (!ticket_parse(ticket, context->partition_count, &number))
		refuse(stream, request, PROBLEM_TICKET_INVALID, NULL);
	else if (is_method(request, "HEAD"))
		answer_head(stream, request);
	else if (!partition_is_up(&context->partitions[number]))
		refuse(stream, request, PROBLEM_REDIS_UNAVAILABLE, NULL);
	else
		ask_ticket(stream, &context->partitions[number], ticket);
}

/* ?users=5,7,bob&friends=false. */
static enum problem_kind take_watch_list(struct stream *stream, const struct request *request,
					 const char **why)
{
	const char *uri = cgi_param(request->env, "REQUEST_URI");
	size_t size = strlen(uri) + 1;
	char *users = xmalloc(size);
	enum cgi_query has_users = cgi_query_get(request->env, "users", users, size);
	enum userids_result result = USERIDS_OK;
	bool friends = true;

	*why = NULL;
	if (has_users == CGI_QUERY_FOUND)
		result = userids_parse(users,
				       (size_t)stream->all->context->config->stream.max_watched,
				       &stream->friends.watched);
	free(users);
	if (result == USERIDS_TOO_MANY)
		return PROBLEM_TOO_MANY_IDS;
	if (result == USERIDS_BAD || has_users == CGI_QUERY_BAD)
		return PROBLEM_BAD_ID;
	*why = "\"friends\" is true or false.";
	if (!cgi_query_flag(request->env, "friends", &friends))
		return PROBLEM_BAD_PARAMETER;
	stream->friends.without = !friends;
	return PROBLEM_NONE;
}

/* What a token's stream says of itself; a ticket has its own instead. */
static enum problem_kind take_query(struct stream *stream, const struct request *request,
				    const char **why)
{
	enum problem_kind wrong = take_watch_list(stream, request, why);

	if (wrong != PROBLEM_NONE)
		return wrong;
	/* ?idle=true: nobody is at the device just now. */
	*why = "\"idle\" is true or false.";
	return cgi_query_flag(request->env, "idle", &stream->session.born_idle)
		       ? PROBLEM_NONE
		       : PROBLEM_BAD_PARAMETER;
}

static void authenticate(struct stream *stream, const struct request *request)
{
	char ticket[TICKET_LEN_MAX + 1];
	struct token token;
	const char *why;
	enum problem_kind wrong = credentials_verify(stream->all->context->keys, request->env,
						     times_wall_ms(), &token, &why);

	if (wrong == PROBLEM_TOKEN_MISSING &&
	    cgi_query_get(request->env, "ticket", ticket, sizeof ticket) != CGI_QUERY_ABSENT) {
		take_ticket(stream, request, ticket);
	} else if (wrong != PROBLEM_NONE ||
		   (wrong = take_query(stream, request, &why)) != PROBLEM_NONE) {
		refuse(stream, request, wrong, why);
	} else if (is_method(request, "HEAD")) {
		answer_head(stream, request);
	} else {
		stream_identify(stream, &token);
		join_inbox(stream);
	}
}

/* A stream of figures: no ticket, and nothing that a stream of users may say of itself. */
static void authenticate_watcher(struct stream *stream, const struct request *request)
{
	struct context *context = stream->all->context;
	struct token token;
	const char *why;
	enum problem_kind wrong =
		credentials_verify(context->keys, request->env, times_wall_ms(), &token, &why);

	if (wrong != PROBLEM_NONE) {
		refuse(stream, request, wrong, why);
		return;
	}
	if (!token_has_scope(&token, "admin")) {
		refuse(stream, request, PROBLEM_SCOPE_MISSING,
		       "This stream takes a token whose scope holds \"admin\".");
		return;
	}
	if (is_method(request, "HEAD")) {
		answer_head(stream, request);
		return;
	}
	stream->watcher = watcher_new(&stream->all->watchers, &stream->due, &token);
	if (stream->watcher == NULL) {
		refuse(stream, request, PROBLEM_TOO_MANY_STREAMS, "Enough people look already.");
		return;
	}
	stream->exp = token.exp;
	stream_set_phase(stream, PHASE_FIGURES);
	stream_set_deadline(stream, context->config->redis.timeout_ms);
}

/* --- the request ----------------------------------------------------------------------------- */

/* Path and method; the first thing that is wrong, or PROBLEM_NONE. *figures: it is the stream of those. */
static enum problem_kind check(const struct context *context, const struct request *request,
			       bool *figures, const char **why)
{
	const char *base = context->config->http.base;
	char path[PATH_MAX_LEN];

	if (request->method == NULL || !cgi_path(request->env, path, sizeof path)) {
		*why = "REQUEST_METHOD and REQUEST_URI are required";
		return PROBLEM_BAD_REQUEST;
	}
	if (strncmp(path, base, strlen(base)) != 0)
		return PROBLEM_NOT_FOUND;
	*figures = strcmp(path + strlen(base), FIGURES_PATH) == 0;
	if (!*figures && strcmp(path + strlen(base), STREAM_PATH) != 0)
		return PROBLEM_NOT_FOUND;
	if (!is_method(request, "GET") && !is_method(request, "HEAD"))
		return PROBLEM_METHOD_NOT_ALLOWED;
	if (context->refusing)
		return PROBLEM_SHUTTING_DOWN;
	return PROBLEM_NONE;
}

/* The fields that every answer to this request carries. */
static char *make_fields(const struct context *context, const struct request *request,
			 const char *request_id)
{
	struct printbuf *fields = buf_new();

	cors_put_fields(fields, context->config->cors.allow_origins, request->origin);
	cgi_put_request_id(fields, request_id);
	return buf_take(fields, NULL);
}

void opening_begin(struct stream *stream)
{
	struct context *context = stream->all->context;
	char **env = conn_take_request(&stream->conn);
	struct request request = {env, cgi_param(env, "REQUEST_METHOD"),
				  cgi_param(env, "HTTP_ORIGIN")};
	char id[CGI_REQUEST_ID_MAX + 1];
	const char *why = NULL;
	bool figures = false;
	enum problem_kind wrong = check(context, &request, &figures, &why);

	cgi_request_id(env, id);
	free(stream->due.request_id);
	stream->due.request_id = xstrdup(id);
	stream->fields = make_fields(context, &request, id);
	log_set_request(stream->due.request_id); /* until life_run() is at the next stream */
	if (wrong == PROBLEM_METHOD_NOT_ALLOWED && is_method(&request, "OPTIONS"))
		answer_options(stream, &request);
	else if (wrong != PROBLEM_NONE)
		refuse(stream, &request, wrong, why);
	else if (figures)
		authenticate_watcher(stream, &request);
	else if (!stream_acquire_slot(stream))
		refuse(stream, &request, PROBLEM_SERVER_FULL, NULL);
	else
		authenticate(stream, &request);
	free(env);
}

/* --- session and `connected` ----------------------------------------------------------------- */

/*
 * Those that count with this one and are further: streams of the same user; of a
 * token that only watches, of that token. The inbox is a stream's first topic.
 */
static unsigned streams_before(const struct stream *stream)
{
	const struct hub *hub = &stream->all->context->hub;
	const struct topic *inbox = hub_topic_at(hub, &stream->subscription.subscriber, 0);
	unsigned count = 0;

	for (uint32_t index = 0; index < inbox->subscribers.count; index++) {
		const struct stream *other =
			stream_of_subscriber(hub_subscriber_at(hub, inbox, index));

		count += stream_has_friends(other) &&
			 other->session.watch == stream->session.watch &&
			 (!stream->session.watch ||
			  strcmp(other->session.tok, stream->session.tok) == 0);
	}
	return count;
}

void opening_ask_session(struct stream *stream)
{
	unsigned limit = (unsigned)stream->all->context->config->stream.max_streams_per_user;

	if (streams_before(stream) >= limit) {
		stream_refuse(stream, PROBLEM_TOO_MANY_STREAMS, NULL);
		return;
	}
	stream_set_phase(stream, PHASE_SESSION);
	stream_clear_deadline(stream); /* the link watches over the time */
	session_touch(&stream->home->sessions, &stream->session);
}

/* max_lifetime +- 20 %, so that streams opened together do not end together. */
static int64_t lifetime_ms(const struct config *config)
{
	int64_t seconds = config->stream.max_lifetime;
	int64_t spread = seconds * 400 < UINT32_MAX ? seconds * 400 + 1 : UINT32_MAX;

	return seconds * 800 + random_below((unsigned)spread);
}

/* When the stream says goodbye by itself. */
static void set_lifetime(struct stream *stream)
{
	const struct context *context = stream->all->context;

	stream_clear_deadline(stream);
	/* It was on its way when the process was told to stop: the goodbye comes next. */
	if (context->draining)
		stream_set_deadline(stream, 0);
	else if (context->config->stream.max_lifetime > 0)
		stream_set_deadline(stream, lifetime_ms(context->config));
}

/* The header of the answer, which needs its fields once. */
static void put_head(struct stream *stream, struct printbuf *text)
{
	events_put_head(text, stream->fields);
	free(stream->fields);
	stream->fields = NULL;
}

void opening_show_figures(struct stream *stream)
{
	struct context *context = stream->all->context;

	buf_reset(context->scratch);
	put_head(stream, context->scratch);
	stream_send_text(stream, context->scratch);
	stream->watcher->is_open = true;
	set_lifetime(stream);
}

void opening_finish(struct stream *stream)
{
	struct context *context = stream->all->context;
	struct printbuf *text = context->scratch;
	struct userid user = session_userid(&stream->session);
	char session_id[TOKEN_SESSION_LEN + 1];

	token_session_id(stream->session.tok, session_id);
	buf_reset(text);
	put_head(stream, text);
	events_put_connected(text, context->config, &user, session_id, times_wall_ms() / 1000);
	stream->view.told_degraded = stream_is_degraded(stream);
	if (stream->view.told_degraded)
		events_put_degraded(text);
	stream_send_text(stream, text);
	stream_set_phase(stream, PHASE_OPEN);
	context->counts.opened++;
	view_open(&stream->all->snapshots, &stream->view);
	heartbeat_start(stream);
	set_lifetime(stream);
}
