# SPDX-License-Identifier: PostgreSQL
# A backbone of real hosts: three nodes, their reader and exporters, each with addresses of its own, over IPv4 and IPv6, and a
# network between them that loses packets without a word, is cut in two and heals, and has links of different sizes.
use strict;
use warnings;
use BackStreamHosts;
use BackStreamBackbone;
use BackStreamTest;
use BackStreamTraffic;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $timeout = 3;
my $address = make_hosts([ 'here', [ 4, 6 ] ], [ 'node_1', [ 4, 6 ] ], [ 'node_2', [ 4, 6 ] ], [ 'node_3', [6] ],
	[ 'router_a', [ 4, 6 ] ], [ 'router_b', [6] ], [ 'router_c', [4] ]);

# ---------- servers ----------

# Who may come in from where is settled by lines of addresses; only this test comes in through the socket.
sub start_host
{
	my ($name) = @_;
	my $node = backstream_node($name, conf => "listen_addresses = '*'\nbackstream.listen = '*:2055'\nbackstream.receive_buffer = '4MB'\nstatement_timeout = '120s'\n");
	my $here = $address->{here};

	unlink $node->data_dir . '/pg_hba.conf';
	$node->append_conf('pg_hba.conf', "local all all trust\nhost all meter $here->{4}/32 scram-sha-256\nhost all meter $here->{6}/128 scram-sha-256\n");
	start_on($name, $node);
	$node->safe_psql('postgres', q{CREATE EXTENSION backstream; CREATE ROLE meter LOGIN PASSWORD 'correct horse';
		GRANT USAGE ON FOREIGN SERVER backstream TO meter; GRANT CREATE ON DATABASE postgres TO meter; GRANT CREATE ON SCHEMA public TO meter; GRANT SELECT ON backstream.flow TO meter;
		CREATE FOREIGN TABLE s (t timestamptz, k int, v bigint) SERVER backstream; GRANT SELECT ON s TO meter});
	return $node;
}

my @nodes = map { start_host("node_$_") } 1 .. 3;
my $reader = backstream_node('reader', conf => "backstream.node_timeout = '60s'\nstatement_timeout = '120s'\n");
$reader->start;

sub query { return $reader->safe_psql('postgres', $_[0]) }
sub on_node { my ($n, $sql) = @_; return $nodes[$n - 1]->safe_psql('postgres', $sql) }
# A statement in a session of its own: what it has written so far is in out and err.
sub start_read
{
	my ($sql) = @_;
	my %run = (out => '', err => '', began => time);

	$run{handle} = IPC::Run::start([ 'stdbuf', '-oL', 'psql', '-XAtq', '-d', $reader->connstr('postgres'), '-c', "SET backstream.node_timeout = '${timeout}s'",
			'-c', 'SET backstream.listen_for = 0', '-c', $sql ], '<', \'', '>', \$run{out}, '2>', \$run{err}, IPC::Run::timeout(300));
	return \%run;
}
# Its output and messages.
sub finish_read
{
	my ($run) = @_;

	$run->{handle}->finish;
	return "$run->{out}\n$run->{err}";
}
# All of them are given up in time, and never hung: the bound is for a machine that is busy.
sub in_time
{
	my ($began, $what) = @_;
	cmp_ok(time - $began, '<', $timeout + 30, "$what: in time");
}

# The first is reached by IPv4, the second by IPv6 although it has both, the third has IPv6 alone.
my @by = (undef, $address->{node_1}{4}, $address->{node_2}{6}, $address->{node_3}{6});
query('CREATE EXTENSION backstream');
for my $n (1 .. 3)
{
	query("CREATE SERVER node_$n FOREIGN DATA WRAPPER backstream OPTIONS (host '$by[$n]', port '" . $nodes[$n - 1]->port . "', dbname 'postgres');
		CREATE USER MAPPING FOR PUBLIC SERVER node_$n OPTIONS (user 'meter', password 'correct horse')");
}
query(q{CREATE SERVER backbone FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'node_1, node_2, node_3');
	CREATE SERVER others FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'node_1, node_2, node_3', on_node_failure 'partial');
	CREATE SCHEMA backbone; IMPORT FOREIGN SCHEMA backstream FROM SERVER backbone INTO backbone;
	CREATE SCHEMA others; IMPORT FOREIGN SCHEMA backstream FROM SERVER others INTO others});
query(q{IMPORT FOREIGN SCHEMA public FROM SERVER backbone INTO backbone});
query(q{CREATE VIEW backbone.exported WITH (continuous, clock = 'data', retain = '10 days') AS
	SELECT tumble(time_flow_end, '1 day') AS time, exporter, obs_domain, flow_type, count(*) AS records, sum(bytes) AS bytes, sum(packets) AS packets
	  FROM backbone.flow GROUP BY 1, 2, 3, 4});
query("CREATE VIEW backbone.v_$_ WITH (continuous, clock = 'data', retain = '10 days', on_node_failure = '$_') AS
	SELECT tumble(t, '1 min') AS time, k, count(*) AS n, sum(v) AS v FROM backbone.s GROUP BY 1, 2") for 'error', 'partial';

# ---------- who may come in ----------

sub client { my ($host, $conninfo) = @_; my ($out, $err); IPC::Run::run([ on_host($host, 'psql', '-XAtq', '-d', "$conninfo dbname=postgres connect_timeout=60", '-c', 'SELECT host(inet_client_addr())') ], '>', \$out, '2>', \$err); return "$out$err" }
my $secret = q{user=meter password='correct horse'};
for my $family (4, 6)
{
	my $server = "host=$address->{node_1}{$family} port=" . $nodes[0]->port;

	is(client('here', "$server $secret"), "$address->{here}{$family}\n", "the reader comes in over IPv$family");
	like(client('here', "$server user=meter password=battery"), qr/password authentication failed for user "meter"/, "with its password, over IPv$family");
	like(client('node_2', "$server $secret"), qr/no pg_hba.conf entry for host "$address->{node_2}{$family}", user "meter"/, "another host does not, over IPv$family");
}
is(query(q{SELECT string_agg(node || ' ' || state, ', ' ORDER BY node) FROM backstream.nodes}), 'node_1 in step, node_2 in step, node_3 in step', 'the reader is with all nodes');

# ---------- exporters ----------

# What it sends finds room in a socket's buffer, however slow the receiver is.
sub start_exporter
{
	my ($host, $source, $target, %options) = @_;
	return start_generate(on => [ on_host($host) ], allow_any => undef, target => $target, source_base => $source, rate => 20000,
		count => 2400, start_time => '2026-01-31T12:00:00', time_step => '0.01', exporters => 1, %options);
}
sub exporters_of { my ($n) = @_; return on_node($n, q{SELECT host(exporter), obs_domain, flow_type, sum(records) FROM backstream.exporters GROUP BY 1, 2, 3 ORDER BY 1, 2, 3}) }
sub received { my ($n) = @_; return on_node($n, 'SELECT coalesce(sum(records), 0) FROM backstream.exporters') }
sub applied { my ($n) = @_; return on_node($n, q{SELECT received FROM backstream.views WHERE view = 'backbone.exported'::regclass}) }
sub whole { my ($n, $records) = @_; my $all = wait_until(60, sub { applied($n) == $records }); diag("node $n: " . applied($n) . " of $records") unless $all; return $all }

ok(wait_until(60, sub { !grep { on_node($_, q{SELECT count(*) FROM backstream.listeners}) == 0 } 1 .. 3 }), 'nodes listen');
ok(wait_until(60, sub { !grep { on_node($_, q{SELECT state FROM backstream.views WHERE view = 'backbone.exported'::regclass}) ne 'active' } 1 .. 3 }), 'and count');
system(on_host('router_a', 'ip', 'address', 'add', "10.77.5.$_/24", 'dev', 'eth0')) for 3, 4;
my @sent = map { finish_generate($_) } (
	start_exporter('router_a', $address->{router_a}{4}, "$address->{node_1}{4}:2055", version => 'mix', exporters => 3),
	start_exporter('router_a', $address->{router_a}{6}, "[$address->{node_2}{6}]:2055", version => 'ipfix'),
	start_exporter('router_b', $address->{router_b}{6}, "[$address->{node_3}{6}]:2055", version => 'v9', ipv6 => 0.5));
ok(whole($_, 2400), "node $_ has got every record") for 1 .. 3;
my $by_exporter = 'SELECT host(exporter), obs_domain, flow_type, sum(records), sum(bytes), sum(packets) FROM backbone.exported GROUP BY 1, 2, 3 ORDER BY 1, 2, 3';
is(join("\n", sort split /\n/, query($by_exporter)), sent(@sent), 'the backbone\'s sums by exporter are what was sent, from addresses of both families');
is(exporters_of($_), sent($sent[$_ - 1]) =~ s/(\|\d+)\|\d+\|\d+$/$1/mgr, "backstream.exporters of node $_ has their addresses") for 1 .. 3;

# One exporter, two nodes: each has all of it, and the backbone has it twice.
my @twice = map { finish_generate($_) } map { start_exporter('router_c', $address->{router_c}{4}, "$address->{$_}{4}:2055", first_sequence => 0) } 'node_1', 'node_2';
ok(whole($_, 4800), "node $_ has got every record") for 1, 2;
my $of_c = "SELECT coalesce(sum(records), 0), coalesce(sum(bytes), 0) FROM %s.exported WHERE exporter = '$address->{router_c}{4}'";
is(on_node($_, sprintf $of_c, 'backbone'), "2400|$twice[0]{bytes}", "an exporter that sends to two nodes is whole on node $_") for 1, 2;
is(query(sprintf $of_c, 'backbone'), '4800|' . 2 * $twice[0]{bytes}, 'and there twice for the backbone');
is(on_node($_, 'SELECT sum(records_lost) + sum(datagrams_lost) FROM backstream.exporters'), 0, "nothing is lost on node $_") for 1 .. 3;

# ---------- links of different sizes ----------

# An exporter's own link: it sends fragments, which the node puts together.
sub reassembled
{
	my ($host, $file, $line) = @_;
	my ($out) = run_command([ on_host($host, 'sh', '-c', "awk '/^$line /{ n = \$" . ($file eq 'snmp' ? 15 : 2) . " } END { print n }' /proc/net/$file") ]);
	return $out;
}
system(on_host('router_c', 'ip', 'link', 'set', 'eth0', 'mtu', 600));
system(on_host('router_b', 'ip', 'link', 'set', 'eth0', 'mtu', 1280));
finish_generate($_) for start_exporter('router_c', $address->{router_c}{4}, "$address->{node_1}{4}:2055", first_sequence => 2400, count => 1200),
  start_exporter('router_b', $address->{router_b}{6}, "[$address->{node_3}{6}]:2055", version => 'v9', domains => 1, first_domain => 7, count => 1200);
ok(whole(1, 6000), 'over IPv4 every datagram in fragments arrives');
ok(whole(3, 3600), 'over IPv6 too');
cmp_ok(reassembled('node_1', 'snmp', 'Ip:'), '>=', 40, 'they were fragments') or diag(reassembled('node_1', 'snmp', 'Ip:'));
cmp_ok(reassembled('node_3', 'snmp6', 'Ip6ReasmOKs'), '>=', 40, 'over IPv6 too');
system(on_host('router_c', 'ip', 'link', 'set', 'eth0', 'mtu', 1500));

# A link in the middle: over IPv4 the router makes fragments; over IPv6 it drops, tells the exporter, and that makes them.
on_router('link', 'set', "node_$_", 'mtu', 1300) for 1, 3;
finish_generate($_) for start_exporter('router_c', $address->{router_c}{4}, "$address->{node_1}{4}:2055", first_sequence => 3600, count => 1200),
  start_exporter('router_a', $address->{router_a}{6}, "[$address->{node_3}{6}]:2055", count => 60);
ok(whole(1, 7200), 'behind a smaller link every datagram arrives');
finish_generate(start_exporter('router_a', $address->{router_a}{6}, "[$address->{node_3}{6}]:2055", first_sequence => 60, count => 1200));
ok(whole(3, 4800 + applied(3) % 60), 'over IPv6, too, all that follow the first');
on_router('link', 'set', "node_$_", 'mtu', 1500) for 1, 3;

# What is lost without a word between an exporter and its node.  It sends all the time, until it is told to end.
sub packets_of { my ($host) = @_; my ($out) = run_command([ on_host($host, 'awk', '/eth0:/ { print $11 }', '/proc/net/dev') ]); return $out }
my $of_domain = 'FROM backstream.exporters WHERE obs_domain = 9';
my $steady = start_exporter('router_c', $address->{router_c}{4}, "$address->{node_1}{4}:2055", first_domain => 9, rate => 600, records_per_datagram => 6, count => 100000, seconds => 50);
ok(wait_until(60, sub { (on_node(1, "SELECT sum(records) $of_domain") || 0) > 0 }), 'an exporter sends');
lose_packets('node_1');
my $packets = packets_of('router_c');
ok(wait_until(60, sub { packets_of('router_c') > $packets + 20 }), 'also while its node cannot be reached');
find_packets('node_1');
ok(wait_until(60, sub { on_node(1, "SELECT sum(records_lost) $of_domain") > 0 }), 'which knows of it afterwards');
$steady->{handle}->signal('INT');
$steady = finish_generate($steady);
ok(wait_until(60, sub { on_node(1, "SELECT sum(records) + sum(records_lost) $of_domain") >= $steady->{records} }), 'and of all that the network has lost');
is(on_node(1, "SELECT sum(records) + sum(records_lost), sum(records_lost) > 100 $of_domain"), "$steady->{records}|t", 'to the record');

# ---------- copies to other collectors ----------

# They go over IPv6 from a node that got them over IPv4, and come from the node: no address is forged.
my $before_3 = applied(3);
$nodes[1]->append_conf('postgresql.conf', "backstream.forward = '[$address->{node_3}{6}]:2055'\n");
$nodes[1]->reload;
ok(wait_until(60, sub { on_node(2, q{SELECT state FROM backstream.forwards}) eq 'open' }), 'a node forwards to another');
my $copied = finish_generate(start_exporter('router_a', $address->{router_a}{4}, "$address->{node_2}{4}:2055", count => 1200));
ok(whole(3, $before_3 + 1200), 'which gets every record');
is(on_node(3, "SELECT sum(records), sum(bytes) FROM backbone.exported WHERE exporter = '$address->{node_2}{6}'"), "1200|$copied->{bytes}", 'from the address of the node that has forwarded it');
$nodes[1]->append_conf('postgresql.conf', "backstream.forward = ''\n");
$nodes[1]->reload;

# ---------- a network that is cut ----------

on_node($_, "INSERT INTO s SELECT timestamptz '2026-01-01Z' + i % 600 * interval '1 s', i % 5000, i FROM generate_series(1, 20000) i WHERE i % 3 = $_ - 1") for 1 .. 3;
my $sum = 'SELECT count(*), sum(n), sum(v) FROM backbone.v_';
my $exact = query("${sum}error");
my @without = (0, map { my $n = $_; query("SELECT sum(i) FROM generate_series(1, 20000) i WHERE i % 3 <> $n - 1") } 1 .. 3);
like($exact, qr/\|20000\|200010000$/, 'all records are there');

# An error that names the node, or the others' records and a warning that does.
sub end_well
{
	my ($n, $why, $what, $error, $partial) = @_;
	my ($said, $say) = map { finish_read($_) } $error, $partial;

	like($said, qr/^\n.*ERROR:  node "node_$n": .*$why/s, "$what: an error that names the node");
	like($say, qr/\|$without[$n]\n.*WARNING:  the result lacks what node "node_$n" has counted.*$why/s, "$what: or a warning, and what the others have");
	in_time($error->{began}, $what);
}
sub fails_well { my ($n, $why, $what) = @_; end_well($n, $why, $what, map { start_read($sum . $_) } 'error', 'partial') }

# A connection that is there breaks in silence, as well as one that is made; and both come back.
my $session = $reader->background_psql('postgres', on_error_stop => 0);
like($session->query("${sum}error"), qr/\|200010000/, 'a session has connections to all nodes');
$session->query("SET backstream.node_timeout = '${timeout}s'");
for my $n (1, 3)
{
	lose_packets("node_$n");
	my $asked = start_read("SELECT state FROM backstream.nodes WHERE node = 'node_$n'");
	fails_well($n, "gave up after $timeout s, waiting to connect", "node $n does not answer");
	like(finish_read($asked), qr/^unreachable$/m, 'backstream.nodes says so');
	my $before = time;
	like($session->query("${sum}partial"), qr/\|$without[$n]$/m, 'a session that was connected has what the others have');
	in_time($before, 'it waits no longer');
	find_packets("node_$n");
	is(query("${sum}error"), $exact, 'when the network has healed all is well');
	like($session->query("${sum}error"), qr/\|200010000/, 'also in the session that was there');
}
$session->quit;

# In the middle of an answer: the node is about to send more, and what it sends gets lost.
on_node(2, q{ALTER FUNCTION backstream.partials(text, text, bigint, bigint[], bigint[]) RENAME TO partials_proper;
	CREATE FUNCTION backstream.partials(text, text, bigint, bigint[], bigint[]) RETURNS SETOF bytea LANGUAGE plpgsql AS $$
	DECLARE message bytea; i int := 0; BEGIN
		FOR message IN SELECT backstream.partials_proper($1, $2, $3, $4, $5) LOOP
			i := i + 1;
			IF i = 3 THEN PERFORM pg_advisory_lock(1); PERFORM pg_advisory_unlock(1); END IF;
			RETURN NEXT message;
		END LOOP;
	END $$});
my $waiting = q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted};
my $brake = $nodes[1]->background_psql('postgres');
$brake->query('SELECT pg_advisory_lock(1)');
my @reads = map { start_read("SET backstream.node_timeout = '8 s'; $sum$_") } 'error', 'partial';
ok(wait_until(60, sub { on_node(2, $waiting) eq '2' }), 'a node is in the middle of its answers');
lose_packets('node_2');
$brake->quit;
end_well(2, 'gave up after 8 s, waiting for an answer', 'a node that is cut off in the middle', @reads);
find_packets('node_2');
is(query("${sum}error"), $exact, 'and then all is well');
on_node(2, 'DROP FUNCTION backstream.partials(text, text, bigint, bigint[], bigint[]); ALTER FUNCTION backstream.partials_proper(text, text, bigint, bigint[], bigint[]) RENAME TO partials');

# A plug that is pulled: routers say so.
link_down('node_1');
fails_well(1, '(unreachable|No route to host)', 'a link that is down');
link_up('node_1');
is(query("${sum}error"), $exact, 'a link that is up again');

# ---------- live tails ----------

sub listening { my ($count, @some) = @_; return wait_until(120, sub { !grep { on_node($_, 'SELECT count(*) FROM backstream.tails') != $count } @some }) }
sub tail_has { my ($tail, $text) = @_; return wait_until(60, sub { $tail->{handle}->pump_nb; "$tail->{out}$tail->{err}" =~ $text }) }
sub trickle { my ($host, $source, $target) = @_; return finish_generate(start_exporter($host, $source, $target, count => 30)) }

my %tail = map { $_ => start_read("COPY (SELECT host(exporter) FROM $_.flow) TO STDOUT") } 'backbone', 'others';
ok(listening(2, 1 .. 3), 'all nodes send their records');
trickle('router_a', $address->{router_a}{4}, "$address->{node_1}{4}:2055");
ok(tail_has($tail{$_}, qr/^\Q$address->{router_a}{4}\E$/m), 'a record of the first') for 'backbone', 'others';
my $cut = time;
lose_packets('node_1');
ok(tail_has($tail{others}, qr/WARNING:  from now on the records of stream "flow" lack those of node "node_1"/), 'a link is cut: a warning');
like(finish_read($tail{backbone}), qr/ERROR:  node "node_1": gave up after $timeout s/, 'or an error');
in_time($cut, 'a tail');
trickle('router_b', $address->{router_b}{6}, "[$address->{node_3}{6}]:2055");
ok(tail_has($tail{others}, qr/^\Q$address->{router_b}{6}\E$/m), 'and the records of others come');
query(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY (%' AND state = 'active'});
finish_read($tail{others});
ok(listening(0, 2, 3), 'nodes that are there send no more');
find_packets('node_1');
ok(listening(0, 1), 'nor does the other one, when the network has healed');
my $again = start_read('COPY (SELECT host(exporter) FROM backbone.flow) TO STDOUT');
ok(listening(1, 1 .. 3), 'a new one has all nodes');
trickle('router_c', $address->{router_c}{4}, "$address->{node_1}{4}:2055");
ok(tail_has($again, qr/^\Q$address->{router_c}{4}\E$/m), 'and their records');
query(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY (%' AND state = 'active'});
finish_read($again);

ok(wait_until(120, sub { !grep { on_node($_, q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'backstream'}) ne '0' } 1 .. 3 }), 'no connection is left');
unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for @nodes, $reader;
$_->stop for @nodes, $reader;
done_testing();
