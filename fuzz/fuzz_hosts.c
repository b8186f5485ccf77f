/* Every name of every line must be found with its line's address, whatever the other lines are. */
#include "fuzz.h"
#include "io/hosts.h"

#define BLANKS " \t\r\v\f"

static void check_found(const struct hosts *hosts, char *name, const struct addr *addr)
{
    const struct addr *addrs;
    size_t n, length = strlen(name);

    if (name[length - 1] == '.')
        name[--length] = '\0';
    if (length == 0 || length > HOST_NAME_MAX_BYTES)
        return;
    for (char *p = name; *p != '\0'; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
    CHECK(hosts_find(hosts, name, addr->family, &addrs, &n));
    CHECK(n > 0 && n <= HOSTS_MAX_ADDRS);
    bool is_found = n == HOSTS_MAX_ADDRS;
    for (size_t i = 0; i < n; i++) {
        CHECK(addrs[i].family == addr->family && addrs[i].port == 0);
        is_found = is_found || addr_equal(&addrs[i], addr, false);
        for (size_t k = 0; k < i; k++)
            CHECK(!addr_equal(&addrs[i], &addrs[k], false));
    }
    CHECK(is_found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct hosts *hosts;
    uint8_t *exact = exact_copy(data, n);
    char *text = calloc(1, n + 1), *rest_of_text = text, *line;

    CHECK(text != NULL && hosts_parse(&hosts, (const char *)exact, n) == ERR_NONE);
    free(exact);
    for (size_t i = 0; i < n; i++)
        text[i] = data[i] == 0 ? ' ' : (char)data[i];
    while ((line = strsep(&rest_of_text, "\n")) != NULL) {
        struct addr addr;
        char *rest, *word;
        line[strcspn(line, "#")] = '\0';
        word = strtok_r(line, BLANKS, &rest);
        if (word == NULL || addr_parse_ip(&addr, word, strlen(word)) != ERR_NONE)
            continue;
        while ((word = strtok_r(NULL, BLANKS, &rest)) != NULL)
            check_found(hosts, word, &addr);
    }
    free(text);
    hosts_free(hosts);
    return 0;
}
