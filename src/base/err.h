/*
 * The one error type. A function that can fail returns `enum err`; sizes and objects leave through
 * out-parameters. An error is logged once, where it is detected with its context; it is turned
 * into a protocol's code in that protocol's own table (wire/socks5.h, wire/socks4.h, wire/http1.h).
 */
#ifndef SOCKEYE_BASE_ERR_H
#define SOCKEYE_BASE_ERR_H

/* On every function whose error must not be ignored. */
#define NODISCARD __attribute__((warn_unused_result))

enum err {
    ERR_NONE = 0,

    /* Not failures: what a caller meets in normal work. */
    ERR_AGAIN, /* nothing to read, or no room to write: wait for readiness */
    ERR_MORE,  /* a parser needs more bytes than it was given */
    ERR_EOF,   /* the other side has sent its fin */

    /* Bad input. */
    ERR_BAD,          /* malformed */
    ERR_VERSION,      /* a protocol version that is not ours */
    ERR_TOO_LONG,     /* a bound of ours was exceeded */
    ERR_COMMAND,      /* well formed, but a command we do not serve */
    ERR_ADDRESS_TYPE, /* well formed, but an address type we do not know */
    ERR_SCHEME,       /* well formed, but a URL's scheme we do not serve */
    ERR_AUTH,         /* no acceptable method, or wrong credentials */

    /* Why a target could not be reached. */
    ERR_DENIED,       /* a rule or limit of ours says no */
    ERR_LOOKUP,       /* the name does not resolve */
    ERR_NET_UNREACH,  /* network unreachable */
    ERR_HOST_UNREACH, /* host unreachable */
    ERR_REFUSED,      /* connection refused */
    ERR_TTL_EXPIRED,  /* an upstream says that packets do not live long enough to get there */
    ERR_UPSTREAM,     /* an upstream failed, or did not say why it could not */
    ERR_TUNNEL,       /* the tunnel that leads there is down */
    ERR_TIMEOUT,      /* time is up */
    ERR_RESET,        /* connection reset */

    /* Shortage. */
    ERR_LIMIT,       /* a configured limit is reached */
    ERR_MEMORY,      /* allocation failed */
    ERR_DESCRIPTORS, /* EMFILE or ENFILE */
    ERR_PORTS,       /* no local port left */

    /* The system. */
    ERR_IN_USE,    /* address already in use */
    ERR_PERMITTED, /* operation not permitted */
    ERR_NOT_FOUND, /* no such file, name or address on this machine */
    ERR_SYSTEM,    /* anything else that the system refused */

    N_ERRS
};

/* Returns the error in words, such as "connection refused"; never NULL. */
const char *err_text(enum err err);

#endif
