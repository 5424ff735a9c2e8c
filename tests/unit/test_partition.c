/* Commands to a partition of a cluster: who hears which answer when its node refuses, or it is given up. */
#include "unit.h"

#include "link_stub.h"

#define ASKED 4

static struct context context;
static struct partition *partition;

static int answered[ASKED]; /* how often */
static bool has_reply[ASKED];
static int numbers[ASKED];
static char refusal[64]; /* what the last one said */
static int refusals;

static void on_refused(void *arg, const redisReply *reply)
{
	ck_assert_ptr_eq(arg, partition);
	strncpy(refusal, reply->str, sizeof refusal - 1);
	refusals++;
}

static void on_answer(void *arg, const redisReply *reply)
{
	int number = *(int *)arg;

	answered[number]++;
	has_reply[number] = reply != NULL;
}

static void setup(void)
{
	stub_init_divided(&context, 2, 1);
	partition = &context.partitions[0];
	for (unsigned i = 0; i < 2; i++) {
		context.partitions[i].refused = on_refused;
		context.partitions[i].refused_arg = &context.partitions[i];
	}
	memset(answered, 0, sizeof answered);
	memset(has_reply, 0, sizeof has_reply);
	refusals = 0;
	for (int i = 0; i < ASKED; i++)
		numbers[i] = i;
}

static void teardown(void)
{
	stub_free(&context);
}

static void ask(struct partition *of, int number)
{
	buf_reset(context.scratch);
	buf_puts(context.scratch, "*1\r\n$4\r\nPING\r\n");
	partition_command(of, context.scratch, on_answer, &numbers[number]);
}

static void check(int number, int times, bool reply)
{
	ck_assert_msg(answered[number] == times, "%d: %d times", number, answered[number]);
	ck_assert_msg(has_reply[number] == reply, "%d: %d", number, has_reply[number]);
}

START_TEST(answers_go_to_who_asked)
{
	ask(partition, 0);
	ask(partition, 1);
	stub_answer(&context, "+PONG\r\n");
	check(0, 1, true);
	check(1, 0, false);
	/* An error that is about the command alone. */
	stub_answer(&context, "-ERR unknown\r\n");
	check(1, 1, true);
	ck_assert_int_eq(refusals, 0);
}
END_TEST

/* What was asked after it may be answered: out of order, and of a node that may know half. */
START_TEST(after_a_refusal_no_answer_is_heard_until_the_partition_is_given_up)
{
	static const char *const refused[] = {
		"-MOVED 0 127.0.0.1:7001\r\n", "-ASK 0 127.0.0.1:7001\r\n",
		"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
		"-ERR user_script:1: Script attempted to access a non local key\r\n",
		"-CLUSTERDOWN Hash slot not served\r\n"};

	for (size_t i = 0; i < UNIT_COUNT(refused); i++) {
		teardown();
		setup();
		ask(partition, 0);
		ask(partition, 1);
		ask(partition, 2);
		stub_answer(&context, "+PONG\r\n");
		stub_answer(&context, refused[i]);
		ck_assert_int_eq(refusals, 1);
		ck_assert_int_eq(strncmp(refusal, refused[i] + 1, strlen(refusal)), 0);
		stub_answer(&context, "+PONG\r\n");
		check(0, 1, true);
		check(1, 0, false);
		check(2, 0, false);
		partition_abandon(partition);
		check(1, 1, false);
		check(2, 1, false);
		ck_assert_int_eq(refusals, 1);
	}
}
END_TEST

START_TEST(what_is_answered_after_it_was_given_up_is_not_heard)
{
	struct link *link = partition->link;

	ask(partition, 0);
	partition_abandon(partition);
	check(0, 1, false);
	ck_assert(!partition_is_up(partition));
	/* Up again, at the same node, whose first answer is to the old command. */
	partition->link = link;
	ask(partition, 1);
	stub_answer(&context, "-MOVED 0 127.0.0.1:7001\r\n");
	ck_assert_int_eq(refusals, 0);
	check(0, 1, false);
	check(1, 0, false);
	stub_answer(&context, "+PONG\r\n");
	check(1, 1, true);
}
END_TEST

START_TEST(a_refusal_is_of_one_partition_alone)
{
	ask(partition, 0);
	ask(&context.partitions[1], 1);
	stub_answer(&context, "-TRYAGAIN\r\n");
	stub_answer(&context, "+PONG\r\n");
	check(0, 0, false);
	check(1, 1, true);
	partition_abandon(partition);
	check(0, 1, false);
	ck_assert(partition_is_up(&context.partitions[1]));
}
END_TEST

START_TEST(a_lost_link_is_heard_once_by_each)
{
	ask(partition, 0);
	ask(&context.partitions[1], 1);
	ask(partition, 2);
	stub_answer(&context, "-TRYAGAIN\r\n");
	stub_lose(&context);
	/* After a refusal, too: the loss ends what was waited for. */
	partition_abandon(partition);
	partition_abandon(&context.partitions[1]);
	for (int i = 0; i < 3; i++)
		check(i, 1, false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("partition");
	TCase *tcase = tcase_create("commands");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, answers_go_to_who_asked);
	tcase_add_test(tcase, after_a_refusal_no_answer_is_heard_until_the_partition_is_given_up);
	tcase_add_test(tcase, what_is_answered_after_it_was_given_up_is_not_heard);
	tcase_add_test(tcase, a_refusal_is_of_one_partition_alone);
	tcase_add_test(tcase, a_lost_link_is_heard_once_by_each);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
