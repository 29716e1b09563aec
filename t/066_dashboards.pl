# SPDX-License-Identifier: PostgreSQL
# The queries of grafana/dashboards, as Grafana's PostgreSQL data source would send them, by the role of grafana/grants.sql, to
# servers that receive flows: each gives the shape that its panel needs, without data, with data, with variables set; reads no
# more windows than the range has; and tells what the generator has sent.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamGrafana;
use BackStreamTraffic;
use POSIX qw(strftime);
use PostgreSQL::Test::Utils;
use Test::More;

my @ports = map { free_port() } 1 .. 3;
my $common = "backstream.memory = '128MB'\nmax_connections = 30\nlog_statement = none\n";
my ($reader, @nodes) = start_backbone(nodes => 2, conf => $common);
my @servers = ($reader, @nodes);

for my $i (0 .. 2)
{
	$servers[$i]->append_conf('postgresql.conf', "backstream.listen = '127.0.0.1:$ports[$i]'\n");
	$servers[$i]->reload;
}
sub sql { return $reader->safe_psql('postgres', $_[0]) }

# ---------- the setting up of docs/grafana.md ----------

chomp(my $sharedir = `pg_config --sharedir`);
my $source = $ENV{BACKSTREAM_SOURCE};
sub script { $reader->command_ok([ 'psql', '-Xq', '-d', $reader->connstr('postgres'), @_ ], "psql @_[0 .. $#_ - 1]") }

my $document = slurp_file("$source/docs/grafana.md");
my %example = $document =~ /<!-- (\w+) -->\n```sql\n(.*?)```\n<!-- end of \1 -->/sg;
is(join(' ', sort keys %example), 'backbone setup', 'the document has the statements');
sql($example{setup} =~ s/192\.0\.2\.1/127.0.10.1/gr);
sql("INSERT INTO backstream.interface_config SELECT '127.0.10.1', i, 'Gi0/' || i, 1e6 FROM generate_series(1, 5) i");
script('-f', "$sharedir/extension/backstream_detectors.sql");
my ($united, $by_node) = $example{backbone} =~ /(.*?)(-- each node by itself.*)/s;
sql($united);
# The history that is sent below comes faster than time, and on some machines not as fast as wished: no window closes meanwhile.
sql("DO \$\$ DECLARE v regclass; BEGIN FOR v IN SELECT oid FROM pg_class WHERE relkind = 'f' AND relname <> 'flow' AND relnamespace IN ('traffic'::regnamespace, 'backbone'::regnamespace) LOOP
		EXECUTE format('ALTER VIEW %s SET (lateness = ''2 hours'')', v); END LOOP; END \$\$");
sql($by_node =~ s/pop_rio/node_1/gr =~ s/pop_sp/node_2/gr);
script('-v', "schema=$_", '-f', "$source/grafana/grants.sql") for qw(traffic detectors backbone node_1 node_2);
# The role is there on the nodes, too, and logs in there; these servers ask nobody for a password.
for my $node (@nodes)
{
	$node->command_ok([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-v', 'schema=backbone', '-f', "$source/grafana/grants.sql" ], 'grants.sql on a node');
	sql("CREATE USER MAPPING FOR grafana SERVER " . $node->name . " OPTIONS (user 'grafana', password_required 'false')");
}
my @dashboards = dashboards("$source/grafana/dashboards");
is(join(' ', map { $_->{uid} } @dashboards), join(' ', map { "backstream-$_" } qw(backbone health interfaces matrix overview security)), 'the dashboards');
my %panel;
for my $dashboard (@dashboards)
{
	$panel{ $dashboard->{uid} }{ $_->{name} } = $_ for @{ $dashboard->{queries} };
}

# Run all queries of all dashboards (only => some); one case for each dashboard.  Returns the results by dashboard and name.
sub run_all
{
	my ($what, %options) = @_;
	my %results;

	for my $dashboard (grep { $_->{uid} =~ ($options{only} // qr/./) } @dashboards)
	{
		my @faults;
		for my $query (@{ $dashboard->{queries} })
		{
			my $sql = expand($dashboard, $query, %options);
			my $result = run_query($reader, 'grafana', $sql);
			push @faults, map { "$query->{name}: $_\n$sql" } faults($query, $result);
			$results{ $dashboard->{uid} }{ $query->{name} } = $result;
		}
		is(scalar(@faults), 0, "$what: $dashboard->{title}, " . scalar(@{ $dashboard->{queries} }) . ' queries') or diag(join "\n", @faults);
	}
	return \%results;
}

# ---------- nothing has come ----------

my $now = time;
my $none = run_all('without data', from => $now - 1800, to => $now, values => { node => 'node_1' });
is(scalar(@{ $none->{'backstream-overview'}{'Bits/s by exporter'}{rows} }), 0, 'nothing is nothing, not zero');
is(scalar(@{ $none->{'backstream-health'}{'Everything that can be wrong, since the server started'}{rows} }) > 10, 1, 'health is there');

# ---------- twenty minutes of traffic at three servers ----------

my $minutes = 20;
# Records of each five minutes.
my @phases = (4000, 6000, 9000, 5000);
my $records = 24000;
my $start = int($now / 60) * 60 - $minutes * 60;

# One attack of three kinds, about four minutes ago, seen by an exporter of its own; before the traffic, which brings time up to
# now.  It is small, and the threshold lower.
my $attack = $start + ($minutes - 4) * 60;
sql(<<"SQL");
UPDATE detectors.thresholds SET value = 4e6 WHERE detector = 'ddos' AND name = 'bits_per_second';
INSERT INTO backstream.flow (time_received, time_flow_end, exporter, bytes, packets, src_addr, dst_addr, src_port, dst_port, proto, tcp_flags)
SELECT now(), to_timestamp($attack + k / 100.0), '192.0.2.1'::inet, 44, 1, '203.0.113.1'::inet, '10.1.5.5'::inet, 30000, k, 6, 2 FROM generate_series(1, 150) k
UNION ALL
SELECT now(), to_timestamp($attack + k / 100.0), '192.0.2.1', 9000, 8, '100.80.0.0'::inet + k, '10.2.0.99', 53, 80, 17, NULL FROM generate_series(1, 700) k
UNION ALL
SELECT now(), to_timestamp($attack + k / 100.0), '192.0.2.1', 600, 10, '100.90.0.0'::inet + k, '10.3.0.80', k, 443, 6, 2 FROM generate_series(1, 600) k
SQL

# Bits per second that the generator says it has sent to a server in each ten seconds, by time as text.
sub send_traffic
{
	my ($i) = @_;
	my (%sent, $begun);

	for my $phase (0 .. $#phases)
	{
		my $totals = generate(target => "127.0.0.1:$ports[$i]", version => 'ipfix', exporters => 3, source_base => '127.0.' . (10 + 10 * $i) . '.1',
			start_time => strftime('%Y-%m-%dT%H:%M:%S', gmtime $start + $phase * 300), time_step => 300 / $phases[$phase], count => $phases[$phase], rate => 20000,
			as_pairs => 300, addresses => 500, keys => 'zipf:0.7', seed => $i + 1);
		$sent{ strftime('%Y-%m-%d %H:%M:%S+00', gmtime $_->{start}) } += $_->{bytes} * 8 / 10 for @{ $totals->{windows_10s} };
	}
	return \%sent;
}
my @sent = map { send_traffic($_) } 0 .. 2;
ok(wait_until(60, sub { $servers[$_]->safe_psql('postgres', "SELECT bool_and(received >= $records) FROM backstream.views WHERE state = 'active' AND view::text ~ '^(traffic|backbone)'") eq 't' }),
	"server $_ has it") for 0 .. 2;
ok(wait_until(120, sub { sql("SELECT count(DISTINCT detector) FROM detectors.alerts WHERE detector IN ('port_scan', 'ddos', 'syn_flood')") == 3 }), 'the attack is found');

# The range ends with the traffic.
$now = $start + $minutes * 60;
my %range = (from => $start, to => $now);
my $all = run_all('with data', %range, values => { node => 'node_1' });

# For test/dashboards/render.sh, which draws them.
if ($ENV{BACKSTREAM_RESULTS})
{
	save_results($ENV{BACKSTREAM_RESULTS}, $_, $all->{ $_->{uid} }, %range, node => 'node_1') for @dashboards;
}

# Every panel has something to show, but for those that show what is wrong.
my %may_be_empty = map { $_ => 1 } ('annotation Not counted', 'Notifications, archives, copies for other collectors');
for my $dashboard (@dashboards)
{
	my @empty = grep { !@{ $all->{ $dashboard->{uid} }{$_}{rows} } && !$may_be_empty{$_} } map { $_->{name} } @{ $dashboard->{queries} };
	is("@empty", '', "$dashboard->{title}: no panel is empty");
}

# ---------- they tell what was sent ----------

# The sum of a series in a result, by time.
sub sums
{
	my ($result, $column) = @_;
	my %sum;

	$sum{ $_->[0] } += $_->[$column] // 0 for @{ $result->{rows} };
	return \%sum;
}

# Each step of ten seconds as the generator has written it down; the exporter of the attack is left out.
my %sent = %{ $sent[0] };
my @mine = map { $_->[0] } grep { $_->[0] =~ /^127/ } @{ run_query($reader, 'grafana', 'SELECT host(exporter) FROM backstream.exporters')->{rows} };
is(scalar(@mine), 3, 'three exporters are heard');
my $overview = (grep { $_->{uid} eq 'backstream-overview' } @dashboards)[0];
sub overview { my ($name, %values) = @_; return run_query($reader, 'grafana', expand($overview, $panel{'backstream-overview'}{$name}, %range, values => \%values)) }
my $traffic = overview('Traffic', exporter => \@mine);
is(join(' ', @{ $traffic->{columns} }), 'time Bits/s Packets/s Flows/s', 'the totals');
my %shown = %{ sums($traffic, 1) };
my @compared = grep { exists $sent{$_} && $shown{$_} } sort keys %shown;
cmp_ok(scalar(@compared), '>=', $minutes * 6 - 3, 'all steps are shown');
is(scalar(grep { abs($shown{$_} - $sent{$_}) > 1 } @compared), 0, 'and each is what was sent');
my $by_exporter = overview('Bits/s by exporter', exporter => \@mine);
my %stacked = %{ sums($by_exporter, 2) };
is(scalar(grep { abs($stacked{$_} - $sent{$_}) > 1 } @compared), 0, 'stacked by exporter it is the same');
is(join(', ', sort { $a cmp $b } do { my %n; grep { !$n{$_}++ } map { $_->[1] } @{ $by_exporter->{rows} } }), '127.0.10.2, 127.0.10.3, border 1', 'with the names that are known');
# By AS: the ten largest and the rest come to the whole, minute by minute.
my %by_as = %{ sums($all->{'backstream-overview'}{'Bits/s by source AS (all exporters)'}, 2) };
my %minute = split /[|\n]/, sql("SET timezone = 'UTC'; SELECT time, sum(bytes) * 8 / 60 FROM traffic.sources_as GROUP BY 1");
is(scalar(grep { !defined $minute{$_} || abs($by_as{$_} - $minute{$_}) > 1 } grep { $by_as{$_} } keys %by_as), 0, 'by AS too, with others');
cmp_ok(scalar(grep { $by_as{$_} } keys %by_as), '>=', $minutes - 2, 'in all minutes');
# The matrix: as many rows as columns, each pair once.
my $heat = $all->{'backstream-matrix'}{ (grep { /^AS to AS/ } keys %{ $all->{'backstream-matrix'} })[0] };
my (%from, %to, %cell);
for my $row (@{ $heat->{rows} })
{
	$from{ $row->[0] }++; $to{ $row->[1] }++; $cell{"$row->[0] $row->[1]"}++;
}
is(join(' ', sort keys %from), join(' ', sort keys %to), 'the matrix is square');
is(scalar(keys %cell), keys(%from) ** 2, 'and whole');
my ($src, $dst, $bps) = @{ $heat->{rows}[0] };
is(sprintf('%.1f', $bps), sql("SELECT round(sum(bytes) * 8 / 600, 1) FROM traffic.matrix_as WHERE 'AS' || src_as = '$src' AND 'AS' || dst_as = '$dst'
	AND time >= to_timestamp($now - 600) AND time < to_timestamp($now)"), 'a cell is the mean of ten minutes');
# Interfaces: what the busiest has, against the view.
my $interfaces = $all->{'backstream-interfaces'}{'Interfaces: last minute, 95th percentile and maximum of this range'};
my ($named) = grep { $_->[1] eq 'Gi0/1' } @{ $interfaces->{rows} };
ok($named && $named->[2] == 1e6 && defined $named->[5], 'an interface whose name and speed are known has a percentage');
my $p95 = sql("SELECT round(percentile_cont(0.95) WITHIN GROUP (ORDER BY coalesce(bytes_in, 0) * 8 / 60))
	FROM (SELECT DISTINCT time FROM traffic.interface_load WHERE time BETWEEN to_timestamp($start) AND to_timestamp($now) AND interface IS NOT NULL) m
	LEFT JOIN (SELECT time, bytes_in FROM traffic.interface_load WHERE exporter = '127.0.10.1' AND interface = 1) i USING (time)");
is(sprintf('%.0f', $named->[7]), $p95, 'its 95th percentile is that of the minutes, empty ones included');
# The attack.
my %found = map { $_->[2] => $_ } @{ $all->{'backstream-security'}{'Who did what to whom'}{rows} };
is($found{port_scan}[3], '203.0.113.1', 'the scan, by whom');
is($found{ddos}[4], '10.2.0.99', 'the flood, to whom');
my %state = map { ("$_->[1] $_->[0]" => $_->[2]) } @{ $all->{'backstream-security'}{'When'}{rows} };
my $minute_of = strftime('%Y-%m-%d %H:%M:00+00', gmtime $attack);
is($state{"ddos $minute_of"}, 1, 'it is in the state timeline, in its minute');
is(scalar(grep { $_ > 0 } map { $state{$_} } grep { /^ddos/ && !/\Q$minute_of\E/ } keys %state), 0, 'and in no other');
cmp_ok(scalar(@{ $all->{'backstream-security'}{'annotation Alerts'}{rows} }), '>=', 1, 'and an annotation');
# The backbone: both nodes, and each by itself.
my $all_nodes = sums($all->{'backstream-backbone'}{'Bits/s by exporter, all nodes'}, 2);
my %both = map { my $time = $_; $time => ($sent[1]{$time} // 0) + ($sent[2]{$time} // 0) } keys %{ $sent[1] }, keys %{ $sent[2] };
is(scalar(grep { abs(($all_nodes->{$_} // 0) - $both{$_}) > 1 } grep { exists $all_nodes->{$_} } keys %both), 0, 'united is what both were sent');
my $one = sums($all->{'backstream-backbone'}{'$node'}, 1);
my %first = %{ $sent[1] };
is(scalar(grep { abs(($one->{$_} // 0) - $first{$_}) > 1 } grep { exists $one->{$_} } keys %first), 0, 'one is what it was sent');
is($all->{'backstream-backbone'}{'Complete'}{rows}[0][0] * 1, 100, 'all windows are complete');

# ---------- variables ----------

my $as = run_query($reader, 'grafana', 'SELECT src_as FROM traffic.sources_as WHERE src_as IS NOT NULL GROUP BY 1 ORDER BY sum(bytes) DESC LIMIT 2')->{rows};
my $narrow = run_all('variables set', %range, values => { exporter => ['127.0.10.1'], interface => ['1', '2'], as => [ map { $_->[0] } @$as ], detector => ['ddos'], node => 'node_2' });
my @exporters = map { $_->[0] } @{ $narrow->{'backstream-health'}{'Exporters'}{rows} };
is("@exporters", '127.0.10.1', 'one exporter is one exporter');
is(scalar(@{ $narrow->{'backstream-interfaces'}{'Interfaces: last minute, 95th percentile and maximum of this range'}{rows} }), 2, 'two interfaces are two');
is(join(' ', do { my %n; grep { !$n{$_}++ } map { $_->[2] } @{ $narrow->{'backstream-security'}{'Who did what to whom'}{rows} } }), 'ddos', 'one detector is one');
my %chosen = map { ("AS$_->[0]" => 1) } @$as;
is(scalar(grep { !$chosen{ $_->[0] } && !$chosen{ $_->[1] } && $_->[2] > 0 } @{ $narrow->{'backstream-matrix'}{ (grep { /^AS to AS/ } keys %{ $narrow->{'backstream-matrix'} })[0] }{rows} }),
	0, 'two systems are their rows and columns');
run_all('a quote in a value', %range, only => qr/overview|interfaces|security/, values => { exporter => ["127.0.10.1", "127.0.10.9"], interface => ['1'], detector => ["it's"], node => 'node_1' });
run_all('another range', from => $start - 6 * 3600, to => $now, values => { node => 'node_1' });

# ---------- they are cheap: scans of views read the windows of the range alone ----------

for my $dashboard (@dashboards)
{
	my @without;
	for my $query (grep { $_->{kind} eq 'panel' } @{ $dashboard->{queries} })
	{
		my $plan = run_query($reader, 'grafana', 'EXPLAIN (COSTS OFF) ' . expand($dashboard, $query, %range, values => { node => 'node_1' }));
		my $text = join "\n", map { $_->[0] } @{ $plan->{rows} };
		# In detectors.alerts what joins a signature's rows, and what is compared with the hour before, have none; both are small.
		my @scans = grep { !/^Foreign Scan on (?:spreaders|destination_entropy)/ } $text =~ /(Foreign Scan on .*(?:\n(?!.*->).*)*)/g;
		push @without, "$query->{name}:\n$text" if grep { !/Window Cond/ } @scans;
	}
	is(scalar(@without), 0, "$dashboard->{title}: every scan has a condition on windows") or diag(join "\n", @without);
}

# ---------- a node goes away ----------

$nodes[1]->stop('immediate');
my $partial = run_all('without a node', %range, only => qr/backbone/, values => { node => 'node_1' });
cmp_ok($partial->{'backstream-backbone'}{'Complete'}{rows}[0][0], '<', 100, 'completeness says so');
my %nodes = map { $_->[0] => $_->[1] } @{ $partial->{'backstream-backbone'}{'Nodes, asked now'}{rows} };
is("$nodes{node_1}, $nodes{node_2}", 'in step, unreachable', 'and which');

$_->stop for $reader, $nodes[0];
done_testing();
