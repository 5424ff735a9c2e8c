/* Tokens: made, and looked at. */
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/issue.h"
#include "base/json.h"
#include "base/times.h"
#include "ctl/account.h"
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
	int64_t now = times_wall_ms() / 1000;
	redisReply *reply;

	resp_begin(command, 1);
	resp_text(command, "TIME");
	if (nodes_run(ctl->nodes, 1, &reply)) {
		if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0)
			now = strtoll(reply->element[0]->str, NULL, 10);
		reply_free(reply);
	}
	return now;
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
