/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodehello.c: what a node says of itself when a session connects, and whether that fits this server.
 *
 * States of aggregates and keys travel as bytes, which mean the same only where PostgreSQL's major version, the
 * database's encoding and the format of partials are the same.
 */
#include "backstream.h"

#include <libpq-fe.h>

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "nodeconn.h"

BS_SQL_FUNCTION(bs_hello);

#define NCOLUMNS 5

Datum
bs_hello(PG_FUNCTION_ARGS)
{
	Datum values[NCOLUMNS];
	bool nulls[NCOLUMNS] = {false};
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != NCOLUMNS)
		elog(ERROR, "backstream.hello() has other columns");
	values[0] = CStringGetTextDatum(BS_VERSION);
	values[1] = Int32GetDatum(BS_PARTIALS_FORMAT);
	values[2] = Int32GetDatum(PG_VERSION_NUM);
	values[3] = CStringGetTextDatum(GetDatabaseEncodingName());
	values[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* ---------- at the other end ---------- */

void
bs_conn_read_hello(BsNodeConn *conn, const PGresult *row)
{
	BsNodeHello *hello = &conn->hello;
	int64 now = GetCurrentTimestamp();
	instr_time answered;

	INSTR_TIME_SET_CURRENT(answered);
	INSTR_TIME_SUBTRACT(answered, conn->asked);
	memset(hello, 0, sizeof(*hello));
	strlcpy(hello->version, PQgetvalue(row, 0, 0), sizeof(hello->version));
	hello->format = atoi(PQgetvalue(row, 0, 1));
	hello->server_version = atoi(PQgetvalue(row, 0, 2));
	strlcpy(hello->encoding, PQgetvalue(row, 0, 3), sizeof(hello->encoding));
	hello->latency_usec = (int64) INSTR_TIME_GET_MICROSEC(answered);
	hello->clock_ahead_usec = DatumGetTimestampTz(DirectFunctionCall3(
								  timestamptz_in, CStringGetDatum(PQgetvalue(row, 0, 4)),
								  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))) -
							  (now - hello->latency_usec / 2);
}

char *
bs_hello_misfit(const BsNodeHello *hello)
{
	if (hello->server_version / 10000 != PG_VERSION_NUM / 10000)
		return psprintf("it runs PostgreSQL %d, this server %d", hello->server_version / 10000,
						PG_VERSION_NUM / 10000);
	if (hello->format != BS_PARTIALS_FORMAT)
		return psprintf(
			"its BackStream %s writes partial states in format %d, this server's %s in format %d",
			hello->version, hello->format, BS_VERSION, BS_PARTIALS_FORMAT);
	if (strcmp(hello->encoding, GetDatabaseEncodingName()) != 0)
		return psprintf("its database has encoding %s, this one %s", hello->encoding,
						GetDatabaseEncodingName());
	return NULL;
}

/* The schema, or the function in it, is not there. */
static bool
is_missing(const char *state)
{
	return state != NULL && (strcmp(state, "3F000") == 0 || strcmp(state, "42883") == 0);
}

void
bs_conn_greeted(BsNodeRequest *request, const PGresult *result)
{
	const char *state;

	switch (PQresultStatus(result))
	{
		case PGRES_TUPLES_OK:
			if (PQntuples(result) != 1 || PQnfields(result) < NCOLUMNS)
				break;
			bs_conn_read_hello(request->conn, result);
			return;
		case PGRES_COMMAND_OK:
			return;
		default:
			state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
			if (is_missing(state))
				bs_node_fail(
					request, BS_NODE_MISFIT, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					psprintf("there is no extension \"%s\" in its database \"%s\"", BS_EXTENSION,
							 PQdb(request->conn->pg)),
					NULL,
					"CREATE EXTENSION there, and give dbname in the options of the server here.");
			else
				bs_node_fail(request, BS_NODE_REFUSED, ERRCODE_CONNECTION_FAILURE,
							 PQresultErrorMessage(result), NULL, NULL);
			return;
	}
	bs_node_fail(request, BS_NODE_MISFIT, ERRCODE_PROTOCOL_VIOLATION, "it did not say who it is",
				 NULL, NULL);
}
