# SPDX-License-Identifier: PostgreSQL
# Random queries over oracle.records (setup.sql): random_query() returns a query and the expression
# whose evaluation tells whether a record is in error.  random_combined() also returns what combining the
# view's columns must come to, and the SELECT that combines them.
package oracle::random;

use strict;
use warnings;
use Exporter 'import';

our @EXPORT_OK = qw(random_query random_combined random_window);

sub any { return $_[ rand @_ ]; }

# Leaves and operations by type; $_[0] makes an operand of a type.
my %leaves = (
	bool => [ 'b', 'c', 'true', 'NULL::boolean' ],
	i2 => [ 'i2', 'j2', "'3'::smallint" ],
	i4 => [ 'i4', 'j4', '7', '-1', '1000', 'p' ],
	i8 => [ 'i8', 'j8', '64::bigint', 'id', 'rate' ],
	f8 => [ 'f8', 'g8', '2.5::float8', "'NaN'::float8" ],
	f4 => [ 'f4', "'1.5'::real" ],
	n => [ 'n', 'm', '1.50' ],
	a => [ 'a', 'a2', "'10.0.0.0/8'::inet", "'2001:db8::7'::inet" ],
	t => [ 't', 't2', "'2026-03-01 00:03+00'::timestamptz" ],
	iv => [ 'iv', 'iv2', "'90 s'::interval", "'1 day'::interval" ],
	s => [ 's', 's2', 'vc::text', "'ipfix'", 'bc::text' ],
	mac => [ 'mac' ],
	d => [ 'd', 't::date' ],
);
my @comparable = qw(i2 i4 i8 f8 f4 n a t iv s mac d);
my %operations = (
	bool => [
		sub { my $x = any(@comparable); sprintf '(%s %s %s)', $_[0]->($x), any('=', '<>', '<', '<=', '>', '>='), $_[0]->($x) },
		sub { sprintf '(%s %s %s)', $_[0]->(any('i2', 'i4', 'i8')), any('=', '<', '>='), $_[0]->(any('i2', 'i4', 'i8')) },
		sub { sprintf '(%s AND %s)', $_[0]->('bool'), $_[0]->('bool') },
		sub { sprintf '(NOT %s)', $_[0]->('bool') },
		sub { my $x = $_[0]; sprintf '(%s BETWEEN %s AND %s)', map { $x->('i8') } 1 .. 3 },
		sub { sprintf '(%s OR %s)', $_[0]->('bool'), $_[0]->('bool') },
		sub { sprintf '(%s IS %s)', $_[0]->('bool'), any('TRUE', 'NOT TRUE', 'FALSE', 'NOT FALSE', 'UNKNOWN', 'NOT UNKNOWN') },
		sub { sprintf '(%s IS %s)', $_[0]->(any(@comparable)), any('NULL', 'NOT NULL') },
		sub { my $x = any(@comparable); sprintf '(%s IS %s DISTINCT FROM %s)', $_[0]->($x), any('', 'NOT'), $_[0]->($x) },
		sub { sprintf '(%s %s (6, 17, %s))', $_[0]->(any('i2', 'i4', 'i8')), any('IN', 'NOT IN'), any('443', 'NULL', '-1') },
		sub { sprintf "(%s %s ('ipfix', 'a', ''))", $_[0]->('s'), any('IN', 'NOT IN') },
		sub { sprintf '(%s %s %s)', $_[0]->('a'), any('<<', '<<=', '>>', '>>=', '&&'), $_[0]->('a') },
		sub { sprintf "(%s LIKE '%%f%%')", $_[0]->('s') },
		sub { sprintf '(%s)::boolean', $_[0]->('i4') },
	],
	i2 => [
		sub { sprintf '(%s %s %s)', $_[0]->('i2'), any('+', '-', '*', '/', '%', '&', '|', '#'), $_[0]->('i2') },
		sub { sprintf '(%s)::smallint', $_[0]->(any('i4', 'i8', 'f8')) },
	],
	i4 => [
		sub { sprintf '(%s %s %s)', $_[0]->('i4'), any('+', '-', '*', '/', '%', '&', '|', '#'), $_[0]->('i4') },
		sub { sprintf '(%s %s %s)', $_[0]->('i2'), any('+', '-', '*', '/'), $_[0]->('i4') },
		sub { sprintf '(%s %s %s)', $_[0]->('i4'), any('<<', '>>'), any(0 .. 9) },
		sub { sprintf '(%s)::integer', $_[0]->(any('i2', 'i8', 'f4', 'f8', 'n', 'bool')) },
		sub { sprintf 'length(%s)', $_[0]->('s') },
		sub { sprintf '%s(%s)', any('masklen', 'family'), $_[0]->('a') },
		sub { sprintf 'abs(%s)', $_[0]->('i4') },
		sub { sprintf '(- %s)', $_[0]->('i4') },
	],
	i8 => [
		sub { sprintf '(%s %s %s)', $_[0]->('i8'), any('+', '-', '*', '/', '%', '&', '|', '#'), $_[0]->('i8') },
		sub { sprintf '(%s %s %s)', $_[0]->(any('i2', 'i4')), any('+', '-', '*', '/'), $_[0]->('i8') },
		sub { sprintf '(%s)::bigint', $_[0]->(any('i2', 'i4', 'f8', 'n')) },
		sub { sprintf 'backstream.scaled(%s, %s)', $_[0]->('i8'), $_[0]->('i8') },
		sub { sprintf '(~ %s)', $_[0]->('i8') },
	],
	f8 => [
		sub { sprintf '(%s %s %s)', $_[0]->('f8'), any('+', '-', '*', '/'), $_[0]->(any('f8', 'f4')) },
		sub { sprintf '(%s)::float8', $_[0]->(any('i2', 'i4', 'i8', 'f4', 'n')) },
		sub { sprintf 'sqrt(%s)', $_[0]->('f8') },
		sub { sprintf 'abs(%s)', $_[0]->('f8') },
	],
	f4 => [
		sub { sprintf '(%s %s %s)', $_[0]->('f4'), any('+', '-', '*', '/'), $_[0]->('f4') },
		sub { sprintf '(%s)::real', $_[0]->(any('i2', 'i4', 'i8', 'f8')) },
	],
	n => [
		sub { sprintf '(%s %s %s)', $_[0]->('n'), any('+', '-', '*', '/'), $_[0]->(any('n', 'i4')) },
		sub { sprintf '(%s)::numeric', $_[0]->(any('i4', 'i8')) },
	],
	a => [
		sub { sprintf '%s(%s)', any('network', 'broadcast', 'netmask', 'hostmask'), $_[0]->('a') },
		sub { sprintf 'set_masklen(%s, %s)', $_[0]->('a'), any('24', '8', '0', '-1', $_[0]->('i4')) },
		sub { sprintf '(%s + %s)', $_[0]->('a'), $_[0]->('i4') },
	],
	t => [
		sub { sprintf '(%s %s %s)', $_[0]->('t'), any('+', '-'), $_[0]->('iv') },
		# Not alone, lest it be the window.
		sub { sprintf "(date_trunc('%s', %s) + '0 s'::interval)", any('second', 'minute', 'hour', 'month'), $_[0]->('t') },
		sub { sprintf "(%s + '%s'::interval)", $_[0]->('t'), any('90 s', '1 day', '1 mon') },
	],
	iv => [
		sub { sprintf '(%s %s %s)', $_[0]->('iv'), any('+', '-'), $_[0]->('iv') },
		sub { sprintf '(%s - %s)', $_[0]->('t'), $_[0]->('t') },
		sub { sprintf '(- %s)', $_[0]->('iv') },
	],
	s => [
		sub { sprintf '(%s || %s)', $_[0]->('s'), $_[0]->('s') },
		sub { sprintf '%s(%s)', any('upper', 'md5', 'reverse'), $_[0]->('s') },
		sub { sprintf 'left(%s, %s)', $_[0]->('s'), $_[0]->('i4') },
		sub { sprintf 'host(%s)', $_[0]->('a') },
		sub { sprintf '(%s)::text', $_[0]->(any('i8', 'n', 't', 'iv', 'bool')) },
	],
	mac => [ sub { sprintf 'trunc(%s)', $_[0]->('mac') } ],
	d => [ sub { sprintf '(%s + %s)', $_[0]->('d'), $_[0]->('i4') } ],
);
# Of every type.
my @generic = (
	sub { sprintf 'CASE WHEN %s THEN %s WHEN %s THEN %s END', $_[0]->('bool'), $_[0]->($_[1]), $_[0]->('bool'), $_[0]->($_[1]) },
	sub { sprintf 'CASE %s WHEN %s THEN %s ELSE %s END', $_[0]->('i4'), $_[0]->('i4'), $_[0]->($_[1]), $_[0]->($_[1]) },
	sub { sprintf 'coalesce(%s, %s)', $_[0]->($_[1]), $_[0]->($_[1]) },
	sub { sprintf '%s(%s, %s)', any('greatest', 'least'), $_[0]->($_[1]), $_[0]->($_[1]) },
	sub { sprintf 'nullif(%s, %s)', $_[0]->($_[1]), $_[0]->($_[1]) },
);

sub expression
{
	my ($type, $depth) = @_;
	my $operand = sub { expression($_[0], $depth - 1) };

	return any(@{ $leaves{$type} }) if $depth <= 0 || rand() < 0.2;
	return any(@generic)->($operand, $type) if rand() < 0.2;
	return any(@{ $operations{$type} })->($operand);
}

# Types that each aggregate takes; sums of floats depend on their order.
my %aggregates = (
	count => [ keys %leaves ],
	sum => [qw(i2 i4 i8 n iv)],
	avg => [qw(i2 i4 i8 n)],
	min => [qw(i2 i4 i8 f8 f4 n a t iv s d)],
	max => [qw(i2 i4 i8 f8 f4 n a t iv s d)],
	bool_and => ['bool'],
	bool_or => ['bool'],
	every => ['bool'],
	bit_and => [qw(i2 i4 i8)],
	bit_or => [qw(i2 i4 i8)],
	bit_xor => [qw(i2 i4 i8)],
	stddev => [qw(i2 i4)],
	variance => [qw(i2 i4 n)],
);
# From an aggregate to a column.  Not the text of extremes: of equal values that look different any one
# may be shown.
my @outputs = ('%s', '%s', '%s', 'coalesce((%s)::text, \'none\')', '(%s, count(*))::text');

sub aggregate
{
	my $function = any(sort keys %aggregates);
	my $type = any(sort @{ $aggregates{$function} });
	my $argument = expression($type, any(0, 1, 2));
	my $distinct = rand() < 0.2 && ($type ne 'iv' || $function !~ /sum|avg/) && $type ne 'bc' ? 'DISTINCT ' : '';
	my $filter = rand() < 0.3 ? expression('bool', 2) : undef;

	return ('count(*)', 'NULL') if rand() < 0.1;
	return ("$function($distinct$argument)" . (defined $filter ? " FILTER (WHERE $filter)" : ''),
		defined $filter ? "CASE WHEN $filter THEN ($argument)::text END" : $argument);
}

sub random_combined
{
	my @keys = grep { !/^-?\d+$/ } map { expression(any(sort keys %leaves), any(0, 1)) } 1 .. 1 + int rand 3;
	my @conjuncts = map { expression('bool', any(1, 2)) } 1 .. int rand 2;
	my $window = any('', "backstream.tumble(t, '1 min')", "date_bin('20 s', t, '2026-03-01 00:00:03+00')");
	my @groups = ($window ne '' ? $window : (), @keys);
	my @calls = map { [ aggregate() ] } 1 .. 1 + int rand 5;
	my @kept = grep { rand() < 0.5 } 1 .. @groups;
	my @columns = map { "c$_" } @groups + 1 .. @groups + @calls;
	my $from = ' FROM records' . (@conjuncts ? ' WHERE ' . join(' AND ', @conjuncts) : '');
	my $by = sub { @_ ? ' GROUP BY ' . join(', ', 1 .. @_) : '' };
	my @aggregates = map { $_->[0] } @calls;

	return ('SELECT ' . join(', ', @groups, @aggregates) . $from . $by->(@groups),
		'ROW(' . join(', ', @keys, map { $_->[1] } @calls) . ')::text' . $from,
		'SELECT ' . join(', ', @groups[ map { $_ - 1 } @kept ], @aggregates) . $from . $by->(@kept),
		'SELECT ' . join(', ', (map { "c$_" } @kept), map { "backstream.combine($_)" } @columns) . ' FROM VIEW' . $by->(@kept));
}

my (@some_keys, @some_conjuncts);

# Options: windows (one of these expressions, '' for none), from (all of it), columns (more of them).
sub random_query
{
	my (%options) = @_;
	my $from = $options{from} // ' FROM records';
	my @keys = map { expression(any(sort keys %leaves), any(0, 1, 1, 2)) } 1 .. int rand 4;
	my @conjuncts = map { expression('bool', any(1, 2, 3)) } 1 .. int rand 3;

	# Some have keys or filters that others have too, so that they share that work.
	@keys = @some_keys if rand() < 0.3;
	@conjuncts = @some_conjuncts if rand() < 0.3;
	@some_keys = @keys if rand() < 0.3;
	@some_conjuncts = @conjuncts if rand() < 0.3;
	my (@columns, @evaluated);
	my $window = any(@{ $options{windows} // ['', '', "backstream.tumble(t, '1 min')", "date_bin('7 s', t, '2026-03-01 00:00:03+00')", "date_trunc('minute', t)"] });

	# A constant is not grouped by what it is, if it is an integer.
	@keys = grep { !/^-?\d+$/ } @keys;
	my @groups = ($window ne '' ? $window : (), @keys);
	for (1 .. 1 + int rand 4)
	{
		my ($call, $evaluation) = aggregate();
		push @columns, $call =~ /^m(in|ax)/ ? $call : sprintf any(@outputs), $call;
		push @evaluated, $evaluation;
	}
	push @columns, any(@{ $options{columns} }) if $options{columns};
	my $query = 'SELECT ' . join(', ', @groups, @columns) . $from;
	$query .= ' WHERE ' . join(' AND ', @conjuncts) if @conjuncts;
	$query .= ' GROUP BY ' . join(', ', map { $_ } 1 .. @groups) if @groups;
	$query .= ' HAVING count(*) > 1' if rand() < 0.2;

	my $fails = 'ROW(' . join(', ', @keys, @evaluated) . ')::text FROM records';
	$fails .= ' WHERE ' . join(' AND ', @conjuncts) if @conjuncts;
	return ($query, $fails);
}

# A hopping, rolling or spread view, as a row of oracle.queries (setup.sql): a hash by column.
sub random_window
{
	my ($kind) = @_;
	my %row;

	if ($kind eq 'hop')
	{
		@row{qw(query fails)} = random_query(windows => [ map { "backstream.hop(t, $_)" } "'10 s', '1 min'", "'20 s', '50 s'", "'7 s', '21 s'",
			"'1 min', '1 min'", "'90 s', '10 min'" ]);
	}
	elsif ($kind eq 'rolling')
	{
		my ($window, $slide) = @{ any([ '5 min', '10 s' ], [ '50 s', '20 s' ], [ '1 hour', '1 min' ], [ '30 s', '30 s' ]) };
		my $now = "date_bin('$slide', (SELECT max(t) FROM oracle.records), '2000-01-01 00:00+00')";

		@row{qw(query fails)} = random_query(windows => ['']);
		$row{options} = "window = '$window', slide = '$slide', time_column = t";
		$row{kept} = "t > $now - interval '$window' AND t <= $now";
	}
	else
	{
		$row{parts} = ', LATERAL backstream.spread(' . any('t, till', 'till, t') . ', ' . any("'10 s'", "'1 min'", "'7 min'") . ') part';
		@row{qw(query fails)} = random_query(from => " FROM records$row{parts}", windows => [ 'part.time', 'part.time', "backstream.tumble(part.time, '1 hour')" ],
			columns => [ 'sum(backstream.portion(j8, part))', 'sum(backstream.portion(i4, part))', 'max(backstream.portion(i8, part))', 'count(*)' ]);
	}
	return \%row;
}

1;
