# SPDX-License-Identifier: PostgreSQL
# Rights: the role of grafana/grants.sql sees the views of its schema and the health views, and nothing else;
# customers see their own rows alone, through the ordinary view of docs/rights.md.
use strict;
use warnings;
use BackStreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = backstream_node('grants');
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]) }

# The error of a statement as that role, or its result after "got ".
sub as_role
{
	my ($role, $sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', $role ]);

	return $err =~ /^(?:psql:\S+ )?ERROR:\s+(.*)/m ? $1 : "got $out$err";
}

sql(<<'SQL');
CREATE EXTENSION backstream;
SELECT backstream.install_pack('overview', schema => 'traffic', clock => 'data');
CREATE TABLE traffic.secret AS SELECT 1 AS n;
CREATE SCHEMA private;
CREATE VIEW private.flows WITH (continuous) AS SELECT count(*) AS n FROM backstream.flow;
CREATE TABLE public.ledger AS SELECT 1 AS n;
SQL
my @grants = ('psql', '-Xq', '-d', $node->connstr('postgres'), '-v', 'schema=traffic', '-f', "$ENV{BACKSTREAM_SOURCE}/grafana/grants.sql");
$node->command_ok(\@grants, 'grants.sql makes the role');
$node->command_ok(\@grants, 'and may be run again');
sql(<<'SQL');
INSERT INTO backstream.flow (time_event, exporter, bytes, packets, src_addr, dst_addr)
SELECT '2026-01-01 00:00Z'::timestamptz + i * interval '1 s', '192.0.2.1', 100, 1,
       format('10.%s.0.1', i % 3)::inet, format('2001:db8:%s::1', i % 3)::inet FROM generate_series(1, 30) i;
SQL

# ---------- the role for dashboards ----------

is(as_role('grafana', 'SELECT sum(flows) FROM traffic.load'), 'got 30', 'it reads continuous views');
is(as_role('grafana', 'SELECT count(*) FROM traffic.hosts'), 'got 6', 'and ordinary ones over them');
is(as_role('grafana', "SELECT count(*) FROM backstream.latest(NULL::traffic.load)"), 'got 1', 'by functions too');
for my $view (qw(exporters listeners forwards receivers views outputs memory health view_exporters nodes checkpoint interface_config))
{
	like(as_role('grafana', "SELECT count(*) FROM backstream.$view"), qr/^got \d+$/, "it sees backstream.$view");
}
is(as_role('grafana', 'SELECT count(*) FILTER (WHERE query IS NOT NULL) FROM backstream.views'), 'got 0', 'but nobody\'s queries');
my %denied = (
	'SELECT 1 FROM backstream.flow LIMIT 1' => 'permission denied for foreign table flow',
	'TABLE traffic.secret' => 'permission denied for table secret',
	'TABLE private.flows' => 'permission denied for schema private',
	'TABLE public.ledger' => 'permission denied for table ledger',
	'INSERT INTO backstream.flow (bytes) VALUES (1)' => 'permission denied for foreign table flow',
	"SELECT backstream.ingest('\\x00', '192.0.2.1', now())" => 'permission denied for function ingest',
	'DROP FOREIGN TABLE traffic.load' => 'must be owner of foreign table load',
	"SELECT backstream.install_pack('overview', 'mine')" => 'permission denied for database postgres',
	"SELECT backstream.uninstall_pack('overview', 'traffic')" => 'must be owner of view hosts',
	"SELECT pg_read_file('PG_VERSION')" => 'permission denied for function pg_read_file',
);
for my $statement (sort keys %denied)
{
	# default_transaction_read_only would be refused first, but anybody can switch that off.
	is(as_role('grafana', "SET default_transaction_read_only = off; $statement"), $denied{$statement}, "not: $statement");
}
is(as_role('grafana', 'CREATE TEMP TABLE t AS SELECT 1'), 'cannot execute CREATE TABLE AS in a read-only transaction', 'it is read-only');
is(as_role('grafana', 'SHOW statement_timeout'), 'got 30s', 'and does not run for ever');

# ---------- customers ----------

my ($example) = slurp_file("$ENV{BACKSTREAM_SOURCE}/docs/rights.md") =~ /<!-- customers -->\n```sql\n(.*?)```/s;
sql($example);
sql(<<'SQL');
CREATE ROLE acme; CREATE ROLE acme_user LOGIN IN ROLE acme; CREATE ROLE other_user LOGIN;
CREATE ROLE nobody_user LOGIN;
INSERT INTO customer.networks VALUES ('acme', '10.1.0.0/16'), ('acme', '2001:db8:1::/48'), ('other_user', '10.2.0.0/16');
CREATE SCHEMA snoop;
GRANT ALL ON SCHEMA snoop TO other_user;
SQL
my $hosts = q{SELECT string_agg(host(host) || ' ' || flows, ', ' ORDER BY host) FROM customer.hosts};
is(as_role('acme_user', $hosts), 'got 10.1.0.1 10, 2001:db8:1::1 10', 'a customer sees its networks, of both families');
is(as_role('other_user', $hosts), 'got 10.2.0.1 10', 'another its own');
is(as_role('nobody_user', $hosts), 'got ', 'who is no customer nothing');
is(as_role('acme_user', "$hosts WHERE host <<= '10.2.0.0/16'"), 'got ', 'not even when asked for');
is(as_role('acme_user', 'TABLE traffic.hosts'), 'permission denied for schema traffic', 'and not below the view');
is(as_role('acme_user', 'TABLE customer.networks'), 'permission denied for table networks', 'nor the list of customers');
my ($status, $out, $err) = $node->psql('postgres', <<'SQL', extra_params => [ '-U', 'other_user' ]);
CREATE FUNCTION snoop.seen(host inet) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
  $$ BEGIN RAISE NOTICE 'seen %', host; RETURN true; END $$;
SELECT count(*) FROM customer.hosts WHERE snoop.seen(host);
SQL
is(join(', ', sort { $a cmp $b } $err =~ /seen (\S+)/g), '10.2.0.1', 'a function of the customer\'s sees no other rows')
  or diag($err);
sql("DELETE FROM customer.networks WHERE role = 'other_user'");
is(as_role('other_user', $hosts), 'got ', 'what is taken away is gone at once');
$node->stop;

done_testing();
