#include "stream/frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fcgi.h"

struct frame *frame_of_records(const void *records, size_t len)
{
	struct frame *frame = xmalloc(sizeof *frame + len);

	frame->references = 1;
	frame->shared = false;
	frame->fleeting = false;
	frame->about = 0;
	frame->heard = 0;
	frame->len = len;
	memcpy(frame->records, records, len);
	return frame;
}

struct frame *frame_new(const void *data, size_t len)
{
	struct printbuf *records = buf_new();
	struct frame *frame;

	fcgi_put_stdout(records, 0, data, len);
	frame = frame_of_records(records->buf, buf_len(records));
	frame->shared = true;
	printbuf_free(records);
	return frame;
}

struct frame *frame_ref(struct frame *frame)
{
	frame->references++;
	return frame;
}

void frame_unref(struct frame *frame)
{
	if (frame != NULL && --frame->references == 0)
		free(frame);
}
