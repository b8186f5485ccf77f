/* The tables of every key that a configuration may have. */
#ifndef SOCKEYE_CONFIG_SCHEMA_H
#define SOCKEYE_CONFIG_SCHEMA_H

#include "config/keys.h"

#define MAX_INBOUNDS 4096
#define MAX_OUTBOUNDS 4096

/* Describes struct config. */
extern const struct table schema;

/* The names of outbound types, which are also the names of those that always exist. */
extern const struct choice schema_outbound_types[];

#endif
