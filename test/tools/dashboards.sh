#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
#
# dashboards.sh: grafana/dashboards is what grafana/src builds, byte for byte, and what @grafana/schema takes for dashboards.
# Needs npm, and its registry (or its cache): without them it is skipped, and says so.  The queries have a test of their
# own that needs neither: t/066_dashboards.pl.
set -u
cd "$(dirname "$0")/../.." || exit 1
passed=0
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/backstream-dashboards-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

check()
{
	local name=$1
	shift
	if "$@" >"$work/log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $name"
		tail -n 30 "$work/log"
	fi
}

# What is not there is not tried, loudly.
skip()
{
	echo "SKIPPED: dashboards are not built again: $1"
	exit 0
}

command -v npm >/dev/null || skip "there is no npm"
mkdir "$work/grafana"
cp -r grafana/package.json grafana/package-lock.json grafana/tsconfig.json grafana/src grafana/dashboards "$work/grafana/"
cd "$work/grafana" || exit 1
if ! timeout 240 npm ci --ignore-scripts --no-audit --no-fund --prefer-offline >"$work/npm.log" 2>&1; then
	tail -n 15 "$work/npm.log"
	# The lock file does not fit: that is no lack of a network.
	if grep -q 'npm error code EUSAGE' "$work/npm.log"; then
		echo "dashboards: 0 passed, 1 failed"
		exit 1
	fi
	skip "npm could not fetch packages"
fi

check "the sources compile" npx --no-install tsc
mv dashboards committed
check "they run" node build/build.js dashboards
check "dashboards are what the sources build (npm run build, and commit)" diff -r committed dashboards
check "the JSON is read" node build/typed.js committed build/typed-json
check "it is what @grafana/schema says" npx --no-install tsc -p build/typed-json

# It would be noticed if it were not: in an option, in a field, in a panel's kind.
misspelled()
{
	rm -rf wrong
	cp -r committed wrong
	sed -i "0,/$2/s//$3/" "wrong/$1.json"
	! cmp -s "committed/$1.json" "wrong/$1.json" && node build/typed.js wrong build/typed-json &&
		! npx --no-install tsc -p build/typed-json
}
check "a misspelled option is noticed" misspelled health '"displayMode"' '"displayMood"'
check "a value that there is not is noticed" misspelled security '"drawStyle": "bars"' '"drawStyle": "candles"'

echo "dashboards: $passed passed, $failed failed"
[ $failed -eq 0 ]
