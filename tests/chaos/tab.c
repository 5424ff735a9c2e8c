/* A browser's tab: its stream, what it shows, and that it comes back. */
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define STREAM "/api/presence/stream"
#define OPEN_LIMIT 20000 /* a stream that is not there by then is asked for again (stretched) */
#define BACKLOG 1500 /* a heartbeat that comes so late after it woke is a new one */
#define RETRY_FIRST 100
#define RETRY_MAX 1600

enum way { WAY_HEADER, WAY_QUERY, WAY_TICKET };

static struct chaos *chaos_of(const struct tab *tab)
{
	return tab->conn.chaos;
}

static void wait_a_little(struct tab *tab)
{
	struct chaos *chaos = chaos_of(tab);
	int base = RETRY_FIRST << (tab->failures < 4 ? tab->failures : 4);

	tab->failures++;
	if (tab->state == TAB_READY)
		tab->away_at = now_ms();
	tab->state = TAB_WAITING;
	tab->retry_at = now_ms() + base / 2 + prng_below(&chaos->prng, (unsigned)base);
}

static bool is_established(const struct tab *tab)
{
	return tab->state == TAB_READY || tab->state == TAB_OPENING;
}

/* What one who reads nothing, or a backlog, holds for open may have been closed long ago. */
static bool is_seen_open(const struct tab *tab)
{
	return tab->state == TAB_READY && !tab->asleep;
}

/* The other side ended it, or it could not be reached. */
static void on_end(struct conn *conn)
{
	struct tab *tab = conn->owner;
	bool was_ready = is_seen_open(tab), was_answered = !conn->reader.in_head;

	if (tab->state == TAB_ENDING) {
		conn_close(conn);
		tab->state = TAB_CLOSED;
		return;
	}
	chaos_note(tab->device->user, "tab %d.%d ends, status %d",
		   (int)(tab->device - tab->device->user->devices), (int)(tab - tab->device->tabs),
		   was_answered ? conn->reader.status : 0);
	if (tab->state != TAB_READY)
		properties_shown(chaos_of(tab), tab, "refused");
	else
		properties_shown(chaos_of(tab), tab, "end");
	/* Refused before it was anything, or perhaps a stream that nobody heard of. */
	if (was_ready || !was_answered || conn->reader.status == 200)
		model_stream_lost(tab, was_ready);
	conn_close(conn);
	if (conn->reader.status == 429 || strcmp(tab->bye, "too_many_streams") == 0)
		tab->state = TAB_CLOSED;
	else
		wait_a_little(tab);
	model_refresh(tab->device->user);
}

/* --- what it shows --------------------------------------------------------------------------- */

static unsigned user_of(const struct chaos *chaos, struct json_object *status)
{
	struct json_object *id;
	long long number;

	if (!json_object_object_get_ex(status, "user_id", &id))
		return 0;
	number = json_object_get_int64(id);
	return number >= 1 && number <= chaos->user_count ? (unsigned)number : 0;
}

static struct seen read_status(struct json_object *status)
{
	struct seen seen = {.known = true};
	struct json_object *value;

	if (json_object_object_get_ex(status, "is_online", &value))
		seen.online = json_object_get_boolean(value);
	if (json_object_object_get_ex(status, "version", &value))
		seen.version = (uint64_t)json_object_get_int64(value);
	if (json_object_object_get_ex(status, "status", &value))
		snprintf(seen.word, sizeof seen.word, "%s", json_object_get_string(value));
	return seen;
}

static void on_initial(struct tab *tab, struct json_object *data)
{
	struct chaos *chaos = chaos_of(tab);

	memset(tab->view, 0, (chaos->user_count + 1) * sizeof *tab->view);
	json_object_object_foreach(data, name, status)
	{
		(void)name;
		tab->view[user_of(chaos, status)] = read_status(status);
	}
	tab->view[0].known = false;
	tab->initial_at = now_ms();
	tab->degraded_at = 0;
	if (tab->cut_at != 0 && !chaos->stand.host_cut[tab->host])
		model_host_back(tab);
	chaos->result->again += tab->state == TAB_READY;
	if (tab->state == TAB_OPENING) {
		tab->state = TAB_READY;
		tab->ready = tab->initial_at;
		tab->failures = 0;
		chaos->result->streams++;
		model_stream_ready(tab);
	}
	states_initial(chaos, tab->device->user);
}

/* Contract: one that is lower than what it holds is dropped. */
static void on_change(struct tab *tab, struct json_object *data)
{
	unsigned user = user_of(chaos_of(tab), data);
	struct seen seen = read_status(data), *held = &tab->view[user];

	if (user == 0 || !held->known)
		return;
	tab->change_of = user;
	tab->change = seen;
	if (seen.version >= held->version)
		*held = seen;
}

/* Of a chosen state the end is told, or that it hides. */
static void on_self(struct tab *tab, struct json_object *data)
{
	struct json_object *value = NULL;
	bool is_chosen = json_object_object_get_ex(data, "status_expires", &value);
	bool hides = json_object_object_get_ex(data, "invisible", &value);

	json_object_object_get_ex(data, "status", &value);
	snprintf(tab->self, sizeof tab->self, "%s",
		 hides	     ? "invisible"
		 : is_chosen ? json_object_get_string(value)
			     : "");
}

static void on_bye(struct tab *tab, struct json_object *data)
{
	struct json_object *reason;

	if (json_object_object_get_ex(data, "reason", &reason))
		snprintf(tab->bye, sizeof tab->bye, "%s", json_object_get_string(reason));
}

static void on_heartbeat(struct tab *tab)
{
	if (!tab->asleep || tab->awake_at == 0 || now_ms() < tab->awake_at + BACKLOG)
		return;
	tab->asleep = false;
	model_refresh(tab->device->user);
}

static void on_degraded(struct tab *tab)
{
	tab->degraded_at = now_ms();
	tab->degrades++;
}

static void on_event(struct tab *tab, struct json_object *data)
{
	tab->change_of = 0;
	if (strcmp(tab->event, "initial") == 0)
		on_initial(tab, data);
	else if (strcmp(tab->event, "status_change") == 0)
		on_change(tab, data);
	else if (strcmp(tab->event, "self") == 0)
		on_self(tab, data);
	else if (strcmp(tab->event, "degraded") == 0)
		on_degraded(tab);
	else if (strcmp(tab->event, "heartbeat") == 0)
		on_heartbeat(tab);
	else if (strcmp(tab->event, "bye") == 0)
		on_bye(tab, data);
	chaos_of(tab)->result->events++;
	if (strcmp(tab->event, "heartbeat") != 0)
		chaos_note(tab->device->user, "tab %d.%d shows %s",
			   (int)(tab->device - tab->device->user->devices),
			   (int)(tab - tab->device->tabs), tab->event);
	tab->data = data;
	properties_shown(chaos_of(tab), tab, tab->event);
	tab->data = NULL;
}

static void on_line(void *owner, const char *line, size_t len)
{
	struct tab *tab = owner;
	struct json_tokener *tokener;
	struct json_object *data;

	if (len > 7 && memcmp(line, "event: ", 7) == 0) {
		snprintf(tab->event, sizeof tab->event, "%.*s", (int)(len - 7), line + 7);
		return;
	}
	if (len < 6 || memcmp(line, "data: ", 6) != 0)
		return;
	tokener = json_tokener_new();
	data = json_tokener_parse_ex(tokener, line + 6, (int)(len - 6));
	json_tokener_free(tokener);
	if (data != NULL)
		on_event(tab, data);
	else
		properties_shown(chaos_of(tab), tab, "garbage");
	json_object_put(data);
	tab->event[0] = '\0';
}

/* --- opening and closing --------------------------------------------------------------------- */

static void open_stream(struct tab *tab, const char *ticket)
{
	struct chaos *chaos = chaos_of(tab);
	struct device *device = tab->device;
	struct printbuf *request = buf_new();

	stand_host_of(chaos, device->user->id + (unsigned)(device - device->user->devices),
		      &tab->host);
	buf_puts(request, "GET " STREAM);
	if (ticket != NULL)
		buf_putf(request, "?ticket=%s", ticket);
	else if (tab->way == WAY_QUERY)
		buf_putf(request, "?token=%s", device->token);
	buf_puts(request, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
	if (tab->way == WAY_HEADER)
		buf_putf(request, "Authorization: Bearer %s\r\n", device->token);
	buf_puts(request, "\r\n");
	tab->state = TAB_OPENING;
	tab->opened = now_ms();
	tab->ready = 0;
	tab->asleep = false;
	tab->awake_at = 0;
	tab->degraded_at = tab->cut_at = 0;
	tab->bye[0] = tab->event[0] = '\0';
	snprintf(tab->self, sizeof tab->self, "?");
	conn_start(&tab->conn, chaos->stand.hosts[tab->host].port, request);
}

static void on_ticket(struct call *call)
{
	struct tab *tab = call->arg;
	struct json_object *answer, *ticket = NULL;

	model_answered(call);
	if (tab->state != TAB_TICKET || call->serial != tab->device->serial)
		return;
	answer = json_tokener_parse(call->body);
	if (call->status == 200 && tab->device->user->cuts == 0 &&
	    json_object_object_get_ex(answer, "ticket", &ticket))
		open_stream(tab, json_object_get_string(ticket));
	else
		wait_a_little(tab);
	json_object_put(answer);
}

static void connect_tab(struct tab *tab)
{
	struct call *call;

	if (tab->device->user->cuts > 0) {
		wait_a_little(tab);
		return;
	}
	if (tab->device->token == NULL || tab->device->logging_out) {
		tab->state = TAB_CLOSED;
		return;
	}
	if (tab->way != WAY_TICKET) {
		open_stream(tab, NULL);
		return;
	}
	tab->state = TAB_TICKET;
	tab->opened = now_ms();
	call = call_start(chaos_of(tab), tab->device, "/presence/ticket", "{}", on_ticket);
	call->arg = tab;
}

void tab_open(struct tab *tab, unsigned way)
{
	tab->conn.on_line = on_line;
	tab->conn.on_end = on_end;
	tab->conn.owner = tab;
	tab->way = way;
	tab->failures = 0;
	tab->away_at = now_ms();
	connect_tab(tab);
}

void tab_close(struct tab *tab, bool abort)
{
	bool was_ready = is_seen_open(tab), was_established = is_established(tab);

	if (abort)
		conn_abort(&tab->conn);
	else
		conn_close(&tab->conn);
	tab->state = TAB_CLOSED;
	if (was_established)
		model_stream_closed(tab, was_ready);
	model_refresh(tab->device->user);
}

void tab_sleep(struct tab *tab)
{
	tab->asleep = true;
	tab->awake_at = 0;
	conn_pause(&tab->conn, true);
	model_stream_asleep(tab);
}

void tab_wake(struct tab *tab)
{
	conn_pause(&tab->conn, false);
	tab->awake_at = now_ms();
}

/* The server has it for open until it notices, at the end of its lifetime at the latest. */
void tab_vanish(struct tab *tab, bool comes_back)
{
	bool was_ready = is_seen_open(tab);

	if (!is_established(tab) && tab->state != TAB_ENDING)
		return;
	conn_vanish(&tab->conn, comes_back);
	model_stream_vanished(tab, was_ready, comes_back);
	if (tab->state == TAB_ENDING)
		tab->state = TAB_CLOSED;
	else
		wait_a_little(tab);
	model_refresh(tab->device->user);
}

/* A host that was cut off for a moment may not have noticed: nothing is shown anew. */
static bool is_over_cut(const struct tab *tab, int64_t now)
{
	const struct chaos *chaos = chaos_of(tab);

	return tab->cut_at != 0 && !chaos->stand.host_cut[tab->host] && tab->degraded_at == 0 &&
	       now > model_told_by(chaos, tab->cut_at);
}

static void come_back(struct tab *tab, int64_t now)
{
	if (is_over_cut(tab, now))
		model_host_back(tab);
	if (tab->state == TAB_WAITING && tab->retry_at <= now) {
		connect_tab(tab);
	} else if (tab->state == TAB_OPENING && tab->opened < now - patience(OPEN_LIMIT)) {
		tab_close(tab, true);
		wait_a_little(tab);
	}
}

void tabs_come_back(struct chaos *chaos)
{
	int64_t now = now_ms();

	for (unsigned i = 1; i <= chaos->user_count; i++) {
		for (unsigned j = 0; j < DEVICES; j++) {
			for (unsigned k = 0; k < TABS; k++)
				come_back(&chaos->users[i].devices[j].tabs[k], now);
		}
	}
}
