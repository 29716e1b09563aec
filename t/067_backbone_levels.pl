# SPDX-License-Identifier: PostgreSQL
# Second levels over a backbone: what all nodes have closed is fetched by the server where the view is defined, each window
# once; they equal the SELECT over the records of all nodes.  Two servers with the same second level have the same rows.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($reader, @nodes) = start_backbone(conf => "statement_timeout = '120s'\nTimeZone = 'UTC'\nbackstream.node_timeout = '60s'\nmax_worker_processes = 16\n");

sub query { return $reader->safe_psql('postgres', $_[0]) }

# ---------- the records ----------

# Each group is on several nodes: who has a record is drawn by a hash of its number.
my $columns = 't timestamptz, src inet, dst inet, port int, proto smallint, bytes bigint, price numeric, name text';
sql_all("CREATE FOREIGN TABLE s ($columns) SERVER backstream", @nodes);
query('IMPORT FOREIGN SCHEMA public FROM SERVER backbone INTO backbone');
query("CREATE SCHEMA plain; CREATE TABLE plain.s ($columns, n int, node int)");
query(q{INSERT INTO plain.s SELECT timestamptz '2026-01-01 00:00Z' + i % 900 * interval '1 s', '10.0.0.0'::inet + i % 7,
	CASE WHEN i % 11 = 0 THEN '2001:db8::1'::inet + i % 3 WHEN i % 13 = 0 THEN NULL ELSE '192.0.2.0'::inet + i % 29 END, (i * 7919) % 300,
	CASE i % 3 WHEN 0 THEN 6 WHEN 1 THEN 17 END, (i::bigint * 2654435761) % 100000, ((i % 31) / 8.0)::numeric(10, 3), CASE WHEN i % 9 > 0 THEN 'name ' || i % 23 END,
	i, abs(hashint4(i)) % 3 FROM generate_series(1, 9000) i});

# The records of a part of the time, to their nodes; a last one closes all windows before it.
sub feed
{
	my ($from, $to) = @_;

	for my $n (0 .. $#nodes)
	{
		my $rows = query("COPY (SELECT t, src, dst, port, proto, bytes, price, name FROM plain.s WHERE node = $n AND t >= '$from' AND t < '$to' ORDER BY t) TO STDOUT");

		$nodes[$n]->safe_psql('postgres', "COPY s FROM STDIN;\n$rows\n\\.\n");
		$nodes[$n]->safe_psql('postgres', "INSERT INTO s (t) VALUES ('$to')");
		query("INSERT INTO plain.s (t) VALUES ('$to')");
	}
}

# ---------- the views ----------

query(q{CREATE VIEW backbone.pairs WITH (continuous, clock = 'data', lateness = '0', retain = '10 days') AS
	SELECT tumble(t, '1 min') AS time, src, dst, proto, port, count(*) AS flows, sum(bytes) AS bytes, avg(price) AS price, count(DISTINCT name) AS names FROM backbone.s GROUP BY 1, 2, 3, 4, 5});

my $below = q{(SELECT date_bin('1 min', t, '2000-01-01Z') AS time, src, dst, proto, port, count(*) AS flows, sum(bytes) AS bytes, avg(price) AS price, count(DISTINCT name) AS names FROM plain.s WHERE t < '%s' GROUP BY 1, 2, 3, 4, 5) p};
my %views = (
	fan => [ q{SELECT time, src, dst, count(DISTINCT port) AS ports, sum(flows) AS flows FROM %s GROUP BY 1, 2, 3} ],
	scan => [ q{SELECT time, src, count(DISTINCT dst) AS hosts, sum(bytes) AS bytes, avg(price) AS price, max(names) AS names FROM %s GROUP BY 1, 2 HAVING count(DISTINCT dst) >= 14} ],
	longer => [ q{SELECT tumble(time, '5 min') AS time, proto, count(*) AS groups, sum(flows) AS flows, sum(names) AS names FROM %s GROUP BY 1, 2} ],
	filtered => [ q{SELECT time, port, sum(bytes) FILTER (WHERE proto = 6) AS tcp, sum(flows) AS flows FROM %s WHERE dst IS NOT NULL AND flows > 0 GROUP BY 1, 2} ],
	totals => [ q{SELECT count(*) AS groups, sum(flows) AS flows, sum(bytes) AS bytes FROM %s} ],
);
for my $name (sort keys %views)
{
	query(sprintf "CREATE VIEW $name WITH (continuous, retain = '30 days') AS $views{$name}[0]", 'backbone.pairs');
}
query(q{CREATE VIEW third WITH (continuous, retain = '30 days') AS SELECT time, ports, count(*) AS hosts FROM fan GROUP BY 1, 2});

# Another server that has the same second levels over the same nodes: for availability.
my ($second) = start_nodes(['second'], conf => "statement_timeout = '120s'\nTimeZone = 'UTC'\nbackstream.node_timeout = '60s'\n");
join_backbone($second, \@nodes);
$second->safe_psql('postgres', 'IMPORT FOREIGN SCHEMA public FROM SERVER backbone INTO backbone; IMPORT FOREIGN SCHEMA backbone FROM SERVER backbone INTO backbone');
for my $name (sort keys %views)
{
	$second->safe_psql('postgres', sprintf "CREATE VIEW $name WITH (continuous, retain = '30 days') AS $views{$name}[0]", 'backbone.pairs');
}

# Views are the SELECT over what all nodes have closed.
sub check
{
	my ($to, $what, @more) = @_;

	is(join(' ', sql_all(q{SELECT backstream.settle('60 s')}, $reader, @more)), join(' ', ('t') x (1 + @more)), "$what: settled");
	for my $server ($reader, @more)
	{
		for my $name (sort keys %views)
		{
			cmp_ok($server->safe_psql('postgres', "SELECT count(*) FROM $name"), '>', 0, "$what: $name has rows");
			is(differ_from($server, $name, sprintf($views{$name}[0], sprintf($below, $to)) =~ s/tumble\(time, '5 min'\)/date_bin('5 min', time, '2000-01-01Z')/r), 0, "$what: $name is the SELECT over all records");
		}
	}
	is(differ_from($reader, 'third', sprintf('SELECT time, ports, count(*) FROM (' . sprintf($views{fan}[0], sprintf($below, $to)) . ') f GROUP BY 1, 2')), 0, "$what: the third level, too");
}

# Compared at the reader, which has the table.
sub differ_from
{
	my ($server, $view, $sql) = @_;

	return differ($server, $view, $sql) if $server == $reader;
	my $rows = $server->safe_psql('postgres', "COPY (SELECT * FROM $view) TO STDOUT");
	query("DROP TABLE IF EXISTS plain.copied; CREATE TABLE plain.copied AS SELECT * FROM $view LIMIT 0");
	query("COPY plain.copied FROM STDIN;\n$rows\n\\.\n");
	return differ($reader, 'plain.copied', $sql);
}

is(query('SELECT backstream.settle()'), 't', 'nothing to fetch yet');
feed('2026-01-01 00:00Z', '2026-01-01 00:05Z');
check('2026-01-01 00:05Z', 'first');
is(query(q{SELECT string_agg(DISTINCT nodes_expected || ' ' || nodes_answered, ',') FROM backstream.windows('fan')}), '3 3', 'windows() tells of how many nodes');
is(query(q{SELECT sum(windows_incomplete), sum(windows_missed), count(*) FROM backstream.views WHERE windows_incomplete IS NOT NULL}), '0|0|5', 'none is incomplete');

feed('2026-01-01 00:05Z', '2026-01-01 00:10Z');
check('2026-01-01 00:10Z', 'two servers', $second);
$second->stop;
query('DELETE FROM plain.s WHERE ctid = (SELECT min(ctid) FROM plain.s)');
cmp_ok(differ_from($reader, 'totals', sprintf($views{totals}[0], sprintf($below, '2026-01-01 00:10Z'))), '>', 0, 'one record less would be noticed');

# ---------- dependencies ----------

my ($status, $out, $err) = $reader->psql('postgres', 'DROP VIEW backbone.pairs');
like($err, qr/cannot drop .*pairs because other objects depend on it.*HINT:  Use DROP ... CASCADE/s, 'DROP of the lower view asks for CASCADE');
query(q{CREATE VIEW doomed WITH (continuous) AS SELECT time, count(*) AS n FROM backbone.pairs GROUP BY 1});
is(query(q{SELECT backstream.settle('60 s')}), 't', 'a view made later settles');
is(query('SELECT count(*) FROM doomed'), 10, 'and has read what is still there');
is(query('DROP VIEW doomed; SELECT count(*) FROM backbone.pairs WHERE false'), 0, 'the upper view goes alone');
query('DROP VIEW backbone.pairs CASCADE');
is(query(q{SELECT count(*) FROM backstream.views}), 0, 'with CASCADE all go');
is(join(' ', sql_all('SELECT count(*) FROM backstream.views', @nodes)), '0 0 0', 'on the nodes, too');

# ---------- the case studies ----------

SKIP:
{
	skip 'SKIPPED: no case studies (BACKSTREAM_SHARED names their folder)', 1 unless defined $ENV{BACKSTREAM_SHARED} && -r "$ENV{BACKSTREAM_SHARED}/queries/case-studies.sql";
	(my $text = slurp_file("$ENV{BACKSTREAM_SHARED}/queries/case-studies.sql")) =~ s/--.*$//mg;
	my %statements = map { /CREATE CONTINUOUS VIEW (\w+)/ ? ($1 => $_) : () } split /;/, $text;

	# Who scans is seen in part by each node, and by none as a scan: 40 of 120 ports, or hosts.
	query(q{CREATE TABLE plain.flow AS SELECT timestamptz '2026-02-01 00:00Z' + i % 300 * interval '1 s' AS time_flow_end, '10.0.0.0'::inet + i % 50 AS src_addr, '192.0.2.0'::inet + i % 30 AS dst_addr,
			(1 + i % 4)::bigint AS packets, (ARRAY[6, 17, 1])[1 + i % 3] AS proto, 1000 + i % 5 AS dst_port, i % 3 AS node FROM generate_series(1, 5000) i
		UNION ALL SELECT '2026-02-01 00:01:30Z', '10.9.9.1', '192.0.2.200', 1, 6, i, i % 3 FROM generate_series(1, 120) i
		UNION ALL SELECT '2026-02-01 00:02:30Z', '10.9.9.2', '198.51.100.0'::inet + i, 2, 17, 161, i % 3 FROM generate_series(1, 120) i
		UNION ALL SELECT '2026-02-01 00:03:30Z', '10.9.9.3', '192.0.2.201', 1, 6, i, i % 3 FROM generate_series(1, 99) i
		UNION ALL SELECT '2026-02-01 00:10:00Z', NULL, NULL, 9, 1, 1, n FROM generate_series(0, 2) n});
	my $lower = $statements{small_flows} =~ s/backstream\.flow/backbone.flow/r;
	query("SET search_path = backbone, backstream;" . $lower =~ s/(VIEW small_flows) AS/$1 WITH (clock = 'data', lateness = '0', retain = '10 days') AS/r);
	for my $name ('port_scan', 'host_scan')
	{
		query("SET search_path = backbone, backstream; $statements{$name}");
	}
	my $listener = $reader->background_psql('postgres');

	$listener->query_safe('LISTEN security');
	for my $n (0 .. 2)
	{
		my $rows = query("COPY (SELECT time_flow_end, src_addr, dst_addr, packets, proto, dst_port FROM plain.flow WHERE node = $n ORDER BY time_flow_end) TO STDOUT");

		$nodes[$n]->safe_psql('postgres', "COPY backstream.flow (time_flow_end, src_addr, dst_addr, packets, proto, dst_port) FROM STDIN;\n$rows\n\\.\n");
	}
	is(query(q{SELECT backstream.settle('60 s')}), 't', 'case studies: settled');
	for my $name ('port_scan', 'host_scan')
	{
		(my $sql = $statements{$name}) =~ s/^.*? AS\s+(?=SELECT)//s;
		(my $below = $lower) =~ s/^.*? AS\s+(?=SELECT)//s;
		$below =~ s/backbone\.flow/plain.flow/;
		$sql =~ s/FROM small_flows/FROM ($below) small_flows/;
		is(query("SELECT count(*) FROM backbone.$name"), 1, "$name finds who scans");
		is(differ($reader, "backbone.$name", $sql), 0, "$name is the SELECT over all records");
	}
	my $heard = $listener->query_safe('SELECT 1');
	my @heard = $heard =~ /Asynchronous notification "security" with payload "(.*?)" received/g;
	is(scalar @heard, 2, 'each scan is told once') or diag($heard);
	$listener->quit;
}

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for $reader, @nodes;
$_->stop for $reader, @nodes;
done_testing();
