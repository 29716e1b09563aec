#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Run the TAP tests of t/, which start servers of their own (PostgreSQL::Test::Cluster).
#
#   scripts/run-tap.sh [t/NNN_name.pl ...]     without names: all of them
#
# The output is TAP: every check is a line "ok ..." or "not ok ...", with the file named before.
# Exits with 1 if any failed.  Environment: BACKSTREAM_TREE is a tree of server-tree.sh to use again
# (else one is made and removed); KEEP=1 leaves the working directory there, with the servers' logs.
# Tests find: BACKSTREAM_SOURCE (a readable copy of t/), the built clients of test/clients in
# BACKSTREAM_CLIENTS, bs-generate and bs-replay in BACKSTREAM_TOOLS, and BACKSTREAM_SHARED if it was set.
# A test that uses BackStreamHosts runs in a network of its own (own-network.sh).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
as="$here/scripts/as-postgres.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}"/backstream-tap-XXXXXX)
chmod 755 "$work"
tree=${BACKSTREAM_TREE:-$work/tree}

finish() {
	status=$?
	# Servers of a test that died.
	for pid in "$work"/run/tmp_check/*/pgdata/postmaster.pid; do
		[ -e "$pid" ] || continue
		"$as" pg_ctl -D "$(dirname "$pid")" -m immediate -w stop >/dev/null 2>&1 || true
	done
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
	echo "not ok 1 - tap/build"
	exit 1
}
. "$tree/env"

mkdir -p "$work/run" "$work/clients" "$work/source" "$work/tools"
make -C "$here" --no-print-directory tools >"$work/build.log" 2>&1 || {
	cat "$work/build.log"
	echo "not ok 1 - tap/tools"
	exit 1
}
cp "$here"/build/release/bs-generate "$here"/build/release/bs-replay "$here"/build/release/bs-receive "$work/tools/"
cp -r "$here/t" "$here/README.md" "$here/CONTRIBUTING.md" "$here/Makefile" "$here/docs" "$here/grafana" "$here/scripts" \
	"$work/source/"
mkdir -p "$work/source/test" "$work/source/bench"
cp -r "$here/test/tools" "$work/source/test/"
cp "$here/bench/README.md" "$work/source/bench/"
# Versions to update to go where this server looks for them: in its tree, never in the system.
cp "$here"/t/upgrade/*.sql "$(find "$tree/" -path '*/extension/backstream.control' -printf '%h')/"
for f in "$here"/test/clients/*.c; do
	[ -e "$f" ] || continue
	gcc -std=gnu11 -O1 -g -Wall -Wextra -I"$(pg_config --includedir)" -I"$(${PG_CONFIG:-/usr/bin/pg_config} --includedir)" \
		-o "$work/clients/$(basename "$f" .c)" "$f" -lpq
done
[ "$(id -u)" -ne 0 ] || chown -R "$("$as" id -u)" "$work/run"
cd "$work/run"

# Clusters take their encoding from here; PostgreSQL::Test takes LC_ALL away.
LANG=C.UTF-8
export LANG
BACKSTREAM_SOURCE="$work/source"
BACKSTREAM_CLIENTS="$work/clients"
BACKSTREAM_TOOLS="$work/tools"
TESTDIR="$work/run"
PERL5LIB="$work/source/t:$PERL5LIB"
export BACKSTREAM_SOURCE BACKSTREAM_CLIENTS BACKSTREAM_TOOLS TESTDIR PERL5LIB
unset PGDATABASE PGHOST PGPORT PGUSER

status=0
if [ $# -eq 0 ]; then
	set -- "$work"/source/t/*.pl
fi
for f in "$@"; do
	name=$(basename "$f")
	[ -e "$work/source/t/$name" ] || continue
	echo "# $name"
	as_user=$as
	TESTDIR=$work/run
	if grep -q '^use BackStreamHosts' "$work/source/t/$name"; then
		# What it leaves ends by itself, and the process ids in its folders are none of ours.
		as_user=$here/scripts/own-network.sh
		TESTDIR=$work/run/own
		"$as" mkdir -p "$TESTDIR"
	fi
	# Its own log keeps PostgreSQL::Test's chatter out of the way; the TAP comes through.
	"$as_user" perl "$work/source/t/$name" || {
		echo "not ok - tap/$name ended with status $?"
		status=1
	}
done
exit $status
