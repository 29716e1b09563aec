/* SPDX-License-Identifier: PostgreSQL */
/* outputdef.h: what a view's definition says of its outputs (outputs.h), and whether that can be. */
#ifndef BS_OUTPUTDEF_H
#define BS_OUTPUTDEF_H

#include "postgres.h"

/*
 * A view has been made or changed: raise an error if it cannot have the outputs that its options name.
 */
extern void bs_outputs_check(Oid relid);

#endif
