# SPDX-License-Identifier: PostgreSQL
# A node whose clock is an hour off: what is read is exact, or an error, or says that it lacks the node; and
# backstream.nodes tells by how much.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($library) = glob '/usr/lib/*/faketime/libfaketime.so.1';
plan skip_all => 'libfaketime is not installed (Debian: faketime)' unless $library;

my ($reader, @nodes) = start_backbone(nodes => 2, conf => "statement_timeout = '60s'\nbackstream.listen = ''\n");

sub query { return $reader->safe_psql('postgres', $_[0]) }
sub try_query { my (undef, $out, $err) = $reader->psql('postgres', $_[0]); return "$out\n$err" }

sql_all('CREATE FOREIGN TABLE s (t timestamptz, v int) SERVER backstream', @nodes);
query('IMPORT FOREIGN SCHEMA public FROM SERVER backbone INTO backbone');
for my $failure ('error', 'partial')
{
	query("CREATE VIEW backbone.wall_$failure WITH (continuous, on_node_failure = '$failure') AS SELECT tumble(t, '1 min') AS time, sum(v) AS v FROM backbone.s GROUP BY 1");
}
query(q{CREATE VIEW backbone.data WITH (continuous, clock = 'data', retain = '10 days') AS SELECT tumble(t, '1 min') AS time, sum(v) AS v FROM backbone.s GROUP BY 1;
	CREATE VIEW backbone.totals WITH (continuous) AS SELECT sum(v) AS v FROM backbone.s;
	CREATE VIEW backbone.tolerant WITH (continuous, max_future = '1 day', lateness = '1 day', on_node_failure = 'partial') AS SELECT tumble(t, '1 min') AS time, sum(v) AS v FROM backbone.s GROUP BY 1});

for my $case ([ '+1h', 'ahead of', 3600 ], [ '-1h', 'behind', -3600 ])
{
	my ($offset, $word, $seconds) = @$case;

	$nodes[1]->stop;
	{
		local %ENV = (%ENV, LD_PRELOAD => $library, FAKETIME => $offset, FAKETIME_DONT_FAKE_MONOTONIC => 1);
		$nodes[1]->start;
	}
	my ($before) = split /\|/, query('SELECT coalesce(v, 0) FROM backbone.totals');
	sql_all("INSERT INTO s VALUES (to_timestamp(" . time . "), 10)", @nodes);

	cmp_ok(abs(query(q{SELECT extract(epoch FROM clock_ahead) FROM backstream.nodes WHERE node = 'node_2'}) - $seconds), '<', 60, "$offset: backstream.nodes tells");
	cmp_ok(abs(query(q{SELECT extract(epoch FROM clock_ahead) FROM backstream.nodes WHERE node = 'node_1'})), '<', 60, "$offset: and that the other is right");
	like(try_query('SELECT sum(v) FROM backbone.wall_error'), qr/^\s*psql\S* ERROR:  node "node_2": its clock is $word this server's by some 3[56]\d\d s/, "$offset: an error that names the node");
	my $partial = try_query('SELECT sum(v) FROM backbone.wall_partial');
	like($partial, qr/WARNING:  the result lacks what node "node_2" has counted.*its clock is $word/s, "$offset: or a warning");
	is((split /\n/, $partial)[0], $nodes[0]->safe_psql('postgres', 'SELECT sum(v) FROM backbone.wall_partial'), "$offset: and what the other has");
	is(query('SELECT v FROM backbone.totals') - $before, 20, "$offset: totals are exact");
	is(query('SELECT sum(v) FROM backbone.data'), query('SELECT v FROM backbone.totals'), "$offset: and what goes by the time of records");
	is(query('SELECT sum(v) FROM backbone.tolerant'), query('SELECT v FROM backbone.totals'), "$offset: and a view that says that clocks may differ");
}

$_->stop for $reader, @nodes;
done_testing();
