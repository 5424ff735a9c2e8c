/*
 * Properties of what a cluster's nodes answer, over any reply (RESP2): a map whose every slot has a node
 * that it names, at a place that can be connected to; a redirection to a slot and a place; or neither.
 */
#include "replies.h"

#include "store/cluster.h"
#include "store/info.h"
#include "store/kin.h"
#include "store/sentinel.h"

static void check_place(const struct cluster_place *place)
{
	REQUIRE(place->port > 0 && place->port < 65536);
	REQUIRE(strlen(place->host) <= CLUSTER_HOST_MAX);
	REQUIRE(strpbrk(place->host, " \t\r\n") == NULL);
}

static void check_map(const redisReply *reply, bool tls)
{
	struct cluster_map map;

	if (!cluster_read_map(reply, tls, &map)) {
		REQUIRE(map.nodes == NULL && map.count == 0);
		return;
	}
	REQUIRE(map.count > 0 && map.count <= CLUSTER_NODES_MAX);
	for (size_t i = 0; i < map.count; i++)
		check_place(&map.nodes[i]);
	for (size_t slot = 0; slot < LAYOUT_SLOTS; slot++)
		REQUIRE(map.owner[slot] >= -1 && map.owner[slot] < (int)map.count);
	cluster_map_clear(&map);
}

static void check_others(const redisReply *reply)
{
	struct replication replication;
	char *host;
	int port;

	if (info_read_replication(reply, &replication))
		REQUIRE(replication.id[0] != '\0' && strlen(replication.id) < INFO_VALUE_SIZE);
	if (sentinel_read(reply, &host, &port)) {
		REQUIRE(host[0] != '\0' && port > 0 && port < 65536);
		free(host);
	}
}

static void check_reply(redisReply *reply)
{
	struct cluster_redirect redirect;
	enum cluster_error error = cluster_read_error(reply, &redirect);

	if (error == CLUSTER_MOVED || error == CLUSTER_ASK) {
		REQUIRE(redirect.slot < LAYOUT_SLOTS);
		check_place(&redirect.place);
	}
	if (reply->type == REDIS_REPLY_STRING)
		REQUIRE(cluster_slot(reply->str, reply->len) < LAYOUT_SLOTS);
	check_map(reply, false);
	check_map(reply, true);
	check_others(reply);
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements >= 2 &&
	    reply->element[0]->type == REDIS_REPLY_ARRAY &&
	    reply->element[1]->type == REDIS_REPLY_ARRAY)
		REQUIRE(kin_have_common(reply->element[0], reply->element[1]) ==
			kin_have_common(reply->element[1], reply->element[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	replies_each(data, size, check_reply);
	return 0;
}
