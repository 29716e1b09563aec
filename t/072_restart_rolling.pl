# SPDX-License-Identifier: PostgreSQL
# A rolling view over restarts: no pane of it closes, so that records go on to come into all of them, before a stop,
# after it, between two checkpoints.  The oracle is the SELECT over a table of the same records.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use Test::More;

my $node = backstream_node('rolling', conf => "backstream.checkpoint_interval = 1\nTimeZone = 'UTC'\nautovacuum = off\n");
$node->start;
sub query { return $node->safe_psql('postgres', $_[0]) }

query(<<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE ticks (t timestamptz, k int, v bigint) SERVER backstream;
CREATE TABLE kept (t timestamptz, k int, v bigint);
CREATE VIEW minutes WITH (continuous, window = '10 min', slide = '10 s', time_column = 't', clock = 'data') AS
  SELECT k, sum(v) AS v, count(*) AS n, count(DISTINCT v) AS different FROM ticks GROUP BY k;
CREATE VIEW kept_minutes AS
  WITH b AS (SELECT date_bin('10 s', max(t), '2000-01-01 00:00Z') AS at FROM kept)
  SELECT k, sum(v) AS v, count(*) AS n, count(DISTINCT v) AS different FROM kept, b WHERE t > b.at - interval '10 min' AND t <= b.at GROUP BY k;
SQL

# Records of all of the last ten minutes before a time: minutes since midnight.
sub insert
{
	my ($minute) = @_;

	query("CREATE TEMP TABLE fresh AS SELECT timestamptz '2026-01-01 00:00Z' + ($minute - 10 + i / 30.0) * interval '1 min' AS t, i % 5 AS k, (i * 7) % 13 AS v FROM generate_series(1, 300) i;
		INSERT INTO kept SELECT * FROM fresh; INSERT INTO ticks SELECT * FROM fresh");
}

sub oracle
{
	my ($what) = @_;

	is(differences($node, 'minutes', 'kept_minutes'), 0, "$what: as over the table");
	is(query("SELECT count(*) FROM minutes"), 5, 'and not empty');
	is(query("SELECT received = records + late + untimed + overflowed FROM backstream.views"), 't', 'each record is counted once');
}

# What there is now is on disk.
sub written
{
	my $at = query('SELECT clock_timestamp()');

	return wait_until(60, sub { query("SELECT last_written > '$at' FROM backstream.checkpoint") eq 't' });
}

insert(20);
oracle('before');
for my $mode ('fast', 'fast')
{
	insert(21);
	$node->restart($mode);
	oracle("after a stop");
	insert(21);
	oracle('records of the same minutes after it');
	insert(23);
	oracle('and later ones');
}
# A crash loses what came since the last checkpoint, of any pane; here that is nothing.
for my $round (1, 2)
{
	insert(24);
	ok(written(), 'written once');
	insert(24);
	ok(written(), 'and again, with more in the same panes');
	crash_node($node);
	oracle("after crash $round");
	insert(24);
	oracle('and it goes on');
}
$node->stop;
done_testing();
