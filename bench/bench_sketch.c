/* SPDX-License-Identifier: PostgreSQL */
/*
 * bench_sketch.c: nanoseconds per value that is added to a sketch, and microseconds per sketch merged,
 * packed and unpacked.
 *
 *     make build/release/bench_sketch && build/release/bench_sketch
 *
 * Values are drawn beforehand, uniformly or from a Zipf distribution, and added as the aggregates
 * do it, hash mixed here (what a type's own hash function takes comes on top).  Each figure is
 * the best of several passes.  Sketches that are merged each hold so many values of their own.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../src/engine/sketch_dd.h"
#include "../src/engine/sketch_hll.h"
#include "../src/engine/sketch_topk.h"

#define NVALUES 200000u
#define PASSES  7

static uint64_t values[NVALUES];
static uint32_t top_k;

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

static void *
allocate(void *context, size_t size)
{
	(void) context;
	return malloc(size);
}

static void
release(void *context, void *memory)
{
	(void) context;
	free(memory);
}

static const BsSketchMemory heap = {.allocate = allocate, .release = release};

static void
check(BsSketchStatus status)
{
	if (status != BS_SKETCH_OK)
		abort();
}

/* A kind of sketch; sketches are void * here. */
typedef struct Kind
{
	void *(*create)(void);
	void (*add)(void *sketch, uint64_t value);
	void (*merge)(void *sketch, const void *other);
	size_t (*pack)(void *sketch, uint8_t *out);
	void *(*unpack)(const uint8_t *data, size_t len);
	void (*free)(void *sketch);
	size_t (*bytes)(const void *sketch);
} Kind;

static void *
hll_create(void)
{
	return bs_hll_create(heap);
}

static void
hll_add(void *sketch, uint64_t value)
{
	check(bs_hll_add(sketch, bs_sketch_mix(value)));
}

static void
hll_merge(void *sketch, const void *other)
{
	check(bs_hll_merge(sketch, other));
}

static size_t
hll_pack(void *sketch, uint8_t *out)
{
	bs_hll_pack(sketch, out);
	return bs_hll_packed_bytes(sketch);
}

static void *
hll_unpack(const uint8_t *data, size_t len)
{
	BsHll *hll;

	check(bs_hll_unpack(heap, data, len, &hll));
	return hll;
}

static void
hll_free(void *sketch)
{
	bs_hll_free(sketch);
}

static size_t
hll_bytes(const void *sketch)
{
	return bs_hll_bytes(sketch);
}

static void *
dd_create(void)
{
	return bs_dd_create(heap);
}

static void
dd_add(void *sketch, uint64_t value)
{
	check(bs_dd_add(sketch, (double) value));
}

static void
dd_merge(void *sketch, const void *other)
{
	check(bs_dd_merge(sketch, other));
}

static size_t
dd_pack(void *sketch, uint8_t *out)
{
	return bs_dd_pack(sketch, out);
}

static void *
dd_unpack(const uint8_t *data, size_t len)
{
	BsDd *dd;

	check(bs_dd_unpack(heap, data, len, &dd));
	return dd;
}

static void
dd_free(void *sketch)
{
	bs_dd_free(sketch);
}

static size_t
dd_bytes(const void *sketch)
{
	return bs_dd_bytes(sketch);
}

static void *
topk_create(void)
{
	return bs_topk_create(heap, top_k);
}

static void
topk_add(void *sketch, uint64_t value)
{
	BsBytes item = {.data = (const uint8_t *) &value, .len = 6};

	check(bs_topk_add(sketch, bs_sketch_mix(value), item, 40 + value % 1460, NULL));
}

static void
topk_merge(void *sketch, const void *other)
{
	check(bs_topk_merge(sketch, other, NULL));
}

static size_t
topk_pack(void *sketch, uint8_t *out)
{
	check(bs_topk_trim(sketch));
	return bs_topk_pack(sketch, out);
}

static void *
topk_unpack(const uint8_t *data, size_t len)
{
	BsTopk *topk;

	check(bs_topk_unpack(heap, data, len, &topk));
	return topk;
}

static void
topk_free(void *sketch)
{
	bs_topk_free(sketch);
}

static size_t
topk_bytes(const void *sketch)
{
	return bs_topk_bytes(sketch);
}

static const Kind hll = {hll_create, hll_add, hll_merge, hll_pack, hll_unpack, hll_free, hll_bytes};
static const Kind dd = {dd_create, dd_add, dd_merge, dd_pack, dd_unpack, dd_free, dd_bytes};
static const Kind topk = {topk_create, topk_add,  topk_merge, topk_pack,
						  topk_unpack, topk_free, topk_bytes};

static uint64_t
next_random(uint64_t *state)
{
	return bs_sketch_mix(*state += UINT64_C(0x9E3779B97F4A7C15));
}

static void
draw(bool zipf, uint64_t ndifferent)
{
	uint64_t state = 1;

	for (uint32_t i = 0; i < NVALUES; i++)
	{
		double u = (double) (next_random(&state) >> 11) / 9007199254740992.0;

		values[i] = (uint64_t) (zipf ? pow((double) ndifferent, u) : 1 + u * (double) ndifferent);
	}
}

static double
least(double a, double b)
{
	return a < b ? a : b;
}

/* per: values in each of the sketches that are merged */
static void
measure(const char *name, const Kind *kind, uint32_t per)
{
	double add_ns = 1e18;
	double merge_ns = 1e18;
	double pack_ns = 1e18;
	double unpack_ns = 1e18;
	size_t bytes = 0;
	size_t packed_bytes = 0;

	for (int pass = 0; pass < PASSES; pass++)
	{
		void *one = kind->create();
		void *all = kind->create();
		uint32_t nparts = NVALUES / per < 50 ? NVALUES / per : 50;
		double merging = 0;
		double packing = 0;
		double unpacking = 0;
		double start = now_ns();

		for (uint32_t i = 0; i < NVALUES; i++)
			kind->add(one, values[i]);
		add_ns = least(add_ns, (now_ns() - start) / NVALUES);
		bytes = kind->bytes(one);
		for (uint32_t p = 0; p < nparts; p++)
		{
			static uint8_t packed[1 << 20];
			void *part = kind->create();
			void *copy;

			for (uint32_t i = p * per; i < (p + 1) * per; i++)
				kind->add(part, values[i]);
			start = now_ns();
			packed_bytes = kind->pack(part, packed);
			packing += now_ns() - start;
			start = now_ns();
			copy = kind->unpack(packed, packed_bytes);
			unpacking += now_ns() - start;
			start = now_ns();
			kind->merge(all, copy);
			merging += now_ns() - start;
			kind->free(part);
			kind->free(copy);
		}
		merge_ns = least(merge_ns, merging / nparts);
		pack_ns = least(pack_ns, packing / nparts);
		unpack_ns = least(unpack_ns, unpacking / nparts);
		kind->free(one);
		kind->free(all);
	}
	printf("%-34s %7.1f %9zu %8u %9zu %8.2f %8.2f %8.2f\n", name, add_ns, bytes, per, packed_bytes,
		   merge_ns / 1000, pack_ns / 1000, unpack_ns / 1000);
}

int
main(void)
{
	printf("%-34s %7s %9s %8s %9s %8s %8s %8s\n", "", "ns/add", "bytes", "of", "packed", "us/merge",
		   "us/pack", "us/unp.");
	draw(false, 1000);
	measure("distinct, 1,000 values", &hll, 1000);
	draw(false, 1000000);
	measure("distinct, 180,000 of 1,000,000", &hll, 20);
	measure("distinct, 180,000 of 1,000,000", &hll, 2000);
	measure("distinct, 180,000 of 1,000,000", &hll, 20000);
	draw(false, 1500);
	measure("percentile, uniform to 1,500", &dd, 2000);
	draw(true, 1000000000);
	measure("percentile, Zipf to 10^9", &dd, 2000);
	for (top_k = 10; top_k <= 1000; top_k *= 10)
	{
		char name[64];

		draw(true, 1000000);
		snprintf(name, sizeof(name), "top %u, Zipf of 1,000,000", top_k);
		measure(name, &topk, 2000);
		draw(false, 1000000);
		snprintf(name, sizeof(name), "top %u, uniform of 1,000,000", top_k);
		measure(name, &topk, 2000);
		measure(name, &topk, 20000);
	}
	return 0;
}
