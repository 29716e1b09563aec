# SPDX-License-Identifier: PostgreSQL
# What the TAP tests share: a server with the library, and the client of test/clients.
package BackStreamTest;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(backstream_node crash_node pqscript);

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

1;
