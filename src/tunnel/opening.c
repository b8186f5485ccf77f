#include "tunnel/opening.h"

#include "tunnel/datagrams.h"
#include "wire/socks5.h"

/* What the client has said already goes with the request. */
static enum err send_ahead(struct tunnel_stream *stream, const uint8_t *bytes, size_t given,
                           size_t *n)
{
    enum err err = ERR_NONE;
    while (*n < given && err == ERR_NONE) {
        size_t n_now = 0;
        err = endpoint_write(&stream->ep, bytes + *n, given - *n, &n_now);
        *n += n_now;
    }
    return err == ERR_AGAIN ? ERR_NONE : err;
}

void tunnel_opening_ahead(struct opening *opening, const uint8_t *bytes, size_t given, size_t *n)
{
    *n = 0;
    enum err err = send_ahead(opening->state, bytes, given, n);
    (void)err; /* a stream that is dead says so by itself */
}

enum err tunnel_opening_begin(struct host *host, const struct stream_request *request,
                              struct opening *opening)
{
    struct stream *session_stream;
    struct tunnel_stream *stream;
    enum err err = session_open(peer_session(host->peer), request, &session_stream);
    if (err == ERR_EOF)
        return ERR_TUNNEL; /* the session has just ended */
    if (err != ERR_NONE)
        return err;
    err = tunnel_endpoint_new(&stream, host, session_stream);
    if (err != ERR_NONE) {
        stream_release(session_stream);
        return err;
    }
    stream->opening = opening;
    opening->state = stream;
    err = send_ahead(stream, opening->ahead, opening->n_ahead, &opening->n_ahead_taken);
    if (err != ERR_NONE) {
        tunnel_opening_cancel(opening);
        return err;
    }
    host_touch(host);
    return ERR_AGAIN;
}

void tunnel_opening_cancel(struct opening *opening)
{
    struct tunnel_stream *stream = opening->state;
    stream->opening = NULL;
    opening->state = NULL;
    endpoint_close(&stream->ep, true);
}

/* The other end's reply code becomes the client's: as an error that the protocol's table turns back into it. */
static enum err take_answer(struct tunnel_stream *stream, struct opening *opening)
{
    if (stream->is_dead)
        return tunnel_stream_met_limit(stream) ? ERR_LIMIT : ERR_UPSTREAM;
    uint8_t code = stream_code(stream->stream, &opening->bound);
    if (code != SOCKS5_SUCCEEDED) {
        stream->is_dead = true; /* of which no more is said */
        return socks5_err(code);
    }
    if (!opening->is_association) {
        opening->endpoint = &stream->ep;
        return ERR_NONE;
    }
    opening->packets = &tunnel_datagrams_of(stream)->packets;
    tunnel_datagrams_begin(tunnel_datagrams_of(stream));
    return ERR_NONE;
}

void tunnel_opening_answered(struct host *host, struct tunnel_stream *stream)
{
    (void)host;
    struct opening *opening = stream->opening;
    stream->opening = NULL;
    opening->state = NULL;
    enum err err = take_answer(stream, opening);
    if (err != ERR_NONE)
        endpoint_close(&stream->ep, false);
    opening->done(opening, err);
}
