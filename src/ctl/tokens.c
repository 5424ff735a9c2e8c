/* Tokens: made, and looked at. */
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/issue.h"
#include "auth/jws.h"
#include "base/base64url.h"
#include "base/json.h"
#include "base/span.h"
#include "base/times.h"
#include "ctl/account.h"
#include "ctl/table.h"
#include "store/keys.h"
#include "store/reply.h"
#include "store/resp.h"

/* --- token --------------------------------------------------------------------------------- */

static void print_token(const struct ctl *ctl, const char *text, const struct userid *id,
			int64_t lifetime)
{
	struct printbuf *out = buf_new();

	if (ctl->json) {
		buf_puts(out, "{\"access_token\":");
		json_put_string(out, text, strlen(text));
		buf_putf(out, ",\"token_type\":\"bearer\",\"expires_in\":%d,\"user_id\":",
			 (int)lifetime);
		userid_put_json(out, id);
		buf_puts(out, "}\n");
	} else {
		buf_putf(out, "%s\n", text);
	}
	ctl_print(out);
	printbuf_free(out);
}

/* Redis' clock, with which iat is compared, in seconds; this host's where Redis does not answer. */
static int64_t issue_time(struct ctl *ctl)
{
	struct printbuf *command = ctl_begin(ctl, partitions_at(ctl->partitions, 0));
	int64_t now_ms = times_wall_ms();
	redisReply *reply;

	store_put_time(command);
	if (nodes_run(ctl->nodes, 1, &reply)) {
		store_read_time(reply, &now_ms);
		reply_free(reply);
	}
	return now_ms / 1000;
}

enum ctl_exit ctl_token(struct ctl *ctl, char **args, int count)
{
	int lifetime = ctl->lifetime != 0 ? ctl->lifetime : ctl->config->auth.token_lifetime;
	struct token token = {.iat = issue_time(ctl)};
	struct token_keys *keys;
	char err[512], *text;

	(void)count;
	if (!ctl_read_id(args[0], &token.user))
		return CTL_USAGE;
	keys = token_keys_open(ctl->config, err, sizeof err);
	if (keys == NULL)
		return ctl_fail("%s", err);
	token.exp = times_wall_ms() / 1000 + lifetime;
	token.watch = ctl->watch;
	if (ctl->scope != NULL)
		token_set_scope(&token, ctl->scope);
	if (ctl->scope != NULL && strcmp(token.scope, ctl->scope) != 0) {
		token_keys_free(keys);
		return ctl_refuse("--scope: '%s' is not a list of words", ctl->scope);
	}
	text = issue_token(keys, &token);
	token_keys_free(keys);
	if (text == NULL)
		return ctl_fail("there is no key to sign with: auth.signing_key_file");
	print_token(ctl, text, &token.user, lifetime);
	free(text);
	account_warn_unknown(ctl, &token.user);
	return CTL_DONE;
}

/* --- checktoken ------------------------------------------------------------------------------ */

#define LINE_SIZE (TOKEN_MAX + 32)

/* The token of the argument, or of the first line of standard input, without "Bearer "; "" for none. */
static const char *take_token(char **args, int count, char line[LINE_SIZE])
{
	const char *text = count > 0 ? args[0] : line;

	*line = '\0';
	if (count == 0 && fgets(line, LINE_SIZE, stdin) != NULL)
		line[strcspn(line, "\r\n")] = '\0';
	return strncasecmp(text, "Bearer ", 7) == 0 ? text + 7 : text;
}

/* One of its parts as JSON, not verified; NULL: it is none. */
static struct json_object *decode_part(const char *text, size_t len)
{
	unsigned char bytes[BASE64URL_DECODED(TOKEN_MAX)];
	const char *why;
	size_t size;

	if (len > TOKEN_MAX || !base64url_decode(text, len, bytes, &size))
		return NULL;
	return json_parse_object((const char *)bytes, size, &why);
}

/* What it says of itself: header and payload, whether they are true or not. The signature is left out. */
static void print_parts(const char *text)
{
	const char *dot = strchr(text, '.'), *names[] = {"header", "payload"};
	struct printbuf *out = buf_new();

	for (int i = 0; i < 2 && dot != NULL; i++) {
		struct json_object *part = decode_part(text, (size_t)(dot - text));

		buf_putf(out, "%-8s  %s\n", names[i],
			 part != NULL ? json_object_to_json_string_ext(
						part, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE)
				      : "is not a JSON object in base64url");
		json_object_put(part);
		text = dot + 1;
		dot = strchr(text, '.');
	}
	ctl_print(out);
	printbuf_free(out);
}

/* What the configuration would have, where that is not a secret; "" else. */
static void put_expected(char expected[256], const struct config *config, const char *why)
{
	*expected = '\0';
	if (strstr(why, "'s alg") != NULL)
		snprintf(expected, 256, " (auth.algorithm is %s)",
			 jws_algorithm((enum auth_algorithm)config->auth.algorithm)->name);
	else if (strstr(why, "'s iss") != NULL)
		snprintf(expected, 256, " (auth.issuer is '%s')", config->auth.issuer);
	else if (strstr(why, "'s aud") != NULL)
		snprintf(expected, 256, " (auth.audience is '%s')", config->auth.audience);
	else if (strstr(why, "auth.user_claim") != NULL)
		snprintf(expected, 256, " (auth.user_claim is '%s')", config->auth.user_claim);
}

/* Asks Redis whether the token is refused all the same: *why becomes NULL, or the reason. False: no answer. */
static bool ask_revoked(struct ctl *ctl, const struct token *token, const char **why)
{
	const struct store *store = partitions_of(ctl->partitions, &token->user);
	const char *prefix = store_prefix(store);
	struct printbuf *out = ctl_begin(ctl, store), *name = buf_new();
	redisReply *reply;

	buf_putf(name, "%s/%s", token->user.text, token->name);
	resp_begin(out, 3);
	resp_text(out, "MGET");
	resp_key(out, prefix, KEY_REVOKED, name->buf);
	resp_key(out, prefix, KEY_NOT_BEFORE, token->user.text);
	printbuf_free(name);
	reply = ctl_run_one(ctl);
	if (reply == NULL)
		return false;
	*why = NULL;
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
		const redisReply *const *known = (const redisReply *const *)reply->element;

		if (known[0]->type == REDIS_REPLY_STRING)
			*why = "the token was logged out";
		else if (known[1]->type == REDIS_REPLY_STRING &&
			 token->issued < strtoll(known[1]->str, NULL, 10))
			*why = "the token was issued before all of the user's were refused: a "
			       "logout from everywhere, a kick";
	}
	reply_free(reply);
	return true;
}

static void print_good(const struct token *token)
{
	char left[SPAN_SIZE], until[TIMES_LEN + 1];
	int64_t seconds = token->exp - times_wall_ms() / 1000;

	span_put(left, seconds > 0 ? seconds : 0);
	times_format(token->exp, until);
	printf("%s%-4s%s  it is good: user %s, for another %s (%s)%s%s%s\n",
	       table_begin_colour(TABLE_GREEN), "ok", table_end_colour(TABLE_GREEN),
	       token->user.text, left, until, token->watch ? ", only watches" : "",
	       token->scope[0] != '\0' ? ", scope " : "", token->scope);
}

static void print_verdict(const struct ctl *ctl, const struct token *token, const char *why)
{
	char expected[256] = "";
	struct printbuf *out;

	if (why == NULL && !ctl->json) {
		print_good(token);
		return;
	}
	out = buf_new();
	if (why != NULL)
		put_expected(expected, ctl->config, why);
	if (ctl->json) {
		buf_putf(out, "{\"valid\":%s,\"why\":", why == NULL ? "true" : "false");
		if (why != NULL)
			json_put_string(out, why, strlen(why));
		else
			buf_puts(out, "null");
		if (why == NULL) {
			buf_puts(out, ",\"user_id\":");
			userid_put_json(out, &token->user);
		}
		buf_puts(out, "}\n");
	} else {
		buf_putf(out, "%s%s%s  %s%s\n", table_begin_colour(TABLE_RED), "FAIL",
			 table_end_colour(TABLE_RED), why, expected);
	}
	ctl_print(out);
	printbuf_free(out);
}

enum ctl_exit ctl_checktoken(struct ctl *ctl, char **args, int count)
{
	char line[LINE_SIZE], err[512];
	const char *text = take_token(args, count, line), *why = NULL;
	struct token_keys *keys = token_keys_open(ctl->config, err, sizeof err);
	struct token token;
	bool is_refused;

	if (keys == NULL)
		return ctl_fail("%s", err);
	if (!ctl->json)
		print_parts(text);
	is_refused = token_keys_verify(keys, text, strlen(text), times_wall_ms(), &token, &why) !=
		     PROBLEM_NONE;
	token_keys_free(keys);
	if (!is_refused) {
		if (!ask_revoked(ctl, &token, &why))
			return CTL_FAILED;
	}
	print_verdict(ctl, &token, why);
	return why == NULL ? CTL_DONE : CTL_FAILED;
}
