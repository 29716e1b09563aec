/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_watermarks.c: when windows close, of exporters whose clocks differ and who fall silent.
 *
 * Time passes in steps; at each the exporters that speak send a batch with what their clocks say, and the windows
 * that end at or before the watermark are closed, as advance.c does it.  Nothing sleeps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/engine/partial.h"

#define SECOND ((int64_t) 1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define STEP (100 * 1000)
#define START (1000 * HOUR) /* of the simulation, at the start of a window */
#define MAX_EXPORTERS 200
#define CAPACITY 4

static const BsType column_types[1] = {BS_TIMESTAMPTZ};

static uint64_t random_state = 0x9FB21C651E98DF25u;

static int64_t
random_below(int64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (int64_t) (random_state % (uint64_t) n);
}

/* ---- a view and its exporters ----------------------------------------------------------------- */

typedef struct Exporter
{
	int64_t clock;   /* less the true time */
	int64_t every;   /* it sends */
	int64_t phase;
	int64_t silent_from; /* and until then it does not */
	int64_t silent_until;
	uint64_t late; /* of its records */
} Exporter;

typedef struct View
{
	BsProgram program;
	BsWriter *writer;
	BsArena *arena;
	BsBatch *batch;
	BsPartial partial;
	BsWaiting waiting;
	int64_t clock_error; /* of the server's clock */
	int64_t lateness;
	int64_t max_future;
	int64_t front;
	int64_t closed_before;
	int64_t longest_open; /* after its end by the true time, of windows that closed while anybody spoke */
	Exporter exporters[MAX_EXPORTERS];
	uint32_t nexporters;
} View;

static void
view_create(View *view, int64_t width)
{
	BsProgram *program = &view->program;

	memset(view, 0, sizeof(*view));
	program->windowed = true;
	program->windowing = bs_windowing_tumble(width, 0);
	program->fingerprint = 1;
	program->keys = calloc(1, sizeof(BsKey));
	program->aggregates = calloc(1, sizeof(BsAggregate));
	assert_null(bs_program_finish(program, CAPACITY));
	view->writer = bs_writer_create(program);
	view->arena = bs_arena_create(bs_arena_size_for(8u << 20));
	view->batch = bs_batch_create(column_types, 1, NULL, CAPACITY);
	bs_partial_init(&view->partial, program, UINT64_MAX);
	view->waiting.idle_usec = 10 * SECOND;
	view->waiting.behind_usec = HOUR;
	view->max_future = MINUTE;
	view->front = view->closed_before = BS_TIME_NEG_INFINITY;
}

static void
view_free(View *view)
{
	bs_partial_clear(&view->partial, view->arena);
	bs_batch_free(view->batch);
	bs_writer_free(view->writer);
	bs_program_free(&view->program);
	bs_arena_free_private(view->arena);
}

static Exporter *
add_exporter(View *view, int64_t clock)
{
	Exporter *exporter = &view->exporters[view->nexporters++];

	*exporter = (Exporter){.clock = clock, .every = SECOND, .phase = random_below(10) * STEP};
	return exporter;
}

static void
send(View *view, uint32_t number, int64_t now)
{
	BsViewTimes times = {.now = now,
						 .future_limit = now + view->clock_error + view->max_future,
						 .front = view->front};
	uint64_t late = view->partial.late;

	bs_batch_reset(view->batch);
	view->batch->columns[0].i64[0] = now + view->exporters[number].clock;
	view->batch->nrows = 1;
	bs_batch_add_run(view->batch, 0, 1, number + 1);
	bs_partial_follow(&view->partial, view->arena, &view->program, view->batch, &times);
	bs_partial_add(&view->partial, view->arena, &view->program, view->writer, view->batch,
				   bs_program_evaluate(&view->program, view->batch, times.future_limit, NULL, NULL), NULL, NULL);
	view->exporters[number].late += view->partial.late - late;
}

static void
close_windows(View *view)
{
	BsProgress progress;
	int64_t closed_before;

	bs_progress_begin(&progress);
	bs_partial_progress(&view->partial, view->arena, &view->waiting, &progress);
	if (bs_progress_front(&progress) > view->front)
		view->front = bs_progress_front(&progress);
	closed_before =
		bs_window_first_after(&view->program.windowing, bs_time_plus(view->front, -view->lateness));
	if (closed_before <= view->closed_before)
		return;
	/* Of those that close now, the first has waited the longest. */
	if (view->closed_before != BS_TIME_NEG_INFINITY)
	{
		int64_t waited =
			view->waiting.now - bs_window_end(&view->program.windowing, view->closed_before);

		view->longest_open = waited > view->longest_open ? waited : view->longest_open;
	}
	view->closed_before = closed_before;
	bs_partial_close(&view->partial, closed_before);
	bs_partial_drop(&view->partial, view->arena, closed_before - 10 * view->program.windowing.size_usec);
}

/* Let time pass. */
static void
run(View *view, int64_t from, int64_t until)
{
	for (int64_t now = from; now < until; now += STEP)
	{
		view->waiting.now = now;
		view->waiting.clock = now + view->clock_error;
		for (uint32_t i = 0; i < view->nexporters; i++)
		{
			const Exporter *exporter = &view->exporters[i];

			if ((now - exporter->phase) % exporter->every == 0 &&
				(now < exporter->silent_from || now >= exporter->silent_until))
				send(view, i, now);
		}
		close_windows(view);
	}
}

static BsSource
source_of(View *view, uint32_t number)
{
	BsSource sources[MAX_EXPORTERS];
	uint32_t n = bs_partial_sources(&view->partial, view->arena, sources, MAX_EXPORTERS);

	assert_in_range(n, 0, MAX_EXPORTERS);
	for (uint32_t i = 0; i < n; i++)
		if (sources[i].source == number + 1)
			return sources[i];
	return (BsSource){0};
}

static BsSourceState
state_of(View *view, uint32_t number)
{
	BsSource source = source_of(view, number);

	assert_int_equal(source.source, number + 1);
	return bs_source_state(&source, &view->waiting);
}

static uint64_t
late_of_all(const View *view)
{
	uint64_t late = 0;

	for (uint32_t i = 0; i < view->nexporters; i++)
		late += view->exporters[i].late;
	return late;
}

/* ---- tests ------------------------------------------------------------------------------------ */

/* A clock that is ahead, but not by max_future, pushes nobody else's windows shut. */
static void
ahead(void **state)
{
	View view;

	(void) state;
	view_create(&view, 10 * SECOND);
	add_exporter(&view, 0);
	add_exporter(&view, 50 * SECOND);
	run(&view, START, START + 5 * MINUTE);
	assert_int_equal(late_of_all(&view), 0);
	assert_int_equal(view.closed_before, START + 5 * MINUTE - 10 * SECOND);
	assert_in_range(view.longest_open, 0, SECOND);
	view_free(&view);
}

/* One that is further ahead is not followed at all; its records are counted as future. */
static void
far_ahead(void **state)
{
	View view;

	(void) state;
	view_create(&view, 10 * SECOND);
	add_exporter(&view, 0);
	add_exporter(&view, 24 * HOUR);
	run(&view, START, START + 5 * MINUTE);
	assert_int_equal(late_of_all(&view), 0);
	assert_int_equal(view.partial.future, 300);
	assert_int_equal(source_of(&view, 1).source, 0);
	assert_in_range(view.longest_open, 0, SECOND);
	view_free(&view);
}

/* One that is behind is waited for, exactly; one that is too far behind is not, and says by how much. */
static void
behind(void **state)
{
	View view;

	(void) state;
	view_create(&view, 10 * SECOND);
	add_exporter(&view, 0);
	add_exporter(&view, -2 * MINUTE);
	run(&view, START, START + 10 * MINUTE);
	assert_int_equal(late_of_all(&view), 0);
	assert_int_equal(state_of(&view, 1), BS_SOURCE_ALIVE);
	assert_in_range(view.longest_open, 2 * MINUTE, 2 * MINUTE + SECOND);
	assert_int_equal(source_of(&view, 1).largest_lateness, 0);
	view_free(&view);

	view_create(&view, 10 * SECOND);
	view.waiting.behind_usec = MINUTE;
	add_exporter(&view, 0);
	add_exporter(&view, -2 * MINUTE);
	run(&view, START, START + 10 * MINUTE);
	assert_int_equal(state_of(&view, 0), BS_SOURCE_ALIVE);
	assert_int_equal(state_of(&view, 1), BS_SOURCE_BEHIND);
	assert_in_range(view.longest_open, 0, SECOND);
	assert_int_equal(view.exporters[0].late, 0);
	assert_in_range(view.exporters[1].late, 595, 600);
	assert_int_equal(source_of(&view, 0).largest_lateness, 0);
	assert_in_range(source_of(&view, 1).largest_lateness, 2 * MINUTE - SECOND, 2 * MINUTE + SECOND);
	view_free(&view);
}

/* So much lateness was needed: with it nothing is late. */
static void
lateness_is_what_is_needed(void **state)
{
	View view;
	int64_t needed;

	(void) state;
	view_create(&view, 10 * SECOND);
	view.waiting.behind_usec = MINUTE;
	add_exporter(&view, 0);
	add_exporter(&view, -2 * MINUTE)->every = 3 * SECOND;
	run(&view, START, START + 10 * MINUTE);
	needed = source_of(&view, 1).largest_lateness;
	assert_true(view.exporters[1].late > 0);
	view_free(&view);

	view_create(&view, 10 * SECOND);
	view.waiting.behind_usec = MINUTE;
	view.lateness = needed;
	add_exporter(&view, 0);
	add_exporter(&view, -2 * MINUTE)->every = 3 * SECOND;
	run(&view, START, START + 10 * MINUTE);
	assert_int_equal(late_of_all(&view), 0);
	view_free(&view);
}

/* Silence holds windows for idle, no longer; who comes back with the right time is not late. */
static void
silent_for_an_hour(void **state)
{
	View view;
	Exporter *silent;

	(void) state;
	view_create(&view, 10 * SECOND);
	add_exporter(&view, 0);
	silent = add_exporter(&view, 0);
	silent->silent_from = START + MINUTE;
	silent->silent_until = START + MINUTE + HOUR;
	run(&view, START, START + MINUTE + 9 * SECOND);
	assert_int_equal(state_of(&view, 1), BS_SOURCE_ALIVE);
	assert_int_equal(view.closed_before, START + 50 * SECOND);
	run(&view, START + MINUTE + 9 * SECOND, START + MINUTE + 20 * SECOND);
	assert_int_equal(state_of(&view, 1), BS_SOURCE_IDLE);
	assert_int_equal(view.closed_before, START + MINUTE + 10 * SECOND);
	run(&view, START + MINUTE + 20 * SECOND, START + 2 * HOUR);
	assert_int_equal(state_of(&view, 1), BS_SOURCE_ALIVE);
	assert_int_equal(late_of_all(&view), 0);
	assert_in_range(view.longest_open, 9 * SECOND, 11 * SECOND);
	assert_in_range(source_of(&view, 1).largest_lateness, 0, SECOND);
	view_free(&view);
}

/* When all are silent the clock closes what is open, by the times that they had. */
static void
all_silent(void **state)
{
	View view;

	(void) state;
	view_create(&view, 10 * SECOND);
	view.lateness = 3 * SECOND;
	add_exporter(&view, -20 * SECOND);
	view.exporters[0].silent_from = START + MINUTE;
	view.exporters[0].silent_until = INT64_MAX;
	run(&view, START, START + 68 * SECOND);
	assert_int_equal(view.closed_before, START + 30 * SECOND);
	/* Its clock stands at START + 60 s, less lateness. */
	run(&view, START + 68 * SECOND, START + 80 * SECOND);
	assert_int_equal(view.closed_before, START + 50 * SECOND);
	run(&view, START + 80 * SECOND, START + 5 * MINUTE);
	assert_int_equal(view.closed_before, START + 4 * MINUTE + 30 * SECOND);
	view_free(&view);
}

/* 200 exporters, clocks off by up to 30 s either way, each heard every few seconds, windows of many widths. */
static void
many_with_skew(void **state)
{
	static const int64_t widths[] = {SECOND, 7 * SECOND, MINUTE};

	(void) state;
	for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++)
	{
		View view;
		int64_t slowest = 0;

		view_create(&view, widths[w]);
		for (int i = 0; i < MAX_EXPORTERS; i++)
		{
			Exporter *exporter = add_exporter(&view, random_below(60 * SECOND) - 30 * SECOND);

			exporter->every = SECOND * (1 + random_below(4));
			slowest = exporter->clock < slowest ? exporter->clock : slowest;
		}
		/* Until all have been heard whoever is slow may be late. */
		run(&view, START, START + 4 * SECOND);
		for (uint32_t i = 0; i < MAX_EXPORTERS; i++)
			view.exporters[i].late = 0;
		view.closed_before = view.closed_before > START ? view.closed_before : START;
		bs_partial_close(&view.partial, view.closed_before);
		run(&view, START + 4 * SECOND, START + 3 * MINUTE);
		/* Those in START's first seconds were closed by hand. */
		assert_in_range(view.longest_open, -slowest, -slowest + 5 * SECOND);
		for (uint32_t i = 0; i < MAX_EXPORTERS; i++)
		{
			assert_int_equal(state_of(&view, i), BS_SOURCE_ALIVE);
			view.exporters[i].late = 0;
		}
		run(&view, START + 3 * MINUTE, START + 4 * MINUTE);
		assert_int_equal(late_of_all(&view), 0);
		assert_int_equal(view.partial.future, 0);
		view_free(&view);
	}
}

/* A second's windows and a day's: the same rules. */
static void
a_second_and_a_day(void **state)
{
	View view;

	(void) state;
	view_create(&view, 24 * HOUR);
	add_exporter(&view, 0)->every = MINUTE;
	add_exporter(&view, -5 * SECOND)->every = MINUTE;
	view.waiting.idle_usec = 2 * MINUTE;
	run(&view, START, START + 50 * HOUR);
	assert_int_equal(late_of_all(&view), 0);
	assert_int_equal(view.closed_before, (START + 50 * HOUR) / (24 * HOUR) * (24 * HOUR));
	assert_int_equal(view.partial.records, 2 * 50 * 60);
	view_free(&view);
}

/*
 * The server's clock is set, half a minute back or hours ahead, and right again: nobody is taken for silent or to
 * have gone on, windows close as they do.
 */
static void
clock_is_set(void **state)
{
	static const int64_t errors[] = {-30 * SECOND, 30 * MINUTE, 5 * HOUR};

	(void) state;
	for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++)
	{
		View view;

		view_create(&view, 10 * SECOND);
		add_exporter(&view, 0);
		add_exporter(&view, -SECOND);
		run(&view, START, START + MINUTE);
		view.exporters[1].late = 0; /* its first record, before anybody knew of it */
		view.clock_error = errors[e];
		run(&view, START + MINUTE, START + 2 * MINUTE);
		assert_int_equal(view.closed_before, START + 110 * SECOND);
		view.clock_error = 0;
		run(&view, START + 2 * MINUTE, START + 3 * MINUTE);
		assert_int_equal(view.closed_before, START + 170 * SECOND);
		assert_in_range(view.longest_open, 0, 3 * SECOND);
		/* When nobody is waited for, the furthest has closed what the other is still in. */
		assert_in_range(late_of_all(&view), 0, errors[e] > HOUR ? 8 : 0);
		assert_int_equal(view.partial.future, 0);
		view_free(&view);
	}
}

/* One that falls silent holds the windows as long as it is alive; stamps in the future do not push. */
static void
progress_of_sources(void **state)
{
	View view;
	BsProgress progress;
	BsViewTimes times = {.now = 100, .future_limit = BS_TIME_INFINITY, .front = 6000};
	BsWaiting waiting = {.now = 200, .idle_usec = 100, .behind_usec = BS_TIME_INFINITY};

	(void) state;
	view_create(&view, 1000);
	view.batch->columns[0].i64[0] = 5000;
	view.batch->columns[0].i64[1] = 9000;
	view.batch->nrows = 2;
	bs_batch_add_run(view.batch, 0, 1, 77);
	bs_batch_add_run(view.batch, 1, 1, 88);
	bs_partial_follow(&view.partial, view.arena, &view.program, view.batch, &times);
	bs_batch_reset(view.batch);
	view.batch->columns[0].i64[0] = 12000;
	view.batch->columns[0].i64[1] = 99000;
	view.batch->nrows = 2;
	bs_batch_add_run(view.batch, 0, 2, 88);
	times = (BsViewTimes){.now = 200, .future_limit = 20000, .front = 6000};
	bs_partial_follow(&view.partial, view.arena, &view.program, view.batch, &times);
	assert_int_equal(source_of(&view, 76).largest_lateness, 1000);
	assert_int_equal(source_of(&view, 87).largest_lateness, 0);

	bs_progress_begin(&progress);
	bs_partial_progress(&view.partial, view.arena, &waiting, &progress);
	assert_int_equal(bs_progress_front(&progress), 5000);
	assert_int_equal(progress.highest, 12000);
	waiting.idle_usec = 99;
	bs_progress_begin(&progress);
	bs_partial_progress(&view.partial, view.arena, &waiting, &progress);
	assert_int_equal(bs_progress_front(&progress), 12000);
	/* By a clock at 14,000 both are behind, one too far. */
	waiting = (BsWaiting){.now = 200, .clock = 14000, .idle_usec = BS_TIME_INFINITY, .behind_usec = 8999};
	bs_progress_begin(&progress);
	bs_partial_progress(&view.partial, view.arena, &waiting, &progress);
	assert_int_equal(bs_progress_front(&progress), 12000);
	waiting.behind_usec = 9000;
	bs_progress_begin(&progress);
	bs_partial_progress(&view.partial, view.arena, &waiting, &progress);
	assert_int_equal(bs_progress_front(&progress), 5000);
	/* Nobody is waited for: they are taken to have gone on. */
	waiting = (BsWaiting){.now = 700, .idle_usec = 400, .behind_usec = BS_TIME_INFINITY};
	bs_progress_begin(&progress);
	bs_partial_progress(&view.partial, view.arena, &waiting, &progress);
	assert_false(progress.any_alive);
	assert_int_equal(bs_progress_front(&progress), 12500);
	view_free(&view);
	view_create(&view, 1000);
	bs_progress_begin(&progress);
	bs_partial_progress(&view.partial, view.arena, &waiting, &progress);
	assert_int_equal(bs_progress_front(&progress), BS_TIME_NEG_INFINITY);
	view_free(&view);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ahead),
		cmocka_unit_test(far_ahead),
		cmocka_unit_test(behind),
		cmocka_unit_test(lateness_is_what_is_needed),
		cmocka_unit_test(silent_for_an_hour),
		cmocka_unit_test(all_silent),
		cmocka_unit_test(many_with_skew),
		cmocka_unit_test(a_second_and_a_day),
		cmocka_unit_test(clock_is_set),
		cmocka_unit_test(progress_of_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
