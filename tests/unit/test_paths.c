/* Where a configuration and the status socket are looked for, and what is said of a bad file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/paths.h"
#include "daemon/rlimit.h"

static char directory[PATH_MAX];

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_paths.XXXXXX");
    if (mkdtemp(directory) == NULL || chdir(directory) < 0)
        return -1;
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("HOME");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return chdir("/") < 0 || system(command) != 0;
}

static void write_file(const char *path, size_t n_bytes)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < n_bytes; i++)
        putc('x', file);
    assert_int_equal(fclose(file), 0);
}

static void test_acc_13_places_are_in_the_documented_order(void **state)
{
    (void)state;
    char places[PATHS_N_CONFIGS][PATHS_BYTES];
    setenv("XDG_CONFIG_HOME", "/xdg", 1);
    setenv("HOME", "/home/ann", 1);
    assert_int_equal(paths_config_places(places), 4);
    assert_string_equal(places[0], "./sockeye.yaml");
    assert_string_equal(places[1], "/xdg/sockeye/sockeye.yaml");
    assert_string_equal(places[2], "/home/ann/.config/sockeye/sockeye.yaml");
    assert_string_equal(places[3], "/etc/sockeye/sockeye.yaml");
}

static void test_places_of_variables_that_say_nothing_are_left_out(void **state)
{
    (void)state;
    char places[PATHS_N_CONFIGS][PATHS_BYTES];
    static char long_name[PATHS_BYTES + 10];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[0] = '/';
    setenv("XDG_CONFIG_HOME", "relative", 1);
    setenv("HOME", long_name, 1);
    assert_int_equal(paths_config_places(places), 2);
    assert_string_equal(places[1], "/etc/sockeye/sockeye.yaml");
}

static void test_acc_13_the_first_place_with_a_file_wins(void **state)
{
    (void)state;
    char found[PATHS_BYTES];
    char expected[PATHS_BYTES];
    setenv("HOME", directory, 1);
    setenv("XDG_CONFIG_HOME", directory, 1);
    assert_int_equal(mkdir(".config", 0700), 0);
    assert_int_equal(mkdir(".config/sockeye", 0700), 0);
    write_file(".config/sockeye/sockeye.yaml", 1);
    assert_int_equal(paths_find_config(found), ERR_NONE);
    snprintf(expected, sizeof expected, "%.100s/.config/sockeye/sockeye.yaml", directory);
    assert_string_equal(found, expected);
    assert_int_equal(mkdir("sockeye", 0700), 0);
    write_file("sockeye/sockeye.yaml", 1);
    assert_int_equal(paths_find_config(found), ERR_NONE);
    snprintf(expected, sizeof expected, "%.100s/sockeye/sockeye.yaml", directory);
    assert_string_equal(found, expected);
    write_file("sockeye.yaml", 1);
    assert_int_equal(paths_find_config(found), ERR_NONE);
    assert_string_equal(found, "./sockeye.yaml");
}

static void test_a_file_is_read_whole_up_to_the_limit(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 16383, 16384, 16385, PATHS_CONFIG_BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char message[PATHS_MESSAGE_BYTES];
        char *text;
        size_t n;
        write_file("file", sizes[i]);
        assert_int_equal(paths_read_config("file", &text, &n, message), ERR_NONE);
        assert_int_equal(n, sizes[i]);
        assert_int_equal(strspn(text, "x"), n);
        free(text);
    }
}

static void assert_unreadable(const char *path, enum err expected_err, const char *expected)
{
    char message[PATHS_MESSAGE_BYTES];
    char *text;
    size_t n;
    assert_int_equal(paths_read_config(path, &text, &n, message), expected_err);
    assert_string_equal(message, expected);
}

static void test_acc_13_a_file_that_cannot_be_read_is_named_with_the_reason(void **state)
{
    (void)state;
    write_file("long", PATHS_CONFIG_BYTES + 1);
    assert_unreadable("long", ERR_TOO_LONG,
                      "long: longer than 4 MiB; long lists belong into files of their own");
    assert_unreadable("/dev/zero", ERR_TOO_LONG,
                      "/dev/zero: longer than 4 MiB; long lists belong into files of their own");
    assert_unreadable(".", ERR_BAD, ".: a directory; expected a file");
    assert_unreadable("missing", ERR_NOT_FOUND, "missing: No such file or directory");
}

static void test_status_socket_of_auto(void **state)
{
    (void)state;
    char path[PATHS_SOCKET_BYTES];
    char long_path[PATHS_SOCKET_BYTES + 1];
    setenv("XDG_RUNTIME_DIR", "/runtime", 1);
    assert_int_equal(paths_admin_socket(path, "auto"), ERR_NONE);
    assert_string_equal(path, geteuid() == 0 ? "/run/sockeye.sock" : "/runtime/sockeye.sock");
    unsetenv("XDG_RUNTIME_DIR");
    assert_int_equal(paths_admin_socket(path, "auto"), ERR_NONE);
    assert_string_equal(path, "/run/sockeye.sock");
    assert_int_equal(paths_admin_socket(path, "/a/b"), ERR_NONE);
    assert_string_equal(path, "/a/b");
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[PATHS_SOCKET_BYTES] = '\0';
    assert_int_equal(paths_admin_socket(path, long_path), ERR_TOO_LONG);
    long_path[PATHS_SOCKET_BYTES - 1] = '\0';
    assert_int_equal(paths_admin_socket(path, long_path), ERR_NONE);
}

static void test_acc_71_a_low_descriptor_limit_is_warned_of_with_the_number_it_allows(void **state)
{
    (void)state;
    char text[RLIMIT_WARNING_BYTES];
    assert_int_equal(rlimit_connections(1024, 64), 480);
    assert_int_equal(rlimit_connections(64, 64), 8);
    assert_int_equal(rlimit_connections(3, 64), 0);
    assert_true(rlimit_is_low(1024, 64, 0, text));
    assert_non_null(strstr(text, "480"));
    assert_false(rlimit_is_low(8256, 64, 0, text)); /* 4096 connections */
    assert_true(rlimit_is_low(8255, 64, 0, text));
    assert_non_null(strstr(text, "4095"));
    assert_true(rlimit_is_low(20000, 64, 9969, text));
    assert_non_null(strstr(text, "9968"));
    assert_false(rlimit_is_low(20000, 64, 9968, text));
    assert_false(rlimit_is_low(1024, 64, 480, text));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_acc_13_places_are_in_the_documented_order),
        TEST(test_places_of_variables_that_say_nothing_are_left_out),
        TEST(test_acc_13_the_first_place_with_a_file_wins),
        TEST(test_a_file_is_read_whole_up_to_the_limit),
        TEST(test_acc_13_a_file_that_cannot_be_read_is_named_with_the_reason),
        TEST(test_status_socket_of_auto),
        TEST(test_acc_71_a_low_descriptor_limit_is_warned_of_with_the_number_it_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
