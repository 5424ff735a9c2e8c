#!/bin/sh
# configure says which Debian package is missing.
set -eu

srcdir=${ABS_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
work=$(mktemp -d "${TMPDIR:-/tmp}/presence-configure.XXXXXX")
trap 'rm -rf "$work"' EXIT

# A pkg-config that has not heard of libjwt.
cat > "$work/pkg-config" <<'END'
#!/bin/sh
case "$*" in *libjwt*) exit 1 ;; esac
exec pkg-config "$@"
END
chmod 755 "$work/pkg-config"
cd "$work"
# A tree that is configured refuses another build directory; what configure needs is a copy's.
mkdir source
cp -R "$srcdir/configure" "$srcdir/build-aux" "$srcdir/Makefile.in" source
mkdir -p source/src/base
: > source/src/base/config.h
if PKG_CONFIG="$work/pkg-config" ./source/configure --quiet > configure.log 2>&1; then
	echo "expected configure to fail without libjwt"
	exit 1
fi
grep -q 'apt-get install libjwt-dev' configure.log || {
	echo "expected the name of the package, libjwt-dev, seen:"
	cat configure.log
	exit 1
}
