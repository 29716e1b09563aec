-- CREATE OR REPLACE: what stays of what has been counted.
\set SHOW_CONTEXT never
SET TimeZone = 'UTC';
SET client_min_messages = warning;
CREATE SCHEMA rep;
SET search_path = rep, public, pg_temp;
CREATE FOREIGN TABLE s (t timestamptz, a int, b text, ip inet, n bigint, f float8) SERVER backstream;
CREATE TABLE r (t timestamptz, a int, b text, ip inet, n bigint, f float8);
CREATE FUNCTION record(k int) RETURNS r LANGUAGE sql IMMUTABLE AS $$
	SELECT timestamptz '2026-01-01 00:00+00' + k * interval '10 ms' - (k % 7) * interval '100 ms', k % 5,
		CASE WHEN k % 11 = 0 THEN NULL ELSE repeat('x', k % 4) || k % 3 END, '2001:db8::'::inet + k % 13,
		CASE WHEN k % 6 = 0 THEN NULL ELSE k END, k / 4.0
$$;
CREATE PROCEDURE feed(first int, last int) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO r SELECT (record(k)).* FROM generate_series(first, last) k;
	INSERT INTO s SELECT (record(k)).* FROM generate_series(first, last) k;
END $$;
-- v less its reference, and that less v
CREATE FUNCTION differences(v text, reference text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM ((%1$s EXCEPT ALL %2$s) UNION ALL (%2$s EXCEPT ALL %1$s)) d', '(' || v || ')', '(' || reference || ')') INTO n;
	RETURN n;
END $$;

-- ---- more aggregates
CREATE VIEW v WITH (continuous, clock = 'data', lateness = '1 s') AS
SELECT backstream.tumble(t, '10 s') AS time, a, b, sum(n) AS n, count(DISTINCT ip) AS ips, avg(f) AS mean, stddev(n) AS deviation
  FROM s WHERE a < 4 GROUP BY 1, 2, 3;
COMMENT ON VIEW v IS 'stays';
CREATE ROLE rep_reader;
GRANT SELECT ON v TO rep_reader;
CREATE VIEW over_v AS SELECT time, sum(n) AS n FROM v GROUP BY 1;
CALL feed(0, 4499);
SELECT window_start, state, records FROM backstream.windows('v') ORDER BY 1;
-- in the middle of a window; GROUP BY and the aggregates are in another order
CREATE OR REPLACE VIEW v WITH (continuous, clock = 'data', lateness = '1 s', retain = '20 min') AS
SELECT backstream.tumble(t, '10 s') AS time, a, b, sum(n) AS n, count(DISTINCT ip) AS ips, avg(f) AS mean, stddev(n) AS deviation,
	max(b) AS highest, count(*) AS records, count(DISTINCT n) AS ns, bit_or(a) + count(n) AS computed, upper(b) AS name
  FROM s WHERE a < 4 GROUP BY b, a, 1;
SELECT obj_description('v'::regclass), has_table_privilege('rep_reader', 'v', 'SELECT');
-- at once, before anything comes: the old columns, and NULL
SELECT count(*) > 0 AS some, count(highest) + count(records) + count(ns) + count(computed) AS new, count(name) > 0 AS of_keys FROM v;
SELECT differences('SELECT time, a, b, n, ips, mean, deviation, name FROM v',
	'SELECT backstream.tumble(t, ''10 s''), a, b, sum(n), count(DISTINCT ip), avg(f), stddev(n), upper(b) FROM r WHERE a < 4 GROUP BY 1, 2, 3');
CALL feed(4500, 10199);
SELECT differences('SELECT time, a, b, n, ips, mean, deviation FROM v',
	'SELECT backstream.tumble(t, ''10 s''), a, b, sum(n), count(DISTINCT ip), avg(f), stddev(n) FROM r WHERE a < 4 GROUP BY 1, 2, 3');
-- in the window of the change new columns are NULL, later they are exact
SELECT time, count(*) = count(records) AS counted, count(records) AS records, count(ns) AS ns FROM v GROUP BY 1 HAVING count(records) < count(*) ORDER BY 1;
SELECT differences('SELECT * FROM v WHERE records IS NOT NULL', $$SELECT backstream.tumble(t, '10 s'), a, b, sum(n), count(DISTINCT ip), avg(f), stddev(n),
	max(b), count(*), count(DISTINCT n), bit_or(a) + count(n), upper(b) FROM r WHERE a < 4 AND t >= '2026-01-01 00:00:50' GROUP BY 1, 2, 3$$);
SELECT * FROM over_v ORDER BY 1;
-- several windows in one answer
SELECT differences($$SELECT a, b, n, ips, records FROM backstream.merged(NULL::v, '2026-01-01 00:00:10', '2026-01-01 00:00:50')$$,
	$$SELECT a, b, sum(n), count(DISTINCT ip), NULL::bigint FROM r WHERE a < 4 AND t >= '2026-01-01 00:00:10' AND t < '2026-01-01 00:00:50' GROUP BY 1, 2$$);
SELECT records, filtered, late, received, windows, since > kept_since AS since_later FROM backstream.views WHERE view = 'v'::regclass;
-- states of columns that were not counted are not known, nor what they would be combined to
SELECT backstream.combine(ips) > 0 AS ips, backstream.combine(ns) AS ns, backstream.combine(records) AS records FROM v;
SELECT backstream.combine(records) = (SELECT count(*) FROM r WHERE a < 4 AND t >= '2026-01-01 00:00:50') AS records FROM v WHERE time >= '2026-01-01 00:00:50';
-- late: its window was closed under the old definition
INSERT INTO s VALUES ('2026-01-01 00:00:01', 1, 'late', NULL, 1, 1);
SELECT count(*) FROM v WHERE b = 'late';
SELECT late FROM backstream.views WHERE view = 'v'::regclass;

-- ---- once more, on top of that
CREATE OR REPLACE VIEW v WITH (continuous, clock = 'data', lateness = '1 s') AS
SELECT backstream.tumble(t, '10 s') AS time, a, b, sum(n) AS n, count(DISTINCT ip) AS ips, avg(f) AS mean, stddev(n) AS deviation,
	max(b) AS highest, count(*) AS records, count(DISTINCT n) AS ns, bit_or(a) + count(n) AS computed, upper(b) AS name,
	approx_count_distinct(n) AS ns_about, sum(f) AS f
  FROM s WHERE a < 4 GROUP BY a, b, 1;
CALL feed(10200, 14999);
SELECT differences('SELECT time, a, b, n, ips, mean, deviation FROM v',
	'SELECT backstream.tumble(t, ''10 s''), a, b, sum(n), count(DISTINCT ip), avg(f), stddev(n) FROM r WHERE a < 4 GROUP BY 1, 2, 3');
SELECT time, count(*) AS rows, count(records) AS records, count(f) AS f FROM v GROUP BY 1 ORDER BY 1;
SELECT differences('SELECT time, a, b, n, ips, records, ns, f FROM v WHERE f IS NOT NULL', $$SELECT backstream.tumble(t, '10 s'), a, b, sum(n), count(DISTINCT ip), count(*), count(DISTINCT n), sum(f)
	FROM r WHERE a < 4 AND t >= '2026-01-01 00:01:50' GROUP BY 1, 2, 3$$);

-- ---- output and HAVING alone: what is counted stays the same
SELECT since, kept_since FROM backstream.views WHERE view = 'v'::regclass \gset before_
CREATE OR REPLACE VIEW v WITH (continuous, clock = 'data', lateness = '1 s') AS
SELECT backstream.tumble(t, '10 s') AS time, a, b, sum(n) * 2 AS n, count(DISTINCT ip) AS ips, avg(f) AS mean, stddev(n) AS deviation,
	max(b) AS highest, count(*) AS records, count(DISTINCT n) AS ns, bit_or(a) + count(n) AS computed, upper(b) AS name,
	approx_count_distinct(n) AS ns_about, sum(f) AS f
  FROM s WHERE a < 4 GROUP BY a, b, 1 HAVING sum(n) > 1000000;
SELECT since = :'before_since' AS since, kept_since = :'before_kept_since' AS kept FROM backstream.views WHERE view = 'v'::regclass;
SELECT differences('SELECT time, a, b, n, ips FROM v',
	'SELECT backstream.tumble(t, ''10 s''), a, b, sum(n) * 2, count(DISTINCT ip) FROM r WHERE a < 4 GROUP BY 1, 2, 3 HAVING sum(n) > 1000000');

-- ---- nothing of a replacement that is rolled back
CREATE VIEW w WITH (continuous, clock = 'data') AS SELECT backstream.tumble(t, '10 s') AS time, a, sum(n) AS n FROM s GROUP BY 1, 2;
CALL feed(20000, 20999);
BEGIN;
CREATE OR REPLACE VIEW w WITH (continuous, clock = 'data') AS SELECT backstream.tumble(t, '10 s') AS time, a, sum(n) AS n, count(*) AS records FROM s GROUP BY 1, 2;
SELECT count(*) > 0 AS some, count(records) AS new FROM w;
ROLLBACK;
BEGIN;
SAVEPOINT one;
CREATE OR REPLACE VIEW w WITH (continuous, clock = 'data') AS SELECT backstream.tumble(t, '10 s') AS time, a, sum(n) AS n, count(*) AS records FROM s GROUP BY 1, 2;
ROLLBACK TO one;
INSERT INTO s SELECT (record(k)).* FROM generate_series(21000, 21999) k;
INSERT INTO r SELECT (record(k)).* FROM generate_series(21000, 21999) k;
COMMIT;
SELECT kept_since IS NULL AS not_replaced FROM backstream.views WHERE view = 'w'::regclass;
SELECT differences('TABLE w', $$SELECT backstream.tumble(t, '10 s'), a, sum(n) FROM r WHERE t >= '2026-01-01 00:03:15' GROUP BY 1, 2$$);
-- and one that has been in use within its own transaction
BEGIN;
INSERT INTO r SELECT (record(k)).* FROM generate_series(22000, 22999) k;
INSERT INTO s SELECT (record(k)).* FROM generate_series(22000, 22999) k;
CREATE OR REPLACE VIEW w WITH (continuous, clock = 'data') AS SELECT backstream.tumble(t, '10 s') AS time, a, sum(n) AS n, count(*) AS records FROM s GROUP BY 1, 2;
COMMIT;
SELECT differences('SELECT time, a, n FROM w', $$SELECT backstream.tumble(t, '10 s'), a, sum(n) FROM r WHERE t >= '2026-01-01 00:03:15' GROUP BY 1, 2$$);

-- ---- retention empties what was kept
INSERT INTO s VALUES ('2026-01-01 03:00', 1, '', NULL, 1, 1), ('2026-01-01 03:01', 1, '', NULL, 1, 1);
SELECT time, a, n, records FROM w ORDER BY 1;
SELECT backstream.settle();
DO $$
BEGIN
	FOR i IN 1 .. 100 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM backstream.view_counters() WHERE relid = 'rep.w'::regclass AND kept_since IS NOT NULL);
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
SELECT kept_since, records, received FROM backstream.views WHERE view = 'w'::regclass;

-- ---- running totals
CREATE VIEW total WITH (continuous) AS SELECT sum(n) AS n, count(*) AS records FROM s;
INSERT INTO s SELECT (record(k)).* FROM generate_series(1, 100) k;
CREATE OR REPLACE VIEW total WITH (continuous) AS SELECT sum(n) AS n, count(*) AS records, sum(n) / count(*) AS mean FROM s;
SELECT * FROM total;

SET client_min_messages = error;
DROP SCHEMA rep CASCADE;
DROP ROLE rep_reader;
