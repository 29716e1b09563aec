/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodekeep.c: backstream.keep_view(): what a reader of several nodes has done on each.  See nodedefine.h.
 *
 * It does nothing that its caller could not do himself: it makes a schema and a view with his rights.
 */
#include "backstream.h"

#include "access/reloptions.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "nodedefine.h"
#include "options.h"
#include "pinned.h"
#include "takeover.h"

BS_SQL_FUNCTION(bs_keep_view);

const char *const bs_keep_modes[] = {
	[BS_KEEP_CHECK] = "check", [BS_KEEP_CREATE] = "create", [BS_KEEP_REPLACE] = "replace"};

/* What a view has beside the query, and that is its own: written by the system, or this server's own outputs. */
static bool
is_comparable(const DefElem *def)
{
	return strcmp(def->defname, "query") != 0 && strcmp(def->defname, "format") != 0 &&
		   !bs_option_is_of_outputs(def->defname);
}

/* Does every option of one list stand in the other with the same value? */
static bool
options_within(List *some, List *others)
{
	ListCell *cell;

	foreach (cell, some)
	{
		DefElem *def = lfirst_node(DefElem, cell);
		DefElem *other = bs_option_find(others, def->defname);

		if (is_comparable(def) &&
			(other == NULL || strcmp(defGetString(def), defGetString(other)) != 0))
			return false;
	}
	return true;
}

static bool
is_same(Oid relid, const BsKept *kept)
{
	List *stored = bs_viewdef_stored_options(relid);
	char *query = bs_viewdef_deparse(bs_viewdef_parse(kept->query, kept->name, NULL));

	return strcmp(query, defGetString(bs_option_find(stored, "query"))) == 0 &&
		   options_within(stored, kept->options) && options_within(kept->options, stored);
}

void
bs_keep_execute(const char *statement)
{
	int level;

	SPI_connect();
	level = bs_pinned_enter_text();
	(void) SPI_execute(statement, false, 0);
	bs_pinned_leave(level);
	SPI_finish();
}

static void
make_schema(const char *name)
{
	if (!OidIsValid(get_namespace_oid(name, true)))
		bs_keep_execute(psprintf("CREATE SCHEMA %s", quote_identifier(name)));
}

/* With the options of the definition; a view that is there (InvalidOid: none is) is replaced, and keeps its outputs. */
static void
make_view(const BsKept *kept, Oid existing)
{
	List *options = list_copy(kept->options);
	StringInfoData statement;
	ListCell *cell;

	foreach (cell, OidIsValid(existing) ? bs_viewdef_stored_options(existing) : NIL)
		if (bs_option_is_of_outputs(lfirst_node(DefElem, cell)->defname))
			options = lappend(options, lfirst(cell));
	initStringInfo(&statement);
	appendStringInfo(&statement, "CREATE %sVIEW %s WITH (continuous",
					 OidIsValid(existing) ? "OR REPLACE " : "",
					 quote_qualified_identifier(kept->schema, kept->name));
	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		appendStringInfo(&statement, ", %s = %s", quote_identifier(def->defname),
						 quote_literal_cstr(defGetString(def)));
	}
	appendStringInfo(&statement, ") AS %s", kept->query);
	bs_keep_execute(statement.data);
}

/* Its text tells what it is: as much as may read it may know. */
static void
check_may_know(Oid relid, const BsKept *kept)
{
	if (!pg_class_ownercheck(relid, GetUserId()) &&
		pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_TABLE, kept->name);
	if (!bs_relation_is_view(relid))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s.%s\" is not a continuous view", kept->schema, kept->name)));
}

const char *
bs_view_keep(const BsKept *kept, BsKeepMode mode)
{
	Oid schema = get_namespace_oid(kept->schema, true);
	Oid relid = OidIsValid(schema) ? get_relname_relid(kept->name, schema) : InvalidOid;

	if (!OidIsValid(relid))
	{
		if (mode == BS_KEEP_CHECK)
			return "missing";
		make_schema(kept->schema);
		make_view(kept, InvalidOid);
		return "created";
	}
	check_may_know(relid, kept);
	if (is_same(relid, kept))
		return "same";
	if (mode == BS_KEEP_CREATE)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("continuous view \"%s.%s\" is there already, with another definition",
						kept->schema, kept->name),
				 errhint("Drop it there, or choose another name.")));
	if (mode == BS_KEEP_CHECK)
		return "different";
	make_view(kept, relid);
	/* Who merges what the nodes have asks for this definition from now on. */
	(void) bs_takeover_now(relid);
	return "replaced";
}

static BsKeepMode
mode_of(const char *text)
{
	for (size_t i = 0; i < lengthof(bs_keep_modes); i++)
		if (strcmp(bs_keep_modes[i], text) == 0)
			return (BsKeepMode) i;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("backstream.keep_view() cannot \"%s\"", text),
					errhint("It is one of: check, create, replace.")));
	return BS_KEEP_CHECK;
}

Datum
bs_keep_view(PG_FUNCTION_ARGS)
{
	BsKept kept = {
		.schema = text_to_cstring(PG_GETARG_TEXT_PP(0)),
		.name = text_to_cstring(PG_GETARG_TEXT_PP(1)),
		.query = text_to_cstring(PG_GETARG_TEXT_PP(2)),
		.options = untransformRelOptions(PG_GETARG_DATUM(3)),
	};

	PG_RETURN_TEXT_P(
		cstring_to_text(bs_view_keep(&kept, mode_of(text_to_cstring(PG_GETARG_TEXT_PP(4))))));
}
