#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
#
# reference.sh: docs/reference.md says what the server says of itself and what its source can say, and a message
# that nobody explains, or an explanation of none, is noticed.
set -u
cd "$(dirname "$0")/../.." || exit 1
passed=0
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/backstream-messages-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

check()
{
	if [ "$2" = 0 ]; then
		passed=$((passed + 1))
	else
		echo "FAILED: $1"
		failed=$((failed + 1))
	fi
}

scripts/update-reference.sh --check
check "docs/reference.md is up to date" $?

errcodes=$(${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config} --sharedir)/errcodes.txt
mkdir "$work/src" "$work/receiver" "$work/scripts" "$work/sql"
cp -r src/*.[ch] src/engine "$work/src/"
cp receiver/*.h "$work/receiver/"
cp scripts/messages.* "$work/scripts/"
cp sql/backstream--*.sql "$work/sql/"
"$work/scripts/messages.pl" "$errcodes" >/dev/null
check "all messages are explained" $?
# noticed WHAT FILE TEXT: with that text in that file it is an error that says so.
noticed()
{
	cp "$2" "$work/saved"
	printf '%s\n' "$3" >>"$2"
	! "$work/scripts/messages.pl" "$errcodes" >/dev/null 2>"$work/error" && grep -qF "$4" "$work/error"
	check "$1" $?
	cp "$work/saved" "$2"
}
noticed "a message without a hint" "$work/src/final.c" \
	'void f(void) { ereport(ERROR, (errcode(ERRCODE_IO_ERROR), errmsg("there" " is none"))); }' "final.c:"
noticed "a message that is put together" "$work/src/final.c" \
	'void f(const char *s) { ereport(ERROR, errmsg("%s", s), errhint("Wait.")); }' "final.c: %s"
noticed "an explanation of nothing" "$work/scripts/messages.txt" 'not to be found => Nothing.' "not to be found"

echo "reference: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
