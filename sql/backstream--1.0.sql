/* SPDX-License-Identifier: PostgreSQL */
/* What CREATE EXTENSION backstream makes.  Every object lies in the schema backstream. */

\echo Use "CREATE EXTENSION backstream" to load this file. \quit

-- The schema may be older than the extension.  Whoever owns it can put functions of their own
-- beside ours, so it must belong to the one who installs.
DO $$
DECLARE
	schema_owner regrole;
BEGIN
	SELECT nspowner INTO schema_owner FROM pg_catalog.pg_namespace WHERE nspname = 'backstream';
	IF NOT pg_catalog.pg_has_role(schema_owner, 'MEMBER') OR
	   (schema_owner::oid <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user) AND
	    NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE oid = schema_owner)) THEN
		RAISE insufficient_privilege USING
			MESSAGE = pg_catalog.format('schema "backstream" belongs to role %s', schema_owner),
			HINT = 'Give it to a superuser (ALTER SCHEMA backstream OWNER TO ...) or drop it.';
	END IF;
END;
$$;

COMMENT ON SCHEMA backstream IS
'BackStream: streams of flow records, continuous views over them, and what can be seen of both.';
GRANT USAGE ON SCHEMA backstream TO PUBLIC;

/* ---------- foreign-data wrapper ---------- */

CREATE FUNCTION backstream.fdw_handler() RETURNS fdw_handler
	AS 'MODULE_PATHNAME', 'bs_fdw_handler' LANGUAGE C STRICT;
COMMENT ON FUNCTION backstream.fdw_handler() IS
'Handler of the foreign-data wrapper backstream.';

CREATE FUNCTION backstream.fdw_validator(options text[], catalog oid) RETURNS void
	AS 'MODULE_PATHNAME', 'bs_fdw_validator' LANGUAGE C STRICT;
COMMENT ON FUNCTION backstream.fdw_validator(text[], oid) IS
'Validator of the options of streams, continuous views and nodes.';

REVOKE ALL ON FUNCTION backstream.fdw_handler(), backstream.fdw_validator(text[], oid) FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER backstream
	HANDLER backstream.fdw_handler VALIDATOR backstream.fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER backstream IS
'Streams and continuous views.';

CREATE SERVER backstream FOREIGN DATA WRAPPER backstream;
COMMENT ON SERVER backstream IS
'This server.  A role needs USAGE on it to declare streams and continuous views, which take a part of backstream.memory and of the receiving processes; nobody has it from the start.';

/* ---------- streams ---------- */

-- The same columns in the same order as in receiver/flow.h.
CREATE FOREIGN TABLE backstream.flow (
	time_received timestamptz,
	time_export timestamptz,
	time_flow_start timestamptz,
	time_flow_end timestamptz,
	time_event timestamptz,
	exporter inet,
	obs_domain bigint,
	flow_type text,
	sampling_rate bigint,
	flow_direction smallint,
	bytes bigint,
	packets bigint,
	src_addr inet,
	dst_addr inet,
	src_mask smallint,
	dst_mask smallint,
	src_port integer,
	dst_port integer,
	proto smallint,
	tcp_flags integer,
	ip_tos smallint,
	ip_ttl smallint,
	icmp_type smallint,
	icmp_code smallint,
	src_as bigint,
	dst_as bigint,
	next_hop inet,
	bgp_next_hop inet,
	in_if bigint,
	out_if bigint,
	src_mac macaddr,
	dst_mac macaddr,
	src_vlan integer,
	dst_vlan integer,
	in_vrf bigint,
	out_vrf bigint,
	forwarding_status smallint,
	ipv6_flow_label integer,
	mpls_label integer,
	fragment_id bigint,
	fragment_offset integer,
	app_id bigint
) SERVER backstream OPTIONS (watermark_by 'exporter');

COMMENT ON FOREIGN TABLE backstream.flow IS
'Flow records as received from exporters (NetFlow v5, v9, IPFIX) and as inserted.  What a record does not carry is NULL.';
COMMENT ON COLUMN backstream.flow.time_received IS 'arrival of the datagram';
COMMENT ON COLUMN backstream.flow.time_export IS 'export time in the header of the datagram';
COMMENT ON COLUMN backstream.flow.time_flow_start IS 'first packet of the flow';
COMMENT ON COLUMN backstream.flow.time_flow_end IS 'last packet of the flow';
COMMENT ON COLUMN backstream.flow.time_event IS 'time_flow_end, else time_export, else time_received: never NULL in what is received';
COMMENT ON COLUMN backstream.flow.exporter IS 'source address of the datagram';
COMMENT ON COLUMN backstream.flow.obs_domain IS 'observation domain (IPFIX), source id (v9), engine type * 256 + id (v5)';
COMMENT ON COLUMN backstream.flow.flow_type IS 'netflow_v5, netflow_v9, ipfix, or what an INSERT says';
COMMENT ON COLUMN backstream.flow.sampling_rate IS 'one packet in so many was looked at; NULL: unknown';
COMMENT ON COLUMN backstream.flow.flow_direction IS '0 ingress, 1 egress';
COMMENT ON COLUMN backstream.flow.bytes IS 'bytes as exported, not scaled by sampling_rate';
COMMENT ON COLUMN backstream.flow.packets IS 'packets as exported, not scaled by sampling_rate';
COMMENT ON COLUMN backstream.flow.src_addr IS 'source address';
COMMENT ON COLUMN backstream.flow.dst_addr IS 'destination address';
COMMENT ON COLUMN backstream.flow.src_mask IS 'prefix length of the source route';
COMMENT ON COLUMN backstream.flow.dst_mask IS 'prefix length of the destination route';
COMMENT ON COLUMN backstream.flow.src_port IS 'source port';
COMMENT ON COLUMN backstream.flow.dst_port IS 'destination port';
COMMENT ON COLUMN backstream.flow.proto IS 'IP protocol';
COMMENT ON COLUMN backstream.flow.tcp_flags IS 'TCP flags seen, or-ed';
COMMENT ON COLUMN backstream.flow.ip_tos IS 'type of service / traffic class';
COMMENT ON COLUMN backstream.flow.ip_ttl IS 'time to live / hop limit';
COMMENT ON COLUMN backstream.flow.icmp_type IS 'ICMP type';
COMMENT ON COLUMN backstream.flow.icmp_code IS 'ICMP code';
COMMENT ON COLUMN backstream.flow.src_as IS 'autonomous system of the source';
COMMENT ON COLUMN backstream.flow.dst_as IS 'autonomous system of the destination';
COMMENT ON COLUMN backstream.flow.next_hop IS 'next hop';
COMMENT ON COLUMN backstream.flow.bgp_next_hop IS 'next hop by BGP';
COMMENT ON COLUMN backstream.flow.in_if IS 'input interface (ifIndex)';
COMMENT ON COLUMN backstream.flow.out_if IS 'output interface (ifIndex)';
COMMENT ON COLUMN backstream.flow.src_mac IS 'source MAC address';
COMMENT ON COLUMN backstream.flow.dst_mac IS 'destination MAC address';
COMMENT ON COLUMN backstream.flow.src_vlan IS 'source VLAN';
COMMENT ON COLUMN backstream.flow.dst_vlan IS 'destination VLAN';
COMMENT ON COLUMN backstream.flow.in_vrf IS 'ingress VRF';
COMMENT ON COLUMN backstream.flow.out_vrf IS 'egress VRF';
COMMENT ON COLUMN backstream.flow.forwarding_status IS 'forwarding status and reason (IPFIX element 89)';
COMMENT ON COLUMN backstream.flow.ipv6_flow_label IS 'IPv6 flow label';
COMMENT ON COLUMN backstream.flow.mpls_label IS 'top MPLS label';
COMMENT ON COLUMN backstream.flow.fragment_id IS 'identification of the fragmented datagram';
COMMENT ON COLUMN backstream.flow.fragment_offset IS 'fragment offset, in units of 8 bytes';
COMMENT ON COLUMN backstream.flow.app_id IS 'application id (IPFIX element 95)';

CREATE TABLE backstream.exporter_config (
	exporter inet PRIMARY KEY,
	name text,
	sampling_default bigint CHECK (sampling_default > 0),
	sampling_override bigint CHECK (sampling_override > 0)
);
COMMENT ON TABLE backstream.exporter_config IS
'What exporters do not say of themselves.  A row counts for an address or, with a netmask, for a network; the longest match is taken.';
COMMENT ON COLUMN backstream.exporter_config.exporter IS 'source address of the exports, or a network';
COMMENT ON COLUMN backstream.exporter_config.name IS 'what people call it';
COMMENT ON COLUMN backstream.exporter_config.sampling_default IS 'sampling rate of records that bring none';
COMMENT ON COLUMN backstream.exporter_config.sampling_override IS 'sampling rate of all its records, whatever they bring';
SELECT pg_catalog.pg_extension_config_dump('backstream.exporter_config', '');

/* ---------- functions used in queries ---------- */

-- The origin is a Monday (2000-01-03), so that windows of a week are ISO weeks.
CREATE FUNCTION backstream.tumble(t timestamptz, width interval) RETURNS timestamptz
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN pg_catalog.date_bin(width, t, timestamptz '2000-01-03 00:00:00+00');
COMMENT ON FUNCTION backstream.tumble(timestamptz, interval) IS
'Start of the window of the given width that a time falls into.  Windows are aligned to UTC, to Monday 2000-01-03; the width has no months and is more than zero.  In a continuous view this is its window.';

CREATE FUNCTION backstream.scaled(value bigint, sampling_rate bigint) RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN value * COALESCE(sampling_rate, 1);
COMMENT ON FUNCTION backstream.scaled(bigint, bigint) IS
'value times sampling_rate, an estimate of what the exporter saw.  A value whose rate is unknown (NULL) is taken as it is; count(*) FILTER (WHERE sampling_rate IS NULL) says how many those were.';

CREATE FUNCTION backstream.execute(statement text) RETURNS void
	AS 'MODULE_PATHNAME', 'bs_execute' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.execute(text) IS
'Run one CREATE, ALTER or DROP CONTINUOUS VIEW statement in the current transaction: for clients and places that cannot send it as it is.';
