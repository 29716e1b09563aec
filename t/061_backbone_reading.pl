# SPDX-License-Identifier: PostgreSQL
# A view over nodes is the SELECT over the records of all of them: the same rows as from a table that has them all.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($reader, @nodes) = start_backbone(conf => "statement_timeout = '60s'\n");

sub query { return $reader->safe_psql('postgres', $_[0]) }

# A stream of one's own, with all kinds of columns.
my $columns = 't timestamptz, src inet, dst inet, port int, proto smallint, bytes bigint, rate float8, name text, price numeric, ok boolean, mac macaddr, took interval';
sql_all("CREATE FOREIGN TABLE s ($columns) SERVER backstream", @nodes);
query('IMPORT FOREIGN SCHEMA public FROM SERVER backbone INTO backbone');
query("CREATE SCHEMA plain; CREATE TABLE plain.s ($columns)");

# The records of node n are those with n = i % 3; every group is on more than one.
my $records = q{SELECT timestamptz '2026-01-01 00:00:00Z' + (i % 600) * interval '1 s' AS t, '10.0.0.0'::inet + i % 7 AS src,
	CASE WHEN i % 11 = 0 THEN '2001:db8::1'::inet + i % 3 WHEN i % 13 = 0 THEN NULL ELSE '192.0.2.0'::inet + i % 5 END AS dst,
	(i * 7919) % 200 AS port, (CASE i % 3 WHEN 0 THEN 6 WHEN 1 THEN 17 END)::smallint AS proto, (i::bigint * 2654435761) % 100000 AS bytes,
	(i % 17) / 4.0 AS rate, CASE WHEN i % 9 = 0 THEN NULL ELSE 'name ' || i % 23 END AS name, ((i % 31) / 8.0)::numeric(10, 3) AS price,
	i % 2 = 0 AS ok, ('08:00:2b:01:02:0' || i % 4)::macaddr AS mac, (i % 50) * interval '1 min' AS took};
my $nrecords = 6000;
query("INSERT INTO plain.s $records FROM generate_series(1, $nrecords) i");

my %views = (
	plain_sums => q{SELECT tumble(t, '1 min') AS time, src, count(*) AS n, sum(bytes) AS bytes, sum(port) AS ports FROM s GROUP BY 1, 2},
	averages => q{SELECT tumble(t, '1 min') AS time, proto, avg(bytes) AS bytes, avg(rate) AS rate, avg(price) AS price FROM s GROUP BY 1, 2},
	distinct_values => q{SELECT tumble(t, '2 min') AS time, src, count(DISTINCT port) AS ports, sum(DISTINCT port) AS port_sum, avg(DISTINCT port) AS port_mean, count(DISTINCT name) AS names FROM s GROUP BY 1, 2},
	extremes => q{SELECT tumble(t, '1 min') AS time, min(bytes) AS least, max(bytes) AS most, min(dst) AS first, max(name) AS last, bit_or(port) AS bits, bool_and(ok) AS all_ok, max(took) AS longest FROM s GROUP BY 1},
	sketches => q{SELECT tumble(t, '5 min') AS time, approx_count_distinct(port) AS ports, approx_percentile(0.9, bytes) AS p90, approx_top_k(name, 5) AS names FROM s GROUP BY 1},
	filtered => q{SELECT tumble(t, '1 min') AS time, name, count(*) FILTER (WHERE proto = 6) AS tcp, sum(bytes) FILTER (WHERE ok) AS bytes FROM s WHERE port > 20 GROUP BY 1, 2},
	having_after => q{SELECT tumble(t, '1 min') AS time, port, count(*) AS n, sum(bytes) AS bytes FROM s GROUP BY 1, 2 HAVING count(*) > 3 AND sum(bytes) > 100000},
	many_keys => q{SELECT tumble(t, '1 min') AS time, src, dst, port, proto, name, ok, mac, price, took, count(*) AS n FROM s GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
	expressions => q{SELECT date_trunc('minute', t) AS time, network(set_masklen(dst, 24)) AS net, upper(name) AS name, sum(bytes) * 8 / 60.0 AS bps, avg(bytes::float8 / (port + 1)) AS mean FROM s GROUP BY 1, 2, 3},
	deviations => q{SELECT tumble(t, '5 min') AS time, ok, stddev(bytes) AS deviation, variance(port) AS variance, sum(price) AS price FROM s GROUP BY 1, 2},
	hopping => q{SELECT hop(t, '1 min', '3 min') AS time, proto, count(*) AS n, sum(bytes) AS bytes, count(DISTINCT src) AS sources FROM s GROUP BY 1, 2},
	rolling => [ q{SELECT port, sum(bytes) AS bytes, count(DISTINCT src) AS sources FROM s GROUP BY 1}, q{, window = '2 min', slide = '30 s', time_column = 't'}, q{WHERE t > '2026-01-01 00:07:30Z' AND t <= '2026-01-01 00:09:30Z'} ],
	totals => q{SELECT count(*) AS n, sum(bytes) AS bytes, avg(price) AS price, count(DISTINCT port) AS ports FROM s},
	totals_by_port => q{SELECT port, count(*) AS n FROM s GROUP BY 1},
);
for my $name (sort keys %views)
{
	my ($sql, $options, $where) = ref $views{$name} ? @{ $views{$name} } : ($views{$name}, ", retain = '10 days'", '');
	(my $here = $sql) =~ s/FROM s\b/FROM backbone.s/;
	query("CREATE VIEW backbone.$name WITH (continuous, clock = 'data'$options) AS $here");
	($views{$name} = $sql) =~ s/FROM s\b/FROM s $where/;
}
is(query(q{SELECT * FROM backbone.totals}), '0||0|0' =~ s/\|\|0\|/|||/r, 'nothing has been counted');
for my $n (0 .. 2)
{
	$nodes[$n]->safe_psql('postgres', "INSERT INTO s $records FROM generate_series(1, $nrecords) i WHERE i % 3 = $n");
}

for my $name (sort keys %views)
{
	cmp_ok(query("SELECT count(*) FROM backbone.$name"), '>', 0, "$name has rows") unless $name eq 'nothing';
	is(differ($reader, "backbone.$name", $views{$name}), 0, "$name is the SELECT over all records");
}
# States of all nodes go on into combine(), over fewer keys and all windows.
is(query(q{SET search_path = plain, backstream, public;
	SELECT count(*) FROM (SELECT src, combine(ports), combine(port_mean), combine(names) FROM backbone.distinct_values GROUP BY 1
		EXCEPT ALL SELECT src, count(DISTINCT port), avg(DISTINCT port), count(DISTINCT name) FROM s GROUP BY 1) d}), 0, 'combined sets');
is(query(q{SET search_path = plain, backstream, public;
	SELECT combine(bytes), combine(price) FROM backbone.averages EXCEPT ALL SELECT avg(bytes), avg(price) FROM s}), '', 'combined averages');
# The comparison finds what differs.
query("DELETE FROM plain.s WHERE ctid = (SELECT min(ctid) FROM plain.s)");
cmp_ok(differ($reader, 'backbone.plain_sums', $views{plain_sums}), '>', 0, 'one record less would be noticed');

# ---------- conditions, order, functions ----------

is(query(q{SELECT count(*) FROM backbone.plain_sums WHERE time >= '2026-01-01 00:03:00Z' AND time < '2026-01-01 00:05:00Z'}), 14, 'windows are chosen');
is(query(q{SELECT count(DISTINCT src), sum(n) FROM backbone.plain_sums WHERE src = '10.0.0.3'}), '1|857', 'and groups');
is(query(q{SELECT string_agg(to_char(time AT TIME ZONE 'UTC', 'MI'), ' ') FROM (SELECT DISTINCT time FROM backbone.plain_sums ORDER BY time DESC LIMIT 3) q}), '09 08 07', 'newest first');
is(query(q{SELECT count(*), sum(n) FROM backstream.merged(NULL::backbone.plain_sums, '2026-01-01 00:00Z', '2026-01-01 00:10Z')}), "7|$nrecords", 'merged() merges nodes and windows');
is(query(q{SELECT count(*) FROM backstream.merged(NULL::backbone.hopping, '2026-01-01 00:00Z', '2026-01-01 00:10Z')}), 3, 'also where they hop');
is(query(q{SELECT count(*), max(time) = (SELECT max(time) FROM backbone.plain_sums) - interval '1 min' FROM backstream.latest(NULL::backbone.plain_sums)}), '7|t', 'latest() is the newest that all have closed');
my $explain = query(q{EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM backbone.plain_sums WHERE time >= '2026-01-01 00:08:00Z'});
like($explain, qr/Windows Read: 2\n.*Groups Read: 14\n.*Node node_1: groups=14 bytes=\d+\n.*Node node_2: groups=14 bytes=\d+\n.*Node node_3: groups=14 bytes=\d+/s, 'EXPLAIN ANALYZE shows what each node has sent') or diag($explain);
is(query(q{SELECT count(*) FROM backbone.plain_sums a JOIN backbone.averages b USING (time) JOIN backbone.totals_by_port p ON true}), query(q{SELECT 7 * 10 * 3 * 200}), 'several views in one statement');
is(query(q{BEGIN; DECLARE c CURSOR FOR SELECT * FROM backbone.plain_sums; MOVE 3 FROM c; SELECT count(*) FROM backbone.averages; MOVE ALL FROM c; COMMIT}), 30, 'and beside an open cursor');


# ---------- what is not there yet says so ----------

for my $case ([ q{CREATE TYPE colour AS ENUM ('red'); CREATE VIEW backbone.coloured WITH (continuous) AS SELECT name::colour, count(*) FROM backbone.s GROUP BY 1}, 'a key of type colour cannot travel between nodes' ])
{
	my ($status, $out, $err) = $reader->psql('postgres', $case->[0]);

	like($err, qr/ERROR:  \Q$case->[1]\E/, "refused: $case->[1]");
}

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for $reader, @nodes;
$_->stop for $reader, @nodes;
done_testing();
