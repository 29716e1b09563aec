/* SPDX-License-Identifier: PostgreSQL */
/*
 * history.h: functions in FROM that are planned as if a subquery stood there.
 *
 * backstream.history(NULL::v) is UNION ALL of the view's archive and of the windows that are not in it yet.
 * PostgreSQL runs a function in FROM to its end before a condition is looked at; so a hook puts the subquery into the
 * function's place before a statement is planned, as PostgreSQL itself does with functions that are one SELECT. From
 * there on conditions, order and limits find their way to both sides.
 *
 * backstream.tail(NULL::v) is a scan of the view with a mark among its conditions (scan.h): so its rows come one by one.
 */
#ifndef BS_HISTORY_H
#define BS_HISTORY_H

#include "postgres.h"

/* Called once from _PG_init: installs the hook. */
extern void bs_history_init(void);

/* Is this the function of that name in our schema? */
extern bool bs_is_our_function(Oid function, const char *name);

#endif
