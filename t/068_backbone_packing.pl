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

my $port = free_port();
my ($reader, $node) = start_backbone(nodes => 1, conf => "statement_timeout = '60s'\nbackstream.listen = ''\n");
sub query { return $reader->safe_psql('postgres', $_[0]) }
sub on_node { return $node->safe_psql('postgres', $_[0]) }

# ---------- one writer, and two ----------

$node->append_conf('postgresql.conf', "backstream.listen = '127.0.0.1:$port'\n");
$node->reload;
query(q{CREATE VIEW backbone.flows WITH (continuous) AS SELECT tumble(time_received, '1 day') AS time, src_as, dst_as, sum(bytes) AS bytes, min(packets) AS least, count(*) AS n FROM backbone.flow GROUP BY 1, 2, 3;
	CREATE VIEW backbone.named WITH (continuous) AS SELECT tumble(time_received, '1 day') AS time, src_addr, 'AS' || src_as AS name, max('AS' || dst_as) AS last, sum(bytes) AS bytes FROM backbone.flow GROUP BY 1, 2, 3});
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
generate(target => "127.0.0.1:$port", rate => 20000, count => 5000, flows => 3000);
ok($node->poll_query_until('postgres', "SELECT sum(received) = 28000 FROM backstream.views"), 'a second writer has records');
same('two writers', 14000);

# ---------- dropped meanwhile ----------

on_node('CREATE FOREIGN TABLE s (t timestamptz, k int) SERVER backstream');
query(q{IMPORT FOREIGN SCHEMA public LIMIT TO (s) FROM SERVER backbone INTO backbone;
	CREATE VIEW backbone.short WITH (continuous, clock = 'data', lateness = '0', retain = '1 min') AS SELECT tumble(t, '10 s') AS time, k, count(*) AS n FROM backbone.s GROUP BY 1, 2});
on_node(q{INSERT INTO s SELECT timestamptz '2026-01-01Z' + i % 20 * interval '1 s', i % 12000 FROM generate_series(1, 24000) i});
is(query('SELECT count(*), sum(n) FROM backbone.short'), '12000|24000', 'two windows of several messages each');

# The node waits, in the middle of the first window, for whoever has the lock; it notes what kinds of messages it sends.
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
$holder->query_safe('SELECT pg_advisory_lock(1)');
my $session = $reader->background_psql('postgres');
$session->query_until(qr/asked/, "\\echo asked\nSELECT count(*), sum(n) FROM backbone.short;\n\\echo answered\n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), 'the node is in the middle of a window');
# The first window goes, the second one stays.
on_node(q{INSERT INTO s VALUES ('2026-01-01 00:01:15Z', 1)});
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM backstream.windows('backbone.short') WHERE window_start = '2026-01-01Z'"), 'it is dropped meanwhile');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
like($session->query_until(qr/answered/, ''), qr/^6000\|12000$/m, 'nothing of it is shown, and all of the other window');
like(on_node("SELECT string_agg(kind, '' ORDER BY n) FROM sent"), qr/^wrgwr+e$/, 'some of it had been sent already');
$_->quit for $session, $holder;
is(query("SELECT sum(n) FROM backbone.short WHERE time = '2026-01-01 00:00:10Z'"), 12000, 'the connection goes on');

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|signal 11|signal 6/, $_->name . ': nothing crashed') for $reader, $node;
$_->stop for $reader, $node;
done_testing();
