/* What a feed makes of what its connection says: which subscription an answer belongs to. */
#include "unit.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/config.h"
#include "store/cluster.h"
#include "stream/feed.h"

#define ONE "{3}" /* prefixes of two partitions */
#define OTHER "{10}"
#define ALL 4 /* subscriptions that fill the queue in a test */

static struct config config;
static struct feed feed;
static struct printbuf *asked; /* what was written, of all */

/* What was called. */
static struct {
	int subscribed, pongs, errors, messages, unsubscribed;
	unsigned slot; /* of the last `unsubscribed` */
	bool has_reason;
	char channel[64];
} seen;

/* --- a connection that takes everything ------------------------------------------------------ */

void wire_init(struct wire *wire, struct event_base *base, const struct wire_events *events,
	       void *arg)
{
	memset(wire, 0, sizeof *wire);
	wire->base = base;
	wire->events = events;
	wire->arg = arg;
}

void wire_put(struct wire *wire, const struct printbuf *bytes)
{
	(void)wire;
	buf_put(asked, bytes->buf, buf_len(bytes));
}

void wire_close(struct wire *wire)
{
	(void)wire;
}

/* --- what the feed calls --------------------------------------------------------------------- */

static void on_ready(void *arg)
{
	(void)arg;
}

static void on_lost(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static void on_error(void *arg, const redisReply *reply)
{
	(void)arg;
	ck_assert_int_eq(reply->type, REDIS_REPLY_ERROR);
	seen.errors++;
}

static void on_pong(void *arg)
{
	(void)arg;
	seen.pongs++;
}

static void on_subscribed(void *arg)
{
	(void)arg;
	seen.subscribed++;
}

static void on_message(void *arg, const char *channel, const char *text, size_t len)
{
	(void)arg;
	ck_assert_uint_eq(strlen(text), len);
	snprintf(seen.channel, sizeof seen.channel, "%s", channel);
	seen.messages++;
}

static void on_unsubscribed(void *arg, unsigned slot, const redisReply *reason)
{
	(void)arg;
	seen.slot = slot;
	seen.has_reason = reason != NULL;
	seen.unsubscribed++;
}

static const struct feed_events events = {on_ready,	 on_lost,    on_error,	     on_pong,
					  on_subscribed, on_message, on_unsubscribed};

static void open_feed(bool is_sharded)
{
	static char prefix[] = "";

	asked = buf_new();
	config.redis.partitions = 8;
	config.redis.prefix = prefix;
	memset(&seen, 0, sizeof seen);
	feed_init(&feed, NULL, &config, is_sharded, &events, NULL);
}

static void setup(void)
{
	open_feed(true);
}

static void teardown(void)
{
	feed_close(&feed);
	printbuf_free(asked);
}

/* The connection says this, as Redis writes it. */
static void say(const char *resp)
{
	redisReader *reader = redisReaderCreate();
	void *reply = NULL;

	redisReaderFeed(reader, resp, strlen(resp));
	ck_assert_int_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
	ck_assert_msg(reply != NULL, "not whole: %s", resp);
	feed.wire.events->reply(feed.wire.arg, reply);
	freeReplyObject(reply);
	redisReaderFree(reader);
}

/* "ssubscribe", "sunsubscribe" and their like: the channel, and how many there are. */
static void confirm(const char *kind, const char *channel)
{
	char resp[256];

	snprintf(resp, sizeof resp, "*3\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n:1\r\n", strlen(kind), kind,
		 strlen(channel), channel);
	say(resp);
}

static unsigned slot_of(const char *prefix)
{
	return cluster_slot(prefix, strlen(prefix));
}

static void say_moved(const char *prefix)
{
	char resp[64];

	snprintf(resp, sizeof resp, "-MOVED %u 127.0.0.1:7001\r\n", slot_of(prefix));
	say(resp);
}

static const char *const channels[ALL] = {"user:inbox:1", "user:status:2", "user:status:3",
					  "user:status:4"};

/* --- tests ----------------------------------------------------------------------------------- */

START_TEST(each_channel_is_confirmed_for_itself)
{
	feed_subscribe(&feed, ONE, channels, 3);
	ck_assert_uint_eq(feed.serial, 3);
	ck_assert_ptr_nonnull(strstr(asked->buf, "SSUBSCRIBE"));
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(feed.acked, i);
		confirm("ssubscribe", ONE "user:inbox:1");
	}
	ck_assert_uint_eq(feed.acked, 3);
	ck_assert_int_eq(seen.subscribed, 3);
	ck_assert(STAILQ_EMPTY(&feed.requests));
}
END_TEST

/* A node that does not have the slot refuses the request as a whole, with one error. */
START_TEST(a_request_that_is_sent_elsewhere_is_answered_as_a_whole)
{
	feed_subscribe(&feed, ONE, channels, 3);
	feed_subscribe(&feed, OTHER, channels + 3, 1);
	say_moved(ONE);
	ck_assert_uint_eq(feed.acked, 3);
	ck_assert_int_eq(seen.unsubscribed, 1);
	ck_assert_uint_eq(seen.slot, slot_of(ONE));
	ck_assert(seen.has_reason);
	/* Who waits for confirmations looks again. */
	ck_assert_int_eq(seen.subscribed, 1);
	/* The next one's answer is its own. */
	confirm("ssubscribe", OTHER "user:status:4");
	ck_assert_uint_eq(feed.acked, 4);
	ck_assert(STAILQ_EMPTY(&feed.requests));
	ck_assert_int_eq(seen.errors, 0);
}
END_TEST

START_TEST(an_error_that_is_about_no_request_is_the_connections)
{
	feed_subscribe(&feed, ONE, channels, 1);
	say_moved(OTHER);
	ck_assert_int_eq(seen.errors, 1);
	say("-NOPERM this user has no permissions to access one of the channels\r\n");
	ck_assert_int_eq(seen.errors, 2);
	ck_assert_int_eq(seen.unsubscribed, 0);
	confirm("ssubscribe", ONE "user:inbox:1");
	say("-CLUSTERDOWN Hash slot not served\r\n"); /* nothing is asked */
	ck_assert_int_eq(seen.errors, 3);
	ck_assert_int_eq(seen.unsubscribed, 0);
}
END_TEST

/* Its own way of saying that a slot has gone: an answer to nothing. */
START_TEST(a_node_that_ends_subscriptions_by_itself_is_told_from_one_that_answers)
{
	feed_subscribe(&feed, ONE, channels, 2);
	confirm("ssubscribe", ONE "user:inbox:1");
	/* In the middle of the answers to another request. */
	confirm("sunsubscribe", OTHER "user:status:4");
	ck_assert_int_eq(seen.unsubscribed, 1);
	ck_assert_uint_eq(seen.slot, slot_of(OTHER));
	ck_assert(!seen.has_reason);
	confirm("ssubscribe", ONE "user:status:2");
	ck_assert_uint_eq(feed.acked, 2);
	/* What was asked for is no news. */
	feed_unsubscribe(&feed, ONE, channels, 2);
	confirm("sunsubscribe", ONE "user:inbox:1");
	confirm("sunsubscribe", ONE "user:status:2");
	ck_assert_int_eq(seen.unsubscribed, 1);
	ck_assert(STAILQ_EMPTY(&feed.requests));
	/* And once more is. */
	confirm("sunsubscribe", ONE "user:status:2");
	ck_assert_int_eq(seen.unsubscribed, 2);
}
END_TEST

START_TEST(what_was_asked_for_before_a_loss_counts_as_confirmed)
{
	feed_subscribe(&feed, ONE, channels, 2);
	feed_unsubscribe(&feed, OTHER, channels, 1);
	confirm("ssubscribe", ONE "user:inbox:1");
	feed_close(&feed);
	ck_assert_uint_eq(feed.acked, 2);
	ck_assert(STAILQ_EMPTY(&feed.requests));
	/* The next connection begins anew. */
	feed_subscribe(&feed, ONE, channels, 1);
	confirm("ssubscribe", ONE "user:inbox:1");
	ck_assert_uint_eq(feed.acked, 3);
	ck_assert_int_eq(seen.unsubscribed, 0);
}
END_TEST

START_TEST(messages_come_without_the_prefix)
{
	say("*3\r\n$8\r\nsmessage\r\n$16\r\n{3}user:status:2\r\n$2\r\n{}\r\n");
	ck_assert_int_eq(seen.messages, 1);
	ck_assert_str_eq(seen.channel, "user:status:2");
	/* Of another kind, without a tag, and not texts: nobody's. */
	say("*3\r\n$7\r\nmessage\r\n$16\r\n{3}user:status:2\r\n$2\r\n{}\r\n");
	say("*3\r\n$8\r\nsmessage\r\n$13\r\nuser:status:2\r\n$2\r\n{}\r\n");
	say("*3\r\n$8\r\nsmessage\r\n:1\r\n:2\r\n");
	say("*3\r\n$12\r\nsunsubscribe\r\n:1\r\n:2\r\n");
	ck_assert_int_eq(seen.messages, 1);
	ck_assert_int_eq(seen.unsubscribed, 0);
}
END_TEST

START_TEST(a_ping_is_answered_before_and_after_something_is_subscribed)
{
	feed_put_ping(&feed);
	say("+OK\r\n"); /* of AUTH */
	say("+PONG\r\n");
	say("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
	ck_assert_int_eq(seen.pongs, 2);
}
END_TEST

/* One server: the check is a message on a channel of the feed's own, and requests need no queue. */
START_TEST(outside_a_cluster_the_own_channel_is_the_check)
{
	const char *self = feed.self;
	char resp[160], channel[80];

	feed_close(&feed);
	printbuf_free(asked);
	open_feed(false);
	feed_subscribe(&feed, ONE, &self, 1);
	ck_assert_ptr_null(strstr(asked->buf, "SSUBSCRIBE"));
	ck_assert(STAILQ_EMPTY(&feed.requests));
	snprintf(channel, sizeof channel, ONE "%s", feed.self);
	confirm("subscribe", channel);
	ck_assert_uint_eq(feed.acked, 1);
	snprintf(resp, sizeof resp, "*3\r\n$7\r\nmessage\r\n$%zu\r\n%s\r\n$1\r\n1\r\n",
		 strlen(channel), channel);
	say(resp);
	ck_assert_int_eq(seen.pongs, 1);
	ck_assert_int_eq(seen.messages, 0);
	say("-MOVED 1 127.0.0.1:7001\r\n");
	ck_assert_int_eq(seen.errors, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("feed");
	TCase *tcase = tcase_create("feed");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, each_channel_is_confirmed_for_itself);
	tcase_add_test(tcase, a_request_that_is_sent_elsewhere_is_answered_as_a_whole);
	tcase_add_test(tcase, an_error_that_is_about_no_request_is_the_connections);
	tcase_add_test(tcase,
		       a_node_that_ends_subscriptions_by_itself_is_told_from_one_that_answers);
	tcase_add_test(tcase, what_was_asked_for_before_a_loss_counts_as_confirmed);
	tcase_add_test(tcase, messages_come_without_the_prefix);
	tcase_add_test(tcase, a_ping_is_answered_before_and_after_something_is_subscribed);
	tcase_add_test(tcase, outside_a_cluster_the_own_channel_is_the_check);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
