/*
 * The directory: who has an account and who is whose friend, from the site's
 * own SQL tables. Queries run on a few threads of the directory's own, so that
 * nobody waits longer than directory.timeout_ms, whatever the database does.
 *
 * account_query and friends_query are apr_dbd's: each `%s` stands for the value
 * (the same one when there are several, at most 8), bound, never pasted into
 * the text; `%%` is a per cent sign. An integer id fits a column of integers;
 * where it is compared with an expression, PostgreSQL and SQLite may want
 * CAST(%s AS BIGINT).
 */
#ifndef PRESENCE_DIRECTORY_DIRECTORY_H
#define PRESENCE_DIRECTORY_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "base/userid.h"
#include "directory/answer.h"

struct directory;

/*
 * Opens the directory the configuration names. NULL with a sentence in err
 * when that can be told without the database: no such driver, a query without
 * a placeholder, an SQLite file in no directory. A database that is away, that
 * has no such tables or refuses a query is not an error here: the calls answer
 * DIRECTORY_UNAVAILABLE, the reason is logged, and each call tries again.
 * `threads`: queries at a time (1 in a worker), started after any fork. With
 * backend = none everyone's list of friends is empty and nobody has an account.
 */
struct directory *directory_open(const struct config *config, unsigned threads, char *err,
				 size_t errsize);

/*
 * Calls still running are abandoned: their answers are freed, done() is not
 * called any more. A thread that a hung query holds is abandoned with the
 * memory it needs; it does not keep the process from ending.
 */
void directory_close(struct directory *directory);

/*
 * Blocking calls, for the programs that serve one request at a time. At most
 * directory.timeout_ms. On DIRECTORY_OK the caller frees what was filled in.
 * After a time-out the query may still hold its thread: a worker answers 503
 * and had better end itself (directory_is_stuck). While all threads are held the
 * result is DIRECTORY_UNAVAILABLE at once.
 */
enum directory_result directory_account(struct directory *directory, const char *email,
					struct account *account);
enum directory_result directory_friends(struct directory *directory, const struct userid *user,
					struct friends *friends);
bool directory_is_stuck(const struct directory *directory);

/*
 * For event loops: asks for friends without waiting. `done` is called from
 * directory_dispatch(), once; it takes over what *friends holds (an empty list
 * unless OK), and the call is gone then. The caller keeps the time-out: it
 * forgets the call with directory_cancel(), after which done() is not called.
 * NULL when more than DIRECTORY_QUEUE_MAX calls wait: DIRECTORY_UNAVAILABLE.
 * All of it from one thread.
 */
#define DIRECTORY_QUEUE_MAX 20000
struct directory_call;
typedef void directory_done(void *arg, enum directory_result result, struct friends *friends);
struct directory_call *directory_ask_friends(struct directory *directory, const struct userid *user,
					     directory_done *done, void *arg);
void directory_cancel(struct directory_call *call);

/* A descriptor that is readable when answers wait; then call directory_dispatch(). */
int directory_fd(const struct directory *directory);
void directory_dispatch(struct directory *directory);

#endif
