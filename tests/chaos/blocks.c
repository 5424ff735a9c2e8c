/*
 * Who blocks whom. A block is certain from the answer of its call until the next one is sent. What had no
 * clear answer is uncertain until another one is taken or all is quiet; and so is one that was lost with
 * Redis' data, unless an open stream knew of it: then it outlives that.
 */
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define SEEN_AGAIN 1000 /* after a block ended both see each other (stretched) */

enum certainty { NO, YES, MAYBE };

/* Of one user by another. */
struct block {
	enum certainty state, before; /* before: the call that is under way */
	bool pending; /* a call is under way */
	int64_t since; /* of NO and YES: when that became certain; 0: from the start */
	int64_t doubt; /* of MAYBE */
	int64_t handed_at; /* after a wipe: streams' programs have it, perhaps Redis does not yet */
	uint64_t versions
		[2]; /* the last published of the blocker and the other when it began; 0: not known */
};

/* Two who are to see each other again. */
struct reunion {
	unsigned a, b;
	int64_t asked, since; /* when the call was sent and answered */
	struct reunion *next;
};

void blocks_init(struct chaos *chaos)
{
	chaos->blocks =
		xcalloc((chaos->user_count + 1) * (chaos->user_count + 1), sizeof *chaos->blocks);
}

static struct block *block_of(const struct chaos *chaos, unsigned by, unsigned other)
{
	return &chaos->blocks[by * (chaos->user_count + 1) + other];
}

/* The one of the two that has hidden them from one another for longer, for sure; or NULL. */
static const struct block *hiding(const struct chaos *chaos, unsigned a, unsigned b)
{
	const struct block *one = block_of(chaos, a, b), *other = block_of(chaos, b, a);

	if (one->state == YES && other->state == YES)
		return one->since <= other->since ? one : other;
	return one->state == YES ? one : other->state == YES ? other : NULL;
}

bool blocks_may_hide(const struct chaos *chaos, unsigned a, unsigned b)
{
	return block_of(chaos, a, b)->state != NO || block_of(chaos, b, a)->state != NO;
}

bool blocks_hide(const struct chaos *chaos, unsigned a, unsigned b, int64_t since)
{
	const struct block *block = hiding(chaos, a, b);

	return block != NULL && block->since <= since;
}

/* --- calls ----------------------------------------------------------------------------------- */

static void set_state(struct block *block, enum certainty state)
{
	block->state = state;
	block->since = now_ms();
	block->doubt = block->handed_at = 0;
}

static void set_doubt(struct block *block)
{
	block->state = MAYBE;
	block->doubt = now_ms();
	block->handed_at = 0;
}

static uint64_t version_of(const struct user *user)
{
	return user->told ? user->told_version : 0;
}

/* What was published before the answer has been read by the tap. */
static void begin(struct chaos *chaos, struct block *block, const struct user *by,
		  const struct user *other)
{
	tap_drain(chaos);
	if (block->state == YES)
		return;
	set_state(block, YES);
	block->versions[0] = version_of(by);
	block->versions[1] = version_of(other);
}

static void end(struct chaos *chaos, struct block *block, unsigned by, unsigned other,
		int64_t asked)
{
	bool was_hiding = block->before == YES;

	set_state(block, NO);
	if (was_hiding && !blocks_may_hide(chaos, by, other)) {
		struct reunion *reunion = xcalloc(1, sizeof *reunion);

		*reunion = (struct reunion){by, other, asked, block->since, chaos->reunions};
		chaos->reunions = reunion;
	}
}

/* Whether nothing that was sent before this call may be taken after it. A stream that has not heard of
 * the end of a block puts it back, when Redis was wiped or started again. */
static bool is_the_last(const struct block *block, const struct call *call)
{
	const struct chaos *chaos = call->conn.chaos;
	bool may_come_back = call->arg == NULL && chaos->restarted_at > 0 &&
			     model_told_by(chaos, chaos->restarted_at) > call->sent;

	return chaos->data_lost_at < call->sent && !may_come_back &&
	       (block->doubt == 0 || (model_told_by(chaos, block->doubt) < call->sent &&
				      !chaos_in_trouble(chaos, call->sent)));
}

static void on_changed(struct call *call)
{
	struct chaos *chaos = call->conn.chaos;
	struct user *user = call->device->user, *other = &chaos->users[call->other];
	struct block *block = block_of(chaos, user->id, other->id);
	bool adds = call->arg != NULL;

	model_answered(call);
	block->pending = false;
	if (call->status == 204 && is_the_last(block, call)) {
		if (adds)
			begin(chaos, block, user, other);
		else
			end(chaos, block, user->id, other->id, call->sent);
	} else if (call->status == 429 || call->status == 401) {
		block->state = block->doubt > 0 ? MAYBE : block->before; /* it was not taken */
	} else {
		set_doubt(block);
	}
	wishes_doubt(chaos, user->id, other->id);
}

void blocks_change(struct chaos *chaos, struct device *device, unsigned other, bool adds)
{
	struct block *block = block_of(chaos, device->user->id, other);
	char path[48];
	struct call *call;

	if (device->token == NULL || device->logging_out || device->user->id == other ||
	    block->pending || (!adds && block->state == NO))
		return;
	block->pending = true;
	block->before = block->state;
	if (!(adds && block->state == YES))
		block->state = MAYBE;
	model_activity_in_doubt(device);
	snprintf(path, sizeof path, "/presence/blocks/%u", other);
	call = call_start_method(chaos, device, adds ? "PUT" : "DELETE", path, NULL, on_changed);
	call->other = other;
	call->arg = adds ? block : NULL;
	call->is_activity = call->may_be_too_often = true;
	wishes_doubt(chaos, device->user->id, other);
	chaos_note(&chaos->users[other], "user %u %s", device->user->id,
		   adds ? "blocks" : "unblocks");
}

/* --- what happens ---------------------------------------------------------------------------- */

/* Whether a stream of the one, which hides the other, will put the block back. */
static bool is_known_by(const struct chaos *chaos, unsigned id, unsigned other,
			const struct block *block)
{
	for (int i = 0; i < DEVICES * TABS; i++) {
		const struct tab *tab = &chaos->users[id].devices[i / TABS].tabs[i % TABS];

		if (tab->state == TAB_READY && !tab->asleep && tab->cut_at == 0 &&
		    tab->degraded_at == 0 && tab->view[other].known &&
		    tab->initial_at > block->since)
			return true;
	}
	return false;
}

void blocks_come_back(struct chaos *chaos)
{
	chaos->restarted_at = now_ms();
	for (unsigned a = 1; a <= chaos->user_count; a++) {
		for (unsigned b = 1; b <= chaos->user_count; b++) {
			struct block *block = block_of(chaos, a, b);

			if (block->state == NO && block->since > 0 &&
			    model_told_by(chaos, block->since) > now_ms())
				set_doubt(block);
		}
	}
}

void blocks_data_lost(struct chaos *chaos)
{
	for (unsigned a = 1; a <= chaos->user_count; a++) {
		for (unsigned b = 1; b <= chaos->user_count; b++) {
			struct block *block = block_of(chaos, a, b);

			/* A stream that has not heard of its end puts it back. */
			bool may_come_back = block->state == NO && block->since > 0 &&
					     model_told_by(chaos, block->since) > now_ms();

			if (block->state == NO && !block->pending && !may_come_back)
				continue;
			if (block->state == YES && !block->pending &&
			    (is_known_by(chaos, a, b, block) || is_known_by(chaos, b, a, block)))
				block->handed_at = now_ms();
			else
				set_doubt(block);
		}
	}
}

void blocks_writes_lost(struct chaos *chaos, int64_t since)
{
	for (unsigned a = 1; a <= chaos->user_count; a++) {
		for (unsigned b = 1; b <= chaos->user_count; b++) {
			struct block *block = block_of(chaos, a, b);

			if (block->since >= since || block->pending || block->doubt > 0)
				set_doubt(block);
		}
	}
}

/* A stream that knew of it has ended, or cannot be heard. */
void blocks_stream_lost(struct chaos *chaos, const struct user *user)
{
	for (unsigned other = 1; other <= chaos->user_count; other++) {
		struct block *blocks[] = {block_of(chaos, user->id, other),
					  block_of(chaos, other, user->id)};

		for (int i = 0; i < 2; i++) {
			if (blocks[i]->handed_at != 0 &&
			    model_told_by(chaos, blocks[i]->handed_at) > now_ms())
				set_doubt(blocks[i]);
		}
	}
}

void blocks_learn(struct chaos *chaos, const struct snapshot *snapshot)
{
	for (unsigned a = 1; a <= chaos->user_count; a++) {
		for (unsigned b = 1; b <= chaos->user_count; b++) {
			struct block *block = block_of(chaos, a, b);
			bool is_own = snapshot_blocks(chaos, snapshot, a, b);
			bool is_others = snapshot_blocked_by(chaos, snapshot, b, a);

			if (block->doubt > 0 && !block->pending && is_own == is_others &&
			    model_told_by(chaos, block->doubt) < now_ms())
				set_state(block, is_own ? YES : NO);
		}
	}
}

/* --- nobody is shown who is blocked ---------------------------------------------------------- */

void blocks_answered(struct chaos *chaos, const struct call *call)
{
	struct json_object *answer, *version = NULL;

	if (call->target == 0 || call->status != 200 ||
	    !blocks_hide(chaos, call->device->user->id, call->target, call->sent - 1))
		return;
	answer = json_tokener_parse(call->body);
	json_object_object_get_ex(answer, "version", &version);
	chaos->result->hidden++;
	if (json_object_get_int64(version) != 0 || strstr(call->body, "\"is_online\":true") != NULL)
		violated(chaos, call->target,
			 "user %u is shown to user %u, one blocks the other: %s", call->target,
			 call->device->user->id, call->body);
	json_object_put(answer);
}

/* Whether the stream shows something of after the block began. */
static bool is_of_later(const struct chaos *chaos, const struct tab *tab, unsigned shown,
			const struct block *block, uint64_t version)
{
	bool is_blocker = block == block_of(chaos, shown, tab->device->user->id);
	uint64_t before = block->versions[is_blocker ? 0 : 1];

	/* What it shows was asked for after the block. */
	if (tab->opened > block->since)
		return true;
	/* What was under way then has come long since. */
	if (!tab->asleep && now_ms() > block->since + patience(RECOVERY))
		return true;
	return chaos->data_lost_at < block->since && before != 0 && version > before;
}

static void look(struct chaos *chaos, const struct tab *tab, unsigned shown,
		 const struct seen *seen, const char *event)
{
	const struct block *block = hiding(chaos, tab->device->user->id, shown);

	if (block == NULL || !seen->known || now_ms() < chaos->stalled_until)
		return;
	chaos->result->hidden++;
	if ((seen->version != 0 || seen->online) &&
	    is_of_later(chaos, tab, shown, block, seen->version))
		violated(chaos, shown,
			 "user %u is shown to user %u in %s: %s, version %llu; one has blocked the "
			 "other for %lld ms",
			 shown, tab->device->user->id, event, seen->word,
			 (unsigned long long)seen->version, (long long)(now_ms() - block->since));
}

void blocks_shown(struct chaos *chaos, struct tab *tab, const char *event)
{
	if (strcmp(event, "status_change") == 0 && tab->change_of != 0)
		look(chaos, tab, tab->change_of, &tab->change, event);
	for (unsigned i = 1; strcmp(event, "initial") == 0 && i <= chaos->user_count; i++)
		look(chaos, tab, i, &tab->view[i], event);
}

/* --- and both are seen again ----------------------------------------------------------------- */

static void check_tab(struct chaos *chaos, const struct tab *tab, unsigned other,
		      const struct reunion *reunion)
{
	unsigned id = tab->device->user->id;

	if (tab->state != TAB_READY || tab->asleep || tab->ready >= reunion->asked ||
	    !tab->view[other].known)
		return;
	chaos->result->reunions++;
	if (tab->initial_at < reunion->asked)
		violated(chaos, other,
			 "user %u does not see user %u again, %lld ms after the block ended", id,
			 other, (long long)(now_ms() - reunion->since));
}

static void check_reunion(struct chaos *chaos, const struct reunion *reunion)
{
	const struct block *ended = block_of(chaos, reunion->a, reunion->b);

	if (ended->since != reunion->since || blocks_may_hide(chaos, reunion->a, reunion->b) ||
	    !friends_are(chaos, reunion->a, reunion->b) ||
	    chaos_in_trouble(chaos, reunion->asked) || now_ms() < chaos->stalled_until)
		return;
	for (int i = 0; i < DEVICES * TABS; i++) {
		check_tab(chaos, &chaos->users[reunion->a].devices[i / TABS].tabs[i % TABS],
			  reunion->b, reunion);
		check_tab(chaos, &chaos->users[reunion->b].devices[i / TABS].tabs[i % TABS],
			  reunion->a, reunion);
	}
}

void blocks_passed(struct chaos *chaos)
{
	struct reunion **at = &chaos->reunions;

	while (*at != NULL) {
		struct reunion *reunion = *at;

		if (now_ms() < reunion->since + patience(SEEN_AGAIN)) {
			at = &reunion->next;
			continue;
		}
		check_reunion(chaos, reunion);
		*at = reunion->next;
		free(reunion);
	}
}

/* --- when all is quiet ----------------------------------------------------------------------- */

void blocks_settled(struct chaos *chaos, const struct snapshot *snapshot)
{
	for (unsigned a = 1; a <= chaos->user_count; a++) {
		for (unsigned b = 1; b <= chaos->user_count; b++) {
			const struct block *block = block_of(chaos, a, b);
			bool blocks = block->state == YES;

			if (block->state == MAYBE)
				continue;
			if (snapshot_blocks(chaos, snapshot, a, b) != blocks ||
			    snapshot_blocked_by(chaos, snapshot, b, a) != blocks)
				violated(chaos, a,
					 "user %u %s user %u; user:blocked:%u says %s, "
					 "user:blocked_by:%u %s",
					 a, blocks ? "blocks" : "does not block", b, a,
					 snapshot_blocks(chaos, snapshot, a, b) ? "yes" : "no", b,
					 snapshot_blocked_by(chaos, snapshot, b, a) ? "yes" : "no");
		}
	}
}
