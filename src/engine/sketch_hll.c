/* SPDX-License-Identifier: PostgreSQL */
/*
 * sketch_hll.c: HyperLogLog.  See sketch_hll.h.
 *
 * In memory the sparse form is a hash table of its entries, at most three quarters full, 0 being no
 * entry, and the dense form one byte per register, so that merging is a maximum of vectors.  The
 * largest table and the registers take the same.
 */
#include <math.h>

#include "sketch_hll.h"

#define VERSION      1u
#define FORM_SPARSE  1u
#define FORM_DENSE   2u
#define HEADER_BYTES 8u

#define MIN_SLOTS     16u
#define MAX_SLOTS     4096u
#define PLACE_BITS    25u /* of an entry */
#define RANK_BITS     6u
#define RANK_MASK     ((1u << RANK_BITS) - 1)
#define MAX_RANK      (64 - PLACE_BITS + 1)       /* of an entry */
#define MAX_REGISTER  (64 - BS_HLL_PRECISION + 1) /* a hash whose further bits are all 0 */
#define REGISTER_BITS 6u

struct BsHll
{
	BsSketchMemory memory;
	uint32_t slots; /* of entries; 0: dense */
	uint32_t nentries;
	uint32_t *entries;
	uint8_t *registers;
};

/* ---------- life ---------- */

static uint32_t *
make_slots(const BsSketchMemory *memory, uint32_t slots)
{
	uint32_t *entries = bs_sketch_allocate(memory, slots * sizeof(uint32_t));

	if (entries != NULL)
		memset(entries, 0, slots * sizeof(uint32_t));
	return entries;
}

BsHll *
bs_hll_create(BsSketchMemory memory)
{
	BsHll *hll = bs_sketch_allocate(&memory, sizeof(BsHll));

	if (hll == NULL)
		return NULL;
	*hll = (BsHll){.memory = memory, .slots = MIN_SLOTS};
	hll->entries = make_slots(&memory, MIN_SLOTS);
	if (hll->entries != NULL)
		return hll;
	bs_hll_free(hll);
	return NULL;
}

void
bs_hll_free(BsHll *hll)
{
	BsSketchMemory memory;

	if (hll == NULL)
		return;
	memory = hll->memory;
	bs_sketch_release(&memory, hll->entries);
	bs_sketch_release(&memory, hll->registers);
	bs_sketch_release(&memory, hll);
}

size_t
bs_hll_bytes(const BsHll *hll)
{
	return sizeof(BsHll) + (hll->slots == 0 ? BS_HLL_REGISTERS : hll->slots * sizeof(uint32_t));
}

/* ---------- adding ---------- */

/* Number of the first bit that is set, from 1, of the highest width bits; width + 1: none is. */
static uint32_t
rank_of(uint64_t bits, uint32_t width)
{
	uint32_t rank = bits == 0 ? 64 : (uint32_t) __builtin_clzll(bits);

	return (rank < width ? rank : width) + 1;
}

static void
raise_register(BsHll *hll, uint32_t number, uint32_t rank)
{
	if (hll->registers[number] < rank)
		hll->registers[number] = (uint8_t) rank;
}

static void
add_to_registers(BsHll *hll, uint64_t hash)
{
	raise_register(hll, (uint32_t) (hash >> (64 - BS_HLL_PRECISION)),
				   rank_of(hash << BS_HLL_PRECISION, 64 - BS_HLL_PRECISION));
}

static uint32_t
entry_of(uint64_t hash)
{
	return (uint32_t) (hash >> (64 - PLACE_BITS)) << RANK_BITS |
		   rank_of(hash << PLACE_BITS, 64 - PLACE_BITS);
}

/* The register of an entry: the bits of its place behind the register's number come before its
 * rank. */
static void
entry_to_register(BsHll *hll, uint32_t entry)
{
	const uint32_t further = PLACE_BITS - BS_HLL_PRECISION;
	uint32_t place = entry >> RANK_BITS;
	uint32_t low = place & ((1u << further) - 1);
	uint32_t rank = low != 0 ? rank_of((uint64_t) low << (64 - further), further)
							 : further + (entry & RANK_MASK);

	raise_register(hll, place >> further, rank);
}

/* True if it is a place of its own. */
static bool
put_entry(uint32_t *entries, uint32_t slots, uint32_t entry)
{
	uint32_t place = entry >> RANK_BITS;
	uint32_t slot = place & (slots - 1);

	while (entries[slot] != 0)
	{
		if (entries[slot] >> RANK_BITS == place)
		{
			if (entries[slot] < entry)
				entries[slot] = entry;
			return false;
		}
		slot = (slot + 1) & (slots - 1);
	}
	entries[slot] = entry;
	return true;
}

static BsSketchStatus
make_dense(BsHll *hll)
{
	hll->registers = bs_sketch_allocate(&hll->memory, BS_HLL_REGISTERS);
	if (hll->registers == NULL)
		return BS_SKETCH_NO_MEMORY;
	memset(hll->registers, 0, BS_HLL_REGISTERS);
	for (uint32_t i = 0; i < hll->slots; i++)
		if (hll->entries[i] != 0)
			entry_to_register(hll, hll->entries[i]);
	bs_sketch_release(&hll->memory, hll->entries);
	hll->entries = NULL;
	hll->slots = 0;
	hll->nentries = 0;
	return BS_SKETCH_OK;
}

/* A table of so many slots, or the dense form where that is too large. */
static BsSketchStatus
set_slots(BsHll *hll, uint32_t slots)
{
	uint32_t *entries;

	if (slots > MAX_SLOTS)
		return make_dense(hll);
	entries = make_slots(&hll->memory, slots);
	if (entries == NULL)
		return BS_SKETCH_NO_MEMORY;
	for (uint32_t i = 0; i < hll->slots; i++)
		if (hll->entries[i] != 0)
			(void) put_entry(entries, slots, hll->entries[i]);
	bs_sketch_release(&hll->memory, hll->entries);
	hll->entries = entries;
	hll->slots = slots;
	return BS_SKETCH_OK;
}

static BsSketchStatus
add_entry(BsHll *hll, uint32_t entry)
{
	if (hll->slots == 0)
	{
		entry_to_register(hll, entry);
		return BS_SKETCH_OK;
	}
	if (!put_entry(hll->entries, hll->slots, entry))
		return BS_SKETCH_OK;
	hll->nentries++;
	/* The largest table holds BS_HLL_SPARSE_MAX entries; one more makes it dense. */
	return hll->nentries > hll->slots / 4 * 3 ? set_slots(hll, 2 * hll->slots) : BS_SKETCH_OK;
}

BsSketchStatus
bs_hll_add(BsHll *hll, uint64_t hash)
{
	if (hll->slots == 0)
	{
		add_to_registers(hll, hash);
		return BS_SKETCH_OK;
	}
	return add_entry(hll, entry_of(hash));
}

BsSketchStatus
bs_hll_merge(BsHll *hll, const BsHll *other)
{
	BsSketchStatus status = BS_SKETCH_OK;

	if (other->slots == 0 && hll->slots != 0)
		status = make_dense(hll);
	else if (hll->slots != 0 && other->slots > hll->slots)
		status = set_slots(hll, other->slots); /* at once, not by doubling */
	if (status == BS_SKETCH_OK && other->slots == 0)
		for (uint32_t i = 0; i < BS_HLL_REGISTERS; i++)
			hll->registers[i] =
				hll->registers[i] > other->registers[i] ? hll->registers[i] : other->registers[i];
	for (uint32_t i = 0; i < other->slots && status == BS_SKETCH_OK; i++)
		if (other->entries[i] != 0)
			status = add_entry(hll, other->entries[i]);
	return status;
}

/* ---------- the estimate ---------- */

/* Ertl 2017, (17): x + sum of x^(2^k) 2^(k-1), k from 1 */
static double
sigma(double x)
{
	double sum = x;
	double weight = 1;
	double before;

	if (x == 1)
		return INFINITY;
	do
	{
		x *= x;
		before = sum;
		sum += x * weight;
		weight += weight;
	} while (sum != before);
	return sum;
}

/* Ertl 2017, (19): (1 - x - sum of (1 - x^(2^-k))^2 2^-k, k from 1) / 3 */
static double
tau(double x)
{
	double sum = 1 - x;
	double weight = 1;
	double before;

	if (x == 0 || x == 1)
		return 0;
	do
	{
		x = sqrt(x);
		before = sum;
		weight *= 0.5;
		sum -= (1 - x) * (1 - x) * weight;
	} while (sum != before);
	return sum / 3;
}

/* Ertl 2017, algorithm 6 */
static double
estimate_dense(const BsHll *hll)
{
	const double m = BS_HLL_REGISTERS;
	uint32_t counts[MAX_REGISTER + 1] = {0};
	double sum;

	for (uint32_t i = 0; i < BS_HLL_REGISTERS; i++)
		counts[hll->registers[i]]++;
	sum = m * tau(1 - counts[MAX_REGISTER] / m);
	for (uint32_t value = MAX_REGISTER - 1; value >= 1; value--)
		sum = 0.5 * (sum + counts[value]);
	sum += m * sigma(counts[0] / m);
	return m * m / (2 * 0.69314718055994530942 * sum);
}

double
bs_hll_estimate(const BsHll *hll)
{
	const double places = 1u << PLACE_BITS;

	if (hll->slots == 0)
		return estimate_dense(hll);
	/* Linear counting (Whang, Vander-Zanden, Taylor 1990). */
	return places * log(places / (places - hll->nentries));
}

/* ---------- bytes ---------- */

size_t
bs_hll_packed_bytes(const BsHll *hll)
{
	return hll->slots == 0 ? BS_HLL_PACKED_MAX : HEADER_BYTES + hll->nentries * sizeof(uint32_t);
}

void
bs_hll_pack(const BsHll *hll, uint8_t *out)
{
	bool dense = hll->slots == 0;

	out = bs_bytes_put_word(out, VERSION, 1);
	out = bs_bytes_put_word(out, dense ? FORM_DENSE : FORM_SPARSE, 1);
	out = bs_bytes_put_word(out, BS_HLL_PRECISION, 2);
	out = bs_bytes_put_word(out, hll->nentries, 4);
	for (uint32_t i = 0; i < hll->slots; i++)
		if (hll->entries[i] != 0)
			out = bs_bytes_put_word(out, hll->entries[i], 4);
	/* Four registers are three bytes. */
	for (uint32_t i = 0; dense && i < BS_HLL_REGISTERS; i += 4)
	{
		uint32_t four = 0;

		for (uint32_t j = 0; j < 4; j++)
			four |= (uint32_t) hll->registers[i + j] << (j * REGISTER_BITS);
		out = bs_bytes_put_word(out, four, 3);
	}
}

static BsSketchStatus
unpack_entries(BsHll *hll, BsCursor *cursor, uint32_t nentries)
{
	uint32_t slots = MIN_SLOTS;
	BsSketchStatus status = BS_SKETCH_OK;

	if (nentries > BS_HLL_SPARSE_MAX)
		return BS_SKETCH_CORRUPT;
	while (nentries > slots / 4 * 3)
		slots *= 2;
	if (slots > hll->slots)
		status = set_slots(hll, slots);
	for (uint32_t i = 0; i < nentries && status == BS_SKETCH_OK; i++)
	{
		uint32_t entry = (uint32_t) bs_cursor_get_word(cursor, 4);
		uint32_t rank = entry & RANK_MASK;

		if (entry >> (PLACE_BITS + RANK_BITS) != 0 || rank < 1 || rank > MAX_RANK)
			return BS_SKETCH_CORRUPT;
		status = add_entry(hll, entry);
	}
	if (status != BS_SKETCH_OK)
		return status;
	return hll->nentries == nentries ? BS_SKETCH_OK : BS_SKETCH_CORRUPT;
}

static BsSketchStatus
unpack_registers(BsHll *hll, BsCursor *cursor)
{
	BsSketchStatus status = make_dense(hll);

	if (status != BS_SKETCH_OK)
		return status;
	for (uint32_t i = 0; i < BS_HLL_REGISTERS; i += 4)
	{
		uint32_t four = (uint32_t) bs_cursor_get_word(cursor, 3);

		for (uint32_t j = 0; j < 4; j++)
		{
			hll->registers[i + j] = four >> (j * REGISTER_BITS) & RANK_MASK;
			if (hll->registers[i + j] > MAX_REGISTER)
				return BS_SKETCH_CORRUPT;
		}
	}
	return BS_SKETCH_OK;
}

BsSketchStatus
bs_hll_unpack(BsSketchMemory memory, const uint8_t *data, size_t len, BsHll **hll)
{
	BsCursor cursor = {.at = data, .left_bytes = len};
	uint64_t version = bs_cursor_get_word(&cursor, 1);
	uint64_t form = bs_cursor_get_word(&cursor, 1);
	uint64_t precision = bs_cursor_get_word(&cursor, 2);
	uint32_t nentries = (uint32_t) bs_cursor_get_word(&cursor, 4);
	size_t body = form == FORM_SPARSE ? (size_t) nentries * 4 : BS_HLL_PACKED_MAX - HEADER_BYTES;
	BsSketchStatus status;

	*hll = NULL;
	if (cursor.bad || version != VERSION || precision != BS_HLL_PRECISION ||
		(form != FORM_SPARSE && form != FORM_DENSE) || (form == FORM_DENSE && nentries != 0) ||
		cursor.left_bytes != body)
		return BS_SKETCH_CORRUPT;
	*hll = bs_hll_create(memory);
	if (*hll == NULL)
		return BS_SKETCH_NO_MEMORY;
	status = form == FORM_SPARSE ? unpack_entries(*hll, &cursor, nentries)
								 : unpack_registers(*hll, &cursor);
	if (status == BS_SKETCH_OK)
		return status;
	bs_hll_free(*hll);
	*hll = NULL;
	return status;
}
