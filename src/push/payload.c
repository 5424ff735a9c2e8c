#include "push/payload.h"

#include <string.h>

#include "base/json.h"

#define HEAD "{\"web_push\":8030,\"notification\":"
#define ELLIPSIS "\xe2\x80\xa6"

static void put_member(struct printbuf *out, const char *name, const char *text)
{
	buf_putf(out, ",\"%s\":", name);
	json_put_string(out, text, strlen(text));
}

/* The first `len` bytes of a text, less what would be half a character; "…" after a cut. */
static void put_cut(struct printbuf *out, const char *name, const char *text, size_t len)
{
	struct printbuf *cut;

	if (len >= strlen(text)) {
		put_member(out, name, text);
		return;
	}
	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	cut = buf_new();
	buf_put(cut, text, len);
	buf_puts(cut, ELLIPSIS);
	put_member(out, name, cut->buf);
	printbuf_free(cut);
}

/* Title and body with at most so many bytes of each. */
static void put_cut_notification(struct printbuf *out, const struct push_job *job, size_t title,
				 size_t body)
{
	/* A member before the first: its comma is not needed. */
	size_t start = buf_len(out);

	put_cut(out, "title", job->title, title);
	out->buf[start] = '{';
	if (job->body[0] != '\0' && body > 0)
		put_cut(out, "body", job->body, body);
	put_member(out, "navigate", job->url[0] != '\0' ? job->url : "/");
	if (job->tag[0] != '\0')
		put_member(out, "tag", job->tag);
	if (job->is_online) {
		buf_putf(out, ",\"tag\":\"online-%s\"", job->friend.text);
		buf_puts(out, ",\"data\":{\"type\":\"online\",\"user_id\":");
		userid_put_json(out, &job->friend);
		buf_puts(out, "}");
	}
	buf_puts(out, "}");
}

/* Takes the buffer back to a length that it had. */
static void cut_back(struct printbuf *out, size_t len)
{
	out->bpos = (int)len;
	out->buf[len] = '\0';
}

void payload_put_notification(struct printbuf *out, const struct push_job *job, size_t max)
{
	size_t start = buf_len(out), title = strlen(job->title), body = strlen(job->body);

	for (;;) {
		size_t len;

		put_cut_notification(out, job, title, body);
		len = buf_len(out) - start;
		if (len <= max || (body == 0 && title == 0))
			return;
		/* An escaped byte takes up to six: halving what is too much comes near from above. */
		if (body > 0)
			body -= (len - max + 1) / 2 < body ? (len - max + 1) / 2 : body;
		else
			title -= (len - max + 1) / 2 < title ? (len - max + 1) / 2 : title;
		cut_back(out, start);
	}
}

void payload_put(struct printbuf *out, const struct push_job *job)
{
	size_t max = job->shortened ? PAYLOAD_SHORT : PAYLOAD_MAX;

	buf_puts(out, HEAD);
	payload_put_notification(out, job, max - strlen(HEAD) - 1);
	buf_puts(out, "}");
}

size_t payload_padded(size_t len)
{
	return (len + 1 + PAYLOAD_STEP - 1) / PAYLOAD_STEP * PAYLOAD_STEP;
}

void payload_topic(const struct push_job *job, char topic[PAYLOAD_TOPIC_LEN + 1])
{
	const char *label = job->is_online ? "online\n" : job->tag[0] != '\0' ? "tag\n" : "job\n";
	const char *name = job->is_online	 ? job->friend.text
			   : job->tag[0] != '\0' ? job->tag
						 : job->id;
	char hash[HASH_NAME_LEN + 1];

	hash_name(label, name, strlen(name), hash);
	memcpy(topic, hash, PAYLOAD_TOPIC_LEN);
	topic[PAYLOAD_TOPIC_LEN] = '\0';
}
