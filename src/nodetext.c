/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodetext.c: a view's query as its nodes know it: the same text, with their stream in the place of ours.
 *
 * Stored text names every relation with its schema, and one of them is the stream: its places in the text are those
 * that PostgreSQL's parser gives.
 */
#include "backstream.h"

#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "node.h"
#include "nodedefine.h"
#include "pinned.h"
#include "viewdef.h"

typedef struct Places
{
	const char *schema;
	const char *name;
	List *found; /* of RangeVar *, in order of their places */
} Places;

static bool
find_places(Node *node, Places *places)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeVar))
	{
		RangeVar *rv = (RangeVar *) node;

		if (rv->schemaname != NULL && strcmp(rv->schemaname, places->schema) == 0 &&
			strcmp(rv->relname, places->name) == 0)
			places->found = lappend(places->found, rv);
	}
	return raw_expression_tree_walker(node, find_places, places);
}

static int
compare_places(const ListCell *a, const ListCell *b)
{
	return ((RangeVar *) lfirst(a))->location - ((RangeVar *) lfirst(b))->location;
}

/* Columns may be written with the name of the relation, which stays what they are called by. */
static void
put_name(StringInfo text, const RangeVar *rv, const char *schema, const char *name)
{
	appendStringInfoString(text, quote_qualified_identifier(schema, name));
	if (rv->alias == NULL && strcmp(rv->relname, name) != 0)
		appendStringInfo(text, " %s", quote_identifier(rv->relname));
}

char *
bs_node_text_replace(const char *query, const char *schema, const char *name,
					 const char *new_schema, const char *new_name)
{
	Places places = {.schema = schema, .name = name};
	int level = bs_pinned_enter_text();
	List *statements = raw_parser(query, RAW_PARSE_DEFAULT);
	const char *written = quote_qualified_identifier(schema, name);
	const char *at = query;
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	(void) find_places(linitial_node(RawStmt, statements)->stmt, &places);
	list_sort(places.found, compare_places);
	foreach (cell, places.found)
	{
		RangeVar *rv = lfirst_node(RangeVar, cell);

		if (strncmp(query + rv->location, written, strlen(written)) != 0)
			elog(ERROR, "stream is not where it was found in: %s", query);
		appendBinaryStringInfo(&text, at, (int) (query + rv->location - at));
		put_name(&text, rv, new_schema, new_name);
		at = query + rv->location + strlen(written);
	}
	appendStringInfoString(&text, at);
	bs_pinned_leave(level);
	return text.data;
}

static char *
option_or(List *options, const char *name, const char *otherwise)
{
	DefElem *def = bs_option_find(options, name);

	return pstrdup(def != NULL ? defGetString(def) : otherwise);
}

void
bs_node_stream_names(Oid stream, char **schema, char **name)
{
	List *options = bs_viewdef_stored_options(stream);

	*schema = option_or(options, "schema_name", BS_EXTENSION);
	*name = option_or(options, "table_name", "flow");
}

bool
bs_stream_is_flow(Oid stream)
{
	char *schema;
	char *name;

	if (stream == bs_flow_relation() || !bs_relation_is_remote(stream))
		return stream == bs_flow_relation();
	bs_node_stream_names(stream, &schema, &name);
	return strcmp(schema, BS_EXTENSION) == 0 && strcmp(name, "flow") == 0;
}

char *
bs_node_query(const char *query, Oid stream)
{
	char *schema;
	char *name;

	bs_node_stream_names(stream, &schema, &name);
	return bs_node_text_replace(query, get_namespace_name(get_rel_namespace(stream)),
								get_rel_name(stream), schema, name);
}
