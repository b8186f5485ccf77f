/*
 * Rules and questions against the plainest matcher. An input is lines; the text that ends a line may hold
 * anything but a new line.
 *
 *     d s k l i r c p n u m  OUTBOUND TEXT     a rule of each kind (l: a set, ',' for its new lines;
 *                                              r: an IP-CIDR with `resolve`; p: FROM-TO)
 *     ?NAME   !NAME ADDRESS...   @ADDRESS      ask for a name, a resolved name, an address,
 *     =PORT FROM INBOUND USER                  all with these, until they are said again
 */
#include "../tests/unit/naive_route.h"
#include "fuzz.h"

enum { MAX_RULES = 64, MAX_ADDRS = 4, FALLBACK = 10 };

struct world {
    struct route_rule rules[MAX_RULES];
    size_t n;
    struct route_query about;
    struct addr from, addrs[MAX_ADDRS];
    struct route_table *table;
};

static char *next_word(char **rest)
{
    char *word;
    do
        word = strsep(rest, " ");
    while (word != NULL && *word == '\0');
    return word;
}

static bool set_ports(struct route_rule *rule, const char *text)
{
    const char *dash = strchr(text, '-');
    return dash != NULL &&
           addr_parse_port(&rule->port_from, text, (size_t)(dash - text)) == ERR_NONE &&
           addr_parse_port(&rule->port_to, dash + 1, strlen(dash + 1)) == ERR_NONE;
}

static void add_rule(struct world *world, char kind, char *rest)
{
    static const char letters[] = "dsklicpnum";
    const char *letter = strchr(letters, kind == 'r' ? 'i' : kind);
    char *outbound = next_word(&rest);
    struct route_rule rule = {.text = rest, .n_text = rest != NULL ? strlen(rest) : 0};

    if (kind == '\0' || letter == NULL || outbound == NULL || world->n == MAX_RULES)
        return;
    rule.kind = (enum route_kind)(letter - letters);
    rule.outbound = (uint32_t)*outbound % FALLBACK;
    rule.resolve = kind == 'r';
    for (char *p = rest; kind == 'l' && p != NULL && *p != '\0'; p++)
        *p = *p == ',' ? '\n' : *p;
    if (strchr("irc", kind) != NULL &&
        (rest == NULL || cidr_parse(&rule.cidr, rest, rule.n_text) != ERR_NONE))
        return;
    if (kind == 'p' && (rest == NULL || !set_ports(&rule, rest)))
        return;
    world->rules[world->n++] = rule;
}

static void set_about(struct world *world, char *rest)
{
    const char *port = next_word(&rest), *from = next_word(&rest);

    world->about = (struct route_query){.inbound = next_word(&rest), .user = rest};
    if (port != NULL && addr_parse_port(&world->about.port, port, strlen(port)) != ERR_NONE)
        world->about.port = 1;
    if (from != NULL && addr_parse_ip(&world->from, from, strlen(from)) == ERR_NONE)
        world->about.from = &world->from;
}

static void ask(struct world *world, char kind, char *rest)
{
    struct route_query query = world->about;
    uint32_t outbound = UINT32_MAX, expected;

    if (kind != '@') {
        query.name = kind == '!' ? next_word(&rest) : rest;
        query.n_name = query.name != NULL ? strlen(query.name) : 0;
        query.is_resolved = kind == '!' && query.n_name > 0;
    }
    query.addrs = world->addrs;
    for (char *word; kind != '?' && query.n_addrs < MAX_ADDRS && (word = next_word(&rest)) != NULL;)
        query.n_addrs +=
            addr_parse_ip(&world->addrs[query.n_addrs], word, strlen(word)) == ERR_NONE;
    if (world->table == NULL)
        CHECK(route_table_new(&world->table, world->rules, world->n, FALLBACK) == ERR_NONE);
    enum route_answer answer = route_find(world->table, &query, &outbound);
    CHECK(answer == naive_find(world->rules, world->n, FALLBACK, &query, &expected));
    CHECK(outbound == (answer == ROUTE_FOUND ? expected : UINT32_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct world world;
    char *text = calloc(1, n + 1), *rest = text, *line;

    CHECK(text != NULL);
    if (n > 0)
        memcpy(text, data, n);
    memset(&world, 0, sizeof world);
    while ((line = strsep(&rest, "\n")) != NULL) {
        char kind = *line;
        if (kind == '?' || kind == '!' || kind == '@')
            ask(&world, kind, line + 1);
        else if (kind == '=')
            set_about(&world, line + 1);
        else if (kind != '\0' && world.table == NULL)
            add_rule(&world, kind, line + 1);
    }
    route_table_free(world.table);
    free(text);
    return 0;
}
