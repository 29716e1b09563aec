-- What the extension brings: objects, comments, settings, and the plain functions.
SELECT extname, extversion, nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace
 WHERE extname = 'backstream';

-- every object that people see has a comment
SELECT pg_describe_object(classid, objid, 0) AS without_comment FROM pg_depend
 WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
   AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'backstream')
   AND classid <> 'pg_type'::regclass AND obj_description(objid, classid::regclass::name) IS NULL;
SELECT attrelid::regclass, attname FROM pg_attribute
 WHERE attrelid IN ('backstream.flow'::regclass, 'backstream.exporter_config'::regclass)
   AND attnum > 0 AND col_description(attrelid, attnum) IS NULL;

SELECT attnum, attname, format_type(atttypid, atttypmod) FROM pg_attribute
 WHERE attrelid = 'backstream.flow'::regclass AND attnum > 0 ORDER BY attnum;

-- settings
\a\t
SELECT name, boot_val, unit, context FROM pg_settings
 WHERE name LIKE 'backstream.%' AND name NOT IN ('backstream.listen', 'backstream.memory') ORDER BY name;
\a\t
SET backstream.nonsense = 1;
SET backstream.listen_for = '3s';
RESET backstream.listen_for;

-- tumble
SET TimeZone = 'UTC';
SELECT backstream.tumble('2026-01-01 12:34:56.7+00', '5 min');
SELECT backstream.tumble('2026-01-01 12:34:56.7+00', '1 week');
SELECT backstream.tumble('1999-12-31 23:59:59+00', '1 day');
SELECT backstream.tumble(NULL, '1 day'), backstream.tumble('infinity', '1 day'), backstream.tumble('2026-01-01', NULL);
SELECT backstream.tumble('2026-01-01', '1 month');
SELECT backstream.tumble('2026-01-01', '0');
-- it is inlined
EXPLAIN (VERBOSE, COSTS OFF) SELECT backstream.tumble(t, '10 s') FROM generate_series(timestamptz '2026-01-01', '2026-01-02', '1 h') t;
RESET TimeZone;

-- scaled
SELECT backstream.scaled(10, 3), backstream.scaled(10, NULL), backstream.scaled(NULL, 3);
SELECT backstream.scaled(9223372036854775807, 2);

-- ANALYZE does not wait for records
ANALYZE backstream.flow;

-- settings that cannot be
ALTER SYSTEM SET backstream.listen = 'localhost';
ALTER SYSTEM SET backstream.allow = '10.0.0.0/33';
ALTER SYSTEM SET backstream.listen = '*:2055, [::1]:4739';
ALTER SYSTEM RESET backstream.listen;
