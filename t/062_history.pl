# SPDX-License-Identifier: PostgreSQL
# backstream.history(): while windows go from memory into the archive each is there once, in every snapshot; conditions reach
# both sides; rights.  backstream.is_final().
use strict;
use warnings;
use BackStreamTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = backstream_node('history', conf => "statement_timeout = '20s'\n");
$node->start;

sub query { return $node->safe_psql('postgres', $_[0]) }

query(<<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (t timestamptz, a int) SERVER backstream;
CREATE TABLE r (LIKE s);
INSERT INTO r SELECT timestamptz '2026-01-01 00:00:00+00' + i % 8000 * interval '1 s', i % 7 FROM generate_series(0, 69999) i;
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.4); RETURN NULL; END $$;
CREATE VIEW v WITH (continuous, clock = 'data', lateness = '0', retain = '1 day', archive = 'hist') AS
  SELECT a, count(*) AS n, tumble(t, '1 s') AS time FROM s GROUP BY 3, 1;
SQL
query('CREATE TRIGGER slow AFTER INSERT ON hist FOR EACH STATEMENT EXECUTE FUNCTION slow()');
my $oracle = q{SELECT a, count(*) AS n, date_trunc('second', t) AS time FROM r GROUP BY 1, 3};
my $rows = query("SELECT count(*) FROM ($oracle) o");

# ---------- while it is written ----------

my $session = $node->background_psql('postgres');
query('INSERT INTO s TABLE r ORDER BY t');
my $old = q{SELECT count(*), count(DISTINCT (time, a)) FROM backstream.history(NULL::v)};
$session->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; $old");
my ($looks, $wrong, $partly) = (0, 0, 0);
while ($looks < 400)
{
	my ($live, $count, $distinct, $archived) = split /\|/, query("SELECT backstream.settle('0 s'), h.*, (SELECT count(*) FROM hist) FROM ($old) h");
	$looks++;
	$wrong++ if $count != $rows || $distinct != $rows;
	$partly++ if $archived > 0 && $live eq 'f';
	last if $live eq 't';
}
is($wrong, 0, "each window was there once in $looks looks");
cmp_ok($partly, '>', 1, "$partly times with some of them archived");
is(query('SELECT count(*) FROM hist'), query(q{SELECT count(*) FROM v WHERE time < (SELECT archived_before FROM backstream.archived)}), 'all closed windows are in the table');
is($session->query_safe($old), "$rows|$rows", 'an old snapshot reads from memory what it does not have in the table');
$session->query_safe('COMMIT');
is(query("SELECT count(*) FROM ((TABLE o EXCEPT ALL TABLE h) UNION ALL (TABLE h EXCEPT ALL TABLE o)) d")
  , 0, 'it is the SELECT over the table') if defined query("CREATE VIEW o AS $oracle; CREATE VIEW h AS SELECT * FROM backstream.history(NULL::v)");

# ---------- memory forgets ----------

query('DROP TRIGGER slow ON hist');
query(q{ALTER VIEW v SET (retain = '10 s')});
$session->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; $old");
query(q{INSERT INTO s VALUES ('2026-01-01 03:00:00+00', 1), ('2026-01-01 03:00:01+00', 1), ('2026-01-01 03:10:00+00', 1)});
is(query(q{SELECT backstream.settle('20 s')}), 't', 'settled');
is(query('SELECT count(*) FROM v'), 1, 'memory has the open window alone');
is(query($old), join('|', ($rows + 3) x 2), 'the history has all');
my ($status, $out, $err);
ok(!eval { $session->query_safe($old); 1 }, 'a snapshot that is too old does not answer');
like(slurp_file($node->logfile), qr/archived and dropped since the snapshot was taken/, 'but says so');
eval { $session->quit };

# ---------- plans ----------

query('ANALYZE hist');
my $plan = query(q{EXPLAIN (COSTS OFF) SELECT * FROM backstream.history(NULL::v) WHERE time >= '2026-01-01 02:13:00+00' AND a = 1});
like($plan, qr/Append.*Index Scan using hist_time_idx on hist.*Index Cond: .*time.*Foreign Scan on v.*Window Cond: .*time.* >= \$0.*time.*02:13:00.*Key Cond: \(v\.a = 1\)/s, 'conditions reach both sides');
$plan = query(q{EXPLAIN (COSTS OFF) SELECT * FROM h ORDER BY time DESC LIMIT 3});
like($plan, qr/Limit.*Merge Append.*Index Scan Backward using hist_time_idx/s, 'so does the order, through a view');
is(query(q{SELECT count(*) FROM backstream.history(NULL::v) WHERE time >= '2026-01-01 02:13:19+00'}), query(q{SELECT count(*) + 3 FROM o WHERE time >= '2026-01-01 02:13:19+00'}), 'and the answer is right');
is(query(q{PREPARE p (timestamptz) AS SELECT count(*) FROM backstream.history(NULL::v) WHERE time >= $1; EXECUTE p('2026-01-01 03:00:00+00'); EXECUTE p('2026-01-01 03:00:01+00'); EXECUTE p('2026-01-01 03:00:02+00')}), "3\n2\n1", 'prepared');
is(query('SELECT count(*) FROM (SELECT backstream.history(NULL::v)) x'), $rows + 3, 'in a select list');
is(query('SELECT count(*), max(ordinality) FROM backstream.history(NULL::v) WITH ORDINALITY'), join('|', ($rows + 3) x 2), 'with ordinality');
is(query(q{SELECT h FROM backstream.history(NULL::v) h ORDER BY h.time DESC LIMIT 1}), '(1,1,"2026-01-01 03:10:00+00")', 'as whole rows');
is(query(q{SELECT n FROM (VALUES ('2026-01-01 03:00:00+00'::timestamptz)) x (x), LATERAL (SELECT * FROM backstream.history(NULL::v) y WHERE y.time = x) z}), 1, 'in a lateral subquery');

# ---------- rights ----------

query('CREATE ROLE carol; GRANT SELECT ON v TO carol');
is(query('SET ROLE carol; SELECT count(*) FROM backstream.history(NULL::v)'), $rows + 3, 'who may read the view may read its history');
($status, $out, $err) = $node->psql('postgres', 'SET ROLE carol; SELECT count(*) FROM hist');
like($err, qr/permission denied for table hist/, 'not the table');
query('REVOKE SELECT ON v FROM carol');
($status, $out, $err) = $node->psql('postgres', 'SET ROLE carol; SELECT count(*) FROM backstream.history(NULL::v)');
like($err, qr/permission denied for foreign table v/, 'and nobody else');
query('CREATE VIEW n WITH (continuous) AS SELECT count(*) AS n FROM s');
is(query('SELECT count(*) FROM backstream.history(NULL::n)'), 1, 'a view without archive');
($status, $out, $err) = $node->psql('postgres', 'SELECT * FROM backstream.history(NULL::r)');
like($err, qr/"r" is not a continuous view/, 'another type');

# ---------- is_final() ----------

is(query(q{SELECT backstream.is_final('v', '2026-01-01 03:09:59.9+00'), backstream.is_final('v', '2026-01-01 03:10:00+00'), backstream.is_final('v', '2020-01-01'), backstream.is_final('v', 'infinity'), backstream.is_final('v', '-infinity'), backstream.is_final('v', NULL)}), 't|f|t|f|f|', 'is_final()');
query(q{CREATE VIEW hops WITH (continuous, clock = 'data', lateness = '0') AS SELECT hop(t, '1 s', '5 s') AS time, count(*) AS n FROM s GROUP BY 1; INSERT INTO s VALUES ('2026-01-01 04:00:00+00', 1), ('2026-01-01 04:00:05.5+00', 1)});
is(query(q{SELECT backstream.is_final('hops', '2026-01-01 04:00:00.5+00'), backstream.is_final('hops', '2026-01-01 04:00:01+00')}), 't|f', 'of hopping windows: all that the time falls into');
query(q{INSERT INTO s VALUES ('2026-01-01 04:00:00.7+00', 1)});
is(query(q{SELECT late FROM backstream.views WHERE view = 'hops'::regclass}), 1, 'nothing is added to it');
for my $case ([ 'n', qr/no windows that close/ ], [ 'r', qr/not a continuous view/ ])
{
	($status, $out, $err) = $node->psql('postgres', "SELECT backstream.is_final('$case->[0]', now())");
	like($err, $case->[1], "is_final of $case->[0]");
}
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|signal 6/, 'nothing crashed');
$node->stop;
done_testing();
