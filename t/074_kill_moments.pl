# SPDX-License-Identifier: PostgreSQL
# A receiver, the keeper, or the server is killed at random moments, twenty times, while sessions commit and datagrams
# come; three more times it is told to stop.  What was written before is there, nothing that was not committed or sent is,
# nothing counts twice; after a stop nothing that was committed is missing.
#
# Each record has a number.  What sessions insert goes into a table, too, in the same transaction.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use IO::Socket::INET;
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seed = $ENV{BACKSTREAM_SEED} // int(time);
srand($seed);
note "BACKSTREAM_SEED=$seed";
my $port = free_port();
my $node = backstream_node('moments',
	conf => "backstream.listen = '127.0.0.1:$port'\nbackstream.workers = 2\nbackstream.checkpoint_interval = '1s'\nbackstream.memory = '256MB'\n"
	  . "restart_after_crash = on\nmax_worker_processes = 16\nstatement_timeout = '120s'\n");

sub query { return $node->safe_psql('postgres', $_[0]) }

$node->start;
query(<<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE numbered (t timestamptz, i bigint) SERVER backstream;
CREATE TABLE sent (i bigint PRIMARY KEY);
CREATE SEQUENCE numbers;
CREATE VIEW total WITH (continuous) AS SELECT count(*) AS n, sum(i) AS sum FROM numbered;
CREATE VIEW seen WITH (continuous, clock = 'data', lateness = '30 s', retain = '10 days') AS
  SELECT backstream.tumble(t, '10 s') AS time, i, count(*) AS n FROM numbered GROUP BY 1, 2;
CREATE VIEW upper WITH (continuous, retain = '10 days') AS SELECT time, count(*) AS groups, sum(n) AS n FROM seen GROUP BY 1;
CREATE VIEW flows WITH (continuous) AS SELECT src_addr, count(*) AS n FROM backstream.flow GROUP BY 1;
CREATE PROCEDURE put(howmany int) LANGUAGE sql AS $$
	WITH x AS (INSERT INTO sent SELECT nextval('numbers') FROM generate_series(1, howmany) RETURNING i)
	INSERT INTO numbered SELECT '2026-01-01 00:00+00'::timestamptz + i * interval '10 ms', i FROM x;
$$;
-- As long as the server is there, and no longer than a minute.
CREATE PROCEDURE write() LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := clock_timestamp() + interval '1 min';
BEGIN
	WHILE clock_timestamp() < until LOOP
		CALL put(40);
		COMMIT;
		PERFORM pg_sleep(0.002);
	END LOOP;
END $$;
CALL put(1500);
SQL
# Some windows were counted under an earlier definition.
query(<<'SQL');
CREATE OR REPLACE VIEW seen WITH (continuous, clock = 'data', lateness = '30 s', retain = '10 days') AS
  SELECT backstream.tumble(t, '10 s') AS time, i, count(*) AS n, max(i) AS most FROM numbered GROUP BY 1, 2;
CALL put(1000);
SQL
is(query('SELECT count(*), count(most) FROM seen'), '2500|501', 'windows of two definitions');
my $moment = query('SELECT clock_timestamp()');
ok($node->poll_query_until('postgres', "SELECT last_written - write_time > '$moment' FROM backstream.checkpoint"), 'are written');

# ---------- load

my $began = time;
# Datagrams of NetFlow v5, each of one record with an address of its own, until it is told to end.
pipe(my $from_sender, my $to_test) or die "pipe: $!";
my $parent = $$;
my $sender = fork // die "fork: $!";
if ($sender == 0)
{
	my $socket = IO::Socket::INET->new(Proto => 'udp', PeerAddr => "127.0.0.1:$port") or POSIX::_exit(1);
	my $nsent = 0;
	my $told = 0;

	close $from_sender;
	$SIG{TERM} = sub { $told = 1 };
	while (!$told && getppid() == $parent && $nsent < 1_000_000)
	{
		# While nobody listens it is an error, and lost.
		$socket->send(pack('nnNNNNCCn', 5, 1, 1_000_000, time, 0, $nsent, 0, 0, 0)
			  . pack('NNNnnNNNNnnCCCCnnCCn', 0x0A000000 + ++$nsent, 1, 0, 0, 0, 1, 100, 999_000, 999_500, 1, 2, 0, 0, 17, 0, 0, 0, 0, 0, 0));
		usleep(2000);
	}
	syswrite $to_test, "$nsent\n";
	POSIX::_exit(0);
}
close $to_test;

sub start_writer
{
	my ($out, $err) = ('', '');
	return IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'CALL write()' ], '<', \undef, '>', \$out, '2>', \$err);
}

sub reinitialized { return scalar(() = slurp_file($node->logfile) =~ /reinitializing/g) }

# What is there, and when that was known.
sub look
{
	my ($n, $flows, $at) = split /\n/, query('SELECT n FROM total; SELECT count(*) FROM flows; SELECT extract(epoch FROM clock_timestamp())');
	return { n => $n, flows => $flows, at => $at };
}

sub kill_one
{
	my ($what) = @_;
	if ($what eq 'server') { crash_node($node) }
	elsif ($what eq 'stop') { $node->stop('fast'); $node->start }
	else
	{
		my $before = reinitialized();
		my $pid = '';

		wait_until(60, sub { ($pid = query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'backstream $what' ORDER BY random() LIMIT 1")) ne '' });
		usleep(rand(100_000));
		kill('KILL', $pid) or die "no $what to kill\n";
		wait_until(120, sub { reinitialized() > $before }) or die "the server does not start again\n";
	}
	$node->poll_query_until('postgres', "SELECT state = 'ready' FROM backstream.checkpoint");
}

my @kinds = (('keeper', 'receiver', 'server') x 7)[0 .. 19];
splice @kinds, $_, 0, 'stop' for 5, 11, 17;
my %times;
my $nbounds = 0;
my $missing = 0;

for my $kind (@kinds)
{
	my @writers = map { start_writer() } 1 .. 2;
	my $end = time + 0.1 + rand(0.9);
	my @looks;
	do { push @looks, look() } while (time < $end);
	my $written = query('SELECT extract(epoch FROM last_written - write_time) FROM backstream.checkpoint') || 0;
	kill_one($kind);
	# Their server has gone.
	$_->finish for @writers;
	my $round = ++$times{$kind};

	# What had been counted when the last checkpoint began is there.
	my ($safe) = grep { $_->{at} < $written } reverse @looks;
	my ($n, $nsent, $nflows) = split /\|/, query('SELECT (SELECT n FROM total), (SELECT count(*) FROM sent), (SELECT count(*) FROM flows)');
	if (defined $safe)
	{
		$nbounds++;
		cmp_ok($n, '>=', $safe->{n}, "$kind $round: what had been written of sessions");
		cmp_ok($nflows, '>=', $safe->{flows}, "$kind $round: and of receivers");
	}
	cmp_ok($n, '<=', $nsent, "$kind $round: nothing that was not committed");
	is($nsent - $n, $missing, "$kind $round: all that was committed") if $kind eq 'stop';
	$missing = $nsent - $n;
	is(query('SELECT count(*) FROM seen LEFT JOIN sent USING (i) WHERE n <> 1 OR sent.i IS NULL'), 0, "$kind $round: nothing counts twice");
	is(query('SELECT count(*) FROM flows WHERE n <> 1'), 0, "$kind $round: nor do datagrams");
	is(query('SELECT count(*) FROM seen WHERE i <= 1500 AND most IS NULL'), 1500, "$kind $round: windows of the earlier definition");
	is(query("SELECT count(*) FROM backstream.windows('seen') w WHERE state = 'closed'
		AND records <> (SELECT coalesce(sum(n), 0) FROM seen WHERE time = window_start)"), 0, "$kind $round: closed windows have as many records as they say");
	is(query('SELECT count(*) FROM upper u WHERE n < (SELECT sum(n) FROM seen s WHERE s.time = u.time)'), 0, "$kind $round: the view above has each window whole");
}
kill 'TERM', $sender;
my $nsent = <$from_sender>;
waitpid $sender, 0;
chomp $nsent;
note sprintf('%d moments in %.0f s, %d records committed, %d missing, %d datagrams sent, %d counted',
	scalar @kinds, time - $began, query('SELECT count(*) FROM sent'), $missing, $nsent, query('SELECT count(*) FROM flows'));
cmp_ok(query('SELECT count(*) FROM flows'), '<=', $nsent, 'no datagram that was not sent');
cmp_ok(query('SELECT count(*) FROM flows'), '>', 0, 'some were counted');
is($times{keeper} + $times{receiver} + $times{server}, 20, 'twenty times killed');
cmp_ok($nbounds, '>', 3, "a checkpoint in between, $nbounds times");
unlike(slurp_file($node->logfile), qr/PANIC:|TRAP:|signal 11|signal 6/, 'nothing crashed by itself');
$node->stop;
done_testing();
