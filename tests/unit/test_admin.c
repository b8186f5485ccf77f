/* The status socket, with real clients on a real loop, and the texts it answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/status_json.h"
#include "admin/status_lines.h"
#include "admin/status_text.h"
#include "daemon/unixsock.h"

#define MAX_PENDING 32

/* The test in the daemon's place: requests are kept until they are answered. */
struct daemon {
    char directory[32];
    char path[64];
    struct loop *loop;
    struct admin *admin;
    bool answers_at_once;
    struct status_request *pending[MAX_PENDING];
    size_t n_pending;
};

static const struct config_limits limits = {.connections = 1000,
                                            .connect_ms = 8000,
                                            .handshake_ms = 10000,
                                            .idle_ms = 7200000,
                                            .half_closed_ms = 300000,
                                            .drain_s = 30};

static char unix_path[] = "/run/proxy";
static const struct listening_on listens[] = {
    {.addr = {.family = ADDR_V4, .ip = {127, 0, 0, 1}, .port = 1080}},
    {.addr = {.family = ADDR_V6, .ip = {[15] = 1}, .port = 1080}},
    {.listen = {.path = unix_path}},
};

static const struct status_inbound inbounds[] = {
    {.name = "la\"n",
     .type = "mixed",
     .listens = listens,
     .n_listens = 3,
     .flows_now = 5,
     .connections = 64},
};

static const struct counters workers[] = {
    {.accepted = 1000,
     .flows_now = 3,
     .flows_total = 900,
     .bytes_up = 512,
     .bytes_down = 5u << 20,
     .ended[FLOW_END_CLOSED] = 890,
     .refused[REFUSAL_PER_CLIENT] = 7,
     .associations_now = 2,
     .datagrams_up = 1234,
     .dropped[DROP_DENIED] = 30},
    {.accepted = 234567,
     .flows_now = 2,
     .flows_total = 200000,
     .bytes_up = 512,
     .ended[FLOW_END_CLOSED] = 10,
     .refused[REFUSAL_PER_CLIENT] = 1,
     .datagrams_down = 5,
     .dropped[DROP_FOREIGN] = 1},
};

static const struct tunnel_session_report sessions[] = {
    {.name = "home",
     .is_near = true,
     .streams_now = 3,
     .streams_total = 1500,
     .sent_bytes = 2048,
     .received_bytes = 3u << 20,
     .resent_bytes = 512,
     .serial = 7,
     .links_cut = 2,
     .n_listeners = 1,
     .listeners = {{.at = {.family = ADDR_V4, .port = 8888}, .inbound = "desk", .is = "listening"}},
     .held_bytes = 77,
     .n_links = 1,
     .links = {{.remote = {.family = ADDR_V4, .ip = {192, 0, 2, 9}, .port = 4194},
                .rtt_us = 12345,
                .min_rtt_us = 12000,
                .rate = 1536,
                .retransmits = 11,
                .sent_bytes = 4096,
                .received_bytes = 5u << 20}},
     .n_streams = 2,
     .streams = {{.id = 2,
                  .srtt_us = 777,
                  .min_rtt_us = 555,
                  .n_sent_bytes = 100,
                  .n_acked_bytes = 90,
                  .n_received_bytes = 80,
                  .n_resent_bytes = 7},
                 {.id = 4}}},
    {.name = "away", .user = "bob", .worker = 1},
};

static const struct status example = {.version = "1.2.3",
                                      .pid = 42,
                                      .uptime_ms = 90061000,
                                      .n_reloads = 3,
                                      .config_read_ms = 1795275001000,
                                      .workers = workers,
                                      .n_workers = 2,
                                      .inbounds = inbounds,
                                      .n_inbounds = 1,
                                      .sessions = sessions,
                                      .n_sessions = 2,
                                      .limits = &limits,
                                      .descriptors_limit = 20000,
                                      .descriptors_in_use = 10};

static void answer(struct status_request *request)
{
    request->status = example;
    request->done(request);
}

static void collect(void *arg, struct status_request *request)
{
    struct daemon *daemon = arg;
    if (daemon->answers_at_once) {
        answer(request);
        return;
    }
    assert_true(daemon->n_pending < MAX_PENDING);
    daemon->pending[daemon->n_pending++] = request;
}

static int set_up(void **state)
{
    struct daemon *daemon = calloc(1, sizeof *daemon);
    strcpy(daemon->directory, "/tmp/test_admin.XXXXXX");
    if (mkdtemp(daemon->directory) == NULL)
        return -1;
    snprintf(daemon->path, sizeof daemon->path, "%s/socket", daemon->directory);
    const char *backend = getenv("SOCKEYE_BACKEND");
    bool is_poll = backend != NULL && strcmp(backend, "poll") == 0;
    daemon->loop = loop_new(is_poll ? LOOP_POLL : LOOP_EPOLL);
    daemon->answers_at_once = true;
    alarm(60);
    *state = daemon;
    return daemon->loop == NULL ||
           admin_new(&daemon->admin, daemon->loop, daemon->path, collect, daemon) != ERR_NONE;
}

static int tear_down(void **state)
{
    struct daemon *daemon = *state;
    alarm(0);
    admin_free(daemon->admin);
    size_t n_left = loop_n_watches(daemon->loop);
    loop_free(daemon->loop);
    unlink(daemon->path);
    rmdir(daemon->directory);
    free(daemon);
    return n_left != 0;
}

static void turn(struct daemon *daemon, int n)
{
    for (int i = 0; i < n; i++)
        assert_true(loop_turn(daemon->loop, 0));
}

static int dial(const struct daemon *daemon)
{
    int fd;
    assert_int_equal(unixsock_connect(&fd, daemon->path), ERR_NONE);
    return fd;
}

static void tell(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

/* Reads to the end while the loop turns; the text is freed by the caller. */
static char *read_all(struct daemon *daemon, int fd)
{
    size_t n = 0, cap = 65536;
    char *text = calloc(1, cap);
    for (;;) {
        ssize_t got = recv(fd, text + n, cap - n - 1, 0);
        if (got == 0)
            break;
        if (got > 0)
            n += (size_t)got;
        else
            assert_int_equal(errno, EAGAIN);
        turn(daemon, 1);
    }
    close(fd);
    return text;
}

static void assert_answered(struct daemon *daemon, int fd, const char *expected)
{
    char *text = read_all(daemon, fd);
    assert_non_null(strstr(text, expected));
    free(text);
}

static void test_a_line_gets_the_status_and_the_end(void **state)
{
    struct daemon *daemon = *state;
    int fd = dial(daemon);
    tell(fd, "status\n");
    assert_answered(daemon, fd, "sockeye 1.2.3, pid 42, up 1d 01:01:01, workers: 2\n");
    fd = dial(daemon);
    tell(fd, "status json\n");
    assert_answered(daemon, fd, "{\"version\":\"1.2.3\",\"pid\":42,");
}

static void test_a_line_may_come_byte_by_byte(void **state)
{
    struct daemon *daemon = *state;
    int fd = dial(daemon);
    for (const char *at = "status\n"; *at != '\0'; at++) {
        assert_int_equal(send(fd, at, 1, 0), 1);
        turn(daemon, 2);
    }
    assert_answered(daemon, fd, "pid 42");
}

static void test_what_is_no_request_is_told_what_is_expected(void **state)
{
    struct daemon *daemon = *state;
    static const char *const lines[] = {"help\n", "status \n", "statu\n", "\n",
                                        "GET / HTTP/1.1 and more than a line may have"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        int fd = dial(daemon);
        tell(fd, lines[i]);
        turn(daemon, 5); /* the answer is there before bytes left unread make a reset of the end */
        char text[64] = {0};
        assert_true(recv(fd, text, sizeof text - 1, 0) > 0);
        assert_non_null(strstr(text, "expected: status"));
        close(fd);
    }
}

static void test_an_answer_may_take_its_time(void **state)
{
    struct daemon *daemon = *state;
    daemon->answers_at_once = false;
    int first = dial(daemon), second = dial(daemon);
    tell(first, "status\n");
    tell(second, "status json\n");
    turn(daemon, 10);
    assert_int_equal(daemon->n_pending, 2);
    answer(daemon->pending[1]);
    assert_answered(daemon, second, "\"pid\":42");
    answer(daemon->pending[0]);
    assert_answered(daemon, first, "pid 42");
}

static void test_a_client_that_leaves_while_its_status_is_collected_harms_nobody(void **state)
{
    struct daemon *daemon = *state;
    daemon->answers_at_once = false;
    int fd = dial(daemon);
    tell(fd, "status\n");
    turn(daemon, 5);
    close(fd);
    turn(daemon, 5);
    assert_int_equal(loop_n_watches(daemon->loop), 1); /* the listener */
    answer(daemon->pending[0]);
    turn(daemon, 5);
}

static void test_the_socket_may_close_before_the_answer_is_there(void **state)
{
    struct daemon *daemon = *state;
    daemon->answers_at_once = false;
    int fd = dial(daemon);
    tell(fd, "status\n");
    turn(daemon, 5);
    admin_free(daemon->admin);
    daemon->admin = NULL;
    turn(daemon, 5);
    answer(daemon->pending[0]);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    assert_int_equal(access(daemon->path, F_OK), -1);
}

static void test_memory_that_ran_out_while_collecting_is_said(void **state)
{
    struct daemon *daemon = *state;
    daemon->answers_at_once = false;
    int fd = dial(daemon);
    tell(fd, "status\n");
    turn(daemon, 5);
    daemon->pending[0]->done(daemon->pending[0]);
    assert_answered(daemon, fd, "out of memory");
}

static void test_clients_are_few_and_others_go_on(void **state)
{
    struct daemon *daemon = *state;
    int fds[20];
    for (size_t i = 0; i < 20; i++)
        fds[i] = dial(daemon);
    turn(daemon, 10);
    assert_int_equal(loop_n_watches(daemon->loop), 1 + 16);
    for (size_t i = 0; i < 20; i++)
        close(fds[i]);
    turn(daemon, 5);
    int fd = dial(daemon);
    tell(fd, "status\n");
    assert_answered(daemon, fd, "pid 42");
}

static void test_the_socket_is_for_its_user_alone(void **state)
{
    struct daemon *daemon = *state;
    struct stat st;
    assert_int_equal(stat(daemon->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_acc_87_a_live_socket_is_kept_and_a_stale_one_removed(void **state)
{
    struct daemon *daemon = *state;
    struct admin *second = NULL;
    assert_int_equal(admin_new(&second, daemon->loop, daemon->path, collect, daemon), ERR_IN_USE);
    int fd = dial(daemon);
    tell(fd, "status\n");
    assert_answered(daemon, fd, "pid 42");

    /* What a process leaves behind that was killed. */
    admin_free(daemon->admin);
    daemon->admin = NULL;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", daemon->path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    close(fd);
    assert_int_equal(admin_new(&daemon->admin, daemon->loop, daemon->path, collect, daemon),
                     ERR_NONE);
    fd = dial(daemon);
    tell(fd, "status\n");
    assert_answered(daemon, fd, "pid 42");
}

static void test_a_file_that_is_no_socket_is_kept(void **state)
{
    struct daemon *daemon = *state;
    struct admin *second = NULL;
    char path[64];
    snprintf(path, sizeof path, "%s/file", daemon->directory);
    fclose(fopen(path, "w"));
    assert_int_equal(admin_new(&second, daemon->loop, path, collect, daemon), ERR_IN_USE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(admin_new(&second, daemon->loop, "/nonexistent/socket", collect, daemon),
                     ERR_NOT_FOUND);
}

static void test_a_socket_that_another_process_has_put_there_is_not_removed(void **state)
{
    struct daemon *daemon = *state;
    char path[64];
    int fd;
    snprintf(path, sizeof path, "%s/other", daemon->directory);
    assert_int_equal(unixsock_listen(&fd, path, 0600), ERR_NONE);
    assert_int_equal(rename(path, daemon->path), 0);
    admin_free(daemon->admin);
    daemon->admin = NULL;
    assert_int_equal(access(daemon->path, F_OK), 0);
    close(fd);
}

static char *formatted(const struct status *status, enum status_form form)
{
    char *text;
    size_t n;
    assert_int_equal(admin_status_format(status, form, &text, &n), ERR_NONE);
    assert_int_equal(strlen(text), n);
    return text;
}

/* Whether a line has these words in this order, whatever is between them. */
static void assert_line(const char *text, const char *const *words)
{
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *end = strchr(line, '\n'), *at = line;
        size_t i = 0;
        while (at != NULL && words[i] != NULL) {
            at = strstr(at, words[i]);
            if (at == NULL || end == NULL || at > end)
                break;
            at += strlen(words[i++]);
        }
        if (words[i] == NULL)
            return;
    }
    fail_msg("no line with %s ... in:\n%s", words[0], text);
}

#define ASSERT_LINE(text, ...) assert_line(text, (const char *const[]){__VA_ARGS__, NULL})

static void test_text_is_for_a_person(void **state)
{
    (void)state;
    char *text = formatted(&example, STATUS_TEXT);
    ASSERT_LINE(text, "worker 1", " 3 ", " 900 ", "512 B", "5.0 MiB");
    ASSERT_LINE(text, "worker 2", " 2 ", " 200,000 ", "512 B", "0 B");
    ASSERT_LINE(text, "together", " 5 ", " 200,900 ", "1.0 KiB", "5.0 MiB");
    ASSERT_LINE(text, "(mixed)", " 5 ", " 64 ", "none", "127.0.0.1:1080 [::1]:1080");
    ASSERT_LINE(text, "connections", " 5 ", "1,000");
    ASSERT_LINE(text, "descriptors", " 10 ", "20,000");
    ASSERT_LINE(text, "connect 8 s", "handshake 10 s", "idle 2 h", "half closed 5 min");
    ASSERT_LINE(text, "closed", " 900");
    ASSERT_LINE(text, "refused", " 8 ", "of 235,567 connections");
    ASSERT_LINE(text, "per_client", " 8 ");
    ASSERT_LINE(text, "datagrams", "associations", "up", "down", "dropped");
    ASSERT_LINE(text, "tunnels", "links", "streams", "total", "sent", "received", "resent");
    ASSERT_LINE(text, "home (near)", "1", "3", "1,500", "2.0 KiB", "3.0 MiB", "512 B");
    ASSERT_LINE(text, "192.0.2.9:4194", "4.0 KiB", "5.0 MiB", " 11 ", "1.5 KiB/s", "12.3 ms");
    ASSERT_LINE(text, "links lost: 2");
    ASSERT_LINE(text, "listening at the far end's 0.0.0.0:8888 (desk)");
    ASSERT_LINE(text, "away (far) bob", "0", "0");
    ASSERT_LINE(text, "together", " 2 ", " 1,234 ", " 5 ", " 31");
    ASSERT_LINE(text, "denied", " 30 ", "a rule denies the target");
    assert_null(strstr(text, "descriptors had run out"));
    free(text);
}

static void test_text_of_many_workers_is_one_screen(void **state)
{
    (void)state;
    struct counters many[200] = {0};
    struct status status = example;
    status.workers = many;
    status.n_workers = 200;
    char *text = formatted(&status, STATUS_TEXT);
    size_t n_lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        n_lines++;
    assert_true(n_lines < 50);
    ASSERT_LINE(text, "and 184 more workers");
    free(text);
}

static void test_json_has_every_counter(void **state)
{
    (void)state;
    char *text = formatted(&example, STATUS_JSON);
    assert_non_null(strstr(text, "\"name\":\"la\\\"n\""));
    assert_non_null(
        strstr(text, "\"addresses\":[\"127.0.0.1:1080\",\"[::1]:1080\",\"unix:/run/proxy\"]"));
    assert_non_null(strstr(text, "\"together\":{\"accepted\":235567,\"flows_now\":5,"));
    assert_non_null(strstr(text, "\"per_client\":8"));
    for (size_t i = 0; i < N_FLOW_ENDS; i++)
        assert_non_null(strstr(text, flow_end_text((enum flow_end)i)));
    for (size_t i = 0; i < N_REFUSALS; i++)
        assert_non_null(strstr(text, refusal_text((enum refusal)i)));
    for (size_t i = 0; i < N_DROPS; i++)
        assert_non_null(strstr(text, drop_text((enum drop)i)));
    assert_non_null(
        strstr(text, "\"associations_now\":2,\"datagrams_up\":1234,\"datagrams_down\":5"));
    assert_non_null(strstr(text, "\"dropped\":{\"foreign\":1,\"malformed\":0,\"denied\":30,"));
    assert_non_null(
        strstr(text, "\"tunnels\":[{\"name\":\"home\",\"user\":\"\",\"end\":\"near\",\"worker\":1,"
                     "\"serial\":7,\"links\":1,\"links_cut\":2,\"listeners\":1,"
                     "\"streams_now\":3,\"streams_total\":1500,"));
    assert_non_null(strstr(text, "\"carriers\":[{\"remote\":\"192.0.2.9:4194\",\"rtt_us\":12345,"
                                 "\"min_rtt_us\":12000,\"rate\":1536,"));
    assert_non_null(strstr(text, "\"listening\":[{\"at\":\"0.0.0.0:8888\",\"inbound\":\"desk\","
                                 "\"is\":\"listening\"}]"));
    assert_non_null(strstr(text, "\"received_bytes\":5242880,\"retransmits\":11}"));
    assert_non_null(
        strstr(text, "\"streams\":[{\"id\":2,\"rtt_us\":777,\"min_rtt_us\":555,\"sent_bytes\":100,"
                     "\"acked_bytes\":90,\"received_bytes\":80,\"resent_bytes\":7},{\"id\":4,"));
    assert_non_null(strstr(text, "{\"name\":\"away\",\"user\":\"bob\",\"end\":\"far\",\"worker\":2,"
                                 "\"serial\":0,\"links\":0,"));
    assert_int_equal(strchr(text, '\n') - text, strlen(text) - 1);
    free(text);
}

static void test_text_of_many_sessions_says_how_many_more_there_are(void **state)
{
    (void)state;
    static struct tunnel_session_report many[1000];
    struct status status = example;
    for (size_t i = 0; i < 1000; i++)
        snprintf(many[i].name, sizeof many[i].name, "s%zu", i);
    status.sessions = many;
    status.n_sessions = 1000;
    char *text = formatted(&status, STATUS_TEXT);
    ASSERT_LINE(text, "s99 (far)");
    assert_null(strstr(text, "s100 (far)"));
    ASSERT_LINE(text, "and 900 more sessions");
    free(text);
}

static void test_json_is_utf8_whatever_a_name_holds(void **state)
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    (void)state;
    admin_print_json_string(out, "j\xf6rg \xc3\xb6\xed\xa0\x80\xc2\x9b\x1b\"\xe2\x82");
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "\"j\xef\xbf\xbdrg \xc3\xb6\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                              "\\u009b\\u001b\\\"\xef\xbf\xbd\xef\xbf\xbd\"");
    free(text);
}

static void test_users_are_told_with_what_their_sessions_add_up_to(void **state)
{
    (void)state;
    static const struct tunnel_session_report many[] = {
        {.name = "in", .user = "bob", .n_links = 1, .streams_now = 2, .sent_bytes = 1024},
        {.name = "in", .user = "ann", .n_links = 2, .streams_now = 3, .received_bytes = 7},
        {.name = "in", .n_links = 9},
        {.name = "other", .user = "bob"},
        {.name = "in", .user = "bob", .n_links = 3, .streams_now = 4, .sent_bytes = 1024},
    };
    struct status status = example;
    status.sessions = many;
    status.n_sessions = sizeof many / sizeof many[0];
    char *text = formatted(&status, STATUS_TEXT);
    ASSERT_LINE(text, "users", "sessions", "links", "streams");
    ASSERT_LINE(text, "ann (in)", " 1 ", " 2 ", " 3 ", "0 B", "7 B");
    ASSERT_LINE(text, "bob (in)", " 2 ", " 4 ", " 6 ", "2.0 KiB", "0 B");
    ASSERT_LINE(text, "bob (other)", " 1 ", " 0 ", " 0 ");
    free(text);
    text = formatted(&status, STATUS_JSON);
    assert_non_null(strstr(text, "\"users\":[{\"name\":\"ann\",\"inbound\":\"in\",\"sessions\":1,"
                                 "\"links\":2,\"streams_now\":3,"
                                 "\"sent_bytes\":0,\"received_bytes\":7},{\"name\":\"bob\","
                                 "\"inbound\":\"in\",\"sessions\":2,"));
    free(text);
    text = formatted(&example, STATUS_TEXT);
    ASSERT_LINE(text, "bob (away)");
    free(text);
}

static void test_lines_are_read_as_they_were_written(void **state)
{
    (void)state;
    struct status_lines lines;
    struct tunnel_session_report odd = {.name = "a\tb\n\033[31m", .is_near = true, .n_links = 1};
    struct status status = example;
    char *text = formatted(&example, STATUS_LINES);
    assert_int_equal(status_lines_read(&lines, text, strlen(text)), ERR_NONE);
    assert_string_equal(lines.version, "1.2.3");
    assert_int_equal(lines.pid, 42);
    assert_int_equal(lines.uptime_ms, 90061000);
    assert_int_equal(lines.flows_now, 5);
    assert_int_equal(lines.flows_total, 200900);
    assert_int_equal(lines.bytes_up, 1024);
    assert_int_equal(lines.bytes_down, 5u << 20);
    assert_int_equal(lines.refused, 8);
    assert_int_equal(lines.n_sessions, 2);
    const struct status_lines_session *session = lines.sessions;
    assert_true(session[0].is_near);
    assert_int_equal(session[0].worker, 1);
    assert_int_equal(session[0].serial, 7);
    assert_string_equal(session[0].name, "home");
    assert_string_equal(session[0].user, "");
    assert_string_equal(session[1].user, "bob");
    assert_int_equal(session[0].streams_now, 3);
    assert_int_equal(session[0].streams_total, 1500);
    assert_int_equal(session[0].sent, 2048);
    assert_int_equal(session[0].received, 3u << 20);
    assert_int_equal(session[0].resent, 512);
    assert_int_equal(session[0].n_links, 1);
    assert_int_equal(session[0].links_cut, 2);
    assert_int_equal(session[0].n_links_told, 1);
    assert_false(session[1].is_near);
    assert_int_equal(session[1].n_links_told, 0);
    assert_int_equal(lines.n_links, 1);
    assert_string_equal(lines.links[0].remote, "192.0.2.9:4194");
    assert_int_equal(lines.links[0].rtt_us, 12345);
    assert_int_equal(lines.links[0].sent, 4096);
    assert_int_equal(lines.links[0].received, 5u << 20);
    assert_int_equal(lines.links[0].retransmits, 11);
    status_lines_free(&lines);
    /* Cut off anywhere it is none. */
    for (size_t n = 0; n < strlen(text); n++)
        assert_int_equal(status_lines_read(&lines, text, n), ERR_BAD);
    free(text);
    /* Names that would move a cursor do not. */
    status.sessions = &odd;
    status.n_sessions = 1;
    text = formatted(&status, STATUS_LINES);
    assert_int_equal(status_lines_read(&lines, text, strlen(text)), ERR_NONE);
    assert_string_equal(lines.sessions[0].name, "a?b??[31m");
    assert_string_equal(lines.links[0].remote, "by another tunnel");
    status_lines_free(&lines);
    free(text);
}

static void test_lines_that_are_none_are_refused(void **state)
{
    (void)state;
#define HEAD "sockeye\t1\t1\t2\t3\t4\t5\t6\t7\n"
    static const char *const bad[] = {
        "",
        "end\n",
        HEAD,
        HEAD HEAD "end\n",
        HEAD "end\nend\n",
        HEAD "other\nend\n",
        HEAD "link\ta\t9\t1\t2\t3\t4\nend\n",                           /* of no session */
        HEAD "session\t1\t1\tmid\ta\tu\t1\t2\t3\t4\t5\t6\t7\nend\n",    /* neither end */
        HEAD "session\t1\t1\tfar\ta\tu\t1\t2\t3\t4\t5\t6\nend\n",       /* a number too few */
        HEAD "session\t1\t1\tfar\ta\tu\t1\t2\t3\t4\t5\t6\t7\t8\nend\n", /* too many */
        HEAD "session\t1\t1\tfar\ta\tu\t1\t2\t3\t4\t5\t6\t-7\nend\n",
        HEAD "session\t1\t1\tfar\ta\033\tu\t1\t2\t3\t4\t5\t6\t7\nend\n",
        "error: out of memory\n",
    };
    static const char good[] = HEAD "session\t1\t1\tfar\ta\tu\t1\t2\t3\t4\t5\t6\t7\nend\n";
    struct status_lines lines;
    assert_int_equal(status_lines_read(&lines, good, strlen(good)), ERR_NONE);
    status_lines_free(&lines);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(status_lines_read(&lines, bad[i], strlen(bad[i])), ERR_BAD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_line_gets_the_status_and_the_end),
        TEST(test_a_line_may_come_byte_by_byte),
        TEST(test_what_is_no_request_is_told_what_is_expected),
        TEST(test_an_answer_may_take_its_time),
        TEST(test_a_client_that_leaves_while_its_status_is_collected_harms_nobody),
        TEST(test_the_socket_may_close_before_the_answer_is_there),
        TEST(test_memory_that_ran_out_while_collecting_is_said),
        TEST(test_clients_are_few_and_others_go_on),
        TEST(test_the_socket_is_for_its_user_alone),
        TEST(test_acc_87_a_live_socket_is_kept_and_a_stale_one_removed),
        TEST(test_a_file_that_is_no_socket_is_kept),
        TEST(test_a_socket_that_another_process_has_put_there_is_not_removed),
        cmocka_unit_test(test_text_is_for_a_person),
        cmocka_unit_test(test_text_of_many_workers_is_one_screen),
        cmocka_unit_test(test_text_of_many_sessions_says_how_many_more_there_are),
        cmocka_unit_test(test_json_has_every_counter),
        cmocka_unit_test(test_json_is_utf8_whatever_a_name_holds),
        cmocka_unit_test(test_users_are_told_with_what_their_sessions_add_up_to),
        cmocka_unit_test(test_lines_are_read_as_they_were_written),
        cmocka_unit_test(test_lines_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
