# SPDX-License-Identifier: PostgreSQL
# backstream.tail() of a view that nodes keep: the merged rows of windows as all nodes have closed them, once each and in order;
# nodes that go away while it waits.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use BackStreamTraffic;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my ($reader, @nodes) = start_backbone(conf => "statement_timeout = '300s'\nTimeZone = 'UTC'\nbackstream.node_timeout = '60s'\n");

sub query { return $reader->safe_psql('postgres', $_[0]) }

sql_all('CREATE FOREIGN TABLE s (t timestamptz, k int, v bigint) SERVER backstream', @nodes);
query(q{CREATE SCHEMA plain; CREATE TABLE plain.s (t timestamptz, k int, v bigint); IMPORT FOREIGN SCHEMA public FROM SERVER backbone INTO backbone;
	CREATE VIEW backbone.v WITH (continuous, clock = 'data', lateness = '0', retain = '10 min') AS SELECT tumble(t, '10 s') AS time, k, count(*) AS n, count(DISTINCT v) AS vs FROM backbone.s WHERE k >= 0 GROUP BY 1, 2 HAVING count(*) >= 8});

# Ten seconds number n, of which each node has a part; a record at the end closes them.
sub add
{
	my ($n, @which) = @_;

	for my $node (@which)
	{
		my $records = qq{SELECT timestamptz '2026-01-01 00:00Z' + $n * interval '10 s' + i % 10 * interval '1 s' AS t, i % 7 AS k, (i * $node)::bigint % 11 AS v FROM generate_series(1, 30) i};

		$nodes[$node - 1]->safe_psql('postgres', "INSERT INTO s $records; INSERT INTO s VALUES (timestamptz '2026-01-01 00:00Z' + ($n + 1) * interval '10 s', -1, 0)");
		query("INSERT INTO plain.s $records");
	}
}

# A session that writes rows as they come.
sub follow
{
	my ($sql) = @_;
	my $self = { out => '', err => '' };
	$self->{run} = IPC::Run::start([ 'stdbuf', '-o0', 'psql', '-X', '-A', '-t', '-q', '-d', $reader->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$self->{out}, '2>', \$self->{err}, IPC::Run::timeout(300));
	return $self;
}

sub until_lines
{
	my ($self, $n) = @_;
	wait_until(120, sub { $self->{run}->pump_nb; return ($self->{out} =~ tr/\n//) >= $n });
	return $self->{out} =~ tr/\n//;
}

my $waits = q{query LIKE '%.tail(%' AND wait_event = 'Extension' AND pid <> pg_backend_pid()};
my $oracle = q{SELECT date_bin('10 s', t, '2000-01-01Z') AS time, k, count(*) AS n, count(DISTINCT v) AS vs FROM plain.s WHERE t < '%s' GROUP BY 1, 2 HAVING count(*) >= 8};

add($_, 1 .. 3) for 0 .. 1;
my $tail = follow(q{SET backstream.listen_for = 0; COPY (SELECT * FROM backstream.tail(NULL::backbone.v)) TO STDOUT});
my $since = follow(q{SET backstream.listen_for = 0; COPY (SELECT * FROM backstream.tail(NULL::backbone.v, since => '2026-01-01 00:00:00Z') WHERE k = 3 LIMIT 5) TO STDOUT});
ok($reader->poll_query_until('postgres', "SELECT count(*) = 2 FROM pg_stat_activity WHERE $waits"), 'they wait');
ok($reader->poll_query_until('postgres', "SELECT count(*) = 2 FROM pg_stat_activity WHERE $waits AND backend_xmin IS NULL"), 'and hold no snapshot back');
is(until_lines($since, 1), 1, 'what has closed after since comes first');
add(2, 1, 3);
is(query(q{SET backstream.listen_for = '1 s'; SELECT count(*) FROM backstream.tail(NULL::backbone.v)}), 0, 'a window that one node has open does not come');
add(2, 2);
is(until_lines($tail, 7), 7, 'it comes when all have closed it');
add($_, 1 .. 3) for 3 .. 5;
is(until_lines($tail, 28), 28, 'and those after it');
$since->{run}->finish;
is(join(' ', map { substr($_, 17, 2) } split /\n/, $since->{out}), '10 20 30 40 50', 'conditions and LIMIT hold');
my $came = join "\n", sort map { s/\t/|/gr } split /\n/, $tail->{out};
is($came, join("\n", sort split /\n/, query(sprintf("SELECT * FROM ($oracle) w WHERE time >= '2026-01-01 00:00:20Z'", '2026-01-01 00:01Z'))), 'each row once, as of all records');
is(join(' ', map { substr $_, 0, 19 } split /\n/, $tail->{out}), join(' ', sort map { substr $_, 0, 19 } split /\n/, $tail->{out}), 'in order of time');
is(query(q{SET backstream.listen_for = '10 ms'; SELECT count(*), count(DISTINCT (time, k)) FROM backstream.tail(NULL::backbone.v, '-infinity')}), query(sprintf "SELECT count(*), count(*) FROM ($oracle) w", '2026-01-01 00:01Z'), 'all that there is, from the beginning');

# ---------- ends ----------

is(query("SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE $waits"), 1, 'one is cancelled');
eval { $tail->{run}->finish };
like($tail->{err}, qr/canceling statement due to user request/, 'and ends');

$tail = follow(q{SET backstream.listen_for = 0; SELECT * FROM backstream.tail(NULL::backbone.v)});
ok($reader->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE $waits"), 'another');
$nodes[1]->stop('immediate');
eval { $tail->{run}->finish };
like($tail->{err}, qr/node "node_2"/, 'a node that goes away ends it with an error that names it');
query(q{ALTER VIEW backbone.v SET (on_node_failure = 'partial')});
$tail = follow(q{SET backstream.listen_for = 0; SELECT * FROM backstream.tail(NULL::backbone.v, '2026-01-01 00:00:50Z') LIMIT 7});
ok($reader->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE $waits"), 'without it');
add(6, 1, 3);
eval { $tail->{run}->finish };
is($tail->{out} =~ tr/\n//, 7, 'the others\' rows come');
is(() = $tail->{err} =~ /WARNING:  the result lacks what node "node_2" has counted/g, 1, 'with one warning');

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for $reader, @nodes;
$_->stop('fast', fail_ok => 1) for $reader, @nodes;
done_testing();
