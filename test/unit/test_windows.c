/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_windows.c: windows over panes: which a time falls into, and that their answers depend on the records
 * alone.
 *
 * The property: records that come in any order, late by no more than lateness, in batches of any size and
 * through any number of writers, give the same closed windows, none changes after it has closed, and what
 * retention leaves is whole; tumbling, hopping, and of records that are spread over several.  A rolling window has the
 * records of its span at any time, whatever their order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/engine/partial.h"
#include "../../src/engine/spread.h"

enum
{
	COL_TIME,
	COL_VALUE,
	NCOLUMNS
};

static const BsType column_types[NCOLUMNS] = {BS_TIMESTAMPTZ, BS_INT8};

#define CAPACITY 64
#define NRECORDS 600
#define MAX_WRITERS 3
#define MAX_WINDOWS 4096
#define ARENA_BYTES (8u << 20)

static uint64_t random_state = 0x2545F4914F6CDD1Du;

static uint64_t
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static int64_t
random_below(int64_t n)
{
	return (int64_t) (next_random() % (uint64_t) n);
}

static const BsWindowing shapes[] = {
	{10, 10, 10, 0}, {10, 10, 10, 3}, {3, 3, 9, 0}, {2, 4, 10, 1}, {1, 7, 20, -5}, {10, 10, 120, 0}, {5, 15, 20, 2},
};

#define NSHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* ---- arithmetic ------------------------------------------------------------------------------- */

/* By looking at every window there is. */
static void
windows_hold_their_times(void **state)
{
	(void) state;
	for (size_t s = 0; s < NSHAPES; s++)
	{
		const BsWindowing *w = &shapes[s];

		for (int64_t time = -300; time < 300; time++)
		{
			int64_t first = INT64_MAX;
			int64_t last = INT64_MIN;
			int64_t pane = bs_pane_start(w, time);

			assert_true(pane <= time && time < pane + w->pane_usec);
			for (int64_t n = -400; n < 400; n++)
			{
				int64_t window = w->origin + n * w->slide_usec;

				/* A pane is in a window as a whole or not at all. */
				assert_true((window <= pane && pane < bs_window_end(w, window)) ==
							(window <= time && time < bs_window_end(w, window)));
				if (window <= time && time < window + w->size_usec && window < first)
					first = window;
				if (window <= time)
					last = window;
			}
			assert_int_equal(bs_window_start(w, time), last);
			if (first != INT64_MAX)
				assert_int_equal(bs_window_first_after(w, time), first);
			/* All windows before it have ended at that time, and no other. */
			assert_true(bs_window_end(w, bs_window_first_after(w, time)) > time);
			assert_true(bs_window_end(w, bs_window_first_after(w, time) - w->slide_usec) <= time);
			assert_true(bs_window_from(w, time) >= time && bs_window_from(w, time) - w->slide_usec < time);
		}
	}
}

static void
infinities_stay(void **state)
{
	const BsWindowing *w = &shapes[3];

	(void) state;
	assert_true(bs_window_first_after(w, BS_TIME_NEG_INFINITY) == BS_TIME_NEG_INFINITY);
	assert_true(bs_panes_closed_before(w, BS_TIME_NEG_INFINITY) == BS_TIME_NEG_INFINITY);
	assert_true(bs_window_from(w, BS_TIME_NEG_INFINITY) == BS_TIME_NEG_INFINITY);
	assert_true(bs_window_from(w, BS_TIME_INFINITY) == BS_TIME_INFINITY);
	assert_true(bs_time_plus(INT64_MAX - 1, 5) == BS_TIME_INFINITY);
	assert_true(bs_time_plus(INT64_MIN + 1, -5) == BS_TIME_NEG_INFINITY);
}

/* ---- records ---------------------------------------------------------------------------------- */

typedef struct Record
{
	int64_t time;
	int64_t value;
	int64_t lasted; /* where records are spread */
	int64_t arrives;
	bool late; /* its pane was closed when it came */
} Record;

static int
by_arrival(const void *a, const void *b)
{
	int64_t x = ((const Record *) a)->arrives;
	int64_t y = ((const Record *) b)->arrives;

	return (x > y) - (x < y);
}

/* In an order in which none is more than disorder behind any before it. */
static void
shuffle(Record *records, int64_t disorder)
{
	for (int i = 0; i < NRECORDS; i++)
		records[i].arrives = records[i].time + random_below(disorder + 1);
	qsort(records, NRECORDS, sizeof(Record), by_arrival);
}

/* ---- a view ----------------------------------------------------------------------------------- */

typedef struct View
{
	BsProgram program;
	BsSpread *spread; /* NULL: a record is one row */
	BsWriter *writer;
	BsArena *arena;
	BsPartial partials[MAX_WRITERS];
	uint32_t nwriters;
	int64_t closed_before;
	int64_t lateness;
	int64_t highest;
} View;

/* A spread view's batches have the start of a flow too; a slice has the time of its window behind these columns. */
enum
{
	COL_START = NCOLUMNS,
	NSPREAD
};

static const BsType spread_types[NSPREAD] = {BS_TIMESTAMPTZ, BS_INT8, BS_TIMESTAMPTZ};

static void
make_program(BsProgram *program, const BsWindowing *windowing, bool spread)
{
	BsExpr *argument = bs_expr_column(COL_VALUE, BS_INT8);

	if (spread)
	{
		argument = bs_expr_op(BS_OP_PORTION, BS_INT8, 1, &argument);
		argument->column = NSPREAD;
	}
	memset(program, 0, sizeof(*program));
	program->windowed = true;
	program->time_column = spread ? NSPREAD : COL_TIME;
	program->windowing = *windowing;
	program->fingerprint = 1;
	program->keys = calloc(1, sizeof(BsKey));
	program->naggregates = 1;
	program->aggregates = calloc(1, sizeof(BsAggregate));
	program->aggregates[0].kind = BS_AGG_SUM_INT;
	program->aggregates[0].type = BS_INT8;
	program->aggregates[0].argument = argument;
	assert_null(bs_program_finish(program, CAPACITY));
}

static void
view_create_over(View *view, const BsWindowing *windowing, uint32_t nwriters, int64_t lateness, bool spread)
{
	static const bool wanted[NSPREAD] = {true, true, true};

	memset(view, 0, sizeof(*view));
	make_program(&view->program, windowing, spread);
	if (spread)
		view->spread = bs_spread_create(spread_types, NSPREAD, wanted, COL_START, COL_TIME, windowing, CAPACITY);
	view->writer = bs_writer_create(&view->program);
	view->arena = bs_arena_create(bs_arena_size_for(ARENA_BYTES));
	view->nwriters = nwriters;
	view->lateness = lateness;
	view->closed_before = BS_TIME_NEG_INFINITY;
	view->highest = BS_TIME_NEG_INFINITY;
	for (uint32_t w = 0; w < nwriters; w++)
		bs_partial_init(&view->partials[w], &view->program, UINT64_MAX);
}

static void
view_create(View *view, const BsWindowing *windowing, uint32_t nwriters, int64_t lateness)
{
	view_create_over(view, windowing, nwriters, lateness, false);
}

static void
view_free(View *view)
{
	bs_spread_free(view->spread);
	for (uint32_t w = 0; w < view->nwriters; w++)
		bs_partial_clear(&view->partials[w], view->arena);
	bs_writer_free(view->writer);
	bs_program_free(&view->program);
	bs_arena_free_private(view->arena);
}

static void
view_add_rows(View *view, BsPartial *partial, const BsBatch *rows)
{
	bs_partial_add(partial, view->arena, &view->program, view->writer, rows,
				   bs_program_evaluate(&view->program, rows, BS_TIME_INFINITY, NULL, NULL), NULL, NULL);
}

static void
view_add_spread(View *view, BsPartial *partial, const BsBatch *batch)
{
	const BsBatch *slices;

	bs_spread_begin(view->spread, batch, 0, BS_TIME_INFINITY);
	while ((slices = bs_spread_next(view->spread)) != NULL)
		view_add_rows(view, partial, slices);
}

static void
view_add(View *view, BsPartial *partial, Record *records, uint32_t n)
{
	BsBatch *batch = view->spread != NULL ? bs_batch_create(spread_types, NSPREAD, NULL, CAPACITY)
										  : bs_batch_create(column_types, NCOLUMNS, NULL, CAPACITY);
	const BsWindowing *windowing = &view->program.windowing;

	for (uint32_t i = 0; i < n; i++)
	{
		batch->columns[COL_TIME].i64[i] = records[i].time;
		batch->columns[COL_VALUE].i64[i] = records[i].value;
		if (view->spread != NULL)
			batch->columns[COL_START].i64[i] = records[i].time - records[i].lasted;
		records[i].late = bs_pane_start(windowing, records[i].time) < partial->closed_before;
		if (records[i].time > view->highest)
			view->highest = records[i].time;
	}
	batch->nrows = n;
	bs_batch_add_run(batch, 0, n, 1);
	if (view->spread != NULL)
		view_add_spread(view, partial, batch);
	else
		view_add_rows(view, partial, batch);
	bs_batch_free(batch);
}

/* As advance.c does it. */
static void
view_close(View *view)
{
	const BsWindowing *windowing = &view->program.windowing;
	int64_t closed_before = bs_window_first_after(windowing, view->highest - view->lateness);

	if (closed_before > view->closed_before)
		view->closed_before = closed_before;
	for (uint32_t w = 0; w < view->nwriters; w++)
		bs_partial_close(&view->partials[w], bs_panes_closed_before(windowing, view->closed_before));
}

static void
view_drop(View *view, int64_t retain)
{
	int64_t drop_before = bs_time_plus(view->closed_before, -retain);

	for (uint32_t w = 0; w < view->nwriters; w++)
		bs_partial_drop(&view->partials[w], view->arena,
						bs_window_from(&view->program.windowing, drop_before));
}

/* The sum of a window: its panes, those of all writers. */
static int64_t
view_sum(const View *view, int64_t window, uint64_t *nrecords)
{
	const BsWindowing *windowing = &view->program.windowing;
	int64_t sum = 0;

	*nrecords = 0;
	for (uint32_t w = 0; w < view->nwriters; w++)
		for (int64_t start = window; start < bs_window_end(windowing, window);
			 start += windowing->pane_usec)
		{
			BsPane *pane = bs_partial_pane(&view->partials[w], view->arena, start);
			BsTable *table;

			if (pane == NULL || pane->table == 0)
				continue;
			table = bs_arena_at(view->arena, pane->table);
			*nrecords += bs_table_records(table);
			sum += (int64_t) bs_state_sum(&view->program.aggregates[0],
										  bs_table_row(view->arena, table, &view->program, 0));
		}
	return sum;
}

/* What a window has of a record, looking at each microsecond that it lasted; false: nothing. */
static bool
oracle_part(const Record *record, int64_t window, int64_t end, int64_t *part)
{
	int64_t before = 0;
	int64_t within = 0;

	for (int64_t t = record->time - record->lasted; t < record->time; t++)
	{
		before += t < window;
		within += t >= window && t < end;
	}
	if (record->lasted == 0 ? record->time < window || record->time >= end : within == 0)
		return false;
	*part = bs_portion(record->value, before, before + within, record->lasted);
	return true;
}

static int64_t
oracle_sum(const Record *records, const BsWindowing *windowing, int64_t window, uint64_t *nrecords)
{
	int64_t sum = 0;
	int64_t part;

	*nrecords = 0;
	for (int i = 0; i < NRECORDS; i++)
		if (!records[i].late && oracle_part(&records[i], window, bs_window_end(windowing, window), &part))
		{
			sum += part;
			(*nrecords)++;
		}
	return sum;
}

/* Windows that have closed since, as they were when they did. */
typedef struct Closed
{
	int64_t window;
	int64_t sum;
	uint64_t nrecords;
} Closed;

static uint32_t
note_closed(const View *view, Closed *closed, uint32_t nclosed, int64_t from)
{
	const BsWindowing *windowing = &view->program.windowing;

	for (int64_t window = bs_window_from(windowing, from); window < view->closed_before;
		 window += windowing->slide_usec)
	{
		assert_true(nclosed < MAX_WINDOWS);
		closed[nclosed].window = window;
		closed[nclosed].sum = view_sum(view, window, &closed[nclosed].nrecords);
		nclosed++;
	}
	return nclosed;
}

/* Feed it all, in batches and to writers as chance has it.  Returns the number of windows that closed. */
static uint32_t
run(View *view, Record *records, int64_t retain, Closed *closed)
{
	uint32_t nclosed = 0;
	int64_t noted_before = -200;

	for (uint32_t done = 0; done < NRECORDS;)
	{
		uint32_t n = 1 + (uint32_t) random_below(CAPACITY);

		n = n < NRECORDS - done ? n : NRECORDS - done;
		view_add(view, &view->partials[random_below(view->nwriters)], records + done, n);
		done += n;
		view_close(view);
		nclosed = note_closed(view, closed, nclosed, noted_before);
		view_drop(view, retain);
		noted_before = view->closed_before > noted_before ? view->closed_before : noted_before;
	}
	return nclosed;
}

static uint64_t
late_of(const View *view)
{
	uint64_t late = 0;

	for (uint32_t w = 0; w < view->nwriters; w++)
		late += view->partials[w].late;
	return late;
}

static void
check_closed(const View *view, const Record *records, const Closed *closed, uint32_t nclosed,
			 int64_t retain)
{
	const BsWindowing *windowing = &view->program.windowing;

	for (uint32_t i = 0; i < nclosed; i++)
	{
		uint64_t nrecords;
		int64_t sum = oracle_sum(records, windowing, closed[i].window, &nrecords);

		assert_int_equal(closed[i].nrecords, nrecords);
		assert_int_equal(closed[i].sum, sum);
		/* It has not changed since, and is whole as long as it is kept. */
		if (closed[i].window >= bs_time_plus(view->closed_before, -retain))
		{
			assert_int_equal(view_sum(view, closed[i].window, &nrecords), sum);
			assert_int_equal(nrecords, closed[i].nrecords);
		}
	}
}

static void
make_records(Record *records)
{
	for (int i = 0; i < NRECORDS; i++)
	{
		records[i] = (Record){.time = random_below(1000), .value = random_below(1000) - 100};
		/* Now and then nothing for a while. */
		if (records[i].time % 400 > 250)
			records[i].time -= 150;
	}
}

/* Records in some order, into a view. */
typedef struct Order
{
	BsWindowing windowing;
	bool spread;
	int64_t disorder; /* a record may come so much later than one after it */
	int64_t longest;  /* a flow lasts so long, or less */
	int64_t lateness;
	int64_t retain;
} Order;

/* Closed windows are what the oracle says of those that were in time.  Returns how many were not. */
static uint64_t
check_order(const Order *order)
{
	Record *records = calloc(NRECORDS, sizeof(Record));
	Closed *closed = calloc(MAX_WINDOWS, sizeof(Closed));
	uint64_t late = 0;
	uint32_t nclosed;
	View view;

	make_records(records);
	for (int i = 0; i < NRECORDS && order->longest > 0; i++)
		records[i].lasted = random_below(order->longest + 1);
	shuffle(records, order->disorder);
	view_create_over(&view, &order->windowing, 1 + (uint32_t) random_below(MAX_WRITERS), order->lateness,
					 order->spread);
	/* A batch is added before it moves the watermark. */
	nclosed = run(&view, records, order->retain, closed);
	assert_true(nclosed > 10);
	for (int i = 0; i < NRECORDS; i++)
		late += records[i].late;
	assert_int_equal(late_of(&view), late);
	check_closed(&view, records, closed, nclosed, order->retain);
	view_free(&view);
	free(records);
	free(closed);
	return late;
}

/* For ever, or not for long. */
static int64_t
some_retain(bool long_time)
{
	return long_time ? 100000 : random_below(200);
}

static void
any_order_within_lateness(void **state)
{
	(void) state;
	for (size_t s = 0; s < NSHAPES; s++)
		for (int round = 0; round < 12; round++)
		{
			Order order = {.windowing = shapes[s], .retain = some_retain(round % 2)};

			order.disorder = order.lateness = random_below(60);
			assert_int_equal(check_order(&order), 0);
		}
}

/* A flow is in time when its first window is still open: lateness is for its length too. */
static void
any_order_of_flows(void **state)
{
	const BsWindowing windowings[] = {{10, 10, 10, 0}, {7, 7, 7, 3}};

	(void) state;
	for (int round = 0; round < 16; round++)
	{
		Order order = {.windowing = windowings[round % 2], .spread = true, .retain = some_retain(round % 4 < 2)};

		order.disorder = random_below(40);
		order.longest = random_below(60);
		order.lateness = order.disorder + order.longest;
		assert_int_equal(check_order(&order), 0);
	}
}

/* What comes later than that is counted, and all windows are those of the others. */
static void
late_records_are_left_out(void **state)
{
	uint64_t late = 0;

	(void) state;
	for (size_t s = 0; s < NSHAPES; s++)
		for (int round = 0; round < 8; round++)
			late += check_order(&(Order){.windowing = shapes[s],
										 .disorder = 80,
										 .lateness = random_below(20),
										 .retain = some_retain(round % 2)});
	assert_true(late > 100);
}

/* As of the highest time b, taken down to the slide: of the first n records those in (b - size, b]. */
static void
check_rolling(const View *view, const Record *records, uint32_t n, int64_t first)
{
	int64_t end = bs_window_end(&view->program.windowing, first);
	int64_t sum = 0;
	uint64_t nrecords;
	uint64_t expected = 0;

	for (uint32_t i = 0; i < n; i++)
		if (records[i].time >= first && records[i].time < end)
		{
			sum += records[i].value;
			expected++;
		}
	assert_int_equal(view_sum(view, first, &nrecords), sum);
	assert_int_equal(nrecords, expected);
}

/* A rolling window never waits: what comes in any order is in it as long as it is of its span. */
static void
any_order_of_a_rolling_view(void **state)
{
	const BsWindowing windowings[] = {{5, 5, 20, 1}, {4, 8, 20, 1}, {10, 10, 10, 1}, {1, 1, 120, 1}};
	Record *records = calloc(NRECORDS, sizeof(Record));

	(void) state;
	for (int round = 0; round < 40; round++)
	{
		const BsWindowing *windowing = &windowings[round % 4];
		View view;

		make_records(records);
		shuffle(records, random_below(150));
		view_create(&view, windowing, 1 + (uint32_t) random_below(MAX_WRITERS), 0);
		for (uint32_t done = 0; done < NRECORDS;)
		{
			uint32_t n = 1 + (uint32_t) random_below(CAPACITY);
			int64_t first;

			n = n < NRECORDS - done ? n : NRECORDS - done;
			view_add(&view, &view.partials[random_below(view.nwriters)], records + done, n);
			done += n;
			/* As advance.c does it for rolling views. */
			first = bs_time_floor(view.highest, windowing->slide_usec, 0) + 1 - windowing->size_usec;
			for (uint32_t w = 0; w < view.nwriters; w++)
			{
				bs_partial_close(&view.partials[w], first);
				bs_partial_drop(&view.partials[w], view.arena, first);
			}
			check_rolling(&view, records, done, first);
		}
		view_free(&view);
	}
	free(records);
}

/* A loss is noted at every pane that is open, and counted once in a window of several. */
static void
losses_count_once(void **state)
{
	Record records[3] = {{.time = 0}, {.time = 3}, {.time = 6}};
	View view;
	const BsPane *first;
	const BsPane *last;

	(void) state;
	view_create(&view, &shapes[2], 1, 0);
	view_add(&view, &view.partials[0], records, 2);
	bs_partial_note_loss(&view.partials[0], view.arena, (BsLoss){.records = 10, .datagrams = 1, .dropped = 100});
	view_add(&view, &view.partials[0], records + 2, 1);
	bs_partial_note_loss(&view.partials[0], view.arena, (BsLoss){.records = 5, .datagrams = 2, .dropped = 20});
	first = bs_partial_pane_at(&view.partials[0], view.arena, 0);
	last = bs_partial_pane_at(&view.partials[0], view.arena, 2);
	assert_int_equal(first->records_lost, 15);
	assert_int_equal(last->records_lost, 5);
	assert_int_equal(last->records_lost_before + (uint32_t) last->records_lost - first->records_lost_before, 15);
	assert_int_equal(last->datagrams_lost_before + (uint32_t) last->datagrams_lost - first->datagrams_lost_before, 3);
	assert_int_equal(last->datagrams_dropped, 20);
	assert_int_equal(last->datagrams_dropped_before + (uint32_t) last->datagrams_dropped - first->datagrams_dropped_before, 120);
	view_free(&view);
}

/* ---- many panes ------------------------------------------------------------------------------- */

/* One record at this time. */
static void
view_add_at(View *view, int64_t time)
{
	Record record = {.time = time, .value = time};

	view_add(view, &view->partials[0], &record, 1);
}

/* A day of windows of a second and more; the answers, what is dropped, and what there is no room for. */
static void
many_windows(void **state)
{
	static const BsWindowing second = {10, 10, 10, 0};
	const int64_t nwindows = 100000;
	BsPartial *partial;
	uint64_t nrecords;
	View view;

	(void) state;
	view_create(&view, &second, 1, 0);
	bs_arena_free_private(view.arena);
	view.arena = bs_arena_create(bs_arena_size_for(64u << 20));
	partial = &view.partials[0];
	/* Some windows come late, among those that are there. */
	for (int64_t late = 0; late < 2; late++)
		for (int64_t window = 0; window < nwindows; window++)
		{
			Record records[2] = {{.time = window * 10 + 1, .value = window}, {.time = window * 10 + 9, .value = 5}};

			if ((window % 32 == 3) == late)
				view_add(&view, partial, records, 2);
		}
	assert_int_equal(partial->overflowed, 0);
	assert_int_equal(partial->npanes, nwindows);
	for (int64_t window = 0; window < nwindows; window += 7)
	{
		assert_int_equal(view_sum(&view, window * 10, &nrecords), window + 5);
		assert_int_equal(nrecords, 2);
		assert_int_equal(bs_partial_position(partial, view.arena, window * 10 - 1), window);
	}
	/* What is given back serves again. */
	bs_partial_drop(partial, view.arena, 60000 * 10);
	assert_int_equal(partial->npanes, nwindows - 60000);
	assert_int_equal(partial->last_dropped, 59999 * 10);
	assert_null(bs_partial_pane(partial, view.arena, 59999 * 10));
	for (uint32_t n = partial->npanes; n <= BS_MAX_PANES; n++)
		view_add_at(&view, (nwindows + n) * 10);
	assert_int_equal(partial->npanes, BS_MAX_PANES);
	assert_int_equal(partial->overflowed, 1);
	assert_int_equal(view_sum(&view, 60000 * 10, &nrecords), 60005);
	bs_partial_clear(partial, view.arena);
	assert_int_equal(bs_arena_stats(view.arena).used_bytes, 0);
	view_free(&view);
}

/* ---- slices ----------------------------------------------------------------------------------- */

/* By looking at each microsecond of a flow. */
static void
slices_are_what_lasted(void **state)
{
	(void) state;
	for (int round = 0; round < 3000; round++)
	{
		BsWindowing windowing = bs_windowing_tumble(1 + random_below(20), random_below(7));
		int64_t start = random_below(100) - 50;
		int64_t end = start + random_below(120) - 10;
		int64_t most = round % 3 ? 0 : 1 + random_below(60);
		int64_t value = round % 5 ? random_below(100000) - 50000 : (int64_t) next_random();
		BsSlices slices = bs_slices_of(&windowing, start, end, most);
		BsSlice slice;
		uint64_t sum = 0;
		int64_t lasted = end > start ? end - start : 0;
		int64_t expected = end > start ? start : end;

		assert_int_equal(slices.clamped, most > 0 && lasted > most);
		if (slices.clamped)
			expected = end - most;
		assert_int_equal(slices.start, expected);
		for (int64_t window = bs_window_start(&windowing, expected); bs_slices_next(&slices, &slice);
			 window += windowing.size_usec)
		{
			int64_t before = 0;
			int64_t within = 0;

			assert_int_equal(slice.time, window);
			for (int64_t t = expected; t < end; t++)
			{
				before += t < window;
				within += t >= window && t < window + windowing.size_usec;
			}
			assert_int_equal(slice.before, before);
			assert_int_equal(slice.until, before + within);
			assert_int_equal(slice.total, end - expected);
			assert_true(within > 0 || slice.total == 0);
			sum += (uint64_t) bs_portion(value, slice.before, slice.until, slice.total);
		}
		assert_true(sum == (uint64_t) value);
	}
}

/* Through batches that are full in the middle of a record; NULLs and the future. */
static void
spread_fills_batches(void **state)
{
	BsWindowing windowing = bs_windowing_tumble(10, 0);
	BsType types[] = {BS_TIMESTAMPTZ, BS_TIMESTAMPTZ, BS_INT8};
	bool wanted[] = {true, true, true};
	BsBatch *batch = bs_batch_create(types, 3, wanted, CAPACITY);
	BsSpread *spread = bs_spread_create(types, 3, wanted, 0, 1, &windowing, CAPACITY);
	const BsBatch *slices;
	int64_t sums[CAPACITY] = {0};
	uint32_t counts[CAPACITY] = {0};

	(void) state;
	for (uint32_t i = 0; i < CAPACITY; i++)
	{
		batch->columns[0].i64[i] = 5;
		batch->columns[1].i64[i] = 5 + i * 13;
		batch->columns[2].i64[i] = i * 1001;
	}
	bs_lane_set_null(&batch->columns[0], 3);
	batch->columns[1].i64[4] = BS_TIME_INFINITY;
	batch->columns[1].i64[5] = 1000000;
	bs_lane_set_null(&batch->columns[2], 6);
	batch->nrows = CAPACITY;
	bs_batch_add_run(batch, 0, CAPACITY, 1);
	bs_spread_begin(spread, batch, 400, 900000);
	while ((slices = bs_spread_next(spread)) != NULL)
	{
		assert_true(slices->nrows > 0 && slices->nrows <= CAPACITY);
		for (uint32_t i = 0; i < slices->nrows; i++)
		{
			uint32_t record = bs_lane_is_null(&slices->columns[2], i)
								  ? 6
								  : (uint32_t) (slices->columns[2].i64[i] / 1001);

			counts[record]++;
			sums[record] += bs_portion(slices->columns[2].i64[i], slices->columns[4].i64[i],
									   slices->columns[5].i64[i], slices->columns[6].i64[i]);
			if (record == 3 || record == 4)
				assert_true(slices->columns[3].i64[i] == BS_TIME_INFINITY);
			if (record == 5)
				assert_int_equal(slices->columns[3].i64[i], 1000000);
		}
	}
	for (uint32_t i = 0; i < CAPACITY; i++)
	{
		uint32_t n = i >= 31 ? 41 : i == 0 ? 1 : (4 + i * 13) / 10 + 1;

		if (i >= 31)
			n = (uint32_t) ((5 + i * 13 - 1) / 10 - (5 + i * 13 - 400) / 10 + 1);
		assert_int_equal(counts[i], i >= 3 && i <= 5 ? 1 : n);
		if (i != 6)
			assert_int_equal(sums[i], i * 1001);
	}
	assert_int_equal(bs_spread_clamped(spread), CAPACITY - 31);
	bs_spread_free(spread);
	bs_batch_free(batch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_hold_their_times), cmocka_unit_test(infinities_stay),
		cmocka_unit_test(any_order_within_lateness), cmocka_unit_test(late_records_are_left_out),
		cmocka_unit_test(any_order_of_flows),       cmocka_unit_test(any_order_of_a_rolling_view),
		cmocka_unit_test(losses_count_once),        cmocka_unit_test(slices_are_what_lasted),
		cmocka_unit_test(spread_fills_batches),       cmocka_unit_test(many_windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
