/* SPDX-License-Identifier: PostgreSQL */
/* nodetail.c: a live tail of a stream that nodes have.  See nodetail.h. */
#include "backstream.h"

#include <libpq-fe.h>

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "nodeconn.h"
#include "nodedefine.h"
#include "nodeship.h"
#include "nodetail.h"

/* How often a node is to say that it is there, of the time after which it is taken to be away; and no less often. */
#define REPORTS_PER_TIMEOUT 4
#define MAX_REPORT_MSEC     1000
#define MIN_REPORT_MSEC     5

/* What one node has to do with a tail. */
typedef struct TailPart
{
	const BsNode *node;
	BsNodeTail *tail;
	BsNodeRequest *request; /* NULL: it is not asked now */
	bool failed;
	bool begun; /* the header has come */
	uint64 dropped;
	/* Of runs before this one: */
	uint64 rows_before;
	uint64 bytes_before;
	uint64 dropped_before;
} TailPart;

/* A column of the rows. */
typedef struct TailColumn
{
	AttrNumber attno;
	int32 typmod;
	Oid ioparam;
	FmgrInfo receive; /* or input, where the row is text */
} TailColumn;

struct BsNodeTail
{
	MemoryContext context;
	Relation stream;
	const Bitmapset *wanted;
	BsNodeFailure failure;
	Oid local;
	int nparts;
	TailPart *parts;
	bool binary;
	int ncolumns;
	TailColumn *columns;

	/* While it runs: */
	MemoryContext run_context;
	BsNodeLoop *loop;
	BsNodeRequest *requests;
	int nrequests;
	StringInfoData queue; /* messages, each after its length */
};

/* ---------- what is sent ---------- */

/* Do its values mean the same as bytes there and here?  Enums travel as labels. */
static bool
is_binary(Oid type)
{
	Oid base = getBaseType(type);
	HeapTuple tuple;
	bool both;

	if (get_typtype(base) == TYPTYPE_ENUM)
		return true;
	if (!bs_ship_type_is_portable(base))
		return false;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(base));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "there is no type %u", base);
	both = OidIsValid(((Form_pg_type) GETSTRUCT(tuple))->typsend) &&
		   OidIsValid(((Form_pg_type) GETSTRUCT(tuple))->typreceive);
	ReleaseSysCache(tuple);
	return both;
}

/* The cast makes sure that there it is what it is here. */
static void
put_column(StringInfo sql, Form_pg_attribute attribute)
{
	appendStringInfoString(sql, quote_identifier(NameStr(attribute->attname)));
	if (bs_ship_type_is_portable(attribute->atttypid))
		appendStringInfo(sql, "::%s", format_type_with_typemod(attribute->atttypid, -1));
}

static List *
column_names(TupleDesc desc)
{
	List *names = NIL;

	for (int i = 0; i < desc->natts; i++)
		names = lappend(names, makeString(pstrdup(NameStr(TupleDescAttr(desc, i)->attname))));
	return names;
}

char *
bs_node_tail_sql(Relation stream, const Bitmapset *wanted, List *conditions)
{
	TupleDesc desc = RelationGetDescr(stream);
	char *where = bs_ship_text(conditions, column_names(desc));
	StringInfoData sql;
	char *schema;
	char *name;
	int attno = 0;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	/* A row has a column at least. */
	if (bms_is_empty(wanted))
		appendStringInfoString(&sql, "NULL");
	while ((attno = bms_next_member(wanted, attno)) > 0)
	{
		put_column(&sql, TupleDescAttr(desc, attno - 1));
		if (bms_next_member(wanted, attno) > 0)
			appendStringInfoString(&sql, ", ");
	}
	bs_node_stream_names(RelationGetRelid(stream), &schema, &name);
	appendStringInfo(&sql, " FROM %s", quote_qualified_identifier(schema, name));
	if (where != NULL)
		appendStringInfo(&sql, " WHERE %s", where);
	return sql.data;
}

/* ---------- opening ---------- */

static Oid
local_stream(const BsNodeTail *tail)
{
	char *schema;
	char *name;
	Oid namespace;
	Oid relid;

	bs_node_stream_names(RelationGetRelid(tail->stream), &schema, &name);
	namespace = get_namespace_oid(schema, true);
	relid = OidIsValid(namespace) ? get_relname_relid(name, namespace) : InvalidOid;
	if (!OidIsValid(relid) || !bs_relation_is_stream(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("node \"%s\": there is no stream \"%s.%s\"", BS_LOCAL_NODE, schema, name)));
	return relid;
}

/* Values go through the receive functions of their types, which take texts to be in the client's encoding. */
static bool
may_be_binary(const BsNodeTail *tail)
{
	for (int i = 0; i < tail->ncolumns; i++)
		if (!is_binary(TupleDescAttr(RelationGetDescr(tail->stream), tail->columns[i].attno - 1)->atttypid))
			return false;
	return pg_get_client_encoding() == GetDatabaseEncoding();
}

static void
set_up_columns(BsNodeTail *tail)
{
	TupleDesc desc = RelationGetDescr(tail->stream);
	int attno = 0;

	tail->columns = palloc0(sizeof(TailColumn) * (Size) (bms_num_members(tail->wanted) + 1));
	while ((attno = bms_next_member(tail->wanted, attno)) > 0)
		tail->columns[tail->ncolumns++].attno = (AttrNumber) attno;
	tail->binary = may_be_binary(tail);
	for (int i = 0; i < tail->ncolumns; i++)
	{
		TailColumn *column = &tail->columns[i];
		Form_pg_attribute attribute = TupleDescAttr(desc, column->attno - 1);
		Oid function;

		column->typmod = attribute->atttypmod;
		if (tail->binary)
			getTypeBinaryInputInfo(attribute->atttypid, &function, &column->ioparam);
		else
			getTypeInputInfo(attribute->atttypid, &function, &column->ioparam);
		fmgr_info(function, &column->receive);
	}
}

BsNodeTail *
bs_node_tail_open(Relation stream, const Bitmapset *wanted, Oid user, MemoryContext context)
{
	MemoryContext outer = MemoryContextSwitchTo(context);
	BsNodeTail *tail = palloc0(sizeof(BsNodeTail));
	Oid server = GetForeignServerIdByRelId(RelationGetRelid(stream));
	List *nodes = bs_server_nodes(server, user);
	BsViewOptions no_options;

	bs_view_options_parse(NIL, &no_options);
	tail->context = context;
	tail->stream = stream;
	tail->wanted = wanted;
	tail->failure = bs_node_failure(&no_options, server);
	tail->nparts = list_length(nodes);
	tail->parts = palloc0(sizeof(TailPart) * (Size) tail->nparts);
	for (int i = 0; i < tail->nparts; i++)
	{
		tail->parts[i].node = list_nth(nodes, i);
		tail->parts[i].tail = tail;
		if (!OidIsValid(tail->parts[i].node->server))
			tail->local = local_stream(tail);
	}
	set_up_columns(tail);
	initStringInfo(&tail->queue);
	tail->run_context =
		AllocSetContextCreate(context, "backstream tail of nodes", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(outer);
	return tail;
}

Oid
bs_node_tail_local(const BsNodeTail *tail)
{
	return tail->local;
}

/* ---------- messages ---------- */

static const char copy_signature[11] = "PGCOPY\n\377\r\n\0";

/* What stands before the first row: the signature, flags, and the length of what may follow; -1: it is another. */
static int
header_bytes(const char *data, int len)
{
	uint32 extension;

	if (len < 19 || memcmp(data, copy_signature, sizeof(copy_signature)) != 0)
		return -1;
	memcpy(&extension, data + 15, sizeof(extension));
	extension = pg_ntoh32(extension);
	return extension <= (uint32) (len - 19) ? 19 + (int) extension : -1;
}

/* Rows are kept as they come, until somebody wants them. */
static bool
take_data(BsNodeRequest *request, const char *data, int len)
{
	TailPart *part = request->context;
	int header = 0;

	if (part->tail->binary && !part->begun)
		header = header_bytes(data, len);
	if (header < 0)
	{
		bs_node_fail(request, BS_NODE_MISFIT, ERRCODE_PROTOCOL_VIOLATION, "what it sends is no COPY", NULL,
					 NULL);
		return false;
	}
	part->begun = true;
	data += header;
	len -= header;
	/* The last one says that it is. */
	if (part->tail->binary && len <= (int) sizeof(int16))
	{
		request->rows--;
		return true;
	}
	appendBinaryStringInfo(&part->tail->queue, (const char *) &len, sizeof(len));
	appendBinaryStringInfo(&part->tail->queue, data, len);
	return true;
}

static void
bad_row(const BsNodeTail *tail)
{
	ereport(ERROR,
			(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
			 errmsg("a record of stream \"%s\" has other columns on a node", RelationGetRelationName(tail->stream)),
			 errhint("Import the stream anew.")));
}

/* ---------- rows that are binary ---------- */

static int32
take_number(const BsNodeTail *tail, StringInfo row, int bytes)
{
	if (row->len - row->cursor < bytes)
		bad_row(tail);
	return (int32) pq_getmsgint(row, bytes);
}

static void
read_binary(BsNodeTail *tail, StringInfo row, TupleTableSlot *slot)
{
	StringInfoData value;

	if (pg_get_client_encoding() != GetDatabaseEncoding())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("client_encoding was changed while stream \"%s\" is being read",
							   RelationGetRelationName(tail->stream))));
	if ((int16) take_number(tail, row, 2) != Max(tail->ncolumns, 1))
		bad_row(tail);
	initStringInfo(&value);
	for (int i = 0; i < tail->ncolumns; i++)
	{
		TailColumn *column = &tail->columns[i];
		int at = column->attno - 1;
		int32 len = take_number(tail, row, 4);

		if (len < -1 || len > row->len - row->cursor)
			bad_row(tail);
		resetStringInfo(&value);
		if (len > 0)
			appendBinaryStringInfo(&value, pq_getmsgbytes(row, len), len);
		slot->tts_values[at] = ReceiveFunctionCall(&column->receive, len >= 0 ? &value : NULL, column->ioparam,
												   column->typmod);
		slot->tts_isnull[at] = len < 0;
		if (len >= 0 && value.cursor != value.len)
			bad_row(tail);
	}
}

/* ---------- rows that are text ---------- */

/* The next value of a line of COPY, in place; NULL: it is null.  *line goes on behind it, NULL at the end. */
static char *
take_text(char **line)
{
	static const char escapes[] = "b\bf\fn\nr\rt\tv\v";
	char *value = *line;
	char *to = value;
	bool is_null = strncmp(value, "\\N", 2) == 0;
	char *from;

	for (from = value; *from != '\0' && *from != '\t' && *from != '\n'; from++)
	{
		const char *escape = NULL;

		if (*from == '\\' && from[1] != '\0')
		{
			from++;
			escape = strchr(escapes, *from);
		}
		*to++ = escape != NULL && (escape - escapes) % 2 == 0 ? escape[1] : *from;
	}
	*line = *from == '\t' ? from + 1 : NULL;
	*to = '\0';
	return is_null ? NULL : value;
}

static void
read_text(BsNodeTail *tail, StringInfo row, TupleTableSlot *slot)
{
	char *line = pnstrdup(row->data, (Size) row->len);

	for (int i = 0; i < tail->ncolumns; i++)
	{
		TailColumn *column = &tail->columns[i];
		int at = column->attno - 1;
		char *value;

		if (line == NULL)
			bad_row(tail);
		value = take_text(&line);
		slot->tts_values[at] = InputFunctionCall(&column->receive, value, column->ioparam, column->typmod);
		slot->tts_isnull[at] = value == NULL;
	}
}

bool
bs_node_tail_next(BsNodeTail *tail, TupleTableSlot *slot)
{
	StringInfo queue = &tail->queue;
	StringInfoData row;

	if (queue->cursor == queue->len)
	{
		resetStringInfo(queue);
		return false;
	}
	memcpy(&row.len, queue->data + queue->cursor, sizeof(row.len));
	row.data = queue->data + queue->cursor + sizeof(row.len);
	row.maxlen = row.len;
	row.cursor = 0;
	queue->cursor += (int) sizeof(row.len) + row.len;
	memset(slot->tts_isnull, true, sizeof(bool) * (Size) slot->tts_tupleDescriptor->natts);
	if (tail->binary)
		read_binary(tail, &row, slot);
	else
		read_text(tail, &row, slot);
	return true;
}

/* ---------- running ---------- */

/*
 * The node's session ends the statement by itself, and tells how it is; it need not keep more than this statement would
 * here.
 */
static char *
session_settings(const BsNode *node, int listen_for_msec)
{
	int64 report_msec = bs_node_timeout_usec(node) / 1000 / REPORTS_PER_TIMEOUT;

	return psprintf("SET backstream.listen_for = %d; SET backstream.tail_buffer = %d; SET backstream.tail_report = %d; "
					"SET client_connection_check_interval = %d; SET statement_timeout = 0; ",
					listen_for_msec, bs_setting_tail_buffer_kb,
					(int) Max(MIN_REPORT_MSEC, Min(report_msec, MAX_REPORT_MSEC)), BS_TAIL_LOOK_MSEC);
}

void
bs_node_tail_start(BsNodeTail *tail, List *conditions, int listen_for_msec)
{
	MemoryContext outer = MemoryContextSwitchTo(tail->run_context);
	char *sql = psprintf("COPY (%s) TO STDOUT%s", bs_node_tail_sql(tail->stream, tail->wanted, conditions),
						 tail->binary ? " (FORMAT binary)" : "");

	Assert(tail->loop == NULL);
	tail->requests = palloc0(sizeof(BsNodeRequest) * (Size) tail->nparts);
	tail->nrequests = 0;
	for (int i = 0; i < tail->nparts; i++)
	{
		TailPart *part = &tail->parts[i];

		if (!OidIsValid(part->node->server))
			continue;
		part->failed = false;
		part->begun = false;
		part->request = &tail->requests[tail->nrequests++];
		*part->request = (BsNodeRequest){
			.node = part->node,
			.sql = sql,
			.nparams = -1,
			.take_data = take_data,
			.own_settings = session_settings(part->node, listen_for_msec),
			.own_buffer_bytes = bs_setting_tail_buffer_kb * 1024,
			.listening = true,
			.context = part,
		};
	}
	tail->loop = bs_nodes_begin(tail->requests, tail->nrequests, 0);
	MemoryContextSwitchTo(outer);
}

/* What the nodes have said of records that found no room. */
static void
note_dropped(BsNodeTail *tail)
{
	for (int i = 0; i < tail->nparts; i++)
	{
		TailPart *part = &tail->parts[i];
		const char *told =
			part->request != NULL ? bs_node_parameter(part->request, BS_TAIL_PARAMETER) : NULL;

		if (told != NULL)
			part->dropped = strtoull(told, NULL, 10);
	}
}

void
bs_node_tail_stop(BsNodeTail *tail)
{
	if (tail->loop == NULL)
		return;
	note_dropped(tail);
	bs_nodes_end(tail->loop);
	tail->loop = NULL;
	for (int i = 0; i < tail->nparts; i++)
	{
		TailPart *part = &tail->parts[i];

		if (part->request == NULL)
			continue;
		part->rows_before += part->request->rows;
		part->bytes_before += part->request->bytes;
		part->dropped_before += part->dropped;
		part->dropped = 0;
		part->request = NULL;
	}
	resetStringInfo(&tail->queue);
	MemoryContextReset(tail->run_context);
}

static void
look_for_failures(BsNodeTail *tail)
{
	for (int i = 0; i < tail->nparts; i++)
	{
		TailPart *part = &tail->parts[i];
		BsNodeRequest *request = part->request;

		if (request == NULL || part->failed || !request->done || request->trouble == BS_NODE_FINE)
			continue;
		if (tail->failure != BS_NODE_FAILURE_PARTIAL || !bs_node_may_be_missing(request))
			bs_node_report(request, ERROR);
		part->failed = true;
		ereport(WARNING,
				(errcode(request->sqlerrcode),
				 errmsg("from now on the records of stream \"%s\" lack those of node \"%s\"",
						RelationGetRelationName(tail->stream), part->node->name),
				 errdetail_internal("%s", request->message)));
	}
}

bool
bs_node_tail_wait(BsNodeTail *tail, long wait_msec)
{
	MemoryContext outer;
	bool going;

	if (tail->queue.cursor < tail->queue.len)
		return true;
	outer = MemoryContextSwitchTo(tail->run_context);
	going = bs_nodes_turn(tail->loop, wait_msec);
	MemoryContextSwitchTo(outer);
	note_dropped(tail);
	look_for_failures(tail);
	return going;
}

void
bs_node_tail_time_is_over(BsNodeTail *tail)
{
	for (int i = 0; i < tail->nrequests && tail->loop != NULL; i++)
		tail->requests[i].listening = false;
}

/* ---------- telling ---------- */

static uint64
part_rows(const TailPart *part)
{
	return part->rows_before + (part->request != NULL ? part->request->rows : 0);
}

uint64
bs_node_tail_dropped(const BsNodeTail *tail)
{
	uint64 dropped = 0;

	for (int i = 0; i < tail->nparts; i++)
		dropped += tail->parts[i].dropped + tail->parts[i].dropped_before;
	return dropped;
}

uint64
bs_node_tail_records(const BsNodeTail *tail)
{
	uint64 records = 0;

	for (int i = 0; i < tail->nparts; i++)
		records += part_rows(&tail->parts[i]);
	return records;
}

static void
explain_part(const TailPart *part, ExplainState *es)
{
	uint64 bytes = part->bytes_before + (part->request != NULL ? part->request->bytes : 0);
	uint64 dropped = part->dropped + part->dropped_before;

	ExplainOpenGroup("Node", NULL, true, es);
	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		appendStringInfoSpaces(es->str, es->indent * 2);
		appendStringInfo(es->str, "Node %s: records=" UINT64_FORMAT " bytes=" UINT64_FORMAT " dropped=" UINT64_FORMAT "%s\n",
						 part->node->name, part_rows(part), bytes, dropped, part->failed ? " failed" : "");
	}
	else
	{
		ExplainPropertyText("Node", part->node->name, es);
		ExplainPropertyBool("Answered", !part->failed, es);
		ExplainPropertyUInteger("Records", NULL, part_rows(part), es);
		ExplainPropertyUInteger("Bytes", NULL, bytes, es);
		ExplainPropertyUInteger("Dropped", NULL, dropped, es);
	}
	ExplainCloseGroup("Node", NULL, true, es);
}

void
bs_node_tail_explain(const BsNodeTail *tail, ExplainState *es)
{
	ExplainOpenGroup("Nodes", "Nodes", false, es);
	for (int i = 0; i < tail->nparts; i++)
		if (OidIsValid(tail->parts[i].node->server))
			explain_part(&tail->parts[i], es);
	ExplainCloseGroup("Nodes", "Nodes", false, es);
}
