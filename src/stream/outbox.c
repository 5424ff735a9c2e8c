#include "stream/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "base/fcgi.h"

#define SEND_FRAMES 512 /* frames in one system call */

static struct frame **slot(struct outbox *outbox, unsigned index)
{
	if (outbox->many == NULL)
		return &outbox->few[(outbox->first + index) % OUTBOX_INLINE];
	/* NOLINTNEXTLINE(clang-analyzer-core.*): there is no capacity without `many` */
	return &outbox->many[(outbox->first + index) % outbox->capacity];
}

static void grow(struct outbox *outbox)
{
	unsigned capacity = outbox->many == NULL ? 8 : outbox->capacity * 2;
	struct frame **many = xmalloc(capacity * sizeof(struct frame *));

	for (unsigned i = 0; i < outbox->count; i++)
		many[i] = *slot(outbox, i);
	free(outbox->many);
	outbox->many = many;
	outbox->capacity = capacity;
	outbox->first = 0;
}

void outbox_push(struct outbox *outbox, struct frame *frame)
{
	if (outbox->count == (outbox->many == NULL ? OUTBOX_INLINE : outbox->capacity))
		grow(outbox);
	*slot(outbox, outbox->count) = frame_ref(frame);
	outbox->count++;
	outbox->bytes += frame->len;
}

static void release_memory(struct outbox *outbox)
{
	free(outbox->many);
	outbox->many = NULL;
	outbox->first = outbox->capacity = 0;
	outbox->sent = 0;
}

void outbox_clear(struct outbox *outbox)
{
	for (unsigned i = 0; i < outbox->count; i++)
		frame_unref(*slot(outbox, i));
	outbox->count = 0;
	outbox->bytes = 0;
	release_memory(outbox);
}

unsigned outbox_drop_unsent(struct outbox *outbox)
{
	unsigned keep = outbox->sent > 0 ? 1 : 0;
	unsigned dropped = outbox->count > keep ? outbox->count - keep : 0;

	while (outbox->count > keep) {
		struct frame *last = *slot(outbox, --outbox->count);

		outbox->bytes -= last->len;
		frame_unref(last);
	}
	if (outbox->count == 0)
		release_memory(outbox);
	return dropped;
}

void outbox_drop_fleeting(struct outbox *outbox)
{
	unsigned kept = outbox->sent > 0 ? 1 : 0;

	for (unsigned i = kept; i < outbox->count; i++) {
		struct frame *frame = *slot(outbox, i);

		if (!frame->fleeting) {
			*slot(outbox, kept++) = frame;
			continue;
		}
		outbox->bytes -= frame->len;
		frame_unref(frame);
	}
	outbox->count = kept;
	if (outbox->count == 0)
		release_memory(outbox);
}

size_t outbox_left_of_first(const struct outbox *outbox, const struct frame *frame)
{
	struct frame *const *frames = outbox->many != NULL ? outbox->many : outbox->few;

	if (outbox->count == 0 || frames[outbox->first] != frame)
		return 0;
	return frame->len - outbox->sent;
}

void outbox_move(struct outbox *to, struct outbox *from)
{
	for (unsigned i = 0; i < from->count; i++)
		outbox_push(to, *slot(from, i));
	outbox_clear(from);
}

static void take_sent(struct outbox *outbox, size_t bytes)
{
	outbox->bytes -= bytes;
	bytes += outbox->sent;
	while (outbox->count > 0) {
		struct frame *frame = *slot(outbox, 0);

		if (bytes < frame->len)
			break;
		bytes -= frame->len;
		frame_unref(frame);
		outbox->first = (outbox->first + 1) %
				(outbox->many == NULL ? OUTBOX_INLINE : outbox->capacity);
		outbox->count--;
	}
	outbox->sent = bytes;
	if (outbox->count == 0)
		release_memory(outbox);
}

/* One send() or, for several frames, one sendmsg(). */
static ssize_t send_some(struct outbox *outbox, int fd, uint16_t request_id, size_t *asked)
{
	struct iovec parts[SEND_FRAMES];
	struct msghdr message = {.msg_iov = parts};
	unsigned count = outbox->count < SEND_FRAMES ? outbox->count : SEND_FRAMES;
	size_t skip = outbox->sent;

	*asked = 0;
	for (unsigned i = 0; i < count; i++) {
		struct frame *frame = *slot(outbox, i);

		if (frame->shared)
			fcgi_stamp(frame->records, frame->len, request_id);
		parts[i].iov_base = frame->records + skip;
		parts[i].iov_len = frame->len - skip;
		*asked += parts[i].iov_len;
		skip = 0;
	}
	if (count == 1)
		return send(fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL);
	message.msg_iovlen = count;
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

enum outbox_result outbox_send(struct outbox *outbox, int fd, uint16_t request_id, bool *progress)
{
	*progress = false;
	while (outbox->count > 0) {
		size_t asked;
		ssize_t sent = send_some(outbox, fd, request_id, &asked);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? OUTBOX_BLOCKED
								       : OUTBOX_ERROR;
		*progress = true;
		take_sent(outbox, (size_t)sent);
		if ((size_t)sent < asked)
			return OUTBOX_BLOCKED;
	}
	return OUTBOX_EMPTY;
}
