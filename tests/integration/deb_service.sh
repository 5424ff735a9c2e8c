#!/bin/bash
# On the machine that deb_boot.sh booted: from Debian's lighttpd, Apache and Redis and the package to
# a running service, by what docs/systemd.md says and nothing else.
set -eu

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
	[ "$friends" = '["Bert"]' ] || fail "$server: anna's friends are $friends"
	curl -sSN -H "Authorization: Bearer $anna" http://127.0.0.1/api/presence/stream \
		> "$stream" 2>&1 &
	reader=$!
	wait_for "initial through $server" grep -q '^event: initial' "$stream"
	login bert > /dev/null
	wait_for "bert's login on anna's stream through $server" \
		grep -q '"user_id":2,"is_online":true.*"reason":"login"' "$stream"
	curl -sS -d '' -H "Authorization: Bearer $anna" "http://127.0.0.1/api/auth/logout?all=true" \
		> /dev/null
	wait $reader
	grep -q '"reason":"revoked"' "$stream" || fail "$server: the logout did not end the stream"
	curl -sS -d '' -H "Authorization: Bearer $(login bert)" \
		"http://127.0.0.1/api/auth/logout?all=true" > /dev/null
	presencectl doctor --url http://127.0.0.1 --quick > /tmp/doctor 2>&1 ||
		fail "doctor finds, behind $server: $(cat /tmp/doctor)"
}

as_presence() {
	setpriv --reuid presence --regid presence --init-groups "$@"
}

systemctl is-system-running --wait > /dev/null || fail "the machine did not boot"
systemctl start redis-server lighttpd || fail "Debian's own services do not start"

dpkg -i /root/presence.deb > /tmp/install 2>&1 || fail "dpkg -i: $(cat /tmp/install)"
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
for name in Anna Bert Carl; do
	echo 'a secret' | as_presence presencectl user add --email "${name,}@example.com" \
		--name $name > /dev/null || fail "cannot add $name"
done
as_presence presencectl friend add 1 2

server=lighttpd
lighty-enable-mod presence > /tmp/enable 2>&1 || fail "lighty-enable-mod: $(cat /tmp/enable)"
systemctl start presence || fail "systemctl start presence"
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
python3 /root/snippets.py /root/operator.md sh > /tmp/operator/commands
[ "$(wc -l < /tmp/operator/commands)" -gt 30 ] || fail "docs/operator.md has no commands"
(cd /tmp/operator && bash -euxo pipefail commands) > /tmp/commands.log 2>&1 ||
	fail "docs/operator.md: $(tail -n 30 /tmp/commands.log)"
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
