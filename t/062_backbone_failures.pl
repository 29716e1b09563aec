# SPDX-License-Identifier: PostgreSQL
# What can go wrong with nodes: each read is exact, or an error, or says what it lacks, and ends in time; and nothing is
# leaked.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use BackStreamTraffic;
use File::Path qw(rmtree);
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $timeout = 1.5;
my ($reader, @nodes) = start_backbone(conf => "statement_timeout = '60s'\nlisten_addresses = '127.0.0.1'\nrestart_after_crash = on\n", reader_conf => "backstream.node_timeout = '${timeout}s'\n");

sub query { return $reader->safe_psql('postgres', $_[0]) }
# Output and messages of something that may fail, and that it ends in time.
sub try_query
{
	my ($sql, %options) = @_;
	my $before = time;
	my ($status, $out, $err) = $reader->psql('postgres', $sql, %options);
	my $seconds = time - $before;

	cmp_ok($seconds, '<', $timeout * 2 + 6, 'in time') if $seconds > $timeout * 2;
	return "$out\n$err";
}
sub on_node { my ($n, $sql) = @_; return $nodes[$n - 1]->safe_psql('postgres', $sql) }
sub partial { return try_query("SET backstream.node_timeout = '${timeout}s'; $_[0]") }

sql_all("CREATE FOREIGN TABLE $_ (t timestamptz, k int, v bigint) SERVER backstream", @nodes) for 's', 'w';
query('IMPORT FOREIGN SCHEMA public FROM SERVER backbone INTO backbone');
for my $failure ('error', 'partial')
{
	query("CREATE VIEW backbone.v_$failure WITH (continuous, clock = 'data', retain = '10 days', on_node_failure = '$failure') AS
		SELECT tumble(t, '1 min') AS time, k, count(*) AS n, sum(v) AS v, avg(v) AS mean, count(DISTINCT v) AS vs FROM backbone.s GROUP BY 1, 2");
}
for my $n (1 .. 3)
{
	on_node($n, "INSERT INTO s SELECT timestamptz '2026-01-01Z' + i % 600 * interval '1 s', i % 5000, i FROM generate_series(1, 20000) i WHERE i % 3 = $n - 1");
}
my $sum = 'SELECT count(*), sum(n), sum(v) FROM backbone.v_';
my $exact = query("${sum}error");
my @without = (0, map { my $n = $_; query("SELECT sum(i) FROM generate_series(1, 20000) i WHERE i % 3 <> $n - 1") } 1 .. 3);
like($exact, qr/\|20000\|200010000$/, 'all records are there');
is(query("${sum}partial"), $exact, 'in both views');

# The two ways out of a failure of a node: an error that names it; or the others' records, and a warning that names it.
sub fails_well
{
	my ($n, $why, $what) = @_;
	my $error = try_query("${sum}error");
	my $partial = try_query("${sum}partial");

	like($error, qr/ERROR:  node "node_$n": .*$why/, "$what: an error that names the node");
	unlike($error, qr/^\d/, "$what: and no rows");
	like($partial, qr/WARNING:  the result lacks what node "node_$n" has counted.*$why/s, "$what: or a warning");
	like($partial, qr/\|$without[$n]$/m, "$what: and what the others have");
}
# A node whose function does something else first.
sub misbehave
{
	my ($n, $body) = @_;
	on_node($n, "ALTER FUNCTION backstream.partials(text, text, bigint, bigint[], bigint[]) RENAME TO partials_proper;
		CREATE FUNCTION backstream.partials(text, text, bigint, bigint[], bigint[]) RETURNS SETOF bytea LANGUAGE plpgsql AS \$\$
		DECLARE message bytea; i int := 0; BEGIN
			FOR message IN SELECT backstream.partials_proper(\$1, \$2, \$3, \$4, \$5) LOOP i := i + 1; $body; RETURN NEXT message; END LOOP;
		END \$\$");
}
sub behave { on_node($_[0], 'DROP FUNCTION backstream.partials(text, text, bigint, bigint[], bigint[]); ALTER FUNCTION backstream.partials_proper(text, text, bigint, bigint[], bigint[]) RENAME TO partials') }
sub is_well { is(query("${sum}error"), $exact, "$_[0]: afterwards all is well") }

# ---------- nodes that are away ----------

$nodes[1]->stop('immediate');
fails_well(2, '(refused|No such file)', 'a port that is refused');
$nodes[1]->start;
for my $n (2) { on_node($n, "INSERT INTO s SELECT timestamptz '2026-01-01Z' + i % 600 * interval '1 s', i % 5000, i FROM generate_series(1, 20000) i WHERE i % 3 = $n - 1") }
is_well('a node that was started again');

my $silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die;
query("ALTER SERVER node_3 OPTIONS (SET host '127.0.0.1', SET port '" . $silent->sockport . "')");
fails_well(3, 'gave up after', 'a port that takes connections and never answers');
close $silent;
query("ALTER SERVER node_3 OPTIONS (SET host 'no-such-host.invalid')");
fails_well(3, '(could not look up its host|gave up after)', 'a host that has no address');
query("ALTER SERVER node_3 OPTIONS (SET host 'localhost', SET port '" . $nodes[2]->port . "')");
is_well('a name that has one');
query("ALTER SERVER node_3 OPTIONS (ADD sslmode 'require')");
fails_well(3, 'SSL', 'TLS that is demanded and not there');
query("ALTER SERVER node_3 OPTIONS (DROP sslmode, SET host '" . $nodes[2]->host . "')");
is_well('without');

# ---------- nodes that stop in the middle ----------

# A whole server that has stopped: the session has a connection already, or has none yet.
my $session = $reader->background_psql('postgres', on_error_stop => 0);
like($session->query("${sum}error"), qr/20000/, 'a session that has connections');
my $postmaster = (split /\n/, slurp_file($nodes[0]->data_dir . '/postmaster.pid'))[0];
my @pids = (split(/\n/, on_node(1, q{SELECT pid FROM pg_stat_activity WHERE application_name = 'backstream'})), $postmaster);
kill STOP => @pids;
my $before = time;
fails_well(1, 'gave up after', 'a server that has stopped');
my $stopped = $session->query("${sum}partial");
my $seconds = time - $before;
kill CONT => @pids;
like($stopped, qr/\|$without[1]$/m, 'also where there was a connection');
cmp_ok($seconds, '<', 3 * $timeout + 6, 'no read takes longer than a node\'s time');
is_well('a server that goes on');
like($session->query("${sum}error"), qr/20000/, 'also in the session that was there');

misbehave(1, 'IF i = 5 THEN PERFORM pg_sleep(30); END IF');
fails_well(1, 'gave up after 1.5 s, waiting for an answer', 'an answer that stops in the middle');
# Those that answered before have been given up, and end by themselves.
my $sleeping = q{SELECT coalesce(string_agg(pid::text, ','), '') FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND application_name = 'backstream'};
my $answering = '';
ok(wait_until(10, sub { on_node(1, $sleeping) eq '' }), 'nobody answers any more');
my $killer = IPC::Run::start([ 'psql', '-XAtq', '-d', $reader->connstr('postgres'), '-c', "SET backstream.node_timeout = '20 s'", '-c', "${sum}partial" ], '>', \my $killed_out, '2>', \my $killed_err);
ok(wait_until(10, sub { ($answering = on_node(1, $sleeping)) =~ /^\d+$/ }), 'a node is about to answer');
kill KILL => $answering;
$killer->finish;
like($killed_err, qr/WARNING:  the result lacks what node "node_1" has counted/, 'kill -9 of who answers: a warning');
like($killed_out, qr/\|$without[1]$/m, 'and what the others have');
$nodes[0]->poll_query_until('postgres', 'SELECT true');
behave(1);
on_node(1, "INSERT INTO s SELECT timestamptz '2026-01-01Z' + i % 600 * interval '1 s', i % 5000, i FROM generate_series(1, 20000) i WHERE i % 3 = 0");
is_well('a node that has crashed and counts anew');

# ---------- answers that are wrong ----------

misbehave(2, 'EXIT WHEN i > 6');
fails_well(2, 'shorter|missing|cut', 'a partial that is cut in the middle');
behave(2);
for my $case ([ 'set_byte(message, length(message) / 2, 255 - get_byte(message, length(message) / 2))', 'a byte that was changed' ],
	[ 'set_byte(message, 9, 99)', 'a partial of the future' ], [ q{'\x00'::bytea}, 'a message that is none' ])
{
	misbehave(2, "IF i = 3 THEN message := $case->[0]; END IF");
	like(try_query("$sum$_"), qr/ERROR:  node "node_2": what it sent of its partial states/, "$case->[1] is an error always") for 'error', 'partial';
	behave(2);
}
on_node(2, q{ALTER FUNCTION backstream.hello() RENAME TO hello_proper; CREATE FUNCTION backstream.hello(OUT version text, OUT format int, OUT server_version int, OUT encoding text, OUT "now" timestamptz) LANGUAGE sql AS $$ SELECT '9.0', 99, 150000, 'UTF8', now() $$});
like(try_query("${sum}partial"), qr/ERROR:  node "node_2": its BackStream 9\.0 writes partial states in format 99, this server's 1\.0 in format 1/, 'a version of the future: an error that names both');
is(query(q{SELECT state FROM backstream.nodes WHERE node = 'node_2'}), 'misfit', 'backstream.nodes says so');
on_node(2, q{DROP FUNCTION backstream.hello(); ALTER FUNCTION backstream.hello_proper() RENAME TO hello});
is_well('a version that fits');

# ---------- definitions ----------

is(query(q{SELECT node, state, views, views_in_step FROM backstream.nodes ORDER BY 1}), "node_1|in step|2|2\nnode_2|in step|2|2\nnode_3|in step|2|2", 'backstream.nodes');
is(query(q{SELECT count(*) FROM backstream.nodes WHERE now() - last_contact < '10 s' AND latency > '0' AND abs(extract(epoch FROM clock_ahead)) < 1 AND version = '1.0' AND watermark = '2026-01-01 00:09:00Z' AND groups = 'backbone'}), 3, 'with contact, latency, clock, version and watermark');
on_node(3, 'DROP VIEW backbone.v_partial, backbone.v_error');
fails_well(3, 'there is no continuous view', 'a view that was dropped on one node');
is(query(q{SELECT state, views_in_step FROM backstream.nodes WHERE node = 'node_3'}), 'out of step|0', 'the node is out of step');
on_node(3, q{CREATE VIEW backbone.v_error WITH (continuous, clock = 'data') AS SELECT tumble(t, '1 min') AS time, k, count(*) AS n, sum(v + 1) AS v, avg(v) AS mean, count(DISTINCT v) AS vs FROM s GROUP BY 1, 2});
like(try_query("${sum}error"), qr/ERROR:  node "node_3": continuous view "backbone\.v_error" has another definition than "backbone\.v_error"/, 'another definition under the same name is an error that names both');
is(query(q{SELECT * FROM backstream.sync('backbone') ORDER BY 1, 2}), join("\n", (map { ("node_$_|backbone.v_error|same|", "node_$_|backbone.v_partial|same|") } 1, 2), 'node_3|backbone.v_error|different|replaced', 'node_3|backbone.v_partial|missing|created'), 'sync() says what it finds and mends it');
is(query(q{SELECT count(*) FROM backstream.sync('backbone') WHERE found = 'same' AND done IS NULL}), 6, 'and then there is nothing to do');
on_node(3, "INSERT INTO s SELECT timestamptz '2026-01-01Z' + i % 600 * interval '1 s', i % 5000, i FROM generate_series(1, 20000) i WHERE i % 3 = 2");
is_well('a view that was made again');

# A new node, by an address that is looked up.
my ($new) = start_nodes(['node_4'], conf => "listen_addresses = '127.0.0.1'\n");
$new->safe_psql('postgres', 'CREATE FOREIGN TABLE s (t timestamptz, k int, v bigint) SERVER backstream');
query("CREATE SERVER node_4 FOREIGN DATA WRAPPER backstream OPTIONS (host 'localhost', port '" . $new->port . "', dbname 'postgres'); CREATE USER MAPPING FOR PUBLIC SERVER node_4;
	ALTER SERVER backbone OPTIONS (SET nodes 'node_1, node_2, node_3, node_4')");
like(try_query("${sum}error"), qr/ERROR:  node "node_4": there is no continuous view/, 'a new node has nothing yet');
is(query(q{SELECT string_agg(done, ',') FROM backstream.sync('backbone') WHERE node = 'node_4'}), 'created,created', 'sync() makes its views');
is_well('with a new node');
$new->safe_psql('postgres', "INSERT INTO s VALUES ('2026-01-01 00:00:00Z', 0, 5)");
like(query("${sum}error"), qr/\|20001\|200010005$/, 'and it counts');
query("ALTER SERVER backbone OPTIONS (SET nodes 'node_1, node_2, node_3'); DROP SERVER node_4 CASCADE");
$new->stop;

# ---------- windows ----------

is(query(q{SELECT DISTINCT nodes_expected, nodes_answered FROM backstream.windows('backbone.v_error')}), '3|3', 'windows() says how many nodes a window is of');
$nodes[1]->stop('immediate');
like(try_query(q{SELECT DISTINCT 'nodes', nodes_expected, nodes_answered FROM backstream.windows('backbone.v_partial')}), qr/^nodes\|3\|2$/m, 'also when one is away');
$nodes[1]->start;

# A node that has lost its windows lacks what it counted before: by the wall clock one can tell which windows do.
query(q{CREATE VIEW backbone.by_clock WITH (continuous, lateness = '1 min', max_future = '1 day') AS SELECT tumble(t, '1 s') AS time, count(*) AS n FROM backbone.w GROUP BY 1});
usleep(1_100_000);
sql_all('INSERT INTO w SELECT clock_timestamp(), 1, 1 FROM generate_series(1, 5)', @nodes);
usleep(1_100_000);
my $is_active = q{SELECT count(*) = 1 FROM backstream.views WHERE view = 'backbone.by_clock'::regclass AND state = 'active'};
$nodes[1]->restart;
$nodes[1]->poll_query_until('postgres', $is_active);
my $down = qr/windows of continuous view "by_clock" lack what node "node_2" did not count while it was down\n.*DETAIL:  It was down from \d.* to \d/s;
like(try_query('SELECT sum(n) FROM backbone.by_clock'), qr/ERROR:  $down/, 'windows that were open while a node was down are an error');
query(q{ALTER VIEW backbone.by_clock SET (on_node_failure = 'partial')});
like(try_query('SELECT sum(n) FROM backbone.by_clock'), qr/^15\n.*WARNING:  $down/s, 'or a warning; what it had counted it has kept');
query(q{ALTER VIEW backbone.by_clock SET (on_node_failure = 'error')});
$nodes[1]->stop;
rmtree($nodes[1]->data_dir . '/pg_backstream');
$nodes[1]->start;
$nodes[1]->poll_query_until('postgres', $is_active);
sql_all(q{INSERT INTO w SELECT clock_timestamp() + interval '2 s', 1, 1 FROM generate_series(1, 5)}, @nodes);
like(try_query('SELECT sum(n) FROM backbone.by_clock'), qr/ERROR:  windows of continuous view "by_clock" lack what node "node_2" counted before/, 'windows from before a restart are an error');
my $since = on_node(2, q{SELECT since FROM backstream.views WHERE view = 'backbone.by_clock'::regclass});
is(query("SELECT sum(n) FROM backbone.by_clock WHERE time >= '$since'"), 15, 'those after it are not');
query(q{ALTER VIEW backbone.by_clock SET (on_node_failure = 'partial')});
like(try_query('SELECT sum(n) FROM backbone.by_clock'), qr/^25\n.*WARNING:  windows of continuous view "by_clock" lack what node "node_2" counted before/s, 'or a warning');
is(query(q{SELECT min(nodes_answered), max(nodes_answered) FROM backstream.windows('backbone.by_clock')}), '2|3', 'and windows() tells them apart');
on_node(2, "INSERT INTO s SELECT timestamptz '2026-01-01Z' + i % 600 * interval '1 s', i % 5000, i FROM generate_series(1, 20000) i WHERE i % 3 = 1");
query('DROP VIEW backbone.by_clock');

# ---------- cancel ----------

misbehave(3, 'IF i = 2 THEN PERFORM pg_sleep(60); END IF');
my $cancelled = IPC::Run::start([ 'psql', '-XAtq', '-d', $reader->connstr('postgres'), '-c', "SET backstream.node_timeout = '50 s'", '-c', "${sum}error" ], '>', \my $cancel_out, '2>', \my $cancel_err);
ok(wait_until(10, sub { on_node(3, q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}) eq '1' }), 'a node takes long');
$before = time;
query(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT count(*), sum(n)%' AND pid <> pg_backend_pid()});
$cancelled->finish;
like($cancel_err, qr/canceling statement due to user request/, 'a read is cancelled');
cmp_ok(time - $before, '<', 5, 'at once');
ok(wait_until(5, sub { on_node(3, q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}) eq '0' }), 'and the node ends what it was doing');
behave(3);
is_well('after a cancel');

# ---------- rights ----------

on_node($_, q{CREATE ROLE meter LOGIN PASSWORD 'correct horse'; GRANT USAGE ON SCHEMA backbone TO meter; GRANT SELECT ON backbone.v_error TO meter}) for 1 .. 3;
query(q{CREATE ROLE alice; CREATE ROLE bob; GRANT USAGE ON SCHEMA backbone TO alice, bob; GRANT SELECT ON ALL TABLES IN SCHEMA backbone TO alice, bob;
	DROP USER MAPPING FOR PUBLIC SERVER node_1; DROP USER MAPPING FOR PUBLIC SERVER node_2; DROP USER MAPPING FOR PUBLIC SERVER node_3});
sub as_role { return try_query("SET ROLE $_[0]; $_[1]") }
sub map_role
{
	my ($role, $options) = @_;
	query("SET log_statement = 'none'; SET log_min_error_statement = panic; " . join '; ', map { "DROP USER MAPPING IF EXISTS FOR $role SERVER node_$_; CREATE USER MAPPING FOR $role SERVER node_$_ OPTIONS ($options)" } 1 .. 3);
}
like(as_role('alice', "${sum}error"), qr/ERROR:  there is no user mapping for role "alice" and node "node_1"/, 'who has no mapping cannot read');
map_role('alice', q{user 'meter'});
like(as_role('alice', "${sum}error"), qr/ERROR:  password is required for node "node_1"/, 'nor who has no password');
map_role('alice', q{user 'meter', password 'correct horse'});
like(as_role('alice', "${sum}error"), qr/ERROR:  node "node_1": it did not ask for a password/, 'nor where none is asked for');
for my $node (@nodes)
{
	my $hba = slurp_file($node->data_dir . '/pg_hba.conf');

	append_to_file($node->data_dir . '/pg_hba.new', "local all meter scram-sha-256\n$hba");
	rename $node->data_dir . '/pg_hba.new', $node->data_dir . '/pg_hba.conf';
	$node->reload;
}
usleep(300_000);
like(as_role('alice', "${sum}error"), qr/\|20000\|/, 'with the right one he can');
map_role('bob', q{user 'meter', password 'battery staple'});
like(as_role('bob', "${sum}error"), qr/ERROR:  node "node_1": .*password authentication failed for user "meter"/, 'with a wrong one he cannot');
like(as_role('bob', "${sum}partial"), qr/ERROR|WARNING/, 'in no view');
like(as_role('alice', "${sum}partial"), qr/ERROR:  node "node_1": permission denied/, 'rights on the node count, too, and are an error always');
like(as_role('bob', q{SELECT string_agg(umoptions::text, '') FROM pg_user_mappings WHERE usename = 'alice'}), qr/^\s*$/, 'passwords are not shown to others');
query(q{CREATE VIEW shared AS SELECT * FROM backbone.v_error; ALTER VIEW shared OWNER TO alice; GRANT SELECT ON shared TO bob});
like(as_role('bob', 'SELECT sum(n) FROM shared'), qr/^20000$/m, 'through a view it is the owner\'s mapping');
map_role('bob', q{user 'postgres', password_required 'false'});
like(as_role('bob', "${sum}error"), qr/\|20000\|/, 'a superuser can do without passwords for others');
like(as_role('bob', q{SELECT string_agg(node || ' ' || state, ', ' ORDER BY node) FROM backstream.nodes}), qr/node_1 in step, node_2 in step, node_3 in step/, 'everybody sees the nodes with his own mappings');
for my $server ($reader, @nodes)
{
	unlike(slurp_file($server->logfile) =~ s/CREATE ROLE meter[^\n]*//gr, qr/correct horse|battery staple/, $server->name . ': no passwords in the log');
}
query(join '; ', map { "CREATE USER MAPPING FOR PUBLIC SERVER node_$_" } 1 .. 3);

# ---------- nothing leaks ----------

sub connections { return join ' ', sql_all(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'backstream'}, @nodes) }
my ($pid) = $session->query('SELECT pg_backend_pid()') =~ /(\d+)/;
sub memory_kb { my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m; return $kb }
my $reads = "SELECT count(*) FROM backbone.v_error WHERE time = '2026-01-01 00:03:00Z';\n";
$session->query($reads x 50);
my $contexts = $session->query('SELECT sum(total_bytes) FROM pg_backend_memory_contexts');
my $memory = memory_kb();
my $answers = $session->query($reads x 1000);
my $groups = query("SELECT count(*) FROM backbone.v_error WHERE time = '2026-01-01 00:03:00Z'");
is(scalar(grep { $_ eq $groups } split /\n/, $answers), 1000, "a thousand reads of $groups groups");
cmp_ok(memory_kb() - $memory, '<', 4096, 'take no more memory than fifty') or diag("$memory kB before, " . memory_kb());
ok(wait_until(5, sub { connections() eq '1 1 1' }), 'and one connection to each node');
cmp_ok($session->query('SELECT sum(total_bytes) FROM pg_backend_memory_contexts') - $contexts, '<', 1 << 20, 'nothing stays in memory contexts');
on_node(2, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'backstream'});
usleep(200_000);
like($session->query("SELECT 1; ${sum}error"), qr/20000/, 'a connection that was ended between two reads is made anew');
$session->quit;
ok(wait_until(5, sub { connections() eq '0 0 0' }), 'connections end with the session');

unlike(slurp_file($_->logfile) =~ s/was terminated by signal 9//gr, qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing else crashed') for $reader, @nodes;
$_->stop for $reader, @nodes;
done_testing();
