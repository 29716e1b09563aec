# SPDX-License-Identifier: PostgreSQL
# A million groups, of numbers and of texts and addresses with NULLs, and a million distinct values: as the same
# SELECT over the same records.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;

my $node = backstream_node('million', conf => "backstream.memory = '400MB'\nwork_mem = '256MB'\nmax_parallel_workers_per_gather = 0\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (n bigint, a inet, k text, b bigint) SERVER backstream;
-- Each of a million groups once, half of them twice.
CREATE VIEW records AS
  SELECT i % 1000000 AS n, inet '10.0.0.0' + i % 1000000 AS a, CASE WHEN i % 1000000 % 3 > 0 THEN 'k' || i % 1000000 END AS k, i AS b
    FROM generate_series(1, 1500000) i;
CREATE VIEW by_number WITH (continuous) AS SELECT n, count(*), sum(b), max(b) FROM s GROUP BY 1;
CREATE VIEW by_text WITH (continuous) AS SELECT k, a, count(*), avg(b) FROM s GROUP BY 1, 2;
CREATE VIEW distinct_values WITH (continuous) AS SELECT count(DISTINCT n) AS n, count(DISTINCT k) AS k, count(*) FROM s;
INSERT INTO s SELECT * FROM records WHERE b <= 700000;
INSERT INTO s SELECT * FROM records WHERE b > 700000;
SQL

# The number of rows, and a sum over all of them that no order changes.
sub digest
{
	my ($from) = @_;
	return $node->safe_psql('postgres', "SELECT count(*), sum(hashtextextended(r::text, 0)) FROM $from AS r");
}

is(digest('by_number'), digest('(SELECT n, count(*), sum(b), max(b) FROM records GROUP BY 1)'), 'by a number');
is(digest('by_text'), digest('(SELECT k, a, count(*), avg(b) FROM records GROUP BY 1, 2)'), 'by a text and an address');
is($node->safe_psql('postgres', 'TABLE distinct_values'),
	$node->safe_psql('postgres', 'SELECT count(DISTINCT n), count(DISTINCT k), count(*) FROM records'), 'distinct values');
is($node->safe_psql('postgres', 'SELECT view, groups >= 1000000, records, overflowed + errors + late FROM backstream.views ORDER BY 1'),
	"by_number|t|1500000|0\nby_text|t|1500000|0\ndistinct_values|f|1500000|0", 'all records are in');

# Over a restart; two million groups and as many distinct values come back within seconds, without holding what is read.
my @before = (digest('by_number'), digest('by_text'), digest('distinct_values'));
$node->stop;
$node->start;
is(digest('by_number'), $before[0], 'by a number, over a restart');
is(digest('by_text'), $before[1], 'by a text and an address, over a restart');
is(digest('distinct_values'), $before[2], 'distinct values, over a restart');
note 'restored and written: ', $node->safe_psql('postgres', 'SELECT restore_time, down_since, up_since FROM backstream.checkpoint');
is($node->safe_psql('postgres', "SELECT restore_time < '20 s' FROM backstream.checkpoint"), 't', 'in seconds');
note 'files: ', join ' ', map { -s $node->data_dir . "/pg_backstream/$_" } grep { /state/ } slurp_dir($node->data_dir . '/pg_backstream');
$node->stop;
done_testing();
