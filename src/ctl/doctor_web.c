/* doctor: the web server in front, as a browser meets it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/issue.h"
#include "base/times.h"
#include "ctl/doctor_checks.h"
#include "ctl/doctor_host.h"
#include "ctl/doctor_probe.h"
#include "store/inbox.h"
#include "store/reply.h"
#include "store/store.h"

#define EVENT_MS 1000 /* for an event: later, and something holds it back */
#define SETTLE_MS 2000 /* for one that the directory is asked for first */
#define TOKEN_LIFETIME 300 /* seconds */
#define SENTENCE_SIZE 1024

#define EVENT(name) "event: " name "\n"

/* --- the checks --- */

/* What to change after an answer of a call that should be 200. */
static const char *advice(const struct doctor *doctor, const char *code, int status)
{
	static const struct {
		const char *code, *change;
	} table[] = {
		{"token_invalid", "let the web server's programs read this same configuration"},
		{"not_found", "let http.base and the web server's paths be the same"},
		{"streams_unavailable", "hand http.base + /presence/stream to presence-streamd, "
					"before what stands for all of http.base"},
		{"redis_unavailable", "see what is said of redis above, and the programs' log"},
		{"directory_unavailable", "see what is said of the directory above"},
		{"too_many_streams", "another --user, or stream.max_streams_per_user"},
		{"server_full", "see what is said of descriptors above"},
	};

	if (strcmp(code, "token_missing") == 0)
		return doctor_change(doctor->server, MISTAKE_AUTHORIZATION);
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (strcmp(code, table[i].code) == 0)
			return table[i].change;
	}
	if (status >= 500)
		return "see whether the programs run, whether the web server's user is in the "
		       "group of their sockets, and its error log";
	return "see the web server's configuration: another part of it answers";
}

/* Says what is wrong with an answer that is not 200. */
static void say_answer(struct doctor *doctor, const struct probe *probe, const char *what)
{
	char code[64], change[SENTENCE_SIZE];

	if (probe->is_over && probe->result != CURLE_OK) {
		doctor_say(doctor, FINDING_FAIL, "correct --url, or start the web server",
			   "web: %s: %s", what, curl_easy_strerror(probe->result));
		return;
	}
	if (probe_status(probe) == 0) {
		snprintf(change, sizeof change,
			 "see whether the programs run; is every place of the web server taken by "
			 "a stream: %s",
			 doctor_change(doctor->server, MISTAKE_CAPACITY));
		doctor_say(doctor, FINDING_FAIL, change, "web: %s is not answered in time", what);
		return;
	}
	probe_code(probe, code);
	if (probe_status(probe) >= 500 && *code == '\0' && !doctor_check_rights(doctor))
		return;
	doctor_say(doctor, FINDING_FAIL, advice(doctor, code, probe_status(probe)),
		   "web: %s is answered %d%s%s", what, probe_status(probe),
		   *code != '\0' ? " " : "", code);
}

/* Whether a call is answered 200. */
static bool check_call(struct doctor *doctor, const char *path, const char *token, const char *good)
{
	struct probe probe;
	bool ok;

	probe_open(&probe, doctor, "GET", path, token);
	ok = probe_until(&probe, NULL, NULL, 0, PROBE_ANSWER_MS) && probe_status(&probe) == 200;
	if (ok)
		doctor_say(doctor, FINDING_OK, NULL, "web: %s", good);
	else
		say_answer(doctor, &probe, path);
	probe_close(&probe);
	return ok;
}

static void check_type(struct doctor *doctor, const struct probe *probe)
{
	char type[128];

	probe_field(probe, "Content-Type", type);
	if (*type != '\0' && strncasecmp(type, "text/event-stream", 17) != 0)
		doctor_say(doctor, FINDING_FAIL, "see what in the web server rewrites it",
			   "web: the stream's Content-Type is '%s'", type);
}

static const char *probed_user(const struct doctor *doctor)
{
	static char nobody[16];

	snprintf(nobody, sizeof nobody, "%d", DOCTOR_NOBODY);
	return doctor->ctl->user != NULL ? doctor->ctl->user : nobody;
}

static bool publish_friends_changed(struct doctor *doctor, const char *user)
{
	struct ctl *ctl = doctor->ctl;
	const struct store *store;
	redisReply *reply;
	struct userid id;

	if (!userid_parse(user, strlen(user), &id))
		return false;
	store = partitions_of(ctl->partitions, &id);
	inbox_put_friends_changed(ctl_begin(ctl, store), store, &id);
	if (!nodes_run(ctl->nodes, 1, &reply))
		return false;
	reply_free(reply);
	return true;
}

/* A message from Redis to the reader: what presence is about. */
static bool check_event(struct doctor *doctor, struct probe *probe)
{
	int64_t start = times_mono_ms();
	bool arrived;

	if (!publish_friends_changed(doctor, probed_user(doctor)))
		return false; /* said above, of Redis */
	arrived = probe_until(probe, probe->body, EVENT("initial"), 2, SETTLE_MS);
	if (arrived)
		doctor_say(doctor, FINDING_OK, NULL,
			   "web: what is published arrives after %" PRId64 " ms",
			   times_mono_ms() - start);
	else
		doctor_say(doctor, FINDING_FAIL, doctor_change(doctor->server, MISTAKE_BUFFERING),
			   "web: what is published does not arrive within %d ms", SETTLE_MS);
	return arrived;
}

/*
 * Published events did arrive, so what stops a heartbeat is the silence before it. The client need
 * not see the end: Apache keeps the connection open for some seconds more.
 */
static void check_heartbeat(struct doctor *doctor, struct probe *probe)
{
	int heartbeat = doctor->ctl->config->presence.heartbeat;
	int64_t start = times_mono_ms();
	char change[SENTENCE_SIZE];

	if (probe_until(probe, probe->body, EVENT("heartbeat"), 1, heartbeat * 1000 + EVENT_MS)) {
		doctor_say(doctor, FINDING_OK, NULL, "web: a heartbeat came");
		return;
	}
	snprintf(change, sizeof change,
		 "longer than presence.heartbeat = %d, better twice as long: %s", heartbeat,
		 doctor_change(doctor->server, MISTAKE_TIMEOUT));
	doctor_say(doctor, FINDING_FAIL, change,
		   "web: no heartbeat, the stream %s %" PRId64 " ms of silence: a time-out is too "
		   "short",
		   probe->is_over ? "was cut off after" : "gives nothing after",
		   times_mono_ms() - start);
}

/* The events came too late or not at all: whether they do to a client that takes nothing
 * compressed. */
static bool arrives_plain(struct doctor *doctor, const char *token)
{
	struct probe probe;
	bool arrived;

	probe_open(&probe, doctor, "GET", "/presence/stream", token);
	arrived = probe_until(&probe, probe.body, EVENT("initial"), 1, SETTLE_MS);
	probe_close(&probe);
	return arrived;
}

/* Whether the stream comes as it was sent; else why not is said. */
static bool check_encoding(struct doctor *doctor, const struct probe *probe, bool arrived,
			   const char *token)
{
	char encoding[128];

	probe_field(probe, "Content-Encoding", encoding);
	if (*encoding == '\0' && (arrived || !arrives_plain(doctor, token)))
		return true;
	doctor_say(doctor, FINDING_FAIL, doctor_change(doctor->server, MISTAKE_COMPRESSION),
		   "web: the stream is compressed%s%s%s, which holds events back",
		   *encoding != '\0' ? " (" : "", encoding, *encoding != '\0' ? ")" : "");
	return false;
}

/* The answer is a stream: whether its events come, and come at once. */
static void check_events(struct doctor *doctor, struct probe *probe, bool arrived, int64_t ms)
{
	if (!arrived) {
		doctor_say(doctor, FINDING_FAIL, doctor_change(doctor->server, MISTAKE_BUFFERING),
			   "web: the stream's first events do not arrive within %d ms", SETTLE_MS);
		return;
	}
	doctor_say(doctor, FINDING_OK, NULL, "web: the stream starts within %" PRId64 " ms", ms);
	if (check_event(doctor, probe) && !doctor->ctl->quick)
		check_heartbeat(doctor, probe);
}

/* Asks for the stream as browsers do; whether `initial` came. */
static bool open_stream(struct doctor *doctor, struct probe *probe, const char *token,
			int64_t *start)
{
	*start = times_mono_ms();
	probe_open(probe, doctor, "GET", "/presence/stream", token);
	curl_easy_setopt(probe->easy, CURLOPT_ACCEPT_ENCODING, "");
	return probe_until(probe, probe->body, EVENT("initial"), 1, SETTLE_MS);
}

/* False: the answer is not a stream. */
static bool check_stream(struct doctor *doctor, const char *token)
{
	struct probe probe;
	bool arrived, is_stream;
	int64_t start;

	arrived = open_stream(doctor, &probe, token, &start);
	if (!arrived && !probe.is_over) { /* a first answer may be slow: TLS, a database's cache */
		probe_close(&probe);
		arrived = open_stream(doctor, &probe, token, &start);
	}
	/* Not even a head may be the work of a server that holds everything back. */
	is_stream = probe_status(&probe) == 200 || (probe_status(&probe) == 0 && !probe.is_over);
	if (is_stream) {
		check_type(doctor, &probe);
		start = times_mono_ms() - start;
		if (check_encoding(doctor, &probe, arrived, token))
			check_events(doctor, &probe, arrived, start);
	} else {
		probe_until(&probe, NULL, NULL, 0, PROBE_ANSWER_MS); /* the whole of the problem */
		say_answer(doctor, &probe, "/presence/stream");
	}
	probe_close(&probe);
	return is_stream && arrived;
}

/* So that the user is not online for online_ttl because of us. */
static void log_out(struct doctor *doctor, const char *token)
{
	struct probe probe;

	probe_open(&probe, doctor, "POST", "/auth/logout", token);
	probe_until(&probe, NULL, NULL, 0, PROBE_ANSWER_MS);
	probe_close(&probe);
}

static void check_as_user(struct doctor *doctor)
{
	const char *name = probed_user(doctor);
	int64_t now = times_wall_ms() / 1000;
	struct token token = {.iat = now, .exp = now + TOKEN_LIFETIME};
	char *text = NULL;

	if (doctor->keys == NULL || !userid_parse(name, strlen(name), &token.user))
		return; /* said above, of the keys */
	text = issue_token(doctor->keys, &token);
	if (text == NULL) {
		doctor_say(doctor, FINDING_WARN, "run it where auth.signing_key_file is",
			   "web: calls and the stream are not tried, for there is no key to sign "
			   "with");
		return;
	}
	if (check_call(doctor, "/online-status/count", text, "the Authorization field arrives") &&
	    check_stream(doctor, text) && !doctor->ctl->quick)
		doctor_check_load(doctor);
	log_out(doctor, text);
	free(text);
}

/* Who answers at --url, and with what processes. */
static void find_server(struct doctor *doctor)
{
	const char *address = NULL, *own = NULL;
	char name[128];
	struct probe probe;
	long port = 0;

	probe_open(&probe, doctor, "GET", "/health", NULL);
	probe_until(&probe, NULL, NULL, 0, PROBE_ANSWER_MS);
	probe_field(&probe, "Server", name);
	doctor->server = doctor_server_named(name);
	curl_easy_getinfo(probe.easy, CURLINFO_PRIMARY_IP, &address);
	curl_easy_getinfo(probe.easy, CURLINFO_LOCAL_IP, &own);
	curl_easy_getinfo(probe.easy, CURLINFO_PRIMARY_PORT, &port);
	/* A machine that talks to itself does it from the same address. */
	if (address != NULL && *address != '\0' && own != NULL && strcmp(address, own) == 0)
		doctor_find_server(doctor, address, (int)port);
	probe_close(&probe);
}

void doctor_check_web(struct doctor *doctor)
{
	if (doctor->ctl->url == NULL)
		return;
	find_server(doctor);
	if (check_call(doctor, "/health", NULL, "http.base is routed to presence-api")) {
		doctor_check_descriptors(doctor);
		check_as_user(doctor);
	}
	free(doctor->processes);
}
