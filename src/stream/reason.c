#include "stream/reason.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

void reason_set(struct reason *reason, const char *why)
{
	snprintf(reason->now, sizeof reason->now, "%s", why);
}

/* From its code on, and without the script. */
void reason_set_error(struct reason *reason, const redisReply *error)
{
	static const char by_script[] = "ERR user_script:";
	const char *code = NULL;
	char *script;

	if (strncmp(error->str, by_script, sizeof by_script - 1) == 0)
		code = strstr(error->str + sizeof by_script - 1, ": ");
	reason_set(reason, code != NULL ? code + 2 : error->str);
	script = strstr(reason->now, " script: ");
	if (script != NULL)
		*script = '\0';
}

/* Whether two reasons are one to whoever reads the log: an error of Redis by its code. */
static bool is_same(const char *a, const char *b)
{
	size_t code = strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	if (code > 1 && a[code] == ' ')
		return strncmp(a, b, code + 1) == 0;
	return strcmp(a, b) == 0;
}

void reason_tell(struct reason *reason, const char *name)
{
	if (is_same(reason->now, reason->told))
		return;
	log_warn("%s: %s", name, reason->now);
	memcpy(reason->told, reason->now, sizeof reason->told);
}
