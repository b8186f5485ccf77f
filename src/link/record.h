/*
 * The records of one direction of a link (doc/protocol.md, sections 4 and 5): two stages, counter nonces, a
 * ratchet. Nothing of a record is looked at before its tag was found good.
 */
#ifndef SOCKEYE_LINK_RECORD_H
#define SOCKEYE_LINK_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/piece.h"

#define RECORD_HEADER_BYTES 20 /* sealed */
#define RECORD_TAG_BYTES 16
#define RECORD_MAX_BYTES ((size_t)65536) /* of a payload, before it is sealed */

/* How many records and bytes of payload one key serves, the record that says so included: a sealer
 * changes it then, an opener takes more records for a bad tag, whatever their bytes. */
struct record_limits {
    uint64_t max_records, max_bytes;
};

/* Contexts of one direction, reused for all its records. Returned owned; NULL: out of memory. `cipher` is
 * an enum record_cipher (link/handshake.h), `limits` NULL the protocol's. */
struct record_sealer *record_sealer_new(uint8_t cipher, const uint8_t secret[static 32],
                                        const struct record_limits *limits);
struct record_opener *record_opener_new(uint8_t cipher, const uint8_t secret[static 32],
                                        const struct record_limits *limits);
void record_sealer_free(struct record_sealer *sealer);
void record_opener_free(struct record_opener *opener);

/* Seals the pieces, of RECORD_MAX_BYTES at most, as one record into `out`, which has room for their
 * bytes and RECORD_HEADER_BYTES + RECORD_TAG_BYTES; *n_out says how many were written. ERR_SYSTEM: the
 * library failed, and the link is over. */
NODISCARD enum err record_seal(struct record_sealer *sealer, const struct piece *pieces,
                               size_t n_pieces, uint8_t *out, size_t *n_out);

/*
 * Opens the record at the beginning of n bytes, in place. ERR_NONE: its payload, and *used bytes of the record.
 * ERR_MORE: *used says how many bytes it takes at least (the header is opened once only, and
 * its bytes stay as they were). ERR_BAD: a bad tag, the link is over.
 */
NODISCARD enum err record_open(struct record_opener *opener, uint8_t *bytes, size_t n,
                               uint8_t **payload, size_t *n_payload, size_t *used);

#endif
