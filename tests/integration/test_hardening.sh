#!/bin/sh
# Every program of this build is hardened: position independent, with relocations that are resolved
# and read-only before main() starts; what is installed has stack protector and _FORTIFY_SOURCE, too.
set -eu

if [ -n "${SANITIZE:-}" ]; then
	echo "built with sanitizers"
	exit 77
fi
cd "${ABS_BUILDDIR:-.}"
failed=0

# expect PROGRAM WHAT PATTERN READELF-OPTION: the pattern is in what readelf prints.
expect() {
	if ! readelf -W "$4" "$1" | grep -Eq "$3"; then
		echo "FAILED: $1 is built without $2"
		failed=1
	fi
}

for program in ${INSTALLED:?} ${CHECKED:?}; do
	expect "$program" -pie '^ *Type: *DYN ' -h
	expect "$program" '-z relro' 'GNU_RELRO' -l
	expect "$program" '-z now' '\(FLAGS\).*BIND_NOW' -d
done
for program in $INSTALLED; do
	expect "$program" -fstack-protector-strong '__stack_chk_fail' --dyn-syms
	case " ${BUILD_CFLAGS:-} " in
	*' -O0 '*) echo "$program: not optimised, so _FORTIFY_SOURCE has no effect" ;;
	*) expect "$program" -D_FORTIFY_SOURCE=2 ' __[a-z]+_chk@' --dyn-syms ;;
	esac
done
[ $failed -ne 0 ] || echo "hardened: $INSTALLED and all test programs"
exit $failed
