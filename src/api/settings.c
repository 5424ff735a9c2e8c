/* What a user lets others learn (docs/api.md, "settings"). */
#include "store/settings.h"

#include "api/nearby.h"
#include "api/resources.h"
#include "store/keys.h"
#include "store/resp.h"

/* What holds: the user's own, but not laxer than the site's. */
static void answer_settings(struct request *request, const struct settings *settings)
{
	enum last_seen site = (enum last_seen)request->service->config->presence.last_seen;

	buf_puts(request->answer, "{");
	settings_put_members(request->answer, settings, settings_rule(settings, site));
	buf_puts(request->answer, "}");
}

/* As it is kept, which is not at all where it says nothing. */
static void put_kept(struct printbuf *out, const struct settings *settings)
{
	if (settings_are_default(settings))
		return;
	buf_puts(out, "{");
	settings_put_members(out, settings, settings->last_seen);
	buf_puts(out, "}");
}

struct problem settings_put(struct request *request)
{
	const char *wrong;
	const struct settings settings = settings_from_json(request->body, &wrong);
	struct printbuf *kept, *pipeline;
	struct problem problem;

	if (wrong != NULL)
		return request_refuse(PROBLEM_BAD_VALUE, wrong);
	kept = buf_new();
	put_kept(kept, &settings);
	pipeline = request_touch(request, "activity");
	store_put_settings(pipeline, request->store, &request->token.user, request->token.name,
			   request->token.issued, kept->buf);
	printbuf_free(kept);
	if (!settings.nearby)
		nearby_put_leave(request, pipeline);
	problem = request_ask_touched(request, 1 + (settings.nearby ? 0 : NEARBY_LEAVE));
	if (problem.kind == PROBLEM_NONE)
		problem = request_check(request, store_read_noted(request->replies[1]));
	if (problem.kind == PROBLEM_NONE && !settings.nearby)
		problem = nearby_tell_left(request, 2);
	if (problem.kind == PROBLEM_NONE)
		answer_settings(request, &settings);
	return problem;
}

struct problem settings_get(struct request *request)
{
	struct printbuf *pipeline = request_touch(request, "activity");
	struct settings settings;
	struct problem problem;

	resp_begin(pipeline, 2);
	resp_text(pipeline, "GET");
	resp_key(pipeline, store_prefix(request->store), KEY_SETTINGS, request->token.user.text);
	problem = request_ask_touched(request, 1);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	settings = settings_read(request->replies[1]);
	answer_settings(request, &settings);
	return problem;
}
