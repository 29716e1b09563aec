-- What the tests of promise 1 share: a stream and a table with the same columns, and the comparison.
CREATE SCHEMA oracle;
CREATE TYPE oracle.color AS ENUM ('red', 'green', 'blue');
CREATE DOMAIN oracle.port AS integer CHECK (VALUE BETWEEN 0 AND 65535);
CREATE TABLE oracle.records (
	id bigint, t timestamptz, t2 timestamptz, b boolean, c boolean, i2 smallint, j2 smallint, i4 integer, j4 integer,
	i8 bigint, j8 bigint, f4 real, f8 double precision, g8 double precision, n numeric, m numeric(12, 2),
	a inet, a2 inet, ci cidr, mac macaddr, iv interval, iv2 interval, s text, s2 text, vc varchar(20), bc char(5), d date, ts timestamp,
	tm time, u uuid, by bytea, o oid, col oracle.color, p oracle.port, rate bigint, till timestamptz);
-- The stream has the columns of the table.
CREATE PROCEDURE oracle.make_stream() LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE (SELECT format('CREATE FOREIGN TABLE oracle.stream (%s) SERVER backstream',
			string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum))
	  FROM pg_attribute WHERE attrelid = 'oracle.records'::regclass AND attnum > 0);
END $$;
CALL oracle.make_stream();

CREATE TABLE oracle.queries (q integer GENERATED ALWAYS AS IDENTITY, query text, fails text, ok boolean, skipped boolean,
	compared text, reading text, options text, kept text, parts text);
COMMENT ON COLUMN oracle.queries.fails IS 'expressions, and perhaps FROM records WHERE ...: where their evaluation raises an error, the record is in error';
COMMENT ON COLUMN oracle.queries.ok IS 'a continuous view was made of it';
COMMENT ON COLUMN oracle.queries.skipped IS 'PostgreSQL itself raises an error over the good records: it evaluates WHERE in an order of its own';

COMMENT ON COLUMN oracle.queries.compared IS 'what the view is held against, if not its own query';
COMMENT ON COLUMN oracle.queries.reading IS 'how that is read from the view, which is called VIEW; NULL: SELECT *';
COMMENT ON COLUMN oracle.queries.options IS 'of the view; NULL: those of most';
COMMENT ON COLUMN oracle.queries.kept IS 'the records that are in a rolling view, as a condition; it counts the others as late when they come too late for any';
COMMENT ON COLUMN oracle.queries.parts IS 'what makes several rows of a record, behind FROM records, or none, if it has no time';

-- One of some values, or NULL now and then, chosen by a number and a salt.
CREATE FUNCTION oracle.pick(id bigint, salt text, VARIADIC choices text[]) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT choices[1 + (abs(hashtextextended(salt, id)) % array_length(choices, 1))::integer] $$;

CREATE FUNCTION oracle.fill(n bigint) RETURNS void LANGUAGE sql AS $$
INSERT INTO oracle.records
SELECT id,
  '2026-03-01 00:00:00+00'::timestamptz + (abs(hashtextextended('t', id)) % 600000000) * interval '1 us',
  pick(id, 't2', NULL, '2026-03-01 00:01:02.5+00', '1999-12-31 23:59:59.999999+00', '2026-02-28 12:00+00', 'infinity', '-infinity', '1800-01-01 00:00+00')::timestamptz,
  pick(id, 'b', 't', 'f', NULL)::boolean, pick(id, 'c', 't', 'f', NULL)::boolean,
  pick(id, 'i2', '0', '1', '-1', '7', '32767', '-32768', NULL, '255')::smallint,
  pick(id, 'j2', '1', '2', '-3', '100', NULL)::smallint,
  pick(id, 'i4', '0', '1', '-1', '80', '443', '65535', '2147483647', '-2147483648', NULL, '6', '17')::integer,
  pick(id, 'j4', '1', '2', '-5', '1000', NULL, '31')::integer,
  pick(id, 'i8', '0', '1', '-1', '1500', '64', '4294967296', '9223372036854775807', '-9223372036854775808', NULL, '40', '20')::bigint,
  pick(id, 'j8', '1', '3', '-7', '1000000', NULL)::bigint,
  pick(id, 'f4', '0', '-0', '1.5', '-2.25', '0.5', '1e30', 'NaN', 'Infinity', NULL, '3')::real,
  pick(id, 'f8', '0', '-0', '1.5', '-2.25', '0.5', '1e300', 'NaN', '-Infinity', NULL, '4')::double precision,
  pick(id, 'g8', '1', '2', '0.25', '-8', NULL)::double precision,
  pick(id, 'n', '0', '0.00', '1', '1.0', '1.000', '-12.5', '123456789012345678901234567890.123', 'NaN', NULL, '1e-20', 'Infinity')::numeric,
  pick(id, 'm', '0', '10.25', '-3.50', '9999999999.99', NULL)::numeric(12, 2),
  pick(id, 'a', '10.0.0.1', '10.0.0.0/8', '10.0.0.1/24', '192.168.1.7', '2001:db8::1', '2001:db8::/32', '0.0.0.0/0', '255.255.255.255', '::', NULL)::inet,
  pick(id, 'a2', '10.0.0.1', '10.1.2.3', '2001:db8:1::5', '192.168.0.0/16', NULL)::inet,
  pick(id, 'ci', '10.0.0.0/8', '192.168.1.0/24', '2001:db8::/32', NULL)::cidr,
  pick(id, 'mac', '00:00:00:00:00:00', '08:00:2b:01:02:03', 'ff:ff:ff:ff:ff:ff', NULL)::macaddr,
  pick(id, 'iv', '0', '1 s', '1 day', '24 hours', '30 days', '1 mon', '-1 mon 29 days 24:00:00', '-00:00:01', '1 year 2 mons 3 days 04:05:06.789', NULL)::interval,
  pick(id, 'iv2', '1 h', '-2 days', '1 mon', NULL)::interval,
  pick(id, 's', 'ipfix', 'netflow_v5', 'netflow_v9', '', 'Grüße', NULL, repeat('x', 300)),
  pick(id, 's2', 'a', 'b', 'ipfix', NULL),
  pick(id, 'vc', 'one', 'two ', 'two', NULL)::varchar(20),
  pick(id, 'bc', 'x', 'x  ', 'yy', NULL)::char(5),
  pick(id, 'd', '2026-01-01', '1999-12-31', 'infinity', NULL)::date,
  pick(id, 'ts', '2026-01-01 12:34:56', '1999-12-31 23:59:59.5', NULL)::timestamp,
  pick(id, 'tm', '00:00', '12:34:56.789', '24:00', NULL)::time,
  pick(id, 'u', '00000000-0000-0000-0000-000000000000', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', NULL)::uuid,
  pick(id, 'by', '\x', '\x00ff', '\xdeadbeef', NULL)::bytea,
  pick(id, 'o', '0', '1', '4294967295', NULL)::oid,
  pick(id, 'col', 'red', 'green', 'blue', NULL)::oracle.color,
  pick(id, 'p', '0', '80', '65535', NULL)::integer,
  pick(id, 'rate', '1', '100', NULL, '512')::bigint,
  '2026-03-01 00:00:00+00'::timestamptz + (abs(hashtextextended('t', id)) % 600000000) * interval '1 us' +
    pick(id, 'till', '0', '1 us', '9.999999 s', '10 s', '90 s', '3 min', '-5 s', NULL)::interval
  FROM generate_series(1, n) id $$ SET search_path = oracle, pg_catalog;

-- Names c1, c2, ... for the columns of a query: commas of its target list, outside brackets and quotes.
CREATE FUNCTION oracle.names(query text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	depth integer := 0; quoted boolean := false; n integer := 1; c text;
BEGIN
	FOR i IN 1 .. length(query) LOOP
		c := substr(query, i, 1);
		quoted := quoted <> (c = '''');
		CONTINUE WHEN quoted;
		depth := depth + CASE WHEN c IN ('(', '[') THEN 1 WHEN c IN (')', ']') THEN -1 ELSE 0 END;
		EXIT WHEN depth = 0 AND substr(query, i, 6) = ' FROM ';
		n := n + (depth = 0 AND c = ',')::integer;
	END LOOP;
	RETURN (SELECT string_agg('c' || i, ', ') FROM generate_series(1, n) i);
END $$;

-- Make a view of each query, with the stream in place of the table.
CREATE PROCEDURE oracle.make() LANGUAGE plpgsql AS $$
DECLARE one record; message text;
BEGIN
	FOR one IN SELECT * FROM oracle.queries ORDER BY q LOOP
		BEGIN
			EXECUTE format('CREATE VIEW oracle.v%s (%s) WITH (continuous, clock = ''data'', max_future = ''36500 days'', %s) AS %s', one.q, oracle.names(one.query),
				coalesce(one.options, 'lateness = ''1 day'', retain = ''1000 days'''),
				regexp_replace(one.query, '\mFROM records\M', 'FROM oracle.stream'));
			UPDATE oracle.queries SET ok = true WHERE q = one.q;
		EXCEPTION WHEN feature_not_supported OR data_exception THEN
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
			RAISE WARNING '%: %', one.query, message;
		END;
	END LOOP;
END $$;

-- Records over which a SELECT (of expressions, with or without WHERE) raises no error.  A plan for all,
-- lest constants are folded that no row reaches.
CREATE FUNCTION oracle.good(expressions text) RETURNS SETOF oracle.records LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE FUNCTION oracle.is_good(r oracle.records) RETURNS boolean LANGUAGE plpgsql AS
		$f$BEGIN PERFORM %s; RETURN true; EXCEPTION WHEN others THEN RETURN false; END$f$',
		regexp_replace(expressions || CASE WHEN expressions ~ ' FROM records' THEN '' ELSE ' FROM records' END, ' FROM records\M', ' FROM (SELECT (r).*) records'));
	RETURN QUERY SELECT * FROM oracle.records r WHERE oracle.is_good(r);
	DROP FUNCTION oracle.is_good(oracle.records);
END $$ SET plan_cache_mode = force_generic_plan;

-- Compare every view with its query over the table; says what differs.
CREATE FUNCTION oracle.compare() RETURNS TABLE (problem text) LANGUAGE plpgsql AS $$
DECLARE
	one record; difference bigint; good bigint; rows bigint; came bigint; timeless bigint; seen record; types text; expected text; against text;
BEGIN
	FOR one IN SELECT * FROM oracle.queries WHERE ok ORDER BY q LOOP
		against := coalesce(one.compared, one.query);
		BEGIN
			IF one.fails IS NULL THEN
				CREATE TEMP TABLE good AS SELECT * FROM oracle.records;
			ELSE
				CREATE TEMP TABLE good AS SELECT * FROM oracle.good(one.fails);
			END IF;
			EXECUTE 'SELECT count(*) FROM oracle.records' || coalesce(one.parts, '') INTO came;
			EXECUTE format('SELECT count(*) FROM oracle.records WHERE NOT EXISTS (SELECT%s)', ' FROM' || substr(one.parts, 2)) INTO timeless;
			EXECUTE 'SELECT count(*) FROM good' || coalesce(one.parts, '') INTO good;
			EXECUTE format('DELETE FROM good WHERE (%s) IS NOT TRUE', coalesce(one.kept, 'true'));
			BEGIN
				EXECUTE format('CREATE TEMP TABLE expected (%s) AS %s', oracle.names(against), regexp_replace(against, '\mFROM records\M', 'FROM good'));
			EXCEPTION WHEN data_exception THEN
				IF one.fails IS NULL THEN RAISE; END IF;
				UPDATE oracle.queries SET skipped = true WHERE q = one.q;
				DROP TABLE good;
				CONTINUE;
			END;
			EXECUTE format('CREATE TEMP VIEW columns (%s) AS %s', oracle.names(against), regexp_replace(against, '\mFROM records\M', 'FROM oracle.records'));
			EXECUTE format('CREATE TEMP TABLE actual (%s) AS %s', oracle.names(against),
				replace(coalesce(one.reading, 'SELECT * FROM VIEW'), 'VIEW', 'oracle.v' || one.q));
			SELECT count(*) INTO rows FROM expected;
			EXECUTE 'SELECT count(*) FROM ((TABLE expected EXCEPT ALL TABLE actual) UNION ALL (TABLE actual EXCEPT ALL TABLE expected)) d' INTO difference;
			IF difference > 0 THEN problem := format('%s rows differ of %s: %s', difference, rows, concat_ws(' -> ', one.query, one.reading)); RETURN NEXT; END IF;
			IF rows = 0 AND one.fails IS NULL THEN problem := 'no rows: ' || one.query; RETURN NEXT; END IF;
			SELECT string_agg(format_type(atttypid, atttypmod) || attcollation::text, ',' ORDER BY attnum) INTO expected
			  FROM pg_attribute WHERE attrelid = 'columns'::regclass AND attnum > 0;
			SELECT string_agg(format_type(atttypid, atttypmod) || attcollation::text, ',' ORDER BY attnum) INTO types
			  FROM pg_attribute WHERE attrelid = 'actual'::regclass AND attnum > 0;
			IF types <> expected THEN problem := format('types %s instead of %s: %s', types, expected, one.query); RETURN NEXT; END IF;
			SELECT * INTO seen FROM backstream.views WHERE view = format('oracle.v%s', one.q)::regclass;
			-- A record of no time may be in error or filtered first.
			IF seen.future + seen.overflowed <> 0 OR seen.untimed > timeless OR seen.errors NOT BETWEEN came - good AND came - good + timeless OR (one.kept IS NULL AND seen.late <> 0) OR
			   seen.records + seen.late + seen.filtered + seen.errors + seen.untimed <> seen.received OR seen.received <> came + timeless THEN
				problem := format('late %s future %s untimed %s overflowed %s errors %s of %s (%s) records %s filtered %s received %s of %s: %s', seen.late, seen.future, seen.untimed, seen.overflowed, seen.errors,
					came - good, seen.last_error, seen.records, seen.filtered, seen.received, came + timeless, one.query);
				RETURN NEXT;
			END IF;
		EXCEPTION WHEN others THEN
			problem := format('%s: %s', SQLERRM, one.query); RETURN NEXT;
		END;
		DROP VIEW IF EXISTS columns;
		DROP TABLE IF EXISTS good, expected, actual;
	END LOOP;
END $$ SET client_min_messages = error SET search_path = oracle, backstream;
