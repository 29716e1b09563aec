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
'Flow records as received from exporters (NetFlow v5, v9, IPFIX, sFlow v5) and as inserted.  What a record does not carry is NULL.';
COMMENT ON COLUMN backstream.flow.time_received IS 'arrival of the datagram; a row inserted without it gets the time at which its transaction commits (RETURNING still shows NULL)';
COMMENT ON COLUMN backstream.flow.time_export IS 'export time in the header of the datagram';
COMMENT ON COLUMN backstream.flow.time_flow_start IS 'first packet of the flow';
COMMENT ON COLUMN backstream.flow.time_flow_end IS 'last packet of the flow';
COMMENT ON COLUMN backstream.flow.time_event IS 'time_flow_end, else time_export, else time_received: never NULL for views; a row inserted without it gets the first of these when its transaction commits (RETURNING still shows NULL)';
COMMENT ON COLUMN backstream.flow.exporter IS 'source address of the datagram';
COMMENT ON COLUMN backstream.flow.obs_domain IS 'observation domain (IPFIX), source id (v9), engine type * 256 + id (v5), sub-agent (sFlow)';
COMMENT ON COLUMN backstream.flow.flow_type IS 'netflow_v5, netflow_v9, ipfix, sflow_v5, or what an INSERT says';
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

CREATE TABLE backstream.interface_config (
	exporter inet,
	interface bigint,
	name text,
	speed bigint CHECK (speed > 0),
	PRIMARY KEY (exporter, interface)
);
COMMENT ON TABLE backstream.interface_config IS
'What flow records do not say of interfaces: for dashboards and queries, as continuous views have numbers only.';
COMMENT ON COLUMN backstream.interface_config.exporter IS 'source address of the exports';
COMMENT ON COLUMN backstream.interface_config.interface IS 'ifIndex: in_if and out_if of backstream.flow';
COMMENT ON COLUMN backstream.interface_config.name IS 'what people call it';
COMMENT ON COLUMN backstream.interface_config.speed IS 'bits per second, in each direction';
SELECT pg_catalog.pg_extension_config_dump('backstream.interface_config', '');
GRANT SELECT ON backstream.interface_config TO PUBLIC;

/* ---------- export datagrams by SQL ---------- */

CREATE FUNCTION backstream.decode(datagram bytea, exporter inet,
								  received timestamptz DEFAULT pg_catalog.clock_timestamp())
	RETURNS SETOF backstream.flow
	AS 'MODULE_PATHNAME', 'bs_decode' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED
	COST 1000 ROWS 30;
COMMENT ON FUNCTION backstream.decode(bytea, inet, timestamptz) IS
'The records of one export datagram (NetFlow v5, v9, IPFIX, sFlow v5) from the given exporter, as they would be received.  Templates, sampling rates and sequence numbers are kept by the session, so datagrams are given in their order.  What cannot be decoded gives no rows and is counted: backstream.decode_stats().';

CREATE FUNCTION backstream.ingest(datagram bytea, exporter inet,
								  received timestamptz DEFAULT pg_catalog.clock_timestamp())
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'bs_ingest' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION backstream.ingest(bytea, inet, timestamptz) IS
'Feed the records that backstream.decode() gives for a datagram to backstream.flow, as an INSERT would: they count from the commit on, and not at all after a rollback.  Returns their number.';

CREATE FUNCTION backstream.decode_stats(
	OUT exporter inet, OUT obs_domain bigint, OUT flow_type text,
	OUT datagrams bigint, OUT bytes bigint, OUT records bigint, OUT option_records bigint,
	OUT records_lost bigint, OUT datagrams_lost bigint, OUT resyncs bigint,
	OUT unknown_template bigint, OUT decode_errors bigint, OUT template_errors bigint,
	OUT templates_refused bigint, OUT withdrawals_ignored bigint, OUT untimed bigint,
	OUT totals_used bigint, OUT templates bigint, OUT counter_samples bigint,
	OUT other_samples bigint, OUT last_seen timestamptz,
	OUT clock_skew interval, OUT sampling_rate bigint,
	OUT not_export bigint, OUT exporters_refused bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_decode_stats' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.decode_stats() IS
'What decode() and ingest() have counted in this session: a row per exporter, observation domain and kind of export, as in backstream.exporters, and one without exporter that counts all datagrams and those that were no exports (not_export) or of exporters for which there was no room (exporters_refused).  Data sets whose template is not known count as unknown_template.';

CREATE FUNCTION backstream.decode_reset() RETURNS void
	AS 'MODULE_PATHNAME', 'bs_decode_reset' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.decode_reset() IS
'Forget the templates, rates, sequence numbers and counts that decode() and ingest() keep in this session.';

REVOKE ALL ON FUNCTION backstream.decode(bytea, inet, timestamptz),
	backstream.ingest(bytea, inet, timestamptz), backstream.decode_stats(),
	backstream.decode_reset() FROM PUBLIC;

/* ---------- functions used in queries ---------- */

-- The origin is a Monday (2000-01-03), so that windows of a week are ISO weeks.
CREATE FUNCTION backstream.tumble(t timestamptz, width interval) RETURNS timestamptz
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN pg_catalog.date_bin(width, t, timestamptz '2000-01-03 00:00:00+00');
COMMENT ON FUNCTION backstream.tumble(timestamptz, interval) IS
'Start of the window of the given width that a time falls into.  Windows are aligned to UTC, to Monday 2000-01-03; the width has no months and is more than zero.  In a continuous view this is its window.';

CREATE FUNCTION backstream.hop(t timestamptz, slide interval, size interval) RETURNS SETOF timestamptz
	AS 'MODULE_PATHNAME', 'bs_hop' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 10;
COMMENT ON FUNCTION backstream.hop(timestamptz, interval, interval) IS
'Starts of the windows of length size that a time falls into, when one starts every slide: ascending.  Windows are aligned to UTC, to Monday 2000-01-03; slide and size have no months and are more than zero, slide is not more than size.  An infinite time is in no window.  In a continuous view, as a key of GROUP BY, this is its window.';

CREATE TYPE backstream.slice AS ("time" timestamptz, before_usec bigint, until_usec bigint, total_usec bigint);
COMMENT ON TYPE backstream.slice IS
'The part of a flow that lies in one window: start of the window, how much of the flow''s duration lies before the window and before its end, and the duration, in microseconds.';

CREATE FUNCTION backstream.spread(flow_start timestamptz, flow_end timestamptz, width interval) RETURNS SETOF backstream.slice
	AS 'MODULE_PATHNAME', 'bs_sql_spread' LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 3;
COMMENT ON FUNCTION backstream.spread(timestamptz, timestamptz, interval) IS
'The windows of the given width that a flow lasted in, and what part of it each has (see portion).  A flow lasts up to its end, not beyond; one that ends when or before it begins counts in the window of its end; one without both times in none; one that lasts longer than backstream.max_flow_duration, or 3600 windows, in the last part of that length.  Windows are aligned as those of tumble().  In a continuous view: FROM stream f CROSS JOIN LATERAL spread(f.time_flow_start, f.time_flow_end, ''10 s'') s, and s.time is its window.';

CREATE FUNCTION backstream.portion(value bigint, s backstream.slice) RETURNS bigint
	AS 'MODULE_PATHNAME', 'bs_sql_portion' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION backstream.portion(bigint, backstream.slice) IS
'The share of a value that a slice of a flow has, by time: the floor of the share up to the end of the window less that of the share before it, so that the portions of a flow come to the value, exactly.';

CREATE FUNCTION backstream.portion(value bigint, before_usec bigint, until_usec bigint, total_usec bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'bs_sql_portion_of' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION backstream.portion(bigint, bigint, bigint, bigint) IS
'The same, by the numbers of a slice.';

CREATE FUNCTION backstream.scaled(value bigint, sampling_rate bigint) RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN value * COALESCE(sampling_rate, 1);
COMMENT ON FUNCTION backstream.scaled(bigint, bigint) IS
'value times sampling_rate, an estimate of what the exporter saw.  A value whose rate is unknown (NULL) is taken as it is; count(*) FILTER (WHERE sampling_rate IS NULL) says how many those were.';

/* ---------- approximate aggregates ---------- */

-- Ordinary aggregates over any table; in continuous views they are found without their schema.
CREATE FUNCTION backstream.approx_count_distinct_transition(state internal, value anyelement)
	RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_approx_count_transition' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION backstream.approx_count_distinct_combine(state internal, other internal)
	RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_approx_count_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION backstream.approx_count_distinct_serialize(state internal) RETURNS bytea
	AS 'MODULE_PATHNAME', 'bs_approx_count_serialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION backstream.approx_count_distinct_deserialize(packed bytea, nothing internal)
	RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_approx_count_deserialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION backstream.approx_count_distinct_final(state internal) RETURNS bigint
	AS 'MODULE_PATHNAME', 'bs_approx_count_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE AGGREGATE backstream.approx_count_distinct(value anyelement) (
	SFUNC = backstream.approx_count_distinct_transition, STYPE = internal, SSPACE = 2048,
	COMBINEFUNC = backstream.approx_count_distinct_combine,
	SERIALFUNC = backstream.approx_count_distinct_serialize,
	DESERIALFUNC = backstream.approx_count_distinct_deserialize,
	FINALFUNC = backstream.approx_count_distinct_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE backstream.approx_count_distinct(anyelement) IS
'About how many different values that are not NULL there are: exact, give or take one, up to 3,072, and with a standard error of 0.81 % beyond. HyperLogLog with 2^14 registers (Flajolet et al. 2007; sparse form of Heule et al. 2013; estimator of Ertl 2017). A state takes 64 bytes to 16 kB.';

CREATE FUNCTION backstream.approx_percentile_transition(state internal, fraction float8, value float8)
	RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_approx_percentile_float8' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION backstream.approx_percentile_transition(state internal, fraction float8, value bigint)
	RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_approx_percentile_bigint' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION backstream.approx_percentile_transition(state internal, fraction float8, value numeric)
	RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_approx_percentile_numeric' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION backstream.approx_percentile_combine(state internal, other internal)
	RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_approx_percentile_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION backstream.approx_percentile_serialize(state internal) RETURNS bytea
	AS 'MODULE_PATHNAME', 'bs_approx_percentile_serialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION backstream.approx_percentile_deserialize(packed bytea, nothing internal)
	RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_approx_percentile_deserialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION backstream.approx_percentile_final(state internal) RETURNS float8
	AS 'MODULE_PATHNAME', 'bs_approx_percentile_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE AGGREGATE backstream.approx_percentile(fraction float8, value float8) (
	SFUNC = backstream.approx_percentile_transition, STYPE = internal, SSPACE = 8192,
	COMBINEFUNC = backstream.approx_percentile_combine,
	SERIALFUNC = backstream.approx_percentile_serialize,
	DESERIALFUNC = backstream.approx_percentile_deserialize,
	FINALFUNC = backstream.approx_percentile_final, PARALLEL = SAFE);
CREATE AGGREGATE backstream.approx_percentile(fraction float8, value bigint) (
	SFUNC = backstream.approx_percentile_transition, STYPE = internal, SSPACE = 8192,
	COMBINEFUNC = backstream.approx_percentile_combine,
	SERIALFUNC = backstream.approx_percentile_serialize,
	DESERIALFUNC = backstream.approx_percentile_deserialize,
	FINALFUNC = backstream.approx_percentile_final, PARALLEL = SAFE);
CREATE AGGREGATE backstream.approx_percentile(fraction float8, value numeric) (
	SFUNC = backstream.approx_percentile_transition, STYPE = internal, SSPACE = 8192,
	COMBINEFUNC = backstream.approx_percentile_combine,
	SERIALFUNC = backstream.approx_percentile_serialize,
	DESERIALFUNC = backstream.approx_percentile_deserialize,
	FINALFUNC = backstream.approx_percentile_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE backstream.approx_percentile(float8, float8) IS
'percentile_disc(fraction) WITHIN GROUP (ORDER BY value), to within 1 % of it; least and greatest value are exact. The fraction is the same for all records of a group. DDSketch (Masson, Rim, Lee 2019) of at most 2,048 bins of either sign: the bound does not hold for values nearer to zero than 1 / 6e17 of the greatest of their sign. A state takes 8 bytes per bin between the least and the greatest value (115 bins for a factor of ten), at most 32 kB.';
COMMENT ON AGGREGATE backstream.approx_percentile(float8, bigint) IS
'percentile_disc(fraction) WITHIN GROUP (ORDER BY value), to within 1 % of it: see approx_percentile(float8, float8).';
COMMENT ON AGGREGATE backstream.approx_percentile(float8, numeric) IS
'percentile_disc(fraction) WITHIN GROUP (ORDER BY value), to within 1 % of it, for values in the range of float8: see approx_percentile(float8, float8).';

CREATE FUNCTION backstream.approx_top_k_transition(state internal, value anyelement, k integer)
	RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_approx_top_k_transition' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION backstream.approx_top_k_transition(state internal, value anyelement, k integer,
												   weight bigint)
	RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_approx_top_k_transition' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION backstream.approx_top_k_combine(state internal, other internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_approx_top_k_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION backstream.approx_top_k_serialize(state internal) RETURNS bytea
	AS 'MODULE_PATHNAME', 'bs_approx_top_k_serialize' LANGUAGE C STABLE STRICT PARALLEL SAFE;
CREATE FUNCTION backstream.approx_top_k_deserialize(packed bytea, nothing internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_approx_top_k_deserialize' LANGUAGE C STABLE STRICT PARALLEL SAFE;
CREATE FUNCTION backstream.approx_top_k_final(state internal, value anyelement, k integer)
	RETURNS jsonb
	AS 'MODULE_PATHNAME', 'bs_approx_top_k_final' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION backstream.approx_top_k_final(state internal, value anyelement, k integer,
											  weight bigint)
	RETURNS jsonb
	AS 'MODULE_PATHNAME', 'bs_approx_top_k_final' LANGUAGE C STABLE PARALLEL SAFE;
CREATE AGGREGATE backstream.approx_top_k(value anyelement, k integer) (
	SFUNC = backstream.approx_top_k_transition, STYPE = internal, SSPACE = 32768,
	COMBINEFUNC = backstream.approx_top_k_combine,
	SERIALFUNC = backstream.approx_top_k_serialize,
	DESERIALFUNC = backstream.approx_top_k_deserialize,
	FINALFUNC = backstream.approx_top_k_final, FINALFUNC_EXTRA, PARALLEL = SAFE);
CREATE AGGREGATE backstream.approx_top_k(value anyelement, k integer, weight bigint) (
	SFUNC = backstream.approx_top_k_transition, STYPE = internal, SSPACE = 32768,
	COMBINEFUNC = backstream.approx_top_k_combine,
	SERIALFUNC = backstream.approx_top_k_serialize,
	DESERIALFUNC = backstream.approx_top_k_deserialize,
	FINALFUNC = backstream.approx_top_k_final, FINALFUNC_EXTRA, PARALLEL = SAFE);
COMMENT ON AGGREGATE backstream.approx_top_k(anyelement, integer) IS
'The k (1 to 1000) most frequent values: as approx_top_k(value, k, 1).';
COMMENT ON AGGREGATE backstream.approx_top_k(anyelement, integer, bigint) IS
'The k (1 to 1000) values with the greatest sums of weights: {"total": sum of all weights, "entries": [{"value", "estimate", "lower", "upper"}, ...]}, the greatest estimate first. A value''s true sum is between lower and upper, which are never further apart than total / c with c = max(2k, 256); the estimate is their middle. Every value above total / c has a counter; with no more than c different values all is exact. NULLs and weights 0 or NULL count for nothing; NULL when nothing counts. Space-saving (Metwally, Agrawal, El Abbadi 2005) in batches (Anderson et al. 2017), merged as by Agarwal et al. 2012. A state takes at most 2c counters of 64 bytes and their values of up to 256 bytes.';

-- What the approximate aggregates are made of.
DO $$
DECLARE
	part record;
BEGIN
	FOR part IN
		SELECT p.oid::pg_catalog.regprocedure AS name,
			pg_catalog.substring(p.proname, '^(approx.*)_[a-z]+$') AS aggregate,
			pg_catalog.substring(p.proname, '[a-z]+$') AS role
		  FROM pg_catalog.pg_proc p
		 WHERE p.pronamespace = 'backstream'::pg_catalog.regnamespace AND p.proname LIKE 'approx\_%'
		   AND p.prokind = 'f'
	LOOP
		EXECUTE pg_catalog.format('COMMENT ON FUNCTION %s IS %L', part.name,
			pg_catalog.format('The %s function of the aggregate backstream.%s.', part.role, part.aggregate));
	END LOOP;
END;
$$;

CREATE FUNCTION backstream.execute(statement text) RETURNS void
	AS 'MODULE_PATHNAME', 'bs_execute' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.execute(text) IS
'Run one CREATE, ALTER or DROP CONTINUOUS VIEW statement in the current transaction: for clients and places that cannot send it as it is.';

CREATE FUNCTION backstream.explain(query text,
		OUT part text, OUT expression text, OUT evaluated text, OUT bytes integer) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_explain' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.explain(text) IS
'How a continuous view of this query would be kept: what the engine evaluates by itself (native), what PostgreSQL computes for it record by record (computed), bytes per group: of each key and state, and of a whole group without what is of variable length; and with which views that run already it would share the work of its filter or keys, or whole panes: then it costs next to nothing.';
/* ---------- reading windows ---------- */

CREATE FUNCTION backstream.latest(continuous_view anyelement) RETURNS SETOF anyelement
	AS 'MODULE_PATHNAME', 'bs_latest' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.latest(anyelement) IS
'Rows of the newest closed window of a continuous view, which is named by its type: backstream.latest(NULL::v).  None while no window is closed.';

CREATE FUNCTION backstream.merged(continuous_view anyelement, "from" timestamptz, "to" timestamptz)
	RETURNS SETOF anyelement
	AS 'MODULE_PATHNAME', 'bs_merged' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.merged(anyelement, timestamptz, timestamptz) IS
'The windows of a continuous view that start in [from, to) merged into one answer, as if they had been one window: averages, minima and distinct counts are exact.  from is taken down to the start of its window, which is also what the window column shows.  NULL leaves an end open; with an open start the window column shows the oldest window that there is.  Open windows are among them unless the view has show = ''closed''.';

CREATE FUNCTION backstream.is_final(continuous_view regclass, "time" timestamptz) RETURNS boolean
	AS 'MODULE_PATHNAME', 'bs_is_final' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.is_final(regclass, timestamptz) IS
'Is the window of a continuous view that a time falls into closed, so that nothing changes it any more?  Of several (hop) all of them.  False for infinity, and where nothing is counted yet; an error for views without windows.';

CREATE FUNCTION backstream.history(continuous_view anyelement) RETURNS SETOF anyelement
	AS 'MODULE_PATHNAME', 'bs_history' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.history(anyelement) IS
'Rows of a continuous view, which is named by its type, from its archive and from memory, each window once: backstream.history(NULL::v).  In FROM it is planned as the UNION ALL that it is, so that conditions reach both.';

CREATE FUNCTION backstream.tail(continuous_view anyelement, since timestamptz DEFAULT NULL) RETURNS SETOF anyelement
	AS 'MODULE_PATHNAME', 'bs_tail' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.tail(anyelement, timestamptz) IS
'Rows of a continuous view, which is named by its type, as its windows close: those that close from now on, or those that start after since.  Ends after backstream.listen_for.  In FROM rows come one by one, through a cursor or COPY.';
CREATE FUNCTION backstream.following("time" timestamptz, since timestamptz) RETURNS boolean
	AS 'MODULE_PATHNAME', 'bs_following' LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.following(timestamptz, timestamptz) IS
'A part of backstream.tail(): not to be called.';

CREATE FUNCTION backstream.archived_before(continuous_view oid, archive oid) RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'bs_archived_before' LANGUAGE C STRICT STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.archived_before(oid, oid) IS
'What backstream.history() is made of: windows that start before this are in the archive, as the snapshot has it.  An error when some that it does not have there have left the memory already.';

-- combine(column): what stands there is planned as combine_states() over the states that a scan of the
-- view gives beside its columns.
CREATE FUNCTION backstream.combine_transition(state internal, value anyelement) RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_combine_transition' LANGUAGE C STABLE PARALLEL RESTRICTED;
CREATE FUNCTION backstream.combine_final(state internal, value anyelement) RETURNS anyelement
	AS 'MODULE_PATHNAME', 'bs_combine_final' LANGUAGE C STABLE PARALLEL RESTRICTED;
CREATE AGGREGATE backstream.combine("column" anyelement) (
	SFUNC = backstream.combine_transition, STYPE = internal, SSPACE = 64,
	FINALFUNC = backstream.combine_final, FINALFUNC_EXTRA, PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE backstream.combine(anyelement) IS
'In a SELECT from a continuous view: the aggregate that the column is, over all records of the rows, as if they had been one group: states are merged, not finished values. For columns that are exactly one aggregate, of views without HAVING.';

CREATE TYPE backstream.aggregate_state;
CREATE FUNCTION backstream.aggregate_state_in(text cstring) RETURNS backstream.aggregate_state
	AS 'MODULE_PATHNAME', 'bs_aggregate_state_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION backstream.aggregate_state_out(state backstream.aggregate_state) RETURNS cstring
	AS 'MODULE_PATHNAME', 'bs_aggregate_state_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE TYPE backstream.aggregate_state (INPUT = backstream.aggregate_state_in,
	OUTPUT = backstream.aggregate_state_out, INTERNALLENGTH = VARIABLE, STORAGE = extended);
COMMENT ON TYPE backstream.aggregate_state IS
'What a column of a continuous view was made of, on its way from a scan to combine(): can be neither read nor written.';

CREATE FUNCTION backstream.state_of("column" anyelement) RETURNS backstream.aggregate_state
	AS 'MODULE_PATHNAME', 'bs_state_of' LANGUAGE C STABLE PARALLEL RESTRICTED;
CREATE FUNCTION backstream.combine_states_transition(state internal,
	part backstream.aggregate_state, continuous_view regclass, "column" smallint, fingerprint bigint,
	value anyelement) RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_combine_states_transition' LANGUAGE C STABLE PARALLEL RESTRICTED;
CREATE FUNCTION backstream.combine_states_final(state internal, part backstream.aggregate_state,
	continuous_view regclass, "column" smallint, fingerprint bigint, value anyelement)
	RETURNS anyelement
	AS 'MODULE_PATHNAME', 'bs_combine_states_final' LANGUAGE C STABLE PARALLEL RESTRICTED;
CREATE AGGREGATE backstream.combine_states(part backstream.aggregate_state,
		continuous_view regclass, "column" smallint, fingerprint bigint, value anyelement) (
	SFUNC = backstream.combine_states_transition, STYPE = internal, SSPACE = 64,
	FINALFUNC = backstream.combine_states_final, FINALFUNC_EXTRA, PARALLEL = RESTRICTED);

DO $$
DECLARE
	part regprocedure;
BEGIN
	FOREACH part IN ARRAY ARRAY['combine_transition(internal, anyelement)',
		'combine_final(internal, anyelement)', 'aggregate_state_in(cstring)',
		'aggregate_state_out(backstream.aggregate_state)', 'state_of(anyelement)',
		'combine_states_transition(internal, backstream.aggregate_state, regclass, smallint, bigint, anyelement)',
		'combine_states_final(internal, backstream.aggregate_state, regclass, smallint, bigint, anyelement)',
		'combine_states(backstream.aggregate_state, regclass, smallint, bigint, anyelement)'] LOOP
		EXECUTE format('COMMENT ON FUNCTION %s IS %L', part, 'Part of combine().');
	END LOOP;
END;
$$;

CREATE FUNCTION backstream.windows(continuous_view regclass,
	OUT window_start timestamptz, OUT window_end timestamptz, OUT state text, OUT gap boolean, OUT groups bigint,
	OUT records bigint, OUT late bigint, OUT overflowed bigint, OUT other bigint, OUT errors bigint,
	OUT distinct_left_out bigint, OUT records_lost bigint, OUT datagrams_lost bigint,
	OUT datagrams_dropped bigint, OUT memory_bytes bigint, OUT nodes_expected integer, OUT nodes_answered integer,
	OUT watermark timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_windows' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.windows(regclass) IS
'Windows of a continuous view that are in memory: state is open or closed; gap says that nothing was counted for some time while the window was open, because the server was down; records were added, late ones came after it closed, overflowed ones found no room for a new group, errors are records that the query failed on (the last three are not in the answer).  other says how many of the records lie in one further row of the window, whose keys are NULL, because there was no room for their groups (option overflow = ''other'').  distinct_left_out values of DISTINCT arguments found no room: aggregates over them are too low.  records_lost and datagrams_lost were lost on the way to the receivers while the window was open, by the exporters'' sequence numbers: v5 and IPFIX number records, v9 datagrams, sFlow both.  datagrams_dropped reached the server while the window was open and found no room in the sockets of the receivers: the same loss as the server sees it, not to be added to the others; it is not known whether the records in them were for this window.  Losses of a view over another one are told by that.  groups counts those of each writer: an upper bound where several wrote.  A view without windows has one row with no start and no end.  Of a view that nodes keep, nodes_expected are the nodes of its server, and nodes_answered those that have answered and have counted all the time since the window began (of a view over such a view, those that had told all of what was read for the window); losses are those of all of them.  watermark, the same in each row, is how far the times of the records have come for certain: windows that end at or before it are closed, or just being closed; of nodes the lowest. NULL: nothing has come, or windows do not close.';

CREATE FUNCTION backstream.settle(timeout interval DEFAULT '10 s') RETURNS boolean
	AS 'MODULE_PATHNAME', 'bs_settle' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.settle(interval) IS
'Wait until continuous views over continuous views have got all windows that have closed so far.  Returns false when they have not within the time.  What a transaction inserts counts from its commit on: call it in a statement of its own.';

/* ---------- what can be seen of the system itself ---------- */

CREATE FUNCTION backstream.exporter_counters(
	OUT exporter inet, OUT obs_domain bigint, OUT flow_type text, OUT datagrams bigint,
	OUT records bigint, OUT records_lost bigint, OUT datagrams_lost bigint,
	OUT unknown_template bigint, OUT decode_errors bigint, OUT last_seen timestamptz,
	OUT clock_skew interval, OUT sampling_rate bigint, OUT bytes bigint, OUT option_records bigint,
	OUT resyncs bigint, OUT template_errors bigint, OUT templates_refused bigint,
	OUT withdrawals_ignored bigint, OUT untimed bigint, OUT totals_used bigint,
	OUT templates bigint, OUT counter_samples bigint, OUT other_samples bigint,
	OUT unconfirmed_records bigint, OUT unconfirmed_wrong bigint, OUT worker integer)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_exporter_counters' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.exporter_counters() IS
'Counters of exporters: see the view backstream.exporters.';

CREATE FUNCTION backstream.view_exporter_counters(
	OUT relid oid, OUT exporter inet, OUT time_reached timestamptz, OUT last_heard timestamptz, OUT state text,
	OUT windows_held bigint, OUT largest_lateness interval)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_view_exporters' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.view_exporter_counters() IS
'How far exporters have come for continuous views: see the view backstream.view_exporters.';

CREATE VIEW backstream.view_exporters AS
SELECT w.relid::pg_catalog.regclass AS view, w.exporter, c.name, w.state, w.windows_held, w.largest_lateness,
	w.time_reached, w.last_heard
  FROM backstream.view_exporter_counters() w
  LEFT JOIN LATERAL (SELECT x.name FROM backstream.exporter_config x
                      WHERE w.exporter OPERATOR(pg_catalog.<<=) x.exporter
                      ORDER BY pg_catalog.masklen(x.exporter) DESC LIMIT 1) c ON true;
COMMENT ON VIEW backstream.view_exporters IS
'Who holds the windows of continuous views open: one row for each view with windows that close and each exporter that it has had records of, those too that WHERE leaves out.';
COMMENT ON COLUMN backstream.view_exporters.view IS 'the continuous view';
COMMENT ON COLUMN backstream.view_exporters.exporter IS 'source address; NULL where it is not known (of a stream whose watermark_by is no address; before it is heard again after a restart)';
COMMENT ON COLUMN backstream.view_exporters.name IS 'as in backstream.exporter_config';
COMMENT ON COLUMN backstream.view_exporters.time_reached IS 'highest time of its records, in the column that the view''s window is over; stamps in the future not among them';
COMMENT ON COLUMN backstream.view_exporters.last_heard IS 'when its last record came; with clock = ''data'' as that clock stood';
COMMENT ON COLUMN backstream.view_exporters.state IS 'alive: windows wait for it; idle: they do not, it has been silent for longer than the option idle; behind: nor for this one, its time is behind the clock by more than max_behind';
COMMENT ON COLUMN backstream.view_exporters.windows_held IS 'windows that wait for it and that the exporter that is furthest has done with';
COMMENT ON COLUMN backstream.view_exporters.largest_lateness IS 'by how much a record of it came behind the time that the others, or the clock, had brought the view to: with the option lateness set to this none would have been late';

CREATE VIEW backstream.exporters AS
SELECT e.exporter, c.name, e.flow_type, e.obs_domain, e.records, e.records_lost, e.datagrams_lost,
	e.unknown_template, e.decode_errors, e.last_seen, e.clock_skew,
	e.sampling_rate, e.datagrams, e.bytes, e.option_records, e.resyncs, e.template_errors, e.templates_refused,
	e.withdrawals_ignored, e.untimed, e.totals_used, e.templates,
	e.counter_samples, e.other_samples, e.unconfirmed_records, e.unconfirmed_wrong, e.worker, w.time_reached, COALESCE(w.views_held, 0) AS views_held,
	w.largest_lateness
  FROM backstream.exporter_counters() e
  LEFT JOIN (SELECT v.exporter, pg_catalog.max(v.time_reached) AS time_reached,
                    pg_catalog.count(*) FILTER (WHERE v.windows_held OPERATOR(pg_catalog.>) 0) AS views_held,
                    pg_catalog.max(v.largest_lateness) AS largest_lateness
               FROM backstream.view_exporter_counters() v GROUP BY 1) w
    ON w.exporter OPERATOR(pg_catalog.=) e.exporter
  LEFT JOIN LATERAL (SELECT x.name FROM backstream.exporter_config x
                      WHERE e.exporter OPERATOR(pg_catalog.<<=) x.exporter
                      ORDER BY pg_catalog.masklen(x.exporter) DESC LIMIT 1) c ON true;
COMMENT ON VIEW backstream.exporters IS
'Who exports flows here: one row for each sender, observation domain and kind of export, since the server started.';
COMMENT ON COLUMN backstream.exporters.exporter IS 'source address of the datagrams; sFlow: the agent address in them';
COMMENT ON COLUMN backstream.exporters.name IS 'as in backstream.exporter_config';
COMMENT ON COLUMN backstream.exporters.obs_domain IS 'observation domain (IPFIX), source id (v9), engine type * 256 + id (v5)';
COMMENT ON COLUMN backstream.exporters.flow_type IS 'netflow_v5, netflow_v9, ipfix, sflow_v5';
COMMENT ON COLUMN backstream.exporters.datagrams IS 'received';
COMMENT ON COLUMN backstream.exporters.records IS 'data records decoded, options records not among them';
COMMENT ON COLUMN backstream.exporters.records_lost IS 'missing by the sequence numbers of v5 and IPFIX, which count records, and of flow samples (sFlow)';
COMMENT ON COLUMN backstream.exporters.datagrams_lost IS 'missing by the sequence numbers of v9 and sFlow, which count datagrams';
COMMENT ON COLUMN backstream.exporters.unknown_template IS 'sets that could not be decoded because their template had not come (yet)';
COMMENT ON COLUMN backstream.exporters.decode_errors IS 'datagrams or sets that were malformed';
COMMENT ON COLUMN backstream.exporters.last_seen IS 'arrival of the last datagram';
COMMENT ON COLUMN backstream.exporters.clock_skew IS 'export time less arrival, of the last datagram';
COMMENT ON COLUMN backstream.exporters.sampling_rate IS 'last one seen or configured; NULL: unknown';
COMMENT ON COLUMN backstream.exporters.bytes IS 'of the datagrams';
COMMENT ON COLUMN backstream.exporters.option_records IS 'options data records decoded';
COMMENT ON COLUMN backstream.exporters.resyncs IS 'times the sequence could not be followed: restarts, unknown templates';
COMMENT ON COLUMN backstream.exporters.template_errors IS 'templates refused because they were malformed';
COMMENT ON COLUMN backstream.exporters.templates_refused IS 'templates refused because there was no room (backstream.max_templates)';
COMMENT ON COLUMN backstream.exporters.unconfirmed_records IS 'records decoded by templates that were remembered over a restart and that the exporter had not sent again';
COMMENT ON COLUMN backstream.exporters.unconfirmed_wrong IS 'templates remembered over a restart that the exporter then sent otherwise (the records before may be wrong), or that were not used, because it had been started again itself';
COMMENT ON COLUMN backstream.exporters.withdrawals_ignored IS 'withdrawals of templates that were not followed';
COMMENT ON COLUMN backstream.exporters.untimed IS 'records without a usable time of the flow';
COMMENT ON COLUMN backstream.exporters.totals_used IS 'records whose bytes or packets came from total counters';
COMMENT ON COLUMN backstream.exporters.templates IS 'templates held now, options templates among them';
COMMENT ON COLUMN backstream.exporters.counter_samples IS 'sFlow: samples of counters, which are no flows';
COMMENT ON COLUMN backstream.exporters.other_samples IS 'sFlow: samples of formats that are not known';
COMMENT ON COLUMN backstream.exporters.worker IS 'receiver that hears it';
COMMENT ON COLUMN backstream.exporters.time_reached IS 'how far its time has come: the highest that a view''s window goes by; NULL: no view has windows that close';
COMMENT ON COLUMN backstream.exporters.views_held IS 'views that have windows open for it alone or for others that are as slow: backstream.view_exporters says which';
COMMENT ON COLUMN backstream.exporters.largest_lateness IS 'the largest of any view: see backstream.view_exporters';

CREATE FUNCTION backstream.tail_counters(
	OUT pid integer, OUT role oid, OUT stream oid, OUT since timestamptz, OUT records bigint,
	OUT dropped bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_tails' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.tail_counters() IS
'Statements that read streams: see the view backstream.tails.';

CREATE VIEW backstream.tails AS
SELECT t.pid, pg_catalog.pg_get_userbyid(t.role) AS role, t.stream::pg_catalog.regclass AS stream, t.since,
	t.records, t.dropped
  FROM backstream.tail_counters() t;
COMMENT ON VIEW backstream.tails IS
'Statements that read a stream at this moment (SELECT ... FROM backstream.flow), one row each.';
COMMENT ON COLUMN backstream.tails.pid IS 'of the session';
COMMENT ON COLUMN backstream.tails.role IS 'that reads';
COMMENT ON COLUMN backstream.tails.stream IS 'that is read';
COMMENT ON COLUMN backstream.tails.since IS 'it listens since then';
COMMENT ON COLUMN backstream.tails.records IS 'given to it';
COMMENT ON COLUMN backstream.tails.dropped IS 'not given to it, because they came faster than it took them (backstream.tail_buffer)';

CREATE FUNCTION backstream.listener_counters(
	OUT address text, OUT worker integer, OUT datagrams bigint, OUT bytes bigint,
	OUT kernel_drops bigint, OUT rejected bigint, OUT state text, OUT error text,
	OUT receive_buffer_bytes bigint, OUT not_export bigint, OUT truncated bigint,
	OUT receive_errors bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_listener_counters' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.listener_counters() IS
'Counters of sockets: see the view backstream.listeners.';

CREATE VIEW backstream.listeners AS
SELECT l.address, l.worker, l.state, l.datagrams, l.bytes, l.kernel_drops, l.rejected, l.not_export, l.error,
	l.truncated, l.receive_errors, l.receive_buffer_bytes
  FROM backstream.listener_counters() l;
COMMENT ON VIEW backstream.listeners IS
'Sockets on which exports are received, one row for each address and receiver.';
COMMENT ON COLUMN backstream.listeners.address IS 'address and UDP port';
COMMENT ON COLUMN backstream.listeners.worker IS 'receiver whose socket it is';
COMMENT ON COLUMN backstream.listeners.datagrams IS 'received';
COMMENT ON COLUMN backstream.listeners.bytes IS 'of the datagrams';
COMMENT ON COLUMN backstream.listeners.kernel_drops IS 'dropped by the kernel because the socket''s buffer was full; the exporters'' sequence numbers see the same loss';
COMMENT ON COLUMN backstream.listeners.rejected IS 'of senders that backstream.allow does not name';
COMMENT ON COLUMN backstream.listeners.state IS 'open, or failed: it is tried again';
COMMENT ON COLUMN backstream.listeners.error IS 'why it failed';
COMMENT ON COLUMN backstream.listeners.receive_buffer_bytes IS 'as granted by the kernel';
COMMENT ON COLUMN backstream.listeners.not_export IS 'of no known kind of export';
COMMENT ON COLUMN backstream.listeners.truncated IS 'longer than the buffer';
COMMENT ON COLUMN backstream.listeners.receive_errors IS 'calls to the kernel that failed';

CREATE FUNCTION backstream.forward_counters(
	OUT target text, OUT address text, OUT worker integer, OUT state text, OUT datagrams bigint,
	OUT bytes bigint, OUT dropped bigint, OUT looped bigint, OUT error text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_forward_counters' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.forward_counters() IS
'Counters of copies to other collectors: see the view backstream.forwards.';

CREATE VIEW backstream.forwards AS SELECT * FROM backstream.forward_counters();
COMMENT ON VIEW backstream.forwards IS
'Other collectors that get a copy of every datagram (backstream.forward), one row for each and for each receiver: every datagram that came in is among datagrams, dropped or looped.';
COMMENT ON COLUMN backstream.forwards.target IS 'as in backstream.forward';
COMMENT ON COLUMN backstream.forwards.address IS 'the address that its name has; NULL: not known';
COMMENT ON COLUMN backstream.forwards.worker IS 'receiver that sends';
COMMENT ON COLUMN backstream.forwards.state IS 'open; resolving: the name is being looked up; failed: it is tried again; loop: it is an address of backstream.listen, and gets nothing';
COMMENT ON COLUMN backstream.forwards.datagrams IS 'handed to the kernel; what becomes of them on the way nobody says';
COMMENT ON COLUMN backstream.forwards.bytes IS 'of these datagrams';
COMMENT ON COLUMN backstream.forwards.dropped IS 'not sent, because the target was not open, refused what came before, or its socket''s buffer was full';
COMMENT ON COLUMN backstream.forwards.looped IS 'not sent, because they had come back from where they were forwarded to';
COMMENT ON COLUMN backstream.forwards.error IS 'the last error, which may be over';

CREATE FUNCTION backstream.receiver_counters(
	OUT worker integer, OUT pid integer, OUT started timestamptz, OUT applied_until timestamptz,
	OUT datagrams bigint, OUT not_export bigint, OUT exporters_refused bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_receiver_counters' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.receiver_counters() IS
'Counters of receiving processes: see the view backstream.receivers.';

CREATE VIEW backstream.receivers AS
SELECT r.worker, r.pid, r.datagrams, r.not_export, r.exporters_refused, r.started, r.applied_until
  FROM backstream.receiver_counters() r;
COMMENT ON VIEW backstream.receivers IS 'Receiving processes.';
COMMENT ON COLUMN backstream.receivers.worker IS 'number, from 0';
COMMENT ON COLUMN backstream.receivers.pid IS 'NULL: not running';
COMMENT ON COLUMN backstream.receivers.started IS 'start of the process';
COMMENT ON COLUMN backstream.receivers.applied_until IS 'everything that arrived before this is in the views';
COMMENT ON COLUMN backstream.receivers.datagrams IS 'given to the decoder';
COMMENT ON COLUMN backstream.receivers.not_export IS 'of no known kind of export';
COMMENT ON COLUMN backstream.receivers.exporters_refused IS 'datagrams of exporters for which there was no room (backstream.max_exporters)';

CREATE FUNCTION backstream.view_counters(
	OUT relid oid, OUT records bigint, OUT filtered bigint, OUT late bigint, OUT future bigint,
	OUT untimed bigint, OUT overflowed bigint, OUT errors bigint, OUT last_error text,
	OUT last_error_at timestamptz, OUT state text, OUT groups bigint, OUT memory_bytes bigint,
	OUT since timestamptz, OUT received bigint, OUT skipped bigint, OUT unknown_rate bigint,
	OUT sources_refused bigint, OUT windows bigint, OUT closed_before timestamptz,
	OUT fed_before timestamptz, OUT windows_missed bigint, OUT kept_since timestamptz,
	OUT next_since timestamptz, OUT next_until timestamptz, OUT group_bytes integer, OUT computed integer,
	OUT clamped bigint, OUT late_bytes bigint, OUT windows_incomplete bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_view_counters' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.view_counters() IS
'Counters of continuous views: see the view backstream.views.';

-- Where an even number of quotes follows, a line does not end in a string.
CREATE FUNCTION backstream.one_line(query text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN pg_catalog.btrim(pg_catalog.regexp_replace(query, '\n\s*(?=(?:[^'']*''[^'']*'')*[^'']*$)', ' ', 'g'));
COMMENT ON FUNCTION backstream.one_line(text) IS
'A query as PostgreSQL writes it, in one line: so that rows of backstream.views are lines, too. Line ends in strings stay.';

CREATE VIEW backstream.views AS
SELECT c.oid::pg_catalog.regclass AS view,
	COALESCE(s.state, CASE WHEN v.srvname OPERATOR(pg_catalog.=) 'backstream' OR EXISTS (
	                            SELECT FROM pg_catalog.pg_options_to_table(t.ftoptions) n
	                             WHERE n.option_name OPERATOR(pg_catalog.=) ANY ('{notify,archive}'))
	                       THEN 'not counted' ELSE 'on nodes' END) AS state, s.records, s.late,
	s.overflowed, s.errors, s.groups, s.memory_bytes, s.last_error, s.received, s.filtered, s.future, s.untimed,
	s.since, s.kept_since, s.next_since, s.next_until, s.skipped, s.unknown_rate, s.sources_refused, s.windows,
	s.closed_before, s.fed_before, s.windows_missed, s.windows_incomplete, s.clamped, s.late_bytes, s.last_error_at, s.group_bytes, s.computed,
	CASE WHEN pg_catalog.pg_has_role(c.relowner, 'USAGE')
	       OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
	     THEN backstream.one_line(o.option_value) END AS query,
	CASE WHEN pg_catalog.pg_has_role(c.relowner, 'USAGE')
	       OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
	     THEN (SELECT backstream.one_line(n.option_value) FROM pg_catalog.pg_options_to_table(t.ftoptions) n
	            WHERE n.option_name OPERATOR(pg_catalog.=) 'next_query') END AS next_query
  FROM pg_catalog.pg_foreign_table t
  JOIN pg_catalog.pg_foreign_server v ON v.oid OPERATOR(pg_catalog.=) t.ftserver
  JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid OPERATOR(pg_catalog.=) v.srvfdw
  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.ftrelid
 CROSS JOIN LATERAL pg_catalog.pg_options_to_table(t.ftoptions) o
  LEFT JOIN backstream.view_counters() s ON s.relid OPERATOR(pg_catalog.=) c.oid
 WHERE w.fdwname OPERATOR(pg_catalog.=) 'backstream'
   AND o.option_name OPERATOR(pg_catalog.=) 'query';
COMMENT ON VIEW backstream.views IS
'Continuous views and what became of the records offered to them: received = records + filtered + late + future + untimed + overflowed + errors.  With spread() all of these count a flow once for each window it lasted in.';
COMMENT ON COLUMN backstream.views.view IS 'the continuous view';
COMMENT ON COLUMN backstream.views.records IS 'added';
COMMENT ON COLUMN backstream.views.filtered IS 'not chosen by WHERE';
COMMENT ON COLUMN backstream.views.late IS 'came after their window was closed';
COMMENT ON COLUMN backstream.views.future IS 'with a stamp too far ahead (max_future)';
COMMENT ON COLUMN backstream.views.untimed IS 'whose time is NULL or infinite';
COMMENT ON COLUMN backstream.views.overflowed IS 'of new groups for which there was no room (max_groups, backstream.memory)';
COMMENT ON COLUMN backstream.views.errors IS 'on which the query failed';
COMMENT ON COLUMN backstream.views.last_error IS 'why; shown to the owner and to pg_read_all_stats';
COMMENT ON COLUMN backstream.views.state IS 'active; suspended (last_error says why); not counted: no process has taken it up yet, or there are more than backstream.max_views; on nodes: other servers keep it (backstream.nodes).  One that has outputs is active here, too: what nodes have closed is merged for these, and the columns tell of that; or not counted, while nobody merges it';
COMMENT ON COLUMN backstream.views.groups IS 'held in memory, of each writer';
COMMENT ON COLUMN backstream.views.memory_bytes IS 'taken from backstream.memory; what views share is counted at each of them';
COMMENT ON COLUMN backstream.views.since IS 'the definition began to count what it counts';
COMMENT ON COLUMN backstream.views.next_since IS 'a definition waits to take over (CREATE OR REPLACE), counting since then; NULL: none';
COMMENT ON COLUMN backstream.views.next_until IS 'it takes over when the window that ends then, its first full one, is closed; NULL: not known yet';
COMMENT ON COLUMN backstream.views.kept_since IS 'what earlier definitions counted since then is still there; columns that they had not are NULL in it';
COMMENT ON COLUMN backstream.views.received IS 'offered to the view';
COMMENT ON COLUMN backstream.views.skipped IS 'records that came while the view was suspended; not among those received';
COMMENT ON COLUMN backstream.views.clamped IS 'with spread(): flows longer than backstream.max_flow_duration or 3600 windows, taken to have begun later';
COMMENT ON COLUMN backstream.views.late_bytes IS 'with spread(): what the late parts of flows had of the first sum(portion(...)) without FILTER; NULL where there is none';
COMMENT ON COLUMN backstream.views.unknown_rate IS 'records whose sampling rate scaled() did not know';
COMMENT ON COLUMN backstream.views.sources_refused IS 'exporters too many whose time could not be followed';
COMMENT ON COLUMN backstream.views.windows IS 'windows in memory';
COMMENT ON COLUMN backstream.views.closed_before IS 'windows that start before this are closed; NULL: none is';
COMMENT ON COLUMN backstream.views.fed_before IS 'of a view over a view, or one that nodes keep: windows of that view, or of the nodes, that start before this have been read; NULL: none has, or it is over a stream of this server';
COMMENT ON COLUMN backstream.views.windows_missed IS 'of a view over a view: windows of that view that were not read, because this one was suspended or too far behind (backstream.level_wait; over a view that nodes keep: because a node had dropped them).  Of one that nodes keep: its own';
COMMENT ON COLUMN backstream.views.windows_incomplete IS 'of a view over one that nodes keep, or one that they keep and that has outputs: windows of that view that were read without what some node had counted, or not at all, because it had not answered or closed them within node_timeout (nodes_answered in backstream.windows() says which); NULL: it is none';
COMMENT ON COLUMN backstream.views.last_error_at IS 'when last_error was noted';
COMMENT ON COLUMN backstream.views.group_bytes IS 'bytes of a group, without what is of variable length; the index takes 16 to 32 more where there are keys';
COMMENT ON COLUMN backstream.views.computed IS 'expressions that PostgreSQL computes, record by record; 0: all are native (backstream.explain() says which)';
COMMENT ON COLUMN backstream.views.query IS 'the definition; shown to the owner and to pg_read_all_stats';
COMMENT ON COLUMN backstream.views.next_query IS 'the definition that waits to take over; shown like query';

CREATE TABLE backstream.archived (
	archive regclass PRIMARY KEY,
	view regclass,
	archived_before timestamptz NOT NULL,
	windows bigint NOT NULL DEFAULT 0,
	rows bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE backstream.archived IS
'How far tables have the closed windows of continuous views (option archive): written with the rows by the archiver, dumped with the database.';
COMMENT ON COLUMN backstream.archived.archive IS 'the table';
COMMENT ON COLUMN backstream.archived.view IS 'the continuous view that writes it; NULL: none does any more';
COMMENT ON COLUMN backstream.archived.archived_before IS 'windows that start before this are in the table, and are never written again';
COMMENT ON COLUMN backstream.archived.windows IS 'written';
COMMENT ON COLUMN backstream.archived.rows IS 'in them';
GRANT SELECT ON backstream.archived TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('backstream.archived',
	'WHERE archive::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (SELECT oid FROM pg_catalog.pg_class)');

-- A dump is restored into a server that counts already: what both know of a table becomes one row.
CREATE FUNCTION backstream.archived_merge() RETURNS trigger LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE backstream.archived a
	   SET archived_before = greatest(a.archived_before, NEW.archived_before),
	       windows = a.windows + NEW.windows, rows = a.rows + NEW.rows
	 WHERE a.archive::oid = NEW.archive::oid;
	IF FOUND THEN
		RETURN NULL;
	END IF;
	RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION backstream.archived_merge() FROM PUBLIC;
COMMENT ON FUNCTION backstream.archived_merge() IS
'Trigger of backstream.archived: a row for a table that has one already is taken into it.';
CREATE TRIGGER merge BEFORE INSERT ON backstream.archived
	FOR EACH ROW EXECUTE FUNCTION backstream.archived_merge();

CREATE FUNCTION backstream.output_counters(
	OUT relid oid, OUT output text, OUT target text, OUT done_before timestamptz, OUT windows bigint,
	OUT rows bigint, OUT rows_failed bigint, OUT windows_missed bigint, OUT last_error text,
	OUT last_error_at timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_output_counters' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.output_counters() IS
'Outputs of continuous views: see the view backstream.outputs.';

CREATE VIEW backstream.outputs AS
SELECT s.relid::pg_catalog.regclass AS view, s.output, s.target, s.done_before, s.windows, s.rows,
	s.rows_failed, s.windows_missed, s.last_error, s.last_error_at
  FROM backstream.output_counters() s;
COMMENT ON VIEW backstream.outputs IS
'What continuous views hand on when windows close (options notify and archive), since the server has started or the view was changed.';
COMMENT ON COLUMN backstream.outputs.view IS 'the continuous view';
COMMENT ON COLUMN backstream.outputs.output IS 'notify or archive';
COMMENT ON COLUMN backstream.outputs.target IS 'the channel, or the table';
COMMENT ON COLUMN backstream.outputs.done_before IS 'windows that start before this have been handed on, or were passed over; NULL: none has';
COMMENT ON COLUMN backstream.outputs.windows IS 'handed on';
COMMENT ON COLUMN backstream.outputs.rows IS 'in them';
COMMENT ON COLUMN backstream.outputs.rows_failed IS 'rows left out because an output expression failed';
COMMENT ON COLUMN backstream.outputs.windows_missed IS 'windows that were dropped before they could be handed on: retain was over, and backstream.level_wait after it';
COMMENT ON COLUMN backstream.outputs.last_error IS 'why nothing is handed on at the moment, or a row was left out; NULL when the last attempt succeeded; shown to the owner and to pg_read_all_stats';
COMMENT ON COLUMN backstream.outputs.last_error_at IS 'when last_error was last noted';

CREATE FUNCTION backstream.checkpoint_counters(
	OUT state text, OUT views_restored bigint, OUT files_set_aside bigint, OUT restore_time interval,
	OUT down_since timestamptz, OUT up_since timestamptz, OUT last_written timestamptz, OUT write_time interval,
	OUT bytes_written bigint, OUT failures bigint, OUT last_error text, OUT last_error_at timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_checkpoint' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.checkpoint_counters() IS
'Windows and their files: see the view backstream.checkpoint.';

CREATE VIEW backstream.checkpoint AS
SELECT c.state, c.last_written, c.bytes_written, c.failures, c.views_restored, c.files_set_aside, c.last_error,
	c.last_error_at, c.write_time, c.restore_time, c.down_since, c.up_since
  FROM backstream.checkpoint_counters() c;
COMMENT ON VIEW backstream.checkpoint IS
'How windows outlive the server: what was taken up when it started, and what is written while it runs (backstream.checkpoint_interval).';
COMMENT ON COLUMN backstream.checkpoint.state IS 'restoring: views can be read in a moment; ready';
COMMENT ON COLUMN backstream.checkpoint.views_restored IS 'views whose windows were taken up when the server started';
COMMENT ON COLUMN backstream.checkpoint.files_set_aside IS 'files that were damaged or another server''s then: they are kept as NAME.damaged';
COMMENT ON COLUMN backstream.checkpoint.restore_time IS 'how long it took';
COMMENT ON COLUMN backstream.checkpoint.down_since IS 'when the files had been written: nothing was counted, or what was is lost, from then on; NULL: there were none';
COMMENT ON COLUMN backstream.checkpoint.up_since IS 'until then';
COMMENT ON COLUMN backstream.checkpoint.last_written IS 'when everything was last written, or found to be written; NULL: not yet';
COMMENT ON COLUMN backstream.checkpoint.write_time IS 'how long that took';
COMMENT ON COLUMN backstream.checkpoint.bytes_written IS 'to files, since the server started';
COMMENT ON COLUMN backstream.checkpoint.failures IS 'times that something could not be written; it is tried again';
COMMENT ON COLUMN backstream.checkpoint.last_error IS 'why, the last time';
COMMENT ON COLUMN backstream.checkpoint.last_error_at IS 'when that was';

CREATE FUNCTION backstream.memory_counters(
	OUT total bigint, OUT used bigint, OUT peak bigint, OUT failures bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_memory' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.memory_counters() IS
'Use of backstream.memory: see the view backstream.memory.';

CREATE VIEW backstream.memory AS SELECT * FROM backstream.memory_counters();
COMMENT ON VIEW backstream.memory IS
'Use of the memory that all windows share (backstream.memory less what the counters take), in bytes.';
COMMENT ON COLUMN backstream.memory.total IS 'that windows can have';
COMMENT ON COLUMN backstream.memory.used IS 'taken now';
COMMENT ON COLUMN backstream.memory.peak IS 'most that was ever taken';
COMMENT ON COLUMN backstream.memory.failures IS 'requests that found nothing; what they were for is counted as overflowed';

GRANT SELECT ON backstream.exporters, backstream.view_exporters, backstream.listeners, backstream.forwards, backstream.receivers, backstream.views,
	backstream.outputs, backstream.tails, backstream.memory TO PUBLIC;

/* ---- definitions that wait ------------------------------------------------------------------- */

CREATE FUNCTION backstream.take_over(continuous_view regclass) RETURNS boolean
	AS 'MODULE_PATHNAME', 'bs_take_over' LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION backstream.take_over(regclass) IS
'Let a definition that CREATE OR REPLACE has put beside the present one take over at once, before its first full window is closed; for the owner. Returns whether one was waiting. What the old one has counted is dropped.';

/* ---- suspended views ------------------------------------------------------------------------- */

CREATE FUNCTION backstream.resume(continuous_view regclass) RETURNS boolean
	AS 'MODULE_PATHNAME', 'bs_resume' LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION backstream.resume(regclass) IS
'Let a continuous view go on that was suspended because its code exceeded backstream.eval_timeout; for its owner. Returns whether it was suspended. Records that came meanwhile were not counted.';

/* ---- functions that read tables --------------------------------------------------------------- */

CREATE FUNCTION backstream.remember(function regprocedure, "for" interval) RETURNS void
	AS 'MODULE_PATHNAME', 'bs_remember' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.remember(regprocedure, interval) IS
'Let continuous views return for the given time what a function has returned before for the same arguments, so that functions that read tables can be used in them; NULL: no more. For the owner of the function: it is ALTER FUNCTION ... SET backstream.remember.';

CREATE FUNCTION backstream.remember_time(function oid) RETURNS interval
	AS 'MODULE_PATHNAME', 'bs_remember_time' LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION backstream.remember_time(oid) IS
'For how long continuous views remember what a function has returned; NULL: they do not.';

CREATE FUNCTION backstream.remembered_call(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'bs_remembered_call' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.remembered_call(internal) IS
'Called by continuous views in the place of functions whose values are remembered.';

CREATE VIEW backstream.remembered_functions AS
SELECT p.oid::pg_catalog.regprocedure AS function, backstream.remember_time(p.oid) AS time
  FROM pg_catalog.pg_proc p
 WHERE p.proconfig IS NOT NULL AND backstream.remember_time(p.oid) IS NOT NULL;
COMMENT ON VIEW backstream.remembered_functions IS
'Functions whose values continuous views remember: see backstream.remember().';
COMMENT ON COLUMN backstream.remembered_functions.function IS 'the function';
COMMENT ON COLUMN backstream.remembered_functions.time IS 'for how long';
GRANT SELECT ON backstream.remembered_functions TO PUBLIC;

/* ---- sampling ---------------------------------------------------------------------------------- */

CREATE FUNCTION backstream.exporter_config_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'bs_exporter_config_changed' LANGUAGE C;
REVOKE ALL ON FUNCTION backstream.exporter_config_changed() FROM PUBLIC;
COMMENT ON FUNCTION backstream.exporter_config_changed() IS
'Trigger of backstream.exporter_config: receivers read the table again when the change commits.';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON backstream.exporter_config
	FOR EACH STATEMENT EXECUTE FUNCTION backstream.exporter_config_changed();

/* ---------- other servers ---------- */

CREATE FUNCTION backstream.hello(
	OUT version text, OUT format integer, OUT server_version integer, OUT encoding text,
	OUT "now" timestamptz)
	RETURNS record
	AS 'MODULE_PATHNAME', 'bs_hello' LANGUAGE C STRICT VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION backstream.hello() IS
'What this server says of itself to one that reads from it as a node: version of BackStream, format of the partial states that it sends, PostgreSQL''s version, encoding of the database, time.';

CREATE FUNCTION backstream.keep_view(schema_name text, view_name text, query text, options text[], mode text)
	RETURNS text
	AS 'MODULE_PATHNAME', 'bs_keep_view' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.keep_view(text, text, text, text[], text) IS
'What a server that reads from this one as a node does to the definition of a continuous view here, with the caller''s rights: mode is check, create or replace; options are texts name=value. Returns missing, same, different, created or replaced.';

CREATE FUNCTION backstream.node_windows(schema_name text, view_name text, fingerprint bigint,
	OUT window_start bigint, OUT closed bigint, OUT records bigint, OUT late bigint, OUT overflowed bigint,
	OUT errors bigint, OUT left_out bigint, OUT records_lost bigint, OUT datagrams_lost bigint,
	OUT groups bigint, OUT bytes bigint, OUT other bigint, OUT datagrams_dropped bigint, OUT gap bigint,
	OUT since bigint, OUT closed_before bigint, OUT dropped_before bigint, OUT watermark bigint,
	OUT down_since bigint, OUT up_since bigint, OUT idle bigint, OUT state text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_node_windows' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.node_windows(text, text, bigint) IS
'What a server that reads from this one as a node is told of the windows of a continuous view here: first a row that says how far they reach, then one for each; times in microseconds since 2000-01-01 UTC. For who may read the view.';

CREATE FUNCTION backstream.node_advance(schema_name text, view_name text, fingerprint bigint, watermark bigint)
	RETURNS void
	AS 'MODULE_PATHNAME', 'bs_node_advance' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.node_advance(text, text, bigint, bigint) IS
'What a server that reads from this one as a node tells a continuous view here that has had no record for its idle time: how far the other nodes have come, in microseconds since 2000-01-01 UTC. It closes its windows up to there, but none that end after this server''s clock. For who may read the view.';

CREATE FUNCTION backstream.partials(schema_name text, view_name text, fingerprint bigint,
									first_windows bigint[], last_windows bigint[])
	RETURNS SETOF bytea
	AS 'MODULE_PATHNAME', 'bs_partials' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.partials(text, text, bigint, bigint[], bigint[]) IS
'What a server that reads from this one as a node gets of a continuous view here: the groups of each range of windows with the states of their aggregates, packed (docs/formats.md). For who may read the view.';

CREATE FUNCTION backstream.partials(schema_name text, view_name text, fingerprint bigint,
									first_windows bigint[], last_windows bigint[], conditions text)
	RETURNS SETOF bytea
	AS 'MODULE_PATHNAME', 'bs_partials' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.partials(text, text, bigint, bigint[], bigint[], text) IS
'The same of the groups for which conditions on their keys hold: k1, k2, ..., in the order in which the view keeps them.';

CREATE FUNCTION backstream.sync(server text,
	OUT node text, OUT view text, OUT found text, OUT done text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_sync' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.sync(text) IS
'Bring the nodes of a server into step with the continuous views that are defined on it here: what a node lacks is made, what differs replaced, each by itself and at once, whatever becomes of this transaction. Says what was found at each node (same, missing, different; only there: a view that this server has not defined on it; or no answer) and what was done (created, replaced, refused and why). Imported views (nodes_follow = off) are only compared.';

CREATE FUNCTION backstream.node_states(
	OUT node text, OUT groups text, OUT state text, OUT problem text, OUT last_contact timestamptz,
	OUT latency interval, OUT clock_ahead interval, OUT version text, OUT server_version integer,
	OUT watermark timestamptz, OUT views integer, OUT views_in_step integer)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_node_states' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.node_states() IS
'Asks all nodes: see the view backstream.nodes.';

CREATE VIEW backstream.nodes AS SELECT * FROM backstream.node_states();
COMMENT ON VIEW backstream.nodes IS
'Other servers that this one reads from. Reading this view asks all of them, with the mappings of the current user.';
COMMENT ON COLUMN backstream.nodes.node IS 'the foreign server';
COMMENT ON COLUMN backstream.nodes.groups IS 'the groups that it is in';
COMMENT ON COLUMN backstream.nodes.state IS 'in step: it has all views as they are defined here; out of step: backstream.sync() mends it; unreachable; misfit: of another version; refused: it answers with an error; no user mapping';
COMMENT ON COLUMN backstream.nodes.problem IS 'why it is unreachable, a misfit, or refuses';
COMMENT ON COLUMN backstream.nodes.last_contact IS 'last answer to any session, since this server was started';
COMMENT ON COLUMN backstream.nodes.latency IS 'from a question to its answer';
COMMENT ON COLUMN backstream.nodes.clock_ahead IS 'how far its clock is ahead of this server''s, give or take half the latency';
COMMENT ON COLUMN backstream.nodes.version IS 'of BackStream there';
COMMENT ON COLUMN backstream.nodes.server_version IS 'of PostgreSQL there, as server_version_num';
COMMENT ON COLUMN backstream.nodes.watermark IS 'windows that start before this are closed there, of all views of this server''s that have windows; NULL: of none';
COMMENT ON COLUMN backstream.nodes.views IS 'continuous views defined here that it should keep';
COMMENT ON COLUMN backstream.nodes.views_in_step IS 'those that it has, with the same definition';
GRANT SELECT ON backstream.nodes TO PUBLIC;

CREATE FUNCTION backstream.importable(schema_name text)
	RETURNS TABLE (name text, columns text, options text[])
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
	BEGIN ATOMIC
	SELECT c.relname::text,
	       (SELECT pg_catalog.string_agg(pg_catalog.format('%I %s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
	          FROM pg_catalog.pg_attribute a
	         WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped),
	       t.ftoptions
	  FROM pg_catalog.pg_foreign_table t
	  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.ftrelid
	  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
	  JOIN pg_catalog.pg_foreign_server v ON v.oid OPERATOR(pg_catalog.=) t.ftserver
	  JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid OPERATOR(pg_catalog.=) v.srvfdw
	 WHERE n.nspname OPERATOR(pg_catalog.=) schema_name AND w.fdwname OPERATOR(pg_catalog.=) 'backstream'
	   AND v.srvoptions IS NULL AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
	 ORDER BY 1;
	END;
COMMENT ON FUNCTION backstream.importable(text) IS
'Streams and continuous views of a schema of this server that the caller may read: what IMPORT FOREIGN SCHEMA takes from a node.';

/* ---------- prefix maps ---------- */

CREATE TABLE backstream.prefix_map (
	map text PRIMARY KEY,
	relation regclass,
	prefix_column name,
	label_columns name[] NOT NULL,
	owner regrole NOT NULL,
	public boolean NOT NULL,
	file text,
	CHECK (CASE WHEN file IS NULL THEN relation IS NOT NULL AND prefix_column IS NOT NULL
		   ELSE relation IS NULL AND prefix_column IS NULL END)
);
COMMENT ON TABLE backstream.prefix_map IS
'Registered prefix maps: written by backstream.create_prefix_map() and drop_prefix_map(), dumped with the database.';
COMMENT ON COLUMN backstream.prefix_map.map IS 'the name that look-ups use';
COMMENT ON COLUMN backstream.prefix_map.relation IS 'the table; NULL: it is of a file';
COMMENT ON COLUMN backstream.prefix_map.prefix_column IS 'its column of prefixes';
COMMENT ON COLUMN backstream.prefix_map.label_columns IS 'its columns that look-ups return; of a file: paths in its records';
COMMENT ON COLUMN backstream.prefix_map.owner IS 'with whose rights the table is read, and whose members may look up';
COMMENT ON COLUMN backstream.prefix_map.public IS 'everybody may look up';
COMMENT ON COLUMN backstream.prefix_map.file IS 'the file, of the MaxMind DB format, on the server; NULL: it is of a table';
SELECT pg_catalog.pg_extension_config_dump('backstream.prefix_map', '');

CREATE FUNCTION backstream.prefix_map_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'bs_prefix_map_changed' LANGUAGE C;
COMMENT ON FUNCTION backstream.prefix_map_changed() IS
'Trigger of tables that prefix maps are made of: the maps are built anew when the change commits.';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON backstream.prefix_map
	FOR EACH STATEMENT EXECUTE FUNCTION backstream.prefix_map_changed();

CREATE FUNCTION backstream.create_prefix_map(map text, relation regclass, prefix name,
		label name DEFAULT NULL, labels name[] DEFAULT NULL, public boolean DEFAULT false) RETURNS void
	AS 'MODULE_PATHNAME', 'bs_create_prefix_map' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.create_prefix_map(text, regclass, name, name, name[], boolean) IS
'Make a longest-prefix map of a table: prefix is its column of networks (cidr or inet), label and labels are the columns that look-ups return (the first one when they name none).  The caller becomes its owner: he needs SELECT and TRIGGER on the table and USAGE on server backstream.  Members of the owner may look up, and everybody if public is true.  Later changes of the table take effect when they commit.';

CREATE FUNCTION backstream.create_prefix_map_from_file(map text, file text, label text DEFAULT NULL,
		labels text[] DEFAULT NULL, public boolean DEFAULT false) RETURNS void
	AS 'MODULE_PATHNAME', 'bs_create_prefix_map_from_file' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.create_prefix_map_from_file(text, text, text, text[], boolean) IS
'Make a longest-prefix map of a file of the MaxMind DB format (.mmdb) on the server: label and labels are paths in its records, with dots between keys (country.iso_code, autonomous_system_number, subdivisions.0.names.en).  The caller becomes its owner: he must be a member of pg_read_server_files, and have USAGE on server backstream.  When the file changes the map follows within a second or two.';

CREATE FUNCTION backstream.drop_prefix_map(map text, if_exists boolean DEFAULT false) RETURNS void
	AS 'MODULE_PATHNAME', 'bs_drop_prefix_map' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.drop_prefix_map(text, boolean) IS
'Drop a prefix map; for its owner.  Continuous views that use it go on, and count records that would need it as errors until there is one of that name again.';

CREATE FUNCTION backstream.refresh_prefix_map(map text) RETURNS void
	AS 'MODULE_PATHNAME', 'bs_refresh_prefix_map' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION backstream.refresh_prefix_map(text) IS
'Wait until a prefix map shows all changes of its table that were committed before.  An error if it cannot be built.';

CREATE FUNCTION backstream.prefix_lookup(map text, addr inet) RETURNS text
	AS 'MODULE_PATHNAME', 'bs_prefix_lookup' LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION backstream.prefix_lookup(text, inet) IS
'The first label of the longest prefix of a map that holds the address; NULL where there is none.  The netmask of addr does not count.';
CREATE FUNCTION backstream.prefix_lookup(map text, addr inet, label text) RETURNS text
	AS 'MODULE_PATHNAME', 'bs_prefix_lookup' LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION backstream.prefix_lookup(text, inet, text) IS
'The label of this name of the longest prefix of a map that holds the address; NULL where there is none.  The netmask of addr does not count.';
CREATE FUNCTION backstream.prefix_lookup_bigint(map text, addr inet) RETURNS bigint
	AS 'MODULE_PATHNAME', 'bs_prefix_lookup_bigint' LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION backstream.prefix_lookup_bigint(text, inet) IS
'As backstream.prefix_lookup(text, inet), of a label column of type smallint, integer or bigint.';
CREATE FUNCTION backstream.prefix_lookup_bigint(map text, addr inet, label text) RETURNS bigint
	AS 'MODULE_PATHNAME', 'bs_prefix_lookup_bigint' LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION backstream.prefix_lookup_bigint(text, inet, text) IS
'As backstream.prefix_lookup(text, inet, text), of a label column of type smallint, integer or bigint.';
CREATE FUNCTION backstream.prefix_lookup_inet(map text, addr inet) RETURNS inet
	AS 'MODULE_PATHNAME', 'bs_prefix_lookup_inet' LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION backstream.prefix_lookup_inet(text, inet) IS
'The longest prefix of a map that holds the address; NULL where there is none.  The netmask of addr does not count.';

CREATE FUNCTION backstream.prefix_map_counters(
	OUT map text, OUT state text, OUT table_rows bigint, OUT prefixes bigint, OUT duplicates bigint,
	OUT memory_bytes bigint, OUT built_at timestamptz, OUT build_time interval, OUT last_error text,
	OUT last_error_at timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bs_prefix_map_counters' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION backstream.prefix_map_counters() IS
'Counters of prefix maps: see the view backstream.prefix_maps.';

CREATE VIEW backstream.prefix_maps AS
SELECT m.map, COALESCE(c.state, 'waiting') AS state, c.prefixes, c.duplicates, c.memory_bytes, m.relation, m.file,
	c.last_error, c.last_error_at, m.prefix_column, m.label_columns, m.owner, m.public, c.table_rows, c.built_at,
	c.build_time
  FROM backstream.prefix_map m
  LEFT JOIN backstream.prefix_map_counters() c ON c.map OPERATOR(pg_catalog.=) m.map;
COMMENT ON VIEW backstream.prefix_maps IS
'Prefix maps: tables and files of prefixes in which addresses are looked up.';
COMMENT ON COLUMN backstream.prefix_maps.map IS 'the name that look-ups use';
COMMENT ON COLUMN backstream.prefix_maps.relation IS 'the table; NULL: it is of a file';
COMMENT ON COLUMN backstream.prefix_maps.file IS 'the file, of the MaxMind DB format, on the server; NULL: it is of a table';
COMMENT ON COLUMN backstream.prefix_maps.prefix_column IS 'its column of prefixes';
COMMENT ON COLUMN backstream.prefix_maps.label_columns IS 'its columns that look-ups return; of a file: paths in its records';
COMMENT ON COLUMN backstream.prefix_maps.owner IS 'with whose rights the table is read, and whose members may look up';
COMMENT ON COLUMN backstream.prefix_maps.public IS 'everybody may look up';
COMMENT ON COLUMN backstream.prefix_maps.state IS 'built; waiting: to be built for the first time; failed: it cannot be built; outdated: it cannot be built anew and stays as it was (last_error says why)';
COMMENT ON COLUMN backstream.prefix_maps.table_rows IS 'rows with a prefix';
COMMENT ON COLUMN backstream.prefix_maps.prefixes IS 'different ones';
COMMENT ON COLUMN backstream.prefix_maps.duplicates IS 'rows left out because their prefix is there already: of equal prefixes the one whose labels sort first counts';
COMMENT ON COLUMN backstream.prefix_maps.memory_bytes IS 'taken from backstream.memory; twice as much while it is built anew';
COMMENT ON COLUMN backstream.prefix_maps.built_at IS 'when the map in force was built';
COMMENT ON COLUMN backstream.prefix_maps.build_time IS 'how long that took';
COMMENT ON COLUMN backstream.prefix_maps.last_error IS 'why building last failed; shown to the owner and to pg_read_all_stats';
COMMENT ON COLUMN backstream.prefix_maps.last_error_at IS 'when it did';
GRANT SELECT ON backstream.prefix_maps TO PUBLIC;

/* ---------- packs of views ---------- */

-- Reads nothing but files of packs; so whoever may make views may install one.
CREATE FUNCTION backstream.pack_text(pack text) RETURNS text LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	folder text := (SELECT setting FROM pg_config() WHERE name = 'SHAREDIR') || '/extension';
	-- Where Debian's servers look for extensions first: while packages are built and tested.
	staged text := current_setting('extension_destdir', true) || folder;
	content text;
BEGIN
	IF (pg_stat_file(staged || '/backstream.control', true)).size IS NOT NULL THEN
		folder := staged;
	END IF;
	IF pack ~ '^[a-z][a-z0-9_]*$' THEN
		content := pg_read_file(format('%s/backstream_pack_%s.sql', folder, pack), 0, 1000000, true);
	END IF;
	IF content IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_file', MESSAGE = format('there is no pack "%s"', pack),
			HINT = 'There are: ' || coalesce((SELECT string_agg(substring(f, '^backstream_pack_(.*)\.sql$'), ', ' ORDER BY f)
				FROM pg_ls_dir(folder) f WHERE f ~ '^backstream_pack_[a-z][a-z0-9_]*\.sql$'), 'none') || '.';
	END IF;
	RETURN content;
END
$$;
COMMENT ON FUNCTION backstream.pack_text(text) IS
'The file of a pack of views, plain SQL: to be read, copied and changed.';

-- Relations that say that they belong to a pack, in one schema or in all (NULL).
CREATE FUNCTION backstream.pack_relations(pack text, schema name) RETURNS SETOF regclass LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.oid::regclass FROM pg_class c
	 WHERE (schema IS NULL OR c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema))
	   AND c.relkind IN ('v', 'f') AND right(obj_description(c.oid, 'pg_class'), length(pack) + 7) = '[pack ' || pack || ']'
	 ORDER BY c.relname
$$;
COMMENT ON FUNCTION backstream.pack_relations(text, name) IS
'Views of a pack that are installed in a schema (NULL: in any): those whose comment ends in [pack NAME].';

CREATE FUNCTION backstream.install_pack(pack text, schema name DEFAULT NULL, stream regclass DEFAULT 'backstream.flow',
		clock text DEFAULT 'wall') RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	target pg_catalog.name := coalesce(schema, pack);
	content pg_catalog.text := backstream.pack_text(pack);
	path pg_catalog.text := pg_catalog.current_setting('search_path');
	foreigner pg_catalog.regclass;
	source pg_catalog.text;
BEGIN
	IF clock NOT IN ('wall', 'data') THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'clock must be wall or data';
	END IF;
	SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) INTO source
	  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = stream;
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = target) THEN
		EXECUTE pg_catalog.format('CREATE SCHEMA %I', target);
		EXECUTE pg_catalog.format('COMMENT ON SCHEMA %I IS %L', target, 'Views of BackStream. [pack ' || pack || ']');
	END IF;
	SELECT c.oid INTO foreigner FROM pg_catalog.pg_class c
	  JOIN pg_catalog.regexp_matches(content, '^CREATE OR REPLACE VIEW (\w+)', 'gn') AS m ON c.relname = m[1]
	 WHERE c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = target)
	   AND c.oid NOT IN (SELECT backstream.pack_relations(pack, target)) LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
			MESSAGE = pg_catalog.format('"%s" is there already and does not belong to pack "%s"', foreigner, pack),
			HINT = 'Choose another schema, or rename what is there.';
	END IF;
	content := pg_catalog.replace(pg_catalog.replace(content, 'backstream.flow', source), 'clock = wall', 'clock = ' || clock);
	PERFORM pg_catalog.set_config('search_path', pg_catalog.quote_ident(target), true);
	EXECUTE content;
	PERFORM pg_catalog.set_config('search_path', path, true);
	RETURN (SELECT pg_catalog.count(*) FROM backstream.pack_relations(pack, target));
END
$$;
COMMENT ON FUNCTION backstream.install_pack(text, name, regclass, text) IS
'Make the views of a pack (a file backstream_pack_NAME.sql in SHAREDIR/extension) in a schema, which is made if it is not there (default: of the pack''s name), over a stream with the columns of backstream.flow; clock as the option of views.  Views of the pack that are there are replaced.  Returns how many there are.';

CREATE FUNCTION backstream.uninstall_pack(pack text, schema name DEFAULT NULL) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	target pg_catalog.name := coalesce(schema, pack);
	mine pg_catalog.regclass[] := ARRAY(SELECT backstream.pack_relations(pack, target));
	space pg_catalog.oid := (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = target);
	kind record;
	names pg_catalog.text;
BEGIN
	FOR kind IN VALUES ('v', 'VIEW'), ('f', 'FOREIGN TABLE') LOOP
		SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', target, c.relname), ', ' ORDER BY c.relname) INTO names
		  FROM pg_catalog.pg_class c WHERE c.oid = ANY (mine) AND c.relkind::pg_catalog.text = kind.column1;
		IF names IS NOT NULL THEN
			EXECUTE pg_catalog.format('DROP %s %s', kind.column2, names);
		END IF;
	END LOOP;
	IF pg_catalog.obj_description(space, 'pg_namespace') = 'Views of BackStream. [pack ' || pack || ']'
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
						AND d.refobjid = space AND d.deptype = 'n') THEN
		EXECUTE pg_catalog.format('DROP SCHEMA %I', target);
	END IF;
	RETURN pg_catalog.cardinality(mine);
END
$$;
COMMENT ON FUNCTION backstream.uninstall_pack(text, name) IS
'Drop the views of a pack in a schema (default: of the pack''s name): those whose comment ends in [pack NAME]; and the schema, if install_pack() made it and nothing is left in it.  Fails if something else depends on them.  Returns how many there were.';

/* ---------- for people who look ---------- */

-- Three digits and a prefix: the power of 1000 with which fewer than four remain when they are rounded.
CREATE FUNCTION backstream.pretty(value float8, unit text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	prefixes text[] := ARRAY['', 'k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];
	power integer := 1;
BEGIN
	IF value IN ('NaN', 'Infinity', '-Infinity') THEN
		RETURN value || ' ' || unit;
	END IF;
	WHILE abs(value) >= 999.5 AND power < 9 LOOP
		value := value / 1000;
		power := power + 1;
	END LOOP;
	RETURN round(value::numeric, CASE WHEN power = 1 AND value = trunc(value) THEN 0
		WHEN abs(value) < 9.995 THEN 2 WHEN abs(value) < 99.95 THEN 1 ELSE 0 END) || ' ' || prefixes[power] || unit;
END
$$;
COMMENT ON FUNCTION backstream.pretty(float8, text) IS
'A number with three digits, a decimal prefix and a unit: pretty(1838400, ''bit/s'') is 1.84 Mbit/s.';

CREATE FUNCTION backstream.pretty_bps(bits_per_second float8) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN backstream.pretty(bits_per_second, 'bit/s');
COMMENT ON FUNCTION backstream.pretty_bps(float8) IS 'Bits per second, to be read: 1.84 Mbit/s.';

CREATE FUNCTION backstream.pretty_pps(packets_per_second float8) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN backstream.pretty(packets_per_second, 'p/s');
COMMENT ON FUNCTION backstream.pretty_pps(float8) IS 'Packets per second, to be read: 2.30 kp/s.';

CREATE FUNCTION backstream.pretty_bytes(bytes float8) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN backstream.pretty(bytes, 'B');
COMMENT ON FUNCTION backstream.pretty_bytes(float8) IS
'Bytes, to be read, with decimal prefixes as rates have them: 1.50 GB is 1,500,000,000 (pg_size_pretty() divides by 1024).';

CREATE VIEW backstream.health AS
SELECT h.subject, CASE WHEN h.wrong = 0 THEN 'ok' ELSE h.otherwise END AS state, h.wrong AS count, h.meaning, h.see
  FROM (
	SELECT 1 AS place, 'receivers' AS subject, 'broken' AS otherwise, count(*) FILTER (WHERE pid IS NULL) AS wrong,
		'that do not run' AS meaning, 'receivers' AS see FROM backstream.receivers
	UNION ALL SELECT 2, 'listeners', 'broken', count(*) FILTER (WHERE state <> 'open'), 'that are not open', 'listeners' FROM backstream.listeners
	UNION ALL SELECT 3, 'socket drops', 'lossy', coalesce(sum(kernel_drops), 0), 'datagrams that the kernel dropped', 'listeners' FROM backstream.listeners
	UNION ALL SELECT 4, 'rejected senders', 'look', coalesce(sum(rejected + not_export), 0), 'datagrams not allowed, or no exports', 'listeners' FROM backstream.listeners
	UNION ALL SELECT 5, 'silent exporters', 'look', count(*) FILTER (WHERE last_seen < now() - interval '5 min'), 'not heard for five minutes', 'exporters' FROM backstream.exporters
	UNION ALL SELECT 6, 'lost records', 'lossy', coalesce(sum(records_lost), 0), 'missing by sequence numbers', 'exporters' FROM backstream.exporters
	UNION ALL SELECT 7, 'lost datagrams', 'lossy', coalesce(sum(datagrams_lost), 0), 'missing by sequence numbers', 'exporters' FROM backstream.exporters
	UNION ALL SELECT 8, 'undecoded', 'lossy', coalesce(sum(unknown_template + decode_errors + template_errors + templates_refused), 0),
		'sets without a template, or malformed', 'exporters' FROM backstream.exporters
	UNION ALL SELECT 9, 'clocks', 'look', count(*) FILTER (WHERE abs(extract(epoch FROM clock_skew)) > 60), 'exporters more than a minute off', 'exporters' FROM backstream.exporters
	UNION ALL SELECT 10, 'views', 'broken', count(*) FILTER (WHERE state NOT IN ('active', 'on nodes')), 'suspended or not counted', 'views' FROM backstream.views
	UNION ALL SELECT 11, 'late records', 'lossy', coalesce(sum(late), 0), 'came after their window was closed', 'views' FROM backstream.views
	UNION ALL SELECT 12, 'overflowed records', 'lossy', coalesce(sum(overflowed), 0), 'found no room for their group', 'views' FROM backstream.views
	UNION ALL SELECT 13, 'other records', 'lossy', coalesce(sum(future + untimed + errors + skipped), 0), 'future, untimed, failed or skipped', 'views' FROM backstream.views
	UNION ALL SELECT 14, 'outputs', 'broken', count(*) FILTER (WHERE last_error IS NOT NULL OR windows_missed > 0), 'that fail, or missed windows', 'outputs' FROM backstream.outputs
	UNION ALL SELECT 15, 'forwarding', 'lossy', coalesce(sum(dropped + looped), 0), 'datagrams not forwarded', 'forwards' FROM backstream.forwards
	UNION ALL SELECT 16, 'memory', 'lossy', failures, 'requests that found none', 'memory' FROM backstream.memory
	UNION ALL SELECT 17, 'memory used', 'look', CASE WHEN used > 0.9 * total THEN 1 ELSE 0 END, 'more than nine tenths of it', 'memory' FROM backstream.memory
	) h ORDER BY h.place;
COMMENT ON VIEW backstream.health IS
'Is all well?  One row for each thing that can be wrong: ok, look (may be as it should), lossy (results lack something), broken.  Counters are since the server started.';
COMMENT ON COLUMN backstream.health.subject IS 'what is looked at';
COMMENT ON COLUMN backstream.health.state IS 'ok; look: may be as it should; lossy: results lack something; broken: something does not work';
COMMENT ON COLUMN backstream.health.count IS 'how many or how much is wrong';
COMMENT ON COLUMN backstream.health.meaning IS 'of what';
COMMENT ON COLUMN backstream.health.see IS 'the view of schema backstream that says more';
GRANT SELECT ON backstream.health TO PUBLIC;
