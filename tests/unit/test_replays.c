/* The replay set's file: what a restart, another boot and a file that cannot be used change. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "io/bootid.h"
#include "io/sys.h"
#include "tunnel/replays.h"

static const uint8_t key_bytes[16] = {1, 2, 3};
static struct link_key key;
static struct list all;
static char state[64], path[256];
static char boot = 'a';

/* The linker chooses these names. NOLINTBEGIN(bugprone-reserved-identifier) */
size_t __wrap_bootid_read(uint8_t id[static BOOTID_MAX_BYTES]);
uint64_t __wrap_sys_wall_ms(void);

/* The time stands still. */
uint64_t __wrap_sys_wall_ms(void)
{
    return UINT64_C(1700000000000);
}

size_t __wrap_bootid_read(uint8_t id[static BOOTID_MAX_BYTES])
{
    if (boot == '\0')
        return 0;
    memset(id, boot, 36);
    return 36;
}
/* NOLINTEND(bugprone-reserved-identifier) */

static int begin(void **unused)
{
    (void)unused;
    assert_int_equal(crypto_load(), ERR_NONE);
    link_key_init(&key, key_bytes, sizeof key_bytes);
    list_init(&all);
    boot = 'a';
    strcpy(state, "/tmp/sockeye-replays-XXXXXX");
    assert_non_null(mkdtemp(state));
    path[0] = '\0';
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    assert_true(list_empty(&all));
    if (path[0] != '\0')
        unlink(path);
    return rmdir(state);
}

static struct replays *hold(enum err trouble)
{
    struct replays *replays;
    const char *where;
    assert_int_equal(replays_hold(&all, state, &key, &replays), ERR_NONE);
    assert_int_equal(replays_trouble(replays, &where), trouble);
    snprintf(path, sizeof path, "%s", where);
    return replays;
}

/* A flight that is dated so far from now. */
static enum replay_answer come(struct replays *replays, uint8_t number, int64_t ahead_ms)
{
    uint64_t now = sys_wall_ms(), dated = (uint64_t)((int64_t)now + ahead_ms);
    uint8_t salt[16] = {number};
    enum replay_answer answer =
        replay_set_insert(replays_set(replays), salt, NULL, dated, 60000, now);
    if (answer == REPLAY_NEW)
        replays_note(replays);
    return answer;
}

static void without_a_file_what_is_dated_before_the_start_is_refused(void **unused)
{
    (void)unused;
    struct replays *replays = hold(ERR_NONE);
    assert_int_equal(come(replays, 1, 0), REPLAY_OLD);
    assert_int_equal(come(replays, 1, 2000), REPLAY_OLD);
    assert_int_equal(come(replays, 1, 2001), REPLAY_NEW);
    assert_int_equal(come(replays, 1, 2001), REPLAY_SEEN);
    replays_release(replays);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true((uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size);
}

static void with_a_file_of_a_new_key_nobody_waits(void **unused)
{
    (void)unused;
    assert_int_equal(replays_make(state, key_bytes, sizeof key_bytes), ERR_NONE);
    struct replays *replays = hold(ERR_NONE);
    assert_int_equal(come(replays, 1, 0), REPLAY_NEW);
    assert_int_equal(come(replays, 2, -50000), REPLAY_NEW);
    replays_release(replays);
}

static void a_restart_forgets_nothing_and_refuses_nobody_else(void **unused)
{
    (void)unused;
    assert_int_equal(replays_make(state, key_bytes, sizeof key_bytes), ERR_NONE);
    struct replays *replays = hold(ERR_NONE);
    assert_int_equal(come(replays, 1, 0), REPLAY_NEW);
    assert_int_equal(come(replays, 2, 40000), REPLAY_NEW);
    replays_release(replays);
    replays = hold(ERR_NONE);
    assert_int_equal(come(replays, 1, 0), REPLAY_SEEN);
    assert_int_equal(come(replays, 2, 40000), REPLAY_SEEN);
    assert_int_equal(come(replays, 3, -1000), REPLAY_NEW);
    replays_release(replays);
}

static void after_another_boot_the_mark_alone_is_left(void **unused)
{
    (void)unused;
    assert_int_equal(replays_make(state, key_bytes, sizeof key_bytes), ERR_NONE);
    struct replays *replays = hold(ERR_NONE);
    assert_int_equal(come(replays, 1, 40000), REPLAY_NEW);
    replays_release(replays);
    boot = 'b';
    replays = hold(ERR_NONE);
    assert_int_equal(come(replays, 2, 5000), REPLAY_OLD);
    assert_int_equal(come(replays, 1, 39000), REPLAY_OLD);
    assert_int_equal(come(replays, 2, 50000), REPLAY_NEW);
    replays_release(replays);
    /* And that goes on over restarts. */
    replays = hold(ERR_NONE);
    assert_int_equal(come(replays, 3, 5000), REPLAY_OLD);
    assert_int_equal(come(replays, 3, 45000), REPLAY_NEW);
    replays_release(replays);
}

static void all_of_a_process_with_one_key_share_one_set(void **unused)
{
    (void)unused;
    struct replays *one = hold(ERR_NONE), *two = hold(ERR_NONE), *other;
    struct link_key other_key;
    uint8_t bytes[16] = {9};
    const char *where;
    assert_ptr_equal(one, two);
    link_key_init(&other_key, bytes, sizeof bytes);
    assert_int_equal(replays_hold(&all, state, &other_key, &other), ERR_NONE);
    assert_ptr_not_equal(one, other);
    assert_int_equal(replays_trouble(other, &where), ERR_NONE);
    assert_string_not_equal(where, path);
    unlink(where);
    replays_release(other);
    replays_release(one);
    assert_int_equal(come(two, 1, 5000), REPLAY_NEW);
    replays_release(two);
}

static void what_another_process_has_is_not_touched(void **unused)
{
    (void)unused;
    struct replays *replays = hold(ERR_NONE);
    replays_release(replays);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    replays = hold(ERR_IN_USE);
    assert_int_equal(come(replays, 1, 0), REPLAY_OLD);
    assert_int_equal(come(replays, 1, 5000), REPLAY_NEW);
    assert_int_equal(come(replays, 1, 5000), REPLAY_SEEN);
    replays_release(replays);
    assert_int_equal(replays_make(state, key_bytes, sizeof key_bytes), ERR_IN_USE);
    close(fd);
    replays = hold(ERR_NONE);
    assert_int_equal(come(replays, 1, 5000), REPLAY_NEW);
    replays_release(replays);
}

/* One takes the place of another beside it, and is itself replaced. */
static void what_a_process_took_without_the_file_is_refused_by_the_next(void **unused)
{
    (void)unused;
    assert_int_equal(replays_make(state, key_bytes, sizeof key_bytes), ERR_NONE);
    struct replays *replays = hold(ERR_NONE);
    assert_int_equal(come(replays, 1, 5000), REPLAY_NEW);
    replays_release(replays);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    replays = hold(ERR_IN_USE);
    replays_release(replays);
    close(fd);
    for (unsigned i = 0; i < 2; i++) { /* a later restart does not take it back */
        replays = hold(ERR_NONE);
        assert_int_equal(come(replays, 2, 0), REPLAY_OLD);
        assert_int_equal(come(replays, 1, 5000), REPLAY_SEEN);
        replays_release(replays);
    }
}

static void without_a_directory_or_a_boots_name_it_is_in_memory(void **unused)
{
    (void)unused;
    struct replays *replays;
    const char *where;
    assert_int_equal(replays_hold(&all, NULL, &key, &replays), ERR_NONE);
    assert_int_equal(replays_trouble(replays, &where), ERR_NOT_FOUND);
    assert_null(where);
    assert_int_equal(come(replays, 1, 0), REPLAY_OLD);
    assert_int_equal(come(replays, 1, 5000), REPLAY_NEW);
    replays_release(replays);
    assert_int_equal(replays_hold(&all, "/nowhere/at/all", &key, &replays), ERR_NONE);
    assert_int_equal(replays_trouble(replays, &where), ERR_NOT_FOUND);
    replays_release(replays);
    boot = '\0';
    replays = hold(ERR_NOT_FOUND);
    assert_int_equal(access(path, F_OK), -1);
    replays_release(replays);
}

/* Of another size, cut, or something else altogether. */
static void a_file_that_is_none_of_ours_begins_anew(void **unused)
{
    (void)unused;
    static const off_t sizes[] = {0, 5, 4096};
    for (size_t i = 0; i < N_ITEMS(sizes); i++) {
        struct replays *replays = hold(ERR_NONE);
        replays_release(replays);
        assert_int_equal(truncate(path, sizes[i]), 0);
        replays = hold(ERR_NONE);
        assert_int_equal(come(replays, 1, 0), REPLAY_OLD);
        assert_int_equal(come(replays, 1, 5000), REPLAY_NEW);
        replays_release(replays);
    }
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "something", 9, 0), 9);
    close(fd);
    struct replays *replays = hold(ERR_NONE);
    assert_int_equal(come(replays, 1, 5000), REPLAY_NEW);
    replays_release(replays);
    /* What a link leads to is not overwritten. */
    unlink(path);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(replays_hold(&all, state, &key, &replays), ERR_NONE);
    const char *where;
    assert_int_not_equal(replays_trouble(replays, &where), ERR_NONE);
    replays_release(replays);
}

int main(void)
{
#define IN_STATE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        IN_STATE(without_a_file_what_is_dated_before_the_start_is_refused),
        IN_STATE(with_a_file_of_a_new_key_nobody_waits),
        IN_STATE(a_restart_forgets_nothing_and_refuses_nobody_else),
        IN_STATE(after_another_boot_the_mark_alone_is_left),
        IN_STATE(all_of_a_process_with_one_key_share_one_set),
        IN_STATE(what_another_process_has_is_not_touched),
        IN_STATE(what_a_process_took_without_the_file_is_refused_by_the_next),
        IN_STATE(without_a_directory_or_a_boots_name_it_is_in_memory),
        IN_STATE(a_file_that_is_none_of_ours_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
