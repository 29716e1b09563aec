#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Pack the source, as committed, into build/dist/backstream-VERSION.tar.gz and .zip (which is what PGXN takes).
# The version is META.json's.  In a tree without git, such as one unpacked from there, all files are taken
# that are not made by building.
#
#   scripts/dist.sh [REVISION]      without it: HEAD
set -eu

cd "$(dirname "$0")/.."
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' META.json)
[ -n "$version" ] || {
	echo "dist: META.json has no version" >&2
	exit 1
}
name=backstream-$version
mkdir -p build/dist
rm -f build/dist/backstream-*.tar.gz build/dist/backstream-*.zip
if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$PWD" ]; then
	git archive --prefix="$name/" -o "build/dist/$name.tar.gz" "${1:-HEAD}"
	git archive --prefix="$name/" -o "build/dist/$name.zip" "${1:-HEAD}"
	[ -n "${1:-}" ] || git diff --quiet HEAD || echo "dist: what is not committed is not in it" >&2
	echo "build/dist/$name.tar.gz build/dist/$name.zip"
else
	tar --transform "s|^\.|$name|" --exclude=./build --exclude=./.git --exclude=./results --exclude='*.o' --exclude='*.d' \
		--exclude='*.so' --exclude='*.bc' -czf "build/dist/$name.tar.gz" .
	echo "build/dist/$name.tar.gz"
fi
