/* SPDX-License-Identifier: PostgreSQL */
/*
 * prefixmap.h: a longest-prefix map: from an address to the labels of the longest prefix that holds it.
 *
 * A map is made once from any number of prefixes (prefixbuild.c) and never changes after that.  It lies
 * in blocks of an arena, at most 1 MB each, and refers to its parts by offsets: shared memory may be
 * mapped anywhere.  IPv4 and IPv6 are two tries that share one numbering of prefixes; an IPv4 address is
 * never looked up as an IPv6 one (::ffff:a.b.c.d) or the other way round, unless the map has aliases.
 *
 * The trie is a poptrie (Asai and Ohara, "Poptrie: A Compressed Trie with Population Count for Fast and
 * Scalable Software IP Routing Table Lookup", SIGCOMM 2015) with two differences: a node decides 5 bits
 * and not 6, so that it takes 16 bytes and four share a cache line; and the table at the top, direct[],
 * has as many bits as suits the number of prefixes (4 to 19), so that small maps are small.
 *
 *   direct[2^n]   number of a node, or LEAF and the number of a prefix (0: none)
 *   node          inner   bit i: slot i goes on in the node nodes + (number of such bits below i)
 *                 starts  bit i: at slot i, not an inner one, begins a run of slots of one prefix
 *                 leaves  number of the first run's entry in leaves[]
 *   leaves[]      numbers of prefixes, one for each run
 *   bits[]        length of each prefix; its address is the one looked up, cut to that length
 *   labels[c][]   by prefix: where in the heap its label of column c is, in units of 4 bytes; 0: NULL
 *   heap          labels, each different one once: length (4 bytes), the number (8 bytes, in columns of
 *                 BS_LABEL_BIGINT only), the text; none lies across two blocks
 *
 * A million IPv4 prefixes of the Internet's mix of lengths take about 20 MB with one label column; a
 * look-up is one read of direct[], one to three of nodes, one of leaves.
 *
 * Whoever looks up keeps the map from being released meanwhile; that is not done here.
 */
#ifndef BS_PREFIXMAP_H
#define BS_PREFIXMAP_H

#include "arena.h"

#define BS_PREFIX_MAX_LABELS      8
#define BS_PREFIX_NAME_BYTES      64
#define BS_PREFIX_MAX_LABEL_BYTES 8192

typedef enum BsPrefixStatus
{
	BS_PREFIX_OK = 0,
	BS_PREFIX_NO_MEMORY, /* the builder's bound, or malloc */
	BS_PREFIX_NO_ROOM,   /* in the arena */
	BS_PREFIX_TOO_MANY,  /* prefixes, or bytes of labels, for numbers of 32 bits */
	BS_PREFIX_LABEL_TOO_LONG
} BsPrefixStatus;

typedef enum BsLabelKind
{
	BS_LABEL_TEXT = 1,
	BS_LABEL_BIGINT /* a number, and its text */
} BsLabelKind;

typedef struct BsLabelColumn
{
	char name[BS_PREFIX_NAME_BYTES];
	BsLabelKind kind;
} BsLabelColumn;

typedef struct BsLabel
{
	bool is_null;
	int64_t number; /* BS_LABEL_BIGINT */
	BsBytes text;
} BsLabel;

/*
 * Where IPv4 addresses lie among those of IPv6: with such an alias a map looks up an IPv6 address as the
 * IPv4 address in it.
 */
typedef enum BsPrefixAlias
{
	BS_ALIAS_COMPATIBLE = 1, /* ::a.b.c.d (RFC 4291, 2.5.5.1) */
	BS_ALIAS_MAPPED = 2,     /* ::ffff:a.b.c.d (RFC 4291, 2.5.5.2) */
	BS_ALIAS_TEREDO = 4,     /* 2001:0:AABB:CCDD:..., its server (RFC 4380) */
	BS_ALIAS_6TO4 = 8        /* 2002:AABB:CCDD:... (RFC 3056) */
} BsPrefixAlias;

typedef struct BsPrefixMap BsPrefixMap;

/* What is known of a map as a whole. */
typedef struct BsPrefixMapInfo
{
	uint64_t prefixes;   /* different ones */
	uint64_t prefixes4;  /* of them IPv4 */
	uint64_t duplicates; /* left out: the same prefix came with labels that sort before */
	uint64_t bytes;      /* taken from the arena */
	uint64_t nodes;
	uint64_t leaves;
} BsPrefixMapInfo;

/* ---- building -------------------------------------------------------------------------------- */

typedef struct BsPrefixBuilder BsPrefixBuilder;

/*
 * Begin a map with these label columns (at most BS_PREFIX_MAX_LABELS, 0 is fine), in private memory of
 * at most max_bytes.  NULL when memory is out.
 */
extern BsPrefixBuilder *bs_prefix_builder_create(uint32_t ncolumns, const BsLabelColumn *columns,
												 size_t max_bytes);
extern void bs_prefix_builder_free(BsPrefixBuilder *builder);

/*
 * Add a prefix with its labels ([ncolumns]).  Bits of the address behind its length do not count.  Of
 * equal prefixes the one whose labels sort first is taken, whatever their order: column by column,
 * texts by their bytes, numbers by value, NULL last.
 */
extern BsPrefixStatus bs_prefix_builder_add(BsPrefixBuilder *builder, const BsInet *prefix,
											const BsLabel *labels);

/* The map is to have these aliases (BsPrefixAlias, or-ed). */
extern void bs_prefix_builder_set_aliases(BsPrefixBuilder *builder, uint32_t aliases);

/* Make the map: *map becomes its offset in the arena.  Nothing is left there on failure.  Once per builder. */
extern BsPrefixStatus bs_prefix_builder_finish(BsPrefixBuilder *builder, BsArena *arena,
											   uint64_t *map);

/* A text for people. */
extern const char *bs_prefix_status_message(BsPrefixStatus status);

/* Give a map's memory back. */
extern void bs_prefixmap_release(BsArena *arena, uint64_t map);

/* ---- looking up ------------------------------------------------------------------------------ */

extern BsPrefixMapInfo bs_prefixmap_info(const BsPrefixMap *map);

/* The number of a label column, or -1.  An empty name is the first column. */
extern int bs_prefixmap_column(const BsPrefixMap *map, const char *name);
extern BsLabelKind bs_prefixmap_kind(const BsPrefixMap *map, int column);

/*
 * The number of the longest prefix that holds the address, or 0.  The address's own netmask does not
 * count.  Any bytes do no harm: a family other than 4 is 6.
 */
extern uint32_t bs_prefixmap_find(BsArena *arena, const BsPrefixMap *map, const BsInet *address);

/* The same for some of many addresses: found[row] for each of rows[nrows]. */
extern void bs_prefixmap_find_rows(BsArena *arena, const BsPrefixMap *map, const BsInet *addresses,
								   uint32_t nrows, const uint16_t *rows, uint32_t *found);

/*
 * The label of a prefix (not 0) in a column: false when it is NULL.  The text stays in the map's memory.
 * number is set only in a column of BS_LABEL_BIGINT.
 */
extern bool bs_prefixmap_label(BsArena *arena, const BsPrefixMap *map, uint32_t prefix, int column,
							   BsBytes *text, int64_t *number);

/*
 * The same for many: of the prefixes found[row] for each of rows[nrows], into texts[row] or, where texts
 * is NULL, into numbers[row].  A row without a prefix (0) or whose label is NULL gets zeros and a 1 in
 * nulls[row]; a 1 that is there stays.
 */
extern void bs_prefixmap_label_rows(BsArena *arena, const BsPrefixMap *map, int column,
									uint32_t nrows, const uint16_t *rows, const uint32_t *found,
									BsBytes *texts, int64_t *numbers, uint8_t *nulls);

/* The prefix (not 0) that was found for an address. */
extern BsInet bs_prefixmap_network(BsArena *arena, const BsPrefixMap *map, uint32_t prefix,
								   const BsInet *address);

/* ---- for expressions ------------------------------------------------------------------------- */

/*
 * What BS_OP_PREFIX_... look up in.  Whoever evaluates sets map before, and keeps it from being released
 * until the results are used; NULL: there is no such map, and each row is in error.
 */
typedef struct BsPrefixHandle
{
	BsArena *arena;
	const BsPrefixMap *map;
	char label[BS_PREFIX_NAME_BYTES]; /* empty: the first column */
} BsPrefixHandle;

#endif
