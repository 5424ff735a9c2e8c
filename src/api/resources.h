/* The handlers that the table in main.c names; contract: docs/api.md. */
#ifndef PRESENCE_API_RESOURCES_H
#define PRESENCE_API_RESOURCES_H

#include "api/request.h"

/* auth.c */
route_handler auth_login, auth_logout, auth_refresh, auth_ticket;

/* friends.c */
route_handler friends_list, friends_status;

/* status.c */
route_handler status_users, status_user, status_heartbeat, status_count;

/* state.c */
route_handler state_get, state_put, state_delete;

/* settings.c */
route_handler settings_get, settings_put;

/* nearby.c */
route_handler location_put, location_delete, nearby_list;

/* typing.c */
route_handler typing_tell;

/* blocks.c */
route_handler blocks_list, blocks_add, blocks_remove;

/* online.c */
route_handler online_page;

/* push.c */
route_handler push_key, push_subscriptions, push_subscribe, push_unsubscribe, push_when_online,
	push_not_when_online, push_notify;

/* metrics.c */
route_handler metrics_scrape;

/* admin.c */
route_handler admin_user, admin_kick;

/* health.c */
route_handler health_report, health_no_streams;

#endif
