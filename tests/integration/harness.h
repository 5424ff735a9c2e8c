/*
 * The stand of the integration tests: a real Redis, a real web server and the
 * programs under test, in a directory of their own, for one test at a time.
 *
 * Every test runs in a process of its own (Check's fork mode). Whatever becomes
 * of that process, a guardian ends all it started and removes the directory;
 * it prints the logs unless the test came to stack_stop(). The memory a client
 * takes is not freed one by one: it lives as long as the test's process.
 */
#ifndef PRESENCE_TESTS_HARNESS_H
#define PRESENCE_TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <check.h>
#include <hiredis/hiredis.h>
#include <json-c/json.h>

#define USERS 6 /* accounts 1..USERS in the directory, each a friend of all others */
#define PASSWORD "password" /* of each; the e-mail of account 1 is user1@example.com */
#define STREAMD_MAX 2
/*
 * Debian's, for LD_PRELOAD; ld.so fills in $LIB. (The program `faketime` refuses a pid that one which
 * was killed has had.)
 */
#define FAKETIME "/usr/$LIB/faketime/libfaketime.so.1"
#define REDIS_MAX 3 /* servers */

/* Short times, so that tests see them pass: what most tests start from. */
#define FAST                                                                             \
	"presence { online_ttl = 2 heartbeat = 1 stream_ttl = 3 grace = 1 sweep = 1 }\n" \
	"stream { drain = 1 }\n"

struct stack {
	char dir[64];
	char secret[65]; /* HS256 key */
	int port; /* of the web server on 127.0.0.1 */
	const char *base; /* what the web server hands to presence-api: "/api/" */
	pid_t redis, lighttpd, streamd[STREAMD_MAX]; /* 0: does not run */
	pid_t postgres; /* postgres.h */
	pid_t more_redis[REDIS_MAX - 1]; /* servers 1, 2 of several */
	int streamd_nofile; /* descriptor limit for the next streamd; 0 = as it is */
	bool expects_abort; /* a worker may end by an error inside a library */
	pid_t group; /* process group of all that was started */
	pid_t guardian;
	int guardian_fd;
	redisContext *control; /* of redis_cmd() */
	redisContext *more_control[REDIS_MAX - 1];
	unsigned servers, partitions; /* what users are divided over, see stack_divide() */
	struct cluster_stand *cluster; /* where they are divided over one: fleet.h */
};

/* Milliseconds, stretched by TEST_SLOW (valgrind, a busy machine); for deadlines, never for pauses. */
int patience(int ms);
int64_t now_ms(void); /* monotonic */

/* Waits until the condition holds; fails the test when it does not within ms (stretched). */
#define WAIT_UNTIL(condition, ms)                                                                 \
	do {                                                                                      \
		int64_t wait_end_ = now_ms() + patience(ms);                                      \
		while (!(condition)) {                                                            \
			if (now_ms() > wait_end_)                                                 \
				ck_abort_msg("within %d ms never: %s", patience(ms), #condition); \
			nap();                                                                    \
		}                                                                                 \
	} while (0)
void nap(void); /* between two looks at a condition */

/*
 * Runs a suite as a program: main() returns its value. Prepares the directory
 * of users that each stack gets a copy of.
 */
int harness_main(Suite *suite);
/* A test case with a time limit in seconds (stretched). */
TCase *harness_case(Suite *suite, const char *name, int seconds);

/*
 * A stack with this configuration text after the harness' own (later values
 * win). stack_new starts nothing; stack_start all: Redis, one streamd, the web
 * server with its workers.
 */
struct stack *stack_new(const char *conf);
struct stack *stack_start(const char *conf);
/* Without streamd, which most calls do not need: Redis and the web server with its workers. */
struct stack *stack_start_api(const char *conf);
/* Ends all; fails the test when a program under test did not end well or a sanitizer spoke. */
void stack_stop(struct stack *stack);

void stack_write_conf(struct stack *stack, const char *conf);
/* The text of a file in the stack's directory; "" when there is none. */
char *stack_file(struct stack *stack, const char *name);
void stack_write(struct stack *stack, const char *name, const char *text);
/* The text of a file of the source tree. */
char *source_file(const char *name);
/* Mode 0640, as a key file must have. */
void stack_write_secret(struct stack *stack, const char *name, const char *text);
const char *stack_path(struct stack *stack, const char *name);

/* Redis on DIR/redis.sock; `args` NULL or further arguments, one blank between. */
void redis_start(struct stack *stack, const char *args);
void redis_kill(struct stack *stack); /* SIGKILL; its data is gone */
/*
 * Several servers: 0 is the one above, the others are on DIR/redis1.sock and so
 * on. stack_divide() writes the configuration again, for so many servers and
 * partitions, and starts the servers.
 */
void stack_divide(struct stack *stack, int servers, int partitions, const char *conf);
void redis_start_at(struct stack *stack, int server, const char *args);
void redis_kill_at(struct stack *stack, int server);
pid_t redis_pid_at(struct stack *stack, int server);
redisReply *redis_cmd_at(struct stack *stack, int server, const char *format, ...);
/* One command; fails the test when Redis is away. Error replies are returned. */
redisReply *redis_cmd(struct stack *stack, const char *format, ...);
long long redis_int(struct stack *stack, const char *format, ...);
char *redis_text(struct stack *stack, const char *format, ...); /* NULL for nil */
bool redis_has(struct stack *stack, const char *key);
/*
 * Commands with one key, the second word, which gets the tag of a partition: the
 * one of that user; each of them, the sum of what they answer.
 */
long long redis_int_of(struct stack *stack, const char *id, const char *format, ...);
long long redis_sum(struct stack *stack, const char *format, ...);
/* Makes the user `presence` of conf/redis-users.acl, with this password. */
void redis_make_user(struct stack *stack, const char *password);
/* Every key, type and value, sorted, but for what the sweepers note for themselves. */
char *redis_dump(struct stack *stack);

/* What is published: a subscription to a pattern. */
struct listener;
struct message {
	char *channel, *text;
	struct json_object *json; /* NULL when it is none */
};
struct listener *listener_open(struct stack *stack, const char *pattern);
struct message *listener_next(struct listener *listener, int ms); /* NULL: none came */

/* Waits until it listens and, if Redis runs, has connected to it or says why not. */
void streamd_start(struct stack *stack, int index);
/* Waits for its end after `signal` was sent (0: none); the exit status, or 128 + signal. */
int streamd_end(struct stack *stack, int index, int signal);
const char *streamd_socket(struct stack *stack, int index);
void lighttpd_start(struct stack *stack);
/* Starts it again with `from` in its configuration replaced by `to`; from NULL: appended. */
void lighttpd_change(struct stack *stack, const char *from, const char *to);

/* Runs a program to its end; its output in *out (may be NULL); the exit status. */
int run(struct stack *stack, char **out, const char *input, const char *const argv[]);
const char *program(const char *name); /* path of a program under test */
/*
 * presencectl with these arguments on the stack's configuration: CTL() must
 * succeed and gives its output, which CTL_INPUT() feeds with a text first;
 * CTL_STATUS() gives the exit status.
 */
#define CTL(stack, ...) CTL_INPUT(stack, NULL, __VA_ARGS__)
#define CTL_INPUT(stack, input, ...) \
	ctl_ok(__FILE__, __LINE__, stack, input, (const char *[]){__VA_ARGS__, NULL})
#define CTL_STATUS(stack, out, ...) ctl_run(stack, out, NULL, (const char *[]){__VA_ARGS__, NULL})
char *ctl_ok(const char *file, int line, struct stack *stack, const char *input,
	     const char *const args[]);
int ctl_run(struct stack *stack, char **out, const char *input, const char *const args[]);
/* What it said on standard error so far. */
char *ctl_said(struct stack *stack);
/* Processes whose parent is `parent`; at most max; how many. */
int children_of(pid_t parent, pid_t *list, int max);
/* The parent of the API's workers. */
pid_t api_parent(struct stack *stack);
void signal_and_wait_stopped(pid_t pid); /* SIGSTOP, until it stands */
long resident_kb(pid_t pid); /* memory of its own and shared; 0 when it is gone */
/* Runs SQL on the stack's directory of users, by sqlite3. */
void users_sql(struct stack *stack, const char *sql);

/* The text has this part; has it not. */
#define check_has(text, part) check_part(__FILE__, __LINE__, text, part, true)
#define check_has_not(text, part) check_part(__FILE__, __LINE__, text, part, false)
void check_part(const char *file, int line, const char *text, const char *part, bool wanted);
struct json_object *parse_json(const char *text); /* fails the test when it is none */

/* Random numbers that TEST_SEED=N repeats; the seed is told on standard error. */
void seed_from_environment(void);
unsigned seeded_below(unsigned limit);

/* --- tokens (token.c) --------------------------------------------------------------------- */

/* HS256 by the stack's secret: sub "ID", a new sid, iat now, exp in an hour. */
const char *token_for(struct stack *stack, const char *id);
const char *token_until(struct stack *stack, const char *id, int lifetime);
enum token_key { KEY_HMAC, KEY_HMAC_384, KEY_HMAC_512, KEY_RSA, KEY_EC, KEY_NONE };
/*
 * A token of any header and payload (' stands for "), signed with the key:
 * a secret for KEY_HMAC…, else a PEM private key. SHA-256 where the kind does not say otherwise.
 */
const char *token_make(const char *header, const char *payload, enum token_key kind,
		       const char *key);
/* The payload of a token. */
struct json_object *token_payload(const char *token);
/* Makes NAME.pem and NAME.pub in the stack's directory: "rsa" or "ec"; the private PEM. */
char *make_key_pair(struct stack *stack, const char *kind, const char *name);

/* --- HTTP (client.c) ---------------------------------------------------------------------- */

struct request {
	const char *method; /* NULL: GET, or POST with a body */
	const char *path;
	const char *token; /* NULL: none */
	const char *body; /* NULL: none */
	size_t body_len; /* 0: strlen */
	const char *type; /* NULL: application/json when there is a body; "": none */
	const char *header; /* one more, or NULL */
};

struct response {
	int status;
	char *head; /* status line and header fields */
	char *body;
	size_t body_len;
	struct json_object *json; /* NULL when the body is none */
	int ms; /* how long it took */
};

struct response *http_send(struct stack *stack, const struct request *request);
#define HTTP(stack, ...) http_send(stack, &(struct request){__VA_ARGS__})
/*
 * From now on each answer goes to a file of this program in the directory $TEST_ANSWERS, if that is
 * set: tests/npm/answers.mjs compares them with docs/openapi.yaml. Before any test.
 */
void http_keep_answers(void);
/* The value of a header field, NULL when it is missing. */
const char *header_of(const char *head, const char *name);

/* HTTP, and the answer must have this status; a problem must be well formed with this code. */
struct json_object *http_ok(struct stack *stack, const char *path, const char *token,
			    const char *body);
void check_problem(const struct response *response, int status, const char *code);

/*
 * Compares with an expected text: ' stands for ", and the strings <time>,
 * <string>, <version>, <int>, <any>, <null or time> for what they say. The
 * members must be exactly those.
 */
#define CHECK_JSON(value, expected) check_json(__FILE__, __LINE__, value, expected)
void check_json(const char *file, int line, struct json_object *value, const char *expected);
struct json_object *json_at(struct json_object *value, const char *name); /* must be there */
const char *json_text(struct json_object *value, const char *name);

/* --- event streams (sse.c) ---------------------------------------------------------------- */

struct sse;
struct event {
	char *name, *data;
	char *retry; /* NULL: none */
	struct json_object *json;
};

struct sse *sse_open(struct stack *stack,
		     const char *token); /* Authorization, via the web server */
struct sse *sse_open_query(struct stack *stack, const char *token); /* ?token= */
struct sse *sse_open_ticket(struct stack *stack, const char *ticket); /* ?ticket= */
struct sse *sse_request(struct stack *stack, const char *text); /* any HTTP request */
/* FastCGI on a streamd's own socket. */
struct sse *sse_open_direct(struct stack *stack, int streamd, const char *token);
int sse_status(struct sse *sse); /* waits for the head */
const char *sse_header(struct sse *sse, const char *name);
struct event *sse_next(struct sse *sse, int ms); /* NULL: none came or the stream ended */
/* The very next event, which must be of this name. */
struct event *sse_expect(struct sse *sse, const char *name, int ms);
/* The next event of this name, others skipped; fails the test when none comes. */
struct event *sse_wait(struct sse *sse, const char *name, int ms);
/* The next status_change of this user. */
struct event *sse_wait_change(struct sse *sse, const char *id, bool online, int ms);
/* Waits for the first initial. */
struct event *sse_ready(struct sse *sse);
/* Waits for `degraded`. */
struct event *sse_wait_degraded(struct sse *sse);
/* Waits for `bye` with this reason, and for the end, before which nothing more comes. */
void sse_wait_bye(struct sse *sse, const char *reason, int ms);
bool sse_wait_end(struct sse *sse, int ms); /* reads until the peer closes */
bool sse_ended(const struct sse *sse);
int sse_fd(const struct sse *sse);
void sse_close(struct sse *sse); /* FIN */
void sse_abort(struct sse *sse); /* RST */
/* The first streamd, still the same process, opens a stream, and at once. */
void check_serves(struct stack *stack);

#endif
