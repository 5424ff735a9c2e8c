/* explain: all that is known of how one user looks to another, from Redis and the directory. */
#ifndef PRESENCE_CTL_FACTS_H
#define PRESENCE_CTL_FACTS_H

#include "ctl/chosen.h"
#include "ctl/ctl.h"
#include "ctl/sessions.h"
#include "store/status.h"

#define FACTS_UNKNOWN INT64_MIN /* of times: there is none */

enum friendship { FRIEND_NO, FRIEND_YES, FRIEND_SELF, FRIEND_UNKNOWN };

struct facts {
	const struct config *config;
	struct userid viewer, id;
	const struct store *store; /* the partition of the latter */

	enum friendship friendship;
	char *name; /* of the friend */
	size_t friends; /* how many the viewer has */
	bool blocks, blocked_by; /* the viewer blocks the user; the other way round */

	struct status status; /* as Redis has it; */
	struct status told; /* and with the times that may be told */
	int64_t key_left; /* ms; FACTS_UNKNOWN: no key, -1: a key without an end */
	bool is_member; /* of online_users */
	int64_t deadline_left; /* ms; FACTS_UNKNOWN: in no deadlines */
	int64_t not_before; /* seconds, FACTS_UNKNOWN: not set */
	int64_t swept_ago; /* ms; FACTS_UNKNOWN: never */
	redisReply **replies; /* that the sessions borrow from */
	struct session_list sessions;
	struct chosen chosen;
	bool *revoked; /* by session */
	size_t alive; /* sessions whose deadline lies ahead */
};

/*
 * Asks for all about `id` as `viewer` sees it; false after saying what is wrong.
 * Either way facts_clear() frees what is in them.
 */
bool facts_gather(struct ctl *ctl, const struct userid *viewer, const struct userid *id,
		  struct facts *facts);
void facts_clear(struct facts *facts);

/* What the site tells at most of when a user was active last. */
enum last_seen facts_site_rule(const struct facts *facts);
/* Whether the viewer may ask for the user, by the site's rule; and sees it then, for nobody blocks. */
bool facts_may_ask(const struct facts *facts);
bool facts_is_blocked(const struct facts *facts);
bool facts_is_visible(const struct facts *facts);
/* Whether a presence-streamd sweeps the user's partition. */
bool facts_is_swept(const struct facts *facts);

#endif
