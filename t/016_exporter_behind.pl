# SPDX-License-Identifier: PostgreSQL
# An exporter whose clock is years behind, and which never falls silent, keeps no window open.
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

$node->stop;
done_testing();
