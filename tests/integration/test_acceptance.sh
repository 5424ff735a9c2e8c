#!/bin/bash
# A session by hand against the demo's stack, with curl, jq and redis-cli: log in, watch friends
# come and go, count them, look into Redis.
set -eu

srcdir=${ABS_SRCDIR:-$(readlink -f "$(dirname "$0")/../..")}
builddir=${ABS_BUILDDIR:-$srcdir}
PATH=$PATH:/usr/sbin:/sbin
unset http_proxy HTTP_PROXY

for program in curl jq redis-cli; do
	command -v $program >/dev/null || {
		echo "$program is not installed"
		exit 77
	}
done

dir=$(mktemp -d /tmp/presence-XXXXXX)
pids=()

finish() {
	local status=$? i

	trap - EXIT HUP INT TERM
	for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
		kill -TERM "${pids[$i]}" 2>/dev/null || true
		wait "${pids[$i]}" 2>/dev/null || true
	done
	if [ $status -ne 0 ]; then
		tail -n 40 "$dir"/*.log "$dir"/demo/*.log "$dir"/*.events 2>/dev/null || true
	fi
	rm -rf "$dir"
	exit $status
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

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

# check WHAT EXPECTED SEEN
check() {
	[ "$2" = "$3" ] || fail "$1 is '$3' instead of '$2'"
	echo "ok: $1"
}

# --- the stack: what `make demo` runs -----------------------------------------------------------

demo_is_ready() {
	[ -e "$dir/demo/ready" ]
}

demo_is_ready_or_ended() {
	demo_is_ready || ! kill -0 "$demo" 2>/dev/null
}

# The port may be taken by somebody else: try another one.
for attempt in 1 2 3 4 5; do
	port=$((20000 + RANDOM % 10000))
	DEMO_PORT=$port DEMO_DIR=$dir/demo DEMO_SRCDIR=$srcdir DEMO_BUILDDIR=$builddir \
		"$srcdir/conf/demo.sh" >"$dir/demo.log" 2>&1 &
	demo=$!
	wait_for 60 "the demo does not start" demo_is_ready_or_ended
	if demo_is_ready; then
		pids+=("$demo")
		break
	fi
	grep -q 'is taken' "$dir/demo.log" || fail "the demo ended by itself"
done
demo_is_ready || fail "no free port after $attempt attempts"
api=http://localhost:$port/api

redis() {
	redis-cli -s "$dir/demo/redis.sock" "$@"
}

# login EMAIL: prints the token
login() {
	curl -sS -X POST "$api/auth/login/json" -H "Content-Type: application/json" \
		-d "{\"email\":\"$1\",\"password\":\"password\"}" | jq -r '.access_token'
}

# --- one user logs in and opens the stream ------------------------------------------------------

TOKEN=$(curl -s -X POST "http://localhost:$port/api/auth/login/json" \
	-H "Content-Type: application/json" \
	-d '{"email":"test@example.com","password":"password"}' | jq -r '.access_token')
[[ $TOKEN == *.*.* ]] || fail "no token: $TOKEN"
echo "ok: login"

redis --csv PSUBSCRIBE 'user:status:*' >"$dir/redis.events" &
pids+=($!)
wait_for 10 "no subscription" grep -q psubscribe "$dir/redis.events"

curl -sN -H "Authorization: Bearer $TOKEN" "$api/presence/stream" >"$dir/stream.events" &
pids+=($!)

# event N: the Nth event that is no heartbeat, as "NAME DATA"
event() {
	awk -v want="$1" '
		/^event: / { name = substr($0, 8) }
		/^data: / && name != "heartbeat" && ++count == want { print name, substr($0, 7) }
	' "$dir/stream.events"
}

has_event() {
	[ -n "$(event "$1")" ]
}

# check_event N NAME JQ-FILTER EXPECTED
check_event() {
	local name data

	wait_for 10 "event $1 ($2) did not come" has_event "$1"
	read -r name data <<<"$(event "$1")"
	check "event $1" "$2" "$name"
	check "its $3" "$4" "$(jq -c "$3" <<<"$data")"
}

check_event 1 connected '.user_id' 1
check_event 2 self '[.user_id,.status]' '[1,"online"]'
check_event 3 initial 'map_values(.is_online)' '{"2":false,"3":false,"4":false,"5":false}'

# --- a friend comes and goes --------------------------------------------------------------------

FRIEND=$(login alice@example.com)
check_event 4 status_change '[.user_id,.is_online,.status,.reason]' '[2,true,"online","login"]'
check "the count" '{"count":2}' \
	"$(curl -sS -H "Authorization: Bearer $TOKEN" "$api/online-status/count" | jq -c .)"
check "SCARD online_users" 2 "$(redis SCARD online_users)"
check "SMEMBERS online_users" "1 2" "$(redis SMEMBERS online_users | sort | xargs)"
check "GET user:online:1" '[1,true,"online"]' \
	"$(redis GET user:online:1 | jq -c '[.user_id,.is_online,.status]')"
check "the friend's status" '[2,true,"online"]' \
	"$(curl -sS -H "Authorization: Bearer $TOKEN" "$api/online-status/user/2" |
		jq -c '[.user_id,.is_online,.status]')"

check "the logout" '{"ok":true}' \
	"$(curl -sS -d "" -H "Authorization: Bearer $FRIEND" "$api/auth/logout" | jq -c .)"
check_event 5 status_change '[.user_id,.is_online,.status,.reason]' '[2,false,"offline","logout"]'
check "the count" '{"count":1}' \
	"$(curl -sS -H "Authorization: Bearer $TOKEN" "$api/online-status/count" | jq -c .)"
check "SMEMBERS online_users" "1" "$(redis SMEMBERS online_users)"
check "GET user:online:2" "" "$(redis GET user:online:2)"
check "the friend's old token" 401 \
	"$(curl -sS -o "$dir/answer.log" -w '%{http_code}' -H "Authorization: Bearer $FRIEND" \
		"$api/online-status/count")"

# --- what Redis announced -----------------------------------------------------------------------

messages_of_friend() {
	[ "$(grep -c '"user:status:2"' "$dir/redis.events")" = 2 ]
}
wait_for 10 "Redis did not announce two changes of user 2" messages_of_friend
echo "ok: PSUBSCRIBE user:status:* saw both changes"

# --- the demo ends cleanly ----------------------------------------------------------------------

kill -TERM "$demo"
wait "$demo" || fail "the demo ended with status $?"
unset 'pids[0]'
pids=("${pids[@]}")
echo "ok: the demo ended cleanly"
