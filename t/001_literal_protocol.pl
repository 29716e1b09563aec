# SPDX-License-Identifier: PostgreSQL
# CREATE CONTINUOUS VIEW as it is written, in every way in which a client can send it: taken over where
# that is sure to be right, and otherwise the syntax error that it is to PostgreSQL, with client and
# server in step.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use BackStreamTest;

my $create = 'CREATE CONTINUOUS VIEW v AS SELECT count(*) FROM backstream.flow';
my $drop = 'DROP CONTINUOUS VIEW v';
my $exists = "query SELECT to_regclass('v') IS NOT NULL";
my $syntax_error = qr/^ERROR 42601 8 syntax error at or near "CONTINUOUS" \/ - \/ Here, write CREATE VIEW/;
my $hint = qr/Here, write CREATE VIEW name WITH \(continuous\)/;

my $node = backstream_node('main', init => { allows_streaming => 1 },
	conf => "max_prepared_transactions = 2\nlog_statement = ddl\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION backstream');

# A setting that every session from now on has.
sub set_and_reload
{
	my ($name, $value) = @_;

	$node->append_conf('postgresql.conf', "$name = $value\n");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT setting = '$value' FROM pg_settings WHERE name = '$name'")
	  or die "$name is not $value";
}

# A script, and what each of its lines should give: a text or a regular expression per line.
sub check
{
	my ($name, $script, $expected, %options) = @_;
	my @got = pqscript($node, $script, %options);
	my $ok = @got == @$expected;

	for my $i (0 .. $#$expected)
	{
		last unless $ok;
		my $want = $expected->[$i];
		$ok = ref $want ? $got[$i] =~ $want : $got[$i] eq $want;
	}
	ok($ok, $name) or diag("got:\n" . join("\n", @got));
}

# ---------- simple query ----------

check('simple query', "query $create\n$exists\nquery $drop\n$exists\n",
	[ 'TAG CREATE CONTINUOUS VIEW', 'in step', 'ROWS 1 t', 'in step',
	  'TAG DROP CONTINUOUS VIEW', 'in step', 'ROWS 1 f', 'in step' ]);
check('comments and white space before it', "query \\n -- one\\n /* two /* three */ */\\n\t$create\nquery/\n",
	[ 'TAG CREATE CONTINUOUS VIEW', 'in step', 'unknown command query/', 'in step' ]);
check('it exists already', "query $create\nquery $drop\n",
	[ 'ERROR 42P07 - relation "v" already exists / - / -', 'in step', 'TAG DROP CONTINUOUS VIEW', 'in step' ]);
check('many in a row', ("query $create\nquery $drop\n" x 20),
	[ ('TAG CREATE CONTINUOUS VIEW', 'in step', 'TAG DROP CONTINUOUS VIEW', 'in step') x 20 ]);
check('errors in the statement itself',
	"query CREATE CONTINUOUS VIEW v AS SELECT nothing FROM backstream.flow\n"
	  . "query CREATE CONTINUOUS VIEW v AS\\nSELECT 'ä', nothing FROM backstream.flow\n"
	  . "query CREATE CONTINUOUS VIEW v AS SELEC\n$exists\n",
	[ qr/^ERROR 42703 36 column "nothing" does not exist/, 'in step',
	  qr/^ERROR 42703 41 column "nothing" does not exist/, 'in step',
	  qr/^ERROR 42601 29 syntax error at or near "SELEC"/, 'in step', 'ROWS 1 f', 'in step' ]);
check('several statements in a message',
	"query $create; SELECT 2\nquery SELECT 1; $create\nquery $create; $create\n$exists\n",
	[ qr/^ERROR 42601 8 .*must be the only statement/, 'in step',
	  qr/^ERROR 42601 18 syntax error at or near "CONTINUOUS" \/ - \/ -$/, 'in step',
	  qr/^ERROR 42601 74 syntax error at or near "CONTINUOUS"/, 'in step', 'ROWS 1 f', 'in step' ]);
check('in a transaction block', "query BEGIN\nquery $create\nquery ROLLBACK\n$exists\n",
	[ 'TAG BEGIN', 'in step, in a transaction', $syntax_error, 'in step, in a failed transaction',
	  'TAG ROLLBACK', 'in step', 'ROWS 1 f', 'in step' ]);
check('after a savepoint', "query BEGIN\nquery SAVEPOINT s\nquery $create\nquery ROLLBACK TO s\nquery CREATE VIEW v WITH (continuous) AS SELECT count(*) FROM backstream.flow\nquery COMMIT\nquery $drop\n",
	[ 'TAG BEGIN', 'in step, in a transaction', 'TAG SAVEPOINT', 'in step, in a transaction', $syntax_error,
	  'in step, in a failed transaction', 'TAG ROLLBACK', 'in step, in a transaction', 'TAG CREATE VIEW',
	  'in step, in a transaction', 'TAG COMMIT', 'in step', 'TAG DROP CONTINUOUS VIEW', 'in step' ]);
{
	my $long = 'x' x 1_300_000;
	check('a long text', "query CREATE CONTINUOUS VIEW v AS SELECT count(*) FROM backstream.flow WHERE flow_type = '$long'\nquery $drop\n",
		[ 'TAG CREATE CONTINUOUS VIEW', 'in step', 'TAG DROP CONTINUOUS VIEW', 'in step' ]);
}

# ---------- extended protocol ----------

check('PQexecParams', "params $create\n$exists\n", [ $syntax_error, 'in step', 'ROWS 1 f', 'in step' ]);
check('PQprepare, unnamed', "prepare - $create\n$exists\n", [ $syntax_error, 'in step', 'ROWS 1 f', 'in step' ]);
for my $length (1 .. 40)
{
	my $name = substr('abcdefgh' x 5, 0, $length);
	check("PQprepare, name of $length characters", "prepare $name $create\n$exists\nrun $name\n",
		[ $syntax_error, 'in step', 'ROWS 1 f', 'in step', qr/^ERROR 26000/, 'in step' ]);
}
check('pipeline', "pipeline SELECT 1|$create|SELECT 2\n$exists\n",
	[ 'ROWS 1 1', $syntax_error, 'SKIPPED', 'SYNC', 'in step', 'ROWS 1 f', 'in step' ]);
check('the second spelling and execute() in a pipeline',
	"pipeline CREATE VIEW v WITH (continuous) AS SELECT count(*) FROM backstream.flow|SELECT backstream.execute('$drop')|SELECT 1\n$exists\n",
	[ 'TAG CREATE VIEW', 'ROWS 1 ', 'ROWS 1 1', 'SYNC', 'in step', 'ROWS 1 f', 'in step' ]);
check('the second spelling, prepared',
	"prepare p CREATE VIEW v WITH (continuous) AS SELECT count(*) FROM backstream.flow\nrun p\nrun p\nprepare d DROP VIEW v\nrun d\nrun p\nrun d\n",
	[ 'TAG ', 'in step', 'TAG CREATE VIEW', 'in step', qr/^ERROR 42P07/, 'in step', 'TAG ', 'in step',
	  'TAG DROP VIEW', 'in step', 'TAG CREATE VIEW', 'in step', 'TAG DROP VIEW', 'in step' ]);

# A client encoding that makes the server convert: then the place of the text says nothing.
check('converted text, simple query', "encoding LATIN1\nquery $create\nquery $drop\n",
	[ 'in step', 'TAG CREATE CONTINUOUS VIEW', 'in step', 'TAG DROP CONTINUOUS VIEW', 'in step' ]);
check('converted text, extended', "encoding LATIN1\nprepare name $create\nprepare - $create\nparams $create\n$exists\n",
	[ 'in step', $syntax_error, 'in step', $syntax_error, 'in step', $syntax_error, 'in step', 'ROWS 1 f', 'in step' ]);

# Without process titles it is taken over only if the place of the text is sure to tell.
set_and_reload('update_process_title', 'off');
check('no process title, simple query', "query $create\nquery $drop\n",
	[ 'TAG CREATE CONTINUOUS VIEW', 'in step', 'TAG DROP CONTINUOUS VIEW', 'in step' ]);
check('no process title, extended', "prepare name $create\nprepare - $create\nparams $create\npipeline SELECT 1|$create\n$exists\n",
	[ ($syntax_error, 'in step') x 3, 'ROWS 1 1', $syntax_error, 'SYNC', 'in step', 'ROWS 1 f', 'in step' ]);
check('no process title, converted', "encoding LATIN1\nquery $create\nprepare name $create\n$exists\n",
	[ 'in step', ($syntax_error, 'in step') x 2, 'ROWS 1 f', 'in step' ]);
set_and_reload('update_process_title', 'on');

# ---------- the wire itself: a Query after messages that were not synchronised ----------

sub wire_connect
{
	my $port = $node->port;
	my $host = $node->host;
	my $socket;

	require IO::Socket::UNIX;
	$socket = IO::Socket::UNIX->new(Peer => "$host/.s.PGSQL.$port") or die "socket: $!";
	my $startup = pack('N', 196608) . "user\0" . $node->safe_psql('postgres', 'SELECT current_user') . "\0database\0postgres\0\0";
	$socket->print(pack('N', 4 + length $startup) . $startup);
	$socket->flush;
	wire_until($socket, 'Z');
	return $socket;
}

sub wire_send
{
	my ($socket, $type, $body) = @_;
	$socket->print($type . pack('N', 4 + length $body) . $body);
	$socket->flush;
}

# Types of the messages up to one of the given type, with the tag or SQLSTATE where there is one.
sub wire_until
{
	my ($socket, $last) = @_;
	my @seen;

	while (1)
	{
		my ($head, $body) = ('', '');
		read($socket, $head, 5) == 5 or return (@seen, 'EOF');
		my ($type, $len) = unpack('a N', $head);
		read($socket, $body, $len - 4) == $len - 4 or return (@seen, 'EOF');
		my $text = $type;
		$text .= '=' . substr($body, 0, -1) if $type eq 'C';
		$text .= "=$1" if $type eq 'E' && $body =~ /\0C([^\0]*)\0/;
		push @seen, $text unless $type =~ /[RSKN]/;
		return @seen if $type eq $last;
	}
}

sub wire_parse_execute
{
	my ($socket, $sql) = @_;
	wire_send($socket, 'P', "\0$sql\0" . pack('n', 0));
	wire_send($socket, 'B', "\0\0" . pack('nnn', 0, 0, 0));
	wire_send($socket, 'E', "\0" . pack('N', 0));
}

{
	my $socket = wire_connect();

	$node->safe_psql('postgres', 'CREATE TABLE kept (a int)');
	wire_send($socket, 'Q', "$create\0");
	is_deeply([ wire_until($socket, 'Z') ], [ 'C=CREATE CONTINUOUS VIEW', 'Z' ], 'wire: one CommandComplete, one ReadyForQuery');
	wire_send($socket, 'Q', "$drop\0");
	wire_until($socket, 'Z');

	# The INSERT is not committed yet when the Query comes; taking it over would lose it in silence.
	wire_parse_execute($socket, 'INSERT INTO kept VALUES (1)');
	wire_send($socket, 'Q', "$create\0");
	is_deeply([ wire_until($socket, 'Z') ], [ '1', '2', 'C=INSERT 0 1', 'E=42601', 'Z' ],
		'wire: a Query behind an unfinished pipeline is not taken over');
	is($node->safe_psql('postgres', "SELECT to_regclass('v') IS NULL"), 't', 'and nothing was created');
	wire_parse_execute($socket, 'SELECT 1');
	wire_send($socket, 'Q', "$create\0");
	is_deeply([ wire_until($socket, 'Z') ], [ '1', '2', 'D', 'C=SELECT 1', 'E=42601', 'Z' ],
		'wire: also if the pipeline has written nothing');
	wire_send($socket, 'P', "stmt\0$create\0" . pack('n', 0));
	wire_send($socket, 'S', '');
	is_deeply([ wire_until($socket, 'Z') ], [ 'E=42601', 'Z' ], 'wire: Parse and Sync');
	wire_send($socket, 'Q', "SELECT 1\0");
	is_deeply([ wire_until($socket, 'Z') ], [ 'T', 'D', 'C=SELECT 1', 'Z' ], 'wire: in step');
	$socket->close;
}

# ---------- who may, and what stops it ----------

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE plain LOGIN;
CREATE SCHEMA plain AUTHORIZATION plain;
SQL
my $theirs = 'CREATE CONTINUOUS VIEW plain.v AS SELECT count(bytes) FROM backstream.flow';
check('a plain role', "query $theirs\n", [ qr/^ERROR 42501 - permission denied for foreign table flow/, 'in step' ], user => 'plain');
$node->safe_psql('postgres', 'GRANT SELECT ON backstream.flow TO plain');
check('a plain role with SELECT', "query $theirs\n", [ qr/^ERROR 42501 - permission denied for foreign server backstream/, 'in step' ], user => 'plain');
$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER backstream TO plain');
check('a plain role with SELECT and USAGE', "query $theirs\nquery DROP CONTINUOUS VIEW plain.v\n",
	[ 'TAG CREATE CONTINUOUS VIEW', 'in step', 'TAG DROP CONTINUOUS VIEW', 'in step' ], user => 'plain');

# A session that holds a lock on a stream, so that a definition over it has to wait.
$node->safe_psql('postgres', 'CREATE FOREIGN TABLE held (a int) SERVER backstream');
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN');
$holder->query_safe('ALTER FOREIGN TABLE held ADD COLUMN b int');
my $waits = 'CREATE CONTINUOUS VIEW w AS SELECT count(*) FROM held';

check('statement_timeout', "query SET statement_timeout = 300\nquery $waits\nquery SELECT pg_sleep(0.1)\n",
	[ 'TAG SET', 'in step', qr/^ERROR 57014 - canceling statement due to statement timeout/, 'in step', 'ROWS 1 ', 'in step' ]);
check('lock_timeout', "query SET lock_timeout = 300\nquery $waits\n",
	[ 'TAG SET', 'in step', qr/^ERROR 55P03 .*lock timeout/, 'in step' ]);

sub waiting_session
{
	my ($application) = @_;
	my $file = $node->basedir . "/$application";
	append_to_file("$file.in", "query $waits\nquery SELECT 'after'\n");
	my $handle = IPC::Run::start([ "$ENV{BACKSTREAM_CLIENTS}/pqscript",
			$node->connstr('postgres') . " application_name=$application" ], '<', "$file.in", '>', "$file.out", '2>', "$file.err");

	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$application' AND wait_event_type = 'Lock'")
	  or die 'does not wait';
	return ($handle, "$file.out");
}

{
	my ($handle, $out) = waiting_session('waiter');

	is($node->safe_psql('postgres', "SELECT state, query FROM pg_stat_activity WHERE application_name = 'waiter'"),
		"active|$waits", 'pg_stat_activity shows it while it runs');
	$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'waiter'");
	$handle->finish;
	like(slurp_file($out), qr/^ERROR 57014 - canceling statement due to user request.*\nin step\nROWS 1 after\nin step$/m, 'cancel');
}
{
	my ($handle, $out) = waiting_session('victim');

	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'");
	$handle->finish;
	like(slurp_file($out), qr/^ERROR 57P01/m, 'terminate');
}
$holder->query_safe('ROLLBACK');
$holder->quit;
check('the lock is gone', "query $waits\nquery DROP CONTINUOUS VIEW w\n",
	[ 'TAG CREATE CONTINUOUS VIEW', 'in step', 'TAG DROP CONTINUOUS VIEW', 'in step' ]);

check('replication connection', "query $create\n", [ qr/^ERROR 42601 .*Here, write/, 'in step' ], more => 'replication=database');

# ---------- two-phase commit of a definition ----------

check('PREPARE TRANSACTION', "query BEGIN\nquery CREATE VIEW two WITH (continuous) AS SELECT count(*) AS n FROM held\nquery PREPARE TRANSACTION 'x'\nquery COMMIT PREPARED 'x'\n",
	[ 'TAG BEGIN', 'in step, in a transaction', 'TAG CREATE VIEW', 'in step, in a transaction', 'TAG PREPARE TRANSACTION', 'in step',
	  'TAG COMMIT PREPARED', 'in step' ]);
check('what was prepared is fed', "query INSERT INTO held VALUES (1), (2), (3)\nquery SELECT n FROM two\nquery DROP VIEW two\n",
	[ 'TAG INSERT 0 3', 'in step', 'ROWS 1 3', 'in step', 'TAG DROP VIEW', 'in step' ]);

# ---------- the log ----------

{
	my $offset = -s $node->logfile;
	$node->safe_psql('postgres', "SET log_min_duration_statement = 0;");
	check('with durations logged', "query SET log_min_duration_statement = 0\nquery $create\nquery CREATE CONTINUOUS VIEW x AS SELECT nothing FROM backstream.flow\nquery $drop\n",
		[ 'TAG SET', 'in step', 'TAG CREATE CONTINUOUS VIEW', 'in step', qr/^ERROR 42703/, 'in step', 'TAG DROP CONTINUOUS VIEW', 'in step' ]);
	my $log = substr(slurp_file($node->logfile), $offset);
	like($log, qr/LOG:  statement: \Q$create\E/, 'log_statement');
	like($log, qr/LOG:  duration: [0-9.]+ ms\n/, 'log_min_duration_statement, of one that is logged already');
	unlike($log, qr/syntax error/, 'what is taken over is not logged as an error');
	like($log, qr/STATEMENT:  CREATE CONTINUOUS VIEW x/, 'an error is logged with its statement');
}
set_and_reload('log_min_messages', 'fatal');
check('log_min_messages = fatal turns it off', "query $create\n",
	[ 'ERROR 42601 8 syntax error at or near "CONTINUOUS" / - / -', 'in step' ]);
set_and_reload('log_min_messages', 'warning');
set_and_reload('log_statement', 'none');

# ---------- nothing is left behind ----------

{
	my $bytes = "query SELECT sum(total_bytes) FROM pg_backend_memory_contexts\n";
	my @got = pqscript($node, ("query $create\nquery $drop\nquery CREATE CONTINUOUS VIEW v AS SELECT nothing FROM backstream.flow\n" x 50)
		  . $bytes . ("query $create\nquery $drop\nquery CREATE CONTINUOUS VIEW v AS SELECT nothing FROM backstream.flow\n" x 1000) . $bytes);
	my @sums = map { /^ROWS 1 (\d+)$/ ? $1 : () } @got;

	is(scalar(grep { /^TAG/ } @got), 2100, '1,050 created and dropped');
	cmp_ok($sums[1] - $sums[0], '<', 100_000, "memory of the session does not grow ($sums[0], then $sums[1])");
}

# ---------- other libraries, in either order ----------

for my $preload ('pg_stat_statements,auto_explain,backstream', 'backstream,auto_explain,pg_stat_statements')
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$preload'\nauto_explain.log_min_duration = 0\npg_stat_statements.track_utility = on\n");
	$node->restart;
	$node->safe_psql('postgres', 'CREATE EXTENSION IF NOT EXISTS pg_stat_statements; SELECT pg_stat_statements_reset()');
	check("$preload: works", "query $create\nquery $drop\nprepare x $create\nquery CREATE VIEW v WITH (continuous) AS SELECT count(*) FROM backstream.flow\nquery DROP VIEW v\nquery CREATE CONTINUOUS VIEW v AS SELECT nothing FROM backstream.flow\n",
		[ 'TAG CREATE CONTINUOUS VIEW', 'in step', 'TAG DROP CONTINUOUS VIEW', 'in step', $syntax_error, 'in step',
		  'TAG CREATE VIEW', 'in step', 'TAG DROP VIEW', 'in step', qr/^ERROR 42703 36 /, 'in step' ]);
	is($node->safe_psql('postgres', "SELECT string_agg(calls || ' ' || left(query, 24), ', ' ORDER BY query COLLATE \"C\") FROM pg_stat_statements WHERE query ~ 'VIEW' AND query !~ 'pg_stat'"),
		'1 CREATE            VIEW v, 1 CREATE VIEW v WITH (cont, 1 DROP            VIEW v, 1 DROP VIEW v', "$preload: each is recorded once");
}

# ---------- all other syntax errors ----------

# The same statements to this server and to one without the library: every answer must be the same.
{
	my $stock = backstream_node('stock', preload => '');
	$stock->start;
	my @words = ('CREATE', 'DROP', 'ALTER', 'CONTINUOUS', 'VIEW', 'OR', 'REPLACE', 'SELECT', 'FROM', 'AS', 'IF', 'NOT', 'EXISTS',
		'v', '(', ')', ',', "'text'", '"quoted"', '1', '*', '/* c */', '-- c\n', ';', 'WITH', 'TABLE', '$1', 'EXPLAIN', 'PREPARE', 'DO', '$$ x $$',
		'"CONTINUOUS"', "'CREATE CONTINUOUS VIEW'", 'ä');
	my $script = '';
	my $nstatements = 0;

	srand(15);
	while ($nstatements < 11_000)
	{
		my $text = join(' ', map { $words[ rand @words ] } 1 .. 2 + rand 8);

		# What is ours is tested above.
		(my $plain = $text) =~ s/\/\* c \*\/|-- c\\n/ /g;
		next if $plain =~ /^\s*(CREATE(\s+OR\s+REPLACE)?|DROP|ALTER)\s+CONTINUOUS\s+VIEW\b/;
		# Nothing that would change the two servers.
		next if $plain =~ /(^|;)\s*(DO|PREPARE)\b/;
		$script .= ($nstatements % 3 ? 'query' : 'params') . " $text\n";
		$nstatements++;
	}
	my @ours = pqscript($node, $script);
	my @theirs = pqscript($stock, $script);
	my $nerrors = grep { /^ERROR 42601/ } @theirs;
	my @different = grep { ($ours[$_] // '') ne ($theirs[$_] // '') } 0 .. $#theirs;

	cmp_ok($nerrors, '>=', 10_000, "$nerrors syntax errors");
	is(scalar @ours, scalar @theirs, 'as many answers');
	is(scalar @different, 0, 'each the same as without the library')
	  or diag(map { "$ours[$_]\n$theirs[$_]\n" } @different[ 0 .. ($#different > 4 ? 4 : $#different) ]);
	$stock->stop;
}

$node->stop;
done_testing();
