# SPDX-License-Identifier: PostgreSQL
# Aggregates of other extensions in continuous views: hll and tdigest (Debian: postgresql-15-hll,
# postgresql-15-tdigest).  They must come to what the same SELECT says over a table.
use strict;
use warnings;
use lib "$ENV{BACKSTREAM_SOURCE}/t";
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;

my $node = backstream_node('aggregates', conf => "TimeZone = 'UTC'\n");
$node->start;
sub sql { return $node->safe_psql('postgres', "SET client_min_messages = error; $_[0]") }

sql(q{
CREATE EXTENSION backstream;
CREATE SCHEMA other;
CREATE FOREIGN TABLE s (id int, t timestamptz, k int, a inet, x float8) SERVER backstream;
CREATE TABLE records (LIKE s);
INSERT INTO records
SELECT i, timestamptz '2026-01-01 00:00:00+00' + i * interval '100 ms', i % 4, '10.0.0.0'::inet + (i * 7919 % 3011), exp(i % 1000 / 100.0)
  FROM generate_series(0, 5999) i});

# In several transactions, so that states are merged.
sub feed
{
	sql("INSERT INTO s SELECT * FROM records WHERE id % 10 = $_") for 0 .. 9;
}

sub available
{
	my ($name) = @_;

	return 1 if sql("SELECT count(*) FROM pg_available_extensions WHERE name = '$name'") == 1;
	diag("SKIPPED: extension $name is not installed");
	return 0;
}

SKIP:
{
	skip 'SKIPPED: extension hll is not installed (postgresql-15-hll)', 6 unless available('hll');
	my $query = "SELECT backstream.tumble(t, '1 min') AS time, k, other.hll_add_agg(other.hll_hash_text(host(a))) AS h, count(*) AS n FROM %s GROUP BY 1, 2";

	sql('CREATE EXTENSION hll SCHEMA other');
	sql(sprintf "CREATE VIEW hosts WITH (continuous, clock = 'data', lateness = '1 hour') AS $query", 's');
	sql(sprintf "CREATE VIEW hosts_exact AS $query", 'records');
	feed();
	is(sql("SELECT records || ' ' || errors FROM backstream.views WHERE view = 'hosts'::regclass"), '6000 0',
		'hll_add_agg takes every record');
	is(sql('SELECT count(*) FROM hosts'), 40, 'and has all groups');
	is(sql('SET search_path = other, public; SELECT count(*) FROM hosts v JOIN hosts_exact e USING (time, k) WHERE #v.h = #e.h AND v.n = e.n'),
		40, 'that estimate the same number as over a table');
	is(sql("SET search_path = other, public; SELECT sum(#m.h) = (SELECT sum(#h) FROM (SELECT hll_add_agg(hll_hash_text(host(a))) AS h FROM records GROUP BY k) q)
			FROM backstream.merged(NULL::hosts, NULL, NULL) m"),
		't', 'merged windows too');
	is(sql("SET search_path = other, public; SELECT count(*) FROM (SELECT k % 3 AS k, #backstream.combine(h) AS h FROM hosts GROUP BY 1) v
			JOIN (SELECT k % 3 AS k, #hll_add_agg(hll_hash_text(host(a))) AS h FROM records GROUP BY 1) e USING (k, h)"),
		3, 'and combined over fewer keys');
	is(sql("SET search_path = other, public; SELECT bool_and(abs((#h) / count - 1) < 0.15)
			FROM (SELECT k, hll_union_agg(h) AS h FROM hosts GROUP BY k) v JOIN (SELECT k, count(DISTINCT a) FROM records GROUP BY k) e USING (k)"),
		't', 'and the value is one of type hll, which can be used as such');
}

SKIP:
{
	skip 'SKIPPED: extension tdigest is not installed (postgresql-15-tdigest)', 5 unless available('tdigest');
	sql('CREATE EXTENSION tdigest SCHEMA other');
	sql("CREATE VIEW digests WITH (continuous, clock = 'data', lateness = '1 hour') AS
		SELECT tumble(t, '1 min') AS time, other.tdigest(x, 100) AS d, other.tdigest_percentile(x, 100, 0.95) AS p95,
			other.tdigest_percentile(x, 100, ARRAY[0.25, 0.5]) AS some FROM s GROUP BY 1");
	feed();
	is(sql("SELECT records || ' ' || errors FROM backstream.views WHERE view = 'digests'::regclass"), '6000 0',
		'tdigest takes every record');
	is(sql('SELECT count(*) FROM digests'), 10, 'and has all groups');
	my $exact = "SELECT backstream.tumble(t, '1 min') AS time, percentile_cont(0.95) WITHIN GROUP (ORDER BY x) AS p95,
		percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS p50 FROM records GROUP BY 1";
	is(sql("SELECT count(*) FROM digests v JOIN ($exact) e USING (time) WHERE abs(v.p95 / e.p95 - 1) < 0.05 AND abs(v.some[2] / e.p50 - 1) < 0.1"),
		10, 'whose percentiles are near the exact ones');
	is(sql("SELECT abs(backstream.combine(p95) / (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY x) FROM records) - 1) < 0.05
			AND other.tdigest_count(backstream.combine(d)) = 6000 FROM digests"),
		't', 'combined over all windows too');
	# A digest of digests is rough: over a table, too.
	is(sql("SELECT sum(other.tdigest_count(d)) = 6000 AND other.tdigest_percentile(d, 0.5) BETWEEN 30 AND 600 FROM digests"),
		't', 'and the value is one of type tdigest, which can be used as such');
}

$node->stop;
done_testing();
