/*
 * The stand for Web Push: a stack with presence-pushd, and a push service on
 * loopback (tests/push/service.js) that answers as its paths say, logs what it
 * gets, and at another port hands it to a foreign implementation that decrypts.
 */
#ifndef PRESENCE_TESTS_PUSH_H
#define PRESENCE_TESTS_PUSH_H

#include "harness.h"

#define PUSH_KEY "/api/push/key"
#define PUSH_SUBSCRIPTIONS "/api/push/subscriptions"
#define PUSH_WHEN_ONLINE "/api/push/when-online/"
#define PUSH_NOTIFY "/api/push/notify"

/* The receiver's keys of RFC 8291 section 5. */
#define PUSH_TEST_KEYS                                                                        \
	"\"keys\":{\"p256dh\":\"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4" \
	"bjyPjs7Vd8pZGH6SRpkNtoIAiw4\",\"auth\":\"BTBZMqHH6r4Tts7J_aSIgg\"}"

#define PUSHD_MAX 2

struct push_stand {
	struct stack *stack;
	pid_t service, pushd[PUSHD_MAX]; /* 0: does not run */
	int https, h2, plain, foreign, closed; /* ports of the service, see service.js */
	const char *sender; /* a token with the scope push */
};

/* A certificate for localhost: tls.key and tls.pem in the stack's directory. */
void push_make_certificate(struct stack *stack);

/* harness_main(), or 77 (skipped) where npm has not installed what the service is made of. */
int push_main(Suite *suite);

/* stack_new() with [push] and its key, of a site whose users' push services are the default ones. */
struct stack *push_stack_new(const char *conf);

/*
 * Starts all but presence-pushd. In `conf` @HTTPS, @H2, @PLAIN, @FOREIGN and
 * @CLOSED stand for ports, @DIR for the stack's directory; without "allow" in it, all of them on localhost are allowed.
 */
struct push_stand *push_start(const char *conf);
/* The same, users divided over partitions on `count` servers. */
struct push_stand *push_start_divided(int count, int partitions, const char *conf);
/* The same, divided over a Redis Cluster, stand->stack->cluster, and with the fewest rights in it. */
struct push_stand *push_start_cluster(int partitions, const char *conf);
/* The same with one presence-pushd. */
struct push_stand *push_start_pushd(const char *conf);
/* Ends all; presence-pushd must end well. */
void push_stop(struct push_stand *stand);

/* env as for process_start(), or NULL. Waits until it has spoken to Redis. */
void pushd_start(struct push_stand *stand, int index, const char *const env[]);
int pushd_end(struct push_stand *stand, int index, int signal);

/* A subscription of this user, whose endpoint is that URL; its id. */
const char *push_subscribe_url(struct push_stand *stand, const char *token, const char *url);
/* The same at the service's port and path. */
const char *push_subscribe(struct push_stand *stand, const char *token, int port, const char *path);
/* A user who is offline and has such a subscription. */
void push_offline_user(struct push_stand *stand, const char *id, int port, const char *path);
/* Ends what keeps a user online, without a logout. */
void push_take_offline(struct push_stand *stand, const char *id);

/* POST notify with this JSON (' stands for "), by a token with the scope; how many were queued. */
int push_notify(struct push_stand *stand, const char *json);

/* How many times an outcome was counted. */
long long push_count(struct push_stand *stand, const char *outcome);
/* Waits until it was counted so often, and no oftener; until nothing waits or is under way. */
void push_wait_for(struct push_stand *stand, const char *outcome, long long count);
void push_wait_until_idle(struct push_stand *stand);
/* GET at the service, which answers JSON. */
struct json_object *push_ask(struct push_stand *stand, const char *path);
/* What the service got so far: an array; those whose path starts with `path`, how many. */
struct json_object *push_log(struct push_stand *stand);
int push_received(struct push_stand *stand, const char *path);
/* The index-th of them. */
struct json_object *push_request(struct push_stand *stand, const char *path, int index);
/* Whether nothing waits or is under way. */
bool push_is_idle(struct push_stand *stand);

/* A notification for each of `count` users, u`first` and so on, each with a subscription. */
void push_queue_many(struct push_stand *stand, int first, int count);
/* Of those for u0 … u`count`-1 how many the push service got again; fails when one is missing, or has another topic then. */
int push_count_repeated(struct push_stand *stand, int count);
/* At most so many are sent again when presence-pushd is killed: TASKS_MAX of it. */
#define PUSH_UNDER_WAY_MAX 128
/* SIGKILL to presence-pushd in the middle of so many: nothing is lost, few come again. Stops the stand. */
void push_check_kill(struct push_stand *stand, int count);

#endif
