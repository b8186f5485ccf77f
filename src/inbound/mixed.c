#include "flow/flow.h"
#include "inbound/protocols.h"
#include "wire/socks4.h"
#include "wire/socks5.h"

static enum inbound_step advance(struct flow *flow, const uint8_t *bytes, size_t n, size_t *used,
                                 struct request *request, enum err *why)
{
    *used = 0;
    if (n == 0)
        return INBOUND_MORE;
    bool is_socks = bytes[0] == SOCKS4_VERSION || bytes[0] == SOCKS5_VERSION;
    flow->protocol = is_socks ? &inbound_socks : &inbound_http;
    return flow->protocol->advance(flow, bytes, n, used, request, why);
}

/* It answers nothing itself: by then flow->protocol is another. */
const struct inbound_protocol inbound_mixed = {
    .name = "mixed",
    .advance = advance,
};
