/* users_file: who is in it, and what is said of lines that are wrong. */
#include "config_fixture.h"

#define WITH_FILE "inbounds: [{type: mixed, listen: 1080, users_file: u}]\n"
#define PLAIN_WARNING                                                                          \
    "warning: this file holds passwords as they are; `sockeye passwd NAME` prints lines that " \
    "hold a hash instead\n"

struct expected_user {
    const char *name, *password;
    bool is_hash;
};

static void assert_users(const char *text, const char *content, size_t n_content,
                         const struct expected_user *expected, size_t n, size_t n_inline)
{
    static struct said said;
    const struct text_file file = {"u", content, n_content, ERR_NONE};
    struct config *config;

    assert_int_equal(parse_among(&config, &said, "s.yaml", text, &file, 1), ERR_NONE);
    assert_int_equal(said.messages.n_errors, 0);
    const struct config_inbound *inbound = &config->inbounds[0];
    assert_true(inbound->has_users);
    assert_string_equal(inbound->users_file, "u");
    assert_int_equal(inbound->n_inline_users, n_inline);
    assert_int_equal(inbound->n_users, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(inbound->users[i].name, expected[i].name);
        assert_string_equal(inbound->users[i].password, expected[i].password);
        assert_int_equal(inbound->users[i].is_hash, expected[i].is_hash);
    }
    config_free(config);
}

static void a_line_is_a_name_and_a_password(void **state)
{
    static const struct expected_user expected[] = {
        {"ann", "correct horse", false}, {"bob", "a:b:", false}, {"carl", "$6$ab$c./1", true},
        {" d ", " # ", false},           {"e\xff", "x$", false}, {"last", "p", false}};
    static const char content[] = "\xef\xbb\xbf"
                                  "ann:correct horse\r\n# no: user\r\n\n \t\r\nbob:a:b:\n"
                                  "carl:$6$ab$c./1\n d : # \ne\xff:x$\n\nlast:p";

    (void)state;
    assert_users(WITH_FILE, content, 0, expected, N_ITEMS(expected), 0);
}

static void those_of_the_file_follow_the_inline_ones(void **state)
{
    static const struct expected_user expected[] = {
        {"ann", "$6$plain", false}, {"bob", "b", false}, {"carl", "c", false}};

    (void)state;
    assert_users("inbounds: [{type: socks, listen: 1080, users_file: u, users: [{name: ann, "
                 "password: $6$plain}, {name: bob, password: b}]}]",
                 "carl:c\n", 0, expected, N_ITEMS(expected), 2);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    static const struct {
        const char *content;
        size_t n;
        const char *messages;
    } bad[] = {
        {"ann:$1$a\nhunter2\n", 0, "u:2: expected \"name:password\"\n"},
        {"ann:$1$a\n:hunter2\nbob:\n#\n:", 0,
         "u:2: the name before \":\" is empty\nu:3: the password after \":\" is empty\n"
         "u:5: the name before \":\" is empty\n"},
        {"ann:$1$a\0hunter2\n", 17, "u:1: a user cannot hold the character \\0\n"},
        {"a\0n:$1$ahunter2\n", 16, "u:1: a user cannot hold the character \\0\n"},
        {"ann:$1$hunter2 \nbob:$1$hunter2\\\ncarl:$hunter\xc3\xbc\nd:$hunter2:\n", 0,
         "u:1: what begins with \"$\" is taken for a hash of crypt(5), which this is not\n"
         "u:2: what begins with \"$\" is taken for a hash of crypt(5), which this is not\n"
         "u:3: what begins with \"$\" is taken for a hash of crypt(5), which this is not\n"
         "u:4: what begins with \"$\" is taken for a hash of crypt(5), which this is not\n"},
        {"ann:$1$a\nbob:$1$b\nann:$1$hunter2\nann:$1$d", 0,
         "u:3: the user \"ann\" is already in line 1 of u\n"
         "u:4: the user \"ann\" is already in line 1 of u\n"},
        {"\x1b:$1$a\n\x1b:$1$a\n", 0, "u:2: the user \"\\x1b\" is already in line 1 of u\n"},
        {"ann:a\nbob:b\nbob:c\n", 0,
         "u:1: " PLAIN_WARNING "u:3: the user \"bob\" is already in line 2 of u\n"},
    };
    static struct said said;
    struct config *config;

    (void)state;
    for (size_t i = 0; i < N_ITEMS(bad); i++) {
        const struct text_file file = {"u", bad[i].content, bad[i].n, ERR_NONE};
        assert_int_equal(parse_among(&config, &said, "s.yaml", WITH_FILE, &file, 1), ERR_BAD);
        assert_string_equal(said.text, bad[i].messages);
        assert_null(strstr(said.text, "hunter2"));
    }
}

static void a_user_of_both_is_told(void **state)
{
    static const struct text_file file = {"u", "bob:$1$b\nann:$1$a\n", 0, ERR_NONE};
    static const struct bad bad = {
        "workers: 1\ninbounds:\n- {type: socks, listen: 1080, users_file: u, users: [\n"
        "  {name: carl, password: c}, {name: ann, password: x}]}",
        "u:2: the user \"ann\" is already in line 4 of s.yaml\n"};

    (void)state;
    assert_all_refused(&bad, 1, &file, 1);
}

/* Refuses names, passwords and hashes one byte beyond what is allowed, and nothing before. */
static void lengths_have_an_end(void **state)
{
    static const struct {
        size_t n_name, n_password;
        const char *prefix, *message;
    } cases[] = {
        {255, 255, "", NULL},
        {256, 1, "", "the name is longer than 255 bytes"},
        {1, 256, "", "the password is longer than 255 bytes"},
        {1, 382, "$", NULL},
        {1, 383, "$", "what begins with \"$\" is taken for a hash"},
    };
    static struct said said;
    struct config *config;

    (void)state;
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        char content[1024], name[300], password[500];
        memset(name, 'n', sizeof name);
        memset(password, 'p', sizeof password);
        snprintf(content, sizeof content, "%.*s:%s%.*s\n", (int)cases[i].n_name, name,
                 cases[i].prefix, (int)cases[i].n_password, password);
        const struct text_file file = {"u", content, 0, ERR_NONE};
        enum err err = parse_among(&config, &said, "s.yaml", WITH_FILE, &file, 1);
        assert_int_equal(err, cases[i].message == NULL ? ERR_NONE : ERR_BAD);
        if (cases[i].message != NULL)
            assert_non_null(strstr(said.text, cases[i].message));
        config_free(config);
    }
}

static void plain_passwords_are_warned_of_once(void **state)
{
    static const struct text_file file = {"u", "ann:$1$a\nbob:b\ncarl:c\n", 0, ERR_NONE};
    static struct said said;
    struct config *config;

    (void)state;
    assert_int_equal(parse_among(&config, &said, "s.yaml", WITH_FILE, &file, 1), ERR_NONE);
    assert_string_equal(said.text, "u:2: " PLAIN_WARNING);
    assert_int_equal(said.messages.n_warnings, 1);
    config_free(config);
}

static void a_file_that_cannot_be_read_lets_nobody_in(void **state)
{
    static const struct {
        enum err err;
        const char *message;
    } cases[] = {
        {ERR_NOT_FOUND, "s.yaml:1:52: users_file: \"u\": there is no such file\n"},
        {ERR_PERMITTED, "s.yaml:1:52: users_file: \"u\": reading it is not permitted\n"},
        {ERR_BAD, "s.yaml:1:52: users_file: \"u\": a directory; expected a file\n"},
        {ERR_TOO_LONG, "s.yaml:1:52: users_file: \"u\": the file is too large\n"},
        {ERR_SYSTEM, "s.yaml:1:52: users_file: \"u\": system error\n"},
    };

    (void)state;
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        const struct text_file file = {"u", "", 0, cases[i].err};
        const struct bad bad = {WITH_FILE, cases[i].message};
        assert_all_refused(&bad, 1, &file, 1);
    }
}

static void a_file_without_users_lets_nobody_in(void **state)
{
    static const char *const contents[] = {"", "\n\n", "# ann:a\n", "\xef\xbb\xbf", " \r\n"};
    static const struct bad bad = {
        WITH_FILE,
        "s.yaml:1:52: users_file: there is no user in it, so that nobody could log in\n"};

    (void)state;
    for (size_t i = 0; i < N_ITEMS(contents); i++) {
        const struct text_file file = {"u", contents[i], 0, ERR_NONE};
        assert_all_refused(&bad, 1, &file, 1);
    }
}

static void its_users_are_users_to_an_open_address(void **state)
{
    static const struct text_file file = {"u", "ann:$1$a", 0, ERR_NONE};

    (void)state;
    config_free(parse_good("inbounds: [{type: socks, listen: '*:1080', users_file: u}]", &file, 1));
}

static void relative_paths_begin_at_the_configuration(void **state)
{
    static const struct text_file files[] = {{"/etc/s/u", "ann:$1$a", 0, ERR_NONE},
                                             {"here/x/u", "bob:$1$b", 0, ERR_NONE},
                                             {"/abs/u", "carl:$1$c", 0, ERR_NONE}};
    static const struct {
        const char *config, *written, *opened;
    } cases[] = {
        {"/etc/s/s.yaml", "u", "/etc/s/u"},
        {"here/s.yaml", "x/u", "here/x/u"},
        {"here/s.yaml", "/abs/u", "/abs/u"},
        {"s.yaml", "here/x/u", "here/x/u"},
    };
    static struct said said;
    struct config *config;
    char text[128];

    (void)state;
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        snprintf(text, sizeof text, "inbounds: [{type: http, listen: 1080, users_file: %s}]",
                 cases[i].written);
        assert_int_equal(parse_among(&config, &said, cases[i].config, text, files, N_ITEMS(files)),
                         ERR_NONE);
        assert_int_equal(config->n_files, 1);
        assert_string_equal(config->files[0], cases[i].opened);
        assert_string_equal(config->inbounds[0].users_file, cases[i].written);
        config_free(config);
    }
}

/* A path begins messages, where nothing shall move a terminal's cursor. */
static void paths_hold_no_control_characters(void **state)
{
    static const struct bad bad[] = {
        {"inbounds: [{type: mixed, listen: 1080, users_file: \"\\e[2J\"}]",
         "s.yaml:1:52: users_file: a path cannot hold control characters\n"},
        {"inbounds: [{type: mixed, listen: 1080, users_file: \"\\x7f\"}]",
         "s.yaml:1:52: users_file: a path cannot hold control characters\n"},
    };

    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
}

static char *write_users(size_t n)
{
    char *content = malloc(n * 24);
    size_t used = 0;

    assert_non_null(content);
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(content + used, 24, "user%zu:$1$%zu\n", i, i);
    return content;
}

static void long_files_are_kept_whole_and_in_order(void **state)
{
    enum { N = 50000 };
    char *content = write_users(N), name[24];
    const struct text_file file = {"u", content, 0, ERR_NONE};
    struct config *config = parse_good(WITH_FILE, &file, 1);

    (void)state;
    assert_int_equal(config->inbounds[0].n_users, N);
    for (size_t i = 0; i < N; i++) {
        snprintf(name, sizeof name, "user%zu", i);
        assert_string_equal(config->inbounds[0].users[i].name, name);
    }
    config_free(config);
    free(content);
}

static void there_are_a_million_users_at_most(void **state)
{
    char *content = write_users(1000001);
    const struct text_file file = {"u", content, 0, ERR_NONE};
    static const struct bad bad = {WITH_FILE, "s.yaml:1:52: users_file: more than 1000000 users\n"};

    (void)state;
    assert_all_refused(&bad, 1, &file, 1);
    free(content);
}

static void a_hundred_wrong_lines_are_shown_and_all_counted(void **state)
{
    static char content[2 * 250 + 1];
    static struct said said;
    struct config *config;

    (void)state;
    for (size_t i = 0; i < 250; i++)
        memcpy(content + 2 * i, "x\n", 2);
    const struct text_file file = {"u", content, 0, ERR_NONE};
    assert_int_equal(parse_among(&config, &said, "s.yaml", WITH_FILE, &file, 1), ERR_BAD);
    assert_int_equal(said.messages.n_errors, 250);
    assert_non_null(strstr(said.text, "\nu:100: expected \"name:password\"\n"));
    assert_null(strstr(said.text, "u:101"));
    assert_non_null(strstr(said.text, "s.yaml: 150 more messages not shown\n"));
}

static void users_files_print_as_themselves(void **state)
{
    static const struct text_file file = {"u", "ann:$1$hunter2", 0, ERR_NONE};

    (void)state;
    assert_prints_as_itself(WITH_FILE, &file, 1);
    assert_prints_as_itself("inbounds: [{type: mixed, listen: 1080, users_file: u, users: "
                            "[{name: bob, password: hunter2}]}]",
                            &file, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_a_name_and_a_password),
        cmocka_unit_test(those_of_the_file_follow_the_inline_ones),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(a_user_of_both_is_told),
        cmocka_unit_test(lengths_have_an_end),
        cmocka_unit_test(plain_passwords_are_warned_of_once),
        cmocka_unit_test(a_file_that_cannot_be_read_lets_nobody_in),
        cmocka_unit_test(a_file_without_users_lets_nobody_in),
        cmocka_unit_test(its_users_are_users_to_an_open_address),
        cmocka_unit_test(relative_paths_begin_at_the_configuration),
        cmocka_unit_test(paths_hold_no_control_characters),
        cmocka_unit_test(long_files_are_kept_whole_and_in_order),
        cmocka_unit_test(there_are_a_million_users_at_most),
        cmocka_unit_test(a_hundred_wrong_lines_are_shown_and_all_counted),
        cmocka_unit_test(users_files_print_as_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
