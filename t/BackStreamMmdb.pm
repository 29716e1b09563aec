# SPDX-License-Identifier: PostgreSQL
# Files of the MaxMind DB format (https://maxmind.github.io/MaxMind-DB/), made of networks and data.
#
#   mmdb(version => 6, record_size => 28, aliases => 1, networks => [ ['192.0.2.0/24', $data], ... ])
#
# returns the bytes of one.  Data are [type, value]: map (hash), array, utf8, double, float, bytes, uint16,
# uint32, int32, uint64, uint128 (16 bytes), boolean.  In a file for both versions IPv4 lies at ::/96, with
# aliases at ::ffff:0:0/96, 2001::/32 and 2002::/16 too.
package BackStreamMmdb;

use strict;
use warnings;
use Encode qw(encode_utf8);
use Exporter 'import';
use Socket qw(inet_pton AF_INET AF_INET6);

our @EXPORT = qw(mmdb);

my %types = (
	utf8 => 2, double => 3, bytes => 4, uint16 => 5, uint32 => 6, map => 7, int32 => 8, uint64 => 9,
	uint128 => 10, array => 11, boolean => 14, float => 15);

# ---------- the data section ----------

sub control
{
	my ($type, $size) = @_;
	my ($code, $more) = $size < 29 ? ($size, '')
	  : $size < 285 ? (29, pack('C', $size - 29))
	  : $size < 65821 ? (30, pack('n', $size - 285))
	  : (31, substr(pack('N', $size - 65821), 1));

	return ($type < 8 ? pack('C', $type << 5 | $code) : pack('CC', $code, $type - 7)) . $more;
}

# Unsigned numbers without leading zeros.
sub short { my ($bytes) = @_; $bytes =~ s/^\0+//; return $bytes }

my %payload = (
	utf8 => sub { encode_utf8($_[0]) },
	bytes => sub { $_[0] },
	double => sub { pack 'd>', $_[0] },
	float => sub { pack 'f>', $_[0] },
	uint16 => sub { short(pack 'n', $_[0]) },
	uint32 => sub { short(pack 'N', $_[0]) },
	int32 => sub { pack 'l>', $_[0] },
	uint64 => sub { short(pack 'Q>', $_[0]) },
	uint128 => sub { short($_[0]) });

# Maps and arrays that were written before are pointed to.
sub encode
{
	my ($section, $data, $top) = @_;
	my ($type, $value) = @$data;
	my $bytes;

	if ($type eq 'boolean')
	{
		return control($types{boolean}, $value ? 1 : 0);
	}
	elsif ($type eq 'map')
	{
		$bytes = join '', map { encode($section, [ 'utf8', $_ ]) . encode($section, $value->{$_}) } sort keys %$value;
		$bytes = control($types{map}, scalar keys %$value) . $bytes;
	}
	elsif ($type eq 'array')
	{
		$bytes = control($types{array}, scalar @$value) . join '', map { encode($section, $_) } @$value;
	}
	else
	{
		my $payload = $payload{$type}->($value);
		return control($types{$type}, length $payload) . $payload;
	}
	if (!defined $section->{at}{$bytes})
	{
		$section->{at}{$bytes} = length $section->{bytes};
		$section->{bytes} .= $bytes;
	}
	return $top ? $section->{at}{$bytes} : pack('CN', 0x38, $section->{at}{$bytes});
}

# ---------- the tree: nodes are [left, right], each undef, a reference to a node or an offset ----------

sub bits_of
{
	my ($network, $version) = @_;
	my ($address, $len) = split m{/}, $network;
	my $v4 = $address !~ /:/;
	my $bits = unpack 'B*', inet_pton($v4 ? AF_INET : AF_INET6, $address);

	($bits, $len) = ('0' x 96 . $bits, $len + 96) if $v4 && $version == 6;
	return substr $bits, 0, $len;
}

sub insert
{
	my ($node, $bits, $what) = @_;

	for my $i (0 .. length($bits) - 2)
	{
		my $side = substr $bits, $i, 1;
		my $child = $node->[$side];

		$node->[$side] = ref $child ? $child : [ $child, $child ];
		$node = $node->[$side];
	}
	$node->[ substr $bits, -1 ] = $what;
}

sub node_at
{
	my ($node, $bits) = @_;
	$node = ref $node ? $node->[$_] : undef for split //, $bits;
	return ref $node ? $node : undef;
}

sub number_nodes
{
	my ($root) = @_;
	my @nodes = ($root);
	my %number = (0 + $root => 0);

	for (my $i = 0; $i < @nodes; $i++)
	{
		for my $child (grep { ref } @{ $nodes[$i] })
		{
			next if exists $number{ 0 + $child };
			$number{ 0 + $child } = @nodes;
			push @nodes, $child;
		}
	}
	return (\@nodes, \%number);
}

sub record_pair
{
	my ($size, $left, $right) = @_;
	return substr(pack('N', $left), 1) . substr(pack('N', $right), 1) if $size == 24;
	return pack('NN', $left, $right) if $size == 32;
	return substr(pack('N', $left), 1) . pack('C', $left >> 24 << 4 | $right >> 24) . substr(pack('N', $right), 1);
}

sub mmdb
{
	my (%options) = @_;
	my $version = $options{version} // 6;
	my $size = $options{record_size} // 28;
	my %section = (bytes => '', at => {});
	my $root = [ undef, undef ];
	my @networks = map { [ bits_of($_->[0], $version), $_->[1] ] } @{ $options{networks} };

	# Shorter ones first: longer ones are cut out of them.
	insert($root, $_->[0], encode(\%section, $_->[1], 1)) for sort { length $a->[0] <=> length $b->[0] } @networks;
	if ($options{aliases} && (my $v4 = node_at($root, '0' x 96)))
	{
		insert($root, bits_of($_, 6), $v4) for qw(::ffff:0:0/96 2001::/32 2002::/16);
	}
	my ($nodes, $number) = number_nodes($root);
	my $count = @$nodes;
	my $tree = join '', map {
		record_pair($size, map { ref $_ ? $number->{ 0 + $_ } : defined $_ ? $count + 16 + $_ : $count } @$_)
	} @$nodes;
	my %meta = (bytes => '', at => {});
	my $metadata = join '', control($types{map}, 9), map { encode(\%meta, $_) } (
		[ utf8 => 'binary_format_major_version' ], [ uint16 => 2 ], [ utf8 => 'binary_format_minor_version' ], [ uint16 => 0 ],
		[ utf8 => 'build_epoch' ], [ uint64 => 1700000000 ], [ utf8 => 'database_type' ], [ utf8 => 'BackStream-Test' ],
		[ utf8 => 'ip_version' ], [ uint16 => $version ], [ utf8 => 'node_count' ], [ uint32 => $count ],
		[ utf8 => 'record_size' ], [ uint16 => $size ]);
	$metadata .= control($types{utf8}, 9) . 'languages' . control($types{array}, 0)
	  . control($types{utf8}, 11) . 'description' . control($types{map}, 0);
	return $tree . "\0" x 16 . $section{bytes} . "\xAB\xCD\xEFMaxMind.com" . $metadata;
}

1;
