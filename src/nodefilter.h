/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodefilter.h: groups that a reader of several nodes wants, by conditions on their keys, at the node.
 *
 * The conditions come as SQL over the columns of the scan tuple (query.h) that are known of a group without its
 * aggregates: k1, k2, ... by their numbers.  What is not sent between servers by nodeship.h is refused here too, so that no code
 * but PostgreSQL's own immutable functions runs.  A group on which evaluating them fails is sent: the reader evaluates
 * them again, and raises the error if it comes that far.
 */
#ifndef BS_NODEFILTER_H
#define BS_NODEFILTER_H

#include "postgres.h"

#include "query.h"
#include "registry.h"

typedef struct BsNodeFilter BsNodeFilter;

/* Of conditions over a view's scan columns those that every node answers alike for its part of a group. */
extern List *bs_node_filter_fit(const BsViewProgram *view, List *conditions);

/* Names of the columns, for bs_ship_text(). */
extern List *bs_node_filter_names(const BsViewProgram *view);

/* In CurrentMemoryContext, with which it goes. */
extern BsNodeFilter *bs_node_filter_make(const BsViewProgram *view, const char *conditions);

/*
 * Which groups of a window, and which values of sets, are wanted: for bs_packer_choose(), in CurrentMemoryContext;
 * *ngroups: of the groups.  NULL: all.
 */
extern const uint8 *const *bs_node_filter_choose(BsNodeFilter *filter, const BsWindowData *data, int64 window,
												 uint64 *ngroups);

#endif
