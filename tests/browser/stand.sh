#!/bin/bash
# stand.sh FILE.py: runs these tests against a complete private stack, conf/demo.sh with short times.
# Under `make check`: srcdir says where the source tree is, and this runs in the build tree.
set -eu
set -m # each child leads a process group, so that all that it started ends with it

srcdir=$(readlink -f "${srcdir:-$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../..}")
builddir=$PWD
[ -x "$builddir/src/presence-api" ] || builddir=$srcdir

for program in chromium chromedriver; do
	if ! command -v $program >/dev/null; then
		echo "SKIP: $program is missing: ./bootstrap --tests"
		exit 77
	fi
done
if ! /usr/bin/python3 -c 'import selenium' 2>/dev/null; then
	echo "SKIP: python3-selenium is missing: ./bootstrap --tests"
	exit 77
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/presence-browser.XXXXXX")
demo=
tests=
cleanup() {
	status=$?
	trap '' HUP INT TERM
	if [ -n "$tests" ]; then
		kill -TERM -- "-$tests" 2>/dev/null || true
		wait "$tests" 2>/dev/null || true
	fi
	if [ -n "$demo" ]; then
		kill -TERM "$demo" 2>/dev/null || true
		wait "$demo" 2>/dev/null || true
	fi
	if [ $status -ne 0 ]; then
		for log in "$work"/demo.log "$work"/demo/*.log; do
			[ ! -e "$log" ] || { echo "=== $log"; tail -n 50 "$log"; }
		done
	fi
	rm -rf "$work"
	exit $status
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# Below those that the system gives to connections.
free_port() {
	local port

	while port=$((10000 + RANDOM % 20000)); do
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$port"
			return
		fi
	done
}
port=$(free_port)

# Short times, so that what they bound is seen soon.
export PRESENCE_PRESENCE_HEARTBEAT=2 PRESENCE_PRESENCE_STREAM_TTL=6 PRESENCE_PRESENCE_GRACE=3
export PRESENCE_AUTH_LEEWAY=0
# The test starts, kills and restarts streamd itself.
DEMO_SRCDIR=$srcdir DEMO_BUILDDIR=$builddir DEMO_DIR=$work/demo DEMO_PORT=$port DEMO_STREAMD=no \
	"$srcdir/conf/demo.sh" >"$work/demo.log" 2>&1 &
demo=$!

end=$((SECONDS + 60))
until [ -e "$work/demo/ready" ]; do
	if [ $SECONDS -ge $end ] || ! kill -0 "$demo" 2>/dev/null; then
		echo "the demo did not start"
		exit 1
	fi
	sleep 0.1
done

DEMO_URL=http://localhost:$port PLAIN_PORT=$(free_port) \
	DEMO_DIR=$work/demo DEMO_SRCDIR=$srcdir DEMO_BUILDDIR=$builddir \
	timeout --foreground 600 /usr/bin/python3 "$srcdir/tests/browser/$1" -v ${BROWSER_TESTS:-} &
tests=$!
wait "$tests"
