#include "store/whereabouts.h"

#include <string.h>

#include "store/resp.h"

static void put_place(struct printbuf *out, const struct place *place)
{
	struct printbuf *text = buf_new();

	place_put(text, place);
	resp_arg(out, text->buf, buf_len(text));
	printbuf_free(text);
}

void whereabouts_put(struct printbuf *out, const struct store *store,
		     const struct whereabouts *place)
{
	struct place marks = place_without_cells(place->place);

	store_put_script(out, store, SCRIPT_PLACE, 8);
	resp_text(out, place->user->text);
	resp_text(out, place->tok);
	resp_number(out, place->iat);
	resp_text(out, place->before);
	put_place(out, place->place);
	resp_number(out, PLACE_HOLDS_MS);
	put_place(out, &marks);
	resp_number(out, PLACE_MARK_MS);
}

enum store_verdict whereabouts_read(const redisReply *reply, bool *kept)
{
	int64_t number = 0;

	*kept = store_read_integer(reply, 1, &number) && number == 1;
	return store_read_verdict(reply, 0);
}

void whereabouts_put_leave(struct printbuf *out, const struct store *store,
			   const struct userid *user, const char *tok, int64_t iat)
{
	store_put_script(out, store, SCRIPT_LEAVE, 3);
	resp_text(out, user->text);
	resp_text(out, tok);
	resp_number(out, iat);
}

enum store_verdict whereabouts_read_leave(const redisReply *reply, struct place *before)
{
	memset(before, 0, sizeof *before);
	if (store_read_verdict(reply, 0) == STORE_DONE && reply->elements == 2 &&
	    reply->element[1]->type == REDIS_REPLY_STRING)
		place_parse(reply->element[1]->str, reply->element[1]->len, before);
	return store_read_verdict(reply, 0);
}
