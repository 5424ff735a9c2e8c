#!/bin/bash
# make demo ends, and takes its children along, whatever signals it inherited as ignored, without a
# terminal and with hardly an environment; and when it is killed outright, its children end too.
set -eu

srcdir=${ABS_SRCDIR:-$(readlink -f "$(dirname "$0")/../..")}
builddir=${ABS_BUILDDIR:-$srcdir}
dir=$(mktemp -d /tmp/presence-XXXXXX)
demo=

finish() {
	local status=$?

	if [ -n "$demo" ]; then
		kill -KILL "$demo" 2>/dev/null || true
	fi
	if [ $status -ne 0 ]; then
		tail -n 40 "$dir"/*.log "$dir"/demo/*.log 2>/dev/null || true
	fi
	rm -rf "$dir"
	exit $status
}
trap finish EXIT

fail() {
	echo "FAILED: $*"
	exit 1
}

# wait_for SECONDS WHAT COMMAND…
wait_for() {
	local end=$((SECONDS + $1)) what=$2

	shift 2
	until "$@"; do
		[ $SECONDS -lt $end ] || fail "$what"
		sleep 0.05
	done
}

has_ended() {
	! kill -0 "$1" 2>/dev/null
}

is_ready_or_ended() {
	[ -e "$dir/demo/ready" ] || has_ended "$demo"
}

# Whatever runs with a path in our directory on its command line, the demo's script aside.
children() {
	local pid

	for pid in /proc/[0-9]*; do
		if [ "$pid" != "/proc/$demo" ] && tr '\0' ' ' 2>/dev/null <"$pid/cmdline" | grep -qF "$dir/"; then
			echo "${pid#/proc/}"
		fi
	done
}

no_children() {
	[ -z "$(children)" ]
}

# The port may be taken by somebody else: try another one.
start_demo() {
	local attempt

	for attempt in 1 2 3 4 5; do
		(
			trap '' HUP INT QUIT TERM
			exec env -i PATH="$PATH" DEMO_PORT=$((20000 + RANDOM % 10000)) DEMO_DIR="$dir/demo" \
				DEMO_SRCDIR="$srcdir" DEMO_BUILDDIR="$builddir" "$srcdir/conf/demo.sh"
		) </dev/null >"$dir/demo.log" 2>&1 &
		demo=$!
		wait_for 60 "the demo does not start" is_ready_or_ended
		if [ -e "$dir/demo/ready" ]; then
			[ -n "$(children)" ] || fail "the demo runs, but none of its children is seen"
			return
		fi
		grep -q 'is taken' "$dir/demo.log" || fail "the demo ended by itself"
	done
	fail "no free port after $attempt attempts"
}

for signal in TERM INT; do
	start_demo
	kill -$signal "$demo"
	wait_for 30 "the demo does not end on SIG$signal" has_ended "$demo"
	wait "$demo" || fail "the demo ended with status $?"
	no_children || fail "processes outlived the demo after SIG$signal: $(children)"
	echo "ok: SIG$signal ends all of it"
done

start_demo
kill -KILL "$demo"
wait "$demo" 2>/dev/null || true
wait_for 20 "processes outlive a killed demo: $(children)" no_children
demo=
echo "ok: a killed demo takes its children along"
