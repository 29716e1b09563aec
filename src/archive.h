/* SPDX-License-Identifier: PostgreSQL */
/*
 * archive.h: closed windows in ordinary tables: WITH (archive = 'schema.table').
 *
 *   archivetable.c  the table: made or checked when the view is, and named by its options
 *   archive.c       writing closed windows into it
 *   archiver.c      the background worker that does so
 *
 * backstream.archived has a row for each table that is or was an archive: windows of its view that start before
 * archived_before are in it.  Rows and this mark are written in one transaction, so that a window is in
 * the table once, whatever ends when; and the row belongs to the table, not to the view, so that a view
 * that is made anew over the same table goes on where the old one was.
 *
 * A process of its own, since it waits where nobody else may: for locks on the table, for its
 * triggers, for the disk.
 */
#ifndef BS_ARCHIVE_H
#define BS_ARCHIVE_H

#include "nodes/primnodes.h"
#include "outputs.h"
#include "viewshape.h"
#include "utils/rel.h"

/* BsOutputRun of the archiver. */
extern BsOutputOutcome bs_archive_run(BsOutputTask *task);

/* ---------- archivetable.c ---------- */

/* The table that an option names; InvalidOid when there is none (missing_ok) or the option is NULL. */
extern Oid bs_archive_table(const char *name, bool missing_ok);

/* Its name with the schema, as the option is stored. */
extern char *bs_archive_table_name(Oid table);

/*
 * A view has got this archive: make the table when there is none, otherwise check that it can be one.  Returns
 * the table.
 */
extern Oid bs_archive_prepare(Relation view, const BsViewShape *shape, const char *name);

/* Raise an error unless rows of the view can be put into the table. */
extern void bs_archive_check_table(Relation view, Relation table);

#endif
