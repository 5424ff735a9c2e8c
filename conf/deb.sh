#!/bin/bash
# make deb: a Debian package from the source tarball that `make dist` made, by debhelper.
#   deb.sh TARBALL OUTPUT_DIRECTORY
# Needs debhelper besides what ./bootstrap installs. Prints the package's path.
set -eu

tarball=$(readlink -f "$1")
out=$(readlink -f "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v dh >/dev/null || {
	echo "make deb needs debhelper: apt-get install debhelper" >&2
	exit 1
}

tar -C "$work" -xf "$tarball"
cd "$work"/presence-*
cp -R conf/debian debian
export DEB_BUILD_OPTIONS="parallel=$(nproc) noautodbgsym"
# What make says to its sub-makes is not meant for this one.
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL dpkg-buildpackage --build=binary --no-sign >&2
mv "$work"/presence_*.deb "$out"
echo "$out"/presence_"$(dpkg-parsechangelog -S Version)"_*.deb
