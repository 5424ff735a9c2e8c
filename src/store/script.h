/*
 * Lua scripts in Redis (EVALSHA): loading one, its name there, and calling it.
 * Pure functions.
 */
#ifndef PRESENCE_STORE_SCRIPT_H
#define PRESENCE_STORE_SCRIPT_H

#include <stddef.h>

#include "base/buf.h"

#define SCRIPT_NAME_LEN 40 /* SHA-1 in hex */

void script_name(const char *text, size_t len, char name[SCRIPT_NAME_LEN + 1]);
void script_put_load(struct printbuf *out, const char *text, size_t len);

#endif
