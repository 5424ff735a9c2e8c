#!/bin/bash
# The demo: a complete private stack (Redis, presence-streamd, presence-api behind lighttpd) on
# http://localhost:$DEMO_PORT, with accounts that are friends of one another. `make demo` runs it.
#
#   DEMO_PORT      8000 unless set
#   DEMO_SRCDIR    the source tree; where this script is, unless set
#   DEMO_BUILDDIR  where src/presence-api and the others were built; the source tree unless set
#   DEMO_DIR       where state lives; demo/ in the build tree unless set
#   DEMO_STREAMD   "no": do not start presence-streamd, somebody does that by hand, as in
#                  gdb --args src/presence-streamd -c demo/presence.conf
#
# PRESENCE_PRESENCE_…, PRESENCE_STREAM_… and so on override the options as always; only those that
# name places are the demo's own, so that it never touches another Redis or database.
set -eu

# A shell cannot take back what was ignored when it started (a background job's SIGINT, say): once
# more with the defaults, in the same process. SIGHUP stays as it is, for whoever wants nohup.
if [ "${DEMO_PID:-}" != $$ ]; then
	DEMO_PID=$$ exec env --default-signal=INT,QUIT,TERM,PIPE,CHLD bash "${BASH_SOURCE[0]}" "$@"
fi
unset DEMO_PID

set -m # each child in a process group of its own: Ctrl-C reaches this script alone

port=${DEMO_PORT:-8000}
srcdir=$(readlink -f "${DEMO_SRCDIR:-$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/..}")
builddir=$(readlink -f "${DEMO_BUILDDIR:-$srcdir}")
dir=${DEMO_DIR:-$builddir/demo}
with_streamd=${DEMO_STREAMD:-yes}

friends=(test alice bob carol dave) # of example.com
password=password

PATH=$PATH:/usr/sbin:/sbin
unset "${!PRESENCE_REDIS_@}" "${!PRESENCE_HTTP_@}" "${!PRESENCE_DIRECTORY_@}" "${!PRESENCE_API_@}" \
	PRESENCE_CONFIG PRESENCE_STREAM_LISTEN PRESENCE_STREAM_MODE \
	PRESENCE_AUTH_ALGORITHM PRESENCE_AUTH_KEY_FILE PRESENCE_AUTH_LOGIN

say() {
	printf '%s\n' "$*"
}

die() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}

# --- children -----------------------------------------------------------------------------------

declare -A name_of=() # by process id
pids=()               # in the order of their start

# start NAME COMMAND…: its output goes to $dir/NAME.log. A child ends with this script, however
# that ends.
start() {
	local name=$1

	shift
	setpriv --pdeathsig TERM -- env --default-signal "$@" </dev/null >>"$dir/$name.log" 2>&1 &
	name_of[$!]=$name
	pids+=($!)
}

is_running() {
	kill -0 "$1" 2>/dev/null
}

# Ends a child and waits for it: 15 s to go by itself.
stop() {
	local pid=$1 end=$((SECONDS + 15))

	kill -TERM "$pid" 2>/dev/null || true
	while is_running "$pid"; do
		if [ $SECONDS -ge $end ]; then
			say "demo: ${name_of[$pid]} does not end by itself"
			kill -KILL "$pid" 2>/dev/null || true
			break
		fi
		sleep 0.05
	done
	wait "$pid" 2>/dev/null || true
}

cleanup() {
	local i

	trap '' HUP INT TERM # once is enough
	for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
		stop "${pids[$i]}"
	done
	rm -f "$dir/ready"
	if [ "$run" != "$dir" ]; then
		rm -rf "$run"
	fi
}

report_death() {
	say "demo: $1 failed or ended; the end of $dir/$1.log:"
	tail -n 20 "$dir/$1.log" | sed 's/^/  | /'
	if [ "$1" = lighttpd ]; then
		tail -n 5 "$dir/lighttpd-error.log" 2>/dev/null | sed 's/^/  | /'
	fi
}

# wait_for SECONDS WHAT COMMAND…: until the command succeeds, or a child ends.
wait_for() {
	local end=$((SECONDS + $1)) what=$2 pid

	shift 2
	until "$@"; do
		for pid in "${pids[@]}"; do
			if ! is_running "$pid"; then
				report_death "${name_of[$pid]}"
				exit 1
			fi
		done
		if [ $SECONDS -ge $end ]; then
			die "$what does not answer; the logs are in $dir"
		fi
		sleep 0.05
	done
}

# --- checks -------------------------------------------------------------------------------------

port_answers() {
	(exec 3<>"/dev/tcp/$1/$port") 2>/dev/null
}

# Whether this machine has ::1; without it lighttpd could not bind there.
has_ipv6() {
	grep -qE '^0{31}1 ' /proc/net/if_inet6 2>/dev/null
}

redis_answers() {
	[ "$(redis-cli -s "$run/redis.sock" ping 2>/dev/null)" = PONG ]
}

api_answers() {
	local line

	{
		exec 3<>"/dev/tcp/127.0.0.1/$port" &&
			printf 'GET /api/health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 &&
			read -r -t 5 line <&3
	} 2>/dev/null || return 1
	exec 3>&-
	[[ $line == 'HTTP/1.'?' 200 '* ]]
}

stream_answers() {
	[ -S "$run/stream.sock" ]
}

case $port in
'' | *[!0-9]*) die "DEMO_PORT=$port is not a port" ;;
esac
for program in presence-api presence-streamd presencectl; do
	[ -x "$builddir/src/$program" ] || die "$builddir/src/$program is missing: run ./bootstrap or make first"
done
for program in redis-server redis-cli lighttpd openssl setpriv; do
	command -v $program >/dev/null || die "$program is missing: run ./bootstrap first"
done
if port_answers 127.0.0.1 || { has_ipv6 && port_answers ::1; }; then
	die "port $port is taken; choose another one: make demo DEMO_PORT=8001"
fi

# --- state --------------------------------------------------------------------------------------

mkdir -p "$dir"
dir=$(readlink -f "$dir")
run=$dir
# A Unix socket's path has at most 107 bytes.
if [ ${#dir} -gt 80 ]; then
	run=$(mktemp -d /tmp/presence-demo.XXXXXX)
fi
trap cleanup EXIT
trap 'exit 0' HUP INT TERM

config=$dir/presence.conf
ctl() {
	"$builddir/src/presencectl" -c "$config" "$@"
}

if [ ! -s "$dir/secret.key" ]; then
	(umask 077 && openssl rand -base64 48 >"$dir/secret.key.new")
	mv "$dir/secret.key.new" "$dir/secret.key"
fi

cat >"$config" <<END
# Made by conf/demo.sh at each start; conf/presence.conf of the source tree explains every option.
redis {
	url = "unix://$run/redis.sock"
}
auth {
	key_file = "$dir/secret.key"
}
directory {
	driver = "sqlite3"
	params = "$dir/presence.db"
}
stream {
	listen = "unix:$run/stream.sock"
	drain = 1
}
api {
	children = 2
}
END

# The same configuration that a site uses, with this stack's places.
sed -e "s|^var.presence_api .*|var.presence_api = \"$builddir/src/presence-api\"|" \
	-e "s|^var.presence_conf .*|var.presence_conf = \"$config\"|" \
	-e "s|^var.presence_api_socket .*|var.presence_api_socket = \"$run/api.sock\"|" \
	-e "s|^var.presence_stream_socket .*|var.presence_stream_socket = \"$run/stream.sock\"|" \
	-e "s|^var.presence_web .*|var.presence_web = \"$srcdir/src/web/\"|" \
	"$srcdir/conf/lighttpd.conf" >"$dir/lighttpd-presence.conf"

cat >"$dir/lighttpd.conf" <<END
# Made by conf/demo.sh at each start.
server.document-root = "$srcdir/src/web"
server.bind = "127.0.0.1"
server.port = $port
server.errorlog = "$dir/lighttpd-error.log"
accesslog.filename = "$dir/lighttpd-access.log"
server.modules = ( "mod_alias", "mod_setenv" )
server.feature-flags += ( "server.graceful-shutdown-timeout" => 1 )
index-file.names = ( "index.html" )
mimetype.assign = (
    ".html" => "text/html; charset=utf-8",
    ".css" => "text/css; charset=utf-8",
    ".js" => "text/javascript; charset=utf-8",
    ".svg" => "image/svg+xml",
    ".json" => "application/json",
)
# What the pages' login forms offer.
alias.url = ( "/site.json" => "$dir/site.json", "/presence/site.json" => "$dir/site.json" )
setenv.add-response-header = (
    "Content-Security-Policy" => "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options" => "nosniff",
    "Referrer-Policy" => "no-referrer",
)
include "lighttpd-presence.conf"
END
if has_ipv6; then
	echo "\$SERVER[\"socket\"] == \"[::1]:$port\" { }" >>"$dir/lighttpd.conf"
fi

cat >"$dir/site.json" <<END
{"base": "/api", "password": "$password", "accounts": [
$(for user in "${friends[@]:1}" "${friends[0]}"; do
	echo "{\"email\": \"$user@example.com\", \"name\": \"${user^}\"}"
done | sed '$!s/$/,/')
]}
END

# Everybody a friend of everybody. Built aside and then moved: all of it is there, or nothing.
prepare_accounts() {
	local user id other ids=()

	rm -f "$dir/presence.db.new"
	export PRESENCE_DIRECTORY_PARAMS=$dir/presence.db.new
	ctl directory init
	for user in "${friends[@]}"; do
		id=$(ctl user add --email "$user@example.com" --name "${user^}" <<<"$password")
		for other in "${ids[@]}"; do
			ctl friend add "$id" "$other"
		done
		ids+=("$id")
	done
	unset PRESENCE_DIRECTORY_PARAMS
	mv "$dir/presence.db.new" "$dir/presence.db"
}

# --- the stack ----------------------------------------------------------------------------------

rm -f "$dir/ready" "$dir"/*.log "$run"/*.sock
start redis redis-server --port 0 --unixsocket "$run/redis.sock" --unixsocketperm 700 \
	--dir "$dir" --save '' --appendonly no --daemonize no
wait_for 10 redis redis_answers

if [ ! -e "$dir/presence.db" ]; then
	say "demo: preparing the accounts"
	prepare_accounts >"$dir/accounts.log" 2>&1 &
	wait $! || {
		report_death accounts
		exit 1
	}
fi

start lighttpd lighttpd -D -f "$dir/lighttpd.conf"
wait_for 15 "http://localhost:$port/api/health" api_answers
# Last, so that it is the first to end: lighttpd still passes its goodbyes on.
if [ "$with_streamd" != no ]; then
	start streamd "$builddir/src/presence-streamd" -c "$config"
	wait_for 10 presence-streamd stream_answers
fi
touch "$dir/ready"

cat <<END

  presence is running: http://localhost:$port

  Accounts   $(printf '%s@example.com ' "${friends[@]}")
  Password   $password; the page shows two of them side by side

  In a terminal:
    TOKEN=\$($builddir/src/presencectl -c $config token 1)
    curl -N -H "Authorization: Bearer \$TOKEN" http://localhost:$port/api/presence/stream
    curl -H 'Content-Type: application/json' http://localhost:$port/api/auth/login/json \\
         -d '{"email":"alice@example.com","password":"$password"}'

  Redis      redis-cli -s $run/redis.sock
  Operator   $builddir/src/presencectl -c $config watch
  State      $dir

  Ctrl-C ends all of it.

END

wait -n -p died "${pids[@]}" 2>/dev/null || true
report_death "${name_of[$died]}"
exit 1
