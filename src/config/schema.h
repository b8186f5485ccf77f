/* The tables of every key that a configuration may have. */
#ifndef SOCKEYE_CONFIG_SCHEMA_H
#define SOCKEYE_CONFIG_SCHEMA_H

#include "config/keys.h"

#define MAX_INBOUNDS 4096
#define MAX_OUTBOUNDS 4096

/* Describes struct config. */
extern const struct table schema;

/* Describes struct config_admin. */
extern const struct table schema_admin;

/* The outbounds that always exist, by their names and types. */
extern const struct choice schema_built_in[];

/* How an inbound's type is written. */
const char *schema_inbound_type(enum config_inbound_type type);

#endif
