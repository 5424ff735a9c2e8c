#include "store/inbox.h"

#include "store/keys.h"
#include "store/resp.h"

void inbox_put_typing(struct printbuf *out, const struct store *store,
		      const struct inbox_typing *typing)
{
	store_put_script(out, store, SCRIPT_TYPING, 6);
	resp_text(out, typing->to->text);
	resp_text(out, typing->from->text);
	resp_flag(out, typing->starts);
	resp_text(out, typing->conversation);
	resp_number(out, INBOX_TYPING_SECONDS * 1000);
	resp_flag(out, typing->passes);
}

void inbox_put_near(struct printbuf *out, const struct store *store, const struct userid *user,
		    const struct userid *friend, bool near)
{
	store_put_script(out, store, SCRIPT_NEAR, 3);
	resp_text(out, user->text);
	resp_text(out, friend->text);
	resp_flag(out, near);
}

void inbox_put_friends_changed(struct printbuf *out, const struct store *store,
			       const struct userid *user)
{
	resp_begin(out, 3);
	resp_text(out, store_is_sharded(store) ? "SPUBLISH" : "PUBLISH");
	resp_key(out, store_prefix(store), CHANNEL_INBOX, user->text);
	resp_text(out, "{\"type\":\"friends_changed\"}");
}
