/* SPDX-License-Identifier: PostgreSQL */
/*
 * elements.h: which information elements fill which column, and how their bytes become its value.
 *
 * One table for NetFlow v5 (whose fixed record is described with the same numbers), v9 (RFC 3954
 * section 8 and Cisco's later types) and IPFIX (the IANA registry): the numbers mean the same in all
 * three.  The rows of one column stand together, the preferred element first.  Enterprise elements
 * have no row and are skipped by length.
 *
 * Constant data; no memory, no state.
 */
#ifndef BS_ELEMENTS_H
#define BS_ELEMENTS_H

#include "flow.h"

/* How bytes become a value. */
typedef enum BsForm
{
	BS_FORM_UINT,       /* unsigned integer: (value >> shift) & mask; NULL when the column cannot hold it */
	BS_FORM_FORWARDING, /* forwardingStatus of 1 or 4 bytes: RFC 7270 section 4.12 */
	BS_FORM_MPLS,       /* label stack entry of 3 bytes (or 4): its 20 bits of label */
	BS_FORM_MAC,
	BS_FORM_ADDRESS4,
	BS_FORM_ADDRESS6,
	BS_FORM_UPTIME,        /* milliseconds since the exporter started */
	BS_FORM_SECONDS,       /* since 1970 */
	BS_FORM_MILLISECONDS,  /* since 1970 */
	BS_FORM_NTP,           /* 64 bits, seconds since 1900 and their fraction: RFC 7011 section 6.1.9 */
	BS_FORM_BEFORE_EXPORT  /* microseconds before the export time */
} BsForm;

/* What a row does when an earlier row of its column is in the template too. */
typedef enum BsMerge
{
	BS_MERGE_NONE,    /* nothing */
	BS_MERGE_IF_NULL, /* fills where the value is NULL: a stamp that is not usable */
	BS_MERGE_IF_ZERO, /* fills where the value is NULL or zero: exporters that send both and use one */
	BS_MERGE_FAMILY   /* the other address family: chosen for each record (item 22) */
} BsMerge;

typedef struct BsElementRule
{
	uint16_t element;
	uint8_t column; /* BsFlowColumn */
	uint8_t form;   /* BsForm */
	uint8_t merge;  /* BsMerge */
	uint8_t shift;
	uint32_t mask;  /* 0: all bits */
} BsElementRule;

/* Elements that mean something beyond a column. */
enum
{
	BS_IE_INGRESS_INTERFACE = 10,
	BS_IE_SAMPLING_INTERVAL = 34,
	BS_IE_SAMPLER_ID = 48,
	BS_IE_SAMPLER_INTERVAL = 50, /* samplerRandomInterval */
	BS_IE_IP_VERSION = 60,
	BS_IE_TEMPLATE_ID = 145,
	BS_IE_OBSERVATION_DOMAIN = 149,
	BS_IE_SYSTEM_INIT_TIME = 160,
	BS_IE_PADDING = 210,
	BS_IE_NAT_EVENT = 230,
	BS_IE_SELECTOR_ID = 302,
	BS_IE_SAMPLING_PACKET_INTERVAL = 305,
	BS_IE_SAMPLING_PACKET_SPACE = 306,
	BS_IE_SAMPLING_SIZE = 309,
	BS_IE_SAMPLING_POPULATION = 310,
	BS_MAX_ELEMENT = 400 /* above all elements that are read */
};

/* The rows of a column, preferred first; *nrules may be 0. */
extern const BsElementRule *bs_element_rules(BsFlowColumn column, uint32_t *nrules);

/* Whether bytes of this width can be read in this form at all. */
extern bool bs_form_accepts(BsForm form, uint32_t width);

/* The greatest value of an integer column, by its type. */
extern uint64_t bs_column_limit(BsFlowColumn column);

#endif
