-- SPDX-License-Identifier: PostgreSQL
-- What generators wrote down (:totals, a JSON array of their totals) against what backbone.by_exporter has of :net, the
-- network of their exporters.  One line: exact or different; records sent and counted; bytes counted.
SET client_min_messages = error;
WITH sent AS (
	SELECT (e ->> 'exporter')::inet AS exporter, e ->> 'flow_type' AS flow_type, (e ->> 'records')::numeric AS records,
	       (e ->> 'packets')::numeric AS packets, (e ->> 'bytes')::numeric AS bytes
	  FROM jsonb_array_elements(:'totals'::jsonb) t, jsonb_array_elements(t -> 'exporters') e),
counted AS (
	SELECT exporter, flow_type, sum(records) AS records, sum(packets) AS packets, sum(bytes) AS bytes
	  FROM backbone.by_exporter WHERE exporter <<= :'net' GROUP BY 1, 2)
SELECT CASE WHEN EXISTS (TABLE sent)
             AND NOT EXISTS ((TABLE sent EXCEPT ALL TABLE counted) UNION ALL (TABLE counted EXCEPT ALL TABLE sent))
            THEN 'exact' ELSE 'different' END AS verdict,
       (SELECT sum(records) FROM sent) AS sent, (SELECT coalesce(sum(records), 0) FROM counted) AS counted,
       (SELECT coalesce(sum(bytes), 0) FROM counted) AS bytes;
