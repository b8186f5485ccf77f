/* The log's sink: no line is lost unseen, and nobody waits for a log that blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/logsink.h"

struct place {
    char directory[32];
    char path[64];  /* of the log */
    char other[64]; /* beside it */
    struct config_log config;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->directory, "/tmp/test_logsink.XXXXXX");
    if (mkdtemp(place->directory) == NULL)
        return -1;
    snprintf(place->path, sizeof place->path, "%s/log", place->directory);
    snprintf(place->other, sizeof place->other, "%s/other", place->directory);
    place->config = (struct config_log){
        .level = LOG_LEVEL_INFO, .sink = LOG_TO_FILE, .path = place->path, .access = true};
    alarm(60); /* what waits for ever fails */
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    alarm(0);
    unlink(place->path);
    unlink(place->other);
    rmdir(place->directory);
    free(place);
    return 0;
}

static struct logsink *start(const struct place *place)
{
    struct logsink *sink;
    assert_int_equal(logsink_new(&sink, &place->config), ERR_NONE);
    assert_int_equal(logsink_start(sink), ERR_NONE);
    return sink;
}

/* The whole of a file; freed by the caller. */
static char *slurp(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t n = 0;
    assert_non_null(file);
    if (getdelim(&text, &n, '\0', file) < 0) {
        free(text);
        text = strdup("");
    }
    fclose(file);
    return text;
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
        n++;
    return n;
}

static void wait_for(const char *path, const char *word)
{
    for (;;) {
        if (access(path, R_OK) == 0) {
            char *text = slurp(path);
            bool found = strstr(text, word) != NULL;
            free(text);
            if (found)
                return;
        }
        usleep(2000);
    }
}

static void test_lines_arrive_whole_and_in_order(void **state)
{
    struct place *place = *state;
    struct logsink *sink = start(place);
    struct logsink_port *port = logsink_port_new(sink);
    for (int i = 0; i < 3000; i++) {
        log_say(logsink_log(port), LOG_LEVEL_INFO, "line %d of a few that fill more than a port",
                i);
        if (i % 700 == 0)
            logsink_flush(port);
    }
    log_say(logsink_log(port), LOG_LEVEL_DEBUG, "not wanted");
    logsink_port_free(port);
    logsink_free(sink);

    char *text = slurp(place->path);
    char *at = text;
    for (int i = 0; i < 3000; i++) {
        char expected[64];
        char *line = strsep(&at, "\n");
        snprintf(expected, sizeof expected, " info line %d of a few that fill more than a port", i);
        assert_true(strlen(line) > 24);
        assert_string_equal(line + 24, expected);
    }
    assert_string_equal(at, "");
    free(text);
}

static void test_lines_of_a_sink_that_was_never_started_are_written(void **state)
{
    struct place *place = *state;
    struct logsink *sink;
    assert_int_equal(logsink_new(&sink, &place->config), ERR_NONE);
    struct logsink_port *port = logsink_port_new(sink);
    log_say(logsink_log(port), LOG_LEVEL_WARN, "why the start failed");
    logsink_port_free(port);
    logsink_free(sink);

    char *text = slurp(place->path);
    assert_int_equal(count(text, "why the start failed\n"), 1);
    free(text);
}

static void test_a_file_that_cannot_be_opened_is_an_error(void **state)
{
    struct place *place = *state;
    struct logsink *sink = NULL;
    place->config.path = place->directory;
    assert_int_not_equal(logsink_new(&sink, &place->config), ERR_NONE);
    assert_int_equal(errno, EISDIR);
    assert_null(sink);
    snprintf(place->other, sizeof place->other, "%s/missing/log", place->directory);
    place->config.path = place->other;
    assert_int_equal(logsink_new(&sink, &place->config), ERR_NOT_FOUND);
    assert_null(sink);
}

static void test_the_file_is_not_for_everybody(void **state)
{
    struct place *place = *state;
    mode_t before = umask(0);
    struct logsink *sink = start(place);
    umask(before);
    logsink_free(sink);
    struct stat st;
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

/* Reads from a pipe until n bytes of a line with `word` have come, or the end; returns the text. */
static char *read_until(int fd, const char *word)
{
    size_t n = 0, cap = 1 << 22;
    char *text = calloc(1, cap);
    while (n + 1 < cap) {
        ssize_t got = read(fd, text + n, cap - n - 1);
        if (got <= 0)
            break;
        n += (size_t)got;
        const char *found = strstr(text, word);
        if (found != NULL && text[n - 1] == '\n')
            break;
    }
    return text;
}

enum { N_FLOOD = 20000 };

static void flood(struct logsink_port *port, enum log_level level)
{
    for (int i = 0; i < N_FLOOD; i++) {
        log_say(logsink_log(port), level, "flood %06d %0100d", i, 0);
        if (i % 50 == 0)
            logsink_flush(port);
    }
    logsink_flush(port);
}

/* What came of a flood: each line is the next one, and a gap is as long as is said there. */
struct flood_result {
    int n_came, n_dropped, n_gaps;
    bool is_complete;
};

static void account(struct flood_result *result, const char *line)
{
    const char *at = strstr(line, " flood ");
    int number = 0;
    if (at != NULL && sscanf(at, " flood %d ", &number) == 1) {
        result->is_complete = result->is_complete && number == result->n_came + result->n_dropped;
        result->n_came++;
        return;
    }
    at = strstr(line, " warn ");
    if (at == NULL || strstr(line, " lines dropped: the log could not keep up") == NULL ||
        sscanf(at, " warn %d ", &number) != 1)
        result->is_complete = false;
    result->n_dropped += number;
    result->n_gaps++;
}

/* Reads until every line of the flood has come or is said to be dropped. Asserts nothing. */
static struct flood_result read_flood(int fd)
{
    struct flood_result result = {.is_complete = true};
    int copy = dup(fd);
    FILE *file = fdopen(copy, "r");
    char line[LOG_LINE_BYTES + 1];
    while (result.is_complete && result.n_came + result.n_dropped < N_FLOOD &&
           fgets(line, sizeof line, file) != NULL)
        account(&result, line);
    fclose(file);
    return result;
}

static void test_acc_67_lines_that_a_blocked_log_cannot_take_are_counted_and_said(void **state)
{
    struct place *place = *state;
    assert_int_equal(mkfifo(place->path, 0600), 0);
    int reader = open(place->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    fcntl(reader, F_SETFL, 0);
    place->config.level = LOG_LEVEL_ERROR; /* said at every level */
    struct logsink *sink = start(place);
    struct logsink_port *port = logsink_port_new(sink);

    flood(port, LOG_LEVEL_ERROR); /* returns although nobody reads */

    struct flood_result result = read_flood(reader);
    assert_true(result.is_complete);
    assert_true(result.n_gaps > 0);
    assert_true(result.n_came > 1000);
    assert_int_equal(result.n_came + result.n_dropped, N_FLOOD);

    log_say(logsink_log(port), LOG_LEVEL_ERROR, "and on it goes");
    logsink_flush(port);
    char *text = read_until(reader, "and on it goes");
    assert_int_equal(count(text, "\n"), 1);
    free(text);
    logsink_port_free(port);
    logsink_free(sink);
    close(reader);
}

static void test_acc_67_the_program_ends_although_stderr_blocks_for_ever(void **state)
{
    struct place *place = *state;
    int fds[2];
    int own_stderr = dup(STDERR_FILENO);
    assert_int_equal(pipe(fds), 0);
    place->config.sink = LOG_TO_STDERR;
    struct logsink *sink = start(place);
    struct logsink_port *port = logsink_port_new(sink);

    dup2(fds[1], STDERR_FILENO); /* no assertion until it is back: it would write there */
    flood(port, LOG_LEVEL_INFO);
    logsink_port_free(port);
    logsink_free(sink);
    int flags = fcntl(fds[1], F_GETFL);
    /* The thread is left behind: when somebody reads after all it goes on, ends and frees the
     * sink. */
    struct flood_result result = read_flood(fds[0]);
    dup2(own_stderr, STDERR_FILENO);

    assert_int_equal(flags & O_NONBLOCK, 0); /* shared with others: left as it was */
    assert_true(result.is_complete);
    assert_true(result.n_gaps > 0);
    assert_int_equal(result.n_came + result.n_dropped, N_FLOOD);
    close(own_stderr);
    close(fds[0]);
    close(fds[1]);
}

static void test_a_reader_that_went_away_ends_nobody(void **state)
{
    struct place *place = *state;
    assert_int_equal(mkfifo(place->path, 0600), 0);
    int reader = open(place->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct logsink *sink = start(place);
    struct logsink_port *port = logsink_port_new(sink);
    close(reader);
    log_say(logsink_log(port), LOG_LEVEL_INFO, "into nothing");
    logsink_port_free(port);
    logsink_free(sink); /* SIGPIPE would have ended us */
}

static void test_a_rotated_file_is_opened_anew(void **state)
{
    struct place *place = *state;
    struct logsink *sink = start(place);
    struct logsink_port *port = logsink_port_new(sink);
    log_say(logsink_log(port), LOG_LEVEL_INFO, "the old file");
    logsink_flush(port);
    wait_for(place->path, "the old file");
    assert_int_equal(rename(place->path, place->other), 0);
    logsink_reopen(sink);
    wait_for(place->path, "");
    log_say(logsink_log(port), LOG_LEVEL_INFO, "the new file");
    logsink_port_free(port);
    logsink_free(sink);

    char *old = slurp(place->other), *new = slurp(place->path);
    assert_non_null(strstr(old, "the old file"));
    assert_null(strstr(old, "the new file"));
    assert_non_null(strstr(new, "the new file"));
    assert_null(strstr(new, "the old file"));
    free(old);
    free(new);
}

static void test_a_file_that_cannot_be_opened_again_is_kept_and_that_is_said(void **state)
{
    struct place *place = *state;
    struct logsink *sink = start(place);
    struct logsink_port *port = logsink_port_new(sink);
    assert_int_equal(rename(place->path, place->other), 0);
    assert_int_equal(mkdir(place->path, 0700), 0); /* in its way */
    logsink_reopen(sink);
    wait_for(place->other, "going on with the old one");
    log_say(logsink_log(port), LOG_LEVEL_INFO, "still here");
    logsink_port_free(port);
    logsink_free(sink);
    rmdir(place->path);

    char *text = slurp(place->other);
    assert_non_null(strstr(text, " error cannot open the log "));
    assert_non_null(strstr(text, "still here"));
    free(text);
}

static void test_each_line_goes_to_the_log_of_its_time(void **state)
{
    struct place *place = *state;
    struct logsink *sink = start(place);
    struct logsink_port *port = logsink_port_new(sink);
    struct config_log next = place->config;
    next.path = place->other;
    next.format = LOG_FORMAT_JSON;
    log_say(logsink_log(port), LOG_LEVEL_INFO, "before");
    logsink_flush(port);
    assert_int_equal(logsink_prepare(sink, &next), ERR_NONE);
    log_say(logsink_log(port), LOG_LEVEL_INFO, "prepared");
    logsink_flush(port);
    logsink_turn(sink, &next);
    logsink_port_turn(port, &next);
    log_say(logsink_log(port), LOG_LEVEL_INFO, "after");
    logsink_flush(port);
    wait_for(place->other, "after");
    char *old = slurp(place->path), *new = slurp(place->other);
    assert_true(count(old, "info before") == 1 && count(old, "info prepared") == 1);
    assert_true(count(old, "\n") == 2 && count(new, "\n") == 1);
    assert_true(new[0] == '{');
    free(old);
    free(new);
    logsink_port_free(port);
    logsink_free(sink);
}

static void test_a_log_that_was_prepared_may_be_forgotten_or_left_at_the_end(void **state)
{
    struct place *place = *state;
    struct logsink *sink = start(place);
    struct logsink_port *port = logsink_port_new(sink);
    struct config_log next = place->config, missing = place->config;
    next.path = place->other;
    char nowhere[] = "/no/such/directory/log";
    missing.path = nowhere;
    assert_int_equal(logsink_prepare(sink, &missing), ERR_NOT_FOUND);
    assert_int_equal(logsink_prepare(sink, &next), ERR_NONE);
    logsink_forget(sink);
    logsink_turn(sink, &place->config);
    log_say(logsink_log(port), LOG_LEVEL_INFO, "still here");
    logsink_flush(port);
    wait_for(place->path, "still here");
    assert_int_equal(logsink_prepare(sink, &next), ERR_NONE);
    logsink_port_free(port);
    logsink_free(sink);
}

/* A number that the system tells about the sink's thread. */
static unsigned long of_sink_thread(const char *field, int base)
{
    unsigned long number = 0, n_found = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        char path[300];
        snprintf(path, sizeof path, "/proc/self/task/%.200s/status", entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        char *text = slurp(path);
        const char *at = strstr(text, field);
        if (strstr(text, "sockeye-log") != NULL && at != NULL) {
            number = strtoul(at + strlen(field), NULL, base);
            n_found++;
        }
        free(text);
    }
    closedir(tasks);
    assert_int_equal(n_found, 1);
    return number;
}

static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void test_lines_lost_on_a_full_disk_are_counted_and_said(void **state)
{
    struct place *place = *state;
    struct logsink *sink = start(place);
    struct logsink_port *port = logsink_port_new(sink);
    set_file_limit(100); /* as if the disk were full there */
    for (int i = 0; i < 10; i++)
        log_say(logsink_log(port), LOG_LEVEL_INFO, "line %d",
                i); /* 37 bytes each: two and a bit fit */
    logsink_flush(port);
    /* A write beyond the limit fails and leaves a signal, which the thread has blocked. */
    while ((of_sink_thread("\nSigPnd:", 16) & 1UL << (SIGXFSZ - 1)) == 0)
        usleep(2000);
    set_file_limit(RLIM_INFINITY);
    log_say(logsink_log(port), LOG_LEVEL_INFO, "room again");
    logsink_port_free(port);
    logsink_free(sink);

    char *text = slurp(place->path);
    assert_non_null(strstr(text, " info line 1\n"));
    assert_null(strstr(text, " info line 2"));
    assert_non_null(strstr(text, " info room again\n"));
    assert_non_null(strstr(text, " warn 8 lines lost: the log could not be written: "));
    /* The torn line has an end of its own. */
    for (char *at = text, *line; (line = strsep(&at, "\n")) != NULL;)
        assert_true(count(line, " info ") <= 1);
    free(text);
}

enum { N_THREADS = 4, N_LINES = 3000 };

static void *log_many(void *arg)
{
    struct logsink_port *port = logsink_port_new(arg);
    for (int i = 0; i < N_LINES; i++) {
        log_say(logsink_log(port), LOG_LEVEL_INFO, "many");
        if (i % 3 == 0)
            logsink_flush(port);
    }
    logsink_port_free(port);
    return NULL;
}

static void test_several_threads_log_at_once(void **state)
{
    struct place *place = *state;
    struct logsink *sink = start(place);
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, sink), 0);
    logsink_reopen(sink);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    logsink_free(sink);

    char *text = slurp(place->path);
    size_t n_dropped = 0;
    const char *dropped = strstr(text, " warn ");
    if (dropped != NULL) /* a slow disk */
        n_dropped = strtoul(dropped + strlen(" warn "), NULL, 10);
    assert_int_equal(count(text, "Z info many\n") + n_dropped, N_THREADS * N_LINES);
    free(text);
}

static void test_acc_26_the_thread_sleeps_while_nobody_logs(void **state)
{
    struct place *place = *state;
    struct logsink *sink = start(place);
    struct logsink_port *port = logsink_port_new(sink);
    log_say(logsink_log(port), LOG_LEVEL_INFO, "awake");
    logsink_flush(port);
    wait_for(place->path, "awake");
    usleep(200000);
    unsigned long before = of_sink_thread("\nvoluntary_ctxt_switches:", 10);
    for (int i = 0; i < 5; i++) {
        logsink_flush(port); /* with nothing in it */
        usleep(60000);
    }
    assert_int_equal(of_sink_thread("\nvoluntary_ctxt_switches:", 10), before);
    logsink_port_free(port);
    logsink_free(sink);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lines_arrive_whole_and_in_order),
        TEST(test_lines_of_a_sink_that_was_never_started_are_written),
        TEST(test_a_file_that_cannot_be_opened_is_an_error),
        TEST(test_the_file_is_not_for_everybody),
        TEST(test_acc_67_lines_that_a_blocked_log_cannot_take_are_counted_and_said),
        TEST(test_acc_67_the_program_ends_although_stderr_blocks_for_ever),
        TEST(test_a_reader_that_went_away_ends_nobody),
        TEST(test_a_rotated_file_is_opened_anew),
        TEST(test_a_file_that_cannot_be_opened_again_is_kept_and_that_is_said),
        TEST(test_lines_lost_on_a_full_disk_are_counted_and_said),
        TEST(test_several_threads_log_at_once),
        TEST(test_each_line_goes_to_the_log_of_its_time),
        TEST(test_a_log_that_was_prepared_may_be_forgotten_or_left_at_the_end),
        TEST(test_acc_26_the_thread_sleeps_while_nobody_logs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
