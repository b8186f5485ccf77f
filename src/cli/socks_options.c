/*
 * The letters, their meaning and their defaults are those of the older program osocks, with -4, -6
 * and the long names beside. A table has those whose value is a number.
 */
#include "cli/socks_options.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_PORT 1080
#define DEFAULT_IDLE_MS 64000
#define DEFAULT_CONNECT_MS 8000

#define MAX_MS 2147483647 /* 24 days */
#define MAX_CONNECTIONS 4294967295

enum { OPTION_USERS_FILE = CLI_LONG_ONLY };

/* clang-format off */
#define AFTER_ADDRESS                                                                              \
    {'p', CLI_NOTHING, NULL, "PORT", "where to listen (1080); 0 takes a free one"},                \
    {'n', CLI_NOTHING, NULL, "NUM",                                                                \
     "how many sessions at once (unlimited); more are accepted and closed"},                       \
    {'T', CLI_NOTHING, NULL, "MS",                                                                 \
     "how long connecting may take (8000); the look-up counts too; 0: no limit"},                  \
    {'I', CLI_NOTHING, NULL, "MS", "how long a session may be idle (64000); 0: no limit"},         \
    {'4', .help = "dials targets by IPv4 only"},                                                   \
    {'6', .help = "dials targets by IPv6 only"},                                                   \
    {OPTION_USERS_FILE, CLI_FILE, "users-file", "FILE",                                            \
     "lets in the users of this file only; lines of name:password or, as\n"                        \
     "sockeye passwd prints them, of name:hash"},                                                  \
    {'s', .help = "logs to syslog"},                                                               \
    {'v', .help = "says more; twice: still more"},                                                 \
    CLI_VERSION_OPTION, CLI_HELP_OPTION, {0}
/* clang-format on */

const struct cli_option socks_table[] = {
    {'l', CLI_ADDRESS, NULL, "ADDR",
     "where to listen (127.0.0.1); * is every address of both families. Beyond\n"
     "loopback anyone can use it unless it has users, so it warns."},
    AFTER_ADDRESS,
};

const struct cli_option osocks_table[] = {
    {'l', CLI_ADDRESS, NULL, "ADDR",
     "where to listen (0.0.0.0); * is every address of both families. Anyone\n"
     "who reaches it can use it unless it has users, so it warns."},
    AFTER_ADDRESS,
};

static const struct number_option {
    int letter;
    size_t field; /* in struct socks_options */
    uint64_t max;
    const char *expected;
} number_options[] = {
    {'n', offsetof(struct socks_options, connections), MAX_CONNECTIONS,
     "a number of connections, 0 for no limit"},
    {'I', offsetof(struct socks_options, idle_ms), MAX_MS,
     "milliseconds from 0, which is no limit, to 2147483647"},
    {'T', offsetof(struct socks_options, connect_ms), MAX_MS,
     "milliseconds from 0, which is no limit, to 2147483647"},
};

static enum socks_wish wrong(char *message, int letter, const char *value, const char *expected)
{
    snprintf(message, SOCKS_MESSAGE_BYTES, "-%c %.64s: expected %s", letter, value, expected);
    return SOCKS_WRONG;
}

static void set_loopback(struct target_rule rules[static 2])
{
    rules[0] = (struct target_rule){
        .cidr = {.ip = {127}, .family = ADDR_V4, .prefix_bits = 8},
        .port_to = UINT16_MAX,
    };
    rules[1] = (struct target_rule){
        .cidr = {.ip = {[15] = 1}, .family = ADDR_V6, .prefix_bits = 128},
        .port_to = UINT16_MAX,
    };
}

static void set_defaults(struct socks_options *options, bool is_osocks)
{
    *options = (struct socks_options){
        .listens[0].addr = {.family = ADDR_V4, .port = DEFAULT_PORT},
        .n_listens = 1,
        .idle_ms = DEFAULT_IDLE_MS,
        .connect_ms = DEFAULT_CONNECT_MS,
        .is_osocks = is_osocks,
    };
    if (!is_osocks)
        memcpy(options->listens[0].addr.ip, (const uint8_t[]){127, 0, 0, 1}, 4);
    set_loopback(options->loopback);
}

/* The port stays what it is, whichever option comes first. */
static enum socks_wish set_address(struct socks_options *options, const char *text, char *message)
{
    uint16_t port = options->listens[0].addr.port;
    struct addr addr = {.family = ADDR_V4};
    if (strcmp(text, "*") == 0) {
        options->listens[1] =
            (struct config_listen){.addr = {.family = ADDR_V6, .port = port}, .optional = true};
        options->n_listens = 2;
    } else if (addr_parse_ip(&addr, text, strlen(text)) == ERR_NONE) {
        addr_unmap(&addr);
        options->n_listens = 1;
    } else {
        return wrong(message, 'l', text,
                     "an address, such as 127.0.0.1 or ::1, or * for all of both families");
    }
    addr.port = port;
    options->listens[0] = (struct config_listen){.addr = addr, .optional = options->n_listens == 2};
    return SOCKS_SERVE;
}

static enum socks_wish set_port(struct socks_options *options, const char *text, char *message)
{
    uint16_t port;
    if (addr_parse_port(&port, text, strlen(text)) != ERR_NONE)
        return wrong(message, 'p', text, "a port from 0, which takes a free one, to 65535");
    options->listens[0].addr.port = options->listens[1].addr.port = port;
    return SOCKS_SERVE;
}

static enum socks_wish set_family(struct socks_options *options, unsigned family, char *message)
{
    if (options->family != 0 && options->family != family) {
        snprintf(message, SOCKS_MESSAGE_BYTES, "-4 and -6 exclude each other");
        return SOCKS_WRONG;
    }
    options->family = family;
    return SOCKS_SERVE;
}

/* Decimal, digits only. */
static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t number = 0;
    if (text[0] == '\0')
        return false;
    for (; *text != '\0'; text++) {
        unsigned digit = (unsigned)(*text - '0');
        if (digit > 9 || number > (max - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

static enum socks_wish set_number(struct socks_options *options, int letter, const char *text,
                                  char *message)
{
    for (size_t i = 0; i < sizeof number_options / sizeof number_options[0]; i++) {
        const struct number_option *option = &number_options[i];
        uint64_t number;
        if (option->letter != letter)
            continue;
        if (!parse_number(text, option->max, &number))
            return wrong(message, letter, text, option->expected);
        memcpy((char *)options + option->field, &number, sizeof number);
        return SOCKS_SERVE;
    }
    return SOCKS_WRONG;
}

static enum socks_wish not_an_option(int got, char **argv, char *message)
{
    const char *word = argv[optind - 1];
    bool is_long = strncmp(word, "--", 2) == 0;
    const char letter[] = {'-', (char)optopt, '\0'};
    snprintf(message, SOCKS_MESSAGE_BYTES,
             got == ':' ? "%.64s needs a value" : "no such option: %.64s", is_long ? word : letter);
    return SOCKS_WRONG;
}

static enum socks_wish take(struct socks_options *options, int got, char **argv, char *message)
{
    switch (got) {
    case 'l':
        return set_address(options, optarg, message);
    case 'p':
        return set_port(options, optarg, message);
    case 'n':
    case 'I':
    case 'T':
        return set_number(options, got, optarg, message);
    case '4':
    case '6':
        return set_family(options, (unsigned)(got - '0'), message);
    case 's':
        options->to_syslog = true;
        return SOCKS_SERVE;
    case 'v':
        options->verbosity++;
        return SOCKS_SERVE;
    case 'V':
        return SOCKS_VERSION;
    case 'h':
        return SOCKS_HELP;
    case OPTION_USERS_FILE:
        options->users_file = optarg;
        return SOCKS_SERVE;
    default:
        return not_an_option(got, argv, message);
    }
}

enum socks_wish socks_options_parse(struct socks_options *options, bool is_osocks, int argc,
                                    char **argv, char message[static SOCKS_MESSAGE_BYTES])
{
    set_defaults(options, is_osocks);
    struct cli_getopt getopt;
    cli_getopt_init(&getopt, is_osocks ? osocks_table : socks_table);
    for (int got; (got = getopt_long(argc, argv, getopt.letters, getopt.names, NULL)) != -1;) {
        enum socks_wish wish = take(options, got, argv, message);
        if (wish != SOCKS_SERVE)
            return wish;
    }
    if (optind < argc) {
        snprintf(message, SOCKS_MESSAGE_BYTES, "one word too many: %.64s", argv[optind]);
        return SOCKS_WRONG;
    }
    return SOCKS_SERVE;
}

bool socks_options_are_exposed(const struct socks_options *options)
{
    return !addr_is_loopback(&options->listens[0].addr);
}

void socks_options_apply(struct socks_options *options, struct config *config)
{
    struct config_inbound *inbound = &config->inbounds[0];
    inbound->listens = options->listens;
    inbound->n_listens = options->n_listens;
    inbound->is_exposed = socks_options_are_exposed(options);
    if (options->is_osocks) {
        inbound->allow_targets.items = options->loopback;
        inbound->allow_targets.n = 2;
    }
    config->limits.connections = options->connections;
    config->limits.connect_ms = options->connect_ms;
    config->limits.idle_ms = options->idle_ms;
    config->limits.drain_s = 0;
    /* A session that is idle with one side closed is idle too. */
    if (options->idle_ms > 0 && options->idle_ms < config->limits.half_closed_ms)
        config->limits.half_closed_ms = options->idle_ms;
    config->dns.prefer = (uint8_t)options->family;
    config->dns.only = options->family != 0;
    if (options->to_syslog)
        config->log.sink = LOG_TO_SYSLOG;
    config->log.level = options->verbosity == 0   ? LOG_LEVEL_INFO
                        : options->verbosity == 1 ? LOG_LEVEL_DEBUG
                                                  : LOG_LEVEL_TRACE;
}
