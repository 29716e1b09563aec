# SPDX-License-Identifier: PostgreSQL
# Second levels over nodes to which nothing comes: one that has never had a record, and one that has none any more and is behind.
# They hold nothing up and leave no mark; what comes to them later is late, as on one server.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;

# Nothing here is to end by this.
my ($reader, @nodes) = start_backbone(conf => "statement_timeout = '120s'\nTimeZone = 'UTC'\nbackstream.node_timeout = '1 h'\nmax_worker_processes = 16\n");

sub query { return $reader->safe_psql('postgres', $_[0]) }
sub on_node { my ($n, $sql) = @_; return $nodes[$n - 1]->safe_psql('postgres', $sql) }

sql_all('CREATE FOREIGN TABLE s (t timestamptz, node int) SERVER backstream', @nodes);
query('IMPORT FOREIGN SCHEMA public FROM SERVER backbone INTO backbone');
query(q{CREATE VIEW backbone.counts WITH (continuous, lateness = '0', idle = '3 s', max_future = '1 day', retain = '2 hours') AS
	SELECT tumble(t, '200 ms') AS time, node, count(*) AS n FROM backbone.s GROUP BY 1, 2});
query(q{CREATE VIEW upper WITH (continuous, retain = '3 hours') AS SELECT time, node, sum(n) AS n FROM backbone.counts GROUP BY 1, 2});

# Records on these nodes, as long as it takes until windows with records of all of them, from now on, have been read; the last.
sub fill
{
	my (@some) = @_;
	my $now = query('SELECT clock_timestamp()');
	my $window = '';

	wait_until(100, sub {
		my $time = query('SELECT clock_timestamp()');
		on_node($_, "INSERT INTO s SELECT '$time', $_ FROM generate_series(1, 5)") for @some;
		$window = query("SELECT max(time) FROM (SELECT time FROM upper WHERE time > '$now' GROUP BY 1 HAVING count(*) = " . @some . ') w');
		return $window ne '';
	});
	return $window;
}
my $marks = q{SELECT windows_incomplete, windows_missed FROM backstream.views WHERE view = 'upper'::regclass};
my $answered = q{SELECT string_agg(DISTINCT nodes_expected || ' ' || nodes_answered, ',') FROM backstream.windows('upper')};
# What has been read of windows is what nodes have in them.
sub whole
{
	my ($what) = @_;
	my $read = query(q{SELECT window_start FROM backstream.windows('upper') ORDER BY 1 DESC LIMIT 1});

	is(query("SELECT count(*) FROM ((SELECT time, node, n FROM backbone.counts WHERE time <= '$read' EXCEPT ALL SELECT time, node, n::bigint FROM upper WHERE time <= '$read')
		UNION ALL (SELECT time, node, n::bigint FROM upper WHERE time <= '$read' EXCEPT ALL SELECT time, node, n FROM backbone.counts WHERE time <= '$read')) d"), 0, "$what: all that nodes have is read");
	is(query($marks), '0|0', "$what: no window is incomplete");
	is(query($answered), '3 3', "$what: three nodes have told all");
}

# Until it has been silent for its idle time the third holds the others up, as an exporter would.
my $first = fill(1, 2);
isnt($first, '', 'a node that never had a record does not keep windows from being read');
whole('a node without records');

# A record for a window that has been read is late there, and in neither view.
on_node(3, "INSERT INTO s VALUES ('$first', 3)");
is(on_node(3, q{SELECT late FROM backstream.views WHERE view = 'backbone.counts'::regclass}), 1, 'what comes to it for a window that was read is late');
whole('a late record');
# One for a window that has not counts.
my $all = fill(1, 2, 3);
isnt($all, '', 'what comes to it for later ones counts');
whole('three nodes with records');

# One that is idle may have been ahead.
on_node(2, q{INSERT INTO s VALUES (clock_timestamp() + interval '2 s', 2)});
isnt(fill(1, 3), '', 'a node that is idle and ahead holds nothing up');

# One whose only exporter was half an hour behind, and went: by the clock it would stay behind.
my ($late) = start_nodes(['late'], conf => "statement_timeout = '120s'\nTimeZone = 'UTC'\n");
$late->safe_psql('postgres', 'CREATE FOREIGN TABLE s (t timestamptz, node int) SERVER backstream');
query("CREATE SERVER node_4 FOREIGN DATA WRAPPER backstream OPTIONS (" . server_options($late) . "); CREATE USER MAPPING FOR PUBLIC SERVER node_4;
	CREATE SERVER pair FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'node_1, node_4', schema 'pair'); CREATE SCHEMA pair; IMPORT FOREIGN SCHEMA public FROM SERVER pair INTO pair");
query(q{CREATE VIEW pair.counts WITH (continuous, lateness = '0', idle = '3 s', max_future = '1 day', retain = '2 hours') AS
	SELECT tumble(t, '200 ms') AS time, node, count(*) AS n FROM pair.s GROUP BY 1, 2});
query(q{CREATE VIEW pair_upper WITH (continuous, retain = '3 hours') AS SELECT time, node, sum(n) AS n FROM pair.counts GROUP BY 1, 2});
ok(wait_until(60, sub { on_node(1, q{SELECT count(*) FROM backstream.views WHERE state = 'active'}) == 2 && $late->safe_psql('postgres', q{SELECT count(*) FROM backstream.views WHERE state = 'active'}) == 1 }), 'another pair of nodes counts');
$late->safe_psql('postgres', q{INSERT INTO s VALUES (clock_timestamp() - interval '30 min', 4)});
my $now = query('SELECT clock_timestamp()');
ok(wait_until(100, sub { on_node(1, 'INSERT INTO s VALUES (clock_timestamp(), 1)'); query("SELECT count(*) FROM pair_upper WHERE time > '$now'") > 0 }), 'one that is idle and behind holds nothing up');
is(query(q{SELECT sum(n) FROM pair_upper WHERE node = 4}), 1, 'what it had is read');

# Who follows a view that has no second level takes idle nodes along, too.
query(q{CREATE VIEW pair.followed WITH (continuous, lateness = '0', idle = '3 s', max_future = '1 day', retain = '2 hours') AS
	SELECT tumble(t, '200 ms') AS time, node, count(*) AS n FROM pair.s GROUP BY 1, 2});
my $active = q{SELECT state FROM backstream.views WHERE view = 'pair.followed'::regclass};
ok(wait_until(60, sub { on_node(1, $active) eq 'active' && $late->safe_psql('postgres', $active) eq 'active' }), 'a view that nobody reads but by tail()');
my $begun = query('SELECT clock_timestamp()');
my $tail = start_psql($reader, "SET backstream.listen_for = '100 s'; SELECT bool_and(node = 1 AND time > timestamptz '$begun' - interval '200 ms'), count(*) FROM (SELECT * FROM backstream.tail(NULL::pair.followed) LIMIT 3) w");
wait_until(100, sub { on_node(1, 'INSERT INTO s VALUES (clock_timestamp(), 1)'); $tail->{handle}->pump_nb; $tail->{out} =~ /\n/ });
is(finish_psql($tail), "t|3\n", 'its windows come, without the node that has had no record');

# When nothing comes to anybody the clock goes on, and the last window is read.
my ($newest) = sort { $b cmp $a } map { on_node($_, q{SELECT max(time) FROM backbone.counts}) } 1, 3;
ok(wait_until(100, sub { query("SELECT count(*) FROM upper WHERE time >= '$newest'") > 0 }), 'when all are idle what they have is read');
is(query(q{SELECT backstream.settle('60 s')}), 't', 'and that is all');
is((split /\|/, query($marks))[0], 0, 'no window was incomplete');

# After a restart a node is given its idle time again.
$nodes[2]->restart;
$nodes[2]->poll_query_until('postgres', q{SELECT count(*) = 1 FROM backstream.views WHERE state = 'active'});
isnt(fill(1, 2), '', 'nor does one that has been started again hold anything up');

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for $reader, @nodes, $late;
$_->stop for $reader, @nodes, $late;
done_testing();
