#include "route/names.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"

struct name_slot {
    uint32_t tag;
    uint32_t at; /* in the blob; 0: the slot is empty */
};

/* What stands before each text in the blob, unaligned. */
struct name_head {
    uint32_t rule_exact; /* 2 * rule + exact */
    uint16_t n_text;
};
enum { HEAD_BYTES = 6 };

static struct name_head head_read(const uint8_t *at)
{
    struct name_head head;

    memcpy(&head.rule_exact, at, 4);
    memcpy(&head.n_text, at + 4, 2);
    return head;
}

static void head_write(uint8_t *at, struct name_head head)
{
    memcpy(at, &head.rule_exact, 4);
    memcpy(at + 4, &head.n_text, 2);
}

static uint64_t hash_before(const struct names *names, uint64_t hash, char c)
{
    return (hash ^ (uint8_t)c) * names->multiplier;
}

/* The upper half chooses the slot, the lower one is the tag. */
static uint64_t hash_finish(uint64_t hash)
{
    return (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
}

static size_t slot_of(const struct names *names, uint64_t finished)
{
    return (size_t)(((finished >> 32) * names->n_slots) >> 32);
}

static size_t slot_after(const struct names *names, size_t slot)
{
    return slot + 1 == names->n_slots ? 0 : slot + 1;
}

void names_init(struct names *names, uint64_t seed)
{
    *names = (struct names){
        .seed = seed,
        .multiplier = hash_finish(~seed) | 1,
        .n_blob = 1, /* offset 0 is no text's */
        .earliest = UINT32_MAX,
    };
}

void names_deinit(struct names *names)
{
    free(names->slots);
    free(names->blob);
}

void names_count(struct names *names, size_t n_text)
{
    assert(n_text <= NAMES_MAX_TEXT_BYTES);
    names->n_names++;
    names->n_blob += HEAD_BYTES + n_text;
    if (n_text > names->longest)
        names->longest = (uint32_t)n_text;
    if (n_text < 256)
        names->lengths[n_text / 64] |= UINT64_C(1) << n_text % 64;
}

enum err names_reserve(struct names *names)
{
    if (names->n_names == 0)
        return ERR_NONE;
    if (names->n_blob > UINT32_MAX)
        return ERR_TOO_LONG;
    /* Never full, or a search for what is not there would not end. */
    names->n_slots = names->n_names + names->n_names / 3 + 1;
    names->slots = calloc(names->n_slots, sizeof *names->slots);
    names->blob = malloc(names->n_blob);
    if (names->slots == NULL || names->blob == NULL)
        return ERR_MEMORY;
    names->n_blob = 1;
    return ERR_NONE;
}

static bool text_is(const struct names *names, const struct name_slot *slot, uint32_t tag,
                    struct slice text, struct name_head *head)
{
    if (slot->tag != tag)
        return false;
    *head = head_read(names->blob + slot->at);
    return head->n_text == text.n &&
           memcmp(names->blob + slot->at + HEAD_BYTES, text.at, text.n) == 0;
}

void names_add(struct names *names, struct slice text, uint32_t rule, bool exact)
{
    struct name_head head;
    uint64_t hash = names->seed;

    for (size_t i = text.n; i > 0; i--)
        hash = hash_before(names, hash, text.at[i - 1]);
    hash = hash_finish(hash);
    size_t slot = slot_of(names, hash);
    for (; names->slots[slot].at != 0; slot = slot_after(names, slot)) {
        /* An earlier rule that matches whatever this one does. */
        if (text_is(names, &names->slots[slot], (uint32_t)hash, text, &head) &&
            (exact || (head.rule_exact & 1) == 0))
            return;
    }
    names->slots[slot] = (struct name_slot){.tag = (uint32_t)hash, .at = (uint32_t)names->n_blob};
    head_write(names->blob + names->n_blob,
               (struct name_head){.rule_exact = rule << 1 | exact, .n_text = (uint16_t)text.n});
    memcpy(names->blob + names->n_blob + HEAD_BYTES, text.at, text.n);
    names->n_blob += HEAD_BYTES + text.n;
    if (rule < names->earliest)
        names->earliest = rule;
}

static uint32_t find_hashed(const struct names *names, uint64_t finished, struct slice text,
                            bool is_whole, uint32_t best)
{
    struct name_head head;

    for (size_t slot = slot_of(names, finished); names->slots[slot].at != 0;
         slot = slot_after(names, slot)) {
        if (text_is(names, &names->slots[slot], (uint32_t)finished, text, &head) &&
            (is_whole || (head.rule_exact & 1) == 0) && head.rule_exact >> 1 < best)
            best = head.rule_exact >> 1;
    }
    return best;
}

uint32_t names_find(const struct names *names, struct slice text, uint32_t best)
{
    uint64_t hash = names->seed;

    if (names->earliest >= best || text.n > names->longest)
        return best;
    for (size_t i = text.n; i > 0; i--)
        hash = hash_before(names, hash, text.at[i - 1]);
    return find_hashed(names, hash_finish(hash), text, true, best);
}

uint32_t names_find_domain(const struct names *names, struct slice name, uint32_t best)
{
    struct {
        uint64_t finished;
        size_t from;
    } suffixes[HOST_NAME_MAX_BYTES + 1];
    size_t n = 0;
    uint64_t hash = names->seed;

    assert(name.n <= HOST_NAME_MAX_BYTES);
    if (names->earliest >= best)
        return best;
    for (size_t i = name.n;; i--) {
        if (i == 0 || name.at[i - 1] == '.') {
            suffixes[n].finished = hash_finish(hash);
            suffixes[n].from = i;
            /* A large table is in no cache: the slots are fetched all at a time. */
            __builtin_prefetch(&names->slots[slot_of(names, suffixes[n].finished)]);
            n++;
        }
        if (i == 0)
            break;
        hash = hash_before(names, hash, name.at[i - 1]);
    }
    for (size_t i = 0; i < n; i++) {
        size_t from = suffixes[i].from;
        struct slice suffix = {name.at + from, name.n - from};
        best = find_hashed(names, suffixes[i].finished, suffix, from == 0, best);
    }
    return best;
}

static bool has_length(const struct names *names, size_t n)
{
    return (names->lengths[n / 64] >> n % 64 & 1) != 0;
}

uint32_t names_find_within(const struct names *names, struct slice name, uint32_t best)
{
    if (names->earliest >= best)
        return best;
    for (size_t end = name.n; end > 0; end--) {
        uint64_t hash = names->seed;
        size_t max = end < names->longest ? end : names->longest;
        for (size_t n = 1; n <= max; n++) {
            struct slice part = {name.at + end - n, n};
            hash = hash_before(names, hash, part.at[0]);
            if (n < 256 && has_length(names, n))
                best = find_hashed(names, hash_finish(hash), part, true, best);
        }
    }
    return best;
}
