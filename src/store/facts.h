/* All that Redis knows of how one user looks to another; whether they are friends, the caller says. */
#ifndef PRESENCE_STORE_FACTS_H
#define PRESENCE_STORE_FACTS_H

#include "store/chosen.h"
#include "store/partitions.h"
#include "store/session_list.h"
#include "store/status.h"

#define FACTS_UNKNOWN INT64_MIN /* of times: there is none */

/* Whether the user is in the viewer's list; UNKNOWN: the directory does not answer. */
enum friendship { FRIEND_NO, FRIEND_YES, FRIEND_SELF, FRIEND_UNKNOWN };

struct facts {
	const struct config *config; /* borrowed */
	struct userid viewer, id;
	const struct store *store, *home; /* the partitions of the user and of the viewer */

	enum friendship friendship; /* SELF or UNKNOWN until the caller knows better */
	bool blocks, blocked_by; /* the viewer blocks the user; the other way round */

	struct status status; /* as Redis has it; */
	struct status told; /* and with the times that may be told */
	int64_t key_left; /* ms; FACTS_UNKNOWN: no key, -1: a key without an end */
	bool is_member; /* of online_users */
	int64_t deadline_left; /* ms; FACTS_UNKNOWN: in no deadlines */
	int64_t not_before; /* seconds, FACTS_UNKNOWN: not set */
	int64_t swept_ago; /* ms; FACTS_UNKNOWN: never */
	struct session_list sessions;
	struct chosen chosen;
	bool *revoked; /* by session */
	size_t alive; /* sessions whose deadline lies ahead */
};

/* About `id` as `viewer` sees it, of which nothing is known yet. */
void facts_init(struct facts *facts, const struct config *config,
		const struct partitions *partitions, const struct userid *viewer,
		const struct userid *id);
/* Frees what is in them; before the replies that were read are. */
void facts_clear(struct facts *facts);

/* The first round trip: what the user's partition is asked, then what the viewer's is. */
#define FACTS_COMMANDS (6 + CHOSEN_COMMANDS + SESSION_LIST_COMMANDS + 2)
void facts_put_user(struct printbuf *out, const struct facts *facts);
void facts_put_viewer(struct printbuf *out, const struct facts *facts);
/* Reads the replies to all of it, none of them an error; the facts borrow from them. False: malformed. */
bool facts_read(struct facts *facts, redisReply *const *replies);

/*
 * The second one, of the user's partition: which sessions' tokens are revoked, for these end when they
 * are next looked at. One command.
 */
void facts_put_revoked(struct printbuf *out, const struct facts *facts);
bool facts_read_revoked(struct facts *facts, const redisReply *reply);

/* What the site tells at most of when a user was active last. */
enum last_seen facts_site_rule(const struct facts *facts);
/* Whether the viewer may ask for the user, by the site's rule; and sees it then, for nobody blocks. */
bool facts_may_ask(const struct facts *facts);
bool facts_is_blocked(const struct facts *facts);
bool facts_is_visible(const struct facts *facts);
/* Whether a presence-streamd sweeps the user's partition. */
bool facts_is_swept(const struct facts *facts);

#endif
