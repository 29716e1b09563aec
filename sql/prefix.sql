-- Prefix maps: look-ups against a longest-prefix join over the same table, in SQL and in views; changes,
-- rights, faults.
SET client_min_messages = warning;
SET search_path = public;
CREATE SCHEMA pfx;
SET search_path = pfx, public;

CREATE TABLE customers (network cidr, name text, asn integer, note varchar(20));
INSERT INTO customers VALUES
	('0.0.0.0/0', 'elsewhere', 0, NULL),
	('10.0.0.0/8', 'internal', 64500, 'rfc1918'),
	('10.1.0.0/16', 'lab', 64501, NULL),
	('10.1.2.0/24', 'lab rack', 64502, 'x'),
	('10.1.2.3/32', 'lab host', NULL, 'y'),
	('192.0.2.0/24', 'doc b', 2, NULL),
	('192.0.2.0/24', 'doc a', 3, NULL),
	('198.51.100.0/25', NULL, 7, 'no name'),
	('2001:db8::/32', 'six', 65000, NULL),
	('2001:db8:1::/48', 'six one', 65001, NULL),
	(NULL, 'no network', 1, NULL);

SELECT backstream.create_prefix_map('customer', 'pfx.customers', prefix => 'network', label => 'name',
	labels => '{asn,note}');
SELECT backstream.refresh_prefix_map('customer');
SELECT map, relation, prefix_column, label_columns, public, state, table_rows, prefixes, duplicates,
	memory_bytes > 0 AS memory, built_at <= now() AS built, last_error
  FROM backstream.prefix_maps;

-- ---------- look-ups ----------
SELECT a AS addr, backstream.prefix_lookup('customer', a) AS name,
	backstream.prefix_lookup('customer', a, 'note') AS note,
	backstream.prefix_lookup('customer', a, 'asn') AS asn_text,
	backstream.prefix_lookup_bigint('customer', a, 'asn') AS asn,
	backstream.prefix_lookup_inet('customer', a) AS network
  FROM unnest(ARRAY['10.1.2.3', '10.1.2.4', '10.1.3.4', '10.2.0.0', '11.0.0.0', '192.0.2.1',
	'198.51.100.1', '198.51.100.200', '2001:db8::1', '2001:db8:1::1', '2001:db9::', '::ffff:10.1.2.3',
	'10.1.2.0/24', NULL]::inet[]) a;
SELECT backstream.prefix_lookup('customer', NULL) IS NULL AS a,
	backstream.prefix_lookup(NULL, '10.0.0.1') IS NULL AS b;
SELECT backstream.prefix_lookup('nosuch', '10.0.0.1');
SELECT backstream.prefix_lookup('customer', '10.0.0.1', 'nosuch');
SELECT backstream.prefix_lookup_bigint('customer', '10.0.0.1');
SELECT backstream.prefix_lookup_bigint('customer', '10.0.0.1', 'note');

-- ---------- against a join, over random prefixes and addresses ----------
CREATE TABLE pops (network inet, pop text, site bigint);
SELECT setseed(0.5);
INSERT INTO pops
SELECT set_masklen(('10.' || a || '.' || b || '.' || c)::inet, 9 + (random() * 23)::int), 'pop' || (random() * 9)::int,
	(random() * 5)::int
  FROM (SELECT (random() * 3)::int a, (random() * 255)::int b, (random() * 255)::int c
          FROM generate_series(1, 2000)) r;
INSERT INTO pops
SELECT set_masklen(('2001:db8:' || to_hex((random() * 7)::int) || '::' || to_hex((random() * 65535)::int))::inet,
	32 + (random() * 96)::int), 'six' || (random() * 9)::int, NULL
  FROM generate_series(1, 500);
SELECT backstream.create_prefix_map('pop', 'pops', 'network', 'pop', '{site}');
SELECT backstream.refresh_prefix_map('pop');
SELECT state, table_rows, table_rows = prefixes + duplicates AS adds_up FROM backstream.prefix_maps WHERE map = 'pop';

CREATE TABLE records AS
SELECT timestamptz '2026-01-01 00:00:00+00' + i * interval '1 s' AS time_flow_end,
	CASE WHEN i % 10 = 0 THEN ('2001:db8:' || to_hex((random() * 7)::int) || '::' || to_hex((random() * 65535)::int))::inet
	     WHEN i % 97 = 0 THEN NULL
	     ELSE ('10.' || (random() * 4)::int || '.' || (random() * 255)::int || '.' || (random() * 255)::int)::inet
	END AS src_addr,
	('10.' || (random() * 4)::int || '.' || (random() * 255)::int || '.' || (random() * 255)::int)::inet AS dst_addr,
	(random() * 1000)::bigint AS bytes
  FROM generate_series(1, 5000) i;
CREATE FUNCTION longest(a inet, OUT network inet, OUT pop text, OUT site bigint) LANGUAGE sql STABLE AS
'SELECT pg_catalog.network(p.network), p.pop, p.site FROM pfx.pops p WHERE $1 <<= pg_catalog.network(p.network)
  ORDER BY masklen(p.network) DESC, p.pop COLLATE "C", p.site LIMIT 1';
SELECT count(*) AS looked_up, count(l.pop) AS found,
	count(*) FILTER (WHERE (l.network, l.pop, l.site) IS DISTINCT FROM
		(backstream.prefix_lookup_inet('pop', src_addr), backstream.prefix_lookup('pop', src_addr),
		 backstream.prefix_lookup_bigint('pop', src_addr, 'site'))) AS differ
  FROM records LEFT JOIN LATERAL longest(src_addr) l ON true;

-- ---------- a traffic matrix between points of presence ----------
CREATE FOREIGN TABLE traffic (time_flow_end timestamptz, src_addr inet, dst_addr inet, bytes bigint)
	SERVER backstream;
SELECT part, expression, evaluated FROM backstream.explain($$
SELECT backstream.tumble(time_flow_end, '10 min') AS time, backstream.prefix_lookup('pop', src_addr) AS src_pop,
	backstream.prefix_lookup('pop', dst_addr) AS dst_pop, sum(bytes) AS bytes,
	max(backstream.prefix_lookup_bigint('pop', src_addr, 'site')) AS site
  FROM pfx.traffic
 WHERE backstream.prefix_lookup_inet('pop', src_addr) IS NOT NULL GROUP BY 1, 2, 3 $$);
CREATE VIEW matrix WITH (continuous, clock = 'data', retain = '1 day') AS
SELECT backstream.tumble(time_flow_end, '10 min') AS time, backstream.prefix_lookup('pop', src_addr) AS src_pop,
	backstream.prefix_lookup('pop', dst_addr) AS dst_pop, sum(bytes) AS bytes, count(*) AS flows
  FROM traffic GROUP BY 1, 2, 3;
CREATE VIEW sites WITH (continuous) AS
SELECT backstream.prefix_lookup_bigint('pop', src_addr, 'site') AS site,
	backstream.prefix_lookup_inet('pop', dst_addr) AS network,
	upper(backstream.prefix_lookup('pop', src_addr)) AS computed, sum(bytes) AS bytes
  FROM traffic WHERE backstream.prefix_lookup('pop', dst_addr) <> 'pop3' GROUP BY 1, 2, 3;
INSERT INTO traffic SELECT * FROM records;
CREATE VIEW matrix_oracle AS
SELECT backstream.tumble(time_flow_end, '10 min') AS time, s.pop AS src_pop, d.pop AS dst_pop,
	sum(bytes) AS bytes, count(*) AS flows
  FROM records LEFT JOIN LATERAL longest(src_addr) s ON true LEFT JOIN LATERAL longest(dst_addr) d ON true
 GROUP BY 1, 2, 3;
SELECT (SELECT count(*) FROM matrix) > 100 AS rows,
	(SELECT count(*) FROM (TABLE matrix EXCEPT ALL TABLE matrix_oracle) x) AS too_many,
	(SELECT count(*) FROM (TABLE matrix_oracle EXCEPT ALL TABLE matrix) x) AS missing;
CREATE VIEW sites_oracle AS
SELECT s.site, d.network, upper(s.pop) AS computed, sum(bytes) AS bytes
  FROM records LEFT JOIN LATERAL longest(src_addr) s ON true LEFT JOIN LATERAL longest(dst_addr) d ON true
 WHERE d.pop <> 'pop3' GROUP BY 1, 2, 3;
SELECT (SELECT count(*) FROM sites) > 100 AS rows,
	(SELECT count(*) FROM (TABLE sites EXCEPT ALL TABLE sites_oracle) x) AS too_many,
	(SELECT count(*) FROM (TABLE sites_oracle EXCEPT ALL TABLE sites) x) AS missing;

-- ---------- changes ----------
CREATE VIEW by_customer WITH (continuous) AS
SELECT backstream.prefix_lookup('customer', src_addr) AS name, count(*) FROM traffic GROUP BY 1;
INSERT INTO traffic (src_addr) VALUES ('10.1.2.4');
BEGIN;
UPDATE customers SET name = 'rack one' WHERE name = 'lab rack';
SAVEPOINT a;
DELETE FROM customers;
ROLLBACK TO a;
COMMIT;
SELECT backstream.refresh_prefix_map('customer');
INSERT INTO traffic (src_addr) VALUES ('10.1.2.4'), ('10.1.2.3');
SELECT * FROM by_customer ORDER BY 1;
BEGIN;
UPDATE customers SET name = 'never';
ROLLBACK;
-- within a second, without being asked
UPDATE customers SET name = 'rack two' WHERE name = 'rack one';
DO $$
BEGIN
	FOR i IN 1 .. 100 LOOP
		EXIT WHEN backstream.prefix_lookup('customer', '10.1.2.4') = 'rack two';
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SELECT backstream.prefix_lookup('customer', '10.1.2.4') AS within_a_second;
TRUNCATE customers;
SELECT backstream.refresh_prefix_map('customer');
SELECT backstream.prefix_lookup('customer', '10.1.2.4') AS name, state, table_rows, prefixes FROM backstream.prefix_maps WHERE map = 'customer';
-- a table that cannot be read any more: the map stays as it was
INSERT INTO customers VALUES ('10.0.0.0/8', 'kept', 1);
SELECT backstream.refresh_prefix_map('customer');
ALTER TABLE customers RENAME name TO title;
SELECT backstream.refresh_prefix_map('customer');
SELECT backstream.prefix_lookup('customer', '10.1.2.4') AS name, state, last_error FROM backstream.prefix_maps WHERE map = 'customer';
ALTER TABLE customers RENAME title TO name;
SELECT backstream.refresh_prefix_map('customer');
SELECT backstream.prefix_lookup('customer', '10.1.2.4') AS name, state FROM backstream.prefix_maps WHERE map = 'customer';
-- a label that is too long for a map
INSERT INTO customers VALUES ('11.0.0.0/8', repeat('x', 8193), 1);
SELECT backstream.refresh_prefix_map('customer');
DELETE FROM customers WHERE network = '11.0.0.0/8';
SELECT backstream.refresh_prefix_map('customer');

-- ---------- dropped: records that need the map are errors, and views go on ----------
SELECT backstream.drop_prefix_map('customer');
SELECT backstream.refresh_prefix_map('customer');
INSERT INTO traffic (src_addr) VALUES ('10.1.2.4'), (NULL);
SELECT * FROM by_customer ORDER BY 1;
SELECT records, errors, last_error FROM backstream.views WHERE view = 'by_customer'::regclass;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'customers'::regclass;
SELECT backstream.create_prefix_map('customer', 'customers', 'network', 'name');
SELECT backstream.refresh_prefix_map('customer');
INSERT INTO traffic (src_addr) VALUES ('10.1.2.4');
SELECT * FROM by_customer ORDER BY 1;

-- ---------- refused ----------
SELECT backstream.create_prefix_map('customer', 'customers', 'network', 'name');
SELECT backstream.create_prefix_map('', 'customers', 'network', 'name');
SELECT backstream.create_prefix_map('x', 'customers', 'nosuch', 'name');
SELECT backstream.create_prefix_map('x', 'customers', 'name', 'name');
SELECT backstream.create_prefix_map('x', 'customers', 'network', 'nosuch');
SELECT backstream.create_prefix_map('x', 'customers', 'network', 'name', '{asn,name}');
SELECT backstream.create_prefix_map('x', 'matrix_oracle', 'time');
SELECT backstream.create_prefix_map(NULL, 'customers', 'network');
SELECT backstream.drop_prefix_map('nosuch');
SELECT backstream.refresh_prefix_map('nosuch');
CREATE VIEW nomap WITH (continuous) AS
SELECT backstream.prefix_lookup('nosuch', src_addr) AS name, count(*) FROM traffic GROUP BY 1;

-- ---------- rights ----------
CREATE ROLE pfx_owner;
CREATE ROLE pfx_member IN ROLE pfx_owner;
CREATE ROLE pfx_other;
GRANT USAGE, CREATE ON SCHEMA pfx TO pfx_owner, pfx_other;
SET ROLE pfx_owner;
CREATE TABLE pfx.own (net cidr, label text);
INSERT INTO pfx.own VALUES ('10.0.0.0/8', 'own');
SELECT backstream.create_prefix_map('own', 'pfx.own', 'net', 'label');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER backstream TO pfx_owner, pfx_other;
SET ROLE pfx_owner;
SELECT backstream.create_prefix_map('own', 'pfx.own', 'net', 'label');
SELECT backstream.create_prefix_map('theirs', 'pfx.customers', 'network', 'name');
SELECT backstream.refresh_prefix_map('own');
SELECT backstream.prefix_lookup('own', '10.0.0.1');
SELECT * FROM backstream.prefix_map;
RESET ROLE;
SET ROLE pfx_member;
SELECT backstream.prefix_lookup('own', '10.0.0.1');
RESET ROLE;
SET ROLE pfx_other;
SELECT backstream.prefix_lookup('own', '10.0.0.1');
SELECT backstream.refresh_prefix_map('own');
SELECT backstream.drop_prefix_map('own');
RESET ROLE;
GRANT SELECT ON traffic TO pfx_other;
SET ROLE pfx_other;
CREATE VIEW pfx.spying WITH (continuous) AS
SELECT backstream.prefix_lookup('own', src_addr) AS name, count(*) FROM pfx.traffic GROUP BY 1;
RESET ROLE;
-- the same view, of one who may, and then gives it away
CREATE VIEW pfx.given WITH (continuous) AS
SELECT backstream.prefix_lookup('own', src_addr) AS name, count(*) FROM pfx.traffic GROUP BY 1;
INSERT INTO traffic (src_addr) VALUES ('10.0.0.1');
ALTER FOREIGN TABLE pfx.given OWNER TO pfx_other;
INSERT INTO traffic (src_addr) VALUES ('10.0.0.1');
SELECT * FROM pfx.given;
SELECT records, errors FROM backstream.views WHERE view = 'pfx.given'::regclass;
-- made public by making it anew
SET ROLE pfx_owner;
SELECT backstream.drop_prefix_map('own');
SELECT backstream.create_prefix_map('own', 'pfx.own', 'net', 'label', public => true);
SELECT backstream.refresh_prefix_map('own');
SET ROLE pfx_other;
SELECT backstream.prefix_lookup('own', '10.0.0.1');
RESET ROLE;
INSERT INTO traffic (src_addr) VALUES ('10.0.0.1');
SELECT * FROM pfx.given;
-- row-level security
ALTER TABLE pfx.own ENABLE ROW LEVEL SECURITY;
ALTER TABLE pfx.own FORCE ROW LEVEL SECURITY;
SET ROLE pfx_owner;
SELECT backstream.refresh_prefix_map('own');
RESET ROLE;

-- ---------- memory comes back ----------
SELECT backstream.drop_prefix_map(map) FROM backstream.prefix_maps ORDER BY map;
SELECT count(*) FROM backstream.prefix_maps;
DROP SCHEMA pfx CASCADE;
REVOKE USAGE ON FOREIGN SERVER backstream FROM pfx_owner, pfx_other;
DROP ROLE pfx_member, pfx_other, pfx_owner;
DO $$
BEGIN
	FOR i IN 1 .. 200 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM backstream.prefix_map_counters());
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SELECT count(*) FROM backstream.prefix_map_counters();
