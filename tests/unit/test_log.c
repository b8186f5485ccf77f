#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <cmocka.h>

#include "base/log.h"
#include "random.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

/* A log that keeps its last line, zero terminated. */
struct kept {
    struct log log;
    uint64_t now_ms;
    int n_lines;
    enum log_level level;
    size_t n;
    char line[LOG_LINE_BYTES + 1];
};

static uint64_t kept_now(struct log *log)
{
    return ((struct kept *)log)->now_ms;
}

static void keep(struct log *log, enum log_level level, const char *line, size_t n)
{
    struct kept *kept = (struct kept *)log;

    assert_in_range(n, 1, LOG_LINE_BYTES);
    memcpy(kept->line, line, n);
    kept->line[n] = '\0';
    kept->n = n;
    kept->level = level;
    kept->n_lines++;
}

#define SOME_TIME_MS UINT64_C(1795254573123) /* 2026-11-21T09:49:33.123Z */

static struct kept make(enum log_format format)
{
    return (struct kept){
        .log = {.level = LOG_LEVEL_INFO, .format = format, .wall_ms = kept_now, .emit = keep},
        .now_ms = SOME_TIME_MS,
    };
}

static void write_flow(struct log *log)
{
    struct log_line line;
    struct addr addr;

    assert_int_equal(addr_parse(&addr, "192.0.2.7:4242", 14), ERR_NONE);
    log_begin(&line, log, LOG_LEVEL_INFO, "flow");
    log_str(&line, "in", "lan");
    log_str(&line, "user", NULL);
    log_addr(&line, "from", &addr);
    log_addr(&line, "addr", &(struct addr){0});
    log_bytes(&line, "to", "example.com:443 and more", 15);
    log_u64(&line, "up", 0);
    log_u64(&line, "down", UINT64_MAX);
    log_end(&line);
}

static void a_text_line_is_as_documented(void **state)
{
    struct kept kept = make(LOG_FORMAT_TEXT);

    (void)state;
    write_flow(&kept.log);
    assert_string_equal(kept.line, "2026-11-21T09:49:33.123Z info flow in=lan from=192.0.2.7:4242 "
                                   "to=example.com:443 up=0 down=18446744073709551615");
    assert_int_equal(kept.level, LOG_LEVEL_INFO);
    assert_int_equal(kept.n_lines, 1);
}

static void a_json_line_is_as_documented(void **state)
{
    struct kept kept = make(LOG_FORMAT_JSON);

    (void)state;
    write_flow(&kept.log);
    assert_string_equal(
        kept.line, "{\"time\":\"2026-11-21T09:49:33.123Z\",\"level\":\"info\",\"event\":\"flow\","
                   "\"in\":\"lan\",\"from\":\"192.0.2.7:4242\",\"to\":\"example.com:443\","
                   "\"up\":0,\"down\":18446744073709551615}");
}

static void words_for_a_person_have_no_key_in_text_and_one_in_json(void **state)
{
    struct kept text = make(LOG_FORMAT_TEXT), json = make(LOG_FORMAT_JSON);

    (void)state;
    log_say(&text.log, LOG_LEVEL_WARN, "port %d: \"%s\"", 80, "in use");
    assert_string_equal(text.line, "2026-11-21T09:49:33.123Z warn port 80: \"in use\"");
    log_say(&json.log, LOG_LEVEL_ERROR, "port %d: \"%s\"", 80, "in use");
    assert_string_equal(json.line, "{\"time\":\"2026-11-21T09:49:33.123Z\",\"level\":\"error\","
                                   "\"message\":\"port 80: \\\"in use\\\"\"}");
    log_say(&text.log, LOG_LEVEL_INFO, "one\ntwo\x1b[0m");
    assert_string_equal(text.line, "2026-11-21T09:49:33.123Z info one\\x0atwo\\x1b[0m");
    log_say(&text.log, LOG_LEVEL_INFO, "%s", "");
    assert_string_equal(text.line, "2026-11-21T09:49:33.123Z info ");
}

static void lines_beyond_the_level_are_not_built(void **state)
{
    struct kept kept = make(LOG_FORMAT_JSON);
    struct log_line line;

    (void)state;
    kept.log.wall_ms = NULL; /* would crash if it were asked */
    log_begin(&line, &kept.log, LOG_LEVEL_DEBUG, "flow");
    log_str(&line, "in", "lan");
    log_u64(&line, "up", 1);
    log_end(&line);
    log_say(&kept.log, LOG_LEVEL_TRACE, "nothing");
    assert_int_equal(kept.n_lines, 0);
}

static void each_level_has_its_text(void **state)
{
    static const char *const texts[] = {"error", "warn", "info", "debug", "trace"};

    (void)state;
    assert_int_equal(N_ITEMS(texts), N_LOG_LEVELS);
    for (size_t i = 0; i < N_ITEMS(texts); i++)
        assert_string_equal(log_level_text((enum log_level)i), texts[i]);
    assert_string_equal(log_level_text(N_LOG_LEVELS), "unknown");
}

static void assert_time(uint64_t ms)
{
    struct kept kept = make(LOG_FORMAT_TEXT);
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char expected[64];

    assert_non_null(gmtime_r(&seconds, &tm));
    size_t n = strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(expected + n, sizeof expected - n, ".%03dZ info x", (int)(ms % 1000));
    kept.now_ms = ms;
    log_say(&kept.log, LOG_LEVEL_INFO, "x");
    assert_string_equal(kept.line, expected);
}

static void times_are_those_of_the_calendar(void **state)
{
    uint64_t seed = 1;
    const uint64_t day_ms = 86400000;
    /* As far as those go that it is compared with. */
    const uint64_t last_ms =
        sizeof(time_t) < 8 ? UINT64_C(2147483647999) : UINT64_C(253402300799999);

    (void)state;
    /* Every day of 400 years and a little more, at its first and its last moment. */
    for (uint64_t day = 0; day < 150000; day++) {
        if (day * day_ms + day_ms > last_ms)
            break;
        assert_time(day * day_ms);
        assert_time(day * day_ms + day_ms - 1);
    }
    for (int round = 0; round < 100000; round++)
        assert_time(random_u64(&seed) % (last_ms + 1));

    struct kept kept = make(LOG_FORMAT_TEXT);
    kept.now_ms = UINT64_MAX;
    log_say(&kept.log, LOG_LEVEL_INFO, "x");
    assert_string_equal(kept.line, "9999-12-31T23:59:59.999Z info x");
}

static const char *value_as_text(struct kept *kept, const char *value, size_t n)
{
    struct log_line line;

    log_begin(&line, &kept->log, LOG_LEVEL_INFO, "e");
    log_bytes(&line, "k", value, n);
    log_end(&line);
    const char *found = strstr(kept->line, kept->log.format == LOG_FORMAT_JSON ? ",\"k\":" : " k=");
    assert_non_null(found);
    return found + (kept->log.format == LOG_FORMAT_JSON ? 5 : 3);
}

static void values_that_are_not_plain_are_quoted_in_text(void **state)
{
    struct kept kept = make(LOG_FORMAT_TEXT);
    static const struct {
        const char *value, *text;
    } items[] = {
        {"", "\"\""},
        {"a", "a"},
        {"a b", "\"a b\""},
        {"a=b", "\"a=b\""},
        {"a\"b", "\"a\\x22b\""},
        {"a\\b", "\"a\\x5cb\""},
        {"a\nb", "\"a\\x0ab\""},
        {"\x7f", "\"\\x7f\""},
        {"\xc3\xbc", "\"\\xc3\\xbc\""},
        {"[::1]:80,{}'~!", "[::1]:80,{}'~!"},
    };

    (void)state;
    for (size_t i = 0; i < N_ITEMS(items); i++) {
        const char *text = value_as_text(&kept, items[i].value, strlen(items[i].value));
        assert_string_equal(text, items[i].text);
    }
    assert_string_equal(value_as_text(&kept, "a\0b", 3), "\"a\\x00b\"");
}

static void values_are_escaped_in_json(void **state)
{
    struct kept kept = make(LOG_FORMAT_JSON);
    static const struct {
        const char *value, *text;
    } items[] = {
        {"", "\"\"}"},
        {"a b=c", "\"a b=c\"}"},
        {"a\"b\\", "\"a\\\"b\\\\\"}"},
        {"\n\x1f\x7f", "\"\\u000a\\u001f\\u007f\"}"},
        {"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\"}"},
        {"\xff"
         "a",
         "\"\xef\xbf\xbd"
         "a\"}"},
        {"\xc3", "\"\xef\xbf\xbd\"}"},
        {"\xc2\x80\xdf\xbf", "\"\xc2\x80\xdf\xbf\"}"},
        {"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80", "\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\"}"},
        {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"}"},
        {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\"}"},
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}"},
        {"\xe0\x9f\xbf", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}"},
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}"},
        {"\xe2\x82"
         "a",
         "\"\xef\xbf\xbd\xef\xbf\xbd"
         "a\"}"},
    };

    (void)state;
    for (size_t i = 0; i < N_ITEMS(items); i++) {
        const char *text = value_as_text(&kept, items[i].value, strlen(items[i].value));
        assert_string_equal(text, items[i].text);
    }
    assert_string_equal(value_as_text(&kept, "\0", 1), "\"\\u0000\"}");
}

/* Bytes of which many need an escape or are parts of UTF-8 characters. */
static size_t random_value(uint64_t *seed, char *out, size_t max)
{
    static const char likely[] = "ab \"=\\\n\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\xed\xa0\xf4\x90";
    size_t n = random_below(seed, (unsigned)max + 1);

    for (size_t i = 0; i < n; i++) {
        out[i] = random_below(seed, 3) == 0 ? (char)random_u64(seed)
                                            : likely[random_below(seed, sizeof likely)];
    }
    return n;
}

/* Reads a value in text form back; returns where it ends. */
static const char *read_text_value(const char *at, char *out, size_t *n)
{
    bool quoted = *at == '"';

    *n = 0;
    at += quoted;
    while (*at != '\0' && *at != (quoted ? '"' : ' ')) {
        assert_true(*at >= ' ' && *at < 0x7f);
        if (quoted && *at == '\\') {
            char digits[3] = {at[2], at[3], '\0'};
            assert_int_equal(at[1], 'x');
            out[(*n)++] = (char)strtol(digits, NULL, 16);
            at += 4;
        } else {
            out[(*n)++] = *at++;
        }
    }
    return at + quoted;
}

static void no_value_forges_a_field_or_a_line_in_text(void **state)
{
    struct kept kept = make(LOG_FORMAT_TEXT);
    uint64_t seed = 2;

    (void)state;
    for (int round = 0; round < 50000; round++) {
        char value[64], again[64];
        size_t n = random_value(&seed, value, sizeof value), n_again;
        const char *end = read_text_value(value_as_text(&kept, value, n), again, &n_again);
        assert_int_equal(n_again, n);
        assert_memory_equal(again, value, n);
        assert_int_equal(*end, '\0');
    }
}

/* Checks a JSON string (RFC 8259 section 7, in UTF-8) and returns what follows it. */
static const char *skip_json_string(const char *at)
{
    assert_int_equal(*at++, '"');
    while (*at != '"') {
        unsigned char c = (unsigned char)*at;
        assert_true(c >= ' ');
        if (c == '\\') {
            unsigned value;
            if (at[1] == 'u')
                assert_int_equal(sscanf(at + 2, "%4x", &value), 1);
            else
                assert_true(at[1] == '"' || at[1] == '\\');
            at += at[1] == 'u' ? 6 : 2;
        } else if (c < 0x80) {
            at++;
        } else {
            mbstate_t mb = {0};
            wchar_t wide;
            size_t n = mbrtowc(&wide, at, 8, &mb);
            assert_in_range(n, 2, 4);
            at += n;
        }
    }
    return at + 1;
}

/* Checks an object of strings and numbers, and returns how many members it has. */
static int count_json_members(const char *at)
{
    int n = 0;

    assert_int_equal(*at, '{');
    do {
        at = skip_json_string(at + 1);
        assert_int_equal(*at++, ':');
        if (*at == '"')
            at = skip_json_string(at);
        else
            at += strspn(at, "0123456789");
        n++;
    } while (*at == ',');
    assert_string_equal(at, "}");
    return n;
}

static void any_bytes_make_valid_json(void **state)
{
    struct kept kept = make(LOG_FORMAT_JSON);
    uint64_t seed = 3;

    (void)state;
    for (int round = 0; round < 50000; round++) {
        char value[64];
        size_t n = random_value(&seed, value, sizeof value);
        value_as_text(&kept, value, n);
        assert_int_equal(count_json_members(kept.line), 4);
    }
}

/* Fills a line with fields of random length up to and beyond its end. */
static int write_too_much(struct log *log, uint64_t *seed, int *n_last)
{
    struct log_line line;
    char value[300];
    int n_fields = 0;

    log_begin(&line, log, LOG_LEVEL_INFO, "e");
    for (int i = 0; i < 40; i++) {
        size_t before = line.n;
        log_bytes(&line, "k", value, random_value(seed, value, sizeof value));
        n_fields += line.n > before;
    }
    size_t before = line.n;
    log_u64(&line, "z", 1);
    *n_last = line.n > before;
    log_end(&line);
    return n_fields + *n_last;
}

static void a_line_too_long_loses_whole_fields(void **state)
{
    uint64_t seed = 4;
    int n_last, n_with_last = 0;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct kept json = make(LOG_FORMAT_JSON), text = make(LOG_FORMAT_TEXT);
        int n_fields = write_too_much(&json.log, &seed, &n_last);
        assert_int_equal(count_json_members(json.line), 3 + n_fields);
        assert_in_range(n_fields, 1, 40);
        n_with_last += n_last;

        n_fields = write_too_much(&text.log, &seed, &n_last);
        const char *at = text.line + strlen("2026-11-21T09:49:33.123Z info e");
        char value[LOG_LINE_BYTES];
        size_t n;
        for (int i = 0; i < n_fields; i++) {
            assert_memory_equal(at, i + 1 == n_fields && n_last ? " z=" : " k=", 3);
            at = read_text_value(at + 3, value, &n);
        }
        assert_int_equal(*at, '\0');
    }
    assert_true(n_with_last > 0);
}

static void the_whole_line_is_used(void **state)
{
    struct kept json = make(LOG_FORMAT_JSON), text = make(LOG_FORMAT_TEXT);
    struct log_line line;
    char value[LOG_LINE_BYTES];
    const size_t n_before = strlen("2026-11-21T09:49:33.123Z info e k=");

    (void)state;
    memset(value, 'v', sizeof value);
    /* One byte is kept for the brace of JSON. */
    log_begin(&line, &text.log, LOG_LEVEL_INFO, "e");
    log_bytes(&line, "k", value, LOG_LINE_BYTES - 1 - n_before + 1);
    assert_int_equal(line.n, n_before - strlen(" k="));
    log_bytes(&line, "k", value, LOG_LINE_BYTES - 1 - n_before);
    log_end(&line);
    assert_int_equal(text.n, LOG_LINE_BYTES - 1);

    value[sizeof value - 1] = '\0';
    log_say(&text.log, LOG_LEVEL_INFO, "%s", value);
    assert_in_range(text.n, LOG_LINE_BYTES - 2, LOG_LINE_BYTES - 1);
    log_say(&json.log, LOG_LEVEL_INFO, "%s", value);
    assert_int_equal(json.n, LOG_LINE_BYTES);
}

static void a_message_too_long_is_cut_and_the_line_stays_valid(void **state)
{
    uint64_t seed = 5;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct kept json = make(LOG_FORMAT_JSON), text = make(LOG_FORMAT_TEXT);
        char message[3 * LOG_LINE_BYTES];
        size_t n = random_value(&seed, message, sizeof message - 1);
        message[n] = '\0';
        log_say(&json.log, LOG_LEVEL_INFO, "%s", message);
        assert_int_equal(count_json_members(json.line), 3);
        log_say(&text.log, LOG_LEVEL_INFO, "%s", message);
        for (size_t i = 0; i < text.n; i++)
            assert_true(text.line[i] >= ' ' && text.line[i] < 0x7f);
        if (strlen(message) > LOG_LINE_BYTES)
            assert_in_range(text.n, LOG_LINE_BYTES - 8, LOG_LINE_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_is_as_documented),
        cmocka_unit_test(a_json_line_is_as_documented),
        cmocka_unit_test(words_for_a_person_have_no_key_in_text_and_one_in_json),
        cmocka_unit_test(lines_beyond_the_level_are_not_built),
        cmocka_unit_test(each_level_has_its_text),
        cmocka_unit_test(times_are_those_of_the_calendar),
        cmocka_unit_test(values_that_are_not_plain_are_quoted_in_text),
        cmocka_unit_test(values_are_escaped_in_json),
        cmocka_unit_test(no_value_forges_a_field_or_a_line_in_text),
        cmocka_unit_test(any_bytes_make_valid_json),
        cmocka_unit_test(a_line_too_long_loses_whole_fields),
        cmocka_unit_test(the_whole_line_is_used),
        cmocka_unit_test(a_message_too_long_is_cut_and_the_line_stays_valid),
    };
    /* The checker of JSON reads UTF-8 with the C library. */
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
