/* The calls of docs/api.md: their paths, and what tests do with them again and again. */
#ifndef PRESENCE_TESTS_CALLS_H
#define PRESENCE_TESTS_CALLS_H

#include "harness.h"

#define LOGIN "/api/auth/login/json"
#define REFRESH "/api/auth/refresh"
#define LOGOUT "/api/auth/logout"
#define FRIENDS_LIST "/api/friends/list"
#define STATUS_USERS "/api/online-status/users"
#define STATUS_USER "/api/online-status/user/"
#define STATUS_FRIENDS "/api/online-status/friends"
#define HEARTBEAT "/api/online-status/heartbeat"
#define COUNT "/api/online-status/count"
#define ONLINE_LIST "/api/online-status/online"
#define STATE "/api/presence/status"
#define SETTINGS "/api/presence/settings"
#define BLOCK_LIST "/api/presence/blocks"
#define BLOCKS BLOCK_LIST "/" /* + id */
#define TYPING "/api/presence/typing"
#define LOCATION "/api/presence/location"
#define NEARBY "/api/presence/nearby"
#define TICKET "/api/presence/ticket"
#define STREAM "/api/presence/stream"
#define HEALTH "/api/health"
#define METRICS "/api/metrics"
#define FIGURES STREAM "/admin"
#define ADMIN_USER "/api/admin/user/" /* + id; + id/kick */

/* The body of a login of user 1. */
#define CREDENTIALS "{\"email\":\"user1@example.com\",\"password\":\"" PASSWORD "\"}"

/* A STATUS as CHECK_JSON expects it; the id as it stands in JSON, ' for ". */
#define ONLINE(id)                                                                        \
	"{'user_id':" #id ",'is_online':true,'status':'online','last_activity':'<time>'," \
	"'version':'<version>'}"
#define OFFLINE(id)                                                                     \
	"{'user_id':" #id ",'is_online':false,'status':'offline','last_seen':'<time>'," \
	"'version':'<version>'}"
#define NEVER_SEEN(id) \
	"{'user_id':" #id ",'is_online':false,'status':'offline','last_seen':null,'version':0}"

/* The same as a member of an object of several. */
#define NEVER_SEEN_AT(id) "'" #id "':" NEVER_SEEN(id)

/* A call that counts as activity, by this token; by a new token of the user `id`. */
void touch(struct stack *stack, const char *token);
void touch_user(struct stack *stack, const char *id);

/* Every path of presence-api's own table (src/api/main.c), with 2 for {id}; how many. */
#define CALL_ROUTES_MAX 64
struct call_route {
	char path[64];
	char methods[32]; /* as Allow tells them, but for OPTIONS: "GET, HEAD, PUT" */
};
size_t call_routes(struct call_route routes[CALL_ROUTES_MAX]);
bool call_route_has(const struct call_route *route, const char *method);

/* Logs in with PASSWORD; the token. */
const char *login(struct stack *stack, const char *email);
/* A new token of user 9 with this scope, by presencectl; of an operator. */
const char *scoped_token(struct stack *stack, const char *scope);
const char *admin_token(struct stack *stack);
/* A new ticket for a stream. */
const char *ticket_for(struct stack *stack, const char *token);

#endif
