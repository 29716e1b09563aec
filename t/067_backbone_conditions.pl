# SPDX-License-Identifier: PostgreSQL
# Conditions on the keys of a view over nodes: nodes send the groups for which they hold, and nothing else changes.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($reader, @nodes) = start_backbone(nodes => 2, conf => "statement_timeout = '120s'\nbackstream.listen = ''\n");

sub query { return $reader->safe_psql('postgres', $_[0]) }

my $columns = 't timestamptz, src inet, port int, big bigint, name text, price numeric, ok boolean, rate float8';
sql_all("CREATE FOREIGN TABLE s ($columns) SERVER backstream", @nodes);
query("IMPORT FOREIGN SCHEMA public FROM SERVER backbone INTO backbone; CREATE SCHEMA plain; CREATE TABLE plain.s ($columns)");
my $records = q{SELECT timestamptz '2026-01-01 00:00:00Z' + (i % 300) * interval '1 s' AS t,
	CASE WHEN i % 7 = 0 THEN NULL WHEN i % 5 = 0 THEN '2001:db8::'::inet + i % 9 ELSE '10.0.0.0'::inet + (i * 7919) % 100000 END AS src,
	CASE WHEN i % 11 = 0 THEN NULL ELSE (i * 31) % 50 END AS port, CASE WHEN i % 13 = 0 THEN NULL ELSE (i::bigint * 2654435761) % 1000 - 500 END AS big,
	CASE WHEN i % 9 = 0 THEN NULL WHEN i % 10 = 0 THEN '' ELSE (ARRAY['a', 'B', 'ä', 'ab%', E'x''y\\\\z', 'zz'])[i % 6 + 1] END AS name,
	((i % 31) / 8.0)::numeric(10, 3) AS price, CASE WHEN i % 3 > 0 THEN i % 3 = 1 END AS ok, (i % 5) / 4.0 AS rate};
my $nrecords = 4000;
query("INSERT INTO plain.s $records FROM generate_series(1, $nrecords) i");
my %views = (
	keys => q{SELECT tumble(t, '1 min') AS time, src, port, big, name, price, ok, rate, count(*) AS n, sum(big) AS bigs FROM s GROUP BY 1, 2, 3, 4, 5, 6, 7, 8},
	sets => q{SELECT tumble(t, '5 min') AS time, port, name, count(*) AS n, count(DISTINCT src) AS sources, sum(DISTINCT big) AS bigs, avg(price) AS price FROM s GROUP BY 1, 2, 3},
	made => q{SELECT tumble(t, '1 min') AS time, port + 1 AS next, upper(name) AS name, network(set_masklen(src, 24)) AS net, count(*) AS n, count(DISTINCT name) AS names FROM s GROUP BY 1, 2, 3, 4 HAVING count(*) > 1},
	looks => q{SELECT tumble(t, '5 min') AS time, price, rate, count(*) AS n, count(DISTINCT src) AS sources, sum(DISTINCT big) AS bigs FROM s GROUP BY 1, 2, 3},
	rolling => q{SELECT port, name, count(*) AS n, count(DISTINCT src) AS sources FROM s GROUP BY 1, 2},
);
for my $name (sort keys %views)
{
	my $options = $name eq 'rolling' ? "window = '1 hour', slide = '1 min', time_column = 't'" : "retain = '10 days'";

	query("CREATE VIEW backbone.$name WITH (continuous, clock = 'data', $options) AS " . $views{$name} =~ s/FROM s\b/FROM backbone.s/r);
}
for my $n (0 .. 1) { $nodes[$n]->safe_psql('postgres', "INSERT INTO s $records FROM generate_series(1, $nrecords) i WHERE i % 2 = $n") }
# The last minute of a rolling view is still going on.
$views{rolling} =~ s/FROM s/FROM s WHERE t <= '2026-01-01 00:04:00Z'/;

# ---------- the same answers ----------

# Rows that a view under a condition has and the query has not, or the other way round.
sub differ_where
{
	my ($name, $where, $prepared) = @_;
	my $sql = qq{WITH a AS (SELECT * FROM backbone.$name WHERE $where), b AS (SELECT * FROM ($views{$name}) q WHERE $where)
		SELECT count(*) FROM ((SELECT * FROM a EXCEPT ALL SELECT * FROM b) UNION ALL (SELECT * FROM b EXCEPT ALL SELECT * FROM a)) d};

	return query("SET search_path = plain, backstream, public; " . ($prepared ? "SET plan_cache_mode = force_generic_plan; PREPARE p($prepared->[0]) AS $sql; EXECUTE p($prepared->[1])" : $sql));
}

my %conditions = (
	keys => [ 'port = 7', 'port IN (1, 2, 3)', 'port IS NULL', 'port <> 7', 'NOT (port = 7)', 'port NOT IN (1, NULL)', 'port BETWEEN 3 AND 9', '(port = 7) IS NOT TRUE',
		q{src <<= '10.0.0.0/16'}, q{src >> '10.0.0.5' OR src IS NULL}, q{host(src) LIKE '10.0.%'}, q{family(src) = 6}, q{src && '2001:db8::/64'},
		'big > 9223372036854775807 - 9223372036854775000', 'big < -100', 'big % 3 = 1', 'abs(big) = 5', 'big IS DISTINCT FROM 5', 'port + big > 20', 'coalesce(port, -1) = -1',
		q{name = 'B'}, q{name = 'B' COLLATE "C"}, q{name = 'ä'}, q{name LIKE 'a%'}, q{name LIKE 'ab\\%'}, q{name <> 'a'}, q{name = ''}, q{name IN ('zz', E'x''y\\\\z')}, q{name < 'b'}, q{name COLLATE "C" < 'b'}, q{lower(name) = 'b'}, q{length(name) = 1},
		q{name ~ '^[aä]'}, q{name || '!' = 'a!'}, 'price = 1.500', q{price > 'NaN'}, 'price::int = 2', 'ok', 'NOT ok', 'ok IS NULL', 'ok IS NOT FALSE', 'rate = 0.25', 'rate > 0.1 AND rate < 0.3',
		q{CASE WHEN port > 5 THEN ok ELSE big > 0 END}, q{CASE port WHEN 5 THEN true WHEN 6 THEN false END}, 'greatest(port, 5) = 5', 'nullif(port, 5) IS NULL',
		q{time = '2026-01-01 00:02:00Z' AND port = 7}, q{extract(minute FROM time AT TIME ZONE 'UTC') = port}, q{time + port * interval '1 s' > '2026-01-01 00:02:10Z'},
		'port = 7 AND n > 0', 'port = 7 OR n > 1', 'bigs > 10', 'port > random() - 1', 'port < extract(epoch FROM now())', q{port = current_setting('backstream.workers')::int + 3}, 'false', 'NULL', 'port = (SELECT max(port) FROM plain.s)', 'port IN (SELECT port FROM plain.s WHERE port < 3)' ],
	sets => [ 'port = 7', q{name = 'a'}, 'name IS NULL', 'port < 10 AND sources > 2' ],
	made => [ 'next = 8', q{name = 'B'}, q{net = '10.0.0.0/24'}, q{net <<= '10.0.0.0/16' AND next > 3}, 'name IS NULL' ],
	looks => [ 'price = 1.5', 'rate = 0.25', 'rate > 0.1 AND price < 2', 'scale(price) = 3', 'rate IS NULL' ],
	rolling => [ 'port = 7', q{name LIKE 'a%' AND port IS NOT NULL} ],
);
for my $name (sort keys %conditions)
{
	my @wrong = grep { differ_where($name, $_) ne '0' } @{ $conditions{$name} };

	is(join(', ', @wrong), '', scalar(@{ $conditions{$name} }) . " conditions on $name");
}
is(differ_where('keys', 'port = $1 AND name = $2 AND (src <<= $3) IS NOT FALSE', [ 'int, text, inet', q{8, 'a', '10.0.0.0/8'} ]), 0, 'parameters');
is(differ_where('keys', 'port = $1', [ 'int', 'NULL' ]), 0, 'a parameter that is NULL');
is(differ_where('keys', 'big = ANY ($1)', [ 'bigint[]', q{'{5,-7,NULL}'} ]), 0, 'an array');
is(query(q{SET search_path = plain, backstream, public; SELECT combine(sources), combine(price) FROM backbone.sets WHERE port = 7 EXCEPT ALL SELECT count(DISTINCT src), avg(price) FROM s WHERE port = 7}), '', 'combined states');
is(query(q{SELECT count(*) FROM (VALUES (3), (4)) v (p), LATERAL (SELECT sum(n) AS n FROM backbone.sets WHERE port = v.p) q WHERE q.n = (SELECT count(*) FROM plain.s WHERE port = v.p)}), 2, 'other values each time that a scan begins anew');
# At random: pairs of them.
srand(5);
my @all = grep { !/SELECT|random/ } @{ $conditions{keys} };
my @pairs = map { my ($a, $b) = map { $all[ rand @all ] } 1 .. 2; (map { sprintf $_, "($a)", "($b)" } ('%s AND %s', '%s OR NOT %s'))[ rand 2 ] } 1 .. 25;
is(join(', ', grep { differ_where('keys', $_) ne '0' } @pairs), '', 'pairs of conditions');

# Values that are equal and look different: a group of two nodes comes whole, or not at all, however each has seen it.
$nodes[$_]->safe_psql('postgres', "INSERT INTO s (t, price) VALUES ('2026-01-01 00:10:00Z', 7.5" . ('', '0')[$_] . ')') for 0, 1;
my $looked = 'SELECT n FROM backbone.looks WHERE price = 7.5 AND scale(price) = ';
is(query('SELECT count(*) FROM (' . join(' UNION ALL ', map { $looked . (1 + $_ % 2) } 1 .. 10) . ') q WHERE n <> 2'), 0, 'equal values that look different');
is(query('SELECT n FROM backbone.looks WHERE price = 7.5'), 2, 'are one group');

# ---------- less is sent ----------

sub plan_of { return query("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM backbone.keys WHERE $_[0]") }
sub groups { my ($explain) = @_; my @groups = $explain =~ /Node node_\d: groups=(\d+) bytes=(\d+)/g; return @groups }
my @full = groups(plan_of('n > 0'));
my $some = plan_of('port = 7 AND n > 0');
my @some = groups($some);
like($some, qr/Key Cond: \(port = 7\)\n\s*Node Cond: \(port = 7\)\n/, 'EXPLAIN shows what nodes look at');
my @expected = map { query("SELECT count(*) FROM (SELECT DISTINCT backstream.tumble(t, '1 min'), src, port, big, name, price, ok, rate FROM ($records FROM generate_series(1, $nrecords) i WHERE i % 2 = $_) s WHERE port = 7) d") } 0, 1;
is("$some[0] $some[2]", "@expected", 'each node sends its groups for which they hold, and no others');
cmp_ok($some[1] * 8, '<', $full[1], "in fewer bytes ($some[1] of $full[1])");
unlike($some, qr/Removed by Key Cond/, 'none is left to remove here');
for my $case ('bigs > 10', 'port > random() - 1', 'port < extract(epoch FROM now())', q{lower(name) = 'b'}, q{name < 'b'}, q{port = current_setting('backstream.workers')::int})
{
	my $explain = plan_of($case);

	unlike($explain, qr/Node Cond/, "not sent: $case");
	is(join(' ', (groups($explain))[ 0, 2 ]), "$full[0] $full[2]", 'and all groups come');
}
my $sets = query('EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM backbone.sets WHERE port = 7');
my $sets_all = query('EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM backbone.sets');
cmp_ok((groups($sets))[1] * 8, '<', (groups($sets_all))[1], 'values of DISTINCT arguments stay there too');

# ---------- errors, and what others ask ----------

my ($status, $out, $err) = $reader->psql('postgres', 'SELECT count(*) FROM backbone.keys WHERE 10 / (port - 7) > 0');
like($err, qr/^psql:<stdin>:1: ERROR:  division by zero/, 'an error in a condition is raised here, as it is');
is(query('SELECT count(*) FROM backbone.keys WHERE CASE WHEN port <> 7 THEN 10 / (port - 7) > 0 END'),
	query(q{SET search_path = plain, backstream, public; SELECT count(*) FROM (} . $views{keys} . q{) q WHERE CASE WHEN port <> 7 THEN 10 / (port - 7) > 0 END}), 'and not where CASE keeps it away');
my $arguments = 'text, text, bigint, bigint[], bigint[], text';
$nodes[0]->safe_psql('postgres', "CREATE TABLE asked (fingerprint bigint, conditions text);
	ALTER FUNCTION backstream.partials($arguments) RENAME TO partials_proper;
	CREATE FUNCTION backstream.partials($arguments) RETURNS SETOF bytea LANGUAGE plpgsql AS \$\$ BEGIN
		INSERT INTO public.asked VALUES (\$3, \$6); RETURN QUERY SELECT backstream.partials_proper(\$1, \$2, \$3, \$4, \$5, \$6); END \$\$");
query('SELECT * FROM backbone.keys WHERE port = 7 AND n > 0');
my ($fingerprint, $asked) = split /\|/, $nodes[0]->safe_psql('postgres', 'SELECT * FROM asked');
like($asked, qr/^\(k\d = 7\)$/, 'what is asked is about keys by number');
for my $case ([ $asked, qr/^$/ ], [ 'true; DROP TABLE s', qr/does not look at/ ], [ 'true FROM s', qr/does not look at/ ], [ '(SELECT true)', qr/subquer/ ], [ 'k99 = 1', qr/does not exist/ ],
	[ 'n = 1', qr/does not exist/ ], [ 'k10 = 1', qr/does not exist/ ], [ 'pg_sleep(1) IS NULL', qr/does not look at/ ], [ 'now() > k1', qr/does not look at/ ], [ 'true UNION SELECT true', qr/does not look at/ ],
	[ '*', qr/does not look at/ ], [ 'k1.*', qr/does not look at/ ], [ 'k6 = 1.5', qr/does not exist/ ],
	[ 'count(*) > 1', qr/aggregate/ ], [ '$1', qr/no parameter/ ], [ '', qr/does not look at/ ], [ 'backstream.hello() IS NULL', qr/does not look at/ ])
{
	my ($conditions, $error) = @$case;

	($status, $out, $err) = $nodes[0]->psql('postgres', "SELECT count(*) FROM (SELECT backstream.partials_proper('backbone', 'keys', $fingerprint, '{}', '{}', \$_\$$conditions\$_\$)) p");
	like($err, $error, "a node is asked: $conditions");
}

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for $reader, @nodes;
$_->stop for $reader, @nodes;
done_testing();
