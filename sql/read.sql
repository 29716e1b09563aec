-- Reading continuous views: they are what the same SELECT says over a table of the same records,
-- whatever is asked of them.
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, YMD';
SET client_min_messages = warning;
CREATE SCHEMA read;
SET search_path = read, public;

CREATE FOREIGN TABLE s (t timestamptz, k int, h text, a inet, b bigint, n numeric, x float8, d int)
	SERVER backstream;
CREATE TABLE records (LIKE s);

-- Ten minutes of records in a row; every seventh has no k, every eleventh no b, d is never NULL.
INSERT INTO records
SELECT timestamptz '2026-01-01 00:00:00+00' + i * interval '100 ms',
	CASE WHEN i % 7 <> 0 THEN i % 5 END, 'host' || i % 4, ('10.0.' || i % 2 || '.' || i % 3)::inet,
	CASE WHEN i % 11 <> 0 THEN i * 1000003::bigint % 77777 END, (i % 900) / 100.0, i / 8.0, i % 13
  FROM generate_series(0, 5999) i;

CREATE VIEW by_key WITH (continuous, clock = 'data', retain = '1 day') AS
SELECT tumble(t, '30 s') AS time, k, h, count(*) AS records, sum(b) AS b, avg(b) AS mean, min(a) AS a,
	max(n) - min(n) AS spread, sum(d) * 8 / 30.0 AS rate
  FROM s GROUP BY 1, 2, 3;
CREATE VIEW by_window WITH (continuous, clock = 'data', retain = '1 day') AS
SELECT count(*) AS records, tumble(t, '1 min') AS start, tumble(t, '1 min') + interval '1 min' AS "end", sum(b) AS b
  FROM s GROUP BY 2;
CREATE VIEW having_some WITH (continuous, clock = 'data', retain = '1 day') AS
SELECT tumble(t, '30 s') AS time, k + 1 AS k1, host(a) AS a, sum(b) AS b, count(b) AS nb
  FROM s WHERE d <> 3 GROUP BY 1, 2, 3 HAVING sum(b) > 250000 AND count(*) > 7;
CREATE VIEW groups_only WITH (continuous) AS
SELECT a, h, count(*) AS records, sum(x) AS x FROM s GROUP BY a, h;
CREATE VIEW totals WITH (continuous) AS
SELECT count(*) AS records, sum(b) AS b, max(h) AS h, 'all' AS what FROM s;
CREATE VIEW nothing WITH (continuous) AS SELECT count(*) AS records, sum(b) AS b FROM s WHERE d > 1000;
CREATE VIEW nothing_having WITH (continuous) AS SELECT count(*) AS records FROM s WHERE d > 1000 HAVING count(*) > 0;
CREATE VIEW no_groups WITH (continuous) AS SELECT k, count(*) AS records FROM s WHERE d > 1000 GROUP BY k;
CREATE VIEW no_windows WITH (continuous, clock = 'data') AS
SELECT tumble(t, '1 min') AS time, count(*) AS records FROM s WHERE d > 1000 GROUP BY 1;
CREATE VIEW closed_only WITH (continuous, clock = 'data', retain = '1 day', show = 'closed') AS
SELECT tumble(t, '30 s') AS time, count(*) AS records FROM s GROUP BY 1;
-- what is shown depends on settings, which are those of the time of its creation
SET DateStyle = 'German';
SET TimeZone = 'America/Sao_Paulo';
CREATE VIEW as_text WITH (continuous, clock = 'data', retain = '1 day') AS
SELECT tumble(t, '30 s') AS time, tumble(t, '30 s')::text AS said, h, count(*) AS records FROM s GROUP BY 1, 3
HAVING max(t)::text > '';
SET DateStyle = 'ISO, YMD';
SET TimeZone = 'UTC';

-- the SELECTs that they must equal
CREATE TABLE selects (name text PRIMARY KEY, query text);
INSERT INTO selects VALUES
('by_key', $$SELECT backstream.tumble(t, '30 s') AS time, k, h, count(*) AS records, sum(b) AS b, avg(b) AS mean, min(a) AS a,
	max(n) - min(n) AS spread, sum(d) * 8 / 30.0 AS rate FROM records GROUP BY 1, 2, 3$$),
('by_window', $$SELECT count(*) AS records, backstream.tumble(t, '1 min') AS start,
	backstream.tumble(t, '1 min') + interval '1 min' AS "end", sum(b) AS b FROM records GROUP BY 2$$),
('having_some', $$SELECT backstream.tumble(t, '30 s') AS time, k + 1 AS k1, host(a) AS a, sum(b) AS b, count(b) AS nb
	FROM records WHERE d <> 3 GROUP BY 1, 2, 3 HAVING sum(b) > 250000 AND count(*) > 7$$),
('groups_only', 'SELECT a, h, count(*) AS records, sum(x) AS x FROM records GROUP BY a, h'),
('totals', $$SELECT count(*) AS records, sum(b) AS b, max(h) AS h, 'all' AS what FROM records$$);

-- Rows that only one side has, and the number of rows.
CREATE FUNCTION compare(view_name text, condition text DEFAULT 'true', OUT differing bigint, OUT nrows bigint)
LANGUAGE plpgsql AS $$
DECLARE
	expected text := (SELECT format('SELECT * FROM (%s) q WHERE %s', query, condition) FROM selects WHERE name = view_name);
	found text := format('SELECT * FROM %I WHERE %s', view_name, condition);
BEGIN
	EXECUTE format('SELECT count(*) FROM ((%1$s EXCEPT ALL %2$s) UNION ALL (%2$s EXCEPT ALL %1$s)) d', expected, found)
	   INTO differing;
	EXECUTE format('SELECT count(*) FROM (%s) f', found) INTO nrows;
END;
$$;

---------- nothing was counted yet
SELECT * FROM totals;
SELECT * FROM nothing;
SELECT count(*) FROM by_key;
SELECT * FROM no_groups;

INSERT INTO s SELECT * FROM records;

---------- the views equal their SELECTs
SELECT name, (compare(name)).* FROM selects ORDER BY name;
SELECT view, records, filtered, late, future, untimed, overflowed, errors, state FROM backstream.views
 WHERE view::text IN ('by_key', 'by_window', 'having_some', 'groups_only', 'totals') ORDER BY view::text;
-- types too
SELECT a.attrelid::regclass AS view, string_agg(format_type(a.atttypid, a.atttypmod), ', ' ORDER BY attnum) AS types
  FROM pg_attribute a WHERE attrelid IN ('by_key'::regclass, 'by_window'::regclass, 'having_some'::regclass) AND attnum > 0
 GROUP BY 1 ORDER BY 1;
SELECT * FROM totals;

---------- one row, or none
SELECT * FROM nothing;
SELECT * FROM nothing_having;
SELECT * FROM no_groups;
SELECT * FROM no_windows;
SELECT * FROM nothing WHERE records = 0;
SELECT * FROM nothing WHERE records > 0;
SELECT count(*) FROM totals WHERE what = 'all';
SELECT count(*) FROM totals WHERE what = 'none';

---------- conditions give the same rows, wherever they are checked
CREATE TABLE conditions (view_name text, condition text, id serial);
INSERT INTO conditions VALUES
('by_key', $$time = '2026-01-01 00:02:00+00'$$),
('by_key', $$time < '2026-01-01 00:02:00+00'$$),
('by_key', $$time <= '2026-01-01 00:02:00+00'$$),
('by_key', $$time > '2026-01-01 00:08:30+00'$$),
('by_key', $$'2026-01-01 00:08:30+00' <= time$$),
('by_key', $$time BETWEEN '2026-01-01 00:01:30+00' AND '2026-01-01 00:02:31+00'$$),
('by_key', $$time >= '2026-01-01'::date$$),
('by_key', $$time < '2026-01-01'::date$$),
('by_key', $$'2026-01-01 00:04:00'::timestamp < time$$),
('by_key', $$time IN ('2026-01-01 00:02:00+00', '2026-01-01 00:03:10+00', '2026-01-01 00:05:00+00')$$),
('by_key', $$time = '2026-01-01 00:02:00+00' OR time = '2026-01-01 00:05:30+00'$$),
('by_key', $$time <> '2026-01-01 00:02:00+00'$$),
('by_key', $$extract(second FROM time) = 30$$),
('by_key', $$time IS NULL$$),
('by_key', $$time IS NOT NULL$$),
('by_key', $$time = NULL$$),
('by_key', $$time > 'infinity'$$),
('by_key', $$time > '-infinity'$$),
('by_key', $$k = 3$$),
('by_key', $$k IS NULL$$),
('by_key', $$k IN (1, 2, NULL)$$),
('by_key', $$k NOT IN (1, 2)$$),
('by_key', $$k = 3 AND h = 'host2'$$),
('by_key', $$k = 3 OR h = 'host2'$$),
('by_key', $$h LIKE '%3'$$),
('by_key', $$h >= 'host2' AND time = '2026-01-01 00:02:00+00' AND b > 1000$$),
('by_key', $$k = 3 AND records > 10$$),
('by_key', $$k = records$$),
('by_key', $$mean > 40000 AND time < '2026-01-01 00:05:00+00'$$),
('by_key', $$k > random() * 0$$),
('by_window', $$start >= '2026-01-01 00:05:00+00'$$),
('by_window', $$"end" <= '2026-01-01 00:05:00+00' AND b IS NOT NULL$$),
('having_some', $$k1 = 2$$),
('having_some', $$a = '10.0.1.2' AND time < '2026-01-01 00:05:00+00'$$),
('having_some', $$nb < 8$$),
('groups_only', $$a <<= '10.0.1.0/24'$$),
('groups_only', $$h = 'host1' AND records > 200$$);
SELECT view_name, condition, (compare(view_name, condition)).* FROM conditions ORDER BY id;

---------- what is pushed down
EXPLAIN (COSTS OFF) SELECT * FROM by_key WHERE time >= '2026-01-01 00:05:00+00' AND k = 3 AND b > 100 AND random() < 2;
EXPLAIN (COSTS OFF) SELECT * FROM by_key WHERE time > '2026-01-01'::date ORDER BY time;
EXPLAIN (COSTS OFF) SELECT * FROM by_key WHERE time BETWEEN now() - interval '1 hour' AND now() ORDER BY time DESC LIMIT 5;
EXPLAIN (COSTS OFF) SELECT * FROM by_key ORDER BY time, k;
EXPLAIN (COSTS OFF) SELECT * FROM by_key ORDER BY k;
EXPLAIN (COSTS OFF) SELECT * FROM totals WHERE what = 'all';
EXPLAIN (COSTS OFF, VERBOSE) SELECT time, a FROM having_some v WHERE time > '2026-01-01' AND k1 = 2;
EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF)
SELECT count(*) FROM by_key WHERE time >= '2026-01-01 00:05:00+00' AND k = 3;
EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) SELECT * FROM by_key ORDER BY time DESC LIMIT 1;
EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) SELECT count(*) FROM having_some;
EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) SELECT count(*) FROM by_key WHERE time > 'infinity';
-- a condition may not run before those that hide rows from it
CREATE FUNCTION leak(int) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$BEGIN RAISE WARNING 'saw %', $1; RETURN true; END$$;
CREATE VIEW hidden WITH (security_barrier) AS SELECT * FROM by_key WHERE records = 1 AND k > 100;
EXPLAIN (COSTS OFF) SELECT * FROM hidden WHERE leak(k);
SELECT count(*) FROM hidden WHERE leak(k);
-- a column that nobody looks at is not computed
CREATE VIEW fragile WITH (continuous) AS SELECT h, count(*) AS records, 1 / (count(*) - 1) AS inverse FROM s WHERE d = 1 AND x = 0.125 GROUP BY h;
INSERT INTO s (h, d, x) VALUES ('z', 1, 0.125);
SELECT h, records FROM fragile;
SELECT * FROM fragile;
SELECT count(*) FROM fragile WHERE inverse > 0;
DROP FOREIGN TABLE fragile;
-- nor one of a window or a group that a condition has put aside
CREATE FOREIGN TABLE s2 (t timestamptz, k int) SERVER backstream;
CREATE VIEW fragile WITH (continuous, clock = 'data', retain = '1 day') AS
SELECT tumble(t, '1 min') AS time, 60 / extract(epoch FROM tumble(t, '1 min') - timestamptz '2026-01-01 00:00:00+00') AS inverse,
	k, 1 / (k - 3) AS inverse_k, count(*) AS records FROM s2 GROUP BY 1, 3;
INSERT INTO s2 SELECT t, k FROM records;
SELECT k, inverse, inverse_k, records FROM fragile WHERE time > '2026-01-01 00:08:00+00' AND k <> 3 ORDER BY k;
EXPLAIN (COSTS OFF) SELECT count(*) FROM fragile WHERE time > '2026-01-01 00:00:00+00' AND inverse < 0.2 AND k < 3 AND inverse_k < 0;
SELECT count(*) FROM fragile WHERE time > '2026-01-01 00:00:00+00' AND inverse < 0.2 AND k < 3 AND inverse_k < 0;
SELECT count(*) FROM fragile WHERE inverse < 0.2;
DROP FOREIGN TABLE s2 CASCADE;
INSERT INTO records (h, d, x) VALUES ('z', 1, 0.125);

---------- order
SELECT bool_and(ordered) FROM (SELECT time >= lag(time) OVER () AS ordered FROM by_key) o;
SELECT time FROM by_window JOIN LATERAL (SELECT start AS time) l ON true ORDER BY start DESC LIMIT 3;
SELECT time, k, h, records FROM by_key ORDER BY time, k, h LIMIT 4;
SELECT time, k, h, records FROM by_key ORDER BY time DESC NULLS LAST, k DESC, h LIMIT 4;
SELECT count(*), min(records) FROM (SELECT * FROM by_key OFFSET 3 LIMIT 10) l;

---------- prepared statements, cursors, functions
PREPARE since(timestamptz, int) AS SELECT count(*), sum(records) FROM by_key WHERE time >= $1 AND k = $2;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE since('2026-01-01 00:05:00+00', 3);
EXECUTE since('2026-01-01 00:05:00+00', 3);
EXECUTE since('2026-01-01 00:09:00+00', 2);
EXECUTE since(NULL, 2);
RESET plan_cache_mode;
SELECT count(*), sum(records) FROM (SELECT * FROM by_key WHERE time >= '2026-01-01 00:05:00+00' AND k = 3) q;

BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT start, records FROM by_window ORDER BY start;
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
FETCH LAST FROM c;
COMMIT;
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT start, records FROM by_window;
FETCH 1 FROM c;
COMMIT;
FETCH 1 FROM c;
CLOSE c;

---------- joins, subqueries, lateral
SELECT count(*), sum(w.records) FROM by_window w JOIN by_key k ON k.time = w.start;
SELECT count(*), sum(w.records) FROM (SELECT backstream.tumble(t, '1 min') AS start, count(*) AS records FROM records GROUP BY 1) w
  JOIN (SELECT backstream.tumble(t, '30 s') AS time, k, h FROM records GROUP BY 1, 2, 3) k ON k.time = w.start;
CREATE TABLE wanted (at timestamptz);
INSERT INTO wanted VALUES ('2026-01-01 00:01:00+00'), ('2026-01-01 00:07:30+00'), ('2027-01-01');
ANALYZE wanted;
EXPLAIN (COSTS OFF) SELECT at, count(*), sum(records) FROM wanted JOIN by_key ON time = at GROUP BY at;
SELECT at, count(*), sum(records) FROM wanted JOIN by_key ON time = at GROUP BY at ORDER BY at;
SELECT at, (SELECT sum(records) FROM by_key WHERE time <= at AND k = 1) AS until FROM wanted ORDER BY at;
SELECT at, l.* FROM wanted LEFT JOIN LATERAL
	(SELECT k, sum(b) FROM by_key WHERE time = at AND k <= 1 GROUP BY k) l ON true ORDER BY at, k;
SELECT count(*) FROM by_key WHERE time > (SELECT min(at) FROM wanted) AND time <> ALL (ARRAY(SELECT at FROM wanted));
SELECT count(*) FROM by_key a FULL JOIN by_key b USING (time, k, h) WHERE a.records IS DISTINCT FROM b.records;
WITH recursive w AS (SELECT min(start) AS at FROM by_window UNION ALL
	SELECT at + interval '1 min' FROM w WHERE EXISTS (SELECT FROM by_window WHERE start = at + interval '1 min'))
SELECT count(*) FROM w;
CREATE VIEW ordinary AS SELECT start, b * 8 AS bits FROM by_window WHERE b > 0;
SELECT count(*) FROM ordinary WHERE start >= '2026-01-01 00:05:00+00';
CREATE TABLE taken AS SELECT * FROM by_key;
SELECT count(*) FROM taken;
SELECT v.tableoid::regclass, v FROM by_window v ORDER BY start LIMIT 1;
SELECT records FROM by_window WHERE start = '2026-01-01 00:03:00+00' FOR UPDATE;

---------- settings of the time of creation
SELECT said, sum(records) FROM as_text WHERE time < '2026-01-01 00:01:00+00' GROUP BY said ORDER BY said;
SELECT count(*), count(DISTINCT said) FROM as_text;
SHOW DateStyle;
SHOW TimeZone;

---------- windows: open, closed, latest, merged
SELECT window_start, window_end, state, groups, records, late, overflowed, errors FROM backstream.windows('by_window');
SELECT window_start, state, records, groups FROM backstream.windows('totals');
SELECT count(*) FROM by_window;
SELECT min(time), max(time), count(*) FROM closed_only;
SELECT * FROM backstream.latest(NULL::by_window);
SELECT count(*), min(time), max(time), sum(records) FROM backstream.latest(NULL::by_key);
SELECT (backstream.latest(NULL::closed_only)).*;
SELECT * FROM backstream.latest(NULL::no_windows);
-- merging is exact: averages and differences too
CREATE FUNCTION compare_merged("from" timestamptz, "to" timestamptz, OUT differing bigint, OUT nrows bigint)
LANGUAGE sql AS $$
WITH found AS (SELECT * FROM backstream.merged(NULL::by_key, "from", "to")),
expected AS (SELECT backstream.tumble("from", '30 s'), k, h, count(*), sum(b), avg(b), min(a), max(n) - min(n), sum(d) * 8 / 30.0
  FROM records WHERE backstream.tumble(t, '30 s') >= backstream.tumble("from", '30 s') AND backstream.tumble(t, '30 s') < "to" GROUP BY k, h)
SELECT (SELECT count(*) FROM ((TABLE found EXCEPT ALL TABLE expected) UNION ALL (TABLE expected EXCEPT ALL TABLE found)) d),
	(SELECT count(*) FROM found)
$$;
SELECT * FROM compare_merged('2026-01-01 00:02:00+00', '2026-01-01 00:05:00+00');
SELECT * FROM compare_merged('2026-01-01 00:02:10+00', '2026-01-01 00:05:10+00');
SELECT * FROM compare_merged('2025-01-01', '2027-01-01');
SELECT * FROM compare_merged('2026-01-01 00:02:00+00', '2026-01-01 00:02:00+00');
SELECT * FROM compare_merged('2026-02-01', '2026-03-01');
SELECT time, sum(records) FROM backstream.merged(NULL::by_key, NULL, NULL) GROUP BY time;
SELECT * FROM backstream.merged(NULL::by_window, '-infinity', 'infinity');
SELECT * FROM backstream.merged(NULL::closed_only, NULL, NULL);
-- what is not a continuous view with windows
SELECT * FROM backstream.latest(NULL::totals);
SELECT * FROM backstream.merged(NULL::totals, NULL, NULL);
SELECT * FROM backstream.latest(NULL::records);
SELECT * FROM backstream.latest(NULL::s);
SELECT * FROM backstream.latest(NULL::int);
SELECT * FROM backstream.windows('records');
SELECT * FROM backstream.windows('s');

---------- a scan can be ended at any time
CREATE FUNCTION slow(int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$BEGIN PERFORM pg_sleep(0.1); RETURN false; END$$;
SET statement_timeout = '300ms';
SELECT count(*) FROM by_key WHERE slow(k);
RESET statement_timeout;
BEGIN;
SAVEPOINT before;
SELECT count(*) FROM by_key WHERE 1 / (k - 3) > 5;
ROLLBACK TO before;
SELECT count(*) FROM by_key WHERE k <> 3;
COMMIT;

---------- streams: what comes while the statement listens
SET backstream.listen_for = '10 ms';
SELECT * FROM s;
EXPLAIN (COSTS OFF) SELECT src_addr FROM backstream.flow WHERE dst_port = 53 AND time_received > now() LIMIT 3;

---------- privileges
CREATE ROLE regress_reader;
GRANT USAGE ON SCHEMA read TO regress_reader;
SET ROLE regress_reader;
SELECT count(*) FROM by_window;
SELECT * FROM backstream.latest(NULL::by_window);
SELECT * FROM backstream.merged(NULL::by_window, NULL, NULL);
RESET ROLE;
GRANT SELECT (start, records) ON by_window TO regress_reader;
SET ROLE regress_reader;
SELECT count(*), sum(records) FROM by_window;
SELECT sum(b) FROM by_window;
SELECT * FROM backstream.latest(NULL::by_window);
RESET ROLE;
GRANT SELECT ON by_window TO regress_reader;
SET ROLE regress_reader;
SELECT count(*), sum(b) FROM by_window;
SELECT count(*) FROM backstream.latest(NULL::by_window);
-- counters are for all, texts are not
SELECT view, state, records > 0 AS counted, query, last_error FROM backstream.views WHERE view::text = 'read.by_window' OR view::text = 'by_window';
SELECT count(*) FROM backstream.windows('by_window');
RESET ROLE;
GRANT pg_read_all_stats TO regress_reader;
SET ROLE regress_reader;
SELECT view, query IS NOT NULL AS query_shown FROM backstream.views WHERE view::text = 'by_window';
RESET ROLE;
REVOKE pg_read_all_stats FROM regress_reader;

---------- redefinition
PREPARE windows AS SELECT count(*) FROM by_window;
SET plan_cache_mode = force_generic_plan;
EXECUTE windows;
CREATE OR REPLACE VIEW by_window WITH (continuous, clock = 'data', retain = '1 day', take_over = 'now') AS
SELECT count(*) AS records, tumble(t, '2 min') AS start, tumble(t, '2 min') + interval '2 min' AS "end", sum(b) AS b
  FROM s GROUP BY 2;
EXECUTE windows;
INSERT INTO s SELECT * FROM records;
EXECUTE windows;
RESET plan_cache_mode;
BEGIN;
DECLARE c CURSOR FOR SELECT start FROM by_window;
FETCH 1 FROM c;
DROP FOREIGN TABLE by_window CASCADE;
ROLLBACK;
SELECT count(*) FROM by_window;
ALTER FOREIGN TABLE by_window RENAME TO renamed;
EXECUTE windows;

DEALLOCATE windows;
-- a function that the query names comes to mean something else: the view starts anew
CREATE FUNCTION f(timestamptz) RETURNS timestamptz IMMUTABLE LANGUAGE sql AS $$SELECT backstream.tumble($1, '1 min')$$;
CREATE VIEW by_f WITH (continuous, clock = 'data', retain = '1 day') AS SELECT f(t) AS time, h, count(*) AS records FROM s GROUP BY 1, 2;
INSERT INTO s SELECT * FROM records;
PREPARE by_f AS SELECT count(*), sum(records) FROM by_f WHERE time >= '2026-01-01 00:05:00+00';
EXPLAIN (COSTS OFF) EXECUTE by_f;
EXECUTE by_f;
CREATE OR REPLACE FUNCTION f(timestamptz) RETURNS timestamptz IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN $1; END$$;
EXPLAIN (COSTS OFF) EXECUTE by_f;
EXECUTE by_f;
INSERT INTO s SELECT * FROM records;
EXECUTE by_f;
CREATE AGGREGATE last_of(int) (sfunc = int4larger, stype = int, combinefunc = int4larger, parallel = safe);
CREATE VIEW by_agg WITH (continuous) AS SELECT h, last_of(k) AS l FROM s GROUP BY h;
INSERT INTO s SELECT * FROM records;
SELECT max(l) FROM by_agg;
CREATE FUNCTION larger(numeric, int) RETURNS numeric IMMUTABLE PARALLEL SAFE LANGUAGE sql AS 'SELECT greatest($1, $2 * 10)';
CREATE OR REPLACE AGGREGATE last_of(int) (sfunc = larger, stype = numeric, combinefunc = numeric_larger, finalfunc = int4, parallel = safe);
SELECT max(l) FROM by_agg;
INSERT INTO s SELECT * FROM records;
SELECT max(l) FROM by_agg;
-- names may change without a loss
SELECT records, state FROM backstream.views WHERE view = 'by_key'::regclass;
ALTER FOREIGN TABLE s RENAME COLUMN k TO another_name;
ALTER FOREIGN TABLE s RENAME TO another_stream;
ALTER FOREIGN TABLE another_stream SET SCHEMA public;
INSERT INTO another_stream VALUES ('2026-01-01 00:10:01+00');
SELECT records, state FROM backstream.views WHERE view = 'by_key'::regclass;
SELECT count(DISTINCT time) FROM by_key;

---------- the system's own views
\a
SELECT attrelid::regclass AS view, string_agg(attname, ', ' ORDER BY attnum) AS columns FROM pg_attribute
 WHERE attrelid IN ('backstream.exporters'::regclass, 'backstream.listeners'::regclass, 'backstream.forwards'::regclass, 'backstream.receivers'::regclass,
	'backstream.views'::regclass, 'backstream.memory'::regclass) AND attnum > 0 GROUP BY 1 ORDER BY 1;
\a
SELECT count(*) FROM backstream.exporters;
SELECT count(*) FROM backstream.listeners;
SELECT count(*) > 0 FROM backstream.receivers;
SELECT total > 32000000 AS total, used > 0 AS used, peak >= used AS peak, failures FROM backstream.memory;
SELECT attrelid::regclass, attname FROM pg_attribute
 WHERE attrelid IN (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e'
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'backstream'))
   AND attnum > 0 AND col_description(attrelid, attnum) IS NULL;

ANALYZE by_key;
SET client_min_messages = error;
DROP FOREIGN TABLE another_stream CASCADE;
DROP SCHEMA read CASCADE;
DROP ROLE regress_reader;
