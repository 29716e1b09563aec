/* SPDX-License-Identifier: PostgreSQL */
/* ddl.h: what happens when continuous views and streams are made, changed or dropped. */
#ifndef BS_DDL_H
#define BS_DDL_H

/* Called once, when the library is loaded: installs the hooks. */
extern void bs_ddl_init(void);

#endif
