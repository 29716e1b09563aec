# SPDX-License-Identifier: PostgreSQL
# What is far behind keeps no window open: an exporter whose clock is, and which never falls silent; a commit that
# waits for a lock.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;

my $node = backstream_node('behind');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
CREATE VIEW v WITH (continuous, retain = '1 s', lateness = '0', idle = '1 s') AS
SELECT tumble(time_event, '200 ms') AS time, count(*) FROM backstream.flow GROUP BY 1;
-- The two take turns, so that neither is ever idle.
CREATE PROCEDURE send(seconds int) LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz := clock_timestamp();
BEGIN
	WHILE clock_timestamp() < began + seconds * interval '1 s' LOOP
		INSERT INTO backstream.flow (exporter, time_event) VALUES ('192.0.2.1', clock_timestamp());
		INSERT INTO backstream.flow (exporter, time_event) VALUES ('192.0.2.2', '2020-01-01 00:00+00');
		COMMIT;
		PERFORM pg_sleep(0.05);
	END LOOP;
END
$$;
CALL send(5);
SQL

is($node->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE state = 'closed') > 0 FROM backstream.windows('v')}),
	't', 'windows close');
# Five a second, of a second that is kept and one that waited for idle; 25 in all.
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM backstream.windows('v')}), '<', 18, 'and are dropped');
is($node->safe_psql('postgres', 'SELECT late = received / 2 AND records = received / 2 FROM backstream.views'),
	't', 'all records of the exporter that is behind are late, and none of the other');

# A session that leaves a changed definition locked, and one whose commit waits for it.
$node->safe_psql('postgres', <<'SQL');
CREATE VIEW arrived WITH (continuous, retain = '1 s', idle = '1 s') AS
SELECT tumble(time_received, '200 ms') AS time, count(*) FROM backstream.flow GROUP BY 1;
CREATE FOREIGN TABLE other (t timestamptz) SERVER backstream;
CREATE VIEW locked WITH (continuous) AS SELECT count(*) FROM other;
SQL
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN');
$locker->query_safe('ALTER FOREIGN TABLE locked OPTIONS (ADD retain $$1 min$$)');
my $waiter = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', 'INSERT INTO other VALUES (now())' ],
	'<', \undef, '>', \my $out, '2>', \my $err);
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'INSERT INTO other'"),
	'a commit waits');
# By arrival in a session that knows the locked view already, or it would wait too.
$node->poll_query_until('postgres', "SELECT closed_before > now() - interval '5 s' FROM backstream.views WHERE view = 'arrived'::regclass");
my $before = $node->safe_psql('postgres', "SELECT closed_before FROM backstream.views WHERE view = 'arrived'::regclass");
sleep 3;
is($node->safe_psql('postgres', "SELECT closed_before > '$before' FROM backstream.views WHERE view = 'arrived'::regclass"), 't',
	'windows by arrival close meanwhile');
$locker->query_safe('ROLLBACK');
$locker->quit;
$waiter->finish;
is($node->safe_psql('postgres', 'TABLE locked'), '1', 'and it goes on');

$node->stop;
done_testing();
