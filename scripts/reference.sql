-- SPDX-License-Identifier: PostgreSQL
-- The parts of docs/reference.md that the server knows, as Markdown: functions, aggregates, relations with
-- their columns, settings.  Run by scripts/update-reference.sh.
\pset tuples_only on
\pset format unaligned
SET search_path = pg_catalog;

CREATE TEMP VIEW member AS
  SELECT d.classid, d.objid FROM pg_depend d
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
   WHERE d.deptype = 'e' AND e.extname = 'backstream';
-- A bar ends a cell.
CREATE FUNCTION pg_temp.cell(text) RETURNS text LANGUAGE sql
  RETURN replace(regexp_replace(coalesce($1, ''), '\s+', ' ', 'g'), '|', '\|');

\qecho '## Functions'
\qecho
\qecho 'In schema `backstream`. Those that only the server can call (parts of aggregates, triggers, handlers) are left out.'
\qecho
\qecho '| function | returns | |'
\qecho '|---|---|---|'
SELECT format('| `%s(%s)` | `%s` | %s |', p.proname, pg_temp.cell(pg_get_function_arguments(p.oid)),
              CASE WHEN pg_get_function_result(p.oid) LIKE 'TABLE(%' THEN 'TABLE'
                   ELSE pg_temp.cell(pg_get_function_result(p.oid)) END,
              pg_temp.cell(obj_description(p.oid, 'pg_proc')) ||
              CASE WHEN pg_get_function_result(p.oid) LIKE 'TABLE(%'
                   THEN ' Columns: `' || pg_temp.cell(substring(pg_get_function_result(p.oid), '^TABLE\((.*)\)$')) || '`'
                   ELSE '' END)
  FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
 WHERE p.prokind IN ('f', 'p')
   AND NOT p.proargtypes::oid[] || p.prorettype
       && ARRAY['internal', 'cstring', 'trigger', 'event_trigger', 'fdw_handler']::regtype[]::oid[]
 ORDER BY p.proname COLLATE "C", pg_get_function_arguments(p.oid) COLLATE "C";

\qecho
\qecho '## Aggregates'
\qecho
\qecho '| aggregate | returns | |'
\qecho '|---|---|---|'
SELECT format('| `%s(%s)` | `%s` | %s |', p.proname, pg_temp.cell(pg_get_function_arguments(p.oid)),
              pg_temp.cell(pg_get_function_result(p.oid)), pg_temp.cell(obj_description(p.oid, 'pg_proc')))
  FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
 WHERE p.prokind = 'a' ORDER BY p.proname COLLATE "C", pg_get_function_arguments(p.oid) COLLATE "C";

\qecho
\qecho '## Relations'
SELECT format(E'\n### backstream.%s\n\n%s: %s\n\n| column | type | |\n|---|---|---|\n%s', c.relname,
              CASE c.relkind WHEN 'v' THEN 'View' WHEN 'f' THEN 'Foreign table' WHEN 'c' THEN 'Type' ELSE 'Table' END,
              obj_description(c.oid, 'pg_class'),
              (SELECT string_agg(format('| `%s` | `%s` | %s |', a.attname, format_type(a.atttypid, a.atttypmod),
                                        pg_temp.cell(col_description(c.oid, a.attnum))), E'\n' ORDER BY a.attnum)
                 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
  FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
 WHERE c.relkind IN ('v', 'f', 'r', 'c') ORDER BY c.relname COLLATE "C";

\qecho
\qecho '## Types and operators'
\qecho
\qecho '| | |'
\qecho '|---|---|'
SELECT format('| %s | %s |', pg_temp.cell(pg_describe_object(m.classid, m.objid, 0)),
              pg_temp.cell(coalesce(obj_description(m.objid, m.classid::regclass::name), '')))
  FROM member m LEFT JOIN pg_type t ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
 WHERE m.classid = 'pg_operator'::regclass
    OR t.typrelid = 0 AND t.typelem = 0 AND obj_description(t.oid, 'pg_type') IS NOT NULL
 ORDER BY pg_describe_object(m.classid, m.objid, 0) COLLATE "C";

\qecho
\qecho '## Settings'
\qecho
\qecho '| name | default | from | to | change by | |'
\qecho '|---|---|---|---|---|---|'
SELECT format('| `%s` | %s | %s | %s | %s | %s |', name,
              CASE WHEN boot_val = '' THEN '(empty)' ELSE boot_val || coalesce(' ' || unit, '') END, min_val, max_val,
              CASE context WHEN 'postmaster' THEN 'restart' WHEN 'sighup' THEN 'reload' ELSE 'any time' END,
              pg_temp.cell(concat_ws(' ', short_desc, extra_desc)))
  FROM pg_settings WHERE name LIKE 'backstream.%' ORDER BY name COLLATE "C";
