-- How a query would be kept: natively, by computed columns, by PostgreSQL's aggregates.
CREATE FUNCTION pg_temp.show(query text) RETURNS SETOF text LANGUAGE sql
	AS $$ SELECT concat_ws(' | ', part, evaluated, bytes, expression) FROM backstream.explain(query) $$;
\pset format unaligned
\pset tuples_only on

-- the case studies
SELECT pg_temp.show($$
  SELECT tumble(time_flow_end, '5 min') AS time, src_as, dst_as,
         sum(scaled(bytes, sampling_rate)) AS bytes,
         sum(scaled(bytes, sampling_rate)) * 8 / 300.0 AS bps,
         sum(packets) AS packets, count(*) AS flows
    FROM backstream.flow GROUP BY 1, 2, 3 $$);
SELECT pg_temp.show($$
  SELECT date_trunc('minute', time_flow_end) AS time,
         CASE WHEN least(src_port, dst_port) < 1024 THEN least(src_port, dst_port) END AS service,
         network(set_masklen(dst_addr, 24)) AS dst_net,
         sum(bytes) AS bytes, avg(bytes::float8 / packets) AS mean_packet,
         bit_or(tcp_flags) AS flags, max(time_flow_end - time_flow_start) AS longest
    FROM backstream.flow WHERE packets > 0 AND family(dst_addr) = 4
   GROUP BY 1, 2, 3 $$);
SELECT pg_temp.show($$ SELECT count(*), sum(bytes) FROM backstream.flow $$);

-- windows
SELECT pg_temp.show($$ SELECT date_bin('7 s', time_received, '2001-01-01 00:00+00') FROM backstream.flow GROUP BY 1 $$);
SELECT pg_temp.show($$ SELECT date_trunc('hour', time_received, 'UTC') FROM backstream.flow GROUP BY 1 $$);
SELECT pg_temp.show($$ SELECT date_trunc('week', time_received, 'utc') FROM backstream.flow GROUP BY 1 $$);
SELECT pg_temp.show($$ SELECT date_trunc('Secs', time_received) FROM backstream.flow GROUP BY 1 $$);
-- keys like others: not of fixed width, or only in some zones
SELECT pg_temp.show($$ SELECT date_trunc('month', time_received, 'UTC') FROM backstream.flow GROUP BY 1 $$);
SELECT pg_temp.show($$ SELECT date_trunc('hour', time_received, 'Asia/Kolkata') FROM backstream.flow GROUP BY 1 $$);
SET TimeZone = 'America/Sao_Paulo';
SELECT pg_temp.show($$ SELECT date_trunc('hour', time_received) FROM backstream.flow GROUP BY 1 $$);
SET TimeZone = 'UTC';
SELECT pg_temp.show($$ SELECT date_trunc('hour', time_received) FROM backstream.flow GROUP BY 1 $$);
RESET TimeZone;

-- what is native
SELECT pg_temp.show($$
  SELECT count(*) FROM backstream.flow
   WHERE proto IN (6, 17, NULL) AND src_port BETWEEN 1 AND 1023 AND (bytes > 10 OR packets IS NULL)
     AND flow_type = 'ipfix' AND src_addr << '10.0.0.0/8' AND src_addr IS DISTINCT FROM dst_addr
     AND time_flow_end - time_flow_start > '1 s' AND time_flow_end < time_received + '1 min'
     AND coalesce(src_as, 0) <> ALL ('{1,2}') AND nullif(proto, 6) IS NOT NULL AND (bytes > 5) IS NOT FALSE
     AND CASE proto WHEN 6 THEN tcp_flags & 2 WHEN 17 THEN 0 ELSE NULL END = 2
     AND greatest(bytes, packets) % 2 = 1 AND bytes::int2 > -1 AND abs(src_mask) << 2 > 3 AND src_mac <> dst_mac
     AND bytes::float4 / 2 < 1e30 AND scaled(bytes, sampling_rate) > 1 AND masklen(src_addr) = 32 $$);
-- what is not is computed, at the highest place; AND, OR, CASE and COALESCE stay lazy around it
SELECT pg_temp.show($$
  SELECT count(*), sum(CASE WHEN proto = 6 THEN length(flow_type) ELSE 0 END),
         sum(length(flow_type) + src_port), max(coalesce(length(flow_type), src_port))
    FROM backstream.flow WHERE proto = 6 OR host(src_addr) LIKE '10.%' AND to_char(time_received, 'HH24') = '12' $$);
-- the same expression is computed once
SELECT pg_temp.show($$ SELECT host(src_addr), max(length(host(src_addr))), count(host(src_addr)) FROM backstream.flow WHERE host(src_addr) > '1' GROUP BY 1 $$);

-- aggregates: states are shared; numeric and text ones are PostgreSQL's own
SELECT pg_temp.show($$
  SELECT count(bytes), sum(bytes), avg(bytes), sum(bytes) FILTER (WHERE proto = 6), count(*) FILTER (WHERE proto = 6),
         stddev(bytes::float8), variance(bytes::float8), stddev(bytes), max(flow_type), sum(bytes::numeric), corr(bytes, packets)
    FROM backstream.flow HAVING sum(bytes) > 0 $$);
-- keys that look different and are equal are shown as one of them looked
SELECT pg_temp.show($$ SELECT bytes / 2.0, bytes::float8, time_flow_end - time_flow_start, flow_type::bpchar FROM backstream.flow GROUP BY 1, 2, 3, 4 $$);

SELECT * FROM backstream.explain('SELECT 1; SELECT 2');
SELECT * FROM backstream.explain('SELECT nothing FROM backstream.flow');
SELECT * FROM backstream.explain('SELECT count(*) FROM backstream.flow ORDER BY 1');
-- the other case studies; what PostgreSQL's way of calling aggregates is fed with is native too
\set VERBOSITY terse
SELECT pg_temp.show($$
  SELECT tumble(time_received, '1 min') AS time, approx_count_distinct(src_addr) AS clients,
         approx_percentile(0.95, bytes) AS p95_bytes, avg(bytes) AS mean_bytes,
         approx_top_k(dst_addr, 10, bytes) AS top_servers
    FROM backstream.flow WHERE dst_port = 53 GROUP BY 1 $$);
SELECT pg_temp.show($$
  SELECT hop(time_received, '2 s', '10 s') AS time, dst_addr, approx_count_distinct(src_addr) AS sources,
         sum(scaled(bytes, sampling_rate)) * 8 / 10 AS bps, sum(scaled(packets, sampling_rate)) / 10 AS pps
    FROM backstream.flow GROUP BY 1, 2
  HAVING approx_count_distinct(src_addr) >= 500 AND sum(scaled(bytes, sampling_rate)) * 8 / 10 >= 1e8 $$);
SELECT pg_temp.show($$
  SELECT tumble(time_flow_end, '10 s') AS time, src_addr, sum(bytes) AS bytes, sum(bytes) FILTER (WHERE dst_port = 443) AS https
    FROM backstream.flow GROUP BY 1, 2 $$);
-- with which views work is shared
CREATE SCHEMA explained;
CREATE VIEW explained.small_flows WITH (continuous) AS
  SELECT tumble(time_flow_end, '1 min') AS time, src_addr, dst_addr, proto, dst_port, count(*) AS flows
    FROM backstream.flow WHERE packets <= 3 AND proto IN (6, 17) GROUP BY 1, 2, 3, 4, 5;
CREATE VIEW explained.same_keys WITH (continuous) AS
  SELECT tumble(time_received, '5 min') AS time, src_addr, dst_addr, proto, dst_port, sum(bytes) AS bytes, max(length(flow_type)) AS l
    FROM backstream.flow GROUP BY 1, 2, 3, 4, 5;
CREATE VIEW explained."Same filter" WITH (continuous) AS
  SELECT count(*) AS flows FROM backstream.flow WHERE packets <= 3 AND proto IN (17, 6);
CREATE VIEW explained.neither WITH (continuous) AS
  SELECT dst_addr, src_addr, proto, dst_port, count(*) AS flows FROM backstream.flow WHERE packets < 4 GROUP BY 1, 2, 3, 4;
SELECT pg_temp.show($$
  SELECT tumble(time_flow_end, '10 s') AS time, src_addr, dst_addr, proto, dst_port, sum(packets) AS packets
    FROM backstream.flow WHERE packets <= 3 AND proto IN (6, 17) GROUP BY 1, 2, 3, 4, 5 $$);
SELECT pg_temp.show($$
  SELECT time, src_addr, dst_addr, count(DISTINCT dst_port) AS ports FROM explained.small_flows GROUP BY 1, 2, 3
  HAVING count(DISTINCT dst_port) >= 100 $$);
-- which count in the same panes: other widths over them, other output; not other panes, keys, states or max_groups
CREATE VIEW explained.hops WITH (continuous) AS
  SELECT hop(time_flow_end, '10 s', '1 min') AS time, src_addr, sum(bytes) AS bytes FROM backstream.flow GROUP BY 1, 2;
CREATE VIEW explained.tens WITH (continuous, retain = '2 days') AS
  SELECT tumble(time_flow_end, '10 s') AS time, src_addr, sum(bytes) * 8 AS bits FROM backstream.flow GROUP BY 1, 2 HAVING sum(bytes) > 5;
CREATE VIEW explained.small WITH (continuous, max_groups = '10') AS
  SELECT tumble(time_flow_end, '10 s') AS time, src_addr, sum(bytes) * 8 AS bits FROM backstream.flow GROUP BY 1, 2 HAVING sum(bytes) > 5;
CREATE VIEW explained.minutes WITH (continuous) AS
  SELECT tumble(time_flow_end, '1 min') AS time, src_addr, sum(bytes) AS bytes FROM backstream.flow GROUP BY 1, 2;
CREATE FUNCTION pg_temp.panes(query text) RETURNS TABLE (part text, evaluated text) LANGUAGE sql AS
  $$ SELECT part, evaluated FROM backstream.explain(query) WHERE part IN ('keys', 'panes') $$;
SELECT * FROM pg_temp.panes($$ SELECT hop(time_flow_end, '10 s', '5 min') AS time, src_addr, sum(bytes) AS bytes FROM backstream.flow GROUP BY 1, 2 $$);
SELECT * FROM pg_temp.panes($$ SELECT hop(time_flow_end, '10 s', '5 min') AS time, src_addr, sum(packets) AS packets FROM backstream.flow GROUP BY 1, 2 $$);
SELECT * FROM pg_temp.panes($$ SELECT hop(time_flow_end, '10 s', '5 min') AS time, src_addr, sum(bytes) AS bytes, max(flow_type) FROM backstream.flow GROUP BY 1, 2 $$);
-- nor what PostgreSQL computes for another owner, by another function or of something else
CREATE VIEW explained.kinds WITH (continuous) AS
  SELECT hop(time_flow_end, '10 s', '1 min') AS time, upper(flow_type) AS kind, max(lower(flow_type)) AS m, stddev(bytes) AS s FROM backstream.flow GROUP BY 1, 2;
SELECT * FROM pg_temp.panes($$ SELECT hop(time_flow_end, '10 s', '5 min') AS time, upper(flow_type) AS kind, max(lower(flow_type)) AS m, stddev(bytes) AS s FROM backstream.flow GROUP BY 1, 2 $$);
SELECT * FROM pg_temp.panes($$ SELECT hop(time_flow_end, '10 s', '5 min') AS time, upper(flow_type) AS kind, min(lower(flow_type)) AS m, stddev(bytes) AS s FROM backstream.flow GROUP BY 1, 2 $$);
SELECT * FROM pg_temp.panes($$ SELECT hop(time_flow_end, '10 s', '5 min') AS time, upper(flow_type) AS kind, max(initcap(flow_type)) AS m, stddev(bytes) AS s FROM backstream.flow GROUP BY 1, 2 $$);
CREATE ROLE regress_explain;
GRANT SELECT ON backstream.flow TO regress_explain;
SET ROLE regress_explain;
SELECT * FROM pg_temp.panes($$ SELECT hop(time_flow_end, '10 s', '5 min') AS time, upper(flow_type) AS kind, max(lower(flow_type)) AS m, stddev(bytes) AS s FROM backstream.flow GROUP BY 1, 2 $$);
RESET ROLE;
REVOKE SELECT ON backstream.flow FROM regress_explain;
DROP ROLE regress_explain;
SELECT view, group_bytes, computed, groups FROM backstream.views ORDER BY 1;
DROP SCHEMA explained CASCADE;
