/*
 * Attacks from the machine itself: whose files and sockets are whose, what the programs may do. The
 * rows of docs/reliability.md that test_systemd.c, test_deb.sh and test_hardening.sh do not have.
 */
#include "harness.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "process.h"
#include "wire.h"

#define COUNT "/api/online-status/count"
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define NOBODY 65534

START_TEST(a_key_that_others_can_read_is_refused_at_start)
{
	static const char *const programs[] = {"presence-streamd", "presence-api"};
	static const unsigned modes[] = {0644, 0604, 0666, 0606, 0602};
	struct stack *stack = stack_new("api { listen = \"unix:/nowhere/api.sock\" }\n");

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		char mode[8];

		snprintf(mode, sizeof mode, "%04o", modes[i]);
		ck_assert_int_eq(chmod(stack_path(stack, "key"), modes[i]), 0);
		for (size_t j = 0; j < COUNT_OF(programs); j++) {
			const char *argv[] = {program(programs[j]), "-c",
					      stack_path(stack, "presence.conf"), NULL};
			char *log;

			stack_write(stack, "run.log", "");
			ck_assert_int_eq(run(stack, NULL, NULL, argv), 2);
			log = stack_file(stack, "run.log");
			check_has(log, stack_path(stack, "key"));
			check_has(log, mode);
		}
	}
	stack_stop(stack);
}
END_TEST

static unsigned mode_of(const char *path)
{
	struct stat info;

	ck_assert_msg(stat(path, &info) == 0, "no %s", path);
	return info.st_mode & 07777;
}

START_TEST(sockets_are_0660_whatever_the_umask)
{
	static const unsigned masks[] = {0, 022, 0777};

	for (size_t i = 0; i < COUNT_OF(masks); i++) {
		struct stack *stack = stack_new("stream { mode = 0660 }\n");
		const char *api = stack_path(stack, "own.sock"), *address;
		char *text;
		pid_t pid;
		mode_t mask;

		ck_assert(asprintf(&text, "unix:%s", api) > 0);
		address = text;
		redis_start(stack, NULL);
		mask = umask(masks[i]);
		streamd_start(stack, 0);
		pid = process_start(stack, "api",
				    (const char *const[]){program("presence-api"), "-c",
							  stack_path(stack, "presence.conf"), NULL},
				    (const char *const[]){"PRESENCE_API_LISTEN", address, NULL}, 0);
		WAIT_UNTIL(socket_listens(api) && mode_of(api) == 0660, 5000);
		umask(mask);
		ck_assert_uint_eq(mode_of(streamd_socket(stack, 0)), 0660);
		ck_assert_int_eq(process_end(&pid, SIGTERM, "presence-api", 10000), 0);
		stack_stop(stack);
	}
}
END_TEST

static int give_to_nobody(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info;
	(void)kind;
	(void)where;
	return lchown(path, NOBODY, NOBODY);
}

/* Root without a capability, or somebody else without any right: nothing but its files is needed. */
static pid_t start_confined(struct stack *stack, const char *log, const char *name,
			    const char *const env[])
{
	const char *argv[] = {"setpriv",
			      "--reuid=65534",
			      "--regid=65534",
			      "--clear-groups",
			      "--no-new-privs",
			      "--bounding-set=-all",
			      "--inh-caps=-all",
			      program(name),
			      "-c",
			      stack_path(stack, "presence.conf"),
			      NULL};

	return process_start(stack, log, argv, env, 0);
}

/* Fields of /proc/PID/status. */
static const char *status_field(pid_t pid, const char *field)
{
	static char line[256];
	char path[64];
	FILE *file;
	bool found = false;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (!found && fgets(line, sizeof line, file) != NULL)
		found = strncmp(line, field, strlen(field)) == 0;
	fclose(file);
	ck_assert_msg(found, "no %s of process %d", field, (int)pid);
	return line + strlen(field);
}

static void check_confined(pid_t pid)
{
	ck_assert_int_eq(atoi(status_field(pid, "Uid:")), NOBODY);
	ck_assert_int_eq(atoi(status_field(pid, "NoNewPrivs:")), 1);
	ck_assert_uint_eq(strtoull(status_field(pid, "CapEff:"), NULL, 16), 0);
	ck_assert_uint_eq(strtoull(status_field(pid, "CapBnd:"), NULL, 16), 0);
}

START_TEST(both_programs_serve_as_nobody_without_a_capability)
{
	struct stack *stack;
	char *address;
	pid_t api;
	struct sse *sse;

	if (geteuid() != 0) /* then every test runs without privileges */
		return;
	stack = stack_new("");
	redis_start(stack, NULL);
	ck_assert_int_eq(nftw(stack->dir, give_to_nobody, 16, FTW_PHYS), 0);
	ck_assert(asprintf(&address, "unix:%s", stack_path(stack, "api.sock")) > 0);
	stack->streamd[0] = start_confined(stack, "streamd0", "presence-streamd", NULL);
	api = start_confined(stack, "api", "presence-api",
			     (const char *const[]){"PRESENCE_API_LISTEN", address, NULL});
	WAIT_UNTIL(socket_listens(stack_path(stack, "api.sock")), 10000);
	WAIT_UNTIL(socket_listens(streamd_socket(stack, 0)), 10000);
	/* The web server is somebody else; it only connects. */
	lighttpd_start(stack);
	lighttpd_change(stack, "\"bin-path\" => var.presence_api + \" -c \" + var.presence_conf,",
			"");
	lighttpd_change(stack, "\"max-procs\" => 1,", "");
	WAIT_UNTIL(strstr(stack_file(stack, "api.log"), "keeping") != NULL, 5000);
	http_ok(stack, COUNT, token_for(stack, "2"), NULL);
	http_ok(stack, "/api/friends/list", token_for(stack, "2"), NULL);
	sse = sse_open(stack, token_for(stack, "1"));
	sse_ready(sse);
	sse_close(sse);
	check_confined(stack->streamd[0]);
	check_confined(api);
	ck_assert_int_eq(process_end(&api, SIGTERM, "presence-api", 10000), 0);
	stack_stop(stack);
}
END_TEST

/* --- Redis with the rights that conf/redis-users.acl gives ----------------------------------- */

/* The file as a site would use it: with a password. */
static void write_acl(struct stack *stack, const char *password)
{
	char *path, text[4096], *at, *out;
	FILE *file;
	size_t len;

	ck_assert(asprintf(&path, "%s/conf/redis-users.acl", getenv("ABS_SRCDIR")) > 0);
	file = fopen(path, "re");
	ck_assert_msg(file != NULL, "no %s", path);
	len = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[len] = '\0';
	at = strstr(text, ">PASSWORD");
	ck_assert_msg(at != NULL, "no >PASSWORD in %s", path);
	/* The tests' own connection stays the default user. */
	ck_assert(asprintf(&out, "%.*s%s%suser default on nopass allcommands allkeys allchannels\n",
			   (int)(at + 1 - text), text, password, at + strlen(">PASSWORD")) > 0);
	stack_write(stack, "users.acl", out);
	free(out);
	free(path);
}

/* What Redis has denied to anybody. */
static const char *denied(struct stack *stack)
{
	redisReply *reply = redis_cmd(stack, "ACL LOG");
	char *text;

	if (reply->elements == 0)
		return NULL;
	ck_assert(asprintf(&text, "%s %s", reply->element[0]->element[3]->str,
			   reply->element[0]->element[7]->str) > 0);
	return text;
}

START_TEST(the_whole_service_works_with_the_rights_of_the_acl_file)
{
	struct stack *stack = stack_new("");
	char *conf, *args, *path;
	const char *token, *watched = token_for(stack, "2");
	struct sse *sse;

	ck_assert(asprintf(&conf,
			   FAST "redis { url = \"unix://presence:secret@%s/redis.sock\" }\n"
				"presence { visibility = friends }\n",
			   stack->dir) > 0);
	stack_write_conf(stack, conf);
	write_acl(stack, "secret");
	ck_assert(asprintf(&args, "--aclfile %s", stack_path(stack, "users.acl")) > 0);
	redis_start(stack, args);
	streamd_start(stack, 0);
	/* At its start it asks how well Redis keeps its data, and does without an answer. */
	freeReplyObject(redis_cmd(stack, "ACL LOG RESET"));
	lighttpd_start(stack);

	http_ok(stack, "/api/health", NULL, NULL);
	HTTP(stack, .path = "/api/auth/login/json",
	     .body = "{\"email\":\"user1@example.com\",\"password\":\"wrong\"}");
	token = json_text(http_ok(stack, "/api/auth/login/json", NULL,
				  "{\"email\":\"user1@example.com\",\"password\":\"" PASSWORD
				  "\"}"),
			  "access_token");
	token = json_text(http_ok(stack, "/api/auth/refresh", token, ""), "access_token");
	ck_assert(asprintf(&path,
			   "GET /api/presence/stream?ticket=%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
			   json_text(http_ok(stack, "/api/presence/ticket", token, ""), "ticket")) >
		  0);
	sse = sse_request(stack, path);
	sse_ready(sse);
	http_ok(stack, "/api/friends/list", token, NULL);
	http_ok(stack, "/api/online-status/users", token, "{\"user_ids\":[2,3]}");
	http_ok(stack, "/api/online-status/user/2", token, NULL);
	http_ok(stack, "/api/online-status/friends", token, NULL);
	http_ok(stack, "/api/online-status/heartbeat", token, "{\"websocket_session\":\"w\"}");
	http_ok(stack, COUNT, watched, NULL);
	sse_wait_change(sse, "2", true, 5000);
	http_ok(stack, "/api/online-status/online", token, NULL);
	sse_wait_change(sse, "2", false, 10000); /* swept */
	http_ok(stack, COUNT, watched, NULL);
	http_ok(stack, "/api/auth/logout?all=true", watched, "");
	CTL(stack, "status", "1");
	CTL(stack, "online");
	CTL(stack, "sessions", "1");
	CTL(stack, "explain", "1", "2");
	CTL(stack, "friend", "remove", "1", "3");
	sse_wait(sse, "initial", 5000);
	CTL(stack, "sweep");
	CTL(stack, "kick", "1");
	ck_assert_str_eq(json_text(sse_wait(sse, "bye", 5000)->json, "reason"), "revoked");
	ck_assert_msg(denied(stack) == NULL, "Redis has denied: %s", denied(stack));
	/* Nothing else: that user is no administrator. */
	ck_assert_int_eq(redis_cmd(stack, "AUTH presence secret")->type, REDIS_REPLY_STATUS);
	ck_assert_int_eq(redis_cmd(stack, "FLUSHALL")->type, REDIS_REPLY_ERROR);
	ck_assert_int_eq(redis_cmd(stack, "CONFIG GET dir")->type, REDIS_REPLY_ERROR);
	ck_assert_int_eq(redis_cmd(stack, "KEYS *")->type, REDIS_REPLY_ERROR);
	ck_assert_int_eq(redis_cmd(stack, "GET other:key")->type, REDIS_REPLY_ERROR);
	ck_assert_int_eq(redis_cmd(stack, "PUBLISH other x")->type, REDIS_REPLY_ERROR);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("attacks from the machine");
	TCase *tcase = harness_case(suite, "machine", 60);

	tcase_add_test(tcase, a_key_that_others_can_read_is_refused_at_start);
	tcase_add_test(tcase, sockets_are_0660_whatever_the_umask);
	tcase_add_test(tcase, the_whole_service_works_with_the_rights_of_the_acl_file);
	tcase_add_test(tcase, both_programs_serve_as_nobody_without_a_capability);
	return harness_main(suite);
}
