#include "directory/answer.h"

#include <stdlib.h>
#include <string.h>

void account_free(struct account *account)
{
	free(account->password_hash);
	free(account->name);
	memset(account, 0, sizeof *account);
}

void friends_free(struct friends *friends)
{
	free(friends->list);
	if (friends->names != NULL)
		printbuf_free(friends->names);
	memset(friends, 0, sizeof *friends);
}
