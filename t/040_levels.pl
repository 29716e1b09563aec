# SPDX-License-Identifier: PostgreSQL
# Views over views under traffic of several writers, with a keeper that is ended again and again: every
# window below is added above once.  Windows past retention wait for the views above, within a bound.  And a
# dump of several levels restores.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $port = free_port();
my $node = backstream_node('levels',
	conf => "backstream.listen = '127.0.0.1:$port'\nbackstream.workers = 2\nbackstream.receive_buffer = '4MB'\n"
	  . "backstream.memory = '128MB'\nstatement_timeout = '60s'\n");
$node->start;

sub query { return $node->safe_psql('postgres', $_[0]) }

# Rows of one that the other has not.
sub differ
{
	my ($one, $other) = @_;
	return query("SELECT count(*) FROM ((($one) EXCEPT ALL ($other)) UNION ALL (($other) EXCEPT ALL ($one))) d");
}

my $nended = 0;

# The next keeper is there within two seconds.
sub end_keeper
{
	my ($status, $out) = $node->psql('postgres',
		q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'backstream keeper'});
	$nended++ if ($out // '') eq 't';
}

query(<<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (t timestamptz, a int, b int) SERVER backstream;
CREATE TABLE r (LIKE s);

-- names that sort against the order in which they must be restored
CREATE VIEW zz_pairs WITH (continuous) AS
  SELECT tumble(time_received, '250 ms') AS time, src_addr, dst_port, count(*) AS flows, sum(bytes) AS bytes
    FROM backstream.flow GROUP BY 1, 2, 3;
CREATE VIEW mm_fan WITH (continuous) AS
  SELECT time, src_addr, count(DISTINCT dst_port) AS ports, sum(flows) AS flows, sum(bytes) AS bytes
    FROM zz_pairs GROUP BY 1, 2;
CREATE VIEW aa_top WITH (continuous) AS
  SELECT tumble(time, '1 s') AS time, ports, count(*) AS hosts, sum(flows) AS flows FROM mm_fan GROUP BY 1, 2;
CREATE VIEW aa_total WITH (continuous) AS SELECT sum(flows) AS flows, sum(bytes) AS bytes, count(*) AS groups FROM zz_pairs;
CREATE VIEW bb_flows WITH (continuous) AS SELECT count(*) AS flows, sum(bytes) AS bytes FROM backstream.flow;

CREATE VIEW zz_counted WITH (continuous, clock = 'data', lateness = '0', retain = '10 s') AS
  SELECT tumble(t, '1 s') AS time, a, count(*) AS n, count(DISTINCT b) AS bs FROM s GROUP BY 1, 2;
CREATE VIEW aa_counted WITH (continuous, retain = '30 days') AS
  SELECT time, count(*) AS groups, sum(n) AS n, sum(bs) AS bs FROM zz_counted GROUP BY 1;
SQL
$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM backstream.listeners WHERE state = 'open'});

# ---------- two receivers and a session that inserts ----------

my $sent = start_generate(target => "127.0.0.1:$port", version => 'mix', exporters => 6, count => 200000, rate => 50000);
my $inserted = 0;
for my $round (1 .. 40)
{
	query(qq{INSERT INTO backstream.flow (src_addr, dst_port, bytes) SELECT '192.0.2.0'::inet + i % 7, i % 300, i FROM generate_series(1, 1000) i});
	$inserted += 1000;
	end_keeper() if $round % 8 == 4;
	usleep(100_000);
}
my $totals = finish_generate($sent);
ok(wait_until(10, sub { query('SELECT flows FROM bb_flows') == $totals->{records} + $inserted }), 'everything has come');
cmp_ok($nended, '>=', 3, "the keeper was ended $nended times meanwhile");
ok(wait_until(10, sub { query(q{SELECT count(*) FROM backstream.windows('zz_pairs') WHERE state = 'open'}) eq '0' }), 'all windows have closed');
is(query('SELECT backstream.settle()'), 't', 'and have been read');
cmp_ok(query('SELECT count(DISTINCT time) FROM zz_pairs'), '>', 10, 'there were many');
cmp_ok(query('SELECT count(*) FROM mm_fan'), '>', 100, 'of many hosts');
is(query('SELECT flows, bytes FROM aa_total'), query('SELECT flows, bytes FROM bb_flows'), 'each record counts once above');
is(differ('TABLE mm_fan', 'SELECT time, src_addr, count(DISTINCT dst_port), sum(flows), sum(bytes) FROM zz_pairs GROUP BY 1, 2'), 0, 'the second level is the SELECT');
is(differ('TABLE aa_top', q{SELECT backstream.tumble(time, '1 s'), ports, count(*), sum(flows) FROM mm_fan GROUP BY 1, 2}), 0, 'the third level too');
is(query('SELECT groups FROM aa_total'), query('SELECT count(*) FROM zz_pairs'), 'so is what has no windows');
is(query(q{SELECT sum(late + future + untimed + overflowed + errors), sum(windows_missed) FROM backstream.views}), '0|0', 'nothing is missing');

# ---------- far more windows at once than retention keeps, and no peace for the keeper ----------

query(q{INSERT INTO r SELECT timestamptz '2026-01-01' + i % 6000 * interval '1 s', i % 11, i % 7 FROM generate_series(0, 59999) i});
my $count_before = $nended;
query('INSERT INTO s TABLE r ORDER BY t');
for (1 .. 6)
{
	usleep(300_000);
	end_keeper();
}
ok(wait_until(60, sub { query(q{SELECT backstream.settle('2 s')}) eq 't' }), 'thousands of windows are read');
cmp_ok($nended, '>', $count_before, 'by several keepers');
my $closed = q{(SELECT time, count(*) AS groups, sum(n) AS n, sum(bs)::numeric AS bs FROM (SELECT date_trunc('second', t) AS time, a, count(*) AS n, count(DISTINCT b) AS bs FROM r WHERE t < (SELECT closed_before FROM backstream.views WHERE view = 'zz_counted'::regclass) GROUP BY 1, 2) p GROUP BY 1)};
is(query('SELECT count(*) FROM aa_counted'), 5999, 'all of them');
is(differ('TABLE aa_counted', "SELECT * FROM $closed c"), 0, 'each once');
is(query(q{SELECT windows_missed FROM backstream.views WHERE view = 'aa_counted'::regclass}), 0, 'none was missed');
cmp_ok(query('SELECT count(DISTINCT time) FROM zz_counted'), '<=', 12, 'below they are gone');

# ---------- a lower view that cannot be read: retention waits, but not for ever ----------

query(q{ALTER SYSTEM SET backstream.level_wait = '1500ms'});
query('SELECT pg_reload_conf()');
my $inserting = $node->background_psql('postgres');
my $locking = $node->background_psql('postgres');
$inserting->query_safe(q{INSERT INTO s VALUES ('2026-01-01 02:00:00', 1, 1)});
is(query('SELECT backstream.settle()'), 't', 'read so far');
$locking->query_safe(q{BEGIN; ALTER VIEW zz_counted SET (show = 'all')});
$inserting->query_safe(q{INSERT INTO s SELECT timestamptz '2026-01-01 02:00:01' + i * interval '1 s', 1, 1 FROM generate_series(0, 99) i});
is(query(q{SELECT count(*) FROM backstream.views WHERE view = 'aa_counted'::regclass AND windows_missed = 0}), 1, 'nothing is missed at once');
ok(wait_until(10, sub { query(q{SELECT windows_missed FROM backstream.views WHERE view = 'aa_counted'::regclass}) > 0 }), 'after backstream.level_wait it is');
my $missed = query(q{SELECT windows_missed FROM backstream.views WHERE view = 'aa_counted'::regclass});
is($missed, 90, 'as many as retention drops');
is(query(q{SELECT windows FROM backstream.views WHERE view = 'zz_counted'::regclass}), 11, 'and the memory is given back');
$locking->query_safe('COMMIT');
is(query('SELECT backstream.settle()'), 't', 'it goes on when the lock is gone');
is(query(q{SELECT count(*) FROM aa_counted WHERE time >= '2026-01-01 02:00:00'}), 100 - $missed, 'with those that were kept');
$inserting->quit;
$locking->quit;
is(query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'backstream%' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)}), 0, 'the keeper keeps no transaction open');

# ---------- a dump ----------

my $file = $node->basedir . '/levels.sql';
$node->command_ok([ 'pg_dump', '-f', $file, '-d', $node->connstr('postgres') ], 'pg_dump');
my $second = backstream_node('restored');
$second->start;
$second->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $second->connstr('postgres') ], 'it restores');
$second->safe_psql('postgres', 'INSERT INTO s TABLE r');
is($second->safe_psql('postgres', 'SELECT backstream.settle()'), 't', 'what was restored counts');
is($second->safe_psql('postgres', 'SELECT count(*) FROM aa_counted'), 5999, 'on both levels');
$second->stop;

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|signal 6/, 'nothing crashed');
$node->stop;
done_testing();
