# SPDX-License-Identifier: PostgreSQL
# Hopping, rolling and spread views under traffic that two receivers take: each equals its SELECT over a table of
# what backstream.decode() makes of the same datagrams, and what closed too early for a record is counted.
use strict;
use warnings;
use BackStreamCaptures;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $port = free_port();
my $node = backstream_node('windows', conf => <<"CONF");
backstream.listen = '127.0.0.1:$port'
backstream.workers = 2
backstream.memory = '128MB'
backstream.receive_buffer = '4MB'
TimeZone = 'UTC'
autovacuum = off
CONF
$node->start;

sub query { return $node->safe_psql('postgres', $_[0]) }

# Options, and the SELECT; rolling ones as of NOW, which TIMED says over a table.
my $patient = "lateness = '1 hour', retain = '10 days'";
my $spread = "LATERAL backstream.spread(f.time_flow_start, f.time_flow_end";
my $b = "date_bin('5 s', (SELECT max(time_flow_end) FROM kept), '2000-01-01 00:00Z')";
my %views = (
	hops => [ $patient, "SELECT backstream.hop(time_flow_end, '5 s', '1 min') AS time, exporter, sum(bytes) AS bytes, sum(packets) AS packets, count(*) AS n, count(DISTINCT dst_port) AS ports FROM STREAM f WHERE TIMED GROUP BY 1, 2" ],
	odd_hops => [ $patient, "SELECT backstream.hop(time_flow_start, '4 s', '10 s') AS time, flow_type, proto, max(bytes) AS most, avg(packets) AS mean FROM STREAM f WHERE TIMED GROUP BY 1, 2, 3" ],
	rolling => [ "window = '20 s', slide = '5 s', time_column = 'time_flow_end'", "SELECT exporter, sum(bytes) AS bytes, count(*) AS n, count(DISTINCT dst_as) AS many FROM STREAM f WHERE TIMED GROUP BY 1",
		"time_flow_end > $b - interval '20 s' AND time_flow_end <= $b" ],
	rolling_all => [ "window = '25 s', slide = '5 s', time_column = 'time_flow_end'", "SELECT sum(bytes) AS bytes, count(*) AS n, min(time_flow_end) AS first FROM STREAM f WHERE TIMED",
		"time_flow_end > $b - interval '25 s' AND time_flow_end <= $b" ],
	spread => [ $patient, "SELECT s.time, f.exporter, sum(backstream.portion(f.bytes, s)) AS bytes, sum(backstream.portion(f.packets, s)) AS packets, count(*) AS n FROM STREAM f, $spread, '2 s') s WHERE TIMED GROUP BY 1, 2" ],
	spread_by => [ $patient, "SELECT backstream.tumble(s.time, '10 s') AS time, proto, sum(backstream.portion(backstream.scaled(bytes, sampling_rate), s)) AS bytes, max(s.total_usec) AS longest FROM STREAM f CROSS JOIN $spread, '1 s') s WHERE TIMED GROUP BY 1, 2" ],
	# These close while records come.
	hasty_hops => [ "lateness = '100 ms', retain = '10 days'", "SELECT backstream.hop(time_flow_start, '1 s', '3 s') AS time, count(*) AS n, sum(bytes) AS bytes FROM STREAM f GROUP BY 1" ],
	hasty_spread => [ "lateness = '1 s', retain = '10 days'", "SELECT s.time, sum(backstream.portion(f.bytes, s)) AS bytes, count(*) AS n FROM STREAM f, $spread, '2 s') s GROUP BY 1" ],
);
my @exact = grep { !/^hasty/ } sort keys %views;

query('CREATE EXTENSION backstream; CREATE TABLE kept (LIKE backstream.flow)');
for my $name (sort keys %views)
{
	my ($options, $select, $timed) = @{ $views{$name} };

	query("CREATE VIEW $name WITH (continuous, clock = 'data', $options) AS " . ($select =~ s/STREAM/backstream.flow/r =~ s/TIMED/true/r));
	query("CREATE VIEW kept_$name AS " . ($select =~ s/STREAM/kept/r =~ s/TIMED/$timed \/\/ 'true'/er));
}
ok(wait_until(10, sub { query("SELECT count(*) FROM backstream.receivers WHERE pid IS NOT NULL") == 2 && query("SELECT count(*) FROM backstream.listeners WHERE state <> 'open'") == 0 }), 'two receivers listen');
wait_until(10, sub { query("SELECT count(*) FROM backstream.views WHERE state = 'active'") == keys %views });
query('SELECT pg_sleep(0.3)');

# 80 s of flows of up to 15 s, from twelve exporters, as a file; it is sent and decoded.
my $pcap = PostgreSQL::Test::Utils::tempdir() . '/flows.pcap';
my $totals = generate(pcap => $pcap, version => 'mix', exporters => 12, count => 20000, rate => 100000, as_pairs => 300, addresses => 500,
	start_time => '2026-01-31T12:00:00', time_step => 0.004, duration => 15000, sampling => 10, seed => 5);
my @datagrams = BackStreamCaptures::datagrams_of($pcap);
my $nsent = 0;
my $decode = "BEGIN;\n";

for my $datagram (@datagrams)
{
	send_datagram($port, $datagram);
	usleep(2000) if ++$nsent % 20 == 0;
	$decode .= decode_statement('kept', $datagram);
}
query("${decode}COMMIT");
is(query('SELECT count(*), sum(bytes) FROM kept'), "$totals->{records}|" . eval { my $sum = 0; $sum += $_->{bytes} for @{ $totals->{exporters} }; $sum }, 'the table has what was generated');
is(query('SELECT sum(n) FROM (SELECT count(*) AS n FROM kept GROUP BY exporter) e'), $totals->{records}, 'of all exporters');
# spread counts rows, of which a flow is some.
my $slices = query("SELECT count(*) FROM kept f, $spread, '2 s') s");
ok(received_all($node, $_, $totals->{records}), "$_ was offered all records") for qw(hops odd_hops rolling rolling_all hasty_hops);
ok(received_all($node, $_, $slices), "$_ was offered all parts") for qw(spread hasty_spread);
ok(received_all($node, 'spread_by', query("SELECT count(*) FROM kept f, $spread, '1 s') s")), 'spread_by was offered all parts');
cmp_ok(query('SELECT min(records) FROM backstream.exporters'), '>', 0, 'every exporter was heard');
is(query('SELECT count(DISTINCT worker) FROM backstream.exporters'), '2', 'by both receivers');

for my $name (@exact)
{
	is(differences($node, $name, "kept_$name"), 0, "$name equals its SELECT over the table");
	cmp_ok(query("SELECT count(*) FROM $name"), '>', $name eq 'rolling_all' ? 0 : 5, 'which is not empty');
}
is(query("SELECT records, late, untimed, overflowed FROM backstream.views WHERE view = '$_'::regclass"), query("SELECT received, 0, 0, 0 FROM backstream.views WHERE view = '$_'::regclass"), "$_: none is late")
	for qw(hops odd_hops spread spread_by);
is(query('SELECT sum(bytes) FROM spread'), query('SELECT sum(bytes) FROM kept'), 'the parts of flows come to their bytes');
is(query("SELECT received = records + late + untimed FROM backstream.views WHERE view = 'rolling'::regclass"), 't', 'what is past for the rolling view is counted');

# What closed before a record came is late, once, and nothing else is missing.
cmp_ok(query("SELECT least(records, late) FROM backstream.views WHERE view = '$_'::regclass"), '>', 0, "$_: some are late, some not") for qw(hasty_hops hasty_spread);
is(query("SELECT (SELECT sum(bytes) FROM hasty_spread) + late_bytes = (SELECT sum(bytes) FROM kept), records + late = received, (SELECT sum(n) FROM hasty_spread) = records FROM backstream.views WHERE view = 'hasty_spread'::regclass"),
	't|t|t', 'spread: what is missing is what is late');
is(query("SELECT (SELECT count(*) FROM kept) = records + late, (SELECT bool_and(h.n <= k.n) FROM hasty_hops h JOIN kept_hasty_hops k USING (time)),
	(SELECT sum(k.n - coalesce(h.n, 0)) FROM kept_hasty_hops k LEFT JOIN hasty_hops h USING (time)) = 3 * late FROM backstream.views WHERE view = 'hasty_hops'::regclass"),
	't|t|t', 'hop: a late record is missing in its three windows');

# More windows than a day has seconds, all of them in memory.
query(q{CREATE FOREIGN TABLE ticks (t timestamptz, v int) SERVER backstream;
	CREATE VIEW seconds WITH (continuous, clock = 'data', retain = '2 days') AS SELECT backstream.tumble(t, '1 s') AS time, sum(v) AS v, count(*) AS n FROM ticks GROUP BY 1});
query(q{INSERT INTO ticks SELECT timestamptz '2026-01-01 00:00Z' + i * interval '1 s', i FROM generate_series(0, 89999) i});
is(query(q{SELECT count(*), sum(n), bool_and(v = extract(epoch FROM time - '2026-01-01 00:00Z')) FROM seconds}), '90000|90000|t', 'a day of windows of a second');
is(query(q{SELECT windows, groups, overflowed FROM backstream.views WHERE view = 'seconds'::regclass}), '90000|90000|0', 'none overflowed');
is(query(q{SELECT count(*), count(DISTINCT window_start) FROM backstream.windows('seconds')}), '90000|90000', 'each is listed once');
$node->stop;
done_testing();
