/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_inet.c: addresses and networks, as PostgreSQL's inet and cidr.
 *
 * An address is handled as 128 bits in two words, most significant first; IPv4 takes the top 32.  Masks
 * are made so that nothing is undefined for any mask length a lane may hold.
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
	uint64_t words[2] = {htobe64(address.high), htobe64(address.low)};

	memcpy(inet->address, words, sizeof(words));
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

/* By family, then the bits both networks have, then the shorter mask first, then the whole address. */
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

static inline BsInet
inet_of(const BsInet *inet, Address address, uint8_t bits)
{
	BsInet made = {.family = inet->family, .bits = bits};

	address_store(&made, address);
	return made;
}

static inline BsInet
network_of(const BsInet *inet)
{
	return inet_of(inet, address_and(address_load(inet), mask_of(inet->bits)), inet->bits);
}

static inline Address
host_bits(const BsInet *inet)
{
	Address mask = mask_of(inet->bits);
	Address all = family_mask(inet);

	return (Address){.high = ~mask.high & all.high, .low = ~mask.low & all.low};
}

static inline BsInet
broadcast_of(const BsInet *inet)
{
	Address address = address_load(inet);
	Address host = host_bits(inet);

	return inet_of(inet, (Address){.high = address.high | host.high, .low = address.low | host.low},
				   inet->bits);
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
			BS_EACH_ROW_ONCE(rows, row, out[row] = network_of(&in[row]);)
			break;
		case BS_OP_INET_BROADCAST:
			BS_EACH_ROW_ONCE(rows, row, out[row] = broadcast_of(&in[row]);)
			break;
		case BS_OP_INET_NETMASK:
			BS_EACH_ROW_ONCE(rows, row,
							 out[row] = inet_of(&in[row], mask_of(in[row].bits),
												max_bits(&in[row]));)
			break;
		default:
			BS_EACH_ROW_ONCE(rows, row,
							 out[row] = inet_of(&in[row], host_bits(&in[row]),
												max_bits(&in[row]));)
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
		BsInet made = a->inet[row];
		int64_t bits = b->i64[row] == -1 ? max_bits(&made) : b->i64[row];

		if (__builtin_expect(bits < 0 || bits > max_bits(&made), 0))
			bs_error_raise(eval, a, b, row, BS_ERROR_MASKLEN);
		else
			made.bits = (uint8_t) bits;
		result->inet[row] = clears ? network_of(&made) : made;
	});
	bs_result_merge_nulls(expr, rows, a, b);
	return result;
}
