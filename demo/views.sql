-- SPDX-License-Identifier: PostgreSQL
-- The views of make demo.  psql sends each statement as it stands, so the first spelling works here;
-- CREATE VIEW ... WITH (continuous) AS ... makes the same from any client, also in a transaction.

-- How much, per ten seconds, by the time at which the flows ended.
CREATE CONTINUOUS VIEW load AS
  SELECT tumble(time_flow_end, '10 s') AS time,
         count(*) AS records, sum(packets) AS packets, sum(bytes) AS bytes
    FROM backstream.flow GROUP BY 1;

-- The same by the time at which the records came.
CREATE CONTINUOUS VIEW load_by_arrival AS
  SELECT tumble(time_received, '10 s') AS time, count(*) AS records
    FROM backstream.flow GROUP BY 1;

-- Who sends to whom: a row for each pair of autonomous systems.
CREATE CONTINUOUS VIEW traffic_matrix WITH (retain = '1 hour') AS
  SELECT tumble(time_flow_end, '1 min') AS time, src_as, dst_as,
         sum(scaled(bytes, sampling_rate)) AS bytes,
         sum(scaled(bytes, sampling_rate)) * 8 / 60.0 AS bps,
         sum(packets) AS packets, count(*) AS flows
    FROM backstream.flow GROUP BY 1, 2, 3;

-- A filter: flows of hardly any packets, as scans make them.
CREATE CONTINUOUS VIEW small_flows AS
  SELECT tumble(time_flow_end, '1 min') AS time, proto, dst_port, count(*) AS flows
    FROM backstream.flow
   WHERE packets <= 3 AND proto IN (6, 17)
   GROUP BY 1, 2, 3;

-- Expressions as keys, a FILTER, aggregates of several kinds.
CREATE CONTINUOUS VIEW by_service AS
  SELECT date_trunc('minute', time_flow_end) AS time,
         CASE WHEN least(src_port, dst_port) < 1024 THEN least(src_port, dst_port) END AS service,
         sum(bytes) AS bytes, sum(bytes) FILTER (WHERE proto = 17) AS udp_bytes,
         avg(bytes::float8 / packets) AS mean_packet, bit_or(tcp_flags) AS flags,
         max(time_flow_end - time_flow_start) AS longest
    FROM backstream.flow WHERE packets > 0 AND family(dst_addr) = 4
   GROUP BY 1, 2;

-- Without a window: running totals since now.
CREATE CONTINUOUS VIEW totals AS
  SELECT exporter, obs_domain, flow_type,
         count(*) AS records, sum(bytes) AS bytes, sum(packets) AS packets
    FROM backstream.flow GROUP BY 1, 2, 3;

-- The transfers that the demo makes over loopback, as softflowd reports them.
CREATE CONTINUOUS VIEW transfers AS
  SELECT src_addr, dst_addr, dst_port, proto,
         sum(packets) AS packets, sum(bytes) AS bytes, count(*) AS flows
    FROM backstream.flow WHERE exporter = '127.0.0.1'
   GROUP BY 1, 2, 3, 4;
