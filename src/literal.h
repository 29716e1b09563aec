/* SPDX-License-Identifier: PostgreSQL */
/* literal.h: CREATE, ALTER and DROP CONTINUOUS VIEW as they are written. */
#ifndef BS_LITERAL_H
#define BS_LITERAL_H

/* Called once, when the library is loaded: installs the hook. */
extern void bs_literal_init(void);

#endif
