# SPDX-License-Identifier: PostgreSQL
# Eight sessions that insert, a receiver under traffic and four readers, all at once, over windows that
# close: in the end views equal tables with the same records, and the counters add up.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $port = free_port();
my $node = backstream_node('writers', conf => <<"CONF");
backstream.listen = '127.0.0.1:$port'
backstream.memory = '128MB'
backstream.receive_buffer = '4MB'
max_connections = 30
statement_timeout = '60s'
autovacuum = off
CONF
$node->start;

# The same SELECT over a stream and over a table.  Lateness keeps every record in time: the sessions
# go through the same stretch of time at different speeds.
my %views = (
	by_data => [ "clock = 'data', lateness = '1 hour', retain = '100 days'", 's',
		"SELECT backstream.tumble(t, '10 s') AS time, k, count(*) AS n, sum(x) AS x, min(x) AS least, max(y) AS y, avg(x) AS mean, count(DISTINCT y) AS ys, stddev(k * x) AS spread FROM STREAM GROUP BY 1, 2" ],
	totals => [ "clock = 'data'", 's',
		'SELECT k % 7 AS k, count(*) AS n, sum(x) AS x, bool_or(x > 100) AS big, count(y) FILTER (WHERE k > 100) AS some FROM STREAM GROUP BY 1' ],
	texts => [ "clock = 'data'", 's',
		"SELECT upper(y) AS y, count(*) AS n, stddev(k) AS spread FROM STREAM WHERE k % 3 <> 0 GROUP BY 1" ],
	by_wall => [ "lateness = '1 min'", 'backstream.flow',
		"SELECT backstream.tumble(time_event, '1 s') AS time, exporter, count(*) AS n, sum(bytes) AS bytes FROM STREAM WHERE exporter << '10.0.0.0/8' GROUP BY 1, 2" ],
	all_flows => [ '', 'backstream.flow',
		'SELECT exporter, count(*) AS n, sum(bytes) AS bytes, sum(packets) AS packets FROM STREAM GROUP BY 1' ],
	by_arrival => [ '', 'backstream.flow',
		"SELECT backstream.tumble(time_received, '1 s') AS time, exporter, count(*) AS n, sum(bytes) AS bytes, count(DISTINCT exporter) AS exporters, avg(packets) AS mean FROM STREAM GROUP BY 1, 2" ],
);
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (t timestamptz, k int, x bigint, y text) SERVER backstream OPTIONS (watermark_by 'k');
CREATE TABLE kept_s (t timestamptz, k int, x bigint, y text);
CREATE TABLE kept_flow (LIKE backstream.flow);
SQL
for my $name (sort keys %views)
{
	my ($options, $stream, $select) = @{ $views{$name} };
	my $table = $stream eq 's' ? 'kept_s' : 'kept_flow';

	$node->safe_psql('postgres', "CREATE VIEW $name WITH (" . join(', ', 'continuous', $options || ()) . ') AS ' . ($select =~ s/STREAM/$stream/r));
	$node->safe_psql('postgres', "CREATE VIEW kept_$name AS " . ($select =~ s/STREAM/$table/r));
}
$node->safe_psql('postgres', <<'SQL');
CREATE PROCEDURE work(seed int, turns int) LANGUAGE plpgsql AS $$
DECLARE
	begun timestamptz;
BEGIN
	PERFORM setseed(seed / 10.0);
	FOR turn IN 1 .. turns LOOP
		CREATE TEMP TABLE IF NOT EXISTS made (t timestamptz, k int, x bigint, y text);
		TRUNCATE made;
		INSERT INTO made SELECT timestamptz '2026-01-01 00:00:00+00' + (turn * 3 + random() * 5) * interval '1 s',
			random() * 500, random() * 1000, CASE WHEN random() < 0.9 THEN 'y' || (random() * 50)::int END
		  FROM generate_series(1, (random() * 300)::int);
		INSERT INTO s SELECT * FROM made;
		INSERT INTO kept_s SELECT * FROM made;
		IF turn % 5 = 0 THEN
			begun := clock_timestamp();
			INSERT INTO backstream.flow (time_event, exporter, bytes, packets)
				SELECT begun, inet '10.0.0.0' + seed, i, 1 FROM generate_series(1, 20) i;
			INSERT INTO kept_flow (time_event, exporter, bytes, packets)
				SELECT begun, inet '10.0.0.0' + seed, i, 1 FROM generate_series(1, 20) i;
		END IF;
		IF turn % 11 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
	END LOOP;
END $$;
SQL

sub session
{
	my ($sql) = @_;
	my %session = (in => $sql, out => '', err => '');
	$session{handle} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ],
		'<', \$session{in}, '>', \$session{out}, '2>', \$session{err}, IPC::Run::timeout(90));
	return \%session;
}

wait_until(10, sub { $node->safe_psql('postgres', q{SELECT count(*) FROM backstream.listeners WHERE state = 'open'}) eq '1' });
my $flow = start_generate(target => "127.0.0.1:$port", version => 'mix', exporters => 6, rate => 30000, seconds => 8);
my @writers = map { session("SET client_min_messages = error; CALL work($_, 250);") } 1 .. 8;
my $watch = <<'SQL';
\set ON_ERROR_STOP 1
SELECT sum(n) AS n, count(*) AS groups FROM by_data;
SELECT count(*) FROM totals, texts;
SELECT sum(bytes) FROM all_flows;
SELECT count(*) FROM by_wall;
SELECT count(*) FROM backstream.windows('by_data'), backstream.views;
SELECT count(*) FROM backstream.merged(NULL::by_data, NULL, NULL);
SELECT backstream.combine(ys) FROM by_data;
SELECT backstream.combine(exporters) FROM by_arrival GROUP BY exporter;
SQL
my @readers = map { session($watch x 60) } 1 .. 4;
$_->{handle}->finish for @readers, @writers;
is(join('', map { $_->{err} } @writers), '', 'eight writers');
is(join('', map { $_->{err} } @readers), '', 'four readers');
for my $reader (@readers)
{
	my @counts = map { [ split /\|/ ] } grep { /\|/ } split /\n/, $reader->{out};
	my ($n, $groups, $fell) = (0, 0, 0);
	for (@counts)
	{
		$fell++ if ($_->[0] || 0) < $n || $_->[1] < $groups;
		($n, $groups) = ($_->[0] || 0, $_->[1]);
	}
	is($fell, 0, 'what a reader sees only grows (' . scalar(@counts) . ' times)');
}
my $totals = finish_generate($flow);
my $inserted = $node->safe_psql('postgres', 'SELECT count(*) FROM kept_flow');
received_all($node, 'all_flows', $totals->{records} + $inserted);

# The generator's flows, for the table: one record per exporter with its sums is enough for sums.
my $kept = $node->safe_psql('postgres', 'SELECT host(exporter), n, bytes, packets FROM kept_all_flows ORDER BY 1');
my %sums = map { my ($exporter, @rest) = split /\|/; $exporter => join '|', @rest } split /\n/, $kept;
$sums{ $_->{exporter} } = join '|', map { $_ } @$_{qw(records bytes packets)} for @{ $totals->{exporters} };
is($node->safe_psql('postgres', q{SELECT host(exporter), n, bytes, packets FROM all_flows ORDER BY host(exporter) COLLATE "C"}),
	join("\n", map { "$_|$sums{$_}" } sort keys %sums), 'received and inserted flows together');
is($node->safe_psql('postgres', q{SELECT host(exporter), backstream.combine(n), backstream.combine(bytes) FROM by_arrival GROUP BY exporter ORDER BY host(exporter) COLLATE "C"}),
	join("\n", map { $sums{$_} =~ /^(\d+\|\d+)/; "$_|$1" } sort keys %sums), 'windows by arrival of all writers, combined');
is($node->safe_psql('postgres', q{SELECT backstream.combine(exporters), backstream.combine(mean) = (SELECT sum(packets) / sum(n) FROM all_flows) FROM by_arrival}),
	scalar(keys %sums) . '|t', 'over all keys, too');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM (SELECT k % 9, backstream.combine(n), backstream.combine(ys), backstream.combine(mean), round(backstream.combine(spread), 6) FROM by_data GROUP BY 1
		EXCEPT ALL SELECT k % 9, count(*), count(DISTINCT y), avg(x), round(stddev(k * x), 6) FROM kept_s GROUP BY 1) d}),
	0, 'what eight sessions inserted, combined over fewer keys and all windows');
for my $name (qw(by_data totals texts by_wall))
{
	is(differences($node, $name, "kept_$name"), 0, "$name equals its SELECT over the table");
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM $name"), '>', 5, 'which is not empty');
}
my $records = $node->safe_psql('postgres', 'SELECT count(*) FROM kept_s');
for my $name (sort keys %views)
{
	my $offered = $views{$name}[1] eq 's' ? $records : $totals->{records} + $inserted;
	is($node->safe_psql('postgres', "SELECT received, received - records - filtered, late + future + untimed + overflowed + errors FROM backstream.views WHERE view = '$name'::regclass"),
		"$offered|0|0", "$name: counters add up");
}
cmp_ok($records, '>', 100000, "of $records records");

# Closing at last: everything becomes final, nothing changes.
$node->safe_psql('postgres', q{INSERT INTO s SELECT '2026-01-02 00:00:00+00', k, 0, NULL FROM generate_series(0, 500) k});
$node->safe_psql('postgres', q{INSERT INTO kept_s SELECT '2026-01-02 00:00:00+00', k, 0, NULL FROM generate_series(0, 500) k});
is($node->safe_psql('postgres', q{SELECT state, count(*) > 10 FROM backstream.windows('by_data') WHERE window_end <= '2026-01-01 01:00:00+00' GROUP BY 1}), 'closed|t', 'windows have closed');
is(differences($node, 'by_data', 'kept_by_data'), 0, 'and are what they were');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing crashed');
$node->stop;
done_testing();
