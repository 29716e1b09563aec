/* SPDX-License-Identifier: PostgreSQL */
/* guard.c: code that may raise an error, in a subtransaction.  See guard.h. */
#include "guard.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "prefix.h"

ErrorData *
bs_guarded(BsGuardedCode code, void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		code(argument);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

static void
run_in_transaction(BsGuardedCode code, void *argument)
{
	MemoryContext context;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	context = AllocSetContextCreate(TopTransactionContext, "backstream turn", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	code(argument);
	MemoryContextSwitchTo(TopTransactionContext);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* After an error, in the memory context of who called. */
static ErrorData *
end_failed_transaction(void)
{
	ErrorData *error = CopyErrorData();

	FlushErrorState();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	AbortCurrentTransaction();
	bs_prefix_leave_all();
	if (error->message == NULL)
		error->message = pstrdup("unknown error");
	return error;
}

ErrorData *
bs_guarded_transaction(BsGuardedCode code, void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData *volatile error = NULL;

	PG_TRY();
	{
		run_in_transaction(code, argument);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		error = end_failed_transaction();
		MemoryContextSwitchTo(context);
		if (error->detail != NULL)
			error->message = psprintf("%s (%s)", error->message, error->detail);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	/* Advisory locks that code of views has taken would stay as long as the process. */
	LockReleaseSession(USER_LOCKMETHOD);
	return error;
}
