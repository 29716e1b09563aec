/* SPDX-License-Identifier: PostgreSQL */
/* backstream.c: loading the library: the settings, and the other files' hooks.  Nothing else. */
#include "backstream.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "../receiver/allow.h"
#include "../receiver/forward.h"
#include "../receiver/listen.h"
#include "active.h"
#include "combine.h"
#include "ddl.h"
#include "feed.h"
#include "history.h"
#include "literal.h"
#include "nodeconn.h"
#include "nodedefine.h"
#include "prefix.h"
#include "remember.h"
#include "registry.h"
#include "tails.h"
#include "views.h"
#include "worker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

char *bs_setting_database;
int bs_setting_workers;
char *bs_setting_listen;
int bs_setting_receive_buffer_kb;
char *bs_setting_allow;
char *bs_setting_forward;
int bs_setting_memory_mb;
double bs_setting_nap_msec;
int bs_setting_eval_timeout_msec;
int bs_setting_max_views;
int bs_setting_max_prefix_maps;
int bs_setting_max_exporters;
int bs_setting_max_templates;
int bs_setting_max_flow_duration_sec;
int bs_setting_checkpoint_interval_sec;
int bs_setting_listen_for_msec;
int bs_setting_max_tails;
int bs_setting_tail_buffer_kb;
int bs_setting_tail_report_msec;
int bs_setting_level_wait_msec;
int bs_setting_archive_timeout_msec;
int bs_setting_remember_msec;
int bs_setting_remember_memory_kb;
int bs_setting_node_timeout_msec;

#define ERROR_TEXT 256

static bool check_listen(char **newval, void **extra, GucSource source);
static bool check_allow(char **newval, void **extra, GucSource source);
static bool check_forward(char **newval, void **extra, GucSource source);

typedef struct StringSetting
{
	const char *name;
	const char *summary;
	const char *details;
	char **variable;
	const char *boot;
	GucContext context;
	GucStringCheckHook check;
} StringSetting;

typedef struct IntSetting
{
	const char *name;
	const char *summary;
	const char *details;
	int *variable;
	int boot;
	int min;
	int max;
	GucContext context;
	int unit; /* GUC_UNIT_... or 0 */
} IntSetting;

static const StringSetting string_settings[] = {
	{"backstream.database", "Database that the extension is created in and the workers use.",
	 "There is one in a server.", &bs_setting_database, "postgres", PGC_POSTMASTER, NULL},
	{"backstream.listen", "Addresses and UDP ports on which exports are received.",
	 "A list separated by commas: host:port, [ipv6]:port, or *:port for all addresses.  NetFlow "
	 "v5, v9, IPFIX and sFlow are told apart by each datagram, so any port takes any of them.  Empty: "
	 "receive "
	 "nothing.",
	 &bs_setting_listen, "localhost:2055", PGC_SIGHUP, check_listen},
	{"backstream.allow", "Networks from which exports are taken.",
	 "A list of addresses and networks (10.0.0.0/8, 2001:db8::/32) separated by commas.  Datagrams "
	 "of other senders are counted as rejected before they are decoded.  Empty: everybody may "
	 "export.",
	 &bs_setting_allow, "", PGC_SIGHUP, check_allow},
	{"backstream.forward", "Other collectors that get a copy of every datagram.",
	 "A list of host:port or [ipv6]:port separated by commas.  What cannot be sent at once is dropped and "
	 "counted in backstream.forwards: reception never waits.  They see this host as the exporter.  Empty: "
	 "nobody.",
	 &bs_setting_forward, "", PGC_SIGHUP, check_forward},
};

static const IntSetting int_settings[] = {
	{"backstream.workers", "Number of receiving processes.",
	 "An exporter's datagrams always go to the same one.  Each takes one of max_worker_processes.",
	 &bs_setting_workers, 1, 1, 64, PGC_POSTMASTER, 0},
	{"backstream.receive_buffer", "Size of the kernel's buffer of each socket.",
	 "It bridges the moments in which a worker does not receive.  The kernel gives no more than "
	 "net.core.rmem_max; a line in the log says so.",
	 &bs_setting_receive_buffer_kb, 8 * 1024, 64, 1024 * 1024, PGC_SIGHUP, GUC_UNIT_KB},
	{"backstream.memory", "Shared memory for all windows of all continuous views.",
	 "Reserved when the server starts.  When it is full, records of new groups are counted as "
	 "overflowed and existing groups go on.",
	 &bs_setting_memory_mb, 256, 16, 1024 * 1024, PGC_POSTMASTER, GUC_UNIT_MB},
	{"backstream.eval_timeout",
	 "Time that expressions of a continuous view may take over one batch of records.",
	 "A view that takes longer is suspended and says so in backstream.views.  Native expressions "
	 "cannot take long and are not measured.  0: no limit.",
	 &bs_setting_eval_timeout_msec, 1000, 0, 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS},
	{"backstream.max_views", "Number of continuous views that can be active.",
	 "Sets the size of tables in shared memory.", &bs_setting_max_views, 256, 1, 65536,
	 PGC_POSTMASTER, 0},
	{"backstream.max_prefix_maps", "Number of prefix maps that can be registered.",
	 "Sets the size of a table in shared memory.", &bs_setting_max_prefix_maps, 64, 1, 4096,
	 PGC_POSTMASTER, 0},
	{"backstream.max_exporters",
	 "Number of exporters (address, observation domain and kind of export) that are known at once.",
	 "Datagrams of further ones are refused and counted; those that are known go on.",
	 &bs_setting_max_exporters, 4096, 1, 1048576, PGC_POSTMASTER, 0},
	{"backstream.max_templates", "Number of templates held by each worker.",
	 "Further ones are refused and counted.", &bs_setting_max_templates, 65536, 1, 16777216,
	 PGC_POSTMASTER, 0},
	{"backstream.max_flow_duration", "Longest credible duration of a flow.",
	 "Some exporters keep the original start in every export of a long flow, though its counters "
	 "cover only the time since the last one.  A time_flow_start that lies further before "
	 "time_flow_end is moved up to it.  0: starts are left as they are.",
	 &bs_setting_max_flow_duration_sec, 0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S},
	{"backstream.level_wait",
	 "Time for which windows past retention are kept for a view over theirs, or an output, that has not "
	 "got them.",
	 "After it they are dropped, and counted as missed in backstream.views.",
	 &bs_setting_level_wait_msec, 60 * 1000, 0, 24 * 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS},
	{"backstream.remember",
	 "Time for which continuous views remember what a function has returned for the same "
	 "arguments.",
	 "A setting of functions that read tables: backstream.remember() sets it.  In a session it "
	 "means nothing.",
	 &bs_setting_remember_msec, 0, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS},
	{"backstream.remember_memory",
	 "Memory for what one function has returned, of each process and each place in a view that "
	 "calls it.",
	 "When it is full, what has not been asked for lately is forgotten.",
	 &bs_setting_remember_memory_kb, 4 * 1024, 64, 1024 * 1024, PGC_SIGHUP, GUC_UNIT_KB},
	{"backstream.node_timeout", "Time after which a node that says nothing is taken to be away.",
	 "A server's option node_timeout goes before it.", &bs_setting_node_timeout_msec, 10 * 1000, 10,
	 24 * 3600 * 1000, PGC_USERSET, GUC_UNIT_MS},
	{"backstream.archive_timeout",
	 "Time that an INSERT of closed windows into an archive may take.",
	 "With all triggers and locks.  It is tried again later, and says so in backstream.outputs.  Other "
	 "archives wait meanwhile, nobody else does.  0: no limit.",
	 &bs_setting_archive_timeout_msec, 10 * 1000, 0, 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS},
	{"backstream.max_tails", "Number of statements that can read streams at the same time.",
	 "Sets the size of a table in shared memory.", &bs_setting_max_tails, 128, 1, 4096,
	 PGC_POSTMASTER, 0},
	{"backstream.tail_buffer",
	 "Memory in which records wait for a statement that reads a stream, for each worker.",
	 "What finds no room is not returned, and counted: the statement says so at its end.",
	 &bs_setting_tail_buffer_kb, 1024, 64, 1024 * 1024, PGC_USERSET, GUC_UNIT_KB},
	{"backstream.tail_report",
	 "Interval at which a statement that reads a stream tells its client how many records it has lost.",
	 "For servers that unite the streams of several nodes, as a ParameterStatus message.  0: never.",
	 &bs_setting_tail_report_msec, 0, 0, 3600 * 1000, PGC_USERSET, GUC_UNIT_MS},
	{"backstream.checkpoint_interval", "Time between two times that open windows are written to disk.",
	 "It bounds what a crash loses.  Windows that have closed are written once.  0: only when the "
	 "server stops.",
	 &bs_setting_checkpoint_interval_sec, 30, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S},
	{"backstream.listen_for", "Time after which a SELECT from a stream, or from backstream.tail(), ends.",
	 "0: it ends only at its LIMIT or when cancelled.", &bs_setting_listen_for_msec, 10 * 1000, 0,
	 INT_MAX, PGC_USERSET, GUC_UNIT_MS},
};

/* The syntax alone: names are looked up by the workers, where a slow resolver hurts nobody else. */
static bool
check_listen(char **newval, void **extra, GucSource source)
{
	char error[ERROR_TEXT];

	if (bs_listen_parse(*newval, false, NULL, 0, error, sizeof(error)) >= 0)
		return true;
	GUC_check_errdetail("%s", error);
	return false;
}

static bool
check_allow(char **newval, void **extra, GucSource source)
{
	char error[ERROR_TEXT];
	BsAllowList allow;

	if (!bs_allow_parse(*newval, &allow, error, sizeof(error)))
	{
		GUC_check_errdetail("%s", error);
		return false;
	}
	bs_allow_free(&allow);
	return true;
}

static bool
check_forward(char **newval, void **extra, GucSource source)
{
	char error[ERROR_TEXT];

	if (bs_forward_check(*newval, error, sizeof(error)))
		return true;
	GUC_check_errdetail("%s", error);
	return false;
}

static void
settings_define(void)
{
	for (size_t i = 0; i < lengthof(string_settings); i++)
	{
		const StringSetting *s = &string_settings[i];

		DefineCustomStringVariable(s->name, s->summary, s->details, s->variable, s->boot,
								   s->context, 0, s->check, NULL, NULL);
	}
	for (size_t i = 0; i < lengthof(int_settings); i++)
	{
		const IntSetting *s = &int_settings[i];

		DefineCustomIntVariable(s->name, s->summary, s->details, s->variable, s->boot, s->min,
								s->max, s->context, s->unit, NULL, NULL, NULL);
	}
	DefineCustomRealVariable(
		"backstream.nap", "Pause of a worker after it has received all that was queued.",
		"Datagrams that come one by one cost several times as much CPU as those that come "
		"together.  The kernel's buffer must hold what comes in during a nap.",
		&bs_setting_nap_msec, 1.0, 0.0, 100.0, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	MarkGUCPrefixReserved("backstream");
}

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("BackStream must be loaded when the server starts"),
			 errhint("Add backstream to shared_preload_libraries in postgresql.conf and restart "
					 "the server.")));

	settings_define();
	bs_remember_init();
	bs_views_init();
	bs_registry_init();
	bs_prefix_init();
	bs_tails_init();
	bs_ddl_init();
	bs_combine_init();
	bs_feed_init();
	bs_literal_init();
	bs_active_init();
	bs_history_init();
	bs_nodeshared_init();
	bs_nodeconn_init();
	bs_nodedefine_init();
	bs_workers_register();
}
