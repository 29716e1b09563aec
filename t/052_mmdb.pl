# SPDX-License-Identifier: PostgreSQL
# Prefix maps of files of the MaxMind DB format: look-ups against libmaxminddb's own mmdblookup, in SQL and in
# views; files that are exchanged, damaged, cut short, gone; rights; a dump.
use strict;
use warnings;
use BackStreamMmdb;
use BackStreamTest;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = backstream_node('first', conf => "backstream.memory = '64MB'\n");
$node->start;
my $dir = $node->basedir;

sub sql { return $node->safe_psql('postgres', shift) }

sub error_of
{
	my ($status, $out, $err) = $node->psql('postgres', $_[0]);
	return $err;
}

# In place of what is there, as a whole.
sub replace_file
{
	my ($path, $bytes) = @_;
	open my $file, '>:raw', "$path.new" or die "$path.new: $!";
	print $file $bytes;
	close $file;
	rename "$path.new", $path or die "$path: $!";
}

srand 20261123;
sub pick { return $_[ int rand @_ ] }
sub v4 { return join '.', map { int rand 256 } 1 .. 4 }
sub v6 { return join ':', '2' . sprintf('%03x', int rand 16) , map { sprintf '%x', int rand 65536 } 1 .. 7 }

# Few first bytes, so that networks lie in one another.
sub network4 { return pick(10, 100, 203) . '.' . join('.', map { int rand 256 } 1 .. 3) . '/' . (8 + int rand 25) }
sub network6 { return pick('2a00:', '2a01:5:', '2400:') . join(':', map { sprintf '%x', int rand 4 } 1 .. 5) . '::/' . (16 + int rand 64) }

sub data
{
	my ($i) = @_;
	my %data;

	$data{country} = [ map => { iso_code => [ utf8 => pick(qw(BR US DE JP)) ], names => [ map => { en => [ utf8 => "Pa\x{ed}s $i" ] } ] } ] if $i % 9;
	$data{autonomous_system_number} = [ pick(qw(uint32 uint16 uint64)) => int rand 60000 ] if $i % 7;
	$data{location} = [ map => { latitude => [ double => int(rand 180000) / 1000 - 90 ], radius => [ float => 0.5 ] } ];
	$data{subdivisions} = [ array => [ map { [ map => { iso_code => [ utf8 => "S$_" ] } ] } 0 .. $i % 3 ] ] if $i % 5;
	$data{anonymous} = [ boolean => $i % 2 ];
	$data{large} = $i % 4 ? [ int32 => -$i ] : [ uint128 => "\x7f" . "\xff" x 15 ];
	$data{odd} = $i % 6 ? [ utf8 => "x$i" ] : [ uint32 => $i ];
	$data{raw} = [ bytes => "\x00\xff$i" ];
	return [ map => \%data ];
}
my @networks = ((map { [ network4(), data($_) ] } 1 .. 600), (map { [ network6(), data(1000 + $_) ] } 1 .. 300));
my $geo = "$dir/geo.mmdb";
replace_file($geo, mmdb(networks => \@networks, aliases => 1));

sql('CREATE EXTENSION backstream');
my @paths = ('country.iso_code', 'country.names.en', 'autonomous_system_number', 'location.latitude', 'subdivisions.1.iso_code',
	'anonymous', 'large', 'odd');
my $labels = "'{" . join(',', @paths[ 1 .. $#paths ]) . "}'";
sql("SELECT backstream.create_prefix_map_from_file('geo', '$geo', '$paths[0]', $labels)");
sql("SELECT backstream.refresh_prefix_map('geo')");
is(sql("SELECT state, relation IS NULL, file = '$geo', table_rows = prefixes, prefixes > 800, duplicates, last_error IS NULL FROM backstream.prefix_maps"),
	'built|t|t|t|t|0|t', 'a map of a file');

# ---------- against mmdblookup ----------
sub ask_library
{
	my ($file, $address, $path) = @_;
	my ($out, $err);

	IPC::Run::run([ 'mmdblookup', '--file', $file, '--ip', $address, split /\./, $path ], '>', \$out, '2>', \$err);
	return '' if $out !~ /^\s*(.*?)\s*<\w+>\s*$/m;
	my $value = $1;
	$value =~ s/^"(.*)"$/$1/;
	return $value;
}

sub ask_us
{
	my ($map, $pairs) = @_;
	return split /\n/, sql("SELECT coalesce(backstream.prefix_lookup('$map', a::inet, p), '') FROM (VALUES "
		  . join(', ', map { "($_->[0], '$_->[1]', '$_->[2]')" } map { [ $_, @{ $pairs->[$_] } ] } 0 .. $#$pairs) . ') v(n, a, p) ORDER BY n'), -1;
}

sub address
{
	my $kind = int rand 8;
	my ($network) = split m{/}, $networks[ int rand @networks ][0];
	my $four = pick(grep { !/:/ } map { (split m{/}, $_->[0])[0] } @networks[ 0 .. 599 ]);
	my @hex = map { sprintf '%02x', $_ } split /\./, $four;

	return $network if $kind < 3;
	return v4() if $kind == 3;
	return v6() if $kind == 4;
	return "::ffff:$four" if $kind == 5;
	return "2002:$hex[0]$hex[1]:$hex[2]$hex[3]::1" if $kind == 6;
	return pick("2001:0:$hex[0]$hex[1]:$hex[2]$hex[3]::9", "::$four");
}
# 128 bits are shown as hexadecimal by mmdblookup, floats with six digits.
my @pairs = map { [ address(), pick(grep { !/large|latitude/ } @paths) ] } 1 .. 200;
my @library = map { ask_library($geo, @$_) } @pairs;
my @ours = ask_us('geo', \@pairs);
is(join("\n", map { "@{ $pairs[$_] }: $ours[$_], not $library[$_]" } grep { $ours[$_] ne $library[$_] } 0 .. $#pairs), '',
	'200 look-ups as by libmaxminddb');
cmp_ok(scalar(grep { $_ ne '' } @library), '>', 80, 'many of them found something');
for my $version (4, 6)
{
	for my $size (24, 28, 32)
	{
		my $file = "$dir/v$version-$size.mmdb";
		my @some = grep { $version == 6 || $_->[0] !~ /:/ } @networks[ 500 .. 699 ];

		replace_file($file, mmdb(version => $version, record_size => $size, networks => \@some));
		sql("SELECT backstream.create_prefix_map_from_file('other', '$file', labels => '{country.iso_code,odd}')");
		sql("SELECT backstream.refresh_prefix_map('other')");
		my @asked = map { [ (split m{/}, pick(@some)->[0])[0], pick('country.iso_code', 'odd') ] } 1 .. 25;
		is(join("\n", ask_us('other', \@asked)), join("\n", map { ask_library($file, @$_) } @asked), "IPv$version, records of $size bits");
		# without aliases these are other addresses
		is(sql("SELECT backstream.prefix_lookup('other', '::ffff:203.1.2.3', 'odd') IS NULL"), 't', 'no alias');
		sql("SELECT backstream.drop_prefix_map('other')");
	}
}

# ---------- types, aliases, the prefix itself ----------
my $small = "$dir/small.mmdb";
sub small
{
	my ($name) = @_;
	return mmdb(aliases => 1, networks => [
		[ '192.0.2.0/24', [ map => { name => [ utf8 => $name ], n => [ uint32 => 7 ], big => [ uint128 => "\xff" x 16 ], lat => [ double => 12.3456789012345 ],
			f => [ float => 0.1 ], raw => [ bytes => "\x00\xfe" ], list => [ array => [ [ uint16 => 1 ] ] ] } ] ],
		[ '198.51.100.0/31', [ map => { name => [ utf8 => "$name host" ], n => [ int32 => -5 ], big => [ uint64 => 3 ] } ] ],
		[ '2001:db8::/32', [ map => { name => [ utf8 => "\x{65e5}\x{672c}" ] } ] ] ]);
}
replace_file($small, small('one'));
sql("SELECT backstream.create_prefix_map_from_file('small', '$small', 'name', '{n,big,lat,f,raw,list.0}', public => true)");
sql("SELECT backstream.refresh_prefix_map('small')");
is(sql(q{SELECT backstream.prefix_lookup('small', a), backstream.prefix_lookup_bigint('small', a, 'n'), backstream.prefix_lookup('small', a, 'big'),
		backstream.prefix_lookup('small', a, 'lat'), backstream.prefix_lookup('small', a, 'f'), backstream.prefix_lookup('small', a, 'raw'),
		backstream.prefix_lookup_bigint('small', a, 'list.0'), backstream.prefix_lookup_inet('small', a)
	FROM unnest('{192.0.2.77,198.51.100.1,198.51.100.2,2001:db8:1::,::ffff:192.0.2.77,2002:c000:24d:5::,2001:0:c000:24d:6::,::198.51.100.1,::fffe:192.0.2.77,2003::}'::inet[]) a}),
	join("\n", 'one|7|340282366920938463463374607431768211455|12.3456789012345|0.1|\x00fe|1|192.0.2.0/24', 'one host|-5|3|||||198.51.100.0/31',
		'|||||||', "\xe6\x97\xa5\xe6\x9c\xac|||||||2001:db8::/32", 'one|7|340282366920938463463374607431768211455|12.3456789012345|0.1|\x00fe|1|::ffff:192.0.2.0/120',
		'one|7|340282366920938463463374607431768211455|12.3456789012345|0.1|\x00fe|1|2002:c000:200::/40', 'one|7|340282366920938463463374607431768211455|12.3456789012345|0.1|\x00fe|1|2001:0:c000:200::/56',
		'one host|-5|3|||||::198.51.100.0/127', '|||||||', '|||||||'), 'types, aliases, prefixes');
like(error_of("SELECT backstream.prefix_lookup_bigint('small', '192.0.2.1', 'big')"), qr/is not a number/, 'what does not fit in bigint makes it text');

# ---------- in views ----------
sql(<<'SQL');
CREATE FOREIGN TABLE s (a inet) SERVER backstream;
CREATE TABLE r (LIKE s);
CREATE VIEW by_country WITH (continuous) AS
  SELECT prefix_lookup('geo', a) AS country, prefix_lookup_bigint('geo', a, 'autonomous_system_number') AS asn,
    prefix_lookup('geo', a, 'location.latitude') AS latitude, prefix_lookup_inet('geo', a) AS network, count(*) FROM s GROUP BY 1, 2, 3, 4;
CREATE VIEW by_name WITH (continuous) AS SELECT prefix_lookup('small', a) AS name, count(*) FROM s GROUP BY 1;
SQL
sql('INSERT INTO r VALUES ' . join(', ', map { "('" . address() . "')" } 1 .. 2000));
sql('INSERT INTO s TABLE r');
is(sql(q{SELECT count(*) FROM (TABLE by_country EXCEPT ALL SELECT backstream.prefix_lookup('geo', a), backstream.prefix_lookup_bigint('geo', a, 'autonomous_system_number'),
	backstream.prefix_lookup('geo', a, 'location.latitude'), backstream.prefix_lookup_inet('geo', a), count(*) FROM r GROUP BY 1, 2, 3, 4) d}), 0, 'a view is the SELECT');
is(sql("SELECT sum(count) FROM by_country"), 2000, 'all records are in it');
is(sql("SELECT count(*) FROM backstream.explain('SELECT prefix_lookup(''geo'', a), count(*) FROM s GROUP BY 1') WHERE part IN ('key', 'aggregate') AND evaluated <> 'native'"), 0, 'natively');

# ---------- the file changes ----------
my $keeper = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'backstream keeper'");
my $name = "SELECT backstream.prefix_lookup('small', '192.0.2.1')";
replace_file($small, small('two'));
my $started = time;
ok($node->poll_query_until('postgres', "SELECT backstream.prefix_lookup('small', '192.0.2.1') = 'two'"), 'it is followed');
cmp_ok(time - $started, '<', 5, 'soon');
sql("INSERT INTO s VALUES ('192.0.2.1')");
is(sql("SELECT count FROM by_name WHERE name = 'two'"), 1, 'by views too');

# without a gap
my ($out, $err) = ('', '');
my $looking = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', <<'SQL' ], '>', \$out, '2>', \$err);
DO $$ DECLARE name text; BEGIN
	FOR i IN 1 .. 1000000 LOOP
		name := backstream.prefix_lookup('small', '192.0.2.1');
		IF name IS NULL THEN RAISE EXCEPTION 'gap'; END IF;
		EXIT WHEN name = 'end';
	END LOOP; END $$
SQL
for my $i (1 .. 15)
{
	replace_file($small, small("turn $i"));
	sql("SELECT backstream.refresh_prefix_map('small')");
	is(sql($name), "turn $i", 'asked for') if $i == 15;
}
replace_file($small, small('end'));
sql("SELECT backstream.refresh_prefix_map('small')");
$looking->finish;
is($err, '', 'without a gap');

# ---------- damage ----------
my $state = "SELECT state FROM backstream.prefix_maps WHERE map = 'small'";
my $bytes = small('damaged');
my $refresh = "SELECT backstream.refresh_prefix_map('small')";
replace_file($small, substr $bytes, 0, length($bytes) / 2);
like(error_of($refresh), qr/could not be built: could not open file .*small\.mmdb/, 'cut in half');
is(sql($state), 'outdated', 'the map stays');
is(sql($name), 'end', 'in force');
replace_file($small, '');
like(error_of($refresh), qr/could not be built/, 'empty');
unlink $small;
like(error_of($refresh), qr/No such file or directory/, 'gone');
mkdir $small;
like(error_of($refresh), qr/not a regular file/, 'a directory');
rmdir $small;
(my $wrong = $bytes) =~ s/damaged host/damaged h\xff\xfe\xfd/;
replace_file($small, $wrong);
like(error_of($refresh), qr/invalid byte sequence/, 'a text that is none');
# a node that is its own child
(my $circle = $bytes) =~ s/^......./\0\0\0\0\0\0\0/s;
replace_file($small, $circle);
like(error_of($refresh), qr/search tree is damaged/, 'a circle');
is(sql($name), 'end', 'still in force');
replace_file($small, small('mended'));
ok($node->poll_query_until('postgres', "SELECT backstream.prefix_lookup('small', '192.0.2.1') = 'mended'"), 'mended: built again without being asked');
is(sql($state), 'built', 'and says so');
# any byte may be wrong; whatever comes out of it, the keeper lives
my ($errors, $built) = (0, 0);
for my $i (1 .. 80)
{
	my $broken = $bytes;
	substr($broken, int rand length $broken, 1) = chr int rand 256 for 1 .. 1 + $i % 2;
	replace_file($small, $broken);
	error_of($refresh) ne '' ? $errors++ : $built++;
}
cmp_ok($errors, '>', 5, 'of 80 damaged files some cannot be read');
cmp_ok($built, '>', 2, 'and some can');
# written in place, and cut short while it is read
for my $i (1 .. 20)
{
	open my $file, '>:raw', $small or die;
	print $file substr($bytes, 0, 200);
	$file->flush;
	usleep(int rand 5000);
	truncate $file, 50;
	seek $file, 0, 0;
	print $file $bytes;
	close $file;
	error_of($refresh);
}
is(error_of($refresh), '', 'what stands there in the end is read');
is(sql($name), 'damaged', 'as it is');
is(sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'backstream keeper'"), $keeper, 'by the same keeper');
is(sql("SELECT sum(errors) FROM backstream.views"), 0, 'no view has missed it');

# ---------- refused ----------
sub create { return error_of("SELECT backstream.create_prefix_map_from_file($_[0])") }
like(create("'x', '$dir/nosuch.mmdb', 'a'"), qr/No such file/, 'no file');
like(create("'x', 'small.mmdb', 'a'"), qr/not an absolute path/, 'no path');
like(create("'small', '$small', 'name'"), qr/already exists/, 'a name that is taken');
like(create("'x', '$small', 'name', '{name}'"), qr/named twice/, 'twice');
like(create("'x', '" . $node->data_dir . "/PG_VERSION', 'a'"), qr/could not open file/, 'another file');
like(create("'x', NULL, 'a'"), qr/cannot be NULL/, 'NULL');
sql("SELECT backstream.create_prefix_map_from_file('typo', '$small', 'nmae')");
like(error_of("SELECT backstream.refresh_prefix_map('typo')"), qr/no network of file .* has "nmae"/, 'a label that is nowhere');
sql("SELECT backstream.drop_prefix_map('typo')");
sql("SELECT backstream.create_prefix_map_from_file('typo', '$geo', 'country')");
like(error_of("SELECT backstream.refresh_prefix_map('typo')"), qr/"country" is no value but a map/, 'a label that is a map');
sql("SELECT backstream.drop_prefix_map('typo')");

# ---------- rights ----------
sql('CREATE ROLE reader; CREATE ROLE other; GRANT USAGE ON FOREIGN SERVER backstream TO reader');
my $as = "SET ROLE reader; SELECT backstream.create_prefix_map_from_file('theirs', '$small', 'name')";
like(error_of($as), qr/may not read files of the server/, 'not everybody');
sql('GRANT pg_read_server_files TO reader');
is(error_of($as), '', 'members of pg_read_server_files');
sql("SET ROLE reader; SELECT backstream.refresh_prefix_map('theirs')");
is(sql("SET ROLE reader; SELECT backstream.prefix_lookup('theirs', '192.0.2.1')"), 'damaged', 'look up');
like(error_of("SET ROLE other; SELECT backstream.prefix_lookup('theirs', '192.0.2.1')"), qr/permission denied/, 'others do not');
is(sql("SET ROLE other; SELECT backstream.prefix_lookup('small', '192.0.2.1')"), 'damaged', 'but in public ones');
sql('REVOKE pg_read_server_files FROM reader');
replace_file($small, small('revoked'));
like(error_of("SELECT backstream.refresh_prefix_map('theirs')"), qr/may not read files/, 'the right is asked for each time');
is(sql("SELECT state FROM backstream.prefix_maps WHERE map = 'theirs'"), 'outdated', 'the map stays');

# ---------- a restart, a dump ----------
sql("SELECT backstream.drop_prefix_map('theirs'); DROP OWNED BY reader");
$node->restart;
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM backstream.prefix_maps WHERE state = 'built'"), 'built when the server starts');
my $second = backstream_node('second');
$second->start;
$node->command_ok([ 'pg_dump', '-f', "$dir/dump.sql", '-d', $node->connstr('postgres') ], 'pg_dump');
$second->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/dump.sql", '-d', $second->connstr('postgres') ], 'restored');
ok($second->poll_query_until('postgres', "SELECT count(*) = 2 FROM backstream.prefix_maps WHERE state = 'built'"), 'the maps are built there');
is($second->safe_psql('postgres', $name), 'revoked', 'and found');

$node->stop;
$second->stop;
done_testing();
