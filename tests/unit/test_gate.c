/* Who may come in at presence-api: the gate, one that is lent, and the way from one to the other. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/gate.h"
#include "base/address.h"
#include "base/buf.h"
#include "base/times.h"

#define MOST 65536 /* bytes of a request */
#define SOON 2000 /* ms */

/* BEGIN_REQUEST for a responder, one parameter, the ends of PARAMS and STDIN. */
static const unsigned char request[] = {1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0,   0,   0, 0,
					0, 1, 4, 0, 1, 0, 4, 0, 0, 1, 1, 'a', 'b', 1, 4,
					0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 0,   0,   0};
#define HALF (sizeof request / 2)

static char *path;
static int listener;
static sigset_t mask;

static void setup(void)
{
	struct listen_address address = {0};
	const char *why;

	unit_dir_setup();
	address.path = path = unit_path("sock");
	listener = listen_address_open(&address, 0600, &why);
	ck_assert_msg(listener >= 0, "%s: %s", why, strerror(errno));
	sigprocmask(SIG_BLOCK, NULL, &mask);
}

static void teardown(void)
{
	free(path);
	unit_dir_teardown();
}

/* A connection with the request's first `len` bytes on it; -1 with errno. */
static int connect_with(size_t len)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
	if (connect(fd, (struct sockaddr *)&name, sizeof name) != 0) {
		close(fd);
		return -1;
	}
	ck_assert_int_eq(send(fd, request, len, MSG_NOSIGNAL), (ssize_t)len);
	return fd;
}

/* Waits until a request has arrived; its connection is closed. */
static void check_arrives(struct gate *gate)
{
	int64_t end = times_mono_ms() + SOON;
	struct printbuf *taken;
	int fd;

	while ((fd = gate_next(gate, &taken)) < 0) {
		ck_assert_msg(times_mono_ms() < end, "a request that is whole does not arrive");
		ck_assert_int_ge(gate_wait(gate, 100, &mask), 0);
	}
	ck_assert_uint_eq(buf_len(taken), sizeof request);
	ck_assert_mem_eq(taken->buf, request, sizeof request);
	printbuf_free(taken);
	close(fd);
}

/* Nothing happens: an epoll that spins would tell of something. */
static void check_is_quiet(struct gate *gate)
{
	struct printbuf *taken;

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(gate_wait(gate, 0, &mask), 0);
	ck_assert_int_eq(gate_next(gate, &taken), -1);
}

static void wait_for_young(struct gate *gate, size_t count)
{
	int64_t end = times_mono_ms() + SOON;

	while (gate_count(gate) < count) {
		ck_assert_msg(times_mono_ms() < end, "%zu connections expected, %zu seen", count,
			      gate_count(gate));
		ck_assert_int_ge(gate_wait(gate, 100, &mask), 0);
	}
}

/* --- a listener that is lent -------------------------------------------------------------------- */

static pid_t lender;
static int lender_fd;

/* A process that alone has the listener: this one gives its own descriptor up. */
static struct gate *borrow(void)
{
	struct gate *gate;

	lender = fork();
	if (lender == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	ck_assert_int_gt(lender, 0);
	lender_fd = (int)syscall(SYS_pidfd_open, lender, 0);
	ck_assert_int_ge(lender_fd, 0);
	gate = gate_borrow(lender_fd, listener, MOST);
	ck_assert_msg(gate != NULL, "cannot borrow: %s", strerror(errno));
	close(listener);
	return gate;
}

static void end_lender(void)
{
	kill(lender, SIGKILL);
	ck_assert_int_eq(waitpid(lender, NULL, 0), lender);
}

START_TEST(a_lent_listener_is_accepted_from)
{
	struct gate *gate = borrow();

	for (int i = 0; i < 3; i++) {
		int first = connect_with(sizeof request), second = connect_with(sizeof request);

		check_arrives(gate);
		check_arrives(gate);
		check_is_quiet(gate);
		close(first);
		close(second);
	}
	gate_free(gate);
	end_lender();
}
END_TEST

START_TEST(a_lent_listener_ends_with_its_lender)
{
	struct gate *gate = borrow();
	int fd = connect_with(HALF);

	wait_for_young(gate, 1);
	end_lender();
	/* Nothing is asked of the borrower, which may be busy or stopped. */
	ck_assert_int_eq(connect_with(0), -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
	check_is_quiet(gate);
	ck_assert_int_eq(send(fd, request + HALF, sizeof request - HALF, MSG_NOSIGNAL),
			 (ssize_t)(sizeof request - HALF));
	check_arrives(gate);
	close(fd);
	gate_free(gate);
}
END_TEST

/* systemd has the socket, too: the next program takes those who come later. */
START_TEST(a_lent_listener_that_others_hold_is_left_to_them)
{
	int copy = dup(listener), fd;
	struct gate *gate = borrow(), *next;

	end_lender();
	fd = connect_with(sizeof request);
	for (int i = 0; i < 2; i++)
		gate_wait(gate, 0, &mask);
	check_is_quiet(gate);
	next = gate_new(copy, MOST);
	check_arrives(next);
	close(fd);
	gate_free(gate);
	gate_free(next);
}
END_TEST

START_TEST(who_waits_in_a_listener_that_is_given_up_is_accepted)
{
	int copy = dup(listener), fd;
	struct gate *gate = borrow();

	fd = connect_with(sizeof request);
	listen_address_withdraw(copy, path);
	check_arrives(gate);
	for (int i = 0; i < 2; i++)
		gate_wait(gate, 0, &mask);
	check_is_quiet(gate);
	close(fd);
	gate_free(gate);
	end_lender();
}
END_TEST

START_TEST(a_closed_gate_accepts_nobody_and_reads_on)
{
	struct gate *gate = borrow();
	int young = connect_with(HALF), pair[2], late;

	ck_assert_int_eq(pipe(pair), 0);
	ck_assert(gate_watch(gate, pair[0], GATE_WATCH_SHARED));
	wait_for_young(gate, 1);
	gate_close(gate);
	late = connect_with(sizeof request);
	check_is_quiet(gate);
	ck_assert_int_eq(write(pair[1], "", 1), 1);
	ck_assert_int_eq(gate_wait(gate, SOON, &mask), 1);
	ck_assert(gate_watched(gate));
	gate_unwatch(gate);
	ck_assert(!gate_watched(gate));
	check_is_quiet(gate);
	ck_assert_int_eq(send(young, request + HALF, sizeof request - HALF, MSG_NOSIGNAL),
			 (ssize_t)(sizeof request - HALF));
	check_arrives(gate);
	gate_open(gate);
	check_arrives(gate);
	close(young);
	close(late);
	gate_free(gate);
	end_lender();
}
END_TEST

/* --- from one gate to another ------------------------------------------------------------------- */

START_TEST(what_is_young_goes_on_at_another_gate)
{
	static const size_t cuts[] = {0, 1, HALF, sizeof request - 1};
	struct gate *first = gate_new(listener, MOST), *second = gate_borrow(-1, 0, MOST);

	ck_assert(first != NULL && second != NULL);
	for (size_t i = 0; i < UNIT_COUNT(cuts); i++) {
		int peer = connect_with(cuts[i]), fd;
		struct printbuf *taken;

		wait_for_young(first, 1);
		ck_assert(gate_expects(first));
		/* What comes on the way from one to the other is not overlooked. */
		fd = gate_next_young(first, &taken);
		ck_assert_int_ge(fd, 0);
		ck_assert_uint_eq(taken != NULL ? buf_len(taken) : 0, cuts[i]);
		ck_assert(!gate_expects(first));
		ck_assert_uint_eq(gate_count(first), 0);
		ck_assert_int_eq(
			send(peer, request + cuts[i], sizeof request - cuts[i], MSG_NOSIGNAL),
			(ssize_t)(sizeof request - cuts[i]));
		gate_admit(second, fd, taken);
		printbuf_free(taken);
		check_arrives(second);
		close(peer);
	}
	gate_free(first);
	gate_free(second);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gate");
	TCase *lent = tcase_create("a listener that is lent"), *young = tcase_create("young");

	tcase_add_checked_fixture(lent, setup, teardown);
	tcase_add_test(lent, a_lent_listener_is_accepted_from);
	tcase_add_test(lent, a_lent_listener_ends_with_its_lender);
	tcase_add_test(lent, a_lent_listener_that_others_hold_is_left_to_them);
	tcase_add_test(lent, who_waits_in_a_listener_that_is_given_up_is_accepted);
	tcase_add_test(lent, a_closed_gate_accepts_nobody_and_reads_on);
	suite_add_tcase(suite, lent);
	tcase_add_checked_fixture(young, setup, teardown);
	tcase_add_test(young, what_is_young_goes_on_at_another_gate);
	suite_add_tcase(suite, young);
	return unit_run(suite);
}
