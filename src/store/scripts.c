#include "store/scripts.h"

#include "store/push.h"
#include "store/store.h"

unsigned scripts_put_load(struct printbuf *out)
{
	unsigned count = store_put_load(out);

	return count + push_put_load(out);
}
