/*
 * ACCEPTANCE 62 and 70: a reload of the running program while each system call and each allocation
 * (and the beginning of its thread) fails in its turn. It is made or refused, and the program lives
 * by one configuration or by the other, never by a half of each; the next reload, without a fault,
 * is made; and in the end no descriptor, no memory and no file is left.
 */
#include "program.h"

#define READY_MS 1000

static _Atomic(unsigned) n_loaded;
static int manager; /* hears what the service manager would */
static char manager_name[64];

/* Listeners that stay, that go and that come, in turn; and other servers, so that a new channel is
 * opened to them. */
static enum err load(void *arg, struct config **out, struct config_messages *messages)
{
    static const char *const listens[] = {"['127.0.0.1:0', '127.0.0.2:0']",
                                          "['127.0.0.1:0', '127.0.0.3:0']"};
    (void)arg;
    char text[1024];
    unsigned turn = n_loaded++ % 2;
    int n = snprintf(text, sizeof text,
                     "workers: %u\n"
                     "user: ''\n"
                     "log: {to: %s/log%u, level: trace}\n"
                     "admin: {socket: %s/admin}\n"
                     "dns: {servers: [127.0.0.%u]}\n"
                     "limits: {drain_s: 0}\n"
                     "inbounds:\n"
                     "  - {type: mixed, name: lan, listen: %s,\n"
                     "     users: [{name: ann, password: pw}]}\n"
                     "  - {type: http, name: turn%u, listen: 'unix:%s/socket%u'}\n",
                     n_workers, dir, turn, dir, turn + 1, listens[turn], turn, dir, turn);
    return config_parse(out, "test", text, (size_t)n, &paths_sources, messages);
}

/* ---- the visitor: reloads with a fault, reloads without, looks, and ends it ---- */

struct visit {
    struct fault *fault;
    bool was_made, was_made_again; /* by the status */
    char half[64];                 /* what is of one configuration and what of the other */
};

static size_t ask(char *answer, size_t cap)
{
    size_t n = 0;
    int fd = connect_to_admin();
    if (fd < 0)
        return 0;
    ssize_t got = send(fd, "status json\n", 12, MSG_NOSIGNAL);
    while (got > 0 && n < cap - 1 && (got = recv(fd, answer + n, cap - 1 - n, 0)) > 0)
        n += (size_t)got;
    close(fd);
    answer[n] = '\0';
    return n;
}

static bool await_start(void)
{
    char answer[8192];
    for (int i = 0; i < 2000; i++) {
        if (ask(answer, sizeof answer) > 0)
            return true;
        usleep(500);
    }
    return false;
}

/* Whether READY=1 comes, which may be what fails. */
static bool await_ready(void)
{
    char message[512];
    struct pollfd pollfd = {.fd = manager, .events = POLLIN};
    while (poll(&pollfd, 1, READY_MS) == 1) {
        ssize_t got = recv(manager, message, sizeof message - 1, 0);
        message[got > 0 ? got : 0] = '\0';
        if (strncmp(message, "READY=1\n", 8) == 0)
            return true;
    }
    return false;
}

static bool is_there(const char *name, unsigned turn)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s%u", dir, name, turn);
    return access(path, F_OK) == 0;
}

/* What is said of a socket that is gone may fail, and then its file stays; the next start removes it. */
static bool may_leave_a_file(const char *hit)
{
    return hit != NULL && (strcmp(hit, "stat") == 0 || strcmp(hit, "unlink") == 0);
}

/* The number of reloads made, and what tells the configurations apart must tell the same. */
static int look(struct visit *visit)
{
    char answer[8192];
    ask(answer, sizeof answer);
    const char *reloads = strstr(answer, "\"reloads\":");
    if (reloads == NULL)
        return -1;
    bool is_new = strstr(answer, "\"turn1\"") != NULL;
    bool addr_is_new = strstr(answer, "\"127.0.0.3:") != NULL;
    bool is_left = is_there("socket", !is_new) && !may_leave_a_file(visit->fault->hit);
    if (is_new != addr_is_new || !is_there("socket", is_new) || is_left)
        snprintf(visit->half, sizeof visit->half, "inbound %d, address %d, socket %d %d", is_new,
                 addr_is_new, is_there("socket", 0), is_there("socket", 1));
    return atoi(reloads + strlen("\"reloads\":"));
}

static void *go_through(void *arg)
{
    struct visit *visit = arg;
    if (await_start() && await_ready()) {
        fault_begin(visit->fault);
        kill(getpid(), SIGHUP);
        await_ready();
        fault_end(visit->fault);
        int n = look(visit);
        visit->was_made = n == 1;
        n_loaded = n == 1 ? 2 : 1; /* what is not in force comes next */
        kill(getpid(), SIGHUP);
        visit->was_made_again = await_ready() && look(visit) == n + 1;
    }
    kill(getpid(), SIGTERM);
    return NULL;
}

static int run_visited(struct visit *visit)
{
    static const struct daemon_options options = {
        .config_path = "/dev/null", .load = load, .admin = &admin_for_daemon};
    struct config_messages messages = {.say = complain};
    struct config *config;
    pthread_t visitor;
    char message[512];
    while (recv(manager, message, sizeof message, MSG_DONTWAIT) > 0)
        ;
    setenv("NOTIFY_SOCKET", manager_name, 1);
    n_loaded = 0;
    assert_int_equal(load(NULL, &config, &messages), ERR_NONE);
    assert_int_equal(__real_pthread_create(&visitor, NULL, go_through, visit), 0);
    int code = run(config, &options);
    assert_int_equal(pthread_join(visitor, NULL), 0);
    static const struct timespec at_once = {0};
    while (sigtimedwait(&ends, NULL, &at_once) > 0)
        ;
    return code;
}

static void reload_with_fault(struct fault *fault)
{
    struct visit visit = {.fault = fault};
    choose_backend(fault->backend);
    int code = run_visited(&visit);
    if (code != EX_OK || !visit.was_made_again)
        FAULT_FAIL(fault, "code %d, %s; the next reload was not made; it said: %s", code,
                   visit.was_made ? "made" : "refused", said);
    if (fault->hit == NULL && !visit.was_made)
        FAULT_FAIL(fault, "without a fault it was not made; it said: %s", said);
    if (visit.half[0] != '\0')
        FAULT_FAIL(fault, "half of each: %s", visit.half);
    if ((is_there("socket", 0) || is_there("socket", 1)) && !may_leave_a_file(fault->hit))
        FAULT_FAIL(fault, "a socket's file is left");
}

static void with_each_fault(void **state)
{
    fault_each(*state, reload_with_fault, 20);
}

static int begin_with_manager(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int n = snprintf(manager_name, sizeof manager_name, "@sockeye-test-%d", (int)getpid());
    memcpy(at.sun_path + 1, manager_name + 1, (size_t)n - 1);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(manager, (struct sockaddr *)&at, (socklen_t)(sizeof at.sun_family + (size_t)n)) < 0)
        return -1;
    return begin(state);
}

static int end_with_manager(void **state)
{
    char path[64];
    for (unsigned turn = 0; turn < 2; turn++) {
        snprintf(path, sizeof path, "%s/log%u", dir, turn);
        unlink(path);
        snprintf(path, sizeof path, "%s/socket%u", dir, turn);
        unlink(path);
    }
    close(manager);
    return end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_CALL_FAILS("acc_62", with_each_fault),
        EACH_ALLOCATION_FAILS("acc_62", with_each_fault),
    };
    return cmocka_run_group_tests(tests, begin_with_manager, end_with_manager);
}
