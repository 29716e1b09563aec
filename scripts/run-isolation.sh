#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Run the isolation specs of specs/ against a private server and compare with expected/.
#
#   scripts/run-isolation.sh [NAME ...]     without names: all of them, in alphabetical order
#
# Output, environment and exit status are those of run-regress.sh; names are isolation/NAME.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
as="$here/scripts/as-postgres.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/backstream-isolation-XXXXXX")
chmod 755 "$work"
tree=${BACKSTREAM_TREE:-$work/tree}

finish() {
	status=$?
	"$here/scripts/private-server.sh" stop "$work" || true
	if [ -n "${KEEP:-}" ]; then
		echo "# kept: $work"
	else
		rm -rf "$work"
	fi
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

names=$*
if [ $# -eq 0 ]; then
	for f in "$here"/specs/*.spec; do
		[ ! -e "$f" ] || names="$names $(basename "$f" .spec)"
	done
fi
if [ -z "$names" ]; then
	echo "# there are no specs"
	exit 0
fi

BS_ASSERT=${BS_ASSERT:-1} "$here/scripts/server-tree.sh" "$tree" >"$work/build.log" 2>&1 || {
	cat "$work/build.log"
	echo "not ok 1 - isolation/build"
	exit 1
}
. "$tree/env"

# What runs as another user must be able to read it.
mkdir -p "$work/in/specs" "$work/in/expected" "$work/out"
cp "$here"/specs/*.spec "$work/in/specs/"
for name in $names; do
	# Without a file to compare with a test fails; pg_isolation_regress would stop there.
	cp "$here/expected/$name.out" "$work/in/expected/" 2>/dev/null || : >"$work/in/expected/$name.out"
done
[ "$(id -u)" -ne 0 ] || chown -R "$("$as" id -u)" "$work/in" "$work/out"

"$here/scripts/private-server.sh" start "$work" "$tree" <<END || {
backstream.listen = ''
backstream.memory = '64MB'
log_min_messages = warning
restart_after_crash = off
END
	echo "not ok 1 - isolation/start"
	exit 1
}
cd "$work"
export PGHOST="$work/socket" PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
"$as" psql -X -q -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION backstream' || {
	echo "not ok 1 - isolation/extension"
	exit 1
}

status=0
# shellcheck disable=SC2086
"$as" "$PGLIBDIR/pgxs/src/test/isolation/pg_isolation_regress" --use-existing --dbname=postgres \
	--user=postgres --host="$PGHOST" --port=5432 --inputdir="$work/in" --outputdir="$work/out" \
	$names >"$work/isolation.log" 2>&1 || status=1
awk '/^test .* \.\.\. / {
		n++
		result = ($0 ~ /\.\.\. ok/) ? "ok" : "not ok"
		print result " " n " - isolation/" $2
	}' "$work/isolation.log"
if ! grep -q '^test ' "$work/isolation.log"; then
	cat "$work/isolation.log"
	echo "not ok 1 - isolation/run"
	status=1
fi
if [ $status -ne 0 ]; then
	cat "$work/out/regression.diffs" "$work/out/output_iso/regression.diffs" 2>/dev/null || true
fi
if grep -E 'PANIC|TRAP:|terminated by signal' "$work/server.log"; then
	echo "not ok - isolation/server stayed up"
	status=1
fi
exit $status
