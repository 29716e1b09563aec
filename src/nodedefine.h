/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodedefine.h: the definitions of views that nodes keep.
 *
 * A continuous view over a stream of nodes is a foreign table here and a continuous view on every node, whose
 * name there (options schema_name and table_name) is fixed when it is made: renaming one here or there is nothing to
 * the other.  What is done to it here is done there, in the session's transaction on each node (nodeconn.h).
 *
 *   nodedefine.c  what a statement here means there
 *   nodekeep.c    doing it there: backstream.keep_view()
 *   nodesync.c    bringing nodes into step: backstream.sync()
 *   nodeimport.c  IMPORT FOREIGN SCHEMA
 *   nodetext.c    the query's text
 *   nodeportable.c  whether its keys and states can travel
 */
#ifndef BS_NODEDEFINE_H
#define BS_NODEDEFINE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "nodes/primnodes.h"

#include "viewdef.h"

/* What keep_view() is to do. */
typedef enum BsKeepMode
{
	BS_KEEP_CHECK,  /* nothing: compare */
	BS_KEEP_CREATE, /* make it; an error when there is another one of that name */
	BS_KEEP_REPLACE
} BsKeepMode;

extern const char *const bs_keep_modes[];

/* A view as its nodes know it. */
typedef struct BsKept
{
	char *schema;
	char *name;
	char *query;
	List *options; /* of DefElem: the others */
} BsKept;

/*
 * Compare, make or replace a continuous view of this database.  Returns what has been found or done: missing, same,
 * different, created, replaced.  With the rights of the current user.
 */
extern const char *bs_view_keep(const BsKept *kept, BsKeepMode mode);

/* Run a statement here, under the settings for text. */
extern void bs_keep_execute(const char *statement);

/* The definition of a view over a stream of nodes as these know it. */
extern BsKept *bs_kept_of(const BsViewDef *def);

/* Is this option of a view nothing to its nodes? */
extern bool bs_node_option_stays_here(const char *option);

/* Does it say what becomes of windows that close: here of those of all nodes, on a node of its own? */
extern bool bs_option_is_of_outputs(const char *option);

/* As a statement that calls keep_view() there. */
extern char *bs_kept_statement(const BsKept *kept, BsKeepMode mode);

/*
 * What a statement about a view needs before it is made or replaced (existing, or InvalidOid): its name on the nodes,
 * as options.  An error when the server is not the one that the stream needs.
 */
extern void bs_node_view_options(List **options, const char *server, Oid stream,
								 const RangeVar *name, Oid existing);

/*
 * A view over a stream of nodes has been made, or has got another definition or other options: so on the nodes.  tolerant: a
 * node that cannot be reached is left out, with a warning, whatever the view's options say.  Nothing for other views.
 */
extern void bs_node_view_defined(Oid relid, BsKeepMode mode, bool tolerant);

/* A view is about to be dropped, in whatever way. */
extern void bs_node_view_dropping(Oid relid);
/* The statement that has dropped views ends. */
extern void bs_node_drop_views(void);
/* Transactions that end without it. */
extern void bs_nodedefine_init(void);

/* Raise an error if keys or states of this query would not mean the same on every node. */
extern void bs_node_require_portable(Query *query);

/* Are values of this type OIDs, which mean something else on every server: regclass and its like, records? */
extern bool bs_type_holds_oids(Oid type);

/* What becomes of a statement when a node does not answer: by the view's options, or those of its server. */
extern BsNodeFailure bs_node_failure(const BsViewOptions *options, Oid server);

/* ---- texts ------------------------------------------------------------------------------------- */

/* A query with another relation in the place of one. */
extern char *bs_node_text_replace(const char *query, const char *schema, const char *name,
								  const char *new_schema, const char *new_name);

/* What a stream of nodes is called there. */
extern void bs_node_stream_names(Oid stream, char **schema, char **name);

/* A stored query over this stream, as it is on the nodes. */
extern char *bs_node_query(const char *query, Oid stream);

#endif
