#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Before `make installcheck`: is the server (PGHOST, PGPORT, PGUSER) one that the regression tests can run
# on?  Says what is missing and what to do, else makes the database contrib_regression anew with the
# extension in it.  No other database is touched.
#
#   scripts/installcheck-prepare.sh [BINDIR]      BINDIR: where psql is
set -eu

psql="${1:+$1/}psql"
database=contrib_regression
export PGOPTIONS="--client_min_messages=warning"

ask() { "$psql" -X -A -t -q -v ON_ERROR_STOP=1 -d "${PGDATABASE:-postgres}" -c "$1"; }

refuse() {
	cat >&2 <<END

installcheck: $1.
The tests need a running PostgreSQL 15 server, found by PGHOST, PGPORT and PGUSER, of which that user is
superuser, on which nothing depends, and which has been restarted with

    shared_preload_libraries = 'backstream'
    backstream.database = '$database'
    backstream.listen = ''

(after \`make install\`).  Without any such server: scripts/run-regress.sh makes one for itself.

END
	exit 1
}

answer=$(ask 'SELECT current_setting($$server_version_num$$)::int / 10000') || refuse "the server cannot be reached"
[ "$answer" = 15 ] || refuse "the server is PostgreSQL $answer"
[ "$(ask 'SELECT rolsuper FROM pg_roles WHERE rolname = current_user')" = t ] ||
	refuse "the user is no superuser"
[ "$(ask 'SELECT current_setting($$shared_preload_libraries$$) ~ $$(^|[,/ "])backstream(\.so)?([," ]|$)$$')" = t ] ||
	refuse "backstream is not in the server's shared_preload_libraries"
answer=$(ask 'SELECT setting FROM pg_settings WHERE name = $$backstream.database$$')
[ "$answer" = $database ] || refuse "backstream.database is \"$answer\", and no database but $database is touched"
answer=$(ask 'SELECT btrim(setting) FROM pg_settings WHERE name = $$backstream.listen$$')
[ -z "$answer" ] || refuse "backstream.listen is \"$answer\", and traffic would change what the tests see"

ask "DROP DATABASE IF EXISTS $database WITH (FORCE)"
ask "CREATE DATABASE $database TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
"$psql" -X -q -v ON_ERROR_STOP=1 -d $database -c 'CREATE EXTENSION backstream' ||
	refuse "the extension cannot be created"
