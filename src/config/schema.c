#include "config/schema.h"

#include <assert.h>

#include "config/tunnels.h"
#include "config/users.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Where a member of a struct is, for a row. */
#define FIELD(of, member) \
    .offset = offsetof(struct of, member), .bytes = sizeof(((struct of *)0)->member)

/* Rows of the usual kinds, for a key that is named as its member is. */
#define NUMBER(of, member, most, preset)                                         \
    {                                                                            \
        .name = #member, .kind = &kind_number, FIELD(of, member), .max = (most), \
        .number = (preset)                                                       \
    }
#define SWITCH(of, member, preset)                                                 \
    {                                                                              \
        .name = #member, .kind = &kind_bool, FIELD(of, member), .number = (preset) \
    }
#define CHOICE(of, member, names, preset)                                             \
    {                                                                                 \
        .name = #member, .kind = &kind_choice, FIELD(of, member), .choices = (names), \
        .number = (preset)                                                            \
    }
#define TEXT(of, member, most, preset)                                                          \
    {                                                                                           \
        .name = #member, .kind = &kind_text, FIELD(of, member), .max = (most), .text = (preset) \
    }
#define MAP(of, member, rows)                                                  \
    {                                                                          \
        .name = #member, .kind = &kind_map, FIELD(of, member), .table = (rows) \
    }
#define RULES(of, member, as, least)                                     \
    {                                                                    \
        .name = #member, .kind = (as), FIELD(of, member), .min = (least) \
    }
#define LATER(word)                         \
    {                                       \
        .name = (word), .kind = &kind_later \
    }

/* Beyond any use, yet far from where sums overflow. */
#define MAX_MS 2147483647 /* 24 days: what a signed 32-bit timeout holds */
#define MAX_CONNECTIONS 10000000
#define MAX_MEMORY_MB 1048576
#define MAX_KEEPALIVE_S 32767 /* Linux's own limit for TCP_KEEPIDLE */
#define MAX_DRAIN_S 86400
#define MAX_WORKERS 1024
#define MAX_PATH_BYTES 4095
#define MAX_SOCKET_PATH 107 /* what struct sockaddr_un holds */
#define MAX_NAME_BYTES 255
#define MAX_INTERFACE_BYTES 15 /* IFNAMSIZ without its zero */
#define MAX_LISTENS 256
#define MAX_SERVERS 8
#define MAX_TUNNEL_SERVERS 16
#define MAX_KEEP_S 604800 /* a week */
#define MAX_KEEPALIVE_PAUSE_S 86400
#define MAX_CLOCK_SKEW_S 300
#define MIN_WINDOW ((uint64_t)64 << 10) /* what a stream opens with */
#define MAX_WINDOW ((uint64_t)4 << 30)
#define MAX_SESSIONS 64
#define MAX_LINKS 16
#define MIN_AFTER ((uint64_t)8 << 10) /* a handshake and a few packets */
#define MAX_AFTER ((uint64_t)1 << 40)

static const struct choice log_levels[] = {
    {"error", LOG_LEVEL_ERROR}, {"warn", LOG_LEVEL_WARN},   {"info", LOG_LEVEL_INFO},
    {"debug", LOG_LEVEL_DEBUG}, {"trace", LOG_LEVEL_TRACE}, {NULL, 0},
};
static_assert(COUNT(log_levels) == N_LOG_LEVELS + 1, "a log level without a name");

static const struct choice log_formats[] = {
    {"text", LOG_FORMAT_TEXT},
    {"json", LOG_FORMAT_JSON},
    {NULL, 0},
};

static const struct choice families[] = {{"auto", 0}, {"4", 4}, {"6", 6}, {NULL, 0}};

static const struct choice inbound_types[] = {
    {"socks", INBOUND_SOCKS}, {"http", INBOUND_HTTP},     {"mixed", INBOUND_MIXED},
    {"relay", INBOUND_RELAY}, {"tunnel", INBOUND_TUNNEL}, {NULL, 0},
};

static const struct choice outbound_types[] = {
    {"direct", OUTBOUND_DIRECT}, {"block", OUTBOUND_BLOCK},
    {"socks", OUTBOUND_SOCKS},   {"http", OUTBOUND_HTTP},
    {"tunnel", OUTBOUND_TUNNEL}, {"select", CHOICE_LATER},
    {"fastest", CHOICE_LATER},   {"fallback", CHOICE_LATER},
    {"sticky", CHOICE_LATER},    {NULL, 0},
};

static const struct choice early_data[] = {
    {"none", EARLY_NONE}, {"open", EARLY_OPEN}, {"full", EARLY_FULL}, {NULL, 0}};

static const struct choice tunnel_modes[] = {
    {"aggregated", TUNNEL_AGGREGATED}, {"distributed", TUNNEL_DISTRIBUTED}, {NULL, 0}};

const struct choice schema_built_in[] = {
    {"direct", OUTBOUND_DIRECT}, {"block", OUTBOUND_BLOCK}, {NULL, 0}};

/* Which types have a key. */
#define COMMANDS (TYPE(INBOUND_SOCKS) | TYPE(INBOUND_MIXED))
#define PROXIES (COMMANDS | TYPE(INBOUND_HTTP))
#define UPSTREAMS (TYPE(OUTBOUND_SOCKS) | TYPE(OUTBOUND_HTTP))
#define SERVERS (UPSTREAMS | TYPE(OUTBOUND_TUNNEL))

/* What both ends of a tunnel have. */
#define TUNNEL_KEY(of, tunnel, as)                                                    \
    {.name = "key",                                                                   \
     .kind = (as),                                                                    \
     .types = (tunnel),                                                               \
     .min = 1,                                                                        \
     .max = CONFIG_MAX_KEYS,                                                          \
     .secret = true},                                                                 \
        {.name = "key_file",                                                          \
         .kind = &kind_text,                                                          \
         FIELD(of, key_file),                                                         \
         .types = (tunnel),                                                           \
         .min = 1,                                                                    \
         .max = MAX_PATH_BYTES},                                                      \
    {                                                                                 \
        .name = "identity", .kind = &kind_pem, FIELD(of, identity), .types = (tunnel) \
    }
#define TUNNEL_REST(of, tunnel)                                                                   \
    {.name = "early_data",                                                                        \
     .kind = &kind_choice,                                                                        \
     FIELD(of, early_data),                                                                       \
     .choices = early_data,                                                                       \
     .types = (tunnel)},                                                                          \
        {.name = "keep_s",                                                                        \
         .kind = &kind_number,                                                                    \
         FIELD(of, keep_s),                                                                       \
         .types = (tunnel),                                                                       \
         .min = 1,                                                                                \
         .max = MAX_KEEP_S,                                                                       \
         .number = 600},                                                                          \
    {                                                                                             \
        .name = "clock_skew_s", .kind = &kind_number, FIELD(of, clock_skew_s), .types = (tunnel), \
        .min = 1, .max = MAX_CLOCK_SKEW_S, .number = 60                                           \
    }

/* `udp` and `bind` differ in one default. */
#define COMMAND_KEYS(on)                                                                      \
    {                                                                                         \
        SWITCH(config_command, enabled, on),                                                  \
            {.name = "ports", .kind = &kind_ports, FIELD(config_command, ports)},             \
            {.name = "advertise", .kind = &kind_advertise, FIELD(config_command, advertise)}, \
    }
static const struct key udp_keys[] = COMMAND_KEYS(true);
static const struct key bind_keys[] = COMMAND_KEYS(false);
static const struct table udp_table = {
    .place = " in udp", .keys = udp_keys, .n_keys = COUNT(udp_keys)};
static const struct table bind_table = {
    .place = " in bind", .keys = bind_keys, .n_keys = COUNT(bind_keys)};

static const struct key handover_keys[] = {
    {.name = "every",
     .kind = &kind_time_range,
     FIELD(config_handover, every),
     .min = 1,
     .max = MAX_KEEP_S,
     .example = "1s to 7d, such as 20m-30m"},
    {.name = "after",
     .kind = &kind_size_range,
     FIELD(config_handover, after),
     .min = MIN_AFTER,
     .max = MAX_AFTER,
     .example = "8K to 1024G, such as 200M-400M"},
    {.name = "ports",
     .kind = &kind_port_list,
     FIELD(config_handover, ports),
     .min = 1,
     .max = CONFIG_MAX_PORTS},
};
static const struct table handover_table = {
    .place = " in handover", .keys = handover_keys, .n_keys = COUNT(handover_keys)};

static const struct key user_keys[] = {
    {.name = "name",
     .kind = &kind_text,
     FIELD(config_user, name),
     .min = 1,
     .max = MAX_NAME_BYTES,
     .required = true},
    {.name = "password",
     .kind = &kind_text,
     FIELD(config_user, password),
     .min = 1,
     .max = MAX_NAME_BYTES,
     .required = true,
     .secret = true},
};
static const struct table user_table = {
    .place = " in a user",
    .keys = user_keys,
    .n_keys = COUNT(user_keys),
    .size = sizeof(struct config_user),
    .has_secret = true,
};

static const struct key tunnel_user_keys[] = {
    {.name = "name",
     .kind = &kind_text,
     FIELD(config_tunnel_user, name),
     .min = 1,
     .max = MAX_NAME_BYTES,
     .required = true},
    {.name = "key",
     .kind = &kind_text,
     FIELD(config_tunnel_user, key),
     .min = 1,
     .max = MAX_NAME_BYTES,
     .required = true,
     .secret = true},
    RULES(config_tunnel_user, allow, &kind_cidrs, 1),
    RULES(config_tunnel_user, allow_targets, &kind_target_rules, 0),
    RULES(config_tunnel_user, deny_targets, &kind_target_rules, 0),
    RULES(config_tunnel_user, allow_reverse, &kind_reverse_rules, 0),
    NUMBER(config_tunnel_user, per_client, MAX_CONNECTIONS, 0),
    NUMBER(config_tunnel_user, sessions, MAX_CONNECTIONS, 0),
};
static const struct table tunnel_user_table = {
    .place = " in a user",
    .keys = tunnel_user_keys,
    .n_keys = COUNT(tunnel_user_keys),
    .size = sizeof(struct config_tunnel_user),
    .has_secret = true,
};

static const struct key inbound_keys[] = {
    {.name = "type",
     .kind = &kind_choice,
     FIELD(config_inbound, type),
     .choices = inbound_types,
     .required = true,
     .example = "type: mixed"},
    {.name = "name",
     .kind = &kind_text,
     FIELD(config_inbound, name),
     .min = 1,
     .max = MAX_NAME_BYTES},
    {.name = "listen",
     .kind = &kind_listen,
     .min = 1,
     .max = MAX_LISTENS,
     .required = true,
     .example = "listen: 1080"},
    {.name = "target",
     .kind = &kind_target,
     FIELD(config_inbound, target),
     .types = TYPE(INBOUND_RELAY) | TYPE(INBOUND_TUNNEL)},
    TUNNEL_KEY(config_inbound, TYPE(INBOUND_TUNNEL), &kind_server_keys),
    {.name = "peers",
     .kind = &kind_pems,
     .types = TYPE(INBOUND_TUNNEL),
     .min = 1,
     .max = TUNNEL_MAX_PEERS,
     .example = "peers: [client.pub]"},
    TUNNEL_REST(config_inbound, TYPE(INBOUND_TUNNEL)),
    {.name = "speedtest",
     .kind = &kind_bool,
     FIELD(config_inbound, speedtest),
     .types = TYPE(INBOUND_TUNNEL)},
    {.name = "listen_via",
     .kind = &kind_outbound,
     FIELD(config_inbound, listen_via),
     .n_offset = offsetof(struct config_inbound, has_listen_via),
     .types = PROXIES | TYPE(INBOUND_RELAY)},
    {.name = "allow_reverse",
     .kind = &kind_reverse_rules,
     FIELD(config_inbound, allow_reverse),
     .types = TYPE(INBOUND_TUNNEL)},
    {.name = "outbound",
     .kind = &kind_outbound,
     FIELD(config_inbound, outbound),
     .n_offset = offsetof(struct config_inbound, has_outbound)},
    RULES(config_inbound, allow, &kind_cidrs, 1),
    RULES(config_inbound, deny, &kind_cidrs, 0),
    RULES(config_inbound, allow_targets, &kind_target_rules, 0),
    RULES(config_inbound, deny_targets, &kind_target_rules, 0),
    NUMBER(config_inbound, connections, MAX_CONNECTIONS, 0),
    NUMBER(config_inbound, per_client, MAX_CONNECTIONS, 0),
    SWITCH(config_inbound, reuse_port, false),
    {.name = "users",
     .kind = &kind_maps,
     .offset = offsetof(struct config_inbound, users),
     .n_offset = offsetof(struct config_inbound, n_inline_users),
     .types = PROXIES,
     .table = &user_table,
     .min = 1,
     .max = MAX_USERS,
     .secret = true,
     .example = "users: [{name: ann, password: \"...\"}]"},
    {.name = "users",
     .kind = &kind_maps,
     .offset = offsetof(struct config_inbound, tunnel_users),
     .n_offset = offsetof(struct config_inbound, n_tunnel_users),
     .types = TYPE(INBOUND_TUNNEL),
     .table = &tunnel_user_table,
     .min = 1,
     .max = MAX_USERS,
     .secret = true,
     .example = "users: [{name: ann, key: \"...\"}]"},
    {.name = "users_file",
     .kind = &kind_text,
     FIELD(config_inbound, users_file),
     .types = PROXIES | TYPE(INBOUND_TUNNEL),
     .min = 1,
     .max = MAX_PATH_BYTES},
    {.name = "udp",
     .kind = &kind_map,
     FIELD(config_inbound, udp),
     .types = COMMANDS | TYPE(INBOUND_TUNNEL),
     .table = &udp_table},
    {.name = "bind",
     .kind = &kind_map,
     FIELD(config_inbound, bind),
     .types = COMMANDS,
     .table = &bind_table},
    LATER("decoy"),
    LATER("shape"),
    LATER("sessions"),
};
static const struct table inbound_table = {
    .place = " in an inbound",
    .keys = inbound_keys,
    .n_keys = COUNT(inbound_keys),
    .size = sizeof(struct config_inbound),
    .begins_with_type = true,
};

static const struct key outbound_keys[] = {
    {.name = "type",
     .kind = &kind_choice,
     FIELD(config_outbound, type),
     .choices = outbound_types,
     .required = true,
     .example = "type: direct"},
    {.name = "name",
     .kind = &kind_text,
     FIELD(config_outbound, name),
     .min = 1,
     .max = MAX_NAME_BYTES,
     .required = true},
    {.name = "bind",
     .kind = &kind_source_addrs,
     .types = TYPE(OUTBOUND_DIRECT),
     .min = 1,
     .max = 2},
    {.name = "interface",
     .kind = &kind_interface,
     FIELD(config_outbound, interface),
     .types = TYPE(OUTBOUND_DIRECT),
     .min = 1,
     .max = MAX_INTERFACE_BYTES},
    {.name = "fwmark",
     .kind = &kind_number,
     FIELD(config_outbound, fwmark),
     .types = TYPE(OUTBOUND_DIRECT),
     .max = UINT32_MAX},
    {.name = "fast_open",
     .kind = &kind_bool,
     FIELD(config_outbound, fast_open),
     .types = TYPE(OUTBOUND_DIRECT)},
    {.name = "server",
     .kind = &kind_upstream_servers,
     .types = SERVERS,
     .min = 1,
     .max = MAX_TUNNEL_SERVERS,
     .required = true,
     .example = "server: \"192.0.2.5:1080\""},
    {.name = "username",
     .kind = &kind_text,
     FIELD(config_outbound, username),
     .types = UPSTREAMS,
     .min = 1,
     .max = MAX_NAME_BYTES},
    {.name = "password",
     .kind = &kind_upstream_password,
     FIELD(config_outbound, password),
     .types = UPSTREAMS,
     .min = 1,
     .max = MAX_NAME_BYTES,
     .secret = true},
    {.name = "password_file",
     .kind = &kind_text,
     FIELD(config_outbound, password_file),
     .types = UPSTREAMS,
     .min = 1,
     .max = MAX_PATH_BYTES},
    {.name = "via",
     .kind = &kind_outbound,
     FIELD(config_outbound, via),
     .n_offset = offsetof(struct config_outbound, has_via),
     .types = SERVERS},
    TUNNEL_KEY(config_outbound, TYPE(OUTBOUND_TUNNEL), &kind_client_key),
    {.name = "peer",
     .kind = &kind_pem,
     FIELD(config_outbound, peer),
     .types = TYPE(OUTBOUND_TUNNEL)},
    TUNNEL_REST(config_outbound, TYPE(OUTBOUND_TUNNEL)),
    {.name = "keepalive_s",
     .kind = &kind_number,
     FIELD(config_outbound, keepalive_s),
     .types = TYPE(OUTBOUND_TUNNEL),
     .max = MAX_KEEPALIVE_PAUSE_S,
     .number = 60},
    {.name = "window",
     .kind = &kind_size,
     FIELD(config_outbound, window),
     .types = TYPE(OUTBOUND_TUNNEL),
     .min = MIN_WINDOW,
     .max = MAX_WINDOW,
     .number = (uint64_t)64 << 20},
    {.name = "stream_window",
     .kind = &kind_size,
     FIELD(config_outbound, stream_window),
     .types = TYPE(OUTBOUND_TUNNEL),
     .min = MIN_WINDOW,
     .max = MAX_WINDOW,
     .number = (uint64_t)16 << 20},
    {.name = "sessions",
     .kind = &kind_number,
     FIELD(config_outbound, sessions),
     .types = TYPE(OUTBOUND_TUNNEL),
     .min = 1,
     .max = MAX_SESSIONS,
     .number = 1},
    {.name = "links",
     .kind = &kind_number,
     FIELD(config_outbound, links),
     .types = TYPE(OUTBOUND_TUNNEL),
     .min = 1,
     .max = MAX_LINKS,
     .number = 1},
    {.name = "mode",
     .kind = &kind_choice,
     FIELD(config_outbound, mode),
     .choices = tunnel_modes,
     .types = TYPE(OUTBOUND_TUNNEL)},
    {.name = "handover",
     .kind = &kind_handover,
     FIELD(config_outbound, handover),
     .types = TYPE(OUTBOUND_TUNNEL),
     .table = &handover_table},
    LATER("shape"),
    LATER("outbounds"),
};
static const struct table outbound_table = {
    .place = " in an outbound",
    .keys = outbound_keys,
    .n_keys = COUNT(outbound_keys),
    .size = sizeof(struct config_outbound),
    .begins_with_type = true,
};

static const struct key limit_keys[] = {
    NUMBER(config_limits, connections, MAX_CONNECTIONS, 0),
    NUMBER(config_limits, memory_mb, MAX_MEMORY_MB, 0),
    NUMBER(config_limits, connect_ms, MAX_MS, 8000),
    NUMBER(config_limits, handshake_ms, MAX_MS, 10000),
    NUMBER(config_limits, idle_ms, MAX_MS, 7200000),
    NUMBER(config_limits, half_closed_ms, MAX_MS, 300000),
    NUMBER(config_limits, udp_idle_ms, MAX_MS, 300000),
    NUMBER(config_limits, keepalive_s, MAX_KEEPALIVE_S, 600),
    NUMBER(config_limits, drain_s, MAX_DRAIN_S, 30),
};
static const struct table limits_table = {
    .place = " in limits", .keys = limit_keys, .n_keys = COUNT(limit_keys)};

static const struct key log_keys[] = {
    CHOICE(config_log, level, log_levels, LOG_LEVEL_INFO),
    CHOICE(config_log, format, log_formats, LOG_FORMAT_TEXT),
    {.name = "to",
     .kind = &kind_log_sink,
     FIELD(config_log, path),
     .min = 1,
     .max = MAX_PATH_BYTES},
    SWITCH(config_log, access, true),
};
static const struct table log_table = {
    .place = " in log", .keys = log_keys, .n_keys = COUNT(log_keys)};

static const struct key dns_keys[] = {
    {.name = "servers", .kind = &kind_servers, .max = MAX_SERVERS},
    CHOICE(config_dns, prefer, families, 0),
};
static const struct table dns_table = {
    .place = " in dns", .keys = dns_keys, .n_keys = COUNT(dns_keys)};

static const struct key admin_keys[] = {
    TEXT(config_admin, socket, MAX_SOCKET_PATH, "auto"),
};
const struct table schema_admin = {
    .place = " in admin", .keys = admin_keys, .n_keys = COUNT(admin_keys)};

static const struct key top_keys[] = {
    NUMBER(config, workers, MAX_WORKERS, 0),
    TEXT(config, state, MAX_PATH_BYTES, ""),
    TEXT(config, user, MAX_NAME_BYTES, "nobody"),
    MAP(config, limits, &limits_table),
    MAP(config, dns, &dns_table),
    MAP(config, log, &log_table),
    MAP(config, admin, &schema_admin),
    {.name = "inbounds",
     .kind = &kind_maps,
     .offset = offsetof(struct config, inbounds),
     .n_offset = offsetof(struct config, n_inbounds),
     .table = &inbound_table,
     .min = 1,
     .max = MAX_INBOUNDS,
     .required = true,
     .example = "inbounds: [{type: mixed, listen: 1080}]"},
    {.name = "outbounds",
     .kind = &kind_maps,
     .offset = offsetof(struct config, outbounds),
     .n_offset = offsetof(struct config, n_outbounds),
     .table = &outbound_table,
     .max = MAX_OUTBOUNDS},
    {.name = "routes", .kind = &kind_routes},
};
const struct table schema = {.place = "", .keys = top_keys, .n_keys = COUNT(top_keys)};

#define FITS(keys) static_assert(COUNT(keys) <= MAX_TABLE_KEYS, "MAX_TABLE_KEYS is too small")
FITS(user_keys);
FITS(tunnel_user_keys);
FITS(inbound_keys);
FITS(outbound_keys);
FITS(limit_keys);
FITS(log_keys);
FITS(dns_keys);
FITS(top_keys);

const char *schema_inbound_type(enum config_inbound_type type)
{
    const struct choice *choice = inbound_types;

    while (choice->value != (int)type)
        choice++;
    return choice->name;
}
