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

done_testing();
