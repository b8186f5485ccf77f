/*
 * What a configuration may say, as tables: one row a key, with its kind, where it is stored, its
 * range and its default. Reading, defaults, messages and printing all walk the same tables, so that
 * a new key is one new row.
 */
#ifndef SOCKEYE_CONFIG_KEYS_H
#define SOCKEYE_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/arena.h"
#include "config/config.h"
#include "config/print.h"
#include "config/report.h"
#include "config/tree.h"

struct key;
struct table;

/* One entry of some `listen`, for finding those that get in each other's way. */
struct listen_use {
    struct listen_use *next;
    const struct config_inbound *inbound; /* whose it is */
    struct addr addr;
    const char *path; /* of a unix socket, else NULL */
    struct mark at;
    size_t order;
};

/* All that reading one file needs to know. */
struct reading {
    struct report *report;
    const struct config_sources *sources;
    struct arena *scratch; /* lives as long as the reading */
    struct arena *keep;    /* lives as long as the configuration */
    struct listen_use *listens;
    size_t n_listens;
    struct file_use *files;
    size_t n_files;
    bool has_secret; /* the configuration's own text does */
};

/* A file that was read beside the configuration. */
struct file_use {
    struct file_use *next;
    char *path;
};

/* `base` is the struct that a table describes. */
struct kind {
    /* Completes "expected ..."; NULL: the key's range or choices do. */
    const char *expects;
    /* NULL: a zeroed struct holds the default. */
    void (*set_default)(struct reading *, const struct key *, void *base);
    /* `value` is neither broken nor empty. */
    void (*read)(struct reading *, const struct key *, const struct node *value, void *base);
    /* NULL: never printed. */
    void (*print)(struct printer *, const struct key *, const void *base);
};

/* A table of them ends with a NULL name. */
struct choice {
    const char *name;
    int value;
};

#define CHOICE_LATER (-1) /* a name that is known, of something that this version lacks */

struct key {
    const char *name;
    const struct kind *kind;
    size_t offset, bytes; /* where in the struct it is stored */
    size_t n_offset;      /* of lists: where the number of entries is stored; of an outbound's
                             name: where it is stored whether there is one; of a secret: where the
                             path of the file it may be from is */
    uint64_t min, max; /* of numbers: the value's; of texts: the length's; of lists: the count's */
    uint64_t number;   /* of numbers, choices, true and false: the default */
    const char *text;  /* of texts: the default */
    const struct choice *choices;
    const struct table *table; /* of mappings and lists of them */
    const char *example;       /* how it is written, for messages; NULL: needs none */
    unsigned types;            /* the types that have the key, as TYPE() bits; 0: all */
    unsigned later;            /* those that will have it in later versions */
    bool required;
    bool secret; /* what it holds is never in messages; a text is printed as *** */
};

/* A type's bit in struct key's `types`. */
#define TYPE(type) (1U << (type))

#define MAX_TABLE_KEYS 40

struct table {
    const char *place; /* " in an inbound", as messages say it; "" at the top */
    const struct key *keys;
    size_t n_keys;
    size_t size;           /* of the struct */
    bool begins_with_type; /* its first rows are `type` and `name` */
    bool has_secret;       /* then a key that is not known may be a secret in the wrong place */
};

/* walk.c */

/* What a mapping that is not there stands for. */
void walk_defaults(struct reading *reading, const struct table *table, void *base);

/* Reads a mapping into its struct, which is zeroed. */
void walk_read(struct reading *reading, const struct table *table, const struct node *map,
               void *base);
void walk_print(struct printer *printer, const struct table *table, const void *base);

/* values.c: what kinds share */

/* Says "key: expected ..., found ...". */
void value_unexpected(struct reading *reading, const struct key *key, const struct node *node);

/* Whether the node is a scalar that stands for text, not for a number, true, false or nothing. */
bool value_stands_for_text(const struct node *node);

/* The same, and says it where not. */
bool value_is_text(struct reading *reading, const struct key *key, const struct node *node);

/* Says that a list is too short or too long. */
void value_wrong_count(struct reading *reading, const struct key *key, const struct node *list);

/* Whether the node is what YAML has for no value. */
bool value_is_null(const struct node *node);

/* Parses a decimal number without sign or leading zeros; false: it is none, or beyond max. */
bool value_parse_number(uint64_t *out, uint64_t max, const char *text, size_t n);

/* Parses "65536", "64K", "16M" or "1G", where K is 1024; false: it is none, or beyond max. */
bool value_parse_size(uint64_t *out, uint64_t max, const char *text, size_t n);

#define SIZE_TEXT_BYTES 24

/* The shortest way to write it. */
void value_format_size(char out[static SIZE_TEXT_BYTES], uint64_t size);

/* Whether no byte beyond ASCII is among them. */
bool value_is_ascii(const char *text, size_t n);

/* Parses "443" or "40000-40009", from 0, the first not beyond the second. */
bool value_parse_ports(uint16_t *from, uint16_t *to, const char *text, size_t n);

/* How messages show what a node holds: "the text \"x\"", "a list"; secrets only by their kind. */
const char *value_describe(struct quoted *room, const struct key *key, const struct node *node);

/* The entries of a list, or the one that stands for a list of one. */
struct entries {
    const struct node *next;
    size_t n;
};
struct entries value_entries(const struct node *node);
/* The entries of a list, or the one that stands alone. False: they are not as many as the key wants, which was said. */
bool value_list(struct reading *reading, const struct key *key, const struct node *value,
                struct entries *entries);

/* Memory that lasts as long as the configuration, or NULL with no_memory set. */
void *value_alloc(struct reading *reading, size_t n, size_t size);

/* rules.c */

#define BLOCK_TEXT_BYTES (ADDR_TEXT_BYTES + 4) /* "ipv6/128" and its zero */

/* Writes "10.0.0.0/8" or "*". */
void block_format(char out[static BLOCK_TEXT_BYTES], const struct cidr *block);

/* Makes "10.0.0.0/8" of "10.1.2.3/8"; false: bits beyond the prefix are not what is wrong. */
bool block_correct(char out[static BLOCK_TEXT_BYTES], const char *text, size_t n);

extern const struct kind kind_number, kind_bool, kind_choice, kind_text;    /* scalars.c */
extern const struct kind kind_outbound, kind_log_sink;                      /* scalars.c */
extern const struct kind kind_upstream_password, kind_size;                 /* scalars.c */
extern const struct kind kind_map, kind_maps, kind_later;                   /* maps.c */
extern const struct kind kind_listen, kind_servers;                         /* listen.c */
extern const struct kind kind_target, kind_ports, kind_advertise;           /* addresses.c */
extern const struct kind kind_upstream_servers;                             /* addresses.c */
extern const struct kind kind_source_addrs, kind_interface;                 /* addresses.c */
extern const struct kind kind_cidrs, kind_target_rules, kind_reverse_rules; /* rules.c */
extern const struct kind kind_time_range, kind_size_range;                  /* handover.c */
extern const struct kind kind_port_list, kind_handover;                     /* handover.c */
extern const struct kind kind_routes;                                       /* routes.c */
extern const struct kind kind_server_keys, kind_client_key;                 /* tunnel_keys.c */
extern const struct kind kind_pem, kind_pems;                               /* tunnel_keys.c */

#endif
