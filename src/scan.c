/* SPDX-License-Identifier: PostgreSQL */
/* scan.c: executing the scan of a continuous view, and explaining it.  See scan.h. */
#include "backstream.h"

#include "commands/explain.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "node.h"
#include "nodefilter.h"
#include "noderead.h"
#include "nodeship.h"
#include "follow.h"
#include "reader.h"
#include "scan.h"

/* ForeignScanState.fdw_state */
typedef struct ViewScan
{
	BsReader *reader;
	ExprContext *econtext;
	ExprState *window_conditions;
	ExprState *key_conditions;
	bool backward;
	ExprState *since; /* of a scan that follows; NULL: it does not */
	BsFollow follow;
	uint64 groups_before; /* groups_read when the window was loaded */

	bool started;
	MemoryContext list_context; /* of windows */
	BsWindowInfo *windows;      /* to be read, in the order in which they are */
	int nwindows;
	int next_window;
	bool loaded;

	/* For EXPLAIN, over all loops: */
	uint64 windows_seen;
	uint64 windows_read;
} ViewScan;

static List *
conditions_of(ForeignScan *plan, BsScanConditions which)
{
	return list_nth(plan->fdw_exprs, which);
}

/* ---------- begin and end ---------- */

static Bitmapset *
needed_of(ForeignScan *plan)
{
	Bitmapset *needed = NULL;
	ListCell *cell;

	if (boolVal(list_nth(plan->fdw_private, BS_SCAN_NEEDS_ALL)))
		return NULL;
	/* Not NULL, which would be all. */
	needed = bms_make_singleton(0);
	foreach (cell, (List *) list_nth(plan->fdw_private, BS_SCAN_NEEDED))
		needed = bms_add_member(needed, lfirst_int(cell));
	return needed;
}

/*
 * Plans over the view become invalid when its definition changes, or a function that it names; not
 * when one does that such a function calls in turn.
 */
static void
check_fingerprint(const BsReader *reader, ForeignScan *plan)
{
	const char *planned = strVal(list_nth(plan->fdw_private, BS_SCAN_FINGERPRINT));
	char *now = psprintf(UINT64_FORMAT, reader->shape->definition);

	if (strcmp(planned, now) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the definition of continuous view \"%s\" has changed since this statement "
						"was planned",
						reader->def->name),
				 errhint("Run the statement again; DEALLOCATE it if it is a prepared one.")));
}

/* With columns of its own a scan names them by their numbers there; the view's are the first. */
static Index
conditions_varno(const ForeignScan *plan)
{
	return plan->fdw_scan_tlist != NIL ? INDEX_VAR : plan->scan.scanrelid;
}

static ExprState *
set_up_conditions(ViewScan *scan, ForeignScanState *node, BsScanConditions which)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	BsReadLevel level = which == BS_SCAN_WINDOW_CONDITIONS ? BS_LEVEL_WINDOW : BS_LEVEL_KEYS;

	return ExecInitQual(bs_reader_conditions(scan->reader, conditions_of(plan, which), conditions_varno(plan),
											 level),
						&node->ss.ps);
}

/* Through an ordinary view, its owner. */
static Oid
reading_user(ForeignScanState *node)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Oid user = exec_rt_fetch(plan->scan.scanrelid, node->ss.ps.state)->checkAsUser;

	return OidIsValid(user) ? user : GetUserId();
}

void
bs_scan_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Relation relation = node->ss.ss_currentRelation;
	ViewScan *scan;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	scan = palloc0(sizeof(ViewScan));
	scan->reader = bs_reader_open_states(
		RelationGetRelid(relation), node->ss.ss_ScanTupleSlot->tts_tupleDescriptor, needed_of(plan),
		list_nth(plan->fdw_private, BS_SCAN_STATES), CurrentMemoryContext);
	check_fingerprint(scan->reader, plan);
	scan->reader->user = reading_user(node);
	scan->econtext = node->ss.ps.ps_ExprContext;
	scan->window_conditions = set_up_conditions(scan, node, BS_SCAN_WINDOW_CONDITIONS);
	scan->key_conditions = set_up_conditions(scan, node, BS_SCAN_KEY_CONDITIONS);
	if (conditions_of(plan, BS_SCAN_FOLLOW) != NIL)
		scan->since = ExecInitExpr(linitial(conditions_of(plan, BS_SCAN_FOLLOW)), &node->ss.ps);
	scan->backward = boolVal(list_nth(plan->fdw_private, BS_SCAN_BACKWARD));
	scan->list_context =
		AllocSetContextCreate(scan->reader->context, "backstream windows", ALLOCSET_SMALL_SIZES);
	node->fdw_state = scan;
}

void
bs_scan_again(ForeignScanState *node)
{
	ViewScan *scan = node->fdw_state;

	scan->started = false;
	scan->loaded = false;
}

void
bs_scan_end(ForeignScanState *node)
{
	ViewScan *scan = node->fdw_state;

	if (scan != NULL)
		bs_reader_close(scan->reader);
	node->fdw_state = NULL;
}

/* ---------- windows and rows ---------- */

/* Conditions may leave memory in the per-tuple context, and nothing in there is needed between
 * rows. */
static bool
holds(ViewScan *scan, ExprState *conditions, TupleTableSlot *slot)
{
	ResetExprContext(scan->econtext);
	scan->econtext->ecxt_scantuple = slot;
	return ExecQual(conditions, scan->econtext);
}

static void
reverse(BsWindowInfo *windows, int nwindows)
{
	for (int i = 0, j = nwindows - 1; i < j; i++, j--)
	{
		BsWindowInfo swapped = windows[i];

		windows[i] = windows[j];
		windows[j] = swapped;
	}
}

/* The value of since now. */
static void
start_following(ViewScan *scan, const EState *estate)
{
	bool isnull;
	TimestampTz since;

	ResetExprContext(scan->econtext);
	since = DatumGetTimestampTz(ExecEvalExprSwitchContext(scan->since, scan->econtext, &isnull));
	bs_follow_start(&scan->follow, scan->reader, isnull ? NULL : &since, estate);
}

/* List the windows that the conditions choose, by the values that parameters have now.  Returns whether there are any. */
static bool
list_windows(ViewScan *scan)
{
	MemoryContext outer;
	int chosen = 0;

	MemoryContextReset(scan->list_context);
	outer = MemoryContextSwitchTo(scan->list_context);
	scan->windows = scan->since != NULL ? bs_follow_windows(&scan->follow, &scan->nwindows)
										: bs_reader_windows(scan->reader, &scan->nwindows);
	MemoryContextSwitchTo(outer);

	scan->windows_seen += scan->nwindows;
	scan->next_window = 0;
	if (scan->nwindows == 0)
		return false;
	for (int i = 0; scan->window_conditions != NULL && i < scan->nwindows; i++)
	{
		int64 window = scan->windows[i].window;

		CHECK_FOR_INTERRUPTS();
		if (holds(scan, scan->window_conditions, bs_reader_window_tuple(scan->reader, window)))
			scan->windows[chosen++] = scan->windows[i];
	}
	if (scan->window_conditions != NULL)
		scan->nwindows = chosen;
	if (scan->backward)
		reverse(scan->windows, scan->nwindows);
	bs_reader_expect(scan->reader, scan->windows, scan->nwindows);
	return true;
}

/* Conditions on keys that nodes look at before they send groups; all of them are looked at here again. */
static List *
node_conditions(const BsViewProgram *view, ForeignScanState *node)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	List *conditions =
		bs_view_conditions(view, conditions_of(plan, BS_SCAN_KEY_CONDITIONS), conditions_varno(plan));
	List *chosen = bs_node_filter_fit(view, conditions);
	List *known = NIL;
	ListCell *cell;

	chosen = bs_ship_bind(chosen, &node->ss.ps);
	foreach (cell, chosen)
		if (!bs_ship_has_params(lfirst(cell), NULL))
			known = lappend(known, lfirst(cell));
	return known;
}

/* With the values that parameters have now. */
static void
tell_nodes(ViewScan *scan, ForeignScanState *node)
{
	MemoryContext outer;
	const BsViewProgram *view = scan->reader->view;

	if (scan->reader->nodes == NULL || scan->key_conditions == NULL || scan->nwindows == 0)
		return;
	outer = MemoryContextSwitchTo(scan->list_context);
	bs_node_reading_want(scan->reader->nodes,
						 bs_ship_text(node_conditions(view, node), bs_node_filter_names(view)));
	MemoryContextSwitchTo(outer);
}

static void
start(ViewScan *scan, ForeignScanState *node)
{
	scan->started = true;
	scan->loaded = false;
	scan->next_window = 0;
	scan->nwindows = 0;
	if (scan->since != NULL)
		start_following(scan, node->ss.ps.state);
	else if (list_windows(scan))
		tell_nodes(scan, node);
}

/* The next window of the list; a scan that follows waits for others when there are none.  False: that was all. */
static bool
load_next(ViewScan *scan)
{
	const BsWindowInfo *window;

	CHECK_FOR_INTERRUPTS();
	while (scan->next_window == scan->nwindows)
		if (scan->since == NULL || !list_windows(scan))
			return false;
	window = &scan->windows[scan->next_window++];
	bs_reader_load(scan->reader, window->window, window->window, window->window);
	scan->groups_before = scan->reader->groups_read;
	scan->windows_read++;
	scan->loaded = true;
	return true;
}

/* All rows of a window have been returned: were there any to return? */
static void
end_window(ViewScan *scan)
{
	const BsWindowInfo *window = &scan->windows[scan->next_window - 1];

	if (scan->since != NULL && window->groups > 0 && scan->reader->groups_read == scan->groups_before)
		bs_follow_lost(&scan->follow, window->window);
	scan->loaded = false;
}

static bool
accept(void *context, TupleTableSlot *scan_tuple)
{
	ViewScan *scan = context;

	return holds(scan, scan->key_conditions, scan_tuple);
}

TupleTableSlot *
bs_scan_next(ForeignScanState *node)
{
	ViewScan *scan = node->fdw_state;

	if (!scan->started)
		start(scan, node);
	for (;;)
	{
		TupleTableSlot *slot = NULL;

		if (scan->loaded)
			slot = bs_reader_next(scan->reader, scan->key_conditions ? accept : NULL, scan);
		if (slot != NULL)
			return slot;
		if (scan->loaded)
			end_window(scan);
		if (!load_next(scan))
			return ExecClearTuple(node->ss.ss_ScanTupleSlot);
	}
}

/* ---------- EXPLAIN ---------- */

static void
explain_conditions(ForeignScanState *node, const char *label, List *conditions, ExplainState *es)
{
	List *context;
	bool prefix = list_length(es->rtable) > 1 || es->verbose;

	if (conditions == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, NIL);
	ExplainPropertyText(
		label, deparse_expression((Node *) make_ands_explicit(conditions), context, prefix, false),
		es);
}

static void
explain_counts(const ViewScan *scan, ExplainState *es)
{
	const BsReader *reader = scan->reader;

	if (reader->shape->windowed)
	{
		ExplainPropertyUInteger("Windows", NULL, scan->windows_seen, es);
		ExplainPropertyUInteger("Windows Read", NULL, scan->windows_read, es);
	}
	ExplainPropertyUInteger("Groups Read", NULL, reader->groups_read, es);
	if (reader->groups_not_accepted > 0 || es->format != EXPLAIN_FORMAT_TEXT)
		ExplainPropertyUInteger("Groups Removed by Key Cond", NULL, reader->groups_not_accepted,
								es);
	if (reader->groups_without_having > 0 || es->format != EXPLAIN_FORMAT_TEXT)
		ExplainPropertyUInteger("Groups Removed by HAVING", NULL, reader->groups_without_having,
								es);
}

static void
explain_states(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Oid relid = RelationGetRelid(node->ss.ss_currentRelation);
	List *names = NIL;
	ListCell *cell;

	foreach (cell, (List *) list_nth(plan->fdw_private, BS_SCAN_STATES))
		names = lappend(names, get_attname(relid, (AttrNumber) lfirst_int(cell), false));
	if (names != NIL)
		ExplainPropertyList("Combined States", names, es);
}

/* Those of the key conditions that nodes look at: in the words of the query. */
static void
explain_node_conditions(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Oid relid = RelationGetRelid(node->ss.ss_currentRelation);
	List *conditions = conditions_of(plan, BS_SCAN_KEY_CONDITIONS);
	List *sent = NIL;
	BsViewProgram *view;
	BsViewDef *def;
	ListCell *cell;

	if (conditions == NIL || !bs_relation_is_remote(relid))
		return;
	view = bs_view_compile(relid, 1, &def);
	foreach (cell, conditions)
		if (bs_node_filter_fit(
				view, bs_view_conditions(view, list_make1(lfirst(cell)), conditions_varno(plan))) != NIL)
			sent = lappend(sent, lfirst(cell));
	bs_query_free(view);
	explain_conditions(node, "Node Cond", sent, es);
}

void
bs_scan_explain(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	ViewScan *scan = node->fdw_state;

	explain_conditions(node, "Window Cond", conditions_of(plan, BS_SCAN_WINDOW_CONDITIONS), es);
	explain_conditions(node, "Key Cond", conditions_of(plan, BS_SCAN_KEY_CONDITIONS), es);
	explain_node_conditions(node, es);
	explain_conditions(node, "Following Since", conditions_of(plan, BS_SCAN_FOLLOW), es);
	if (boolVal(list_nth(plan->fdw_private, BS_SCAN_BACKWARD)))
		ExplainPropertyText("Window Order", "newest first", es);
	explain_states(node, es);
	if (es->verbose)
	{
		List *computed = bs_view_computed(RelationGetRelid(node->ss.ss_currentRelation));

		if (computed != NIL)
			ExplainPropertyList("Computed per Record", computed, es);
	}
	if (es->analyze && scan != NULL)
		explain_counts(scan, es);
	if (es->analyze && scan != NULL && scan->reader->nodes != NULL)
		bs_node_reading_explain(scan->reader->nodes, es);
}
