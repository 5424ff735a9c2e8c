/*
 * Replies of Redis, as hiredis' reader gives them, but each in as few blocks of memory as its size
 * asks for, instead of two or three for every string and number in it.
 */
#ifndef PRESENCE_STORE_REPLY_H
#define PRESENCE_STORE_REPLY_H

#include <hiredis/hiredis.h>

/* A reader that makes such replies; NULL: out of memory. Freed with redisReaderFree(). */
redisReader *reply_reader_new(void);

/* A reply that such a reader gave, with all that is in it: freeReplyObject() would abort. NULL is allowed. */
void reply_free(redisReply *reply);

#endif
