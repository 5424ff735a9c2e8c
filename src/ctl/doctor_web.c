/* doctor: the web server in front, as a browser meets it. */
#include "ctl/doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/times.h"
#include "store/keys.h"
#include "store/resp.h"

#define ANSWER_MS 5000 /* for an answer that is complete */
#define EVENT_MS 1000 /* for an event: later, and something holds it back */
#define SETTLE_MS 2000 /* for one that the directory is asked for first */
#define TOKEN_LIFETIME 300 /* seconds */
#define BODY_MAX (4 << 20) /* bytes that are kept of an answer */

#define EVENT(name) "event: " name "\n"

static const char pass_authorization[] =
	"Apache: CGIPassAuth On, and for mod_fcgid FcgidPassHeader Authorization; else look for a "
	"proxy in front that drops the field";
static const char no_buffering[] =
	"Apache: flushpackets=on (mod_fcgid: FcgidOutputBufferSize 0, or [stream] padding = 66000); "
	"nginx: fastcgi_buffering off; lighttpd: server.stream-response-body = 2";
static const char no_compression[] =
	"leave text/event-stream out: Apache: SetEnv no-gzip 1; nginx: gzip_types; lighttpd: "
	"deflate.mimetypes";

/* One request and what came of it so far. */
struct probe {
	CURL *easy;
	CURLM *multi;
	struct curl_slist *fields;
	struct printbuf *head, *body;
	bool is_over;
	CURLcode result; /* once it is over */
};

/* --- one request --- */

static size_t on_bytes(char *data, size_t size, size_t count, void *arg)
{
	struct printbuf *buf = arg;

	if (buf_len(buf) + size * count > BODY_MAX)
		return 0; /* ends the transfer */
	buf_put(buf, data, size * count);
	return size * count;
}

static void add_field(struct probe *probe, const char *name, const char *value)
{
	struct printbuf *field = buf_new();

	buf_putf(field, "%s: %s", name, value);
	probe->fields = curl_slist_append(probe->fields, field->buf);
	printbuf_free(field);
}

/* The URL of a call: --url, http.base and the path. */
static char *url_of(const struct doctor *doctor, const char *path)
{
	const char *site = doctor->ctl->url;
	struct printbuf *url = buf_new();
	size_t len = strlen(site);

	while (len > 0 && site[len - 1] == '/')
		len--;
	if (strstr(site, "://") == NULL)
		buf_puts(url, "http://");
	buf_put(url, site, len);
	buf_puts(url, doctor->ctl->config->http.base);
	buf_puts(url, path);
	return buf_take(url, NULL);
}

static void probe_open(struct probe *probe, const struct doctor *doctor, const char *method,
		       const char *path, const char *token)
{
	char *url = url_of(doctor, path), *bearer;

	*probe = (struct probe){.easy = curl_easy_init(), .multi = curl_multi_init()};
	if (probe->easy == NULL || probe->multi == NULL)
		abort(); /* out of memory */
	probe->head = buf_new();
	probe->body = buf_new();
	if (token != NULL) {
		bearer = xmalloc(strlen(token) + 8);
		sprintf(bearer, "Bearer %s", token);
		add_field(probe, "Authorization", bearer);
		free(bearer);
	}
	add_field(probe, "Accept-Encoding", "gzip, deflate, br"); /* as browsers do */
	curl_easy_setopt(probe->easy, CURLOPT_URL, url);
	curl_easy_setopt(probe->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(probe->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(probe->easy, CURLOPT_HTTPHEADER, probe->fields);
	curl_easy_setopt(probe->easy, CURLOPT_HEADERFUNCTION, on_bytes);
	curl_easy_setopt(probe->easy, CURLOPT_HEADERDATA, probe->head);
	curl_easy_setopt(probe->easy, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(probe->easy, CURLOPT_WRITEDATA, probe->body);
	if (strcmp(method, "POST") == 0)
		curl_easy_setopt(probe->easy, CURLOPT_COPYPOSTFIELDS, "");
	curl_multi_add_handle(probe->multi, probe->easy);
	free(url);
}

static void probe_close(struct probe *probe)
{
	curl_multi_remove_handle(probe->multi, probe->easy);
	curl_easy_cleanup(probe->easy);
	curl_multi_cleanup(probe->multi);
	curl_slist_free_all(probe->fields);
	printbuf_free(probe->head);
	printbuf_free(probe->body);
}

static size_t count_of(const char *text, const char *word)
{
	size_t count = 0;

	while ((text = strstr(text, word)) != NULL) {
		count++;
		text += strlen(word);
	}
	return count;
}

/* Goes on until the text came `count` times (NULL: until the end), at most `ms`; whether it did. */
static bool probe_until(struct probe *probe, const struct printbuf *where, const char *word,
			size_t count, int64_t ms)
{
	int64_t end = times_mono_ms() + ms, left;
	int running = 1, queued;
	CURLMsg *message;

	for (;;) {
		curl_multi_perform(probe->multi, &running);
		if (word != NULL && count_of(where->buf, word) >= count)
			return true;
		while ((message = curl_multi_info_read(probe->multi, &queued)) != NULL) {
			probe->is_over = true;
			probe->result = message->data.result;
		}
		left = end - times_mono_ms();
		if (probe->is_over || left <= 0)
			return word == NULL && probe->is_over && probe->result == CURLE_OK;
		curl_multi_poll(probe->multi, NULL, 0, (int)left, NULL);
	}
}

static int probe_status(const struct probe *probe)
{
	long status = 0;

	curl_easy_getinfo(probe->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

/* The value of a header field; "" when there is none. */
static void probe_field(const struct probe *probe, const char *name, char value[128])
{
	size_t len = strlen(name);

	*value = '\0';
	for (const char *line = probe->head->buf; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncasecmp(line, name, len) != 0 || line[len] != ':')
			continue;
		line += len + 1;
		line += strspn(line, " \t");
		snprintf(value, 128, "%.*s", (int)strcspn(line, "\r\n"), line);
	}
}

/* The code of a problem (RFC 9457); "" when the answer is none of ours. */
static void probe_code(const struct probe *probe, char code[64])
{
	const char *why, *text;
	struct json_object *problem =
		json_parse_object(probe->body->buf, buf_len(probe->body), &why);

	*code = '\0';
	if (problem != NULL && json_is_text(json_member(problem, "code"), 63, &text))
		snprintf(code, 64, "%s", text);
	json_object_put(problem);
}

/* --- the checks --- */

/* What to change after an answer of a call that should be 200. */
static const char *advice(const char *code, int status)
{
	static const struct {
		const char *code, *change;
	} table[] = {
		{"token_missing", pass_authorization},
		{"token_invalid", "let the web server's programs read this same configuration"},
		{"not_found", "let http.base and the web server's paths be the same"},
		{"streams_unavailable", "hand http.base + /presence/stream to presence-streamd, "
					"before what stands for all of http.base"},
		{"redis_unavailable", "see what is said of redis above, and the programs' log"},
		{"directory_unavailable", "see what is said of the directory above"},
		{"too_many_streams", "another --user, or stream.max_streams_per_user"},
		{"server_full", "see what is said of descriptors above"},
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (strcmp(code, table[i].code) == 0)
			return table[i].change;
	}
	if (status >= 500)
		return "see whether the programs run, and the web server's error log";
	return "see the web server's configuration: another part of it answers";
}

/* Says what is wrong with an answer that is not 200. */
static void say_answer(struct doctor *doctor, const struct probe *probe, const char *what)
{
	char code[64];

	if (probe->is_over && probe->result != CURLE_OK) {
		doctor_say(doctor, FINDING_FAIL, "correct --url, or start the web server",
			   "web: %s: %s", what, curl_easy_strerror(probe->result));
		return;
	}
	if (probe_status(probe) == 0) {
		doctor_say(doctor, FINDING_FAIL, "see whether the programs run, and the logs",
			   "web: %s is not answered in time", what);
		return;
	}
	probe_code(probe, code);
	doctor_say(doctor, FINDING_FAIL, advice(code, probe_status(probe)),
		   "web: %s is answered %d%s%s", what, probe_status(probe),
		   *code != '\0' ? " " : "", code);
}

/* Whether a call is answered 200. */
static bool check_call(struct doctor *doctor, const char *path, const char *token, const char *good)
{
	struct probe probe;
	bool ok;

	probe_open(&probe, doctor, "GET", path, token);
	ok = probe_until(&probe, NULL, NULL, 0, ANSWER_MS) && probe_status(&probe) == 200;
	if (ok)
		doctor_say(doctor, FINDING_OK, NULL, "web: %s", good);
	else
		say_answer(doctor, &probe, path);
	probe_close(&probe);
	return ok;
}

static void check_head(struct doctor *doctor, const struct probe *probe)
{
	char type[128], encoding[128];

	probe_field(probe, "Content-Type", type);
	probe_field(probe, "Content-Encoding", encoding);
	if (*type != '\0' && strncasecmp(type, "text/event-stream", 17) != 0)
		doctor_say(doctor, FINDING_FAIL, "see what in the web server rewrites it",
			   "web: the stream's Content-Type is '%s'", type);
	if (*encoding != '\0')
		doctor_say(doctor, FINDING_FAIL, no_compression,
			   "web: the stream is compressed (%s), which holds events back", encoding);
}

static bool publish_friends_changed(struct doctor *doctor)
{
	struct printbuf *command = buf_new();
	redisReply *reply;
	bool ok;

	resp_begin(command, 3);
	resp_text(command, "PUBLISH");
	resp_key(command, doctor->ctl->config->redis.prefix, CHANNEL_INBOX, doctor->ctl->user);
	resp_text(command, "{\"type\":\"friends_changed\"}");
	ok = blocking_run(doctor->ctl->redis, command, 1, &reply);
	printbuf_free(command);
	if (ok)
		freeReplyObject(reply);
	return ok;
}

/* A message from Redis to the reader: what presence is about. */
static void check_event(struct doctor *doctor, struct probe *probe)
{
	int64_t start = times_mono_ms();

	if (!publish_friends_changed(doctor))
		return; /* said above, of Redis */
	if (probe_until(probe, probe->body, EVENT("initial"), 2, SETTLE_MS))
		doctor_say(doctor, FINDING_OK, NULL,
			   "web: what is published arrives after %" PRId64 " ms",
			   times_mono_ms() - start);
	else
		doctor_say(doctor, FINDING_FAIL, no_buffering,
			   "web: what is published does not arrive within %d ms", SETTLE_MS);
}

static void check_heartbeat(struct doctor *doctor, struct probe *probe)
{
	int heartbeat = doctor->ctl->config->presence.heartbeat;

	if (probe_until(probe, probe->body, EVENT("heartbeat"), 1, heartbeat * 1000 + EVENT_MS))
		doctor_say(doctor, FINDING_OK, NULL, "web: a heartbeat came");
	else
		doctor_say(doctor, FINDING_FAIL,
			   "a time-out of the web server, or of a proxy in front, must be longer "
			   "than presence.heartbeat",
			   "web: no heartbeat within %d s%s", heartbeat + 1,
			   probe->is_over ? ", for the stream was ended" : "");
}

/* The answer is a stream: whether its events come, and come at once. */
static void check_events(struct doctor *doctor, struct probe *probe, bool arrived, int64_t ms)
{
	check_head(doctor, probe);
	if (!arrived) {
		doctor_say(doctor, FINDING_FAIL, no_buffering,
			   "web: the stream's first events do not arrive within %d ms", EVENT_MS);
		return;
	}
	doctor_say(doctor, FINDING_OK, NULL, "web: the stream starts within %" PRId64 " ms", ms);
	check_event(doctor, probe);
	if (doctor->ctl->wait)
		check_heartbeat(doctor, probe);
}

static void check_stream(struct doctor *doctor, const char *token)
{
	int64_t start = times_mono_ms();
	struct probe probe;
	bool arrived;

	probe_open(&probe, doctor, "GET", "/presence/stream", token);
	arrived = probe_until(&probe, probe.body, EVENT("initial"), 1, EVENT_MS);
	/* Not even a head may be the work of a server that holds everything back. */
	if (probe_status(&probe) == 200 || (probe_status(&probe) == 0 && !probe.is_over)) {
		check_events(doctor, &probe, arrived, times_mono_ms() - start);
	} else {
		probe_until(&probe, NULL, NULL, 0, ANSWER_MS); /* for the whole of the problem */
		say_answer(doctor, &probe, "/presence/stream");
	}
	probe_close(&probe);
}

/* So that the user is not online for online_ttl because of us. */
static void log_out(struct doctor *doctor, const char *token)
{
	struct probe probe;

	probe_open(&probe, doctor, "POST", "/auth/logout", token);
	probe_until(&probe, NULL, NULL, 0, ANSWER_MS);
	probe_close(&probe);
}

static void check_as_user(struct doctor *doctor)
{
	struct userid user;
	struct token token;
	char *text = NULL;

	if (doctor->keys == NULL ||
	    !userid_parse(doctor->ctl->user, strlen(doctor->ctl->user), &user))
		return; /* said above, of the keys */
	text = token_issue(doctor->keys, &user, NULL, NULL, times_wall_ms() / 1000, TOKEN_LIFETIME,
			   &token);
	if (text == NULL) {
		doctor_say(doctor, FINDING_WARN, "run it where auth.signing_key_file is",
			   "web: calls and the stream are not tried, for there is no key to sign "
			   "with");
		return;
	}
	if (check_call(doctor, "/online-status/count", text, "the Authorization field arrives"))
		check_stream(doctor, text);
	log_out(doctor, text);
	free(text);
}

void doctor_check_web(struct doctor *doctor)
{
	if (doctor->ctl->url == NULL)
		return;
	if (!check_call(doctor, "/health", NULL, "http.base is routed to presence-api"))
		return;
	if (doctor->ctl->user != NULL)
		check_as_user(doctor);
	else
		doctor_say(doctor, FINDING_WARN, "add --user ID, of any user",
			   "web: calls with a token and the stream are not tried");
}
