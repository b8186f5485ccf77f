/* Where the folder for what must survive is, and that it is made. */
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

#include "daemon/instance.h"
#include "daemon/statefolder.h"

static char directory[PATH_MAX];
static char user[] = "nobody", nowhere[] = "";

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_statefolder.XXXXXX");
    if (mkdtemp(directory) == NULL || chdir(directory) < 0)
        return -1;
    unsetenv("STATE_DIRECTORY");
    unsetenv("XDG_STATE_HOME");
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

static enum err make(char out[static PATHS_BYTES], char *configured)
{
    struct config config = {.state_folder = configured, .user = user};
    return statefolder_make(out, &config);
}

/* Returns "DIRECTORY/REST". */
static char *within(char out[static PATH_MAX + 64], const char *rest)
{
    snprintf(out, PATH_MAX + 64, "%s/%s", directory, rest);
    return out;
}

static void assert_folder(const char *path, mode_t mode)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 07777, mode);
}

static void what_the_configuration_names_is_made_with_all_above_it(void **state)
{
    (void)state;
    char found[PATHS_BYTES], folder[PATH_MAX + 64], above[PATH_MAX + 64];
    setenv("STATE_DIRECTORY", within(folder, "other"), 1);
    within(folder, "a/b/state");
    assert_int_equal(make(found, folder), ERR_NONE);
    assert_string_equal(found, folder);
    assert_folder(found, 0700);
    assert_folder(within(above, "a/b"), 0755);
    assert_int_equal(make(found, folder), ERR_NONE);
    assert_int_equal(access("other", F_OK), -1);
}

static void systemds_first_folder_is_next(void **state)
{
    (void)state;
    char found[PATHS_BYTES], folder[PATH_MAX + 64], both[2 * PATH_MAX];
    snprintf(both, sizeof both, "%s:/var/lib/other", within(folder, "first"));
    setenv("STATE_DIRECTORY", both, 1);
    assert_int_equal(make(found, nowhere), ERR_NONE);
    assert_string_equal(found, folder);
    assert_folder(found, 0700);
}

static void users_have_it_among_their_own(void **state)
{
    (void)state;
    char found[PATHS_BYTES], folder[PATH_MAX + 64];
    if (geteuid() == 0 && (chmod(directory, 0777) < 0 || seteuid(65534) < 0))
        skip();
    assert_int_equal(make(found, nowhere), ERR_NOT_FOUND);
    assert_string_equal(found, "");
    setenv("HOME", directory, 1);
    assert_int_equal(make(found, nowhere), ERR_NONE);
    assert_string_equal(found, within(folder, ".local/state/sockeye"));
    setenv("XDG_STATE_HOME", "relative", 1);
    assert_int_equal(make(found, nowhere), ERR_NONE);
    assert_string_equal(found, folder);
    setenv("XDG_STATE_HOME", within(folder, "xdg"), 1);
    assert_int_equal(make(found, nowhere), ERR_NONE);
    assert_string_equal(found, within(folder, "xdg/sockeye"));
    assert_folder(found, 0700);
    assert_int_equal(seteuid(getuid()), 0);
}

static void root_makes_it_for_the_user_it_becomes(void **state)
{
    (void)state;
    char found[PATHS_BYTES], folder[PATH_MAX + 64];
    struct stat st;
    if (geteuid() != 0)
        skip();
    assert_int_equal(make(found, within(folder, "state")), ERR_NONE);
    assert_int_equal(stat(found, &st), 0);
    assert_int_equal(st.st_uid, 65534);
}

static void what_cannot_be_made_is_told(void **state)
{
    (void)state;
    static char long_path[PATHS_BYTES + 10];
    char found[PATHS_BYTES], folder[PATH_MAX + 64];
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[0] = '/';
    assert_int_equal(make(found, long_path), ERR_TOO_LONG);
    setenv("STATE_DIRECTORY", long_path, 1);
    assert_int_equal(make(found, nowhere), ERR_TOO_LONG);
    assert_string_equal(found, "");
    FILE *file = fopen("file", "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(make(found, within(folder, "file/state")), ERR_SYSTEM);
    assert_string_equal(found, folder);
}

static int load(uint8_t instance[static INSTANCE_BYTES], const char *folder)
{
    int fd = instance_load(instance, folder);
    if (fd >= 0)
        close(fd);
    return fd;
}

static void an_instance_is_known_again_and_two_folders_have_two(void **state)
{
    (void)state;
    uint8_t first[INSTANCE_BYTES] = "the first one's", again[INSTANCE_BYTES] = "another";
    uint8_t other[INSTANCE_BYTES] = "the other one's";
    assert_int_equal(mkdir("other", 0700), 0);
    assert_true(load(first, directory) >= 0);
    assert_true(load(again, directory) >= 0);
    assert_memory_equal(again, first, INSTANCE_BYTES);
    assert_true(load(other, "other") >= 0);
    assert_memory_not_equal(other, first, INSTANCE_BYTES);
}

/* The folder belongs to the user that root becomes, and root is who opens what is in it. */
static void a_link_in_the_folder_makes_no_file_elsewhere(void **state)
{
    (void)state;
    uint8_t instance[INSTANCE_BYTES] = "drawn";
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_int_equal(symlink("../elsewhere", "folder/instance"), 0);
    assert_int_equal(load(instance, "folder"), -1);
    assert_int_equal(access("elsewhere", F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(what_the_configuration_names_is_made_with_all_above_it),
        TEST(systemds_first_folder_is_next),
        TEST(users_have_it_among_their_own),
        TEST(root_makes_it_for_the_user_it_becomes),
        TEST(what_cannot_be_made_is_told),
        TEST(an_instance_is_known_again_and_two_folders_have_two),
        TEST(a_link_in_the_folder_makes_no_file_elsewhere),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
