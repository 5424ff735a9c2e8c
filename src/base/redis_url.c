#include "base/redis_url.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/address.h"
#include "base/alloc.h"
#include "base/cgi.h"

#define BLANKS " \t\r\n"
#define REDIS_PORT 6379
#define SENTINEL_PORT 26379
#define DB_MAX 1000000

#define NO_HOST "the Redis URL has no host, or not host:port"
#define NO_DB "the Redis URL's database is not a number"
#define NO_CREDENTIALS "the Redis URL's user and password are not user:password@"

/* Reads what follows "scheme://" into *url, in place; returns what is wrong, or NULL. */
typedef const char *parse_rest(char *rest, bool tls, struct redis_url *url);
static parse_rest parse_tcp, parse_unix, parse_sentinel, parse_cluster;

static const struct scheme {
	const char *name;
	parse_rest *parse;
	bool tls;
	bool stands_alone;
} schemes[] = {
	{"redis://", parse_tcp, false, false},
	{"rediss://", parse_tcp, true, false},
	{"unix://", parse_unix, false, false},
	{"sentinel://", parse_sentinel, false, true},
	{"sentinel+rediss://", parse_sentinel, true, true},
	{"cluster://", parse_cluster, false, true},
	{"cluster+rediss://", parse_cluster, true, true},
};

/* Takes "user:password@" off the front of *rest. */
static bool take_credentials(char **rest, struct redis_address *address)
{
	char *at = strchr(*rest, '@'), *colon;

	if (at == NULL || **rest == '/') /* unix:///path@here has none */
		return true;
	*at = '\0';
	colon = strchr(*rest, ':');
	if (colon != NULL)
		*colon++ = '\0';
	/* redis://:secret@host has a password alone; "user@host" has no password to send. */
	if (colon == NULL || *colon == '\0')
		return false;
	if (**rest != '\0')
		address->user = xstrdup(*rest);
	address->password = xstrdup(colon);
	*rest = at + 1;
	return (address->user == NULL || cgi_decode(address->user)) &&
	       cgi_decode(address->password);
}

/* One more node, all zero. */
static struct redis_address *add_node(struct redis_url *url)
{
	url->nodes = xrealloc(url->nodes, (url->count + 1) * sizeof *url->nodes);
	memset(&url->nodes[url->count], 0, sizeof *url->nodes);
	return &url->nodes[url->count++];
}

static const char *parse_host(char *text, int port, struct redis_address *node)
{
	char *host, *digits;

	if (!address_split(text, &host, &digits) || strpbrk(host, BLANKS ",?#") != NULL)
		return NO_HOST;
	node->host = xstrdup(host);
	node->port = port;
	if (digits != NULL &&
	    (!address_parse_number(digits, 65535, &node->port) || node->port == 0))
		return "the Redis URL's port is not a number from 1 to 65535";
	return NULL;
}

static const char *parse_tcp(char *rest, bool tls, struct redis_url *url)
{
	struct redis_address *node = add_node(url);
	const char *why;
	char *slash;

	node->tls = tls;
	if (!take_credentials(&rest, node))
		return NO_CREDENTIALS;
	slash = strchr(rest, '/');
	if (slash != NULL)
		*slash++ = '\0';
	why = parse_host(rest, REDIS_PORT, node);
	if (why == NULL && slash != NULL && *slash != '\0' &&
	    !address_parse_number(slash, DB_MAX, &node->db))
		why = NO_DB;
	return why;
}

static const char *parse_unix(char *rest, bool tls, struct redis_url *url)
{
	struct redis_address *node = add_node(url);
	char *query;

	node->tls = tls;
	if (!take_credentials(&rest, node))
		return NO_CREDENTIALS;
	query = strchr(rest, '?');
	if (query != NULL) {
		*query++ = '\0';
		if (strncmp(query, "db=", 3) != 0 ||
		    !address_parse_number(query + 3, DB_MAX, &node->db))
			return "a unix:// Redis URL takes ?db=NUMBER and nothing else";
	}
	if (*rest != '/')
		return "a unix:// Redis URL needs an absolute path";
	if (strlen(rest) >= sizeof((struct sockaddr_un *)0)->sun_path)
		return "the path of the Redis socket is too long";
	node->path = xstrdup(rest);
	return NULL;
}

/* "host:port,host:port", all of them with the same user and password. */
static const char *parse_hosts(char *rest, int port, const struct redis_address *common,
			       struct redis_url *url)
{
	const char *why = NULL;
	char *text;

	while (why == NULL && (text = strsep(&rest, ",")) != NULL) {
		struct redis_address *node = add_node(url);

		node->tls = common->tls;
		node->user = common->user != NULL ? xstrdup(common->user) : NULL;
		node->password = common->password != NULL ? xstrdup(common->password) : NULL;
		why = parse_host(text, port, node);
	}
	return why;
}

static const char *parse_cluster(char *rest, bool tls, struct redis_url *url)
{
	struct redis_address common = {.tls = tls};
	char *slash;
	const char *why = NO_CREDENTIALS;

	url->kind = REDIS_CLUSTER;
	if (take_credentials(&rest, &common)) {
		slash = strchr(rest, '/');
		if (slash != NULL)
			*slash++ = '\0';
		if (slash != NULL && *slash != '\0' && strcmp(slash, "0") != 0)
			why = "a Redis Cluster has database 0 alone, and cluster:// nothing "
			      "after its hosts";
		else
			why = parse_hosts(rest, REDIS_PORT, &common, url);
	}
	free(common.user);
	free(common.password);
	return why;
}

/* "db=N&sentinel_password=…", each at most once. */
static bool parse_sentinel_query(char *query, struct redis_address *primary, char **password)
{
	bool has_db = false;
	char *part;

	while ((part = strsep(&query, "&")) != NULL) {
		if (strncmp(part, "db=", 3) == 0 && !has_db) {
			has_db = true;
			if (!address_parse_number(part + 3, DB_MAX, &primary->db))
				return false;
		} else if (strncmp(part, "sentinel_password=", 18) == 0 && *password == NULL) {
			*password = xstrdup(part + 18);
			if (!cgi_decode(*password) || **password == '\0')
				return false;
		} else {
			return false;
		}
	}
	return true;
}

static const char *parse_sentinel(char *rest, bool tls, struct redis_url *url)
{
	struct redis_address sentinel = {.tls = tls};
	char *query = strchr(rest, '?'), *name;
	const char *why;

	url->kind = REDIS_SENTINEL;
	url->primary.tls = tls;
	if (query != NULL)
		*query++ = '\0';
	if (!take_credentials(&rest, &url->primary))
		return NO_CREDENTIALS;
	name = strchr(rest, '/');
	if (name != NULL) {
		*name++ = '\0';
		url->name = xstrdup(name);
	}
	if (name == NULL || *name == '\0' || !cgi_decode(url->name) ||
	    strpbrk(url->name, "/" BLANKS) != NULL)
		return "a sentinel:// URL ends with the primary's name: "
		       "sentinel://host:port,…/NAME";
	if (query != NULL && !parse_sentinel_query(query, &url->primary, &sentinel.password))
		why = "a sentinel:// URL takes ?db=NUMBER&sentinel_password=PASSWORD and nothing "
		      "else";
	else
		why = parse_hosts(rest, SENTINEL_PORT, &sentinel, url);
	free(sentinel.password);
	return why;
}

/* `before`: how many have been parsed. What stands alone is not parsed into what they filled. */
static const char *parse_one(char *text, size_t before, struct redis_url *url, bool *stands_alone)
{
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
		size_t len = strlen(schemes[i].name);

		if (strncmp(text, schemes[i].name, len) != 0)
			continue;
		*stands_alone = *stands_alone || schemes[i].stands_alone;
		if (before > 0 && *stands_alone)
			return "only redis://, rediss:// and unix:// can be several";
		return schemes[i].parse(text + len, schemes[i].tls, url);
	}
	return "a Redis URL starts with redis://, rediss://, unix://, sentinel:// or cluster://";
}

static bool is_same_place(const struct redis_address *a, const struct redis_address *b)
{
	if (a->path != NULL || b->path != NULL)
		return a->path != NULL && b->path != NULL && strcmp(a->path, b->path) == 0;
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static const char *check_nodes(const struct redis_url *url)
{
	if (url->count > REDIS_URL_NODES_MAX)
		return "the Redis URL names more than 1024 servers";
	for (size_t i = 0; i < url->count; i++) {
		for (size_t j = 0; j < i; j++) {
			if (is_same_place(&url->nodes[i], &url->nodes[j]))
				return "the Redis URL names the same server twice";
		}
	}
	return NULL;
}

const char *redis_url_parse(const char *text, struct redis_url *url)
{
	char *copy = xstrdup(text), *rest = copy, *one;
	bool stands_alone = false;
	const char *why = NULL;
	size_t parsed = 0;

	memset(url, 0, sizeof *url);
	while (why == NULL && (one = strsep(&rest, BLANKS)) != NULL) {
		if (*one == '\0')
			continue;
		why = parse_one(one, parsed++, url, &stands_alone);
	}
	if (why == NULL && parsed == 0)
		why = "the Redis URL is empty";
	if (why == NULL)
		why = check_nodes(url);
	free(copy);
	if (why != NULL)
		redis_url_free(url);
	return why;
}

static void clear_node(struct redis_address *node)
{
	free(node->host);
	free(node->path);
	free(node->user);
	free(node->password);
}

void redis_url_free(struct redis_url *url)
{
	for (size_t i = 0; i < url->count; i++)
		clear_node(&url->nodes[i]);
	clear_node(&url->primary);
	free(url->nodes);
	free(url->name);
	memset(url, 0, sizeof *url);
}

/* --- logins ---------------------------------------------------------------------------------- */

static bool is_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* But for the user and the password. */
static bool is_same_node(const struct redis_address *a, const struct redis_address *b)
{
	return is_same_text(a->host, b->host) && is_same_text(a->path, b->path) &&
	       a->port == b->port && a->tls == b->tls && a->db == b->db;
}

bool redis_url_is_alike(const char *one, const char *other)
{
	struct redis_url a, b;
	bool is_alike;

	redis_url_parse(one, &a);
	redis_url_parse(other, &b);
	is_alike = a.kind == b.kind && a.count == b.count && is_same_text(a.name, b.name) &&
		   is_same_node(&a.primary, &b.primary);
	for (size_t i = 0; is_alike && i < a.count; i++)
		is_alike = is_same_node(&a.nodes[i], &b.nodes[i]);
	redis_url_free(&a);
	redis_url_free(&b);
	return is_alike;
}

static void swap_logins(struct redis_address *a, struct redis_address *b)
{
	char *user = a->user, *password = a->password;

	a->user = b->user;
	a->password = b->password;
	b->user = user;
	b->password = password;
}

void redis_url_take_logins(struct redis_url *url, const char *other)
{
	struct redis_url fresh;

	redis_url_parse(other, &fresh);
	for (size_t i = 0; i < url->count; i++)
		swap_logins(&url->nodes[i], &fresh.nodes[i]);
	swap_logins(&url->primary, &fresh.primary);
	redis_url_free(&fresh);
}

/* --- for the reader -------------------------------------------------------------------------- */

void redis_url_put_node(struct printbuf *out, const struct redis_address *address)
{
	bool v6 = address->host != NULL && strchr(address->host, ':') != NULL;

	if (address->path != NULL)
		buf_puts(out, address->path);
	else
		buf_putf(out, v6 ? "[%s]:%d" : "%s:%d", address->host, address->port);
}

void redis_url_put(struct printbuf *out, const struct redis_url *url)
{
	for (size_t i = 0; i < url->count; i++) {
		if (i > 0)
			buf_puts(out, url->kind == REDIS_SERVERS ? " " : ",");
		redis_url_put_node(out, &url->nodes[i]);
	}
	if (url->name != NULL)
		buf_putf(out, "/%s", url->name);
}
