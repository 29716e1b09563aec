# SPDX-License-Identifier: PostgreSQL
# Workers that die, servers that stop, locks that others hold: traffic goes on, and windows are found
# again.  And a standby, where nothing runs until it is promoted.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $port = free_port();
my $node = backstream_node('restart',
	init => { allows_streaming => 1 },
	conf => "backstream.listen = '127.0.0.1:$port'\nbackstream.receive_buffer = '4MB'\nrestart_after_crash = on\nstatement_timeout = '30s'\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE sensor (at timestamptz, value bigint) SERVER backstream;
CREATE VIEW by_exporter WITH (continuous) AS
  SELECT exporter, obs_domain, flow_type, count(*) AS records, sum(bytes) AS bytes, sum(packets) AS packets
    FROM backstream.flow GROUP BY 1, 2, 3;
CREATE VIEW changing WITH (continuous, retain = '1 hour') AS
  SELECT tumble(time_received, '1 s') AS time, count(*) AS records, sum(bytes) AS bytes FROM backstream.flow GROUP BY 1;
CREATE VIEW sensed WITH (continuous) AS SELECT count(*) AS n, sum(value) AS sum FROM sensor;
SQL

my @all;
my $received = 0;

sub query { return $node->safe_psql('postgres', $_[0]) }

sub started { return start_generate(target => "127.0.0.1:$port", count => 20000, rate => 100000, @_) }

sub finished
{
	my ($run) = @_;
	my $totals = finish_generate($run);
	push @all, $totals;
	$received += $totals->{records};
	received_all($node, 'by_exporter', $received);
	return $totals;
}

sub by_exporter
{
	my ($where) = @_;
	return query('SELECT host(exporter), obs_domain, flow_type, records, bytes, packets FROM by_exporter'
		  . ($where ? " WHERE $where" : '')
		  . q{ ORDER BY concat_ws('|', host(exporter), obs_domain, flow_type, records) COLLATE "C"});
}

# Until a worker of this kind is there that is not the given one; returns its process id.
sub next_worker
{
	my ($type, $pid) = @_;
	my $now = '';
	wait_until(10, sub {
		my ($status, $out) = $node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'");
		$now = $out // '';
		return $now ne '' && $now ne $pid;
	});
	return $now;
}

sub listens
{
	return wait_until(10, sub {
		my ($status, $out) = $node->psql('postgres',
			q{SELECT count(*) FROM backstream.listeners l JOIN backstream.receivers r USING (worker) WHERE l.state = 'open' AND r.pid IS NOT NULL});
		return ($out // '') eq '1';
	});
}

sub drops { return query('SELECT sum(kernel_drops) FROM backstream.listeners') }

# How long it took.
sub seconds_of
{
	my ($work) = @_;
	my $start = time;
	$work->();
	return time - $start;
}

# ---------- a receiver that ends comes back and finds its windows ----------

ok(listens(), 'it listens');
finished(started(version => 'v5', exporters => 3));
finished(started(version => 'ipfix', exporters => 3));
my $since = query('SELECT string_agg(since::text, chr(10) ORDER BY view::text) FROM backstream.views');
my $receiver = backend_of($node, 'backstream receiver');
for my $time (1 .. 3)
{
	query("SELECT pg_terminate_backend($receiver)");
	my $seconds = seconds_of(sub { $receiver = next_worker('backstream receiver', $receiver); listens() });
	cmp_ok($seconds, '<', 5, 'a receiver that was terminated is back within seconds');
	is(by_exporter(), sent(@all), 'and has its windows');
	finished(started(version => 'v5', exporters => 3));
	finished(started(version => 'ipfix', exporters => 3));
	is(by_exporter(), sent(@all), 'to which it adds');
	is(query('SELECT sum(records) FROM backstream.exporters'), $received, 'counters go on');
	is(query('SELECT sum(datagrams) FROM backstream.listeners'), query('SELECT sum(datagrams) FROM backstream.exporters'), 'those of sockets too');
	is(query('SELECT count(*) FROM backstream.exporters'), 6, 'no exporter stands there twice');
}
is(query('SELECT string_agg(since::text, chr(10) ORDER BY view::text) FROM backstream.views'), $since, 'views count since before');
is(query('SELECT sum(datagrams_lost + records_lost) FROM backstream.exporters'), 0, 'a new process does not take old sequences for losses');

# In the middle of traffic: what was not received is what is missing, and nothing is counted twice.
my $flow = started(version => 'v5', source_base => '127.0.20.1', count => 200000, linger => 20);
wait_until(5, sub { query(q{SELECT count(*) FROM by_exporter WHERE exporter = '127.0.20.1'}) });
query("SELECT pg_terminate_backend($receiver)");
$receiver = next_worker('backstream receiver', $receiver);
my $totals = finish_generate($flow);
my $last = query(q{SELECT records FROM backstream.exporters WHERE exporter = '127.0.20.1'});
wait_until(3, sub { my $now = query(q{SELECT records FROM backstream.exporters WHERE exporter = '127.0.20.1'}); my $same = $now == $last; $last = $now; select undef, undef, undef, 0.2; return $same });
is(query(q{SELECT records FROM by_exporter WHERE exporter = '127.0.20.1'}), $last, 'terminated under traffic: the view has what was received');
cmp_ok($last, '<=', $totals->{records}, 'which is no more than was sent');
$received = query(q{SELECT received FROM backstream.views WHERE view = 'by_exporter'::regclass});
is(query(q{SELECT records + filtered + late + future + untimed + overflowed + errors FROM backstream.views WHERE view = 'by_exporter'::regclass}), $received, 'counters add up');
is(query(q{SELECT records FROM backstream.views WHERE view = 'changing'::regclass}), $received, 'in every view');

# ---------- the keeper ----------

my $keeper = backend_of($node, 'backstream keeper');
query("SELECT pg_terminate_backend($keeper)");
cmp_ok(seconds_of(sub { $keeper = next_worker('backstream keeper', $keeper) }), '<', 5, 'the keeper comes back');
ok(wait_until(5, sub { query(q{SELECT count(*) FROM changing} ) > 0 && query(q{SELECT count(*) FROM backstream.windows('changing') WHERE state = 'open' AND window_end < now() - interval '3 s'}) == 0 }), 'and closes windows');

# ---------- locks of others do not stall reception ----------

# Statements that stay open while traffic flows.  Each must leave the others exact, nothing dropped.
my @held = (
	[ 'ALTER of a view', q{ALTER FOREIGN TABLE changing OPTIONS (SET retain '2 hours')} ],
	[ 'a lock on a view', 'ALTER FOREIGN TABLE changing OWNER TO CURRENT_USER' ],
	[ 'a lock on the stream', 'ALTER FOREIGN TABLE backstream.flow OWNER TO CURRENT_USER' ],
	[ 'ALTER of another stream', 'ALTER FOREIGN TABLE sensor ADD COLUMN more int' ],
	[ 'a lock on the configuration of exporters', 'LOCK TABLE backstream.exporter_config IN ACCESS EXCLUSIVE MODE' ],
	[ 'DROP of a view', 'DROP VIEW changing' ],
	[ 'a new view', 'CREATE VIEW late_one WITH (continuous) AS SELECT count(*) FROM backstream.flow' ],
);
for my $case (@held)
{
	my ($name, $sql) = @$case;
	my $session = $node->background_psql('postgres');
	my $records = query(q{SELECT records FROM backstream.views WHERE view = 'changing'::regclass});
	my $view_before = query('SELECT sum(records), sum(bytes) FROM by_exporter');
	my $drops = drops();

	$session->query_safe("BEGIN; $sql");
	my $run = started(version => 'ipfix', source_base => '127.0.21.1', exporters => 2, count => 50000);
	# Definitions change meanwhile: everything is compiled anew.
	query('CREATE OR REPLACE FUNCTION unrelated(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN $1');
	query('ALTER FUNCTION unrelated(int) COST 10');
	my $took = seconds_of(sub { $totals = finished($run) });
	is(drops() - $drops, 0, "$name is open: nothing is dropped");
	cmp_ok($took, '<', 5, 'nothing waits');
	$session->query_safe('ROLLBACK');
	my ($records_before, $bytes_before) = split /\|/, $view_before;
	is(query('SELECT sum(records), sum(bytes) FROM by_exporter'),
		join('|', $records_before + $totals->{records}, $bytes_before + $totals->{bytes}), 'another view is exact');
	is(query(q{SELECT records FROM backstream.views WHERE view = 'changing'::regclass}), $records + $totals->{records}, 'the view itself goes on too');
	$session->quit;
}

# A receiver that starts while a stream is locked takes up its views when it is free.
{
	my $session = $node->background_psql('postgres');
	$session->query_safe('BEGIN; ALTER FOREIGN TABLE sensor ADD COLUMN more int');
	query("SELECT pg_terminate_backend($receiver)");
	$receiver = next_worker('backstream receiver', $receiver);
	ok(listens(), 'a receiver starts while a stream is locked');
	my $before = query('SELECT sum(records) FROM by_exporter');
	$totals = finished(started(version => 'v5', source_base => '127.0.22.1'));
	is(query('SELECT sum(records) FROM by_exporter'), $before + $totals->{records}, 'and receives for the views of others');
	$session->query_safe('COMMIT');
	$session->quit;
	query('INSERT INTO sensor VALUES (now(), 5, 1)');
	is(query('TABLE sensed'), '1|5', 'what was altered counts');
}

# ---------- barriers that every process must answer ----------

query('CREATE DATABASE other');
$flow = started(version => 'v5', source_base => '127.0.23.1', count => 200000);
my $drops = drops();
my $took = seconds_of(sub { query('DROP DATABASE other') });
cmp_ok($took, '<', 5, 'DROP DATABASE does not hang');
$took = seconds_of(sub { query('CREATE DATABASE other STRATEGY file_copy'); query('ALTER DATABASE other RENAME TO another'); query('DROP DATABASE another') });
cmp_ok($took, '<', 10, 'CREATE DATABASE neither');
$totals = finished($flow);
is(query(q{SELECT records, bytes FROM by_exporter WHERE exporter = '127.0.23.1'}), "$totals->{records}|$totals->{bytes}", 'and nothing is lost meanwhile');
is(drops() - $drops, 0, 'nor dropped');

# Nobody waits: a process would block these if it kept a transaction open.
is(query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'backstream%' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)}), 0, 'workers keep no transaction open');

# ---------- a standby ----------

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
my $standby_port = free_port();
$standby->append_conf('postgresql.conf', "backstream.listen = '127.0.0.1:$standby_port'\n");
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'backstream%'}), 0, 'on a standby nothing runs');
my ($status, $out, $err) = $standby->psql('postgres', 'SELECT * FROM by_exporter');
ok($status == 0 ? $out eq '' : $err =~ /standby|recovery/, 'reading there does no harm');
note "a standby says: $out$err";
($status, $out, $err) = $standby->psql('postgres', 'INSERT INTO sensor VALUES (now(), 1)');
like($err, qr/ERROR:  .*(recovery|read-only|standby|no records)/, 'inserting there is refused');
is($standby->safe_psql('postgres', q{SELECT state FROM backstream.views WHERE view = 'by_exporter'::regclass}), 'not counted', 'views say so');
$standby->promote;
wait_until(10, sub { $standby->safe_psql('postgres', q{SELECT count(*) FROM backstream.listeners WHERE state = 'open'}) eq '1' });
$totals = generate(target => "127.0.0.1:$standby_port", count => 20000, version => 'v9');
received_all($standby, 'by_exporter', 20000);
is($standby->safe_psql('postgres', 'SELECT host(exporter), obs_domain, flow_type, records, bytes, packets FROM by_exporter'), sent($totals), 'promoted, it receives');
$standby->stop;

# ---------- crashes and stops ----------

my $network = 24;

# What was there before is kept when the server had been stopped, and lost when it crashed before anything was written.
sub after_restart
{
	my ($name, $kept) = @_;
	ok(listens(), "$name: the server is back");
	$received = query('SELECT coalesce(sum(records), 0) FROM by_exporter');
	my $last = '127.0.' . ($network - 1) . '.1';
	is(query("SELECT count(*) FROM by_exporter WHERE exporter = '$last'"), $kept, $kept ? 'with what it had' : 'with nothing');
	my $sent = finished(started(version => 'mix', source_base => "127.0.$network.1"));
	wait_until(5, sub { by_exporter("exporter << '127.0.$network.0/24'") eq sent($sent) });
	is(by_exporter("exporter << '127.0.$network.0/24'"), sent($sent), 'and counts');
	$network++;
}

$flow = started(version => 'v5', seconds => 1, count => 1000000);
kill 'KILL', $receiver = backend_of($node, 'backstream receiver');
wait_until(5, sub { slurp_file($node->logfile) =~ /all server processes terminated; reinitializing/ });
finish_generate($flow);
$node->poll_query_until('postgres', 'SELECT true');
after_restart('a receiver killed', 0);

my $crashes = () = slurp_file($node->logfile) =~ /reinitializing/g;
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; INSERT INTO sensor SELECT now(), i, 0 FROM generate_series(1, 100000) i');
my $pid = $session->query_safe('SELECT pg_backend_pid()');
kill 'KILL', $pid;
wait_until(5, sub { $crashes < (() = slurp_file($node->logfile) =~ /reinitializing/g) });
$node->poll_query_until('postgres', 'SELECT true');
$session->{run}->finish;
after_restart('a session killed', 0);
is(query('TABLE sensed'), '0|', 'and has not counted what it had');

for my $mode (qw(fast smart immediate))
{
	$flow = started(version => 'v5', seconds => 2, count => 1000000);
	wait_until(5, sub { query(q{SELECT count(*) FROM backstream.exporters}) > 0 });
	cmp_ok(seconds_of(sub { $node->stop($mode) }), '<', 5, "a $mode stop does not take long");
	finish_generate($flow);
	$node->start;
		after_restart("stopped ($mode)", $mode eq 'immediate' ? 0 : 1);
}
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|ERROR:  (?!canceling)(?!deadlock).*backstream receiver|signal 11|signal 6/, 'nothing crashed by itself');
$node->stop;
done_testing();
