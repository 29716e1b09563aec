# SPDX-License-Identifier: PostgreSQL
# A node goes and comes back while the others count: what was closed before is whole, what was open meanwhile says that it
# is not, and what came later is whole again.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;

my ($reader, @nodes) = start_backbone(conf => "statement_timeout = '60s'\n");

sub query { return $reader->safe_psql('postgres', $_[0]) }
sub say_of { my ($status, $out, $err) = $reader->psql('postgres', $_[0]); return "$out\n$err" }
sub answered { return query("SELECT min(nodes_answered) || ' ' || max(nodes_answered) FROM backstream.windows('$_[0]') WHERE $_[1]") }

sql_all('CREATE FOREIGN TABLE s (t timestamptz, v int) SERVER backstream', @nodes);
query('IMPORT FOREIGN SCHEMA public FROM SERVER backbone INTO backbone');
for my $failure ('error', 'partial')
{
	query("CREATE VIEW backbone.$failure WITH (continuous, lateness = '0', max_future = '1 day', on_node_failure = '$failure') AS SELECT tumble(t, '100 ms') AS time, count(*) AS n FROM backbone.s GROUP BY 1;
		CREATE VIEW backbone.rolling_$failure WITH (continuous, window = '1 hour', slide = '1 s', time_column = 't', on_node_failure = '$failure') AS SELECT count(*) AS n FROM backbone.s;
		CREATE VIEW backbone.day_$failure WITH (continuous, lateness = '1 hour', max_future = '1 day', on_node_failure = '$failure') AS SELECT tumble(t, '1 day') AS time, count(*) AS n FROM backbone.s GROUP BY 1");
}
my $ready = q{SELECT count(*) = 6 FROM backstream.views WHERE state = 'active'};
my $insert = 'INSERT INTO s SELECT clock_timestamp(), i FROM generate_series(1, 10) i';
# Records on these nodes, in a window that all of them have closed before this returns; its start.
sub fill
{
	my ($failure, @some) = @_;
	my $now = query('SELECT clock_timestamp()');

	for (1 .. 500)
	{
		my $window = query("SELECT min(window_start) FROM backstream.windows('backbone.$failure') WHERE window_start > '$now' AND state = 'closed' AND records > 0");

		return $window if $window;
		sql_all($insert, @some);
	}
	die 'no window was closed';
}

my $before = fill('error', @nodes);
is(answered('backbone.error', "window_start <= '$before'"), '3 3', 'three nodes answer for a window');
my $sum_before = query("SELECT sum(n) FROM backbone.error WHERE time <= '$before'");
cmp_ok($sum_before, '>', 0, 'and have counted');

$nodes[1]->stop;
my $meanwhile = fill('partial', @nodes[0, 2]);
like(say_of("SELECT sum(n) FROM backbone.partial WHERE time = '$meanwhile'"), qr/^\d+\n.*WARNING:  the result lacks what node "node_2" has counted/s, 'a warning names the node that is away');
like(say_of("SELECT sum(n) FROM backbone.error WHERE time = '$meanwhile'"), qr/^\n.*ERROR:  node "node_2"/s, 'or an error does');
like(say_of("SELECT max(nodes_expected) || ' ' || max(nodes_answered) FROM backstream.windows('backbone.partial')"), qr/^3 2$/m, 'two of three nodes answer');
is(query(q{SELECT string_agg(node || ' ' || state, ', ' ORDER BY node) FROM backstream.nodes}), 'node_1 in step, node_2 unreachable, node_3 in step', 'backstream.nodes tells');

$nodes[1]->start;
$nodes[1]->poll_query_until('postgres', $ready);
is(query(q{SELECT string_agg(node || ' ' || state, ', ' ORDER BY node) FROM backstream.nodes}), 'node_1 in step, node_2 in step, node_3 in step', 'and that it is back');
my $after = fill('error', @nodes);
for my $failure ('error', 'partial')
{
	is(answered("backbone.$failure", "window_start <= '$before'"), '3 3', "$failure: windows of before are complete");
	is(answered("backbone.$failure", "window_start = '$meanwhile'"), '2 2', "$failure: one in between is not");
	is(query("SELECT bool_and(gap) FROM backstream.windows('backbone.$failure') WHERE window_start = '$meanwhile'"), 't', "$failure: as there is a gap");
	is(answered("backbone.$failure", "window_start >= '$after'"), '3 3', "$failure: windows of afterwards are complete");
	is(query("SELECT count(*) FROM backstream.windows('backbone.$failure') WHERE gap AND (window_start >= '$after' OR window_start <= '$before')"), 0, "$failure: and have no gap");
}
is(query("SELECT sum(n) FROM backbone.error WHERE time <= '$before'"), $sum_before, 'what was counted before is there');
cmp_ok(query("SELECT sum(n) FROM backbone.error WHERE time >= '$after'"), '>', 0, 'and what was counted afterwards');
my $lacks = qr/windows of continuous view "\w+" lack what node "node_2" did not count while it was down\n.*DETAIL:  It was down from \d.* to \d/s;
for my $what ("error WHERE time = '$meanwhile'", 'error', 'rolling_error', 'day_error')
{
	like(say_of("SELECT sum(n) FROM backbone.$what"), qr/^\n.*ERROR:  $lacks/s, "what lacks something is an error: $what");
}
for my $what ("partial WHERE time = '$meanwhile'", 'partial', 'rolling_partial', 'day_partial')
{
	like(say_of("SELECT sum(n) FROM backbone.$what"), qr/^\d+\n.*WARNING:  $lacks/s, "or a warning: $what");
}
like(say_of("SELECT sum(n) FROM backstream.merged(NULL::backbone.partial, '$before', '$after'::timestamptz + interval '100 ms')"), qr/^\d+\n.*WARNING:  $lacks/s, 'also of several windows merged');
unlike(say_of("SELECT sum(n) FROM backstream.merged(NULL::backbone.error, '$after', '$after'::timestamptz + interval '100 ms')"), qr/ERROR/, 'but not of those that are whole');

# Another time, and a third, by a crash: none of them is forgotten.
$nodes[1]->stop;
my $second = fill('partial', @nodes[0, 2]);
$nodes[1]->start;
$nodes[1]->poll_query_until('postgres', $ready);
my $between = fill('error', @nodes);
sub remembers
{
	my ($times) = @_;

	is(answered('backbone.partial', "window_start IN ('$meanwhile', '$second')"), '2 2', "$times: windows of both are not complete");
	is(query("SELECT count(*) FROM backstream.windows('backbone.partial') WHERE gap AND window_start IN ('$meanwhile', '$second')"), 2, "$times: and have a gap");
}
for my $times ('down two times', 'down three times')
{
	remembers($times);
	is(answered('backbone.partial', "window_start IN ('$before', '$after', '$between')"), '3 3', "$times: those before, between and after them are");
	is(query("SELECT count(*) FROM backstream.windows('backbone.partial') WHERE gap AND window_start IN ('$before', '$after', '$between')"), 0, "$times: and have none");
	# What is open when it stops has a gap.
	wait_until(60, sub { sql_all($insert, @nodes); query("SELECT count(*) FROM backstream.windows('backbone.partial') WHERE window_start = '$between' AND state = 'closed'") == 1 });
	$times eq 'down two times' ? $nodes[1]->restart : crash_node($nodes[1]);
	$nodes[1]->poll_query_until('postgres', $ready);
}
remembers('after a crash');
like(say_of("SELECT sum(n) FROM backbone.partial WHERE time = '$second'"), qr/^\d+\n.*WARNING:  $lacks/s, 'a read of the second says so');

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for $reader, @nodes;
$_->stop for $reader, @nodes;
done_testing();
