#include "stream/events.h"

void events_put(struct printbuf *out, const char *name, const void *data, size_t len)
{
	buf_puts(out, "event: ");
	buf_puts(out, name);
	buf_puts(out, "\ndata: ");
	buf_put(out, data, len);
	buf_puts(out, "\n\n");
}

struct frame *events_frame(const char *name, const void *data, size_t len)
{
	struct printbuf *text = buf_new();
	struct frame *frame;

	events_put(text, name, data, len);
	frame = frame_new(text->buf, buf_len(text));
	printbuf_free(text);
	return frame;
}

struct frame *events_padding(size_t len)
{
	struct printbuf *text = buf_new();
	struct frame *frame;

	buf_putf(text, ":%*s\n\n", len > 3 ? (int)len - 3 : 0, "");
	frame = frame_new(text->buf, buf_len(text));
	printbuf_free(text);
	return frame;
}
