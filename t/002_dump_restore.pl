# SPDX-License-Identifier: PostgreSQL
# A dump of a working system, restored into a fresh server, is that system: twice, in text and in the
# custom format with parallel jobs.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;

my $first = backstream_node('first');
$first->start;
my $roles = 'CREATE ROLE maker; CREATE ROLE reader;';
$first->safe_psql('postgres', $roles);
$first->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
GRANT USAGE ON FOREIGN SERVER backstream TO maker;
GRANT SELECT ON backstream.flow TO maker;
INSERT INTO backstream.exporter_config VALUES ('192.0.2.1', 'edge', 100, NULL), ('10.0.0.0/8', NULL, NULL, 1000);
INSERT INTO backstream.interface_config VALUES ('192.0.2.1', 7, 'uplink', 10000000000);

CREATE SCHEMA "Odd Schema";
CREATE TYPE "Odd Schema".colour AS ENUM ('red', 'gr''een');
-- names that sort against the order in which they must be restored
CREATE FUNCTION public.zz_twice(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN $1 * 2;
CREATE FOREIGN TABLE public.zz_sensor (at timestamptz, device text COLLATE "C", tint "Odd Schema".colour, value numeric(10, 2))
  SERVER backstream OPTIONS (watermark_by 'device');
CREATE VIEW public.aa_colours WITH (continuous, clock = data, show = closed) AS
  SELECT tumble(at, '1 min') AS time, tint, device, max(value) AS "Biggest ""value""", count(*) FILTER (WHERE tint = 'gr''een') AS green
    FROM zz_sensor WHERE tint <> 'red' AND device <> E'back\\slash' GROUP BY 1, 2, 3;
CREATE VIEW "Odd Schema"."Odd View" (a, b) WITH (continuous, retain = '90 min', lateness = '30 s', idle = '1 min', max_future = 5, max_groups = 77) AS
  SELECT tumble(time_received, '5 min'), sum(zz_twice(bytes)) FROM backstream.flow WHERE time_received > '2026-01-02 03:04' GROUP BY 1 HAVING count(*) > 1;
COMMENT ON VIEW aa_colours IS 'what colours there are';
COMMENT ON COLUMN aa_colours.green IS 'it''s green';
GRANT SELECT ON aa_colours TO reader;
CREATE VIEW public.aa_ordinary AS SELECT * FROM aa_colours;
SET TimeZone = 'Asia/Kolkata';
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
CREATE SCHEMA maker AUTHORIZATION maker;
SET ROLE maker;
CREATE VIEW maker.days WITH (continuous) AS
  SELECT date_trunc('day', time_received) AS day, max(time_flow_end - time_flow_start) + '-1 2:03:04' AS longest, count(*) FILTER (WHERE time_received < '05/06/2027')
    FROM backstream.flow GROUP BY 1;
SQL

my $dir = $first->basedir;

sub dump_text
{
	my ($node, $file) = @_;
	$node->command_ok([ 'pg_dump', '-f', $file, '-d', $node->connstr('postgres') ], 'pg_dump of ' . $node->name);
	my $text = slurp_file($file);
	$text =~ s/^\\(un)?restrict .*\n//mg;
	return $text;
}

my $catalog = <<'SQL';
SELECT pg_describe_object(classid, objid, objsubid), pg_describe_object(refclassid, refobjid, refobjsubid), deptype FROM pg_depend
 WHERE classid = 'pg_class'::regclass AND objid IN (SELECT ftrelid FROM pg_foreign_table) ORDER BY 1, 2, 3;
SELECT ftrelid::regclass::text, relowner::regrole, option_name, option_value
  FROM pg_foreign_table JOIN pg_class c ON c.oid = ftrelid, pg_options_to_table(ftoptions) ORDER BY 1, 3;
SELECT * FROM backstream.exporter_config ORDER BY exporter;
SELECT * FROM backstream.interface_config;
SQL
my $dump = dump_text($first, "$dir/first.sql");
my $facts = $first->safe_psql('postgres', $catalog);
like($facts, qr/aa_colours.*zz_sensor/, 'dependencies are recorded');
like($facts, qr/timezone\|Asia\/Kolkata/, 'settings of the creator are kept');
$first->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/first.dump", '-d', $first->connstr('postgres') ], 'pg_dump -Fc');

# As text, by psql; the session's settings are others.
my $second = backstream_node('second', conf => "timezone = 'America/Lima'\ndatestyle = 'German'\nintervalstyle = 'iso_8601'\n");
$second->start;
$second->safe_psql('postgres', $roles);
$second->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $second->connstr('postgres'), '-f', "$dir/first.sql" ], 'restored by psql');
is(dump_text($second, "$dir/second.sql"), $dump, 'its dump is the same text');
is($second->safe_psql('postgres', $catalog), $facts, 'and its catalogs say the same');

# In the custom format, in parallel, from the restored one.
$second->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/second.dump", '-d', $second->connstr('postgres') ], 'pg_dump -Fc of the second');
my $third = backstream_node('third');
$third->start;
$third->safe_psql('postgres', $roles);
$third->command_ok([ 'pg_restore', '-e', '-j', '4', '-d', $third->connstr('postgres'), "$dir/second.dump" ], 'restored by pg_restore -j 4');
is(dump_text($third, "$dir/third.sql"), $dump, 'its dump is the same text');
is($third->safe_psql('postgres', $catalog), $facts, 'and its catalogs say the same');

# What is restored is guarded as what was made.
my ($status, $out, $err) = $third->psql('postgres', 'DROP FUNCTION zz_twice(bigint)');
like($err, qr/"Odd Schema"."Odd View" depends on function zz_twice/, 'DROP asks for CASCADE');
$third->safe_psql('postgres', 'ALTER FOREIGN TABLE zz_sensor RENAME COLUMN device TO thing');
like($third->safe_psql('postgres', "SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'aa_colours'::regclass"), qr/thing/, 'text follows renames');

$_->stop for ($first, $second, $third);
done_testing();
