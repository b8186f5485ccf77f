/*
 * ACCEPTANCE 70: the whole program, from its start by way of one who asks for its status to its
 * end by SIGTERM, again and again in one process, while each system call and each allocation (and
 * each beginning of a thread) fails in its turn. It may start or refuse to, but says which; and
 * when it has ended, no descriptor and no memory of it is left.
 */
#include "program.h"

static struct config *make_config(unsigned n_workers)
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

struct plan {
    const char *backend;
    unsigned n_workers;
    enum sys_fault fault; /* NONE: allocations fail */
};

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

static const char *hit_by(const struct plan *plan, uint64_t n)
{
    if (plan->fault != SYS_FAULT_NONE)
        return sys_fault_hit();
    return n_allocations >= n ? "allocation" : NULL;
}

/* Returns false when the nth comes after the program's end. */
static bool run_with_fault(const struct plan *plan, uint64_t n)
{
    size_t n_fds = count_fds(), n_answer;
    int64_t n_blocks_before = n_blocks, n_mapped_before = n_mapped_bytes;
    struct config *config = make_config(plan->n_workers);
    sys_fault_set(plan->fault, n);
    allocator_fail(plan->fault == SYS_FAULT_NONE ? n : 0);
    int code = run_with_visitor(config, &n_answer);
    const char *hit = hit_by(plan, n);
    sys_fault_set(SYS_FAULT_NONE, 0);
    allocator_fail(0);
    bool is_ready = strstr(said, "sockeye: ready\n") != NULL;
    bool may_harm = hit != NULL && plan->fault != SYS_FAULT_SHORT && plan->fault != SYS_FAULT_LATE;
    if (!may_harm && (code != EX_OK || n_answer == 0))
        fail_msg("fault %u, %s: code %d, %zu bytes of status, and it said: %s", (unsigned)n,
                 hit == NULL ? "none" : hit, code, n_answer, said);
    if (code == EX_OK ? !is_ready : !says_why())
        fail_msg("fault %u, %s: code %d, and it said: %s", (unsigned)n, hit, code, said);
    if (n_bad_closes > 0)
        fail_msg("fault %u, %s: what was not open was closed", (unsigned)n, hit);
    if (n_blocks != n_blocks_before || n_mapped_bytes != n_mapped_before || count_fds() != n_fds)
        fail_msg("fault %u, %s: %d blocks, %d bytes, %d descriptors are left", (unsigned)n, hit,
                 (int)(n_blocks - n_blocks_before), (int)(n_mapped_bytes - n_mapped_before),
                 (int)count_fds() - (int)n_fds);
    return hit != NULL;
}

static void with_each_fault(void **state)
{
    const struct plan *plan = *state;
    uint64_t n = 1;
    setenv("SOCKEYE_BACKEND", plan->backend, 1);
    while (run_with_fault(plan, n))
        n++;
    print_message("             %u faults\n", (unsigned)n - 1);
    assert_true(n > 40);
}

int main(void)
{
    static struct plan calls_epoll = {"epoll", 2, SYS_FAULT_FAIL};
    static struct plan calls_poll = {"poll", 1, SYS_FAULT_FAIL};
    static struct plan short_poll = {"poll", 1, SYS_FAULT_SHORT};
    static struct plan late_poll = {"poll", 1, SYS_FAULT_LATE};
    static struct plan memory_epoll = {"epoll", 2, SYS_FAULT_NONE};
    static struct plan memory_poll = {"poll", 1, SYS_FAULT_NONE};
    const struct CMUnitTest tests[] = {
        {"acc_70_each_call_fails (epoll)", with_each_fault, NULL, NULL, &calls_epoll},
        {"acc_70_each_call_fails (poll)", with_each_fault, NULL, NULL, &calls_poll},
        {"acc_70_each_call_is_short (poll)", with_each_fault, NULL, NULL, &short_poll},
        {"acc_70_each_call_is_late (poll)", with_each_fault, NULL, NULL, &late_poll},
        {"acc_70_each_allocation_fails (epoll)", with_each_fault, NULL, NULL, &memory_epoll},
        {"acc_70_each_allocation_fails (poll)", with_each_fault, NULL, NULL, &memory_poll},
    };
    return cmocka_run_group_tests(tests, begin, end);
}
