# SPDX-License-Identifier: PostgreSQL
# Experiment 3: an hour of records in bursts, each half minute, played 150 times as fast into BackStream and into
# nfcapd beside it.  Windows of five minutes of both, by event time and by arrival, and of a table of the same
# records: every difference is explained to the record, by late, by lost, or by the clock.
#
# Of the bursts of 118,000 records a fiftieth is played (BACKSTREAM_BURST=11800: a tenth); bench/ has them in full.
# Five minutes of arrival are two seconds here, which is what nfcapd's shortest file holds.
use strict;
use warnings;
use BackStreamCaptures;
use BackStreamNfdump;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

plan skip_all => 'SKIPPED: nfcapd is not installed' unless has_nfdump();

my $burst = $ENV{BACKSTREAM_BURST} // 2360;
my ($nbursts, $interval, $speed) = (120, 30, 150);
# The hour begins ten seconds before the window does: each tenth burst has flows of two windows.
my $start = 1769860790;
my ($port, $nfport) = map { free_port() } 1 .. 2;
my $node = backstream_node('bursts', conf => <<"CONF");
backstream.listen = '127.0.0.1:$port'
backstream.memory = '@{[ 128 + int $burst * $nbursts * 600 / 2**20 ]}MB'
backstream.receive_buffer = '4MB'
dynamic_shared_memory_type = mmap
TimeZone = 'UTC'
autovacuum = off
fsync = off
max_wal_size = '4GB'
work_mem = '256MB'
max_parallel_workers_per_gather = 0
jit = off
CONF
$node->start;

sub query { return $node->safe_psql('postgres', $_[0]) }

# ---- the datagrams, and who does not get which of them

my $dir = PostgreSQL::Test::Utils::tempdir();
my $totals = generate(pcap => "$dir/hour.pcap", version => 'mix', burst => $burst, burst_interval => $interval, count => $burst * $nbursts,
	start_time => $start, rate => 10_000_000, skew => 2000, keys => 'sequential', addresses => $burst * $nbursts, seed => 3);
my @datagrams = BackStreamCaptures::datagrams_of("$dir/hour.pcap");
my $sent = 0;
$sent += $_->{records} for @{ $totals->{exporters} };
is($sent, $burst * $nbursts, 'an hour was made');

# Each hundredth datagram of records is lost on its way to one of the two.  Not by v9, whose sequence numbers do not
# tell how many records were lost; nor among the first and last, of which no sequence number tells.
my (%lost, %missing, %after, @gaps);
my $nth = 0;
for my $i (reverse 0 .. $#datagrams)
{
	my $datagram = $datagrams[$i];
	my ($version, $len, $set) = unpack 'n2 x12 n', $datagram->{payload};
	my $sequence = unpack $version == 5 ? 'x16 N' : 'x8 N', $datagram->{payload};
	my $next = $after{ $datagram->{source} };

	$after{ $datagram->{source} } = $sequence;
	next if $i < 1000 || $i > $#datagrams - 1000 || $version == 9 || ($version == 10 && $set < 256) || ++$nth % 50;
	$datagram->{lost} = $nth % 100 ? 'BackStream' : 'nfcapd';
	$lost{ $datagram->{lost} } += $next - $sequence;
	$missing{ $datagram->{source} } += $next - $sequence if $datagram->{lost} eq 'BackStream';
}
cmp_ok($lost{$_}, '>', 100, "$lost{$_} records are lost on their way to $_") for sort keys %lost;

# ---- who counts

# The address pair of each record is its own: it names the record.
my $named = "src_addr, dst_addr, sum(bytes) AS bytes, count(*) AS n FROM backstream.flow GROUP BY 1, 2, 3";
my %views = (
	by_end => "clock = 'data', lateness = '1 min', retain = '2 hours') AS SELECT tumble(time_flow_end, '5 min') AS time, $named",
	hasty => "clock = 'data', lateness = '0', retain = '2 hours') AS SELECT tumble(time_flow_end, '5 min') AS time, $named",
	by_arrival => "retain = '2 hours') AS SELECT tumble(time_received, '2 s') AS time, $named",
	# Windows and retention go by the clock on the wall, which is far ahead of the exporters'; lateness is 10 s.
	by_wall => "retain = '30000 days') AS SELECT tumble(time_flow_end, '5 min') AS time, $named",
);
query('CREATE EXTENSION backstream');
query("CREATE VIEW $_ WITH (continuous, $views{$_}") for sort keys %views;
query(<<'SQL');
CREATE UNLOGGED TABLE kept (i bigserial, received timestamptz, ended timestamptz, exporter inet, src inet, dst inet, bytes bigint, packets bigint);
CREATE UNLOGGED TABLE nf (file timestamptz, received timestamptz, ended timestamptz, exporter inet, src inet, dst inet, bytes bigint, packets bigint);
SQL
my $nfcapd = start_nfcapd('127.0.0.1', $nfport, 2);
ok($nfcapd, 'nfcapd listens');
ok(wait_until(60, sub { query("SELECT count(*) FROM backstream.views WHERE state = 'active'") == keys %views && query("SELECT count(*) FROM backstream.listeners WHERE state <> 'open'") == 0 }),
	'BackStream listens');

# The table is written by a statement that reads the stream, with room for all of it, before any view.
my $received = $sent - $lost{BackStream};
my $table = $node->background_psql('postgres', on_error_stop => 1);
my $buffer_kb = int $sent * 300 / 1024;
$table->query_until(qr/begun/, <<"SQL");
SET backstream.listen_for = '1 h';
SET backstream.tail_buffer = '$buffer_kb kB';
\\echo begun
INSERT INTO kept (received, ended, exporter, src, dst, bytes, packets)
	SELECT time_received, time_flow_end, exporter, src_addr, dst_addr, bytes, packets FROM backstream.flow LIMIT $received;
SQL
ok(wait_until(60, sub { query('SELECT count(*) FROM backstream.tails') }), 'the table listens');

# ---- the hour

# No more than the sockets hold: nothing is lost but what was meant to be.
sub drained
{
	my ($bytes) = @_;
	return wait_until(60, sub { !grep { ((udp_queue('udp', $_))[0] // 0) > $bytes } $port, $nfport });
}

# A window of five minutes begins with a file of nfcapd's, two seconds.
my $began = 2 * int(time / 2) + 4 - 10 / $speed;
my $now = 0;
my $halved = 0;
my $nsent = 0;
for my $i (0 .. $#datagrams)
{
	my $datagram = $datagrams[$i];
	my $due = int($datagram->{usec} / 1e6) - $start;

	if ($due > $now)
	{
		my $wait = $began + $due / $speed - time;

		usleep($wait * 1e6) if $wait > 0;
		($now, $nsent) = ($due, 0);
	}
	# Twice, the first half of a burst closes a window that the second half still has records of.
	if (($now == 930 || $now == 2430) && ++$nsent == int $burst / 50)
	{
		my $boundary = $start + $now - 20;

		$halved += wait_until(60, sub { query("SELECT count(*) FROM backstream.views WHERE closed_before >= to_timestamp($boundary) AND view IN ('hasty'::regclass, 'by_wall'::regclass)") == 2 });
	}
	send_datagram($port, $datagram) unless ($datagram->{lost} // '') eq 'BackStream';
	send_datagram($nfport, $datagram) unless ($datagram->{lost} // '') eq 'nfcapd';
	drained(100_000) or die 'datagrams are not taken' if $i % 50 == 0;
}
is($halved, 2, 'two bursts were slow');
ok(drained(0), 'all was taken');
is((udp_queue('udp', $_))[1], 0, 'the kernel dropped nothing') for $port, $nfport;
finish_nfcapd($nfcapd);

# Sequence numbers tell what was lost, to the record.
ok(wait_until(120, sub { query('SELECT coalesce(sum(records), 0) FROM backstream.exporters') == $received }), 'BackStream has received the rest')
  or diag(query('TABLE backstream.exporters'));
is(query('SELECT host(exporter), records_lost FROM backstream.exporters WHERE records_lost > 0 ORDER BY 1'),
	join("\n", map { "$_|$missing{$_}" } sort keys %missing), 'and knows what it has lost, by exporter');
ok(wait_until(120, sub { query("SELECT count(*) FROM backstream.views WHERE received = $received") == keys %views }), 'all views were offered all of it');
ok(wait_until(120, sub { query('SELECT count(*) FROM backstream.tails') == 0 }), 'the table has its records');
$table->quit;
query('SELECT backstream.settle()');

# ---- what nfcapd has

my @files = nfcapd_files($nfcapd);
my %own_sums;
open my $copy, '>', "$dir/nf.txt" or die $!;
for my $file (@files)
{
	my @begin = $file =~ /nfcapd\.(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/ or die "what is $file?";
	my $begin = sprintf '%s-%s-%s %s:%s:%s+00', @begin;

	nfcapd_records($file, [qw(%tr %te %ra %sa %da %byt %pkt)], $begin, $copy);
	$own_sums{$begin} = nfcapd_sums($nfcapd, $file);
}
close $copy or die $!;
query("\\copy nf FROM '$dir/nf.txt' (DELIMITER '|')");
is(query('SELECT count(*) FROM nf'), $sent - $lost{nfcapd}, 'nfdump has what was not lost on the way to nfcapd');
is(query("SELECT file, concat_ws(' ', count(*), sum(packets), sum(bytes)) FROM nf GROUP BY 1 ORDER BY 1"),
	join("\n", map { "$_|$own_sums{$_}" } grep { $own_sums{$_} !~ /^0 / } sort keys %own_sums), 'of each file what nfdump sums up itself');

# Each record once: what the table has of it, and what nfdump has.
query(<<'SQL');
CREATE UNLOGGED TABLE every AS
	SELECT src, dst, k.i, k.received, k.ended, k.bytes, f.file, f.received AS nf_received, f.ended AS nf_ended, f.bytes AS nf_bytes,
		k.i IS NULL OR f.file IS NULL OR (k.exporter, k.ended, k.bytes, k.packets) = (f.exporter, f.ended, f.bytes, f.packets) AS same
	FROM kept k FULL JOIN nf f USING (src, dst);
CREATE UNIQUE INDEX ON every (src, dst);
ANALYZE every;
SQL
is(query('SELECT count(*), count(*) FILTER (WHERE NOT same), count(*) FILTER (WHERE i IS NULL), count(*) FILTER (WHERE file IS NULL) FROM every'),
	"$sent|0|$lost{BackStream}|$lost{nfcapd}", 'every record that was made is there once, the same in both, or lost to one');
is(query("SELECT extract(epoch FROM backstream.tumble(coalesce(ended, nf_ended), '5 min'))::bigint, count(*), sum(coalesce(bytes, nf_bytes)) FROM every GROUP BY 1 ORDER BY 1"),
	join("\n", map { "$_->{start}|$_->{records}|$_->{bytes}" } @{ $totals->{windows_5min} }), 'together they have the windows that were made');

# ---- each view beside nfdump

# Where a record is, in the view and in nfdump's window, and why if these differ.  $ours is what plain SQL over the
# table says of the view's window, $theirs which window of nfdump's it is.
sub compare
{
	my ($view, $ours, $theirs) = @_;

	query("DROP TABLE IF EXISTS compared; CREATE UNLOGGED TABLE compared AS SELECT e.i, coalesce(e.bytes, e.nf_bytes, v.bytes) AS bytes, v.time AS ours, e.theirs, CASE
		WHEN e.src IS NULL OR v.n <> 1 OR v.bytes <> e.bytes THEN 'unexplained'
		WHEN v.time <> e.expected OR v.time IS NOT NULL AND e.i IS NULL THEN 'unexplained'
		WHEN e.i IS NULL THEN 'lost'
		WHEN v.time IS NULL THEN 'late'
		WHEN e.theirs IS NULL THEN 'lost to nfcapd'
		WHEN v.time <> e.theirs THEN 'clock'
		ELSE 'none' END AS cause
		FROM (SELECT *, $ours AS expected, $theirs AS theirs FROM every) e FULL JOIN $view v ON (e.src, e.dst) = (v.src_addr, v.dst_addr)");
	my %causes = map { split /\|/ } split /\n/, query('SELECT cause, count(*) FROM compared GROUP BY 1');
	my $summary = "WITH w AS (SELECT time, coalesce(o.n, 0) AS ours, coalesce(o.bytes, 0) AS our_bytes, coalesce(t.n, 0) AS theirs, coalesce(t.bytes, 0) AS their_bytes
			FROM (SELECT time, sum(n) AS n, sum(bytes) AS bytes FROM $view GROUP BY 1) o
			FULL JOIN (SELECT $theirs AS time, count(*) AS n, sum(nf_bytes) AS bytes FROM every WHERE file IS NOT NULL GROUP BY 1) t USING (time)),
		c AS (SELECT time, " . join(', ', map { ("count(*) FILTER (WHERE $_->[1]) AS $_->[0], coalesce(sum(bytes) FILTER (WHERE $_->[1]), 0) AS $_->[0]_bytes") }
			[ late => "cause = 'late'" ], [ lost => "cause = 'lost'" ], [ nf_lost => "cause = 'lost to nfcapd'" ],
			[ came => "cause = 'clock' AND is_ours" ], [ went => "cause = 'clock' AND NOT is_ours" ])
		. " FROM compared, LATERAL (VALUES (ours, true), (theirs, false)) x (time, is_ours) WHERE time IS NOT NULL GROUP BY 1)
		SELECT to_char(time, 'HH24:MI:SS'), ours, theirs, late, lost, nf_lost, came, went, ours - theirs + late + lost - nf_lost - came + went AS unexplained,
			our_bytes - their_bytes + late_bytes + lost_bytes - nf_lost_bytes - came_bytes + went_bytes AS unexplained_bytes
		FROM w FULL JOIN c USING (time) ORDER BY time";
	my @rows = split /\n/, query($summary);
	note("$view: window | view | nfdump | late | lost | lost to nfcapd | clock: came | went | unexplained | bytes unexplained");
	note($_) for @rows;
	is(scalar(grep { !/\|0\|0$/ } @rows), 0, "$view: in each window the difference in records and bytes is what late, lost and clock say");
	is($causes{unexplained} // 0, 0, "$view: no record is otherwise");
	is($causes{lost} // 0, $lost{BackStream}, "$view: lost are as many as the sequence numbers say");
	is($causes{'lost to nfcapd'} // 0, $lost{nfcapd}, "$view: and to nfcapd") if !$causes{late};
	is(query("SELECT late, records, future + untimed + overflowed + errors FROM backstream.views WHERE view = '$view'::regclass"),
		($causes{late} // 0) . '|' . ($received - ($causes{late} // 0)) . '|0', "$view: late are as many as the view says");
	is(query("SELECT window_start, late FROM backstream.windows('$view'::regclass) WHERE late > 0 ORDER BY 1"),
		query("SELECT $ours, count(*) FROM every JOIN compared USING (i) WHERE cause = 'late' GROUP BY 1 ORDER BY 1"), "$view: window by window");
	return \%causes;
}

my $by_end = "backstream.tumble(ended, '5 min')";
my $their_end = "backstream.tumble(nf_ended, '5 min')";
my $causes = compare('by_end', $by_end, $their_end);
is(join('|', sort keys %$causes), 'lost|lost to nfcapd|none', 'by event time, with lateness enough, nothing differs but what was lost');

for my $view ('hasty', 'by_wall')
{
	$causes = compare($view, $by_end, $their_end);
	cmp_ok($causes->{late} // 0, '>', $burst / 10, "$view: with lateness too short some are late");
	is(query("WITH reached AS (SELECT i, max(ended) OVER (ORDER BY i) AS reached FROM kept)
		SELECT count(*) FROM compared c JOIN kept k USING (i) JOIN reached USING (i) WHERE cause = 'late' AND reached < $by_end + interval '5 min'"),
		0, "$view: and none but of windows that ended before what had come");
}

$causes = compare('by_arrival', "backstream.tumble(received, '2 s')", 'file');
is($causes->{late} // 0, 0, 'by arrival nothing is late');

# What an operator sees who lays the two beside each other: files of five minutes by arrival, windows by event time.
my $arrival = sprintf "to_timestamp(%d) + %d * (file - to_timestamp(%.0f))", $start + 10, $speed, $began + 10 / $speed;
$causes = compare('by_end', $by_end, $arrival);
cmp_ok($causes->{clock} // 0, '>', $burst, 'by event time and by arrival the same records are in different windows');
is(query("SELECT count(*) FROM compared WHERE cause = 'clock' AND ours > theirs"), 0, 'none ended after it came');

$node->stop;
done_testing();
