# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by run.sh: a change with very many readers, readers of very many changes.

# --- a user with very many watchers -------------------------------------------------------------

# hold_of N: one event to N streams, again and again; how long the loop holds, in held[…] (us of CPU),
# waited[…] (us) and reached[…] (ms until the last has it).
hold_of() {
	local n=$1 star=20000 times=10 i least_cpu=() least=() ms=()

	load many -m fcgi -t "unix:$dir/stream1.sock" -w "streamd=${pid_of[streamd1]}"
	ask many open "$n"
	for ((i = 0; i < rounds; i++)); do
		: >"$dir/hold.log"
		start hold "$bindir/hold" "unix:$dir/stream1.sock" "${pid_of[streamd1]}"
		ask many one $star $times
		ms+=("$(calc "${got[seconds]} / $times * 1000")")
		stop hold
		read_answer "$(tail -n 1 "$dir/hold.log")"
		least_cpu+=("${got[cpu]}")
		least+=("${got[longest]}")
	done
	held[n]=$(least "${least_cpu[@]}")
	waited[n]=$(least "${least[@]}")
	reached[n]=$(median "${ms[@]}")
	leave many
}

section_fanout() {
	local n sizes=(5000 19000) x y words=() held=() waited=() reached=()

	make_star "$dir/star.db" 20000
	start_redis
	PRESENCE_STREAM_MAX_STREAMS=19000 start_streamd 1 "$dir/star.db"
	for n in "${sizes[@]}"; do
		hold_of "$n"
		words+=("$(calc "${reached[n]}" %.0f)")
	done
	x=$(calc "${held[5000]} / 1000" %.1f) y=$(calc "${held[19000]} / 1000" %.1f)
	row "one event to $(join_words "${sizes[@]}") streams: the longest that streamd's loop holds, ms of CPU" \
		"$x / $y (a peer waits $(calc "${waited[5000]} / 1000" %.1f) / $(calc "${waited[19000]} / 1000" %.1f) ms; all have it in $(join_words "${words[@]}") ms)" \
		"" "$(calc "$y / $x" %.2f)" "≤ 20 ms, whatever the number" "$(verdict "$y" '<=' 20)"
	stop_all
	section_interval
}

# --- readers whose friends change all the time --------------------------------------------------

# What a stream costs a second, us in streamd and lighttpd, at 10, 100, 1,000 changes a second for it.
stir() {
	local rate

	PRESENCE_STREAM_INTERVAL_MS=$1 start_streamd 1 "$dir/same50.db"
	start_lighttpd
	load ours -m http -t "$http_port" -f 50 -w "streamd=${pid_of[streamd1]}" \
		-w "lighttpd=${pid_of[lighttpd]}"
	ask ours open $watchers
	ask ours idle 1
	for rate in 10 100 1000; do
		ask ours stir $rate 4 $((watchers + 1)) $((watchers + 50))
		paid[rate]=$(calc "(${got[cpu.streamd]} + ${got[cpu.lighttpd]}) / 1000 / $watchers / ${got[seconds]}" %.0f)
	done
	leave ours
	stop lighttpd
	stop streamd1
}

section_interval() {
	local watchers=50 paid=() at_once each

	fill_directory "$dir/same50.db" $((watchers + 50)) \
		"INSERT INTO friends SELECT a.i, $watchers + b.i FROM n a, n b WHERE a.i <= $watchers AND b.i <= 50"
	start_redis
	stir 0
	at_once=("${paid[@]}")
	stir 1000
	each=("${paid[@]}")
	row "CPU of a stream at 10 / 100 / 1000 changes a second for it, µs a second, streamd + lighttpd" \
		"\`interval_ms = 1000\`: $(join_words "${each[@]}")" "0: $(join_words "${at_once[@]}")" \
		"$(calc "${each[2]} / ${at_once[2]}" %.2f)" "reported" ""
	stop_all
}
