#!/bin/sh
# presence-api on a shared host, started by mod_fcgid (docs/shared-host.md). The two paths are yours.
presence=/home/USER/presence
PRESENCE_CONFIG=$presence/presence.conf
export PRESENCE_CONFIG

# The folder's URL, when it is not what [http] base says.
#PRESENCE_HTTP_BASE=/~USER/api; export PRESENCE_HTTP_BASE

# mod_fcgid keeps the processes, one for each request being served: no workers of its own.
PRESENCE_API_CHILDREN=0
# A process that ends by itself can turn a request into a 500; mod_fcgid replaces them.
PRESENCE_API_MAX_REQUESTS=0
export PRESENCE_API_CHILDREN PRESENCE_API_MAX_REQUESTS

# exec: mod_fcgid's signals must reach the program itself.
exec "$presence/sbin/presence-api"
