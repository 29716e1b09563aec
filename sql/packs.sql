-- Packs of views: installed, replaced, taken away; rights; the views are the SELECTs that they say.
SET client_min_messages = warning;
SET timezone = 'UTC';
DO $$ BEGIN EXECUTE (SELECT 'CREATE FOREIGN TABLE records (' || string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
	|| ') SERVER backstream OPTIONS (watermark_by ''exporter'')' FROM pg_attribute WHERE attrelid = 'backstream.flow'::regclass AND attnum > 0); END $$;
SELECT backstream.install_pack('nothing');
SELECT backstream.install_pack('../../etc/passwd');
SELECT backstream.install_pack('overview', clock => 'sun');
SELECT backstream.install_pack('overview', schema => 'traffic', stream => 'records', clock => 'data');
SHOW search_path;
SELECT c.relname, c.relkind, obj_description(c.oid) FROM pg_class c WHERE c.oid IN (SELECT backstream.pack_relations('overview', 'traffic')) ORDER BY 1;

CREATE TABLE rows AS SELECT time_event, exporter, sampling_rate, bytes, packets, src_addr, dst_addr, src_port, dst_port, proto, src_as, dst_as, in_if, out_if
  FROM backstream.flow LIMIT 0;
INSERT INTO rows SELECT timestamptz '2026-01-01 00:00Z' + i * interval '1 s', ('192.0.2.' || i % 3)::inet, CASE i % 3 WHEN 0 THEN 10 END,
	i * 100, i, CASE WHEN i % 7 = 0 THEN ('2001:db8:' || i % 5 || '::1')::inet ELSE ('10.0.' || i % 4 || '.' || i % 9)::inet END,
	('10.1.' || i % 2 || '.1')::inet, 1024 + i % 5, CASE WHEN i % 4 > 0 THEN 443 END, CASE i % 4 WHEN 0 THEN 1 ELSE 6 END,
	i % 3, i % 2, i % 2, 7 FROM generate_series(1, 600) i;
INSERT INTO records (time_event, exporter, sampling_rate, bytes, packets, src_addr, dst_addr, src_port, dst_port, proto, src_as, dst_as, in_if, out_if) TABLE rows;

-- each view is the SELECT of its definition, over the table
CREATE FUNCTION differences(view regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	query text := (SELECT v.query FROM backstream.views v WHERE v.view = differences.view);
	n bigint;
BEGIN
	query := regexp_replace(query, 'FROM public\.records', 'FROM public.rows records');
	EXECUTE format('SELECT count(*) FROM ((TABLE %s EXCEPT ALL (%s)) UNION ALL ((%2$s) EXCEPT ALL TABLE %1$s)) d', view, query) INTO n;
	RETURN n;
END $$;
SELECT view, differences(view), received FROM backstream.views WHERE view IN (SELECT backstream.pack_relations('overview', 'traffic')) ORDER BY view::text;
SELECT * FROM traffic.load_rate ORDER BY bits_per_second DESC, 1, 2 LIMIT 3;
SELECT * FROM traffic.hosts ORDER BY bytes DESC, 1, 2 LIMIT 3;
SELECT sum(received) = (SELECT sum(bytes * coalesce(sampling_rate, 1)) FROM rows) AS all_received FROM traffic.hosts;
SELECT sum(bytes_in) = sum(bytes_out) AND sum(bytes_in) = (SELECT sum(bytes * coalesce(sampling_rate, 1)) FROM rows) AS in_and_out FROM traffic.interface_load;

-- again: what has been counted stays
SELECT backstream.install_pack('overview', schema => 'traffic', stream => 'records', clock => 'data');
SELECT view, differences(view), received FROM backstream.views WHERE view = 'traffic.matrix_as'::regclass;

-- one that has been changed is its owner's; what is in the way stays
COMMENT ON FOREIGN TABLE traffic.services IS 'ours now';
SELECT backstream.install_pack('overview', schema => 'traffic', stream => 'records');
CREATE VIEW busy AS SELECT * FROM traffic.hosts;
SELECT backstream.uninstall_pack('overview', 'traffic');
DROP VIEW busy;
SELECT backstream.uninstall_pack('overview', 'traffic');
SELECT relname FROM pg_class WHERE relnamespace = 'traffic'::regnamespace;
DROP FOREIGN TABLE traffic.services;
SELECT backstream.uninstall_pack('overview', 'traffic');
SELECT count(*) FROM pg_namespace WHERE nspname = 'traffic';
SELECT backstream.uninstall_pack('overview', 'traffic');

-- whoever may make views may install a pack, and files of packs are all that it reads
CREATE ROLE regress_packs;
SET ROLE regress_packs;
-- (the message names the database)
\set VERBOSITY sqlstate
SELECT backstream.install_pack('overview');
\set VERBOSITY default
RESET ROLE;
CREATE SCHEMA netops AUTHORIZATION regress_packs;
GRANT USAGE ON FOREIGN SERVER backstream TO regress_packs;
GRANT SELECT ON backstream.flow TO regress_packs;
SET ROLE regress_packs;
SELECT backstream.install_pack('overview', 'netops');
SELECT DISTINCT relowner::regrole FROM pg_class WHERE oid IN (SELECT backstream.pack_relations('overview', NULL));
SELECT backstream.pack_text('../../../../etc/passwd');
SELECT backstream.uninstall_pack('overview', 'netops');
RESET ROLE;
DROP SCHEMA netops;
REVOKE ALL ON FOREIGN SERVER backstream FROM regress_packs;
REVOKE ALL ON backstream.flow FROM regress_packs;
DROP ROLE regress_packs;
DROP FUNCTION differences;
DROP TABLE rows;
DROP FOREIGN TABLE records;
