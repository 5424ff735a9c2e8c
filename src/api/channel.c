#include "api/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(2 * sizeof(int))];
};

bool channel_open(int ends[2])
{
	/* Keeps messages apart, and, unlike a datagram socket, tells when the other end is gone. */
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0;
}

bool channel_send(int end, int fd, int taken, enum channel_word word)
{
	const int fds[2] = {fd, taken};
	size_t size = (taken >= 0 ? 2 : 1) * sizeof(int);
	char byte = (char)word;
	union control control = {.bytes = {0}};
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = CMSG_SPACE(size)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(header), fds, size);
	return sendmsg(end, &message, MSG_NOSIGNAL) == 1;
}

int channel_receive(int end, int *taken, enum channel_word *word)
{
	char byte;
	union control control;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof control.bytes};
	const struct cmsghdr *header;
	ssize_t got = recvmsg(end, &message, MSG_CMSG_CLOEXEC);
	int fds[2] = {-1, -1};

	if (got == 0 || (got < 0 && errno == ECONNRESET))
		return CHANNEL_ENDED;
	header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	/* Without a descriptor: this process has none left, and the kernel closed it. */
	if (header == NULL || header->cmsg_type != SCM_RIGHTS)
		return CHANNEL_EMPTY;
	memcpy(fds, CMSG_DATA(header),
	       header->cmsg_len > CMSG_LEN(sizeof fds[0]) ? sizeof fds : sizeof fds[0]);
	*taken = fds[1];
	*word = (enum channel_word)byte;
	return fds[0];
}
