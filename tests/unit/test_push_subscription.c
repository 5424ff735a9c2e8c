/* Push subscriptions: what a browser may send, which push services, and what Redis keeps. */
#include "unit.h"

#include <stdio.h>

#include <json-c/json.h>

#include "store/push_subscription.h"

#define P256DH \
	"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
/* 65 bytes of the right form that are not a point of the curve */
#define OFF_CURVE \
	"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiAA"
#define AUTH "BTBZMqHH6r4Tts7J_aSIgg"
#define KEYS "'keys':{'p256dh':'" P256DH "','auth':'" AUTH "'}"
#define FCM "https://fcm.googleapis.com/fcm/send/abc:def"

static struct json_object *json_of(const char *text)
{
	char *copy = strdup(text);
	struct json_object *object;

	for (char *c = copy; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	object = json_tokener_parse(copy);
	ck_assert_msg(object != NULL, "%s", copy);
	free(copy);
	return object;
}

START_TEST(what_chrome_sends_is_read)
{
	struct json_object *body =
		json_of("{'endpoint':'" FCM "','expirationTime':null," KEYS ",'device':'Phone'}");
	struct push_subscription subscription;
	const char *field;

	ck_assert_ptr_null(push_subscription_parse(body, "", &subscription, &field));
	ck_assert_str_eq(subscription.endpoint, FCM);
	ck_assert_str_eq(subscription.device, "Phone");
	ck_assert_int_eq(subscription.expires, 0);
	ck_assert_uint_eq(strlen(subscription.id), PUSH_SUBSCRIPTION_ID_LEN);
	ck_assert_int_eq(subscription.keys.p256dh[0], 4);
	ck_assert_int_eq(subscription.keys.auth[0], 5);
	json_object_put(body);
}
END_TEST

START_TEST(the_same_endpoint_has_the_same_id)
{
	char one[PUSH_SUBSCRIPTION_ID_LEN + 1], same[PUSH_SUBSCRIPTION_ID_LEN + 1],
		other[PUSH_SUBSCRIPTION_ID_LEN + 1];

	push_subscription_id(FCM, one);
	push_subscription_id(FCM, same);
	push_subscription_id(FCM "x", other);
	ck_assert_str_eq(one, same);
	ck_assert_str_ne(one, other);
}
END_TEST

/* Each with the field that is named as wrong. */
static const struct {
	const char *body, *field;
} wrong[] = {
	{"{}", "endpoint"},
	{"{'endpoint':7}", "endpoint"},
	{"{'endpoint':'http://fcm.googleapis.com/x'," KEYS "}", "endpoint"},
	{"{'endpoint':'https://user@fcm.googleapis.com/x'," KEYS "}", "endpoint"},
	{"{'endpoint':'https://fcm.googleapis.com:8443/x'," KEYS "}", "endpoint"},
	{"{'endpoint':'https://fcm.googleapis.com.evil.example/x'," KEYS "}", "endpoint"},
	{"{'endpoint':'https://evil.example/fcm.googleapis.com'," KEYS "}", "endpoint"},
	{"{'endpoint':'https://push.apple.com/x'," KEYS "}", "endpoint"},
	{"{'endpoint':'https://evilpush.apple.com/x'," KEYS "}", "endpoint"},
	{"{'endpoint':'https://127.0.0.1/x'," KEYS "}", "endpoint"},
	{"{'endpoint':'https:///x'," KEYS "}", "endpoint"},
	{"{'endpoint':'" FCM "'}", "keys"},
	{"{'endpoint':'" FCM "','keys':[]}", "keys"},
	{"{'endpoint':'" FCM "','keys':{'auth':'" AUTH "'}}", "keys.p256dh"},
	{"{'endpoint':'" FCM "','keys':{'p256dh':'" AUTH "','auth':'" AUTH "'}}", "keys.p256dh"},
	{"{'endpoint':'" FCM "','keys':{'p256dh':'" OFF_CURVE "','auth':'" AUTH "'}}",
	 "keys.p256dh"},
	{"{'endpoint':'" FCM "','keys':{'p256dh':'" P256DH "'}}", "keys.auth"},
	{"{'endpoint':'" FCM "','keys':{'p256dh':'" P256DH "','auth':'short'}}", "keys.auth"},
	{"{'endpoint':'" FCM "'," KEYS ",'expirationTime':'soon'}", "expirationTime"},
	{"{'endpoint':'" FCM "'," KEYS ",'expirationTime':-1}", "expirationTime"},
	{"{'endpoint':'" FCM "'," KEYS ",'device':7}", "device"},
	{"{'endpoint':'" FCM "'," KEYS ",'device':'a\\nb'}", "device"},
};

START_TEST(what_is_wrong_is_named)
{
	struct json_object *body = json_of(wrong[_i].body);
	struct push_subscription subscription;
	const char *field = "", *why = push_subscription_parse(body, "", &subscription, &field);

	ck_assert_msg(why != NULL, "%s was taken", wrong[_i].body);
	ck_assert_str_eq(field, wrong[_i].field);
	json_object_put(body);
}
END_TEST

static const struct {
	const char *allow, *url;
	bool allowed;
} hosts[] = {
	{"", FCM, true},
	{"", "https://FCM.googleapis.com/x", true},
	{"", "https://updates.push.services.mozilla.com/wpush/v2/x", true},
	{"", "https://web.push.apple.com/x", true},
	{"", "https://sg2p.notify.windows.com/w/?token=x", true},
	{"push.example", FCM, false},
	{"push.example", "https://push.example/x", true},
	{"push.example", "https://a.push.example/x", false},
	{"*.push.example", "https://push.example/x", false},
	{"*.push.example", "https://a.b.push.example/x", true},
	{"a.example,  push.example", "https://push.example/x", true},
	{"push.example", "https://push.example:8443/x", false},
	{"push.example:8443", "https://push.example:8443/x", true},
	{"push.example:8443", "https://push.example/x", false},
	{"[::1]:8443", "https://[::1]:8443/x", true},
};

START_TEST(only_hosts_that_are_allowed_are)
{
	struct push_endpoint endpoint;

	ck_assert_ptr_null(push_endpoint_parse(hosts[_i].url, &endpoint));
	ck_assert_msg(push_endpoint_allowed(hosts[_i].allow, &endpoint) == hosts[_i].allowed,
		      "allow '%s': %s", hosts[_i].allow, hosts[_i].url);
}
END_TEST

static const struct {
	const char *url, *origin;
} origins[] = {
	{"https://push.example/a/b?c", "https://push.example"},
	{"https://Push.Example:443/a", "https://push.example"},
	{"https://push.example:8443", "https://push.example:8443"},
	{"https://[::1]:8443/", "https://[::1]:8443"},
	{"HTTPS://push.example?x", "https://push.example"},
	{"https://push.example:0/", NULL},
	{"https://push.example:65536/", NULL},
	{"https://push.example:/", NULL},
	{"https://push.example:8a/", NULL},
	{"https://[::1/", NULL},
	{"https://push example/", NULL},
	{"https://push_example/", NULL},
	{"https://push.example/#x", NULL},
};

START_TEST(an_endpoint_has_one_origin_or_is_refused)
{
	struct push_endpoint endpoint;
	const char *why = push_endpoint_parse(origins[_i].url, &endpoint);

	if (origins[_i].origin == NULL)
		ck_assert_msg(why != NULL, "%s was taken", origins[_i].url);
	else
		ck_assert_str_eq(endpoint.origin, origins[_i].origin);
}
END_TEST

START_TEST(endpoints_are_bounded)
{
	char url[PUSH_ENDPOINT_MAX + 2];
	struct push_endpoint endpoint;

	memset(url, 'x', sizeof url);
	memcpy(url, "https://push.example/", 21);
	url[PUSH_ENDPOINT_MAX] = '\0';
	ck_assert_ptr_null(push_endpoint_parse(url, &endpoint));
	url[PUSH_ENDPOINT_MAX] = 'x';
	url[PUSH_ENDPOINT_MAX + 1] = '\0';
	ck_assert_ptr_nonnull(push_endpoint_parse(url, &endpoint));
	/* A host of 254 characters. */
	memset(url, 'x', sizeof url);
	memcpy(url, "https://", 8);
	url[8 + PUSH_HOST_MAX + 1] = '\0';
	ck_assert_ptr_nonnull(push_endpoint_parse(url, &endpoint));
}
END_TEST

START_TEST(what_redis_keeps_is_read_back)
{
	struct json_object *body =
		json_of("{'endpoint':'" FCM "','expirationTime':1700000000123.5," KEYS
			",'device':'\\\"P\\u00e9\\\"'}");
	struct push_subscription written, back;
	struct printbuf *text = buf_new();
	const char *field;

	ck_assert_ptr_null(push_subscription_parse(body, "", &written, &field));
	written.created = 1600000000;
	strcpy(written.tok, "sid \"1\"");
	push_subscription_put(text, &written);
	ck_assert(push_subscription_read(written.id, text->buf, buf_len(text), &back));
	ck_assert_int_eq(back.expires, 1700000000);
	ck_assert_mem_eq(&back, &written, sizeof back);
	printbuf_free(text);
	json_object_put(body);
}
END_TEST

START_TEST(what_somebody_else_wrote_is_none)
{
	static const char *const texts[] = {"",
					    "x",
					    "{}",
					    "[1]",
					    "{\"endpoint\":1}",
					    "{\"created\":1,\"expires\":0,\"tok\":\"\"}"};
	struct push_subscription subscription;

	for (size_t i = 0; i < UNIT_COUNT(texts); i++)
		ck_assert_msg(
			!push_subscription_read("s1", texts[i], strlen(texts[i]), &subscription),
			"%s was read", texts[i]);
}
END_TEST

START_TEST(an_address_is_allowed_by_its_name_alone)
{
	ck_assert(push_address_allowed("localhost:8443, 127.0.0.1", "127.0.0.1"));
	ck_assert(!push_address_allowed("localhost:8443, 127.0.0.1", "127.0.0.2"));
	ck_assert(push_address_allowed("[::1]", "::1"));
	ck_assert(!push_address_allowed("", "127.0.0.1"));
	ck_assert(!push_address_allowed("*.127.0.0.1", "127.0.0.1"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("push_subscription");
	TCase *tcase = tcase_create("subscriptions");

	tcase_add_test(tcase, what_chrome_sends_is_read);
	tcase_add_test(tcase, the_same_endpoint_has_the_same_id);
	tcase_add_loop_test(tcase, what_is_wrong_is_named, 0, (int)UNIT_COUNT(wrong));
	tcase_add_loop_test(tcase, only_hosts_that_are_allowed_are, 0, (int)UNIT_COUNT(hosts));
	tcase_add_loop_test(tcase, an_endpoint_has_one_origin_or_is_refused, 0,
			    (int)UNIT_COUNT(origins));
	tcase_add_test(tcase, endpoints_are_bounded);
	tcase_add_test(tcase, what_redis_keeps_is_read_back);
	tcase_add_test(tcase, what_somebody_else_wrote_is_none);
	tcase_add_test(tcase, an_address_is_allowed_by_its_name_alone);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
