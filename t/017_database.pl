# SPDX-License-Identifier: PostgreSQL
# The database that backstream.database names: not there yet, there, dropped, and there again.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;
use BackStreamTraffic;

my $node = backstream_node('database', conf => "backstream.database = 'flows'\n");
$node->start;

sub connected
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'backstream %' AND datname = 'flows'");
}

# Lines of the log about it, since some place.
sub lines
{
	my ($from) = @_;
	my @lines = grep { /database "flows"|background worker "backstream/ } split /\n/, substr(slurp_file($node->logfile), $from);
	return scalar @lines;
}

my $from = 0;
for my $round ('not there yet', 'dropped')
{
	sleep 5;
	# Each of the four workers is ended, fails once, and says that it waits: at most five lines.
	cmp_ok(lines($from), '<=', 20, "a database that is $round does not fill the log");
	like(substr(slurp_file($node->logfile), $from), qr/waits for database "flows"/, 'which says what is missing');
	is(connected(), '0', 'nobody is connected');
	$node->safe_psql('postgres', 'CREATE DATABASE other');
	$node->safe_psql('postgres', 'DROP DATABASE other');
	$node->safe_psql('postgres', 'CREATE DATABASE flows');
	ok(wait_until(60, sub { connected() == 4 }), 'the workers find it once it is there');
	$node->safe_psql('flows', <<'SQL');
CREATE EXTENSION backstream;
CREATE VIEW v WITH (continuous) AS SELECT count(*) FROM backstream.flow;
INSERT INTO backstream.flow (bytes) VALUES (1), (2);
SQL
	is($node->safe_psql('flows', 'TABLE v'), '2', 'and views count');
	$from = -s $node->logfile;
	$node->safe_psql('postgres', 'DROP DATABASE flows WITH (FORCE)');
}

$node->stop;
done_testing();
