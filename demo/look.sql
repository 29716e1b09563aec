-- SPDX-License-Identifier: PostgreSQL
-- What make demo shows at the end: one look at each view, and at the system itself.
\set QUIET on
\pset footer off
\echo '== traffic_matrix: the largest flows between autonomous systems in a minute'
SELECT time::time(0), src_as, dst_as, bytes, round(bps) AS bps, packets, flows FROM traffic_matrix
 ORDER BY bytes DESC, src_as, dst_as LIMIT 5;
\echo '== small_flows: services with the most flows of up to three packets'
SELECT proto, dst_port, sum(flows) AS flows FROM small_flows GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 5;
\echo '== by_service: expressions as keys, aggregates of many kinds'
SELECT time::time(0), service, bytes, udp_bytes, round(mean_packet) AS mean_packet, flags, longest
  FROM by_service ORDER BY bytes DESC LIMIT 5;
\echo '== backstream.exporters: who sends, and what was lost on the way'
SELECT exporter, flow_type, datagrams, records, records_lost, datagrams_lost, unknown_template, decode_errors
  FROM backstream.exporters ORDER BY exporter, obs_domain;
\echo '== backstream.views: what became of the records in each view'
SELECT view, records, filtered, late, future, overflowed, errors, groups, pg_size_pretty(memory_bytes) AS memory
  FROM backstream.views ORDER BY view::text;
\echo '== backstream.windows(load): open and closed windows'
SELECT window_start::time(0), window_end::time(0), state, groups, records, late, records_lost
  FROM backstream.windows('load') ORDER BY window_start;
