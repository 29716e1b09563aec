-- SPDX-License-Identifier: PostgreSQL
-- The views of make demo-backbone.  They are written on the reader; every node makes them, and counts what it sees.

-- The query of the experiments, every two seconds.  Of a node that is away it does without, and says so.
CREATE CONTINUOUS VIEW backbone.load WITH (lateness = '2 s', on_node_failure = 'partial') AS
  SELECT tumble(time_flow_end, '2 s') AS time,
         count(*) AS records, sum(packets) AS packets, sum(bytes) AS bytes
    FROM backbone.flow GROUP BY 1;

-- By exporter, to be held against what each generator wrote down.
CREATE CONTINUOUS VIEW backbone.by_exporter WITH (on_node_failure = 'partial') AS
  SELECT tumble(time_flow_end, '10 s') AS time, exporter, flow_type,
         count(*) AS records, sum(packets) AS packets, sum(bytes) AS bytes
    FROM backbone.flow GROUP BY 1, 2, 3;

-- Who sends to whom, over all nodes.  Without one of them it is an error: that is the default.
CREATE CONTINUOUS VIEW backbone.traffic_matrix WITH (retain = '10 min') AS
  SELECT tumble(time_flow_end, '1 min') AS time, src_as, dst_as,
         sum(scaled(bytes, sampling_rate)) AS bytes, sum(packets) AS packets, count(*) AS flows,
         approx_count_distinct(src_addr) AS sources
    FROM backbone.flow GROUP BY 1, 2, 3;
