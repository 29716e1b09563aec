-- combine(column) merges what a view's columns were made of: over fewer keys, over several windows, it is
-- the aggregate over the records.
SET client_min_messages = warning;
CREATE SCHEMA comb;
SET search_path = comb, backstream;
SET timezone = 'UTC';
SET extra_float_digits = 0;

CREATE FOREIGN TABLE s (t timestamptz, k int, g text, i4 int, i8 bigint, f8 float8, n numeric, x text, a inet,
	b boolean, iv interval) SERVER backstream;
CREATE TABLE r (LIKE s);
CREATE FUNCTION times_mod(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT RETURN $1 * $2 % 1000003;
CREATE AGGREGATE product_mod(bigint) (SFUNC = times_mod, STYPE = bigint, COMBINEFUNC = times_mod, INITCOND = '1');

CREATE VIEW v WITH (continuous, clock = 'data', lateness = '1 hour', retain = '1 day') AS
SELECT tumble(t, '1 min') AS time, k, g, count(*) AS flows, count(i4) AS counted, sum(i4) AS i4, sum(i8) AS i8,
	sum(f8) AS f8, sum(n) AS n, avg(i4) AS mean, avg(f8) AS meanf, avg(n) AS meann, min(a) AS low, max(x) AS high,
	bool_or(b) AS "any", bit_xor(i4) AS bits, sum(iv) AS iv, stddev(f8) AS dev, var_pop(i8) AS var,
	count(*) FILTER (WHERE i4 > 3) AS "some", sum(i8) FILTER (WHERE b) AS somesum, product_mod(i4 + 1) AS product,
	count(DISTINCT a) AS das, count(DISTINCT x) AS dxs, count(DISTINCT n) AS dns, sum(DISTINCT i4) AS dsum,
	avg(DISTINCT i8) AS dmean, count(DISTINCT i4) FILTER (WHERE b) AS dsome,
	approx_count_distinct(a) AS about, min(iv) AS lowiv, 2 * sum(i4) AS twice
  FROM s WHERE i4 IS DISTINCT FROM 6 AND (i4 < 100) IS NOT FALSE GROUP BY 1, 2, 3;
CREATE VIEW rt AS
SELECT tumble(t, '1 min') AS time, * FROM r WHERE i4 IS DISTINCT FROM 6;

CREATE FUNCTION record(j int) RETURNS s LANGUAGE sql IMMUTABLE AS $$
SELECT timestamptz '2026-01-01' + j % 13 * interval '17 s',
	CASE WHEN j % 11 = 0 THEN NULL ELSE j % 4 END, CASE WHEN j % 7 > 0 THEN chr(97 + j % 3) END,
	CASE WHEN j % 5 > 0 THEN j % 9 END, CASE WHEN j % 3 > 0 THEN 4611686018427387904 + j % 17 ELSE j % 5 END,
	CASE WHEN j % 6 > 0 THEN j % 8 / 4.0 END, CASE WHEN j % 8 > 0 THEN (j % 5)::numeric / 2 + 0.00 ELSE (j % 5)::numeric / 2 END,
	CASE j % 10 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE repeat('x', j % 4) || j % 5 END,
	CASE WHEN j % 2 = 0 THEN '10.0.0.0'::inet + j % 19 ELSE '2001:db8::'::inet + j % 3 END,
	CASE WHEN j % 4 > 0 THEN j % 3 = 0 END, CASE WHEN j % 2 = 0 THEN interval '1 day' ELSE interval '23 hours' * (j % 3) END
$$;
INSERT INTO r SELECT (record(j)).* FROM generate_series(1, 2000) j;
DO $$ BEGIN
	FOR part IN 0 .. 9 LOOP
		INSERT INTO s SELECT (record(j)).* FROM generate_series(part * 200 + 1, part * 200 + 200) j;
		COMMIT;
	END LOOP;
END $$;
SELECT state, count(*) FROM windows('v') GROUP BY 1 ORDER BY 1;

-- over which keys and windows: the same SELECT over the view and over the records must agree
CREATE TABLE cases (id int GENERATED ALWAYS AS IDENTITY, clauses text, bare text);
INSERT INTO cases (clauses, bare) VALUES
	('GROUP BY 1', 'k'), ('GROUP BY 1', 'g'), ('GROUP BY 1', 'time'), ('GROUP BY 1', $$date_trunc('hour', time, 'UTC')$$),
	('', '1'), ('GROUP BY 1', 'lower(g) || k'), ('WHERE k = 2 GROUP BY 1', 'g'), ('WHERE false', '1'),
	($$WHERE time >= '2026-01-01 00:02' GROUP BY 1$$, 'k'), ($$WHERE time < '2025-01-01' GROUP BY 1$$, 'k'),
	($$WHERE time < '2025-01-01'$$, '0'), ('GROUP BY ROLLUP (k, g)', 'ROW(k, g)'),
	('GROUP BY GROUPING SETS ((k), (g, time), ())', 'ROW(k, g, time)'), ($$WHERE g <> 'a' AND k > 0 GROUP BY 1$$, 'k % 2');
CREATE FUNCTION check_case(clauses text, bare text) RETURNS TABLE (problem text) LANGUAGE plpgsql AS $$
DECLARE
	combined text := format('SELECT %s, combine(flows), combine(counted), combine(i4), combine(i8), combine(f8), combine(n),
		combine(mean), combine(meanf), combine(meann), combine(low), combine(high), combine("any"), combine(bits), combine(iv),
		round(combine(dev)::numeric, 8), round(combine(var), 8), combine("some"), combine(somesum), combine(product), combine(das),
		combine(dxs), combine(dns), combine(dsum), combine(dmean), combine(dsome), combine(about), combine(lowiv) FROM v %s', bare, clauses);
	plain text := format('SELECT %s, count(*), count(i4), sum(i4), sum(i8), sum(f8), sum(n),
		avg(i4), avg(f8), avg(n), min(a), max(x), bool_or(b), bit_xor(i4), sum(iv),
		round(stddev(f8)::numeric, 8), round(var_pop(i8), 8), count(*) FILTER (WHERE i4 > 3), sum(i8) FILTER (WHERE b), product_mod(i4 + 1),
		count(DISTINCT a), count(DISTINCT x), count(DISTINCT n), sum(DISTINCT i4), avg(DISTINCT i8),
		count(DISTINCT i4) FILTER (WHERE b), approx_count_distinct(a), min(iv) FROM rt %s', bare, clauses);
	rows bigint;
BEGIN
	RETURN QUERY EXECUTE format('SELECT p::text FROM ((%1$s EXCEPT ALL %2$s) UNION ALL (%2$s EXCEPT ALL %1$s)) p', combined, plain);
	EXECUTE format('SELECT count(*) FROM (%s) c', combined) INTO rows;
	RETURN QUERY SELECT 'no rows' WHERE rows = 0 AND clauses NOT LIKE '%2025%';
END $$;
SELECT clauses, bare, problem FROM cases, check_case(clauses, bare) ORDER BY id;
-- by sorting and by hashing, in files too
SET enable_hashagg = off;
SELECT clauses, bare, problem FROM cases, check_case(clauses, bare) ORDER BY id;
RESET enable_hashagg;
SET work_mem = '64kB';
SELECT clauses, bare, problem FROM cases, check_case(clauses, bare) ORDER BY id;
RESET work_mem;
-- the comparison finds what differs
INSERT INTO r (t, k, g, i4) VALUES ('2026-01-01 00:00:10', 2, 'c', 3);
SELECT count(DISTINCT id) FROM cases, check_case(clauses, bare);
DELETE FROM r WHERE i8 IS NULL AND a IS NULL;

-- more groups than fit into work_mem: states go through files
CREATE VIEW many WITH (continuous) AS SELECT i4 AS k, count(DISTINCT x) AS x, avg(n) AS n, max(x) AS high, count(*) AS flows FROM s
 WHERE k IS NULL AND i4 >= 100 GROUP BY 1;
CREATE TABLE m AS SELECT j % 6000 + 100 AS i4, 'x' || j % 14011 AS x, j % 11 AS n FROM generate_series(1, 24000) j;
INSERT INTO s (t, i4, x, n) SELECT '2026-01-01', i4, x, n FROM m;
SET work_mem = '64kB';
SET enable_sort = off;
SELECT count(*) FROM (SELECT k % 3000 AS k, combine(x), combine(n), combine(high), combine(flows) FROM many GROUP BY 1
	EXCEPT ALL SELECT i4 % 3000, count(DISTINCT x), avg(n), max(x), count(*) FROM m GROUP BY 1) d;
SELECT count(*) FROM (SELECT k % 3000 AS k, combine(x), combine(n), combine(high), combine(flows) FROM many GROUP BY 1) d;
RESET enable_sort;
SET enable_hashagg = off;
SELECT count(*) FROM (SELECT k % 3000 AS k, combine(x), combine(n), combine(high), combine(flows) FROM many GROUP BY 1
	EXCEPT ALL SELECT i4 % 3000, count(DISTINCT x), avg(n), max(x), count(*) FROM m GROUP BY 1) d;
RESET enable_hashagg;
RESET work_mem;

-- the types are those of the columns
SELECT pg_typeof(combine(flows)), pg_typeof(combine(mean)), pg_typeof(combine(low)), pg_typeof(combine(high)) FROM v;

-- beside ordinary aggregates, with FILTER, HAVING, ORDER BY, LIMIT, window functions over what comes out
SELECT k, combine(das), sum(flows), count(*), combine(flows) FILTER (WHERE g = 'a') AS a, combine(das) + 1 AS more,
	sum(combine(flows)) OVER (ORDER BY k) AS running
  FROM v GROUP BY k HAVING combine(flows) > 300 ORDER BY combine(das) DESC, k LIMIT 3;
SELECT k, count(DISTINCT a) AS das, count(*) AS flows FROM rt GROUP BY k HAVING count(*) > 300 ORDER BY 2 DESC, 1 LIMIT 3;

-- sub-selects, CTEs, views and functions that are one with the query; correlated ones; joins
CREATE VIEW alias AS SELECT time AS t, k AS key, das AS addresses FROM v WHERE k IS NOT NULL;
CREATE FUNCTION by_key() RETURNS TABLE (key int, addresses bigint) LANGUAGE sql STABLE
	BEGIN ATOMIC SELECT k, combine(das) FROM v GROUP BY k; END;
CREATE TABLE names (k int, name text);
INSERT INTO names VALUES (0, 'zero'), (1, 'one'), (1, 'uno'), (7, 'seven');
SELECT key, combine(addresses) FROM alias GROUP BY key ORDER BY key;
SELECT * FROM by_key() ORDER BY key;
SELECT combine(d) FROM (SELECT das AS d FROM v WHERE g = 'a') x;
WITH c AS (SELECT * FROM v WHERE g = 'a') SELECT combine(das) FROM c;
WITH c AS MATERIALIZED (SELECT k, combine(das) AS das FROM v GROUP BY k) SELECT sum(das) FROM c;
SELECT (SELECT combine(das) FROM v WHERE v.k = n.k) FROM (VALUES (1), (2), (9)) n(k);
SELECT (SELECT combine(v.das)) AS outer_level FROM v;
SELECT count(DISTINCT a) FROM rt;
SELECT name, combine(das) AS das, combine(flows) AS flows FROM v JOIN names USING (k) GROUP BY name ORDER BY name;
SELECT name, count(DISTINCT a) AS das, count(*) AS flows FROM rt JOIN names USING (k) GROUP BY name ORDER BY name;
SELECT name, combine(das) AS das, combine(mean) AS mean FROM names LEFT JOIN v USING (k) GROUP BY name ORDER BY name;
SELECT name, count(DISTINCT a) AS das, avg(i4) AS mean FROM names LEFT JOIN rt USING (k) GROUP BY name ORDER BY name;
SELECT name, combine(d) AS das FROM names LEFT JOIN (SELECT k, das AS d, 1 AS one FROM v) x USING (k) GROUP BY name ORDER BY name;
SELECT combine(o.das) AS das, combine(p.flows) AS flows FROM v o JOIN v p USING (time, k, g);
SELECT count(*) AS rows FROM v o JOIN v p USING (time, k, g) WHERE o.das IS NOT NULL;
SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT name, combine(das) AS das, combine(flows) AS flows FROM v JOIN names USING (k) GROUP BY name ORDER BY name;
RESET enable_hashjoin; RESET enable_mergejoin;
CREATE TABLE kept AS SELECT k, combine(mean) AS mean FROM v GROUP BY k;
SELECT count(*) FROM ((TABLE kept) EXCEPT ALL (SELECT k, avg(i4) FROM rt GROUP BY k)) p;
-- a join that is taken out, conditions on finished columns, the same column twice
SELECT combine(das), combine(das) FILTER (WHERE flows > 10) IS NOT NULL AS some, combine(v.das) = combine(das) AS same
  FROM v LEFT JOIN (SELECT DISTINCT k FROM names) n ON n.k = v.k WHERE flows > 5;

-- prepared statements, with generic plans
SET plan_cache_mode = force_generic_plan;
PREPARE q(int) AS SELECT combine(das), combine(meanf) FROM v WHERE k = $1;
EXECUTE q(1);
EXECUTE q(2);
SELECT count(DISTINCT a), avg(f8) FROM rt WHERE k = 2;
INSERT INTO s SELECT (record(1)).* FROM generate_series(1, 3) j;
INSERT INTO r SELECT (record(1)).* FROM generate_series(1, 3) j;
EXECUTE q(1);
SELECT count(DISTINCT a), avg(f8) FROM rt WHERE k = 1;
RESET plan_cache_mode;

EXPLAIN (COSTS OFF) SELECT k, combine(das), combine(flows) FROM v WHERE time > '2026-01-01' GROUP BY k;

-- running totals, a view without keys, one that has counted nothing, a view over a view
CREATE VIEW total WITH (continuous) AS SELECT count(DISTINCT a) AS das, avg(i4) AS mean, sum(n) AS n, count(*) AS flows FROM s;
CREATE VIEW minutes WITH (continuous, clock = 'data') AS SELECT tumble(t, '1 min') AS time, count(DISTINCT a) AS das FROM s GROUP BY 1;
SELECT combine(das), combine(mean), combine(n), combine(flows) FROM total;
SELECT combine(das) FROM minutes;
INSERT INTO s SELECT (record(j)).* FROM generate_series(1, 100) j;
SELECT combine(das), combine(mean), combine(n), combine(flows) FROM total;
TABLE total;
SELECT combine(das) FROM minutes;
SELECT combine(das) FROM minutes WHERE time IS NULL;
CREATE VIEW upper WITH (continuous, retain = '1 day') AS SELECT time, g, avg(flows) AS mean, count(DISTINCT k) AS keys FROM v GROUP BY 1, 2;
INSERT INTO s (t) VALUES ('2026-01-01 03:00');
SELECT settle();
SELECT combine(mean), combine(keys) FROM upper;
SELECT avg(flows), count(DISTINCT k) FROM v WHERE time < '2026-01-01 03:00';

-- what is refused
SELECT combine(twice) FROM v;
SELECT combine(k) FROM v;
SELECT combine(time) FROM v;
SELECT combine(flows + 1) FROM v;
SELECT combine(DISTINCT flows) FROM v;
SELECT combine(flows ORDER BY k) FROM v;
SELECT combine(v) FROM v;
SELECT combine(tableoid) FROM v;
SELECT combine(k) FROM names;
SELECT combine(k) FROM names WHERE false;
SELECT combine(1);
SELECT combine(k) FROM generate_series(1, 3) k;
SELECT combine(flows) FROM (SELECT DISTINCT flows FROM v) x;
SELECT combine(flows) FROM (SELECT flows FROM v LIMIT 1) x;
SELECT combine(flows) FROM (SELECT flows FROM v UNION ALL SELECT flows FROM v) x;
WITH c AS MATERIALIZED (SELECT flows FROM v) SELECT combine(flows) FROM c;
SELECT combine(flows) FROM latest(NULL::v);
SELECT combine(flows) OVER () FROM v;
SELECT combine(i4) FROM s;
SELECT combine(flows), count(v) FROM v;
SELECT combine(flows) FROM v, LATERAL (SELECT to_jsonb(v) OFFSET 0) j;
SELECT combine(flows), tableoid FROM v GROUP BY tableoid;
CREATE VIEW choosy WITH (continuous) AS SELECT k, count(*) AS flows FROM s GROUP BY 1 HAVING count(*) > 1;
SELECT combine(flows) FROM choosy;
CREATE VIEW no WITH (continuous) AS SELECT time, combine(flows) FROM v GROUP BY 1;
SELECT state_of(flows) FROM v;
SELECT combine_states(NULL, 'v', 4::smallint, 1, NULL::bigint);
SELECT combine_states(NULL, 'names', 1::smallint, 1, NULL::int);
SELECT combine_states(x.state, 'v', 4::smallint, 1, NULL::bigint) FROM names n LEFT JOIN (SELECT k, state_of(das) AS state FROM v) x USING (k);
SELECT x.state FROM names n LEFT JOIN (SELECT k, state_of(das) AS state FROM v) x USING (k);
SELECT ''::aggregate_state;

-- rights are those of SELECT
CREATE ROLE comb_reader;
GRANT USAGE ON SCHEMA comb TO comb_reader;
SET ROLE comb_reader;
SELECT combine(flows) FROM v;
RESET ROLE;
GRANT SELECT (k, flows) ON v TO comb_reader;
SET ROLE comb_reader;
SELECT combine(flows) > 0 AS allowed FROM v;
SELECT combine(das) FROM v;
RESET ROLE;

-- a definition that changed after planning
SELECT combine(product) IS NOT NULL AS there FROM v;
PREPARE p AS SELECT combine(product) FROM v;
EXECUTE p;
CREATE OR REPLACE FUNCTION other_mod(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT RETURN $1 * $2 % 1009;
CREATE OR REPLACE AGGREGATE product_mod(bigint) (SFUNC = other_mod, STYPE = bigint, COMBINEFUNC = other_mod, INITCOND = '1');
EXECUTE p;
DEALLOCATE p;

REVOKE ALL ON SCHEMA comb FROM comb_reader;
DROP SCHEMA comb CASCADE;
DROP ROLE comb_reader;
