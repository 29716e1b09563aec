-- Any aggregate that PostgreSQL can run in parallel works in a continuous view: those that the engine
-- does not have run by their own functions.  Each view against the same SELECT over a table.
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, YMD';
SET client_min_messages = warning;
CREATE SCHEMA anyaggregate;
SET search_path = anyaggregate, public;
CREATE FOREIGN TABLE s (id int, t timestamptz, k int, b bigint, x float8, y float8, n numeric, h text, a inet, flag boolean)
	SERVER backstream;
CREATE TABLE records (LIKE s);
INSERT INTO records
SELECT i, timestamptz '2026-01-01 00:00:00+00' + i * interval '100 ms', CASE WHEN i % 7 <> 0 THEN i % 5 END,
	CASE WHEN i % 11 <> 0 THEN i * 1000003::bigint % 77777 END, CASE WHEN i % 13 <> 0 THEN sin(i) * 100 END, cos(i * 1.1) + i / 1000.0,
	(i % 900) / 100.0, 'host' || i % 41, '10.0.0.0'::inet + i % 97, i % 3 = 0
  FROM generate_series(0, 5999) i;

-- of the test's own: product of residues (by value, no final function), the longest text (by reference, in
-- SQL and in PL/pgSQL), a mean with array state and final function, the spread of anything (polymorphic), an
-- ordinary range, two arguments, NULL states, strict with initial value, variadic
CREATE FUNCTION times_mod(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT RETURN $1 * ($2 % 1000 + 1) % 1000003;
CREATE FUNCTION times_mod_combine(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT RETURN $1 * $2 % 1000003;
CREATE AGGREGATE product_mod(bigint) (SFUNC = times_mod, STYPE = bigint, COMBINEFUNC = times_mod_combine, INITCOND = '1');

CREATE FUNCTION longer(text, text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF $1 IS NULL OR length($2) > length($1) OR length($2) = length($1) AND $2 > $1 THEN RETURN $2; END IF;
	RETURN $1;
END $$;
CREATE AGGREGATE longest(text) (SFUNC = longer, STYPE = text, COMBINEFUNC = longer);

CREATE FUNCTION mean_add(bigint[], bigint) RETURNS bigint[] LANGUAGE sql IMMUTABLE
	RETURN CASE WHEN $2 IS NULL THEN $1 ELSE ARRAY[$1[1] + 1, $1[2] + $2] END;
CREATE FUNCTION mean_combine(bigint[], bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE RETURN ARRAY[$1[1] + $2[1], $1[2] + $2[2]];
CREATE FUNCTION mean_final(bigint[]) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN round($1[2] / nullif($1[1], 0)::numeric, 6);
CREATE AGGREGATE mean(bigint) (SFUNC = mean_add, STYPE = bigint[], COMBINEFUNC = mean_combine, FINALFUNC = mean_final, INITCOND = '{0,0}');

CREATE FUNCTION span_add(anyarray, anyelement) RETURNS anyarray LANGUAGE sql IMMUTABLE
	AS 'SELECT ARRAY[least($1[1], $2), greatest($1[2], $2)]';
CREATE FUNCTION span_combine(anyarray, anyarray) RETURNS anyarray LANGUAGE sql IMMUTABLE
	AS 'SELECT ARRAY[least($1[1], $2[1]), greatest($1[2], $2[2])]';
CREATE FUNCTION span_final(state anyarray, value anyelement) RETURNS text LANGUAGE sql IMMUTABLE
	AS 'SELECT $1[1]::text || ''..'' || $1[2]::text';
CREATE AGGREGATE span(anyelement) (SFUNC = span_add, STYPE = anyarray, COMBINEFUNC = span_combine, FINALFUNC = span_final,
	FINALFUNC_EXTRA, INITCOND = '{}');

CREATE FUNCTION weigh(numeric, numeric, bigint) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN coalesce($1, 0) + coalesce($2 * $3, 0);
CREATE FUNCTION weigh_combine(numeric, numeric) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN coalesce($1, 0) + coalesce($2, 0);
CREATE AGGREGATE weighed(numeric, bigint) (SFUNC = weigh, STYPE = numeric, COMBINEFUNC = weigh_combine);

CREATE FUNCTION forget_combine(int, int) RETURNS int LANGUAGE sql IMMUTABLE RETURN coalesce($1, 0) | coalesce($2, 0);
CREATE AGGREGATE or_zero(int) (SFUNC = forget_combine, STYPE = int, COMBINEFUNC = forget_combine);

CREATE FUNCTION most(int, VARIADIC int[]) RETURNS int LANGUAGE sql IMMUTABLE
	RETURN (greatest($1, $2[1], $2[2], $2[3]));
CREATE AGGREGATE most_of(VARIADIC int[]) (SFUNC = most, STYPE = int, COMBINEFUNC = int4larger);

-- one that errs
CREATE FUNCTION divide(int, int) RETURNS int LANGUAGE sql IMMUTABLE RETURN coalesce($1, 0) + 100 / $2;
CREATE AGGREGATE hundredths(int) (SFUNC = divide, STYPE = int, COMBINEFUNC = int4pl);

CREATE TABLE selects (name text PRIMARY KEY, query text);
INSERT INTO selects VALUES
('spread', $$SELECT k, stddev(x) AS a, stddev_pop(n) AS b, variance(b) AS c, var_pop(k) AS d, stddev(id) AS e, var_samp(x::real) AS f, avg(n) AS g, sum(n) AS h
	FROM %s GROUP BY k$$),
('pairs', $$SELECT k, corr(y, x) AS a, covar_pop(y, x) AS b, covar_samp(y, b) AS c, regr_slope(y, x) AS d, regr_intercept(y, x) AS e, regr_r2(y, x) AS f,
	regr_count(y, x) AS g, regr_avgx(y, x) AS h, regr_avgy(y, x) AS i, regr_sxx(y, x) AS j, regr_syy(y, x) AS l, regr_sxy(y, x) AS m FROM %s GROUP BY k$$),
('texts', $$SELECT flag, min(h) AS a, max(h) AS b, min(n) AS c, max(n) AS d, min(a) AS e, max(a) AS f, sum(t - '2026-01-01') AS g, avg(t - '2026-01-01') AS i,
	max(t - '2026-01-01') AS j, bit_xor(id) AS l, bool_and(flag) AS m, min(t::date) AS n, max(t::time) AS o, min(ARRAY[k, id]) AS p, max(x::real) AS q,
	min(b::money) AS r, max(h::bpchar) AS u FROM %s GROUP BY flag$$),
('own', $$SELECT k, anyaggregate.product_mod(b) AS a, anyaggregate.longest(h) AS b, anyaggregate.mean(b) AS c, anyaggregate.span(id) AS d, anyaggregate.span(h) AS e,
	anyaggregate.span(a) AS f, anyaggregate.weighed(n, b) AS g, anyaggregate.or_zero(k) AS h, anyaggregate.most_of(k, id %% 100, length(h)) AS i FROM %s GROUP BY k$$),
('filtered', $$SELECT h, anyaggregate.longest(h) FILTER (WHERE flag) AS a, stddev(n) FILTER (WHERE k = 2) AS b, corr(x, y) FILTER (WHERE id < 100) AS c,
	anyaggregate.mean(b) FILTER (WHERE false) AS d, regr_count(x, y) FILTER (WHERE x > 0) * 2 + count(*) AS e FROM %s GROUP BY h
	HAVING anyaggregate.mean(b) > 30000$$),
('windows', $$SELECT backstream.tumble(t, '1 min') AS time, k, anyaggregate.mean(b) AS a, stddev(n) AS b, anyaggregate.longest(h) AS c, regr_slope(y, x) AS d
	FROM %s GROUP BY 1, 2$$),
('everything', $$SELECT anyaggregate.mean(b) AS a, stddev(n) AS b, anyaggregate.span(a) AS c, corr(x, y) AS d, anyaggregate.most_of(k) AS e FROM %s$$);

DO $$
DECLARE
	one record;
BEGIN
	FOR one IN SELECT * FROM selects ORDER BY name LOOP
		EXECUTE format('CREATE VIEW %I WITH (continuous, clock = ''data'', lateness = ''1 hour'') AS %s', one.name, format(one.query, 's'));
		EXECUTE format('CREATE VIEW %I AS %s', one.name || '_exact', format(one.query, 'records'));
	END LOOP;
END $$;

-- What differs: numbers of floating point by more than one in 10^9 (merged in another order), all else at all.
CREATE FUNCTION differs(a jsonb, b jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
	RETURN CASE WHEN jsonb_typeof(a) = 'number' AND jsonb_typeof(b) = 'number'
		THEN abs(a::numeric - b::numeric) > 1e-9 * greatest(abs(a::numeric), abs(b::numeric), 1e-6) ELSE a IS DISTINCT FROM b END;
CREATE FUNCTION compare(view_name text, keys text, OUT nrows bigint, OUT nvalues bigint, OUT differing bigint) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT count(DISTINCT r), count(*), count(*) FILTER (WHERE v.key IS DISTINCT FROM e.key OR v.what IS DISTINCT FROM e.what OR differs(v.value, e.value))
		FROM (SELECT (%2$s)::text AS r, key, value, ''x'' AS what FROM %1$I whole, jsonb_each(to_jsonb(whole))) v
		FULL JOIN (SELECT (%2$s)::text AS r, key, value, ''x'' AS what FROM %3$I whole, jsonb_each(to_jsonb(whole))) e USING (r, key)',
		view_name, keys, view_name || '_exact') INTO nrows, nvalues, differing;
END $$;
CREATE VIEW comparison AS
SELECT name, c.* FROM (VALUES ('spread', 'ROW(k)'), ('pairs', 'ROW(k)'), ('texts', 'ROW(flag)'), ('own', 'ROW(k)'), ('filtered', 'ROW(h)'), ('windows', 'ROW(time, k)'),
	('everything', 'ROW(1)')) v (name, keys), compare(name, keys) c ORDER BY name;

-- no record yet
SELECT * FROM everything;
SELECT * FROM everything_exact;
-- in one transaction of several batches, in several, and in a savepoint that is given up
INSERT INTO s SELECT * FROM records WHERE id % 3 = 0;
INSERT INTO s SELECT * FROM records WHERE id % 3 = 1 AND id < 50;
INSERT INTO s SELECT * FROM records WHERE id % 3 = 1 AND id >= 50;
BEGIN;
INSERT INTO s SELECT * FROM records WHERE id % 3 = 2 AND id < 3000;
SAVEPOINT p;
INSERT INTO s SELECT * FROM records;
ROLLBACK TO p;
INSERT INTO s SELECT * FROM records WHERE id % 3 = 2 AND id >= 3000;
COMMIT;
SELECT view, records, errors, last_error FROM backstream.views WHERE view::text IN (SELECT name FROM selects) ORDER BY view::text;
SELECT * FROM comparison;
-- many small transactions: lists of states grow and are combined
DO $$
BEGIN
	FOR i IN 0..59 LOOP
		INSERT INTO s SELECT * FROM records WHERE id % 60 = i;
		COMMIT;
	END LOOP;
END $$;
INSERT INTO records SELECT * FROM records;
SELECT * FROM comparison;
-- the comparison finds what differs
BEGIN;
INSERT INTO records SELECT * FROM records LIMIT 5;
SELECT name, differing > 0 AS differs FROM comparison;
ROLLBACK;
-- windows merged by their states
SELECT m.k, m.a = e.a AS a, m.c = e.c AS c, abs(m.b - e.b) < 1e-9 AS b
  FROM backstream.merged(NULL::windows, '2026-01-01 00:02', '2026-01-01 00:07') m
  FULL JOIN (SELECT k, mean(b) AS a, stddev(n) AS b, longest(h) AS c FROM records WHERE t >= '2026-01-01 00:02' AND t < '2026-01-01 00:07' GROUP BY k) e
	ON coalesce(m.k, -1) = coalesce(e.k, -1)
 ORDER BY k;

-- an error costs its record and nothing else
CREATE VIEW errs WITH (continuous) AS SELECT flag, hundredths(k) AS a, count(*) AS n FROM s WHERE id < 0 GROUP BY flag;
INSERT INTO s (id, k, flag) VALUES (-1, 5, true), (-1, 0, true), (-1, 10, true), (-1, 0, false), (-1, 0, NULL), (-1, 50, NULL);
SELECT * FROM errs ORDER BY flag;
SELECT records, errors, last_error FROM backstream.views WHERE view::text = 'errs';

-- a function replaced is seen by what comes after
CREATE OR REPLACE FUNCTION divide(int, int) RETURNS int LANGUAGE sql IMMUTABLE RETURN coalesce($1, 0) + 1000;
INSERT INTO s (id, k, flag) VALUES (-1, 0, false);
SELECT * FROM errs WHERE NOT flag;

-- what cannot be
CREATE VIEW no WITH (continuous) AS SELECT array_agg(k) FROM s;
CREATE AGGREGATE no_combine(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE VIEW no WITH (continuous) AS SELECT no_combine(k) FROM s;
CREATE VIEW no WITH (continuous) AS SELECT mode() WITHIN GROUP (ORDER BY k) FROM s;
-- what a view needs stays
DROP FUNCTION mean_final(bigint[]);
DROP AGGREGATE longest(text);
DROP SCHEMA anyaggregate CASCADE;
