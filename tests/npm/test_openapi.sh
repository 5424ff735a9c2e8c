#!/bin/sh
# docs/openapi.yaml: linted, and compared with every answer that the integration tests were given. Runs
# after all of them; what they were answered is in $TEST_ANSWERS.
set -eu

srcdir=${ABS_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}

skip() {
	echo "SKIP: $*"
	exit 77
}

[ -d "$srcdir/tests/npm/node_modules/ajv" ] || skip "npm's tools are missing: ./bootstrap --tests"
ls "${TEST_ANSWERS:?}"/*.ndjson >/dev/null 2>&1 || skip "no integration test has run: make check"

version=$(sed -n 's/^AC_INIT(\[presence\], \[\([^]]*\).*/\1/p' "$srcdir/configure.ac")
grep -qx "  version: $version" "$srcdir/docs/openapi.yaml" || {
	echo "FAIL: docs/openapi.yaml: expected version $version"
	exit 1
}
node "$srcdir/tests/npm/answers.mjs" "$srcdir/docs/openapi.yaml" "$srcdir/src/api/main.c" "$TEST_ANSWERS"
