#include "store/figure.h"

/* clang-format off */
const int64_t figure_bounds[FIGURE_BOUNDS] = {
	50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
	1000000, 2500000, 5000000, 10000000, 30000000,
};
/* clang-format on */

#define GAUGE FIGURE_GAUGE
#define COUNTER FIGURE_COUNTER
#define HISTOGRAM FIGURE_HISTOGRAM
#define UP_TO_A_SECOND 0, 14
#define UP_TO_TEN_SECONDS 3, 14
#define UP_TO_HALF_A_MINUTE 10, 8

/* clang-format off */
const struct figure_family figure_families[FIGURE_COUNT] = {
	[FIGURE_ONLINE_USERS] = {"online_users", GAUGE, {NULL},
		"Users who are online.", 0, 0},
	[FIGURE_TRANSITIONS] = {"transitions_total", COUNTER, {"reason"},
		"Changes of users that were announced.", 0, 0},
	[FIGURE_OFFLINE_DELAY] = {"offline_delay_seconds", HISTOGRAM, {NULL},
		"From a user's last deadline until offline was announced.", UP_TO_HALF_A_MINUTE},
	[FIGURE_GHOSTS_CHECKED] = {"ghosts_checked_total", COUNTER, {NULL},
		"Online users whom sweeps compared with other keys.", 0, 0},
	[FIGURE_GHOSTS_REPAIRED] = {"ghosts_repaired_total", COUNTER, {NULL},
		"Those of them who were not as their sessions say.", 0, 0},
	[FIGURE_STREAMS] = {"streams", GAUGE, {"process"},
		"Streams that are open or opening.", 0, 0},
	[FIGURE_STREAMS_MAX] = {"streams_max", GAUGE, {"process"},
		"How many streams there may be.", 0, 0},
	[FIGURE_CONNECTIONS] = {"connections", GAUGE, {"process"},
		"Connections of web servers.", 0, 0},
	[FIGURE_TOPICS] = {"topics", GAUGE, {"process"},
		"Channels that streams listen to.", 0, 0},
	[FIGURE_STREAMS_OPENED] = {"streams_opened_total", COUNTER, {NULL},
		"Streams that were opened.", 0, 0},
	[FIGURE_STREAMS_CLOSED] = {"streams_closed_total", COUNTER, {"reason"},
		"Streams that ended.", 0, 0},
	[FIGURE_STREAMS_REFUSED] = {"streams_refused_total", COUNTER, {"code"},
		"Requests for a stream that were answered by an error.", 0, 0},
	[FIGURE_MESSAGES] = {"messages_total", COUNTER, {NULL},
		"Messages heard from Redis.", 0, 0},
	[FIGURE_MESSAGES_DROPPED] = {"messages_dropped_total", COUNTER, {NULL},
		"Messages that are not what the service says.", 0, 0},
	[FIGURE_DELIVERIES] = {"deliveries_total", COUNTER, {NULL},
		"Changes put on their way to a reader.", 0, 0},
	[FIGURE_DELIVERIES_DROPPED] = {"deliveries_dropped_total", COUNTER, {NULL},
		"Changes that a slow reader did not get.", 0, 0},
	[FIGURE_DELIVERY_TIME] = {"delivery_seconds", HISTOGRAM, {NULL},
		"From a message's receipt until all its deliveries were written.", UP_TO_A_SECOND},
	[FIGURE_INITIALS] = {"initials_total", COUNTER, {NULL},
		"Snapshots sent to readers.", 0, 0},
	[FIGURE_RESYNCS] = {"resyncs_total", COUNTER, {NULL},
		"Snapshots that were not a stream's first.", 0, 0},
	[FIGURE_SLOW_READERS] = {"slow_readers_total", COUNTER, {NULL},
		"Times that a reader's queue was full.", 0, 0},
	[FIGURE_REGISTRATIONS] = {"registrations_total", COUNTER, {NULL},
		"Sessions of streams told to Redis, new or renewed.", 0, 0},
	[FIGURE_REDIS_UP] = {"redis_up", GAUGE, {"process", "server"},
		"Whether the process reaches the server.", 0, 0},
	[FIGURE_REDIS_CONNECTS] = {"redis_connects_total", COUNTER, {"server"},
		"Times that a presence-streamd connected to the server.", 0, 0},
	[FIGURE_REDIS_LOSSES] = {"redis_losses_total", COUNTER, {"server"},
		"Times that a presence-streamd lost the server.", 0, 0},
	[FIGURE_REDIS_ECHO] = {"redis_echo_seconds", HISTOGRAM, {NULL},
		"From a PUBLISH until it is heard.", UP_TO_A_SECOND},
	[FIGURE_PARTITIONS] = {"partitions", GAUGE, {"process", "state"},
		"Partitions by their state.", 0, 0},
	[FIGURE_REQUESTS] = {"http_requests_total", COUNTER, {"route", "status"},
		"Calls that were answered.", 0, 0},
	[FIGURE_REQUEST_TIME] = {"http_request_seconds", HISTOGRAM, {"route"},
		"From a call's arrival until its answer was written.", UP_TO_TEN_SECONDS},
	[FIGURE_WORKERS] = {"workers", GAUGE, {NULL},
		"Processes of presence-api.", 0, 0},
	[FIGURE_WORKER_STARTS] = {"worker_starts_total", COUNTER, {NULL},
		"Processes of presence-api that were started.", 0, 0},
	[FIGURE_PUSH_OUTCOMES] = {"push_outcomes_total", COUNTER, {"outcome"},
		"What became of notifications.", 0, 0},
	[FIGURE_PUSH_QUEUE] = {"push_queue", GAUGE, {NULL},
		"Notifications that are to be sent.", 0, 0},
	[FIGURE_PUSH_LATER] = {"push_later", GAUGE, {NULL},
		"Notifications that wait.", 0, 0},
	[FIGURE_PUSH_UNDER_WAY] = {"push_under_way", GAUGE, {"process"},
		"Notifications that the process has taken.", 0, 0},
	[FIGURE_BUILD] = {"build_info", GAUGE, {"process", "version"},
		"Which version the process is; always 1.", 0, 0},
};
/* clang-format on */
