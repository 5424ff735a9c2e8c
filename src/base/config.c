#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <confuse.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/config_options.h"
#include "base/redis_url.h"

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif

#define VARIABLE_FILE "PRESENCE_CONFIG" /* names the file */
#define FILE_MAX 1048576 /* bytes */

/*
 * A key set after the file's last line: libconfuse lets a file end inside a
 * section or a comment, and there the key is out of place or missing.
 */
#define END_MARK "end-of-file"

/* libconfuse's callbacks carry no user pointer, so what they found waits here. */
static char parse_error[CONFIG_WHY_MAX + PATH_MAX];
static const char *parse_file;
static int parse_lines; /* of the file, without END_MARK's */
static int *value_lines; /* where the file sets each row of the table; 0: it does not */

static void on_parse_error(cfg_t *cfg, const char *format, va_list args)
{
	char what[CONFIG_WHY_MAX];

	if (parse_error[0] != '\0')
		return; /* the first error is the cause of the others */
	vsnprintf(what, sizeof what, format, args);
	if (strstr(what, END_MARK) != NULL)
		snprintf(what, sizeof what, "a section is not closed");
	snprintf(parse_error, sizeof parse_error, "%s:%d: %s", parse_file,
		 cfg != NULL && cfg->line < parse_lines ? cfg->line : parse_lines, what);
}

static int on_validate(cfg_t *section, cfg_opt_t *opt)
{
	const struct config_row *row = config_row_find(cfg_name(section), cfg_opt_name(opt));
	char why[CONFIG_WHY_MAX];

	if (row == NULL)
		return 0;
	if (config_row_set(row, cfg_opt_getnstr(opt, 0), NULL, why)) {
		value_lines[row - config_rows(&(size_t){0})] = section->line;
		return 0;
	}
	cfg_error(section, "%s", why);
	return -1;
}

/* libconfuse's description of one section: the rows from *i on. To be freed. */
static cfg_opt_t *section_keys(const struct config_row *rows, size_t count, size_t *i)
{
	cfg_opt_t *keys = xcalloc(count + 1, sizeof *keys);
	const char *section = rows[*i].name.section;
	size_t key = 0;

	for (; *i < count && strcmp(rows[*i].name.section, section) == 0; (*i)++) {
		keys[key] = (cfg_opt_t)CFG_STR(rows[*i].name.key, NULL, CFGF_NODEFAULT);
		keys[key++].validcb = on_validate;
	}
	keys[key] = (cfg_opt_t)CFG_END();
	return keys;
}

/* And of the file. */
static cfg_t *parser_new(void)
{
	size_t count, section = 0, i = 0;
	const struct config_row *rows = config_rows(&count);
	cfg_opt_t *sections = xcalloc(count + 2, sizeof *sections);
	cfg_t *cfg;

	while (i < count) {
		const char *name = rows[i].name.section;

		sections[section++] =
			(cfg_opt_t)CFG_SEC(name, section_keys(rows, count, &i), CFGF_NONE);
	}
	sections[section] = (cfg_opt_t)CFG_STR(END_MARK, NULL, CFGF_NODEFAULT);
	sections[section + 1] = (cfg_opt_t)CFG_END();
	cfg = cfg_init(sections, CFGF_NONE); /* copies all of it */
	for (size_t s = 0; s < section; s++)
		free(sections[s].subopts);
	free(sections);
	return cfg;
}

/* Reports a wrong file: "FILE:LINE: what is wrong". Returns false. */
static bool file_error(char *err, size_t errsize, const char *file, int line, const char *what)
{
	snprintf(err, errsize, "%s:%d: %s", file, line, what);
	return false;
}

/* One that cannot be read: no line of it is wrong. */
static bool unreadable(char *err, size_t errsize, const char *file)
{
	snprintf(err, errsize, "%s: %s (-c FILE names another one)", file, strerror(errno));
	return false;
}

/* The number of the line that `end` is on. */
static int count_lines(const char *text, const char *end)
{
	int lines = 1;

	for (; text < end; text++)
		lines += *text == '\n';
	return lines;
}

/* libconfuse would end the process on what cannot be read, a directory for one. */
static bool read_file(const char *file, struct printbuf *text, char *err, size_t errsize)
{
	FILE *in = fopen(file, "re");
	char chunk[4096];
	const char *nul;
	size_t got;
	bool whole;

	if (in == NULL)
		return unreadable(err, errsize, file);
	while ((got = fread(chunk, 1, sizeof chunk, in)) > 0 && buf_len(text) <= FILE_MAX)
		buf_put(text, chunk, got);
	whole = !ferror(in);
	if (!whole)
		unreadable(err, errsize, file);
	fclose(in);
	if (!whole)
		return false;
	if (buf_len(text) > FILE_MAX)
		return file_error(err, errsize, file, 1, "larger than 1 MiB");
	nul = memchr(text->buf, '\0', buf_len(text));
	if (nul != NULL)
		return file_error(err, errsize, file, count_lines(text->buf, nul), "a NUL byte");
	return true;
}

static bool parse_text(cfg_t *cfg, const char *file, struct printbuf *text, char *err,
		       size_t errsize)
{
	size_t len = buf_len(text);

	parse_lines = count_lines(text->buf, text->buf + (len > 0 ? len - 1 : 0));
	buf_puts(text, "\n" END_MARK " = yes\n");
	parse_error[0] = '\0';
	parse_file = file;
	cfg_set_error_function(cfg, on_parse_error);
	if (cfg_parse_buf(cfg, text->buf) != CFG_SUCCESS) {
		if (parse_error[0] == '\0')
			return file_error(err, errsize, file, cfg->line, "not libconfuse's syntax");
		snprintf(err, errsize, "%s", parse_error);
		return false;
	}
	cfg->line = parse_lines;
	return cfg_getstr(cfg, END_MARK) != NULL ||
	       file_error(err, errsize, file, parse_lines, "a comment is not closed");
}

#define VARIABLE_MAX 64
#define VARIABLE_HEAD "PRESENCE_"

/* What the environment calls an option. */
static void name_variable(const struct config_row *row, char variable[VARIABLE_MAX])
{
	snprintf(variable, VARIABLE_MAX, VARIABLE_HEAD "%s_%s", row->name.section, row->name.key);
	for (char *c = variable; *c != '\0'; c++)
		*c = (char)toupper((unsigned char)*c);
}

static bool is_variable(const char *name)
{
	size_t count;
	const struct config_row *rows = config_rows(&count);

	for (size_t i = 0; i < count; i++) {
		char variable[VARIABLE_MAX];

		name_variable(&rows[i], variable);
		if (strcmp(name, variable) == 0)
			return true;
	}
	return strcmp(name, VARIABLE_FILE) == 0;
}

void config_warn_of_variables(void)
{
	for (char **entry = environ; *entry != NULL; entry++) {
		char *name;

		if (strncmp(*entry, VARIABLE_HEAD, strlen(VARIABLE_HEAD)) != 0)
			continue;
		name = xstrndup(*entry, strcspn(*entry, "="));
		if (!is_variable(name))
			log_warn("%s in the environment names no option and is not read", name);
		free(name);
	}
}

/* Takes the environment's value, else the file's, else the default. */
static bool apply(const struct config_row *row, cfg_t *cfg, struct config *config, const char *file,
		  char *err, size_t errsize)
{
	char variable[VARIABLE_MAX], why[CONFIG_WHY_MAX];
	cfg_t *section = cfg_getsec(cfg, row->name.section);
	const char *from_file = section != NULL ? cfg_getstr(section, row->name.key) : NULL;
	const char *from_env;

	name_variable(row, variable);
	from_env = getenv(variable);
	if (from_env != NULL) {
		if (config_row_set(row, from_env, config, why))
			return true;
		snprintf(err, errsize, "%s: %s", variable, why);
		return false;
	}
	if (config_row_set(row, from_file != NULL ? from_file : row->name.fallback, config, why))
		return true;
	/* A default is missing here: where the section stands, or at the end. */
	file_error(err, errsize, file,
		   section != NULL && section->line > 0 ? section->line : cfg->line, why);
	return false;
}

/* The last line that sets one of the options that `what` names, else `fallback`. */
static int line_of_conflict(const char *what, int fallback)
{
	size_t count;
	const struct config_row *rows = config_rows(&count);
	int line = 0;

	for (size_t i = 0; i < count; i++) {
		char name[64];

		snprintf(name, sizeof name, "%s.%s", rows[i].name.section, rows[i].name.key);
		if (value_lines[i] > line && strstr(what, name) != NULL)
			line = value_lines[i];
	}
	return line > 0 ? line : fallback;
}

/* Reads the file and takes each option's value from it, the environment or the table. */
static bool fill(struct config *config, cfg_t *cfg, struct printbuf *text, const char *file,
		 char *err, size_t errsize)
{
	size_t count;
	const struct config_row *rows = config_rows(&count);
	const char *wrong;

	if (!read_file(file, text, err, errsize) || !parse_text(cfg, file, text, err, errsize))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!apply(&rows[i], cfg, config, file, err, errsize))
			return false;
	}
	wrong = config_options_conflict(config);
	return wrong == NULL ||
	       file_error(err, errsize, file, line_of_conflict(wrong, cfg->line), wrong);
}

struct config *config_load(const char *file, char *err, size_t errsize)
{
	struct config *config = xcalloc(1, sizeof *config);
	cfg_t *cfg = parser_new();
	struct printbuf *text = buf_new();
	size_t count;

	config_rows(&count);
	value_lines = xcalloc(count, sizeof *value_lines);
	if (!fill(config, cfg, text, file, err, errsize)) {
		config_free(config);
		config = NULL;
	}
	free(value_lines);
	printbuf_free(text);
	cfg_free(cfg);
	return config;
}

void config_free(struct config *config)
{
	size_t count;
	const struct config_row *rows = config_rows(&count);

	if (config == NULL)
		return;
	for (size_t i = 0; i < count; i++) {
		if (rows[i].type == CONFIG_TEXT)
			free(*(char **)((char *)config + rows[i].offset));
	}
	free(config);
}

static bool is_fixed(const struct config_row *row, const char *const *fixed)
{
	char name[64];

	snprintf(name, sizeof name, "%s.%s", row->name.section, row->name.key);
	for (; *fixed != NULL; fixed++) {
		if (strncmp(name, *fixed, strlen(*fixed)) == 0)
			return true;
	}
	return false;
}

static size_t size_of(const struct config_row *row)
{
	return row->type == CONFIG_TEXT ? sizeof(char *) : sizeof(int);
}

/* A password that was changed is no reason for a restart. */
static bool is_as_good(const struct config_row *row, const void *live, const void *fresh)
{
	if (row->type != CONFIG_TEXT)
		return *(const int *)live == *(const int *)fresh;
	return row->offset == offsetof(struct config, redis.url)
		       ? redis_url_is_alike(*(char *const *)live, *(char *const *)fresh)
		       : strcmp(*(char *const *)live, *(char *const *)fresh) == 0;
}

static void keep_row(const struct config_row *row, const struct config *live, struct config *fresh)
{
	const void *kept = (const char *)live + row->offset;
	void *changed = (char *)fresh + row->offset;

	if (is_as_good(row, kept, changed))
		return;
	log_warn("%s.%s changed: that takes a restart", row->name.section, row->name.key);
	if (row->type == CONFIG_TEXT) {
		free(*(char **)changed);
		*(char **)changed = xstrdup(*(char *const *)kept);
	} else {
		*(int *)changed = *(const int *)kept;
	}
}

void config_keep(const struct config *live, struct config *fresh, const char *const *fixed)
{
	size_t count;
	const struct config_row *rows = config_rows(&count);

	for (size_t i = 0; i < count; i++) {
		if (is_fixed(&rows[i], fixed))
			keep_row(&rows[i], live, fresh);
	}
}

void config_reload(struct config *live, struct config *fresh, const char *const *fixed)
{
	size_t count;
	const struct config_row *rows = config_rows(&count);

	config_keep(live, fresh, fixed);
	for (size_t i = 0; i < count; i++) {
		char *old = (char *)live + rows[i].offset, *new = (char *)fresh + rows[i].offset;
		char kept[sizeof(char *)];

		memcpy(kept, old, size_of(&rows[i]));
		memcpy(old, new, size_of(&rows[i]));
		memcpy(new, kept, size_of(&rows[i]));
	}
	config_free(fresh);
}

const char *config_default_file(void)
{
	const char *file = getenv(VARIABLE_FILE);

	return file != NULL && *file != '\0' ? file : SYSCONFDIR "/presence/presence.conf";
}
