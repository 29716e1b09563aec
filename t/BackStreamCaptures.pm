# SPDX-License-Identifier: PostgreSQL
# Export datagrams out of the captures of BACKSTREAM_SHARED, where that folder is there.
package BackStreamCaptures;

use strict;
use warnings;
use Socket qw(AF_INET AF_INET6 inet_ntop);

# The folder, or undef.
sub folder
{
	my $shared = $ENV{BACKSTREAM_SHARED} // return undef;
	return -d "$shared/captures/pcap" ? "$shared/captures" : undef;
}

# Names of the captures.
sub names
{
	my $folder = folder();
	return map { m{([^/]+)\.pcap$} } sort glob "$folder/pcap/*.pcap";
}

# Number of data records and flow samples in all captures, as their manifest has it.
sub flow_records
{
	my $path = folder() . '/MANIFEST.tsv';
	open my $file, '<', $path or die "$path: $!";
	chomp(my @names = split /\t/, scalar <$file>);
	my $sum = 0;
	while (my $line = <$file>)
	{
		my %row;
		@row{@names} = split /\t/, $line, -1;
		$sum += $row{"flow_records_$_"} for qw(v5 v9 ipfix sflow);
	}
	return $sum;
}

# The payload of an Ethernet frame, with what it came from: {source, payload}; undef if not UDP.
sub frame_udp
{
	my ($frame) = @_;
	my $at = 12;
	$at += 4 while substr($frame, $at, 2) eq "\x81\0" || substr($frame, $at, 2) eq "\x88\xa8";
	my $type = unpack 'n', substr($frame, $at, 2);
	return packet_udp($frame, $type, $at + 2);
}

# The same of an IP packet, which begins at $at; of $type, as Ethernet has it.
sub packet_udp
{
	my ($frame, $type, $at) = @_;
	my ($source, $protocol, $udp);
	if ($type == 0x0800)
	{
		$protocol = unpack 'C', substr($frame, $at + 9, 1);
		$source = inet_ntop(AF_INET, substr($frame, $at + 12, 4));
		$udp = $at + 4 * (unpack('C', substr($frame, $at, 1)) & 15);
	}
	elsif ($type == 0x86dd)
	{
		$protocol = unpack 'C', substr($frame, $at + 6, 1);
		$source = inet_ntop(AF_INET6, substr($frame, $at + 8, 16));
		$udp = $at + 40;
	}
	return undef unless defined $protocol && $protocol == 17;
	my $len = unpack 'n', substr($frame, $udp + 4, 2);
	return {source => $source, payload => substr($frame, $udp + 8, $len - 8)};
}

# All UDP datagrams of a capture (classic pcap, Ethernet or raw IP), in order, with their time in
# microseconds since 1970: {source, payload, usec}.
sub datagrams
{
	my ($name) = @_;
	return datagrams_of(folder() . "/pcap/$name.pcap");
}

# The same of any file.
sub datagrams_of
{
	my ($path) = @_;
	open my $file, '<:raw', $path or die "$path: $!";
	local $/;
	my $bytes = <$file>;
	my %order = ("\xd4\xc3\xb2\xa1" => ['V', 1], "\x4d\x3c\xb2\xa1" => ['V', 1000],
		"\xa1\xb2\xc3\xd4" => ['N', 1], "\xa1\xb2\x3c\x4d" => ['N', 1000]);
	my ($word, $per_usec) = @{$order{substr $bytes, 0, 4} // die "$path: not a pcap file"};
	my $raw_ip = unpack($word, substr $bytes, 20, 4) == 101;
	my @datagrams;
	for (my $at = 24; $at + 16 <= length $bytes;)
	{
		my ($seconds, $part, $len) = unpack "${word}3", substr($bytes, $at, 12);
		my $frame = substr $bytes, $at + 16, $len;
		my $datagram = $raw_ip ? packet_udp($frame, ord($frame) >> 4 == 4 ? 0x0800 : 0x86dd, 0) : frame_udp($frame);
		$at += 16 + $len;
		next unless $datagram;
		$datagram->{usec} = $seconds * 1_000_000 + int($part / $per_usec);
		push @datagrams, $datagram;
	}
	return @datagrams;
}

1;
