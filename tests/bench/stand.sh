# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by run.sh: the servers that are measured, the load generators, and their ends.
# Needs $srcdir, $builddir, $dir (private), $log.

declare -A pid_of=() # by name; a server's name may have a number behind it
declare -A in_of=() out_of=() # load generators: descriptors of their commands and answers
declare -A got=()    # the last answer, by name
order=()             # names in the order of their start

die() {
	printf 'bench: %s\n' "$*" >&2
	exit 1
}

say() {
	printf '%s\n' "$*" >&2
}

# --- children -----------------------------------------------------------------------------------

# start NAME COMMAND…: ends with this script, however that ends.
start() {
	local name=$1

	shift
	setpriv --pdeathsig TERM -- "$@" </dev/null >>"$dir/$name.log" 2>&1 &
	pid_of[$name]=$!
	order+=("$name")
}

is_running() {
	kill -0 "${pid_of[$1]}" 2>/dev/null
}

# Ends a child and waits for it, 10 s at most by itself.
stop() {
	local name=$1 pid=${pid_of[$1]:-} end=$((SECONDS + 10))

	[ -n "$pid" ] || return 0
	kill -TERM "$pid" 2>/dev/null || true
	while kill -0 "$pid" 2>/dev/null; do
		if [ $SECONDS -ge $end ]; then
			kill -KILL "$pid" 2>/dev/null || true
			break
		fi
		sleep 0.02
	done
	wait "$pid" 2>/dev/null || true
	unset "pid_of[$name]"
}

# All of them, the last one first; load generators before the servers.
stop_all() {
	local i name

	for name in "${!in_of[@]}"; do
		stop "$name"
		unset "in_of[$name]" "out_of[$name]"
	done
	for ((i = ${#order[@]} - 1; i >= 0; i--)); do
		stop "${order[$i]}"
	done
	order=()
}

# wait_for NAME COMMAND…: until the command succeeds; NAME is the child that it waits for.
wait_for() {
	local name=$1 end=$((SECONDS + 20))

	shift
	until "$@"; do
		is_running "$name" || die "$name has ended: $(tail -n 5 "$dir/$name.log")"
		[ $SECONDS -lt $end ] || die "$name does not answer"
		sleep 0.02
	done
}

# --- servers ------------------------------------------------------------------------------------

# listens PATH: a Unix socket is there a moment before anybody listens on it. Nobody is connected to for it.
listens() {
	awk -v path="$1" '$4 == "00010000" && $NF == path { found = 1 } END { exit !found }' /proc/net/unix
}

redis_answers() {
	[ "$(redis-cli -s "$1" ping 2>/dev/null)" = PONG ]
}

port_answers() {
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Below the ports that the system gives to clients.
free_port() {
	local port

	for _ in {1..50}; do
		port=$((20000 + RANDOM % 10000))
		if ! port_answers $port; then
			echo $port
			return
		fi
	done
	die "no free port"
}

# start_redis [NUMBER]: on $dir/redisNUMBER.sock.
start_redis() {
	local name=redis${1:-}

	rm -f "$dir/$name.sock"
	start "$name" redis-server --port 0 --unixsocket "$dir/$name.sock" --unixsocketperm 700 \
		--dir "$dir" --save '' --appendonly no --daemonize no \
		--enable-debug-command local
	wait_for "$name" redis_answers "$dir/$name.sock"
}

# make_directory FILE USERS FRIENDS: user U has the friends U + 1 … U + FRIENDS.
# make_mutual FILE USERS FRIENDS: user U has the FRIENDS before and those after, who have U.
# make_star FILE USERS: each has one friend, the last user.
make_directory() {
	fill_directory "$1" $(($2 + $3)) \
		"INSERT INTO friends SELECT a.i, a.i + b.i FROM n a, n b WHERE a.i <= $2 AND b.i <= $3"
}

make_mutual() {
	fill_directory "$1" $(($2 + $3)) \
		"INSERT INTO friends SELECT a.i, a.i + b.i FROM n a, n b WHERE a.i <= $2 AND b.i <= $3;
		INSERT INTO friends SELECT a.i + b.i, a.i FROM n a, n b WHERE a.i <= $2 AND b.i <= $3"
}

make_star() {
	fill_directory "$1" "$2" "INSERT INTO friends SELECT i, $2 FROM n WHERE i < $2"
}

# Nobody logs in with a password here, so nobody has one.
fill_directory() {
	[ ! -e "$1" ] || return 0
	sqlite3 "$1" >/dev/null <<-END || die "cannot make $1"
		PRAGMA journal_mode = off;
		PRAGMA synchronous = off;
		.read $srcdir/conf/schema.sql
		CREATE TEMP TABLE n (i INTEGER PRIMARY KEY);
		INSERT INTO n WITH RECURSIVE up (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM up WHERE i < $2)
			SELECT i FROM up;
		INSERT INTO users SELECT i, 'user' || i || '@example.com', 'User ' || i, '!' FROM n;
		$3;
	END
}

# start_streamd NUMBER DIRECTORY: on $dir/streamNUMBER.sock.
start_streamd() {
	local socket=$dir/stream$1.sock

	rm -f "$socket"
	start "streamd$1" env "PRESENCE_STREAM_LISTEN=unix:$socket" "PRESENCE_DIRECTORY_PARAMS=$2" \
		"$builddir/src/presence-streamd" -c "$config"
	wait_for "streamd$1" listens "$socket"
	wait_for "streamd$1" grep -q 'redis: connected' "$dir/streamd$1.log"
}

# The configuration that a site uses (conf/lighttpd.conf), with this stand's places.
start_lighttpd() {
	http_port=$(free_port)
	sed -e "s|^var.presence_api .*|var.presence_api = \"$builddir/src/presence-api\"|" \
		-e "s|^var.presence_conf .*|var.presence_conf = \"$config\"|" \
		-e "s|^var.presence_api_socket .*|var.presence_api_socket = \"$dir/api.sock\"|" \
		-e "s|^var.presence_stream_socket .*|var.presence_stream_socket = \"$dir/stream1.sock\"|" \
		"$srcdir/conf/lighttpd.conf" >"$dir/lighttpd-presence.conf"
	cat >"$dir/lighttpd.conf" <<-END
		server.document-root = "$dir"
		server.bind = "127.0.0.1"
		server.port = $http_port
		server.errorlog = "$dir/lighttpd-error.log"
		accesslog.filename = "$dir/lighttpd-access.log"
		include "lighttpd-presence.conf"
		fastcgi.server += ( "/floor/" => ( "floor" => (
		    "socket" => "$dir/floor-rest.sock", "check-local" => "disable", "disable-time" => 0,
		) ) )
		fastcgi.server += ( "/hello/" => ( "hello" => (
		    "socket" => "$dir/floor-hello.sock", "check-local" => "disable", "disable-time" => 0,
		) ) )
		fastcgi.server += ( "/bare/" => ( "bare" => (
		    "socket" => "$dir/floor-bare.sock", "check-local" => "disable", "disable-time" => 0,
		) ) )
		fastcgi.server += ( "/empty/" => ( "empty" => (
		    "socket" => "$dir/floor-empty.sock", "check-local" => "disable", "disable-time" => 0,
		) ) )
	END
	start lighttpd lighttpd -D -f "$dir/lighttpd.conf"
	wait_for lighttpd port_answers "$http_port"
}

# Workers made for the same calls alone, which this lighttpd serves under /floor/, /hello/, /bare/, /empty/.
start_floor() {
	start_floor_worker floor floor-rest 4
	start_floor_worker hello floor-hello 4 hello
	start_floor_worker bare floor-bare 1 bare
	start_floor_worker empty floor-empty 1 empty
}

# start_floor_worker NAME SOCKET WORKERS [KIND]: on $dir/SOCKET.sock.
start_floor_worker() {
	local name=$1 socket=$dir/$2.sock

	shift 2
	rm -f "$socket"
	start "$name" "$bindir/floor_rest" "$config" "unix:$socket" "$@"
	wait_for "$name" listens "$socket"
}

nchan_module() {
	local file

	for file in /usr/lib/nginx/modules/ngx_nchan_module.so /usr/share/nginx/modules/ngx_nchan_module.so; do
		if [ -e "$file" ] && command -v nginx >/dev/null; then
			echo "$file"
			return
		fi
	done
}

# One worker: no traffic between workers, so this is nchan at its cheapest.
start_nchan() {
	nchan_port=$(free_port)
	mkdir -p "$dir/nginx"
	cat >"$dir/nginx.conf" <<-END
		daemon off;
		user root;
		worker_processes 1;
		worker_rlimit_nofile 20000;
		load_module $(nchan_module);
		pid $dir/nginx/pid;
		error_log $dir/nginx/error.log;
		events { worker_connections 19000; }
		http {
		    access_log off;
		    client_body_temp_path $dir/nginx/body;
		    proxy_temp_path $dir/nginx/proxy;
		    fastcgi_temp_path $dir/nginx/fastcgi;
		    uwsgi_temp_path $dir/nginx/uwsgi;
		    scgi_temp_path $dir/nginx/scgi;
		    nchan_shared_memory_size 256M;
		    server {
		        listen 127.0.0.1:$nchan_port backlog=4096;
		        keepalive_requests 10000000;
		        tcp_nodelay on;
		        location = /sub {
		            nchan_subscriber eventsource;
		            nchan_channel_id \$arg_ids;
		            nchan_channel_id_split_delimiter ",";
		            nchan_subscriber_first_message newest;
		            nchan_eventsource_ping_interval 30;
		        }
		        location = /pub {
		            nchan_publisher http;
		            nchan_channel_id \$arg_id;
		            nchan_message_buffer_length 1;
		        }
		    }
		}
	END
	start nginx nginx -c "$dir/nginx.conf" -e "$dir/nginx/error.log"
	wait_for nginx port_answers "$nchan_port"
}

# children_of PID: processes, one a line.
children_of() {
	tr ' ' '\n' <"/proc/$1/task/$1/children" | grep . || true
}

# --- load generators ----------------------------------------------------------------------------

# load NAME OPTION…: a load generator that stays; see streams.c.
load() {
	local name=$1 in out

	shift
	mkfifo -m 600 "$dir/$name.in" "$dir/$name.out"
	setpriv --pdeathsig TERM -- "$bindir/streams" "$@" "$config" \
		<"$dir/$name.in" >"$dir/$name.out" 2>>"$dir/$name.log" &
	pid_of[$name]=$!
	exec {in}>"$dir/$name.in" {out}<"$dir/$name.out"
	in_of[$name]=$in
	out_of[$name]=$out
	rm -f "$dir/$name.in" "$dir/$name.out"
}

# read_answer LINE: its NAME=NUMBER … are in got[…].
read_answer() {
	local word

	printf '%s\n' "$1" >>"$log"
	got=()
	for word in $1; do
		[[ $word != *=* ]] || got[${word%%=*}]=${word#*=}
	done
}

# ask NAME COMMAND…: the answer is in got[…].
ask() {
	local name=$1 answer

	shift
	printf '%s\n' "$*" >&"${in_of[$name]}"
	read -r -t 120 answer <&"${out_of[$name]}" ||
		die "$name: '$*' got no answer: $(tail -n 3 "$dir/$name.log")"
	read_answer "$name: $answer"
}

# Ends a load generator, after its streams.
leave() {
	local in=${in_of[$1]} out=${out_of[$1]}

	ask "$1" close
	stop "$1"
	exec {in}>&- {out}<&-
	unset "in_of[$1]" "out_of[$1]"
}
