-- CREATE OR REPLACE: a definition that counts something else starts beside the one that is there.
\set SHOW_CONTEXT never
SET TimeZone = 'UTC';
CREATE SCHEMA tko;
SET search_path = tko, public, pg_temp;
CREATE FOREIGN TABLE s (t timestamptz, a int, n bigint, u timestamptz) SERVER backstream;
CREATE TABLE r (t timestamptz, a int, n bigint, u timestamptz);
CREATE PROCEDURE feed(first int, last int) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO r SELECT timestamptz '2026-01-01' + k * interval '100 ms', k % 5, k, timestamptz '2026-02-01' + k * interval '100 ms' FROM generate_series(first, last) k;
	INSERT INTO s SELECT timestamptz '2026-01-01' + k * interval '100 ms', k % 5, k, timestamptz '2026-02-01' + k * interval '100 ms' FROM generate_series(first, last) k;
END $$;
CREATE FUNCTION differences(v text, reference text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM ((%1$s EXCEPT ALL %2$s) UNION ALL (%2$s EXCEPT ALL %1$s)) d', '(' || v || ')', '(' || reference || ')') INTO n;
	RETURN n;
END $$;
-- The keeper sees to it ten times a second: until its first full window is known, or it has taken over.
CREATE PROCEDURE wait_known(name text) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 500 LOOP
		EXIT WHEN EXISTS (SELECT FROM backstream.views WHERE view = name::regclass AND next_until IS NOT NULL);
		PERFORM pg_sleep(0.02);
		COMMIT;
	END LOOP;
END $$;
CREATE PROCEDURE wait_over(name text) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 500 LOOP
		EXIT WHEN EXISTS (SELECT FROM backstream.views WHERE view = name::regclass AND next_query IS NULL AND next_since IS NULL);
		COMMIT;
		PERFORM pg_sleep(0.02);
	END LOOP;
END $$;

CREATE VIEW v WITH (continuous, clock = 'data', lateness = '0') AS
SELECT backstream.tumble(t, '10 s') AS time, a, sum(n) AS n FROM s GROUP BY 1, 2;
COMMENT ON VIEW v IS 'stays';
CREATE VIEW up WITH (continuous) AS SELECT time, sum(n) AS n FROM v GROUP BY 1;
CALL feed(0, 450);
-- another filter, and one more column
CREATE OR REPLACE VIEW v WITH (continuous, clock = 'data', lateness = '0') AS
SELECT backstream.tumble(t, '10 s') AS time, a, sum(n) AS n, count(*) AS records FROM s WHERE a > 1 GROUP BY 1, 2;
-- the old one is shown, and goes on
SELECT differences('TABLE v', $$SELECT backstream.tumble(t, '10 s'), a, sum(n), NULL::bigint FROM r GROUP BY 1, 2$$);
CALL wait_known('v');
SELECT next_until, next_since > since AS later, query, next_query FROM backstream.views WHERE view = 'v'::regclass;
CALL feed(451, 580);
SELECT differences('TABLE v', $$SELECT backstream.tumble(t, '10 s'), a, sum(n), NULL::bigint FROM r GROUP BY 1, 2$$);
SELECT max(time) AS newest, count(records) AS records FROM v;
-- the query of the one that waits follows names too; options are those of both; what it names is needed
ALTER FOREIGN TABLE s RENAME COLUMN a TO b;
ALTER VIEW v RENAME COLUMN a TO b;
ALTER VIEW v SET (retain = '30 min');
SELECT array_to_string(ftoptions, E'\n') FROM pg_foreign_table WHERE ftrelid = 'v'::regclass;
ALTER FOREIGN TABLE s RENAME COLUMN b TO a;
ALTER VIEW v RENAME COLUMN b TO a;
ALTER FOREIGN TABLE v OPTIONS (SET next_query 'SELECT 1');
ALTER VIEW v SET (next_retain = '1 h');
-- its first full window has closed
CALL feed(581, 620);
CALL wait_over('v');
SELECT next_since, next_until, next_query, query FROM backstream.views WHERE view = 'v'::regclass;
SELECT differences('TABLE v', $$SELECT backstream.tumble(t, '10 s'), a, sum(n), count(*) FROM r WHERE a > 1 AND t >= '2026-01-01 00:00:50' GROUP BY 1, 2$$);
SELECT obj_description('v'::regclass);
CALL feed(621, 750);
SELECT backstream.settle();
SELECT differences('TABLE v', $$SELECT backstream.tumble(t, '10 s'), a, sum(n), count(*) FROM r WHERE a > 1 AND t >= '2026-01-01 00:00:50' GROUP BY 1, 2$$);
-- above: what was shown when it was read
SELECT differences('TABLE up', $$SELECT backstream.tumble(t, '10 s') AS time, sum(n) FROM r WHERE t < '2026-01-01 00:01:10' AND (t < '2026-01-01 00:01' OR a > 1) GROUP BY 1$$) AS differences, count(*) FROM up;

-- ---- at once, on request
CREATE OR REPLACE VIEW v WITH (continuous, clock = 'data', lateness = '0') AS
SELECT backstream.tumble(t, '10 s') AS time, a, max(n)::numeric AS n, count(*) AS records FROM s GROUP BY 1, 2;
SELECT count(*) > 0 AS some FROM v;
CALL feed(751, 760);
SELECT backstream.take_over('v'), backstream.take_over('v');
SELECT differences('TABLE v', $$SELECT backstream.tumble(t, '10 s'), a, max(n)::numeric, count(*) FROM r WHERE t > '2026-01-01 00:01:15' GROUP BY 1, 2$$);
SELECT backstream.take_over('r');
-- rolled back: as it was
CREATE OR REPLACE VIEW v WITH (continuous, clock = 'data', lateness = '0') AS
SELECT backstream.tumble(t, '10 s') AS time, a, min(n)::numeric AS n, count(*) AS records FROM s GROUP BY 1, 2;
BEGIN;
SELECT backstream.take_over('v');
ROLLBACK;
SELECT differences('TABLE v', $$SELECT backstream.tumble(t, '10 s'), a, max(n)::numeric, count(*) FROM r WHERE t > '2026-01-01 00:01:15' GROUP BY 1, 2$$);
-- what waits is replaced by another, or by what goes on from what is shown
CREATE OR REPLACE VIEW v WITH (continuous, clock = 'data', lateness = '0') AS
SELECT backstream.tumble(t, '1 min') AS time, a, min(n)::numeric AS n, count(*) AS records FROM s GROUP BY 1, 2;
SELECT next_query FROM backstream.views WHERE view = 'v'::regclass;
CREATE OR REPLACE VIEW v WITH (continuous, clock = 'data', lateness = '0') AS
SELECT backstream.tumble(t, '10 s') AS time, a, max(n)::numeric AS n, count(*) AS records, sum(n) AS more FROM s GROUP BY 1, 2;
SELECT next_query FROM backstream.views WHERE view = 'v'::regclass;
CALL feed(761, 950);
SELECT differences('SELECT time, a, n, records FROM v', $$SELECT backstream.tumble(t, '10 s'), a, max(n)::numeric, count(*) FROM r WHERE t > '2026-01-01 00:01:15' GROUP BY 1, 2$$);
-- an option says it, too
CREATE OR REPLACE VIEW v WITH (continuous, clock = 'data', lateness = '0', take_over = 'now') AS
SELECT backstream.tumble(t, '10 s') AS time, a, min(n)::numeric AS n, count(*) AS records, sum(n) AS more FROM s GROUP BY 1, 2;
SELECT count(*) FROM v;
CALL feed(951, 1050);
-- over another time: whatever comes first may not be all of its window
CREATE OR REPLACE VIEW v WITH (continuous, clock = 'data', lateness = '0') AS
SELECT backstream.tumble(u, '10 s') AS time, a, min(n)::numeric AS n, count(*) AS records, sum(n) AS more FROM s GROUP BY 1, 2;
CALL feed(1051, 1060);
CALL wait_known('v');
SELECT next_until FROM backstream.views WHERE view = 'v'::regclass;
CALL feed(1061, 1205);
CALL wait_over('v');
SELECT differences('TABLE v', $$SELECT backstream.tumble(u, '10 s'), a, min(n)::numeric, count(*), sum(n) FROM r WHERE t >= '2026-01-01 00:01:50' GROUP BY 1, 2$$);

-- ---- running totals
CREATE VIEW total WITH (continuous) AS SELECT sum(n) AS n FROM s;
CALL feed(1206, 1210);
CREATE OR REPLACE VIEW total WITH (continuous) AS SELECT sum(n) AS n, count(*) AS records FROM s;
SELECT * FROM total;
CALL feed(1211, 1215);
SELECT * FROM total;
-- dropped in the middle
CREATE OR REPLACE VIEW v WITH (continuous, clock = 'data', lateness = '0') AS
SELECT backstream.tumble(t, '10 s') AS time, a, min(n)::numeric AS n, count(*) AS records, sum(n) AS more FROM s WHERE a = 1 GROUP BY 1, 2;
CALL wait_known('v');
SET client_min_messages = error;
DROP SCHEMA tko CASCADE;
