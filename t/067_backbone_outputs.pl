# SPDX-License-Identifier: PostgreSQL
# Outputs of views that nodes keep: notifications and archives of the windows that all nodes have closed, merged; they are
# what the SELECT over the records of all nodes gives, once each, whatever ends when.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use BackStreamTraffic;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my ($reader, @nodes) = start_backbone(conf => "statement_timeout = '120s'\nTimeZone = 'UTC'\nrestart_after_crash = on\n",
	reader_conf => "backstream.node_timeout = '120s'\nbackstream.checkpoint_interval = 1\nlog_min_duration_statement = -1\n");

sub query { return $reader->safe_psql('postgres', $_[0]) }
sub on_node { my ($n, $sql) = @_; return $nodes[$n - 1]->safe_psql('postgres', $sql) }
sub soon { my ($sql, $expected) = @_; return wait_until(90, sub { query($sql) eq $expected }) }
sub node_timeout { query("ALTER SYSTEM SET backstream.node_timeout = '$_[0]'"); query('SELECT pg_reload_conf()') }
sub settled { is(query(q{SELECT backstream.settle('90 s')}), 't', "$_[0]: settled") }

# ---------- who listens ----------

my ($in, $out, $err) = ('', '', '');
my $listener;
my $marks = 0;

sub listen_again
{
	($in, $out, $err) = ('', '', '');
	$listener = IPC::Run::start([ 'psql', '-X', '-A', '-t', '-q', '-d', $reader->connstr('postgres') ],
		'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(600));
	$in = "LISTEN rows; LISTEN changes; LISTEN hops;\n";
	heard();
}

# Payloads since the last call, in order, by channel.
sub heard
{
	my $mark = 'mark ' . ++$marks;
	my %heard = (rows => [], changes => [], hops => []);

	# psql looks for notifications after each statement, and shows them after its result.
	$in .= "SELECT 1;\nSELECT '$mark';\n";
	$listener->pump until $out =~ /^$mark$/m;
	push @{ $heard{$1} }, JSON::PP->new->utf8->decode($2)
	  while $out =~ /Asynchronous notification "([^"]+)" with payload "(.*)" received/g;
	$out = '';
	return \%heard;
}

sub brief
{
	return join ' ', map { my $p = $_; join ':', $p->{kind}, substr($p->{time}, 11, 5), defined $p->{row} ? map { $p->{row}{$_} // 'null' } grep { $_ ne 'time' && $_ ne 'vs' } sort keys %{ $p->{row} } : () } @_;
}

# ---------- the records ----------

# Each group is on several nodes, each node has a part of its values.  In another group of nodes this server is the third.
sql_all('CREATE FOREIGN TABLE s (t timestamptz, k int, v bigint, name text) SERVER backstream; CREATE FOREIGN TABLE s2 (t timestamptz, k int) SERVER backstream', @nodes, $reader);
query(q{CREATE SCHEMA plain; CREATE TABLE plain.s (t timestamptz, k int, v bigint, name text);
	IMPORT FOREIGN SCHEMA public FROM SERVER backbone INTO backbone;
	CREATE SERVER with_local FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'node_1, node_2, local', schema 'kept');
	CREATE SCHEMA with_local; IMPORT FOREIGN SCHEMA public FROM SERVER with_local INTO with_local});

# Minute number m of some nodes.  A record at the end, of a group that HAVING leaves out, closes it.
sub minute
{
	my ($m, @which) = @_;

	for my $n (@which)
	{
		my $records = qq{SELECT timestamptz '2026-01-01 00:00Z' + $m * interval '1 min' + i % 60 * interval '1 s' AS t, (i * $n + $m) % 20 AS k, (i * 7 + $m + $n)::bigint AS v, CASE WHEN i % 5 > 0 THEN 'n' || (i + $n) % 9 END AS name FROM generate_series(1, 200) i};

		for my $server ($nodes[$n - 1], $n == 3 ? $reader : ())
		{
			$server->safe_psql('postgres', "INSERT INTO s $records");
			$server->safe_psql('postgres', "INSERT INTO s VALUES (timestamptz '2026-01-01 00:00Z' + ($m + 1) * interval '1 min', -1, 0)");
		}
		query("INSERT INTO plain.s $records");
	}
}

my $options = "continuous, clock = 'data', lateness = '0'";
my %select = (
	v => q{SELECT tumble(t, '1 min') AS time, k, count(*) AS n, sum(v) AS v, avg(v) AS mean, count(DISTINCT name) AS names, min(name) AS name FROM %s WHERE k >= 0 GROUP BY 1, 2 HAVING count(DISTINCT v) > 25},
	h => q{SELECT hop(t, '20 s', '1 min') AS time, k, count(*) AS n, count(DISTINCT v) AS vs FROM %s WHERE k >= 0 GROUP BY 1, 2 HAVING count(*) > 25});

# Rows of one that the other has not, and the other way round.
sub differ_rows
{
	my ($one, $other) = @_;
	return query("SET search_path = plain, backstream, public; WITH a AS ($one), b AS ($other) SELECT count(*) FROM ((TABLE a EXCEPT ALL TABLE b) UNION ALL (TABLE b EXCEPT ALL TABLE a)) d");
}

# Of the archive and the table's windows up to the mark; but for those of minutes 5 and 6, which some node is not in.
sub archive_differs
{
	my ($view, $but) = @_;
	my $sql = sprintf $select{$view}, 'plain.s';
	my $not = $but ? q{NOT (time > '2026-01-01 00:04Z' AND time < '2026-01-01 00:07Z')} : 'true';

	return differ_rows("SELECT * FROM history.$view WHERE $not", "SELECT * FROM ($sql) w WHERE time < (SELECT archived_before FROM backstream.archived WHERE archive = 'history.$view'::regclass) AND $not");
}

sub check
{
	my ($what, $minutes) = @_;

	for my $view (sort keys %select)
	{
		is(archive_differs($view), 0, "$what: history.$view is the SELECT over all records");
		is(differ_rows("SELECT * FROM backstream.history(NULL::backbone.$view)", sprintf($select{$view}, 'plain.s')), 0, "$what: so is history() of $view, open windows included");
	}
	is(query(q{SELECT archived_before FROM backstream.archived WHERE archive = 'history.v'::regclass}), query("SELECT timestamptz '2026-01-01 00:00Z' + $minutes * interval '1 min'"), "$what: up to the last window that all have closed");
}

query('CREATE SCHEMA history');
query("CREATE VIEW backbone.v WITH ($options, retain = '20 min', notify = 'rows', notify_limit = '3', archive = 'history.v') AS " . sprintf($select{v}, 'backbone.s'));
query("CREATE VIEW backbone.h WITH ($options, retain = '20 min', notify = 'hops', notify_limit = '0', archive = 'history.h') AS " . sprintf($select{h}, 'backbone.s'));
query("CREATE VIEW backbone.c WITH ($options, retain = '20 min', notify = 'changes', notify_on = 'change') AS SELECT tumble(t, '1 min') AS time, k FROM backbone.s WHERE k >= 0 GROUP BY 1, 2 HAVING sum(v) > 21000");
query("CREATE VIEW with_local.l WITH ($options, retain = '20 min', archive = 'history.l') AS " . sprintf($select{h}, 'with_local.s'));
# Groups beyond max_groups of each node, states of PostgreSQL's own aggregates, sketches: what readers get.
query("CREATE VIEW backbone.o WITH ($options, retain = '20 min', max_groups = '6', overflow = 'other', archive = 'history.o') AS SELECT tumble(t, '1 min') AS time, k, count(*) AS n, stddev(v::numeric) AS dev, max(name) AS name, backstream.approx_count_distinct(v) AS about FROM backbone.s GROUP BY 1, 2");
# Outputs come later: of one that nodes have counted for longer than they keep it, and one that a node never has a record of.
my $hopping = q{SELECT hop(t, '20 s', '1 min') AS time, k, count(*) AS n, sum(v) AS v FROM %s WHERE k >= 0 GROUP BY 1, 2};
query("CREATE VIEW backbone.g WITH ($options, retain = '5 min') AS " . sprintf($hopping, 'backbone.s'));
query("CREATE VIEW backbone.q WITH ($options, retain = '20 min') AS SELECT tumble(t, '1 min') AS time, k, count(*) AS n FROM backbone.s2 GROUP BY 1, 2");
is(join(' ', sql_all(q{SELECT count(*) FROM pg_foreign_table WHERE array_to_string(ftoptions, ' ') ~ 'notify|archive'}, @nodes)), '0 0 0', 'nodes know nothing of outputs');
is(query(q{SELECT string_agg(DISTINCT found, ' ') FROM backstream.sync('backbone') WHERE view LIKE 'backbone._'}), 'same', 'and are in step');
listen_again();

# ---------- well ----------

minute($_, 1 .. 3) for 0 .. 2;
settled('well');
check('well', 3);

# Three rows of each window and a summary, from the table.
sub check_rows
{
	my ($what, $heard, @minutes) = @_;
	my $sql = 'SET search_path = plain, backstream; SELECT to_char(time, \'HH24:MI\'), k, n, count(*) OVER (PARTITION BY time) FROM (' . sprintf($select{v}, 'plain.s') . ') v ORDER BY time';
	my (%n, %rows);

	for (split /\n/, query($sql))
	{
		my ($time, $k, $n, $rows) = split /\|/;

		$n{"$time $k"} = $n;
		$rows{$time} = $rows;
	}
	is(join(' ', map { substr($_->{time}, 11, 5) . " $_->{rows} of $_->{sent}" } grep { $_->{kind} eq 'summary' } @$heard), join(' ', map { my $t = sprintf '00:%02d', $_; "$t $rows{$t} of 3" } @minutes), "$what: each window is summed up once");
	is(join(' ', map { ($n{ substr($_->{time}, 11, 5) . " $_->{row}{k}" } // '') eq $_->{row}{n} ? 'ok' : 'wrong' } grep { $_->{kind} eq 'row' } @$heard), join(' ', ('ok') x (3 * @minutes)), "$what: three rows of each, as all nodes have them");
}

# Which groups each minute has, of all nodes; what enters and clears from one of these minutes to the next.
sub changes
{
	my (@minutes) = @_;
	my ($groups, $text) = ({}, '');

	for my $m (@minutes)
	{
		my %now = map { $_ => 1 } split /\n/, query("SELECT k FROM plain.s WHERE k >= 0 AND date_trunc('minute', t) = timestamptz '2026-01-01 00:00Z' + $m * interval '1 min' GROUP BY 1 HAVING sum(v) > 21000");
		my $time = sprintf '00:%02d', $m;

		$text .= join '', map { "$_\n" } sort((map { "$time entered $_" } grep { !$groups->{$_} } keys %now), (map { "$time cleared $_" } grep { !$now{$_} } keys %$groups));
		$groups = \%now;
	}
	return $text;
}

sub told
{
	return join '', sort map { substr($_->{time}, 11, 5) . " $_->{kind} $_->{row}{k}\n" } @_;
}

my $heard = heard();
check_rows('well', $heard->{rows}, 0 .. 2);
my $told = told(@{ $heard->{changes} });
is($told, changes(0 .. 2), 'well: what enters and clears');
cmp_ok($told =~ tr/\n//, '>', 40, 'well: that is much');
is(scalar @{ $heard->{hops} }, query('SELECT count(DISTINCT time) FROM history.h'), 'well: hopping windows are told, too');
is(join(' ', sql_all(q{SELECT count(*) FROM backbone.v}, @nodes)), '0 0 0', 'no node has a row by itself');
is(differ_rows('TABLE history.l', 'TABLE history.h'), 0, 'well: the same where this server is one of the nodes');
is(query(q{SELECT count(*) > 0 FROM history.l}), 't', 'well: and that is something');
query('DROP VIEW with_local.l');
is(differ_rows('TABLE history.o', q{SELECT * FROM backbone.o WHERE time < '2026-01-01 00:03Z'}), 0, 'well: whatever states there are');
is(query(q{SELECT count(DISTINCT time), count(DISTINCT k) > 6, sum(n) FROM history.o}), query(q{SELECT 3, true, count(*) + 6 FROM plain.s WHERE t < '2026-01-01 00:03Z'}), 'well: all records of all groups are there');
query('DROP VIEW backbone.o');
is(query(q{SELECT state, windows_missed, windows_incomplete, overflowed, late FROM backstream.views WHERE view = 'backbone.v'::regclass}), 'active|0|0|0|0', 'backstream.views has it');
is(query(q{SELECT string_agg(output || ' ' || coalesce(last_error, 'fine'), ', ' ORDER BY output) FROM backstream.outputs WHERE view = 'backbone.v'::regclass}), 'archive fine, notify fine', 'so has backstream.outputs');

# ---------- a node that is away: in time, and not ----------

$nodes[1]->stop;
minute($_, 1, 3) for 3 .. 4;
ok(soon(q{SELECT last_error LIKE 'node "node_2": %' FROM backstream.views WHERE view = 'backbone.v'::regclass}, 't'), 'a node that is away is told of');
is(scalar @{ heard()->{rows} }, 0, 'nothing is told without it');
query(q{ALTER VIEW backbone.v SET (notify_limit = '4'); ALTER VIEW backbone.v SET (notify_limit = '3', on_node_failure = 'error'); ALTER VIEW backbone.v RESET (on_node_failure)});
my ($status, undef, $stderr) = $reader->psql('postgres', q{ALTER VIEW backbone.v SET (retain = '21 min')});
like($stderr, qr/node_2/, 'options of outputs are altered without the nodes, others not');
$nodes[1]->start;
minute($_, 2) for 3 .. 4;
settled('back in time');
check('back in time', 5);
$heard = heard();
check_rows('back in time', $heard->{rows}, 3 .. 4);
is(told(@{ $heard->{changes} }), changes(2 .. 4) =~ s/^00:02.*\n//gmr, 'back in time: what enters and clears');

$nodes[1]->stop;
minute($_, 1, 3) for 5 .. 6;
node_timeout('10 s');
ok(soon(q{SELECT archived_before FROM backstream.archived WHERE archive = 'history.v'::regclass}, query(q{SELECT timestamptz '2026-01-01 00:07Z'})), 'after node_timeout windows are handed on without it');
node_timeout('120 s');
is(query(q{SELECT count(*) FROM history.v WHERE time >= '2026-01-01 00:05Z'}), 0, 'as they are without it');
like(query(q{SELECT windows_incomplete || ' ' || windows_missed FROM backstream.views WHERE view = 'backbone.v'::regclass}), qr/^2 0$/, 'which is counted');
ok(soon(q{SELECT count(*) FROM backstream.outputs WHERE view IN ('backbone.v'::regclass, 'backbone.c'::regclass) AND done_before = '2026-01-01 00:07Z'}, 3), 'by both outputs');
my $without = heard();
like(join(' ', map { $_->{nodes_missing} // 0 } @{ $without->{changes} }), qr/^1( 1)+$/, 'and said in what is told');
$nodes[1]->start;
minute($_, 2) for 5 .. 6;
minute(7, 1 .. 3);
settled('back late');
is(archive_differs('v', 1), 0, 'back late: history.v is the SELECT but for what was handed on without it');
is(query(q{SELECT count(*) FROM history.v WHERE time IN ('2026-01-01 00:05Z', '2026-01-01 00:06Z')}), 0, 'back late: that stays as it was handed on');
is(differ_rows(q{SELECT time, k, n FROM backbone.v}, 'SELECT time, k, n FROM (' . sprintf($select{v}, 'plain.s') . ') v'), 0, 'back late: who reads the view sees all nodes');
$heard = heard();
is(join(' ', map { substr($_->{time}, 11, 5) } grep { $_->{kind} eq 'summary' } @{ $without->{rows} }, @{ $heard->{rows} }), '00:07', 'back late: each window is told once');
is((grep { $_->{time} =~ /00:05/ && $_->{kind} eq 'cleared' } @{ $without->{changes} }) + 0, (() = changes(4) =~ /entered/g) + 0, 'back late: without it all had cleared');

# ---------- restarts and crashes ----------

# The archive has each window once; marked are two.
sub check_archive
{
	my ($what, $minutes) = @_;

	is(query(q{SELECT backstream.settle('90 s')}), 't', "$what: settled");
	is(archive_differs($_, 1), 0, "$what: history.$_ has each window once") for 'v', 'h';
	is(query(q{SELECT archived_before FROM backstream.archived WHERE archive = 'history.v'::regclass}), query("SELECT timestamptz '2026-01-01 00:00Z' + $minutes * interval '1 min'"), "$what: up to the last window");
	is(query(q{SELECT count(*) - count(DISTINCT (time, k)) FROM history.v}), 0, "$what: no row twice");
}

minute(8, 1 .. 3);
$listener->finish if $listener->pumpable && ($in = "\\q\n");
$reader->restart;
listen_again();
minute(9, 1 .. 3);
check_archive('restart', 10);
$heard = heard();
is(join(' ', map { substr($_->{time}, 11, 5) } grep { $_->{kind} eq 'summary' } @{ $heard->{rows} }) =~ s/^00:08 //r, '00:09', 'restart: told once');
is(told(grep { $_->{time} =~ /00:09/ } @{ $heard->{changes} }), changes(8, 9) =~ s/^00:08.*\n//gmr, 'restart: groups of before are remembered');

# Half a minute of records more each time something ends: the fetcher, the archiver, the keeper; a process by SIGKILL, and so
# all of them; the server.
for my $m (10 .. 12)
{
	minute($m, 1 .. 3);
	query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'backstream $_'") for 'fetcher', 'archiver', 'keeper';
}
check_archive('processes that end', 13);
minute(13, 1 .. 3);
my $pid = query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'backstream fetcher'});
kill KILL => $pid if $pid;
ok($pid && wait_until(90, sub { (eval { query('SELECT 1') } // '') eq '1' && query("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") eq '0' }), 'the fetcher is killed, and the server is there again');
minute(14, 1 .. 3);
check_archive('killed fetcher', 15);
minute(15, 1 .. 3);
crash_node($reader);
minute(16, 1 .. 3);
check_archive('killed server', 17);
is(differ_rows(q{SELECT time, k, n FROM backstream.history(NULL::backbone.v) WHERE time >= '2026-01-01 00:08Z'}, 'SELECT time, k, n FROM (' . sprintf($select{v}, 'plain.s') . q{) v WHERE time >= '2026-01-01 00:08Z'}), 0, 'killed server: history() is whole');

# ---------- another definition, and none ----------

listen_again();
(my $more = $select{v}) =~ s/ FROM %s/, count(*) FILTER (WHERE name IS NULL) AS unnamed$&/;
query('ALTER TABLE history.v ADD unnamed bigint');
# What is open when a column is added lacks it.
on_node($_, q{INSERT INTO s SELECT timestamptz '2026-01-01 00:17:10Z', i % 20, i, NULL FROM generate_series(1, 600) i}) for 1 .. 3;
query("CREATE OR REPLACE VIEW backbone.v WITH ($options, retain = '20 min', notify = 'rows', notify_limit = '0', archive = 'history.v') AS " . sprintf($more, 'backbone.s'));
minute($_, 1 .. 3) for 17 .. 18;
settled('replaced');
is(query(q{SELECT count(unnamed), count(*) FROM history.v WHERE time = '2026-01-01 00:17Z'}), '0|20', 'replaced: a window of before lacks the new column');
is(differ_rows(q{SELECT * FROM history.v WHERE time = '2026-01-01 00:18Z'}, 'SELECT * FROM (' . sprintf($more, 'plain.s') . q{) v WHERE time = '2026-01-01 00:18Z'}), 0, 'replaced: later ones have it');
is(differ_rows(q{SELECT time, k, n, unnamed FROM history.v WHERE time >= '2026-01-01 00:16Z'}, q{SELECT time, k, n, unnamed FROM backbone.v WHERE time >= '2026-01-01 00:16Z' AND time < '2026-01-01 00:19Z'}), 0, 'replaced: as the view has it');
is(join(' ', map { substr($_->{time}, 11, 5) } @{ heard()->{rows} }), '00:17 00:18', 'replaced: told once');

query('ALTER VIEW backbone.c RESET (notify, notify_on)');
ok(soon(q{SELECT state FROM backstream.views WHERE view = 'backbone.c'::regclass}, 'on nodes'), 'a view without outputs is merged here no more');
minute(19, 1 .. 3);
settled('reset');
is(scalar @{ heard()->{changes} }, 0, 'and tells nothing');

# Switched on for a view that nodes have counted for long: what closes from then on is told, compared with what was there.
ok(wait_until(90, sub { join(' ', sql_all(q{SELECT since < now() - interval '40 s' FROM backstream.views WHERE view = 'backbone.c'::regclass}, @nodes)) eq 't t t' }), 'nodes have counted a view for a while');
query(q{ALTER VIEW backbone.c SET (notify = 'changes', notify_on = 'change')});
settled('switched on');
is(scalar @{ heard()->{changes} }, 0, 'switched on: nothing is told of what had closed');

# Of windows that hop only those are there of which nodes still had all.
sub whole_windows
{
	my ($what) = @_;
	my $plain = 'SELECT * FROM (' . sprintf($hopping, 'plain.s') . ') w';

	is(query("SET search_path = plain, backstream, public; SELECT count(*) FROM (TABLE history.g EXCEPT ALL $plain) w"), 0, "$what: what is in the table is of whole windows");
	return query("SET search_path = plain, backstream, public; SELECT count(DISTINCT time) FROM ($plain) w WHERE time >= (SELECT min(time) FROM history.g) AND time < (SELECT archived_before FROM backstream.archived WHERE archive = 'history.g'::regclass) AND time NOT IN (SELECT time FROM history.g)");
}

query(q{INSERT INTO plain.s SELECT timestamptz '2026-01-01 00:17:10Z', i % 20, i FROM generate_series(1, 600) i, generate_series(1, 3)});
query(q{ALTER VIEW backbone.g SET (archive = 'history.g')});
settled('a table that is switched on');
is(whole_windows('a table that is switched on'), 0, 'a table that is switched on: windows from the first on are there');
is(query(q{SELECT min(time) > '2026-01-01 00:10Z', count(DISTINCT time) BETWEEN 9 AND 18, max(time) FROM history.g}), 't|t|' . query(q{SELECT timestamptz '2026-01-01 00:19Z'}), 'a table that is switched on: what the nodes had not dropped');

# Who may not read the stream any more gets nothing; it is counted, and goes on when he may again.
query(q{CREATE ROLE owner SUPERUSER; GRANT USAGE ON SCHEMA backbone, history TO owner; GRANT SELECT ON backbone.s TO owner; GRANT USAGE ON FOREIGN SERVER backbone, node_1, node_2, node_3 TO owner;
	ALTER VIEW backbone.h OWNER TO owner; ALTER TABLE history.h OWNER TO owner;
	ALTER VIEW backbone.g OWNER TO owner; ALTER TABLE history.g OWNER TO owner; ALTER ROLE owner NOSUPERUSER; REVOKE SELECT ON backbone.s FROM owner});
ok(soon(q{SELECT string_agg(state, ', ') FROM backstream.views WHERE view IN ('backbone.g'::regclass, 'backbone.h'::regclass)}, 'suspended: rights, suspended: rights'), 'an owner without rights: suspended');
minute(20, 1 .. 3);
query('GRANT SELECT ON backbone.s TO owner; ALTER ROLE owner SUPERUSER');
ok(soon(q{SELECT string_agg(state, ', ') FROM backstream.views WHERE view IN ('backbone.g'::regclass, 'backbone.h'::regclass)}, 'active, active'), 'and no more when he has them');
minute(21, 1 .. 3);
settled('rights');
is(query(q{SELECT windows_missed FROM backstream.views WHERE view = 'backbone.g'::regclass}), whole_windows('rights'), 'rights: what is missed is counted');
is(query(q{SELECT max(time) FROM history.g}), query(q{SELECT timestamptz '2026-01-01 00:21Z'}), 'rights: later ones are there');
is(told(@{ heard()->{changes} }), changes(19 .. 21) =~ s/^00:19.*\n//gmr, 'switched on: changes from then on are');
is(query(q{SELECT archived_before >= '2026-01-01 00:21Z' FROM backstream.archived WHERE archive = 'history.h'::regclass}), 't', 'it goes on');
is(query(q{SELECT string_agg(DISTINCT found, ' ') FROM backstream.sync('backbone') WHERE view LIKE 'backbone._'}), 'same', 'nodes are in step all the time');

# Off and on again: what was told is not told again.
query('ALTER VIEW backbone.c RESET (notify, notify_on)');
ok(soon(q{SELECT state FROM backstream.views WHERE view = 'backbone.c'::regclass}, 'on nodes'), 'notify is off');
query(q{ALTER VIEW backbone.c SET (notify = 'changes')});
settled('on again');
is(scalar @{ heard()->{changes} }, 0, 'on again: nothing is told twice');
query('DROP VIEW backbone.c');

# One node never has a record.  Once that is not waited for any more the others' windows of before are not told.
on_node($_, q{INSERT INTO s2 SELECT timestamptz '2026-01-01 00:00Z' + i * interval '20 s', i % 3 FROM generate_series(0, 15) i}) for 1 .. 2;
query(q{ALTER VIEW backbone.q SET (notify = 'changes')});
node_timeout('10 s');
ok(soon(q{SELECT windows_incomplete > 0 AND done_before = '2026-01-01 00:05Z' FROM backstream.views, backstream.outputs o WHERE views.view = 'backbone.q'::regclass AND o.view = views.view}, 't'), 'a node that never had a record is not waited for any more');
is(scalar @{ heard()->{changes} }, 0, 'nothing is told of what the others had closed');
on_node($_, q{INSERT INTO s2 VALUES ('2026-01-01 00:06:10Z', 0)}) for 1 .. 2;
ok(soon(q{SELECT done_before FROM backstream.outputs WHERE view = 'backbone.q'::regclass}, query(q{SELECT timestamptz '2026-01-01 00:06Z'})), 'the next window is');
is(told(@{ heard()->{changes} }), "00:05 row 0\n", 'once');
node_timeout('120 s');
query('DROP VIEW backbone.q');

# ---------- a dump, and what is noticed ----------

my $dump = $reader->basedir . '/backbone.sql';
my $archived = query('SELECT count(*) FROM history.v');
$reader->command_ok([ 'pg_dump', '-p', $reader->port, '-h', $reader->host, '-f', $dump, '-t', 'backbone.v', 'postgres' ], 'the view is dumped');
query('DROP VIEW backbone.v');
is(join(' ', sql_all(q{SELECT count(*) FROM pg_class WHERE relname = 'v'}, @nodes)), '0 0 0', 'dropped on the nodes, too');
$reader->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-p', $reader->port, '-h', $reader->host, '-f', $dump, 'postgres' ], 'and restored');
is(join(' ', sql_all(q{SELECT count(*) FROM pg_foreign_table WHERE ftrelid = 'backbone.v'::regclass AND array_to_string(ftoptions, ' ') !~ 'notify|archive'}, @nodes)), '1 1 1', 'with outputs here, and without on the nodes');
minute(22, 1 .. 3);
settled('restored');
is(differ_rows(q{SELECT * FROM history.v WHERE time = '2026-01-01 00:22Z'}, 'SELECT * FROM (' . sprintf($more, 'plain.s') . q{) v WHERE time = '2026-01-01 00:22Z'}), 0, 'restored: the table goes on');
is(query(q{SELECT count(*) - count(DISTINCT (time, k)), count(*) > } . $archived . ' FROM history.v'), '0|t', 'restored: nothing is there twice');

# Windows that nodes have dropped before they were read: those that overlap with what has been read, or is later, are not
# handed on in part.
$pid = query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'backstream fetcher'});
kill STOP => $pid;
minute($_, 1 .. 3) for 23 .. 30;
ok(wait_until(90, sub { join(' ', sql_all(q{SELECT min(window_start) >= '2026-01-01 00:24Z' FROM backstream.windows('backbone.g')}, @nodes)) eq 't t t' }), 'nodes drop what has not been read');
kill CONT => $pid;
settled('a hole');
cmp_ok(whole_windows('a hole'), '>', 2, 'a hole: windows of meanwhile are missed');
is(query(q{SELECT max(time) FROM history.g}), query(q{SELECT timestamptz '2026-01-01 00:30Z'}), 'a hole: later ones are there');

query(q{DELETE FROM plain.s WHERE ctid = (SELECT min(ctid) FROM plain.s WHERE k = (SELECT min(k) FROM history.v WHERE time = '2026-01-01 00:22Z') AND t >= '2026-01-01 00:22Z')});
cmp_ok(differ_rows(q{SELECT time, k, n FROM history.v WHERE time = '2026-01-01 00:22Z'}, 'SELECT time, k, n FROM (' . sprintf($more, 'plain.s') . q{) v WHERE time = '2026-01-01 00:22Z'}), '>', 0, 'one record less would be noticed');

query('DROP VIEW backbone.v, backbone.h, backbone.g');
is(join(' ', sql_all('SELECT count(*) FROM backstream.views', $reader, @nodes)), '0 0 0 0', 'dropped, all is gone');
is(query('SELECT count(*) > 0 FROM history.v'), 't', 'but for the table');

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for $reader, @nodes;
$_->stop for $reader, @nodes;
done_testing();
