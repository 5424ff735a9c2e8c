#include "auth/ticket.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "store/keys.h"
#include "store/resp.h"

bool ticket_is_valid(const char *text)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	return strlen(text) == TICKET_LEN && strspn(text, alphabet) == TICKET_LEN;
}

void ticket_put_make(struct printbuf *out, const char *prefix, const char *ticket,
		     const struct token *token)
{
	struct printbuf *value = buf_new();

	buf_puts(value, "{\"sub\":");
	userid_put_json(value, &token->user);
	buf_puts(value, ",\"tok\":");
	json_put_string(value, token->name, strlen(token->name));
	buf_putf(value, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}", token->iat, token->exp);

	resp_begin(out, 5);
	resp_text(out, "SET");
	resp_key(out, prefix, KEY_TICKET, ticket);
	resp_arg(out, value->buf, buf_len(value));
	resp_text(out, "EX");
	resp_number(out, TICKET_LIFETIME);
	printbuf_free(value);
}

void ticket_put_take(struct printbuf *out, const char *prefix, const char *ticket)
{
	resp_begin(out, 2);
	resp_text(out, "GETDEL");
	resp_key(out, prefix, KEY_TICKET, ticket);
}

bool ticket_read(const redisReply *reply, struct token *token)
{
	struct json_object *value, *iat, *exp;
	const char *why, *name = "";
	bool ok;

	if (reply->type != REDIS_REPLY_STRING)
		return false;
	value = json_parse_object(reply->str, reply->len, &why);
	if (value == NULL)
		return false;
	iat = json_member(value, "iat");
	exp = json_member(value, "exp");
	ok = userid_from_json(json_member(value, "sub"), &token->user) &&
	     json_is_text(json_member(value, "tok"), TOKEN_NAME_MAX, &name) && *name != '\0' &&
	     json_object_is_type(iat, json_type_int) && json_object_is_type(exp, json_type_int);
	if (ok) {
		token->iat = json_object_get_int64(iat);
		token->exp = json_object_get_int64(exp);
		token->user_name[0] = '\0';
		token_set_name(token, name);
	}
	json_object_put(value);
	return ok;
}
