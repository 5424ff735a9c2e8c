/* doctor: one request of its own to the web server. */
#include "ctl/doctor_probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/times.h"

#define BODY_MAX (4 << 20) /* bytes that are kept of an answer */

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

char *probe_url(const struct doctor *doctor, const char *path)
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

void probe_open(struct probe *probe, const struct doctor *doctor, const char *method,
		const char *path, const char *token)
{
	char *url = probe_url(doctor, path), *bearer;

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

void probe_close(struct probe *probe)
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

bool probe_until(struct probe *probe, const struct printbuf *where, const char *word, size_t count,
		 int64_t ms)
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

int probe_status(const struct probe *probe)
{
	long status = 0;

	curl_easy_getinfo(probe->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

void probe_field(const struct probe *probe, const char *name, char value[128])
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

void probe_code(const struct probe *probe, char code[64])
{
	const char *why, *text;
	struct json_object *problem =
		json_parse_object(probe->body->buf, buf_len(probe->body), &why);

	*code = '\0';
	if (problem != NULL && json_is_text(json_member(problem, "code"), 63, &text))
		snprintf(code, 64, "%s", text);
	json_object_put(problem);
}
