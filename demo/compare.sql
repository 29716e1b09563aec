-- SPDX-License-Identifier: PostgreSQL
-- The view totals against what bs-generate wrote down (:totals), stream by stream; :verdict is set.
\set QUIET on
\pset footer off
CREATE TEMP TABLE sent AS
SELECT (e ->> 'exporter')::inet AS exporter, (e ->> 'obs_domain')::bigint AS obs_domain,
       e ->> 'flow_type' AS flow_type, (e ->> 'records')::numeric AS records,
       (e ->> 'bytes')::numeric AS bytes, (e ->> 'packets')::numeric AS packets
  FROM jsonb_array_elements(:'totals'::jsonb -> 'exporters') e;
CREATE TEMP TABLE counted AS
SELECT exporter, obs_domain, flow_type, records::numeric, bytes::numeric, packets::numeric
  FROM totals WHERE exporter IN (SELECT exporter FROM sent);

SELECT exporter, obs_domain, flow_type, s.records AS records_sent, c.records AS records_counted,
       s.bytes AS bytes_sent, c.bytes AS bytes_counted,
       CASE WHEN (s.records, s.bytes, s.packets) = (c.records, c.bytes, c.packets)
            THEN 'exact' ELSE 'DIFFERENT' END AS verdict
  FROM sent s FULL JOIN counted c USING (exporter, obs_domain, flow_type)
 ORDER BY 1, 2;

SELECT CASE WHEN EXISTS (SELECT FROM sent)
             AND NOT EXISTS (TABLE sent EXCEPT ALL TABLE counted)
             AND NOT EXISTS (TABLE counted EXCEPT ALL TABLE sent)
            THEN 'exact' ELSE 'different' END AS verdict,
       (SELECT sum(records) FROM sent) AS records_sent,
       (SELECT sum(records_lost) FROM backstream.exporters) AS records_lost,
       (SELECT sum(kernel_drops) FROM backstream.listeners) AS kernel_drops
\gset
\echo :verdict records sent: :records_sent, lost by sequence numbers: :records_lost, dropped by the kernel: :kernel_drops datagrams
