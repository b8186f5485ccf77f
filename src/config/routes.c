#include "config/routes.h"

#include <stdio.h>
#include <string.h>

#include "config/check.h"
#include "config/domain.h"
#include "config/names.h"
#include "config/sets.h"
#include "config/suggest.h"

#define MAX_SET_BYTES ((size_t)256 * 1024 * 1024)
#define MAX_NAME_BYTES 255
#define MAX_PATH_BYTES 4095
#define MAX_PARTS 4

/* One rule being read. Its parts are zero terminated copies, which last as long as the reading. */
struct rule_reading {
    struct reading *reading;
    const struct config *config;
    const struct node *node;
    char *parts[MAX_PARTS];
    size_t n_parts;
};

struct rule_form {
    const char *name;
    enum config_rule_kind kind;
    const char *example; /* of its value; NULL: it has none */
    /* Reads the value into the rule; false: it is wrong, which has been said. */
    bool (*read)(struct rule_reading *, struct config_rule *, char *value);
};

static const char *shown(const struct rule_reading *r, struct quoted *room, const char *text)
{
    return r->node->from_env ? "this" : quote(room, text, strlen(text));
}

static bool say_wrong(const struct rule_reading *r, const char *value, const char *wrong)
{
    struct quoted q;

    report_error(r->reading->report, r->node->at, "routes: %s %s", shown(r, &q, value), wrong);
    return false;
}

static bool keep_text(struct rule_reading *r, struct config_rule *rule, const char *text, size_t n)
{
    rule->text = arena_text(r->reading->keep, text, n);
    r->reading->report->no_memory |= rule->text == NULL;
    return rule->text != NULL;
}

static bool read_domain(struct rule_reading *r, struct config_rule *rule, char *value)
{
    char *domain = value;
    size_t n = strlen(value);

    domain_strip(&domain, &n);
    if (rule->kind == RULE_DOMAIN && domain > value)
        return say_wrong(r, value, "is no single name; did you mean DOMAIN-SUFFIX?");
    const char *wrong = domain_lower(domain, n);
    return wrong != NULL ? say_wrong(r, domain, wrong) : keep_text(r, rule, domain, n);
}

static bool read_keyword(struct rule_reading *r, struct config_rule *rule, char *value)
{
    size_t n = strlen(value);
    const char *wrong = domain_lower_part(value, n);

    return wrong != NULL ? say_wrong(r, value, wrong) : keep_text(r, rule, value, n);
}

static bool read_set(struct rule_reading *r, struct config_rule *rule, char *value)
{
    size_t n = strlen(value);
    struct file file;

    if (n > MAX_PATH_BYTES)
        return say_wrong(r, value, "is longer than a path may be");
    if (!keep_text(r, rule, value, n) ||
        !file_read(r->reading, &file, "DOMAIN-SET", r->node, value, n, MAX_SET_BYTES))
        return false;
    unsigned n_errors = r->reading->report->n_errors;
    set_normalise(r->reading, &file, r->node->at);
    if (file.n == 0 && r->reading->report->n_errors == n_errors)
        report_warning(r->reading->report, r->node->at,
                       "routes: there is no domain in this file, so that the rule never matches");
    rule->set = file.text;
    rule->n_set = file.n;
    return true;
}

static bool read_block(struct rule_reading *r, struct config_rule *rule, char *value)
{
    char corrected[BLOCK_TEXT_BYTES];
    struct quoted q;

    if (cidr_parse(&rule->cidr, value, strlen(value)) == ERR_NONE) {
        if (rule->cidr.family != ADDR_NONE)
            return true;
        return say_wrong(r, value, "is no block; a rule for all that is left is MATCH");
    }
    if (r->node->from_env || !block_correct(corrected, value, strlen(value)))
        return say_wrong(r, value, "is no address and no block such as \"10.0.0.0/8\"");
    report_error(r->reading->report, r->node->at,
                 "routes: %s has bits set beyond its prefix; did you mean \"%s\"?",
                 quote(&q, value, strlen(value)), corrected);
    return false;
}

static bool read_ports(struct rule_reading *r, struct config_rule *rule, char *value)
{
    if (value_parse_ports(&rule->port_from, &rule->port_to, value, strlen(value)) &&
        rule->port_from > 0)
        return true;
    return say_wrong(r, value, "is no port from 1 to 65535 and no range such as \"8000-8080\"");
}

static bool read_inbound_name(struct rule_reading *r, struct config_rule *rule, char *value)
{
    struct reference wanted = {value, r->node->at, r->node->from_env};

    return names_check_inbound(r->reading, r->config, &wanted) &&
           keep_text(r, rule, value, strlen(value));
}

static bool read_user_name(struct rule_reading *r, struct config_rule *rule, char *value)
{
    size_t n = strlen(value);

    if (n > MAX_NAME_BYTES)
        return say_wrong(r, value, "is longer than a name may be");
    return keep_text(r, rule, value, n);
}

static const struct rule_form forms[] = {
    {"DOMAIN", RULE_DOMAIN, "www.example.com", read_domain},
    {"DOMAIN-SUFFIX", RULE_DOMAIN_SUFFIX, "example.com", read_domain},
    {"DOMAIN-KEYWORD", RULE_DOMAIN_KEYWORD, "ads", read_keyword},
    {"DOMAIN-SET", RULE_DOMAIN_SET, "domains.txt", read_set},
    {"IP-CIDR", RULE_IP_CIDR, "10.0.0.0/8", read_block},
    {"SRC-IP-CIDR", RULE_SRC_IP_CIDR, "192.0.2.0/24", read_block},
    {"DST-PORT", RULE_DST_PORT, "443", read_ports},
    {"IN-NAME", RULE_IN_NAME, "INBOUND", read_inbound_name},
    {"IN-USER", RULE_IN_USER, "USER", read_user_name},
    {"MATCH", RULE_MATCH, NULL, NULL},
};

#define N_FORMS (sizeof forms / sizeof forms[0])

/* Within [ ] a comma separates entries: a rule that has lost its quotes is in pieces. */
static bool say_form(const struct rule_reading *r, const char *form, const char *more)
{
    report_error(r->reading->report, r->node->at, "routes: expected \"%s\"%s%s", form, more,
                 r->n_parts == 1 ? "; within [ ] a rule must be in quotes" : "");
    return false;
}

static const struct rule_form *find_form(const struct rule_reading *r)
{
    struct suggest suggest = suggest_for(r->parts[0]);
    struct quoted q;

    for (size_t i = 0; i < N_FORMS; i++)
        if (strcmp(forms[i].name, r->parts[0]) == 0)
            return &forms[i];
    for (size_t i = 0; i < N_FORMS; i++)
        suggest_offer(&suggest, forms[i].name);
    const char *kind = shown(r, &q, r->parts[0]);
    if (r->n_parts == 1)
        say_form(r, "DOMAIN-SUFFIX,example.com,OUTBOUND", "");
    else if (strcmp(r->parts[0], "GEOIP") == 0)
        report_error(r->reading->report, r->node->at, "routes: this version does not have GEOIP");
    else if (suggest.best != NULL && !r->node->from_env)
        report_error(r->reading->report, r->node->at,
                     "routes: %s is no kind of rule; did you mean %s?", kind, suggest.best);
    else
        report_error(r->reading->report, r->node->at,
                     "routes: %s is no kind of rule; known are DOMAIN, DOMAIN-SUFFIX, "
                     "DOMAIN-KEYWORD, DOMAIN-SET, IP-CIDR, SRC-IP-CIDR, DST-PORT, IN-NAME, "
                     "IN-USER, MATCH",
                     kind);
    return NULL;
}

/* Splits the rule at its commas and takes the spaces around them away. n_parts counts all, also
 * those for which there is no room. */
static bool split(struct rule_reading *r)
{
    char *next = arena_text(r->reading->scratch, r->node->text, r->node->n_text);

    if (next == NULL) {
        r->reading->report->no_memory = true;
        return false;
    }
    while (next != NULL) {
        char *part = next + strspn(next, " \t"), *comma = strchr(next, ',');
        char *end = comma != NULL ? comma : next + strlen(next);
        next = comma != NULL ? comma + 1 : NULL;
        while (end > part && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        *end = '\0';
        if (r->n_parts < MAX_PARTS)
            r->parts[r->n_parts] = part;
        r->n_parts++;
    }
    return true;
}

static bool say_example(const struct rule_reading *r, const struct rule_form *form)
{
    char text[64];

    snprintf(text, sizeof text, "%s%s%s,OUTBOUND", form->name, form->example != NULL ? "," : "",
             form->example != NULL ? form->example : "");
    return say_form(r, text, form->kind == RULE_IP_CIDR ? " or \"...,resolve\"" : "");
}

/* Reads what may follow the outbound. */
static bool read_resolve(struct rule_reading *r, struct config_rule *rule, const char *word)
{
    if (strcmp(word, "no-resolve") == 0)
        return say_wrong(r, word, "is so without being said: leave it out");
    if (strcmp(word, "resolve") != 0)
        return say_wrong(r, word, "after the outbound; only \"resolve\" can stand there");
    if (rule->kind != RULE_IP_CIDR)
        return say_wrong(r, word, "belongs to IP-CIDR only: no other rule asks for addresses");
    rule->resolve = true;
    return true;
}

static bool read_rule(struct rule_reading *r, struct config_rule *rule)
{
    if (!split(r))
        return false;
    const struct rule_form *form = find_form(r);
    if (form == NULL)
        return false;
    size_t n_least = form->example != NULL ? 3 : 2;
    if (r->n_parts < n_least || r->n_parts > n_least + 1)
        return say_example(r, form);
    for (size_t i = 1; i < n_least; i++)
        if (r->parts[i][0] == '\0')
            return say_example(r, form);

    *rule = (struct config_rule){.kind = form->kind, .line = (int)r->node->at.line};
    struct reference outbound = {r->parts[n_least - 1], r->node->at, r->node->from_env};
    bool is_good = form->read == NULL || form->read(r, rule, r->parts[1]);
    is_good &= names_find_outbound(r->reading, r->config, &outbound, &rule->outbound);
    if (r->n_parts > n_least)
        is_good &= read_resolve(r, rule, r->parts[n_least]);
    return is_good;
}

void routes_read(struct reading *reading, const struct node *root, struct config *config)
{
    const struct node *list = node_get(root, "routes");
    uint32_t match_line = 0;
    bool has_warned = false;

    if (list == NULL || list->kind != NODE_LIST)
        return;
    config->rules = value_alloc(reading, list->n_children, sizeof *config->rules);
    if (config->rules == NULL)
        return;
    for (const struct node *node = list->first; node != NULL && !reading->report->no_memory;
         node = node->next) {
        struct rule_reading r = {.reading = reading, .config = config, .node = node};
        struct config_rule *rule = &config->rules[config->n_rules];
        if (match_line > 0 && !has_warned) {
            report_warning(reading->report, node->at,
                           "routes: never reached, as MATCH in line %u comes first",
                           (unsigned)match_line);
            has_warned = true;
        }
        if (!value_stands_for_text(node) || !read_rule(&r, rule))
            continue;
        if (rule->kind == RULE_MATCH && match_line == 0)
            match_line = node->at.line;
        config->n_rules++;
    }
}

/* The rules themselves are read when all names are known (routes_read). */
static void read_routes(struct reading *reading, const struct key *key, const struct node *value,
                        void *base)
{
    (void)base;
    if (value->kind != NODE_LIST) {
        value_unexpected(reading, key, value);
        return;
    }
    for (const struct node *node = value->first; node != NULL; node = node->next)
        (void)value_is_text(reading, key, node);
}

/* Writes the value of a rule; "" where it has none. */
static void format_value(char *out, size_t cap, const struct config_rule *rule)
{
    char block[BLOCK_TEXT_BYTES];

    out[0] = '\0';
    if (rule->text != NULL) {
        snprintf(out, cap, "%s", rule->text);
    } else if (rule->kind == RULE_IP_CIDR || rule->kind == RULE_SRC_IP_CIDR) {
        block_format(block, &rule->cidr);
        snprintf(out, cap, "%s", block);
    } else if (rule->kind == RULE_DST_PORT) {
        if (rule->port_from == rule->port_to)
            snprintf(out, cap, "%u", (unsigned)rule->port_from);
        else
            snprintf(out, cap, "%u-%u", (unsigned)rule->port_from, (unsigned)rule->port_to);
    }
}

static void print_rule(struct printer *printer, const struct config_rule *rule)
{
    char value[MAX_PATH_BYTES + 1], text[MAX_PATH_BYTES + 2 * MAX_NAME_BYTES];
    const struct rule_form *form = forms;

    while (form->kind != rule->kind)
        form++;
    format_value(value, sizeof value, rule);
    snprintf(text, sizeof text, "%s,%s%s%s%s", form->name, value, form->example != NULL ? "," : "",
             printer->config->outbounds[rule->outbound].name, rule->resolve ? ",resolve" : "");
    print_entry(printer);
    print_quoted(printer, text);
    print_raw(printer, "\n");
}

static void print_routes(struct printer *printer, const struct key *key, const void *base)
{
    const struct config *config = base;

    if (config->n_rules == 0)
        return;
    print_section(printer, key->name);
    printer->indent += 4;
    for (size_t i = 0; i < config->n_rules; i++)
        print_rule(printer, &config->rules[i]);
    printer->indent -= 4;
}

const struct kind kind_routes = {
    .expects = "a list of rules such as \"DOMAIN-SUFFIX,example.com,OUTBOUND\"",
    .read = read_routes,
    .print = print_routes};
