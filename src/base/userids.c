#include "base/userids.h"

#include <stdlib.h>

#include "base/alloc.h"

/* Sorts the list, which it frees, and keeps each id once. */
static struct userids *pack(struct userid *list, size_t count)
{
	size_t size = 0;
	struct userids *ids;
	char *at;

	qsort(list, count, sizeof *list, userid_compare);
	for (size_t i = 0; i < count; i++)
		size += strlen(list[i].text) + 1;
	ids = xmalloc(sizeof *ids + size);
	ids->count = 0;
	at = ids->texts;
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && userid_equal(&list[i - 1], &list[i]))
			continue;
		at = stpcpy(at, list[i].text) + 1;
		ids->count++;
	}
	free(list);
	return ids;
}

static size_t count_commas(const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; text++)
		count += *text == ',';
	return count;
}

enum userids_result userids_parse(const char *text, size_t max, struct userids **ids)
{
	size_t count = *text == '\0' ? 0 : count_commas(text) + 1;
	struct userid *list;

	if (count > max)
		return USERIDS_TOO_MANY;
	list = xcalloc(count, sizeof *list);
	for (size_t i = 0; i < count; i++) {
		size_t len = strcspn(text, ",");

		if (!userid_parse(text, len, &list[i])) {
			free(list);
			return USERIDS_BAD;
		}
		text += len + 1;
	}
	*ids = pack(list, count);
	return USERIDS_OK;
}

enum userids_result userids_from_json(struct json_object *value, size_t max, struct userids **ids)
{
	struct userid *list;
	size_t count;

	if (!json_object_is_type(value, json_type_array))
		return USERIDS_BAD;
	count = json_object_array_length(value);
	if (count > max)
		return USERIDS_TOO_MANY;
	list = xcalloc(count, sizeof *list);
	for (size_t i = 0; i < count; i++) {
		if (!userid_from_json(json_object_array_get_idx(value, i), &list[i])) {
			free(list);
			return USERIDS_BAD;
		}
	}
	*ids = pack(list, count);
	return USERIDS_OK;
}

void userids_put_json(struct printbuf *out, const struct userids *ids)
{
	const char *text = ids->texts;

	buf_puts(out, "[");
	for (size_t i = 0; i < ids->count; i++) {
		struct userid id;

		strcpy(id.text, text);
		buf_puts(out, i == 0 ? "" : ",");
		userid_put_json(out, &id);
		text = userids_next(text);
	}
	buf_puts(out, "]");
}
