#include "base/options.h"

#include <stdio.h>

#include "base/config.h"

enum { CONFIG = 'c', HELP = 'h', VERSION_OPTION = 'v' };

static const struct option common[] = {
	{"config", required_argument, NULL, CONFIG},
	{"help", no_argument, NULL, HELP},
	{"version", no_argument, NULL, VERSION_OPTION},
};
#define COMMON_COUNT (sizeof common / sizeof common[0])

static int refuse(const struct options_program *program)
{
	fprintf(stderr, "Try '%s --help'.\n", program->name);
	return OPTIONS_WRONG;
}

int options_read(int argc, char **argv, const struct options_program *program, const char **file)
{
	struct option all[COMMON_COUNT + OPTIONS_OWN_MAX + 1] = {{NULL, 0, NULL, 0}};
	bool wants_help = false;
	size_t count = 0;
	int value;

	for (; count < COMMON_COUNT; count++)
		all[count] = common[count];
	for (const struct option *own = program->own; own != NULL && own->name != NULL; own++) {
		if (count < COMMON_COUNT + OPTIONS_OWN_MAX)
			all[count++] = *own;
	}
	*file = config_default_file();
	while ((value = getopt_long(argc, argv, "c:h", all, NULL)) != -1) {
		switch (value) {
		case CONFIG:
			*file = optarg;
			break;
		case HELP:
			wants_help = true;
			break;
		case VERSION_OPTION:
			printf("%s %s\n", program->name, PACKAGE_VERSION);
			return 0;
		case '?': /* getopt has said what is wrong */
			return refuse(program);
		default:
			if (!program->take(program->arg, value, optarg))
				return OPTIONS_WRONG;
		}
	}
	if (wants_help) {
		program->help(argv + optind, argc - optind);
		return 0;
	}
	if (optind == argc || program->takes_arguments)
		return OPTIONS_GO_ON;
	fprintf(stderr, "%s: what is '%s'? It takes options only\n", program->name, argv[optind]);
	return refuse(program);
}
