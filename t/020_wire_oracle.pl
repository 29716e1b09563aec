# SPDX-License-Identifier: PostgreSQL
# The wire against a table: the datagrams of every NetFlow and IPFIX capture are fed by
# backstream.ingest() and, in another session, decoded into a table by backstream.decode(); each
# continuous view must come to what its SELECT over the table does.
use strict;
use warnings;
use BackStreamCaptures;
use BackStreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Nothing closes: the captures are of twenty years, in no order.
my $with = "continuous, clock = 'data', lateness = '36500 days', retain = '36500 days'";

# FLOW is the stream or the table.
my %views = (
	totals => 'SELECT count(*) AS flows, sum(bytes) AS bytes, sum(packets) AS packets,
		avg(bytes) AS mean, min(time_event) AS first, max(time_event) AS last FROM FLOW',
	exporters => 'SELECT exporter, obs_domain, flow_type, sampling_rate, count(*) AS flows,
		sum(bytes) AS bytes, min(time_export) AS first, max(time_received) AS last
		FROM FLOW GROUP BY 1, 2, 3, 4',
	pairs => q{SELECT backstream.tumble(time_event, '1 day') AS time, src_addr, dst_addr, proto,
		src_port, dst_port, count(*) AS flows, sum(bytes) AS bytes, sum(packets) AS packets
		FROM FLOW GROUP BY 1, 2, 3, 4, 5, 6},
	arrival => q{SELECT backstream.tumble(time_received, '1 hour') AS time, exporter,
		count(*) AS flows, max(time_flow_end - time_flow_start) AS longest
		FROM FLOW GROUP BY 1, 2},
	prefixes => q{SELECT network(set_masklen(src_addr, CASE family(src_addr) WHEN 4 THEN 24 ELSE 48 END)) AS net,
		src_mask, in_if, out_if, next_hop, sum(backstream.scaled(bytes, sampling_rate)) AS bytes,
		count(*) FILTER (WHERE sampling_rate IS NULL) AS unknown
		FROM FLOW GROUP BY 1, 2, 3, 4, 5},
	filtered => q{SELECT src_as, dst_as, count(*) AS flows, avg(packets) AS mean,
		stddev(bytes) AS spread, bit_or(tcp_flags) AS flags, bool_or(bytes > 10000) AS big
		FROM FLOW WHERE proto IN (6, 17) AND bytes > 100 AND src_addr <> dst_addr
		GROUP BY 1, 2},
	links => q{SELECT src_mac, dst_mac, src_vlan, dst_vlan, flow_direction, ip_tos & 252 AS dscp,
		mpls_label, app_id, count(*) AS flows, sum(packets) AS packets
		FROM FLOW GROUP BY 1, 2, 3, 4, 5, 6, 7, 8},
	computed => q{SELECT date_trunc('hour', time_event, 'UTC') AS time, host(dst_addr) AS dst,
		upper(flow_type) || '/' || coalesce(proto::text, '-') AS kind, count(*) AS flows,
		sum(bytes * 8 / 1000.0) AS kilobits
		FROM FLOW GROUP BY 1, 2, 3},
);

if (!BackStreamCaptures::folder())
{
	plan skip_all => 'SKIPPED: no captures (BACKSTREAM_SHARED names their folder)';
}

# Two scripts that go through the captures alike, each with a decoder of its own per capture.
sub script
{
	my ($statement, @names) = @_;
	my $sql = '';

	for my $name (@names)
	{
		$sql .= "SELECT backstream.decode_reset();\nBEGIN;\n";
		for my $datagram (BackStreamCaptures::datagrams($name))
		{
			my $arguments = sprintf
			  "'\\x%s', '%s', timestamptz '1970-01-01 00:00:00+00' + %d * interval '1 us'",
			  unpack('H*', $datagram->{payload}), $datagram->{source}, $datagram->{usec};
			(my $filled = $statement) =~ s/ARGUMENTS/$arguments/;
			$sql .= "$filled;\n";
		}
		$sql .= "COMMIT;\n";
	}
	return $sql;
}

# Every column: how many values, the lowest and the highest.
sub every_column
{
	my ($node) = @_;
	my @columns = split /\n/, $node->safe_psql('postgres',
		q{SELECT attname || ' ' || atttypid::regtype FROM pg_attribute
		   WHERE attrelid = 'backstream.flow'::regclass AND attnum > 0 ORDER BY attnum});
	my @terms;

	for (@columns)
	{
		my ($name, $type) = split / /, $_, 2;
		push @terms, "count($name) AS ${name}_n";
		push @terms, "min($name) AS ${name}_min", "max($name) AS ${name}_max"
		  unless $type eq 'macaddr';
	}
	return 'SELECT exporter AS by_exporter, ' . join(', ', @terms) . ' FROM FLOW GROUP BY 1';
}

my @captures = BackStreamCaptures::names();
my $node = backstream_node('wire');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION backstream');
$node->safe_psql('postgres', 'CREATE TABLE decoded (LIKE backstream.flow)');
$views{columns} = every_column($node);
for my $name (sort keys %views)
{
	(my $over_stream = $views{$name}) =~ s/\bFLOW\b/backstream.flow/;
	(my $over_table = $views{$name}) =~ s/\bFLOW\b/decoded/;
	$node->safe_psql('postgres', "CREATE VIEW fed_$name WITH ($with) AS $over_stream");
	$node->safe_psql('postgres', "CREATE VIEW kept_$name AS $over_table");
}

cmp_ok(scalar @captures, '>', 80, 'captures were found');
$node->safe_psql('postgres',
	script('INSERT INTO decoded SELECT * FROM backstream.decode(ARGUMENTS)', @captures));
$node->safe_psql('postgres', script('SELECT backstream.ingest(ARGUMENTS)', @captures));

my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM decoded');
is($rows, BackStreamCaptures::flow_records(), 'as many records as the captures are known to hold');
for my $name (sort keys %views)
{
	my $different = $node->safe_psql('postgres',
		"SELECT count(*) FROM ((TABLE fed_$name EXCEPT ALL TABLE kept_$name)
			UNION ALL (TABLE kept_$name EXCEPT ALL TABLE fed_$name)) d");
	my $groups = $node->safe_psql('postgres', "SELECT count(*) FROM fed_$name");

	is($different, 0, "$name: the same rows");
	cmp_ok($groups, '>', 0, "$name: not empty ($groups)");
	is($node->safe_psql('postgres',
			"SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' ORDER BY attnum)
			   FROM pg_attribute WHERE attrelid = 'fed_$name'::regclass AND attnum > 0"),
		$node->safe_psql('postgres',
			"SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' ORDER BY attnum)
			   FROM pg_attribute WHERE attrelid = 'kept_$name'::regclass AND attnum > 0"),
		"$name: the same columns");
	is($node->safe_psql('postgres',
			"SELECT received, late + future + untimed + errors + overflowed FROM backstream.views
			  WHERE view = 'fed_$name'::regclass"),
		"$rows|0", "$name: every record was counted");
}

$node->stop;
done_testing();
