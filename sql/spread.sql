-- spread() and portion(): a flow counts in every window it lasted in. A view is the same SELECT over a table.
SET client_min_messages = warning;
CREATE SCHEMA spr;
SET search_path = spr;
SET timezone = 'UTC';

-- over a table
SELECT s.*, backstream.portion(1000, s) AS bytes FROM backstream.spread('2026-01-01 00:00:07Z', '2026-01-01 00:00:30Z', '10 s') s;
SELECT * FROM backstream.spread('2026-01-01 00:00:10Z', '2026-01-01 00:00:10Z', '10 s');
SELECT * FROM backstream.spread('2026-01-01 00:00:15Z', '2026-01-01 00:00:10Z', '10 s');
SELECT count(*) FROM backstream.spread('2026-01-01', 'infinity', '10 s');
SELECT count(*) FROM backstream.spread(NULL, '2026-01-01', '10 s');
SELECT count(*), min(s.time), max(s.time), max(total_usec) / 1000000 AS seconds FROM backstream.spread('2020-01-01', '2026-01-01', '10 s') s;
SELECT backstream.spread('2026-01-01', '2026-01-01', '1 month');
SELECT backstream.portion(7, 3, 2, 5);
-- conserved, whatever the value and the times
SELECT bool_and(total = v) AS conserved, count(*) FROM (
	SELECT v, sum(backstream.portion(v, s)) AS total
	  FROM generate_series(1, 300) i, LATERAL (SELECT timestamptz '2026-01-01 00:00Z' + hashint4(i) % 100000 * interval '1 ms' AS a) t,
		unnest('{0,1,-1,7,-7,1000000007,-9223372036854775808,9223372036854775807}'::bigint[]) v,
		LATERAL backstream.spread(a, a + abs(hashint4(-i) % 1000000) * interval '137 us', '10 s') s GROUP BY i, v) q;

CREATE FOREIGN TABLE f (id int, a timestamptz, z timestamptz, k int, bytes bigint, packets int, x text, rate bigint) SERVER backstream;
CREATE TABLE r (LIKE f);
CREATE TABLE views (view text PRIMARY KEY, query text);
CREATE TABLE limits (view text, first int, closed_before timestamptz);
CREATE FUNCTION make(name text, query text, options text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE VIEW %I WITH (continuous, clock = ''data''%s) AS %s', name, options, replace(replace(query, '$from', 'f'), '$open', 'true'));
	INSERT INTO views VALUES (name, query);
END $$;
SELECT make('load', $q$SELECT s.time, f.k, sum(backstream.portion(f.bytes, s)) AS bytes, sum(backstream.portion(f.bytes, s)) * 8 / 10.0 AS bps, count(*) AS flows
	FROM $from f CROSS JOIN LATERAL backstream.spread(f.a, f.z, '10 s') s WHERE $open GROUP BY 1, 2$q$);
SELECT make('comma', $q$SELECT count(*) AS c, sum(backstream.portion(packets, w)) AS packets, max(w.total_usec) AS longest, "time" AS at, count(DISTINCT k) AS ks
	FROM $from, LATERAL backstream.spread(a, z, '1 min') AS w WHERE x <> 'a' AND $open GROUP BY w.time HAVING count(*) > 1$q$, ', lateness = ''0''');
SELECT make('named', $q$SELECT s.t, avg(backstream.portion(f.packets, s)) AS packets, sum(f.bytes) AS whole, sum(backstream.portion(backstream.scaled(f.bytes, f.rate), s)) FILTER (WHERE f.k > 2) AS scaled, sum(backstream.portion(bytes, s)::numeric / 3) AS thirds
	FROM $from f JOIN LATERAL backstream.spread(f.a, f.z, '7 s') s(t, before, until, total) ON true WHERE $open GROUP BY s.t$q$, ', lateness = ''1 min''');
SELECT make('five', $q$SELECT backstream.tumble(s.time, '5 min') AS time, sum(backstream.portion(bytes, s)) AS bytes, var_pop(backstream.portion(packets, s)) AS v, min(x) AS x
	FROM $from f, backstream.spread(a, z, '10 s') s WHERE $open GROUP BY 1$q$);

-- flows of up to 8 minutes, some the wrong way round, some without times, exported when they end, out of order
INSERT INTO r SELECT i, CASE WHEN i % 83 = 0 THEN NULL ELSE z - CASE i % 9 WHEN 0 THEN '0' WHEN 1 THEN interval '-3 s' ELSE abs(hashint4(i) % 2000) * interval '31 ms' END
		- CASE WHEN i % 40 = 7 THEN interval '6 min' ELSE '0' END END,
	CASE i % 97 WHEN 0 THEN NULL WHEN 1 THEN 'infinity' ELSE z END, CASE WHEN i % 11 > 0 THEN i % 7 END, hashint4(-i) % 100000, CASE WHEN i % 5 > 0 THEN i % 50 END,
	CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN 'a' ELSE repeat('x', i % 5) END, CASE WHEN i % 4 > 0 THEN 100 END
  FROM generate_series(1, 3000) i, LATERAL (SELECT date_trunc(CASE WHEN i % 3 = 0 THEN 'second' ELSE 'milliseconds' END,
	timestamptz '2026-01-01 00:00Z' + i * interval '0.4 s' - hashint4(i + 1) % 10 * interval '1 s') AS z) t;
DO $$ BEGIN
	FOR part IN 0 .. 29 LOOP
		INSERT INTO spr.limits SELECT v.view, part * 100 + 1, COALESCE(closed_before, '-infinity') FROM spr.views v JOIN backstream.views c ON c.view = ('spr.' || v.view)::regclass;
		INSERT INTO spr.f SELECT * FROM spr.r WHERE id BETWEEN part * 100 + 1 AND part * 100 + 100;
		COMMIT;
	END LOOP;
END $$;
-- The shares of a flow in windows that were closed when it came are missing, and no others.
CREATE FUNCTION compare(name text) RETURNS TABLE (view text, rows bigint, differences bigint) LANGUAGE plpgsql AS $$
DECLARE
	key text := CASE name WHEN 'named' THEN 's.t' WHEN 'five' THEN 'backstream.tumble(s.time, ''5 min'')' WHEN 'comma' THEN 'w.time' ELSE 's.time' END;
	same text := (SELECT replace(replace(query, '$from', 'r'), '$open', key || format(' >= (SELECT closed_before FROM limits WHERE view = %L AND first = (id - 1) / 100 * 100 + 1)', name)) FROM views v WHERE v.view = name);
BEGIN
	same := replace(same, 'FROM r,', 'FROM r AS f,');
	view := name;
	EXECUTE format('SELECT count(*) FROM %I', name) INTO rows;
	EXECUTE format('SELECT count(*) FROM ((TABLE %1$I EXCEPT ALL (%2$s)) UNION ALL ((%2$s) EXCEPT ALL TABLE %1$I)) d', name, same)
		INTO differences;
	RETURN NEXT;
END $$;
SELECT c.* FROM views v, compare(v.view) c ORDER BY 1;
SELECT v.view, received = records + filtered + late + untimed AS counted, late > 0 AS some_late, untimed, clamped, late_bytes IS NOT NULL AS has_bytes
  FROM views v JOIN backstream.views c ON c.view = v.view::regclass ORDER BY 1;
-- what is missing is what is late
SELECT (SELECT sum(bytes) FROM load) + late_bytes = (SELECT sum(bytes) FROM r WHERE isfinite(a) AND isfinite(z)) AS conserved,
	late = (SELECT count(*) FROM r f, backstream.spread(a, z, '10 s') s JOIN limits ON view = 'load' WHERE first = (id - 1) / 100 * 100 + 1 AND s.time < closed_before) AS late
  FROM backstream.views WHERE view = 'load'::regclass;
SELECT query FROM backstream.views WHERE view IN ('named'::regclass, 'comma'::regclass) ORDER BY view::text;

EXPLAIN (COSTS OFF, VERBOSE) SELECT thirds FROM named;
SELECT * FROM backstream.explain('SELECT s.time, k, sum(backstream.portion(bytes, s)) AS b, sum(backstream.portion(bytes, s) / 2.5) FROM spr.f, LATERAL backstream.spread(a, z, ''10 s'') s GROUP BY 1, 2');
ALTER FOREIGN TABLE f RENAME COLUMN z TO ended;
INSERT INTO f (a, ended, k, bytes) VALUES ('2026-01-01 00:20Z', '2026-01-01 00:20:15Z', -2, 30);
SELECT time, bytes FROM load WHERE k = -2 ORDER BY 1;
ALTER FOREIGN TABLE f RENAME COLUMN ended TO z;

-- long ones
ALTER SYSTEM SET backstream.max_flow_duration = '1 min';
SELECT pg_reload_conf();
SELECT pg_sleep(0.1);
SELECT min(s.time), max(s.time), sum(backstream.portion(100, s)) FROM backstream.spread('2026-01-01 00:00:05Z', '2026-01-01 00:10:05Z', '10 s') s;
INSERT INTO f (a, z, k, bytes) VALUES ('2026-01-01 01:00Z', '2026-01-01 02:00:05Z', -1, 1000), ('2026-01-01 02:00Z', '2026-01-01 02:00:05Z', -1, 10);
SELECT time, bytes, flows FROM load WHERE k = -1 ORDER BY 1;
SELECT clamped FROM backstream.views WHERE view = 'load'::regclass;
ALTER SYSTEM RESET backstream.max_flow_duration;
SELECT pg_reload_conf();

-- what it cannot be
CREATE VIEW no WITH (continuous) AS SELECT sum(backstream.portion(bytes, s)) FROM f, backstream.spread(a, z, '10 s') s;
CREATE VIEW no WITH (continuous) AS SELECT s.time, count(*) FROM f LEFT JOIN LATERAL backstream.spread(a, z, '10 s') s ON true GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT s.time, count(*) FROM f JOIN LATERAL backstream.spread(a, z, '10 s') s ON f.k = 1 GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT s.time, count(*) FROM f, backstream.spread(a, z - interval '1 s', '10 s') s GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT s.time, count(*) FROM f, backstream.spread(a, z, '1 month') s GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT s.time, count(s) FROM f, backstream.spread(a, z, '1 s') s GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT s.time, max(backstream.portion(bytes, ROW(now(), 1, 2, 3)::backstream.slice)) FROM f, backstream.spread(a, z, '1 s') s GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT time, count(*) FROM f, backstream.spread(a, z, '1 s') s, backstream.spread(a, z, '1 s') t GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT s.time, s.total_usec, backstream.tumble(a, '1 s'), count(*) FROM f, backstream.spread(a, z, '1 s') s GROUP BY 1, 2, 3;
CREATE VIEW no WITH (continuous) AS SELECT s.time, count(*) FROM load l, backstream.spread(l.time, l.time, '1 s') s GROUP BY 1;

-- as users write them, over backstream.flow and by the wall clock
CREATE VIEW ddos_victim WITH (continuous) AS
  SELECT hop(time_received, '2 s', '10 s') AS time, dst_addr,
         approx_count_distinct(src_addr) AS sources,
         sum(scaled(bytes, sampling_rate)) * 8 / 10 AS bps,
         sum(scaled(packets, sampling_rate)) / 10 AS pps
    FROM backstream.flow GROUP BY 1, 2
  HAVING approx_count_distinct(src_addr) >= 500
     AND sum(scaled(bytes, sampling_rate)) * 8 / 10 >= 1e8;
CREATE VIEW all_victims WITH (continuous, lateness = '10 min') AS SELECT hop(time_received, '2 s', '10 s') AS time, dst_addr, approx_count_distinct(src_addr) AS sources, sum(scaled(bytes, sampling_rate)) * 8 / 10 AS bps,
         sum(scaled(packets, sampling_rate)) / 10 AS pps FROM backstream.flow GROUP BY 1, 2;
CREATE VIEW top_talkers WITH (continuous, window = '5 min', slide = '5 s') AS
  SELECT src_addr, sum(bytes) AS bytes, sum(bytes) FILTER (WHERE dst_port = 443) AS https
    FROM backstream.flow GROUP BY 1;
CREATE VIEW interface_load WITH (continuous) AS
  SELECT s.time, f.exporter, f.in_if,
         sum(portion(f.bytes, s)) AS bytes, sum(portion(f.bytes, s)) * 8 / 10.0 AS bps
    FROM backstream.flow f CROSS JOIN LATERAL spread(f.time_flow_start, f.time_flow_end, '10 s') s
   GROUP BY 1, 2, 3;
CREATE TABLE flows (LIKE backstream.flow);
INSERT INTO flows (time_received, time_flow_start, time_flow_end, exporter, in_if, src_addr, dst_addr, dst_port, bytes, packets, sampling_rate)
SELECT now() - i % 3 * interval '100 s' - interval '30 s', now() - interval '1 min' - i % 70 * interval '0.7 s', now() - interval '1 min' - i % 10 * interval '1 s', '10.0.0.1', i % 3,
	'10.1.0.0'::inet + i, CASE WHEN i % 10 > 0 THEN '10.2.0.1'::inet ELSE '10.2.0.2' END, CASE i % 2 WHEN 0 THEN 443 ELSE 80 END, 100000 + i, 10, 10
  FROM generate_series(1, 1000) i;
INSERT INTO backstream.flow SELECT * FROM flows;
SELECT count(*) FROM ((TABLE top_talkers EXCEPT ALL SELECT src_addr, sum(bytes), sum(bytes) FILTER (WHERE dst_port = 443) FROM flows GROUP BY 1) UNION ALL
	(SELECT src_addr, sum(bytes), sum(bytes) FILTER (WHERE dst_port = 443) FROM flows GROUP BY 1 EXCEPT ALL TABLE top_talkers)) d;
CREATE VIEW r_load AS SELECT s.time, f.exporter, f.in_if, sum(backstream.portion(f.bytes, s)) AS bytes, sum(backstream.portion(f.bytes, s)) * 8 / 10.0 AS bps
    FROM flows f CROSS JOIN LATERAL backstream.spread(f.time_flow_start, f.time_flow_end, '10 s') s GROUP BY 1, 2, 3;
SELECT count(*) FROM ((TABLE interface_load EXCEPT ALL TABLE r_load) UNION ALL (TABLE r_load EXCEPT ALL TABLE interface_load)) d;
SELECT count(*) > 5 AS some, bool_and(v.sources BETWEEN r.sources * 0.95 AND r.sources * 1.05 AND v.bps = r.bps AND v.pps = r.pps) AS same FROM (
	SELECT backstream.hop(time_received, '2 s', '10 s') AS time, dst_addr, count(DISTINCT src_addr) AS sources, sum(bytes * sampling_rate) * 8 / 10 AS bps, sum(packets * sampling_rate) / 10 AS pps
	  FROM flows GROUP BY 1, 2) r JOIN all_victims v USING (time, dst_addr);
DROP SCHEMA spr CASCADE;
