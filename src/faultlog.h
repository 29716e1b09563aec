/* SPDX-License-Identifier: PostgreSQL */
/* faultlog.h: what a receiver says in the log about the traffic it gets. */
#ifndef BS_FAULTLOG_H
#define BS_FAULTLOG_H

#include "../receiver/decode.h"

/*
 * Traffic faults are counters, not errors (backstream.exporters, listeners, receivers); the log has
 * one line per reason, and at most one a minute.  Call it often: it looks once in a while.
 */
extern void bs_faults_log(int worker, const BsDecoderStats *decoder);

#endif
