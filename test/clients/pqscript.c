/* SPDX-License-Identifier: PostgreSQL */
/*
 * pqscript.c: a client that says in which way each statement is sent.
 *
 *   pqscript CONNINFO < script
 *
 * Each line is a command and, after a blank, its argument (backslash-n is a new line in it):
 *
 *   query TEXT           simple query
 *   params TEXT          Parse (unnamed), Bind, Execute, Sync
 *   prepare NAME TEXT    Parse (NAME; "-" is the unnamed one), Sync
 *   run NAME             Bind and Execute of NAME
 *   pipeline TEXT|TEXT   each text as params, one Sync at the end
 *   encoding NAME        client_encoding
 *
 * Each result is one line: TAG, ROWS (number and first value), or ERROR with SQLSTATE, position,
 * message, detail and hint.  After each command a line says whether client and server are still in
 * step, which a query with a known answer shows.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static PGconn *conn;

static const char *
field(const PGresult *result, int code)
{
	const char *value = PQresultErrorField(result, code);

	return value ? value : "-";
}

static void
print_escaped(const char *s)
{
	for (; *s; s++)
	{
		if (*s == '\n')
			fputs("\\n", stdout);
		else
			putchar(*s);
	}
}

static void
print_result(const PGresult *result)
{
	switch (PQresultStatus(result))
	{
		case PGRES_COMMAND_OK:
			printf("TAG %s\n", PQcmdStatus((PGresult *) result));
			break;
		case PGRES_TUPLES_OK:
			printf("ROWS %d %s\n", PQntuples(result),
				   PQntuples(result) > 0 && PQnfields(result) > 0 ? PQgetvalue(result, 0, 0) : "-");
			break;
		case PGRES_PIPELINE_SYNC:
			puts("SYNC");
			break;
		case PGRES_PIPELINE_ABORTED:
			puts("SKIPPED");
			break;
		case PGRES_EMPTY_QUERY:
			puts("EMPTY");
			break;
		default:
			printf("ERROR %s %s ", field(result, PG_DIAG_SQLSTATE),
				   field(result, PG_DIAG_STATEMENT_POSITION));
			print_escaped(field(result, PG_DIAG_MESSAGE_PRIMARY));
			fputs(" / ", stdout);
			print_escaped(field(result, PG_DIAG_MESSAGE_DETAIL));
			fputs(" / ", stdout);
			print_escaped(field(result, PG_DIAG_MESSAGE_HINT));
			putchar('\n');
	}
}

static void
drain(void)
{
	PGresult *result;

	while ((result = PQgetResult(conn)) != NULL)
	{
		print_result(result);
		PQclear(result);
	}
}

static void
print_and_clear(PGresult *result)
{
	print_result(result);
	PQclear(result);
}

static void
pipeline(char *texts)
{
	int nqueries = 0;

	PQenterPipelineMode(conn);
	for (char *text = strtok(texts, "|"); text; text = strtok(NULL, "|"), nqueries++)
		PQsendQueryParams(conn, text, 0, NULL, NULL, NULL, NULL, 0);
	PQpipelineSync(conn);
	for (int i = 0; i < nqueries; i++)
		drain();
	drain();
	PQexitPipelineMode(conn);
}

/* A query with a known answer, and no transaction left open. */
static void
check_step(void)
{
	PGresult *result = PQexec(conn, "SELECT 42");
	int right = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
				strcmp(PQgetvalue(result, 0, 0), "42") == 0;

	if (PQtransactionStatus(conn) == PQTRANS_IDLE && right)
		puts("in step");
	else if (PQtransactionStatus(conn) == PQTRANS_INTRANS && right)
		puts("in step, in a transaction");
	else if (PQtransactionStatus(conn) == PQTRANS_INERROR)
		puts("in step, in a failed transaction");
	else
		puts("OUT OF STEP");
	PQclear(result);
}

static void
unescape(char *s)
{
	char *to = s;

	for (; *s; s++)
	{
		if (s[0] == '\\' && s[1] == 'n')
		{
			*to++ = '\n';
			s++;
		}
		else
			*to++ = *s;
	}
	*to = '\0';
}

static void
command(char *line)
{
	char *argument = strchr(line, ' ');

	if (argument == NULL)
		argument = line + strlen(line);
	else
		*argument++ = '\0';
	unescape(argument);
	if (strcmp(line, "query") == 0)
	{
		if (PQsendQuery(conn, argument))
			drain();
	}
	else if (strcmp(line, "params") == 0)
		print_and_clear(PQexecParams(conn, argument, 0, NULL, NULL, NULL, NULL, 0));
	else if (strcmp(line, "prepare") == 0)
	{
		char *text = strchr(argument, ' ');

		if (text == NULL)
			return;
		*text++ = '\0';
		print_and_clear(PQprepare(conn, strcmp(argument, "-") == 0 ? "" : argument, text, 0, NULL));
	}
	else if (strcmp(line, "run") == 0)
		print_and_clear(PQexecPrepared(conn, strcmp(argument, "-") == 0 ? "" : argument, 0, NULL,
									   NULL, NULL, 0));
	else if (strcmp(line, "pipeline") == 0)
		pipeline(argument);
	else if (strcmp(line, "encoding") == 0)
		PQsetClientEncoding(conn, argument);
	else
		printf("unknown command %s\n", line);
	check_step();
}

static void
ignore_notice(void *arg, const PGresult *result)
{
	(void) arg;
	(void) result;
}

int
main(int argc, char **argv)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	conn = PQconnectdb(argc > 1 ? argv[1] : "");
	if (PQstatus(conn) != CONNECTION_OK)
	{
		fprintf(stderr, "%s", PQerrorMessage(conn));
		return 1;
	}
	PQsetNoticeReceiver(conn, ignore_notice, NULL);
	while ((len = getline(&line, &size, stdin)) > 0)
	{
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (line[0] != '\0')
			command(line);
		fflush(stdout);
	}
	free(line);
	PQfinish(conn);
	return 0;
}
