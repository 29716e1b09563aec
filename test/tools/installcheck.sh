#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
#
# installcheck.sh: `make installcheck` runs the regression tests on a server that is configured for it, as
# often as one likes, tells a test that fails, and says what is missing on a server that is not.  Three
# scripts and a spec stand for all of them: what they all say is run-regress.sh's and run-isolation.sh's part.
set -u
cd "$(dirname "$0")/../.." || exit 1
here=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/backstream-installcheck-XXXXXX") || exit 1
chmod 755 "$work"
tree=${BACKSTREAM_TREE:-$work/tree}
passed=0
failed=0
trap 'for d in bare ready; do scripts/private-server.sh stop "$work/$d"; done; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

check()
{
	if [ "$2" = 0 ]; then
		passed=$((passed + 1))
	else
		echo "FAILED: $1"
		sed 's/^/    /' "$work/log" | tail -n 40
		failed=$((failed + 1))
	fi
}

# installcheck SERVER [VARIABLE=VALUE...]
installcheck()
{
	local server=$1
	shift
	env -u PGDATABASE -u MAKEFLAGS PGHOST="$work/$server/socket" PGPORT=5432 PGUSER=postgres \
		make --no-print-directory REGRESS='base packs rename' ISOLATION=remember_failed "$@" installcheck >"$work/log" 2>&1
}

BS_ASSERT=${BS_ASSERT:-1} scripts/server-tree.sh "$tree" >"$work/log" 2>&1
check "the extension is built" $?
mkdir -m 755 "$work/bare" "$work/ready"
scripts/private-server.sh start "$work/bare" "$tree" <<END >"$work/log" 2>&1
shared_preload_libraries = ''
END
check "a server without the library starts" $?
scripts/private-server.sh start "$work/ready" "$tree" <<END >"$work/log" 2>&1
backstream.database = 'contrib_regression'
backstream.listen = ''
END
check "a server that is ready starts" $?

installcheck nowhere
[ $? -ne 0 ] && grep -q '^installcheck: the server cannot be reached' "$work/log"
check "no server: says so" $?
installcheck bare
[ $? -ne 0 ] && grep -q '^installcheck: backstream is not in the server.s shared_preload_libraries' "$work/log" &&
	grep -q "^    shared_preload_libraries = 'backstream'" "$work/log"
check "the library is not loaded: says so, and what to do" $?
! grep -q '^test ' "$work/log"
check "no test was run then" $?

installcheck ready
check "the tests pass on the server that is ready" $?
[ "$(grep -cE '^test .* ok ' "$work/log")" = 4 ]
check "all four were run" $?
installcheck ready
check "and pass again" $?

# A test that cannot pass: the sources, read by way of another folder.
mkdir "$work/wrong" && cp -r "$here"/Makefile "$here"/mk "$here"/scripts "$here"/sql "$here"/expected "$here"/specs \
	"$work/wrong/"
sed -i 's/tumble/tumbled/' "$work/wrong/expected/base.out"
(cd "$work/wrong" && installcheck ready)
[ $? -ne 0 ] && grep -qE '^test base .* FAILED' "$work/log"
check "a test that fails is told" $?

echo "installcheck: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
