#!/usr/bin/perl
# SPDX-License-Identifier: PostgreSQL
# Known traffic over loopback for an exporter to watch: one UDP transfer of COUNT datagrams of SIZE
# bytes from an ephemeral port of 127.0.0.1 to PORT, where this program itself takes them.
#
#   transfer.pl PORT COUNT SIZE SECONDS
#
# Prints what went over the wire: packets and bytes, IP and UDP headers (20 + 8) included.
use strict;
use warnings;
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

die "usage: $0 PORT COUNT SIZE SECONDS\n" unless @ARGV == 4;
my ($port, $count, $size, $seconds) = @ARGV;
die "$0: sizes that need no fragments, and not for long\n"
  if $size < 1 || $size > 1400 || $count < 1 || $count > 1_000_000 || $seconds > 60;

my $to = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => $port)
  or die "$0: port $port: $!\n";
my $from = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $port)
  or die "$0: $!\n";

my $start = time;
my $received = 0;
for my $i (1 .. $count)
{
	$from->send('x' x $size) == $size or die "$0: send: $!\n";
	$received++ if defined $to->recv(my $buffer, 2000);
	my $ahead = $start + $seconds * $i / $count - time;
	sleep($ahead) if $ahead > 0.005;
}
die "$0: $received of $count arrived\n" if $received != $count;
printf "%d %d\n", $count, $count * ($size + 28);
