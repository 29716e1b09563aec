/* SPDX-License-Identifier: PostgreSQL */
/* ownerrows.c: the rows of closed windows, with their owner's rights.  See ownerrows.h. */
#include "backstream.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#include "noderead.h"
#include "ownerrows.h"

/* Until the caller sets what was there before; an error that ends the transaction does. */
static void
become_owner(const BsOwnerRows *rows, Oid *user, int *security)
{
	GetUserIdAndSecContext(user, security);
	SetUserIdAndSecContext(rows->relation->rd_rel->relowner,
						   *security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
}

/* As the view's owner: setting up expressions checks rights, and may run code. */
static void
open_reader(BsOwnerRows *rows, const Bitmapset *needed)
{
	Relation relation = rows->relation;
	Oid user;
	int security;

	become_owner(rows, &user, &security);
	rows->reader = bs_reader_open(RelationGetRelid(relation), RelationGetDescr(relation), needed,
								  rows->context);
	SetUserIdAndSecContext(user, security);
	bs_reader_in_settings(rows->reader);
}

BsOwnerRows *
bs_owner_rows_open(Oid relid, const Bitmapset *needed, MemoryContext parent)
{
	MemoryContext context;
	MemoryContext outer;
	BsOwnerRows *rows;

	if (!ConditionalLockRelationOid(relid, AccessShareLock) || !bs_viewdef_lock_nowait(relid))
		return NULL;
	context = AllocSetContextCreate(parent, "backstream owner's rows", ALLOCSET_DEFAULT_SIZES);
	outer = MemoryContextSwitchTo(context);
	rows = palloc0(sizeof(BsOwnerRows));
	rows->context = context;
	rows->relation = relation_open(relid, NoLock);
	open_reader(rows, needed);
	MemoryContextSwitchTo(outer);
	return rows;
}

void
bs_owner_rows_close(BsOwnerRows *rows)
{
	bs_reader_close(rows->reader);
	relation_close(rows->relation, NoLock);
	MemoryContextDelete(rows->context);
}

BsWindowInfo *
bs_owner_rows_windows(BsOwnerRows *rows, int *nwindows)
{
	BsWindowInfo *windows;
	Oid user;
	int security;

	become_owner(rows, &user, &security);
	windows = bs_reader_all_windows(rows->reader, nwindows);
	SetUserIdAndSecContext(user, security);
	return windows;
}

/* As the owner: states that come from nodes are looked at by functions of their types. */
void
bs_owner_rows_load(BsOwnerRows *rows, int64 window)
{
	Oid user;
	int security;

	rows->exhausted = false;
	rows->nfailed = 0;
	rows->error = NULL;
	become_owner(rows, &user, &security);
	bs_reader_load(rows->reader, window, window, window);
	SetUserIdAndSecContext(user, security);
}

BsWindowData *
bs_owner_rows_from_nodes(BsOwnerRows *rows, int64 first, int64 last, MemoryContext context)
{
	BsWindowData *data;
	Oid user;
	int security;

	become_owner(rows, &user, &security);
	data = bs_node_reading_load(rows->reader->nodes, first, last, context);
	SetUserIdAndSecContext(user, security);
	return data;
}

/* ---------- guarded ---------- */

typedef struct Batch
{
	BsOwnerRows *rows;
	BsTakeRow take;
	void *context;
} Batch;

/* BsGuarded: rows until there is no room; what was taken when a row fails is good. */
static void
take_rows(void *argument)
{
	Batch *batch = argument;
	TupleTableSlot *slot;

	do
	{
		CHECK_FOR_INTERRUPTS();
		slot = bs_reader_next(batch->rows->reader, NULL, NULL);
		if (slot == NULL)
		{
			batch->rows->exhausted = true;
			return;
		}
	} while (batch->take(batch->context, slot));
}

bool
bs_owner_rows_next(BsOwnerRows *rows, BsTakeRow take, void *context)
{
	BsComputed *computed = rows->reader->view->computed;
	Batch batch = {rows, take, context};
	uint64 seen;
	bool made;

	bs_computed_begin(computed);
	do
	{
		seen = rows->reader->groups_read;
		made = bs_computed_guard(computed, take_rows, &batch);
		if (made)
			break;
		rows->error = bs_computed_last_error(computed);
		rows->nfailed++;
	} while (rows->reader->groups_read > seen);
	bs_computed_end(computed);
	if (bs_computed_suspended(computed) != NULL)
	{
		rows->error = bs_computed_suspended(computed);
		return false;
	}
	/* An error before the next row was looked at would come again. */
	if (!made)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("rows of continuous view \"%s\" cannot be made: %s",
						rows->reader->def->name, rows->error ? rows->error : "unknown error")));
	return true;
}

bool
bs_owner_rows_guard(BsOwnerRows *rows, BsGuarded code, void *argument)
{
	BsComputed *computed = rows->reader->view->computed;
	bool done;

	bs_computed_begin(computed);
	done = bs_computed_guard(computed, code, argument);
	if (!done)
		rows->error = bs_computed_last_error(computed);
	bs_computed_end(computed);
	return done;
}
