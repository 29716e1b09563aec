#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Run a command as a user that PostgreSQL's programs accept: root becomes postgres (or nobody, where
# there is no such user); everybody else stays who they are.  The environment is kept, the command's
# exit status is returned.
#
#   scripts/as-postgres.sh COMMAND [ARGUMENT ...]
set -eu

if [ "$(id -u)" -ne 0 ]; then
	exec "$@"
fi
user=postgres
id "$user" >/dev/null 2>&1 || user=nobody
HOME=/nonexistent
export HOME
exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$@"
