# SPDX-License-Identifier: PostgreSQL
# What the TAP tests share: a server with the library, and the client of test/clients.
package BackStreamTest;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

our @EXPORT = qw(backstream_node crash_node pqscript start_psql finish_psql errors_of_psql);

my $scripts;
my $nscripts = 0;

# Kill a server's postmaster and start it again.  What it leaves behind ends by itself, soon; until then it does not start.
sub crash_node
{
	my ($node) = @_;

	kill 'KILL', $node->{_pid};
	$node->stop('immediate', fail_ok => 1);
	$node->{_pid} = undef;
	for (1 .. 600)
	{
		return if $node->start(fail_ok => 1);
		select(undef, undef, undef, 0.1);
	}
	die "the server does not start after a crash\n";
}

# A server that has been initialised but not started.  Options: preload (list of libraries, in order),
# conf (text for postgresql.conf).
sub backstream_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $preload = $options{preload} // 'backstream';
	my $conf = $options{conf} // '';

	$node->init(%{ $options{init} // {} });
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$preload'\n");
	$node->append_conf('postgresql.conf', "backstream.listen = ''\nbackstream.memory = '64MB'\n")
	  if $preload =~ /backstream/;
	$node->append_conf('postgresql.conf', $conf);
	return $node;
}

# Run commands (see test/clients/pqscript.c) on one connection; returns the lines of its output.
sub pqscript
{
	my ($node, $script, %options) = @_;
	my $conninfo = $node->connstr($options{dbname} // 'postgres');
	my ($out, $err);

	$conninfo .= " user=$options{user}" if $options{user};
	$conninfo .= " $options{more}" if $options{more};
	IPC::Run::run([ "$ENV{BACKSTREAM_CLIENTS}/pqscript", $conninfo ], '<', \$script, '>', \$out,
		'2>', \$err) or die "pqscript: $err";
	return split /\n/, $out;
}

# A script in a session of its own, beside the test: what it says comes in {out} and {err} as it is sent, line by line.  Options:
# user; seconds until it is given up.
sub start_psql
{
	my ($node, $sql, %options) = @_;
	my %psql = (out => '', err => '', began => time);
	my $file = ($scripts //= PostgreSQL::Test::Utils::tempdir()) . '/' . ++$nscripts . '.sql';
	# Into a pipe, too.
	my @command = ('stdbuf', '-oL', 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $node->connstr('postgres'),
		($options{user} ? ('-U', $options{user}) : ()));

	append_to_file($file, $sql);
	$psql{handle} = IPC::Run::start(\@command, '<', \'', '>', \$psql{out}, '2>', \$psql{err}, IPC::Run::timeout($options{seconds} // 180));
	return \%psql;
}

# Wait until it ends; returns what it has said, and leaves {seconds}.
sub finish_psql
{
	my ($psql) = @_;

	$psql->{handle}->finish;
	$psql->{seconds} = time - $psql->{began};
	return $psql->{out};
}

# The same; returns what was wrong.
sub errors_of_psql
{
	my ($psql) = @_;

	finish_psql($psql);
	return $psql->{err};
}

1;
