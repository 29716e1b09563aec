-- SPDX-License-Identifier: PostgreSQL
-- Pack overview: who talks to whom, over what, and how much: the views that dashboards begin with.
--
--     SELECT backstream.install_pack('overview', schema => 'traffic');
--
-- runs this file with search_path = traffic.  It is plain SQL: copy it, change it, and run the copy in a schema of
-- your own.  install_pack() puts another stream in the place of backstream.flow, and another clock in that of wall,
-- if told so.  Views whose comment ends in [pack overview] belong to the pack: installing it again replaces them (what
-- they have counted stays where that is possible), uninstalling it drops them.  Give one that you have changed
-- another comment, and it is yours.
--
-- bytes and packets are scaled by the exporters' sampling rates; flows are records as they came.  Where there are
-- more groups than max_groups the rest is one row whose keys are NULL: sums stay right.

CREATE OR REPLACE VIEW load WITH (continuous, clock = wall, retain = '6 hours') AS
SELECT tumble(time_event, '10 s') AS time, exporter,
	   sum(scaled(bytes, sampling_rate)) AS bytes, sum(scaled(packets, sampling_rate)) AS packets, count(*) AS flows
  FROM backstream.flow GROUP BY 1, 2;
COMMENT ON FOREIGN TABLE load IS 'Traffic by exporter, every ten seconds. [pack overview]';

CREATE OR REPLACE VIEW load_rate AS
SELECT time, exporter, round(bytes * 8 / 10) AS bits_per_second, round(packets / 10) AS packets_per_second, round(flows / 10.0, 1) AS flows_per_second
  FROM load;
COMMENT ON VIEW load_rate IS 'Traffic by exporter as rates, every ten seconds. [pack overview]';

CREATE OR REPLACE VIEW protocols WITH (continuous, clock = wall, retain = '6 hours') AS
SELECT tumble(time_event, '1 min') AS time, exporter, proto,
	   sum(scaled(bytes, sampling_rate)) AS bytes, sum(scaled(packets, sampling_rate)) AS packets, count(*) AS flows
  FROM backstream.flow GROUP BY 1, 2, 3;
COMMENT ON FOREIGN TABLE protocols IS 'Traffic by exporter and IP protocol, by the minute. [pack overview]';

-- The lower port is that of the service, nearly always; of protocols without ports it is NULL.
CREATE OR REPLACE VIEW services WITH (continuous, clock = wall, retain = '2 hours', overflow = other) AS
SELECT tumble(time_event, '1 min') AS time, proto, least(src_port, dst_port) AS port,
	   sum(scaled(bytes, sampling_rate)) AS bytes, sum(scaled(packets, sampling_rate)) AS packets, count(*) AS flows
  FROM backstream.flow GROUP BY 1, 2, 3;
COMMENT ON FOREIGN TABLE services IS 'Traffic by protocol and the lower port of the two, by the minute. [pack overview]';

CREATE OR REPLACE VIEW sources_as WITH (continuous, clock = wall, retain = '2 hours', max_groups = 200000, overflow = other) AS
SELECT tumble(time_event, '1 min') AS time, src_as,
	   sum(scaled(bytes, sampling_rate)) AS bytes, sum(scaled(packets, sampling_rate)) AS packets, count(*) AS flows
  FROM backstream.flow GROUP BY 1, 2;
COMMENT ON FOREIGN TABLE sources_as IS 'What each autonomous system sends, by the minute. [pack overview]';

CREATE OR REPLACE VIEW matrix_as WITH (continuous, clock = wall, retain = '2 hours', max_groups = 200000, overflow = other) AS
SELECT tumble(time_event, '1 min') AS time, src_as, dst_as,
	   sum(scaled(bytes, sampling_rate)) AS bytes, sum(scaled(packets, sampling_rate)) AS packets, count(*) AS flows
  FROM backstream.flow GROUP BY 1, 2, 3;
COMMENT ON FOREIGN TABLE matrix_as IS 'Traffic between autonomous systems, by the minute. [pack overview]';

CREATE OR REPLACE VIEW matrix_prefix WITH (continuous, clock = wall, retain = '30 min', max_groups = 200000, overflow = other) AS
SELECT tumble(time_event, '1 min') AS time,
	   network(set_masklen(src_addr, CASE family(src_addr) WHEN 4 THEN 24 ELSE 48 END)) AS src_net,
	   network(set_masklen(dst_addr, CASE family(dst_addr) WHEN 4 THEN 24 ELSE 48 END)) AS dst_net,
	   sum(scaled(bytes, sampling_rate)) AS bytes, sum(scaled(packets, sampling_rate)) AS packets, count(*) AS flows
  FROM backstream.flow GROUP BY 1, 2, 3;
COMMENT ON FOREIGN TABLE matrix_prefix IS 'Traffic between networks of /24 and /48, by the minute. [pack overview]';

CREATE OR REPLACE VIEW interfaces WITH (continuous, clock = wall, retain = '6 hours') AS
SELECT tumble(time_event, '1 min') AS time, exporter, in_if, out_if,
	   sum(scaled(bytes, sampling_rate)) AS bytes, sum(scaled(packets, sampling_rate)) AS packets, count(*) AS flows
  FROM backstream.flow GROUP BY 1, 2, 3, 4;
COMMENT ON FOREIGN TABLE interfaces IS 'Traffic between interfaces of each exporter, by the minute. [pack overview]';

CREATE OR REPLACE VIEW interface_load AS
SELECT time, exporter, interface, sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out,
	   sum(packets_in) AS packets_in, sum(packets_out) AS packets_out
  FROM (SELECT time, exporter, in_if AS interface, bytes AS bytes_in, 0 AS bytes_out, packets AS packets_in, 0 AS packets_out FROM interfaces
		UNION ALL
		SELECT time, exporter, out_if, 0, bytes, 0, packets FROM interfaces) both_ways
 GROUP BY 1, 2, 3;
COMMENT ON VIEW interface_load IS 'What comes in and goes out at each interface, by the minute. [pack overview]';

CREATE OR REPLACE VIEW sources WITH (continuous, clock = wall, retain = '30 min', max_groups = 200000, overflow = other) AS
SELECT tumble(time_event, '1 min') AS time, src_addr,
	   sum(scaled(bytes, sampling_rate)) AS bytes, sum(scaled(packets, sampling_rate)) AS packets, count(*) AS flows
  FROM backstream.flow GROUP BY 1, 2;
COMMENT ON FOREIGN TABLE sources IS 'What each host sends, by the minute. [pack overview]';

CREATE OR REPLACE VIEW destinations WITH (continuous, clock = wall, retain = '30 min', max_groups = 200000, overflow = other) AS
SELECT tumble(time_event, '1 min') AS time, dst_addr,
	   sum(scaled(bytes, sampling_rate)) AS bytes, sum(scaled(packets, sampling_rate)) AS packets, count(*) AS flows
  FROM backstream.flow GROUP BY 1, 2;
COMMENT ON FOREIGN TABLE destinations IS 'What each host gets, by the minute. [pack overview]';

CREATE OR REPLACE VIEW hosts AS
SELECT time, host, sum(sent) + sum(received) AS bytes, sum(sent) AS sent, sum(received) AS received, sum(flows) AS flows
  FROM (SELECT time, src_addr AS host, bytes AS sent, 0 AS received, flows FROM sources
		UNION ALL
		SELECT time, dst_addr, 0, bytes, flows FROM destinations) both_ways
 GROUP BY 1, 2;
COMMENT ON VIEW hosts IS 'What each host sends and gets, by the minute, in bytes. [pack overview]';
