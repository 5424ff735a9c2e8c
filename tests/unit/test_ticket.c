/* Tickets: what is stored comes back, and what anybody else may have written is checked. */
#include "unit.h"

#include "auth/ticket.h"
#include "base/buf.h"

#define WORD "abcdefghijklmnopqrstuv"

/* The value of the SET that issues a ticket: its fourth line from behind, before EX and 30. */
static char *stored(const struct token *token)
{
	struct printbuf *out = buf_new();
	char *text, *end;

	ticket_put_issue(out, "", WORD, &(struct ticket){.token = *token});
	text = strchr(out->buf, '{');
	ck_assert_ptr_nonnull(text);
	end = strstr(text, "\r\n");
	ck_assert_ptr_nonnull(end);
	text = strndup(text, (size_t)(end - text));
	printbuf_free(out);
	return text;
}

static bool read_text(const char *text, struct token *token)
{
	redisReply reply = {.type = REDIS_REPLY_STRING, .str = (char *)text, .len = strlen(text)};
	struct ticket ticket;
	bool ok;

	ok = ticket_read(&reply, &ticket);
	*token = ticket.token;
	return ok;
}

START_TEST(test_what_is_stored_comes_back)
{
	struct token token = {.user = {"auth0|5f7c"},
			      .issued = 1700000000,
			      .exp = TOKEN_TIME_MAX,
			      .watch = true,
			      .scope = "push admin"};
	struct token seen;
	char *text;

	token_set_name(&token, "a \"name\"\\");
	text = stored(&token);
	ck_assert_str_eq(text, "{\"sub\":\"auth0|5f7c\",\"tok\":\"a \\\"name\\\"\\\\\",\"iat\":"
			       "1700000000,\"exp\":253402300799,\"presence\":\"watch\","
			       "\"scope\":\"push admin\"}");
	ck_assert(read_text(text, &seen));
	ck_assert_str_eq(seen.user.text, "auth0|5f7c");
	ck_assert_str_eq(seen.name, token.name);
	ck_assert_str_eq(seen.session_id, token.session_id);
	ck_assert_int_eq(seen.issued, token.issued);
	ck_assert_int_eq(seen.exp, token.exp);
	ck_assert(seen.watch);
	ck_assert_str_eq(seen.scope, "push admin");
	free(text);

	token.watch = false;
	token.scope[0] = '\0';
	text = stored(&token);
	ck_assert(read_text(text, &seen));
	ck_assert(!seen.watch);
	ck_assert_str_eq(seen.scope, "");
	free(text);
}
END_TEST

static const struct row {
	const char *text;
	bool good;
} rows[] = {
	{"{\"sub\":7,\"tok\":\"t\",\"iat\":0,\"exp\":1}", true},
	{"{\"sub\":7,\"tok\":\"t\",\"iat\":0,\"exp\":253402300799}", true},
	{"{\"sub\":7,\"tok\":\"t\",\"iat\":0,\"exp\":253402300800}", false},
	{"{\"sub\":7,\"tok\":\"t\",\"iat\":0,\"exp\":9223372036854775807}", false},
	{"{\"sub\":7,\"tok\":\"t\",\"iat\":0,\"exp\":99999999999999999999}", false},
	{"{\"sub\":7,\"tok\":\"t\",\"iat\":0,\"exp\":-9223372036854775808}", false},
	{"{\"sub\":7,\"tok\":\"t\",\"iat\":0,\"exp\":-1}", false},
	{"{\"sub\":7,\"tok\":\"t\",\"iat\":0,\"exp\":1.5}", false},
	{"{\"sub\":7,\"tok\":\"t\",\"iat\":9223372036854775807,\"exp\":1}", false},
	{"{\"sub\":7,\"tok\":\"t\",\"exp\":1}", false},
	{"{\"sub\":7,\"tok\":\"a\\nb\",\"iat\":0,\"exp\":1}", false},
	{"{\"sub\":7,\"tok\":\"\\u00e9\",\"iat\":0,\"exp\":1}", false},
	{"{\"sub\":7,\"tok\":\"\",\"iat\":0,\"exp\":1}", false},
	{"{\"sub\":7,\"tok\":7,\"iat\":0,\"exp\":1}", false},
	{"{\"sub\":\"a b\",\"tok\":\"t\",\"iat\":0,\"exp\":1}", false},
	{"{\"sub\":\"7\",\"tok\":\"t\",\"iat\":0,\"exp\":1}", false},
	{"{\"sub\":7,\"tok\":\"t\",\"iat\":0,\"exp\":1,\"presence\":\"all\"}", false},
	{"{\"sub\":7,\"tok\":\"t\",\"iat\":0,\"exp\":1,\"presence\":7}", false},
	{"{\"sub\":7,\"tok\":\"t\",\"iat\":0,\"exp\":1,\"scope\":[\"admin\"]}", false},
	{"[]", false},
	{"", false},
	{"{\"sub\":7,\"tok\":\"t\",\"iat\":0,\"exp\":1", false},
};

START_TEST(test_what_another_one_wrote)
{
	struct token token;

	ck_assert_msg(read_text(rows[_i].text, &token) == rows[_i].good, "%s: expected %s",
		      rows[_i].text, rows[_i].good ? "a ticket" : "none");
}
END_TEST

static Suite *ticket_suite(void)
{
	Suite *suite = suite_create("ticket");
	TCase *tcase = tcase_create("ticket");

	tcase_add_test(tcase, test_what_is_stored_comes_back);
	tcase_add_loop_test(tcase, test_what_another_one_wrote, 0, UNIT_COUNT(rows));
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(ticket_suite());
}
