-- Views over views: what they hold is the SELECT over the lower view's closed rows.
SET client_min_messages = warning;
CREATE SCHEMA lev;
SET search_path = lev;
SET timezone = 'UTC';

CREATE FOREIGN TABLE s (t timestamptz, a int, b int, x text, n numeric, ip inet) SERVER backstream;
CREATE TABLE r (LIKE s);

-- as in the case studies: count what was counted
CREATE VIEW pairs WITH (continuous, clock = 'data', lateness = '0') AS
SELECT backstream.tumble(t, '1 min') AS time, a, b, x, count(*) AS records, sum(n) AS n, max(ip) AS ip
  FROM s GROUP BY 1, 2, 3, 4;
CREATE VIEW fan WITH (continuous) AS
SELECT time, a, count(DISTINCT b) AS bs, count(*) AS groups, sum(records) AS records, sum(n) AS n,
	count(DISTINCT ip) AS ips, avg(records) AS mean, max(x) AS x, min(upper(x) || a) AS computed
  FROM pairs GROUP BY 1, 2;
CREATE VIEW scan WITH (continuous) AS
SELECT x, time AS at, count(DISTINCT b) AS bs FROM pairs WHERE records > 1 GROUP BY time, x
HAVING count(DISTINCT b) >= 5;
-- a third level, a longer window, none at all
CREATE VIEW top WITH (continuous) AS
SELECT bs, time, count(*) AS n, sum(records) AS records FROM fan GROUP BY 1, 2;
CREATE VIEW longer WITH (continuous) AS
SELECT backstream.tumble(time, '5 min') AS time, a, sum(records) AS records, count(DISTINCT x) AS xs FROM pairs GROUP BY 1, 2;
CREATE VIEW truncated WITH (continuous) AS
SELECT date_trunc('hour', time, 'UTC') AS time, sum(records) AS records, count(*) AS n FROM longer GROUP BY 1;
CREATE VIEW total WITH (continuous) AS SELECT sum(records) AS records, count(*) AS n, count(DISTINCT time) AS windows FROM pairs;
CREATE VIEW scans WITH (continuous) AS SELECT x, count(*) AS n, sum(bs) AS bs FROM scan GROUP BY x;

-- nothing yet
SELECT backstream.settle();
SELECT (SELECT count(*) FROM fan) AS fan, (SELECT count(*) FROM top) AS top;
TABLE total;

CREATE FUNCTION record(k int) RETURNS s LANGUAGE sql IMMUTABLE AS $$
SELECT timestamptz '2026-01-01' + k / 200 * interval '10 s' + k % 7 * interval '1 s',
	CASE WHEN k % 11 = 0 THEN NULL ELSE k % 5 END, CASE WHEN k % 13 > 0 THEN k % 17 END,
	CASE k % 10 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'A' WHEN 3 THEN 'a' ELSE repeat('x', k % 4) END,
	CASE WHEN k % 8 > 0 THEN (k % 5)::numeric / 2 + 0.00 ELSE (k % 5)::numeric / 2 END,
	CASE WHEN k % 2 = 0 THEN '10.0.0.0'::inet + k % 19 WHEN k % 3 = 0 THEN '2001:db8::'::inet + k % 3 END
$$;
INSERT INTO r SELECT (record(k)).* FROM generate_series(0, 19999) k;

-- in several transactions
DO $$ BEGIN
	FOR part IN 0 .. 19 LOOP
		INSERT INTO s SELECT (record(k)).* FROM generate_series(part * 1000, part * 1000 + 999) k;
		COMMIT;
	END LOOP;
END $$;
SELECT backstream.settle();

-- The oracle: the same over a table of the closed rows.
CREATE TABLE t_pairs AS SELECT p.* FROM pairs p WHERE time < (SELECT closed_before FROM backstream.views WHERE view = 'pairs'::regclass);
CREATE VIEW r_pairs AS
SELECT backstream.tumble(t, '1 min') AS time, a, b, x, count(*) AS records, sum(n) AS n, max(ip) AS ip FROM r
 WHERE t < (SELECT closed_before FROM backstream.views WHERE view = 'pairs'::regclass)
 GROUP BY 1, 2, 3, 4;
(SELECT * FROM t_pairs EXCEPT ALL TABLE r_pairs) UNION ALL (TABLE r_pairs EXCEPT ALL SELECT * FROM t_pairs);
SELECT count(*) > 1000 AS many, count(DISTINCT time) AS windows FROM t_pairs;
CREATE VIEW r_fan AS
SELECT time, a, count(DISTINCT b) AS bs, count(*) AS groups, sum(records) AS records, sum(n) AS n,
	count(DISTINCT ip) AS ips, avg(records) AS mean, max(x) AS x, min(upper(x) || a) AS computed
  FROM t_pairs GROUP BY 1, 2;
CREATE VIEW r_scan AS
SELECT x, time AS at, count(DISTINCT b) AS bs FROM t_pairs WHERE records > 1 GROUP BY time, x HAVING count(DISTINCT b) >= 5;
CREATE VIEW r_top AS SELECT bs, time, count(*) AS n, sum(records) AS records FROM r_fan GROUP BY 1, 2;
CREATE VIEW r_longer AS
SELECT backstream.tumble(time, '5 min') AS time, a, sum(records) AS records, count(DISTINCT x) AS xs FROM t_pairs GROUP BY 1, 2;
CREATE VIEW r_truncated AS
SELECT date_trunc('hour', time, 'UTC') AS time, sum(records) AS records, count(*) AS n FROM r_longer
 WHERE time < (SELECT closed_before FROM backstream.views WHERE view = 'longer'::regclass) GROUP BY 1;
CREATE VIEW r_total AS SELECT sum(records) AS records, count(*) AS n, count(DISTINCT time) AS windows FROM t_pairs;
CREATE VIEW r_scans AS SELECT x, count(*) AS n, sum(bs) AS bs FROM r_scan GROUP BY x;

CREATE FUNCTION differ(name text) RETURNS TABLE (view text, rows bigint, differences bigint) LANGUAGE plpgsql AS $$
BEGIN
	view := name;
	EXECUTE format('SELECT count(*) FROM lev.%I', name) INTO rows;
	EXECUTE format('SELECT count(*) FROM ((TABLE lev.%1$I EXCEPT ALL TABLE lev.r_%1$s) UNION ALL (TABLE lev.r_%1$s EXCEPT ALL TABLE lev.%1$I)) d', name)
		INTO differences;
	RETURN NEXT;
END $$;
SELECT d.* FROM unnest('{fan,scan,top,longer,truncated,total,scans}'::text[]) v, differ(v) d;
-- types and columns too
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), format_type(b.atttypid, b.atttypmod)
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relnamespace = 'lev'::regnamespace AND c.relkind = 'f'
  JOIN pg_class d ON d.relname = 'r_' || c.relname AND d.relnamespace = c.relnamespace
  LEFT JOIN pg_attribute b ON b.attrelid = d.oid AND b.attnum = a.attnum
 WHERE a.attnum > 0 AND (a.atttypid, a.attname) IS DISTINCT FROM (b.atttypid, b.attname);

-- windows close with those below; what is not closed below has not come
SELECT view, records, late + future + untimed + overflowed + errors AS not_counted, windows_missed,
	fed_before, closed_before FROM backstream.views WHERE view::text !~ '[.]' AND query ~ 'lev' ORDER BY view::text COLLATE "C";
SELECT window_start, window_end, state FROM backstream.windows('longer') ORDER BY 1;
SELECT count(*) FILTER (WHERE state = 'closed'), count(*) FILTER (WHERE state = 'open') FROM backstream.windows('fan');
EXPLAIN (COSTS OFF, VERBOSE) SELECT * FROM fan WHERE time = '2026-01-01 00:03' AND a = 3;
SELECT * FROM backstream.explain('SELECT time, a, count(DISTINCT b) AS bs, sum(records + 1) AS s FROM lev.pairs WHERE records > 1 GROUP BY 1, 2 HAVING count(DISTINCT b) > 2');

-- More closes: nothing comes twice, and late records below stay below.
INSERT INTO r SELECT (record(k)).* FROM generate_series(20000, 29999) k;
INSERT INTO s SELECT (record(k)).* FROM generate_series(20000, 29999) k;
INSERT INTO s SELECT (record(k)).* FROM generate_series(0, 99) k;
SELECT late FROM backstream.views WHERE view = 'pairs'::regclass;
TRUNCATE t_pairs;
SELECT backstream.settle();
INSERT INTO t_pairs SELECT p.* FROM pairs p WHERE time < (SELECT closed_before FROM backstream.views WHERE view = 'pairs'::regclass);
SELECT d.* FROM unnest('{fan,scan,top,longer,truncated,total,scans}'::text[]) v, differ(v) d;

-- A view that is made later gets all that is still there.
CREATE VIEW later WITH (continuous) AS SELECT time, count(*) AS n, sum(records) AS records FROM pairs GROUP BY 1;
CREATE VIEW r_later AS SELECT time, count(*) AS n, sum(records) AS records FROM t_pairs GROUP BY 1;
SELECT backstream.settle();
SELECT * FROM differ('later');

-- renames are followed
ALTER VIEW pairs RENAME TO couples;
ALTER VIEW couples RENAME COLUMN records TO hits;
SELECT query FROM backstream.views WHERE view = 'later'::regclass;
SELECT backstream.settle();
SELECT * FROM differ('later');
ALTER VIEW couples RENAME COLUMN hits TO records;
ALTER VIEW couples RENAME TO pairs;

PREPARE levels AS SELECT count(*) > 0 AS some FROM top;
EXECUTE levels;

-- replaced below: above, what was read stays, and what comes is of the new definition
CREATE OR REPLACE VIEW pairs WITH (continuous, clock = 'data', lateness = '0') AS
SELECT backstream.tumble(t, '1 min') AS time, a, b, x, count(*) + 1 AS records, sum(n) AS n, max(ip) AS ip, min(n) AS lowest
  FROM s GROUP BY 1, 2, 3, 4;
SELECT backstream.settle();
SELECT (SELECT count(*) FROM pairs) AS pairs, (SELECT count(*) FROM fan) AS fan, (SELECT count(*) FROM top) AS top, (SELECT count(*) FROM scans) AS scans;
EXECUTE levels;
INSERT INTO s SELECT (record(k)).* FROM generate_series(30000, 39999) k;
SELECT backstream.settle();
INSERT INTO t_pairs SELECT time, a, b, x, records, n, ip FROM pairs p WHERE time > (SELECT max(time) FROM t_pairs) AND time < (SELECT closed_before FROM backstream.views WHERE view = 'pairs'::regclass);
SELECT d.* FROM unnest('{fan,scan,top,longer,truncated,total,scans,later}'::text[]) v, differ(v) d;
-- options alone change nothing above
ALTER VIEW pairs SET (retain = '2 hours');
SELECT backstream.settle();
SELECT d.* FROM unnest('{fan,top}'::text[]) v, differ(v) d;
-- not so that a window above vanishes, or the windows below
CREATE OR REPLACE VIEW pairs WITH (continuous, clock = 'data', lateness = '0') AS
SELECT date_trunc('minute', t + '1 s') AS time, a, b, x, count(*) + 1 AS records, sum(n) AS n, max(ip) AS ip, min(n) AS lowest
  FROM s GROUP BY backstream.tumble(t, '1 min'), date_trunc('minute', t + '1 s'), 2, 3, 4;
CREATE OR REPLACE VIEW pairs WITH (continuous) AS
SELECT t AS time, a, b, x, count(*) + 1 AS records, sum(n) AS n, max(ip) AS ip, min(n) AS lowest FROM s GROUP BY 1, 2, 3, 4;
-- a circle
CREATE OR REPLACE VIEW pairs WITH (continuous) AS
SELECT time, bs::int AS a, bs::int AS b, ''::text AS x, count(*) AS records, sum(records) AS n, NULL::inet AS ip, 1.0 AS lowest FROM top GROUP BY 1, 2, 3;

-- retention below: gone there, still there above
CREATE VIEW brief WITH (continuous, clock = 'data', lateness = '0', retain = '1 min') AS
SELECT backstream.tumble(t, '1 min') AS time, a, count(*) AS records FROM s GROUP BY 1, 2;
CREATE VIEW brief_up WITH (continuous) AS SELECT time, sum(records) AS records FROM brief GROUP BY 1;
INSERT INTO s SELECT timestamptz '2026-02-01' + k * interval '1 s', k % 3, 0, '', 0, NULL FROM generate_series(0, 2999) k;
SELECT backstream.settle();
SELECT count(*) AS windows, min(records), max(records) FROM brief_up;
SELECT count(DISTINCT time) AS windows FROM brief;
SELECT windows_missed FROM backstream.views WHERE view = 'brief_up'::regclass;

-- A row below that cannot be made is a record in error above, and costs nothing else.
CREATE VIEW faulty WITH (continuous, clock = 'data', lateness = '0') AS
SELECT backstream.tumble(t, '1 min') AS time, a, count(*) AS n, 10 / (a - 1) AS quotient FROM s GROUP BY 1, 2;
CREATE VIEW faulty_up WITH (continuous) AS SELECT time, count(*) AS n, sum(quotient) AS sum FROM faulty GROUP BY 1;
CREATE VIEW fine_up WITH (continuous) AS SELECT time, count(*) AS n, sum(n) AS records FROM faulty GROUP BY 1;
INSERT INTO s SELECT timestamptz '2026-03-01' + k * interval '1 s', k % 5, 0, '', 0, NULL FROM generate_series(0, 240) k;
SELECT backstream.settle();
TABLE faulty_up ORDER BY 1;
TABLE fine_up ORDER BY 1;
SELECT view, records, errors, last_error FROM backstream.views WHERE view IN ('faulty_up'::regclass, 'fine_up'::regclass) ORDER BY view::text;

-- The case study: ports of a host, hosts of a port.
CREATE VIEW small_flows WITH (continuous, clock = 'data', lateness = '0') AS
SELECT tumble(time_flow_end, '1 min') AS time, src_addr, dst_addr, proto, dst_port, count(*) AS flows
  FROM backstream.flow WHERE packets <= 3 AND proto IN (6, 17) GROUP BY 1, 2, 3, 4, 5;
CREATE VIEW port_scan WITH (continuous) AS
SELECT time, src_addr, dst_addr, count(DISTINCT dst_port) AS ports FROM small_flows GROUP BY 1, 2, 3
HAVING count(DISTINCT dst_port) >= 100;
CREATE VIEW host_scan WITH (continuous) AS
SELECT time, src_addr, proto, dst_port, count(DISTINCT dst_addr) AS hosts FROM small_flows GROUP BY 1, 2, 3, 4
HAVING count(DISTINCT dst_addr) >= 100;
INSERT INTO backstream.flow (time_flow_end, src_addr, dst_addr, proto, dst_port, packets)
SELECT timestamptz '2026-06-01' + k % 50 * interval '1 s', inet '192.0.2.66', inet '198.51.100.1', 6, k % 150, 1 FROM generate_series(1, 600) k
UNION ALL
SELECT timestamptz '2026-06-01' + k % 50 * interval '1 s', '192.0.2.77', '198.51.100.0'::inet + k % 120, 17, 53, 2 FROM generate_series(1, 600) k
UNION ALL
SELECT timestamptz '2026-06-01' + k % 50 * interval '1 s', '192.0.2.0'::inet + k % 50, '198.51.100.0'::inet + k % 90, 6, k % 80, 3 FROM generate_series(1, 9999) k
UNION ALL
SELECT timestamptz '2026-06-01 00:01', '192.0.2.88', '198.51.100.1', 6, k, 4 FROM generate_series(1, 200) k;
SELECT backstream.settle();
TABLE port_scan;
TABLE host_scan;

-- Code that takes too long suspends the view over it, and nothing else; what comes meanwhile is missed.
CREATE FUNCTION slow(bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM pg_sleep(20); RETURN $1; END $$;
CREATE VIEW endless WITH (continuous, clock = 'data', lateness = '0') AS
SELECT backstream.tumble(t, '1 min') AS time, slow(count(*)) AS n, count(*) AS records FROM s GROUP BY 1;
CREATE VIEW endless_up WITH (continuous) AS SELECT time, sum(n) AS n FROM endless GROUP BY 1;
CREATE VIEW quick_up WITH (continuous) AS SELECT time, sum(records) AS n FROM endless GROUP BY 1;
INSERT INTO s SELECT timestamptz '2026-04-01' + k * interval '1 s', k % 5, 0, '', 0, NULL FROM generate_series(0, 240) k;
SELECT backstream.settle('30 s');
SELECT view, state, windows_missed, last_error FROM backstream.views WHERE view IN ('endless_up'::regclass, 'quick_up'::regclass) ORDER BY view::text;
TABLE quick_up ORDER BY 1;
CREATE OR REPLACE FUNCTION slow(bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN $1; END $$;
SELECT backstream.resume('endless_up');
INSERT INTO s SELECT timestamptz '2026-04-02' + k * interval '1 s', k % 5, 0, '', 0, NULL FROM generate_series(0, 240) k;
SELECT backstream.settle();
SELECT view, state FROM backstream.views WHERE view = 'endless_up'::regclass;
TABLE endless_up ORDER BY 1;

-- Rights: of the upper view's owner, looked at again when they change.
CREATE ROLE regress_lev_below;
CREATE ROLE regress_lev_above;
GRANT USAGE, CREATE ON SCHEMA lev TO regress_lev_below, regress_lev_above;
GRANT USAGE ON FOREIGN SERVER backstream TO regress_lev_below, regress_lev_above;
GRANT SELECT ON s TO regress_lev_below;
SET ROLE regress_lev_below;
CREATE VIEW below WITH (continuous, clock = 'data', lateness = '0') AS
SELECT backstream.tumble(t, '1 min') AS time, count(*) AS n, max(a) AS a FROM s GROUP BY 1;
SET ROLE regress_lev_above;
CREATE VIEW above WITH (continuous) AS SELECT time, sum(n) AS n FROM below GROUP BY 1;
RESET ROLE;
GRANT SELECT (time, n) ON below TO regress_lev_above;
SET ROLE regress_lev_above;
CREATE VIEW above WITH (continuous) AS SELECT time, sum(n) AS n, max(a) AS a FROM below GROUP BY 1;
CREATE VIEW above WITH (continuous) AS SELECT time, sum(n) AS n FROM below GROUP BY 1;
RESET ROLE;
INSERT INTO s SELECT timestamptz '2026-05-01' + k * interval '1 s' FROM generate_series(0, 120) k;
SELECT backstream.settle();
TABLE above ORDER BY 1;
REVOKE SELECT (time, n) ON below FROM regress_lev_above;
INSERT INTO s SELECT timestamptz '2026-05-02' + k * interval '1 s' FROM generate_series(0, 120) k;
SELECT backstream.settle();
SELECT state, windows_missed FROM backstream.views WHERE view = 'above'::regclass;
GRANT SELECT ON below TO regress_lev_above;
INSERT INTO s SELECT timestamptz '2026-05-03' + k * interval '1 s' FROM generate_series(0, 120) k;
SELECT backstream.settle();
SELECT state, windows_missed FROM backstream.views WHERE view = 'above'::regclass;
TABLE above ORDER BY 1;

-- What cannot be.
CREATE VIEW nope WITH (continuous) AS SELECT a, count(*) FROM total GROUP BY 1;
CREATE VIEW nope WITH (continuous) AS SELECT count(*) FROM r;
CREATE VIEW timed WITH (continuous, clock = 'data') AS
SELECT backstream.tumble(t, '1 min') AS time, a, max(t) AS last FROM s GROUP BY 1, 2;
CREATE VIEW nope WITH (continuous) AS SELECT backstream.tumble(last, '1 min') AS time, count(*) FROM timed GROUP BY 1;
CREATE VIEW nope WITH (continuous) AS SELECT time, backstream.tumble(time, '5 min') AS five, count(*) FROM timed GROUP BY 1, 2;
CREATE VIEW nope WITH (continuous) AS SELECT backstream.tumble(time, '1 month') AS time, count(*) FROM timed GROUP BY 1;
CREATE VIEW nope WITH (continuous) AS SELECT backstream.tumble(time, interval '1 min' * a) AS time, count(*) FROM timed GROUP BY 1;
CREATE VIEW nope WITH (continuous) AS SELECT * FROM timed;
CREATE VIEW nope WITH (continuous) AS SELECT p.time, count(*) FROM timed p, scan GROUP BY 1;
INSERT INTO fan (time) VALUES (now());
-- a time that is not the window is a key
CREATE VIEW by_last WITH (continuous) AS SELECT time, date_bin('10 s', last, '2000-01-01Z') AS last, count(*) AS n FROM timed GROUP BY 1, 2;
DROP VIEW by_last, timed;

-- dropping
DROP VIEW pairs;
DROP VIEW fan;
DROP VIEW fan CASCADE;
SELECT view FROM backstream.views WHERE view IN (SELECT oid FROM pg_class WHERE relnamespace = 'lev'::regnamespace) ORDER BY view::text COLLATE "C";
DROP VIEW pairs CASCADE;
SELECT view FROM backstream.views WHERE view IN (SELECT oid FROM pg_class WHERE relnamespace = 'lev'::regnamespace) ORDER BY view::text COLLATE "C";
SELECT backstream.settle();
DROP SCHEMA lev CASCADE;
DROP OWNED BY regress_lev_below, regress_lev_above;
DROP ROLE regress_lev_below, regress_lev_above;
