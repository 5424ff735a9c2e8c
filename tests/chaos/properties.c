/*
 * What must hold. Some of it at every moment: when a change is published, a call is answered, a stream
 * shows an event. The rest once all is quiet. A row: name, sentence, the functions that look.
 */
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define FOR_EACH_TAB(chaos, tab)                                                    \
	for (unsigned i_ = 1; i_ <= (chaos)->user_count; i_++)                      \
		for (unsigned j_ = 0; j_ < DEVICES; j_++)                           \
			for (struct tab *tab = (chaos)->users[i_].devices[j_].tabs, \
					*end_ = tab + TABS;                         \
			     tab < end_; tab++)

#define DEGRADES 10 /* of one stream in one episode */
#define AWAY 2000 /* a stream that has come to its lifetime's end is back by then */

static unsigned user_of(const struct tab *tab)
{
	return tab->device->user->id;
}

static void tab_name(const struct chaos *chaos, const struct tab *tab, char *name, size_t size)
{
	const struct device *device = tab->device;

	(void)chaos;
	snprintf(name, size, "%u.%d.%d", device->user->id, (int)(device - device->user->devices),
		 (int)(tab - device->tabs));
}

/* --- when a change is published -------------------------------------------------------------- */

/* One whose last deadline passed looks offline at once and is announced so by the next sweep: if it
 * comes back before that, it is announced online again. So is one with a stream, when the machine stood
 * still for so long that nobody renewed it. */
static void announced_once(struct chaos *chaos, struct user *user, const struct change *change)
{
	bool may_have_looked_offline =
		change->online && (!model_held(user, user->told_at, change->to) ||
				   change->to <= chaos->stalled_until);

	if (user->told && user->told_online == change->online &&
	    strcmp(user->told_look, change->look) == 0 && !may_have_looked_offline)
		violated(chaos, user->id, "user %u was announced %s twice, the second time as %s",
			 user->id, change->online ? "online" : "offline", change->reason);
}

static void versions_grow(struct chaos *chaos, struct user *user, const struct change *change)
{
	if (user->told && change->version <= user->told_version)
		violated(chaos, user->id, "user %u: version %llu is published after %llu", user->id,
			 (unsigned long long)change->version,
			 (unsigned long long)user->told_version);
}

static void no_false_offline(struct chaos *chaos, struct user *user, const struct change *change)
{
	if (!change->online && model_held(user, change->from, change->to) &&
	    change->to > chaos->stalled_until)
		violated(chaos, user->id,
			 "user %u is announced offline (%s), and was online for sure for %lld ms, "
			 "%lld ms to come",
			 user->id, change->reason, (long long)(change->to - user->held_since),
			 (long long)(user->held_until > FOREVER - 1
					     ? -1
					     : user->held_until - change->to));
}

static void no_ghost(struct chaos *chaos, struct user *user, const struct change *change)
{
	int64_t gone = model_gone_at(chaos, user);

	if (change->online && gone < change->from)
		violated(chaos, user->id,
			 "user %u is announced online (%s), and nothing of it has been alive for "
			 "%lld ms",
			 user->id, change->reason, (long long)(change->from - gone));
}

/* --- when a call is answered ----------------------------------------------------------------- */

static bool is_current(const struct call *call)
{
	return call->device != NULL && call->serial == call->device->serial &&
	       !call->device->logging_out;
}

/* 503 from us; from the web server 500 and worse, if what it was talking to died. */
static void calls_are_answered(struct chaos *chaos, const struct call *call)
{
	/* What was chosen too often is not taken. */
	bool may_be_refused = call->is_dead || call->device == NULL || !is_current(call);

	if ((call->status >= 200 && call->status < 300) || call->device == NULL ||
	    (call->status == 401 && may_be_refused) ||
	    (call->status == 429 && call->may_be_too_often))
		return;
	if (call->status == 401)
		violated(chaos, call->device->user->id, "a valid token of user %u is refused: %s",
			 call->device->user->id, call->body);
	else if (!chaos_excuses(chaos, call->status, call->sent))
		violated(chaos, call->device->user->id, "a call of user %u is answered %d: %s",
			 call->device->user->id, call->status, call->body);
}

static void dead_tokens_are_refused(struct chaos *chaos, const struct call *call)
{
	if (call->is_dead && call->status == 200 && chaos->data_lost_at < call->sent)
		violated(chaos, call->device->user->id,
			 "a token of user %u that was logged out is good again",
			 call->device->user->id);
}

static bool answer_of(const struct call *call, bool *online)
{
	struct json_object *answer, *value = NULL;

	if (call->target == 0 || call->status != 200)
		return false;
	answer = json_tokener_parse(call->body);
	if (json_object_object_get_ex(answer, "is_online", &value))
		*online = json_object_get_boolean(value);
	json_object_put(answer);
	return value != NULL;
}

static void no_false_answer(struct chaos *chaos, const struct call *call)
{
	struct user *user = &chaos->users[call->target];
	int64_t now = now_ms();
	bool online = false;

	if (!answer_of(call, &online) || now < chaos->stalled_until ||
	    blocks_may_hide(chaos, call->device->user->id, call->target))
		return;
	/* After a wipe nobody new is shown until what was chosen is known again. */
	if (!online &&
	    (chaos->data_lost_at == 0 || model_told_by(chaos, chaos->data_lost_at) < call->sent) &&
	    model_held(user, call->sent, now))
		violated(chaos, user->id,
			 "REST says that user %u is offline, who has been online for %lld ms",
			 user->id, (long long)(now - user->held_since));
	if (online && model_gone_at(chaos, user) < call->sent)
		violated(chaos, user->id,
			 "REST says that user %u is online, who has been gone for %lld ms",
			 user->id, (long long)(call->sent - model_gone_at(chaos, user)));
}

/* --- when a stream shows something ----------------------------------------------------------- */

/* Tabs of a user that may have a session, those that died just now included. */
static bool may_be_too_many(const struct tab *tab)
{
	const struct user *user = tab->device->user;
	unsigned streams = 0;

	for (int i = 0; i < DEVICES; i++) {
		const struct device *device = &user->devices[i];

		if (model_may_have_zombie(device) ||
		    device->closed_at + patience(RECOVERY) > now_ms())
			return true;
		for (int j = 0; j < TABS; j++)
			streams += device->tabs[j].state != TAB_CLOSED;
	}
	return streams > STREAMS_MAX;
}

static void streams_are_served(struct chaos *chaos, struct tab *tab, const char *event)
{
	int status = tab->conn.reader.in_head ? 0 : tab->conn.reader.status;
	char name[32];

	tab_name(chaos, tab, name, sizeof name);
	if (strcmp(event, "garbage") == 0)
		violated(chaos, user_of(tab), "tab %s got data that is not JSON", name);
	if (strcmp(event, "refused") != 0 || tab->device->logging_out || status == 200 ||
	    tab->state == TAB_ENDING)
		return;
	/* A ticket is gone with Redis' data. */
	if ((status == 429 && may_be_too_many(tab)) ||
	    (status == 401 && tab->way == 2 && chaos_in_trouble(chaos, tab->opened)))
		return;
	if (!chaos_excuses(chaos, status, tab->opened))
		violated(chaos, user_of(tab), "the stream of tab %s is answered %d", name, status);
}

static void streams_end_for_a_reason(struct chaos *chaos, struct tab *tab, const char *event)
{
	char name[32];

	tab_name(chaos, tab, name, sizeof name);
	if (strcmp(event, "bye") == 0) {
		if (strcmp(tab->bye, "lifetime") == 0 ||
		    (strcmp(tab->bye, "too_many_streams") == 0 && may_be_too_many(tab)) ||
		    (strcmp(tab->bye, "shutdown") == 0 && chaos_in_trouble(chaos, now_ms())))
			return;
		if (strcmp(tab->bye, "revoked") != 0 ||
		    (tab->state != TAB_ENDING && !tab->device->logging_out))
			violated(chaos, user_of(tab), "tab %s is told bye: %s", name, tab->bye);
	}
	/* One that reads nothing is closed. */
	if (strcmp(event, "end") == 0 && tab->bye[0] == '\0' && !tab->asleep &&
	    !tab->device->logging_out && !chaos_in_trouble(chaos, tab->conn.last_read))
		violated(chaos, user_of(tab), "the stream of tab %s ended without a reason", name);
}

/* Reconnecting again and again to a Redis that refuses helps nobody. */
static void degraded_in_trouble(struct chaos *chaos, struct tab *tab, const char *event)
{
	char name[32];

	tab_name(chaos, tab, name, sizeof name);
	if (strcmp(event, "degraded") != 0 || tab->asleep)
		return;
	if (!chaos_in_trouble(chaos, now_ms()))
		violated(chaos, user_of(tab), "tab %s is told that it is degraded, and all is well",
			 name);
	else if (tab->degrades > DEGRADES)
		violated(chaos, user_of(tab), "tab %s was told %u times that it is degraded", name,
			 tab->degrades);
}

/* --- when all is quiet ----------------------------------------------------------------------- */

static void tabs_are_back(struct chaos *chaos, const struct snapshot *snapshot)
{
	static const char *const names[] = {"closed",  "waiting", "asking for a ticket",
					    "opening", "ready",	  "still open after the logout"};

	(void)snapshot;
	FOR_EACH_TAB(chaos, tab)
	{
		char name[32];

		tab_name(chaos, tab, name, sizeof name);
		if (tab->state == TAB_CLOSED || tab->asleep)
			continue;
		if (tab->state != TAB_READY && tab->away_at + AWAY < now_ms())
			violated(chaos, user_of(tab), "tab %s is %s (last status %d, %u attempts)",
				 name, names[tab->state], tab->conn.reader.status, tab->failures);
		else if (tab->state == TAB_READY && tab->degraded_at != 0)
			violated(chaos, user_of(tab), "tab %s has been degraded for %lld ms", name,
				 (long long)(now_ms() - tab->degraded_at));
	}
}

/* The gap was of a server of Redis that has the user or one who is watched. */
static bool is_shown_server(const struct chaos *chaos, const struct tab *tab)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		if ((i == user_of(tab) || friends_are(chaos, user_of(tab), i)) &&
		    stand_server_of(chaos, i) == chaos->gap_server)
			return true;
	}
	return false;
}

static void gaps_are_filled(struct chaos *chaos, const struct snapshot *snapshot)
{
	(void)snapshot;
	FOR_EACH_TAB(chaos, tab)
	{
		char name[32];

		tab_name(chaos, tab, name, sizeof name);
		if (tab->state == TAB_READY && !tab->asleep && tab->ready < chaos->gap_at &&
		    tab->initial_at < chaos->gap_at && is_shown_server(chaos, tab))
			violated(chaos, user_of(tab), "tab %s got no new initial after the gap",
				 name);
	}
}

static void redis_tells_the_truth(struct chaos *chaos, const struct snapshot *snapshot)
{
	int64_t now = now_ms();

	for (unsigned i = 1; i <= chaos->user_count; i++) {
		const struct kept *kept = &snapshot->users[i];
		bool online;

		if (!model_decides(chaos, &chaos->users[i], now, &online)) {
			chaos->result->undecided++;
			continue;
		}
		chaos->result->decided++;
		if (kept->online != online)
			violated(chaos, i,
				 "user %u must be %s, user:online:%u says %s "
				 "(%u streams, %u tokens in user:sessions:%u)",
				 i, online ? "online" : "offline", i,
				 kept->online ? "online" : "offline", kept->streams, kept->tokens,
				 i);
	}
}

static void keys_agree(struct chaos *chaos, const struct snapshot *snapshot)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		const struct kept *kept = &snapshot->users[i];

		if (kept->online != kept->listed)
			violated(chaos, i, "user %u: user:online says %s, online_users %s", i,
				 kept->online ? "online" : "offline",
				 kept->listed ? "online" : "offline");
		if (kept->online !=
		    (kept->latest > snapshot->redis_now && strcmp(kept->chosen, "invisible") != 0))
			violated(chaos, i,
				 "user %u: user:online says %s, user:sessions ends %.0f ms %s", i,
				 kept->online ? "online" : "offline",
				 kept->latest > snapshot->redis_now
					 ? kept->latest - snapshot->redis_now
					 : snapshot->redis_now - kept->latest,
				 kept->latest > snapshot->redis_now ? "from now" : "ago");
		if (kept->latest <= snapshot->redis_now && kept->sessions > 0)
			violated(chaos, i, "user %u is gone and has %u sessions", i,
				 kept->sessions);
		if ((kept->deadline > 0) != (kept->sessions > 0) ||
		    (kept->deadline > 0 && (kept->deadline < kept->latest - 1 ||
					    kept->deadline > kept->latest + STREAM_TTL + HOLD)))
			violated(chaos, i,
				 "user %u: presence:deadlines says %.0f, the latest of %u sessions "
				 "%.0f",
				 i, kept->deadline, kept->sessions, kept->latest);
	}
}

/* Each open stream has its session, and no other has one. */
static void sessions_are_streams(struct chaos *chaos, const struct snapshot *snapshot)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		unsigned open = 0;
		bool may_differ = false;

		for (int j = 0; j < DEVICES; j++) {
			const struct device *device = &chaos->users[i].devices[j];

			may_differ = may_differ || model_may_have_zombie(device);
			for (int k = 0; k < TABS; k++)
				open += device->tabs[k].state == TAB_READY;
		}
		if (open > STREAMS_MAX)
			violated(chaos, i, "user %u has %u streams", i, open);
		if (snapshot->users[i].streams < open ||
		    (snapshot->users[i].streams > open && !may_differ))
			violated(chaos, i, "user %u has %u open streams and %u streams' sessions",
				 i, open, snapshot->users[i].streams);
	}
}

static void compare_view(struct chaos *chaos, const struct tab *tab,
			 const struct snapshot *snapshot)
{
	char name[32];

	tab_name(chaos, tab, name, sizeof name);
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		const struct kept *kept = &snapshot->users[i];
		const struct seen *seen = &tab->view[i];

		if (seen->known != friends_are(chaos, user_of(tab), i)) {
			violated(chaos, i, "tab %s shows user %u, %s", name, i,
				 seen->known ? "who is no friend any more"
					     : "no: a friend is missing");
			continue;
		}
		if (blocks_hide(chaos, user_of(tab), i, FOREVER) && seen->known &&
		    (seen->version != 0 || seen->online))
			violated(chaos, i, "tab %s shows user %u %s, and one blocks the other",
				 name, i, seen->word);
		if (!seen->known || blocks_may_hide(chaos, user_of(tab), i))
			continue;
		chaos->result->comparisons++;
		if (seen->online != kept->online || seen->version != kept->version ||
		    (kept->online && strcmp(seen->word, kept->word) != 0))
			violated(chaos, i,
				 "tab %s shows user %u %s, version %llu; Redis says %s, %llu", name,
				 i, seen->word, (unsigned long long)seen->version,
				 kept->online ? kept->word : "offline",
				 (unsigned long long)kept->version);
	}
}

static void views_equal_redis(struct chaos *chaos, const struct snapshot *snapshot)
{
	FOR_EACH_TAB(chaos, tab)
	{
		if (tab->state == TAB_READY && !tab->asleep)
			compare_view(chaos, tab, snapshot);
	}
}

static void compare_answer(struct chaos *chaos, struct json_object *answer,
			   const struct snapshot *snapshot)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		struct json_object *status, *online, *version, *word = NULL;
		const struct kept *kept = &snapshot->users[i];

		if (!json_object_object_get_ex(answer, chaos->users[i].text, &status) ||
		    !json_object_object_get_ex(status, "is_online", &online) ||
		    !json_object_object_get_ex(status, "version", &version)) {
			violated(chaos, i, "REST has no STATUS of user %u", i);
			return;
		}
		chaos->result->comparisons++;
		if (json_object_get_boolean(online) != kept->online ||
		    (uint64_t)json_object_get_int64(version) != kept->version ||
		    !json_object_object_get_ex(status, "status", &word) ||
		    strcmp(json_object_get_string(word), kept->online ? kept->word : "offline") !=
			    0)
			violated(chaos, i, "REST says that user %u is %s; Redis %s, version %llu",
				 i, json_object_to_json_string(status),
				 kept->online ? "online" : "offline",
				 (unsigned long long)kept->version);
	}
}

static struct json_object *ask(struct chaos *chaos, const char *path, const char *body)
{
	char *text;
	int status = call_wait(chaos, chaos->observer, path, body, &text);
	struct json_object *answer = json_tokener_parse(text);

	if (status != 200)
		violated(chaos, 0, "%s is answered %d: %s", path, status, text);
	free(text);
	return answer;
}

static void rest_equals_redis(struct chaos *chaos, const struct snapshot *snapshot)
{
	struct printbuf *body = buf_new();
	struct json_object *answer, *value = NULL;

	buf_puts(body, "{\"user_ids\":[1");
	for (unsigned i = 2; i <= chaos->user_count; i++)
		buf_putf(body, ",%u", i);
	buf_puts(body, "]}");
	answer = ask(chaos, "/online-status/users", body->buf);
	compare_answer(chaos, answer, snapshot);
	json_object_put(answer);
	printbuf_free(body);

	answer = ask(chaos, "/online-status/count", NULL);
	if (json_object_object_get_ex(answer, "count", &value) &&
	    json_object_get_int64(value) != snapshot->count)
		violated(chaos, 0, "REST counts %lld users online, Redis %lld",
			 (long long)json_object_get_int64(value), snapshot->count);
	json_object_put(answer);
}

static void lists_equal_redis(struct chaos *chaos, const struct snapshot *snapshot)
{
	bool *listed = xcalloc(chaos->user_count + 2, sizeof *listed);
	struct json_object *answer = ask(chaos, "/online-status/online?limit=10000", NULL), *ids;

	if (json_object_object_get_ex(answer, "user_ids", &ids)) {
		for (size_t i = 0; i < json_object_array_length(ids); i++) {
			int64_t id = json_object_get_int64(json_object_array_get_idx(ids, i));

			if (id >= 1 && id <= chaos->user_count)
				listed[id] = true;
		}
		for (unsigned i = 1; i <= chaos->user_count; i++) {
			if (listed[i] != snapshot->users[i].listed)
				violated(chaos, i, "the list of who is online %s user %u",
					 listed[i] ? "has" : "lacks", i);
		}
	}
	json_object_put(answer);
	free(listed);
}

static void neighbours_are_left_alone(struct chaos *chaos, const struct snapshot *snapshot)
{
	(void)snapshot;
	if (!stand_neighbours_are_well(chaos))
		violated(chaos, 0, "keys of another site, under a prefix, have changed");
}

/* --- the table ------------------------------------------------------------------------------- */

const struct property properties[] = {
	{"announced-once", "A transition is announced once", .published = announced_once},
	{"versions-grow", "A user's versions only grow", .published = versions_grow},
	{"no-false-offline", "Nobody with an open stream, or within grace, is announced offline",
	 .published = no_false_offline},
	{"no-ghost", "Nobody is announced online of whom nothing is alive", .published = no_ghost},
	{"calls-are-answered", "Valid calls are answered 200, or 5xx while something is amiss",
	 .answered = calls_are_answered},
	{"dead-tokens-are-refused", "A token that was logged out is refused",
	 .answered = dead_tokens_are_refused},
	{"no-false-answer", "REST never says offline of one who is online, nor the reverse",
	 .answered = no_false_answer},
	{"streams-are-served", "Streams are opened, or refused while something is amiss",
	 .shown = streams_are_served},
	{"streams-end-for-a-reason", "A stream ends with bye, or because something died",
	 .shown = streams_end_for_a_reason},
	{"degraded-in-trouble", "Streams are degraded only while something is amiss",
	 .shown = degraded_in_trouble},
	{"initial-shows-who-is-there",
	 "No initial shows anybody offline who has an open stream, after a wipe neither",
	 .shown = initials_shown},
	{"tabs-are-back", "Every open tab has its stream, and none of a logged-out device",
	 .settled = tabs_are_back},
	{"gaps-are-filled", "After a gap each stream got a new initial",
	 .settled = gaps_are_filled},
	{"redis-tells-the-truth",
	 "Redis says online of those who are, offline of those who are not",
	 .settled = redis_tells_the_truth},
	{"keys-agree", "online_users, user:online, user:sessions, presence:deadlines agree",
	 .settled = keys_agree},
	{"sessions-are-streams", "Each open stream has one session, and no other has one",
	 .settled = sessions_are_streams},
	{"views-equal-redis", "Every screen shows its friends, as Redis has them",
	 .settled = views_equal_redis},
	{"rest-equals-redis", "REST answers and counts as Redis has it",
	 .settled = rest_equals_redis},
	{"neighbours-are-left-alone", "Another site on the same Redis notices nothing",
	 .settled = neighbours_are_left_alone},
	{"hidden-are-not-shown",
	 "Nobody is shown who is invisible: not published, answered, on a screen, in a key",
	 .published = states_published, .answered = states_answered, .shown = states_shown,
	 .kept = states_kept},
	{"hidden-type-to-nobody",
	 "Nobody is seen to type who is invisible, nor by anybody to whom nobody typed",
	 .shown = typing_shown},
	{"states-are-true", "Friends see the state that was chosen, away of who is idle",
	 .settled = states_are_true},
	{"selves-agree", "Every tab shows its own user the state that was chosen",
	 .settled = states_selves_agree},
	{"blocked-are-not-shown",
	 "Neither of two sees the other once the call has returned that blocks",
	 .answered = blocks_answered, .shown = blocks_shown},
	{"seen-again-soon", "Both see each other again within a second after the end of a block",
	 .passed = blocks_passed},
	{"blocks-agree", "user:blocked and user:blocked_by say who blocks whom",
	 .settled = blocks_settled},
	{"settings-are-obeyed", "Others learn when a user was there as the user lets them",
	 .published = settings_published, .answered = settings_answered},
	{"notified-of-the-truth",
	 "A notification comes only to who asked and is gone, of one who is there for all to see",
	 .published = wishes_published, .notified = wishes_notified},
	{"notified-at-least-once", "Who waits for a friend is told when the friend comes back",
	 .settled = wishes_settled},
	{"lists-equal-redis", "REST lists who is online", .settled = lists_equal_redis},
};
const size_t property_count = sizeof properties / sizeof properties[0];
