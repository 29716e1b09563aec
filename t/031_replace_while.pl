# SPDX-License-Identifier: PostgreSQL
# CREATE OR REPLACE under traffic: several writers add to a stream and, in the same transaction, to a table, while
# definitions are replaced and a reader looks at the view all the time.  No record is lost or counted twice, and at no
# moment are there fewer closed windows than before; a definition that counts something else shows none before its first
# full one.  Then the server ends, and is dumped, in the middle of a take-over.
use strict;
use warnings;
use FindBin;
use lib "$ENV{BACKSTREAM_SOURCE}";
use PostgreSQL::Test::Utils;
use Test::More;
use BackStreamTest;
use BackStreamTraffic;

my $node = backstream_node('replace', conf => "backstream.workers = 2\n");
$node->start;

sub query { return $node->safe_psql('postgres', "SET TimeZone = 'UTC'; SET client_min_messages = warning; $_[0]") }

query(<<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (t timestamptz, k int, n bigint) SERVER backstream;
CREATE TABLE r (t timestamptz, k int, n bigint);
CREATE TABLE stop (now bool);
CREATE PROCEDURE write(seed int) LANGUAGE plpgsql AS $$
DECLARE
	i int := 0;
BEGIN
	WHILE NOT EXISTS (SELECT FROM stop) AND i < 20000 LOOP
		i := i + 1;
		WITH x AS (INSERT INTO r SELECT clock_timestamp(), g % 7, (g * seed + i) % 1000 FROM generate_series(1, 20) g RETURNING *)
		INSERT INTO s SELECT * FROM x;
		COMMIT;
		PERFORM pg_sleep(0.003);
	END LOOP;
END $$;
-- Looks at a view until it is told to stop: how often; raises what must not be.  never_fewer: closed windows only come.
CREATE PROCEDURE watch(name text, never_fewer bool, INOUT looks int) LANGUAGE plpgsql AS $$
DECLARE
	before timestamptz[] := '{}';
	closed timestamptz[];
BEGIN
	looks := 0;
	WHILE NOT EXISTS (SELECT FROM stop) AND looks < 100000 LOOP
		EXECUTE format('SELECT coalesce(array_agg(DISTINCT time), ''{}'') FROM %I', name) INTO closed;
		IF never_fewer AND NOT before <@ closed THEN
			RAISE 'windows have gone: % of %', before, closed;
		END IF;
		IF before <> '{}' AND closed = '{}' THEN
			RAISE 'nothing is shown';
		END IF;
		before := closed;
		looks := looks + 1;
		COMMIT;
	END LOOP;
END $$;
CREATE VIEW more WITH (continuous, show = 'closed') AS SELECT backstream.tumble(t, '200 ms') AS time, k, sum(n) AS n FROM s GROUP BY 1, 2;
CREATE VIEW other WITH (continuous, show = 'closed', lateness = '500 ms') AS SELECT backstream.tumble(t, '200 ms') AS time, k, sum(n) AS n FROM s GROUP BY 1, 2;
ALTER VIEW more SET (lateness = '500 ms');
CREATE VIEW up WITH (continuous) AS SELECT time, sum(n) AS n FROM more GROUP BY 1;
SQL

my @writers = map { start_psql($node, "CALL write($_)") } 1 .. 3;
$node->poll_query_until('postgres', 'SELECT (SELECT count(*) FROM more) > 0 AND (SELECT count(*) FROM other) > 0');
my @watchers = (start_psql($node, "CALL watch('more', true, NULL)"), start_psql($node, "CALL watch('other', false, NULL)"));
my $with = "WITH (continuous, show = 'closed', lateness = '500 ms')";
my $columns = 'backstream.tumble(t, \'200 ms\') AS time, k, sum(n) AS n';

# More and more aggregates; in between, output and HAVING alone.
for my $added ('count(*) AS records', 'max(n) AS highest', 'count(DISTINCT n) AS ns', 'stddev(n) AS deviation')
{
	$columns .= ", $added";
	query("CREATE OR REPLACE VIEW more $with AS SELECT $columns FROM s GROUP BY 1, 2 HAVING sum(n) > 0");
	query("CREATE OR REPLACE VIEW more $with AS SELECT $columns FROM s GROUP BY k, 1");
	select(undef, undef, undef, 0.3);
}
# Another filter and another window, one after the other.
for my $definition ('WHERE k <> 3', 'WHERE k < 6')
{
	query("CREATE OR REPLACE VIEW other $with AS SELECT backstream.tumble(t, '200 ms') AS time, k, sum(n) AS n FROM s $definition GROUP BY 1, 2");
	ok($node->poll_query_until('postgres', "SELECT next_query IS NULL FROM backstream.views WHERE view = 'other'::regclass"),
		"$definition has taken over");
}
query("CREATE OR REPLACE VIEW other $with AS SELECT backstream.tumble(t, '100 ms') AS time, k, sum(n) AS n FROM s WHERE k > 1 GROUP BY 1, 2");
$node->poll_query_until('postgres', "SELECT next_query IS NULL FROM backstream.views WHERE view = 'other'::regclass");
my $from = query('SELECT min(time) FROM other');
select(undef, undef, undef, 0.5);
query('INSERT INTO stop VALUES (true)');
is(errors_of_psql($_), '', 'a writer went on') for @writers;
for my $watcher (@watchers)
{
	is(errors_of_psql($watcher), '', 'a reader never saw less than before');
	cmp_ok($watcher->{out}, '>', 20, 'it looked often');
}
$node->poll_query_until('postgres', "SELECT closed_before > (SELECT max(t) FROM r) FROM backstream.views WHERE view = 'more'::regclass");
$node->poll_query_until('postgres', "SELECT closed_before > (SELECT max(t) FROM r) FROM backstream.views WHERE view = 'other'::regclass");
query('SELECT backstream.settle()');
is(query("SELECT late, overflowed, errors, received = records AS all_in, records = (SELECT count(*) FROM r) FROM backstream.views WHERE view = 'more'::regclass"),
	'0|0|0|t|t', 'every record was added, once');
is(differences($node, 'SELECT time, k, n FROM more', q{SELECT backstream.tumble(t, '200 ms'), k, sum(n) FROM r GROUP BY 1, 2}),
	0, 'windows of all definitions are those of the table');
is(differences($node, 'SELECT * FROM more WHERE deviation IS NOT NULL',
	"SELECT * FROM (SELECT $columns FROM r GROUP BY 1, 2) t WHERE time >= (SELECT min(time) FROM more WHERE deviation IS NOT NULL)"), 0, 'the last definition alone is exact, too');
is(query("SELECT count(*) > 0 FROM more WHERE deviation IS NOT NULL"), 't', 'it has windows of its own');
is(differences($node, 'up', q{SELECT backstream.tumble(t, '200 ms'), sum(n) FROM r GROUP BY 1}), 0, 'a view over it has them all');
is(differences($node, 'other', "SELECT backstream.tumble(t, '100 ms'), k, sum(n) FROM r WHERE k > 1 AND t >= '$from' GROUP BY 1, 2"),
	0, 'what has taken over began with a full window, and no record was lost when it took over')
	or diag("from $from:\n" . query("SELECT coalesce(o.time, r.time) AS time, count(*), sum(o.n), sum(r.n) FROM other o FULL JOIN"
		. " (SELECT backstream.tumble(t, '100 ms') AS time, k, sum(n) AS n FROM r WHERE k > 1 AND t >= '$from' GROUP BY 1, 2) r USING (time, k)"
		. ' WHERE o.n IS DISTINCT FROM r.n GROUP BY 1 ORDER BY 1'));

# ---- in the middle of a take-over: dump, restore, restart
query("TRUNCATE stop");
query("CREATE VIEW later WITH (continuous, clock = 'data') AS SELECT backstream.tumble(t, '10 s') AS time, sum(n) AS n FROM s GROUP BY 1");
query("INSERT INTO s VALUES ('2026-01-01 00:00:01+00', 1, 1), ('2026-01-01 00:00:31+00', 1, 2)");
query("CREATE OR REPLACE VIEW later WITH (continuous, clock = 'data') AS SELECT backstream.tumble(t, '10 s') AS time, sum(n) AS n, count(*) AS records FROM s WHERE k = 2 GROUP BY 1");
is(query('SELECT * FROM later ORDER BY 1 LIMIT 1'), '2026-01-01 00:00:00+00|1|', 'the old definition is shown');
my $dump = "$PostgreSQL::Test::Utils::tmp_check/middle.sql";
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-t', 'later', '-t', 's', '-f', $dump ], 'pg_dump');
like(PostgreSQL::Test::Utils::slurp_file($dump), qr/next_query/, 'both definitions are in it');
$node->restart;
is(query("SELECT next_query IS NOT NULL FROM backstream.views WHERE view = 'later'::regclass"), 't', 'it waits after a restart');
is(query('SELECT * FROM later ORDER BY 1 LIMIT 1'), '2026-01-01 00:00:00+00|1|', 'and the old one is shown');
$node->poll_query_until('postgres', "SELECT next_until IS NOT NULL FROM backstream.views WHERE view = 'later'::regclass");
query("INSERT INTO s VALUES ('2026-01-01 00:00:42+00', 2, 5), ('2026-01-01 00:01:31+00', 1, 2)");
ok($node->poll_query_until('postgres', "SELECT next_query IS NULL FROM backstream.views WHERE view = 'later'::regclass"),
	'then it takes over');
is(query('SELECT * FROM later ORDER BY 1'), '2026-01-01 00:00:40+00|5|1', 'with its first full window');
query('DROP FOREIGN TABLE s CASCADE');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $dump ], 'the dump is restored');
query("INSERT INTO s VALUES ('2026-01-01 00:00:01+00', 1, 1), ('2026-01-01 00:00:31+00', 2, 2)");
is(query('TABLE later'), '2026-01-01 00:00:30+00|2|1', 'as the new definition');

# ---- what waits is suspended by itself
$node->append_conf('postgresql.conf', "backstream.eval_timeout = '100ms'\n");
$node->reload;
query(<<'SQL');
CREATE FUNCTION slow(n bigint) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(5); RETURN true; END $$;
CREATE OR REPLACE VIEW later WITH (continuous, clock = 'data') AS SELECT backstream.tumble(t, '10 s') AS time, sum(n) AS n, count(*) AS records FROM s WHERE slow(n) GROUP BY 1;
SQL
query("INSERT INTO s VALUES ('2026-01-01 00:00:41+00', 2, 3)");
query("INSERT INTO s VALUES ('2026-01-01 00:00:51+00', 2, 4), ('2026-01-01 00:02:51+00', 2, 4)");
is(query("SELECT state, next_query IS NOT NULL FROM backstream.views WHERE view = 'later'::regclass"), 'active|t', 'what is shown goes on');
is(query('SELECT sum(n) FROM later'), '13', 'and has counted all');
query('DROP VIEW later');
$node->stop;
done_testing();
