#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Build the Debian packages of the source as committed, into build/dist.  The work is done in a folder of
# its own under $TMPDIR, which is gone afterwards; nothing is installed.
#
#   scripts/deb.sh      DEB_BUILD_OPTIONS=nocheck leaves the regression tests out
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/backstream-deb-XXXXXX")
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
unset MAKEFLAGS MFLAGS MAKELEVEL

"$here/scripts/dist.sh" >/dev/null
archive=$(ls "$here"/build/dist/backstream-*.tar.gz)
tar -xzf "$archive" -C "$work"
cd "$work"/backstream-*
status=0
dpkg-buildpackage -b -us -uc >"$here/build/dist/deb.log" 2>&1 || status=$?
if [ $status -ne 0 ]; then
	tail -n 60 "$here/build/dist/deb.log" >&2
	echo "deb: failed; all of it is in build/dist/deb.log" >&2
	exit $status
fi
rm -f "$here"/build/dist/*.deb
cp "$work"/*.deb "$here/build/dist/"
cd "$here"
ls build/dist/*.deb
