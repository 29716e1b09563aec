/* SPDX-License-Identifier: PostgreSQL */
/* nodeimport.h: IMPORT FOREIGN SCHEMA, for fdw.c. */
#ifndef BS_NODEIMPORT_H
#define BS_NODEIMPORT_H

#include "postgres.h"

#include "nodes/parsenodes.h"

/* The statements that make the tables: a list of texts. */
extern List *bs_import_schema(ImportForeignSchemaStmt *statement, Oid server);

#endif
