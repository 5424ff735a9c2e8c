/* The host's clock is not Redis': which tokens a logout from everywhere and a kick refuse then. */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Programs that are started from now on, until LD_PRELOAD is unset, have a clock that is off by so many seconds. */
static void set_clock(const char *offset)
{
	const char *sanitize = getenv("SANITIZE");

	/* AddressSanitizer wants to be the first that is loaded: there only the code is run. */
	if (sanitize == NULL || *sanitize == '\0')
		setenv("LD_PRELOAD", FAKETIME, 1);
	setenv("FAKETIME", offset, 1);
}

/* A stack whose programs, but for Redis, have a clock that is off by so many seconds ("-5"). */
static struct stack *stack_with_clock(const char *offset, const char *conf)
{
	struct stack *stack = stack_new(conf);

	redis_start(stack, NULL);
	set_clock(offset);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	unsetenv("LD_PRELOAD");
	return stack;
}

/* The session of user 1's token lapses, so that only the token's iat tells of it. */
static void wait_until_unused(struct stack *stack)
{
	WAIT_UNTIL(!redis_has(stack, "user:sessions:1"), 8000);
}

static const char *refresh(struct stack *stack, const char *token)
{
	return json_text(http_ok(stack, REFRESH, token, ""), "access_token");
}

static void log_out_everywhere(struct stack *stack)
{
	http_ok(stack, LOGOUT "?all=true", login(stack, "user1@example.com"), "");
}

/* The next second of Redis' clock: iat has whole seconds. */
static void wait_for_a_second(struct stack *stack)
{
	redisReply *reply = redis_cmd(stack, "TIME");
	long long now = atoll(reply->element[0]->str);

	WAIT_UNTIL(atoll(redis_cmd(stack, "TIME")->element[0]->str) > now, 3000);
}

static const char *const offsets[] = {"-5", "+0", "+8"};
#define OFFSETS ((int)(sizeof offsets / sizeof offsets[0]))

START_TEST(a_login_after_a_logout_from_everywhere_works_at_once)
{
	struct stack *stack = stack_with_clock(offsets[_i], FAST);
	const char *token;

	log_out_everywhere(stack);
	token = login(stack, "user1@example.com");
	touch(stack, token);
	touch(stack, refresh(stack, token));
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_from_before_a_logout_from_everywhere_is_refused)
{
	struct stack *stack = stack_with_clock(offsets[_i], FAST);
	const char *token = login(stack, "user1@example.com"), *fresh = refresh(stack, token);

	wait_until_unused(stack);
	wait_for_a_second(stack);
	log_out_everywhere(stack);
	check_problem(HTTP(stack, .path = COUNT, .token = token), 401, "token_revoked");
	check_problem(HTTP(stack, .path = COUNT, .token = fresh), 401, "token_revoked");
	stack_stop(stack);
}
END_TEST

START_TEST(the_operators_tokens_have_the_clock_of_redis)
{
	struct stack *stack = stack_with_clock("+0", FAST);
	char *token;

	touch_user(stack, "1");
	CTL(stack, "kick", "1");
	set_clock("-5");
	token = CTL(stack, "token", "1");
	unsetenv("LD_PRELOAD");
	token[strcspn(token, "\n")] = '\0';
	touch(stack, token);
	stack_stop(stack);
}
END_TEST

/* A token of the site's own code, whose clock was so many seconds from ours. */
static const char *token_issued(struct stack *stack, int seconds)
{
	long long now = (long long)time(NULL);
	char payload[128];

	snprintf(payload, sizeof payload, "{'sub':'1','iat':%lld,'exp':%lld}", now + seconds,
		 now + 3600);
	return token_make("{'alg':'HS256'}", payload, KEY_HMAC, stack->secret);
}

START_TEST(another_issuers_clock_may_be_behind_by_the_leeway)
{
	struct stack *stack = stack_start("auth { login = external leeway = 30 }\n");
	const char *used = token_issued(stack, -3), *ahead = token_issued(stack, 8);

	touch(stack, used);
	touch(stack, ahead);
	CTL(stack, "kick", "1");
	/* Issued after the kick, by a clock that is late. */
	touch(stack, token_issued(stack, -5));
	check_problem(HTTP(stack, .path = COUNT, .token = token_issued(stack, -60)), 401,
		      "token_revoked");
	/* Those that were in use are refused by name, whatever their time. */
	check_problem(HTTP(stack, .path = COUNT, .token = used), 401, "token_revoked");
	check_problem(HTTP(stack, .path = COUNT, .token = ahead), 401, "token_revoked");
	stack_stop(stack);
}
END_TEST

static Suite *clocks_suite(void)
{
	Suite *suite = suite_create("clocks");
	TCase *tcase = harness_case(suite, "clocks", 60);

	tcase_add_loop_test(tcase, a_login_after_a_logout_from_everywhere_works_at_once, 0,
			    OFFSETS);
	tcase_add_loop_test(tcase, a_token_from_before_a_logout_from_everywhere_is_refused, 0,
			    OFFSETS);
	tcase_add_test(tcase, the_operators_tokens_have_the_clock_of_redis);
	tcase_add_test(tcase, another_issuers_clock_may_be_behind_by_the_leeway);
	return suite;
}

int main(void)
{
	return harness_main(clocks_suite());
}
