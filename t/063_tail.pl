# SPDX-License-Identifier: PostgreSQL
# backstream.tail(): rows of windows as they close, at once, without gap or repetition; its ends; what was dropped.
use strict;
use warnings;
use BackStreamTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);

my $node = backstream_node('tail', conf => "statement_timeout = '30s'\n");
$node->start;

sub query { return $node->safe_psql('postgres', $_[0]) }

# A session that writes rows as they come.
sub follow
{
	my ($sql) = @_;
	my $self = { out => '', err => '' };
	$self->{run} = IPC::Run::start([ 'stdbuf', '-o0', 'psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$self->{out}, '2>', \$self->{err}, IPC::Run::timeout(60));
	return $self;
}

# Until it waits for a window: what closes from now on is its.
sub is_waiting
{
	my ($n) = @_;
	ok($node->poll_query_until('postgres', "SELECT count(*) = $n FROM pg_stat_activity WHERE query LIKE '%.tail(%' AND wait_event = 'Extension' AND pid <> pg_backend_pid()"), 'it waits');
}

sub until_lines
{
	my ($self, $n) = @_;
	my $until = time + 10;
	while (time < $until && ($self->{out} =~ tr/\n//) < $n)
	{
		$self->{run}->pump_nb;
		usleep(2_000);
	}
	return $self->{out} =~ tr/\n//;
}

query(<<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (t timestamptz, a int) SERVER backstream;
CREATE TABLE r (LIKE s);
CREATE VIEW v WITH (continuous, clock = 'data', lateness = '0', retain = '1 hour') AS SELECT tumble(t, '1 s') AS time, a, count(*) AS n FROM s GROUP BY 1, 2;
SQL

sub add
{
	my ($from, $to) = @_;
	query("INSERT INTO s SELECT timestamptz '2026-01-01 00:00:00+00' + i * interval '0.1 s', i % 3 FROM generate_series($from, $to) i;
INSERT INTO r SELECT timestamptz '2026-01-01 00:00:00+00' + i * interval '0.1 s', i % 3 FROM generate_series($from, $to) i");
}

# ---------- as they close ----------

add(0, 20);
my $tail = follow(q{SET backstream.listen_for = 0; COPY (SELECT * FROM backstream.tail(NULL::v)) TO STDOUT});
is_waiting(1);
my $start = time;
add(21, 30);
is(until_lines($tail, 3), 3, 'rows of a window come while the statement goes on');
cmp_ok(time - $start, '<', 2, 'at once');
my $more = follow(q{SET backstream.listen_for = 0; SELECT * FROM backstream.tail(NULL::v, '2026-01-01 00:00:00+00') LIMIT 588});
my @others = map { follow(qq{SET backstream.listen_for = 0; SELECT * FROM backstream.tail(NULL::v, '-infinity') WHERE a = $_ LIMIT 190}) } 0 .. 2;
for my $i (0 .. 196)
{
	add(31 + $i * 10, 40 + $i * 10);
}
# Windows 2 .. 199 have closed, each of three groups.
is(until_lines($tail, 198 * 3), 198 * 3, 'all have come');
$_->{run}->finish for $more, @others;
my $closed = q{SELECT date_trunc('second', t) AS time, a, count(*) AS n FROM r WHERE t < '2026-01-01 00:03:20+00'};
my @came = map { s/\t/|/gr } split /\n/, $tail->{out};
is_deeply([ map { substr $_, 0, 22 } @came ], [ sort map { substr $_, 0, 22 } @came ], 'in order of time');
is(join("\n", sort @came), query("$closed AND t >= '2026-01-01 00:00:02+00' GROUP BY 1, 2 ORDER BY 1, 2"), 'each once');
is(join("\n", sort split /\n/, $more->{out}), query("SELECT * FROM ($closed GROUP BY 1, 2) c WHERE time > '2026-01-01 00:00:00+00' ORDER BY 1, 2 LIMIT 588"), 'since a time, up to a LIMIT');
is(join("\n", sort split /\n/, join('', map { $_->{out} } @others)), query("SELECT * FROM ($closed GROUP BY 1, 2) c ORDER BY 1, 2 LIMIT 570"), 'several, with conditions');

# ---------- its ends ----------

my $pid = query(q{SELECT pid FROM pg_stat_activity WHERE query LIKE '%COPY%.tail(%' AND pid <> pg_backend_pid()});
is(query("SELECT backend_xmin IS NULL, wait_event FROM pg_stat_activity WHERE pid = $pid"), 't|Extension', 'no snapshot is held back while it waits');
$start = time;
query("SELECT pg_cancel_backend($pid)");
eval { $tail->{run}->finish };
cmp_ok(time - $start, '<', 1, 'cancel ends it');
like($tail->{err}, qr/canceling statement due to user request/, 'with the usual message');

# How soon, at best: other processes use the machine too.
my $best = 1000;
for (1 .. 20)
{
	my ($ret, $took) = $node->psql('postgres', <<'SQL', extra_params => ['-v', 'ON_ERROR_STOP=0']);
SET backstream.listen_for = 0;
SET statement_timeout = '200ms';
SELECT clock_timestamp() AS began \gset
SELECT * FROM backstream.tail(NULL::v);
RESET statement_timeout;
SELECT extract(milliseconds FROM clock_timestamp() - :'began')::int;
SQL
	$best = $took if $took < $best;
	last if $best < 300;
}
cmp_ok($best, '>=', 200, 'a timeout cancels it');
cmp_ok($best, '<', 300, 'within 100 ms (' . ($best - 200) . ')');

query(<<'SQL');
CREATE FUNCTION cancelled_after() RETURNS interval LANGUAGE plpgsql AS $$
DECLARE began timestamptz := clock_timestamp();
BEGIN
	SET LOCAL statement_timeout = 0;
	PERFORM count(*) FROM backstream.tail(NULL::v);
	RETURN clock_timestamp() - began;
END $$;
SQL
is(query(q{SET backstream.listen_for = '300 ms'; SELECT cancelled_after() BETWEEN '300 ms' AND '1 s'}), 't', 'backstream.listen_for ends it, without an error');
is(query(q{SET backstream.listen_for = '10 ms'; SELECT count(*), count(DISTINCT (time, a)) FROM backstream.tail(NULL::v, '-infinity')}), query("SELECT count(*), count(*) FROM ($closed AND t < '2026-01-01 00:03:20+00' GROUP BY 1, 2) c"), 'what is there comes first');

# ---------- snapshots ----------

# What may look at a table keeps VACUUM off its rows; nothing else does.
query(<<'SQL');
CREATE FUNCTION looks(int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM public.r WHERE a = $1';
CREATE VIEW looking WITH (continuous, clock = 'data', lateness = '0', retain = '1 hour') AS
  SELECT tumble(t, '1 s') AS time, looks(count(*)::int) AS n FROM s GROUP BY 1;
CREATE VIEW above WITH (continuous) AS SELECT tumble(time, '1 min') AS minute, sum(n) AS n FROM v GROUP BY 1;
CREATE VIEW ordinary AS SELECT time, n FROM backstream.tail(NULL::v) WHERE n > 0;
SQL
for my $case (
	[ 't', 'SELECT * FROM backstream.tail(NULL::v)' ],
	[ 't', 'SELECT a, sum(n) / 2 FROM backstream.tail(NULL::v) WHERE n > 1 GROUP BY a' ],
	[ 't', 'SELECT * FROM backstream.tail(NULL::above)' ],
	[ 't', 'SELECT * FROM ordinary' ],
	[ 't', 'BEGIN; DECLARE c CURSOR FOR SELECT * FROM backstream.tail(NULL::v); FETCH ALL FROM c' ],
	[ 'f', 'SELECT * FROM backstream.tail(NULL::v) JOIN r USING (a)' ],
	[ 'f', 'SELECT looks(a) FROM backstream.tail(NULL::v)' ],
	[ 'f', 'SELECT * FROM backstream.tail(NULL::looking)' ],
	[ 'f', 'SELECT * FROM backstream.tail(NULL::v) WHERE n > (SELECT count(*) FROM r)' ],
	[ 'f', 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM backstream.tail(NULL::v)' ])
{
	my ($expected, $sql) = @$case;
	my $session = follow("/* snapshot */ SET backstream.listen_for = 0; $sql");
	my $found = q{FROM pg_stat_activity WHERE query LIKE '/* snapshot%' AND wait_event = 'Extension'};
	$node->poll_query_until('postgres', "SELECT count(*) = 1 $found");
	is(query("SELECT backend_xmin IS NULL $found"), $expected, ($expected eq 't' ? 'no snapshot: ' : 'a snapshot: ') . $sql);
	query("SELECT pg_cancel_backend(pid) $found");
	eval { $session->{run}->finish };
}
query('DROP VIEW ordinary; DROP FOREIGN TABLE looking, above; DROP FUNCTION looks');

# ---------- a cursor ----------

my $cursor = $node->background_psql('postgres');
$cursor->query_safe(q{SET backstream.listen_for = 0; BEGIN; DECLARE c CURSOR FOR SELECT time, sum(n) OVER () FROM (SELECT time, n FROM backstream.tail(NULL::v, since => '2026-01-01 00:03:18+00') LIMIT 3) x});
like($cursor->query_safe('FETCH 2 FROM c'), qr/^2026-01-01 00:03:19.*\|10/, 'a cursor');
$cursor->query_safe('ROLLBACK');
$cursor->query_safe(q{BEGIN; DECLARE c CURSOR FOR SELECT * FROM backstream.tail(NULL::v)});
$cursor->query_safe('SET LOCAL backstream.listen_for = 0');
my $inserter = follow(q{SELECT pg_sleep(0.3); INSERT INTO s VALUES ('2026-01-01 00:03:21+00', 1)});
$start = time;
like($cursor->query_safe('FETCH 1 FROM c'), qr/^2026-01-01 00:03:20/, 'FETCH returns when there is a row');
cmp_ok(time - $start, '<', 5, 'and does not wait for more');
$inserter->{run}->finish;
$cursor->query_safe('COMMIT');
$cursor->quit;

# ---------- what was dropped ----------

query(q{ALTER VIEW v SET (retain = '2 s'); INSERT INTO s SELECT timestamptz '2026-01-01 00:10:00+00' + i * interval '1 s', 1 FROM generate_series(0, 30) i});
my ($status, $out, $err) = $node->psql('postgres', q{SET backstream.listen_for = '10 ms'; SET TimeZone = 'UTC'; SELECT count(*) FROM backstream.tail(NULL::v, '2026-01-01 00:05:00+00')});
is($out, 2, 'those that are there');
like($err, qr/NOTICE:  windows of continuous view "v" up to the one of 2026-01-01 00:10:27\+00 were dropped/, 'the others are told');
($status, $out, $err) = $node->psql('postgres', q{SET backstream.listen_for = '10 ms'; SELECT count(*) FROM backstream.tail(NULL::v, '2026-01-01 00:10:27+00')});
is("$out $err", '2 ', 'none when nothing was missed');

# ---------- what cannot be followed ----------

query('CREATE VIEW n WITH (continuous) AS SELECT count(*) AS n FROM s; CREATE VIEW hidden WITH (continuous) AS SELECT a, count(*) AS n FROM s GROUP BY tumble(t, $$1 s$$), a; CREATE ROLE carol');
for my $case ([ 'NULL::n', qr/cannot be followed/ ], [ 'NULL::hidden', qr/cannot be followed/ ], [ 'NULL::r', qr/"r" is not a continuous view/ ])
{
	($status, $out, $err) = $node->psql('postgres', "SELECT * FROM backstream.tail($case->[0])");
	like($err, $case->[1], "tail($case->[0])");
}
($status, $out, $err) = $node->psql('postgres', 'SET ROLE carol; SELECT * FROM backstream.tail(NULL::v)');
like($err, qr/permission denied for foreign table v/, 'without the right to read it');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|signal 6/, 'nothing crashed');
$node->stop;
done_testing();
