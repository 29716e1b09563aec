# SPDX-License-Identifier: PostgreSQL
# Where the extension can be, and what says so where it cannot.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;

sub error_of
{
	my ($node, $dbname, $sql) = @_;
	my ($status, $out, $err) = $node->psql($dbname, $sql);
	return $err;
}

my $bare = backstream_node('bare', preload => '');
$bare->start;
my $err = error_of($bare, 'postgres', 'CREATE EXTENSION backstream');
like($err, qr/BackStream must be loaded when the server starts/, 'not preloaded: says so');
like($err, qr/HINT:  Add backstream to shared_preload_libraries/, 'and what to do');
$bare->safe_psql('postgres', 'SELECT 1');
like(error_of($bare, 'postgres', 'CREATE VIEW v WITH (continuous) AS SELECT 1'), qr/unrecognized parameter "continuous"/, 'without the library: as in stock PostgreSQL');
$bare->stop;

my $node = backstream_node('node', conf => "backstream.database = 'flows'\n");
$node->start;
$err = error_of($node, 'postgres', 'CREATE EXTENSION backstream');
like($err, qr/extension "backstream" can only be created in database "flows"/, 'another database: says so');
like($err, qr/set backstream.database to "postgres"/, 'and what to do');
$err = error_of($node, 'postgres', 'CREATE VIEW v WITH (continuous) AS SELECT 1');
like($err, qr/extension "backstream" is not in this database/, 'no extension: says so');
like(error_of($node, 'postgres', 'CREATE CONTINUOUS VIEW v AS SELECT 1'), qr/extension "backstream" is not in this database/, 'in the literal spelling too');
$node->safe_psql('postgres', 'CREATE DATABASE flows');
$node->safe_psql('flows', 'CREATE EXTENSION backstream; CREATE VIEW v WITH (continuous) AS SELECT count(*) FROM backstream.flow');
is($node->safe_psql('flows', "SELECT relkind FROM pg_class WHERE relname = 'v'"), 'f', 'it works where it may be');

# The schema must be the installer's.
$node->safe_psql('flows', 'DROP EXTENSION backstream CASCADE; DROP SCHEMA backstream; CREATE ROLE mallory; CREATE SCHEMA backstream AUTHORIZATION mallory');
like(error_of($node, 'flows', 'CREATE EXTENSION backstream'), qr/schema "backstream" belongs to role mallory/, 'a schema of somebody else is refused');
$node->safe_psql('flows', 'DROP SCHEMA backstream; CREATE EXTENSION backstream');

# With some settings the literal spelling cannot work: whoever creates the extension is told.
for my $level (qw(fatal log error))
{
	$err = error_of($node, 'flows', "SET log_min_messages = $level; DROP EXTENSION backstream; CREATE EXTENSION backstream");
	my $warns = $err =~ /WARNING:  CREATE CONTINUOUS VIEW will be a syntax error, because log_min_messages is "$level"/;
	is($warns ? 'a warning' : $err, $level eq 'error' ? '' : 'a warning', "log_min_messages = $level");
}

# Settings are checked when they are read; a wrong one leaves the old.
$node->append_conf('postgresql.conf', "backstream.listen = 'nonsense'\nbackstream.allow = '10.0.0.0/99'\n");
$node->reload;
$node->poll_query_until('flows', "SELECT count(*) = 2 FROM pg_file_settings WHERE name IN ('backstream.listen', 'backstream.allow') AND NOT applied AND error IS NOT NULL");
is($node->safe_psql('flows', 'SHOW backstream.listen'), '', 'the old value stays');

# A database that has the extension and is no longer the one.
$node->append_conf('postgresql.conf', "backstream.listen = ''\nbackstream.allow = ''\nbackstream.database = 'postgres'\n");
$node->restart;
$err = error_of($node, 'flows', 'INSERT INTO backstream.flow (bytes) VALUES (1)');
like($err, qr/streams take no records in database "flows"/, 'records do not vanish in a database where nobody counts');
like($err, qr/Continuous views are counted in database "postgres"/, 'and it says where they are counted');
$node->stop;
done_testing();
