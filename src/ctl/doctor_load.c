/* doctor: many streams at a time, and whether calls are still answered. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "auth/issue.h"
#include "base/alloc.h"
#include "base/times.h"
#include "ctl/doctor_checks.h"
#include "ctl/doctor_probe.h"

#define STREAMS_DEFAULT 200 /* more than a web server that was never thought of for streams has */
#define STREAMS_OF_USER 10
#define OPENING_MAX 100 /* streams that are asked for at a time */
#define PATIENCE_MS 3000 /* without one more answer */
#define TOKEN_LIFETIME 300 /* seconds */
#define SPARE_DESCRIPTORS 64

struct load {
	struct doctor *doctor;
	CURLM *multi;
	CURL **streams;
	char **tokens; /* of a user each */
	struct curl_slist **fields;
	char *url;
	int wanted, users, of_user;
	int asked, held; /* streams; held: answered 200 */
	int refused; /* by presence-streamd, with a problem */
	int full; /* of these, because it is full, as it should be */
	int broken; /* by the web server */
};

/* A problem is short: it comes in one piece. */
static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	static const char code[] = "\"server_full\"";
	struct load *load = arg;

	load->full += memmem(data, size * count, code, sizeof code - 1) != NULL;
	return size * count;
}

/* At the end of a head. */
static size_t on_head(char *data, size_t size, size_t count, void *arg)
{
	struct load *load = arg;

	if (size * count > 12 && strncmp(data, "HTTP/", 5) == 0 &&
	    strncmp(data + 8, " 200", 4) == 0)
		load->held++;
	return size * count;
}

static void load_user(struct load *load, int index)
{
	int64_t now = times_wall_ms() / 1000;
	struct token token = {.iat = now, .exp = now + TOKEN_LIFETIME};
	char field[8192];

	snprintf(token.user.text, sizeof token.user.text, "%d", DOCTOR_NOBODY - 1 - index);
	load->tokens[index] = issue_token(load->doctor->keys, &token);
	snprintf(field, sizeof field, "Authorization: Bearer %s",
		 load->tokens[index] != NULL ? load->tokens[index] : "");
	load->fields[index] = curl_slist_append(NULL, field);
}

static void ask_for_stream(struct load *load)
{
	int index = load->asked++;
	CURL *easy = curl_easy_init();

	if (easy == NULL)
		abort(); /* out of memory */
	if (load->tokens[index / load->of_user] == NULL)
		load_user(load, index / load->of_user);
	curl_easy_setopt(easy, CURLOPT_URL, load->url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	/* A connection each, as different visitors have. */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 1024L);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, load->fields[index / load->of_user]);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, load);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, load);
	curl_multi_add_handle(load->multi, easy);
	load->streams[index] = easy;
}

/* A stream that is over: whether it was refused as it should be. */
static void count_ended(struct load *load, const CURLMsg *message)
{
	const char *type = NULL;
	long status = 0;

	curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(message->easy_handle, CURLINFO_CONTENT_TYPE, &type);
	if (status == 200)
		load->held--;
	if (type != NULL && strncmp(type, "application/problem+json", 24) == 0)
		load->refused++;
	else
		load->broken++;
}

static int opening(const struct load *load)
{
	return load->asked - load->held - load->refused - load->broken;
}

/* Until all are answered, or no further one is. */
static void open_streams(struct load *load)
{
	int64_t end = times_mono_ms() + PATIENCE_MS;
	int running, queued, answered = 0;
	CURLMsg *message;

	for (;;) {
		while (load->asked < load->wanted && opening(load) < OPENING_MAX)
			ask_for_stream(load);
		curl_multi_perform(load->multi, &running);
		while ((message = curl_multi_info_read(load->multi, &queued)) != NULL)
			count_ended(load, message);
		if (load->held + load->refused > answered) {
			answered = load->held + load->refused;
			end = times_mono_ms() + PATIENCE_MS;
		}
		if ((load->asked == load->wanted && opening(load) == 0) || load->broken > 0 ||
		    times_mono_ms() > end)
			return;
		curl_multi_poll(load->multi, NULL, 0, 100, NULL);
	}
}

/* An answer to another visitor's call. */
static bool is_answered(struct load *load)
{
	struct probe probe;
	bool ok;

	probe_open(&probe, load->doctor, "GET", "/online-status/count", load->tokens[0]);
	ok = probe_until(&probe, NULL, NULL, 0, PROBE_ANSWER_MS) && probe_status(&probe) == 200;
	probe_close(&probe);
	return ok;
}

static void say_load(struct load *load)
{
	struct doctor *doctor = load->doctor;
	const char *change = doctor_change(doctor->server, MISTAKE_CAPACITY);
	bool answered = is_answered(load);

	if (!answered)
		doctor_say(
			doctor, FINDING_FAIL, change,
			"web: with %d streams open a call is not answered: the web server has no "
			"more room than streams take, and stream.max_streams = %d",
			load->held, doctor->ctl->config->stream.max_streams);
	else if (opening(load) > 0 || load->broken > 0)
		doctor_say(doctor, FINDING_FAIL, change,
			   "web: with %d streams open the web server %s the next one, and "
			   "stream.max_streams = %d",
			   load->held, load->broken > 0 ? "cuts off" : "does not answer",
			   doctor->ctl->config->stream.max_streams);
	else if (load->refused > load->full)
		doctor_say(
			doctor, FINDING_FAIL, "presence-streamd's log says why",
			"web: of %d streams opened at once %d are refused, and not because it is "
			"full",
			load->asked, load->refused - load->full);
	else if (load->refused > 0)
		doctor_say(doctor, FINDING_OK, NULL,
			   "web: with %d streams open the next one is refused, and calls are "
			   "answered",
			   load->held);
	else
		doctor_say(doctor, FINDING_OK, NULL, "web: with %d streams open calls are answered",
			   load->held);
}

/* So that nobody is left online because of us. */
static void load_free(struct load *load)
{
	struct probe probe;

	for (int i = 0; i < load->asked; i++) {
		curl_multi_remove_handle(load->multi, load->streams[i]);
		curl_easy_cleanup(load->streams[i]);
	}
	curl_multi_cleanup(load->multi); /* closes their connections */
	for (int i = 0; i < load->users && load->tokens[i] != NULL; i++) {
		probe_open(&probe, load->doctor, "POST", "/auth/logout", load->tokens[i]);
		probe_until(&probe, NULL, NULL, 0, PROBE_ANSWER_MS);
		probe_close(&probe);
		curl_slist_free_all(load->fields[i]);
		free(load->tokens[i]);
	}
	free(load->streams);
	free(load->tokens);
	free(load->fields);
	free(load->url);
}

/* As many as are asked for, if this process may open so many connections. */
static int streams_wanted(const struct doctor *doctor)
{
	int wanted = doctor->ctl->config->stream.max_streams;
	struct rlimit limit;

	if (doctor->ctl->streams >= 0)
		wanted = doctor->ctl->streams;
	else if (wanted > STREAMS_DEFAULT)
		wanted = STREAMS_DEFAULT;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		if ((rlim_t)wanted + SPARE_DESCRIPTORS > limit.rlim_max)
			wanted = (int)limit.rlim_max - SPARE_DESCRIPTORS;
	}
	return wanted;
}

void doctor_check_load(struct doctor *doctor)
{
	int of_user = doctor->ctl->config->stream.max_streams_per_user;
	struct load load = {.doctor = doctor, .wanted = streams_wanted(doctor)};

	if (load.wanted <= 0)
		return;
	load.of_user = of_user < STREAMS_OF_USER ? of_user : STREAMS_OF_USER;
	load.users = (load.wanted + load.of_user - 1) / load.of_user;
	load.url = probe_url(doctor, "/presence/stream");
	load.multi = curl_multi_init();
	if (load.multi == NULL)
		abort(); /* out of memory */
	load.streams = xcalloc((size_t)load.wanted, sizeof *load.streams);
	load.tokens = xcalloc((size_t)load.users, sizeof *load.tokens);
	load.fields = xcalloc((size_t)load.users, sizeof *load.fields);
	open_streams(&load);
	say_load(&load);
	load_free(&load);
}
