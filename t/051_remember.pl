# SPDX-License-Identifier: PostgreSQL
# Remembered functions in receivers: names out of a table for live traffic, changes of the table after the time
# that was set, an end of memory for them; and a dump that holds the declaration.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $port = free_port();
my $node = backstream_node('first', conf => "backstream.listen = '127.0.0.1:$port'\nbackstream.workers = 2\nbackstream.remember_memory = '64kB'\n");
$node->start;

sub sql { return $node->safe_psql('postgres', shift) }

sql(<<'SQL');
CREATE EXTENSION backstream;
CREATE SCHEMA inv;
CREATE TABLE inv.routers (exporter inet PRIMARY KEY, name text);
INSERT INTO inv.routers SELECT '127.0.10.0'::inet + i, 'router ' || i FROM generate_series(1, 3) i;
CREATE FUNCTION inv.router(inet) RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM inv.routers WHERE exporter = $1';
CREATE FUNCTION inv.half(inet) RETURNS text LANGUAGE plpgsql STABLE AS
	$$ BEGIN PERFORM FROM inv.routers; RETURN CASE WHEN $1 < '128.0.0.0' THEN 'low' ELSE 'high' END; END $$;
SELECT backstream.remember('inv.router(inet)', '250 ms');
SELECT backstream.remember('inv.half(inet)', '1 hour');
CREATE VIEW by_router WITH (continuous) AS
  SELECT inv.router(exporter) AS router, count(*), sum(bytes) AS bytes FROM backstream.flow GROUP BY 1;
CREATE VIEW by_exporter WITH (continuous) AS
  SELECT exporter, count(*), sum(bytes) AS bytes FROM backstream.flow GROUP BY 1;
CREATE VIEW by_half WITH (continuous) AS
  SELECT inv.half(src_addr) AS half, count(*), sum(bytes) AS bytes FROM backstream.flow GROUP BY 1;
CREATE VIEW by_half_oracle WITH (continuous) AS
  SELECT CASE WHEN src_addr < '128.0.0.0' THEN 'low' ELSE 'high' END AS half, count(*), sum(bytes) AS bytes FROM backstream.flow GROUP BY 1;
SQL
my @views = qw(by_router by_exporter by_half by_half_oracle);
my $sent = 0;

sub send_some
{
	my $totals = generate(target => "127.0.0.1:$port", version => 'ipfix', exporters => 4, rate => 40000, count => 40000);

	$sent += $totals->{records};
	ok(received_all($node, $_, $sent), "$_ has got all") for @views;
}

ok($node->poll_query_until('postgres', "SELECT count(*) = 4 FROM backstream.views WHERE state = 'active'"), 'receivers have the views');
send_some();
my $oracle = "SELECT r.name, e.count, e.bytes FROM by_exporter e LEFT JOIN inv.routers r USING (exporter)";
is(sql("SELECT count(*) FROM (TABLE by_router EXCEPT ALL $oracle) d"), 0, 'as a join with the table');
is(sql('SELECT count(*), count(router) FROM by_router'), '4|3', 'one of them has no name');
is(sql('SELECT count(*) FROM (TABLE by_half EXCEPT ALL TABLE by_half_oracle) d'), 0, 'more arguments than there is room for');
is(sql("SELECT sum(errors) FROM backstream.views"), 0, 'no errors');
my $before = sql('SELECT count(*) FROM by_exporter');

# ---------- a change of the table ----------
sql("UPDATE inv.routers SET name = name || ' (moved)'");
usleep(300_000);
send_some();
is(sql("SELECT sum(count) FROM by_router WHERE router LIKE '%(moved)'"),
	sql("SELECT (sum(count) / 2)::bigint FROM by_exporter JOIN inv.routers USING (exporter)"), 'a change is seen after the time that was set');

# ---------- a dump ----------
my $second = backstream_node('second');
$second->start;
my $file = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $file, '-d', $node->connstr('postgres') ], 'pg_dump');
my ($stdout, $stderr) = run_command([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $second->connstr('postgres') ]);
is($stderr, '', 'restored');
is($second->safe_psql('postgres', 'SELECT * FROM backstream.remembered_functions ORDER BY function::text'),
	"inv.half(inet)|01:00:00\ninv.router(inet)|00:00:00.25", 'with what is remembered');
$second->safe_psql('postgres', "INSERT INTO backstream.flow (exporter) VALUES ('127.0.10.2')");
is($second->safe_psql('postgres', 'SELECT router, count FROM by_router'), 'router 2 (moved)|1', 'and works');

$node->stop;
$second->stop;
done_testing();
