# SPDX-License-Identifier: PostgreSQL
# What the extension says of itself: every object has a comment, and the README's table of settings is that
# of the server.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;

my $node = backstream_node('documents');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION backstream');

# Members of the extension, and columns of its relations, without a comment.  A column of a view whose
# name is also one of a function's results is still documented at the view.
my $members = q{
	SELECT d.classid, d.objid FROM pg_depend d
	  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	 WHERE d.deptype = 'e' AND e.extname = 'backstream'};
my $uncommented = qq{
	SELECT pg_describe_object(m.classid, m.objid, 0) FROM ($members) m
	 WHERE NOT EXISTS (SELECT FROM pg_description c
	                    WHERE c.classoid = m.classid AND c.objoid = m.objid AND c.objsubid = 0
	                      AND c.description <> '')
	   AND m.classid <> 'pg_type'::regclass ORDER BY 1};
is($node->safe_psql('postgres', $uncommented), '', 'every object of the extension has a comment');
is($node->safe_psql('postgres', "BEGIN; CREATE FUNCTION silent() RETURNS int LANGUAGE sql RETURN 1;
		ALTER EXTENSION backstream ADD FUNCTION silent(); $uncommented; ROLLBACK"),
	'function silent()', 'one without would be noticed');
is($node->safe_psql('postgres', qq{
	SELECT pg_describe_object(m.classid, m.objid, a.attnum) FROM ($members) m
	  JOIN pg_attribute a ON m.classid = 'pg_class'::regclass AND a.attrelid = m.objid
	 WHERE a.attnum > 0 AND NOT a.attisdropped AND col_description(a.attrelid, a.attnum) IS NULL
	 ORDER BY 1}),
	'', 'and every column of its relations');
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM ($members) m"), '>', 20, 'there are objects');
isnt($node->safe_psql('postgres', "SELECT obj_description('backstream'::regnamespace)"), '',
	'so has the schema');

# The table of settings, as the README should have it.
my $expected = $node->safe_psql('postgres', q{
	SELECT format('| `%s` | %s | %s | %s%s |', name,
	              CASE WHEN boot_val = '' THEN '(empty)' ELSE boot_val || coalesce(' ' || unit, '') END,
	              CASE context WHEN 'postmaster' THEN 'restart' WHEN 'sighup' THEN 'reload' ELSE 'any time' END,
	              short_desc, ' ' || regexp_replace(extra_desc, '\s+', ' ', 'g'))
	  FROM pg_settings WHERE name LIKE 'backstream.%' ORDER BY name});
my $readme = slurp_file("$ENV{BACKSTREAM_SOURCE}/README.md");
my ($table) = $readme =~ /<!-- settings -->\n.*?\n\|---[^\n]*\n(.*?)\n<!-- end of settings -->/s;
is($table, $expected, 'the table of settings in README.md')
  or diag("It should be:\n$expected\n");

# Options of continuous views: those that the README names are taken, and no others are.
my ($options) = $readme =~ /<!-- options -->\n.*?\n\|---[^\n]*\n(.*?)\n<!-- end of options -->/s;
my %documented = map { /^\| `(\w+)` \| ([^|]*?) \|/ ? ($1 => $2) : () } split /\n/, $options // '';
my ($status, $out, $err) = $node->psql('postgres',
	'CREATE VIEW v WITH (continuous, nonsense = 1) AS SELECT count(*) FROM backstream.flow');
my ($hint) = $err =~ /HINT:\s+[^:]*: ([\w, ]+?)\.?$/m;
is(join(', ', sort keys %documented), join(', ', sort split /, /, $hint // "no hint in: $err"),
	'the options in README.md are those that a hint names');

# What docs/operations.md tells to ask can be asked.
$node->safe_psql('postgres', q{CREATE VIEW matrix WITH (continuous, clock = 'data') AS
	SELECT tumble(time_flow_end, '5 min') AS time, src_as, dst_as, sum(bytes) AS bytes, sum(packets) AS packets, count(*)
	  FROM backstream.flow GROUP BY 1, 2, 3;
	INSERT INTO backstream.flow (time_flow_end, src_as, dst_as, bytes, packets)
	SELECT '2026-01-01 00:00Z', i % 45000, i / 45000, 1, 1 FROM generate_series(0, 44999) i});
my $operations = slurp_file("$ENV{BACKSTREAM_SOURCE}/docs/operations.md");
my @blocks = $operations =~ /^```sql\n(.*?)^```/msg;
cmp_ok(scalar @blocks, '>=', 5, 'docs/operations.md has queries');
for my $block (@blocks)
{
	my ($failed, $rows, $error) = $node->psql('postgres', $block, on_error_stop => 1);
	is("$failed $error", '0 ', 'runs: ' . ($block =~ s/\n.*//sr));
}
# Its formula: a group takes group_bytes and 16 to 32 more.
is($node->safe_psql('postgres', q{SELECT groups, memory_bytes / groups BETWEEN group_bytes + 8 AND group_bytes + 40 FROM backstream.views
	WHERE view = 'matrix'::regclass}), '45000|t', 'the formula for memory holds for 45,000 groups')
  or diag($node->safe_psql('postgres', q{SELECT groups, memory_bytes, group_bytes FROM backstream.views}));

done_testing();
