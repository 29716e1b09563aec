/* SPDX-License-Identifier: PostgreSQL */
/* outputdef.h: what a view's definition says of its outputs (outputs.h), and whether that can be. */
#ifndef BS_OUTPUTDEF_H
#define BS_OUTPUTDEF_H

#include "postgres.h"

/*
 * A view has been made or replaced: raise an error if it cannot have the outputs that its options name.  Its
 * archive is made if it is not there, and becomes one of the view's dependencies.
 */
extern void bs_outputs_check(Oid relid);

/* The same after options were changed: what the view depended on for them is forgotten before. */
extern void bs_outputs_altered(Oid relid);

#endif
