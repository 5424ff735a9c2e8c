/* What a user lets others learn: user:settings:{id} (docs/api.md, "settings"). */
#ifndef PRESENCE_API_SETTINGS_H
#define PRESENCE_API_SETTINGS_H

#include <stdbool.h>

#include <hiredis/hiredis.h>

struct settings {
	int last_seen; /* enum last_seen */
	bool typing;
	bool nearby; /* with friends */
};

/* Of the key's value; the defaults where there is none, or nothing of ours. */
struct settings settings_read(const redisReply *value);

#endif
