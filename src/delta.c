/* SPDX-License-Identifier: PostgreSQL */
/* delta.c: what one transaction adds to the continuous views.  See delta.h.  No view is counted yet. */
#include "delta.h"

const bool *
bs_delta_wanted(Oid stream, int ncolumns)
{
	return NULL;
}

void
bs_delta_add(Oid stream, BsBatch *batch)
{
}

void
bs_delta_publish(void)
{
}

void
bs_delta_discard(void)
{
}
