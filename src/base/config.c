#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <confuse.h>

#include "base/address.h"
#include "base/alloc.h"
#include "base/buf.h"

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif

#define ERR_MAX 512
#define FILE_MAX 1048576 /* bytes */

enum option_type { OPTION_TEXT, OPTION_INT, OPTION_CHOICE, OPTION_MODE };

/* Checks a text value: NULL, or a sentence saying what is wrong. */
typedef const char *text_check(const char *value);

struct option {
	struct config_option name;
	enum option_type type;
	size_t offset; /* in struct config: a char * or an int */
	long min, max; /* OPTION_INT */
	const char *choices; /* OPTION_CHOICE: words in the order of the enum, one blank between */
	text_check *check; /* OPTION_TEXT, may be NULL */
};

static text_check check_redis_url, check_prefix, check_base, check_required, check_user_claim,
	check_listen, check_listen_or_empty, check_subject, check_allow, check_webhook;

/* RFC 3986 section 2, and '*' for patterns of hosts. */
#define URL_CHARS                                                                     \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$" \
	"&'()*+,;=%"
#define YEAR 31536000
#define AT(field) offsetof(struct config, field)
#define TEXT(section, key, fallback, check)                                                 \
	{                                                                                   \
		{#section, #key, fallback}, OPTION_TEXT, AT(section.key), 0, 0, NULL, check \
	}
#define INT(section, key, fallback, min, max)                                                  \
	{                                                                                      \
		{#section, #key, #fallback}, OPTION_INT, AT(section.key), min, max, NULL, NULL \
	}
#define CHOICE(section, key, fallback, choices)                                                 \
	{                                                                                       \
		{#section, #key, fallback}, OPTION_CHOICE, AT(section.key), 0, 0, choices, NULL \
	}

#define ALGORITHMS "HS256 HS384 HS512 RS256 RS384 RS512 ES256 ES384 ES512"
/* The one that is spelled as asked for comes first: tables from before the index may have two. */
#define ACCOUNT_QUERY                                \
	"SELECT id, password_hash, name FROM users " \
	"WHERE lower(email) = lower(%s) ORDER BY email <> %s"
/* Compared as a text, too: SQL takes the user id '1.0' or '+1' for the integer 1. */
#define FRIENDS_QUERY                                                            \
	"SELECT u.id, u.name FROM friends f JOIN users u ON u.id = f.friend_id " \
	"WHERE f.user_id = %s AND CAST(f.user_id AS VARCHAR(20)) = %s ORDER BY u.id"

static const struct option options[] = {
	TEXT(redis, url, "redis://127.0.0.1:6379/0", check_redis_url),
	INT(redis, timeout_ms, 1000, 10, 60000),
	TEXT(redis, prefix, "", check_prefix),
	TEXT(http, base, "/api", check_base),
	CHOICE(auth, algorithm, "HS256", ALGORITHMS),
	TEXT(auth, key_file, "", check_required),
	TEXT(auth, user_claim, "sub", check_user_claim),
	TEXT(auth, signing_key_file, "", NULL),
	TEXT(auth, issuer, "", NULL),
	TEXT(auth, audience, "", NULL),
	INT(auth, leeway, 30, 0, 3600),
	CHOICE(auth, login, "local", "local external"),
	INT(auth, token_lifetime, 3600, 1, YEAR),
	CHOICE(directory, backend, "sql", "sql redis none"),
	TEXT(directory, driver, "sqlite3", check_required),
	TEXT(directory, params, "/var/lib/presence/presence.db", NULL),
	TEXT(directory, account_query, ACCOUNT_QUERY, check_required),
	TEXT(directory, dummy_hash, "", NULL),
	TEXT(directory, friends_query, FRIENDS_QUERY, check_required),
	INT(directory, max_friends, 5000, 1, 100000),
	INT(directory, timeout_ms, 5000, 10, 600000),
	INT(presence, online_ttl, 300, 1, YEAR),
	INT(presence, last_seen_ttl, 604800, 1, YEAR),
	INT(presence, stream_ttl, 90, 2, YEAR),
	INT(presence, grace, 10, 0, 3600),
	INT(presence, heartbeat, 30, 1, 3600),
	INT(presence, sweep, 1, 1, 3600),
	CHOICE(presence, visibility, "everyone", "everyone friends"),
	INT(presence, max_batch, 1000, 1, 100000),
	INT(presence, max_sessions, 100, 1, 10000),
	CHOICE(presence, publish_broadcast, "yes", "no yes"),
	TEXT(stream, listen, "unix:/run/presence/stream.sock", check_listen),
	{{"stream", "mode", "0660"}, OPTION_MODE, AT(stream.mode), 0, 0, NULL, NULL},
	INT(stream, max_streams, 10000, 1, 1000000),
	TEXT(stream, slots_file, "", NULL),
	INT(stream, max_streams_per_user, 10, 1, 10000),
	INT(stream, queue_limit, 65536, 4096, 67108864),
	INT(stream, padding, 0, 0, 262144),
	INT(stream, max_lifetime, 600, 0, YEAR),
	INT(stream, retry_ms, 2000, 1, 3600000),
	INT(stream, drain, 10, 0, 3600),
	TEXT(api, listen, "", check_listen_or_empty),
	INT(api, children, 0, 0, 1000),
	INT(api, max_requests, 10000, 0, INT_MAX),
	INT(api, body_limit, 65536, 256, 16777216),
	TEXT(push, key_file, "", NULL),
	TEXT(push, subject, "", check_subject),
	TEXT(push, allow, "", check_allow),
	TEXT(push, webhook, "", check_webhook),
	TEXT(push, webhook_key_file, "", NULL),
	TEXT(push, ca_file, "", NULL),
	INT(push, timeout_ms, 10000, 10, 60000),
	TEXT(cors, allow_origins, "", NULL),
	CHOICE(log, level, "info", "error warn info debug"),
	CHOICE(log, target, "stderr", "stderr syslog"),
};

#define OPTION_COUNT (sizeof options / sizeof options[0])

const struct config_option *config_options(size_t *count)
{
	static struct config_option names[OPTION_COUNT];

	for (size_t i = 0; i < OPTION_COUNT; i++)
		names[i] = options[i].name;
	*count = OPTION_COUNT;
	return names;
}

static const char *check_redis_url(const char *value)
{
	struct redis_address address;
	const char *why = redis_address_parse(value, &address);

	if (why == NULL)
		redis_address_free(&address);
	return why;
}

static const char *check_prefix(const char *value)
{
	if (strlen(value) > 64)
		return "the prefix is longer than 64 bytes";
	for (; *value != '\0'; value++) {
		/* Glob characters would widen PSUBSCRIBE patterns built on the prefix. */
		if (*value <= ' ' || *value > '~' || strchr("*?[]\\\"", *value) != NULL)
			return "the prefix is printable ASCII without blanks and * ? [ ] \\ \"";
	}
	return NULL;
}

static const char *check_base(const char *value)
{
	size_t len = strlen(value);

	if (len == 0)
		return NULL;
	if (value[0] != '/' || value[len - 1] == '/' || len > 128)
		return "the base is empty or a path such as /api, without a slash at its end";
	if (strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			  "0123456789/_.~-") != len)
		return "the base may hold letters, digits and / _ . ~ - only";
	return NULL;
}

static const char *check_required(const char *value)
{
	return *value == '\0' ? "a value is required" : NULL;
}

/* Any claim but those that say something else of a token. */
static const char *check_user_claim(const char *value)
{
	static const char *const taken[] = {"iss", "aud", "exp",  "nbf",      "iat",
					    "jti", "sid", "name", "presence", "scope"};
	size_t len = strlen(value);

	if (len < 1 || len > 64 || value[strcspn(value, " \"\\")] != '\0')
		return "a claim's name is 1 to 64 characters without blanks, \" and \\";
	for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
		if (strcmp(value, taken[i]) == 0)
			return "this claim has another meaning";
	}
	for (; *value != '\0'; value++) {
		if (*value < ' ' || *value > '~')
			return "a claim's name is printable ASCII";
	}
	return NULL;
}

static const char *check_listen(const char *value)
{
	struct listen_address address;
	const char *why = listen_address_parse(value, &address);

	if (why == NULL)
		listen_address_free(&address);
	return why;
}

static const char *check_listen_or_empty(const char *value)
{
	return *value == '\0' ? NULL : check_listen(value);
}

/* RFC 8292 section 2.1: a contact URI. */
static const char *check_subject(const char *value)
{
	if (*value == '\0')
		return NULL;
	if (strlen(value) > 256 || value[strspn(value, URL_CHARS)] != '\0' ||
	    (strncmp(value, "mailto:", 7) != 0 && strncmp(value, "https://", 8) != 0))
		return "the subject is a mailto: or https: URL by which push services reach you";
	return NULL;
}

static const char *check_allow(const char *value)
{
	if (strlen(value) > 2048 || value[strspn(value, URL_CHARS " \t")] != '\0' ||
	    strpbrk(value, "/@?%") != NULL)
		return "a list of hosts, separated by commas: push.example.com, *.push.example.com";
	return NULL;
}

static const char *check_webhook(const char *value)
{
	if (*value == '\0')
		return NULL;
	if (strlen(value) > 1024 || value[strspn(value, URL_CHARS)] != '\0' ||
	    (strncmp(value, "http://", 7) != 0 && strncmp(value, "https://", 8) != 0))
		return "the webhook is an http: or https: URL";
	return NULL;
}

/* The place of a word in a list of words, or -1. */
static int choice_index(const char *choices, const char *word)
{
	size_t len = strlen(word);

	for (int i = 0; *choices != '\0'; i++) {
		size_t span = strcspn(choices, " ");

		if (span == len && strncmp(choices, word, len) == 0)
			return i;
		choices += span + (choices[span] == ' ');
	}
	return -1;
}

static bool parse_long(const char *value, int base, long *number)
{
	char *end;

	errno = 0;
	*number = strtol(value, &end, base);
	return errno == 0 && end != value && *end == '\0' && !isspace((unsigned char)*value);
}

/* Reads `value` into the configuration (or only checks it when config is NULL). */
static bool option_set(const struct option *option, const char *value, struct config *config,
		       char *why)
{
	const char *sentence = NULL;
	long number = 0;

	switch (option->type) {
	case OPTION_TEXT:
		sentence = option->check != NULL ? option->check(value) : NULL;
		if (sentence != NULL) {
			snprintf(why, ERR_MAX, "%s.%s: %s", option->name.section, option->name.key,
				 sentence);
			return false;
		}
		if (config != NULL) {
			char **field = (char **)((char *)config + option->offset);

			free(*field);
			*field = xstrdup(value);
		}
		return true;
	case OPTION_INT:
		if (!parse_long(value, 10, &number) || number < option->min ||
		    number > option->max) {
			snprintf(why, ERR_MAX,
				 "%s.%s: '%.64s' is not a whole number from %ld to %ld",
				 option->name.section, option->name.key, value, option->min,
				 option->max);
			return false;
		}
		break;
	case OPTION_CHOICE:
		number = choice_index(option->choices, value);
		if (number < 0) {
			snprintf(why, ERR_MAX, "%s.%s: '%.64s' is not one of: %s",
				 option->name.section, option->name.key, value, option->choices);
			return false;
		}
		break;
	case OPTION_MODE:
		if (!parse_long(value, 8, &number) || number < 0 || number > 0777) {
			snprintf(why, ERR_MAX, "%s.%s: '%.64s' is not a file mode such as 0660",
				 option->name.section, option->name.key, value);
			return false;
		}
		break;
	}
	if (config != NULL)
		*(int *)((char *)config + option->offset) = (int)number;
	return true;
}

static const struct option *option_find(const char *section, const char *key)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (strcmp(options[i].name.section, section) == 0 &&
		    strcmp(options[i].name.key, key) == 0)
			return &options[i];
	}
	return NULL;
}

/*
 * A key set after the file's last line: libconfuse lets a file end inside a
 * section or a comment, and there the key is out of place or missing.
 */
#define END_MARK "end-of-file"

/* libconfuse's callbacks carry no user pointer, so what they found waits here. */
static char parse_error[ERR_MAX + PATH_MAX];
static const char *parse_file;
static int parse_lines; /* of the file, without END_MARK's */

static void on_parse_error(cfg_t *cfg, const char *format, va_list args)
{
	char what[ERR_MAX];

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
	const struct option *option = option_find(cfg_name(section), cfg_opt_name(opt));
	char why[ERR_MAX];

	if (option == NULL || option_set(option, cfg_opt_getnstr(opt, 0), NULL, why))
		return 0;
	cfg_error(section, "%s", why);
	return -1;
}

#define SECTION_MAX 16 /* sections, and keys of one section */

/* libconfuse's description of the file, made from the option table. */
static cfg_t *parser_new(void)
{
	cfg_opt_t sections[SECTION_MAX] = {CFG_END()};
	cfg_opt_t keys[SECTION_MAX];
	size_t section_count = 0, i = 0;
	cfg_t *cfg;

	while (i < OPTION_COUNT) {
		const char *section = options[i].name.section;
		size_t count = 0;

		for (; i < OPTION_COUNT && strcmp(options[i].name.section, section) == 0; i++) {
			keys[count] = (cfg_opt_t)CFG_STR(options[i].name.key, NULL, CFGF_NODEFAULT);
			keys[count++].validcb = on_validate;
		}
		keys[count] = (cfg_opt_t)CFG_END();
		/* cfg_init copies the tree: until then each section needs an array of its own. */
		sections[section_count] = (cfg_opt_t)CFG_SEC(
			section, xmemdup(keys, (count + 1) * sizeof keys[0]), CFGF_NONE);
		section_count++;
	}
	sections[section_count] = (cfg_opt_t)CFG_STR(END_MARK, NULL, CFGF_NODEFAULT);
	sections[section_count + 1] = (cfg_opt_t)CFG_END();
	cfg = cfg_init(sections, CFGF_NONE);
	for (size_t s = 0; s < section_count; s++)
		free(sections[s].subopts);
	return cfg;
}

/* Reports a wrong file: "FILE:LINE: what is wrong". Returns false. */
static bool file_error(char *err, size_t errsize, const char *file, int line, const char *what)
{
	snprintf(err, errsize, "%s:%d: %s", file, line, what);
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
		return file_error(err, errsize, file, 0, strerror(errno));
	while ((got = fread(chunk, 1, sizeof chunk, in)) > 0 && buf_len(text) <= FILE_MAX)
		buf_put(text, chunk, got);
	whole = !ferror(in);
	if (!whole)
		file_error(err, errsize, file, 0, strerror(errno));
	fclose(in);
	if (!whole)
		return false;
	if (buf_len(text) > FILE_MAX)
		return file_error(err, errsize, file, 0, "larger than 1 MiB");
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

/* Takes the environment's value, else the file's, else the default. */
static bool apply(const struct option *option, cfg_t *cfg, struct config *config, const char *file,
		  char *err, size_t errsize)
{
	char variable[64] = "PRESENCE_", why[ERR_MAX];
	cfg_t *section = cfg_getsec(cfg, option->name.section);
	const char *from_file = section != NULL ? cfg_getstr(section, option->name.key) : NULL;
	const char *from_env;

	snprintf(variable, sizeof variable, "PRESENCE_%s_%s", option->name.section,
		 option->name.key);
	for (char *c = variable; *c != '\0'; c++)
		*c = (char)toupper((unsigned char)*c);
	from_env = getenv(variable);
	if (from_env != NULL) {
		if (option_set(option, from_env, config, why))
			return true;
		snprintf(err, errsize, "%s: %s", variable, why);
		return false;
	}
	if (option_set(option, from_file != NULL ? from_file : option->name.fallback, config, why))
		return true;
	/* A default is missing here: where the section stands, or at the end. */
	file_error(err, errsize, file,
		   section != NULL && section->line > 0 ? section->line : cfg->line, why);
	return false;
}

/* What no single option can tell. */
static const char *cross_check(const struct config *config)
{
	if (config->presence.stream_ttl < 2 * config->presence.heartbeat)
		return "presence.stream_ttl must be at least twice presence.heartbeat";
	if (config->presence.stream_ttl < config->presence.heartbeat + 2 * config->presence.sweep)
		return "presence.stream_ttl must be at least presence.heartbeat and twice "
		       "presence.sweep together, or a pause of Redis could not be told from "
		       "streams that are gone";
	if (config->auth.login == LOGIN_LOCAL && config->auth.algorithm >= AUTH_RS256 &&
	    config->auth.signing_key_file[0] == '\0')
		return "auth.signing_key_file is required: login issues RS/ES tokens "
		       "(or set auth.login = external)";
	if (config->auth.login == LOGIN_LOCAL && config->directory.backend != DIRECTORY_SQL)
		return "auth.login = local needs directory.backend = sql, where the accounts are";
	if (config->push.key_file[0] != '\0' && config->push.subject[0] == '\0')
		return "push.subject is required with push.key_file: push services want to know "
		       "whom to tell of trouble";
	if (config->push.webhook[0] != '\0' && config->push.webhook_key_file[0] == '\0')
		return "push.webhook_key_file is required with push.webhook: the secret that signs";
	if (config->presence.visibility == VISIBLE_TO_FRIENDS &&
	    config->directory.backend == DIRECTORY_NONE)
		return "presence.visibility = friends needs a directory of friends";
	return NULL;
}

struct config *config_load(const char *file, char *err, size_t errsize)
{
	struct config *config = xcalloc(1, sizeof *config);
	cfg_t *cfg = parser_new();
	struct printbuf *text = buf_new();
	const char *wrong;

	if (!read_file(file, text, err, errsize) || !parse_text(cfg, file, text, err, errsize))
		goto fail;
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (!apply(&options[i], cfg, config, file, err, errsize))
			goto fail;
	}
	wrong = cross_check(config);
	if (wrong != NULL) {
		file_error(err, errsize, file, cfg->line, wrong);
		goto fail;
	}
	printbuf_free(text);
	cfg_free(cfg);
	return config;
fail:
	printbuf_free(text);
	cfg_free(cfg);
	config_free(config);
	return NULL;
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (options[i].type == OPTION_TEXT)
			free(*(char **)((char *)config + options[i].offset));
	}
	free(config);
}

static bool is_fixed(const struct option *option, const char *const *fixed)
{
	char name[64];

	snprintf(name, sizeof name, "%s.%s", option->name.section, option->name.key);
	for (; *fixed != NULL; fixed++) {
		if (strncmp(name, *fixed, strlen(*fixed)) == 0)
			return true;
	}
	return false;
}

static void swap_option(const struct option *option, struct config *live, struct config *fresh,
			bool fixed)
{
	void *old = (char *)live + option->offset, *new = (char *)fresh + option->offset;
	bool is_text = option->type == OPTION_TEXT;
	size_t size = is_text ? sizeof(char *) : sizeof(int);
	bool changed =
		is_text ? strcmp(*(char **)old, *(char **)new) != 0 : *(int *)old != *(int *)new;
	char kept[sizeof(char *)];

	if (fixed) {
		if (changed)
			log_warn("%s.%s changed: that takes a restart", option->name.section,
				 option->name.key);
		return;
	}
	memcpy(kept, old, size);
	memcpy(old, new, size);
	memcpy(new, kept, size);
}

void config_reload(struct config *live, struct config *fresh, const char *const *fixed)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		swap_option(&options[i], live, fresh, is_fixed(&options[i], fixed));
	config_free(fresh);
}

const char *config_default_file(void)
{
	const char *file = getenv("PRESENCE_CONFIG");

	return file != NULL && *file != '\0' ? file : SYSCONFDIR "/presence/presence.conf";
}
