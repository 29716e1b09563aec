/* SPDX-License-Identifier: PostgreSQL */
/* flow.c: names and types of the columns of backstream.flow.  See flow.h. */
#include "flow.h"

const char *const bs_flow_column_names[BS_FLOW_NCOLUMNS] = {
#define BS_FLOW_NAME(symbol, name, type) name,
	BS_FLOW_COLUMNS(BS_FLOW_NAME)
#undef BS_FLOW_NAME
};

const BsType bs_flow_column_types[BS_FLOW_NCOLUMNS] = {
#define BS_FLOW_TYPE_OF(symbol, name, type) type,
	BS_FLOW_COLUMNS(BS_FLOW_TYPE_OF)
#undef BS_FLOW_TYPE_OF
};
