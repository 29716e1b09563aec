-- SPDX-License-Identifier: PostgreSQL
-- Stable functions of constants in HAVING and in the columns of a view, as thresholds in a table: once for all rows of a
-- window, and not at all when no row asks.
\set VERBOSITY terse
CREATE FOREIGN TABLE once_s (t timestamptz, k int, v int) SERVER backstream;
CREATE TABLE once_r (t timestamptz, k int, v int);
CREATE TABLE once_limits (name text, value int, word text);
INSERT INTO once_limits VALUES ('n', 3, 'three'), ('v', 100, 'a hundred');
CREATE FUNCTION once_limit(name text) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
	RAISE NOTICE 'limit % is asked for', name;
	RETURN (SELECT value FROM public.once_limits l WHERE l.name = once_limit.name);
END $$;
CREATE FUNCTION once_word(name text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	RAISE NOTICE 'word % is asked for', name;
	RETURN (SELECT word FROM public.once_limits l WHERE l.name = once_word.name);
END $$;

CREATE VIEW once_v WITH (continuous, clock = 'data', lateness = '0', retain = '1 hour') AS
SELECT backstream.tumble(t, '1 min') AS time, k, count(*) AS n, sum(v) AS v,
       upper(once_word('n')) || CASE WHEN sum(v) < 0 THEN once_word('v') ELSE '' END AS word
  FROM once_s GROUP BY 1, 2
HAVING count(*) >= once_limit('n') AND (sum(v) >= once_limit('v') * 2 OR k = once_limit('none'));
INSERT INTO once_r SELECT '2026-01-01 00:00Z'::timestamptz + i % 3 * interval '1 min', i % 7, i FROM generate_series(1, 100) i;
INSERT INTO once_s TABLE once_r ORDER BY t, v;
SELECT extract(minute FROM time) AS minute, k, n, v, word FROM once_v ORDER BY 1, 2;
-- The same over a table, quietly.
SET client_min_messages = warning;
SELECT count(*) FROM ((SELECT time, k, n, v, word FROM once_v EXCEPT ALL
	SELECT backstream.tumble(t, '1 min'), k, count(*), sum(v), 'THREE' FROM once_r GROUP BY 1, 2 HAVING count(*) >= 3 AND sum(v) >= 200)
	UNION ALL (SELECT backstream.tumble(t, '1 min'), k, count(*), sum(v), 'THREE' FROM once_r GROUP BY 1, 2 HAVING count(*) >= 3 AND sum(v) >= 200
	EXCEPT ALL SELECT time, k, n, v, word FROM once_v)) d;
RESET client_min_messages;

-- A change acts at once; what no row reaches is not asked for.
UPDATE once_limits SET value = 1000 WHERE name = 'n';
SELECT count(*) FROM once_v;
UPDATE once_limits SET value = NULL WHERE name = 'n';
SELECT count(*) FROM once_v;
UPDATE once_limits SET value = 1 WHERE name = 'n';
UPDATE once_limits SET value = 0 WHERE name = 'v';
SELECT count(*), max(word) FROM once_v WHERE time < '2026-01-01 00:01Z';
SELECT count(*) FROM once_v WHERE k > 100;

-- What depends on the row is asked for each.
CREATE FUNCTION once_each(n bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE NOTICE '% of them', n; RETURN true; END $$;
CREATE VIEW once_rows WITH (continuous) AS SELECT k, count(*) AS n FROM once_s GROUP BY 1 HAVING once_each(count(*));
INSERT INTO once_s VALUES (now(), 1, 1), (now(), 1, 1), (now(), 2, 1);
SELECT * FROM once_rows ORDER BY k;

-- A function that fails does so when it is asked, each time.
CREATE FUNCTION once_fails(what text) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION '% fails', what; END $$;
CREATE VIEW once_failing WITH (continuous) AS SELECT k, count(*) AS n FROM once_s GROUP BY 1 HAVING count(*) > 1 AND count(*) > once_fails('it');
SELECT count(*) FROM once_failing;
INSERT INTO once_s VALUES (now(), 1, 1), (now(), 2, 1);
SELECT count(*) FROM once_failing;
INSERT INTO once_s VALUES (now(), 1, 1), (now(), 2, 1);
SELECT count(*) FROM once_failing;
SELECT count(*) FROM once_failing;
DROP FOREIGN TABLE once_s CASCADE;
DROP TABLE once_r, once_limits;
DROP FUNCTION once_limit, once_word, once_each, once_fails;
