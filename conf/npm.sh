#!/bin/bash
# npm.sh SRCDIR DEST: makes the npm package presence-client in the directory DEST, with types and with
# builds for a classic <script>. Its tools are those of tests/npm: ./bootstrap --tests.
set -eu

srcdir=$(readlink -f "$1")
mkdir -p "$2"
dest=$(readlink -f "$2")
tools=$srcdir/tests/npm/node_modules

[ -x "$tools/.bin/tsc" ] || {
	echo "npm.sh: the tools are missing: ./bootstrap --tests" >&2
	exit 1
}
rm -rf "$dest/package"
mkdir -p "$dest/package"
cd "$dest/package"
for file in presence.js extras.js react.js service-worker.js package.json README.md; do
	cp "$srcdir/src/web/$file" .
done
cp "$srcdir/LICENSE" .
# Where React's types are found; not part of the package.
ln -s "$tools" node_modules
"$tools/.bin/tsc" --allowJs --declaration --emitDeclarationOnly --strict --target es2022 \
	--module nodenext --moduleResolution nodenext --lib es2022,dom,dom.iterable --skipLibCheck \
	--outDir types presence.js extras.js react.js
rm node_modules
bundle() {
	"$tools/.bin/esbuild" --bundle --minify --target=es2022 --sourcemap \
		--log-level=warning "$@"
}
bundle presence.js --format=esm --outfile=dist/presence.min.js
# A classic script has everything.
printf 'export * from "./presence.js";\nexport * from "./extras.js";\n' >all.js
bundle all.js --format=iife --global-name=Presence --outfile=dist/presence.global.js
rm all.js
cd "$dest"
npm pack --silent ./package
