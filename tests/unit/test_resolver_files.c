/* /etc/hosts and /etc/resolv.conf: that they count, and that a change of theirs does. */
#include "resolver_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Longer than the resolver waits between two looks at its files. */
#define LOOK_MS 1100

static void the_hosts_file_counts_before_dns(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}},
        {.name = "a.test", .type = DNS_AAAA, .addrs = {"2001:db8::1"}},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules),
                 "10.0.0.1 A.test alias\n10.0.0.2 a.test\nfd00::1 six.test\n", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    assert_finds(&fixture, "a.test", ADDR_V4, "10.0.0.1,10.0.0.2");
    assert_finds(&fixture, "A.TEST.", ADDR_V4, "10.0.0.1,10.0.0.2");
    assert_finds(&fixture, "alias", ADDR_V4, "10.0.0.1");
    assert_finds(&fixture, "six.test", ADDR_V6, "fd00::1");
    /* Whoever has a name in the file means it: DNS is not asked for the other family. */
    assert_fails(&fixture, "a.test", ADDR_V6, ERR_LOOKUP);
    assert_fails(&fixture, "six.test", ADDR_V4, ERR_LOOKUP);
    assert_int_equal(fixture.server->n_asked, 0);
    fixture_deinit(&fixture);
}

static void a_changed_hosts_file_is_noticed(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "10.0.0.1 a.test\n", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    assert_finds(&fixture, "a.test", ADDR_V4, "10.0.0.1");

    write_file(fixture.hosts, "10.0.0.2 a.test\n"); /* of the same size */
    fixture_pass(&fixture, LOOK_MS);
    assert_finds(&fixture, "a.test", ADDR_V4, "10.0.0.2");

    /* Replaced, as an editor does, by one of the same size and time. */
    char new_path[64];
    struct stat old;
    snprintf(new_path, sizeof new_path, "%s/new", fixture.dir);
    write_file(new_path, "10.0.0.3 a.test\n");
    assert_int_equal(stat(fixture.hosts, &old), 0);
    struct timespec times[] = {old.st_atim, old.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, new_path, times, 0), 0);
    assert_int_equal(rename(new_path, fixture.hosts), 0);
    fixture_pass(&fixture, LOOK_MS);
    assert_finds(&fixture, "a.test", ADDR_V4, "10.0.0.3");

    unlink(fixture.hosts);
    fixture_pass(&fixture, LOOK_MS);
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
    write_file(fixture.hosts, "10.0.0.4 a.test\n");
    fixture_pass(&fixture, LOOK_MS);
    assert_finds(&fixture, "a.test", ADDR_V4, "10.0.0.4");
    fixture_deinit(&fixture);
}

static void files_that_are_none_are_as_good_as_missing(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    struct resolver_options options = {.servers = &fixture.server_addr,
                                       .n_servers = 1,
                                       .hosts_path = fixture.dir,
                                       .resolv_path = "/dev/zero"};
    assert_int_equal(resolver_new(&fixture.resolver, fixture.loop, &options), ERR_NONE);
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
    fixture_deinit(&fixture);
}

/* What was asked for, in order, when `name` is looked up and is nowhere. */
static void assert_candidates(struct fixture *fixture, const char *name, const char *expected)
{
    char asked[1024] = "";
    struct asker asker = {0};
    ask(fixture, &asker, name, ADDR_V4);
    unsigned n_asked = fixture->server->n_asked;
    uint64_t end = dns_server_now_ms() + PATIENCE_MS;
    while (asker.n_told == 0 && dns_server_now_ms() < end) {
        fixture_turn(fixture);
        if (fixture->server->n_asked == n_asked)
            continue;
        n_asked = fixture->server->n_asked;
        strcat(asked, asked[0] != '\0' ? " " : "");
        strcat(asked, fixture->server->last_name);
    }
    assert_int_equal(asker.err, ERR_LOOKUP);
    assert_string_equal(asked, expected);
}

static void names_are_searched_for_as_the_system_does(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), NULL, 0, "",
                 "domain not.this.one\nsearch one.test two.test.\noptions ndots:2\n");
    fixture_resolve(&fixture, (struct resolver_options){0});
    assert_candidates(&fixture, "a", "a.one.test a.two.test a");
    assert_candidates(&fixture, "a.b", "a.b.one.test a.b.two.test a.b");
    assert_candidates(&fixture, "a.b.c", "a.b.c a.b.c.one.test a.b.c.two.test");
    assert_candidates(&fixture, "a.", "a");
    fixture_deinit(&fixture);
}

static void the_search_ends_where_the_name_is(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.one.test", .type = DNS_A, .addrs = {"192.0.2.1"}},
        {.name = "a.two.test", .type = DNS_AAAA, .addrs = {"2001:db8::2"}},
        {.name = "b.one.test", .type = DNS_A, .rcode = DNS_SERVFAIL},
        {.name = "b.two.test", .type = DNS_A, .addrs = {"192.0.2.3"}},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "",
                 "search one.test two.test\n");
    fixture_resolve(&fixture, (struct resolver_options){0});
    assert_finds(&fixture, "a", ADDR_V4, "192.0.2.1");
    /* That host has IPv4 only; the one in the next domain is another. */
    assert_fails(&fixture, "a", ADDR_V6, ERR_LOOKUP);
    assert_int_equal(rules[1].n_asked, 0);
    assert_finds(&fixture, "b", ADDR_V4, "192.0.2.3");
    fixture_deinit(&fixture);
}

static void a_search_that_makes_a_name_too_long_goes_on(void **state)
{
    char search[400], name[300];
    struct dns_rule rules[] = {
        {.name = name, .type = DNS_A, .addrs = {"192.0.2.1"}},
    };
    for (size_t i = 0; i < 200; i++)
        name[i] = i % 50 == 49 ? '.' : 'a';
    name[199] = '\0';
    snprintf(search, sizeof search, "options ndots:15\nsearch %s\n", name);
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", search);
    fixture_resolve(&fixture, (struct resolver_options){0});
    assert_finds(&fixture, name, ADDR_V4, "192.0.2.1");
    assert_int_equal(fixture.server->n_asked, 1);
    fixture_deinit(&fixture);
}

static void a_changed_resolv_conf_is_noticed(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.one.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .ttl_s = 60},
        {.name = "a.two.test", .type = DNS_A, .addrs = {"192.0.2.2"}, .ttl_s = 60},
        {.name = "b.one.test", .type = DNS_A, .is_silent = true},
        {.name = "b.two.test", .type = DNS_A, .addrs = {"192.0.2.4"}, .ttl_s = 60},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "search one.test\n");
    fixture_resolve(&fixture, (struct resolver_options){0});
    assert_finds(&fixture, "a", ADDR_V4, "192.0.2.1");
    struct asker b = {0};
    ask(&fixture, &b, "b", ADDR_V4);
    write_file(fixture.resolv, "search two.test\n");
    fixture_pass(&fixture, LOOK_MS);
    assert_int_equal(b.n_told, 0);
    /* Looked at when somebody asks; what is kept is forgotten, and what is pending asked anew. */
    assert_finds(&fixture, "a", ADDR_V4, "192.0.2.2");
    wait_for(&b);
    assert_answer(&b, "192.0.2.4");
    assert_int_equal(rules[0].n_asked, 1);
    fixture_deinit(&fixture);
}

static bool can_be_port_53(void)
{
    struct sockaddr_in probe = {.sin_family = AF_INET, .sin_port = htons(53)};
    inet_pton(AF_INET, "127.77.0.1", &probe.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    bool can_bind = bind(fd, (struct sockaddr *)&probe, sizeof probe) == 0;
    close(fd);
    return can_bind;
}

static void the_servers_of_resolv_conf_are_asked(void **state)
{
    static struct dns_server first, second;
    struct dns_rule on_first[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .ttl_s = 60},
        {.name = "late.test", .type = DNS_A, .is_silent = true},
    };
    struct dns_rule on_second[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.2"}, .ttl_s = 60},
        {.name = "late.test", .type = DNS_A, .addrs = {"192.0.2.3"}, .ttl_s = 60},
    };
    if (!can_be_port_53())
        skip(); /* port 53 is root's */
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), NULL, 0, "", "nameserver 127.77.0.1\n");
    size_t n_fds = fixture.n_fds;
    dns_server_open(&first, on_first, N_ITEMS(on_first), "127.77.0.1");
    dns_server_open(&second, on_second, N_ITEMS(on_second), "127.77.0.2");
    struct resolver_options options = {.hosts_path = fixture.hosts, .resolv_path = fixture.resolv};
    assert_int_equal(resolver_new(&fixture.resolver, fixture.loop, &options), ERR_NONE);

    struct asker a = {0}, late = {0};
    ask(&fixture, &a, "a.test", ADDR_V4);
    ask(&fixture, &late, "late.test", ADDR_V4);
    while (a.n_told == 0) {
        dns_server_step(&first);
        fixture_turn(&fixture);
    }
    assert_answer(&a, "192.0.2.1");
    write_file(fixture.resolv, "nameserver 127.77.0.2\n");
    resolver_refresh(fixture.resolver);
    ask(&fixture, &a, "a.test", ADDR_V4);
    while (a.n_told == 0 || late.n_told == 0) {
        dns_server_step(&second);
        fixture_turn(&fixture);
    }
    assert_answer(&a, "192.0.2.2");
    assert_answer(&late, "192.0.2.3");
    dns_server_close(&first);
    dns_server_close(&second);
    fixture.n_fds = n_fds;
    fixture_deinit(&fixture);
}

/* To other servers in two steps; what is pending is asked there, and what was kept is forgotten. */
static void other_servers_are_turned_to_or_forgotten(void **state)
{
    struct dns_rule on_first[] = {{.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}},
                                  {.name = "late.test", .type = DNS_A, .is_silent = true}};
    struct dns_rule on_second[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.2"}, .ttl_s = 3600},
        {.name = "late.test", .type = DNS_A, .addrs = {"192.0.2.3"}}};
    static struct dns_server second;
    struct fixture fixture;
    on_first[0].ttl_s = 3600;
    fixture_init(&fixture, backend_of(state), on_first, N_ITEMS(on_first), "", "");
    size_t n_fds = fixture.n_fds;
    fixture_resolve(&fixture, (struct resolver_options){0});
    dns_server_open(&second, on_second, N_ITEMS(on_second), NULL);
    const struct addr other = {.family = ADDR_V4, .ip = {127, 0, 0, 1}, .port = second.port};
    struct addr many[RESOLVER_MAX_SERVERS + 1];
    memset(many, 0, sizeof many);

    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
    assert_int_equal(resolver_prepare(fixture.resolver, many, N_ITEMS(many)), ERR_LIMIT);
    assert_int_equal(resolver_prepare(fixture.resolver, &other, 1), ERR_NONE);
    resolver_forget(fixture.resolver);
    resolver_turn(fixture.resolver);
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
    assert_int_equal(on_first[0].n_asked, 1);

    struct asker late = {0}, a = {0};
    ask(&fixture, &late, "late.test", ADDR_V4);
    assert_int_equal(resolver_prepare(fixture.resolver, &other, 1), ERR_NONE);
    assert_int_equal(resolver_prepare(fixture.resolver, &other, 1), ERR_NONE);
    resolver_turn(fixture.resolver);
    ask(&fixture, &a, "a.test", ADDR_V4);
    while (a.n_told == 0 || late.n_told == 0) {
        dns_server_step(&second);
        fixture_turn(&fixture);
    }
    assert_answer(&a, "192.0.2.2");
    assert_answer(&late, "192.0.2.3");
    /* The same again is no change. */
    assert_int_equal(resolver_prepare(fixture.resolver, &other, 1), ERR_NONE);
    resolver_turn(fixture.resolver);
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.2");
    assert_int_equal(on_second[0].n_asked, 1);
    dns_server_close(&second);
    fixture.n_fds = n_fds;
    fixture_deinit(&fixture);
}

/* By a configuration that names none any more, while the network changes. */
static void the_systems_servers_are_turned_to_as_they_are_by_then(void **state)
{
    static struct dns_server second;
    struct dns_rule on_second[] = {{.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.2"}}};
    struct fixture fixture;
    if (!can_be_port_53())
        skip();
    fixture_init(&fixture, backend_of(state), NULL, 0, "", "nameserver 127.77.0.1\n");
    size_t n_fds = fixture.n_fds;
    fixture_resolve(&fixture, (struct resolver_options){0});
    dns_server_open(&second, on_second, N_ITEMS(on_second), "127.77.0.2");

    assert_int_equal(resolver_prepare(fixture.resolver, NULL, 0), ERR_NONE);
    write_file(fixture.resolv, "nameserver 127.77.0.2\n");
    resolver_refresh(fixture.resolver);
    resolver_turn(fixture.resolver);
    struct asker a = {0};
    ask(&fixture, &a, "a.test", ADDR_V4);
    while (a.n_told == 0) {
        dns_server_step(&second);
        fixture_turn(&fixture);
    }
    assert_answer(&a, "192.0.2.2");
    dns_server_close(&second);
    fixture.n_fds = n_fds;
    fixture_deinit(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(the_hosts_file_counts_before_dns),
        ON_BOTH(a_changed_hosts_file_is_noticed),
        ON_BOTH(files_that_are_none_are_as_good_as_missing),
        ON_BOTH(names_are_searched_for_as_the_system_does),
        ON_BOTH(the_search_ends_where_the_name_is),
        ON_BOTH(a_search_that_makes_a_name_too_long_goes_on),
        ON_BOTH(a_changed_resolv_conf_is_noticed),
        ON_BOTH(the_servers_of_resolv_conf_are_asked),
        ON_BOTH(other_servers_are_turned_to_or_forgotten),
        ON_BOTH(the_systems_servers_are_turned_to_as_they_are_by_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
