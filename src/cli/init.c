/* sockeye init: two configurations that fit each other, with a fresh key. It asks nothing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "base/addr.h"
#include "base/secret.h"
#include "cli/cli.h"
#include "cli/freshkey.h"
#include "cli/newfile.h"
#include "crypto/crypto.h"
#include "tunnel/replays.h"

#define DEFAULT_PORT 4194
#define TEXT_BYTES 2048

static const char server_format[] =
    "# The far end of a tunnel: it connects to what clients ask for. On the server:\n"
    "#     sockeye run -c server.yaml\n"
    "state: state    # beside this file; as a service of systemd, which has a place for it, leave "
    "it out\n"
    "inbounds:\n"
    "  - type: tunnel\n"
    "    name: tunnel\n"
    "    listen: \"*:%u\"\n"
    "    key: \"%s\"\n"
    "    speedtest: true    # whoever has the key may ask `sockeye speedtest`\n";

static const char client_format[] =
    "# The near end of a tunnel: SOCKS and HTTP for the programs of this machine. Here:\n"
    "#     sockeye run -c client.yaml\n"
    "inbounds:\n"
    "  - {type: mixed, name: local, listen: \"127.0.0.1:1080\"}\n"
    "outbounds:\n"
    "  - type: tunnel\n"
    "    name: home\n"
    "    server: \"%s\"\n"
    "    key: \"%s\"\n";

struct plan {
    struct target server;
    bool has_server; /* it was named */
    const char *folder;
    char server_path[PATHS_BYTES], client_path[PATHS_BYTES], state_path[PATHS_BYTES];
};

/* It is written into YAML, in double quotes. */
static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~' || strchr("\"'\\$", *text) != NULL)
            return false;
    return true;
}

static bool read_server(struct plan *plan, const char *text)
{
    size_t n = strlen(text);
    plan->has_server = true;
    if (!is_plain(text))
        return false;
    if (target_parse(&plan->server, text, n) == ERR_NONE)
        return plan->server.addr.port != 0;
    bool is_bracketed = n > 2 && text[0] == '[' && text[n - 1] == ']';
    if (is_bracketed) {
        text++;
        n -= 2;
    }
    return target_set_host(&plan->server, text, n, DEFAULT_PORT) == ERR_NONE &&
           (!is_bracketed || plan->server.addr.family == ADDR_V6);
}

static bool join(char out[static PATHS_BYTES], const char *folder, const char *name)
{
    return snprintf(out, PATHS_BYTES, "%s/%s", folder, name) < PATHS_BYTES;
}

static int complain(const char *path, const char *why)
{
    fprintf(stderr, "sockeye: %s: %s\n", path, why);
    return EX_CANTCREAT;
}

static int make_folder(const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return EX_OK;
    return complain(path, strerror(errno));
}

/* What the server knows of flights that were sent to it: of a fresh key there are none. Without it a
 * server waits for two seconds at its first start, as it cannot tell. */
static int make_state(const struct plan *plan, const struct fresh_key *key)
{
    enum err err = crypto_load();
    if (err == ERR_NOT_FOUND) {
        fprintf(stderr, "sockeye: OpenSSL's libcrypto, version 3, is not there\n");
        return EX_UNAVAILABLE;
    }
    int code = err == ERR_NONE ? make_folder(plan->state_path) : complain("keys", err_text(err));
    if (code != EX_OK)
        return code;
    err = replays_make(plan->state_path, key->bytes, key->n);
    return err == ERR_NONE ? EX_OK : complain(plan->state_path, err_text(err));
}

static int write_both(const struct plan *plan, const struct fresh_key *key)
{
    char text[TEXT_BYTES], server[TARGET_TEXT_BYTES];
    target_format(&plan->server, server);
    int n = snprintf(text, sizeof text, server_format, (unsigned)plan->server.addr.port, key->text);
    int code = newfile_make(plan->server_path, 0600, text, (size_t)n);
    if (code == EX_OK) {
        n = snprintf(text, sizeof text, client_format, server, key->text);
        code = newfile_make(plan->client_path, 0600, text, (size_t)n);
        if (code != EX_OK)
            newfile_unmake(plan->server_path);
    }
    secret_wipe(text, sizeof text);
    return code;
}

static int make(const struct plan *plan)
{
    struct fresh_key key;
    int code = make_folder(plan->folder);
    if (code == EX_OK)
        code = fresh_key_draw(&key, FRESH_KEY_MAX_BITS);
    if (code != EX_OK)
        return code;
    code = write_both(plan, &key);
    if (code == EX_OK) {
        code = make_state(plan, &key);
        if (code != EX_OK) {
            newfile_unmake(plan->server_path);
            newfile_unmake(plan->client_path);
        }
    }
    secret_wipe(&key, sizeof key);
    return code;
}

static void say_what_to_do(const struct plan *plan)
{
    char server[TARGET_TEXT_BYTES];
    target_format(&plan->server, server);
    printf("Made, with a fresh key that only these two files hold:\n"
           "    %s\n"
           "    %s\n"
           "and the folder of what the server remembers, still empty: %s\n\n",
           plan->server_path, plan->client_path, plan->state_path);
    if (plan->has_server)
        printf("1. Take server.yaml to the server, %s, where TCP port %u must be open, and start "
               "it;\n"
               "   without the folder it makes one, and lets nobody in for two seconds:\n"
               "       sockeye run -c server.yaml\n",
               server, (unsigned)plan->server.addr.port);
    else
        printf("1. Start the server. On another machine, take server.yaml there, open its TCP port "
               "%u,\n"
               "   and put its address in place of 127.0.0.1 into client.yaml:\n"
               "       sockeye run -c %s\n",
               (unsigned)plan->server.addr.port, plan->server_path);
    printf("2. Start the client, here:\n"
           "       sockeye run -c %s\n"
           "3. Try it:\n"
           "       sockeye ping -c %s\n"
           "       curl -x socks5h://127.0.0.1:1080 https://example.com/\n",
           plan->client_path, plan->client_path);
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    static const char nobody[] = "127.0.0.1";
    struct plan plan = {.folder = "."};
    const char *server = NULL;
    struct cli_parser parser;
    cli_parser_init(&parser, verb, argc, argv);
    for (int got; (got = cli_next(&parser)) != -1;) {
        if (got == 'o')
            plan.folder = optarg;
        else
            server = optarg;
    }
    if (parser.is_over)
        return parser.code;
    if (!read_server(&plan, server != NULL ? server : nobody))
        return cli_usage_error(verb, "expected a server's HOST:PORT, found %.64s", server);
    plan.has_server = server != NULL;
    if (!join(plan.server_path, plan.folder, "server.yaml") ||
        !join(plan.client_path, plan.folder, "client.yaml") ||
        !join(plan.state_path, plan.folder, "state"))
        return cli_usage_error(verb, "the folder's path is too long");
    int code = make(&plan);
    if (code == EX_OK)
        say_what_to_do(&plan);
    return code;
}

enum { SERVER = CLI_LONG_ONLY };

static const struct cli_option options[] = {
    {SERVER, CLI_NOTHING, "server", "HOST:PORT",
     "where clients find the server;\nwithout a port it is 4194, without both this machine"},
    {'o', CLI_FILE, "output", "DIR", "the folder, made if it is not there; by default this one"},
    CLI_HELP_OPTION,
    {0},
};

const struct cli_verb cli_init = {
    .name = "init",
    .about = "Writes server.yaml and client.yaml, the two ends of a tunnel with a fresh key, and\n"
             "says how to start and try them. Files that are there are left as they are.",
    .options = options,
    .run = run,
};
