/*
 * The configuration as plain structs: what YAML becomes after parsing, defaults and checks.
 * Everything in it belongs to the struct config and lives as long as it; nothing points into the
 * YAML text. Whoever has it may put a pointer of its own in place of one: that stays its own.
 * Numbers are in the units of their names; 0 means no limit where doc/configuration.md says so.
 */
#ifndef SOCKEYE_CONFIG_CONFIG_H
#define SOCKEYE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/access.h"
#include "base/addr.h"
#include "base/err.h"
#include "base/log.h"

enum config_inbound_type {
    INBOUND_SOCKS,
    INBOUND_HTTP,
    INBOUND_MIXED,
    INBOUND_RELAY,
    INBOUND_TUNNEL,
};
enum config_outbound_type {
    OUTBOUND_DIRECT,
    OUTBOUND_BLOCK,
    OUTBOUND_SOCKS,
    OUTBOUND_HTTP,
    OUTBOUND_TUNNEL,
};

struct config_user {
    char *name;
    char *password; /* of a tunnel: the user's key, as it was written */
    bool is_hash;   /* the password is a crypt(5) hash: only of a users_file */
};

/* One entry of `listen`, expanded: "1080" is two of them, "*:1080" too. */
struct config_listen {
    struct addr addr;
    char *path;     /* of a unix socket, absolute; then addr is of family NONE. NULL: none */
    uint16_t group; /* of its inbound: entries of one group share the port that 0 stands for */
    bool optional;  /* born of an entry for both families: skipped where the family is missing */
};

struct config_cidrs {
    struct cidr *items;
    size_t n;
};

struct config_target_rules {
    struct target_rule *items;
    size_t n;
};

/* Ports from one to another, both included; 0 and 0: any. */
struct config_ports {
    uint16_t from, to;
};

/* Drawn from, both included; 0 and 0: never. */
struct config_range {
    uint64_t from, to;
};

#define CONFIG_MAX_PORTS 64

/* When a tunnel's links are replaced by others. */
struct config_handover {
    struct config_range every;  /* seconds */
    struct config_range after;  /* bytes on the wire, both ways */
    struct config_ports *ports; /* where the others may connect to, beside the server's own */
    size_t n_ports;
};

/* `udp` and `bind` of an inbound. */
struct config_command {
    bool enabled;
    struct config_ports ports;
    struct addr advertise; /* what clients are told; family NONE: the TCP connection's own */
};

/* A key that both ends of a tunnel share. */
struct config_key {
    uint8_t bytes[32];
    uint8_t n_bytes; /* 16, 24 or 32; 0: none was given */
};

#define CONFIG_MAX_KEYS 4

/* A user of a tunnel, as `users` names him, and what holds for him beside what the inbound says. */
struct config_tunnel_user {
    char *name;
    char *key; /* base64 */
    struct config_cidrs allow;
    struct config_target_rules allow_targets, deny_targets;
    struct config_target_rules allow_reverse; /* where he may have us listen; each has ports */
    uint64_t per_client, sessions;            /* 0: no limit */
};

/* A PEM file: what is in it is parsed by whoever uses it. */
struct config_pem {
    char *path; /* as it was written, for messages; NULL: none was given */
    char *text; /* zero terminated */
    size_t n;
};

/* What a tunnel's first flight may carry before the server has answered. */
enum config_early_data { EARLY_NONE, EARLY_OPEN, EARLY_FULL };

/* How streams are carried: all by each of a session's links, or each by one of its own. */
enum config_tunnel_mode { TUNNEL_AGGREGATED, TUNNEL_DISTRIBUTED };

struct config_inbound {
    enum config_inbound_type type;
    char *name; /* unique; "socks-1", numbered by its place, where none is given */
    struct config_listen *listens;
    size_t n_listens;
    struct config_user *users; /* those of `users`, then those of `users_file` */
    size_t n_users;
    size_t n_inline_users;
    char *users_file; /* as it was written; NULL: none */
    bool has_users;   /* `users` or `users_file` was given */
    struct config_command udp, bind;
    /* Of a relay: where it leads; neither name nor address: where the far end of its tunnel says. Of
     * a tunnel: where those lead, or nowhere. */
    struct target target;
    struct config_cidrs allow, deny;
    struct config_target_rules allow_targets, deny_targets;
    struct config_target_rules
        allow_reverse; /* of a tunnel: where peers may have us listen; every one has ports */
    size_t
        listen_via; /* the tunnel outbound by whose far end it is listened for, if has_listen_via */
    bool has_listen_via;
    size_t outbound;      /* index into config.outbounds: the one named, else the first */
    bool has_outbound;    /* `outbound` was given: it wins over the rules */
    uint64_t connections; /* 0: no limit */
    uint64_t per_client;  /* connections from one address; 0: no limit */
    bool reuse_port;
    /* Of a tunnel: it has `key`, or an identity that takes its place. */
    struct config_key keys[CONFIG_MAX_KEYS]; /* each is as good as the others */
    size_t n_keys;
    char *key_file; /* as it was written: where the keys are from; NULL: none */
    struct config_tunnel_user
        *tunnel_users; /* those of `users`; all are in users too, these first */
    size_t n_tunnel_users;
    struct config_pem identity; /* a private key */
    struct config_pem *peers;   /* public keys of those who may come; none: whoever has the key */
    size_t n_peers;
    enum config_early_data early_data;
    uint64_t keep_s;       /* how long a session without a link is kept, at most */
    uint64_t clock_skew_s; /* by how much a flight's time may be wrong */
    bool speedtest;        /* who has the key may measure the tunnel */
    bool is_exposed; /* derived: clients come from beyond this machine, or by a tunnel, or may */
    int line;        /* where it stands in the file */
};

struct config_outbound {
    enum config_outbound_type type;
    char *name;
    struct target *servers; /* of an upstream: one; of a tunnel: the addresses of one server */
    size_t n_servers;
    char *username, *password; /* what the upstream asks for; both or neither are NULL */
    char *password_file;       /* as it was written: where the password is from; NULL: none */
    size_t via;                /* the outbound that leads to the upstream, if has_via */
    bool has_via;
    struct addr bind4, bind6; /* of direct: what to dial from; family NONE: any */
    char *interface;          /* of direct: what to dial through; NULL: any */
    uint32_t fwmark;          /* of direct; 0: none */
    bool fast_open;           /* of direct */
    /* Of a tunnel: it has `key`, or the server's public key, `peer`, takes its place. */
    struct config_key key, user_key; /* the server's, and ours where it has users */
    char *key_file;                  /* as it was written: where the key is from; NULL: none */
    struct config_pem identity;      /* our private key */
    struct config_pem peer;          /* the server's public key */
    enum config_early_data early_data;
    uint64_t keep_s;        /* how long a session without a link is kept */
    uint64_t keepalive_s;   /* the mean pause of an idle link's keepalives; 0: none */
    uint64_t clock_skew_s;  /* as the server's */
    uint64_t window;        /* what a session's streams may have under way together, in bytes */
    uint64_t stream_window; /* what one of them may have */
    uint64_t sessions;      /* how many there are at once, from 1 */
    uint64_t links; /* how many a session has at once; if distributed, how many are kept ready */
    enum config_tunnel_mode mode;
    struct config_handover handover;
    int line;
};

enum config_rule_kind {
    RULE_DOMAIN,
    RULE_DOMAIN_SUFFIX,
    RULE_DOMAIN_KEYWORD,
    RULE_DOMAIN_SET,
    RULE_IP_CIDR,
    RULE_SRC_IP_CIDR,
    RULE_DST_PORT,
    RULE_IN_NAME,
    RULE_IN_USER,
    RULE_MATCH,
};

/* One entry of `routes`. */
struct config_rule {
    enum config_rule_kind kind;
    char *text;         /* a domain or keyword in lower case, an inbound's or user's name, or the
                           path of a set as it was written; NULL: of none of these kinds */
    char *set;          /* of a DOMAIN-SET: domains in lower case, each ended by '\n', no more */
    size_t n_set;       /* bytes of it */
    struct cidr cidr;   /* of IP-CIDR and SRC-IP-CIDR */
    uint16_t port_from; /* of DST-PORT: both are included */
    uint16_t port_to;
    size_t outbound; /* index into config.outbounds */
    bool resolve;    /* of IP-CIDR: names are looked up for it */
    int line;        /* where it stands in the file */
};

struct config_limits {
    uint64_t connections, memory_mb;
    uint64_t connect_ms, handshake_ms, idle_ms, half_closed_ms, udp_idle_ms, keepalive_s, drain_s;
};

enum config_log_sink { LOG_TO_STDERR, LOG_TO_SYSLOG, LOG_TO_FILE };

struct config_log {
    enum log_level level;
    enum log_format format;
    enum config_log_sink sink;
    char *path; /* for LOG_TO_FILE */
    bool access;
};

struct config_dns {
    struct addr *servers; /* port 53 where none is given */
    size_t n_servers;
    uint8_t prefer; /* 0 auto, 4, 6 */
    bool only;      /* targets are dialled by the family of `prefer` only: -4 and -6 */
};

struct config_admin {
    char *socket; /* "auto", "" for none, or a path */
};

struct config {
    unsigned workers;   /* 0: one for each CPU */
    char *state;        /* as it was written */
    char *state_folder; /* the same from where the program runs; "": the program looks for one */
    char *user;         /* "" stays root */
    struct config_limits limits;
    struct config_log log;
    struct config_dns dns;
    struct config_admin admin;
    struct config_inbound *inbounds;
    size_t n_inbounds;
    /* Those of the file, then direct and block where not named there. */
    struct config_outbound *outbounds;
    size_t n_outbounds;
    struct config_rule *rules; /* the first that matches decides; if none does, outbound 0 */
    size_t n_rules;
    char **files; /* all files read beside the configuration, by the paths they were opened by */
    size_t n_files;
};

/* Where messages go, in the order of the file: each is "file:line:column: text" (or "file: text"),
 * without newline; the text of a warning begins with "warning: ". After a hundred, all others are
 * one message that says how many. */
struct config_messages {
    void (*say)(struct config_messages *, const char *message);
    unsigned n_errors, n_warnings;
};

/* What a configuration refers to. */
struct config_sources {
    /* How ${NAME} is resolved: returns borrowed text or NULL when unset. */
    const char *(*getenv)(const char *name);
    /* Reads a whole file; *text is returned owned (malloc'ed), with a zero byte after its *n
     * bytes. ERR_TOO_LONG: it has more than
     * max_bytes. ERR_NOT_FOUND, ERR_PERMITTED, ERR_BAD (a directory), ERR_SYSTEM, ERR_MEMORY. */
    enum err (*read_file)(const char *path, size_t max_bytes, char **text, size_t *n);
    /* What is wrong with n bytes that hold a private or a public key in PEM, such as "it has 2048 bits,
     * ...", or NULL. The function NULL: whatever looks like one is right. */
    const char *(*judge_pem)(const char *text, size_t n, bool is_private);
    /* Whether this is a hash by which crypt(3) can verify here. NULL: whatever looks like one is. */
    bool (*knows_hash)(const char *hash);
    /* The permissions of a plain file, 0 of what is none. NULL: nobody looks at them. */
    unsigned (*mode_of)(const char *path);
};

/*
 * Parses n bytes of YAML and checks them whole, saying every error found; `file` is its path, which
 * messages begin with and to whose folder relative paths in it are relative. On ERR_NONE *out is
 * owned by the caller (config_free). ERR_BAD: errors were said. ERR_MEMORY: out of memory, nothing
 * was said.
 */
NODISCARD enum err config_parse(struct config **out, const char *file, const char *text, size_t n,
                                const struct config_sources *sources,
                                struct config_messages *messages);

/*
 * Finds `admin.socket` alone, "auto" where the file does not say: no other file is read, and neither
 * variables that are not set nor mistakes elsewhere get in the way. *out is returned owned (free()).
 * ERR_BAD: errors were said. ERR_MEMORY: out of memory, nothing was said.
 */
NODISCARD enum err config_find_admin_socket(char **out, const char *file, const char *text,
                                            size_t n, const struct config_sources *sources,
                                            struct config_messages *messages);

/* The configuration `sockeye socks` stands for, before its options: one socks inbound, defaults. */
NODISCARD enum err config_new_plain(struct config **out);
/* The same for the users of a file only, which config_parse() reads. */
NODISCARD enum err config_new_plain_with_users(struct config **out, const char *users_file,
                                               const struct config_sources *sources,
                                               struct config_messages *messages);

void config_free(struct config *config);

/* Prints the effective configuration as YAML, secrets as ***, through `write` in pieces.
 * config_parse() takes it where a `key` is put in place of its ***. */
void config_print(const struct config *config, void (*write)(void *arg, const char *text, size_t n),
                  void *arg);

#endif
