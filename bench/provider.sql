-- SPDX-License-Identifier: PostgreSQL
-- What a provider keeps: the measurements of the case studies that need no sliding windows, sketches
-- or views over views.

CREATE CONTINUOUS VIEW load AS
  SELECT tumble(time_flow_end, '10 s') AS time,
         count(*) AS records, sum(packets) AS packets, sum(bytes) AS bytes
    FROM backstream.flow GROUP BY 1;

CREATE CONTINUOUS VIEW load_by_arrival AS
  SELECT tumble(time_received, '10 s') AS time, count(*) AS records
    FROM backstream.flow GROUP BY 1;

CREATE CONTINUOUS VIEW traffic_matrix WITH (retain = '1 hour') AS
  SELECT tumble(time_flow_end, '5 min') AS time, src_as, dst_as,
         sum(scaled(bytes, sampling_rate)) AS bytes,
         sum(scaled(bytes, sampling_rate)) * 8 / 300.0 AS bps,
         sum(packets) AS packets, count(*) AS flows
    FROM backstream.flow GROUP BY 1, 2, 3;

CREATE CONTINUOUS VIEW small_flows AS
  SELECT tumble(time_flow_end, '1 min') AS time, src_addr, dst_addr, proto, dst_port, count(*) AS flows
    FROM backstream.flow
   WHERE packets <= 3 AND proto IN (6, 17)
   GROUP BY 1, 2, 3, 4, 5;

CREATE CONTINUOUS VIEW by_service AS
  SELECT date_trunc('minute', time_flow_end) AS time,
         CASE WHEN least(src_port, dst_port) < 1024 THEN least(src_port, dst_port) END AS service,
         network(set_masklen(dst_addr, 24)) AS dst_net,
         sum(bytes) AS bytes, avg(bytes::float8 / packets) AS mean_packet,
         bit_or(tcp_flags) AS flags, max(time_flow_end - time_flow_start) AS longest
    FROM backstream.flow WHERE packets > 0 AND family(dst_addr) = 4
   GROUP BY 1, 2, 3;

CREATE CONTINUOUS VIEW totals AS
  SELECT count(*) AS records, sum(bytes) AS bytes FROM backstream.flow;
