-- What cannot be a continuous view, and what to write instead.
CREATE SCHEMA refused;
SET search_path = refused;
SET client_min_messages = warning;
CREATE TABLE t (a int);
CREATE VIEW ordinary AS SELECT 1 AS a;
CREATE VIEW v WITH (continuous) AS SELECT count(*) AS n FROM backstream.flow;
CREATE VIEW no WITH (continuous) AS SELECT 1;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM t;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM ordinary;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM v;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM generate_series(1, 2);
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM (SELECT * FROM backstream.flow) s;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow, t;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow JOIN t ON a = proto;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow UNION SELECT 1;
CREATE VIEW no WITH (continuous) AS WITH x AS (SELECT 1) SELECT count(*) FROM backstream.flow;
CREATE RECURSIVE VIEW no (a) WITH (continuous) AS SELECT count(*) FROM backstream.flow;
CREATE VIEW no WITH (continuous) AS SELECT sum(count(*)) OVER () FROM backstream.flow;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow WHERE proto IN (SELECT a FROM t);
CREATE VIEW no WITH (continuous) AS SELECT DISTINCT proto FROM backstream.flow;
CREATE VIEW no WITH (continuous) AS SELECT proto, count(*) FROM backstream.flow GROUP BY proto ORDER BY 2;
CREATE VIEW no WITH (continuous) AS SELECT proto, count(*) FROM backstream.flow GROUP BY proto LIMIT 10;
CREATE VIEW no WITH (continuous) AS SELECT proto, count(*) FROM backstream.flow GROUP BY proto OFFSET 10;
CREATE VIEW no WITH (continuous) AS SELECT proto FROM backstream.flow FOR UPDATE;
CREATE VIEW no WITH (continuous) AS SELECT proto, count(*) FROM backstream.flow GROUP BY ROLLUP (proto);
CREATE VIEW no WITH (continuous) AS SELECT generate_series(1, 2), count(*) FROM backstream.flow;
CREATE VIEW no WITH (continuous) AS SELECT count(*) INTO x FROM backstream.flow;
CREATE VIEW no WITH (continuous) AS VALUES (1);
-- joins and functions in FROM
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow f CROSS JOIN LATERAL spread(f.time_flow_start, f.time_flow_end, '10 s') s;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow TABLESAMPLE bernoulli (10);
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM nothing;
-- nothing to keep
CREATE VIEW no WITH (continuous) AS SELECT proto, bytes FROM backstream.flow;
-- what a record is not
CREATE VIEW no WITH (continuous) AS SELECT count(f) FROM backstream.flow f;
CREATE VIEW no WITH (continuous) AS SELECT count(f.*) FROM backstream.flow f;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow WHERE tableoid = 1;
CREATE VIEW no WITH (continuous) AS SELECT GROUPING(proto) FROM backstream.flow GROUP BY proto;
-- of the moment
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow WHERE time_received > now() - interval '1 min';
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow WHERE time_received > current_timestamp;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow WHERE flow_type = current_user;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow WHERE flow_type = current_setting('a.b');
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow WHERE age(time_received) > '1 h';
CREATE VIEW no WITH (continuous) AS SELECT count(*) FILTER (WHERE random() < 0.5) FROM backstream.flow;
CREATE VIEW no WITH (continuous) AS SELECT sum(bytes * random()) FROM backstream.flow;
CREATE VIEW no WITH (continuous) AS SELECT clock_timestamp() AS t, count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT sum(bytes) / extract(epoch FROM now()) FROM backstream.flow;
CREATE FUNCTION unsteady(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE VIEW no WITH (continuous) AS SELECT unsteady(proto), count(*) FROM backstream.flow GROUP BY 1;
-- also in the body of a function that is inlined
CREATE FUNCTION recent(timestamptz) RETURNS bool LANGUAGE sql STABLE AS 'SELECT $1 > now()';
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow WHERE recent(time_received);
-- aggregates
CREATE VIEW no WITH (continuous) AS SELECT string_agg(flow_type, ',') FROM backstream.flow;
CREATE VIEW no WITH (continuous) AS SELECT array_agg(proto ORDER BY bytes) FROM backstream.flow;
CREATE VIEW no WITH (continuous) AS SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY bytes) FROM backstream.flow;
CREATE VIEW no WITH (continuous) AS SELECT rank(1) WITHIN GROUP (ORDER BY bytes) FROM backstream.flow;
CREATE AGGREGATE product (bigint) (SFUNC = int8mul, STYPE = bigint, INITCOND = '1');
CREATE VIEW no WITH (continuous) AS SELECT product(bytes) FROM backstream.flow;
-- later
CREATE VIEW no WITH (continuous) AS SELECT hop(time_received, '20 s', '10 s') AS time, count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT hop(time_received, '0', '10 s') AS time, count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT hop(time_received, '1 s', '1 month') AS time, count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT hop(time_received, '1 s', bytes * interval '1 s') AS time, count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT hop(time_received, '1 s', '1 day') AS time, count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT hop(time_received, '7.01 ms', '999 ms') AS time, count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT hop(time_received - interval '1 s', '2 s', '10 s') AS time, count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT date_trunc('hour', hop(time_received, '2 s', '10 s')) AS time, count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT count(*), hop(timestamptz '2026-01-01', '2 s', '10 s') FROM backstream.flow;
CREATE VIEW no WITH (continuous) AS SELECT hop(time_received, '2 s', '10 s'), hop(time_received, '1 s', '10 s'), count(*) FROM backstream.flow GROUP BY 1, 2;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow, LATERAL hop(time_received, '2 s', '10 s') GROUP BY hop;
-- windows
CREATE VIEW no WITH (continuous) AS SELECT tumble(time_received, '1 min'), tumble(time_flow_end, '1 min') FROM backstream.flow GROUP BY 1, 2;
CREATE VIEW no WITH (continuous) AS SELECT tumble(time_received, '1 min'), date_trunc('minute', time_received), count(*) FROM backstream.flow GROUP BY 1, 2;
CREATE VIEW no WITH (continuous, timezone = 'UTC') AS SELECT tumble(time_received, '1 min'), date_trunc('hour', time_received), count(*) FROM backstream.flow GROUP BY 1, 2;
CREATE VIEW no WITH (continuous) AS SELECT tumble(time_received, '1 month'), count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT date_bin('1 year', time_received, '2000-01-01 00:00+00'), count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT tumble(time_received, '0 s'), count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT tumble(time_received, '-1 s'), count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT tumble(time_received, '1 us'), count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT tumble(time_received, '367 days'), count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT tumble(time_received, NULL), count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT tumble(time_received, make_interval(secs => proto)), count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT tumble(time_received + '1 h', '1 min'), count(*) FROM backstream.flow GROUP BY 1;
-- but not these: keys like others
CREATE VIEW yes WITH (continuous, timezone = 'Europe/Berlin') AS SELECT tumble(time_received, '1 min'), date_trunc('hour', time_received) AS h, date_trunc('month', time_flow_end) AS m, count(*) FROM backstream.flow GROUP BY 1, 2, 3;
CREATE VIEW yes2 WITH (continuous) AS SELECT date_bin(time_flow_end - time_flow_start, time_received, time_export), count(*) FROM backstream.flow GROUP BY 1;
-- keys whose equality is not that of their bytes
CREATE COLLATION ignoring_case (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE VIEW no WITH (continuous) AS SELECT flow_type COLLATE ignoring_case, count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT to_jsonb(proto), count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT to_json(proto), count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT ARRAY[src_port, dst_port], count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT ROW(src_port, dst_port), count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT int4range(src_port, NULL), count(*) FROM backstream.flow GROUP BY 1;
-- mistakes that PostgreSQL finds
CREATE VIEW no WITH (continuous) AS SELECT proto, count(*) FROM backstream.flow;
CREATE VIEW no WITH (continuous) AS SELECT nothing, count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM backstream.flow WHERE sum(bytes) > 1;
CREATE VIEW no WITH (continuous) AS SELECT 1 / 0 AS k, count(*) FROM backstream.flow GROUP BY 1;
-- too much of it
DO $$
DECLARE
	columns text := (SELECT string_agg('max(bytes + ' || i || ') AS c' || i, ',') FROM generate_series(1, 1100) i);
	message text; detail text;
BEGIN
	EXECUTE 'CREATE VIEW no WITH (continuous) AS SELECT ' || columns || ' FROM backstream.flow';
EXCEPTION WHEN program_limit_exceeded THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RAISE WARNING '%: %', message, detail;
END;
$$;
DROP SCHEMA refused CASCADE;
