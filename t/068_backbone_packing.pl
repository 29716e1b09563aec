# SPDX-License-Identifier: PostgreSQL
# What a node sends of a window that one writer has counted comes from where it is counted: the same groups as of one that is
# merged before, and nothing of a window that is dropped while it is sent.
use strict;
use warnings;
use BackStreamBackbone;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $port = free_port();
my ($reader, $node) = start_backbone(nodes => 1, conf => "statement_timeout = '170s'\nbackstream.listen = ''\n", reader_conf => "backstream.node_timeout = '160s'\n");
sub query { return $reader->safe_psql('postgres', $_[0]) }
sub on_node { return $node->safe_psql('postgres', $_[0]) }

# ---------- one writer, and two ----------

$node->append_conf('postgresql.conf', "backstream.listen = '127.0.0.1:$port'\n");
$node->reload;
query(q{CREATE VIEW backbone.flows WITH (continuous) AS SELECT tumble(time_received, '360 days') AS time, src_as, dst_as, sum(bytes) AS bytes, min(packets) AS least, count(*) AS n FROM backbone.flow GROUP BY 1, 2, 3;
	CREATE VIEW backbone.named WITH (continuous) AS SELECT tumble(time_received, '360 days') AS time, src_addr, 'AS' || src_as AS name, max('AS' || dst_as) AS last, sum(bytes) AS bytes FROM backbone.flow GROUP BY 1, 2, 3});
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM backstream.listeners WHERE state = 'open'"), 'the node listens');
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM backstream.views WHERE state = 'active'"), 'and counts');

sub same
{
	my ($what, $nflows) = @_;

	for my $view ('flows', 'named')
	{
		my $rows = "SELECT q::text FROM backbone.$view q ORDER BY 1";
		is(query($rows), on_node($rows), "$what: $view is what the node shows itself");
	}
	is(query('SELECT sum(n) FROM backbone.flows'), $nflows, "$what: all $nflows records");
}
on_node(q{INSERT INTO backstream.flow (time_received, exporter, src_addr, src_as, dst_as, bytes, packets)
	SELECT now(), '192.0.2.1', '192.0.2.0'::inet + i % 50, nullif(i % 3000, 7), i % 2, i, i % 9 FROM generate_series(1, 9000) i});
same('one writer', 9000);
# Two views that the receiver alone counts, in the same panes; one of them is somebody else's.
query(q{CREATE VIEW backbone.heard WITH (continuous) AS SELECT tumble(time_received, '360 days') AS time, src_addr, dst_addr, src_port, dst_port, count(*) AS n FROM backbone.flow GROUP BY 1, 2, 3, 4, 5});
on_node(q{CREATE ROLE somebody; GRANT SELECT ON backstream.flow TO somebody; GRANT USAGE ON FOREIGN SERVER backstream TO somebody; GRANT USAGE ON SCHEMA backstream TO somebody; GRANT CREATE ON SCHEMA public TO somebody; SET ROLE somebody;
	CREATE VIEW twin WITH (continuous, retain = '2 hours') AS SELECT backstream.tumble(time_received, '360 days') AS time, src_addr, dst_addr, src_port, dst_port, count(*) AS n FROM backstream.flow GROUP BY 1, 2, 3, 4, 5});
ok($node->poll_query_until('postgres', "SELECT count(*) = 4 FROM backstream.views WHERE state = 'active'"), 'two more views');
usleep(500_000); # the receiver takes them up by itself
my @traffic = (target => "127.0.0.1:$port", rate => 5000, count => 5000, flows => 4000, seed => 3);
generate(@traffic);
ok($node->poll_query_until('postgres', "SELECT sum(received) = 38000 FROM backstream.views"), 'a second writer has records');
same('two writers', 14000);

# ---------- copied and dropped meanwhile ----------

on_node('CREATE FOREIGN TABLE s (t timestamptz, k int) SERVER backstream');
query(q{IMPORT FOREIGN SCHEMA public LIMIT TO (s) FROM SERVER backbone INTO backbone;
	CREATE VIEW backbone.short WITH (continuous, clock = 'data', lateness = '10 s', retain = '1 min') AS SELECT tumble(t, '10 s') AS time, k, count(*) AS n FROM backbone.s GROUP BY 1, 2});
on_node(q{INSERT INTO s SELECT timestamptz '2026-01-01Z' + i % 20 * interval '1 s', i % 12000 FROM generate_series(1, 24000) i});
is(query('SELECT count(*), sum(n) FROM backbone.short'), '12000|24000', 'two windows of several messages each');

# The node waits, after the first groups of the first window, for whoever has the lock; it notes what kinds of messages it sends.
my $arguments = 'text, text, bigint, bigint[], bigint[]';
on_node("CREATE TABLE sent (n int, kind text);
	ALTER FUNCTION backstream.partials($arguments) RENAME TO partials_proper;
	CREATE FUNCTION backstream.partials($arguments) RETURNS SETOF bytea LANGUAGE plpgsql AS \$\$
		DECLARE message bytea; n int := 0; messages CURSOR FOR SELECT backstream.partials_proper(\$1, \$2, \$3, \$4, \$5);
		BEGIN
			OPEN messages;
			LOOP
				FETCH messages INTO message;
				EXIT WHEN NOT FOUND;
				n := n + 1;
				INSERT INTO public.sent VALUES (n, chr(get_byte(message, 0)));
				IF n = 2 THEN PERFORM pg_advisory_xact_lock(1); END IF;
				RETURN NEXT message;
			END LOOP;
		END \$\$");
my $holder = $node->background_psql('postgres');
my $session = $reader->background_psql('postgres');

# What the reader gets when this is done while the node is in the middle of the first window.
sub read_while
{
	my ($what, $view, $done) = @_;
	my $result;

	on_node('TRUNCATE sent');
	$holder->query_safe('SELECT pg_advisory_lock(1)');
	$session->query_until(qr/asked/, "\\echo asked\nSELECT count(*), sum(n) FROM backbone.$view;\n\\echo answered\n");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), "$what: the node is in the middle of a window");
	$done->();
	$holder->query_safe('SELECT pg_advisory_unlock(1)');
	($result) = $session->query_until(qr/answered/, '') =~ /^(\d+\|\d+)$/m;
	return ($result, on_node("SELECT string_agg(kind, '' ORDER BY n) FROM sent"));
}

# The twin counts no more: the receiver copies what both had, and goes on in the copy.
my ($result, $kinds) = read_while('copied', 'heard', sub {
	on_node('REVOKE SELECT ON backstream.flow FROM somebody');
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM backstream.views WHERE state LIKE 'suspended%'"), 'the twin is suspended');
	generate(@traffic);
	ok($node->poll_query_until('postgres', "SELECT received = 10000 FROM backstream.views WHERE view::text = 'backbone.heard'"), 'and the other one goes on');
});
my ($ngroups, $nrecords) = split /\|/, $result;
is($ngroups, on_node('SELECT count(*) FROM backbone.heard'), 'all groups come');
cmp_ok($nrecords, '>=', 5000, 'with all records of before,');
cmp_ok($nrecords, '<', 10000, 'but not those that came after theirs had been sent');
like($kinds, qr/^wrr+e$/, 'in one go');

($result, $kinds) = read_while('dropped', 'short', sub {
	# The first window goes, the second one stays.
	on_node(q{INSERT INTO s VALUES ('2026-01-01 00:01:25Z', 1)});
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM backstream.windows('backbone.short') WHERE window_start = '2026-01-01Z'"), 'the window is dropped');
});
is($result, '6000|12000', 'nothing of it is shown, and all of the other window');
like($kinds, qr/^wrgwr+e$/, 'some of it had been sent already');
$_->quit for $session, $holder;
is(query("SELECT sum(n) FROM backbone.short WHERE time = '2026-01-01 00:00:10Z'"), 12000, 'the connection goes on');

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for $reader, $node;
$_->stop for $reader, $node;
done_testing();
