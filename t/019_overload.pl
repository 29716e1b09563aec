# SPDX-License-Identifier: PostgreSQL
# More than the receiver can take, for seconds on end: windows by arrival close and are dropped all the while.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;

my $port = free_port();
my $node = backstream_node('overload', conf => "backstream.listen = '127.0.0.1:$port'\nbackstream.receive_buffer = '1MB'\n");
$node->start;
# An expression that takes some 100 us for each record.
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
CREATE VIEW slow WITH (continuous) AS SELECT md5(repeat(host(src_addr), 3000)) = '' AS never, count(*) FROM backstream.flow GROUP BY 1;
CREATE VIEW arrived WITH (continuous, retain = '1 s') AS
  SELECT tumble(time_received, '500 ms') AS time, count(*) FROM backstream.flow GROUP BY 1;
SQL

sub query { return $node->safe_psql('postgres', $_[0]) }

my $run = start_generate(target => "127.0.0.1:$port", version => 'v5', rate => 60000, records_per_datagram => 1, seconds => 8);
ok(wait_until(7, sub { query("SELECT count(*) > 0 FROM backstream.windows('arrived') WHERE state = 'closed'") eq 't' }),
	'windows close while more comes than is taken');
sleep 3;
cmp_ok(query("SELECT count(*) FROM backstream.windows('arrived')"), '<', 9, 'and are dropped');
finish_generate($run);
cmp_ok(query('SELECT sum(kernel_drops) FROM backstream.listeners'), '>', 0, 'it was more');

$node->stop;
done_testing();
