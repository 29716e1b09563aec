# SPDX-License-Identifier: PostgreSQL
# Grafana's part, as far as its PostgreSQL data source shows in SQL: the queries of dashboards, with variables and macros
# replaced as text, and the results that panels need.  Grafana itself is not here.
package BackStreamGrafana;

use strict;
use warnings;
use Exporter 'import';
use JSON::PP;
use PostgreSQL::Test::Utils;
use POSIX qw(strftime);

our @EXPORT = qw(dashboards expand run_query faults save_results);

# Field and record separators that no result has.
my ($FIELD, $RECORD, $NULL) = ("\x1f", "\x1e", "\x1d");
# Steps that Grafana rounds intervals to, in seconds, with the largest value that becomes each.
my @STEPS = ([0.015, 0.01], [0.035, 0.02], [0.075, 0.05], [0.15, 0.1], [0.35, 0.2], [0.75, 0.5], [1.5, 1], [3.5, 2], [7.5, 5],
	[12.5, 10], [17.5, 15], [25, 20], [45, 30], [90, 60], [210, 120], [450, 300], [750, 600], [1050, 900], [1500, 1200], [2700, 1800], [5400, 3600]);
my %SECONDS = (s => 1, m => 60, h => 3600);
my $NUMERIC = qr/^(?:smallint|integer|bigint|numeric|real|double precision)\b/;

# All dashboards of a folder: { uid, title, queries => [...] }; a query is { kind => panel, annotation or variable, name, type, format,
# sql, panel }.
sub dashboards
{
	my ($folder) = @_;
	my @all;

	for my $file (sort glob "$folder/*.json")
	{
		my $json = decode_json(slurp_file($file));
		my @queries;

		for my $panel (map { ($_, @{ $_->{panels} // [] }) } @{ $json->{panels} })
		{
			push @queries, map { { kind => 'panel', name => "$panel->{title}", type => $panel->{type}, format => $_->{format}, sql => $_->{rawSql}, panel => $panel } }
			  @{ $panel->{targets} // [] };
		}
		push @queries, map { { kind => 'annotation', name => "annotation $_->{name}", type => 'annotation', format => 'table', sql => $_->{target}{rawSql} } }
		  grep { $_->{target}{rawSql} } @{ $json->{annotations}{list} };
		push @queries, map { { kind => 'variable', name => "variable $_->{name}", type => 'variable', format => 'table', sql => $_->{query} } }
		  grep { $_->{type} eq 'query' } @{ $json->{templating}{list} };
		push @all, { uid => $json->{uid}, title => $json->{title}, json => $json, queries => \@queries, variables => $json->{templating}{list} };
	}
	return @all;
}

# The interval of a panel: what its points would take, rounded, and not less than the panel's own.
sub interval
{
	my ($panel, $seconds) = @_;
	my $raw = $seconds / ($panel->{maxDataPoints} || 1000);
	my ($least) = ($panel->{interval} // '10s') =~ /^(\d+)([smh])$/ ? $1 * $SECONDS{$2} : 10;
	my ($round) = map { $_->[1] } grep { $raw < $_->[0] } @STEPS;

	$round //= 10800;
	return $round > $least ? $round : $least;
}

# One variable in SQL: several are a list of literals, one that is single is text as it is, with ' doubled.
sub interpolate
{
	my ($variable, $value, $format) = @_;
	my @values = ref $value ? @$value : ($value);

	return join ',', map { '"' . s/"/\\"/gr . '"' } @values if ($format // '') eq 'doublequote';
	die "format $format" if defined $format;
	return $variable->{allValue} if ref $value && @values == 0;
	return join ',', map { "'" . s/'/''/gr . "'" } @values if $variable->{multi} || $variable->{includeAll};
	return $values[0] =~ s/'/''/gr;
}

# The text that the data source sends.  Options: from, to (seconds), values ({ variable => value or [values]; [] is All }).
sub expand
{
	my ($dashboard, $query, %options) = @_;
	my $sql = $query->{sql};
	my %variables = map { $_->{name} => $_ } @{ $dashboard->{variables} };
	my $stamp = sub { my $t = shift; strftime('%Y-%m-%dT%H:%M:%S', gmtime int $t) . sprintf '.%03dZ', ($t - int $t) * 1000 };
	my $interval = interval($query->{panel} // {}, $options{to} - $options{from});
	my %macros = (
		timeFilter => sub { sprintf "%s BETWEEN '%s' AND '%s'", $_[0], $stamp->($options{from}), $stamp->($options{to}) },
		timeFrom => sub { "'" . $stamp->($options{from}) . "'" },
		timeTo => sub { "'" . $stamp->($options{to}) . "'" });

	for my $name (keys %variables)
	{
		my $value = $options{values}{$name} // ($variables{$name}{multi} ? [] : $variables{$name}{current}{value});
		$sql =~ s/\$\{\Q$name\E(?::(\w+))?\}|\$\Q$name\E\b/interpolate($variables{$name}, $value, $1)/ge;
	}
	$sql =~ s/\$__interval_ms/$interval * 1000/ge;
	$sql =~ s/\$__interval\b/${interval}s/g;
	$sql =~ s/\$([_a-zA-Z0-9]+)\(([^)]*)\)/replace_macro(\%macros, $1, $2)/ge;
	die "something is left: $1 in: $sql" if $sql =~ /(\$\S+)/;
	return $sql;
}

sub replace_macro
{
	my ($macros, $name, $arguments) = @_;
	my $macro = $macros->{ $name =~ s/^__//r } or die "unknown macro $name";

	die "parentheses in $name($arguments)" if $arguments =~ /\(/;
	return $macro->(split /\s*,\s*/, $arguments);
}

# Run it as a role; { columns => [names], types => [...], rows => [[...]], error, notice }.
sub run_query
{
	my ($node, $role, $sql) = @_;
	my @as = ('-U', $role, '-P', 'footer=off');
	my (undef, $described, $error) = $node->psql('postgres', "$sql\n\\gdesc", extra_params => \@as);

	return { error => $error, columns => [], types => [], rows => [] } if $error ne '' && $error =~ /ERROR/;
	my @columns = map { [ split /\|/ ] } split /\n/, $described;
	my (undef, $out, $notice) = $node->psql('postgres', "$sql;", extra_params => [ @as, '-F', $FIELD, '-R', $RECORD, '-P', "null=$NULL" ]);
	my @rows = map { [ map { $_ eq $NULL ? undef : $_ } split /$FIELD/, $_, -1 ] } split /$RECORD/, $out;

	return { columns => [ map { $_->[0] } @columns ], types => [ map { $_->[1] } @columns ], rows => \@rows,
		error => $notice =~ /ERROR/ ? $notice : undef, notice => $notice };
}

# The results of a dashboard's panels as a file of test/dashboards/page.html; $more: from, to, node.
sub save_results
{
	my ($folder, $dashboard, $results, %more) = @_;
	my ($bottom) = sort { $b <=> $a } map { $_->{gridPos}{y} + $_->{gridPos}{h} } @{ $dashboard->{json}{panels} };
	my %by_id;

	$by_id{ $_->{panel}{id} } = $results->{ $_->{name} } for grep { $_->{kind} eq 'panel' } @{ $dashboard->{queries} };
	my $text = JSON::PP->new->canonical->encode({ dashboard => $dashboard->{json}, results => \%by_id, height => 40 + 32 * $bottom, %more });
	PostgreSQL::Test::Utils::append_to_file("$folder/" . $dashboard->{uid} =~ s/backstream-//r . '.js', "window.DATA = $text;\n");
}

# What is wrong with the shape of a result, as texts: none if a panel of that type can show it.
sub faults
{
	my ($query, $result) = @_;

	return "error: $result->{error}" if $result->{error};
	return (common_faults($query, $result),
		$query->{kind} eq 'variable' ? variable_faults($result) : $query->{kind} eq 'annotation' ? annotation_faults($result)
		: $query->{format} eq 'time_series' ? series_faults($query, $result) : table_faults($query, $result));
}

sub common_faults
{
	my ($query, $result) = @_;
	my (%seen, @faults);

	push @faults, map { "two columns $_" } grep { $seen{$_}++ == 1 } @{ $result->{columns} };
	# Grafana shows addresses, arrays and the like as text at best.
	push @faults, map { "type $_" } grep { !/$NUMERIC|^(?:text|character varying|name|boolean|timestamp)/ } @{ $result->{types} };
	push @faults, 'more than 25000 rows' if @{ $result->{rows} } > 25000;
	push @faults, 'more than 1000 rows' if @{ $result->{rows} } > 1000 && $query->{format} ne 'time_series';
	return @faults;
}

sub index_of
{
	my ($result, $name) = @_;
	my ($at) = grep { $result->{columns}[$_] eq $name } 0 .. $#{ $result->{columns} };

	return $at;
}

# Text columns are labels, the others values; a column metric names the series.
sub series_faults
{
	my ($query, $result) = @_;
	my ($time, $metric) = (index_of($result, 'time'), index_of($result, 'metric'));
	my ($previous, %points, @faults);

	return 'no column time' if !defined $time;
	push @faults, "time is $result->{types}[$time]" if $result->{types}[$time] !~ /^timestamp with time zone/;
	push @faults, 'more columns than time, metric and value' if defined $metric && @{ $result->{columns} } != 3;
	push @faults, 'no value' if @{ $result->{columns} } < 2 + (defined $metric ? 1 : 0);
	for my $i (grep { $_ != $time } 0 .. $#{ $result->{columns} })
	{
		my $numeric = $result->{types}[$i] =~ $NUMERIC;
		push @faults, "$result->{columns}[$i] is $result->{types}[$i]" if defined $metric && $i == $metric ? $numeric : !$numeric;
	}
	for my $row (@{ $result->{rows} })
	{
		my $name = defined $metric ? $row->[$metric] : '';
		push @faults, 'no time' if !defined $row->[$time];
		push @faults, 'no name' if !defined $name || (defined $metric && $name eq '');
		push @faults, "not ascending: $row->[$time] after $previous" if defined $previous && ($row->[$time] // '') lt $previous;
		push @faults, "twice: $name at $row->[$time]" if $points{$name}{ $row->[$time] // '' }++;
		$previous = $row->[$time];
		last if @faults;
	}
	push @faults, scalar(keys %points) . ' series' if keys %points > 50;
	push @faults, map { "$_ has " . scalar(keys %{ $points{$_} }) . ' points' }
	  grep { keys %{ $points{$_} } > ($query->{panel}{maxDataPoints} // 1000) + 1 } sort keys %points;
	return @faults;
}

# Fields that the panel gives a unit or a colour are there, and numbers.
sub table_faults
{
	my ($query, $result) = @_;
	my $panel = $query->{panel};
	my @faults;

	push @faults, 'no column' if !@{ $result->{columns} };
	return @faults if @{ $panel->{transformations} // [] };
	for my $override (grep { $_->{matcher}{id} eq 'byName' } @{ $panel->{fieldConfig}{overrides} // [] })
	{
		my $name = $override->{matcher}{options};
		my $at = index_of($result, $name);
		my %has = map { $_->{id} => 1 } @{ $override->{properties} };

		push @faults, "no column $name" if !defined $at;
		push @faults, "$name is $result->{types}[$at]" if defined $at && ($has{unit} || $has{thresholds}) && $result->{types}[$at] !~ $NUMERIC;
	}
	push @faults, 'no number' if $panel->{type} =~ /^(?:stat|gauge|bargauge)$/ && !grep { $_ =~ $NUMERIC } @{ $result->{types} };
	return @faults;
}

sub annotation_faults
{
	my ($result) = @_;
	my @faults = map { "no column $_" } grep { !defined index_of($result, $_) } qw(time text);
	my $time = index_of($result, 'time');

	push @faults, "time is $result->{types}[$time]" if defined $time && $result->{types}[$time] !~ /^timestamp with time zone/;
	return @faults;
}

sub variable_faults
{
	my ($result) = @_;
	my $at = index_of($result, '__value') // 0;
	my (%seen, @faults);

	push @faults, 'one column, or __text and __value'
	  if "@{ $result->{columns} }" ne '__text __value' && @{ $result->{columns} } != 1;
	push @faults, map { "value $_ twice" } grep { $seen{$_}++ == 1 } map { $_->[$at] // '(null)' } @{ $result->{rows} };
	push @faults, 'a value that is NULL' if grep { !defined $_->[$at] } @{ $result->{rows} };
	return @faults;
}

1;
