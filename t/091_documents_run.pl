# SPDX-License-Identifier: PostgreSQL
# Every command and query in README.md, CONTRIBUTING.md, bench/README.md and docs/*.md is run, here or by the test
# that is named here.  A block of code that this file does not know fails: SQL in ```sql is run as it is, a
# session of psql is run and compared, a drawing is known by its lines; commands are listed in %commands.
use strict;
use warnings;
use BackStreamMmdb;
use BackStreamTest;
use BackStreamTraffic;
use Cwd qw(getcwd);
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $source = $ENV{BACKSTREAM_SOURCE};
my $port = free_port();
my $node = backstream_node('documents', conf => "backstream.listen = '127.0.0.1:$port'\nbackstream.listen_for = '200ms'\n");
my %pops = map { $_ => backstream_node($_, conf => "backstream.database = 'flows'\n") } qw(rio sp);
my $work = PostgreSQL::Test::Utils::tempdir();

$_->start for $node, values %pops;

# ---------- commands ----------

# What runs a command elsewhere: a file of the source, and what it says.
my $check = [ 'scripts/check.sh', qr/^part_tap\(\) \{ scripts\/run-tap\.sh; \}$/m ];
my $packages = [ 'scripts/check-deb.sh', qr/make --no-print-directory deb/ ];
my $tree = [ 'scripts/server-tree.sh', qr/all\n.*\n\s*DESTDIR="\$tree" install/ ];
my $installcheck = [ 'test/tools/installcheck.sh', qr/make --no-print-directory .* installcheck/ ];
my $not_here = 'it takes minutes, installs packages, or changes the system';

# Indented blocks by their first line, up to two blanks: what runs them, why nothing does, or code that is given it.  One
# that is run with smaller numbers says which.
my %commands = (
	'apt-get install -y git make' => $not_here . ': .ci/run begins with make check, demo by hand',
	'build/release/bs-generate --seconds=30 --version=ipfix --rate=50000 --as-pairs=1000' =>
	  sub { tool(shift =~ s/--seconds=30/--count=20000/r); arrived(20000, 'traffic_matrix') },
	'scripts/deps.sh build' => $tree,
	'make deb' => $packages,
	"shared_preload_libraries = 'backstream'" => \&configuration,
	'psql -f "$(pg_config --sharedir)/extension/backstream_detectors.sql"' => \&shell,
	'psql -d postgres -v role=grafana -v schema=traffic -f grafana/grants.sql' => \&shell,
	"SELECT * FROM backstream.sync('backbone');" => \&sql,
	'psql -d postgres -f "$(pg_config --sharedir)/extension/backstream_detectors.sql"' => \&dashboard_role,
	'cp grafana/provisioning/datasources/backstream.yaml /etc/grafana/provisioning/datasources/' => \&copied,
	"CREATE USER MAPPING FOR grafana SERVER pop_rio OPTIONS (user 'grafana', password '...');" => \&sql,
	'cd grafana && npm ci && npm run check && npm run build' => [ 'test/tools/dashboards.sh', qr/npm ci .*tsc.*build\.js.*typed\.js/s ],
	'ALTER EXTENSION backstream UPDATE;' => \&sql,
	'bs-generate [OPTION]...' => sub { options_of('bs-generate') },
	'bs-replay [OPTION]... FILE...' => sub { options_of('bs-replay') },
	'bs-receive [OPTION]...' => sub { options_of('bs-receive') },
	'bs-generate --rate=300000 --exporters=200 --version=mix --keys=zipf:1.1 --seconds=30 --totals=t.json' =>
	  sub { !grep { !tool(s/--(?:seconds|count)=\d+\b/--count=5000/r) } split /\n/, shift },
	'bs-replay --port=2055 --map --verbose router.pcap' => sub { rename "$work/sample.pcap", "$work/router.pcap"; tool(shift) },
	'bs-receive --listen=127.0.0.1:2055 --seconds=10 --json' => sub { my $free = free_port(); tool(shift =~ s/:2055 --seconds=10/:$free --seconds=0.1/r) },
	'net.core.rmem_max = 33554432' => \&sysctls,
	'bytes of a group' =>
	  [ 't/092_sizing.pl', qr/windows in memory/ ],
	'records/s that a core takes = 1e9 / (ns per record of the load + ns of each view)' => 'arithmetic, of what make bench measures',
	'bytes = datagrams/s * (bytes of a datagram, rounded up by the kernel to some 2 kB) * seconds to bridge' =>
	  [ 't/092_sizing.pl', qr/bytes of a datagram/ ],
	'bytes per group = row + 8 * (2 to 4)' => [ 't/092_sizing.pl', qr/bytes per group/ ],
	'make check' => \&contributing,
	'scripts/run-tap.sh t/027_bursts_beside_nfdump.pl' => \&contributing,
	'make bench' => $not_here,
	'index' => 'arithmetic about the yardsticks',
	'build/release/yard_matrix --listen=127.0.0.1:30555 --nap-ms=1 &' => $not_here,
);

# What a document takes for granted; and what stands for what this machine does not have.
my %before = (
	'docs/operations.md' => q{CREATE VIEW matrix WITH (continuous) AS SELECT src_as, dst_as, sum(bytes) FROM backstream.flow GROUP BY 1, 2;
		CREATE VIEW traffic_matrix WITH (continuous) AS SELECT tumble(time_event, '1 min') AS time, src_as, dst_as, sum(bytes) FROM backstream.flow GROUP BY 1, 2, 3},
	'docs/outputs.md' => q{CREATE VIEW small_flows WITH (continuous) AS
		SELECT tumble(time_event, '1 min') AS time, src_addr, dst_addr, proto, dst_port, count(*) FROM backstream.flow GROUP BY 1, 2, 3, 4, 5;
		CREATE VIEW port_scan WITH (continuous) AS SELECT time, src_addr, count(DISTINCT dst_port) AS ports FROM small_flows GROUP BY 1, 2;
		CREATE VIEW load WITH (continuous) AS SELECT tumble(time_event, '1 min') AS time, sum(bytes) AS bytes FROM backstream.flow GROUP BY 1;
		CREATE SCHEMA history},
	'docs/remember.md' => q{CREATE SCHEMA inventory; CREATE TABLE inventory.interfaces (router inet, ifindex bigint, name text)},
	'docs/rights.md' => q{SELECT backstream.install_pack('overview', schema => 'traffic')},
	'docs/backbone.md' => q{CREATE SCHEMA IF NOT EXISTS backbone},
	'docs/grafana.md' => join('', map { my $pop = $pops{$_}; "CREATE SERVER pop_$_ FOREIGN DATA WRAPPER backstream
			OPTIONS (host '" . $pop->host . "', port '" . $pop->port . "', dbname 'flows'); CREATE USER MAPPING FOR CURRENT_USER SERVER pop_$_;" } sort keys %pops)
	  . q{CREATE SERVER backbone FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'pop_rio, pop_sp'); CREATE SCHEMA backbone;
		IMPORT FOREIGN SCHEMA backstream FROM SERVER backbone INTO backbone},
);
my @stands_for = (
	[ qr/host '(rio|sp)'/ => sub { "host '" . $pops{ $_[0] }->host . "', port '" . $pops{ $_[0] }->port . "'" } ],
	# Waiting for traffic.
	[ qr/(listen_for = )'[^']*'/ => sub { "$_[0]'200ms'" } ],
	[ qr/'\/var\/lib\/GeoIP\/(\S+?\.mmdb)'/ => sub { "'$work/$_[0]'" } ],
	# A document makes the schema that another one has.
	[ qr/^(CREATE SCHEMA) (backbone|inventory);$/m => sub { "$_[0] IF NOT EXISTS $_[1];" } ],
);

# ---------- blocks ----------

# Those of a document: fence (undef: indented), line, text.
sub blocks
{
	my ($file) = @_;
	my @lines = split /\n/, slurp_file("$source/$file");
	my @blocks;

	for (my $i = 0; $i < @lines; $i++)
	{
		if ($lines[$i] =~ /^\s*```(\w*)/)
		{
			my $block = { fence => $1, line => $i + 1, text => '' };
			$block->{text} .= "$lines[$i]\n" while defined $lines[ ++$i ] && $lines[$i] !~ /^\s*```/;
			push @blocks, $block;
		}
		elsif ($lines[$i] =~ /^ {4}\S/ && ($i == 0 || $lines[ $i - 1 ] =~ /^\s*$/))
		{
			my $block = { line => $i + 1, text => '' };
			for (; $i < @lines && $lines[$i] =~ /^ {4}|^\s*$/; $i++) { $block->{text} .= ($lines[$i] =~ s/^ {4}//r) . "\n" }
			push @blocks, $block;
			# The line that ended it may begin the next one.
			$i--;
		}
	}
	return @blocks;
}

my ($out, $err);
sub run_in
{
	my ($input, @command) = @_;
	my $here = getcwd();

	($out, $err) = ('', '');
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGDATABASE} = 'postgres';
	chdir $work or die;
	my $done = IPC::Run::run(\@command, '<', \$input, '>', \$out, '2>', \$err, IPC::Run::timeout(180));
	chdir $here;
	return $done;
}

# By psql, as a user would: errors end it.
sub sql
{
	my ($text) = @_;

	for my $rule (@stands_for)
	{
		my ($pattern, $by) = @$rule;
		$text =~ s/$pattern/$by->($1, $2)/ge;
	}
	return run_in($text, 'psql', '-X', '-v', 'ON_ERROR_STOP=1') && $err !~ /ERROR/;
}

sub shell { return run_in('', 'sh', '-eu', '-c', shift =~ s/grafana\/grants/$source\/grafana\/grants/r) }

# The role for dashboards, but for its password: psql asks for that at a terminal.
sub dashboard_role
{
	my $text = join '', map { "$_\n" } grep { !/\\password/ } split /\n/, shift =~ s/ grafana\/grants/ $source\/grafana\/grants/gr;

	return run_in('', 'sh', '-eu', '-c', $text);
}

# Files that are copied to where another program looks for them: they are there.
sub copied
{
	my @missing = grep { my @found = glob "$source/$_"; !@found || !-e $found[0] } map { /^cp (\S+) \// ? $1 : () } split /\n/, $_[0];

	return !@missing || diag("not there: @missing") && 0;
}

# One of bs-*, to the server here.
sub tool
{
	my ($line) = @_;
	my ($name, @arguments) = split ' ', $line =~ s/^build\/release\///r;

	push @arguments, "--target=127.0.0.1:$port" if $name eq 'bs-generate' && $line !~ /--pcap/;
	s/^--port=2055$/--port=$port/ for @arguments;
	return run_in('', "$ENV{BACKSTREAM_TOOLS}/$name", @arguments) || ($name eq 'bs-receive' && $? >> 8 == 3) || diag($err) && 0;
}

sub arrived
{
	my ($records, $view) = @_;

	return $node->poll_query_until('postgres', "SELECT sum(flows) = $records FROM $view");
}

# A session of psql: statements are what stands behind its prompts, the rest is what it answered.  Digits and
# widths may differ, and rows with them, unless nothing comes from traffic.
sub session
{
	my ($text, $exact) = @_;
	my ($statements, @expected) = ('');

	for my $line (split /\n/, $text)
	{
		if ($line =~ /^postgres[=-]# ?(.*)/) { $statements .= "$1\n" }
		else { push @expected, $line }
	}
	return 0 unless sql($statements);
	return 1 if $exact && $out eq join("\n", @expected, '') =~ s/(\(\d+ rows?\)\n)(?!\n)/$1\n/gr;
	my $shape = sub {
		my @kept;
		my $table = 0;

		for (@_)
		{
			my $line = s/\d+/N/gr =~ s/\s+/ /gr =~ s/^ | $//gr;
			if ($line =~ /^[-+]+$/) { $table = $kept[-1] !~ /QUERY PLAN/; next }
			$table = 0 if $line =~ /^\(N rows?\)/;
			push @kept, $line unless $table || $line eq '' || $line =~ /^\(N row/;
		}
		return join "\n", @kept;
	};
	my ($got, $want) = ($shape->(split /\n/, $out), $shape->(@expected));
	return $got eq $want || diag("got:\n$got\nexpected:\n$want") && 0;
}

# The tables of options in docs/tools.md, against --help; a page is the section of its command.
sub options_of
{
	my ($command) = @_;
	my ($section) = slurp_file("$source/docs/tools.md") =~ /^## $command: .*?\n(.*?)(?=^## )/ms;
	my ($help) = run_in('', "$ENV{BACKSTREAM_TOOLS}/$command", '--help') ? $out : '';
	my %help = map { $_ => 1 } $help =~ /^  (--[a-z-]+)/mg;
	my %told = map { $_ => 1 } $section =~ /`(--[a-z-]+)/g;

	delete $help{'--help'};
	delete $help{'--quiet'} unless $told{'--quiet'};
	return join(' ', sort keys %told) eq join(' ', sort keys %help) && %told > 5
	  || diag("$command: told: @{[sort keys %told]}; --help: @{[sort keys %help]}") && 0;
}

# Of the server's configuration: a server starts with it.
sub configuration
{
	my ($text) = @_;
	my $other = PostgreSQL::Test::Cluster->new('configured');

	$other->init;
	$text =~ s/\*:(\d+)/'*:' . free_port()/ge;
	$other->append_conf('postgresql.conf', $text);
	$other->start;
	my $got = $other->safe_psql('postgres', "CREATE EXTENSION backstream; SELECT string_agg(setting, ' ' ORDER BY name) FROM pg_settings
		WHERE name IN ('shared_preload_libraries', 'backstream.listen', 'backstream.allow')");
	my $open = $other->poll_query_until('postgres', "SELECT count(*) >= 2 AND bool_and(state = 'open') FROM backstream.listeners");
	$other->stop;
	return $open && $got eq join ' ', map { $text =~ /^$_ = '(.*)'/m } 'backstream.allow', 'backstream.listen', 'shared_preload_libraries';
}

# Settings of the kernel: root's.  That they are there is all that is looked at (a namespace hides some).
sub sysctls
{
	return !grep { /^([\w.]+) = \d+/ ? -d '/proc/sys/net/core' && !-e '/proc/sys/' . ($1 =~ s/\./\//gr) && -e '/proc/sys/net/core/rmem_max' : 1 }
	  grep { /\S/ } split /\n/, $_[0];
}

# The commands for those who change it: scripts are there, parts are those of check.sh, targets the Makefile's.
sub contributing
{
	my ($text) = @_;
	my $known = slurp_file("$source/scripts/check.sh");
	my $makefile = slurp_file("$source/Makefile");
	my @wrong;

	for my $line (split /\n/, $text)
	{
		my ($command, $comment) = split /\s+# /, $line;
		my @parts = ($command =~ /PARTS="([^"]*)"/ ? split(' ', $1) : (), ($comment // '') =~ /parts: (.*)/ ? split(' ', $1) : ());

		push @wrong, map { "part $_" } grep { $known !~ /^(?:table=")?\Q$_\E +\S.* part_\w+"?$/m } @parts;
		push @wrong, map { "script $_" } grep { !-e "$source/$_" && !/^test\/(stress|fuzz)/ } $command =~ /\b((?:scripts|t|test)\/[\w\/.-]+)/g;
		push @wrong, map { "target $_" } grep { !/^(unit|fuzzers)$/ && $makefile !~ /\b$_\b.*:|^\.PHONY:.*\b$_\b|EXTENSION_TARGETS = .*\b$_\b/m }
		  $command =~ /\bmake ([a-z-]+)/g;
	}
	return !@wrong || diag("@wrong") && 0;
}

# ---------- JSON ----------

# The keys of an object and what is in it.
sub keys_of
{
	my ($value) = @_;

	return ref $value eq 'HASH' ? join ',', map { $_ eq 'row' ? $_ : "$_" . (ref $value->{$_} ? '(' . keys_of($value->{$_}) . ')' : '') } sort keys %$value
	  : ref $value eq 'ARRAY' ? keys_of($value->[0]) : '';
}
my %json = (
	'docs/outputs.md' => sub {
		my @told = map { decode_json($_) } split /\n/, shift;
		# One row and a summary of four.
		$node->safe_psql('postgres', q{CREATE FOREIGN TABLE s (t timestamptz, a int) SERVER backstream;
			CREATE VIEW told WITH (continuous, clock = 'data', lateness = '0', notify = 'told', notify_limit = 1) AS
			  SELECT tumble(t, '1 min') AS time, a, count(*) FROM s GROUP BY 1, 2});
		run_in(q{LISTEN told;
			INSERT INTO s SELECT timestamptz '2026-01-01 12:00Z' + interval '1 min' * (i / 4), i FROM generate_series(0, 4) i;
			SELECT backstream.settle('60 s');
			SELECT backstream.settle('60 s');}, 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1') or return 0;
		my @got = map { decode_json($_) } $out =~ /payload "(.*)" received/g;
		return is(join('; ', map { keys_of($_) } @got), join('; ', map { keys_of($_) } @told), 'notifications look as docs/outputs.md says');
	},
	'docs/sketches.md' => sub {
		my $got = decode_json($node->safe_psql('postgres', "SELECT backstream.approx_top_k(i % 3, 10) FROM generate_series(1, 10) i"));
		my $told = decode_json(shift =~ s/, \.\.\.//r);
		return is(keys_of($got), keys_of($told), 'approx_top_k looks as docs/sketches.md says');
	},
);

# ---------- what commands need ----------

sub write_file
{
	my ($name, $bytes) = @_;
	open my $file, '>:raw', "$work/$name" or die "$work/$name: $!";
	print $file $bytes;
	close $file;
}
my @geo = (
	[ '10.0.0.0/8', [ map => { country => [ map => { iso_code => [ utf8 => 'BR' ] } ],
				autonomous_system_number => [ uint32 => 64500 ], autonomous_system_organization => [ utf8 => 'Example' ] } ] ]);
write_file("GeoLite2-$_.mmdb", mmdb(networks => \@geo)) for qw(Country ASN);
my $heading = "network,autonomous_system_number,autonomous_system_organization\n";
write_file('GeoLite2-ASN-Blocks-IPv4.csv', "${heading}10.0.0.0/8,64500,Example\n");
write_file('GeoLite2-ASN-Blocks-IPv6.csv', "${heading}2001:db8::/32,64501,Example 6\n");
for my $pop (values %pops)
{
	$pop->safe_psql('postgres', 'CREATE DATABASE flows');
	$pop->safe_psql('postgres', 'CREATE ROLE reader SUPERUSER LOGIN');
	$pop->safe_psql('flows', 'CREATE EXTENSION backstream; CREATE SCHEMA inventory; CREATE FUNCTION inventory.enters(inet, bigint) RETURNS boolean LANGUAGE sql STABLE AS $$SELECT true$$;'
		. "SELECT backstream.remember('inventory.enters(inet,bigint)', '1 min')");
}

# ---------- all of it ----------

my (%used, $blocks);
my $traffic = q{INSERT INTO backstream.flow (time_event, time_flow_start, time_flow_end, time_received, exporter, in_if, bytes, packets, src_addr, dst_addr,
		src_as, dst_as, proto, src_port, dst_port, sampling_rate)
	SELECT now(), now() - interval '5 s', now(), now(), '192.0.2.1', 1, 1000 * i, 1, ('10.0.0.' || i)::inet, '2001:db8::1', 64500, 64501, 17, 50000, 53, 100
	  FROM generate_series(1, 20) i};

# A server as after CREATE EXTENSION, with what the document takes for granted.
sub prepare
{
	my ($document, @blocks) = @_;

	$node->safe_psql('postgres', 'DROP EXTENSION IF EXISTS backstream CASCADE');
	$node->safe_psql('postgres', "DROP SCHEMA IF EXISTS $_ CASCADE") for qw(public inventory customer detectors traffic history backbone);
	$node->safe_psql('postgres', 'CREATE SCHEMA public');
	# README.md begins with it.
	$node->safe_psql('postgres', 'CREATE EXTENSION backstream') unless $document eq 'README.md';
	if (grep { $_->{text} =~ /host 'rio'/ } @blocks)
	{
		$_->safe_psql('flows', 'DROP EXTENSION IF EXISTS backstream CASCADE; DROP SCHEMA IF EXISTS backbone CASCADE; CREATE EXTENSION backstream')
		  for values %pops;
	}
	$node->safe_psql('postgres', $before{$document}) if $before{$document};
}

chdir $source or die;
my @documents = ('README.md', 'CONTRIBUTING.md', 'bench/README.md', sort glob 'docs/*.md');
chdir $work or die;
for my $document (@documents)
{
	my @blocks = blocks($document);

	next unless @blocks;
	prepare($document, @blocks) if grep { ($_->{fence} // '') ne '' || $_->{text} =~ /^postgres=#|^SELECT|^ALTER|^psql|^bs-/ } @blocks;
	for my $block (@blocks)
	{
		my ($fence, $text, $what) = ($block->{fence}, $block->{text}, "$document:$block->{line}");
		my ($first) = split /\n/, $text;

		$blocks++;
		if (!defined $fence)
		{
			my $by = $commands{ $first =~ s/ {2,}.*//r };

			$used{ $first =~ s/ {2,}.*//r } = 1;
			if (!defined $by) { fail("$what: no test runs: $first") }
			elsif (ref $by eq 'CODE') { ok($by->($text), "$what: $first") or diag($err) }
			elsif (ref $by) { like(slurp_file("$source/$by->[0]"), $by->[1], "$what: $by->[0] runs: $first") }
			else { cmp_ok(length $by, '>', 10, "$what: not run: $by") }
		}
		elsif ($fence eq 'sql')
		{
			ok(sql($text), "$what: $first") or diag($err);
			$node->safe_psql('postgres', $traffic);
		}
		elsif ($fence eq 'json') { ok($json{$document} && $json{$document}->($text), "$what: $first") }
		elsif ($fence eq 'text') { like($text, qr/<.*>/, "$what: a form with places to fill: $first") }
		elsif ($text =~ /^postgres=# /) { ok(session($text, $text =~ /INSERT INTO/), "$what: $first") or diag($out, $err) }
		# Anything else in a fence without a language is a drawing.
		else { like($text, qr/[│┌──▶]|\+---+\+|^ +-+$/, "$what: a drawing") }
	}
	is($node->safe_psql('postgres', "SELECT view || ': ' || state || ' ' || coalesce(last_error, '') FROM backstream.views WHERE state NOT IN ('active', 'not counted', 'on nodes') OR errors > 0"),
		'', "$document: no view of it fails");
}
cmp_ok($blocks, '>=', 60, 'there are blocks');
is(join("\n", grep { !$used{$_} } sort keys %commands), '', 'none is listed here that is in no document');

$_->stop for $node, values %pops;
done_testing();
