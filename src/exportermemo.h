/* SPDX-License-Identifier: PostgreSQL */
/*
 * exportermemo.h: what receivers know of exporters (receiver/memo.h), kept over their ends and the server's.
 *
 * Each receiver leaves it in shared memory when it has changed, in the arena of windows, and when it ends; the keeper
 * writes all of it to a file with the windows (checkpoint.h), and at start leaves there what it has read.  Receivers
 * that start take all of it: which exporters they will hear nobody knows.
 */
#ifndef BS_EXPORTERMEMO_H
#define BS_EXPORTERMEMO_H

#include "../receiver/memo.h"
#include "registry.h"

/*
 * Leave bytes in the place of what was there; false when there is no room, or wait is false and somebody reads.
 * Raises nothing.
 */
extern bool bs_exporter_memo_put(BsSharedMemo *shared, const uint8_t *data, size_t len, bool wait);

/* All that receivers have left, and what was read at start; NULL when memory is out.  Raises nothing. */
extern BsMemo *bs_exporter_memo_collect(void);

/* What all of it takes of the arena, in bytes. */
extern uint64 bs_exporter_memo_bytes(void);

/* A number that changes when anything has been left. */
extern uint64 bs_exporter_memo_number(void);

/* A receiver's: leave what a decoder knows, if that has changed and some time has passed; or now. */
extern void bs_exporter_memo_share(BsSharedMemo *shared, const BsDecoder *decoder, bool now);

#endif
