/* SPDX-License-Identifier: PostgreSQL */
/*
 * fingerprint.h: numbers for definitions: what was counted under one is not read under another.
 *
 * A definition's and a program's (signature.h) are this server's: it names things by OID, so that renaming one
 * changes nothing, and it is good for as long as the server's data directory.  The portable one names
 * them by their qualified names, and is the same on every server on which the definition means the same.
 */
#ifndef BS_FINGERPRINT_H
#define BS_FINGERPRINT_H

#include "query.h"
#include "viewdef.h"

/*
 * Of a whole definition, output and HAVING included: plans are made for one.  A query over a stream, under its
 * settings; lower: the fingerprint of the view in FROM, or 0.  (What is counted by it, signature.h, is less.)
 */
extern uint64 bs_fingerprint_definition(Query *query, const BsViewOptions *options, Oid stream,
										uint64 lower);

/* Of a tree, whatever the locations in it.  Never 0. */
extern uint64 bs_fingerprint_tree(const void *node);

/* A hash and that of the settings that expressions may mean something under. */
extern uint64 bs_fingerprint_settings(uint64 hash, const BsViewOptions *options);

/*
 * The portable one of a view and what it compiled to: text of the query without names of columns, without HAVING;
 * settings; layout of a group; where PostgreSQL's own functions make states also its major version,
 * and where there are strings the encoding.  stream stands for the relation in FROM, since it has
 * other names elsewhere.  In a transaction; may raise an error.
 */
extern uint64 bs_fingerprint_portable(const BsViewDef *def, const BsViewProgram *view);

#endif
