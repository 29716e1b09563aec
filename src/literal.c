/* SPDX-License-Identifier: PostgreSQL */
/*
 * literal.c: running CREATE, ALTER and DROP CONTINUOUS VIEW as they are written.
 *
 * To PostgreSQL the statement is a syntax error.  emit_log_hook sees that error before the client
 * does; where the message was a simple query, for sure, and no transaction has begun, it takes the
 * statement over: the error is not reported, and a callback on the reset of MessageContext runs the
 * statement at the top of the main loop, after the abort, as if it had just come in.  Everywhere
 * else the error stays what it is, with a hint.  backstream.execute() takes the same text anywhere.
 *
 * "For sure" matters: a client that has sent a Parse message waits for other answers than one that
 * has sent a Query, and would be out of step for the rest of the session.
 *
 * The hook is called only for errors that go to the server's log: with log_min_messages above error
 * the statement is a plain syntax error.
 */
#include "backstream.h"

#include "access/xact.h"
#include "commands/defrem.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "replication/walsender.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "literal.h"

BS_SQL_FUNCTION(bs_execute);

static const char other_spelling[] =
	"Here, write CREATE VIEW name WITH (continuous) AS SELECT ..., or use backstream.execute().";

/*
 * What was taken over, between the error and the reset of MessageContext.  Allocated by malloc: in
 * between every memory context of the statement goes.
 */
static struct
{
	char *text;
	char *message; /* of the syntax error */
	BsLiteralText found;
	MemoryContextCallback callback;
} pending;

static emit_log_hook_type previous_hook = NULL;

/* ---------- from text to statement ---------- */

static bool
is_ours(const Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_ViewStmt:
		case T_AlterTableStmt:
		case T_RenameStmt:
		case T_AlterObjectSchemaStmt:
			return true;
		case T_DropStmt:
			return ((const DropStmt *) statement)->removeType == OBJECT_VIEW;
		default:
			return false;
	}
}

/* message: what PostgreSQL said of the word CONTINUOUS; NULL: it was not asked. */
static RawStmt *
literal_parse(const char *blanked, const BsLiteralText *found, const char *message)
{
	List *statements = pg_parse_query(blanked);
	RawStmt *raw;

	if (list_length(statements) != 1 || !is_ours(linitial_node(RawStmt, statements)->stmt))
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						message ? errmsg_internal("%s", message)
								: errmsg("syntax error at or near \"CONTINUOUS\""),
						errhint("%s must be the only statement that is sent.", found->tag),
						errposition(pg_mbstrlen_with_len(blanked, found->continuous_offset) + 1)));
	raw = linitial_node(RawStmt, statements);
	if (IsA(raw->stmt, ViewStmt))
	{
		ViewStmt *view = (ViewStmt *) raw->stmt;

		view->options = lcons(makeDefElem("continuous", NULL, -1), view->options);
	}
	return raw;
}

/* The statement is marked as one of ours while it runs, and no longer. */
static void
plan_execute(PlannedStmt *plan, const char *source, const BsLiteralText *found,
			 ProcessUtilityContext context)
{
	const BsLiteral nothing = {.active = false};

	bs_ddl_set_literal(
		(BsLiteral){.active = true, .if_not_exists = found->if_not_exists_offset >= 0});
	PG_TRY();
	{
		ProcessUtility(plan, source, false, context, NULL, NULL, None_Receiver, NULL);
	}
	PG_CATCH();
	{
		bs_ddl_set_literal(nothing);
		PG_RE_THROW();
	}
	PG_END_TRY();
	bs_ddl_set_literal(nothing);
}

/* In the transaction that there is. */
static void
literal_execute(const char *text, const BsLiteralText *found, const char *message,
				ProcessUtilityContext context)
{
	char *blanked = bs_literal_blank(text, found);
	RawStmt *raw = literal_parse(blanked, found, message);
	List *queries;
	PlannedStmt *plan;

	PushActiveSnapshot(GetTransactionSnapshot());
	queries = pg_analyze_and_rewrite_fixedparams(raw, blanked, NULL, 0, NULL);
	plan = linitial_node(PlannedStmt, pg_plan_queries(queries, blanked, 0, NULL));
	plan_execute(plan, blanked, found, context);
	PopActiveSnapshot();
}

/* ---------- a statement that was taken over ---------- */

static void
report_duration(const char *text, bool was_logged)
{
	char msec[32];

	switch (check_log_duration(msec, was_logged))
	{
		case 1:
			ereport(LOG, (errmsg("duration: %s ms", msec), errhidestmt(true)));
			break;
		case 2:
			ereport(LOG, (errmsg("duration: %s ms  statement: %s", msec, text), errhidestmt(true)));
			break;
		default:
			break;
	}
}

static void
send_tag(const char *tag)
{
	StringInfoData message;

	pq_beginmessage(&message, 'C');
	pq_sendbytes(&message, tag, strlen(tag) + 1);
	pq_endmessage(&message);
}

/*
 * Runs at the top of the main loop, in MessageContext, which will be reset as soon as this returns;
 * if an error is raised it is reset at the next turn, and the text lives as long as the report
 * needs.
 */
static void
pending_run(void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	BsLiteralText found = pending.found;
	char *text = MemoryContextStrdup(MessageContext, pending.text);
	char *message = MemoryContextStrdup(MessageContext, pending.message);
	bool logged = false;

	free(pending.text);
	free(pending.message);
	pending.text = pending.message = NULL;

	MemoryContextSwitchTo(MessageContext);
	debug_query_string = text;
	pgstat_report_activity(STATE_RUNNING, text);
	set_ps_display(found.tag);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (StatementTimeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
	if (log_statement >= LOGSTMT_DDL)
	{
		ereport(LOG, (errmsg("statement: %s", text), errhidestmt(true)));
		logged = true;
	}
	MemoryContextSwitchTo(MessageContext);
	literal_execute(text, &found, message, PROCESS_UTILITY_TOPLEVEL);
	if (get_timeout_active(STATEMENT_TIMEOUT))
		disable_timeout(STATEMENT_TIMEOUT, false);
	CommitTransactionCommand();
	send_tag(found.tag);
	report_duration(text, logged);
	debug_query_string = NULL;
	/* The main loop allocates where it was. */
	MemoryContextSwitchTo(context);
}

/* ---------- is it ours? ---------- */

static bool
has_child_named(MemoryContext parent, const char *name)
{
	for (MemoryContext child = parent->firstchild; child != NULL; child = child->nextchild)
	{
		if (strcmp(child->name, name) == 0)
			return true;
	}
	return false;
}

/*
 * Does the text begin a chunk of MessageContext?  That of a Query does, it is the start of the
 * message; that of a Parse lies behind the statement's name.  (PostgreSQL 15: the word before a
 * chunk is its context.)
 */
static bool
begins_message(const char *text)
{
	if ((const char *) MAXALIGN(text) != text)
		return false;
	return *(const MemoryContext *) (text - sizeof(MemoryContext)) == MessageContext;
}

/* The client's text was converted: then it is a chunk of its own, whatever the message. */
static bool
was_converted(void)
{
	int client = pg_get_client_encoding();
	int server = GetDatabaseEncoding();

	return client != server && client != PG_SQL_ASCII && server != PG_SQL_ASCII;
}

/*
 * The process title tells the first message after ReadyForQuery: a Query does not change it before
 * it is parsed, a Parse does.  Without titles the place of the text has to do.
 */
static bool
is_first_message(void)
{
	int len;
	const char *title;

	if (!update_process_title)
		return !was_converted();
	title = get_ps_display(&len);
	return len == (int) strlen("idle") && strncmp(title, "idle", len) == 0;
}

/*
 * Is this the error of a simple query, in a transaction that began with it?  (An unfinished
 * pipeline before it would have begun the transaction earlier, and the abort would undo its work.)
 */
static bool
is_simple_query(const char *text)
{
	return begins_message(text) && is_first_message() &&
		   !has_child_named(MessageContext, "unnamed prepared statement") &&
		   !IsTransactionBlock() && !IsSubTransaction() &&
		   GetCurrentTransactionStartTimestamp() == GetCurrentStatementStartTimestamp() &&
		   !TransactionIdIsValid(GetTopTransactionIdIfAny());
}

static bool
can_take_over(const ErrorData *error)
{
	return pending.text == NULL && error->output_to_client && error->internalquery == NULL &&
		   whereToSendOutput == DestRemote && MyBackendType == B_BACKEND && !am_walsender &&
		   !proc_exit_inprogress && is_simple_query(debug_query_string);
}

/* Nothing may be raised here: when memory is out the error stays what it is. */
static bool
take_over(ErrorData *error, const BsLiteralText *found)
{
	pending.text = strdup(debug_query_string);
	pending.message = strdup(error->message ? error->message : "");
	if (pending.text == NULL || pending.message == NULL)
	{
		free(pending.text);
		free(pending.message);
		pending.text = pending.message = NULL;
		return false;
	}
	pending.found = *found;
	pending.callback.func = pending_run;
	pending.callback.arg = NULL;
	MemoryContextRegisterResetCallback(MessageContext, &pending.callback);
	error->output_to_client = false;
	error->output_to_server = false;
	return true;
}

/* Every other error leaves after a few comparisons.  The grammar's own errors have no hint. */
static void
consider(ErrorData *error)
{
	const char *text = error->internalquery ? error->internalquery : debug_query_string;
	int position = error->internalquery ? error->internalpos : error->cursorpos;
	BsLiteralText found;

	if (text == NULL || position <= 0 || error->hint != NULL ||
		!bs_literal_recognise(text, &found) ||
		position != pg_mbstrlen_with_len(text, found.continuous_offset) + 1)
		return;
	if (can_take_over(error) && take_over(error, &found))
		return;
	error->hint = MemoryContextStrdup(error->assoc_context, other_spelling);
}

static void
on_error(ErrorData *error)
{
	if (error->elevel == ERROR && error->sqlerrcode == ERRCODE_SYNTAX_ERROR)
		consider(error);
	if (previous_hook)
		previous_hook(error);
}

void
bs_literal_init(void)
{
	previous_hook = emit_log_hook;
	emit_log_hook = on_error;
}

/* ---------- backstream.execute() ---------- */

/* Positions are in the argument, not in what the client sent. */
static void
execute_context(void *arg)
{
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

Datum
bs_execute(PG_FUNCTION_ARGS)
{
	char *statement = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ErrorContextCallback context = {
		.callback = execute_context, .arg = statement, .previous = error_context_stack};
	BsLiteralText found;

	if (!bs_literal_recognise(statement, &found))
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("backstream.execute() takes a statement about continuous views"),
						errhint("CREATE [OR REPLACE], ALTER or DROP CONTINUOUS VIEW ...")));
	error_context_stack = &context;
	literal_execute(statement, &found, NULL, PROCESS_UTILITY_QUERY);
	error_context_stack = context.previous;
	PG_RETURN_VOID();
}
