/* Where Redis is: redis.url. */
#include "unit.h"

#include "base/redis_url.h"

#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define SERVER(name, number)                             \
	{                                                \
		.host = (char *)(name), .port = (number) \
	}

static const struct {
	const char *url;
	struct redis_address expected;
} servers[] = {
	{"redis://127.0.0.1:6379/0", {.host = (char *)"127.0.0.1", .port = 6379}},
	{"redis://redis.example", {.host = (char *)"redis.example", .port = 6379}},
	{"redis://h/", {.host = (char *)"h", .port = 6379}},
	{"redis://h:1/15", {.host = (char *)"h", .port = 1, .db = 15}},
	{"redis://h:65535", {.host = (char *)"h", .port = 65535}},
	{"redis://[::1]", {.host = (char *)"::1", .port = 6379}},
	{"redis://[fe80::1]:7000/3", {.host = (char *)"fe80::1", .port = 7000, .db = 3}},
	{"redis://:pass@h", {.host = (char *)"h", .port = 6379, .password = (char *)"pass"}},
	{"redis://me:pass@h:2",
	 {.host = (char *)"h", .port = 2, .user = (char *)"me", .password = (char *)"pass"}},
	{"redis://m%40e:p%3a%2Fs%25@[::1]:2/4",
	 {.host = (char *)"::1",
	  .port = 2,
	  .db = 4,
	  .user = (char *)"m@e",
	  .password = (char *)"p:/s%"}},
	{"redis://me:a:b@h",
	 {.host = (char *)"h", .port = 6379, .user = (char *)"me", .password = (char *)"a:b"}},
	{"unix:///run/redis.sock", {.path = (char *)"/run/redis.sock"}},
	{"unix:///run/redis.sock?db=7", {.path = (char *)"/run/redis.sock", .db = 7}},
	{"unix:///run/a@b:c.sock", {.path = (char *)"/run/a@b:c.sock"}},
	{"unix://me:p%40@/r.sock?db=1",
	 {.path = (char *)"/r.sock", .db = 1, .user = (char *)"me", .password = (char *)"p@"}},
	{"unix://:p@/r@.sock", {.path = (char *)"/r@.sock", .password = (char *)"p"}},
	{"rediss://h", {.host = (char *)"h", .port = 6379, .tls = true}},
	{"rediss://:p@h:6380/2",
	 {.host = (char *)"h", .port = 6380, .tls = true, .password = (char *)"p", .db = 2}},
	{" redis://h\n", {.host = (char *)"h", .port = 6379}},
};

static void expect_node(const char *url, const struct redis_address *seen,
			const struct redis_address *expected)
{
	ck_assert_pstr_eq(seen->host, expected->host);
	ck_assert_pstr_eq(seen->path, expected->path);
	ck_assert_pstr_eq(seen->user, expected->user);
	ck_assert_pstr_eq(seen->password, expected->password);
	ck_assert_int_eq(seen->port, expected->port);
	ck_assert_int_eq(seen->db, expected->db);
	ck_assert_msg(seen->tls == expected->tls, "%s: TLS is %d", url, seen->tls);
}

START_TEST(one_server)
{
	struct redis_url url;
	const char *why = redis_url_parse(servers[_i].url, &url);

	ck_assert_msg(why == NULL, "%s: %s", servers[_i].url, why);
	ck_assert_int_eq(url.kind, REDIS_SERVERS);
	ck_assert_uint_eq(url.count, 1);
	expect_node(servers[_i].url, &url.nodes[0], &servers[_i].expected);
	redis_url_free(&url);
	ck_assert_ptr_null(url.nodes);
}
END_TEST

static const struct {
	const char *url;
	enum redis_kind kind;
	struct redis_address nodes[4];
	const char *name;
	struct redis_address primary;
} several[] = {
	{"redis://a redis://b:1/2 \t rediss://me:p@c unix:///s",
	 REDIS_SERVERS,
	 {SERVER("a", 6379),
	  {.host = (char *)"b", .port = 1, .db = 2},
	  {.host = (char *)"c",
	   .port = 6379,
	   .tls = true,
	   .user = (char *)"me",
	   .password = (char *)"p"},
	  {.path = (char *)"/s"}},
	 NULL,
	 {.host = NULL}},
	{"redis://a:1 redis://a:2",
	 REDIS_SERVERS,
	 {SERVER("a", 1), SERVER("a", 2)},
	 NULL,
	 {.host = NULL}},
	{"sentinel://h/main", REDIS_SENTINEL, {SERVER("h", 26379)}, "main", {.host = NULL}},
	{"sentinel://h/main?db=3", REDIS_SENTINEL, {SERVER("h", 26379)}, "main", {.db = 3}},
	{"sentinel://a,[::1]:5,c:26380/my%2Done?db=1",
	 REDIS_SENTINEL,
	 {SERVER("a", 26379), SERVER("::1", 5), SERVER("c", 26380)},
	 "my-one",
	 {.db = 1}},
	{"sentinel+rediss://me:p%40@a,b/m?sentinel_password=s%26%40x&db=7",
	 REDIS_SENTINEL,
	 {{.host = (char *)"a", .port = 26379, .tls = true, .password = (char *)"s&@x"},
	  {.host = (char *)"b", .port = 26379, .tls = true, .password = (char *)"s&@x"}},
	 "m",
	 {.tls = true, .user = (char *)"me", .password = (char *)"p@", .db = 7}},
	{"cluster://h", REDIS_CLUSTER, {SERVER("h", 6379)}, NULL, {.host = NULL}},
	{"cluster://h/", REDIS_CLUSTER, {SERVER("h", 6379)}, NULL, {.host = NULL}},
	{"cluster://a:7000,b/0",
	 REDIS_CLUSTER,
	 {SERVER("a", 7000), SERVER("b", 6379)},
	 NULL,
	 {.host = NULL}},
	{"cluster+rediss://:p@a,[::1]:7001",
	 REDIS_CLUSTER,
	 {{.host = (char *)"a", .port = 6379, .tls = true, .password = (char *)"p"},
	  {.host = (char *)"::1", .port = 7001, .tls = true, .password = (char *)"p"}},
	 NULL,
	 {.host = NULL}},
};

START_TEST(several_servers)
{
	struct redis_url url;
	const char *text = several[_i].url, *why = redis_url_parse(text, &url);
	size_t count = 0;

	ck_assert_msg(why == NULL, "%s: %s", text, why);
	ck_assert_int_eq(url.kind, several[_i].kind);
	while (count < UNIT_COUNT(several[_i].nodes) &&
	       (several[_i].nodes[count].host != NULL || several[_i].nodes[count].path != NULL)) {
		ck_assert_uint_lt(count, url.count);
		expect_node(text, &url.nodes[count], &several[_i].nodes[count]);
		count++;
	}
	ck_assert_uint_eq(url.count, count);
	ck_assert_pstr_eq(url.name, several[_i].name);
	expect_node(text, &url.primary, &several[_i].primary);
	redis_url_free(&url);
}
END_TEST

static const char *const bad[] = {
	"",
	"redis",
	"redis:",
	"redis:/",
	"redis://",
	"REDIS://h",
	"http://h",
	"h:6379",
	"redis:///0",
	"redis://:6379",
	"redis://h:",
	"redis://h:0",
	"redis://h:65536",
	"redis://h:99999999999999",
	"redis://h:-1",
	"redis://h:+1",
	"redis://h: 1",
	"redis://h:1x",
	"redis://h:1:2",
	"redis://::1",
	"redis://[]",
	"redis://[::1",
	"redis://[::1]x",
	"redis://[::1]:",
	"redis://h/x",
	"redis://h/-1",
	"redis://h/1/2",
	"redis://h/1?a=b",
	"redis://h?db=1",
	"redis://h#1",
	"redis://a b",
	"redis://me@h",
	"redis://me:@h",
	"redis://:@h",
	"redis://@h",
	"redis://:%@h",
	"redis://:%4@h",
	"redis://:%00@h",
	"redis://%zz:p@h",
	"redis://:p@",
	"unix://",
	"unix:///?db=",
	"unix:///s?db=x",
	"unix:///s?db=-1",
	"unix:///s?x=1",
	"unix:///s?db=1&x=2",
	"unix:///s?",
	"unix://s",
	"unix://me@/s",
	"unix://me:p@s",
	"unix:///" X100 X10,
	" ",
	"rediss://",
	"rediss:///0",
	"redis+sentinel://h/m",
	"redis://a,b",
	"redis://a redis://",
	"redis://a b",
	"redis://a sentinel://b/m",
	"redis://a cluster://b",
	"sentinel://b/m redis://a",
	"sentinel://u:p@b/m sentinel://u:p@c/n",
	"cluster://a cluster://b",
	"redis://a redis://a",
	"redis://a/1 rediss://a:6379/2",
	"unix:///s unix:///s?db=1",
	"sentinel://",
	"sentinel://h",
	"sentinel://h/",
	"sentinel:///m",
	"sentinel://,/m",
	"sentinel://h,/m",
	"sentinel://h, g/m",
	"sentinel://h:0/m",
	"sentinel://h:70000/m",
	"sentinel://h,h/m",
	"sentinel://me@h/m",
	"sentinel://h/m/0",
	"sentinel://h/%zz",
	"sentinel://h/%20",
	"sentinel://h/m?",
	"sentinel://h/m?db=",
	"sentinel://h/m?db=x",
	"sentinel://h/m?db=1&db=2",
	"sentinel://h/m?sentinel_password=",
	"sentinel://h/m?sentinel_password=%",
	"sentinel://h/m?sentinel_password=a&sentinel_password=b",
	"sentinel://h/m?password=a",
	"sentinel://h/m?db=1&",
	"cluster://",
	"cluster://,",
	"cluster://h,",
	"cluster://h:x",
	"cluster://h/1",
	"cluster://h/0/",
	"cluster://h/m",
	"cluster://h?db=1",
	"cluster://me@h",
};

START_TEST(a_mistake_is_told)
{
	struct redis_url url;
	const char *why = redis_url_parse(bad[_i], &url);

	ck_assert_msg(why != NULL, "'%s' is taken: host %s, port %d, path %s", bad[_i],
		      url.nodes[0].host, url.nodes[0].port, url.nodes[0].path);
	ck_assert(strlen(why) > 10);
	ck_assert_ptr_null(url.nodes);
}
END_TEST

START_TEST(more_servers_than_partitions_are_refused)
{
	struct printbuf *text = buf_new();
	struct redis_url url;

	for (int i = 0; i < REDIS_URL_NODES_MAX; i++)
		buf_putf(text, "redis://h:%d ", i + 1);
	ck_assert_ptr_null(redis_url_parse(text->buf, &url));
	redis_url_free(&url);
	buf_puts(text, "redis://h:2000");
	ck_assert_ptr_nonnull(redis_url_parse(text->buf, &url));
	printbuf_free(text);
}
END_TEST

START_TEST(the_place_is_told_without_the_password)
{
	static const struct {
		const char *url, *place;
	} rows[] = {
		{"redis://me:secret@h/3", "h:6379"},
		{"unix://:secret@/r.sock", "/r.sock"},
		{"redis://:secret@a rediss://:secret@[::1]:2", "a:6379 [::1]:2"},
		{"sentinel://:secret@a,b:3/m?sentinel_password=secret", "a:26379,b:3/m"},
		{"cluster://:secret@a,b:3", "a:6379,b:3"},
	};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct printbuf *place = buf_new();
		struct redis_url url;

		ck_assert_ptr_null(redis_url_parse(rows[i].url, &url));
		redis_url_put(place, &url);
		ck_assert_str_eq(place->buf, rows[i].place);
		printbuf_free(place);
		redis_url_free(&url);
	}
}
END_TEST

/* Of each, whether they differ in users and passwords at most. */
static const struct {
	const char *one, *other;
	bool is_alike;
} pairs[] = {
	{"redis://h", "redis://h", true},
	{"redis://h", "redis://:p@h", true},
	{"redis://u:p@h:1/2", "redis://v:q@h:1/2", true},
	{"redis://h/1", "redis://h/2", false},
	{"redis://h:1", "redis://h:2", false},
	{"redis://h", "redis://i", false},
	{"redis://h", "rediss://h", false},
	{"unix:///a", "unix://u:p@/a", true},
	{"unix:///a", "unix:///b", false},
	{"unix:///a", "redis://a", false},
	{"redis://h redis://i", "redis://u:p@h redis://:q@i", true},
	{"redis://h redis://i", "redis://i redis://h", false},
	{"redis://h redis://i", "redis://h", false},
	{"redis://h", "cluster://h:6379", false},
	{"cluster://h:1,i:1", "cluster://u:p@h:1,i:1", true},
	{"cluster://h:1,i:1", "cluster://h:1", false},
	{"sentinel://h,i/n?db=1", "sentinel://u:p@h,i/n?db=1&sentinel_password=s", true},
	{"sentinel://h,i/n", "sentinel://h,i/m", false},
	{"sentinel://h,i/n?db=1", "sentinel://h,i/n?db=2", false},
};

START_TEST(other_logins_are_no_other_place)
{
	ck_assert_msg(redis_url_is_alike(pairs[_i].one, pairs[_i].other) == pairs[_i].is_alike,
		      "%s, %s", pairs[_i].one, pairs[_i].other);
	ck_assert_msg(redis_url_is_alike(pairs[_i].other, pairs[_i].one) == pairs[_i].is_alike,
		      "%s, %s", pairs[_i].other, pairs[_i].one);
}
END_TEST

START_TEST(other_logins_are_taken)
{
	struct redis_url url;
	const struct redis_address *first;

	ck_assert_ptr_null(redis_url_parse("sentinel://u:p@h,i/n?sentinel_password=s", &url));
	first = url.nodes;
	redis_url_take_logins(&url, "sentinel://v:q@h,i/n");
	ck_assert_ptr_eq(url.nodes, first);
	ck_assert_pstr_eq(url.primary.user, "v");
	ck_assert_pstr_eq(url.primary.password, "q");
	ck_assert_ptr_null(url.nodes[1].password);
	redis_url_take_logins(&url, "sentinel://h,i/n?sentinel_password=t");
	ck_assert_ptr_null(url.primary.user);
	ck_assert_ptr_null(url.primary.password);
	ck_assert_pstr_eq(url.nodes[0].password, "t");
	ck_assert_pstr_eq(url.nodes[1].password, "t");
	ck_assert_str_eq(url.nodes[1].host, "i");
	redis_url_free(&url);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("redis_url");
	TCase *tcase = tcase_create("redis_url");

	tcase_add_loop_test(tcase, one_server, 0, UNIT_COUNT(servers));
	tcase_add_loop_test(tcase, several_servers, 0, UNIT_COUNT(several));
	tcase_add_loop_test(tcase, a_mistake_is_told, 0, UNIT_COUNT(bad));
	tcase_add_test(tcase, more_servers_than_partitions_are_refused);
	tcase_add_test(tcase, the_place_is_told_without_the_password);
	tcase_add_loop_test(tcase, other_logins_are_no_other_place, 0, UNIT_COUNT(pairs));
	tcase_add_test(tcase, other_logins_are_taken);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
