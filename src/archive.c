/* SPDX-License-Identifier: PostgreSQL */
/*
 * archive.c: writing closed windows into a table.  See archive.h.
 *
 * Rows are made as for every reader without a session (ownerrows.h) and collected, of as many windows as are
 * due, and put into the table by one INSERT of the view's owner: in a security-restricted operation, within
 * backstream.archive_timeout, with his own search_path, so that triggers and row security do what they would for him.
 */
#include "backstream.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/timeout.h"
#include "utils/tuplestore.h"

#include "archive.h"
#include "ownerrows.h"

/* Rows made within one backstream.eval_timeout. */
#define BATCH_ROWS 1024
/* Windows are added to an INSERT until it has so many rows. */
#define INSERT_ROWS 5000
/* How the collected rows are called in it. */
#define ROWS_NAME "backstream closed rows"

typedef struct Archive
{
	BsOutputTask *task;
	BsOwnerRows *rows;
	Oid table;
	const BsWindowing *windowing;
	Tuplestorestate *collected;
	uint64 ncollected;
	int in_batch;
	bool writing; /* set while a row is collected: found set, an error has left the tuplestore broken */
} Archive;

/* ---------- the mark ---------- */

static void
run_sql(const char *sql, int nargs, Oid *types, Datum *values, int expected)
{
	int result = SPI_execute_with_args(sql, nargs, types, values, NULL, false, 0);

	if (result != expected)
		elog(ERROR, "\"%s\" failed: %s", sql, SPI_result_code_string(result));
}

static TimestampTz
first_timestamp(void)
{
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

	return isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
}

/*
 * Up to where the table has windows; its row is locked.  A table that the view has not used before goes on where the
 * view's last one was.
 */
static TimestampTz
read_mark(const Archive *archive)
{
	Oid types[] = {OIDOID, OIDOID, TIMESTAMPTZOID};
	Datum values[] = {ObjectIdGetDatum(archive->table), ObjectIdGetDatum(archive->task->relid), 0};
	TimestampTz mark;

	run_sql("UPDATE backstream.archived SET view = $2::pg_catalog.regclass WHERE archive::oid = $1 "
			"RETURNING archived_before",
			2, types, values, SPI_OK_UPDATE_RETURNING);
	if (SPI_processed > 0)
		mark = first_timestamp();
	else
	{
		run_sql("SELECT pg_catalog.max(archived_before) FROM backstream.archived WHERE view::oid = $2 AND $1 > 0", 2,
				types, values, SPI_OK_SELECT);
		mark = first_timestamp();
		values[2] = TimestampTzGetDatum(mark);
		run_sql("INSERT INTO backstream.archived (archive, view, archived_before) VALUES "
				"($1::pg_catalog.regclass, $2::pg_catalog.regclass, $3)",
				3, types, values, SPI_OK_INSERT);
	}
	run_sql("UPDATE backstream.archived SET view = NULL WHERE view::oid = $2 AND archive::oid <> $1", 2, types,
			values, SPI_OK_UPDATE);
	return mark;
}

static void
write_mark(const Archive *archive)
{
	Oid types[] = {OIDOID, TIMESTAMPTZOID, INT8OID, INT8OID};
	Datum values[] = {ObjectIdGetDatum(archive->table), TimestampTzGetDatum(archive->task->done_before),
					  Int64GetDatum((int64) archive->task->windows),
					  Int64GetDatum((int64) archive->task->rows)};

	run_sql("UPDATE backstream.archived SET archived_before = $2, windows = windows + $3, rows = rows + $4 "
			"WHERE archive::oid = $1",
			4, types, values, SPI_OK_UPDATE);
}

/* ---------- collecting ---------- */

/* BsTakeRow */
static bool
collect_row(void *context, TupleTableSlot *slot)
{
	Archive *archive = context;

	archive->writing = true;
	tuplestore_puttupleslot(archive->collected, slot);
	archive->writing = false;
	archive->ncollected++;
	return ++archive->in_batch < BATCH_ROWS;
}

static void
collect_window(Archive *archive, int64 window)
{
	BsOwnerRows *rows = archive->rows;

	bs_owner_rows_load(rows, window);
	while (!rows->exhausted)
	{
		archive->in_batch = 0;
		if (!bs_owner_rows_next(rows, collect_row, archive))
			ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("%s", rows->error)));
		if (archive->writing)
			ereport(ERROR, (errcode(ERRCODE_IO_ERROR), errmsg("rows of a window cannot be collected: %s", rows->error)));
	}
	/* The rows are counted when they have been inserted. */
	bs_output_window_done(archive->task, archive->windowing, window, 0, rows->nfailed, rows->error);
}

/* ---------- inserting ---------- */

static char *
insert_statement(const Archive *archive)
{
	TupleDesc desc = RelationGetDescr(archive->rows->relation);
	StringInfoData columns;
	StringInfoData sql;

	initStringInfo(&columns);
	for (int i = 0; i < desc->natts; i++)
		appendStringInfo(&columns, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(NameStr(TupleDescAttr(desc, i)->attname)));
	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (%s) SELECT %s FROM %s", bs_archive_table_name(archive->table),
					 columns.data, columns.data, quote_identifier(ROWS_NAME));
	return sql.data;
}

static void
register_rows(const Archive *archive)
{
	EphemeralNamedRelation rows = palloc0(sizeof(EphemeralNamedRelationData));

	rows->md.name = ROWS_NAME;
	rows->md.tupdesc = CreateTupleDescCopy(RelationGetDescr(archive->rows->relation));
	rows->md.enrtype = ENR_NAMED_TUPLESTORE;
	rows->md.enrtuples = (double) archive->ncollected;
	rows->reldata = archive->collected;
	if (SPI_register_relation(rows) != SPI_OK_REL_REGISTER)
		elog(ERROR, "rows of closed windows cannot be named");
}

static void
insert_as_owner(Archive *archive)
{
	Oid owner = archive->rows->relation->rd_rel->relowner;
	const char *path = GetConfigOptionResetString("search_path");
	char *sql = insert_statement(archive);
	int level = NewGUCNestLevel();
	int security;
	Oid user;

	register_rows(archive);
	GetUserIdAndSecContext(&user, &security);
	(void) set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SetUserIdAndSecContext(owner, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	/* What is deferred would run when his rights are no longer in force. */
	run_sql("SET CONSTRAINTS ALL IMMEDIATE", 0, NULL, NULL, SPI_OK_UTILITY);
	run_sql(sql, 0, NULL, NULL, SPI_OK_INSERT);
	archive->task->rows += SPI_processed;
	SetUserIdAndSecContext(user, security);
	/* What his triggers have set goes too. */
	AtEOXact_GUC(false, level);
	SPI_unregister_relation(ROWS_NAME);
}

static void
insert_rows(Archive *archive)
{
	if (archive->ncollected == 0)
		return;
	if (bs_setting_archive_timeout_msec > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, bs_setting_archive_timeout_msec);
	insert_as_owner(archive);
	disable_timeout(STATEMENT_TIMEOUT, false);
	CHECK_FOR_INTERRUPTS();
}

/* ---------- a run ---------- */

static void
check_table(const Archive *archive)
{
	Relation table = table_open(archive->table, NoLock);

	bs_archive_check_table(archive->rows->relation, table);
	table_close(table, NoLock);
}

/* False: not now. */
static bool
open_archive(Archive *archive, BsOutputTask *task)
{
	BsOwnerRows *rows = bs_owner_rows_open(task->relid, NULL, CurrentMemoryContext);
	const char *name = rows != NULL ? rows->reader->def->options.archive : NULL;

	if (rows == NULL)
		return false;
	*archive = (Archive){.task = task, .rows = rows, .windowing = &rows->reader->view->program.windowing};
	/* What was closed under another definition is no more; this one is taken up in a moment. */
	if (rows->reader->shape->fingerprint == task->fingerprint && name != NULL)
	{
		archive->table = bs_archive_table(name, false);
		if (ConditionalLockRelationOid(archive->table, RowExclusiveLock))
		{
			check_table(archive);
			archive->collected = tuplestore_begin_heap(false, false, work_mem);
			return true;
		}
	}
	bs_owner_rows_close(rows);
	return false;
}

static BsOutputOutcome
write_windows(Archive *archive)
{
	BsOutputTask *task = archive->task;
	BsOutputOutcome outcome = BS_OUTPUT_ALL;
	TimestampTz mark = read_mark(archive);
	int nwindows;
	BsWindowInfo *windows;

	task->done_before = Max(task->done_before, mark);
	windows = bs_output_windows(task, &nwindows);
	for (int i = 0; i < nwindows && outcome == BS_OUTPUT_ALL; i++)
	{
		if (bs_output_time_is_over(task) || archive->ncollected >= INSERT_ROWS)
			outcome = BS_OUTPUT_SOME;
		else
			collect_window(archive, windows[i].window);
	}
	insert_rows(archive);
	if (task->windows > 0)
		write_mark(archive);
	if (outcome == BS_OUTPUT_ALL)
		bs_output_all_done(task);
	return outcome;
}

BsOutputOutcome
bs_archive_run(BsOutputTask *task)
{
	BsOutputOutcome outcome;
	Archive archive;

	if (!open_archive(&archive, task))
		return BS_OUTPUT_BUSY;
	SPI_connect();
	outcome = write_windows(&archive);
	SPI_finish();
	tuplestore_end(archive.collected);
	bs_owner_rows_close(archive.rows);
	return outcome;
}
