/* SPDX-License-Identifier: PostgreSQL */
/*
 * viewdef.h: the definition of a continuous view: where it is stored and how it is read.
 *
 * A continuous view is a foreign table of the wrapper backstream with the option query; nothing
 * else stores it.  The text is a deparsed query: every name is qualified, every constant written
 * under the fixed settings of pinned.h.  What it names is recorded in pg_depend as for an ordinary
 * view.
 */
#ifndef BS_VIEWDEF_H
#define BS_VIEWDEF_H

#include "utils/rel.h"

#include "options.h"
#include "pinned.h"

/* Everything lies in the memory context that was current at the call. */
typedef struct BsViewDef
{
	Oid relid;
	Oid owner;
	Oid server;
	Oid archive; /* viewrename.c: the table that options.archive names */
	bool waiting;     /* this is the definition that waits to take over */
	bool has_waiting; /* there is one */
	Oid stream; /* the relation in FROM: a stream, or a continuous view */
	bool on_nodes; /* the nodes of server keep it; it is not counted here (node.h) */
	char *schema;
	char *name;
	char *query_text; /* as stored */
	Query *query;     /* analysed, not rewritten; locations are offsets in query_text */
	BsViewOptions options;
} BsViewDef;

/*
 * Read a view's definition and analyse its text.  NULL if there is no such view and missing_ok.
 * Raises whatever the analysis raises (the text names something that is gone), with the text as the
 * internal query.  The analysis runs with the owner's rights.  Takes AccessShareLock on the stream
 * until the end of the transaction, and may wait for it: a process that must not wait sets
 * lock_timeout or takes the lock before.  Reads the catalog under the newest snapshot, not through
 * the cache.
 */
extern BsViewDef *bs_viewdef_load(Oid relid, bool missing_ok);

/* The same of the definition that waits to take over; NULL if there is none. */
extern BsViewDef *bs_viewdef_load_waiting(Oid relid);

/* The same of a definition that the view had, or may have: by its options, a list of DefElem with texts. */
extern BsViewDef *bs_viewdef_load_options(Oid relid, List *options);

/*
 * Take the locks that bs_viewdef_load() would wait for (AccessShareLock on what the query reads) if
 * nobody is in the way; they are held until the end of the transaction.  False: not now.  For
 * processes that must not wait: one that waits for a stream, holding a view, deadlocks with DROP
 * ... CASCADE.
 */
extern bool bs_viewdef_lock_nowait(Oid relid);

/* OIDs of all continuous views of this database, ascending.  NIL where the extension is not. */
extern List *bs_viewdef_list(void);

/* Does a definition of this view wait to take over? */
extern bool bs_viewdef_has_waiting(Oid relid);

/*
 * May the owner read the columns of the stream that the query uses?  (EXECUTE on functions is
 * checked when its expressions are set up.)
 */
extern bool bs_viewdef_owner_may_read(const BsViewDef *def);

/* Raise an error unless the current user may SELECT * from it: from the view, or from each of its columns. */
extern void bs_viewdef_check_select(Oid relid);

/* Open a continuous view for reading; an error when it is none, or has just been dropped. */
extern Relation bs_viewdef_open(Oid relid);

extern bool bs_relation_is_view(Oid relid);
extern bool bs_relation_is_stream(Oid relid);

/* The server of a view over this relation. */
extern Oid bs_viewdef_server_over(Oid relid);

/* The OID of backstream.flow; InvalidOid where the extension is not. */
extern Oid bs_flow_relation(void);

/* Is the extension in this database? */
extern bool bs_extension_is_here(void);

/* Change one of its options, which it has, with the rights of its owner. */
extern void bs_viewdef_store_option(Oid relid, Oid owner, const char *option, const char *value);

/* The options of a foreign table as stored: a list of DefElem; NIL if there is no such table. */
extern List *bs_viewdef_stored_options(Oid relid);

/*
 * Analyse a SELECT that a user wrote in source: names are found by the search_path followed by the
 * schema backstream.
 */
extern Query *bs_viewdef_analyse(Node *select, const char *source, int location, int len);

/*
 * Analyse stored text, under the settings for text, and check that it can be a continuous view's
 * query if its options are given (else NULL).  name is for messages.
 */
extern Query *bs_viewdef_parse(const char *text, const char *name, const BsViewOptions *check);

/* Write a query as text, under the settings for text.  The query is not changed. */
extern char *bs_viewdef_deparse(Query *query);

/* Record what the query names as dependencies of the view; refuses a query that needs the view. */
extern void bs_viewdef_depend(Oid relid, Query *query);

/* The objects of a class that depend on another one of it (pg_depend): a list of OIDs, each once. */
extern List *bs_dependents(Oid classid, Oid objid);

/* The continuous views that are over a view: a list of OIDs. */
extern List *bs_viewdef_uppers(Oid relid);

/* Remove what bs_viewdef_depend() has recorded. */
extern void bs_viewdef_undepend(Oid relid);

#endif
