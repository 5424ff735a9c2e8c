#include "store/members.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "base/times.h"

struct members {
	const struct redis_url *url;
	struct redis_address *
		*list; /* the first url->count as the URL has them; the hosts are ours */
	size_t count;
	int16_t owner[LAYOUT_SLOTS];
	struct search *search;
	int64_t asked_ms; /* for the map, monotonic; 0 = never */
};

/* --- who they are ---------------------------------------------------------------------------- */

size_t members_count(const struct members *members)
{
	return members->count;
}

const struct redis_address *members_at(const struct members *members, size_t number)
{
	return members->list[number];
}

int members_owner(const struct members *members, unsigned slot)
{
	return members->owner[slot];
}

unsigned members_uncovered(const struct members *members)
{
	unsigned uncovered = 0;

	for (size_t slot = 0; slot < LAYOUT_SLOTS; slot++)
		uncovered += members->owner[slot] < 0;
	return uncovered;
}

void members_take_login(struct members *members)
{
	for (size_t i = 0; i < members->count; i++) {
		members->list[i]->user = members->url->nodes[0].user;
		members->list[i]->password = members->url->nodes[0].password;
	}
}

static int add(struct members *members, const char *host, int port)
{
	struct redis_address *address;

	if (members->count == CLUSTER_NODES_MAX)
		return -1;
	address = xmalloc(sizeof *address);
	*address = members->url->nodes[0]; /* user, password and TLS are everybody's */
	address->host = xstrdup(host);
	address->port = port;
	members->list = xrealloc(members->list, (members->count + 1) * sizeof *members->list);
	members->list[members->count] = address;
	return (int)members->count++;
}

static int find(struct members *members, const struct redis_address *teller,
		const struct cluster_place *place)
{
	const char *host = place->host[0] != '\0' ? place->host : teller->host;

	for (size_t i = 0; i < members->count; i++) {
		if (members->list[i]->port == place->port &&
		    strcmp(members->list[i]->host, host) == 0)
			return (int)i;
	}
	return add(members, host, place->port);
}

int members_find(struct members *members, size_t teller, const struct cluster_place *place)
{
	return find(members, members->list[teller], place);
}

int members_moved(struct members *members, size_t teller, const struct cluster_redirect *redirect)
{
	int number = members_find(members, teller, &redirect->place);

	members->owner[redirect->slot] = (int16_t)number;
	return number;
}

/* --- the map --------------------------------------------------------------------------------- */

static unsigned put_question(void *arg, struct printbuf *out)
{
	(void)arg;
	cluster_put_map(out);
	return CLUSTER_MAP_COMMANDS;
}

static bool read_answer(void *arg, const struct redis_address *asked, const redisReply *reply)
{
	struct members *members = arg;
	struct cluster_map map;
	int *numbers;

	if (!cluster_read_map(reply, asked->tls, &map))
		return false;
	numbers = xcalloc(map.count, sizeof *numbers);
	for (size_t i = 0; i < map.count; i++)
		numbers[i] = find(members, asked, &map.nodes[i]);
	for (size_t slot = 0; slot < LAYOUT_SLOTS; slot++)
		members->owner[slot] =
			map.owner[slot] >= 0 ? (int16_t)numbers[map.owner[slot]] : -1;
	free(numbers);
	cluster_map_clear(&map);
	return true;
}

/* Whether it has a slot, as far as is known. */
static bool owns_some(const struct members *members, size_t number)
{
	for (size_t slot = 0; slot < LAYOUT_SLOTS; slot++) {
		if (members->owner[slot] == (int)number)
			return true;
	}
	return false;
}

struct search *members_search(struct members *members)
{
	int64_t now = times_mono_ms();
	size_t first = random_below((unsigned)members->count);

	if (members->asked_ms != 0 && now - members->asked_ms < MEMBERS_REFRESH_MS)
		return NULL;
	members->asked_ms = now;
	search_stop(members->search);
	/* Another one first each time; of those not in the URL only who has slots: others may be long gone. */
	for (size_t i = 0; i < members->count; i++) {
		size_t number = (first + i) % members->count;

		if (number < members->url->count || owns_some(members, number))
			search_add(members->search, members->list[number]);
	}
	return members->search;
}

struct members *members_new(const struct config *config, const struct redis_url *url)
{
	static const struct search_question question = {
		.who = "cluster node",
		.put = put_question,
		.read = read_answer,
		.useless = "it tells of no node that has slots",
	};
	struct members *members = xcalloc(1, sizeof *members);

	members->url = url;
	members->search = search_new(config, &question, members);
	memset(members->owner, -1, sizeof members->owner);
	for (size_t i = 0; i < url->count; i++)
		add(members, url->nodes[i].host, url->nodes[i].port);
	return members;
}

void members_free(struct members *members)
{
	if (members == NULL)
		return;
	search_free(members->search);
	for (size_t i = 0; i < members->count; i++) {
		free(members->list[i]->host);
		free(members->list[i]);
	}
	free(members->list);
	free(members);
}
