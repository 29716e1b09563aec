-- Options notify, notify_on, notify_limit: which views can have them, and what they may be.
CREATE FOREIGN TABLE out_s (t timestamptz, a int, b text, x xml) SERVER backstream;
CREATE VIEW out_totals WITH (continuous, notify = 'ch') AS SELECT count(*) FROM out_s;
CREATE VIEW out_bad WITH (continuous, notify = '') AS SELECT tumble(t, '1 s') AS time, count(*) FROM out_s GROUP BY 1;
CREATE VIEW out_bad WITH (continuous, notify = '0123456789012345678901234567890123456789012345678901234567890123') AS SELECT tumble(t, '1 s') AS time, count(*) FROM out_s GROUP BY 1;
CREATE VIEW out_bad WITH (continuous, notify = 'ch', notify_on = 'never') AS SELECT tumble(t, '1 s') AS time, count(*) FROM out_s GROUP BY 1;
CREATE VIEW out_bad WITH (continuous, notify = 'ch', notify_limit = '-1') AS SELECT tumble(t, '1 s') AS time, count(*) FROM out_s GROUP BY 1;
CREATE VIEW out_v WITH (continuous, clock = 'data', lateness = '0', notify = 'ch', notify_on = 'change', notify_limit = 5) AS
  SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM out_s GROUP BY 1, 2;
-- a name, not a comma-separated list of them
ALTER VIEW out_v SET (notify = 'a channel, with "everything"');
SELECT option_name, option_value FROM pg_options_to_table((SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'out_v'::regclass)) WHERE option_name LIKE 'notify%' ORDER BY 1;
CREATE VIEW out_t WITH (continuous) AS SELECT count(*) FROM out_s;
ALTER VIEW out_t SET (notify = 'ch');
SELECT count(*) FROM pg_foreign_table WHERE ftrelid = 'out_t'::regclass AND ftoptions::text LIKE '%notify%';
INSERT INTO out_s VALUES ('2026-01-01 00:00:00+00', 1), ('2026-01-01 00:00:01+00', 2);
SELECT backstream.settle();
SELECT view, output, target, windows, rows, rows_failed, windows_missed, last_error FROM backstream.outputs WHERE view = 'out_v'::regclass;
-- An output that is taken away and given again begins with what closes from then on.
ALTER VIEW out_v RESET (notify);
INSERT INTO out_s VALUES ('2026-01-01 00:00:05+00', 1);
SELECT count(*) FROM backstream.outputs WHERE view = 'out_v'::regclass;
ALTER VIEW out_v SET (notify = 'ch');
INSERT INTO out_s VALUES ('2026-01-01 00:00:06+00', 1);
SELECT backstream.settle();
SELECT windows FROM backstream.outputs WHERE view = 'out_v'::regclass;
DROP FOREIGN TABLE out_s CASCADE;

-- Option archive: tables are made, or checked by the names of columns.
CREATE FOREIGN TABLE out_s (t timestamptz, a int, b text) SERVER backstream;
CREATE VIEW out_bad WITH (continuous, archive = 'out_hist') AS SELECT count(*) FROM out_s;
CREATE VIEW out_bad WITH (continuous, archive = 'out_hist') AS SELECT a, count(*) AS n FROM out_s GROUP BY tumble(t, '1 s'), a;
CREATE VIEW out_bad WITH (continuous, archive = 'no_schema.out_hist') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM out_s GROUP BY 1, 2;
CREATE VIEW out_bad WITH (continuous, archive = 'a.b.c.d') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM out_s GROUP BY 1, 2;
CREATE VIEW out_bad WITH (continuous, archive = '') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM out_s GROUP BY 1, 2;
CREATE TABLE out_less (time timestamptz, n bigint);
CREATE TABLE out_other (time timestamptz, a bigint, n bigint);
CREATE TABLE out_more (time timestamptz, a int, n bigint, must int NOT NULL);
CREATE TABLE out_made (time timestamptz, a int, n bigint GENERATED ALWAYS AS (1) STORED);
CREATE UNLOGGED TABLE out_unlogged (time timestamptz, a int, n bigint);
CREATE VIEW out_view AS SELECT now() AS time, 1 AS a, bigint '1' AS n;
CREATE VIEW out_bad WITH (continuous, archive = 'out_less') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM out_s GROUP BY 1, 2;
CREATE VIEW out_bad WITH (continuous, archive = 'out_other') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM out_s GROUP BY 1, 2;
CREATE VIEW out_bad WITH (continuous, archive = 'out_more') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM out_s GROUP BY 1, 2;
CREATE VIEW out_bad WITH (continuous, archive = 'out_made') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM out_s GROUP BY 1, 2;
CREATE VIEW out_bad WITH (continuous, archive = 'out_unlogged') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM out_s GROUP BY 1, 2;
CREATE VIEW out_bad WITH (continuous, archive = 'out_view') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM out_s GROUP BY 1, 2;
CREATE VIEW out_bad WITH (continuous, archive = 'out_s') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM out_s GROUP BY 1, 2;
SELECT count(*) FROM pg_class WHERE relname IN ('out_bad', 'out_hist');
ALTER TABLE out_more ALTER must SET DEFAULT 7;
CREATE VIEW "Out v" WITH (continuous, clock = 'data', lateness = '0', archive = '"Out hist"') AS SELECT tumble(t, '1 s') AS "The time", a, count(*) AS n FROM out_s GROUP BY 1, 2;
\d "Out hist"
CREATE VIEW out_bad WITH (continuous, archive = 'public."Out hist"') AS SELECT tumble(t, '1 s') AS "The time", a, count(*) AS n FROM out_s GROUP BY 1, 2;
INSERT INTO out_s VALUES ('2026-01-01 00:00:00+00', 1), ('2026-01-01 00:00:00+00', NULL), ('2026-01-01 00:00:01+00', 2);
SELECT backstream.settle();
SELECT "The time" AT TIME ZONE 'UTC' AS time, a, n FROM "Out hist" ORDER BY a;
-- Names follow; the table is needed.
DROP TABLE "Out hist";
CREATE SCHEMA out_schema;
ALTER TABLE "Out hist" SET SCHEMA out_schema;
ALTER TABLE out_schema."Out hist" RENAME TO hist;
ALTER SCHEMA out_schema RENAME TO "Out schema";
SELECT target FROM backstream.outputs WHERE view = '"Out v"'::regclass;
-- A replaced view needs its columns there.
CREATE OR REPLACE VIEW "Out v" WITH (continuous, clock = 'data', lateness = '0', archive = '"Out schema".hist') AS SELECT tumble(t, '1 s') AS "The time", a, count(*) AS n, max(b) AS b FROM out_s GROUP BY 1, 2;
ALTER TABLE "Out schema".hist ADD b text;
CREATE OR REPLACE VIEW "Out v" WITH (continuous, clock = 'data', lateness = '0', archive = '"Out schema".hist') AS SELECT tumble(t, '1 s') AS "The time", a, count(*) AS n, max(b) AS b FROM out_s GROUP BY 1, 2;
INSERT INTO out_s VALUES ('2026-01-01 00:00:00+00', 1, 'again'), ('2026-01-01 00:00:01+00', 2, 'x'), ('2026-01-01 00:00:02+00', 2, NULL);
SELECT backstream.settle();
SELECT "The time" AT TIME ZONE 'UTC' AS time, a, n, b FROM "Out schema".hist ORDER BY 1, a;
-- Without the option the table is free.
ALTER VIEW "Out v" RESET (archive);
DROP SCHEMA "Out schema" CASCADE;
DROP VIEW out_view;
DROP FOREIGN TABLE out_s CASCADE;
DROP TABLE out_less, out_other, out_more, out_made, out_unlogged;
