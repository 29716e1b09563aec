-- overflow = 'other': what max_groups leaves no room for is gathered in one row of the window, so that
-- totals stay exact.
SET client_min_messages = warning;
CREATE SCHEMA ovf;
SET search_path = ovf, backstream;
SET timezone = 'UTC';

CREATE FOREIGN TABLE s (t timestamptz, k int, g text, n numeric, x bigint, a inet) SERVER backstream;
CREATE TABLE r (LIKE s);
CREATE FUNCTION record(j int) RETURNS s LANGUAGE sql IMMUTABLE AS $$
SELECT timestamptz '2026-01-01' + j % 150 * interval '1 s', CASE WHEN j % 50 > 0 THEN j % 1000 END,
	CASE WHEN j % 50 > 0 THEN 'group ' || j % 3 END, CASE WHEN j % 50 > 0 THEN j % 1000 + 0.50 END, j % 77, '10.0.0.0'::inet + j % 301
$$;
INSERT INTO r SELECT (record(j)).* FROM generate_series(1, 20000) j;

-- keys of fixed length, of any length, and shown as they were first; sets, foreign states
CREATE VIEW fixed WITH (continuous, clock = 'data', lateness = '1 hour', max_groups = 10, overflow = 'other') AS
SELECT tumble(t, '1 min') AS time, k, count(*) AS records, sum(x) AS x, max(x) AS high, count(DISTINCT a) AS addresses, sum(n) AS n,
	count(DISTINCT g) AS gs, approx_count_distinct(a) AS about FROM s GROUP BY 1, 2;
CREATE VIEW texts WITH (continuous, clock = 'data', lateness = '1 hour', max_groups = 10, overflow = 'other') AS
SELECT tumble(t, '1 min') AS time, n, g, k, count(*) AS records, sum(x) AS x, avg(x) AS mean, count(DISTINCT g) AS names FROM s GROUP BY 1, 2, 3, 4;
CREATE VIEW total WITH (continuous, max_groups = 5, overflow = 'other') AS SELECT k, count(*) AS records, sum(x) AS x FROM s GROUP BY 1;
CREATE VIEW one WITH (continuous, max_groups = 1, overflow = 'other') AS SELECT count(*) AS records, sum(x) AS x FROM s;
CREATE VIEW counted WITH (continuous, max_groups = 5) AS SELECT k, count(*) AS records, sum(x) AS x FROM s GROUP BY 1;
CREATE VIEW hopping WITH (continuous, clock = 'data', lateness = '1 hour', max_groups = 10, overflow = 'other') AS
SELECT hop(t, '30 s', '1 min') AS time, k, count(*) AS records, sum(x) AS x FROM s GROUP BY 1, 2;

-- nothing yet: no row
SELECT count(*) FROM fixed;
INSERT INTO s SELECT (record(j)).* FROM unnest('{1,50,100,199}'::int[]) j;
SELECT k, records FROM fixed WHERE time = '2026-01-01' ORDER BY k;
SELECT groups, records, other FROM windows('fixed');
SELECT groups FROM views WHERE view = 'fixed'::regclass;

-- in one transaction and in several
DO $$ BEGIN
	INSERT INTO s SELECT (record(j)).* FROM generate_series(2, 8000) j WHERE j NOT IN (50, 100, 199);
	COMMIT;
	FOR part IN 8 .. 19 LOOP
		INSERT INTO s SELECT (record(j)).* FROM generate_series(part * 1000 + 1, part * 1000 + 1000) j;
		COMMIT;
	END LOOP;
END $$;

-- totals are exact, by window and over all
SELECT time, sum(records), sum(x), combine(addresses), combine(n), combine(gs), combine(about) FROM fixed GROUP BY 1
EXCEPT ALL SELECT tumble(t, '1 min'), count(*), sum(x), count(DISTINCT a), sum(n), count(DISTINCT g), approx_count_distinct(a) FROM r GROUP BY 1;
SELECT time, sum(records), sum(x), combine(mean), combine(names) FROM texts GROUP BY 1
EXCEPT ALL SELECT tumble(t, '1 min'), count(*), sum(x), avg(x), count(DISTINCT g) FROM r GROUP BY 1;
SELECT sum(records), sum(x) FROM total EXCEPT ALL SELECT count(*), sum(x) FROM r;
SELECT * FROM one EXCEPT ALL SELECT count(*), sum(x) FROM r;
SELECT time, sum(records), sum(x) FROM hopping GROUP BY 1
EXCEPT ALL SELECT w, count(*), sum(x) FROM (SELECT hop(t, '30 s', '1 min') AS w, x FROM r) h GROUP BY 1;
SELECT count(*), sum(records), sum(x) FROM total;
-- groups beyond max_groups have no row of their own; the others are what they are
SELECT window_start, groups, records, overflowed, other > 0 AS other, distinct_left_out FROM windows('fixed');
SELECT window_start, groups, records, overflowed, other > 0 AS other FROM windows('texts');
SELECT window_start, groups, records, overflowed, other FROM windows('hopping');
SELECT window_start, groups, records, overflowed, other FROM windows('one');
SELECT view, received, records, overflowed, groups FROM views WHERE view IN ('fixed'::regclass, 'total'::regclass, 'one'::regclass, 'counted'::regclass) ORDER BY view::text COLLATE "C";
SELECT time, k, records, x, high, addresses, n FROM fixed WHERE k IS NOT NULL
EXCEPT ALL SELECT tumble(t, '1 min'), k, count(*), sum(x), max(x), count(DISTINCT a), sum(n) FROM r GROUP BY 1, 2;
-- beside a group whose keys are NULL by its records
SELECT k, g, n, records, x FROM texts WHERE k IS NULL AND time = '2026-01-01 00:00' ORDER BY records LIMIT 1;
SELECT k, g, n, count(*), sum(x) FROM r WHERE k IS NULL AND t < '2026-01-01 00:01' GROUP BY 1, 2, 3;
SELECT (SELECT sum(other) FROM windows('texts')) = sum(records) - (SELECT count(*) FROM r WHERE k IS NULL) AS told_apart
  FROM texts WHERE k IS NULL AND g IS NULL AND n IS NULL;
SELECT count(*) FROM texts WHERE k IS NULL GROUP BY time ORDER BY time;
SELECT count(*) FROM texts WHERE n = 1.5 OR g = 'group 1' AND k IS NULL;
-- merged windows have one such row; conditions on keys leave it out; HAVING takes it for any group
SELECT count(*), sum(records) FROM merged(NULL::texts, NULL, NULL) WHERE k IS NULL;
CREATE VIEW choosy WITH (continuous, max_groups = 5, overflow = 'other') AS SELECT k, count(*) AS records FROM s GROUP BY 1 HAVING count(*) > 1000;
INSERT INTO s SELECT (record(j)).* FROM generate_series(1, 2000) j;
SELECT k, records > 1000 AS many FROM choosy;

-- a view over it takes the row for a record with NULL keys
CREATE VIEW upper WITH (continuous, retain = '1 day') AS SELECT time, k IS NULL AS nokey, sum(records) AS records, count(*) AS rows FROM fixed GROUP BY 1, 2;
INSERT INTO s (t) VALUES ('2026-01-01 01:30');
SELECT settle();
SELECT sum(records), combine(records) FROM upper;
SELECT sum(records) FROM fixed WHERE time < '2026-01-01 01:00';

-- ALTER: from then on
ALTER VIEW total SET (overflow = 'count');
INSERT INTO s SELECT '2026-01-01', 100000 + j, NULL, NULL, 1 FROM generate_series(1, 50) j;
SELECT overflowed, other > 10000 AS other FROM windows('total');
ALTER VIEW counted SET (overflow = 'other');
INSERT INTO s SELECT '2026-01-01', 200000 + j, NULL, NULL, 1 FROM generate_series(1, 60) j;
SELECT groups, overflowed > 10000 AS overflowed, other FROM windows('counted');
ALTER VIEW counted SET (max_groups = 20);
INSERT INTO s SELECT '2026-01-01', 300000 + j, NULL, NULL, 1 FROM generate_series(1, 15) j;
SELECT groups, other FROM windows('counted');
ALTER VIEW counted SET (overflow = 'elsewhere');
ALTER VIEW counted RESET (overflow);

DROP SCHEMA ovf CASCADE;
