#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Run a command, as the user of as-postgres.sh, where it may make hosts of its own: in a network, a table of processes, mounts and shared
# memory that nobody else sees, with the right to change its network.  When the command ends, or is killed, all that it has left
# there (servers, network namespaces, links) ends with it.
#
#   scripts/own-network.sh COMMAND [ARGUMENT ...]
#
# First that user tries it alone, in a user namespace; where that is not permitted, root gives two capabilities.  The command
# finds BACKSTREAM_OWN_NETWORK=yes; where neither is permitted it runs as by as-postgres.sh, and finds "no: " and why.
# The process ids that servers write into their files are of that table: give TESTDIR a folder where nobody else looks for them.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
own="--mount --net --pid --ipc --fork --kill-child --mount-proc"
# Has no exec at its end: somebody has to wait for the processes that lose their parents.
# shellcheck disable=SC2016
prepare='mount -t tmpfs tmpfs /dev/shm && ip link set lo up || exit 125
"$@"
exit $?'
# Can it have hosts too?
# shellcheck disable=SC2016
try='ip link add bs_try type veth peer name bs_peer && unshare --net -- true'

as_user() {
	# shellcheck disable=SC2086
	"$here/as-postgres.sh" unshare --user --map-current-user --keep-caps $own sh -c "$prepare" sh "$@"
}
as_root() {
	user=$("$here/as-postgres.sh" id -un)
	# shellcheck disable=SC2086
	HOME=/nonexistent unshare $own sh -c "$prepare" sh setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups \
		--inh-caps=+net_admin,+sys_admin --ambient-caps=+net_admin,+sys_admin -- "$@"
}

BACKSTREAM_OWN_NETWORK=yes
export BACKSTREAM_OWN_NETWORK
why=
for way in as_user as_root; do
	[ $way = as_user ] || [ "$(id -u)" -eq 0 ] || continue
	if said=$($way sh -c "$try" 2>&1 </dev/null); then
		$way "$@"
		exit $?
	fi
	why=${why:-$(printf '%s' "$said" | tail -n 1)}
done
BACKSTREAM_OWN_NETWORK="no: $why"
exec "$here/as-postgres.sh" "$@"
