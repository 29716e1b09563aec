-- Stored queries follow the names they use, whatever is renamed and whoever renames it.
CREATE SCHEMA rename;
SET search_path = rename, public;
SET client_min_messages = warning;

CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FUNCTION twice(value bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN value * 2;
CREATE FUNCTION same(bigint, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN $1 = $2;
CREATE OPERATOR === (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = same);
CREATE COLLATION byte (provider = libc, locale = 'C');
CREATE FOREIGN TABLE sensor (at timestamptz, name text, tint colour, size positive, duo pair, value bigint)
  SERVER backstream OPTIONS (watermark_by 'name');
CREATE VIEW v WITH (continuous) AS
  SELECT tumble(at, '1 min') AS time, name COLLATE byte AS name, (duo).b AS inner_b,
         sum(twice(value)) AS total, count(*) FILTER (WHERE value === 3) AS threes,
         count(*) FILTER (WHERE tint = 'red') AS reds, max(size::positive) AS size
    FROM sensor WHERE tint <> ALL ('{red,green}'::colour[]) OR tint IS NULL GROUP BY 1, 2, 3;
CREATE FUNCTION text_of(view regclass) RETURNS text LANGUAGE sql
  RETURN (SELECT option_value FROM pg_foreign_table, pg_options_to_table(ftoptions) WHERE ftrelid = view AND option_name = 'query');
SELECT text_of('v');

ALTER FOREIGN TABLE sensor RENAME COLUMN value TO amount;
ALTER FOREIGN TABLE sensor RENAME COLUMN name TO device;
SELECT unnest(ftoptions) FROM pg_foreign_table WHERE ftrelid = 'sensor'::regclass;
ALTER FOREIGN TABLE sensor RENAME TO probe;
ALTER FUNCTION twice RENAME TO doubled;
ALTER TYPE colour RENAME VALUE 'red' TO 'crimson';
ALTER TYPE colour RENAME TO tint_type;
ALTER DOMAIN positive RENAME TO strictly_positive;
ALTER COLLATION byte RENAME TO bytewise;
SELECT text_of('v');
ALTER TYPE pair RENAME ATTRIBUTE b TO second CASCADE;
SELECT text_of('v');
CREATE SCHEMA rename2;
ALTER FOREIGN TABLE probe SET SCHEMA rename2;
ALTER FUNCTION doubled SET SCHEMA rename2;
ALTER TYPE tint_type SET SCHEMA rename2;
ALTER OPERATOR === (bigint, bigint) SET SCHEMA rename2;
ALTER SCHEMA rename2 RENAME TO rename3;
SELECT text_of('v');

-- the view itself, by each of its names
ALTER VIEW v RENAME TO w;
ALTER FOREIGN TABLE w RENAME TO v;
ALTER VIEW v RENAME COLUMN total TO sum_of_doubles;
ALTER FOREIGN TABLE v RENAME COLUMN reds TO crimsons;
ALTER TABLE v RENAME COLUMN threes TO crimsons;
ALTER VIEW v SET SCHEMA rename3;
SELECT text_of('rename3.v');
\d rename3.v
ALTER VIEW IF EXISTS nothing RENAME TO something;
-- dependencies are still there
DROP FUNCTION rename3.doubled;
-- and the text is one that can be read: it takes no change when it is written again
SELECT text_of('rename3.v') AS before \gset
ALTER TYPE rename3.tint_type RENAME TO colour;
ALTER TYPE rename3.colour RENAME TO tint_type;
SELECT text_of('rename3.v') = :'before' AS same;

-- a rollback takes the text back too
BEGIN;
ALTER FOREIGN TABLE rename3.probe RENAME COLUMN amount TO quantity;
SELECT text_of('rename3.v') LIKE '%quantity%' AS follows;
ROLLBACK;
SELECT text_of('rename3.v') = :'before' AS same;

-- by a role that does not own the view, and inside a function
CREATE ROLE rename_user;
GRANT ALL ON SCHEMA rename3 TO rename_user;
ALTER FOREIGN TABLE rename3.probe OWNER TO rename_user;
SET ROLE rename_user;
DO $$ BEGIN ALTER FOREIGN TABLE rename3.probe RENAME COLUMN amount TO quantity; END $$;
RESET ROLE;
SELECT text_of('rename3.v') LIKE '%quantity%' AS follows;
ALTER FOREIGN TABLE rename3.probe OWNER TO CURRENT_USER;

-- a text that cannot be read any more does not stand in the way
CREATE VIEW other WITH (continuous) AS SELECT sum(bytes) AS bytes FROM backstream.flow;
SET allow_system_table_mods = on;
UPDATE pg_foreign_table SET ftoptions[1] = 'query=SELECT nonsense FROM nowhere' WHERE ftrelid = 'other'::regclass;
ALTER FOREIGN TABLE rename3.probe RENAME COLUMN quantity TO amount;
SELECT text_of('rename3.v') LIKE '%amount%' AS follows;
CREATE OR REPLACE VIEW other WITH (continuous) AS SELECT sum(bytes) AS bytes FROM backstream.flow;
ALTER FOREIGN TABLE rename3.probe RENAME COLUMN amount TO quantity;


-- reading a definition runs nobody's code with somebody else's rights
GRANT ALL ON SCHEMA rename TO rename_user;
GRANT USAGE ON FOREIGN SERVER backstream TO rename_user;
GRANT SELECT ON backstream.flow TO rename_user;
SET ROLE rename_user;
CREATE FUNCTION who(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'running as %', current_user; RETURN true; END $$;
CREATE DOMAIN spy AS int CHECK (who(VALUE));
CREATE VIEW spied WITH (continuous) AS SELECT count(*) FROM backstream.flow WHERE proto = ANY ('{6}'::spy[]::int[]);
RESET ROLE;
ALTER TYPE rename3.tint_type RENAME TO colour;

DROP SCHEMA rename, rename3 CASCADE;
DROP OWNED BY rename_user;
DROP ROLE rename_user;

-- what the library finds by its name stays
ALTER SCHEMA backstream RENAME TO other;
ALTER SERVER backstream RENAME TO other;
ALTER FOREIGN DATA WRAPPER backstream RENAME TO other;
ALTER FOREIGN TABLE backstream.flow RENAME TO other;
ALTER FOREIGN TABLE backstream.flow SET SCHEMA public;
