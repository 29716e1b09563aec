#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# BackStream at work, in about a minute after it is built: a private server, continuous views, live
# flows with known totals, and psql.
#
#   scripts/demo.sh              what make demo calls; KEEP=1 leaves server and traffic running
#   scripts/demo.sh stop DIR     ends what KEEP=1 left
#
# What it makes and touches: demo-common.sh.  Exit status 0: every sum was exact.
set -u

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here" || exit 1
. scripts/demo-common.sh

rate=${BACKSTREAM_DEMO_RATE:-20000}
seconds=${BACKSTREAM_DEMO_SECONDS:-30}
transfer_count=3000
transfer_size=1000
# What keeps flowing after KEEP=1, and for how long at most.
keep_rate=1000
keep_seconds=3600

if [ "${1:-}" = stop ]; then
	dir=$(cd "${2:?usage: $0 stop DIR}" && pwd) || exit 1
	[ -d "$dir/pids" ] || fail "$dir is not a folder of make demo"
	stop_all "$dir"
	rm -rf "$dir"
	echo "stopped, $dir is gone"
	exit 0
fi

psql_() { "$psql" -X -q -v ON_ERROR_STOP=1 -h "$work/socket" -p "$pgport" -U postgres postgres "$@"; }
value() { psql_ -At -c "$1"; }

# ---------- building and starting ----------

say "BackStream: build"
demo_build

say "A server of its own"
port=$(free_udp_port)
transfer_port=$(free_udp_port)
pgport=$((40000 + port % 10000))
scripts/private-server.sh start "$work" "$tree" <<EOF_CONF || fail "the server did not start"
backstream.listen = '127.0.0.1:$port'
backstream.memory = '128MB'
port = $pgport
EOF_CONF
connect="$psql -h $work/socket -p $pgport -U postgres postgres"
echo "data directory   $work/data"
echo "flows on         127.0.0.1:$port (UDP)"
echo "connect with     $connect"
psql_ -c 'CREATE EXTENSION backstream'
psql_ -c 'ALTER DATABASE postgres SET search_path = public, backstream'
wait_for 10 "SELECT count(*) > 0 AND bool_and(state = 'open') FROM backstream.listeners" ||
	{ tail -n 20 "$work/server.log"; fail "nobody listens"; }

say "Continuous views (demo/views.sql)"
sed -n '/^-- How much/,/GROUP BY 1;/p' demo/views.sql
echo "..."
psql_ -f demo/views.sql || exit 1
wait_for 10 "SELECT bool_and(state = 'active') FROM backstream.views" ||
	fail "the views were not taken up"
psql_ -c '\pset footer off' -c "SELECT view, state FROM backstream.views ORDER BY view::text"

# ---------- traffic ----------

say "Traffic: $rate records/s of NetFlow v5, v9 and IPFIX for $seconds s, from three exporters"
"$work/bin/bs-generate" --target="127.0.0.1:$port" --version=mix --exporters=3 --rate="$rate" \
	--seconds="$seconds" --as-pairs=2000 --addresses=5000 --keys=zipf:1.1 --quiet \
	--totals="$work/totals.json" 2>"$work/generate.log" &
generator=$!
echo $generator >"$work/pids/generator"

exporter=
filler_port=$(free_udp_port)
watch_filter="udp and (dst port $transfer_port or dst port $filler_port)"
softflowd=$(PATH=$PATH:/usr/sbin:/sbin command -v softflowd)
softflowctl=$(PATH=$PATH:/usr/sbin:/sbin command -v softflowctl)
if [ -z "$softflowd" ]; then
	echo "softflowd is not installed: no real exporter in this run"
else
	# The filter keeps out the exports themselves, which would otherwise feed on themselves.
	"$softflowd" -d -i lo -v 9 -n "127.0.0.1:$port" -t maxlife=5 -t expint=1 \
		-p "$work/softflowd.pid" -c "$work/softflowd.ctl" "$watch_filter" \
		>"$work/softflowd.log" 2>&1 &
	exporter=$!
	sleep 1
	if kill -0 $exporter 2>/dev/null; then
		echo $exporter >"$work/pids/softflowd"
		echo "and a real exporter: softflowd watches \"$watch_filter\" on lo"
	else
		echo "and no real exporter in this run, as softflowd may not watch lo (only root may):"
		sed 's/^/    /' "$work/softflowd.log"
		exporter=
	fi
fi

transfers=0
transfer_packets=0
transfer_bytes=0
transfer() {
	local sums
	[ -n "$exporter" ] || return
	sums=$(perl demo/transfer.pl "$transfer_port" $transfer_count $transfer_size 2) || return
	transfers=$((transfers + 1))
	transfer_packets=$((transfer_packets + ${sums% *}))
	transfer_bytes=$((transfer_bytes + ${sums#* }))
}

say "The views fill while traffic flows"
turn=0
while kill -0 $generator 2>/dev/null; do
	started=$SECONDS
	if [ $((turn++ % 2)) -eq 0 ]; then
		transfer
	fi
	while [ $((SECONDS - started)) -lt 5 ] && kill -0 $generator 2>/dev/null; do
		sleep 0.2
	done
	psql_ -c '\pset footer off' -c "
		SELECT to_char(now(), 'HH24:MI:SS') AS now, to_char(time, 'HH24:MI:SS') AS window,
		       w.state, l.records, l.packets, l.bytes
		  FROM load l JOIN backstream.windows('load') w ON w.window_start = l.time
		 ORDER BY l.time DESC LIMIT 3"
done
wait $generator || { cat "$work/generate.log"; fail "the generator failed"; }
rm -f "$work/pids/generator"

# ---------- what came of it ----------

sent=$(psql_ -At -v totals="$(cat "$work/totals.json")" <<<"SELECT :'totals'::jsonb ->> 'records'")
wait_for 5 "SELECT sum(records) >= $sent FROM totals WHERE exporter <> '127.0.0.1'"
say "A look around (demo/look.sql)"
psql_ -f demo/look.sql || exit 1

failed=0
say "Is it exact?  What the generator wrote down, and what the view totals says"
verdict=$(psql_ -v totals="$(cat "$work/totals.json")" -f demo/compare.sql) || exit 1
sed '$d' <<<"$verdict"
summary=$(tail -n 1 <<<"$verdict")
if [ "${summary%% *}" = exact ]; then
	echo "EXACT: every record, byte and packet of the generator is in the view (${summary#* })"
else
	echo "NOT EXACT (${summary#* })"
	failed=1
fi

if [ -n "$exporter" ]; then
	# libpcap hands packets to softflowd by the block of 256 kB, however long one takes to fill: traffic
	# to a port that is not counted pushes out what was.
	for _ in 1 2 3 4 5; do
		perl demo/transfer.pl "$filler_port" 600 1000 1 >/dev/null
		"$softflowctl" -c "$work/softflowd.ctl" expire-all >/dev/null 2>&1
		wait_for 1 "SELECT sum(packets) >= $transfer_packets FROM transfers WHERE dst_port = $transfer_port" && break
	done
	psql_ -c '\pset footer off' -c "SELECT dst_addr, dst_port, proto, sum(packets) AS packets, sum(bytes) AS bytes,
		sum(flows) AS flows FROM transfers WHERE dst_port = $transfer_port GROUP BY 1, 2, 3"
	counted=$(value "SELECT sum(packets) || ' ' || sum(bytes) FROM transfers WHERE dst_port = $transfer_port")
	if [ "$counted" = "$transfer_packets $transfer_bytes" ]; then
		echo "EXACT: $transfers UDP transfers of $transfer_packets packets and $transfer_bytes bytes together, as softflowd saw them"
	else
		echo "NOT EXACT: $transfers transfers had $transfer_packets packets and $transfer_bytes bytes; the view has ${counted:-nothing}"
		failed=1
	fi
fi

if [ -n "${KEEP:-}" ] && [ "${KEEP:-}" != 0 ]; then
	"$work/bin/bs-generate" --target="127.0.0.1:$port" --version=mix --exporters=3 \
		--source-base=127.0.20.1 --rate=$keep_rate --seconds=$keep_seconds --as-pairs=2000 \
		--addresses=5000 --keys=zipf:1.1 --quiet >/dev/null 2>&1 </dev/null &
	echo $! >"$work/pids/keep"
	disown
	kept=1
	say "It goes on: $keep_rate records/s for at most $((keep_seconds / 60)) minutes"
	echo "connect    $connect"
	echo "try        SELECT * FROM load ORDER BY time DESC LIMIT 5;"
	echo "           SELECT * FROM backstream.exporters;"
	echo "           EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM traffic_matrix WHERE src_as = 25717;"
	echo "stop       scripts/demo.sh stop $work"
else
	say "Done; the server and all it had is gone.  KEEP=1 leaves it there: make demo KEEP=1"
fi
exit $failed
