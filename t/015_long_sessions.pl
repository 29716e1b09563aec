# SPDX-License-Identifier: PostgreSQL
# Sessions that live long while others make, replace, rename and drop views between their INSERTs; and
# definitions and INSERTs in one transaction.  Nothing is counted for what was rolled back, and nothing
# of it is left in memory.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = backstream_node('sessions', conf => "statement_timeout = '30s'\nmax_prepared_transactions = 2\nbackstream.max_views = 8\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (k int, x bigint) SERVER backstream;
SQL

sub query { return $node->safe_psql('postgres', $_[0]) }
sub used { return query('SELECT used FROM backstream.memory') }
sub slots { return query('SELECT count(*) FROM backstream.view_counters()') }
sub fails { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err }
sub settles { my ($bytes) = @_; return wait_until(5, sub { used() == $bytes }) && used() }

my $empty = used();
my $long = $node->background_psql('postgres', on_error_stop => 0);
my $prepared = $node->background_psql('postgres');
$prepared->query_safe('PREPARE feed(int, bigint) AS INSERT INTO s VALUES ($1, $2)');
# Both insert one row each.
sub both { $long->query_safe("INSERT INTO s VALUES ($_[0], $_[1])"); $prepared->query_safe("EXECUTE feed($_[0], $_[1])"); return }

both(1, 1);   # nothing is defined yet
query('CREATE VIEW v WITH (continuous) AS SELECT count(*) AS n, sum(x) AS x FROM s');
both(1, 10);
is(query('TABLE v'), '2|20', 'a view made by another session');
query('CREATE OR REPLACE VIEW v WITH (continuous) AS SELECT count(*) AS n, sum(x + 0) * 2 AS x FROM s');
both(1, 10);
is(query('TABLE v'), '2|40', 'replaced by one that counts something else: it begins anew');
query('CREATE OR REPLACE VIEW v WITH (continuous) AS SELECT count(*) AS n, sum(x + 0) * 2 AS x FROM s');
both(1, 10);
is(query('TABLE v'), '4|80', 'by the same: it goes on');
query('ALTER FOREIGN TABLE v RENAME TO w');
both(1, 10);
is(query('TABLE w'), '6|120', 'renamed');
query('ALTER FOREIGN TABLE s RENAME COLUMN x TO value');
both(1, 10);
is(query('TABLE w'), '8|160', 'its column renamed');
query('ALTER FOREIGN TABLE s ADD COLUMN more int DEFAULT 7');
query('CREATE VIEW m WITH (continuous) AS SELECT count(more) AS n, count(*) AS all FROM s');
both(1, 10);
is(query('TABLE m'), '2|2', 'a column that was added');
query('CREATE FUNCTION twice(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 * 2; END $$');
query('CREATE VIEW f WITH (continuous) AS SELECT sum(twice(value)) AS x FROM s');
both(1, 10);
query('CREATE OR REPLACE FUNCTION twice(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 * 20; END $$');
both(1, 10);
is(query('TABLE f'), 2 * 20 + 2 * 200, 'a function that was replaced');
query('DROP FOREIGN TABLE w, m, f');
both(1, 10);
is(slots(), 0, 'all dropped') if wait_until(5, sub { slots() == 0 });
is(settles($empty), $empty, 'no memory is left');

# In the middle of others' transactions.
$long->query_safe('BEGIN; INSERT INTO s VALUES (2, 5)');
query('CREATE VIEW v WITH (continuous) AS SELECT count(*) AS n FROM s');
$long->query_safe('INSERT INTO s VALUES (2, 5); COMMIT');
is(query('TABLE v'), 2, 'a view that was made before the commit gets all of the transaction');
$long->query_safe('BEGIN; INSERT INTO s VALUES (2, 5)');
query('DROP FOREIGN TABLE v');
$long->query_safe('COMMIT');
pass('a view dropped before the commit');
$long->query_safe('BEGIN; INSERT INTO s VALUES (2, 5)');
query('CREATE VIEW v WITH (continuous) AS SELECT count(*) AS n FROM s; CREATE OR REPLACE VIEW v WITH (continuous) AS SELECT count(*) + 100 AS n FROM s');
$long->query_safe('COMMIT');
is(query('TABLE v'), 101, 'one replaced before it');
query('DROP FOREIGN TABLE v');
is(settles($empty), $empty, 'no memory is left');

# ---------- definitions and rows in one transaction ----------

query('BEGIN; CREATE VIEW v WITH (continuous) AS SELECT count(*) AS n FROM s; INSERT INTO s VALUES (1, 1), (1, 2); COMMIT');
is(query('TABLE v'), 2, 'CREATE, then INSERT');
query('BEGIN; INSERT INTO s VALUES (1, 1); CREATE VIEW w WITH (continuous) AS SELECT count(*) AS n FROM s; COMMIT');
is(query('SELECT v.n, w.n FROM v, w'), '3|1', 'INSERT, then CREATE');
query('BEGIN; INSERT INTO s VALUES (1, 1); DROP FOREIGN TABLE w; COMMIT');
is(query('TABLE v'), 4, 'INSERT, then DROP');
query('BEGIN; INSERT INTO s VALUES (1, 1); DROP FOREIGN TABLE v; CREATE VIEW v WITH (continuous) AS SELECT count(*) + 50 AS n FROM s; COMMIT');
is(query('TABLE v'), 51, 'INSERT, DROP, CREATE under the name');
query('BEGIN; INSERT INTO s VALUES (1, 1); CREATE OR REPLACE VIEW v WITH (continuous) AS SELECT count(*) + 70 AS n FROM s; INSERT INTO s VALUES (1, 1); COMMIT');
is(query('TABLE v'), 73, 'INSERT, OR REPLACE, INSERT: what was counted before stays');
query('BEGIN; CREATE FOREIGN TABLE own (a int) SERVER backstream; CREATE VIEW o WITH (continuous) AS SELECT sum(a) AS a FROM own; INSERT INTO own VALUES (3); COMMIT');
is(query('TABLE o'), 3, 'stream, view and rows');
query('BEGIN; INSERT INTO own VALUES (4); DROP FOREIGN TABLE own CASCADE; COMMIT');
query('BEGIN; CREATE VIEW r WITH (continuous) AS SELECT k, count(*) AS n FROM s GROUP BY 1; SAVEPOINT a; INSERT INTO s SELECT g, g FROM generate_series(1, 1000) g; ROLLBACK TO a; INSERT INTO s VALUES (7, 7); COMMIT');
is(query('TABLE r'), '7|1', 'a savepoint between them');
query('DROP FOREIGN TABLE r, v');
is(settles($empty), $empty, 'no memory is left');

# Rolled back in every way: no slot, no memory, nothing counted.
query('CREATE VIEW keeper WITH (continuous) AS SELECT count(*) AS n FROM s; INSERT INTO s VALUES (1, 1)');
my $one = used();
my $create = 'CREATE VIEW v WITH (continuous) AS SELECT k, count(*) AS n FROM s GROUP BY 1';
my $rows = 'INSERT INTO s SELECT g, g FROM generate_series(1, 20000) g';
my @rolled_back = (
	[ 'CREATE after INSERT', "BEGIN; $rows; $create; ROLLBACK" ],
	[ 'INSERT after CREATE', "BEGIN; $create; $rows; ROLLBACK" ],
	[ 'OR REPLACE', "BEGIN; $rows; CREATE OR REPLACE VIEW keeper WITH (continuous) AS SELECT count(*) + 5 AS n FROM s; $rows; ROLLBACK" ],
	[ 'DROP', "BEGIN; $rows; DROP FOREIGN TABLE keeper; ROLLBACK" ],
	[ 'to a savepoint', "BEGIN; SAVEPOINT a; $create; $rows; ROLLBACK TO a; COMMIT" ],
	[ 'by an error at the commit', "CREATE TABLE IF NOT EXISTS u (a int UNIQUE DEFERRABLE INITIALLY DEFERRED); BEGIN; $create; $rows; INSERT INTO u VALUES (1), (1); COMMIT" ],
	[ 'by PREPARE that is refused', "BEGIN; $create; $rows; PREPARE TRANSACTION 'p'" ],
	[ 'by a division by zero', "BEGIN; $create; $rows; SELECT 1 / 0; COMMIT" ],
);
for my $case (@rolled_back)
{
	my ($name, $sql) = @$case;
	for (1 .. 3)
	{
		fails($sql);
		$long->query($sql);
		$long->query('ROLLBACK');
	}
	is(settles($one), $one, "rolled back, $name: no memory is left");
	is(slots() . '|' . query('TABLE keeper'), '1|1', 'nor a slot, and nothing is counted');
}
query('DROP FOREIGN TABLE keeper');

# A session that ends in the middle.
$long->quit;
$long = $node->background_psql('postgres');
$long->query_safe("BEGIN; $create; $rows");
my $pid = $long->query_safe('SELECT pg_backend_pid()');
query("SELECT pg_terminate_backend($pid, 5000)");
is(settles($empty), $empty, 'a session that is terminated leaves nothing');
is(slots(), 0, 'nor a slot');
$long->{run}->finish;

# ---------- views too many, and a session that was there before ----------

query("CREATE VIEW v$_ WITH (continuous) AS SELECT count(*) AS n FROM s") for 1 .. 9;
wait_until(5, sub { slots() == 8 });
$prepared->query_safe('EXECUTE feed(1, 1)');
my $left_out = query(q{SELECT view FROM backstream.views WHERE state = 'not counted'});
query('DROP FOREIGN TABLE ' . ($left_out eq 'v1' ? 'v2' : 'v1'));
ok(wait_until(5, sub { query("SELECT state FROM backstream.views WHERE view = '$left_out'::regclass") eq 'active' }), 'a view that found no slot gets the one that is free');
$prepared->query_safe('EXECUTE feed(1, 1)');
is(query("SELECT n FROM $left_out"), 1, 'and counts what a long session inserts');

$prepared->quit;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal|WARNING:.*leak/, 'nothing crashed or leaked');
$node->stop;
done_testing();
