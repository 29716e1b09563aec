# SPDX-License-Identifier: PostgreSQL
# What one sees in psql: the short-cuts of docs/psqlrc over live records, \d, \det+ and \dew+, and the views of the
# system in a terminal of 120 columns.
use strict;
use warnings;
use BackStreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = backstream_node('psql');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION backstream;
CREATE ROLE grafana;
SELECT backstream.install_pack('overview', schema => 'my traffic');
INSERT INTO backstream.flow (time_event, exporter, bytes, packets, src_addr, dst_addr, proto, src_port, dst_port, src_as, dst_as)
SELECT now(), '192.0.2.1', 1500000, 1000, ('10.0.0.' || i % 2)::inet, '2001:db8::1', 6, 50000 + i, 443, 64500, 64501 FROM generate_series(1, 10) i;
SQL

# The output of psql, as a user has it.
sub psql
{
	my ($input, @options) = @_;
	my ($out, $err);

	IPC::Run::run([ 'psql', '-X', '-d', $node->connstr('postgres'), @options ], '<', \$input, '>', \$out, '2>', \$err);
	return $out . $err;
}

my $rc = "\\set traffic '\"my traffic\"'\n\\i $ENV{BACKSTREAM_SOURCE}/docs/psqlrc\n";
my %shows = (
	top => qr/2001:db8::1\s+\| 400 kbit\/s\s+\| 0 B\s+\| 15\.0 MB\s+\| +10\n.*10\.0\.0\.0\s+\| 200 kbit\/s\s+\| 7\.50 MB\s+\| 0 B/s,
	services => qr/6 \|\s+443 \| 400 kbit\/s \| 33\.3 p\/s \| +10/,
	pairs => qr/64500 \|\s+64501 \| 400 kbit\/s \| 33\.3 p\/s/,
	load => qr/12\.0 Mbit\/s \| 1\.00 kp\/s \| +1\.0/,
	views => qr/"my traffic"\.load\s+\| active\s+\| +10 \| +0 \| +0 \| +0 \| +1 \| +1 \| [\d.]+ k?B/,
	exporters => qr/exporter \| name \| flow_type \| records/,
	listeners => qr/address \| worker \| state/,
	health => qr/subject \| state \| count \| meaning \| see/,
	streams => qr/backstream\.flow\b.*?\bstream\b.*?Flow records.*"my traffic"\.services\b.*?\bview\b.*?lower port/s,
);
for my $name (sort keys %shows)
{
	my $out = psql("$rc:$name\n");
	like($out, $shows{$name}, ":$name");
	unlike($out, qr/ERROR|invalid/, ":$name fails in nothing");
}

# Something is wrong: it is said, and by which view.
my $health = 'SELECT state, count, see FROM backstream.health WHERE subject';
is($node->safe_psql('postgres', "$health = 'other records'"), 'ok|0|views', 'all is well');
$node->safe_psql('postgres', 'INSERT INTO backstream.flow (time_event, bytes) VALUES (now() + interval \'1 year\', 1)');
my $views = $node->safe_psql('postgres', 'SELECT count(*) FROM backstream.views');
is($node->safe_psql('postgres', "$health = 'other records'"), "lossy|$views|views", "a record in the future, of $views views");
like(psql("$rc:health\n"), qr/other records \| lossy +\| +$views \| future, untimed, failed or skipped \| views/, ':health shows it');

# Describing.
like(psql('\dew+ backstream'), qr/backstream\s*\|.*bs_fdw_handler|Streams and continuous views\./, '\dew+');
like(psql('\dew+ backstream'), qr/Streams and continuous views\./, '\dew+ has a description');
like(psql('\des+ backstream'), qr/This server\./, '\des+');
like(psql('\det+ "my traffic".*'), qr/matrix_as .*Traffic between autonomous systems/, '\det+');
my $described = psql('\d "my traffic".protocols');
like($described, qr/^ proto +\| smallint/m, '\d has the columns');
like($described, qr/^Server: backstream$/m, 'the server');
like($described, qr/query '\s*SELECT .*tumble\(.*retain '6 hours'/s, 'the query and the settings');

$node->safe_psql('postgres', q{
	CREATE TABLE sites (network cidr, pop text);
	INSERT INTO sites VALUES ('10.0.0.0/8', 'rio');
	SELECT backstream.create_prefix_map('site', 'sites', 'network', 'pop');
	SELECT backstream.refresh_prefix_map('site');
	CREATE VIEW quoted WITH (continuous, notify = 'found') AS
	  SELECT tumble(time_event, '1 s') AS time, count(*) FILTER (WHERE exporter::text <> E'it''s\\ntwo') AS n FROM backstream.flow GROUP BY 1});
like($node->safe_psql('postgres', "SELECT query FROM backstream.views WHERE view = 'quoted'::regclass"), qr/^SELECT [^\n]* 'it''s\ntwo'::text[^\n]*$/,
	'a query is a line, but for line ends in its strings');
$node->safe_psql('postgres', 'DROP VIEW quoted');

# In 120 columns: narrow views as they are, of wide ones what identifies a row and what is wrong.
my %first = (
	checkpoint => [ 'state', 'last_written', 'failures', 'last_error' ],
	nodes => [ 'node', 'state', 'problem', 'last_contact' ],
	outputs => [ 'view', 'output', 'target', 'rows_failed', 'windows_missed' ],
	prefix_maps => [ 'map', 'state', 'prefixes', 'relation', 'last_error' ],
	receivers => [ 'worker', 'pid', 'datagrams', 'not_export', 'exporters_refused' ],
	remembered_functions => [ 'function', 'time' ],
	tails => [ 'pid', 'stream', 'records', 'dropped' ],
	view_exporters => [ 'view', 'exporter', 'state', 'windows_held', 'largest_lateness' ],
	memory => [ 'total', 'used', 'failures' ],
	health => [ 'subject', 'see' ],
	forwards => [ 'target', 'state', 'dropped', 'looped' ],
	listeners => [ 'address', 'state', 'kernel_drops', 'rejected' ],
	exporters => [ 'exporter', 'flow_type', 'records_lost', 'datagrams_lost', 'unknown_template' ],
	views => [ 'view', 'state', 'late', 'overflowed', 'errors', 'groups', 'memory_bytes' ],
);
is(join(' ', sort keys %first),
	$node->safe_psql('postgres', q{SELECT string_agg(relname, ' ' ORDER BY relname COLLATE "C") FROM pg_class WHERE relkind = 'v' AND relnamespace = 'backstream'::regnamespace}),
	'all views are looked at');
for my $view (sort keys %first)
{
	my ($header, $line, @rows) = split /\n/, psql("SELECT * FROM backstream.$view");
	my $number = $node->safe_psql('postgres', "SELECT count(*) FROM backstream.$view");

	is(scalar @rows, $number + 1, "backstream.$view has a line for each row") or diag("@rows");
	my @shown = map { s/^\s+|\s+$//gr } split /\|/, substr($header, 0, 120);
	my @missing = grep { my $column = $_; !grep { $_ eq $column } @shown } @{ $first{$view} };
	is("@missing", '', "backstream.$view shows @{$first{$view}} in 120 columns") or diag($header);
}

# Numbers for people.
is($node->safe_psql('postgres', q{
	SELECT string_agg(backstream.pretty_bps(v), ', ') FROM unnest(ARRAY[0, 1, 999, 999.5, 1000, 1838400, 99949, 99950,
		999499, 999500, -2500000, 0.25, 1e30, 'NaN', 'Infinity']::float8[]) v}),
	'0 bit/s, 1 bit/s, 999 bit/s, 1.00 kbit/s, 1.00 kbit/s, 1.84 Mbit/s, 99.9 kbit/s, 100 kbit/s, 999 kbit/s, 1.00 Mbit/s, '
	  . '-2.50 Mbit/s, 0.25 bit/s, 1000000 Ybit/s, NaN bit/s, Infinity bit/s', 'rates');
is($node->safe_psql('postgres', 'SELECT backstream.pretty_bytes(1500000000::bigint), backstream.pretty_pps(2298::numeric), backstream.pretty_bps(NULL) IS NULL'),
	'1.50 GB|2.30 kp/s|t', 'of any kind of number');
$node->stop;

done_testing();
