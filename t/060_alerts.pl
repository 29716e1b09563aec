# SPDX-License-Identifier: PostgreSQL
# Notifications of closed windows: each row once, limits, rows that are too long, groups that enter and
# clear, also over silent windows and when the keeper ends; errors that are shown and mended.
use strict;
use warnings;
use BackStreamTest;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = backstream_node('alerts', conf => "statement_timeout = '60s'\nwal_level = replica\nmax_wal_senders = 2\n");
$node->start;

sub query { return $node->safe_psql('postgres', $_[0]) }

# A session that listens; got() are the payloads since the last call, in order.
my ($in, $out, $err) = ('', '', '');
my $listener = IPC::Run::start([ 'psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
my $marks = 0;

sub got
{
	my $mark = 'mark ' . ++$marks;

	is(query(q{SELECT backstream.settle('20 s')}), 't', 'settled');
	# psql looks for notifications after each statement, and shows them after its result.
	$in .= "SELECT 1;\nSELECT '$mark';\n";
	$listener->pump until $out =~ /^$mark$/m;
	my @payloads = $out =~ /Asynchronous notification "[^"]+" with payload "(.*)" received/g;
	$out = '';
	return map { JSON::PP->new->utf8->decode($_) } @payloads;
}

sub brief
{
	return join ' ', map { my $p = $_; join(':', $p->{kind}, substr($p->{time}, 14, 5), map { $p->{row}{$_} // 'null' } grep { $_ ne 'time' } sort keys %{ $p->{row} // {} }) } @_;
}

query(<<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (t timestamptz, a int, b text) SERVER backstream;
CREATE TABLE r (LIKE s);
CREATE FUNCTION sample(int, int, text DEFAULT NULL) RETURNS void LANGUAGE sql AS
  $$ INSERT INTO s VALUES (timestamptz '2026-01-01 00:00:00+00' + $1 * interval '1 s', $2, $3) $$;
SQL
$in = "LISTEN ch; LISTEN other; LISTEN \"Long Channel\";\n";
is(scalar got(), 0, 'listening');

# ---------- rows ----------

query(q{CREATE VIEW v WITH (continuous, clock = 'data', lateness = '0', notify = 'ch') AS
  SELECT tumble(t, '1 s') AS time, a, count(*) AS n, max(b) AS "B b" FROM s GROUP BY 1, 2 HAVING count(*) > 1});
query(q{SELECT sample(0, 1, 'x "y" é'), sample(0, 1, 'w'), sample(0, 2), sample(1, 3), sample(1, 3)});
my @got = got();
is(scalar @got, 1, 'one row of one closed window');
is_deeply($got[0], { kind => 'row', view => 'public.v', time => '2026-01-01T00:00:00+00:00', n => 1,
		row => { time => '2026-01-01T00:00:00+00:00', a => 1, n => 2, 'B b' => "x \"y\" \x{e9}" } }, 'as row_to_json has it');
query(q{SELECT sample(5, 9)});
@got = got();
is(brief(@got), 'row:00:01:null:3:2', 'the next window, once; HAVING holds');
query(q{INSERT INTO s SELECT timestamptz '2026-01-01 00:00:10+00', i % 250, NULL FROM generate_series(0, 499) i; SELECT sample(11, 0)});
@got = got();
is(scalar @got, 101, 'a hundred and a summary');
is_deeply($got[100], { kind => 'summary', view => 'public.v', time => '2026-01-01T00:00:10+00:00', rows => 250, sent => 100 }, 'which has the count');
is_deeply([ map { $_->{n} } @got[0 .. 99] ], [ 1 .. 100 ], 'they are numbered');
query(q{ALTER VIEW v SET (notify_limit = '0')});
query(q{SELECT sample(20, 1), sample(20, 1), sample(21, 1)});
is(brief(got()), 'summary:00:20', 'notify_limit 0: the summary alone');
query(q{ALTER VIEW v SET (notify_limit = '3', notify = 'Long Channel')});
query(q{INSERT INTO s SELECT timestamptz '2026-01-01 00:00:22+00', 1, repeat('x', 9000) FROM generate_series(1, 2); SELECT sample(23, 1)});
@got = got();
is_deeply($got[0], { kind => 'row', view => 'public.v', time => '2026-01-01T00:00:22+00:00', n => 1, cut => JSON::PP::true, row => { a => 1 } }, 'a row that is too long is cut to its keys');

# every row is there once, over many windows that close at once, and equals the table's
query(q{ALTER VIEW v SET (notify_limit = '10000')});
query(q{INSERT INTO r SELECT timestamptz '2026-01-01 01:00:00+00' + i % 500 * interval '1 s', i % 13, 'b' || i % 7 FROM generate_series(0, 19999) i; INSERT INTO s TABLE r ORDER BY t});
@got = got();
my $json = JSON::PP->new->canonical;
my @rows = sort map { $json->encode($_->{row}) } @got;
my @wanted = map { $json->encode(JSON::PP->new->utf8->decode($_)) } split /\n/,
  query(q{SET TimeZone = 'UTC'; SELECT row_to_json(x) FROM (SELECT date_trunc('second', t) AS time, a, count(*) AS n, max(b) AS "B b" FROM r WHERE t < '2026-01-01 01:08:19+00' GROUP BY 1, 2 HAVING count(*) > 1) x});
cmp_ok(scalar @wanted, '>', 6000, 'many rows');
is_deeply(\@rows, [ sort @wanted ], 'are those of the SELECT over the table');
is(query(q{SELECT output, target, windows_missed, rows_failed, last_error FROM backstream.outputs}), 'notify|Long Channel|0|0|', 'backstream.outputs');
query('DROP VIEW v');

# ---------- changes ----------

query(q{CREATE VIEW c WITH (continuous, clock = 'data', lateness = '0', notify = 'other', notify_on = 'change') AS
  SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM s GROUP BY 1, 2 HAVING count(*) > 1});
query(q{SELECT sample(7200, 1), sample(7200, 1), sample(7200, 2), sample(7200, 2), sample(7200, NULL), sample(7200, NULL), sample(7201, 1)});
is(join(' ', sort split / /, brief(got())), 'entered:00:00:1:2 entered:00:00:2:2 entered:00:00:null:2', 'groups enter, also NULL');
query(q{SELECT sample(7201, 1), sample(7201, 3), sample(7201, 3), sample(7201, NULL), sample(7201, NULL), sample(7202, 1)});
is(brief(got()), 'entered:00:01:3:2 cleared:00:01:2', 'one enters, one clears, others stay');
sub keeper { return query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'backstream keeper'}) }
my $old = keeper();
query("SELECT pg_terminate_backend($old)");
$node->poll_query_until('postgres', qq{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'backstream keeper' AND pid <> $old});
query(q{SELECT sample(7202, 1), sample(7202, 3), sample(7202, 3), sample(7203, 1)});
is(join(' ', sort split / /, brief(got())), 'cleared:00:02:null', 'another keeper knows what was there');
query(q{SELECT sample(7300, 4)});
@got = got();
is(join(' ', sort split / /, brief(@got)), 'cleared:00:03:1 cleared:00:03:3', 'a window of others, then none: all clear at once');
query(q{SELECT sample(7300, 4), sample(7302, 4), sample(7302, 4), sample(7303, 4)});
is(brief(got()), 'entered:01:40:4:2 cleared:01:41:4 entered:01:42:4:2', 'an empty window clears');
query(q{ALTER VIEW c RENAME TO d; ALTER VIEW d SET (notify_limit = '1')});
query(q{SELECT sample(7304, 5), sample(7304, 5), sample(7304, 6), sample(7304, 6), sample(7305, 1)});
@got = got();
is($got[-1]{kind} . $got[-1]{view} . $got[-1]{entered} . $got[-1]{cleared} . $got[-1]{sent}, 'summarypublic.d201', 'a summary of changes, under the new name');
query('DROP VIEW d');

# ---------- views over views ----------

query(q{CREATE VIEW low WITH (continuous, clock = 'data', lateness = '0') AS SELECT tumble(t, '1 s') AS time, a, b, count(*) AS n FROM s GROUP BY 1, 2, 3;
CREATE VIEW high WITH (continuous, notify = 'ch') AS SELECT time, a, count(DISTINCT b) AS bs FROM low GROUP BY 1, 2 HAVING count(DISTINCT b) >= 2});
query(q{SELECT sample(8000, 1, 'a'), sample(8000, 1, 'b'), sample(8000, 2, 'a'), sample(8001, 1)});
is(brief(got()), 'row:13:20:1:2', 'of a view over a view');
query('DROP VIEW low CASCADE');

# ---------- errors ----------

query(q{CREATE VIEW e WITH (continuous, clock = 'data', lateness = '0', notify = 'ch') AS SELECT tumble(t, '1 s') AS time, a, 10 / a AS d, count(*) AS n FROM s GROUP BY 1, 2});
query(q{SELECT sample(9000, 0), sample(9000, 1), sample(9000, 2), sample(9001, 1)});
@got = got();
is(scalar @got, 3, 'a row that fails is left out');
is_deeply($got[2], { kind => 'summary', view => 'public.e', time => '2026-01-01T02:30:00+00:00', rows => 2, sent => 2, failed => 1 }, 'and the summary says so');
is(query(q{SELECT rows, rows_failed, last_error FROM backstream.outputs}), '2|1|division by zero', 'so does backstream.outputs');
query('DROP VIEW e');

# PostgreSQL lets one transaction at a time add to the queue, up to the end of its commit.
query(q{CREATE VIEW w WITH (continuous, clock = 'data', lateness = '0', notify = 'ch') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM s GROUP BY 1, 2});
$node->safe_psql('postgres', q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'; SELECT pg_reload_conf()});
my ($blocked_out, $blocked_err) = ('', '');
my $blocked = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', 'INSERT INTO r VALUES (NULL); NOTIFY nobody' ], '>', \$blocked_out, '2>', \$blocked_err, IPC::Run::timeout(60));
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'});
$old = keeper();
query(q{SELECT sample(9100, 7), sample(9101, 7)});
$node->poll_query_until('postgres', q{SELECT last_error LIKE '%lock timeout%' FROM backstream.outputs});
is(query(q{SELECT last_error FROM backstream.outputs}), 'canceling statement due to lock timeout', 'a commit that fails is shown');
like(query(q{SELECT last_error FROM backstream.views WHERE view = 'w'::regclass}), qr/^notify: canceling/, 'in backstream.views too');
$node->safe_psql('postgres', q{ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()});
$blocked->finish;
$node->poll_query_until('postgres', q{SELECT last_error IS NULL FROM backstream.outputs});
is(brief(got()), 'row:31:40:7:1', 'and sent when it can be');
is(keeper(), $old, 'by the same keeper');

# ---------- who hands it on when a transaction is rolled back: nobody ----------

query(q{BEGIN; SELECT sample(9200, 1), sample(9300, 1); ROLLBACK});
is(brief(got()), '', 'nothing of a transaction that is rolled back');
is(query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'backstream%' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)}), 0, 'no transaction stays open');
$in .= "\\q\n";
$listener->finish;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|signal 6/, 'nothing crashed');
$node->stop;
done_testing();
