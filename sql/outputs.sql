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
