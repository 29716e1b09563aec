# SPDX-License-Identifier: PostgreSQL
# A server that comes back with fewer receivers: windows that several have counted show the same, and have lost the same.
#
# Each receiver has an exporter of its own.  One sends in each step of a hopping window, the other in every second one, so that
# each has pieces of windows that the other has not.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;

my $port = free_port();
my $node = backstream_node('fewer',
	conf => "backstream.listen = '127.0.0.1:$port'\nbackstream.receive_buffer = '4MB'\nbackstream.workers = 2\nmax_worker_processes = 16\nstatement_timeout = '60s'\n");
my $nreceived = 0;

sub query { return $node->safe_psql('postgres', "SET TimeZone = 'UTC'; $_[0]") }

# Records of this many seconds after the year's beginning, some of which are lost on the way.
sub export
{
	my ($from, $second, $seed) = @_;
	my $totals = generate(target => "127.0.0.1:$port", version => 'ipfix', exporters => 1, source_base => $from, count => 300, rate => 20000,
		start_time => 1767225600 + $second, duration => 0, time_step => '0.01', records_per_datagram => 5, loss => 0.2, seed => $seed, addresses => 10);

	$nreceived += $totals->{records};
	return wait_until(60, sub { query(q{SELECT coalesce(max(received), 0) FROM backstream.views WHERE view = 'hops'::regclass}) == $nreceived });
}

$node->start;
query(<<'SQL');
CREATE EXTENSION backstream;
CREATE VIEW hops WITH (continuous, clock = 'data', lateness = '1 hour', retain = '10 days') AS
  SELECT hop(time_event, '10 s', '30 s') AS time, exporter, count(*) AS n, sum(bytes) AS bytes, count(DISTINCT dst_addr) AS targets FROM backstream.flow GROUP BY 1, 2;
CREATE VIEW steps WITH (continuous, clock = 'data', lateness = '1 hour', retain = '10 days') AS
  SELECT tumble(time_event, '10 s') AS time, exporter, count(*) AS n FROM backstream.flow GROUP BY 1, 2;
SQL
ok(wait_until(60, sub { query(q{SELECT count(*) FROM backstream.listeners WHERE state = 'open'}) == 2 }), 'two receivers listen');

# Until both have an exporter.
my %of;
for my $n (1 .. 60)
{
	my $address = "127.0.30.$n";

	ok(export($address, 0, $n), 'an exporter is heard');
	my $worker = query("SELECT worker FROM backstream.exporters WHERE exporter = '$address'");
	$of{$worker} //= $address;
	last if keys %of == 2;
}
is(join(' ', sort keys %of), '0 1', 'each receiver has one');
for my $step (1 .. 13)
{
	ok(export($of{0}, 10 * $step, 100 + $step), "step $step");
	ok(export($of{1}, 10 * $step, 200 + $step), "step $step of the other") if $step % 2 == 0;
}

sub shown
{
	my ($view) = @_;
	return query("SELECT window_start, records, records_lost, datagrams_lost, datagrams_dropped FROM backstream.windows('$view') ORDER BY 1")
	  . "\n" . query("SELECT v::text FROM $view v ORDER BY v::text");
}

# What is lost is noted a moment after what comes.
my $now = query('SELECT clock_timestamp()');
ok(wait_until(60, sub { query("SELECT min(applied_until) > '$now' FROM backstream.receivers") eq 't' }), 'all of it is noted');
my %before = map { $_ => shown($_) } qw(hops steps);
cmp_ok(query(q{SELECT count(DISTINCT records_lost) FROM backstream.windows('hops') WHERE records_lost > 0}), '>', 5, 'windows have lost records');
$node->stop;
$node->append_conf('postgresql.conf', 'backstream.workers = 1');
$node->start;
is(query(q{SELECT count(*) FROM backstream.receivers}), 1, 'one receiver goes on');
is(shown($_), $before{$_}, "$_: the windows of both, and what they have lost") for qw(hops steps);
$node->restart;
is(shown($_), $before{$_}, "$_: and once more") for qw(hops steps);

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|signal 6/, 'nothing crashed');
$node->stop;
done_testing();
