-- Export datagrams by SQL: decode(), ingest() and what they count.
SET TimeZone = 'UTC';
CREATE SCHEMA wire;
SET search_path = wire;

-- datagrams, made here
CREATE FUNCTION u16(n int) RETURNS bytea LANGUAGE sql AS $$ SELECT substr(int4send(n), 3) $$;
CREATE FUNCTION v5(seq int, records int) RETURNS bytea LANGUAGE sql AS $$
	SELECT '\x0005'::bytea || u16(records)
		|| int4send(1000000) || int4send(1767225600) || int4send(0)  -- up for 1000 s, 2026-01-01
		|| int4send(seq) || '\x0102'::bytea || '\x0000'::bytea
		|| string_agg(decode('0a000001', 'hex') || int4send(167772416 + i) || int4send(0)
			|| u16(1) || u16(2) || int4send(i) || int4send(i * 100)
			|| int4send(999000) || int4send(999500) || u16(1234) || u16(80)
			|| '\x00120600'::bytea || u16(100) || u16(200) || '\x18100000'::bytea, ''::bytea ORDER BY i)
	  FROM generate_series(seq + 1, seq + records) i $$;
CREATE FUNCTION ipfix(seq int, sets bytea) RETURNS bytea LANGUAGE sql AS $$
	SELECT '\x000a'::bytea || u16(16 + length(sets)) || int4send(1767225600)
		|| int4send(seq) || int4send(7) || sets $$;
-- template 256: source, destination, bytes, packets
CREATE FUNCTION template() RETURNS bytea LANGUAGE sql AS $$
	SELECT '\x0002001801000004'::bytea || '\x00080004000c00040001000400020004'::bytea $$;
CREATE FUNCTION data(first int, records int) RETURNS bytea LANGUAGE sql AS $$
	SELECT '\x0100'::bytea || u16(4 + 16 * records)
		|| string_agg(int4send(i) || int4send(i + 1) || int4send(i * 10) || int4send(i), ''::bytea ORDER BY i)
	  FROM generate_series(first, first + records - 1) i $$;

\x on
SELECT * FROM backstream.decode(v5(0, 1), '192.0.2.1', '2026-01-01 00:00:05');
\x off
SELECT exporter, flow_type, obs_domain, bytes, packets, dst_addr FROM backstream.decode(v5(1, 3), '192.0.2.1', '2026-01-01 00:00:05');

-- data before its template, then with it; what is known outlives the transaction, a rolled back one too
SELECT count(*) FROM backstream.decode(ipfix(0, data(1, 5)), '192.0.2.2');
BEGIN;
SELECT count(*) FROM backstream.decode(ipfix(0, template()), '192.0.2.2');
ROLLBACK;
SELECT src_addr, dst_addr, bytes, packets, time_event = time_export AS at_export
  FROM backstream.decode(ipfix(0, data(1, 2)), '192.0.2.2', '2026-01-01 00:00:05');
-- many records in one datagram
SELECT count(*), sum(packets) FROM backstream.decode(ipfix(2, data(1, 4090)), '192.0.2.2');
SELECT count(*), sum(packets) FROM backstream.decode(ipfix(4092, data(1, 2048)), '192.0.2.2');
-- another exporter does not know the template
SELECT count(*) FROM backstream.decode(ipfix(0, data(1, 2)), '192.0.2.3');

-- what is no export, and arguments that are wrong
SELECT count(*) FROM backstream.decode('', '192.0.2.1');
SELECT count(*) FROM backstream.decode('\x0007ffff', '192.0.2.1');
SELECT count(*) FROM backstream.decode(substr(v5(4, 3), 1, 100), '192.0.2.1');
SELECT count(*) FROM backstream.decode(NULL, '192.0.2.1');
SELECT * FROM backstream.decode(v5(0, 1), '192.0.2.0/24');
SELECT * FROM backstream.decode(v5(0, 1), '192.0.2.1', 'infinity');
SELECT * FROM backstream.decode(convert_to(repeat('x', 65536), 'UTF8'), '192.0.2.1');
SELECT exporter FROM backstream.decode(v5(7, 1), '::ffff:192.0.2.1');

SELECT exporter, obs_domain, flow_type, datagrams, bytes, records, records_lost, unknown_template, decode_errors,
	   templates, not_export, exporters_refused
  FROM backstream.decode_stats() ORDER BY exporter NULLS FIRST;
SELECT backstream.decode_reset();
SELECT count(*) FROM backstream.decode_stats();
SELECT count(*) FROM backstream.decode(ipfix(0, data(1, 2)), '192.0.2.2');
SELECT backstream.decode_reset();

-- ingest() feeds what decode() gives, within the transaction
CREATE TABLE datagrams (n int, datagram bytea, exporter inet, received timestamptz);
INSERT INTO datagrams
	SELECT 0, ipfix(0, template()), inet '192.0.2.2', timestamptz '2026-01-01'
	UNION ALL SELECT i, v5(i * 10, 10), inet '192.0.2.1', timestamptz '2026-01-01' + i * interval '1 s' FROM generate_series(1, 100) i
	UNION ALL SELECT i, ipfix(i * (i - 1) / 2, data(i, i)), inet '192.0.2.2', timestamptz '2026-01-01' + i * interval '1 s' FROM generate_series(1, 100) i;
CREATE VIEW fed WITH (continuous, clock = 'data', lateness = '1 hour') AS
	SELECT backstream.tumble(time_event, '10 s') AS time, exporter, src_addr, flow_type, count(*) AS n,
		   sum(bytes) AS bytes, sum(packets) AS packets, max(dst_addr) AS dst, max(time_received) AS received
	  FROM backstream.flow GROUP BY 1, 2, 3, 4;
CREATE TABLE decoded AS
	SELECT f.* FROM (SELECT * FROM datagrams ORDER BY n, exporter) d, backstream.decode(datagram, exporter, received) f;
CREATE VIEW kept AS
	SELECT backstream.tumble(time_event, '10 s') AS time, exporter, src_addr, flow_type, count(*) AS n,
		   sum(bytes) AS bytes, sum(packets) AS packets, max(dst_addr) AS dst, max(time_received) AS received
	  FROM decoded GROUP BY 1, 2, 3, 4;
SELECT backstream.decode_reset();
BEGIN;
SELECT sum(backstream.ingest(datagram, exporter, received)) FROM (SELECT * FROM datagrams ORDER BY n, exporter) d;
SELECT count(*) FROM fed;
ROLLBACK;
SELECT count(*) FROM fed;
BEGIN;
SELECT sum(backstream.ingest(datagram, exporter, received)) FROM (SELECT * FROM datagrams ORDER BY n, exporter) d;
SAVEPOINT a;
SELECT sum(backstream.ingest(datagram, exporter, received)) FROM (SELECT * FROM datagrams ORDER BY n, exporter) d;
ROLLBACK TO a;
COMMIT;
(TABLE fed EXCEPT ALL TABLE kept) UNION ALL (TABLE kept EXCEPT ALL TABLE fed);
SELECT count(*) AS groups, sum(n) AS rows, sum(bytes) AS bytes FROM fed;
SELECT records, filtered, late, future, untimed, overflowed, errors FROM backstream.views WHERE view = 'fed'::regclass;
BEGIN READ ONLY;
SELECT backstream.ingest(v5(0, 1), '192.0.2.1');
ROLLBACK;

-- what the administrator says of sampling counts from the next statement on
SELECT backstream.decode_reset();
SELECT DISTINCT sampling_rate FROM backstream.decode(ipfix(0, template() || data(1, 1)), '192.0.2.2');
INSERT INTO backstream.exporter_config (exporter, sampling_default) VALUES ('192.0.2.0/24', 100);
SELECT DISTINCT sampling_rate FROM backstream.decode(ipfix(1, data(1, 1)), '192.0.2.2');
BEGIN;
INSERT INTO backstream.exporter_config (exporter, sampling_override) VALUES ('192.0.2.2', 7);
SELECT DISTINCT sampling_rate FROM backstream.decode(ipfix(2, data(1, 1)), '192.0.2.2');
ROLLBACK;
SELECT DISTINCT sampling_rate FROM backstream.decode(ipfix(3, data(1, 1)), '192.0.2.2');
DELETE FROM backstream.exporter_config;

-- not for everybody
CREATE ROLE feeder;
GRANT USAGE ON SCHEMA wire TO feeder;
SET ROLE feeder;
SELECT count(*) FROM backstream.decode(v5(0, 1), '192.0.2.1');
SELECT backstream.ingest(v5(0, 1), '192.0.2.1');
SELECT count(*) FROM backstream.decode_stats();
SELECT backstream.decode_reset();
RESET ROLE;
GRANT EXECUTE ON FUNCTION backstream.ingest(bytea, inet, timestamptz) TO feeder;
SET ROLE feeder;
SELECT backstream.ingest(v5(2000, 1), '192.0.2.1', '2026-01-01 00:05:00');
RESET ROLE;
SELECT sum(n) FROM fed;

-- its columns are fixed
ALTER FOREIGN TABLE backstream.flow ALTER COLUMN bytes TYPE numeric;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA wire CASCADE;
REVOKE ALL ON FUNCTION backstream.ingest(bytea, inet, timestamptz) FROM feeder;
DROP ROLE feeder;
