# SPDX-License-Identifier: PostgreSQL
# Watermarks of many exporters: one clock ahead, one behind, one that falls silent, 200 with random skew; who holds
# windows open is told.  By the data's own clock, so that hours take no time.  test/unit/test_watermarks.c has the
# rules with time as a parameter; this is that the server keeps to them.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;

my $node = backstream_node('watermarks');
$node->start;

sub query { return $node->safe_psql('postgres', $_[0]); }

query(<<'SQL');
CREATE EXTENSION backstream;
CREATE VIEW seconds WITH (continuous, clock = 'data', lateness = '0', idle = '10 s', max_behind = '5 min', retain = '30 days') AS
SELECT tumble(time_event, '1 s') AS time, count(*) AS n FROM backstream.flow GROUP BY 1;
CREATE VIEW days WITH (continuous, clock = 'data', lateness = '1 min', idle = '1 day', max_behind = '1 day', retain = '30 days') AS
SELECT tumble(time_event, '1 day') AS time, count(*) AS n FROM backstream.flow GROUP BY 1;
CREATE TABLE sent (exporter inet, time_event timestamptz);
-- One record of each of the exporters for each second of a span, by clocks that are off by so many seconds.
CREATE PROCEDURE send(exporters inet[], clocks int[], first timestamptz, seconds int) LANGUAGE plpgsql AS $$
BEGIN
	FOR s IN 0 .. seconds - 1 LOOP
		WITH record AS (
			INSERT INTO sent SELECT e, first + (s + c) * interval '1 s' FROM unnest(exporters, clocks) AS x (e, c) RETURNING *)
		INSERT INTO backstream.flow (exporter, time_event) SELECT * FROM record;
		COMMIT;
	END LOOP;
END
$$;
SQL

# ---- one behind ----------------------------------------------------------------------------------
query(q{CALL send('{192.0.2.1, 192.0.2.2, 2001:db8::3}', '{0, -60, -20}', '2026-03-28 12:00:00+00', 120)});
is(query(q{SELECT string_agg(concat_ws('|', exporter, time_reached AT TIME ZONE 'UTC', state, windows_held, largest_lateness), ' ' ORDER BY exporter)
             FROM backstream.view_exporters WHERE view = 'seconds'::regclass}),
	'192.0.2.1|2026-03-28 12:01:59|alive|0|00:00:00 192.0.2.2|2026-03-28 12:00:59|alive|60|00:00:00 2001:db8::3|2026-03-28 12:01:39|alive|20|00:00:00',
	'who holds windows, and how many');
is(query(q{SELECT max(window_start) FILTER (WHERE state = 'closed') AT TIME ZONE 'UTC' FROM backstream.windows('seconds')}),
	'2026-03-28 12:00:58', 'windows close when the slowest has passed them');
is(query(q{SELECT late FROM backstream.views WHERE view = 'seconds'::regclass}), '0', 'nothing is late');

# ---- one silent for an hour ----------------------------------------------------------------------
query(q{CALL send('{192.0.2.1, 2001:db8::3}', '{0, -20}', '2026-03-28 12:02:00+00', 30)});
is(query(q{SELECT string_agg(concat_ws('|', exporter, state, windows_held), ' ' ORDER BY exporter) FROM backstream.view_exporters WHERE view = 'seconds'::regclass}),
	'192.0.2.1|alive|0 192.0.2.2|idle|0 2001:db8::3|alive|20', 'who is silent holds nothing');
is(query(q{SELECT max(window_start) FILTER (WHERE state = 'closed') AT TIME ZONE 'UTC' FROM backstream.windows('seconds')}),
	'2026-03-28 12:02:08', 'the next one does');
query(q{CALL send('{192.0.2.1, 2001:db8::3}', '{0, -20}', '2026-03-28 13:02:30+00', 5)});
query(q{CALL send('{192.0.2.1, 192.0.2.2, 2001:db8::3}', '{0, 0, -20}', '2026-03-28 13:02:35+00', 5)});
is(query(q{SELECT late FROM backstream.views WHERE view = 'seconds'::regclass}), '0', 'back after an hour: not late');

# ---- too far behind: late, and by how much -------------------------------------------------------
query(q{CALL send('{192.0.2.1, 192.0.2.2, 2001:db8::3}', '{0, -600, -20}', '2026-03-28 13:03:00+00', 20)});
is(query(q{SELECT late FROM backstream.views WHERE view = 'seconds'::regclass}), '20', 'what is too far behind is late');
is(query(q{SELECT state || '|' || windows_held || '|' || (largest_lateness BETWEEN '9 min 30 s' AND '10 min') FROM backstream.view_exporters
            WHERE view = 'seconds'::regclass AND exporter = '192.0.2.2'}), 'alive|40|true', 'by ten minutes; its time was right before, so that it is waited for a while');
query(q{INSERT INTO backstream.flow (exporter, time_event) VALUES ('192.0.2.9', '2026-03-28 12:00:00+00')});
is(query(q{SELECT state || '|' || windows_held FROM backstream.view_exporters WHERE view = 'seconds'::regclass AND exporter = '192.0.2.9'}),
	'behind|0', 'one that never was holds nothing');

# ---- 200 with random skew, over the change to summer time ----------------------------------------
query('DROP FOREIGN TABLE seconds; DROP FOREIGN TABLE days; TRUNCATE sent');
query(<<'SQL');
CREATE VIEW seconds WITH (continuous, clock = 'data', lateness = '60 s', idle = '2 min', retain = '30 days') AS
SELECT tumble(time_event, '1 s') AS time, count(*) AS n FROM backstream.flow GROUP BY 1;
SET timezone = 'Europe/Berlin';
CREATE VIEW days WITH (continuous, clock = 'data', lateness = '60 s', idle = '1 day', retain = '30 days') AS
SELECT tumble(time_event, '1 day') AS time, count(*) AS n FROM backstream.flow GROUP BY 1;
SQL
query(q{SET timezone = 'Europe/Berlin'; SELECT setseed(0.4);
	CREATE TABLE clocks AS SELECT '198.51.100.0'::inet + i AS exporter, (random() * 60 - 30)::int AS clock FROM generate_series(1, 200) i;
	DO $$
	DECLARE
		exporters inet[] := (SELECT array_agg(exporter) FROM clocks);
		clocks int[] := (SELECT array_agg(clock) FROM clocks);
	BEGIN
		CALL send(exporters, clocks, '2026-03-29 00:59:00+00', 120);
		CALL send(exporters, clocks, '2026-03-30 00:01:00+00', 2);
	END $$});
is(query(q{SELECT count(*) FROM (TABLE seconds EXCEPT SELECT date_trunc('second', time_event), count(*) FROM sent GROUP BY 1) x}), '0', 'a view of seconds is the SELECT');
is(query(q{SELECT (SELECT count(*) FROM seconds) = (SELECT count(DISTINCT time_event) FROM sent)}), 't', 'all of it');
is(query(q{SELECT late + future + untimed FROM backstream.views WHERE view = 'seconds'::regclass}), '0', 'nothing is late');
is(query(q{SELECT string_agg(concat_ws('|', time AT TIME ZONE 'UTC', n), ' ' ORDER BY time) FROM days}),
	query(q{SELECT string_agg(concat_ws('|', time, n), ' ' ORDER BY time) FROM
	         (SELECT date_trunc('day', time_event AT TIME ZONE 'UTC') AS time, count(*) AS n FROM sent GROUP BY 1) x}),
	'a day of 23 hours elsewhere is one of 24 here');
is(query(q{SELECT count(*) FROM backstream.view_exporters v JOIN clocks c USING (exporter)
            WHERE view = 'seconds'::regclass AND state = 'alive' AND time_reached = '2026-03-30 00:01:01+00'::timestamptz + clock * interval '1 s'
              AND windows_held = (SELECT max(clock) FROM clocks) - clock}), '200', 'each has held what its clock says');
is(query(q{SELECT count(*) FROM backstream.view_exporters WHERE exporter IS NULL}), '0', 'all have names');

# ---- rights, options -----------------------------------------------------------------------------
query('CREATE ROLE guest');
is(query(q{SET ROLE guest; SELECT count(*) > 0 FROM backstream.view_exporters}), 't', 'everybody may look');
my ($status, $out, $err) = $node->psql('postgres', q{ALTER FOREIGN TABLE seconds OPTIONS (ADD max_behind 'soon')});
like($err, qr/max_behind/, 'an option that is no interval is refused');

$node->stop;
done_testing();
