/* The command line of every program: -c FILE, -h, --help, --version, and what is a program's own. */
#ifndef PRESENCE_BASE_OPTIONS_H
#define PRESENCE_BASE_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>

#define OPTIONS_OWN 512 /* `val` of a program's own options is this or more */
#define OPTIONS_OWN_MAX 32 /* of them */
#define OPTIONS_GO_ON (-1)
#define OPTIONS_WRONG 2 /* exit status: wrong options or arguments, a bad configuration */

struct options_program {
	const char *name;
	void (*help)(char **args,
		     int count); /* to standard output; the arguments after the options */
	bool takes_arguments; /* after the options, from argv[optind] on */
	const struct option *own; /* getopt_long(3)'s, ended by a row of zeros; NULL: none */
	/* Takes one of them; false after saying what is wrong with it. */
	bool (*take)(void *arg, int value, const char *text);
	void *arg;
};

/*
 * Reads the options, which may stand anywhere; *file becomes the configuration's
 * (config_default_file() unless -c is given). Returns OPTIONS_GO_ON, or the exit
 * status: the help or the version was printed, or what is wrong.
 */
int options_read(int argc, char **argv, const struct options_program *program, const char **file);

#endif
