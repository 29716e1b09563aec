/* SPDX-License-Identifier: PostgreSQL */
/*
 * copy.h: the compiled form of a template: operations that copy fields of records into columns.
 *
 * bs_copy_compile() turns fields and wanted columns into a plan; bs_copy_run() runs the plan over
 * the records of a data set, operation outside and record inside, so that each inner loop has one
 * shape of load and one shape of store.  A template without variable-length fields has its records
 * at a fixed stride.  One with such fields is walked once per record to find its anchors, the
 * places behind each variable-length field; all else is then at a fixed distance from an anchor:
 *
 *     | fixed fields | len, bytes | fixed fields | len, bytes | fixed fields |
 *     ^ anchor 0                  ^ anchor 1                  ^ anchor 2
 *
 * A plan holds column numbers, never pointers, and is malloc'ed when compiled: never per datagram.
 */
#ifndef BS_COPY_H
#define BS_COPY_H

#include "../src/engine/batch.h"
#include "elements.h"

#define BS_MAX_COPY_OPS  128 /* at most two for a column and some, see compile.c */
#define BS_COPY_ROWS     256 /* records per run */
#define BS_VARIABLE_ROWS 32  /* records per run where they have variable-length fields */
#define BS_MAX_ANCHORS   64  /* variable-length fields in front of a field that is wanted */

struct BsField;
struct BsSampling;

/* Where a field lies in a record. */
typedef struct BsFieldRef
{
	uint16_t anchor;
	uint16_t width;  /* 0: the field is absent; BS_FIELD_VARIABLE: at its length prefix */
	uint32_t offset; /* from the anchor */
} BsFieldRef;

typedef enum BsCopyKind
{
	BS_COPY_NULLS = 1,
	BS_COPY_CONSTANT, /* one value for the datagram: times of arrival and export, domain, exporter,
						 ... */
	BS_COPY_U8,
	BS_COPY_U16,
	BS_COPY_U32,
	BS_COPY_U64,      /* NULL above INT64_MAX */
	BS_COPY_UPTIME32, /* the usual stamps of v5 and v9 */
	BS_COPY_MILLISECONDS64,
	BS_COPY_VALUE, /* any other scalar, by its form */
	BS_COPY_ADDRESS4,
	BS_COPY_ADDRESS6,
	BS_COPY_ADDRESS, /* of variable length, so perhaps not there */
	BS_COPY_FAMILY,  /* no column: the family of each record, for the two below */
	BS_COPY_ADDRESS_PICK,
	BS_COPY_MASK_PICK,
	BS_COPY_ICMP, /* type or code from the destination port; NULL where the protocol is not ICMP */
	BS_COPY_SAMPLING,
	BS_COPY_NAT_EVENT, /* NULL where the record is about a NAT event */
	BS_COPY_EVENT_TIME,
	BS_COPY_LONGEST, /* a start earlier than the longest credible flow allows */
	BS_COPY_UNTIMED  /* no column: count the records without an end */
} BsCopyKind;

typedef struct BsCopyOp
{
	uint8_t kind;
	uint8_t column; /* BsFlowColumn */
	uint8_t form;
	uint8_t fill; /* BsMerge: only rows that are NULL, or NULL or zero */
	uint8_t shift;
	uint32_t mask;
	uint64_t limit;
	BsFieldRef ref;
	BsFieldRef other; /* the IPv6 field of a pick; systemInitTime of a stamp */
} BsCopyOp;

/* Fields that say something of the sampling of a record. */
typedef enum BsSamplingField
{
	BS_SAMPLING_INTERVAL, /* 34 */
	BS_SAMPLER_INTERVAL,  /* 50 */
	BS_PACKET_INTERVAL,   /* 305 */
	BS_PACKET_SPACE,      /* 306 */
	BS_SAMPLE_SIZE,       /* 309 */
	BS_SAMPLE_POPULATION, /* 310 */
	BS_SAMPLER_ID,        /* 48 */
	BS_SELECTOR_ID,       /* 302 */
	BS_SAMPLED_INTERFACE, /* 10 */
	BS_NSAMPLING_FIELDS
} BsSamplingField;

typedef struct BsCopyPlan
{
	uint64_t generation; /* of the wanted columns; 0: not compiled */
	uint32_t nops;
	bool totals_used;  /* bytes or packets come from total counters (item 19) */
	bool uses_scratch; /* some column is needed and not wanted */
	bool has_sampling; /* records can tell their sampling rate */
	bool has_end;      /* some field can tell when the flow ended */
	bool six_first;    /* the IPv6 address stands before the IPv4 one */
	BsFieldRef src4, src6, dst4, dst6, ip_version; /* for BS_COPY_FAMILY */
	BsFieldRef sampling[BS_NSAMPLING_FIELDS];
	BsCopyOp *ops;
} BsCopyPlan;

/* Which columns have memory, and under which number plans are compiled for them. */
typedef struct BsWanted
{
	uint64_t generation; /* never 0 */
	bool longest_flow;   /* BS_COPY_LONGEST is needed */
	bool columns[BS_FLOW_NCOLUMNS];
} BsWanted;

/* What the columns of a record need beside its own bytes; one per datagram. */
typedef struct BsCopyContext
{
	int64_t received_usec;
	int64_t export_usec;
	bool export_known; /* false: the header's stamp is zero */
	bool uptime_known;
	uint32_t uptime_msec;  /* at uptime_usec; IPFIX: reckoned from systemInitTime */
	int64_t uptime_usec;   /* the export time, as a rule */
	bool uptime_in_header; /* v5, v9 */
	int64_t obs_domain;
	const BsInet *exporter;
	BsBytes flow_type;
	uint16_t template_id;
	int64_t longest_flow_usec;         /* 0: no limit */
	const struct BsSampling *sampling; /* what is known of the sampling of this domain */
	int64_t sampling_rate; /* out: that of the last record, if records can tell; 0 unknown */
	uint64_t untimed;      /* out: records without an end */
} BsCopyContext;

/* Records whose bounds were checked: at a stride, or by anchors. */
typedef struct BsRows
{
	const uint8_t *base;
	size_t stride;
	const uint8_t *const *anchors; /* [anchor * BS_VARIABLE_ROWS + row]; NULL: at a stride */
	uint32_t nrows;                /* at most BS_COPY_ROWS, or BS_VARIABLE_ROWS */
} BsRows;

#define BS_NSCRATCH 3 /* PROTO, DST_PORT, TIME_FLOW_END */

/* Columns that are needed for others but not wanted themselves; one per decoder. */
typedef struct BsCopyScratch
{
	int64_t values[BS_NSCRATCH][BS_COPY_ROWS];
	uint8_t nulls[BS_NSCRATCH][BS_COPY_ROWS];
	bool has_nulls;               /* nobody reads it */
	uint8_t family[BS_COPY_ROWS]; /* 4 or 6 */
} BsCopyScratch;

/*
 * Compile the copy list of fields for the wanted columns.  False when memory is out; the plan is
 * then empty and must not be run.
 */
extern bool bs_copy_compile(BsCopyPlan *plan, const struct BsField *fields, uint32_t nfields,
							const BsWanted *wanted);
extern void bs_copy_plan_free(BsCopyPlan *plan);

/*
 * IPFIX: the uptime at export, from systemInitTime (milliseconds since 1970; 0: not known).  An
 * exporter that claims to have started after it exported has no such uptime: stamps then count from
 * its start.
 */
extern void bs_copy_set_init_time(BsCopyContext *context, uint64_t init_msec);

/* Copy rows into the batch from first_row on; the batch has room.  Writes every wanted column. */
extern void bs_copy_run(const BsCopyPlan *plan, const BsRows *rows, BsCopyContext *context,
						BsCopyScratch *scratch, BsBatch *batch, uint32_t first_row);

#endif
