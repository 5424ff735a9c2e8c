/*
 * presence-api: the REST worker. Options, configuration, then one of three
 * modes: a CGI program that serves one request, a FastCGI worker that serves
 * one at a time until it is told to end or has served max_requests, or the
 * parent of such workers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/accept.h"
#include "api/resources.h"
#include "api/workers.h"
#include "base/address.h"
#include "base/log.h"
#include "base/options.h"
#include "base/signals.h"
#include "store/kin.h"

#define PROGRAM "presence-api"
#define SOCKET_MODE 0660
#define ERR_SIZE 512
#define DISCARD_TIMEOUT 10 /* seconds for the rest of a refused body to arrive */

static const struct route routes[] = {
	{"POST", "/auth/login/json", auth_login, ROUTE_OPEN | ROUTE_BODY | ROUTE_LOCAL_LOGIN},
	{"POST", "/auth/refresh", auth_refresh,
	 ROUTE_BODY_OPTIONAL | ROUTE_LOCAL_LOGIN | ROUTE_WATCH},
	{"POST", "/auth/logout", auth_logout, ROUTE_BODY_OPTIONAL | ROUTE_WATCH},
	{"GET", "/friends/list", friends_list, 0},
	{"POST", "/online-status/users", status_users, ROUTE_BODY | ROUTE_WATCH},
	{"GET", "/online-status/user/{id}", status_user, 0},
	{"GET", "/online-status/friends", friends_status, 0},
	{"POST", "/online-status/heartbeat", status_heartbeat, ROUTE_BODY_OPTIONAL},
	{"GET", "/online-status/count", status_count, 0},
	{"GET", "/online-status/online", online_page, 0},
	{"GET", "/presence/status", state_get, 0},
	{"PUT", "/presence/status", state_put, ROUTE_BODY},
	{"DELETE", "/presence/status", state_delete, 0},
	{"GET", "/presence/settings", settings_get, 0},
	{"PUT", "/presence/settings", settings_put, ROUTE_BODY},
	{"GET", "/presence/blocks", blocks_list, 0},
	{"PUT", "/presence/blocks/{id}", blocks_add, 0},
	{"DELETE", "/presence/blocks/{id}", blocks_remove, 0},
	{"POST", "/presence/typing", typing_tell, ROUTE_BODY},
	{"PUT", "/presence/location", location_put, ROUTE_BODY},
	{"DELETE", "/presence/location", location_delete, 0},
	{"GET", "/presence/nearby", nearby_list, 0},
	{"POST", "/presence/ticket", auth_ticket, ROUTE_BODY_OPTIONAL | ROUTE_WATCH | ROUTE_LIST},
	{"GET", "/presence/stream", health_no_streams, ROUTE_OPEN},
	{"GET", "/presence/stream/admin", health_no_streams, ROUTE_OPEN},
	{"GET", "/push/key", push_key, ROUTE_OPEN | ROUTE_PUSH},
	{"GET", "/push/subscriptions", push_subscriptions, ROUTE_PUSH},
	{"POST", "/push/subscriptions", push_subscribe, ROUTE_BODY | ROUTE_PUSH},
	{"DELETE", "/push/subscriptions/{id}", push_unsubscribe, ROUTE_PUSH},
	{"POST", "/push/when-online/{id}", push_when_online, ROUTE_BODY_OPTIONAL | ROUTE_PUSH},
	{"DELETE", "/push/when-online/{id}", push_not_when_online, ROUTE_PUSH},
	{"POST", "/push/notify", push_notify, ROUTE_BODY | ROUTE_PUSH | ROUTE_SCOPE_PUSH},
	{"GET", "/health", health_report, ROUTE_OPEN},
	{"GET", "/admin/user/{id}", admin_user, ROUTE_SCOPE_ADMIN},
	{"POST", "/admin/user/{id}/kick", admin_kick, ROUTE_SCOPE_ADMIN},
	{"GET", "/metrics", metrics_scrape, ROUTE_OPEN | ROUTE_METRICS},
};
#define ROUTE_COUNT (sizeof routes / sizeof routes[0])

static void help(char **args, int count)
{
	(void)args, (void)count;
	printf("usage: " PROGRAM " [-c FILE]\n"
	       "Serves the presence REST calls: over FastCGI when standard input is a listening\n"
	       "socket or [api] listen is set, else as a CGI program.\n"
	       "\n"
	       "  -c, --config FILE  the configuration (default: $PRESENCE_CONFIG or\n"
	       "                     %s)\n"
	       "  -h, --help         this text\n"
	       "      --version      the version\n",
	       config_default_file());
}

static int refuse(const char *why)
{
	log_error("%s", why);
	return OPTIONS_WRONG;
}

/* --- CGI (RFC 3875) -------------------------------------------------------------------------- */

static size_t read_stdin(void *arg, char *data, size_t size)
{
	size_t done = 0, *all = arg;

	while (done < size) {
		ssize_t got = read(STDIN_FILENO, data + done, size - done);

		if (got == 0 || (got < 0 && errno != EINTR))
			break;
		done += got > 0 ? (size_t)got : 0;
	}
	*all += done;
	return done;
}

/*
 * What is left of a body that was refused. Under mod_cgid standard input and
 * output are one socket, and closing it with bytes unread would take the answer
 * back.
 */
static void discard_body(size_t done)
{
	const char *length = getenv("CONTENT_LENGTH");
	size_t size = length != NULL ? strtoul(length, NULL, 10) : 0;
	char waste[8192];

	alarm(DISCARD_TIMEOUT);
	while (done < size) {
		size_t left = size - done, step = left < sizeof waste ? left : sizeof waste;

		if (read_stdin(&done, waste, step) < step)
			return;
	}
}

static void write_stdout(void *arg, const char *data, size_t len)
{
	(void)arg;
	while (len > 0) {
		ssize_t put = write(STDOUT_FILENO, data, len);

		if (put < 0 && errno != EINTR)
			return;
		data += put > 0 ? put : 0;
		len -= put > 0 ? (size_t)put : 0;
	}
}

static int serve_cgi(const struct config *config)
{
	size_t done = 0; /* bytes of the body */
	const struct transport transport = {read_stdin, write_stdout, &done};
	char err[ERR_SIZE];
	struct service *service = service_open(config, err, sizeof err);

	if (service == NULL)
		return refuse(err);
	service_count(service, routes, ROUTE_COUNT);
	request_serve(service, routes, ROUTE_COUNT, environ, &transport);
	discard_body(done);
	service_free(service);
	return 0;
}

/* --- FastCGI --------------------------------------------------------------------------------- */

/* What has been read of the body. */
struct reading {
	const struct accept_request *request;
	size_t done;
};

static size_t read_arrived(void *arg, char *data, size_t size)
{
	struct reading *reading = arg;
	size_t left = reading->request->body_len - reading->done;
	size_t part = left < size ? left : size;

	memcpy(data, reading->request->body + reading->done, part);
	reading->done += part;
	return part;
}

static void write_answer(void *arg, const char *data, size_t len)
{
	(void)arg;
	accept_answer(data, len);
}

static int idle_ms(void *service)
{
	return service_idle_ms(service);
}

static void on_idle(void *service)
{
	service_idle(service);
}

/* Whether a worker has served enough. */
static bool is_worn(const struct service *service, int64_t served)
{
	int most = service->config->api.max_requests;

	/* A query that hangs holds the directory's only thread: a fresh worker has a free one. */
	return (most > 0 && served >= most) || directory_is_stuck(service->directory);
}

/* A worker: one request after the other. */
static int serve_fastcgi(const struct config *config, const struct accept_parent *parent,
			 struct epochs *epochs)
{
	struct reading reading;
	const struct transport transport = {read_arrived, write_answer, &reading};
	char err[ERR_SIZE];
	struct service *service;

	if (!accept_init(parent, request_most(config))) {
		log_error("cannot wait for connections: %s", strerror(errno));
		return 1;
	}
	service = service_open(config, err, sizeof err);
	if (service == NULL)
		return refuse(err);
	if (epochs != NULL)
		service_share(service, epochs);
	service_count(service, routes, ROUTE_COUNT);
	accept_when_idle(&(struct accept_idle){idle_ms, on_idle, service});
	for (int64_t served = 1; (reading.request = accept_next()) != NULL; served++) {
		reading.done = 0;
		request_serve(service, routes, ROUTE_COUNT, reading.request->env, &transport);
		if (is_worn(service, served))
			accept_stop();
	}
	accept_end();
	service_free(service);
	return 0;
}

/* Whether a worker could start with this configuration. */
static int check_service(const struct config *config, const struct accept_parent *parent,
			 struct epochs *epochs)
{
	char err[ERR_SIZE];
	struct service *service =
		kin_check(config, err, sizeof err) ? service_open(config, err, sizeof err) : NULL;

	(void)parent, (void)epochs;
	if (service == NULL)
		return refuse(err);
	service_free(service);
	return 0;
}

/* Opens [api] listen as fd 0. *path: of a Unix socket, the caller's, else NULL. */
static bool open_listener(const struct config *config, char **path)
{
	struct listen_address address;
	const char *why = listen_address_parse(config->api.listen, &address);
	int fd;

	if (why != NULL) {
		log_error("api.listen: %s", why);
		return false;
	}
	fd = listen_address_open(&address, SOCKET_MODE, &why);
	if (fd < 0) {
		log_error("%s: %s: %s", config->api.listen, why, strerror(errno));
		listen_address_free(&address);
		return false;
	}
	*path = address.path;
	address.path = NULL;
	listen_address_free(&address);
	dup2(fd, STDIN_FILENO);
	close(fd);
	return true;
}

/* --- the start ------------------------------------------------------------------------------- */

/* A FastCGI server may close 1 and 2 (section 2.2): a socket must not get their numbers. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* Chooses the mode. */
static int run(const struct config *config, const char *file)
{
	bool inherited = fd_is_listening(STDIN_FILENO);
	char *path = NULL;
	int status;

	if (!inherited && getenv("GATEWAY_INTERFACE") != NULL)
		return serve_cgi(config);
	if (!inherited && config->api.listen[0] == '\0')
		return refuse(
			"standard input is not a listening socket, [api] listen is not set, and "
			"this is not a CGI request");
	config_warn_of_variables();
	signals_hold(); /* until the parent, or the worker, handles them */
	status = workers_check(config, check_service);
	if (status != 0)
		return status;
	if (!inherited && !open_listener(config, &path))
		return OPTIONS_WRONG;
	/* Nobody else would restart a worker that listens on a socket of its own. */
	if (config->api.children > 0 || !inherited)
		status = workers_run(config, file, path, check_service, serve_fastcgi);
	else
		status = serve_fastcgi(config, NULL, NULL);
	free(path);
	return status;
}

int main(int argc, char **argv)
{
	static const struct options_program program = {.name = PROGRAM, .help = help};
	struct config *config;
	const char *file;
	char err[ERR_SIZE];
	int status;

	signals_reset();
	fill_standard_fds();
	status = options_read(argc, argv, &program, &file);
	if (status != OPTIONS_GO_ON)
		return status;
	log_setup(PROGRAM, LOG_LEVEL_INFO, false);
	config = config_load(file, err, sizeof err);
	if (config == NULL)
		return refuse(err);
	log_setup(PROGRAM, (enum log_level)config->log.level, config->log.target == 1);
	status = run(config, file);
	config_free(config);
	return status;
}
