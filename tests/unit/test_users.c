/* The users of an inbound: found by name, judged by password, however many there are. */
#include "loops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocator.h"
#include "flow/users.h"

#define HASH "$5$rounds=1000$saltsalt$whatever"

static enum users_verdict judge(const struct users *users, const char *name, const char *password,
                                const struct user **user, const char **hash)
{
    return users_judge(users, name, strlen(name), password, strlen(password), user, hash);
}

static void expect_wrong(const struct users *users, const char *name, const char *password)
{
    const struct user *user;
    const char *hash;
    assert_int_equal(judge(users, name, password, &user, &hash), USERS_WRONG);
    assert_null(user);
}

static void expect_right(const struct users *users, const char *name, const char *password)
{
    const struct user *user;
    const char *hash;
    assert_int_equal(judge(users, name, password, &user, &hash), USERS_RIGHT);
    assert_string_equal(user->name, name);
}

static void plain_passwords_are_judged_at_once(void **state)
{
    (void)state;
    static const struct user list[] = {
        {"ann", "s3cret", false}, {"an", "other", false}, {"", "unnamed", false}};
    struct users *users;
    assert_int_equal(users_new(&users, list, N_ITEMS(list)), ERR_NONE);
    expect_right(users, "ann", "s3cret");
    expect_right(users, "an", "other");
    expect_right(users, "", "unnamed");
    expect_wrong(users, "ann", "s3cre");
    expect_wrong(users, "ann", "s3cret2");
    expect_wrong(users, "ann", "S3cret");
    expect_wrong(users, "ann", "");
    expect_wrong(users, "ann", "other");
    expect_wrong(users, "anna", "s3cret");
    expect_wrong(users, "Ann", "s3cret");
    users_free(users);
}

static void an_unknown_name_is_wrong_with_any_password(void **state)
{
    (void)state;
    static const struct user list[] = {{"ann", "s3cret", false}};
    struct users *users;
    assert_int_equal(users_new(&users, list, 1), ERR_NONE);
    expect_wrong(users, "eve", "");
    expect_wrong(users, "eve", "s3cret");
    expect_wrong(users, "eve", "0123456789abcdef"); /* what it is compared with */
    users_free(users);
}

static void a_set_without_users_lets_nobody_in(void **state)
{
    (void)state;
    struct users *users;
    assert_int_equal(users_new(&users, NULL, 0), ERR_NONE);
    expect_wrong(users, "", "");
    expect_wrong(users, "ann", "0123456789abcdef");
    users_free(users);
}

static void of_those_with_one_name_the_first_counts(void **state)
{
    (void)state;
    static const struct user list[] = {{"ann", "first", false}, {"ann", "second", false}};
    struct users *users;
    assert_int_equal(users_new(&users, list, N_ITEMS(list)), ERR_NONE);
    expect_right(users, "ann", "first");
    expect_wrong(users, "ann", "second");
    users_free(users);
}

static void a_zero_byte_and_what_is_too_long_are_wrong(void **state)
{
    (void)state;
    char longest[USERS_PASSWORD_MAX_BYTES + 2];
    memset(longest, 'x', sizeof longest);
    longest[USERS_PASSWORD_MAX_BYTES] = '\0';
    const struct user list[] = {
        {"ann", "s3cret", false}, {"bob", HASH, true}, {"max", longest, false}};
    struct users *users;
    const struct user *user;
    const char *hash;
    assert_int_equal(users_new(&users, list, N_ITEMS(list)), ERR_NONE);
    assert_int_equal(users_judge(users, "ann", 3, "s3cret\0x", 8, &user, &hash), USERS_WRONG);
    assert_int_equal(users_judge(users, "ann\0x", 5, "s3cret", 6, &user, &hash), USERS_HASHED);
    assert_null(user);
    assert_int_equal(users_judge(users, "bob", 3, "x\0", 2, &user, &hash), USERS_WRONG);
    assert_int_equal(users_judge(users, "max", 3, longest, USERS_PASSWORD_MAX_BYTES, &user, &hash),
                     USERS_RIGHT);
    longest[USERS_PASSWORD_MAX_BYTES] = 'x';
    assert_int_equal(
        users_judge(users, "bob", 3, longest, USERS_PASSWORD_MAX_BYTES + 1, &user, &hash),
        USERS_WRONG);
    longest[USERS_PASSWORD_MAX_BYTES] = '\0';
    users_free(users);
}

static void where_some_have_hashes_every_wrong_login_takes_the_time_of_one(void **state)
{
    (void)state;
    static const struct user list[] = {
        {"ann", "s3cret", false}, {"bob", HASH, true}, {"eva", "$y$another", true}};
    struct users *users;
    const struct user *user;
    const char *hash;
    assert_int_equal(users_new(&users, list, N_ITEMS(list)), ERR_NONE);
    expect_right(users, "ann", "s3cret");
    assert_int_equal(judge(users, "bob", "x", &user, &hash), USERS_HASHED);
    assert_string_equal(user->name, "bob");
    assert_string_equal(hash, HASH);
    assert_int_equal(judge(users, "eva", HASH, &user, &hash), USERS_HASHED);
    assert_string_equal(user->name, "eva");
    assert_string_equal(hash, "$y$another");
    /* Whatever the hash says of these, nobody is meant. */
    assert_int_equal(judge(users, "ann", "wrong", &user, &hash), USERS_HASHED);
    assert_null(user);
    assert_string_equal(hash, HASH);
    assert_int_equal(judge(users, "unknown", "x", &user, &hash), USERS_HASHED);
    assert_null(user);
    assert_string_equal(hash, HASH);
    users_free(users);
}

#define MANY 200000

static void two_hundred_thousand_users_are_all_found(void **state)
{
    (void)state;
    static char names[MANY][24], passwords[MANY][24];
    struct user *list = calloc(MANY, sizeof *list);
    struct users *users;
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "user%d", i);
        snprintf(passwords[i], sizeof passwords[i], "pw%d", i * 7);
        list[i] = (struct user){names[i], passwords[i], false};
    }
    assert_int_equal(users_new(&users, list, MANY), ERR_NONE);
    free(list);
    for (int i = 0; i < MANY; i++) {
        expect_right(users, names[i], passwords[i]);
        expect_wrong(users, names[i], passwords[(i + 1) % MANY]);
    }
    expect_wrong(users, "user200000", "pw1400000");
    users_free(users);
}

static void without_memory_there_is_no_set_and_no_leak(void **state)
{
    (void)state;
    static const struct user list[] = {{"ann", "s3cret", false}};
    int64_t before = n_blocks;
    unsigned n_failed = 0;
    for (uint64_t nth = 1;; nth++) {
        struct users *users;
        allocator_fail(nth);
        enum err err = users_new(&users, list, 1);
        allocator_fail(0);
        if (err == ERR_NONE) {
            users_free(users);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
        n_failed++;
        assert_int_equal(n_blocks, before);
    }
    assert_int_equal(n_failed, 3);
    assert_int_equal(n_blocks, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_passwords_are_judged_at_once),
        cmocka_unit_test(an_unknown_name_is_wrong_with_any_password),
        cmocka_unit_test(a_set_without_users_lets_nobody_in),
        cmocka_unit_test(of_those_with_one_name_the_first_counts),
        cmocka_unit_test(a_zero_byte_and_what_is_too_long_are_wrong),
        cmocka_unit_test(where_some_have_hashes_every_wrong_login_takes_the_time_of_one),
        cmocka_unit_test(two_hundred_thousand_users_are_all_found),
        cmocka_unit_test(without_memory_there_is_no_set_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
