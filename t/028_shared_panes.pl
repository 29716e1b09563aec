# SPDX-License-Identifier: PostgreSQL
# Views of several widths over the same keys count in the same panes: under traffic that two receivers take, and
# inserts, each equals its SELECT over a table of the same records; also one that is made, one that is dropped, one
# that is given other options and one whose owner loses his rights in between.  Over a restart too.
use strict;
use warnings;
use BackStreamCaptures;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $port = free_port();
my $node = backstream_node('shared_panes', conf => <<"CONF");
backstream.listen = '127.0.0.1:$port'
backstream.workers = 2
backstream.memory = '256MB'
backstream.receive_buffer = '8MB'
TimeZone = 'UTC'
autovacuum = off
CONF
$node->start;

sub query { return $node->safe_psql('postgres', $_[0]) }

my $patient = "lateness = '1 hour', retain = '10 days'";
my $counted = "exporter, dst_port, sum(bytes) AS bytes, count(*) AS n, count(DISTINCT src_as) AS many FROM STREAM";
my %views = (
	tumbling => [ $patient, "SELECT backstream.tumble(time_flow_end, '5 s') AS time, $counted GROUP BY 1, 2, 3" ],
	map({ ("hops_$_" => [ $patient, "SELECT backstream.hop(time_flow_end, '5 s', '$_ s') AS time, $counted GROUP BY 1, 2, 3" ]) } 10, 20, 60),
	busy => [ "$patient, max_behind = '2 hours'", "SELECT backstream.hop(time_flow_end, '5 s', '2 min') AS time, $counted GROUP BY 1, 2, 3 HAVING sum(bytes) > 100000" ],
	leaves => [ $patient, "SELECT backstream.hop(time_flow_end, '5 s', '15 s') AS time, $counted GROUP BY 1, 2, 3" ],
	stops => [ $patient, "SELECT backstream.hop(time_flow_end, '5 s', '30 s') AS time, $counted GROUP BY 1, 2, 3" ],
	changes => [ $patient, "SELECT backstream.hop(time_flow_end, '5 s', '25 s') AS time, $counted GROUP BY 1, 2, 3" ],
);
# What PostgreSQL computes, and states that its functions make.
for my $size (10, 20, 30)
{
	$views{"computed_$size"} = [ $patient, "SELECT backstream.hop(time_flow_end, '5 s', '$size s') AS time, upper(flow_type) AS kind, sum(length(host(src_addr))) AS length, count(*) AS n FROM STREAM GROUP BY 1, 2" ];
	$views{"states_$size"} = [ $patient, "SELECT backstream.hop(time_flow_end, '5 s', '$size s') AS time, exporter, stddev(bytes) AS spread, max(upper(flow_type)) AS kind, count(DISTINCT dst_as) AS many FROM STREAM GROUP BY 1, 2" ];
}
for my $size (20, 60)
{
	my $b = "date_bin('5 s', (SELECT max(time_flow_end) FROM kept), '2000-01-01 00:00Z')";

	$views{"rolling_$size"} = [ "window = '$size s', slide = '5 s', time_column = 'time_flow_end'", "SELECT proto, sum(bytes) AS bytes, count(*) AS n FROM STREAM WHERE TIMED GROUP BY 1",
		"time_flow_end > $b - interval '$size s' AND time_flow_end <= $b" ];
}
# These close while records come, each when the keeper comes to it.
$views{"hasty_$_"} = [ "lateness = '100 ms', retain = '10 days'", "SELECT backstream.hop(time_flow_start, '1 s', '$_ s') AS time, count(*) AS n, sum(bytes) AS bytes FROM STREAM GROUP BY 1" ] for 1, 3, 10;

my $owner = 'CREATE ROLE careful; GRANT SELECT ON backstream.flow TO careful; GRANT USAGE ON FOREIGN SERVER backstream TO careful; GRANT ALL ON SCHEMA public TO careful';
query("CREATE EXTENSION backstream; CREATE TABLE kept (LIKE backstream.flow); $owner");

sub create
{
	my ($name) = @_;
	my ($options, $select, $timed) = @{ $views{$name} };

	query(($name eq 'stops' ? 'SET ROLE careful;' : '') . "CREATE VIEW $name WITH (continuous, clock = 'data', $options) AS " . ($select =~ s/STREAM/backstream.flow/r =~ s/TIMED/true/r));
	query("CREATE VIEW kept_$name AS " . ($select =~ s/STREAM/kept/r =~ s/TIMED/$timed \/\/ 'true'/er));
}

create($_) for sort keys %views;
ok(wait_until(10, sub { query("SELECT count(*) FROM backstream.receivers WHERE pid IS NOT NULL") == 2 && query("SELECT count(*) FROM backstream.listeners WHERE state <> 'open'") == 0 }), 'two receivers listen');
# Every process that adds knows of all of them.
ok(wait_until(30, sub { query("SELECT count(*) FROM backstream.views WHERE state = 'active'") == keys %views }), 'all are counted');
query('SELECT pg_sleep(0.5)');

my $like = $views{hops_60}[1] =~ s/STREAM/backstream.flow/r;
is(query("SELECT evaluated FROM backstream.explain(\$\$$like\$\$) WHERE part = 'panes'"), '', 'with another lateness panes are not shared');

# A minute and a half of flows from twelve exporters, sent and decoded, in three parts.
my $pcap = PostgreSQL::Test::Utils::tempdir() . '/flows.pcap';
my $totals = generate(pcap => $pcap, version => 'mix', exporters => 12, count => 24000, rate => 100000, as_pairs => 300, addresses => 500,
	start_time => '2026-01-31T12:00:00', time_step => 0.004, duration => 15000, sampling => 10, seed => 5);
my @datagrams = BackStreamCaptures::datagrams_of($pcap);
my $nsent = 0;

# Templates of one part serve the next: they are decoded in one session, at the end.
sub send_part
{
	my ($first, $end) = @_;

	for my $datagram (@datagrams[ $first .. $end - 1 ])
	{
		send_datagram($port, $datagram);
		usleep(2000) if ++$nsent % 20 == 0;
	}
}

# Until nothing more comes.
sub settled
{
	my $before = '';

	return wait_until(60, sub {
		my $now = query("SELECT string_agg(received::text, ' ' ORDER BY view) FROM backstream.views");
		my $same = $now eq $before;
		$before = $now;
		usleep(300_000) unless $same;
		return $same;
	});
}

my $third = int(@datagrams / 3);
send_part(0, $third);
ok(settled(), 'a first part is in');
my $sum = query("SELECT sum(memory_bytes) FROM backstream.views");
cmp_ok(query('SELECT used FROM backstream.memory'), '<', $sum * 0.75, 'tables of panes are there once') or diag("of views: $sum");

# In between one is dropped, one made, one may not read any more, one keeps its windows for longer.
query('DROP FOREIGN TABLE leaves');
delete $views{leaves};
$views{joins} = [ $patient, "SELECT backstream.hop(time_flow_end, '5 s', '40 s') AS time, " . ($views{tumbling}[1] =~ s/.*AS time, //r) ];
create('joins');
query('REVOKE SELECT ON backstream.flow FROM careful');
query("ALTER FOREIGN TABLE changes OPTIONS (SET retain '20 days')");
ok(wait_until(30, sub { query("SELECT count(*) FROM backstream.views WHERE state = 'active'") == keys(%views) - 1 }), 'one is suspended');
query('SELECT pg_sleep(0.5)');
my $joined = query("SELECT received FROM backstream.views WHERE view = 'tumbling'::regclass");
send_part($third, 2 * $third);
ok(settled(), 'a second part is in');

# Inserted records meet those of receivers in the same windows.
query(q{CREATE TABLE more AS SELECT timestamptz '2026-01-31 12:00:00Z' + i * interval '37 ms' AS t, i FROM generate_series(1, 2000) i});
query("INSERT INTO $_ (time_flow_start, time_flow_end, exporter, dst_port, bytes, packets, proto, src_as) SELECT t - interval '1 s', t, '10.0.0.1', i % 7, i, 1, 17, i % 50 FROM more") for 'backstream.flow', 'kept';

# Over a restart, after which windows go on that were open, and panes that both have are again two.
$node->restart;
ok(wait_until(60, sub { query("SELECT count(*) FROM backstream.listeners WHERE state = 'open'") == 2 && query("SELECT count(*) FROM backstream.views WHERE state = 'active'") == keys(%views) - 1 }), 'started again');
query('SELECT pg_sleep(0.5)');
send_part(2 * $third, scalar @datagrams);
ok(settled(), 'a third part is in');

query('BEGIN;' . join('', map { decode_statement('kept', $_) } @datagrams) . 'COMMIT');
my $nkept = query('SELECT count(*) FROM kept');
is($nkept, $totals->{records} + 2000, 'the table has what was sent and inserted');
for my $name (grep { !/^(hasty|stops|joins)/ } sort keys %views)
{
	is(query("SELECT received FROM backstream.views WHERE view = '$name'::regclass"), $nkept, "$name was offered all records");
	is(differences($node, $name, "kept_$name"), 0, "$name equals its SELECT over the table");
	cmp_ok(query("SELECT count(*) FROM $name"), '>', 1, 'which is not empty');
}
is(query("SELECT count(*) FROM backstream.views WHERE received <> records + filtered + late + untimed + future + overflowed + errors"), '0', 'each record is counted once by each view');

# What closed before a record came is late, in as many windows as it would have been in.
for my $size (1, 3, 10)
{
	is(query("SELECT (SELECT count(*) FROM kept WHERE time_flow_start IS NOT NULL) = records + late, (SELECT sum(k.n - coalesce(h.n, 0)) FROM kept_hasty_$size k LEFT JOIN hasty_$size h USING (time)) = $size * late, late > 0 FROM backstream.views WHERE view = 'hasty_$size'::regclass"),
		't|t|t', "hops of $size s that close early: what is missing is what is late");
}

# Who came later has all that came then, and nothing of what was there.
is(query("SELECT received FROM backstream.views WHERE view = 'joins'::regclass"), $nkept - $joined, 'what was made in between was offered the rest');
is(query("SELECT sum(n) FROM joins"), 8 * ($nkept - $joined), 'and has it, in each of its windows');
is(query("SELECT received + skipped, skipped > 0 FROM backstream.views WHERE view = 'stops'::regclass"), "$nkept|t", 'a suspended view skips what comes');
is(query("SELECT sum(n) FROM stops"), 6 * query("SELECT records FROM backstream.views WHERE view = 'stops'::regclass"), 'and keeps what it had');

# And says so.
like(query("SELECT evaluated FROM backstream.explain('SELECT backstream.hop(t, ''1 s'', ''4 s'') AS time, sum(v) AS v FROM ticks GROUP BY 1') WHERE part = 'panes'"), qr/^shared with public\.ticks_(1, public\.ticks_2|2, public\.ticks_1)$/, 'explain() tells with whom panes are shared')
	if query(q{CREATE FOREIGN TABLE ticks (t timestamptz, v int) SERVER backstream;
		CREATE VIEW ticks_1 WITH (continuous) AS SELECT backstream.tumble(t, '1 s') AS time, sum(v) AS v FROM ticks GROUP BY 1;
		CREATE VIEW ticks_2 WITH (continuous, retain = '2 hours') AS SELECT backstream.hop(t, '1 s', '2 s') AS time, sum(v) / 2 AS half FROM ticks GROUP BY 1 HAVING sum(v) > 3;
		CREATE VIEW ticks_other WITH (continuous) AS SELECT backstream.tumble(t, '1 s') AS time, max(v) AS v FROM ticks GROUP BY 1; SELECT 1});
$node->stop;
done_testing();
