/* Word to the service manager: sd_notify(3), without libsystemd. */
#ifndef PRESENCE_STREAM_NOTIFY_H
#define PRESENCE_STREAM_NOTIFY_H

/* Sends e.g. "READY=1" to $NOTIFY_SOCKET; does nothing where there is none. */
void notify_manager(const char *state);

#endif
