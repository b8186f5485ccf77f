#include "session/pages.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Small, as a single byte takes one, and with its bits and the chunk's head a round size. */
enum { PAGE_BYTES = 896, WORD_BITS = 64, MIN_PLACES = 8 };

/* In a chunk's bytes. */
struct page {
    uint64_t has[PAGE_BYTES / WORD_BITS];
    uint8_t bytes[PAGE_BYTES];
};

static_assert(sizeof(struct chunk) + sizeof(struct page) == 1024,
              "a page fills what chunks are of");

struct pages {
    uint64_t first;    /* number of the first page that may be there */
    uint32_t n;        /* pages that are */
    uint32_t places;   /* a power of two */
    struct chunk **at; /* number % places */
};

static struct page *page_of(struct chunk *chunk)
{
    return (void *)chunk->bytes;
}

/* Makes places for the pages from the first to the one of the byte before `end`. */
static enum err make_places(struct pages *pages, uint64_t end)
{
    uint64_t need = (end - 1) / PAGE_BYTES - pages->first + 1;
    uint32_t places = pages->places == 0 ? MIN_PLACES : pages->places;

    while (places < need)
        places *= 2;
    if (places == pages->places)
        return ERR_NONE;
    struct chunk **at = calloc(places, sizeof(struct chunk *));
    if (at == NULL)
        return ERR_MEMORY;
    for (uint64_t i = 0; i < pages->places; i++)
        at[(pages->first + i) % places] = pages->at[(pages->first + i) % pages->places];
    free(pages->at);
    pages->at = at;
    pages->places = places;
    return ERR_NONE;
}

static struct page *get_page(struct pages *pages, struct store *store, uint64_t number)
{
    struct chunk **place = &pages->at[number % pages->places];

    if (*place == NULL) {
        *place = store_get(store, sizeof(struct page));
        if (*place == NULL)
            return NULL;
        memset(page_of(*place)->has, 0, sizeof page_of(*place)->has);
        pages->n++;
    }
    return page_of(*place);
}

static bool has_byte(const struct page *page, size_t i)
{
    return (page->has[i / WORD_BITS] >> i % WORD_BITS & 1) != 0;
}

/* Stores bytes that lie in one page, those that are new. */
static void store_in_page(struct page *page, size_t from, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        uint64_t *word = &page->has[from / WORD_BITS];
        if (from % WORD_BITS == 0 && n >= WORD_BITS && *word == 0) {
            memcpy(page->bytes + from, bytes, WORD_BITS);
            *word = UINT64_MAX;
            from += WORD_BITS;
            bytes += WORD_BITS;
            n -= WORD_BITS;
            continue;
        }
        if (!has_byte(page, from)) {
            page->bytes[from] = *bytes;
            *word |= UINT64_C(1) << from % WORD_BITS;
        }
        from++;
        bytes++;
        n--;
    }
}

enum err pages_store(struct pages **out, struct store *store, uint64_t begin, uint64_t offset,
                     const uint8_t *bytes, size_t n)
{
    struct pages *pages = *out;

    if (pages == NULL) {
        pages = *out = calloc(1, sizeof *pages);
        if (pages == NULL)
            return ERR_MEMORY;
        pages->first = begin / PAGE_BYTES;
    }
    if (make_places(pages, offset + n) != ERR_NONE)
        return ERR_MEMORY;
    while (n > 0) {
        size_t from = offset % PAGE_BYTES;
        size_t take = n < PAGE_BYTES - from ? n : PAGE_BYTES - from;
        struct page *page = get_page(pages, store, offset / PAGE_BYTES);
        if (page == NULL)
            return ERR_MEMORY;
        store_in_page(page, from, bytes, take);
        offset += take;
        bytes += take;
        n -= take;
    }
    return ERR_NONE;
}

size_t pages_at(const struct pages *pages, uint64_t offset, const uint8_t **bytes)
{
    struct chunk *chunk = pages->at[offset / PAGE_BYTES % pages->places];
    size_t from = offset % PAGE_BYTES, to = from;

    if (chunk == NULL || offset / PAGE_BYTES - pages->first >= pages->places)
        return 0;
    const struct page *page = page_of(chunk);
    while (to < PAGE_BYTES && has_byte(page, to)) {
        bool is_whole = to % WORD_BITS == 0 && page->has[to / WORD_BITS] == UINT64_MAX;
        to += is_whole ? WORD_BITS : 1;
    }
    *bytes = page->bytes + from;
    return to - from;
}

void pages_drop(struct pages **out, struct store *store, uint64_t offset)
{
    struct pages *pages = *out;
    uint64_t first = offset / PAGE_BYTES;

    for (; pages->first < first && pages->n > 0; pages->first++) {
        struct chunk **place = &pages->at[pages->first % pages->places];
        if (*place == NULL)
            continue;
        store_put(store, *place);
        *place = NULL;
        pages->n--;
    }
    if (pages->n == 0)
        pages_free(out, store);
}

void pages_free(struct pages **out, struct store *store)
{
    struct pages *pages = *out;

    if (pages == NULL)
        return;
    for (uint32_t i = 0; i < pages->places; i++) {
        if (pages->at[i] != NULL)
            store_put(store, pages->at[i]);
    }
    free(pages->at);
    free(pages);
    *out = NULL;
}
