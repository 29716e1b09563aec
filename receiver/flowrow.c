/* SPDX-License-Identifier: PostgreSQL */
/* flowrow.c: one record of backstream.flow into a batch.  See flowrow.h. */
#include "flowrow.h"

#include <string.h>

void
bs_flow_row_put_address(BsFlowRow *row, BsFlowColumn column, const uint8_t *at, uint32_t len_bytes)
{
	BsInet inet = {.family = len_bytes == 4 ? 4 : 6, .bits = len_bytes == 4 ? 32 : 128};

	memcpy(inet.address, at, len_bytes == 4 ? 4 : 16);
	row->present |= UINT64_C(1) << column;
	row->values[column].inet = inet;
}

void
bs_flow_row_store(const BsFlowRow *row, BsBatch *batch, uint32_t number)
{
	/* A NULL has the value zero beside its mark, as everywhere in a batch. */
	static const BsFlowValue zero;

	for (uint32_t i = 0; i < BS_FLOW_NCOLUMNS; i++)
	{
		BsLane *lane = &batch->columns[i];
		bool present = bs_flow_row_has(row, (BsFlowColumn) i);
		size_t width;

		if (!bs_lane_wanted(lane))
			continue;
		width = bs_type_lane_width(lane->type);
		memcpy((uint8_t *) lane->values + number * width, present ? &row->values[i] : &zero, width);
		if (!present)
			bs_lane_set_null(lane, number);
	}
}
