# SPDX-License-Identifier: PostgreSQL
# What users write, over nodes: the statements of the case studies with FROM backbone.flow are the SELECTs over the records
# of all nodes, be they servers elsewhere or this one (`local`), also those over the duration of a flow; and a table of
# boundary interfaces on each node keeps a traffic matrix from counting transit twice.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($reader, @nodes) = start_backbone(conf => "statement_timeout = '60s'\nTimeZone = 'UTC'\nsearch_path = 'public, backstream'\n");

sub query { return $reader->safe_psql('postgres', $_[0]) }

# Here this server itself is the third node.
query(q{CREATE SERVER with_local FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'node_1, node_2, local', schema 'kept');
	CREATE SCHEMA with_local; IMPORT FOREIGN SCHEMA backstream FROM SERVER with_local INTO with_local});

# ---------- the records ----------

# Three exporters, one for each node; windows of several minutes; NULLs, sampling, IPv6.  Nobody but the reader sees that
# 192.0.2.66 is flooded: on each node are 300 of 900 sources, and a third of the bytes.
query(<<'SQL');
CREATE SCHEMA plain;
CREATE TABLE plain.flow (LIKE backstream.flow);
INSERT INTO plain.flow (time_received, time_flow_start, time_flow_end, exporter, in_if, out_if, sampling_rate, bytes, packets,
		src_addr, dst_addr, src_port, dst_port, proto, tcp_flags, src_as, dst_as)
	SELECT z + i % 7 * interval '250 ms', z - i % 90 * interval '700 ms', z, '198.51.100.1'::inet + i % 3, i % 4, i % 5, CASE WHEN i % 6 > 0 THEN 100 END,
		(i::bigint * 2654435761) % 100000, i % 12, CASE WHEN i % 10 = 0 THEN '2001:db8::1'::inet + i % 9 ELSE '10.0.0.0'::inet + i % 40 END,
		CASE WHEN i % 15 = 0 THEN '2001:db8:1::'::inet + i % 5 WHEN i % 16 = 0 THEN NULL ELSE '192.0.2.0'::inet + i % 30 END,
		1024 + (i * 7919) % 5000, (ARRAY[53, 443, 80, 8080, 50000])[1 + i % 5], (ARRAY[6, 17, 1])[1 + (i / 7) % 3], i % 64,
		CASE WHEN i % 50 > 0 THEN 64500 + i % 8 END, 64500 + i % 11
	  FROM generate_series(1, 6000) i, LATERAL (SELECT timestamptz '2026-01-01 00:00Z' + i * interval '60 ms' AS z) t
	UNION ALL SELECT z, z, z, '198.51.100.1'::inet + i % 3, 1, 2, 1000, 500000, 2000, '10.9.0.0'::inet + i, '192.0.2.66', i, 80, 6, 2, 64500, 64501
	  FROM generate_series(1, 900) i, LATERAL (SELECT timestamptz '2026-01-01 00:03:01Z' + i * interval '1 ms' AS z) t;
SQL
my $columns = query(q{SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'backstream.flow'::regclass AND attnum > 0});

# Give each node the records of its exporter, by COPY as there is no other way from server to server.
sub feed
{
	for my $n (0 .. 2)
	{
		my $rows = query("COPY (SELECT $columns FROM plain.flow WHERE exporter = '198.51.100.1'::inet + $n ORDER BY time_received) TO STDOUT");

		$_->safe_psql('postgres', "COPY backstream.flow ($columns) FROM STDIN;\n$rows\n\\.\n") for $nodes[$n], $n == 2 ? $reader : ();
	}
}

# ---------- the case studies ----------

# Name, options and query of each statement of the file.
sub case_studies
{
	(my $text = slurp_file("$ENV{BACKSTREAM_SHARED}/queries/case-studies.sql")) =~ s/--.*$//mg;
	my @statements;

	for (grep { /\S/ } split /;/, $text)
	{
		/^\s*CREATE CONTINUOUS VIEW (\w+)(?: WITH \((.*?)\))? AS\s+(SELECT .*)$/s or die "not a continuous view: $_";
		push @statements, { text => $_, name => $1, options => $2 // '', query => $3 };
	}
	return @statements;
}

# As written but for the stream; then again by the records' own clock, as they are of a day long past.
sub create
{
	my ($schema, $statement) = @_;
	my ($name, $text) = ($statement->{name}, $statement->{text});
	my @options = ("clock = 'data'", grep { $_ } $statement->{options});

	$text =~ s/\bbackstream\.flow\b/$schema.flow/;
	query("SET search_path = $schema, backstream; $text");
	query("DROP VIEW $schema.$name");
	# Second levels have rows of closed windows: 067_backbone_levels.pl compares them.
	return if $text =~ /FROM small_flows/;
	push @options, "lateness = '1 hour'" if $text =~ /GROUP BY/ && $text !~ /slide/;
	push @options, "retain = '10 days'" if $text =~ /GROUP BY/ && $text !~ /slide|retain/;
	$text =~ s/(VIEW \w+)(?: WITH \(.*?\))?( AS)/"$1 WITH (" . join(', ', @options) . ")$2"/se or die;
	query("SET search_path = $schema, backstream; $text");
	return 1;
}

# The same over the table; a rolling view as of the last step of the newest record's time.
sub over_table
{
	my ($statement) = @_;
	my $sql = $statement->{query};

	$sql =~ s/\bbackstream\.flow\b/plain.flow/;
	$sql =~ s/(FROM plain\.flow)/$1 WHERE time_received > '2026-01-01 00:01:00Z' AND time_received <= '2026-01-01 00:06:00Z'/
	  if $statement->{options} =~ /slide/;
	return $sql;
}

my @compared;
SKIP:
{
	skip 'SKIPPED: no case studies (BACKSTREAM_SHARED names their folder)', 1 unless defined $ENV{BACKSTREAM_SHARED} && -r "$ENV{BACKSTREAM_SHARED}/queries/case-studies.sql";
	my @statements = case_studies();

	is(scalar @statements, 12, 'the statements of the case studies');
	for my $statement (@statements)
	{
		my @made = grep { create($_, $statement) } 'backbone', 'with_local';

		push @compared, $statement if @made;
	}
	cmp_ok(scalar @compared, '>', 9, 'all but views over views are compared');
}

# More that nodes could get wrong: duration, sliced and combined.
my %spread = (
	five_minutes => q{SELECT tumble(s.time, '5 min') AS time, f.proto, sum(portion(f.packets, s)) AS packets, avg(portion(f.bytes, s)) AS bytes, count(DISTINCT f.src_addr) AS sources
		FROM backstream.flow f, spread(f.time_flow_start, f.time_flow_end, '10 s') s GROUP BY 1, 2},
	filtered => q{SELECT w.time, sum(portion(scaled(f.bytes, f.sampling_rate), w)) FILTER (WHERE f.dst_port = 443) AS https, max(w.total_usec) AS longest
		FROM backstream.flow f CROSS JOIN LATERAL spread(f.time_flow_start, f.time_flow_end, '1 min') w WHERE f.src_as IS NOT NULL GROUP BY 1 HAVING count(*) > 1});
for my $name (sort keys %spread)
{
	my $statement = { text => "CREATE CONTINUOUS VIEW spread_$name AS $spread{$name}", name => "spread_$name", options => '', query => $spread{$name} };

	push @compared, $statement if grep { create($_, $statement) } 'backbone', 'with_local';
}

feed();
for my $statement (@compared)
{
	for my $schema ('backbone', 'with_local')
	{
		my $name = "$schema.$statement->{name}";

		cmp_ok(query("SELECT count(*) FROM $name"), '>', 0, "$name has rows");
		is(differ($reader, $name, over_table($statement)), 0, "$name is the SELECT over all records");
	}
}
if (@compared > 2)
{
	is(query('SELECT DISTINCT dst_addr FROM backbone.ddos_victim'), '192.0.2.66', 'who is flooded from everywhere is found');
	is(join(' ', sql_all('SELECT count(*) FROM backbone.ddos_victim', @nodes)), '0 0 0', 'whom no node finds by itself');
}

# ---------- all of the case studies at once, word for word ----------

# Who is flooded is told to who listens here, as soon as all nodes have closed the window: by the clock on the wall.  Stamps are
# some seconds ahead, so that all nodes get theirs before that; if they do not, once more.
SKIP:
{
	skip 'SKIPPED: no case studies (BACKSTREAM_SHARED names their folder)', 1 unless @compared > 2;
	query('CREATE SCHEMA live; IMPORT FOREIGN SCHEMA backstream FROM SERVER backbone INTO live');
	query("SET search_path = live, backstream; $_->{text}" =~ s/\bbackstream\.flow\b/live.flow/r) for case_studies();
	is(query(q{SELECT string_agg(output || ' ' || target || ' ' || view, ', ') FROM (SELECT * FROM backstream.outputs WHERE view::text ~ '^live' ORDER BY view::text) o}), 'notify security live.ddos_victim, notify security live.host_scan, notify security live.port_scan', 'all notifications are here')
	  if ok($reader->poll_query_until('postgres', q{SELECT count(*) = 3 FROM backstream.outputs WHERE view::text ~ '^live'}), 'all statements run word for word with the stream of the nodes');

	my $listener = $reader->background_psql('postgres');
	my $heard = '';

	$listener->query_safe('LISTEN security');
	for my $attempt (1 .. 6)
	{
		my $time = query(q{SELECT now() + interval '8 s'});
		my @sessions = map { my $n = $_; [ $n, $nodes[$n]->background_psql('postgres') ] } 0 .. 2;

		$_->[1]->query_safe("INSERT INTO backstream.flow (time_received, time_flow_end, exporter, src_addr, dst_addr, bytes, packets, sampling_rate) SELECT '$time', '$time', '198.51.100.1', '10.9.0.0'::inet + i, '192.0.2.99', 1000000, 1000, 100 FROM generate_series($_->[0] * 300 + 1, $_->[0] * 300 + 300) i")
		  for @sessions;
		$_->[1]->quit for @sessions;
		for (1 .. 50)
		{
			$heard .= $listener->query_safe('SELECT pg_sleep(0.5)');
			last if $heard =~ /"security" with payload/;
		}
		last if $heard =~ /"security" with payload/;
	}
	like($heard, qr/"security" with payload ".*"view":"live.ddos_victim".*"row":\{.*"dst_addr":"192.0.2.99".*"sources":(8[5-9]|9[0-4])\d,/, 'ddos_victim tells of who is flooded from all nodes') or diag($heard);
	$listener->quit;
	is(join(' ', sql_all(q{SELECT count(*) FROM backstream.outputs}, @nodes)), '0 0 0', 'and nodes of nobody');
}

# ---------- this server as a node ----------

query(q{CREATE CONTINUOUS VIEW with_local.sums WITH (clock = 'data', retain = '10 days') AS SELECT tumble(time_flow_end, '1 min') AS time, exporter, count(*) AS n, count(DISTINCT src_addr) AS sources FROM with_local.flow GROUP BY 1, 2});
is(query(q{SELECT count(*) FROM backstream.views WHERE view = 'kept.sums'::regclass AND state = 'active'}), 1, 'local keeps the view in the schema of the option');
feed();
is(query('SELECT exporter, sum(n) FROM with_local.sums GROUP BY 1 ORDER BY 1'), query('SELECT exporter, count(*) FROM plain.flow GROUP BY 1 ORDER BY 1'), 'it counts, and is read with the others');
is(query(q{SELECT string_agg(DISTINCT nodes_expected || ' ' || nodes_answered, ',') FROM backstream.windows('with_local.sums')}), '3 3', 'windows() counts it');
like(query(q{EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM with_local.sums}), qr/Node local: groups=\d+/, 'EXPLAIN ANALYZE shows it');
query('DELETE FROM plain.flow WHERE ctid = (SELECT min(ctid) FROM plain.flow)');
is(differ($reader, 'with_local.sums', q{SELECT tumble(time_flow_end, '1 min'), exporter, count(*), count(DISTINCT src_addr) FROM plain.flow GROUP BY 1, 2}), 2, 'one record less is noticed');

# ---------- one flow, two nodes ----------

# The example of docs/backbone.md.  Which interfaces lead outside: a table on each node; here, too, for what it names.
sql_all(<<'SQL', @nodes, $reader);
CREATE SCHEMA inventory;
CREATE TABLE inventory.boundary (exporter inet, interface bigint, PRIMARY KEY (exporter, interface));
CREATE FUNCTION inventory.enters(inet, bigint) RETURNS boolean LANGUAGE sql STABLE AS
  'SELECT EXISTS (SELECT FROM inventory.boundary WHERE exporter = $1 AND interface = $2)';
SELECT backstream.remember('inventory.enters(inet,bigint)', '1 min');
SQL
query(q{CREATE CONTINUOUS VIEW backbone.matrix WITH (clock = 'data', lateness = '1 hour', retain = '10 days') AS
	SELECT tumble(time_flow_end, '5 min') AS time, src_as, dst_as, sum(bytes) AS bytes, count(*) AS flows FROM backbone.flow
	 WHERE inventory.enters(exporter, in_if) AND flow_direction IS DISTINCT FROM 1 GROUP BY 1, 2, 3;
	CREATE CONTINUOUS VIEW backbone.everywhere WITH (clock = 'data', lateness = '1 hour', retain = '10 days') AS
	SELECT tumble(time_flow_end, '5 min') AS time, count(*) AS flows FROM backbone.flow GROUP BY 1});

# Routers 1 to 3, each exporting to its own node; interface 1 leads outside, 2 and 3 to the two others, 4 to a customer.
# What was sent: from one router's outside or customer to another's, or out again where it came in.
query(<<'SQL');
CREATE TABLE plain.sent AS SELECT i, timestamptz '2026-01-01 00:00Z' + i * interval '1 s' AS z, 64500 + i % 4 AS src_as, CASE WHEN i % 9 > 0 THEN 64600 + i % 5 END AS dst_as,
	1000 + i AS bytes, 1 + i % 3 AS first, 1 + (i / 3) % 3 AS last, CASE WHEN i % 2 = 0 THEN 1 ELSE 4 END AS inside, i % 7 = 0 AS detour FROM generate_series(1, 900) i;
TRUNCATE plain.flow;
-- Each router on the way sees it come in: the first, for some one between, the last; router 3 tells again of what leaves.
WITH hops AS (
	SELECT s.*, first AS router, inside AS in_if FROM plain.sent s
	UNION ALL SELECT s.*, 6 - first - last, 2 FROM plain.sent s WHERE detour AND first <> last
	UNION ALL SELECT s.*, last, 3 FROM plain.sent s WHERE first <> last)
INSERT INTO plain.flow (time_received, time_flow_end, exporter, in_if, out_if, flow_direction, bytes, packets, src_as, dst_as)
	SELECT z, z, '198.51.100.10'::inet + router, in_if, 9, direction, bytes, 1, src_as, dst_as FROM hops, unnest('{0,1}'::int[]) direction WHERE direction = 0 OR router = 3;
SQL
for my $n (1 .. 3)
{
	my $rows = query("COPY (SELECT $columns FROM plain.flow WHERE exporter = '198.51.100.10'::inet + $n ORDER BY time_received) TO STDOUT");

	$nodes[$n - 1]->safe_psql('postgres', "INSERT INTO inventory.boundary VALUES ('198.51.100.10'::inet + $n, 1), ('198.51.100.10'::inet + $n, 4)");
	$nodes[$n - 1]->safe_psql('postgres', "COPY backstream.flow ($columns) FROM STDIN;\n$rows\n\\.\n");
}
cmp_ok(query('SELECT sum(flows) FROM backbone.everywhere'), '>', 2 * 900, 'nodes see most flows several times');
is(differ($reader, 'backbone.matrix', q{SELECT tumble(z, '5 min'), src_as, dst_as, sum(bytes), count(*) FROM sent GROUP BY 1, 2, 3}), 0, 'flows that enter at the boundary are counted once each');
query(q{INSERT INTO inventory.boundary SELECT '198.51.100.10'::inet + router, interface FROM generate_series(1, 3) router, unnest('{1,4}'::int[]) interface});
is(differ($reader, 'backbone.matrix', q{SELECT tumble(time_flow_end, '5 min'), src_as, dst_as, sum(bytes), count(*) FROM plain.flow WHERE inventory.enters(exporter, in_if) AND flow_direction IS DISTINCT FROM 1 GROUP BY 1, 2, 3}), 0, 'as the same SELECT over all records does');
is(join(' ', sql_all('SELECT sum(errors) FROM backstream.views', @nodes)), '0 0 0', 'without errors');

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for $reader, @nodes;
$_->stop for $reader, @nodes;
done_testing();
