#include "daemon/voice.h"

#include <stdarg.h>
#include <stdio.h>

void voice_say(struct voice *voice, enum log_level level, const char *format, ...)
{
    char text[VOICE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    voice->say(voice, level, text);
}

static void say_on_stderr(struct voice *voice, enum log_level level, const char *text)
{
    (void)voice;
    fprintf(stderr, "sockeye: %s%s\n", level == LOG_LEVEL_WARN ? "warning: " : "", text);
}

struct voice voice_stderr = {.say = say_on_stderr};
