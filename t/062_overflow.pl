# SPDX-License-Identifier: PostgreSQL
# overflow = 'other': totals stay exact when groups are too many, and when memory is full, whoever writes.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;

my $port = free_port();
my $node = backstream_node('overflow', conf => <<"CONF");
backstream.listen = '127.0.0.1:$port'
backstream.memory = '16MB'
backstream.receive_buffer = '4MB'
statement_timeout = '60s'
CONF
$node->start;
sub query { return $node->safe_psql('postgres', $_[0]) }

query(q{
CREATE EXTENSION backstream;
CREATE VIEW by_exporter WITH (continuous) AS SELECT exporter, count(*) AS n, sum(bytes) AS bytes FROM backstream.flow GROUP BY 1;
CREATE VIEW few WITH (continuous, max_groups = 10, overflow = 'other') AS
	SELECT src_as, dst_as, count(*) AS n, sum(bytes) AS bytes, count(DISTINCT exporter) AS exporters, stddev(packets) AS spread
	  FROM backstream.flow GROUP BY 1, 2;
CREATE VIEW minutes WITH (continuous, max_groups = 10, overflow = 'other') AS
	SELECT backstream.tumble(time_received, '1 s') AS time, src_addr, count(*) AS n, sum(bytes) AS bytes FROM backstream.flow GROUP BY 1, 2;
CREATE VIEW greedy WITH (continuous) AS SELECT src_addr, dst_addr, src_port, count(*) AS n FROM backstream.flow GROUP BY 1, 2, 3;
CREATE VIEW all_of_it WITH (continuous, overflow = 'other') AS
	SELECT src_addr, dst_addr, host(dst_addr) AS host, count(*) AS n, sum(bytes) AS bytes FROM backstream.flow GROUP BY 1, 2, 3});
ok(wait_until(10, sub { query(q{SELECT count(*) FROM backstream.listeners WHERE state = 'open'}) eq '1' }), 'it listens');
select undef, undef, undef, 0.3;

# A record each, so that every writer has a place to gather at before memory is full.
my $insert = q{INSERT INTO backstream.flow (time_event, exporter, src_addr, dst_addr, src_port, src_as, dst_as, bytes, packets)
	SELECT now(), '10.0.0.1', '10.1.0.0'::inet + i, '2001:db8::'::inet + i, i % 60000, i, i % 7, i, i % 5 FROM generate_series};
query("$insert(1, 1) i");
my $totals = generate(target => "127.0.0.1:$port", rate => 100000, keys => 'sequential', addresses => 200000, as_pairs => 5000, count => 200000, exporters => 2);
ok(received_all($node, 'by_exporter', $totals->{records} + 1), 'all is received');
query("$insert(2, 30000) i");
query("$insert(30001, 40000) i");
my $sent = $totals->{records} + 40000;
my $truth = query('SELECT sum(n), sum(bytes) FROM by_exporter');
like($truth, qr/^$sent\|/, "$sent records");
cmp_ok(query(q{SELECT overflowed FROM backstream.views WHERE view = 'greedy'::regclass}), '>', 10000, 'memory is full: another view has no room');
for my $view (qw(few minutes all_of_it))
{
	is(query("SELECT sum(n), sum(bytes) FROM $view"), $truth, "$view: totals are exact");
	is(query("SELECT received - records, overflowed FROM backstream.views WHERE view = '$view'::regclass"), '0|0', 'nothing has overflowed');
	cmp_ok(query("SELECT sum(other) FROM backstream.windows('$view')"), '>', 10000, 'but was gathered');
}
# States that PostgreSQL's functions make are combined in the other group as in all others.
cmp_ok(query(q{SELECT memory_bytes FROM backstream.views WHERE view = 'few'::regclass}), '<', 100_000, 'what is gathered does not pile up');
# Each of two writers holds ten groups, and one row for the rest; merged that is one row.
cmp_ok(query('SELECT count(*) FROM few'), '<=', 21, 'few groups');
is(query('SELECT count(*), sum(n) = (SELECT sum(other) FROM backstream.windows($$few$$)) FROM few WHERE src_as IS NULL'), '1|t', 'one row is the rest');
is(query('SELECT backstream.combine(exporters) FROM few'), query('SELECT count(*) FROM by_exporter'), 'distinct values of what was gathered are among all');
is(query('SELECT count(*) FROM minutes GROUP BY time HAVING count(*) > 21'), '', 'in each window');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing crashed');
$node->stop;
done_testing();
