/* Routes: which handler a method and a path get, and what Allow says. */
#include "unit.h"

#include "api/router.h"

static struct problem handler(struct request *request)
{
	(void)request;
	return (struct problem){.kind = PROBLEM_NONE};
}

static const struct route routes[] = {
	{"POST", "/auth/login", handler, ROUTE_OPEN | ROUTE_LOCAL_LOGIN},
	{"GET", "/things", handler, 0},
	{"POST", "/things", handler, ROUTE_BODY},
	{"GET", "/things/{id}", handler, 0},
	{"GET", "/things/{id}/name", handler, 0},
	{"DELETE", "/things/{id}/name", handler, 0},
	{"GET", "/health", handler, ROUTE_OPEN},
};

static enum route_result find(const char *base, unsigned hidden, const char *method,
			      const char *path, struct route_match *match)
{
	return router_find(routes, UNIT_COUNT(routes), hidden, base, method, path, match);
}

static const struct {
	const char *method, *path;
	enum route_result result;
	int route; /* index of the expected row */
	const char *id, *allow;
} lookups[] = {
	{"GET", "/api/health", ROUTE_FOUND, 6, NULL, ""},
	{"POST", "/api/auth/login", ROUTE_FOUND, 0, NULL, ""},
	{"GET", "/api/things", ROUTE_FOUND, 1, NULL, ""},
	{"POST", "/api/things", ROUTE_FOUND, 2, NULL, ""},
	{"GET", "/api/things/7", ROUTE_FOUND, 3, "7", ""},
	{"GET", "/api/things/a%2Fb", ROUTE_FOUND, 3, "a%2Fb", ""},
	{"GET", "/api/things/{id}", ROUTE_FOUND, 3, "{id}", ""},
	{"GET", "/api/things/name", ROUTE_FOUND, 3, "name", ""},
	{"DELETE", "/api/things/7/name", ROUTE_FOUND, 5, "7", ""},

	{"HEAD", "/api/health", ROUTE_FOUND, 6, NULL, ""},
	{"HEAD", "/api/things", ROUTE_FOUND, 1, NULL, ""},
	{"HEAD", "/api/things/7", ROUTE_FOUND, 3, "7", ""},

	{"HEAD", "/api/auth/login", ROUTE_OTHER_METHOD, -1, NULL, "POST, OPTIONS"},
	{"head", "/api/health", ROUTE_OTHER_METHOD, -1, NULL, "GET, HEAD, OPTIONS"},
	{"OPTIONS", "/api/things", ROUTE_OTHER_METHOD, -1, NULL, "GET, HEAD, POST, OPTIONS"},
	{"get", "/api/health", ROUTE_OTHER_METHOD, -1, NULL, "GET, HEAD, OPTIONS"},
	{"GETX", "/api/health", ROUTE_OTHER_METHOD, -1, NULL, "GET, HEAD, OPTIONS"},
	{"POST", "/api/things/7", ROUTE_OTHER_METHOD, -1, NULL, "GET, HEAD, OPTIONS"},

	{"GET", "", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/ap", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/api", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/api/", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/apihealth", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/health", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/API/health", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/api/health/", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/api//health", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/api/healthy", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/api/hea%6Cth", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/api/things/", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/api/things//name", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/api/things/7/", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/api/things/7/names", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
	{"GET", "/api/things/7/8/name", ROUTE_UNKNOWN_PATH, -1, NULL, ""},
};

START_TEST(a_lookup_finds_the_row)
{
	const char *method = lookups[_i].method, *path = lookups[_i].path;
	struct route_match match;
	enum route_result result = find("/api", 0, method, path, &match);
	int route = match.route != NULL ? (int)(match.route - routes) : -1;

	ck_assert_msg(result == lookups[_i].result, "%s %s: result %d instead of %d", method, path,
		      (int)result, (int)lookups[_i].result);
	ck_assert_msg(route == lookups[_i].route, "%s %s: row %d instead of %d", method, path,
		      route, lookups[_i].route);
	ck_assert_str_eq(match.allow, lookups[_i].allow);
	if (lookups[_i].id == NULL) {
		ck_assert_ptr_null(match.id);
		return;
	}
	ck_assert_msg(match.id_len == strlen(lookups[_i].id) &&
			      strncmp(match.id, lookups[_i].id, match.id_len) == 0,
		      "%s %s: id '%.*s' instead of '%s'", method, path, (int)match.id_len, match.id,
		      lookups[_i].id);
}
END_TEST

START_TEST(the_base_may_be_empty_or_deep)
{
	struct route_match match;

	ck_assert_int_eq(find("", 0, "GET", "/health", &match), ROUTE_FOUND);
	ck_assert_int_eq(find("", 0, "GET", "health", &match), ROUTE_UNKNOWN_PATH);
	ck_assert_int_eq(find("/a/b", 0, "GET", "/a/b/health", &match), ROUTE_FOUND);
	ck_assert_int_eq(find("/a/b", 0, "GET", "/a/health", &match), ROUTE_UNKNOWN_PATH);
}
END_TEST

START_TEST(a_hidden_route_does_not_exist)
{
	struct route_match match;

	ck_assert_int_eq(find("", ROUTE_LOCAL_LOGIN, "POST", "/auth/login", &match),
			 ROUTE_UNKNOWN_PATH);
	ck_assert_int_eq(find("", ROUTE_LOCAL_LOGIN, "GET", "/auth/login", &match),
			 ROUTE_UNKNOWN_PATH);
	ck_assert_int_eq(find("", ROUTE_LOCAL_LOGIN, "GET", "/health", &match), ROUTE_FOUND);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("router");
	TCase *tcase = tcase_create("router");

	tcase_add_loop_test(tcase, a_lookup_finds_the_row, 0, UNIT_COUNT(lookups));
	tcase_add_test(tcase, the_base_may_be_empty_or_deep);
	tcase_add_test(tcase, a_hidden_route_does_not_exist);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
