/* stats: the figures of the whole service. */
#include "ctl/ctl.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/times.h"
#include "store/reply.h"
#include "store/scrape_text.h"

/* Says which servers did not answer for a partition of theirs, each once. */
static void say_away(const struct ctl *ctl, redisReply *const *replies)
{
	unsigned servers = nodes_count(ctl->nodes);
	bool *is_said = xcalloc(servers, sizeof *is_said);
	struct printbuf *place = buf_new();

	for (unsigned i = 0; i < partitions_count(ctl->partitions); i++) {
		unsigned server = nodes_number_of(ctl->nodes, partitions_at(ctl->partitions, i));

		if (replies[i] != NULL || is_said[server])
			continue;
		is_said[server] = true;
		buf_reset(place);
		blocking_put_place(place, nodes_at(ctl->nodes, server));
		ctl_fail("Redis at %s is away: the sums over all servers are left out", place->buf);
	}
	printbuf_free(place);
	free(is_said);
}

/*
 * All partitions in one round trip. False: the first one, which has what processes tell, did not answer, or
 * another not as it should; that was said. While others are away the scrape is partial.
 */
static bool read_all(struct ctl *ctl, struct scrape *scrape, redisReply *const *replies)
{
	if (replies[0] == NULL) {
		ctl_say_redis(ctl);
		return false;
	}
	for (unsigned i = 0; i < partitions_count(ctl->partitions); i++) {
		if (replies[i] == NULL) {
			scrape->is_partial = true;
		} else if (!scrape_read(scrape, replies[i])) {
			ctl_fail("Redis gives no answer to what was asked");
			return false;
		}
	}
	if (scrape->is_partial)
		say_away(ctl, replies);
	return true;
}

static bool ask(struct ctl *ctl, struct scrape *scrape)
{
	unsigned count = partitions_count(ctl->partitions);
	redisReply **replies = xcalloc(count, sizeof *replies);
	bool ok;

	nodes_begin(ctl->nodes);
	for (unsigned i = 0; i < count; i++) {
		const struct store *store = partitions_at(ctl->partitions, i);

		scrape_put(nodes_to(ctl->nodes, store), store);
	}
	nodes_run_each(ctl->nodes, count, replies);
	ok = read_all(ctl, scrape, replies);
	for (unsigned i = 0; i < count; i++)
		reply_free(replies[i]);
	free(replies);
	return ok;
}

enum ctl_exit ctl_stats(struct ctl *ctl, char **args, int count)
{
	struct printbuf *out = buf_new();
	struct scrape scrape;
	bool ok;

	(void)args, (void)count;
	scrape_init(&scrape);
	ok = ask(ctl, &scrape);
	if (ok) {
		scrape_sort(&scrape);
		if (ctl->json) {
			scrape_put_json(out, &scrape, times_wall_ms());
			buf_puts(out, "\n");
		} else {
			scrape_put_lines(out, &scrape);
		}
		ctl_print(out);
	}
	ok = ok && !scrape.is_partial;
	scrape_clear(&scrape);
	printbuf_free(out);
	return ok ? CTL_DONE : CTL_FAILED;
}
