#!/bin/sh
# The attack table in docs/reliability.md is true: every test that it names is there, under its name.
set -eu

cd "${ABS_SRCDIR:-.}"
failed=0
count=0
# The second column of each row; names of tests are in backticks and without a blank, dot or slash.
for name in $(sed -n '/^## Attack table/,/^## /s/^| [^|]* | \([^|]*\) | [^|]* |$/\1/p' \
		docs/reliability.md | grep -o '`[a-z][A-Za-z0-9_]*`' | tr -d '`' | sort -u); do
	count=$((count + 1))
	if ! grep -rqE "^START_TEST\($name\)" tests; then
		echo "docs/reliability.md names $name, which is no test"
		failed=1
	fi
done
[ $count -ge 40 ] || {
	echo "only $count tests are named in the table: has its form changed?"
	failed=1
}
echo "$count tests are named"
exit $failed
