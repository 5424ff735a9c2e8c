/* All Lua scripts of the store, as Redis gets to know them. */
#ifndef PRESENCE_STORE_SCRIPTS_H
#define PRESENCE_STORE_SCRIPTS_H

#include "base/buf.h"

/* Appends SCRIPT LOAD for each; returns how many commands that are. */
unsigned scripts_put_load(struct printbuf *out);

#endif
