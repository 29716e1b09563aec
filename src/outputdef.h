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

/* The archive that a view's options name, palloc'ed; NULL: none. */
extern char *bs_outputs_archive(Oid relid);

/*
 * The same after options were changed.  old_archive is what they named before, which the view then depends
 * on no more.  (That reads the definition, and waits for whoever changes the stream; a view without an
 * archive does not.)
 */
extern void bs_outputs_altered(Oid relid, const char *old_archive);

#endif
