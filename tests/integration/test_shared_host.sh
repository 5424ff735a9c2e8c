#!/bin/bash
# The commands of docs/shared-host.md, from the page: in a folder of one's own, for an Apache that knows
# nothing of presence, they give calls and streams.
set -eu

builddir=${ABS_BUILDDIR:-$(pwd)}
srcdir=${ABS_SRCDIR:-$(readlink -f "$(dirname "$0")/../..")}
PATH=$PATH:/usr/sbin:/sbin
modules=/usr/lib/apache2/modules
for program in apache2 redis-server curl; do
	command -v $program >/dev/null || {
		echo "$program is not installed"
		exit 77
	}
done
[ -e $modules/mod_fcgid.so ] || {
	echo "mod_fcgid is not installed"
	exit 77
}

dir=$(mktemp -d /tmp/presence-host-XXXXXX)
export HOME=$dir/home
pids=()
finish() {
	local status=$?

	trap - EXIT HUP INT TERM
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	[ $status -eq 0 ] || tail -n 40 "$dir"/*.log
	rm -rf "$dir"
	exit $status
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

# The site's owner: nobody in particular, where the test runs as root.
owner=()
[ "$(id -u)" -ne 0 ] || owner=(setpriv --reuid www-data --regid www-data --clear-groups)

# Below those that the system gives to connections.
free_port() {
	local port

	while port=$((10000 + RANDOM % 20000)); do
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
}
redis_port=$(free_port)
web_port=$(free_port)

# What ./bootstrap would build is built already.
mkdir -p "$HOME/source" "$HOME/public_html"
make -s -C "$builddir" install prefix="$HOME/presence" sysconfdir="$HOME" >"$dir/install.log" 2>&1
cp -R "$srcdir/conf" "$HOME/source"
cat >"$HOME/source/bootstrap" <<'END'
#!/bin/sh
printf 'install:\n' >Makefile
END
chmod 755 "$HOME/source/bootstrap" "$dir"
[ "$(id -u)" -ne 0 ] || chown -R www-data:www-data "$dir"

"${owner[@]}" redis-server --bind 127.0.0.1 --port "$redis_port" --save '' --dir "$dir" >"$dir/redis.log" 2>&1 &
pids+=($!)
{
	for module in mpm_event authz_core env alias headers rewrite setenvif mime dir fcgid; do
		echo "LoadModule ${module}_module $modules/mod_$module.so"
	done
	cat <<END
ServerName localhost
Listen 127.0.0.1:$web_port
PidFile $dir/apache.pid
DefaultRuntimeDir $dir
Mutex file:$dir default
ErrorLog $dir/apache.log
FcgidIPCDir $dir/fcgid
FcgidProcessTableFile $dir/fcgid.shm
TypesConfig /etc/mime.types
DocumentRoot $HOME/public_html
<Directory $HOME/public_html>
	Require all granted
	AllowOverride AuthConfig FileInfo Options
</Directory>
END
} >"$dir/apache.conf"
"${owner[@]}" apache2 -D FOREGROUND -d "$dir" -f "$dir/apache.conf" >"$dir/apache-out.log" 2>&1 &
pids+=($!)
end=$((SECONDS + 15 * ${TEST_SLOW:-1}))
until (exec 3<>"/dev/tcp/127.0.0.1/$web_port") 2>/dev/null &&
	[ "$(redis-cli -p "$redis_port" ping 2>/dev/null)" = PONG ]; do
	[ $SECONDS -lt $end ] || {
		echo "Apache or Redis does not listen"
		exit 1
	}
	sleep 0.1
done

python3 "$srcdir/tests/browser/snippets.py" "$srcdir/docs/shared-host.md" sh |
	sed -e "s|127.0.0.1:6379|127.0.0.1:$redis_port|" -e "s|https://example.com|http://127.0.0.1:$web_port|" \
		>"$dir/commands.sh"
chmod 644 "$dir/commands.sh"
(cd "$HOME/source" && "${owner[@]}" bash -euxo pipefail "$dir/commands.sh") >"$dir/commands.log" 2>&1
for part in '{"status":"ok","redis":"ok"}' 'event: connected' 'event: initial'; do
	grep -qF "$part" "$dir/commands.log" || {
		echo "expected $part in what the commands say"
		exit 1
	}
done
curl -fsS -o /dev/null "http://127.0.0.1:$web_port/presence/presence.js"
# The stream of figures goes the same way.
token=$("${owner[@]}" "$HOME/presence/bin/presencectl" -c "$HOME/presence/presence.conf" token 1 --scope admin)
curl -sN -m $((10 * ${TEST_SLOW:-1})) -H "Authorization: Bearer $token" \
	"http://127.0.0.1:$web_port/api/presence/stream/admin" | grep -q '^event: figures' || {
	echo "no figures come"
	exit 1
}
