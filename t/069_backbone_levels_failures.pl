# SPDX-License-Identifier: PostgreSQL
# What can go wrong with second levels over a backbone: a window is read of all nodes, or after node_timeout of those that answer
# and then marked; never twice, whatever is ended or started again; and nobody waits for a node.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my ($reader, @nodes) = start_backbone(conf => "statement_timeout = '120s'\nTimeZone = 'UTC'\nrestart_after_crash = on\n",
	reader_conf => "backstream.node_timeout = '120s'\nbackstream.checkpoint_interval = 1\n");

sub query { return $reader->safe_psql('postgres', $_[0]) }
sub on_node { my ($n, $sql) = @_; return $nodes[$n - 1]->safe_psql('postgres', $sql) }
sub soon { my ($sql, $expected) = @_; return wait_until(90, sub { query($sql) eq $expected }) }
sub node_timeout { query("ALTER SYSTEM SET backstream.node_timeout = '$_[0]'"); query('SELECT pg_reload_conf()') }

sql_all('CREATE FOREIGN TABLE s (t timestamptz, k int, v bigint) SERVER backstream', @nodes, $reader);
query(q{CREATE SCHEMA plain; CREATE TABLE plain.s (t timestamptz, k int, v bigint);
	IMPORT FOREIGN SCHEMA public FROM SERVER backbone INTO backbone;
	CREATE VIEW backbone.pairs WITH (continuous, clock = 'data', lateness = '0', retain = '20 min', on_node_failure = 'error') AS SELECT tumble(t, '1 min') AS time, k, v % 10 AS v, count(*) AS n FROM backbone.s GROUP BY 1, 2, 3;
	CREATE VIEW fan WITH (continuous, retain = '30 days') AS SELECT time, k, count(DISTINCT v) AS vs, sum(n) AS n FROM backbone.pairs GROUP BY 1, 2;
	CREATE VIEW here WITH (continuous, clock = 'data', lateness = '0') AS SELECT tumble(t, '1 min') AS time, k, count(*) AS n FROM s GROUP BY 1, 2;
	CREATE VIEW here_above WITH (continuous) AS SELECT time, count(*) AS n FROM here GROUP BY 1});

# Minute number m of some nodes: groups that several have.  A record at the end, of a group that is not looked at, closes it.
sub minute
{
	my ($m, @which) = @_;

	for my $n (@which)
	{
		my $records = qq{SELECT timestamptz '2026-01-01 00:00Z' + $m * interval '1 min' + i % 60 * interval '1 s' AS t, (i * $n) % 20 AS k, (i * 7 + $m + $n)::bigint AS v FROM generate_series(1, 200) i};

		on_node($n, "INSERT INTO s $records");
		on_node($n, "INSERT INTO s VALUES (timestamptz '2026-01-01 00:00Z' + ($m + 1) * interval '1 min', -1, 0)");
		query("INSERT INTO plain.s $records");
	}
}

# Windows that the second level has not as they are in the table, less those that are marked.
sub check
{
	my ($what, @marked) = @_;
	my $closed = q{(SELECT fed_before FROM backstream.views WHERE view = 'fan'::regclass)};
	my $not = join ' AND ', 'true', map { "time <> timestamptz '2026-01-01 00:00Z' + $_ * interval '1 min'" } @marked;
	my $above = q{SELECT time, k, count(DISTINCT v), sum(n) FROM (SELECT date_bin('1 min', t, '2000-01-01Z') AS time, k, v % 10 AS v, count(*) AS n FROM plain.s GROUP BY 1, 2, 3) p GROUP BY 1, 2};

	is(query(qq{SELECT count(*) FROM ((TABLE a EXCEPT ALL TABLE b) UNION ALL (TABLE b EXCEPT ALL TABLE a)) d} =~ s/TABLE a/SELECT * FROM fan WHERE k >= 0 AND $not/gr =~ s/TABLE b/SELECT * FROM ($above) q WHERE time < $closed AND $not/gr), 0, "$what: each window once, of all nodes");
	is(query(q{SELECT string_agg(extract(epoch FROM window_start - '2026-01-01 00:00Z')::int / 60 || '', ' ' ORDER BY window_start) FROM backstream.windows('fan') WHERE nodes_answered < nodes_expected}), join(' ', @marked), "$what: and the others are marked");
}

minute($_, 1 .. 3) for 0 .. 2;
is(query(q{SELECT backstream.settle('90 s')}), 't', 'all is read');
check('well');

# ---------- a node that is back in time ----------

$nodes[1]->stop;
minute($_, 1, 3) for 3 .. 4;
ok(soon(q{SELECT last_error LIKE 'node "node_2": %' FROM backstream.views WHERE view = 'fan'::regclass}, 't'), 'a node that is away is told of');
is(query(q{SELECT backstream.settle('1 s')}), 'f', 'its windows are waited for');
$nodes[1]->start;
minute($_, 2) for 3 .. 4;
is(query(q{SELECT backstream.settle('90 s')}), 't', 'until it is back');
is(query(q{SELECT count(DISTINCT time) FROM fan WHERE k >= 0}), 5, 'all are there');
check('back in time');
ok(slurp_file($reader->logfile) =~ /node "node_2": .*node "node_2" answers again/s, 'the log tells of both');

# ---------- a node that does not answer, and nobody who waits ----------

query(q{CREATE VIEW doomed WITH (continuous) AS SELECT time, count(*) AS n FROM backbone.pairs GROUP BY 1});
is(query(q{SELECT backstream.settle('90 s')}), 't', 'a view more');
my $postmaster = (split /\n/, slurp_file($nodes[2]->data_dir . '/postmaster.pid'))[0];
my @pids = (split(/\n/, on_node(3, q{SELECT pid FROM pg_stat_activity WHERE application_name = 'backstream'})), $postmaster);
kill STOP => @pids;
minute(5, 1, 2);
ok(soon(q{SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type = 'backstream fetcher' AND l.relation = 'backbone.pairs'::regclass}, 1), 'the fetcher waits for it');
my $began = time;
query(q{INSERT INTO s SELECT timestamptz '2026-01-01 00:00Z' + i * interval '1 s', i % 5, 1 FROM generate_series(0, 120) i});
ok(soon('SELECT count(*) FROM here_above', 2), 'local levels go on');
query('DROP VIEW doomed');
query(q{ALTER VIEW backbone.pairs OWNER TO CURRENT_USER});
cmp_ok(time - $began, '<', 100, 'and statements about the views do not wait for the node');
is(query(q{SELECT count(DISTINCT time) FROM fan WHERE k >= 0}), 5, 'its window is not read');
kill CONT => @pids;
minute(5, 3);
is(query(q{SELECT backstream.settle('90 s')}), 't', 'it goes on');
check('stopped for a while');

# ---------- a node that is away for longer ----------

# What the others have closed is seen before the time is shortened: they have it all, however slow they are.
$nodes[1]->stop;
minute($_, 1, 3) for 6 .. 8;
node_timeout('10 s');
ok(soon(q{SELECT count(DISTINCT time) FROM fan WHERE k >= 0}, 9), 'after node_timeout windows are read without it');
check('away', 6 .. 8);
is(query(q{SELECT min(nodes_expected), max(nodes_expected), min(nodes_answered), max(nodes_answered) FROM backstream.windows('fan')}), '3|3|2|3', 'of two nodes of three');
is(query(q{SELECT windows_incomplete, windows_missed FROM backstream.views WHERE view = 'fan'::regclass}), '3|0', 'and counted');
is(query(q{SELECT sum(n) FROM fan WHERE k >= 0 AND time >= '2026-01-01 00:06Z'}), 3 * 400, 'they have what the others have');
$nodes[1]->start;
minute($_, 2) for 6 .. 8;
node_timeout('120 s');
minute(9, 1 .. 3);
is(query(q{SELECT backstream.settle('90 s')}), 't', 'when it is back');
check('back', 6 .. 8);

# ---------- this server is started again, in an orderly way and not ----------

minute(10, 1 .. 3);
$reader->restart;
is(query(q{SELECT backstream.settle('90 s')}), 't', 'after a restart');
check('restart', 6 .. 8);
minute(11, 1 .. 3);
is(query(q{SELECT backstream.settle('90 s')}), 't', 'one window that no checkpoint may have');
$reader->stop('immediate');
minute_later(12);
$reader->start;
is(query(q{SELECT backstream.settle('90 s')}), 't', 'after a crash');
check('crash', 6 .. 8);
is(query(q{SELECT windows_incomplete FROM backstream.views WHERE view = 'fan'::regclass}), 3, 'counted once');

# The nodes get it while the reader is down; the table later.
sub minute_later
{
	my ($m) = @_;
	my $sql = qq{SELECT timestamptz '2026-01-01 00:00Z' + $m * interval '1 min' + i % 60 * interval '1 s' AS t, i % 20 AS k, i::bigint AS v FROM generate_series(1, 50) i};

	on_node($_, "INSERT INTO s $sql") for 1 .. 3;
	on_node($_, "INSERT INTO s VALUES (timestamptz '2026-01-01 00:00Z' + ($m + 1) * interval '1 min', -1, 0)") for 1 .. 3;
	$reader->start;
	query("INSERT INTO plain.s SELECT q.* FROM ($sql) q, generate_series(1, 3)");
	$reader->stop('immediate');
}

# The process is ended again and again.
my $nended = 0;
for my $m (13 .. 18)
{
	minute($m, 1 .. 3);
	$nended += query(q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'backstream fetcher'});
}
cmp_ok($nended, '>=', 1, 'the fetcher was ended several times');
is(query(q{SELECT backstream.settle('90 s')}), 't', 'another goes on');
check('fetchers that end', 6 .. 8);

# ---------- definitions and rights ----------

node_timeout('5 s');
on_node(2, 'DROP VIEW backbone.pairs');
minute(19, 1 .. 3);
ok(soon(q{SELECT count(DISTINCT time) FROM fan WHERE time = '2026-01-01 00:19Z'}, 1), 'a view that is not there on a node');
like(query(q{SELECT last_error FROM backstream.views WHERE view = 'fan'::regclass}), qr/node "node_2": .*there is no continuous view/, 'is told of');
on_node(2, q{CREATE VIEW backbone.pairs WITH (continuous, clock = 'data') AS SELECT tumble(t, '1 min') AS time, k, v, count(*) AS n FROM s GROUP BY 1, 2, 3});
minute(20, 1 .. 3);
ok(soon(q{SELECT count(DISTINCT time) FROM fan WHERE time = '2026-01-01 00:20Z'}, 1), 'another definition on a node');
like(query(q{SELECT last_error FROM backstream.views WHERE view = 'fan'::regclass}), qr/node "node_2": .*has another definition/, 'is told of');
node_timeout('120 s');
on_node(2, 'DROP VIEW backbone.pairs');
query(q{SELECT count(*) FROM backstream.sync('backbone')});
minute(21, 1 .. 3);
is(query(q{SELECT backstream.settle('90 s')}), 't', 'backstream.sync() mends it');
check('in step again', 6 .. 8, 19, 20);

node_timeout('5 s');
query(q{ALTER USER MAPPING FOR PUBLIC SERVER node_3 OPTIONS (ADD user 'nobody')});
minute(22, 1 .. 3);
ok(soon(q{SELECT count(DISTINCT time) FROM fan WHERE time = '2026-01-01 00:22Z'}, 1), 'a node that lets nobody in');
like(query(q{SELECT last_error FROM backstream.views WHERE view = 'fan'::regclass}), qr/node "node_3": .*role "nobody" does not exist/, 'is told of');
query(q{ALTER USER MAPPING FOR PUBLIC SERVER node_3 OPTIONS (DROP user)});
node_timeout('120 s');
query(q{CREATE ROLE alice; GRANT CREATE ON SCHEMA public TO alice; GRANT USAGE ON FOREIGN SERVER backstream TO alice; GRANT USAGE ON SCHEMA backbone, backstream TO alice; GRANT SELECT ON backbone.pairs TO alice;
	SET ROLE alice; CREATE VIEW hers WITH (continuous) AS SELECT time, sum(n) AS n FROM backbone.pairs GROUP BY 1});
minute(23, 1 .. 3);
ok(soon(q{SELECT last_error LIKE 'password is required%' FROM backstream.views WHERE view = 'hers'::regclass}, 't'), 'who is no superuser must have a password');
is(query('SELECT count(*) FROM hers'), 0, 'and reads nothing');
query(q{CREATE USER MAPPING FOR alice SERVER node_1 OPTIONS (user 'postgres', password_required 'false'); CREATE USER MAPPING FOR alice SERVER node_2 OPTIONS (user 'postgres', password_required 'false'); CREATE USER MAPPING FOR alice SERVER node_3 OPTIONS (user 'postgres', password_required 'false')});
ok(soon(q{SELECT count(*) > 0 FROM hers}, 't'), 'unless a superuser waives it');
query('DROP VIEW hers');
is(query(q{SELECT backstream.settle('90 s')}), 't', 'the other view goes on');
check('rights', 6 .. 8, 19, 20, 22);

# ---------- what nodes have dropped ----------

$reader->stop;
on_node($_, q{INSERT INTO s SELECT timestamptz '2026-01-01 00:24Z' + i * interval '1 min', 1, 1 FROM generate_series(0, 59) i}) for 1 .. 3;
$reader->start;
is(query(q{SELECT backstream.settle('90 s')}), 't', 'away for longer than retain');
cmp_ok(query(q{SELECT count(*) FROM fan WHERE time >= '2026-01-01 01:05Z'}), '>', 10, 'what is there is read');
is(query(q{SELECT count(*) FROM fan WHERE time >= '2026-01-01 00:24Z' AND time < '2026-01-01 00:50Z'}), 0, 'and what is not, not');

# ---------- what one node has dropped is missed once, at whatever moment the fetcher is killed ----------

my $fed_before = query(q{SELECT fed_before FROM backstream.views WHERE view = 'fan'::regclass});
my $missed_before = query(q{SELECT windows_missed FROM backstream.views WHERE view = 'fan'::regclass});
my $some = q{INSERT INTO s SELECT timestamptz '2026-01-01 00:00Z' + i * interval '1 min', 1, 1 FROM generate_series(%d, %d) i};

$reader->stop;
on_node($_, sprintf $some, 84, 93) for 1 .. 3;
on_node(1, sprintf $some, 94, 123);
my $dropped = on_node(1, q{SELECT min(window_start) FROM backstream.windows('backbone.pairs')});
my $missed = on_node(2, qq{SELECT count(*) FROM backstream.windows('backbone.pairs') WHERE window_start >= '$fed_before' AND window_start < '$dropped'});
my $missed_now = qq{SELECT windows_missed - $missed_before FROM backstream.views WHERE view = 'fan'::regclass};

cmp_ok($missed, '>', 0, 'other nodes still have windows that node 1 has dropped');
$reader->start;
my $nkilled = 0;
for my $round (1 .. 4)
{
	# Before it has looked, and later.
	usleep(rand(100_000) * $round);
	my $pid = query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'backstream fetcher'});

	next if $pid eq '' || !kill KILL => $pid;
	$nkilled++;
	ok(wait_until(90, sub { (() = slurp_file($reader->logfile) =~ /terminated by signal 9.*?database system is ready/sg) == $nkilled }), 'the fetcher is killed, and all processes start again');
	wait_until(90, sub { $reader->psql('postgres', 'SELECT 1') == 0 });
}
cmp_ok($nkilled, '>=', 1, 'that was tried');
ok(soon($missed_now, $missed), 'they are missed');
on_node($_, sprintf $some, 123, 123) for 2 .. 3;
is(query(q{SELECT backstream.settle('90 s')}), 't', 'all else is read');
is(query($missed_now), $missed, 'they are counted once');

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for $reader, @nodes;
$_->stop for $reader, @nodes;
done_testing();
