/*
 * One connection at the origin. Its first line says what shall happen on it:
 *
 *   down N       N bytes of the pattern, then a fin; 0: without end
 *   up TAG       swallow everything; after the client's fin answer with the count and a fin
 *   echo         give back what comes
 *   short        SHORT_ANSWER_BYTES of the pattern, then close
 *   answer N     wait for the client's fin; then N bytes and a fin
 *   receive N    N bytes and a fin at once; then check what the client still sends
 *   reset N      N bytes; reset as soon as the client has said a byte
 *   hold N       N bytes; then check how the client ends
 *
 * and, for the generator's own questions, answered with one line:
 *
 *   count TAG    how many bytes all `up TAG` have brought so far (one tag at a time: a new one
 *                begins at 0 and the old one's stragglers count no more)
 *   last         how the last `receive` or `hold` ended: "BYTES fin|reset intact|damaged", or
 *                "none" if it has not ended; said once
 */
#ifndef SOCKEYE_BENCH_ORIGIN_CONN_H
#define SOCKEYE_BENCH_ORIGIN_CONN_H

#include <stdbool.h>
#include <stdint.h>

#define SHORT_ANSWER_BYTES 100

/* What the connections share. */
struct origin {
    int epoll_fd;
    int pattern_fd;
    uint64_t up_tag;
    uint64_t up_bytes;
    char outcome[64]; /* of the last receive or hold */
};

struct conn;

/* Takes an accepted, non-blocking descriptor. */
struct conn *conn_new(struct origin *origin, int fd);

/* Serves an event of epoll. The connection is gone when it returns false. */
bool conn_serve(struct origin *origin, struct conn *conn);

#endif
