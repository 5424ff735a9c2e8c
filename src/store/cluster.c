#include "store/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/alloc.h"
#include "store/resp.h"

unsigned cluster_slot(const char *key, size_t len)
{
	const char *open = memchr(key, '{', len), *close;

	if (open != NULL) {
		open++;
		close = memchr(open, '}', len - (size_t)(open - key));
		if (close != NULL && close > open) {
			key = open;
			len = (size_t)(close - open);
		}
	}
	return layout_crc16(key, len) % LAYOUT_SLOTS;
}

/* --- places ---------------------------------------------------------------------------------- */

static bool set_host(struct cluster_place *place, const char *host, size_t len)
{
	if (len > CLUSTER_HOST_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (host[i] <= ' ' || host[i] > '~')
			return false;
	}
	memcpy(place->host, host, len);
	place->host[len] = '\0';
	return true;
}

/* "host:port", where an IPv6 address stands without brackets and the host may be missing. */
static bool parse_place(const char *text, struct cluster_place *place)
{
	const char *colon = strrchr(text, ':');

	return colon != NULL && set_host(place, text, (size_t)(colon - text)) &&
	       address_parse_number(colon + 1, 65535, &place->port) && place->port > 0;
}

/* --- errors ---------------------------------------------------------------------------------- */

/* What follows an error's code, "" at least; NULL: it is another one. */
static const char *after_code(const char *text, const char *code)
{
	size_t len = strlen(code);

	if (strncmp(text, code, len) != 0 || (text[len] != ' ' && text[len] != '\0'))
		return NULL;
	return text + len + (text[len] == ' ');
}

/* What follows "MOVED ": a slot and a place. */
static bool parse_redirect(const char *text, struct cluster_redirect *redirect)
{
	const char *blank = strchr(text, ' ');
	char digits[6];
	int slot;

	if (blank == NULL || (size_t)(blank - text) >= sizeof digits)
		return false;
	memcpy(digits, text, (size_t)(blank - text));
	digits[blank - text] = '\0';
	if (!address_parse_number(digits, LAYOUT_SLOTS - 1, &slot))
		return false;
	redirect->slot = (unsigned)slot;
	return parse_place(blank + 1, &redirect->place);
}

enum cluster_error cluster_read_error(const redisReply *reply, struct cluster_redirect *redirect)
{
	const char *rest;

	if (reply->type != REDIS_REPLY_ERROR)
		return CLUSTER_NO_ERROR;
	rest = after_code(reply->str, "MOVED");
	if (rest != NULL)
		return parse_redirect(rest, redirect) ? CLUSTER_MOVED : CLUSTER_DOWN;
	rest = after_code(reply->str, "ASK");
	if (rest != NULL)
		return parse_redirect(rest, redirect) ? CLUSTER_ASK : CLUSTER_DOWN;
	/* A script hears nothing else of a key that is on its way. */
	if (after_code(reply->str, "TRYAGAIN") != NULL ||
	    strstr(reply->str, "non local key") != NULL)
		return CLUSTER_TRYAGAIN;
	return after_code(reply->str, "CLUSTERDOWN") != NULL ? CLUSTER_DOWN : CLUSTER_NO_ERROR;
}

/* --- the map --------------------------------------------------------------------------------- */

void cluster_put_map(struct printbuf *out)
{
	resp_begin(out, 2);
	resp_text(out, "CLUSTER");
	resp_text(out, "SHARDS");
	resp_begin(out, 2);
	resp_text(out, "CLUSTER");
	resp_text(out, "SLOTS");
}

void cluster_map_clear(struct cluster_map *map)
{
	free(map->nodes);
	memset(map, 0, sizeof *map);
}

/* The number of that node; -1: there are too many. */
static int number_of(struct cluster_map *map, const struct cluster_place *place)
{
	for (size_t i = 0; i < map->count; i++) {
		if (map->nodes[i].port == place->port &&
		    strcmp(map->nodes[i].host, place->host) == 0)
			return (int)i;
	}
	if (map->count == CLUSTER_NODES_MAX)
		return -1;
	map->nodes = xrealloc(map->nodes, (map->count + 1) * sizeof *map->nodes);
	map->nodes[map->count] = *place;
	return (int)map->count++;
}

static bool set_slots(struct cluster_map *map, const redisReply *first, const redisReply *last,
		      int node)
{
	if (first->type != REDIS_REPLY_INTEGER || last->type != REDIS_REPLY_INTEGER ||
	    first->integer < 0 || first->integer > last->integer || last->integer >= LAYOUT_SLOTS ||
	    node < 0)
		return false;
	for (long long slot = first->integer; slot <= last->integer; slot++)
		map->owner[slot] = (int16_t)node;
	return true;
}

/* NULL is nothing. */
static bool is_text(const redisReply *reply, const char *text)
{
	return reply != NULL && reply->type == REDIS_REPLY_STRING && strcmp(reply->str, text) == 0;
}

/* The value of a name in an array of names and values, or NULL. */
static const redisReply *member(const redisReply *pairs, const char *name)
{
	for (size_t i = 0; pairs->type == REDIS_REPLY_ARRAY && i + 1 < pairs->elements; i += 2) {
		if (is_text(pairs->element[i], name))
			return pairs->element[i + 1];
	}
	return NULL;
}

/*
 * An endpoint as a node tells it: nothing is the host that was asked, "?" that it
 * has no name; then it is the address, if that is told.
 */
static bool read_host(const redisReply *endpoint, const redisReply *address,
		      struct cluster_place *place)
{
	if (is_text(endpoint, "?"))
		endpoint = address;
	if (endpoint == NULL || endpoint->type == REDIS_REPLY_NIL)
		return set_host(place, "", 0);
	return endpoint->type == REDIS_REPLY_STRING &&
	       set_host(place, endpoint->str, endpoint->len);
}

static bool read_port(const redisReply *port, struct cluster_place *place)
{
	if (port == NULL || port->type != REDIS_REPLY_INTEGER || port->integer < 1 ||
	    port->integer > 65535)
		return false;
	place->port = (int)port->integer;
	return true;
}

/* CLUSTER SHARDS: the node among a shard's that has its slots. */
static bool read_primary(const redisReply *nodes, bool tls, struct cluster_place *place)
{
	const redisReply *primary = NULL;

	for (size_t i = 0; nodes->type == REDIS_REPLY_ARRAY && i < nodes->elements; i++) {
		const redisReply *role = member(nodes->element[i], "role");

		/* After a failover the former one may still stand there as failed. */
		if (is_text(role, "master") &&
		    (primary == NULL || !is_text(member(primary, "health"), "online")))
			primary = nodes->element[i];
	}
	return primary != NULL && read_port(member(primary, tls ? "tls-port" : "port"), place) &&
	       read_host(member(primary, "endpoint"), member(primary, "ip"), place);
}

static bool read_shard(struct cluster_map *map, const redisReply *shard, bool tls)
{
	const redisReply *slots = member(shard, "slots"), *nodes = member(shard, "nodes");
	struct cluster_place place;
	int node;

	if (slots == NULL || slots->type != REDIS_REPLY_ARRAY || nodes == NULL)
		return false;
	if (slots->elements == 0)
		return true;
	if (!read_primary(nodes, tls, &place))
		return false;
	node = number_of(map, &place);
	for (size_t i = 0; i + 1 < slots->elements; i += 2) {
		if (!set_slots(map, slots->element[i], slots->element[i + 1], node))
			return false;
	}
	return true;
}

/* CLUSTER SLOTS: first slot, last slot, the primary, its replicas. */
static bool read_range(struct cluster_map *map, const redisReply *range)
{
	const redisReply *primary = range->element[2], *more;
	struct cluster_place place;

	if (primary->type != REDIS_REPLY_ARRAY || primary->elements < 2)
		return false;
	more = primary->elements > 3 ? primary->element[3] : NULL;
	return read_port(primary->element[1], &place) &&
	       read_host(primary->element[0], more != NULL ? member(more, "ip") : NULL, &place) &&
	       set_slots(map, range->element[0], range->element[1], number_of(map, &place));
}

bool cluster_read_map(const redisReply *reply, bool tls, struct cluster_map *map)
{
	bool ok = reply->type == REDIS_REPLY_ARRAY;

	memset(map, 0, sizeof *map);
	memset(map->owner, -1, sizeof map->owner);
	for (size_t i = 0; ok && i < reply->elements; i++) {
		const redisReply *element = reply->element[i];

		ok = element->type == REDIS_REPLY_ARRAY;
		if (ok && element->elements >= 3 &&
		    element->element[0]->type == REDIS_REPLY_INTEGER)
			ok = read_range(map, element);
		else if (ok)
			ok = read_shard(map, element, tls);
	}
	if (ok && map->count > 0)
		return true;
	cluster_map_clear(map);
	return false;
}

unsigned cluster_uncovered(const struct cluster_map *map)
{
	unsigned uncovered = 0;

	for (size_t slot = 0; slot < LAYOUT_SLOTS; slot++)
		uncovered += map->owner[slot] < 0;
	return uncovered;
}
