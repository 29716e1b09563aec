-- Functions that read tables: what they return is remembered by their arguments, for a time; then it equals the
-- SELECT over the same tables.
CREATE SCHEMA inv;
SET search_path = inv;
SET TimeZone = 'UTC';
CREATE FOREIGN TABLE s (router inet, port bigint, bytes bigint) SERVER backstream;
CREATE TABLE r (LIKE s);
CREATE TABLE interfaces (router inet, port bigint, name text, speed numeric, tags text[]);
INSERT INTO interfaces SELECT '10.0.0.0'::inet + i % 5, i / 5, CASE WHEN i % 7 > 0 THEN 'if' || i END, i * 1.50, ARRAY['t' || i, NULL]
  FROM generate_series(1, 100) i;

CREATE FUNCTION if_name(inet, bigint) RETURNS text LANGUAGE sql STABLE AS
	$$ SELECT name FROM inv.interfaces WHERE router = $1 AND port = $2 $$;
CREATE FUNCTION if_speed(r inet, p bigint) RETURNS numeric LANGUAGE plpgsql STABLE STRICT AS
	$$ BEGIN RETURN (SELECT speed FROM inv.interfaces i WHERE i.router = r AND i.port = p); END $$;
CREATE FUNCTION if_tags(inet, bigint) RETURNS text[] LANGUAGE sql STABLE AS
	$$ SELECT tags FROM inv.interfaces WHERE router = $1 AND port = $2 $$;
CREATE FUNCTION if_count(inet) RETURNS bigint LANGUAGE sql STABLE AS
	$$ SELECT count(*) FROM inv.interfaces WHERE router IS NOT DISTINCT FROM $1 $$;
CREATE FUNCTION same(anyelement, text) RETURNS anyelement LANGUAGE plpgsql STABLE AS
	$$ BEGIN PERFORM FROM inv.interfaces; RETURN $1; END $$;

-- What is not declared works too, at a price that is told.
CREATE VIEW undeclared WITH (continuous) AS SELECT if_name(router, port) AS name, max(if_count(router)) + max(if_count(router)) AS n FROM s GROUP BY 1;
DROP VIEW undeclared;

SELECT backstream.remember('inv.if_name(inet,bigint)', '1 hour');
SELECT backstream.remember('if_speed(inet,bigint)', '90 s');
SELECT backstream.remember(f, '10 min') FROM unnest('{if_tags,if_count,same}'::regproc[]) f;
SELECT * FROM backstream.remembered_functions ORDER BY function::text COLLATE "C";
SELECT proconfig FROM pg_proc WHERE oid = 'if_speed'::regproc;

-- ---------- the oracle ----------
CREATE VIEW v WITH (continuous) AS
SELECT if_name(router, port) AS name, upper(coalesce(if_name(router, port + 1), 'none')) || '!' AS next,
	sum(if_speed(router, port)) AS speed, count(*) FILTER (WHERE if_count(router) > 19) AS known,
	max(if_tags(router, port)) AS tags, min(same(port, 'x')) AS port, max(same(router, NULL)) AS router, sum(bytes) AS bytes
  FROM s WHERE same(port, 'y') < 15 OR if_speed(router, port) IS NULL GROUP BY 1, 2;
INSERT INTO r SELECT CASE WHEN i % 11 > 0 THEN '10.0.0.0'::inet + i % 6 END, CASE WHEN i % 13 > 0 THEN i / 6 % 23 END, i FROM generate_series(1, 20000) i;
INSERT INTO s TABLE r;
CREATE VIEW o AS
SELECT if_name(router, port) AS name, upper(coalesce(if_name(router, port + 1), 'none')) || '!' AS next,
	sum(if_speed(router, port)) AS speed, count(*) FILTER (WHERE if_count(router) > 19) AS known,
	max(if_tags(router, port)) AS tags, min(same(port, 'x')) AS port, max(same(router, NULL)) AS router, sum(bytes) AS bytes
  FROM r WHERE same(port, 'y') < 15 OR if_speed(router, port) IS NULL GROUP BY 1, 2;
SELECT count(*) > 50 AS many FROM v;
(TABLE v EXCEPT ALL TABLE o) UNION ALL (TABLE o EXCEPT ALL TABLE v);
SELECT records + filtered AS records, errors FROM backstream.views WHERE view = 'v'::regclass;
SELECT part, evaluated, bytes, expression FROM backstream.explain(
	$$ SELECT inv.if_name(router, port) AS name, sum(inv.if_speed(router, port) + 1) AS speed, count(*) FILTER (WHERE bytes > inv.if_count(router)) FROM inv.s GROUP BY 1 $$);

-- ---------- it is remembered: a call is made once for its arguments ----------
CREATE FUNCTION loud(k bigint, t text) RETURNS text LANGUAGE plpgsql STABLE AS
	$$ BEGIN RAISE NOTICE 'called: % %', k, length(t); RETURN (SELECT name FROM inv.interfaces WHERE port = k AND router = '10.0.0.1') || length(t); END $$;
CREATE FUNCTION loud_strict(k bigint) RETURNS bigint LANGUAGE plpgsql STABLE STRICT AS
	$$ BEGIN RAISE NOTICE 'strict called: %', k; IF k = 13 THEN RAISE EXCEPTION 'thirteen'; END IF; RETURN nullif(k, 7); END $$;
SELECT backstream.remember('loud(bigint,text)', '1 day'), backstream.remember('loud_strict(bigint)', '1 day');
CREATE FOREIGN TABLE t (k bigint, t text) SERVER backstream;
CREATE VIEW w WITH (continuous) AS SELECT loud(k, t) AS loud, count(*), sum(loud_strict(k)) AS strict FROM t GROUP BY 1;
INSERT INTO t VALUES (1, 'a'), (1, 'a'), (2, 'a'), (1, 'b'), (1, NULL), (NULL, 'a'), (NULL, 'a'), (1, 'a'), (7, 'a'), (7, 'a');
-- also in the next transaction
INSERT INTO t VALUES (1, 'a'), (2, 'a'), (7, 'a'), (NULL, 'a'), (3, 'a');
-- bytes count, however they are stored
INSERT INTO t SELECT 1, repeat('x', 300000) FROM generate_series(1, 3);
-- an error is not
INSERT INTO t VALUES (13, 'a'), (13, 'a');
SELECT errors, last_error FROM backstream.views WHERE view = 'w'::regclass;
SELECT * FROM w ORDER BY 1;
-- changes of the table are not seen before the time is over
UPDATE interfaces SET name = 'new';
INSERT INTO t VALUES (1, 'a');
-- those of the function are
CREATE OR REPLACE FUNCTION loud_strict(k bigint) RETURNS bigint LANGUAGE plpgsql STABLE STRICT SET backstream.remember = '1d' AS $$ BEGIN RETURN 1000; END $$;
INSERT INTO t VALUES (1, 'a');
SELECT * FROM w WHERE loud LIKE 'new%' OR loud LIKE 'if_1' ORDER BY 1;
SELECT backstream.remember('loud(bigint,text)', '200 ms');
INSERT INTO t VALUES (1, 'z'), (1, 'z');
UPDATE interfaces SET name = 'newer';
SELECT pg_sleep(0.21);
INSERT INTO t VALUES (1, 'z'), (1, 'z');
SELECT * FROM w WHERE loud LIKE 'new%' ORDER BY 1;
-- nor what a transaction has read that then failed
SELECT backstream.remember('loud(bigint,text)', '1 day');
BEGIN;
UPDATE interfaces SET name = 'never';
SELECT loud(1, 'xx');
INSERT INTO t VALUES (1, 'xx');
ROLLBACK;
INSERT INTO t VALUES (1, 'xx');
SELECT backstream.remember('loud(bigint,text)', NULL);
INSERT INTO t VALUES (1, 'q'), (1, 'q');
SET client_min_messages = warning;

-- ---------- bounded memory ----------
ALTER SYSTEM SET backstream.remember_memory = '64kB';
SELECT pg_reload_conf();
SELECT pg_sleep(0.1);
CREATE TABLE big (k bigint PRIMARY KEY, label text);
INSERT INTO big SELECT i, repeat('l' || i, 20) FROM generate_series(1, 5000) i;
CREATE FUNCTION label(k bigint) RETURNS text LANGUAGE sql STABLE AS $$ SELECT label FROM inv.big WHERE big.k = $1 $$;
SELECT backstream.remember('label(bigint)', '1 hour');
CREATE VIEW b WITH (continuous) AS SELECT label(k) AS label, count(*) FROM t GROUP BY 1;
INSERT INTO t SELECT i % 6000 FROM generate_series(1, 15000) i;
INSERT INTO t SELECT i * i % 200 FROM generate_series(1, 15000) i;
SELECT count(*) FROM (SELECT * FROM b EXCEPT ALL SELECT label(k), count(*) FROM
	(SELECT i % 6000 AS k FROM generate_series(1, 15000) i UNION ALL SELECT i * i % 200 FROM generate_series(1, 15000) i) x GROUP BY 1) d;
SELECT count(*), sum(count) FROM b;
SELECT used_bytes < 400000 AS bounded FROM (SELECT sum(used_bytes) AS used_bytes FROM pg_backend_memory_contexts WHERE name LIKE 'BackStream remembered%' AND level > 0) m;
ALTER SYSTEM RESET backstream.remember_memory;
SELECT pg_reload_conf();

-- ---------- rights ----------
CREATE ROLE inv_owner;
GRANT USAGE, CREATE ON SCHEMA inv TO inv_owner;
GRANT USAGE ON FOREIGN SERVER backstream TO inv_owner;
GRANT SELECT ON t TO inv_owner;
CREATE FUNCTION secret(k bigint) RETURNS text LANGUAGE sql STABLE AS $$ SELECT name FROM inv.interfaces WHERE port = $1 LIMIT 1 $$;
SELECT backstream.remember('secret(bigint)', '1 hour');
SET ROLE inv_owner;
SELECT backstream.remember('secret(bigint)', '1 min');
CREATE VIEW theirs WITH (continuous) AS SELECT secret(k) AS secret, count(*) FROM t GROUP BY 1;
RESET ROLE;
INSERT INTO t VALUES (1), (1);
SELECT errors, last_error FROM backstream.views WHERE view = 'theirs'::regclass;
GRANT SELECT ON interfaces TO inv_owner;
INSERT INTO t VALUES (1), (1);
SELECT * FROM theirs;
REVOKE EXECUTE ON FUNCTION secret FROM PUBLIC;
INSERT INTO t VALUES (1);
SELECT errors, last_error FROM backstream.views WHERE view = 'theirs'::regclass;
SET ROLE inv_owner;
CREATE VIEW more WITH (continuous) AS SELECT secret(k) AS secret, count(*) FROM t GROUP BY 1;
RESET ROLE;

-- ---------- refused ----------
SELECT backstream.remember('random()', '1 min');
SELECT backstream.remember('sum(bigint)', '1 min');
SELECT backstream.remember('generate_series(int,int)', '1 min');
SELECT backstream.remember('secret(bigint)', '0');
SELECT backstream.remember('secret(bigint)', '1 month');
SELECT backstream.remember('secret(bigint)', '-1 s');
SELECT backstream.remember('secret(bigint)', '30 days');
SELECT backstream.remember('nosuch()', '1 min');
SELECT backstream.remember(1::regprocedure, '1 min');
SELECT backstream.remember(NULL, '1 min');
DROP FUNCTION label;
DROP SCHEMA inv CASCADE;
REVOKE ALL ON FOREIGN SERVER backstream FROM inv_owner;
DROP ROLE inv_owner;
SELECT count(*) FROM backstream.remembered_functions;
