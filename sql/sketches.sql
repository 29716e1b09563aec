-- Approximate aggregates: over tables, in parallel plans and in continuous views, against exact answers
-- within the bounds that docs/sketches.md states.
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, YMD';
SET client_min_messages = warning;
CREATE SCHEMA sketches;
SET search_path = sketches, public;

CREATE TYPE color AS ENUM ('red', 'green', 'blue');
CREATE FOREIGN TABLE s (t timestamptz, k int, a inet, h text, b bigint, x float8, n numeric, c color, skewed int)
	SERVER backstream;
CREATE TABLE records (LIKE s);

-- Ten minutes of records in a row.  skewed has i values about i times; every tenth record has no b.
INSERT INTO records
SELECT timestamptz '2026-01-01 00:00:00+00' + i * interval '10 ms', i % 3, '10.0.0.0'::inet + (i * 7919 % 20011),
	'host' || i * 31 % 5003, CASE WHEN i % 10 <> 0 THEN 40 + i::bigint * i % 1460 END, (i - 30000) * 1.5e3,
	round((i % 1000) / 10.0, i % 3), (ARRAY['red', 'green', 'blue']::color[])[1 + i % 7 % 3],
	sqrt((i * 7 % 60000)::float8)::int
  FROM generate_series(0, 59999) i;
ANALYZE records;

-- Is an estimate of a number of values fit for the true one?  Four standard errors, none where it is small.
CREATE FUNCTION count_fits(estimate bigint, exact bigint) RETURNS boolean LANGUAGE sql IMMUTABLE
	RETURN abs(estimate - exact) <= CASE WHEN exact <= 3072 THEN 1 ELSE exact * 4 * 0.0081 END;
CREATE FUNCTION within_percent(estimate float8, exact float8) RETURNS boolean LANGUAGE sql IMMUTABLE
	RETURN (estimate IS NULL AND exact IS NULL) OR abs(estimate - exact) <= abs(exact) * 0.01;
-- The entries of a top-k that are not what they say, given the true sums; and how many there are.
CREATE FUNCTION top_k_faults(top jsonb, sums jsonb, OUT faults bigint, OUT entries bigint) LANGUAGE sql
BEGIN ATOMIC
	SELECT count(*) FILTER (WHERE NOT coalesce(exact BETWEEN lower AND upper AND estimate BETWEEN lower AND upper AND
			upper - lower <= (top->>'total')::numeric / 256, false)), count(*)
	  FROM (SELECT (e->>'lower')::numeric AS lower, (e->>'upper')::numeric AS upper,
			(e->>'estimate')::numeric AS estimate, (sums->>(e->>'value'))::numeric AS exact
			  FROM jsonb_array_elements(top->'entries') e) q;
END;

---------- over a table
SELECT backstream.approx_count_distinct(k) AS k, backstream.approx_count_distinct(c) AS c,
	backstream.approx_count_distinct(n) AS n, count(DISTINCT n) AS exact_n,
	count_fits(backstream.approx_count_distinct(a), count(DISTINCT a)) AS a,
	count_fits(backstream.approx_count_distinct(h), count(DISTINCT h)) AS h,
	count_fits(backstream.approx_count_distinct(b), count(DISTINCT b)) AS b,
	count_fits(backstream.approx_count_distinct(x), count(DISTINCT x)) AS x,
	count_fits(backstream.approx_count_distinct((a, h)), count(DISTINCT (a, h))) AS "row",
	count_fits(backstream.approx_count_distinct(ARRAY[k, b]), count(DISTINCT ARRAY[k, b])) AS "array",
	count_fits(backstream.approx_count_distinct(t), count(DISTINCT t)) AS t
  FROM records;
SELECT count(*), bool_and(count_fits(approx, exact))
  FROM (SELECT backstream.approx_count_distinct(a) AS approx, count(DISTINCT a) AS exact FROM records GROUP BY skewed) q;
-- values that are folded to few hashes by PostgreSQL's own functions
SELECT count_fits(backstream.approx_count_distinct(i::bigint << 32 | i), 20000) FROM generate_series(1, 20000) i;
-- equal values that look different are one
SELECT backstream.approx_count_distinct(v) FROM (VALUES (0::float8), ('-0'), ('nan'), ('nan'), (NULL)) f (v);
SELECT backstream.approx_count_distinct(v), backstream.approx_top_k(v, 2) FROM (VALUES (1.0), (1.00), (2), (NULL)) f (v);
SELECT backstream.approx_top_k(v, 3) FROM (VALUES (0::float8), ('-0'), ('nan'), ('nan'), ('nan'), ('inf')) f (v);
SELECT backstream.approx_count_distinct(v::character(5)), backstream.approx_top_k(v::character(5), 3) FROM (VALUES ('a'), ('a '), ('b')) f (v);

SELECT f AS fraction, within_percent(backstream.approx_percentile(f, b), percentile_disc(f) WITHIN GROUP (ORDER BY b)) AS bigint,
	within_percent(backstream.approx_percentile(f, x), percentile_disc(f) WITHIN GROUP (ORDER BY x)) AS float8,
	within_percent(backstream.approx_percentile(f, n), percentile_disc(f) WITHIN GROUP (ORDER BY n)) AS numeric,
	within_percent(backstream.approx_percentile(f, k), percentile_disc(f) WITHIN GROUP (ORDER BY k)) AS integer
  FROM records, unnest(ARRAY[0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1]) f GROUP BY f ORDER BY f;
SELECT backstream.approx_percentile(0, x), min(x), backstream.approx_percentile(1, x), max(x) FROM records;
SELECT f, backstream.approx_percentile(f, v), percentile_disc(f) WITHIN GROUP (ORDER BY v)
  FROM (VALUES ('-inf'::float8), (-2), (-2), (0), (0), (-0.0), (7), (7), ('inf'), ('nan')) q (v), unnest(ARRAY[0, 0.1, 0.3, 0.5, 0.8, 0.9, 1]) f
 GROUP BY f ORDER BY f;
SELECT backstream.approx_percentile(0.5, v) FROM (VALUES (1e-300), (1e300)) q (v);

SELECT backstream.approx_top_k(k, 2) FROM records;
SELECT backstream.approx_top_k(c, 5, b) FROM records;
SELECT c, count(*), sum(b) FROM records GROUP BY c ORDER BY 3 DESC;
SELECT backstream.approx_top_k(skewed, 3), max(c.n) FROM (SELECT skewed, count(*) AS n FROM records GROUP BY 1) c RIGHT JOIN records USING (skewed);
SELECT skewed, count(*) FROM records GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3;
SELECT f.* FROM (SELECT backstream.approx_top_k(a, 20, b) AS top FROM records) q,
	(SELECT jsonb_object_agg(host(a), sum) AS sums FROM (SELECT a, sum(b) FROM records GROUP BY a) q) e, top_k_faults(top, sums) f;
-- the true first ones are there, whatever came before and after them
SELECT v->'value' AS value, (v->>'upper')::int >= 3000 AND (v->>'lower')::int <= 3000 AS holds
  FROM (SELECT backstream.approx_top_k(CASE WHEN i % 20 = 3 THEN -1 WHEN i % 20 = 7 AND i > 30000 THEN -2 ELSE i END, 3) AS top
		  FROM generate_series(1, 60000) i) q, jsonb_array_elements(top->'entries') v LIMIT 1;
-- what values become in JSON, and what is the same all through is ordered by value
SELECT backstream.approx_top_k(v, 2) FROM (VALUES (true), (false)) q (v);
SELECT backstream.approx_top_k(v, 2) FROM (VALUES ('a"b'), ('a'), ('')) q (v);
SELECT backstream.approx_top_k(v, 9) FROM (VALUES (ARRAY[1, 2]), (ARRAY[1]), (ARRAY[1])) q (v);
SELECT backstream.approx_top_k(v, 1) FROM (VALUES ('08:00:2b:01:02:03'::macaddr)) q (v);
SELECT backstream.approx_top_k(v, 1) FROM (VALUES (timestamptz '2026-01-01 12:00+00')) q (v);
SELECT backstream.approx_top_k(v, 1) FROM (VALUES ('{"a": [1]}'::jsonb)) q (v);
SELECT backstream.approx_top_k(v, 3, w) FROM (VALUES (1, 9223372036854775807), (1, 9223372036854775807), (2, 0), (3, NULL)) q (v, w);

---------- NULLs, empty groups
SELECT backstream.approx_count_distinct(b), backstream.approx_percentile(0.5, b), backstream.approx_top_k(b, 3) FROM records WHERE false;
SELECT backstream.approx_count_distinct(NULL::int), backstream.approx_percentile(0.5, NULL::float8), backstream.approx_top_k(NULL::int, 3) FROM records;
SELECT backstream.approx_percentile(NULL, b), percentile_disc(NULL) WITHIN GROUP (ORDER BY b) FROM records;
SELECT k, backstream.approx_count_distinct(b) FILTER (WHERE k = 1), backstream.approx_top_k(k, 1) FILTER (WHERE b > 1490 AND k = 1) FROM records GROUP BY k ORDER BY k;

---------- wrong arguments
SELECT backstream.approx_percentile(1.1, b) FROM records;
SELECT backstream.approx_percentile(-0.1, b) FROM records;
SELECT backstream.approx_percentile('nan', b) FROM records;
SELECT backstream.approx_percentile(k / 10.0, b) FROM records;
SELECT k, within_percent(backstream.approx_percentile(k / 10.0, b), percentile_disc(k / 10.0) WITHIN GROUP (ORDER BY b)) FROM records GROUP BY k ORDER BY k;
SELECT backstream.approx_percentile(0.5, 1e400::numeric);
SELECT backstream.approx_percentile(0.5, v) FROM (VALUES (1e300), ('inf'::numeric), ('nan')) q (v);
SELECT backstream.approx_percentile(0.5, h) FROM records;
SELECT backstream.approx_top_k(k, 0) FROM records;
SELECT backstream.approx_top_k(k, 1001) FROM records;
SELECT backstream.approx_top_k(k, NULL) FROM records;
SELECT backstream.approx_top_k(a, k + 1) FROM records;
SELECT backstream.approx_top_k(k, 1, -1) FROM records;
SELECT backstream.approx_top_k(repeat('x', 256), 1) IS NOT NULL;
SELECT backstream.approx_top_k(repeat('x', 257), 1);
SELECT backstream.approx_count_distinct(point(1, 2));
SELECT backstream.approx_top_k(point(1, 2), 1);
SELECT backstream.approx_top_k((1, 2), 1);
SELECT backstream.approx_count_distinct((point(1, 2), 1));
SELECT backstream.approx_count_distinct_transition(NULL, 1);
SELECT backstream.approx_count_distinct_deserialize('\x00', NULL);

---------- in parallel
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SET force_parallel_mode = on;
CREATE TABLE spread AS SELECT * FROM records;
ALTER TABLE spread SET (parallel_workers = 2);
ANALYZE spread;
EXPLAIN (COSTS OFF) SELECT backstream.approx_count_distinct(a), backstream.approx_percentile(0.9, b), backstream.approx_top_k(a, 10, b) FROM spread;
CREATE FUNCTION compare_parallel(OUT count_a boolean, OUT p boolean, OUT top_c boolean, OUT top_n boolean, OUT faults bigint, OUT entries bigint)
LANGUAGE plpgsql AS $$
DECLARE
	query text := 'SELECT backstream.approx_count_distinct(a) AS a, backstream.approx_percentile(0.9, x) AS x,
		backstream.approx_top_k(c, 2, b) AS c, backstream.approx_top_k(n, 3) AS n, backstream.approx_top_k(a, 20, b) AS top FROM spread';
	with_workers record;
	without record;
	sums jsonb;
BEGIN
	EXECUTE query INTO with_workers;
	SET LOCAL max_parallel_workers_per_gather = 0;
	SET LOCAL force_parallel_mode = off;
	EXECUTE query INTO without;
	SELECT jsonb_object_agg(host(a), sum) INTO sums FROM (SELECT a, sum(b) FROM spread GROUP BY a) q;
	count_a := with_workers.a = without.a;
	p := with_workers.x = without.x;
	top_c := with_workers.c = without.c;
	top_n := with_workers.n->'total' = without.n->'total';
	SELECT f.* INTO faults, entries FROM top_k_faults(with_workers.top, sums) f;
END;
$$;
SELECT * FROM compare_parallel();
RESET force_parallel_mode;
RESET max_parallel_workers_per_gather;

---------- in continuous views
CREATE VIEW by_window WITH (continuous, clock = 'data', lateness = '1 hour', retain = '1 day') AS
SELECT tumble(t, '1 min') AS time, approx_count_distinct(a) AS addresses, approx_count_distinct(c) AS colors, approx_percentile(0.95, b) AS p95,
	approx_percentile(0.5, x) AS median, approx_percentile(0.1, n) AS p10, approx_top_k(a, 20, b) AS top, approx_top_k(c, 2) AS top_colors,
	approx_top_k(n, 3) AS top_n, approx_count_distinct(h) FILTER (WHERE k = 1) AS hosts
  FROM s GROUP BY 1;
CREATE VIEW by_key WITH (continuous) AS
SELECT skewed, approx_count_distinct(h) AS hosts, approx_percentile(0.9, b) AS p90, approx_top_k(c, 1) AS top
  FROM s GROUP BY skewed HAVING approx_count_distinct(h) >= 100;
CREATE VIEW total WITH (continuous) AS
SELECT approx_count_distinct(a) AS addresses, backstream.approx_percentile(0.25, x) AS p25, approx_top_k(skewed, 5) AS top, approx_top_k(k, 1000) AS all_k, approx_count_distinct((k, h)) AS pairs FROM s;
SELECT * FROM total;
SELECT * FROM by_window;
INSERT INTO s SELECT * FROM records WHERE k = 0;
INSERT INTO s SELECT * FROM records WHERE k <> 0 AND c = 'red';
INSERT INTO s SELECT * FROM records WHERE k <> 0 AND c <> 'red';
SELECT view, records, late, errors, last_error FROM backstream.views WHERE view::text IN ('by_window', 'by_key', 'total') ORDER BY 1;

SELECT v.time, v.addresses = e.addresses AS addresses, v.colors = e.colors AS colors, v.p95 = e.p95 AS p95, v.median = e.median AS median, v.p10 = e.p10 AS p10,
	v.top_colors = e.top_colors AS top_colors, v.hosts = e.hosts AS hosts, (v.top->'total') = (e.top->'total') AS total, f.faults, f.entries
  FROM by_window v
  JOIN (SELECT backstream.tumble(t, '1 min') AS time, backstream.approx_count_distinct(a) AS addresses, backstream.approx_count_distinct(c) AS colors,
			backstream.approx_percentile(0.95, b) AS p95, backstream.approx_percentile(0.5, x) AS median, backstream.approx_percentile(0.1, n) AS p10,
			backstream.approx_top_k(a, 20, b) AS top, backstream.approx_top_k(c, 2) AS top_colors,
			backstream.approx_count_distinct(h) FILTER (WHERE k = 1) AS hosts FROM records GROUP BY 1) e USING (time)
  JOIN (SELECT time, jsonb_object_agg(host(a), sum) AS sums
		  FROM (SELECT backstream.tumble(t, '1 min') AS time, a, sum(b) FROM records GROUP BY 1, 2) q GROUP BY 1) x USING (time)
 CROSS JOIN LATERAL top_k_faults(v.top, x.sums) f ORDER BY 1;
SELECT count(*), count(*) FILTER (WHERE (v.hosts, v.p90, v.top) IS DISTINCT FROM (e.hosts, e.p90, e.top)) AS different
  FROM by_key v FULL JOIN (SELECT skewed, backstream.approx_count_distinct(h) AS hosts, backstream.approx_percentile(0.9, b) AS p90, backstream.approx_top_k(c, 1) AS top
	FROM records GROUP BY 1 HAVING backstream.approx_count_distinct(h) >= 100) e USING (skewed);
SELECT (SELECT v FROM total v) IS NOT DISTINCT FROM
	(SELECT e FROM (SELECT backstream.approx_count_distinct(a) AS addresses, backstream.approx_percentile(0.25, x) AS p25, backstream.approx_top_k(skewed, 5) AS top,
		backstream.approx_top_k(k, 1000) AS all_k, backstream.approx_count_distinct((k, h)) AS pairs FROM records) e);

-- windows merged are one: states merge, values would not
SELECT m.addresses = e.addresses AND m.addresses < (SELECT sum(addresses) FROM by_window) AS addresses, m.p95 = e.p95 AS p95, m.median = e.median AS median,
	m.top_colors = e.top_colors AS top_colors, m.top->'total' = e.total AS total, f.*
  FROM backstream.merged(NULL::by_window, NULL, NULL) m,
	(SELECT backstream.approx_count_distinct(a) AS addresses, backstream.approx_percentile(0.95, b) AS p95, backstream.approx_percentile(0.5, x) AS median,
		backstream.approx_top_k(c, 2) AS top_colors, to_jsonb(sum(b)) AS total FROM records) e,
	(SELECT jsonb_object_agg(host(a), sum) AS sums FROM (SELECT a, sum(b) FROM records GROUP BY a) q) x, top_k_faults(m.top, x.sums) f;
SELECT m.addresses = e.addresses AS addresses, m.p95 = e.p95 AS p95
  FROM backstream.merged(NULL::by_window, '2026-01-01 00:02', '2026-01-01 00:04') m,
	(SELECT backstream.approx_count_distinct(a) AS addresses, backstream.approx_percentile(0.95, b) AS p95
	   FROM records WHERE t >= '2026-01-01 00:02' AND t < '2026-01-01 00:04') e;

-- two of the case studies, with the windows that there are
CREATE VIEW dns_clients WITH (continuous, clock = 'data') AS
SELECT tumble(time_received, '1 min') AS time, approx_count_distinct(src_addr) AS clients, approx_percentile(0.95, bytes) AS p95_bytes,
	avg(bytes) AS mean_bytes, approx_top_k(dst_addr, 10, bytes) AS top_servers
  FROM backstream.flow WHERE dst_port = 53 GROUP BY 1;
CREATE VIEW ddos_victim WITH (continuous, clock = 'data') AS
SELECT tumble(time_received, '10 s') AS time, dst_addr, approx_count_distinct(src_addr) AS sources, sum(scaled(bytes, sampling_rate)) * 8 / 10 AS bps,
	sum(scaled(packets, sampling_rate)) / 10 AS pps
  FROM backstream.flow GROUP BY 1, 2
HAVING approx_count_distinct(src_addr) >= 500 AND sum(scaled(bytes, sampling_rate)) * 8 / 10 >= 1e8;
INSERT INTO backstream.flow (time_received, src_addr, dst_addr, dst_port, bytes, packets, sampling_rate)
SELECT timestamptz '2026-01-01' + i * interval '1 ms', '10.0.0.0'::inet + i % 4000, '192.0.2.0'::inet + CASE WHEN i % 2 = 0 THEN i % 100 ELSE 53 END, 53, 40 + i % 400, 1, 1000
  FROM generate_series(0, 19999) i;
SELECT time, count_fits(clients, 4000) AS clients, within_percent(p95_bytes, 419) AS p95, round(mean_bytes, 3), top_servers->'total' AS total, top_servers->'entries'->0 AS first
  FROM dns_clients;
SELECT time, dst_addr, count_fits(sources, 2000) AS sources, bps, pps FROM ddos_victim ORDER BY 1, 2;

-- a record on which an aggregate fails is counted and leaves no trace
CREATE VIEW fails WITH (continuous) AS
SELECT k, approx_top_k(a, 3, b) AS top, approx_percentile(0.5, b) AS p FROM s GROUP BY k;
INSERT INTO s (k, a, b) VALUES (-1, '10.0.0.1', 5), (-1, '10.0.0.1', -5), (-1, '10.0.0.2', 5), (-1, '10.0.0.2', -1), (-1, '10.0.0.3', 7);
SELECT * FROM fails;
SELECT records, errors, last_error FROM backstream.views WHERE view::text = 'fails';

-- refused when it is created
CREATE VIEW no WITH (continuous) AS SELECT approx_percentile(1.5, b) FROM s;
CREATE VIEW no WITH (continuous) AS SELECT approx_top_k(a, 500 * 3) FROM s;
CREATE VIEW no WITH (continuous) AS SELECT approx_count_distinct(point(x, x)) FROM s;
CREATE VIEW no WITH (continuous) AS SELECT approx_top_k(point(x, x), 5) FROM s;
CREATE VIEW no WITH (continuous) AS SELECT approx_top_k((k, a), 5) FROM s;
CREATE VIEW no WITH (continuous) AS SELECT approx_median(x) FROM s;
-- of the other schemas' functions of that name nothing is asked
CREATE FUNCTION take(text, text, text) RETURNS text LANGUAGE sql IMMUTABLE RETURN greatest($1, $2, $3);
CREATE FUNCTION take(text, text) RETURNS text LANGUAGE sql IMMUTABLE RETURN greatest($1, $2);
CREATE AGGREGATE approx_percentile(text, text) (SFUNC = take, STYPE = text, COMBINEFUNC = take, INITCOND = '');
CREATE VIEW own WITH (continuous) AS SELECT sketches.approx_percentile('1.5', h) AS h FROM s;

DROP SCHEMA sketches CASCADE;
