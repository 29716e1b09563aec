# SPDX-License-Identifier: PostgreSQL
# Reading while records come, windows are dropped, views are replaced and readers are killed; on a
# standby; after a restart.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;

my $node = backstream_node('primary', init => { allows_streaming => 1 });
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (t timestamptz, k int, b bigint) SERVER backstream;
CREATE SEQUENCE windows;
-- Windows of 20,000 groups, a dozen chunks; only the last few are kept.
CREATE VIEW v WITH (continuous, clock = 'data', retain = '2 s', lateness = '0') AS
SELECT backstream.tumble(t, '1 s') AS time, k, count(*) AS records, sum(b) AS b FROM s GROUP BY 1, 2;
CREATE VIEW total WITH (continuous) AS SELECT count(*) AS records FROM s;
-- A window is written by one transaction, so it is seen whole or not at all, however it is read.
CREATE PROCEDURE write_windows(n int) LANGUAGE plpgsql AS $$
DECLARE
	w bigint;
BEGIN
	FOR i IN 1 .. n LOOP
		w := nextval('windows');
		INSERT INTO s SELECT timestamptz '2026-01-01' + w * interval '1 s', r % 20000, 1 FROM generate_series(0, 39999) r;
		COMMIT;
	END LOOP;
END
$$;
CREATE FUNCTION check_windows() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	r record;
	n int := 0;
BEGIN
	WHILE (SELECT last_value FROM windows) < 120 LOOP
		FOR r IN SELECT time, count(*) AS groups, sum(records) AS records FROM v GROUP BY time LOOP
			IF r.groups <> 20000 OR r.records <> 40000 THEN
				RAISE 'window % has % groups, % records', r.time, r.groups, r.records;
			END IF;
			n := n + 1;
		END LOOP;
		SELECT count(*) AS groups INTO r FROM backstream.latest(NULL::v);
		IF r.groups NOT IN (0, 20000) THEN
			RAISE 'the latest window has % groups', r.groups;
		END IF;
		SELECT count(*) AS groups, sum(records) AS records INTO r FROM backstream.merged(NULL::v, NULL, NULL);
		IF r.groups NOT IN (0, 20000) OR r.records % 40000 <> 0 THEN
			RAISE 'merged: % groups, % records', r.groups, r.records;
		END IF;
	END LOOP;
	RETURN n;
END
$$;
SQL

# ---- windows are whole
my @readers = map { start_psql($node, 'SELECT check_windows()') } 1 .. 2;
my $writer = start_psql($node, 'CALL write_windows(120)');
is(errors_of_psql($writer), '', 'the writer went on');
my $seen = 0;
for my $reader (@readers)
{
	is(errors_of_psql($reader), '', 'a reader saw whole windows only');
	$seen += $reader->{out};
}
cmp_ok($seen, '>', 20, "they read $seen windows meanwhile");
is($node->safe_psql('postgres', 'SELECT records FROM total'), 120 * 40000, 'all records were counted');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM v'), '<=', 4 * 20000, 'old windows were dropped');

# ---- definitions change under readers with prepared statements
my $replace = join ';', map { "CREATE OR REPLACE VIEW total WITH (continuous) AS SELECT count(*) + $_ AS records FROM s" } 1 .. 40;
my $prepared = start_psql($node, <<'SQL');
DO $$
DECLARE
	n bigint;
	until timestamptz := clock_timestamp() + interval '3 s';
BEGIN
	PERFORM set_config('plan_cache_mode', 'force_generic_plan', false);
	WHILE clock_timestamp() < until LOOP
		SELECT records INTO STRICT n FROM total;
		COMMIT;
	END LOOP;
END
$$;
SQL
$node->safe_psql('postgres', $replace);
is(errors_of_psql($prepared), '', 'a view that is replaced can be read all the while');
is($node->safe_psql('postgres', 'SELECT records FROM total'), 120 * 40000 + 40, 'all of them show what has been counted');

# ---- a reader is killed in the middle of a scan
my $used = $node->safe_psql('postgres', 'SELECT used FROM backstream.memory');
$node->safe_psql('postgres', "CREATE FUNCTION slow(int) RETURNS bool STABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN false; END'");
my $victim = start_psql($node, 'SELECT count(*) FROM v WHERE slow(k)');
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%slow(k)' AND wait_event = 'PgSleep'");
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE query LIKE '%slow(k)'");
like(errors_of_psql($victim), qr/terminating connection/, 'a reader is killed');
is($node->safe_psql('postgres', 'SELECT used FROM backstream.memory'), $used, 'and leaves nothing behind');
$node->safe_psql('postgres', 'CALL write_windows(5)');
is($node->safe_psql('postgres', 'SELECT count(DISTINCT records) FROM v'), 1, 'windows go on');

# ---- settings of the view are set and undone in a parallel plan's leader too
$node->safe_psql('postgres', <<'SQL');
SET TimeZone = 'Asia/Tokyo';
CREATE VIEW said WITH (continuous, clock = 'data', retain = '1 min') AS
SELECT backstream.tumble(t, '1 s')::text AS said, backstream.tumble(t, '1 s') AS time, count(*) AS records FROM s GROUP BY 2;
CALL write_windows(2);
CREATE TABLE many AS SELECT i FROM generate_series(1, 300000) i;
ANALYZE many;
SQL
my $parallel = $node->safe_psql('postgres', <<'SQL');
SET TimeZone = 'UTC';
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT count(*), max(said) ~ '\+09$', current_setting('TimeZone') FROM said WHERE (SELECT count(*) FROM many WHERE i % 7 = 0) = 42857;
SQL
is($parallel, '2|t|UTC', "under the view's settings beside parallel workers");

# ---- a standby
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
my ($status, $out, $err) = $standby->psql('postgres', 'SELECT * FROM total');
like($err, qr/cannot read continuous view "total" here\nDETAIL:  Nothing is counted on a server in recovery\.\nHINT:  Read it on the primary\./, 'a standby says that it has nothing');
like($standby->safe_psql('postgres', 'EXPLAIN SELECT * FROM total'), qr/Foreign Scan on total/, 'EXPLAIN works there');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM backstream.views WHERE state = \'not counted\''), 3, 'its views are not counted');
$standby->promote;
$standby->safe_psql('postgres', "INSERT INTO s VALUES (now(), 1, 1)");
is($standby->safe_psql('postgres', 'SELECT records FROM total'), 41, 'after promotion it counts');
$standby->stop;

# ---- a restart
my $whole = join '|', map { $node->safe_psql('postgres', $_) } 'SELECT records FROM total', 'SELECT count(*) FROM v';
$node->restart;
is(join('|', map { $node->safe_psql('postgres', $_) } 'SELECT records FROM total', 'SELECT count(*) FROM v'), $whole, 'after a restart all is there');
$node->stop;
done_testing();
