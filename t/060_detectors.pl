# SPDX-License-Identifier: PostgreSQL
# The signatures pack over a made network: three exporters see ordinary traffic, some of which looks like an
# attack and is none, and in some minutes one attack.  Each detector finds its attacker, in its minute, and
# nothing else; none finds anything where there is no attack; thresholds and exclusions act.
use strict;
use warnings;
use BackStreamTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = backstream_node('detectors', conf => "backstream.memory = '256MB'\nmax_connections = 20\n");
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]) }

chomp(my $sharedir = `pg_config --sharedir`);
my $script = "$sharedir/extension/backstream_detectors.sql";

sql('CREATE EXTENSION backstream');
$node->command_ok([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-v', 'clock=data', '-f', $script ], 'the script installs');

sql(<<'SQL');
CREATE FUNCTION at(minute int, second float8) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
	$$ SELECT timestamptz '2026-03-01 00:00Z' + minute * interval '1 min' + second * interval '1 s' $$;
-- A number below n that depends on nothing but its arguments.
CREATE FUNCTION draw(n int, variadic of bigint[]) RETURNS int LANGUAGE sql IMMUTABLE AS
	$$ SELECT ((hash_array_extended(of, 7) & 1099511627775) % n)::int $$;
CREATE TYPE rec AS (time timestamptz, exporter inet, rate bigint, bytes bigint, packets bigint, src inet, dst inet,
	src_port int, dst_port int, proto smallint, flags int);
CREATE FUNCTION feed(rec) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO backstream.flow (time_received, time_flow_end, exporter, sampling_rate, bytes, packets, src_addr, dst_addr, src_port, dst_port, proto, tcp_flags)
	   SELECT $1.time, $1.time, $1.exporter, $1.rate, $1.bytes, $1.packets, $1.src, $1.dst, $1.src_port, $1.dst_port, $1.proto, $1.flags $$;
CREATE FUNCTION exporter(e int) RETURNS inet LANGUAGE sql IMMUTABLE AS $$ SELECT '192.168.0.0'::inet + e $$;

-- What exporter e sees of ordinary traffic in a minute.
CREATE FUNCTION background(minute int, e int, n int) RETURNS SETOF rec LANGUAGE sql IMMUTABLE AS $$
WITH d AS (
	SELECT k, draw(100, minute, e, k) AS kind, draw(60000, minute, e, k, 1) / 1000.0 AS second,
		('10.' || e || '.0.0')::inet + 256 + draw(2000, minute, e, k, 2) AS client,
		'198.51.0.0'::inet + (2000 * power(draw(1000, minute, e, k, 3) / 1000.0, 2))::bigint AS server,
		32768 + draw(28000, minute, e, k, 4) AS high, ('10.' || e || '.0.0')::inet AS site,
		1 + draw(50, minute, e, k, 5) AS size
	  FROM generate_series(1, n) k)
-- the web: what is asked, what is answered
SELECT at(minute, second), exporter(e), 1::bigint, size * 90::bigint, size::bigint, client, server, high, 443, 6::smallint, 27 FROM d WHERE kind < 30
UNION ALL
SELECT at(minute, second), exporter(e), 1, size * 1200, size, server, client, 443, high, 6, 27 FROM d WHERE kind BETWEEN 30 AND 59
-- names: asked of the resolver, answered by it, and asked by it of everybody
UNION ALL
SELECT at(minute, second), exporter(e), 1, 70, 1, client, site + 53, high, 53, 17, NULL FROM d WHERE kind BETWEEN 60 AND 65
UNION ALL
SELECT at(minute, second), exporter(e), 1, 300, 1, site + 53, client, 53, high, 17, NULL FROM d WHERE kind BETWEEN 66 AND 71
UNION ALL
SELECT at(minute, second), exporter(e), 1, 80, 1, site + 53, server, high, 53, 17, NULL FROM d WHERE kind BETWEEN 72 AND 75
-- large answers of few servers to the resolver of another network
UNION ALL
SELECT at(minute, second), exporter(e), 1, 140000, 100, '198.51.100.0'::inet + size % 20, '203.0.113.53', 53, high, 17, NULL FROM d WHERE kind = 76
UNION ALL
SELECT at(minute, second), exporter(e), 1, 76, 1, client, '192.0.2.123', 123, 123, 17, NULL FROM d WHERE kind BETWEEN 77 AND 79
-- connections that fail here and there, and what closed ports answer to one who tries hard, from ever other ports
UNION ALL
SELECT at(minute, second), exporter(e), 1, 60, 1 + size % 3, client, server, high, 443, 6, 2 FROM d WHERE kind BETWEEN 80 AND 82
UNION ALL
SELECT at(minute, second), exporter(e), 1, 40, 1, '198.51.100.200', site + 300, 8080, high, 6, 20 FROM d WHERE kind BETWEEN 83 AND 85
-- mail to everybody
UNION ALL
SELECT at(minute, second), exporter(e), 1, size * 600, size, site + 25, '198.51.200.0'::inet + draw(150, minute, e, k, 6), high, 25, 6, 27 FROM d WHERE kind BETWEEN 86 AND 88
UNION ALL
SELECT at(minute, second), exporter(e), 1, 84, 1, client, server, NULL, NULL, 1, NULL FROM d WHERE kind BETWEEN 89 AND 91
-- telephones, games: high ports, one protocol, or few peers
UNION ALL
SELECT at(minute, second), exporter(e), 1, size * 200, 10 + size, client, site + 60, high, 5060 + size, 17, NULL FROM d WHERE kind BETWEEN 92 AND 94
UNION ALL
SELECT at(minute, second), exporter(e), 1, size * 200, 10 + size, site + 61, '198.51.220.0'::inet + size % 7, 40000, 27016, CASE WHEN size % 2 = 0 THEN 6 ELSE 17 END, 27 FROM d WHERE kind BETWEEN 95 AND 96
-- a backup, in records of three megabytes
UNION ALL
SELECT at(minute, second), exporter(e), 1, 3000000, 2500, site + 9, site + 10, 50000, 873, 6, 16 FROM d WHERE kind BETWEEN 97 AND 98
$$;

-- One attack of each kind, all in the first ten seconds of a minute (elephant: all over it).
CREATE FUNCTION attack(kind text, minute int) RETURNS SETOF rec LANGUAGE sql IMMUTABLE AS $$
SELECT at(minute, k / 100.0), exporter(1), 1::bigint, 44::bigint, 1::bigint, '203.0.113.1'::inet, '10.1.5.5'::inet, 30000 + k, k, 6::smallint, 2 FROM generate_series(1, 150) k WHERE kind = 'port_scan'
UNION ALL -- and its victim's answers
SELECT at(minute, k / 100.0), exporter(1), 1, 40, 1, '10.1.5.5', '203.0.113.1', k, 30000 + k, 6, 20 FROM generate_series(1, 150) k WHERE kind = 'port_scan'
UNION ALL
SELECT at(minute, k / 100.0), exporter(1 + k % 2), 1, 120, 2, '203.0.113.2', '10.1.0.0'::inet + k * 17, 41000 + k, 22, 6, 2 FROM generate_series(1, 150) k WHERE kind = 'host_scan'
UNION ALL
SELECT at(minute, k / 100.0), exporter(2), 1, 48, 1, '10.2.7.0'::inet + k % 15 + 1, '198.51.64.0'::inet + draw(16000, minute, k), 42000 + k, 445, 6, 2 FROM generate_series(1, 450) k WHERE kind = 'worm_spread'
UNION ALL -- sampled: each record stands for a hundred packets
SELECT at(minute, k / 100.0), exporter(3), 100, 60, 1, '100.64.0.0'::inet + draw(4000000, minute, k), '10.3.0.80', 1024 + draw(60000, k), 443, 6, 2 FROM generate_series(1, 600) k WHERE kind = 'syn_flood'
UNION ALL
SELECT at(minute, k / 100.0), exporter(2), 1, 250000, 200, '100.80.0.0'::inet + k, '10.2.0.99', 1024 + draw(60000, k), 80, 17, NULL FROM generate_series(1, 700) k WHERE kind = 'ddos'
UNION ALL
SELECT at(minute, k / 100.0), exporter(1), 1, 234000, 500, '100.96.0.0'::inet + k, '10.1.9.9', 123, 80, 17, NULL FROM generate_series(1, 80) k WHERE kind = 'reflection'
UNION ALL
SELECT at(minute, k * 9), exporter(3), 1, 200000000, 140000, '10.3.4.4', '198.51.100.77', 51515, 443, 6, 16 FROM generate_series(1, 6) k WHERE kind = 'elephant'
UNION ALL
SELECT at(minute, k / 100.0), exporter(1), 1, 30000, 40, '2001:db8:6::6', '2001:db8:77::'::inet + k / 2, 6881, 20000 + k, CASE k % 2 WHEN 0 THEN 6 ELSE 17 END, 27 FROM generate_series(1, 61) k WHERE kind = 'p2p'
UNION ALL
SELECT at(minute, k / 1000.0), exporter(2), 1, 1000, 8, '100.120.0.0'::inet + k % 300, '10.2.0.80', 1024 + k, 443, 6, 27 FROM generate_series(1, 6000) k WHERE kind = 'entropy'
$$;

CREATE PROCEDURE minute(minute int, variadic kinds text[] DEFAULT '{}') LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO backstream.flow (time_received, time_flow_end, exporter, sampling_rate, bytes, packets, src_addr, dst_addr, src_port, dst_port, proto, tcp_flags)
	SELECT r.time, r.time, r.exporter, r.rate, r.bytes, r.packets, r.src, r.dst, r.src_port, r.dst_port, r.proto, r.flags
	  FROM (SELECT b.* FROM generate_series(1, 3) e, background(minute, e, 3000) b
			UNION ALL SELECT a.* FROM unnest(kinds) kind, attack(kind, minute) a) r ORDER BY r.time;
END $$;

-- Resolvers ask everybody: the example of what is to be left out.
INSERT INTO detectors.exclusions SELECT ('10.' || e || '.0.53')::cidr, 'resolver' FROM generate_series(1, 3) e;
SELECT backstream.refresh_prefix_map('detector_exclusions');
SQL

# Who is found, by detector: lines "detector|suspect|target|minute".
sub found
{
	return sql(q{SELECT DISTINCT detector, suspect, target, (extract(epoch FROM time - at(0, 0)) / 60)::int AS minute
		FROM detectors.alerts ORDER BY minute, detector, suspect, target});
}

# What each attack is to be found as.
my %expected = (
	port_scan => ['port_scan|203.0.113.1|10.1.5.5'],
	host_scan => ['host_scan|203.0.113.2|'],
	worm_spread => [ map { "worm_spread|10.2.7.$_|" } 1 .. 15 ],
	syn_flood => ['syn_flood||10.3.0.80'],
	ddos => ['ddos||10.2.0.99'],
	reflection => ['reflection||10.1.9.9'],
	elephant => ['elephant|10.3.4.4|198.51.100.77'],
	p2p => ['p2p|2001:db8:6::6|'],
	entropy => ['entropy|192.168.0.2|']);
my @kinds = sort keys %expected;

sub expected
{
	my ($minute, @which) = @_;
	return map { my $kind = $_; map { "$_|$minute" } @{ $expected{$kind} } } @which;
}

sub lines { return join "\n", sort @_ }
sub feed { sql(join '', map { "CALL minute($_);" } @_) }

# ---------- nothing ----------
feed(map { $_ } 0 .. 7);
sql('SELECT backstream.settle()');
is(found(), '', 'ordinary traffic: nothing');
is(sql("SELECT count(*) FROM detectors.destination_entropy WHERE bits BETWEEN 8 AND 11"), 21, 'the entropy of each exporter is known');
# ---------- one attack a minute ----------
my @want;
my $minute = 10;
feed(8, 9);
for my $kind (grep { $_ ne 'entropy' } @kinds)
{
	sql("CALL minute($minute, '$kind')");
	push @want, expected($minute++, $kind);
}
# It would be part of what is usual for those that follow.
sql("CALL minute($minute, 'entropy')");
push @want, expected($minute++, 'entropy');
feed($minute, $minute + 1);
sql('SELECT backstream.settle()');
my $all = found();
is(lines(split /\n/, $all), lines(@want), 'each attack is found by its detector, in its minute, and nothing else');
for my $kind (@kinds)
{
	my @here = grep { /^\Q$kind\E\|/ } split /\n/, $all;
	is(scalar @here, scalar @{ $expected{$kind} }, "$kind");
}
is(sql("SELECT ports, flows FROM detectors.port_scan"), '150|150', 'what a row says of a scan');
is(sql("SELECT sources, hosts FROM detectors.worm_spread"),
	sql("SELECT count(*), sum(n) FROM (SELECT src, count(DISTINCT dst) AS n FROM attack('worm_spread', 17) GROUP BY 1) x"), 'of a worm');
is(sql("SELECT bytes FROM detectors.elephant"), '1200000000', 'of an elephant');
is(sql("SELECT syn_per_second::int, established FROM detectors.syn_flood"), '6000|0', 'of a flood, scaled by the sampling rate');
is(sql("SELECT sum(late + future + untimed + overflowed + errors) FROM backstream.views"), 0, 'nothing was left out');

# What was found can be kept for longer: the example of the document.
sql(<<'SQL');
CREATE VIEW scans WITH (continuous, retain = '30 days') AS
SELECT time, src_addr, dst_addr, proto, max(ports) AS ports FROM detectors.port_scan GROUP BY 1, 2, 3, 4;
SELECT backstream.settle();
SQL
is(sql('SELECT src_addr, ports FROM scans'), '203.0.113.1|150', 'a view over a detector');

# ---------- thresholds ----------
sql("UPDATE detectors.thresholds SET value = 151 WHERE detector = 'port_scan'");
is(sql("SELECT count(*) FROM detectors.alerts WHERE detector = 'port_scan'"), 0, 'a threshold acts at once');
sql("UPDATE detectors.thresholds SET value = NULL WHERE detector = 'elephant'");
is(sql("SELECT count(*) FROM detectors.alerts WHERE detector = 'elephant'"), 0, 'NULL switches a detector off');
sql("UPDATE detectors.thresholds SET value = 150 WHERE detector = 'port_scan'; UPDATE detectors.thresholds SET value = 1e9 WHERE detector = 'elephant'");
is(found(), $all, 'and back');

# ---------- notifications ----------
my ($status, $out, $err);
($out, $err) = ('', '');
my ($in, $listener) = ("LISTEN detectors;\n");
$listener = IPC::Run::start([ 'psql', '-XAt', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
$listener->pump until $out =~ /LISTEN/;
sql("CALL minute(22, 'host_scan', 'elephant')");
feed(23, 24);
sql('SELECT backstream.settle()');
for (1 .. 100)
{
	$in .= "SELECT 'looked';\n";
	my $before = () = $out =~ /looked/g;
	$listener->pump until (() = $out =~ /looked/g) > $before;
	last if $out =~ /203\.0\.113\.2/ && $out =~ /198\.51\.100\.77/;
	select undef, undef, undef, 0.05;
}
$listener->finish;
is(scalar(() = $out =~ /Asynchronous notification "detectors"/g), 2, 'each row that is found is told, once');
like($out, qr/notification "detectors" with payload .*203\.0\.113\.2/, 'of a scan');
like($out, qr/notification "detectors" with payload .*198\.51\.100\.77/, 'of an elephant');

# ---------- rights ----------
sql('CREATE ROLE watcher; CREATE ROLE nobody_here; GRANT pg_monitor TO watcher');
is(sql("SET ROLE watcher; SELECT count(*) FROM detectors.alerts"), sql('SELECT count(*) FROM detectors.alerts'),
	'members of pg_monitor can read alerts');
($status, $out, $err) = $node->psql('postgres', 'SET ROLE nobody_here; TABLE detectors.alerts');
like($err, qr/permission denied for schema detectors/, 'others cannot');

# ---------- all at once, then the same from who is left out ----------
feed(124 .. 130);
sql("CALL minute(131, variadic '{" . join(',', @kinds) . "}')");
feed(132, 133);
sql('SELECT backstream.settle()');
is(lines(grep { /\|131$/ } split /\n/, found()), lines(expected(131, @kinds)), 'all attacks in one minute');
is(scalar(grep { /\|1(2[4-9]|3[023])$/ } split /\n/, found()), 0, 'and nothing around it');
sql(<<'SQL');
INSERT INTO detectors.exclusions VALUES ('203.0.113.0/30', 'our own scanners'), ('10.2.7.0/28', NULL), ('10.3.0.80', 'x'), ('10.2.0.99', 'x'),
	('10.1.9.9', 'x'), ('10.3.4.4', 'x'), ('2001:db8:6::/64', 'x'), ('10.2.0.80', 'x')
SQL
sql("SELECT backstream.refresh_prefix_map('detector_exclusions')");
sql("CALL minute(134, variadic '{" . join(',', @kinds) . "}')");
feed(135, 136);
sql('SELECT backstream.settle()');
is(scalar(grep { /\|134$/ } split /\n/, found()), 0, 'who is excluded is not found');
is(lines(grep { /\|131$/ } split /\n/, found()), lines(expected(131, @kinds)), 'what was found before stays');

# ---------- with low thresholds ordinary traffic is found all over: there was something to look at ----------
sql("UPDATE detectors.thresholds SET value = CASE WHEN name IN ('sigma', 'bits', 'ratio') THEN 0 WHEN name LIKE '%second' THEN 0.1 ELSE 1 END");
feed(137 .. 139);
sql('SELECT backstream.settle()');
is(sql("SELECT DISTINCT detector FROM detectors.alerts WHERE time = at(137, 0) ORDER BY 1"), join("\n", @kinds),
	'no detector was silent for want of traffic');

# ---------- going away ----------
sql("SET client_min_messages = warning; DROP SCHEMA detectors CASCADE; SELECT backstream.drop_prefix_map('detector_exclusions')");
is(sql('SELECT count(*) FROM backstream.views'), 0, 'it goes without a trace');
$node->command_ok([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-f', $script ], 'and can come again');
$node->stop;
done_testing();
