/* SPDX-License-Identifier: PostgreSQL */
/*
 * node.h: other servers with BackStream: which they are, and how they are reached.
 *
 * A node is a foreign server of our wrapper with options of libpq; a group is one with the option nodes,
 * a list of nodes, of which one may be "local", this server itself.  Streams on a node or a group stand
 * for a stream of the nodes: a continuous view over one is kept by the nodes, and merged here.
 *
 *   nodeoptions.c  options of servers and user mappings: what libpq knows, and whose passwords are asked
 *   nodeserver.c   CREATE and ALTER SERVER; the nodes of a server
 */
#ifndef BS_NODE_H
#define BS_NODE_H

#include "postgres.h"
#include "nodes/parsenodes.h"

#include "ddl.h"
#include "options.h"

/* The name under which a server is a member of a group of its own. */
#define BS_LOCAL_NODE "local"

/* ---- options ----------------------------------------------------------------------------------- */

/*
 * Is this an option of libpq that may stand at a server or a user mapping (catalog)?  Raises an error for a value
 * that is not right, or for one that libpq knows and that must stand elsewhere.
 */
extern bool bs_libpq_option_check(DefElem *def, Oid catalog);

/* The validator's part for servers and user mappings: everything that can be told from options alone. */
extern void bs_node_server_check(List *options);
extern void bs_node_mapping_check(List *options);

/* Do these options of a server make it a node or a group? */
extern bool bs_node_options_remote(List *options);

/*
 * What PQconnectStartParams() takes: keywords and values of a node, each ended by NULL, in CurrentMemoryContext.
 * Raises an error when user must give a password and the mapping has none.  *must_use_password: the server has
 * to be seen to ask for it.
 */
extern void bs_node_parameters(List *server_options, List *mapping_options, Oid user,
							   const char *name, const char ***keywords, const char ***values,
							   bool *must_use_password);

/* ---- servers ----------------------------------------------------------------------------------- */

typedef struct BsNode
{
	Oid server; /* InvalidOid: this server */
	Oid user;   /* whose mapping it is reached by */
	char *name;
} BsNode;

/* Is this one of our servers that stands for others? */
extern bool bs_server_is_remote(Oid server);

/*
 * The nodes of a server that stands for others, for this user: a list of BsNode *.  Raises an error when one is none
 * (any more).
 */
extern List *bs_server_nodes(Oid server, Oid user);

/* Does a relation (a stream or a view) live on nodes? */
extern bool bs_relation_is_remote(Oid relid);

/* Is this backstream.flow, or the stream that stands for that of nodes? */
extern bool bs_stream_is_flow(Oid stream);

/* Handlers of statements about servers (ddl.h). */
extern void bs_ddl_create_server(BsUtilityCall *call); /* CreateForeignServerStmt */
extern void bs_ddl_alter_server(BsUtilityCall *call);  /* AlterForeignServerStmt */

/* A server has got another name: groups that it is in follow. */
extern void bs_node_renamed(const char *old_name, const char *new_name);

#endif
