/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodeserver.c: servers that stand for others, and their nodes.  See node.h.
 *
 * A group depends on its nodes in pg_depend, so that DROP SERVER of one asks for CASCADE and a dump makes the
 * nodes first.
 */
#include "backstream.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "node.h"
#include "viewdef.h"
#include "views.h"

/* One of ours, or NULL. */
static ForeignServer *
our_server(Oid server)
{
	ForeignServer *found =
		OidIsValid(server) ? GetForeignServerExtended(server, FSV_MISSING_OK) : NULL;

	if (found == NULL || found->fdwid != get_foreign_data_wrapper_oid(BS_EXTENSION, true))
		return NULL;
	return found;
}

bool
bs_server_is_remote(Oid server)
{
	ForeignServer *found = our_server(server);

	return found != NULL && bs_node_options_remote(found->options);
}

bool
bs_relation_is_remote(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE &&
		   bs_server_is_remote(GetForeignServerIdByRelId(relid));
}

/* ---------- the nodes of a server ---------- */

static BsNode *
make_node(Oid server, const char *name, Oid user)
{
	BsNode *node = palloc0(sizeof(BsNode));

	node->server = server;
	node->user = user;
	node->name = pstrdup(name);
	return node;
}

/* A member of a group by its name. */
static BsNode *
member_node(const char *group, const char *name, Oid user)
{
	ForeignServer *server;

	if (strcmp(name, BS_LOCAL_NODE) == 0)
		return make_node(InvalidOid, name, user);
	server = GetForeignServerByName(name, true);
	if (server == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("node \"%s\" of server \"%s\" does not exist", name, group),
			 errhint("CREATE SERVER %s FOREIGN DATA WRAPPER %s OPTIONS (host '...', dbname '...').",
					 quote_identifier(name), BS_EXTENSION)));
	if (our_server(server->serverid) == NULL || !bs_node_options_remote(server->options) ||
		bs_option_find(server->options, "nodes") != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("server \"%s\" cannot be a node of server \"%s\"", name, group),
			 errdetail("A node is a server of wrapper \"%s\" with options of libpq, such as host.",
					   BS_EXTENSION)));
	return make_node(server->serverid, name, user);
}

static List *
member_names(const char *text)
{
	List *names;

	/* The validator has seen to it. */
	if (!SplitIdentifierString(pstrdup(text), ',', &names))
		elog(ERROR, "option nodes is no list: \"%s\"", text);
	return names;
}

List *
bs_server_nodes(Oid server, Oid user)
{
	ForeignServer *found = GetForeignServer(server);
	DefElem *members = bs_option_find(found->options, "nodes");
	List *nodes = NIL;
	ListCell *cell;

	if (members == NULL)
		return list_make1(make_node(server, found->servername, user));
	foreach (cell, member_names(defGetString(members)))
		nodes = lappend(nodes, member_node(found->servername, lfirst(cell), user));
	return nodes;
}

/* ---------- CREATE SERVER, ALTER SERVER ---------- */

static void
check_usage(const BsNode *node)
{
	AclResult result = pg_foreign_server_aclcheck(node->server, GetUserId(), ACL_USAGE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_SERVER, node->name);
}

/* Check the members of a group, and let it depend on them. */
static void
server_settled(const char *name)
{
	ForeignServer *server;
	ObjectAddress group;
	ListCell *cell;

	CommandCounterIncrement();
	server = our_server(get_foreign_server_oid(name, false));
	if (server == NULL)
		return;
	ObjectAddressSet(group, ForeignServerRelationId, server->serverid);
	deleteDependencyRecordsForClass(ForeignServerRelationId, server->serverid,
									ForeignServerRelationId, DEPENDENCY_NORMAL);
	if (bs_option_find(server->options, "nodes") != NULL)
		foreach (cell, bs_server_nodes(server->serverid, GetUserId()))
		{
			BsNode *node = lfirst(cell);
			ObjectAddress member;

			if (!OidIsValid(node->server))
				continue;
			check_usage(node);
			ObjectAddressSet(member, ForeignServerRelationId, node->server);
			recordDependencyOn(&group, &member, DEPENDENCY_NORMAL);
		}
	bs_views_changed();
}

static void
refuse_local_name(const char *name)
{
	if (strcmp(name, BS_LOCAL_NODE) == 0)
		ereport(ERROR, (errcode(ERRCODE_RESERVED_NAME),
						errmsg("a node cannot be called \"%s\"", BS_LOCAL_NODE),
						errdetail("In the option \"nodes\" it means this server itself.")));
}

void
bs_ddl_create_server(BsUtilityCall *call)
{
	CreateForeignServerStmt *statement = (CreateForeignServerStmt *) call->pstmt->utilityStmt;
	bool ours = strcmp(statement->fdwname, BS_EXTENSION) == 0;

	if (ours)
		refuse_local_name(statement->servername);
	bs_ddl_next(call);
	if (ours)
		server_settled(statement->servername);
}

/* Streams and views of a server are on it or not: that cannot change under them. */
static void
refuse_changing_sides(const char *name, bool was_remote)
{
	Oid server = get_foreign_server_oid(name, false);

	if (bs_server_is_remote(server) == was_remote)
		return;
	if (strcmp(name, BS_EXTENSION) == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("server \"%s\" is this server, and cannot be a node", name),
						errhint("CREATE SERVER ... FOREIGN DATA WRAPPER %s OPTIONS (host '...').",
								BS_EXTENSION)));
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("server \"%s\" cannot %s", name,
						   was_remote ? "lose what makes it a node" : "become a node"),
					errhint("Drop it, and create it anew.")));
}

void
bs_ddl_alter_server(BsUtilityCall *call)
{
	AlterForeignServerStmt *statement = (AlterForeignServerStmt *) call->pstmt->utilityStmt;
	Oid server = get_foreign_server_oid(statement->servername, true);
	bool ours = our_server(server) != NULL;
	bool was_remote = bs_server_is_remote(server);

	bs_ddl_next(call);
	if (!ours)
		return;
	CommandCounterIncrement();
	refuse_changing_sides(statement->servername, was_remote);
	server_settled(statement->servername);
}

/* ---------- RENAME ---------- */

static void
store_nodes(Oid group, const char *text)
{
	ForeignServer *server = GetForeignServer(group);
	AlterForeignServerStmt *statement = makeNode(AlterForeignServerStmt);
	Oid user;
	int context;

	statement->servername = server->servername;
	statement->options = list_make1(
		makeDefElemExtended(NULL, "nodes", (Node *) makeString(pstrdup(text)), DEFELEM_SET, -1));
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(server->owner, context | SECURITY_LOCAL_USERID_CHANGE);
	AlterForeignServer(statement);
	SetUserIdAndSecContext(user, context);
}

void
bs_node_renamed(const char *old_name, const char *new_name)
{
	Oid member = get_foreign_server_oid(new_name, true);
	ListCell *group;

	if (our_server(member) == NULL)
		return;
	refuse_local_name(new_name);
	foreach (group, bs_dependents(ForeignServerRelationId, member))
	{
		ForeignServer *server = GetForeignServer(lfirst_oid(group));
		StringInfoData text;
		ListCell *cell;

		initStringInfo(&text);
		foreach (cell, member_names(defGetString(bs_option_find(server->options, "nodes"))))
		{
			const char *name = lfirst(cell);

			appendStringInfo(&text, "%s%s", text.len ? ", " : "",
							 quote_identifier(strcmp(name, old_name) == 0 ? new_name : name));
		}
		store_nodes(server->serverid, text.data);
	}
}
