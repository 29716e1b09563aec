# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# What demo.sh and demo-backbone.sh share: their folder and its end, building, private servers, small things.
# Sourced in the root of the checkout; demo_build comes first.
#
# All is in one folder $work under $TMPDIR or /tmp: servers in it or in its subfolders (private-server.sh),
# ids of processes in pids/, the generator in bin/.  The system's own PostgreSQL, if there is one, is neither
# used nor touched; nothing leaves the loopback interface.

unset MAKEFLAGS MFLAGS MAKELEVEL
unset PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS PGSERVICE
export LC_ALL=C.UTF-8

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n--- %s\n' "$*"; }
fail() {
	echo "demo: $*" >&2
	exit 1
}

# ---------- ending ----------

# End the processes whose ids a folder of the demo keeps, and its servers.
stop_all() {
	local dir=$1 file pid
	for file in "$dir"/pids/*; do
		[ -e "$file" ] || continue
		pid=$(cat "$file")
		# Not if the id has gone to somebody else since.
		case $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) in
			*"$dir"*) kill "$pid" 2>/dev/null ;;
		esac
	done
	for file in "$dir/" "$dir"/*/; do
		scripts/private-server.sh stop "$file"
	done
}

work=
finish() {
	local status=$?
	trap - EXIT INT TERM
	[ -n "$work" ] || exit $status
	[ -z "${kept:-}" ] || exit $status
	stop_all "$work"
	wait 2>/dev/null
	rm -rf "$work"
	exit $status
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---------- small things ----------

# Run something that takes long; a dot every two seconds, its output only if it fails.
quietly() {
	local title=$1 log=build/demo.log pid
	shift
	printf '%s ' "$title"
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		sleep 0.2
		[ $((++ticks % 10)) -ne 0 ] || printf '.'
	done
	if wait $pid; then
		echo " done"
	else
		echo " FAILED"
		tail -n 30 "$log"
		exit 1
	fi
}
ticks=0

free_udp_port() {
	local port
	for port in $(shuf -i 20000-29999 -n 50); do
		if ! grep -qi ":$(printf '%04X' "$port") " /proc/net/udp /proc/net/udp6 2>/dev/null; then
			echo "$port"
			return
		fi
	done
}

# wait_for SECONDS QUERY: until the query says t; value is the caller's.
wait_for() {
	local end=$((SECONDS + $1))
	until [ "$(value "$2" 2>/dev/null)" = t ]; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

# ---------- building ----------

# Build what a demo needs and make its folder: $work, with the tree of a server in $tree.  psql is its psql.
# With BACKSTREAM_TREE, as in a check, it is that tree, and a server with assertions.
demo_build() {
	scripts/deps.sh demo || exit 1
	mkdir -p build
	quietly "tools" make --no-print-directory "-j$(nproc)" tools
	work=$(mktemp -d "${TMPDIR:-/tmp}/backstream-demo-XXXXXX") || exit 1
	chmod 755 "$work"
	mkdir "$work/pids" "$work/bin"
	tree=${BACKSTREAM_TREE:-$work/tree}
	quietly "extension, and a private PostgreSQL to run it" env BS_ASSERT=${BACKSTREAM_TREE:+1} MAKEFLAGS="-j$(nproc)" \
		scripts/server-tree.sh "$tree"
	# shellcheck disable=SC2034,SC1091
	psql=$(. "$tree/env" && command -v psql)
	cp build/release/bs-generate "$work/bin/"
}
