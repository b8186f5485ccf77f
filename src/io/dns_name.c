#include "io/dns_name.h"

#include <stdio.h>
#include <string.h>

#define MAX_LABEL_BYTES 63

static bool is_name_byte(char c)
{
    /* c-ares takes a backslash for an escape. */
    return (unsigned char)c > ' ' && c != 0x7f && c != '\\';
}

bool dns_name_set(struct dns_name *out, const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || n > HOST_NAME_MAX_BYTES)
        return false;
    size_t label_bytes = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (!is_name_byte(c) || (c == '.' && label_bytes == 0))
            return false;
        label_bytes = c == '.' ? 0 : label_bytes + 1;
        if (label_bytes > MAX_LABEL_BYTES)
            return false;
        out->key[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    out->key[n] = '\0';
    memcpy(out->text, out->key, n + 1);
    if (text[n - 1] == '.')
        out->text[n - 1] = '\0';
    return true;
}

bool dns_name_is_in(const char *name, const char *domain)
{
    size_t n_name = strlen(name), n_domain = strlen(domain);
    return n_name >= n_domain && strcmp(name + n_name - n_domain, domain) == 0 &&
           (n_name == n_domain || name[n_name - n_domain - 1] == '.');
}

bool dns_name_candidate(char out[static DNS_CANDIDATE_BYTES], const char *key,
                        const struct resolv_conf *conf, size_t i)
{
    size_t n_key = strlen(key);
    bool is_absolute = key[n_key - 1] == '.';
    size_t n_domains = is_absolute ? 0 : conf->n_domains;
    size_t n_dots = 0;
    for (const char *p = key; *p != '\0'; p++)
        n_dots += *p == '.';
    bool as_it_is_first = n_dots >= conf->ndots;

    if (i > n_domains)
        return false;
    if (i == (as_it_is_first ? 0 : n_domains))
        snprintf(out, DNS_CANDIDATE_BYTES, "%.*s", (int)(is_absolute ? n_key - 1 : n_key), key);
    else
        snprintf(out, DNS_CANDIDATE_BYTES, "%s.%s", key,
                 resolv_conf_domain(conf, as_it_is_first ? i - 1 : i));
    return true;
}
