#include "io/resolv_conf.h"

#include <net/if.h>
#include <string.h>

/* The system's own bounds (resolv.conf(5)). */
#define MAX_NDOTS 15
#define MAX_TIMEOUT_S 30
#define MAX_ATTEMPTS 5

#define DEFAULT_TIMEOUT_MS 2000
#define DEFAULT_ATTEMPTS 3

/* What is left of a line. */
struct words {
    const char *at, *end;
};

struct word {
    const char *text;
    size_t n;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word; an empty one at the end of the line or at a comment. */
static struct word next_word(struct words *words)
{
    const char *p = words->at;
    while (p < words->end && is_blank(*p))
        p++;
    struct word word = {.text = p};
    if (p < words->end && (*p == '#' || *p == ';'))
        p = words->end;
    else
        while (p < words->end && !is_blank(*p))
            p++;
    if (word.text < words->end && *word.text != '#' && *word.text != ';')
        word.n = (size_t)(p - word.text);
    words->at = p;
    return word;
}

static bool is_word(struct word word, const char *text)
{
    return word.n == strlen(text) && memcmp(word.text, text, word.n) == 0;
}

/* The number after "name:" where the word begins so, brought between `lowest` and `highest`. */
static bool parse_option(struct word word, const char *name, unsigned lowest, unsigned highest,
                         unsigned *out)
{
    size_t n_name = strlen(name);
    if (word.n <= n_name || memcmp(word.text, name, n_name) != 0)
        return false;
    unsigned value = 0;
    for (size_t i = n_name; i < word.n; i++) {
        if (word.text[i] < '0' || word.text[i] > '9')
            return false;
        value = value * 10 + (unsigned)(word.text[i] - '0');
        if (value > highest)
            value = highest;
    }
    *out = value < lowest ? lowest : value;
    return true;
}

/* A server's address; "fe80::1%eth0" names its interface, as routers without another address do. */
static bool parse_server(struct word word, struct addr *out)
{
    if (addr_parse_ip(out, word.text, word.n) == ERR_NONE)
        return true;
    const char *percent = memchr(word.text, '%', word.n);
    char interface[IF_NAMESIZE];
    if (percent == NULL)
        return false;
    size_t n_address = (size_t)(percent - word.text);
    size_t n_interface = word.n - n_address - 1;
    if (n_interface >= sizeof interface || addr_parse_ip(out, word.text, n_address) != ERR_NONE ||
        out->family != ADDR_V6)
        return false;
    memcpy(interface, percent + 1, n_interface);
    interface[n_interface] = '\0';
    out->scope = if_nametoindex(interface);
    return out->scope != 0;
}

static void add_server(struct resolv_conf *conf, struct words *words)
{
    if (conf->n_servers == RESOLV_CONF_MAX_SERVERS)
        return;
    struct addr addr;
    if (parse_server(next_word(words), &addr))
        conf->servers[conf->n_servers++] = addr;
}

/* Appends a domain at *used of the text; the root ("."), and what has no room, is left out. */
static void add_domain(struct resolv_conf *conf, struct word word, size_t *used)
{
    while (word.n > 0 && word.text[word.n - 1] == '.')
        word.n--;
    if (word.n == 0 || conf->n_domains == RESOLV_CONF_MAX_DOMAINS ||
        memchr(word.text, '\0', word.n) != NULL || word.n >= sizeof conf->domain_text - *used)
        return;
    char *domain = conf->domain_text + *used;
    memcpy(domain, word.text, word.n);
    domain[word.n] = '\0';
    *used += word.n + 1;
    conf->domain_at[conf->n_domains++] = (uint16_t)(domain - conf->domain_text);
}

/* The last `search` or `domain` of the file counts. */
static void set_domains(struct resolv_conf *conf, struct words *words, size_t max)
{
    size_t used = 0;
    conf->n_domains = 0;
    conf->has_domains = true;
    struct word word;
    while (max-- > 0 && (word = next_word(words)).n > 0)
        add_domain(conf, word, &used);
}

static void set_options(struct resolv_conf *conf, struct words *words)
{
    struct word word;
    while ((word = next_word(words)).n > 0) {
        unsigned timeout_s;
        if (parse_option(word, "ndots:", 0, MAX_NDOTS, &conf->ndots) ||
            parse_option(word, "attempts:", 1, MAX_ATTEMPTS, &conf->n_attempts))
            continue;
        if (parse_option(word, "timeout:", 1, MAX_TIMEOUT_S, &timeout_s))
            conf->timeout_ms = timeout_s * 1000;
        else if (is_word(word, "rotate"))
            conf->rotate = true;
        else if (is_word(word, "use-vc"))
            conf->use_tcp = true;
    }
}

static void parse_line(struct resolv_conf *conf, const char *line, size_t n)
{
    struct words words = {line, line + n};
    /* A keyword begins its line. */
    if (n == 0 || is_blank(line[0]))
        return;
    struct word keyword = next_word(&words);
    if (is_word(keyword, "nameserver"))
        add_server(conf, &words);
    else if (is_word(keyword, "search"))
        set_domains(conf, &words, RESOLV_CONF_MAX_DOMAINS);
    else if (is_word(keyword, "domain"))
        set_domains(conf, &words, 1);
    else if (is_word(keyword, "options"))
        set_options(conf, &words);
}

void resolv_conf_parse(struct resolv_conf *conf, const char *text, size_t n)
{
    *conf = (struct resolv_conf){
        .ndots = 1, .timeout_ms = DEFAULT_TIMEOUT_MS, .n_attempts = DEFAULT_ATTEMPTS};
    const char *end = text + n;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline != NULL ? newline : end;
        parse_line(conf, text, (size_t)(line_end - text));
        text = newline != NULL ? newline + 1 : end;
    }
}

void resolv_conf_set_domain(struct resolv_conf *conf, const char *name)
{
    struct words words = {name, name + strlen(name)};
    set_domains(conf, &words, 1);
}
