/* The configuration: one file (libconfuse syntax), environment overrides, one option table. */
#ifndef PRESENCE_BASE_CONFIG_H
#define PRESENCE_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

enum auth_algorithm {
	AUTH_HS256,
	AUTH_HS384,
	AUTH_HS512,
	AUTH_RS256,
	AUTH_RS384,
	AUTH_RS512,
	AUTH_ES256,
	AUTH_ES384,
	AUTH_ES512
};
enum auth_login { LOGIN_LOCAL, LOGIN_EXTERNAL };
enum directory_backend { DIRECTORY_SQL, DIRECTORY_REDIS, DIRECTORY_NONE };
enum visibility { VISIBLE_TO_EVERYONE, VISIBLE_TO_FRIENDS };
/* What others learn of when a user was active last; each is stricter than the one before it. */
enum last_seen { LAST_SEEN_EXACT, LAST_SEEN_COARSE, LAST_SEEN_NOBODY };

/* Strings are never NULL; an empty one means "not set". Units: as the name or comment says. */
struct config {
	struct {
		char *url;
		int partitions;
		char *tls_ca, *tls_cert, *tls_key; /* PEM files */
		int timeout_ms;
		char *prefix;
	} redis;
	struct {
		char *base; /* "" or "/path" without a slash at its end */
	} http;
	struct {
		int algorithm; /* enum auth_algorithm */
		char *key_file; /* names separated by commas */
		char *user_claim;
		char *signing_key_file;
		char *issuer;
		char *audience;
		int leeway; /* seconds */
		int login; /* enum auth_login */
		int token_lifetime; /* seconds */
	} auth;
	struct {
		int backend; /* enum directory_backend */
		char *driver;
		char *params;
		char *account_query;
		char *dummy_hash;
		char *friends_query;
		int max_friends;
		int timeout_ms;
	} directory;
	struct { /* seconds, but for counts */
		int online_ttl;
		int last_seen_ttl;
		int stream_ttl;
		int grace;
		int heartbeat;
		int sweep;
		int last_seen; /* enum last_seen */
		int visibility; /* enum visibility */
		int max_batch;
		int max_sessions;
		int publish_broadcast; /* 0 or 1 */
	} presence;
	struct {
		char *listen;
		int mode; /* file mode of a Unix socket */
		int max_streams;
		char *slots_file;
		int max_streams_per_user;
		int max_watched; /* users that a stream watches besides the friends */
		int queue_limit; /* bytes */
		int interval_ms; /* between two writes of changes; 0 = none */
		int padding; /* bytes */
		int max_lifetime; /* seconds */
		int retry_ms;
		int drain; /* seconds */
	} stream;
	struct {
		char *listen;
		int children;
		int max_requests;
		int body_limit; /* bytes */
	} api;
	struct {
		char *key_file; /* "": no push */
		char *subject;
		char *allow;
		char *webhook;
		char *webhook_key_file;
		char *ca_file;
		int timeout_ms;
	} push;
	struct {
		char *token_file; /* "": no metrics */
	} metrics;
	struct {
		char *allow_origins;
	} cors;
	struct {
		int level; /* enum log_level */
		int target; /* 0 stderr, 1 syslog */
	} log;
};

/*
 * Reads FILE and the environment (PRESENCE_SECTION_KEY). Returns a new
 * configuration, freed with config_free(), or NULL with "FILE:LINE: what is
 * wrong" (or "PRESENCE_…: what is wrong") in err.
 */
struct config *config_load(const char *file, char *err, size_t errsize);
void config_free(struct config *config);

/* Logs each variable of the environment that looks like an option and is none. */
void config_warn_of_variables(void);

/* What data and connections to Redis stand on; of the URL, users and passwords may change all the same. */
#define CONFIG_FIXED_REDIS "redis.url", "redis.partitions", "redis.prefix"

/*
 * Options whose "section.key" starts with one of `fixed` (NULL after the last) take
 * a restart: in `fresh`, which was read just now, they get the value that they have
 * in `live`; a change is logged.
 */
void config_keep(const struct config *live, struct config *fresh, const char *const *fixed);
/* And then moves all values of `fresh` into `live`, which keeps its address, and frees `fresh`. */
void config_reload(struct config *live, struct config *fresh, const char *const *fixed);

/* The file to read when -c is not given: $PRESENCE_CONFIG or SYSCONFDIR/presence/presence.conf. */
const char *config_default_file(void);

/* The option table, for documentation and its check; NULL after the last row. */
struct config_option {
	const char *section, *key;
	const char *fallback; /* the default, as it would be written in the file */
};
const struct config_option *config_options(size_t *count);

#endif
