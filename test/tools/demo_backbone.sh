#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
#
# demo_backbone.sh: make demo-backbone in short: little traffic, once; it ends with exact sums, shows what
# it promises, and leaves nothing behind.
#
#   demo_backbone.sh [BUILD_FOLDER]

set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/backstream-try-XXXXXX")
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# check NAME COMMAND...
check()
{
	local name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		echo "FAILED: $name"
		failed=$((failed + 1))
	fi
}
says() { grep -qE -- "$1" "$work/output"; }
is_empty() { [ -z "$(ls -A "$1")" ]; }

mkdir "$work/tmp"
chmod 755 "$work/tmp"
TMPDIR=$work/tmp BACKSTREAM_DEMO_RATE=1500 BACKSTREAM_DEMO_HIGHEST=3000 BACKSTREAM_DEMO_REPETITIONS=1 \
	BACKSTREAM_DEMO_SECONDS=1 BACKSTREAM_DEMO_WINDOWS=1 "$here/scripts/demo-backbone.sh" >"$work/output" 2>&1
status=$?
check "it ends well" [ $status -eq 0 ]
check "exact sums" says '^  1  sent [0-9,]+ records   counted [0-9,]+ records, [0-9,]+ bytes   exact$'
check "a search" says '^ +3,000 records/s and node: '
check "a warning" says '^WARNING:  the result lacks what node "node_2" has counted'
check "an error" says '^ERROR:  node "node_2": '
check "two of three" says 'closed \| f +\| +[0-9]+ \| +3 \| +2$'
check "a node that is away" says '^ node_2 \| unreachable '
check "a gap" says 'closed \| t +\| +[0-9]+ \| +3 \| +2$'
check "complete again" says 'closed \| f +\| +[0-9]+ \| +3 \| +3$'
check "marked windows" says 'incomplete, and says so$'
check "exact windows" says 'complete, exact$'
check "no others" eval '! says DIFFERENT'
check "a verdict" says 'EXACT: every sum'
check "nothing is left" is_empty "$work/tmp"
check "no process either" eval '! pgrep -f -- "$work/tmp" >/dev/null'
[ $failed -eq 0 ] || tail -n 120 "$work/output"
echo "demo_backbone: $passed passed, $failed failed"
[ $failed -eq 0 ]
