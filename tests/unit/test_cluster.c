/* A Redis Cluster as its nodes tell of it. */
#include "unit.h"

#include "base/buf.h"
#include "store/cluster.h"

static redisReply *reply_of(const char *resp)
{
	redisReader *reader = redisReaderCreate();
	void *reply = NULL;

	redisReaderFeed(reader, resp, strlen(resp));
	ck_assert_int_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
	ck_assert_ptr_nonnull(reply);
	redisReaderFree(reader);
	return reply;
}

/* As CLUSTER KEYSLOT answers; the examples of the specification among them. */
START_TEST(the_slot_of_a_key_is_that_of_its_tag)
{
	static const struct {
		const char *key;
		unsigned slot;
	} rows[] = {
		{"123456789", 0x31c3 % 16384},
		{"foo", 12182},
		{"bar", 5061},
		{"hello", 866},
		{"somekey", 11058},
		{"foo{hash_tag}", 2515},
		{"bar{hash_tag}", 2515},
		{"foo{bar}{zap}", 5061},
		{"{bar}", 5061},
		{"", 0},
	};
	static const char *const same[][2] = {
		{"{user1000}.following", "user1000"},
		{"{user1000}.followers", "user1000"},
		{"foo{{bar}}zap", "{bar"},
		{"{17}user:online:5", "17"},
	};
	static const char *const whole[] = {"foo{}{bar}", "{}", "{bar", "bar}", "}bar{", "a{b"};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++)
		ck_assert_msg(cluster_slot(rows[i].key, strlen(rows[i].key)) == rows[i].slot,
			      "%s: %u", rows[i].key,
			      cluster_slot(rows[i].key, strlen(rows[i].key)));
	for (size_t i = 0; i < UNIT_COUNT(same); i++) {
		const char *tag = same[i][1];

		ck_assert_uint_eq(cluster_slot(same[i][0], strlen(same[i][0])),
				  layout_crc16(tag, strlen(tag)) % LAYOUT_SLOTS);
	}
	for (size_t i = 0; i < UNIT_COUNT(whole); i++)
		ck_assert_uint_eq(cluster_slot(whole[i], strlen(whole[i])),
				  layout_crc16(whole[i], strlen(whole[i])) % LAYOUT_SLOTS);
}
END_TEST

START_TEST(errors_say_where_to_ask)
{
	static const struct {
		const char *error;
		enum cluster_error expected;
		unsigned slot;
		const char *host;
		int port;
	} rows[] = {
		{"MOVED 3999 127.0.0.1:6381", CLUSTER_MOVED, 3999, "127.0.0.1", 6381},
		{"MOVED 0 ::1:6381", CLUSTER_MOVED, 0, "::1", 6381},
		{"MOVED 16383 node.example:1", CLUSTER_MOVED, 16383, "node.example", 1},
		{"MOVED 5 :6381", CLUSTER_MOVED, 5, "", 6381},
		{"ASK 3999 127.0.0.1:6381", CLUSTER_ASK, 3999, "127.0.0.1", 6381},
		{"TRYAGAIN Multiple keys request during rehashing of slot", CLUSTER_TRYAGAIN, 0,
		 NULL, 0},
		{"ERR Script attempted to access a non local key in a cluster node script: 12, on "
		 "@user_script:3.",
		 CLUSTER_TRYAGAIN, 0, NULL, 0},
		{"CLUSTERDOWN Hash slot not served", CLUSTER_DOWN, 0, NULL, 0},
		{"CLUSTERDOWN The cluster is down script: 12, on @user_script:3.", CLUSTER_DOWN, 0,
		 NULL, 0},
		/* What cannot be followed. */
		{"MOVED", CLUSTER_DOWN, 0, NULL, 0},
		{"MOVED 5", CLUSTER_DOWN, 0, NULL, 0},
		{"MOVED 16384 h:1", CLUSTER_DOWN, 0, NULL, 0},
		{"MOVED -1 h:1", CLUSTER_DOWN, 0, NULL, 0},
		{"MOVED 99999999999 h:1", CLUSTER_DOWN, 0, NULL, 0},
		{"MOVED 5 h", CLUSTER_DOWN, 0, NULL, 0},
		{"MOVED 5 h:", CLUSTER_DOWN, 0, NULL, 0},
		{"MOVED 5 h:0", CLUSTER_DOWN, 0, NULL, 0},
		{"MOVED 5 h:65536", CLUSTER_DOWN, 0, NULL, 0},
		{"MOVED 5 a b:1", CLUSTER_DOWN, 0, NULL, 0},
		{"ASK 5 h\x01:1", CLUSTER_DOWN, 0, NULL, 0},
		/* Others. */
		{"MOVEDX 5 h:1", CLUSTER_NO_ERROR, 0, NULL, 0},
		{"ERR unknown command", CLUSTER_NO_ERROR, 0, NULL, 0},
		{"READONLY You can't write", CLUSTER_NO_ERROR, 0, NULL, 0},
	};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct printbuf *resp = buf_new();
		struct cluster_redirect seen = {.slot = 0};
		redisReply *reply;

		buf_putf(resp, "-%s\r\n", rows[i].error);
		reply = reply_of(resp->buf);
		ck_assert_msg(cluster_read_error(reply, &seen) == rows[i].expected, "%s",
			      rows[i].error);
		if (rows[i].host != NULL) {
			ck_assert_uint_eq(seen.slot, rows[i].slot);
			ck_assert_str_eq(seen.place.host, rows[i].host);
			ck_assert_int_eq(seen.place.port, rows[i].port);
		}
		freeReplyObject(reply);
		printbuf_free(resp);
	}
}
END_TEST

START_TEST(only_an_error_is_one)
{
	struct cluster_redirect seen;
	redisReply *reply = reply_of("$26\r\nMOVED 3999 127.0.0.1:63811\r\n");

	ck_assert_int_eq(cluster_read_error(reply, &seen), CLUSTER_NO_ERROR);
	freeReplyObject(reply);
}
END_TEST

/* --- the map --------------------------------------------------------------------------------- */

/* A small language for replies: words, arrays by *N, numbers by :N, nothing by 0. */
static char *resp_of(const char *words)
{
	struct printbuf *out = buf_new();
	char *copy = strdup(words), *rest = copy, *word;

	while ((word = strsep(&rest, " ")) != NULL) {
		if (*word == '*' || *word == ':')
			buf_putf(out, "%s\r\n", word);
		else if (strcmp(word, "NIL") == 0)
			buf_puts(out, "$-1\r\n");
		else if (strcmp(word, "EMPTY") == 0)
			buf_puts(out, "$0\r\n\r\n");
		else if (*word != '\0')
			buf_putf(out, "$%zu\r\n%s\r\n", strlen(word), word);
	}
	free(copy);
	return buf_take(out, NULL);
}

#define NODE(endpoint, port, role, health)                                                         \
	"*16 id a port :" port " tls-port :1" port " ip 10.0.0.9 endpoint " endpoint " role " role \
	" replication-offset :7 health " health " "
#define SHARD(slots, count, nodes) "*4 slots " slots "nodes *" count " " nodes

static void expect_map(const char *words, bool tls, const char *places, unsigned uncovered)
{
	char *resp = resp_of(words);
	redisReply *reply = reply_of(resp);
	struct printbuf *seen = buf_new();
	struct cluster_map map;

	ck_assert_msg(cluster_read_map(reply, tls, &map), "not taken: %s", words);
	for (size_t i = 0; i < map.count; i++)
		buf_putf(seen, "%s:%d ", map.nodes[i].host, map.nodes[i].port);
	ck_assert_str_eq(seen->buf, places);
	ck_assert_uint_eq(cluster_uncovered(&map), uncovered);
	for (size_t slot = 0; slot < LAYOUT_SLOTS; slot++)
		ck_assert(map.owner[slot] >= -1 && map.owner[slot] < (int)map.count);
	cluster_map_clear(&map);
	printbuf_free(seen);
	freeReplyObject(reply);
	free(resp);
}

START_TEST(shards_are_read)
{
	expect_map("*2 " SHARD("*2 :0 :8191 ", "2",
			       NODE("10.0.0.2", "7002", "slave", "online")
				       NODE("10.0.0.1", "7001", "master", "online"))
			   SHARD("*4 :8192 :9000 :9001 :16383 ", "1",
				 NODE("10.0.0.3", "7003", "master", "online")),
		   false, "10.0.0.1:7001 10.0.0.3:7003 ", 0);
}
END_TEST

START_TEST(a_node_that_is_known_by_no_host_is_the_one_that_was_asked)
{
	expect_map("*1 " SHARD("*2 :0 :16383 ", "1", NODE("EMPTY", "7001", "master", "online")),
		   false, ":7001 ", 0);
	expect_map("*1 " SHARD("*2 :0 :16383 ", "1", NODE("NIL", "7001", "master", "online")),
		   false, ":7001 ", 0);
	expect_map("*1 *3 :0 :16383 *3 EMPTY :7001 id", false, ":7001 ", 0);
	expect_map("*1 *3 :0 :16383 *3 NIL :7001 id", false, ":7001 ", 0);
	/* A name is wanted and there is none: the address is one. */
	expect_map("*1 " SHARD("*2 :0 :16383 ", "1", NODE("?", "7001", "master", "online")), false,
		   "10.0.0.9:7001 ", 0);
	expect_map("*1 *3 :0 :16383 *4 ? :7001 id *2 ip 10.0.0.8", false, "10.0.0.8:7001 ", 0);
}
END_TEST

START_TEST(with_tls_its_ports_are_taken)
{
	expect_map("*1 " SHARD("*2 :0 :16383 ", "1", NODE("a.example", "7001", "master", "online")),
		   true, "a.example:17001 ", 0);
}
END_TEST

START_TEST(after_a_failover_the_living_one_is_the_primary)
{
	expect_map("*1 " SHARD("*2 :0 :16383 ", "2",
			       NODE("old", "7001", "master", "fail")
				       NODE("new", "7002", "master", "online")),
		   false, "new:7002 ", 0);
	expect_map("*1 " SHARD("*2 :0 :16383 ", "2",
			       NODE("new", "7002", "master", "online")
				       NODE("old", "7001", "master", "fail")),
		   false, "new:7002 ", 0);
	/* Nobody took over yet. */
	expect_map("*1 " SHARD("*2 :0 :16383 ", "2",
			       NODE("old", "7001", "master", "fail")
				       NODE("new", "7002", "slave", "online")),
		   false, "old:7001 ", 0);
}
END_TEST

START_TEST(ranges_are_read)
{
	expect_map("*3 *4 :0 :5460 *3 10.0.0.1 :7001 a *3 10.0.0.4 :7004 b "
		   "*3 :10923 :16383 *3 10.0.0.3 :7003 c "
		   "*3 :5461 :5461 *3 10.0.0.1 :7001 a",
		   false, "10.0.0.1:7001 10.0.0.3:7003 ", 5461);
}
END_TEST

START_TEST(what_is_no_map_is_refused)
{
	static const char *const bad[] = {
		"*0",
		"x",
		":1",
		"NIL",
		"*1 *0",
		"*1 x",
		"*1 *3 :0 :16384 *3 h :1 a",
		"*1 *3 :-1 :1 *3 h :1 a",
		"*1 *3 :2 :1 *3 h :1 a",
		"*1 *3 :0 :1 *1 h",
		"*1 *3 :0 :1 h",
		"*1 *3 :0 x *3 h :1 a",
		"*1 *3 :0 :1 *3 h :0 a",
		"*1 *3 :0 :1 *3 h :65536 a",
		"*1 *3 :0 :1 *3 h x a",
		"*1 *3 :0 :1 *3 *1 h :1 a",
		"*1 *4 slots *2 :0 :1 nodes *0",
		"*1 *4 slots *2 :0 :1 nodes x",
		"*1 *4 slots x nodes *0",
		"*1 *2 slots *2 :0 :1",
		"*1 *4 slots *0 nodes *0",
		"*1 " SHARD("*2 :0 :16383 ", "1", NODE("h", "7001", "slave", "online")),
		"*1 " SHARD("*2 :0 :16384 ", "1", NODE("h", "7001", "master", "online")),
	};

	for (size_t i = 0; i < UNIT_COUNT(bad); i++) {
		char *resp = resp_of(bad[i]);
		redisReply *reply = reply_of(resp);
		struct cluster_map map;

		ck_assert_msg(!cluster_read_map(reply, false, &map), "taken: %s", bad[i]);
		ck_assert_ptr_null(map.nodes);
		freeReplyObject(reply);
		free(resp);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cluster");
	TCase *tcase = tcase_create("cluster");

	tcase_add_test(tcase, the_slot_of_a_key_is_that_of_its_tag);
	tcase_add_test(tcase, errors_say_where_to_ask);
	tcase_add_test(tcase, only_an_error_is_one);
	tcase_add_test(tcase, shards_are_read);
	tcase_add_test(tcase, a_node_that_is_known_by_no_host_is_the_one_that_was_asked);
	tcase_add_test(tcase, with_tls_its_ports_are_taken);
	tcase_add_test(tcase, after_a_failover_the_living_one_is_the_primary);
	tcase_add_test(tcase, ranges_are_read);
	tcase_add_test(tcase, what_is_no_map_is_refused);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
