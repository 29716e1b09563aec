# SPDX-License-Identifier: PostgreSQL
# Prefix maps over the life of a server: changes without a gap, prepared transactions, a keeper that
# dies, too little memory, memory that comes back, restarts, dumps.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;
use BackStreamTraffic;

my $port = free_port();
my $node = backstream_node('first',
	conf => "max_prepared_transactions = 2\nbackstream.memory = '32MB'\nbackstream.listen = '127.0.0.1:$port'\n");
$node->start;

sub sql { return $node->safe_psql('postgres', shift) }

# Wait until a query says true, for at most some seconds.
sub becomes
{
	my ($query, $what, $server) = @_;

	ok(($server // $node)->poll_query_until('postgres', $query), $what);
}

sql(<<'SQL');
CREATE EXTENSION backstream;
CREATE SCHEMA nets;
CREATE TABLE nets.sites (network cidr, site text, id int);
INSERT INTO nets.sites SELECT ('10.' || i || '.0.0/16')::cidr, 'v0', i FROM generate_series(0, 255) i;
SELECT backstream.create_prefix_map('site', 'nets.sites', 'network', 'site', '{id}');
SQL
sql("SELECT backstream.refresh_prefix_map('site')");
my $memory = "SELECT used FROM backstream.memory";

# ---------- without a gap ----------
sql(<<'SQL');
CREATE FOREIGN TABLE public.traffic (src inet, bytes bigint) SERVER backstream;
CREATE VIEW public.by_site WITH (continuous) AS
  SELECT backstream.prefix_lookup('site', src) AS site, backstream.prefix_lookup_bigint('site', src, 'id') AS id, count(*)
    FROM traffic GROUP BY 1, 2;
SQL
my ($out, $err) = ('', '');
my $changes = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', <<'SQL' ], '>', \$out, '2>', \$err);
DO $$ BEGIN FOR i IN 1 .. 60 LOOP
	DELETE FROM nets.sites;
	INSERT INTO nets.sites SELECT ('10.' || n || '.0.0/16')::cidr, 'v' || i, n FROM generate_series(0, 255) n;
	COMMIT; PERFORM pg_sleep(0.05);
END LOOP; END $$
SQL
sql(<<'SQL');
DO $$ DECLARE label text; BEGIN FOR i IN 1 .. 100000 LOOP
	INSERT INTO traffic SELECT ('10.' || n || '.1.1')::inet, 1 FROM generate_series(0, 255) n;
	COMMIT;
	label := backstream.prefix_lookup('site', '10.7.7.7');
	IF label IS NULL THEN RAISE EXCEPTION 'gap'; END IF;
	EXIT WHEN label = 'v60';
END LOOP; END $$
SQL
$changes->finish;
is($err, '', 'the table was changed all the while');
is(sql("SELECT count(*) FROM by_site WHERE site IS NULL OR id IS NULL"), 0, 'every record found its prefix');
is(sql("SELECT received > 0 AND received = (SELECT sum(count) FROM by_site) FROM backstream.views WHERE view = 'by_site'::regclass"),
	't', 'and was added');
is(sql("SELECT errors FROM backstream.views WHERE view = 'by_site'::regclass"), 0, 'and none failed');
cmp_ok(sql("SELECT count(DISTINCT site) FROM by_site"), '>', 3, 'several states of the table were in force');
is(sql("SELECT count(*) FROM (SELECT site FROM by_site GROUP BY site HAVING count(*) <> 256) x"), 0,
	'each of them whole');
sql("SELECT backstream.refresh_prefix_map('site')");
is(sql("SELECT backstream.prefix_lookup('site', '10.1.2.3')"), 'v60', 'the last state is there');

# ---------- in receivers, while the table changes ----------
sql(<<'SQL');
CREATE TABLE nets.half (network inet, side text);
INSERT INTO nets.half VALUES ('0.0.0.0/1', 'low'), ('128.0.0.0/1', 'high'), ('::/0', 'six');
SELECT backstream.create_prefix_map('half', 'nets.half', 'network', 'side');
SQL
sql("SELECT backstream.refresh_prefix_map('half')");
# found without the schema, as in any continuous view
$node->safe_psql('postgres', $_) for (
	q{CREATE CONTINUOUS VIEW public.by_side AS SELECT prefix_lookup('half', src_addr) AS side, count(*), sum(bytes) AS bytes
		FROM backstream.flow GROUP BY 1},
	q{CREATE CONTINUOUS VIEW public.by_side_oracle AS SELECT CASE WHEN src_addr << '0.0.0.0/1' THEN 'low' WHEN src_addr << '128.0.0.0/1'
		THEN 'high' WHEN family(src_addr) = 6 THEN 'six' END AS side, count(*), sum(bytes) AS bytes FROM backstream.flow GROUP BY 1});
becomes("SELECT count(*) = 2 FROM backstream.views WHERE view::text LIKE 'by_side%' AND state = 'active'", 'receivers have the views');
my $flow = start_generate(target => "127.0.0.1:$port", version => 'ipfix', exporters => 4, rate => 50000, count => 150000);
for (1 .. 20)
{
	sql("UPDATE nets.half SET side = side");
	select(undef, undef, undef, 0.1);
}
my $totals = finish_generate($flow);
ok(received_all($node, $_, $totals->{records}), "$_ has got all") for qw(by_side by_side_oracle);
is(sql("SELECT sum(count) FROM by_side"), $totals->{records}, 'and added all');
is(sql("SELECT count(*) FROM (TABLE by_side EXCEPT TABLE by_side_oracle) x"), 0, 'each was looked up');
is(sql("SELECT sum(errors) FROM backstream.views WHERE view::text LIKE 'by_side%'"), 0, 'and none failed');

# ---------- prepared transactions ----------
sql("BEGIN; UPDATE nets.sites SET site = 'prepared'; PREPARE TRANSACTION 'p'");
sql("SELECT backstream.refresh_prefix_map('site')");
is(sql("SELECT backstream.prefix_lookup('site', '10.1.2.3')"), 'v60', 'prepared is not committed');
sql("COMMIT PREPARED 'p'");
becomes("SELECT backstream.prefix_lookup('site', '10.1.2.3') = 'prepared'", 'COMMIT PREPARED is');

# ---------- a table that is locked ----------
my $locker = $node->background_psql('postgres') if $node->can('background_psql');
SKIP:
{
	skip 'no background sessions here', 1 unless $locker;
	$locker->query_safe("BEGIN; LOCK nets.sites IN ACCESS EXCLUSIVE MODE; UPDATE nets.sites SET site = 'locked'");
	is(sql("SELECT backstream.prefix_lookup('site', '10.1.2.3')"), 'prepared', 'a locked table is not waited for');
	$locker->query_safe('ROLLBACK');
	$locker->quit;
}

# ---------- the keeper dies ----------
my $keeper = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'backstream keeper'");
sql("SELECT pg_terminate_backend($keeper)");
is(sql("SELECT backstream.prefix_lookup('site', '10.1.2.3')"), 'prepared', 'without a keeper the map stays');
sql("UPDATE nets.sites SET site = 'after'");
becomes("SELECT backstream.prefix_lookup('site', '10.1.2.3') = 'after'", 'the next keeper follows the table');

# ---------- memory ----------
sql("CREATE TABLE nets.big AS SELECT network, site FROM nets.sites; SELECT backstream.create_prefix_map('big', 'nets.big', 'network', 'site')");
sql("SELECT backstream.refresh_prefix_map('big')");
my $before = sql($memory);
sql("INSERT INTO nets.big SELECT ('172.16.0.0'::inet + (n % 1048576))::cidr, 'label ' || n FROM generate_series(1, 900000) n");
my ($status, $stdout, $stderr) = $node->psql('postgres', "SELECT backstream.refresh_prefix_map('big')");
like($stderr, qr/could not be built: (no room|out of memory)/, 'a map that does not fit is an error');
is(sql("SELECT state, prefixes FROM backstream.prefix_maps WHERE map = 'big'"), 'outdated|256', 'and the old one stays');
is(sql("SELECT backstream.prefix_lookup('big', '10.1.2.3')"), 'after', 'in force');
is(sql($memory), $before, 'what had been built of the new one is freed');
sql("DELETE FROM nets.big WHERE site LIKE 'label %' AND network > '172.16.128.0'");
sql("SELECT backstream.refresh_prefix_map('big')");
is(sql("SELECT state, prefixes FROM backstream.prefix_maps WHERE map = 'big'"), 'built|33024', 'less of it fits');
is(sql("SELECT backstream.prefix_lookup('big', '172.16.0.77')"), 'label 77', 'and is found');
sql("SELECT backstream.drop_prefix_map('big'); DROP TABLE nets.big");
becomes("SELECT NOT EXISTS (SELECT FROM backstream.prefix_map_counters() WHERE map = 'big')", 'it is dropped');
becomes("SELECT used < $before FROM backstream.memory", 'its memory comes back');

# ---------- a restart ----------
$node->restart;
becomes("SELECT count(*) = 2 FROM backstream.prefix_maps WHERE state = 'built'", 'maps are built when the server starts');
is(sql("SELECT backstream.prefix_lookup('site', '10.1.2.3')"), 'after', 'of what the table holds');

# ---------- a dump ----------
my $second = backstream_node('second');
$second->start;
my $file = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $file, '-d', $node->connstr('postgres') ], 'pg_dump');
$second->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $second->connstr('postgres') ],
	'restored');
becomes("SELECT count(*) = 2 FROM backstream.prefix_maps WHERE state = 'built' AND prefixes IN (3, 256)",
	'the maps are built there', $second);
is($second->safe_psql('postgres', "SELECT backstream.prefix_lookup('site', '10.1.2.3'), backstream.prefix_lookup_bigint('site', '10.1.2.3', 'id')"),
	'after|1', 'look-ups work');
$second->safe_psql('postgres', "INSERT INTO traffic VALUES ('10.9.9.9', 1)");
is($second->safe_psql('postgres', 'SELECT * FROM by_site'), 'after|9|1', 'views use it');
$second->safe_psql('postgres', "UPDATE nets.sites SET site = 'there'");
$second->safe_psql('postgres', "SELECT backstream.refresh_prefix_map('site')");
is($second->safe_psql('postgres', "SELECT backstream.prefix_lookup('site', '10.1.2.3')"), 'there', 'changes are followed');
$second->safe_psql('postgres', 'DROP EXTENSION backstream CASCADE');
is($second->safe_psql('postgres', "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'nets.sites'::regclass"), 0,
	'DROP EXTENSION takes the trigger along');
$second->safe_psql('postgres', 'CREATE EXTENSION backstream');
is($second->safe_psql('postgres', 'SELECT count(*) FROM backstream.prefix_maps'), 0, 'and the maps');

$node->stop;
$second->stop;
done_testing();
