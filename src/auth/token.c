#include "auth/token.h"

#include <string.h>

#include "base/random.h"
#include "base/utf8.h"

static const char *const known_scopes[] = {"push", "admin"};

bool token_is_name(const char *text)
{
	size_t len = strlen(text);

	if (len < 1 || len > TOKEN_NAME_MAX)
		return false;
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~')
			return false;
	}
	return true;
}

void token_session_id(const char *name, char session_id[TOKEN_SESSION_LEN + 1])
{
	hash_name("presence session\n", name, strlen(name), session_id);
}

void token_set_name(struct token *token, const char *name)
{
	memmove(token->name, name, strlen(name) + 1);
	token_session_id(token->name, token->session_id);
}

void token_set_user_name(struct token *token, const char *user_name)
{
	if (user_name == NULL || strlen(user_name) > TOKEN_USER_NAME_MAX ||
	    !utf8_is_valid(user_name, strlen(user_name)))
		user_name = "";
	memcpy(token->user_name, user_name, strlen(user_name) + 1);
}

static bool has_word(const char *scope, const char *word)
{
	size_t len = strlen(word);

	for (scope += strspn(scope, " "); *scope != '\0'; scope += strspn(scope, " ")) {
		size_t span = strcspn(scope, " ");

		if (span == len && memcmp(scope, word, len) == 0)
			return true;
		scope += span;
	}
	return false;
}

bool token_has_scope(const struct token *token, const char *word)
{
	return has_word(token->scope, word);
}

void token_set_scope(struct token *token, const char *scope)
{
	char *end = token->scope;

	*end = '\0';
	for (const char *c = scope; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\')
			return;
	}
	if (strlen(scope) <= TOKEN_SCOPE_MAX) {
		memcpy(token->scope, scope, strlen(scope) + 1);
		return;
	}
	for (size_t i = 0; i < sizeof known_scopes / sizeof known_scopes[0]; i++) {
		if (!has_word(scope, known_scopes[i]))
			continue;
		if (end > token->scope)
			*end++ = ' ';
		end = stpcpy(end, known_scopes[i]);
	}
}
