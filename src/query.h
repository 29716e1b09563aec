/* SPDX-License-Identifier: PostgreSQL */
/* query.h: what the query of a continuous view may be. */
#ifndef BS_QUERY_H
#define BS_QUERY_H

#include "options.h"

/*
 * Raise an error if this cannot be the query of a continuous view: what is wrong, where in
 * source_text, and what to write instead.  query is analysed, not rewritten, and not changed;
 * stmt_location is the byte offset of the SELECT in source_text, or -1.
 */
extern void bs_query_check(Query *query, const char *source_text, int stmt_location,
						   const BsViewOptions *options);

/* The one relation in FROM (valid for queries that have passed the check). */
extern Oid bs_query_stream(const Query *query);

#endif
