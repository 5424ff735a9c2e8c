/*
 * A day's coming and going in minutes: LONG_CONNECTS streams (1,000,000) are opened through the web
 * server, get their `initial` and are closed. Memory, descriptors, subscriptions and keys must not
 * grow. `make check-long`; docs/reliability.md tells what it showed.
 */
#include "swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 1000
#define USERS_OF_CHURN 5000
#define FRIENDS 20
#define AT_A_TIME 400
#define SAMPLES 20
#define ALLOWANCE_KB 2048 /* and a twentieth */

struct sample {
	double streamd_kb, lighttpd_kb, redis_kb, descriptors, channels, keys;
};

static double channels_of(struct stack *stack)
{
	redisReply *reply = redis_cmd(stack, "PUBSUB CHANNELS *");
	double count = (double)reply->elements;

	freeReplyObject(reply);
	return count;
}

/* At rest: nobody is connected, what is due has ended. */
static struct sample take_sample(struct stack *stack)
{
	struct sample sample;

	WAIT_UNTIL(redis_int(stack, "SCARD online_users") == 0, 30000);
	WAIT_UNTIL(channels_of(stack) <= 1, 60000); /* streamd keeps one of its own */
	sample.channels = channels_of(stack);
	sample.streamd_kb = (double)pss_kb(stack->streamd[0]);
	sample.lighttpd_kb = (double)pss_kb(stack->lighttpd);
	sample.redis_kb = (double)redis_info(stack, "used_memory") / 1024;
	sample.descriptors = descriptors_of(stack->streamd[0]) + descriptors_of(stack->lighttpd);
	sample.keys = (double)redis_int(stack, "DBSIZE");
	return sample;
}

/* Opens and closes until `connects` clients have had their initial. */
static void churn(struct swarm *swarm, uint64_t connects)
{
	uint64_t wanted = swarm->initials + connects;
	static unsigned next;
	int64_t limit = now_ms() + patience(600000);

	while (swarm->initials < wanted) {
		uint64_t left = wanted - swarm->initials;

		while (swarm->opening < AT_A_TIME && swarm->opening < left) {
			struct client *client = &swarm->clients[next % swarm->count];

			if (client->state == CLIENT_OPENING)
				break;
			if (client->state == CLIENT_READY)
				client_close(client);
			if (!client_open(client))
				break;
			next++;
		}
		swarm_turn(swarm, 1);
		ck_assert_msg(swarm->refused == 0, "%u streams were refused, the last with %d",
			      swarm->refused, swarm->refusal);
		ck_assert_uint_eq(swarm->lost, 0);
		ck_assert_msg(now_ms() < limit, "the service has stopped");
	}
	for (unsigned i = 0; i < swarm->count; i++)
		client_close(&swarm->clients[i]);
}

START_TEST(a_days_churn_leaves_nothing_behind)
{
	const char *wanted = getenv("LONG_CONNECTS");
	uint64_t connects = wanted != NULL ? strtoull(wanted, NULL, 10) : 1000000;
	/* The close ends the user at once, and topics are given up after some seconds. */
	struct stack *stack = stack_start(
		"directory { backend = redis }\nauth { login = external }\napi { children = 2 }\n"
		"presence { grace = 0 last_seen_ttl = 604800 }\nlog { level = info }\n");
	char port[16];
	const char *targets[] = {port, NULL};
	struct swarm *swarm;
	struct sample first, sample;
	int64_t start;

	snprintf(port, sizeof port, "%d", stack->port);
	befriend(stack, FIRST, FIRST + USERS_OF_CHURN - 1, FRIENDS);
	swarm = swarm_new(stack, targets, FIRST, USERS_OF_CHURN);
	/* A tenth to warm up: allocators, caches, every user's lasting keys. */
	start = now_ms();
	churn(swarm, connects / 10);
	first = sample = take_sample(stack);
	for (int i = 1; i < SAMPLES; i++) {
		churn(swarm, connects * 9 / 10 / (SAMPLES - 1) + 1);
		sample = take_sample(stack);
		printf("%8llu connects: streamd %.0f kB, lighttpd %.0f kB, redis %.0f kB, "
		       "%.0f descriptors, %.0f channels, %.0f keys\n",
		       (unsigned long long)swarm->initials, sample.streamd_kb, sample.lighttpd_kb,
		       sample.redis_kb, sample.descriptors, sample.channels, sample.keys);
		fflush(stdout);
	}
	tell("connects", (double)swarm->initials, "");
	tell("in", (double)(now_ms() - start) / 1000, "s");
	figure("memory of presence-streamd at the end", sample.streamd_kb, "kB",
	       first.streamd_kb * 1.05 + ALLOWANCE_KB);
	figure("memory of lighttpd at the end", sample.lighttpd_kb, "kB",
	       first.lighttpd_kb * 1.05 + ALLOWANCE_KB);
	figure("memory of Redis at the end", sample.redis_kb, "kB",
	       first.redis_kb * 1.05 + ALLOWANCE_KB);
	figure("descriptors of presence-streamd and lighttpd", sample.descriptors, "",
	       first.descriptors + 2);
	figure("subscribed channels", sample.channels, "", first.channels);
	figure("keys in Redis", sample.keys, "", first.keys + 5);
	swarm_free(swarm);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("churn");
	TCase *tcase = harness_case(suite, "churn", 3600);

	stretch_timeouts();
	tcase_add_test(tcase, a_days_churn_leaves_nothing_behind);
	return harness_main(suite);
}
