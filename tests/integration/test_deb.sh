#!/bin/sh
# make deb makes a package that installs into a throw-away root with every file in its place.
set -eu

builddir=${ABS_BUILDDIR:-$(pwd)}
command -v dpkg-shlibdeps >/dev/null || {
	echo "dpkg-dev is not installed"
	exit 77
}
[ -z "${SANITIZE:-}" ] || {
	echo "built with sanitizers: the package would be built without anyway"
	exit 77
}

dir=$(mktemp -d /tmp/presence-deb-XXXXXX)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

fail() {
	echo "$*"
	exit 1
}

make -s -C "$builddir" deb DEB_DIR="$dir" || fail "make deb failed"
package=$(echo "$dir"/presence_*.deb)
[ -f "$package" ] || fail "no package in $dir"

root=$dir/root
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
: > "$root/var/lib/dpkg/status"
# Its dependencies are not in that root; the scripts see DPKG_ROOT and touch nothing outside of it.
dpkg --root="$root" --force-depends --force-not-root --force-script-chrootless \
	--log="$dir/dpkg.log" -i "$package" > "$dir/install.log" 2>&1 ||
	{ cat "$dir/install.log"; fail "dpkg -i failed"; }

for file in usr/sbin/presence-api usr/sbin/presence-streamd usr/bin/presencectl \
	etc/presence/presence.conf etc/presence/secret.key \
	etc/lighttpd/conf-available/50-presence.conf etc/apache2/conf-available/presence.conf \
	usr/lib/systemd/system/presence-streamd.service usr/lib/systemd/system/presence-streamd.socket \
	usr/share/presence/web/presence.js usr/share/presence/schema.sql \
	usr/share/doc/presence/copyright usr/share/man/man8/presence-streamd.8.gz \
	usr/share/doc/presence/examples/presence-api.fcgi; do
	[ -f "$root/$file" ] || fail "the package lays out no /$file"
done
[ "$(stat -c %a "$root/etc/presence/secret.key")" = 640 ] || fail "the key is readable for all"
[ "$(stat -c %a "$root/var/lib/presence")" = 2770 ] || fail "/var/lib/presence has other rights"
if grep -rn /usr/local "$root/etc" "$root/usr/lib/systemd"; then
	fail "paths of another installation are left in the package"
fi
"$root/usr/bin/presencectl" --version > /dev/null || fail "presencectl does not run"
"$root/usr/sbin/presence-streamd" --help | grep -q /etc/presence/presence.conf ||
	fail "presence-streamd looks for its configuration elsewhere"
PRESENCE_AUTH_KEY_FILE=$root/etc/presence/secret.key \
	"$root/usr/bin/presencectl" -c "$root/etc/presence/presence.conf" token 1 > /dev/null ||
	fail "the configuration of the package is not accepted"

before=$(cat "$root/etc/presence/secret.key")
dpkg --root="$root" --force-depends --force-not-root --force-script-chrootless \
	--log="$dir/dpkg.log" -i "$package" > "$dir/install.log" 2>&1 || fail "a second dpkg -i failed"
[ "$before" = "$(cat "$root/etc/presence/secret.key")" ] || fail "an update made a new key"
dpkg --root="$root" --force-not-root --force-script-chrootless --log="$dir/dpkg.log" \
	--purge presence > "$dir/purge.log" 2>&1 || { cat "$dir/purge.log"; fail "the purge failed"; }
[ ! -e "$root/etc/presence/secret.key" ] || fail "the purge left the key"
