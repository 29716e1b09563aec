#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Start and stop a private PostgreSQL server with this checkout's extension.
#
#   scripts/private-server.sh start DIR TREE    makes DIR/data, DIR/socket and DIR/server.log, starts it;
#                                               lines on standard input are added to postgresql.conf
#   scripts/private-server.sh stop DIR          stops it, if it runs
#   scripts/private-server.sh resume DIR        starts it again
#
# TREE is one of server-tree.sh.  The server runs as as-postgres.sh says, is reached by DIR/socket
# alone (port 5432, user postgres, no password) unless the added lines say otherwise, and does not fsync.
# DIR must exist and be readable by that user all the way from the root.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
as="$here/scripts/as-postgres.sh"
usage() {
	echo "usage: $0 start DIR TREE <SETTINGS | stop DIR | resume DIR" >&2
	exit 2
}

start() {
	dir=$(cd "$1" && pwd)
	. "$(cd "$2" && pwd)/env"
	mkdir "$dir/data"
	# Whoever can reach the socket is superuser there.
	mkdir -m 700 "$dir/socket"
	: >"$dir/server.log"
	if [ "$(id -u)" -eq 0 ]; then
		chown "$("$as" id -u)" "$dir/data" "$dir/socket" "$dir/server.log"
	fi
	cat >"$dir/settings" <<END_OF_SETTINGS
shared_preload_libraries = 'backstream'
listen_addresses = ''
unix_socket_directories = '$dir/socket'
port = 5432
fsync = off
END_OF_SETTINGS
	cat >>"$dir/settings"
	cd "$dir"
	"$as" initdb -D "$dir/data" -A trust -U postgres -N --locale=C.UTF-8 >"$dir/initdb.log" 2>&1 || {
		cat "$dir/initdb.log" >&2
		exit 1
	}
	"$as" sh -c 'cat >>"$1"' sh "$dir/data/postgresql.conf" <"$dir/settings"
	# Where pg_ctl is told to stop it: the directory of the programs.
	command -v pg_ctl >"$dir/pg_ctl"
	resume "$dir"
}

resume() {
	dir=$(cd "$1" && pwd)
	cd "$dir"
	"$as" "$(cat "$dir/pg_ctl")" -D "$dir/data" -l "$dir/server.log" -w start >/dev/null 2>&1 </dev/null || {
		cat "$dir/server.log" >&2
		exit 1
	}
}

stop() {
	[ -e "$1/data/postmaster.pid" ] || exit 0
	dir=$(cd "$1" && pwd)
	cd "$dir"
	"$as" "$(cat "$dir/pg_ctl")" -D "$dir/data" -m fast -t 20 -w stop >/dev/null 2>&1 ||
		"$as" "$(cat "$dir/pg_ctl")" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1
}

case ${1:-} in
	start) [ $# -eq 3 ] || usage; start "$2" "$3" ;;
	stop) [ $# -eq 2 ] || usage; stop "$2" ;;
	resume) [ $# -eq 2 ] || usage; resume "$2" ;;
	*) usage ;;
esac
