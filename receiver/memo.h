/* SPDX-License-Identifier: PostgreSQL */
/*
 * memo.h: what a decoder knows of exporters, for a decoder after it: templates, sampling, sequence.
 *
 * As bytes, little-endian: "BSTM", version, and an entry for each observation domain, with its length first.
 * docs/formats.md has them.  Reading checks every length and number.
 *
 * A decoder that is given a memo looks there when it first hears of a domain.  Templates it finds are
 * *unconfirmed* until the exporter sends them: they decode, and are replaced without a word by what it sends.
 * Meanwhile the exporter may have been started again, and use the same ids for other templates.  Where
 * its sequence (or, v9, the time of its start) does not go on from where it was, they are not believed.
 *
 * Memory: malloc'ed.  A memo holds at most BS_MEMO_MAX_BYTES.
 */
#ifndef BS_MEMO_H
#define BS_MEMO_H

#include "decode.h"

#define BS_MEMO_MAX_BYTES ((size_t) 64 << 20)
/* An exporter that has been silent for longer is forgotten when memos are put together. */
#define BS_MEMO_KEEP_USEC (INT64_C(24) * 3600 * 1000000)

typedef struct BsMemo BsMemo;

extern BsMemo *bs_memo_create(void);
extern void bs_memo_free(BsMemo *memo);

/*
 * Add the entries of packed bytes, which are copied, unless the memo has one of the domain already, or it was last
 * heard before heard_after.  False: these are no such bytes (what stands before the fault has been added), or
 * memory is out.
 */
extern bool bs_memo_add(BsMemo *memo, const uint8_t *data, size_t len, int64_t heard_after);

/* The whole memo as bytes, to be freed; false when memory is out. */
extern bool bs_memo_pack(const BsMemo *memo, uint8_t **data, size_t *len);

/* What a decoder knows as bytes, to be freed; false when memory is out. */
extern bool bs_decoder_pack(const BsDecoder *decoder, uint8_t **data, size_t *len);

/* A number that changes when templates, rates or domains do. */
extern uint64_t bs_decoder_changes(const BsDecoder *decoder);

/* Use a memo from now on, and free it with the decoder. */
extern void bs_decoder_remember(BsDecoder *decoder, BsMemo *memo);

#endif
