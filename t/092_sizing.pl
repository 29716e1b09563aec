# SPDX-License-Identifier: PostgreSQL
# The formulas of docs/operations.md and docs/formats.md hold on a server: windows in memory, bytes of a group,
# what a view takes with one writer and with two; what is on disk; processes; the socket's buffer.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use IO::Socket::INET;
use POSIX qw(ceil);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket;
use Test::More;

# The formulas as they stand there, so that neither changes alone.
my $operations = slurp_file("$ENV{BACKSTREAM_SOURCE}/docs/operations.md");
for my $formula (
	'bytes of a group  = group_bytes + 16 to 32 ',
	'windows in memory = (retain + window) / window + those still open (lateness / window + 1)',
	'a view            = windows in memory * groups of a window * bytes of a group * workers that see those groups',
	'bytes = datagrams/s * (bytes of a datagram, rounded up by the kernel to some 2 kB) * seconds to bridge',
	'`max_worker_processes` must hold `backstream.workers` + 3 ')
{
	like($operations, qr/\Q$formula\E/, "docs/operations.md: $formula");
}
like(slurp_file("$ENV{BACKSTREAM_SOURCE}/docs/formats.md"), qr/^    bytes per group = row \+ 8 \* \(2 to 4\) /m, 'docs/formats.md says the same');

# Processes: the launcher of logical replication takes one, too.
my $port = free_port();
my $node = backstream_node('sizing', conf => <<"CONF");
backstream.listen = '127.0.0.1:$port'
backstream.memory = '200MB'
backstream.workers = 2
max_worker_processes = 6
CONF
$node->start;
sub sql { return $node->safe_psql('postgres', $_[0]) }
sql('CREATE EXTENSION backstream');
my $processes = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'backstream%'";
ok($node->poll_query_until('postgres', "SELECT ($processes) = 5"), 'workers + 3 processes of BackStream, in as many of max_worker_processes');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'backstream receiver%'"), 2, 'two of them receivers');

# ---------- windows and groups ----------

sql(q{CREATE FOREIGN TABLE s (at timestamptz, a int8, b int8, addr inet, name text, v int8) SERVER backstream});
# view, keys, window, retain, lateness (all in seconds), groups of a window, bytes that a key of variable length has at most.
my @shapes = (
	[ 'matrix', 'a, b', 60, 600, 30, 3000, 0 ],
	[ 'short', 'a, b', 10, 60, 0, 2000, 0 ],
	[ 'late', 'addr', 20, 200, 100, 1500, 0 ],
	[ 'text', 'name', 60, 300, 10, 3000, 24 ],
);
for my $shape (@shapes)
{
	my ($view, $keys, $window, $retain, $lateness) = @$shape;

	sql("CREATE VIEW $view WITH (continuous, clock = 'data', retain = '$retain s', lateness = '$lateness s') AS
		SELECT tumble(at, '$window s') AS time, $keys, sum(v) AS bytes, sum(v + 1) AS packets, count(*) AS flows FROM s GROUP BY time, $keys");
}
# Each shape has its groups in each of its windows: a record for each group every ten seconds, for 20 minutes.
for my $minute (0 .. 19)
{
	sql("INSERT INTO s SELECT timestamptz '2026-01-01 00:00Z' + interval '10 s' * ($minute * 6 + t), i, i % 7,
			'10.0.0.0'::inet + i % 1500, 'customer ' || i, 1 FROM generate_series(0, 5) t, generate_series(0, 2999) i");
}
$shapes[1][5] = 3000;

# What is there, and what the formulas say of it.
for my $shape (@shapes)
{
	my ($view, $keys, $window, $retain, $lateness, $groups, $more) = @$shape;
	my ($windows, $open, $memory, $row) = split /\|/, sql("SELECT count(*), count(*) FILTER (WHERE w.state = 'open'),
			max(v.memory_bytes), max(v.group_bytes) FROM backstream.windows('$view') w, backstream.views v WHERE v.view = '$view'::regclass");
	my $formula = ($retain + $window) / $window + $lateness / $window + 1;
	my $found = sql("SELECT max(groups) FROM backstream.windows('$view')");

	is($found, $groups, "$view: $groups groups of a window");
	cmp_ok($windows, '<=', ceil($formula), "$view: no more windows in memory than the formula says ($formula)");
	cmp_ok($windows, '>=', $formula - 2, "$view: and hardly fewer");
	cmp_ok($open, '<=', ceil($lateness / $window + 1), "$view: of which so many are open");
	my $rows = ceil($groups * $row / 65536) * 65536 + $groups * $more;
	cmp_ok($memory, '<=', $windows * ($rows + $groups * 32 + 2048), "$view: no more memory than the formula says");
	cmp_ok($memory, '>=', $windows * $groups * ($row + 16) * 0.85, "$view: and hardly less");
	diag("$view: $windows windows, $memory bytes, $row of a row") if $ENV{KEEP};
}

# ---------- on disk ----------

my $folder = $node->data_dir . '/pg_backstream';
my $memory = sql('SELECT sum(memory_bytes) FROM backstream.views');
$node->stop;
my $disk = 0;
$disk += -s $_ for glob "$folder/*/* $folder/*.*";
cmp_ok($disk, '>', $memory / 20, 'windows are on disk when the server is stopped');
cmp_ok($disk, '<=', $memory, 'and take no more than they did in memory');
$node->start;
sql("DROP VIEW $_->[0]") for @shapes;

# ---------- two writers ----------

sql(q{CREATE VIEW twice WITH (continuous) AS SELECT src_as, dst_as, sum(bytes) AS bytes, count(*) AS flows FROM backstream.flow GROUP BY 1, 2});
run_log([ "$ENV{BACKSTREAM_TOOLS}/bs-generate", "--target=127.0.0.1:$port", '--count=12000', '--rate=20000', '--as-pairs=4000', '--addresses=4000',
		'--keys=sequential', '--quiet' ]);
ok($node->poll_query_until('postgres', 'SELECT sum(flows) = 12000 FROM twice'), 'traffic has come');
my $one = sql("SELECT memory_bytes FROM backstream.views WHERE view = 'twice'::regclass");
sql('INSERT INTO backstream.flow (src_as, dst_as, bytes, time_event) SELECT src_as, dst_as, bytes, now() FROM twice');
my $two = sql("SELECT memory_bytes FROM backstream.views WHERE view = 'twice'::regclass");
is(sql('SELECT count(*) FROM twice'), 4000, 'the same groups by another writer');
cmp_ok($two, '>=', 1.9 * $one, 'take as much again');
cmp_ok($two, '<=', 2.1 * $one, 'and no more');
$node->stop;

# Too few processes: it is the server that says so, and the receivers that are there receive.
$node->append_conf('postgresql.conf', 'max_worker_processes = 5');
$node->start;
ok($node->poll_query_until('postgres', "SELECT ($processes) = 4"), 'with one less, one of them is missing');
$node->stop;

# ---------- the socket's buffer ----------

my $limit = slurp_file('/proc/sys/net/core/rmem_max') + 0;
my $asked = $limit < 1_000_000 ? $limit : 1_000_000;
my $held = int $asked / 2048;
my $receiver = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1') or die;
setsockopt($receiver, SOL_SOCKET, SO_RCVBUF, $asked) or die;
my $sender = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $receiver->sockport) or die;
$sender->send('x' x 1464) for 1 .. $held;
$receiver->blocking(0);
my ($got, $bytes) = (0);
$got++ while defined $receiver->recv($bytes, 2000);
is($got, $held, "a buffer of $asked bytes holds what the formula says: $held datagrams of 1464 bytes at 2 kB");

done_testing();
