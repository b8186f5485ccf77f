/*
 * How fast rules are found: a table is made of N random domains (a DOMAIN-SET), then one of a tenth
 * as many random blocks (IP-CIDR rules), and asked a million times. It prints what making it takes,
 * its memory and the time of a look-up.
 *
 *   route [-n DOMAINS]
 *
 * The questions are made before the clock runs and come in no order, so that the processor's caches
 * hold as little of the table as they would in a proxy.
 */
#include "util.h"

#include <getopt.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "route/route.h"

enum { N_QUESTIONS = 1000000, DOMAIN_BYTES = 64 };

static uint64_t random_state = 1;

/* splitmix64 */
static uint64_t random_u64(void)
{
    uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n, size);
    if (memory == NULL)
        die("out of memory");
    return memory;
}

static size_t allocated_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Lists of this kind have 16 bytes a domain or so: two labels, at times three. `salt` keeps hits and misses apart. */
static size_t random_domain(char *out, char salt)
{
    static const char *const ends[] = {"com", "net", "org", "de", "co.uk", "info", "xyz", "io"};
    size_t n = 0;

    for (uint64_t i = 5 + random_u64() % 8; i > 0; i--)
        out[n++] = (char)('a' + random_u64() % 26);
    out[n++] = salt;
    return n + (size_t)sprintf(out + n, ".%s", ends[random_u64() % 8]);
}

struct questions {
    struct route_query *queries;
    char (*names)[DOMAIN_BYTES];
    struct addr *addrs;
};

static struct questions new_questions(void)
{
    return (struct questions){.queries = allocate(N_QUESTIONS, sizeof(struct route_query)),
                              .names = allocate(N_QUESTIONS, DOMAIN_BYTES),
                              .addrs = allocate(N_QUESTIONS, sizeof(struct addr))};
}

static void ask_for_name(struct questions *questions, size_t i, const char *domain)
{
    int n = snprintf(questions->names[i], DOMAIN_BYTES, "www.%s", domain);
    questions->queries[i] =
        (struct route_query){.name = questions->names[i], .n_name = (size_t)n, .port = 443};
}

static void ask_for_address(struct questions *questions, size_t i, const uint8_t ip[static 4])
{
    memcpy(questions->addrs[i].ip, ip, 4);
    questions->addrs[i].family = ADDR_V4;
    questions->queries[i] =
        (struct route_query){.addrs = &questions->addrs[i], .n_addrs = 1, .port = 443};
}

static void measure(const struct route_table *table, const struct questions *questions,
                    const char *what, uint32_t expected)
{
    size_t n_right = 0;
    int64_t began = now_ns();

    for (size_t i = 0; i < N_QUESTIONS; i++) {
        uint32_t outbound = UINT32_MAX;
        (void)route_find(table, &questions->queries[i], &outbound);
        n_right += outbound == expected;
    }
    int64_t took = now_ns() - began;
    printf("  %-6s %5.0f ns a look-up, %.1f%% of them\n", what, (double)took / N_QUESTIONS,
           100.0 * (double)n_right / N_QUESTIONS);
}

static struct route_table *make(const char *what, const struct route_rule *rules, size_t n_rules,
                                size_t n)
{
    struct route_table *table;
    size_t before = allocated_bytes();
    int64_t began = now_ns();

    if (route_table_new(&table, rules, n_rules, 0) != ERR_NONE)
        die("no table of %zu %s", n, what);
    int64_t took = now_ns() - began;
    printf("%zu %s: made in %.3f s, %.1f bytes each\n", n, what, (double)took / 1e9,
           (double)(allocated_bytes() - before) / (double)n);
    return table;
}

static void bench_set(size_t n)
{
    char *text = allocate(n, DOMAIN_BYTES), *end = text;
    char **domains = allocate(n, sizeof *domains);
    struct questions hits = new_questions(), misses = new_questions();

    for (size_t i = 0; i < n; i++) {
        domains[i] = end;
        end += random_domain(end, '0');
        *end++ = '\n';
    }
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        char domain[DOMAIN_BYTES];
        const char *listed = domains[random_u64() % n];
        snprintf(domain, sizeof domain, "%.*s", (int)strcspn(listed, "\n"), listed);
        ask_for_name(&hits, i, domain);
        random_domain(domain, '1');
        ask_for_name(&misses, i, domain);
    }
    struct route_rule rule = {
        .kind = ROUTE_DOMAIN_SET, .text = text, .n_text = (size_t)(end - text), .outbound = 1};
    struct route_table *table = make("domains of a set", &rule, 1, n);
    measure(table, &hits, "hits", 1);
    measure(table, &misses, "misses", 0);
    route_table_free(table);
}

/* Blocks below 224.0.0.0 with an odd first byte: even ones are misses. */
static void bench_blocks(size_t n)
{
    struct route_rule *rules = allocate(n, sizeof *rules);
    struct questions hits = new_questions(), misses = new_questions();

    for (size_t i = 0; i < n; i++) {
        uint64_t random = random_u64();
        struct cidr cidr = {.ip = {(uint8_t)(random % 224 | 1), (uint8_t)(random >> 8),
                                   (uint8_t)(random >> 16), (uint8_t)(random >> 24)},
                            .family = ADDR_V4,
                            .prefix_bits = (uint8_t)(16 + (random >> 32) % 17)};
        for (size_t bit = cidr.prefix_bits; bit < 32; bit++)
            cidr.ip[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
        rules[i] = (struct route_rule){.kind = ROUTE_IP_CIDR, .cidr = cidr, .outbound = 1};
    }
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        uint8_t ip[4];
        memcpy(ip, rules[random_u64() % n].cidr.ip, sizeof ip);
        ask_for_address(&hits, i, ip);
        ip[0] &= 0xfe;
        ask_for_address(&misses, i, ip);
    }
    struct route_table *table = make("IP-CIDR rules", rules, n, n);
    measure(table, &hits, "hits", 1);
    measure(table, &misses, "misses", 0);
    route_table_free(table);
}

int main(int argc, char **argv)
{
    size_t n = 1000000;

    for (int c; (c = getopt(argc, argv, "n:")) != -1;) {
        if (c != 'n')
            die("usage: route [-n DOMAINS]");
        n = (size_t)parse_number(optarg, 10000000);
    }
    if (n == 0)
        die("no rules, nothing to find");
    bench_set(n);
    bench_blocks((n + 9) / 10);
    return 0;
}
