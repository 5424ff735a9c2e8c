#!/bin/sh
# make deb makes a package that installs into a throw-away root with every file in its place; and on a
# machine with Debian's lighttpd, Apache and Redis (this one's files, booted in namespaces of its own)
# `lighty-enable-mod presence` or `a2enconf presence` and one `systemctl start` give a service that works.
set -eu

builddir=${ABS_BUILDDIR:-$(pwd)}
here=$(dirname "$0")
command -v dh >/dev/null || {
	echo "debhelper is not installed"
	exit 77
}
[ -z "${SANITIZE:-}" ] || {
	echo "built with sanitizers: the package would be built without anyway"
	exit 77
}

dir=$(mktemp -d /tmp/presence-deb-XXXXXX)
machine=
end() {
	# The machine's own init dies with it, and all that runs there.
	if [ -n "$machine" ]; then
		kill -9 "$machine" 2> /dev/null || :
		wait "$machine" 2> /dev/null || :
	fi
	rm -rf "$dir"
}
trap end EXIT
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
if command -v lintian > /dev/null; then
	lintian --fail-on error,warning --allow-root --tag-display-limit 0 \
		"$package" > "$dir/lintian.log" 2>&1 || { cat "$dir/lintian.log"; fail "lintian complains"; }
else
	echo "lintian is not installed, so what it says was not seen"
fi

version=$(sed -n 's/^AC_INIT(\[presence\], \[\([^]]*\).*/\1/p' "$here/../../configure.ac")
[ "$(dpkg-deb -f "$package" Version)" = "$version" ] ||
	fail "conf/debian/changelog: expected version $version, seen $(dpkg-deb -f "$package" Version)"

# Its dependencies are not in that root; the scripts see DPKG_ROOT and touch nothing outside of it.
dpkg --root="$root" --force-depends --force-not-root --force-script-chrootless \
	--log="$dir/dpkg.log" -i "$package" > "$dir/install.log" 2>&1 ||
	{ cat "$dir/install.log"; fail "dpkg -i failed"; }

for file in usr/sbin/presence-api usr/sbin/presence-streamd usr/sbin/presence-pushd usr/bin/presencectl \
	etc/presence/presence.conf etc/presence/secret.key \
	etc/lighttpd/conf-available/50-presence.conf etc/apache2/conf-available/presence.conf \
	lib/systemd/system/presence.service lib/systemd/system/presence-streamd.service lib/systemd/system/presence-streamd.socket \
	lib/systemd/system/presence-pushd.service usr/share/man/man8/presence-pushd.8.gz \
	usr/share/presence/web/presence.js usr/share/presence/schema.sql \
	usr/share/doc/presence/copyright usr/share/man/man8/presence-streamd.8.gz \
	usr/lib/sysusers.d/presence.conf usr/lib/tmpfiles.d/presence.conf \
	usr/share/doc/presence/README.md usr/share/doc/presence/docs/performance/streams.svg \
	usr/share/doc/presence/changelog.gz var/lib/dpkg/info/presence.md5sums \
	usr/share/doc/presence/examples/presence-api.fcgi; do
	[ -f "$root/$file" ] || fail "the package lays out no /$file"
done
[ "$(stat -c %a "$root/etc/presence/secret.key")" = 640 ] || fail "the key is readable for all"
[ "$(stat -c %a "$root/var/lib/presence")" = 2770 ] || fail "/var/lib/presence has other rights"
if grep -rn /usr/local "$root/etc" "$root/lib/systemd"; then
	fail "paths of another installation are left in the package"
fi
"$root/usr/bin/presencectl" --version > /dev/null || fail "presencectl does not run"
"$root/usr/sbin/presence-streamd" --help | grep -q /etc/presence/presence.conf ||
	fail "presence-streamd looks for its configuration elsewhere"
PRESENCE_AUTH_KEY_FILE=$root/etc/presence/secret.key \
	"$root/usr/bin/presencectl" -c "$root/etc/presence/presence.conf" token 1 > /dev/null ||
	fail "the configuration of the package is not accepted"

python3 "$here/../links.py" "$root/usr/share/doc/presence" "$root" || fail "links of the package's documents"
if command -v hardening-check > /dev/null; then
	hardening-check --quiet --nocfprotection "$root"/usr/bin/presencectl "$root"/usr/sbin/presence-* ||
		fail "hardening-check complains"
fi

before=$(cat "$root/etc/presence/secret.key")
dpkg --root="$root" --force-depends --force-not-root --force-script-chrootless \
	--log="$dir/dpkg.log" -i "$package" > "$dir/install.log" 2>&1 || fail "a second dpkg -i failed"
[ "$before" = "$(cat "$root/etc/presence/secret.key")" ] || fail "an update made a new key"
dpkg --root="$root" --force-not-root --force-script-chrootless --log="$dir/dpkg.log" \
	--purge presence > "$dir/purge.log" 2>&1 || { cat "$dir/purge.log"; fail "the purge failed"; }
[ ! -e "$root/etc/presence/secret.key" ] || fail "the purge left the key"

# --- the service ---

skip() {
	echo "the files are in their places; whether the service starts was not tried: $*"
	exit 77
}

for program in lighttpd apache2 redis-server lighty-enable-mod /lib/systemd/systemd nsenter curl jq; do
	command -v $program > /dev/null || skip "$program is not installed (./bootstrap --tests)"
done
[ "$(id -u)" -eq 0 ] || skip "only root may boot a machine in namespaces"
unshare -mpfnC true 2> /dev/null || skip "unshare -mpfnC is not permitted here"

make -s -C "$builddir" distdir distdir="$dir/source" > "$dir/distdir.log" 2>&1 ||
	{ cat "$dir/distdir.log"; fail "make distdir failed"; }
mkdir "$dir/machine"
unshare -mpfnC --kill-child=KILL bash "$here/deb_boot.sh" "$dir/machine" "$package" "$dir/source" \
	> "$dir/boot.log" 2>&1 &
machine=$!
init=
tries=0
until [ -n "$init" ] && nsenter -t "$init" -a -r -w systemctl is-system-running > /dev/null 2>&1; do
	tries=$((tries + 1))
	kill -0 $machine 2> /dev/null && [ $tries -lt 150 ] ||
		skip "systemd does not boot in namespaces here: $(tail -3 "$dir/boot.log")"
	sleep 0.1
	init=$(pgrep -P $machine) || init=
done
nsenter -t "$init" -a -r -w env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	TEST_SLOW="${TEST_SLOW:-1}" bash /root/presence/tests/integration/deb_service.sh > "$dir/service.log" 2>&1 || {
	cat "$dir/service.log"
	fail "the package gives no running service"
}
