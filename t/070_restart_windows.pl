# SPDX-License-Identifier: PostgreSQL
# Windows outlive the server: a clean stop loses nothing, a crash no more than the checkpoint's interval; files that are
# damaged, or another server's, are set aside.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use IO::Socket::INET;

my $port = free_port();
my $node = backstream_node('windows',
	init => { allows_streaming => 1 },
	conf => "backstream.listen = '127.0.0.1:$port'\nbackstream.receive_buffer = '4MB'\nbackstream.workers = 2\n"
	  . "backstream.checkpoint_interval = 0\nrestart_after_crash = on\nmax_worker_processes = 16\n");
my $folder = $node->data_dir . '/pg_backstream';

sub query { return $node->safe_psql('postgres', $_[0]) }

$node->start;
query(<<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE sensor (at timestamptz, name text, place inet, value bigint, real float8, amount numeric)
  SERVER backstream;
CREATE TABLE same (at timestamptz, name text, place inet, value bigint, real float8, amount numeric);
CREATE VIEW by_name WITH (continuous, clock = 'data', lateness = '0', idle = '1 hour', retain = '10 days') AS
  SELECT tumble(at, '1 min') AS time, name, place, count(*) AS n, sum(value) AS sum, min(place) AS low, max(value) AS high,
         count(DISTINCT value) AS different, avg(amount) AS mean, stddev(value) AS spread
    FROM sensor GROUP BY 1, 2, 3;
CREATE VIEW running WITH (continuous) AS SELECT count(*) AS n, sum(value) AS sum, max(name) AS last FROM sensor;
CREATE VIEW hopping WITH (continuous, clock = 'data', lateness = '0', idle = '1 hour', retain = '10 days') AS
  SELECT hop(at, '1 min', '3 min') AS time, name, sum(value) AS sum FROM sensor GROUP BY 1, 2;
CREATE VIEW upper WITH (continuous, retain = '10 days') AS
  SELECT time, sum(n) AS n, count(*) AS groups FROM by_name GROUP BY 1;
CREATE VIEW flows WITH (continuous) AS SELECT exporter, count(*) AS records, sum(bytes) AS bytes FROM backstream.flow GROUP BY 1;
SQL

# What every view shows, and what is told of its windows.  Memory is another after a restart.
my @views = qw(by_name running hopping upper);

sub shown
{
	my %shown;
	query('SELECT backstream.settle()');
	for my $view (@views)
	{
		$shown{$view} = query("SELECT v::text FROM $view v ORDER BY v::text COLLATE \"C\"");
		$shown{"windows of $view"} = query("SELECT window_start, window_end, state, groups, records, late, overflowed, errors,
			distinct_left_out FROM backstream.windows('$view') ORDER BY 1");
	}
	$shown{counters} = query("SELECT view, received, filtered, late, untimed, overflowed, errors, windows, closed_before,
		fed_before, since FROM backstream.views WHERE view::text <> 'flows' ORDER BY view::text");
	return \%shown;
}

my $minute = 0;

# Records of one more minute, and some that are late.
sub insert
{
	my ($n) = @_;
	query(<<"SQL");
CREATE TEMP TABLE fresh AS
  SELECT '2026-01-01 00:00+00'::timestamptz + ($minute + random()) * interval '1 min' AS at,
         CASE WHEN i % 11 > 0 THEN 'name ' || i % 7 END AS name, ('10.0.0.' || i % 5)::inet AS place, (i * 7919) % 1000 AS value,
         i / 8.0 AS real, i / 100.0 AS amount FROM generate_series(1, $n) i;
INSERT INTO same SELECT * FROM fresh;
INSERT INTO sensor SELECT * FROM fresh;
INSERT INTO sensor SELECT '2025-12-31 00:00+00', 'late', NULL, 1, 1, 1;
SQL
	$minute++;
}

sub oracle
{
	my ($what) = @_;
	is(query('SELECT v::text FROM by_name v ORDER BY v::text COLLATE "C"'), query(<<'SQL'), "$what: the same SELECT over a table");
SELECT v::text FROM (
  SELECT backstream.tumble(at, '1 min') AS time, name, place, count(*) AS n, sum(value) AS sum, min(place) AS low, max(value) AS high,
         count(DISTINCT value) AS different, avg(amount) AS mean, stddev(value) AS spread
    FROM same GROUP BY 1, 2, 3) v ORDER BY v::text COLLATE "C"
SQL
}

insert(200) for 1 .. 6;
my $before = shown();
like($before->{'windows of by_name'}, qr/closed/, 'some windows are closed');
like($before->{'windows of by_name'}, qr/open/, 'one is open');
oracle('before');

# ---------- a clean stop ----------

for my $mode ('fast', 'smart')
{
	$node->stop($mode);
	ok(-s "$folder/" . (grep { /\.state$/ } slurp_dir($folder))[0], "$mode: files are there");
	is(join(' ', grep { !/^outages$|^\d+\.(state|\d+)$/ } grep { !/^\.\.?$/ } slurp_dir($folder)), '', "$mode: nothing half done is");
	is((stat "$folder/$_")[2] & 0777, 0600, "$mode: mode of $_") for (grep { /\.state$/ } slurp_dir($folder))[0];
	$node->start;
	my $after = shown();
	is($after->{$_}, $before->{$_}, "$mode: $_") for sort keys %$before;
	oracle($mode);
	# The one that was open at the first stop has closed by the second.
	is(query("SELECT count(*) FROM backstream.windows('by_name') WHERE gap AND state = 'closed'"), $mode eq 'fast' ? '0' : '1',
		"$mode: no gap in windows that had closed");
	is(query("SELECT count(*) FROM backstream.windows('by_name') WHERE gap AND state = 'open'"), '1', "$mode: one in the open one");
	# It goes on, and what is late stays so.
	insert(200) for 1 .. 2;
	$before = shown();
	oracle("$mode: went on");
}
isnt(query("SELECT sum(n) FROM upper"), '', 'the view over the view goes on');
is(query("SELECT count(*) FROM backstream.windows('by_name') WHERE gap"), '2', 'gaps stay with their windows');

# ---------- exporters ----------

# They send their templates once; what comes after a restart is data alone.
my @fields = (8, 12, 2, 1);
my $started = time - 1000;

# A datagram of one record, in front of it its template, if asked for.
sub export
{
	my ($version, $from, $sequence, $uptime, $with_template) = @_;
	my $socket = IO::Socket::INET->new(Proto => 'udp', LocalAddr => $from, PeerAddr => "127.0.0.1:$port") or die "socket: $!";
	my $sets = pack('nnN4', 256, 20, 0x0A000001, 0x0A000002, 1, 100);

	$sets = pack('nnnn', $version == 9 ? 0 : 2, 8 + 4 * @fields, 256, scalar @fields) . pack('(nn)*', map { ($_, 4) } @fields) . $sets
	  if $with_template;
	my $header = $version == 9 ? pack('nnNNNN', 9, $with_template ? 2 : 1, $uptime * 1000, time, $sequence, 7)
	  : pack('nnNNN', 10, 16 + length $sets, time, $sequence, 7);
	$socket->send($header . $sets);
}

sub exporter { my ($from) = @_; return query("SELECT records, unconfirmed_records, unconfirmed_wrong, unknown_template FROM backstream.exporters WHERE exporter = '$from'") }

sub listening { return wait_until(10, sub { query(q{SELECT count(*) FROM backstream.listeners WHERE state = 'open'}) eq '2' }) }

sub counted { my ($n) = @_; return wait_until(10, sub { query('SELECT coalesce(sum(records), 0) FROM flows') eq $n }) }

my %versions = ('127.0.31.1' => 9, '127.0.31.2' => 10, '127.0.31.3' => 9);

listening();
export($versions{$_}, $_, 10, time - $started, 1) for sort keys %versions;
ok(counted(3), 'records with their templates');
$node->stop;
ok(-s "$folder/exporters", 'what is known of exporters is written');
is((stat "$folder/exporters")[2] & 0777, 0600, 'for the server alone');
for my $round (1, 2)
{
	$node->start;
	listening();
	# The third one has been started again.
	export($versions{$_}, $_, 20 * $round, $_ eq '127.0.31.3' ? 5 : time - $started, 0) for sort keys %versions;
	ok(counted(3 + 2 * $round), "start $round: data without templates is counted");
	is(exporter('127.0.31.1'), '1|1|0|0', 'v9: as not confirmed');
	is(exporter('127.0.31.2'), '1|1|0|0', 'IPFIX: as not confirmed');
	is(exporter('127.0.31.3'), $round == 1 ? '0|0|1|1' : '0|0|0|1', 'an exporter that was started again is not believed');
	$node->stop;
}
$node->start;
listening();
export(10, '127.0.31.2', 70, 0, 1);
export(10, '127.0.31.2', 71, 0, 0);
ok(counted(9), 'templates are sent again');
is(exporter('127.0.31.2'), '2|0|0|0', 'and confirmed');

# Defined and filled a moment ago.
for my $round (1 .. 5)
{
	query("CREATE VIEW fresh$round WITH (continuous) AS SELECT count(*) AS n FROM sensor; INSERT INTO sensor (value) VALUES ($round)");
	$node->restart;
	is(query("SELECT n FROM fresh$round"), 1, "$round: a view that was made just before the stop");
}

# A file that is damaged harms nobody.
$node->stop;
truncate "$folder/exporters", 300;
$node->start;
is(query('SELECT sum(records) FROM flows'), 9, 'a damaged file: what was counted is there');
ok(-e "$folder/exporters.damaged", 'and it is set aside');

done_testing();
