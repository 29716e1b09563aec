/* SPDX-License-Identifier: PostgreSQL */
/*
 * windowform.c: which expression of GROUP BY is the window, and why one that looks like it cannot be.  See
 * windowform.h.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"

#include "backstream.h"
#include "native.h"
#include "options.h"
#include "windowform.h"
#include "windowfuncs.h"

/* ---------- refusals ---------- */

static void pg_attribute_noreturn()
refuse_width(int location, const char *why, const BsPlace *place)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", why),
		 errhint("Use a constant of fixed length, from 1 ms to 366 days, such as '5 min' or '30 "
				 "days'. Months can be put together where the view is read."),
		 bs_error_position(place->source, location)));
	pg_unreachable();
}

static void pg_attribute_noreturn()
refuse_time(Node *node, const BsPlace *place)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the time of a window must be a column of the stream"),
			 errdetail("The time decides when windows close."),
			 errhint("Use a column of type timestamp with time zone, such as time_flow_end, as it "
					 "is."),
			 bs_error_position(place->source, exprLocation(node))));
	pg_unreachable();
}

static void pg_attribute_noreturn()
refuse_lower(Node *node, Oid lower, const BsPlace *place)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the window of a view over a view must be that of the lower view"),
			 errdetail("Rows come when a window of \"%s\" closes.", get_rel_name(lower)),
			 errhint("Group by its column with the start of the window as it is, or by tumble() or hop() of that "
					 "column. For any other time use date_bin()."),
			 bs_error_position(place->source, exprLocation(node))));
	pg_unreachable();
}

static void pg_attribute_noreturn()
refuse_hop(Node *node, const char *why, const BsPlace *place)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", why), errhint(BS_HOP_HINT),
					bs_error_position(place->source, exprLocation(node))));
	pg_unreachable();
}

void
bs_window_check_range(Node *node, const BsWindowing *windowing, const BsPlace *place)
{
	int location = node != NULL ? exprLocation(node) : place->statement;
	int64 npanes = windowing->size_usec / windowing->pane_usec;

	if (windowing->pane_usec < BS_MIN_WIDTH_USEC || windowing->size_usec > BS_MAX_WIDTH_USEC)
		refuse_width(location, "the width of a window is out of range", place);
	if (npanes > BS_MAX_PANES_PER_WINDOW)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("a window would be put together from " INT64_FORMAT " pieces", npanes),
						errdetail("It can be of up to %d pieces, each as wide as the greatest common "
								  "divisor of how often windows start and how long they are.",
								  BS_MAX_PANES_PER_WINDOW),
						errhint("Let windows start less often, and their length be a multiple of that."),
						bs_error_position(place->source, location)));
}

/* ---------- the forms ---------- */

bool
bs_is_own_function(const Node *expr, const char *name)
{
	Oid function = expr != NULL && IsA(expr, FuncExpr) ? ((const FuncExpr *) expr)->funcid : InvalidOid;

	const char *called;

	/* PostgreSQL's own, of which there are many, need no look-up. */
	if (function < FirstNormalObjectId)
		return false;
	called = get_func_name(function);
	return called != NULL && strcmp(called, name) == 0 &&
		   get_func_namespace(function) == get_namespace_oid(BS_EXTENSION, true);
}

static bool
is_date_bin(Node *expr)
{
	const char *name = IsA(expr, FuncExpr) ? bs_builtin_name(((FuncExpr *) expr)->funcid) : NULL;

	return name != NULL && strcmp(name, "timestamptz_bin") == 0;
}

static bool
is_tumble(Node *expr)
{
	return bs_is_own_function(expr, "tumble");
}

/* A constant width; *months: it has some. */
static bool
is_constant_width(Expr *width, bool *months)
{
	if (!IsA(width, Const) || ((Const *) width)->constisnull)
		return false;
	*months = DatumGetIntervalP(((Const *) width)->constvalue)->month != 0;
	return true;
}

/*
 * tumble() must be the window; say why it cannot be.  date_bin() that is not one is a key like others,
 * but for a width in months, which PostgreSQL would refuse for each record.
 */
static void
refuse_almost_window(const BsWindowSource *source, Node *original)
{
	List *args = ((FuncExpr *) original)->args;
	bool tumble = is_tumble(original);
	Node *time = tumble ? linitial(args) : lsecond(args);
	Expr *width = bs_native_simplify(tumble ? lsecond(args) : linitial(args));
	bool months = false;
	bool constant = is_constant_width(width, &months);

	if (months)
		refuse_width(exprLocation(original), "the width of a window cannot be in months or years", source->place);
	if (!tumble)
		return;
	if (!constant)
		refuse_width(exprLocation(original), "the width of a window must be a constant", source->place);
	if (!IsA(time, Var))
		refuse_time(time, source->place);
	refuse_width(exprLocation(original), "the width of a window must be more than zero", source->place);
}

static bool
is_window_of_lower(const BsWindowSource *source, Node *expr)
{
	return IsA(expr, Var) && ((Var *) expr)->varattno == source->lower->window_attno;
}

/*
 * Over a view the window is that view's, by its own width or a longer one: its windows come whole, and
 * nothing else of a row says when they do.
 */
static bool
find_lower_window(const BsWindowSource *source, Node *original, Expr *simple, BsWindowForm *form)
{
	const BsWindowing *lower = &source->lower->windowing;

	if (is_window_of_lower(source, (Node *) simple))
	{
		form->time = (Var *) simple;
		form->windowing = bs_windowing_tumble(lower->slide_usec, lower->origin);
		return true;
	}
	if (bs_native_window(source->native, simple, form) &&
		is_window_of_lower(source, (Node *) form->time))
		return true;
	if (is_tumble(original) && is_window_of_lower(source, linitial(((FuncExpr *) original)->args)))
		refuse_almost_window(source, original);
	if (is_tumble(original))
		refuse_lower(original, source->stream, source->place);
	return false;
}

/* One of hop()'s widths. */
static int64
hop_width(const BsWindowSource *source, Node *original, Node *argument)
{
	Expr *width = bs_native_simplify((Expr *) argument);
	bool months;
	int64 usec;

	if (!is_constant_width(width, &months))
		refuse_width(exprLocation(original), "the width of a window must be a constant", source->place);
	if (months)
		refuse_width(exprLocation(original), "the width of a window cannot be in months or years", source->place);
	if (!bs_window_width(DatumGetIntervalP(((Const *) width)->constvalue), &usec))
		refuse_width(exprLocation(original), "the width of a window must be more than zero", source->place);
	return usec;
}

/* hop(time, slide, size) */
static void
hop_form(const BsWindowSource *source, Node *original, BsWindowForm *form)
{
	List *args = ((FuncExpr *) original)->args;
	int64 slide_usec = hop_width(source, original, lsecond(args));
	int64 size_usec = hop_width(source, original, lthird(args));
	const char *problem = bs_hop_windowing(slide_usec, size_usec, &form->windowing);

	if (problem != NULL)
		refuse_hop(original, problem, source->place);
	if (!IsA(linitial(args), Var))
		refuse_time(linitial(args), source->place);
	if (source->lower != NULL && !is_window_of_lower(source, linitial(args)))
		refuse_lower(original, source->stream, source->place);
	form->time = linitial(args);
}

static bool
find_window(const BsWindowSource *source, Node *original, Expr *simple, BsWindowForm *form)
{
	if (bs_is_own_function(original, "hop"))
	{
		hop_form(source, original, form);
		return true;
	}
	if (source->slices != NULL && IsA(simple, Var) &&
		((Var *) simple)->varattno == source->native->slice_attno)
	{
		form->time = (Var *) simple;
		form->windowing = *source->slices;
		return true;
	}
	if (source->lower != NULL)
		return find_lower_window(source, original, simple, form);
	if (bs_native_window(source->native, simple, form))
		return true;
	if (is_tumble(original) || is_date_bin(original))
		refuse_almost_window(source, original);
	return false;
}

bool
bs_window_find(const BsWindowSource *source, Node *original, Expr *simple, BsWindowForm *form)
{
	if (!find_window(source, original, simple, form))
		return false;
	bs_window_check_range(original, &form->windowing, source->place);
	return true;
}
