#include "fuzz.h"
#include "io/resolv_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct resolv_conf conf;
    uint8_t *text = exact_copy(data, n);

    resolv_conf_parse(&conf, (const char *)text, n);
    free(text);
    CHECK(conf.n_servers <= RESOLV_CONF_MAX_SERVERS && conf.n_domains <= RESOLV_CONF_MAX_DOMAINS);
    for (size_t i = 0; i < conf.n_servers; i++) {
        CHECK(conf.servers[i].family == ADDR_V4 || conf.servers[i].family == ADDR_V6);
        CHECK(conf.servers[i].port == 0);
    }
    CHECK(conf.has_domains || conf.n_domains == 0);
    size_t used = 0;
    for (size_t i = 0; i < conf.n_domains; i++) {
        CHECK(conf.domain_at[i] == used && used < sizeof conf.domain_text);
        size_t length = strnlen(conf.domain_text + used, sizeof conf.domain_text - used);
        CHECK(length > 0 && conf.domain_text[used + length - 1] != '.');
        used += length + 1;
        CHECK(used <= sizeof conf.domain_text);
    }
    CHECK(conf.ndots <= 15);
    CHECK(conf.timeout_ms >= 1000 && conf.timeout_ms <= 30000);
    CHECK(conf.n_attempts >= 1 && conf.n_attempts <= 5);
    return 0;
}
