/*
 * What each path takes: HEAD wherever GET is, every other method refused, and what Allow and a preflight
 * say of it. The paths are read from presence-api's own table, so that none is forgotten.
 */
#include "calls.h"
#include "push.h"

#include <stdio.h>
#include <string.h>

#include "servers.h"

#define ORIGIN "https://a.example"
#define CORS "cors { allow_origins = \"" ORIGIN "\" }\n"

static struct call_route routes[CALL_ROUTES_MAX];
static size_t route_count;

static struct stack *start(void)
{
	struct stack *stack = push_stack_new(CORS);

	/* So that each path of the table is there. */
	stack_write_secret(stack, "metrics.token", "0123456789abcdef");
	stack_write(stack, "presence.conf",
		    text_of("%smetrics { token_file = \"%s\" }\n",
			    stack_file(stack, "presence.conf"),
			    stack_path(stack, "metrics.token")));
	redis_start(stack, NULL);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	route_count = call_routes(routes);
	return stack;
}

static void check_field(const struct call_route *route, const struct response *response,
			const char *name, const char *expected)
{
	const char *value = header_of(response->head, name);

	if (expected == NULL)
		ck_assert_msg(value == NULL, "%s: %s: %s", route->path, name, value);
	else
		ck_assert_msg(value != NULL && strcmp(value, expected) == 0,
			      "%s: %s is '%s' instead of '%s'", route->path, name,
			      value != NULL ? value : "(none)", expected);
}

static const char *allow_of(const struct call_route *route)
{
	return text_of("%s, OPTIONS", route->methods);
}

START_TEST(options_tells_what_a_path_takes)
{
	struct stack *stack = start();

	for (size_t i = 0; i < route_count; i++) {
		struct response *response =
			HTTP(stack, .method = "OPTIONS", .path = routes[i].path);

		ck_assert_int_eq(response->status, 204);
		ck_assert_uint_eq(response->body_len, 0);
		check_field(&routes[i], response, "Allow", allow_of(&routes[i]));
		check_field(&routes[i], response, "Access-Control-Allow-Origin", NULL);
	}
	stack_stop(stack);
}
END_TEST

/* Preflights carry no token (Fetch standard, 4.8). */
static struct response *preflight(struct stack *stack, const char *path, const char *origin)
{
	return HTTP(stack, .method = "OPTIONS", .path = path,
		    .header = text_of("Origin: %s\r\nAccess-Control-Request-Method: PUT\r\n"
				      "Access-Control-Request-Headers: authorization,x-own",
				      origin));
}

START_TEST(a_preflight_lets_an_allowed_origin_make_every_call)
{
	struct stack *stack = start();

	for (size_t i = 0; i < route_count; i++) {
		struct response *good = preflight(stack, routes[i].path, ORIGIN);
		struct response *bad = preflight(stack, routes[i].path, "https://b.example");

		ck_assert_int_eq(good->status, 204);
		check_field(&routes[i], good, "Access-Control-Allow-Origin", ORIGIN);
		check_field(&routes[i], good, "Access-Control-Allow-Methods",
			    "GET, HEAD, POST, PUT, DELETE, OPTIONS");
		check_field(&routes[i], good, "Access-Control-Allow-Headers",
			    "authorization,x-own");
		check_field(&routes[i], good, "Allow", allow_of(&routes[i]));
		ck_assert_int_eq(bad->status, 204);
		check_field(&routes[i], bad, "Access-Control-Allow-Origin", NULL);
		check_field(&routes[i], bad, "Access-Control-Allow-Methods", NULL);
		check_field(&routes[i], bad, "Vary", "Origin");
	}
	stack_stop(stack);
}
END_TEST

START_TEST(every_other_method_is_refused_with_what_the_path_takes)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"};
	struct stack *stack = start();
	const char *token = token_for(stack, "1");
	char *before = redis_dump(stack);

	for (size_t i = 0; i < route_count; i++) {
		for (size_t m = 0; m < sizeof methods / sizeof methods[0]; m++) {
			struct response *response;

			if (call_route_has(&routes[i], methods[m]))
				continue;
			response = HTTP(stack, .method = methods[m], .path = routes[i].path,
					.token = token, .header = "Origin: " ORIGIN);
			ck_assert_msg(response->status == 405, "%s %s: %d", methods[m],
				      routes[i].path, response->status);
			if (strcmp(methods[m], "HEAD") != 0)
				check_problem(response, 405, "method_not_allowed");
			check_field(&routes[i], response, "Allow", allow_of(&routes[i]));
			check_field(&routes[i], response, "Access-Control-Allow-Origin", ORIGIN);
		}
	}
	ck_assert_str_eq(redis_dump(stack), before);
	stack_stop(stack);
}
END_TEST

/* Without a body, and with the fields that GET has but for the length, which lighttpd leaves out. */
static void check_head(struct stack *stack, const struct call_route *route, const char *token)
{
	static const char *const fields[] = {"Content-Type", "Cache-Control", "WWW-Authenticate",
					     "Access-Control-Allow-Origin"};
	const char *header = "Origin: " ORIGIN;
	struct response *get = HTTP(stack, .path = route->path, .token = token, .header = header);
	struct response *head = HTTP(stack, .method = "HEAD", .path = route->path, .token = token,
				     .header = header);

	ck_assert_msg(head->status == get->status, "HEAD %s: %d, GET has %d", route->path,
		      head->status, get->status);
	ck_assert_uint_eq(head->body_len, 0);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		check_field(route, head, fields[i], header_of(get->head, fields[i]));
}

static void check_head_of_stream(struct stack *stack, const char *path, const char *token)
{
	struct response *head = HTTP(stack, .method = "HEAD", .path = path, .token = token);

	ck_assert_msg(head->status == 200, "HEAD %s: %d", path, head->status);
	ck_assert_str_eq(header_of(head->head, "Content-Type"), "text/event-stream");
	ck_assert_uint_eq(head->body_len, 0);
}

START_TEST(head_is_get_without_its_body)
{
	struct stack *stack = start();
	const char *token = token_for(stack, "1");

	for (size_t i = 0; i < route_count; i++) {
		if (!call_route_has(&routes[i], "GET"))
			continue;
		check_head(stack, &routes[i], "garbage");
		check_head(stack, &routes[i], NULL);
		if (strcmp(routes[i].path, STREAM) != 0)
			check_head(stack, &routes[i], token);
	}
	check_head_of_stream(stack, STREAM, token);
	check_head_of_stream(stack, FIGURES, admin_token(stack));
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("methods");
	TCase *tcase = harness_case(suite, "methods", 60);

	tcase_add_test(tcase, options_tells_what_a_path_takes);
	tcase_add_test(tcase, a_preflight_lets_an_allowed_origin_make_every_call);
	tcase_add_test(tcase, every_other_method_is_refused_with_what_the_path_takes);
	tcase_add_test(tcase, head_is_get_without_its_body);
	return harness_main(suite);
}
