/* What comes back on a stream, cut into lines: takes off FastCGI records or HTTP's chunks and head. */
#ifndef PRESENCE_TESTS_READER_H
#define PRESENCE_TESTS_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum framing { FRAMING_PLAIN, FRAMING_CHUNKED, FRAMING_FCGI };

/* Zeroed memory is a reader of a body without a head and without framing. */
struct reader {
	enum framing framing;
	bool in_head; /* lines of the head come first */
	int status; /* of the head: 200 */
	bool in_size; /* CHUNKED: in a line that tells a chunk's size */
	uint32_t left; /* bytes of the chunk, or of the record's content, still to come */
	uint8_t padding; /* FCGI: bytes behind the content */
	uint8_t have; /* FCGI: bytes of the header so far */
	uint8_t header[8];
	char *carry; /* the beginning of a line, or NULL */
	size_t carry_len;
};

/* A line of the body, without its end; borrowed. */
typedef void reader_line(void *arg, const char *line, size_t len);

void reader_feed(struct reader *reader, const char *data, size_t len, reader_line *line, void *arg);
void reader_clear(struct reader *reader);

#endif
