/* doctor: the directory. */
#include "ctl/doctor_checks.h"

#include <inttypes.h>
#include <string.h>

#include "base/times.h"
#include "directory/directory.h"

#define NOBODY "doctor@presence.invalid" /* RFC 2606: nobody has this address */
#define SENTENCE_SIZE 512

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

void doctor_check_directory(struct doctor *doctor)
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
