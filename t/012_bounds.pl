# SPDX-License-Identifier: PostgreSQL
# Bounds: memory that is full, groups, exporters and views too many, floods, garbage.  What is beyond is
# counted, to the record; what was there goes on.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use IO::Socket::IP;
use PostgreSQL::Test::Utils;
use Socket qw(SOCK_DGRAM);
use Test::More;

my $max_views = 6;
my $port = free_port();
my $node = backstream_node('bounds', conf => <<"CONF");
backstream.listen = '127.0.0.1:$port'
backstream.memory = '16MB'
backstream.receive_buffer = '4MB'
backstream.max_exporters = 200
backstream.max_views = $max_views
statement_timeout = '60s'
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
CREATE VIEW by_exporter WITH (continuous) AS
  SELECT exporter, obs_domain, flow_type, count(*) AS records, sum(bytes) AS bytes, sum(packets) AS packets
    FROM backstream.flow GROUP BY 1, 2, 3;
SQL

sub query { return $node->safe_psql('postgres', $_[0]) }
sub send_to { return generate(target => "127.0.0.1:$port", rate => 150000, @_) }
sub counter { return query("SELECT $_[1] FROM backstream.views WHERE view = '$_[0]'::regclass") }
sub memory_used { return query('SELECT used FROM backstream.memory') }
sub is_listening { return wait_until(10, sub { query(q{SELECT count(*) FROM backstream.listeners WHERE state = 'open'}) eq '1' }) }

sub adds_up
{
	my ($view, $name) = @_;
	is(counter($view, 'received - records - filtered - late - future - untimed - overflowed - errors'), 0, "$name: the counters add up");
}

ok(is_listening(), 'it listens');
my $receiver = backend_of($node, 'backstream receiver');
my $sent = 0;

sub add
{
	my $totals = send_to(@_);
	$sent += $totals->{records};
	ok(received_all($node, 'by_exporter', $sent), 'all is received');
	return $totals;
}

# ---------- memory that is full ----------

add(count => 1000, exporters => 3);
my $used = memory_used();
query(q{CREATE VIEW huge WITH (continuous) AS
	SELECT src_addr, dst_addr, count(*) AS n, sum(bytes) AS bytes, min(bytes) AS least, max(bytes) AS most
	  FROM backstream.flow WHERE exporter <> '127.0.31.9' GROUP BY 1, 2});
query(q{CREATE VIEW narrow WITH (continuous, max_groups = 1000) AS
	SELECT src_as, dst_as, count(*) AS n FROM backstream.flow GROUP BY 1, 2});
select undef, undef, undef, 0.3;
my @flows = (keys => 'sequential', addresses => 400000, as_pairs => 5000, count => 400000, source_base => '127.0.31.1');
my $first = add(@flows);
cmp_ok(counter('huge', 'overflowed'), '>', 10000, 'memory is full: records of new groups have overflowed');
adds_up('huge', 'full');
is(counter('huge', 'received'), 400000, 'it was offered all');
is(query('SELECT sum(n) FROM huge'), counter('huge', 'records'), 'and has those that were added');
cmp_ok(query('SELECT used FROM backstream.memory'), '<=', query('SELECT total FROM backstream.memory'), 'within the memory');
my $groups = query('SELECT count(*) FROM huge WHERE n = 1');
cmp_ok($groups, '>', 20000, "in $groups groups");
is(query('SELECT count(*), sum(n) FROM narrow'), '1000|' . counter('narrow', 'records'), 'max_groups holds');
adds_up('narrow', 'max_groups');
add(@flows);
is(query('SELECT count(*) FROM huge WHERE n = 2'), $groups, 'existing groups go on');
cmp_ok(query('SELECT count(*) - count(*) FILTER (WHERE n <= 2) FROM huge'), '==', 0, 'and get no more than is theirs');
adds_up('huge', 'full, twice');
is(query(q{SELECT host(exporter), records, bytes, packets FROM by_exporter WHERE exporter = '127.0.31.1'}),
	join('|', '127.0.31.1', map { 2 * $first->{$_} } qw(records bytes packets)), 'other views go on');

# A view that is made when there is no room counts what it cannot take, and counts on when there is.
query(q{CREATE VIEW newcomer WITH (continuous) AS SELECT src_addr, dst_addr, count(*) AS n FROM backstream.flow GROUP BY 1, 2});
query(q{CREATE VIEW windowed WITH (continuous) AS SELECT tumble(time_event, '1 s') AS time, count(*) AS n FROM backstream.flow GROUP BY 1});
select undef, undef, undef, 0.3;
add(count => 20000, source_base => '127.0.31.9');
adds_up($_, "$_, made when all was full") for qw(newcomer windowed huge);
is(counter($_, 'received'), 20000, "$_ was offered all") for qw(newcomer windowed);
is(counter('huge', 'filtered'), 20000, 'what is filtered does not overflow');
query('DROP VIEW huge');
ok(wait_until(5, sub { memory_used() < query('SELECT total / 2 FROM backstream.memory') }), 'dropping the view gives its memory back');
my $overflowed = counter('newcomer', 'overflowed');
add(count => 20000, source_base => '127.0.31.9');
is(counter('newcomer', 'overflowed'), $overflowed, 'others use it');
query("DROP VIEW $_") for qw(newcomer windowed narrow);
ok(wait_until(5, sub { memory_used() == $used }), 'all memory of dropped views comes back');
is(memory_used(), $used, 'to the byte');

# Sessions that insert find it full too.
query('CREATE FOREIGN TABLE s (k int, x text) SERVER backstream');
query('CREATE VIEW wide WITH (continuous) AS SELECT k, x, count(*) AS n FROM s GROUP BY 1, 2');
query(q{INSERT INTO s SELECT i, repeat('x', 1000) || i FROM generate_series(1, 30000) i});
cmp_ok(counter('wide', 'overflowed'), '>', 5000, 'by INSERT: records have overflowed');
adds_up('wide', 'by INSERT');
is(counter('wide', 'received'), 30000, 'of all');
is(query('SELECT count(*), sum(n) FROM wide'), join('|', (counter('wide', 'records')) x 2), 'what is there is right');
query('INSERT INTO s VALUES (1, (SELECT x FROM wide WHERE k = 1))');
is(query('SELECT n FROM wide WHERE k = 1'), 2, 'existing groups go on');
query('DROP VIEW wide');
wait_until(5, sub { memory_used() == $used });
is(memory_used(), $used, 'and its memory comes back');

# ---------- views too many ----------

query("CREATE VIEW v$_ WITH (continuous) AS SELECT count(*) AS n FROM s WHERE k > $_") for 1 .. $max_views;
select undef, undef, undef, 0.3;
query('INSERT INTO s VALUES (100, NULL)');
is(query(q{SELECT state, count(*) FROM backstream.views GROUP BY 1 ORDER BY 1}), 'active|' . $max_views . "\nnot counted|1", 'a view too many is not counted, and says so');
my ($left_out) = query(q{SELECT view FROM backstream.views WHERE state = 'not counted'});
isnt($left_out, 'by_exporter', 'it is one of the new ones');
is(query('SELECT ' . join(' + ', map { "(SELECT n FROM v$_)" } grep { "v$_" ne $left_out } 1 .. $max_views)), $max_views - 1, 'the others count');
my ($status, $out, $err) = $node->psql('postgres', "TABLE $left_out");
note "a view that is not counted says: $out$err";
query('DROP VIEW ' . ($left_out eq 'v1' ? 'v2' : 'v1'));
ok(wait_until(10, sub { query('INSERT INTO s VALUES (100, NULL)'); return query(q{SELECT count(*) FROM backstream.views WHERE state = 'active'}) == $max_views }), 'when one is dropped it takes its place');
query('INSERT INTO s VALUES (100, NULL)');
cmp_ok(query("SELECT n FROM $left_out"), '>', 0, 'and counts');
my @said = slurp_file($node->logfile) =~ /LOG:  continuous view .* is not counted: too many continuous views/g;
is(scalar @said, 1, 'the log says so, once');
query("DROP VIEW IF EXISTS v$_") for 1 .. $max_views;

# ---------- garbage ----------

# Datagrams as the generator makes them: raw IP packets of a capture.
sub datagrams_of
{
	my (@options) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/made.pcap';
	generate(pcap => $file, count => 2000, exporters => 3, @options);
	open my $capture, '<:raw', $file or die $!;
	my $bytes = do { local $/; <$capture> };
	my @datagrams;
	for (my $at = 24; $at < length $bytes;)
	{
		my $len = unpack 'V', substr $bytes, $at + 8, 4;
		push @datagrams, substr $bytes, $at + 16 + 28, $len - 28;
		$at += 16 + $len;
	}
	return @datagrams;
}

srand 42;
my @whole = map { datagrams_of(@$_) } [ version => 'v5' ], [ version => 'v9', sampling => 10 ], [ version => 'ipfix', template => 'varlen', sampling => 10 ];
my $socket = IO::Socket::IP->new(LocalHost => '127.0.10.1', PeerHost => '127.0.0.1', PeerPort => $port, Type => SOCK_DGRAM) or die $!;
my $log = -s $node->logfile;
my $garbage = 0;
my $received = query('SELECT datagrams FROM backstream.listeners');
for my $turn (1 .. 20000)
{
	my $datagram = $whole[ rand @whole ];
	my $kind = $turn % 5;

	if ($kind == 0) { $datagram = join '', map { chr int rand 256 } 1 .. int rand 200 }
	elsif ($kind == 1) { $datagram = substr($datagram, 0, 24) . join '', map { chr int rand 256 } 1 .. int rand 200 }
	elsif ($kind == 2) { $datagram = substr $datagram, 0, int rand length $datagram }
	elsif ($kind == 3) { substr($datagram, int rand length $datagram, 1) = chr int rand 256 for 1 .. 5 }
	else { $datagram .= join '', map { chr int rand 256 } 1 .. int rand 50 }
	$garbage++ if defined $socket->send($datagram);
	select undef, undef, undef, 0.01 if $turn % 200 == 0;
}
wait_until(10, sub { query('SELECT datagrams + kernel_drops FROM backstream.listeners') >= $received + $garbage });
is(query('SELECT datagrams + kernel_drops FROM backstream.listeners'), $received + $garbage, 'garbage is received as any datagram');
cmp_ok(query('SELECT sum(decode_errors) FROM backstream.exporters'), '>', 1000, 'and counted where it cannot be decoded');
cmp_ok(query('SELECT not_export FROM backstream.listeners'), '>', 1000, 'or is no export at all');
is(query(q{SELECT l.datagrams - l.rejected - l.not_export - l.truncated - r.exporters_refused - (SELECT sum(datagrams) FROM backstream.exporters) FROM backstream.listeners l, backstream.receivers r}),
	0, 'each datagram in one place');
is(backend_of($node, 'backstream receiver'), $receiver, 'in the same process');
unlike(slurp_file($node->logfile, $log), qr/\[$receiver\]/, 'without a line in the log');
$sent = counter('by_exporter', 'received');
is($sent, query('SELECT sum(records) FROM backstream.exporters'), 'what could be decoded is in the views');
adds_up('by_exporter', 'garbage');
my $after = add(count => 3000, version => 'v5', source_base => '127.0.31.1');
is(query(q{SELECT records FROM by_exporter WHERE exporter = '127.0.31.1'}), 800000 + 3000, 'the next datagrams are as good as ever');

# ---------- exporters too many ----------

my $base = query(q{SELECT sum(records) FROM by_exporter});
my $datagrams = query('SELECT sum(datagrams) FROM backstream.exporters');
my $refused_before = query('SELECT exporters_refused FROM backstream.receivers');
my $flood = send_to(count => 20000, exporters => 3000, source_base => '127.1.0.1', records_per_datagram => 2);
wait_until(10, sub { query('SELECT datagrams - not_export FROM backstream.listeners') == query('SELECT sum(datagrams) FROM backstream.exporters') + query('SELECT exporters_refused FROM backstream.receivers') });
is(query('SELECT count(*) FROM backstream.exporters'), 200, 'no more exporters than there may be');
my $refused = query('SELECT exporters_refused FROM backstream.receivers') - $refused_before;
cmp_ok($refused, '>', 5000, 'datagrams of further ones are refused');
is(query('SELECT sum(datagrams) FROM backstream.exporters') + $refused, $datagrams + $flood->{datagrams}, 'every datagram is counted once');
$sent = query(q{SELECT received FROM backstream.views WHERE view = 'by_exporter'::regclass});
my $before = query(q{SELECT sum(records) FROM by_exporter WHERE exporter <= '127.0.10.3'});
my $again = add(count => 3000, exporters => 3);
is(query(q{SELECT sum(records) FROM by_exporter WHERE exporter <= '127.0.10.3'}), $before + $again->{records}, 'those that were known go on');
is(query('SELECT sum(records) FROM by_exporter'), query('SELECT sum(records) FROM backstream.exporters'), 'views and exporters agree');

# ---------- floods ----------

$node->append_conf('postgresql.conf', "backstream.receive_buffer = '64kB'\n");
$node->restart;
is_listening();
$receiver = backend_of($node, 'backstream receiver');
$log = -s $node->logfile;
# Work that makes the receiver slow enough for the kernel to drop.
query('CREATE VIEW slow WITH (continuous) AS SELECT md5(src_addr::text) AS k, count(*) AS n, sum(bytes) AS bytes FROM backstream.flow GROUP BY 1');
select undef, undef, undef, 0.3;
# Views go on from what they had counted before the restart, exporters begin anew.
my %kept = map { $_ => counter($_, 'received') } qw(slow by_exporter);
cmp_ok($kept{by_exporter}, '>', 800000, 'what was counted is kept over a restart');
my $host = 1;
for my $version (qw(v5 ipfix v9))
{
	my $unit = $version eq 'v9' ? 'datagrams' : 'records';
	my $exporter = '127.0.32.' . $host++;
	my $totals = generate(target => "127.0.0.1:$port", version => $version, rate => 0, count => 1000000, linger => 1500, source_base => $exporter, loss => 0.01, template_interval => 0);
	my $sum = sub { query("SELECT $unit + ${unit}_lost FROM backstream.exporters WHERE exporter = '$exporter'") };
	my $wanted = $totals->{$unit} + $totals->{"${unit}_lost"};

	wait_until(10, sub { $sum->() == $wanted });
	is($sum->(), $wanted, "flood of $version: $unit received and lost are those sent");
	cmp_ok(query("SELECT ${unit}_lost FROM backstream.exporters WHERE exporter = '$exporter'"), '>', $totals->{"${unit}_lost"}, 'some were dropped');
	adds_up($_, "flood of $version, $_") for qw(slow by_exporter);
	is(counter($_, 'received') - $kept{$_}, query('SELECT sum(records) FROM backstream.exporters'), "$_ has what was received") for qw(slow by_exporter);
}
cmp_ok(query('SELECT kernel_drops FROM backstream.listeners'), '>', 0, 'by the kernel');
is(backend_of($node, 'backstream receiver'), $receiver, 'in the same process');
unlike(slurp_file($node->logfile, $log), qr/\[$receiver\].*(WARNING|ERROR|FATAL)/, 'without an error in the log');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing crashed');
$node->stop;
done_testing();
