/* SPDX-License-Identifier: PostgreSQL */
/* views.h: telling the workers that the definitions of views or streams have changed. */
#ifndef BS_VIEWS_H
#define BS_VIEWS_H

/*
 * Called at XACT_EVENT_COMMIT of a transaction that called bs_views_changed(), in the backend that
 * committed.  The changes are visible to others, but their invalidations may not have been sent
 * yet: whoever reads the catalogs takes a fresh snapshot and scans.  It must not fail. NULL until
 * somebody wants to know.
 */
extern void (*bs_views_changed_hook)(void);

/*
 * This transaction has changed definitions: views, streams, or rights that views depend on. Nothing
 * is told if it rolls back; a rolled-back savepoint may tell one time too many.
 */
extern void bs_views_changed(void);

/* Called once, when the library is loaded. */
extern void bs_views_init(void);

#endif
