#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
#
# stress.sh: everything at once, at random: views made, replaced, altered, dropped, sessions that insert
# and roll back, readers, cancels, workers that are terminated, traffic, settings that change.  Then it
# looks for crashes, failed assertions, leaks of any kind, and whether the server still counts right.
#
#   test/stress/stress.sh [SECONDS [SEED]]      (60 s; the seed of the statements, not of their timing)
#
# Environment: BACKSTREAM_TREE as for scripts/run-tap.sh; KEEP=1 leaves the working directory.  Prints
# what it found and exits with 1 if there was anything.  Memory is kept small, so that it is full now
# and then.
set -u

seconds=${1:-60}
seed=${2:-$RANDOM}
here=$(cd "$(dirname "$0")/../.." && pwd)
as="$here/scripts/as-postgres.sh"
work=$(mktemp -d /tmp/backstream-stress-XXXXXX)
chmod 755 "$work"
tree=${BACKSTREAM_TREE:-$work/tree}
port=$((20000 + RANDOM % 10000))
failed=0
actors=()

finish()
{
	[ ${#actors[@]} -eq 0 ] || kill "${actors[@]}" 2>/dev/null
	if [ -e "$work/data/postmaster.pid" ]; then
		"$as" pg_ctl -D "$work/data" -m immediate -w stop >/dev/null 2>&1
	fi
	if [ -n "${KEEP:-}" ]; then echo "# kept: $work"; else rm -rf "$work"; fi
}
trap finish EXIT
trap 'exit 130' INT TERM

complain()
{
	echo "FAILED: $*"
	failed=1
}

query() { psql -XAtq -c "$1" 2>>"$work/client.err"; }

# ---------- a server ----------

BS_ASSERT=${BS_ASSERT:-1} "$here/scripts/server-tree.sh" "$tree" >"$work/build.log" 2>&1 &&
	make -C "$here" --no-print-directory tools >>"$work/build.log" 2>&1 || { tail -20 "$work/build.log"; exit 1; }
. "$tree/env"
cp "$here/build/release/bs-generate" "$work/"
mkdir "$work/data" "$work/socket"
: >"$work/server.log"
[ "$(id -u)" -ne 0 ] || chown "$("$as" id -u)" "$work/data" "$work/socket" "$work/server.log"
cd "$work" || exit 1
"$as" initdb -D "$work/data" -A trust -U postgres -N --locale=C.UTF-8 >"$work/initdb.log" 2>&1 || { cat "$work/initdb.log"; exit 1; }
"$as" sh -c 'cat >>"$1"' sh "$work/data/postgresql.conf" <<END
shared_preload_libraries = 'backstream'
backstream.listen = '127.0.0.1:$port'
backstream.memory = '24MB'
backstream.max_views = 12
backstream.workers = 2
backstream.eval_timeout = '200ms'
backstream.receive_buffer = '1MB'
listen_addresses = ''
unix_socket_directories = '$work/socket'
fsync = off
restart_after_crash = off
max_prepared_transactions = 4
log_line_prefix = '%m [%p] %b %e '
log_min_error_statement = error
END
export PGHOST="$work/socket" PGUSER=postgres PGDATABASE=postgres PGOPTIONS='-c statement_timeout=20s -c lock_timeout=5s'
export ASAN_OPTIONS=${ASAN_OPTIONS:-} UBSAN_OPTIONS=${UBSAN_OPTIONS:-}
"$as" env ${STRESS_PRELOAD:+LD_PRELOAD="$STRESS_PRELOAD"} pg_ctl -D "$work/data" -l "$work/server.log" -w -t 120 start >/dev/null 2>&1 || { cat "$work/server.log"; exit 1; }
psql -XAtq -v ON_ERROR_STOP=1 <<'SQL' || exit 1
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (t timestamptz, k int, x numeric, y text) SERVER backstream OPTIONS (watermark_by 'k');
CREATE FUNCTION f(x numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 1 / (x - 3); END $$;
CREATE TABLE plain (t timestamptz, k int, x numeric, y text);
SQL
empty=$(query 'SELECT used FROM backstream.memory')

# ---------- what is done: SQL at random ----------

# The parts of statements; awk deals them.
random_sql()
{
	awk -v seed="$2" -v kind="$1" '
	function r(n) { return int(rand() * n) }
	function pick(a, n) { return a[1 + r(n)] }
	function view() { return "v" r(14) }
	function options(  o) {
		o = "continuous"
		if (r(2)) o = o ", clock = " (r(2) ? "data" : "wall")
		if (r(3) == 0) o = o ", retain = \x27" (1 + r(100)) " s\x27"
		if (r(3) == 0) o = o ", lateness = \x27" r(20) " s\x27"
		if (r(4) == 0) o = o ", max_groups = " (1 + r(2000))
		return o
	}
	function select(  q) {
		q[1] = "SELECT tumble(t, \x27" (1 + r(20)) " s\x27) AS time, k, count(*) AS n, sum(x) AS x FROM s GROUP BY 1, 2"
		q[2] = "SELECT y, count(*) AS n, min(x) AS x, max(y) AS z FROM s WHERE k > " r(50) " GROUP BY 1"
		q[3] = "SELECT count(*) AS n, avg(x) AS x, stddev(x) AS d FROM s"
		q[4] = "SELECT tumble(time_event, \x2710 s\x27) AS time, src_addr, dst_addr, count(*) AS n, sum(bytes) AS b FROM backstream.flow GROUP BY 1, 2, 3"
		q[5] = "SELECT exporter, flow_type, count(*) AS n, sum(packets) AS p FROM backstream.flow GROUP BY 1, 2"
		q[6] = "SELECT tumble(time_received, \x271 s\x27) AS time, count(*) AS n, stddev(bytes) AS d FROM backstream.flow GROUP BY 1"
		q[7] = "SELECT md5(src_as::text) AS m, count(*) AS n FROM backstream.flow WHERE bytes % " (2 + r(9)) " = 0 GROUP BY 1"
		q[8] = "SELECT tumble(t, \x275 s\x27) AS time, f(x) AS f, count(*) AS n FROM s GROUP BY 1, 2 HAVING count(*) > 1"
		q[9] = "SELECT k % 10 AS k, sum(f(x)) AS x, max(y) AS y FROM s GROUP BY 1"
		q[10] = "SELECT src_as, sum(f(bytes)) AS n FROM backstream.flow WHERE bytes < 200 GROUP BY 1"
		return pick(q, 10)
	}
	function rows(  n) {
		n = r(20) == 0 ? 40000 : 1 + r(200)
		return "SELECT now() + (i % 50 - 40) * interval \x271 s\x27, i % " (1 + r(5000)) ", i % 7, repeat(chr(97 + i % 26), " r(200) ") || i % " (1 + r(3000)) " FROM generate_series(1, " n ") i"
	}
	function ddl() {
		i = r(12)
		if (i < 4) return "CREATE OR REPLACE VIEW " view() " WITH (" options() ") AS " select() ";"
		if (i == 4) return "DROP FOREIGN TABLE IF EXISTS " view() ", " view() ";"
		if (i == 5) return "DROP FOREIGN TABLE IF EXISTS " view() ";"
		if (i == 6) return "ALTER FOREIGN TABLE " view() " OPTIONS (SET retain \x27" (1 + r(90)) " s\x27);"
		if (i == 7) return "ALTER FOREIGN TABLE " view() " RENAME TO " view() ";"
		if (i == 8) return "CREATE OR REPLACE FUNCTION f(x numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN " (1 + r(5)) " / (x - " r(9) "); END $$;"
		if (i == 9) return "ALTER FOREIGN TABLE s ALTER COLUMN y OPTIONS (ADD ignored \x271\x27);"
		if (i == 10) return "SELECT backstream.execute(\x27CREATE CONTINUOUS VIEW " view() " AS SELECT count(*) AS n FROM s\x27);"
		return "SELECT backstream.resume(oid) FROM pg_class WHERE relname = \x27" view() "\x27;"
	}
	function insert() {
		if (r(10) == 0) return "INSERT INTO backstream.flow (time_event, bytes, packets, exporter, src_as) SELECT now(), i, 1, inet \x2710.0.0.0\x27 + i % 5, i FROM generate_series(1, 1000) i;"
		if (r(8) == 0) return "COPY s FROM PROGRAM \x27seq -f \"2026-01-01 00:00:%02.0f+00,%g,%g,x\" 0 59\x27 WITH (FORMAT csv);"
		return "INSERT INTO s " rows() ";"
	}
	function read(  v) {
		v = view()
		i = r(8)
		if (i == 0) return "SELECT * FROM backstream.latest(NULL::" v ");"
		if (i == 1) return "SELECT * FROM backstream.merged(NULL::" v ", NULL, now());"
		if (i == 2) return "SELECT * FROM backstream.windows(\x27" v "\x27);"
		if (i == 3) return "SELECT * FROM backstream.views, backstream.memory;"
		if (i == 4) return "SELECT * FROM " v " WHERE n > 3 LIMIT 5;"
		if (i == 5) return "BEGIN; DECLARE c CURSOR FOR SELECT * FROM " v "; FETCH 3 FROM c; " (r(2) ? "SELECT pg_sleep(0.1);" : insert()) " FETCH ALL FROM c; COMMIT;"
		if (i == 6) return "SELECT count(*) FROM " v " a, " view() " b WHERE a.n = b.n;"
		return "SELECT * FROM " v ";"
	}
	function one(kind) {
		if (kind == "ddl") return ddl()
		if (kind == "insert") return insert()
		if (kind == "read") return read()
		i = r(3)
		return i == 0 ? ddl() : i == 1 ? insert() : read()
	}
	function block(  n, text, i) {
		text = "BEGIN;\n"
		for (n = 1 + r(5); n > 0; n--)
		{
			if (r(3) == 0) text = text "SAVEPOINT a;\n"
			text = text one("any") "\n"
			if (r(4) == 0) text = text "ROLLBACK TO a;\n"
		}
		i = r(10)
		if (i < 6) return text "COMMIT;"
		if (i < 9) return text "ROLLBACK;"
		return text "PREPARE TRANSACTION \x27p\x27;\nROLLBACK PREPARED \x27p\x27;\nROLLBACK;"
	}
	BEGIN {
		srand(seed)
		for (n = 0; n < 40; n++)
			print r(4) == 0 ? block() : one(kind)
	}'
}

end=$((SECONDS + seconds))

act()
{
	local kind=$1 n=$2
	while [ $SECONDS -lt $end ]; do
		random_sql "$kind" "$n" | psql -XAtq >/dev/null 2>>"$work/client.err"
		n=$((n + 1000))
	done
}

send()
{
	local n=1
	while [ $SECONDS -lt $end ]; do
		./bs-generate --quiet --target=127.0.0.1:"$port" --version=mix --exporters=6 --rate=30000 --seconds=3 \
			--addresses=$((1000 * n % 100000 + 1)) --seed=$n --totals=/dev/null 2>>"$work/client.err"
		n=$((n + 1))
	done
}

disturb()
{
	while [ $SECONDS -lt $end ]; do
		sleep 0.$((RANDOM % 10))
		case $((RANDOM % 8)) in
			0) query "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'backstream%' ORDER BY random() LIMIT 1" ;;
			1) query "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1" ;;
			2) query "ALTER SYSTEM SET backstream.nap = '$((RANDOM % 5))ms'"
				query "ALTER SYSTEM SET backstream.receive_buffer = '$((64 + RANDOM % 2000))kB'"
				query "ALTER SYSTEM SET backstream.allow = '$([ $((RANDOM % 3)) -eq 0 ] || echo 127.0.0.0/8)'"
				query 'SELECT pg_reload_conf()' ;;
			3) query "INSERT INTO backstream.exporter_config VALUES ('127.0.10.$((RANDOM % 6))', 'x', $((1 + RANDOM % 9))) ON CONFLICT (exporter) DO UPDATE SET sampling_default = $((1 + RANDOM % 9))" ;;
			4) query "VACUUM FULL pg_depend"; query "VACUUM ANALYZE pg_catalog.pg_foreign_table" ;;
			*) query "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1" ;;
		esac >/dev/null
	done
}

for kind in ddl ddl insert insert read read any; do
	act $kind $((seed + ${#actors[@]} * 100)) &
	actors+=($!)
done
send & actors+=($!)
disturb & actors+=($!)
wait "${actors[@]}"
actors=()

# ---------- what is left ----------

if ! query 'SELECT 1' >/dev/null; then
	complain "the server is down"
	grep -E 'PANIC|TRAP|signal|ERROR: AddressSanitizer|runtime error' server.log
	tail -5 server.log
	exit 1
fi
unset PGOPTIONS
done=$(grep -c . client.err)
printf '%s\n' "SELECT format('DROP FOREIGN TABLE %s', ftrelid::regclass) FROM pg_foreign_table WHERE 'query' = ANY (SELECT split_part(o, '=', 1) FROM unnest(ftoptions) o)" '\gexec' | psql -Xq >/dev/null 2>drop.err
for _ in $(seq 100); do
	[ "$(query 'SELECT count(*) FROM backstream.view_counters()')" = 0 ] && [ "$(query 'SELECT used FROM backstream.memory')" = "$empty" ] && break
	sleep 0.1
done
slots=$(query 'SELECT count(*) FROM backstream.view_counters()')
used=$(query 'SELECT used FROM backstream.memory')
[ "$slots" = 0 ] || { cat drop.err; query 'SELECT v.*, c.relname FROM backstream.view_counters() v LEFT JOIN pg_class c ON c.oid = relid'; complain "$slots slots are left"; }
[ "$used" = "$empty" ] || complain "$used bytes of memory are in use, $empty were"
for _ in $(seq 50); do
	running=$(query 'SELECT count(*) FROM backstream.receivers WHERE pid IS NOT NULL')
	[ "$running" = 2 ] && break
	sleep 0.1
done
[ "$running" = 2 ] || complain "not all receivers run"
[ "$(query "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE backend_type LIKE 'backstream%'")" = 0 ] || complain "workers hold locks"
[ "$(query "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'backstream%' AND xact_start IS NOT NULL AND xact_start < now() - interval '2 s'")" = 0 ] || complain "workers keep transactions open"

psql -XAtq 2>>client.err <<'SQL' >final.out
ALTER SYSTEM RESET ALL;
SELECT pg_reload_conf();
CREATE OR REPLACE VIEW final WITH (continuous) AS SELECT k, count(*) AS n, sum(x) AS x, max(y) AS y FROM s GROUP BY k;
CREATE VIEW kept AS SELECT k, count(*) AS n, sum(x) AS x, max(y) AS y FROM plain GROUP BY k;
INSERT INTO plain SELECT now(), i % 100, i, i::text FROM generate_series(1, 10000) i;
INSERT INTO s SELECT * FROM plain;
SELECT 'different ' || count(*) FROM ((TABLE final EXCEPT ALL TABLE kept) UNION ALL (TABLE kept EXCEPT ALL TABLE final)) d;
CREATE VIEW flows WITH (continuous) AS SELECT count(*) AS n FROM backstream.flow;
SQL
grep -q '^different 0$' final.out || complain "a view made afterwards is wrong"
sleep 1
./bs-generate --quiet --target=127.0.0.1:"$port" --count=10000 --rate=50000 --exporters=5 --totals=/dev/null
sleep 1
[ "$(query 'SELECT n FROM flows')" = 10000 ] || complain "of 10000 flows sent afterwards $(query 'SELECT n FROM flows') count"

# Errors of the kind that nobody should see.  PostgreSQL's own: concurrent changes of a catalog row, and a
# row type that is gone when it is looked at.
grep -E 'PANIC|TRAP|server process .* was terminated by signal|AddressSanitizer|runtime error|leak' server.log && complain "see above"
grep -E '(ERROR|FATAL|WARNING)' server.log | grep -E ' XX[0-9A-Z]{3} ' | grep -vE 'tuple (concurrently|already) |cache lookup failed|could not open relation' >odd && { head -20 odd; complain "internal errors"; }
grep -E 'backstream (receiver|keeper)' server.log | grep -E '(ERROR|FATAL|PANIC)' | grep -vE '57P01' >worker && { head -20 worker; complain "errors of workers"; }
echo "stress: $seconds s, seed $seed, $done lines of errors at clients, $([ $failed = 0 ] && echo passed || echo FAILED)"
exit $failed
