/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz_sketch.c: any bytes as packed sketches (libFuzzer).
 *
 * The input is one byte, whose low two bits choose the kind of sketch, and two packed sketches, the
 * first of them with its length, 2 bytes, little-endian.  What unpacks must pack to something that
 * unpacks to the same, take bounded memory, merge, and answer.
 */
#include <math.h>
#include <stdlib.h>

#include "../../src/engine/sketch_dd.h"
#include "../../src/engine/sketch_hll.h"
#include "../../src/engine/sketch_topk.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
	do                                                                                             \
	{                                                                                              \
		if (!(condition))                                                                          \
			abort();                                                                               \
	} while (0)

typedef struct Bytes
{
	const uint8_t *data;
	size_t len;
} Bytes;

static void *
allocate(void *context, size_t size)
{
	(void) context;
	REQUIRE(size <= 1u << 21);
	return malloc(size);
}

static void
release(void *context, void *memory)
{
	(void) context;
	free(memory);
}

static const BsSketchMemory heap = {.allocate = allocate, .release = release};

static BsHll *
unpack_hll(Bytes packed)
{
	BsHll *hll;
	BsHll *copy;
	uint8_t *bytes;

	if (bs_hll_unpack(heap, packed.data, packed.len, &hll) != BS_SKETCH_OK)
	{
		REQUIRE(hll == NULL);
		return NULL;
	}
	bytes = malloc(bs_hll_packed_bytes(hll));
	bs_hll_pack(hll, bytes);
	REQUIRE(bs_hll_packed_bytes(hll) <= BS_HLL_PACKED_MAX);
	REQUIRE(bs_hll_unpack(heap, bytes, bs_hll_packed_bytes(hll), &copy) == BS_SKETCH_OK);
	REQUIRE(bs_hll_estimate(copy) == bs_hll_estimate(hll));
	free(bytes);
	bs_hll_free(copy);
	return hll;
}

static void
fuzz_hll(Bytes first, Bytes second)
{
	BsHll *a = unpack_hll(first);
	BsHll *b = unpack_hll(second);

	if (a != NULL && b != NULL)
	{
		double before = bs_hll_estimate(a);

		REQUIRE(bs_hll_merge(a, b) == BS_SKETCH_OK);
		/* From one form to the other the estimate may fall by its error. */
		REQUIRE(bs_hll_estimate(a) >= before * 0.5);
	}
	bs_hll_free(a);
	bs_hll_free(b);
}

static BsDd *
unpack_dd(Bytes packed)
{
	BsDd *dd;
	BsDd *copy;
	uint8_t *bytes;
	size_t len;

	if (bs_dd_unpack(heap, packed.data, packed.len, &dd) != BS_SKETCH_OK)
	{
		REQUIRE(dd == NULL);
		return NULL;
	}
	bytes = malloc(bs_dd_packed_bound(dd));
	len = bs_dd_pack(dd, bytes);
	REQUIRE(len <= bs_dd_packed_bound(dd) && len <= BS_DD_PACKED_MAX);
	REQUIRE(bs_dd_unpack(heap, bytes, len, &copy) == BS_SKETCH_OK);
	REQUIRE(bs_dd_count(copy) == bs_dd_count(dd));
	free(bytes);
	bs_dd_free(copy);
	return dd;
}

static void
fuzz_dd(Bytes first, Bytes second)
{
	BsDd *a = unpack_dd(first);
	BsDd *b = unpack_dd(second);

	if (a != NULL && b != NULL)
	{
		uint64_t count = bs_dd_count(a) + bs_dd_count(b);

		REQUIRE(bs_dd_merge(a, b) == BS_SKETCH_OK);
		REQUIRE(bs_dd_count(a) == count);
	}
	if (a != NULL && bs_dd_count(a) > 0)
	{
		double before = -INFINITY;

		for (double fraction = 0; fraction <= 1; fraction += 1.0 / 64)
		{
			double value = bs_dd_quantile(a, fraction);

			REQUIRE(isnan(value) || value >= before);
			before = isnan(value) ? before : value;
		}
	}
	bs_dd_free(a);
	bs_dd_free(b);
}

static BsTopk *
unpack_topk(Bytes packed)
{
	BsTopk *topk;
	BsTopk *copy;
	uint8_t *bytes;
	size_t len;

	if (bs_topk_unpack(heap, packed.data, packed.len, &topk) != BS_SKETCH_OK)
	{
		REQUIRE(topk == NULL);
		return NULL;
	}
	bytes = malloc(bs_topk_packed_bound(topk));
	len = bs_topk_pack(topk, bytes);
	REQUIRE(len <= bs_topk_packed_bound(topk));
	REQUIRE(bs_topk_unpack(heap, bytes, len, &copy) == BS_SKETCH_OK);
	REQUIRE(bs_topk_count(copy) == bs_topk_count(topk));
	free(bytes);
	bs_topk_free(copy);
	return topk;
}

static void
fuzz_topk(Bytes first, Bytes second)
{
	BsTopk *a = unpack_topk(first);
	BsTopk *b = unpack_topk(second);

	if (a != NULL && b != NULL && bs_topk_k(a) == bs_topk_k(b))
	{
		BsUint128 total = bs_topk_total(a) + bs_topk_total(b);

		REQUIRE(bs_topk_merge(a, b, NULL) == BS_SKETCH_OK);
		REQUIRE(bs_topk_total(a) == total);
		REQUIRE(bs_topk_trim(a) == BS_SKETCH_OK);
		for (uint32_t n = 0; n < bs_topk_count(a); n++)
		{
			BsTopkCounter counter = bs_topk_counter(a, n);

			REQUIRE(counter.lower <= counter.upper);
			REQUIRE(counter.item.len <= BS_TOPK_MAX_ITEM_BYTES);
		}
	}
	bs_topk_free(a);
	bs_topk_free(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const kinds[])(Bytes first, Bytes second) = {fuzz_hll, fuzz_dd, fuzz_topk,
															   fuzz_topk};
	Bytes first;
	Bytes second;

	if (size < 3)
		return 0;
	first = (Bytes){.data = data + 3, .len = data[1] | (size_t) data[2] << 8};
	if (first.len > size - 3)
		first.len = size - 3;
	second = (Bytes){.data = first.data + first.len, .len = size - 3 - first.len};
	kinds[data[0] & 3](first, second);
	return 0;
}
