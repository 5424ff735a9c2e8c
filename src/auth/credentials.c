#include "auth/credentials.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/cgi.h"

/* The token in an Authorization field's value (RFC 6750 section 2.1); NULL with another scheme. */
static const char *bearer(const char *value, size_t *len)
{
	static const char scheme[] = "Bearer";
	size_t scheme_len = sizeof scheme - 1;

	if (value == NULL || strncasecmp(value, scheme, scheme_len) != 0 ||
	    (value[scheme_len] != ' ' && value[scheme_len] != '\0'))
		return NULL;
	value += scheme_len;
	value += strspn(value, " ");
	*len = strlen(value);
	while (*len > 0 && value[*len - 1] == ' ')
		--*len;
	return value;
}

const char *credentials_bearer(char *const *env, size_t *len)
{
	static const char *const fields[] = {"HTTP_AUTHORIZATION", "REDIRECT_HTTP_AUTHORIZATION"};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		const char *text = bearer(cgi_param(env, fields[i]), len);

		if (text != NULL)
			return text;
	}
	return NULL;
}

enum problem_kind credentials_verify(const struct token_keys *keys, char *const *env,
				     int64_t now_ms, struct token *token, const char **why)
{
	char value[TOKEN_MAX + 1];
	size_t len;
	const char *text = credentials_bearer(env, &len);

	if (text != NULL)
		return token_keys_verify(keys, text, len, now_ms, token, why);
	switch (cgi_query_get(env, "token", value, sizeof value)) {
	case CGI_QUERY_FOUND:
		return token_keys_verify(keys, value, strlen(value), now_ms, token, why);
	case CGI_QUERY_BAD:
		*why = "the parameter token is malformed or too long";
		return PROBLEM_TOKEN_INVALID;
	case CGI_QUERY_ABSENT:
		break;
	}
	*why = "no token came with the request";
	return PROBLEM_TOKEN_MISSING;
}
