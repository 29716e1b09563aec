/* SPDX-License-Identifier: PostgreSQL */
/* views.c: telling the workers that definitions have changed.  See views.h. */
#include "backstream.h"

#include "access/xact.h"

#include "views.h"

void (*bs_views_changed_hook)(void) = NULL;

static bool changed_in_transaction = false;

void
bs_views_changed(void)
{
	changed_in_transaction = true;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			if (changed_in_transaction && bs_views_changed_hook)
				bs_views_changed_hook();
			changed_in_transaction = false;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			changed_in_transaction = false;
			break;
		default:
			break;
	}
}

void
bs_views_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}
