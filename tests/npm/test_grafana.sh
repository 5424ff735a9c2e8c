#!/bin/bash
# conf/grafana.json is a dashboard that Grafana 10 and 11 import: checked by the schema that Grafana publishes.
set -eu

srcdir=$(readlink -f "${srcdir:-$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../..}")
modules=$srcdir/tests/npm/node_modules

[ -d "$modules/@grafana/schema-10" ] || {
	echo "SKIP: npm's tools are missing: ./bootstrap --tests"
	exit 77
}
work=$(mktemp -d "${TMPDIR:-/tmp}/presence-grafana.XXXXXX")
trap 'rm -rf "$work"' EXIT

fail() {
	printf 'FAIL: %s\n' "$*" >&2
	exit 1
}

# A word of the dashboard, and one that Grafana does not know in its place.
mistakes=(
	'"panels"/"charts"' '"timeseries"/"graph"' '"expr"/"query"' '"gridPos"/"position"' '"h": 8/"h": "8"'
	'"unit"/"units"' '"ops"/"per second"' '"templating"/"variables"' '"title": "presence"/"title": 1'
	'"schemaVersion": /"schemaVersion": "x" + ' '"title"/"uid": "fixed", "title"'
)

# The dashboard of stdin as a literal: in literals alone TypeScript refuses names it does not know.
literal() {
	cat "$srcdir/tests/npm/grafana.mts" -
	echo ';'
}

literal <"$srcdir/conf/grafana.json" >"$work/right.mts"
for i in "${!mistakes[@]}"; do
	sed "s/${mistakes[i]}/" "$srcdir/conf/grafana.json" | literal >"$work/wrong$i.mts"
	! cmp -s "$work/right.mts" "$work/wrong$i.mts" || fail "nothing to spoil: ${mistakes[i]}"
done

mkdir -p "$work/node_modules/@grafana"
for schema in schema-10 schema; do
	ln -sfn "$modules/@grafana/$schema" "$work/node_modules/@grafana/schema"
	(cd "$work" && "$modules/.bin/tsc" --strict --noEmit --target es2022 --module nodenext \
		--moduleResolution nodenext ./*.mts) >"$work/errors" || true
	! grep '^right' "$work/errors" || fail "@grafana/$schema refuses conf/grafana.json"
	for i in "${!mistakes[@]}"; do
		grep -q "^wrong$i.mts" "$work/errors" || fail "@grafana/$schema takes ${mistakes[i]}"
	done
done

# No two panels in one place, none wider than Grafana's 24 columns, each with an id of its own.
node -e '
	const { panels } = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
	const { deepStrictEqual: same } = require("node:assert");
	const taken = new Set();
	for (const { title, gridPos: { x, y, w, h } } of panels) {
		same(x >= 0 && x + w <= 24, true, `${title} is beyond 24 columns`);
		for (let column = x; column < x + w; column++)
			for (let row = y; row < y + h; row++) {
				same(taken.has(`${column} ${row}`), false, `${title} covers another panel`);
				taken.add(`${column} ${row}`);
			}
	}
	same(new Set(panels.map(({ id }) => id)).size, panels.length, "two panels have one id");
' "$srcdir/conf/grafana.json" || fail "the panels do not fit"
