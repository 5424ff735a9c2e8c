#include "api/resources.h"

#include <stdlib.h>
#include <string.h>

#include "auth/password.h"
#include "base/cgi.h"
#include "base/json.h"
#include "base/times.h"

#define EMAIL_MAX 254 /* bytes, RFC 5321 */
#define PASSWORD_MAX 512 /* bytes; crypt(3) takes no more */

/* A member of the body that is a string of 1..max bytes; borrowed from the body. */
static struct problem take_text(struct request *request, const char *name, size_t max,
				const char **text)
{
	struct json_object *value = json_member(request->body, name);

	if (!json_object_is_type(value, json_type_string))
		return request_refuse(PROBLEM_BAD_JSON,
				      "\"email\" and \"password\" must be strings.");
	if (!json_is_text(value, max, text) || **text == '\0')
		return request_refuse(PROBLEM_BAD_PARAMETER,
				      "\"email\" or \"password\" is empty or too long.");
	return request_done();
}

/* Finds the account; an unknown e-mail takes as long as a wrong password and looks the same. */
static struct problem check_credentials(struct request *request, const char *email,
					const char *password, struct account *account)
{
	switch (directory_account(request->service->directory, email, account)) {
	case DIRECTORY_OK:
		if (password_verify(password, account->password_hash))
			return request_done();
		account_free(account);
		return request_refuse(PROBLEM_BAD_CREDENTIALS, NULL);
	case DIRECTORY_NOT_FOUND:
		password_verify(password, NULL);
		return request_refuse(PROBLEM_BAD_CREDENTIALS, NULL);
	default:
		return request_no_directory(request);
	}
}

static void put_login(struct printbuf *out, const struct account *account, const char *token,
		      int lifetime)
{
	buf_puts(out, "{\"access_token\":");
	json_put_string(out, token, strlen(token));
	buf_putf(out, ",\"token_type\":\"bearer\",\"expires_in\":%d,\"user\":{\"user_id\":",
		 lifetime);
	userid_put_json(out, &account->user);
	buf_puts(out, ",\"name\":");
	json_put_string(out, account->name, strlen(account->name));
	buf_puts(out, "}}");
}

/* Issues a token and brings its user online. */
static struct problem log_in(struct request *request, const struct account *account)
{
	int lifetime = request->service->config->auth.token_lifetime;
	struct problem problem;
	char *token = token_issue(request->service->keys, &account->user, NULL,
				  times_wall_ms() / 1000, lifetime, &request->token);

	if (token == NULL)
		return request_refuse(PROBLEM_INTERNAL, "The token could not be signed.");
	request_touch(request, "login");
	problem = request_ask_touched(request, 0);
	if (problem.kind == PROBLEM_NONE)
		put_login(request->answer, account, token, lifetime);
	free(token);
	return problem;
}

struct problem auth_login(struct request *request)
{
	const char *email, *password;
	struct account account;
	struct problem problem = take_text(request, "email", EMAIL_MAX, &email);

	if (problem.kind == PROBLEM_NONE)
		problem = take_text(request, "password", PASSWORD_MAX, &password);
	if (problem.kind == PROBLEM_NONE)
		problem = check_credentials(request, email, password, &account);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	problem = log_in(request, &account);
	account_free(&account);
	return problem;
}

/* Reads ?all=true. */
static bool take_all(struct request *request, bool *all)
{
	char value[8];

	*all = false;
	switch (cgi_query_get(request->env, "all", value, sizeof value)) {
	case CGI_QUERY_ABSENT:
		return true;
	case CGI_QUERY_FOUND:
		*all = strcmp(value, "true") == 0;
		return *all || strcmp(value, "false") == 0;
	default:
		return false;
	}
}

/* Counts as no activity: the session ends, it is not renewed first. */
struct problem auth_logout(struct request *request)
{
	struct store_end end = {
		.user = &request->token.user,
		.tok = request->token.name,
		.iat = request->token.iat,
		.exp = request->token.exp,
		.reason = "logout",
	};
	struct problem problem;

	if (!take_all(request, &end.all))
		return request_refuse(PROBLEM_BAD_PARAMETER, "\"all\" is true or false.");
	store_put_end(request_pipeline(request), request->service->store, &end);
	problem = request_ask(request, 1);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	switch (store_read_end(request->replies[0])) {
	case STORE_DONE:
		buf_puts(request->answer, "{\"ok\":true}");
		return request_done();
	case STORE_REVOKED:
		return request_refuse(PROBLEM_TOKEN_REVOKED, NULL);
	default:
		return request_bad_reply(request);
	}
}
