# SPDX-License-Identifier: PostgreSQL
# ALTER EXTENSION UPDATE on a server that is at work.  1.0 is the first version, so the next ones are made up, in
# t/upgrade: 1.1test changes a function and a view of the extension, and adds one of each; 1.2test fails.  Views, what they have
# counted, their rights and their dumps stay as they are, and they go on counting while it happens.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;

my $node = backstream_node('node');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream VERSION '1.0';
CREATE ROLE reader;
CREATE FOREIGN TABLE sensor (at timestamptz, device text, value bigint) SERVER backstream;
CREATE TABLE kept (LIKE sensor);
CREATE VIEW minutes WITH (continuous, clock = 'data', retain = '1 day') AS
  SELECT tumble(at, '1 min') AS time, device, sum(value) AS total, count(DISTINCT value) AS kinds,
         sum(backstream.scaled(value, 2)) AS twice FROM sensor GROUP BY 1, 2;
CREATE VIEW hours WITH (continuous) AS SELECT tumble(time, '1 hour') AS time, sum(total) AS total FROM minutes GROUP BY 1;
CREATE VIEW flows WITH (continuous) AS SELECT proto, count(*) FROM backstream.flow GROUP BY 1;
GRANT SELECT ON minutes TO reader;
COMMENT ON VIEW minutes IS 'by minute';
INSERT INTO backstream.exporter_config VALUES ('192.0.2.1', 'edge', 100, NULL);
SQL

sub feed
{
	my ($first) = @_;
	$node->safe_psql('postgres', qq{
		INSERT INTO kept SELECT timestamptz '2026-01-01 00:00Z' + i * interval '7 s', 'd' || i % 5, i % 97
		  FROM generate_series($first, $first + 2999) i;
		INSERT INTO sensor SELECT * FROM kept
		 WHERE at >= timestamptz '2026-01-01 00:00Z' + $first * interval '7 s';
		SELECT backstream.settle()});
}
# Thousands of rows as one, so that a failure can be read.
my $both = q{SELECT count(*), md5(string_agg(k::text, '|' ORDER BY tumble, device)) FROM (
	SELECT backstream.tumble(at, '1 min'), device, sum(value), count(DISTINCT value) AS kinds, sum(value * 2) AS twice
	  FROM kept GROUP BY 1, 2) k};
my $rows = q{SELECT count(*), md5(string_agg(m::text, '|' ORDER BY time, device)) FROM minutes m};
my $state = q{SELECT state, count(*), sum(groups), sum(records), sum(late) FROM backstream.windows('minutes') GROUP BY 1 ORDER BY 1};

# Of two dumps the same: but for the keys that pg_dump makes up for each.
sub dump_of
{
	my $file = $node->basedir . '/dump.sql';
	$node->command_ok([ 'pg_dump', '-f', $file, '-d', $node->connstr('postgres') ], 'pg_dump');
	return slurp_file($file) =~ s/^\\(un)?restrict .*\n//mgr;
}

feed(0);
is($node->safe_psql('postgres', $rows), $node->safe_psql('postgres', $both), 'before: the view is its SELECT');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM minutes'), '>', 1000, 'there is something to lose');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM hours'), '>', 1, 'on both levels');
my %before = map { $_ => $node->safe_psql('postgres', $_) } $rows, $state, 'SELECT * FROM hours ORDER BY 1';
my $dump = dump_of();

# Sessions that are there already, in the midst of things.
my $reader = $node->background_psql('postgres');
$reader->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ");
$reader->query_safe('SELECT count(*) FROM hours');

my ($status, $out, $err) = $node->psql('postgres', q{ALTER EXTENSION backstream UPDATE TO '1.2test'});
like($err, qr/division by zero/, 'an update that fails says so');
is($node->safe_psql('postgres', "SELECT extversion FROM pg_extension WHERE extname = 'backstream'"), '1.0', 'and leaves 1.0');
is($node->safe_psql('postgres', $_), $before{$_}, "as before: $_") for sort keys %before;

$node->safe_psql('postgres', q{ALTER EXTENSION backstream UPDATE TO '1.1test'});
is($node->safe_psql('postgres', "SELECT extversion FROM pg_extension WHERE extname = 'backstream'"), '1.1test', 'updated');
is($node->safe_psql('postgres', 'SELECT backstream.added_by_update(), views FROM backstream.added_view'), 'here|3', 'what is new is there');
is($node->safe_psql('postgres', $_), $before{$_}, "kept: $_") for sort keys %before;
is(dump_of(), $dump, 'a dump is what it was');
$reader->query_safe('SELECT count(*) FROM hours');
$reader->query_safe('COMMIT');
$reader->quit;
is($node->safe_psql('postgres', 'SET ROLE reader; SELECT count(*) > 0 FROM minutes'), 't', 'rights are kept');
is($node->safe_psql('postgres', "SELECT obj_description('minutes'::regclass)"), 'by minute', 'comments, too');
is($node->safe_psql('postgres', 'SELECT name FROM backstream.exporter_config'), 'edge', 'and configuration');

feed(3000);
is($node->safe_psql('postgres', $rows), $node->safe_psql('postgres', $both), 'after: the view, half of it counted before, is its SELECT');
is($node->safe_psql('postgres', "SELECT count(*) FROM backstream.views WHERE state <> 'active' OR errors > 0"), '0', 'no view is suspended');
$node->safe_psql('postgres', "CREATE VIEW later WITH (continuous, clock = 'data') AS SELECT device, count(*) FROM sensor GROUP BY 1");
$node->safe_psql('postgres', "INSERT INTO sensor VALUES ('2026-01-01 11:40Z', 'x', 1); INSERT INTO kept VALUES ('2026-01-01 11:40Z', 'x', 1)");
is($node->safe_psql('postgres', 'SELECT * FROM later'), 'x|1', 'new views can be made');

# A binary of the next version brings the server down and up once.
$node->restart;
is($node->safe_psql('postgres', $rows), $node->safe_psql('postgres', $both), 'windows outlive the restart that follows');
is($node->safe_psql('postgres', 'SELECT backstream.added_by_update()'), 'here', 'at the new version');

$node->safe_psql('postgres', 'DROP EXTENSION backstream CASCADE');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_proc WHERE proname = 'added_by_update'"), '0', 'dropped, new objects and all');

done_testing();
