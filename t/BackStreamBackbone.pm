# SPDX-License-Identifier: PostgreSQL
# A backbone on one machine: some nodes, and a reader that has them as servers of a group "backbone".
package BackStreamBackbone;

use strict;
use warnings;
use Exporter 'import';
use BackStreamTest;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(start_nodes start_backbone join_backbone server_options sql_all differ);

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

# Give a server the nodes as node_1 .. node_n, and the group "backbone" of them with its stream.  Options: more_members, server
# (more options of the group).
sub join_backbone
{
	my ($server, $nodes, %options) = @_;
	my @names = map { "node_$_" } 1 .. @$nodes;
	my $list = join ', ', @names, @{ $options{more_members} // [] };
	my $more = $options{server} ? ", $options{server}" : '';

	for my $i (0 .. $#names)
	{
		$server->safe_psql('postgres', "CREATE SERVER $names[$i] FOREIGN DATA WRAPPER backstream OPTIONS ("
			  . server_options($nodes->[$i]) . "); CREATE USER MAPPING FOR PUBLIC SERVER $names[$i]");
	}
	$server->safe_psql('postgres', "CREATE SERVER backbone FOREIGN DATA WRAPPER backstream OPTIONS (nodes '$list'$more);
		CREATE SCHEMA backbone; IMPORT FOREIGN SCHEMA backstream FROM SERVER backbone INTO backbone");
}

# The reader, and nodes node_1 .. node_n, which the reader has joined.  Options: nodes (number), conf, reader_conf, and those of
# join_backbone().
sub start_backbone
{
	my (%options) = @_;
	my @names = map { "node_$_" } 1 .. ($options{nodes} // 3);
	my @nodes = start_nodes(\@names, conf => $options{conf} // '');
	my ($reader) = start_nodes(['reader'], conf => ($options{conf} // '') . ($options{reader_conf} // ''));

	join_backbone($reader, \@nodes, %options);
	return ($reader, @nodes);
}

# The same statement on several servers; the outputs.
sub sql_all
{
	my ($sql, @servers) = @_;
	return map { $_->safe_psql('postgres', $sql) } @servers;
}

# How many rows a view has and a query has not, or the other way round.  Sums of floats are in another order, so they are
# compared to six places.  search_path has the schema plain.
sub differ
{
	my ($server, $view, $sql) = @_;
	my $list = $server->safe_psql('postgres', qq{SELECT string_agg(CASE WHEN format_type(atttypid, NULL) = 'double precision' THEN format('round(%I::numeric, 6)', attname) WHEN format_type(atttypid, NULL) = 'inet' THEN format('host(%1\$I) || masklen(%1\$I)', attname) ELSE quote_ident(attname) END, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '$view'::regclass AND attnum > 0});
	my $columns = $server->safe_psql('postgres', qq{SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '$view'::regclass AND attnum > 0});
	return $server->safe_psql('postgres', qq{SET search_path = plain, backstream, public; WITH a AS (SELECT $list FROM $view), b AS (SELECT $list FROM ($sql) q ($columns))
		SELECT count(*) FROM ((SELECT * FROM a EXCEPT ALL SELECT * FROM b) UNION ALL (SELECT * FROM b EXCEPT ALL SELECT * FROM a)) d});
}

1;
