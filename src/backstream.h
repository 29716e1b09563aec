/* SPDX-License-Identifier: PostgreSQL */
/*
 * backstream.h: what every file of ring 3 (src, the files that see PostgreSQL) shares.
 *
 * Which file does what:
 *
 *   backstream.c    loading the library and the settings (declared here), nothing else
 *
 *   definitions
 *   ddl.c           the utility hook: which statements are ours
 *   viewcreate.c    making and replacing views; viewalter.c, viewrename.c changing them
 *   viewdef.c       a view's definition as it is stored; viewdepend.c what it depends on
 *   options.c       options of views, streams and servers: names, bounds, defaults, the validator
 *   pinned.c        the settings that stored text is read under
 *   literal.c       CREATE/ALTER/DROP CONTINUOUS VIEW as it is written; literaltext.c its text
 *   views.c         telling the workers that definitions have changed
 *
 *   from a query to a program
 *   query.c         the split: what the writer does and what the reader does
 *   refuse.c        what cannot be a continuous view
 *   windowform.c    which expression of GROUP BY is the window; windowfuncs.c what hop() is over
 *                   tables, rolling.c views whose window goes with the clock,
 *                   spreadform.c spread() in FROM
 *   native.c        expressions that the engine has; computed.c all others
 *   remember.c      functions whose values are remembered; remembercache.c those values
 *   aggregates.c    aggregates that the engine has; foreignagg.c all others
 *   canonical.c     values whose bytes are equal when they are, for keys and DISTINCT
 *   finals.c        from a group to the values that the reader sees
 *   explain.c       backstream.explain()
 *   lanes.c         PostgreSQL's values as the engine's, and back
 *
 *   counting
 *   registry.c      views in shared memory; advance.c closes windows, viewread.c and windowtable.c read them
 *   active.c        the views that this process runs; activeadd.c a batch into them,
 *                   tidy.c their foreign states
 *   worker.c        the receivers; exporterconfig.c the administrator's table for them,
 *                   faultlog.c what they say of traffic, forwarding.c copies to others
 *   keeper.c        closing by the clock, and what dropped views leave
 *   levels.c        views over views: who has something to read; feedup.c one window into
 *                   another view, settle.c backstream.settle()
 *   ownerrows.c     rows of closed windows, with their owner's rights
 *   outputs.c       what is handed on when windows close; outputdef.c whether it can be
 *   archiver.c      the archiver; archive.c closed windows into tables, archivetable.c which tables
 *   alerts.c        notifications; alertgroups.c which groups a window had
 *   resume.c        backstream.resume()
 *
 *   other servers
 *   nodeoptions.c   their options, and who must give a password; nodeserver.c groups of them
 *   nodeconn.c      connections of a session; noderun.c waiting for nodes, noderesolve.c and
 *                   nodehello.c what comes before the first question, nodeshared.c who was heard
 *   nodedefine.c    views that nodes keep; nodekeep.c at the node, nodetext.c their text,
 *                   nodeportable.c what can travel, nodeimport.c IMPORT FOREIGN SCHEMA,
 *                   nodesync.c bringing nodes into step
 *   fetcher.c       the fetcher: second levels over nodes; nodelevels.c what it reads, nodeaway.c who
 *                   does not answer
 *   noderead.c      windows that nodes have; nodefetch.c what they hold, nodeserve.c at the node
 *   nodetail.c      records of their streams; nodeship.c conditions that they evaluate,
 *                   nodefilter.c at the node
 *
 *   records by SQL
 *   insert.c        INSERT and COPY into streams; ingest.c export datagrams
 *   feed.c          a transaction's rows; feedapply.c into batches when it commits
 *   delta.c         what they add to the views
 *
 *   reading
 *   fdw.c           the table of functions of the foreign-data wrapper
 *   viewshape.c     what a planner must know of a view; scanplan.c planning a scan of it
 *   scan.c          running and explaining it; reader.c rows of groups
 *   latest.c        backstream.latest() and merged()
 *   history.c       backstream.history(): live and archived windows, tail(): windows as they close,
 *                   follow.c waits for them; final.c backstream.is_final()
 *   tailscan.c      SELECT from a stream, tailplan.c its plan; tails.c who listens; tailfeed.c records to them
 *   statviews.c     what can be seen of the system itself
 */
#ifndef BACKSTREAM_H
#define BACKSTREAM_H

#include "postgres.h"
#include "fmgr.h"

/* Also the name of the wrapper, of the local server and of the schema. */
#define BS_EXTENSION "backstream"
#define BS_VERSION   "1.0" /* as in backstream.control */

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
extern char *bs_setting_forward;
extern int bs_setting_memory_mb;
extern double bs_setting_nap_msec;
extern int bs_setting_eval_timeout_msec;
extern int bs_setting_max_views;
extern int bs_setting_max_prefix_maps;
extern int bs_setting_max_exporters;
extern int bs_setting_max_templates;
extern int bs_setting_max_flow_duration_sec;
extern int bs_setting_checkpoint_interval_sec;
extern int bs_setting_listen_for_msec;
extern int bs_setting_max_tails;
extern int bs_setting_tail_buffer_kb;
extern int bs_setting_tail_report_msec;
extern int bs_setting_level_wait_msec;
extern int bs_setting_archive_timeout_msec;
extern int bs_setting_remember_msec;
extern int bs_setting_remember_memory_kb;
extern int bs_setting_node_timeout_msec;

#endif
