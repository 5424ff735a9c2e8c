# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by run.sh: what users cost at several Redis servers, and in several presence-streamd.
# Leaves unit costs in $out/units.txt, a NAME VALUE each, of which capacity.py makes docs/scale.md's table.

# A unit's cost.
unit() {
	touch "$out/units.txt"
	sed -i "/^$1 /d" "$out/units.txt"
	printf '%s %s\n' "$1" "$2" >>"$out/units.txt"
}

# linear KIND N: how near to N times the work of one server that of N comes, where the busiest has a
# partition more than its even part, if it does not come out.
linear() {
	local most=$(((partitions + $2 - 1) / $2))

	calc "${cost[$1.1]} / (${cost[$1.$2]} * $2 * $most / $partitions)" %.2f
}

# Of the last answer: CPU of each Redis server for each of N, us, in paid[…].
redis_cpu() {
	local i

	for ((i = 1; i <= nodes; i++)); do
		paid[i]=$(calc "${got[cpu.redis$i]} / 1000 / $1")
	done
}

# keep KIND ALL BUSIEST: what all servers together paid for each, and the one that had the most; unless it
# was less the time before.
keep() {
	cost[$1]=$(least "$2" "${cost[$1]:-$2}")
	busiest[$1]=$(least "$3" "${busiest[$1]:-$3}")
}

keep_paid() {
	keep "$1" "$(printf '%s\n' "${paid[@]:1:nodes}" | awk '{ sum += $1 } END { printf "%.6g", sum }')" \
		"$(printf '%s\n' "${paid[@]:1:nodes}" | sort -g | tail -n 1)"
}

partitions=64

# N servers of Redis; the programs that are started then use them.
start_nodes() {
	local i url=

	nodes=$1 redis_pids=() redis_watches=()
	for ((i = 1; i <= nodes; i++)); do
		start_redis "$i"
		url+=" unix://$dir/redis$i.sock"
		redis_pids+=("${pid_of[redis$i]}")
		redis_watches+=(-w "redis$i=${pid_of[redis$i]}")
	done
	# More servers than cores: one that waits for its turn is not one that is away.
	export PRESENCE_REDIS_URL=${url# } PRESENCE_REDIS_PARTITIONS=$partitions PRESENCE_REDIS_TIMEOUT_MS=10000
}

stop_nodes() {
	stop_all
	unset PRESENCE_REDIS_URL PRESENCE_REDIS_PARTITIONS PRESENCE_REDIS_TIMEOUT_MS
}

# --- Redis at 1, 3 and 6 servers ----------------------------------------------------------------

# Fills cost[KIND.N], of all servers, and busiest[KIND.N].
scale_nodes() {
	local n=$1 kind streams=5000 i base paid=()

	start_nodes "$n"
	read_answer "$("$bindir/scale" "$config" 0 20000 "${redis_pids[@]}")"
	for kind in login renew; do
		keep "$kind.$n" "${got[$kind]}" "${got[$kind.busiest]}"
	done
	[ "$n" != 1 ] || base=$(idle_cpu)
	# A heartbeat renews; a short one, so that there are more of them.
	PRESENCE_PRESENCE_HEARTBEAT=5 PRESENCE_PRESENCE_STREAM_TTL=30 start_streamd 1 "$dir/ring50.db"
	load ours -m fcgi -t "unix:$dir/stream1.sock" -f 50 -w "streamd=${pid_of[streamd1]}" \
		"${redis_watches[@]}"
	[ "$n" != 1 ] || keep sweep "$(calc "($(idle_cpu) - $base) / 5 / $partitions")" 0
	ask ours open $streams # to warm up
	ask ours close
	ask ours idle 1
	ask ours open $streams
	redis_cpu $streams
	keep_paid "open.$n"
	streamd_open=$(per_stream streamd)
	ask ours idle 10
	redis_cpu $((2 * streams))
	keep_paid "beat.$n"
	streamd_beat=$(calc "${got[cpu.streamd]} / 1000 / 2 / $streams")
	[ "$n" != 6 ] || scale_reconnect
	stop_nodes
}

# What the first server computes in five seconds, us.
idle_cpu() {
	local before

	before=$(cpu_of "${pid_of[redis1]}")
	sleep 5
	calc "($(cpu_of "${pid_of[redis1]}") - $before) / 1000"
}

# What the servers were asked for again when the subscriptions of all of them were cut.
scale_reconnect() {
	local i before=0 calls=0 channels=0

	for ((i = 1; i <= nodes; i++)); do
		channels=$((channels + $(redis-cli -s "$dir/redis$i.sock" pubsub channels | wc -l)))
		redis-cli -s "$dir/redis$i.sock" config resetstat >/dev/null
		redis-cli -s "$dir/redis$i.sock" client kill type pubsub >/dev/null
	done
	# Until nothing more is asked for.
	while ask ours idle 2 && calls=$(count_subscribes) && [ "$calls" -gt "$before" ]; do
		before=$calls
	done
	subscribes=$(least "$calls" "${subscribes:-$calls}") subscribed=$channels
}

scale_reconnect_row() {
	local most

	most=$(calc "$partitions + $nodes + $subscribed / 500" %.0f)
	row "SUBSCRIBE commands after the subscriptions of 6 servers were cut, $partitions partitions, $subscribed channels" \
		"$subscribes" "" "" "≤ $most: of each partition one for 500 users, and one of each server for the link itself" \
		"$(verdict "$subscribes" '<=' "$most")"
}

count_subscribes() {
	local i

	for ((i = 1; i <= nodes; i++)); do
		redis-cli -s "$dir/redis$i.sock" info commandstats | tr -d '\r'
	done | awk -F '[:=,]' '/^cmdstat_subscribe:/ { sum += $3 } END { print sum + 0 }'
}

# A row for each kind of work.
linear_row() {
	local kind=$1 least

	least=$(least "$(linear "$kind" 3)" "$(linear "$kind" 6)")
	row "Redis' CPU for $2, at 1 / 3 / 6 servers: all of them together" \
		"$(join_rounded %.1f "${cost[$kind.1]}" "${cost[$kind.3]}" "${cost[$kind.6]}") µs" \
		"of it, the busiest one: $(join_rounded %.1f "${busiest[$kind.1]}" "${busiest[$kind.3]}" "${busiest[$kind.6]}")" \
		"$least" "linear: ≥ 0.9" "$(verdict "$least" '>=' 0.9)"
	unit "redis.$kind" "${cost[$kind.6]}"
}

# --- a million users ----------------------------------------------------------------------------

section_million() {
	local million=1000000 nodes redis_pids=() redis_watches=()

	start_nodes 1
	read_answer "$("$bindir/scale" "$config" $million 20000 "${redis_pids[@]}")"
	row "memory of Redis for each of $million users online, who have a token's session and a stream's" \
		"$(calc "${got[bytes]} / 1000" %.2f) kB" "" "" "≤ 1.3 kB" "$(verdict "${got[bytes]}" '<=' 1300)"
	row "Redis' CPU for a user who comes online, and for another request, with so many" \
		"$(join_rounded %.0f "${got[login]}" "${got[renew]}") µs" "" "" "reported" ""
	unit redis.bytes "${got[bytes]}"
	unit redis.login.million "${got[login]}"
	unit redis.renew.million "${got[renew]}"
	stop_nodes
}

# --- several presence-streamd -------------------------------------------------------------------

# One event to all streams, which so many processes have; streams open and are renewed in them.
scale_processes() {
	local count=$1 i targets=() n=4000 star=20000 times=40

	start_redis
	for ((i = 1; i <= count; i++)); do
		start_streamd $i "$dir/star.db"
		targets+=(-t "unix:$dir/stream$i.sock" -w "streamd=${pid_of[streamd$i]}")
	done
	load ours -m fcgi "${targets[@]}" -w "redis=${pid_of[redis]}"
	ask ours touch $n
	ask ours open $n
	opened[count]=$(per_stream streamd)
	ask ours one $star $times
	ask ours one $star $times
	told[count]=$(per_delivery streamd)
	published[count]=$(calc "${got[cpu.redis]} / 1000 / $times")
	last_has[count]=$(calc "${got[seconds]} * 1000 / $times")
	stop_all
}

# --- the web server -----------------------------------------------------------------------------

scale_web() {
	local n=2000 streams=2000
	local -A before=()

	start_redis
	PRESENCE_PRESENCE_HEARTBEAT=5 PRESENCE_PRESENCE_STREAM_TTL=30 start_streamd 1 "$dir/ring50.db"
	start_lighttpd
	load ours -m http -t "$http_port" -f 50 -w "streamd=${pid_of[streamd1]}" \
		-w "lighttpd=${pid_of[lighttpd]}" -w "redis=${pid_of[redis]}"
	ask ours touch $((n + 50))
	remember_memory ours streamd lighttpd
	ask ours open $n
	unit web.open "$(per_stream lighttpd)"
	ask ours idle 10
	unit redis.beat.together "$(calc "${got[cpu.redis]} / 1000 / 2 / $n")"
	unit redis.beats.together "$(calc "$n / 60")" # a heartbeat has 60 turns
	unit web.beat "$(calc "${got[cpu.lighttpd]} / 1000 / 2 / $n")"
	ask ours change 20 4 51 $n
	unit web.told "$(per_delivery lighttpd)"
	unit streamd.told "$(per_delivery streamd)"
	unit web.bytes "$(calc "$(memory_of ours lighttpd) * 1000" %.0f)"
	unit streamd.bytes "$(calc "$(memory_of ours streamd) * 1000" %.0f)"
	stop_all
}

# What sites of several sizes need, by these costs.
show_capacity() {
	python3 "$srcdir/tests/bench/capacity.py" "$out/units.txt"
	[ $doc = no ] || python3 "$srcdir/tests/bench/capacity.py" "$out/units.txt" "$srcdir/docs/scale.md"
}

section_scale() {
	local n nodes redis_pids=() redis_watches=() streamd_open streamd_beat subscribes subscribed
	local opened=() told=() published=() last_has=()
	local -A cost=() busiest=()

	make_directory "$dir/ring50.db" 9000 50
	make_star "$dir/star.db" 20000
	# Twice, for what else the machine does comes and goes.
	for n in 1 3 6 1 3 6; do
		scale_nodes $n
	done
	scale_reconnect_row
	unit redis.sweep "${cost[sweep]}"
	unit streamd.open "$streamd_open"
	unit streamd.beat "$streamd_beat"
	linear_row login "a user who comes online"
	linear_row renew "a request of a user who is"
	linear_row open "a stream that opens, 50 friends"
	linear_row beat "a stream's renewal"
	unit redis.beats "$(calc "5000 / 60 / $partitions")"
	for n in 1 2 4; do
		scale_processes $n
	done
	row "1 / 2 / 4 presence-streamd: CPU for a stream that opens" \
		"$(join_rounded %.0f "${opened[1]}" "${opened[2]}" "${opened[4]}") µs" "" \
		"$(calc "${opened[4]} / ${opened[1]}" %.2f)" "reported" ""
	row "the same: CPU per delivery, one event to 4000 streams" \
		"$(join_rounded %.2f "${told[1]}" "${told[2]}" "${told[4]}") µs (the last has it after $(join_rounded %.1f "${last_has[1]}" "${last_has[2]}" "${last_has[4]}") ms)" \
		"" "$(calc "${told[4]} / ${told[1]}" %.2f)" "reported" ""
	row "the same: Redis' CPU for each event" \
		"$(join_rounded %.1f "${published[1]}" "${published[2]}" "${published[4]}") µs" "" \
		"$(calc "${published[4]} / ${published[1]}" %.2f)" "reported" ""
	unit redis.publish "${published[1]}"
	unit redis.publish.more "$(calc "(${published[4]} - ${published[1]}) / 3")"
	scale_web
}
