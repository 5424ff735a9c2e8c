/* HTTP requests to the stand's web server, and what an answer must look like. */
#include "harness.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/alloc.h"
#include "base/buf.h"

static size_t on_bytes(char *data, size_t size, size_t count, void *arg)
{
	buf_put(arg, data, size * count);
	return size * count;
}

static struct curl_slist *header_list(const struct request *request)
{
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");
	char *line;

	if (request->token != NULL) {
		ck_assert(asprintf(&line, "Authorization: Bearer %s", request->token) > 0);
		list = curl_slist_append(list, line);
		free(line);
	}
	if (request->type != NULL || request->body != NULL) {
		const char *type = request->type != NULL ? request->type : "application/json";

		ck_assert(asprintf(&line, "Content-Type:%s%s", *type != '\0' ? " " : "", type) > 0);
		list = curl_slist_append(list, line);
		free(line);
	}
	if (request->header != NULL)
		list = curl_slist_append(list, request->header);
	return list;
}

/* --- what was answered, for tests/npm/answers.mjs --------------------------------------------- */

/* This program's answers, one JSON text a line; stays empty when nobody asks for them. */
static char answers_file[PATH_MAX];

void http_keep_answers(void)
{
	const char *dir = getenv("TEST_ANSWERS");

	if (dir == NULL)
		return;
	mkdir(dir, 0755);
	snprintf(answers_file, sizeof answers_file, "%s/%s.ndjson", dir,
		 program_invocation_short_name);
	unlink(answers_file);
}

static const char *method_of(const struct request *request)
{
	if (request->method != NULL)
		return request->method;
	return request->body != NULL ? "POST" : "GET";
}

static struct json_object *text_or_null(const char *text)
{
	return text != NULL ? json_object_new_string(text) : NULL;
}

static void keep_answer(const struct stack *stack, const struct request *request,
			const struct response *response)
{
	struct json_object *line;
	const char *text;
	int fd;

	if (answers_file[0] == '\0')
		return;
	line = json_object_new_object();
	json_object_object_add(line, "base", json_object_new_string(stack->base));
	json_object_object_add(line, "method", json_object_new_string(method_of(request)));
	json_object_object_add(line, "path", json_object_new_string(request->path));
	json_object_object_add(line, "status", json_object_new_int(response->status));
	json_object_object_add(line, "type",
			       text_or_null(header_of(response->head, "Content-Type")));
	json_object_object_add(line, "caching",
			       text_or_null(header_of(response->head, "Cache-Control")));
	json_object_object_add(line, "length", json_object_new_int64((int64_t)response->body_len));
	json_object_object_add(line, "json", json_object_get(response->json));
	text = json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN);
	fd = open(answers_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	ck_assert_msg(fd >= 0 && dprintf(fd, "%s\n", text) > 0, "%s: %s", answers_file,
		      strerror(errno));
	close(fd);
	json_object_put(line);
}

struct response *http_send(struct stack *stack, const struct request *request)
{
	struct response *response = xcalloc(1, sizeof *response);
	struct printbuf *head = buf_new(), *body = buf_new();
	struct curl_slist *headers = header_list(request);
	CURL *curl = curl_easy_init();
	int64_t start = now_ms();
	long status;
	CURLcode done;
	char *url;

	ck_assert(asprintf(&url, "http://127.0.0.1:%d%s", stack->port, request->path) > 0);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)patience(10000));
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_bytes);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, head);
	if (request->body != NULL) {
		size_t len = request->body_len != 0 ? request->body_len : strlen(request->body);

		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)len);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
	} else if (request->method != NULL && strcmp(request->method, "POST") == 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
	}
	if (request->method != NULL && strcmp(request->method, "HEAD") == 0)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	else if (request->method != NULL)
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	done = curl_easy_perform(curl);
	ck_assert_msg(done == CURLE_OK, "%s: %s", url, curl_easy_strerror(done));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	response->status = (int)status;
	response->ms = (int)(now_ms() - start);
	response->head = buf_take(head, NULL);
	response->body = buf_take(body, &response->body_len);
	response->json = json_tokener_parse(response->body);
	keep_answer(stack, request, response);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	free(url);
	return response;
}

const char *header_of(const char *head, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = head; (line = strstr(line, "\r\n")) != NULL;) {
		line += 2;
		if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
			const char *value = line + len + 1;

			value += strspn(value, " ");
			return xstrndup(value, strcspn(value, "\r\n"));
		}
	}
	return NULL;
}

static void check_header(const struct response *response, const char *name, const char *expected)
{
	const char *value = header_of(response->head, name);

	ck_assert_msg(value != NULL && strcmp(value, expected) == 0,
		      "%s is '%s' instead of '%s' in:\n%s%s", name,
		      value != NULL ? value : "(none)", expected, response->head, response->body);
}

struct json_object *http_ok(struct stack *stack, const char *path, const char *token,
			    const char *body)
{
	struct response *response = HTTP(stack, .path = path, .token = token, .body = body);

	ck_assert_msg(response->status == 200, "%s: status %d instead of 200: %s", path,
		      response->status, response->body);
	check_header(response, "Content-Type", "application/json");
	check_header(response, "Cache-Control", "no-store");
	ck_assert_msg(response->json != NULL, "%s: no JSON: %s", path, response->body);
	return response->json;
}

static const char *title_of_unexpected(const struct response *response)
{
	return response->body_len > 0 ? response->body : "(no body)";
}

#define PROBLEM_MEMBERS                                                                  \
	"{'type':'about:blank','title':'<string>','status':'<int>','detail':'<string>'," \
	"'code':'<string>'"

/* RFC 9457 section 3.1 and contract section 3. */
void check_problem(const struct response *response, int status, const char *code)
{
	const char *name = header_of(response->head, "X-Request-Id");
	struct json_object *field;

	ck_assert_msg(response->status == status, "status %d instead of %d %s: %s",
		      response->status, status, code, title_of_unexpected(response));
	check_header(response, "Content-Type", "application/problem+json");
	check_header(response, "Cache-Control", "no-store");
	/* The web server's own, where a site has it answer in our shape, have no name. */
	CHECK_JSON(response->json, name == NULL ? PROBLEM_MEMBERS "}"
						: PROBLEM_MEMBERS ",'request_id':'<string>'}");
	if (name != NULL)
		ck_assert_str_eq(json_text(response->json, "request_id"), name);
	ck_assert_int_eq(json_object_get_int(json_at(response->json, "status")), status);
	field = json_at(response->json, "code");
	ck_assert_msg(code == NULL || strcmp(json_object_get_string(field), code) == 0,
		      "code %s instead of %s: %s", json_object_get_string(field), code,
		      response->body);
	if (status == 401)
		ck_assert_msg(strncmp(header_of(response->head, "WWW-Authenticate") ?: "", "Bearer",
				      6) == 0,
			      "401 without WWW-Authenticate: Bearer:\n%s", response->head);
	if (status == 405)
		ck_assert_msg(header_of(response->head, "Allow") != NULL, "405 without Allow:\n%s",
			      response->head);
	if (status == 429 || status == 503)
		ck_assert_msg(atoi(header_of(response->head, "Retry-After") ?: "0") > 0,
			      "%d without Retry-After:\n%s", status, response->head);
}

/* --- JSON --------------------------------------------------------------------------------- */

static bool is_time(const char *text)
{
	static const char shape[] = "0000-00-00T00:00:00Z";
	size_t i = 0;

	for (; shape[i] != '\0' && text[i] != '\0'; i++) {
		if (shape[i] == '0' ? !isdigit((unsigned char)text[i]) : text[i] != shape[i])
			return false;
	}
	return shape[i] == '\0' && text[i] == '\0';
}

static bool matches_word(struct json_object *value, const char *word)
{
	bool is_text = json_object_is_type(value, json_type_string);
	bool is_int = json_object_is_type(value, json_type_int);

	if (strcmp(word, "<any>") == 0)
		return true;
	if (strcmp(word, "<string>") == 0)
		return is_text && json_object_get_string_len(value) > 0;
	if (strcmp(word, "<int>") == 0)
		return is_int;
	if (strcmp(word, "<version>") == 0)
		return is_int && json_object_get_int64(value) > 0;
	if (strcmp(word, "<null or time>") == 0 && value == NULL)
		return true;
	return is_text && is_time(json_object_get_string(value));
}

static bool matches(struct json_object *value, struct json_object *expected)
{
	if (json_object_is_type(expected, json_type_string) &&
	    json_object_get_string(expected)[0] == '<')
		return matches_word(value, json_object_get_string(expected));
	if (json_object_get_type(value) != json_object_get_type(expected))
		return false;
	if (json_object_is_type(expected, json_type_array)) {
		size_t count = json_object_array_length(expected);

		if (json_object_array_length(value) != count)
			return false;
		for (size_t i = 0; i < count; i++) {
			if (!matches(json_object_array_get_idx(value, i),
				     json_object_array_get_idx(expected, i)))
				return false;
		}
		return true;
	}
	if (!json_object_is_type(expected, json_type_object))
		return json_object_equal(value, expected) == 1;
	if (json_object_object_length(value) != json_object_object_length(expected))
		return false;
	json_object_object_foreach(expected, name, member)
	{
		struct json_object *seen;

		if (!json_object_object_get_ex(value, name, &seen) || !matches(seen, member))
			return false;
	}
	return true;
}

void check_json(const char *file, int line, struct json_object *value, const char *expected)
{
	char *text = xstrdup(expected);
	struct json_object *pattern;

	for (char *c = text; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	pattern = json_tokener_parse(text);
	ck_assert_msg(pattern != NULL, "%s:%d: the expected text is no JSON: %s", file, line, text);
	ck_assert_msg(matches(value, pattern), "%s:%d: expected %s\nseen %s", file, line, text,
		      json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
	json_object_put(pattern);
	free(text);
}

struct json_object *json_at(struct json_object *value, const char *name)
{
	struct json_object *member;

	ck_assert_msg(json_object_is_type(value, json_type_object) &&
			      json_object_object_get_ex(value, name, &member),
		      "no member %s in %s", name,
		      json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
	return member;
}

const char *json_text(struct json_object *value, const char *name)
{
	return json_object_get_string(json_at(value, name));
}
