/* SPDX-License-Identifier: PostgreSQL */
/* elements.c: the table of information elements.  See elements.h. */
#include "elements.h"

/* clang-format off */

#define UINT(element, column)   {element, BS_FLOW_##column, BS_FORM_UINT, BS_MERGE_NONE, 0, 0}
#define BITS(element, column, merge, shift, mask) \
	{element, BS_FLOW_##column, BS_FORM_UINT, merge, shift, mask}
#define FORM(element, column, form, merge) \
	{element, BS_FLOW_##column, BS_FORM_##form, BS_MERGE_##merge, 0, 0}

/*
 * Why in this order:
 * - Stamps: absolute ones before those that need a base; what is not usable (zero, out of range, no
 *   base known) leaves the next its chance.  observationTime (322-325) is when a NAT or firewall event
 *   happened; it ends the flow only where nothing else does.
 * - bytes, packets: deltas, then totals (RFC 5102: since the flow began), then the initiator's half of
 *   a Cisco ASA's pair, then post counters where an exporter sends these alone.  Never a sum of two:
 *   FortiGate repeats 1/2 in 23/24, and the responder's half (232/299) is traffic of the other
 *   direction.
 * - Ports: 182/183 (TCP) and 180/181 (UDP) can stand side by side, the one that does not apply zero.
 * - tcp_flags of 2 bytes have the data offset (reserved) in the top 4 bits: RFC 7125.
 * - ICMP: 32 and 139 hold type * 256 + code.
 */
static const BsElementRule rules[] = {
	FORM(152, TIME_FLOW_START, MILLISECONDS, NONE),
	FORM(154, TIME_FLOW_START, NTP, IF_NULL),
	FORM(156, TIME_FLOW_START, NTP, IF_NULL),
	FORM(150, TIME_FLOW_START, SECONDS, IF_NULL),
	FORM(158, TIME_FLOW_START, BEFORE_EXPORT, IF_NULL),
	FORM(22, TIME_FLOW_START, UPTIME, IF_NULL),

	FORM(153, TIME_FLOW_END, MILLISECONDS, NONE),
	FORM(155, TIME_FLOW_END, NTP, IF_NULL),
	FORM(157, TIME_FLOW_END, NTP, IF_NULL),
	FORM(151, TIME_FLOW_END, SECONDS, IF_NULL),
	FORM(159, TIME_FLOW_END, BEFORE_EXPORT, IF_NULL),
	FORM(21, TIME_FLOW_END, UPTIME, IF_NULL),
	FORM(323, TIME_FLOW_END, MILLISECONDS, IF_NULL),
	FORM(324, TIME_FLOW_END, NTP, IF_NULL),
	FORM(325, TIME_FLOW_END, NTP, IF_NULL),
	FORM(322, TIME_FLOW_END, SECONDS, IF_NULL),

	UINT(61, FLOW_DIRECTION),

	UINT(1, BYTES),
	UINT(85, BYTES),
	UINT(231, BYTES),
	UINT(23, BYTES),

	UINT(2, PACKETS),
	UINT(86, PACKETS),
	UINT(298, PACKETS),
	UINT(24, PACKETS),

	FORM(8, SRC_ADDR, ADDRESS4, NONE),
	FORM(27, SRC_ADDR, ADDRESS6, FAMILY),
	FORM(12, DST_ADDR, ADDRESS4, NONE),
	FORM(28, DST_ADDR, ADDRESS6, FAMILY),
	FORM(9, SRC_MASK, UINT, NONE),
	FORM(29, SRC_MASK, UINT, FAMILY),
	FORM(13, DST_MASK, UINT, NONE),
	FORM(30, DST_MASK, UINT, FAMILY),

	UINT(7, SRC_PORT),
	UINT(182, SRC_PORT),
	BITS(180, SRC_PORT, BS_MERGE_IF_ZERO, 0, 0),
	UINT(11, DST_PORT),
	UINT(183, DST_PORT),
	BITS(181, DST_PORT, BS_MERGE_IF_ZERO, 0, 0),

	UINT(4, PROTO),
	BITS(6, TCP_FLAGS, BS_MERGE_NONE, 0, 0x0FFF),
	UINT(5, IP_TOS),
	UINT(192, IP_TTL),
	UINT(52, IP_TTL),

	BITS(176, ICMP_TYPE, BS_MERGE_NONE, 0, 0xFF),
	BITS(178, ICMP_TYPE, BS_MERGE_IF_ZERO, 0, 0xFF),
	BITS(32, ICMP_TYPE, BS_MERGE_IF_ZERO, 8, 0xFF),
	BITS(139, ICMP_TYPE, BS_MERGE_IF_ZERO, 8, 0xFF),
	BITS(177, ICMP_CODE, BS_MERGE_NONE, 0, 0xFF),
	BITS(179, ICMP_CODE, BS_MERGE_IF_ZERO, 0, 0xFF),
	BITS(32, ICMP_CODE, BS_MERGE_IF_ZERO, 0, 0xFF),
	BITS(139, ICMP_CODE, BS_MERGE_IF_ZERO, 0, 0xFF),

	UINT(16, SRC_AS),
	UINT(17, DST_AS),
	FORM(15, NEXT_HOP, ADDRESS4, NONE),
	FORM(62, NEXT_HOP, ADDRESS6, FAMILY),
	FORM(18, BGP_NEXT_HOP, ADDRESS4, NONE),
	FORM(63, BGP_NEXT_HOP, ADDRESS6, FAMILY),

	UINT(10, IN_IF),
	UINT(252, IN_IF),
	UINT(14, OUT_IF),
	UINT(253, OUT_IF),

	FORM(56, SRC_MAC, MAC, NONE),
	FORM(81, SRC_MAC, MAC, NONE),
	FORM(80, DST_MAC, MAC, NONE),
	FORM(57, DST_MAC, MAC, NONE),
	UINT(58, SRC_VLAN),
	UINT(243, SRC_VLAN),
	UINT(59, DST_VLAN),

	UINT(234, IN_VRF),
	UINT(235, OUT_VRF),
	FORM(89, FORWARDING_STATUS, FORWARDING, NONE),
	BITS(31, IPV6_FLOW_LABEL, BS_MERGE_NONE, 0, 0xFFFFF),
	FORM(70, MPLS_LABEL, MPLS, NONE),
	UINT(54, FRAGMENT_ID),
	UINT(88, FRAGMENT_OFFSET),
	UINT(95, APP_ID),
};

/* clang-format on */

#define NRULES ((uint32_t) (sizeof(rules) / sizeof(rules[0])))

const BsElementRule *
bs_element_rules(BsFlowColumn column, uint32_t *nrules)
{
	uint32_t first = 0;

	while (first < NRULES && rules[first].column != column)
		first++;
	*nrules = 0;
	while (first + *nrules < NRULES && rules[first + *nrules].column == column)
		(*nrules)++;
	return *nrules > 0 ? &rules[first] : NULL;
}

bool
bs_form_accepts(BsForm form, uint32_t width)
{
	switch (form)
	{
		case BS_FORM_MAC:
			return width == 6;
		case BS_FORM_ADDRESS4:
			return width == 4;
		case BS_FORM_ADDRESS6:
			return width == 16;
		case BS_FORM_MPLS:
			return width == 3 || width == 4;
		case BS_FORM_NTP:
			return width == 8;
		default:
			return width >= 1 && width <= 8;
	}
}

uint64_t
bs_column_limit(BsFlowColumn column)
{
	switch (bs_flow_column_types[column])
	{
		case BS_INT2:
			return INT16_MAX;
		case BS_INT4:
			return INT32_MAX;
		default:
			return INT64_MAX;
	}
}
