# SPDX-License-Identifier: PostgreSQL
# sFlow by a real agent: pmacct's probe samples packets that are known, and views show them all.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my ($pmacctd) = grep { -x } qw(/usr/sbin/pmacctd /usr/local/sbin/pmacctd);
plan skip_all => 'pmacctd is not installed' unless $pmacctd;

my $npackets = 1200;
my $dir = PostgreSQL::Test::Utils::tempdir();
my $port = free_port();

# An Ethernet frame around IPv4 or IPv6 around UDP.
sub frame
{
	my ($i) = @_;
	my $udp = pack 'nnnna*', 1000 + $i % 7, 53, 8 + 50 + $i % 300, 0, "\0" x (50 + $i % 300);
	return pack('x12na*', 0x86dd,
		pack('NnCCa16a16a*', 6 << 28, length $udp, 17, 64,
			"\x20\x01\x0d\xb8" . ("\0" x 11) . chr(1 + $i % 5),
			"\x20\x01\x0d\xb8" . ("\0" x 11) . "\xff", $udp)) if $i % 3 == 0;
	return pack('x12na*', 0x0800,
		pack('CCnnnCCnC4C4a*', 0x45, 0, 20 + length $udp, $i, 0, 64, 17, 0,
			10, 0, 0, 1 + $i % 5, 10, 0, 1, 1, $udp));
}

my $pcap = pack 'VvvlVVV', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1;
for my $i (0 .. $npackets - 1)
{
	my $frame = frame($i);
	$pcap .= pack('V4', 1700000000, $i, length $frame, length $frame) . $frame;
}

# Packets and bytes by source of the first packets.
sub expected
{
	my ($first) = @_;
	my %sums;

	for my $i (0 .. $first - 1)
	{
		my $source = ($i % 3 == 0 ? '2001:db8::' : '10.0.0.') . (1 + $i % 5);
		$sums{$source}[0]++;
		$sums{$source}[1] += length(frame($i)) - 14;
	}
	return join "\n", map { "$_|$sums{$_}[0]|$sums{$_}[1]" } sort keys %sums;
}

PostgreSQL::Test::Utils::append_to_file("$dir/packets.pcap", $pcap);
PostgreSQL::Test::Utils::append_to_file("$dir/probe.conf", <<"EOF_PROBE");
daemonize: false
pcap_savefile: $dir/packets.pcap
plugins: sfprobe
sfprobe_receiver: 127.0.0.1:$port
sfprobe_agentip: 192.0.2.9
sampling_rate: 1
EOF_PROBE

my $node = backstream_node('sflow', conf => "backstream.listen = '127.0.0.1:$port'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION backstream');
$node->safe_psql('postgres', q{SELECT backstream.execute($$CREATE CONTINUOUS VIEW sources AS
	SELECT src_addr, count(*) AS packets, sum(bytes) AS bytes, min(dst_port) AS port, max(sampling_rate) AS rate
	  FROM backstream.flow GROUP BY 1$$)});
$node->safe_psql('postgres', q{SELECT backstream.execute($$CREATE CONTINUOUS VIEW by_time AS
	SELECT tumble(time_flow_end, '1 min') AS time, count(*) FROM backstream.flow GROUP BY 1$$)});

# The probe ends without sending the datagram that is not full yet: some packets fewer.
my ($out, $err) = ('', '');
my $least = $npackets - 10;
# (Its exit status says which of its two processes saw the end first.)
IPC::Run::run([$pmacctd, '-f', "$dir/probe.conf"], '<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout(30));
like($out . $err, qr/Exporting flows to \[127\.0\.0\.1\]:$port/, 'the probe has run');
ok(wait_until(10, sub { $node->safe_psql('postgres', 'SELECT coalesce(sum(packets), 0) FROM sources') >= $least }),
	'its packets have come');
my $came = $node->safe_psql('postgres', 'SELECT sum(packets) FROM sources');

is($node->safe_psql('postgres', 'SELECT host(src_addr), packets, bytes FROM sources ORDER BY host(src_addr) COLLATE "C"'),
	expected($came), 'each source has its packets and bytes of IP');
is($node->safe_psql('postgres', 'SELECT DISTINCT port, rate FROM sources'), '53|1', 'ports and rate');
is($node->safe_psql('postgres', 'SELECT sum(count) FROM by_time WHERE time > now() - interval \'5 min\''), $came,
	'their time is that of arrival');
is($node->safe_psql('postgres', q{SELECT exporter, flow_type, records, records_lost, datagrams_lost, decode_errors, other_samples
	  FROM backstream.exporters}), "192.0.2.9|sflow_v5|$came|0|0|0|0", 'the agent and its counters');
$node->stop;
done_testing();
