#!/bin/sh
# 1,000 streams come to and go from a streamd under valgrind: no leak, no error, a clean end.
set -eu

builddir=${ABS_BUILDDIR:-$(pwd)}
PATH=$PATH:/usr/sbin:/sbin

if [ -n "${SANITIZE:-}" ]; then
	echo "built with sanitizers, which valgrind cannot run"
	exit 77
fi
command -v valgrind >/dev/null || {
	echo "valgrind is not installed"
	exit 77
}

dir=$(mktemp -d /tmp/presence-XXXXXX)
pids=

finish() {
	status=$?
	trap - EXIT HUP INT TERM
	for pid in $pids; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	if [ $status -ne 0 ]; then
		tail -n 60 "$dir"/*.log
	fi
	rm -rf "$dir"
	exit $status
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

# wait_for SECONDS COMMAND…
wait_for() {
	end=$(($(date +%s) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$(date +%s)" -gt $end ]; then
			echo "did not happen in time: $*"
			exit 1
		fi
		sleep 0.05
	done
}

redis() {
	redis-cli -s "$dir/redis.sock" "$@"
}

ctl() {
	"$builddir/src/presencectl" -c "$dir/presence.conf" "$@"
}

nobody_online() {
	[ "$(redis SCARD online_users)" = 0 ]
}

has_ended() {
	! kill -0 "$1"
}

cat >"$dir/presence.conf" <<END
redis { url = "unix://$dir/redis.sock" timeout_ms = 10000 }
auth { key_file = "$dir/key" }
directory { params = "$dir/users.db" }
presence { grace = 1 heartbeat = 2 stream_ttl = 60 online_ttl = 60 max_sessions = 2000 }
stream { listen = "unix:$dir/stream.sock" max_streams_per_user = 2000 drain = 1 }
END
(umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$dir/key")

redis-server --port 0 --unixsocket "$dir/redis.sock" --dir "$dir" --save '' --appendonly no \
	>"$dir/redis.log" 2>&1 &
pids=$!
wait_for 10 redis PING

ctl directory init
for user in 1 2 3 4; do
	echo password | ctl user add --email "user$user@example.com" --name "User $user"
done >"$dir/accounts.log"
for pair in '1 2' '1 3' '1 4' '2 3' '2 4' '3 4'; do
	# shellcheck disable=SC2086 # two words
	ctl friend add $pair
done
for user in 1 2 3 4; do
	ctl token $user
done >"$dir/tokens"

valgrind --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
	--error-exitcode=99 --num-callers=25 --child-silent-after-fork=yes --log-file="$dir/valgrind.log" \
	"$builddir/src/presence-streamd" -c "$dir/presence.conf" >"$dir/streamd.log" 2>&1 &
streamd=$!
pids="$pids $streamd"
# The socket is there a moment before anybody listens on it.
wait_for 60 awk -v path="$dir/stream.sock" \
	'$4 == "00010000" && $NF == path { found = 1 } END { exit !found }' /proc/net/unix

"$builddir/tests/integration/streams_client" "$dir/stream.sock" 1000 50 100 <"$dir/tokens"

wait_for 30 nobody_online

kill -TERM $streamd
wait_for 60 has_ended $streamd
status=0
wait $streamd || status=$?
if [ $status -ne 0 ]; then
	echo "presence-streamd ended with status $status"
	exit 1
fi
grep -E 'definitely lost|no leaks|ERROR SUMMARY' "$dir/valgrind.log" | sed 's/^==[0-9]*== *//'
