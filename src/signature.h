/* SPDX-License-Identifier: PostgreSQL */
/*
 * signature.h: what a view's definition counts, so that two definitions can be compared.
 *
 * A signature is flat: it lies beside what has been counted by it, in shared memory, and outlives the
 * definition.  It says which records go into which windows and groups, which aggregates are kept of them,
 * and where in a row their states lie.  Output expressions, HAVING and options are no part of it: definitions
 * that differ in those alone count the same, under the same fingerprint.
 *
 * decisions/0006-replace.md says what follows from comparing.
 */
#ifndef BS_SIGNATURE_H
#define BS_SIGNATURE_H

#include "postgres.h"

#include "engine/translate.h"
#include "query.h"

typedef struct BsSignatureColumn
{
	uint64 hash;  /* of an aggregate, or of how a key is shown; 0: nothing that is kept for itself */
	int32 state;  /* number of its state, -1: none (the row's own count) */
	int32 second; /* of its other state, -1 */
	uint32 set;   /* of the program, counted from 1, that its values are in; 0: states alone */
	uint32 in_having; /* 1: HAVING asks for it, which is no part of what is counted */
} BsSignatureColumn;

typedef struct BsSignatureKey
{
	uint64 hash;
	uint16 offset;
	uint16 width;
	uint32 unused;
} BsSignatureKey;

typedef struct BsSignature
{
	Size bytes; /* of all of this */
	uint64 records; /* hash of what chooses records, windows and groups, in whatever order its keys are */
	uint32 windowed;
	uint32 ncolumns;
	uint32 nstates;
	uint32 nkeys;
	BsRowPlaces row;
	/* BsStatePlace[nstates] and BsSignatureKey[nkeys] follow the columns. */
	BsSignatureColumn columns[FLEXIBLE_ARRAY_MEMBER]; /* [ncolumns]: those of the scan tuple, then keys as shown */
} BsSignature;

/*
 * Make the signature of a view that is compiled but for its fingerprint; query is what it was compiled from.
 * palloc'ed.
 */
extern BsSignature *bs_signature_make(const BsViewProgram *view, const Query *query,
									  const BsViewOptions *options);

/* A number for it. */
extern uint64 bs_signature_fingerprint(const BsSignature *signature);

/*
 * Can a view go on from what was counted under the older signature?  When the same records go into the same
 * windows and groups, all older aggregates are still there, and HAVING asks for none that is new.  Cannot fail.
 */
extern bool bs_signature_continues(const BsSignature *older, const BsViewProgram *newer);

/* From older rows to those of a view that continues them.  palloc'ed. */
extern BsTranslation *bs_signature_translation(const BsSignature *older, const BsViewProgram *newer);

/* Set lacks[i] for the columns of the scan tuple that the older signature has not. */
extern void bs_signature_lacks(const BsSignature *older, const BsViewProgram *newer, bool *lacks);

/* By column of the newer signature: 1 where the older one has not got it. */
extern void bs_signature_missing(const BsSignature *older, const BsSignature *newer, uint8 *missing);

/*
 * A signature of the same rows in which these columns are not counted: what was counted under an older one, moved into
 * rows of the newer.  palloc'ed.
 */
extern BsSignature *bs_signature_without(const BsSignature *signature, const uint8 *missing);

#endif
