/* SPDX-License-Identifier: PostgreSQL */
/* ddl.c: the utility hook: which statements are looked at, and by whom.  See ddl.h. */
#include "backstream.h"

#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "commands/dbcommands.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "ddl.h"
#include "node.h"
#include "nodedefine.h"
#include "viewdef.h"
#include "views.h"

static ProcessUtility_hook_type previous_utility = NULL;
static object_access_hook_type previous_access = NULL;
static BsLiteral next_literal;

/* A hook sees an error only if it goes to the server's log (literal.c). */
static void
warn_of_literal(void)
{
	if (log_min_messages != LOG && log_min_messages <= ERROR)
		return;
	ereport(WARNING, (errmsg("CREATE CONTINUOUS VIEW will be a syntax error, because log_min_messages is \"%s\"",
							 GetConfigOption("log_min_messages", false, false)),
					  errhint("Set it to error or less, or write CREATE VIEW ... WITH (continuous).")));
}

/* CREATE EXTENSION somewhere else would make views that nobody feeds. */
static void
extension_create(BsUtilityCall *call)
{
	CreateExtensionStmt *statement = (CreateExtensionStmt *) call->pstmt->utilityStmt;
	char *here = get_database_name(MyDatabaseId);

	if (strcmp(statement->extname, BS_EXTENSION) == 0 && here != NULL &&
		strcmp(here, bs_setting_database) != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("extension \"%s\" can only be created in database \"%s\"",
							   BS_EXTENSION, bs_setting_database),
						errhint("Connect to that database, or set backstream.database to \"%s\" in "
								"postgresql.conf and restart the server.",
								here)));
	if (strcmp(statement->extname, BS_EXTENSION) == 0)
		warn_of_literal();
	bs_ddl_next(call);
}

/* Rights, owners and functions that views rely on. */
static void
circumstances_change(BsUtilityCall *call)
{
	bs_ddl_next(call);
	if (bs_extension_is_here())
		bs_views_changed();
}

/* What was prepared may have changed views; only its commit makes that true. */
static void
transaction_end(BsUtilityCall *call)
{
	TransactionStmt *statement = (TransactionStmt *) call->pstmt->utilityStmt;

	if (statement->kind == TRANS_STMT_COMMIT_PREPARED)
		bs_views_changed();
	bs_ddl_next(call);
}

static const struct
{
	NodeTag tag;
	void (*handle)(BsUtilityCall *call);
} handlers[] = {
	{T_ViewStmt, bs_ddl_create_view},
	{T_CreateForeignTableStmt, bs_ddl_create_foreign_table},
	{T_CreateStmt, bs_ddl_create_table},
	{T_DropStmt, bs_ddl_drop},
	{T_AlterTableStmt, bs_ddl_alter},
	{T_RenameStmt, bs_ddl_rename},
	{T_AlterObjectSchemaStmt, bs_ddl_move},
	{T_AlterEnumStmt, bs_ddl_alter_enum},
	{T_CommentStmt, bs_ddl_comment},
	{T_CreateForeignServerStmt, bs_ddl_create_server},
	{T_AlterForeignServerStmt, bs_ddl_alter_server},
	{T_CreateExtensionStmt, extension_create},
	{T_TransactionStmt, transaction_end},
	{T_GrantStmt, circumstances_change},
	{T_GrantRoleStmt, circumstances_change},
	{T_AlterRoleStmt, circumstances_change},
	{T_AlterOwnerStmt, circumstances_change},
	{T_ReassignOwnedStmt, circumstances_change},
	{T_DropOwnedStmt, circumstances_change},
	{T_CreateFunctionStmt, circumstances_change},
	{T_AlterFunctionStmt, circumstances_change},
};

static void
process_utility(PlannedStmt *pstmt, const char *source, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
				DestReceiver *dest, QueryCompletion *completion)
{
	BsUtilityCall call = {.pstmt = pstmt,
						  .source = source,
						  .read_only_tree = read_only_tree,
						  .context = context,
						  .params = params,
						  .environment = environment,
						  .dest = dest,
						  .completion = completion,
						  .literal = next_literal};
	void (*handle)(BsUtilityCall *) = bs_ddl_next;

	memset(&next_literal, 0, sizeof(next_literal));
	for (size_t i = 0; i < lengthof(handlers); i++)
	{
		if (handlers[i].tag == nodeTag(pstmt->utilityStmt))
			handle = handlers[i].handle;
	}
	handle(&call);
	bs_node_drop_views();
}

void
bs_ddl_set_literal(BsLiteral literal)
{
	next_literal = literal;
}

void
bs_ddl_next(BsUtilityCall *call)
{
	ProcessUtility_hook_type next = previous_utility ? previous_utility : standard_ProcessUtility;

	next(call->pstmt, call->source, call->read_only_tree, call->context, call->params,
		 call->environment, call->dest, call->completion);
}

/* The same place in the source and the same query id, for those who watch statements. */
void
bs_ddl_next_statement(BsUtilityCall *call, Node *statement)
{
	BsUtilityCall inner = *call;
	PlannedStmt *pstmt = makeNode(PlannedStmt);

	pstmt->commandType = CMD_UTILITY;
	pstmt->canSetTag = false;
	pstmt->utilityStmt = statement;
	pstmt->stmt_location = call->pstmt->stmt_location;
	pstmt->stmt_len = call->pstmt->stmt_len;
	pstmt->queryId = call->pstmt->queryId;
	inner.pstmt = pstmt;
	inner.read_only_tree = false;
	inner.completion = NULL;
	if (inner.context == PROCESS_UTILITY_TOPLEVEL)
		inner.context = PROCESS_UTILITY_QUERY;
	bs_ddl_next(&inner);
}

static void
lock_wrapper(LOCKMODE mode)
{
	Oid wrapper = get_foreign_data_wrapper_oid(BS_EXTENSION, true);

	if (OidIsValid(wrapper))
		LockDatabaseObject(ForeignDataWrapperRelationId, wrapper, 0, mode);
}

void
bs_ddl_lock_for_definition(void)
{
	lock_wrapper(RowExclusiveLock);
}

void
bs_ddl_lock_for_rename(void)
{
	lock_wrapper(ShareRowExclusiveLock);
}

Node *
bs_ddl_own_statement(BsUtilityCall *call)
{
	if (call->read_only_tree)
	{
		call->pstmt = copyObject(call->pstmt);
		call->read_only_tree = false;
	}
	return call->pstmt->utilityStmt;
}

/* Also those that are dropped because of something else. */
static void
object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_access)
		previous_access(access, class_id, object_id, sub_id, arg);
	if (access == OAT_DROP && class_id == RelationRelationId && sub_id == 0 &&
		(bs_relation_is_view(object_id) || bs_relation_is_stream(object_id)))
	{
		if (bs_relation_is_view(object_id))
			bs_node_view_dropping(object_id);
		bs_views_changed();
	}
}

void
bs_ddl_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	previous_access = object_access_hook;
	object_access_hook = object_access;
}
