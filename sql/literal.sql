-- CREATE, ALTER and DROP CONTINUOUS VIEW as they are written, and backstream.execute().
CREATE SCHEMA literal;
SET search_path = literal;
SET client_min_messages = notice;
CREATE FUNCTION note(name text) RETURNS text LANGUAGE sql
  RETURN (SELECT string_agg(option_name || '=' || regexp_replace(option_value, '\s+', ' ', 'g'), '; ')
            FROM pg_foreign_table, pg_options_to_table(ftoptions)
           WHERE ftrelid = to_regclass(name) AND option_name NOT IN ('timezone', 'datestyle', 'intervalstyle', 'format'));
\set QUIET off
CREATE CONTINUOUS VIEW a AS SELECT count(*) FROM backstream.flow;
SELECT note('a');
CREATE CONTINUOUS VIEW a AS SELECT count(*) FROM backstream.flow;
CREATE CONTINUOUS VIEW IF NOT EXISTS a AS SELECT sum(bytes) FROM backstream.flow;
CREATE CONTINUOUS VIEW IF /* really */ NOT
  EXISTS b (n) WITH (retain = '2 h', clock = data) AS SELECT sum(bytes) FROM backstream.flow;
SELECT note('b');
create or replace continuous view b (n) AS SELECT sum(packets) FROM backstream.flow;
SELECT note('b');
CREATE OR REPLACE CONTINUOUS VIEW IF NOT EXISTS b AS SELECT 1;
/* a comment /* in a comment */ */ -- and another
  CREATE /* and */ CONTINUOUS -- here
  VIEW literal."Quoted ""Name""" AS SELECT count(*) FROM backstream.flow;
ALTER CONTINUOUS VIEW "Quoted ""Name""" RENAME TO c;
ALTER CONTINUOUS VIEW c RENAME COLUMN count TO n;
ALTER CONTINUOUS VIEW c SET (retain = '3 h', max_groups = 10);
ALTER CONTINUOUS VIEW c RESET (max_groups);
SELECT note('c');
CREATE ROLE literal_user;
ALTER CONTINUOUS VIEW c OWNER TO literal_user;
CREATE SCHEMA literal2;
ALTER CONTINUOUS VIEW c SET SCHEMA literal2;
SELECT note('literal2.c');
ALTER CONTINUOUS VIEW IF EXISTS c RENAME TO d;
ALTER CONTINUOUS VIEW IF EXISTS c SET (retain = '1 s');
ALTER CONTINUOUS VIEW c RENAME TO d;
ALTER CONTINUOUS VIEW c SET (retain = '1 s');
ALTER CONTINUOUS VIEW c SET SCHEMA literal2;
DROP CONTINUOUS VIEW c;
DROP CONTINUOUS VIEW IF EXISTS c, b;
DROP CONTINUOUS VIEW a, literal2.c CASCADE;
-- other relations are not meant
CREATE VIEW ordinary AS SELECT 1 AS a;
CREATE FOREIGN TABLE stream (a int) SERVER backstream;
DROP CONTINUOUS VIEW ordinary;
DROP CONTINUOUS VIEW IF EXISTS ordinary;
DROP CONTINUOUS VIEW stream;
ALTER CONTINUOUS VIEW ordinary RENAME TO d;
ALTER CONTINUOUS VIEW ordinary RENAME COLUMN a TO b;
ALTER CONTINUOUS VIEW ordinary OWNER TO literal_user;
ALTER CONTINUOUS VIEW ordinary SET SCHEMA literal2;
CREATE OR REPLACE CONTINUOUS VIEW ordinary AS SELECT count(*) FROM backstream.flow;
DROP VIEW ordinary;
-- errors point at the place
CREATE CONTINUOUS VIEW bad AS SELECT nothing FROM backstream.flow;
CREATE CONTINUOUS VIEW bad
  WITH (retain = 'long')
  AS SELECT count(*) FROM backstream.flow;
CREATE CONTINUOUS VIEW bad AS SELECT 'äöü', bytes +
  * FROM backstream.flow;
CREATE CONTINUOUS VIEW 'bad' AS SELECT 1;
CREATE CONTINUOUS VIEW bad;
CREATE CONTINUOUS VIEWS bad;
CREATE CONTINUOUS TABLE bad;
CREATE CONTINUOUS VIEW;
DROP CONTINUOUS VIEW;
ALTER CONTINUOUS VIEW x;
ALTER CONTINUOUS VIEW x ADD COLUMN a int;
CREATE CONTINUOUS AGGREGATE x;
CREATE TEMP CONTINUOUS VIEW bad AS SELECT count(*) FROM backstream.flow;
SELECT 1 CONTINUOUS VIEW;
-- where it cannot stand there is a hint
BEGIN;
CREATE CONTINUOUS VIEW bad AS SELECT count(*) FROM backstream.flow;
ROLLBACK;
DO $$ BEGIN EXECUTE 'CREATE CONTINUOUS VIEW bad AS SELECT count(*) FROM backstream.flow'; END $$;
SELECT 1\; CREATE CONTINUOUS VIEW bad AS SELECT count(*) FROM backstream.flow;
CREATE CONTINUOUS VIEW bad AS SELECT count(*) FROM backstream.flow\; SELECT 2;
CREATE CONTINUOUS VIEW bad AS SELECT count(*) FROM backstream.flow\; DROP VIEW bad;
SELECT to_regclass('bad');
EXPLAIN CREATE CONTINUOUS VIEW bad AS SELECT count(*) FROM backstream.flow;
PREPARE p AS CREATE CONTINUOUS VIEW bad AS SELECT count(*) FROM backstream.flow;
-- empty statements after it are none
CREATE CONTINUOUS VIEW e AS SELECT count(*) FROM backstream.flow; ;
CREATE CONTINUOUS VIEW e2 AS SELECT count(*) FROM backstream.flow\; ;
DROP CONTINUOUS VIEW e, e2;
-- \gexec
SELECT format('CREATE CONTINUOUS VIEW %I AS SELECT count(*) FROM backstream.flow', 'g' || i) FROM generate_series(1, 2) i \gexec
DROP CONTINUOUS VIEW g1, g2;
-- read-only
SET default_transaction_read_only = on;
CREATE CONTINUOUS VIEW bad AS SELECT count(*) FROM backstream.flow;
DROP CONTINUOUS VIEW b;
RESET default_transaction_read_only;

-- backstream.execute()
SELECT backstream.execute('CREATE CONTINUOUS VIEW x WITH (retain = ''2 h'') AS SELECT count(*) FROM backstream.flow');
BEGIN;
SELECT backstream.execute('create or replace continuous view x as select count(*), sum(bytes) from backstream.flow');
SELECT backstream.execute('DROP CONTINUOUS VIEW x');
ROLLBACK;
SELECT note('x');
DO $$ BEGIN PERFORM backstream.execute('ALTER CONTINUOUS VIEW x RENAME TO y'); END $$;
SELECT note('y');
SELECT backstream.execute('CREATE CONTINUOUS VIEW x AS SELECT nothing FROM backstream.flow');
SELECT backstream.execute('CREATE CONTINUOUS VIEW x AS SELEC');
SELECT backstream.execute('CREATE CONTINUOUS VIEW x AS SELECT count(*) FROM backstream.flow; SELECT 1');
SELECT backstream.execute('DROP TABLE x');
SELECT backstream.execute('');
SELECT backstream.execute(NULL);
SELECT backstream.execute('DROP CONTINUOUS VIEW IF EXISTS y, z');
-- the word means something only there
CREATE VIEW continuous AS SELECT 1 AS continuous;
SELECT continuous FROM continuous continuous;
DROP VIEW continuous;
\set QUIET on
SET client_min_messages = warning;
DROP SCHEMA literal, literal2 CASCADE;
DROP ROLE literal_user;
