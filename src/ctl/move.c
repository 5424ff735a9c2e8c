/* move: what is worth keeping, from the configured layout to another one. */
#include "ctl/ctl.h"

#include <string.h>

#include "base/json.h"
#include "ctl/copies.h"
#include "ctl/sweeper.h"
#include "store/reply.h"
#include "store/resp.h"
#include "store/traces.h"

#define PIECE 200 /* keys at a time; of the largest a few 100 kB each */
#define TOLD_MAX 20 /* differences that are listed */

struct move {
	struct layouts layouts;
	struct copies copies;
	unsigned long long keys; /* of the old layout's servers; 0: they do not say */
	struct printbuf *differences; /* what is printed */
	bool json;
};

/* --- passes ---------------------------------------------------------------------------------- */

/* How many keys there are at all, for the bar; a right that only this needs may be missing. */
static unsigned long long count_keys(struct ctl *ctl)
{
	unsigned long long keys = 0;

	for (unsigned i = 0; i < nodes_count_servers(ctl->config); i++) {
		struct printbuf *out = ctl_begin(ctl, partitions_at(ctl->partitions, i));
		redisReply *reply;

		resp_begin(out, 1);
		resp_text(out, "DBSIZE");
		if (!nodes_run(ctl->nodes, 1, &reply))
			return 0;
		keys += (unsigned long long)reply->integer;
		reply_free(reply);
	}
	return nodes_count(ctl->nodes) == nodes_count_servers(ctl->config) ? keys : 0;
}

static bool pass(struct move *move, struct ctl *over, const char *what, unsigned long long total,
		 scan_visit *visit)
{
	struct progress progress;
	bool ok;

	progress_begin(&progress, what, total);
	ok = scan_keys(over, PIECE, &progress, visit, &move->copies);
	progress_end(&progress);
	return ok;
}

static bool both_passes(struct move *move, bool writes, const char *keys, const char *copies)
{
	struct layouts *layouts = &move->layouts;

	move->copies.writes = writes;
	return pass(move, layouts->from, keys, move->keys, copies_visit_keys) &&
	       pass(move, &layouts->to, copies, 0, copies_visit_copies);
}

/* --- the end of the old layout --------------------------------------------------------------- */

/* Whether the key is one of the other layout, too. */
static bool is_kept(const struct layouts *layouts, const struct scan_key *key)
{
	const struct partitions *to = layouts->to.partitions;
	struct userid user;

	return trace_is_lasting(key->own, key->own_len, &user) &&
	       layouts_are_one(layouts, key->store,
			       user.text[0] != '\0' ? partitions_of(to, &user)
						    : partitions_at(to, 0));
}

static bool clear_keys(struct ctl *ctl, void *arg, const struct scan_key *keys, size_t count)
{
	const struct copies *copies = arg;
	size_t commands = 0;

	nodes_begin(ctl->nodes);
	for (size_t i = 0; i < count; i++) {
		struct printbuf *out;

		if (!trace_is_ours(keys[i].own, keys[i].own_len) ||
		    is_kept(copies->layouts, &keys[i]))
			continue;
		out = nodes_to(ctl->nodes, keys[i].store);
		resp_begin(out, 2);
		resp_text(out, "DEL");
		resp_arg(out, keys[i].name, keys[i].len);
		commands++;
	}
	return ctl_do(ctl, commands);
}

/* --- what is said ---------------------------------------------------------------------------- */

static void on_difference(void *arg, const char *key, const char *why)
{
	struct move *move = arg;

	if (move->copies.differing > TOLD_MAX)
		return;
	if (move->json) {
		buf_puts(move->differences,
			 move->copies.differing > 1 ? ",\n{\"key\":" : "{\"key\":");
		json_put_string(move->differences, key, strlen(key));
		buf_puts(move->differences, ",\"what\":");
		json_put_string(move->differences, why, strlen(why));
		buf_puts(move->differences, "}");
	} else {
		buf_putf(move->differences, "%s %s\n", key, why);
	}
}

static void print(struct move *move, bool only_checks)
{
	const struct copies *copies = &move->copies;
	struct printbuf *out = buf_new();

	if (move->json) {
		buf_putf(out,
			 "{\"copied\":%llu,\"removed\":%llu,\"equal\":%llu,\"different\":%llu,",
			 copies->written, copies->removed, copies->equal, copies->differing);
		buf_putf(out, "\"differences\":[%s]}\n", move->differences->buf);
	} else {
		buf_puts(out, move->differences->buf);
		if (copies->differing > TOLD_MAX)
			buf_putf(out, "and %llu more\n", copies->differing - TOLD_MAX);
		if (!only_checks)
			buf_putf(out,
				 "%llu keys copied, %llu removed that the old layout has no more\n",
				 copies->written, copies->removed);
		buf_putf(out, "%llu keys are the same in both, %llu differ\n", copies->equal,
			 copies->differing);
	}
	ctl_print(out);
	printbuf_free(out);
}

/* --- the command ----------------------------------------------------------------------------- */

static bool is_at_work(struct ctl *ctl)
{
	struct sweeper_ago ago;

	sweeper_ask(ctl, &ago);
	return sweeper_is_at_work(ctl, ago.shortest);
}

/* What --clear demands, and what demands it. */
static enum ctl_exit check_clear(struct move *move, struct ctl *ctl)
{
	const struct layouts *layouts = &move->layouts;

	if (ctl->clear && ctl->check)
		return ctl_refuse("--check changes nothing: no --clear with it");
	if (ctl->clear && is_at_work(ctl))
		return ctl_fail("presence-streamd is at work in the old layout: stop the service "
				"before --clear");
	if (!ctl->clear && !ctl->check && ctl->config->redis.partitions > 1 &&
	    layouts->config.redis.partitions > 1 && layouts_share(layouts))
		return ctl_fail("--to: a server is in both layouts, which only one of them can "
				"use: stop the service and give --clear");
	return CTL_DONE;
}

static bool copy_all(struct move *move)
{
	return layouts_note(&move->layouts) &&
	       both_passes(move, true, "keys looked at", "copies looked at");
}

static enum ctl_exit finish(struct move *move, struct ctl *ctl)
{
	if (move->copies.differing > 0 && is_at_work(ctl))
		return ctl_fail("presence-streamd is at work in the old layout: stop the service, "
				"then do it again");
	if (move->copies.differing > 0)
		return ctl_fail("the layouts differ: do it again");
	if (!ctl->check && !ctl->clear && is_at_work(ctl))
		ctl_fail("presence-streamd is at work in the old layout: what changes from now on "
			 "is not in the other one. Stop the service, then do it again");
	if (!ctl->clear)
		return CTL_DONE;
	return pass(move, ctl, "old keys looked at", move->keys, clear_keys) &&
			       layouts_note(&move->layouts)
		       ? CTL_DONE
		       : ctl_fail("the old layout is not removed wholly: do it again");
}

static enum ctl_exit run(struct move *move, struct ctl *ctl)
{
	enum ctl_exit status = layouts_compare(&move->layouts);

	if (status == CTL_DONE)
		status = check_clear(move, ctl);
	if (status != CTL_DONE)
		return status;
	move->keys = count_keys(ctl);
	if (!ctl->check && !copy_all(move))
		return ctl_fail("not all is copied: do it again");
	move->copies.equal = 0; /* of the copying; what counts is what is found now */
	if (!both_passes(move, false, "keys compared", "copies compared"))
		return ctl_fail("not all is compared: do it again");
	print(move, ctl->check);
	return finish(move, ctl);
}

enum ctl_exit ctl_move(struct ctl *ctl, char **args, int count)
{
	struct move move = {.json = ctl->json};
	enum ctl_exit status;

	(void)args, (void)count;
	move.copies =
		(struct copies){.layouts = &move.layouts, .differs = on_difference, .arg = &move};
	move.differences = buf_new();
	status = layouts_open(&move.layouts, ctl, ctl->to, ctl->partition_count);
	if (status == CTL_DONE)
		status = run(&move, ctl);
	layouts_close(&move.layouts);
	printbuf_free(move.differences);
	return status;
}
