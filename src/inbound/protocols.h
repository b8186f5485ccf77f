/* The inbound protocols of this folder (flow/inbound.h says what one is). */
#ifndef SOCKEYE_INBOUND_PROTOCOLS_H
#define SOCKEYE_INBOUND_PROTOCOLS_H

#include "flow/inbound.h"

/* SOCKS4, 4a and 5: CONNECT and BIND; without authentication or with user and password (RFC 1928, 1929). */
extern const struct inbound_protocol inbound_socks;

/* HTTP proxy: CONNECT, with Basic authentication where the inbound has users. */
extern const struct inbound_protocol inbound_http;

/* Either, as the client's first byte decides. */
extern const struct inbound_protocol inbound_mixed;

/* Everything goes to the inbound's own target. */
extern const struct inbound_protocol inbound_relay;

#endif
