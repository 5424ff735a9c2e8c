#include "stream/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"

static char *make_name(const struct target *target)
{
	struct printbuf *name = buf_new();

	buf_puts(name, "redis");
	if (target->member != NULL ||
	    (target->url.kind == REDIS_SERVERS && target->url.count > 1)) {
		buf_puts(name, " ");
		redis_url_put_node(name, target_address(target));
	}
	return buf_take(name, NULL);
}

void target_init(struct target *target, const struct config *config, const struct link_place *place)
{
	memset(target, 0, sizeof *target);
	redis_url_parse(config->redis.url, &target->url);
	if (target->url.kind == REDIS_SENTINEL)
		target->sentinel = sentinel_new(config, &target->url);
	target->member = place->member;
	target->server = place->server;
	if (place->prefix != NULL)
		target->prefix = xstrdup(place->prefix);
	target->name = make_name(target);
}

void target_clear(struct target *target)
{
	sentinel_free(target->sentinel);
	redis_url_free(&target->url);
	free(target->prefix);
	free(target->name);
}

void target_take_login(struct target *target, const struct config *config)
{
	redis_url_take_logins(&target->url, config->redis.url);
	if (target->sentinel != NULL)
		sentinel_take_login(target->sentinel);
}

const struct redis_address *target_address(const struct target *target)
{
	if (target->member != NULL)
		return target->member;
	return target->sentinel != NULL ? sentinel_primary(target->sentinel)
					: &target->url.nodes[target->server];
}

void target_log_connected(const struct target *target)
{
	struct printbuf *place = buf_new();

	if (target->sentinel != NULL) {
		buf_puts(place, " to ");
		redis_url_put_node(place, target_address(target));
	}
	log_info("%s: connected%s", target->name, place->buf);
	printbuf_free(place);
}
