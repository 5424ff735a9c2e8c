#include "auth/ticket.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/keys.h"
#include "store/resp.h"

void ticket_make(char text[TICKET_LEN_MAX + 1], unsigned partitions, unsigned partition)
{
	int len = partitions > 1 ? snprintf(text, TICKET_LEN_MAX + 1, "%u.", partition) : 0;

	random_id(text + len);
}

/* Reads "17." off the front of *text. */
static bool take_partition(const char **text, unsigned partitions, unsigned *partition)
{
	size_t digits = strspn(*text, "0123456789");

	if (digits < 1 || digits > 4 || (*text)[digits] != '.' || (digits > 1 && **text == '0'))
		return false;
	*partition = (unsigned)strtoul(*text, NULL, 10);
	*text += digits + 1;
	return *partition < partitions;
}

bool ticket_parse(const char *text, unsigned partitions, unsigned *partition)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	*partition = 0;
	if (partitions > 1 && !take_partition(&text, partitions, partition))
		return false;
	return strlen(text) == RANDOM_ID_LEN && strspn(text, alphabet) == RANDOM_ID_LEN;
}

void ticket_put_issue(struct printbuf *out, const char *prefix, const char *text,
		      const struct ticket *ticket)
{
	const struct token *token = &ticket->token;
	struct printbuf *value = buf_new();

	buf_puts(value, "{\"sub\":");
	userid_put_json(value, &token->user);
	buf_puts(value, ",\"tok\":");
	json_put_string(value, token->name, strlen(token->name));
	buf_putf(value, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64, token->issued, token->exp);
	if (token->watch)
		buf_puts(value, ",\"presence\":\"watch\"");
	if (token->scope[0] != '\0') {
		buf_puts(value, ",\"scope\":");
		json_put_string(value, token->scope, strlen(token->scope));
	}
	if (ticket->idle)
		buf_puts(value, ",\"idle\":true");
	if (ticket->users != NULL) {
		buf_puts(value, ",\"users\":");
		userids_put_json(value, ticket->users);
	}
	buf_puts(value, ticket->without_friends ? ",\"friends\":false}" : "}");

	resp_begin(out, 5);
	resp_text(out, "SET");
	resp_key(out, prefix, KEY_TICKET, text);
	resp_arg(out, value->buf, buf_len(value));
	resp_text(out, "EX");
	resp_number(out, TICKET_LIFETIME);
	printbuf_free(value);
}

void ticket_put_redeem(struct printbuf *out, const char *prefix, const char *text)
{
	resp_begin(out, 2);
	resp_text(out, "GETDEL");
	resp_key(out, prefix, KEY_TICKET, text);
}

/* Whole seconds in the range that token_keys_verify() gives. */
static bool read_seconds(struct json_object *value, int64_t *seconds)
{
	if (!json_object_is_type(value, json_type_int))
		return false;
	*seconds = json_object_get_int64(value);
	return *seconds >= 0 && *seconds <= TOKEN_TIME_MAX;
}

/* A member that need not be there; then *text stays as it is. */
static bool read_text(struct json_object *value, size_t max, const char **text)
{
	return value == NULL || json_is_text(value, max, text);
}

/* A member that need not be there; then *flag stays as it is. */
static bool read_flag(struct json_object *value, bool *flag)
{
	if (value == NULL)
		return true;
	*flag = json_object_get_boolean(value);
	return json_object_is_type(value, json_type_boolean);
}

static bool read_watch_list(struct json_object *value, struct ticket *ticket)
{
	struct json_object *users = json_member(value, "users");
	bool friends = true;

	if (!read_flag(json_member(value, "friends"), &friends))
		return false;
	ticket->without_friends = !friends;
	return users == NULL ||
	       userids_from_json(users, TICKET_USERS_MAX, &ticket->users) == USERIDS_OK;
}

static bool read_members(struct json_object *value, struct ticket *ticket)
{
	const char *name = "", *presence = "", *scope = "";
	struct token *token = &ticket->token;

	if (!userid_from_json(json_member(value, "sub"), &token->user) ||
	    !json_is_text(json_member(value, "tok"), TOKEN_NAME_MAX, &name) ||
	    !token_is_name(name) || !read_seconds(json_member(value, "iat"), &token->iat) ||
	    !read_seconds(json_member(value, "exp"), &token->exp) ||
	    !read_text(json_member(value, "presence"), TOKEN_SCOPE_MAX, &presence) ||
	    !read_text(json_member(value, "scope"), TOKEN_SCOPE_MAX, &scope))
		return false;
	if (!read_flag(json_member(value, "idle"), &ticket->idle))
		return false;
	token->issued = token->iat;
	token->watch = strcmp(presence, "watch") == 0;
	token_set_scope(token, scope);
	token_set_name(token, name);
	return (token->watch || *presence == '\0') && read_watch_list(value, ticket);
}

bool ticket_read(const redisReply *reply, struct ticket *ticket)
{
	struct json_object *value;
	const char *why;
	bool ok;

	memset(ticket, 0, sizeof *ticket);
	if (reply->type != REDIS_REPLY_STRING)
		return false;
	value = json_parse_object(reply->str, reply->len, &why);
	ok = value != NULL && read_members(value, ticket);
	json_object_put(value);
	return ok;
}
