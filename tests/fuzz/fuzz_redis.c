/*
 * Properties of what Redis answers, over any reply (RESP2): every reader of the store, of STATUS and
 * of tickets takes it or refuses it. A STATUS that was read is written as the JSON it should be,
 * a ticket's token is one that could have been verified.
 */
#include "fuzz.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "auth/ticket.h"
#include "base/json.h"
#include "store/pause.h"
#include "store/place.h"
#include "store/status.h"
#include "store/store.h"
#include "store/throttle.h"
#include "store/whereabouts.h"

#define USERS_MAX 8
#define TEXT_MAX (1 << 20)
#define ELEMENTS_DIGITS \
	3 /* of an array's length: what Redis itself would have to send is not ours */
#define TIME_LIMIT INT64_C(253402300799) /* the year 9999 */

static void check_status(const redisReply *reply, size_t index)
{
	const struct userid id = {"anna"};
	struct printbuf *text = buf_new();
	struct json_object *object;
	struct status status;
	const char *why;

	if (status_read(reply, index, LAST_SEEN_COARSE, &status)) {
		REQUIRE(status.seen[0] == '\0' || times_is_valid(status.seen, strlen(status.seen)));
		status_put_json(text, &id, &status);
		object = json_parse_object(text->buf, buf_len(text), &why);
		REQUIRE(object != NULL);
		REQUIRE(json_object_is_type(json_member(object, "is_online"), json_type_boolean));
		REQUIRE(json_object_get_uint64(json_member(object, "version")) == status.version);
		json_object_put(object);
	}
	printbuf_free(text);
}

/* The value that a SET command in `command` gives its key. */
static const char *value_of(const struct printbuf *command, size_t *len)
{
	const char *at = command->buf;

	for (int skip = 0; skip < 3; skip++) { /* SET, the key, the value */
		at = strchr(at, '$') + 1;
		*len = strtoul(at, NULL, 10);
		at = strchr(at, '\n') + 1;
		at += skip < 2 ? *len : 0;
	}
	return at;
}

static void check_ticket(const redisReply *reply)
{
	struct printbuf *command = buf_new();
	struct ticket ticket, other;
	const struct token *token = &ticket.token, *again = &other.token;
	struct userid id;
	redisReply copy = {.type = REDIS_REPLY_STRING};

	if (ticket_read(reply, &ticket)) {
		REQUIRE(userid_parse(token->user.text, strlen(token->user.text), &id));
		REQUIRE(token->name[0] != '\0');
		for (const char *c = token->name; *c != '\0'; c++)
			REQUIRE(*c >= ' ' && *c <= '~');
		REQUIRE(token->exp >= 0 && token->exp <= TIME_LIMIT);
		REQUIRE(token->iat >= 0 && token->iat <= TIME_LIMIT);
		ticket_put_issue(command, "", "AAAAAAAAAAAAAAAAAAAAAA", &ticket);
		copy.str = (char *)value_of(command, &copy.len);
		REQUIRE(ticket_read(&copy, &other));
		REQUIRE(userid_equal(&token->user, &again->user) && token->exp == again->exp &&
			ticket.idle == other.idle && strcmp(token->name, again->name) == 0);
		free(ticket.users);
		free(other.users);
	}
	printbuf_free(command);
}

static void check_place(const redisReply *reply)
{
	struct printbuf *text = buf_new();
	struct place place, again;

	if (reply->type == REDIS_REPLY_STRING && place_parse(reply->str, reply->len, &place)) {
		REQUIRE(place.looked > 0 && place.phase >= 0 && place.phase < PLACE_MARK_MS);
		place_put(text, &place);
		REQUIRE(buf_len(text) < PLACE_TEXT_MAX);
		REQUIRE(place_parse(text->buf, buf_len(text), &again));
		REQUIRE(place_look(&place, 1, 2, place.looked, 0) == false);
		place_look(&again, 85, 179, again.looked + PLACE_MARK_MS, 0);
	}
	printbuf_free(text);
}

static void check_store(const redisReply *reply)
{
	struct place place;
	const char *epoch;
	int64_t now_ms, now;
	struct store_sweep swept;
	bool more;
	int wait;

	for (size_t i = 0; i < USERS_MAX; i++) {
		enum store_verdict verdict = store_read_touch(reply, i);

		REQUIRE(verdict >= STORE_DONE && verdict <= STORE_FAILED);
		verdict = store_read_close(reply, i);
		REQUIRE(verdict >= STORE_DONE && verdict <= STORE_FAILED);
		pause_read_look(reply, i);
	}
	pause_is_unsettled(reply);
	REQUIRE(store_read_end(reply) <= STORE_FAILED);
	REQUIRE(whereabouts_read_leave(reply, &place) <= STORE_FAILED);
	whereabouts_read(reply, &more);
	store_read_time(reply, &now_ms);
	if (store_read_sweep(reply, &swept)) {
		REQUIRE(swept.epoch != NULL);
		for (size_t i = 0; i < swept.offline; i++)
			store_read_lateness(reply, i);
	}
	epoch = store_read_epoch(reply);
	REQUIRE(epoch == NULL || strlen(epoch) < TEXT_MAX);
	throttle_read(reply, &wait, &now);
	store_is_noscript(reply);
}

static void check_reply(const redisReply *reply)
{
	const char *epoch = status_epoch(reply);

	REQUIRE(epoch == NULL || strlen(epoch) < TEXT_MAX);
	status_is_recovering(reply);
	for (size_t i = 0; i < USERS_MAX; i++)
		check_status(reply, i);
	check_ticket(reply);
	check_place(reply);
	check_store(reply);
}

static bool has_long_array(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		size_t digits = 0;

		while (data[i] == '*' && i + 1 + digits < size && isdigit(data[i + 1 + digits]))
			digits++;
		if (digits > ELEMENTS_DIGITS)
			return true;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	redisReader *reader;
	void *reply = NULL;

	if (has_long_array(data, size))
		return 0;
	reader = redisReaderCreate();
	redisReaderFeed(reader, (const char *)data, size);
	while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply != NULL) {
		check_reply(reply);
		freeReplyObject(reply);
		reply = NULL;
	}
	redisReaderFree(reader);
	return 0;
}
