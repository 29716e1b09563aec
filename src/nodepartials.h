/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodepartials.h: what node and reader must agree on: the rows of backstream.node_windows() and partials().
 *
 * A message of partials() is
 *
 *     0      1           5
 *     | kind | range     | a message of engine/pack.h
 *       1      4, little-endian: which of the ranges asked for, from 0
 *
 * For each range comes WINDOW, perhaps LACKS (a byte per column of the scan tuple: 1 if some of it was counted before
 * the definition had that), and then ROWS as often as it takes; or GONE, at once or after some of it: a part of it has
 * been dropped, and it is to be forgotten.  The last one is END, whose packed message counts the others.
 */
#ifndef BS_NODEPARTIALS_H
#define BS_NODEPARTIALS_H

typedef enum BsPartialsKind
{
	BS_PARTIALS_WINDOW = 'w',
	BS_PARTIALS_LACKS = 'l',
	BS_PARTIALS_ROWS = 'r',
	BS_PARTIALS_GONE = 'g',
	BS_PARTIALS_END = 'e'
} BsPartialsKind;

#define BS_PARTIALS_HEADER_BYTES 5

/*
 * Columns of node_windows(): first those of a window, NULL in the first rows; then, in the first row alone, since,
 * closed_before, dropped_before, watermark, down_since, up_since, idle and state.  All but the last are bigint.  In the first
 * row down_since is 0; a row without state follows for each time that the server was down.
 */
#define BS_NODE_WINDOW_COLUMNS 14
#define BS_NODE_EXTENT_COLUMNS 8

#endif
