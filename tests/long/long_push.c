/*
 * Web Push where it takes its time: SIGKILL to presence-pushd in the middle of
 * 10,000 notifications, and a real Firefox. `make check-long`; the browser takes
 * firefox-esr and xvfb (./bootstrap --develop).
 */
#include "calls.h"
#include "process.h"
#include "push.h"
#include "servers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NOTIFICATIONS 10000
#define SECONDS 300

START_TEST(a_kill_in_the_middle_of_10000_loses_nothing)
{
	push_check_kill(push_start(FAST), NOTIFICATIONS);
}
END_TEST

/* Preferences: our push service, a permission without a question, silence. */
static void write_profile(struct push_stand *stand)
{
	ck_assert_int_eq(mkdir(stack_path(stand->stack, "profile"), 0700), 0);
	stack_write(stand->stack, "profile/user.js",
		    text_of("user_pref(\"dom.push.serverURL\", \"ws://localhost:%d/\");\n"
			    "user_pref(\"dom.push.testing.allowInsecureServerURL\", true);\n"
			    "user_pref(\"permissions.default.desktop-notification\", 1);\n"
			    "user_pref(\"browser.aboutwelcome.enabled\", false);\n"
			    "user_pref(\"termsofuse.bypassNotification\", true);\n"
			    "user_pref(\"browser.preonboarding.enabled\", false);\n"
			    "user_pref(\"datareporting.policy.dataSubmissionEnabled\", false);\n"
			    "user_pref(\"network.captive-portal-service.enabled\", false);\n"
			    "user_pref(\"network.connectivity-service.enabled\", false);\n"
			    "user_pref(\"services.settings.server\", \"http://localhost:9/\");\n"
			    "user_pref(\"network.proxy.type\", 0);\n"
			    "user_pref(\"app.update.enabled\", false);\n",
			    stand->plain));
}

/* The number of a display of its own. */
static const char *start_display(struct push_stand *stand, pid_t *pid)
{
	const char *argv[] = {"Xvfb",	    "-displayfd", "1",	 "-screen", "0",
			      "800x600x24", "-nolisten",  "tcp", NULL};
	const char *log = "";

	*pid = process_start(stand->stack, "display", argv, NULL, 0);
	WAIT_UNTIL(strchr(log = stack_file(stand->stack, "display.log"), '\n') != NULL ||
			   !process_lives(*pid),
		   20000);
	ck_assert_msg(process_lives(*pid), "Xvfb did not start (./bootstrap --develop): %s", log);
	return text_of(":%d", atoi(log));
}

/* What the page and its service worker said: a member, or NULL. */
static struct json_object *said(struct push_stand *stand, const char *name)
{
	struct json_object *all = push_ask(stand, "/said"), *value = NULL;

	json_object_object_get_ex(all, name, &value);
	return value;
}

START_TEST(a_real_firefox_subscribes_and_decrypts)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 0 }");
	const char *key = json_text(http_ok(stand->stack, PUSH_KEY, NULL, NULL), "public_key");
	const char *url = text_of("http://localhost:%d/page?key=%s", stand->plain, key);
	const char *argv[] = {"firefox-esr", "--no-remote",
			      "--profile",   stack_path(stand->stack, "profile"),
			      url,	     NULL};
	pid_t display, firefox;
	const char *env[] = {"DISPLAY", start_display(stand, &display), "HOME",
			     stack_path(stand->stack, "profile"), NULL};
	struct response *response;

	write_profile(stand);
	firefox = process_start(stand->stack, "firefox", argv, env, 0);
	WAIT_UNTIL(said(stand, "subscription") != NULL || said(stand, "error") != NULL ||
			   !process_lives(firefox),
		   90000);
	ck_assert_msg(said(stand, "subscription") != NULL, "no subscription: %s",
		      said(stand, "error") != NULL
			      ? json_object_get_string(said(stand, "error"))
			      : "firefox-esr did not start (./bootstrap --develop)");
	response = HTTP(stand->stack, .path = PUSH_SUBSCRIPTIONS,
			.token = token_for(stand->stack, "1"),
			.body = json_object_to_json_string(said(stand, "subscription")));
	ck_assert_msg(response->status == 201, "%d %s", response->status, response->body);
	push_notify(stand, "{'user_ids':[1],'title':'Hello','only_if':'always'}");
	WAIT_UNTIL(said(stand, "pushed") != NULL, 30000);
	ck_assert_str_eq(json_object_get_string(said(stand, "pushed")),
			 "{\"web_push\":8030,\"notification\":{\"title\":\"Hello\","
			 "\"navigate\":\"/\"}}");
	process_end(&firefox, SIGTERM, "firefox-esr", 20000);
	process_end(&display, SIGTERM, "Xvfb", 10000);
	push_stop(stand);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("long_push");
	TCase *tcase = harness_case(suite, "kill", SECONDS);

	tcase_add_test(tcase, a_kill_in_the_middle_of_10000_loses_nothing);
	tcase = harness_case(suite, "browser", SECONDS);
	tcase_add_test(tcase, a_real_firefox_subscribes_and_decrypts);
	return push_main(suite);
}
