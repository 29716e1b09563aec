# SPDX-License-Identifier: PostgreSQL
# CREATE OR REPLACE where no slot of shared memory is free: an error that says so, before anything is lost; on request the
# view begins anew.
use strict;
use warnings;
use BackStreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Two slots: of one view, and of one definition more.
my $node = backstream_node('room', conf => "backstream.max_views = 1\n");
$node->start;

sub query { return $node->safe_psql('postgres', "SET TimeZone = 'UTC'; $_[0]") }

# What a statement says.
sub said
{
	my ($out, $err);
	$node->psql('postgres', $_[0], stdout => \$out, stderr => \$err);
	return $err;
}

my $with = "WITH (continuous, clock = 'data', lateness = '0', idle = '1 hour', retain = '1 hour')";
my $now = $with =~ s/\)/, take_over = 'now')/r;
my $window = "SELECT backstream.tumble(t, '10 s') AS time, count(*) AS n";

query(<<"SQL");
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (t timestamptz, k int) SERVER backstream;
CREATE VIEW v $with AS $window FROM s GROUP BY 1;
SQL
query("INSERT INTO s VALUES ('2026-01-01 00:00:01+00', 1), ('2026-01-01 00:00:11+00', 2), ('2026-01-01 00:00:21+00', 2)");
is(said("CREATE OR REPLACE VIEW v $with AS $window, sum(k) AS k FROM s GROUP BY 1"), '', 'one more aggregate: there is a slot for it');
query("INSERT INTO s VALUES ('2026-01-01 00:00:31+00', 3)");
my $shown = query('SELECT * FROM v ORDER BY 1');
is($shown, "2026-01-01 00:00:00+00|1|\n2026-01-01 00:00:10+00|1|\n2026-01-01 00:00:20+00|1|\n2026-01-01 00:00:30+00|1|3", 'it goes on from what was there');

# Both that would go on and that would wait need one more.
for my $definition ("$window, sum(k) AS k, max(k) AS m FROM s GROUP BY 1", "$window, sum(k) AS k FROM s WHERE k > 1 GROUP BY 1")
{
	my $said = said("CREATE OR REPLACE VIEW v $with AS $definition");
	like($said, qr/^psql:\S+ ERROR:  no slot is free to replace continuous view "v" without losing what it has counted/, 'no slot: an error');
	like($said, qr/DETAIL:  All 2 slots are taken .*HINT:  Try again when .* raise backstream.max_views/s, 'that says what to do');
	is(query('SELECT * FROM v ORDER BY 1'), $shown, 'and nothing is lost');
}
query("INSERT INTO s VALUES ('2026-01-01 00:00:41+00', 1)");
is(query('SELECT * FROM v ORDER BY 1'), "$shown\n2026-01-01 00:00:40+00|1|1", 'the definition that was there counts on');
is(said("CREATE OR REPLACE VIEW v $with AS $window, sum(k) * 2 AS k FROM s GROUP BY 1"), '', 'output alone needs no slot');

# Past retention the slot is free again.
query("INSERT INTO s VALUES ('2026-01-01 02:00:01+00', 1), ('2026-01-01 02:00:11+00', 1)");
ok($node->poll_query_until('postgres', 'SELECT kept_since IS NULL FROM backstream.views'), 'retention empties the older one');
is(said("CREATE OR REPLACE VIEW v $with AS $window, sum(k) AS k, max(k) AS m FROM s GROUP BY 1"), '', 'then there is one');
query("INSERT INTO s VALUES ('2026-01-01 02:00:21+00', 1)");
is(query('SELECT * FROM v ORDER BY 1'), "2026-01-01 02:00:00+00|1|1|\n2026-01-01 02:00:10+00|1|1|\n2026-01-01 02:00:20+00|1|1|1", 'and it goes on');

# On request.
like(said("CREATE OR REPLACE VIEW v $now AS $window, sum(k) AS k, max(k) AS m, min(k) AS l FROM s GROUP BY 1"),
	qr/NOTICE:  continuous view "v" begins anew: what it has counted is dropped\nDETAIL:  No slot is free to keep it in/, 'at once: it begins anew, and says so');
query("INSERT INTO s VALUES ('2026-01-01 02:00:31+00', 1)");
is(query('SELECT * FROM v ORDER BY 1'), '2026-01-01 02:00:30+00|1|1|1|1', 'it does');

# One that waits gives its slot to what takes its place.
is(said("CREATE OR REPLACE VIEW v $with AS $window, sum(k) AS k, max(k) AS m, min(k) AS l FROM s WHERE k > 1 GROUP BY 1"), '', 'one waits');
is(said("CREATE OR REPLACE VIEW v $with AS $window, sum(k) AS k, max(k) AS m, min(k) AS l FROM s WHERE k > 2 GROUP BY 1"), '', 'another in its place');
is(said("CREATE OR REPLACE VIEW v $with AS $window, sum(k) AS k, max(k) AS m, min(k) AS l, bit_or(k) AS o FROM s GROUP BY 1"), '', 'one that goes on');
query("INSERT INTO s VALUES ('2026-01-01 02:00:41+00', 1)");
is(query('SELECT * FROM v ORDER BY 1'), "2026-01-01 02:00:30+00|1|1|1|1|\n2026-01-01 02:00:40+00|1|1|1|1|1", 'from what was shown');

# As many definitions as are kept.
$node->append_conf('postgresql.conf', "backstream.max_views = 20\n");
$node->restart;
query("CREATE VIEW w $with AS $window FROM s GROUP BY 1");
query("INSERT INTO s VALUES ('2026-01-01 03:00:00+00', 0)");
my $aggregates = '';
my @notices;
for my $i (1 .. 16)
{
	$aggregates .= ", count(*) FILTER (WHERE k = $i) AS n$i";
	push @notices, said("CREATE OR REPLACE VIEW w $with AS $window$aggregates FROM s GROUP BY 1");
	query("INSERT INTO s SELECT '2026-01-01 03:00:00+00'::timestamptz + $i * interval '10 s', $i");
}
is(join('', @notices[0 .. 14]), '', 'fifteen times nothing is lost');
like($notices[15], qr/NOTICE:  the oldest windows of continuous view "w" are dropped\nDETAIL:  Windows of at most 15 earlier definitions are kept/, 'then it is said');
is(query('SELECT count(*), min(time) FROM w'), '16|2026-01-01 03:00:10+00', 'what is lost');
$node->stop;
done_testing();
