/* SPDX-License-Identifier: PostgreSQL */
/* ddl.c: what happens when continuous views and streams are made, changed or dropped. */
#include "backstream.h"

#include "ddl.h"

void
bs_ddl_init(void)
{
}
