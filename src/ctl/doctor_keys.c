/* doctor: the keys. */
#include "ctl/doctor_checks.h"

#include <stdlib.h>
#include <string.h>

#include "auth/issue.h"
#include "base/times.h"

#define SENTENCE_SIZE 512

/* Signs a token and verifies it, as login and the next request do. */
static void check_signing(struct doctor *doctor)
{
	const struct config *config = doctor->ctl->config;
	int64_t now_ms = times_wall_ms();
	struct token token = {
		.user = {.text = "doctor"}, .iat = now_ms / 1000, .exp = now_ms / 1000 + 60};
	const char *why = "";
	char *text = issue_token(doctor->keys, &token);

	if (text == NULL && config->auth.login == LOGIN_EXTERNAL)
		doctor_say(doctor, FINDING_OK, NULL,
			   "keys: auth.key_file can be read; whether tokens fit it, only one of "
			   "their issuer's could tell");
	else if (text == NULL)
		doctor_say(doctor, FINDING_FAIL, "set auth.signing_key_file to the private key",
			   "keys: there is none that login can sign with");
	else if (token_keys_verify(doctor->keys, text, strlen(text), now_ms, &token, &why) !=
		 PROBLEM_NONE)
		doctor_say(doctor, FINDING_FAIL,
			   "let auth.signing_key_file and auth.key_file be of one pair",
			   "keys: a token signed here is refused: %s", why);
	else
		doctor_say(doctor, FINDING_OK, NULL, "keys: a token was signed and verified");
	free(text);
}

void doctor_check_keys(struct doctor *doctor)
{
	const struct config *config = doctor->ctl->config;
	bool is_secret = config->auth.algorithm <= AUTH_HS512;
	char err[SENTENCE_SIZE];

	doctor->keys = token_keys_open(config, err, sizeof err);
	if (doctor->keys == NULL) {
		doctor_say(doctor, FINDING_FAIL,
			   is_secret ? "make one: openssl rand -base64 48, mode 0640"
				     : "see auth in presence.conf for the files that are needed",
			   "keys: %s", err);
		return;
	}
	check_signing(doctor);
}
