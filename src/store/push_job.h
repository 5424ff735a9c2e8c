/*
 * One notification for one user, as it waits in push:queue and push:later: a
 * JSON object, written here and read here. Pure functions.
 */
#ifndef PRESENCE_STORE_PUSH_JOB_H
#define PRESENCE_STORE_PUSH_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/random.h"
#include "base/userid.h"
#include "store/push_subscription.h"

#define PUSH_TITLE_MAX 256 /* bytes */
#define PUSH_BODY_MAX 2048 /* bytes */
#define PUSH_URL_MAX 1024 /* bytes */
#define PUSH_TAG_MAX 64 /* characters of the alphabet of user ids */
#define PUSH_TTL_MAX 2419200 /* seconds: 4 weeks */
#define PUSH_TTL_DEFAULT 86400
#define PUSH_RECEIVERS_MAX (PUSH_SUBSCRIPTIONS_MAX + 1) /* of one job: and the webhook */
#define PUSH_NAME_MAX 200 /* bytes of a friend's name */

/* RFC 8030 section 5.3, and their names in JSON. */
enum push_urgency { PUSH_VERY_LOW, PUSH_LOW, PUSH_NORMAL, PUSH_HIGH, PUSH_URGENCY_COUNT };
extern const char *const push_urgency_names[PUSH_URGENCY_COUNT];

/* Who gets it: those who are offline; they and the absent; everybody. */
enum push_only { PUSH_IF_OFFLINE, PUSH_IF_AWAY, PUSH_ALWAYS, PUSH_ONLY_COUNT };
extern const char *const push_only_names[PUSH_ONLY_COUNT];

struct push_job {
	char id[RANDOM_ID_LEN + 16]; /* stays the same however often it is tried */
	struct userid user; /* who is to be told */
	bool is_online; /* that `friend` came online; title is looked up when it is sent */
	struct userid friend;
	char title[PUSH_TITLE_MAX + 1];
	char body[PUSH_BODY_MAX + 1]; /* "" = none */
	char url[PUSH_URL_MAX + 1]; /* "" = the site's root */
	char tag[PUSH_TAG_MAX + 1]; /* "" = none */
	int ttl; /* seconds */
	enum push_urgency urgency;
	enum push_only only_if;

	/* What changes with each try; zeros at first. */
	int64_t expires_ms; /* Redis' clock; 0 = ttl seconds after the first look at it */
	int tries; /* requests that failed */
	bool counted; /* in what its user gets in an hour */
	bool shortened; /* a push service found it too large */
	/* The receivers that are left, when some have got it; none = all. */
	char left[PUSH_RECEIVERS_MAX][PUSH_SUBSCRIPTION_ID_LEN + 1];
	size_t left_count;
};

/* The index of a word in such a list of names, or -1. */
int push_name_index(const char *const *names, int count, const char *word);

void push_job_put(struct printbuf *out, const struct push_job *job);

/* False when the text is no such object: somebody else wrote it. */
bool push_job_read(const char *text, size_t len, struct push_job *job);

/* Whether the receiver (a subscription's id, or the webhook's) is one of those that are left. */
bool push_job_is_left(const struct push_job *job, const char *id);

#endif
