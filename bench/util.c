#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES 512

void die(const char *format, ...)
{
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
    exit(1);
}

void die_errno(const char *format, ...)
{
    int saved = errno;
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    die("%s: %s", text, strerror(saved));
}

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint64_t parse_number(const char *text, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    bool bad = errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value > max;
    if (bad)
        die("%s: expected a number from 0 to %llu", text, (unsigned long long)max);
    return value;
}

struct sockaddr_in parse_address(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - text);
    if (len == 0 || len >= sizeof host)
        die("%s: expected ADDRESS:PORT", text);
    memcpy(host, text, len);
    host[len] = '\0';
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        die("%s: not an IPv4 address", host);
    address.sin_port = htons((uint16_t)parse_number(colon + 1, 65535));
    return address;
}

size_t raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        die_errno("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        die_errno("setrlimit");
    return (size_t)limit.rlim_cur;
}

int listen_on(const struct sockaddr_in *address)
{
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die_errno("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        die_errno("bind to port %u", (unsigned)ntohs(address->sin_port));
    if (listen(fd, 4096) != 0)
        die_errno("listen");
    return fd;
}

int connect_to(const struct sockaddr_in *address)
{
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die_errno("socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        die_errno("connect to port %u", (unsigned)ntohs(address->sin_port));
    return fd;
}

void close_with_reset(int fd)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

void pattern_fill(uint8_t *bytes, size_t len, uint64_t offset)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)((offset + i) % PATTERN_PERIOD);
}

bool pattern_matches(const uint8_t *bytes, size_t len, uint64_t offset)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != (offset + i) % PATTERN_PERIOD)
            return false;
    return true;
}

int pattern_file(void)
{
    int fd = memfd_create("pattern", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, PATTERN_BYTES) != 0)
        die_errno("memfd_create");
    uint8_t *bytes = mmap(NULL, PATTERN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED)
        die_errno("mmap");
    pattern_fill(bytes, PATTERN_BYTES, 0);
    munmap(bytes, PATTERN_BYTES);
    return fd;
}
