/* SPDX-License-Identifier: PostgreSQL */
/* forwarding.h: a receiver's copies to other collectors: the setting, and lines in the log. */
#ifndef BS_FORWARDING_H
#define BS_FORWARDING_H

#include "../receiver/loop.h"

/* Take up backstream.forward. */
extern void bs_forwarding_set(BsReceiver *receiver);

/*
 * Look after the targets (receiver/forward.h), and say in the log what has become of them: what is open,
 * failed or a loop at once, datagrams that were not sent at most once a minute.  Call it often: it looks
 * ten times a second.
 */
extern void bs_forwarding_tend(BsReceiver *receiver, int worker);

#endif
