# SPDX-License-Identifier: PostgreSQL
# A backbone on one machine: some nodes, and a reader that has them as servers of a group "backbone".
package BackStreamBackbone;

use strict;
use warnings;
use Exporter 'import';
use BackStreamTest;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(start_nodes start_backbone server_options sql_all);

# The options of a server that a node is reached by: host and port.
sub server_options
{
	my ($node) = @_;
	return sprintf "host '%s', port '%s', dbname 'postgres'", $node->host, $node->port;
}

# Servers with the extension.
sub start_nodes
{
	my ($names, %options) = @_;
	my @nodes = map { backstream_node($_, %options) } @$names;

	for my $node (@nodes)
	{
		$node->start;
		$node->safe_psql('postgres', 'CREATE EXTENSION backstream');
	}
	return @nodes;
}

# The reader, and nodes node_1 .. node_n; the reader has the group "backbone" and its stream.  Options: nodes (number), conf,
# reader_conf, server (more options of the group).
sub start_backbone
{
	my (%options) = @_;
	my $n = $options{nodes} // 3;
	my @names = map { "node_$_" } 1 .. $n;
	my @nodes = start_nodes(\@names, conf => $options{conf} // '');
	my ($reader) = start_nodes(['reader'], conf => ($options{conf} // '') . ($options{reader_conf} // ''));
	my $list = join ', ', @names, @{ $options{more_members} // [] };

	for my $i (0 .. $#nodes)
	{
		$reader->safe_psql('postgres', "CREATE SERVER $names[$i] FOREIGN DATA WRAPPER backstream OPTIONS ("
			  . server_options($nodes[$i]) . "); CREATE USER MAPPING FOR PUBLIC SERVER $names[$i]");
	}
	my $more = $options{server} ? ", $options{server}" : '';
	$reader->safe_psql('postgres', "CREATE SERVER backbone FOREIGN DATA WRAPPER backstream OPTIONS (nodes '$list'$more);
		CREATE SCHEMA backbone; IMPORT FOREIGN SCHEMA backstream FROM SERVER backbone INTO backbone");
	return ($reader, @nodes);
}

# The same statement on several servers; the outputs.
sub sql_all
{
	my ($sql, @servers) = @_;
	return map { $_->safe_psql('postgres', $sql) } @servers;
}

1;
