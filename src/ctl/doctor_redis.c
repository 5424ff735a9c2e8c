/* doctor: Redis. */
#include "ctl/doctor_checks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/durability.h"
#include "store/info.h"
#include "store/keys.h"
#include "store/reply.h"
#include "store/resp.h"
#include "store/scripts.h"
#include "store/store.h"

#define VERSION_MIN 7
#define PUBSUB_HARD_MIN (1 << 20) /* bytes: less, and a burst of changes cuts streamd off */
#define RIGHTS_CHANGE "give redis.url's user the rights in conf/redis-users.acl"

/* Runs one command and frees it; false and *reply NULL when it failed: blocking_error(). */
static bool ask(struct doctor *doctor, struct printbuf *command, redisReply **reply)
{
	bool ok = blocking_run(doctor->ctl->redis, command, 1, reply);

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

static void check_version(struct doctor *doctor, const char *info)
{
	char version[64], role[64];

	info_find(info, "redis_version", version);
	info_find(info, "role", role);
	if (atoi(version) < VERSION_MIN)
		doctor_say(doctor, FINDING_FAIL, "install Redis 7 or newer",
			   "redis: version %s is too old", version);
	else
		doctor_say(doctor, FINDING_OK, NULL, "redis: answers, version %s", version);
	if (strcmp(role, "slave") == 0)
		doctor_say(doctor, FINDING_FAIL, "let redis.url name the primary",
			   "redis: this one is a replica");
}

/* A primary that goes on alone takes what a failover loses. */
static void check_replicas(struct doctor *doctor, const char *info)
{
	bool has_sentinels = strncmp(doctor->ctl->config->redis.url, "sentinel", 8) == 0;
	char replicas[INFO_VALUE_SIZE], good[INFO_VALUE_SIZE];

	info_find(info, "connected_slaves", replicas);
	info_find(info, "min_slaves_good_slaves",
		  good); /* there when min-replicas-to-write is set */
	if (strcmp(replicas, "0") == 0 && has_sentinels)
		doctor_say(
			doctor, FINDING_WARN, "start one: replicaof in its redis.conf",
			"redis: no replica follows the primary: Sentinels have nobody to choose");
	else if (strcmp(replicas, "0") != 0 && good[0] == '\0')
		doctor_say(doctor, FINDING_WARN,
			   "redis.conf of all of them: min-replicas-to-write 1 (docs/scale.md)",
			   "redis: a primary that was cut off goes on taking what is lost later");
	else if (strcmp(replicas, "0") != 0)
		doctor_say(doctor, FINDING_OK, NULL, "redis: takes nothing without a replica");
}

/* Whether Redis keeps what it is told: an evicted session would look like an offline user. */
static void check_durability(struct doctor *doctor)
{
	struct durability durability;

	durability_ask(doctor->ctl->redis, &durability);
	if (durability.evicts)
		doctor_say(doctor, FINDING_WARN, DURABILITY_POLICY,
			   "redis: when full it drops keys (%s): users go offline unannounced, "
			   "states, settings, blocks and subscriptions are lost",
			   durability.policy);
	else
		doctor_say(doctor, FINDING_OK, NULL, "redis: drops no keys of its own accord");
	if (durability.forgets)
		doctor_say(doctor, FINDING_WARN, DURABILITY_SAVING,
			   "redis: keeps nothing over a restart: states, settings, blocks and "
			   "subscriptions are lost");
	else
		doctor_say(doctor, FINDING_OK, NULL, "redis: keeps its data over a restart");
}

/* "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60" */
static void check_buffers(struct doctor *doctor)
{
	redisReply *reply;
	const char *limits, *pubsub;
	long long hard;

	/* A site may not let us ask: then it is left out. */
	if (!ask(doctor, command_of("CONFIG", "GET", "client-output-buffer-limit"), &reply))
		return;
	limits = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 ? reply->element[1]->str
									  : "";
	pubsub = strstr(limits, "pubsub ");
	hard = pubsub != NULL ? strtoll(pubsub + 7, NULL, 10) : 0;
	if (hard != 0 && hard < PUBSUB_HARD_MIN)
		doctor_say(doctor, FINDING_WARN,
			   "redis.conf: client-output-buffer-limit pubsub 32mb 8mb 60",
			   "redis: a subscriber that is %lld bytes behind is cut off", hard);
	else
		doctor_say(doctor, FINDING_OK, NULL,
			   "redis: client-output-buffer-limit leaves room for subscribers");
	reply_free(reply);
}

static bool check_scripts(struct doctor *doctor)
{
	struct printbuf *pipeline = buf_new();
	unsigned count = scripts_put_load(pipeline);
	redisReply **replies = xcalloc(count, sizeof *replies);
	bool taken = blocking_run(doctor->ctl->redis, pipeline, count, replies);

	if (taken) {
		doctor_say(doctor, FINDING_OK, NULL, "redis: takes the scripts");
		blocking_free_replies(replies, count);
	} else {
		doctor_say(doctor, FINDING_FAIL, RIGHTS_CHANGE,
			   "redis: does not take the scripts: %s",
			   blocking_error(doctor->ctl->redis));
	}
	free(replies);
	printbuf_free(pipeline);
	return taken;
}

/* What the scripts do and the ACL does not allow, each with the key or channel. */
static void say_lacking(struct doctor *doctor, const redisReply *lacking)
{
	for (size_t i = 0; i < lacking->elements; i++)
		doctor_say(doctor, FINDING_FAIL, RIGHTS_CHANGE, "redis: the ACL lacks %s",
			   lacking->element[i]->str);
}

/* Whether Redis does what calls need: the rights, writing, publishing. */
static void check_health(struct doctor *doctor)
{
	struct printbuf *command = buf_new();
	const struct store *store = partitions_at(doctor->ctl->partitions, 0);
	redisReply *lacking;

	store_put_health(command, store, true);
	if (!ask(doctor, command, &lacking)) {
		doctor_say(doctor, FINDING_FAIL,
			   "maxmemory, the disk, the replicas, or which server redis.url names",
			   "redis: keys cannot be written: %s", blocking_error(doctor->ctl->redis));
	} else if (lacking->elements > 0) {
		say_lacking(doctor, lacking);
	} else {
		doctor_say(doctor, FINDING_OK, NULL, "redis: keys can be written");
		doctor_say(doctor, FINDING_OK, NULL,
			   "redis: its ACL has every right that is needed");
	}
	reply_free(lacking);
}

/* How long ago a presence-streamd swept, ms; -1: never. */
static int64_t swept_ago(struct doctor *doctor)
{
	struct printbuf *pipeline = buf_new();
	redisReply *replies[2];
	int64_t ago = -1;

	resp_begin(pipeline, 2);
	resp_text(pipeline, "GET");
	resp_key(pipeline, doctor->ctl->config->redis.prefix, KEY_SWEPT, "");
	resp_begin(pipeline, 1);
	resp_text(pipeline, "TIME");
	if (blocking_run(doctor->ctl->redis, pipeline, 2, replies)) {
		if (replies[0]->type == REDIS_REPLY_STRING)
			ago = strtoll(replies[1]->element[0]->str, NULL, 10) * 1000 +
			      strtoll(replies[1]->element[1]->str, NULL, 10) / 1000 -
			      strtoll(replies[0]->str, NULL, 10);
		blocking_free_replies(replies, 2);
	}
	printbuf_free(pipeline);
	return ago;
}

static void check_sweeper(struct doctor *doctor)
{
	int64_t ago = swept_ago(doctor);

	if (ago >= 0 && ago <= (int64_t)doctor->ctl->config->presence.sweep * 10000)
		doctor_say(doctor, FINDING_OK, NULL,
			   "sweeper: a presence-streamd swept %" PRId64 " ms ago", ago);
	else if (doctor->streamd_answers)
		doctor_say(doctor, FINDING_FAIL,
			   "it must have this redis.url and redis.prefix; its log tells more",
			   "sweeper: presence-streamd runs, but does not sweep here");
	else
		doctor_say(doctor, FINDING_WARN, "start presence-streamd",
			   "sweeper: no presence-streamd sweeps, so users go offline late and only "
			   "while requests come");
}

/* An ACL with the fewest rights does not let us ask: then it is left out. */
static void check_info(struct doctor *doctor)
{
	redisReply *reply;

	if (!ask(doctor, command_of("INFO", NULL, NULL), &reply)) {
		doctor_say(doctor, FINDING_OK, NULL,
			   "redis: answers; which version it is and how it is set up its ACL does "
			   "not tell (+info)");
		return;
	}
	if (reply->type == REDIS_REPLY_STRING) {
		check_version(doctor, reply->str);
		check_replicas(doctor, reply->str);
		check_durability(doctor);
	}
	reply_free(reply);
}

void doctor_check_redis(struct doctor *doctor)
{
	redisReply *reply;

	if (!ask(doctor, command_of("TIME", NULL, NULL), &reply)) {
		const char *why = blocking_error(doctor->ctl->redis);

		doctor_say(
			doctor, FINDING_FAIL,
			strncmp(why, "TLS: ", 5) == 0
				? "correct redis.url or redis.tls_ca, tls_cert, tls_key, or Redis' "
				  "certificate: docs/scale.md"
				: "start it, or correct redis.url",
			"redis: %s", why);
		return;
	}
	reply_free(reply);
	check_info(doctor);
	check_buffers(doctor);
	if (check_scripts(doctor))
		check_health(doctor);
	check_sweeper(doctor);
}
