/*
 * Rules: which outbound a flow takes. The first rule, in the file's order, that matches decides.
 *
 * However many rules there are, a look-up asks a few indexes, each for the earliest of its rules that
 * matches, and the earliest of these answers is the rule:
 *
 *     name ----> domains and sets (hash table, one probe a label), keywords (hash table)
 *     address -> blocks of IP-CIDR and of SRC-IP-CIDR (sorted, binary search)
 *     port ----> ranges of DST-PORT (sorted)                      earliest ---> outbound
 *     inbound, user -> hash tables
 *
 * Names are compared without regard to case, and one dot at their end is ignored; addresses are
 * judged unmapped (base/addr.h). A table does not change once made: any number of threads may read it.
 */
#ifndef SOCKEYE_ROUTE_ROUTE_H
#define SOCKEYE_ROUTE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

enum route_kind {
    ROUTE_DOMAIN,         /* the name is `text` */
    ROUTE_DOMAIN_SUFFIX,  /* the name is `text` or ends with "." and `text` */
    ROUTE_DOMAIN_KEYWORD, /* `text` is somewhere in the name */
    ROUTE_DOMAIN_SET,     /* `text` is a list of suffixes, one a line; see below */
    ROUTE_IP_CIDR,        /* the target's address is in `cidr` */
    ROUTE_SRC_IP_CIDR,    /* the client's address is in `cidr` */
    ROUTE_DST_PORT,       /* port_from <= the target's port <= port_to */
    ROUTE_IN_NAME,        /* the inbound's name is `text` */
    ROUTE_IN_USER,        /* the user who logged in is `text` */
    ROUTE_MATCH,          /* everything */
};

/*
 * In a set's lines blanks around the domain, "." or "+." or "*." before it, and what follows a '#' are ignored; so
 * are empty lines. A line may end with CR LF.
 *
 * An IP-CIDR rule judges targets given as addresses; those given as names only with `resolve`, and
 * then it matches if any of the name's addresses is in the block: what a rule keeps away from a network
 * must not depend on the order in which a server lists addresses.
 */
struct route_rule {
    enum route_kind kind;
    uint32_t outbound; /* any number of the caller's */
    const char *text;  /* borrowed while the table is made */
    size_t n_text;
    struct cidr cidr;
    uint16_t port_from, port_to;
    bool resolve;
};

struct route_query {
    const char *name; /* not zero terminated */
    size_t n_name;    /* 0: the target is an address */
    const struct addr *addrs;
    size_t n_addrs;             /* the literal, or what the name resolved to, perhaps nothing */
    bool is_resolved;           /* addrs are the name's */
    uint16_t port;              /* the target's */
    const struct addr *from;    /* the client; NULL or family NONE where it has no address */
    const char *inbound, *user; /* NULL: none */
};

enum route_answer {
    ROUTE_FOUND,
    /* Which outbound it is depends on the name's addresses: look it up and ask again with them,
     * or with none where that failed. An earlier rule that matches without them decides first, and
     * where all rules that ask for them lead to the same outbound as without, they are not needed. */
    ROUTE_NEEDS_ADDRESS,
};

struct route_table;

/* Makes a table, owned, of n rules; `fallback` is the outbound where none matches. ERR_MEMORY.
 * ERR_TOO_LONG: more than 2^31 rules, 4 GiB of names, or a text beyond 64 KiB. */
NODISCARD enum err route_table_new(struct route_table **out, const struct route_rule *rules,
                                   size_t n, uint32_t fallback);
void route_table_free(struct route_table *table);

/* Sets *outbound when it answers ROUTE_FOUND. */
enum route_answer route_find(const struct route_table *table, const struct route_query *query,
                             uint32_t *outbound);

#endif
