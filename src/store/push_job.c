#include "store/push_job.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "base/number.h"

const char *const push_urgency_names[PUSH_URGENCY_COUNT] = {"very-low", "low", "normal", "high"};
const char *const push_only_names[PUSH_ONLY_COUNT] = {"offline", "away", "always"};

int push_name_index(const char *const *names, int count, const char *word)
{
	for (int i = 0; i < count; i++) {
		if (strcmp(names[i], word) == 0)
			return i;
	}
	return -1;
}

bool push_job_is_left(const struct push_job *job, const char *id)
{
	for (size_t i = 0; i < job->left_count; i++) {
		if (strcmp(job->left[i], id) == 0)
			return true;
	}
	return job->left_count == 0;
}

/* --- writing --------------------------------------------------------------------------------- */

static void put_text(struct printbuf *out, const char *name, const char *text)
{
	if (*text == '\0')
		return;
	buf_putf(out, ",\"%s\":", name);
	json_put_string(out, text, strlen(text));
}

static void put_number(struct printbuf *out, const char *name, int64_t number)
{
	if (number != 0)
		buf_putf(out, ",\"%s\":%" PRId64, name, number);
}

void push_job_put(struct printbuf *out, const struct push_job *job)
{
	buf_putf(out, "{\"id\":\"%s\",\"user\":\"%s\"", job->id, job->user.text);
	if (job->is_online)
		put_text(out, "friend", job->friend.text);
	put_text(out, "title", job->title);
	put_text(out, "body", job->body);
	put_text(out, "url", job->url);
	put_text(out, "tag", job->tag);
	buf_putf(out, ",\"ttl\":%d", job->ttl);
	put_text(out, "urgency", push_urgency_names[job->urgency]);
	put_text(out, "only_if", push_only_names[job->only_if]);
	put_number(out, "expires", job->expires_ms);
	put_number(out, "tries", job->tries);
	put_number(out, "counted", job->counted);
	put_number(out, "shortened", job->shortened);
	for (size_t i = 0; i < job->left_count; i++)
		buf_putf(out, "%s\"%s\"%s", i == 0 ? ",\"left\":[" : ",", job->left[i],
			 i + 1 == job->left_count ? "]" : "");
	buf_puts(out, "}");
}

/* --- reading --------------------------------------------------------------------------------- */

/* A member that is a text of at most `max` bytes; "" when it is missing. */
static bool read_text(struct json_object *object, const char *name, char *text, size_t max)
{
	struct json_object *value = json_member(object, name);
	const char *found = "";

	if (value != NULL && !json_is_text(value, max, &found))
		return false;
	strcpy(text, found);
	return true;
}

/* A member that is a whole number from 0 to `max`; 0 when it is missing. */
static bool read_number(struct json_object *object, const char *name, int64_t max, int64_t *number)
{
	struct json_object *value = json_member(object, name);

	*number = value != NULL ? json_object_get_int64(value) : 0;
	return (value == NULL || json_object_is_type(value, json_type_int)) && *number >= 0 &&
	       *number <= max;
}

static bool read_flag(struct json_object *object, const char *name, bool *flag)
{
	int64_t number;
	bool ok = read_number(object, name, 1, &number);

	*flag = number == 1;
	return ok;
}

/* A member that is one of the names; `fallback` when it is missing. */
static bool read_name(struct json_object *object, const char *name, const char *const *names,
		      int count, int fallback, int *index)
{
	struct json_object *value = json_member(object, name);
	const char *word;

	*index = fallback;
	if (value == NULL)
		return true;
	*index = json_is_text(value, 16, &word) ? push_name_index(names, count, word) : -1;
	return *index >= 0;
}

static bool read_id(struct json_object *object, const char *name, struct userid *id)
{
	const char *text;

	return json_is_text(json_member(object, name), USERID_MAX, &text) &&
	       userid_parse(text, strlen(text), id);
}

static bool read_left(struct json_object *object, struct push_job *job)
{
	struct json_object *list = json_member(object, "left");
	const char *id;

	if (list == NULL)
		return true;
	if (!json_object_is_type(list, json_type_array) ||
	    json_object_array_length(list) > PUSH_RECEIVERS_MAX)
		return false;
	job->left_count = json_object_array_length(list);
	for (size_t i = 0; i < job->left_count; i++) {
		if (!json_is_text(json_object_array_get_idx(list, i), PUSH_SUBSCRIPTION_ID_LEN,
				  &id) ||
		    !userid_is_word(id, PUSH_SUBSCRIPTION_ID_LEN))
			return false;
		strcpy(job->left[i], id);
	}
	return true;
}

static bool read_job(struct json_object *object, struct push_job *job)
{
	int64_t ttl, tries;
	int urgency, only_if;
	bool ok = read_text(object, "id", job->id, sizeof job->id - 1) &&
		  userid_is_word(job->id, sizeof job->id - 1) &&
		  read_id(object, "user", &job->user) &&
		  read_text(object, "title", job->title, PUSH_TITLE_MAX) &&
		  read_text(object, "body", job->body, PUSH_BODY_MAX) &&
		  read_text(object, "url", job->url, PUSH_URL_MAX) &&
		  read_text(object, "tag", job->tag, PUSH_TAG_MAX) &&
		  (job->tag[0] == '\0' || userid_is_word(job->tag, PUSH_TAG_MAX)) &&
		  read_number(object, "ttl", PUSH_TTL_MAX, &ttl) &&
		  read_name(object, "urgency", push_urgency_names, PUSH_URGENCY_COUNT, PUSH_NORMAL,
			    &urgency) &&
		  read_name(object, "only_if", push_only_names, PUSH_ONLY_COUNT, PUSH_IF_OFFLINE,
			    &only_if) &&
		  read_number(object, "expires", NUMBER_MAX, &job->expires_ms) &&
		  read_number(object, "tries", INT32_MAX, &tries) &&
		  read_flag(object, "counted", &job->counted) &&
		  read_flag(object, "shortened", &job->shortened) && read_left(object, job);

	if (!ok)
		return false;
	job->ttl = (int)ttl;
	job->tries = (int)tries;
	job->urgency = (enum push_urgency)urgency;
	job->only_if = (enum push_only)only_if;
	job->is_online = json_member(object, "friend") != NULL;
	return !job->is_online || read_id(object, "friend", &job->friend);
}

bool push_job_read(const char *text, size_t len, struct push_job *job)
{
	const char *why;
	struct json_object *object = json_parse_object(text, len, &why);
	bool ok;

	memset(job, 0, sizeof *job);
	ok = object != NULL && read_job(object, job);
	json_object_put(object);
	return ok;
}
