#include "base/config_options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/alloc.h"
#include "base/redis_url.h"

static config_check check_redis_url, check_prefix, check_base, check_required, check_user_claim,
	check_listen, check_listen_or_empty, check_subject, check_allow, check_webhook,
	check_origins;

/* RFC 3986 section 2, and '*' for patterns of hosts. */
#define URL_CHARS                                                                     \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$" \
	"&'()*+,;=%"
#define YEAR 31536000
#define AT(field) offsetof(struct config, field)
#define TEXT(section, key, fallback, check)                                                 \
	{                                                                                   \
		{#section, #key, fallback}, CONFIG_TEXT, AT(section.key), 0, 0, NULL, check \
	}
#define INT(section, key, fallback, min, max)                                                  \
	{                                                                                      \
		{#section, #key, #fallback}, CONFIG_INT, AT(section.key), min, max, NULL, NULL \
	}
#define CHOICE(section, key, fallback, choices)                                                 \
	{                                                                                       \
		{#section, #key, fallback}, CONFIG_CHOICE, AT(section.key), 0, 0, choices, NULL \
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

static const struct config_row table[] = {
	TEXT(redis, url, "redis://127.0.0.1:6379/0", check_redis_url),
	INT(redis, partitions, 1, 1, 1024),
	TEXT(redis, tls_ca, "", NULL),
	TEXT(redis, tls_cert, "", NULL),
	TEXT(redis, tls_key, "", NULL),
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
	CHOICE(presence, last_seen, "exact", "exact coarse nobody"),
	CHOICE(presence, visibility, "everyone", "everyone friends"),
	INT(presence, max_batch, 1000, 1, 100000),
	INT(presence, max_sessions, 100, 1, 10000),
	CHOICE(presence, publish_broadcast, "yes", "no yes"),
	TEXT(stream, listen, "unix:/run/presence/stream.sock", check_listen),
	{{"stream", "mode", "0660"}, CONFIG_MODE, AT(stream.mode), 0, 0, NULL, NULL},
	INT(stream, max_streams, 10000, 1, 1000000),
	TEXT(stream, slots_file, "", NULL),
	INT(stream, max_streams_per_user, 10, 1, 10000),
	INT(stream, max_watched, 1000, 0, 1000),
	INT(stream, queue_limit, 65536, 4096, 67108864),
	INT(stream, interval_ms, 0, 0, 60000),
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
	TEXT(metrics, token_file, "", NULL),
	TEXT(cors, allow_origins, "", check_origins),
	CHOICE(log, level, "info", "error warn info debug"),
	CHOICE(log, target, "stderr", "stderr syslog"),
};

#define OPTION_COUNT (sizeof table / sizeof table[0])

const struct config_row *config_rows(size_t *count)
{
	*count = OPTION_COUNT;
	return table;
}

const struct config_option *config_options(size_t *count)
{
	static struct config_option names[OPTION_COUNT];

	for (size_t i = 0; i < OPTION_COUNT; i++)
		names[i] = table[i].name;
	*count = OPTION_COUNT;
	return names;
}

static const char *check_redis_url(const char *value)
{
	struct redis_url url;
	const char *why = redis_url_parse(value, &url);

	if (why == NULL)
		redis_url_free(&url);
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

static bool ends_with(const char *text, const char *tail)
{
	size_t len = strlen(text), tail_len = strlen(tail);

	return len >= tail_len && strcmp(text + len - tail_len, tail) == 0;
}

/* As a browser writes it: with a path, a capital or its scheme's own port it would never be met. */
static bool is_origin(const char *text)
{
	size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+-.");
	const char *host = text + scheme + 3;

	if (scheme == 0 || strncmp(text + scheme, "://", 3) != 0 || *host == '\0' ||
	    host[strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-._:[]")] != '\0')
		return false;
	return !(strncmp(text, "http:", 5) == 0 && ends_with(host, ":80")) &&
	       !(strncmp(text, "https:", 6) == 0 && ends_with(host, ":443"));
}

static const char *check_origins(const char *value)
{
	char *list = xstrdup(value), *save = NULL;
	bool good = true;

	for (char *origin = strtok_r(list, ", \t", &save); good && origin != NULL;
	     origin = strtok_r(NULL, ", \t", &save))
		good = is_origin(origin);
	free(list);
	return good || strcmp(value, "*") == 0
		       ? NULL
		       : "origins stand as browsers send them, separated by commas: "
			 "https://www.example.com, http://localhost:3000; or there is one *";
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

bool config_row_set(const struct config_row *row, const char *value, struct config *config,
		    char why[CONFIG_WHY_MAX])
{
	const char *sentence = NULL;
	long number = 0;

	switch (row->type) {
	case CONFIG_TEXT:
		sentence = row->check != NULL ? row->check(value) : NULL;
		if (sentence != NULL) {
			snprintf(why, CONFIG_WHY_MAX, "%s.%s: %s", row->name.section, row->name.key,
				 sentence);
			return false;
		}
		if (config != NULL) {
			char **field = (char **)((char *)config + row->offset);

			free(*field);
			*field = xstrdup(value);
		}
		return true;
	case CONFIG_INT:
		if (!parse_long(value, 10, &number) || number < row->min || number > row->max) {
			snprintf(why, CONFIG_WHY_MAX,
				 "%s.%s: '%.64s' is not a whole number from %ld to %ld",
				 row->name.section, row->name.key, value, row->min, row->max);
			return false;
		}
		break;
	case CONFIG_CHOICE:
		number = choice_index(row->choices, value);
		if (number < 0) {
			snprintf(why, CONFIG_WHY_MAX, "%s.%s: '%.64s' is not one of: %s",
				 row->name.section, row->name.key, value, row->choices);
			return false;
		}
		break;
	case CONFIG_MODE:
		if (!parse_long(value, 8, &number) || number < 0 || number > 0777) {
			snprintf(why, CONFIG_WHY_MAX,
				 "%s.%s: '%.64s' is not a file mode such as 0660",
				 row->name.section, row->name.key, value);
			return false;
		}
		break;
	}
	if (config != NULL)
		*(int *)((char *)config + row->offset) = (int)number;
	return true;
}

const struct config_row *config_row_find(const char *section, const char *key)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (strcmp(table[i].name.section, section) == 0 &&
		    strcmp(table[i].name.key, key) == 0)
			return &table[i];
	}
	return NULL;
}

/* How users are divided. */
static const char *layout_conflict(const struct config *config)
{
	int partitions = config->redis.partitions;
	struct redis_url url;
	const char *why = NULL;

	if ((partitions & (partitions - 1)) != 0)
		return "redis.partitions must be a power of two: 1, 2, 4, ... 1024";
	if (partitions > 1 && strchr(config->redis.prefix, '{') != NULL)
		return "redis.prefix must not hold a '{' where redis.partitions is more than 1: "
		       "what stands in braces says where a key belongs";
	if (redis_url_parse(config->redis.url, &url) != NULL)
		return NULL; /* check_redis_url() says it */
	if (url.kind == REDIS_CLUSTER && partitions == 1)
		why = "redis.partitions must be more than 1 in a Redis Cluster";
	else if (url.kind == REDIS_SERVERS && url.count > (size_t)partitions)
		why = "redis.partitions must be at least the number of servers in redis.url";
	redis_url_free(&url);
	return why;
}

const char *config_options_conflict(const struct config *config)
{
	const char *why = layout_conflict(config);

	if (why != NULL)
		return why;
	if ((config->redis.tls_cert[0] == '\0') != (config->redis.tls_key[0] == '\0'))
		return "redis.tls_cert and redis.tls_key go together: a certificate and its "
		       "private key";
	if (config->presence.stream_ttl < 2 * config->presence.heartbeat)
		return "presence.stream_ttl must be at least twice presence.heartbeat";
	if (config->presence.stream_ttl < config->presence.heartbeat + 2 * config->presence.sweep)
		return "presence.stream_ttl must be at least presence.heartbeat and twice "
		       "presence.sweep together, or a pause of Redis could not be told from "
		       "streams that are gone";
	if (config->auth.login == LOGIN_LOCAL && config->auth.algorithm >= AUTH_RS256 &&
	    config->auth.signing_key_file[0] == '\0')
		return "auth.signing_key_file is required where auth.algorithm is RS or ES: login "
		       "issues such tokens (or set auth.login = external)";
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
