# SPDX-License-Identifier: PostgreSQL
# Copies to other collectors: nfcapd gets every record that BackStream gets, over IPv4 and IPv6; a target
# that is away, one that is this server, and a name that nobody knows, are counted and keep nothing waiting.
use strict;
use warnings;
use BackStreamNfdump;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'nfcapd is not installed' unless has_nfdump();

my ($port, $nf4, $nf6, $nobody) = map { free_port() } 1 .. 4;
my $ipv4 = start_nfcapd('127.0.0.1', $nf4);
my $ipv6 = start_nfcapd('::1', $nf6);
ok($ipv4 && $ipv6, 'nfcapd listens');

my $node = backstream_node('forward', conf => <<"CONF");
backstream.listen = '127.0.0.1:$port'
backstream.receive_buffer = '4MB'
backstream.forward = 'localhost:$nf4, [::1]:$nf6, 127.0.0.1:$nobody, 127.0.0.1:$port, no-such-name.invalid:2055'
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
CREATE VIEW total WITH (continuous) AS
  SELECT count(*) AS flows, sum(packets) AS packets, sum(bytes) AS bytes FROM backstream.flow;
SQL

sub query { return $node->safe_psql('postgres', $_[0]) }

my $states = 'SELECT target, state, address IS NOT NULL, error IS NULL FROM backstream.forwards ORDER BY 2, 1';
my $wanted = join "\n",
  "no-such-name.invalid:2055|failed|f|f",
  "127.0.0.1:$port|loop|t|t",
  sort("127.0.0.1:$nobody|open|t|t", "[::1]:$nf6|open|t|t", "localhost:$nf4|open|t|t");
my $now = sub { my @rows = split /\n/, query($states); join "\n", @rows[0, 1], sort @rows[2 .. $#rows] };
wait_until(40, sub { $now->() eq $wanted });
is($now->(), $wanted, 'what becomes of each target');
is(query("SELECT address FROM backstream.forwards WHERE target = 'localhost:$nf4'"), "127.0.0.1:$nf4", 'and its address');

my $records = 0;
for my $version ('v5', 'v9', 'ipfix')
{
	$records += generate(target => "127.0.0.1:$port", count => 20000, rate => 40000, version => $version,
		exporters => 1, source_base => "127.0.24.1")->{records};
}
received_all($node, 'total', $records);
is(query('SELECT flows FROM total'), $records, 'every record is received');
my $received = query('SELECT sum(datagrams) FROM backstream.listeners');
is(query('SELECT count(*) FROM backstream.forwards WHERE datagrams + dropped + looped = ' . $received), 5,
	'every datagram is accounted for at every target');
is(query("SELECT string_agg(datagrams::text, ' ') FROM backstream.forwards WHERE target ~ '$nf4|$nf6'"),
	"$received $received", 'all were sent to those that listen');
is(query("SELECT looped FROM backstream.forwards WHERE state = 'loop'"), $received, 'none to itself');
is(query("SELECT dropped > 0, error FROM backstream.forwards WHERE target ~ '$nobody'"), 't|Connection refused',
	'nobody there: dropped, and said');
is(query("SELECT dropped FROM backstream.forwards WHERE state = 'failed'"), $received, 'no address: dropped');

my $total = query(q{SELECT concat_ws(' ', flows, packets, bytes) FROM total});
finish_nfcapd($_) for $ipv4, $ipv6;
is(nfcapd_sums($ipv4), $total, 'nfcapd has the same records, packets and bytes over IPv4');
is(nfcapd_sums($ipv6), $total, 'and over IPv6');

# The setting goes and comes, and is checked.
my ($status, $out, $err) = $node->psql('postgres', q{ALTER SYSTEM SET backstream.forward = '*:2055'});
like($err, qr/a host must be named/, 'a target without a host is refused');
$node->append_conf('postgresql.conf', "backstream.forward = ''\n");
$node->reload;
ok(wait_until(10, sub { query('SELECT count(*) FROM backstream.forwards') == 0 }), 'no targets, no rows');
$node->append_conf('postgresql.conf', "backstream.forward = '127.0.0.1:$nobody'\n");
$node->reload;
ok(wait_until(10, sub { query(q{SELECT dropped > 0 FROM backstream.forwards WHERE state = 'open'}) eq 't' }),
	'counts go on when a target comes back');
my $log = slurp_file($node->logfile);
like($log, qr/forwards to localhost:$nf4 \(127\.0\.0\.1:$nf4\)/, 'the log says where to');
like($log, qr/does not forward to 127\.0\.0\.1:$port: it listens there itself/, 'and where not');
like($log, qr/cannot forward to no-such-name\.invalid:2055: /, 'and why');
$node->stop;

done_testing();
