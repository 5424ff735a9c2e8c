#!/bin/sh
# The C sources are formatted as .clang-format says, which is clang-format 14's: make format.
set -eu

CLANG_FORMAT=${CLANG_FORMAT:-clang-format}
case $("$CLANG_FORMAT" --version 2>/dev/null) in
*' version 14.'*) ;;
*)
	echo "clang-format 14 is not installed"
	exit 77
	;;
esac
cd "${ABS_SRCDIR:-$(dirname "$0")/../..}"
find src tests -name '*.[ch]' -print0 | xargs -0 "$CLANG_FORMAT" --dry-run -Werror
