/*
 * The far end of the log (daemon/logsink.h): what its thread writes to, which may block. A write
 * that fails loses its lines, which are counted; the first that succeeds again tells how many.
 */
#ifndef SOCKEYE_DAEMON_LOGWRITER_H
#define SOCKEYE_DAEMON_LOGWRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config.h"

struct logwriter {
    enum config_log_sink type;
    char *path;       /* of a file */
    int fd;           /* not of syslog; stderr is not closed */
    bool is_mid_line; /* the last write failed within a line */
    bool is_failing;
    int lost_errno;
    uint64_t n_lost; /* lines that could not be written */
};

/* Opens what `config` names. ERR_MEMORY; else errno says why the file cannot be opened, and there is
 * nothing to close. */
NODISCARD enum err logwriter_open(struct logwriter *writer, const struct config_log *config);
void logwriter_close(struct logwriter *writer);

/* Opens a file again; ERR_NONE for what is none. On an error, which errno tells, the old one is
 * kept. */
NODISCARD enum err logwriter_reopen(struct logwriter *writer);

/* Whether it could be opened again with the rights that the process has now; errno says why not. */
bool logwriter_can_reopen(const struct logwriter *writer);

/*
 * Writes n bytes, which are whole lines and are spoilt by it. Each is a byte '0' + enum log_level,
 * the text, and a newline.
 */
void logwriter_write(struct logwriter *writer, char *bytes, size_t n);

/* How many lines have been lost, once writing works again, and zero otherwise; then begins anew. */
uint64_t logwriter_take_lost(struct logwriter *writer);

/* Lines in n bytes. */
size_t logwriter_count_lines(const char *bytes, size_t n);

#endif
