/* SPDX-License-Identifier: PostgreSQL */
/*
 * follow.h: the windows of a view as they close: what a scan for backstream.tail() does instead of listing those that
 * there are.
 *
 * It belongs to one statement.  Each closed window is given once, in order of time; when there is none the statement
 * waits, for backstream.listen_for in all.  What was dropped before it could be read is told by a NOTICE.
 */
#ifndef BS_FOLLOW_H
#define BS_FOLLOW_H

#include "nodes/execnodes.h"

#include "reader.h"

typedef struct BsFollow
{
	BsReader *reader;
	int64 position;    /* the next window to give starts here or later */
	TimestampTz until; /* DT_NOEND: for ever */
	bool reads_no_table; /* the statement: listening.h */
} BsFollow;

/* Begin with windows that start after since; NULL: with those that close from now on. */
extern void bs_follow_start(BsFollow *follow, BsReader *reader, const TimestampTz *since,
							const EState *estate);

/*
 * The windows that have closed since the last call, in CurrentMemoryContext; waits for one.  None when time is over.
 * What the client has not been sent yet is sent before it waits.
 */
extern BsWindowInfo *bs_follow_windows(BsFollow *follow, int *nwindows);

/* A window that was given has gone before its rows were read. */
extern void bs_follow_lost(const BsFollow *follow, int64 before);

#endif
