/* presence-pushd: sends Web Push notifications to those who are offline. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "base/options.h"
#include "base/signals.h"
#include "push/pushd.h"

#define PROGRAM "presence-pushd"

static void help(char **args, int count)
{
	(void)args, (void)count;
	printf("usage: " PROGRAM " [-c FILE]\n"
	       "Sends Web Push notifications for the presence service.\n"
	       "\n"
	       "  -c, --config FILE  the configuration (default: $PRESENCE_CONFIG or\n"
	       "                     %s)\n"
	       "  -h, --help         this text\n"
	       "      --version      the version\n"
	       "\n"
	       "It needs [push] key_file, Redis, and the way to the browsers' push services.\n"
	       "Several may run: each notification is sent by one of them. SIGTERM ends it when\n"
	       "what is under way has been answered; SIGHUP reads FILE again.\n",
	       config_default_file());
}

/* Signals as something to read, so that the loop can wait for them. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
	static const struct options_program program = {.name = PROGRAM, .help = help};
	struct config *config;
	struct pushd *pushd;
	const char *file;
	char err[1024];
	int status, signals;

	signals_reset();
	status = options_read(argc, argv, &program, &file);
	if (status != OPTIONS_GO_ON)
		return status;
	/* Before libcurl's threads, which inherit the mask. */
	signals = open_signals();
	log_setup(PROGRAM, LOG_LEVEL_INFO, false);
	config = config_load(file, err, sizeof err);
	if (config == NULL) {
		log_error("%s", err);
		return OPTIONS_WRONG;
	}
	log_setup(PROGRAM, (enum log_level)config->log.level, config->log.target == 1);
	config_warn_of_variables();
	pushd = pushd_new(config, file, err, sizeof err);
	if (pushd == NULL) {
		log_error("%s: %s", file, err);
		config_free(config);
		return OPTIONS_WRONG;
	}
	log_info("started");
	pushd_run(pushd, signals);
	pushd_free(pushd);
	close(signals);
	config_free(config);
	log_info("stopped");
	return 0;
}
