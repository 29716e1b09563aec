/* SPDX-License-Identifier: PostgreSQL */
/* fingerprint.c: numbers for definitions.  See fingerprint.h. */
#include "postgres.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "engine/pack.h"
#include "fingerprint.h"
#include "viewshape.h"

/* ---------- by OID ---------- */

/* Cut out of a tree as text where in the source its nodes stand. */
static void
strip_locations(char *text)
{
	static const char *const fields[] = {" :location ", " :stmt_location ", " :stmt_len "};
	char *to = text;

	while (*text != '\0')
	{
		size_t skip = 0;

		/* White space within a value is escaped, so this is never in one. */
		for (size_t i = 0; *text == ' ' && i < lengthof(fields); i++)
			if (strncmp(text, fields[i], strlen(fields[i])) == 0)
				skip = strlen(fields[i]);
		if (skip > 0)
			text += skip + strspn(text + skip, "-0123456789");
		else
			*to++ = *text++;
	}
	*to = '\0';
}

uint64
bs_fingerprint_tree(const void *node)
{
	char *text;
	uint64 hash;

	if (node == NULL)
		return 1;
	text = nodeToString(node);
	strip_locations(text);
	hash = hash_bytes_extended((const unsigned char *) text, (int) strlen(text), 0);
	pfree(text);
	return hash != 0 ? hash : 1;
}

/*
 * What a query says, by the OIDs of what it names: the names themselves may change without changing
 * what has been counted.
 */
static uint64
nameless_tree(Query *query)
{
	Query *copy = copyObject(query);
	ListCell *lc;

	foreach (lc, copy->rtable)
	{
		RangeTblEntry *entry = lfirst_node(RangeTblEntry, lc);

		entry->alias = NULL;
		entry->eref = NULL;
	}
	foreach (lc, copy->targetList)
		lfirst_node(TargetEntry, lc)->resname = NULL;
	return bs_fingerprint_tree(copy);
}

static uint64
add_text(uint64 hash, const char *text)
{
	if (text == NULL)
		text = "";
	return hash_combine64(
		hash, hash_bytes_extended((const unsigned char *) text, (int) strlen(text), hash));
}

uint64
bs_fingerprint_settings(uint64 hash, const BsViewOptions *options)
{
	hash = add_text(hash, options->timezone);
	hash = add_text(hash, options->datestyle);
	return add_text(hash, options->intervalstyle);
}

uint64
bs_fingerprint_definition(Query *query, const BsViewOptions *options, Oid stream, uint64 lower)
{
	uint64 hash = stream;

	if (lower != 0)
		hash = hash_combine64(hash, lower);
	return bs_fingerprint_settings(hash_combine64(hash, nameless_tree(query)), options);
}

static uint64
add_layout(uint64 hash, const BsProgram *program)
{
	hash = hash_combine64(hash, program->windowed);
	hash = hash_combine64(hash, (uint64) program->windowing.pane_usec);
	hash = hash_combine64(hash, (uint64) program->windowing.slide_usec);
	hash = hash_combine64(hash, (uint64) program->windowing.size_usec);
	hash = hash_combine64(hash, (uint64) program->windowing.origin);
	hash = hash_combine64(hash, program->row_bytes);
	for (uint32_t i = 0; i < program->nkeys; i++)
		hash = hash_combine64(hash, (uint64) program->keys[i].type << 32 | program->keys[i].offset);
	for (uint32_t i = 0; i < program->naggregates; i++)
	{
		const BsAggregate *aggregate = &program->aggregates[i];

		hash = hash_combine64(hash, (uint64) aggregate->kind << 48 |
										(uint64) aggregate->type << 32 | aggregate->offset);
		hash = hash_combine64(hash, aggregate->set);
	}
	for (uint32_t i = 0; i < program->nsets; i++)
		hash = hash_combine64(hash, program->sets[i].type);
	return hash;
}

/* ---------- by name ---------- */

#define STREAM_NAME "stream"

/* Text of the query with the relation in FROM under one name; HAVING and names of columns do not count. */
static char *
portable_text(const BsViewDef *def)
{
	Query *query = copyObject(def->query);
	char *relation = psprintf("%s " STREAM_NAME,
							  quote_qualified_identifier(
								  get_namespace_name(get_rel_namespace(def->stream)),
								  get_rel_name(def->stream)));
	char *text;
	char *at;
	ListCell *lc;

	query->havingQual = NULL;
	foreach (lc, query->targetList)
		lfirst_node(TargetEntry, lc)->resname = NULL;
	foreach (lc, query->rtable)
	{
		RangeTblEntry *entry = lfirst_node(RangeTblEntry, lc);

		if (entry->rtekind == RTE_RELATION && entry->relid == def->stream)
			entry->alias = makeAlias(STREAM_NAME, NIL);
	}
	text = bs_viewdef_deparse(query);
	at = strstr(text, relation);
	if (at != NULL)
		memmove(at, at + strlen(relation), strlen(at + strlen(relation)) + 1);
	return text;
}

static bool
has_strings(const BsViewProgram *view)
{
	const BsProgram *program = &view->program;

	for (uint32_t i = 0; i < program->nkeys; i++)
		if (program->keys[i].type == BS_BYTES)
			return true;
	for (uint32_t i = 0; i < program->nsets; i++)
		if (program->sets[i].type == BS_BYTES)
			return true;
	return view->nforeign > 0;
}

uint64
bs_fingerprint_portable(const BsViewDef *def, const BsViewProgram *view)
{
	uint64 hash = bs_fingerprint_settings(add_text(BS_PACK_VERSION, portable_text(def)), &def->options);

	check_stack_depth();
	if (view->over_view)
	{
		BsViewDef *lower;
		BsViewProgram *compiled = bs_view_compile(def->stream, 1, &lower);

		hash = hash_combine64(hash, bs_fingerprint_portable(lower, compiled));
		bs_query_free(compiled);
	}
	hash = add_layout(hash, &view->program);
	if (view->nforeign > 0)
		hash = hash_combine64(hash, PG_VERSION_NUM / 100);
	if (has_strings(view))
		hash = add_text(hash, GetDatabaseEncodingName());
	return hash != 0 ? hash : 1;
}
