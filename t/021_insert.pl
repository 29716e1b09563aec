# SPDX-License-Identifier: PostgreSQL
# Inserting into streams where it takes several sessions, settings or a look at the process.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = backstream_node('insert',
	conf => "max_prepared_transactions = 5\nmax_connections = 30\nlog_temp_files = 0\n");
$node->start;
$node->safe_psql('postgres', <<'END');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (k int, x bigint) SERVER backstream;
CREATE TABLE kept (k int, x bigint);
CREATE VIEW v WITH (continuous) AS SELECT k, count(*) AS n, sum(x) AS x FROM s GROUP BY k;
CREATE VIEW kept_v AS SELECT k, count(*) AS n, sum(x) AS x FROM kept GROUP BY k;
END

sub rows_of { return $node->safe_psql('postgres', "SELECT n, x FROM v WHERE k = $_[0]") }

# A failure after the rows were evaluated and before the commit: two serializable transactions of
# which one must go, found out in its commit.
sub session
{
	my %session = (in => '', out => '', err => '');
	$session{handle} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$session{in}, '>', \$session{out}, '2>', \$session{err},
		IPC::Run::timeout(60));
	return \%session;
}

# Run a command and wait until it is done.
sub say_to
{
	my ($session, $sql) = @_;
	$session->{out} = '';
	$session->{in} .= "$sql\n\\echo done\n";
	$session->{handle}->pump until $session->{out} =~ /^done$/m;
}

my ($one, $two) = (session(), session());
for my $session ($one, $two)
{
	say_to($session, '\set VERBOSITY verbose');
	say_to($session, 'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM kept;');
}
say_to($one, 'INSERT INTO kept VALUES (1, 10); INSERT INTO s VALUES (1, 10);');
say_to($two, 'INSERT INTO kept VALUES (2, 20); INSERT INTO s VALUES (2, 20);');
say_to($one, 'COMMIT;');
say_to($two, 'COMMIT;');
is($one->{err}, '', 'one serializable transaction commits');
like($two->{err}, qr/40001.*during commit attempt/s, 'the other fails in its commit');
is(rows_of(1), '1|10', 'what committed counts');
is(rows_of(2), '', 'what failed does not');
# The session goes on.
say_to($two, 'INSERT INTO kept VALUES (3, 30); INSERT INTO s VALUES (3, 30);');
is(rows_of(3), '1|30', 'and the session goes on');

# Terminated in the middle of a transaction.
say_to($two, 'BEGIN; INSERT INTO s VALUES (4, 40);');
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE state = 'idle in transaction'");
is(rows_of(4), '', 'a terminated session feeds nothing');
$one->{in} .= "\\q\n";
$_->{handle}->finish for $one, $two;

# PREPARE TRANSACTION: refused with rows, fine when they were rolled back.
my ($status, $out, $err) = $node->psql('postgres',
	"BEGIN; INSERT INTO s VALUES (5, 50); PREPARE TRANSACTION 'refused'");
like($err, qr/cannot PREPARE a transaction that has inserted into stream "s"/, 'PREPARE is refused');
$node->safe_psql('postgres', <<'END');
BEGIN;
SAVEPOINT a;
INSERT INTO s SELECT 6, i FROM generate_series(1, 100000) i;
ROLLBACK TO a;
INSERT INTO kept VALUES (6, 60);
DELETE FROM kept WHERE k = 6;
PREPARE TRANSACTION 'fine';
END
$node->safe_psql('postgres', "COMMIT PREPARED 'fine'");
is(rows_of(5) . rows_of(6), '', 'and neither feeds anything');

# Millions of rows in one transaction: in a temporary file, and the process does not grow.
my ($hwm_before, $hwm_after, $tmp) = split /\n/, $node->safe_psql('postgres', <<'END');
SET work_mem = '64kB';
INSERT INTO s VALUES (7, 0);
INSERT INTO kept VALUES (7, 0);
SELECT substring(pg_read_file('/proc/self/status') from 'VmHWM:\s+(\d+)');
BEGIN;
INSERT INTO s SELECT 1000 + i % 100, i FROM (SELECT generate_series(1, 3000000) AS i) q;
COMMIT;
SELECT substring(pg_read_file('/proc/self/status') from 'VmHWM:\s+(\d+)');
INSERT INTO kept SELECT 1000 + i % 100, i FROM (SELECT generate_series(1, 3000000) AS i) q;
END
cmp_ok($hwm_after - $hwm_before, '<', 8 * 1024,
	"3,000,000 rows take less than 8 MB of memory ($hwm_before kB, then $hwm_after kB)");
my ($largest) = sort { $b <=> $a } slurp_file($node->logfile) =~ /temporary file: path .*, size (\d+)/g;
cmp_ok($largest, '>', 50_000_000, "they were in a temporary file of $largest bytes");
is(differences($node, 'v', 'kept_v'), 0, 'and all of them count');
unlike(slurp_file($node->logfile), qr/temporary file leak/, 'no file is left');

# Cancelled while they are evaluated.  (statement_timeout ends before the commit begins.)
my $three = session();
$three->{in} .= <<'END';
BEGIN;
INSERT INTO s SELECT 8, i FROM (SELECT generate_series(1, 2000000) AS i) q;
COMMIT;
\q
END
$three->{handle}->pump_nb;
is($node->safe_psql('postgres', <<'END'), 't', 'a commit was going on');
CREATE FUNCTION cancel_commit() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	committing int;
BEGIN
	FOR i IN 1 .. 20000 LOOP
		PERFORM pg_stat_clear_snapshot();
		SELECT pid INTO committing FROM pg_stat_activity WHERE query = 'COMMIT;' AND state = 'active';
		IF FOUND THEN
			RETURN pg_cancel_backend(committing);
		END IF;
		PERFORM pg_sleep(0.001);
	END LOOP;
	RETURN false;
END $$;
SELECT cancel_commit();
END
$three->{handle}->finish;
like($three->{err}, qr/canceling statement due to user request/, 'it can be cancelled');
is(rows_of(8), '', 'and feeds nothing');

# Several writers and a reader at once; each transaction writes both, some roll back.
my $work = <<'END';
CREATE PROCEDURE work(seed int) LANGUAGE plpgsql AS $$
BEGIN
	FOR t IN 1 .. 200 LOOP
		INSERT INTO s SELECT 2000 + (i + seed) % 300, i * seed FROM generate_series(1, 200) i;
		INSERT INTO kept SELECT 2000 + (i + seed) % 300, i * seed FROM generate_series(1, 200) i;
		BEGIN
			INSERT INTO s VALUES (2000 + t, 1);
			INSERT INTO kept VALUES (2000 + t, 1);
			IF t % 2 = 0 THEN
				RAISE no_data_found;
			END IF;
		EXCEPTION WHEN no_data_found THEN NULL;
		END;
		IF t % 7 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
	END LOOP;
END $$;
END
$node->safe_psql('postgres', $work);
my @writers = map { session() } 1 .. 4;
my $seed = 0;
$_->{in} .= 'CALL work(' . ++$seed . ");\n\\q\n" for @writers;
$_->{handle}->pump_nb for @writers;
my $reads = 0;
my $give_up = time + 120;
while (time < $give_up && grep { $_->{handle}->pumpable } @writers)
{
	$_->{handle}->pump_nb for grep { $_->{handle}->pumpable } @writers;
	$node->safe_psql('postgres', 'SELECT sum(n), sum(x) FROM v');
	$reads++;
}
$_->{handle}->finish for @writers;
is(join('', map { $_->{err} } @writers), '', "four writers, read $reads times meanwhile");
is(differences($node, 'v', 'kept_v'), 0, 'and all that they committed counts, once');
cmp_ok($node->safe_psql('postgres', 'SELECT sum(n) FROM v WHERE k BETWEEN 2000 AND 2999'), '>', 100_000,
	'which is much');
is($node->safe_psql('postgres',
		"SELECT late + future + untimed + overflowed + errors, received = (SELECT sum(n) FROM v)
		   FROM backstream.views WHERE view = 'v'::regclass"),
	'0|t', 'nothing was left out');

$node->stop;
done_testing();
