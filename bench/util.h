/*
 * What the three programs of the bench share: addresses, sockets, the clock, and the pattern that
 * payloads are made of. Everything here ends the program with a message where it fails: a bench
 * that goes on after a failure measures nothing.
 */
#ifndef SOCKEYE_BENCH_UTIL_H
#define SOCKEYE_BENCH_UTIL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The pattern: the byte at offset n is n % PATTERN_PERIOD. The period is prime, so a byte that is
 * lost, doubled or moved shows, and PATTERN_BYTES is a multiple of it and of a page, so a file
 * that holds so much of it can be sent over and over. */
#define PATTERN_PERIOD 251
#define PATTERN_BYTES (PATTERN_PERIOD * 4096)

/* Prints "name: text" and exits with 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same with what errno says behind it: for system calls that have failed. */
_Noreturn void die_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The monotonic clock in nanoseconds. */
int64_t now_ns(void);

/* ADDRESS:PORT, IPv4 only. */
struct sockaddr_in parse_address(const char *text);

/* A decimal number from 0 to max. */
uint64_t parse_number(const char *text, uint64_t max);

/* Raises the soft limit of descriptors to the hard one and returns it. */
size_t raise_descriptors(void);

/* A non-blocking listening socket. */
int listen_on(const struct sockaddr_in *address);

/* A blocking connection, for the conversation with the origin beside the measured ones; it gives
 * up after ten seconds without an answer. */
int connect_to(const struct sockaddr_in *address);

/* Closes with a reset instead of a fin. */
void close_with_reset(int fd);

/* A memory file of PATTERN_BYTES of the pattern, to be sent with sendfile(2). */
int pattern_file(void);

/* Fills len bytes as they stand at `offset` of the pattern. */
void pattern_fill(uint8_t *bytes, size_t len, uint64_t offset);

/* Whether they are what stands there. */
bool pattern_matches(const uint8_t *bytes, size_t len, uint64_t offset);

#endif
