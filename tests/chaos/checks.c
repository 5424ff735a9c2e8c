/* Asking the properties, and what they look at in Redis. */
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/layout.h"

#define PEEK 300 /* ms from one look at Redis during an episode to the next */

/* --- complaints ------------------------------------------------------------------------------ */

/* What is wrong at one moment is wrong; what is not settled yet may be soon. */
void violated(struct chaos *chaos, unsigned user, const char *format, ...)
{
	size_t index = (size_t)(chaos->checking - properties);
	bool is_final = chaos->checking->settled == NULL;
	va_list args;

	if (chaos->over || (!is_final && chaos->complaint[index][0] != '\0'))
		return;
	va_start(args, format);
	if (is_final)
		vsnprintf(chaos->result->text, sizeof chaos->result->text, format, args);
	else
		vsnprintf(chaos->complaint[index], sizeof chaos->complaint[index], format, args);
	va_end(args);
	chaos->accused[index] = user;
	chaos->complaints++;
	if (!is_final)
		return;
	chaos->blamed = chaos->result->user = user;
	snprintf(chaos->result->property, sizeof chaos->result->property, "%s",
		 chaos->checking->name);
	chaos->result->failed = chaos->over = true;
}

void properties_published(struct chaos *chaos, struct user *user, const struct change *change)
{
	const struct property *before = chaos->checking;

	for (size_t i = 0; i < property_count && !chaos->over; i++) {
		chaos->checking = &properties[i];
		if (properties[i].published != NULL)
			properties[i].published(chaos, user, change);
	}
	chaos->checking = before;
}

void properties_answered(struct chaos *chaos, const struct call *call)
{
	const struct property *before = chaos->checking;

	for (size_t i = 0; i < property_count && !chaos->over; i++) {
		chaos->checking = &properties[i];
		if (properties[i].answered != NULL)
			properties[i].answered(chaos, call);
	}
	chaos->checking = before;
}

void properties_shown(struct chaos *chaos, struct tab *tab, const char *event)
{
	const struct property *before = chaos->checking;

	for (size_t i = 0; i < property_count && !chaos->over; i++) {
		chaos->checking = &properties[i];
		if (properties[i].shown != NULL)
			properties[i].shown(chaos, tab, event);
	}
	chaos->checking = before;
}

void properties_notified(struct chaos *chaos, const struct notification *notification)
{
	const struct property *before = chaos->checking;

	for (size_t i = 0; i < property_count && !chaos->over; i++) {
		chaos->checking = &properties[i];
		if (properties[i].notified != NULL)
			properties[i].notified(chaos, notification);
	}
	chaos->checking = before;
}

void properties_passed(struct chaos *chaos)
{
	const struct property *before = chaos->checking;

	for (size_t i = 0; i < property_count && !chaos->over; i++) {
		chaos->checking = &properties[i];
		if (properties[i].passed != NULL)
			properties[i].passed(chaos);
	}
	chaos->checking = before;
}

/* --- what Redis holds ------------------------------------------------------------------------ */

static uint64_t version_in(const char *text)
{
	const char *at = text != NULL ? strstr(text, "\"version\":") : NULL;

	return at != NULL ? strtoull(at + strlen("\"version\":"), NULL, 10) : 0;
}

/* The "status" in a JSON text. */
static void read_word(const char *text, char *word)
{
	const char *at = strstr(text, "\"status\":\"");

	word[0] = '\0';
	if (at != NULL)
		snprintf(word, WORD, "%.*s", (int)strcspn(at + 10, "\""), at + 10);
}

static void read_sessions(struct kept *kept, const redisReply *list, double redis_now)
{
	for (size_t i = 0; i + 1 < list->elements; i += 2) {
		double deadline = strtod(list->element[i + 1]->str, NULL);
		bool closing = deadline - (double)(int64_t)deadline == 0.5;

		kept->sessions++;
		if (deadline > kept->latest)
			kept->latest = deadline;
		if (deadline <= redis_now || closing)
			continue;
		if (list->element[i]->str[0] == 's')
			kept->streams++;
		else
			kept->tokens++;
	}
}

/* All that concerns the users of a partition, between two commands of others: its prefix, their ids. */
static const char script[] =
	"local p = ARGV[1] "
	"local function s(k) return redis.call('GET', p .. k) or '' end "
	"local out = {} "
	"for i in ARGV[2]:gmatch('%d+') do "
	"  out[#out + 1] = {s('user:online:' .. i), "
	"    redis.call('SISMEMBER', p .. 'online_users', i), "
	"    s('presence:version:' .. i), redis.call('PTTL', p .. 'user:online:' .. i), "
	"    redis.call('ZSCORE', p .. 'presence:deadlines', i) or '0', "
	"    redis.call('ZRANGE', p .. 'user:sessions:' .. i, 0, -1, 'WITHSCORES'), "
	"    s('user:chosen:' .. i), s('user:settings:' .. i), "
	"    redis.call('SMEMBERS', p .. 'user:blocked:' .. i), "
	"    redis.call('SMEMBERS', p .. 'user:blocked_by:' .. i)} "
	"end "
	"local t = redis.call('TIME') "
	"return {t[1], t[2], redis.call('SCARD', p .. 'online_users'), out}";

static void read_user(struct kept *kept, const redisReply *row, double redis_now)
{
	const char *online = row->element[0]->str;

	kept->online = *online != '\0';
	kept->listed = row->element[1]->integer == 1;
	kept->version = kept->online ? version_in(online) : 0;
	if (kept->version == 0)
		kept->version = strtoull(row->element[2]->str, NULL, 10);
	kept->ttl = row->element[3]->integer;
	kept->deadline = strtod(row->element[4]->str, NULL);
	read_sessions(kept, row->element[5], redis_now);
	read_word(online, kept->word);
	read_word(row->element[6]->str, kept->chosen);
	kept->rule = settings_parse(row->element[7]->str);
}

enum { BLOCKS = 1, BLOCKED_BY = 2 };

static unsigned char *pair_of(const struct chaos *chaos, const struct snapshot *snapshot,
			      unsigned id, unsigned other)
{
	return &snapshot->blocks[id * (chaos->user_count + 1) + other];
}

bool snapshot_blocks(const struct chaos *chaos, const struct snapshot *snapshot, unsigned id,
		     unsigned other)
{
	return (*pair_of(chaos, snapshot, id, other) & BLOCKS) != 0;
}

bool snapshot_blocked_by(const struct chaos *chaos, const struct snapshot *snapshot, unsigned id,
			 unsigned other)
{
	return (*pair_of(chaos, snapshot, id, other) & BLOCKED_BY) != 0;
}

static void read_blocks(const struct chaos *chaos, struct snapshot *snapshot, unsigned id,
			const redisReply *ids, unsigned char side)
{
	for (size_t i = 0; i < ids->elements; i++) {
		unsigned long other = strtoul(ids->element[i]->str, NULL, 10);

		if (other >= 1 && other <= chaos->user_count)
			*pair_of(chaos, snapshot, id, (unsigned)other) |= side;
	}
}

static void snapshot_free(struct snapshot *snapshot)
{
	free(snapshot->users);
	free(snapshot->blocks);
}

static redisReply *ask_partition(struct chaos *chaos, unsigned partition)
{
	struct stack *stack = chaos->stand.stack;
	unsigned count = stack->partitions;
	char *prefix = layout_prefix(count, layout_tag(count, partition), "");
	struct printbuf *ids = buf_new();
	redisReply *reply;

	for (unsigned i = 1; i <= chaos->user_count; i++) {
		if (stand_partition_of(chaos, i) == partition)
			buf_putf(ids, "%u ", i);
	}
	reply = redis_cmd_at(stack, stand_server_at(chaos, partition), "EVAL %s 0 %s %s", script,
			     prefix, ids->buf);
	printbuf_free(ids);
	free(prefix);
	return reply;
}

/* False: Redis does not say. */
static bool add_partition(struct chaos *chaos, struct snapshot *snapshot, unsigned partition)
{
	redisReply *reply = ask_partition(chaos, partition);
	bool is_answer = reply->type == REDIS_REPLY_ARRAY;
	size_t row = 0;

	if (is_answer) {
		snapshot->redis_now = strtod(reply->element[0]->str, NULL) * 1000 +
				      strtod(reply->element[1]->str, NULL) / 1000;
		snapshot->count += reply->element[2]->integer;
	}
	for (unsigned i = 1; is_answer && i <= chaos->user_count; i++) {
		const redisReply *values;

		if (stand_partition_of(chaos, i) != partition)
			continue;
		values = reply->element[3]->element[row++];
		read_user(&snapshot->users[i], values, snapshot->redis_now);
		read_blocks(chaos, snapshot, i, values->element[8], BLOCKS);
		read_blocks(chaos, snapshot, i, values->element[9], BLOCKED_BY);
	}
	freeReplyObject(reply);
	return is_answer;
}

static bool take_snapshot(struct chaos *chaos, struct snapshot *snapshot)
{
	bool is_whole = true;

	memset(snapshot, 0, sizeof *snapshot);
	snapshot->users = xcalloc(chaos->user_count + 1, sizeof *snapshot->users);
	snapshot->blocks = xcalloc(chaos->user_count + 1, chaos->user_count + 1);
	/* A failover that nobody asked for. */
	if (chaos->stand.is_unsettled)
		return false;
	for (unsigned i = 0; is_whole && i < chaos->stand.stack->partitions; i++)
		is_whole = add_partition(chaos, snapshot, i);
	return is_whole;
}

static void look_at_all(struct chaos *chaos, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < property_count; i++) {
		chaos->checking = &properties[i];
		for (unsigned user = 1; user <= chaos->user_count && !chaos->over; user++) {
			if (properties[i].kept != NULL)
				properties[i].kept(chaos, &chaos->users[user],
						   &snapshot->users[user]);
		}
	}
}

void properties_peek(struct chaos *chaos)
{
	struct snapshot snapshot;

	if (now_ms() < chaos->peek_at || chaos->over || !stand_redis_answers(chaos))
		return;
	chaos->peek_at = now_ms() + PEEK;
	if (take_snapshot(chaos, &snapshot))
		look_at_all(chaos, &snapshot);
	snapshot_free(&snapshot);
}

bool properties_settled(struct chaos *chaos)
{
	struct snapshot snapshot;

	chaos->complaints = 0;
	/* What had come before the snapshot is shown before it. */
	for (int i = 0; i < 3; i++)
		conn_turn(chaos, now_ms() + 5);
	if (!take_snapshot(chaos, &snapshot)) {
		snapshot_free(&snapshot);
		return false;
	}
	look_at_all(chaos, &snapshot);
	states_learn(chaos, &snapshot);
	settings_learn(chaos, &snapshot);
	blocks_learn(chaos, &snapshot);
	for (int i = 0; i < 3; i++)
		conn_turn(chaos, now_ms() + 5);
	for (size_t i = 0; i < property_count && !chaos->over; i++) {
		chaos->checking = &properties[i];
		chaos->complaint[i][0] = '\0';
		if (properties[i].settled != NULL)
			properties[i].settled(chaos, &snapshot);
		chaos->looks[i] = chaos->complaint[i][0] != '\0' ? chaos->looks[i] + 1 : 0;
	}
	snapshot_free(&snapshot);
	return chaos->complaints == 0;
}

void properties_give_up(struct chaos *chaos)
{
	size_t worst = 0;

	for (size_t i = 1; i < property_count; i++) {
		if (chaos->looks[i] > chaos->looks[worst])
			worst = i;
	}
	snprintf(chaos->result->property, sizeof chaos->result->property, "%s",
		 properties[worst].name);
	snprintf(chaos->result->text, sizeof chaos->result->text, "%s", chaos->complaint[worst]);
	chaos->blamed = chaos->result->user = chaos->accused[worst];
	chaos->result->failed = chaos->over = true;
}
