# SPDX-License-Identifier: PostgreSQL
# Closed windows in tables: each once, whatever is killed when; with the rights of the view's owner; tables that
# refuse, and are mended, while everybody else goes on; dumps.
use strict;
use warnings;
use BackStreamTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);

my $conf = "statement_timeout = '60s'\nrestart_after_crash = on\nbackstream.memory = '128MB'\n";
my $node = backstream_node('archive', conf => $conf);
$node->start;

sub query { return $node->safe_psql('postgres', $_[0]) }

# Rows of one that the other has not.
sub differ
{
	my ($one, $other) = @_;
	return query("SELECT count(*) FROM ((($one) EXCEPT ALL ($other)) UNION ALL (($other) EXCEPT ALL ($one))) d");
}

sub pid_of { return query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'backstream $_[0]'") }

sub shows
{
	my ($view, $pattern) = @_;
	my $found;
	for (1 .. 200)
	{
		$found = query("SELECT last_error FROM backstream.outputs WHERE view = '$view'::regclass AND output = 'archive'");
		last if $found =~ $pattern;
		usleep(50_000);
	}
	like($found, $pattern, "$view: the error is shown");
}

sub is_mended
{
	my ($view) = @_;
	ok($node->poll_query_until('postgres', "SELECT o.last_error IS NULL AND done_before = closed_before FROM backstream.outputs o JOIN backstream.views USING (view) WHERE view = '$view'::regclass AND output = 'archive'"), "$view: written when it is mended");
}

query(<<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (t timestamptz, a int, b text) SERVER backstream;
CREATE TABLE r (LIKE s);
CREATE FUNCTION sample(int, int, text DEFAULT NULL) RETURNS void LANGUAGE sql AS
  $$ INSERT INTO s VALUES (timestamptz '2026-01-01 00:00:00+00' + $1 * interval '1 s', $2, $3) $$;
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.15); RETURN NULL; END $$;
INSERT INTO r SELECT timestamptz '2026-01-01 00:00:00+00' + i % 8000 * interval '1 s', i % 11, 'b' || i % 7 FROM generate_series(0, 79999) i;
CREATE VIEW v WITH (continuous, clock = 'data', lateness = '0', retain = '30 days', archive = 'hist') AS
  SELECT tumble(t, '1 s') AS time, a, count(*) AS n, max(b) AS b FROM s GROUP BY 1, 2;
CREATE TRIGGER slow AFTER INSERT ON hist FOR EACH STATEMENT EXECUTE FUNCTION slow();
SQL
my $oracle = q{SELECT date_trunc('second', t) AS time, a, count(*) AS n, max(b) AS b FROM r WHERE t < '2026-01-01 02:13:19+00' GROUP BY 1, 2};

# ---------- the archiver ends, in an orderly way and not ----------

my $ended = 0;
my $partly = 0;
my $last = 0;

sub windows_written { return query('SELECT count(DISTINCT time) FROM hist') }

for my $round (1 .. 13)
{
	my $kill = $round <= 10;
	# After a crash the memory is empty: the sender begins anew.
	query('INSERT INTO s TABLE r ORDER BY t') if $round <= 11;
	# In half of the rounds something has been written since; then at any moment of the next INSERT.
	for (1 .. 100)
	{
		last if $round % 2 == 0 || windows_written() > $last;
		usleep(20_000);
	}
	usleep(10_000 + 37_000 * ($round % 5));
	my $pid = pid_of('archiver');
	$last = windows_written();
	$partly++ if $last > 0 && $last < 7999;
	$kill ? kill('KILL', $pid) : query("SELECT pg_terminate_backend($pid)");
	$ended++;
	usleep(100_000);
	$node->poll_query_until('postgres', qq{SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type IN ('backstream archiver', 'backstream keeper') AND pid <> $pid});
}
is($ended, 13, 'the archiver ended, ten times by kill -9');
cmp_ok($partly, '>=', 8, "$partly times with a part of the windows written");
$node->poll_query_until('postgres', q{SELECT archived_before >= '2026-01-01 02:13:19+00' FROM backstream.archived});
is(query('SELECT count(*) FROM hist'), query("SELECT count(*) FROM ($oracle) o"), 'as many rows as the SELECT over the table has');
is(differ('TABLE hist', $oracle), 0, 'each of them once');
is(query('SELECT windows, rows FROM backstream.archived'), query("SELECT count(DISTINCT time), count(*) FROM ($oracle) o"), 'and counted');
query('INSERT INTO s TABLE r ORDER BY t');
is(query(q{SELECT backstream.settle('20 s')}), 't', 'settled');
is(query('SELECT count(*) FROM hist'), query("SELECT count(*) FROM ($oracle) o"), 'what is sent again is not written again');

# a view that is dropped and made anew over the same table goes on where the old one was
query(q{DROP VIEW v; DROP TRIGGER slow ON hist;
CREATE VIEW v2 WITH (continuous, clock = 'data', lateness = '0', retain = '30 days', archive = 'hist') AS
  SELECT tumble(t, '1 s') AS time, a, count(*) AS n, max(b) AS b FROM s GROUP BY 1, 2});
query('INSERT INTO s TABLE r ORDER BY t');
query(q{SELECT sample(14000, 1), sample(14001, 1)});
is(query(q{SELECT backstream.settle('20 s')}), 't', 'settled');
is(query(q{SELECT count(*) FROM hist WHERE time < '2026-01-01 02:13:19+00'}), query("SELECT count(*) FROM ($oracle) o"), 'a view made anew writes nothing again');
is(query(q{SELECT count(*) FROM hist WHERE time > '2026-01-01 03:30:00+00'}), 1, 'and goes on');
is(query('SELECT view FROM backstream.archived'), 'v2', 'it has taken the mark over');
query(q{ALTER VIEW v2 SET (archive = 'elsewhere'); SELECT sample(14002, 1)});
is(query(q{SELECT backstream.settle('20 s')}), 't', 'settled');
is(query('SELECT count(*) FROM elsewhere'), 1, 'another table gets what the last one has not');
is(query('SELECT archive, view FROM backstream.archived ORDER BY 1'), "hist|\nelsewhere|v2", 'each table has its mark');

# ---------- whose rights ----------

query(<<'SQL');
CREATE ROLE alice; CREATE ROLE bob;
GRANT SELECT ON s TO alice; GRANT CREATE ON SCHEMA public TO alice; GRANT USAGE ON FOREIGN SERVER backstream TO alice;
SET ROLE alice;
CREATE VIEW mine WITH (continuous, clock = 'data', lateness = '0', archive = 'mine_hist') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM s GROUP BY 1, 2;
ALTER TABLE mine_hist ADD who text DEFAULT current_user, ADD at timestamptz NOT NULL DEFAULT clock_timestamp();
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.who = NEW.who || ',' || current_user; PERFORM set_config('work_mem', '77kB', false); RETURN NEW; END $$;
CREATE TRIGGER note BEFORE INSERT ON mine_hist FOR EACH ROW EXECUTE FUNCTION note();
CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO mine_later VALUES (current_user); RETURN NULL; END $$;
CREATE TABLE mine_later (who text);
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON mine_hist DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION later();
ALTER TABLE mine_hist ENABLE ROW LEVEL SECURITY; ALTER TABLE mine_hist FORCE ROW LEVEL SECURITY;
CREATE POLICY small ON mine_hist USING (true) WITH CHECK (a < 100);
SQL
query(q{SELECT sample(20000, 1), sample(20001, 2)});
is(query(q{SELECT backstream.settle('20 s')}), 't', 'settled');
is(query('SELECT who FROM mine_hist'), 'alice,alice', 'inserted as the owner of the view');
is(query('SELECT who FROM mine_later'), 'alice', 'what is deferred runs as the owner too');
is(query('SELECT relowner::regrole FROM pg_class WHERE relname = $$mine_hist$$'), 'alice', 'whose table it is');
query(q{SELECT sample(20001, 200), sample(20002, 3)});
shows('mine', qr/row-level security policy/);
query('ALTER POLICY small ON mine_hist WITH CHECK (true)');
is_mended('mine');
is(query(q{SELECT string_agg(a::text, ' ' ORDER BY time, a) FROM mine_hist}), '1 2 200', 'whole windows, in order');
query('ALTER TABLE mine_hist OWNER TO bob');
query(q{SELECT sample(20003, 4)});
shows('mine', qr/permission denied for table mine_hist/);
query('ALTER TABLE mine_hist OWNER TO alice');
is_mended('mine');
query('CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RESET ROLE; RETURN NEW; END $$');
query(q{SELECT sample(20004, 5)});
shows('mine', qr/within security-(restricted|definer)/);
query('DROP TRIGGER note ON mine_hist');
is_mended('mine');
is(query(q{SELECT count(*) FROM mine_hist WHERE who !~ '^alice'}), 0, 'never as anybody else');
query('DROP VIEW mine');

# ---------- tables that keep one waiting: nobody else waits ----------

query(<<'SQL');
CREATE VIEW locked WITH (continuous, clock = 'data', lateness = '0', archive = 'locked_hist', notify = 'ch') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM s GROUP BY 1, 2;
CREATE VIEW free WITH (continuous, clock = 'data', lateness = '0', archive = 'free_hist') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM s GROUP BY 1, 2;
CREATE VIEW over_locked WITH (continuous) AS SELECT time, sum(n) AS n FROM locked GROUP BY 1;
SQL
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; LOCK TABLE locked_hist');
my $start = time;
query(q{SELECT sample(30000, 1), sample(30001, 1)});
is(query(q{SELECT count(*) FROM backstream.windows('locked') WHERE state = 'closed'}), 1, 'a locked archive: the window closes');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM free_hist'), 'others are written');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM over_locked'), 'views over it are fed');
ok($node->poll_query_until('postgres', q{SELECT rows = 1 FROM backstream.outputs WHERE output = 'notify'}), 'alerts are sent');
cmp_ok(time - $start, '<', 5, 'at once');
shows('locked', qr/waiting for a lock/);
$session->query_safe('COMMIT');
is_mended('locked');

query(q{ALTER SYSTEM SET backstream.archive_timeout = '300ms'});
query('SELECT pg_reload_conf()');
query('CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$; CREATE TRIGGER slow AFTER INSERT ON locked_hist FOR EACH STATEMENT EXECUTE FUNCTION slow()');
$start = time;
query(q{SELECT sample(30002, 1)});
shows('locked', qr/statement timeout/);
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM free_hist'), 'others are written');
cmp_ok(time - $start, '<', 5, 'soon');
query('DROP TRIGGER slow ON locked_hist');
is_mended('locked');
is(query('SELECT count(*), count(DISTINCT time) FROM locked_hist'), '2|2', 'each once');
$session->quit;

# retention waits, but not for ever; and what was lost is counted
query(q{ALTER SYSTEM SET backstream.level_wait = '700ms'});
query(q{SELECT pg_reload_conf()});
query(q{ALTER VIEW free SET (retain = '10 s'); ALTER TABLE free_hist ADD CHECK (a <> 1) NOT VALID});
query(q{INSERT INTO s SELECT timestamptz '2026-01-01 10:00:00+00' + i * interval '1 s', 1 FROM generate_series(0, 49) i});
shows('free', qr/check constraint/);
ok($node->poll_query_until('postgres', q{SELECT windows_missed > 0 FROM backstream.outputs WHERE view = 'free'::regclass}), 'after retain and level_wait windows are given up');
query(q{ALTER TABLE free_hist DROP CONSTRAINT free_hist_a_check});
is_mended('free');
is(query(q{SELECT windows_missed + (SELECT count(*) FROM free_hist WHERE time >= '2026-01-01 08:20:02+00') FROM backstream.outputs WHERE view = 'free'::regclass}), 50, 'missed and written are all');
query('DROP VIEW over_locked; DROP VIEW free; DROP VIEW locked');

# ---------- a partitioned table; rows that fail; columns that change ----------

query(<<'SQL');
CREATE TABLE parts (extra int, n bigint, a int, time timestamptz, d int) PARTITION BY RANGE (time);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-02 00:00:00+00') TO ('2026-01-02 00:01:00+00');
CREATE VIEW p WITH (continuous, clock = 'data', lateness = '0', archive = 'parts') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n, 10 / a AS d FROM s GROUP BY 1, 2;
SQL
query(q{SELECT sample(86400, 1), sample(86400, 0), sample(86459, 2), sample(86460, 3), sample(86461, 4)});
shows('p', qr/no partition of relation "parts" found/);
is(query('SELECT string_agg(a::text, $$ $$ ORDER BY time) FROM parts'), '1 2', 'what has a place is written') if $node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM parts');
query(q{CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2026-01-02 00:01:00+00') TO ('2026-01-03')});
is_mended('p');
is(query('SELECT a, n, d, extra FROM parts ORDER BY time'), "1|1|10|\n2|1|5|\n3|1|3|", 'by the names of columns');
is(query(q{SELECT rows_failed FROM backstream.outputs WHERE view = 'p'::regclass}), 1, 'a row that fails is left out and counted');
query('ALTER TABLE parts DROP COLUMN d; SELECT sample(86462, 5)');
shows('p', qr/column "d"/);
query('ALTER TABLE parts ADD d int');
is_mended('p');

# ---------- a dump ----------

my $before = query('SELECT count(*) FROM parts');
my $file = $node->basedir . '/archive.sql';
$node->command_ok([ 'pg_dump', '-f', $file, '-d', $node->connstr('postgres') ], 'pg_dump');
my $second = backstream_node('restored', conf => $conf);
$second->start;
$second->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $second->connstr('postgres') ], 'it restores') if $second->safe_psql('postgres', 'CREATE ROLE alice; CREATE ROLE bob; SELECT 1');
is($second->safe_psql('postgres', q{SELECT archive, view FROM backstream.archived ORDER BY archive::text}), "elsewhere|v2\nfree_hist|\nhist|\nlocked_hist|\nmine_hist|\nparts|p", 'with the marks');
$second->safe_psql('postgres', q{SELECT sample(86400, 1), sample(86462, 2), sample(86463, 7), sample(86464, 1)});
is($second->safe_psql('postgres', q{SELECT backstream.settle('20 s')}), 't', 'settled');
is($second->safe_psql('postgres', 'SELECT count(*) FROM parts'), $before + 2, 'what the dump has is not written again');
$second->stop;

is(query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'backstream%' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)}), 0, 'no transaction stays open');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|signal 6/, 'nothing crashed but what was killed');
$node->stop;
done_testing();
