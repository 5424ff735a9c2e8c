/* presence-pushd: sends Web Push notifications to those who are offline. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "push/pushd.h"

#define PROGRAM "presence-pushd"

static const char usage[] =
	"Usage: " PROGRAM " [-c FILE]\n"
	"Sends Web Push notifications for the presence service.\n"
	"\n"
	"  -c, --config FILE  configuration (default $PRESENCE_CONFIG, else\n"
	"                     " SYSCONFDIR "/presence/presence.conf)\n"
	"      --help         this text\n"
	"      --version      the version\n"
	"\n"
	"It needs [push] key_file, Redis, and the way to the browsers' push services. Several\n"
	"may run: each notification is sent by one of them. SIGTERM ends it when what is under\n"
	"way has been answered.\n";

/* The file to read; exits for --help, --version and wrong options. */
static const char *read_options(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"help", no_argument, NULL, 'h'},
						{"version", no_argument, NULL, 'v'},
						{NULL, 0, NULL, 0}};
	const char *file = config_default_file();
	int option;

	while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			file = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		case 'v':
			puts(PROGRAM " " PACKAGE_VERSION);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		exit(2);
	}
	return file;
}

/* SIGTERM and SIGINT as something to read, so that the loop can wait for them. */
static int open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
	const char *file = read_options(argc, argv);
	char err[1024];
	struct config *config = config_load(file, err, sizeof err);
	struct pushd *pushd;
	int signals;

	if (config == NULL) {
		fprintf(stderr, "%s\n", err);
		return 2;
	}
	if (config->push.key_file[0] == '\0') {
		fprintf(stderr, "%s: push.key_file is not set, so there is nothing to do\n", file);
		return 2;
	}
	log_setup(PROGRAM, (enum log_level)config->log.level, config->log.target == 1);
	/* Before libcurl's threads, which inherit the mask. */
	signals = open_signals();
	pushd = signals >= 0 ? pushd_new(config, err, sizeof err) : NULL;
	if (pushd == NULL) {
		fprintf(stderr, "%s: %s\n", file, signals >= 0 ? err : strerror(errno));
		config_free(config);
		return 2;
	}
	log_info("started");
	pushd_run(pushd, signals);
	pushd_free(pushd);
	close(signals);
	config_free(config);
	log_info("stopped");
	return 0;
}
