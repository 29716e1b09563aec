/* SPDX-License-Identifier: PostgreSQL */
/*
 * pinned.h: the settings under which a view's text is read and written, and those under which its
 * expressions are evaluated, whatever the session's own are.
 *
 * There are two sets.  *Text*: search_path empty, TimeZone UTC, DateStyle ISO, IntervalStyle
 * postgres, ...: the stored text is written and read under these, so that it is the same text for
 * every session, server and dump.  *Evaluation*: the three that change what an expression means
 * (TimeZone, DateStyle, IntervalStyle) as they were when the view was created, which its options
 * hold, and the rest fixed: the writer and every reader evaluate under these.
 */
#ifndef BS_PINNED_H
#define BS_PINNED_H

#include "options.h"

/*
 * Enter a set: returns the level to leave.  When an error is raised in between, the end of the
 * (sub)transaction leaves it.  Both can be nested.
 */
extern int bs_pinned_enter_text(void);
extern int bs_pinned_enter_evaluation(const BsViewOptions *options);
extern void bs_pinned_leave(int level);

/* Are two views' settings for evaluation the same? */
extern bool bs_pinned_equal(const BsViewOptions *a, const BsViewOptions *b);

/* Statements that bring another server's session into the settings for text, palloc'ed. */
extern char *bs_pinned_text_statements(void);

/*
 * The options that pin this session's settings: a list of DefElem, for those of the three that are
 * not in options already.
 */
extern List *bs_pinned_missing(List *options);

#endif
