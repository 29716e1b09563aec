# SPDX-License-Identifier: PostgreSQL
# Live traffic for the TAP tests: the generator and the replayer against a server's loopback ports.
package BackStreamTraffic;

use strict;
use warnings;
use Exporter 'import';
use IO::Socket::IP;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Socket qw(SOCK_DGRAM);
use Time::HiRes qw(time usleep);

our @EXPORT = qw(free_port generate start_generate finish_generate sent received_all wait_until
  differences backend_of send_datagram decode_statement);

my $made = 0;
my $dir;

# A UDP port that nobody has, below those that the kernel deals out by itself.
sub free_port
{
	for (1 .. 1000)
	{
		my $port = 20000 + int rand 10000;
		my $v4 = IO::Socket::IP->new(LocalHost => '0.0.0.0', LocalPort => $port, Type => SOCK_DGRAM);
		my $v6 = IO::Socket::IP->new(LocalHost => '::', LocalPort => $port, Type => SOCK_DGRAM, V6Only => 1);

		return $port if $v4 && $v6;
	}
	die 'no free UDP port';
}

# Start the generator: options by name, with _ for -; without a value where that is undefined.  It ends by itself, within 10 s
# if not told otherwise.  "on" is a command that runs it elsewhere.
sub start_generate
{
	my (%options) = @_;
	$dir //= PostgreSQL::Test::Utils::tempdir();
	my $totals = "$dir/totals" . ++$made . ".json";
	my @command = (@{ delete $options{on} // [] }, "$ENV{BACKSTREAM_TOOLS}/bs-generate", '--quiet', "--totals=$totals");
	my %run = (totals => $totals, err => '');

	for my $name (sort keys %options)
	{
		(my $option = $name) =~ tr/_/-/;
		push @command, defined $options{$name} ? "--$option=$options{$name}" : "--$option";
	}
	my $nothing = '';
	$run{handle} = IPC::Run::start(\@command, '<', \$nothing, '>', \$run{out}, '2>', \$run{err},
		IPC::Run::timeout(60));
	return \%run;
}

# Wait for its end; returns the totals (see docs/tools.md).
sub finish_generate
{
	my ($run) = @_;
	$run->{handle}->finish or die "bs-generate: $run->{err}";
	return decode_json(slurp_file($run->{totals}));
}

sub generate { return finish_generate(start_generate(@_)) }

# The sums per stream as lines "exporter|obs_domain|flow_type|records|bytes|packets", of several runs.
sub sent
{
	my (@totals) = @_;
	my %sum;

	for my $exporter (map { @{ $_->{exporters} } } @totals)
	{
		my $key = join '|', map { $exporter->{$_} } qw(exporter obs_domain flow_type);
		$sum{$key}[0] += $exporter->{records};
		$sum{$key}[1] += $exporter->{bytes};
		$sum{$key}[2] += $exporter->{packets};
	}
	return join "\n", sort map { join '|', $_, @{ $sum{$_} } } keys %sum;
}

# Until $test returns true; false after $seconds.
sub wait_until
{
	my ($seconds, $test) = @_;
	my $end = time + $seconds;

	while (time < $end)
	{
		return 1 if $test->();
		usleep(20_000);
	}
	return $test->();
}

# Wait until a view was offered so many records since the server started; false after 10 s.
sub received_all
{
	my ($node, $view, $records) = @_;

	return wait_until(10,
		sub {
			my $n = $node->safe_psql('postgres', "SELECT received FROM backstream.views WHERE view = '$view'::regclass");
			return ($n || 0) >= $records;
		});
}

# In how many rows do two relations, or queries, differ?
sub differences
{
	my ($node, @both) = @_;
	my ($one, $other) = map { /\s/ ? "($_)" : "TABLE $_" } @both;

	return $node->safe_psql('postgres', "SELECT count(*) FROM (($one EXCEPT ALL $other) UNION ALL ($other EXCEPT ALL $one)) d");
}

# Send a datagram of BackStreamCaptures to a port, from the address that it is of.
my %sockets;

sub send_datagram
{
	my ($port, $datagram) = @_;
	my $socket = $sockets{"$port $datagram->{source}"} //= IO::Socket::IP->new(LocalHost => $datagram->{source}, PeerHost => '127.0.0.1', PeerPort => $port, Type => SOCK_DGRAM)
		// die "no socket at $datagram->{source}: $@";

	$socket->send($datagram->{payload}) // die "send: $!";
}

# The statement that puts its records into a table.
sub decode_statement
{
	my ($table, $datagram) = @_;

	return sprintf "INSERT INTO $table SELECT * FROM backstream.decode('\\x%s', '%s', timestamptz 'epoch' + %d * interval '1 us');\n",
		unpack('H*', $datagram->{payload}), $datagram->{source}, $datagram->{usec};
}

# The process id of a worker: 'backstream receiver', 'backstream keeper'; empty when it does not run.
sub backend_of
{
	my ($node, $type) = @_;

	return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' ORDER BY pid LIMIT 1");
}

1;
