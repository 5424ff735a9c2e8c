#!/bin/sh
# docs/reliability.md is true: every test that the attack table names is there, under its name, and every
# fault, property and fuzz target has its row.
set -eu

cd "${ABS_SRCDIR:-.}"
doc=docs/reliability.md
failed=0
count=0
# The second column of each row; names of tests are in backticks and without a blank, dot or slash.
for name in $(sed -n '/^## Attack table/,/^## /s/^| [^|]* | \([^|]*\) | [^|]* |$/\1/p' \
		$doc | grep -o '`[a-z][A-Za-z0-9_]*`' | tr -d '`' | sort -u); do
	count=$((count + 1))
	if ! grep -rqE "^START_TEST\($name\)" tests; then
		echo "$doc names $name, which is no test"
		failed=1
	fi
done
[ $count -ge 40 ] || {
	echo "only $count tests are named in the table: has its form changed?"
	failed=1
}

rows=0
for name in $(sed -n 's/^	{"\([a-z-]*\)",.*/\1/p' tests/chaos/faults.c tests/chaos/properties.c) \
		$(ls tests/fuzz/fuzz_*.c | sed 's/.*fuzz_\(.*\)\.c/\1/'); do
	rows=$((rows + 1))
	if ! grep -q "^|[^|]*\`$name\`" $doc; then
		echo "$doc has no row with $name"
		failed=1
	fi
done
[ $rows -ge 60 ] || {
	echo "only $rows faults, properties and fuzz targets were found: has the form of their tables changed?"
	failed=1
}
echo "$count tests are named, $rows faults, properties and fuzz targets have a row"
exit $failed
