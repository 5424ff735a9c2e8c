# Run in the folder of the results.
set terminal svg size 640,360 font 'sans-serif,12' background 'white'
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror
set key outside top center horizontal
set yrange [0:*]

if (system("[ -s delivery.dat ] && echo yes") eq "yes") {
	set output 'delivery.svg'
	set title 'CPU per delivery: 50 friends each, 100 changes/s'
	set ylabel 'µs'
	set style fill solid
	set boxwidth 0.6
	unset key
	plot 'delivery.dat' using 0:2:xtic(1) with boxes lc rgb '#4477aa', \
		'' using 0:2:(sprintf('%.1f', $2)) with labels offset 0,0.7 notitle
	set key outside top center horizontal
}
if (system("[ -s streams.dat ] && echo yes") eq "yes") {
	set output 'streams.svg'
	set title 'CPU per delivery as streams grow'
	set xlabel 'streams'
	set ylabel 'µs'
	set xrange [0:*]
	plot 'streams.dat' using 1:3 with linespoints lw 2 pt 7 lc rgb '#ee6677' title 'streamd + lighttpd', \
		'' using 1:2 with linespoints lw 2 pt 7 lc rgb '#4477aa' title 'streamd'
}
if (system("[ -s friends.dat ] && echo yes") eq "yes") {
	set output 'friends.svg'
	set title 'Opening a stream as friends grow'
	set xlabel 'friends'
	set ylabel 'µs of CPU in streamd'
	set y2label 'kB (Pss)'
	set y2tics
	set y2range [0:*]
	set xrange [0:*]
	plot 'friends.dat' using 1:2 with linespoints lw 2 pt 7 lc rgb '#4477aa' title 'CPU', \
		'' using 1:3 axes x1y2 with linespoints lw 2 pt 7 lc rgb '#ee6677' title 'memory'
	unset y2label
	unset y2tics
}
if (system("[ -s store.dat ] && echo yes") eq "yes") {
	set output 'store.svg'
	set title "Redis' time as users online grow"
	set xlabel 'users online'
	set ylabel 'µs'
	set logscale x
	set xrange [*:*]
	plot 'store.dat' using 1:3 with linespoints lw 2 pt 7 lc rgb '#ee6677' title 'sweep, for each expired user', \
		'' using 1:4 with linespoints lw 2 pt 7 lc rgb '#4477aa' title 'touch', \
		'' using 1:2 with linespoints lw 2 pt 7 lc rgb '#228833' title 'sweep, nobody expired', \
		'' using 1:5 with linespoints lw 2 pt 7 lc rgb '#aa3377' title 'count'
}
