/* sockeye status: asks a running sockeye how it is, at its status socket. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "cli/asking.h"
#include "cli/cli.h"

enum { OPTION_JSON = CLI_LONG_ONLY };

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    const char *socket_path = NULL, *config_path = NULL;
    bool json = false;
    struct cli_parser parser;
    cli_parser_init(&parser, verb, argc, argv);
    for (int got; (got = cli_next(&parser)) != -1;) {
        if (got == 'c')
            config_path = optarg;
        else if (got == ASKING_OPTION_SOCKET)
            socket_path = optarg;
        else
            json = true;
    }
    if (parser.is_over)
        return parser.code;

    char path[PATHS_SOCKET_BYTES];
    char *answer;
    size_t n;
    int code = asking_find_socket(path, socket_path, config_path);
    if (code != EX_OK)
        return code;
    enum err err = asking_ask(path, json ? "status json\n" : "status\n", &answer, &n);
    if (err == ERR_NONE)
        fwrite(answer, 1, n, stdout);
    else
        code = asking_say_failure(path, err, answer);
    free(answer);
    return code;
}

static const struct cli_option options[] = {
    {OPTION_JSON, .name = "json", .help = "as one JSON object"},
    ASKING_OPTIONS,
    CLI_HELP_OPTION,
    {0},
};

const struct cli_verb cli_status = {
    .name = "status",
    .about =
        "Asks a running sockeye for its flows, workers, tunnels and limits, and what it refused\n"
        "and why.",
    .options = options,
    .run = run,
};
