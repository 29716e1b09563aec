-- SPDX-License-Identifier: PostgreSQL
-- Traffic signatures: continuous views that find scans, worms, floods and the like in backstream.flow.
--
--     psql -f "$(pg_config --sharedir)/extension/backstream_detectors.sql"
--
-- makes the schema detectors; as a superuser, or as a role with CREATE on the database, USAGE on server
-- backstream and SELECT on backstream.flow.  DROP SCHEMA detectors CASCADE and
-- SELECT backstream.drop_prefix_map('detector_exclusions') take it away again.  docs/detectors.md says what each
-- signature is, what it takes for one by mistake, and where it comes from.
--
--     -v stream=backbone.flow     another stream with the columns of backstream.flow
--     -v notify=security          another channel than detectors for notifications of what is found
--     -v clock=data               for history and captures: the records' own time moves windows

\set ON_ERROR_STOP on
\if :{?stream} \else
\set stream backstream.flow
\endif
\if :{?notify} \else
\set notify detectors
\endif
\if :{?clock} \else
\set clock wall
\endif

CREATE SCHEMA detectors;
COMMENT ON SCHEMA detectors IS
'BackStream''s traffic signatures: detectors.alerts is what they have found, detectors.thresholds from where on they find it, detectors.exclusions whom they leave out.';

/* ---------- from where on ---------- */

CREATE TABLE detectors.thresholds (
	detector text,
	name text,
	value float8,
	meaning text NOT NULL,
	PRIMARY KEY (detector, name)
);
COMMENT ON TABLE detectors.thresholds IS
'From where on a detector reports.  A change acts at once, on windows that are in memory already too.';
COMMENT ON COLUMN detectors.thresholds.value IS 'NULL: the detector reports nothing';
INSERT INTO detectors.thresholds VALUES
	('port_scan', 'ports', 100, 'ports of one host that one source probes in a minute'),
	('host_scan', 'hosts', 100, 'hosts that one source probes at one port in a minute'),
	('worm_spread', 'hosts', 20, 'hosts that a source probes at one port in a minute to count as a spreader'),
	('worm_spread', 'sources', 10, 'spreaders at one port in a minute'),
	('syn_flood', 'syn_per_second', 500, 'SYN packets per second to one port of one host, of connections that were not established'),
	('syn_flood', 'ratio', 3, 'connections that were not established, for each one that was'),
	('ddos', 'bits_per_second', 1e8, 'to one host'),
	('ddos', 'packets_per_second', 1e5, 'to one host, where the bits are fewer'),
	('ddos', 'sources', 500, 'different sources in ten seconds'),
	('reflection', 'bits_per_second', 1e7, 'from one service (a UDP port known to amplify) to one host'),
	('reflection', 'reflectors', 50, 'different sources of that in ten seconds'),
	('reflection', 'packet_bytes', 200, 'mean size of a packet'),
	('elephant', 'bytes', 1e9, 'of one flow in a minute'),
	('p2p', 'peers', 20, 'hosts with which one source has both TCP and UDP, high ports on both sides, in a minute'),
	('entropy', 'bits', 2, 'difference from the mean of the minutes before, of the entropy of an exporter''s destinations'),
	('entropy', 'sigma', 4, 'the same difference, in standard deviations'),
	('entropy', 'flows', 1000, 'flows in a minute; with fewer the entropy says nothing'),
	('entropy', 'minutes', 5, 'minutes before that must be known');

CREATE FUNCTION detectors.threshold(detector text, name text) RETURNS float8
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
	RETURN (SELECT t.value FROM detectors.thresholds t
			 WHERE t.detector = threshold.detector AND t.name = threshold.name);
COMMENT ON FUNCTION detectors.threshold(text, text) IS 'A value of detectors.thresholds; NULL where there is none.';

/* ---------- who is left out ---------- */

CREATE TABLE detectors.exclusions (
	network cidr PRIMARY KEY,
	reason text
);
COMMENT ON TABLE detectors.exclusions IS
'Networks that no detector reports: its own scanners, resolvers, monitoring.  A change acts within a second, on records that come from then on.';
SELECT backstream.create_prefix_map('detector_exclusions', 'detectors.exclusions', 'network', 'reason');
SELECT backstream.refresh_prefix_map('detector_exclusions');

/* ---------- scans and worms ---------- */

-- Attempts: TCP that nobody answered (no ACK was ever sent), and UDP that is not the answer of a service.
CREATE VIEW detectors.probes WITH (continuous, clock = :'clock', retain = '15 min') AS
SELECT tumble(time_event, '1 min') AS time, src_addr, dst_addr, proto, dst_port, count(*) AS flows
  FROM :stream
 WHERE packets <= 3
   AND (proto = 6 AND COALESCE(tcp_flags, 0) & 16 = 0 OR
		proto = 17 AND (src_port >= 1024 OR dst_port < 1024))
   AND prefix_lookup_inet('detector_exclusions', src_addr) IS NULL
 GROUP BY 1, 2, 3, 4, 5;
COMMENT ON FOREIGN TABLE detectors.probes IS
'Small flows that look like attempts: TCP of up to three packets without an ACK, UDP of up to three packets that is not the answer of a service.';

CREATE VIEW detectors.port_scan WITH (continuous, notify = :'notify') AS
SELECT time, src_addr, dst_addr, proto, count(DISTINCT dst_port) AS ports, sum(flows) AS flows
  FROM detectors.probes GROUP BY 1, 2, 3, 4
HAVING count(DISTINCT dst_port) >= detectors.threshold('port_scan', 'ports');
COMMENT ON FOREIGN TABLE detectors.port_scan IS 'src_addr tries many ports of dst_addr.';

CREATE VIEW detectors.host_scan WITH (continuous, notify = :'notify') AS
SELECT time, src_addr, proto, dst_port, count(DISTINCT dst_addr) AS hosts, sum(flows) AS flows
  FROM detectors.probes GROUP BY 1, 2, 3, 4
HAVING count(DISTINCT dst_addr) >= detectors.threshold('host_scan', 'hosts');
COMMENT ON FOREIGN TABLE detectors.host_scan IS 'src_addr tries dst_port of many hosts.';

CREATE VIEW detectors.spreaders WITH (continuous) AS
SELECT time, src_addr, proto, dst_port, count(DISTINCT dst_addr) AS hosts
  FROM detectors.probes GROUP BY 1, 2, 3, 4
HAVING count(DISTINCT dst_addr) >= detectors.threshold('worm_spread', 'hosts');
COMMENT ON FOREIGN TABLE detectors.spreaders IS 'Hosts that would be infected, if there were many: see detectors.worm_spread.';

CREATE VIEW detectors.worm_spread WITH (continuous, notify = :'notify') AS
SELECT time, proto, dst_port, count(*) AS sources, sum(hosts) AS hosts
  FROM detectors.spreaders GROUP BY 1, 2, 3
HAVING count(*) >= detectors.threshold('worm_spread', 'sources');
COMMENT ON FOREIGN TABLE detectors.worm_spread IS
'Many hosts at once try dst_port of many others; detectors.spreaders says which.';

/* ---------- floods ---------- */

CREATE VIEW detectors.syn_flood WITH (continuous, clock = :'clock', notify = :'notify') AS
SELECT tumble(time_event, '10 s') AS time, dst_addr, dst_port,
	   sum(scaled(packets, sampling_rate)) FILTER (WHERE tcp_flags & 18 = 2) / 10 AS syn_per_second,
	   count(*) FILTER (WHERE tcp_flags & 18 = 2) AS unanswered,
	   count(*) FILTER (WHERE tcp_flags & 18 = 18) AS established,
	   approx_count_distinct(src_addr) FILTER (WHERE tcp_flags & 18 = 2) AS sources
  FROM :stream
 WHERE proto = 6 AND tcp_flags & 2 = 2 AND prefix_lookup_inet('detector_exclusions', dst_addr) IS NULL
 GROUP BY 1, 2, 3
HAVING sum(scaled(packets, sampling_rate)) FILTER (WHERE tcp_flags & 18 = 2) / 10
	   >= detectors.threshold('syn_flood', 'syn_per_second')
   AND count(*) FILTER (WHERE tcp_flags & 18 = 2)
	   >= detectors.threshold('syn_flood', 'ratio') * count(*) FILTER (WHERE tcp_flags & 18 = 18);
COMMENT ON FOREIGN TABLE detectors.syn_flood IS
'Many TCP connections to dst_port of dst_addr are begun and not established.';

CREATE VIEW detectors.ddos WITH (continuous, clock = :'clock', notify = :'notify') AS
SELECT tumble(time_event, '10 s') AS time, dst_addr, approx_count_distinct(src_addr) AS sources,
	   sum(scaled(bytes, sampling_rate)) * 8 / 10 AS bits_per_second,
	   sum(scaled(packets, sampling_rate)) / 10 AS packets_per_second
  FROM :stream
 WHERE prefix_lookup_inet('detector_exclusions', dst_addr) IS NULL
 GROUP BY 1, 2
HAVING (sum(scaled(bytes, sampling_rate)) * 8 / 10 >= detectors.threshold('ddos', 'bits_per_second') OR
		sum(scaled(packets, sampling_rate)) / 10 >= detectors.threshold('ddos', 'packets_per_second'))
   AND approx_count_distinct(src_addr) >= detectors.threshold('ddos', 'sources');
COMMENT ON FOREIGN TABLE detectors.ddos IS 'Many sources together send much to dst_addr.';

-- Ports of services that answer more than they are asked, and believe whose address is on the question.
CREATE VIEW detectors.reflection WITH (continuous, clock = :'clock', notify = :'notify') AS
SELECT tumble(time_event, '10 s') AS time, dst_addr, src_port AS service,
	   approx_count_distinct(src_addr) AS reflectors,
	   sum(scaled(bytes, sampling_rate)) * 8 / 10 AS bits_per_second,
	   sum(scaled(bytes, sampling_rate)) / nullif(sum(scaled(packets, sampling_rate)), 0) AS packet_bytes
  FROM :stream
 WHERE proto = 17
   AND src_port IN (17, 19, 53, 69, 111, 123, 137, 161, 389, 427, 520, 623, 1194, 1434, 1900, 3283, 3389, 3478, 3702,
					5093, 5353, 5683, 6881, 10001, 11211, 17185, 26000, 27015, 32414, 37810)
   AND prefix_lookup_inet('detector_exclusions', dst_addr) IS NULL
 GROUP BY 1, 2, 3
HAVING sum(scaled(bytes, sampling_rate)) * 8 / 10 >= detectors.threshold('reflection', 'bits_per_second')
   AND approx_count_distinct(src_addr) >= detectors.threshold('reflection', 'reflectors')
   AND sum(scaled(bytes, sampling_rate)) / nullif(sum(scaled(packets, sampling_rate)), 0)
	   >= detectors.threshold('reflection', 'packet_bytes');
COMMENT ON FOREIGN TABLE detectors.reflection IS
'Many servers of a service known to amplify send large answers to dst_addr.';

/* ---------- what is large, what is many ---------- */

-- Records of less than a megabyte are no part of an elephant; so there are never more groups than megabytes.
CREATE VIEW detectors.elephant WITH (continuous, clock = :'clock', notify = :'notify') AS
SELECT tumble(time_event, '1 min') AS time, src_addr, dst_addr, proto, src_port, dst_port,
	   sum(scaled(bytes, sampling_rate)) AS bytes, sum(scaled(packets, sampling_rate)) AS packets
  FROM :stream
 WHERE scaled(bytes, sampling_rate) >= 1000000
   AND prefix_lookup_inet('detector_exclusions', src_addr) IS NULL
 GROUP BY 1, 2, 3, 4, 5, 6
HAVING sum(scaled(bytes, sampling_rate)) >= detectors.threshold('elephant', 'bytes');
COMMENT ON FOREIGN TABLE detectors.elephant IS 'One flow that carries much, of records of a megabyte and more.';

CREATE VIEW detectors.peers WITH (continuous, clock = :'clock', retain = '15 min') AS
SELECT tumble(time_event, '1 min') AS time, src_addr, dst_addr,
	   count(*) FILTER (WHERE proto = 6) AS tcp, count(*) FILTER (WHERE proto = 17) AS udp
  FROM :stream
 WHERE proto IN (6, 17) AND src_port >= 1024 AND dst_port >= 1024
   AND prefix_lookup_inet('detector_exclusions', src_addr) IS NULL
 GROUP BY 1, 2, 3;
COMMENT ON FOREIGN TABLE detectors.peers IS 'Pairs of hosts that talk with high ports on both sides.';

CREATE VIEW detectors.p2p WITH (continuous, notify = :'notify') AS
SELECT time, src_addr, count(*) AS peers, sum(tcp + udp) AS flows
  FROM detectors.peers WHERE tcp > 0 AND udp > 0 GROUP BY 1, 2
HAVING count(*) >= detectors.threshold('p2p', 'peers');
COMMENT ON FOREIGN TABLE detectors.p2p IS
'src_addr has both TCP and UDP, high ports on both sides, with each of many hosts.';

/* ---------- entropy ---------- */

CREATE VIEW detectors.destinations WITH (continuous, clock = :'clock', retain = '15 min') AS
SELECT tumble(time_event, '1 min') AS time, exporter, dst_addr, count(*) AS flows
  FROM :stream
 WHERE prefix_lookup_inet('detector_exclusions', dst_addr) IS NULL
 GROUP BY 1, 2, 3;
COMMENT ON FOREIGN TABLE detectors.destinations IS 'How many flows each destination has, by exporter.';

-- H = -sum(n/N log n/N) = log N - sum(n log n) / N
CREATE VIEW detectors.destination_entropy WITH (continuous, retain = '6 hours') AS
SELECT time, exporter, sum(flows) AS flows, count(*) AS destinations,
	   (ln(sum(flows)::float8) - sum(flows * ln(flows::float8)) / sum(flows)::float8) / ln(2::float8) AS bits
  FROM detectors.destinations GROUP BY 1, 2;
COMMENT ON FOREIGN TABLE detectors.destination_entropy IS
'Entropy of the destinations of an exporter''s flows, in bits: 0 when all flows go to one, log2(destinations) when each has as many.';

CREATE VIEW detectors.entropy AS
SELECT s.time, s.exporter, s.bits, s.usual_bits, s.flows, s.destinations,
	   s.bits - s.usual_bits AS difference, (s.bits - s.usual_bits) / nullif(s.deviation, 0) AS sigma
  FROM (SELECT e.*, avg(e.bits) OVER before AS usual_bits, stddev_samp(e.bits) OVER before AS deviation,
			   count(*) OVER before AS minutes
		  FROM detectors.destination_entropy e WHERE e.flows >= detectors.threshold('entropy', 'flows')
		WINDOW before AS (PARTITION BY e.exporter ORDER BY e.time
						  RANGE BETWEEN interval '1 hour' PRECEDING AND interval '1 min' PRECEDING)) s
 WHERE s.minutes >= detectors.threshold('entropy', 'minutes')
   AND abs(s.bits - s.usual_bits) >= detectors.threshold('entropy', 'bits')
   AND abs(s.bits - s.usual_bits) >= detectors.threshold('entropy', 'sigma') * s.deviation;
COMMENT ON VIEW detectors.entropy IS
'Minutes in which the flows of an exporter were concentrated on fewer destinations (difference below zero) or spread over more than in the hour before.';

/* ---------- all of them ---------- */

CREATE VIEW detectors.alerts AS
SELECT time, 'port_scan' AS detector, src_addr AS suspect, dst_addr AS target, ports::float8 AS measure,
	   jsonb_build_object('proto', proto, 'ports', ports, 'flows', flows) AS details
  FROM detectors.port_scan
UNION ALL
SELECT time, 'host_scan', src_addr, NULL, hosts, jsonb_build_object('proto', proto, 'port', dst_port, 'hosts', hosts, 'flows', flows)
  FROM detectors.host_scan
UNION ALL
SELECT time, 'worm_spread', s.src_addr, NULL, w.sources,
	   jsonb_build_object('proto', proto, 'port', dst_port, 'hosts', s.hosts, 'sources', w.sources)
  FROM detectors.worm_spread w JOIN detectors.spreaders s USING (time, proto, dst_port)
UNION ALL
SELECT time, 'syn_flood', NULL, dst_addr, syn_per_second,
	   jsonb_build_object('port', dst_port, 'unanswered', unanswered, 'established', established, 'sources', sources)
  FROM detectors.syn_flood
UNION ALL
SELECT time, 'ddos', NULL, dst_addr, bits_per_second, jsonb_build_object('packets_per_second', packets_per_second, 'sources', sources)
  FROM detectors.ddos
UNION ALL
SELECT time, 'reflection', NULL, dst_addr, bits_per_second,
	   jsonb_build_object('service', service, 'reflectors', reflectors, 'packet_bytes', packet_bytes)
  FROM detectors.reflection
UNION ALL
SELECT time, 'elephant', src_addr, dst_addr, bytes,
	   jsonb_build_object('proto', proto, 'src_port', src_port, 'dst_port', dst_port, 'packets', packets)
  FROM detectors.elephant
UNION ALL
SELECT time, 'p2p', src_addr, NULL, peers, jsonb_build_object('flows', flows)
  FROM detectors.p2p
UNION ALL
SELECT time, 'entropy', exporter, NULL, bits,
	   jsonb_build_object('usual', usual_bits, 'difference', difference, 'sigma', sigma, 'flows', flows, 'destinations', destinations)
  FROM detectors.entropy;
COMMENT ON VIEW detectors.alerts IS 'What all detectors have found in the windows that are in memory.';
COMMENT ON COLUMN detectors.alerts.time IS 'start of the window: ten seconds for floods, a minute for the others';
COMMENT ON COLUMN detectors.alerts.detector IS 'the signature: the name of its view too';
COMMENT ON COLUMN detectors.alerts.suspect IS 'who does it, as far as the signature can say; for entropy the exporter that saw it';
COMMENT ON COLUMN detectors.alerts.target IS 'to whom, where it is one';
COMMENT ON COLUMN detectors.alerts.measure IS 'what is compared with the first threshold of the detector';
COMMENT ON COLUMN detectors.alerts.details IS 'the rest of the row of its view';

GRANT USAGE ON SCHEMA detectors TO pg_monitor;
GRANT SELECT ON ALL TABLES IN SCHEMA detectors TO pg_monitor;
