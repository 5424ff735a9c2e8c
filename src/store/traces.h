/*
 * What Redis holds about one user, and where: the names of all keys that are a
 * user's own or that may say something of a user among others. For forgetting,
 * for export and for moving to another layout. Pure functions; docs/privacy.md has the table in words.
 */
#ifndef PRESENCE_STORE_TRACES_H
#define PRESENCE_STORE_TRACES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/userid.h"

enum trace_kind {
	TRACE_NONE, /* nothing about this user can be there */
	TRACE_OWN, /* the user's own key */
	TRACE_UNTOLD, /* the same, but not for an export: what others chose, or where the user is */
	TRACE_FIELDS, /* the user's own Hash, of which an export has the fields alone, likewise */
	TRACE_MORE, /* the user's own key, whose name the id alone does not tell */
	TRACE_KEPT, /* the user's own key, which refuses old tokens; it ends by itself */
	TRACE_MEMBER, /* somebody else's Set: the id may be a member */
	TRACE_BLOCK, /* the same, of blocks: streams that are open know of it */
	TRACE_FIELD, /* somebody else's Hash: the id may be a field */
	TRACE_VALUE, /* a String, which may be the id */
	TRACE_PAIR, /* about two users, of whom this is one; it ends within seconds */
	TRACE_TICKET, /* a ticket, which may be the user's */
};

/* What a key is to this user; `name` is without the prefix of [redis]. */
enum trace_kind trace_kind(const char *name, size_t len, const struct userid *user);

/*
 * Whether the key holds what is to outlive the sessions: what a user chose, whom
 * it blocks, subscribed to and waits for, when it was last seen, which tokens are
 * refused. *user becomes the one whose partition it is in; "": no one's.
 */
bool trace_is_lasting(const char *name, size_t len, struct userid *user);

/* Whether a name is one of this service's, about a user or not; the site's own user:friends:{id} is none. */
bool trace_is_ours(const char *name, size_t len);

/* Appends the names of TRACE_OWN, _UNTOLD and _FIELDS, each as one argument; returns how many. */
unsigned traces_put_named(struct printbuf *out, const char *prefix, const struct userid *user);

#endif
