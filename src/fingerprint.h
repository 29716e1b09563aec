/* SPDX-License-Identifier: PostgreSQL */
/*
 * fingerprint.h: numbers for definitions: what was counted under one is not read under another.
 *
 * Two of them.  A program's fingerprint is this server's: it names things by OID, so that renaming one
 * changes nothing, and it is good for as long as the server's data directory.  The portable one names
 * them by their qualified names, and is the same on every server on which the definition means the same.
 */
#ifndef BS_FINGERPRINT_H
#define BS_FINGERPRINT_H

#include "query.h"
#include "viewdef.h"

/* Of a query over a stream, under its settings; lower: the fingerprint of the view in FROM, or 0. */
extern uint64 bs_fingerprint_definition(Query *query, const BsViewOptions *options, Oid stream,
										uint64 lower);

/*
 * That of the definition (in program.fingerprint) and of what a group's bytes mean.  The same text can
 * come to mean something else when a function or aggregate in it is replaced: what was counted before
 * must not be read by the new rules.  Never 0.
 */
extern uint64 bs_fingerprint_program(const BsViewProgram *view);

/*
 * The portable one of a view and what it compiled to: text of the query without names of columns, without HAVING;
 * settings; layout of a group; where PostgreSQL's own functions make states also its major version,
 * and where there are strings the encoding.  stream stands for the relation in FROM, since it has
 * other names elsewhere.  In a transaction; may raise an error.
 */
extern uint64 bs_fingerprint_portable(const BsViewDef *def, const BsViewProgram *view);

#endif
