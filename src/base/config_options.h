/*
 * The table of options, for the reader in config.c alone. A new option is a
 * field of struct config and a row of the table.
 */
#ifndef PRESENCE_BASE_CONFIG_OPTIONS_H
#define PRESENCE_BASE_CONFIG_OPTIONS_H

#include "base/config.h"

#define CONFIG_WHY_MAX 512 /* bytes of a sentence that says what is wrong */

enum config_type { CONFIG_TEXT, CONFIG_INT, CONFIG_CHOICE, CONFIG_MODE };

/* Checks a text value: NULL, or a sentence saying what is wrong. */
typedef const char *config_check(const char *value);

struct config_row {
	struct config_option name;
	enum config_type type;
	size_t offset; /* in struct config: a char * or an int */
	long min, max; /* CONFIG_INT */
	const char *choices; /* CONFIG_CHOICE: words in the order of the enum, one blank between */
	config_check *check; /* CONFIG_TEXT, may be NULL */
};

/* All rows, those of a section together. */
const struct config_row *config_rows(size_t *count);
/* NULL: there is no such option. */
const struct config_row *config_row_find(const char *section, const char *key);
/*
 * Reads `value` into the configuration, or only checks it when that is NULL;
 * false: what is wrong is in why.
 */
bool config_row_set(const struct config_row *row, const char *value, struct config *config,
		    char why[CONFIG_WHY_MAX]);
/* What no single option can tell: NULL, or a sentence saying which do not go together. */
const char *config_options_conflict(const struct config *config);

#endif
