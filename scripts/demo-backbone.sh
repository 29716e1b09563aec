#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A backbone on this machine, in a few minutes: three nodes with a generator each, and a reader that merges
# what they count.  Sums are exact at 30,000 records/s for each node and at the highest rate that is found
# to be; then a node is stopped and started again while traffic flows, and the output shows what one sees.
#
#   scripts/demo-backbone.sh     what make demo-backbone calls
#
# Environment: BACKSTREAM_DEMO_RATE (30000 records/s and node), BACKSTREAM_DEMO_HIGHEST (1000000: where the
# search ends), BACKSTREAM_DEMO_REPETITIONS (10), BACKSTREAM_DEMO_SECONDS (3, of each repetition),
# BACKSTREAM_DEMO_WINDOWS (3 windows of two seconds are shown before, without and with the node again).
# What it makes and touches: demo-common.sh.  Exit status 0: every sum was exact, and nothing was hidden.
set -u

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here" || exit 1
. scripts/demo-common.sh

rate=${BACKSTREAM_DEMO_RATE:-30000}
highest=${BACKSTREAM_DEMO_HIGHEST:-1000000}
repetitions=${BACKSTREAM_DEMO_REPETITIONS:-10}
seconds=${BACKSTREAM_DEMO_SECONDS:-3}
shown=${BACKSTREAM_DEMO_WINDOWS:-3}
# While a node is stopped: records per second and node, and for how long at most.
outage_rate=5000
outage_seconds=120
nodes="node_1 node_2 node_3"
declare -A udp_port

# on SERVER [psql's arguments]: the reader or a node.
on() {
	local server=$1
	shift
	"$psql" -X -q -v ON_ERROR_STOP=1 -P footer=off -h "$work/$server/socket" -U postgres postgres "$@"
}
value() { on reader -At -c "$1" 2>/dev/null; }
with_commas() { sed -E ':a; s/([0-9])([0-9]{3})($|,)/\1,\2\3/; ta' <<<"$1"; }

# ---------- servers ----------

start_server() {
	local name=$1
	mkdir "$work/$name"
	scripts/private-server.sh start "$work/$name" "$tree" <<-END || return
		backstream.listen = '${2:+127.0.0.1:$2}'
		backstream.memory = '128MB'
		shared_buffers = '32MB'
	END
	on "$name" -c 'CREATE EXTENSION backstream' -c 'ALTER DATABASE postgres SET search_path = public, backstream' &&
		touch "$work/$name/ready"
}

# The statements that a user writes on the reader; the passwords are missing, as nobody else gets to these sockets.
define_backbone() {
	local name
	for name in $nodes; do
		echo "CREATE SERVER $name FOREIGN DATA WRAPPER backstream OPTIONS (host '$work/$name/socket', port '5432', dbname 'postgres');"
		echo "CREATE USER MAPPING FOR CURRENT_USER SERVER $name;"
	done
	cat <<-END
		CREATE SERVER backbone FOREIGN DATA WRAPPER backstream OPTIONS (nodes '${nodes// /, }');
		CREATE SCHEMA backbone;
		IMPORT FOREIGN SCHEMA backstream FROM SERVER backbone INTO backbone;
	END
}

# ---------- traffic ----------

# generate NUMBER RATE SECONDS [OPTION...]: a generator for each node, from addresses 127.NUMBER.NODE.1 and on.
generators=
generate() {
	local number=$1 name node=0
	local options=("--rate=$2" "--seconds=$3" --quiet --as-pairs=2000 --addresses=5000 --keys=zipf:1.1)
	shift 3
	generators=
	for name in $nodes; do
		node=$((node + 1))
		"$work/bin/bs-generate" --target="127.0.0.1:${udp_port[$name]}" --source-base="127.$number.$node.1" --seed=$node \
			"${options[@]}" "$@" --totals="$work/$name.json" 2>"$work/$name.generate" &
		echo $! >"$work/pids/$name"
		generators="$generators $!"
	done
}

# Until they have ended; what each wrote down is in $totals, as an array.
totals=
generated() {
	local pid name
	for pid in $generators; do
		wait "$pid" || { cat "$work"/*.generate >&2; fail "a generator failed"; }
	done
	for name in $nodes; do
		rm -f "$work/pids/$name"
	done
	totals=$(jq_array)
}
jq_array() {
	local name comma=
	printf '['
	for name in $nodes; do
		printf '%s' "$comma"
		cat "$work/$name.json"
		comma=,
	done
	printf ']'
}

# compare NUMBER: what was sent by generators of that number, and what the backbone has, in $verdict: four words.
# What is under way still is waited for, as long as it goes on arriving.
verdict=
compare() {
	local before=none unchanged=0
	while :; do
		verdict=$(on reader -At -F ' ' -v totals="$totals" -v net="127.$1.0.0/16" -f demo/backbone-compare.sql) || exit 1
		[ "${verdict%% *}" != exact ] || return 0
		if [ "$verdict" = "$before" ]; then
			[ $((++unchanged)) -lt 5 ] || return 1
		else
			unchanged=0 before=$verdict
		fi
		sleep 0.3
	done
}

number=20
# attempt RATE SECONDS: all generators once.  True if the sum is exact and they could keep the pace.
pace=
attempt() {
	number=$((number + 1))
	generate $number "$1" "$2" --version=mix --exporters=3
	generated
	pace=$(on reader -At -v totals="$totals" <<-'END'
		SELECT round(min((t ->> 'records_per_sec')::numeric)) FROM jsonb_array_elements(:'totals'::jsonb) t
	END
	)
	compare $number && [ "$pace" -ge $(($1 * 95 / 100)) ]
}

# Why an attempt came to nothing.
shortfall() {
	set -- "$1" $verdict
	if [ "$2" = exact ]; then
		echo "exact, but a generator sent no more than $(with_commas "$pace") records/s"
	else
		echo "$(with_commas $(($3 - $4))) of $(with_commas "$3") records are missing"
	fi
}

# repeat RATE: so many repetitions, a line for each; stops at the first that is not exact.
repeat() {
	local i
	for i in $(seq "$repetitions"); do
		if ! attempt "$1" "$seconds"; then
			printf '%3d  NOT EXACT: %s\n' "$i" "$(shortfall "$1")"
			return 1
		fi
		set -- "$1" $verdict
		printf '%3d  sent %s records   counted %s records, %s bytes   %s\n' "$i" "$(with_commas "$3")" "$(with_commas "$4")" \
			"$(with_commas "$5")" "$2"
	done
}

# The highest rate at which an attempt is exact: doubled until one is not, then halved in between.
search() {
	local low=$rate high=$((rate * 2)) steps=0
	while [ $high -le "$highest" ] && [ $steps -lt 10 ]; do
		if attempt $high "$seconds"; then
			printf '%10s records/s and node: exact\n' "$(with_commas $high)"
			low=$high high=$((high * 2))
		else
			printf '%10s records/s and node: %s\n' "$(with_commas $high)" "$(shortfall $high)"
			break
		fi
		steps=$((steps + 1))
	done
	[ $high -le "$highest" ] || { found=$low; return; }
	for steps in 1 2; do
		local middle=$(((low + high) / 2))
		if attempt $middle "$seconds"; then
			printf '%10s records/s and node: exact\n' "$(with_commas $middle)"
			low=$middle
		else
			printf '%10s records/s and node: %s\n' "$(with_commas $middle)" "$(shortfall $middle)"
			high=$middle
		fi
	done
	found=$low
}

# ---------- an outage ----------

look="SELECT to_char(time, 'HH24:MI:SS') AS time, records, packets, bytes FROM backbone.load ORDER BY load.time DESC LIMIT 4"
windows="SELECT to_char(window_start, 'HH24:MI:SS') AS window_start, state, gap, records, nodes_expected, nodes_answered
  FROM backstream.windows('backbone.load') ORDER BY windows.window_start DESC LIMIT"
states="SELECT node, state, to_char(last_contact, 'HH24:MI:SS') AS last_contact, views, views_in_step, problem FROM backstream.nodes"
# show QUERY...: each as a user would write it, with what psql says, warnings and errors included.
show() {
	local query
	for query in "$@"; do
		sed '1s/^/postgres=# /; $s/$/;/' <<<"$query"
		on reader -v ON_ERROR_STOP=0 -c "$query" 2>&1 | sed "s|$work/||"
	done
}
# Windows that began after the moment in $since have closed, and so many nodes answer for them.
closed_by() {
	wait_for 60 "SELECT count(*) >= $shown FROM backstream.windows('backbone.load')
		WHERE window_start > '$since' AND state = 'closed' AND nodes_answered = $1 AND records > 0"
}

outage() {
	local verdict
	since=$(value 'SELECT now()')
	number=$((number + 1))
	generate $number $outage_rate $outage_seconds --version=ipfix
	closed_by 3 || fail "no window was closed"
	show "$look" "$windows 6"

	say "node_2 is stopped"
	scripts/private-server.sh stop "$work/node_2"
	since=$(value 'SELECT now()')
	closed_by 2 || fail "no window was closed without node_2"
	echo "A view with on_node_failure = 'partial' returns what the others have counted, and says so:"
	show "$look" "$windows 6" "$states"
	echo "A view without that option returns nothing rather than less:"
	show "SELECT sum(flows) FROM backbone.traffic_matrix"

	say "node_2 is started again"
	scripts/private-server.sh resume "$work/node_2" || fail "node_2 did not start again"
	wait_for 30 "SELECT bool_and(state = 'in step') FROM backstream.nodes" || fail "node_2 is not in step"
	since=$(value 'SELECT now()')
	closed_by 3 || fail "no window was complete again"
	echo "What it had counted before it has kept; windows in which it was down stay marked, and those since are complete:"
	show "$look" "$windows 15" "$states"

	# One that can be compared, too: generators write down windows of ten seconds.
	wait_for 60 "SELECT count(*) > 0 FROM backstream.windows('backbone.by_exporter')
		WHERE window_start > '$since' AND nodes_answered = 3 AND records > 0" || fail "no long window was complete again"

	say "What did that cost?  Traffic ends; windows of ten seconds, against what the generators wrote down"
	kill $generators 2>/dev/null
	generated
	for _ in $(seq 20); do
		verdict=$(on reader -v totals="$totals" -v net="127.$number.0.0/16" -f demo/backbone-windows.sql) || return 1
		[ "${verdict##*$'\n'}" != exact ] || break
		sleep 0.3
	done
	sed '$d' <<<"$verdict"
	[ "${verdict##*$'\n'}" = exact ]
}

# ---------- what is shown ----------

say "BackStream: build"
demo_build

say "Three nodes and a reader"
for name in $nodes; do
	udp_port[$name]=$(free_udp_port)
	start_server "$name" "${udp_port[$name]}" &
	echo "$name   flows on 127.0.0.1:${udp_port[$name]} (UDP), $work/$name"
done
start_server reader &
echo "reader   receives nothing, $work/reader"
wait
for name in $nodes reader; do
	[ -e "$work/$name/ready" ] || fail "server $name did not start"
done
define_backbone | tee "$work/backbone.sql"
on reader -f "$work/backbone.sql" || fail "the backbone was not made"

say "Views, defined once (demo/backbone.sql)"
sed -n '/^-- The query of/,/GROUP BY 1;/p' demo/backbone.sql
echo "..."
on reader -f demo/backbone.sql || exit 1
for name in $nodes; do
	for _ in $(seq 100); do
		ready=$(on "$name" -At -c "SELECT (SELECT count(*) = 3 AND bool_and(state = 'active') FROM backstream.views)
			AND (SELECT bool_and(state = 'open') FROM backstream.listeners)")
		[ "$ready" != t ] || break
		sleep 0.1
	done
	[ "$ready" = t ] || fail "$name does not count"
done
show "$states"

failed=0
say "$(with_commas "$rate") records/s of NetFlow v5, v9 and IPFIX to each node, $repetitions times $seconds s: is the sum exact?"
repeat "$rate" || failed=1

found=$rate
if [ "$highest" -ge $((rate * 2)) ]; then
	say "How fast can it be?  One attempt each, $seconds s"
	search
fi
tries=0
while [ "$found" -gt "$rate" ]; do
	say "$(with_commas "$found") records/s to each node, $(with_commas $((found * 3))) together, $repetitions times $seconds s"
	! repeat "$found" || break
	if [ $((++tries)) -ge 4 ]; then
		failed=1
		break
	fi
	found=$((found * 4 / 5 > rate ? found * 4 / 5 : rate))
	echo "so that is not the highest exact rate; a fifth lower"
done

say "One node goes and comes back while traffic flows: $(with_commas $outage_rate) records/s to each"
outage || failed=1

if [ $failed -eq 0 ]; then
	say "EXACT: every sum, at $(with_commas "$rate") and at $(with_commas "$found") records/s and node; what one node missed is marked, and no other window"
else
	say "NOT EXACT: see above"
fi
exit $failed
