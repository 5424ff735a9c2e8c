/* doctor: configuration, keys and directory; the order of all checks. */
#include "ctl/doctor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/times.h"
#include "directory/directory.h"

#define NOBODY "doctor@presence.invalid" /* RFC 2606: nobody has this address */
#define SENTENCE_SIZE 512

void doctor_say(struct doctor *doctor, enum finding finding, const char *change, const char *format,
		...)
{
	static const char *const names[] = {"ok", "warn", "FAIL"};
	struct printbuf *out = buf_new();
	char what[SENTENCE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	doctor->failed = doctor->failed || finding == FINDING_FAIL;
	if (doctor->ctl->json) {
		buf_putf(out, "%s{\"state\":\"%s\",\"what\":", doctor->is_first ? "[" : ",\n",
			 names[finding]);
		json_put_string(out, what, strlen(what));
		buf_puts(out, ",\"change\":");
		if (change != NULL)
			json_put_string(out, change, strlen(change));
		else
			buf_puts(out, "null");
		buf_puts(out, "}");
	} else {
		buf_putf(out, "%-4s  %s%s%s\n", names[finding], what, change != NULL ? " - " : "",
			 change != NULL ? change : "");
	}
	doctor->is_first = false;
	ctl_print(out);
	printbuf_free(out);
	fflush(stdout); /* the next check may take its time */
}

/* --- the keys --- */

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

static void check_keys(struct doctor *doctor)
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

/* --- the directory --- */

static void say_query(struct doctor *doctor, const char *query, bool answered, int64_t ms)
{
	int limit = doctor->ctl->config->directory.timeout_ms;

	if (!answered)
		doctor_say(doctor, FINDING_FAIL,
			   "see the reason on standard error; then directory.params or the query",
			   "directory: %s is not answered", query);
	else if (ms > limit / 2)
		doctor_say(doctor, FINDING_WARN, "an index on the column that it looks in",
			   "directory: %s took %" PRId64 " ms, and after %d it is 503", query, ms,
			   limit);
	else
		doctor_say(doctor, FINDING_OK, NULL, "directory: %s is answered", query);
}

static void ask_account(struct doctor *doctor, struct directory *directory)
{
	struct account account = {.name = NULL};
	int64_t start = times_mono_ms();
	enum directory_result result = directory_account(directory, NOBODY, &account);

	say_query(doctor, "account_query", result != DIRECTORY_UNAVAILABLE,
		  times_mono_ms() - start);
	account_free(&account);
}

static void ask_friends(struct doctor *doctor, struct directory *directory)
{
	const char *user = doctor->ctl->user != NULL ? doctor->ctl->user : "1";
	struct friends friends = {.count = 0};
	int64_t start = times_mono_ms();
	struct userid id;
	bool ok = userid_parse(user, strlen(user), &id) &&
		  directory_friends(directory, &id, &friends) == DIRECTORY_OK;

	say_query(doctor,
		  doctor->ctl->config->directory.backend == DIRECTORY_SQL ? "friends_query"
									  : "user:friends:{id}",
		  ok, times_mono_ms() - start);
	friends_free(&friends);
}

static void check_directory(struct doctor *doctor)
{
	const struct config *config = doctor->ctl->config;
	char err[SENTENCE_SIZE];
	struct directory *directory;

	if (config->directory.backend == DIRECTORY_NONE) {
		doctor_say(doctor, FINDING_OK, NULL,
			   "directory: backend = none, so nobody has friends");
		return;
	}
	directory = directory_open(config, 1, err, sizeof err);
	if (directory == NULL) {
		doctor_say(doctor, FINDING_FAIL,
			   "correct it; a driver is a package, as libaprutil1-dbd-pgsql", "%s",
			   err);
		return;
	}
	if (config->auth.login == LOGIN_LOCAL)
		ask_account(doctor, directory);
	ask_friends(doctor, directory);
	directory_close(directory);
}

/* --- all of it --- */

enum ctl_exit ctl_doctor(struct ctl *ctl, char **args, int count)
{
	struct doctor doctor = {.ctl = ctl, .is_first = true};
	struct userid user;

	(void)args, (void)count;
	if (ctl->user != NULL && !ctl_read_id(ctl->user, &user))
		return CTL_USAGE;
	if (ctl->url == NULL && (ctl->user != NULL || ctl->quick || ctl->streams >= 0))
		return ctl_refuse("--user, --streams and --quick go with --url");
	doctor_say(&doctor, FINDING_OK, NULL, "configuration: %s", ctl->file);
	check_keys(&doctor);
	check_directory(&doctor);
	doctor_check_streamd(&doctor);
	doctor_check_redis(&doctor);
	doctor_check_web(&doctor);
	if (ctl->json)
		puts("]");
	token_keys_free(doctor.keys);
	return doctor.failed ? CTL_FAILED : CTL_DONE;
}
