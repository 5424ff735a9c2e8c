/* stats: the figures of the whole service. */
#include "ctl/ctl.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/times.h"
#include "store/scrape_text.h"

/* All partitions in one round trip. */
static bool ask(struct ctl *ctl, struct scrape *scrape)
{
	unsigned count = partitions_count(ctl->partitions);
	redisReply **replies = xcalloc(count, sizeof *replies);
	bool ok = true;

	nodes_begin(ctl->nodes);
	for (unsigned i = 0; i < count; i++) {
		const struct store *store = partitions_at(ctl->partitions, i);

		scrape_put(nodes_to(ctl->nodes, store), store);
	}
	if (!ctl_run(ctl, count, replies)) {
		free(replies);
		return false;
	}
	for (unsigned i = 0; i < count; i++)
		ok = scrape_read(scrape, replies[i]) && ok;
	blocking_free_replies(replies, count);
	free(replies);
	if (!ok)
		ctl_fail("Redis gives no answer to what was asked");
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
	scrape_clear(&scrape);
	printbuf_free(out);
	return ok ? CTL_DONE : CTL_FAILED;
}
