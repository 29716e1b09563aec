-- Aggregates over DISTINCT values give PostgreSQL's answer: over groups, writers' commits and windows.
SET client_min_messages = warning;
CREATE SCHEMA dist;
SET search_path = dist;
SET timezone = 'UTC';

CREATE FOREIGN TABLE s (t timestamptz, g int, i2 smallint, i4 int, i8 bigint, f8 float8, f4 real,
	n numeric, x text, a inet, m macaddr, b boolean, iv interval, d date) SERVER backstream;
CREATE TABLE r (LIKE s);

CREATE VIEW v WITH (continuous, clock = 'data', lateness = '1 hour') AS
SELECT backstream.tumble(t, '1 min') AS time, g,
	count(DISTINCT i2) AS i2, count(DISTINCT i4) AS i4, count(DISTINCT i8) AS i8,
	count(DISTINCT f8) AS f8, count(DISTINCT n) AS n, count(DISTINCT x) AS x, count(DISTINCT a) AS a,
	count(DISTINCT iv) AS iv, count(*) AS records
  FROM s GROUP BY 1, 2;
CREATE VIEW w WITH (continuous, clock = 'data', lateness = '1 hour') AS
SELECT backstream.tumble(t, '1 min') AS time, x,
	count(DISTINCT m) AS m, count(DISTINCT b) AS b, count(DISTINCT d) AS d,
	sum(DISTINCT i4) AS sum4, sum(DISTINCT i8) AS sum8, avg(DISTINCT i2) AS avg2,
	sum(DISTINCT f8) AS sumf, round(stddev(DISTINCT f8)::numeric, 8) AS dev,
	min(DISTINCT i4) AS lo, max(DISTINCT a) AS hi, bool_or(DISTINCT b) AS any,
	count(DISTINCT i4) FILTER (WHERE i8 > 3) AS some, sum(DISTINCT i4) FILTER (WHERE i8 > 3) AS somesum,
	count(DISTINCT lower(x)) AS folded, bit_xor(DISTINCT i4) AS bits, sum(i4) AS plain
  FROM s GROUP BY 1, 2 HAVING count(DISTINCT i4) > 0;
CREATE VIEW total WITH (continuous) AS
SELECT count(DISTINCT i4) AS i4, count(DISTINCT a) AS a, sum(DISTINCT i8) AS i8, count(DISTINCT 1) AS one
  FROM s;

-- nothing yet
SELECT * FROM total;

CREATE FUNCTION record(k int) RETURNS s LANGUAGE sql IMMUTABLE AS $$
SELECT timestamptz '2026-01-01' + k % 7 * interval '20 s',
	CASE WHEN k % 11 = 0 THEN NULL ELSE k % 3 END, CASE WHEN k % 5 > 0 THEN k % 17 - 8 END,
	CASE WHEN k % 7 > 0 THEN k % 23 END, k % 9,
	CASE k % 6 WHEN 0 THEN '-0'::float8 WHEN 1 THEN 0 WHEN 2 THEN 'NaN' WHEN 3 THEN 2.5 ELSE k % 13 END,
	k % 4, CASE WHEN k % 8 > 0 THEN (k % 5)::numeric / 2 + 0.00 ELSE (k % 5)::numeric / 2 END,
	CASE k % 10 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'A' WHEN 3 THEN 'a' ELSE repeat('x', k % 4) END,
	CASE WHEN k % 2 = 0 THEN '10.0.0.0'::inet + k % 19 ELSE '2001:db8::'::inet + k % 3 END,
	'08:00:2b:01:02:03'::macaddr, k % 3 = 0, CASE WHEN k % 2 = 0 THEN interval '1 day' ELSE interval '24 hours' END,
	date '2026-01-01' + k % 4
$$;
INSERT INTO r SELECT (record(k)).* FROM generate_series(1, 3000) k;

-- in several transactions, so that sets are merged
DO $$ BEGIN
	FOR part IN 0 .. 9 LOOP
		INSERT INTO s SELECT (record(k)).* FROM generate_series(part * 300 + 1, part * 300 + 300) k;
		COMMIT;
	END LOOP;
END $$;

CREATE VIEW v_r AS SELECT backstream.tumble(t, '1 min') AS time, g,
	count(DISTINCT i2) AS i2, count(DISTINCT i4) AS i4, count(DISTINCT i8) AS i8,
	count(DISTINCT f8) AS f8, count(DISTINCT n) AS n, count(DISTINCT x) AS x, count(DISTINCT a) AS a,
	count(DISTINCT iv) AS iv, count(*) AS records FROM r GROUP BY 1, 2;
CREATE VIEW w_r AS SELECT backstream.tumble(t, '1 min') AS time, x,
	count(DISTINCT m) AS m, count(DISTINCT b) AS b, count(DISTINCT d) AS d,
	sum(DISTINCT i4) AS sum4, sum(DISTINCT i8) AS sum8, avg(DISTINCT i2) AS avg2,
	sum(DISTINCT f8) AS sumf, round(stddev(DISTINCT f8)::numeric, 8) AS dev,
	min(DISTINCT i4) AS lo, max(DISTINCT a) AS hi, bool_or(DISTINCT b) AS any,
	count(DISTINCT i4) FILTER (WHERE i8 > 3) AS some, sum(DISTINCT i4) FILTER (WHERE i8 > 3) AS somesum,
	count(DISTINCT lower(x)) AS folded, bit_xor(DISTINCT i4) AS bits, sum(i4) AS plain
  FROM r GROUP BY 1, 2 HAVING count(DISTINCT i4) > 0;

SELECT count(*) > 5 AS some FROM v;
(TABLE v EXCEPT ALL TABLE v_r) UNION ALL (TABLE v_r EXCEPT ALL TABLE v);
SELECT count(*) > 5 AS some FROM w;
(TABLE w EXCEPT ALL TABLE w_r) UNION ALL (TABLE w_r EXCEPT ALL TABLE w);
SELECT count(DISTINCT i4) AS i4, count(DISTINCT a) AS a, sum(DISTINCT i8) AS i8, count(DISTINCT 1) AS one FROM r
EXCEPT ALL TABLE total;
SELECT count(*) FROM total;

-- windows merged: sets, not counts, come together
SELECT g, i4, a, n FROM backstream.merged(NULL::v, NULL, NULL)
EXCEPT ALL
SELECT g, count(DISTINCT i4), count(DISTINCT a), count(DISTINCT n) FROM r GROUP BY 1;

-- counters
SELECT view, received, records, errors, overflowed FROM backstream.views
 WHERE view = ANY (ARRAY['v', 'w', 'total']::regclass[]) ORDER BY view::text COLLATE "C";
SELECT sum(distinct_left_out) FROM backstream.windows('v');

-- a set that is full says so
CREATE VIEW small WITH (continuous, max_groups = 5) AS SELECT count(DISTINCT i4) AS i4, count(*) FROM s;
INSERT INTO s SELECT (record(k)).* FROM generate_series(1, 100) k;
TABLE small;
SELECT distinct_left_out > 0 AS inexact FROM backstream.windows('small');

-- what goes on only in the values' own type
CREATE VIEW no WITH (continuous) AS SELECT sum(DISTINCT n) FROM s;

DROP SCHEMA dist CASCADE;
