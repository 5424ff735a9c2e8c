#!/bin/bash
# No arrow upwards, and so no ring, among the files of a directory: what each object file defines and
# what it leaves undefined (nm), and which headers it includes, is compared with the table of floors
# in tests/floors.
set -eu

srcdir=${ABS_SRCDIR:-$(pwd)}
builddir=${ABS_BUILDDIR:-$(pwd)}
table=${1:-$srcdir/tests/floors}
failed=0

fail() {
	echo "$*"
	failed=1
}

# The objects of a directory, also where the build puts a prefix before their names.
objects() {
	find "$builddir/$1" -maxdepth 1 -name '*.o' | sort
}

# main.o, or presencectl-main.o, of the file main.c
name_of() {
	local name=${1##*/}
	name=${name%.o}
	echo "${name##*-}"
}

# check DIRECTORY FLOORS: lines "FLOOR FILE" on standard input.
check() {
	local dir=$1 floors=$2 object name
	for file in "$srcdir/$dir"/*.c; do
		name=${file##*/}
		grep -q " ${name%.c}\$" <<<"$floors" || fail "$dir/$name has no floor"
	done
	while read -r _ name; do
		[ -f "$srcdir/$dir/$name.c" ] || fail "$dir/$name.c has a floor, but is not there"
	done <<<"$floors"
	for object in $(objects "$dir"); do
		name=$(name_of "$object")
		# Left from before: its source is gone, or newer.
		[ -f "$srcdir/$dir/$name.c" ] || continue
		[ ! "$object" -ot "$srcdir/$dir/$name.c" ] || continue
		sed -n 's|^#include "'"${dir#src/}"'/\(.*\)\.h"|\1|p' "$srcdir/$dir/$name".[ch] |
			awk -v file="$name" '{ print "include", file, $1 }'
		nm "$object" | awk -v file="$name" '
			$1 == "U" { print "use", file, $2; next }
			$2 ~ /^[A-TV-Z]$/ { print "def", file, $3 }'
	done | awk -v dir="$dir" -v floors="$floors" '
		BEGIN {
			count = split(floors, line, "\n")
			for (i = 1; i <= count; i++) {
				split(line[i], word, " ")
				floor[word[2]] = word[1]
			}
		}
		$1 == "def" { owner[$3] = $2 }
		$1 == "include" && ($3 in floor) && $3 != $2 && floor[$3] >= floor[$2] {
			printf "%s: %s (floor %d) includes %s.h (floor %d)\n", dir, $2, floor[$2], $3,
				floor[$3]
			wrong = 1
		}
		$1 == "use" { used[$2, $3] = 1 }
		END {
			arrows = 0
			for (pair in used) {
				split(pair, part, SUBSEP)
				from = part[1]
				to = owner[part[2]]
				if (to == "" || to == from)
					continue
				arrows++
				if (floor[to] >= floor[from]) {
					printf "%s: %s.c (floor %d) uses %s of %s.c (floor %d)\n", dir, from,
						floor[from], part[2], to, floor[to]
					wrong = 1
				}
			}
			printf "%s: %d arrows among %d files\n", dir, arrows, count
			exit wrong || arrows == 0
		}' || failed=1
}

dir=
floors=
floor=0
while IFS= read -r line || [ -n "$line" ]; do
	case $line in
	'' | '#'*) continue ;;
	'['*)
		[ -z "$dir" ] || check "$dir" "$floors"
		dir=${line#[}
		dir=${dir%]}
		floors=
		floor=0
		;;
	*)
		floor=$((floor + 1))
		for name in $line; do
			floors+=${floors:+$'\n'}"$floor $name"
		done
		;;
	esac
done <"$table"
[ -n "$dir" ] || fail "$table names no directory"
[ -z "$dir" ] || check "$dir" "$floors"
exit $failed
