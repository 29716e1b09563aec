# SPDX-License-Identifier: PostgreSQL
# Files of windows that are damaged, another server's, or cannot be written; views that are gone or changed: what is taken up
# was written, whole, once, and the server starts.
use strict;
use warnings;
use BackStreamTest;
use BackStreamTraffic;
use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = backstream_node('faults',
	init => { allows_streaming => 1 },
	conf => "backstream.checkpoint_interval = '0'\nbackstream.memory = '256MB'\nrestart_after_crash = on\nstatement_timeout = '60s'\n");
my $folder = $node->data_dir . '/pg_backstream';

sub query { return $node->safe_psql('postgres', $_[0]) }

sub files { return grep { !/^\.\.?$/ } slurp_dir($folder) }

sub path_of
{
	my ($view) = @_;
	return "$folder/" . query("SELECT '$view'::regclass::oid");
}

$node->start;
query(<<'SQL');
CREATE EXTENSION backstream;
CREATE FOREIGN TABLE s (t timestamptz, k int, v bigint) SERVER backstream;
CREATE VIEW a WITH (continuous, clock = 'data', lateness = '0', retain = '10 days') AS
  SELECT tumble(t, '1 min') AS time, k, count(*) AS n, sum(v) AS v FROM s GROUP BY 1, 2;
CREATE VIEW b WITH (continuous) AS SELECT k, count(*) AS n, sum(v) AS v FROM s GROUP BY 1;
SQL

sub insert
{
	my ($from, $to) = @_;
	query("INSERT INTO s SELECT '2026-01-01 00:00+00'::timestamptz + i * interval '1 s', i % 13, i FROM generate_series($from, $to) i");
}

sub contents { my ($view) = @_; return query("SELECT v::text FROM $view v ORDER BY v::text") }

insert(0, 599);
my $all = contents('a');
$node->restart;
is(contents('a'), $all, 'a restart keeps all');

# ---------- files that are not as they were written ----------

# Stop, do something to the files of view a, start; b is always as it was.
sub harmed
{
	my ($name, $harm, $pattern, $expected) = @_;
	my $path = path_of('a');
	my $offset = -s $node->logfile;
	my ($b_before, $log) = (contents('b'));

	$node->stop;
	my %saved = map { $_ => slurp_file("$folder/$_") } files();
	$harm->($path);
	$node->start;
	is(contents('a'), $expected, "$name: the view");
	is(contents('b'), $b_before, "$name: the other view");
	$log = substr(slurp_file($node->logfile), $offset);
	like($log, $pattern, "$name: the log says it");
	cmp_ok(scalar(() = $log =~ /are not taken up/g), '<=', 2, "$name: once for each file");
	is(scalar(grep { /damaged$/ } files()), scalar(() = $log =~ /are not taken up/g), "$name: it is kept aside");
	# As it was.
	$node->stop('immediate');
	unlink "$folder/$_" for files();
	append_to_file("$folder/$_", $saved{$_}) for keys %saved;
	$node->start;
	is(contents('a'), $all, "$name: with its files again");
}

# While the server is down; b was made after a.
sub state_of_b
{
	my @relids = sort { $b <=> $a } map { /^(\d+)\.state$/ ? $1 : () } files();
	return "$folder/$relids[0].state";
}

sub change_byte
{
	my ($file, $at) = @_;
	my $bytes = slurp_file($file);
	substr($bytes, $at, 1) = chr(ord(substr($bytes, $at, 1)) ^ 1);
	unlink $file;
	append_to_file($file, $bytes);
}

harmed('a bit of the state', sub { change_byte("$_[0].state", 700) }, qr/\.state" are not taken up: its checksum is wrong/, '');
harmed('a bit of a segment', sub { change_byte("$_[0].0", 300) }, qr/\.0" are not taken up: its checksum is wrong/, '');
harmed('a segment missing', sub { unlink "$_[0].0" }, qr/segments of it are missing/, '');
harmed('cut off', sub { truncate "$_[0].state", 500 }, qr/checksum is wrong|too short/, '');
harmed('empty', sub { truncate "$_[0].state", 0 }, qr/too short/, '');
harmed('of the future', sub { change_byte("$_[0].state", 4) }, qr/another version/, '');
harmed('no such file', sub { unlink "$_[0].state"; append_to_file("$_[0].state", 'x' x 5000) }, qr/no file of windows/, '');
harmed('of another view', sub { copy(state_of_b(), "$_[0].state") }, qr/another server/, '');

# ---------- views that are gone or changed ----------

my $path = path_of('a');
ok(-e "$path.state", 'a view has files');
query('DROP VIEW a');
wait_until(5, sub { !-e "$path.state" });
ok(!-e "$path.state", 'files of a dropped view vanish');
my ($relid) = $path =~ /(\d+)$/;
is(scalar(grep { /^$relid\./ } files()), 0, 'all of them');
query(<<'SQL');
CREATE VIEW a WITH (continuous, clock = 'data', lateness = '0', retain = '10 days') AS
  SELECT tumble(t, '1 min') AS time, k, count(*) AS n, sum(v) AS v FROM s GROUP BY 1, 2;
SQL

# Replaced after the last files were written, and a crash before the next.
query('CREATE OR REPLACE VIEW b WITH (continuous) AS SELECT k + 1 AS k, count(*) AS n, sum(v) AS v FROM s GROUP BY 1');
insert(1, 3);
$node->stop('immediate');
$node->start;
is(query('SELECT coalesce(sum(n), 0) FROM b'), 0, 'a view that was replaced does not take up what the older one has counted');

# ---------- a folder that cannot be written ----------

insert(600, 700);
$node->append_conf('postgresql.conf', "backstream.checkpoint_interval = '1s'\n");
chmod 0500, $folder;
$node->reload;
insert(701, 800);
wait_until(10, sub { query('SELECT failures > 0 FROM backstream.checkpoint') eq 't' });
my $root = $> == 0;
SKIP:
{
	skip 'may write anywhere', 3 if $root;
	like(query('SELECT last_error FROM backstream.checkpoint'), qr/Permission denied/, 'a folder that cannot be written: the error is shown');
	wait_until(10, sub { query('SELECT failures > 1 FROM backstream.checkpoint') eq 't' });
	is(scalar(() = slurp_file($node->logfile) =~ /could not be written to folder/g), 1, 'and logged once');
	is(query('SELECT sum(n) FROM a'), 201, 'and counting goes on');
}
chmod 0700, $folder;
my $failures = query('SELECT failures FROM backstream.checkpoint');
insert(801, 810);
wait_until(10, sub { slurp_file($node->logfile) =~ /can be written to folder .* again/ });
like(slurp_file($node->logfile), qr/can be written to folder .* again/, 'it goes on when it can');

# ---------- a copy, and a standby ----------

$node->stop;
$node->start;
my $whole = contents('a');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('faults_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
$standby->promote;
wait_until(10, sub { $standby->safe_psql('postgres', 'SELECT state FROM backstream.checkpoint') eq 'ready' });
is($standby->safe_psql('postgres', 'SELECT count(*) FROM a'), 0, "a promoted standby does not count what the primary's files say");
like(slurp_file($standby->logfile), qr/are not taken up: it belongs to another server, or to this one before it was restored or promoted/, 'and says so');
$standby->safe_psql('postgres', "INSERT INTO s VALUES ('2026-01-02', 1, 1)");
is($standby->safe_psql('postgres', 'SELECT n FROM b'), 1, 'it counts from nothing');
$standby->restart;
is($standby->safe_psql('postgres', 'SELECT n FROM b'), 1, 'and keeps what it has counted itself');
$standby->stop;
is(contents('a'), $whole, 'the primary has its own');

unlike(slurp_file($node->logfile), qr/PANIC:|TRAP:|signal 11|signal 6/, 'nothing crashed by itself');

done_testing();
