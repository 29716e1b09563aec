# SPDX-License-Identifier: PostgreSQL
# Definitions of views over nodes: all nodes have them or none has; what is done here is done there, and what is
# rolled back here leaves nothing there.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my ($reader, @nodes) = start_backbone(conf => "statement_timeout = '60s'\n", reader_conf => "backstream.max_views = 1\n");

sub query { return $reader->safe_psql('postgres', $_[0]) }
# Status, output and messages of something that may fail.
sub try_query
{
	my ($sql, $server) = @_;
	my ($status, $out, $err) = ($server // $reader)->psql('postgres', $sql);
	return $err;
}
# What each node has: the views of a schema.
sub kept
{
	my ($schema) = @_;
	return join ' ', sql_all("SELECT coalesce(string_agg(view::text, ',' ORDER BY view::text), '-') FROM backstream.views WHERE view::text LIKE '$schema.%'", @nodes);
}
sub option
{
	my ($view, $name) = @_;
	return join ' ', sql_all("SELECT coalesce((SELECT option_value FROM pg_foreign_table, pg_options_to_table(ftoptions) WHERE ftrelid = '$view'::regclass AND option_name = '$name'), '-')", @nodes);
}
my $matrix = q{SELECT tumble(time_flow_end, '10 s') AS time, src_as, dst_as, sum(bytes) AS bytes, avg(packets) AS packets, count(*) AS flows FROM backbone.flow GROUP BY 1, 2, 3};

# ---------- import ----------

is(query(q{SELECT count(*) FROM information_schema.columns WHERE table_schema = 'backbone' AND table_name = 'flow'}),
	query(q{SELECT count(*) FROM information_schema.columns WHERE table_schema = 'backstream' AND table_name = 'flow'}), 'the stream has all columns');
is(query(q{SELECT array_to_string(ftoptions, ' ') FROM pg_foreign_table WHERE ftrelid = 'backbone.flow'::regclass}), 'watermark_by=exporter schema_name=backstream table_name=flow', 'and knows what it stands for');

# ---------- CREATE ----------

query("CREATE CONTINUOUS VIEW backbone.matrix WITH (retain = '2 h') AS $matrix");
is(kept('backbone'), 'backbone.matrix backbone.matrix backbone.matrix', 'every node has the view');
like(option('backbone.matrix', 'query'), qr/FROM backstream\.flow.*FROM backstream\.flow.*FROM backstream\.flow/s, 'over its own stream');
is(option('backbone.matrix', 'retain'), '2 h 2 h 2 h', 'with its options');
is(query(q{SELECT state FROM backstream.views WHERE view = 'backbone.matrix'::regclass}), 'on nodes', 'here nothing is counted');
like(query(q{SELECT srvname FROM pg_foreign_table JOIN pg_foreign_server s ON s.oid = ftserver WHERE ftrelid = 'backbone.matrix'::regclass}), qr/^backbone$/, 'it is on the server of its stream');

# One node has something else of that name: none keeps the new one.
$nodes[1]->safe_psql('postgres', "CREATE SCHEMA other; CREATE VIEW other.v WITH (continuous) AS SELECT count(*) AS n FROM backstream.flow; CREATE TABLE other.t (a int)");
query('CREATE SCHEMA other');
like(try_query("CREATE VIEW other.v WITH (continuous) AS $matrix"), qr/node "node_2": continuous view "other\.v" is there already, with another definition/, 'another definition of that name is an error that names the node');
like(try_query("CREATE VIEW other.t WITH (continuous) AS $matrix"), qr/node "node_2": "other\.t" is not a continuous view/, 'so is something else');
is(kept('other'), '- other.v -', 'and no node keeps anything');
is(query(q{SELECT count(*) FROM pg_class WHERE relnamespace = 'other'::regnamespace}), 0, 'nor does the reader');
query('CREATE VIEW other.v WITH (continuous) AS SELECT count(*) AS n FROM backbone.flow');
is(kept('other'), 'other.v other.v other.v', 'one that is there with the same definition is taken');
is(try_query("CREATE FUNCTION other.twice(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN \$1 * 2; CREATE VIEW other.f WITH (continuous) AS SELECT sum(other.twice(bytes)) FROM backbone.flow") =~ /node "node_\d": function other\.twice\(bigint\) does not exist/ ? 1 : 0, 1, 'a function that nodes do not have is an error');
is(kept('other'), 'other.v other.v other.v', 'and nothing comes of it');

# ---------- transactions ----------

query("BEGIN; CREATE VIEW backbone.gone WITH (continuous) AS $matrix; ROLLBACK");
is(kept('backbone'), 'backbone.matrix backbone.matrix backbone.matrix', 'a rollback leaves nothing');
query(<<"SQL");
BEGIN;
SAVEPOINT a;
CREATE VIEW backbone.one WITH (continuous) AS $matrix;
ROLLBACK TO a;
CREATE VIEW backbone.two WITH (continuous) AS $matrix;
SAVEPOINT b;
CREATE VIEW backbone.three WITH (continuous) AS $matrix;
RELEASE b;
DO \$\$ BEGIN CREATE VIEW backbone.four WITH (continuous) AS SELECT count(*) FROM backbone.flow; PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END \$\$;
DO \$\$ BEGIN CREATE VIEW backbone.five WITH (continuous) AS SELECT count(*) FROM backbone.flow; EXCEPTION WHEN division_by_zero THEN NULL; END \$\$;
COMMIT;
SQL
my $five = 'backbone.five,backbone.matrix,backbone.three,backbone.two';
is(kept('backbone'), "$five $five $five", 'savepoints count there as they do here');
like(try_query("BEGIN; CREATE VIEW backbone.p WITH (continuous) AS $matrix; PREPARE TRANSACTION 'p'"), qr/cannot PREPARE|prepared transactions are disabled/, 'PREPARE TRANSACTION is refused');
like(try_query("BEGIN; CREATE VIEW backbone.p WITH (continuous) AS $matrix; CREATE TABLE c (a int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED); INSERT INTO c VALUES (1), (1); COMMIT"), qr/duplicate key/, 'an error at commit');
is(kept('backbone'), "$five $five $five", 'leaves nothing either');

# A connection that is lost within a transaction takes it along.
my ($session) = $reader->background_psql('postgres', on_error_stop => 0);
$session->query("BEGIN; CREATE VIEW backbone.lost WITH (continuous) AS $matrix");
$nodes[0]->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'backstream'});
$session->query('COMMIT');
$session->quit;
is(query(q{SELECT to_regclass('backbone.lost')}), '', 'when a connection breaks the commit fails') or diag(query('SELECT * FROM backstream.views'));
is(kept('backbone'), "$five $five $five", 'everywhere');

# ---------- REPLACE, ALTER, DROP ----------

query(q{CREATE OR REPLACE VIEW backbone.five WITH (continuous, lateness = '5 s') AS SELECT count(*), sum(bytes) AS bytes FROM backbone.flow});
like(option('backbone.five', 'query'), qr/(sum\(bytes\).*){3}/s, 'OR REPLACE replaces');
is(option('backbone.five', 'lateness'), '5 s 5 s 5 s', 'options, too');
query(q{ALTER VIEW backbone.five SET (retain = '3 h')});
query(q{ALTER VIEW backbone.five RESET (lateness)});
is(option('backbone.five', 'retain') . ' ' . option('backbone.five', 'lateness'), '3 h 3 h 3 h - - -', 'ALTER alters');
query(q{ALTER VIEW backbone.five SET (on_node_failure = 'partial')});
is(option('backbone.five', 'on_node_failure'), '- - -', 'what is the reader\'s own stays here');
query('ALTER VIEW backbone.five RENAME TO renamed; ALTER VIEW backbone.renamed SET SCHEMA other; ALTER TABLE backbone.flow RENAME COLUMN bytes TO octets');
is(kept('backbone'), "$five $five $five", 'names on the nodes are the nodes\'');
query(q{ALTER TABLE backbone.flow RENAME COLUMN octets TO bytes});
query(q{ALTER VIEW other.renamed SET (retain = '4 h')});
is(option('backbone.five', 'retain'), '4 h 4 h 4 h', 'and the view is still the same');
query(q{ALTER VIEW other.renamed SET (nodes_follow = 'off'); ALTER VIEW other.renamed SET (retain = '5 h')});
is(option('backbone.five', 'retain'), '4 h 4 h 4 h', 'nodes_follow = off changes nothing there');
query(q{ALTER VIEW other.renamed SET (nodes_follow = 'on')});
is(option('backbone.five', 'retain'), '5 h 5 h 5 h', 'and on brings what was changed meanwhile');
query(q{ALTER VIEW other.renamed SET (nodes_follow = 'off'); ALTER VIEW other.renamed SET (retain = '4 h'); ALTER VIEW other.renamed RESET (nodes_follow)});
is(option('backbone.five', 'retain'), '4 h 4 h 4 h', 'so does RESET');
query(q{ALTER VIEW other.renamed SET (nodes_follow = 'off'); DROP VIEW other.renamed});
is(kept('backbone'), "$five $five $five", 'nodes_follow = off leaves the nodes alone');
query('DROP VIEW backbone.two; DROP FOREIGN TABLE backbone.three');
is(kept('backbone'), join(' ', ('backbone.five,backbone.matrix') x 3), 'DROP drops');
query('BEGIN; DROP SCHEMA backbone CASCADE; ROLLBACK');
is(kept('backbone'), join(' ', ('backbone.five,backbone.matrix') x 3), 'and is rolled back');

# ---------- imported views are the nodes' own ----------

query('CREATE SCHEMA seen; IMPORT FOREIGN SCHEMA backbone LIMIT TO (five) FROM SERVER backbone INTO seen');
like(query(q{SELECT array_to_string(ftoptions, ' ') FROM pg_foreign_table WHERE ftrelid = 'seen.five'::regclass}), qr/FROM backbone\.flow.*retain=4 h.*nodes_follow=off/s, 'a view of the nodes is imported');
query('DROP SCHEMA seen CASCADE');
is(kept('backbone'), join(' ', ('backbone.five,backbone.matrix') x 3), 'and dropped here alone');
$nodes[2]->safe_psql('postgres', 'CREATE VIEW other.third WITH (continuous) AS SELECT count(*) FROM backstream.flow');
like(try_query('CREATE SCHEMA seen; IMPORT FOREIGN SCHEMA other FROM SERVER backbone INTO seen'), qr/"third" is not imported.*1 of 3 nodes have it, among them "node_3"/s, 'what not all nodes have is left out');
is(query(q{SELECT string_agg(relname, ',') FROM pg_class WHERE relnamespace = 'seen'::regnamespace}), 'v', 'and the rest is there');

# ---------- a dump ----------

my $file = $reader->basedir . '/reader.sql';
$reader->command_ok([ 'pg_dump', '-f', $file, '-d', $reader->connstr('postgres') ], 'pg_dump');
my $second = backstream_node('second', conf => "backstream.node_timeout = '2s'\n");
$second->start;
$second->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $second->connstr('postgres') ], 'it restores beside the first');
is($second->safe_psql('postgres', q{SELECT count(*) FROM pg_foreign_table WHERE array_to_string(ftoptions, ' ') ~ 'query='}), query(q{SELECT count(*) FROM pg_foreign_table WHERE array_to_string(ftoptions, ' ') ~ 'query='}), 'with all views');
is(kept('backbone'), join(' ', ('backbone.five,backbone.matrix') x 3), 'the nodes have them already');

# ---------- outputs for which there is no room here ----------

query('CREATE SCHEMA told');
query("CREATE VIEW told.$_ WITH (continuous, notify = '$_') AS SELECT tumble(time_flow_end, '10 s') AS time, count(*) AS $_ FROM backbone.flow GROUP BY 1") for 'a', 'b';
my $states = q{SELECT string_agg(state, ', ' ORDER BY state) FROM backstream.views WHERE view IN ('told.a'::regclass, 'told.b'::regclass)};
ok($reader->poll_query_until('postgres', $states, 'active, not counted'), 'a view whose outputs have no slot is not counted');
my ($without) = query(q{SELECT view::oid FROM backstream.views WHERE state = 'not counted'});
ok(wait_until(60, sub { slurp_file($reader->logfile) =~ /continuous view with OID $without is not counted: too many continuous views.*HINT:  Raise backstream\.max_views/s }), 'and the log says why');
query('ALTER VIEW ' . query("SELECT $without\::regclass") . ' RESET (notify)');
ok($reader->poll_query_until('postgres', $states, 'active, on nodes'), 'without outputs it needs none');
query('DROP SCHEMA told CASCADE');

# ---------- a node that is away ----------

query(q{ALTER SERVER backbone OPTIONS (ADD node_timeout '1 s'); ALTER SERVER node_3 OPTIONS (ADD node_timeout '1 s')});
$nodes[2]->stop;
my $before = time;
like(try_query("CREATE VIEW backbone.away WITH (continuous) AS $matrix"), qr/ERROR:  node "node_3": .*(refused|No such file)/, 'a node that is down is an error');
is(join(' ', sql_all(q{SELECT to_regclass('backbone.away') IS NULL}, @nodes[ 0, 1 ])), 't t', 'and the others keep nothing');
like(try_query("CREATE VIEW backbone.away WITH (continuous, on_node_failure = 'partial') AS $matrix"), qr/WARNING:  node "node_3" is out of step/, 'or, if that is allowed, it is made elsewhere');
is(join(' ', sql_all(q{SELECT to_regclass('backbone.away') IS NOT NULL}, @nodes[ 0, 1 ])), 't t', 'on the others');
like(try_query('DROP VIEW backbone.matrix'), qr/ERROR:  node "node_3"/, 'DROP is an error, too');
unlike(try_query("ALTER VIEW backbone.matrix SET (on_node_failure = 'partial', nodes_follow = off); DROP VIEW backbone.matrix"), qr/ERROR/, 'and can do without');
cmp_ok(time - $before, '<', 20, 'nothing hangs');
$second->command_ok([ 'psql', '-X', '-q', '-d', $second->connstr('postgres'), '-c', 'DROP EXTENSION backstream CASCADE' ], 'all goes');
$nodes[2]->start;

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for $reader, $second, @nodes;
$_->stop for $reader, $second, @nodes;
done_testing();
