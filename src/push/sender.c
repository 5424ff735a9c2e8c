#include "push/sender.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "push/peer.h"

#define CONNECTIONS_MAX 128L
#define HOST_CONNECTIONS_MAX 16L /* HTTP/2 carries many requests on each */
#define ANSWER_MAX 65536 /* bytes: a push service has little to say */
#define IDLE_MAX 64 /* easy handles kept for the next requests */

/* One request under way. */
struct post {
	struct sender *sender;
	CURL *easy;
	struct curl_slist *headers;
	void *body;
	size_t answered; /* bytes */
	bool is_own;
	bool has_bad_address; /* one that its host has is not public, */
	bool has_good_address; /* another one is */
	sender_done *done;
	void *arg;
	struct post *next; /* in sender->posts */
};

struct sender {
	const struct config *config;
	CURLM *multi;
	CURL *idle[IDLE_MAX];
	size_t idle_count;
	struct post *posts;
};

struct sender *sender_new(const struct config *config)
{
	struct sender *sender;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return NULL;
	sender = xcalloc(1, sizeof *sender);
	sender->config = config;
	sender->multi = curl_multi_init();
	if (sender->multi == NULL) {
		free(sender);
		return NULL;
	}
	curl_multi_setopt(sender->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	curl_multi_setopt(sender->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, CONNECTIONS_MAX);
	curl_multi_setopt(sender->multi, CURLMOPT_MAX_HOST_CONNECTIONS, HOST_CONNECTIONS_MAX);
	return sender;
}

/* Ends a post; its handle is kept for another. */
static void post_free(struct post *post)
{
	struct sender *sender = post->sender;

	curl_multi_remove_handle(sender->multi, post->easy);
	if (sender->idle_count < IDLE_MAX)
		sender->idle[sender->idle_count++] = post->easy;
	else
		curl_easy_cleanup(post->easy);
	curl_slist_free_all(post->headers);
	free(post->body);
	free(post);
}

static void remove_post(struct sender *sender, struct post *post)
{
	struct post **link = &sender->posts;

	while (*link != post)
		link = &(*link)->next;
	*link = post->next;
	post_free(post);
}

void sender_free(struct sender *sender)
{
	if (sender == NULL)
		return;
	for (struct post *post = sender->posts, *next; post != NULL; post = next) {
		next = post->next;
		post_free(post);
	}
	while (sender->idle_count > 0)
		curl_easy_cleanup(sender->idle[--sender->idle_count]);
	curl_multi_cleanup(sender->multi);
	free(sender);
	curl_global_cleanup();
}

/* --- starting -------------------------------------------------------------------------------- */

/*
 * The one place where a connection begins: its name was resolved just now, so an
 * answer that changes between a check and the connection changes nothing here.
 */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct post *post = arg;

	(void)purpose;
	if (!post->is_own && !peer_is_allowed(post->sender->config->push.allow, &address->addr)) {
		post->has_bad_address = true;
		return CURL_SOCKET_BAD;
	}
	post->has_good_address = true;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t on_answer(char *data, size_t size, size_t count, void *arg)
{
	struct post *post = arg;

	(void)data;
	post->answered += size * count;
	return post->answered <= ANSWER_MAX ? size * count : 0;
}

static void set_options(struct post *post, const struct sender_request *request)
{
	const struct config *config = post->sender->config;
	CURL *easy = post->easy;

	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, request->is_own ? "http,https" : "https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* whose address would be checked instead */
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "presence-pushd/" PACKAGE_VERSION);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)config->push.timeout_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)config->push.timeout_ms);
	if (config->push.ca_file[0] != '\0')
		curl_easy_setopt(easy, CURLOPT_CAINFO, config->push.ca_file);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, post);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, post);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, post->headers);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)request->len);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, post->body);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, post);
}

static CURL *take_handle(struct sender *sender)
{
	CURL *easy;

	if (sender->idle_count == 0) {
		easy = curl_easy_init();
		if (easy == NULL)
			abort();
		return easy;
	}
	easy = sender->idle[--sender->idle_count];
	curl_easy_reset(easy);
	return easy;
}

void sender_post(struct sender *sender, const struct sender_request *request, sender_done *done,
		 void *arg)
{
	struct post *post = xcalloc(1, sizeof *post);

	post->sender = sender;
	post->done = done;
	post->arg = arg;
	post->is_own = request->is_own;
	post->body = xmemdup(request->body, request->len);
	post->headers = curl_slist_append(NULL, "Expect:"); /* no waiting for a 100 */
	for (const char *const *line = request->headers; *line != NULL; line++)
		post->headers = curl_slist_append(post->headers, *line);
	post->easy = take_handle(sender);
	set_options(post, request);
	post->next = sender->posts;
	sender->posts = post;
	curl_multi_add_handle(sender->multi, post->easy);
}

/* --- ending ---------------------------------------------------------------------------------- */

static void on_end(struct post *post, CURLcode code)
{
	enum outcome outcome = OUTCOME_UNREACHABLE;
	curl_off_t retry_after = 0;
	long status = 0;

	curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_OK || code == CURLE_WRITE_ERROR) {
		/* An answer longer than we care to read is one all the same. */
		outcome = outcome_of_status((int)status);
		curl_easy_getinfo(post->easy, CURLINFO_RETRY_AFTER, &retry_after);
	} else if (post->has_bad_address && !post->has_good_address) {
		outcome = OUTCOME_BAD_ADDRESS;
		status = 0;
	} else {
		log_debug("push service: %s", curl_easy_strerror(code));
		status = 0;
	}
	post->done(post->arg, outcome, (int)status, retry_after);
	remove_post(post->sender, post);
}

void sender_run(struct sender *sender)
{
	CURLMsg *message;
	int running, left;

	curl_multi_perform(sender->multi, &running);
	while ((message = curl_multi_info_read(sender->multi, &left)) != NULL) {
		struct post *post = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&post);
		on_end(post, message->data.result);
	}
}

void sender_wait(struct sender *sender, struct curl_waitfd *extra, unsigned count, int64_t ms)
{
	curl_multi_poll(sender->multi, extra, count, ms > 0 ? (int)ms : 0, NULL);
}
