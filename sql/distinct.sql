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

-- aggregates that are PostgreSQL's own, or anybody's: from the set of values
CREATE FUNCTION times_mod(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT RETURN ($1 * ($2 + 1)) % 1000003;
CREATE AGGREGATE product_mod(bigint) (SFUNC = times_mod, STYPE = bigint, COMBINEFUNC = times_mod, INITCOND = '1');
CREATE FUNCTION count_rows(bigint, int) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN $1 + 1;
CREATE AGGREGATE rows(int) (SFUNC = count_rows, STYPE = bigint, COMBINEFUNC = int8pl, INITCOND = '0');
CREATE VIEW x WITH (continuous, clock = 'data', lateness = '1 hour') AS
SELECT backstream.tumble(t, '1 min') AS time, g, sum(DISTINCT n) AS n, avg(DISTINCT n) AS mean, var_pop(DISTINCT n) AS var,
	sum(DISTINCT n) FILTER (WHERE b) AS some, stddev(DISTINCT i4) AS dev, variance(DISTINCT i8) AS var8, product_mod(DISTINCT i8) AS product,
	min(DISTINCT x) AS low, max(DISTINCT x) AS high, min(DISTINCT n) AS lown, max(DISTINCT iv) AS iv,
	sum(DISTINCT i4) AS native, 2 * sum(DISTINCT n + i2) AS twice
  FROM s GROUP BY 1, 2 HAVING sum(DISTINCT n) > 0;
CREATE VIEW x_total WITH (continuous) AS SELECT sum(DISTINCT n) AS n, product_mod(DISTINCT i8) AS product, avg(DISTINCT i4::numeric) AS mean FROM s;
TABLE x_total;
DO $$ BEGIN
	FOR part IN 0 .. 9 LOOP
		INSERT INTO s SELECT (record(k)).* FROM generate_series(part * 300 + 1, part * 300 + 300) k;
		COMMIT;
	END LOOP;
END $$;
CREATE VIEW x_r AS SELECT backstream.tumble(t, '1 min') AS time, g, sum(DISTINCT n) AS n, avg(DISTINCT n) AS mean, var_pop(DISTINCT n) AS var,
	sum(DISTINCT n) FILTER (WHERE b) AS some, stddev(DISTINCT i4) AS dev, variance(DISTINCT i8) AS var8, product_mod(DISTINCT i8) AS product,
	min(DISTINCT x) AS low, max(DISTINCT x) AS high, min(DISTINCT n) AS lown, max(DISTINCT iv) AS iv,
	sum(DISTINCT i4) AS native, 2 * sum(DISTINCT n + i2) AS twice
  FROM r GROUP BY 1, 2 HAVING sum(DISTINCT n) > 0;
SELECT count(*) > 5 AS some FROM x;
(TABLE x EXCEPT ALL TABLE x_r) UNION ALL (TABLE x_r EXCEPT ALL TABLE x);
SELECT sum(DISTINCT n) AS n, product_mod(DISTINCT i8) AS product, avg(DISTINCT i4::numeric) FROM r EXCEPT ALL TABLE x_total;
SELECT g, n, mean, dev, product, high FROM backstream.merged(NULL::x, NULL, NULL)
EXCEPT ALL SELECT g, sum(DISTINCT n), avg(DISTINCT n), stddev(DISTINCT i4), product_mod(DISTINCT i8), max(x) FROM r GROUP BY 1;
SELECT backstream.combine(n), backstream.combine(product), backstream.combine(mean) FROM x_total EXCEPT ALL TABLE x_total;
CREATE VIEW y WITH (continuous, clock = 'data', lateness = '1 hour') AS
SELECT backstream.tumble(t, '1 min') AS time, g, sum(DISTINCT n) AS n, stddev(DISTINCT i4) AS dev, product_mod(DISTINCT i8) AS product,
	max(DISTINCT x) AS high, sum(DISTINCT n) FILTER (WHERE b) AS some FROM s GROUP BY 1, 2;
INSERT INTO s SELECT (record(k)).* FROM generate_series(1, 3000) k;
SELECT g % 2, backstream.combine(n), backstream.combine(dev), backstream.combine(product), backstream.combine(high), backstream.combine(y.some) FROM y GROUP BY 1
EXCEPT ALL SELECT g % 2, sum(DISTINCT n), stddev(DISTINCT i4), product_mod(DISTINCT i8), max(DISTINCT x), sum(DISTINCT n) FILTER (WHERE b) FROM r GROUP BY 1;
SELECT part, evaluated, bytes FROM backstream.explain('SELECT sum(DISTINCT n) FROM dist.s');
SELECT sum(distinct_left_out) FROM backstream.windows('x');

-- zeros at the end: as many as PostgreSQL shows where values are written alike; where they are not, as many as any of them has
CREATE FOREIGN TABLE s_zeros (g int, n numeric, m numeric(10, 2)) SERVER backstream;
CREATE TABLE r_zeros (LIKE s_zeros);
CREATE VIEW zeros WITH (continuous) AS SELECT g, sum(DISTINCT n) AS sum, avg(DISTINCT n) AS mean, max(DISTINCT n) AS high, var_pop(DISTINCT n) AS var,
	sum(DISTINCT m) AS price, min(DISTINCT m) AS cheap, sum(DISTINCT 1.50) AS one, count(DISTINCT n) AS n, sum(DISTINCT n) FILTER (WHERE n < 2) AS less FROM s_zeros GROUP BY 1;
INSERT INTO r_zeros VALUES (1, 1.50, 3), (1, 2.00, 3), (1, 1.50, 4), (2, 2.5, 0), (2, 2, 0), (2, 1e-10, 1), (3, 'NaN', 1), (3, 1.50, 2), (4, 'Infinity', 5), (4, 7.00, 7), (4, 'Infinity', 6), (5, NULL, 1);
INSERT INTO s_zeros TABLE r_zeros;
INSERT INTO s_zeros TABLE r_zeros;
CREATE VIEW zeros_r AS SELECT g, sum(DISTINCT n) AS sum, avg(DISTINCT n) AS mean, max(DISTINCT n) AS high, var_pop(DISTINCT n) AS var,
	sum(DISTINCT m) AS price, min(DISTINCT m) AS cheap, sum(DISTINCT 1.50) AS one, count(DISTINCT n) AS n, sum(DISTINCT n) FILTER (WHERE n < 2) AS less FROM r_zeros GROUP BY 1;
TABLE zeros_r ORDER BY g;
(SELECT v::text FROM zeros v EXCEPT ALL SELECT v::text FROM zeros_r v) UNION ALL (SELECT v::text FROM zeros_r v EXCEPT ALL SELECT v::text FROM zeros v);
SELECT backstream.combine(sum), backstream.combine(price), backstream.combine(one) FROM zeros WHERE g IN (1, 2);
INSERT INTO s_zeros VALUES (6, 1.5, 3), (6, 2, 3);
INSERT INTO s_zeros VALUES (6, 1.500, 3), (6, 1.50, 3), (6, 0, 3), (6, 0.0, 3);
SELECT * FROM zeros WHERE g = 6;

-- what needs more than the values that differ
CREATE VIEW no WITH (continuous) AS SELECT sum(DISTINCT iv) FROM s;
CREATE VIEW no WITH (continuous) AS SELECT corr(DISTINCT f8, i4) FROM s;
CREATE VIEW no WITH (continuous) AS SELECT rows(DISTINCT i4) FROM s;
CREATE VIEW no WITH (continuous) AS SELECT array_agg(DISTINCT i4) FROM s;

DROP SCHEMA dist CASCADE;
