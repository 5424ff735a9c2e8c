/* What is true: what follows from what the clients know. */
#ifndef PRESENCE_TESTS_CHAOS_MODEL_H
#define PRESENCE_TESTS_CHAOS_MODEL_H

#include "chaos/people.h"

#define FOREVER (INT64_MAX / 4)

/* The site's configuration, ms. A token lives far longer than any quiet time: what is to be taken
 * back early and is not shows. */
#define ONLINE_TTL 60000
#define STREAM_TTL 5000
#define GRACE 1000
#define HEARTBEAT 1000
#define SWEEP 1000
#define HOLD (HEARTBEAT + SWEEP) /* after a pause streams' users are spared that long */
#define LIFETIME 40000 /* of a stream, +- 20 % */
#define STREAMS_MAX 5 /* of one user; fewer than tabs */
#define SESSIONS_MAX 24 /* of one user */
#define REDIS_TIMEOUT 2500 /* longer than a busy machine may make anyone wait */
/* A server of several that was silent is not asked again for so long, as docs/scale.md says. */
#define LEFT_ALONE (3 * REDIS_TIMEOUT)

#define RECOVERY 4000 /* from the end of a fault until all works again (stretched) */
#define NOTICE 1000 /* until the end of a connection is noticed (stretched) */
#define DELIVERY 300 /* that what a stream says last may be on its way to the client (stretched) */

struct kept;
struct snapshot;
struct change;

/* --- model.c --------------------------------------------------------------------------------- */

void model_activity_taken(struct device *device, int64_t sent);
void model_activity_in_doubt(struct device *device); /* sent, or without a clear answer */
void model_answered(const struct call *call); /* a call that counts as activity */
void model_stream_ready(struct tab *tab);
void model_stream_closed(struct tab *tab, bool was_ready); /* by us */
void model_stream_lost(struct tab *tab, bool was_ready); /* by the other side */
void model_stream_asleep(struct tab *tab);
/* comes_back: the server hears of its end when the network is back, not only by the stream's lifetime. */
void model_stream_vanished(struct tab *tab, bool was_ready, bool comes_back);
void model_device_back(struct device *device); /* what vanished and comes back ends now */
void model_host_cut(struct chaos *chaos, int host); /* from Redis; others are not */
void model_host_back(struct tab *tab);
void model_logout_sent(struct device *device);
void model_logged_out(struct device *device); /* is known to be */
/* The user has so many sessions that tokens' are pushed out. */
void model_crowded(struct user *user);
void model_data_lost(struct chaos *chaos, int server); /* of Redis */
/* A failover: what was taken since then may be undone, or not. */
void model_writes_lost(struct chaos *chaos, int64_t since);
/* Whether the session of a stream that ended without a word may still stand in Redis. */
bool model_may_have_zombie(const struct device *device);
void model_streamd_died(struct chaos *chaos); /* it may not have told of what closed just now */
/* When all has been told that could not be told at `at`. */
int64_t model_told_by(const struct chaos *chaos, int64_t at);
/* From then on nothing of the device, announcement not included. */
int64_t model_device_gone_at(const struct chaos *chaos, const struct device *device);
/* A new look at what is certain, after whatever changed it. */
void model_refresh(struct user *user);
/* Online for sure at every moment from `from` to `to`. */
bool model_held(const struct user *user, int64_t from, int64_t to);
/* From then on offline for sure, announcement included, if nothing more happens. */
int64_t model_gone_at(const struct chaos *chaos, const struct user *user);
/* True once, with *online: what is certain at this moment; false: either may be. */
bool model_decides(const struct chaos *chaos, const struct user *user, int64_t now, bool *online);

/* --- blocks.c -------------------------------------------------------------------------------- */

void blocks_init(struct chaos *chaos);
void blocks_change(struct chaos *chaos, struct device *device, unsigned other, bool adds);
bool blocks_may_hide(const struct chaos *chaos, unsigned a, unsigned b);
/* The two are hidden from one another for sure, since then at the latest. */
bool blocks_hide(const struct chaos *chaos, unsigned a, unsigned b, int64_t since);
void blocks_come_back(struct chaos *chaos); /* Redis was started again: those that ended just now */
void blocks_data_lost(struct chaos *chaos);
void blocks_writes_lost(struct chaos *chaos, int64_t since);
void blocks_stream_lost(struct chaos *chaos, const struct user *user);
void blocks_learn(struct chaos *chaos, const struct snapshot *snapshot);
/* The properties' functions. */
void blocks_answered(struct chaos *chaos, const struct call *call);
void blocks_shown(struct chaos *chaos, struct tab *tab, const char *event);
void blocks_passed(struct chaos *chaos);
void blocks_settled(struct chaos *chaos, const struct snapshot *snapshot);

/* --- settings.c ------------------------------------------------------------------------------ */

void settings_set(struct chaos *chaos, struct device *device, enum rule rule);
enum rule settings_parse(const char *text);
void settings_data_lost(struct user *user);
void settings_writes_lost(struct user *user, int64_t since);
void settings_learn(struct chaos *chaos, const struct snapshot *snapshot);
void settings_published(struct chaos *chaos, struct user *user, const struct change *change);
void settings_answered(struct chaos *chaos, const struct call *call);

/* --- wishes.c -------------------------------------------------------------------------------- */

struct notification;

void wishes_init(struct chaos *chaos);
/* When-online: wants to be told of the other, or no longer. */
void wishes_change(struct chaos *chaos, struct device *device, unsigned other, bool wants);
void wishes_subscribe(struct chaos *chaos, struct device *device);
/* What concerns these two may or may not be told. */
void wishes_doubt(struct chaos *chaos, unsigned a, unsigned b);
void wishes_data_lost(struct chaos *chaos);
void wishes_writes_lost(struct chaos *chaos, int64_t since);
void wishes_published(struct chaos *chaos, struct user *friend, const struct change *change);
void wishes_notified(struct chaos *chaos, const struct notification *notification);
/* When the user was last told of the other; 0: never. */
int64_t wishes_told_at(const struct chaos *chaos, unsigned id, unsigned other);
void wishes_settled(struct chaos *chaos, const struct snapshot *snapshot);

/* --- states.c -------------------------------------------------------------------------------- */

/* Chooses it, "" = automatic; one call of a user at a time. */
void states_choose(struct chaos *chaos, struct device *device, const char *word);
void states_say_idle(struct chaos *chaos, struct device *device, bool idle);
void states_data_lost(struct user *user);
void states_writes_lost(struct user *user, int64_t since);
/* A stream that knew it has ended, or cannot be heard. */
void states_stream_lost(struct user *user);
void states_initial(struct chaos *chaos, struct user *user);
/* Certainly invisible. */
bool states_hide(const struct user *user);
/* What was uncertain is as Redis has it when all is quiet. */
void states_learn(struct chaos *chaos, const struct snapshot *snapshot);
/* The properties' functions. */
void states_published(struct chaos *chaos, struct user *user, const struct change *change);
void states_answered(struct chaos *chaos, const struct call *call);
void states_shown(struct chaos *chaos, struct tab *tab, const char *event);
void states_kept(struct chaos *chaos, struct user *user, const struct kept *kept);
void states_are_true(struct chaos *chaos, const struct snapshot *snapshot);
void states_selves_agree(struct chaos *chaos, const struct snapshot *snapshot);

/* --- initials.c ------------------------------------------------------------------------------ */

void initials_watch(struct chaos *chaos); /* at each turn: whether all get time */
/* The property's function. */
void initials_shown(struct chaos *chaos, struct tab *tab, const char *event);

/* --- typing.c -------------------------------------------------------------------------------- */

struct said;
void typing_say(struct chaos *chaos, struct device *device, unsigned to);
/* The property's function. */
void typing_shown(struct chaos *chaos, struct tab *tab, const char *event);

#endif
