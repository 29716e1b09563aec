/* SPDX-License-Identifier: PostgreSQL */
/*
 * backstream.h: what every file of ring 3 (src, the files that see PostgreSQL) shares.
 *
 * Which file does what:
 *
 *   backstream.c  loading the library and the settings (declared here), nothing else
 *   options.c     options of views, streams and servers: names, bounds, defaults, the validator
 *   viewdef.c     a view's definition: stored text, settings it is read under, dependencies
 *   ddl.c         the utility hook: what is done when views and streams are made, changed or
 * dropped literal.c     CREATE/ALTER/DROP CONTINUOUS VIEW as it is written, and
 * backstream.execute() query.c       what a continuous view's query may be views.c       telling
 * the workers that definitions have changed fdw.c         reading and writing views and streams
 */
#ifndef BACKSTREAM_H
#define BACKSTREAM_H

#include "postgres.h"
#include "fmgr.h"

#define BS_EXTENSION "backstream" /* also the wrapper's, the local server's and the schema's name  \
								   */

/* A C function that SQL calls: the library's symbols are hidden unless they say otherwise. */
#define BS_SQL_FUNCTION(name)                                                                      \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                               \
	PG_FUNCTION_INFO_V1(name)

/* The settings; units in their names.  backstream.c says what each means. */
extern char *bs_setting_database;
extern int bs_setting_workers;
extern char *bs_setting_listen;
extern int bs_setting_receive_buffer_kb;
extern char *bs_setting_allow;
extern int bs_setting_memory_mb;
extern double bs_setting_nap_msec;
extern int bs_setting_eval_timeout_msec;
extern int bs_setting_max_views;
extern int bs_setting_max_exporters;
extern int bs_setting_max_templates;
extern int bs_setting_max_flow_duration_sec;
extern int bs_setting_listen_for_msec;

#endif
