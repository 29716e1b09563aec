-- Computed columns: whose rights they have, what they may do, what becomes of their errors.
CREATE SCHEMA computed;
SET search_path = computed;
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE FOREIGN TABLE s (t timestamptz, k integer, v text) SERVER backstream;
CREATE TABLE log (x integer);
CREATE ROLE computed_owner;
CREATE ROLE computed_writer;
GRANT ALL ON SCHEMA computed TO computed_owner, computed_writer;
GRANT SELECT ON s TO computed_owner;
GRANT INSERT ON s TO computed_writer;
GRANT USAGE ON FOREIGN SERVER backstream TO computed_owner;

-- what a view counts and what it says of it
CREATE FUNCTION seen(name text, OUT records bigint, OUT errors bigint, OUT last_error text, OUT state text) LANGUAGE sql AS
$$ SELECT records, errors, last_error, state FROM backstream.views WHERE view::text = name $$;

-- errors cost their record, whatever raised them
CREATE FUNCTION picky(i integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN IF i % 3 = 0 THEN RAISE EXCEPTION 'I do not like %', i; END IF; RETURN i / (i - 5); END $$;
CREATE VIEW v_picky WITH (continuous) AS SELECT picky(k) AS p, count(*) AS n FROM s GROUP BY 1;
CREATE VIEW v_cast WITH (continuous) AS SELECT sum(v::integer) AS n FROM s;
INSERT INTO s SELECT NULL, i, CASE WHEN i % 2 = 0 THEN i::text ELSE 'x' || i END FROM generate_series(1, 10) i;
SELECT * FROM v_picky ORDER BY p;
SELECT * FROM seen('v_picky');
SELECT * FROM v_cast;
SELECT * FROM seen('v_cast');
-- up to every record
INSERT INTO s SELECT NULL, 3 * i, 'all' FROM generate_series(1, 10000) i;
SELECT * FROM seen('v_picky');
SELECT * FROM v_cast;

-- laziness: what is not reached does not fail
CREATE VIEW v_lazy WITH (continuous) AS
	SELECT count(*) FILTER (WHERE picky(k) > 0) AS n, sum(CASE WHEN k = 1 THEN 1 ELSE picky(k) END) AS c
	  FROM s WHERE k < 3 OR picky(k) = 2 AND k <> 9;
INSERT INTO s VALUES (NULL, 1), (NULL, 2), (NULL, 10), (NULL, 9), (NULL, 4);
SELECT * FROM v_lazy;
SELECT * FROM seen('v_lazy');

-- an error in the stored procedure's own handler is none
CREATE FUNCTION forgiving(i integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN RETURN picky(i); EXCEPTION WHEN others THEN RETURN -1; END $$ SET search_path = computed;
CREATE VIEW v_forgiving WITH (continuous) AS SELECT forgiving(k) AS p, count(*) AS n FROM s GROUP BY 1;
INSERT INTO s SELECT NULL, i FROM generate_series(1, 6) i;
SELECT * FROM v_forgiving ORDER BY p;
SELECT * FROM seen('v_forgiving');

-- nothing can be written, and nothing that was done in vain stays
CREATE FUNCTION writes(i integer) RETURNS integer LANGUAGE plpgsql STABLE AS
$$ BEGIN PERFORM computed.really_writes(i); RETURN i; END $$;
CREATE FUNCTION really_writes(i integer) RETURNS integer LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO computed.log VALUES (i); RETURN i; END $$;
CREATE VIEW v_writes WITH (continuous) AS SELECT max(writes(k)) AS m FROM s;
INSERT INTO s SELECT NULL, i FROM generate_series(1, 3) i;
SELECT * FROM v_writes;
SELECT * FROM seen('v_writes');
SELECT count(*) FROM log;

-- expressions have the owner's rights, not the writer's and not more
CREATE FUNCTION who(i integer) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN current_user; END $$;
CREATE FUNCTION reads(i integer) RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT count(*) FROM computed.log); END $$;
SET ROLE computed_owner;
CREATE VIEW v_who WITH (continuous) AS SELECT who(k) AS who, count(*) AS n FROM s GROUP BY 1;
CREATE VIEW v_reads WITH (continuous) AS SELECT sum(reads(k)) AS n FROM s;
RESET ROLE;
SET ROLE computed_writer;
INSERT INTO s VALUES (NULL, 1), (NULL, 2);
SELECT current_user;
RESET ROLE;
SELECT * FROM v_who;
SELECT * FROM v_reads;
SELECT * FROM seen('v_reads');
GRANT SELECT ON log TO computed_owner;
INSERT INTO s VALUES (NULL, 1);
SELECT * FROM v_reads;
-- EXECUTE is the owner's too
REVOKE EXECUTE ON FUNCTION who FROM PUBLIC;
INSERT INTO s VALUES (NULL, 1);
SELECT * FROM v_who;
SELECT * FROM seen('v_who');
SET ROLE computed_owner;
CREATE VIEW v_no WITH (continuous) AS SELECT who(k) AS who FROM s GROUP BY 1;
RESET ROLE;
GRANT EXECUTE ON FUNCTION who TO computed_owner;
INSERT INTO s VALUES (NULL, 1);
SELECT * FROM v_who;

-- a function that is replaced is the new one from then on
CREATE FUNCTION version(i integer) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 'one'; END $$;
CREATE VIEW v_version WITH (continuous) AS SELECT version(k) AS version, count(*) AS n FROM s GROUP BY 1;
INSERT INTO s VALUES (NULL, 1);
CREATE OR REPLACE FUNCTION version(i integer) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 'two'; END $$;
INSERT INTO s VALUES (NULL, 1);
SELECT * FROM v_version ORDER BY 1;

-- the settings of the session that created the view hold for all
SET TimeZone = 'Asia/Kolkata';
SET DateStyle = 'German';
CREATE VIEW v_settings WITH (continuous) AS SELECT t::text AS t, to_char(min(t), 'HH24:MI TZ') AS c, min(t)::text AS m FROM s WHERE t IS NOT NULL GROUP BY 1;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
INSERT INTO s VALUES ('2026-01-01 00:00+00', 1);
SELECT * FROM v_settings;
RESET DateStyle;

-- aggregates of one's own: a record whose transition fails is in error and leaves no trace
CREATE FUNCTION add_picky(bigint, integer) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN IF $2 % 3 = 0 THEN RAISE EXCEPTION 'no % for me', $2; END IF; RETURN $1 + $2; END $$;
CREATE AGGREGATE picky_sum (integer) (SFUNC = add_picky, STYPE = bigint, COMBINEFUNC = int8pl, INITCOND = '0', PARALLEL = SAFE);
-- strict and polymorphic: the first value is the state
CREATE FUNCTION larger(anyelement, anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE STRICT AS
$$ SELECT CASE WHEN $1 > $2 THEN $1 ELSE $2 END $$;
CREATE AGGREGATE largest (anyelement) (SFUNC = larger, STYPE = anyelement, COMBINEFUNC = larger, PARALLEL = SAFE);
-- several arguments, one of them often NULL, and a final function that wants them
CREATE FUNCTION note(text, integer, text) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT greatest($1, $2 || coalesce($3, '?')) $$;
CREATE FUNCTION noted(text, integer, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '<' || $1 || '>' $$;
CREATE FUNCTION note2(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT greatest($1, $2) $$;
CREATE AGGREGATE notes (integer, text) (SFUNC = note, STYPE = text, COMBINEFUNC = note2, FINALFUNC = noted, FINALFUNC_EXTRA, PARALLEL = SAFE);
-- parts that will not be put together
CREATE FUNCTION quarrel(bigint, bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'not with %', $2; END $$;
CREATE AGGREGATE quarrelsome (integer) (SFUNC = add_picky, STYPE = bigint, COMBINEFUNC = quarrel, INITCOND = '0', PARALLEL = SAFE);
CREATE VIEW v_own WITH (continuous) AS
	SELECT k % 2 AS odd, count(*) AS n, sum(k) AS s, picky_sum(k) AS p, largest(k) AS l, largest(v) AS lv, notes(k, v) AS notes,
		   picky_sum(k) FILTER (WHERE k < 5) AS few, stddev(k) AS sd
	  FROM s WHERE k > 0 GROUP BY 1;
CREATE VIEW v_quarrel WITH (continuous) AS SELECT quarrelsome(k) AS q, count(*) AS n FROM s WHERE k > 0;
INSERT INTO s SELECT NULL, i, CASE WHEN i % 4 = 0 THEN 'v' || i END FROM generate_series(-5, 10000) i;
SELECT * FROM v_own ORDER BY odd;
SELECT k % 2 AS odd, count(*) AS n, sum(k) AS s, sum(k) AS p, largest(k) AS l, largest(v) AS lv, notes(k, v) AS notes, sum(k) FILTER (WHERE k < 5) AS few, stddev(k) AS sd
  FROM (SELECT i AS k, CASE WHEN i % 4 = 0 THEN 'v' || i END AS v FROM generate_series(1, 10000) i WHERE i % 3 <> 0) s GROUP BY 1 ORDER BY 1;
SELECT * FROM seen('v_own');
SELECT * FROM v_quarrel;
SELECT n FROM v_quarrel;
SELECT * FROM seen('v_quarrel');

-- code that takes too long suspends its view, alone
SET client_min_messages = error;
CREATE FUNCTION slow(i integer) RETURNS integer LANGUAGE plpgsql STABLE AS $$ BEGIN IF i = 77 THEN PERFORM pg_sleep(20); END IF; RETURN i; END $$;
CREATE VIEW v_slow WITH (continuous) AS SELECT max(slow(k)) AS m, count(*) AS n FROM s;
CREATE VIEW v_beside WITH (continuous) AS SELECT max(k) AS m, count(*) AS n FROM s;
ALTER SYSTEM SET backstream.eval_timeout = '200ms';
SELECT pg_reload_conf();
SELECT pg_sleep(0.3);
INSERT INTO s VALUES (NULL, 1), (NULL, 77), (NULL, 2);
SELECT * FROM v_slow;
SELECT * FROM seen('v_slow');
INSERT INTO s VALUES (NULL, 5);
SELECT * FROM v_slow;
SELECT * FROM v_beside;
ALTER SYSTEM RESET backstream.eval_timeout;
SELECT pg_reload_conf();

DROP SCHEMA computed CASCADE;
REVOKE ALL ON FOREIGN SERVER backstream FROM computed_owner;
DROP ROLE computed_owner, computed_writer;
