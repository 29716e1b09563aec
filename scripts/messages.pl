#!/usr/bin/perl
# SPDX-License-Identifier: PostgreSQL
# messages.pl: what the extension can say, as Markdown: the section on messages of docs/reference.md.
#
#   scripts/messages.pl ERRCODES      ERRCODES: errcodes.txt of PostgreSQL's shared files
#
# Every ereport() of src/*.c is read by its tokens, so none can be missed: one whose message is not a literal
# must be made by a function named in %carriers, whose calls are read instead, or stand in messages.txt.  That
# file also says what to do about the messages that have neither detail nor hint.  What cannot be understood,
# what nobody explains and what explains nothing any more ends this with an error.
use strict;
use warnings;
use File::Basename qw(dirname);

chdir dirname($0) . '/..' or die;
my ($errcodes) = @ARGV or die "usage: $0 ERRCODES\n";

# Functions whose arguments become the text of an error: file, and which argument is what.  A message that is no
# literal there is skipped only if `or` says what it is.
my %carriers = (
	'combineplan.c refuse' => { message => 'combine() merges the states of a column of a continuous view', detail => 0, hint => 1,
		code => 'FEATURE_NOT_SUPPORTED' },
	'options.c rolling_refuse' => { message => 1, hint => 2, code => 'FDW_INVALID_OPTION_NAME' },
	'refuse.c refuse_function' => { message => 1, hint => 2, code => 'FEATURE_NOT_SUPPORTED' },
	'refuse.c refuse_aggregate' => { message => 'aggregate function %s cannot be used in a continuous view', detail => 1, hint => 2,
		code => 'FEATURE_NOT_SUPPORTED' },
	'spreadform.c refuse' => { message => 1, hint => 2, code => 'FEATURE_NOT_SUPPORTED' },
	'windowform.c refuse_width' => { message => 1, code => 'FEATURE_NOT_SUPPORTED',
		hint => 'Use a constant of fixed length, from 1 ms to 366 days, such as \'5 min\' or \'30 days\'.' },
	'* bs_node_fail' => { prefix => 'node "%s": ', code_at => 2, message => 3, detail => 4, hint => 5, code => 'of the node' },
);

# ---------- C, as tokens ----------

my %macros = (INT64_FORMAT => '%d', UINT64_FORMAT => '%d');
my %tokens;

sub tokens_of
{
	my ($text) = @_;
	my (@tokens, $line);

	$line = 1;
	while ($text =~ /\G(?:(\s+|\/\*.*?\*\/|\/\/[^\n]*|^\#(?:[^\n\\]|\\.)*)|"((?:[^"\\]|\\.)*)"|'(?:[^'\\]|\\.)*'|(\w+)|->|.)/gcsm)
	{
		my ($blank, $string, $word, $all) = ($1, $2, $3, $&);

		push @tokens, { string => $string, word => $word, text => $all, line => $line } unless defined $blank;
		$line += $all =~ tr/\n//;
	}
	return \@tokens;
}

for my $file (glob 'src/*.[ch] src/engine/*.h receiver/*.h')
{
	open my $handle, '<', $file or die "$file: $!\n";
	my $text = do { local $/; <$handle> };
	while ($text =~ /^#define (\w+)\s+((?:\\\n|[^\n])*)/mg)
	{
		my ($name, $value) = ($1, $2);
		$value =~ s/\\\n/ /g;
		$macros{$name} = join '', map { $_->{string} } @{ tokens_of($value) } if $value =~ /^\s*(?:"(?:[^"\\]|\\.)*"\s*)+$/;
	}
	$tokens{ $file =~ s/.*\///r } = tokens_of($text) if $file =~ /^src\/\w+\.c$/;
}

# The arguments of a call whose opening parenthesis is at $$at: lists of tokens; $$at is moved to its end.
sub arguments
{
	my ($list, $at) = @_;
	my ($depth, @arguments) = (0, []);

	for (;; $$at++)
	{
		my $token = $list->[$$at] // die "a call does not end\n";
		if ($token->{text} =~ /^[(\[{]$/) { next if $depth++ == 0 }
		elsif ($token->{text} =~ /^[)\]}]$/) { last if --$depth == 0 }
		if ($depth == 1 && $token->{text} eq ',') { push @arguments, [] }
		else { push @{ $arguments[-1] }, $token }
	}
	return @arguments;
}

# The literals that an expression can be: of "a ? b : c" both.  Empty: it is none.
sub literals
{
	my @parts = ([]);

	for my $token (@_)
	{
		if ($token->{text} =~ /^[?:]$/) { push @parts, [] }
		else { push @{ $parts[-1] }, $token }
	}
	my @found;
	for my $part (@parts)
	{
		# _("text") and psprintf("text", ...) are their first argument.
		shift @$part while @$part && ($part->[0]{text} =~ /^(_|psprintf|gettext_noop|\()$/);
		my $text = '';
		for my $token (@$part)
		{
			my $piece = $token->{string} // (defined $token->{word} ? $macros{ $token->{word} } : undef);
			last unless defined $piece;
			$text .= $piece;
		}
		push @found, $text if $text ne '';
	}
	return @found;
}

# ---------- what is said ----------

my (%rows, @unknown, %explained);

# messages.txt: "message => what to do", the message as in the source, or "file.c: %s".
my %texts;
open my $texts, '<', 'scripts/messages.txt' or die "messages.txt: $!\n";
while (<$texts>)
{
	next if /^#|^\s*$/;
	my ($key, $text) = /^(.*?) => (.*)$/ or die "messages.txt:$.: $_";
	die "messages.txt:$.: twice\n" if exists $texts{$key};
	$texts{$key} = $text;
}

sub say_row
{
	my (%row) = @_;
	my $message = $row{message};
	my $bare = $message eq '%s';
	my $key = $bare ? "$row{file}: %s" : $message;
	my @more = grep { $_ ne '%s' } @{ $row{detail} // [] }, @{ $row{hint} // [] };

	if (defined $texts{$key})
	{
		my $text = $texts{$key};

		$explained{$key} = 1;
		return if $text eq 'elsewhere';
		($message, $text) = ($1, $2) if $text =~ /^\{(.*?)\} (.*)/;
		push @more, $text;
	}
	if (!@more && $row{level} ne 'LOG' || $bare && !defined $texts{$key})
	{
		push @unknown, "$row{file}:$row{line}: $key";
		return;
	}
	my $entry = $rows{ $row{level} eq 'LOG' ? 'LOG' : $row{code} }{$message} //= { level => $row{level}, more => [] };
	for my $text (@more)
	{
		push @{ $entry->{more} }, $text unless grep { $_ eq $text } @{ $entry->{more} };
	}
}

sub read_ereport
{
	my ($file, $line, $list, $at) = @_;
	my ($level, @rest) = arguments($list, \$at);
	my ($elevel) = join(' ', map { $_->{text} } @$level) =~ /\b(LOG|NOTICE|WARNING|ERROR|FATAL)\b(?!.*\bERROR\b)/;
	my (@messages, @codes, %found);

	@rest = map { @$_ } @rest;
	for (my $i = 0; $i < @rest; $i++)
	{
		my $word = $rest[$i]{word} // next;
		my $j = $i + 1;

		push @codes, $1 if $word =~ /^ERRCODE_(\w+)$/;
		push @codes, 'of the operating system' if $word =~ /^errcode_for_/;
		next unless $word =~ /^err(msg|detail|hint)(_internal|_plural)?$/;
		my @arguments = arguments(\@rest, \$j);
		shift @arguments if ($2 // '') eq '_plural';
		my @literals = literals(@{ $arguments[0] });
		if ($1 eq 'msg') { push @messages, @literals ? @literals : '%s' }
		else { push @{ $found{$1} }, @literals }
	}
	push @unknown, "$file:$line: no message" unless @messages;
	@codes = ($elevel && $elevel =~ /WARNING|NOTICE/ ? 'WARNING' : 'INTERNAL_ERROR') unless @codes;
	@codes = ('of the node') if grep { /sqlerrcode/ } map { $_->{word} // '' } @rest;
	for my $message (@messages)
	{
		next if $message =~ /, skipping$/;
		say_row(file => $file, line => $line, level => $elevel // 'ERROR', code => $_, message => $message, %found) for @codes;
	}
}

for my $file (sort keys %tokens)
{
	my $list = $tokens{$file};

	for my $i (0 .. $#$list)
	{
		my ($token, $next) = @$list[ $i, $i + 1 ];
		my $line = $token->{line};

		next unless defined $token->{word};
		read_ereport($file, $line, $list, $i + 1) if $token->{word} eq 'ereport' && $next->{text} eq '(';
		# static const Refusal NAME = {"message", "hint"};
		if ($token->{word} eq 'Refusal' && $next->{word} && $list->[ $i + 2 ]{text} eq '=')
		{
			my $at = $i + 3;
			my ($message, $hint) = map { [ literals(@$_) ] } arguments($list, \$at);
			die "$file:$line: a refusal that is not understood\n" unless @$message == 1 && @$hint == 1;
			say_row(file => $file, line => $line, level => 'ERROR', code => 'FEATURE_NOT_SUPPORTED', message => @$message, hint => $hint);
		}
		my $carrier = $carriers{"$file $token->{word}"} // $carriers{"* $token->{word}"};
		next if !$carrier || $next->{text} ne '(';
		my $at = $i + 1;
		my @arguments = arguments($list, \$at);
		# Its own head, not a call.
		next if ($list->[ $at + 1 ]{text} // '') eq '{' || grep { $_->{text} eq 'const' } map { @$_ } @arguments;
		my %said = map {
			my $where = $carrier->{$_};
			$_ => !defined $where ? [] : $where =~ /^\d+$/ ? [ literals(@{ $arguments[$where] // [] }) ] : [$where]
		} qw(message detail hint);
		my @code = defined $carrier->{code_at} ? map { /^ERRCODE_(\w+)$/ ? $1 : () } map { $_->{text} } @{ $arguments[ $carrier->{code_at} ] } : ();
		@{ $said{message} } = '%s' unless @{ $said{message} };
		for my $message (@{ $said{message} })
		{
			say_row(file => $file, line => $line, level => 'ERROR', code => $code[0] // $carrier->{code},
				message => $message eq '%s' ? $message : ($carrier->{prefix} // '') . $message, detail => $said{detail}, hint => $said{hint});
		}
	}
}

# RAISE in the functions of the install script.
{
	my ($script) = sort glob 'sql/backstream--*.sql';
	open my $handle, '<', $script or die "$script: $!\n";
	my $text = do { local $/; <$handle> };
	my $raises = () = $text =~ /^\s*RAISE\s+(?!NOTICE)/mg;
	my $read = 0;
	while ($text =~ /^\s*RAISE\s+((?:[^;']|'(?:[^']|'')*')*);/mg)
	{
		my $raise = $1;
		my ($code) = $raise =~ /ERRCODE = '(\w+)'/;
		($code) = $raise =~ /^(\w+) USING/ unless defined $code;
		my ($message) = $raise =~ /MESSAGE = (?:(?:pg_catalog\.)?format\()?'((?:[^']|'')*)'/;
		my ($detail, $hint) = map { $raise =~ /\b$_ = (?:(?:pg_catalog\.)?format\()?'((?:[^']|'')*)'/ ? [$1] : [] } qw(DETAIL HINT);
		next if $raise =~ /^NOTICE/;
		die "$script: RAISE $raise\n" unless defined $message;
		say_row(file => 'sql', line => 0, level => 'ERROR', code => uc $code, message => $message =~ s/''/'/gr, detail => $detail, hint => $hint);
		$read++;
	}
	die "$script: $read of $raises RAISE were understood\n" if $read != $raises;
}

print STDERR "explained by nothing (scripts/messages.txt): $_\n" for @unknown;
my @idle = grep { !$explained{$_} } sort keys %texts;
print STDERR "explains nothing (scripts/messages.txt): $_\n" for @idle;
exit 1 if @unknown || @idle;

# ---------- Markdown ----------

my (%sqlstate, %condition);
open my $codes, '<', $errcodes or die "$errcodes: $!\n";
while (<$codes>)
{
	next unless /^(\w{5})\s+[EWS]\s+ERRCODE_(\w+)\s+(\w+)?/;
	$sqlstate{$2} //= $1;
	$condition{$2} //= $3 // lc $2;
}
# RAISE takes names of conditions.
for my $name (keys %condition) { my $as = uc $condition{$name}; $sqlstate{$as} //= $sqlstate{$name}; $condition{$as} //= $condition{$name} }

sub cell
{
	my ($text) = @_;

	$text =~ s/\\(.)/$1 eq 'n' ? ' ' : $1/ge;
	$text =~ s/%%/\0/g;
	$text =~ s/%(?:\d+\$)?[-+ 0#]*\d*(?:\.\d+)?(?:ll|l|z|h)?[a-zA-Z]/…/g;
	$text =~ s/\0/%/g;
	$text =~ s/\|/\\|/g;
	return $text =~ s/\s+/ /gr;
}

my $state_of = sub { $sqlstate{$_[0]} // ($_[0] eq 'LOG' ? '~~' : $_[0] =~ /^of the / ? '~' : die "no SQLSTATE $_[0]\n") };
my %merged;
for my $code (keys %rows) { $merged{ $state_of->($code) . " $code" } = $rows{$code} }
print <<'END';
## Messages

What BackStream itself says, by SQLSTATE, with its details and hints or what else there is to do; `…` is a name or a value. Errors of
PostgreSQL come beside these: of a query that cannot be parsed, of rights, of locks. An error in the evaluation of a record is none of a
statement: the record is counted in `errors` of `backstream.views`, and `last_error` there has the text. Messages without a level are
errors.
END
for my $heading (sort keys %merged)
{
	my ($state, $code) = $heading =~ /^(\S+) (.*)/;
	my $title = $code eq 'LOG' ? 'In the log alone' : $code =~ /^of the (\w.*)/ ? "SQLSTATE of the $1" : "$state `$condition{$code}`";
	print "\n### $title\n\n| message | |\n|---|---|\n";
	for my $message (sort { lc $a cmp lc $b || $a cmp $b } keys %{ $merged{$heading} })
	{
		my $entry = $merged{$heading}{$message};
		my $kind = $entry->{level} =~ /^(ERROR|LOG)$/ ? '' : "$entry->{level}: ";
		print "| $kind", cell($message), ' | ', cell(join ' ', @{ $entry->{more} }), " |\n";
	}
}
