/* The ways that the chaos run cuts: what gets through, and what does not. */
#include "unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "chaos/chaos.h"

#define SILENCE 200 /* ms after which nothing has come */
#define ARRIVAL 5000 /* ms in which it has */

static struct chaos *chaos;
static int server, client, accepted;

static int socket_at(const char *path, struct sockaddr_un *name)
{
	*name = (struct sockaddr_un){.sun_family = AF_UNIX};
	ck_assert_uint_lt(strlen(path), sizeof name->sun_path);
	strcpy(name->sun_path, path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int listen_at(const char *path)
{
	struct sockaddr_un name;
	int fd = socket_at(path, &name);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

static int connect_to(const char *path)
{
	struct sockaddr_un name;
	int fd = socket_at(path, &name);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
	return fd;
}

/* All routes lead to one server; a client is connected by that of the first host. */
static void setup(void)
{
	static const char *const names[ROUTES] = {"host0", "host1", "directory"};
	const char *here[ROUTES], *targets[ROUTES];
	char *paths[ROUTES], *target;

	unit_dir_setup();
	target = unit_path("server");
	server = listen_at(target);
	for (int route = 0; route < ROUTES; route++) {
		here[route] = paths[route] = unit_path(names[route]);
		targets[route] = target;
	}
	chaos = xcalloc(1, sizeof *chaos);
	chaos->stand.stack = xcalloc(1, sizeof *chaos->stand.stack);
	network_start(chaos, here, targets);
	client = connect_to(here[ROUTE_HOST0]);
	accepted = accept(server, NULL, NULL);
	ck_assert_int_ge(accepted, 0);
	for (int route = 0; route < ROUTES; route++)
		free(paths[route]);
	free(target);
}

static void teardown(void)
{
	network_stop(chaos);
	close(client);
	close(accepted);
	close(server);
	unit_dir_teardown();
}

static void say(int fd)
{
	ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
}

/* Reads one byte within so many ms; 1, 0 at the end of the connection, -1 when nothing comes. */
static ssize_t hear(int fd, int ms)
{
	struct timeval limit = {ms / 1000, ms % 1000 * 1000};
	char byte;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	return recv(fd, &byte, 1, 0);
}

START_TEST(one_direction_is_cut_alone_or_both)
{
	enum direction to = (enum direction)_i;

	network_cut(chaos, ROUTE_HOST0, CUT_LATE, to);
	say(client);
	say(accepted);
	ck_assert_int_eq(hear(accepted, to == TO_CLIENT ? ARRIVAL : SILENCE),
			 to == TO_CLIENT ? 1 : -1);
	ck_assert_int_eq(hear(client, to == TO_SERVER ? ARRIVAL : SILENCE),
			 to == TO_SERVER ? 1 : -1);
	network_mend(chaos, ROUTE_HOST0);
	if (to != TO_CLIENT)
		ck_assert_int_eq(hear(accepted, ARRIVAL), 1);
	if (to != TO_SERVER)
		ck_assert_int_eq(hear(client, ARRIVAL), 1);
}
END_TEST

START_TEST(what_is_dead_ends_when_the_cut_does)
{
	network_cut(chaos, ROUTE_HOST0, CUT_DEAD, (enum direction)_i);
	network_mend(chaos, ROUTE_HOST0);
	ck_assert_int_eq(hear(client, ARRIVAL), 0);
	ck_assert_int_eq(hear(accepted, ARRIVAL), 0);
}
END_TEST

START_TEST(another_route_is_not_cut)
{
	network_cut(chaos, ROUTE_HOST1, CUT_DEAD, TO_BOTH);
	say(client);
	say(accepted);
	ck_assert_int_eq(hear(accepted, ARRIVAL), 1);
	ck_assert_int_eq(hear(client, ARRIVAL), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chaos_network");
	TCase *tcase = tcase_create("chaos_network");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, one_direction_is_cut_alone_or_both, 0, DIRECTIONS);
	tcase_add_loop_test(tcase, what_is_dead_ends_when_the_cut_does, 0, DIRECTIONS);
	tcase_add_test(tcase, another_route_is_not_cut);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
