# SPDX-License-Identifier: PostgreSQL
# A rename and a definition at the same time: the stored text follows, whichever comes first.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;

my $node = backstream_node('node');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE sensor (at timestamptz, value bigint) SERVER backstream;
CREATE FUNCTION twice(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN $1 * 2;
SQL

sub text_of
{
	my ($view) = @_;
	return $node->safe_psql('postgres',
		"SELECT option_value FROM pg_foreign_table, pg_options_to_table(ftoptions) WHERE ftrelid = '$view'::regclass AND option_name = 'query'");
}

# One session has done the first statement and not committed; the other one's waits for it.
sub race
{
	my ($name, $first, $second) = @_;
	my $a = $node->background_psql('postgres');
	my $b = $node->background_psql('postgres', on_error_stop => 0);

	$a->query_safe('BEGIN');
	$a->query_safe($first);
	$b->query_until(qr/sent/, "\\echo sent\n$second;\n\\echo done\n");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
	  or die "$name: nobody waits";
	$a->query_safe('COMMIT');
	$b->query_until(qr/done/, '');
	$a->quit;
	$b->quit;
}

my $view = sub { "CREATE VIEW $_[0] WITH (continuous) AS SELECT sum($_[1]($_[2])) FROM sensor" };

race('function, definition first', $view->('a', 'twice', 'value'), 'ALTER FUNCTION twice RENAME TO doubled');
like(text_of('a'), qr/doubled\(value\)/, 'a function is renamed while a definition that uses it is not committed');
race('column, definition first', $view->('b', 'doubled', 'value'), 'ALTER FOREIGN TABLE sensor RENAME value TO amount');
like(text_of('b'), qr/doubled\(amount\)/, 'the same with a column');
like(text_of('a'), qr/doubled\(amount\)/, 'and in the older view');
race('two renames', 'ALTER FOREIGN TABLE sensor RENAME amount TO quantity', 'ALTER FUNCTION doubled RENAME TO twice');
like(text_of('a'), qr/twice\(quantity\)/, 'two renames at the same time are both followed');
race('rename first', 'ALTER FOREIGN TABLE sensor RENAME quantity TO value', $view->('c', 'twice', 'value'));
like(text_of('c'), qr/twice\(value\)/, 'a definition waits for a rename and then uses the new name');
race('two definitions and OR REPLACE', 'CREATE OR REPLACE VIEW a WITH (continuous) AS SELECT sum(value) FROM sensor',
	'ALTER FOREIGN TABLE sensor RENAME value TO amount');
like(text_of('a'), qr/sum\(amount\)/, 'OR REPLACE counts as a definition');

# Definitions do not wait for each other.
{
	my $a = $node->background_psql('postgres');
	$a->query_safe('BEGIN');
	$a->query_safe($view->('d', 'twice', 'amount'));
	$node->safe_psql('postgres', 'SET lock_timeout = 3000; ' . $view->('e', 'twice', 'amount'));
	$a->query_safe('COMMIT');
	$a->quit;
	like(text_of('d') . text_of('e'), qr/amount.*amount/s, 'two definitions at the same time');
}
# A temporary table is nobody's business.
{
	my $a = $node->background_psql('postgres');
	$a->query_safe('BEGIN');
	$a->query_safe($view->('f', 'twice', 'amount'));
	my ($status) = $node->psql('postgres', 'SET lock_timeout = 3000; CREATE TEMP TABLE t (a int); ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME a TO b');
	is($status, 0, 'renaming a temporary table does not wait');
	$a->query_safe('COMMIT');
	$a->quit;
}
# The workers wait for nobody's lock: with a view locked and its stream held they would stop receiving, and
# DROP ... CASCADE, which goes from the stream to the view, would be a deadlock.
{
	my $a = $node->background_psql('postgres');
	my $waiting = 0;

	$a->query_safe('BEGIN');
	$a->query_safe('ALTER FOREIGN TABLE sensor ADD COLUMN more int');
	for my $i (1 .. 10)
	{
		$node->safe_psql('postgres', "ALTER VIEW a SET (retain = '$i min')");
		$waiting += $node->safe_psql('postgres',
			"SELECT count(*) FROM pg_stat_activity, pg_sleep(0.1) WHERE wait_event_type = 'Lock' AND backend_type <> 'client backend'");
	}
	is($waiting, 0, 'no worker waits for a lock');
	$a->query_safe('SET client_min_messages = warning');
	$a->query_safe('DROP FOREIGN TABLE sensor CASCADE');
	$a->query_safe('COMMIT');
	$a->quit;
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_foreign_table WHERE ftrelid <> 'backstream.flow'::regclass"), 0, 'DROP CASCADE succeeds');
}
$node->stop;
done_testing();
