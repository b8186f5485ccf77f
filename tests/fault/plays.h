/* What is played while faults happen: two flows at once, of each kind that there is. */
#ifndef SOCKEYE_TESTS_PLAYS_H
#define SOCKEYE_TESTS_PLAYS_H

#include "world.h"

/* Who is beside the one that a play is about. */
#define NEIGHBOUR                                                                 \
    {                                                                             \
        .protocol = SOCKS5, .n_up = 3000, .n_down = 5000, .ending = CLIENT_FIRST, \
        .outcome = COMPLETED                                                      \
    }
#define NEIGHBOUR_WITH_LOGIN                                                  \
    {                                                                         \
        .protocol = HTTP, .login = RIGHT_LOGIN, .n_up = 3000, .n_down = 5000, \
        .ending = ORIGIN_FIRST, .outcome = COMPLETED                          \
    }

static const struct play plays[] = {
    {
        .title = "socks5 to an address, bulk both ways",
        .scripts = {{.protocol = SOCKS5,
                     .step_by_step = true,
                     .n_up = 150000,
                     .n_down = 150000,
                     .ending = BOTH_AT_ONCE,
                     .outcome = COMPLETED},
                    NEIGHBOUR},
        .n = 2,
    },
    {
        .title = "bulk to a client that is slow to read",
        .scripts = {{.protocol = SOCKS5,
                     .n_up = 10,
                     .n_down = 400000,
                     .ending = CLIENT_FIRST,
                     .reads_after = 12,
                     .outcome = COMPLETED},
                    NEIGHBOUR},
        .n = 2,
    },
    {
        .title = "socks5 to a name, the client ends first",
        .scripts = {{.protocol = SOCKS5,
                     .step_by_step = true,
                     .name = "origin.test",
                     .n_up = 500,
                     .n_down = 40000,
                     .ending = CLIENT_FIRST,
                     .outcome = COMPLETED},
                    NEIGHBOUR},
        .n = 2,
    },
    {
        .title = "socks4a to a name of both families, the origin ends first",
        .scripts = {{.protocol = SOCKS4A,
                     .name = "both.test",
                     .n_up = 40000,
                     .n_down = 500,
                     .ending = ORIGIN_FIRST,
                     .outcome = COMPLETED},
                    NEIGHBOUR},
        .n = 2,
    },
    {
        .title = "two flows to one name",
        .scripts = {{.protocol = SOCKS5,
                     .name = "origin.test",
                     .n_up = 500,
                     .n_down = 500,
                     .ending = CLIENT_FIRST,
                     .outcome = COMPLETED},
                    {.protocol = SOCKS4A,
                     .name = "origin.test",
                     .n_up = 500,
                     .n_down = 500,
                     .ending = CLIENT_FIRST,
                     .outcome = COMPLETED}},
        .n = 2,
        .n_may_suffer = 2, /* they wait for one answer */
    },
    {
        .title = "http connect with early data",
        .scripts = {{.protocol = HTTP,
                     .n_up = 60000,
                     .n_down = 300,
                     .ending = CLIENT_FIRST,
                     .outcome = COMPLETED},
                    NEIGHBOUR},
        .n = 2,
        .counts_clients = true,
    },
    {
        .title = "socks5 with a login",
        .scripts = {{.protocol = SOCKS5,
                     .login = RIGHT_LOGIN,
                     .step_by_step = true,
                     .n_up = 100,
                     .n_down = 100,
                     .ending = BOTH_AT_ONCE,
                     .outcome = COMPLETED},
                    NEIGHBOUR_WITH_LOGIN},
        .n = 2,
        .has_users = true,
    },
    {
        .title = "wrong logins",
        .scripts = {{.protocol = SOCKS5, .login = WRONG_LOGIN, .outcome = REFUSED, .code = 1},
                    {.protocol = HTTP, .login = WRONG_LOGIN, .outcome = REFUSED, .code = 407},
                    NEIGHBOUR_WITH_LOGIN},
        .n = 3,
        .has_users = true,
    },
    {
        .title = "targets that refuse or are denied",
        .scripts = {{.protocol = SOCKS5, .target = REFUSES, .outcome = REFUSED, .code = 5},
                    {.protocol = HTTP, .target = IS_DENIED, .outcome = REFUSED, .code = 403},
                    NEIGHBOUR},
        .n = 3,
    },
    {
        .title = "a name that does not exist",
        .scripts = {{.protocol = SOCKS5, .name = "nothing.test", .outcome = REFUSED, .code = 4},
                    NEIGHBOUR},
        .n = 2,
    },
    {
        .title = "resets in the middle of bulk",
        .scripts = {{.protocol = SOCKS5,
                     .n_up = 150000,
                     .n_down = 150000,
                     .ending = CLIENT_BREAKS,
                     .outcome = GONE},
                    {.protocol = SOCKS5,
                     .n_up = 150000,
                     .n_down = 150000,
                     .ending = ORIGIN_BREAKS,
                     .outcome = CUT},
                    NEIGHBOUR},
        .n = 3,
    },
    {
        .title = "clients that leave while we dial or look up",
        .scripts =
            {{.protocol = SOCKS5, .target = HANGS, .ending = CLIENT_LEAVES, .outcome = GONE},
             {.protocol = SOCKS5, .name = "silent.test", .ending = CLIENT_RESETS, .outcome = GONE},
             NEIGHBOUR},
        .n = 3,
        .may_time_out = true, /* an end that reading was late to tell of */
    },
    {
        .title = "through a socks upstream, to a name and to an address",
        .upstream = BY_SOCKS,
        .scripts = {{.protocol = SOCKS5,
                     .name = "origin.test",
                     .n_up = 500,
                     .n_down = 40000,
                     .ending = CLIENT_FIRST,
                     .outcome = COMPLETED},
                    NEIGHBOUR},
        .n = 2,
    },
    {
        .title = "through a socks and an http upstream with logins",
        .upstream = BY_HTTP_VIA_SOCKS,
        .scripts = {{.protocol = SOCKS5,
                     .login = RIGHT_LOGIN,
                     .n_up = 500,
                     .n_down = 500,
                     .ending = BOTH_AT_ONCE,
                     .outcome = COMPLETED},
                    NEIGHBOUR_WITH_LOGIN},
        .n = 2,
        .has_users = true,
    },
    {
        .title = "targets that an upstream cannot reach, and a client that leaves meanwhile",
        .upstream = BY_SOCKS,
        .scripts =
            {{.protocol = SOCKS5, .target = REFUSES, .outcome = REFUSED, .code = 5},
             {.protocol = HTTP, .name = "nothing.test", .outcome = REFUSED, .code = 502},
             {.protocol = SOCKS5, .target = HANGS, .ending = CLIENT_RESETS, .outcome = GONE}},
        .n = 3,
        .may_time_out = true,
    },
    {
        .title = "a client that says nothing",
        .scripts = {{.is_silent = true, .outcome = CLOSED}},
        .n = 1,
        .may_time_out = true,
        .handshake_ms = 10,
    },
    {
        .title = "a flow that falls silent",
        .scripts =
            {{.protocol = SOCKS5, .n_up = 10, .n_down = 10, .ending = NOBODY_ENDS, .outcome = CUT}},
        .n = 1,
        .may_time_out = true,
        .idle_ms = 10,
    },
};

#endif
