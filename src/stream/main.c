/* presence-streamd: holds thousands of Server-Sent-Events streams open over FastCGI. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/token_keys.h"
#include "base/address.h"
#include "base/config.h"
#include "base/log.h"
#include "base/options.h"
#include "base/signals.h"
#include "directory/directory.h"
#include "store/connection.h"
#include "store/durability.h"
#include "store/kin.h"
#include "store/nodes.h"
#include "stream/server.h"

#define PROGRAM "presence-streamd"
#define DIRECTORY_THREADS 4 /* so that a query that hangs does not hold up all others */
#define ACTIVATED_FD 3 /* SD_LISTEN_FDS_START of sd_listen_fds(3) */

static void help(char **args, int count)
{
	(void)args, (void)count;
	printf("usage: " PROGRAM " [-c FILE]\n"
	       "Holds the Server-Sent-Events streams of the presence service as a FastCGI "
	       "responder.\n"
	       "\n"
	       "  -c, --config FILE  the configuration (default: $PRESENCE_CONFIG or\n"
	       "                     %s)\n"
	       "  -h, --help         this text\n"
	       "      --version      the version\n"
	       "\n"
	       "It listens on descriptor 0 when that is a listening socket, on a socket passed by\n"
	       "systemd (LISTEN_FDS), or on [stream] listen. SIGTERM ends the streams over\n"
	       "[stream] drain seconds; a second one ends them at once. SIGHUP reads FILE again;\n"
	       "SIGUSR1 logs how many streams are in which state.\n",
	       config_default_file());
}

/* A socket that systemd passes to this very process (sd_listen_fds(3)), or -1. */
static int activated_socket(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");

	if (pid == NULL || fds == NULL || strtol(pid, NULL, 10) != (long)getpid() ||
	    strtol(fds, NULL, 10) < 1 || !fd_is_listening(ACTIVATED_FD))
		return -1;
	fcntl(ACTIVATED_FD, F_SETFD, FD_CLOEXEC);
	return ACTIVATED_FD;
}

/* The socket to serve; *is_ours: we opened it, and *path is its file, if it has one. */
static int open_socket(const struct config *config, bool *is_ours, char **path)
{
	struct listen_address address;
	const char *why;
	int fd;

	*path = NULL;
	*is_ours = false;
	if (fd_is_listening(STDIN_FILENO))
		return STDIN_FILENO;
	fd = activated_socket();
	if (fd >= 0)
		return fd;
	listen_address_parse(config->stream.listen, &address);
	fd = listen_address_open(&address, (unsigned)config->stream.mode, &why);
	if (fd < 0) {
		log_error("%s: %s: %s", config->stream.listen, why, strerror(errno));
	} else {
		*is_ours = true;
		*path = address.path;
		address.path = NULL;
	}
	listen_address_free(&address);
	return fd;
}

/*
 * Once, before the loop: then nothing blocks any more. Warns of servers that keep
 * nothing; false when they hold their users in another layout.
 */
static bool look_at_redis(const struct config *config, char *err, size_t errsize)
{
	struct nodes *nodes = nodes_new(config);
	struct durability durability;
	bool ok = kin_check(config, err, errsize) && nodes_check(nodes, err, errsize);

	for (unsigned i = 0; ok && i < nodes_count(nodes); i++) {
		durability_ask(nodes_at(nodes, i), &durability);
		durability_warn(&durability);
	}
	nodes_free(nodes);
	return ok;
}

static int serve(struct config *config, const char *file, struct token_keys *keys,
		 struct directory *directory)
{
	char *path;
	bool is_ours;
	int fd = open_socket(config, &is_ours, &path);
	struct server *server =
		fd >= 0 ? server_new(config, file, keys, directory, fd, is_ours, path) : NULL;

	if (server == NULL) {
		token_keys_free(keys);
		if (path != NULL)
			unlink(path);
		free(path);
		return 1;
	}
	server_run(server);
	server_free(server);
	free(path);
	log_info("stopped");
	return 0;
}

/* apr's SQLite driver lets one query run at a time: more threads would only wait for each other. */
static unsigned directory_threads(const struct config *config)
{
	return strncmp(config->directory.driver, "sqlite", 6) == 0 ? 1 : DIRECTORY_THREADS;
}

int main(int argc, char **argv)
{
	static const struct options_program program = {.name = PROGRAM, .help = help};
	struct config *config;
	struct token_keys *keys;
	struct directory *directory = NULL;
	const char *file;
	char err[1024];
	int status;

	signals_reset();
	status = options_read(argc, argv, &program, &file);
	if (status != OPTIONS_GO_ON)
		return status;
	log_setup(PROGRAM, LOG_LEVEL_INFO, false);
	config = config_load(file, err, sizeof err);
	status = OPTIONS_WRONG;
	if (config == NULL) {
		log_error("%s", err);
		return status;
	}
	/* The loop's arena and one for the directory's threads: in a common one they would wait for
	 * each other, with one each the memory of many a burst would stay. */
	mallopt(M_ARENA_MAX, 2);
	log_setup(PROGRAM, (enum log_level)config->log.level, config->log.target == 1);
	config_warn_of_variables();
	signals_hold(); /* until the loop handles them */
	keys = connection_check_config(config, err, sizeof err)
		       ? token_keys_open(config, err, sizeof err)
		       : NULL;
	if (keys != NULL)
		directory = directory_open(config, directory_threads(config), err, sizeof err);
	if (directory != NULL && look_at_redis(config, err, sizeof err)) {
		status = serve(config, file, keys, directory);
	} else {
		log_error("%s: %s", file, err);
		token_keys_free(keys);
	}
	directory_close(directory);
	config_free(config);
	return status;
}
