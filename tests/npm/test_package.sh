#!/bin/bash
# The npm package as an application would find it: types, formats, size, and its parser.
set -eu

srcdir=$(readlink -f "${srcdir:-$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../..}")
tools=$srcdir/tests/npm/node_modules/.bin
size_max=6144 # bytes of the minified core, compressed

[ -x "$tools/tsc" ] || {
	echo "SKIP: npm's tools are missing: ./bootstrap --tests"
	exit 77
}
work=$(mktemp -d "${TMPDIR:-/tmp}/presence-npm.XXXXXX")
trap 'rm -rf "$work"' EXIT

fail() {
	printf 'FAIL: %s\n' "$*" >&2
	exit 1
}

bash "$srcdir/conf/npm.sh" "$srcdir" "$work" >/dev/null
package=$work/package
tgz=$(echo "$work"/presence-client-*.tgz)

version=$(sed -n 's/^AC_INIT(\[presence\], \[\(.*\)\], .*/\1/p' "$srcdir/configure.ac" | cut -d']' -f1)
grep -q "\"version\": \"$version\"" "$package/package.json" ||
	fail "expected the version of configure.ac, $version, in package.json"

"$tools/publint" --strict "$package" || fail "publint finds something"
"$tools/attw" "$tgz" --profile esm-only --no-color || fail "attw finds something"

# What a bundler takes of it for the client.
echo 'export { PresenceClient } from "./presence.js";' >"$package/core.js"
size=$("$tools/esbuild" "$package/core.js" --bundle --minify --target=es2022 --format=esm |
	gzip -9c | wc -c)
rm "$package/core.js"
[ "$size" -le $size_max ] || fail "the core has $size bytes, expected $size_max at most"
echo "the core has $size bytes of $size_max"

mkdir -p "$work/app/node_modules"
for module in "$srcdir"/tests/npm/node_modules/{react,@types}; do
	ln -s "$module" "$work/app/node_modules/"
done
tar -xzf "$tgz" -C "$work/app/node_modules"
mv "$work/app/node_modules/package" "$work/app/node_modules/presence-client"
cp "$srcdir/tests/npm/consumer.mts" "$work/app/"
cd "$work/app"
"$tools/tsc" --strict --noEmit --target es2022 --module nodenext --moduleResolution nodenext \
	--lib es2022,dom consumer.mts || fail "a strict application does not compile"

# A classic script: one name, and nothing else.
node -e '
	const vm = require("node:vm");
	const window = vm.createContext({ EventTarget, Event });
	vm.runInContext(require("node:fs").readFileSync(process.argv[1], "utf8"), window);
	if (typeof window.Presence.PresenceClient !== "function") process.exit(1);
' "$package/dist/presence.global.js" || fail "dist/presence.global.js does not define Presence"

PRESENCE_JS=$package/presence.js node --test "$srcdir/tests/npm/parser.test.mjs" ||
	fail "the parser differs"
