#include "store/info.h"

#include <stdio.h>
#include <string.h>

#include "store/resp.h"

void info_find(const char *info, const char *name, char value[INFO_VALUE_SIZE])
{
	size_t len = strlen(name);
	const char *line = info;

	*value = '\0';
	while (line != NULL) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0 && line[len] == ':') {
			snprintf(value, INFO_VALUE_SIZE, "%.*s",
				 (int)strcspn(line + len + 1, "\r\n"), line + len + 1);
			return;
		}
		line = strchr(line, '\n');
	}
}

void info_put_replication(struct printbuf *out)
{
	resp_begin(out, 2);
	resp_text(out, "INFO");
	resp_text(out, "replication");
}

bool info_read_replication(const redisReply *reply, struct replication *replication)
{
	char role[INFO_VALUE_SIZE];

	if (reply->type != REDIS_REPLY_STRING)
		return false;
	info_find(reply->str, "role", role);
	info_find(reply->str, "master_replid", replication->id);
	replication->is_primary = strcmp(role, "master") == 0;
	return role[0] != '\0' && replication->id[0] != '\0';
}
