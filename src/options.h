/* SPDX-License-Identifier: PostgreSQL */
/*
 * options.h: options of continuous views, streams and servers.
 *
 * One table in options.c has a row per option: where it may stand, what values it takes, and where
 * it lies in BsViewOptions.  Adding an option is a row there and a field here.
 */
#ifndef BS_OPTIONS_H
#define BS_OPTIONS_H

#include "postgres.h"
#include "nodes/parsenodes.h"

#define BS_FORMAT 1 /* of what a view's options hold; written into each view */

/* Lateness was not given: 10 s for a window over event time, 0 over time_received. */
#define BS_LATENESS_DEFAULT      INT64CONST(-1)
#define BS_MAX_BEHIND_DEFAULT    INT64CONST(-1)
#define BS_LATENESS_EVENT_USEC   (INT64CONST(10) * USECS_PER_SEC)
#define BS_LATENESS_ARRIVAL_USEC INT64CONST(0)
/* With spread(): flows are exported when they end, so that their first windows wait for all of them. */
#define BS_LATENESS_SPREAD_USEC  (INT64CONST(5) * USECS_PER_MINUTE)

typedef enum BsViewClock
{
	BS_CLOCK_WALL, /* wall-clock time closes windows when traffic stops */
	BS_CLOCK_DATA  /* only the records' time does */
} BsViewClock;

typedef enum BsViewOverflow
{
	BS_OVERFLOW_COUNT, /* records of groups without room are counted and left out */
	BS_OVERFLOW_OTHER  /* they are gathered in one row of the window, whose keys are NULL */
} BsViewOverflow;

typedef enum BsViewShow
{
	BS_SHOW_ALL,
	BS_SHOW_CLOSED /* open windows are not returned */
} BsViewShow;

/* What becomes of a statement over several nodes when one of them does not answer. */
typedef enum BsNodeFailure
{
	BS_NODE_FAILURE_ERROR,
	BS_NODE_FAILURE_PARTIAL, /* a warning names those that are missing */
	BS_NODE_FAILURE_UNSET    /* of a view: as its server says */
} BsNodeFailure;

typedef enum BsNotifyOn
{
	BS_NOTIFY_ROW,   /* each row of a closed window */
	BS_NOTIFY_CHANGE /* groups that the window before had not, or has no more */
} BsNotifyOn;

/* When a definition that counts something else takes the place of what is there. */
typedef enum BsTakeOver
{
	BS_TAKE_OVER_CLOSED, /* when its first full window is closed */
	BS_TAKE_OVER_NOW
} BsTakeOver;

/* Options of the definition that waits to take over have this before their names. */
#define BS_NEXT_PREFIX "next_"

/* Times in microseconds; what was not given has its default. */
typedef struct BsViewOptions
{
	char *query; /* the stored SELECT; NULL in a list that has none */
	int64 retain_usec;
	int64 lateness_usec; /* may be BS_LATENESS_DEFAULT */
	int64 idle_usec;
	int64 max_future_usec;
	int64 max_behind_usec; /* may be BS_MAX_BEHIND_DEFAULT */
	int64 max_groups;  /* per window */
	int64 window_usec; /* of a rolling view; 0: it is none */
	int64 slide_usec;
	char *time_column;  /* of a rolling view; NULL: time_received of backstream.flow */
	int clock;          /* BsViewClock */
	int show;           /* BsViewShow */
	int take_over;      /* BsTakeOver */
	char *notify;       /* a channel; NULL: none */
	int notify_on;      /* BsNotifyOn */
	int64 notify_limit; /* notifications of one window, without the summary */
	char *archive;      /* a table's name; NULL: none */
	int overflow;       /* BsViewOverflow */
	char *timezone;     /* pinned settings: see pinned.h */
	char *datestyle;
	char *intervalstyle;
	int64 format;
	/* Of a view that other servers keep (node.h): */
	int on_node_failure; /* BsNodeFailure */
	int nodes_follow;    /* bool: DROP, ALTER and OR REPLACE here are done there, too */
	char *schema_name;   /* where and what it is on the nodes */
	char *table_name;
} BsViewOptions;

/* Are windows handed on when they close (outputs.h)? */
static inline bool
bs_view_options_have_outputs(const BsViewOptions *options)
{
	return options->notify != NULL || options->archive != NULL;
}

/* Those of a server, but libpq's (nodeoptions.c). */
typedef struct BsServerOptions
{
	char *nodes;             /* names of servers; NULL: it is no group */
	char *schema;            /* in which views are made on nodes; NULL: the same as here */
	int64 node_timeout_usec; /* -1: as backstream.node_timeout says */
	int on_node_failure;     /* BsNodeFailure, not unset */
} BsServerOptions;

/*
 * Read a server's options into result; those of libpq are checked and passed over.  Raises an error for an
 * option or a value that is not right.
 */
extern void bs_server_options_parse(List *options, BsServerOptions *result);

/* The option of that name in a list of DefElem, or NULL. */
extern DefElem *bs_option_find(List *options, const char *name);

/*
 * Read a view's options (a list of DefElem as in pg_foreign_table) into result, whose strings are
 * palloc'd.  Raises an error for an option or a value that is not right, or a format that this
 * version does not know.
 */
extern void bs_view_options_parse(List *options, BsViewOptions *result);

/*
 * Of a view's stored options those of the definition that it shows, and those of the one that waits to
 * take over, under their own names (NIL: none does): new lists.
 */
extern List *bs_options_shown(List *options);
extern List *bs_options_waiting(List *options);
/* The options of a view that shows the first and waits for the second (both under their own names). */
extern List *bs_options_join(List *shown, List *waiting);
/* next_NAME */
extern char *bs_option_next_name(const char *name);

/*
 * The options that a user wrote in CREATE VIEW ... WITH (...) or SET (...), checked one by one,
 * with error positions in source (may be NULL: none): a new list of DefElem with strings as values.
 * CONTINUOUS itself is left out.  What only the system writes (query, format) is refused.
 */
extern List *bs_view_options_from_user(List *defelems, const char *source);

/* May ALTER change this option of a view?  The query and what it was read under stay. */
extern bool bs_view_option_is_fixed(const char *name);

/* Is there a row for this option of a view at all?  For RESET. */
extern bool bs_view_option_exists(const char *name);

/* errposition() of a byte offset in source; nothing when either is unknown.  For ereport(). */
extern int bs_error_position(const char *source, int location);

#endif
