-- How records enter by SQL.  Every case runs twice, over the stream fed.s and the table kept.s; the
-- continuous view fed.v must come to what the same SELECT over the table does.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA fed;
CREATE SCHEMA kept;
CREATE FOREIGN TABLE fed.s (
	t timestamptz, k integer, x bigint DEFAULT 7, v text, gone integer,
	g bigint GENERATED ALWAYS AS (x * 2) STORED
) SERVER backstream;
CREATE TABLE kept.s (
	t timestamptz, k integer, x bigint DEFAULT 7, v text, gone integer,
	g bigint GENERATED ALWAYS AS (x * 2) STORED
);
CREATE VIEW fed.v WITH (continuous, clock = 'data') AS
	SELECT k, count(*) AS n, count(v) AS nv, sum(x) AS x, sum(g) AS g, max(length(v)) AS len,
		   min(t) AS first, sum(hashtext(v)) AS hash
	  FROM fed.s GROUP BY k;
CREATE VIEW kept.v AS
	SELECT k, count(*) AS n, count(v) AS nv, sum(x) AS x, sum(g) AS g, max(length(v)) AS len,
		   min(t) AS first, sum(hashtext(v)) AS hash
	  FROM kept.s GROUP BY k;

-- what differs (nothing) and how much there is
\set compare '(TABLE fed.v EXCEPT ALL TABLE kept.v) UNION ALL (TABLE kept.v EXCEPT ALL TABLE fed.v); SELECT count(*) AS groups, sum(n) AS rows FROM fed.v;'
\set ECHO all

-- rows, defaults, generated columns
\set case 'INSERT INTO s (k) VALUES (1), (2), (NULL); INSERT INTO s (k, x, v) VALUES (2, NULL, \'two\'); INSERT INTO s DEFAULT VALUES;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
\set case 'INSERT INTO s (t, k, x, v) SELECT timestamptz \'2026-01-01\' + i * interval \'1 s\', i % 10, i, repeat(\'x\', i % 50) FROM generate_series(1, 10000) i;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
INSERT INTO fed.s (k, v) VALUES (3, 'three') RETURNING k, x, g, v, tableoid::regclass;
INSERT INTO kept.s (k, v) VALUES (3, 'three') RETURNING k, x, g, v, tableoid::regclass;
:compare
\set case 'WITH i AS (INSERT INTO s (k) VALUES (4), (5) RETURNING k) INSERT INTO s (k) SELECT k + 10 FROM i;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
\set case 'INSERT INTO s (k) VALUES (6) ON CONFLICT DO NOTHING;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
\set case 'PREPARE ins (int) AS INSERT INTO s (k) VALUES ($1); EXECUTE ins(1); EXECUTE ins(2); EXECUTE ins(3); EXECUTE ins(4); EXECUTE ins(5); EXECUTE ins(6); EXECUTE ins(7); DEALLOCATE ins;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
COPY fed.s (t, k, v) FROM stdin;
2026-01-01 00:00:00+00	7	seven
2026-01-01 00:00:01+00	\N	\N
\.
COPY kept.s (t, k, v) FROM stdin;
2026-01-01 00:00:00+00	7	seven
2026-01-01 00:00:01+00	\N	\N
\.
:compare
COPY fed.s (k, v) FROM stdin WITH (FREEZE);
1	a
\.
EXPLAIN (COSTS OFF) INSERT INTO fed.s (k) VALUES (1);
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) INSERT INTO fed.s (k) VALUES (8);
INSERT INTO kept.s (k) VALUES (8);
:compare

-- transactions, savepoints
\set case 'BEGIN; INSERT INTO s (k) VALUES (1); ROLLBACK; BEGIN; INSERT INTO s (k) VALUES (20); COMMIT AND CHAIN; INSERT INTO s (k) VALUES (21); ROLLBACK AND CHAIN; INSERT INTO s (k) VALUES (22); COMMIT;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
\set case 'BEGIN; INSERT INTO s (k) VALUES (30); SAVEPOINT a; INSERT INTO s (k) VALUES (31); SAVEPOINT b; INSERT INTO s (k) VALUES (32); ROLLBACK TO b; INSERT INTO s (k) VALUES (33); RELEASE b; INSERT INTO s (k) VALUES (34); ROLLBACK TO a; INSERT INTO s (k) VALUES (35); SAVEPOINT c; INSERT INTO s (k) VALUES (36); RELEASE c; COMMIT;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
-- the first rows of the transaction are rolled back; nested, released into each other, rolled back later
\set case 'BEGIN; SAVEPOINT a; INSERT INTO s (k) VALUES (40); ROLLBACK TO a; INSERT INTO s (k) VALUES (41); SAVEPOINT b; SAVEPOINT c; INSERT INTO s (k) VALUES (42); RELEASE c; INSERT INTO s (k) VALUES (43); ROLLBACK TO b; SAVEPOINT d; SAVEPOINT e; INSERT INTO s (k) VALUES (44); RELEASE d; INSERT INTO s (k) VALUES (45); COMMIT;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
\set case 'BEGIN; SAVEPOINT a; INSERT INTO s (k) SELECT 46 FROM generate_series(1, 3000); ROLLBACK TO a; COMMIT;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
-- a statement that fails half-way
\set case 'BEGIN; INSERT INTO s (k) VALUES (50); SAVEPOINT a; INSERT INTO s (k) SELECT 51 / (500 - i) FROM generate_series(1, 1000) i; ROLLBACK TO a; INSERT INTO s (k) VALUES (52); COMMIT;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare

-- PL/pgSQL: blocks with exceptions, some failing, nested
CREATE FUNCTION blocks(base int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 2000 LOOP
		INSERT INTO s (k) VALUES (base);
		BEGIN
			INSERT INTO s (k) VALUES (base + 1);
			BEGIN
				INSERT INTO s (k) VALUES (base + 2);
				IF i % 3 = 0 THEN
					RAISE division_by_zero;
				END IF;
			EXCEPTION WHEN division_by_zero THEN
				INSERT INTO s (k) VALUES (base + 3);
			END;
			IF i % 5 = 0 THEN
				RAISE no_data_found;
			END IF;
		EXCEPTION WHEN no_data_found THEN NULL;
		END;
	END LOOP;
END $$;
\set case 'SELECT public.blocks(60); BEGIN; SELECT public.blocks(60); SAVEPOINT a; SELECT public.blocks(60); ROLLBACK TO a; COMMIT;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
-- nothing remains but what follows the last failure
\set case 'DO $$ BEGIN FOR i IN 1 .. 100 LOOP BEGIN INSERT INTO s (k) SELECT 65 FROM generate_series(1, i); IF i < 100 THEN RAISE no_data_found; END IF; EXCEPTION WHEN no_data_found THEN NULL; END; END LOOP; END $$;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
-- a loop over INSERT ... RETURNING; a procedure that commits and rolls back
\set case 'DO $$ DECLARE r record; BEGIN FOR r IN INSERT INTO s (k) SELECT 70 FROM generate_series(1, 5) RETURNING k LOOP INSERT INTO s (k) VALUES (r.k + 1); END LOOP; END $$;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 20 LOOP
		INSERT INTO s (k, x) VALUES (72, i);
		IF i % 3 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
	END LOOP;
END $$;
\set case 'CALL public.commits();'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare

-- triggers: of the stream's own, and deferred ones that insert while the transaction ends
CREATE FUNCTION before_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.k = 80 THEN RETURN NULL; END IF;
	IF NEW.k = 81 THEN NEW.k := 82; END IF;
	RETURN NEW;
END $$;
CREATE FUNCTION after_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.k = 82 THEN EXECUTE format('INSERT INTO %I.s (k) VALUES (83)', TG_TABLE_SCHEMA); END IF;
	RETURN NULL;
END $$;
\set case 'CREATE TRIGGER b BEFORE INSERT ON s FOR EACH ROW EXECUTE FUNCTION public.before_row(); CREATE TRIGGER a AFTER INSERT ON s FOR EACH ROW EXECUTE FUNCTION public.after_row(); INSERT INTO s (k) VALUES (80), (81), (84); DROP TRIGGER b ON s; DROP TRIGGER a ON s;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %I.s (k) VALUES (%s)', TG_TABLE_SCHEMA, NEW.k);
	IF NEW.k = 86 THEN RAISE EXCEPTION 'at the end'; END IF;
	RETURN NULL;
END $$;
\set case 'CREATE TABLE other (k int); CREATE CONSTRAINT TRIGGER late AFTER INSERT ON other DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.at_commit(); BEGIN; INSERT INTO other VALUES (85); COMMIT; BEGIN; INSERT INTO other VALUES (86); COMMIT; DROP TABLE other;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare

-- values that lie elsewhere, gone before the commit
\set case 'BEGIN; CREATE TEMP TABLE big AS SELECT 90 AS k, string_agg(md5(i::text), \'\') AS v FROM generate_series(1, 5000) i; INSERT INTO s (k, v) SELECT k, v FROM big; DROP TABLE big; COMMIT;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
-- wide values are given on before there is a batch of them
\set case 'INSERT INTO s (k, v) SELECT 91, repeat(md5(i::text), 10000) FROM generate_series(1, 50) i;'
SET work_mem = '64kB';
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
RESET work_mem;

-- columns that come and go
\set case 'ALTER TABLE s DROP COLUMN gone; INSERT INTO s (k, x) VALUES (100, 1);'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare
\set case 'BEGIN; INSERT INTO s (k, x) VALUES (101, 1); ALTER TABLE s ADD COLUMN more int; INSERT INTO s (k, x, more) VALUES (101, 2, 3); ALTER TABLE s DROP COLUMN more; INSERT INTO s (k, x) VALUES (101, 4); COMMIT;'
SET search_path = fed; :case SET search_path = kept; :case RESET search_path; :compare

-- a view made after the rows, in the same transaction: they count at the commit
BEGIN;
CREATE FOREIGN TABLE young (k int, v text) SERVER backstream;
INSERT INTO young VALUES (1, 'a'), (2, 'b');
CREATE VIEW young_view WITH (continuous) AS SELECT k, count(*) AS n FROM young GROUP BY k;
INSERT INTO young VALUES (2, 'c');
COMMIT;
SELECT * FROM young_view ORDER BY k;
-- rows with an older type of a column
BEGIN;
DROP VIEW young_view;
INSERT INTO young VALUES (3, 'd');
ALTER FOREIGN TABLE young ALTER COLUMN k TYPE bigint;
CREATE VIEW young_view WITH (continuous) AS SELECT k, count(*) AS n FROM young GROUP BY k;
COMMIT;
-- the stream is gone at the commit, or was and is back
BEGIN;
INSERT INTO young VALUES (4, 'e');
SAVEPOINT a;
DROP FOREIGN TABLE young CASCADE;
ROLLBACK TO a;
COMMIT;
SELECT * FROM young_view ORDER BY k;
BEGIN;
INSERT INTO young VALUES (5, 'f');
DROP FOREIGN TABLE young CASCADE;
COMMIT;

-- constraints are not enforced, as PostgreSQL has it for foreign tables
CREATE FOREIGN TABLE bound (k int NOT NULL, x int CHECK (x > 0)) SERVER backstream;
CREATE VIEW bound_view WITH (continuous) AS SELECT count(*) AS n, sum(x) AS x FROM bound;
INSERT INTO bound VALUES (NULL, -1);
SELECT * FROM bound_view;
DROP FOREIGN TABLE bound CASCADE;

-- what is not done
UPDATE fed.s SET k = 1;
UPDATE fed.s SET k = 1 WHERE k IN (SELECT k FROM kept.s);
DELETE FROM fed.s;
TRUNCATE fed.s;
MERGE INTO fed.s USING kept.s ON false WHEN NOT MATCHED THEN INSERT (k) VALUES (1);
INSERT INTO fed.v (k) VALUES (1);
COPY fed.v (k) FROM stdin;
\.
UPDATE fed.v SET k = 1;
DELETE FROM fed.v;
TRUNCATE fed.v;
BEGIN READ ONLY;
INSERT INTO fed.s (k) VALUES (1);
ROLLBACK;
BEGIN;
INSERT INTO fed.s (k) VALUES (1);
PREPARE TRANSACTION 'x';
SELECT table_name, is_insertable_into FROM information_schema.tables
 WHERE table_schema = 'fed' ORDER BY table_name;
:compare
CREATE ROLE feeder;
GRANT USAGE ON SCHEMA fed, kept TO feeder;
SET ROLE feeder;
INSERT INTO fed.s (k) VALUES (1);
RESET ROLE;
GRANT INSERT (k) ON fed.s, kept.s TO feeder;
SET ROLE feeder;
INSERT INTO fed.s (k) VALUES (110);
INSERT INTO kept.s (k) VALUES (110);
INSERT INTO fed.s (k, v) VALUES (110, 'x');
RESET ROLE;
:compare

-- no space for the rows, caught: what was there before is lost with it, so the commit is refused
SET temp_file_limit = '1MB';
SET work_mem = '64kB';
BEGIN;
INSERT INTO fed.s (k) VALUES (1);
SAVEPOINT a;
INSERT INTO fed.s (k) SELECT generate_series(1, 1000000);
ROLLBACK TO a;
INSERT INTO fed.s (k) VALUES (1);
ROLLBACK TO a;
COMMIT;
-- nothing was there before: go on
BEGIN;
SAVEPOINT a;
INSERT INTO fed.s (k) SELECT generate_series(1, 1000000);
ROLLBACK TO a;
INSERT INTO fed.s (k) VALUES (120);
COMMIT;
INSERT INTO kept.s (k) VALUES (120);
RESET temp_file_limit;
RESET work_mem;
:compare

-- nothing was left out
SELECT n = received AND n = records AS all_counted, filtered, late, future, untimed, overflowed, errors, state
  FROM backstream.views, (SELECT sum(n) AS n FROM kept.v) k WHERE view = 'fed.v'::regclass;

-- what backstream.flow fills in: the time of the commit, and the event's time
CREATE VIEW filled WITH (continuous) AS
	SELECT exporter, min(time_received) AS received, min(time_event) AS event
	  FROM backstream.flow GROUP BY exporter;
BEGIN;
SELECT clock_timestamp() AS began \gset
INSERT INTO backstream.flow (exporter) VALUES ('10.0.0.1') RETURNING time_received, time_event;
INSERT INTO backstream.flow (exporter, time_received) VALUES ('10.0.0.2', '2026-01-01 00:00:02');
INSERT INTO backstream.flow (exporter, time_received, time_export)
VALUES ('10.0.0.3', '2026-01-01 00:00:02', '2026-01-01 00:00:03');
INSERT INTO backstream.flow (exporter, time_received, time_export, time_flow_end)
VALUES ('10.0.0.4', '2026-01-01 00:00:02', '2026-01-01 00:00:03', '2026-01-01 00:00:04');
INSERT INTO backstream.flow (exporter, time_received, time_export, time_flow_end, time_event)
VALUES ('10.0.0.5', '2026-01-01 00:00:02', '2026-01-01 00:00:03', '2026-01-01 00:00:04', '2026-01-01 00:00:05');
SELECT clock_timestamp() AS before_commit \gset
COMMIT;
SELECT exporter, CASE WHEN exporter <> '10.0.0.1' THEN received END AS received,
	   CASE WHEN exporter <> '10.0.0.1' THEN event END AS event,
	   received BETWEEN :'before_commit' AND clock_timestamp() AS at_commit, event = received AS same
  FROM filled ORDER BY exporter;
DROP VIEW filled;

-- reading a stream
SET backstream.listen_for = '10 ms';
SELECT count(*) FROM backstream.flow;
SELECT count(*) FROM fed.s JOIN kept.s USING (k);
ANALYZE fed.s;

REVOKE ALL ON SCHEMA fed, kept FROM feeder;
DROP SCHEMA fed, kept CASCADE;
DROP ROLE feeder;
DROP FUNCTION blocks(int), before_row(), after_row(), at_commit();
DROP PROCEDURE commits();
