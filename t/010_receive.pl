# SPDX-License-Identifier: PostgreSQL
# Receiving: what the generator says it sent is what the views hold, over every version and address
# family; losses; who may export; settings that change while traffic flows; ports that are taken;
# several workers.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use IO::Socket::IP;
use PostgreSQL::Test::Utils;
use Socket qw(SOCK_DGRAM);
use Test::More;

my ($v4, $v6, $other, $taken) = map { free_port() } 1 .. 4;
my $node = backstream_node('receive',
	conf => "backstream.listen = '127.0.0.1:$v4, [::1]:$v6'\nbackstream.receive_buffer = '4MB'\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
CREATE VIEW by_exporter WITH (continuous) AS
  SELECT exporter, obs_domain, flow_type, count(*) AS records, sum(bytes) AS bytes, sum(packets) AS packets
    FROM backstream.flow GROUP BY 1, 2, 3;
CREATE VIEW by_window WITH (continuous) AS
  SELECT tumble(time_event, '10 s') AS time, count(*) AS records, sum(bytes) AS bytes, sum(packets) AS packets
    FROM backstream.flow GROUP BY 1;
CREATE VIEW rates WITH (continuous) AS
  SELECT exporter, sampling_rate, sum(bytes) AS bytes, sum(scaled(bytes, sampling_rate)) AS scaled,
         count(*) FILTER (WHERE sampling_rate IS NULL) AS unknown
    FROM backstream.flow GROUP BY 1, 2;
SQL

my @all;           # the totals of everything that was let in
my $received = 0;

# Send, and wait until it is in the views.
sub send_all
{
	my (%options) = @_;
	my $totals = generate(target => "127.0.0.1:$v4", count => 20000, rate => 100000, %options);
	push @all, $totals;
	$received += $totals->{records};
	received_all($node, 'by_exporter', $received);
	return $totals;
}

sub query { return $node->safe_psql('postgres', $_[0]) }

sub by_exporter
{
	my ($where) = @_;
	return query('SELECT host(exporter), obs_domain, flow_type, records, bytes, packets FROM by_exporter'
		  . ($where ? " WHERE $where" : '') . q{ ORDER BY concat_ws('|', host(exporter), obs_domain, flow_type, records) COLLATE "C"});
}

# Windows of the totals of several runs, as the view shows them.
sub sent_windows
{
	my %sum;
	for my $window (map { @{ $_->{windows_10s} } } @_)
	{
		$sum{ $window->{start} }[0] += $window->{records};
		$sum{ $window->{start} }[1] += $window->{bytes};
		$sum{ $window->{start} }[2] += $window->{packets};
	}
	return join "\n", map { join '|', $_, @{ $sum{$_} } } sort { $a <=> $b } keys %sum;
}

sub by_window
{
	return query('SELECT extract(epoch FROM time)::bigint, records, bytes, packets FROM by_window ORDER BY time');
}

sub sum_of
{
	my ($member) = @_;
	my $sum = 0;
	$sum += $_->{$member} for @all;
	return $sum;
}

# Change settings; returns where the log ended.
sub reload
{
	my (%settings) = @_;
	my $log = -s $node->logfile;

	$node->append_conf('postgresql.conf', "backstream.$_ = '$settings{$_}'\n") for sort keys %settings;
	$node->reload;
	return $log;
}

# The listeners that there are to be, as "address state".
sub listeners_become
{
	my ($test, @wanted) = @_;
	my $sql = q{SELECT address || ' ' || state FROM backstream.listeners ORDER BY 1};
	my $wanted = join ', ', sort @wanted;
	my $now = sub { join ', ', sort split /\n/, query($sql) };

	wait_until(15, sub { $now->() eq $wanted });
	is($now->(), $wanted, $test);
}

listeners_become('it listens', "127.0.0.1:$v4 open", "[::1]:$v6 open");

# ---------- every version, both families, several exporters and domains ----------

my @runs = (
	[ 'v5 from three exporters', version => 'v5', exporters => 3, domains => 2, source_base => '127.0.11.1' ],
	[ 'v9 from three exporters', version => 'v9', exporters => 3, domains => 2, source_base => '127.0.11.11', ipv6 => 0.3 ],
	[ 'unaligned v9', version => 'v9', template => 'narrow', source_base => '127.0.11.21' ],
	[ 'IPFIX from three exporters', version => 'ipfix', exporters => 3, domains => 2, source_base => '127.0.11.31', ipv6 => 0.3 ],
	[ 'IPFIX with variable lengths', version => 'ipfix', template => 'varlen', source_base => '127.0.11.41' ],
	[ 'IPFIX with reduced sizes', version => 'ipfix', template => 'narrow', source_base => '127.0.11.51' ],
	[ 'a mix with skewed clocks', version => 'mix', exporters => 6, skew => 2000, source_base => '127.0.11.61' ],
	[ 'one record per datagram', version => 'v5', records_per_datagram => 1, source_base => '127.0.11.71' ],
);

for my $run (@runs)
{
	my ($name, %options) = @$run;
	my $totals = send_all(%options);

	is(by_exporter('exporter IN (' . join(',', map { "'$_->{exporter}'" } @{ $totals->{exporters} }) . ')'),
		sent($totals), "$name: the sums are those of the generator");
}
for my $version (qw(v5 v9 ipfix))
{
	send_all(target => "[::1]:$v6", version => $version, first_domain => 100, $version eq 'v5' ? () : (ipv6 => 0.5));
}
is(by_exporter(q{exporter = '::1'}), sent(@all[ -3 .. -1 ]), 'the same over IPv6, each version by itself');
is(by_exporter(), sent(@all), 'all exporters together');
is(by_window(), sent_windows(@all), 'and all windows');
is(query(q{SELECT received, records, late, future, untimed, overflowed, errors FROM backstream.views WHERE view = 'by_window'::regclass}),
	"$received|$received|0|0|0|0|0", 'nothing was left out');
is(query(<<'SQL'), join("\n", map { "$_|t|0|0|0|0" } qw(ipfix netflow_v5 netflow_v9)), 'the counters of exporters say so too');
SELECT e.flow_type, sum(e.records) = (SELECT sum(records) FROM by_exporter b WHERE b.flow_type = e.flow_type),
       sum(records_lost), sum(datagrams_lost), sum(unknown_template), sum(decode_errors)
  FROM backstream.exporters e GROUP BY 1 ORDER BY 1
SQL
is(query('SELECT sum(datagrams), sum(kernel_drops + rejected + not_export + truncated + receive_errors) FROM backstream.listeners'),
	sum_of('datagrams') . '|0', 'and those of listeners');

# ---------- losses on the way ----------

for my $version (qw(v5 ipfix v9))
{
	my $exporter = { v5 => '127.0.12.1', ipfix => '127.0.12.2', v9 => '127.0.12.3' }->{$version};
	my $totals = send_all(version => $version, loss => 0.05, linger => 50, source_base => $exporter, first_sequence => 4294967000);
	my $unit = $version eq 'v9' ? 'datagrams' : 'records';
	cmp_ok($totals->{"${unit}_lost"}, '>', 10, "$version: $unit were left out");
	is(query("SELECT ${unit}_lost FROM backstream.exporters WHERE exporter = '$exporter'"), $totals->{"${unit}_lost"},
		"$version: and are counted as lost, over the wrap of sequence numbers");
}

# ---------- who may export ----------

my $log = reload(allow => '127.0.13.0/25, ::1, 127.0.14.1');
ok(wait_until(10, sub {
	# Until the receiver has it too: what is let in before counts.
	my $totals = generate(target => "127.0.0.1:$v4", count => 1, source_base => '127.0.13.200');
	return 1 if wait_until(0.5, sub { query('SELECT sum(rejected) FROM backstream.listeners') > 0 });
	push @all, $totals;
	$received++;
	return 0;
}), 'backstream.allow is reloaded');
my $strangers = generate(target => "127.0.0.1:$v4", count => 5000, rate => 100000, source_base => '127.0.13.201', exporters => 3, version => 'mix');
my $rejected = 1 + $strangers->{datagrams};
wait_until(10, sub { query('SELECT sum(rejected) FROM backstream.listeners') >= $rejected });
is(query('SELECT sum(rejected) FROM backstream.listeners'), $rejected, 'datagrams of others are counted as rejected');
is(query(q{SELECT count(*) FROM backstream.exporters WHERE exporter IN ('127.0.13.201', '127.0.13.202', '127.0.13.203')}), '0', 'before they are decoded');
my @allowed = (
	send_all(source_base => '127.0.13.127'),
	send_all(source_base => '127.0.14.1'),
	send_all(target => "[::1]:$v6", version => 'v9', first_domain => 200));
is(by_exporter(q{exporter IN ('127.0.13.127', '127.0.14.1') OR obs_domain = 200}), sent(@allowed), 'the others go on');
is(by_exporter(), sent(@all), 'and nothing else was let in');

# ---------- settings that change while traffic flows ----------

reload(allow => '');
generate(target => "127.0.0.1:$v4", count => 1, source_base => '127.0.13.127');   # some time for it to be read
ok(wait_until(10, sub { query('SHOW backstream.allow') eq '' }), 'everybody may export again');
select undef, undef, undef, 0.5;
$received++;
push @all, { exporters => [] };
my $since = query('SELECT string_agg(since::text, chr(10) ORDER BY view::text) FROM backstream.views');
my $pid = backend_of($node, 'backstream receiver');
my $flow = start_generate(target => "127.0.0.1:$v4", version => 'ipfix', source_base => '127.0.15.1', exporters => 4, rate => 100000, count => 400000);
for my $turn (1 .. 8)
{
	reload(listen => $turn % 2 ? "127.0.0.1:$v4" : "127.0.0.1:$v4, [::1]:$v6, *:$other",
		nap => (0, 0.5, 20, 3)[ $turn % 4 ],
		receive_buffer => (4, 3, 1, 2)[ $turn % 4 ] . 'MB',
		allow => $turn % 3 ? '' : '127.0.0.0/8, ::1');
	select undef, undef, undef, 0.4;
}
my $totals = finish_generate($flow);
push @all, $totals;
$received += $totals->{records};
reload(listen => "127.0.0.1:$v4, [::1]:$v6, *:$other", nap => 1, receive_buffer => '4MB');
listeners_become('addresses come and go',
	"0.0.0.0:$other open", "127.0.0.1:$v4 open", "[::]:$other open", "[::1]:$v6 open");
received_all($node, 'by_exporter', $received);
is(by_exporter(q{exporter << '127.0.15.0/24'}), sent($totals), 'reloading while traffic flows loses nothing');
is(query('SELECT sum(kernel_drops) FROM backstream.listeners'), '0', 'the kernel dropped nothing');
is(query('SELECT string_agg(since::text, chr(10) ORDER BY view::text) FROM backstream.views'), $since, 'views count since before');
is(backend_of($node, 'backstream receiver'), $pid, 'in the same process');
@allowed = (
	send_all(target => "127.0.0.1:$other", source_base => '127.0.16.1'),
	send_all(target => "[::1]:$other", version => 'v9', first_domain => 300));
is(by_exporter(q{exporter = '127.0.16.1' OR obs_domain = 300}), sent(@allowed), 'the new addresses are received from');
SKIP:
{
	skip 'net.core.rmem_max is too small', 1 if slurp_file('/proc/sys/net/core/rmem_max') < 4 * 1024 * 1024;
	is(query("SELECT count(*) FROM backstream.listeners WHERE receive_buffer_bytes < 4 * 1024 * 1024 AND state = 'open'"), '0', 'with the buffer that is asked for');
}

# ---------- values that are refused ----------

my @wrong = (
	[ listen => '127.0.0.1', qr/port/ ],
	[ listen => '127.0.0.1:0', qr/port/ ],
	[ listen => '127.0.0.1:70000', qr/port/ ],
	[ listen => '127.1:2055', qr/127\.1/ ],
	[ listen => '[::1:2055', qr/\[::1/ ],
	[ listen => '127.0.0.1:2055,,', qr/DETAIL/ ],
	[ allow => '10.0.0.1/8', qr/10\.0\.0\.1\/8/ ],
	[ allow => '10.0.0.0/99', qr/10\.0\.0\.0\/99/ ],
	[ allow => 'everybody', qr/everybody/ ],
	[ nap => '-1', qr/outside the valid range/ ],
	[ nap => '2s', qr/2000 ms is outside the valid range/ ],
	[ receive_buffer => '1kB', qr/outside the valid range/ ],
	[ memory => '1MB', qr/outside the valid range/ ],
	[ workers => '0', qr/outside the valid range/ ],
	[ eval_timeout => '-1', qr/outside the valid range/ ],
);
for my $case (@wrong)
{
	my ($name, $value, $why) = @$case;
	my ($status, $out, $err) = $node->psql('postgres', "ALTER SYSTEM SET backstream.$name = '$value'");
	isnt($status, 0, "$name = '$value' is refused");
	like($err, $why, 'and the message says why');
}
my ($status, $out, $err) = $node->psql('postgres', "SET backstream.listem = ''");
like($err, qr/invalid configuration parameter name "backstream.listem"/, 'there are no other settings');
$log = reload(listen => '127.0.0.1:70000', allow => '10.0.0.1/8');
ok(wait_until(10, sub { slurp_file($node->logfile, $log) =~ /contains errors; unaffected changes were applied/ }), 'wrong values in the file are logged');
like(slurp_file($node->logfile, $log), qr/invalid value for parameter "backstream\.$_"/, "$_ is named") for qw(listen allow);
$totals = send_all(source_base => '127.0.16.2');
is(by_exporter(q{exporter = '127.0.16.2'}), sent($totals), 'and the old ones stand');

# ---------- a port that is taken ----------

my $squatter = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => $taken, Type => SOCK_DGRAM) or die $!;
$log = reload(listen => "127.0.0.1:$taken, 127.0.0.1:$v4", allow => '');
listeners_become('a port that is taken has failed', "127.0.0.1:$taken failed", "127.0.0.1:$v4 open");
is(query(q{SELECT error FROM backstream.listeners WHERE state = 'failed'}), 'Address already in use', 'and says why');
$totals = send_all(source_base => '127.0.17.1');
is(by_exporter(q{exporter = '127.0.17.1'}), sent($totals), 'the other goes on');
select undef, undef, undef, 6;   # more than one retry
is(backend_of($node, 'backstream receiver'), $pid, 'the process is the same');
my @lines = slurp_file($node->logfile, $log) =~ /could not listen on 127\.0\.0\.1:$taken: Address already in use/g;
is(scalar @lines, 1, 'one line in the log');
like(slurp_file($node->logfile, $log), qr/HINT:  It will try again every \d+ seconds/, 'which says that it is tried again');
close $squatter;
listeners_become('it is taken up when it is free', "127.0.0.1:$taken open", "127.0.0.1:$v4 open");
$totals = send_all(target => "127.0.0.1:$taken", source_base => '127.0.17.2');
is(by_exporter(q{exporter = '127.0.17.2'}), sent($totals), 'and received from');

# ---------- sampling rates ----------

sub rate_of_exporter
{
	return query("SELECT sampling_rate, div(scaled, bytes), scaled % bytes, unknown > 0 FROM rates WHERE exporter = '$_[0]' ORDER BY 1 NULLS FIRST");
}

my $host = 1;
for my $version (qw(v5 v9 ipfix))
{
	my ($announced, $silent) = map { '127.0.18.' . $host++ } 1 .. 2;
	send_all(version => $version, sampling => 100, source_base => $announced);
	is(rate_of_exporter($announced), '100|100|0|f', "$version: the rate that the exporter announces");
	send_all(version => $version, source_base => $silent);
	# An interval of 0 in a v5 header means 1.
	is(rate_of_exporter($silent), $version eq 'v5' ? '1|1|0|f' : '|1|0|t', "$version: none");
}
is(query(q{SELECT unknown_rate FROM backstream.views WHERE view = 'rates'::regclass}), query('SELECT sum(unknown) FROM rates'), 'unknown rates are counted');
query(q{INSERT INTO backstream.exporter_config (exporter, sampling_default, sampling_override) VALUES
	('127.0.18.0/24', 50, NULL), ('127.0.18.2', 60, NULL), ('127.0.18.5', NULL, 7), ('127.0.18.6', NULL, 8)});
select undef, undef, undef, 0.5;
my @rates = (
	[ v5 => '127.0.18.2', '1|1|0|f', 'a default does not change what v5 says' ],
	[ v9 => '127.0.18.4', "|1|0|t\n50|50|0|f", 'the default of a network' ],
	[ ipfix => '127.0.18.3', '100|100|0|f', 'a default does not change what is announced', 100 ],
	[ ipfix => '127.0.18.5', "7|7|0|f\n100|100|0|f", 'an override does', 100 ],
	[ ipfix => '127.0.18.6', "|1|0|t\n8|8|0|f", 'also where nothing was known' ],
);
for (@rates)
{
	my ($version, $exporter, $wanted, $name, $announced) = @$_;
	send_all(version => $version, source_base => $exporter, $announced ? (sampling => $announced) : (), first_domain => 7);
	is(rate_of_exporter($exporter), $wanted, "exporter_config: $name");
}
query(q{UPDATE backstream.exporter_config SET sampling_override = 9 WHERE exporter = '127.0.18.6'});
select undef, undef, undef, 0.5;
send_all(version => 'ipfix', source_base => '127.0.18.6', first_domain => 7);
like(rate_of_exporter('127.0.18.6'), qr/^9\|9\|0\|f$/m, 'a change takes effect without a restart');
query(q{DELETE FROM backstream.exporter_config});
is(backend_of($node, 'backstream receiver'), $pid, 'still the same process');
is(query(q{SELECT received, records, late, future, untimed, overflowed, errors FROM backstream.views WHERE view = 'by_window'::regclass}),
	"$received|$received|0|0|0|0|0", 'all that was let in is there');

# ---------- several workers ----------

$node->append_conf('postgresql.conf', "backstream.listen = '127.0.0.1:$v4, [::1]:$v6'\nbackstream.workers = 3\n");
# From nothing: without the files that windows outlive the server in.
$node->stop;
unlink glob $node->data_dir . '/pg_backstream/*';
$node->start;
wait_until(10, sub { query(q{SELECT count(*) FROM backstream.listeners WHERE state = 'open'}) eq '6' });
is(query(q{SELECT count(*), count(DISTINCT worker) FROM backstream.listeners WHERE state = 'open'}), '6|3', 'three workers listen on both');
@all = ();
$received = 0;
send_all(version => 'mix', exporters => 30, source_base => '127.0.19.1', count => 60000);
send_all(version => 'ipfix', exporters => 30, source_base => '127.0.19.1', count => 60000, first_domain => 1);
is(by_exporter(), sent(@all), 'three workers: the sums are those of the generator');
is(query('SELECT count(DISTINCT worker) FROM backstream.exporters'), '3', 'each has its part');
is(query('SELECT max(n) FROM (SELECT count(DISTINCT worker) AS n FROM backstream.exporters GROUP BY exporter) x'), '1', 'an exporter stays with one');
is(query('SELECT sum(unknown_template + decode_errors + records_lost + datagrams_lost) FROM backstream.exporters'), '0', 'so its templates and sequences are known');
is(by_window(), sent_windows(@all), 'windows are added up over workers');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing crashed');
$node->stop;
done_testing();
