/* Where those who set things up say what is wrong, or done: stderr at the start, the log too in a
 * reload. */
#ifndef SOCKEYE_DAEMON_VOICE_H
#define SOCKEYE_DAEMON_VOICE_H

#include "base/log.h"

#define VOICE_BYTES 640 /* what is longer is cut */

struct voice {
    void (*say)(struct voice *, enum log_level level, const char *text);
};

/* One line without its newline. */
void voice_say(struct voice *voice, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Says "sockeye: [warning: ]text" on stderr. */
extern struct voice voice_stderr;

#endif
