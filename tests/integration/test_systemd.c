/* The units in conf/systemd, and what systemd and presence-streamd say to each other. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "process.h"
#include "servers.h"
#include "wire.h"

#define EXPOSURE \
	"15" /* of `systemd-analyze security`, 0 (best) to 100; a unit without options has 96 */

static const char *const units[] = {"presence-streamd.socket", "presence-streamd.service",
				    "presence-api.socket", "presence-api.service"};

/* The units with the paths of the programs under test. */
static void write_units(struct stack *stack)
{
	mkdir(stack_path(stack, "units"), 0755);
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		const char *name = text_of("systemd/%s", units[i]);
		bool service = strstr(name, ".service") != NULL;
		const char *target =
			strstr(name, "api") != NULL ? "presence-api" : "presence-streamd";
		const struct change changes[] = {
			{text_of("/usr/local/sbin/%s", target), program(target)},
			{NULL, NULL},
		};

		stack_write(stack, text_of("units/%s", units[i]),
			    conf_with(name, service ? changes : changes + 1));
	}
}

START_TEST(the_units_are_valid_and_confine_the_programs)
{
	struct stack *stack = stack_new("");
	const char *const names[] = {stack_path(stack, "units/presence-streamd.service"),
				     stack_path(stack, "units/presence-api.service"),
				     stack_path(stack, "units/presence-streamd.socket"),
				     stack_path(stack, "units/presence-api.socket")};
	const char *verify[] = {"systemd-analyze", "verify", "--man=no", names[0],
				names[1],	   names[2], names[3],	 NULL};
	int status;

	write_units(stack);
	status = run(stack, NULL, NULL, verify);
	ck_assert_msg(status == 0 && *stack_file(stack, "run.log") == '\0',
		      "systemd-analyze verify: status %d\n%s", status,
		      stack_file(stack, "run.log"));
	for (int i = 0; i < 2; i++) {
		const char *security[] = {"systemd-analyze",
					  "security",
					  "--offline=yes",
					  "--no-pager",
					  "--threshold=" EXPOSURE,
					  names[i],
					  NULL};
		char *out;

		status = run(stack, &out, NULL, security);
		ck_assert_msg(status == 0, "%s is exposed more than " EXPOSURE ":\n%s", names[i],
			      out);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(a_first_connection_starts_streamd)
{
	struct stack *stack = stack_new("");
	const char *argv[] = {"systemd-socket-activate",
			      "-l",
			      streamd_socket(stack, 0),
			      program("presence-streamd"),
			      "-c",
			      stack_path(stack, "presence.conf"),
			      NULL};
	struct sse *sse;

	redis_start(stack, NULL);
	stack->streamd[0] = process_start(stack, "streamd0", argv, NULL, 0);
	WAIT_UNTIL(socket_listens(streamd_socket(stack, 0)), 5000);
	sse = sse_open_direct(stack, 0, token_for(stack, "1"));
	sse_ready(sse);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* What the manager is told next. */
static const char *next_word(int fd)
{
	char word[256];
	ssize_t got = recv(fd, word, sizeof word - 1, 0);

	ck_assert_msg(got > 0, "streamd does not report: %s", strerror(errno));
	word[got] = '\0';
	return text_of("%s", word);
}

START_TEST(streamd_reports_when_it_serves_and_when_it_stops)
{
	struct stack *stack = stack_new("");
	const char *argv[] = {program("presence-streamd"), "-c", stack_path(stack, "presence.conf"),
			      NULL};
	const char *path = stack_path(stack, "notify.sock");
	const char *env[] = {"NOTIFY_SOCKET", path, NULL};
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = patience(10000) / 1000};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), connection;

	snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	redis_start(stack, NULL);
	stack->streamd[0] = process_start(stack, "streamd0", argv, env, 0);
	ck_assert_str_eq(next_word(fd), "READY=1");
	connection = wire_connect(streamd_socket(stack, 0));
	ck_assert_msg(connection >= 0, "streamd does not serve when it says so");
	close(connection);
	kill(stack->streamd[0], SIGTERM);
	ck_assert_str_eq(next_word(fd), "STOPPING=1");
	ck_assert_int_eq(streamd_end(stack, 0, 0), 0);
	close(fd);
	stack_stop(stack);
}
END_TEST

/* systemd makes the sockets it gives to ExecReload= blocking ones, for all who share them. */
START_TEST(api_stops_though_its_socket_was_made_blocking)
{
	struct site *site = NULL;
	int flags;

	for (int i = 0; i < server_count && site == NULL; i++) {
		if (servers[i].traits & HOLDS_SOCKETS)
			site = site_start(&servers[i], "", 75);
	}
	ck_assert_ptr_nonnull(site);
	http_ok(site->stack, "/api/health", NULL, NULL); /* a worker waits, and has set it */
	flags = fcntl(site->api_socket, F_GETFL);
	ck_assert_msg((flags & O_NONBLOCK) != 0, "the workers do not need what is tried here");
	ck_assert_int_eq(fcntl(site->api_socket, F_SETFL, flags & ~O_NONBLOCK), 0);
	for (int i = 0; i < 8; i++)
		http_ok(site->stack, "/api/health", NULL, NULL);
	ck_assert_int_eq(process_end(&site->api, SIGTERM, "presence-api", 5000), 0);
	ck_assert_ptr_null(strstr(stack_file(site->stack, "api.log"), "does not end"));
	site_stop(site);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("systemd");
	TCase *tcase = harness_case(suite, "systemd", 60);

	tcase_add_test(tcase, the_units_are_valid_and_confine_the_programs);
	tcase_add_test(tcase, a_first_connection_starts_streamd);
	tcase_add_test(tcase, streamd_reports_when_it_serves_and_when_it_stops);
	tcase_add_test(tcase, api_stops_though_its_socket_was_made_blocking);
	return harness_main(suite);
}
