/*
 * ACCEPTANCE 70 for HTTP forwarding: each system call and each allocation fails in its turn, is
 * short or is late, while clients ask two servers for one thing after the other on one connection.
 *
 * Whatever goes wrong: a client hears what its servers have said, or from some message on an answer
 * of ours, or sees a reset; and a clean end only behind a whole answer.
 */
#include "world.h"

#define N_CLIENTS 2
#define N_REQUESTS 4
#define N_ORIGINS 2
#define N_CONNS 32

enum { FIRST, SECOND };

struct text {
    char *at;
    size_t n;
};

/* What is said from end to end, in its four forms. */
struct exchange_text {
    int origin;
    bool ends; /* the server closes behind its answer */
    struct text asked, arrives, answered, heard;
};

struct origin_conn {
    int fd, origin;
    struct text got; /* of the request that is coming */
    const struct text *to_send;
    size_t n_sent;
    bool ends;
};

struct customer {
    int fd;
    size_t n_asked, n_sent;    /* requests begun; bytes of the last one */
    size_t n_heard, n_matched; /* bytes in all; whole answers */
    struct text heard;
    bool is_refused; /* by an answer of ours */
    enum player_outcome outcome;
};

static struct {
    struct exchange_text texts[N_REQUESTS];
    struct addr addrs[N_ORIGINS];
    int listening[N_ORIGINS];
    struct origin_conn conns[N_CONNS];
    struct customer customers[N_CLIENTS];
} stage;

static const struct play quiet = {.title = "exchanges", .n = 0};

/* ---- texts; by the system's own malloc, which is neither counted nor made to fail ---- */

static void add(struct text *text, const void *bytes, size_t n)
{
    text->at = __real_realloc(text->at, text->n + n + 1);
    assert_non_null(text->at);
    memcpy(text->at + text->n, bytes, n);
    text->n += n;
    text->at[text->n] = '\0';
}

static void add_text(struct text *text, const char *more)
{
    add(text, more, strlen(more));
}

static void add_pattern(struct text *text, size_t n, unsigned salt)
{
    static char bytes[128 * 1024];
    assert_true(n <= sizeof bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 31 + (i >> 8) * 7 + salt);
    add(text, bytes, n);
}

static void clear(struct text *text)
{
    __real_free(text->at);
    *text = (struct text){0};
}

static void add_chunk(struct text *text, size_t n, unsigned salt)
{
    char size[32];
    snprintf(size, sizeof size, "%zx\r\n", n);
    add_text(text, size);
    add_pattern(text, n, salt);
    add_text(text, "\r\n");
}

/* The request, as it is sent and as it arrives, without the end of its head. */
static struct exchange_text begin_text(const char *method, int origin)
{
    struct exchange_text text = {.origin = origin};
    char where[ADDR_TEXT_BYTES], line[256];
    addr_format(&stage.addrs[origin], where);
    snprintf(line, sizeof line, "%s http://%s/ HTTP/1.1\r\nHost: %s\r\n", method, where, where);
    add_text(&text.asked, line);
    snprintf(line, sizeof line, "%s / HTTP/1.1\r\nHost: %s\r\n", method, where);
    add_text(&text.arrives, line);
    return text;
}

static void add_to_both(struct text *one, struct text *other, const struct text *more)
{
    add(one, more->at, more->n);
    add(other, more->at, more->n);
}

static struct exchange_text get_by_length(void)
{
    struct exchange_text text = begin_text("GET", FIRST);
    struct text end = {0}, body = {0};
    add_text(&end, "\r\n");
    add_to_both(&text.asked, &text.arrives, &end);
    add_text(&text.answered,
             "HTTP/1.1 103 Wait\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 80000\r\n\r\n");
    add_text(&text.heard, "HTTP/1.1 103 Wait\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 80000\r\n"
                          "Connection: keep-alive\r\n\r\n");
    add_pattern(&body, 80000, 1);
    add_to_both(&text.answered, &text.heard, &body);
    clear(&end);
    clear(&body);
    return text;
}

static struct exchange_text put_chunks(void)
{
    struct exchange_text text = begin_text("PUT", FIRST);
    struct text body = {0};
    add_text(&body, "Transfer-Encoding: chunked\r\n\r\n");
    add_chunk(&body, 5000, 2);
    add_chunk(&body, 66000, 3);
    add_text(&body, "0\r\nT: u\r\n\r\n");
    add_to_both(&text.asked, &text.arrives, &body);
    clear(&body);
    add_text(&text.answered, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    add_text(&text.heard,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n");
    add_chunk(&body, 3, 4);
    add_chunk(&body, 66000, 5);
    add_text(&body, "0\r\n\r\n");
    add_to_both(&text.answered, &text.heard, &body);
    clear(&body);
    return text;
}

static struct exchange_text post_by_length(void)
{
    struct exchange_text text = begin_text("POST", SECOND);
    struct text body = {0};
    add_text(&body, "Content-Length: 20000\r\n\r\n");
    add_pattern(&body, 20000, 6);
    add_to_both(&text.asked, &text.arrives, &body);
    clear(&body);
    add_text(&text.answered, "HTTP/1.1 204 OK\r\n\r\n");
    add_text(&text.heard, "HTTP/1.1 204 OK\r\nConnection: keep-alive\r\n\r\n");
    return text;
}

static struct exchange_text get_to_the_end(void)
{
    struct exchange_text text = begin_text("GET", SECOND);
    struct text end = {0}, body = {0};
    text.ends = true;
    add_text(&end, "\r\n");
    add_to_both(&text.asked, &text.arrives, &end);
    add_text(&text.answered, "HTTP/1.1 200 OK\r\n\r\n");
    add_text(&text.heard, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    add_pattern(&body, 20000, 7);
    add_to_both(&text.answered, &text.heard, &body);
    clear(&end);
    clear(&body);
    return text;
}

/* ---- servers ---- */

static void end_conn(struct origin_conn *conn)
{
    close(conn->fd);
    clear(&conn->got);
    *conn = (struct origin_conn){.fd = -1};
}

/* A request is what one of them should be, as far as it has come. */
static void understand(struct origin_conn *conn)
{
    bool is_one = false;
    for (size_t i = 0; i < N_REQUESTS; i++) {
        const struct exchange_text *text = &stage.texts[i];
        size_t n = conn->got.n < text->arrives.n ? conn->got.n : text->arrives.n;
        if (text->origin != conn->origin || memcmp(conn->got.at, text->arrives.at, n) != 0)
            continue;
        is_one = true;
        if (conn->got.n != text->arrives.n)
            continue;
        conn->to_send = &text->answered;
        conn->n_sent = 0;
        conn->ends = text->ends;
        clear(&conn->got);
        return;
    }
    if (!is_one)
        fail_msg("a server got %zu bytes that nobody has sent", conn->got.n);
}

static void step_conn(struct origin_conn *conn)
{
    static char bytes[64 * 1024];
    if (conn->to_send != NULL) {
        ssize_t n = send(conn->fd, conn->to_send->at + conn->n_sent,
                         conn->to_send->n - conn->n_sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            end_conn(conn);
            return;
        }
        conn->n_sent += n > 0 ? (size_t)n : 0;
        if (conn->n_sent < conn->to_send->n)
            return;
        conn->to_send = NULL;
        if (conn->ends)
            shutdown(conn->fd, SHUT_WR);
    }
    ssize_t n = recv(conn->fd, bytes, sizeof bytes, 0);
    if (n > 0) {
        add(&conn->got, bytes, (size_t)n);
        understand(conn);
    } else if (n == 0 || errno != EAGAIN) {
        end_conn(conn);
    }
}

static void step_origins(void)
{
    for (int i = 0; i < N_ORIGINS; i++) {
        struct origin_conn *conn = stage.conns;
        while (conn->fd >= 0)
            conn++;
        conn->fd = accept4(stage.listening[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        conn->origin = i;
    }
    for (size_t i = 0; i < N_CONNS; i++)
        if (stage.conns[i].fd >= 0)
            step_conn(&stage.conns[i]);
}

/* ---- clients ---- */

static void customer_end(struct customer *customer, enum player_outcome outcome)
{
    close(customer->fd);
    customer->fd = -1;
    customer->outcome = outcome;
}

/* Goes through what was heard since the last whole answer. */
static void compare(struct customer *customer)
{
    while (customer->n_matched < N_REQUESTS && !customer->is_refused) {
        const struct text *expected = &stage.texts[customer->n_matched].heard;
        struct text *heard = &customer->heard;
        size_t n = heard->n < expected->n ? heard->n : expected->n;
        size_t same = 0;
        while (same < n && heard->at[same] == expected->at[same])
            same++;
        /* Behind "HTTP/1.1 " the status differs, or behind a 1xx its answer does. */
        const char *ours = memmem(heard->at, heard->n, "HTTP/1.1 50", 11);
        if (same < n && (ours == NULL || ours > heard->at + 64))
            fail_msg("answer %zu differs at byte %zu", customer->n_matched, same);
        if (same < n) {
            customer->is_refused = true;
            return;
        }
        if (heard->n < expected->n)
            return;
        struct text rest = {0};
        add(&rest, heard->at + n, heard->n - n);
        clear(heard);
        *heard = rest;
        customer->n_matched++;
    }
}

static bool resets_were_denied(void)
{
    return sys_fault_hit() != NULL && strcmp(sys_fault_hit(), "setsockopt") == 0;
}

static void customer_hear_end(struct customer *customer, bool is_reset)
{
    if (customer->n_matched == N_REQUESTS && !is_reset) {
        customer_end(customer, COMPLETED);
        return;
    }
    bool is_between = customer->heard.n == 0 || customer->is_refused;
    if (!is_reset && !is_between && !resets_were_denied())
        fail_msg("answer %zu ended cleanly after %zu bytes", customer->n_matched,
                 customer->heard.n);
    customer_end(customer, CUT);
}

static void customer_step(struct customer *customer)
{
    static char bytes[64 * 1024];
    if (customer->n_asked <= customer->n_matched && customer->n_asked < N_REQUESTS) {
        customer->n_asked++;
        customer->n_sent = 0;
    }
    const struct text *asked = &stage.texts[customer->n_asked - 1].asked;
    if (customer->n_sent < asked->n && !customer->is_refused) {
        ssize_t n = send(customer->fd, asked->at + customer->n_sent, asked->n - customer->n_sent,
                         MSG_NOSIGNAL);
        customer->n_sent += n > 0 ? (size_t)n : 0;
    }
    ssize_t n = recv(customer->fd, bytes, sizeof bytes, 0);
    if (n > 0) {
        add(&customer->heard, bytes, (size_t)n);
        compare(customer);
    } else if (n == 0 || errno != EAGAIN) {
        customer_hear_end(customer, n < 0);
    } else if (customer->is_refused) {
        customer_end(customer, REFUSED);
    }
}

/* ---- playing ---- */

static void open_stage(enum loop_backend backend)
{
    world_open(backend, &quiet);
    for (int i = 0; i < N_ORIGINS; i++) {
        stage.addrs[i] = world.proxy;
        stage.addrs[i].port = 0;
        stage.listening[i] = tcp_listen(&stage.addrs[i]);
    }
    stage.texts[0] = get_by_length();
    stage.texts[1] = put_chunks();
    stage.texts[2] = post_by_length();
    stage.texts[3] = get_to_the_end();
    for (size_t i = 0; i < N_CONNS; i++)
        stage.conns[i] = (struct origin_conn){.fd = -1};
}

static void close_stage(void)
{
    for (size_t i = 0; i < N_CONNS; i++)
        assert_int_equal(stage.conns[i].fd, -1);
    for (size_t i = 0; i < N_CLIENTS; i++)
        clear(&stage.customers[i].heard);
    for (int i = 0; i < N_ORIGINS; i++)
        close(stage.listening[i]);
    for (size_t i = 0; i < N_REQUESTS; i++) {
        struct exchange_text *text = &stage.texts[i];
        clear(&text->asked);
        clear(&text->arrives);
        clear(&text->answered);
        clear(&text->heard);
    }
    /* A line for each server, not for each flow. */
    assert_true(world.n_flow_lines >= world.env.counters.flows_total);
    world.n_flow_lines = world.env.counters.flows_total;
    world_close(&quiet);
}

static bool is_over(void)
{
    for (size_t i = 0; i < N_CLIENTS; i++)
        if (stage.customers[i].fd >= 0)
            return false;
    for (size_t i = 0; i < N_CONNS; i++)
        if (stage.conns[i].fd >= 0)
            return false;
    return list_empty(&world.env.live);
}

static unsigned play(void)
{
    unsigned n_suffered = 0;
    uint64_t give_up = now_ms() + PATIENCE_MS;
    for (size_t i = 0; i < N_CLIENTS; i++) {
        clear(&stage.customers[i].heard);
        stage.customers[i] = (struct customer){.fd = tcp_connect(&world.proxy)};
    }
    for (int n_quiet = 0; n_quiet < 2; n_quiet = is_over() ? n_quiet + 1 : 0) {
        if (now_ms() > give_up)
            world_tell_of_hang(&quiet);
        world_turn(&quiet);
        step_origins();
        for (size_t i = 0; i < N_CLIENTS; i++)
            if (stage.customers[i].fd >= 0)
                customer_step(&stage.customers[i]);
    }
    for (size_t i = 0; i < N_CLIENTS; i++)
        n_suffered += stage.customers[i].outcome != COMPLETED;
    return n_suffered;
}

static void play_with_fault(struct fault *fault)
{
    open_stage(fault->backend);
    fault_begin(fault);
    unsigned n_suffered = play();
    fault_end(fault);
    if (n_suffered > (fault_may_harm(fault) ? 1 : 0))
        FAULT_FAIL(fault, "%u suffered", n_suffered);
    assert_int_equal(play(), 0);
    close_stage();
}

static void with_each_fault(void **state)
{
    fault_each(*state, play_with_fault, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_CALL_FAILS("acc_70", with_each_fault),
        EACH_CALL_IS_SHORT_OR_LATE("acc_70", with_each_fault),
        EACH_ALLOCATION_FAILS("acc_70", with_each_fault),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
