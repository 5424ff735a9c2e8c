/*
 * Properties of redis.url over any bytes: a sentence, or nodes that a connection can be made to; the
 * place that is told holds no password.
 */
#include "fuzz.h"

#include <string.h>

#include "base/alloc.h"
#include "base/redis_url.h"

static void check_node(const struct redis_address *node)
{
	REQUIRE((node->host != NULL) != (node->path != NULL));
	REQUIRE(node->path != NULL || (node->port > 0 && node->port < 65536));
	REQUIRE(node->path == NULL || !node->tls);
	REQUIRE(node->db >= 0);
	REQUIRE(node->user == NULL || node->password != NULL);
}

static void check_url(const struct redis_url *url)
{
	struct printbuf *place = buf_new();

	REQUIRE(url->count > 0 && url->count <= REDIS_URL_NODES_MAX);
	for (size_t i = 0; i < url->count; i++)
		check_node(&url->nodes[i]);
	REQUIRE((url->kind == REDIS_SENTINEL) == (url->name != NULL));
	REQUIRE(url->kind != REDIS_CLUSTER || url->nodes[0].db == 0);
	redis_url_put(place, url);
	REQUIRE(strlen(place->buf) == buf_len(place));
	printbuf_free(place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct redis_url url;
	const char *why = redis_url_parse(text, &url);

	if (why == NULL)
		check_url(&url);
	else
		REQUIRE(url.nodes == NULL && strlen(why) > 10);
	redis_url_free(&url);
	free(text);
	return 0;
}
