-- Continuous views by CREATE VIEW ... WITH (continuous): what they are, and what may be done to them.
SET client_min_messages = notice;
CREATE SCHEMA ddl;
SET search_path = ddl;

CREATE VIEW load WITH (continuous) AS
  SELECT tumble(time_flow_end, '10 s') AS time, count(*) AS records, sum(packets) AS packets, sum(bytes) AS bytes
    FROM backstream.flow GROUP BY 1;
\d load
-- by every name: columns, aliases, quoting, schemas
CREATE VIEW "Top Talkers" ("Source", "sum of ""bytes""") WITH (continuous, retain = '30 min', lateness = 5, max_groups = 1000, clock = data, show = closed) AS
  SELECT src_addr, sum(bytes), count(*) FROM backstream.flow WHERE bytes > 0 GROUP BY src_addr;
\d "Top Talkers"
SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema = 'ddl' ORDER BY 2;
CREATE SCHEMA ddl2 CREATE VIEW v WITH (continuous) AS SELECT count(*) FROM backstream.flow;
CREATE VIEW ddl2.w WITH (continuous = true) AS SELECT max(bytes) FROM backstream.flow;
CREATE VIEW plain WITH (continuous = false) AS SELECT 1;

-- places where it can stand
BEGIN;
CREATE VIEW t WITH (continuous) AS SELECT count(*) FROM backstream.flow;
SAVEPOINT s;
DROP VIEW t;
ROLLBACK TO s;
DROP VIEW t;
ROLLBACK;
SELECT to_regclass('t');
DO $$ BEGIN CREATE VIEW t WITH (continuous) AS SELECT count(*) FROM backstream.flow; END $$;
DO $$ BEGIN EXECUTE 'CREATE OR REPLACE VIEW t WITH (continuous) AS SELECT count(*), sum(bytes) FROM backstream.flow'; END $$;
CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP VIEW t; CREATE VIEW t WITH (continuous) AS SELECT count(*) FROM backstream.flow; END $$;
SELECT f();
SELECT f();
DROP VIEW t;
DROP FUNCTION f;

-- the user's own objects come before the extension's
CREATE FUNCTION scaled(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN $1;
CREATE VIEW own WITH (continuous) AS SELECT sum(scaled(bytes, sampling_rate)) FROM backstream.flow;
SELECT unnest(ftoptions) FROM pg_foreign_table WHERE ftrelid = 'own'::regclass LIMIT 1;
DROP VIEW own;
DROP FUNCTION scaled;

-- errors point at the place
CREATE VIEW bad WITH (continuous) AS SELECT nothing FROM backstream.flow;
CREATE VIEW bad WITH (continuous) AS SELECT count(*) FROM nowhere;
CREATE VIEW bad WITH (continuous, retain = 'long') AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, retain = '1 month') AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, retain = '-1 s') AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, retain = '2147483647 days') AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, idle = 0) AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, max_groups = 0) AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, max_groups = many) AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, clock = sun) AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, retain) AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, retain = '1 s', retain = '2 s') AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, colour = 'red') AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, toast.retain = '1 s') AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, query = 'SELECT 1') AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, timezone = 'Atlantis') AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, window = '5 min') AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad WITH (continuous, notify = 'x') AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad (a, b) WITH (continuous) AS SELECT count(*) FROM backstream.flow;
CREATE VIEW bad (a, a) WITH (continuous) AS SELECT count(*), sum(bytes) FROM backstream.flow;
CREATE TEMP VIEW bad WITH (continuous) AS SELECT count(*) FROM backstream.flow;
CREATE VIEW pg_temp.bad WITH (continuous) AS SELECT count(*) FROM backstream.flow;
CREATE FOREIGN TABLE pg_temp.bad (count bigint) SERVER backstream OPTIONS (query 'SELECT count(*) AS count FROM backstream.flow');
CREATE FOREIGN TABLE pg_temp.bad (t timestamptz) SERVER backstream;
CREATE VIEW bad WITH (continuous) AS SELECT count(*) FROM backstream.flow WITH CHECK OPTION;
CREATE VIEW load WITH (continuous) AS SELECT count(*) FROM backstream.flow;

-- a temporary table of the same name is not taken for it
CREATE TEMP TABLE shadow (a int);
CREATE VIEW ddl.shadow WITH (continuous) AS SELECT count(*) FROM backstream.flow;
CREATE OR REPLACE VIEW shadow WITH (continuous) AS SELECT count(*), sum(bytes) FROM backstream.flow;
\d ddl.shadow
DROP TABLE pg_temp.shadow;
DROP VIEW shadow;

-- OR REPLACE keeps the table
GRANT SELECT ON load TO PUBLIC;
COMMENT ON VIEW load IS 'how much';
SELECT 'load'::regclass::oid AS before \gset
CREATE OR REPLACE VIEW load WITH (continuous, retain = '5 min') AS
  SELECT tumble(time_flow_end, '20 s') AS time, count(*) AS records, sum(packets) AS packets, sum(bytes) AS bytes,
         max(bytes) AS largest
    FROM backstream.flow WHERE proto = 6 GROUP BY 1;
SELECT 'load'::regclass::oid = :before AS same, obj_description(:before), relacl IS NOT NULL AS granted FROM pg_class WHERE oid = :before;
\d load
SELECT pg_describe_object(refclassid, refobjid, refobjsubid) FROM pg_depend
 WHERE classid = 'pg_class'::regclass AND objid = 'load'::regclass AND objsubid = 0 ORDER BY 1;
CREATE OR REPLACE VIEW load WITH (continuous) AS SELECT count(*) AS records FROM backstream.flow;
CREATE OR REPLACE VIEW load WITH (continuous) AS
  SELECT tumble(time_flow_end, '20 s') AS time, count(*) AS records, sum(packets) AS packets, avg(bytes) AS mean, 1 AS a
    FROM backstream.flow GROUP BY 1;
CREATE OR REPLACE VIEW load WITH (continuous) AS
  SELECT tumble(time_flow_end, '20 s') AS time, count(*) AS records, sum(packets) AS packets FROM backstream.flow GROUP BY 1;
CREATE OR REPLACE VIEW load WITH (continuous) AS SELECT count(*) FROM load;
CREATE TABLE ordinary (a int);
CREATE OR REPLACE VIEW ordinary WITH (continuous) AS SELECT count(*) FROM backstream.flow;
CREATE OR REPLACE VIEW load AS SELECT 1;
DROP TABLE ordinary;

-- ALTER
ALTER VIEW load SET (retain = '10 min', lateness = '3 s');
ALTER VIEW load RESET (lateness, idle);
ALTER FOREIGN TABLE load OPTIONS (ADD max_groups '5', SET retain '11 min');
SELECT unnest(ftoptions[2:]) FROM pg_foreign_table WHERE ftrelid = 'load'::regclass;
ALTER VIEW load SET (retain = '1 year');
ALTER VIEW load SET (query = 'SELECT 1');
ALTER VIEW load SET (timezone = 'UTC');
ALTER VIEW load RESET (colour);
ALTER FOREIGN TABLE load OPTIONS (SET query 'garbage');
ALTER FOREIGN TABLE load OPTIONS (DROP query);
ALTER FOREIGN TABLE load OPTIONS (SET retain 'garbage');
ALTER FOREIGN TABLE load ADD COLUMN a int;
ALTER FOREIGN TABLE load DROP COLUMN records;
ALTER FOREIGN TABLE load ALTER COLUMN records TYPE int;
ALTER FOREIGN TABLE load ALTER COLUMN records SET NOT NULL;
ALTER TABLE load ADD CHECK (records > 0);
ALTER VIEW load ALTER COLUMN records SET DEFAULT 1;
CREATE TABLE parent (records bigint);
ALTER FOREIGN TABLE load INHERIT parent;
CREATE TABLE child () INHERITS (load);
CREATE TABLE child () INHERITS (backstream.flow);
DROP TABLE parent;
ALTER FOREIGN TABLE backstream.flow ADD COLUMN a int;
ALTER FOREIGN TABLE backstream.flow RENAME COLUMN bytes TO octets;
ALTER FOREIGN TABLE backstream.flow OPTIONS (ADD query 'SELECT 1');

-- DROP
CREATE VIEW reader AS SELECT * FROM load;
DROP VIEW load;
DROP VIEW load, reader, "Top Talkers";
DROP VIEW IF EXISTS load;
DROP VIEW load;

-- streams: what depends on them
CREATE FOREIGN TABLE sensor (at timestamptz, device text, value float8) SERVER backstream OPTIONS (watermark_by 'device');
CREATE VIEW temperature WITH (continuous) AS SELECT tumble(at, '1 min') AS time, avg(value) FROM sensor GROUP BY 1;
DROP FOREIGN TABLE sensor;
ALTER FOREIGN TABLE sensor DROP COLUMN value;
ALTER FOREIGN TABLE sensor ALTER COLUMN value TYPE numeric;
ALTER FOREIGN TABLE sensor DROP COLUMN device;
ALTER FOREIGN TABLE sensor OPTIONS (SET watermark_by 'nothing');
ALTER FOREIGN TABLE sensor ADD COLUMN more int;
CREATE FOREIGN TABLE bad (a int) SERVER backstream OPTIONS (watermark_by 'b');
CREATE FOREIGN TABLE bad (a int) SERVER backstream OPTIONS (retain '1 h');
CREATE FOREIGN TABLE bad (a int) INHERITS (ordinary) SERVER backstream;
DROP FOREIGN TABLE sensor CASCADE;

-- as pg_dump writes it
CREATE FOREIGN TABLE dumped (n bigint, b numeric) SERVER backstream OPTIONS (query 'SELECT count(*) AS n, sum(bytes) AS b FROM backstream.flow', retain '2 h');
\d dumped
CREATE FOREIGN TABLE bad (n int) SERVER backstream OPTIONS (query 'SELECT count(*) AS n FROM backstream.flow');
CREATE FOREIGN TABLE bad (m bigint) SERVER backstream OPTIONS (query 'SELECT count(*) AS n FROM backstream.flow');
CREATE FOREIGN TABLE bad (n bigint, m bigint) SERVER backstream OPTIONS (query 'SELECT count(*) AS n FROM backstream.flow');
CREATE FOREIGN TABLE bad () SERVER backstream OPTIONS (query 'SELECT count(*) AS n FROM backstream.flow');
CREATE FOREIGN TABLE bad (n bigint NOT NULL) SERVER backstream OPTIONS (query 'SELECT count(*) AS n FROM backstream.flow');
CREATE FOREIGN TABLE bad (n bigint) SERVER backstream OPTIONS (query 'SELECT count(*) AS n FROM');
CREATE FOREIGN TABLE bad (n bigint) SERVER backstream OPTIONS (query 'SELECT count(*) AS n FROM flow');
CREATE FOREIGN TABLE bad (n bigint) SERVER backstream OPTIONS (query 'DELETE FROM backstream.exporter_config');
CREATE FOREIGN TABLE bad (n bigint) SERVER backstream OPTIONS (query 'SELECT 1 AS n UNION SELECT 2');
CREATE FOREIGN TABLE bad (n bigint) SERVER backstream OPTIONS (query 'SELECT count(*) AS n FROM backstream.flow', format '99');
CREATE FOREIGN TABLE bad (n bigint) SERVER backstream OPTIONS (query 'SELECT count(*) AS n FROM backstream.flow', datestyle 'Klingon');
CREATE FOREIGN TABLE IF NOT EXISTS dumped (n bigint) SERVER backstream OPTIONS (query 'SELECT 1');
DROP FOREIGN TABLE dumped;

-- text is the same whatever the session's settings, and they are remembered
SET TimeZone = 'America/Sao_Paulo';
SET DateStyle = 'German';
SET IntervalStyle = 'iso_8601';
SET quote_all_identifiers = on;
SET standard_conforming_strings = off;
SET escape_string_warning = off;
CREATE VIEW pinned WITH (continuous) AS
  SELECT date_trunc('day', time_received) AS day, count(*) FILTER (WHERE time_received > '08.05.2025 00:00' AND flow_type <> 'a\\b''c') AS n,
         max(time_flow_end - time_flow_start) + interval 'P1DT2H' AS longest
    FROM backstream.flow GROUP BY 1;
RESET TimeZone;
RESET DateStyle;
RESET IntervalStyle;
RESET quote_all_identifiers;
RESET standard_conforming_strings;
RESET escape_string_warning;
\d pinned
DROP VIEW pinned;

-- rights
CREATE ROLE ddl_nobody;
CREATE ROLE ddl_user;
GRANT ALL ON SCHEMA ddl TO ddl_nobody, ddl_user;
GRANT USAGE ON FOREIGN SERVER backstream TO ddl_user;
SET ROLE ddl_nobody;
CREATE VIEW theirs WITH (continuous) AS SELECT count(bytes) FROM backstream.flow;
RESET ROLE;
GRANT SELECT ON backstream.flow TO ddl_nobody;
SET ROLE ddl_nobody;
CREATE VIEW theirs WITH (continuous) AS SELECT count(bytes) FROM backstream.flow;
SET ROLE ddl_user;
CREATE VIEW theirs WITH (continuous) AS SELECT count(bytes) FROM backstream.flow;
RESET ROLE;
GRANT SELECT (bytes) ON backstream.flow TO ddl_user;
SET ROLE ddl_user;
CREATE VIEW theirs WITH (continuous) AS SELECT count(packets) FROM backstream.flow;
CREATE VIEW theirs WITH (continuous) AS SELECT count(bytes) FROM backstream.flow;
SET ROLE ddl_nobody;
DROP VIEW theirs;
ALTER VIEW theirs SET (retain = '1 s');
CREATE OR REPLACE VIEW theirs WITH (continuous) AS SELECT count(bytes) FROM backstream.flow;
RESET ROLE;
ALTER VIEW theirs OWNER TO ddl_nobody;
REVOKE SELECT ON backstream.flow FROM ddl_nobody;
ALTER VIEW theirs OWNER TO ddl_user;
ALTER VIEW theirs OWNER TO ddl_nobody;
SET ROLE ddl_user;
CREATE FOREIGN TABLE unread (n bigint) SERVER backstream OPTIONS (query 'SELECT count(packets) AS n FROM backstream.flow');
RESET ROLE;
SELECT relowner::regrole FROM pg_class WHERE oid = 'theirs'::regclass;
DROP VIEW theirs;
BEGIN READ ONLY;
CREATE VIEW theirs WITH (continuous) AS SELECT count(bytes) FROM backstream.flow;
ROLLBACK;

-- event triggers see what is really made
CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% %', tg_event, tg_tag; END $$;
CREATE EVENT TRIGGER note ON ddl_command_start EXECUTE FUNCTION note();
CREATE VIEW seen WITH (continuous) AS SELECT count(*) FROM backstream.flow;
DROP VIEW seen;
DROP EVENT TRIGGER note;

DROP OWNED BY ddl_user, ddl_nobody;
DROP ROLE ddl_user, ddl_nobody;
SET client_min_messages = warning;
DROP SCHEMA ddl, ddl2 CASCADE;
