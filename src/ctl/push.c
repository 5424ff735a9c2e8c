/* presencectl: Web Push. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/vapid.h"
#include "ctl/ctl.h"
#include "store/push.h"

enum ctl_exit ctl_push_key(struct ctl *ctl, char **args, int count)
{
	char *pem = vapid_make_key();

	(void)ctl, (void)args, (void)count;
	if (pem == NULL)
		return ctl_fail("OpenSSL cannot make a key");
	fputs(pem, stdout);
	free(pem);
	return CTL_DONE;
}

static void put_waiting(struct printbuf *out, const struct push_state *state, bool json)
{
	if (json)
		buf_putf(out, "{\"queue\":%" PRId64 ",\"later\":%" PRId64 ",\"outcomes\":{",
			 state->queue, state->later);
	else
		buf_putf(out, "%-12s %" PRId64 "\n%-12s %" PRId64 "\n", "in the queue",
			 state->queue, "wait", state->later);
}

/* What became of the others, name by name. */
static void put_outcomes(struct printbuf *out, const redisReply *outcomes, bool json)
{
	for (size_t i = 0; i + 1 < outcomes->elements; i += 2) {
		long long number = strtoll(outcomes->element[i + 1]->str, NULL, 10);

		if (json)
			buf_putf(out, "%s\"%s\":%lld", i > 0 ? "," : "", outcomes->element[i]->str,
				 number);
		else
			buf_putf(out, "%-12s %lld\n", outcomes->element[i]->str, number);
	}
}

enum ctl_exit ctl_push_state(struct ctl *ctl, char **args, int count)
{
	struct printbuf *buf = buf_new();
	redisReply *replies[PUSH_STATE_COMMANDS];
	struct push_state state;
	bool ok;

	(void)args, (void)count;
	push_put_state(buf, partitions_at(ctl->partitions, 0));
	ok = ctl_run(ctl, buf, PUSH_STATE_COMMANDS, replies);
	buf_reset(buf);
	if (ok && push_read_state(replies, &state)) {
		put_waiting(buf, &state, ctl->json);
		put_outcomes(buf, state.outcomes, ctl->json);
		buf_puts(buf, ctl->json ? "}}\n" : "");
		ctl_print(buf);
	}
	if (ok)
		blocking_free_replies(replies, PUSH_STATE_COMMANDS);
	printbuf_free(buf);
	return ok ? CTL_DONE : CTL_FAILED;
}
