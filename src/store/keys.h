/* Redis: every key and channel is named here. docs/redis-keys.md tells what each holds. */
#ifndef PRESENCE_STORE_KEYS_H
#define PRESENCE_STORE_KEYS_H

#include "base/buf.h"

/* Each is followed by what names it: a user id, a token's name (tok), or nothing. */
#define KEY_ONLINE "user:online:" /* + id */
#define KEY_LAST_SEEN "user:last_seen:" /* + id */
#define KEY_WEBSOCKET "user:websocket:" /* + id */
#define KEY_SESSIONS "user:sessions:" /* + id */
#define KEY_FRIENDS "user:friends:" /* + id */
#define KEY_BLOCKED "user:blocked:" /* + id */
#define KEY_BLOCKED_BY "user:blocked_by:" /* + id */
#define KEY_CELL "user:cell:" /* + id */
#define KEY_CHOSEN "user:chosen:" /* + id */
#define KEY_IDLE "user:idle:" /* + id */
#define KEY_SETTINGS "user:settings:" /* + id */
#define KEY_RATE "presence:rate:" /* + what is counted, ":", id */
#define KEY_TYPING "presence:typing:" /* + id/id of who types */
#define KEY_VERSION "presence:version:" /* + id */
#define KEY_NOT_BEFORE "presence:not_before:" /* + id */
#define KEY_REVOKED "presence:revoked:" /* + id/tok */
#define KEY_TICKET "presence:ticket:" /* + ticket */
#define KEY_THROTTLE "presence:throttle:" /* + what is counted */
#define KEY_ONLINE_USERS "online_users"
#define KEY_DEADLINES "presence:deadlines"
#define KEY_LAYOUT "presence:layout"
#define KEY_MOVING "presence:moving"
#define KEY_EPOCH "presence:epoch"
#define KEY_SWEPT "presence:swept"
#define KEY_HOLD "presence:hold"
#define KEY_PAUSED "presence:paused"
#define KEY_RECOVERING "presence:recovering"
#define KEY_HEALTH "presence:health" /* nobody ever sees it */
#define KEY_FIGURES "presence:figures" /* the shared counters; + ":" and a process: its gauges */
#define KEY_PROCESSES "presence:processes"
#define KEY_TRANSITIONS "presence:transitions"
#define KEY_PUSH_SUBS "push:subs:" /* + id */
#define KEY_PUSH_OWNER "push:owner:" /* + a subscription's id */
#define KEY_PUSH_WANTED "push:wanted:" /* + id */
#define KEY_PUSH_WAITING "push:waiting:" /* + id */
#define KEY_PUSH_TAG "push:tag:" /* + id/tag */
#define KEY_PUSH_QUEUE "push:queue"
#define KEY_PUSH_LATER "push:later"
#define KEY_PUSH_OUTCOMES "push:outcomes"
#define KEY_PUSH_TICKED "push:ticked"
#define KEY_PUSH_PUSHD "push:pushd:" /* + a presence-pushd's own random id */

#define CHANNEL_STATUS "user:status:" /* + id */
#define CHANNEL_INBOX "user:inbox:" /* + id */
#define CHANNEL_BROADCAST "presence:broadcast"
#define CHANNEL_SELF "presence:streamd:" /* + a streamd's own random id */

#endif
