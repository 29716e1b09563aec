# SPDX-License-Identifier: PostgreSQL
# How complete a window is: what the receiver's socket had no room for while it was open, and the watermark.  The receiver is
# stopped while more datagrams come than its smallest buffer holds: they are missing in the windows that were open then, in
# tumbling, hopping and rolling ones, and in no others; after a restart, and to who reads this server as a node, too.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use BackStreamTraffic;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;

my $port = free_port();
my $conf = "backstream.workers = 1\nbackstream.receive_buffer = '64kB'\n";
my ($center, $node) = start_backbone(nodes => 1, conf => $conf, more_members => ['local'], server => "schema 'kept'");

sub query { return $node->safe_psql('postgres', $_[0]) }

$node->append_conf('postgresql.conf', "backstream.listen = '127.0.0.1:$port'\n");
$node->reload;
my $options = "continuous, clock = 'data', lateness = '0', idle = '1 hour', retain = '1 day'";
my %windows = (
	tumbling => "WITH ($options) AS SELECT tumble(time_flow_end, '10 s') AS time, count(*) AS n FROM backstream.flow GROUP BY 1",
	by_group => "WITH ($options) AS SELECT tumble(time_flow_end, '10 s') AS time, proto, count(*) AS n FROM backstream.flow GROUP BY 1, 2",
	hopping => "WITH ($options) AS SELECT hop(time_flow_end, '10 s', '30 s') AS time, count(*) AS n FROM backstream.flow GROUP BY 1",
	rolling => "WITH (continuous, clock = 'data', window = '20 s', slide = '10 s', time_column = time_flow_end) AS SELECT count(*) AS n FROM backstream.flow",
	# By arrival one window takes all, but at midnight.
	arrived => "WITH (continuous, retain = '2 days') AS SELECT tumble(time_received, '1 day') AS time, count(*) AS n FROM backstream.flow GROUP BY 1",
	totals => "WITH (continuous) AS SELECT count(*) AS n FROM backstream.flow");
query("CREATE VIEW $_ $windows{$_}") for sort keys %windows;
$_->safe_psql('postgres', 'CREATE SCHEMA IF NOT EXISTS kept') for $node, $center;
$center->safe_psql('postgres', "CREATE VIEW backbone.merged WITH ($options) AS SELECT tumble(time_flow_end, '10 s') AS time, count(*) AS n FROM backbone.flow GROUP BY 1");
ok(wait_until(60, sub { query("SELECT count(*) FROM backstream.listeners WHERE state = 'open'") eq '1' }), 'it listens');

# ---------- traffic ----------

my $base = 1767225600; # 2026-01-01 00:00 UTC
my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'udp') or die $!;
my ($sequence, $sent, $settled_at) = (0, 0);

# One record a datagram, of this second; the same again so many times.
sub send_at
{
	my ($second, $times) = @_;

	for (1 .. $times // 1)
	{
		my $record = pack 'N3n2N4n2C4n2C2n', 0x0A000001, 0x0A000002, 0, 1, 2, 1, 100, 1000, 1000, 1, 2, 0, 0, 17, 0, 1, 2, 8, 8, 0;
		defined $socket->send(pack('n2N4C2n', 5, 1, 1000, $base + $second, 0, $sequence++, 0, 0, 0) . $record) or die $!;
		$sent++;
	}
}

# Of this run of the server: what it received, and what its socket dropped.
sub drops { return query('SELECT coalesce(sum(kernel_drops), 0) FROM backstream.listeners') }

# All has been received or dropped, and the receiver has come to the end of its turn since.
sub settled
{
	return 0 if !wait_until(60, sub { query('SELECT coalesce(sum(datagrams + kernel_drops), 0) FROM backstream.listeners') == $sent });
	$settled_at = query('SELECT clock_timestamp()');
	return wait_until(60, sub { query("SELECT bool_and(applied_until > '$settled_at') FROM backstream.receivers") eq 't' });
}

# More than fits, while nobody reads: returns how many were dropped.
sub overflow
{
	my ($second) = @_;
	my $before = drops();
	my $receiver = backend_of($node, 'backstream receiver');

	kill 'STOP', $receiver;
	die 'the receiver does not stop' if !wait_until(60, sub { slurp_file("/proc/$receiver/stat") =~ /\) T/ });
	send_at($second, 2000);
	kill 'CONT', $receiver;
	ok(settled(), 'every datagram was received or dropped');
	cmp_ok(drops() - $before, '>', 1000, 'most were dropped');
	return drops() - $before;
}

# Windows as start|dropped, where the start is in seconds since the base.
sub dropped_in
{
	my ($view, $server) = @_;
	return join ' ', split /\n/, ($server // $node)->safe_psql('postgres',
		"SELECT EXTRACT(epoch FROM window_start)::bigint - $base || ':' || datagrams_dropped FROM backstream.windows('$view') ORDER BY window_start");
}

# The watermarks come to this second, and the windows that end by then are closed, and no others.
sub watermark_is
{
	my ($second, $what) = @_;

	for my $view (qw(tumbling by_group hopping))
	{
		my $told = sub { query("SELECT DISTINCT EXTRACT(epoch FROM watermark)::bigint - $base, (state = 'closed') = (window_end <= watermark)
			FROM backstream.windows('$view')") };

		wait_until(60, sub { $told->() eq "$second|t" });
		is($told->(), "$second|t", "$what: watermark of $view");
	}
}

send_at(1);
ok(settled(), 'received');
is(dropped_in($_), '0:0', "$_: nothing dropped") for qw(tumbling by_group);
send_at(15);
ok(settled(), 'received');
watermark_is(15, 'the first window closes');
my $first = overflow(15);
watermark_is(15, 'the second stays open');
is(dropped_in($_), "0:0 10:$first", "$_: dropped in the window that was open") for qw(tumbling by_group);
is(dropped_in('hopping'), "-20:0 -10:$first 0:$first 10:$first", 'of hopping windows in those that were open');
is(query("SELECT datagrams_dropped FROM backstream.windows('rolling')"), $first, 'in the rolling one');
is(query("SELECT datagrams_dropped, watermark IS NULL FROM backstream.windows('totals')"), "$first|t", 'in a view without windows');
# The next datagram shows the gap in the sequence numbers.
send_at(16);
ok(settled(), 'received');
is(query("SELECT records_lost, datagrams_dropped FROM backstream.windows('tumbling') WHERE state = 'open'"), "$first|$first", 'exporter and socket see one loss from two sides');

send_at(25);
ok(settled(), 'received');
watermark_is(25, 'the second window closes');
is(dropped_in($_), "0:0 10:$first 20:0", "$_: none in the window after") for qw(tumbling by_group);
is(dropped_in('hopping'), "-20:0 -10:$first 0:$first 10:$first 20:0", 'of hopping ones neither');
my $second = overflow(27);
send_at(35);
ok(settled(), 'received');
watermark_is(35, 'the third window closes');
my $both = $first + $second;
my %shown = (
	tumbling => "0:0 10:$first 20:$second 30:0",
	by_group => "0:0 10:$first 20:$second 30:0",
	hopping => "-20:0 -10:$first 0:$both 10:$both 20:$second 30:0");
is(dropped_in($_), $shown{$_}, "$_: each in its windows") for sort keys %shown;
is(query("SELECT datagrams_dropped FROM backstream.windows('totals')"), $both, 'all of them in a view without windows');
cmp_ok(query("SELECT sum(datagrams_dropped) FROM backstream.windows('arrived')"), '>=', $both, 'by arrival none is missing');
ok(wait_until(60, sub { query("SELECT bool_and(watermark >= '$settled_at') FROM backstream.windows('arrived')") eq 't' }), 'by arrival the watermark goes with the clock');
is(dropped_in('backbone.merged', $center), $shown{tumbling}, 'who reads this server as a node is told');
is($center->safe_psql('postgres', "SELECT count(*) FROM backstream.windows('backbone.merged') WHERE watermark IS NOT NULL"), '0',
	'the lowest watermark of the nodes is that of the one that has heard nothing');

# ---------- a restart ----------

for my $how ('fast', 'immediate')
{
	# Nothing has come since the clean stop: then a crash loses nothing either.
	$node->stop($how);
	$node->start;
	ok(wait_until(60, sub { query("SELECT count(*) FROM backstream.listeners WHERE state = 'open'") eq '1' }), "$how: it listens again");
	is(dropped_in($_), $shown{$_}, "$how: $_ shows the same") for sort keys %shown;
	is(query("SELECT datagrams_dropped FROM backstream.windows('totals')"), $both, "$how: so does the view without windows");
	watermark_is(35, $how);
}
$sent = 0;
my $third = overflow(37);
send_at(45);
ok(settled(), 'received');
watermark_is(45, 'it goes on: the next one closes');
my $last_two = $second + $third;
my $all = $both + $third;
is(dropped_in($_), "0:0 10:$first 20:$second 30:$third 40:0", "$_: what is dropped now comes to what was") for qw(tumbling by_group);
is(dropped_in('hopping'), "-20:0 -10:$first 0:$both 10:$all 20:$last_two 30:$third 40:0", 'in hopping ones too');
is(query("SELECT datagrams_dropped FROM backstream.windows('totals')"), $all, 'and in all');

$node->stop;
$center->stop;
done_testing();
