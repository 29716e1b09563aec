-- SPDX-License-Identifier: PostgreSQL
-- Windows of backbone.by_exporter while a node was down: what generators wrote down (:totals), and what was counted of :net,
-- the network of their exporters.  What all nodes answer for has to be exact.  The last line is a verdict.
SET client_min_messages = error;
CREATE TEMP TABLE sent AS
SELECT to_timestamp((w ->> 'start')::bigint) AS time, sum((w ->> 'records')::numeric) AS records, sum((w ->> 'bytes')::numeric) AS bytes
  FROM jsonb_array_elements(:'totals'::jsonb) t, jsonb_array_elements(t -> 'windows_10s') w GROUP BY 1;
CREATE TEMP TABLE counted AS
SELECT w.window_start AS time, w.nodes_expected, w.nodes_answered, w.gap, coalesce(sum(c.records), 0) AS records, coalesce(sum(c.bytes), 0) AS bytes
  FROM backstream.windows('backbone.by_exporter') w
  LEFT JOIN (SELECT * FROM backbone.by_exporter WHERE exporter <<= :'net') c ON c.time = w.window_start
 GROUP BY 1, 2, 3, 4;
CREATE TEMP TABLE verdicts AS
SELECT time, s.records AS sent, c.records AS counted, s.records - c.records AS missing, nodes_expected, nodes_answered, gap,
       CASE WHEN nodes_answered < nodes_expected THEN 'incomplete, and says so'
            WHEN (s.records, s.bytes) = (c.records, c.bytes) THEN 'complete, exact' ELSE 'DIFFERENT' END AS verdict
  FROM sent s LEFT JOIN counted c USING (time);
SELECT to_char(time, 'HH24:MI:SS') AS window_start, sent, counted, missing, nodes_expected AS expected, nodes_answered AS answered, gap, verdict
  FROM verdicts ORDER BY time;
\pset tuples_only on
\pset format unaligned
SELECT CASE WHEN bool_or(verdict = 'DIFFERENT') OR NOT bool_or(verdict LIKE 'complete%') OR NOT bool_or(verdict LIKE 'incomplete%')
            THEN 'different' ELSE 'exact' END FROM verdicts;
