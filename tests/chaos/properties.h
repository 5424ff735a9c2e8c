/* What must hold, and what it looks at. */
#ifndef PRESENCE_TESTS_CHAOS_PROPERTIES_H
#define PRESENCE_TESTS_CHAOS_PROPERTIES_H

#include "chaos/people.h"

/* A message on presence:broadcast. */
struct change {
	bool online;
	uint64_t version;
	const char *reason;
	char look[LOOK]; /* all that others see but times */
	struct json_object *status; /* borrowed */
	int64_t from, to; /* it was published in between */
};

/* What Redis holds of a user. */
struct kept {
	bool online; /* user:online:{id} */
	bool listed; /* in online_users */
	uint64_t version;
	char word[WORD], chosen[WORD]; /* the status; the state in user:chosen:{id} */
	enum rule rule; /* in user:settings:{id} */
	unsigned streams, tokens; /* sessions ahead of Redis' clock, not closing */
	unsigned sessions; /* all of them */
	double latest; /* of them, ms of Redis' clock; 0: none */
	double deadline; /* presence:deadlines; 0: none */
	long long ttl; /* of user:online:{id}, ms */
};

struct snapshot {
	double redis_now; /* ms */
	struct kept *users; /* [users + 1] */
	long long count; /* SCARD online_users */
	unsigned char *blocks; /* [users + 1][users + 1] */
};
/* Whether user:blocked:{id}, user:blocked_by:{id} hold the other. */
bool snapshot_blocks(const struct chaos *chaos, const struct snapshot *snapshot, unsigned id,
		     unsigned other);
bool snapshot_blocked_by(const struct chaos *chaos, const struct snapshot *snapshot, unsigned id,
			 unsigned other);

/* What the push service got for a user: by the webhook, which says of whom, or for a subscription. */
struct notification {
	unsigned user, friend; /* friend 0: for a subscription */
	unsigned device, subscription; /* of the user; which token's */
};

/* A row that has no function for a kind of event does not look at it. */
struct property {
	const char *name, *says;
	void (*settled)(struct chaos *chaos, const struct snapshot *snapshot);
	void (*published)(struct chaos *chaos, struct user *user, const struct change *change);
	void (*answered)(struct chaos *chaos, const struct call *call);
	/* What Redis holds, whenever it is looked at. */
	void (*kept)(struct chaos *chaos, struct user *user, const struct kept *kept);
	void (*shown)(struct chaos *chaos, struct tab *tab, const char *event);
	void (*notified)(struct chaos *chaos, const struct notification *notification);
	void (*passed)(struct chaos *chaos); /* some time has */
};
extern const struct property properties[];
extern const size_t property_count;
/* Called by a property: it does not hold, for this user (0: nobody in particular). */
void violated(struct chaos *chaos, unsigned user, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void properties_published(struct chaos *chaos, struct user *user, const struct change *change);
void properties_answered(struct chaos *chaos, const struct call *call);
void properties_shown(struct chaos *chaos, struct tab *tab, const char *event);
void properties_notified(struct chaos *chaos, const struct notification *notification);
void properties_passed(struct chaos *chaos);
/* What Redis holds at this moment, from time to time. */
void properties_peek(struct chaos *chaos);
/* All of the settled ones; true when they hold. */
bool properties_settled(struct chaos *chaos);
/* What was complained of longest becomes the run's failure. */
void properties_give_up(struct chaos *chaos);

#endif
