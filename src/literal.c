/* SPDX-License-Identifier: PostgreSQL */
/* literal.c: CREATE, ALTER and DROP CONTINUOUS VIEW as they are written. */
#include "backstream.h"

#include "literal.h"

BS_SQL_FUNCTION(bs_execute);

Datum
bs_execute(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("backstream.execute() is not supported yet")));
	PG_RETURN_VOID();
}

void
bs_literal_init(void)
{
}
