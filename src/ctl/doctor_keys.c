/* doctor: the keys. */
#include "ctl/doctor_checks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/times.h"

#define SENTENCE_SIZE 512

/* A key that everybody may read lets everybody log in as anybody. */
static void check_mode(struct doctor *doctor, const char *option, const char *file)
{
	struct stat info;

	if (*file != '\0' && stat(file, &info) == 0 && (info.st_mode & S_IROTH) != 0)
		doctor_say(doctor, FINDING_WARN, "chmod 0640, and its group that of the programs",
			   "%s: every user of this machine may read %s", option, file);
}

/* Signs a token and verifies it, as login and the next request do. */
static void check_signing(struct doctor *doctor)
{
	const struct config *config = doctor->ctl->config;
	const struct userid nobody = {.text = "doctor"};
	int64_t now = times_wall_ms() / 1000;
	struct token token;
	const char *why = "";
	char *text = token_issue(doctor->keys, &nobody, NULL, NULL, now, 60, &token);

	if (text == NULL && config->auth.login == LOGIN_EXTERNAL)
		doctor_say(doctor, FINDING_OK, NULL,
			   "keys: auth.key_file can be read; whether tokens fit it, only one of "
			   "their issuer's could tell");
	else if (text == NULL)
		doctor_say(doctor, FINDING_FAIL, "set auth.signing_key_file to the private key",
			   "keys: there is none that login can sign with");
	else if (token_verify(doctor->keys, text, strlen(text), now, &token, &why) != PROBLEM_NONE)
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
	check_mode(doctor, is_secret ? "auth.key_file" : "auth.signing_key_file",
		   is_secret ? config->auth.key_file : config->auth.signing_key_file);
}
