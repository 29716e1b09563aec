# SPDX-License-Identifier: PostgreSQL
# Views over the same keys, filters and expressions share that work in a receiver: over the same traffic they
# say together what each says when it runs alone, to the record in error.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use Test::More;

my $port = free_port();
my $node = backstream_node('sharing', conf => <<"CONF");
backstream.listen = '127.0.0.1:$port'
backstream.receive_buffer = '4MB'
autovacuum = off
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION backstream');

my $flow = 'FROM backstream.flow';
my $pairs = 'src_as, dst_as';
my $ratio = 'bytes / (packets - 3)';
my %views = (
	wide => "SELECT tumble(time_flow_end, '1 min') AS time, $pairs, sum(bytes), sum(packets) AS packets, count(*) $flow GROUP BY 1, 2, 3",
	narrow => "SELECT tumble(time_flow_end, '2 s') AS time, $pairs, max(bytes), count(DISTINCT dst_port) $flow GROUP BY 1, 2, 3",
	totals => "SELECT $pairs, sum(bytes), bit_or(tcp_flags), count(*) FILTER (WHERE dst_port < 1024) $flow GROUP BY 1, 2",
	tcp => "SELECT tumble(time_flow_end, '10 s') AS time, $pairs, sum(scaled(bytes, sampling_rate)) $flow WHERE proto = 6 GROUP BY 1, 2, 3",
	tcp_ratio => "SELECT tumble(time_flow_end, '10 s') AS time, $pairs, sum($ratio), max(scaled(bytes, sampling_rate)) $flow WHERE proto = 6 GROUP BY 1, 2, 3",
	ratio => "SELECT $pairs, min($ratio), count(*) FILTER (WHERE dst_port < 1024) $flow GROUP BY 1, 2",
	by_ratio => "SELECT $ratio AS ratio, $pairs, count(*) $flow WHERE dst_port < 1024 OR proto = 6 GROUP BY 1, 2, 3",
	by_ratio_too => "SELECT tumble(time_flow_end, '30 s') AS time, $ratio AS ratio, $pairs, sum(bytes) $flow WHERE dst_port < 1024 OR proto = 6 GROUP BY 1, 2, 3, 4",
	exact => "SELECT tumble(time_flow_end, '1 min') AS time, $pairs, stddev(bytes), sum(packets) $flow WHERE proto = 6 GROUP BY 1, 2, 3",
);

sub create
{
	my (@names) = @_;
	$node->safe_psql('postgres', join '', map { "CREATE VIEW $_ WITH (continuous, clock = 'data', lateness = '1 hour', retain = '100 days') AS $views{$_};" } @names);
	# Receivers take definitions up by themselves.
	wait_until(10, sub { $node->safe_psql('postgres', "SELECT count(*) FROM backstream.views WHERE state = 'active'") == @names });
	$node->safe_psql('postgres', 'SELECT pg_sleep(0.3)');
}

my $run = 0;

# The same records each time; other exporters, so that no sequence seems to begin again.
sub feed
{
	my (@names) = @_;
	my $sent = generate(target => "127.0.0.1:$port", version => 'mix', count => 30000, rate => 100000, as_pairs => 2000, addresses => 500,
		keys => 'zipf:0.8', start_time => '2026-01-31T12:00:00', time_step => 0.001, duration => 20000, sampling => 0, seed => 3,
		source_base => '127.0.' . (20 + $run++) . '.1');

	ok(received_all($node, $_, $sent->{records}), "$_ was offered all records") for @names;
}

# All rows, and what became of the records.
sub digest
{
	my ($name) = @_;
	return $node->safe_psql('postgres', "SELECT (SELECT concat_ws(' ', count(*), sum(hashtextextended(r::text, 0))) FROM $name r), records, filtered, late, future, untimed, overflowed, errors, unknown_rate, last_error FROM backstream.views WHERE view = '$name'::regclass");
}

my @names = sort keys %views;
my %alone;
for my $name (@names)
{
	create($name);
	feed($name);
	$alone{$name} = digest($name);
	$node->safe_psql('postgres', "DROP FOREIGN TABLE $name");
}
like($alone{ratio}, qr/division by zero/, 'some records fail');
unlike($alone{by_ratio}, qr/^\d+ \S+\|30000\|/, 'and some are left out');

create(@names);
is($node->safe_psql('postgres', "SELECT count(*) FROM backstream.explain(\$\$$views{wide}\$\$) WHERE evaluated LIKE 'shared with%'"), '1', 'there is something to share');
feed(@names);
is(digest($_), $alone{$_}, "$_ says the same beside the others") for @names;

is($node->safe_psql('postgres', 'SELECT 1'), '1', 'nothing crashed');
$node->stop;
done_testing();
