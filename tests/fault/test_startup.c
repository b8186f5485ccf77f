/*
 * ACCEPTANCE 70: the whole program, from its start by way of one who asks for its status to its
 * end by SIGTERM, again and again in one process, while each system call and each allocation (and
 * each beginning of a thread) fails in its turn. It may start or refuse to, but says which; and
 * when it has ended, no descriptor and no memory of it is left.
 */
#include "program.h"

static struct config *make_config(void)
{
    char text[1024];
    struct config *config;
    struct config_messages messages = {.say = complain};
    int n = snprintf(text, sizeof text,
                     "workers: %u\n"
                     "user: ''\n"
                     "log: {to: %s/log, level: trace}\n"
                     "admin: {socket: %s/admin}\n"
                     "dns: {servers: [127.0.0.1]}\n"
                     "limits: {drain_s: 0}\n"
                     "inbounds:\n"
                     "  - {type: mixed, listen: ['127.0.0.1:0', '[::1]:0'],\n"
                     "     users: [{name: ann, password: pw}]}\n"
                     "  - {type: http, listen: '127.0.0.1:0'}\n",
                     n_workers, dir, dir);
    assert_int_equal(config_parse(&config, "test", text, (size_t)n, &paths_sources, &messages),
                     ERR_NONE);
    return config;
}

/* ---- somebody asks for the status, then ends the program ---- */

static _Atomic(bool) has_ended;

static void *visit(void *arg)
{
    size_t *n_answer = arg;
    char bytes[4096];
    int fd = -1;
    while (!has_ended && (fd = connect_to_admin()) < 0)
        usleep(500);
    if (fd >= 0) {
        ssize_t got = send(fd, "status json\n", 12, MSG_NOSIGNAL);
        while (got > 0 && (got = recv(fd, bytes, sizeof bytes, 0)) > 0)
            *n_answer += (size_t)got;
        close(fd);
    }
    if (!has_ended)
        kill(getpid(), SIGTERM);
    return NULL;
}

static int run_with_visitor(struct config *config, size_t *n_answer)
{
    pthread_t visitor;
    *n_answer = 0;
    has_ended = false;
    assert_int_equal(__real_pthread_create(&visitor, NULL, visit, n_answer), 0);
    static const struct daemon_options options = {.config_path = "test",
                                                  .admin = &admin_for_daemon};
    int code = run(config, &options);
    has_ended = true;
    assert_int_equal(pthread_join(visitor, NULL), 0);
    /* Who came too late to be heard. */
    static const struct timespec at_once = {0};
    while (sigtimedwait(&ends, NULL, &at_once) > 0)
        ;
    return code;
}

/* ---- faults ---- */

/* Whether more was said than who listens where. */
static bool says_why(void)
{
    static const char usual[] = "sockeye: listening on ";
    for (const char *line = said; *line != '\0'; line = strchr(line, '\n') + 1) {
        assert_non_null(strchr(line, '\n'));
        if (strncmp(line, usual, sizeof usual - 1) != 0)
            return true;
    }
    return false;
}

static void run_with_fault(struct fault *fault)
{
    size_t n_answer;
    choose_backend(fault->backend);
    struct config *config = make_config();
    fault_begin(fault);
    int code = run_with_visitor(config, &n_answer);
    fault_end(fault);
    bool is_ready = strstr(said, "sockeye: ready\n") != NULL;
    if (!fault_may_harm(fault) && (code != EX_OK || n_answer == 0))
        FAULT_FAIL(fault, "code %d, %zu bytes of status, and it said: %s", code, n_answer, said);
    if (code == EX_OK ? !is_ready : !says_why())
        FAULT_FAIL(fault, "code %d, and it said: %s", code, said);
}

static void with_each_fault(void **state)
{
    fault_each(*state, run_with_fault, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_CALL_FAILS("acc_70", with_each_fault),
        EACH_CALL_IS_SHORT_OR_LATE("acc_70", with_each_fault),
        EACH_ALLOCATION_FAILS("acc_70", with_each_fault),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
