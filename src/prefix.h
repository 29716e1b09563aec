/* SPDX-License-Identifier: PostgreSQL */
/*
 * prefix.h: prefix maps: tables and files of prefixes as longest-prefix maps in shared memory.
 *
 *   prefixshared.c   shared memory: who is registered, the map in force, who is looking into it
 *   prefixkeeper.c   the keeper's part: follow the tables, build, put in force, free
 *   prefixread.c     a table's rows into a builder; prefixfile.c the networks of a file
 *   prefixlookup.c   prefix_lookup() and its like, for SQL and for the native path
 *   prefixcreate.c   create_prefix_map() and its like, the trigger, the counters
 *
 * A map is of a table, or of a file of the MaxMind DB format.  It is registered by a row of backstream.prefix_map.  The keeper gives it a slot in shared memory
 * and builds it (engine/prefixmap.h) into the arena that windows use.  When the table changes it builds
 * another one, exchanges the two at once, and frees the old one when nobody is in it any more: there is
 * always a whole map, of one state of the table.
 *
 * Who looks up says so in a word of his own in shared memory (an epoch): bs_prefix_enter() writes it,
 * bs_prefix_leave() clears it.  No lock is held meanwhile, so a writer may be inside for a whole batch,
 * and what he evaluates may take time.  The keeper frees a map when everybody who is inside has entered
 * after the exchange.
 */
#ifndef BS_PREFIX_H
#define BS_PREFIX_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "engine/expr.h"
#include "registry.h"

#define BS_PREFIX_TABLE "prefix_map" /* of registrations, in the extension's schema */

/* A registration: a row of backstream.prefix_map. */
typedef struct BsPrefixDef
{
	char name[NAMEDATALEN];
	Oid relid;                /* InvalidOid: a file */
	char prefix[NAMEDATALEN]; /* column of the prefixes */
	char file[MAXPGPATH];     /* empty: a table */
	int nlabels;
	char labels[BS_PREFIX_MAX_LABELS][NAMEDATALEN]; /* columns, or paths in the file */
	Oid owner;
	bool is_public; /* everybody may look up, else members of the owner */
} BsPrefixDef;

typedef struct BsRetiredMap
{
	uint64 map;   /* offset in the arena; 0: none */
	uint64 epoch; /* whoever has entered before may be in it */
} BsRetiredMap;

/* A registered map.  All is written by the keeper alone. */
typedef struct BsSharedPrefixMap
{
	/* Under the lock of prefix maps: */
	BsPrefixDef def; /* name empty: the slot is free */
	TimestampTz built_at;
	int64 build_usec;
	uint64 rows;          /* of the table, with a prefix */
	BsPrefixMapInfo info; /* of the map in force */
	bool failed;          /* the last build; the map in force is that of an earlier state */
	TimestampTz error_at;
	char error[BS_ERROR_TEXT];

	/* The keeper's alone: a map that was replaced, and one more when the registration goes meanwhile. */
	BsRetiredMap retired[2];

	pg_atomic_uint64 definition; /* a number that no other registration ever has; 0: free */
	pg_atomic_uint64 root;       /* offset of the map in force in the arena; 0: none yet */
	pg_atomic_uint64 served;     /* changes committed before this request are in the map */
} BsSharedPrefixMap;

/* ---- shared memory --------------------------------------------------------------------------- */

/* Space and hooks; called from _PG_init. */
extern void bs_prefix_init(void);
extern BsSharedPrefixMap *bs_prefix_slot(int i); /* 0 .. bs_setting_max_prefix_maps - 1 */
extern void bs_prefix_lock(LWLockMode mode);
extern void bs_prefix_unlock(void);

/* Copy what is registered in shared memory under a name: number of the slot, or -1. */
extern int bs_prefix_find(const char *name, Oid *owner, bool *is_public, uint64 *definition);

/* Ask the keeper to bring maps up to date: the number of the request, to be waited for in served. */
extern uint64 bs_prefix_request(void);
extern uint64 bs_prefix_requests(void);
/* All requests up to this have been looked at; whatever is registered since before has a slot. */
extern uint64 bs_prefix_looked_at(void);
extern void bs_prefix_set_looked_at(uint64 request);

/* A number for a registration. */
extern uint64 bs_prefix_next_definition(void);

/* For the keeper: put a map (or none, 0) in force; what is freed of those that were before. */
extern void bs_prefix_publish(BsSharedPrefixMap *slot, uint64 map);
extern void bs_prefix_free_retired(BsSharedPrefixMap *slot);

/* ---- looking up ------------------------------------------------------------------------------ */

/* One place of a view that looks up: a map and a label. */
typedef struct BsPrefixUse
{
	BsPrefixHandle handle; /* what the engine has; handle.map is set between enter and leave */
	char map[NAMEDATALEN];
	Oid role; /* with whose rights */
	int slot;
	uint64 definition; /* 0: there is none, or the role may not */
} BsPrefixUse;

/*
 * A use, new or found in the list, in the context given; not resolved.  The handle in it stays where it
 * is.
 */
extern BsPrefixUse *bs_prefix_use(List **uses, const char *map, const char *label, Oid role,
								  MemoryContext context);

/* Find the maps of uses and check rights; in a transaction.  Again when registrations have changed. */
extern void bs_prefix_resolve(List *uses);

/*
 * From here to bs_prefix_leave() no map that can be found is freed; sets the maps of uses.  May nest.
 * The end of the process or of an aborted transaction is a leave.  Raises nothing.
 */
extern void bs_prefix_enter(List *uses);
extern void bs_prefix_leave(void);
/* However often it was entered: after an error whose transaction goes on. */
extern void bs_prefix_leave_all(void);

/* The map of a slot if it is still of that definition, or NULL.  Inside enter and leave. */
extern const BsPrefixMap *bs_prefix_map(int slot, uint64 definition);

/* A call of one of the functions, with constant names. */
typedef struct BsPrefixCall
{
	BsOp op;
	BsType type;
	char *map;
	char *label; /* empty: the first */
	Expr *address;
} BsPrefixCall;

extern bool bs_prefix_call(const FuncExpr *expr, BsPrefixCall *call);

/*
 * Raise an error if a query (analysed) looks up in a map that is not registered, or that the current
 * user may not use.  Not for definitions that come from a dump: registrations are restored later.
 */
extern void bs_prefix_check_query(Query *query, const char *source, int location);

/* ---- building -------------------------------------------------------------------------------- */

/*
 * Once in every turn of the keeper, outside of a transaction.  breathe is called now and then while
 * much is read.  Raises nothing but what ends the process.
 */
extern void bs_prefix_keep(void (*breathe)(void));

/*
 * Are these columns of this table such as a map can be made of, and may the role read them?  Raises an
 * error if not.
 */
extern void bs_prefix_check_table(Relation table, const BsPrefixDef *def);

/* The label columns of a checked table, as the engine has them. */
extern void bs_prefix_columns(Relation table, const BsPrefixDef *def, BsLabelColumn *columns);

/* Read a checked table under the active snapshot; returns the number of rows with a prefix. */
extern uint64 bs_prefix_read(Relation table, const BsPrefixDef *def, BsPrefixBuilder *builder,
							 void (*breathe)(void));

/* ---- files ----------------------------------------------------------------------------------- */

/* What changes when a file does; all zero: it is not there. */
typedef struct BsPrefixFileStamp
{
	uint64 device;
	uint64 inode;
	int64 size;
	int64 changed_nsec;
	uint64 young; /* 1: so lately changed that another change may have the same stamp: look again */
} BsPrefixFileStamp;

extern BsPrefixFileStamp bs_prefix_file_stamp(const char *path);

/* Raises an error if the map's owner may not read files, or this one cannot be opened as what it should be. */
extern void bs_prefix_file_check(const BsPrefixDef *def);

/*
 * Read the file into a new builder, in place of the one that is there; returns the number of networks.
 * What an error leaves open is closed by bs_prefix_file_let_go().
 */
extern uint64 bs_prefix_file_read(const BsPrefixDef *def, BsPrefixBuilder **builder,
								  void (*breathe)(void));
extern void bs_prefix_file_let_go(void);

#endif
