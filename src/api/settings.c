#include "api/settings.h"

#include "api/resources.h"
#include "base/json.h"
#include "store/keys.h"
#include "store/resp.h"

static const char *const rules[] = {"exact", "coarse", "nobody"}; /* enum last_seen */
static const char *const nearness[] = {"off", "friends"};

static const struct settings defaults = {.last_seen = LAST_SEEN_EXACT, .typing = true};

static struct problem bad_value(const char *why)
{
	return request_refuse(PROBLEM_BAD_VALUE, why);
}

static bool is_default(const struct settings *settings)
{
	return settings->last_seen == defaults.last_seen && settings->typing == defaults.typing &&
	       settings->nearby == defaults.nearby;
}

/* The index of a word; false, and *index as it was, when it is none of them or missing. */
static bool find_word(struct json_object *value, const char *const *words, int count, int *index)
{
	const char *text;

	if (!json_is_text(value, 16, &text))
		return false;
	for (int i = 0; i < count; i++) {
		if (strcmp(text, words[i]) == 0) {
			*index = i;
			return true;
		}
	}
	return false;
}

static struct problem parse_settings(struct json_object *body, struct settings *settings)
{
	struct json_object *typing = json_member(body, "typing");
	int nearby = defaults.nearby;

	*settings = defaults;
	if (json_member(body, "last_seen") != NULL &&
	    !find_word(json_member(body, "last_seen"), rules, 3, &settings->last_seen))
		return bad_value("\"last_seen\" is exact, coarse or nobody.");
	if (typing != NULL && !json_object_is_type(typing, json_type_boolean))
		return bad_value("\"typing\" is true or false.");
	if (typing != NULL)
		settings->typing = json_object_get_boolean(typing);
	if (json_member(body, "nearby") != NULL &&
	    !find_word(json_member(body, "nearby"), nearness, 2, &nearby))
		return bad_value("\"nearby\" is off or friends.");
	settings->nearby = nearby != 0;
	return request_done();
}

struct settings settings_read(const redisReply *value)
{
	struct settings settings = defaults;
	struct json_object *stored;
	const char *why;

	if (value->type != REDIS_REPLY_STRING)
		return settings;
	stored = json_parse_object(value->str, value->len, &why);
	if (stored == NULL || parse_settings(stored, &settings).kind != PROBLEM_NONE)
		settings = defaults;
	json_object_put(stored);
	return settings;
}

static void put_settings(struct printbuf *out, const struct settings *settings)
{
	buf_putf(out, "{\"last_seen\":\"%s\",\"typing\":%s,\"nearby\":\"%s\"}",
		 rules[settings->last_seen], settings->typing ? "true" : "false",
		 nearness[settings->nearby]);
}

/* What holds: the user's own, but not laxer than the site's. */
static void answer_settings(struct request *request, struct settings settings)
{
	int rule = request->service->config->presence.last_seen;

	if (settings.last_seen < rule)
		settings.last_seen = rule;
	put_settings(request->answer, &settings);
}

struct problem settings_put(struct request *request)
{
	struct settings settings;
	struct problem problem = parse_settings(request->body, &settings);
	struct printbuf *text, *pipeline;

	if (problem.kind != PROBLEM_NONE)
		return problem;
	text = buf_new();
	if (!is_default(&settings))
		put_settings(text, &settings);
	pipeline = request_touch(request, "activity");
	store_put_settings(pipeline, request->store, &request->token.user, request->token.name,
			   request->token.issued, text->buf);
	printbuf_free(text);
	problem = request_ask_touched(request, 1);
	if (problem.kind == PROBLEM_NONE)
		problem = request_check(request, store_read_noted(request->replies[1]));
	if (problem.kind == PROBLEM_NONE)
		answer_settings(request, settings);
	return problem;
}

struct problem settings_get(struct request *request)
{
	struct printbuf *pipeline = request_touch(request, "activity");
	struct problem problem;

	resp_begin(pipeline, 2);
	resp_text(pipeline, "GET");
	resp_key(pipeline, store_prefix(request->store), KEY_SETTINGS, request->token.user.text);
	problem = request_ask_touched(request, 1);
	if (problem.kind == PROBLEM_NONE)
		answer_settings(request, settings_read(request->replies[1]));
	return problem;
}
