#include "api/resources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/issue.h"
#include "auth/password.h"
#include "auth/ticket.h"
#include "base/cgi.h"
#include "base/json.h"
#include "base/random.h"
#include "base/times.h"
#include "store/throttle.h"

#define EMAIL_MAX 254 /* bytes, RFC 5321 */
#define PASSWORD_MAX 512 /* bytes; crypt(3) takes no more */

/* A member of the body that is a string of 1..max bytes; borrowed from the body. */
static struct problem parse_text(struct request *request, const char *name, size_t max,
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

/* What failed logins are counted by. */
struct attempt {
	char account[HASH_NAME_LEN + 16];
	char name[HASH_NAME_LEN + 16];
	const char *address; /* `name`, or NULL when the web server does not tell */
	int64_t now; /* seconds of the clock of the account's partition, when it was counted */
};

/* The name of an account, or of an e-mail that has none: its letters A to Z count as small ones. */
static void name_account(struct attempt *attempt, const struct account *account, const char *email)
{
	char small[EMAIL_MAX + 1], hash[HASH_NAME_LEN + 1];
	size_t len = strlen(email);

	for (size_t i = 0; i <= len; i++)
		small[i] = (char)(email[i] >= 'A' && email[i] <= 'Z' ? email[i] + 32 : email[i]);
	if (account != NULL)
		hash_name("user\n", account->user.text, strlen(account->user.text), hash);
	else
		hash_name("account\n", small, len, hash);
	/* cppcheck-suppress ctuuninitvar ; it is what this function fills */
	snprintf(attempt->account, sizeof attempt->account, "account:%s", hash);
}

static void name_address(struct attempt *attempt, const char *peer)
{
	char hash[HASH_NAME_LEN + 1];

	attempt->address = NULL;
	if (peer == NULL || *peer == '\0')
		return;
	hash_name("address\n", peer, strlen(peer), hash);
	snprintf(attempt->name, sizeof attempt->name, "addr:%s", hash);
	attempt->address = attempt->name;
}

/*
 * Counts the attempt as failed until it succeeds: for the account that the
 * directory found, so that no other spelling which the directory takes for the
 * same (AlIcE@example.com) is a fresh account to guess at. NULL: it found none.
 */
static struct problem begin_attempt(struct request *request, const struct account *account,
				    const char *email, struct attempt *attempt)
{
	const struct store *first = request_first_store(request);
	bool elsewhere = account != NULL && request_store_of(request, &account->user) != first;
	struct problem problem;
	int64_t now_ms;
	int wait;

	name_account(attempt, account, email);
	name_address(attempt, cgi_param(request->env, "REMOTE_ADDR"));
	throttle_put(request_pipeline(request), first, attempt->account, attempt->address);
	if (elsewhere)
		store_put_time(request_to(request, request_store_of(request, &account->user)));
	problem = request_ask(request, elsewhere ? 2 : 1);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	if (!throttle_read(request->replies[0], &wait, &attempt->now))
		return request_bad_reply(request);
	if (elsewhere) {
		if (!store_read_time(request->replies[1], &now_ms))
			return request_bad_reply(request);
		attempt->now = now_ms / 1000;
	}
	if (wait > 0)
		return (struct problem){.kind = PROBLEM_TOO_MANY_LOGINS, .retry_after = wait};
	return request_done();
}

/* Finds the account; an unknown e-mail takes as long as a wrong password and looks the same. */
static struct problem check_credentials(struct request *request, const char *email,
					const char *password, struct account *account,
					struct attempt *attempt)
{
	enum directory_result result =
		directory_account(request->service->directory, email, account);
	const struct account *found = result == DIRECTORY_OK ? account : NULL;
	struct problem problem;

	if (result == DIRECTORY_UNAVAILABLE)
		return request_refuse(PROBLEM_DIRECTORY_UNAVAILABLE, NULL);
	problem = begin_attempt(request, found, email, attempt);
	if (problem.kind == PROBLEM_NONE &&
	    !password_verify(password, found != NULL ? found->password_hash : NULL))
		problem = request_refuse(PROBLEM_BAD_CREDENTIALS, NULL);
	if (problem.kind != PROBLEM_NONE && found != NULL)
		account_free(account);
	return problem;
}

static void put_login(struct printbuf *out, const struct token *token, const char *text,
		      int lifetime)
{
	buf_puts(out, "{\"access_token\":");
	json_put_string(out, text, strlen(text));
	buf_putf(out,
		 ",\"token_type\":\"bearer\",\"expires_in\":%d,\"user\":{\"user_id\":", lifetime);
	userid_put_json(out, &token->user);
	buf_puts(out, ",\"name\":");
	json_put_string(out, token->user_name, strlen(token->user_name));
	buf_puts(out, "}}");
}

/* Issues request->token with new times; the caller frees the text. NULL: it could not be signed. */
static char *issue(struct request *request, int64_t redis_now)
{
	struct token *token = &request->token;
	int64_t host_now = times_wall_ms() / 1000;
	bool agree = host_now - redis_now >= -1 && host_now - redis_now <= 2; /* asked before */

	/*
	 * Redis compares iat with its own clock (logout from everywhere, kick); exp is
	 * compared with the clock of the host that verifies.
	 */
	token->iat = token->issued = redis_now;
	token->exp = (agree ? redis_now : host_now) + request->service->config->auth.token_lifetime;
	return issue_token(request->service->keys, token);
}

/* Issues a token and brings its user online. */
static struct problem log_in(struct request *request, const struct account *account,
			     const struct attempt *attempt)
{
	struct problem problem;
	char *text;

	request_set_user(request, &account->user);
	token_set_user_name(&request->token, account->name);
	text = issue(request, attempt->now);
	if (text == NULL)
		return request_refuse(PROBLEM_INTERNAL, "The token could not be signed.");
	request_touch(request, "login");
	throttle_put_success(request_to(request, request_first_store(request)),
			     request_first_store(request), attempt->account, attempt->address);
	problem = request_ask_touched(request, 1);
	if (problem.kind == PROBLEM_NONE)
		put_login(request->answer, &request->token, text,
			  request->service->config->auth.token_lifetime);
	free(text);
	return problem;
}

struct problem auth_login(struct request *request)
{
	const char *email, *password;
	struct account account;
	struct attempt attempt = {.now = 0};
	struct problem problem = parse_text(request, "email", EMAIL_MAX, &email);

	if (problem.kind == PROBLEM_NONE)
		problem = parse_text(request, "password", PASSWORD_MAX, &password);
	if (problem.kind == PROBLEM_NONE)
		problem = check_credentials(request, email, password, &account, &attempt);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	problem = log_in(request, &account, &attempt);
	account_free(&account);
	return problem;
}

/* A new token of the same `sid`, so that the device stays one, with the same rights. */
struct problem auth_refresh(struct request *request)
{
	struct problem problem;
	int64_t redis_ms;
	char *text;

	store_put_time(request_touch(request, "activity"));
	problem = request_ask_touched(request, 1);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	if (!store_read_time(request->replies[1], &redis_ms))
		return request_bad_reply(request);
	text = issue(request, redis_ms / 1000);
	if (text == NULL)
		return request_refuse(PROBLEM_INTERNAL, "The token could not be signed.");
	put_login(request->answer, &request->token, text,
		  request->service->config->auth.token_lifetime);
	free(text);
	return request_done();
}

/* A member that need not be there; then *flag stays as it is. */
static bool parse_flag(struct json_object *value, bool *flag)
{
	if (value == NULL)
		return true;
	*flag = json_object_get_boolean(value);
	return json_object_is_type(value, json_type_boolean);
}

static struct problem parse_watch_list(struct request *request, struct ticket *ticket)
{
	int max = request->service->config->stream.max_watched;
	struct json_object *users = json_member(request->body, "users");
	bool friends = true;

	if (!parse_flag(json_member(request->body, "friends"), &friends))
		return request_refuse(PROBLEM_BAD_VALUE, "\"friends\" is true or false.");
	ticket->without_friends = !friends;
	if (users == NULL)
		return request_done();
	switch (userids_from_json(users, (size_t)max, &ticket->users)) {
	case USERIDS_OK:
		return request_done();
	case USERIDS_TOO_MANY:
		snprintf(request->detail, sizeof request->detail,
			 "At most %d users may be watched.", max);
		return request_refuse(PROBLEM_TOO_MANY_IDS, request->detail);
	case USERIDS_BAD:
		break;
	}
	return request_refuse(PROBLEM_BAD_ID, "\"users\" is an array of user ids.");
}

static struct problem parse_ticket(struct request *request, struct ticket *ticket)
{
	if (request->body == NULL)
		return request_done();
	if (!parse_flag(json_member(request->body, "idle"), &ticket->idle))
		return request_refuse(PROBLEM_BAD_VALUE, "\"idle\" is true or false.");
	return parse_watch_list(request, ticket);
}

/* A word that stands for the token once, for an EventSource's URL. */
struct problem auth_ticket(struct request *request)
{
	struct ticket ticket = {.token = request->token};
	char word[TICKET_LEN_MAX + 1];
	struct problem problem = parse_ticket(request, &ticket);

	if (problem.kind != PROBLEM_NONE)
		return problem;
	/* Should the touch refuse the token: the word is not told, and would be refused as well. */
	ticket_make(word, partitions_count(request->service->partitions),
		    store_partition(request->store));
	ticket_put_issue(request_touch(request, "activity"), store_prefix(request->store), word,
			 &ticket);
	free(ticket.users);
	problem = request_ask_touched(request, 1);
	if (problem.kind == PROBLEM_NONE)
		buf_putf(request->answer, "{\"ticket\":\"%s\",\"expires_in\":%d}", word,
			 TICKET_LIFETIME);
	return problem;
}

/* Does not count as activity: the session ends, it is not renewed first. */
struct problem auth_logout(struct request *request)
{
	struct store_end end = {
		.user = &request->token.user,
		.tok = request->token.name,
		.iat = request->token.issued,
		.exp = request->token.exp,
		.reason = "logout",
		.knows_epoch = service_known(request->service, request->store)->has_epoch,
	};
	struct problem problem;

	if (!cgi_query_flag(request->env, "all", &end.all))
		return request_refuse(PROBLEM_BAD_PARAMETER, "\"all\" is true or false.");
	store_put_end(request_pipeline(request), request->store, &end);
	problem = request_ask(request, 1);
	if (problem.kind != PROBLEM_NONE)
		return problem;
	problem = request_check(request, store_read_end(request->replies[0]));
	if (problem.kind == PROBLEM_NONE)
		buf_puts(request->answer, "{\"ok\":true}");
	return problem;
}
