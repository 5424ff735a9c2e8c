/* A user's sessions in words, for the commands that show them. */
#ifndef PRESENCE_CTL_SESSIONS_H
#define PRESENCE_CTL_SESSIONS_H

#include "store/session_list.h"

/* Appends a table. */
void sessions_put_lines(struct printbuf *out, const struct session_list *sessions,
			const char *indent);

#endif
