#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_is_there(void)
{
    const char *type = getenv("TERM");
    return isatty(STDOUT_FILENO) == 1 && type != NULL && type[0] != '\0' &&
           strcmp(type, "dumb") != 0;
}

void terminal_begin(struct terminal *terminal)
{
    terminal->has_keys = tcgetattr(STDIN_FILENO, &terminal->before) == 0;
    if (terminal->has_keys) {
        struct termios raw = terminal->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    /* The other screen, without a cursor. */
    fputs("\033[?1049h\033[?25l", stdout);
    fflush(stdout);
}

void terminal_end(struct terminal *terminal)
{
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    if (terminal->has_keys)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal->before);
}

void terminal_size(unsigned *width, unsigned *height)
{
    struct winsize size;
    *width = 80;
    *height = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
        return;
    *width = size.ws_col;
    *height = size.ws_row;
}

void terminal_draw(const char *text)
{
    fputs("\033[H", stdout);
    for (const char *at = text; *at != '\0';) {
        size_t n = strcspn(at, "\n");
        /* Behind the last line there is no newline: it would move the screen up. */
        bool is_last = at[n] == '\0' || at[n + 1] == '\0';
        fwrite(at, 1, n, stdout);
        fputs(is_last ? "\033[K" : "\033[K\r\n", stdout);
        at += at[n] == '\0' ? n : n + 1;
    }
    fputs("\033[J", stdout);
    fflush(stdout);
}
