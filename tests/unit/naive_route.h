/*
 * What route/ must answer, by the plainest means: rule after rule, in order. Unit tests and the fuzz
 * target compare with it.
 */
#ifndef SOCKEYE_TESTS_NAIVE_ROUTE_H
#define SOCKEYE_TESTS_NAIVE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "route/route.h"

static inline bool naive_same(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char x = a[i], y = b[i];
        if (x >= 'A' && x <= 'Z')
            x = (char)(x - 'A' + 'a');
        if (y >= 'A' && y <= 'Z')
            y = (char)(y - 'A' + 'a');
        if (x != y)
            return false;
    }
    return true;
}

static inline size_t naive_without_dot(const char *text, size_t n)
{
    return n > 0 && text[n - 1] == '.' ? n - 1 : n;
}

/* Whether the name is the domain or, unless `exact`, under it. */
static inline bool naive_domain(const char *domain, size_t n, const char *name, size_t n_name,
                                bool exact)
{
    n_name = naive_without_dot(name, n_name);
    if (n == 0 || n > n_name || n_name > 255 || !naive_same(domain, name + n_name - n, n))
        return false;
    return n == n_name || (!exact && name[n_name - n - 1] == '.');
}

static inline bool naive_keyword(const char *word, size_t n, const char *name, size_t n_name)
{
    n_name = naive_without_dot(name, n_name);
    if (n == 0 || n_name > 255)
        return false;
    for (size_t i = 0; i + n <= n_name; i++) {
        if (naive_same(word, name + i, n))
            return true;
    }
    return false;
}

static inline bool naive_set(const char *text, size_t n, const char *name, size_t n_name)
{
    for (size_t from = 0; from < n;) {
        size_t end = from;
        while (end < n && text[end] != '\n')
            end++;
        size_t a = from, b = from;
        while (b < end && text[b] != '#')
            b++;
        while (a < b && strchr(" \t\r", text[a]) != NULL && text[a] != '\0')
            a++;
        while (b > a && strchr(" \t\r", text[b - 1]) != NULL && text[b - 1] != '\0')
            b--;
        if (b - a >= 2 && (text[a] == '+' || text[a] == '*') && text[a + 1] == '.')
            a += 2;
        else if (b > a && text[a] == '.')
            a++;
        if (naive_domain(text + a, naive_without_dot(text + a, b - a), name, n_name, false))
            return true;
        from = end + 1;
    }
    return false;
}

static inline bool naive_any(const struct cidr *cidr, const struct addr *addrs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (addrs[i].family != ADDR_NONE && cidr_contains(cidr, &addrs[i]))
            return true;
    }
    return false;
}

static inline bool naive_text(const struct route_rule *rule, const char *text)
{
    return text != NULL && strlen(text) == rule->n_text &&
           (rule->n_text == 0 || memcmp(text, rule->text, rule->n_text) == 0);
}

static inline bool naive_matches(const struct route_rule *rule, const struct route_query *query)
{
    const char *name = query->name, *text = rule->text;
    size_t n_name = query->n_name, n = rule->n_text;

    switch (rule->kind) {
    case ROUTE_DOMAIN:
        return naive_domain(text, naive_without_dot(text, n), name, n_name, true);
    case ROUTE_DOMAIN_SUFFIX:
        return naive_domain(text, naive_without_dot(text, n), name, n_name, false);
    case ROUTE_DOMAIN_KEYWORD:
        return naive_keyword(text, n, name, n_name);
    case ROUTE_DOMAIN_SET:
        return naive_set(text, n, name, n_name);
    case ROUTE_IP_CIDR:
        if (n_name > 0 && !(rule->resolve && query->is_resolved))
            return false;
        return naive_any(&rule->cidr, query->addrs, query->n_addrs);
    case ROUTE_SRC_IP_CIDR:
        return query->from != NULL && naive_any(&rule->cidr, query->from, 1);
    case ROUTE_DST_PORT:
        return rule->port_from <= query->port && query->port <= rule->port_to;
    case ROUTE_IN_NAME:
        return naive_text(rule, query->inbound);
    case ROUTE_IN_USER:
        return naive_text(rule, query->user);
    case ROUTE_MATCH:
        return true;
    }
    return false;
}

static inline enum route_answer naive_find(const struct route_rule *rules, size_t n,
                                           uint32_t fallback, const struct route_query *query,
                                           uint32_t *outbound)
{
    size_t i = 0;

    while (i < n && !naive_matches(&rules[i], query))
        i++;
    *outbound = i < n ? rules[i].outbound : fallback;
    if (query->n_name == 0 || query->is_resolved)
        return ROUTE_FOUND;
    while (i-- > 0) {
        if (rules[i].kind == ROUTE_IP_CIDR && rules[i].resolve && rules[i].outbound != *outbound)
            return ROUTE_NEEDS_ADDRESS;
    }
    return ROUTE_FOUND;
}

#endif
