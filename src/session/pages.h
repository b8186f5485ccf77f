/*
 * Bytes of a stream that have come before those in front of them. The space of offsets is cut into pages; each page that
 * has a byte keeps one bit for each of its bytes. So storing takes time by the bytes alone, whatever the
 * order and the sizes they come in, and memory by the credit that was given.
 */
#ifndef SOCKEYE_SESSION_PAGES_H
#define SOCKEYE_SESSION_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "session/buffer.h"

struct pages;

/* The bytes have credit, at least one, and all from `begin` on may have a page. What is there already stays
 * as it came first. Makes *pages where it is NULL. ERR_MEMORY. */
NODISCARD enum err pages_store(struct pages **pages, struct store *store, uint64_t begin,
                               uint64_t offset, const uint8_t *bytes, size_t n);
/* The bytes at an offset; returns how many have come in one piece, 0: none. */
size_t pages_at(const struct pages *pages, uint64_t offset, const uint8_t **bytes);
/* Lets go of what is wholly below the offset, and of *pages itself when nothing is left. */
void pages_drop(struct pages **pages, struct store *store, uint64_t offset);
void pages_free(struct pages **pages, struct store *store);

#endif
