/* The configuration: defaults, types, errors with their lines, the environment, cross checks. */
#include "unit.h"

#include <stdio.h>

#include "base/config.h"

extern char **environ;

#define KEY "auth { key_file = /k }\n"
#define X10 "xxxxxxxxxx"
#define X64 X10 X10 X10 X10 X10 X10 "xxxx"

static char *path; /* the file of the running test */
static char err[1024];

static void setup(void)
{
	unit_dir_setup();
	path = unit_path("presence.conf");
	err[0] = '\0';
	/* What surrounds the tests must not configure them. */
	for (char **entry = environ; *entry != NULL;) {
		if (strncmp(*entry, "PRESENCE_", 9) == 0) {
			char *name = strndup(*entry, strcspn(*entry, "="));

			unsetenv(name);
			free(name);
			entry = environ;
		} else {
			entry++;
		}
	}
}

static void teardown(void)
{
	free(path);
	unit_dir_teardown();
}

static struct config *load_bytes(const char *text, size_t len)
{
	free(unit_write("presence.conf", text, len));
	return config_load(path, err, sizeof err);
}

static struct config *load(const char *text)
{
	return load_bytes(text, strlen(text));
}

static struct config *load_good(const char *text)
{
	struct config *config = load(text);

	ck_assert_msg(config != NULL, "taken expected, seen '%s' for\n%s", err, text);
	return config;
}

/* Expects "FILE:LINE: …sentence…". */
static void expect_error(const char *text, int line, const char *sentence)
{
	struct config *config = load(text);
	char place[512];

	ck_assert_msg(config == NULL, "an error in line %d expected, seen taken:\n%s", line, text);
	snprintf(place, sizeof place, "%s:%d: ", path, line);
	ck_assert_msg(strncmp(err, place, strlen(place)) == 0,
		      "expected an error in line %d, seen '%s' for\n%s", line, err, text);
	ck_assert_msg(strstr(err, sentence) != NULL, "expected '%s', seen '%s' for\n%s", sentence,
		      err, text);
}

/* --- defaults: the table of the contract -------------------------------------------------------*/

static const struct default_row {
	const char *section, *key, *fallback;
} defaults[] = {
	{"redis", "url", "redis://127.0.0.1:6379/0"},
	{"redis", "partitions", "1"},
	{"redis", "tls_ca", ""},
	{"redis", "tls_cert", ""},
	{"redis", "tls_key", ""},
	{"redis", "timeout_ms", "1000"},
	{"redis", "prefix", ""},
	{"http", "base", "/api"},
	{"auth", "algorithm", "HS256"},
	{"auth", "key_file", ""},
	{"auth", "user_claim", "sub"},
	{"auth", "signing_key_file", ""},
	{"auth", "issuer", ""},
	{"auth", "audience", ""},
	{"auth", "leeway", "30"},
	{"auth", "login", "local"},
	{"auth", "token_lifetime", "3600"},
	{"directory", "backend", "sql"},
	{"directory", "driver", "sqlite3"},
	{"directory", "params", NULL}, /* NULL: the project's choice */
	{"directory", "account_query", NULL},
	{"directory", "dummy_hash", ""},
	{"directory", "friends_query", NULL},
	{"directory", "max_friends", "5000"},
	{"directory", "timeout_ms", "5000"},
	{"presence", "online_ttl", "300"},
	{"presence", "last_seen_ttl", "604800"},
	{"presence", "stream_ttl", "90"},
	{"presence", "grace", "10"},
	{"presence", "heartbeat", "30"},
	{"presence", "sweep", "1"},
	{"presence", "last_seen", "exact"},
	{"presence", "visibility", "everyone"},
	{"presence", "max_batch", "1000"},
	{"presence", "max_sessions", "100"},
	{"presence", "publish_broadcast", "yes"},
	{"stream", "listen", "unix:/run/presence/stream.sock"},
	{"stream", "mode", "0660"},
	{"stream", "max_streams", "10000"},
	{"stream", "slots_file", ""},
	{"stream", "max_streams_per_user", "10"},
	{"stream", "max_watched", "1000"},
	{"stream", "queue_limit", "65536"},
	{"stream", "interval_ms", "0"},
	{"stream", "padding", "0"},
	{"stream", "max_lifetime", "600"},
	{"stream", "retry_ms", "2000"},
	{"stream", "drain", "10"},
	{"api", "listen", ""},
	{"api", "children", "0"},
	{"api", "max_requests", "10000"},
	{"api", "body_limit", "65536"},
	{"push", "key_file", ""},
	{"push", "subject", ""},
	{"push", "allow", ""},
	{"push", "webhook", ""},
	{"push", "webhook_key_file", ""},
	{"push", "ca_file", ""},
	{"push", "timeout_ms", "10000"},
	{"metrics", "token_file", ""},
	{"cors", "allow_origins", ""},
	{"log", "level", "info"},
	{"log", "target", "stderr"},
};

START_TEST(test_option_table)
{
	size_t count;
	const struct config_option *options = config_options(&count);

	ck_assert_uint_eq(count, UNIT_COUNT(defaults));
	for (size_t i = 0; i < count; i++) {
		ck_assert_str_eq(options[i].section, defaults[i].section);
		ck_assert_str_eq(options[i].key, defaults[i].key);
		ck_assert_msg(defaults[i].fallback == NULL
				      ? options[i].fallback[0] != '\0'
				      : strcmp(options[i].fallback, defaults[i].fallback) == 0,
			      "%s.%s: seen the default '%s'", options[i].section, options[i].key,
			      options[i].fallback);
	}
}
END_TEST

START_TEST(test_defaults)
{
	struct config *config = load_good(KEY);

	ck_assert_str_eq(config->redis.url, "redis://127.0.0.1:6379/0");
	ck_assert_int_eq(config->redis.timeout_ms, 1000);
	ck_assert_str_eq(config->redis.prefix, "");
	ck_assert_str_eq(config->http.base, "/api");
	ck_assert_int_eq(config->auth.algorithm, AUTH_HS256);
	ck_assert_str_eq(config->auth.key_file, "/k");
	ck_assert_str_eq(config->auth.signing_key_file, "");
	ck_assert_str_eq(config->auth.issuer, "");
	ck_assert_str_eq(config->auth.audience, "");
	ck_assert_int_eq(config->auth.leeway, 30);
	ck_assert_int_eq(config->auth.login, LOGIN_LOCAL);
	ck_assert_int_eq(config->auth.token_lifetime, 3600);
	ck_assert_int_eq(config->directory.backend, DIRECTORY_SQL);
	ck_assert_str_eq(config->directory.driver, "sqlite3");
	ck_assert_ptr_nonnull(strstr(config->directory.account_query, "%s"));
	ck_assert_ptr_nonnull(strstr(config->directory.friends_query, "%s"));
	ck_assert_int_eq(config->directory.max_friends, 5000);
	ck_assert_int_eq(config->directory.timeout_ms, 5000);
	ck_assert_int_eq(config->presence.online_ttl, 300);
	ck_assert_int_eq(config->presence.last_seen_ttl, 604800);
	ck_assert_int_eq(config->presence.stream_ttl, 90);
	ck_assert_int_eq(config->presence.grace, 10);
	ck_assert_int_eq(config->presence.heartbeat, 30);
	ck_assert_int_eq(config->presence.sweep, 1);
	ck_assert_int_eq(config->presence.visibility, VISIBLE_TO_EVERYONE);
	ck_assert_int_eq(config->presence.max_batch, 1000);
	ck_assert_int_eq(config->presence.max_sessions, 100);
	ck_assert_int_eq(config->presence.publish_broadcast, 1);
	ck_assert_str_eq(config->stream.listen, "unix:/run/presence/stream.sock");
	ck_assert_int_eq(config->stream.mode, 0660);
	ck_assert_int_eq(config->stream.max_streams, 10000);
	ck_assert_int_eq(config->stream.max_streams_per_user, 10);
	ck_assert_int_eq(config->stream.max_watched, 1000);
	ck_assert_int_eq(config->stream.queue_limit, 65536);
	ck_assert_int_eq(config->stream.interval_ms, 0);
	ck_assert_int_eq(config->stream.max_lifetime, 600);
	ck_assert_int_eq(config->stream.retry_ms, 2000);
	ck_assert_int_eq(config->stream.drain, 10);
	ck_assert_str_eq(config->api.listen, "");
	ck_assert_int_eq(config->api.children, 0);
	ck_assert_int_eq(config->api.max_requests, 10000);
	ck_assert_int_eq(config->api.body_limit, 65536);
	ck_assert_str_eq(config->cors.allow_origins, "");
	ck_assert_int_eq(config->log.level, LOG_LEVEL_INFO);
	ck_assert_int_eq(config->log.target, 0);
	config_free(config);
	config_free(NULL);
}
END_TEST

/* Every default may be written into the file, bare or in either kind of quotes. */
START_TEST(test_defaults_written_out)
{
	static const char *const quotes[] = {"\"", "'", ""};
	size_t count;
	const struct config_option *options = config_options(&count);

	for (size_t i = 0; i < count; i++) {
		for (size_t q = 0; q < UNIT_COUNT(quotes); q++) {
			bool key_file = strcmp(options[i].section, "auth") == 0 &&
					strcmp(options[i].key, "key_file") == 0;
			const char *value = key_file ? "/k" : options[i].fallback;
			char *text;

			if (*quotes[q] == '\0' && (*value == '\0' || strpbrk(value, " =") != NULL))
				continue;
			ck_assert(asprintf(&text, KEY "%s {\n%s = %s%s%s\n}\n", options[i].section,
					   options[i].key, quotes[q], value, quotes[q]) > 0);
			config_free(load_good(text));
			free(text);
		}
	}
}
END_TEST

/* --- values ------------------------------------------------------------------------------------*/

static const struct value_row {
	const char *section, *key, *value;
	bool good;
} value_rows[] = {
	{"redis", "url", "unix:///run/redis.sock?db=1", true},
	{"redis", "url", "redis://:secret@[::1]:7000/2", true},
	{"redis", "url", "", false},
	{"redis", "url", "localhost:6379", false},
	{"redis", "partitions", "1", true},
	{"redis", "partitions", "0", false},
	{"redis", "partitions", "1025", false},
	{"redis", "timeout_ms", "10", true},
	{"redis", "timeout_ms", "0", false},
	{"redis", "timeout_ms", "-1", false},
	{"redis", "timeout_ms", "1.5", false},
	{"redis", "timeout_ms", "", false},
	{"redis", "timeout_ms", " 1000", false},
	{"redis", "timeout_ms", "1000 ", false},
	{"redis", "timeout_ms", "1000ms", false},
	{"redis", "timeout_ms", "0x3e8", false},
	{"redis", "timeout_ms", "99999999999999999999", false},
	{"redis", "prefix", "site1:", true},
	{"redis", "prefix", X64, true},
	{"redis", "prefix", X64 "x", false},
	{"redis", "prefix", "a b", false},
	{"redis", "prefix", "a*", false},
	{"redis", "prefix", "a?", false},
	{"redis", "prefix", "[a]", false},
	{"redis", "prefix", "\xc3\xa9", false},
	{"auth", "user_claim", "email", true},
	{"auth", "user_claim", "https://example.com/user", true},
	{"auth", "user_claim", X64, true},
	{"auth", "user_claim", X64 "x", false},
	{"auth", "user_claim", "", false},
	{"auth", "user_claim", "exp", false},
	{"auth", "user_claim", "sid", false},
	{"auth", "user_claim", "scope", false},
	{"auth", "user_claim", "a b", false},
	{"auth", "user_claim", "\xc3\xa9", false},
	{"http", "base", "", true},
	{"http", "base", "/v1/presence", true},
	{"http", "base", "/", false},
	{"http", "base", "/api/", false},
	{"http", "base", "api", false},
	{"http", "base", "/a?b", false},
	{"http", "base", "/a b", false},
	{"auth", "algorithm", "HS384", true},
	{"auth", "algorithm", "HS512", true},
	{"auth", "algorithm", "hs256", false},
	{"auth", "algorithm", "HS25", false},
	{"auth", "algorithm", "HS256 HS384", false},
	{"auth", "algorithm", "", false},
	{"auth", "algorithm", "none", false},
	{"auth", "algorithm", "PS256", false},
	{"auth", "key_file", "", false},
	{"auth", "leeway", "0", true},
	{"auth", "leeway", "-1", false},
	{"auth", "login", "external", true},
	{"auth", "login", "Local", false},
	{"auth", "token_lifetime", "0", false},
	{"directory", "backend", "ldap", false},
	{"directory", "driver", "", false},
	{"directory", "params", "", true},
	{"directory", "max_friends", "0", false},
	{"presence", "online_ttl", "0", false},
	{"presence", "grace", "0", true},
	{"presence", "heartbeat", "0", false},
	{"presence", "sweep", "0", false},
	{"presence", "visibility", "nobody", false},
	{"presence", "publish_broadcast", "no", true},
	{"presence", "publish_broadcast", "maybe", false},
	{"stream", "listen", "tcp:127.0.0.1:9000", true},
	{"stream", "listen", "", false},
	{"stream", "listen", "tcp::9000", false},
	{"stream", "listen", "/run/x.sock", false},
	{"stream", "mode", "0777", true},
	{"stream", "mode", "600", true},
	{"stream", "mode", "0888", false},
	{"stream", "mode", "01777", false},
	{"stream", "mode", "rw", false},
	{"stream", "queue_limit", "4095", false},
	{"stream", "padding", "262144", true},
	{"stream", "padding", "262145", false},
	{"stream", "padding", "-1", false},
	{"stream", "max_lifetime", "0", true},
	{"api", "listen", "unix:/run/a.sock", true},
	{"api", "listen", "9000", false},
	{"api", "children", "-1", false},
	{"api", "max_requests", "0", true},
	{"api", "max_requests", "2147483647", true},
	{"api", "max_requests", "2147483648", false},
	{"api", "body_limit", "0", false},
	{"cors", "allow_origins", "https://a.example, https://b.example:8443", true},
	{"cors", "allow_origins", "*", true},
	{"cors", "allow_origins", "http://[::1]:80,capacitor://localhost", false},
	{"cors", "allow_origins", "http://[::1]:8080,capacitor://localhost", true},
	{"cors", "allow_origins", "https://a.example/", false},
	{"cors", "allow_origins", "https://a.example, https://B.example", false},
	{"cors", "allow_origins", "https://a.example:443", false},
	{"cors", "allow_origins", "a.example", false},
	{"cors", "allow_origins", "https://", false},
	{"cors", "allow_origins", "https://*.example", false},
	{"cors", "allow_origins", "*, https://a.example", false},
	{"cors", "allow_origins", "null", false},
	{"log", "level", "debug", true},
	{"log", "level", "trace", false},
	{"log", "target", "syslog", true},
	{"log", "target", "/var/log/x", false},
};

/* In the file and in the environment alike, with the option's name in the error. */
START_TEST(test_values)
{
	const struct value_row *row = &value_rows[_i];
	char *text, name[64], variable[128];
	struct config *config;

	snprintf(name, sizeof name, "%s.%s", row->section, row->key);
	ck_assert(asprintf(&text, KEY "\n%s {\n\n%s = \"%s\"\n}\n", row->section, row->key,
			   row->value) > 0);
	if (row->good)
		config_free(load_good(text));
	else
		expect_error(text, 5, name);
	free(text);

	snprintf(variable, sizeof variable, "PRESENCE_%s_%s", row->section, row->key);
	for (char *c = variable; *c != '\0'; c++)
		*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
	setenv(variable, row->value, 1);
	config = load(KEY);
	ck_assert_msg((config != NULL) == row->good, "%s=%s: expected %s, seen '%s'", variable,
		      row->value, row->good ? "taken" : "refused", err);
	ck_assert_msg(row->good || strncmp(err, variable, strlen(variable)) == 0,
		      "expected '%s: …', seen '%s'", variable, err);
	config_free(config);
}
END_TEST

START_TEST(test_choices)
{
	static const char *const algorithms[] = {"HS256", "HS384", "HS512", "RS256", "RS384",
						 "RS512", "ES256", "ES384", "ES512"};
	static const char *const levels[] = {"error", "warn", "info", "debug"};
	struct config *config;
	char text[256];

	for (size_t i = 0; i < UNIT_COUNT(algorithms); i++) {
		snprintf(text, sizeof text, KEY "auth { algorithm = %s\nlogin = external }\n",
			 algorithms[i]);
		config = load_good(text);
		ck_assert_int_eq(config->auth.algorithm, (int)i);
		ck_assert_int_eq(config->auth.login, LOGIN_EXTERNAL);
		config_free(config);
	}
	for (size_t i = 0; i < UNIT_COUNT(levels); i++) {
		snprintf(text, sizeof text, KEY "log { level = %s\ntarget = syslog }\n", levels[i]);
		config = load_good(text);
		ck_assert_int_eq(config->log.level, (int)i);
		ck_assert_int_eq(config->log.target, 1);
		config_free(config);
	}
	config = load_good(KEY "auth { login = external }\ndirectory { backend = redis }\n"
			       "presence { visibility = friends\npublish_broadcast = no }\n");
	ck_assert_int_eq(config->directory.backend, DIRECTORY_REDIS);
	ck_assert_int_eq(config->presence.visibility, VISIBLE_TO_FRIENDS);
	ck_assert_int_eq(config->presence.publish_broadcast, 0);
	config_free(config);
}
END_TEST

START_TEST(test_environment_wins)
{
	struct config *config;

	setenv("PRESENCE_REDIS_URL", "redis://other:1/2", 1);
	setenv("PRESENCE_AUTH_KEY_FILE", "/from/env", 1);
	setenv("PRESENCE_STREAM_MAX_STREAMS_PER_USER", "3", 1);
	setenv("PRESENCE_STREAM_MODE", "0600", 1);
	setenv("PRESENCE_BOGUS", "ignored", 1);
	config = load_good(
		"redis { url = redis://file:6379 }\nstream { max_streams_per_user = 4 }\n");
	ck_assert_str_eq(config->redis.url, "redis://other:1/2");
	ck_assert_str_eq(config->auth.key_file, "/from/env");
	ck_assert_int_eq(config->stream.max_streams_per_user, 3);
	ck_assert_int_eq(config->stream.mode, 0600);
	config_free(config);
}
END_TEST

/* Long values, separators and comment signs inside quotes, escapes, several lines. */
START_TEST(test_long_and_odd_values)
{
	char query[4001], *text;
	struct config *config;

	for (size_t i = 0; i < sizeof query - 1; i++)
		query[i] = "SELECT id ; name # x // y {z} 'q' = %s "[i % 39];
	query[sizeof query - 1] = '\0';
	ck_assert(asprintf(&text, KEY "directory {\n account_query = \"%s\"\n}\n", query) > 0);
	config = load_good(text);
	ck_assert_str_eq(config->directory.account_query, query);
	config_free(config);
	free(text);

	config = load_good(KEY "directory {\n params = \"host=/run dbname='a' \\\"b\\\" c\\\\d\"\n"
			       " friends_query = \"SELECT id\n FROM t\n WHERE a = %s\" # why\n}\n");
	ck_assert_str_eq(config->directory.params, "host=/run dbname='a' \"b\" c\\d");
	ck_assert_str_eq(config->directory.friends_query, "SELECT id\n FROM t\n WHERE a = %s");
	config_free(config);

	/* Single quotes keep a dollar sign; double ones take in the environment. */
	setenv("UNIT_WORD", "word", 1);
	config = load_good(KEY "auth { issuer = '${UNIT_WORD}'\naudience = \"a-${UNIT_WORD}\" }\n");
	ck_assert_str_eq(config->auth.issuer, "${UNIT_WORD}");
	ck_assert_str_eq(config->auth.audience, "a-word");
	config_free(config);
}
END_TEST

START_TEST(test_layout)
{
	static const char *const rows[] = {
		"auth {\n\tkey_file = /k\n}\n",
		"auth { key_file = /k }",
		"auth{key_file=/k}",
		"\n\n# c\n// d\n/* e\n f */\nauth { # g\n key_file = /k // h\n /* i */ }\n# end",
		"auth {\r\n key_file = /k\r\n}\r\n",
		"auth { leeway = 1 }\nauth { key_file = /k }\n", /* a section in two pieces */
		"auth {\n key_file = /j\n key_file = /k\n}\n", /* the last one counts */
	};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct config *config = load_good(rows[i]);

		ck_assert_str_eq(config->auth.key_file, "/k");
		config_free(config);
	}
}
END_TEST

/* --- errors ------------------------------------------------------------------------------------*/

static const struct error_row {
	const char *text;
	int line;
	const char *sentence;
} error_rows[] = {
	{"", 1, "auth.key_file: a value is required"},
	{"redis {\n url = redis://h\n}\n", 3, "auth.key_file: a value is required"},
	{KEY "auth {\n bogus = 1\n}\n", 3, "bogus"},
	{KEY "\n\nbogus {\n a = 1\n}\n", 4, "bogus"},
	{"key_file = /k\n", 1, "key_file"},
	{KEY "auth {\n redis { url = 1 }\n}\n", 3, "redis"},
	{KEY "include(\"/etc/hostname\")\n", 2, "include"},
	{KEY "auth {\n key_file = {a, b}\n}\n", 3, "unexpected"},
	{KEY "auth {\n leeway += 5\n}\n", 3, "append"},
	{KEY "auth {\n leeway =\n}\n", 4, "unexpected"},
	{KEY "auth {\n leeway 5\n}\n", 3, "equal sign"},
	{KEY "auth = 5\n", 2, "brace"},
	{KEY "auth \"title\" {\n}\n", 2, "brace"},
	{KEY "}\n", 2, "brace"},
	{KEY "presence {\n grace = 1 2\n}\n", 3, "2"},
	{KEY "push {\n allow = a,b\n}\n", 3, "unexpected"},
	/* a file that ends too early */
	{"auth {\n key_file = /k\n", 2, "not closed"},
	{"auth {\n key_file = /k", 2, "not closed"},
	{KEY "\nredis {", 3, "not closed"},
	{KEY "\n/* open\n", 3, "not closed"},
	{KEY "auth {\n issuer = \"open\n}\n\n", 5, "premature"},
	{KEY "auth {\n issuer = 'open\n}\n", 4, "unterminated"},
	/* the first of several errors */
	{KEY "log {\n level = x\n}\nredis {\n url = y\n}\n", 3, "log.level"},
};

START_TEST(test_errors)
{
	expect_error(error_rows[_i].text, error_rows[_i].line, error_rows[_i].sentence);
}
END_TEST

static const struct cross_row {
	const char *text;
	const char *sentence; /* NULL: taken */
} cross_rows[] = {
	{KEY "redis { partitions = 8 }\n", NULL},
	{KEY "redis { partitions = 1024 }\n", NULL},
	{KEY "redis { partitions = 6 }\n", "power of two"},
	{KEY "redis { prefix = \"{a}\" }\n", NULL},
	{KEY "redis { partitions = 8\nprefix = \"{a}\" }\n", "redis.prefix"},
	{KEY "redis { url = \"redis://a redis://b\"\npartitions = 2 }\n", NULL},
	{KEY "redis { url = \"redis://a redis://b\" }\n", "number of servers"},
	{KEY "redis { url = \"redis://a redis://b redis://c\"\npartitions = 2 }\n",
	 "number of servers"},
	{KEY "presence { heartbeat = 45 }\n", NULL},
	{KEY "presence { heartbeat = 46 }\n", "stream_ttl"},
	{KEY "presence { stream_ttl = 59 }\n", "stream_ttl"},
	{KEY "presence { sweep = 30 }\n", NULL},
	{KEY "presence { sweep = 31 }\n", "sweep"},
	{KEY "auth { algorithm = RS256 }\n", "signing_key_file"},
	{KEY "auth { algorithm = ES512 }\n", "signing_key_file"},
	{KEY "auth { algorithm = RS256\nsigning_key_file = /s }\n", NULL},
	{KEY "auth { algorithm = RS256\nlogin = external }\n", NULL},
	{KEY "directory { backend = redis }\n", "auth.login"},
	{KEY "directory { backend = none }\n", "auth.login"},
	{KEY "directory { backend = none }\nauth { login = external }\n", NULL},
	{KEY "directory { backend = none }\nauth { login = external }\n"
	     "presence { visibility = friends }\n",
	 "visibility"},
};

START_TEST(test_cross_checks)
{
	const struct cross_row *row = &cross_rows[_i];
	int lines = 0;

	for (const char *c = row->text; *c != '\0'; c++)
		lines += *c == '\n';
	if (row->sentence == NULL)
		config_free(load_good(row->text));
	else
		expect_error(row->text, lines, row->sentence);
}
END_TEST

START_TEST(a_conflict_names_the_line_that_brought_it_about)
{
	expect_error(KEY "\npresence {\n stream_ttl = 100\n heartbeat = 60\n sweep = 2\n}\n\n", 5,
		     "stream_ttl");
	expect_error(KEY "auth {\n algorithm = RS256\n}\ndirectory {\n backend = none\n}\n"
			 "log {\n level = debug\n}\n",
		     3, "signing_key_file");
	expect_error(KEY "directory {\n backend = none\n}\nlog {\n level = debug\n}\n", 3,
		     "directory.backend");
}
END_TEST

static void expect_unreadable(const char *file, const char *sentence)
{
	struct config *config = config_load(file, err, sizeof err);

	ck_assert_msg(config == NULL && strncmp(err, file, strlen(file)) == 0 &&
			      strstr(err, sentence) != NULL,
		      "expected '%s:…%s', seen '%s'", file, sentence, err);
}

START_TEST(test_unreadable_files)
{
	char *directory = unit_path("."), *big = malloc(2 << 20);

	expect_unreadable(path, "No such file");
	expect_unreadable(directory, "Is a directory");
	ck_assert_ptr_null(load_bytes(KEY "log {\n level = \"in\0fo\"\n}\n", 44));
	ck_assert_msg(strstr(err, ":3: ") != NULL && strstr(err, "NUL") != NULL, "seen '%s'", err);
	memset(big, '\n', 2 << 20);
	ck_assert_ptr_null(load_bytes(big, 2 << 20));
	ck_assert_msg(strstr(err, "1 MiB") != NULL, "seen '%s'", err);
	free(big);
	free(directory);
}
END_TEST

/* A reload parses into a new configuration: an error leaves nothing behind for the next one. */
START_TEST(test_load_again)
{
	struct config *first = load_good(KEY "auth { leeway = 5 }\n"), *second;

	expect_error("bogus {\n}\n", 1, "bogus");
	second = load_good(KEY);
	ck_assert_int_eq(first->auth.leeway, 5);
	ck_assert_int_eq(second->auth.leeway, 30);
	config_free(first);
	config_free(second);
}
END_TEST

START_TEST(test_reload)
{
	static const char *const fixed[] = {CONFIG_FIXED_REDIS, "stream.listen", NULL};
	struct config *live = load_good(KEY "auth { leeway = 5\nissuer = a }\n"
					    "redis { url = 'redis://a:b@h/1'\nprefix = 'a:' }\n"),
		      *address = live;

	config_reload(live,
		      load_good("auth { key_file = /k2\nissuer = b }\n"
				"redis { url = 'redis://a:b@h/2'\nprefix = 'b:'\n"
				"partitions = 2\ntimeout_ms = 99 }\n"
				"stream { listen = unix:/x\nmode = 0600 }\n"),
		      fixed);
	ck_assert_ptr_eq(live, address);
	ck_assert_str_eq(live->auth.key_file, "/k2");
	ck_assert_str_eq(live->auth.issuer, "b");
	ck_assert_int_eq(live->auth.leeway, 30);
	ck_assert_int_eq(live->stream.mode, 0600);
	/* what takes a restart */
	ck_assert_str_eq(live->redis.url, "redis://a:b@h/1");
	ck_assert_str_eq(live->redis.prefix, "a:");
	ck_assert_int_eq(live->redis.partitions, 1);
	ck_assert_int_eq(live->redis.timeout_ms, 99);
	ck_assert_str_eq(live->stream.listen, "unix:/run/presence/stream.sock");
	/* Of the URL, what is no place. */
	config_reload(live, load_good(KEY "redis { url = 'redis://c:d@h/1'\nprefix = 'a:' }\n"),
		      fixed);
	ck_assert_str_eq(live->redis.url, "redis://c:d@h/1");
	config_free(live);
}
END_TEST

START_TEST(test_keep)
{
	static const char *const fixed[] = {CONFIG_FIXED_REDIS, NULL};
	struct config *live = load_good(KEY "redis { prefix = 'a:' }\n"),
		      *fresh = load_good(KEY "redis { url = 'redis://h'\nprefix = 'b:'\n"
					     "timeout_ms = 99 }\n");

	config_keep(live, fresh, fixed);
	ck_assert_str_eq(fresh->redis.url, live->redis.url);
	ck_assert_str_eq(fresh->redis.prefix, "a:");
	ck_assert_int_eq(fresh->redis.timeout_ms, 99);
	ck_assert_int_eq(live->redis.timeout_ms, 1000);
	config_free(fresh);
	config_free(live);
}
END_TEST

START_TEST(test_default_file)
{
	ck_assert_msg(strstr(config_default_file(), "/presence/presence.conf") != NULL, "seen %s",
		      config_default_file());
	setenv("PRESENCE_CONFIG", "/x/y.conf", 1);
	ck_assert_str_eq(config_default_file(), "/x/y.conf");
	setenv("PRESENCE_CONFIG", "", 1);
	ck_assert_msg(strstr(config_default_file(), "/presence/presence.conf") != NULL, "seen %s",
		      config_default_file());
}
END_TEST

static Suite *config_suite(void)
{
	Suite *suite = suite_create("config");
	TCase *tcase = tcase_create("config");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_option_table);
	tcase_add_test(tcase, test_defaults);
	tcase_add_test(tcase, test_defaults_written_out);
	tcase_add_loop_test(tcase, test_values, 0, UNIT_COUNT(value_rows));
	tcase_add_test(tcase, test_choices);
	tcase_add_test(tcase, test_environment_wins);
	tcase_add_test(tcase, test_long_and_odd_values);
	tcase_add_test(tcase, test_layout);
	tcase_add_loop_test(tcase, test_errors, 0, UNIT_COUNT(error_rows));
	tcase_add_test(tcase, a_conflict_names_the_line_that_brought_it_about);
	tcase_add_loop_test(tcase, test_cross_checks, 0, UNIT_COUNT(cross_rows));
	tcase_add_test(tcase, test_unreadable_files);
	tcase_add_test(tcase, test_load_again);
	tcase_add_test(tcase, test_reload);
	tcase_add_test(tcase, test_keep);
	tcase_add_test(tcase, test_default_file);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(config_suite());
}
