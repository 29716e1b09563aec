/* SPDX-License-Identifier: PostgreSQL */
/*
 * ddl.h: what happens when continuous views and streams are made, changed or dropped.
 *
 *   ddl.c         the utility hook and its table of statements
 *   viewcreate.c  CREATE VIEW ... WITH (continuous), CREATE FOREIGN TABLE, OR REPLACE
 *   viewalter.c   DROP and ALTER: which of them are ours, and what is refused
 *   viewrename.c  stored text that follows the names it uses
 *   viewdepend.c  what a query names, in pg_depend
 *
 * A handler gets one statement before PostgreSQL does, and decides when and how often the next hook
 * (and so PostgreSQL) runs, with this statement or others made of it.
 */
#ifndef BS_DDL_H
#define BS_DDL_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"

#include "viewdef.h"

/* What the literal spelling says and PostgreSQL's statement trees cannot. */
typedef struct BsLiteral
{
	bool active;        /* the statement says CONTINUOUS VIEW: ordinary views are not meant */
	bool if_not_exists; /* CREATE CONTINUOUS VIEW IF NOT EXISTS */
} BsLiteral;

/* One call of the utility hook.  statement is pstmt->utilityStmt. */
typedef struct BsUtilityCall
{
	PlannedStmt *pstmt;
	const char *source;
	bool read_only_tree; /* pstmt is somebody else's: copy before changing */
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *environment;
	DestReceiver *dest;
	QueryCompletion *completion;
	BsLiteral literal;
} BsUtilityCall;

/* Called once, when the library is loaded: installs the hooks. */
extern void bs_ddl_init(void);

/*
 * The next call of the hook is for a statement in the literal spelling.  The caller clears it (with
 * a zero BsLiteral) when the statement has ended, in whatever way.
 */
extern void bs_ddl_set_literal(BsLiteral literal);

/* Hand the statement on, as it is now. */
extern void bs_ddl_next(BsUtilityCall *call);

/* Run another statement, made from this one, in its place. */
extern void bs_ddl_next_statement(BsUtilityCall *call, Node *statement);

/* The statement, free to be changed. */
extern Node *bs_ddl_own_statement(BsUtilityCall *call);

/* Handlers. */
extern void bs_ddl_create_view(BsUtilityCall *call);          /* ViewStmt */
extern void bs_ddl_create_foreign_table(BsUtilityCall *call); /* CreateForeignTableStmt */
extern void bs_ddl_create_table(BsUtilityCall *call);         /* CreateStmt: INHERITS alone */
extern void bs_ddl_drop(BsUtilityCall *call);                 /* DropStmt */
extern void bs_ddl_alter(BsUtilityCall *call);                /* AlterTableStmt */
extern void bs_ddl_rename(BsUtilityCall *call);               /* RenameStmt */
extern void bs_ddl_move(BsUtilityCall *call);                 /* AlterObjectSchemaStmt */
extern void bs_ddl_alter_enum(BsUtilityCall *call);           /* AlterEnumStmt */
extern void bs_ddl_comment(BsUtilityCall *call);              /* CommentStmt */

/*
 * Definitions and renames exclude each other until their transactions end: a definition that is
 * being made, and that a rename does not see yet, would keep the old name.  Definitions do not
 * exclude each other.
 */
extern void bs_ddl_lock_for_definition(void);
extern void bs_ddl_lock_for_rename(void);

/* Hand on a statement that may rename something, and let the text of all views follow. */
extern void bs_ddl_next_renaming(BsUtilityCall *call);

/* Refuse streams and views as parents of other tables (a list of RangeVar). */
extern void bs_refuse_children(List *parents);

/* A stream's watermark_by must be one of its columns. */
extern void bs_stream_check(Oid relid);

/* Warn if the owner of a view may not read its stream: then it is kept, and not fed. */
extern void bs_view_check_owner(const BsViewDef *def);

/* A statement about relation rv says VIEW: is it about a continuous view?  Raises in the literal
 * spelling if it is about something else; false if there is no such relation. */
extern bool bs_names_continuous_view(const BsUtilityCall *call, const RangeVar *rv);

#endif
