/* Places to listen, and opening them. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"

#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

START_TEST(test_listen)
{
	static const struct {
		const char *text, *path, *host, *port;
	} rows[] = {
		{"unix:/run/presence/stream.sock", "/run/presence/stream.sock", NULL, NULL},
		{"unix:/a:b", "/a:b", NULL, NULL},
		{"tcp:127.0.0.1:9000", NULL, "127.0.0.1", "9000"},
		{"tcp:localhost:0", NULL, "localhost", "0"},
		{"tcp:[::1]:9000", NULL, "::1", "9000"},
	};
	static const char *const bad[] = {
		"",	      "unix:",		"unix:relative", "unix:/" X100 X10, "/run/x",
		"tcp:",	      "tcp:9000",	"tcp::9000",	 "tcp:host",	    "tcp:host:",
		"tcp:host:x", "tcp:host:70000", "tcp:host:-1",	 "tcp:::1:9000",    "tcp:[::1]",
		"tcp:[]:1",   "tcp:a:1:2",	"udp:h:1",	 "TCP:h:1",
	};
	struct listen_address address;
	const char *why;

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		why = listen_address_parse(rows[i].text, &address);
		ck_assert_msg(why == NULL, "%s: %s", rows[i].text, why);
		ck_assert_pstr_eq(address.path, rows[i].path);
		ck_assert_pstr_eq(address.host, rows[i].host);
		ck_assert_pstr_eq(address.port, rows[i].port);
		listen_address_free(&address);
	}
	for (size_t i = 0; i < UNIT_COUNT(bad); i++)
		ck_assert_msg(listen_address_parse(bad[i], &address) != NULL, "'%s' is taken",
			      bad[i]);
}
END_TEST

static int open_text(const char *text, unsigned mode, const char **why)
{
	struct listen_address address;
	int fd, saved;

	ck_assert_ptr_null(listen_address_parse(text, &address));
	fd = listen_address_open(&address, mode, why);
	saved = errno;
	listen_address_free(&address);
	errno = saved;
	return fd;
}

static bool can_connect(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool connected;
	int saved;

	strcpy(name.sun_path, path);
	connected = connect(fd, (struct sockaddr *)&name, sizeof name) == 0;
	saved = errno;
	close(fd);
	errno = saved;
	return connected;
}

static void expect_refused(const char *text, int error)
{
	const char *why = "";
	int fd = open_text(text, 0600, &why);

	ck_assert_msg(fd == -1 && errno == error, "%s: expected '%s', seen %d '%s' (%s)", text,
		      strerror(error), fd, strerror(errno), why);
	ck_assert(strlen(why) > 5);
}

START_TEST(test_open_unix)
{
	static const unsigned modes[] = {0660, 0600, 0666, 0777};
	char *path = unit_path("listen.sock"), *text;
	const char *why = "";
	struct stat info;
	int fd;

	ck_assert(asprintf(&text, "unix:%s", path) > 0);
	umask(077);
	for (size_t i = 0; i < UNIT_COUNT(modes); i++) {
		fd = open_text(text, modes[i], &why);
		ck_assert_msg(fd >= 0, "%s: %s", why, strerror(errno));
		ck_assert(fd_is_listening(fd));
		ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		ck_assert_int_eq(stat(path, &info), 0);
		ck_assert_msg((info.st_mode & 0777) == modes[i], "mode %04o expected, seen %04o",
			      modes[i], info.st_mode & 0777);
		ck_assert_msg(can_connect(path), "nobody answers");
		expect_refused(text, EADDRINUSE);
		ck_assert_msg(can_connect(path), "the running listener lost its socket");
		/* The file stays behind; the next round replaces it. */
		close(fd);
		ck_assert_int_eq(stat(path, &info), 0);
	}
	ck_assert_msg(umask(077) == 077, "the umask was changed");
	free(text);
	free(path);
}
END_TEST

/* Under another name of the socket comes who has looked its own up before the end. */
START_TEST(test_withdraw)
{
	char *path = unit_path("withdrawn.sock"), *late = unit_path("late.sock"), *text;
	const char *why = "";
	int fd, taken;

	ck_assert(asprintf(&text, "unix:%s", path) > 0);
	fd = open_text(text, 0600, &why);
	ck_assert_msg(fd >= 0, "%s: %s", why, strerror(errno));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	ck_assert_int_eq(link(path, late), 0);
	ck_assert(can_connect(path));
	ck_assert(can_connect(late));
	listen_address_withdraw(fd, path);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_msg(!can_connect(late) && errno == ECONNREFUSED, "a connection is still made");
	for (int i = 0; i < 2; i++) {
		taken = accept(fd, NULL, NULL);
		ck_assert_msg(taken >= 0, "who came before is lost: %s", strerror(errno));
		close(taken);
	}
	ck_assert_int_lt(accept(fd, NULL, NULL), 0);
	/* The place is free. */
	close(fd);
	fd = open_text(text, 0600, &why);
	ck_assert_msg(fd >= 0, "%s: %s", why, strerror(errno));
	close(fd);
	free(text);
	free(late);
	free(path);
}
END_TEST

START_TEST(test_open_unix_refused)
{
	char *path = unit_write("file", "precious", 8), *text, *link;
	struct stat info;

	ck_assert(asprintf(&text, "unix:%s", path) > 0);
	expect_refused(text, EEXIST);
	ck_assert_int_eq(stat(path, &info), 0);
	ck_assert_msg(S_ISREG(info.st_mode) && info.st_size == 8, "the file was touched");
	free(text);
	link = unit_path("link");
	ck_assert_int_eq(symlink(path, link), 0);
	ck_assert(asprintf(&text, "unix:%s", link) > 0);
	expect_refused(text, EEXIST);
	free(text);
	free(link);
	ck_assert(asprintf(&text, "unix:%s/sub", path) > 0);
	expect_refused(text, ENOTDIR);
	free(text);
	free(path);
	path = unit_path("absent/sock");
	ck_assert(asprintf(&text, "unix:%s", path) > 0);
	expect_refused(text, ENOENT);
	free(text);
	free(path);
}
END_TEST

START_TEST(test_open_tcp)
{
	struct sockaddr_in name;
	socklen_t len = sizeof name;
	const char *why = "";
	char text[64];
	int fd = open_text("tcp:127.0.0.1:0", 0600, &why);

	ck_assert_msg(fd >= 0, "%s: %s", why, strerror(errno));
	ck_assert(fd_is_listening(fd));
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	ck_assert_uint_eq(ntohl(name.sin_addr.s_addr), INADDR_LOOPBACK);
	snprintf(text, sizeof text, "tcp:127.0.0.1:%d", ntohs(name.sin_port));
	expect_refused(text, EADDRINUSE);
	close(fd);
	fd = open_text(text, 0600, &why);
	ck_assert_msg(fd >= 0, "%s again: %s: %s", text, why, strerror(errno));
	close(fd);
}
END_TEST

START_TEST(test_is_listening)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert(!fd_is_listening(pair[0]));
	close(pair[0]);
	close(pair[1]);
	ck_assert_int_eq(pipe(pair), 0);
	ck_assert(!fd_is_listening(pair[0]));
	close(pair[0]);
	close(pair[1]);
	ck_assert(!fd_is_listening(-1));
}
END_TEST

static Suite *address_suite(void)
{
	Suite *suite = suite_create("address");
	TCase *tcase = tcase_create("address");

	tcase_add_checked_fixture(tcase, unit_dir_setup, unit_dir_teardown);
	tcase_add_test(tcase, test_listen);
	tcase_add_test(tcase, test_open_unix);
	tcase_add_test(tcase, test_withdraw);
	tcase_add_test(tcase, test_open_unix_refused);
	tcase_add_test(tcase, test_open_tcp);
	tcase_add_test(tcase, test_is_listening);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(address_suite());
}
