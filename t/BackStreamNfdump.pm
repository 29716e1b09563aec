# SPDX-License-Identifier: PostgreSQL
# A collector that is not ours beside a server: nfcapd takes the same datagrams, nfdump tells what it has got.
package BackStreamNfdump;

use strict;
use warnings;
use BackStreamTraffic;
use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(has_nfdump start_nfcapd finish_nfcapd nfcapd_sums nfcapd_files nfcapd_records udp_queue);

my @collectors;

END { $_->{handle}->kill_kill for grep { $_->{handle} && eval { $_->{handle}->pumpable } } @collectors }

sub has_nfdump { return grep { -x "$_/nfcapd" } split /:/, $ENV{PATH} }

# What waits in the socket that is bound to a UDP port: (bytes, datagrams dropped); nothing when there is none.
sub udp_queue
{
	my ($table, $port) = @_;
	my $hex = sprintf '%04X', $port;

	for (split /\n/, slurp_file("/proc/net/$table"))
	{
		my @fields = split;
		return (hex((split /:/, $fields[4])[1]), $fields[-1]) if $fields[1] =~ /:$hex$/;
	}
	return;
}

# Start it at an address and port; it begins a new file every so many seconds (an hour).  It is ready when this
# returns true; it writes its last file when it ends.
sub start_nfcapd
{
	my ($address, $port, $seconds) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my %run = (dir => $dir, out => '', port => $port, table => $address =~ /:/ ? 'udp6' : 'udp');
	my $nothing = '';

	# Files are named by the local time.
	local $ENV{TZ} = 'UTC';
	$run{handle} = IPC::Run::start([ 'nfcapd', '-w', $dir, '-p', $port, '-b', $address, '-t', $seconds // 3600, '-B', '8388608' ],
		'<', \$nothing, '>&', \$run{out}, IPC::Run::timeout(900));
	push @collectors, \%run;
	return \%run if wait_until(60, sub { my @bound = udp_queue($run{table}, $port); scalar @bound });
	diag($run{out});
	return;
}

# End it when it has taken all that waits.
sub finish_nfcapd
{
	my ($run) = @_;

	wait_until(60, sub { !(udp_queue($run->{table}, $run->{port}))[0] });
	$run->{handle}->signal('TERM');
	$run->{handle}->finish;
}

# Its files, by their names: by the time that each begins.
sub nfcapd_files
{
	my ($run) = @_;
	return sort glob "$run->{dir}/nfcapd.2*";
}

# What a file (or all of a folder) has by its own account: "flows packets bytes".
sub nfcapd_sums
{
	my ($run, $file) = @_;
	my $which = $file ? "-r $file" : "-R $run->{dir}";
	my $summary = `nfdump $which -I 2>/dev/null`;
	my %value = $summary =~ /^(Flows|Packets|Bytes): (\d+)$/mg;

	return join ' ', map { $value{$_} // "no $_ in: $summary $run->{out}" } qw(Flows Packets Bytes);
}

# The records of a file, written to a handle for COPY: these columns of nfdump, separated by '|', after the prefix.
sub nfcapd_records
{
	my ($file, $columns, $prefix, $to) = @_;

	local $ENV{TZ} = 'UTC';
	open my $from, '-|', 'nfdump', '-r', $file, '-N', '-q', '-6', '-o', 'fmt:' . join('|', @$columns) or die "nfdump: $!";
	while (<$from>)
	{
		next unless /\|/;
		s/^ +//;
		s/ *\| */|/g;
		print $to "$prefix|$_";
	}
	close $from or die "nfdump: $?";
}

1;
