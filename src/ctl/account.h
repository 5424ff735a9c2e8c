/* What the commands on accounts and friendships share. */
#ifndef PRESENCE_CTL_ACCOUNT_H
#define PRESENCE_CTL_ACCOUNT_H

#include "ctl/ctl.h"
#include "directory/schema.h"

/* NULL after saying what is wrong. */
struct directory *account_open(struct ctl *ctl);
/* Says what went wrong, if anything did, and closes the directory. */
enum ctl_exit account_close(struct directory *directory, const char *wrong);

#define ACCOUNT_NAME_MAX 200 /* bytes */
#define ACCOUNT_PASSWORD_MAX 511 /* bytes; crypt(3) takes no more */
bool account_is_email(const char *text);
bool account_is_name(const char *text);

/*
 * A hash of the first line of standard input, which the caller frees; asks for it
 * on a terminal. NULL: it was said what is wrong with it.
 */
char *account_read_password(void);

/*
 * Tells the open streams of these users that their friends have changed; the change itself is done and
 * stays when Redis is away, which is said.
 */
void account_announce(struct ctl *ctl, const struct userid *ids, size_t count);

/* Says so where the directory's own tables have no such user. */
void account_warn_unknown(struct ctl *ctl, const struct userid *id);

#endif
