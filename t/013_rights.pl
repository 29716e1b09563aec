# SPDX-License-Identifier: PostgreSQL
# Who may do what; and what the code of a view's owner can not do, however it tries: read what he may
# not, write, last for ever, or fail on every record to the harm of others.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $port = free_port();
my $node = backstream_node('rights', conf => <<"CONF");
backstream.listen = '127.0.0.1:$port'
backstream.receive_buffer = '4MB'
backstream.eval_timeout = '300ms'
statement_timeout = '30s'
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
CREATE ROLE maker; CREATE ROLE reader; CREATE ROLE other; CREATE ROLE watcher;
GRANT pg_read_all_stats TO watcher;
CREATE SCHEMA maker AUTHORIZATION maker;
GRANT USAGE ON SCHEMA maker TO reader, other;
CREATE TABLE secret AS SELECT 'the secret' AS text;
CREATE VIEW exact WITH (continuous) AS
  SELECT exporter, count(*) AS records, sum(bytes) AS bytes, sum(packets) AS packets FROM backstream.flow GROUP BY 1;
SQL

sub query { return $node->safe_psql('postgres', $_[0]) }
# As another role: the output, or the error.
sub as_role
{
	my ($role, $sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION $role; $sql");
	return $status == 0 && $err !~ /ERROR/ ? $out : $err;
}
sub view_is { return query("SELECT $_[1] FROM backstream.views WHERE view = '$_[0]'::regclass") }
sub adds_up { return is(view_is($_[0], 'received - records - filtered - late - future - untimed - overflowed - errors'), 0, "$_[0]: the counters add up") }

my $sent = 0;
sub add
{
	my $totals = generate(target => "127.0.0.1:$port", count => 5000, rate => 100000, @_);
	$sent += $totals->{records};
	received_all($node, 'exact', $sent);
	return $totals;
}
wait_until(10, sub { query(q{SELECT count(*) FROM backstream.listeners WHERE state = 'open'}) eq '1' });

# ---------- making ----------

my $create = 'CREATE VIEW maker.mine WITH (continuous) AS SELECT exporter, count(*) AS n FROM backstream.flow GROUP BY 1';
like(as_role('maker', $create), qr/permission denied for foreign table flow/, 'making needs SELECT on the stream');
query('GRANT SELECT (exporter, bytes) ON backstream.flow TO maker');
like(as_role('maker', $create), qr/permission denied for foreign server backstream/, 'and USAGE on the server');
query('GRANT USAGE ON FOREIGN SERVER backstream TO maker');
is(as_role('maker', $create), '', 'on the columns that it uses');
like(as_role('maker', 'CREATE VIEW maker.more WITH (continuous) AS SELECT sum(packets) FROM backstream.flow'), qr/permission denied/, 'and no others');
like(as_role('maker', q{SELECT backstream.execute('CREATE CONTINUOUS VIEW maker.more AS SELECT sum(packets) FROM backstream.flow')}), qr/permission denied/, 'in any spelling');
like(as_role('maker', 'CREATE CONTINUOUS VIEW maker.more AS SELECT sum(packets) FROM backstream.flow'), qr/permission denied/, 'of the two');
# As pg_dump writes it, rights come afterwards: until they do nothing is counted.
is(as_role('maker', q{CREATE FOREIGN TABLE maker.more (sum numeric) SERVER backstream OPTIONS (query 'SELECT sum(packets) AS sum FROM backstream.flow')}), '', 'the third may come before its rights');
ok(wait_until(5, sub { view_is('maker.more', 'state') eq 'suspended: rights' }), 'and waits for them');
add();
is(view_is('maker.more', 'received'), 0, 'counting nothing');
query('DROP FOREIGN TABLE maker.more');
query('GRANT SELECT ON backstream.flow TO maker');

# ---------- reading ----------

select undef, undef, undef, 0.5;
add();
like(as_role('reader', 'TABLE maker.mine'), qr/permission denied for foreign table mine/, 'reading needs SELECT');
query('GRANT SELECT ON maker.mine TO reader');
is(as_role('reader', 'TABLE maker.mine'), '127.0.10.1|' . view_is('maker.mine', 'records'), 'on the view, and nothing else');
as_role('maker', q{CREATE VIEW maker.timed WITH (continuous) AS SELECT tumble(time_event, '10 s') AS time, count(*) FROM backstream.flow GROUP BY 1});
query('GRANT SELECT ON maker.timed TO reader');
is(as_role('reader', "SELECT count(*) FROM $_"), 0, "$_ by a function too")
  for ('backstream.latest(NULL::maker.timed)', 'backstream.merged(NULL::maker.timed, NULL, NULL)');
for my $call ('backstream.latest(NULL::maker.timed)', 'backstream.merged(NULL::maker.timed, NULL, NULL)')
{
	like(as_role('other', "SELECT * FROM $call"), qr/permission denied/, "$call needs it");
}
note as_role('other', q{SELECT * FROM backstream.windows('maker.mine')});
like(as_role('maker', 'TABLE exact'), qr/permission denied/, 'each view by itself');
like(as_role('other', $_), qr/permission denied|must be owner/, "another may not: $_")
  for ('DROP VIEW maker.mine', 'DROP CONTINUOUS VIEW maker.mine', 'ALTER FOREIGN TABLE maker.mine RENAME TO yours',
	q{ALTER FOREIGN TABLE maker.mine OPTIONS (ADD retain '5 min')}, 'INSERT INTO backstream.flow (bytes) VALUES (1)',
	q{SELECT backstream.ingest('\x00', '10.0.0.1')}, q{SELECT backstream.decode('\x00', '10.0.0.1')},
	q{INSERT INTO backstream.exporter_config VALUES ('10.0.0.1', 'x')});

# ---------- what others see ----------

query(q{CREATE VIEW public.failing WITH (continuous) AS SELECT sum(1 / (bytes - bytes)) FROM backstream.flow});
query('ALTER VIEW failing OWNER TO maker');
select undef, undef, undef, 0.5;
add();
is(view_is('failing', 'errors, last_error'), '5000|division by zero', 'errors are counted and named');
for my $role (qw(maker watcher))
{
	like(as_role($role, q{SELECT last_error, query FROM backstream.views WHERE view = 'failing'::regclass}), qr/^division by zero\|.*SELECT sum/s, "$role sees texts");
}
is(as_role('other', q{SELECT last_error IS NULL, query IS NULL, errors FROM backstream.views WHERE view = 'failing'::regclass}), 't|t|5000', 'others see counters alone');
query('DROP VIEW failing');

# ---------- rights that are taken ----------

my $mine = sub { view_is('maker.mine', 'state, last_error') };
query('REVOKE SELECT ON backstream.flow FROM maker');
query('REVOKE SELECT (exporter, bytes) ON backstream.flow FROM maker');
ok(wait_until(5, sub { $mine->() =~ /^suspended/ }), 'an owner who may no longer read the stream: the view is suspended');
is($mine->(), 'suspended: rights|the owner of the view may not read the stream', 'and says why');
my $records = view_is('maker.mine', 'records');
add();
is(view_is('maker.mine', 'records'), $records, 'it counts nothing');
is(query('SELECT n FROM maker.mine'), $records, 'and can be read');
query('GRANT SELECT ON backstream.flow TO maker');
ok(wait_until(5, sub { $mine->() =~ /^active/ }), 'when he may again');
add();
is(view_is('maker.mine', 'records'), $records + 5000, 'it goes on');
query('CREATE ROLE group_of_makers; GRANT SELECT ON backstream.flow TO group_of_makers; GRANT group_of_makers TO maker; REVOKE SELECT ON backstream.flow FROM maker');
select undef, undef, undef, 0.5;
like($mine->(), qr/^active/, 'by membership too');
query('REVOKE group_of_makers FROM maker');
ok(wait_until(5, sub { $mine->() =~ /^suspended/ }), 'which can be taken');
query('GRANT SELECT ON backstream.flow TO maker');
ok(wait_until(5, sub { $mine->() =~ /^active/ }), 'and given');

# ---------- code of the owner ----------

# Each is the body of a volatile function of maker's.  One that says it is immutable calls it, for every
# record of his view: what PostgreSQL forbids to functions that are not volatile does not apply.
my @attacks = (
	[ 'reads a table that he may not', q{DECLARE t text; BEGIN SELECT text INTO t FROM public.secret; RETURN 1; END}, qr/permission denied for table secret/ ],
	[ 'writes', q{BEGIN INSERT INTO maker.log VALUES (x); RETURN 1; END}, qr/read-only transaction/ ],
	[ 'makes a table', q{BEGIN CREATE TABLE maker.made (i int); RETURN 1; END}, qr/read-only transaction|security-restricted/ ],
	[ 'changes the role', q{BEGIN SET ROLE postgres; RETURN 1; END}, qr/cannot set parameter "role"|permission denied/ ],
	[ 'changes the session', q{BEGIN SET SESSION AUTHORIZATION postgres; RETURN 1; END}, qr/cannot set parameter "session_authorization"|permission denied/ ],
	[ 'makes a temporary table', q{BEGIN CREATE TEMP TABLE t (i int); RETURN 1; END}, qr/read-only transaction|security-restricted/ ],
	[ 'prepares a statement', q{BEGIN EXECUTE 'PREPARE p AS SELECT 1'; RETURN 1; END}, qr/security-restricted/ ],
	[ 'listens', q{BEGIN LISTEN x; RETURN 1; END}, qr/security-restricted|cannot|background/ ],
	[ 'makes a cursor with hold', q{BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT 1'; RETURN 1; END}, qr/security-restricted|cannot/ ],
	[ 'commits', q{BEGIN COMMIT; RETURN 1; END}, qr/invalid transaction termination/ ],
	[ 'changes the settings', q{BEGIN SET backstream.listen = ''; RETURN 1; END}, qr/cannot be changed|permission denied/ ],
	[ 'raises', q{BEGIN RAISE 'all is lost: %', x; END}, qr/all is lost/ ],
	[ 'takes a lock', q{BEGIN LOCK TABLE maker.log IN ACCESS EXCLUSIVE MODE; RETURN x; END} ],
	[ 'takes locks for the session', q{BEGIN PERFORM pg_advisory_lock(x); RETURN x; END} ],
	[ 'leaves settings behind', q{BEGIN PERFORM set_config('search_path', 'maker', false), set_config('lock_timeout', '1', false), set_config('maker.was', 'here', false); RETURN x; END} ],
	[ 'leaves cursors open', q{DECLARE c refcursor; BEGIN OPEN c FOR SELECT g FROM generate_series(1, 10) g; RETURN x; END} ],
	[ 'changes settings, then fails', q{BEGIN PERFORM set_config('search_path', 'maker', false); RAISE 'no'; END}, qr/no/ ],
	[ 'fails deep down', q{BEGIN RETURN maker.attack(x + 1); END}, qr/stack depth limit exceeded|eval_timeout/ ],
);
query('CREATE TABLE maker.log (i bigint); ALTER TABLE maker.log OWNER TO maker');
for my $attack (@attacks)
{
	my ($name, $body, $wanted) = @$attack;
	my $log = -s $node->logfile;
	my $pid = backend_of($node, 'backstream receiver');

	is(as_role('maker', "CREATE FUNCTION maker.attack(x bigint) RETURNS bigint LANGUAGE plpgsql AS \$\$ $body \$\$; CREATE FUNCTION maker.tame(x bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN maker.attack(x); END'; CREATE VIEW maker.attacked WITH (continuous) AS SELECT count(*) AS n, sum(maker.tame(bytes)) AS sum FROM backstream.flow"), '', "a function that $name");
	select undef, undef, undef, 0.4;
	my $before = query('SELECT sum(records), sum(bytes), sum(packets) FROM exact');
	my $totals = add();
	my @before = split /\|/, $before;
	is(query('SELECT sum(records), sum(bytes), sum(packets) FROM exact'),
		join('|', $before[0] + $totals->{records}, $before[1] + $totals->{bytes}, $before[2] + $totals->{packets}), 'others are exact');
	wait_until(3, sub { view_is('maker.attacked', 'last_error') ne '' });
	if ($wanted)
	{
		like(view_is('maker.attacked', 'last_error'), $wanted, 'it fails');
		cmp_ok(view_is('maker.attacked', 'errors'), '>', 0, 'which is counted');
		is(query('SELECT n FROM maker.attacked'), 0, 'and added nowhere');
	}
	else
	{
		is(view_is('maker.attacked', 'last_error'), '', 'it does not fail');
		is(query('SELECT n FROM maker.attacked'), 5000, 'and is counted');
	}
	is(query(q{SELECT count(*) FROM pg_locks l JOIN pg_stat_activity USING (pid) WHERE backend_type LIKE 'backstream%' AND (locktype = 'advisory' OR relation = 'maker.log'::regclass)}), 0, 'no lock is left');
	# In somebody's session, who inserts: nothing of his may have changed.
	is(query(q{INSERT INTO backstream.flow (exporter, bytes, packets) VALUES ('10.0.0.1', 1, 1), ('10.0.0.1', 2, 1);
		SELECT current_user, session_user, current_setting('search_path'), current_setting('lock_timeout'), current_setting('maker.was', true), (SELECT count(*) FROM pg_cursors), current_setting('transaction_read_only');
		INSERT INTO backstream.flow (exporter, bytes, packets) VALUES ('10.0.0.1', 1, 1)}) =~ s/maker\.was//r, 'postgres|postgres|"$user", public|0||0|off', 'a session that inserts is as it was');
	$sent += 3;
	adds_up('maker.attacked');
	is(backend_of($node, 'backstream receiver'), $pid, 'the receiver lives');
	my @lines = slurp_file($node->logfile, $log) =~ /\[$pid\].*/g;
	cmp_ok(scalar @lines, '<', 10, 'the log is not flooded');
	is(query('SELECT count(*) FROM maker.log'), 0, 'nothing was written');
	is(query('SELECT sum(kernel_drops) FROM backstream.listeners'), 0, 'nothing was dropped');
	query('DROP FUNCTION maker.tame CASCADE; DROP FUNCTION maker.attack');
}
is(query('SHOW backstream.listen'), "127.0.0.1:$port", 'settings are as they were');

# One that works, to know that these would have been called.
as_role('maker', 'CREATE FUNCTION maker.good(x bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x * 2; END $$; CREATE VIEW maker.works WITH (continuous) AS SELECT count(*) AS n, sum(maker.good(bytes)) / 2 AS bytes FROM backstream.flow');
select undef, undef, undef, 0.4;
my $totals = add();
is(query('SELECT n, bytes::bigint FROM maker.works'), "$totals->{records}|$totals->{bytes}", 'a function that behaves is called');

# Code that never returns, in its two ways.
my @slow = (
	[ 'waits for a lock', 'BEGIN PERFORM i FROM maker.log; RETURN x; END' ],
	[ 'sleeps', 'BEGIN PERFORM pg_sleep(60); RETURN x; END' ],
	[ 'loops', 'BEGIN LOOP END LOOP; END' ],
	[ 'loops and catches', 'BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END' ],
);
for my $case (@slow)
{
	my ($name, $body) = @$case;
	my $log = -s $node->logfile;
	my $pid = backend_of($node, 'backstream receiver');

	my $holder = $node->background_psql('postgres');
	$holder->query_safe('BEGIN; LOCK TABLE maker.log IN ACCESS EXCLUSIVE MODE');
	is(as_role('maker', "CREATE FUNCTION maker.slow(x bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS \$\$ $body \$\$; CREATE VIEW maker.sleeping WITH (continuous) AS SELECT count(*) AS n, sum(maker.slow(bytes)) AS sum FROM backstream.flow WHERE bytes > 0"), '', "a function that $name");
	select undef, undef, undef, 0.4;
	my @before = split /\|/, query('SELECT sum(records), sum(bytes) FROM exact');
	my $start = time;
	my $sum = add(count => 30000, rate => 30000);
	cmp_ok(time - $start, '<', 6, 'does not hold anybody up');
	is(query('SELECT sum(records), sum(bytes) FROM exact'), join('|', $before[0] + $sum->{records}, $before[1] + $sum->{bytes}), 'others are exact');
	is(query('SELECT sum(kernel_drops) FROM backstream.listeners'), 0, 'nothing was dropped');
	ok(wait_until(3, sub { view_is('maker.sleeping', 'state') eq 'suspended: code' }), 'the view is suspended');
	like(view_is('maker.sleeping', 'last_error'), qr/eval_timeout|too long|timeout/, 'and says why');
	is(backend_of($node, 'backstream receiver'), $pid, 'the receiver lives');
	adds_up('maker.sleeping');
	$holder->query_safe('ROLLBACK');
	$holder->quit;
	# Mended and resumed, it goes on.
	as_role('maker', 'CREATE OR REPLACE FUNCTION maker.slow(x bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT x $$');
	is(as_role('maker', q{SELECT backstream.resume('maker.sleeping')}), 't', 'its owner can resume it');
	select undef, undef, undef, 0.4;
	my $resumed = view_is('maker.sleeping', 'records');
	add();
	is(view_is('maker.sleeping', 'records'), $resumed + 5000, 'mended and resumed it goes on');
	query('DROP FUNCTION maker.slow CASCADE');
}

# Failing on every record, at full rate, among others.
as_role('maker', q{CREATE FUNCTION maker.raise(x bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'no: %', x; END $$; CREATE VIEW maker.raising WITH (continuous) AS SELECT count(*) FROM backstream.flow WHERE maker.raise(bytes) > 0});
query(q{CREATE VIEW dividing WITH (continuous) AS SELECT count(*) AS n, sum(1 / (proto - proto)) AS x FROM backstream.flow});
query(q{CREATE VIEW casting WITH (continuous) AS SELECT count(*) AS n, sum((host(src_addr) || 'x')::int) AS x FROM backstream.flow});
select undef, undef, undef, 0.4;
my $log = -s $node->logfile;
my @before = split /\|/, query('SELECT sum(records), sum(bytes) FROM exact');
my $pid = backend_of($node, 'backstream receiver');
my $sum = add(count => 200000, rate => 50000, exporters => 3);
is(query('SELECT sum(records), sum(bytes) FROM exact'), join('|', $before[0] + $sum->{records}, $before[1] + $sum->{bytes}), 'every record fails in three views, and others are exact');
is(view_is('dividing', 'errors, records, state, last_error'), "200000|0|active|division by zero", 'native errors do not suspend');
adds_up($_) for qw(maker.raising dividing casting);
note "$_: " . view_is($_, 'state, errors, last_error') for qw(maker.raising casting);
my @lines = slurp_file($node->logfile, $log) =~ /\[$pid\].*/g;
cmp_ok(scalar @lines, '<', 10, 'the log is not flooded');
is(backend_of($node, 'backstream receiver'), $pid, 'the receiver lives');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing crashed');
$node->stop;
done_testing();
