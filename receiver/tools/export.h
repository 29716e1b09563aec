/* SPDX-License-Identifier: PostgreSQL */
/*
 * export.h: writing export datagrams: NetFlow v5, NetFlow v9 (RFC 3954) and IPFIX (RFC 7011).
 *
 * The tools' counterpart of the decoder, and deliberately not built on it: what one misreads the
 * other must not miswrite in the same way.  Which file of this folder does what:
 *
 *   export.h/.c        fields, templates and record images, common to all versions
 *   export_v5.c, export_v9.c, export_ipfix.c   headers, sets and templates of one version each
 *   population.h/.c    the flows, and which one comes next: key distributions, always shuffled
 *   totals.h/.c        what was sent, summed per window, exporter and flow
 *   generate.h/.c      datagram after datagram with those parts; no I/O, no clock
 *   report.h/.c        totals as JSON, flows as tab-separated values
 *   sender.h/.c        the sending socket
 *   pcap_write.h/.c    datagrams into a capture file
 *   pcap_payload.h/.c  UDP payloads of captured frames
 *   options.h/.c       command line options by table
 *   bs-generate.c      the command that sends
 *   bs-replay.c        the command that replays captures
 *
 * A record image is an encoded record without its counters and stamps; it is made once per flow. To
 * send the flow the image is copied and these four are patched, at places its layout knows.
 */
#ifndef BS_EXPORT_H
#define BS_EXPORT_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BS_EXPORT_MAX_FIELDS 32
/* No record is longer; an image has this much memory, so that it can be copied in a constant size.
 */
#define BS_EXPORT_MAX_RECORD 128
/* Payload of a datagram that fits an Ethernet frame: 30 v5 records. */
#define BS_EXPORT_PAYLOAD  1464
#define BS_EXPORT_MAX_NAME 24

typedef enum BsExportVersion
{
	BS_EXPORT_V5,
	BS_EXPORT_V9,
	BS_EXPORT_IPFIX,
	BS_EXPORT_NVERSIONS
} BsExportVersion;

typedef enum BsTemplateKind
{
	BS_TEMPLATE_WIDE,
	BS_TEMPLATE_NARROW,
	BS_TEMPLATE_VARLEN, /* IPFIX only: fields of variable length, one of an enterprise */
	BS_TEMPLATE_NKINDS
} BsTemplateKind;

/* The values that a field can hold. */
typedef enum BsExportValue
{
	BS_VALUE_ZERO,
	BS_VALUE_BYTES,
	BS_VALUE_PACKETS,
	BS_VALUE_START,
	BS_VALUE_END,
	BS_VALUE_SRC_ADDR,
	BS_VALUE_DST_ADDR,
	BS_VALUE_NEXT_HOP,
	BS_VALUE_SRC_PORT,
	BS_VALUE_DST_PORT,
	BS_VALUE_PROTO,
	BS_VALUE_TCP_FLAGS,
	BS_VALUE_TOS,
	BS_VALUE_SRC_AS,
	BS_VALUE_DST_AS,
	BS_VALUE_SRC_MASK,
	BS_VALUE_DST_MASK,
	BS_VALUE_IN_IF,
	BS_VALUE_OUT_IF,
	BS_VALUE_DIRECTION,
	BS_VALUE_NAME
} BsExportValue;

#define BS_VARLEN 0xffff

typedef struct BsExportField
{
	uint16_t element;   /* IANA number; unused in v5 */
	uint16_t len_bytes; /* BS_VARLEN: variable */
	BsExportValue value;
	uint32_t enterprise; /* 0: IANA */
} BsExportField;

/* What stays the same of a flow from one export to the next. */
typedef struct BsExportFlow
{
	bool is_ipv6;
	uint8_t src_addr[16]; /* network order; IPv4 in the first 4 bytes */
	uint8_t dst_addr[16];
	uint8_t next_hop[16];
	uint32_t src_as;
	uint32_t dst_as;
	uint32_t in_if;
	uint32_t out_if;
	uint16_t src_port;
	uint16_t dst_port;
	uint8_t proto;
	uint8_t tcp_flags;
	uint8_t tos;
	uint8_t src_mask;
	uint8_t dst_mask;
	uint8_t name_len;
	char name[BS_EXPORT_MAX_NAME];
} BsExportFlow;

/* A template, and where in its records the patched values lie (the place of their last bytes). */
typedef struct BsLayout
{
	BsExportField fields[BS_EXPORT_MAX_FIELDS];
	uint16_t nfields;
	uint16_t template_id; /* 0: the version has no templates */
	uint16_t max_len_bytes;
	uint16_t bytes_at;   /* low 4 bytes, big-endian */
	uint16_t packets_at; /* low 4 bytes */
	uint16_t start_at;   /* 4 bytes, or 8 where epoch_stamps */
	uint16_t end_at;
	bool epoch_stamps; /* stamps are milliseconds of the epoch, else of the exporter's uptime */
} BsLayout;

/* What a header says; each version takes what it has room for. */
typedef struct BsExportHeader
{
	int64_t export_msec; /* Unix time of the export */
	int64_t boot_msec;   /* Unix time at which the exporter's uptime was 0; whole seconds */
	uint32_t sequence;
	uint32_t domain;
	uint16_t nrecords;      /* data, options and template records */
	uint32_t sampling_rate; /* 0: not said; v5 only */
} BsExportHeader;

/* One version: a row of bs_export_protocols. */
typedef struct BsExportProtocol
{
	const char *name;      /* of the option --version */
	const char *flow_type; /* as in the column flow_type */
	uint16_t header_len_bytes;
	uint16_t set_header_len_bytes; /* 0: no sets */
	uint16_t max_records;          /* in one datagram, by the protocol; 0: no limit */
	bool has_ipv6;

	/* The template of this kind and family; false: there is none. */
	bool (*layout)(BsTemplateKind kind, bool is_ipv6, BsLayout *layout);

	/*
	 * Write templates, and the sampling rate where it is not 0, as sets at p; returns the end.
	 * noptions gets the number of options data records, nrecords that of all records.
	 */
	uint8_t *(*templates)(uint8_t *p, const BsLayout *layouts, uint32_t nlayouts,
						  uint32_t sampling_rate, uint32_t domain, uint16_t *nrecords,
						  uint16_t *noptions);

	/* Write the header of a datagram of len_bytes in all. */
	void (*header)(uint8_t *datagram, uint32_t len_bytes, const BsExportHeader *header);

	/* How far the sequence moves with one datagram of nrecords data (or options data) records. */
	uint32_t (*sequence_step)(uint32_t nrecords);
} BsExportProtocol;

extern const BsExportProtocol bs_export_v5;
extern const BsExportProtocol bs_export_v9;
extern const BsExportProtocol bs_export_ipfix;
extern const BsExportProtocol *const bs_export_protocols[BS_EXPORT_NVERSIONS];

/*
 * Fill a layout from a list of fields: lengths and the places of the patched values.  An element of
 * variable length must come after these.
 */
extern void bs_layout_init(BsLayout *layout, const BsExportField *fields, uint16_t nfields,
						   uint16_t template_id, bool epoch_stamps);

/* Encode what stays the same; returns the record's length. */
extern uint32_t bs_layout_encode(const BsLayout *layout, const BsExportFlow *flow,
								 uint8_t image[BS_EXPORT_MAX_RECORD]);

/* Write the field specifiers of a template; returns the end.  Enterprise bits as in RFC 7011, 3.2.
 */
extern uint8_t *bs_layout_specifiers(uint8_t *p, const BsLayout *layout);

/* Close the set that began at set and ends at p: pad it to 4 bytes and write its length. */
extern uint8_t *bs_set_close(uint8_t *set, uint8_t *p);

static inline void
bs_put8(uint8_t **p, uint8_t value)
{
	*(*p)++ = value;
}

static inline void
bs_put16(uint8_t **p, uint16_t value)
{
	uint16_t big = htobe16(value);

	memcpy(*p, &big, sizeof(big));
	*p += sizeof(big);
}

static inline void
bs_put32(uint8_t **p, uint32_t value)
{
	uint32_t big = htobe32(value);

	memcpy(*p, &big, sizeof(big));
	*p += sizeof(big);
}

static inline void
bs_put64(uint8_t **p, uint64_t value)
{
	uint64_t big = htobe64(value);

	memcpy(*p, &big, sizeof(big));
	*p += sizeof(big);
}

#endif
