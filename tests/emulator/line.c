#include "line.h"

#include <stdlib.h>
#include <string.h>

void line_init(struct line *line, uint64_t seed)
{
    *line = (struct line){.random = seed * 2 + 1};
}

/* From 0 to 1, by xorshift64*: the same seed loses the same packets. */
static double draw(struct line *line)
{
    line->random ^= line->random >> 12;
    line->random ^= line->random << 25;
    line->random ^= line->random >> 27;
    return (double)(line->random * UINT64_C(0x2545F4914F6CDD1D) >> 11) / 0x1p53;
}

/* When the bottleneck has sent this packet; false: it does not fit into the queue. */
static bool pass_bottleneck(struct line *line, int64_t now_ns, size_t len, int64_t *sent_ns)
{
    double rate = line->options.bits_per_s;
    *sent_ns = now_ns;
    if (rate == 0)
        return true;
    int64_t begin_ns = line->free_at_ns > now_ns ? line->free_at_ns : now_ns;
    double waiting_bytes = (double)(begin_ns - now_ns) * rate / 8e9;
    if (waiting_bytes > 0 && waiting_bytes + (double)len > line->options.queue_bytes)
        return false;
    line->free_at_ns = begin_ns + (int64_t)((double)len * 8e9 / rate);
    *sent_ns = line->free_at_ns;
    return true;
}

/* Most packets are the last: the list is walked from there. */
static void insert(struct line *line, struct packet *packet)
{
    struct packet *before = line->last;
    while (before != NULL && before->deliver_at_ns > packet->deliver_at_ns)
        before = before->earlier;
    struct packet *after = before != NULL ? before->later : line->first;
    packet->earlier = before;
    packet->later = after;
    *(before != NULL ? &before->later : &line->first) = packet;
    *(after != NULL ? &after->earlier : &line->last) = packet;
}

bool line_take(struct line *line, int64_t now_ns, const void *bytes, size_t len)
{
    int64_t deliver_at_ns;
    line->counts.received++;
    if (line->options.frozen) {
        line->counts.frozen++;
        return true;
    }
    if (draw(line) < line->options.loss) {
        line->counts.lost++;
        return true;
    }
    if (!pass_bottleneck(line, now_ns, len, &deliver_at_ns)) {
        line->counts.overflowed++;
        return true;
    }
    deliver_at_ns += line->options.delay_ns;
    if (draw(line) < line->options.reorder) {
        line->counts.reordered++;
        deliver_at_ns += line->options.reorder_ns;
    }
    struct packet *packet = malloc(sizeof *packet + len);
    if (packet == NULL)
        return false;
    packet->deliver_at_ns = deliver_at_ns;
    packet->len = len;
    memcpy(packet->bytes, bytes, len);
    insert(line, packet);
    return true;
}

int64_t line_deadline(const struct line *line)
{
    return line->first != NULL ? line->first->deliver_at_ns : INT64_MAX;
}

static struct packet *take_first(struct line *line)
{
    struct packet *packet = line->first;
    line->first = packet->later;
    *(line->first != NULL ? &line->first->earlier : &line->last) = NULL;
    return packet;
}

struct packet *line_give(struct line *line, int64_t now_ns)
{
    while (line_deadline(line) <= now_ns) {
        struct packet *packet = take_first(line);
        if (!line->options.frozen) {
            line->counts.delivered++;
            line->counts.bytes += packet->len;
            return packet;
        }
        line->counts.frozen++;
        free(packet);
    }
    return NULL;
}
