/* The handlers behind the table of main.c; contract: docs/api.md. */
#ifndef PRESENCE_API_RESOURCES_H
#define PRESENCE_API_RESOURCES_H

#include <stdbool.h>
#include <string.h>

#include "api/request.h"

/* auth.c */
route_handler auth_login, auth_logout, auth_refresh, auth_ticket;

/* friends.c */
route_handler friends_list, friends_status;

/* status.c */
route_handler status_users, status_user, status_heartbeat, status_count;

/* online.c */
route_handler online_page;

/* health.c */
route_handler health_report, health_no_streams;

/* For qsort(3) and bsearch(3) over user ids, or structs that begin with one. */
static inline int compare_ids(const void *a, const void *b)
{
	return strcmp(((const struct userid *)a)->text, ((const struct userid *)b)->text);
}

/* One whose STATUS is asked for. */
struct watched {
	const struct userid *id; /* borrowed */
	bool hidden; /* from the caller: looks like an unknown user */
};

/* Answers with an object that has the STATUS of each of `count` distinct users. */
struct problem status_answer(struct request *request, const struct watched *list, size_t count);

/*
 * Whom the caller may see. With visibility = everyone that needs no directory;
 * else it is the caller and the caller's friends. Free with friends_free().
 */
struct problem friends_visible(struct request *request, struct friends *sorted);
bool friends_can_see(const struct request *request, const struct friends *sorted,
		     const struct userid *id);

#endif
