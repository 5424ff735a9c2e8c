#include "store/throttle.h"

#include "store/resp.h"

void throttle_put(struct printbuf *out, const struct store *store, const char *account,
		  const char *address)
{
	store_put_script(out, store, SCRIPT_THROTTLE, address != NULL ? 4 : 3);
	resp_number(out, THROTTLE_MAX);
	resp_number(out, THROTTLE_WINDOW);
	resp_text(out, account);
	if (address != NULL)
		resp_text(out, address);
}

bool throttle_read(const redisReply *reply, int *wait, int64_t *now)
{
	int64_t seconds;

	if (!store_read_integer(reply, 0, &seconds) || !store_read_integer(reply, 1, now))
		return false;
	*wait = (int)seconds;
	return true;
}

void throttle_put_success(struct printbuf *out, const struct store *store, const char *account,
			  const char *address)
{
	store_put_script(out, store, SCRIPT_UNTHROTTLE, 2);
	resp_text(out, account);
	resp_text(out, address != NULL ? address : "");
}
