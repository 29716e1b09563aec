/* SPDX-License-Identifier: PostgreSQL */
/*
 * flow.h: the columns of the stream backstream.flow, one row per column.
 *
 * The order is that of the foreign table in sql/; names follow GoFlow2.  What a record does not carry
 * is NULL.  Adding a column: a row here, a line in the install script, and a rule in elements.c that
 * fills it.
 */
#ifndef BS_FLOW_H
#define BS_FLOW_H

#include "../src/engine/types.h"

/* X(symbol, SQL name, engine type) */
#define BS_FLOW_COLUMNS(X)                               \
	X(TIME_RECEIVED, "time_received", BS_TIMESTAMPTZ)     \
	X(TIME_EXPORT, "time_export", BS_TIMESTAMPTZ)         \
	X(TIME_FLOW_START, "time_flow_start", BS_TIMESTAMPTZ) \
	X(TIME_FLOW_END, "time_flow_end", BS_TIMESTAMPTZ)     \
	X(TIME_EVENT, "time_event", BS_TIMESTAMPTZ)           \
	X(EXPORTER, "exporter", BS_INET)                      \
	X(OBS_DOMAIN, "obs_domain", BS_INT8)                  \
	X(FLOW_TYPE, "flow_type", BS_BYTES)                   \
	X(SAMPLING_RATE, "sampling_rate", BS_INT8)            \
	X(FLOW_DIRECTION, "flow_direction", BS_INT2)          \
	X(BYTES, "bytes", BS_INT8)                            \
	X(PACKETS, "packets", BS_INT8)                        \
	X(SRC_ADDR, "src_addr", BS_INET)                      \
	X(DST_ADDR, "dst_addr", BS_INET)                      \
	X(SRC_MASK, "src_mask", BS_INT2)                      \
	X(DST_MASK, "dst_mask", BS_INT2)                      \
	X(SRC_PORT, "src_port", BS_INT4)                      \
	X(DST_PORT, "dst_port", BS_INT4)                      \
	X(PROTO, "proto", BS_INT2)                            \
	X(TCP_FLAGS, "tcp_flags", BS_INT4)                    \
	X(IP_TOS, "ip_tos", BS_INT2)                          \
	X(IP_TTL, "ip_ttl", BS_INT2)                          \
	X(ICMP_TYPE, "icmp_type", BS_INT2)                    \
	X(ICMP_CODE, "icmp_code", BS_INT2)                    \
	X(SRC_AS, "src_as", BS_INT8)                          \
	X(DST_AS, "dst_as", BS_INT8)                          \
	X(NEXT_HOP, "next_hop", BS_INET)                      \
	X(BGP_NEXT_HOP, "bgp_next_hop", BS_INET)              \
	X(IN_IF, "in_if", BS_INT8)                            \
	X(OUT_IF, "out_if", BS_INT8)                          \
	X(SRC_MAC, "src_mac", BS_MACADDR)                     \
	X(DST_MAC, "dst_mac", BS_MACADDR)                     \
	X(SRC_VLAN, "src_vlan", BS_INT4)                      \
	X(DST_VLAN, "dst_vlan", BS_INT4)                      \
	X(IN_VRF, "in_vrf", BS_INT8)                          \
	X(OUT_VRF, "out_vrf", BS_INT8)                        \
	X(FORWARDING_STATUS, "forwarding_status", BS_INT2)    \
	X(IPV6_FLOW_LABEL, "ipv6_flow_label", BS_INT4)        \
	X(MPLS_LABEL, "mpls_label", BS_INT4)                  \
	X(FRAGMENT_ID, "fragment_id", BS_INT8)                \
	X(FRAGMENT_OFFSET, "fragment_offset", BS_INT4)        \
	X(APP_ID, "app_id", BS_INT8)

typedef enum BsFlowColumn
{
#define BS_FLOW_SYMBOL(symbol, name, type) BS_FLOW_##symbol,
	BS_FLOW_COLUMNS(BS_FLOW_SYMBOL)
#undef BS_FLOW_SYMBOL
		BS_FLOW_NCOLUMNS
} BsFlowColumn;

extern const char *const bs_flow_column_names[BS_FLOW_NCOLUMNS];
extern const BsType bs_flow_column_types[BS_FLOW_NCOLUMNS];

#endif
