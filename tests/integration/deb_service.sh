#!/bin/bash
# On the machine that deb_boot.sh booted: from Debian's lighttpd, Apache and Redis and the package to
# a running service, by what README.md and docs/operator.md say and nothing else; and without the
# package, by what docs/install.md says.
set -eu
cd /root/presence

fail() {
	echo "$*"
	systemctl --no-pager --failed || true
	journalctl --no-pager -q -n 60 || true
	exit 1
}

# Polls until the command succeeds.
wait_for() {
	local what=$1 end=$((SECONDS + 15 * ${TEST_SLOW:-1}))

	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || fail "within 15 s never: $what"
		sleep 0.1
	done
}

login() {
	curl -sS -H 'Content-Type: application/json' \
		-d "{\"email\":\"$1@example.com\",\"password\":\"a secret\"}" \
		http://127.0.0.1/api/auth/login/json | jq -re .access_token ||
		fail "$1 cannot log in through $server"
}

# A login, a call, a stream and a change on it, all through the web server.
check_service() {
	local anna friends reader stream=/tmp/stream.$server

	# Debian's lighttpd counts as started before it listens.
	wait_for "an answer from $server" curl -sf -o /tmp/health http://127.0.0.1/api/health
	[ "$(jq -r .redis /tmp/health)" = ok ] || fail "$server: $(cat /tmp/health)"
	anna=$(login anna)
	friends=$(curl -sS -H "Authorization: Bearer $anna" http://127.0.0.1/api/friends/list |
		jq -c '[.[].name]')
	[ "$friends" = '["Ben"]' ] || fail "$server: anna's friends are $friends"
	curl -sSN -H "Authorization: Bearer $anna" http://127.0.0.1/api/presence/stream \
		> "$stream" 2>&1 &
	reader=$!
	wait_for "initial through $server" grep -q '^event: initial' "$stream"
	login ben > /dev/null
	wait_for "ben's login on anna's stream through $server" \
		grep -q '"user_id":2,"is_online":true.*"reason":"login"' "$stream"
	curl -sS -d '' -H "Authorization: Bearer $anna" "http://127.0.0.1/api/auth/logout?all=true" \
		> /dev/null
	wait $reader
	grep -q '"reason":"revoked"' "$stream" || fail "$server: the logout did not end the stream"
	curl -sS -d '' -H "Authorization: Bearer $(login ben)" \
		"http://127.0.0.1/api/auth/logout?all=true" > /dev/null
	presencectl doctor --url http://127.0.0.1 --quick > /tmp/doctor 2>&1 ||
		fail "doctor finds, behind $server: $(cat /tmp/doctor)"
}

as_presence() {
	setpriv --reuid presence --regid presence --init-groups "$@"
}

systemctl is-system-running --wait > /dev/null || fail "the machine did not boot"
systemctl start redis-server lighttpd || fail "Debian's own services do not start"

printf '#!/bin/sh\n[ "$1" != -u ] || { user=$2; shift 2; }
exec setpriv --reuid ${user:-root} --regid ${user:-root} --init-groups "$@"\n' > /usr/local/bin/sudo
chmod 755 /usr/local/bin/sudo
# Debian's lighttpd counts as started before it listens; a reader is not that fast.
printf 'retry = 5\nretry-connrefused\n' > /tmp/.curlrc

# run_commands PAGE [HEADING]: the page's commands, in the directory at hand.
run_commands() {
	local list=/tmp/commands.${1##*/}

	python3 /root/presence/tests/browser/snippets.py "/root/presence/$1" sh "${@:2}" |
		grep -v '&& make deb$' > "$list"
	[ -s "$list" ] || fail "$1 has no commands"
	CURL_HOME=/tmp bash -euxo pipefail "$list" > "$list.log" 2>&1 ||
		fail "$1: $(tail -n 30 "$list.log")"
}

server=lighttpd
run_commands README.md "On a site of your own"
curl -sf http://localhost/presence/ | grep -q '<title>' || fail "no page under /presence/"
systemd-analyze verify --man=no /lib/systemd/system/presence*.{service,socket} \
	> /tmp/verify 2>&1 || fail "systemd-analyze verify: $(cat /tmp/verify)"
! grep presence /tmp/verify || fail "systemd-analyze verify complains"
id -nG www-data | grep -qw presence || fail "www-data is not in the group presence"
[ "$(stat -c '%a %U %G' /etc/presence/secret.key)" = '640 root presence' ] ||
	fail "secret.key: $(stat -c '%a %U %G' /etc/presence/secret.key)"
[ "$(stat -c '%a %U %G' /var/lib/presence/presence.db)" = '660 presence presence' ] ||
	fail "presence.db: $(stat -c '%a %U %G' /var/lib/presence/presence.db)"
for unit in presence-streamd.socket presence-streamd.service presence-api.socket; do
	systemctl is-enabled --quiet $unit || fail "$unit would not start at boot"
done
echo 'a secret' | as_presence presencectl user add --email carl@example.com --name Carl > /dev/null ||
	fail "cannot add Carl"
[ "$(stat -c '%a %U %G' /run/presence/stream.sock)" = '660 presence presence' ] ||
	fail "stream.sock: $(stat -c '%a %U %G' /run/presence/stream.sock)"
check_service
[ "$(systemctl show -P User presence-streamd)" = presence ] || fail "streamd's user"

# The page for operators: every command of it succeeds, and though it upgrades the package, friends of
# a user with a stream are never told "offline".
anna=$(login anna)
while :; do
	curl -sN -H "Authorization: Bearer $anna" http://127.0.0.1/api/presence/stream || true
done > /tmp/stream 2>&1 &
reader=$!
wait_for "anna's stream" grep -q '^event: initial' /tmp/stream
presencectl watch 1 > /tmp/changes 2>&1 &
watch=$!
mkdir /tmp/operator
cp /root/presence.deb /tmp/operator/presence_new_all.deb
(cd /tmp/operator && run_commands docs/operator.md)
[ "$(wc -l < /tmp/commands.operator.md)" -gt 30 ] || fail "docs/operator.md has few commands"
wait_for "another stream of anna's" eval '[ "$(grep -c "^event: initial" /tmp/stream)" -gt 1 ]'
! grep offline /tmp/changes || fail "anna went offline in an upgrade: $(cat /tmp/changes)"
kill $reader $watch

server=apache2
systemctl stop lighttpd
systemctl start apache2 || fail "Debian's own Apache does not start"
a2enconf presence > /tmp/enable 2>&1 || fail "a2enconf: $(cat /tmp/enable)"
systemctl start presence || fail "systemctl start presence"
check_service
systemctl is-active --quiet presence-api.service || fail "presence-api was not started for Apache"

systemctl reload presence-streamd presence-api || fail "reload"
dpkg -i /root/presence.deb > /tmp/install 2>&1 || fail "an update: $(cat /tmp/install)"
check_service
! journalctl -q -u presence-api | grep 'does not end' ||
	fail "a worker that was to end after a reload did not"
dpkg --purge presence > /tmp/purge 2>&1 || fail "the purge: $(cat /tmp/purge)"
! systemctl is-active --quiet presence-streamd.service || fail "the purge left presence-streamd"
[ ! -e /run/presence/stream.sock ] || fail "the purge left the socket"
lighttpd -tt -f /etc/lighttpd/lighttpd.conf || fail "lighttpd would not start without presence"
curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1/api/health | grep -qx 404 ||
	fail "Apache does not serve without presence"

systemctl stop apache2
systemctl start lighttpd || fail "lighttpd does not start without presence"
run_commands docs/install.md
hash -r # the package's programs are gone
[ "$(curl -s http://127.0.0.1/api/health | jq -r .redis)" = ok ] || fail "docs/install.md: no health"
[ "$(command -v presence-streamd)" = /usr/local/sbin/presence-streamd ] || fail "which presence-streamd"
echo 'a secret' | sudo -u presence presencectl user add --email ben@example.com --name Ben > /dev/null
sudo -u presence presencectl friend add 1 2
server=install.md
check_service
