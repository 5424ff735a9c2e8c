#!/bin/sh
# presence-streamd on a shared host, started by mod_fcgid: one process for each open stream
# (docs/shared-host.md). The path is yours.
presence=/home/USER/presence
PRESENCE_CONFIG=$presence/presence.conf
export PRESENCE_CONFIG

# The folder's URL, when it is not what [http] base says.
#PRESENCE_HTTP_BASE=/~USER/api; export PRESENCE_HTTP_BASE

# How many streams at a time, counted over all processes by locks in this file, which stays empty and
# must not be deleted while streams are open. One more gets 503 with Retry-After, from a process that
# has no stream: so let it be less than the processes that you may have (FcgidMaxProcessesPerClass,
# 100 unless the host changed it; and the host's limit of your processes).
PRESENCE_STREAM_MAX_STREAMS=50
PRESENCE_STREAM_SLOTS_FILE=$presence/stream.slots
# Seconds, +- 20 %: slots come free for those who wait, and the stream ends well before mod_fcgid
# takes its process for stuck and ends it (FcgidBusyTimeout, 300 s unless the host changed it).
PRESENCE_STREAM_MAX_LIFETIME=200
# mod_fcgid sends SIGTERM and one second later SIGKILL: no time to spread goodbyes.
PRESENCE_STREAM_DRAIN=0
# mod_fcgid passes nothing on before it has 64 kB (FcgidOutputBufferSize, which no .htaccess can
# change): so many bytes behind each event push it out. 0 where the host has set that to 0.
PRESENCE_STREAM_PADDING=66000
export PRESENCE_STREAM_MAX_STREAMS PRESENCE_STREAM_SLOTS_FILE PRESENCE_STREAM_MAX_LIFETIME \
	PRESENCE_STREAM_DRAIN PRESENCE_STREAM_PADDING

# exec: mod_fcgid's signals must reach the program itself.
exec "$presence/sbin/presence-streamd"
