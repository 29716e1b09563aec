/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_inet.c: addresses and networks, as PostgreSQL's inet and cidr.
 *
 * An address is handled as 128 bits in two words, most significant first; IPv4 takes the top 32.
 * Masks are made so that nothing is undefined for any mask length a lane may hold.
 */
#include "expr_internal.h"

#include <endian.h>

typedef struct Address
{
	uint64_t high;
	uint64_t low;
} Address;

static inline Address
address_load(const BsInet *inet)
{
	uint64_t words[2];

	memcpy(words, inet->address, sizeof(words));
	return (Address){.high = be64toh(words[0]), .low = be64toh(words[1])};
}

static inline void
address_store(BsInet *inet, Address address)
{
	uint64_t high = htobe64(address.high);
	uint64_t low = htobe64(address.low);

	memcpy(inet->address, &high, sizeof(high));
	memcpy(inet->address + sizeof(high), &low, sizeof(low));
}

static inline uint8_t
max_bits(const BsInet *inet)
{
	return inet->family == 4 ? 32 : 128;
}

/* The first bits set, the rest clear. */
static inline Address
mask_of(unsigned bits)
{
	Address mask;

	mask.high = bits == 0 ? 0 : bits >= 64 ? UINT64_MAX : UINT64_MAX << (64 - bits);
	mask.low = bits <= 64 ? 0 : bits >= 128 ? UINT64_MAX : UINT64_MAX << (128 - bits);
	return mask;
}

/* All bits that an address of this family has. */
static inline Address
family_mask(const BsInet *inet)
{
	return mask_of(max_bits(inet));
}

static inline int
address_compare(Address a, Address b)
{
	if (a.high != b.high)
		return a.high < b.high ? -1 : 1;
	return (a.low > b.low) - (a.low < b.low);
}

static inline Address
address_and(Address a, Address mask)
{
	return (Address){.high = a.high & mask.high, .low = a.low & mask.low};
}

/* By family, then the common prefix bits, then the shorter mask, then the whole address. */
int
bs_inet_compare(const BsInet *a, const BsInet *b)
{
	Address address_a = address_load(a);
	Address address_b = address_load(b);
	Address mask;
	int sign;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	mask = mask_of(a->bits < b->bits ? a->bits : b->bits);
	sign = address_compare(address_and(address_a, mask), address_and(address_b, mask));
	if (sign != 0)
		return sign;
	if (a->bits != b->bits)
		return a->bits < b->bits ? -1 : 1;
	return address_compare(address_a, address_b);
}

/* Whether two addresses of one family agree in the first bits. */
static inline bool
same_prefix(const BsInet *a, const BsInet *b, unsigned bits)
{
	Address address_a = address_load(a);
	Address address_b = address_load(b);
	Address mask = mask_of(bits);

	return (((address_a.high ^ address_b.high) & mask.high) |
			((address_a.low ^ address_b.low) & mask.low)) == 0;
}

/* a lies in b; strictly: and is smaller. */
static inline bool
lies_in(const BsInet *a, const BsInet *b, bool strictly)
{
	return a->family == b->family && (strictly ? a->bits > b->bits : a->bits >= b->bits) &&
		   same_prefix(a, b, b->bits);
}

static inline bool
overlap(const BsInet *a, const BsInet *b)
{
	return a->family == b->family && same_prefix(a, b, a->bits < b->bits ? a->bits : b->bits);
}

const BsLane *
bs_eval_inet_test(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	const BsLane *b = bs_evaluate(expr->args[1], eval, rows);
	BsLane *result = bs_result_begin(expr);
	const BsInet *x = a->inet;
	const BsInet *y = b->inet;
	int64_t *out = result->i64;

	switch (expr->op)
	{
		case BS_OP_INET_SUB:
			BS_EACH_ROW_ONCE(rows, row, out[row] = lies_in(&x[row], &y[row], true);)
			break;
		case BS_OP_INET_SUBEQ:
			BS_EACH_ROW_ONCE(rows, row, out[row] = lies_in(&x[row], &y[row], false);)
			break;
		case BS_OP_INET_SUP:
			BS_EACH_ROW_ONCE(rows, row, out[row] = lies_in(&y[row], &x[row], true);)
			break;
		case BS_OP_INET_SUPEQ:
			BS_EACH_ROW_ONCE(rows, row, out[row] = lies_in(&y[row], &x[row], false);)
			break;
		default:
			BS_EACH_ROW_ONCE(rows, row, out[row] = overlap(&x[row], &y[row]);)
			break;
	}
	bs_result_merge_nulls(expr, rows, a, b);
	return result;
}

/*
 * Results are stored by whole words straight into the lane: put together in a local first, the
 * bytes would be read back wider than they were written, which stalls the processor at every row.
 */
static inline void
inet_store(BsInet *out, const BsInet *from, Address address, uint8_t bits)
{
	uint64_t tail = htole64(from->family | (uint64_t) bits << 8);

	_Static_assert(offsetof(BsInet, family) == 16 && offsetof(BsInet, bits) == 17 &&
					   sizeof(BsInet) == 24,
				   "family, bits and padding make up the last word");
	address_store(out, address);
	memcpy(&out->family, &tail, sizeof(tail));
}

static inline void
store_network(BsInet *out, const BsInet *inet, uint8_t bits)
{
	inet_store(out, inet, address_and(address_load(inet), mask_of(bits)), bits);
}

static inline Address
host_bits(const BsInet *inet)
{
	Address mask = mask_of(inet->bits);
	Address all = family_mask(inet);

	return (Address){.high = ~mask.high & all.high, .low = ~mask.low & all.low};
}

static inline void
store_broadcast(BsInet *out, const BsInet *inet)
{
	Address address = address_load(inet);
	Address host = host_bits(inet);

	address.high |= host.high;
	address.low |= host.low;
	inet_store(out, inet, address, inet->bits);
}

const BsLane *
bs_eval_inet_part(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	BsLane *result = bs_result_begin(expr);
	const BsInet *in = a->inet;
	BsInet *out = result->inet;

	switch (expr->op)
	{
		case BS_OP_INET_NETWORK:
			BS_EACH_ROW_ONCE(rows, row, store_network(&out[row], &in[row], in[row].bits);)
			break;
		case BS_OP_INET_BROADCAST:
			BS_EACH_ROW_ONCE(rows, row, store_broadcast(&out[row], &in[row]);)
			break;
		case BS_OP_INET_NETMASK:
			BS_EACH_ROW_ONCE(
				rows, row,
				inet_store(&out[row], &in[row], mask_of(in[row].bits), max_bits(&in[row]));)
			break;
		default:
			BS_EACH_ROW_ONCE(
				rows, row,
				inet_store(&out[row], &in[row], host_bits(&in[row]), max_bits(&in[row]));)
			break;
	}
	bs_result_merge_nulls(expr, rows, a, a);
	return result;
}

const BsLane *
bs_eval_inet_number(BsExpr *expr, BsEval *eval, BsRows rows)
{
	bool family = expr->op == BS_OP_INET_FAMILY;
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	BsLane *result = bs_result_begin(expr);

	BS_EACH_ROW_ONCE(rows, row,
					 result->i64[row] = family ? a->inet[row].family : a->inet[row].bits;)
	bs_result_merge_nulls(expr, rows, a, a);
	return result;
}

/* Of inet the host bits stay, of cidr they are cleared. */
const BsLane *
bs_eval_set_masklen(BsExpr *expr, BsEval *eval, BsRows rows)
{
	bool clears = expr->op == BS_OP_CIDR_SET_MASKLEN;
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	const BsLane *b = bs_evaluate(expr->args[1], eval, rows);
	BsLane *result = bs_result_begin(expr);

	BS_EACH_ROW_ONCE(rows, row, {
		const BsInet *in = &a->inet[row];
		int64_t bits = b->i64[row] == -1 ? max_bits(in) : b->i64[row];

		if (__builtin_expect(bits < 0 || bits > max_bits(in), 0))
		{
			bs_error_raise(eval, a, b, row, BS_ERROR_MASKLEN);
			bits = in->bits;
		}
		if (clears)
			store_network(&result->inet[row], in, (uint8_t) bits);
		else
			inet_store(&result->inet[row], in, address_load(in), (uint8_t) bits);
	});
	bs_result_merge_nulls(expr, rows, a, b);
	return result;
}
