# SPDX-License-Identifier: PostgreSQL
# Restarts and crashes of views that were replaced: windows of older definitions stay, with NULL in the columns that they had
# not; a definition that waits to take over goes on counting the window that it waits for.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = backstream_node('replaced',
	conf => "backstream.checkpoint_interval = '1h'\nbackstream.max_views = 12\nbackstream.workers = 2\nstatement_timeout = '60s'\n");
my $folder = $node->data_dir . '/pg_backstream';
$node->start;

sub query { return $node->safe_psql('postgres', "SET TimeZone = 'UTC'; SET client_min_messages = warning; $_[0]") }

sub files { return sort grep { !/^\.\.?$/ } slurp_dir($folder) }

query(<<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (t timestamptz, k int, name text, n bigint, f float8, ip inet, amount numeric) SERVER backstream;
CREATE TABLE r (t timestamptz, k int, name text, n bigint, f float8, ip inet, amount numeric);
CREATE PROCEDURE feed(first int, last int) LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE fresh ON COMMIT DROP AS
	  SELECT '2026-01-01 00:00+00'::timestamptz + i * interval '100 ms' AS t, i % 5 AS k, CASE WHEN i % 7 > 0 THEN 'name ' || i % 7 END AS name,
	         i * 7919 % 1000 AS n, i / 8.0 AS f, ('10.0.0.' || i % 11)::inet AS ip, i / 100.0 AS amount FROM generate_series(first, last) i;
	INSERT INTO r SELECT * FROM fresh;
	INSERT INTO s SELECT * FROM fresh;
END $$;
SQL

my $with = "WITH (continuous, clock = 'data', lateness = '0', idle = '1 hour', retain = '10 days')";
my $window = "backstream.tumble(t, '10 s')";
my @columns = ("$window AS time", 'k', 'name', 'count(*) AS records', 'sum(n) AS n');

# CREATE OR REPLACE with columns; keys in whatever order.
sub replace
{
	my ($keys, @more) = @_;
	push @columns, @more;
	query("CREATE OR REPLACE VIEW v $with AS SELECT " . join(', ', @columns) . " FROM s WHERE k <> 4 GROUP BY $keys");
}

sub shown
{
	my %shown = (
		rows => query('SELECT v::text FROM v ORDER BY v::text COLLATE "C"'),
		windows => query("SELECT window_start, window_end, groups, records, late, overflowed, errors, distinct_left_out FROM backstream.windows('v') ORDER BY 1"),
		counters => query("SELECT received, filtered, late, records, closed_before, since, kept_since, since > kept_since FROM backstream.views WHERE view = 'v'::regclass"),
		above => query('SELECT up::text FROM up ORDER BY up::text'),
		merged => query("SELECT m::text FROM backstream.merged(NULL::v, NULL, NULL) m ORDER BY m::text COLLATE \"C\""));
	return \%shown;
}

sub same
{
	my ($what, $before) = @_;
	my $after = shown();
	is($after->{$_}, $before->{$_}, "$what: $_") for sort keys %$before;
}

# What all definitions have in common is that of the table, in every window.
sub oracle
{
	my ($what) = @_;
	query('SELECT backstream.settle()');
	is(differences($node, 'SELECT time, k, name, records, n FROM v', "SELECT $window, k, name, count(*), sum(n) FROM r WHERE k <> 4 GROUP BY 1, 2, 3"),
		0, "$what: the windows of all definitions are those of the table");
	is(differences($node, 'up', "SELECT $window, sum(n), count(*) FROM (SELECT $window AS w, k, name, sum(n) AS n, min(t) AS t FROM r WHERE k <> 4 GROUP BY 1, 2, 3) g
		WHERE t < (SELECT closed_before FROM backstream.views WHERE view = 'v'::regclass) GROUP BY 1"), 0, "$what: so is the view over it");
}

# What a definition has counted alone, from one window on.
sub exact
{
	my ($what, $from) = @_;
	is(differences($node, "SELECT * FROM v WHERE time >= '$from'", 'SELECT ' . join(', ', @columns) . " FROM r WHERE k <> 4 AND t >= '$from' GROUP BY 1, k, name"),
		0, "$what: the last definition alone is exact");
}

sub now { return query('SELECT clock_timestamp()') }

# Something is written that was begun after this moment.
sub written
{
	my $now = $_[0] // now();
	return $node->poll_query_until('postgres', "SELECT last_written - write_time > '$now' FROM backstream.checkpoint");
}

# ---------- a chain of definitions

replace('1, 2, 3');
query("CREATE VIEW up WITH (continuous, retain = '10 days') AS SELECT time, sum(n) AS n, count(*) AS groups FROM v GROUP BY 1");
query('CALL feed(0, 1249)');
replace('name, k, 1', 'count(DISTINCT ip) AS ips', 'max(name) AS last', 'avg(amount) AS mean');
query('CALL feed(1250, 2449)');
replace('1, 2, 3', 'stddev(n) AS deviation', 'sum(DISTINCT n) AS ns', 'backstream.approx_count_distinct(n) AS about', 'min(ip) AS low', 'upper(name) AS name_shown');
query('CALL feed(2450, 3349)');
oracle('before');
is(query('SELECT count(*) = count(n), count(ips) BETWEEN 1 AND count(*) - 1, count(deviation) BETWEEN 1 AND count(ips) - 1 FROM v'), 't|t|t', 'columns that the older definitions had not are NULL');
my $before = shown();
like($before->{counters}, qr/\|t$/, 'it goes on from what is older');

for my $round (1, 2)
{
	$node->restart;
	same("restart $round", $before);
	oracle("restart $round");
}
is(join(' ', grep { !/^(exporters|outages|\d+\.(state|\d+))$/ } files()), '', 'nothing half done is there');
is(scalar(grep { /state$/ } files()), 2, 'one state for each view');

# It goes on; and is replaced on top of what has come back.
query('CALL feed(3350, 4149)');
oracle('went on');
exact('went on', '2026-01-01 00:04:10+00');
replace('k, 3, 1', 'bit_or(k) AS bits', 'count(DISTINCT name) AS names');
is(query('SELECT count(*) > 0 AND count(bits) = 0 FROM v'), 't', 'replaced after a restart: nothing has gone');
query('CALL feed(4150, 4949)');
oracle('replaced again');
exact('replaced again', '2026-01-01 00:07:00+00');
$before = shown();
$node->restart;
same('restarted again', $before);
exact('restarted again', '2026-01-01 00:07:00+00');

# ---------- crashes

# Long before its time.
query('CALL feed(4950, 5249)');
my $moment = now();
replace('1, 2, 3', 'max(f) AS f');
ok(written($moment), 'a view that was replaced is written at once');
query('CALL feed(5250, 5449)');
$before = query("SELECT v::text FROM v WHERE time < '2026-01-01 00:08:40+00' ORDER BY v::text COLLATE \"C\"");
my $kept = query("SELECT kept_since FROM backstream.views WHERE view = 'v'::regclass");
crash_node($node);
is(query("SELECT v::text FROM v WHERE time < '2026-01-01 00:08:40+00' ORDER BY v::text COLLATE \"C\""), $before, 'kill -9: older windows, NULL where they were');
is(query("SELECT kept_since FROM backstream.views WHERE view = 'v'::regclass"), $kept, 'since when');
query('CREATE TABLE lost AS TABLE r; TRUNCATE r; INSERT INTO r SELECT * FROM lost WHERE t < \'2026-01-01 00:08:45+00\'');
oracle('kill -9');

# Closed windows are written once, all else now and then.
$node->append_conf('postgresql.conf', "backstream.checkpoint_interval = '1s'\n");
$node->reload;
query('CALL feed(5250, 5849)');
query('SELECT backstream.settle()');
ok(written() && written(), 'it is written as time goes by');
$before = shown();
crash_node($node);
same('kill -9 again', $before);
oracle('kill -9 again');
$node->append_conf('postgresql.conf', "backstream.checkpoint_interval = '1h'\n");
$node->reload;

# ---------- what is past retention goes, and its files

query("ALTER VIEW v SET (retain = '1 min')");
query("ALTER VIEW up SET (retain = '1 min')");
query("INSERT INTO s VALUES ('2026-01-01 01:00:00+00', 1, 'x', 1, 1, NULL, 1), ('2026-01-01 01:00:10+00', 1, 'x', 1, 1, NULL, 1), ('2026-01-01 01:02:10+00', 1, 'x', 1, 1, NULL, 1)");
query('SELECT backstream.settle()');
ok($node->poll_query_until('postgres', "SELECT kept_since IS NULL FROM backstream.views WHERE view = 'v'::regclass"), 'retention empties what came back');
$before = shown();
$node->restart;
same('past retention', $before);
query('DROP VIEW v CASCADE');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_ls_dir('pg_backstream') f WHERE f NOT IN ('exporters', 'outages')"), 'files of dropped views go');

# ---------- a definition that waits

query('TRUNCATE r');
query("CREATE VIEW w $with AS SELECT $window AS time, k, count(*) AS n FROM s GROUP BY 1, 2");
query('CALL feed(0, 449)');
query("CREATE OR REPLACE VIEW w $with AS SELECT $window AS time, k, count(*) AS n, sum(n) AS sum, count(DISTINCT ip) AS ips FROM s WHERE k > 1 GROUP BY 1, 2");
ok($node->poll_query_until('postgres', "SELECT next_until IS NOT NULL FROM backstream.views WHERE view = 'w'::regclass"), 'one waits');
query('CALL feed(450, 549)');
my $next = query("SELECT next_since, next_until FROM backstream.views WHERE view = 'w'::regclass");
my $old = query('SELECT w::text FROM w ORDER BY w::text');
$node->restart;
is(query("SELECT next_since, next_until FROM backstream.views WHERE view = 'w'::regclass"), $next, 'it waits for the same window after a restart');
is(query('SELECT w::text FROM w ORDER BY w::text'), $old, 'the old one is shown');
ok((grep { /^\d+\.next\.state$/ } files()), 'it has files of its own');
query('CALL feed(550, 699)');
ok($node->poll_query_until('postgres', "SELECT next_query IS NULL AND next_since IS NULL FROM backstream.views WHERE view = 'w'::regclass"), 'it takes over');
my $whole = "SELECT $window AS time, k, count(*) AS n, sum(n) AS sum, count(DISTINCT ip) AS ips FROM r WHERE k > 1 AND t >= '2026-01-01 00:00:50+00' GROUP BY 1, 2";
is(differences($node, 'w', $whole), 0, 'with a full window, of which a part came before the restart');
$node->restart;
is(differences($node, 'w', $whole), 0, 'and it stays after one more');
is(join(' ', grep { /next/ } files()), '', 'under its own name');

# One that has taken over, and was never written as what is shown.
$node->append_conf('postgresql.conf', "backstream.checkpoint_interval = '0'\n");
$node->reload;
query("CREATE OR REPLACE VIEW w $with AS SELECT $window AS time, k, count(*) AS n, sum(n) AS sum, count(DISTINCT ip) AS ips FROM s WHERE k > 2 GROUP BY 1, 2");
query('CALL feed(700, 749)');
$node->restart;
is(query("SELECT next_query IS NOT NULL FROM backstream.views WHERE view = 'w'::regclass"), 't', 'another waits');
query("SELECT backstream.take_over('w')");
crash_node($node);
my $taken = "SELECT $window AS time, k, count(*) AS n, sum(n) AS sum, count(DISTINCT ip) AS ips FROM r WHERE k > 2 AND t >= '2026-01-01 00:01:10+00' GROUP BY 1, 2";
is(differences($node, 'w', $taken), 0, 'killed after it has taken over: what it had counted is there');
$node->restart;
is(differences($node, 'w', $taken), 0, 'and is written as what is shown');
is(join(' ', grep { /next/ } files()), '', 'under that name');

# Killed after it was replaced, and before it was written again.
query("CREATE VIEW z $with AS SELECT $window AS time, k, count(*) AS n FROM s WHERE k > 2 GROUP BY 1, 2");
query("CREATE VIEW changed $with AS SELECT $window AS time, k, count(*) AS n FROM s GROUP BY 1, 2");
query("INSERT INTO s SELECT * FROM r WHERE t < '2026-01-01 00:00:45+00' ORDER BY t");
$node->restart;
query("CREATE OR REPLACE VIEW z $with AS SELECT $window AS time, k, count(*) AS n, max(k) AS most FROM s WHERE k > 2 GROUP BY 2, 1");
query("CREATE OR REPLACE VIEW changed " . ($with =~ s/\)/, take_over = 'now')/r) . " AS SELECT $window AS time, k, count(*) AS n FROM s WHERE k > 0 GROUP BY 1, 2");
# The text that z was written under says the old name.
query('ALTER FOREIGN TABLE s RENAME COLUMN k TO key');
query("INSERT INTO s VALUES ('2026-01-01 00:00:46+00', 3, 'lost', 1)");
crash_node($node);
query('ALTER FOREIGN TABLE s RENAME COLUMN key TO k');
is(query('SELECT count(*) FROM changed'), 0, 'replaced by something else, killed: it begins anew');
is(query('SELECT count(*) FROM z'), 0, 'its definition cannot be read any more: it begins anew');
like(slurp_file($node->logfile), qr/under which continuous view "z" was counted before the restart cannot be read any more: column "k" does not exist/, 'and the log says why');
query('DROP VIEW z; DROP VIEW changed');
query("CREATE VIEW y $with AS SELECT $window AS time, k, count(*) AS n, count(DISTINCT name) AS names FROM s WHERE k > 2 GROUP BY 1, 2");
query("INSERT INTO s SELECT * FROM r WHERE t < '2026-01-01 00:00:45+00' ORDER BY t");
$node->restart;
my $last = query('SELECT y::text FROM y ORDER BY y::text');
isnt($last, '', 'windows are written');
query("CREATE OR REPLACE VIEW y $with AS SELECT $window AS time, k, count(*) AS n, count(DISTINCT name) AS names, stddev(f) AS deviation, max(ip) AS ip FROM s WHERE k > 2 GROUP BY 2, 1");
query("INSERT INTO s VALUES ('2026-01-01 00:00:46+00', 3, 'lost', 1)");
crash_node($node);
is(query('SELECT row(time, k, n, names)::text FROM y ORDER BY 1'), $last, 'goes on from an older one, killed: its windows are there');
is(query('SELECT count(deviation) FROM y'), 0, 'with NULL where they were');
query("INSERT INTO s VALUES ('2026-01-01 00:00:46+00', 3, 'more', 1, 2, '10.0.0.1'), ('2026-01-01 00:00:56+00', 3, 'more', 1, 2, '10.0.0.1')");
$last = query('SELECT y::text FROM y ORDER BY y::text');
like($last, qr/10\.0\.0\.1/, 'and it counts on');
$node->restart;
is(query('SELECT y::text FROM y ORDER BY y::text'), $last, 'as is written');
query('DROP VIEW y');

# Replaced by what goes on: nothing waits, nor is there anything of it.
query("CREATE OR REPLACE VIEW w $with AS SELECT $window AS time, k, count(*) AS n, sum(n) AS sum, count(DISTINCT ip) AS ips FROM s WHERE k > 3 GROUP BY 1, 2");
query('CALL feed(750, 759)');
$node->restart;
ok((grep { /next/ } files()), 'one waits once more');
query("CREATE OR REPLACE VIEW w $with AS SELECT $window AS time, k, count(*) AS n, sum(n) AS sum, count(DISTINCT ip) AS ips, max(n) AS most FROM s WHERE k > 2 GROUP BY 1, 2");
query('CALL feed(760, 779)');
$node->restart;
is(join(' ', grep { /next/ } files()), '', 'it is forgotten');
is(differences($node, 'SELECT time, k, n, sum, ips FROM w', $taken), 0, 'and what is shown went on');
is(query("SELECT time, count(*) FILTER (WHERE most IS NOT NULL) FROM w GROUP BY 1 ORDER BY 1"), '2026-01-01 00:01:10+00|0', 'NULL in the window of the change');

# ---------- no room for what was there

query("CREATE OR REPLACE VIEW w $with AS SELECT $window AS time, k, count(*) AS n, sum(n) AS sum, count(DISTINCT ip) AS ips, max(n) AS most, min(n) AS least FROM s WHERE k > 2 GROUP BY 1, 2");
query('CALL feed(800, 899)');
$node->stop;
$node->append_conf('postgresql.conf', "backstream.max_views = 1\n");
my $offset = -s $node->logfile;
$node->start;
is(query('SELECT count(*) FROM w WHERE time >= \'2026-01-01 00:01:20+00\''), 2, 'fewer slots: what there is room for is taken up');
is(scalar(() = substr(slurp_file($node->logfile), $offset) =~ /windows of continuous view "w" that were counted under an earlier definition are not taken up: no slot is free/g),
	1, 'the log says what is not');
unlike(slurp_file($node->logfile), qr/PANIC:|TRAP:|signal 11|signal 6/, 'nothing crashed by itself');
$node->stop;
done_testing();
