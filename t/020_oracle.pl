# SPDX-License-Identifier: PostgreSQL
# A continuous view is the SELECT it was defined by: queries of oracle/queries.sql and random ones, over
# the same records in a stream and in a table, must agree in rows, types and errors.
#
# The random ones are the same each time; BACKSTREAM_SEED makes others, BACKSTREAM_QUERIES says how many.
use strict;
use warnings;
use lib "$ENV{BACKSTREAM_SOURCE}/t";
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;
use oracle::random qw(random_query random_combined random_window);

my $seed = $ENV{BACKSTREAM_SEED} // 1;
my $nqueries = $ENV{BACKSTREAM_QUERIES} // 120;
my $nrecords = 400;
my $node = backstream_node('node', conf => "backstream.max_views = 256\nTimeZone = 'UTC'\n");
$node->start;

sub sql { return $node->safe_psql('postgres', "SET client_min_messages = error; $_[0]"); }

sub fill
{
	my ($n) = @_;
	sql("SELECT oracle.fill($n)");
}

# Records come in several transactions, one of them with two statements.
sub feed
{
	my $third = int($nrecords / 3);
	my $insert = 'INSERT INTO oracle.stream SELECT * FROM oracle.records WHERE id';

	sql("$insert <= $third");
	sql("BEGIN; $insert > $third AND id < $nrecords; $insert = $nrecords; COMMIT");
}

sub literal
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

sub compare
{
	my ($what) = @_;
	my @problems = split /\n/, sql('SELECT problem FROM oracle.compare()');

	is(scalar @problems, 0, "$what agree with tables");
	diag($_) for @problems[ 0 .. ($#problems > 9 ? 9 : $#problems) ];
}

sql('CREATE EXTENSION backstream');
$node->safe_psql('postgres', slurp_file("$ENV{BACKSTREAM_SOURCE}/t/oracle/setup.sql"));
fill($nrecords);

# Queries written by hand.
$node->safe_psql('postgres', slurp_file("$ENV{BACKSTREAM_SOURCE}/t/oracle/queries.sql"));
sql('CALL oracle.make()');
feed();
is(sql('SELECT count(*) FROM oracle.queries WHERE ok IS NULL'), '0', 'every query can be a continuous view');
compare('views of all kinds of expressions');

# The comparison finds what differs.
sql('INSERT INTO oracle.records SELECT * FROM oracle.records WHERE id BETWEEN 1 AND 50');
cmp_ok(sql('SELECT count(DISTINCT query) FROM oracle.queries, oracle.compare() WHERE right(problem, length(query)) = query'),
	'>', 120, 'with other records in the table nearly all views are found to differ');
sql('DELETE FROM oracle.queries; TRUNCATE oracle.records; DROP FOREIGN TABLE oracle.stream CASCADE');

# Random ones.
diag("BACKSTREAM_SEED=$seed");
srand $seed;
fill($nrecords);
sql('CALL oracle.make_stream()');
for (1 .. $nqueries)
{
	my ($query, $fails) = random_query();
	sql('INSERT INTO oracle.queries (query, fails) VALUES (' . literal($query) . ', ' . literal($fails) . ')');
}
sql('CALL oracle.make()');
feed();
cmp_ok(sql('SELECT count(*) FROM oracle.queries WHERE ok'), '>', 0.9 * $nqueries, 'nearly all random queries are accepted');
compare('random views');
diag(sql('SELECT format($$%s compared, %s with records in error, %s of %s records in error$$, count(*), count(*) FILTER (WHERE errors > 0), sum(errors), sum(received))
	FROM oracle.queries o, backstream.views v WHERE o.ok AND o.skipped IS NULL AND v.view = to_regclass(format($$oracle.v%s$$, o.q))'));
cmp_ok(sql('SELECT count(*) FROM oracle.queries WHERE ok AND skipped IS NULL'), '>', 0.8 * $nqueries, 'and compared');

# Hopping, rolling and spread windows: what these are over a table is hop(), the records of the span, and spread().
for my $kind (qw(hop rolling spread))
{
	my $n = int($nqueries / 3);
	sql('DELETE FROM oracle.queries; TRUNCATE oracle.records; DROP FOREIGN TABLE oracle.stream CASCADE');
	fill($nrecords);
	sql('CALL oracle.make_stream()');
	for (1 .. $n)
	{
		my $row = random_window($kind);
		my @columns = sort keys %$row;
		sql('INSERT INTO oracle.queries (' . join(', ', @columns) . ') VALUES (' . join(', ', map { literal($row->{$_}) } @columns) . ')');
	}
	sql('CALL oracle.make()');
	feed();
	cmp_ok(sql('SELECT count(*) FROM oracle.queries WHERE ok'), '>', 0.8 * $n, "nearly all random queries are accepted: $kind");
	compare("random views: $kind");
	cmp_ok(sql('SELECT count(*) FROM oracle.queries WHERE ok AND skipped IS NULL'), '>', 0.8 * $n, 'and compared');
}

# The same over fewer keys and over all windows, by combine().
sql('DELETE FROM oracle.queries; TRUNCATE oracle.records; DROP FOREIGN TABLE oracle.stream CASCADE');
fill($nrecords);
sql('CALL oracle.make_stream()');
sql('INSERT INTO oracle.queries (query, fails, compared, reading) VALUES (' . join(', ', map { literal($_) } random_combined()) . ')')
	for 1 .. $nqueries;
sql('CALL oracle.make()');
feed();
cmp_ok(sql('SELECT count(*) FROM oracle.queries WHERE ok'), '>', 0.9 * $nqueries, 'nearly all random queries to be combined are accepted');
compare('random views that are combined');
cmp_ok(sql('SELECT count(*) FROM oracle.queries WHERE ok AND skipped IS NULL'), '>', 0.8 * $nqueries, 'and compared');

$node->stop;
done_testing();
