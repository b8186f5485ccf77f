#include "fuzz.h"
#include "wire/socks5.h"

/* A header that was parsed, written anew, must read as the same; what is parsed never depends on
 * the payload, and all that is shorter than the header is malformed. */
static void check_written(const struct target *target)
{
    uint8_t room[SOCKS5_UDP_HEADER_MAX_BYTES];
    const uint8_t *end = room + sizeof room;
    const uint8_t *at = socks5_put_udp_header(room + sizeof room, target);
    struct socks5_datagram again;
    size_t used = 0;

    CHECK(at >= room && at < end);
    CHECK(socks5_parse_datagram(at, (size_t)(end - at), &again, &used) == ERR_NONE);
    CHECK(used == (size_t)(end - at) && again.fragment == 0);
    CHECK(same_target(&again.target, target));
}

static void check_cut(const uint8_t *data, size_t n_header, const struct socks5_datagram *whole)
{
    for (size_t k = 0; k <= n_header; k++) {
        uint8_t *copy = exact_copy(data, k);
        struct socks5_datagram part;
        size_t used = 0;
        enum err err = socks5_parse_datagram(copy, k, &part, &used);
        CHECK((err == ERR_NONE) == (k == n_header));
        CHECK(err == ERR_NONE ? same_target(&part.target, &whole->target) && used == k
                              : err == ERR_BAD);
        free(copy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct socks5_datagram datagram;
    size_t used = 0;
    uint8_t *copy = exact_copy(data, n);
    enum err err = socks5_parse_datagram(copy, n, &datagram, &used);

    CHECK(err == ERR_NONE || err == ERR_BAD || err == ERR_ADDRESS_TYPE);
    if (err == ERR_NONE) {
        CHECK(used <= n && used <= SOCKS5_UDP_HEADER_MAX_BYTES);
        CHECK(datagram.fragment == data[2]);
        CHECK(target_is_sound(&datagram.target));
        check_written(&datagram.target);
        check_cut(data, used, &datagram);
    }
    free(copy);
    return 0;
}
