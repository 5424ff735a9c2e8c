#!/bin/sh
# No link of the documents leads nowhere: not in the source, and not where `make install` puts them.
set -eu

srcdir=${ABS_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
root=$(mktemp -d "${TMPDIR:-/tmp}/presence-links.XXXXXX")
trap 'rm -rf "$root"' EXIT

python3 "$srcdir/tests/links.py" "$srcdir"
make -s -C "${ABS_BUILDDIR:-.}" install-data DESTDIR="$root" >/dev/null 2>&1
doc=$(dirname "$(find "$root" -name architecture.md)")/..
python3 "$srcdir/tests/links.py" "$(readlink -f "$doc")" "$root"
