#include "store/sentinel.h"

#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/random.h"
#include "store/resp.h"

#define HOST_MAX 255 /* RFC 1035 section 2.3.4 */

struct sentinel {
	const struct redis_url *url;
	struct search *search;
	size_t first; /* who is asked first the next time */
	struct redis_address primary; /* the host is ours, all else the URL's */
};

static unsigned put_question(void *arg, struct printbuf *out)
{
	const struct sentinel *sentinel = arg;

	resp_begin(out, 3);
	resp_text(out, "SENTINEL");
	resp_text(out, "get-master-addr-by-name");
	resp_text(out, sentinel->url->name);
	return 1;
}

static bool is_text(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING && strlen(reply->str) == reply->len;
}

bool sentinel_read(const redisReply *reply, char **host, int *port)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    !is_text(reply->element[0]) || !is_text(reply->element[1]) ||
	    reply->element[0]->len == 0 || reply->element[0]->len > HOST_MAX ||
	    !address_parse_number(reply->element[1]->str, 65535, port) || *port == 0)
		return false;
	*host = xstrdup(reply->element[0]->str);
	return true;
}

static bool read_answer(void *arg, const struct redis_address *asked, const redisReply *reply)
{
	struct sentinel *sentinel = arg;
	char *host;

	(void)asked;
	if (!sentinel_read(reply, &host, &sentinel->primary.port))
		return false;
	free(sentinel->primary.host);
	sentinel->primary.host = host;
	return true;
}

struct sentinel *sentinel_new(const struct config *config, const struct redis_url *url)
{
	static const struct search_question question = {
		.who = "Sentinel",
		.put = put_question,
		.read = read_answer,
		.useless = "it knows no primary of this name",
	};
	struct sentinel *sentinel = xcalloc(1, sizeof *sentinel);

	sentinel->url = url;
	sentinel->search = search_new(config, &question, sentinel);
	sentinel->first = random_below((unsigned)url->count);
	sentinel->primary = url->primary;
	return sentinel;
}

void sentinel_free(struct sentinel *sentinel)
{
	if (sentinel == NULL)
		return;
	search_free(sentinel->search);
	free(sentinel->primary.host);
	free(sentinel);
}

void sentinel_take_login(struct sentinel *sentinel)
{
	sentinel->primary.user = sentinel->url->primary.user;
	sentinel->primary.password = sentinel->url->primary.password;
}

struct search *sentinel_search(struct sentinel *sentinel)
{
	const struct redis_url *url = sentinel->url;

	search_stop(sentinel->search);
	for (size_t i = 0; i < url->count; i++)
		search_add(sentinel->search, &url->nodes[(sentinel->first + i) % url->count]);
	if (++sentinel->first >= url->count)
		sentinel->first = 0;
	return sentinel->search;
}

const struct redis_address *sentinel_primary(const struct sentinel *sentinel)
{
	return &sentinel->primary;
}
