-- SPDX-License-Identifier: PostgreSQL
-- Sixteen different views at once: half with filters, five over address pairs.

-- Address pairs.
CREATE CONTINUOUS VIEW s01 AS
  SELECT tumble(time_flow_end, '1 min') AS time, src_addr, dst_addr,
         sum(bytes) AS bytes, sum(packets) AS packets, count(*) AS flows
    FROM backstream.flow GROUP BY 1, 2, 3;
CREATE CONTINUOUS VIEW s02 AS
  SELECT tumble(time_flow_end, '1 min') AS time, src_addr, dst_addr, proto, dst_port, count(*) AS flows
    FROM backstream.flow WHERE packets <= 3 AND proto IN (6, 17) GROUP BY 1, 2, 3, 4, 5;
CREATE CONTINUOUS VIEW s03 AS
  SELECT tumble(time_flow_end, '5 min') AS time, src_addr, dst_addr, max(bytes) AS largest
    FROM backstream.flow GROUP BY 1, 2, 3;
CREATE CONTINUOUS VIEW s04 AS
  SELECT tumble(time_received, '1 min') AS time, src_addr, dst_addr, sum(bytes) AS bytes
    FROM backstream.flow WHERE dst_port = 443 GROUP BY 1, 2, 3;
CREATE CONTINUOUS VIEW s05 AS
  SELECT tumble(time_flow_end, '10 min') AS time, src_addr, dst_addr, sum(packets) AS packets,
         bit_or(tcp_flags) AS flags
    FROM backstream.flow WHERE proto = 6 GROUP BY 1, 2, 3;

-- Autonomous systems.
CREATE CONTINUOUS VIEW s06 AS
  SELECT tumble(time_flow_end, '5 min') AS time, src_as, dst_as,
         sum(bytes) AS bytes, sum(packets) AS packets, count(*) AS flows
    FROM backstream.flow GROUP BY 1, 2, 3;
CREATE CONTINUOUS VIEW s07 AS
  SELECT tumble(time_flow_end, '1 min') AS time, src_as, sum(bytes) AS bytes
    FROM backstream.flow WHERE family(src_addr) = 4 GROUP BY 1, 2;
CREATE CONTINUOUS VIEW s08 AS
  SELECT tumble(time_flow_end, '1 min') AS time, dst_as, sum(bytes) AS bytes,
         sum(bytes) FILTER (WHERE dst_port = 443) AS https
    FROM backstream.flow GROUP BY 1, 2;

-- Services, networks, interfaces.
CREATE CONTINUOUS VIEW s09 AS
  SELECT date_trunc('minute', time_flow_end) AS time,
         CASE WHEN least(src_port, dst_port) < 1024 THEN least(src_port, dst_port) END AS service,
         sum(bytes) AS bytes, avg(bytes::float8 / packets) AS mean_packet
    FROM backstream.flow WHERE packets > 0 GROUP BY 1, 2;
CREATE CONTINUOUS VIEW s10 AS
  SELECT tumble(time_flow_end, '1 min') AS time, network(set_masklen(dst_addr, 24)) AS dst_net,
         sum(bytes) AS bytes
    FROM backstream.flow WHERE family(dst_addr) = 4 GROUP BY 1, 2;
CREATE CONTINUOUS VIEW s11 AS
  SELECT tumble(time_flow_end, '10 s') AS time, exporter, in_if, sum(bytes) AS bytes, sum(packets) AS packets
    FROM backstream.flow GROUP BY 1, 2, 3;
CREATE CONTINUOUS VIEW s12 AS
  SELECT tumble(time_flow_end, '1 min') AS time, ip_tos, proto, count(*) AS flows, sum(bytes) AS bytes
    FROM backstream.flow WHERE ip_tos <> 0 GROUP BY 1, 2, 3;

-- Totals.
CREATE CONTINUOUS VIEW s13 AS
  SELECT tumble(time_flow_end, '10 s') AS time,
         count(*) AS records, sum(packets) AS packets, sum(bytes) AS bytes
    FROM backstream.flow GROUP BY 1;
CREATE CONTINUOUS VIEW s14 AS
  SELECT tumble(time_received, '10 s') AS time, count(*) AS records FROM backstream.flow GROUP BY 1;
CREATE CONTINUOUS VIEW s15 AS
  SELECT tumble(time_flow_end, '10 s') AS time, count(*) AS dns, sum(bytes) AS bytes,
         max(time_flow_end - time_flow_start) AS longest
    FROM backstream.flow WHERE dst_port = 53 AND proto = 17 GROUP BY 1;
CREATE CONTINUOUS VIEW s16 AS
  SELECT count(*) AS records, sum(bytes) AS bytes FROM backstream.flow;
