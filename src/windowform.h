/* SPDX-License-Identifier: PostgreSQL */
/* windowform.h: which expression of GROUP BY is the window of a view, and what windows those are. */
#ifndef BS_WINDOWFORM_H
#define BS_WINDOWFORM_H

#include "native.h"
#include "refuse.h"
#include "viewshape.h"

/* Is this a call of the function of that name in schema backstream? */
extern bool bs_is_own_function(const Node *expr, const char *name);

/* What a query reads. */
typedef struct BsWindowSource
{
	const BsNative *native;
	const BsViewShape *lower; /* of the view in FROM; NULL: a stream */
	const BsWindowing *slices; /* of spread() in FROM; NULL: none */
	Oid stream;               /* the relation in FROM */
	const BsPlace *place;
} BsWindowSource;

/*
 * Is this expression of GROUP BY a start of windows?  simple is what original has become by
 * bs_native_simplify().  Raises an error for tumble() and hop() that cannot be the view's window.
 */
extern bool bs_window_find(const BsWindowSource *source, Node *original, Expr *simple,
						   BsWindowForm *form);

/* Are panes and windows of widths that can be kept?  Raises an error.  node: what to point at, or NULL. */
extern void bs_window_check_range(Node *node, const BsWindowing *windowing, const BsPlace *place);

#endif
