#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Run the SQL scripts of sql/ against a private server and compare with expected/.
#
#   scripts/run-regress.sh [NAME ...]     without names: all of them, in alphabetical order
#
# Prints a line "ok N - regress/NAME" or "not ok N - regress/NAME" for each, the differences of those
# that failed, and exits with 1 if any did.  Environment: BACKSTREAM_TREE is a tree of
# server-tree.sh to use again (else one is made and removed); KEEP=1 leaves the working directory
# there, with the results.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
as="$here/scripts/as-postgres.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}"/backstream-regress-XXXXXX)
chmod 755 "$work"
tree=${BACKSTREAM_TREE:-$work/tree}

finish() {
	status=$?
	if [ -e "$work/data/postmaster.pid" ]; then
		"$as" pg_ctl -D "$work/data" -m immediate -w stop >/dev/null 2>&1 || true
	fi
	if [ -n "${KEEP:-}" ]; then
		echo "# kept: $work"
	else
		rm -rf "$work"
	fi
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

BS_ASSERT=${BS_ASSERT:-1} "$here/scripts/server-tree.sh" "$tree" >"$work/build.log" 2>&1 || {
	cat "$work/build.log"
	echo "not ok 1 - regress/build"
	exit 1
}
. "$tree/env"

# What runs as another user must be able to read it.
mkdir -p "$work/in/sql" "$work/in/expected" "$work/out" "$work/socket"
# Whoever can reach the socket is superuser there.
chmod 700 "$work/socket"
names=
for f in "$here"/sql/*.sql; do
	name=$(basename "$f" .sql)
	case $name in *--*) continue ;; esac
	cp "$f" "$work/in/sql/"
	names="$names $name"
done
cp "$here"/expected/*.out "$work/in/expected/" 2>/dev/null || true
[ $# -eq 0 ] || names="$*"
# Without a file to compare with a test fails; pg_regress would stop there.
for name in $names; do
	[ -e "$work/in/expected/$name.out" ] || : >"$work/in/expected/$name.out"
done
"$as" true
if [ "$(id -u)" -eq 0 ]; then
	chown -R "$("$as" id -u)" "$work/in" "$work/out" "$work/socket"
	mkdir "$work/data"
	chown "$("$as" id -u)" "$work/data"
fi
cd "$work"

"$as" initdb -D "$work/data" -A trust -U postgres -N --locale=C.UTF-8 >"$work/initdb.log" 2>&1 || {
	cat "$work/initdb.log"
	echo "not ok 1 - regress/initdb"
	exit 1
}
cat >"$work/conf" <<END
shared_preload_libraries = 'backstream'
backstream.listen = ''
backstream.memory = '64MB'
listen_addresses = ''
unix_socket_directories = '$work/socket'
port = 5432
fsync = off
log_min_messages = warning
restart_after_crash = off
END
"$as" sh -c 'cat >>"$1"' sh "$work/data/postgresql.conf" <"$work/conf"
: >"$work/server.log"
[ "$(id -u)" -ne 0 ] || chown "$("$as" id -u)" "$work/server.log"
if ! "$as" pg_ctl -D "$work/data" -l "$work/server.log" -w start >/dev/null 2>&1; then
	cat "$work/server.log"
	echo "not ok 1 - regress/start"
	exit 1
fi
export PGHOST="$work/socket" PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
"$as" psql -X -q -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION backstream' || {
	echo "not ok 1 - regress/extension"
	exit 1
}

status=0
# shellcheck disable=SC2086
"$as" "$PG_REGRESS" --use-existing --dbname=postgres --user=postgres --host="$PGHOST" --port=5432 \
	--inputdir="$work/in" --outputdir="$work/out" $names >"$work/regress.log" 2>&1 || status=1
awk '/^test .* \.\.\. / {
		n++
		result = ($0 ~ /\.\.\. ok/) ? "ok" : "not ok"
		print result " " n " - regress/" $2
	}' "$work/regress.log"
if ! grep -q '^test ' "$work/regress.log"; then
	cat "$work/regress.log"
	echo "not ok 1 - regress/run"
	status=1
fi
if [ $status -ne 0 ]; then
	cat "$work/out/regression.diffs" 2>/dev/null || true
	grep -E 'PANIC|TRAP|terminated by signal' "$work/server.log" || true
fi
if grep -qE 'PANIC|TRAP:|terminated by signal' "$work/server.log"; then
	echo "not ok - regress/server stayed up"
	status=1
fi
exit $status
