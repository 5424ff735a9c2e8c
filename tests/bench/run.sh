#!/bin/bash
# The benchmark: `make bench` (under 6 minutes) and `make bench-full` (under 15).
#
#   run.sh [--full] [--doc] [SECTION…]
#
#   --full     more rounds, more sizes
#   --doc      put the table and the plots into docs/performance.md; of bench-scale, into docs/scale.md
#   SECTION    of: send friends open idle rest calls typing timing growth two fanout push, all of them
#              unless given; and those of make bench-scale: scale million
#
#   BENCH_SRCDIR    the source tree; where this script is, unless set
#   BENCH_BUILDDIR  where the programs were built; the source tree unless set
#   BENCH_OUT       where results are left; bench-results/ in the build tree unless set
#
# docs/performance.md tells what is measured and how. Everything runs on private sockets and free
# ports of 127.0.0.1, with a Redis of its own.
set -eu

started=$SECONDS
srcdir=$(readlink -f "${BENCH_SRCDIR:-$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../..}")
builddir=$(readlink -f "${BENCH_BUILDDIR:-$srcdir}")
bindir=$builddir/tests/bench
out=${BENCH_OUT:-$builddir/bench-results}

PATH=$PATH:/usr/sbin:/sbin
unset "${!PRESENCE_@}" # the configuration is the one that is written below
export LC_ALL=C

# The comment above.
usage() {
	sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

full=no
doc=no
sections=()
for word in "$@"; do
	case $word in
	--full) full=yes ;;
	--doc) doc=yes ;;
	send | friends | open | idle | rest | calls | typing | timing | growth | two | fanout | push | scale | million)
		sections+=("$word") ;;
	--help)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
done
[ ${#sections[@]} -gt 0 ] || sections=(send friends open idle rest calls typing timing growth two fanout push)

dir=$(mktemp -d /tmp/presence-bench.XXXXXX)
chmod 755 "$dir"
mkdir -p "$out"
rm -f "$out"/*.dat "$out"/*.svg
log=$out/raw.log
table=$out/table.md
config=$dir/presence.conf
: >"$log"

# shellcheck source-path=SCRIPTDIR source=stand.sh
. "$srcdir/tests/bench/stand.sh"
# shellcheck source-path=SCRIPTDIR source=fanout.sh
. "$srcdir/tests/bench/fanout.sh"
# shellcheck source-path=SCRIPTDIR source=scale.sh
. "$srcdir/tests/bench/scale.sh"

trap 'trap "" HUP INT TERM; stop_all; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

for program in redis-server redis-cli lighttpd sqlite3 openssl setpriv awk; do
	command -v $program >/dev/null || die "$program is missing"
done
for program in src/presence-api src/presence-streamd tests/bench/streams tests/bench/store \
	tests/bench/floor_send tests/bench/floor_fanout tests/bench/floor_relay \
	tests/bench/floor_rest tests/bench/push tests/bench/timing tests/bench/hold tests/bench/scale src/presence-pushd src/presencectl; do
	[ -x "$builddir/$program" ] || die "$builddir/$program is missing: run make bench"
done
if ldd "$builddir/src/presence-streamd" | grep -q libasan; then
	die "$builddir was built with sanitizers: figures would mean nothing"
fi
limit=$(ulimit -Hn)
[ "$limit" = unlimited ] || [ "$limit" -ge 20000 ] || die "20000 descriptors are needed, the limit is $limit"
ulimit -n "$limit"

(umask 077 && openssl rand -base64 48 >"$dir/secret.key")
cat >"$config" <<END
redis { url = "unix://$dir/redis.sock" }
auth { key_file = "$dir/secret.key" }
directory { driver = "sqlite3" params = "$dir/ring50.db" }
stream { listen = "unix:$dir/stream1.sock" mode = 0600 }
api { children = 4 }
END

# --- figures ------------------------------------------------------------------------------------

calc() {
	awk "BEGIN { printf \"${2:-%.6g}\", $1 }"
}

# median NUMBER…
median() {
	printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 }
		END { printf "%.6g", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# verdict VALUE OPERATOR LIMIT
verdict() {
	if awk "BEGIN { exit !($1 $2 $3) }"; then echo ok; else echo short; fi
}

# row FIGURE MEASURED AGAINST RATIO TARGET VERDICT
row() {
	printf '| %s | %s | %s | %s | %s | %s |\n' "$@" >>"$table"
}

skip() {
	row "$1" "skipped: $2" "" "" "" ""
}

# How many ns per delivery the last answer's servers paid.
per_delivery() {
	local sum=0 cpu name

	[ "${got[delivered]}" = "${got[expected]}" ] ||
		say "bench: ${got[delivered]} of ${got[expected]} deliveries came"
	for name in "$@"; do
		cpu=${got[cpu.$name]}
		sum=$((sum + cpu))
	done
	calc "$sum / 1000 / ${got[delivered]}" # us
}

per_stream() {
	calc "${got[cpu.$1]} / 1000 / ${got[streams]}"
}

if [ $full = yes ]; then
	rounds=5 seconds=8 streams=5000
else
	rounds=3 seconds=2 streams=5000
fi

# --- one event to all: streamd against a bare send() --------------------------------------------

section_send() {
	local star=20000 i a=() b=() times=20

	make_star "$dir/star.db" $star
	start_redis
	start_streamd 1 "$dir/star.db"
	start floor "$bindir/floor_send" "unix:$dir/floor.sock"
	wait_for floor listens "$dir/floor.sock"
	load ours -m fcgi -t "unix:$dir/stream1.sock" -w "streamd=${pid_of[streamd1]}"
	load bare -m bare -t "unix:$dir/floor.sock" -w "floor=${pid_of[floor]}"
	ask ours open $streams
	ask bare open $streams
	for ((i = 0; i < rounds + 2; i++)); do
		ask ours one $star $times
		a+=("$(per_delivery streamd)")
		ask bare one $star $times
		b+=("$(per_delivery floor)")
	done
	local x y r
	x=$(median "${a[@]}") y=$(median "${b[@]}") r=$(calc "$x / $y" %.2f)
	row "streamd CPU per delivery, one event to $streams streams" "$(calc "$x" %.2f) µs" \
		"a bare send(): $(calc "$y" %.2f) µs" "$r" "≤ 1.3" "$(verdict "$r" '<=' 1.3)"
	stop_all
}

# --- 50 friends each, 100 changes/s: against a program made for it, and nchan -------------------

# Fills ours[…], floor[…], nchan[…] with what a system's rounds gave.
friends_round() {
	ask ours change 100 $seconds 51 $streams
	ours_cpu+=("$(per_delivery streamd lighttpd)")
	streamd_cpu+=("$(per_delivery streamd)")
	redis_cpu+=("$(per_delivery redis)")
	ours_p50+=("${got[p50_us]}")
	ours_p99+=("${got[p99_us]}")
	ask floor change 100 $seconds 51 $streams
	floor_cpu+=("$(per_delivery floor)")
	floor_p99+=("${got[p99_us]}")
	ask relay change 100 $seconds 51 $streams
	relay_cpu+=("$(per_delivery relay floor)")
	[ -n "$(nchan_module)" ] || return 0
	ask nchan change 100 $seconds 51 $streams
	nchan_cpu+=("$(per_delivery nginx)")
	nchan_p50+=("${got[p50_us]}")
	nchan_p99+=("${got[p99_us]}")
}

# The same floor once more, on a Unix socket, and in front of it what a web server must do at least.
start_relay() {
	local port

	port=$(free_port)
	start fanout_behind "$bindir/floor_fanout" "unix:$dir/fanout.sock" "$dir/redis.sock" 50 relay:
	wait_for fanout_behind listens "$dir/fanout.sock"
	start relay "$bindir/floor_relay" "$port" "unix:$dir/fanout.sock"
	wait_for relay port_answers "$port"
	PRESENCE_REDIS_PREFIX=relay: load relay -m floor -t "$port" -f 50 -w "relay=${pid_of[relay]}" -w "floor=${pid_of[fanout_behind]}"
}

# kB per stream of the named processes since before_…
memory_of() {
	local load=$1 sum=0 name old new

	shift
	ask "$load" pss
	for name in "$@"; do
		new=${got[pss.$name]} old=${before[$name]}
		sum=$((sum + new - old))
	done
	calc "$sum / $streams" %.2f
}

remember_memory() {
	local name

	ask "$1" pss
	shift
	for name in "$@"; do
		before[$name]=${got[pss.$name]}
	done
}

section_friends() {
	local i floor_port ours_cpu=() streamd_cpu=() redis_cpu=() ours_p50=() ours_p99=()
	local floor_cpu=() floor_p99=() relay_cpu=() nchan_cpu=() nchan_p50=() nchan_p99=()
	local -A before=()
	local x y r

	make_directory "$dir/ring50.db" 9000 50
	start_redis
	start_streamd 1 "$dir/ring50.db"
	start_lighttpd
	load ours -m http -t "$http_port" -f 50 -w "streamd=${pid_of[streamd1]}" \
		-w "lighttpd=${pid_of[lighttpd]}" -w "redis=${pid_of[redis]}"
	floor_port=$(free_port)
	start fanout "$bindir/floor_fanout" "$floor_port" "$dir/redis.sock" 50 floor:
	wait_for fanout port_answers "$floor_port"
	# Each hears of its own changes only, for all of them stand ready at once.
	PRESENCE_REDIS_PREFIX=floor: load floor -m floor -t "$floor_port" -f 50 -w "floor=${pid_of[fanout]}"
	start_relay
	ask ours touch $((streams + 50))
	remember_memory ours streamd lighttpd
	ask ours open $streams
	ask floor open $streams
	ask relay open $streams
	if [ -n "$(nchan_module)" ]; then
		start_nchan
		load nchan -m nchan -t "$nchan_port" -p "$nchan_port" -f 50 \
			-w "nginx=$(children_of "${pid_of[nginx]}" | head -n 1)"
		remember_memory nchan nginx
		ask nchan open $streams
	fi
	friends_round # to warm up
	ours_cpu=() streamd_cpu=() redis_cpu=() ours_p50=() ours_p99=()
	floor_cpu=() floor_p99=() relay_cpu=() nchan_cpu=() nchan_p50=() nchan_p99=()
	for ((i = 0; i < rounds; i++)); do
		friends_round
	done

	x=$(median "${ours_cpu[@]}") y=$(median "${floor_cpu[@]}") r=$(calc "$x / $y" %.2f)
	local all=$x load="50 friends each, 100 changes/s, $streams streams"
	row "CPU per delivery, streamd + lighttpd; $load" \
		"$(calc "$x" %.2f) µs (streamd $(median "${streamd_cpu[@]}" | calc_in %.2f); Redis besides $(median "${redis_cpu[@]}" | calc_in %.2f))" \
		"straight to TCP clients: $(calc "$y" %.2f) µs" "$r" "≤ 2.0" "$(verdict "$r" '<=' 2.0)"
	local relay
	relay=$(median "${relay_cpu[@]}")
	row "the same" "$(calc "$x" %.2f) µs" "the floor behind a bare relay: $(calc "$relay" %.2f) µs" \
		"$(calc "$x / $relay" %.2f)" "reported" ""
	printf '"floor" %s\n"floor behind a relay" %s\n"streamd + lighttpd" %s\n"of that, streamd" %s\n' \
		"$y" "$relay" "$x" "$(median "${streamd_cpu[@]}")" >"$out/delivery.dat"
	local streamd_memory all_memory
	streamd_memory=$(memory_of ours streamd)
	all_memory=$(memory_of ours streamd lighttpd)
	if [ -n "$(nchan_module)" ]; then
		y=$(median "${nchan_cpu[@]}") r=$(calc "$all / $y" %.2f)
		printf '"nchan" %s\n' "$y" >>"$out/delivery.dat"
		row "the same" "$(calc "$x" %.2f) µs" "nchan: $(calc "$y" %.2f) µs" "$r" "≤ 0.5" \
			"$(verdict "$r" '<=' 0.5)"
		x=$(median "${ours_p99[@]}") y=$(median "${nchan_p99[@]}") r=$(calc "$x / $y" %.2f)
		row "p99 from PUBLISH to client, the same load" \
			"$(calc "$x / 1000" %.2f) ms (p50 $(calc "$(median "${ours_p50[@]}") / 1000" %.2f))" \
			"nchan: $(calc "$y / 1000" %.2f) ms (p50 $(calc "$(median "${nchan_p50[@]}") / 1000" %.2f))" \
			"$r" "≤ 1" "$(verdict "$r" '<=' 1)"
		y=$(memory_of nchan nginx) r=$(calc "$all_memory / $y" %.2f)
		row "memory per stream (Pss), streamd + lighttpd" "$all_memory kB" "nchan: $y kB" \
			"$r" "≤ 0.25" "$(verdict "$r" '<=' 0.25)"
	else
		skip "the same, against nchan" "libnginx-mod-nchan is not installed"
		row "p99 from PUBLISH to client, the same load" "$(calc "$(median "${ours_p99[@]}") / 1000" %.2f) ms" \
			"nchan is not installed" "" "≤ 1" ""
		row "memory per stream (Pss), streamd + lighttpd" "$all_memory kB" \
			"nchan is not installed" "" "≤ 0.25" ""
	fi
	row "memory per stream (Pss), streamd, 50 friends, of $streams" "$streamd_memory kB" "" "" "≤ 4 kB" \
		"$(verdict "$streamd_memory" '<=' 4)"
	stop_all
}

# --- users who are online open their streams ----------------------------------------------------

section_open() {
	local i rates=() cpus=()

	make_directory "$dir/ring50.db" 9000 50
	start_redis
	start_streamd 1 "$dir/ring50.db"
	start_lighttpd
	load ours -m http -t "$http_port" -f 50 -w "streamd=${pid_of[streamd1]}"
	ask ours touch $((streams + 50))
	for ((i = 0; i < rounds; i++)); do
		ask ours open $streams
		rates+=("$(calc "${got[streams]} / ${got[seconds]}")")
		cpus+=("$(per_stream streamd)")
		ask ours close
		ask ours idle 1 # the servers notice
	done
	local rate cpu
	rate=$(median "${rates[@]}") cpu=$(median "${cpus[@]}")
	row "streams of $streams users who are online, until each holds \`initial\` of 50 friends" \
		"$(calc "$rate" %.0f)/s" "" "" "≥ 4000/s" "$(verdict "$rate" '>=' 4000)"
	row "the same, CPU in streamd for each" "$(calc "$cpu" %.0f) µs" "" "" "≤ 200 µs" \
		"$(verdict "$cpu" '<=' 200)"
	stop_all
}

# --- 8,900 streams on which nothing happens -----------------------------------------------------
# With 20,000 descriptors lighttpd accepts no more when 18,000 are in use, two for each stream.

section_idle() {
	local share name memory streams=8900
	local -A before=()

	make_directory "$dir/ring50.db" 9000 50
	start_redis
	start_streamd 1 "$dir/ring50.db"
	start_lighttpd
	load ours -m http -t "$http_port" -f 50 -w "streamd=${pid_of[streamd1]}" \
		-w "lighttpd=${pid_of[lighttpd]}" -w "redis=${pid_of[redis]}"
	ask ours touch 9050
	remember_memory ours streamd
	ask ours open $streams
	ask ours idle 30 # each stream's heartbeat comes once
	local percent=()
	for name in streamd lighttpd redis; do
		percent+=("$(calc "${got[cpu.$name]} / 1e7 / ${got[seconds]}" %.2f)")
	done
	share=$(calc "${percent[0]} + ${percent[1]} + ${percent[2]}" %.2f)
	row "idle cost of $streams streams, a heartbeat and a renewal every 30 s" \
		"$share % of a core (streamd ${percent[0]}, lighttpd ${percent[1]}, Redis ${percent[2]})" \
		"" "" "≤ 2 %" "$(verdict "$share" '<=' 2)"
	memory=$(memory_of ours streamd)
	row "memory per stream (Pss), streamd, 50 friends, of $streams" "$memory kB" "" "" "≤ 3.2 kB" \
		"$(verdict "$memory" '<=' 3.2)"
	stop_all
}

# --- REST ---------------------------------------------------------------------------------------

# rest KIND SECONDS [CONNECTIONS]: fills got[…], rate and reads.
rest() {
	local answer before after

	before=$(redis-cli -s "$dir/redis.sock" info stats | tr -d '\r' | awk -F: '/^total_reads_processed/ { print $2 }')
	answer=$(wrk -t 1 -c "${3:-16}" -d "$2" -s "$srcdir/tests/bench/rest.lua" "http://127.0.0.1:$http_port" -- \
		"$1" "$dir/tokens" | grep '^rest ') || die "wrk failed"
	after=$(redis-cli -s "$dir/redis.sock" info stats | tr -d '\r' | awk -F: '/^total_reads_processed/ { print $2 }')
	read_answer "wrk $1: $answer"
	[ "${got[errors]}" = 0 ] || say "bench: $1: ${got[errors]} requests failed"
	rate=$(calc "${got[requests]} / ${got[seconds]}")
	reads=$(calc "($after - $before) / ${got[requests]}" %.2f)
}

# Commands that clients send for one request; those inside scripts are marked "lua".
rest_commands() {
	local monitor

	redis-cli -s "$dir/redis.sock" monitor >"$dir/monitor.txt" &
	monitor=$!
	until grep -q OK "$dir/monitor.txt"; do sleep 0.02; done
	rest single 1
	kill $monitor
	wait $monitor 2>/dev/null || true
	calc "$(grep -cv -e ' lua\] ' -e '^OK' "$dir/monitor.txt") / ${got[requests]}" %.2f
}

section_rest() {
	local i rate reads single=() batch=() floor=() single_reads commands x y r

	if ! command -v wrk >/dev/null; then
		skip "REST" "wrk is not installed"
		return
	fi
	make_directory "$dir/ring50.db" 9000 50
	start_redis
	start_streamd 1 "$dir/ring50.db"
	start_floor
	start_lighttpd
	load ours -m http -t "$http_port"
	ask ours touch 400
	ask ours tokens 200 "$dir/tokens"
	rest floor 1
	rest single 1
	for ((i = 0; i < rounds; i++)); do
		rest floor 2
		floor+=("$rate")
		rest single 2
		single+=("$rate")
		single_reads=$reads
		rest batch 2
		batch+=("$rate")
	done
	x=$(median "${single[@]}") y=$(median "${floor[@]}") r=$(calc "$x / $y" %.2f)
	row "REST single status, lighttpd + 4 workers" "$(calc "$x" %.0f)/s" \
		"a constant after the same Redis commands: $(calc "$y" %.0f)/s" "$r" "≥ 0.9" \
		"$(verdict "$r" '>=' 0.9)"
	y=$(median "${batch[@]}") r=$(calc "$y / $x" %.2f)
	row "REST batch of 100" "$(calc "$y" %.0f)/s" "the single call: $(calc "$x" %.0f)/s" "$r" \
		"≥ 0.55" "$(verdict "$r" '>=' 0.55)"
	commands=$(rest_commands)
	row "Redis commands sent for a request" "$commands" "" "" "≤ 6" "$(verdict "$commands" '<=' 6.05)"
	row "round trips to Redis for a request" "$single_reads" "" "" "1" \
		"$(verdict "$single_reads" '<=' 1.05)"
	stop_all
}

# --- what a call costs --------------------------------------------------------------------------

# redis_us COMMAND…: us of these by Redis' own clock. What the script of an everyday call asks is in EVALSHA,
# and there is no MGET or SMISMEMBER among it.
redis_us() {
	redis-cli -s "$dir/redis.sock" info commandstats | tr -d '\r' | awk -F '[:=,]' -v of=" $* " '
		index(of, " " substr($1, 9) " ") { us += $5 } END { printf "%.0f", us }'
}

# A parent's own clock: us of it, its workers, and those that ended and were waited for.
family_us() {
	local pid

	for pid in "$1" $(children_of "$1"); do
		sed 's/.*) //' "/proc/$pid/stat"
	done | awk -v own="$(getconf CLK_TCK)" '
		{ ticks += $12 + $13 } NR == 1 { ticks += $14 + $15 } END { printf "%.0f", ticks * 1e6 / own }'
}

# cost KIND SECONDS TOKENS PARENT: what a request costs, in cost_redis, of that in cost_mget, and cost_cpu (us).
cost() {
	local redis_before cpu_before mget_before of=(evalsha mget smismember)

	[ "$1" != bare ] || of=(mget exists sismember zscore get time pexpireat zadd set)
	redis_before=$(redis_us "${of[@]}") mget_before=$(redis_us mget) cpu_before=$(family_us "$4")
	cp "$3" "$dir/tokens"
	rest "$1" "$2" 1 # one at a time, so that no server waits for a core in the midst of a call
	cost_redis=$(calc "($(redis_us "${of[@]}") - $redis_before) / ${got[requests]}")
	cost_mget=$(calc "($(redis_us mget) - $mget_before) / ${got[requests]}")
	cost_cpu=$(calc "($(family_us "$4") - $cpu_before) / ${got[requests]}")
}

section_calls() {
	local i rate reads cost_redis cost_mget cost_cpu many=12000 parent
	local again=() first=() batch=() mget=() bare=() empty=() api=() floor=() hello=() x y z

	if ! command -v wrk >/dev/null; then
		skip "what a call costs" "wrk is not installed"
		return
	fi
	make_directory "$dir/ring50.db" 9000 50
	start_redis
	start_streamd 1 "$dir/ring50.db"
	start_floor
	start_lighttpd
	parent=$(pgrep -P "${pid_of[lighttpd]}" -x presence-api | head -n 1)
	load ours -m http -t "$http_port"
	ask ours touch $many
	ask ours tokens 200 "$dir/tokens.few"
	# So many that each comes less than once a second, whatever the rate.
	ask ours tokens $many "$dir/tokens.many"
	cost single 1 "$dir/tokens.few" "$parent"
	cost single 5 "$dir/tokens.many" "$parent" # each has its session then
	for ((i = 0; i < 3 * rounds; i++)); do
		cost single 1 "$dir/tokens.few" "$parent"
		again+=("$cost_redis")
		api+=("$cost_cpu")
		cost floor 1 "$dir/tokens.few" "${pid_of[floor]}"
		floor+=("$cost_cpu")
		cost hello 1 "$dir/tokens.few" "${pid_of[hello]}"
		hello+=("$cost_cpu")
		cost single 1 "$dir/tokens.many" "$parent"
		first+=("$cost_redis")
		cost bare 1 "$dir/tokens.few" "${pid_of[bare]}"
		bare+=("$cost_redis")
		cost empty 1 "$dir/tokens.few" "${pid_of[empty]}"
		empty+=("$cost_redis")
		cost batch 1 "$dir/tokens.few" "$parent"
		batch+=("$cost_redis")
		mget+=("$cost_mget")
	done
	# Redis' clock runs on while something else has the core: the least is nearest to its own time.
	x=$(least "${again[@]}") y=$(least "${empty[@]}")
	row "Redis' time for a single status call, repeated within a second" "$(calc "$x" %.1f) µs" \
		"a script that does nothing: $(calc "$y" %.1f) µs" "$(calc "$x / $y" %.2f)" "≤ 20 µs" \
		"$(verdict "$x" '<=' 20)"
	x=$(least "${first[@]}") y=$(least "${bare[@]}")
	row "the same, the first in its second" "$(calc "$x" %.1f) µs" \
		"its commands without a script: $(calc "$y" %.1f) µs" "$(calc "$x / $y" %.2f)" "≤ 30 µs" \
		"$(verdict "$x" '<=' 30)"
	x=$(least "${batch[@]}") y=$(least "${mget[@]}")
	row "the same, a batch of 100" "$(calc "$x" %.1f) µs" \
		"of that the MGET of 402 keys: $(calc "$y" %.1f) µs" "" "≤ 60 µs" "$(verdict "$x" '<=' 60)"
	x=$(least "${api[@]}") y=$(least "${floor[@]}") z=$(least "${hello[@]}")
	row "CPU in presence-api for a single status call, parent and workers" "$(calc "$x" %.1f) µs" \
		"libfcgi and the same Redis commands: $(calc "$y" %.1f) µs, libfcgi alone: $(calc "$z" %.1f)" \
		"$(calc "$x / $y" %.2f)" "≤ 25 µs" "$(verdict "$x" '<=' 25)"
	stop_all
}

# --- typing -------------------------------------------------------------------------------------

section_typing() {
	local i p50=() p99=() rate=100 n=1000

	make_mutual "$dir/mutual25.db" $n 25
	start_redis
	start_streamd 1 "$dir/mutual25.db"
	PRESENCE_DIRECTORY_PARAMS=$dir/mutual25.db start_lighttpd
	load ours -m http -t "$http_port"
	ask ours touch $n
	ask ours open $n
	for ((i = 0; i < rounds; i++)); do
		ask ours typing $rate 4
		[ "${got[delivered]}" = "${got[expected]}" ] ||
			say "bench: ${got[delivered]} of ${got[expected]} events that tell of typing came"
		p50+=("${got[p50_us]}")
		p99+=("${got[p99_us]}")
	done
	row "p99 from POST /presence/typing to the other's event; $rate/s, $n streams, 50 friends each" \
		"$(calc "$(median "${p99[@]}") / 1000" %.2f) ms (p50 $(calc "$(median "${p50[@]}") / 1000" %.2f))" \
		"" "" "reported" ""
	stop_all
}

# --- what time tells ----------------------------------------------------------------------------

# world NAME TEXT: whether calls about one half of the users take as long as those about the other.
timing_world() {
	local line least=2 name=none kinds=0

	start_redis
	start_streamd 1 "$dir/mutual.db"
	PRESENCE_DIRECTORY_PARAMS=$dir/mutual.db PRESENCE_PUSH_KEY_FILE=$dir/push.pem \
		PRESENCE_PUSH_SUBJECT=mailto:bench@example.com start_lighttpd
	while read -r line; do
		read_answer "$line"
		kinds=$((kinds + 1))
		if [ "$(verdict "${got[p]}" '<' "$least")" = ok ]; then
			least=${got[p]} name=${got[call]}
		fi
	done < <("$bindir/timing" "$config" "$http_port" "$1" 10000)
	[ $kinds -gt 0 ] || die "timing failed"
	row "time tells $2: $kinds calls, each 10,000 times, rank-sum test" \
		"smallest p $least ($name)" "" "" "> 0.01" "$(verdict "$least" '>' 0.01)"
	stop_all
}

section_timing() {
	make_mutual "$dir/mutual.db" 12000 25
	[ -e "$dir/push.pem" ] || (umask 077 && "$builddir/src/presencectl" -c "$config" push key >"$dir/push.pem")
	timing_world invisible "the invisible from those who are gone"
	timing_world blocking "who blocks the caller from who was never seen"
	timing_world blocked "whom the caller blocks from who was never seen"
}

# --- growth -------------------------------------------------------------------------------------

# least NUMBER…: what other guests of the machine take on top comes and goes.
least() {
	printf '%s\n' "$@" | sort -g | head -n 1
}

# spread NUMBER…: the largest against the smallest.
spread() {
	printf '%s\n' "$@" | sort -g | awk 'NR == 1 { low = $1 } { high = $1 } END { printf "%.2f", high / low }'
}

growth_streams() {
	local n sizes=(1000 4000 8000) streamd=() all=() a=() b=() i

	[ $full = no ] || sizes=(1000 2000 4000 8000)
	make_directory "$dir/ring50.db" 9000 50
	start_redis
	start_streamd 1 "$dir/ring50.db"
	start_lighttpd
	: >"$out/streams.dat"
	# All sizes in each round: a machine that becomes slower meanwhile does so for all of them.
	for ((i = 0; i < (rounds + 1) / 2; i++)); do
		for n in "${sizes[@]}"; do
			load ours -m http -t "$http_port" -f 50 -w "streamd=${pid_of[streamd1]}" \
				-w "lighttpd=${pid_of[lighttpd]}"
			ask ours open "$n"
			ask ours change 100 1 51 "$n" # to warm up
			ask ours change 100 2 51 "$n"
			a[n]+=" $(per_delivery streamd)"
			b[n]+=" $(per_delivery streamd lighttpd)"
			leave ours
		done
	done
	for n in "${sizes[@]}"; do
		# shellcheck disable=SC2086 # numbers
		streamd+=("$(least ${a[n]})") all+=("$(least ${b[n]})")
		printf '%s %s %s\n' "$n" "${streamd[-1]}" "${all[-1]}" >>"$out/streams.dat"
	done
	local r
	r=$(spread "${all[@]}")
	row "growth: CPU per delivery, streamd + lighttpd, at $(join_words "${sizes[@]}") streams" \
		"$(join_rounded %.2f "${all[@]}") µs (streamd $(join_rounded %.2f "${streamd[@]}"))" \
		"" "$r" "≤ 1.2 apart" "$(verdict "$r" '<=' 1.2)"
	stop_all
}

growth_friends() {
	local f i sizes=(10 50 200) rounds_cpu cpu=() memory=() r streams=1000
	local -A before=()

	[ $full = no ] || sizes=(10 50 200 500)
	: >"$out/friends.dat"
	for f in "${sizes[@]}"; do
		make_directory "$dir/few$f.db" $streams "$f"
		start_redis
		start_streamd 1 "$dir/few$f.db"
		load ours -m fcgi -t "unix:$dir/stream1.sock" -f "$f" -w "streamd=${pid_of[streamd1]}"
		ask ours touch $((streams + f))
		remember_memory ours streamd
		rounds_cpu=()
		for ((i = 0; i < 3; i++)); do
			ask ours open $streams
			rounds_cpu+=("$(per_stream streamd)")
			[ $i -gt 0 ] || memory+=("$(memory_of ours streamd)")
			ask ours close
			ask ours idle 1 # streamd notices
		done
		cpu+=("$(median "${rounds_cpu[@]}")")
		printf '%s %s %s\n' "$f" "${cpu[-1]}" "${memory[-1]}" >>"$out/friends.dat"
		stop_all
	done
	# Linear: what one more friend costs is the same at the end as at the beginning.
	r=$(calc "((${cpu[-1]} - ${cpu[-2]}) / (${sizes[-1]} - ${sizes[-2]})) / ((${cpu[1]} - ${cpu[0]}) / (${sizes[1]} - ${sizes[0]}))" %.2f)
	row "growth: streamd CPU to open a stream, at $(join_words "${sizes[@]}") friends" \
		"$(join_rounded %.0f "${cpu[@]}") µs ($(join_rounded %.1f "${memory[@]}") kB)" \
		"" "$r" "linear: ≤ 1.2" "$(verdict "$r" '<=' 1.2)"
}

growth_store() {
	local n sizes=(10000 100000) idle=() expired=() touch=() count=() answer r

	[ $full = no ] || sizes+=(1000000)
	: >"$out/store.dat"
	for n in "${sizes[@]}"; do
		start_redis
		answer=$("$bindir/store" "$config" "$n") || die "store failed"
		read_answer "$answer"
		idle+=("${got[idle]}") expired+=("${got[expired]}")
		touch+=("${got[touch]}") count+=("${got[count]}")
		printf '%s %s %s %s %s\n' "$n" "${got[idle]}" "${got[expired]}" "${got[touch]}" "${got[count]}" >>"$out/store.dat"
		stop_all
	done
	r=$(spread "${expired[@]}")
	row "growth: Redis' time for a user whose time is up, at $(join_words "${sizes[@]}") online" \
		"$(join_rounded %.0f "${expired[@]}") µs" "" "$r" "sweep O(expired): ≤ 2 apart" \
		"$(verdict "$r" '<=' 2)"
	r=$(spread "${idle[@]}")
	row "growth: a sweep when nobody's is" \
		"$(join_rounded %.0f "${idle[@]}") µs (a touch $(join_rounded %.0f "${touch[@]}"), the count $(join_rounded %.1f "${count[@]}"))" \
		"" "$r" "≤ 1.5 apart" "$(verdict "$r" '<=' 1.5)"
}

join_words() {
	local IFS=' '

	printf '%s' "$*" | sed 's| | / |g'
}

join_rounded() {
	local format=$1 words=() word

	shift
	for word in "$@"; do
		words+=("$(calc "$word" "$format")")
	done
	join_words "${words[@]}"
}

section_growth() {
	growth_streams
	growth_friends
	growth_store
}

# --- two streamd processes ----------------------------------------------------------------------

section_two() {
	local star=20000 i a=() b=() a_time=() b_time=()

	make_star "$dir/star.db" $star
	start_redis
	for i in 1 2 3; do
		start_streamd $i "$dir/star.db"
	done
	load one -m fcgi -t "unix:$dir/stream1.sock" -w "streamd=${pid_of[streamd1]}"
	load two -m fcgi -t "unix:$dir/stream2.sock" -t "unix:$dir/stream3.sock" \
		-w "streamd=${pid_of[streamd2]}" -w "streamd=${pid_of[streamd3]}"
	ask one open $streams
	leave one
	ask two open $streams
	leave two
	for ((i = 0; i < 2; i++)); do
		load one -m fcgi -t "unix:$dir/stream1.sock" -w "streamd=${pid_of[streamd1]}"
		ask one open $streams
		ask one one $star 40
		a+=("$(per_delivery streamd)")
		a_time+=("$(calc "${got[seconds]} / 40 * 1000")")
		leave one
		load two -m fcgi -t "unix:$dir/stream2.sock" -t "unix:$dir/stream3.sock" \
			-w "streamd=${pid_of[streamd2]}" -w "streamd=${pid_of[streamd3]}"
		ask two open $streams
		ask two one $star 40
		b+=("$(per_delivery streamd)")
		b_time+=("$(calc "${got[seconds]} / 40 * 1000")")
		leave two
	done
	local x y
	x=$(median "${b[@]}") y=$(median "${a[@]}")
	row "two streamd processes: one event to $streams streams, until the last has it" \
		"$(median "${b_time[@]}" | calc_in %.1f) ms ($(calc "$x" %.2f) µs CPU per delivery)" \
		"one: $(median "${a_time[@]}" | calc_in %.1f) ms ($(calc "$y" %.2f) µs)" \
		"$(calc "$(median "${b_time[@]}") / $(median "${a_time[@]}")" %.2f)" "reported" ""
	stop_all
}

# A number from stdin, rounded.
calc_in() {
	local number

	read -r number || true
	calc "$number" "$1"
}

# --- Web Push -----------------------------------------------------------------------------------

# CPU time of a process so far, ns.
cpu_of() {
	awk '{ print $1 }' "/proc/$1/schedstat"
}

section_push() {
	local answer before share

	answer=$("$bindir/push" 2) || die "push failed"
	read_answer "$answer"
	row "Web Push: messages encrypted by a core, signed for as presence-pushd does" \
		"${got[messages]} a second" "each with a token of its own: ${got[each]}" "" "≥ 4000" "$(verdict "${got[messages]}" '>=' 4000)"
	start_redis
	(umask 077 && "$builddir/src/presencectl" -c "$config" push key >"$dir/push.pem")
	start pushd env PRESENCE_PUSH_KEY_FILE="$dir/push.pem" \
		PRESENCE_PUSH_SUBJECT=mailto:bench@example.com \
		"$builddir/src/presence-pushd" -c "$config"
	wait_for pushd grep -q 'Redis: connected' "$dir/pushd.log"
	before=$(cpu_of "${pid_of[pushd]}")
	sleep 10
	share=$(calc "($(cpu_of "${pid_of[pushd]}") - $before) / 1e8" %.3f)
	row "presence-pushd with nothing to do" "$share % of a core" "" "" "≤ 0.1 %" \
		"$(verdict "$share" '<=' 0.1)"
	stop_all
}

# --- the report ---------------------------------------------------------------------------------

versions() {
	printf '%s, %s cores, Linux %s; ' "$(lscpu | awk -F': *' '/^Model name/ { print $2; exit }')" \
		"$(nproc)" "$(uname -r)"
	printf 'lighttpd %s, Redis %s' "$(lighttpd -v | awk '{ sub(/.*\//, "", $1); print $1; exit }')" \
		"$(redis-server --version | sed 's/.* v=\([^ ]*\).*/\1/')"
	if [ -n "$(nchan_module)" ]; then
		printf ', %s' "$(nginx -v 2>&1 | sed 's/.*: //')"
	fi
	printf '.\n'
}

plot() {
	compgen -G "$out/*.dat" >/dev/null || return 0
	if ! command -v gnuplot >/dev/null; then
		say "bench: no plots: gnuplot is not installed"
		return
	fi
	(cd "$out" && gnuplot "$srcdir/tests/bench/plot.gp") || say "bench: gnuplot failed"
}

# write_doc FILE: between its markers.
write_doc() {
	local doc=$1 name

	cp "$table" "$dir/figures.md"
	mkdir -p "$srcdir/docs/performance"
	for name in delivery streams friends store; do
		[ -e "$out/$name.svg" ] || continue
		cp "$out/$name.svg" "$srcdir/docs/performance/"
		printf '\n![%s](performance/%s.svg)\n' "$name" "$name" >>"$dir/figures.md"
	done
	awk -v figures="$dir/figures.md" '
		/^<!-- end of figures -->/ { inside = 0 }
		!inside { print }
		/^<!-- figures -->/ {
			print ""
			while ((getline line < figures) > 0)
				print line
			print ""
			inside = 1
		}' "$doc" >"$dir/performance.md"
	cat "$dir/performance.md" >"$doc"
}

{
	versions
	printf '%s set of %s.\n\n' "$([ $full = yes ] && echo Full || echo Quick)" "$(date -u +%Y-%m-%d)"
} >"$table"
row figure measured "measured against" ratio "to reach" ""
row --- --- --- --- --- ---
for section in "${sections[@]}"; do
	say "bench: $section ($((SECONDS - started)) s)"
	"section_$section"
done
plot
cat "$table"
if [ "${sections[*]}" = "scale million" ]; then
	[ $doc = no ] || write_doc "$srcdir/docs/scale.md"
	show_capacity
elif [ $doc = yes ]; then
	write_doc "$srcdir/docs/performance.md"
fi
say "bench: $((SECONDS - started)) s; the answers behind the table are in $log"
