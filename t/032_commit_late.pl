# SPDX-License-Identifier: PostgreSQL
# A session evaluates its records by a definition that nobody has begun to count yet, and its commit takes long.  Whoever
# replaces the definition meanwhile waits for it: what he begins to count is not given up for what was.
use strict;
use warnings;
use lib "$ENV{BACKSTREAM_SOURCE}";
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use BackStreamTest;

my $node = backstream_node('late', conf => "backstream.workers = 1\nwal_level = replica\nmax_wal_senders = 1\n");
$node->start;
my @sessions;

sub query { return $node->safe_psql('postgres', "SET synchronous_commit = local; SET client_min_messages = warning; $_[0]") }

sub start_psql
{
	my ($name, $sql) = @_;
	my %session = (out => '', err => '');
	$session{run} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . " application_name=$name", '-c', $sql ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err}, IPC::Run::timeout(180));
	push @sessions, \%session;
}

sub waits
{
	my ($name, $event) = @_;
	return $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$name' AND $event");
}

query('CREATE EXTENSION backstream; CREATE TABLE t (n int); CREATE FOREIGN TABLE s (n int) SERVER backstream');
# Nobody but sessions takes definitions up.
my @workers = split /\n/, query("SELECT pid FROM pg_stat_activity WHERE backend_type IN ('backstream receiver', 'backstream keeper')");
is(scalar @workers, 2, 'a receiver and the keeper');
kill STOP => @workers;
query('CREATE VIEW v WITH (continuous) AS SELECT count(*) AS n FROM s');
$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('synchronous_standby_names') = 'nobody'");

start_psql('commits', 'BEGIN; INSERT INTO t VALUES (1); INSERT INTO s VALUES (1), (2), (3); COMMIT');
ok(waits('commits', "wait_event = 'SyncRep'"), 'a commit that has not ended');
start_psql('replaces', "SET synchronous_commit = local; SET client_min_messages = warning;"
	. " CREATE OR REPLACE VIEW v WITH (continuous, take_over = 'now') AS SELECT count(*) AS n FROM s WHERE n > 4; INSERT INTO s VALUES (5), (6)");
ok(waits('replaces', "wait_event_type = 'Lock'"), 'who replaces the definition waits for it');
$node->safe_psql('postgres', 'SET synchronous_commit = local; ALTER SYSTEM RESET synchronous_standby_names');
$node->reload;
for my $session (@sessions)
{
	$session->{run}->finish;
	is($session->{err}, '', 'it went on');
}
is(query('TABLE v'), '2', 'what has been counted since is there');
kill CONT => @workers;
query('INSERT INTO s VALUES (4), (5)');
is(query('TABLE v'), '3', 'and goes on');
$node->stop;
done_testing();
