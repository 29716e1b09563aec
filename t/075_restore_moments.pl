# SPDX-License-Identifier: PostgreSQL
# A keeper that ends while it restores, told to or killed: the next one restores anew, nothing is there twice and nothing is
# missing.  And a definition that was replaced and came back between two looks of the keeper: what it had counted before
# is not written as its own.
#
# Views call a function of constants, which is computed when they are compiled.  In the keeper it waits at a gate until the
# test opens it: a lock that a prepared transaction holds, over restarts.  Where the keeper is another lock tells.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use PostgreSQL::Test::Utils;
use Test::More;

my $nviews = 5;
my $node = backstream_node('moments',
	conf => "backstream.checkpoint_interval = 1\nbackstream.memory = '256MB'\nrestart_after_crash = on\nmax_prepared_transactions = 20\nstatement_timeout = '120s'\n");
$node->start;

sub query { return $node->safe_psql('postgres', "SET TimeZone = 'UTC'; SET client_min_messages = warning; $_[0]") }
sub soon { my ($sql, $expected) = @_; return wait_until(90, sub { query($sql) eq $expected }) }

sub keeper { return query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'backstream keeper'}) }

# The gate that the keeper waits at; '' when it does not.
my $gate = q{SELECT objid::int - 100 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type = 'backstream keeper' AND locktype = 'advisory' AND objid::int > 100};

sub waits_at_some_gate { return wait_until(90, sub { query($gate) ne '' }) }
sub close_gates { query("BEGIN; SELECT pg_advisory_xact_lock($_); PREPARE TRANSACTION 'gate $_'") for @_ }
sub open_gates { query("COMMIT PREPARED '$_'") for split /\n/, query('SELECT gid FROM pg_prepared_xacts') }

query(<<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (t timestamptz, k int, v bigint) SERVER backstream;
CREATE TABLE r (t timestamptz, k int, v bigint);
CREATE FUNCTION gate(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF (SELECT backend_type FROM pg_stat_activity WHERE pid = pg_backend_pid()) = 'backstream keeper' THEN
		PERFORM pg_advisory_lock_shared(100 + n);
		-- It does not wait for locks as such.
		WHILE NOT pg_try_advisory_xact_lock_shared(n) LOOP
			PERFORM pg_sleep(0.01);
		END LOOP;
		PERFORM pg_advisory_unlock_shared(100 + n);
	END IF;
	RETURN n;
END $$;
CREATE PROCEDURE feed(first int, last int) LANGUAGE sql AS $$
	INSERT INTO r SELECT '2026-01-01 00:00+00'::timestamptz + i * interval '100 ms', i % 500, i FROM generate_series(first, last) i;
	INSERT INTO s SELECT '2026-01-01 00:00+00'::timestamptz + i * interval '100 ms', i % 500, i FROM generate_series(first, last) i;
$$;
SQL
my $with = "WITH (continuous, clock = 'data', lateness = '0', retain = '10 days')";

query(qq{CREATE VIEW v$_ $with AS SELECT backstream.tumble(t, '10 s') AS time, k, gate($_) AS g, count(*) AS n, sum(v) AS v FROM s GROUP BY 1, 2, 3}) for 1 .. $nviews;
query(q{CREATE VIEW up WITH (continuous, retain = '10 days') AS SELECT time, sum(n) AS n FROM v1 GROUP BY 1});

# Windows of a view that are not as they are in the table.
sub wrong
{
	my ($n) = @_;
	my $above = "SELECT backstream.tumble(t, '10 s'), k, $n, count(*), sum(v) FROM r GROUP BY 1, 2";

	return differences($node, "v$n", $above);
}

sub check
{
	my ($what) = @_;

	is(join(' ', map { wrong($_) } 1 .. $nviews), join(' ', (0) x $nviews), "$what: all windows, once");
	is(query(q{SELECT string_agg(DISTINCT received || ' ' || records, ', ') FROM backstream.views WHERE view::text ~ '^v\d$'}), query(q{SELECT count(*) || ' ' || count(*) FROM r}), "$what: all records, once");
	query('SELECT backstream.settle()');
	is(differences($node, 'up', q{SELECT time, sum(n) FROM v1 WHERE time < (SELECT closed_before FROM backstream.views WHERE view = 'v1'::regclass) GROUP BY 1}), 0,
		"$what: the view above, too");
}

query('CALL feed(0, 29999)');
check('before');

my $nlast = 29999;
for my $how ('TERM', 'KILL', 'TERM')
{
	query("CALL feed($nlast + 1, $nlast + 1000)");
	$nlast += 1000;
	close_gates(1 .. $nviews);
	$node->restart;
	# Two views are back, the third one is on its way.
	for (1 .. 2)
	{
		ok(waits_at_some_gate(), "$how: the keeper restores");
		my $at = query($gate);
		query("COMMIT PREPARED 'gate $at'");
		ok(wait_until(90, sub { my $now = query($gate); $now ne '' && $now ne $at }), "$how: and goes on");
	}
	is(query(q{SELECT state FROM backstream.checkpoint}), 'restoring', "$how: it has not come to the end");
	my $keeper = keeper();
	kill $how => $keeper;
	ok(wait_until(90, sub { my ($status, $out) = $node->psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'backstream keeper'}); $status == 0 && $out ne '' && $out ne $keeper }), "$how: another keeper");
	ok(waits_at_some_gate(), "$how: which restores");
	open_gates();
	ok(soon(q{SELECT state FROM backstream.checkpoint}, 'ready'), "$how: to the end");
	check($how);
}
is(query('SELECT files_set_aside FROM backstream.checkpoint'), 0, 'no file was taken for a damaged one');
query("CALL feed($nlast + 1, $nlast + 1000)");
check('it goes on');

# ---------- away and back, while the keeper does not look ----------

my $at_once = $with =~ s/\)/, take_over = 'now')/r;
my $as_it_was = "SELECT backstream.tumble(t, '10 s') AS time, k, count(*) AS n FROM other GROUP BY 1, 2";

sub written
{
	my $now = query('SELECT clock_timestamp()');
	return $node->poll_query_until('postgres', "SELECT last_written - write_time > '$now' FROM backstream.checkpoint");
}

sub shown { return query('SELECT time, count(*), sum(n) FROM w GROUP BY 1 ORDER BY 1') }
sub insert { query("INSERT INTO other SELECT '2026-01-01 00:00+00'::timestamptz + i * interval '100 ms', i % $_[0] FROM generate_series(0, 2000) i") }

query('CREATE FOREIGN TABLE other (t timestamptz, k int) SERVER backstream');
query("CREATE VIEW w $at_once AS $as_it_was");
insert(10);
ok(written(), 'a view is written, windows that are closed in files of their own');
like(shown(), qr/\|10\|.*\n.*\|10\|/, 'it has several');
my $keeper = keeper();
close_gates($nviews + 1);
query("CREATE VIEW gated $with AS SELECT backstream.tumble(t, '10 s') AS time, gate($nviews + 1) AS g, count(*) AS n FROM s GROUP BY 1, 2");
ok(waits_at_some_gate(), 'the keeper is in the middle of a turn');
for my $definition ($as_it_was =~ s/GROUP/WHERE k > 3 GROUP/r, $as_it_was)
{
	query("CREATE OR REPLACE VIEW w $at_once AS $definition");
}
is(shown(), '', 'it was replaced, twice, and begins anew');
# The same windows again.
insert(7);
is(query($gate), $nviews + 1, 'and the keeper has not looked');
open_gates();
ok(written(), 'it is written');
my $before = shown();
like($before, qr/\|7\|.*\n.*\|7\|/, 'it counts');
is(keeper(), $keeper, 'by the same keeper');
crash_node($node);
is(shown(), $before, 'after a crash it is what it was, and has nothing of before');
check('all others');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|signal 6/, 'nothing crashed');
$node->stop;
done_testing();
