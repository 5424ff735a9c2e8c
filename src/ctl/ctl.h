/* presencectl: what its commands share. */
#ifndef PRESENCE_CTL_CTL_H
#define PRESENCE_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/userid.h"
#include "store/nodes.h"
#include "store/partitions.h"

#define PROGRAM "presencectl"

enum ctl_exit { CTL_DONE = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

struct ctl {
	const struct config *config;
	const char *file; /* that it was read from */
	struct nodes *nodes; /* the servers of Redis; connect when first used */
	struct partitions *partitions;
	bool json; /* --json */
	const char *email, *name; /* --email, --name; NULL = not given */
	int lifetime; /* --lifetime, seconds; 0 = not given */
	const char *scope; /* --scope; NULL = not given */
	bool watch; /* --watch */
	const char *url, *user; /* --url, --user; NULL = not given */
	int streams; /* --streams; -1 = not given */
	bool quick; /* --quick */
	const char *to; /* --to; NULL = not given */
	int partition_count; /* --partitions; 0 = not given */
	bool check, clear; /* --check, --clear */
};

/* A command: its arguments, as many as the table in main.c allows. Returns the exit status. */
typedef enum ctl_exit ctl_command(struct ctl *ctl, char **args, int count);

/* presence.c: what Redis holds */
ctl_command ctl_status, ctl_online, ctl_count, ctl_sessions, ctl_kick, ctl_sweep;
/* state.c: what a user said of itself */
ctl_command ctl_state, ctl_settings;
/* blocks.c: who blocks whom */
ctl_command ctl_blocks;
/* forget.c, export.c: all that is kept about a user */
ctl_command ctl_forget, ctl_export;
/* move.c: to another layout */
ctl_command ctl_move;
/* stats.c: the figures of the service */
ctl_command ctl_stats;
/* watch.c: changes as they happen */
ctl_command ctl_watch;
/* explain.c: why a user looks so to another */
ctl_command ctl_explain;
/* doctor.c: whether everything is as it should be */
ctl_command ctl_doctor;
/* push.c: Web Push */
ctl_command ctl_push_key, ctl_push_state;
/* tokens.c */
ctl_command ctl_token, ctl_checktoken;
/* accounts.c, friendships.c: the directory's own tables */
ctl_command ctl_user_add, ctl_user_list, ctl_user_remove, ctl_user_passwd, ctl_directory_init;
ctl_command ctl_friend_add, ctl_friend_remove, ctl_friend_list;
/* imports.c: both from a file */
ctl_command ctl_user_import, ctl_friend_import;

/* Each writes "presencectl: sentence" to stderr and returns that exit status. */
enum ctl_exit ctl_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
enum ctl_exit ctl_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reads an argument as a user id, or says what is wrong. */
bool ctl_read_id(const char *text, struct userid *id);
/* Likewise for several; the caller frees the array. NULL: one was none. */
struct userid *ctl_read_ids(char **args, int count);

/* Says where Redis is and nodes_error(). */
void ctl_say_redis(const struct ctl *ctl);
/* Runs the pipeline of ctl->nodes as nodes_run() does; says so when Redis does not. */
bool ctl_run(struct ctl *ctl, size_t count, redisReply **replies);
/* The same where the replies are of no interest. */
bool ctl_do(struct ctl *ctl, size_t count);
/* The same with what is for one partition: begins the pipeline, the caller appends to it. */
struct printbuf *ctl_begin(struct ctl *ctl, const struct store *store);
/* One command of it; the caller frees the reply with freeReplyObject(). NULL: it was said. */
redisReply *ctl_run_one(struct ctl *ctl);

/*
 * The sums over all partitions of push_put_state(), ticked_ms of the one where it
 * is longest ago; `outcomes` is borrowed from *replies, which ctl_free_push() frees.
 * False: nodes_error() says why.
 */
struct push_state;
bool ctl_push_sum(struct ctl *ctl, struct push_state *state, redisReply ***replies);
void ctl_free_push(struct ctl *ctl, redisReply **replies);

/* Writes the buffer to standard output, U+FFFD for what is not UTF-8 in it, and empties it. */
void ctl_print(struct printbuf *out);

#endif
