/*
 * What Redis holds about a user, as one JSON object. Left out: what gives access (a subscription's
 * keys, tickets), what others chose (who blocks the user, who waits for the user), and where the user
 * is.
 */
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "ctl/survey.h"
#include "ctl/values.h"

struct export
{
	struct userid user;
	struct printbuf *out;
	bool is_first; /* of the members or elements that are written */
};

/* Of a Hash whose values tell what others chose. */
static const struct values_reader fields_reader = {"hash", "HKEYS", {NULL}, false};

static const struct values_reader *find_reader(const struct survey_key *key)
{
	if (key->kind == TRACE_FIELDS)
		return strcmp(key->type, fields_reader.type) == 0 ? &fields_reader : NULL;
	if (key->kind != TRACE_OWN && key->kind != TRACE_MORE && key->kind != TRACE_KEPT)
		return NULL;
	return values_find_reader(key->type);
}

/* What is a JSON object stands there as one, without what gives access to a browser. */
static void put_text(struct printbuf *out, const redisReply *text)
{
	struct json_object *object = NULL;
	const char *why;

	if (text->type != REDIS_REPLY_STRING) {
		buf_puts(out, "null");
		return;
	}
	object = json_parse_object(text->str, text->len, &why);
	if (object == NULL) {
		json_put_string(out, text->str, text->len);
		return;
	}
	json_object_object_del(object, "auth");
	json_object_object_del(object, "p256dh");
	buf_puts(out, json_object_to_json_string_ext(
			      object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

static void put_value(struct printbuf *out, const struct values_reader *reader,
		      const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ARRAY) {
		put_text(out, reply);
		return;
	}
	buf_puts(out, reader->has_pairs ? "{" : "[");
	for (size_t i = 0; i < reply->elements; i++) {
		bool is_name = reader->has_pairs && i % 2 == 0;

		buf_puts(out, i == 0 ? "" : is_name || !reader->has_pairs ? "," : ":");
		if (is_name && reply->element[i]->type == REDIS_REPLY_STRING)
			json_put_string(out, reply->element[i]->str, reply->element[i]->len);
		else
			put_text(out, reply->element[i]);
	}
	buf_puts(out, reader->has_pairs ? "}" : "]");
}

/* Begins a member or an element, on a line of its own. */
static void put_next(struct export *export)
{
	buf_puts(export->out, export->is_first ? "\n" : ",\n");
	export->is_first = false;
}

static void put_keys(struct export *export, const struct survey_key *keys, size_t count,
		     redisReply **replies)
{
	size_t next = 0;

	for (size_t i = 0; i < count; i++) {
		const struct values_reader *reader = find_reader(&keys[i]);

		if (reader == NULL)
			continue;
		put_next(export);
		json_put_string(export->out, keys[i].own, strlen(keys[i].own));
		buf_puts(export->out, ":");
		put_value(export->out, reader, replies[next++]);
	}
}

static bool on_keys(struct ctl *ctl, void *arg, const struct survey_key *keys, size_t count)
{
	redisReply **replies = xcalloc(count + 1, sizeof *replies);
	size_t asked = 0;
	bool ok;

	nodes_begin(ctl->nodes);
	for (size_t i = 0; i < count; i++) {
		const struct values_reader *reader = find_reader(&keys[i]);

		if (reader == NULL)
			continue;
		values_put(nodes_to(ctl->nodes, keys[i].store), reader, keys[i].name, keys[i].len);
		asked++;
	}
	ok = ctl_run(ctl, asked, replies);
	if (ok && asked > 0) {
		put_keys(arg, keys, count, replies);
		blocking_free_replies(replies, asked);
	}
	free(replies);
	return ok;
}

static bool on_notes(struct ctl *ctl, void *arg, const struct survey_note *notes, size_t count)
{
	struct export *export = arg;

	(void)ctl;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(notes[i].job->user.text, export->user.text) != 0)
			continue; /* for somebody else, who waits for this user */
		put_next(export);
		push_job_put(export->out, notes[i].job);
	}
	return true;
}

enum ctl_exit ctl_export(struct ctl *ctl, char **args, int count)
{
	struct export export = {.is_first = true};
	bool ok;

	(void)count;
	if (!ctl_read_id(args[0], &export.user))
		return CTL_USAGE;
	export.out = buf_new();
	buf_puts(export.out, "{\"user_id\":");
	userid_put_json(export.out, &export.user);
	buf_puts(export.out, ",\"keys\":{");
	ok = survey_keys(ctl, &export.user, on_keys, &export);
	buf_puts(export.out, "},\n\"notifications\":[");
	export.is_first = true;
	ok = ok && survey_notes(ctl, &export.user, on_notes, &export);
	buf_puts(export.out, "]}\n");
	if (ok)
		ctl_print(export.out);
	printbuf_free(export.out);
	return ok ? CTL_DONE : CTL_FAILED;
}
