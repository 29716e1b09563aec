#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Put the table of settings that the server has into README.md, as t/090_documents.pl wants it.
#
#   scripts/update-readme.sh
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

"$here/scripts/run-tap.sh" t/090_documents.pl >"$work/log" 2>&1 || true
if grep -q '^ok .* the table of settings' "$work/log"; then
	echo "README.md is as it should be"
	exit 0
fi
sed -n '/^# It should be:/,/^# *$/p' "$work/log" | sed -n 's/^# \(| .*\)/\1/p' >"$work/table"
if [ ! -s "$work/table" ]; then
	cat "$work/log"
	exit 1
fi
awk -v table="$work/table" '
	/^<!-- end of settings -->/ { while ((getline line < table) > 0) print line; inside = 0 }
	!inside { print }
	/^<!-- settings -->/ { heading = 2 }
	heading && /^\|/ && --heading == 0 { inside = 1 }' "$here/README.md" >"$work/readme"
cat "$work/readme" >"$here/README.md"
git -C "$here" --no-pager diff --stat -- README.md || true
