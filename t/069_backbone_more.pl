# SPDX-License-Identifier: PostgreSQL
# More of what a view can be, over nodes: prefix maps, whose tables every node has, and definitions that are replaced while
# there are records of the old ones.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($reader, @nodes) = start_backbone(conf => "statement_timeout = '60s'\nTimeZone = 'UTC'\nsearch_path = 'public, backstream'\n");

sub query { return $reader->safe_psql('postgres', $_[0]) }

sql_all('CREATE FOREIGN TABLE s (t timestamptz, src inet, v bigint) SERVER backstream', @nodes);
query('IMPORT FOREIGN SCHEMA public FROM SERVER backbone INTO backbone');
query('CREATE SCHEMA plain; CREATE TABLE plain.s (t timestamptz, src inet, v bigint)');

# Records that every node has some of; table, map and function are on all of them.
my $records = q{SELECT timestamptz '2026-01-01 00:00:00Z' + i * interval '100 ms' AS t,
	CASE WHEN i % 10 = 0 THEN '2001:db8::'::inet + i % 300 WHEN i % 17 > 0 THEN '10.0.0.0'::inet + (i * 7919) % 70000 END AS src, i * 31 AS v};
sub fill
{
	my ($from, $to) = @_;

	query("INSERT INTO plain.s $records FROM generate_series($from, $to) i");
	$nodes[$_]->safe_psql('postgres', "INSERT INTO s $records FROM generate_series($from, $to) i WHERE i % 3 = $_") for 0 .. 2;
}

# ---------- prefix maps ----------

sql_all(<<'SQL', $reader, @nodes);
CREATE TABLE customers (net inet PRIMARY KEY, customer text);
INSERT INTO customers VALUES ('10.0.0.0/8', 'all'), ('10.0.16.0/20', 'acme'), ('10.0.17.0/24', 'acme''s server'), ('2001:db8::/120', 'six'), ('10.1.0.0/16', NULL);
SELECT backstream.create_prefix_map('customer', 'customers', 'net', 'customer', public => true);
SELECT backstream.refresh_prefix_map('customer');
SQL
my $by_customer = q{SELECT tumble(t, '1 min') AS time, prefix_lookup('customer', src) AS customer, count(*) AS n, sum(v) AS v, count(DISTINCT src) AS sources FROM s GROUP BY 1, 2};
(my $there = $by_customer) =~ s/FROM s/FROM backbone.s/;
query("CREATE VIEW backbone.by_customer WITH (continuous, clock = 'data', retain = '10 days') AS $there");
fill(1, 6000);
is(query(q{SELECT string_agg(DISTINCT customer, ',' ORDER BY customer) FROM backbone.by_customer}), 'acme,acme\'s server,all,six', 'customers are found on the nodes');
is(differ($reader, 'backbone.by_customer', $by_customer), 0, 'prefix_lookup() over nodes is that over a table');
is(query(q{SELECT sum(n) FROM backbone.by_customer WHERE customer = 'acme'}), query(q{SELECT count(*) FROM plain.s WHERE prefix_lookup('customer', src) = 'acme'}), 'and so is a condition on it');

# ---------- definitions that are replaced ----------

my $first = q{SELECT tumble(t, '1 min') AS time, count(*) AS n FROM s GROUP BY 1};
my $more = q{SELECT tumble(t, '1 min') AS time, count(*) AS n, sum(v) AS v FROM s GROUP BY 1};
my $other = q{SELECT tumble(t, '1 min') AS time, count(DISTINCT src) AS n, sum(DISTINCT v) AS v, family(src) AS family FROM s GROUP BY 1, 4};
sub define
{
	my ($how, $sql) = @_;

	(my $text = $sql) =~ s/FROM s/FROM backbone.s/;
	query("$how VIEW backbone.changing WITH (continuous, clock = 'data', retain = '10 days') AS $text");
}
define('CREATE', $first);
fill(6001, 7000);
my $old = query('SELECT sum(n) FROM backbone.changing');
is($old, 1000, 'a view has counted');
define('CREATE OR REPLACE', $first);
is(query('SELECT sum(n) FROM backbone.changing'), $old, 'replaced by the same it has all');
is(query(q{SELECT string_agg(found, ',') FROM backstream.sync('backbone') WHERE view = 'backbone.changing'}), 'same,same,same', 'nodes are in step');
define('CREATE OR REPLACE', $more);
is(query(q{SELECT string_agg(found, ',') FROM backstream.sync('backbone') WHERE view = 'backbone.changing'}), 'same,same,same', 'also with one more aggregate');
is(query('SELECT sum(n) FROM backbone.changing'), $old, 'what was counted before is kept by all nodes');
query('TRUNCATE plain.s');
fill(7001, 9000);
is(query('SELECT sum(n), sum(v) FROM backbone.changing') =~ s/\|.*//r, $old + 2000, 'and counted on');
define('CREATE OR REPLACE', $other);
query('TRUNCATE plain.s');
fill(9001, 12000);
is(query(q{SELECT string_agg(found, ',') FROM backstream.sync('backbone') WHERE view = 'backbone.changing'}), 'same,same,same', 'another definition takes over on all');
is(differ($reader, 'backbone.changing', $other), 0, 'and is the SELECT over the records since');
$nodes[1]->safe_psql('postgres', "CREATE OR REPLACE VIEW backbone.changing WITH (continuous, clock = 'data') AS " . ($other =~ s/GROUP BY/WHERE v > 0 GROUP BY/r) . q{; SELECT backstream.take_over('backbone.changing')});
my ($status, $out, $err) = $reader->psql('postgres', 'SELECT * FROM backbone.changing');
like($err, qr/ERROR:  node "node_2": continuous view "backbone.changing" has another definition than "backbone.changing"/, 'what only one node replaced is an error that names both');

# ---------- differences ----------

$nodes[1]->safe_psql('postgres', 'DROP VIEW backbone.changing');
query('DROP VIEW backbone.changing');
$nodes[0]->safe_psql('postgres', 'CREATE SCHEMA "its own"; CREATE VIEW "its own".v WITH (continuous) AS SELECT count(*) AS n FROM s');
sql_all(q{CREATE SCHEMA tools; CREATE FUNCTION tools.half(bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT $1 / 2'; CREATE FUNCTION tools.one() RETURNS int IMMUTABLE LANGUAGE sql RETURN 1}, $reader, @nodes);
query(q{CREATE VIEW backbone.halves WITH (continuous, clock = 'data') AS SELECT tools.half(v) + tools.one() AS half, count(*) AS n FROM backbone.s GROUP BY 1});
is(query(q{SELECT * FROM backstream.sync('backbone') WHERE view NOT LIKE '%by_customer' ORDER BY 1, 2}), qq{node_1|"its own".v|only there|\nnode_1|backbone.halves|same|\nnode_2|backbone.halves|same|\nnode_3|backbone.halves|same|}, 'views that only a node has are listed');
is(query(q{SELECT count(*) FROM backstream.sync('backbone') WHERE view = '"its own".v'}), 1, 'and left alone');
$nodes[2]->safe_psql('postgres', q{CREATE OR REPLACE FUNCTION tools.half(bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT $1 / 3'});
$nodes[1]->safe_psql('postgres', q{CREATE OR REPLACE FUNCTION tools.one() RETURNS int IMMUTABLE LANGUAGE sql RETURN 2});
is(query(q{SELECT * FROM backstream.sync('backbone') WHERE view = 'backbone.halves' ORDER BY 1}), "node_1|backbone.halves|same|\nnode_2|backbone.halves|same, but function tools.one() has another body|\nnode_3|backbone.halves|same, but function tools.half(bigint) has another body|", 'and functions that are others there');

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for $reader, @nodes;
$_->stop for $reader, @nodes;
done_testing();
