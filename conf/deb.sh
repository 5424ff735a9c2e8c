#!/bin/bash
# make deb: a Debian package from the source tarball that `make dist` made, with Debian's own tools.
#   deb.sh TARBALL OUTPUT_DIRECTORY
# Needs dpkg-dev besides what ./bootstrap installs. Prints the package's path.
set -eu

tarball=$(readlink -f "$1")
out=$(readlink -f "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v dpkg-shlibdeps >/dev/null || {
	echo "make deb needs dpkg-dev" >&2
	exit 1
}

tar -C "$work" -xf "$tarball"
source=$(echo "$work"/presence-*)
version=${source##*/presence-}
stage=$work/stage

cd "$source"
{
	./configure --quiet --prefix=/usr --sysconfdir=/etc --localstatedir=/var CFLAGS='-O2 -g'
	make -s
	make -s install DESTDIR="$stage"
	strip "$stage"/usr/bin/* "$stage"/usr/sbin/*
} >&2

examples=$stage/usr/share/doc/presence/examples
install -d "$stage/etc/presence" "$stage/etc/lighttpd/conf-available" \
	"$stage/etc/apache2/conf-available" "$stage/usr/lib/tmpfiles.d" "$stage/DEBIAN"
# As Debian installs Redis: on TCP, without a Unix socket.
sed 's|"unix:///run/redis/redis-server.sock"|"redis://127.0.0.1:6379/0"|' \
	"$examples/presence.conf" > "$stage/etc/presence/presence.conf"
cp "$examples/lighttpd.conf" "$stage/etc/lighttpd/conf-available/50-presence.conf"
# Streams and calls by mod_proxy_fcgi, which comes with Apache; mod_fcgid is another package.
{
	cat conf/debian/apache-modules.conf
	sed 's|^#Define presence_api_socket|Define presence_api_socket|' \
		"$examples/apache-proxy-fcgi.conf"
} > "$stage/etc/apache2/conf-available/presence.conf"
echo 'd /run/presence 0755 presence presence -' > "$stage/usr/lib/tmpfiles.d/presence.conf"
install -m 644 LICENSE "$stage/usr/share/doc/presence/copyright"
install -m 644 README.md docs/*.md "$stage/usr/share/doc/presence/"
gzip -9n "$stage"/usr/share/man/man*/*

mkdir debian
printf 'Source: presence\n\nPackage: presence\nArchitecture: any\n' > debian/control
shlibs=$(dpkg-shlibdeps -O "$stage"/usr/bin/* "$stage"/usr/sbin/* | sed 's/^shlibs:Depends=//')
control=$(<conf/debian/control.in)
control=${control//@VERSION@/$version}
control=${control//@ARCH@/$(dpkg --print-architecture)}
printf '%s\n' "${control//@SHLIBS@/$shlibs}" > "$stage/DEBIAN/control"
for script in postinst prerm postrm; do
	install -m 755 "conf/debian/$script" "$stage/DEBIAN/$script"
done
(cd "$stage" && find etc -type f | sort | sed 's|^|/|' > DEBIAN/conffiles)

package=$out/presence_${version}_$(dpkg --print-architecture).deb
dpkg-deb --root-owner-group --build "$stage" "$package" >&2
echo "$package"
