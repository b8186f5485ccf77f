#include "tunnel/datagrams.h"

#include "flow/env.h"
#include "tunnel/host.h"

struct tunnel_datagrams *tunnel_datagrams_of(struct tunnel_stream *stream)
{
    return CONTAINER_OF(stream, struct tunnel_datagrams, stream);
}

static void count_dropped(struct tunnel_datagrams *datagrams)
{
    struct stream *stream = datagrams->stream.stream;
    datagrams->env->counters.dropped[DROP_FULL] += stream_dropped_datagrams(stream);
}

/* ---- as a way ---- */

static void send_packet(struct packets *packets, const struct target *to, uint8_t *bytes, size_t n)
{
    struct tunnel_datagrams *datagrams = CONTAINER_OF(packets, struct tunnel_datagrams, packets);
    struct flow_env *env = datagrams->env;
    struct tunnel_stream *stream = &datagrams->stream;
    if (stream->stream == NULL) {
        env->counters.dropped[DROP_UNSENT]++;
        return;
    }
    stream_send_datagram(stream->stream, to, bytes, n, tunnel_now(stream->host->tended.env).now_us);
    count_dropped(datagrams);
    host_touch(stream->host);
}

static void close_packets(struct packets *packets)
{
    endpoint_close(&CONTAINER_OF(packets, struct tunnel_datagrams, packets)->stream.ep, false);
}

static const struct packets_ops way_ops = {.send = send_packet, .close = close_packets};

/* ---- as an endpoint ---- */

/* What sends them on is told that their bytes stay while all of them are given. */
static enum err give_all(struct tunnel_datagrams *datagrams)
{
    struct tunnel_stream *stream = &datagrams->stream;
    struct packets *packets = &datagrams->packets;
    struct target address;
    uint8_t *bytes;
    size_t n;
    enum err err = ERR_RESET;
    datagram_pool_gather(&datagrams->env->datagrams, true);
    while (stream->stream != NULL && !datagrams->is_closed) {
        err = stream_take_datagram(stream->stream, &address, &bytes, &n);
        if (err != ERR_NONE)
            break;
        packets->on_packet(packets, &address, bytes, n);
    }
    datagram_pool_gather(&datagrams->env->datagrams, false);
    return err;
}

static enum err ep_read(struct endpoint *ep, void *buf, size_t cap, size_t *n)
{
    struct tunnel_datagrams *datagrams = tunnel_datagrams_of(tunnel_stream_of(ep));
    (void)buf;
    (void)cap;
    *n = 0;
    enum err err = give_all(datagrams);
    if (datagrams->stream.stream != NULL && !datagrams->is_closed)
        count_dropped(datagrams);
    if (err == ERR_AGAIN)
        endpoint_used_up(ep, LOOP_READ);
    return err;
}

/* It takes no bytes. */
static enum err ep_write(struct endpoint *ep, const void *buf, size_t given, size_t *n)
{
    (void)ep;
    (void)buf;
    (void)given;
    *n = 0;
    return ERR_RESET;
}

static void ep_close(struct endpoint *ep, bool reset)
{
    struct tunnel_datagrams *datagrams = tunnel_datagrams_of(tunnel_stream_of(ep));
    if (datagrams->stream.stream != NULL)
        count_dropped(datagrams);
    datagrams->is_closed = true;
    tunnel_stream_close(ep, reset);
}

static const struct endpoint_ops ep_ops = {
    .read = ep_read,
    .write = ep_write,
    .shutdown = tunnel_stream_shutdown,
    .close = ep_close,
    .want = tunnel_stream_want,
    .used_up = tunnel_stream_used_up,
    .is_broken = tunnel_stream_is_broken,
    .keep_alive = tunnel_stream_keep_alive,
    .is_ready = tunnel_stream_is_ready,
    .is_suspended = tunnel_stream_is_suspended,
};

enum err tunnel_datagrams_new(struct tunnel_datagrams **out, struct host *host,
                              struct stream *session_stream)
{
    struct slab *slab = &host->tended.env->datagrams;
    struct tunnel_datagrams *datagrams = slab_get(slab);
    if (datagrams == NULL)
        return ERR_MEMORY;
    tunnel_stream_init(&datagrams->stream, slab, host, session_stream, &ep_ops);
    datagrams->env = host->tended.env->flow;
    datagrams->packets.ops = &way_ops;
    *out = datagrams;
    return ERR_NONE;
}

enum err tunnel_endpoint_new(struct tunnel_stream **out, struct host *host,
                             struct stream *session_stream)
{
    struct tunnel_datagrams *datagrams;
    if (!stream_has_datagrams(session_stream))
        return tunnel_stream_new(out, host, session_stream);
    enum err err = tunnel_datagrams_new(&datagrams, host, session_stream);
    if (err == ERR_NONE)
        *out = &datagrams->stream;
    return err;
}

static void on_ready(struct endpoint *ep, unsigned events)
{
    struct tunnel_datagrams *datagrams = ep->owner;
    size_t n;
    enum err err = endpoint_read(ep, NULL, 0, &n);
    (void)events;
    if (err != ERR_AGAIN && !datagrams->is_closed)
        datagrams->packets.on_broken(&datagrams->packets, err);
}

void tunnel_datagrams_begin(struct tunnel_datagrams *datagrams)
{
    struct endpoint *ep = &datagrams->stream.ep;
    ep->on_ready = on_ready;
    ep->owner = datagrams;
    endpoint_want(ep, LOOP_READ);
}
