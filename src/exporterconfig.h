/* SPDX-License-Identifier: PostgreSQL */
/* exporterconfig.h: the administrator's table backstream.exporter_config, for decoders. */
#ifndef BS_EXPORTERCONFIG_H
#define BS_EXPORTERCONFIG_H

#include "../receiver/decode.h"

/*
 * Give the decoder the sampling rules of the table; inside a transaction with a snapshot.  Returns
 * false, and leaves the rules as they are, when the table is locked just now.
 */
extern bool bs_exporter_config_load(BsDecoder *decoder);

#endif
