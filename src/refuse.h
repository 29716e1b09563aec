/* SPDX-License-Identifier: PostgreSQL */
/*
 * refuse.h: what cannot be the query of a continuous view, and what to write instead.
 *
 * Every refusal is a row of a table in refuse.c: message and hint.  None returns.
 */
#ifndef BS_REFUSE_H
#define BS_REFUSE_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* Where in which text to point at; source may be NULL. */
typedef struct BsPlace
{
	const char *source;
	int statement; /* byte offset of the SELECT, or -1: what has no place of its own */
} BsPlace;

/*
 * Before the analysis: what only the raw parse tree knows the place of (items of FROM), and functions
 * that later versions will have, while nobody has made ones of that name.  location is the byte offset
 * of the SELECT in source, or -1.
 */
extern void bs_refuse_raw(Node *select, const char *source, int location);

/*
 * The same for a view in FROM that has no windows: compiles it.  Only for what a user writes; whatever is
 * stored is checked when it is compiled.
 */
extern void bs_refuse_raw_lower(Node *select, const char *source);

/*
 * The shape of an analysed query (clauses, FROM) and what stands in its expressions.  What passes
 * is one SELECT of groups and aggregates over one stream.
 */
extern void bs_refuse_query(Query *query, const BsPlace *place);

/*
 * What shows only when SQL functions have been inlined: expr is what original has become.
 */
extern void bs_refuse_simplified(Node *expr, Node *original, const BsPlace *place);

/* Refusals found by the split (query.c).  node: what to point at. */
extern void bs_refuse_two_windows(Node *node, const BsPlace *place) pg_attribute_noreturn();
extern void bs_refuse_key_type(Node *node, Oid type, Oid collation, const BsPlace *place)
	pg_attribute_noreturn();
extern void bs_refuse_windowless(Oid lower, const BsPlace *place) pg_attribute_noreturn();
extern void bs_refuse_size(const char *why, const BsPlace *place) pg_attribute_noreturn();

/* An aggregate over DISTINCT values of which only the values' own functions know how to go on. */
extern void bs_refuse_distinct(const Aggref *aggref, const BsPlace *place);

#endif
