-- Windows other than tumbling: a view is the same SELECT over a table, for every record that is not late.
SET client_min_messages = warning;
CREATE SCHEMA win;
SET search_path = win;
SET timezone = 'UTC';

-- hop() over a table
SELECT backstream.hop('2026-01-01 00:00:07Z', '2 s', '5 s');
SELECT count(*) FROM backstream.hop('2026-01-01 00:00:07Z', '10 s', '1 min');
SELECT backstream.hop('1999-12-31 23:59:59.999999Z', '1 day', '1 week');
SELECT backstream.hop('infinity', '2 s', '5 s'), backstream.hop(NULL, '2 s', '5 s');
SELECT backstream.hop('2026-01-01', '1 min', '5 s');
SELECT backstream.hop('2026-01-01', '0', '5 s');
SELECT backstream.hop('2026-01-01', '1 s', '1 month');
SELECT backstream.hop('2026-01-01 00:00:07Z', '3 s', '3 s') = backstream.tumble('2026-01-01 00:00:07Z', '3 s') AS tumbling;

-- The records, and which of them each view takes: those whose windows were all open when their transaction began.
CREATE FOREIGN TABLE s (id int, t timestamptz, k int, b int, x text, n numeric, ip inet) SERVER backstream;
CREATE TABLE r (LIKE s);
CREATE TABLE views (view text PRIMARY KEY, query text, overlap interval);
CREATE TABLE taken (view text, id int);

-- overlap: how much longer than the slide a window is
CREATE FUNCTION make(name text, query text, overlap interval, options text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE VIEW %I WITH (continuous, clock = ''data''%s) AS %s', name, options, replace(query, '$from', 's'));
	INSERT INTO views VALUES (name, query, overlap);
END $$;
CREATE FUNCTION feed(first int, last int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO taken SELECT v.view, r.id
	  FROM r, views v JOIN backstream.views c ON c.view = v.view::regclass
	 WHERE id BETWEEN first AND last AND (t >= c.closed_before + overlap OR c.closed_before IS NULL);
	INSERT INTO s SELECT * FROM r WHERE id BETWEEN first AND last;
END $$;
CREATE FUNCTION compare(name text) RETURNS TABLE (view text, rows bigint, differences bigint) LANGUAGE plpgsql AS $$
DECLARE
	same text := (SELECT replace(query, '$from', format('(SELECT r.* FROM r JOIN taken USING (id) WHERE taken.view = %L) s', name)) FROM views WHERE views.view = name);
BEGIN
	view := name;
	EXECUTE format('SELECT count(*) FROM %I', name) INTO rows;
	EXECUTE format('SELECT count(*) FROM ((TABLE %1$I EXCEPT ALL (%2$s)) UNION ALL ((%2$s) EXCEPT ALL TABLE %1$I)) d', name, same)
		INTO differences;
	RETURN NEXT;
END $$;

SELECT make('minutes', $q$SELECT backstream.hop(t, '10 s', '1 min') AS time, k, count(*) AS c, sum(b) AS b, avg(b) AS mean, min(x) AS x, count(DISTINCT b) AS bs, sum(n) AS n FROM $from GROUP BY 1, 2$q$, '50 s');
SELECT make('odd', $q$SELECT count(*) AS c, max(ip) AS ip, backstream.hop(t, '4 s', '10 s') AS at FROM $from GROUP BY at$q$, '6 s', ', lateness = ''3 s''');
SELECT make('same', $q$SELECT backstream.hop(t, '30 s', '30 s') AS time, k, sum(b) FILTER (WHERE x = 'a') AS b FROM $from WHERE b % 3 > 0 GROUP BY 1, 2$q$, '0', ', lateness = ''0''');
SELECT make('having', $q$SELECT k, x, backstream.hop(t, '1 s', '20 s') + interval '20 s' AS until, count(*) AS c FROM $from GROUP BY 1, 2, backstream.hop(t, '1 s', '20 s') HAVING count(*) > 1$q$, '19 s');
SELECT make('others', $q$SELECT backstream.hop(t, '15 s', '1 min') AS time, k % 3 AS k, var_pop(n) AS n, bit_or(b) AS bits, every(b > 5) AS many, regr_count(b, n) AS pairs FROM $from GROUP BY 1, 2$q$, '45 s');
SELECT make('thirds', $q$SELECT backstream.hop(t, '20 s', '30 s') AS time, count(DISTINCT x) AS xs, count(DISTINCT ip) AS ips, backstream.approx_count_distinct(b) AS bs FROM $from GROUP BY 1$q$, '10 s');
SELECT make('shown', $q$SELECT backstream.hop(t, '5 s', '15 s') AS time, count(*) AS c FROM $from GROUP BY 1$q$, '10 s', ', show = ''closed''');
SELECT make('few', $q$SELECT backstream.hop(t, '10 s', '40 s') AS time, x, count(*) AS c FROM $from GROUP BY 1, 2$q$, '30 s', ', retain = ''1 min''');

-- 20 minutes of records in 60 transactions; the times of each wander by a minute, of some by more, and some have none
INSERT INTO r SELECT i, CASE i % 97 WHEN 0 THEN NULL WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' ELSE
	timestamptz '2026-01-01 00:00Z' + i * interval '0.2 s' - hashint4(i) % 30 * interval '1 s'
	- CASE WHEN i % 50 = 0 THEN interval '3 min' ELSE '0' END END,
	CASE WHEN i % 11 > 0 THEN i % 7 END, hashint4(-i) % 50, CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN 'a' ELSE repeat('x', i % 5) END,
	CASE WHEN i % 8 > 0 THEN (i % 5)::numeric / 2 END, CASE WHEN i % 2 = 0 THEN '10.0.0.0'::inet + i % 300 ELSE '2001:db8::'::inet + i % 300 END
  FROM generate_series(1, 6000) i;
DO $$ BEGIN
	FOR part IN 0 .. 59 LOOP
		PERFORM win.feed(part * 100 + 1, part * 100 + 100);
		COMMIT;
	END LOOP;
END $$;
SELECT c.* FROM views v, compare(v.view) c WHERE v.view NOT IN ('shown', 'few') ORDER BY 1;
-- what was late, NULL or infinite is all that is missing
SELECT v.view, records + filtered = count(taken.id) FILTER (WHERE isfinite(t)) AS taken, late > 0 AS some_late,
	late + untimed + filtered + records = 6000 AS counted, untimed, windows > 100 AS many
  FROM views v JOIN backstream.views c ON c.view = v.view::regclass JOIN taken ON taken.view = v.view JOIN r USING (id)
 WHERE v.view NOT IN ('few', 'same') GROUP BY v.view, c.view, records, filtered, late, untimed, windows ORDER BY 1;

-- windows() and closed_before; a late record is late for all windows it would have been in
SELECT window_start, window_end, state, records, groups FROM backstream.windows('minutes') ORDER BY 1 DESC LIMIT 8;
SELECT bool_and(w.late = (SELECT count(*) FROM r WHERE t >= window_start AND t < window_end AND NOT EXISTS (SELECT FROM taken WHERE view = 'minutes' AND id = r.id))) AS late,
	bool_and(w.records = (SELECT count(*) FROM r JOIN taken USING (id) WHERE view = 'minutes' AND t >= window_start AND t < window_end)) AS records,
	bool_and((w.state = 'closed') = (window_start < closed_before)) AS closed, sum(w.late) > 0 AS some_late
  FROM backstream.windows('minutes') w, backstream.views v WHERE v.view = 'minutes'::regclass;
SELECT count(*) > 100 AS many, max(time) < closed_before AS closed,
	bool_and(c = (SELECT count(*) FROM r JOIN taken USING (id) WHERE taken.view = 'shown' AND t >= time AND t < time + interval '15 s')) AS same
  FROM shown, backstream.views v WHERE v.view = 'shown'::regclass GROUP BY closed_before;
-- retention: whole windows go, from the oldest on; what is left of the first ones' panes is not shown
SELECT min(time) >= closed_before - interval '1 min' AS kept, min(time) <= closed_before - interval '50 s' AS not_less,
	bool_and(c = (SELECT count(*) FROM r JOIN taken USING (id) WHERE taken.view = 'few' AND t >= time AND t < time + interval '40 s' AND r.x IS NOT DISTINCT FROM few.x)) AS same
  FROM few, backstream.views v WHERE v.view = 'few'::regclass GROUP BY closed_before;

-- newest closed, and a span: no record twice
SELECT time = (SELECT max(window_start) FROM backstream.windows('minutes') WHERE state = 'closed') AS newest, sum(c) = (SELECT sum(c) FROM minutes m WHERE m.time = l.time) AS same
  FROM backstream.latest(NULL::minutes) l GROUP BY time;
SELECT m.time, m.k, m.c, m.b, m.bs, m.c = q.c AND m.b = q.b AND m.bs = q.bs AS same
  FROM backstream.merged(NULL::minutes, '2026-01-01 00:05:03Z', '2026-01-01 00:07:00Z') m
  JOIN (SELECT k, count(*) AS c, sum(b) AS b, count(DISTINCT b) AS bs FROM r JOIN taken USING (id)
	WHERE view = 'minutes' AND t >= '2026-01-01 00:05:00Z' AND t < '2026-01-01 00:07:50Z' GROUP BY 1) q ON q.k IS NOT DISTINCT FROM m.k ORDER BY 2;
EXPLAIN (COSTS OFF) SELECT * FROM minutes WHERE time = '2026-01-01 00:05Z' AND k = 3;
SELECT k, c FROM minutes WHERE time = '2026-01-01 00:05Z' AND k = 3;

-- views over hopping windows, and hopping windows over a view
CREATE VIEW up WITH (continuous) AS SELECT time, count(*) AS ks, sum(c) AS c, max(bs) AS bs FROM minutes GROUP BY 1;
CREATE VIEW hops WITH (continuous) AS SELECT backstream.hop(time, '1 min', '3 min') AS time, k, sum(c) AS c FROM minutes GROUP BY 1, 2;
CREATE VIEW tumbled WITH (continuous) AS SELECT backstream.tumble(time, '2 min') AS at, count(*) AS n, max(time) AS last FROM minutes GROUP BY 1;
SELECT backstream.settle();
CREATE VIEW closed AS SELECT m.* FROM minutes m, backstream.views v WHERE v.view = 'minutes'::regclass AND time < closed_before;
CREATE VIEW r_up AS SELECT time, count(*) AS ks, sum(c) AS c, max(bs) AS bs FROM closed GROUP BY 1;
CREATE VIEW r_hops AS SELECT backstream.hop(time, '1 min', '3 min') AS time, k, sum(c) AS c FROM closed GROUP BY 1, 2;
CREATE VIEW r_tumbled AS SELECT backstream.tumble(time, '2 min') AS at, count(*) AS n, max(time) AS last FROM closed GROUP BY 1;
SELECT count(*) FROM ((TABLE up EXCEPT ALL TABLE r_up) UNION ALL (TABLE r_up EXCEPT ALL TABLE up)) d;
SELECT count(*) FROM ((TABLE hops EXCEPT ALL TABLE r_hops) UNION ALL (TABLE r_hops EXCEPT ALL TABLE hops)) d;
SELECT count(*) FROM ((TABLE tumbled EXCEPT ALL TABLE r_tumbled) UNION ALL (TABLE r_tumbled EXCEPT ALL TABLE tumbled)) d;
SELECT window_start, window_end, state FROM backstream.windows('up') ORDER BY 1 DESC LIMIT 2;
SELECT window_start, window_end, state FROM backstream.windows('hops') ORDER BY 1 DESC LIMIT 4;
CREATE VIEW no WITH (continuous) AS SELECT backstream.hop(last, '1 min', '4 min'), count(*) FROM tumbled GROUP BY 1;

-- the text as it is stored
SELECT query FROM backstream.views WHERE view = 'odd'::regclass;

-- Rolling: as of now, which the records' own time says here, the records of (b - window, b].
CREATE VIEW last WITH (continuous, window = '1 min', slide = '10 s', time_column = 't', clock = 'data') AS
SELECT k, count(*) AS c, sum(b) AS b, count(DISTINCT x) AS xs, max(ip) AS ip, var_pop(n) AS n FROM s WHERE b > 5 GROUP BY k HAVING count(*) > 1;
CREATE VIEW fine WITH (continuous, window = '25 s', slide = '10 s', time_column = 't', clock = 'data') AS SELECT count(*) AS c, sum(b) AS b, min(t) AS first, max(t) AS last FROM s;
CREATE VIEW keyed WITH (continuous, window = '90 s', slide = '1 min', time_column = 't', clock = 'data') AS
SELECT date_trunc('minute', t) AS minute, count(*) AS c FROM s GROUP BY 1;
TABLE last; TABLE fine;
SELECT * FROM backstream.windows('fine');
CREATE TABLE came (LIKE s);
CREATE FUNCTION b(slide interval) RETURNS timestamptz LANGUAGE sql AS $$ SELECT date_bin(slide, max(t), '2000-01-01 00:00Z') FROM came WHERE isfinite(t) $$;
CREATE VIEW r_last AS SELECT k, count(*) AS c, sum(b) AS b, count(DISTINCT x) AS xs, max(ip) AS ip, var_pop(n) AS n FROM came
 WHERE b > 5 AND t > b('10 s') - interval '1 min' AND t <= b('10 s') GROUP BY k HAVING count(*) > 1;
CREATE VIEW r_fine AS SELECT count(*) AS c, sum(b) AS b, min(t) AS first, max(t) AS last FROM came WHERE t > b('10 s') - interval '25 s' AND t <= b('10 s');
CREATE VIEW r_keyed AS SELECT date_trunc('minute', t) AS minute, count(*) AS c FROM came WHERE t > b('1 min') - interval '90 s' AND t <= b('1 min') GROUP BY 1;
CREATE TABLE found (part int, rows bigint, differences bigint);
-- a few seconds late, or hours; and exactly on the edge of a pane
INSERT INTO r SELECT id + 10000, date_trunc('second', t), k, b, x, n, ip FROM r WHERE id % 20 = 0 AND id <= 2000;
UPDATE r SET id = id - 8000 WHERE id > 10000;
DO $$ BEGIN
	FOR part IN 0 .. 39 LOOP
		INSERT INTO win.s SELECT * FROM win.r WHERE id BETWEEN part * 50 + 1 AND part * 50 + 50;
		INSERT INTO win.came SELECT * FROM win.r WHERE id BETWEEN part * 50 + 1 AND part * 50 + 50;
		COMMIT;
		INSERT INTO win.found SELECT part, (SELECT count(*) FROM win.last), count(*) FROM (
			((TABLE win.last EXCEPT ALL TABLE win.r_last) UNION ALL (TABLE win.r_last EXCEPT ALL TABLE win.last))) d;
		INSERT INTO win.found SELECT part, 1, count(*) FROM (
			((TABLE win.fine EXCEPT ALL TABLE win.r_fine) UNION ALL (TABLE win.r_fine EXCEPT ALL TABLE win.fine))) d;
		INSERT INTO win.found SELECT part, 1, count(*) FROM (
			((TABLE win.keyed EXCEPT ALL TABLE win.r_keyed) UNION ALL (TABLE win.r_keyed EXCEPT ALL TABLE win.keyed))) d;
	END LOOP;
END $$;
SELECT count(*), sum(rows) > 200 AS some, sum(differences) AS differences FROM found;
SELECT window_start, window_end, window_end - window_start AS width, state, records > 0 AS some, window_end = b('10 s') AS now FROM backstream.windows('fine');
SELECT late > 0 AS some_late, closed_before, windows, records + late + untimed = received AS counted FROM backstream.views WHERE view = 'fine'::regclass;
-- what is past decays without input; here the clock is moved by a record that WHERE leaves out
INSERT INTO s (t, b) VALUES ('2026-01-01 01:00Z', 1);
TABLE last;
SELECT c, b FROM fine;
-- names and columns are followed
ALTER FOREIGN TABLE s RENAME COLUMN t TO at;
SELECT ftoptions[array_position(ftoptions, 'time_column=at')] FROM pg_foreign_table WHERE ftrelid = 'last'::regclass;
INSERT INTO s (at, k, b) SELECT '2026-01-01 01:00Z', 1, 7 FROM generate_series(1, 3);
SELECT k, c, b FROM last;
ALTER FOREIGN TABLE s DROP COLUMN at;
ALTER FOREIGN TABLE s ALTER COLUMN at TYPE text;
-- by the wall clock
CREATE FOREIGN TABLE w (time_received timestamptz, v int) SERVER backstream;
CREATE VIEW now WITH (continuous, window = '1 hour', slide = '1 ms', time_column = 'time_received') AS SELECT count(*) AS c, sum(v) AS v FROM w;
CREATE VIEW now WITH (continuous, window = '1 hour', slide = '1 s', time_column = 'time_received') AS SELECT count(*) AS c, sum(v) AS v FROM w;
TABLE now;
INSERT INTO w SELECT now() - i * interval '10 min' - interval '5 min', i FROM generate_series(-1, 9) i;
TABLE now;
SELECT window_end - window_start AS width, window_end BETWEEN now() - interval '1 s' AND now() AS now, state FROM backstream.windows('now');
SELECT future FROM backstream.views WHERE view = 'now'::regclass;

-- what does not go together
CREATE VIEW no WITH (continuous, window = '1 min') AS SELECT count(*) FROM s;
CREATE VIEW no WITH (continuous, slide = '1 min') AS SELECT count(*) FROM s;
CREATE VIEW no WITH (continuous, window = '1 min', slide = '2 min', time_column = 'at') AS SELECT count(*) FROM s;
CREATE VIEW no WITH (continuous, window = '1 min', slide = '1 s') AS SELECT count(*) FROM s;
CREATE VIEW no WITH (continuous, window = '1 min', slide = '1 s', time_column = 'nothing') AS SELECT count(*) FROM s;
CREATE VIEW no WITH (continuous, window = '1 min', slide = '1 s', time_column = 'k') AS SELECT count(*) FROM s;
CREATE VIEW no WITH (continuous, window = '1 day', slide = '1 s', time_column = 'at') AS SELECT count(*) FROM s;
CREATE VIEW no WITH (continuous, window = '1 min', slide = '1 s', time_column = 'at', retain = '1 min') AS SELECT count(*) FROM s;
CREATE VIEW no WITH (continuous, window = '1 min', slide = '1 s', time_column = 'at', show = 'closed') AS SELECT count(*) FROM s;
CREATE VIEW no WITH (continuous, window = '1 min', slide = '1 s', time_column = 'at') AS SELECT backstream.tumble(at, '1 s'), count(*) FROM s GROUP BY 1;
CREATE VIEW no WITH (continuous, window = '1 min', slide = '1 s', time_column = 'at') AS SELECT backstream.hop(at, '1 s', '2 s'), count(*) FROM s GROUP BY 1;
CREATE VIEW no WITH (continuous, window = '1 min', slide = '1 s') AS SELECT count(*) FROM minutes;
CREATE VIEW no WITH (continuous) AS SELECT count(*) FROM last;
ALTER VIEW last SET (lateness = '1 s');
ALTER VIEW last SET (window = '1 s');
SELECT count(*) FROM backstream.merged(NULL::last, NULL, NULL);
DROP SCHEMA win CASCADE;
