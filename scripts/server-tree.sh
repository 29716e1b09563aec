#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# A private PostgreSQL with this checkout's extension in it, made from the installed one: nothing is
# written into the system's directories and no cluster of the system's is touched.
#
#   scripts/server-tree.sh TREE        builds the extension (MAKEFLAGS and BS_ASSERT are respected)
#   . TREE/env                         sets PATH, PG_REGRESS, PGLIBDIR and PERL5LIB
#
# PostgreSQL finds its libraries and shared files relative to its program, so programs are copied and
# the rest are symbolic links, beside which the extension is installed with DESTDIR.  A tree that is
# there already only gets the extension again.  TREE must be readable by the user that runs the
# server (as-postgres.sh), all the way from the root.
set -eu

if [ $# -ne 1 ]; then
	echo "usage: $0 TREE" >&2
	exit 2
fi
source=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
tree=$(cd "$1" && pwd)
pg_config=${PG_CONFIG:-}
if [ -z "$pg_config" ]; then
	# Debian's /usr/bin/pg_config speaks for the newest server that is there.
	pg_config=/usr/lib/postgresql/15/bin/pg_config
	[ -x "$pg_config" ] || pg_config=pg_config
fi
bindir=$("$pg_config" --bindir)
libdir=$("$pg_config" --pkglibdir)
sharedir=$("$pg_config" --sharedir)

if [ ! -x "$bindir/postgres" ]; then
	echo "$0: there is no PostgreSQL server in $bindir" >&2
	exit 1
fi

if [ ! -e "$tree/env" ]; then
	mkdir -p "$tree$bindir" "$tree$libdir" "$tree$sharedir/extension"
	cp -L "$bindir"/* "$tree$bindir/"
	for f in "$libdir"/*; do
		ln -sfn "$f" "$tree$libdir/"
	done
	for f in "$sharedir"/* "$sharedir"/extension/*; do
		case $f in
			*/extension) ;;
			*/extension/backstream*) ;;
			*/extension/*) ln -sfn "$f" "$tree$sharedir/extension/" ;;
			*) ln -sfn "$f" "$tree$sharedir/" ;;
		esac
	done
	# A library of that name that the system has is not ours.
	rm -f "$tree$libdir/backstream.so"
	cat >"$tree/env" <<END
PATH='$tree$bindir':\$PATH
PGLIBDIR='$libdir'
PG_REGRESS='$libdir/pgxs/src/test/regress/pg_regress'
PERL5LIB='$libdir/pgxs/src/test/perl'
export PATH PGLIBDIR PG_REGRESS PERL5LIB
END
fi

make -C "$source" --no-print-directory ${BS_ASSERT:+BS_ASSERT=1} PG_CONFIG="$pg_config" all
make -C "$source" --no-print-directory ${BS_ASSERT:+BS_ASSERT=1} PG_CONFIG="$pg_config" \
	DESTDIR="$tree" install >"$tree/install.log" 2>&1 || {
	cat "$tree/install.log" >&2
	exit 1
}
chmod -R go+rX "$tree"
