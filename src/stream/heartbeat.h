/* An open stream's rhythm: the heartbeat event, the session's renewal, readers that read nothing. */
#ifndef PRESENCE_STREAM_HEARTBEAT_H
#define PRESENCE_STREAM_HEARTBEAT_H

#include "stream/stream.h"

/* The stream is open: its rhythm begins. */
void heartbeat_start(struct stream *stream);

/* Its peer has taken nothing for two heartbeats, though something waits. */
bool heartbeat_is_stuck(const struct stream *stream, int64_t now_ms);

/* The heartbeat is due. */
void heartbeat_beat(struct stream *stream, int64_t now_ms);

#endif
