/* doctor: Redis. */
#include "ctl/doctor_checks.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ctl/places.h"
#include "ctl/sweeper.h"
#include "store/durability.h"
#include "store/info.h"
#include "store/layout.h"
#include "store/reply.h"
#include "store/resp.h"
#include "store/scripts.h"
#include "store/store.h"

#define VERSION_MIN 7
#define PUBSUB_HARD_MIN (1 << 20) /* bytes: less, and a burst of changes cuts streamd off */
#define LAG_DEFAULT 10 /* seconds, min-replicas-max-lag */
#define SENTENCE_SIZE 512
#define RIGHTS_CHANGE "give redis.url's user the rights in conf/redis-users.acl"

/* One of those that redis.url names. */
struct server {
	struct doctor *doctor;
	struct blocking *redis;
	const struct store *store; /* the first partition that it has */
	char name[INFO_VALUE_SIZE + 16]; /* "redis", and where, if there are several */
	char run_id[INFO_VALUE_SIZE]; /* "": it does not tell */
	bool answers;
};

/* Says what was found of it. */
static void say(const struct server *server, enum finding finding, const char *change,
		const char *format, ...) __attribute__((format(printf, 4, 5)));

static void say(const struct server *server, enum finding finding, const char *change,
		const char *format, ...)
{
	char what[SENTENCE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	doctor_say(server->doctor, finding, change, "%s: %s", server->name, what);
}

/* Runs one command and frees it; false and *reply NULL when it failed: blocking_error(). */
static bool ask(struct server *server, struct printbuf *command, redisReply **reply)
{
	bool ok = blocking_run(server->redis, command, 1, reply);

	printbuf_free(command);
	if (!ok)
		*reply = NULL;
	return ok;
}

static struct printbuf *command_of(const char *first, const char *second, const char *third)
{
	struct printbuf *command = buf_new();

	resp_begin(command, third != NULL ? 3 : second != NULL ? 2 : 1);
	resp_text(command, first);
	if (second != NULL)
		resp_text(command, second);
	if (third != NULL)
		resp_text(command, third);
	return command;
}

static void check_version(struct server *server, const char *info)
{
	char version[64], role[64];

	info_find(info, "redis_version", version);
	info_find(info, "role", role);
	if (atoi(version) < VERSION_MIN)
		say(server, FINDING_FAIL, "install Redis 7 or newer", "version %s is too old",
		    version);
	else
		say(server, FINDING_OK, NULL, "answers, version %s", version);
	if (strcmp(role, "slave") == 0)
		say(server, FINDING_FAIL, "let redis.url name the primary",
		    "this one is a replica");
}

/* Redis' own default, or half of the time in which sessions end, if that is less. */
static int advise_lag(int ttl)
{
	return ttl >= 2 * LAG_DEFAULT ? LAG_DEFAULT : (ttl + 1) / 2;
}

/* For so long a primary that was cut off goes on, and nobody renews there who has a stream elsewhere. */
static void check_lag(struct server *server)
{
	int ttl = server->doctor->ctl->config->presence.stream_ttl;
	char change[96];
	redisReply *reply;
	long long lag = 0;

	/* A site may not let us ask: then it is left out. */
	if (!ask(server, command_of("CONFIG", "GET", "min-replicas-max-lag"), &reply))
		return;
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
		lag = strtoll(reply->element[1]->str, NULL, 10);
	snprintf(change, sizeof change, "redis.conf of all of them: min-replicas-max-lag %d",
		 advise_lag(ttl));
	if (lag >= ttl)
		say(server, FINDING_WARN, change,
		    "a primary that was cut off goes on for %lld s, and sessions end after %d "
		    "(presence.stream_ttl): it shows users offline who are not",
		    lag, ttl);
	reply_free(reply);
}

/* A primary that goes on alone takes what a failover loses. */
static void check_replicas(struct server *server, const char *info)
{
	bool has_sentinels = strncmp(server->doctor->ctl->config->redis.url, "sentinel", 8) == 0;
	char replicas[INFO_VALUE_SIZE], good[INFO_VALUE_SIZE];

	info_find(info, "connected_slaves", replicas);
	info_find(info, "min_slaves_good_slaves",
		  good); /* there when min-replicas-to-write is set */
	if (strcmp(replicas, "0") == 0 && has_sentinels)
		say(server, FINDING_WARN, "start one: replicaof in its redis.conf",
		    "no replica follows the primary: Sentinels have nobody to choose");
	else if (strcmp(replicas, "0") != 0 && good[0] == '\0')
		say(server, FINDING_WARN,
		    "redis.conf of all of them: min-replicas-to-write 1 (docs/scale.md)",
		    "a primary that was cut off goes on taking what is lost later");
	else if (strcmp(replicas, "0") != 0) {
		say(server, FINDING_OK, NULL, "takes nothing without a replica");
		check_lag(server);
	}
}

/* Whether Redis keeps what it is told: an evicted session would look like an offline user. */
static void check_durability(struct server *server)
{
	struct durability durability;

	durability_ask(server->redis, &durability);
	if (durability.evicts)
		say(server, FINDING_WARN, DURABILITY_POLICY,
		    "when full it drops keys (%s): users go offline unannounced, "
		    "states, settings, blocks and subscriptions are lost",
		    durability.policy);
	else
		say(server, FINDING_OK, NULL, "drops no keys of its own accord");
	if (durability.forgets)
		say(server, FINDING_WARN, DURABILITY_SAVING,
		    "keeps nothing over a restart: states, settings, blocks and "
		    "subscriptions are lost");
	else
		say(server, FINDING_OK, NULL, "keeps its data over a restart");
}

/* "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60" */
static void check_buffers(struct server *server)
{
	redisReply *reply;
	const char *limits, *pubsub;
	long long hard;

	/* A site may not let us ask: then it is left out. */
	if (!ask(server, command_of("CONFIG", "GET", "client-output-buffer-limit"), &reply))
		return;
	limits = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 ? reply->element[1]->str
									  : "";
	pubsub = strstr(limits, "pubsub ");
	hard = pubsub != NULL ? strtoll(pubsub + 7, NULL, 10) : 0;
	if (hard != 0 && hard < PUBSUB_HARD_MIN)
		say(server, FINDING_WARN,
		    "redis.conf: client-output-buffer-limit pubsub 32mb 8mb 60",
		    "a subscriber that is %lld bytes behind is cut off", hard);
	else
		say(server, FINDING_OK, NULL,
		    "client-output-buffer-limit leaves room for subscribers");
	reply_free(reply);
}

static bool check_scripts(struct server *server)
{
	struct printbuf *pipeline = buf_new();
	unsigned count = scripts_put_load(pipeline);
	redisReply **replies = xcalloc(count, sizeof *replies);
	bool taken = blocking_run(server->redis, pipeline, count, replies);

	if (taken) {
		say(server, FINDING_OK, NULL, "takes the scripts");
		blocking_free_replies(replies, count);
	} else {
		say(server, FINDING_FAIL, RIGHTS_CHANGE, "does not take the scripts: %s",
		    blocking_error(server->redis));
	}
	free(replies);
	printbuf_free(pipeline);
	return taken;
}

/* What the scripts do and the ACL does not allow, each with the key or channel. */
static void say_lacking(struct server *server, const redisReply *lacking)
{
	for (size_t i = 0; i < lacking->elements; i++)
		say(server, FINDING_FAIL, RIGHTS_CHANGE, "the ACL lacks %s",
		    lacking->element[i]->str);
}

/* Whether Redis does what calls need: the rights, writing, publishing. */
static void check_health(struct server *server)
{
	struct printbuf *command = buf_new();
	redisReply *lacking;

	store_put_health(command, server->store, true);
	if (!ask(server, command, &lacking)) {
		say(server, FINDING_FAIL,
		    "maxmemory, the disk, the replicas, or which server redis.url names",
		    "keys cannot be written: %s", blocking_error(server->redis));
	} else if (lacking->elements > 0) {
		say_lacking(server, lacking);
	} else {
		say(server, FINDING_OK, NULL, "keys can be written");
		say(server, FINDING_OK, NULL, "its ACL has every right that is needed");
	}
	reply_free(lacking);
}

/* An ACL with the fewest rights does not let us ask: then it is left out. */
static void check_info(struct server *server)
{
	redisReply *reply;

	if (!ask(server, command_of("INFO", NULL, NULL), &reply)) {
		say(server, FINDING_OK, NULL,
		    "answers; which version it is and how it is set up its ACL does not tell "
		    "(+info)");
		return;
	}
	if (reply->type == REDIS_REPLY_STRING) {
		info_find(reply->str, "run_id", server->run_id);
		check_version(server, reply->str);
		check_replicas(server, reply->str);
		check_durability(server);
	}
	reply_free(reply);
}

/* Of one that was left because of its layout: it may be another one of the servers. */
static void note_run_id(struct server *server)
{
	redisReply *reply;

	blocking_ignore_layout(server->redis);
	if (ask(server, command_of("INFO", "server", NULL), &reply) &&
	    reply->type == REDIS_REPLY_STRING)
		info_find(reply->str, "run_id", server->run_id);
	reply_free(reply);
}

/* False: it does not answer, or holds other users. */
static bool check_server(struct server *server)
{
	redisReply *reply;

	if (!ask(server, command_of("TIME", NULL, NULL), &reply)) {
		const char *why = blocking_error(server->redis);

		say(server, FINDING_FAIL,
		    strncmp(why, "TLS: ", 5) == 0
			    ? "correct redis.url or redis.tls_ca, tls_cert, tls_key, or Redis' "
			      "certificate: docs/scale.md"
		    : blocking_is_other_layout(server->redis)
			    ? "correct redis.url or redis.partitions: docs/scale.md"
			    : "start it, or correct redis.url",
		    "%s", why);
		if (blocking_is_other_layout(server->redis))
			note_run_id(server);
		return false;
	}
	reply_free(reply);
	check_info(server);
	check_buffers(server);
	if (check_scripts(server))
		check_health(server);
	return true;
}

/* --- all of them ----------------------------------------------------------------------------- */

static void set_name(struct server *server, unsigned count)
{
	struct printbuf *text = buf_new();

	buf_puts(text, "redis");
	if (count > 1) {
		buf_puts(text, " ");
		blocking_put_place(text, server->redis);
	}
	snprintf(server->name, sizeof server->name, "%s", text->buf);
	printbuf_free(text);
}

/* The one before it that is the same server, or NULL. */
static const struct server *find_twin(const struct server *servers, unsigned number)
{
	for (unsigned i = 0; i < number && servers[number].run_id[0] != '\0'; i++) {
		if (strcmp(servers[number].run_id, servers[i].run_id) == 0)
			return &servers[i];
	}
	return NULL;
}

/* Two addresses of one server would give it the users of both. */
static void check_twins(struct server *servers, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		const struct server *twin = find_twin(servers, i);

		if (twin != NULL)
			say(&servers[i], FINDING_FAIL,
			    "let redis.url name each server once, or start another one",
			    "is the same server as %s", twin->name);
	}
}

static void check_slots(struct doctor *doctor)
{
	unsigned uncovered = nodes_uncovered(doctor->ctl->nodes);

	if (uncovered > 0)
		doctor_say(doctor, FINDING_FAIL,
			   "start their nodes, or redis-cli --cluster fix HOST:PORT",
			   "redis: no node of the cluster has %u of the %d slots", uncovered,
			   LAYOUT_SLOTS);
	else
		doctor_say(doctor, FINDING_OK, NULL, "redis: the cluster has nodes for all slots");
}

/* A move that was broken off leaves a slot between two nodes for ever. */
static void check_moves(struct doctor *doctor)
{
	unsigned slot, between = places_count_moving(doctor->ctl, &slot);

	if (between > 0)
		doctor_say(doctor, FINDING_FAIL,
			   "if nobody moves them any more: redis-cli --cluster fix HOST:PORT",
			   "redis: %u of %u partitions are on their way to another node, slot %u "
			   "among them: their users wait",
			   between, partitions_count(doctor->ctl->partitions), slot);
}

static void check_sweeper(struct doctor *doctor)
{
	struct sweeper_ago ago;

	sweeper_ask(doctor->ctl, &ago);
	if (sweeper_is_at_work(doctor->ctl, ago.longest))
		doctor_say(doctor, FINDING_OK, NULL,
			   "sweeper: a presence-streamd swept %" PRId64 " ms ago", ago.longest);
	else if (doctor->streamd_answers)
		doctor_say(doctor, FINDING_FAIL,
			   "it must have this redis.url and redis.prefix; its log tells more",
			   "sweeper: presence-streamd runs, but does not sweep here");
	else
		doctor_say(doctor, FINDING_WARN, "start presence-streamd",
			   "sweeper: no presence-streamd sweeps, so users go offline late and only "
			   "while requests come");
}

/* Those that have a partition; how many. In a cluster others are replicas, or have none. */
static unsigned find_servers(struct doctor *doctor, struct server *servers)
{
	const struct partitions *partitions = doctor->ctl->partitions;
	struct nodes *nodes = doctor->ctl->nodes;
	unsigned found = 0;

	for (unsigned i = 0; i < partitions_count(partitions); i++) {
		const struct store *store = partitions_at(partitions, i);
		struct blocking *redis = nodes_of(nodes, store);
		unsigned k = 0;

		while (k < found && servers[k].redis != redis)
			k++;
		if (k == found)
			servers[found++] =
				(struct server){.doctor = doctor, .redis = redis, .store = store};
	}
	return found;
}

void doctor_check_redis(struct doctor *doctor)
{
	struct nodes *nodes = doctor->ctl->nodes;
	struct server *servers;
	unsigned count, answer = 0;

	nodes_begin(nodes); /* a cluster is asked who has what */
	servers = xcalloc(nodes_count(nodes), sizeof *servers);
	count = find_servers(doctor, servers);
	for (unsigned i = 0; i < count; i++) {
		set_name(&servers[i], count);
		servers[i].answers = check_server(&servers[i]);
		answer += servers[i].answers;
	}
	if (nodes_are_cluster(nodes)) {
		check_slots(doctor);
		check_moves(doctor);
	} else {
		check_twins(servers, count);
	}
	if (answer == count)
		check_sweeper(doctor);
	free(servers);
}
