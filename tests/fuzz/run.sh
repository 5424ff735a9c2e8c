#!/bin/bash
# `make fuzz`: builds each target with clang's libFuzzer under ASan and UBSan and runs it for
# FUZZ_SECONDS on what it found before (fuzz/corpus-NAME in the build tree) and its committed seeds.
# An input that breaks a property is left as fuzz/NAME-crash-…: committed as a seed, `make check`
# runs it ever after.
#
#   FUZZ_SECONDS=300   for each target
#   FUZZ_TARGETS="jwt redis"   all by default
#
# make gives CLANG, FUZZ_CFLAGS, FUZZ_LIBS and FUZZ_SRCDIR; it runs in the build tree.
set -eu

seconds=${FUZZ_SECONDS:-300}
if [ -z "${CLANG:-}" ]; then
	echo "make fuzz needs clang and its runtime: libclang-rt-dev" >&2
	exit 1
fi

flags=(-std=gnu11 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=undefined
	'-DSYSCONFDIR="/etc"' '-DPACKAGE_VERSION="fuzz"' -I"$FUZZ_SRCDIR/src" -Isrc)
read -ra given <<<"$FUZZ_CFLAGS"
read -ra libs <<<"$FUZZ_LIBS"
parts=("$FUZZ_SRCDIR"/src/{base,auth,store,directory,stream}/*.c "$FUZZ_SRCDIR"/src/api/{arrival,page}.c
	"$FUZZ_SRCDIR/src/push/decide.c" "$FUZZ_SRCDIR/tests/integration/wire.c")

mkdir -p fuzz/parts
rm -f fuzz/parts/*.o fuzz/parts.a
for part in "${parts[@]}"; do
	name=${part#"$FUZZ_SRCDIR/"}
	if [ "$name" = src/stream/main.c ]; then
		continue
	fi
	"$CLANG" "${flags[@]}" "${given[@]}" -fsanitize=fuzzer-no-link,address,undefined \
		-c "$part" -o "fuzz/parts/${name//\//-}.o"
done
ar rcs fuzz/parts.a fuzz/parts/*.o

targets=${FUZZ_TARGETS:-$(cd "$FUZZ_SRCDIR/tests/fuzz" && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')}
for target in $targets; do
	"$CLANG" "${flags[@]}" "${given[@]}" -fsanitize=fuzzer,address,undefined \
		"$FUZZ_SRCDIR/tests/fuzz/fuzz_$target.c" fuzz/parts.a "${libs[@]}" -o "fuzz/$target"
done
for target in $targets; do
	printf '\n=== %s: %s seconds\n' "$target" "$seconds"
	mkdir -p "fuzz/corpus-$target"
	"fuzz/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 -print_final_stats=1 \
		-artifact_prefix="fuzz/$target-" "fuzz/corpus-$target" \
		"$FUZZ_SRCDIR/tests/fuzz/seeds-$target"
done
