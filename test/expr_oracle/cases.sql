-- SPDX-License-Identifier: PostgreSQL
--
-- cases.sql: what PostgreSQL itself makes of the engine's native operations at the extremes of each type.
--
-- Writes test/data/expr_cases.txt, which test_expr_cases.c holds the engine to.  Run it on a scratch
-- database of PostgreSQL 15; it makes temporary objects only:
--
--   psql -XqAt -f test/expr_oracle/cases.sql > test/data/expr_cases.txt
--
-- A line "= OPERATION result first second ..." opens a group; each line after it holds the arguments and
-- the result as hexadecimal of the types' send functions, or "!" and the message of the error.
\set ON_ERROR_STOP 1
\set VERBOSITY terse
SET client_min_messages = warning;
SET timezone = 'UTC';
SET extra_float_digits = 3;

CREATE TEMP TABLE sample(type text, number serial, value text);
INSERT INTO sample(type, value)
  SELECT type, unnest(list) FROM (VALUES
    ('boolean', '{f,t}'::text[]),
    ('int2', '{-32768,-32767,-2,-1,0,1,3,181,182,32767}'),
    ('int4', '{-2147483648,-2147483647,-32769,-1,0,1,7,46340,46341,16777217,2147483647}'),
    ('int8', '{-9223372036854775808,-9223372036854775807,-2147483649,-1,0,1,10,3037000499,3037000500,9007199254740993,9007199791611905,9223372036854775295,9223372036854775807}'),
    ('float4', '{NaN,-Infinity,Infinity,-0,0,-1.5,2.5,3.4028235e38,-3.4028235e38,1e-45,32767.5,0.1}'),
    ('double', '{NaN,-Infinity,Infinity,-0,0,1,-1.5,2.5,1e300,-1e300,1e-300,4.9e-324,1.7976931348623157e308}'),
    ('float8', '{NaN,-Infinity,Infinity,-0,0,1,-1.5,0.5,2.5,32766.5,32767.5,-32768.5,-32768.50000000001,2147483647.4999,2147483647.5,-2147483648.5,9223372036854774784,9223372036854775808,-9223372036854775808,1e300,-1e300,1e-300,4.9e-324,1.7976931348623157e308,3.4028235677973366e38,3.4028234663852886e38,7.006492321624085e-46,7.1e-46,0.1}'),
    ('timestamptz', '{-infinity,infinity,4714-11-24 00:00:00+00 BC,4714-11-24 00:00:00.000001+00 BC,1969-12-31 23:59:59.999999+00,2000-01-01 00:00:00+00,1999-12-31 23:59:59.999999+00,2024-02-29 12:34:56.789+00,294276-12-31 23:59:59.999999+00}'),
    ('interval', '{0,1 day,24:00:00,-1 day,1 mon,30 days,30 days 00:00:00.000001,-1 mon,178956970 years 7 mons,-178956970 years -8 mons,2147483647 days,-2147483648 days,2562047788:00:54.775807,-2562047788:00:54.775807,1 year 2 mons 3 days 04:05:06.789}'),
    ('inet', '{0.0.0.0/0,10.0.0.0/8,10.1.2.3/8,10.1.2.3,10.1.2.0/24,255.255.255.255,::/0,fe80::1/64,fe80::1,2001:db8::ff/61,2001:db8::/33,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff}'),
    ('cidr', '{0.0.0.0/0,10.0.0.0/8,10.1.2.0/24,10.1.2.3/32,::/0,fe80::/64,2001:db8::/33,2001:db8:8000::1/128}'),
    ('macaddr', '{00:00:00:00:00:00,00:00:00:00:00:01,7f:ff:ff:ff:ff:ff,80:00:00:00:00:00,ff:ff:ff:ff:ff:ff}'),
    ('count', '{-2147483648,-65,-64,-33,-32,-1,0,1,15,16,31,32,33,63,64,2147483647}'),
    ('masklen', '{-2,-1,0,1,8,24,31,32,33,64,127,128,129,256,2147483647}'),
    ('width', '{00:00:00.000001,00:00:10,00:05:00,24:00:00,2562047788:00:54.775807}'),
    ('origin', '{4714-11-24 00:00:00+00 BC,2000-01-01 00:00:00+00,2000-01-03 00:00:00.5+00,294276-12-31 23:59:59.999999+00}'),
    ('shift', '{00:00:00,00:00:00.000001,-00:00:00.000001,2562047788:00:54.775807,-2562047788:00:54.775807}')
  ) AS list(type, list);

-- How a kind of sample is cast and sent.
CREATE TEMP TABLE kind(type text, cast_to text, send text);
INSERT INTO kind VALUES
  ('boolean', 'boolean', 'boolsend'), ('int2', 'int2', 'int2send'), ('int4', 'int4', 'int4send'),
  ('int8', 'int8', 'int8send'), ('float4', 'float4', 'float4send'), ('float8', 'float8', 'float8send'), ('double', 'float8', 'float8send'),
  ('timestamptz', 'timestamptz', 'timestamptz_send'), ('interval', 'interval', 'interval_send'),
  ('inet', 'inet', 'inet_send'), ('cidr', 'cidr', 'cidr_send'), ('macaddr', 'macaddr', 'macaddr_send'), ('count', 'int4', 'int4send'),
  ('masklen', 'int4', 'int4send'), ('width', 'interval', 'interval_send'),
  ('origin', 'timestamptz', 'timestamptz_send'), ('shift', 'interval', 'interval_send');

CREATE FUNCTION pg_temp.attempt(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  EXECUTE query INTO result;
  RETURN result;
EXCEPTION WHEN OTHERS THEN
  RETURN '!' || sqlerrm;
END $$;

CREATE TEMP TABLE operation(number serial, name text, expression text, result text, args text[]);

INSERT INTO operation(name, expression, result, args)
  SELECT op.name, '(%s ' || op.sign || ' %s)', 'boolean', ARRAY[type, type]
    FROM unnest('{boolean,int2,float4,double,timestamptz,interval,inet,macaddr}'::text[]) AS type,
         (VALUES ('EQ', '='), ('LT', '<')) AS op(name, sign)
  UNION ALL
  SELECT op.name, '(%s ' || op.sign || ' %s)', 'boolean', ARRAY['int4', 'int8']
    FROM (VALUES ('NE', '<>'), ('LE', '<='), ('GT', '>'), ('GE', '>=')) AS op(name, sign)
  UNION ALL
  SELECT op.name, '(%s ' || op.sign || ' %s)', 'boolean', ARRAY['float4', 'double']
    FROM (VALUES ('NE', '<>'), ('LE', '<='), ('GT', '>'), ('GE', '>=')) AS op(name, sign)
  UNION ALL
  SELECT op.name, op.name || '(%s, %s)', type, ARRAY[type, type]
    FROM unnest('{double,interval,inet}'::text[]) AS type, (VALUES ('LEAST'), ('GREATEST')) AS op(name)
  UNION ALL
  SELECT op.name, '(%s ' || op.sign || ' %s)', types[1], types[2:3]
    FROM (VALUES ('{int2,int2,int2}'::text[]), ('{int4,int4,int4}'), ('{int8,int8,int8}'),
                 ('{int4,int2,int4}'), ('{int8,int8,int2}')) AS t(types),
         (VALUES ('ADD', '+'), ('SUB', '-'), ('MUL', '*'), ('DIV', '/')) AS op(name, sign)
  UNION ALL
  SELECT op.name, '(%s ' || op.sign || ' %s)', type, ARRAY[type, type]
    FROM unnest('{int2,int4,int8}'::text[]) AS type,
         (VALUES ('MOD', '%%'), ('BIT_AND', '&'), ('BIT_OR', '|'), ('BIT_XOR', '#')) AS op(name, sign)
  UNION ALL
  SELECT op.name, '(%s ' || op.sign || ' %s)', type, ARRAY[type, 'count']
    FROM unnest('{int2,int4,int8}'::text[]) AS type,
         (VALUES ('SHL', '<<'), ('SHR', '>>')) AS op(name, sign)
  UNION ALL
  SELECT op.name, op.expression, type, ARRAY[type]
    FROM unnest('{int2,int4,int8}'::text[]) AS type, (VALUES ('BIT_NOT', '(~ %s)')) AS op(name, expression)
  UNION ALL
  SELECT op.name, op.expression, type, ARRAY[type]
    FROM unnest('{int2,int4,int8,float4,float8}'::text[]) AS type,
         (VALUES ('NEG', '(- %s)'), ('ABS', 'abs(%s)')) AS op(name, expression)
  UNION ALL
  SELECT op.name, '(%s ' || op.sign || ' %s)', types[1], types[2:3]
    FROM (VALUES ('{float4,float4,float4}'::text[]), ('{double,double,double}'), ('{double,float4,double}')) AS t(types),
         (VALUES ('ADD', '+'), ('SUB', '-'), ('MUL', '*'), ('DIV', '/')) AS op(name, sign)
  UNION ALL
  SELECT cast_op, '%s::' || to_type, to_type, ARRAY[from_type]
    FROM (SELECT 'INT_CAST', a, b FROM unnest('{int2,int4,int8}'::text[]) a, unnest('{int2,int4,int8}'::text[]) b
          UNION ALL
          SELECT 'INT_TO_FLOAT', a, b FROM unnest('{int2,int4,int8}'::text[]) a, unnest('{float4,float8}'::text[]) b
          UNION ALL
          SELECT 'FLOAT_TO_INT', a, b FROM unnest('{float4,float8}'::text[]) a, unnest('{int2,int4,int8}'::text[]) b
          UNION ALL
          SELECT 'FLOAT_CAST', a, b FROM unnest('{float4,float8}'::text[]) a, unnest('{float4,float8}'::text[]) b
          UNION ALL VALUES ('BOOL_TO_INT', 'boolean', 'int4'), ('INT_TO_BOOL', 'int4', 'boolean')
         ) AS t(cast_op, from_type, to_type)
  UNION ALL
  SELECT op.name, '(%s ' || op.sign || ' %s)', 'boolean', '{inet,inet}'
    FROM (VALUES ('INET_SUB', '<<'), ('INET_SUBEQ', '<<='), ('INET_SUP', '>>'), ('INET_SUPEQ', '>>='),
                 ('INET_OVERLAP', '&&')) AS op(name, sign)
  UNION ALL
  SELECT op.name, op.expression, op.result, op.args::text[]
    FROM (VALUES ('INET_NETWORK', 'network(%s)::inet', 'inet', '{inet}'),
                 ('INET_BROADCAST', 'broadcast(%s)', 'inet', '{inet}'),
                 ('INET_NETMASK', 'netmask(%s)', 'inet', '{inet}'),
                 ('INET_HOSTMASK', 'hostmask(%s)', 'inet', '{inet}'),
                 ('INET_MASKLEN', 'masklen(%s)', 'int4', '{inet}'),
                 ('INET_FAMILY', 'family(%s)', 'int4', '{inet}'),
                 ('INET_SET_MASKLEN', 'set_masklen(%s, %s)', 'inet', '{inet,masklen}'),
                 ('CIDR_SET_MASKLEN', 'set_masklen(%s, %s)::inet', 'inet', '{cidr,masklen}'),
                 ('TIME_SUB_TIME', '(%s - %s)', 'interval', '{timestamptz,timestamptz}'),
                 ('TIME_BIN', 'date_bin(%3$s, %2$s, %4$s)', 'timestamptz', '{timestamptz,width,origin}'),
                 ('TIME_ADD_USEC', '(%s + %s)', 'timestamptz', '{timestamptz,shift}'),
                 ('INTERVAL_ADD', '(%s + %s)', 'interval', '{interval,interval}'),
                 ('INTERVAL_SUB', '(%s - %s)', 'interval', '{interval,interval}'),
                 ('INTERVAL_NEG', '(- %s)', 'interval', '{interval}')
         ) AS op(name, expression, result, args);

-- Every operation with every sample of its arguments; an argument that is not there is one empty sample.
CREATE TEMP TABLE written AS
SELECT o.number, row_number() OVER (PARTITION BY o.number ORDER BY a.number, b.number, c.number) AS line,
       concat_ws(' ', a.hex, b.hex, c.hex,
                 pg_temp.attempt(format('SELECT encode(%s(' || o.expression || '), ''hex'')', r.send, a.literal, b.literal, c.literal))) AS text
  FROM operation o
  JOIN kind r ON r.type = o.result,
  LATERAL (SELECT number, format('%L::%s', value, cast_to) AS literal,
                  pg_temp.attempt(format('SELECT encode(%s(%L::%s), ''hex'')', send, value, cast_to)) AS hex
             FROM sample JOIN kind USING (type) WHERE type = o.args[1]) a,
  LATERAL (SELECT number, format('%L::%s', value, cast_to) AS literal,
                  pg_temp.attempt(format('SELECT encode(%s(%L::%s), ''hex'')', send, value, cast_to)) AS hex
             FROM sample JOIN kind USING (type) WHERE type = o.args[2]
           UNION ALL SELECT 0, NULL, NULL WHERE cardinality(o.args) < 2) b,
  LATERAL (SELECT number, format('%L::%s', value, cast_to) AS literal,
                  pg_temp.attempt(format('SELECT encode(%s(%L::%s), ''hex'')', send, value, cast_to)) AS hex
             FROM sample JOIN kind USING (type) WHERE type = o.args[3]
           UNION ALL SELECT 0, NULL, NULL WHERE cardinality(o.args) < 3) c;

SELECT '# PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1) || '; written by test/expr_oracle/cases.sql';
SELECT text
  FROM (SELECT number, 0 AS line, concat_ws(' ', '=', name, result, array_to_string(args, ' ')) AS text FROM operation
        UNION ALL SELECT * FROM written) AS t
 ORDER BY number, line;
